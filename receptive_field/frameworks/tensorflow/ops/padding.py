"""Rules for ops that pad or slice."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.tensorflow.ops.registry import (
    register,
    treat_zeros,
    weigh,
)
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
    NEW_AXIS,
    Slice,
    checked_paddings,
    mirrored,
    padded,
    padded_shape,
    slice_op,
    slice_pieces,
    strided_piece,
)


def _paddings(call: Call) -> list[tuple[int, Size]]:
    """Returns the padding before and after each axis."""
    values = call.integers(1)
    if values is None or len(values) % 2:
        call.fail(f"has unknown paddings, because {call.name(1)} is not constant")
    return checked_paddings(call, values[::2], values[1::2])


def _padded_shape(call: Call) -> Sequence[Shape]:
    pairs = _paddings(call)
    return [padded_shape(call.known_shape(0, len(pairs)), pairs)]


def _pad(call: Call, output: int) -> Relations:
    return [padded(_paddings(call)), *(call.all_of(i) for i in range(1, len(call)))]


def _mirror_pad(call: Call, output: int) -> Relations:
    pairs = _paddings(call)
    shape = call.known_shape(0, len(pairs))
    mode = call.text("mode")
    if mode not in ("REFLECT", "SYMMETRIC"):
        call.fail(f"has the mode {mode!r}, which is neither REFLECT nor SYMMETRIC")
    edge = 1 if mode == "REFLECT" else 0
    return [mirrored(call, shape, pairs, edge), call.all_of(1)]


def _pad_windows(call: Call) -> Sequence[Window]:
    """Returns the windows of the spatial axes.

    Whether the channels come first or last is inferred from the axes that are padded.
    """
    pairs = _paddings(call)
    channels_first = len(pairs) == 4 and any(pairs[3]) and not any(pairs[1])
    axes = range(2, 4) if channels_first else range(1, len(pairs) - 1)
    padded = [pairs[axis] for axis in axes]
    return [Window(1, 1, before, before + after) for before, after in padded]  # type: ignore[arg-type]


register("Pad PadV2", Op(_pad, _padded_shape, windows=_pad_windows))
register("MirrorPad", Op(_mirror_pad, _padded_shape, windows=_pad_windows))


def _slice_pieces(call: Call) -> list[Slice] | None:
    shape = call.shape(0)
    begins, sizes = call.integers(1), call.integers(2)
    return None if shape is None else slice_pieces(call, shape, begins, sizes)


def _or_unknown(values: list[Size] | None, length: int) -> list[Size | None]:
    return [None] * length if values is None else [*values]


def _strided_pieces(call: Call) -> list[Slice] | None:
    """Returns the pieces of tf.strided_slice. Each mask has one bit per slice spec."""
    shape = call.shape(0)
    if shape is None:
        return None
    masks = {
        name: call.number(f"{name}_mask", 0)
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    spec_shape = call.shape(1)
    lists = [call.integers(i) for i in (1, 2, 3)]
    if all(values is None for values in lists) and not spec_shape:
        return None
    known = next((len(v) for v in lists if v is not None), None)
    length = known if known is not None else spec_shape[0] if spec_shape else 0
    if not isinstance(length, int):
        return None
    if any(values is not None and len(values) != length for values in lists):
        call.fail("has inputs begin, end and strides of different lengths")
    begins, ends, steps = (_or_unknown(values, length) for values in lists)
    if call.flag("offset"):  # An end is stated as the distance from the beginning.
        ends = [
            None if begin is None or end is None else begin + end
            for begin, end in zip(begins, ends, strict=True)
        ]

    def bit(name: str, spec: int) -> bool:
        return bool(masks[name] >> spec & 1)

    new_axes = sum(bit("new_axis", i) and not bit("ellipsis", i) for i in range(length))
    ellipsis = sum(bit("ellipsis", i) for i in range(length))
    if ellipsis > 1:
        call.fail("has more than one ellipsis")
    missing = len(shape) - (length - new_axes - ellipsis)
    if missing < 0:
        call.fail(f"slices {length} axes, but its input has rank {len(shape)}")
    pieces: list[Slice] = []
    axis = 0

    def take_whole(count: int) -> None:
        nonlocal axis
        for _ in range(count):
            pieces.append(Slice(0, 1, shape[axis]))
            axis += 1

    for spec in range(length):
        if bit("ellipsis", spec):
            take_whole(missing)
        elif bit("new_axis", spec):
            pieces.append(NEW_AXIS)
        else:
            begin = None if bit("begin", spec) else begins[spec]
            end = None if bit("end", spec) else ends[spec]
            open_begin, open_end = bit("begin", spec), bit("end", spec)
            shrink = bit("shrink_axis", spec)
            step = steps[spec]
            pieces.append(
                strided_piece(
                    call,
                    shape[axis],
                    (begin, open_begin),
                    (end, open_end),
                    step,
                    shrink,
                )
            )
            axis += 1
    take_whole(len(shape) - axis)
    return pieces


register("Slice", slice_op(_slice_pieces))
register("StridedSlice", slice_op(_strided_pieces))

weigh("Pad PadV2 MirrorPad Slice StridedSlice", Taps.COPY)


def _zeros_of_padding(call: Call) -> Zeros | None:
    """Returns how Pad and PadV2 treat zeros.

    PadV2 may pad with a number other than zero. An unknown number is assumed to be
    nonzero.
    """
    value = call.value(2) if len(call) > 2 else None
    known = len(call) < 3 or (value is not None and not value.any())
    return Zeros.KEPT if known else Zeros.BESIDE


treat_zeros("Pad PadV2", _zeros_of_padding)
treat_zeros("MirrorPad Slice StridedSlice", Zeros.KEPT)
