"""Resizing images: nearest and bilinear, in the arithmetic of TensorFlow's kernels.

The kernels compute the source position of every output position in float32
(tensorflow/core/util/image_resizer_state.h); where sizes are known so do we, for a
few pairs of sizes read another position than exact arithmetic says. Where only the
scale is known, exact arithmetic has to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from receptive_field.axis_map import IDENTITY, AxisMap, constant, periodic, table
from receptive_field.graph.axes import FULL_BOUND, Relation, follow
from receptive_field.graph.sizes import Size, divide
from receptive_field.ops.registry import Call, Op, Relations, Shape, register

Taps = Callable[[float | Fraction], tuple[int, int]]
"""From a source position to the first and last position read."""


def _bilinear(position: float | Fraction) -> tuple[int, int]:
    # A tap of weight zero carries nothing: at a whole position there is one.
    return math.floor(position), math.ceil(position)


def _nearest(position: float | Fraction) -> tuple[int, int]:
    return math.floor(position), math.floor(position)


def _nearest_corner(position: float | Fraction) -> tuple[int, int]:
    rounded = math.floor(position + Fraction(1, 2))  # roundf of what is not negative
    return rounded, rounded


def resize_map(
    size: Size,
    new_size: Size,
    taps: Taps,
    half_pixel: bool,
    align_corners: bool,
    recentre: bool,
) -> AxisMap | None:
    """The map of one axis, or None if even its scale is unknown.

    ``recentre`` is whether half a pixel is taken off again after scaling, as all but
    the nearest-neighbour kernel do. Positions before the first and after the last are
    clamped to these by the kernel; the map leaves them outside, as it does padding.
    """
    if size == new_size:
        return IDENTITY
    if size == 1:
        return constant(0, 0)
    if align_corners and not (isinstance(size, int) and isinstance(new_size, int)):
        return None  # The scale itself depends on the sizes.
    period, advance = new_size, size
    if align_corners and period != 1:
        period, advance = period - 1, advance - 1
    ratio = divide(advance, period)
    if not isinstance(ratio, (int, Fraction)) or ratio <= 0:
        return None
    if not isinstance(period, int) or not isinstance(advance, int):
        exact = Fraction(ratio)
        sources = _positions(range(exact.denominator), exact, half_pixel, recentre)
        return periodic(exact.numerator, [taps(s) for s in sources])
    scale = np.float32(advance) / np.float32(period)
    float_sources = _float_positions(period + 1, scale, half_pixel, recentre)
    windows = [taps(float(source)) for source in float_sources]
    if align_corners and windows[-1] != tuple(w + advance for w in windows[0]):
        return table(windows)
    return periodic(advance, windows[:-1])


def _positions(
    outputs: range, scale: Fraction, half_pixel: bool, recentre: bool
) -> list[Fraction]:
    if not half_pixel:
        return [u * scale for u in outputs]
    back = Fraction(1, 2) if recentre else 0
    return [(u + Fraction(1, 2)) * scale - back for u in outputs]


def _float_positions(
    count: int, scale: np.float32, half_pixel: bool, recentre: bool
) -> NDArray[np.float32]:
    outputs = np.arange(count, dtype=np.float32)
    if not half_pixel:
        return outputs * scale
    positions: NDArray[np.float32] = (outputs + np.float32(0.5)) * scale
    positions -= np.float32(0.5 if recentre else 0)
    return positions


def _sizes(call: Call) -> list[Size]:
    """The output's height and width."""
    sizes = call.integers(1)
    if sizes is None or len(sizes) != 2:
        return [call.unknown_size(1), call.unknown_size(2)]
    return sizes


def _resize_op(taps: Taps, recentre: bool = True) -> Op:
    def relations(call: Call, output: int) -> Relations:
        shape = call.known_shape(0, 4)
        corners = bool(call.attribute("align_corners", False))
        half_pixel = bool(call.attribute("half_pixel_centers", False))
        chosen = _nearest_corner if corners and taps is _nearest else taps
        axes = [follow(0)]
        for axis, new_size in enumerate(_sizes(call), start=1):
            axis_map = resize_map(
                shape[axis], new_size, chosen, half_pixel, corners, recentre
            )
            axes.append(FULL_BOUND if axis_map is None else follow(axis, axis_map))
        return [Relation((*axes, follow(3))), call.all_of(1)]

    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.known_shape(0, 4)
        return [(shape[0], *_sizes(call), shape[3])]

    return Op(relations, shapes, layout=lambda call: (0, (1, 2)))


register("ResizeBilinear", _resize_op(_bilinear))
register("ResizeNearestNeighbor", _resize_op(_nearest, recentre=False))
