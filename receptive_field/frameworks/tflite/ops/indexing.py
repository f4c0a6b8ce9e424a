"""Rules for reshapes, joins, slices, gathers, and ops that write to positions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from receptive_field.algebra.axis_map import ANYWHERE, IDENTITY, shift
from receptive_field.algebra.sizes import Size
from receptive_field.arrays import np
from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.frameworks.tflite.ops.registry import like_tensorflow, register
from receptive_field.relations.relation import (
    Axis,
    Relation,
    follow,
    local,
    whole,
)
from receptive_field.rules.joining import joined, joined_axis, joined_shape
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    first_shape,
)
from receptive_field.rules.reshaping import filled_in, reshape_relation

like_tensorflow(
    "BATCH_TO_SPACE_ND=BatchToSpaceND BROADCAST_TO=BroadcastTo "
    "DEPTH_TO_SPACE=DepthToSpace EXPAND_DIMS=ExpandDims GATHER=GatherV2 "
    "GATHER_ND=GatherNd MATRIX_DIAG=MatrixDiag MIRROR_PAD=MirrorPad ONE_HOT=OneHot "
    "PACK=Pack PAD=Pad PADV2=PadV2 "
    "RESIZE_NEAREST_NEIGHBOR=ResizeNearestNeighbor REVERSE_V2=ReverseV2 "
    "SCATTER_ND=ScatterNd SELECT=Select SELECT_V2=SelectV2 SLICE=Slice "
    "SPACE_TO_BATCH_ND=SpaceToBatchND SPACE_TO_DEPTH=SpaceToDepth SPLIT=Split "
    "SPLIT_V=SplitV SQUEEZE=Squeeze STRIDED_SLICE=StridedSlice TILE=Tile "
    "TOPK_V2=TopKV2 TRANSPOSE=Transpose UNPACK=Unpack HASHTABLE_FIND=LookupTableFindV2 "
    "UNIQUE=Unique WHERE=Where "
    "NON_MAX_SUPPRESSION_V4=NonMaxSuppressionV4 "
    "NON_MAX_SUPPRESSION_V5=NonMaxSuppressionV5"
)

# --- Reshape and join ----------------------------------------------------------------


def _reshaped(call: Call) -> Shape:
    """Returns the shape that the second input or, without one, an option states."""
    shape = call.shape(0)
    sizes = call.integers(1) if len(call) > 1 else call.numbers("new_shape")
    if sizes is not None:
        return filled_in(call, shape, list(sizes))
    return call.unknown_shape(call.shape(1))


def _reshape(call: Call, output: int) -> Relations:
    below, above = call.shape(0), call.output_shape()
    rest = [call.all_of(number) for number in range(1, len(call))]
    if below is None or above is None:
        return [call.all_of(0, exact=False), *rest]
    return [reshape_relation(below, above), *rest]


def _reshape_value(call: Call) -> Sequence[Value]:
    value, shape = call.value(0), _reshaped(call)
    if value is None or shape is None or not all(isinstance(s, int) for s in shape):
        return [None]
    return [value.reshape(shape)]


register(
    "RESHAPE",
    OPS["Reshape"]._replace(
        relations=_reshape,
        shapes=lambda call: [_reshaped(call)],
        values=_reshape_value,
    ),
)


def _axis(call: Call) -> int | None:
    def found() -> int | None:
        shapes = [call.shape(number) for number in range(len(call))]
        return joined_axis(call, shapes, call.number("axis", 0))

    return call.once(found)


def _joined(call: Call, output: int) -> Relations:
    return joined(call, range(len(call)), _axis(call))


def _joined_shape(call: Call) -> Sequence[Shape]:
    shapes = [call.shape(number) for number in range(len(call))]
    return [joined_shape(call, shapes, _axis(call))]


def _joined_value(call: Call) -> Sequence[Value]:
    axis, values = _axis(call), [call.value(n) for n in range(len(call))]
    known = [value for value in values if value is not None]
    if axis is None or len(known) < len(values):
        return [None]
    return [np.concatenate(known, axis)]


register(
    "CONCATENATION",
    Op(_joined, _joined_shape, _joined_value, taps=Taps.COPY, zeros=Zeros.BESIDE),
)

# --- Tables of vectors ---------------------------------------------------------------


def _looked_up(call: Call, output: int) -> Relations:
    """Returns the relations to the numbers of vectors and to the table of vectors."""
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(number, exact=False) for number in range(2)]
    rank = len(shape)
    table = Relation((whole(range(rank), ANYWHERE), *_following(call, 1, rank)))
    return [Relation(tuple(map(follow, range(rank)))), table]


def _following(call: Call, number: int, rank: int) -> list[Axis]:
    """Returns axes after the first that follow those of the output after ``rank``."""
    after = len(call.known_shape(number)) - 1
    return [follow(rank + axis) for axis in range(after)]


def _looked_up_shape(call: Call) -> Sequence[Shape]:
    shape, table = call.shape(0), call.shape(1)
    return [None if shape is None or table is None else (*shape, *table[1:])]


register("EMBEDDING_LOOKUP", Op(_looked_up, _looked_up_shape))

# --- Ops that write to positions -----------------------------------------------------


def _everything(call: Call, output: int) -> Relations:
    return [call.all_of(number, exact=False) for number in range(len(call))]


def _stated_by(number: int, call: Call) -> Sequence[Shape]:
    """Returns the shape that an input contains."""
    sizes = call.integers(number)
    return [None if sizes is None else tuple(sizes)]


def _segments(call: Call) -> Sequence[Shape]:
    """Returns the shape of sums over segments, which the second input numbers."""
    shape, numbers = call.shape(0), call.shape(1)
    if shape is None or numbers is None:
        return [None]
    if len(call) > 2:
        count: Size | None = call.integer(2)
    else:
        known = call.integers(1)
        count = known[-1] + 1 if known else None  # They are sorted.
    size = call.unknown_size(0) if count is None else count
    return [(size, *shape[len(numbers) :])]


register(
    "SEGMENT_SUM UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_SUM "
    "UNSORTED_SEGMENT_PROD",
    Op(_everything, _segments),
)


def _stated(call: Call) -> Sequence[Shape]:
    """Returns the shape that the file states for the output."""
    shapes = call.attribute("stated_shapes") or [None]
    return [call.named_shape(shapes[0])]


# Where slices are taken from, and where they are written, are values.
register("STABLEHLO_GATHER", Op(_everything, _stated))
register("STABLEHLO_SCATTER", Op(_everything, first_shape))


register("SPARSE_TO_DENSE", Op(_everything, partial(_stated_by, 1)))


def _updated(call: Call, output: int) -> Relations:
    """Returns relations to a tensor, a part that is written into it, and its place.

    The place is moved until the part is inside. What it covers is not seen.
    """
    shape, part = call.known_shape(0), call.shape(1)
    starts = call.integers(2)
    kept = local([IDENTITY.as_bound()] * len(shape))
    moved = call.all_of(1, exact=False)
    if part is not None and starts is not None and len(starts) == len(shape):
        maps = []
        for start, size, own in zip(starts, shape, part, strict=True):
            if not all(isinstance(number, int) for number in (start, size, own)):
                return [kept, moved, call.all_of(2)]
            place = max(0, min(start, size - own))  # type: ignore[type-var]
            maps.append(shift(-int(place)).as_bound())  # type: ignore[arg-type]
        moved = local(maps)
    return [kept, moved, call.all_of(2)]


register("DYNAMIC_UPDATE_SLICE", Op(_updated, first_shape))


def _with_diagonal(call: Call, output: int) -> Relations:
    """Returns relations to a matrix and to the numbers that replace its diagonal."""
    shape = call.known_shape(0)
    kept = local([IDENTITY.as_bound()] * len(shape))
    diagonal = local([IDENTITY.as_bound()] * (len(shape) - 1))
    return [kept, diagonal]


register("MATRIX_SET_DIAG", Op(_with_diagonal, first_shape))


def _reversed(call: Call, output: int) -> Relations:
    """Returns relations for sequences, of which a part is reversed."""
    shape = call.known_shape(0)
    axis = call.axis(call.number("seq_dim", 0), len(shape))
    batch = call.axis(call.number("batch_dim", 0), len(shape))
    axes = [follow(a) for a in range(len(shape))]
    axes[axis] = whole([axis], ANYWHERE)
    return [Relation(tuple(axes)), Relation((follow(batch),))]


register("REVERSE_SEQUENCE", Op(_reversed, first_shape))
