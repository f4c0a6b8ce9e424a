"""Rules for normalisations.

A normalisation needs all positions over which it takes the mean and the variance. Batch
normalisation uses stored moments, unless the program has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import AxisMap, convolution, quotient
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.torch.ops.operands import related, shape_of
from receptive_field.frameworks.torch.ops.registry import (
    count,
    place,
    register,
    size,
    sizes,
    treat_zeros,
)
from receptive_field.relations.relation import (
    SAME,
    Relation,
    follow,
    through,
    whole,
)
from receptive_field.rules.elementwise import (
    broadcast,
    broadcast_relation,
    normalised_by_batch,
)
from receptive_field.rules.flops import elements
from receptive_field.rules.op import Call, Flops, Op, Relations, Shape, Taps, Zeros
from receptive_field.rules.reductions import reduced, reduced_shape

# --- Batch normalisation -------------------------------------------------------------


def _has_moments(call: Call) -> bool:
    return place(call, "running_mean") is not None


def _trains(call: Call) -> bool:
    """Returns whether a node normalises by the moments of the batch."""
    if call.node.op == "_batch_norm_with_update":
        return True
    if call.node.op in (
        "_native_batch_norm_legit_no_training",
        "_batch_norm_no_update",
    ):
        return False
    return call.flag("training") or not _has_moments(call)


def _uses_batch(call: Call) -> bool:
    return _trains(call) and _has_moments(call) and not call.trains_batch_norm


def _batch_normalised(call: Call, output: int) -> Relations:
    if output:  # The moments of the batch, or what is stored of them.
        return [call.all_of(number) for number in range(len(call))]
    data = SAME
    if _trains(call) and (call.trains_batch_norm or not _has_moments(call)):
        data = normalised_by_batch(len(call.known_shape(0)), 1)
    return related(call, {"input": data})


def _batch_normalised_shapes(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    channels: Shape = None if shape is None or len(shape) < 2 else (shape[1],)
    saved = channels if _trains(call) else (0,)
    return [shape, saved, saved, channels, channels]


def _batch_normalised_flops(call: Call) -> Flops:
    number = elements(call)
    return Flops((6 if _trains(call) else 2) * number, number)


register(
    "batch_norm _batch_norm_no_update _batch_norm_with_update "
    "_batch_norm_with_update_functional _native_batch_norm_legit "
    "_native_batch_norm_legit_functional _native_batch_norm_legit_no_training "
    "cudnn_batch_norm miopen_batch_norm native_batch_norm",
    Op(
        _batch_normalised,
        _batch_normalised_shapes,
        taps=Taps.COPY,
        shapes_by_first=True,
        uses_batch=_uses_batch,
    ),
)
count(
    "batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training",
    _batch_normalised_flops,
)
treat_zeros(
    "batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional "
    "_native_batch_norm_legit_no_training native_batch_norm",
    Zeros.FILLED,
)

# --- Normalisation over axes of the input --------------------------------------------

Maps = Callable[[Call, Sequence[Size]], "dict[int, AxisMap | None]"]
"""Returns the axes over which a call normalises an input of this shape.

Each axis comes with the map to the positions that a position sees; None for all."""


def _normalised(
    maps: Maps, moments: Callable[[Call], Sequence[Shape]], keeps: bool = True
) -> Op:
    """Returns the rules of an op that normalises its input over some axes.

    Args:
      maps: see `Maps`.
      moments: returns the shapes of further outputs, which hold moments.
      keeps: whether the moments keep the axes, with size one.
    """

    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(0)
        if shape is None:
            return [call.all_of(number, exact=False) for number in range(len(call))]
        over = maps(call, shape)
        if output:
            data = reduced(len(shape), list(over), keeps=keeps)
            return related(call, {"input": data}, rest=None)
        axes = []
        for axis in range(len(shape)):
            seen = over.get(axis)
            if axis not in over:
                axes.append(follow(axis))
            else:
                axes.append(whole([axis]) if seen is None else follow(axis, seen))
        return related(call, {"input": Relation(tuple(axes))})

    def shapes(call: Call) -> Sequence[Shape]:
        return [call.shape(0), *moments(call)]

    def flops(call: Call) -> Flops:
        return Flops(6 * elements(call), elements(call))

    return Op(relations, shapes, flops=flops, zeros=Zeros.FILLED)


def _no_moments(call: Call) -> Sequence[Shape]:
    return []


def _places(call: Call, shape: Sequence[Size]) -> dict[int, AxisMap | None]:
    """Returns the axes after the channels, unless stored moments are used."""
    if not call.flag("use_input_stats"):
        return {}
    return dict.fromkeys(range(2, len(shape)))


register("instance_norm", _normalised(_places, _no_moments))


def _grouped(call: Call, shape: Sequence[Size]) -> dict[int, AxisMap | None]:
    """Returns all axes but the batch. A channel sees the channels of its group.

    The moments have an axis of groups, which no axis of the input follows.
    """
    over: dict[int, AxisMap | None] = dict.fromkeys(range(1, len(shape)))
    name = "num_groups" if call.node.op == "group_norm" else "group"
    groups, channels = call.number(name), shape[1] if len(shape) > 1 else None
    if isinstance(channels, int):
        if groups < 1 or channels % groups:
            call.fail(f"has {channels} channels for {groups} groups")
        if groups > 1:
            width = channels // groups
            blocks = convolution(width, width, 0)
            over[1] = quotient(width).then(blocks)
    return over


def _group_moments(call: Call) -> Sequence[Shape]:
    batch = size(call, "N")
    both = (call.unknown_size(0) if batch is None else batch, call.number("group"))
    return [both, both]


register("group_norm", _normalised(_grouped, _no_moments))
register("native_group_norm", _normalised(_grouped, _group_moments, keeps=False))


def _last(call: Call, shape: Sequence[Size]) -> dict[int, AxisMap | None]:
    """Returns the last axes, as many as the shape has over which the op normalises."""
    rank, stated = len(shape), sizes(call, "normalized_shape") or []
    if len(stated) > rank:
        call.fail(f"normalises over {len(stated)} axes, but its input has {rank}")
    return dict.fromkeys(range(rank - len(stated), rank))


def _kept_moments(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None, None]
    return [reduced_shape(shape, list(_last(call, shape)), True)] * 2


def _kept_moment(call: Call) -> Sequence[Shape]:
    return _kept_moments(call)[:1]


register("layer_norm", _normalised(_last, _no_moments))
register("rms_norm", _normalised(_last, _no_moments)._replace(zeros=Zeros.KEPT))
register("native_layer_norm", _normalised(_last, _kept_moments))
register("_fused_rms_norm", _normalised(_last, _kept_moment)._replace(zeros=Zeros.KEPT))

# --- Similarities and distances along an axis ----------------------------------------


def _names(call: Call) -> tuple[str, ...]:
    if call.node.op == "triplet_margin_loss":
        return "anchor", "positive", "negative"
    return ("x1", "x2") if call.attribute("x1") is not None else ("self", "other")


def _is_mean(call: Call) -> bool:
    """Returns whether a loss is one number for all vectors."""
    is_loss = call.node.op == "triplet_margin_loss"
    return is_loss and call.number("reduction", 1) != 0


def _compared(call: Call, output: int) -> Relations:
    """Relates the similarity of vectors to all of them, which broadcast."""
    if _is_mean(call):
        return [call.all_of(number) for number in range(len(call))]
    names = _names(call)
    shapes = [shape_of(call, name) for name in names]
    shape = broadcast(call, *shapes)
    if shape is None:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    axis, keeps = _compared_axis(call, len(shape))
    vectors = reduced(len(shape), [axis], keeps)
    found = {
        name: through(vectors, broadcast_relation(below, shape))
        for name, below in zip(names, shapes, strict=True)
    }
    return related(call, found)


def _compared_axis(call: Call, rank: int) -> tuple[int, bool]:
    """Returns the axis of the vectors, and whether the result keeps it."""
    if call.node.op == "cosine_similarity":
        return call.axis(call.number("dim", 1), rank), False
    return call.axis(-1, rank), call.flag("keepdim")


def _compared_shape(call: Call) -> Sequence[Shape]:
    if _is_mean(call):
        return [()]
    shape = broadcast(call, *[shape_of(call, name) for name in _names(call)])
    if shape is None:
        return [None]
    axis, keeps = _compared_axis(call, len(shape))
    return [reduced_shape(shape, [axis], keeps)]


register(
    "cosine_similarity pairwise_distance triplet_margin_loss",
    Op(_compared, _compared_shape),
)

# --- Weights that are normalised -----------------------------------------------------


def _weights(call: Call, output: int) -> Relations:
    return [call.all_of(number) for number in range(len(call))]


def _weights_shapes(call: Call) -> Sequence[Shape]:
    return [shape_of(call, "v"), shape_of(call, "g")]


register("_weight_norm _weight_norm_interface", Op(_weights, _weights_shapes))
