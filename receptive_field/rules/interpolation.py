"""Interpolation at source positions: what is read around them, and with which weights.

Each `Interpolation` says this twice: with exact arithmetic, for axes of unknown size,
and with the float32 arithmetic of onnxruntime's kernels, for known sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from receptive_field.algebra.axis_map import (
    INFINITY,
    AxisMap,
    MaybeInterval,
    table,
)
from receptive_field.algebra.sizes import divide, limit_of_ratio
from receptive_field.arrays import np
from receptive_field.budget import hold
from receptive_field.rules.resizing import (
    HALF,
    LEAST,
    Grid,
    Taps,
    Weights,
    bilinear,
    bilinear_weights,
    grid_map,
    nearest,
    nearest_corner,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Interpolation(NamedTuple):
    """What is read around source positions."""

    taps: Taps
    """The first and last position that is read, in exact arithmetic."""
    weights: Weights
    """The positions that are read, and their weights, in float32."""
    is_single: bool = False
    """Whether a single position is read, which may lie outside of the axis."""
    has_holes: Callable[[Fraction], bool] = lambda source: False
    """Whether a position between the first and the last one has weight zero."""
    most: Taps | None = None
    """What may be read if rounding gives a tiny weight to positions whose weight is
    zero in exact arithmetic; None if rounding does not do so."""


# --- Nearest neighbours --------------------------------------------------------------


def _above(position: float | Fraction) -> tuple[int, int]:
    return (math.ceil(position),) * 2


def _half_down(position: float | Fraction) -> tuple[int, int]:
    return (math.ceil(position - HALF),) * 2


_NEAREST: dict[str, Taps] = {
    "floor": nearest,
    "ceil": _above,
    "round_prefer_floor": _half_down,
    "round_prefer_ceil": nearest_corner,
}
"""Way of rounding -> the rounded position."""

ROUNDINGS = frozenset(_NEAREST)
"""The ways of rounding a source position."""


def nearest_neighbour(rounding: str) -> Interpolation:
    """Returns the interpolation that reads a rounded source position."""
    taps = _NEAREST[rounding]

    def weights(sources: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        below, half = np.floor(sources), np.float32(0.5)
        if taps is _half_down or taps is nearest_corner:
            # The kernel takes what is nearly half way to be half way.
            is_half = np.abs(sources - below - half) <= np.float32(1e-6)
            sources = np.where(is_half, below + half, sources)
        positions = np.array([[taps(float(source))[0]] for source in sources])
        return positions, np.ones(positions.shape)

    return Interpolation(taps, weights, is_single=True)


# --- Linear and cubic ----------------------------------------------------------------

LINEAR = Interpolation(bilinear, bilinear_weights)
"""The interpolation between the positions on both sides."""


def _four(position: float | Fraction) -> tuple[int, int]:
    below = math.floor(position)
    return (below, below) if below == position else (below - 1, below + 2)


def cubic(slope: float) -> Interpolation:
    """Returns cubic convolution (Keys, 1981) with this slope.

    A source position that is an integer is the only one that is read.
    """

    def near(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((slope + 2) * x - (slope + 3)) * x * x + 1

    def far(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((slope * x - 5 * slope) * x + 8 * slope) * x - 4 * slope

    def weights(sources: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        below = np.floor(sources)
        part = sources - below
        whole = part == 0
        rest = (np.where(whole, 0, w) for w in (far(part + 1), near(1 - part)))
        outer, beside = rest
        last = np.where(whole, 0, far(2 - part))
        positions = np.stack([below + i for i in (-1, 0, 1, 2)], axis=1)
        return positions, np.stack([outer, near(part), beside, last], axis=1)

    return Interpolation(_four if slope else bilinear, weights)


def _keys(apart: NDArray[Any], slope: float) -> NDArray[Any]:
    """Returns the weights of positions at these distances (Keys, 1981)."""
    near = ((slope + 2) * apart - (slope + 3)) * apart * apart + 1
    far = (((apart - 5) * apart + 8) * apart - 4) * slope
    return np.where(apart < 1, near, np.where(apart < 2, far, 0))


# --- With antialiasing ---------------------------------------------------------------


@dataclass(frozen=True)
class _Within:
    """The `Taps` of all positions that are nearer than a distance.

    A position at the distance ``zero`` has weight zero. With ``ends``, positions at the
    distance itself are read, too.
    """

    distance: Fraction
    zero: Fraction | None
    ends: bool = False

    def __call__(self, position: Fraction | float) -> tuple[int, int]:
        if self.ends:
            return math.ceil(position - self.distance), math.floor(
                position + self.distance
            )
        first = math.floor(position - self.distance) + 1
        last = math.ceil(position + self.distance) - 1
        if self.zero is not None:
            first += first == position - self.zero
            last -= last == position + self.zero
        return first, last

    def has_holes(self, position: Fraction) -> bool:
        """Returns whether a position between the first and the last has weight zero."""
        first, last = self(position)
        zero = self.zero
        if zero is None:
            return False
        return any(
            end.denominator == 1 and first < end < last
            for end in (position - zero, position + zero)
        )


def antialiased(
    slope: float | None, scale: np.float32 | None, exact: Fraction
) -> Interpolation:
    """Returns an interpolation whose kernel is stretched if the axis shrinks.

    Args:
      slope: the slope of a cubic kernel; None for a linear one.
      scale: the number of positions that each input position becomes, if it is known.
      exact: the same, in exact arithmetic.
    """
    radius = 1 if slope is None else 2
    wide = max(1 / exact, Fraction(1))

    def weights(sources: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        one, half = np.float32(1), np.float32(0.5)
        stretched = one / np.float32(exact if scale is None else scale)
        shrinks = stretched >= 1
        support = np.float32(radius) * (stretched if shrinks else one)
        narrow = one / stretched if shrinks else one
        centres = half + sources
        firsts = np.floor(centres - support + half)
        counts = np.floor(centres + support + half) - firsts
        steps = np.arange(int(max(counts, default=0)), dtype=np.float32)
        positions = firsts[:, None] + steps
        apart = np.abs((positions - centres[:, None] + half) * narrow)
        if slope is None:
            found = np.where(apart < 1, one - apart, 0)
        else:
            found = _keys(apart, slope)
        found = np.where(steps < counts[:, None], found, 0)
        return positions, found

    taps = _Within(2 * wide, wide) if slope else _Within(wide, None)
    # The kernel is stretched by the inverse of the scale, in float32.
    rounded = exact < 1 and Fraction(float(np.float32(1) / np.float32(exact))) != wide
    most = _Within(radius * wide, None, ends=True) if rounded else None
    return Interpolation(taps, weights, has_holes=taps.has_holes, most=most)


# --- Maps ----------------------------------------------------------------------------


def interpolation_map(grid: Grid, kind: Interpolation) -> AxisMap | None:
    """Returns the map of an axis whose size, or new size, is unknown.

    Returns None if not even its scale is known.
    """
    ratio = divide(grid.advance, grid.period)
    if not isinstance(ratio, (int, Fraction)):
        limit = limit_of_ratio(grid.advance, grid.period)
        if limit is None or limit[0] <= 0:
            return None
        ratio, least = limit[0], max(limit[0] + min(limit[1], Fraction(0)), LEAST)
    else:
        least = Fraction(ratio)
    found = grid_map(grid, kind.taps)
    if found is None or not kind.is_single or grid.corners:
        if found is not None and kind.most is not None:
            more = grid_map(grid, kind.most)
            assert more is not None
            found = found if more == found else more.as_bound()
        if found is None or found.is_floating:
            return found
        sources = grid.sources(range(Fraction(ratio).denominator), Fraction(ratio))
        holes = any(map(kind.has_holes, sources))
        return _with_holes(found) if holes else found
    # The last position lies at most so far behind the last one that is read. If the
    # scale only approaches its limit, it lies less far behind.
    beyond = 1 - (1 - grid.before) * least - grid.behind
    beyond -= LEAST if found.is_floating else 0
    before = max(-kind.taps(grid.before * least - grid.behind)[0], 0)
    behind = max(kind.taps(beyond)[0], 0)
    if not before and not behind:
        return found
    wider = grid_map(grid, _Wider(kind.taps, behind, before))
    assert wider is not None
    return found.showing(wider.as_bound())


@dataclass(frozen=True)
class _Wider:
    """The `Taps` of further positions before and behind those of others."""

    taps: Taps
    before: int
    behind: int

    def __call__(self, position: Fraction | float) -> tuple[int, int]:
        first, last = self.taps(position)
        return first - self.before, last + self.behind


def _with_holes(axis_map: AxisMap) -> AxisMap:
    strands = tuple(strand._replace(gap=INFINITY) for strand in axis_map.strands)
    return AxisMap(strands, axis_map.aligned)


def known_map(
    grid: Grid,
    kind: Interpolation,
    size: int,
    sources: NDArray[np.float32],
    extrapolates: bool,
) -> AxisMap:
    """Returns the map of an axis of known size, given the sources of its positions.

    Args:
      grid: where the positions lie, in exact arithmetic.
      kind: what is read around them.
      size: the size of the axis that is read.
      sources: where the positions lie, in the arithmetic of the kernel.
      extrapolates: whether nothing is read around a source outside of the axis.
    """
    positions, weights = kind.weights(sources)
    windows: list[MaybeInterval] = []
    holes = False
    for source, places, parts in zip(sources, positions, weights, strict=True):
        if extrapolates and not 0 <= source <= size - 1:
            windows.append(None)
            continue
        read = [int(p) for p, part in zip(places, parts, strict=True) if part]
        windows.append((read[0], read[-1]))
        holes |= read[-1] - read[0] >= len(read)
    return windows_map(grid, kind.taps, size, windows, holes)


def windows_map(
    grid: Grid,
    taps: Taps,
    size: int,
    windows: Sequence[MaybeInterval],
    holes: bool,
) -> AxisMap:
    """Returns the map of an axis of known size, given what its positions read.

    Args:
      grid: where the positions lie, in exact arithmetic.
      taps: what is read around them, in exact arithmetic.
      size: the size of the axis that is read.
      windows: what each position reads. What lies outside of the axis is replaced by
        the border.
      holes: whether some position inside a window is not read.
    """
    if None in windows:
        return table(windows, gap=INFINITY if holes else 1)
    found = grid_map(grid, taps, windows)
    if found is None:
        found = table(windows)
    if holes:
        found = _with_holes(found)
    seen = [_clamped(window, size) for window in windows]
    missed = any(w is not None and (w[1] < 0 or w[0] >= size) for w in windows)
    return found.showing(table(seen)) if missed else found


def _clamped(window: MaybeInterval, size: int) -> MaybeInterval:
    if window is None:
        return None
    first, last = (int(min(max(end, 0), size - 1)) for end in window)
    return first, last


def weight_matrix(
    kind: Interpolation,
    size: int,
    sources: NDArray[np.float32],
    extrapolates: bool,
    excludes: bool,
) -> NDArray[np.float64]:
    """Returns the weight of each input position for each output position.

    Positions outside of the axis are clamped to its border or, if the kernel
    ``excludes`` them, have no weight. For the other arguments, see `known_map`.
    """
    positions, weights = kind.weights(sources)
    inside = np.clip(positions, 0, size - 1).astype(int)
    weights = weights.astype(np.float64)
    if excludes:
        weights = np.where(inside == positions, weights, 0)
    total = weights.sum(axis=1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    if extrapolates:
        outside = (sources < 0) | (sources > size - 1)
        weights = np.where(outside[:, None], 0, weights)
    hold(len(sources) * size)
    matrix = np.zeros((len(sources), size))
    np.add.at(matrix, (np.arange(len(sources))[:, None], inside), weights)
    return matrix
