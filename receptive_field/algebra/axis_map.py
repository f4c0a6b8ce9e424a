"""The algebra: how one axis of a tensor depends on one axis of another.

For every position u of an axis, an `AxisMap` gives the interval ``first(u) .. last(u)``
of another axis that u depends on, or nothing. Positions are integers, and may be
negative or past the end. Two operations are enough for any network: `AxisMap.then`
(one layer after another) and ``|`` (two paths that meet). This file knows nothing about
graphs, ops or names.

A map is a set of *strands*. The map's window at u is the hull of the strands' windows
at u. There are four kinds of strands:

* In a `Periodic` strand, ``first(u + period) = first(u) + advance``, and likewise for
  ``last``. A convolution (kernel k, stride s, padding p, dilation d) has period 1,
  advance s, first ``-p`` and last ``-p + d * (k - 1)``. The paper's r, S and P are
  ``last - first + 1``, ``advance`` and ``-first``. Transposed convolutions, upsampling,
  flips and broadcasts (advance 0) differ from it only in these numbers.
* A `Tabulated` strand has one entry per position, for maps without a small period (a
  gather, the inside of a mirrored padding). Positions outside the table depend on
  nothing.
* A `Floating` strand has an unknown offset (SAME padding of an input of unknown size).
  Only its rate and its extents are known.
* `Anywhere` means that any position may matter, because nothing is known. The other
  strands of the same map record the dependencies that are known (for example, those of
  a roll of an axis of unknown size). Only these other strands decide whether paths are
  aligned.

Strands with different rates (advance / period) cannot merge, so a map keeps them
separate. The ends of a window may be ``-inf`` and ``inf``: in `GLOBAL`, every position
depends on everything, and the windows of one-sided maps (cumulative sums) have one
infinite end. `NONE` has no strands.

Four attributes qualify the windows, so that an upper bound is never mistaken for an
exact result:

* ``exact``: whether both ends of every window are positions that really matter. If not,
  the windows are upper bounds. For example, floating strands may be merged without
  knowing whether their paths align. A window never leaves out a position that matters.
* ``gap``: the largest distance between two neighbouring positions that matter inside
  one window (1: no holes; inf: unknown). Dilation and strides make it larger than 1. If
  all windows are known and finite, a composition can lose exactness only because of
  gaps.
* ``seen``: a second map, for padding that repeats positions from inside (mirrored
  padding). The strands treat such padding like zero padding and determine the size,
  stride and padding of the map, while ``seen`` gives the positions that features really
  see. At each position, the window of the map is the hull of the strands' windows if
  this hull contains the ``seen`` window, and the ``seen`` window otherwise.
* ``aligned``: whether every two paths merged so far have the same rate and the same
  centre at every position (the paper's equations align_crit_1 and align_crit_2), or
  None if this is unknown because an offset is unknown.

Positions are Python integers or infinite, because the strides of deep graphs do not
fit in 64 bits.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard, cast

from receptive_field.arrays import np
from receptive_field.budget import COPIES_A_STEP, FREE, counted, kept, spend

if TYPE_CHECKING:
    from numpy.typing import NDArray

INFINITY = math.inf

Extended = int | float
"""A position, a size or a distance: an int, or ``-inf`` or ``inf``."""

Interval = tuple[Extended, Extended]
"""An inclusive interval ``(first, last)``."""

MaybeInterval = Interval | None
"""A window, or None if a position depends on nothing."""

EVERYTHING: Interval = (-INFINITY, INFINITY)


class Periodic(NamedTuple):
    """Windows that repeat: ``windows`` holds those of positions ``0 .. period - 1``,
    and each later period moves them by ``advance``."""

    advance: int
    windows: tuple[MaybeInterval, ...]
    gap: Extended = 1
    exact: bool = True

    @property
    def rate(self) -> Fraction:
        """Input positions per output position: the effective stride."""
        return Fraction(self.advance, len(self.windows))

    def window(self, position: int) -> MaybeInterval:
        """Returns the window of one position."""
        turns, phase = divmod(position, len(self.windows))
        window = self.windows[phase]
        return _shifted(window, turns * self.advance) if turns else window

    def written(self, turns: int) -> list[MaybeInterval]:
        """Returns the windows of the first positions, for so many periods."""
        period = len(self.windows)
        counted(range(turns * period))
        found = list(self.windows)
        for turn in range(1, turns):
            offset = turn * self.advance
            found += [_shifted(window, offset) for window in self.windows]
        return found

    def span(self, first: Extended, last: Extended) -> MaybeInterval:
        """Returns the hull of the windows of positions ``first .. last``."""
        period = len(self.windows)
        if isinstance(first, int) and isinstance(last, int):
            window = self.windows[0]
            if period == 1 and window is not None and first <= last:
                moved = first * self.advance, last * self.advance
                return _moved(window[0], min(moved)), _moved(window[1], max(moved))
            if last - first < 2 * period:
                return _hull(map(self.window, counted(range(first, last + 1))))
        # The outermost windows lie within one period of either end.
        ends: list[MaybeInterval] = []
        for end, direction in ((first, 1), (last, -1)):
            start = int(end) if _is_finite(end) else 0
            some = [self.window(start + direction * i) for i in counted(range(period))]
            if not _is_finite(end) and self.advance:
                far = -INFINITY if (direction > 0) == (self.advance > 0) else INFINITY
                some = [None if w is None else (far, far) for w in some]
            ends += some
        return _hull(ends)

    def readers(self, targets: NDArray[Any]) -> Iterator[tuple[Any, Any]]:
        """Yields, for each phase, the first and last position that reads each target.

        If no position of the phase reads a target, the first is larger than the last.
        """
        period, advance = len(self.windows), self.advance
        for phase, window in enumerate(self.windows):
            if window is None:
                continue
            (first, last), wanted, step = window, targets, advance
            if advance < 0:  # Mirror the strand so that it moves forwards.
                first, last, wanted, step = -last, -first, -targets, -advance
            if advance == 0:
                reads = (first <= targets) & (targets <= last)
                ends = np.where(reads, INFINITY, -INFINITY)
                yield -ends, ends
                continue
            # Solve first + t * step <= wanted <= last + t * step for the turns t.
            low = high = None
            if _is_finite(last):
                low = phase - period * ((last - wanted) // step)
            if _is_finite(first):
                high = phase + period * ((wanted - first) // step)
            yield (
                np.full(targets.shape, -INFINITY) if low is None else low,
                np.full(targets.shape, INFINITY) if high is None else high,
            )

    def is_monotone(self) -> bool:
        """Returns whether no window is empty and both ends always move the same way."""
        sequence = [*self.windows, self.window(len(self.windows))]
        return _is_monotone(sequence)

    def moves_back(self) -> bool:
        """Returns whether some window lies before the window of an earlier position.

        Both the first and the last position must be smaller than in the earlier window.
        If ``advance`` is negative, the windows are mirrored first.
        """
        some = [window for window in self.written(2) if window is not None]
        if self.advance < 0:
            some = [(-last, -first) for first, last in some]
        firsts, lasts = ([window[end] for window in some] for end in (0, 1))
        if firsts == sorted(firsts) and lasts == sorted(lasts):
            return False
        front: list[Interval] = []  # Earlier windows that none exceeds at both ends.
        for first, last in some:
            if any(first < low and last < high for low, high in front):
                return True
            front = [end for end in front if end[0] > first or end[1] > last]
            front.append((first, last))
            spend(len(front) // FEW_SPANS)
        return False


class Tabulated(NamedTuple):
    """One window per position, starting at ``start``; positions outside see nothing."""

    start: int
    windows: tuple[MaybeInterval, ...]
    gap: Extended = 1
    exact: bool = True

    def window(self, position: int) -> MaybeInterval:
        """Returns the window of one position."""
        index = position - self.start
        return self.windows[index] if 0 <= index < len(self.windows) else None

    def readers(self, targets: NDArray[Any]) -> Iterator[tuple[Any, Any]]:
        """Yields, for each entry, the first and last position that reads each target.

        The entry itself is the only position that can read a target. If it does not,
        the first position is larger than the last.
        """
        for position, window in enumerate(self.windows, self.start):
            if window is not None:
                reads = (window[0] <= targets) & (targets <= window[1])
                first, last = (np.where(reads, position, e) for e in EVERYTHING[::-1])
                yield first, last

    def span(self, first: Extended, last: Extended) -> MaybeInterval:
        """Returns the hull of the windows of positions ``first .. last``."""
        low = max(first - self.start, 0)
        high = min(last - self.start, len(self.windows) - 1)
        if low > high:
            return None
        spend(int(high - low) // COPIES_A_STEP)
        return _hull(self.windows[int(low) : int(high) + 1])


class Unknown(NamedTuple):
    """An unknown number between ``least`` and ``most``."""

    name: Hashable
    least: Extended | Fraction = -INFINITY
    most: Extended | Fraction = INFINITY


LONGEST_EXTENTS = 16
"""The most entries of `Extents.several`. Longer lists are replaced by upper bounds."""


class Extents(NamedTuple):
    """Upper bounds on the size of the hull of the windows of n neighbouring
    positions."""

    one: int
    """The upper bound for a single position. It may be less than ``several[0]``."""
    several: tuple[int, ...]
    """The upper bounds for 1, 2, ... neighbours. After its end, the list is repeated,
    and each repetition adds ``advance``."""
    advance: int

    def __call__(self, count: int) -> int:
        """Returns the upper bound for ``count`` neighbours."""
        if count == 1:
            return self.one
        rounds, rest = divmod(count - 1, len(self.several))
        return self.several[rest] + rounds * self.advance

    def then(self, other: Extents) -> Extents:
        """Returns the extents of a map with these extents, followed by another map.

        ``other`` gives the extents of the second map.
        """
        length, step = len(self.several), len(other.several)
        rounds = step // math.gcd(self.advance, step)
        several = tuple(
            other.at_most(self.at_most(n + 1)) for n in range(length * rounds)
        )
        advance = self.advance * rounds * other.advance // step
        return Extents(other(self.one), tuple(several), advance).shortest()

    def at_most(self, count: int) -> int:
        """Returns the upper bound from ``several`` for ``count`` neighbours.

        Unlike calling the object, this does not use ``one`` for a single position.
        """
        rounds, rest = divmod(count - 1, len(self.several))
        return self.several[rest] + rounds * self.advance

    def shortest(self) -> Extents:
        """Returns the same extents with ``several`` as short as possible.

        If the list is still longer than `LONGEST_EXTENTS`, it is replaced by a shorter
        list of larger upper bounds.
        """
        length = len(self.several)
        for period in range(1, length):
            step = self.advance * period // length
            if length % period == 0 and self.advance * period % length == 0:
                pairs = zip(self.several, self.several[period:], strict=False)
                if all(b - a == step for a, b in pairs):
                    return Extents(self.one, self.several[:period], step)
        if length <= LONGEST_EXTENTS:
            return self
        rate = Fraction(self.advance, length)
        more = max(math.ceil(n - i * rate) for i, n in enumerate(self.several))
        several = (more + math.ceil(i * rate) for i in range(LONGEST_EXTENTS))
        advance = math.ceil(rate * LONGEST_EXTENTS)
        return Extents(self.one, tuple(several), advance)

    def written_out(self, length: int) -> tuple[int, ...]:
        """Returns the upper bounds from ``several`` for 1 to ``length`` neighbours."""
        return tuple(self.at_most(n + 1) for n in range(length))


class Drift(NamedTuple):
    """A map whose rate depends on the size of the axis and approaches a limit."""

    always: bool
    """Whether the rate differs from the limit at every size."""

    least: Fraction | int
    """The window of position u begins between ``u * rate + least`` and
    ``u * rate + most``, where ``rate`` is the limit."""
    most: Fraction | int
    extents: Extents


class Either(NamedTuple):
    """The name of an unknown number: the start of the hull of several strands."""

    strands: frozenset[tuple[int, Extents, Unknowns]]
    """The first position, extents and unknowns of each strand."""
    extents: Extents


Unknowns = frozenset[tuple[Unknown, int]]
"""A sum of unknown numbers, each multiplied by a factor."""


class Floating(NamedTuple):
    """A strand whose offset is unknown.

    The window of position u begins at ``first + u * rate`` plus the sum of the
    ``unknowns``. Two strands with the same unknowns can therefore be compared.
    """

    rate: Fraction | int | None
    """None if the rate differs between sizes."""
    first: int
    extents: Extents
    unknowns: Unknowns
    gap: Extended = 1
    exact: bool = True
    drifts: bool | None = False
    """False if the strand has this ``rate`` at every size. Otherwise, ``rate`` is only
    the limit for large sizes, and ``drifts`` is True if the strand has this rate at no
    size, or None if it may have it at some sizes."""

    def standing(self) -> Periodic | None:
        """Returns the strand with all unknowns set to zero.

        Returns None unless the strand is like a classic layer: all windows have the
        same size, and the stride is an integer other than 0.
        """
        if not isinstance(self.rate, int) or not self.rate or self.drifts is not False:
            return None
        one, several, _ = self.extents
        if several != (one,):
            return None
        window = self.first, self.first + one - 1
        return Periodic(self.rate, (window,), self.gap, self.exact)

    def starts(self) -> tuple[Any, Any]:
        """Returns the least and greatest possible start of u's window minus
        ``u * rate``."""
        return _between(self.first, self.unknowns)


class Anywhere(NamedTuple):
    """A strand about which nothing is known: any position may be seen."""

    gap: Extended = 1
    exact: bool = False

    @property
    def windows(self) -> tuple[MaybeInterval, ...]:
        """The one window that all positions share."""
        return (EVERYTHING,)

    def window(self, position: int) -> MaybeInterval:
        """Returns all positions, as an upper bound."""
        return EVERYTHING

    def span(self, first: Extended, last: Extended) -> MaybeInterval:
        """Returns all positions, as an upper bound."""
        return EVERYTHING

    def readers(self, targets: NDArray[Any]) -> Iterator[tuple[Any, Any]]:
        """Yields all positions for each target, because any position may read it."""
        ends = np.full(targets.shape, INFINITY, dtype=object)
        yield -ends, ends


Strand = Periodic | Tabulated | Floating | Anywhere


def _classic(strands: tuple[Strand, ...]) -> Periodic | None:
    """Returns the only strand if it describes a classic convolutional layer.

    The strand must have period 1, a positive stride and a finite window. Otherwise, or
    if there are several strands, returns None.
    """
    if len(strands) != 1:
        return None
    (strand,) = strands
    if type(strand) is not Periodic or strand.advance <= 0 or len(strand.windows) != 1:
        return None
    (window,) = strand.windows
    finite = window is not None and type(window[0]) is type(window[1]) is int
    return strand if finite else None


def _has_everything(strands: tuple[Strand, ...]) -> bool:
    for strand in strands:
        if type(strand) is Periodic and strand.windows == (EVERYTHING,):
            return True
    return False


def _length(axis_map: AxisMap) -> int:
    """Returns how many windows a map lists."""
    if axis_map.classic is not None:
        return 1
    return sum(len(s.windows) for s in axis_map.strands if not isinstance(s, Floating))


LONG = 64
"""If two maps list more windows, the result is kept until the answer is there."""

SIZE_OF_FLOATING = 256
"""How much room a strand with an unknown offset takes, in numbers (see `kept`)."""


class AxisMap:
    """A map from each position of one axis to the interval that it sees of another.

    Make maps with the functions of this module (`convolution`, `shift`, ...), and
    combine them with `then` and ``|``. Instances are immutable and hashable.

    >>> layer = convolution(kernel=3, stride=2, padding=1)
    >>> layer.then(layer).window(5)   # positions of the input that feature 5 sees
    (17, 23)
    """

    __slots__ = (
        "_has_empty",
        "_hash",
        "_moves_back",
        "aligned",
        "classic",
        "is_global",
        "is_identity",
        "seen",
        "strands",
    )

    strands: tuple[Strand, ...]
    aligned: bool | None
    seen: AxisMap | None

    def __init__(
        self,
        strands: tuple[Strand, ...],
        aligned: bool | None = True,
        seen: AxisMap | None = None,
        is_identity: bool = False,
    ) -> None:
        self.strands = strands
        self.aligned = aligned
        self.seen = seen
        self.classic = _classic(strands) if seen is None else None
        """The only strand if it describes a classic layer; otherwise None."""
        self.is_global = self.classic is None and _has_everything(strands)
        """Whether every position depends, or may depend, on the whole axis, because an
        op mixes the axis."""
        self.is_identity = is_identity
        """Whether the map leaves the whole axis unchanged. A crop at the end also maps
        positions to themselves, but it leaves some positions out and therefore does not
        count."""
        self._hash: int | None = None
        self._has_empty: bool | None = None
        self._moves_back: bool | None = None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, AxisMap):
            return NotImplemented
        if self.aligned != other.aligned or self.strands != other.strands:
            return False
        if self.seen != other.seen or self.is_identity != other.is_identity:
            return False
        # A `Tabulated` and a `Periodic` are tuples, so they may compare equal.
        return [*map(type, self.strands)] == [*map(type, other.strands)]

    def __hash__(self) -> int:
        if self._hash is None:
            key = self.strands, self.aligned, self.seen, self.is_identity
            self._hash = hash(key)
        return self._hash

    def __repr__(self) -> str:
        seen = "" if self.seen is None else f", seen={self.seen}"
        return f"AxisMap({list(self.strands)}, aligned={self.aligned}{seen})"

    @property
    def exact(self) -> bool:
        """Whether both ends of every window are positions that really matter."""
        told = self.seen is None or self.seen.exact
        return told and all(strand.exact for strand in self.strands)

    @property
    def has_empty(self) -> bool:
        """Whether some positions depend, or may depend, on nothing."""
        if self._has_empty is None:
            tables = all(isinstance(strand, Tabulated) for strand in self.strands)
            self._has_empty = tables or self.has_holes
        return self._has_empty

    @property
    def has_holes(self) -> bool:
        """Whether a strand has empty windows; those outside a table do not count."""
        return any(
            not isinstance(strand, Floating) and None in strand.windows
            for strand in self.strands
        )

    @property
    def moves_back(self) -> bool:
        """Whether windows move backwards in some places and forwards in others.

        An example is a permutation. Past the last position, the windows of such a map
        may lie anywhere.
        """
        if self.classic is not None:
            return False
        if self._moves_back is None:
            periodic_ones = (s for s in self.strands if isinstance(s, Periodic))
            self._moves_back = any(s.moves_back() for s in periodic_ones)
        return self._moves_back

    @property
    def has_phases(self) -> bool:
        """Whether the distance from ``u * rate`` to the window of u varies with u."""
        if self.classic is not None:
            return False
        return any(
            strand.standing() is None
            if isinstance(strand, Floating)
            else not isinstance(strand, Periodic) or len(strand.windows) > 1
            for strand in self.strands
        )

    @property
    def is_split(self) -> bool:
        """Whether the map may select one part of a merged axis.

        Examples are `quotient` and `remainder`.
        """
        if self.classic is not None or len(self.strands) != 1:
            return False
        (strand,) = self.strands
        return (
            isinstance(strand, Periodic)
            and len(strand.windows) > 1
            and all(w is not None and w[0] == w[1] for w in strand.windows)
        )

    @property
    def is_none(self) -> bool:
        """Whether no position depends on anything."""
        return not self.strands

    @property
    def is_unbounded(self) -> bool:
        """Whether any position may be seen, because something is unknown."""
        return self.classic is None and any(
            type(strand) is Anywhere for strand in self.strands
        )

    @property
    def is_everything(self) -> bool:
        """Whether every position sees, or may see, the whole axis."""
        if self.classic is not None:
            return False
        return self.is_global or (len(self.strands) == 1 and self.is_unbounded)

    @property
    def is_constant(self) -> bool:
        """Whether all positions see the same interval."""
        if self.classic is not None or len(self.strands) != 1:
            return False
        (strand,) = self.strands
        return (
            isinstance(strand, Periodic)
            and not strand.rate
            and len(strand.windows) == 1
        )

    @property
    def is_floating(self) -> bool:
        """Whether windows cannot be computed, because an offset is unknown."""
        if self.classic is not None:
            return False
        floating = any(type(strand) is Floating for strand in self.strands)
        return floating and not self.is_unbounded

    @property
    def drifts(self) -> bool:
        """Whether the rate depends on the size of the axis."""
        return any(
            isinstance(strand, Floating)
            and (strand.drifts is not False or strand.rate is None)
            for strand in self.strands
        )

    @property
    def reach(self) -> Extended:
        """An upper bound on the distance from ``u * rate`` to both ends of u's window.

        Tables and `Anywhere` are ignored, because they do not determine where the
        features lie.
        """
        most: Extended = 0
        for strand in self.strands:
            if isinstance(strand, Floating):
                low, high = strand.starts()
                ends = [low, high + strand.extents.one]
            elif isinstance(strand, Periodic):
                turn = abs(strand.advance)
                ends = [e + turn for w in strand.windows for e in map(abs, w or ())]
            else:
                continue
            most = max(most, *map(abs, ends))
        return most

    @property
    def rates(self) -> tuple[Fraction, ...]:
        """The different rates of the strands, ascending; tables have no rate."""
        if self.classic is not None:
            return (self.classic.rate,)
        strands = (s for s in self.strands if isinstance(s, (Periodic, Floating)))
        return tuple(sorted({Fraction(s.rate) for s in strands if s.rate is not None}))

    def follows_pattern(self, count: int | None = None) -> bool:
        """Returns whether the only periodic strand covers what every position sees.

        A table may list further windows, for example those of the positions that a roll
        moves to the other end. The windows of the strand must contain these windows. If
        ``count`` is given, only positions ``0 .. count - 1`` are checked. Returns True
        if there is no table, or if there is not exactly one periodic strand.
        """
        if self.classic is not None:
            return True
        tables = [s for s in self.strands if isinstance(s, Tabulated)]
        patterns = [s for s in self.strands if isinstance(s, Periodic)]
        if not tables or len(patterns) != 1:
            return True
        (pattern,) = patterns
        spend(sum(len(strand.windows) for strand in tables))
        return all(
            _hull((window, pattern.window(u))) == pattern.window(u)
            for strand in tables
            for u, window in enumerate(strand.windows, strand.start)
            if u >= 0 and (count is None or u < count)
        )

    def then(self, other: AxisMap) -> AxisMap:
        """Returns the composition: this map, followed by ``other``."""
        if other.is_identity or not self.strands:
            return self
        if self.is_identity or not other.strands:
            return other
        if self.classic is not None and other.classic is not None:
            return _classic_then(
                self.classic, other.classic, self.aligned, other.aligned
            )
        length = _length(self) + _length(other)
        found = (
            kept(length, _then, self, other) if length > LONG else _then(self, other)
        )
        if self.seen is other.seen is None:
            return found
        return found.showing(self.all_seen.then(other.all_seen))

    def __or__(self, other: AxisMap) -> AxisMap:
        """Returns the map of two paths that meet: each window is the hull of theirs."""
        if self is other or not other.strands:
            return self
        if not self.strands:
            return other
        length = _length(self) + _length(other)
        found = (
            kept(length, _union, self, other) if length > LONG else _union(self, other)
        )
        if self.seen is other.seen is None:
            whole = self if self.is_identity else other
            if whole.is_identity and found.strands == whole.strands:
                return whole.with_alignment(found.aligned)
            return found
        return found.showing(self.all_seen | other.all_seen)

    @property
    def all_seen(self) -> AxisMap:
        """The map of what is really seen: ``seen``, or this map if ``seen`` is None."""
        return self if self.seen is None else self.seen

    @property
    def placed(self) -> AxisMap:
        """This map without ``seen``, which does not affect where features lie."""
        return AxisMap(self.strands, self.aligned)

    def showing(self, seen: AxisMap) -> AxisMap:
        """Returns this map with ``seen`` as the map of what is really seen.

        A map that sees, or may see, everything is returned unchanged. If one of the two
        maps is empty, returns ``seen``.
        """
        if not self.strands or not seen.strands:
            return seen
        if self.is_global or self.is_unbounded:
            return self
        return AxisMap(self.strands, self.aligned, seen)

    def with_alignment(self, aligned: bool | None) -> AxisMap:
        """Returns this map with ``aligned`` replaced."""
        if aligned is self.aligned:
            return self
        return AxisMap(self.strands, aligned, self.seen, self.is_identity)

    def window(self, position: int) -> MaybeInterval:
        """Returns the window of one position, or None if it depends on nothing.

        Raises:
          ValueError: if an offset is unknown.
        """
        found = None
        for strand in self._placed():
            found = _hull((found, strand.window(position)))
        if self.seen is not None:
            shown = self.seen.window(position)
            return found if _hull((found, shown)) == found else shown
        return found

    def _placed(self) -> Sequence[Periodic | Tabulated | Anywhere]:
        """Returns the strands that determine the windows.

        These are all strands, or only the `Anywhere` strand if the map has one.

        Raises:
          ValueError: if an offset is unknown and there is no `Anywhere`.
        """
        for strand in self.strands:
            if type(strand) is Anywhere:
                return (strand,)
        if self.is_floating:
            raise ValueError("the offset of this map is unknown")
        return cast("Sequence[Periodic | Tabulated]", self.strands)

    def span(self, first: Extended, last: Extended) -> MaybeInterval:
        """Returns the hull of all positions that ``first .. last`` depend on.

        Raises:
          ValueError: if an offset is unknown.
        """
        found = _hull(strand.span(first, last) for strand in self._placed())
        if self.seen is None:
            return found
        return _hull((found, self.seen.span(first, last)))

    def hull(self, first: int, last: int) -> MaybeInterval:
        """Returns the hull of the windows of positions ``first .. last``.

        It differs from `span` if the map has a ``seen`` map, because the window of a
        position may then leave out the windows of the strands.

        Raises:
          ValueError: if an offset is unknown.
        """
        if self.seen is None:
            return self.span(first, last)
        return _hull(map(self.window, counted(range(first, last + 1))))

    def size(self, count: int | None = None) -> Extended:
        """Returns the size of the largest window.

        If there are tables or strands of different rates, and ``count`` is given, only
        the windows of positions ``0 .. count - 1`` are compared. Strands of different
        rates move apart without limit, so the size is infinite if ``count`` is None.
        """
        if not self.strands:
            return 0
        if self.classic is not None:
            ((first, last),) = cast("tuple[Interval]", self.classic.windows)
            return last - first + 1
        if self.is_unbounded:
            return INFINITY
        drifting = len(self.rates) > 1
        if self.is_floating:
            if drifting or len(self.strands) > 1:
                return INFINITY
            (strand,) = self.strands
            return strand.extents.one  # type: ignore[union-attr]
        if drifting and count is None:
            return INFINITY
        tables = [s for s in self.strands if isinstance(s, Tabulated)]
        patterns = [s for s in self.strands if isinstance(s, Periodic)]
        if not tables and len(patterns) == 1:
            return _largest(patterns[0].windows)
        period = math.lcm(*(len(s.windows) for s in patterns))
        start = min((t.start for t in tables), default=0)
        stop = max((t.start + len(t.windows) for t in tables), default=0) + period
        if count is None:
            places = [range(start, stop)]
        elif count <= 2 * period + stop - start:
            places = [range(count)]
        else:
            # Strands move apart evenly, so outside the tables, they are furthest apart
            # within one period of either end.
            inside = range(max(start - period, 0), min(stop, count))
            places = [range(period), inside, range(count - period, count)]
        visited = itertools.chain.from_iterable(map(counted, places))
        return _largest(map(self.placed.window, visited))

    def evaluate(self, positions: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns the first and the last position that each of the ``positions`` sees.

        An empty window is (inf, -inf). Both arrays have the shape of ``positions``.
        Their dtype is int64 if all strands are periodic, ``seen`` is None, and no
        window is empty, infinite or too large. Otherwise it is object (Python integers
        and infinities).

        Raises:
          ValueError: if an offset is unknown.
        """
        fast = self._evaluate_classic(positions) if self.seen is None else None
        if fast is not None:
            return fast
        flat = [self.window(int(p)) or (INFINITY, -INFINITY) for p in positions.flat]
        firsts, lasts = (np.empty(len(flat), dtype=object) for _ in range(2))
        firsts[:] = [first for first, _ in flat]
        lasts[:] = [last for _, last in flat]
        return firsts.reshape(positions.shape), lasts.reshape(positions.shape)

    def inverse(self, targets: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns the first and the last position that depends on each of the targets.

        A position is taken to depend on everything inside the windows of its strands.
        If no position depends on a target, the first is inf and the last is -inf.

        Raises:
          ValueError: if an offset is unknown.
        """
        wanted = targets.astype(object)  # Python integers cannot overflow.
        firsts = np.full(targets.shape, INFINITY, dtype=object)
        lasts = np.full(targets.shape, -INFINITY, dtype=object)
        for strand in self._placed():
            for low, high in strand.readers(wanted):
                some = low <= high
                firsts = np.where(some, np.minimum(firsts, low), firsts)
                lasts = np.where(some, np.maximum(lasts, high), lasts)
        if self.seen is not None:
            low, high = self.seen.inverse(targets)
            firsts, lasts = np.minimum(firsts, low), np.maximum(lasts, high)
        return firsts, lasts

    def _evaluate_classic(
        self, positions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Evaluates finite periodic strands in int64.

        Returns None for any other strand, or if the numbers may not fit.
        """
        ends: list[tuple[NDArray[Any], NDArray[Any]]] = []
        largest = int(np.abs(positions).max(initial=0)) + 1
        for strand in self.strands:
            if type(strand) is not Periodic or None in strand.windows:
                return None
            numbers = [end for w in strand.windows if w is not None for end in w]
            if not _is_finite(*numbers):
                return None
            reach = max(map(abs, numbers)) + abs(strand.advance) * largest
            if reach >= 2**62:
                return None
            turns, phases = np.divmod(positions, len(strand.windows))
            table = np.array(strand.windows, dtype=np.int64)[phases]
            moved = turns * strand.advance
            ends.append((table[..., 0] + moved, table[..., 1] + moved))
        if not ends:
            return None
        firsts, lasts = ends[0]
        for more_firsts, more_lasts in ends[1:]:
            firsts = np.minimum(firsts, more_firsts)
            lasts = np.maximum(lasts, more_lasts)
        return firsts, lasts

    def interleave(self, inner: AxisMap, count: int) -> AxisMap:
        """Returns the map to ``outer * count + inner``, where this map gives ``outer``.

        Both maps start from the same axis. The target axis is a merge of an outer and
        an inner axis (einops: ``(outer inner)``). The inner axis has ``count``
        positions.
        """
        merged = NONE
        for outer_strand in self.strands:
            for inner_strand in inner.strands:
                merged |= _interleaved(outer_strand, inner_strand, count)
        aligned = _all_aligned((merged.aligned, self.aligned, inner.aligned))
        found = merged if merged.is_none else AxisMap(merged.strands, aligned)
        if self.seen is inner.seen is None:
            return found
        return found.showing(self.all_seen.interleave(inner.all_seen, count))

    def with_unknown_offset(
        self,
        unknown: Hashable,
        least: Extended | Fraction = -INFINITY,
        most: Extended | Fraction = INFINITY,
        factor: int = 1,
    ) -> AxisMap:
        """Returns this map moved by ``factor`` times an unknown number.

        The number lies in ``least .. most``, and ``unknown`` identifies it: in all
        maps, the same ``unknown`` stands for the same number. If the map has a table or
        an infinite window, the result is `ANYWHERE`.
        """
        whole = NONE
        for strand in self.strands:
            if isinstance(strand, Tabulated) or (
                isinstance(strand, Periodic) and not _has_finite_windows(strand)
            ):
                return ANYWHERE
            if isinstance(strand, Anywhere):
                whole |= AxisMap((strand,), None)
                continue
            floated = _floated(strand)
            named = Unknown(unknown, least, most)
            if floated.standing() is None:
                low, high = floated._replace(first=0).starts()
                named = Unknown((unknown, strand), low + least, high + most)
            unknowns = _sum(frozenset({(named, factor)}), floated.unknowns, 1)
            whole |= AxisMap((floated._replace(unknowns=unknowns),))
        return AxisMap(whole.strands, self.aligned)

    def beside_anything(self) -> AxisMap:
        """Returns this map with an `Anywhere` strand: any position may be seen."""
        return AxisMap((*self.strands, Anywhere()), self.aligned)

    def with_drift(self, unknown: Hashable, moved: Drift) -> AxisMap:
        """Returns this map, stretched a little by an amount that depends on the size.

        The map must have a single periodic strand.

        Args:
          unknown: a name for the amount.
          moved: the description of the stretched map.
        """
        (strand,) = self.strands
        assert isinstance(strand, Periodic)
        named = Unknown(unknown, moved.least, moved.most)
        unknowns: Unknowns = frozenset({(named, 1)})
        rate = _plain(strand.rate)
        always = moved.always or None
        floating = Floating(
            rate, 0, moved.extents, unknowns, INFINITY, exact=False, drifts=always
        )
        return AxisMap((floating,), self.aligned)

    def as_bound(self) -> AxisMap:
        """Returns this map, marked as an upper bound."""
        strands = tuple(strand._replace(exact=False) for strand in self.strands)
        seen = None if self.seen is None else self.seen.as_bound()
        return AxisMap(strands, self.aligned, seen)


# --- The maps that layers are made of --------------------------------------------


@lru_cache(maxsize=4096)
def convolution(
    kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> AxisMap:
    """Returns the map of a convolution or a pooling layer.

    Position u has its taps at ``u * stride - padding + dilation * i``. ``padding`` is
    the padding before the first position.

    >>> convolution(kernel=3, stride=2, padding=1).window(0)
    (-1, 1)
    """
    last = dilation * (kernel - 1)
    gap = dilation if kernel > 1 else 1
    return AxisMap((Periodic(stride, ((-padding, last - padding),), gap),))


def transposed_convolution(
    kernel: int, stride: int, padding: int = 0, dilation: int = 1
) -> AxisMap:
    """Returns the transpose (gradient) of a `convolution` with the same parameters.

    Position u depends on every v that has a tap i with
    ``v * stride - padding + dilation * i = u``.

    >>> transposed_convolution(kernel=2, stride=2).window(5)
    (2, 2)
    """
    # Taps i with ``dilation * i`` equal modulo the stride lie ``apart`` taps apart.
    step = math.gcd(dilation, stride)
    apart = stride // step
    inverse = pow(dilation // step, -1, apart)
    windows: list[MaybeInterval] = []
    gap: Extended = 1
    for u in counted(range(stride)):
        place, rest = divmod(u + padding, step)
        first = place * inverse % apart
        if rest or first >= kernel:
            windows.append(None)
            continue
        last = first + (kernel - 1 - first) // apart * apart
        ends = (u + padding - dilation * i for i in (last, first))
        low, high = (end // stride for end in ends)
        windows.append((low, high))
        if low != high:
            gap = dilation // step
    return _single(Periodic(1, tuple(windows), gap))


def shift(offset: int) -> AxisMap:
    """Returns the map from u to ``u + offset``.

    This is the map of a crop or, if ``offset`` is negative, of zero padding.

    >>> shift(2).window(0)
    (2, 2)
    """
    return convolution(1, 1, -offset)


def sampling(start: int, step: int) -> AxisMap:
    """Returns the map from u to ``start + u * step``, as of a strided slice or a flip.

    >>> sampling(start=9, step=-1).window(0)
    (9, 9)
    """
    return AxisMap((Periodic(step, ((start, start),)),))


def constant(first: Extended, last: Extended, exact: bool = True) -> AxisMap:
    """Returns the map from every position to the same interval.

    >>> constant(0, 0).window(7)
    (0, 0)
    """
    return AxisMap((Periodic(0, ((first, last),), 1, exact),))


def periodic(
    advance: int,
    windows: Iterable[MaybeInterval],
    gap: Extended = 1,
    exact: bool = True,
) -> AxisMap:
    """Returns the map that repeats these windows, reduced to its smallest period.

    >>> periodic(1, [(0, 0), (0, 0)]).window(5)   # nearest upsampling by two
    (2, 2)
    """
    return _single(Periodic(advance, tuple(windows), gap, exact))


LONGEST_WRITTEN = 1 << 20
"""The longest axis of a tensor that an op writes out as a `table`.

Rules give the upper bound that holds at every size for longer ones."""


def table(
    windows: Iterable[MaybeInterval],
    start: int = 0,
    gap: Extended = 1,
    exact: bool = True,
) -> AxisMap:
    """Returns the map with one window per position, starting at ``start``.

    >>> table([(2, 2), (1, 1), (0, 0)]).window(0)
    (2, 2)
    """
    return _single(Tabulated(start, tuple(windows), gap, exact))


def selection(chosen: Iterable[bool]) -> AxisMap:
    """Returns the map in which chosen positions see themselves and others see nothing.

    >>> selection([True, False]).window(0), selection([True, False]).window(1)
    ((0, 0), None)
    """
    # Empty windows at the ends are kept, so that they count as holes.
    windows = ((u, u) if flag else None for u, flag in enumerate(chosen))
    return AxisMap((Tabulated(0, tuple(windows)),))


def one_sided(first: Extended = -INFINITY, last: Extended = INFINITY) -> AxisMap:
    """Returns a map whose windows are unbounded at one end.

    For example, ``one_sided(last=0)`` is the map of a cumulative sum.

    >>> one_sided(last=0).window(3)
    (-inf, 3)
    """
    return AxisMap((Periodic(1, ((first, last),)),))


def piecewise(pieces: Iterable[tuple[range, AxisMap]], total: int) -> AxisMap:
    """Returns a map that follows a different map on each of several ranges.

    The ranges must not overlap, and must lie in ``0 .. total - 1``. If the windows of
    all ``total`` positions repeat with a period, they continue to repeat in the result
    after the last of these positions.

    >>> piecewise([(range(2), shift(5)), (range(2, 4), shift(5))], 4) == shift(5)
    True

    Raises:
      ValueError: if an offset is unknown.
    """
    pieces = list(pieces)
    found = _piecewise([(us, m.placed) for us, m in pieces], total)
    if all(m.seen is None for _, m in pieces):
        return found
    return found.showing(_piecewise([(us, m.all_seen) for us, m in pieces], total))


def _piecewise(pieces: Iterable[tuple[range, AxisMap]], total: int) -> AxisMap:
    spend(total)
    windows: list[MaybeInterval] = [None] * total
    gap: Extended = 1
    exact = True
    flags: list[bool | None] = []
    for positions, axis_map in pieces:
        for u in positions:
            windows[u] = axis_map.window(u)
        gap = max([gap, *(strand.gap for strand in axis_map.strands)])
        exact &= axis_map.exact
        flags.append(axis_map.aligned)
        if len(axis_map.strands) > 1:  # The gap between two strands is unknown.
            gap = INFINITY
    even = _evenly(windows)
    strand: Periodic | Tabulated = Tabulated(0, tuple(windows), gap, exact)
    if even is not None:
        strand = even._replace(gap=gap, exact=exact)
    found = _single(strand)
    return found if found.is_none else AxisMap(found.strands, _all_aligned(flags))


LONGEST_PIECED_PERIOD = 64
"""The longest period that `piecewise` looks for in the windows of its pieces."""


def _evenly(windows: Sequence[MaybeInterval]) -> Periodic | None:
    """Returns the strand with the shortest period that produces all windows, or None.

    The windows must cover at least two full periods, unless there is only one window.
    """
    total = len(windows)
    if total == 1:
        return Periodic(0, tuple(windows))
    # No window has these ends, which stay as they are if something is added to them.
    ends = [(INFINITY, -INFINITY) if window is None else window for window in windows]
    firsts, lasts = [first for first, _ in ends], [last for _, last in ends]
    # A whole period without windows would be repeated everywhere.
    hole = max(_lengths_of_holes(windows), default=0)
    for period in range(hole + 1, min(total // 2, LONGEST_PIECED_PERIOD) + 1):
        some = next(i for i in range(period) if windows[i] is not None)
        one, two = windows[some], windows[some + period]
        if one is None or two is None:
            continue
        end = next((e for e in (0, 1) if _is_finite(one[e], two[e])), None)
        advance = 0 if end is None else int(two[end]) - int(one[end])
        if _repeats(firsts, period, advance) and _repeats(lasts, period, advance):
            return Periodic(advance, tuple(windows[:period]))
    return None


def _lengths_of_holes(windows: Sequence[MaybeInterval]) -> Iterator[int]:
    """Yields how many windows without positions follow one another, for each run."""
    for empty, run in itertools.groupby(windows, lambda window: window is None):
        if empty:
            yield sum(1 for _ in run)


def _repeats(ends: Sequence[Extended], period: int, advance: int) -> bool:
    """Returns whether each end is that of one period before, plus ``advance``."""
    pairs = zip(ends, ends[period:], strict=False)
    return all(one + advance == two for one, two in pairs)


@lru_cache(maxsize=16)  # They have as many windows as the divisor says.
def quotient(divisor: int) -> AxisMap:
    """Returns the map from u to ``u // divisor``: the outer part of a merged axis."""
    return periodic(1, [(0, 0) for _ in counted(range(divisor))])


@lru_cache(maxsize=16)
def remainder(divisor: int) -> AxisMap:
    """Returns the map from u to ``u % divisor``: the inner part of a merged axis."""
    return periodic(0, [(i, i) for i in counted(range(divisor))])


NONE = AxisMap(())
"""No dependency. ``NONE | m`` is m, and ``NONE.then(m)`` is NONE."""

IDENTITY = AxisMap((Periodic(1, ((0, 0),)),), is_identity=True)
"""Every position depends on itself, and no position is left out."""

GLOBAL = AxisMap((Periodic(0, (EVERYTHING,)),))
"""Every position depends on the whole axis."""

GLOBAL_BOUND = AxisMap((Periodic(0, (EVERYTHING,), 1, False),))
"""Like `GLOBAL`, but an upper bound: possibly, not all positions of the axis matter."""

ANYWHERE = AxisMap((Anywhere(),), None)
"""Nothing is known: any position may matter."""


# --- Composition -----------------------------------------------------------------


def _then(first: AxisMap, second: AxisMap) -> AxisMap:
    if len(first.strands) == 1 and len(second.strands) == 1:
        composed = _composed(first.strands[0], second.strands[0])
        if not composed.strands or composed.is_global:
            return composed
        aligned = _all_aligned((first.aligned, second.aligned, composed.aligned))
        same = composed.aligned is aligned
        return composed if same else AxisMap(composed.strands, aligned)
    whole = NONE
    for one in first.strands:
        for two in second.strands:
            whole |= _composed(one, two)
    if whole.is_none or whole.is_global:
        return whole
    flags = [first.aligned, second.aligned]
    if whole.is_unbounded and not _known_strands(whole.strands):
        flags.append(None)
    return AxisMap(whole.strands, _all_aligned(flags))


@lru_cache(maxsize=4096)
def _classic_then(one: Periodic, two: Periodic, *aligned: bool | None) -> AxisMap:
    # Cached, because the axes of an image usually have the same maps.
    return AxisMap((_classic_step(one, two),), _all_aligned(aligned))


def _classic_step(one: Periodic, two: Periodic) -> Periodic:
    """Composes the strands of two classic layers.

    See the paper's equations rf_loc_recurrence_u and rf_loc_recurrence_v.
    """
    first, last = cast("Interval", one.windows[0])
    low, high = cast("Interval", two.windows[0])
    if two.advance < 0:  # On a mirrored axis, the last position comes first.
        first, last = last, first
    advance, gap, exact = one.advance, one.gap, one.exact
    stride, inner_gap, inner_exact = two.advance, two.gap, two.exact
    if first == last:
        gap = inner_gap
    elif gap != INFINITY:
        gap = max(inner_gap, gap * abs(stride) - (high - low))
    return Periodic(
        advance * stride,
        ((first * stride + low, last * stride + high),),
        gap,
        exact and inner_exact,
    )


def _composed(one: Strand, two: Strand) -> AxisMap:
    if isinstance(one, Anywhere):
        return _anywhere_then(two)
    if isinstance(two, Anywhere):
        everywhere = isinstance(one, Periodic) and one.windows == (EVERYTHING,)
        return GLOBAL_BOUND if everywhere else ANYWHERE
    first, second = _standing(one), _standing(two)
    if first is not None and second is not None:
        unknowns = _sum(_unknowns(one), _unknowns(two), second.advance)
        return _moved_by(_classic_then(first, second), unknowns)
    if isinstance(one, Floating):
        return _floating_then(one, two)
    if isinstance(two, Floating):
        return _then_floating(one, two)
    exact = one.exact and two.exact and _keeps_ends(one, two)
    gap = _composed_gap(one, two)
    if isinstance(two, Tabulated) and one.windows == (EVERYTHING,):
        return GLOBAL_BOUND  # A global map stays global, whatever map lies below it.
    if isinstance(one, Tabulated):
        return table(_spans(two, one.windows), one.start, gap, exact)
    if isinstance(two, Tabulated):
        return _periodic_then_table(one, two, gap, exact)
    # After this many periods of the first map, the second one repeats.
    turns = len(two.windows) // math.gcd(one.advance, len(two.windows))
    if len(one.windows) * turns > LONGEST_PERIOD:
        return AxisMap((_coarse_then(one, two, gap),), None)
    spans = _spans(two, one.written(turns))
    advance = one.advance * turns * two.advance // len(two.windows)
    return periodic(advance, spans, gap, exact)


LONGEST_PERIOD = 1 << 13
"""A map that repeats after more positions is replaced by an upper bound."""


def _coarse_then(one: Periodic, two: Periodic, gap: Extended) -> Periodic | Anywhere:
    """Returns an upper bound of a composed map, with a shorter period."""
    first, second = _beside_line(one), _beside_line(two)
    if first is None or second is None:
        return Anywhere()
    rate = two.rate
    ends = sorted(rate * end for end in first)
    return _coarse(one.rate * rate, ends[0] + second[0], ends[1] + second[1], gap)


def _beside_line(strand: Periodic) -> tuple[Fraction, Fraction] | None:
    """Returns how far windows reach before and after a line with the strand's rate.

    The line leads through 0. Returns None if a window is unbounded.
    """
    if not _has_finite_windows(strand):
        return None
    advance, period = strand.advance, len(strand.windows)
    some = [w for w in enumerate(strand.windows) if w[1] is not None]
    windows = cast("list[tuple[int, tuple[int, int]]]", some)
    spend(period)
    before = min(first * period - advance * u for u, (first, _) in windows)
    after = max(last * period - advance * u for u, (_, last) in windows)
    return Fraction(before, period), Fraction(after, period)


def _coarse(
    rate: Fraction, low: Fraction, high: Fraction, gap: Extended
) -> Periodic | Anywhere:
    """Returns an upper bound of windows between two lines of the same rate."""
    if rate.denominator > LONGEST_PERIOD:
        return Anywhere()
    # Integers are faster than fractions.
    one = math.lcm(rate.denominator, low.denominator, high.denominator)
    step, start, stop = (int(number * one) for number in (rate, low, high))
    windows = (
        ((u * step + start) // one, -((-u * step - stop) // one))
        for u in counted(range(rate.denominator))
    )
    return Periodic(rate.numerator, tuple(windows), gap, False)


def _periodic_then_table(
    one: Periodic, two: Tabulated, gap: Extended, exact: bool
) -> AxisMap:
    if one.advance == 0:
        return periodic(0, _spans(two, one.windows), gap, exact)
    ends = [w for w in one.windows if w is not None]
    if not all(_is_finite(*w) for w in ends):
        # Neither a period nor a table describes a one-sided map above a table exactly.
        whole = two.span(-INFINITY, INFINITY)
        return NONE if whole is None else constant(*whole, exact=False)
    # Include all positions whose windows can meet the table, with a spare period.
    period, advance = len(one.windows), abs(one.advance)
    low, high = min(w[0] for w in ends), max(w[1] for w in ends)
    reach = [two.start - high, two.start + len(two.windows) - low]
    if one.advance < 0:
        reach = [-reach[1], -reach[0]]
    start = (int(reach[0]) // advance - 1) * period
    stop = (int(reach[1]) // advance + 2) * period
    windows = map(one.window, counted(range(start, stop)))
    return table(_spans(two, windows), start, gap, exact)


def _spans(
    strand: Periodic | Tabulated, windows: Iterable[MaybeInterval]
) -> list[MaybeInterval]:
    """Returns the hull of the strand's windows over each of these windows.

    Many positions of a table may have the same window, of which the hull is large. So
    it is found once for each different window.
    """
    found: dict[MaybeInterval, MaybeInterval] = {None: None}
    spans = []
    span: Callable[[Extended, Extended], MaybeInterval] = strand.span
    for window in windows:
        if window is not None and window not in found:
            if len(found) == FEW_SPANS:
                span = _prepared_span(strand)
            if len(found) > FREE:
                spend(STEPS_OF_SPAN)
            found[window] = span(*window)
        spans.append(found[window])
    return spans


FEW_SPANS = 16
"""For more spans of a map, it pays to prepare for them."""

STEPS_OF_SPAN = 4
"""The steps that each span takes if there are very many."""


def _prepared_span(
    strand: Periodic | Tabulated,
) -> Callable[[Extended, Extended], MaybeInterval]:
    """Returns a faster ``strand.span``, which takes the same time for any interval."""
    ordered = _ordered_span(strand) if isinstance(strand, Periodic) else None
    if ordered is not None:
        return ordered
    period = len(strand.windows)
    if isinstance(strand, Tabulated):
        start = strand.start
        hulls = _Hulls(strand.windows)

        def span_of_table(first: Extended, last: Extended) -> MaybeInterval:
            low, high = max(first - start, 0), min(last - start, period - 1)
            return hulls.of(int(low), int(high)) if low <= high else None

        return span_of_table
    advance = strand.advance
    hulls = _Hulls(strand.written(2))

    def span(first: Extended, last: Extended) -> MaybeInterval:
        if first > last or not _is_finite(first, last):
            return strand.span(first, last)
        # The outermost windows lie within one period of either end.
        turns, low = divmod(int(first), period)
        high = low + min(int(last - first), period - 1)
        found = _shifted(hulls.of(low, high), turns * advance)
        if last - first < period:
            return found
        turns, low = divmod(int(last) - period + 1, period)
        end = _shifted(hulls.of(low, low + period - 1), turns * advance)
        return _hull((found, end))

    return span


class _Hulls:
    """The hulls of any run of windows: of two runs that may overlap, and are known.

    Level n holds the hull of each run of ``2**n`` windows.
    """

    def __init__(self, windows: Sequence[MaybeInterval]) -> None:
        some = [window or (INFINITY, -INFINITY) for window in windows]
        lows, highs = [low for low, _ in some], [high for _, high in some]
        self._levels: list[tuple[list[Extended], list[Extended]]] = [(lows, highs)]

    def of(self, first: int, last: int) -> MaybeInterval:
        """Returns the hull of the windows with these and all numbers in between."""
        level = (last - first + 1).bit_length() - 1
        while len(self._levels) <= level:
            lows, highs = self._levels[-1]
            half = 1 << (len(self._levels) - 1)
            spend(len(lows) // FEW_SPANS)
            lows = list(map(min, lows, lows[half:]))
            highs = list(map(max, highs, highs[half:]))
            self._levels.append((lows, highs))
        lows, highs = self._levels[level]
        other = last + 1 - (1 << level)
        low, high = min(lows[first], lows[other]), max(highs[first], highs[other])
        return (low, high) if low <= high else None


def _ordered_span(
    strand: Periodic,
) -> Callable[[Extended, Extended], MaybeInterval] | None:
    """Returns a `Periodic.span` for a map whose windows never go back at either end.

    Then the first window and the last one have the hull of all. The result is None for
    other maps.
    """
    turned = (*strand.windows, strand.window(len(strand.windows)))
    if strand.advance < 0 or any(window is None for window in turned):
        return None
    some = cast("tuple[Interval, ...]", turned)
    if any(a[0] > b[0] or a[1] > b[1] for a, b in pairwise(some)):
        return None

    if not _has_finite_windows(strand):
        return None
    advance, period = strand.advance, len(strand.windows)
    lows, highs = ([int(window[end]) for window in some] for end in (0, 1))

    def span(first: Extended, last: Extended) -> MaybeInterval:
        if first > last or isinstance(first, float) or isinstance(last, float):
            return strand.span(first, last)
        turns, phase = divmod(first, period)
        low = lows[phase] + turns * advance
        turns, phase = divmod(last, period)
        return low, highs[phase] + turns * advance

    return span


def _drifts(one: Floating, two: Floating) -> bool | None:
    if one.drifts is False or two.drifts is False:
        return two.drifts if one.drifts is False else one.drifts
    return None  # Two drifts may cancel at some size.


def _anywhere_then(two: Strand) -> AxisMap:
    if isinstance(two, (Anywhere, Floating)):
        return ANYWHERE
    if two.windows == (EVERYTHING,):
        return GLOBAL_BOUND
    whole = two.span(-INFINITY, INFINITY)
    assert whole is not None
    if isinstance(two, Periodic) and two.windows == (whole,):
        return constant(*whole, exact=False)
    if not _is_finite(*whole):
        return ANYWHERE
    return AxisMap((Periodic(0, (whole,), 1, False),), None)


def _floating_then(one: Floating, two: Periodic | Tabulated | Floating) -> AxisMap:
    if isinstance(two, Floating):
        return _float(one, two, two)
    if isinstance(two, Periodic) and two.advance and _has_finite_windows(two):
        return _float(one, _floated(two), two)
    whole = two.span(-INFINITY, INFINITY)
    assert whole is not None
    same_for_all = isinstance(two, Periodic) and two.windows == (whole,)
    if same_for_all:
        return constant(*whole, exact=one.exact and two.exact)
    return _anywhere_then(two)


def _then_floating(one: Periodic | Tabulated, two: Floating) -> AxisMap:
    if isinstance(one, Periodic) and _has_finite_windows(one):
        if one.advance:
            return _float(_floated(one), two, one)
        return ANYWHERE
    if isinstance(one, Periodic) and one.windows == (EVERYTHING,):
        return GLOBAL_BOUND  # The map below may skip an end; see `_keeps_ends`.
    return ANYWHERE


def _has_finite_windows(strand: Periodic) -> bool:
    return all(w is None or _is_finite(*w) for w in strand.windows)


def _float(one: Floating, two: Floating, through: Strand) -> AxisMap:
    return kept(SIZE_OF_FLOATING, _float_anew, one, two, through)


def _float_anew(one: Floating, two: Floating, through: Strand) -> AxisMap:
    """Composes two floating strands.

    ``through`` is the strand from which one of the two floating strands was made. It
    becomes part of the name of the new unknown offset.
    """
    if one.rate is None or two.rate is None:
        return ANYWHERE
    extents = one.extents.then(two.extents)
    rate = _plain(Fraction(one.rate * two.rate))
    exact = one.exact and two.exact
    low, high = one.starts()
    least, most = two.starts()
    if two.rate < 0:  # On a mirrored axis, the last position comes first.
        low, high = high + one.extents.one - 1, low
    unknown = Unknown(
        (one, two, through), low * two.rate + least, high * two.rate + most
    )
    unknowns: Unknowns = frozenset({(unknown, 1)})
    drifts = _drifts(one, two)
    return AxisMap((Floating(rate, 0, extents, unknowns, INFINITY, exact, drifts),))


def _between(number: int, unknowns: Iterable[tuple[Unknown, int]]) -> tuple[Any, Any]:
    """Returns the least and greatest value of a number plus a sum of unknowns."""
    low: Any = number
    high: Any = number
    for unknown, factor in unknowns:
        ends = [factor * unknown.least, factor * unknown.most]
        low, high = low + min(ends), high + max(ends)
    return low, high


def _standing(strand: Strand) -> Periodic | None:
    """Returns the strand with its unknowns set to zero.

    Returns None unless all windows are finite and of one size, and move at an integer
    rate other than 0.
    """
    if type(strand) is Floating:
        return strand.standing()
    if type(strand) is not Periodic or not strand.advance or len(strand.windows) > 1:
        return None
    return strand if _has_finite_windows(strand) else None


def _unknowns(strand: Strand) -> Unknowns:
    return strand.unknowns if type(strand) is Floating else frozenset()


def _sum(one: Unknowns, two: Unknowns, stride: int) -> Unknowns:
    """Returns the unknowns of a composition whose second map has this stride."""
    if not one:
        return two
    factors: dict[Unknown, int] = dict(two)
    for unknown, factor in one:
        factors[unknown] = factors.get(unknown, 0) + factor * stride
    return frozenset(item for item in factors.items() if item[1])


def _moved_by(classic: AxisMap, unknowns: Unknowns) -> AxisMap:
    """Returns the map of a classic layer, moved by a sum of unknowns."""
    if not unknowns:
        return classic
    (strand,) = classic.strands
    floated = _floated(cast("Periodic", strand))
    return AxisMap((floated._replace(unknowns=unknowns),), classic.aligned)


def _floated(strand: Periodic | Floating) -> Floating:
    """Returns a floating strand for this one.

    If the strand is periodic with period 1, the result has no unknowns.
    """
    if isinstance(strand, Floating):
        return strand
    advance, windows, gap, exact = strand
    period = len(windows)
    if period == 1:
        first, last = cast("Interval", windows[0])
        reach = int(last) - int(first) + 1
        extents = Extents(reach, (reach,), abs(advance))
        return Floating(advance, int(first), extents, frozenset(), gap, exact)
    return kept(SIZE_OF_FLOATING, _floated_turn, strand)


def _floated_turn(strand: Periodic) -> Floating:
    """Returns a floating strand for one whose period is longer than 1."""
    advance, windows, gap, _ = strand
    period = len(windows)
    some = [(u, w) for u, w in enumerate(windows) if w is not None]
    starts = [w[0] - u * strand.rate for u, w in some]
    ends = [w[1] - u * strand.rate for u, w in some]
    rate = abs(strand.rate)
    wide = max(ends) - min(starts) + 1
    one = max(int(w[1]) - int(w[0]) + 1 for _, w in some)
    length = min(period, LONGEST_EXTENTS)
    several = [math.floor(n * rate + wide) for n in range(length)]
    if period <= LONGEST_EXTENTS:
        # Inner windows may reach further than outer windows, so check two periods.
        for more in range(2 * period):
            spans = (strand.span(u, u + more) or (0, -1) for u in range(period))
            most = max(int(last) - int(first) + 1 for first, last in spans)
            if more < period:
                several[more] = most
            else:
                place = more - period
                several[place] = max(several[place], most - abs(advance))
    step = math.ceil(rate * length)
    extents = Extents(one, tuple(several), step).shortest()
    unknown = Unknown(strand, min(starts), max(starts))
    unknowns: Unknowns = frozenset({(unknown, 1)})
    return Floating(_plain(strand.rate), 0, extents, unknowns, gap, exact=False)


def _plain(rate: Fraction) -> Fraction | int:
    return rate.numerator if rate.denominator == 1 else rate


def _keeps_ends(one: Periodic | Tabulated, two: Periodic | Tabulated) -> bool:
    """Returns whether windows of ``one`` determine the ends of composed windows.

    An infinite window really stops at the end of the axis. If ``two`` leaves out
    positions at that end (as a stride or a crop does), the ends of the composed window
    need not be positions that matter.
    """
    infinite = any(w is not None and not _is_finite(*w) for w in one.windows)
    if infinite or two.windows == (EVERYTHING,):
        return two.windows == (EVERYTHING,)
    if one.gap == 1:
        return True
    if isinstance(two, Tabulated):
        return False
    return two.is_monotone()


def _composed_gap(one: Periodic | Tabulated, two: Periodic | Tabulated) -> Extended:
    """Returns the gap of the composition.

    Holes occur inside the windows of ``two`` and between them.
    """
    if all(w is None or w[0] == w[1] for w in one.windows):
        return two.gap
    if two.windows == (EVERYTHING,):
        return 1
    empty = two.windows.count(None)
    if one.gap == INFINITY or (one.gap > 1 and empty):
        return INFINITY
    start = two.start if isinstance(two, Tabulated) else 0
    stop = start + len(two.windows)
    if one.gap > 1:
        reach = int(one.gap)
        positions = counted(range(start, stop + reach))
        windows = [two.window(u) or EVERYTHING for u in positions]
        highest = _largest_ahead([first for first, _ in windows], reach)
        lowest = _largest_ahead([-last for _, last in windows], reach)
        ahead = zip(windows, highest, lowest, strict=False)
        holes = (max(up - last, first + down) for (first, last), up, down in ahead)
        return max(two.gap, *holes)
    return _gap_between(two)


@lru_cache(maxsize=4, typed=True)
def _gap_between(strand: Periodic | Tabulated) -> Extended:
    """Returns the largest gap inside the windows of neighbours and between them.

    Cached, because a large table is often composed with several layers.
    """
    gap, empty = strand.gap, strand.windows.count(None)
    if not empty:
        spend(len(strand.windows) // COPIES_A_STEP)
        after = (
            ()
            if isinstance(strand, Tabulated)
            else (strand.window(len(strand.windows)),)
        )
        some = cast("tuple[Interval, ...]", (*strand.windows, *after))
        apart = (max(b[0] - a[1], a[0] - b[1]) for a, b in pairwise(some))
        return max(gap, max(apart, default=gap))
    start = strand.start if isinstance(strand, Tabulated) else 0
    for u in counted(range(start, start + len(strand.windows))):
        window = strand.window(u)
        if window is None:
            continue
        for other in map(strand.window, range(u + 1, u + empty + 2)):
            if other is not None:
                gap = max(gap, other[0] - window[1], window[0] - other[1])
                break
    return gap


def _largest_ahead(values: Sequence[Extended], reach: int) -> Iterator[Extended]:
    """Yields, for each value, the largest of the ``reach`` values that follow."""
    best: deque[int] = deque()  # Indices of values in decreasing order.
    for index, value in enumerate(values):
        while best and values[best[-1]] <= value:
            best.pop()
        best.append(index)
        if best[0] == index - reach:
            best.popleft()
        if index >= reach:
            yield values[best[0]]


# --- Union -----------------------------------------------------------------------


def _union(one: AxisMap, two: AxisMap) -> AxisMap:
    a, b = one.classic, two.classic
    if a is not None and b is not None and a.advance == b.advance:
        return _classic_union(a, b, one.aligned, two.aligned)
    if one.is_global or two.is_global:
        exact = any(m.exact for m in (one, two) if m.is_global)
        return GLOBAL if exact else GLOBAL_BOUND
    if len(one.strands) == len(two.strands) == 1:
        for whole, entries in ((one, two), (two, one)):
            if _holds(whole.strands[0], entries.strands[0]):
                meet = one.aligned, two.aligned, _is_aligned(one, two)
                return AxisMap(whole.strands, _all_aligned(meet))
        first, second = _standing(one.strands[0]), _standing(two.strands[0])
        unknowns = _unknowns(one.strands[0])
        if (
            first is not None
            and second is not None
            and first.advance == second.advance
            and unknowns == _unknowns(two.strands[0])
        ):
            met = _classic_union(first, second, one.aligned, two.aligned)
            return _moved_by(met, unknowns)
    aligned = _all_aligned((one.aligned, two.aligned, _is_aligned(one, two)))
    merged: dict[tuple[int, Fraction | int], Strand] = {
        _key(strand): strand for strand in one.strands
    }
    for strand in two.strands:
        key = _key(strand)
        if key in merged:
            strand = _merged(merged[key], strand)
        merged[key] = strand
    strands = tuple(merged[key] for key in sorted(merged))
    if any(isinstance(strand, Anywhere) for strand in strands):
        return _with_anywhere(strands, aligned)
    for strand in strands:
        if type(strand) is Periodic and strand.windows == (EVERYTHING,):
            return AxisMap((strand,), aligned)
    if len(strands) > 1 and _covers_everything(strands):
        return GLOBAL_BOUND
    return AxisMap(strands, aligned)


def _holds(whole: Strand, entries: Strand) -> bool:
    """Returns whether a periodic strand sees everything that a table sees."""
    if not isinstance(whole, Periodic) or not isinstance(entries, Tabulated):
        return False
    spend(len(entries.windows))
    places = enumerate(entries.windows, entries.start)
    pairs = ((whole.window(u), w) for u, w in places)
    return all(_hull((one, two)) == one for one, two in pairs)


def _with_anywhere(strands: tuple[Strand, ...], aligned: bool | None) -> AxisMap:
    """Returns a map of these strands in which `Anywhere` occurs exactly once."""
    placed = tuple(s for s in strands if not isinstance(s, Anywhere))
    return AxisMap((*placed, Anywhere()), aligned)


@lru_cache(maxsize=4096)
def _classic_union(one: Periodic, two: Periodic, *aligned: bool | None) -> AxisMap:
    # Cached, because the axes of an image usually have the same maps.
    meet = _is_aligned(AxisMap((one,)), AxisMap((two,)))
    return AxisMap((_merged(one, two),), _all_aligned((*aligned, meet)))


def _key(strand: Strand) -> tuple[int, Fraction | int]:
    """Returns a key that is equal for strands that are merged.

    All tables have the same key, and so do all strands with the same rate.
    """
    if isinstance(strand, Tabulated):
        return 1, 0
    if isinstance(strand, Anywhere):
        return 2, 0
    if strand.rate is None:
        return 3, 0
    return 0, strand.rate


def _covers_everything(strands: tuple[Strand, ...]) -> bool:
    periodic_ones = [s for s in strands if isinstance(s, Periodic)]
    full = [s for s in periodic_ones if None not in s.windows]
    left = any(all(w and w[0] == -INFINITY for w in s.windows) for s in full)
    right = any(all(w and w[1] == INFINITY for w in s.windows) for s in full)
    return left and right


def _merged(one: Strand, two: Strand) -> Strand:
    if isinstance(one, Tabulated) and isinstance(two, Tabulated):
        start = min(one.start, two.start)
        stop = max(one.start + len(one.windows), two.start + len(two.windows))
        positions = range(start, stop)
        windows, gap, exact = _merged_windows(one, two, positions)
        return Tabulated(start, windows, gap, exact)
    if isinstance(one, Periodic) and isinstance(two, Periodic):
        period = math.lcm(len(one.windows), len(two.windows))
        if period > LONGEST_PERIOD:
            return _coarse_union(one, two)
        advance = one.advance * (period // len(one.windows))
        windows, gap, exact = _merged_windows(one, two, range(period))
        return _smallest(Periodic(advance, windows, gap, exact))
    if _can_float(one) and _can_float(two):
        return _floating_united(_floated(one), _floated(two))
    return Anywhere()


def _coarse_union(one: Periodic, two: Periodic) -> Periodic | Anywhere:
    """Returns an upper bound of two maps of one rate, with a shorter period."""
    first, second = _beside_line(one), _beside_line(two)
    if first is None or second is None:
        return Anywhere()
    low, high = min(first[0], second[0]), max(first[1], second[1])
    apart: Extended = math.ceil(high - low)
    return _coarse(one.rate, low, high, max(one.gap, two.gap, apart))


def _can_float(strand: Strand) -> TypeGuard[Periodic | Floating]:
    """Returns whether there is a floating strand for this one; see `_floated`."""
    finite = isinstance(strand, Periodic) and _has_finite_windows(strand)
    return finite or isinstance(strand, Floating)


def _floating_united(one: Floating, two: Floating) -> Floating | Anywhere:
    """Returns the union of two strands, or `Anywhere` if the union is unbounded.

    If their unknowns differ, the strands cannot be compared, and the union is an upper
    bound.
    """
    a, b = one.standing(), two.standing()
    if one.unknowns == two.unknowns and a is not None and b is not None:
        both = _merged(a, b)
        assert isinstance(both, Periodic)
        return _floated(both)._replace(unknowns=one.unknowns)
    if one == two:
        return one
    return kept(SIZE_OF_FLOATING, _either, one, two)


def _either(one: Floating, two: Floating) -> Floating | Anywhere:
    """Returns an upper bound of two strands whose distance is unknown."""
    strands = _alternatives(one) | _alternatives(two)
    length = math.lcm(*(len(extents.several) for _, extents, _ in strands))
    spend(len(strands) ** 2 * length // FEW_SPANS)
    ends = [(_furthest(a, b), b[1]) for a in strands for b in strands]
    if any(moved == INFINITY for moved, _ in ends):
        return Anywhere()
    columns = zip(*(e.written_out(length) for _, e in ends), strict=True)
    moves = [math.floor(moved) for moved, _ in ends]
    several = tuple(
        max(e + moved for e, moved in zip(column, moves, strict=True))
        for column in columns
    )
    only = max(e.one + moved for (_, e), moved in zip(ends, moves, strict=True))
    step = ends[0][1].advance * length // len(ends[0][1].several)
    extents = Extents(only, several, step).shortest()
    starts = [_between(first, unknowns) for first, _, unknowns in strands]
    low, high = (min(ends) for ends in zip(*starts, strict=True))
    unknown = Unknown(Either(strands, extents), low, high)
    gap = max(one.gap, two.gap)
    unknowns: Unknowns = frozenset({(unknown, 1)})
    drifts = _drifts(one, two)
    return Floating(one.rate, 0, extents, unknowns, gap, exact=False, drifts=drifts)


def _alternatives(strand: Floating) -> frozenset[tuple[int, Extents, Unknowns]]:
    """Returns the strands that this strand is the hull of.

    If it is not the hull of several strands, returns just this strand.
    """
    if not strand.first and len(strand.unknowns) == 1:
        ((unknown, factor),) = strand.unknowns
        name = unknown.name
        if factor == 1 and isinstance(name, Either) and name.extents == strand.extents:
            return name.strands
    return frozenset({(strand.first, strand.extents, strand.unknowns)})


def _furthest(
    one: tuple[int, Extents, Unknowns], two: tuple[int, Extents, Unknowns]
) -> Any:
    """Returns the largest distance from the start of ``one`` to that of ``two``."""
    first, _, below = one
    last, _, above = two
    # Unknowns that move both strands cancel.
    difference: dict[Unknown, int] = dict(above)
    for unknown, factor in below:
        difference[unknown] = difference.get(unknown, 0) - factor
    moved = [(unknown, factor) for unknown, factor in difference.items() if factor]
    return _between(last - first, moved)[1]


def _merged_windows(
    one: Periodic | Tabulated, two: Periodic | Tabulated, positions: range
) -> tuple[tuple[MaybeInterval, ...], Extended, bool]:
    """Returns hulls of both strands' windows, their gap, and whether they are exact."""
    windows: list[MaybeInterval] = []
    exact, hole = True, 0
    one_inside = two_inside = True
    for u in counted(positions):
        a, b = one.window(u), two.window(u)
        hull = _hull((a, b))
        windows.append(hull)
        one_inside &= a is None or hull == b
        two_inside &= b is None or hull == a
        if a is None or b is None:
            exact &= one.exact if b is None else two.exact
            continue
        apart = max(a[0] - b[1], b[0] - a[1])
        hole = max(hole, apart)  # type: ignore[assignment]
        # One-sided windows that leave a gap may also miss an end of the axis.
        exact &= hull != EVERYTHING or apart <= 1
        for end in (0, 1):
            exact &= any(
                s.exact
                for s, w in ((one, a), (two, b))
                if w[end] == hull[end]  # type: ignore[index]
            )
    if one_inside:
        gap = two.gap
    elif two_inside:
        gap = one.gap
    else:
        gap = max(one.gap, two.gap, hole)
    return tuple(windows), gap, exact


# --- Alignment -------------------------------------------------------------------


def _is_aligned(one: AxisMap, two: AxisMap) -> bool | None:
    """Returns whether two paths have the same rate and the same centres.

    The centres are compared at every position. Returns None if the answer is unknown.
    """
    if one.is_unbounded or two.is_unbounded:
        some = (AxisMap(_known_strands(m.strands)) for m in (one, two))
        first_known, second_known = some
        if first_known.is_none or second_known.is_none:
            return None
        return False if _is_aligned(first_known, second_known) is False else None
    if one.is_floating or two.is_floating:
        return _is_floating_aligned(one, two)
    local = [_local_strand(m) for m in (one, two)]
    first, second = local
    if first is None or second is None:
        return False
    if isinstance(first, Periodic) and isinstance(second, Periodic):
        if first.rate != second.rate:
            return False
        period = math.lcm(len(first.windows), len(second.windows))
        if period > LONGEST_PERIOD:
            return None
        positions = range(period)
    else:
        tables = [s for s in local if isinstance(s, Tabulated)]
        if not all(t.exact for t in tables):
            return None  # The centre of an upper bound may not be the true centre.
        start = min(t.start for t in tables)
        positions = range(start, max(t.start + len(t.windows) for t in tables))
    return all(
        _same_centre(first.window(u), second.window(u)) for u in counted(positions)
    )


def _known_strands(strands: tuple[Strand, ...]) -> tuple[Strand, ...]:
    return tuple(strand for strand in strands if not isinstance(strand, Anywhere))


def _is_floating_aligned(one: AxisMap, two: AxisMap) -> bool | None:
    if any(len(m.strands) > 1 or not _can_float(m.strands[0]) for m in (one, two)):
        return None if one.rates == two.rates else False
    first, second = (_floated(m.strands[0]) for m in (one, two))  # type: ignore[arg-type]
    if first.rate is None or second.rate is None:
        return None
    if first.rate != second.rate:
        return False
    if first == second:
        return True
    if first.drifts is not False or second.drifts is not False:
        return False if {first.drifts, second.drifts} == {True, False} else None
    if first.unknowns != second.unknowns:
        return None
    a, b = first.standing(), second.standing()
    if a is None or b is None:
        return None
    return _same_centre(a.windows[0], b.windows[0])


def _local_strand(axis_map: AxisMap) -> Periodic | Tabulated | None:
    """Returns the strand that determines where the features lie.

    Returns None if there is no such strand, or more than one.
    """
    strands = [s for s in axis_map.strands if isinstance(s, Periodic)]
    if len(strands) == 1:
        return strands[0]
    tables = [s for s in axis_map.strands if isinstance(s, Tabulated)]
    return tables[0] if not strands and tables else None


def _same_centre(one: MaybeInterval, two: MaybeInterval) -> bool:
    if one is None or two is None:
        return True
    if not _is_finite(*one, *two):
        return True  # An infinite window has no centre.
    return one[0] + one[1] == two[0] + two[1]


def _all_aligned(flags: Iterable[bool | None]) -> bool | None:
    """Returns False if any flag is False, else None if any is None, else True."""
    result: bool | None = True
    for flag in flags:
        if flag is False:
            return False
        if flag is None:
            result = None
    return result


# --- Merged axes -----------------------------------------------------------------


def _interleaved(outer: Strand, inner: Strand, count: int) -> AxisMap:
    unplaced = (Floating, Anywhere)
    if isinstance(outer, unplaced) or isinstance(inner, unplaced):
        return ANYWHERE
    exact = outer.exact and inner.exact
    sizes = [w[1] - w[0] + 1 for w in inner.windows if w is not None]
    gap: Extended = inner.gap
    if any(w is not None and w[0] != w[1] for w in outer.windows) and sizes:
        gap = max(gap, count * outer.gap - (min(sizes) - 1))

    def at(u: int) -> MaybeInterval:
        a, b = outer.window(u), inner.window(u)
        if a is None or b is None:
            return None
        return _merged_end(a[0], b[0], count), _merged_end(a[1], b[1], count)

    tables = [s for s in (outer, inner) if isinstance(s, Tabulated)]
    if tables:
        start = min(s.start for s in tables)
        stop = max(s.start + len(s.windows) for s in tables)
        return table(map(at, counted(range(start, stop))), start, gap, exact)
    assert isinstance(outer, Periodic)
    assert isinstance(inner, Periodic)
    period = math.lcm(len(outer.windows), len(inner.windows))
    if period > LONGEST_PERIOD:
        return ANYWHERE
    advance = outer.advance * (period // len(outer.windows)) * count
    advance += inner.advance * (period // len(inner.windows))
    return periodic(advance, map(at, counted(range(period))), gap, exact)


# --- Normal form -----------------------------------------------------------------


def _single(strand: Periodic | Tabulated) -> AxisMap:
    """Returns a map of one strand in normal form, or NONE if all windows are empty."""
    if all(window is None for window in strand.windows):
        return NONE
    if isinstance(strand, Tabulated):
        filled = [i for i, w in enumerate(strand.windows) if w is not None]
        start, stop = filled[0], filled[-1] + 1
        windows = strand.windows[start:stop]
        return AxisMap((strand._replace(start=strand.start + start, windows=windows),))
    return AxisMap((_smallest(strand),))


def _smallest(strand: Periodic) -> Periodic:
    """Returns the strand, rewritten with its smallest period."""
    windows, advance = strand.windows, strand.advance
    if all(window == EVERYTHING for window in windows):
        return strand._replace(advance=0, windows=(EVERYTHING,), gap=1)
    length = len(windows)
    for prime in _prime_factors(length):
        while length % prime == 0 and advance % prime == 0:
            shorter, step = length // prime, advance // prime
            if any(
                _shifted(windows[i - shorter], step) != windows[i]
                for i in counted(range(shorter, length))
            ):
                break
            windows, length, advance = windows[:shorter], shorter, step
    return strand._replace(advance=advance, windows=windows)


def _prime_factors(number: int) -> Iterator[int]:
    factor = 2
    while factor * factor <= number:
        if number % factor == 0:
            yield factor
            while number % factor == 0:
                number //= factor
        factor += 1
    if number > 1:
        yield number


# --- Windows ---------------------------------------------------------------------


def _moved(bound: Extended, offset: int) -> Extended:
    return bound + offset if isinstance(bound, int) else bound


def _shifted(window: MaybeInterval, offset: int) -> MaybeInterval:
    if window is None:
        return None
    return _moved(window[0], offset), _moved(window[1], offset)


def _merged_end(outer: Extended, inner: Extended, count: int) -> Extended:
    return _moved(inner, outer * count) if isinstance(outer, int) else outer


def _hull(windows: Iterable[MaybeInterval]) -> MaybeInterval:
    some = [window for window in windows if window is not None]
    if not some:
        return None
    return min(first for first, _ in some), max(last for _, last in some)


def _largest(windows: Iterable[MaybeInterval]) -> Extended:
    """Returns the size of the largest window."""
    sizes = (window[1] - window[0] + 1 for window in windows if window is not None)
    return max(sizes, default=0)


def _is_finite(*bounds: Extended) -> bool:
    # Not math.isfinite: an int may be too large for a float.
    return not any(isinstance(bound, float) for bound in bounds)


def _is_monotone(windows: Sequence[MaybeInterval]) -> bool:
    some = [window for window in windows if window is not None]
    if len(some) < len(windows):
        return False
    pairs = list(pairwise(some))
    return all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairs) or all(
        a[0] >= b[0] and a[1] >= b[1] for a, b in pairs
    )


def only_strand(axis_map: AxisMap) -> Periodic | None:
    """Returns the only periodic strand of a map, which says where features lie.

    Tables next to this strand describe the inside of a padding. Returns None if there
    is not exactly one periodic strand, or if an offset or some regions are unknown.
    """
    found = [s for s in axis_map.strands if isinstance(s, Periodic)]
    unknown = axis_map.is_floating or axis_map.is_unbounded
    return found[0] if len(found) == 1 and not unknown else None


def shift_of(axis_map: AxisMap) -> int | None:
    """Returns the distance by which a map moves every position.

    Returns None if the map does anything else.
    """
    strand = only_strand(axis_map)
    if strand is None or strand.advance != 1 or len(strand.windows) != 1:
        return None
    (window,) = strand.windows
    if window is None or window[0] != window[1] or not isinstance(window[0], int):
        return None
    return window[0]
