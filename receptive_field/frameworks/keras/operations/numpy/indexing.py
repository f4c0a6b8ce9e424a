"""Slices and indices."""

from __future__ import annotations

from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.operations.numpy.registry import rule
from receptive_field.frameworks.keras.operations.operand import (
    along,
    as_tensor,
    item,
    moved,
    sizes_of,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule("GetItem")
def _get_item(w: Writer, x: Tensor, key: Any) -> Tensor:
    return item(w, x, key)


def _indices(w: Writer, x: Tensor, indices: Any, axis: int) -> Any:
    """Returns indices, with those that count from the end counted from the start."""
    if not isinstance(indices, tuple):
        indices = np.asarray(indices)
        if not (indices < 0).any():
            return indices.astype(np.int64)
    shifted = w.op("AddV2", indices, w.size(x, axis))
    return w.op("SelectV2", w.op("Less", indices, 0), shifted, indices)


@rule("Take")
def _take(w: Writer, x: Any, indices: Any, axis: int | None = None) -> Tensor:
    x, place = along(w, as_tensor(w, x), axis)
    return w.op("GatherV2", x, _indices(w, x, indices, place), place)


@rule("TakeAlongAxis")
def _take_along_axis(
    w: Writer, x: Any, indices: Any, axis: int | None = None
) -> Tensor:
    x, place = along(w, as_tensor(w, x), axis)
    index = as_tensor(w, _indices(w, x, indices, place))
    pair = []
    for one, other in ((x, index), (index, x)):
        sizes = [
            mine if number == place else w.op("Maximum", mine, theirs)
            for number, (mine, theirs) in enumerate(
                zip(sizes_of(w, one), sizes_of(w, other), strict=True)
            )
        ]
        spread = w.op("BroadcastTo", one, w.sizes(*sizes))
        pair.append(moved(w, spread, [place], [-1]))
    last = w.rank(x) - 1
    return moved(w, w.op("GatherV2", *pair, last, batch_dims=last), [-1], [place])
