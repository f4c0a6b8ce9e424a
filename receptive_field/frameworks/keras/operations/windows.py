"""Convolutions and poolings, as the layers and functions of Keras run them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.operand import as_tensor, sizes_of
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor

Numbers = int | Sequence[int]
"""A number for all spatial axes, or one for each of them."""


def is_channels_first(data_format: str | None) -> bool:
    """Returns whether the axis of channels comes before the spatial axes.

    If no format is stated, it is the one that Keras is set to.
    """
    if data_format is None and "keras" in sys.modules:
        data_format = sys.modules["keras"].config.image_data_format()
    return data_format == "channels_first"


def each(values: Numbers, count: int) -> list[int]:
    """Returns one number for each of several axes."""
    found = [values] * count if isinstance(values, int) else list(values)
    if len(found) != count:
        raise NoRuleError(f"{len(found)} numbers are given for {count} spatial axes")
    return found


def channels_last(
    w: Writer, x: Tensor, first: bool, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """Adds a function of images whose channels come last, applied to one or several.

    The result has the form of the input: without an axis for the batch if that has
    none, and with its channels where they are in the input.
    """
    is_single = w.rank(x) == 3
    if is_single:
        x = w.op("ExpandDims", x, 0)
    if first:
        x = w.op("Transpose", x, [0, 2, 3, 1])
    y = function(x)
    if first:
        y = w.op("Transpose", y, [0, 3, 1, 2, *range(4, w.rank(y))])
    return w.op("Squeeze", y, squeeze_dims=[0]) if is_single else y


def spatial_axes(w: Writer, x: Tensor, first: bool) -> list[int]:
    """Returns the spatial axes. ``first`` says whether the channels come first."""
    start = 2 if first else 1
    return list(range(start, start + w.rank(x) - 2))


def along(
    w: Writer, x: Tensor, first: bool, values: Sequence[Any], other: Any
) -> list[Any]:
    """Returns a value for each axis: one of ``values`` for each spatial axis."""
    found = [other] * w.rank(x)
    for axis, value in zip(spatial_axes(w, x, first), values, strict=True):
        found[axis] = value
    return found


def as_image(w: Writer, x: Tensor, first: bool) -> Tensor:
    """Returns a tensor with one spatial axis as an image with one row."""
    return w.op("ExpandDims", x, 2 if first else 1) if w.rank(x) == 3 else x


def as_before(w: Writer, y: Tensor, x: Tensor, first: bool) -> Tensor:
    """Returns the result for an image with one row with the rank of ``x``."""
    if w.rank(x) != 3:
        return y
    return w.op("Squeeze", y, squeeze_dims=[2 if first else 1])


def _as_kernel(w: Writer, x: Tensor, kernel: Any) -> Tensor:
    """Returns a kernel, which gets one row if ``x`` has one spatial axis."""
    kernel = as_tensor(w, kernel)
    return w.op("ExpandDims", kernel, 0) if w.rank(x) == 3 else kernel


def slid(
    w: Writer,
    op: str,
    image: Tensor,
    inputs: Sequence[Any],
    padding: str,
    first: bool,
    **settings: Sequence[int],
) -> Tensor:
    """Adds an op that slides a window over an image.

    Args:
      settings: the attributes that have a number for each axis. Those of the last
        spatial axes are given.
    """
    rank = w.rank(image)
    letters = "DHW"[5 - rank :]
    fields = {
        name: along(w, image, first, [1] * (rank - 2 - len(numbers)) + [*numbers], 1)
        for name, numbers in settings.items()
    }
    return w.op(
        op,
        *inputs,
        **fields,
        padding=padding.upper(),
        data_format=f"NC{letters}" if first else f"N{letters}C",
    )


def convolved(
    w: Writer,
    x: Tensor,
    kernel: Any,
    strides: Numbers = 1,
    padding: str = "valid",
    first: bool = False,
    dilations: Numbers = 1,
    depthwise: bool = False,
) -> Tensor:
    """Adds a convolution along one, two or three spatial axes."""
    count = w.rank(x) - 2
    image = as_image(w, x, first)
    op = "Conv3D" if count == 3 else "Conv2D"
    y = slid(
        w,
        "DepthwiseConv2dNative" if depthwise else op,
        image,
        [image, _as_kernel(w, x, kernel)],
        padding,
        first,
        strides=each(strides, count),
        dilations=each(dilations, count),
    )
    return as_before(w, y, x, first)


def transposed(
    w: Writer,
    x: Tensor,
    kernel: Any,
    strides: Numbers = 1,
    padding: str = "valid",
    more: Numbers | None = None,
    first: bool = False,
    dilations: Numbers = 1,
) -> Tensor:
    """Adds a transposed convolution. ``more`` is what Keras calls output_padding."""
    count = w.rank(x) - 2
    image, kernel = as_image(w, x, first), as_tensor(w, kernel)
    *extents, filters, _ = w.shape(kernel)
    numbers = zip(
        extents,
        each(strides, count),
        each(dilations, count),
        [None] * count if more is None else each(more, count),
        strict=True,
    )
    sizes: list[Any] = [1] * (w.rank(image) - w.rank(x))
    for axis, of_axis in zip(spatial_axes(w, x, first), numbers, strict=True):
        sizes.append(transposed_size(w, w.size(x, axis), *of_axis, padding.lower()))
    shape = along(w, image, first, sizes, filters)
    shape[0] = w.size(image, 0)
    y = slid(
        w,
        "Conv3DBackpropInputV2" if count == 3 else "Conv2DBackpropInput",
        image,
        [w.sizes(*shape), _as_kernel(w, x, kernel), image],
        padding,
        first,
        strides=each(strides, count),
        dilations=each(dilations, count),
    )
    return as_before(w, y, x, first)


def transposed_size(
    w: Writer,
    size: Tensor,
    kernel: Any,
    stride: int,
    dilation: int,
    more: int | None,
    padding: str,
) -> Tensor:
    """Adds the size of the output of a transposed convolution on one axis."""
    extent = (kernel - 1) * dilation + 1
    if more is None:
        added = max(extent - stride, 0) if padding == "valid" else 0
    elif padding == "valid":
        added = extent - stride + more
    else:
        added = extent % 2 - stride + more
    scaled = w.op("Mul", size, stride)
    return w.op("AddV2", scaled, added) if added else scaled


def pooled(
    w: Writer,
    op: str,
    x: Tensor,
    pool_size: Numbers,
    strides: Numbers | None = None,
    padding: str = "valid",
    first: bool = False,
) -> Tensor:
    """Adds a pooling. ``op`` is MaxPool or AvgPool."""
    count = w.rank(x) - 2
    image = as_image(w, x, first)
    y = slid(
        w,
        op + "3D" * (count == 3),
        image,
        [image],
        padding,
        first,
        ksize=each(pool_size, count),
        strides=each(pool_size if strides is None else strides, count),
    )
    return as_before(w, y, x, first)


def pooled_to(
    w: Writer, op: str, x: Tensor, output_size: Numbers, first: bool = False
) -> Tensor:
    """Adds a pooling whose windows follow from the sizes before and after it.

    Keras pools with windows of two sizes at each position, and gathers the result for
    each window. Both sizes, and the positions, hold for a single size of the input.
    """
    axes = spatial_axes(w, x, first)
    shape = tuple(size if isinstance(size, int) else None for size in w.shape(x))
    x = w.op("EnsureShape", x, shape=shape)
    for number, (axis, new) in enumerate(
        zip(axes, each(output_size, len(axes)), strict=True)
    ):
        size = shape[axis]
        if size is None:
            raise NoRuleError("the size of its input is unknown")
        small = math.ceil(size / new)
        parts = []
        for extent in (small, small + 1):
            window = [1] * len(axes)
            window[number] = extent
            parts.append(pooled(w, op, x, window, 1, "valid", first))
        places = _places(size, new, small)
        x = w.op("GatherV2", w.op("ConcatV2", *parts, axis), places, axis)
    return x


def _places(size: int, new: int, small: int) -> list[int]:
    """Returns where each window is: among the small ones, or the large ones after them.

    Keras divides in single precision.
    """
    numbers = np.arange(new + 1, dtype=np.float32) * np.float32(size) / np.float32(new)
    starts = np.minimum(np.floor(numbers[:-1]), size - 1)
    ends = np.minimum(np.ceil(numbers[1:]), size)
    later = np.where(ends - starts == small + 1, max(1, size - small + 1), 0)
    found: list[int] = (starts + later).astype(np.int64).tolist()
    return found


def repeated(w: Writer, x: Tensor, axis: int, times: int) -> Tensor:
    """Adds a repetition of each position of an axis."""
    rank = w.rank(x)
    axis %= rank
    tile = [1] * (rank + 1)
    tile[axis + 1] = times
    sizes = sizes_of(w, x)
    sizes[axis] = w.op("Mul", sizes[axis], times)
    tiled = w.op("Tile", w.op("ExpandDims", x, axis + 1), tile)
    return w.op("Reshape", tiled, w.sizes(*sizes))
