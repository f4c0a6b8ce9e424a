"""Rules for gathers, splits, tiles and rolls, and for ops that write to positions."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import IDENTITY
from receptive_field.algebra.sizes import Size, divides, product
from receptive_field.arrays import np
from receptive_field.budget import counted
from receptive_field.frameworks.tensorflow.ops.registry import (
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import (
    FULL,
    SAME,
    Relation,
    follow,
    local,
    whole,
)
from receptive_field.rules.elementwise import broadcast, broadcast_relation
from receptive_field.rules.masks import chosen
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
from receptive_field.rules.picking import (
    LARGEST_TABLE,
    by_rows,
    flipped,
    gathered,
    gathered_slices,
    item,
    not_written,
    rolled,
    split,
    split_sizes,
    tiled,
)
from receptive_field.rules.reshaping import with_axis


def _normal(call: Call, axis: int | None, rank: int) -> int | None:
    return None if axis is None else call.axis(axis, rank)


# --- Gather --------------------------------------------------------------------------


def _gather_axis(call: Call) -> int | None:
    shape = call.shape(0)
    axis = call.integer(2) if len(call) > 2 else call.number("axis", 0)
    return None if shape is None else _normal(call, axis, len(shape))


def _gather_shape(call: Call) -> Sequence[Shape]:
    shape, indices, axis = call.shape(0), call.shape(1), _gather_axis(call)
    if shape is None or indices is None or axis is None:
        return [None]
    kept = indices[call.number("batch_dims", 0) :]
    return [(*shape[:axis], *kept, *shape[axis + 1 :])]


def _gather(call: Call, output: int) -> Relations:
    shape, indices, axis = call.shape(0), call.shape(1), _gather_axis(call)
    rest = [None] * (len(call) - 2)
    if shape is None or indices is None or axis is None:
        return [call.all_of(0, exact=False), call.all_of(1, exact=False), *rest]
    batch = call.number("batch_dims", 0)
    return [*gathered(shape, indices, call.integers(1), axis, batch), *rest]


def _gather_value(call: Call) -> Sequence[Value]:
    value, indices, axis = call.value(0), call.value(1), _gather_axis(call)
    if value is None or indices is None or axis is None:
        return [None]
    if indices.dtype == object or call.number("batch_dims", 0):
        return [None]
    try:
        return [np.asarray(np.take(value, indices.astype(np.int64), axis))]
    except IndexError:
        call.fail(f"gathers positions outside {call.name(0)}")


_GATHER = Op(_gather, _gather_shape, _gather_value)
register("Gather GatherV2", _GATHER)
register(
    "ResourceGather",
    _GATHER._replace(weights=lambda call: product(call.known_shape(0))),
)


# --- Split and unpack ----------------------------------------------------------------


def _parts(call: Call, name: str) -> int:
    """Returns the number of outputs, which is stated in the attribute `name`."""
    count = call.number(name)
    if not 0 <= count <= LARGEST_TABLE:
        call.fail(f"has the {name} {count}, which is out of range")
    return len(counted(range(count)))


def _reads_axis_first(call: Call) -> bool:
    """Returns whether a split reads its axis first, because its parts are equal.

    If it reads the sizes of its parts, it reads them second, and its axis last.
    """
    return len(call) == 2


def _split_sizes(call: Call) -> tuple[int | None, list[Size] | None]:
    """Returns the axis of a split and the sizes of its parts, each None if unknown."""
    first = _reads_axis_first(call)
    shape = call.shape(1 if first else 0)
    axis = call.integer(0 if first else 2)
    if shape is None or axis is None:
        return None, None
    axis = call.axis(axis, len(shape))
    count = _parts(call, "num_split")
    if first:
        size = divides(count, shape[axis])
        if size is None and isinstance(shape[axis], int):
            call.fail(f"cannot split {shape[axis]} positions into {count} equal parts")
        return axis, None if size is None else [size] * count
    sizes = call.integers(1)
    if sizes is None:
        return axis, None
    return axis, split_sizes(call, shape[axis], sizes, count)


def _split_shapes(call: Call) -> Sequence[Shape]:
    axis, sizes = _split_sizes(call)
    shape = call.shape(1 if _reads_axis_first(call) else 0)
    count = _parts(call, "num_split")
    if shape is None or axis is None:
        return [None] * count
    if sizes is None and _reads_axis_first(call):
        sizes = [call.unknown_size(axis)] * count
    elif sizes is None:
        sizes = [call.unknown_size(axis, number) for number in range(count)]
    before, after = shape[:axis], shape[axis + 1 :]
    return [(*before, size, *after) for size in sizes]


def _split(call: Call, output: int) -> Relations:
    data = 1 if _reads_axis_first(call) else 0
    shape, (axis, sizes) = call.shape(data), _split_sizes(call)
    relations: list[Relation | None] = [None] * len(call)
    if shape is None or axis is None:
        relations[data] = call.all_of(data, exact=False)
    else:
        relations[data] = split(call, len(shape), axis, sizes, output)
    return relations


register("Split SplitV", Op(_split, _split_shapes))


def _unpack_axis(call: Call) -> int | None:
    shape, count = call.shape(0), _parts(call, "num")
    if shape is None:
        return None
    axis = call.axis(call.number("axis", 0), len(shape))
    if isinstance(shape[axis], int) and shape[axis] != count:
        call.fail(f"unpacks {count} positions of an axis of size {shape[axis]}")
    return axis


def _unpack_shapes(call: Call) -> Sequence[Shape]:
    shape, axis = call.shape(0), _unpack_axis(call)
    count = _parts(call, "num")
    if shape is None or axis is None:
        return [None] * count
    return [(*shape[:axis], *shape[axis + 1 :])] * count


def _unpack(call: Call, output: int) -> Relations:
    shape, axis = call.shape(0), _unpack_axis(call)
    if shape is None or axis is None:
        return [call.all_of(0, exact=False)]
    return [item(len(shape), axis, output)]


def _unpack_values(call: Call) -> Sequence[Value]:
    value, axis = call.value(0), _unpack_axis(call)
    count = _parts(call, "num")
    if value is None or axis is None:
        return [None] * count
    return [np.asarray(np.take(value, i, axis)) for i in range(count)]


register("Unpack", Op(_unpack, _unpack_shapes, _unpack_values))


# --- Tile and broadcast --------------------------------------------------------------


def _times(call: Call, shape: Sequence[Size] | None) -> list[Size] | None:
    """Returns how often each axis of a tensor of this shape is repeated."""
    times = call.integers(1)
    if shape is not None and times is not None and len(times) != len(shape):
        call.fail(f"has {len(times)} multiples for an input of rank {len(shape)}")
    return times


def _tile_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    times = _times(call, shape)
    if shape is None:
        return [None]
    if times is None:
        return [tuple(call.unknown_size(axis) for axis in range(len(shape)))]
    return [tuple(size * n for size, n in zip(shape, times, strict=True))]


def _tile(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    times = _times(call, shape)
    if shape is None:
        return [call.all_of(0, exact=False), None]
    return [tiled(shape, times), None]


def _tile_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    times = None if value is None else _times(call, value.shape)
    if value is None or times is None or not all(isinstance(n, int) for n in times):
        return [None]
    tiled = np.tile(value, [int(n) for n in times])  # type: ignore[arg-type]
    return [tiled if tiled.size <= LARGEST_TABLE else None]


register("Tile", Op(_tile, _tile_shape, _tile_value))


def _broadcast_shape(call: Call) -> Sequence[Shape]:
    sizes = call.integers(1)
    return [None if sizes is None else tuple(sizes)]


def _broadcast_to(call: Call, output: int) -> Relations:
    shape, whole = call.shape(0), call.output_shape()
    if shape is None or whole is None:
        return [call.all_of(0, exact=False), None]
    if len(shape) > len(whole):
        call.fail(
            f"cannot broadcast an input of rank {len(shape)} to rank {len(whole)}"
        )
    broadcast(call, shape, whole)  # Raises an error if the shapes do not fit.
    return [broadcast_relation(shape, whole), None]


def _broadcast_value(call: Call) -> Sequence[Value]:
    value, sizes = call.value(0), call.integers(1)
    if value is None or sizes is None or not all(isinstance(s, int) for s in sizes):
        return [None]
    shape = tuple(int(s) for s in sizes)  # type: ignore[arg-type]
    try:
        return [np.broadcast_to(value, shape)]
    except ValueError as error:
        call.fail(f"has inputs that do not broadcast: {error}")


register("BroadcastTo", Op(_broadcast_to, _broadcast_shape, _broadcast_value))


# --- Reverse and roll ----------------------------------------------------------------


def _reverse(call: Call, output: int) -> Relations:
    shape, axes = call.shape(0), call.integers(1)
    if shape is None or axes is None:
        return [call.all_of(0, exact=False), None]
    return [flipped(shape, [call.axis(axis, len(shape)) for axis in axes]), None]


register("ReverseV2", Op(_reverse, first_shape))


def _roll(call: Call, output: int) -> Relations:
    shape, shifts, axes = call.shape(0), call.integers(1), call.integers(2)
    if shape is None or shifts is None or axes is None:
        return [call.all_of(0, exact=False), None, None]
    if len(shifts) != len(axes):
        call.fail(f"has {len(axes)} axes to roll, but {len(shifts)} shifts")
    offsets: dict[int, Size] = {}
    for offset, axis in zip(shifts, axes, strict=True):
        place = call.axis(axis, len(shape))
        offsets[place] = offsets.get(place, 0) + offset
    return [rolled(call, shape, offsets), None, None]


register("Roll", Op(_roll, first_shape))


# --- Along one axis ------------------------------------------------------------------


def _top(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False), None]
    last = len(shape) - 1
    return [Relation((*map(follow, range(last)), whole([last]))), None]


def _top_shapes(call: Call) -> Sequence[Shape]:
    shape, count = call.shape(0), call.integer(1)
    if shape is None:
        return [None, None]
    return [(*shape[:-1], call.unknown_size(-1) if count is None else count)] * 2


register("TopKV2", Op(_top, _top_shapes))


# --- Computed positions --------------------------------------------------------------


def _one_hot(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    rest = [call.all_of(i) for i in range(1, len(call))]
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    added = call.axis(call.number("axis", -1), len(shape) + 1)
    return [with_axis(len(shape) + 1, added), *rest]


def _one_hot_shape(call: Call) -> Sequence[Shape]:
    shape, depth = call.shape(0), call.integer(1)
    if shape is None:
        return [None]
    added = call.axis(call.number("axis", -1), len(shape) + 1)
    size = call.unknown_size(added) if depth is None else depth
    return [(*shape[:added], size, *shape[added:])]


register("OneHot", Op(_one_hot, _one_hot_shape))


def _gather_nd(call: Call, output: int) -> Relations:
    """Returns relations for slices from anywhere along the indexed axes.

    Axes that are not indexed follow themselves.
    """
    shape, indices = call.shape(0), call.shape(1)
    batch = call.number("batch_dims", 0)
    depth = indices[-1] if indices else None
    if shape is None or indices is None or not isinstance(depth, int):
        return [call.all_of(0, exact=False), call.all_of(1)]
    found = gathered_slices(len(shape), len(indices), batch, depth)
    return [found, by_rows(len(indices))]


def _gather_nd_shape(call: Call) -> Sequence[Shape]:
    shape, indices = call.shape(0), call.shape(1)
    depth = indices[-1] if indices else None
    if shape is None or indices is None or not isinstance(depth, int):
        return [None]
    return [(*indices[:-1], *shape[call.number("batch_dims", 0) + depth :])]


register("GatherNd", Op(_gather_nd, _gather_nd_shape))


def _all_as_bound(call: Call, output: int) -> Relations:
    return [call.all_of(i, exact=False) for i in range(len(call))]


def _scattered_shape(call: Call) -> Sequence[Shape]:
    sizes = call.integers(2)
    return [None if sizes is None else tuple(sizes)]


register("ScatterNd", Op(_all_as_bound, _scattered_shape))


def _updated(call: Call, output: int) -> Relations:
    return [SAME, *(call.all_of(i, exact=False) for i in range(1, len(call)))]


def _overwritten(call: Call, output: int) -> Relations:
    """Returns relations in which overwritten positions are not seen."""
    (_, *rest), shape = _updated(call, output), call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    kept = not_written(shape, call.value(1))
    if kept is not None and not kept.any():
        return [None, *rest]
    return [chosen(SAME, len(shape), kept), *rest]


register("TensorScatterUpdate", Op(_overwritten, first_shape))
register(
    "TensorScatterAdd TensorScatterSub TensorScatterMax TensorScatterMin",
    Op(_updated, first_shape),
)


def _all_of_inputs(call: Call, output: int) -> Relations:
    return [call.all_of(i) for i in range(len(call))]


def _inverse_value(call: Call) -> Sequence[Value]:
    values = call.integers(0)
    if values is None or set(values) != set(range(len(values))):
        return [None]
    return [np.argsort(np.array(values, dtype=np.int64))]


register("InvertPermutation", Op(_all_of_inputs, first_shape, _inverse_value))
register(
    "DynamicStitch ParallelDynamicStitch DynamicPartition SegmentSum SegmentMean "
    "SegmentMax SegmentMin UnsortedSegmentSum UnsortedSegmentMax "
    "UnsortedSegmentMin",
    Op(_all_as_bound, None),
)


# --- Matrices ------------------------------------------------------------------------


def _diagonal(call: Call, output: int) -> Relations:
    """Returns the identity as an upper bound.

    Row i of the matrix contains position i of the vector in column i. All other columns
    of the row are zero.
    """
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False)]
    return [local([IDENTITY.as_bound()] * len(shape))]


def _diagonal_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape == ():
        call.fail("requires an input with at least one axis")
    return [None if shape is None else (*shape, shape[-1])]


register("MatrixDiag", Op(_diagonal, _diagonal_shape))


def _band(call: Call, output: int) -> Relations:
    """Returns the identity as an upper bound. Elements outside the band are zero."""
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False), None, None]
    return [local([IDENTITY.as_bound()] * len(shape)), None, None]


register("MatrixBandPart", Op(_band, first_shape))


def _bincount_rows(call: Call, output: int) -> Relations:
    """Returns relations in which each row of counts needs a whole row of the input."""
    rest = [call.all_of(i, exact=False) for i in range(1, len(call))]
    shape = call.shape(0)
    if shape is not None and len(shape) == 2:
        return [Relation((follow(0), FULL)), *rest]
    return [call.all_of(0, exact=shape is not None), *rest]


def _bincount_shape(call: Call) -> Sequence[Shape]:
    shape, count = call.shape(0), call.integer(1)
    if shape is None:
        return [None]
    return [(*shape[:-1], call.unknown_size(-1) if count is None else count)]


register("DenseBincount", Op(_bincount_rows, _bincount_shape))

weigh("Gather GatherV2 Split SplitV Unpack Tile BroadcastTo ReverseV2 Roll", Taps.COPY)
treat_zeros(
    "BroadcastTo Gather GatherV2 ReverseV2 Roll Split SplitV Tile Unpack", Zeros.KEPT
)
