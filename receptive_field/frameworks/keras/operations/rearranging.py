"""The rule of `keras.ops.rearrange`: it splits, orders and joins axes by a pattern."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Any

from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    resized,
    transposed,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


def _groups(pattern: str) -> list[list[str]]:
    """Returns the names of each axis: several in parentheses, or a single one."""
    return [re.findall(r"\w+", group) for group in re.findall(r"\w+|\(.*?\)", pattern)]


def _rearrange(w: Writer, tensor: Tensor, pattern: str, **lengths: int) -> Tensor:
    before, after = map(_groups, pattern.split("->"))
    sizes: dict[str, Any] = dict(lengths)
    for axis, names in enumerate(before):
        size = w.size(tensor, axis)
        if len(names) > 1:
            # What the given lengths leave is the length of the name without one.
            size = w.op("FloorDiv", size, prod(lengths.get(name, 1) for name in names))
            names = [name for name in names if name not in lengths]
        sizes |= dict.fromkeys(names, size)
    order = [name for names in before for name in names]
    if any(len(names) > 1 for names in before):
        tensor = resized(w, tensor, [sizes[name] for name in order])
    places = [order.index(name) for names in after for name in names]
    tensor = transposed(w, tensor, places)
    if all(len(names) == 1 for names in after):
        return tensor
    joined = [w.reduced("Mul", [sizes[name] for name in names]) for names in after]
    return resized(w, tensor, joined)


RULES: Mapping[str, Operation] = {"Rearrange": _rearrange}
