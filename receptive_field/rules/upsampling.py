"""Interpolation of axes of known size in the arithmetic of PyTorch's kernels.

The kernels compute in the precision of the data, or in single precision. Which of them
runs depends on how the data lie in memory, and whether a product is rounded before it
is added depends on the processor. So several results are computed. Where they differ,
the map is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from receptive_field.algebra.axis_map import AxisMap
from receptive_field.arrays import np
from receptive_field.budget import hold
from receptive_field.rules.interpolation import (
    LINEAR,
    Interpolation,
    antialiased,
    cubic,
    nearest_neighbour,
    windows_map,
)
from receptive_field.rules.resizing import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Lengths(NamedTuple):
    """How an axis of known size is resized."""

    size: int
    new_size: int
    scale: float | None
    """The stated scale; None if it is the quotient of the sizes."""
    corners: bool
    """Whether the first and the last positions lie on those of the input."""
    double: bool
    """Whether the data have double precision."""

    @property
    def real(self) -> Any:
        """The type of the numbers that kernels compute with."""
        return np.float64 if self.double else np.float32

    def unit(self, real: Any) -> Any:
        """Returns how far output positions lie apart on the input."""
        if self.corners:
            last = self.new_size - 1
            return real(self.size - 1) / real(last) if last else real(0)
        if self.scale is not None:
            return real(1 / self.scale)
        return real(self.size) / real(self.new_size)

    @property
    def is_exact(self) -> bool:
        """Whether the kernels compute where positions lie without rounding."""
        unit = Fraction(float(self.unit(self.real)))
        last = unit.numerator * (2 * self.new_size + 1)
        return last.bit_length() <= (53 if self.double else 24)


class Reads(NamedTuple):
    """What each output position reads."""

    positions: NDArray[Any]
    """The positions [output, tap] in the arithmetic of one kernel. They may lie outside
    of the axis."""
    weights: NDArray[Any]
    windows: list[tuple[int, int]]
    """The first and the last position that any kernel reads."""
    exact: bool
    """Whether every kernel reads these positions."""
    holes: bool = False
    """Whether a position between the first and the last one has weight zero."""


# --- Nearest neighbours --------------------------------------------------------------


def _nearest(lengths: Lengths, halves: bool) -> Reads:
    """Returns the nearest position; with ``halves``, that of the centre of a pixel."""
    size, new_size = lengths.size, lengths.new_size
    found = []
    for real in (np.float32, lengths.real):
        unit, outputs = lengths.unit(real), np.arange(new_size).astype(real)
        if not halves:
            found.append(_floor(outputs * unit))
            continue
        half = real(0.5)
        found.append(_floor((outputs + half) * unit))
        for source in _sources(unit, outputs, real):
            found.append(_floor(np.maximum(source, 0) + half))
    if not halves and new_size in (size, 2 * size):
        found.append(np.arange(new_size) * size // new_size)
    first, last = np.min(found, axis=0), np.max(found, axis=0)
    windows = list(zip(first.tolist(), last.tolist(), strict=True))
    positions = found[0][:, None]
    weights = np.ones(positions.shape)
    return Reads(positions, weights, windows, bool((first == last).all()))


def _floor(sources: Any) -> NDArray[Any]:
    # The kernels round down in single precision.
    return np.asarray(np.floor(sources.astype(np.float32)), dtype=np.int64)


def _sources(unit: Any, outputs: Any, real: Any) -> list[Any]:
    """Returns where the centres of pixels lie, with and without rounding in between."""
    half = real(0.5)
    return [(outputs + half) * unit - half, _fused(unit, outputs + half, half)]


def _fused(one: Any, two: Any, less: Any) -> Any:
    """Returns ``one * two - less``, rounded once."""
    if one.dtype == np.float32:
        exact = np.float64(one) * two.astype(np.float64) - np.float64(less)
        return exact.astype(np.float32)
    product = one * two
    (a, b), (c, d) = map(_halves, (one, two))
    rest = ((a * c - product) + a * d + b * c) + b * d
    return (product - less) + rest


def _halves(number: Any) -> tuple[Any, Any]:
    """Returns two numbers with half of the digits, whose sum is a number."""
    wide = number * 134217729.0  # 2 to the power of 27, plus 1.
    high = wide - (wide - number)
    return high, number - high


# --- Linear and cubic ----------------------------------------------------------------


def _places(lengths: Lengths) -> list[tuple[NDArray[Any], Any]]:
    """Returns the position before each source, and how far behind it the source lies.

    There is one pair for each kernel.
    """
    real = lengths.real
    unit, outputs = lengths.unit(real), np.arange(lengths.new_size).astype(real)
    sources = [outputs * unit] if lengths.corners else _sources(unit, outputs, real)
    found = []
    for source in sources:
        below = _floor(source)
        found.append((below, np.clip(source - below.astype(real), 0, 1).astype(real)))
    return found


def _united(found: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> Any:
    """Returns the hull of windows, as pairs, and whether all of them are the same."""
    first = np.min([low for low, _ in found], axis=0)
    last = np.max([high for _, high in found], axis=0)
    alike = all((low == first).all() and (high == last).all() for low, high in found)
    return list(zip(first.tolist(), last.tolist(), strict=True)), alike


def _linear(lengths: Lengths) -> Reads:
    found = _places(lengths)
    windows, alike = _united([(below, below + (part > 0)) for below, part in found])
    below, part = found[0]
    positions = np.stack([below, below + 1], axis=1)
    return Reads(positions, np.stack([1 - part, part], axis=1), windows, alike)


SLOPE = -0.75
"""The slope of the cubic kernel without antialiasing."""


def _cubic(lengths: Lengths) -> Reads:
    found = _places(lengths)
    windows, alike = _united(
        [(below - (part > 0), below + 2 * (part > 0)) for below, part in found]
    )
    below, part = found[0]
    distances = [part + 1, part, 1 - part, 2 - part]
    weights = np.stack([_keys(d, SLOPE) for d in distances], axis=1)
    positions = np.stack([below + i for i in (-1, 0, 1, 2)], axis=1)
    # Close to a position, the weight of another one may be rounded to zero.
    tiny = np.abs(weights) < 256 * np.finfo(lengths.real).eps
    doubtful = bool((tiny & (part > 0)[:, None]).any())
    return Reads(positions, weights, windows, alike and not doubtful)


def _keys(apart: Any, slope: float) -> Any:
    """Returns the weights of positions at these distances (Keys, 1981)."""
    near = ((slope + 2) * apart - (slope + 3)) * apart * apart + 1
    far = (((apart - 5) * apart + 8) * apart - 4) * slope
    return np.where(apart < 1, near, np.where(apart < 2, far, 0))


# --- With antialiasing ---------------------------------------------------------------

ANTIALIASED_SLOPE = -0.5
"""The slope of the cubic kernel with antialiasing."""

_RADIUS = {"linear": 1, "cubic": 2, "lanczos": 3}


def _triangle(apart: Any) -> Any:
    return np.maximum(1 - apart, 0)


def _lanczos(apart: Any) -> Any:
    return np.where(apart < 3, np.sinc(apart) * np.sinc(apart / 3), 0)


_KERNELS: dict[str, Callable[[Any], Any]] = {
    "linear": _triangle,
    "cubic": partial(_keys, slope=ANTIALIASED_SLOPE),
    "lanczos": _lanczos,
}


def _stretched(lengths: Lengths, mode: str) -> Reads:
    """Returns what is read by a kernel that is stretched if the axis shrinks.

    The weight of a position near a zero of the kernel may be rounded to zero, or to a
    tiny number.
    """
    real, radius = lengths.real, _RADIUS[mode]
    unit, one, half = lengths.unit(real), real(1), real(0.5)
    support = radius * unit if unit >= 1 else real(radius)
    narrow = one / unit if unit >= 1 else one
    centres = unit * (np.arange(lengths.new_size).astype(real) + half)
    firsts = np.floor(centres - support + half).astype(np.int64)
    lasts = np.floor(centres + support + half).astype(np.int64) - 1
    width = int((lasts - firsts).max(initial=0)) + 3
    positions = firsts[:, None] - 1 + np.arange(width)
    apart = np.abs((positions.astype(real) - centres[:, None] + half) * narrow)
    weights = _KERNELS[mode](apart)
    inside = (positions >= firsts[:, None]) & (positions <= lasts[:, None])
    weights = np.where(inside, weights, 0)
    eps = np.finfo(real).eps
    near = 8 * eps * (lengths.size + lengths.new_size + 8)
    tiny = (np.abs(weights) <= 64 * eps) & (radius > 1)
    doubtful = np.abs(apart - radius) <= np.where(tiny, 8 * math.sqrt(eps), near)
    if lengths.is_exact:
        doubtful &= apart < radius
    for zero in range(1, radius):
        is_near = np.abs(apart - zero) <= np.where(tiny, 8 * math.sqrt(eps), near)
        if lengths.is_exact and mode == "cubic":
            is_near &= apart != zero
        doubtful |= is_near
    reads = (weights != 0) | doubtful
    places = np.arange(width)
    low = np.where(reads, places, width).min(axis=1)
    high = np.where(reads, places, -1).max(axis=1)
    between = (places > low[:, None]) & (places < high[:, None])
    holes = bool((between & ~reads).any())
    windows = list(
        zip(
            (positions[:, 0] + low).tolist(),
            (positions[:, 0] + high).tolist(),
            strict=True,
        )
    )
    return Reads(positions, weights, windows, not doubtful.any(), holes)


# --- All of them ---------------------------------------------------------------------

MODES = ("nearest", "nearest-exact", "linear", "cubic", "lanczos")
"""The ways of interpolation. Lanczos kernels are always stretched."""


def copies(mode: str, antialias: bool) -> bool:
    """Returns whether an axis that keeps its size is copied, whatever its scale is.

    Some kernels for nearest neighbours do so.
    """
    return mode == "linear" or antialias


def reads(lengths: Lengths, mode: str, antialias: bool) -> Reads:
    """Returns what each position of a resized axis reads."""
    if antialias:
        return _stretched(lengths, mode)
    if mode.startswith("nearest"):
        return _nearest(lengths, mode == "nearest-exact")
    return _linear(lengths) if mode == "linear" else _cubic(lengths)


def in_exact_arithmetic(mode: str, antialias: bool, scale: Fraction) -> Interpolation:
    """Returns what is read around source positions.

    Args:
      mode: one of `MODES`.
      antialias: whether the kernel is stretched if the axis shrinks.
      scale: the number of positions that each input position becomes.
    """
    if mode.startswith("nearest"):
        return nearest_neighbour("floor")
    if mode == "lanczos":
        return _of_lanczos(scale)
    if antialias:
        slope = None if mode == "linear" else ANTIALIASED_SLOPE
        return antialiased(slope, None, scale)
    return LINEAR if mode == "linear" else cubic(SLOPE)


def _of_lanczos(scale: Fraction) -> Interpolation:
    distance = 3 * max(1 / scale, Fraction(1))

    def taps(position: Fraction | float) -> tuple[int, int]:
        first = math.floor(position - distance) + 1
        return first, math.ceil(position + distance) - 1

    return LINEAR._replace(taps=taps)


def known_reads_map(
    grid: Grid, kind: Interpolation, size: int, found: Reads
) -> AxisMap:
    """Returns the map of a resized axis of known size."""
    axis_map = windows_map(grid, kind.taps, size, found.windows, found.holes)
    return axis_map if found.exact else axis_map.as_bound()


def weight_matrix(size: int, found: Reads, excludes: bool) -> NDArray[np.float64]:
    """Returns the weight of each input position for each output position.

    Positions outside of the axis are clamped to its border or, if the kernel
    ``excludes`` them, have no weight.
    """
    inside = np.clip(found.positions, 0, size - 1)
    weights = found.weights.astype(np.float64)
    if excludes:
        weights = np.where(inside == found.positions, weights, 0)
    total = weights.sum(axis=1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    hold(len(inside) * size)
    matrix = np.zeros((len(inside), size))
    np.add.at(matrix, (np.arange(len(inside))[:, None], inside), weights)
    return matrix
