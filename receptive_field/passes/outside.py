"""Where positions outside of a tensor would fall on the input.

The paper's regions count the padding of any layer as positions: what an op reads
outside of a tensor lies where the tensor, if it went on, would see the input. Pixels
that nobody sees come into a region by that where

* an op *clamps*, as a resize does: what it reads before the first position is the first
  one. If that sees the first pixel, what lies before it is padding of the image. If the
  first pixels were cropped, it lies on these.
* the tensor was *permuted* below: what comes after its last position may lie anywhere.

The rule of such an op is a bound there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from receptive_field.algebra.axis_map import (
    INFINITY,
    AxisMap,
    Floating,
    MaybeWindow,
    Periodic,
    Strand,
    Window,
)
from receptive_field.algebra.sizes import Size, bounds, residue, unknown
from receptive_field.relations.relation import Relation, followed_axes, permutes, source

Shapes = Callable[[], Sequence[tuple[Size, ...] | None]]
"""The shapes of what an op makes, of what it reads, and of the input."""


def overstated_axes(
    rule: Relation, below: Relation, clamps: bool, shapes: Shapes
) -> set[int]:
    """The axes of what an op reads where more of the input seems to be seen than is, or
    may seem so.

    Args:
      rule: how what the op makes follows what it reads.
      below: how that follows the input.
      clamps: whether the op reads the first and the last position for those outside.
      shapes: asked where sizes matter.
    """
    found: set[int] = set()
    if not rule.axes or rule.parts or rule.piece:
        return found  # A part ends where the next one begins.
    looking = {
        number: (above, upper)
        for number, (above, upper) in enumerate(map(source, rule.axes))
        if above is not None and _may_look_outside(upper)
    }
    for axis, followed in enumerate(below.axes):
        if not looking.keys() & followed_axes(followed):
            continue
        if not clamps and not permutes(followed):
            continue
        place, lower = source(followed)
        if place is not None:
            doubtful = lower.exact and (clamps or lower.moves_back)
            places = {place} if doubtful else set()
        else:  # Several axes hold the positions, or none does.
            places = followed_axes(followed) if clamps else set()
        for number in places & looking.keys():
            above, upper = looking[number]
            of_all = zip(shapes(), (above, number, axis), strict=True)
            sizes = [unknown("a size") if s is None else s[a] for s, a in of_all]
            if _overstates(upper, lower, *sizes):
                found.add(number)
    return found


def _may_look_outside(axis_map: AxisMap) -> bool:
    """Whether exact windows along an axis may hold positions outside of it."""
    return axis_map.exact and not (axis_map.is_identity or axis_map.is_split)


def _overstates(
    upper: AxisMap, lower: AxisMap, made: Size, read: Size, start: Size
) -> bool:
    """Whether what an op reads outside of its input may add to what is seen.

    Args:
      upper: from what the op makes, ``made`` positions, to what it reads.
      lower: from that, ``read`` positions, to the input.
      made, read, start: sizes; the last is that of the input.
    """
    if not isinstance(made, int) or not isinstance(read, int) or upper.is_floating:
        before, behind = (not inside for inside in _ends_inside(upper, made, read))
    else:
        windows = filter(None, map(upper.window, range(made)))
        outside = [w for w in windows if w[0] < 0 or w[1] >= read]
        if isinstance(start, int) and lower.exact and not lower.is_floating:
            return any(_adds(window, lower, read, start) for window in outside)
        before = any(first < 0 for first, _ in outside)
        behind = any(last >= read for _, last in outside)
    if not before and not behind:
        return False
    first, last = _ends_reached(lower, read, start)
    return lower.moves_back or (before and not first) or (behind and not last)


# --- At known sizes ------------------------------------------------------------------


def _adds(window: Window, lower: AxisMap, read: int, start: int) -> bool:
    """Whether more of the input is in sight of a window than of the part of it that is
    inside or, if there is none, of the position nearest to it."""
    first, last = window
    if first == -INFINITY or last == INFINITY:
        return False  # It ends where its tensor does.
    low, high = (int(min(max(end, 0), read - 1)) for end in window)
    inside = lower.span(low, high)
    everywhere = lower.span(min(first, low), max(last, high))
    return _cut(everywhere, start) != _cut(inside, start)


def _cut(window: MaybeWindow, size: int) -> MaybeWindow:
    if window is None or window[1] < 0 or window[0] >= size:
        return None
    return max(window[0], 0), min(window[1], size - 1)


# --- At sizes that are not known -----------------------------------------------------

Ends = list[tuple[Any, Any]]
"""Windows of which one is that of a position: numbers, or sizes that are not known."""


def _ends_inside(axis_map: AxisMap, made: Size, read: Size) -> tuple[bool, bool]:
    """Whether the first window is known not to begin before the first of the positions
    that are read, and the last one not to end after the last."""
    firsts = [_windows(strand, 0) for strand in axis_map.strands]
    lasts = [_windows(strand, made - 1) for strand in axis_map.strands]
    return (
        all(ends and all(_is_positive(a) for a, _ in ends) for ends in firsts),
        all(
            ends and all(_is_positive(read - 1 - b) for _, b in ends) for ends in lasts
        ),
    )


def _ends_reached(axis_map: AxisMap, read: Size, start: Size) -> tuple[bool, bool]:
    """Whether the first window is known to reach the first position of the input, and
    the last one the last; or whether all windows are the same."""
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
    """Whether later positions see later ones."""
    if isinstance(strand, Floating):
        return strand.rate is not None and strand.rate > 0
    return isinstance(strand, Periodic) and strand.advance > 0


def _windows(strand: Strand, position: Size) -> Ends:
    """The windows that a position may have, or the outermost of them; none if that is
    not known."""
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
    """Whether a size is known not to be negative."""
    limits = bounds(size)
    return limits is not None and limits[0] >= 0
