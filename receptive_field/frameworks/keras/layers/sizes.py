"""Padding, cropping, upsampling and resizing."""

from __future__ import annotations

from typing import Any

from receptive_field.frameworks.keras.layers.call import LayerCall, padded, rule
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule("ZeroPadding1D ZeroPadding2D ZeroPadding3D")
def _zero_padding(call: LayerCall) -> Tensor:
    return padded(call, call.x, _pairs(call, "padding", 1))


@rule("Cropping1D Cropping2D Cropping3D")
def _cropping(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    pairs = call.along(x, _pairs(call, "cropping", 0), (0, 0))
    begin = [before for before, _ in pairs]
    end = [-after for _, after in pairs]
    open_ends = sum(1 << axis for axis, stop in enumerate(end) if not stop)
    return w.op(
        "StridedSlice",
        x,
        begin,
        end,
        [1] * len(end),
        begin_mask=0,
        end_mask=open_ends,
        ellipsis_mask=0,
        new_axis_mask=0,
        shrink_axis_mask=0,
    )


def _pairs(call: LayerCall, name: str, default: int) -> list[Any]:
    """Returns the numbers before and after each spatial axis."""
    value = call.config.get(name, default)
    axes = len(call.spatial(call.x))
    if isinstance(value, int):
        return [(value, value)] * axes
    if axes == 1:
        return [tuple(value)]
    return [(v, v) if isinstance(v, int) else tuple(v) for v in value]


@rule("UpSampling1D UpSampling2D UpSampling3D")
def _upsampling(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    times = call.numbers("size", x, 2)
    kind = call.config.get("interpolation", "nearest")
    if kind == "nearest":
        for axis, count in zip(call.spatial(x), times, strict=True):
            x = _repeated(w, x, axis, count)
        return x
    ops = {"bilinear": "ResizeBilinear", "bicubic": "ResizeBicubic"}
    if kind not in ops or call.is_channels_first:
        call.fail(f"the interpolation {kind!r}")
    sizes = [
        w.op("Mul", w.size(x, axis), count)
        for axis, count in zip(call.spatial(x), times, strict=True)
    ]
    return w.op(ops[kind], x, w.sizes(*sizes), half_pixel_centers=True)


def _repeated(w: Writer, x: Tensor, axis: int, times: int) -> Tensor:
    """Adds a repetition of each position of an axis."""
    rank = w.rank(x)
    tile = [1] * (rank + 1)
    tile[axis + 1] = times
    sizes: list[Any] = [w.size(x, a) for a in range(rank)]
    sizes[axis] = w.op("Mul", sizes[axis], times)
    tiled = w.op("Tile", w.op("ExpandDims", x, axis + 1), tile)
    return w.op("Reshape", tiled, w.sizes(*sizes))
