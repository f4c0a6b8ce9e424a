"""Rules for resizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from receptive_field.algebra.axis_map import IDENTITY, AxisMap
from receptive_field.algebra.sizes import Size
from receptive_field.arrays import np
from receptive_field.frameworks.tensorflow.ops.registry import (
    register,
    treat_zeros,
    weigh,
)
from receptive_field.rules.flops import multiply_adds, output_elements
from receptive_field.rules.op import (
    Call,
    Coefficients,
    Flops,
    Op,
    Relations,
    Shape,
    Zeros,
)
from receptive_field.rules.op import (
    Taps as TapKind,
)
from receptive_field.rules.resizing import (
    KERNELS,
    MOST_POSITIONS,
    Lens,
    Taps,
    area_map,
    bicubic,
    bilinear,
    bilinear_weights,
    by_area,
    by_kernel,
    corner_weights,
    cubic_weights,
    interpolated,
    kernel_map,
    lens,
    nearest,
    nearest_corner,
    nearest_weights,
    resize_map,
    resized,
    taps_in_all,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _sizes(call: Call) -> list[Size]:
    """Returns the height and width of the output."""
    sizes = call.integers(1)
    if sizes is None or len(sizes) != 2:
        return [call.unknown_size(1), call.unknown_size(2)]
    for size in sizes:
        if isinstance(size, int) and not 0 < size <= MOST_POSITIONS:
            call.fail(
                f"has the output size {size}, which is not between 1 and "
                f"{MOST_POSITIONS}"
            )
    return sizes


Axes = Callable[[Call, int, Size, Size], AxisMap | None]
"""Returns the map of a node's spatial axis (0 is y), given its old and new size."""


def resize_op(axis_map: Axes) -> Op:
    """Returns the rule of a resize, given the map of each spatial axis."""

    def maps(call: Call) -> list[AxisMap | None]:
        sizes = call.known_shape(0, 4)[1:3]
        return [
            axis_map(call, axis, size, new_size)
            for axis, (size, new_size) in enumerate(
                zip(sizes, _sizes(call), strict=True)
            )
        ]

    def relations(call: Call, output: int) -> Relations:
        return [resized(maps(call)), *(call.all_of(i) for i in range(1, len(call)))]

    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.known_shape(0, 4)
        return [(shape[0], *_sizes(call), shape[3])]

    def flops(call: Call) -> Flops:
        """Counts a multiply-add for each read position, or nothing for pure copies."""
        every = [IDENTITY, *maps(call), IDENTITY]
        taps = taps_in_all(call, shapes(call)[0] or (), every)
        copied = taps == output_elements(call)
        return Flops(0) if copied else multiply_adds(taps, profiled=False)

    return Op(
        relations,
        shapes,
        layout=lambda call: (0, (1, 2)),
        flops=flops,
        clamps=True,
    )


def _with_taps(taps: Taps, recentre: bool = True) -> Axes:
    def axis_map(call: Call, axis: int, size: Size, new_size: Size) -> AxisMap | None:
        corners = call.flag("align_corners")
        half_pixel = call.flag("half_pixel_centers")
        chosen = nearest_corner if corners and taps is nearest else taps
        return resize_map(size, new_size, chosen, half_pixel, corners, recentre)

    return axis_map


register("ResizeBilinear", resize_op(_with_taps(bilinear)))
register("ResizeBicubic", resize_op(_with_taps(bicubic)))
register("ResizeNearestNeighbor", resize_op(_with_taps(nearest, recentre=False)))


def _area_map(call: Call, axis: int, size: Size, new_size: Size) -> AxisMap | None:
    return area_map(size, new_size, call.flag("align_corners"))


register("ResizeArea", resize_op(_area_map))


def _lens(call: Call, axis: int, size: Size, new_size: Size) -> Lens | None:
    """Returns the kernel of a node on one axis, or None if a parameter is unknown."""
    scales, offsets = call.value(2), call.value(3)
    kind = call.text("kernel_type", "lanczos3")
    if scales is None or offsets is None or kind not in KERNELS:
        return None
    if scales.size != 2 or offsets.size != 2:
        call.fail("requires two scales and two translations")
    scale, offset = scales.flat[axis], offsets.flat[axis]
    antialias = call.flag("antialias", True)
    return lens(KERNELS[kind], scale, offset, antialias, size, new_size)


def _kernel_map(call: Call, axis: int, size: Size, new_size: Size) -> AxisMap | None:
    found = _lens(call, axis, size, new_size)
    return None if found is None else kernel_map(found, size, new_size)


register("ScaleAndTranslate", resize_op(_kernel_map))

# --- Weights of positions ------------------------------------------------------------

OnAxis = Callable[[Call, int, int, int], "NDArray[np.float64]"]
"""Returns the weights of positions on a spatial axis (0 is y), given its old and new
size."""


def _on_both_axes(on_axis: OnAxis) -> Callable[[Call], Coefficients]:
    def coefficients(call: Call) -> Coefficients:
        sizes = call.known_shape(0, 4)[1:3], (call.output_shape() or ())[1:3]
        return {
            axis + 1: on_axis(call, axis, size, new_size)
            for axis, (size, new_size) in enumerate(zip(*sizes, strict=True))
            if isinstance(size, int) and isinstance(new_size, int)
        }

    return coefficients


def _by_weights(kind: str) -> OnAxis:
    def on_axis(call: Call, axis: int, size: int, new: int) -> NDArray[np.float64]:
        corners = call.flag("align_corners")
        half_pixel = call.flag("half_pixel_centers")
        weights = {
            "linear": bilinear_weights,
            "nearest": corner_weights if corners else nearest_weights,
            "cubic": cubic_weights(-0.5 if half_pixel else -0.75),
        }[kind]
        return interpolated(size, new, corners, half_pixel, weights)

    return on_axis


def _by_area(call: Call, axis: int, size: int, new: int) -> NDArray[np.float64]:
    return by_area(size, new, call.flag("align_corners"))


def _by_kernel(call: Call, axis: int, size: int, new: int) -> NDArray[np.float64]:
    found = _lens(call, axis, size, new)
    if found is None:
        call.fail("has an unknown scale or kernel")
    return by_kernel(found, size, new)


for _name, _on_axis in {
    "ResizeBilinear": _by_weights("linear"),
    "ResizeNearestNeighbor": _by_weights("nearest"),
    "ResizeBicubic": _by_weights("cubic"),
    "ResizeArea": _by_area,
    "ScaleAndTranslate": _by_kernel,
}.items():
    weigh(_name, TapKind.COPY, coefficients=_on_both_axes(_on_axis))

treat_zeros(
    "ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate",
    Zeros.KEPT,
)
