"""Functions that change the order of the axes, or of the positions on an axis."""

from __future__ import annotations

from functools import partial
from typing import Any

from receptive_field.frameworks.keras.operations.numpy.registry import RULES, rule
from receptive_field.frameworks.keras.operations.operand import (
    as_list,
    axes_of,
    flat,
    moved,
    resized,
    sizes_of,
    transposed,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule("Transpose")
def _transpose(w: Writer, x: Tensor, axes: Any = None) -> Tensor:
    rank = w.rank(x)
    return transposed(w, x, axes_of(w, x, axes) if axes else list(range(rank))[::-1])


@rule("Moveaxis")
def _moveaxis(w: Writer, x: Tensor, source: Any, destination: Any) -> Tensor:
    return moved(w, x, as_list(source), as_list(destination))


@rule("Swapaxes")
def _swapaxes(w: Writer, x: Tensor, axis1: int, axis2: int) -> Tensor:
    order, (one, two) = list(range(w.rank(x))), axes_of(w, x, [axis1, axis2])
    order[one], order[two] = two, one
    return transposed(w, x, order)


@rule("Flip")
def _flip(w: Writer, x: Tensor, axis: Any = None) -> Tensor:
    return w.op("ReverseV2", x, axes_of(w, x, axis))


RULES |= {"Flipud": partial(_flip, axis=0), "Fliplr": partial(_flip, axis=1)}


@rule("Rot90")
def _rotated(w: Writer, array: Tensor, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    """Adds quarter turns.

    Before and after the second of two turns, Keras reshapes an image as if the first
    had not turned it.
    """
    one, two = axes_of(w, array, list(axes))
    sizes = sizes_of(w, array)
    others = [size for axis, size in enumerate(sizes) if axis not in (one, two)]
    for _ in range(k % 4):
        array = _swapaxes(w, _flip(w, array, two), one, two)
        if k % 4 == 2:
            last = moved(w, array, [one, two], [-2, -1])
            last = resized(w, last, [*others, sizes[one], sizes[two]])
            array = moved(w, last, [-2, -1], [one, two])
    return array


@rule("Roll")
def _roll(w: Writer, x: Tensor, shift: Any, axis: Any = None) -> Tensor:
    if axis is None:
        rolled = w.op("Roll", flat(w, x), as_list(shift), [0])
        return w.op("Reshape", rolled, w.op("Shape", x))
    axes = axes_of(w, x, axis)
    shifts = as_list(shift) * (len(axes) if not isinstance(shift, list) else 1)
    return w.op("Roll", x, shifts, axes)
