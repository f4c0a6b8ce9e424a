"""The rule of each function of `keras.ops` that a model may call by itself.

Each module has a table: the name of an operation's class -> its rule, a function that
writes the ops of a call and returns what they compute. A rule receives the writer and
the arguments of the operation: those of the call, and those with which the operation
was made, by their names. Tensors of the graph are tuples, and sequences are lists.
"""

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
