"""The rules of `keras.ops.image`: resizes, warps, patches and filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.axis_map import ANYWHERE
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    as_tensor,
    item,
    sizes_of,
)
from receptive_field.frameworks.keras.operations.windows import (
    Numbers,
    channels_last,
    convolved,
    each,
    is_channels_first,
)
from receptive_field.frameworks.keras.writer import FLOAT, INT, Writer
from receptive_field.graph.graph import Tensor
from receptive_field.rules.op import Op, first_shape
from receptive_field.rules.reductions import along


def _on_images(
    w: Writer,
    images: Any,
    data_format: str | None,
    function: Callable[[Tensor], Tensor],
) -> Tensor:
    first = is_channels_first(data_format)
    return channels_last(w, as_tensor(w, images), first, function)


def _by_op(op: str) -> Operation:
    def run(w: Writer, images: Any, data_format: str | None = None) -> Tensor:
        return _on_images(w, images, data_format, lambda x: w.op(op, x))

    return run


def _to_grayscale(w: Writer, images: Any, data_format: str | None = None) -> Tensor:
    def function(x: Tensor) -> Tensor:
        if w.shape(x)[-1] == 1:
            return x
        weighted = w.op("Mul", x, [0.2989, 0.587, 0.114])
        return w.op("Sum", weighted, [-1], keep_dims=True)

    return _on_images(w, images, data_format, function)


# --- Resizes -------------------------------------------------------------------------

_RESIZES = {
    "nearest": "ResizeNearestNeighbor",
    "bilinear": "ResizeBilinear",
    "bicubic": "ResizeBicubic",
}
_SMOOTH = {"bilinear": "triangle", "bicubic": "keyscubic"}
"""The kernels of interpolations that smooth what they shrink."""


def _resize(
    w: Writer,
    images: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    def function(x: Tensor) -> Tensor:
        if crop_to_aspect_ratio:
            x = _cropped(w, x, size)
        elif pad_to_aspect_ratio:
            x = _padded(w, x, size, fill_value)
        return resized(w, x, list(size), interpolation, antialias)

    return _on_images(w, images, data_format, function)


def resized(
    w: Writer, x: Tensor, size: Any, interpolation: str, antialias: bool = False
) -> Tensor:
    """Adds a resize of images to a height and width."""
    if interpolation == "area":
        return w.op("ResizeArea", x, size)
    smooth = antialias and interpolation in _SMOOTH
    if interpolation in _RESIZES and not smooth:
        return w.op(_RESIZES[interpolation], x, size, half_pixel_centers=True)
    if list(w.shape(x)[1:3]) == size:  # Keras copies it if it knows its size.
        return w.op("EnsureShape", x, shape=(None, *size, None))
    if not smooth and interpolation not in ("lanczos3", "lanczos5"):
        raise NoRuleError(f"the interpolation {interpolation!r}")
    old = w.op("Cast", w.sizes(w.size(x, 1), w.size(x, 2)), DstT=FLOAT)
    return w.op(
        "ScaleAndTranslate",
        x,
        size,
        w.op("RealDiv", w.op("Cast", size, DstT=FLOAT), old),
        [0.0, 0.0],
        kernel_type=_SMOOTH.get(interpolation, interpolation),
        antialias=antialias,
    )


def _fitting(w: Writer, x: Tensor, size: Sequence[int], op: str) -> list[Any]:
    """Adds the height and width of the largest crop, or least padding, of a form.

    ``op`` is Minimum for a crop, and Maximum for a padding.
    """
    sides = w.size(x, 1), w.size(x, 2)
    found = []
    for side, other, new, new_other in zip(
        sides, sides[::-1], size, size[::-1], strict=True
    ):
        scaled = w.op("Cast", w.op("Mul", other, new), DstT=FLOAT)
        fitting = w.op("Cast", w.op("RealDiv", scaled, float(new_other)), DstT=INT)
        found.append(w.op(op, side, fitting))
    return found


def _half(w: Writer, x: Tensor) -> Tensor:
    return w.op("FloorDiv", x, 2)


def _cropped(w: Writer, x: Tensor, size: Sequence[int]) -> Tensor:
    """Adds the largest crop from the middle of the form that a resize has."""
    key: list[Any] = [slice(None)]
    for axis, least in enumerate(_fitting(w, x, size, "Minimum"), start=1):
        fitting = w.op("Maximum", least, 1)
        begin = _half(w, w.op("Sub", w.size(x, axis), fitting))
        key.append(slice(begin, w.op("AddV2", begin, fitting)))
    return item(w, x, key)


def _padded(w: Writer, x: Tensor, size: Sequence[int], value: float) -> Tensor:
    """Adds a padding to the form that a resize has."""
    for axis, fitting in enumerate(_fitting(w, x, size, "Maximum"), start=1):
        sizes = sizes_of(w, x)
        sizes[axis] = _half(w, w.op("Sub", fitting, sizes[axis]))
        border = w.op("Fill", w.sizes(*sizes), float(value))
        x = w.op("ConcatV2", border, x, border, axis)
    return x


def _scale_and_translate(
    w: Writer,
    images: Any,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Writes a resize of each axis, as the only one of an image of one row."""
    kernel = "keyscubic" if "cubic" in method else method
    kernel = "triangle" if "linear" in method else kernel
    x = as_tensor(w, images)
    rank = w.rank(x)
    for number, dim in enumerate(spatial_dims):
        axis = dim % rank
        order = [*(other for other in range(rank) if other != axis), axis]
        last = w.op("Transpose", x, order)
        *outer, size = sizes_of(w, last)
        new = output_shape[axis]
        y = w.op(
            "ScaleAndTranslate",
            w.op("Reshape", last, w.sizes(-1, size, 1, 1)),
            w.sizes(new, 1),
            w.sizes(w.op("GatherV2", scale, number, 0), 1.0),
            w.sizes(w.op("GatherV2", translation, number, 0), 0.0),
            kernel_type=kernel,
            antialias=antialias,
        )
        y = w.op("Reshape", y, w.sizes(*outer, new))
        x = w.op("Transpose", y, sorted(range(rank), key=order.__getitem__))
    return x


# --- Warps ---------------------------------------------------------------------------


def _warped(w: Writer, x: Tensor, transforms: Tensor, value: float) -> Tensor:
    sizes = w.sizes(w.size(x, 1), w.size(x, 2))
    return w.op("ImageProjectiveTransformV3", x, transforms, sizes, float(value))


def _affine(
    w: Writer,
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    def function(x: Tensor) -> Tensor:
        return _warped(w, x, as_tensor(w, transform), fill_value)

    return _on_images(w, images, data_format, function)


def _perspective(
    w: Writer,
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Writes a warp by a matrix that depends on all points."""
    points = w.op("ConcatV2", start_points, end_points, -1)

    def function(x: Tensor) -> Tensor:
        return _warped(w, x, points, fill_value)

    return _on_images(w, images, data_format, function)


def _elastic(
    w: Writer, images: Any, data_format: str | None = None, **options: Any
) -> Tensor:
    """Writes a warp by random distances, which takes a pixel from anywhere."""
    op = Op(along([1, 2], ANYWHERE), first_shape, is_random=True)
    return _on_images(w, images, data_format, lambda x: w.stated("GatherNd", op, [x]))


def _map_coordinates(
    w: Writer,
    inputs: Any,
    coordinates: Any,
    order: int,
    fill_mode: str = "constant",
    fill_value: float = 0,
) -> Tensor:
    """Writes which positions are read, for each of the coordinates along the axis 0."""
    places = as_tensor(w, coordinates)
    last = w.op("Transpose", places, [*range(1, w.rank(places)), 0])
    return w.op("GatherNd", inputs, w.op("Cast", last, DstT=INT))


# --- Patches, paddings and crops -----------------------------------------------------


def _extract_patches(
    w: Writer,
    images: Any,
    size: Numbers,
    strides: Numbers | None = None,
    dilation_rate: Numbers = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Writes a convolution whose kernel copies each position to its own channels."""
    x, first = as_tensor(w, images), is_channels_first(data_format)
    kernel = each(size, 2) if isinstance(size, int) else list(size)
    is_single = w.rank(x) == len(kernel) + 1
    if is_single:
        x = w.op("ExpandDims", x, 0)
    count = w.shape(x)[1 if first else -1]
    if not isinstance(count, int):
        raise NoRuleError("the number of channels is unknown")
    new = count
    for extent in kernel:
        new *= extent
    ones = w.op("Fill", [*kernel, count, new], 1.0)
    y = convolved(w, x, ones, strides or size, padding, first, dilation_rate)
    return w.op("Squeeze", y, squeeze_dims=[0]) if is_single else y


def _sides(w: Writer, x: Tensor, data_format: str | None) -> list[int]:
    """Returns the axes of the height and the width."""
    rank = w.rank(x)
    last = rank if is_channels_first(data_format) else rank - 1
    return [last - 2, last - 1]


def _pad_images(
    w: Writer,
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    x = as_tensor(w, images)
    pads: list[Any] = [w.sizes(0, 0)] * w.rank(x)
    for axis, before, after, new in zip(
        _sides(w, x, data_format),
        (top_padding, left_padding),
        (bottom_padding, right_padding),
        (target_height, target_width),
        strict=True,
    ):
        pads[axis] = w.sizes(*_around(w, w.size(x, axis), before, after, new))
    return w.op("Pad", x, w.sizes(*pads))


def _around(
    w: Writer, size: Tensor, before: int | None, after: int | None, new: int | None
) -> list[Any]:
    """Returns two paddings. If the new size is given, one of them follows from it."""
    if new is None:
        return [before, after]
    left = w.op("Sub", new - (before or after or 0), size)
    return [left, after] if before is None else [before, left]


def _crop_images(
    w: Writer,
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    x = as_tensor(w, images)
    begins: list[Any] = [0] * w.rank(x)
    sizes = sizes_of(w, x)
    for axis, before, after, new in zip(
        _sides(w, x, data_format),
        (top_cropping, left_cropping),
        (bottom_cropping, right_cropping),
        (target_height, target_width),
        strict=True,
    ):
        if before is None:
            begins[axis] = w.op("Sub", sizes[axis], (new or 0) + (after or 0))
        else:
            begins[axis] = before
        if new is None:
            sizes[axis] = w.op("Sub", sizes[axis], (before or 0) + (after or 0))
        else:
            sizes[axis] = new
    return w.op("Slice", x, w.sizes(*begins), w.sizes(*sizes))


# --- Filters -------------------------------------------------------------------------


def _filtered(
    w: Writer, x: Tensor, kernel: Sequence[int], padding: str, times: int = 1
) -> Tensor:
    """Adds a filter of each channel, with ``times`` results for each of them."""
    ones = w.op("Fill", w.sizes(*kernel, w.size(x, -1), times), 1.0)
    return convolved(w, x, ones, padding=padding, depthwise=True)


def _gaussian_blur(
    w: Writer,
    images: Any,
    kernel_size: Numbers = (3, 3),
    sigma: Any = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    kernel = each(kernel_size, 2)
    return _on_images(w, images, data_format, lambda x: _filtered(w, x, kernel, "same"))


def _sobel_edges(w: Writer, images: Any, data_format: str | None = None) -> Tensor:
    def function(x: Tensor) -> Tensor:
        pads = [[0, 0], [1, 1], [1, 1], [0, 0]]
        y = w.op("MirrorPad", x, pads, mode="REFLECT")
        y = _filtered(w, y, [3, 3], "valid", times=2)
        return w.op("Reshape", y, w.sizes(*sizes_of(w, x), 2))

    return _on_images(w, images, data_format, function)


def _ssim(
    w: Writer,
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    one, two = as_tensor(w, image1), as_tensor(w, image2)

    def smooth(x: Tensor) -> Tensor:
        kernel = [filter_size, filter_size]
        return _on_images(w, x, data_format, lambda y: _filtered(w, y, kernel, "valid"))

    def with_limit(factor: float, x: Tensor, limit: float) -> Tensor:
        return w.op("AddV2", w.op("Mul", factor, x), limit)

    def measured(function: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
        """Adds a product of the images, and the sum of their squares."""
        squares = w.op("AddV2", function(one, one), function(two, two))
        return [function(one, two), squares]

    def spread(x: Tensor, y: Tensor) -> Tensor:
        return w.op("Sub", smooth(w.op("Mul", x, y)), brightness(x, y))

    def brightness(x: Tensor, y: Tensor) -> Tensor:
        return w.op("Mul", smooth(x), smooth(y))

    ratios = []
    for function, limit in ((brightness, k1), (spread, k2)):
        product, squares = measured(function)
        small = (limit * max_val) ** 2
        above = with_limit(2.0, product, small)
        ratios.append(w.op("RealDiv", above, with_limit(1.0, squares, small)))
    ratio = w.op("Mul", *ratios)
    rank = w.rank(ratio)
    return w.op("Mean", ratio, list(range(rank - 3, rank)))


RULES: dict[str, Operation] = {
    "AffineTransform": _affine,
    "CropImages": _crop_images,
    "ElasticTransform": _elastic,
    "ExtractPatches": _extract_patches,
    "GaussianBlur": _gaussian_blur,
    "HSVToRGB": _by_op("HSVToRGB"),
    "MapCoordinates": _map_coordinates,
    "PadImages": _pad_images,
    "PerspectiveTransform": _perspective,
    "RGBToGrayscale": _to_grayscale,
    "RGBToHSV": _by_op("RGBToHSV"),
    "Resize": _resize,
    "SSIM": _ssim,
    "ScaleAndTranslate": _scale_and_translate,
    "SobelEdges": _sobel_edges,
}
