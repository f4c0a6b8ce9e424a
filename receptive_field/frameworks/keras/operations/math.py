"""The rules of `keras.ops.math`: segments, sequences and spectra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    as_tensor,
    axes_of,
    item,
    sizes_of,
    unary,
)
from receptive_field.frameworks.keras.operations.stated import stated
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor

# --- Segments ------------------------------------------------------------------------


def _segment(name: str) -> Operation:
    """Returns the rule of a reduction of segments, which the data choose."""

    def run(
        w: Writer,
        data: Any,
        segment_ids: Any,
        num_segments: int | None = None,
        sorted: bool = False,
    ) -> list[Tensor]:
        kind = f"Segment{name}" if sorted else f"UnsortedSegment{name}"
        sizes = {} if num_segments is None else {"s": num_segments}
        inputs = data, segment_ids
        return stated(w, kind, "n...,n->s...", inputs, sizes, exact=False)

    return run


def _top_k(w: Writer, x: Any, k: int, sorted: bool = True) -> list[Tensor]:
    index, _ = w.op("TopKV2", as_tensor(w, x), k)
    return [(index, 0), (index, 1)]


def _in_top_k(w: Writer, targets: Any, predictions: Any, k: int) -> list[Tensor]:
    return stated(w, "InTopKV2", "n,nc->n", (targets, predictions))


def _log_sum_exp(w: Writer, x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    x = as_tensor(w, x)
    axes = axes_of(w, x, axis)
    most = w.op("StopGradient", w.op("Max", x, axes, keep_dims=True))
    total = w.op("Sum", w.op("Exp", w.op("Sub", x, most)), axes, keep_dims=True)
    y = w.op("AddV2", w.op("Log", total), most)
    return y if keepdims else w.op("Squeeze", y, squeeze_dims=axes)


def _distances(w: Writer, x: Any, y: Any) -> Tensor:
    one, two = w.op("ExpandDims", x, -2), w.op("ExpandDims", y, -3)
    squares = w.op("Square", w.op("Sub", one, two))
    return w.op("Sqrt", w.op("Sum", squares, [-1]))


# --- Sequences -----------------------------------------------------------------------


def _frames(w: Writer, x: Tensor, length: int, stride: int) -> Tensor:
    """Adds the windows of the last axis, as two axes in its place."""
    *outer, last = sizes_of(w, x)
    rows = w.op("Reshape", x, w.sizes(-1, last, 1, 1))
    windows = w.op(
        "ExtractImagePatches",
        rows,
        ksizes=[1, length, 1, 1],
        strides=[1, stride, 1, 1],
        rates=[1, 1, 1, 1],
        padding="VALID",
    )
    return w.op("Reshape", windows, w.sizes(*outer, w.size(windows, 1), length))


def _extract_sequences(
    w: Writer, x: Any, sequence_length: int, sequence_stride: int
) -> Tensor:
    return _frames(w, as_tensor(w, x), sequence_length, sequence_stride)


def _span(window: Any, length: int, whole: int) -> tuple[int, int]:
    """Returns where a window has values other than zero, in the middle of a frame.

    The first value of a Hann window is zero.
    """
    before = (whole - length) // 2
    if isinstance(window, str) or window is None:
        first, last = int(window == "hann" and length > 1), length - 1
        return (before + first, before + last + 1) if window else (0, whole)
    places = np.flatnonzero(np.asarray(window))
    if not len(places):
        raise NoRuleError("a window of zeros")
    return before + int(places[0]), before + int(places[-1]) + 1


def _padded(
    w: Writer, x: Tensor, before: int, after: int, op: str = "Pad", **fields: Any
) -> Tensor:
    """Adds a padding of the last axis."""
    if not (before or after):
        return x
    pads = [[0, 0]] * (w.rank(x) - 1) + [[before, after]]
    return w.op(op, x, pads, **fields)


def _stft(
    w: Writer,
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> list[Tensor]:
    """Writes the spectra of windows, of which zeros at the ends are not read."""
    x = as_tensor(w, x)
    if center:
        half = fft_length // 2
        x = _padded(w, x, half, half, "MirrorPad", mode="REFLECT")
    begin, end = _span(window, sequence_length, fft_length)
    left, right = begin, fft_length - end
    read = item(w, x, [Ellipsis, slice(left, -right or None)])
    frames = _frames(w, read, end - begin, sequence_stride)
    if window is not None:
        frames = w.op("Mul", frames, np.ones(end - begin, np.float32))
    return _parts(w, w.op("RFFT", _padded(w, frames, left, right), [fft_length]))


def _istft(
    w: Writer,
    x: Sequence[Any],
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """Writes the sum of frames at their places, which is a transposed convolution."""
    begin, end = _span(window, sequence_length, fft_length)
    frames = w.op("IRFFT", _complex(w, x), [fft_length])
    read = item(w, frames, [Ellipsis, slice(begin, end)])
    if window is not None:
        read = w.op("Mul", read, np.ones(end - begin, np.float32))
    *outer, count, _ = sizes_of(w, read)
    extent = end - begin
    rows = w.op("Reshape", read, w.sizes(-1, count, 1, extent))
    steps = w.op("Mul", w.op("Sub", count, 1), sequence_stride)
    size = w.op("AddV2", steps, extent)
    y = w.op(
        "Conv2DBackpropInput",
        w.sizes(w.size(rows, 0), size, 1, 1),
        w.op("Fill", [extent, 1, 1, extent], 1.0),
        rows,
        strides=[1, sequence_stride, 1, 1],
        dilations=[1, 1, 1, 1],
        padding="VALID",
        data_format="NHWC",
    )
    y = w.op("Reshape", y, w.sizes(*outer, size))
    y = _padded(w, y, begin, fft_length - end)
    start = fft_length // 2 if center else 0
    stop = -start or None if length is None else start + length
    return item(w, y, [Ellipsis, slice(start, stop)])


# --- Spectra -------------------------------------------------------------------------


def _complex(w: Writer, x: Sequence[Any]) -> Tensor:
    """Adds a complex tensor. Keras has a pair of tensors for it."""
    real, imaginary = x
    return w.op("Complex", real, imaginary)


def _parts(w: Writer, x: Tensor) -> list[Tensor]:
    return [w.op("Real", x), w.op("Imag", x)]


def _transformed(op: str) -> Operation:
    return lambda w, x: _parts(w, w.op(op, _complex(w, x)))


def _rfft(w: Writer, x: Any, fft_length: int | None = None) -> list[Tensor]:
    x = as_tensor(w, x)
    length = w.size(x, -1) if fft_length is None else fft_length
    return _parts(w, w.op("RFFT", x, w.sizes(length)))


def _irfft(w: Writer, x: Sequence[Any], fft_length: int | None = None) -> Tensor:
    pair = _complex(w, x)
    if fft_length is not None:
        return w.op("IRFFT", pair, [fft_length])
    length = w.op("Mul", w.op("Sub", w.size(pair, -1), 1), 2)
    return w.op("IRFFT", pair, w.sizes(length))


def _view_as_complex(w: Writer, x: Any) -> Tensor:
    return _complex(w, [w.op("GatherV2", x, place, -1) for place in (0, 1)])


def _view_as_real(w: Writer, x: Any) -> Tensor:
    return w.op("Pack", *_parts(w, as_tensor(w, x)), axis=-1)


RULES: dict[str, Operation] = {
    **{f"Segment{name}": _segment(name) for name in ("Max", "Min", "Prod", "Sum")},
    "CDist": _distances,
    "Erf": unary("Erf"),
    "Erfc": unary("Erfc"),
    "Erfinv": unary("Erfinv"),
    "ExtractSequences": _extract_sequences,
    "FFT": _transformed("FFT"),
    "FFT2": _transformed("FFT2D"),
    "IFFT2": _transformed("IFFT2D"),
    "IRFFT": _irfft,
    "ISTFT": _istft,
    "InTopK": _in_top_k,
    "Logsumexp": _log_sum_exp,
    "RFFT": _rfft,
    "Rsqrt": unary("Rsqrt"),
    "STFT": _stft,
    "TopK": _top_k,
    "ViewAsComplex": _view_as_complex,
    "ViewAsReal": _view_as_real,
}
