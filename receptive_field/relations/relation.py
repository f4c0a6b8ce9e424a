"""Relations between two tensors: which axis follows which, and through which axis map.

A `Relation` says which positions of a lower tensor B each position of an upper tensor A
depends on. Each axis of B is a merge of *factors*, outermost first, like ``(h w)`` in
einops. Each factor follows a *slot* through an `AxisMap`. A slot is a part of an axis
of A: just as an axis of B is a merge of factors, an axis of A can be split into slots.
Reshapes only merge and split axes. Therefore, a batch axis that SpaceToBatch fills with
positions, or the tokens of a vision transformer, can be split again without loss. Only
ops that mix positions across the boundary of a factor give an upper bound.

Relations are closed under composition (`through`) and union (`united`). The rules of
ops make relations, and the passes combine them. This file knows nothing about ops or
graphs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    GLOBAL,
    GLOBAL_BOUND,
    IDENTITY,
    AxisMap,
    constant,
    quotient,
    remainder,
    shift,
)
from receptive_field.algebra.sizes import Size, Symbolic, divides, product

MOST_THREADS = 8
"""The most threads of one axis. If there are more, an upper bound replaces them."""

LARGEST_PERIOD = 1 << 16
"""The longest period of a map that describes a part of a merged axis."""


class Slot(NamedTuple):
    """The coordinate ``u // inner % size`` of a position u of an axis of A."""

    axis: int
    inner: Size = 1
    size: Size | None = None
    """None for the outermost slot, which takes the rest of the axis."""

    @property
    def is_whole(self) -> bool:
        """Whether the slot is the axis itself."""
        return self.inner == 1 and self.size is None


class Factor(NamedTuple):
    """A part of an axis of B that follows one slot of A."""

    size: Size | None
    """The number of positions; None is allowed for the outermost factor only."""
    slot: Slot | None
    """None if the factor is the same for all positions of A; the map is then constant.
    A factor that needs the whole of its axis may still have a slot. The axis of A then
    takes the place of the axis of B, and each position of the axis of A sees
    everything."""
    map: AxisMap
    via: AxisMap = IDENTITY
    """A map that is applied before ``map``. It is kept separate if ``map`` splits an
    axis, so that the parts of an interval can be merged again before further maps are
    applied."""

    @property
    def is_identity(self) -> bool:
        """Whether the factor follows its slot unchanged."""
        return self.map.is_identity and self.via.is_identity


class Thread(NamedTuple):
    """One way in which an axis of B follows A: merged factors, followed by ``tail``."""

    factors: tuple[Factor, ...]
    tail: AxisMap = IDENTITY


Axis = tuple[Thread, ...]
"""How one axis of B follows A; there are several threads if paths differ."""


class Piece(NamedTuple):
    """Some of the ``total`` positions of an axis, as ranges with step 1."""

    axis: int
    ranges: tuple[range, ...]
    total: int
    is_whole: bool = True
    """Whether these positions follow all of an axis of A, as those of a part that is
    joined. What is masked or written over elsewhere is not whole."""


class Relation(NamedTuple):
    """How every axis of B follows the axes of A."""

    axes: tuple[Axis, ...]
    any_rank: str = ""
    """How every axis is followed, if the rank is unknown or does not matter: "same",
    "all" or "all, as a bound". Empty if ``axes`` lists the axes."""
    parts: frozenset[tuple[int, int]] = frozenset()
    """Pairs of an axis of A and an axis of B, for which the relation holds only at some
    positions of the axis of A. Either B is one of several parts that are joined along
    this axis, or one of several paths sees nothing at the other positions. ``parts``
    does not record which positions these are. The relation is therefore an upper bound,
    unless a feature of A contains the whole axis, as it does for channels."""
    piece: Piece | None = None
    """The positions of A that depend on B, if this is the relation of an op that joins
    tensors. This module uses only ``parts``; `relations.joins` keeps track of the
    pieces."""
    several: bool = False
    """Whether this is a union of paths that may differ on more than one axis."""
    channels: frozenset[int] = frozenset()
    """Axes of A that hold channels made by an op between A and B."""


SAME = Relation((), "same")
"""Every axis of B follows the same axis of A, whatever the rank."""

ALL = Relation((), "all")
"""Every position of A needs all of B, whatever the rank."""

ALL_BOUND = Relation((), "all, as a bound")
"""Every position of A may need any part of B, because nothing is known."""


def follow(axis: int, axis_map: AxisMap = IDENTITY) -> Axis:
    """Returns an axis of B that follows one axis of A."""
    if axis_map.classic is None:  # It may be large, so it is not kept.
        return (Thread((Factor(None, Slot(axis), axis_map),)),)
    return _follow(axis, axis_map)


@lru_cache(maxsize=4096)
def _follow(axis: int, axis_map: AxisMap) -> Axis:
    return (Thread((Factor(None, Slot(axis), axis_map),)),)


def moved(axis_map: AxisMap, offset: Size) -> AxisMap:
    """Returns ``axis_map`` with all of its windows moved by ``offset``.

    If the offset is a sum of unknown sizes, the result can be compared with other maps
    that are moved by the same sizes.
    """
    if isinstance(offset, int):
        return axis_map.then(shift(offset)) if offset else axis_map
    terms = dict(offset.terms) if isinstance(offset, Symbolic) else {}
    known = terms.pop((), Fraction(0))
    if not terms or any(f.denominator > 1 for f in (known, *terms.values())):
        return axis_map.with_unknown_offset(offset)
    for sizes, factor in terms.items():
        axis_map = axis_map.with_unknown_offset(sizes, factor=int(factor))
    return moved(axis_map, int(known))


def merge(*factors: Factor) -> Axis:
    """Returns an axis of B that is the merge of factors, outermost first."""
    return (Thread(factors),)


def fixed(first: float, last: float, exact: bool = True) -> Axis:
    """Returns an axis of B on which all positions of A need the same interval."""
    return (Thread((Factor(None, None, constant(first, last, exact)),)),)


def _of_all(axis_map: AxisMap) -> Axis:
    return (Thread((Factor(None, None, axis_map),)),)


FULL = _of_all(GLOBAL)
"""The whole axis is needed."""

FULL_BOUND = _of_all(ANYWHERE)
"""Any position of the axis may be needed, because nothing is known."""


def whole(axes: Iterable[int], axis_map: AxisMap = GLOBAL) -> Axis:
    """Returns an axis of B that is needed whole; axes of A take its place.

    Args:
      axes: the axes of A that take its place.
      axis_map: a map that sees, or may see, the whole axis.
    """
    return _whole(frozenset(axes), axis_map)


@lru_cache(maxsize=256)
def _whole(axes: frozenset[int], axis_map: AxisMap) -> Axis:
    threads = (Thread((Factor(None, Slot(a), axis_map),)) for a in sorted(axes))
    return tuple(threads) or (FULL if axis_map == GLOBAL else _of_all(axis_map))


def local(maps: Iterable[AxisMap | None]) -> Relation:
    """Returns the relation in which axis i of B follows axis i of A by map i.

    An axis is needed whole if its map is None.
    """
    return Relation(
        tuple(FULL if m is None else follow(i, m) for i, m in enumerate(maps))
    )


def part(relation: Relation, axis: int, piece: Piece | None = None) -> Relation:
    """Returns a relation, marked as leading to one part of a join along an axis of A.

    ``piece`` gives the positions of A that depend on the part, if they are recorded.
    """
    parts = frozenset((axis, below) for below in range(len(relation.axes)))
    return relation._replace(parts=relation.parts | parts, piece=piece)


def full(rank: int | None, exact: bool = True) -> Relation:
    """Returns the relation in which every position of A needs all of B.

    ``rank`` is the rank of B, or None if it is unknown.
    """
    if rank is None:
        return ALL if exact else ALL_BOUND
    return Relation((FULL if exact else FULL_BOUND,) * rank)


def ranked(relation: Relation, rank: int) -> Relation:
    """Returns the relation to a tensor of this rank, with its axes written out."""
    if relation == SAME:
        return Relation(tuple(follow(axis) for axis in range(rank)))
    if relation in (ALL, ALL_BOUND):
        return full(rank, exact=relation == ALL)
    return relation


# --- Composition -----------------------------------------------------------------


def through(upper: Relation, lower: Relation) -> Relation | None:
    """Composes two relations: ``upper`` relates A to B, and ``lower`` relates B to C.

    Returns None if A needs nothing of C.

    Raises:
      IndexError: if the ranks do not fit.
    """
    if upper == SAME:
        return lower
    if lower == SAME or lower in (ALL, ALL_BOUND):
        return upper if lower == SAME else lower
    if upper in (ALL, ALL_BOUND):
        is_exact = upper == ALL
        everything = FULL if is_exact else FULL_BOUND
        unmoved = tuple if is_exact else _bounds
        return Relation(
            tuple(everything if followed_axes(a) else unmoved(a) for a in lower.axes)
        )
    axes = tuple([_axis_through(upper.axes, axis) for axis in lower.axes])
    if not all(axes):
        return None
    lost: frozenset[tuple[int, int]] = _NO_PARTS
    if upper.several:
        # A union does not record which of its paths end here and see nothing below.
        for middle in _places_of(lower, attrgetter("has_holes")):
            followed = followed_axes(upper.axes[middle])
            lost |= _lost(followed, axes)
            if not followed and not _is_certain(upper.axes[middle]):
                axes = tuple(map(_bounds, axes))
    several = upper.several or lower.several
    channels = upper.channels
    for axis in lower.channels:
        if upper.axes[axis] != FULL:
            channels = channels.union(standing_axes(upper.axes[axis]))
    if not upper.parts and not lower.parts:
        return Relation(axes, "", lost, None, several, channels)
    parts = set(lost)
    for axis, lower_axis in enumerate(lower.axes if upper.parts else ()):
        followed = followed_axes(lower_axis)
        parts.update(
            (above, axis)
            for above, middle in upper.parts
            if not followed or middle in followed
        )
    for joined in {middle for middle, _ in lower.parts}:
        within = {axis for middle, axis in lower.parts if middle == joined}
        followed = followed_axes(upper.axes[joined])
        parts.update(itertools.product(followed, within))
        if not followed and not _is_certain(upper.axes[joined]):
            # Perhaps only other parts are needed.
            axes = tuple(_bounds(a) if i in within else a for i, a in enumerate(axes))
    return Relation(axes, "", frozenset(parts), None, several, channels)


_NO_PARTS: frozenset[tuple[int, int]] = frozenset()


def followed_axes(axis: Axis) -> set[int]:
    """Returns the axes of A that an axis of B follows."""
    return set() if any(map(_is_everything, axis)) else standing_axes(axis)


def standing_axes(axis: Axis) -> set[int]:
    """Returns the axes of A that an axis of B follows, or that take its place.

    `followed_axes` leaves out the latter, because each of their positions sees
    everything.
    """
    slots = (factor.slot for thread in axis for factor in thread.factors)
    return {slot.axis for slot in slots if slot is not None}


def has_phases(axis: Axis) -> bool:
    """Returns whether an axis of B is followed differently at different positions."""
    return any(
        factor.map.has_phases or not (factor.slot is None or factor.slot.is_whole)
        for thread in axis
        for factor in thread.factors
    )


def has_holes(axis: Axis) -> bool:
    """Returns whether some positions of A depend on nothing of an axis of B."""
    return bool(followed_axes(axis)) and any(
        factor.map.has_holes or factor.via.has_holes
        for thread in axis
        for factor in thread.factors
    )


def permutes(axis: Axis) -> bool:
    """Returns whether the positions of A may go back and forth on an axis of B."""
    return any(
        factor.map.moves_back
        or factor.via.moves_back
        or not (factor.slot is None or factor.slot.is_whole)
        for thread in axis
        for factor in thread.factors
    )


def repeats(axis: Axis) -> bool:
    """Returns whether positions of A may return to parts of an axis of B seen before.

    Mere overlaps of the windows of successive positions do not count.
    """
    return permutes(axis) or any(
        factor.slot is not None and factor.map.is_constant
        for thread in axis
        for factor in thread.factors
    )


def with_bounds(relation: Relation, bounds: Collection[int]) -> Relation:
    """Returns the relation with some axes of B marked as upper bounds."""
    if not bounds:
        return relation
    axes = (_bounds(a) if i in bounds else a for i, a in enumerate(relation.axes))
    return relation._replace(axes=tuple(axes))


def _is_certain(axis: Axis) -> bool:
    """Returns whether the whole of an axis of B is known to be needed."""
    return any(map(_is_everything, axis)) and is_exact(axis)


def _axis_through(upper: tuple[Axis, ...], axis: Axis) -> Axis:
    if len(axis) == 1 and len(axis[0].factors) == 1:
        ((_, slot, axis_map, via),) = axis[0].factors
        if slot is None:
            # If the path to B is an upper bound, so is this dependency.
            certain = axis_map.is_everything or all(map(is_exact, upper))
            return axis if certain else _bounds(axis)
        if axis_map.is_everything:
            return _whole_through(upper, axis)
        if slot.inner == 1 and slot.size is None and via.is_identity:
            above = upper[slot.axis]
            if axis_map.is_identity:
                return above
            if len(above) == 1 and len(above[0].factors) == 1:
                thread = _mapped(above[0], axis_map)
                return (thread,) if thread.factors else ()
            return _distinct(_mapped(thread, axis_map) for thread in above)
    elif any(map(_is_everything, axis)):
        return _whole_through(upper, axis)
    return _distinct(
        itertools.chain.from_iterable(_thread_through(upper, t) for t in axis)
    )


def _whole_through(upper: tuple[Axis, ...], axis: Axis) -> Axis:
    """Composes a relation with an axis of C that is, or may be, needed whole.

    If it only may be, because it is not known how it lies in some axes of B, it is
    certain that all of it is seen if all of each of these axes is.
    """
    places = standing_axes(axis)
    standing = itertools.chain.from_iterable(standing_axes(upper[p]) for p in places)
    seen = _everything(axis)
    if not seen.is_global and places and all(_mixes(upper[p]) for p in places):
        seen = GLOBAL_BOUND
    return whole(standing, seen)


def _everything(axis: Axis) -> AxisMap:
    """Returns the most certain of an axis's maps to everything, or `ANYWHERE`."""
    threads = list(filter(_is_everything, axis))
    maps = [factor.map for thread in threads for factor in thread.factors]
    mixed = [m for m in (*maps, *(t.tail for t in threads)) if m.is_global]
    if not mixed:
        return ANYWHERE
    return GLOBAL if any(axis_map.exact for axis_map in mixed) else GLOBAL_BOUND


def _mixes(axis: Axis) -> bool:
    return _everything(axis).is_global


def is_exact(axis: Axis) -> bool:
    """Returns whether all maps of an axis are exact."""
    return all(
        thread.tail.exact and all(factor.map.exact for factor in thread.factors)
        for thread in axis
    )


def _bounds(axis: Axis) -> Axis:
    return tuple(map(_as_bound, axis))


def _thread_through(upper: tuple[Axis, ...], thread: Thread) -> list[Thread]:
    parts: list[list[Thread]] = []
    for factor in thread.factors:
        if factor.slot is None:
            parts.append([Thread((factor,))])
            continue
        slot = factor.slot
        selected = (s for t in upper[slot.axis] for s in _selected(t, slot))
        above = (_mapped(thread, factor.via) for thread in selected)
        parts.append([_mapped(thread, factor.map) for thread in above])
    sizes = [factor.size for factor in thread.factors]
    joined = (_joined(combination, sizes) for combination in itertools.product(*parts))
    return [_mapped(t, thread.tail) for t in joined if t.factors]


def _mapped(thread: Thread, axis_map: AxisMap) -> Thread:
    """Returns a thread followed by a map. If nothing is seen, it has no factors."""
    if axis_map.is_identity or not thread.factors:
        return thread
    if len(thread.factors) > 1:
        thread = _fused(thread)
    if len(thread.factors) > 1:
        tail = thread.tail.then(axis_map)
        return Thread(() if tail.is_none else thread.factors, tail)
    (factor,) = thread.factors
    _, slot, above, via = factor
    parts = not above.is_identity and not above.is_everything
    if parts and via.is_identity and axis_map.is_split:
        return Thread((Factor(None, slot, axis_map, above),))
    composed = above.then(axis_map)
    if composed.classic is not None:
        return Thread((Factor(None, slot, composed, via),))
    if composed.is_none:
        return Thread(())
    return _single(slot, composed, via)


def _single(slot: Slot | None, axis_map: AxisMap, via: AxisMap = IDENTITY) -> Thread:
    if axis_map.is_everything:  # All parts of the axis of A see the same.
        return Thread((Factor(None, slot and Slot(slot.axis), axis_map),))
    return Thread((Factor(None, slot, axis_map, via),))


def _distinct(threads: Iterable[Thread]) -> Axis:
    united: Axis = ()
    for thread in threads:
        if thread.factors:
            united = _axis_united(united, (thread,))
    return united


# --- Splitting and merging ---------------------------------------------------------


def _selected(thread: Thread, slot: Slot) -> list[Thread]:
    """Returns the threads of one slot of an axis.

    The slot is the coordinate ``u // slot.inner % slot.size``. ``thread`` is one way in
    which the axis follows A.
    """
    if slot.is_whole or not thread.factors:
        return [thread]
    if len(thread.factors) == 1:
        (factor,) = thread.factors
        outer = _split(factor, slot.inner)[0]
        part = outer if slot.size is None else _split(outer, slot.size)[1]
        return [Thread((part,)) if _composed(part).strands else Thread(())]
    left = list(thread.factors)
    if not thread.tail.is_identity or _take(left, slot.inner) is None:
        return _unknown_part(slot.size, thread)
    if slot.size is None:
        return [_simplified(tuple(left)) if left else Thread((_at_origin(1),))]
    taken = _take(left, slot.size)
    if taken is None:
        return _unknown_part(slot.size, thread)
    return [_simplified(taken)]


def _take(factors: list[Factor], size: Size) -> tuple[Factor, ...] | None:
    """Removes and returns the innermost factors whose sizes multiply to ``size``.

    A factor is split if necessary. Returns None if this is impossible.
    """
    taken: list[Factor] = []
    while size != 1:
        if not factors:
            return None
        factor = factors.pop()
        rest = None if factor.size is None else divides(factor.size, size)
        if rest is not None:
            size = rest
        elif factor.size is None or divides(size, factor.size) is not None:
            outer, factor = _split(factor, size)
            factors.append(outer)
            size = 1
        else:
            return None
        taken.insert(0, factor)
    return tuple(taken) or (_at_origin(1),)


def _at_origin(size: Size | None) -> Factor:
    return Factor(size, None, constant(0, 0))


def _split(factor: Factor, inner: Size) -> tuple[Factor, Factor]:
    """Splits a factor into an outer one and an inner one of ``inner`` positions."""
    size, slot, axis_map, via = factor
    outer_size = None if size is None else divides(inner, size)
    if inner == 1:
        return factor, _at_origin(1)
    if slot is not None and axis_map.is_identity and via.is_identity:
        rest = None if slot.size is None else divides(inner, slot.size)
        if slot.size is None or rest is not None:
            outer = Slot(slot.axis, slot.inner * inner, rest)
            low = Slot(slot.axis, slot.inner, inner)
            return Factor(outer_size, outer, IDENTITY), Factor(inner, low, IDENTITY)
    if axis_map.is_everything:
        return factor._replace(size=outer_size), factor._replace(size=inner)
    if not isinstance(inner, int) or inner > LARGEST_PERIOD:
        place = slot and Slot(slot.axis)
        return Factor(outer_size, place, ANYWHERE), Factor(inner, place, ANYWHERE)
    before = via.then(axis_map)
    return (
        Factor(outer_size, slot, quotient(inner), before),
        Factor(inner, slot, remainder(inner), before),
    )


def _unknown_part(size: Size | None, thread: Thread) -> list[Thread]:
    """Returns an upper bound on a part of an axis that cannot be split."""
    places = map(Slot, sorted(standing_axes((thread,))))
    found = [Thread((Factor(size, place, ANYWHERE),)) for place in places]
    return found or [Thread((Factor(size, None, ANYWHERE),))]


def _joined(parts: Sequence[Thread], sizes: Sequence[Size | None]) -> Thread:
    """Merges the threads of an axis's factors, outermost first, into a single one."""
    if len(parts) == 1 and not parts[0].tail.is_identity:
        return parts[0]
    factors: list[Factor] = []
    for index, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        if not part.factors:
            return part
        outermost, *inner = part.factors
        if size is not None and part.tail.is_identity:
            known = product(f.size for f in inner)
            outermost = outermost._replace(size=divides(known, size))
        if not part.tail.is_identity or (index and outermost.size is None):
            first = min(standing_axes((part,)), default=None)
            place = None if first is None else Slot(first)
            outermost, inner = Factor(size, place, ANYWHERE), []
        factors += [outermost, *inner]
    return _simplified(tuple(factors))


def _simplified(factors: tuple[Factor, ...]) -> Thread:
    """Returns a thread of these factors; neighbours are joined if nothing is lost."""
    done: list[Factor] = []
    for factor in [f for f in factors if f.size != 1] or factors[:1]:
        joined = _contiguous(done[-1], factor) if done else None
        if joined is None and done:
            joined = _fused_pair(done[-1], factor)
        if joined is None:
            done.append(factor)
        else:
            done[-1] = joined
    return Thread(tuple(done))


def _contiguous(outer: Factor, inner: Factor) -> Factor | None:
    """Joins two factors that follow adjacent slots of one axis unchanged.

    Returns None if the factors do not follow such slots.
    """
    one, two = outer.slot, inner.slot
    if one is None or two is None or one.axis != two.axis or two.size is None:
        return None
    as_they_are = outer.is_identity and inner.is_identity
    if not as_they_are or one.inner != two.inner * two.size:
        return None
    size = None if one.size is None else one.size * two.size
    total = (
        None if outer.size is None or inner.size is None else outer.size * inner.size
    )
    return Factor(total, Slot(one.axis, two.inner, size), IDENTITY)


def _fused_pair(outer: Factor, inner: Factor, always: bool = False) -> Factor | None:
    """Joins two factors that follow the same axis of A, or returns None.

    Two factors that follow their slots unchanged are joined only if ``always`` is set,
    because a later op may restore their order.
    """
    if outer.is_identity and inner.is_identity and not always:
        return None
    axes = {f.slot.axis for f in (outer, inner) if f.slot is not None}
    count = inner.size
    if len(axes) > 1 or not isinstance(count, int):
        return None
    if inner.map.is_everything:  # The inner factor needs all ``count`` positions.
        inner = Factor(count, None, constant(0, count - 1, inner.map.exact))
    total = None if outer.size is None else outer.size * count
    slot = Slot(axes.pop()) if axes else None
    if outer.slot == inner.slot or inner.slot is None or outer.slot is None:
        # A constant factor is the same for every position, so any ``via`` fits it.
        if outer[1::2] != inner[1::2]:  # Compares slot and via.
            outer, inner = (
                f._replace(map=_composed(f), via=IDENTITY) if f.slot is None else f
                for f in (outer, inner)
            )
        via = outer.via if inner.slot is None else inner.via
        if inner.slot is None or outer.slot is None or outer.via == inner.via:
            slot = inner.slot if outer.slot is None else outer.slot
            merged = outer.map.interleave(inner.map, count)
            return Factor(total, slot, via.then(merged))
    one, two = _whole_map(outer), _whole_map(inner)
    if one is None or two is None:
        return None
    merged = one.interleave(two, count)
    if one.size() != 1 and two.size() != 1:
        merged = merged.as_bound()  # It is unknown which positions belong together.
    return Factor(total, slot, merged)


def _whole_map(factor: Factor) -> AxisMap | None:
    """Returns a factor as a map from the whole axis of A.

    Returns None if the map's period would be too long or is unknown.
    """
    slot, axis_map = factor.slot, _composed(factor)
    if slot is None or slot.is_whole:
        return axis_map
    inner, size = slot.inner, slot.size
    if size is not None and not (isinstance(size, int) and size <= LARGEST_PERIOD):
        return None
    if not isinstance(inner, int) or inner > LARGEST_PERIOD:
        return None
    return _from_whole_axis(inner, size, axis_map)


@lru_cache(maxsize=16)
def _from_whole_axis(inner: int, size: int | None, axis_map: AxisMap) -> AxisMap:
    """Returns a map from a slot as a map from the whole axis of the slot.

    Cached, because such maps have long periods, and many ops of a graph pass the same
    map on. Few are kept, because each of them may be large.
    """
    if size is not None:
        axis_map = remainder(size).then(axis_map)
    return axis_map if inner == 1 else quotient(inner).then(axis_map)


def _composed(factor: Factor) -> AxisMap:
    return factor.via.then(factor.map)


def _fused(thread: Thread) -> Thread:
    """Returns the thread, with its factors fused into one if they follow one axis."""
    whole, *rest = thread.factors
    plain = whole.size is None and whole.via.is_identity and thread.tail.is_identity
    if plain and not rest:
        return thread
    for factor in rest:
        joined = _fused_pair(whole, factor, always=True)
        if joined is None:
            return thread
        whole = joined
    return Thread((Factor(None, whole.slot, _composed(whole).then(thread.tail)),))


def source(axis: Axis) -> tuple[int | None, AxisMap]:
    """Returns the axis of A that an axis of B follows, and the map between the two.

    If no axis is followed, the axis is None and the map is constant. If several axes
    are followed, or if the map cannot be written down, the axis is None and the map is
    `ANYWHERE`.
    """
    followed: set[int] = set()
    found: AxisMap | None = None
    for thread in map(_fused, axis):
        (factor, *rest) = thread.factors
        axis_map = None if rest else _whole_map(factor)
        if axis_map is None:
            return None, ANYWHERE
        if axis_map.is_everything:
            return None, axis_map
        if factor.slot is not None:
            followed.add(factor.slot.axis)
        found = axis_map if found is None else found | axis_map
    if len(followed) > 1 or found is None:
        return None, ANYWHERE
    return (followed.pop() if followed else None), found


def rates(axis: Axis) -> set[Fraction]:
    """Returns the different rates at which an axis of B follows axes of A, if known.

    If a reshape or an op with blocks divides the axis of B, its rate is that of the
    outermost factor times the size of a block, because each step of this factor moves
    by a whole block.
    """
    found: set[Fraction] = set()
    for thread in map(_fused, axis):
        (outer, *inner) = thread.factors
        block = product(factor.size for factor in inner)
        if isinstance(block, int):
            steps = _composed(outer).rates, thread.tail.rates
            found.update(one * block * two for one, two in itertools.product(*steps))
    return found


# --- Union -----------------------------------------------------------------------


def united(one: Relation, two: Relation) -> Relation:
    """Returns the union of two relations from A to B.

    Raises:
      IndexError: if the ranks do not fit.
    """
    if one is two:
        return one
    rank = max(len(one.axes), len(two.axes))
    if not rank:
        return next((r for r in (ALL, ALL_BOUND, SAME) if r in (one, two)), one)
    one, two = ranked(one, rank), ranked(two, rank)
    if len(one.axes) != len(two.axes):
        raise IndexError(f"rank {len(one.axes)} meets rank {len(two.axes)}")
    axes = tuple(map(_axis_united, one.axes, two.axes))
    # If one path sees everything that the other sees, it describes both.
    within = next((r for r in (two, one) if axes == r.axes), None)
    if within is None:
        seen = tuple(map(_unmarked, axes))
        paths = (r for r in (two, one) if seen == tuple(map(_unmarked, r.axes)))
        within = next(paths, None)
    lost: frozenset[tuple[int, int]] = _NO_PARTS
    if within is None:
        # A path that sees nothing on one axis sees nothing on the other axes, either.
        pairs = enumerate(zip(one.axes, two.axes, strict=True))
        differ = {i for i, (a, b) in pairs if _unmarked(a) != _unmarked(b)}
        has = attrgetter("has_empty")
        places = _places_of(one, has) | _places_of(two, has)
        lost = frozenset(pair for pair in _lost(places, axes) if pair[1] in differ)
    several = within is None or within.several
    channels = one.channels
    if two.channels is not channels:
        channels |= two.channels
    parts = one.parts | two.parts | lost
    return Relation(axes, "", parts, None, several, channels)


def _unmarked(axis: Axis) -> Axis:
    """Removes the axes of A that take the place of an axis that is needed whole."""
    return whole((), _everything(axis)) if any(map(_is_everything, axis)) else axis


def _places_of(relation: Relation, has: Callable[[AxisMap], bool]) -> set[int]:
    """Returns the axes of A that are followed by a map for which ``has`` holds."""
    return {
        place
        for axis in relation.axes
        if any(
            has(factor.map) or has(factor.via)
            for thread in axis
            for factor in thread.factors
        )
        for place in followed_axes(axis)
    }


def _lost(places: Collection[int], axes: Sequence[Axis]) -> frozenset[tuple[int, int]]:
    """Returns the pairs of axes on which a union does not tell its paths apart.

    If some paths see nothing at some positions of the axes ``places`` of A, the union
    does not record which of the paths is seen on the other axes of B.
    """
    return frozenset(
        (place, below)
        for place in places
        for below, axis in enumerate(axes)
        if followed_axes(axis) != {place}
    )


def all_seen(relation: Relation) -> Relation:
    """Returns the relation with each map replaced by its `AxisMap.all_seen`.

    Only maps of mirrored padding differ. If there are none, returns the same object.
    """
    threads = (thread for axis in relation.axes for thread in axis)
    factors = (factor for thread in threads for factor in thread.factors)
    if all(factor.map.seen is None for factor in factors):
        return relation
    axes = tuple(tuple(map(_all_seen, axis)) for axis in relation.axes)
    return relation._replace(axes=axes)


def _all_seen(thread: Thread) -> Thread:
    factors = tuple(f._replace(map=f.map.all_seen) for f in thread.factors)
    return Thread(factors, thread.tail)


def _as_bound(thread: Thread) -> Thread:
    factors = (f._replace(map=f.map.as_bound()) for f in thread.factors)
    return Thread(tuple(factors), thread.tail)


def _axis_united(one: Axis, two: Axis) -> Axis:
    if one is two:
        return one
    threads = list(one)
    for thread in two:
        for index, other in enumerate(threads):
            merged = _thread_united(other, thread)
            if merged is not None:
                threads[index] = merged
                break
        else:
            threads.append(thread)
    all_of_it = [t for t in threads if _is_everything(t)]
    if all_of_it and (len(threads) > 1 or len(threads[0].factors) > 1):
        return whole(standing_axes(tuple(threads)), _everything(tuple(all_of_it)))
    if len(threads) > MOST_THREADS:
        return whole(standing_axes(tuple(threads)), ANYWHERE)
    return tuple(threads)


def _is_everything(thread: Thread) -> bool:
    if len(thread.factors) == 1 and thread.factors[0].map.is_everything:
        return True
    return thread.tail.is_everything


def widened(before: Relation, after: Relation) -> Relation:
    """Returns ``after``, with each axis that differs from ``before`` needed whole.

    On these axes, the result is an upper bound, unless an op mixes the whole axis.
    """
    rank = max(len(before.axes), len(after.axes))
    if not rank:
        return ALL_BOUND
    pairs = zip(ranked(before, rank).axes, ranked(after, rank).axes, strict=True)
    axes = (_widened(one, two) for one, two in pairs)
    return Relation(tuple(axes), "", after.parts, None, after.several, after.channels)


def _widened(before: Axis, after: Axis) -> Axis:
    if before == after or (_mixes(after) and not _mixes(before)):
        return after
    if any(map(_is_everything, before)):
        return before
    return whole(standing_axes(after), ANYWHERE)


def needs_everything(relation: Relation, axis: int) -> bool:
    """Returns whether the whole of an axis of B is needed, or may be needed."""
    if not relation.axes:
        return relation in (ALL, ALL_BOUND)
    return any(map(_is_everything, relation.axes[axis]))


def mixes(relation: Relation, axis: int) -> bool:
    """Returns whether an op mixes the whole axis, even if some positions may not
    matter."""
    if not relation.axes:
        return relation == ALL
    return _mixes(relation.axes[axis])


def _thread_united(one: Thread, two: Thread) -> Thread | None:
    """Returns the union of two threads, or None if their splits or slots differ."""
    if one == two:
        return one
    if len(one.factors) != len(two.factors) or one.tail != two.tail:
        return None
    if len(one.factors) == 1:
        (a,), (b,) = one.factors, two.factors
        if a.slot != b.slot and a.slot is not None and b.slot is not None:
            return None
        if a.via == b.via:
            return _single(a.slot or b.slot, a.map | b.map, a.via)
        return _single(a.slot or b.slot, _composed(a) | _composed(b))
    pairs = list(zip(one.factors, two.factors, strict=True))
    if any((a.slot, a.size, a.via) != (b.slot, b.size, b.via) for a, b in pairs):
        return None
    maps = [a.map | b.map for a, b in pairs]
    if sum(a.map != b.map for a, b in pairs) > 1:
        maps = [m.as_bound() for m in maps]
    return Thread(
        tuple(a._replace(map=m) for (a, _), m in zip(pairs, maps, strict=True)),
        one.tail,
    )


__all__ = [
    "FULL",
    "FULL_BOUND",
    "GLOBAL",
    "SAME",
    "Axis",
    "Factor",
    "Piece",
    "Relation",
    "Slot",
    "Thread",
    "fixed",
    "follow",
    "full",
    "local",
    "merge",
    "moved",
    "part",
    "source",
    "standing_axes",
    "through",
    "united",
    "whole",
]
