"""Functions that join, split and pad tensors."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.numpy.registry import RULES, rule
from receptive_field.frameworks.keras.operations.operand import (
    along,
    as_list,
    as_tensor,
    axes_of,
    expanded,
    operand,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule("Split")
def _split(
    w: Writer, x: Tensor, indices_or_sections: Any, axis: int = 0
) -> list[Tensor]:
    place = axes_of(w, x, axis)[0]
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        index, _ = w.op("Split", place, x, num_split=count)
    else:
        limits = [int(limit) for limit in indices_or_sections]
        sizes = [end - start for start, end in itertools.pairwise([0, *limits])]
        count = len(limits) + 1
        rest = w.op("Sub", w.size(x, place), limits[-1])
        index, _ = w.op("SplitV", x, w.sizes(*sizes, rest), place, num_split=count)
    return [(index, number) for number in range(count)]


RULES |= {"Vsplit": partial(_split, axis=0), "Dsplit": partial(_split, axis=2)}


@rule("Hsplit")
def _hsplit(w: Writer, x: Tensor, indices_or_sections: Any) -> list[Tensor]:
    return _split(w, x, indices_or_sections, min(w.rank(x) - 1, 1))


@rule("ArraySplit")
def _array_split(
    w: Writer, x: Tensor, indices_or_sections: int, axis: int = 0
) -> list[Tensor]:
    """Adds parts whose sizes differ by one at most, the larger ones first."""
    place, count = axes_of(w, x, axis)[0], indices_or_sections
    size = w.size(x, place)
    sizes = [
        w.op("FloorDiv", w.op("AddV2", size, count - 1 - number), count)
        for number in range(count)
    ]
    index, _ = w.op("SplitV", x, w.sizes(*sizes), place, num_split=count)
    return [(index, number) for number in range(count)]


@rule("Concatenate")
def _concatenate(w: Writer, xs: Any, axis: int = 0) -> Tensor:
    return w.op("ConcatV2", *map(operand, as_list(xs)), axis)


@rule("Append")
def _append(w: Writer, x1: Any, x2: Any, axis: int | None = None) -> Tensor:
    parts = [along(w, as_tensor(w, x), axis) for x in (x1, x2)]
    return w.op("ConcatV2", *(x for x, _ in parts), parts[0][1])


@rule("Stack")
def _stack(w: Writer, xs: Any, axis: int = 0) -> Tensor:
    return w.op("Pack", *map(operand, as_list(xs)), axis=axis)


RULES["Vstack"] = partial(_concatenate, axis=0)


@rule("Hstack")
def _hstack(w: Writer, xs: Any) -> Tensor:
    first = as_tensor(w, as_list(xs)[0])
    return _concatenate(w, xs, min(w.rank(first) - 1, 1))


@rule("Dstack")
def _dstack(w: Writer, xs: Any) -> Tensor:
    parts = []
    for x in map(partial(as_tensor, w), as_list(xs)):
        new = {0: [0, 1, 2], 1: [0, 2], 2: [2]}.get(w.rank(x), [])
        parts.append(expanded(w, x, new))
    return w.op("ConcatV2", *parts, 2)


@rule("Pad")
def _pad(
    w: Writer,
    x: Tensor,
    pad_width: Any,
    mode: str = "constant",
    constant_values: Any = None,
) -> Tensor:
    pairs = np.broadcast_to(pad_width, (w.rank(x), 2)).tolist()
    if mode in ("reflect", "symmetric"):
        return w.op("MirrorPad", x, pairs, mode=mode.upper())
    if mode != "constant":
        raise NoRuleError(f"the mode {mode!r}")
    if constant_values is None:
        return w.op("Pad", x, pairs)
    return w.op("PadV2", x, pairs, operand(constant_values))
