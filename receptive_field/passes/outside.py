"""Finds rules that read outside a tensor and would thereby add pixels to a region.

The paper's regions include the padding of every layer. A position outside a tensor
counts as seeing what it would see if the tensor continued there. In two cases, this
adds pixels to a region although no feature sees them:

* An op *clamps*, as a resize does: instead of a position before the first one, it reads
  the first one. If the first position sees the first pixel, the positions before it lie
  in the padding of the image. But if the image was cropped, they lie on pixels that
  were cut off.
* The tensor was *permuted* below, so a position after its last one may lie anywhere.

On the axes where this happens, the op's rule is only an upper bound.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from receptive_field.algebra.axis_map import (
    INFINITY,
    AxisMap,
    Floating,
    Interval,
    MaybeInterval,
    Periodic,
    Strand,
)
from receptive_field.algebra.sizes import Size, bounds, residue, unknown
from receptive_field.budget import counted
from receptive_field.relations.relation import Relation, followed_axes, permutes, source

Shapes = Callable[[], Sequence[tuple[Size, ...] | None]]
"""Returns the shapes of an op's output, the tensor that it reads, and the input."""


def overstated_axes(
    rule: Relation, below: Relation, clamps: bool, shapes: Shapes
) -> set[int]:
    """Returns the axes on which a rule may include pixels that no feature sees.

    Args:
      rule: the relation of the op's output to the tensor that it reads.
      below: the relation of that tensor to the input.
      clamps: whether the op replaces a position outside the tensor by the first or last
        position.
      shapes: a function that is called only if sizes matter.

    Returns:
      Axes of the tensor that the op reads.
    """
    found: set[int] = set()
    if not rule.axes or rule.parts or rule.piece:
        return found  # Positions beyond the end of a part belong to the next part.
    lower_axes = {
        axis: followed
        for axis, followed in enumerate(below.axes)
        if clamps or permutes(followed)
    }
    if not lower_axes:
        return found
    looking = {
        number: (above, upper)
        for number, (above, upper) in enumerate(map(source, rule.axes))
        if above is not None and _may_look_outside(upper)
    }
    for axis, followed in lower_axes.items():
        if not looking.keys() & followed_axes(followed):
            continue
        place, lower = source(followed)
        if place is not None:
            doubtful = lower.exact and (clamps or lower.moves_back)
            places = {place} if doubtful else set()
        else:  # The axis follows several axes, or none.
            places = followed_axes(followed) if clamps else set()
        for number in places & looking.keys():
            above, upper = looking[number]
            of_all = zip(shapes(), (above, number, axis), strict=True)
            sizes = [unknown("a size") if s is None else s[a] for s, a in of_all]
            if _overstates(upper, lower, *sizes):
                found.add(number)
    return found


def _may_look_outside(axis_map: AxisMap) -> bool:
    """Returns whether windows are exact and may contain positions outside the axis."""
    return axis_map.exact and not (axis_map.is_identity or axis_map.is_split)


def _overstates(
    upper: AxisMap, lower: AxisMap, made: Size, read: Size, start: Size
) -> bool:
    """Returns whether reading positions outside a tensor may add pixels to a region.

    Args:
      upper: the map from the op's output to the tensor that it reads.
      lower: the map from that tensor to the input.
      made: the size of the op's output.
      read: the size of the tensor that the op reads.
      start: the size of the input.
    """
    if not isinstance(made, int) or not isinstance(read, int) or upper.is_floating:
        before, behind = (not inside for inside in _ends_inside(upper, made, read))
    else:
        places = itertools.chain(*_near_ends(upper, made, read))
        windows = filter(None, map(upper.window, places))
        outside = [w for w in windows if w[0] < 0 or w[1] >= read]
        if isinstance(start, int) and lower.exact and not lower.is_floating:
            # What features really see may come from elsewhere, as in a wrapped padding.
            maps = [lower] if lower.seen is None else [lower, lower.seen]
            return any(_adds(w, m, read, start) for w in outside for m in maps)
        before = any(first < 0 for first, _ in outside)
        behind = any(last >= read for _, last in outside)
    if not before and not behind:
        return False
    first, last = _ends_reached(lower, read, start)
    return lower.moves_back or (before and not first) or (behind and not last)


# --- At known sizes ------------------------------------------------------------------


def _near_ends(axis_map: AxisMap, made: int, read: int) -> Sequence[range]:
    """Returns positions outside of which no window reaches outside a tensor.

    Args:
      axis_map: the map, whose offsets are known. Where it shows other positions than
        those of its strands, these count only if the strands reach outside.
      made: the number of positions that have a window.
      read: the size of the tensor.
    """
    before, behind = 0, made
    if axis_map.seen is not None:
        inside = axis_map.seen.span(0, made - 1)
        if inside is None or inside[0] < 0 or inside[1] >= read:
            return [counted(range(made))]
    for strand in axis_map.strands:
        if not isinstance(strand, Periodic):
            return [counted(range(made))]
        advance, period = strand.advance, len(strand.windows)
        ends = [window for window in strand.windows if window is not None]
        low, high = min(first for first, _ in ends), max(last for _, last in ends)
        if INFINITY in (-low, high):
            return [counted(range(made))]
        if not advance:
            if low < 0 or high >= read:
                return [counted(range(made))]
            continue
        if advance < 0:  # The first positions have the last windows.
            low, high, advance = read - 1 - high, read - 1 - low, -advance
        # A window begins at 0 or later from this turn on, and ends inside until that.
        before = max(before, -(int(low) // advance) * period)
        behind = min(behind, ((read - 1 - int(high)) // advance + 1) * period)
    before, behind = min(max(before, 0), made), min(max(behind, 0), made)
    if before >= behind:
        return [counted(range(made))]
    return [counted(range(before)), counted(range(behind, made))]


def _adds(window: Interval, lower: AxisMap, read: int, start: int) -> bool:
    """Returns whether a window sees more than the part of it inside the tensor does.

    Only pixels of the input count. A window that lies entirely outside the tensor is
    compared with the tensor's position nearest to it.
    """
    first, last = window
    if first == -INFINITY or last == INFINITY:
        return False  # An endless window stops at the end of the tensor.
    low, high = (int(min(max(end, 0), read - 1)) for end in window)
    inside = lower.span(low, high)
    everywhere = lower.span(min(first, low), max(last, high))
    return _cut(everywhere, start) != _cut(inside, start)


def _cut(window: MaybeInterval, size: int) -> MaybeInterval:
    if window is None or window[1] < 0 or window[0] >= size:
        return None
    return max(window[0], 0), min(window[1], size - 1)


# --- At unknown sizes ----------------------------------------------------------------

Ends = list[tuple[Any, Any]]
"""The possible windows of a position; their ends are numbers or unknown sizes."""


def _ends_inside(axis_map: AxisMap, made: Size, read: Size) -> tuple[bool, bool]:
    """Returns whether the first window begins and the last window ends inside.

    "Inside" means inside the tensor that is read. A flag is False if this is unknown.
    """
    firsts = [_windows(strand, 0) for strand in axis_map.strands]
    lasts = [_windows(strand, made - 1) for strand in axis_map.strands]
    return (
        all(ends and all(_is_positive(a) for a, _ in ends) for ends in firsts),
        all(
            ends and all(_is_positive(read - 1 - b) for _, b in ends) for ends in lasts
        ),
    )


def _ends_reached(axis_map: AxisMap, read: Size, start: Size) -> tuple[bool, bool]:
    """Returns whether the first and the last window reach the ends of the input.

    The first flag says whether the first window is known to reach the start of the
    input, and the second flag whether the last window is known to reach the end. Both
    are True if all windows are the same.
    """
    moving = [s for s in axis_map.strands if not _is_constant(s)]
    if not moving:
        return True, True
    if not all(_is_forward(strand) for strand in moving):
        return False, False
    firsts = [_windows(strand, 0) for strand in moving]
    lasts = [_windows(strand, read - 1) for strand in moving]
    return (
        any(ends and all(_is_positive(-a) for a, _ in ends) for ends in firsts),
        any(
            ends and all(_is_positive(b - start + 1) for _, b in ends) for ends in lasts
        ),
    )


def _is_constant(strand: Strand) -> bool:
    return isinstance(strand, Periodic) and not strand.advance


def _is_forward(strand: Strand) -> bool:
    """Returns whether later positions are known to see later positions below."""
    if isinstance(strand, Floating):
        return strand.rate is not None and strand.rate > 0
    return isinstance(strand, Periodic) and strand.advance > 0


def _windows(strand: Strand, position: Size) -> Ends:
    """Returns the possible windows of a position, or just the first and last of them.

    The list is empty if the windows are not known.
    """
    if isinstance(strand, Floating):
        if strand.rate is None or strand.drifts is not False:
            return []
        starts = strand.starts()
        if INFINITY in map(abs, starts):
            return []
        wide = strand.extents.one - 1
        begins = [position * strand.rate + start for start in starts]
        return [(begin, begin + wide) for begin in begins]
    if not isinstance(strand, Periodic):
        return []
    period = len(strand.windows)
    rest = residue(position, period)
    found: Ends = []
    for phase in range(period) if rest is None else (rest,):
        window = strand.windows[phase]
        if window is None or INFINITY in map(abs, window):
            return []
        moved = (position - phase) * Fraction(strand.advance, period)
        found.append((window[0] + moved, window[1] + moved))
    return found


def _is_positive(size: Size) -> bool:
    """Returns whether a size is known to be zero or positive."""
    limits = bounds(size)
    return limits is not None and limits[0] >= 0
