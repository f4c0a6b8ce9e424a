"""Rules for reductions, products, softmax and normalisations over positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import GLOBAL
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.onnx.attributes import opset
from receptive_field.frameworks.onnx.ops.registry import (
    count,
    is_given,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import (
    ALL,
    FULL,
    SAME,
    Relation,
    follow,
    ranked,
    through,
    whole,
)
from receptive_field.rules.elementwise import broadcast_axes, broadcast_relation
from receptive_field.rules.flops import (
    elements,
    multiply_adds,
    per_input,
    reduction,
)
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Zeros,
    first_shape,
)
from receptive_field.rules.reductions import reduced, reduced_shape, reducing

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


REDUCTION = reducing(_axes, _keeps)
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
    register(f"Reduce{_name}", reducing(_axes, _keeps, _function))
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
    return [_over(rank, over)]


def _over(rank: int, over: Sequence[int]) -> Relation:
    """Returns the relation of an op that mixes all positions of some axes."""
    axes = [whole(over, GLOBAL) if a in over else follow(a) for a in range(rank)]
    return Relation(tuple(axes))


register("Softmax LogSoftmax Hardmax", Op(_softmax, first_shape))
count("Softmax LogSoftmax", per_input(5, profiled=False))


def _biased_softmax(call: Call, output: int) -> Relations:
    """Relates softmax to its input, and to numbers that are added before."""
    shape, added = call.shape(0), call.shape(1)
    if shape is None or added is None:
        return [call.all_of(number, exact=False) for number in range(2)]
    rank = len(shape)
    over = range(call.axis(call.number("axis", 1), rank), rank)
    below = Relation(
        tuple(
            whole(over) if axis in over and size != 1 else relation
            for axis, (size, relation) in enumerate(
                zip(added, broadcast_axes(added, shape), strict=True),
                rank - len(added),
            )
        )
    )
    return [_over(rank, over), below]


register("com.microsoft.BiasSoftmax", Op(_biased_softmax, first_shape))


# --- Losses --------------------------------------------------------------------------


def _loss(call: Call, output: int) -> Relations:
    """Relates a loss to the scores of all classes, the labels, and class weights."""
    shape = call.shape(0)
    rest = [ALL] * (len(call) - 2)
    if shape is None:
        return [call.all_of(0, exact=False), call.all_of(1, exact=False), *rest]
    rank = len(shape)
    if output:  # The logarithms of all probabilities.
        return [_over(rank, [1]), *[None] * (len(call) - 1)]
    if call.text("reduction", "mean") != "none":
        return [call.all_of(0), call.all_of(1), *rest]
    places = [follow(axis) for axis in range(rank - 1)]
    scores = Relation((places[0], FULL, *places[1:]))
    return [scores, Relation(tuple(places)), *rest]


def _loss_shapes(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if call.text("reduction", "mean") != "none":
        return [(), shape]
    return [None if shape is None else (shape[0], *shape[2:]), shape]


register("NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss", Op(_loss, _loss_shapes))


# --- Normalisations ------------------------------------------------------------------


def _normalised(axes_of: Callable[[Call, int], Sequence[int]], added: int = 0) -> Op:
    """Returns the rules of an op that normalises its input over some axes.

    Args:
      axes_of: returns the axes, given the rank of the input.
      added: how many inputs after the first one are added to it before. The last output
        is then the sum.
    """

    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(0)
        if shape is None:
            return [call.all_of(number, exact=False) for number in range(len(call))]
        rank, rest = len(shape), [ALL] * (len(call) - 1 - added)
        over = axes_of(call, rank)
        is_sum = bool(added) and output == _SUM
        if is_sum:
            data = SAME
        elif output:  # The mean, and the inverse of the deviation.
            data = reduced(rank, over, keeps=True)
        else:
            axes = (whole([a]) if a in over else follow(a) for a in range(rank))
            data = Relation(tuple(axes))
        found: list[Relation] = [data]
        for number in range(1, 1 + added):
            below = call.shape(number)
            broadcast = broadcast_relation(below, shape)
            composed = through(ranked(data, rank), broadcast)
            found.append(call.all_of(number) if composed is None else composed)
        if output and not is_sum:
            return [*found, *[None] * len(rest)]
        return [*found, *rest]

    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.shape(0)
        if shape is None:
            return [None] * (3 + bool(added))
        moments = reduced_shape(shape, axes_of(call, len(shape)), True)
        return [shape, moments, moments, *[shape] * bool(added)]

    def flops(call: Call) -> Flops:
        return Flops((6 + added) * elements(call), elements(call))

    return Op(relations, shapes, flops=flops)


_SUM = 3
"""The number of the output that holds the sum of the inputs before a normalisation."""


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


def _last(call: Call, rank: int) -> Sequence[int]:
    return [rank - 1]


register("InstanceNormalization", _normalised(_spatial))
register("GroupNormalization com.microsoft.GroupNorm", _normalised(_grouped))
register(
    "LayerNormalization RMSNormalization SimplifiedLayerNormalization",
    _normalised(_from_axis),
)
register("MeanVarianceNormalization", _normalised(_stated_axes))
register("LpNormalization", _normalised(_one_axis))
register(
    "com.microsoft.SkipLayerNormalization "
    "com.microsoft.SkipSimplifiedLayerNormalization",
    _normalised(_last, added=1),
)
register("com.microsoft.BranchwiseRMSNorm", _normalised(_last))


def _gated(call: Call, output: int) -> Relations:
    """Relates normalised channels, times a gate of the same shape."""
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    return [_over(len(shape), [len(shape) - 1]), ALL, SAME]


register("com.microsoft.GatedRMSNorm", Op(_gated, first_shape))


def _embedded(call: Call, output: int) -> Relations:
    """Relates embeddings to the words, their segments and their places."""
    found: list[Relation | None] = [call.all_of(i) for i in range(len(call))]
    for number in (0, 1, 8):
        shape = call.shape(number) if is_given(call, number) else None
        if shape is not None and len(shape) == 2:
            words = call.known_shape(0, 2)
            found[number] = Relation(broadcast_axes(shape, words))
    if output == 1:
        found = [None] * len(call)
        if is_given(call, 7):
            found[7] = Relation((follow(0), FULL))
    elif len(call) > 7:
        found[7] = None
    return found


def _embedded_shapes(call: Call) -> Sequence[Shape]:
    batch, length = call.known_shape(0, 2)
    result = (batch, length, call.known_shape(2, 2)[1])
    return [result, (batch,), result]


register("com.microsoft.EmbedLayerNormalization", Op(_embedded, _embedded_shapes))
