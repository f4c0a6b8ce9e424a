"""Rules for ops that pad, crop or slice."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import IDENTITY
from receptive_field.algebra.sizes import Size, Symbolic, smaller
from receptive_field.frameworks.onnx.attributes import opset
from receptive_field.frameworks.onnx.ops.registry import (
    is_given,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import local
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Window,
    Zeros,
)
from receptive_field.rules.slicing import (
    Slice,
    extended,
    slice_op,
    strided_piece,
)

Pair = tuple[Size | None, Size | None]

# --- Pad -----------------------------------------------------------------------------

MODES = ("constant", "reflect", "edge", "wrap")


def _mode(call: Call) -> str:
    mode = call.text("mode", "constant")
    if mode not in MODES:
        call.fail(f"has the mode {mode!r}, which is none of {', '.join(MODES)}")
    return mode


def _pads(call: Call, rank: int) -> list[Pair]:
    """Returns the padding before and after each axis; None where it is unknown."""
    axes: Sequence[Size] | None = range(rank)
    if is_given(call, 3):
        axes = call.integers(3)
    pads: Sequence[Size] | None = call.numbers("pads")
    if opset(call) >= 11:
        pads = call.integers(1)
    if axes is None or pads is None:
        return [(None, None)] * rank
    count = len(axes)
    if len(pads) != 2 * count:
        call.fail(f"has {len(pads)} pads for {count} axes, but requires two for each")
    pairs: list[Pair] = [(0, 0)] * rank
    for number, axis in enumerate(axes):
        pairs[call.axis(axis, rank)] = pads[number], pads[count + number]
    return pairs


def _pad(call: Call, output: int) -> Relations:
    shape, mode = call.shape(0), _mode(call)
    rest = [call.all_of(i) for i in range(1, len(call))]
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    maps = []
    for axis, (size, pair) in enumerate(
        zip(shape, _pads(call, len(shape)), strict=True)
    ):
        before, after = pair
        if before is None or after is None:
            place = call.unknown_offset(axis)
            maps.append(IDENTITY.with_unknown_offset(place))
            if mode != "constant":
                maps[-1] = maps[-1].beside_anything()
        else:
            maps.append(extended(call, axis, size, (before, after), mode))
    return [local(maps), *rest]


def _pad_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    return [
        tuple(
            call.unknown_size(axis)
            if before is None or after is None
            else size + before + after
            for axis, (size, (before, after)) in enumerate(
                zip(shape, _pads(call, len(shape)), strict=True)
            )
        )
    ]


def _pad_windows(call: Call) -> Sequence[Window]:
    shape = call.shape(0)
    if shape is None:
        return []
    windows = []
    for before, after in _pads(call, len(shape))[2:]:
        first = before if isinstance(before, int) else None
        both = isinstance(before, int) and isinstance(after, int)
        windows.append(Window(1, 1, first, before + after if both else None))  # type: ignore[operator,arg-type]
    return windows


register("Pad", Op(_pad, _pad_shape, windows=_pad_windows))


def _zeros_of_padding(call: Call) -> Zeros | None:
    """Returns how Pad treats zeros. An unknown constant is taken to be nonzero."""
    if _mode(call) != "constant":
        return Zeros.KEPT
    if opset(call) < 11:
        return Zeros.BESIDE if call.attribute("value", 0) else Zeros.KEPT
    if not is_given(call, 2):
        return Zeros.KEPT
    value = call.value(2)
    return Zeros.BESIDE if value is None or value.any() else Zeros.KEPT


# --- Crop and pad around the centre --------------------------------------------------


def _centred(call: Call) -> list[Pair] | None:
    """Returns the padding of each axis, negative for a crop; None if unknown.

    An odd padding or crop has its extra position after the axis.
    """
    shape, sizes = call.shape(0), call.integers(1)
    if shape is None:
        return None
    stated = call.numbers("axes")
    axes = range(len(shape)) if stated is None else stated
    if sizes is None:
        changed = {call.axis(axis, len(shape)) for axis in axes}
        return [(None, None) if a in changed else (0, 0) for a in range(len(shape))]
    if len(sizes) != len(axes):
        call.fail(f"has {len(sizes)} sizes for {len(axes)} axes")
    pairs: list[Pair] = [(0, 0)] * len(shape)
    for axis, size in zip(axes, sizes, strict=True):
        place = call.axis(axis, len(shape))
        pairs[place] = _around(call, size - shape[place])
    return pairs


def _around(call: Call, added: Size) -> Pair:
    if isinstance(added, int):
        before = added // 2 if added > 0 else -(-added // 2)
        return before, added - before
    grows = smaller(0, added)
    if grows is None or not isinstance(added, Symbolic):
        return None, added
    part = added if grows == 0 else -1 * added
    if isinstance(part, Symbolic):
        call.exceeds(part, -1)
    half = part // 2
    first = half if grows == 0 else -1 * half
    return first, added - first


def _centre(call: Call, output: int) -> Relations:
    shape, pairs = call.shape(0), _centred(call)
    if shape is None or pairs is None:
        return [call.all_of(0, exact=False), None]
    maps = []
    for axis, (size, (before, after)) in enumerate(zip(shape, pairs, strict=True)):
        if before is None or after is None:
            place = call.unknown_offset(axis)
            maps.append(IDENTITY.with_unknown_offset(place))
        else:
            maps.append(extended(call, axis, size, (before, after), "constant"))
    return [local(maps), None]


def _centre_shape(call: Call) -> Sequence[Shape]:
    shape, pairs = call.shape(0), _centred(call)
    if shape is None or pairs is None:
        return [None]
    sizes = call.integers(1)
    if sizes is None:
        return [
            tuple(
                call.unknown_size(axis) if pair[0] is None else size
                for axis, (size, pair) in enumerate(zip(shape, pairs, strict=True))
            )
        ]
    found = list(shape)
    stated = call.numbers("axes")
    axes = range(len(shape)) if stated is None else stated
    for axis, size in zip(axes, sizes, strict=True):
        found[call.axis(axis, len(shape))] = size
    return [tuple(found)]


register("CenterCropPad", Op(_centre, _centre_shape))

# --- Slice ---------------------------------------------------------------------------

OPEN = (1 << 31) - 1
"""A limit that is at least so far away stands for an end of the axis."""

LARGEST = (1 << 31) - 1, (1 << 63) - 1
"""The largest integers of 32 and of 64 bits."""


def _limits(call: Call) -> tuple[list[list[Size] | None], Size | None]:
    """Returns starts, ends, axes and steps, None if unknown; and how many there are.

    Axes and steps that are not stated are empty.
    """
    if opset(call) < 10:
        names = "starts", "ends", "axes"
        lists: list[list[Size] | None] = [list(call.numbers(n) or []) for n in names]
        return [*lists, []], len(lists[0] or [])
    lists = [call.integers(i) if is_given(call, i) else [] for i in range(1, 5)]
    known = next((len(v) for v in lists[:2] if v is not None), None)
    if known is not None:
        return lists, known
    length = call.shape(1)
    return lists, length[0] if length else None


def _pieces(call: Call) -> list[Slice] | None:
    """Returns the piece of each axis, or None if it is unknown which axes are cut."""
    shape = call.shape(0)
    if shape is None:
        return None
    (starts, ends, axes, steps), count = _limits(call)
    if not isinstance(count, int) or axes is None:
        return None
    lists = [starts, ends, axes or list(range(count)), steps or [1] * count]
    if steps is None:
        lists[3] = None
    if any(values is not None and len(values) != count for values in lists):
        call.fail("has starts, ends, axes and steps of different lengths")
    pieces = [Slice(0, 1, size) for size in shape]
    for number, axis in enumerate(lists[2] or ()):
        place = call.axis(axis, len(shape))
        start, end, step = (
            None if values is None else values[number]
            for values in (starts, ends, lists[3])
        )
        pieces[place] = _piece(call, shape[place], start, end, step)
    return pieces


def _piece(
    call: Call, size: Size, start: Size | None, end: Size | None, step: Size | None
) -> Slice:
    backwards = isinstance(step, int) and step < 0
    far = [isinstance(n, int) and not -OPEN < n < OPEN for n in (start, end)]
    above = [isinstance(n, int) and n > 0 for n in (start, end)]
    open_start = far[0] and above[0] == backwards
    # In onnxruntime, the largest integers end a slice in both directions.
    open_end = (far[1] and above[1] != backwards) or end in LARGEST
    if backwards and isinstance(start, int) and isinstance(size, int) and start < -size:
        start = 0  # Unlike in NumPy, a start before the axis is its first position.
    if not open_start and far[0]:
        start = size if above[0] else 0
    if not open_end and far[1]:
        end = size if above[1] else -1 * size
    return strided_piece(
        call, size, (start, open_start), (end, open_end), step, shrink=False
    )


register("Slice", slice_op(_pieces))

weigh("Pad CenterCropPad Slice", Taps.COPY)
treat_zeros("Pad", _zeros_of_padding)
treat_zeros("CenterCropPad Slice", Zeros.KEPT)
