"""Rules for resizes, in the float32 arithmetic of onnxruntime's kernels.

The scale of an axis is stated, or is the quotient of the new and the old size. A stated
scale decides where positions lie even if it does not divide the sizes. An axis with the
scale 1 is copied, whatever the coordinates are, and so is an input that keeps its size
on all axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from receptive_field.algebra.axis_map import ANYWHERE, IDENTITY, AxisMap, selection
from receptive_field.algebra.sizes import Size, Symbolic, divide, rounded_down
from receptive_field.arrays import np
from receptive_field.frameworks.onnx.attributes import opset
from receptive_field.frameworks.onnx.ops.registry import (
    is_given,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import Relation, follow, whole
from receptive_field.rules.flops import multiply_adds, output_elements
from receptive_field.rules.interpolation import (
    LINEAR,
    ROUNDINGS,
    Interpolation,
    antialiased,
    cubic,
    interpolation_map,
    known_map,
    nearest_neighbour,
    weight_matrix,
)
from receptive_field.rules.op import (
    Call,
    Coefficients,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Zeros,
)
from receptive_field.rules.resizing import (
    HALF,
    MOST_POSITIONS,
    Grid,
    simplest,
    taps_in_all,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CROP = "tf_crop_and_resize"
COORDINATES = frozenset(
    f"half_pixel half_pixel_symmetric pytorch_half_pixel align_corners asymmetric "
    f"tf_half_pixel_for_nn {CROP}".split()
)
"""The ways to say where output positions lie on the input."""


class _Axis(NamedTuple):
    """How an axis is resized."""

    size: Size
    new_size: Size
    scale: Fraction | None
    """The stated scale; None if it is the quotient of the sizes."""
    is_known: bool = True
    """Whether the scale is known if the sizes are."""

    @property
    def is_copied(self) -> bool:
        """Whether the scale is one."""
        return self.scale == 1 if self.scale is not None else self.size == self.new_size

    @property
    def rounded_scale(self) -> np.float32:
        """The scale in float32, for known sizes."""
        if self.scale is None:
            old, new = map(np.float32, self.known)
            quotient: np.float32 = new / old
            return quotient
        stated: np.float32 = np.float32(float(self.scale))
        return stated

    @property
    def is_settled(self) -> bool:
        """Whether the sizes are known."""
        return isinstance(self.size, int) and isinstance(self.new_size, int)

    @property
    def known(self) -> tuple[int, int]:
        """The sizes, if they are known."""
        return int(self.size), int(self.new_size)  # type: ignore[arg-type]


# --- Sizes and scales ----------------------------------------------------------------


def _scales_input(call: Call) -> int | None:
    """Returns the number of the input with the scales, or None if they are sizes."""
    if call.node.op == "Upsample" or opset(call) < 11:
        return 1
    if is_given(call, 2) and call.shape(2) != (0,):
        return 2
    return None


def _listed(call: Call, number: int) -> list[Any] | None:
    return call.integers(number) if is_given(call, number) else None


def _per_axis(call: Call) -> tuple[tuple[Size, ...], list[int], list[Any] | None, bool]:
    """Returns the input's shape, the resized axes, their numbers, and what these are.

    The numbers are scales if the flag is set, otherwise sizes. They are None if they
    are unknown.
    """
    if call.node.op == "Upsample" and opset(call) < 9:
        numbers, scales = call.attribute("scales"), True
        if not isinstance(numbers, list):
            call.malformed("scales", "a list of numbers")
    else:
        place = _scales_input(call)
        scales = place is not None
        numbers = _listed(call, 3 if place is None else place)
    axes = call.numbers("axes")
    rank = len(numbers) if numbers is not None and not axes else None
    shape = call.known_shape(0, rank)
    resized = [call.axis(axis, len(shape)) for axis in axes or range(len(shape))]
    if numbers is not None and len(numbers) != len(resized):
        call.fail(f"has {len(numbers)} scales or sizes for {len(resized)} axes")
    return shape, resized, numbers, scales


def _exact_scale(call: Call, number: Any) -> Fraction | None:
    """Returns a stated scale as a fraction that float32 cannot tell from it.

    Returns None if the scale depends on unknown sizes.
    """
    if isinstance(number, Symbolic):
        return None
    if not 0 < number < math.inf:
        call.fail(f"has the scale {number}, which is not a number above zero")
    return simplest(np.float32(float(number)))


def _scaled(size: Size, scale: Fraction) -> Size | None:
    """Returns the size of an axis after scaling; None if it is unknown.

    It is rounded down, in float32. The result of an unknown size is known only if exact
    arithmetic gives the same for all sizes that are likely.
    """
    rounded = np.float32(float(scale))
    if isinstance(size, int):
        return int(rounded * np.float32(size))
    if max(scale.numerator, scale.denominator) > LARGEST_FACTOR:
        return None
    sizes = np.arange(LIKELY_SIZES)
    exact = sizes * scale.numerator // scale.denominator
    alike = (rounded * sizes.astype(np.float32)).astype(np.int64) == exact
    return rounded_down(size * scale) if alike.all() else None


LIKELY_SIZES = 1 << 13
"""Sizes from here on are taken to be rounded as smaller ones are."""

LARGEST_FACTOR = 1 << 40
"""The largest factor whose products with likely sizes fit in 64-bit integers."""


def _axes(call: Call) -> list[_Axis]:
    """Returns how each axis is resized."""
    return call.once(partial(_found_axes, call))


def _found_axes(call: Call) -> list[_Axis]:
    shape, resized, numbers, are_scales = _per_axis(call)
    found = [_Axis(size, size, Fraction(1)) for size in shape]
    for place, axis in enumerate(resized):
        number, size = None if numbers is None else numbers[place], shape[axis]
        if number is None:
            found[axis] = _Axis(size, call.unknown_size(axis), None, False)
        elif not are_scales:
            found[axis] = _Axis(size, number, None)
        else:
            found[axis] = _of_scale(call, axis, size, number)
    if not are_scales and numbers is not None:
        found = _kept_in_proportion(call, found, resized)
    if all(axis.size == axis.new_size for axis in found):
        return [_Axis(size, size, Fraction(1)) for size in shape]
    for new_size in [axis.new_size for axis in found]:
        if isinstance(new_size, int) and not 0 < new_size <= MOST_POSITIONS:
            call.fail(
                f"has the output size {new_size}, which is not between 1 and "
                f"{MOST_POSITIONS}"
            )
    return found


def _of_scale(call: Call, axis: int, size: Size, number: Any) -> _Axis:
    scale = _exact_scale(call, number)
    if scale is None:
        # As from exporters that divide the new size by the old one. If the product is
        # rounded, it may miss the new size by one.
        return _Axis(size, call.unknown_size(axis), None, False)
    new_size = size if scale == 1 else _scaled(size, scale)
    if isinstance(size, Symbolic) and scale > 1:
        # If no axis grows, the input is copied.
        call.exceeds(size, math.ceil(1 / (scale - 1)) - 1)
    return _Axis(size, call.unknown_size(axis) if new_size is None else new_size, scale)


def _kept_in_proportion(
    call: Call, axes: list[_Axis], resized: Sequence[int]
) -> list[_Axis]:
    """Returns the axes with the one scale that keeps their proportions, if asked for.

    It is the smallest or the largest of the quotients of the sizes.
    """
    policy = call.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return axes
    if policy not in ("not_larger", "not_smaller"):
        call.fail(
            f"has the keep_aspect_ratio_policy {policy!r}, which is not stretch, "
            "not_larger or not_smaller"
        )
    choice = min if policy == "not_larger" else max
    some = [axes[axis] for axis in resized]
    found = list(axes)
    if all(axis.is_settled for axis in some):
        rounded = choice(axis.rounded_scale for axis in some)
        scale = simplest(rounded)
        for axis in resized:
            size = axes[axis].size
            new_size = int(np.floor(rounded * np.float32(size) + np.float32(0.5)))  # type: ignore[arg-type]
            found[axis] = _Axis(size, new_size, scale)
        return found
    ratios = {divide(axis.new_size, axis.size) for axis in some}
    if len(ratios) == 1 and None not in ratios:
        return axes
    if all(isinstance(ratio, (int, Fraction)) for ratio in ratios):
        scale = Fraction(choice(ratios))  # type: ignore[type-var,arg-type]
        for axis in resized:
            size = axes[axis].size
            found[axis] = _Axis(size, rounded_down(size * scale + HALF), scale)
        return found
    for axis in resized:
        found[axis] = _Axis(axes[axis].size, call.unknown_size(axis), None, False)
    return found


# --- Coordinates ---------------------------------------------------------------------


def _coordinates(call: Call) -> str:
    if call.node.op == "Upsample" or opset(call) < 11:
        return "asymmetric"
    found = call.text("coordinate_transformation_mode", "half_pixel")
    if found not in COORDINATES:
        call.fail(f"has unknown coordinates {found!r}")
    return found


def _region(call: Call, axis: int) -> tuple[Fraction, Fraction] | None:
    """Returns the ends of the part of an axis that is cropped; None if unknown.

    The ends are fractions of the distance between the first and the last position.
    """
    values, axes = _listed(call, 1), call.numbers("axes")
    rank = len(_axes(call))
    places = [call.axis(a, rank) for a in axes] if axes else list(range(rank))
    if axis not in places:
        return Fraction(0), Fraction(1)
    if values is None or any(isinstance(value, Symbolic) for value in values):
        return None
    if len(values) != 2 * len(places):
        call.fail(f"has a roi of {len(values)} numbers for {len(places)} axes")
    place = places.index(axis)
    first, last = (values[place], values[len(places) + place])
    return simplest(np.float32(first)), simplest(np.float32(last))


def _grid(call: Call, number: int) -> Grid | None:
    """Returns where the positions of a resized axis lie, in exact arithmetic.

    Returns None if this is unknown.
    """
    axis, kind = _axes(call)[number], _coordinates(call)
    size, new_size, scale, is_known = axis
    corners = kind in ("align_corners", CROP)
    if corners and new_size != 1:
        start, end = Fraction(0), Fraction(1)
        if kind == CROP:
            region = _region(call, number)
            if region is None:
                return None
            start, end = region
            if isinstance(new_size, Symbolic):
                call.exceeds(new_size, 1)
            if start and not isinstance(size, int):
                return None
        behind = -start * (size - 1) if start else Fraction(0)
        assert isinstance(behind, (int, Fraction))
        advance = (size - 1) * (end - start)
        if isinstance(advance, Fraction) and advance.denominator == 1:
            advance = advance.numerator
        return Grid(advance, new_size - 1, behind=Fraction(behind), corners=True)
    if not is_known:
        return None
    advance, period = (
        (size, new_size) if scale is None else (scale.denominator, scale.numerator)
    )
    if corners:
        return Grid(advance, period)
    if kind == "pytorch_half_pixel" and isinstance(new_size, Symbolic):
        call.exceeds(new_size, 1)
    before = Fraction(0) if kind == "asymmetric" else HALF
    behind = Fraction(0) if kind in ("asymmetric", "tf_half_pixel_for_nn") else HALF
    if kind == "half_pixel_symmetric" and scale is not None:
        rest = size - new_size / scale
        if not isinstance(rest, (int, Fraction)):
            return None
        behind -= Fraction(rest) / 2
    return Grid(advance, period, before, behind)


def _sources(call: Call, number: int) -> NDArray[np.float32]:
    """Returns where the positions of an axis of known size lie, in float32."""
    axis = _axes(call)[number]
    found = _float_sources(call, number, np.arange(axis.known[1], dtype=np.float32))
    return np.asarray(found, dtype=np.float32)


def _float_sources(call: Call, number: int, outputs: NDArray[np.float32]) -> Any:
    axis, kind = _axes(call)[number], _coordinates(call)
    scale, one, half = axis.rounded_scale, np.float32(1), np.float32(0.5)
    old, new = map(np.float32, axis.known)
    match kind:
        case "asymmetric":
            return outputs / scale
        case "tf_half_pixel_for_nn":
            return (outputs + half) / scale
        case "align_corners":
            return outputs * (old - one) / max(new - one, one)
        case "half_pixel_symmetric":  # Partly in double precision.
            offset = old / np.float32(2) * (one - new / (scale * old))
            return float(offset) + (outputs.astype(float) + 0.5) / float(scale) - 0.5
        case "tf_crop_and_resize":
            region = _region(call, number)
            if region is None:
                call.fail("has an unknown roi")
            start, end = (np.float32(float(side)) for side in region)
            if new == 1:
                return [0.5 * float(start + end) * float(old - one)]
            across = outputs * (end - start) * (old - one) / (new - one)
            return start * (old - one) + across
        case "pytorch_half_pixel" if new == 1:
            return [0]
    return (outputs + half) / scale - half


# --- Interpolation -------------------------------------------------------------------


def _mode(call: Call) -> str:
    found = call.text("mode", "nearest")
    found = {"bilinear": "linear"}.get(found, found)
    if found not in ("nearest", "linear", "cubic"):
        call.fail(f"has the mode {found!r}, which is not nearest, linear or cubic")
    return found


def _interpolation(call: Call, axis: _Axis) -> Interpolation | None:
    """Returns what is read on an axis; None if this depends on an unknown scale."""
    mode = _mode(call)
    if mode == "nearest":
        return nearest_neighbour(_rounding(call, axis))
    slope = None if mode == "linear" else call.attribute("cubic_coeff_a", -0.75)
    if not call.number("antialias", 0):
        return LINEAR if slope is None else cubic(slope)
    exact = axis.scale
    if exact is None:
        ratio = divide(axis.new_size, axis.size)
        if not isinstance(ratio, (int, Fraction)) or not ratio:
            return None
        exact = Fraction(ratio)
    return antialiased(slope, axis.rounded_scale if axis.is_settled else None, exact)


def _rounding(call: Call, axis: _Axis) -> str:
    """Returns how source positions are rounded.

    Before operator set 11, they are rounded up if the axis shrinks, otherwise down.
    """
    if call.node.op == "Upsample":
        return "floor"
    if opset(call) < 11:
        ratio = axis.scale or divide(axis.new_size, axis.size)
        return "ceil" if isinstance(ratio, Fraction) and ratio < 1 else "floor"
    found = call.text("nearest_mode", "round_prefer_floor")
    if found not in ROUNDINGS:
        call.fail(f"has the nearest_mode {found!r}, which is unknown")
    return found


def _maps(call: Call) -> list[AxisMap | None]:
    """Returns the map of each axis; None if it is unknown."""
    return [_map(call, number) for number in range(len(_axes(call)))]


def _is_copied(call: Call, axis: _Axis) -> bool:
    copied = axis.size == axis.new_size and bool(call.number("antialias", 0))
    return axis.is_copied or copied


def _copy(call: Call, number: int) -> AxisMap:
    """Returns the map of an axis that is copied.

    With antialiasing, an axis of any scale is copied if it keeps its size, but nothing
    is read where its positions would lie outside of the input.
    """
    axis = _axes(call)[number]
    if axis.is_copied or _coordinates(call) != CROP:
        return IDENTITY
    sources, last = _sources(call, number), axis.known[0] - 1
    inside = [0 <= source <= last for source in sources]
    return IDENTITY if all(inside) else selection(inside)


def _map(call: Call, number: int) -> AxisMap | None:
    axis = _axes(call)[number]
    if _is_copied(call, axis):
        return _copy(call, number)
    kind = _interpolation(call, axis)
    grid = _grid(call, number)
    if kind is None or grid is None:
        return None
    if axis.is_settled:
        crops = _coordinates(call) == CROP
        return known_map(grid, kind, axis.known[0], _sources(call, number), crops)
    return interpolation_map(grid, kind)


# --- The op --------------------------------------------------------------------------


def _relations(call: Call, output: int) -> Relations:
    axes = [
        whole([axis], ANYWHERE) if found is None else follow(axis, found)
        for axis, found in enumerate(_maps(call))
    ]
    return [Relation(tuple(axes)), *(call.all_of(i) for i in range(1, len(call)))]


def _shapes(call: Call) -> Sequence[Shape]:
    return [tuple(axis.new_size for axis in _axes(call))]


def _layout(call: Call) -> tuple[int, Sequence[int]]:
    """Returns the spatial axes. The channels come last if axis 1 is resized."""
    axes = _axes(call)
    rank = len(axes)
    if rank < 3:
        return 0, range(rank)
    last = not axes[1].is_copied and axes[-1].is_copied
    return 0, range(1, rank - 1) if last else range(2, rank)


def _flops(call: Call) -> Flops:
    """Counts a multiply-add for each read position, or nothing for pure copies."""
    taps = taps_in_all(call, [axis.new_size for axis in _axes(call)], _maps(call))
    copied = taps == output_elements(call)
    return Flops(0) if copied else multiply_adds(taps, profiled=False)


def _coefficients(call: Call) -> Coefficients:
    found = {}
    for number, axis in enumerate(_axes(call)):
        kind = _interpolation(call, axis) if axis.is_settled else None
        if kind is None or _is_copied(call, axis) or _grid(call, number) is None:
            continue
        found[number] = weight_matrix(
            kind,
            axis.known[0],
            _sources(call, number),
            _coordinates(call) == CROP,
            bool(call.number("exclude_outside", 0)),
        )
    return found


def _zeros(call: Call) -> Zeros:
    """Returns how zeros pass: a position outside of the input may get another value."""
    crops = _coordinates(call) == CROP and call.attribute("extrapolation_value", 0)
    return Zeros.BESIDE if crops else Zeros.KEPT


register(
    "Resize Upsample",
    Op(_relations, _shapes, layout=_layout, flops=_flops, clamps=True),
)
weigh("Resize Upsample", Taps.COPY, coefficients=_coefficients)
treat_zeros("Resize Upsample", _zeros)
