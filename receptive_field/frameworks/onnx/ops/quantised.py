"""Rules for quantised ops. Scales and zero points are parameters of each op."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import quotient
from receptive_field.frameworks.onnx.ops.registry import (
    count,
    register,
    weigh,
)
from receptive_field.relations.relation import (
    ALL,
    SAME,
    Axis,
    Relation,
    follow,
    whole,
)
from receptive_field.rules.elementwise import (
    FIRST,
    broadcast,
    broadcast_relation,
)
from receptive_field.rules.flops import per_output
from receptive_field.rules.joining import joined, joined_axis, joined_shape
from receptive_field.rules.masks import chosen
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    first_shape,
)
from receptive_field.rules.reductions import reduced, reduced_shape

# --- Between numbers and their quantised forms ---------------------------------------


def _quantised(call: Call, output: int) -> Relations:
    """Relates each position to itself, and to the scale and zero point of its block."""
    shape = call.shape(0)
    return [SAME, *(_parameter(call, i, shape) for i in range(1, len(call)))]


def _parameter(call: Call, number: int, data: Shape) -> Relation:
    """Returns the relation to a scale: one for all, for each channel, or each block."""
    shape = call.shape(number)
    if shape is None or data is None:
        return call.all_of(number, exact=False)
    if all(size == 1 for size in shape):
        return ALL
    axis = call.axis(call.number("axis", 1), len(data))
    if len(shape) == 1:
        return Relation((follow(axis),))
    block = call.number("block_size", 0)
    if len(shape) != len(data) or block < 1:
        return call.all_of(number, exact=False)
    axes = [follow(place) for place in range(len(shape))]
    axes[axis] = follow(axis, quotient(block))
    return Relation(tuple(axes))


register(
    "QuantizeLinear DequantizeLinear com.microsoft.QuantizeLinear "
    "com.microsoft.DequantizeLinear",
    FIRST._replace(relations=_quantised),
)


def _ranged(call: Call, output: int) -> Relations:
    """Relates numbers that are quantised by the range of all of them."""
    shape = call.shape(0)
    if shape is None or output:
        return [call.all_of(0)]
    return [Relation(tuple(whole([axis]) for axis in range(len(shape))))]


register("DynamicQuantizeLinear", Op(_ranged, lambda call: [call.shape(0), (), ()]))


# --- Elementwise ---------------------------------------------------------------------


def _binary(call: Call, output: int) -> Relations:
    """Relates a result to two operands, which broadcast against each other."""
    found: list[Relation | None] = [call.all_of(i) for i in range(len(call))]
    (shape,) = _binary_shape(call)
    for number in (0, 3):
        found[number] = broadcast_relation(call.shape(number), shape)
    return found


def _binary_shape(call: Call) -> Sequence[Shape]:
    return [broadcast(call, call.shape(0), call.shape(3))]


register(
    "com.microsoft.QLinearAdd com.microsoft.QLinearMul",
    Op(_binary, _binary_shape, taps=Taps.FACTOR, is_pointwise=True),
)
count("com.microsoft.QLinearAdd com.microsoft.QLinearMul", per_output(profiled=False))
register("com.microsoft.QLinearLeakyRelu com.microsoft.QLinearSigmoid", FIRST)
weigh("com.microsoft.QLinearLeakyRelu com.microsoft.QLinearSigmoid", Taps.ACTIVATION)


def _where(call: Call, output: int) -> Relations:
    """Relates a result to two tensors, between which a condition chooses."""
    found: list[Relation | None] = [call.all_of(i) for i in range(len(call))]
    (shape,) = _where_shape(call)
    for number in (0, 1, 4):
        found[number] = broadcast_relation(call.shape(number), shape)
    if call.varies(call.input(0)) or call.is_alike(1, 4):
        return found
    one, two, value = found[1], found[4], call.value(0)
    assert one is not None
    assert two is not None
    if shape is None:
        return [call.all_of(i, exact=False) for i in range(len(call))]
    masks = (None, None)
    if value is not None:
        value = value.astype(bool)
        value = value.reshape((1,) * (len(shape) - value.ndim) + value.shape)
        found[0] = None
        masks = (value, ~value)
    for number, side, mask in zip((1, 4), (one, two), masks, strict=True):
        is_read = mask is None or mask.any()
        found[number] = chosen(side, len(shape), mask) if is_read else None
    return found


def _where_shape(call: Call) -> Sequence[Shape]:
    return [broadcast(call, *(call.shape(number) for number in (0, 1, 4)))]


register(
    "com.microsoft.QLinearWhere",
    Op(_where, _where_shape, chooses=True, taps=Taps.CHOICE),
)


# --- Joins ---------------------------------------------------------------------------


def _parts(call: Call) -> Sequence[int]:
    """Returns the numbers of the inputs that are joined: each has a scale and a zero
    point behind it."""
    return range(2, len(call), 3)


def _concat_axis(call: Call) -> int | None:
    shapes = [call.shape(number) for number in _parts(call)]
    return joined_axis(call, shapes, call.number("axis"))


def _concat(call: Call, output: int) -> Relations:
    found: list[Relation | None] = [call.all_of(i) for i in range(len(call))]
    parts = _parts(call)
    for number, relation in zip(
        parts, joined(call, parts, _concat_axis(call)), strict=True
    ):
        found[number] = relation
    return found


def _concat_shape(call: Call) -> Sequence[Shape]:
    shapes = [call.shape(number) for number in _parts(call)]
    return [joined_shape(call, shapes, _concat_axis(call))]


register("com.microsoft.QLinearConcat", Op(_concat, _concat_shape, taps=Taps.COPY))


# --- Along axes ----------------------------------------------------------------------


def _along_axes(
    axes_of: Callable[[Call, int], Sequence[int]], keeps: bool | None
) -> Op:
    """Returns the rules of a mean along some axes.

    ``keeps`` says whether these axes stay with size one; None if an attribute says so.
    """

    def kept(call: Call) -> bool:
        return bool(call.number("keepdims", 1)) if keeps is None else keeps

    def relations(call: Call, output: int) -> Relations:
        rest = [call.all_of(i) for i in range(1, len(call))]
        shape = call.shape(0)
        if shape is None:
            return [call.all_of(0, exact=False), *rest]
        return [reduced(len(shape), axes_of(call, len(shape)), kept(call)), *rest]

    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.shape(0)
        if shape is None:
            return [None]
        return [reduced_shape(shape, axes_of(call, len(shape)), kept(call))]

    return Op(relations, shapes, taps=Taps.MEAN)


def _places(call: Call, rank: int) -> Sequence[int]:
    return range(1, rank - 1) if call.number("channels_last", 0) else range(2, rank)


def _global_layout(call: Call) -> tuple[int, Sequence[int]]:
    return 0, _places(call, len(call.known_shape(0)))


register(
    "com.microsoft.QLinearGlobalAveragePool",
    _along_axes(_places, keeps=True)._replace(layout=_global_layout),
)


def _stated(call: Call, rank: int) -> Sequence[int]:
    return [call.axis(axis, rank) for axis in call.numbers("axes") or range(rank)]


register("com.microsoft.QLinearReduceMean", _along_axes(_stated, keeps=None))


def _softmax(call: Call, output: int) -> Relations:
    rest = [call.all_of(i) for i in range(1, len(call))]
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    rank, is_old = len(shape), call.number("opset", 13) < 13
    first = call.axis(call.number("axis", -1), rank)
    over = range(first, rank) if is_old else [first]
    axes: list[Axis] = [
        whole(over) if axis in over else follow(axis) for axis in range(rank)
    ]
    return [Relation(tuple(axes)), *rest]


register("com.microsoft.QLinearSoftmax", Op(_softmax, first_shape))
