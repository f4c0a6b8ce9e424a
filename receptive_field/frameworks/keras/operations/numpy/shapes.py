"""Functions that change the shape."""

from __future__ import annotations

from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.numpy.reductions import merging
from receptive_field.frameworks.keras.operations.numpy.registry import rule
from receptive_field.frameworks.keras.operations.numpy.repeating import repeat
from receptive_field.frameworks.keras.operations.operand import (
    as_list,
    axes_of,
    expanded,
    flat,
    resized,
    ruled,
    sizes_of,
    stated_sizes,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule("Reshape")
def _reshape(w: Writer, x: Tensor, newshape: Any) -> Tensor:
    return resized(w, x, stated_sizes(newshape))


@rule("Ravel")
def _ravel(w: Writer, x: Tensor) -> Tensor:
    return flat(w, x)


@rule("ExpandDims")
def _expand_dims(w: Writer, x: Tensor, axis: Any) -> Tensor:
    return expanded(w, x, as_list(axis))


@rule("Squeeze")
def _squeeze(w: Writer, x: Tensor, axis: Any = None) -> Tensor:
    axes = [] if axis is None else axes_of(w, x, axis)
    return w.op("Squeeze", x, squeeze_dims=axes)


@rule("View")
def _view(w: Writer, x: Tensor, dtype: Any = None) -> Tensor:
    if x not in w.dtypes:
        raise NoRuleError("the type of its input is unknown")
    old, new = (_bytes(name) for name in (w.dtypes[x], dtype or w.dtypes[x]))
    if old >= new:
        return repeat(w, w.op("Bitcast", x), old // new, -1)
    sizes = sizes_of(w, x)
    sizes[-1] = w.op("FloorDiv", sizes[-1], new // old)
    parts = resized(w, x, [*sizes, new // old])
    return ruled(w, "Bitcast", merging(1), parts)


def _bytes(dtype: str) -> int:
    return (
        1 if dtype == "bool" else 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    )
