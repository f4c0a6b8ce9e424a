"""Gathering, splitting, repeating and reversing: ops that pick positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from receptive_field.arrays import np
from receptive_field.axis_map import (
    ANYWHERE,
    IDENTITY,
    AxisMap,
    constant,
    periodic,
    remainder,
    sampling,
    shift,
    table,
)
from receptive_field.graph.axes import (
    FULL,
    SAME,
    Axis,
    Factor,
    Relation,
    Slot,
    Thread,
    fixed,
    follow,
    local,
    moved,
    whole,
)
from receptive_field.graph.sizes import Size, Symbolic, divides, product
from receptive_field.ops.registry import register, treat_zeros, weigh
from receptive_field.rules.elementwise import broadcast_relation
from receptive_field.rules.masks import Flags, chosen
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    first_shape,
    unknown_shape,
)

LARGEST_TABLE = 1 << 16
"""Longer lists of indices are not written out; their map is a bound."""


def _normal(call: Call, axis: int | None, rank: int) -> int | None:
    return None if axis is None else call.axis(axis, rank)


def _maps(rank: int, changed: dict[int, AxisMap | None]) -> Relation:
    """Every axis follows itself, but for those that change; None for all of it."""
    return local([changed.get(axis, IDENTITY) for axis in range(rank)])


# --- Gather --------------------------------------------------------------------------


def _gather_axis(call: Call) -> int | None:
    shape = call.shape(0)
    axis = call.integer(2) if len(call) > 2 else 0
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
    added = len(indices) - batch
    axes: list[Axis] = [follow(a) for a in range(axis)]
    axes.append(_picked(call, axis, indices[batch:], shape[axis]))
    axes += [follow(a + added - 1) for a in range(axis + 1, len(shape))]
    places = [a if a < batch else axis + a - batch for a in range(len(indices))]
    return [Relation(tuple(axes)), Relation(tuple(map(follow, places))), *rest]


def _picked(call: Call, axis: int, places: Sequence[Size], size: Size) -> Axis:
    """How the gathered axis follows the axis (or axes) of the indices."""
    values = call.integers(1)
    anywhere = whole(range(axis, axis + len(places)), ANYWHERE)
    if values is None or not values or len(values) > LARGEST_TABLE:
        return anywhere
    positions = [size + v if isinstance(v, int) and v < 0 else v for v in values]
    known = [position for position in positions if isinstance(position, int)]
    if len(known) < len(positions):
        return anywhere
    if product(places) != len(known):  # Each item of a batch has its own.
        return fixed(min(known), max(known), exact=False)
    if not places:
        return fixed(known[0], known[0])
    row = len(known) // int(places[0])  # type: ignore[arg-type]
    picked = positions_map(known, row)
    if len(places) == 1:
        return follow(axis, picked)
    factors = [Factor(n, Slot(axis + i), IDENTITY) for i, n in enumerate(places)]
    return (Thread((factors[0]._replace(size=None), *factors[1:]), picked),)


def positions_map(positions: Sequence[int], row: int = 1) -> AxisMap:
    """The map from a list of positions: an even one if rows are evenly spaced."""
    steps = np.unique(np.subtract(positions[row:], positions[:-row])).tolist()
    if len(steps) == 1:
        return periodic(steps[0], [(p, p) for p in positions[:row]])
    return table((p, p) for p in positions)


def _gather_value(call: Call) -> Sequence[Value]:
    value, indices, axis = call.value(0), call.value(1), _gather_axis(call)
    if value is None or indices is None or axis is None:
        return [None]
    if indices.dtype == object or call.number("batch_dims", 0):
        return [None]
    try:
        return [np.asarray(np.take(value, indices.astype(np.int64), axis))]
    except IndexError:
        call.fail(f"gathers positions outside of {call.name(0)}")


_GATHER = Op(_gather, _gather_shape, _gather_value)
register("Gather GatherV2", _GATHER)
register(
    "ResourceGather",
    _GATHER._replace(weights=lambda call: product(call.known_shape(0))),
)


# --- Split and unpack ----------------------------------------------------------------


def _parts(call: Call, name: str) -> int:
    """How many outputs there are."""
    count = call.number(name)
    if not 0 <= count <= LARGEST_TABLE:
        call.fail(f"has the {name} {count}")
    return count


def _split_sizes(call: Call) -> tuple[int | None, list[Size] | None]:
    """The axis, and the sizes of the pieces."""
    first = call.node.op == "Split"  # Split has its axis first, SplitV last.
    shape = call.shape(1 if first else 0)
    axis = call.integer(0 if first else 2)
    if shape is None or axis is None:
        return None, None
    axis = call.axis(axis, len(shape))
    count = _parts(call, "num_split")
    if first:
        size = divides(count, shape[axis])
        return axis, None if size is None else [size] * count
    sizes = call.integers(1)
    if sizes is None:
        return axis, None
    if sizes.count(-1) == 1:
        rest = shape[axis] - sum(size for size in sizes if size != -1)
        sizes = [rest if size == -1 else size for size in sizes]
    if len(sizes) != count or any(isinstance(s, int) and s < 0 for s in sizes):
        call.fail(f"divides {shape[axis]} positions into {count} parts as {sizes}")
    return axis, sizes


def _split_shapes(call: Call) -> Sequence[Shape]:
    axis, sizes = _split_sizes(call)
    shape = call.shape(1 if call.node.op == "Split" else 0)
    count = _parts(call, "num_split")
    if shape is None or axis is None:
        return [None] * count
    shapes: list[Shape] = []
    for number in range(count):
        size = call.unknown_size(axis, number) if sizes is None else sizes[number]
        shapes.append((*shape[:axis], size, *shape[axis + 1 :]))
    return shapes


def _split(call: Call, output: int) -> Relations:
    data = 1 if call.node.op == "Split" else 0
    shape, (axis, sizes) = call.shape(data), _split_sizes(call)
    relations: list[Relation | None] = [None] * len(call)
    if shape is None or axis is None:
        relations[data] = call.all_of(data, exact=False)
    else:
        offset = None if sizes is None else sum(sizes[:output], start=0)
        if offset is None:
            place = call.unknown_offset(axis, output)
            relations[data] = _maps(
                len(shape), {axis: IDENTITY.with_unknown_offset(place)}
            )
        else:
            begun = shift(offset) if isinstance(offset, int) else None
            begun = begun or moved(IDENTITY, offset)
            relations[data] = _maps(len(shape), {axis: begun})
    return relations


register("Split SplitV", Op(_split, _split_shapes))


def _unpack_axis(call: Call) -> int | None:
    shape = call.shape(0)
    return None if shape is None else call.axis(call.number("axis", 0), len(shape))


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
    axes = [follow(a - (a > axis)) for a in range(len(shape))]
    axes[axis] = fixed(output, output)
    return [Relation(tuple(axes))]


def _unpack_values(call: Call) -> Sequence[Value]:
    value, axis = call.value(0), _unpack_axis(call)
    count = _parts(call, "num")
    if value is None or axis is None:
        return [None] * count
    return [np.asarray(np.take(value, i, axis)) for i in range(count)]


register("Unpack", Op(_unpack, _unpack_shapes, _unpack_values))


# --- Tile and broadcast --------------------------------------------------------------


def _times(call: Call, shape: Sequence[Size] | None) -> list[Size] | None:
    """How often each axis of a tensor of this shape is repeated."""
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
    axes = []
    for axis, size in enumerate(shape):
        if times is not None and times[axis] == 1:
            axes.append(follow(axis))
        elif size == 1:
            axes.append(follow(axis, constant(0, 0)))
        elif isinstance(size, int) and size <= LARGEST_TABLE:
            axes.append(follow(axis, remainder(size)))
        else:
            axes.append(whole([axis], ANYWHERE))
    return [Relation(tuple(axes)), None]


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
        call.fail(f"broadcasts rank {len(shape)} to rank {len(whole)}")
    return [broadcast_relation(shape, whole), None]


def _broadcast_value(call: Call) -> Sequence[Value]:
    value, sizes = call.value(0), call.integers(1)
    if value is None or sizes is None or not all(isinstance(s, int) for s in sizes):
        return [None]
    shape = tuple(int(s) for s in sizes)  # type: ignore[arg-type]
    try:
        return [np.broadcast_to(value, shape)]
    except ValueError as error:
        call.fail(f"does not broadcast: {error}")


register("BroadcastTo", Op(_broadcast_to, _broadcast_shape, _broadcast_value))


# --- Reverse and roll ----------------------------------------------------------------


def _reverse(call: Call, output: int) -> Relations:
    shape, axes = call.shape(0), call.integers(1)
    if shape is None or axes is None:
        return [call.all_of(0, exact=False), None]
    flipped = {call.axis(axis, len(shape)) for axis in axes}
    changed = {axis: moved(sampling(-1, -1), shape[axis]) for axis in flipped}
    return [_maps(len(shape), dict(changed)), None]


register("ReverseV2", Op(_reverse, first_shape))


def _roll(call: Call, output: int) -> Relations:
    shape, shifts, axes = call.shape(0), call.integers(1), call.integers(2)
    if shape is None or shifts is None or axes is None:
        return [call.all_of(0, exact=False), None, None]
    if len(shifts) != len(axes):
        call.fail(f"rolls {len(axes)} axes by {len(shifts)} shifts")
    offsets: dict[int, Size] = {}
    for offset, axis in zip(shifts, axes, strict=True):
        place = call.axis(axis, len(shape))
        offsets[place] = offsets.get(place, 0) + offset
    changed = {a: _rolled(call, shape[a], offset) for a, offset in offsets.items()}
    return [_maps(len(shape), changed), None, None]


def _rolled(call: Call, size: Size, offset: Size) -> AxisMap | None:
    if not isinstance(offset, int) or isinstance(size, Fraction):
        return ANYWHERE
    if isinstance(size, Symbolic):  # Some positions see the other end.
        call.exceeds(size, abs(offset))
        return shift(-offset).beside_anything()
    if size == 0 or offset % size == 0:
        return IDENTITY
    return positions_map([(u - offset) % size for u in range(size)])


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


# --- Positions that are computed -----------------------------------------------------


def _one_hot(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    rest = [call.all_of(i) for i in range(1, len(call))]
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    added = call.axis(call.number("axis", -1), len(shape) + 1)
    axes = [follow(axis + (axis >= added)) for axis in range(len(shape))]
    return [Relation(tuple(axes)), *rest]


def _one_hot_shape(call: Call) -> Sequence[Shape]:
    shape, depth = call.shape(0), call.integer(1)
    if shape is None:
        return [None]
    added = call.axis(call.number("axis", -1), len(shape) + 1)
    size = call.unknown_size(added) if depth is None else depth
    return [(*shape[:added], size, *shape[added:])]


register("OneHot", Op(_one_hot, _one_hot_shape))


def _gather_nd(call: Call, output: int) -> Relations:
    """Slices from anywhere; what is not indexed follows itself."""
    shape, indices = call.shape(0), call.shape(1)
    batch = call.number("batch_dims", 0)
    depth = indices[-1] if indices else None
    if shape is None or indices is None or not isinstance(depth, int):
        return [call.all_of(0, exact=False), call.all_of(1)]
    picked = batch + depth
    kept = len(indices) - 1 - picked
    anywhere = whole(range(batch, len(indices) - 1), ANYWHERE)
    axes = [
        follow(axis)
        if axis < batch
        else anywhere
        if axis < picked
        else follow(axis + kept)
        for axis in range(len(shape))
    ]
    return [Relation(tuple(axes)), _by_rows(len(indices))]


def _by_rows(rank: int) -> Relation:
    """Every row of indices says where one slice goes, or comes from."""
    return Relation((*map(follow, range(rank - 1)), FULL))


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
    """What is written over is not seen any more."""
    (_, *rest), shape, kept = _updated(call, output), call.shape(0), _kept(call)
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    if kept is not None and not kept.any():
        return [None, *rest]
    return [chosen(SAME, len(shape), kept), *rest]


def _kept(call: Call) -> Flags | None:
    """Where nothing is written, if that is known."""
    shape, indices = call.shape(0), call.value(1)
    if shape is None or indices is None or not indices.ndim:
        return None
    depth = indices.shape[-1]
    sizes = [size for size in shape[:depth] if isinstance(size, int)]
    if len(sizes) < depth or math.prod(sizes) > LARGEST_TABLE:
        return None
    kept = np.ones(sizes, dtype=bool)
    try:
        kept[tuple(indices.reshape(-1, depth).T)] = False
    except IndexError:
        return None  # Depending on the device, it fails or writes nothing.
    return kept.reshape(*sizes, *[1] * (len(shape) - depth))


register("TensorScatterUpdate", Op(_overwritten, first_shape))
register(
    "TensorScatterAdd TensorScatterSub TensorScatterMax TensorScatterMin",
    Op(_updated, first_shape),
)


def _all_of_inputs(call: Call, output: int) -> Relations:
    return [call.all_of(i) for i in range(len(call))]


def _inverse_value(call: Call) -> Sequence[Value]:
    values = call.integers(0)
    if values is None or sorted(values) != list(range(len(values))):  # type: ignore[type-var]
        return [None]
    return [np.argsort(np.array(values, dtype=np.int64))]


register("InvertPermutation", Op(_all_of_inputs, first_shape, _inverse_value))
register(
    "DynamicStitch ParallelDynamicStitch DynamicPartition SegmentSum SegmentMean "
    "SegmentMax SegmentMin UnsortedSegmentSum UnsortedSegmentMax "
    "UnsortedSegmentMin",
    Op(_all_as_bound, unknown_shape),
)


# --- Matrices ------------------------------------------------------------------------


def _diagonal(call: Call, output: int) -> Relations:
    """Rows of the matrix hold the positions of the vector, in one column each."""
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False)]
    return [local([IDENTITY.as_bound()] * len(shape))]


def _diagonal_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape == ():
        call.fail("needs an input with axes")
    return [None if shape is None else (*shape, shape[-1])]


register("MatrixDiag", Op(_diagonal, _diagonal_shape))


def _band(call: Call, output: int) -> Relations:
    """Outside of the band there is nothing."""
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False), None, None]
    return [local([IDENTITY.as_bound()] * len(shape)), None, None]


register("MatrixBandPart", Op(_band, first_shape))


def _bincount_rows(call: Call, output: int) -> Relations:
    """The counts of every row."""
    rest = [call.all_of(i, exact=False) for i in range(1, len(call))]
    shape = call.shape(0)
    if shape is None or len(shape) != 2:
        return [call.all_of(0), *rest]
    return [Relation((follow(0), FULL)), *rest]


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
