"""The algebra: how one axis of a tensor depends on one axis of another.

An `AxisMap` says, for every position u of an axis (an integer, negative ones and
those past the end included), which interval ``first(u) .. last(u)`` of another
axis it depends on, or that it depends on nothing there. Two operations are all
that a network needs: `AxisMap.then` (one layer after another) and ``|`` (two paths
that meet). This file knows no graph, no op and no name.

A map is a set of *strands*, and its window at u is the hull of theirs:

* `Periodic` is ``first(u + period) = first(u) + advance``, the same for ``last``.
  A convolution (kernel k, stride s, padding p, dilation d) has period 1, advance s,
  first ``-p`` and last ``-p + d * (k - 1)``; the paper's r, S and P are
  ``last - first + 1``, ``advance`` and ``-first``. A transposed convolution, an
  upsampling, a flip, a broadcast (advance 0) differ in the numbers only.
* `Table` has one entry per position, for what no small period describes
  (mirrored padding, a gather); outside its entries it depends on nothing.
* `Floating` is a strand whose offset is unknown (SAME padding of an input whose
  size is unknown): only its rate and its extent remain.

Strands of different rates (advance / period) cannot merge into one; they stay side
by side. ``-inf`` and ``inf`` are legitimate bounds: `GLOBAL` depends on everything,
one-sided maps (cumulative sums) have one infinite end. `NONE` has no strand.

Three facts travel along, so that no bound is ever passed off as the truth:

* ``exact``: both ends of every window are positions that truly matter. False marks
  an upper bound (or, for a floating strand, sizes that merged without knowing
  whether the paths align); a window is never smaller than the truth.
* ``gap``: the largest distance between two neighbouring positions that matter
  inside one window (1: no holes; inf: not known). Dilation and stride make gaps,
  and only over gaps can a composition lose exactness.
* ``aligned``: whether every two paths merged so far have the same rate and the same
  centre at every position (equations align_crit_1 and align_crit_2 of the paper);
  None where an unknown offset hides it.

All numbers are Python integers, except infinities: strides of deep graphs outgrow
64 bits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from receptive_field.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

INFINITY = math.inf

Bound = int | float
"""A position: an int, or ``-inf`` or ``inf``."""

Window = tuple[Bound, Bound]
"""An inclusive interval ``(first, last)``."""

MaybeWindow = Window | None
"""A window, or None where there is no dependency."""

EVERYTHING: Window = (-INFINITY, INFINITY)


class Periodic(NamedTuple):
    """Windows of the positions ``0 .. period - 1``; a period later all have moved by
    ``advance``."""

    advance: int
    windows: tuple[MaybeWindow, ...]
    gap: Bound = 1
    exact: bool = True

    @property
    def rate(self) -> Fraction:
        """Input positions per output position: the effective stride."""
        return Fraction(self.advance, len(self.windows))

    def window(self, position: int) -> MaybeWindow:
        """The window of one position."""
        turns, phase = divmod(position, len(self.windows))
        return _shifted(self.windows[phase], turns * self.advance)

    def span(self, first: Bound, last: Bound) -> MaybeWindow:
        """The hull of the windows of all positions ``first .. last``."""
        period = len(self.windows)
        if _is_finite(first, last) and last - first < 2 * period:
            return _hull(self.window(u) for u in range(int(first), int(last) + 1))
        # Further in than a period from both ends, no window can reach further out.
        ends: list[MaybeWindow] = []
        for end, direction in ((first, 1), (last, -1)):
            start = int(end) if _is_finite(end) else 0
            some = [self.window(start + direction * i) for i in range(period)]
            if not _is_finite(end) and self.advance:
                far = -INFINITY if (direction > 0) == (self.advance > 0) else INFINITY
                some = [None if w is None else (far, far) for w in some]
            ends += some
        return _hull(ends)

    def readers(self, targets: NDArray[Any]) -> Iterator[tuple[Any, Any]]:
        """For each phase, the first and last position that reads each target; the first
        comes after the last where none does."""
        period, advance = len(self.windows), self.advance
        for phase, window in enumerate(self.windows):
            if window is None:
                continue
            (first, last), wanted, step = window, targets, advance
            if advance < 0:  # Mirrored, it goes forwards.
                first, last, wanted, step = -last, -first, -targets, -advance
            if advance == 0:
                reads = (first <= targets) & (targets <= last)
                ends = np.where(reads, INFINITY, -INFINITY)
                yield -ends, ends
                continue
            # Turns t with first + t * step <= wanted <= last + t * step.
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
        """Whether ends never move backwards (or never forwards) and none is empty."""
        sequence = [*self.windows, self.window(len(self.windows))]
        return _is_monotone(sequence)


class Table(NamedTuple):
    """One window per position from ``start`` on; nothing before and after."""

    start: int
    windows: tuple[MaybeWindow, ...]
    gap: Bound = 1
    exact: bool = True

    def window(self, position: int) -> MaybeWindow:
        """The window of one position."""
        index = position - self.start
        return self.windows[index] if 0 <= index < len(self.windows) else None

    def readers(self, targets: NDArray[Any]) -> Iterator[tuple[Any, Any]]:
        """For each entry, its position where it reads a target; as for `Periodic`."""
        for position, window in enumerate(self.windows, self.start):
            if window is not None:
                reads = (window[0] <= targets) & (targets <= window[1])
                first, last = (np.where(reads, position, e) for e in EVERYTHING[::-1])
                yield first, last

    def span(self, first: Bound, last: Bound) -> MaybeWindow:
        """The hull of the windows of all positions ``first .. last``."""
        low = max(first - self.start, 0)
        high = min(last - self.start, len(self.windows) - 1)
        return _hull(self.windows[int(low) : int(high) + 1]) if low <= high else None


class Unknown(NamedTuple):
    """An unknown number between ``least`` and ``most``."""

    name: Hashable
    least: Bound | Fraction = -INFINITY
    most: Bound | Fraction = INFINITY


class Either(NamedTuple):
    """The name of the first position of the hull of several strands."""

    strands: frozenset[tuple[int, Fraction | int, Unknowns]]
    """First position, reach and unknowns of each."""
    reach: Fraction | int


Unknowns = frozenset[tuple[Unknown, int]]
"""A sum of unknown numbers, each with its factor."""


class Floating(NamedTuple):
    """A strand whose offset is unknown, but for what it has in common with others.

    ``n`` neighbouring positions together depend on an interval of at most
    ``floor((n - 1) * rate + reach)`` positions. That of position 0 begins at ``first``
    plus the sum of the ``unknowns``: two strands with the same unknowns can be
    compared.
    """

    rate: Fraction | int
    first: int
    reach: Fraction | int
    unknowns: Unknowns
    gap: Bound = 1
    exact: bool = True

    def extent(self, count: int) -> int:
        """How many positions ``count`` neighbouring ones depend on together."""
        rate = max(self.rate, -self.rate)
        return math.floor((count - 1) * rate + self.reach)

    def standing(self) -> Periodic | None:
        """The strand where all unknowns are zero, if it is as in a classic network: all
        positions have intervals of one size at an integer stride."""
        if self.rate <= 0 or self.rate.denominator * self.reach.denominator > 1:
            return None
        last = self.first + int(self.reach) - 1
        return Periodic(int(self.rate), ((self.first, last),), self.gap, self.exact)


Strand = Periodic | Table | Floating


def _classic(strands: tuple[Strand, ...]) -> Periodic | None:
    """Period 1, a positive stride, finite: every layer of a classic convnet."""
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


class AxisMap:
    """For every position of one axis, the interval of another that it depends on.

    Make one with the functions of this module (`convolution`, `shift`, ...), combine
    them with `then` and ``|``. Instances are immutable and hashable.

    >>> layer = convolution(kernel=3, stride=2, padding=1)
    >>> layer.then(layer).window(5)   # positions of the input that feature 5 sees
    (17, 23)
    """

    __slots__ = ("_has_empty", "_hash", "aligned", "classic", "is_global", "strands")

    strands: tuple[Strand, ...]
    aligned: bool | None

    def __init__(
        self, strands: tuple[Strand, ...], aligned: bool | None = True
    ) -> None:
        self.strands = strands
        self.aligned = aligned
        self.classic = _classic(strands)
        """The only strand, if it is as in every layer of a classic network."""
        self.is_global = self.classic is None and _has_everything(strands)
        """Whether every position depends on the whole axis."""
        self._hash: int | None = None
        self._has_empty: bool | None = None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, AxisMap):
            return NotImplemented
        if self.aligned != other.aligned or self.strands != other.strands:
            return False
        # As tuples, a table may equal a periodic strand.
        return [*map(type, self.strands)] == [*map(type, other.strands)]

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.strands, self.aligned))
        return self._hash

    def __repr__(self) -> str:
        return f"AxisMap({list(self.strands)}, aligned={self.aligned})"

    @property
    def exact(self) -> bool:
        """Whether the ends of every window are known to matter."""
        return all(strand.exact for strand in self.strands)

    @property
    def has_empty(self) -> bool:
        """Whether there are positions that depend on nothing, or may be."""
        if self._has_empty is None:
            tables = all(isinstance(strand, Table) for strand in self.strands)
            self._has_empty = tables or self.has_holes
        return self._has_empty

    @property
    def has_holes(self) -> bool:
        """Whether a strand has positions in between that depend on nothing."""
        return any(
            not isinstance(strand, Floating) and None in strand.windows
            for strand in self.strands
        )

    @property
    def has_phases(self) -> bool:
        """Whether positions differ in where, next to their own place, they look."""
        if self.classic is not None:
            return False
        return any(
            strand.standing() is None
            if isinstance(strand, Floating)
            else isinstance(strand, Periodic) and len(strand.windows) > 1
            for strand in self.strands
        )

    @property
    def is_split(self) -> bool:
        """Whether it takes positions into a part of a merged axis."""
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
    def is_floating(self) -> bool:
        """Whether an offset is unknown, so that no window can be told."""
        return any(type(strand) is Floating for strand in self.strands)

    @property
    def rates(self) -> tuple[Fraction, ...]:
        """The different advances per position, ascending; tables have none."""
        strands = (s for s in self.strands if not isinstance(s, Table))
        return tuple(sorted({Fraction(s.rate) for s in strands}))

    def then(self, other: AxisMap) -> AxisMap:
        """The map of two steps: this one, then ``other`` from where it arrives."""
        if other is IDENTITY or self is NONE:
            return self
        if self is IDENTITY or other is NONE:
            return other
        if self.classic is not None and other.classic is not None:
            return _classic_then(
                self.classic, other.classic, self.aligned, other.aligned
            )
        return _then(self, other)

    def __or__(self, other: AxisMap) -> AxisMap:
        """The map of two paths that meet: the hull of both windows."""
        if self is other or not other.strands:
            return self
        if not self.strands:
            return other
        return _union(self, other)

    def window(self, position: int) -> MaybeWindow:
        """The window of one position, or None where it depends on nothing.

        Raises:
          ValueError: if an offset is unknown.
        """
        found = None
        for strand in self.strands:
            if isinstance(strand, Floating):
                raise ValueError("the offset of this map is unknown")
            found = _hull((found, strand.window(position)))
        return found

    def span(self, last: int) -> MaybeWindow:
        """What the positions ``0 .. last`` depend on together.

        Raises:
          ValueError: if an offset is unknown.
        """
        spans = []
        for strand in self.strands:
            if isinstance(strand, Floating):
                raise ValueError("the offset of this map is unknown")
            spans.append(strand.span(0, last))
        return _hull(spans)

    def size(self, count: int | None = None) -> Bound:
        """The largest window, over all positions or over ``0 .. count - 1``.

        Where strands of different rates drift apart and ``count`` is not given, it
        has no bound: infinite.
        """
        if not self.strands:
            return 0
        drifting = len(self.rates) > 1
        if self.is_floating:
            extents = [s.extent(1) for s in self.strands if isinstance(s, Floating)]
            return INFINITY if drifting else max(extents)
        if drifting and count is None:
            return INFINITY
        tables = [s for s in self.strands if isinstance(s, Table)]
        if count is not None and (drifting or tables):
            positions: Iterable[int] = range(count)
        else:
            period = math.lcm(
                *(len(s.windows) for s in self.strands if isinstance(s, Periodic))
            )
            start = min((t.start for t in tables), default=0)
            stop = max((t.start + len(t.windows) for t in tables), default=0)
            positions = range(start, stop + period)
        windows = [w for w in map(self.window, positions) if w is not None]
        return max((last - first + 1 for first, last in windows), default=0)

    def evaluate(self, positions: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """First and last position for an integer array, empty windows as (inf, -inf).

        Both arrays have the shape of ``positions`` and dtype object (Python integers
        and infinities), or int64 where nothing is empty, infinite or too large.

        Raises:
          ValueError: if an offset is unknown.
        """
        fast = self._evaluate_classic(positions)
        if fast is not None:
            return fast
        flat = [self.window(int(p)) or (INFINITY, -INFINITY) for p in positions.flat]
        firsts, lasts = (np.empty(len(flat), dtype=object) for _ in range(2))
        firsts[:] = [first for first, _ in flat]
        lasts[:] = [last for _, last in flat]
        return firsts.reshape(positions.shape), lasts.reshape(positions.shape)

    def inverse(self, targets: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """First and last position that depends on each target, as of `evaluate`.

        A position depends on what lies in the window of one of its strands.

        Raises:
          ValueError: if an offset is unknown.
        """
        wanted = targets.astype(object)  # No number is too large.
        firsts = np.full(targets.shape, INFINITY, dtype=object)
        lasts = np.full(targets.shape, -INFINITY, dtype=object)
        for strand in self.strands:
            if isinstance(strand, Floating):
                raise ValueError("the offset of this map is unknown")
            for low, high in strand.readers(wanted):
                some = low <= high
                firsts = np.where(some, np.minimum(firsts, low), firsts)
                lasts = np.where(some, np.maximum(lasts, high), lasts)
        return firsts, lasts

    def _evaluate_classic(
        self, positions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """All finite periodic strands at once, if int64 can hold every number."""
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
        """The map to ``outer * count + inner``, this map being the outer one.

        Both maps start from the same axis; the target axis is the merge of two, the
        inner one of ``count`` positions (einops: ``(outer inner)``).
        """
        merged = NONE
        for outer_strand in self.strands:
            for inner_strand in inner.strands:
                merged |= _interleaved(outer_strand, inner_strand, count)
        aligned = _all_aligned((merged.aligned, self.aligned, inner.aligned))
        return merged if merged.is_none else AxisMap(merged.strands, aligned)

    def with_border(self, border: AxisMap) -> AxisMap:
        """This map with entries beside it for what a padding repeats from inside.

        They are padding, as zeros would be, and do not count for the alignment.
        """
        return AxisMap((self | border).strands, self.aligned)

    def with_unknown_offset(
        self,
        unknown: Hashable,
        least: Bound | Fraction = -INFINITY,
        most: Bound | Fraction = INFINITY,
    ) -> AxisMap:
        """The same map moved by an unknown number of positions, ``least .. most``.

        Whatever is moved by an ``unknown`` of the same name, is moved as far.
        """
        whole = NONE
        for strand in self.strands:
            if isinstance(strand, Table) or (
                isinstance(strand, Periodic) and not _has_finite_windows(strand)
            ):
                return constant(*EVERYTHING, exact=False)
            floated = _floated(strand)
            low, high = _starts(floated._replace(first=0))
            name = unknown if floated.standing() is not None else (unknown, strand)
            named = Unknown(name, low + least, high + most)
            unknowns = frozenset({(named, 1)})
            whole |= AxisMap((floated._replace(unknowns=unknowns),))
        return AxisMap(whole.strands, self.aligned)

    def as_bound(self) -> AxisMap:
        """The same windows, marked as an upper bound."""
        strands = tuple(strand._replace(exact=False) for strand in self.strands)
        return AxisMap(strands, self.aligned)


# --- The maps that layers are made of --------------------------------------------


@lru_cache(maxsize=4096)
def convolution(
    kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> AxisMap:
    """A convolution or pooling: taps at ``u * stride - padding + dilation * i``.

    ``padding`` is what lies before the first position.

    >>> convolution(kernel=3, stride=2, padding=1).window(0)
    (-1, 1)
    """
    last = dilation * (kernel - 1)
    gap = dilation if kernel > 1 else 1
    return AxisMap((Periodic(stride, ((-padding, last - padding),), gap),))


def transposed_convolution(
    kernel: int, stride: int, padding: int = 0, dilation: int = 1
) -> AxisMap:
    """The transpose (gradient) of `convolution` with the same numbers.

    Position u depends on every v that has a tap i with
    ``v * stride - padding + dilation * i = u``.

    >>> transposed_convolution(kernel=2, stride=2).window(5)
    (2, 2)
    """
    windows: list[MaybeWindow] = []
    gap: Bound = 1
    for u in range(stride):
        shifted = (u + padding - dilation * i for i in reversed(range(kernel)))
        positions = [v // stride for v in shifted if v % stride == 0]
        windows.append((positions[0], positions[-1]) if positions else None)
        gap = max([gap, *(b - a for a, b in pairwise(positions))])
    return _single(Periodic(1, tuple(windows), gap))


def shift(offset: int) -> AxisMap:
    """Position u depends on ``u + offset``: cropping, or zero padding if negative.

    >>> shift(2).window(0)
    (2, 2)
    """
    return convolution(1, 1, -offset)


def sampling(start: int, step: int) -> AxisMap:
    """Position u depends on ``start + u * step``: a strided slice, or a flip.

    >>> sampling(start=9, step=-1).window(0)
    (9, 9)
    """
    return AxisMap((Periodic(step, ((start, start),)),))


def constant(first: Bound, last: Bound, exact: bool = True) -> AxisMap:
    """Every position depends on the same interval.

    >>> constant(0, 0).window(7)
    (0, 0)
    """
    return AxisMap((Periodic(0, ((first, last),), 1, exact),))


def periodic(
    advance: int, windows: Iterable[MaybeWindow], gap: Bound = 1, exact: bool = True
) -> AxisMap:
    """A map from the windows of one period, in its smallest form.

    >>> periodic(1, [(0, 0), (0, 0)]).window(5)   # nearest upsampling by two
    (2, 2)
    """
    return _single(Periodic(advance, tuple(windows), gap, exact))


def table(
    windows: Iterable[MaybeWindow], start: int = 0, gap: Bound = 1, exact: bool = True
) -> AxisMap:
    """A map with one window per position from ``start`` on.

    >>> table([(2, 2), (1, 1), (0, 0)]).window(0)
    (2, 2)
    """
    return _single(Table(start, tuple(windows), gap, exact))


def one_sided(first: Bound = -INFINITY, last: Bound = INFINITY) -> AxisMap:
    """A map with an infinite end: ``one_sided(last=0)`` is a cumulative sum.

    >>> one_sided(last=0).window(3)
    (-inf, 3)
    """
    return AxisMap((Periodic(1, ((first, last),)),))


def piecewise(pieces: Iterable[tuple[range, AxisMap]], total: int) -> AxisMap:
    """Each map at its own positions, which do not overlap, out of ``total``.

    Where all ``total`` positions go on evenly, so does the result beyond them.

    >>> piecewise([(range(2), shift(5)), (range(2, 4), shift(5))], 4) == shift(5)
    True

    Raises:
      ValueError: if an offset is unknown.
    """
    windows: list[MaybeWindow] = [None] * total
    gap: Bound = 1
    exact = True
    flags: list[bool | None] = []
    for positions, axis_map in pieces:
        for u in positions:
            windows[u] = axis_map.window(u)
        gap = max([gap, *(strand.gap for strand in axis_map.strands)])
        exact &= axis_map.exact
        flags.append(axis_map.aligned)
        if len(axis_map.strands) > 1:  # What lies between two is not known.
            gap = INFINITY
    even = _evenly(windows)
    strand: Periodic | Table = Table(0, tuple(windows), gap, exact)
    if even is not None:
        strand = even._replace(gap=gap, exact=exact)
    found = _single(strand)
    return found if found.is_none else AxisMap(found.strands, _all_aligned(flags))


LONGEST_PIECED_PERIOD = 64
"""Longer periods are not looked for in the positions of joined pieces."""


def _evenly(windows: Sequence[MaybeWindow]) -> Periodic | None:
    """The shortest period that explains all windows, at least twice."""
    total = len(windows)
    if total == 1:
        return Periodic(0, tuple(windows))
    for period in range(1, min(total // 2, LONGEST_PIECED_PERIOD) + 1):
        some = next((i for i in range(period) if windows[i] is not None), None)
        if some is None:
            continue
        one, two = windows[some], windows[some + period]
        if one is None or two is None:
            continue
        end = next((e for e in (0, 1) if _is_finite(one[e], two[e])), None)
        advance = 0 if end is None else int(two[end]) - int(one[end])
        moved = (_shifted(windows[i - period], advance) for i in range(period, total))
        if all(a == b for a, b in zip(moved, windows[period:], strict=True)):
            return Periodic(advance, tuple(windows[:period]))
    return None


@lru_cache(maxsize=256)
def quotient(divisor: int) -> AxisMap:
    """Position u depends on ``u // divisor``: the outer part of a merged axis."""
    return periodic(1, [(0, 0)] * divisor)


@lru_cache(maxsize=256)
def remainder(divisor: int) -> AxisMap:
    """Position u depends on ``u % divisor``: the inner part of a merged axis."""
    return periodic(0, [(i, i) for i in range(divisor)])


NONE = AxisMap(())
"""No dependency: neutral for ``|``, and ``NONE.then(anything)`` is NONE."""

IDENTITY = AxisMap((Periodic(1, ((0, 0),)),))
"""Every position depends on itself."""

GLOBAL = AxisMap((Periodic(0, (EVERYTHING,)),))
"""Every position depends on the whole axis."""


# --- Composition -----------------------------------------------------------------


def _then(first: AxisMap, second: AxisMap) -> AxisMap:
    if len(first.strands) == 1 and len(second.strands) == 1:
        composed = _composed(first.strands[0], second.strands[0])
        if not composed.strands:
            return NONE
        aligned = _all_aligned((first.aligned, second.aligned))
        same = composed.aligned is aligned
        return composed if same else AxisMap(composed.strands, aligned)
    whole = NONE
    for one in first.strands:
        for two in second.strands:
            whole |= _composed(one, two)
    if whole.is_none or whole.is_global:
        return whole
    return AxisMap(whole.strands, _all_aligned((first.aligned, second.aligned)))


@lru_cache(maxsize=4096)
def _classic_then(one: Periodic, two: Periodic, *aligned: bool | None) -> AxisMap:
    # The axes of an image mostly have the same maps.
    return AxisMap((_classic_step(one, two),), _all_aligned(aligned))


def _classic_step(one: Periodic, two: Periodic) -> Periodic:
    """Equations (rf_loc_recurrence_u) and (rf_loc_recurrence_v) of the paper."""
    first, last = cast("Window", one.windows[0])
    low, high = cast("Window", two.windows[0])
    advance, gap, exact = one.advance, one.gap, one.exact
    stride, inner_gap, inner_exact = two.advance, two.gap, two.exact
    if first == last:
        gap = inner_gap
    elif gap != INFINITY:
        gap = max(inner_gap, gap * stride - (high - low))
    return Periodic(
        advance * stride,
        ((first * stride + low, last * stride + high),),
        gap,
        exact and inner_exact,
    )


def _composed(one: Strand, two: Strand) -> AxisMap:
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
    if isinstance(one, Table):
        windows = [None if w is None else two.span(*w) for w in one.windows]
        return table(windows, one.start, gap, exact)
    if isinstance(two, Table):
        return _periodic_then_table(one, two, gap, exact)
    # So many of its periods the first map needs until the second has come round.
    turns = len(two.windows) // math.gcd(one.advance, len(two.windows))
    spans = [
        None if window is None else two.span(*window)
        for window in map(one.window, range(len(one.windows) * turns))
    ]
    advance = one.advance * turns * two.advance // len(two.windows)
    return periodic(advance, spans, gap, exact)


def _periodic_then_table(one: Periodic, two: Table, gap: Bound, exact: bool) -> AxisMap:
    if one.advance == 0:
        spans = [None if w is None else two.span(*w) for w in one.windows]
        return periodic(0, spans, gap, exact)
    ends = [w for w in one.windows if w is not None]
    if not all(_is_finite(*w) for w in ends):
        # One-sided before a table: no period and no table describes it exactly.
        whole = two.span(-INFINITY, INFINITY)
        return NONE if whole is None else constant(*whole, exact=False)
    # Every position whose window can meet the table, and one period to spare.
    period, advance = len(one.windows), abs(one.advance)
    low, high = min(w[0] for w in ends), max(w[1] for w in ends)
    reach = [two.start - high, two.start + len(two.windows) - low]
    if one.advance < 0:
        reach = [-reach[1], -reach[0]]
    start = (int(reach[0]) // advance - 1) * period
    stop = (int(reach[1]) // advance + 2) * period
    windows = map(one.window, range(start, stop))
    return table(
        [None if w is None else two.span(*w) for w in windows], start, gap, exact
    )


def _floating_then(one: Floating, two: Strand) -> AxisMap:
    if isinstance(two, Floating):
        return _float(one, two, two)
    if isinstance(two, Periodic) and two.advance and _has_finite_windows(two):
        return _float(one, _floated(two), two)
    whole = two.span(-INFINITY, INFINITY)
    if whole is None:
        return NONE
    same_for_all = isinstance(two, Periodic) and two.windows == (whole,)
    return constant(*whole, exact=one.exact and two.exact and same_for_all)


def _then_floating(one: Periodic | Table, two: Floating) -> AxisMap:
    if isinstance(one, Periodic) and _has_finite_windows(one):
        return _float(_floated(one), two, one)
    return constant(*EVERYTHING, exact=False)  # As in `_keeps_ends`.


def _has_finite_windows(strand: Periodic) -> bool:
    return all(w is None or _is_finite(*w) for w in strand.windows)


def _float(one: Floating, two: Floating, through: Strand) -> AxisMap:
    """Both steps; ``through`` is what was floated, for the name of the unknown."""
    reach = (one.reach - 1) * max(two.rate, -two.rate) + two.reach
    rate = one.rate * two.rate
    exact = one.exact and two.exact
    low, high = _starts(one)
    ends = [low * two.rate, (high + one.reach - 1) * two.rate]
    least, most = _starts(two)
    unknown = Unknown((one, two, through), min(ends) + least, max(ends) + most)
    unknowns: Unknowns = frozenset({(unknown, 1)})
    return AxisMap((Floating(rate, 0, reach, unknowns, INFINITY, exact),))


def _starts(strand: Floating) -> tuple[Any, Any]:
    """Between what the windows begin, beyond ``position * rate``."""
    return _between(strand.first, strand.unknowns)


def _between(number: int, unknowns: Iterable[tuple[Unknown, int]]) -> tuple[Any, Any]:
    """Between what a number plus a sum of unknown ones lies."""
    low: Any = number
    high: Any = number
    for unknown, factor in unknowns:
        ends = [factor * unknown.least, factor * unknown.most]
        low, high = low + min(ends), high + max(ends)
    return low, high


def _standing(strand: Strand) -> Periodic | None:
    if type(strand) is Floating:
        return strand.standing()
    return _classic((strand,))


def _unknowns(strand: Strand) -> Unknowns:
    return strand.unknowns if type(strand) is Floating else frozenset()


def _sum(one: Unknowns, two: Unknowns, stride: int) -> Unknowns:
    """What is unknown of two steps, the second of which has this stride."""
    if not one:
        return two
    factors: dict[Unknown, int] = dict(two)
    for unknown, factor in one:
        factors[unknown] = factors.get(unknown, 0) + factor * stride
    return frozenset(factors.items())


def _moved_by(classic: AxisMap, unknowns: Unknowns) -> AxisMap:
    """A map as in a classic network, moved by what is unknown."""
    if not unknowns:
        return classic
    (strand,) = classic.strands
    return AxisMap((_floated(strand)._replace(unknowns=unknowns),), classic.aligned)


def _floated(strand: Strand) -> Floating:
    """The strand as a floating one, with nothing unknown if its period is 1."""
    if isinstance(strand, Floating):
        return strand
    assert isinstance(strand, Periodic)
    advance, windows, gap, exact = strand
    period = len(windows)
    if period == 1:
        first, last = cast("Window", windows[0])
        reach = int(last) - int(first) + 1
        return Floating(advance, int(first), reach, frozenset(), gap, exact)
    spread: Fraction | int = 1
    starts = [w[0] - u * strand.rate for u, w in enumerate(windows) if w is not None]
    for u in range(period):
        for step in range(period + 1):
            span = strand.span(u, u + step)
            if span is not None:
                extent = int(span[1]) - int(span[0]) + 1
                spread = max(spread, extent - step * abs(strand.rate))
    unknown = Unknown(strand, min(starts), max(starts))
    return Floating(strand.rate, 0, spread, frozenset({(unknown, 1)}), gap, exact=False)


def _keeps_ends(one: Periodic | Table, two: Periodic | Table) -> bool:
    """Whether the outermost positions of a window decide the outermost ones below.

    Of an infinite window not even these are known: it ends where its map does, and
    what that map leaves out below (by a stride, a crop) is left out as well.
    """
    infinite = any(w is not None and not _is_finite(*w) for w in one.windows)
    if infinite or two.windows == (EVERYTHING,):
        return two.windows == (EVERYTHING,)
    if one.gap == 1:
        return True
    if isinstance(two, Table):
        return False
    return two.is_monotone()


def _composed_gap(one: Periodic | Table, two: Periodic | Table) -> Bound:
    """The largest hole that windows of ``two``, ``one.gap`` apart, can leave."""
    if all(w is None or w[0] == w[1] for w in one.windows):
        return two.gap
    if two.windows == (EVERYTHING,):
        return 1
    empty = two.windows.count(None)
    if one.gap == INFINITY or (one.gap > 1 and empty):
        return INFINITY
    start = two.start if isinstance(two, Table) else 0
    stop = start + len(two.windows)
    if one.gap > 1:
        reach = int(one.gap)
        windows = [two.window(u) or EVERYTHING for u in range(start, stop + reach)]
        highest = _largest_ahead([first for first, _ in windows], reach)
        lowest = _largest_ahead([-last for _, last in windows], reach)
        ahead = zip(windows, highest, lowest, strict=False)
        holes = (max(up - last, first + down) for (first, last), up, down in ahead)
        return max(two.gap, *holes)
    gap = two.gap
    for u in range(start, stop):
        window = two.window(u)
        if window is None:
            continue
        for other in map(two.window, range(u + 1, u + empty + 2)):
            if other is not None:
                gap = max(gap, other[0] - window[1], window[0] - other[1])
                break
    return gap


def _largest_ahead(values: Sequence[Bound], reach: int) -> Iterator[Bound]:
    """For each value, the largest of so many that come after it."""
    best: deque[int] = deque()  # Places of values, each smaller than those before it.
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
    if one.is_global or two.is_global:
        exact = any(m.exact for m in (one, two) if m.is_global)
        return GLOBAL if exact else constant(*EVERYTHING, exact=False)
    if len(one.strands) == len(two.strands) == 1:
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
    merged: dict[tuple[bool, Fraction | int], Strand] = {
        _key(strand): strand for strand in one.strands
    }
    for strand in two.strands:
        key = _key(strand)
        if key in merged:
            strand = _merged(merged[key], strand)
        merged[key] = strand
    strands = tuple(merged[key] for key in sorted(merged))
    for strand in strands:
        if type(strand) is Periodic and strand.windows == (EVERYTHING,):
            return AxisMap((strand,), aligned)
    if len(strands) > 1 and _covers_everything(strands):
        return constant(*EVERYTHING, exact=all(s.exact for s in strands))
    return AxisMap(strands, aligned)


@lru_cache(maxsize=4096)
def _classic_union(one: Periodic, two: Periodic, *aligned: bool | None) -> AxisMap:
    # The axes of an image mostly have the same maps, and blocks are repeated.
    meet = _is_aligned(AxisMap((one,)), AxisMap((two,)))
    return AxisMap((_merged(one, two),), _all_aligned((*aligned, meet)))


def _key(strand: Strand) -> tuple[bool, Fraction | int]:
    """Strands of one key can merge: those of one rate, and all tables."""
    if isinstance(strand, Table):
        return True, 0
    return False, strand.rate


def _covers_everything(strands: tuple[Strand, ...]) -> bool:
    periodic_ones = [s for s in strands if isinstance(s, Periodic)]
    full = [s for s in periodic_ones if None not in s.windows]
    left = any(all(w and w[0] == -INFINITY for w in s.windows) for s in full)
    right = any(all(w and w[1] == INFINITY for w in s.windows) for s in full)
    return left and right


def _merged(one: Strand, two: Strand) -> Strand:
    if isinstance(one, Table) and isinstance(two, Table):
        start = min(one.start, two.start)
        stop = max(one.start + len(one.windows), two.start + len(two.windows))
        positions = range(start, stop)
        windows, gap, exact = _merged_windows(one, two, positions)
        return Table(start, windows, gap, exact)
    if isinstance(one, Periodic) and isinstance(two, Periodic):
        period = math.lcm(len(one.windows), len(two.windows))
        advance = one.advance * (period // len(one.windows))
        windows, gap, exact = _merged_windows(one, two, range(period))
        return _smallest(Periodic(advance, windows, gap, exact))
    return _floating_united(_floated(one), _floated(two))


def _floating_united(one: Floating, two: Floating) -> Floating | Periodic:
    """Both, compared if they have the same unknowns; else all that they may cover."""
    a, b = one.standing(), two.standing()
    if one.unknowns == two.unknowns and a is not None and b is not None:
        return _floated(_merged(a, b))._replace(unknowns=one.unknowns)
    if one == two:
        return one
    strands = _alternatives(one) | _alternatives(two)
    reach: Any = max(_furthest(a, b) for a in strands for b in strands)
    if reach == INFINITY:
        return Periodic(0, (EVERYTHING,), 1, exact=False)
    starts = [_between(first, unknowns) for first, _, unknowns in strands]
    low, high = (min(ends) for ends in zip(*starts, strict=True))
    unknown = Unknown(Either(strands, reach), low, high)
    gap = max(one.gap, two.gap)
    return Floating(one.rate, 0, reach, frozenset({(unknown, 1)}), gap, exact=False)


def _alternatives(
    strand: Floating,
) -> frozenset[tuple[int, Fraction | int, Unknowns]]:
    """The strands that it is the hull of, or itself."""
    if not strand.first and len(strand.unknowns) == 1:
        ((unknown, factor),) = strand.unknowns
        name = unknown.name
        if factor == 1 and isinstance(name, Either) and name.reach == strand.reach:
            return name.strands
    return frozenset({(strand.first, strand.reach, strand.unknowns)})


def _furthest(
    one: tuple[int, Fraction | int, Unknowns], two: tuple[int, Fraction | int, Unknowns]
) -> Any:
    """From where one begins to where the other ends, the most positions."""
    first, _, below = one
    last, reach, above = two
    # What both are moved by, moves neither against the other.
    difference: dict[Unknown, int] = dict(above)
    for unknown, factor in below:
        difference[unknown] = difference.get(unknown, 0) - factor
    moved = [(unknown, factor) for unknown, factor in difference.items() if factor]
    return _between(last - first, moved)[1] + reach


def _merged_windows(
    one: Periodic | Table, two: Periodic | Table, positions: range
) -> tuple[tuple[MaybeWindow, ...], Bound, bool]:
    """The hulls of both at ``positions``, with their gap and exactness."""
    windows: list[MaybeWindow] = []
    exact, hole = True, 0
    one_inside = two_inside = True
    for u in positions:
        a, b = one.window(u), two.window(u)
        hull = _hull((a, b))
        windows.append(hull)
        one_inside &= a is None or hull == b
        two_inside &= b is None or hull == a
        if a is None or b is None:
            exact &= one.exact if b is None else two.exact
            continue
        hole = max(hole, a[0] - b[1], b[0] - a[1])  # type: ignore[assignment]
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
    """Whether two paths have one rate and one centre at every position.

    Borders held in a table beside a periodic strand (mirrored padding) are padding,
    as zeros would be, and do not count.
    """
    if one.is_floating or two.is_floating:
        return _is_floating_aligned(one, two)
    local = [_local_strand(m) for m in (one, two)]
    first, second = local
    if first is None or second is None:
        return False
    if isinstance(first, Periodic) and isinstance(second, Periodic):
        if first.rate != second.rate:
            return False
        positions = range(math.lcm(len(first.windows), len(second.windows)))
    else:
        tables = [s for s in local if isinstance(s, Table)]
        start = min(t.start for t in tables)
        positions = range(start, max(t.start + len(t.windows) for t in tables))
    return all(_same_centre(first.window(u), second.window(u)) for u in positions)


def _is_floating_aligned(one: AxisMap, two: AxisMap) -> bool | None:
    if any(len(m.strands) > 1 or isinstance(m.strands[0], Table) for m in (one, two)):
        return None if one.rates == two.rates else False
    first, second = _floated(one.strands[0]), _floated(two.strands[0])
    if first.rate != second.rate:
        return False
    if first.unknowns != second.unknowns:
        return None
    a, b = first.standing(), second.standing()
    if a is None or b is None:
        return True if first == second else None
    return _same_centre(a.windows[0], b.windows[0])


def _local_strand(axis_map: AxisMap) -> Periodic | Table | None:
    """The strand that places the features, if it is one."""
    strands = [s for s in axis_map.strands if isinstance(s, Periodic)]
    if len(strands) == 1:
        return strands[0]
    tables = [s for s in axis_map.strands if isinstance(s, Table)]
    return tables[0] if not strands and tables else None


def _same_centre(one: MaybeWindow, two: MaybeWindow) -> bool:
    if one is None or two is None:
        return True
    if not _is_finite(*one, *two):
        return True  # An infinite window has no centre.
    return one[0] + one[1] == two[0] + two[1]


def _all_aligned(flags: Iterable[bool | None]) -> bool | None:
    """False if any is, else None if any is, else True."""
    result: bool | None = True
    for flag in flags:
        if flag is False:
            return False
        if flag is None:
            result = None
    return result


# --- Merged axes -----------------------------------------------------------------


def _interleaved(outer: Strand, inner: Strand, count: int) -> AxisMap:
    if isinstance(outer, Floating) or isinstance(inner, Floating):
        return constant(*EVERYTHING, exact=False)
    exact = outer.exact and inner.exact
    sizes = [w[1] - w[0] + 1 for w in inner.windows if w is not None]
    gap: Bound = inner.gap
    if any(w is not None and w[0] != w[1] for w in outer.windows) and sizes:
        gap = max(gap, count * outer.gap - (min(sizes) - 1))

    def at(u: int) -> MaybeWindow:
        a, b = outer.window(u), inner.window(u)
        if a is None or b is None:
            return None
        return _merged_bound(a[0], b[0], count), _merged_bound(a[1], b[1], count)

    tables = [s for s in (outer, inner) if isinstance(s, Table)]
    if tables:
        start = min(s.start for s in tables)
        stop = max(s.start + len(s.windows) for s in tables)
        return table(map(at, range(start, stop)), start, gap, exact)
    assert isinstance(outer, Periodic)
    assert isinstance(inner, Periodic)
    period = math.lcm(len(outer.windows), len(inner.windows))
    advance = outer.advance * (period // len(outer.windows)) * count
    advance += inner.advance * (period // len(inner.windows))
    return periodic(advance, map(at, range(period)), gap, exact)


# --- Normal form -----------------------------------------------------------------


def _single(strand: Periodic | Table) -> AxisMap:
    """A map of one strand in normal form; NONE if it depends on nothing."""
    if all(window is None for window in strand.windows):
        return NONE
    if isinstance(strand, Table):
        filled = [i for i, w in enumerate(strand.windows) if w is not None]
        start, stop = filled[0], filled[-1] + 1
        windows = strand.windows[start:stop]
        return AxisMap((strand._replace(start=strand.start + start, windows=windows),))
    return AxisMap((_smallest(strand),))


def _smallest(strand: Periodic) -> Periodic:
    """The same strand with the smallest period."""
    windows, advance = strand.windows, strand.advance
    if all(window == EVERYTHING for window in windows):
        return strand._replace(advance=0, windows=(EVERYTHING,), gap=1)
    length = len(windows)
    for prime in _prime_factors(length):
        while length % prime == 0 and advance % prime == 0:
            shorter, step = length // prime, advance // prime
            if any(
                _shifted(windows[i - shorter], step) != windows[i]
                for i in range(shorter, length)
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


def _moved(bound: Bound, offset: int) -> Bound:
    return bound + offset if isinstance(bound, int) else bound


def _shifted(window: MaybeWindow, offset: int) -> MaybeWindow:
    if window is None:
        return None
    return _moved(window[0], offset), _moved(window[1], offset)


def _merged_bound(outer: Bound, inner: Bound, count: int) -> Bound:
    return _moved(inner, outer * count) if isinstance(outer, int) else outer


def _hull(windows: Iterable[MaybeWindow]) -> MaybeWindow:
    some = [window for window in windows if window is not None]
    if not some:
        return None
    return min(first for first, _ in some), max(last for _, last in some)


def _is_finite(*bounds: Bound) -> bool:
    # Not math.isfinite: an int may be too large for a float.
    return not any(isinstance(bound, float) for bound in bounds)


def _is_monotone(windows: Sequence[MaybeWindow]) -> bool:
    some = [window for window in windows if window is not None]
    if len(some) < len(windows):
        return False
    pairs = list(pairwise(some))
    return all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairs) or all(
        a[0] >= b[0] and a[1] >= b[1] for a, b in pairs
    )
