"""Resizes, computed with the arithmetic of TensorFlow's kernels.

The kernels compute the source position of every output position in float32
(tensorflow/core/util/image_resizer_state.h). If the sizes are known, this module does
the same, because for a few pairs of sizes, exact arithmetic would read different
positions. If only the scale is known, it uses exact arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    IDENTITY,
    INFINITY,
    AxisMap,
    Drift,
    Extents,
    MaybeInterval,
    constant,
    periodic,
    shift,
    table,
)
from receptive_field.algebra.sizes import Size, divide, limit_of_ratio
from receptive_field.arrays import np
from receptive_field.budget import counted, hold
from receptive_field.relations.relation import LARGEST_PERIOD, Relation, follow, whole
from receptive_field.rules.op import Call

if TYPE_CHECKING:
    from numpy.typing import NDArray

Taps = Callable[[float | Fraction], tuple[int, int]]
"""Maps a source position to the first and the last input position read for it."""


def bilinear(position: float | Fraction) -> tuple[int, int]:
    """Returns the input positions on both sides of the source position.

    If the source position is an integer, it is the only position that is read.
    """
    # At a whole position, the second tap would have weight zero.
    return math.floor(position), math.ceil(position)


def nearest(position: float | Fraction) -> tuple[int, int]:
    """Returns the last position at or before the source position, as both ends."""
    return math.floor(position), math.floor(position)


def nearest_corner(position: float | Fraction) -> tuple[int, int]:
    """Returns the position nearest to the source position, as both ends."""
    rounded = math.floor(position + Fraction(1, 2))  # C's roundf, for positions >= 0.
    return rounded, rounded


def bicubic(position: float | Fraction) -> tuple[int, int]:
    """Returns the first and last of the four positions around the source position.

    If the source position is an integer after rounding to a multiple of 1/1024, only
    this position is read.
    """
    # The kernel takes its weights from a table with 1024 steps (resize_bicubic_op.cc).
    below = math.floor(position)
    step = int(np.rint(np.float32(position - below) * np.float32(1024)))
    whole = below + step // 1024  # A source just before a position rounds up to it.
    return (whole, whole) if step % 1024 == 0 else (below - 1, below + 2)


class Grid(NamedTuple):
    """Where the positions of a resized axis lie on the axis that is read.

    Position u lies at ``(u + before) * advance / period - behind``.
    """

    advance: Size | Fraction
    period: Size
    before: Fraction = Fraction(0)
    behind: Fraction = Fraction(0)
    corners: bool = False
    """Whether position ``period`` is part of the resized axis. Otherwise, all positions
    come before it."""

    def sources(self, outputs: range, ratio: Fraction) -> list[Fraction]:
        """Returns where positions lie, given the value of ``advance / period``."""
        start = self.before * ratio - self.behind
        shared = math.lcm(start.denominator, ratio.denominator)
        first, step = int(start * shared), int(ratio * shared)
        return [Fraction(first + u * step, shared) for u in outputs]


HALF = Fraction(1, 2)


def resize_map(
    size: Size,
    new_size: Size,
    taps: Taps,
    half_pixel: bool,
    align_corners: bool,
    recentre: bool,
) -> AxisMap | None:
    """Returns the map of one axis, or None if not even its scale is known.

    With ``half_pixel``, half a pixel is added to a position before it is scaled and,
    with ``recentre``, subtracted again afterwards. All kernels except nearest-neighbour
    subtract it again. The kernels clamp source positions to the image. The map does
    not: it treats positions before the first or after the last one like padding.
    """
    if size == new_size:
        return IDENTITY
    if size == 1 and (align_corners or not isinstance(new_size, int)):
        return constant(0, 0)
    period, advance = new_size, size
    if align_corners and period != 1:
        period, advance = period - 1, advance - 1
    before = HALF if half_pixel else Fraction(0)
    behind = before if recentre else Fraction(0)
    grid = Grid(advance, period, before, behind, align_corners)
    windows = None
    if isinstance(advance, int) and isinstance(period, int) and advance > 0:
        scale = np.float32(advance) / np.float32(period)
        count = period + (align_corners and new_size != 1)
        sources = _float_positions(count, scale, half_pixel, recentre)
        windows = [taps(float(source)) for source in sources]
    return grid_map(grid, taps, windows)


STEPS = 1024
"""How many steps of positions in fixed point make a pixel."""


def in_fixed_point(
    found: AxisMap, size: Size, new_size: Size, half_pixel: bool, align_corners: bool
) -> AxisMap | None:
    """Returns the map of a bilinear resize of whole numbers by TensorFlow Lite.

    Its reference kernel rounds the scale to a multiple of 1/1024, so the error of a
    source position grows with the position. Its other kernels use floating-point
    numbers. The map is an upper bound for all of them if they read different positions.

    Args:
      found: the map of the same resize with floating-point numbers.
      size, new_size, half_pixel, align_corners: as in `resize_map`.

    Returns:
      The map, or None if the sizes, and therefore the errors, are unknown.
    """
    corners = align_corners and new_size != 1
    advance, period = (size - 1, new_size - 1) if corners else (size, new_size)
    ratio = divide(advance, period)
    if isinstance(ratio, (int, Fraction)):
        scale = Fraction(ratio) * STEPS
        if scale.denominator == 1 and not (half_pixel and scale % 2):
            return found
    if not isinstance(advance, int) or not isinstance(period, int):
        return found if size == 1 else None
    step = (STEPS * advance + period // 2) // period
    start = step // 2 - STEPS // 2 if half_pixel else 0
    hold(period)
    windows, differs = [], False
    for u in range(period + corners):
        source, real = Fraction(u * step + start, STEPS), found.window(u)
        first, last = bilinear(source)
        if real is not None and size != 1:
            first, last = min(first, int(real[0])), max(last, int(real[1]))
            differs |= (first, last) != real
        windows.append((first, last))
    return table(windows).as_bound() if differs else found


def grid_map(
    grid: Grid, taps: Taps, windows: Sequence[MaybeInterval] | None = None
) -> AxisMap | None:
    """Returns the map of an axis whose positions lie on a grid.

    Returns None if not even the scale of the grid is known.

    Args:
      grid: where the positions lie, in exact arithmetic.
      taps: what is read around each of these places.
      windows: what each position of the axis reads in the arithmetic of the kernel; if
        this is known, it decides.
    """
    ratio = divide(grid.advance, grid.period)
    if not isinstance(ratio, (int, Fraction)):
        return _drifting(grid, taps)
    exact = Fraction(ratio)
    if windows is not None:
        return _repeated(grid, exact, taps, windows)
    if exact <= 0 or exact.denominator > LARGEST_PERIOD:
        return None
    sources = grid.sources(counted(range(exact.denominator)), exact)
    return periodic(exact.numerator, [taps(source) for source in sources])


def _repeated(
    grid: Grid, ratio: Fraction, taps: Taps, windows: Sequence[MaybeInterval]
) -> AxisMap:
    """Returns the map with these windows: periodic if they repeat, otherwise a table.

    If the windows end before they repeat, exact arithmetic continues them.
    """
    advance, period = grid.advance, grid.period
    if not isinstance(advance, int) or not isinstance(period, int):
        advance, period = ratio.numerator, ratio.denominator
    if advance <= 0 or period > max(LARGEST_PERIOD, len(windows)):
        return table(windows)
    still = not grid.corners and len(windows) != 1
    if still and all(window == (u, u) for u, window in enumerate(windows)):
        return shift(0)  # As from n + 1 positions to n by nearest-neighbour.
    rest = grid.sources(counted(range(len(windows), period)), ratio)
    pattern = [*windows[:period], *map(taps, rest)]
    for u, window in enumerate(windows[period:], period):
        turns, phase = divmod(u, period)
        below = pattern[phase]
        moves = turns * advance
        if window != (below and (below[0] + moves, below[1] + moves)):
            return table(windows)
    return periodic(advance, pattern)


LEAST = Fraction(1, 1 << 32)
"""A tiny distance, subtracted from a limit that is approached but never reached.

As a result, the taps are those of a position just below the limit.
"""


def _drifting(grid: Grid, taps: Taps) -> AxisMap | None:
    """Returns the map of a resize whose scale approaches a limit for large sizes.

    For example, a resize to the size of a skip connection has such a scale. At any
    size, each source position differs from its position at the limit scale by a
    fraction of ``advance - limit * period``. Returns None if there is no limit.
    """
    found = limit_of_ratio(grid.advance, grid.period)
    if found is None or found[0] <= 0 or found[0].denominator > LARGEST_PERIOD:
        return None
    limit, *ends = found
    low, high = min(ends[0], Fraction(0)), max(ends[1], Fraction(0))
    top = high - LEAST if high and not grid.corners else high
    sources = grid.sources(range(limit.denominator), limit)
    if limit == 1 and taps(sources[0] + low) == taps(sources[0] + top) == (0, 0):
        return shift(0).as_bound()  # Float32 may round up in very large maps.
    places = list(enumerate(sources))
    least = min(taps(source + low)[0] - place * limit for place, source in places)
    most = max(taps(source + top)[0] - place * limit for place, source in places)
    wide = max(last - first + 1 for first, last in map(taps, _between(sources)))
    several = tuple(
        math.ceil(more * limit + high) + wide for more in range(limit.denominator)
    )
    extents = Extents(wide, several, limit.numerator)
    scaled = periodic(limit.numerator, [taps(source) for source in sources])
    always = not ends[0] <= 0 <= ends[1]
    drift = Drift(always, least, most, extents)
    return scaled.with_drift((grid, taps), drift)


def _between(sources: Sequence[Fraction]) -> list[Fraction]:
    """Returns each source position and six points within one position after it."""
    return [source + Fraction(k, 7) for source in sources for k in range(7)]


def _float_positions(
    count: int, scale: np.float32, half_pixel: bool, recentre: bool
) -> NDArray[np.float32]:
    outputs = np.arange(count, dtype=np.float32)
    if not half_pixel:
        return outputs * scale
    positions: NDArray[np.float32] = (outputs + np.float32(0.5)) * scale
    positions -= np.float32(0.5 if recentre else 0)
    return positions


MOST_POSITIONS = 1 << 18
"""The largest size to which an axis may be resized.

There is a limit because every source position is computed in float32."""


def resized(maps: Sequence[AxisMap | None]) -> Relation:
    """Returns the relation to images that are resized, given a map per spatial axis.

    A map that is unknown is None.
    """
    axes = [follow(0)]
    for axis, found in enumerate(maps, start=1):
        anywhere = whole([axis], ANYWHERE)
        axes.append(anywhere if found is None else follow(axis, found))
    return Relation((*axes, follow(len(axes))))


def taps_in_all(
    call: Call, new_sizes: Sequence[Size], maps: Sequence[AxisMap | None]
) -> Size:
    """Returns how often input elements are read to compute the whole output.

    ``new_sizes`` and ``maps`` describe all axes.
    """
    taps: Size = 1
    for new_size, found in zip(new_sizes, maps, strict=True):
        if found is not None and found.is_identity:
            taps = taps * new_size
            continue
        if found is None or found.is_floating or not isinstance(new_size, int):
            call.fail("has unknown sizes")
        windows = filter(None, map(found.window, range(new_size)))
        taps = taps * int(sum(last - first + 1 for first, last in windows))
    return taps


# --- Areas (resize_area_op.cc) -------------------------------------------------------


@dataclass(frozen=True)
class _Cells:
    """The `Taps` of an area resize: all positions that an interval covers.

    The interval begins at the source position and is ``length`` positions long.
    """

    length: Fraction

    def __call__(self, start: Fraction | float) -> tuple[int, int]:
        return math.floor(start), math.ceil(start + self.length) - 1


def _drifting_area(size: Size, new_size: Size) -> AxisMap | None:
    found = limit_of_ratio(size, new_size)
    if found is None:
        return None
    limit, _, high = found
    cells = _Cells(limit + max(high, Fraction(0)))
    return _drifting(Grid(size, new_size), cells)


def area_map(size: Size, new_size: Size, corners: bool) -> AxisMap | None:
    """Returns the map of one axis for an area resize, or None if it is unknown.

    In an area resize, each output position is the mean of the input positions that it
    covers.
    """
    if size == new_size:
        return IDENTITY
    if corners:
        if not (isinstance(size, int) and isinstance(new_size, int)):
            return None
        if size > 1 < new_size:
            scale = np.float32(size - 1) / np.float32(new_size - 1)
            return table(_covered(new_size, scale))
    if not (isinstance(size, int) and isinstance(new_size, int)) or size < 1:
        return bins_map(size, new_size)
    scale = np.float32(size) / np.float32(new_size)
    return periodic(size, _covered(new_size, scale))


def bins_map(size: Size, new_size: Size) -> AxisMap | None:
    """Returns the map of an axis that is divided into bins, or None if it is unknown.

    Bin u of m covers the positions from ``floor(u * n / m)`` to
    ``ceil((u + 1) * n / m) - 1`` of n, so neighbouring bins may share a position.
    """
    if size == new_size:
        return IDENTITY
    ratio = divide(size, new_size)
    if not isinstance(ratio, (int, Fraction)):
        return _drifting_area(size, new_size)
    exact = Fraction(ratio)
    if exact <= 0 or exact.denominator > LARGEST_PERIOD:
        return None
    ends = [u * exact for u in range(exact.denominator + 1)]
    windows = [
        (math.floor(first), math.ceil(last) - 1) for first, last in pairwise(ends)
    ]
    return periodic(exact.numerator, windows)


def _covered(count: int, scale: np.float32) -> list[tuple[int, int]]:
    starts = np.arange(count, dtype=np.float32)
    ends = np.ceil((starts + np.float32(1)) * scale) - 1
    return [
        (int(first), int(last))
        for first, last in zip(np.floor(starts * scale), ends, strict=True)
    ]


# --- Kernels of any shape (scale_and_translate_op.cc) ---------------------------------

Weighing = Callable[["NDArray[np.float32]"], "NDArray[np.float32]"]


def _lanczos(radius: int) -> Weighing:
    def weights(x: NDArray[np.float32]) -> NDArray[np.float32]:
        pi = np.float32(math.pi)
        with np.errstate(invalid="ignore", divide="ignore"):
            sinc = radius * np.sin(pi * x) * np.sin(pi * x / radius) / (pi * pi * x * x)
        return np.where(x <= 1e-3, np.float32(1), np.where(x > radius, 0, sinc))

    return weights


def _keys_cubic(x: NDArray[np.float32]) -> NDArray[np.float32]:
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x >= 2, 0, np.where(x >= 1, far, near))


def _mitchell_cubic(x: NDArray[np.float32]) -> NDArray[np.float32]:
    near = ((7 / 6 * x - 2) * x) * x + 8 / 9
    far = ((-7 / 18 * x + 2) * x - 10 / 3) * x + 16 / 9
    return np.where(x >= 2, 0, np.where(x >= 1, far, near))


class Kernel(NamedTuple):
    """A weight as a function of distance, and the distances at which it is zero."""

    weights: Weighing
    end: Fraction
    """The distance beyond which all weights are zero. The weight at this distance is
    zero, too, unless the kernel jumps."""
    zeros: tuple[Fraction, ...] = ()
    """The distances below ``end`` at which the weight is zero."""
    jumps: bool = False
    """Whether the weight jumps to zero at the end instead of approaching zero."""


KERNELS: dict[str, Kernel] = {
    "lanczos1": Kernel(_lanczos(1), Fraction(1)),
    "lanczos3": Kernel(_lanczos(3), Fraction(3)),
    "lanczos5": Kernel(_lanczos(5), Fraction(5)),
    "gaussian": Kernel(
        lambda x: np.where(x >= 1.5, 0, np.exp(-2 * x * x)), Fraction(3, 2), jumps=True
    ),
    "box": Kernel(
        lambda x: np.where(x < 0.5, 1, np.where(x == 0.5, 0.5, 0)),
        Fraction(1, 2),
        jumps=True,
    ),
    "triangle": Kernel(lambda x: np.maximum(0, 1 - x), Fraction(1)),
    "keyscubic": Kernel(_keys_cubic, Fraction(2), (Fraction(1),)),
    "mitchellcubic": Kernel(_mitchell_cubic, Fraction(2), (Fraction(8, 7),)),
}
"""The kernels, keyed by the names that the op gives them.

With antialiasing, distances are in pixels of the coarser of the input and the output.
Otherwise, they are in pixels of the input. Lanczos kernels have no zeros before their
end: at integer distances, the op computes the sine of a rounded multiple of pi, and so
reads these pixels with a weight of about 1e-8.
"""


class Covered(NamedTuple):
    """The input positions with nonzero weight for one output position."""

    first: int
    last: int
    holes: tuple[int, ...]
    """The positions between ``first`` and ``last`` that have weight zero."""
    exact: bool = True


class Lens(NamedTuple):
    """A kernel that is placed on an axis with a scale and an offset.

    Exact arithmetic decides where a weight is zero. The op itself computes in float32,
    so it may give a weight of up to 1e-6 to a pixel where the kernel is zero. Such
    weights are treated as zero. The op's float32 arithmetic decides only on which side
    of a jump a pixel lies, and whether a centre lies inside the image.
    """

    kernel: Kernel
    scale: Fraction
    offset: Fraction
    antialias: bool

    @property
    def inverse(self) -> np.float32:
        """The inverse of the scale, as the op computes it."""
        found: np.float32 = np.float32(1) / np.float32(self.scale)
        return found

    @property
    def is_rounded(self) -> bool:
        """Whether the inverse of the scale is rounded in float32."""
        return Fraction(float(self.inverse)) * self.scale != 1

    def centre(self, u: Any) -> Any:
        """Returns the centre of the kernel for an output position, computed in float32.

        The centre is measured from the border of the input: pixel p lies at
        ``p + 0.5``.

        ``u`` is an output position, or an array of them.
        """
        offset = np.float32(self.offset) * self.inverse
        return (
            np.asarray(u, dtype=np.float32) + np.float32(0.5)
        ) * self.inverse - offset

    def weights(self, positions: Any, centres: Any) -> NDArray[np.float32]:
        """Returns the weights that the op computes for positions around centres."""
        one, half = np.float32(1), np.float32(0.5)
        wide = max(self.inverse, one) if self.antialias else one
        apart = np.asarray(positions, dtype=np.float32) + half - centres
        with np.errstate(over="ignore"):
            return self.kernel.weights(np.abs(apart) * (one / wide))

    def covered(self, count: int, size: int | None) -> list[Covered | None]:
        """Returns the input positions that each of ``count`` output positions covers.

        The entry of an output position is None if its centre lies outside the image.
        ``size`` is the size of the input; None if unknown.
        """
        half = Fraction(1, 2)
        wide = max(1 / self.scale, Fraction(1)) if self.antialias else Fraction(1)
        start, step = (half - self.offset) / self.scale - half, 1 / self.scale
        distances = [z * wide for z in (self.kernel.end, *self.kernel.zeros)]
        # The unit is a fraction of a position, so that all these numbers are integers.
        unit = math.lcm(*(n.denominator for n in (start, step, *distances)))
        first, stride, *whole = (int(n * unit) for n in (start, step, *distances))
        centres = self.centre(np.arange(count))
        inside = (centres >= 0) & (centres <= (math.inf if size is None else size))
        return [
            self._around(first + u * stride, unit, whole, centres[u], size is None)
            if inside[u]
            else None
            for u in range(count)
        ]

    def _around(
        self,
        middle: int,
        unit: int,
        distances: Sequence[int],
        centre: np.float32,
        anywhere: bool,
    ) -> Covered:
        """Returns the positions that the kernel covers if it is centred at a point.

        Args:
          middle: the point, in units; the centre of pixel p is at ``p * unit``.
          unit: the number of units per position.
          distances: the end of the kernel, followed by its zeros, in units.
          centre: the same point as returned by `centre`.
          anywhere: whether the result must also hold if the point is moved by any
            number of periods of the map.
        """
        end, *zeros = distances
        low, high = middle - end, middle + end
        first, last, exact = low // unit + 1, -(-high // unit) - 1, True
        if self.kernel.jumps and not (low % unit and high % unit):
            exact = not (anywhere and self.is_rounded)
            ends = [(place // unit, place % unit) for place in (low, high)]
            before, behind = (
                not rest and (not exact or bool(self.weights(place, centre)))
                for place, rest in ends
            )
            first, last = first - before, last + behind
        places = [middle + sign * zero for zero in zeros for sign in (-1, 1)]
        holes = {place // unit for place in places if not place % unit}
        while first in holes:
            first += 1
        while last in holes:
            last -= 1
        inner = tuple(sorted(hole for hole in holes if first < hole < last))
        return Covered(first, last, inner, exact)


def lens(
    kernel: Kernel, scale: Any, offset: Any, antialias: bool, size: Size, new_size: Size
) -> Lens | None:
    """Returns the `Lens` of a kernel on an axis that is scaled and moved.

    Returns None if the scale or the offset is unknown or out of range.
    """
    numbers = (int, float, Fraction, np.number)
    if not isinstance(scale, numbers) or not isinstance(offset, numbers):
        return None
    with np.errstate(all="ignore"):
        whole = np.float32(scale), np.float32(offset)
        inverse = np.float32(1) / whole[0]
    if not (scale > 0 and np.isfinite([*whole, inverse]).all()):
        return None
    known = isinstance(size, int) and isinstance(new_size, int) and size > 0
    ratio = Fraction(new_size, size) if known else Fraction(0)  # type: ignore[arg-type]
    exact = ratio if np.float32(ratio) == whole[0] else simplest(whole[0])
    return Lens(kernel, exact, simplest(whole[1]), antialias)


def simplest(number: np.float32 | float) -> Fraction:
    """Returns a fraction with a small denominator that rounds to ``number``.

    It is rounded in the precision of ``number``. If there is none, returns the exact
    value of ``number``.
    """
    whole = Fraction(float(number))
    limits = (1 << power for power in range(LARGEST_PERIOD.bit_length()))
    found = (whole.limit_denominator(limit) for limit in limits)
    rounded = float if isinstance(number, float) else number.dtype.type
    return next((f for f in found if rounded(f) == number), whole)


def kernel_map(lens: Lens, size: Size, new_size: Size) -> AxisMap | None:
    """Returns the map of an axis that is resized with a lens, or None if unknown."""
    count, advance = lens.scale.numerator, lens.scale.denominator
    even, limit = lens.offset == 0, None
    if isinstance(size, int) and isinstance(new_size, int):
        even, limit = even and new_size == size * lens.scale, size
        if not even or (lens.kernel.jumps and lens.is_rounded):
            count, advance = new_size, size
    elif not even or count > LARGEST_PERIOD:
        return None
    covered = lens.covered(count, limit)
    windows = [None if c is None else (c.first, c.last) for c in covered]
    gap = INFINITY if any(c is not None and c.holes for c in covered) else 1
    exact = all(c is None or c.exact for c in covered)
    if not even:
        return table(windows, gap=gap, exact=exact)
    return periodic(advance, windows, gap, exact)


# --- The weights of positions --------------------------------------------------------

Weights = Callable[["NDArray[np.float32]"], "tuple[NDArray[Any], NDArray[Any]]"]
"""Maps source positions to the positions that are read, and to their weights.

Both results are arrays [output position, tap]."""


def bilinear_weights(
    sources: NDArray[np.float32],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the positions and weights of `bilinear`."""
    below = np.floor(sources)
    part = (sources - below).astype(np.float64)
    positions = np.stack([below, np.ceil(sources)], axis=1)
    return positions, np.stack([1 - part, part], axis=1)


def nearest_weights(
    sources: NDArray[np.float32],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the positions and weights of `nearest`."""
    return np.floor(sources)[:, None], np.ones((len(sources), 1))


def corner_weights(sources: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the positions and weights of `nearest_corner`."""
    return nearest_weights(sources + np.float32(0.5))


def cubic_weights(slope: float) -> Weights:
    """Returns the `Weights` of cubic convolution (Keys, 1981) with this slope."""

    def weights(sources: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        below = np.floor(sources)
        part = np.rint((sources - below) * np.float32(1024)).astype(np.float64) / 1024
        near = [1 - part, part]
        inner = [((slope + 2) * x - (slope + 3)) * x * x + 1 for x in (part, near[0])]
        outer = [
            ((slope * x - 5 * slope) * x + 8 * slope) * x - 4 * slope
            for x in (part + 1, near[0] + 1)
        ]
        positions = np.stack([below + i for i in (-1, 0, 1, 2)], axis=1)
        return positions, np.stack([outer[0], *inner, outer[1]], axis=1)

    return weights


def interpolated(
    size: int, new_size: int, corners: bool, half_pixel: bool, weights: Weights
) -> NDArray[np.float64]:
    """Returns the weight of each input position for each output position.

    Positions outside the axis are clamped to the border, except for the cubic kernel
    with half-pixel centres, which gives them no weight.
    """
    if not size:
        return np.zeros((new_size, 0))
    whole = corners and new_size > 1
    scale = np.float32(size - whole) / np.float32(new_size - whole)
    recentre = weights not in (nearest_weights, corner_weights)
    positions, found = weights(_float_positions(new_size, scale, half_pixel, recentre))
    inside = np.clip(positions, 0, size - 1).astype(int)
    if half_pixel and found.shape[1] == 4:
        found = np.where(inside == positions, found, 0)
        found = found / found.sum(axis=1, keepdims=True)
    hold(new_size * size)
    matrix = np.zeros((new_size, size))
    np.add.at(matrix, (np.arange(new_size)[:, None], inside), found)
    return matrix


def by_area(size: int, new: int, corners: bool) -> NDArray[np.float64]:
    """Returns the weight of each input position for each output of an area resize."""
    whole = corners and new > 1 < size
    scale = np.float32(size - whole) / np.float32(new - whole)
    edges = np.arange(new + 1, dtype=np.float32) * scale
    cells = np.arange(size + 1, dtype=np.float64)
    cells[-1] = math.inf  # The op reads the last position in place of any after it.
    lows, highs = edges[:-1, None], edges[1:, None]
    inside = np.minimum(highs, cells[1:]) - np.maximum(lows, cells[:-1])
    return np.asarray(np.maximum(inside, 0) / scale, dtype=np.float64)


def by_kernel(lens: Lens, size: int, new: int) -> NDArray[np.float64]:
    """Returns the weight of each input position for each output of a kernel resize."""
    hold(new * size)
    matrix = np.zeros((new, size))
    for u, covered in enumerate(lens.covered(new, size)):
        if covered is not None:
            places = np.arange(max(covered.first, 0), min(covered.last + 1, size))
            places = places[~np.isin(places, covered.holes)]
            matrix[u, places] = lens.weights(places, lens.centre(u))
    total = matrix.sum(axis=1, keepdims=True)
    return np.asarray(matrix / np.where(total == 0, 1, total))
