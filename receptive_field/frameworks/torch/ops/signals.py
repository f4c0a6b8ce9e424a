"""Rules for Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from receptive_field.algebra.axis_map import transposed_convolution
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.torch.ops.operands import related
from receptive_field.frameworks.torch.ops.registry import register, size, sizes
from receptive_field.relations.relation import (
    FULL,
    Axis,
    Relation,
    follow,
    through,
    whole,
)
from receptive_field.rules.op import Call, Op, Relations, Shape, Window
from receptive_field.rules.picking import rolled
from receptive_field.rules.reductions import read_from_start
from receptive_field.rules.windows import Sliding, sliding_windows

# --- Transforms of whole axes --------------------------------------------------------


class Transform:
    """The rules of a transform of some axes, or of one.

    Args:
      count: how many of the last axes are transformed unless axes are stated; None for
        all of them.
      is_half_below: whether the last axis of the input is half of a spectrum.
      is_half_above: whether the last axis of the output is half of a spectrum.
    """

    def __init__(
        self,
        count: int | None = None,
        is_half_below: bool = False,
        is_half_above: bool = False,
    ) -> None:
        self.count = count
        self.is_half_below = is_half_below
        self.is_half_above = is_half_above

    def lengths(self, call: Call) -> dict[int, Size | None]:
        """Returns the length of the transform along each axis that is transformed.

        The order is that of the call. A length is None if it is unknown.
        """
        shape = call.known_shape(0)
        rank = len(shape)
        stated = sizes(call, "s") or sizes(call, "n")
        axes: Sequence[Size | None] | None = sizes(call, "dim")
        if not axes:
            number = len(stated) if stated and self.count is None else self.count
            axes = [*range(rank)[-(rank if number is None else number) :]]
        places = [call.axis(-1 if axis is None else axis, rank) for axis in axes]
        found: dict[int, Size | None] = {}
        for number, axis in enumerate(places):
            length = stated[number] if stated else -1
            if length == -1:
                length = shape[axis]
                if self.is_half_below and number == len(places) - 1:
                    length = 2 * (length - 1)
            elif isinstance(length, int) and length < 1:
                call.fail(
                    f"has a transform of length {length}, which must be at least 1"
                )
            found[axis] = length
        return found

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relation to the input, whose axes are padded or cut off."""
        shape, lengths = call.known_shape(0), self.lengths(call)
        axes: list[Axis] = [follow(axis) for axis in range(len(shape))]
        last = list(lengths)[-1]
        for axis, length in lengths.items():
            read = length
            if axis == last and self.is_half_below and length is not None:
                read = length // 2 + 1
            axes[axis] = read_from_start(axis, shape[axis], read)
        return related(call, {"self": Relation(tuple(axes))}, rest=None)

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the output."""
        shape = call.shape(0)
        if shape is None:
            return [None]
        found, lengths = list(shape), self.lengths(call)
        last = list(lengths)[-1]
        for axis, length in lengths.items():
            above = call.unknown_size(axis) if length is None else length
            is_half = axis == last and self.is_half_above
            found[axis] = above // 2 + 1 if is_half else above
        return [tuple(found)]

    def op(self) -> Op:
        """Returns the rules."""
        return Op(self.relations, self.shapes)


for _suffix, _count in (("", 1), ("2", 2), ("n", None)):
    _whole = Transform(_count).op()
    register(f"fft_fft{_suffix} fft_ifft{_suffix}", _whole)
    _half = Transform(_count, is_half_above=True).op()
    register(f"fft_rfft{_suffix} fft_ihfft{_suffix}", _half)
    _back = Transform(_count, is_half_below=True).op()
    register(f"fft_irfft{_suffix} fft_hfft{_suffix}", _back)


def _stated_axes(call: Call, output: int) -> Relations:
    """Relates a transform to the stated axes, which are needed whole."""
    shape = call.known_shape(0)
    over = [
        call.axis(0 if a is None else a, len(shape)) for a in sizes(call, "dim") or []
    ]
    axes = [whole([a]) if a in over else follow(a) for a in range(len(shape))]
    if call.node.op == "_fft_c2r" and over:
        length = size(call, "last_dim_size")
        read = None if length is None else length // 2 + 1
        axes[over[-1]] = read_from_start(over[-1], shape[over[-1]], read)
    return related(call, {"self": Relation(tuple(axes))}, rest=None)


def _stated_axes_shape(call: Call) -> Sequence[Shape]:
    found = list(call.known_shape(0))
    over = [
        call.axis(0 if a is None else a, len(found)) for a in sizes(call, "dim") or []
    ]
    if call.node.op == "_fft_r2c" and call.flag("onesided") and over:
        found[over[-1]] = found[over[-1]] // 2 + 1
    if call.node.op == "_fft_c2r" and over:
        length = size(call, "last_dim_size")
        found[over[-1]] = call.unknown_size(over[-1]) if length is None else length
    return [tuple(found)]


register("_fft_c2c _fft_c2r _fft_r2c", Op(_stated_axes, _stated_axes_shape))


def _shifted(call: Call, output: int) -> Relations:
    """Relates a spectrum to the same spectrum with its zero moved to the middle."""
    shape = call.known_shape(0)
    stated = sizes(call, "dim") or list(range(len(shape)))
    over = [call.axis(0 if axis is None else axis, len(shape)) for axis in stated]
    inverse = call.node.op == "fft_ifftshift"
    offsets = {
        axis: (shape[axis] + 1) // 2 if inverse else shape[axis] // 2 for axis in over
    }
    return [rolled(call, shape, offsets)]


def _like_first(call: Call) -> Sequence[Shape]:
    return [call.shape(0)]


register("fft_fftshift fft_ifftshift", Op(_shifted, _like_first))

# --- Transforms of windows -----------------------------------------------------------


class _Frame(NamedTuple):
    """The part of a signal that one transform reads."""

    length: int
    """The length of the transform."""
    hop: int
    """The distance between two transforms."""
    start: int
    """Where the window begins in the frame; it is zero before."""
    width: int
    """The length of the window; it is zero behind."""


def _frame(call: Call) -> _Frame:
    length = call.number("n_fft")
    hop, width = (call.attribute(name) for name in ("hop_length", "win_length"))
    hop = length // 4 if hop is None else call.number("hop_length")
    width = length if width is None else call.number("win_length")
    if not 0 < width <= length or hop < 1:
        call.fail(f"has a window of {width} in frames of {length}, {hop} apart")
    return _Frame(length, hop, (length - width) // 2, width)


def _frames(call: Call) -> Sliding:
    """Returns the windows of a transform."""
    return call.once(partial(_placed_frames, call))


def _placed_frames(call: Call) -> Sliding:
    shape, frame = call.known_shape(0), _frame(call)
    if call.flag("center"):
        call.fail("pads its input, which torch.stft writes as an op of its own")
    left_out = -frame.start, frame.start + frame.width - frame.length
    try:
        found = sliding_windows(
            [shape[-1]], [frame.width], [frame.hop], [1], [left_out]
        )
    except ValueError as error:
        call.fail(str(error))
    return Sliding(shape, (len(shape) - 1,), found)


def _stft(call: Call, output: int) -> Relations:
    """Relates the axes (batch, frequencies, frames) to (batch, samples)."""
    sliding = _frames(call)
    outer = list(map(follow, range(len(sliding.shape) - 1)))
    frames = Relation((*outer, follow(len(sliding.shape))))
    samples = Relation((*outer, sliding.relation().axes[-1]))
    return related(call, {"self": through(frames, samples)})


def _stft_shape(call: Call) -> Sequence[Shape]:
    sliding = _frames(call)
    length, count = _frame(call).length, sliding.sizes()[-1]
    onesided = call.attribute("onesided")
    bins = length // 2 + 1 if onesided in (None, True) else length
    outer = tuple(sliding.shape[:-1])
    parts = () if call.flag("return_complex") else (2,)
    return [(*outer, bins, count, *parts)]


def _stft_windows(call: Call) -> Sequence[Window]:
    return _frames(call).windows


register(
    "stft",
    Op(
        _stft,
        _stft_shape,
        layout=lambda call: (0, (len(call.known_shape(0)) - 1,)),
        windows=_stft_windows,
    ),
)


def _added_up(call: Call, output: int) -> Relations:
    """Relates samples to the axes (batch, frequencies, frames), which overlap."""
    shape, frame = call.known_shape(0), _frame(call)
    before = _cut_off(call) - frame.start
    frames = transposed_convolution(frame.width, frame.hop, before)
    outer = len(shape) - 2
    axes = (*map(follow, range(outer)), FULL, follow(outer, frames))
    return related(call, {"self": Relation(axes)})


def _cut_off(call: Call) -> int:
    """Returns how many samples are cut off before the first one."""
    return call.number("n_fft") // 2 if call.flag("center", True) else 0


def _added_up_shape(call: Call) -> Sequence[Shape]:
    *outer, _, frames = call.known_shape(0)
    if call.attribute("length") is not None:
        return [(*outer, call.number("length"))]
    frame = _frame(call)
    samples = (frames - 1) * frame.hop + frame.length - 2 * _cut_off(call)
    return [(*outer, samples)]


register("istft", Op(_added_up, _added_up_shape))
