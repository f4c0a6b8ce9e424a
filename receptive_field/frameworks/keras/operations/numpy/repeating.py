"""Repeated positions, grids, and numbers between two ends."""

from __future__ import annotations

from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.operations.numpy.registry import RULES, rule
from receptive_field.frameworks.keras.operations.operand import (
    along,
    as_list,
    as_tensor,
    expanded,
    flat,
    operand,
    resized,
    sizes_of,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule("Tile")
def _tile(w: Writer, x: Tensor, repeats: Any) -> Tensor:
    times = as_list(repeats)
    missing = w.rank(x) - len(times)
    x = expanded(w, x, list(range(-missing)))
    return w.op("Tile", x, [1] * missing + [int(count) for count in times])


@rule("Repeat")
def repeat(w: Writer, x: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    """Adds the tensor with each position of an axis repeated."""
    x, place = along(w, x, axis)
    counts = np.ravel(repeats)
    if len(counts) > 1:
        return w.op("GatherV2", x, np.repeat(np.arange(len(counts)), counts), place)
    times = [1] * (w.rank(x) + 1)
    (times[place + 1],) = counts.tolist()
    sizes = sizes_of(w, x)
    sizes[place] = w.op("Mul", sizes[place], times[place + 1])
    return resized(w, w.op("Tile", w.op("ExpandDims", x, place + 1), times), sizes)


@rule("Meshgrid")
def _meshgrid(w: Writer, *x: Any, indexing: str = "xy") -> list[Tensor]:
    vectors = [flat(w, as_tensor(w, part)) for part in x]
    places = list(range(len(vectors)))
    if indexing == "xy":
        places[:2] = places[:2][::-1]
    sizes = [w.size(vectors[place], 0) for place in places]
    found = []
    for place, vector in zip(places, vectors, strict=True):
        shape = [1] * len(places)
        shape[place] = -1
        wide = w.op("Reshape", vector, shape)
        found.append(w.op("BroadcastTo", wide, w.sizes(*sizes)))
    return found


def _spread(
    w: Writer,
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> list[Tensor]:
    """Adds numbers between two, along a new axis. The ends see one of the two only."""
    shape = w.op("Shape", w.op("AddV2", operand(start), operand(stop)))
    ends = [w.op("BroadcastTo", operand(end), shape) for end in (start, stop)]
    intervals = num - 1 if endpoint else num
    step = w.op("RealDiv", w.op("Sub", *ends[::-1]), float(max(intervals, 1)))
    parts = []
    for number in range(num):
        is_end = number in (0, intervals)
        parts.append(
            ends[number > 0]
            if is_end
            else w.op("AddV2", ends[0], w.op("Mul", step, float(number)))
        )
    found = w.op("Pack", *parts, axis=axis)
    return [found, step] if retstep else [found]


RULES["Linspace"] = _spread


@rule("Logspace")
def _powers(w: Writer, start: Any, stop: Any, base: Any = 10, **options: Any) -> Tensor:
    (powers,) = _spread(w, start, stop, **options)
    return w.op("Pow", operand(base), powers)


@rule("Geomspace")
def _geometric(w: Writer, start: Any, stop: Any, **options: Any) -> Tensor:
    powers = _powers(w, start, stop, **options)
    return w.op("Mul", powers, w.op("Sign", operand(start)))
