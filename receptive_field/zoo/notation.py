"""Parses the notation for layers in the zoo's tables.

| written | meaning |
|---|---|
| `64 3x3/2 V` | convolution, 64 filters, height x width / stride, VALID |
| `64 3x3` | convolution, 64 filters, 3 x 3, stride 1, SAME |
| `max 3x3/2 V`, `avg 3x3` | pooling |
| `a -> b` | one after the other |
| `a | b` | branches `Branch_0`, `Branch_1`, ..., concatenated over channels |
| `(a, b)` | side by side in the same branch, concatenated over channels |
| `conv1: a` | the layer's name |
| `Mixed_5b Mixed_5c: [a | b]` | two blocks of branches, one after the other |

A row may continue on the next line before `|` and `[`.

In a branch, a layer that is written without a name gets its usual name: `Conv2d_0a_1x1`
for the first layer of a branch, `Conv2d_0b_3x3` for the second, `Conv2d_1a_3x3` for the
first layer with a stride above 1, and `MaxPool_1a_3x3` for a pooling layer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from string import ascii_lowercase
from typing import Literal, cast

from receptive_field.zoo.layers import (
    Block,
    Concatenation,
    Convolution,
    Layer,
    NamedLayer,
    Padding,
    Pool,
)

_LAYER = re.compile(r"(?:(\w+): )?(\w+) (\d+)x(\d+)(?:/(\d+))?( V)?")
_CONTINUED = re.compile(r"\s+(?=[|\[])")
_KINDS = {"max": "MaxPool", "avg": "AvgPool"}


def rows(table: str) -> tuple[NamedLayer, ...]:
    """Returns the layers of a table with one named row per line."""
    lines = _CONTINUED.sub(" ", table).strip().splitlines()
    return tuple(layer for line in lines for layer in _row(line.strip()))


def branches(text: str) -> Concatenation:
    """Returns the concatenation of the branches ``a | b | c``."""
    return Concatenation(
        tuple(
            Block(f"Branch_{index}", tuple(_branch(branch)))
            for index, branch in enumerate(text.split(" | "))
        )
    )


def _row(line: str) -> Iterator[NamedLayer]:
    names, _, definition = line.partition(": ")
    if definition.startswith("["):
        parts = branches(definition.strip("[]"))
        yield from (Block(name, (parts,)) for name in names.split())
    else:
        yield _layer(line, Counter())


def _branch(text: str) -> Iterator[Layer]:
    used: Counter[int] = Counter()
    for step in text.split(" -> "):
        parts = tuple(_layer(part, used) for part in step.strip("()").split(", "))
        yield parts[0] if len(parts) == 1 else Concatenation(parts)


def _layer(text: str, used: Counter[int]) -> Convolution | Pool:
    """Returns one layer.

    `used` counts the earlier layers with stride 1 (key 0) and with larger strides (key
    1).
    """
    parsed = _LAYER.fullmatch(text)
    if parsed is None:
        raise ValueError(f"not a layer in the notation of the zoo: {text!r}")
    name, what, height, width, strided, valid = parsed.groups()
    kernel, stride = (int(height), int(width)), int(strided or 1)
    padding: Padding = "VALID" if valid else "SAME"
    group = int(stride > 1)
    position = f"{group}{ascii_lowercase[used[group]]}"
    used[group] += 1
    name = name or f"{_KINDS.get(what, 'Conv2d')}_{position}_{height}x{width}"
    if what in _KINDS:
        kind = cast('Literal["max", "avg"]', what)
        return Pool(name, kind, kernel, stride, padding)
    return Convolution(name, int(what), kernel, stride, padding)
