"""Padding and slicing, which move positions and add or drop some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    IDENTITY,
    LONGEST_WRITTEN,
    AxisMap,
    convolution,
    sampling,
    shift,
    table,
)
from receptive_field.algebra.sizes import Size, Symbolic, ceiling_division, smaller
from receptive_field.arrays import np
from receptive_field.budget import COPIES_A_STEP, spend
from receptive_field.relations.relation import (
    FULL_BOUND,
    Axis,
    Relation,
    fixed,
    follow,
    local,
    moved,
    whole,
)
from receptive_field.rules.op import Call, Op, Relations, Shape, Value

Pairs = Sequence[tuple[int, Size]]
"""For each axis, the padding before and after it."""


def checked_paddings(
    call: Call, befores: Sequence[Size], afters: Sequence[Size]
) -> list[tuple[int, Size]]:
    """Returns the padding before and after each axis, as pairs.

    Raises:
      GraphError: if a padding is negative, or the padding before an axis is unknown.
    """
    pairs: list[tuple[int, Size]] = []
    for before, after in zip(befores, afters, strict=True):
        if not isinstance(before, int):
            call.fail(f"has an unknown padding: {before}")
        if before < 0 or (isinstance(after, int) and after < 0):
            call.fail(f"has the paddings {before} and {after}; neither may be negative")
        pairs.append((before, after))
    return pairs


def padded_shape(shape: Sequence[Size], pairs: Pairs) -> tuple[Size, ...]:
    """Returns the shape of the padded tensor."""
    return tuple(size + b + a for size, (b, a) in zip(shape, pairs, strict=True))


def padded(pairs: Pairs) -> Relation:
    """Returns the relation to a tensor that is padded with a constant."""
    return local([shift(-before) if before else IDENTITY for before, _ in pairs])


def mirrored(call: Call, shape: Sequence[Size], pairs: Pairs, edge: int) -> Relation:
    """Returns the relation to a tensor that is padded with its mirror image.

    Args:
      call: the op.
      shape: the shape of the tensor.
      pairs: the padding before and after each axis.
      edge: 0 if the border position is repeated (SYMMETRIC), 1 if it is not (REFLECT).

    Raises:
      GraphError: if an axis has too few positions to mirror.
    """
    for size, pair in zip(shape, pairs, strict=True):
        most = max(padding for padding in pair if isinstance(padding, int))
        if isinstance(size, int) and most > max(size - edge, 0):
            call.fail(f"cannot mirror {most} positions of an axis of size {size}")
    return local(
        [
            _mirrored(before, size, after, edge) if before or after else IDENTITY
            for size, (before, after) in zip(shape, pairs, strict=True)
        ]
    )


def _mirrored(before: int, size: Size, after: Size, edge: int) -> AxisMap:
    """Returns the map of zero padding, with a `seen` map to positions of the image.

    If the size is unknown, the position at which the far end is mirrored is unknown,
    too. In the `seen` map, each position then sees a window that is wide enough for any
    size, which is an upper bound. If the padding after the axis is unknown, the `seen`
    map is `ANYWHERE`.
    """
    known = isinstance(size, int) and isinstance(after, int)
    if known and before + size + after <= LONGEST_WRITTEN:  # type: ignore[operator]
        return shift(-before).showing(_mirror(before, size, after, edge))
    if not isinstance(after, int):
        return shift(-before).showing(ANYWHERE)
    near = convolution(1 + 2 * (before + after), padding=before + 2 * after)
    return shift(-before).showing(near.as_bound())


@lru_cache(maxsize=4)
def _mirror(before: int, size: int, after: int, edge: int) -> AxisMap:
    """Returns the map to the positions that are seen.

    Cached, because both passes ask for it, and it may be large.
    """
    spend((before + size + after) // COPIES_A_STEP)
    reflected = [before - 1 - u + edge for u in range(before)]
    behind = [size - 1 - edge - i for i in range(after)]
    return table((p, p) for p in [*reflected, *range(size), *behind])


def extended(
    call: Call,
    axis: int,
    size: Size,
    pair: tuple[Size, Size],
    mode: str,
    crops_first: bool = True,
) -> AxisMap:
    """Returns the map of an axis that is cropped and padded at its ends.

    A negative padding drops positions.

    Args:
      call: the op.
      axis: the axis.
      size: the number of positions on the axis.
      pair: the padding before and after the axis.
      mode: what the padding is made of: "constant", or the positions that it repeats:
        "reflect" (mirrored, without the border), "edge" (the border) or "wrap" (those
        of the other end).
      crops_first: whether positions are dropped before anything is repeated, so that
        positions that are dropped at one end are not repeated at the other.

    Raises:
      GraphError: if the axis has too few positions to repeat.
    """
    before, after = pair
    if (before, after) == (0, 0):
        return IDENTITY
    # A crop of the end moves nothing, but is not the identity.
    moves = moved(sampling(0, 1), -1 * before)
    numbers = [n for n in (before, after) if isinstance(n, int)]
    if mode == "constant" or (len(numbers) == 2 and max(numbers) <= 0):
        return moves
    if len(numbers) < 2:
        return moves.showing(ANYWHERE)
    low, high = (max(number, 0) for number in numbers)
    start = max(-numbers[0], 0)
    length = size - start - max(-numbers[1], 0)
    left = length if crops_first else size
    if isinstance(left, int) and (
        left < 1 or (mode == "reflect" and max(low, high) >= left)
    ):
        call.fail(
            f"cannot repeat {max(low, high)} of the {max(left, 0)} positions of axis "
            f"{axis} in the mode {mode!r}"
        )
    if not isinstance(length, int) or low + length + high > LONGEST_WRITTEN:
        # How far the positions that are repeated lie from those that they stand for.
        reach = {"reflect": 2, "edge": 1}.get(mode)
        if reach is None:
            return moves.showing(ANYWHERE)
        first = numbers[0] + reach * high
        near = convolution(1 + reach * (low + high), padding=first)
        return moves.showing(near.as_bound())
    last = length - 1
    assert isinstance(size, int)
    positions = []
    spend((low + length + high) // COPIES_A_STEP)
    for place in range(-low, length + high):
        if mode == "reflect":
            inside = abs(place) if place <= last else 2 * last - place
        elif mode == "edge":
            inside = min(max(start + place, 0), size - 1) - start
        else:
            inside = place % length
        positions.append(start + inside)
    return moves.showing(table((p, p) for p in positions))


# --- Slices ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of one axis that a slice takes."""

    start: Size | None
    """The first position that is taken; None if it is unknown."""
    step: int | None
    """The distance between the positions that are taken; None if it is unknown, or if
    only one position is taken."""
    count: Size | None
    """The number of positions that are taken; None if it is unknown."""
    kept: bool = True
    """Whether the output has this axis."""
    is_new: bool = False
    """Whether the input does not have this axis."""


NEW_AXIS = Slice(None, None, 1, is_new=True)
"""An axis of the output that the input does not have."""


def _piece_axis(call: Call, piece: Slice, place: int, axis: int) -> Axis:
    """Returns how axis ``place`` of the input follows ``axis`` of the output."""
    start, step = piece.start, piece.step
    if not piece.kept:
        return fixed(start, start) if isinstance(start, int) else FULL_BOUND
    if step is None:
        return whole([axis], ANYWHERE)
    if isinstance(start, int):
        # A slice that drops the end has start 0 and step 1, but is not the identity.
        is_all = (start, step, piece.count) == (0, 1, call.known_shape(0)[place])
        return follow(axis, IDENTITY if is_all else sampling(start, step))
    if start is None:
        unknown = sampling(0, step).with_unknown_offset(call.unknown_offset(place))
        return follow(axis, unknown)
    return follow(axis, moved(sampling(0, step), start))


def _slice_relation(call: Call, pieces: list[Slice]) -> Relation:
    axes: list[Axis] = []
    position = 0
    if any(piece.count == 0 for piece in pieces):
        call.fail("makes the feature map vanish: it takes no positions from an axis")
    for piece in pieces:
        if not piece.is_new:
            axes.append(_piece_axis(call, piece, len(axes), position))
        position += piece.kept
    return Relation(tuple(axes))


def _slice_shape(call: Call, pieces: list[Slice]) -> Shape:
    kept = [piece for piece in pieces if piece.kept]
    return tuple(
        call.unknown_size(axis) if piece.count is None else piece.count
        for axis, piece in enumerate(kept)
    )


def slice_pieces(
    call: Call,
    shape: Sequence[Size],
    starts: Sequence[Size | None] | None,
    counts: Sequence[Size | None] | None,
) -> list[Slice]:
    """Returns the piece of each axis, given its start and its number of positions.

    A count of -1 means all positions from the start to the end of the axis. Unknown
    starts and counts are None.

    Raises:
      GraphError: if there is not one start and one count per axis, or an axis has too
        few positions.
    """
    unknown: list[Size | None] = [None] * len(shape)
    starts = unknown if starts is None else starts
    counts = unknown if counts is None else counts
    if len(starts) != len(shape) or len(counts) != len(shape):
        call.fail(f"slices {len(starts)} axes, but its input has rank {len(shape)}")
    pieces = []
    for size, start, count in zip(shape, starts, counts, strict=True):
        if count == -1:
            count = None if start is None else size - start
        elif count == size and not isinstance(start, int):
            start = 0  # No other start leaves enough positions.
        known = all(isinstance(number, int) for number in (size, start, count))
        if known and not 0 <= start <= start + count <= size:  # type: ignore[operator]
            call.fail(f"takes {count} positions from {start} on of only {size}")
        pieces.append(Slice(start, 1, count))
    return pieces


def strided_piece(
    call: Call,
    size: Size,
    begin: tuple[Size | None, bool],
    end: tuple[Size | None, bool],
    step: Size | None,
    shrink: bool,
) -> Slice:
    """Returns the piece of one axis that a strided slice takes.

    ``begin`` and ``end`` are pairs: a position, and whether that position is ignored,
    so that the slice is open on that side. ``shrink`` says whether the slice takes a
    single position and drops the axis.

    Raises:
      GraphError: if the step is zero, or the axis does not have the single position.
    """
    if shrink:
        position = _wrapped(call, begin[0], size)
        known = isinstance(size, int) and isinstance(position, int)
        if known and not 0 <= position < size:  # type: ignore[operator]
            call.fail(f"takes position {begin[0]} of an axis of size {size}")
        return Slice(position, None, 1, kept=False)
    if not isinstance(step, int):
        return Slice(None, None, None)
    if step == 0:
        call.fail("has a stride of zero")
    first_open, last_open = (0, size) if step > 0 else (size - 1, -1)
    first, last = (_wrapped(call, position, size) for position, _ in (begin, end))
    start = first_open if begin[1] else _clamped(call, first, size, step, True)
    stop = last_open if end[1] else _clamped(call, last, size, step, False)
    if start is None or stop is None:
        return Slice(start, step, None)
    count = (
        ceiling_division(stop - start, step)
        if step > 0
        else ceiling_division(start - stop, -step)
    )
    return Slice(start, step, max(count, 0) if isinstance(count, int) else count)


def _wrapped(call: Call, position: Size | None, size: Size) -> Size | None:
    """Returns a position; a negative one counts from the end of the axis.

    Returns None if the sign is unknown. If the sign depends on unknown sizes, the
    result holds only for sizes that are large enough, which `Call.exceeds` records.
    """
    first = None if position is None else smaller(0, position)
    if position is None or first is None:
        return None
    is_negative = first != 0
    room = -1 - position if is_negative else position
    if isinstance(room, Symbolic):
        call.exceeds(room, -1)
    return size + position if is_negative else position


def _clamped(
    call: Call, position: Size | None, size: Size, step: int, is_start: bool
) -> Size | None:
    """Returns the position where a slice starts or stops, clamped to its axis.

    If the size is unknown, the result holds only for sizes that are large enough, and
    `Call.exceeds` records this condition. For smaller sizes, the slice may take fewer
    positions, or none. Returns None if the result is unknown.
    """
    if position is None:
        return None
    low, high = (0, size) if step > 0 else (-1, size - 1)
    above = smaller(low, position)
    clamped = smaller(high, position if above == low else low)
    if above is None or clamped is None:
        return None
    is_low = (step > 0) == is_start
    room = position - low if is_low else high - position
    room = room if clamped == position else -room
    if isinstance(room, Symbolic):
        call.exceeds(room, -1)
    return clamped


def _sliced_value(call: Call, pieces: list[Slice] | None) -> Sequence[Value]:
    value = call.value(0)
    if value is None or pieces is None:
        return [None]
    index: list[slice | int | None] = []
    for piece in pieces:
        if piece.is_new:
            index.append(None)
        elif not isinstance(piece.start, int) or not isinstance(piece.count, int):
            return [None]
        elif not piece.kept:
            index.append(piece.start)
        else:
            step = piece.step or 1
            stop = piece.start + step * piece.count
            index.append(slice(piece.start, stop if stop >= 0 else None, step))
    return [np.asarray(value[tuple(index)], dtype=value.dtype)]


def slice_op(pieces_of: Callable[[Call], list[Slice] | None]) -> Op:
    """Returns the rules of an op that slices its first input.

    Args:
      pieces_of: a function that returns the pieces that a call takes, or None if they
        are unknown.
    """

    def relations(call: Call, output: int) -> Relations:
        pieces = pieces_of(call)
        data = (
            call.all_of(0, exact=False)
            if pieces is None
            else _slice_relation(call, pieces)
        )
        return [data, *(call.all_of(i) for i in range(1, len(call)))]

    def shapes(call: Call) -> Sequence[Shape]:
        pieces = pieces_of(call)
        return [None if pieces is None else _slice_shape(call, pieces)]

    def values(call: Call) -> Sequence[Value]:
        return _sliced_value(call, pieces_of(call))

    return Op(relations, shapes, values)
