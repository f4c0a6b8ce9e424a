"""Ops that pick positions: gathers, splits, repeats, flips, rolls and scatters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    IDENTITY,
    INFINITY,
    LONGEST_WRITTEN,
    AxisMap,
    Tabulated,
    constant,
    periodic,
    remainder,
    sampling,
    shift,
    table,
)
from receptive_field.algebra.sizes import Size, Symbolic, product
from receptive_field.arrays import np
from receptive_field.budget import COPIES_A_STEP, spend
from receptive_field.relations.relation import (
    FULL,
    SAME,
    Axis,
    Factor,
    Relation,
    Slot,
    Thread,
    fixed,
    follow,
    followed_axes,
    local,
    moved,
    whole,
)
from receptive_field.relations.relation import part as part_of
from receptive_field.rules.masks import Flags, chosen, piece_of
from receptive_field.rules.op import Call, Value

LARGEST_TABLE = 1 << 16
"""The longest list of positions that is stored as a table.

For longer lists, the map is an upper bound."""


def _maps(rank: int, changed: Mapping[int, AxisMap]) -> Relation:
    """Returns a relation that changes some axes and lets all others follow themselves.

    A changed axis follows its map.
    """
    return local([changed.get(axis, IDENTITY) for axis in range(rank)])


# --- Gather --------------------------------------------------------------------------


def gathered(
    shape: Sequence[Size],
    indices: Sequence[Size],
    values: Sequence[Size] | None,
    axis: int,
    batch: int,
) -> tuple[Relation, Relation]:
    """Returns the relations of a gather to the tensor and to the indices.

    Args:
      shape: the shape of the tensor that is read.
      indices: the shape of the indices.
      values: the indices as a flat list; None if they are unknown.
      axis: the axis along which positions are taken.
      batch: the number of leading axes that the tensor and the indices share.
    """
    added = len(indices) - batch
    axes: list[Axis] = [follow(a) for a in range(axis)]
    axes.append(_picked(values, axis, indices[batch:], shape[axis]))
    axes += [follow(a + added - 1) for a in range(axis + 1, len(shape))]
    places = [a if a < batch else axis + a - batch for a in range(len(indices))]
    return Relation(tuple(axes)), Relation(tuple(map(follow, places)))


def _picked(
    values: Sequence[Size] | None, axis: int, places: Sequence[Size], size: Size
) -> Axis:
    """Returns how the gathered axis follows the output axes that replace it."""
    anywhere = whole(range(axis, axis + len(places)), ANYWHERE)
    if values is None or not values or len(values) > LARGEST_TABLE:
        return anywhere
    positions = [size + v if isinstance(v, int) and v < 0 else v for v in values]
    known = [position for position in positions if isinstance(position, int)]
    if len(known) < len(positions):
        return anywhere
    if product(places) != len(known):  # Each item of the batch has its own indices.
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
    """Returns the map from each index of a list to the position at that index.

    The list consists of rows of ``row`` positions. If every row is the previous row
    plus the same constant, the map is periodic. Otherwise, it is a table.
    """
    pairs = zip(positions[row:], positions, strict=False)
    steps = {after - before for after, before in pairs}
    if len(steps) == 1:
        return periodic(steps.pop(), [(p, p) for p in positions[:row]])
    return table((p, p) for p in positions)


def picked_lines(values: Any, size: Size) -> AxisMap | None:
    """Returns the map from each position u to the positions ``values[u]``.

    Negative positions count from the end of an axis of this size. The map is an upper
    bound if ``values[u]`` has different positions. Returns None if it is not known.
    """
    found = counted_from_start(values, size)
    if found is None or not found.size or len(found) > LARGEST_TABLE:
        return None
    rows = found.reshape(len(found), -1)
    first, last = rows.min(axis=1).tolist(), rows.max(axis=1).tolist()
    if first == last:
        return positions_map(first)
    return table(zip(first, last, strict=True), exact=False)


def counted_from_start(values: Any, size: Size) -> Any | None:
    """Returns positions, negative ones of which count from the end of an axis.

    Returns None if there are negative positions and the size is unknown, or if the
    positions themselves are unknown sizes.
    """
    if values.dtype.kind not in "iu":
        return None
    if not (values < 0).any():
        return values
    return (
        np.where(values < 0, values + size, values) if isinstance(size, int) else None
    )


def written_lines(positions: Sequence[int], size: Size, all_count: bool) -> AxisMap:
    """Returns the map from each position to the places at which a list names it.

    Positions that the list does not name see nothing. If the list names a position
    several times, the map is an upper bound unless ``all_count``, because only one of
    the places counts.
    """
    length = size if isinstance(size, int) else max(positions, default=-1) + 1
    windows: list[tuple[int, int] | None] = [None] * length
    certain, gap = True, 1.0
    for place, position in enumerate(positions):
        if not 0 <= position < length:
            continue
        window = windows[position]
        if window is not None:
            certain, gap = all_count, INFINITY if window[1] + 1 < place else gap
        windows[position] = (window[0] if window else place, place)
    return AxisMap((Tabulated(0, tuple(windows), 1 if gap == 1 else gap, certain),))


def axes_of_grid(indices: Any) -> list[int | None] | None:
    """Returns along which axis of its leading axes each component of indices varies.

    The components are on the last axis. A component that does not vary has None.
    Returns None if a component varies along several axes.
    """
    found: list[int | None] = []
    for number in range(indices.shape[-1]):
        part = indices[..., number]
        varying = [a for a in range(part.ndim) if (part != part.take([0], a)).any()]
        if len(varying) > 1:
            return None
        found.append(varying[0] if varying else None)
    return found


def _component(indices: Any, number: int, axis: int | None) -> Any:
    """Returns a component of indices along the only axis on which it varies."""
    part = indices[..., number]
    if axis is None:
        return part.reshape(-1)[:1]
    return np.moveaxis(part, axis, 0).reshape(part.shape[axis], -1)[:, 0]


def gathered_points(shape: Sequence[Size], indices: Any) -> Relation | None:
    """Returns the relation to a tensor that is sliced at known positions.

    ``indices`` has a row for each slice, on its last axis. Returns None if no rule is
    known for these positions.
    """
    if not indices.size or indices.dtype.kind not in "iu":
        return None
    kept, depth = indices.ndim - 1, indices.shape[-1]
    along = axes_of_grid(indices)
    if along is None:
        return None
    axes: list[Axis] = []
    for number, axis in enumerate(along):
        picked = picked_lines(_component(indices, number, axis), shape[number])
        if picked is None:
            return None
        if axis is None:
            first, last = picked.window(0) or (0, 0)
            axes.append(fixed(first, last))
        else:
            axes.append(follow(axis, picked))
    axes += [follow(a - depth + kept) for a in range(depth, len(shape))]
    return Relation(tuple(axes))


def written_points(
    shape: Sequence[Size], indices: Value, rank: int, depth: int, all_count: bool
) -> Relation:
    """Returns the relation of a tensor to slices of this rank that are written into it.

    Args:
      shape: the shape of the tensor that is written to.
      indices: the positions of the slices, on the last axis; None if unknown.
      rank: the rank of the slices, together with the axes that count them.
      depth: the number of indexed axes.
      all_count: whether all slices that are written to one position count.
    """
    kept = rank - (len(shape) - depth)
    rest = [follow(a - kept + depth) for a in range(kept, rank)]
    unknown = [whole(range(depth), ANYWHERE)] * kept
    along = None
    if indices is not None and indices.size and indices.dtype.kind in "iu":
        along = axes_of_grid(indices)
    if indices is None or along is None:
        return _within(Relation((*unknown, *rest)), range(depth))
    found: list[Axis | None] = [None] * kept
    left = []
    for number, axis in enumerate(along):
        if axis is None:  # Any axis of size one can stand for it.
            free = (a for a in range(kept) if indices.shape[a] == 1 and not found[a])
            axis = next(free, None)
        positions = None
        if axis is not None and found[axis] is None:
            part = _component(indices, number, axis)
            positions = counted_from_start(part, shape[number])
        if positions is None or axis is None:
            left.append(number)
        else:
            lines = written_lines(positions.tolist(), shape[number], all_count)
            found[axis] = follow(number, lines)
    axes = [
        axis
        if axis is not None
        else fixed(0, 0)
        if indices.shape[place] == 1
        else fixed(0, indices.shape[place] - 1, exact=all_count)
        for place, axis in enumerate(found)
    ]
    return _within(Relation((*axes, *rest)), left)


def _within(relation: Relation, axes: Iterable[int]) -> Relation:
    """Marks a relation that holds only at some positions of axes above."""
    for axis in axes:
        relation = part_of(relation, axis)
    return relation


def gathered_slices(rank: int, indices: int, batch: int, depth: int) -> Relation:
    """Returns the relation to a tensor that is sliced at unknown positions.

    Axes that are not indexed follow themselves.

    Args:
      rank: the rank of the tensor.
      indices: the rank of the indices, whose last axis holds the position of a slice.
      batch: the number of leading axes that the tensor and the indices share.
      depth: the number of indexed axes.
    """
    picked = batch + depth
    kept = indices - 1 - picked
    anywhere = whole(range(batch, indices - 1), ANYWHERE)
    axes = [
        follow(axis)
        if axis < batch
        else anywhere
        if axis < picked
        else follow(axis + kept)
        for axis in range(rank)
    ]
    return Relation(tuple(axes))


def by_rows(rank: int) -> Relation:
    """Returns the relation to an index tensor, each row of which locates one slice."""
    return Relation((*map(follow, range(rank - 1)), FULL))


# --- Parts ---------------------------------------------------------------------------


def split_sizes(
    call: Call, size: Size, sizes: Sequence[Size], count: int
) -> list[Size]:
    """Returns the sizes of the parts that an axis is split into.

    One of ``sizes`` may be -1, which means all remaining positions.

    Raises:
      GraphError: if there are not ``count`` sizes, one of them is negative, or their
        sum is known to differ from ``size``.
    """
    found = list(sizes)
    if found.count(-1) == 1:
        rest = size - sum(size for size in found if size != -1)
        found = [rest if size == -1 else size for size in found]
    total, negative = sum(found), any(isinstance(s, int) and s < 0 for s in found)
    known = isinstance(size, int) and isinstance(total, int)
    if len(found) != count or negative or (known and total != size):
        call.fail(f"cannot split {size} positions into {count} parts of sizes {found}")
    return found


def split(
    call: Call, rank: int, axis: int, sizes: Sequence[Size] | None, output: int
) -> Relation:
    """Returns the relation of one part to the tensor that is split along an axis.

    ``output`` is the number of the part. The sizes of the parts may be unknown (None).
    """
    if sizes is None:
        place = call.unknown_offset(axis, output)
        return _maps(rank, {axis: IDENTITY.with_unknown_offset(place)})
    offset = sum(sizes[:output], start=0)
    begun = shift(offset) if isinstance(offset, int) else moved(IDENTITY, offset)
    return _maps(rank, {axis: begun})


def item(rank: int, axis: int, number: int) -> Relation:
    """Returns the relation to a tensor from which one position of an axis is taken."""
    axes = [follow(a - (a > axis)) for a in range(rank)]
    axes[axis] = fixed(number, number)
    return Relation(tuple(axes))


# --- Tile, reverse and roll ----------------------------------------------------------


def tiled(shape: Sequence[Size], times: Sequence[Size] | None) -> Relation:
    """Returns the relation to a tensor that is repeated along its axes."""
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
    return Relation(tuple(axes))


def flipped(shape: Sequence[Size], axes: Sequence[int]) -> Relation:
    """Returns the relation to a tensor that is flipped along some axes."""
    changed = {axis: moved(sampling(-1, -1), shape[axis]) for axis in axes}
    return _maps(len(shape), changed)


def rolled(call: Call, shape: Sequence[Size], offsets: Mapping[int, Size]) -> Relation:
    """Returns the relation to a tensor that is rolled.

    ``offsets`` gives the distance for each rolled axis.
    """
    changed = {a: _rolled(call, shape[a], offset) for a, offset in offsets.items()}
    return _maps(len(shape), changed)


def _rolled(call: Call, size: Size, offset: Size) -> AxisMap:
    if not isinstance(offset, int) or isinstance(size, Fraction):
        return ANYWHERE
    if isinstance(size, Symbolic):  # A few positions see the other end.
        call.exceeds(size, abs(offset))
        return shift(-offset).beside_anything()
    if size == 0 or offset % size == 0:
        return IDENTITY
    if size > LONGEST_WRITTEN:
        nearest = (offset + size // 2) % size - size // 2
        return shift(-nearest).beside_anything()
    spend(size // COPIES_A_STEP)
    return positions_map([(u - offset) % size for u in range(size)])


# --- Writing -------------------------------------------------------------------------


def not_written(shape: Sequence[Size], indices: Value) -> Flags | None:
    """Returns a mask of the positions where no slice is written, or None if unknown.

    The mask has size one on each axis that is not indexed.
    """
    if indices is None or not indices.ndim:
        return None
    depth = indices.shape[-1]
    sizes = [size for size in shape[:depth] if isinstance(size, int)]
    if len(sizes) < depth or math.prod(sizes) > LARGEST_TABLE:
        return None
    kept = np.ones(sizes, dtype=bool)
    try:
        kept[tuple(indices.reshape(-1, depth).T)] = False
    except IndexError:
        return None  # Depending on the device, the op fails or writes nothing.
    return kept.reshape(*sizes, *[1] * (len(shape) - depth))


def overwritten(
    call: Call,
    shape: Sequence[Size],
    axis: int,
    places: range | None,
    written: Relation,
    numbers: tuple[int, int],
) -> tuple[Relation | None, Relation | None]:
    """Returns the relations to a tensor, and to what is written at places of an axis.

    Args:
      call: the op.
      shape: the shape of the tensor.
      axis: the axis.
      places: where something is written; None if that is unknown.
      written: the relation to what is written, which holds at these places only.
      numbers: the numbers of the two inputs.
    """
    rank, length = len(shape), shape[axis]
    padded = axis in set().union(*map(followed_axes, written.axes))
    if not call.carries(numbers[0]) and padded:
        # Elsewhere, it is followed to places that it does not have.
        return chosen(SAME, rank, None), written
    if places is None or not isinstance(length, int) or length > LARGEST_TABLE:
        return chosen(SAME, rank, None), part_of(written, axis)
    flags = np.zeros(length, dtype=bool)
    flags[list(places)] = True
    if flags.all() or not flags.any():
        return (None, written) if flags.all() else (SAME, None)
    if all(map(call.carries, numbers)):
        return (
            piece_of(SAME, rank, axis, ~flags),
            piece_of(written, rank, axis, flags),
        )
    along = flags.reshape([length if a == axis else 1 for a in range(rank)])
    return chosen(SAME, rank, ~along), part_of(written, axis)


def picked_along(
    shape: Sequence[Size], indices: Sequence[Size], value: Value, axis: int
) -> Relation:
    """Returns the relation to a tensor whose positions are picked along one axis.

    Along the other axes, the output has the positions of the indices, which may be
    fewer than those of the tensor.

    Args:
      shape: the shape of the tensor.
      indices: the shape of the indices, which is that of the output.
      value: the indices; None if they are unknown.
      axis: the axis.
    """
    axes = [beside(shape, indices, a) for a in range(len(shape))]
    lines = None
    if value is not None:
        lines = picked_lines(np.moveaxis(value, axis, 0), shape[axis])
    axes[axis] = whole([axis], ANYWHERE) if lines is None else follow(axis, lines)
    return Relation(tuple(axes))


def beside(shape: Sequence[Size], above: Sequence[Size], axis: int) -> Axis:
    """Returns an axis that follows itself, which may be longer below than above."""
    same = shape[axis] == above[axis]
    return follow(axis, IDENTITY if same else sampling(0, 1))


def written_along(
    call: Call,
    shape: Sequence[Size],
    indices: Sequence[Size],
    value: Value,
    axis: int,
    combines: bool,
) -> tuple[Relation | None, Relation, Relation]:
    """Returns the relations of an op that writes to places of one axis.

    They are those to the tensor that is written to, to the indices, and to what is
    written, which has the shape of the indices, or a larger one.

    Args:
      call: the op.
      shape: the shape of the tensor.
      indices: the shape of the indices.
      value: the indices; None if they are unknown.
      axis: the axis.
      combines: whether all that is written to a place is combined with what was there.

    Raises:
      GraphError: if the tensor does not have one of the places.
    """
    axes = [beside(indices, shape, a) for a in range(len(shape))]
    axes[axis] = whole([axis], ANYWHERE)
    everywhere = Relation(tuple(axes))
    written = part_of(everywhere, axis)
    kept = None
    sizes = [size for size in shape if isinstance(size, int)]
    known = len(sizes) == len(shape) and math.prod(sizes) <= LARGEST_TABLE
    if value is not None and value.dtype.kind in "iu" and known:
        kept = np.ones(sizes, dtype=bool)
        rows = np.where(value < 0, value + sizes[axis], value)
        others = [n for a, n in enumerate(value.shape) if a != axis]
        within = [slice(n) for n in others]
        within.insert(axis, slice(None))
        try:
            np.put_along_axis(kept[tuple(within)], rows, False, axis)
        except IndexError:
            call.fail(f"writes to positions that axis {axis} does not have")
        lines = np.moveaxis(rows, axis, 0).reshape(rows.shape[axis], -1)
        if lines.size and (lines == lines[:, :1]).all():
            place = written_lines(lines[:, 0].tolist(), sizes[axis], combines)
            axes[axis] = follow(axis, place)
            written = Relation(tuple(axes))
    data: Relation | None = SAME
    if not combines:
        data = chosen(SAME, len(shape), kept)
        if kept is not None and not kept.any():
            data = None
    return data, everywhere, written


def picked_grid(
    shape: Sequence[Size],
    components: Mapping[int, Value],
    rank: int,
    place: int,
) -> Relation:
    """Returns the relation to a tensor that is indexed along some of its axes.

    Args:
      shape: the shape of the tensor.
      components: the indices along each indexed axis; None if they are unknown. They
        broadcast against each other.
      rank: the rank of the indices after that.
      place: the first axis of the output that counts the indices. The axes that are
        not indexed lie around them, in order.
    """
    axes: list[Axis] = []
    rest = 0
    for axis, size in enumerate(shape):
        if axis not in components:
            axes.append(follow(rest if rest < place else rest + rank))
            rest += 1
            continue
        picked = None
        value = components[axis]
        if value is not None:
            picked = _picked_component(value, size, place + rank)
        anywhere = whole(range(place, place + rank), ANYWHERE)
        axes.append(anywhere if picked is None else picked)
    return Relation(tuple(axes))


def _picked_component(value: Any, size: Size, end: int) -> Axis | None:
    """Returns how an axis follows the axes along which its indices vary.

    Args:
      value: the indices.
      size: the size of the axis.
      end: the axis of the output after the last axis of the indices.
    """
    found = counted_from_start(value, size)
    if found is None or not found.size or found.size > LARGEST_TABLE:
        return None
    varying = [a for a in range(found.ndim) if (found != found.take([0], a)).any()]
    index = tuple(slice(None) if a in varying else 0 for a in range(found.ndim))
    places = found[index]
    if not varying:
        return fixed(int(places), int(places))
    axes = [end - found.ndim + a for a in varying]
    flat = places.ravel().tolist()
    if len(axes) == 1:
        return follow(axes[0], positions_map(flat))
    picked = positions_map(flat, places.shape[-1])
    factors = [
        Factor(n, Slot(a), IDENTITY) for n, a in zip(places.shape, axes, strict=True)
    ]
    return (Thread((factors[0]._replace(size=None), *factors[1:]), picked),)
