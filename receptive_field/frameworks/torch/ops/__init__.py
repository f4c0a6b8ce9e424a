"""The table of rules for ATen ops, which its files fill."""

from receptive_field.frameworks.torch.ops import (
    elementwise,
    normalisations,
    padding,
    pooling,
    reductions,
    reshaping,
    sources,
    windows,
)
from receptive_field.frameworks.torch.ops.registry import OPS

__all__ = [
    "OPS",
    "elementwise",
    "normalisations",
    "padding",
    "pooling",
    "reductions",
    "reshaping",
    "sources",
    "windows",
]
