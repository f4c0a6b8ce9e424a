"""The rules of `keras.ops.core`: types, slices and updates."""

from __future__ import annotations

from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    as_tensor,
    axes_of,
    operand,
    pointwise,
    ruled,
    stated_sizes,
    unary,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.graph.graph import Tensor
from receptive_field.rules.op import Op


def _cast(w: Writer, x: Tensor, dtype: Any = None) -> Tensor:
    return w.op("Cast", x, DstT=w.dtype(dtype))


def _saturated(w: Writer, x: Tensor, dtype: Any = None) -> Tensor:
    return pointwise("SaturateCast")(w, x)


def _converted(w: Writer, x: Tensor, dtype: Any = None, **kinds: Any) -> Tensor:
    return x if dtype is None else _cast(w, x, dtype)


def _unstack(w: Writer, x: Tensor, num: int | None = None, axis: int = 0) -> Any:
    place = axes_of(w, x, axis)[0]
    count = w.shape(x)[place] if num is None else num
    if not isinstance(count, int):
        raise NoRuleError("the number of parts is unknown")
    index, _ = w.op("Unpack", x, num=count, axis=place)
    return [(index, number) for number in range(count)]


def _slice(w: Writer, inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    return w.op("Slice", inputs, _starts(w, start_indices), stated_sizes(shape))


def _starts(w: Writer, starts: Any) -> Any:
    """Returns numbers, or a tensor of them if one of them is a tensor."""
    if isinstance(starts, list) and any(isinstance(part, tuple) for part in starts):
        return w.sizes(*starts)
    return starts


def _slice_update(w: Writer, inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """Adds a choice between the input and an update that is padded to its size.

    Like TensorFlow, it moves an update that would end outside of the input.
    """
    x, update = as_tensor(w, inputs), as_tensor(w, updates)
    whole = [size for size in w.shape(x) if isinstance(size, int)]
    part = [size for size in w.shape(update) if isinstance(size, int)]
    starts = _starts(w, start_indices)
    if isinstance(starts, tuple) or not len(whole) == len(part) == w.rank(x):
        return ruled(w, "SliceUpdate", OPS["TensorScatterAdd"], x, starts, update)
    pairs, places = [], []
    for size, length, start in zip(whole, part, np.ravel(starts).tolist(), strict=True):
        before = min(max(start, 0), size - length)
        pairs.append([before, size - length - before])
        places.append(slice(before, before + length))
    mask = np.zeros(whole, bool)
    mask[tuple(places)] = True
    return w.op("SelectV2", mask, w.op("Pad", update, pairs), x)


def _scatter(w: Writer, indices: Any, values: Any, shape: Any) -> Tensor:
    return w.op("ScatterNd", indices, operand(values), stated_sizes(shape))


_UPDATES = {
    None: "TensorScatterUpdate",
    "add": "TensorScatterAdd",
    "max": "TensorScatterMax",
    "min": "TensorScatterMin",
}


def _scatter_update(
    w: Writer, inputs: Any, indices: Any, updates: Any, reduction: str | None = None
) -> Tensor:
    parts = operand(inputs), indices, operand(updates)
    if reduction == "mul":
        op: Op = OPS["TensorScatterAdd"]
        return ruled(w, "TensorScatterMul", op, *parts)
    return w.op(_UPDATES[reduction], *parts)


RULES: dict[str, Operation] = {
    "Cast": _cast,
    "ConvertToTensor": _converted,
    "SaturateCast": _saturated,
    "Scatter": _scatter,
    "ScatterUpdate": _scatter_update,
    "Slice": _slice,
    "SliceUpdate": _slice_update,
    "StopGradient": unary("StopGradient"),
    "Unstack": _unstack,
}
