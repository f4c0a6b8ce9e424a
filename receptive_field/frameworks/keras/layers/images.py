"""Layers that resize images, or crop them to a size."""

from __future__ import annotations

from typing import Any

from receptive_field.frameworks.keras.layers.call import (
    LayerCall,
    rule,
    sliced,
)
from receptive_field.frameworks.keras.operations.windows import repeated
from receptive_field.frameworks.keras.writer import FLOAT, INT, Writer
from receptive_field.graph.graph import Tensor

_OPS = {
    "nearest": "ResizeNearestNeighbor",
    "bilinear": "ResizeBilinear",
    "bicubic": "ResizeBicubic",
    "area": "ResizeArea",
}
_KERNELS = {
    "bilinear": "triangle",
    "bicubic": "keyscubic",
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
    "gaussian": "gaussian",
    "mitchellcubic": "mitchellcubic",
}
"""The kernels of interpolations that have no op of their own, or are smoothed."""


def _resized(
    call: LayerCall, x: Tensor, sizes: list[Any], kind: str, smooth: bool = False
) -> Tensor:
    """Adds the resize of an image whose last axis is that of the channels."""
    w, new = call.writer, call.writer.sizes(*sizes)
    if kind in _OPS and not (smooth and kind in _KERNELS):
        exact = {} if kind == "area" else {"half_pixel_centers": True}
        return w.op(_OPS[kind], x, new, align_corners=False, **exact)
    if kind not in _KERNELS:
        call.fail(f"the interpolation {kind!r}")
    old = w.sizes(w.size(x, 1), w.size(x, 2))
    scales = w.op("RealDiv", _float(w, new), _float(w, old))
    kernel = _KERNELS[kind]
    return w.op(
        "ScaleAndTranslate",
        x,
        new,
        scales,
        [0.0, 0.0],
        kernel_type=kernel,
        antialias=smooth,
    )


def _float(w: Writer, x: Tensor) -> Tensor:
    return w.op("Cast", x, DstT=FLOAT)


def _channels_last(call: LayerCall, x: Tensor) -> Tensor:
    return call.writer.op("Transpose", x, [0, 2, 3, 1]) if call.is_channels_first else x


def _as_given(call: LayerCall, x: Tensor) -> Tensor:
    return call.writer.op("Transpose", x, [0, 3, 1, 2]) if call.is_channels_first else x


@rule("UpSampling1D UpSampling2D UpSampling3D")
def _upsampling(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    times = call.numbers("size", x, 2)
    kind = call.config.get("interpolation", "nearest")
    if kind == "nearest":
        for axis, count in zip(call.spatial(x), times, strict=True):
            x = repeated(w, x, axis, count)
        return x
    x = _channels_last(call, x)
    sizes = [w.op("Mul", w.size(x, axis), n) for axis, n in enumerate(times, 1)]
    return _as_given(call, _resized(call, x, sizes, kind))


@rule("Resizing")
def _resizing(call: LayerCall) -> Tensor:
    w, c = call.writer, call.config
    x, size = _channels_last(call, call.x), [c["height"], c["width"]]
    if w.rank(x) != 4:
        call.fail("a single image")
    if c.get("crop_to_aspect_ratio", False):
        x = _cropped_to_ratio(w, x, size)
    elif c.get("pad_to_aspect_ratio", False):
        x = _padded_to_ratio(w, x, size, float(c.get("fill_value", 0.0)))
    kind = c.get("interpolation", "bilinear")
    return _as_given(call, _resized(call, x, size, kind, c.get("antialias", False)))


def _fitted(w: Writer, x: Tensor, size: list[int]) -> list[Tensor]:
    """Adds the height that fits to the width of an image for a ratio, and the width."""
    found = []
    for axis, (own, other) in enumerate([size, size[::-1]], 1):
        scaled = _float(w, w.op("Mul", w.size(x, 3 - axis), own))
        found.append(w.op("Cast", w.op("RealDiv", scaled, float(other)), DstT=INT))
    return found


def _half(w: Writer, x: Tensor) -> Tensor:
    return w.op("Cast", w.op("RealDiv", _float(w, x), 2.0), DstT=INT)


def _cropped_to_ratio(w: Writer, x: Tensor, size: list[int]) -> Tensor:
    """Adds a crop of the middle of an image that has the ratio of a size."""
    starts: list[Any] = [0, 0, 0, 0]
    ends: list[Any] = [0, 0, 0, 0]
    for axis, fitted in enumerate(_fitted(w, x, size), 1):
        old = w.size(x, axis)
        new = w.op("Maximum", w.op("Minimum", old, fitted), 1)
        starts[axis] = _half(w, w.op("Sub", old, new))
        ends[axis] = w.op("AddV2", starts[axis], new)
    return sliced(w, x, starts, ends)


def _padded_to_ratio(w: Writer, x: Tensor, size: list[int], fill: float) -> Tensor:
    """Adds values around an image, so that it has the ratio of a size."""
    for axis, fitted in enumerate(_fitted(w, x, size), 1):
        old = w.size(x, axis)
        sizes = [w.size(x, number) for number in range(4)]
        sizes[axis] = _half(w, w.op("Sub", w.op("Maximum", old, fitted), old))
        around = w.op("Fill", w.sizes(*sizes), fill)
        x = w.op("ConcatV2", around, x, around, axis)
    return x


@rule("CenterCrop")
def _center_crop(call: LayerCall) -> Tensor:
    w, c = call.writer, call.config
    x, size = _channels_last(call, call.x), [c["height"], c["width"]]
    if w.rank(x) != 4:
        call.fail("a single image")
    given = zip(w.shape(x)[1:3], size, strict=True)
    if any(isinstance(old, int) and old < new for old, new in given):
        x = _cropped_to_ratio(w, x, size)
        return _as_given(call, _resized(call, x, list(size), "bilinear"))
    rest = [w.op("Sub", w.size(x, axis), new) for axis, new in enumerate(size, 1)]
    starts = [0, *(w.op("FloorDiv", positions, 2) for positions in rest), 0]
    # Keras would resize an image that is smaller: it has too few positions for a Slice.
    return _as_given(call, w.op("Slice", x, w.sizes(*starts), [-1, *size, -1]))
