"""Relations between two tensors: which axis follows which, through what axis map.

A `Relation` says where, in a lower tensor B, the things lie that a position of an
upper tensor A depends on. Each axis of B is a merge of *factors*, outermost first,
as einops writes ``(h w)``; each factor follows a *slot*, a part of an axis of A
that is split in the same way, through an `AxisMap`. Reshapes only merge and split,
so the batch axis that SpaceToBatch fills with positions, or the tokens of a vision
transformer, are taken apart again without loss, and only an op that mixes across a
factor boundary falls back to a bound.

Relations are closed under composition (`through`) and union (`united`). The rules of
ops make them; the passes combine them; nothing here knows an op or a graph.
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
"""Paths that reach one axis in so many different ways are replaced by a bound."""

LARGEST_PERIOD = 1 << 16
"""Merged axes are not written out as maps with longer periods than this."""


class Slot(NamedTuple):
    """The coordinate ``u // inner % size`` of a position u of an axis of A."""

    axis: int
    inner: Size = 1
    size: Size | None = None
    """None for the outermost slot, which takes all that is left."""

    @property
    def is_whole(self) -> bool:
        """Whether the slot is the axis itself."""
        return self.inner == 1 and self.size is None


class Factor(NamedTuple):
    """A part of an axis of B that follows one slot of A."""

    size: Size | None
    """How many positions it has; None if nobody needs to know (outermost only)."""
    slot: Slot | None
    """None if it depends on no position of A; then the map is constant. What needs the
    whole axis depends on none either, but keeps the slot if the axis of A stands for
    this one all the same: each of its positions is a place that sees everything."""
    map: AxisMap
    via: AxisMap = IDENTITY
    """What comes before ``map``, kept apart where ``map`` splits an axis: the parts of
    an interval go together, and are put together again before it is composed."""

    @property
    def is_identity(self) -> bool:
        """Whether the slot is followed as it is."""
        return self.map.is_identity and self.via.is_identity


class Thread(NamedTuple):
    """One way in which an axis of B follows A: ``tail`` of the merged factors."""

    factors: tuple[Factor, ...]
    tail: AxisMap = IDENTITY


Axis = tuple[Thread, ...]
"""How one axis of B follows A; several threads where paths disagree about it."""


class Piece(NamedTuple):
    """Some positions of an axis of ``total`` positions, in ranges without a step."""

    axis: int
    ranges: tuple[range, ...]
    total: int


class Relation(NamedTuple):
    """How every axis of B follows the axes of A."""

    axes: tuple[Axis, ...]
    any_rank: str = ""
    """What it says of every axis, where the rank is not known or does not matter."""
    parts: frozenset[tuple[int, int]] = frozenset()
    """Pairs of an axis of A and one of B: what is said of the latter holds for some
    positions of the former only, as B is one of several parts that are joined along
    it. Which, is not told, so that it is a bound unless A's features hold the whole
    of their axis (channels)."""
    piece: Piece | None = None
    """Which positions those are, in the rule of an op that joins. What comes of them
    further down is for `graph.joins`; here they count as ``parts``."""
    several: bool = False
    """Whether it is the union of paths that differ, on more than one axis perhaps."""
    channels: frozenset[int] = frozenset()
    """Axes of A that hold channels which an op in between has made."""


SAME = Relation((), "same")
"""Every axis follows itself, whatever the rank."""

ALL = Relation((), "all")
"""Everything matters, whatever the rank."""

ALL_BOUND = Relation((), "all, as a bound")
"""Anything may matter, as nothing is known."""


@lru_cache(maxsize=4096)
def follow(axis: int, axis_map: AxisMap = IDENTITY) -> Axis:
    """An axis of B that follows one axis of A."""
    return (Thread((Factor(None, Slot(axis), axis_map),)),)


def moved(axis_map: AxisMap, offset: Size) -> AxisMap:
    """The map to positions that lie ``offset`` further on.

    Where that is a sum of unknown sizes, maps that are moved by the same ones can be
    compared.
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
    """An axis of B that is the merge of factors, outermost first."""
    return (Thread(factors),)


def fixed(first: float, last: float, exact: bool = True) -> Axis:
    """An axis of B of which every position of A needs the same interval."""
    return (Thread((Factor(None, None, constant(first, last, exact)),)),)


def _of_all(axis_map: AxisMap) -> Axis:
    return (Thread((Factor(None, None, axis_map),)),)


FULL = _of_all(GLOBAL)
"""The whole of an axis."""

FULL_BOUND = _of_all(ANYWHERE)
"""What of an axis is needed is not known: the whole, as a bound."""


def whole(axes: Iterable[int], axis_map: AxisMap = GLOBAL) -> Axis:
    """The whole of an axis of B, for which axes of A stand nevertheless.

    Args:
      axes: the axes of A.
      axis_map: a map to everything: known to be needed, or because nothing is known.
    """
    return _whole(frozenset(axes), axis_map)


@lru_cache(maxsize=256)
def _whole(axes: frozenset[int], axis_map: AxisMap) -> Axis:
    threads = (Thread((Factor(None, Slot(a), axis_map),)) for a in sorted(axes))
    return tuple(threads) or (FULL if axis_map == GLOBAL else _of_all(axis_map))


def local(maps: Iterable[AxisMap | None]) -> Relation:
    """Axis i of B follows axis i of A through map i; None stands for all of it."""
    return Relation(
        tuple(FULL if m is None else follow(i, m) for i, m in enumerate(maps))
    )


def part(relation: Relation, axis: int, piece: Piece | None = None) -> Relation:
    """The relation to one of the parts that are joined along an axis of A."""
    parts = frozenset((axis, below) for below in range(len(relation.axes)))
    return relation._replace(parts=relation.parts | parts, piece=piece)


def full(rank: int | None, exact: bool = True) -> Relation:
    """Every position of A needs all of B; ``rank`` is B's, None if unknown."""
    if rank is None:
        return ALL if exact else ALL_BOUND
    return Relation((FULL if exact else FULL_BOUND,) * rank)


def ranked(relation: Relation, rank: int) -> Relation:
    """The relation spelled out for a B of this rank."""
    if relation is SAME:
        return Relation(tuple(follow(axis) for axis in range(rank)))
    if relation is ALL or relation is ALL_BOUND:
        return full(rank, exact=relation is ALL)
    return relation


# --- Composition -----------------------------------------------------------------


def through(upper: Relation, lower: Relation) -> Relation | None:
    """From A over B to C: ``upper`` relates A to B, ``lower`` B to C.

    None where nothing of C is needed.

    Raises:
      IndexError: if the ranks do not fit.
    """
    if upper is SAME:
        return lower
    if lower is SAME or lower is ALL or lower is ALL_BOUND:
        return upper if lower is SAME else lower
    if upper is ALL or upper is ALL_BOUND:
        everything = FULL if upper is ALL else FULL_BOUND
        unmoved = tuple if upper is ALL else _bounds
        return Relation(
            tuple(everything if followed_axes(a) else unmoved(a) for a in lower.axes)
        )
    axes = tuple([_axis_through(upper.axes, axis) for axis in lower.axes])
    if not all(axes):
        return None
    lost: frozenset[tuple[int, int]] = _NO_PARTS
    if upper.several:
        # The paths that see nothing any more are not told apart from the others.
        for middle in _places_of(lower, attrgetter("has_holes")):
            followed = followed_axes(upper.axes[middle])
            lost |= _lost(followed, axes)
            if not followed and not _is_certain(upper.axes[middle]):
                axes = tuple(map(_bounds, axes))
    several = upper.several or lower.several
    channels = upper.channels
    for axis in lower.channels:
        if upper.axes[axis] is not FULL:
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
            # It may be another part that is needed.
            axes = tuple(_bounds(a) if i in within else a for i, a in enumerate(axes))
    return Relation(axes, "", frozenset(parts), None, several, channels)


_NO_PARTS: frozenset[tuple[int, int]] = frozenset()


def followed_axes(axis: Axis) -> set[int]:
    """The axes of A that an axis of B follows."""
    return set() if any(map(_is_everything, axis)) else standing_axes(axis)


def standing_axes(axis: Axis) -> set[int]:
    """The axes of A whose positions stand for those of an axis of B, also where each of
    them sees all."""
    slots = (factor.slot for thread in axis for factor in thread.factors)
    return {slot.axis for slot in slots if slot is not None}


def has_phases(relation: Relation) -> bool:
    """Whether an axis is followed in a way that differs from position to position."""
    return any(
        factor.map.has_phases or not (factor.slot is None or factor.slot.is_whole)
        for axis in relation.axes
        for thread in axis
        for factor in thread.factors
    )


def has_holes(relation: Relation) -> bool:
    """Whether there are positions in between that depend on nothing."""
    return bool(_places_of(relation, attrgetter("has_holes")))


def permutes(axis: Axis) -> bool:
    """Whether positions of an axis of A may look to and fro along an axis of B."""
    return any(
        factor.map.moves_back
        or factor.via.moves_back
        or not (factor.slot is None or factor.slot.is_whole)
        for thread in axis
        for factor in thread.factors
    )


def repeats(axis: Axis) -> bool:
    """Whether positions of an axis of A may look at the same of an axis of B again."""
    return permutes(axis) or any(
        factor.slot is not None and factor.map.is_constant
        for thread in axis
        for factor in thread.factors
    )


def with_bounds(relation: Relation, bounds: Collection[int]) -> Relation:
    """The relation where what is seen of some axes of B is a bound."""
    if not bounds:
        return relation
    axes = (_bounds(a) if i in bounds else a for i, a in enumerate(relation.axes))
    return relation._replace(axes=tuple(axes))


def _is_certain(axis: Axis) -> bool:
    """Whether all of an axis of B is known to be needed."""
    return any(map(_is_everything, axis)) and is_exact(axis)


def _axis_through(upper: tuple[Axis, ...], axis: Axis) -> Axis:
    if len(axis) == 1 and len(axis[0].factors) == 1:
        ((_, slot, axis_map, via),) = axis[0].factors
        if slot is None:
            # Where the way to B is a bound, so is the dependency on this position.
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
    """The same of an axis of which all is needed, or may be."""
    places = standing_axes(axis)
    standing = itertools.chain.from_iterable(standing_axes(upper[p]) for p in places)
    seen = _everything(axis)
    if not seen.is_global and any(_mixes(upper[place]) for place in places):
        seen = GLOBAL_BOUND
    return whole(standing, seen)


def _everything(axis: Axis) -> AxisMap:
    """Of several ways to see all, or perhaps all, the one that is known best."""
    threads = list(filter(_is_everything, axis))
    maps = [factor.map for thread in threads for factor in thread.factors]
    mixed = [m for m in (*maps, *(t.tail for t in threads)) if m.is_global]
    if not mixed:
        return ANYWHERE
    return GLOBAL if any(axis_map.exact for axis_map in mixed) else GLOBAL_BOUND


def _mixes(axis: Axis) -> bool:
    return _everything(axis).is_global


def is_exact(axis: Axis) -> bool:
    """Whether all that an axis is said to see is known to matter."""
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
    """The thread followed by a map; without factors if nothing is left of it."""
    if axis_map.is_identity or not thread.factors:
        return thread
    if len(thread.factors) > 1:
        thread = _fused(thread)
    if len(thread.factors) > 1:
        tail = thread.tail.then(axis_map)
        return Thread(() if tail.is_none else thread.factors, tail)
    (factor,) = thread.factors
    _, slot, above, via = factor
    if not above.is_identity and via.is_identity and axis_map.is_split:
        return Thread((Factor(None, slot, axis_map, above),))
    composed = above.then(axis_map)
    if composed.classic is not None:
        return Thread((Factor(None, slot, composed, via),))
    if composed.is_none:
        return Thread(())
    return _single(slot, composed, via)


def _single(slot: Slot | None, axis_map: AxisMap, via: AxisMap = IDENTITY) -> Thread:
    if axis_map.is_everything:  # What needs the whole axis follows nothing.
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
    """The threads of the coordinate ``// slot.inner % slot.size`` of its axis."""
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
    """Removes and returns the innermost factors whose sizes make up ``size``."""
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
    """A factor as an outer one and an inner one of ``inner`` positions."""
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
    """A part that cannot be told of an axis that follows so."""
    places = map(Slot, sorted(standing_axes((thread,))))
    found = [Thread((Factor(size, place, ANYWHERE),)) for place in places]
    return found or [Thread((Factor(size, None, ANYWHERE),))]


def _joined(parts: Sequence[Thread], sizes: Sequence[Size | None]) -> Thread:
    """One axis from the threads of its factors, outermost first."""
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
    """Neighbouring factors joined where that loses nothing."""
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
    """Two neighbouring slots of one axis, followed as they are, are one slot."""
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
    """Two factors that follow one axis of A as a single map, if there is one.

    Factors that are followed as they are, are better kept apart: a later op may
    put them back into their places.
    """
    if outer.is_identity and inner.is_identity and not always:
        return None
    axes = {f.slot.axis for f in (outer, inner) if f.slot is not None}
    count = inner.size
    if len(axes) > 1 or not isinstance(count, int):
        return None
    if inner.map.is_everything:  # All of an inner part are as many as it has.
        inner = Factor(count, None, constant(0, count - 1, inner.map.exact))
    total = None if outer.size is None else outer.size * count
    slot = Slot(axes.pop()) if axes else None
    if outer.slot == inner.slot or inner.slot is None or outer.slot is None:
        # What is constant starts from any position, also from one that ``via`` takes.
        if outer[1::2] != inner[1::2]:  # Slot and via.
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
        merged = merged.as_bound()  # Which of the one goes with which of the other?
    return Factor(total, slot, merged)


def _whole_map(factor: Factor) -> AxisMap | None:
    """The factor as a map from the whole axis of A, not from a slot of it."""
    slot, axis_map = factor.slot, _composed(factor)
    if slot is None or slot.is_whole:
        return axis_map
    if slot.size is not None:
        if not isinstance(slot.size, int) or slot.size > LARGEST_PERIOD:
            return None
        axis_map = remainder(slot.size).then(axis_map)
    if slot.inner == 1:
        return axis_map
    if not isinstance(slot.inner, int) or slot.inner > LARGEST_PERIOD:
        return None
    return quotient(slot.inner).then(axis_map)


def _composed(factor: Factor) -> AxisMap:
    return factor.via.then(factor.map)


def _fused(thread: Thread) -> Thread:
    """The thread as a single factor, if all its factors follow the same axis."""
    whole, *rest = thread.factors
    for factor in rest:
        joined = _fused_pair(whole, factor, always=True)
        if joined is None:
            return thread
        whole = joined
    return Thread((Factor(None, whole.slot, _composed(whole).then(thread.tail)),))


def source(axis: Axis) -> tuple[int | None, AxisMap]:
    """The axis of A that an axis of B follows, and how; a bound if it is not one.

    The first is None where nothing of A is followed, and the map constant.
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


# --- Union -----------------------------------------------------------------------


def united(one: Relation, two: Relation) -> Relation:
    """The relation of two paths from A to B.

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
    # Of paths of which one sees all that the other sees, that one tells all.
    within = next((r for r in (two, one) if axes == r.axes), None)
    if within is None:
        seen = tuple(map(_unmarked, axes))
        paths = (r for r in (two, one) if seen == tuple(map(_unmarked, r.axes)))
        within = next(paths, None)
    lost: frozenset[tuple[int, int]] = _NO_PARTS
    if within is None:
        # Where a path sees nothing on one axis, it sees nothing on the others.
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
    """What is seen of an axis, whatever stands for it."""
    return whole((), _everything(axis)) if any(map(_is_everything, axis)) else axis


def _places_of(relation: Relation, has: Callable[[AxisMap], bool]) -> set[int]:
    """The axes of A that are followed through a map of which something holds."""
    return {
        place
        for axis in relation.axes
        if any(has(factor.map) for thread in axis for factor in thread.factors)
        for place in followed_axes(axis)
    }


def _lost(places: Collection[int], axes: Sequence[Axis]) -> frozenset[tuple[int, int]]:
    """What is not told any more where paths that are united see nothing at some
    positions of axes of A: on other axes, which of the paths is seen."""
    return frozenset(
        (place, below)
        for place in places
        for below, axis in enumerate(axes)
        if followed_axes(axis) != {place}
    )


def all_seen(relation: Relation) -> Relation:
    """The relation to all that is seen, where padding shows what is inside; the same
    object where none does."""
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
    """``after``, with everything needed of each axis on which it differs."""
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
    """Whether all of an axis of B is needed, or may be."""
    if not relation.axes:
        return relation is ALL or relation is ALL_BOUND
    return any(map(_is_everything, relation.axes[axis]))


def mixes(relation: Relation, axis: int) -> bool:
    """Whether all of an axis of B is known to be needed, though perhaps not exactly."""
    return _mixes(relation.axes[axis]) if relation.axes else relation is ALL


def _thread_united(one: Thread, two: Thread) -> Thread | None:
    """Both as one thread, if they split the axis alike and follow the same slots."""
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
