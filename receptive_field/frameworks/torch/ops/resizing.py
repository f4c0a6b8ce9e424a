"""Rules for interpolation.

The size of the output is stated, or follows from a scale that is stated, rounded down
in double precision. A stated scale decides where positions lie, even if it does not
divide the sizes, unless corners are aligned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

from receptive_field.algebra.axis_map import ANYWHERE, IDENTITY, AxisMap, constant
from receptive_field.algebra.sizes import Size, Symbolic, divide, rounded_down
from receptive_field.arrays import np
from receptive_field.frameworks.torch.definitions import Read
from receptive_field.frameworks.torch.ops import literals
from receptive_field.frameworks.torch.ops.registry import register, sizes
from receptive_field.relations.relation import Relation, follow, whole
from receptive_field.rules.flops import multiply_adds, output_elements
from receptive_field.rules.interpolation import Interpolation, interpolation_map
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
from receptive_field.rules.upsampling import (
    Lengths,
    Reads,
    copies,
    in_exact_arithmetic,
    known_reads_map,
    reads,
    weight_matrix,
)


class _Axis(NamedTuple):
    """How an axis is resized."""

    size: Size
    new_size: Size
    scale: float | None = None
    """The stated scale; None if it is the quotient of the sizes."""
    is_known: bool = True
    """Whether the scale is known if the sizes are."""

    @property
    def known(self) -> tuple[int, int] | None:
        """The sizes, if they are known."""
        if isinstance(self.size, int) and isinstance(self.new_size, int):
            return self.size, self.new_size
        return None


LIKELY_SIZES = 1 << 13
"""Sizes from here on are taken to be rounded as smaller ones are."""


def _scaled(call: Call, axis: int, size: Size, scale: float) -> Size:
    """Returns the size of an axis after scaling."""
    if isinstance(size, int):
        return int(size * scale)
    exact = simplest(scale)
    likely = np.arange(LIKELY_SIZES)
    alike = (likely * scale).astype(np.int64) == (
        likely * exact.numerator // exact.denominator
    )
    return rounded_down(size * exact) if alike.all() else call.unknown_size(axis)


class _Interpolated:
    """The rules of an op that interpolates on so many axes, the last ones.

    Args:
      count: the number of axes.
      mode: see `upsampling.MODES`.
      antialias: whether the kernel is stretched if the axis shrinks.
    """

    def __init__(self, count: int, mode: str, antialias: bool = False) -> None:
        self.count = count
        self.mode = mode
        self.antialias = antialias

    # --- Sizes and scales ---

    def spatial(self, call: Call) -> range:
        """Returns the resized axes."""
        rank = self.count + 2
        call.known_shape(0, rank)
        return range(2, rank)

    def axes(self, call: Call) -> list[_Axis]:
        """Returns how each axis is resized."""
        return call.once(partial(self._found_axes, call))

    def _scales(self, call: Call) -> list[Any]:
        """Returns the stated scale of each axis, or None."""
        listed = call.attribute("scale_factors")
        if listed is not None:
            if not isinstance(listed, list) or len(listed) != self.count:
                call.malformed("scale_factors", f"{self.count} numbers")
            return listed
        names = ("scales_d", "scales_h", "scales_w")[3 - self.count :]
        if self.count == 1:
            names = ("scales",)
        return [call.attribute(name) for name in names]

    def _found_axes(self, call: Call) -> list[_Axis]:
        shape, axes = call.known_shape(0, self.count + 2), self.spatial(call)
        stated = sizes(call, "output_size")
        if stated is not None and len(stated) != self.count:
            call.fail(f"has {len(stated)} output sizes for {self.count} axes")
        found = [_Axis(size, size) for size in shape]
        for place, (axis, scale) in enumerate(
            zip(axes, self._scales(call), strict=True)
        ):
            if not isinstance(scale, Read):
                scale = float(scale) if scale is not None and scale > 0 else None
            found[axis] = self._axis(
                call,
                axis,
                shape[axis],
                None if stated is None else (stated[place],),
                scale,
            )
            new = found[axis].new_size
            if isinstance(new, int) and not 0 < new <= MOST_POSITIONS:
                call.fail(
                    f"has the output size {new}, which is not between 1 and "
                    f"{MOST_POSITIONS}"
                )
        return found

    def _axis(
        self,
        call: Call,
        axis: int,
        size: Size,
        stated: tuple[Size | None] | None,
        scale: Any,
    ) -> _Axis:
        """Returns how an axis is resized, given what is stated about its new size."""
        if stated is None:
            if scale is None:
                call.fail("has neither sizes nor scales")
            if isinstance(scale, Read):
                return _Axis(size, call.unknown_size(axis), is_known=False)
            return _Axis(size, _scaled(call, axis, size, scale), scale)
        (new,) = stated
        if isinstance(new, int) and literals.are_of_one_size(call):
            if isinstance(size, Symbolic):
                literals.fail(call, [new])
            return _Axis(size, call.unknown_size(axis), is_known=False)
        if new is None:
            return _Axis(size, call.unknown_size(axis), is_known=False)
        if isinstance(scale, Read):
            return _Axis(size, new, is_known=False)
        known = isinstance(size, int) and isinstance(new, int)
        if scale is not None and not known and new != _scaled(call, axis, size, scale):
            return _Axis(size, new, is_known=False)
        return _Axis(size, new, scale)

    # --- Maps ---

    def corners(self, call: Call) -> bool:
        """Returns whether the first and the last positions keep their places."""
        return call.flag("align_corners")

    def _grid(self, call: Call, axis: _Axis) -> Grid:
        """Returns where the positions of an axis lie, in exact arithmetic."""
        size, new, scale, _ = axis
        if self.corners(call) and not (self.antialias or new == 1):
            return Grid(size - 1, new - 1, corners=True)
        if self.corners(call):
            before = HALF if self.antialias else Fraction(0)
            return Grid(size - 1, new - 1, before, before) if new != 1 else Grid(0, 1)
        advance, period = size, new
        if scale is not None:
            exact = simplest(scale)
            advance, period = exact.denominator, exact.numerator
        before = Fraction(0) if self.mode == "nearest" else HALF
        behind = Fraction(0) if self.mode.startswith("nearest") else HALF
        return Grid(advance, period, before, behind)

    def _kind(self, grid: Grid) -> Interpolation | None:
        """Returns what is read on an axis; None if this depends on an unknown scale."""
        if not self.antialias:
            return in_exact_arithmetic(self.mode, False, Fraction(1))
        ratio = 1 if grid.advance == 0 else divide(grid.period, grid.advance)
        if not isinstance(ratio, (int, Fraction)) or ratio <= 0:
            return None
        return in_exact_arithmetic(self.mode, True, Fraction(ratio))

    def _lengths(self, call: Call, axis: _Axis) -> Lengths | None:
        if axis.known is None:
            return None
        (kind, *_) = call.node.definition.kinds
        double = kind is not None and kind.dtype == "float64"
        return Lengths(*axis.known, axis.scale, self.corners(call), double)

    def _reads(self, call: Call, axis: _Axis) -> Reads | None:
        """Returns what the positions of an axis of known size read."""
        lengths = self._lengths(call, axis)
        if lengths is None:
            return None
        return reads(lengths, self.mode, self.antialias)

    def _is_copied(self, call: Call, axis: _Axis) -> bool:
        if axis.size != axis.new_size:
            return False
        return axis.scale in (None, 1) or copies(self.mode, self.antialias)

    def _note_limits(self, call: Call, axis: _Axis) -> None:
        """Records that a stated scale changes the size of an axis.

        An axis that keeps its size may be copied, and so may one of twice the size by
        nearest neighbours.
        """
        if axis.scale is None or not isinstance(axis.size, Symbolic):
            return
        for base in (1, 2) if self.mode == "nearest" else (1,):
            more = simplest(axis.scale) - base
            if 0 < more < 1:
                call.exceeds(axis.size, math.ceil(1 / more) - 1)

    def map(self, call: Call, axis: _Axis) -> AxisMap | None:
        """Returns the map of an axis, or None if it is unknown."""
        if self._is_copied(call, axis):
            return IDENTITY
        if axis.size == 1:
            return constant(0, 0)
        if not axis.is_known:
            return None
        grid = self._grid(call, axis)
        kind, found = self._kind(grid), self._reads(call, axis)
        if found is not None:
            assert axis.known is not None
            exact = kind or in_exact_arithmetic(self.mode, False, Fraction(1))
            return known_reads_map(grid, exact, axis.known[0], found)
        if kind is None:
            return None
        self._note_limits(call, axis)
        unknown = interpolation_map(grid, kind)
        if self.mode == "lanczos" and unknown is not None:
            return unknown.as_bound()  # At whole distances, weights are about zero.
        return unknown

    def _maps(self, call: Call) -> list[AxisMap | None]:
        return [self.map(call, axis) for axis in self.axes(call)]

    # --- The op ---

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relation to the data; other inputs hold sizes."""
        axes = [
            whole([axis], ANYWHERE) if found is None else follow(axis, found)
            for axis, found in enumerate(self._maps(call))
        ]
        return [Relation(tuple(axes)), *[None] * (len(call) - 1)]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the output."""
        return [tuple(axis.new_size for axis in self.axes(call))]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each read position, or nothing for pure copies."""
        new = [axis.new_size for axis in self.axes(call)]
        taps = taps_in_all(call, new, self._maps(call))
        copied = taps == output_elements(call)
        return Flops(0) if copied else multiply_adds(taps, profiled=False)

    def coefficients(self, call: Call) -> Coefficients:
        """Returns the weights of positions on axes of known size."""
        found = {}
        for number, axis in enumerate(self.axes(call)):
            if not axis.is_known or self._is_copied(call, axis):
                continue
            read = self._reads(call, axis)
            if read is not None and axis.known is not None:
                found[number] = weight_matrix(axis.known[0], read, self.antialias)
        return found

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            layout=lambda call: (0, self.spatial(call)),
            flops=self.flops,
            clamps=True,
            taps=Taps.COPY,
            coefficients=self.coefficients,
            zeros=Zeros.KEPT,
        )


for _count in (1, 2, 3):
    register(f"upsample_nearest{_count}d", _Interpolated(_count, "nearest").op())
    register(
        f"_upsample_nearest_exact{_count}d",
        _Interpolated(_count, "nearest-exact").op(),
    )
register("upsample_linear1d", _Interpolated(1, "linear").op())
register("upsample_bilinear2d", _Interpolated(2, "linear").op())
register("upsample_trilinear3d", _Interpolated(3, "linear").op())
register("upsample_bicubic2d", _Interpolated(2, "cubic").op())
register("_upsample_bilinear2d_aa", _Interpolated(2, "linear", antialias=True).op())
register("_upsample_bicubic2d_aa", _Interpolated(2, "cubic", antialias=True).op())
register("_upsample_lanczos2d_aa", _Interpolated(2, "lanczos", antialias=True).op())
