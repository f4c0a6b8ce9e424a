"""Rules for reductions, products, softmax and normalisations over positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import GLOBAL
from receptive_field.algebra.sizes import Size
from receptive_field.arrays import np
from receptive_field.frameworks.onnx.attributes import opset
from receptive_field.frameworks.onnx.ops.registry import (
    count,
    is_given,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import Relation, follow, whole
from receptive_field.rules.flops import (
    elements,
    multiply_adds,
    reduction,
)
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    first_shape,
)
from receptive_field.rules.reductions import reduced, reduced_shape

# --- Reductions ----------------------------------------------------------------------


def _axes(call: Call) -> list[int] | None:
    """Returns the reduced axes: an attribute, or the second input since set 13 or 18.

    Without axes, all axes are reduced, or none if noop_with_empty_axes says so.
    """
    shape = call.shape(0)
    if shape is None:
        return None
    stated: Sequence[Size] | None = call.numbers("axes")
    if stated is None and is_given(call, 1):
        stated = call.integers(1)
        if stated is None:
            return None
    if not stated:
        empty = call.number("noop_with_empty_axes", 0)
        return [] if empty else list(range(len(shape)))
    return [call.axis(axis, len(shape)) for axis in stated]


def _keeps(call: Call) -> bool:
    return bool(call.number("keepdims", 1))


def _reduce(call: Call, output: int) -> Relations:
    shape, gone = call.shape(0), _axes(call)
    rest = [None] * (len(call) - 1)
    if shape is None or gone is None:
        return [call.all_of(0, exact=False), *rest]
    return [reduced(len(shape), gone, _keeps(call)), *rest]


def _reduce_shape(call: Call) -> Sequence[Shape]:
    shape, gone = call.shape(0), _axes(call)
    if shape is None or gone is None:
        return [None]
    return [reduced_shape(shape, gone, _keeps(call))]


def _reduce_value(function: str) -> Callable[[Call], Sequence[Value]]:
    def values(call: Call) -> Sequence[Value]:
        value, gone = call.value(0), _axes(call)
        if value is None or gone is None or not value.size:
            return [None]
        reduce = getattr(np, function)
        return [np.asarray(reduce(value, axis=tuple(gone), keepdims=_keeps(call)))]

    return values


REDUCTION = Op(_reduce, _reduce_shape)
register(
    "ReduceMean ReduceSum ReduceProd ReduceMax ReduceMin ReduceL1 ReduceL2 "
    "ReduceLogSum ReduceLogSumExp ReduceSumSquare",
    REDUCTION,
)
for _name, _function in (
    ("Sum", "sum"),
    ("Prod", "prod"),
    ("Max", "max"),
    ("Min", "min"),
):
    register(f"Reduce{_name}", REDUCTION._replace(values=_reduce_value(_function)))
weigh("ReduceMean", Taps.MEAN)
weigh("ReduceSum", Taps.SUM)
weigh("ReduceMax ReduceMin", Taps.WINNER)
treat_zeros("ReduceMean ReduceSum ReduceMax ReduceMin", Zeros.KEPT)
count("ReduceMean", reduction(last=1, profiled=False))
count("ReduceSum ReduceProd ReduceMax ReduceMin", reduction(profiled=False))
count("ReduceL2 ReduceSumSquare", lambda call: multiply_adds(elements(call), False))


def _place(call: Call) -> list[int] | None:
    shape = call.shape(0)
    return None if shape is None else [call.axis(call.number("axis", 0), len(shape))]


def _place_relation(call: Call, output: int) -> Relations:
    gone = _place(call)
    if gone is None:
        return [call.all_of(0, exact=False)]
    return [reduced(len(call.known_shape(0)), gone, _keeps(call))]


def _place_shape(call: Call) -> Sequence[Shape]:
    shape, gone = call.shape(0), _place(call)
    if shape is None or gone is None:
        return [None]
    return [reduced_shape(shape, gone, _keeps(call))]


register("ArgMax ArgMin", Op(_place_relation, _place_shape))
count("ArgMax ArgMin", reduction(profiled=False))


# --- Softmax -------------------------------------------------------------------------


def _softmax(call: Call, output: int) -> Relations:
    """Relates softmax to its input. Before set 13, it ran over all axes from one on."""
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False)]
    rank, old = len(shape), opset(call) < 13
    first = call.axis(call.number("axis", 1 if old else -1), rank) if rank else 0
    over = range(first, rank) if old else range(first, min(first + 1, rank))
    axes = [whole(over, GLOBAL) if a in over else follow(a) for a in range(rank)]
    return [Relation(tuple(axes))]


register("Softmax LogSoftmax Hardmax", Op(_softmax, first_shape))


# --- Normalisations ------------------------------------------------------------------


def _normalised(axes_of: Callable[[Call, int], Sequence[int]]) -> Op:
    """Returns the rules of an op that normalises its input over some axes."""

    def relations(call: Call, output: int) -> Relations:
        rest = [call.all_of(i) for i in range(1, len(call))]
        shape = call.shape(0)
        if shape is None:
            return [call.all_of(0, exact=False), *rest]
        over = axes_of(call, len(shape))
        if output:  # The mean, and the inverse of the deviation.
            return [reduced(len(shape), over, keeps=True), *[None] * len(rest)]
        axes = (whole([a]) if a in over else follow(a) for a in range(len(shape)))
        return [Relation(tuple(axes)), *rest]

    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.shape(0)
        if shape is None:
            return [None] * 3
        return [shape, *[reduced_shape(shape, axes_of(call, len(shape)), True)] * 2]

    def flops(call: Call) -> Flops:
        return Flops(6 * elements(call), elements(call))

    return Op(relations, shapes, flops=flops)


def _spatial(call: Call, rank: int) -> Sequence[int]:
    return range(2, rank)


def _grouped(call: Call, rank: int) -> Sequence[int]:
    return range(1, rank)  # A group of channels counts as all of them.


def _from_axis(call: Call, rank: int) -> Sequence[int]:
    return range(call.axis(call.number("axis", -1), rank), rank)


def _stated_axes(call: Call, rank: int) -> Sequence[int]:
    return [call.axis(axis, rank) for axis in call.numbers("axes") or [0, 2, 3]]


def _one_axis(call: Call, rank: int) -> Sequence[int]:
    return [call.axis(call.number("axis", -1), rank)]


register("InstanceNormalization", _normalised(_spatial))
register("GroupNormalization", _normalised(_grouped))
register("LayerNormalization RMSNormalization", _normalised(_from_axis))
register("MeanVarianceNormalization", _normalised(_stated_axes))
register("LpNormalization", _normalised(_one_axis))
