"""The table of rules for functions of `keras.ops`."""

from __future__ import annotations

from collections.abc import Mapping

from receptive_field.frameworks.keras.operations import (
    core,
    image,
    linalg,
    math,
    nn,
    numpy,
    rearranging,
)
from receptive_field.frameworks.keras.operations.operand import Operation

OPERATIONS: Mapping[str, Operation] = {
    name: rule
    for module in (core, image, linalg, math, nn, numpy, rearranging)
    for name, rule in module.RULES.items()
}
"""Name of an operation's class -> its rule."""
