"""Rules for Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from receptive_field.algebra.axis_map import ANYWHERE, GLOBAL_BOUND
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.onnx.attributes import opset
from receptive_field.frameworks.onnx.ops.registry import is_given, register
from receptive_field.relations.relation import FULL, Axis, Relation, follow, whole
from receptive_field.rules.op import Call, Op, Relations, Shape, Window
from receptive_field.rules.reductions import read_from_start
from receptive_field.rules.windows import Sliding, sliding_windows

# --- Transforms of whole axes --------------------------------------------------------


def _transformed(call: Call) -> int | None:
    """Returns the axis that is transformed: an attribute, or an input since set 20.

    The last axis holds real and imaginary parts. Returns None if the axis is unknown.
    """
    rank = len(call.known_shape(0))
    stated: Size | None = call.number("axis", 1)
    if opset(call) >= 20:
        stated = call.integer(2) if is_given(call, 2) else -2
    if stated is None:
        return None
    axis = call.axis(stated, rank)
    if axis == rank - 1:
        call.fail("transforms its last axis, which holds real and imaginary parts")
    return axis


def _one_sided(call: Call) -> tuple[bool, bool]:
    """Returns whether the input, and whether the output, is half of a spectrum."""
    inverse, half = call.number("inverse", 0), call.number("onesided", 0)
    return bool(half and inverse), bool(half and not inverse)


def _length(call: Call, axis: int) -> Size | None:
    """Returns the length of the transform, or None if it is unknown."""
    size = call.known_shape(0)[axis]
    if not is_given(call, 1):
        return 2 * (size - 1) if _one_sided(call)[0] else size
    lengths = call.integers(1)
    return lengths[0] if lengths else None


def _dft(call: Call, output: int) -> Relations:
    shape, axis = call.shape(0), None
    rest = [None] * (len(call) - 1)
    if shape is not None:
        axis = _transformed(call)
    if shape is None or axis is None:
        return [call.all_of(0, exact=False), *rest]
    length = _length(call, axis)
    if isinstance(length, int) and length < 1:
        call.fail(f"has a transform of length {length}, which must be at least 1")
    read = length
    if not is_given(call, 1):
        read = shape[axis]
    elif length is not None and _one_sided(call)[0]:
        read = length // 2 + 1
    axes = [follow(number) for number in range(len(shape))]
    axes[axis] = read_from_start(axis, shape[axis], read)
    if _one_sided(call)[0] and axes[axis] != whole([axis]):
        # onnxruntime reads more of the axis than such a transform needs.
        axes[axis] = whole([axis], GLOBAL_BOUND)
    axes[-1] = FULL
    return [Relation(tuple(axes)), *rest]


def _dft_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    axis = None if shape is None else _transformed(call)
    if shape is None:
        return [None]
    sizes = list(shape)
    sizes[-1] = 1 if _one_sided(call)[0] else 2
    if axis is None:
        return [(*map(call.unknown_size, range(len(sizes) - 1)), sizes[-1])]
    length = _length(call, axis)
    if length is None:
        sizes[axis] = call.unknown_size(axis)
    else:
        sizes[axis] = length // 2 + 1 if _one_sided(call)[1] else length
    return [tuple(sizes)]


def _between(call: Call) -> tuple[int, Sequence[int]]:
    """Returns the axes between the batch and the real and imaginary parts."""
    return 0, range(1, len(call.known_shape(0)) - 1)


register("DFT", Op(_dft, _dft_shape, layout=_between))


def _real(call: Call, output: int) -> Relations:
    """Relates a spectrum to the last axes of a real signal."""
    rank, count = len(call.known_shape(0)), call.number("signal_ndim", 1)
    first = rank - count
    return [Relation((*map(follow, range(first)), *map(_all_of, range(first, rank))))]


def _real_back(call: Call, output: int) -> Relations:
    """Relates a real signal to a spectrum, whose last axis has the two parts."""
    rank, count = len(call.known_shape(0)), call.number("signal_ndim", 1)
    first = rank - 1 - count
    signal = map(_all_of, range(first, rank - 1))
    return [Relation((*map(follow, range(first)), *signal, FULL))]


def _all_of(axis: int) -> Axis:
    return whole([axis])


def _real_shape(call: Call) -> Sequence[Shape]:
    *outer, last = call.known_shape(0)
    return [(*outer, last // 2 + 1, 2)]


def _real_back_shape(call: Call) -> Sequence[Shape]:
    *outer, last, _ = call.known_shape(0)
    return [(*outer, 2 * (last - 1))]


register("com.microsoft.Rfft", Op(_real, _real_shape))
register("com.microsoft.Irfft", Op(_real_back, _real_back_shape))


# --- Transforms of windows -----------------------------------------------------------


def _frame(call: Call) -> int | None:
    """Returns the length of a frame, or None if it is unknown."""
    if is_given(call, 3):
        return call.integer(3)
    size = call.known_shape(0, 3)[1]
    if is_given(call, 2):
        shape = call.known_shape(2, 1)
        size = shape[0]
    return size if isinstance(size, int) else None


def _frames(call: Call) -> Sliding | None:
    """Returns the windows of a transform, or None if their size is unknown."""
    return call.once(partial(_placed_frames, call))


def _placed_frames(call: Call) -> Sliding | None:
    shape, step, length = call.known_shape(0, 3), call.integer(1), _frame(call)
    if step is None or length is None:
        return None
    try:
        found = sliding_windows([shape[1]], [length], [step], [1], [(0, 0)])
    except ValueError as error:
        call.fail(str(error))
    return Sliding(shape, (1,), found)


def _stft(call: Call, output: int) -> Relations:
    sliding, rest = _frames(call), [call.all_of(i) for i in range(1, len(call))]
    if sliding is None:
        return [Relation((follow(0), whole([1], ANYWHERE), FULL)), *rest]
    return [sliding.relation(), *rest]


def _stft_shape(call: Call) -> Sequence[Shape]:
    batch, _, _ = call.known_shape(0, 3)
    sliding, length = _frames(call), _frame(call)
    count = call.unknown_size(1) if sliding is None else sliding.sizes()[1]
    bins: Size = call.unknown_size(2)
    if length is not None:
        bins = length // 2 + 1 if call.number("onesided", 1) else length
    return [(batch, count, bins, 2)]


def _stft_windows(call: Call) -> Sequence[Window]:
    sliding = _frames(call)
    if sliding is None:
        call.fail("has windows of unknown size")
    return sliding.windows


register(
    "STFT",
    Op(
        _stft,
        _stft_shape,
        layout=lambda call: (0, (1,)),
        windows=_stft_windows,
    ),
)


# --- Matrices that weigh spectra -----------------------------------------------------


def _mel(call: Call, output: int) -> Relations:
    return [call.all_of(number) for number in range(len(call))]


def _mel_shape(call: Call) -> Sequence[Shape]:
    bands, length = call.integer(0), call.integer(1)
    return [
        (
            call.unknown_size(0) if length is None else length // 2 + 1,
            call.unknown_size(1) if bands is None else bands,
        )
    ]


register("MelWeightMatrix", Op(_mel, _mel_shape))
