"""Relations through joined tensors, whose parts often come from one tensor.

If an op joins several parts into a tensor J (Concat, Pack), each part determines only
some positions of an axis of J. Further down, the parts often come from one tensor B:
the steps of a sequence that was cut up, the bins of an adaptive pooling layer, or the
two ends of an image that is padded circularly. The backward pass starts at an upper
tensor A. It therefore keeps *the relation from A to J* separate from *the relations
from J to B through each part* until all parts have met. Then the joined axis is related
to B piece by piece, and only this map is composed with the path from A to J.

The functions do the same as those with the same names in `relations.relation`, but also
accept paths whose parts have not met yet.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    EVERYTHING,
    GLOBAL_BOUND,
    AxisMap,
    piecewise,
)
from receptive_field.relations import relation as axes
from receptive_field.relations.relation import (
    ALL,
    ALL_BOUND,
    FULL,
    SAME,
    Axis,
    Relation,
    fixed,
    follow,
    ranked,
    source,
)

MOST_PARTS = 256
"""The most parts that are kept separate. If there are more, joins are closed early."""

LONGEST_JOINED_AXIS = 1 << 16
"""The longest axis that is written out position by position."""


class Part(NamedTuple):
    """One of the joined parts, and its positions on the joined axis."""

    ranges: tuple[range, ...]
    relation: Paths
    """How B follows J at these positions."""


class Join(NamedTuple):
    """All paths from A to B through one joined axis."""

    upper: Relation
    """The relation from A to J."""
    axis: int
    """The joined axis of J, which has ``total`` positions."""
    total: int
    parts: tuple[Part, ...]

    @property
    def needed(self) -> tuple[float, float]:
        """The first and last position of the joined axis that may matter."""
        return _needed(self.upper, self.axis, self.total)


class Open(NamedTuple):
    """All paths from A to B while the parts of some joins have not all met yet."""

    closed: Relation | None
    """The paths that go through none of these joins, or None if there are none."""
    joins: tuple[Join, ...]


Paths = Relation | Open
"""All paths from A to B."""


def through(upper: Paths, lower: Relation) -> Paths | None:
    """Composes paths with the relation of an op, which may begin a join.

    Like `relation.through`, this returns None if nothing is needed of the op's input.
    """
    if isinstance(upper, Open):
        if sum(len(join.parts) for join in upper.joins) <= MOST_PARTS:
            return _open_through(upper, lower)
        closed = settled(upper)
        if closed is None:
            return None
        upper = closed
    if upper.piece is None and lower.piece is None:
        return axes.through(upper, lower)
    if lower.piece is None:
        axis, ranges, total, _ = upper.piece  # type: ignore[misc]
        below = axes.through(_without_piece(upper), lower)
        if below is None:
            return None
        if below.axes and all(_is_elsewhere(a, axis) for a in below.axes):
            return axes.part(below, axis)  # Pieces make no difference, as for channels.
        return _joined(SAME, axis, ranges, total, below)
    axis, ranges, total, _ = lower.piece
    if upper in (ALL, ALL_BOUND):
        return axes.through(upper, lower)
    if axes.needs_everything(upper, axis):
        return axes.through(upper, of_any_part(upper, lower))
    low, high = _needed(upper, axis, total)
    if all(r.stop <= low or high < r.start for r in ranges):
        return None
    return _joined(upper, axis, ranges, total, _without_piece(lower))


def of_any_part(upper: Paths, lower: Relation) -> Relation:
    """Returns the rule of an edge in the form that matters to the paths above it.

    If these paths need every part of a join whole, its rules hardly differ, and the
    result is equal for the parts that can be treated alike.
    """
    if lower.piece is None or not isinstance(upper, Relation):
        return lower
    axis, is_whole = lower.piece.axis, lower.piece.is_whole
    if axis >= len(upper.axes) or not axes.needs_everything(upper, axis):
        return lower
    if not axes.is_exact(upper.axes[axis]):
        return lower
    needed = FULL if is_whole else axes.whole((), GLOBAL_BOUND)
    return Relation(
        tuple(needed if axes.followed_axes(a) == {axis} else a for a in lower.axes)
    )


def _joined(
    upper: Relation,
    axis: int,
    ranges: tuple[range, ...],
    total: int,
    below: Relation,
) -> Open:
    return Open(None, (Join(upper, axis, total, (Part(ranges, below),)),))


def _needed(upper: Relation, axis: int, total: int) -> tuple[float, float]:
    """Returns the first and last position of a joined axis that A needs.

    They are the ends of the axis, unless all positions of A need the same interval.
    """
    if upper != SAME and not axes.followed_axes(upper.axes[axis]):
        window = source(upper.axes[axis])[1].window(0)
        if window is not None:
            return max(window[0], 0), min(window[1], total - 1)
    return 0, total - 1


def _is_elsewhere(followed: Axis, axis: int) -> bool:
    """Returns whether ``followed`` does not follow ``axis``, or is needed whole."""
    return all(
        factor.map.is_everything
        or (factor.slot is not None and factor.slot.axis != axis)
        for thread in followed
        for factor in thread.factors
    )


def _without_piece(relation: Relation) -> Relation:
    return Relation(relation.axes, channels=relation.channels)


def _open_through(upper: Open, lower: Relation) -> Paths | None:
    whole = None if upper.closed is None else through(upper.closed, lower)
    joins = []
    for join in upper.joins:
        below = ((p.ranges, through(p.relation, lower)) for p in join.parts)
        parts = [Part(ranges, r) for ranges, r in below if r is not None]
        if parts:
            joins.append(join._replace(parts=tuple(parts)))
    if not joins:
        return whole
    further = Open(None, tuple(joins))
    return further if whole is None else united(whole, further)


def united(one: Paths, two: Paths) -> Paths:
    """Returns the union of paths, like `relation.united`, and collects joined parts.

    Parts at the same positions of a join are united.
    """
    if isinstance(one, Relation) and isinstance(two, Relation):
        return axes.united(one, two)
    one, two = (p if isinstance(p, Open) else Open(p, ()) for p in (one, two))
    closed = one.closed or two.closed
    if one.closed is not None and two.closed is not None:
        closed = axes.united(one.closed, two.closed)
    joins = list(one.joins)
    for join in two.joins:
        for index, other in enumerate(joins):
            if join[:3] == other[:3]:
                joins[index] = other._replace(parts=_met(other.parts, join.parts))
                break
        else:
            joins.append(join)
    return Open(closed, tuple(joins))


def _met(one: tuple[Part, ...], two: tuple[Part, ...]) -> tuple[Part, ...]:
    """Combines the parts of two joins, uniting parts at the same positions."""
    parts = {part.ranges: part for part in one}
    for part in two:
        place = part.ranges
        if place in parts:
            part = Part(place, united(parts[place].relation, part.relation))
        parts[place] = part
    return tuple(parts.values())


def gathered(paths: Paths) -> Paths | None:
    """Closes the joins whose parts have all met, and returns the paths.

    This must be called only after the last path has reached B.
    """
    return paths if isinstance(paths, Relation) else _closed(paths, always=False)


def settled(paths: Paths) -> Relation | None:
    """Closes all joins, and returns the paths as a single relation.

    Positions of the joined axis whose parts have not arrived yet see nothing. Returns
    None if no path is left.
    """
    if isinstance(paths, Relation):
        return paths
    closed = _closed(paths, always=True)
    assert not isinstance(closed, Open)
    return closed


def mixes(paths: Paths, axis: int) -> bool:
    """Returns whether `relation.mixes` is true for any path, or any joined part."""
    if isinstance(paths, Relation):
        return axes.mixes(paths, axis)
    parts = (part.relation for join in paths.joins for part in join.parts)
    closed = () if paths.closed is None else (paths.closed,)
    return any(mixes(p, axis) for p in (*closed, *parts))


def widened(before: Paths, after: Paths) -> Paths:
    """Returns ``after``, widened by `relation.widened` after all joins are closed.

    If nothing is left of either argument, returns ``after`` unchanged.
    """
    one, two = settled(before), settled(after)
    return after if one is None or two is None else axes.widened(one, two)


def _closed(paths: Open, always: bool) -> Paths | None:
    whole: Paths | None = paths.closed
    for join in paths.joins:
        found: Paths | None
        if always or _is_complete(join):
            found = _as_relation(join)
        else:
            parts = ((p.ranges, gathered(p.relation)) for p in join.parts)
            kept = [Part(ranges, r) for ranges, r in parts if r is not None]
            found = Open(None, (join._replace(parts=tuple(kept)),))
        if found is not None:
            whole = found if whole is None else united(whole, found)
    return whole


def _is_complete(join: Join) -> bool:
    """Returns whether every needed position of the joined axis is in some part."""
    covered, last = join.needed
    for start, stop in sorted(_ends(part.ranges for part in join.parts)):
        if start > covered:
            return False
        covered = max(covered, stop)
    return covered > last


def _ends(places: Iterable[tuple[range, ...]]) -> Iterator[tuple[int, int]]:
    """Returns the start and stop of every range."""
    return ((r.start, r.stop) for r in itertools.chain.from_iterable(places))


def _as_relation(join: Join) -> Relation | None:
    """Returns the relation from A to B through all parts, or None if there is none."""
    below = ((p.ranges, settled(p.relation)) for p in join.parts)
    parts = [(ranges, r) for ranges, r in below if r is not None]
    if not parts:
        return None
    hull = functools.reduce(axes.united, (relation for _, relation in parts))
    rank = len(hull.axes)
    complete = _is_complete(join)
    found: list[Axis] = list(hull.axes)
    certain = join.upper == SAME or axes.is_exact(join.upper.axes[join.axis])
    told, lost = complete and certain, set()
    kept = set(hull.parts)
    own = {pair for _, relation in parts for pair in relation.parts}
    for index in range(rank):
        column = [(place, ranked(r, rank).axes[index]) for place, r in parts]
        same = all(axis == column[0][1] for _, axis in column)
        if same and (complete or join.axis not in axes.followed_axes(column[0][1])):
            continue
        pieced = _pieced(column, join)
        if pieced is not None:
            told, found[index] = certain, pieced
            # Each position follows its own part. Drop the pairs that are in the hull
            # only because it mixes the parts.
            kept = {pair for pair in kept if pair[1] != index or pair in own}
        elif not same:
            lost.add(index)
    apart = frozenset((join.axis, index) for index in (lost if told else range(rank)))
    lower = hull
    if rank:
        lower = hull._replace(axes=tuple(found), parts=apart.union(kept))
    return axes.through(join.upper, lower)


def _pieced(
    column: Sequence[tuple[tuple[range, ...], Axis]], join: Join
) -> Axis | None:
    """Returns an axis that follows the joined axis piece by piece.

    Returns None if such an axis cannot be written down.
    """
    if join.total > LONGEST_JOINED_AXIS:
        return None
    pieces = []
    for place, axis in column:
        followed, axis_map = source(axis)
        unplaced = axis_map.is_floating or axis_map.is_unbounded
        if followed not in (None, join.axis) or unplaced:
            return None
        pieces += [(positions, axis_map) for positions in place]
    found = piecewise(_apart(pieces), join.total)
    if found.is_constant and not any(source(axis)[0] is not None for _, axis in column):
        return fixed(*found.window(0) or EVERYTHING, exact=found.exact)
    return follow(join.axis, found)


def _apart(
    pieces: Sequence[tuple[range, AxisMap]],
) -> Iterator[tuple[range, AxisMap]]:
    """Splits the pieces at their ends, and unites the maps of pieces that overlap."""
    cuts = sorted({end for place, _ in pieces for end in (place.start, place.stop)})
    waiting = sorted(pieces, key=lambda piece: piece[0].start)[::-1]
    here: list[tuple[range, AxisMap]] = []
    for start, stop in itertools.pairwise(cuts):
        here = [piece for piece in here if piece[0].stop > start]
        while waiting and waiting[-1][0].start <= start:
            here.append(waiting.pop())
        if here:
            maps = (axis_map for _, axis_map in here)
            yield range(start, stop), functools.reduce(operator.or_, maps)


__all__ = [
    "Paths",
    "gathered",
    "mixes",
    "settled",
    "through",
    "united",
    "widened",
]
