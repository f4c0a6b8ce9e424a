"""Sets of positions: which individual positions of a tensor the features need.

`relations.relation` works with windows, which may reach into padding and have holes.
This module applies the same relations to sets of positions. It clips the sets to the
size of each tensor on the way. Therefore, features see nothing through the padding of
an intermediate tensor, or at positions that a dilated kernel skips.

A `Box` holds the positions that features need of one tensor along one path. It is the
product of its *groups*. A group is a boolean array over the positions of some axes of
the output and of some *parts* of the tensor's axes. In most networks, each axis is a
single part and has a group to itself, which depends on one axis of the output. The
group is then a matrix. Reshapes only regroup parts. When paths meet, their boxes are
kept side by side, unless their union is a box.

This file knows nothing about ops or graphs.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from receptive_field.algebra.axis_map import (
    EVERYTHING,
    Anywhere,
    AxisMap,
    Floating,
    Periodic,
    Tabulated,
)
from receptive_field.arrays import np
from receptive_field.budget import COPIES_A_STEP, NUMBERS_A_STEP, hold, spend
from receptive_field.relations.relation import (
    ALL_BOUND,
    SAME,
    Factor,
    Relation,
    Slot,
    Thread,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BOXES = 64
"""The most boxes that are kept for one tensor. If there are more, boxes are merged
into upper bounds where possible."""

FLAGS_A_NUMBER = 8
"""How many booleans take as much memory as a number."""

PRODUCTS_A_STEP = 1 << 13
"""How many products of two booleans are computed in a step."""

LARGEST_GROUP = 1 << 27
"""The most elements of an array. Upper bounds replace results that would need more."""

Mask: TypeAlias = "NDArray[np.bool_]"


class Group(NamedTuple):
    """The needed positions of some parts, in one array."""

    outputs: tuple[int, ...]
    """The output axes that the group depends on, in ascending order. They are the first
    axes of the array `seen`."""
    parts: tuple[int, ...]
    """The numbers of the parts. They are the remaining axes of the array `seen`."""
    seen: Mask


class Box(NamedTuple):
    """The positions that features need of one tensor along one path."""

    groups: tuple[Group, ...]
    axes: tuple[tuple[int, ...], ...]
    """The parts that make up each axis of the tensor, outermost first."""
    exact: bool = True
    """Whether the box is exact; otherwise it is an upper bound."""


Digits: TypeAlias = "Mapping[int, tuple[int, ...]]"
"""For some axes of the output, the factors into which ops below divide the axis,
outermost first. The positions on such an axis are written as digits, which are output
axes of their own until `whole`: digit i of axis a of n has the number ``a + i * n``."""


def start(
    shape: Sequence[int], features: Mapping[int, NDArray[Any]], digits: Digits
) -> Box:
    """Returns the box of the output itself, where each feature needs only itself.

    Args:
      shape: the shape of the output.
      features: for some axes, the positions of the features on that axis. On all other
        axes, a feature contains every position.
      digits: the axes whose positions are written as digits. All of their positions
        are features.
    """
    groups: list[Group] = []
    axes = []
    for axis, size in enumerate(shape):
        first = len(groups)
        if axis not in features:
            hold(size // FLAGS_A_NUMBER)
            groups.append(Group((), (first,), np.ones(size, dtype=bool)))
        for place, count in enumerate(digits.get(axis, ())):
            hold(count * count // FLAGS_A_NUMBER)
            number = axis + place * len(shape)
            seen = np.eye(count, dtype=bool)
            groups.append(Group((number,), (len(groups),), seen))
        if axis in features and axis not in digits:
            hold(len(features[axis]) * size // FLAGS_A_NUMBER)
            seen = features[axis][:, None] == np.arange(size)
            groups.append(Group((axis,), (first,), seen))
        axes.append(tuple(range(first, len(groups))))
    return Box(tuple(groups), tuple(axes))


def whole(box: Box, rank: int, digits: Digits) -> Box:
    """Returns the box with the digits of each output axis put together again.

    A group that would be too large becomes one for each of its parts, which is an upper
    bound.

    Args:
      box: a box of some tensor below an output of ``rank`` axes.
      rank, digits: as they were for `start`.
    """
    groups, exact = [], box.exact
    for group in box.groups:
        axes = sorted({number % rank for number in group.outputs})
        if digits.keys().isdisjoint(axes):
            groups.append(group)
            continue
        counts = {
            axis: digits.get(axis) or (group.seen.shape[group.outputs.index(axis)],)
            for axis in axes
        }
        numbers = [axis + i * rank for axis in axes for i in range(len(counts[axis]))]
        outer = [n for n in numbers if n in group.outputs]
        inner = range(len(outer), group.seen.ndim)
        seen = group.seen.transpose(*map(group.outputs.index, outer), *inner)
        seen = seen[tuple(slice(None) if n in outer else None for n in numbers)]
        apart = [*itertools.chain(*counts.values())]
        sizes, begin = [*map(math.prod, counts.values())], len(apart)
        of_parts = [(group.parts, seen)]
        if math.prod((*apart, *seen.shape[begin:])) > LARGEST_GROUP:
            exact = False
            every = range(begin, seen.ndim)
            of_parts = [
                ((part,), np.asarray(seen.any(axis=tuple({*every} - {begin + i}))))
                for i, part in enumerate(group.parts)
            ]
        for parts, array in of_parts:
            rest = array.shape[begin:]
            hold(math.prod((*sizes, *rest)) // FLAGS_A_NUMBER)
            full = np.broadcast_to(array, (*apart, *rest))
            groups.append(Group(tuple(axes), parts, full.reshape(*sizes, *rest)))
    return Box(tuple(groups), box.axes, exact)


def through(
    box: Box,
    relation: Relation,
    shape: Sequence[int],
    taps: Mapping[int, Mask] | None = None,
) -> list[Box]:
    """Returns the boxes of a tensor that an op reads.

    Args:
      box: a box of the op's output.
      relation: how the tensor that the op reads follows the op's output.
      shape: the shape of the tensor that the op reads.
      taps: a matrix for each axis of that tensor on which windows and gaps do not
        describe which positions matter. The element [u, v] says whether position v of
        the axis matters to position u of the output axis. Each of these axes must
        follow a single axis of the output.
    """
    if relation == SAME:
        return [box]
    if not relation.axes:
        work = _Work(box)
        work.use(())
        axes = [work.constant(np.ones(size, dtype=bool)) for size in shape]
        return [work.box([*axes], box.exact and relation != ALL_BOUND)]
    if relation.parts and relation.piece is None:
        box = box._replace(exact=False)
    if relation.piece is not None:
        axis, ranges, total, _ = relation.piece
        work = _Work(box)
        positions = np.zeros(total, dtype=bool)
        for part in ranges:
            positions[part.start : part.stop] = True
        merged = work.merged(box.axes[axis])
        if merged is None or work.size(merged) != total:
            box = box._replace(exact=False)
        else:
            work.restrict(merged, positions)
            axes_above = [*work.axes]
            axes_above[axis] = [merged]
            box = work.box(axes_above, box.exact)
    # It is not known which threads of different axes belong to the same path.
    branching = sum(len(threads) > 1 for threads in relation.axes)
    if branching > 1:
        box = box._replace(exact=False)
    return [
        _through_threads(box, threads, shape, taps or {})
        for threads in itertools.product(*relation.axes)
    ]


def _through_threads(
    box: Box,
    threads: Sequence[Thread],
    shape: Sequence[int],
    taps: Mapping[int, Mask],
) -> Box:
    work = _Work(box)
    # Find all slots first, because finding one may split parts that other factors use.
    for thread in threads:
        for factor in thread.factors:
            if factor.slot is not None:
                work.slot(factor.slot)
    slots = {
        (place, number): work.slot(factor.slot)
        for place, thread in enumerate(threads)
        for number, factor in enumerate(thread.factors)
        if factor.slot is not None
    }
    present = set(itertools.chain(*work.axes))
    uses: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for (place, number), parts in slots.items():
        if parts is not None and present.issuperset(parts):
            uses.setdefault(parts, []).append((place, number))
    exact = box.exact
    kept: list[int] = []
    results: dict[tuple[int, int], list[int] | None] = {}
    for parts, places in uses.items():
        factors = [threads[place].factors[number] for place, number in places]
        maps = [f.via.then(f.map) for f in factors]
        matrix = taps.get(places[0][0]) if len(places) == 1 else None
        exact &= matrix is not None or all(map(is_told, maps))
        clash = any(set(parts) & set(other) for other in uses if other != parts)
        if len(maps) == 1 and maps[0].is_identity and not clash:
            results[places[0]] = list(parts)
            continue
        sizes = [
            _size(factor, threads[place], shape[place])
            for (place, _), factor in zip(places, factors, strict=True)
        ]
        merged = None if clash or None in sizes else work.merged(parts)
        new = None
        if merged is not None:
            known = [s for s in sizes if s is not None]
            new = work.mapped(merged, maps, known, matrix)
        for index, user in enumerate(places):
            results[user] = None if new is None else [new[index]]
    axes: list[list[int]] = []
    for place, (thread, size) in enumerate(zip(threads, shape, strict=True)):
        parts_below: list[int] | None = []
        for number, factor in enumerate(thread.factors):
            found = results.get((place, number))
            if factor.slot is None:
                count = _size(factor, thread, size)
                exact &= is_told(factor.map)
                found = None
                if count is not None:
                    found = work.constant(_constant(factor.map, count))
            if found is None or parts_below is None:
                parts_below = None
            else:
                parts_below += found
        if parts_below is not None:
            parts_below = work.fitted(parts_below, thread.tail, size)
            exact &= is_told(thread.tail)
        if parts_below is None:
            exact = False
            parts_below = work.constant(np.ones(size, dtype=bool))
        axes.append(parts_below)
        kept += parts_below
    work.use(kept)
    return work.box(axes, exact)


def _size(factor: Factor, thread: Thread, size: int) -> int | None:
    """Returns how many positions a factor has, or None if this is unknown.

    The factor belongs to a thread of an axis of ``size`` positions.
    """
    if len(thread.factors) == 1 and thread.tail.is_identity:
        return size
    return factor.size if isinstance(factor.size, int) else None


class _Work:
    """A box that is being transformed into another box."""

    def __init__(self, box: Box) -> None:
        self.groups = list(box.groups)
        self.axes = [list(parts) for parts in box.axes]
        used = (part for group in box.groups for part in group.parts)
        self.next = max(used, default=-1) + 1

    def box(self, axes: Sequence[Sequence[int]], exact: bool) -> Box:
        """Returns the resulting box, with its parts numbered in the order of the axes.

        A group without parts records which features need anything at all. It is left
        out if all features need something.
        """
        number = {part: i for i, part in enumerate(itertools.chain(*axes))}
        groups = []
        gates: dict[tuple[int, ...], Mask] = {}
        for outputs, parts, seen in self.groups:
            if parts:
                places = [number[part] for part in parts]
                order = sorted(range(len(parts)), key=places.__getitem__)
                first = range(len(outputs))
                seen = seen.transpose(*first, *(len(outputs) + i for i in order))
                groups.append(Group(outputs, tuple(sorted(places)), seen))
            elif not seen.all():
                gates[outputs] = seen & gates.get(outputs, seen)
        groups.sort(key=itemgetter(1))
        groups += [Group(outputs, (), gates[outputs]) for outputs in sorted(gates)]
        numbered = tuple(tuple(number[part] for part in parts) for parts in axes)
        return Box(tuple(groups), numbered, exact)

    def new(self) -> int:
        self.next += 1
        return self.next - 1

    def find(self, part: int) -> int:
        return next(i for i, g in enumerate(self.groups) if part in g.parts)

    def size(self, part: int) -> int:
        group = self.groups[self.find(part)]
        return int(group.seen.shape[len(group.outputs) + group.parts.index(part)])

    def constant(self, seen: Mask) -> list[int]:
        """Adds a part that has the same needed positions for all features.

        Returns a list that contains only this part.
        """
        part = self.new()
        self.groups.append(Group((), (part,), seen))
        return [part]

    def slot(self, slot: Slot) -> tuple[int, ...] | None:
        """Returns the parts that make up a slot, or None if it cannot be cut out."""
        parts = self.axes[slot.axis]
        end = self._cut(parts, len(parts), slot.inner)
        if end is None:
            return None
        begin = 0 if slot.size is None else self._cut(parts, end, slot.size)
        if begin is None:
            return None
        end = self._cut(parts, len(parts), slot.inner)  # The end may have moved.
        return tuple(parts[begin:end])

    def _cut(self, parts: list[int], end: int, inner: Any) -> int | None:
        """Returns the index of the first of the parts that make up ``inner`` positions.

        ``end`` is the index after the last of these parts. If necessary, parts are
        merged and split. Returns None if that is impossible.
        """
        if not isinstance(inner, int):
            return None
        place = end
        while inner > 1:
            if place == 0:
                return None
            size = self.size(parts[place - 1])
            if not size:
                return None
            if inner % size == 0:
                inner //= size
                place -= 1
            elif size % inner == 0:
                parts[place - 1 : place] = self._split(parts[place - 1], inner)
                return place
            else:
                # An axis that was divided into 14 x 3 may be divided into 21 x 2 below.
                merged = self.merged(parts[place - 2 : place]) if place > 1 else None
                if merged is None:
                    return None
                parts[place - 2 : place] = [merged]
                place -= 1
        return place

    def _split(self, part: int, inner: int) -> list[int]:
        index = self.find(part)
        outputs, parts, seen = self.groups[index]
        place = parts.index(part)
        axis = len(outputs) + place
        outer = seen.shape[axis] // inner
        shape = (*seen.shape[:axis], outer, inner, *seen.shape[axis + 1 :])
        two = [self.new(), self.new()]
        numbers = (*parts[:place], *two, *parts[place + 1 :])
        self.groups[index] = Group(outputs, numbers, seen.reshape(shape))
        return two

    def merged(self, parts: Sequence[int]) -> int | None:
        """Merges parts, outermost first, into one.

        Returns None if the array would be too large.
        """
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return self.constant(np.ones(1, dtype=bool))[0]
        group = self._joined(parts)
        if group is None:
            return None
        outputs, numbers, seen = group
        rest = [p for p in numbers if p not in parts]
        order = [numbers.index(p) + len(outputs) for p in (*rest, *parts)]
        seen = seen.transpose(*range(len(outputs)), *order)
        seen = seen.reshape(*seen.shape[: len(outputs) + len(rest)], -1)
        part = self.new()
        self.groups[self.groups.index(group)] = Group(outputs, (*rest, part), seen)
        return part

    def _joined(self, parts: Sequence[int]) -> Group | None:
        """Joins the groups of these parts into one.

        Returns None if the array would be too large.
        """
        indices = list(dict.fromkeys(map(self.find, parts)))
        if len(indices) == 1:
            return self.groups[indices[0]]
        joined = joined_groups([self.groups[i] for i in indices])
        if joined is not None:
            self.groups = [g for i, g in enumerate(self.groups) if i not in indices]
            self.groups.append(joined)
        return joined

    def restrict(self, part: int, positions: Mask) -> None:
        """Keeps only these positions of a part."""
        index = self.find(part)
        outputs, parts, seen = self.groups[index]
        along = [1] * seen.ndim
        along[len(outputs) + parts.index(part)] = len(positions)
        self.groups[index] = Group(outputs, parts, seen & positions.reshape(along))

    def mapped(
        self,
        part: int,
        maps: Sequence[AxisMap],
        sizes: Sequence[int],
        matrix: Mask | None = None,
    ) -> list[int] | None:
        """Replaces a part by new parts, which hold what it needs of the tensor below.

        There is one new part for each map. If a matrix is given, there must be only one
        map, and the matrix is used instead of that map. Returns the new parts, or None
        if the array would be too large.
        """
        index = self.find(part)
        outputs, parts, seen = self.groups[index]
        flags = seen.size // max(self.size(part), 1) * math.prod(sizes)
        if flags > LARGEST_GROUP:
            return None
        hold(flags // FLAGS_A_NUMBER)
        seen = np.moveaxis(seen, len(outputs) + parts.index(part), -1)
        found: Mask | None
        if matrix is not None:
            found = _product(seen, matrix)
        elif len(maps) == 1:
            found = image(seen, maps[0], sizes[0])
        else:
            found = _joint_image(seen, maps, sizes)
        if found is None:
            return None
        seen = found
        new = [self.new() for _ in maps]
        rest = tuple(p for p in parts if p != part)
        self.groups[index] = Group(outputs, (*rest, *new), seen)
        return new

    def fitted(self, parts: list[int], tail: AxisMap, size: int) -> list[int] | None:
        """Applies a map to the parts of an axis, and clips the result to ``size``.

        Returns None if an array would be too large.
        """
        if tail.is_identity and math.prod(map(self.size, parts)) == size:
            return parts
        part = self.merged(parts)
        return None if part is None else self.mapped(part, [tail], [size])

    def use(self, kept: Sequence[int]) -> None:
        """Drops the parts that are not in ``kept``.

        The group of a dropped part still records which features need any position of
        that part.
        """
        for index, (outputs, parts, seen) in enumerate(self.groups):
            gone = tuple(
                len(outputs) + i for i, part in enumerate(parts) if part not in kept
            )
            if gone:
                left = tuple(part for part in parts if part in kept)
                self.groups[index] = Group(
                    outputs, left, np.asarray(seen.any(axis=gone))
                )


def of_axes(box: Box, chosen: Sequence[int], outputs: Collection[int]) -> Box:
    """Returns the box reduced to the ``chosen`` axes of the tensor, in this order.

    Each of these axes becomes a single part. For the other axes, the box records only
    which features need any of their positions. If the box depends on output axes that
    are not in ``outputs``, it no longer distinguishes positions on these axes, and so
    becomes an upper bound.
    """
    work = _Work(box)
    for index, (above, parts, seen) in enumerate(work.groups):
        gone = tuple(i for i, axis in enumerate(above) if axis not in outputs)
        if gone:
            left = tuple(axis for axis in above if axis in outputs)
            work.groups[index] = Group(left, parts, np.asarray(seen.any(axis=gone)))
            box = box._replace(exact=False)
    exact, axes = box.exact, []
    for axis in chosen:
        own = work.axes[axis]
        merged = work.merged(own)
        if merged is None:
            exact = False
            merged = work.constant(np.ones(math.prod(map(work.size, own)), bool))[0]
        axes.append([merged])
    work.use([part for (part,) in axes])
    return work.box(axes, exact)


def joined_groups(groups: Sequence[Group]) -> Group | None:
    """Returns the product of groups as one group, or None if it would be too large."""
    outputs = sorted({axis for group in groups for axis in group.outputs})
    sizes = {
        axis: group.seen.shape[i]
        for group in groups
        for i, axis in enumerate(group.outputs)
    }
    parts = [part for group in groups for part in group.parts]
    inner = math.prod(n for g in groups for n in g.seen.shape[len(g.outputs) :])
    if math.prod(sizes.values()) * inner > LARGEST_GROUP:
        return None
    seen: Any = True
    for group in groups:
        shape = [sizes[a] if a in group.outputs else 1 for a in outputs]
        before = parts.index(group.parts[0]) if group.parts else 0
        of_parts = group.seen.shape[len(group.outputs) :]
        after = len(parts) - before - len(of_parts)
        seen = seen & group.seen.reshape(*shape, *[1] * before, *of_parts, *[1] * after)
    return Group(tuple(outputs), tuple(parts), np.asarray(seen))


def restricted(box: Box, live: Sequence[Mask]) -> Box:
    """Returns the box restricted to the ``live`` positions of each axis."""
    work = _Work(box)
    axes, exact = [list(parts) for parts in work.axes], box.exact
    for place, positions in enumerate(live):
        if positions.all():
            continue
        merged = work.merged(work.axes[place])
        if merged is None or work.size(merged) != len(positions):
            exact = False
        else:
            work.restrict(merged, positions)
            axes[place] = [merged]
    return work.box(axes, exact)


# --- Axis maps on sets ---------------------------------------------------------------


def image(seen: Mask, axis_map: AxisMap, size: int) -> Mask | None:
    """Returns which of ``size`` positions each set needs through a map.

    The sets lie along the last axis of ``seen``. The map must be that of a single
    layer: a window with gap g contains every g-th position, starting with its first.
    Returns None if an array would be too large.
    """
    found = np.zeros((*seen.shape[:-1], size), dtype=bool)
    for strand in axis_map.strands:
        if isinstance(strand, (Anywhere, Floating)) or strand.windows == (EVERYTHING,):
            found |= seen.any(axis=-1, keepdims=True)
        elif not _add_strand(seen, strand, found):
            return None
    return found


def _add_strand(seen: Mask, strand: Periodic | Tabulated, found: Mask) -> bool:
    """Marks in ``found`` the positions that sets of positions need through a strand.

    Returns False if an array would be too large.
    """
    count, size = seen.shape[-1], found.shape[-1]
    step = 1 if strand.gap == math.inf else int(strand.gap)
    if isinstance(strand, Periodic) and _is_sliding(strand):
        _slide(seen, strand, step, found)
        return True
    firsts, lasts = _ends(strand, count, size, step)
    taps = int((lasts - firsts).max(initial=-1)) // step + 1
    if taps <= MOST_TAPS:
        for tap in range(taps):
            positions = firsts + tap * step
            _scatter(seen, positions, positions <= lasts, found)
        return True
    if count * size > LARGEST_GROUP:
        return False
    indices = np.arange(size)
    apart = indices - firsts[:, None]
    matrix = (apart >= 0) & (indices <= lasts[:, None]) & (apart % step == 0)
    found |= _product(seen, matrix)
    return True


MOST_TAPS = 64
"""The most taps of a window that are handled one by one."""


def _is_sliding(strand: Periodic) -> bool:
    if len(strand.windows) != 1 or strand.advance < 1:
        return False
    window = strand.windows[0]
    return window is not None and not any(isinstance(end, float) for end in window)


def _slide(seen: Mask, strand: Periodic, step: int, found: Mask) -> None:
    """Does the same as `_add_strand` for a sliding window, tap by tap."""
    first, last = map(int, strand.windows[0])  # type: ignore[arg-type]
    stride, count, size = strand.advance, seen.shape[-1], found.shape[-1]
    # Position v reads v * stride + tap. Taps that no position has inside are skipped.
    outside = max(-(count - 1) * stride - first, 0)
    first += -(-outside // step) * step
    for tap in range(first, min(last, size - 1) + 1, step):
        low = max(-(tap // stride), 0)
        high = min((size - 1 - tap) // stride, count - 1)
        if low <= high:
            begin = low * stride + tap
            end = high * stride + tap + 1
            found[..., begin:end:stride] |= seen[..., low : high + 1]


def reached(live: Mask, axis_map: AxisMap, count: int) -> Mask | None:
    """Returns which of ``count`` positions read at least one live position.

    Returns None if the search would take too long.
    """
    size, found = len(live), np.zeros(count, dtype=bool)
    for strand in axis_map.strands:
        if isinstance(strand, (Anywhere, Floating)) or strand.windows == (EVERYTHING,):
            found |= live.any()
            continue
        step = 1 if strand.gap == math.inf else int(strand.gap)
        firsts, lasts = _ends(strand, count, size, step)
        taps = int((lasts - firsts).max(initial=-1)) // step + 1
        if live.all():
            found |= firsts <= lasts
        elif step == 1:
            before = np.concatenate([[0], np.cumsum(live)])
            some = firsts <= lasts
            found[some] |= before[lasts[some] + 1] > before[firsts[some]]
        elif taps <= MOST_TAPS:
            for tap in range(taps):
                positions = firsts + tap * step
                inside = positions <= lasts
                found[inside] |= live[positions[inside]]
        else:
            return None
    return found


def _ends(
    strand: Periodic | Tabulated, count: int, size: int, step: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the first and last position that each of ``count`` positions reads.

    Only positions inside an axis of ``size`` positions count. If a position reads none
    of these, its first position is larger than its last.
    """
    period = len(strand.windows)
    spend(period // COPIES_A_STEP + count // NUMBERS_A_STEP)
    windows = [window or (np.inf, -np.inf) for window in strand.windows]
    written = np.array(windows, dtype=float).reshape(period, 2).T
    if isinstance(strand, Periodic):
        turns, phases = np.divmod(np.arange(count), period)
        firsts, lasts = written[:, phases] + turns * float(strand.advance)
    else:
        firsts, lasts = np.full(count, np.inf), np.full(count, -np.inf)
        start = min(max(strand.start, 0), count)
        end = min(max(strand.start + period, start), count)
        places = slice(start - strand.start, end - strand.start)
        firsts[start:end], lasts[start:end] = written[:, places]
    some = firsts <= lasts
    # Start at the first tap inside the axis, or at 0 if the window is infinite.
    firsts = np.where(np.isinf(firsts), 0, firsts)
    firsts = np.where(firsts < 0, firsts + np.ceil(-firsts / step) * step, firsts)
    firsts = np.where(some, firsts, size)
    lasts = np.where(some, np.minimum(lasts, size - 1), -1)
    return firsts.astype(np.int64), lasts.astype(np.int64)


def _scatter(seen: Mask, targets: NDArray[Any], valid: Mask, found: Mask) -> None:
    """Marks in ``found`` the target of each valid position that belongs to a set."""
    some = np.flatnonzero(valid)
    if len(some):
        order = some[np.argsort(targets[some], kind="stable")]
        unique, starts = np.unique(targets[order], return_index=True)
        found[..., unique] |= np.logical_or.reduceat(seen[..., order], starts, axis=-1)


def _joint_image(
    seen: Mask, maps: Sequence[AxisMap], sizes: Sequence[int]
) -> Mask | None:
    """Returns the positions that sets of positions need, as points on several axes."""
    count = seen.shape[-1]
    shape = (*seen.shape[:-1], *sizes)
    single = [_single_targets(m, count, n) for m, n in zip(maps, sizes, strict=True)]
    told = [targets for targets in single if targets is not None]
    if len(told) == len(maps):
        valid = np.logical_and.reduce([targets >= 0 for targets in told])
        place = np.ravel_multi_index([np.maximum(t, 0) for t in told], list(sizes))
        found = np.zeros((*seen.shape[:-1], math.prod(sizes)), dtype=bool)
        _scatter(seen, place, valid, found)
        return found.reshape(shape)
    if count * max(count, math.prod(sizes)) > LARGEST_GROUP:
        return None
    matrix = np.ones((count, 1), dtype=bool)
    for axis_map, size in zip(maps, sizes, strict=True):
        one = image(np.eye(count, dtype=bool), axis_map, size)
        if one is None:
            return None
        joint = matrix[:, :, None] & one[:, None, :]
        matrix = joint.reshape(count, matrix.shape[1] * one.shape[1])
    return _product(seen, matrix).reshape(shape)


def _single_targets(axis_map: AxisMap, count: int, size: int) -> NDArray[Any] | None:
    """Returns the one position that each position needs, or -1 where it needs none.

    Returns None if any position may need more than one.
    """
    if len(axis_map.strands) != 1:
        return None
    (strand,) = axis_map.strands
    if isinstance(strand, (Anywhere, Floating)):
        return None
    firsts, lasts = _ends(strand, count, size, 1)
    if (lasts > firsts).any():
        return None
    return np.where(lasts == firsts, firsts, -1)


def _product(seen: Mask, matrix: Mask) -> Mask:
    hold((seen.size + matrix.size) // 2)
    spend(seen.size * matrix.shape[-1] // PRODUCTS_A_STEP)
    product: Mask = (seen.astype(np.float32) @ matrix.astype(np.float32)) > 0
    return product


def is_told(axis_map: AxisMap) -> bool:
    """Returns whether a map determines exactly which positions matter."""
    return axis_map.exact and all(s.gap != math.inf for s in axis_map.strands)


def _constant(axis_map: AxisMap, size: int) -> Mask:
    found = image(np.ones(1, dtype=bool), axis_map, size)
    return np.ones(size, dtype=bool) if found is None else found


# --- Union ---------------------------------------------------------------------------


def united(boxes: Sequence[Box]) -> list[Box]:
    """Returns the boxes, of which no two have a union that is a box.

    If more than `MOST_BOXES` are left, boxes are merged into upper bounds where
    possible.
    """
    kept: list[Box] = []
    for box in boxes:
        place = 0
        while place < len(kept):
            both = _union(kept[place], box)
            if both is None:
                place += 1
            else:  # The union may unite with boxes with which the box does not.
                del kept[place]
                box, place = both, 0
        kept.append(box)
    while len(kept) > MOST_BOXES:
        last = kept.pop()
        for index, other in enumerate(kept):
            both = _hull(other, last)
            if both is not None:
                kept[index] = both
                break
        else:
            return [*kept, last]
    return kept


def _is_alike(one: Box, two: Box) -> bool:
    """Returns whether two boxes group the axes in the same way."""
    if one.axes != two.axes or len(one.groups) != len(two.groups):
        return False
    pairs = zip(one.groups, two.groups, strict=True)
    return all(a[:2] == b[:2] and a.seen.shape == b.seen.shape for a, b in pairs)


def _union(one: Box, two: Box) -> Box | None:
    """Returns the union of two boxes, or None if that is not a box.

    It is one of the boxes if the other lies within it. Boxes that differ in one group
    have a union, too: A x B and A x C together are A x (B | C). So the four slices of
    an image at even and odd rows and columns become the whole image.
    """
    if not _is_alike(one, two):
        return None
    pairs = [(a.seen, b.seen) for a, b in zip(one.groups, two.groups, strict=True)]
    more = [n for n, (a, b) in enumerate(pairs) if (a & ~b).any()]
    if not more and (two.exact or not one.exact):
        return two
    less = [n for n, (a, b) in enumerate(pairs) if (b & ~a).any()]
    if not less and (one.exact or not two.exact):
        return one
    different = {*more, *less}
    if one.exact != two.exact or len(different) > 1:
        return None  # An exact box is kept, even if an upper bound covers it.
    groups = list(one.groups)
    for number in different:
        groups[number] = groups[number]._replace(seen=operator.or_(*pairs[number]))
    return one._replace(groups=tuple(groups))


def _hull(one: Box, two: Box) -> Box | None:
    """Returns a box that contains both boxes, or None if their groups differ."""
    if not _is_alike(one, two):
        return None
    pairs = zip(one.groups, two.groups, strict=True)
    groups = tuple(a._replace(seen=a.seen | b.seen) for a, b in pairs)
    return Box(groups, one.axes, exact=False)


__all__ = [
    "Box",
    "Group",
    "image",
    "is_told",
    "joined_groups",
    "of_axes",
    "reached",
    "restricted",
    "start",
    "through",
    "united",
    "whole",
]
