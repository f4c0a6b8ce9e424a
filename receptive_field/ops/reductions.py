"""Ops that look along whole axes: reductions, matrix products, softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from receptive_field.graph.axes import FULL, Relation, follow
from receptive_field.ops.registry import (
    Call,
    Op,
    Relations,
    Shape,
    Value,
    first_shape,
    register,
)


def _reduced_axes(call: Call) -> list[int] | None:
    shape, axes = call.shape(0), call.integers(1)
    if shape is None or axes is None:
        return None
    if any(not -len(shape) <= axis < len(shape) for axis in axes):  # type: ignore[operator]
        call.fail(f"reduces axes {axes} of an input of rank {len(shape)}")
    return [int(axis) % len(shape) for axis in axes]  # type: ignore[arg-type]


def _keeps(call: Call) -> bool:
    return bool(call.attribute("keep_dims") or call.attribute("keepdims"))


def _reduce(call: Call, output: int) -> Relations:
    shape, gone = call.shape(0), _reduced_axes(call)
    if shape is None or gone is None:
        return [call.all_of(0, exact=False), None]
    axes, position = [], 0
    for axis in range(len(shape)):
        axes.append(FULL if axis in gone else follow(position))
        position += axis not in gone or _keeps(call)
    return [Relation(tuple(axes)), *[None] * (len(call) - 1)]


def _reduce_shape(call: Call) -> Sequence[Shape]:
    shape, gone = call.shape(0), _reduced_axes(call)
    if shape is None or gone is None:
        return [None]
    kept = [1 if a in gone else s for a, s in enumerate(shape)]
    if not _keeps(call):
        kept = [s for a, s in enumerate(shape) if a not in gone]
    return [tuple(kept)]


def _reduce_value(function: Callable[..., Any]) -> Callable[[Call], Sequence[Value]]:
    def values(call: Call) -> Sequence[Value]:
        value, gone = call.value(0), _reduced_axes(call)
        if value is None or gone is None or not value.size:
            return [None]
        return [np.asarray(function(value, axis=tuple(gone), keepdims=_keeps(call)))]

    return values


REDUCTION = Op(_reduce, _reduce_shape)
register("Mean EuclideanNorm", REDUCTION)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Sum": np.sum,
    "Prod": np.prod,
    "Max": np.max,
    "Min": np.min,
    "All": np.all,
    "Any": np.any,
}
for _name, _function in _FUNCTIONS.items():
    register(_name, REDUCTION._replace(values=_reduce_value(_function)))
register("ArgMax ArgMin", REDUCTION)


def _product(call: Call, output: int) -> Relations:
    """Rows follow, what is summed over is needed whole."""
    left = call.shape(0)
    rows = 1 if call.attribute("transpose_a") or call.attribute("adj_x") else 0
    rank = 2 if left is None else len(left)
    batch = list(range(rank - 2))
    first = [follow(axis) for axis in batch]
    matrix = [FULL, FULL]
    matrix[rows] = follow(rank - 2)
    columns = 0 if call.attribute("transpose_b") or call.attribute("adj_y") else 1
    other = [FULL, FULL]
    other[columns] = follow(rank - 1)
    right_rank = len(call.shape(1) or ()) or 2
    second = [follow(rank - right_rank + axis) for axis in range(right_rank - 2)]
    extra = [call.all_of(i) for i in range(2, len(call))]
    return [Relation((*first, *matrix)), Relation((*second, *other)), *extra]


def _product_shape(call: Call) -> Sequence[Shape]:
    left, right = call.shape(0), call.shape(1)
    if left is None or right is None:
        return [None]
    if min(len(left), len(right)) < 2:
        call.fail(f"multiplies shapes {left} and {right}; each needs two axes")
    rows = left[-1 if call.attribute("transpose_a") or call.attribute("adj_x") else -2]
    swapped = call.attribute("transpose_b") or call.attribute("adj_y")
    return [(*left[:-2], rows, right[-2 if swapped else -1])]


register("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3", Op(_product, _product_shape))


def _along_last(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False)]
    return [Relation((*map(follow, range(len(shape) - 1)), FULL))]


register("Softmax LogSoftmax", Op(_along_last, first_shape))


def _l2_loss(call: Call, output: int) -> Relations:
    return [call.all_of(0)]


register("L2Loss", Op(_l2_loss, lambda call: [()]))
