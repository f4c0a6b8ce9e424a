"""The rules of `keras.ops.numpy`, whose functions are named as in NumPy.

Each module has the rules of a family of functions. A rule is registered when its module
is imported.
"""

from __future__ import annotations

from receptive_field.frameworks.keras.operations.numpy import (
    cumulative,
    elementwise,
    indexing,
    joining,
    matrices,
    order,
    products,
    reductions,
    repeating,
    shapes,
    sorting,
)
from receptive_field.frameworks.keras.operations.numpy.registry import RULES

__all__ = [
    "RULES",
    "cumulative",
    "elementwise",
    "indexing",
    "joining",
    "matrices",
    "order",
    "products",
    "reductions",
    "repeating",
    "shapes",
    "sorting",
]
