"""Expected products of the gradients at two positions of one tensor.

`gradients` passes these products from tensor to tensor. This module does not know about
graphs or ops. On some axes, the products are kept for each position. On the other axes,
which are called *even*, only the sum over all positions is kept, as if all positions
were alike and independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receptive_field.algebra.sizes import Size
from receptive_field.budget import hold

Array = NDArray[np.float64]

MOST_PAIRS = 1 << 25
"""The largest number of products that is kept for one tensor. If there are more, lags
are dropped, and gradients at different positions are taken to be independent."""


class TooManyPairsError(Exception):
    """A tensor has more pairs than `MOST_PAIRS`, unless lags are dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The expected product of gradients, for all pairs of nearby positions of a tensor.

    Products are summed over channels. On each axis, a pair consists of positions ``p``
    and ``p + d``. The first half of the axes of ``array`` holds the lags d, from
    ``-reach`` to ``reach``. The second half holds the positions p. On an ``even`` axis,
    all positions are alike and independent, so only the sum over them is kept.
    """

    array: Array
    sizes: tuple[Size | None, ...]
    even: tuple[bool, ...]

    @property
    def rank(self) -> int:
        """The number of axes of the tensor."""
        return len(self.sizes)

    def reach(self, axis: int) -> int:
        """Returns the largest lag on an axis."""
        return int(self.array.shape[axis] // 2)

    def _moved(self, *axes: int) -> Array:
        """Returns the array with the lags, then the positions, of these axes in
        front."""
        there = [*axes, *(self.rank + axis for axis in axes)]
        return np.moveaxis(self.array, there, range(len(there)))

    def _with(
        self, moved: Array, axes: int, new: Sequence[int], **fields: Any
    ) -> Pairs:
        """Inverts `_moved` after some axes were replaced by new ones.

        Args:
          moved: the array, with the lags and then the positions of the new axes in
            front.
          axes: how many axes were replaced.
          new: the numbers of the new axes.
          **fields: ``sizes`` and ``even`` of the new axes.
        """
        sizes, even = list(self.sizes), list(self.even)
        start = new[0] if new else axes
        del sizes[start : start + axes], even[start : start + axes]
        sizes[start:start] = fields["sizes"]
        even[start:start] = fields["even"]
        there = [*new, *(len(sizes) + axis for axis in new)]
        return Pairs(
            np.moveaxis(moved, range(len(there)), there), tuple(sizes), tuple(even)
        )

    def explicit(self, axis: int) -> Pairs:
        """Gives each position of an even axis its own entry, if the size is known."""
        size = self.sizes[axis]
        if not self.even[axis] or not isinstance(size, int):
            return self
        moved = np.repeat(self._moved(axis), size, axis=1) / size
        return self._with(moved, 1, [axis], sizes=[size], even=[False])

    def spread(self, axis: int) -> Pairs:
        """Makes an axis even: keeps only the sum of the squares over its positions."""
        if self.even[axis]:
            return self
        moved = self._moved(axis)
        moved = moved[[moved.shape[0] // 2]].sum(axis=1, keepdims=True)
        return self._with(moved, 1, [axis], sizes=[self.sizes[axis]], even=[True])

    def cropped(self, limits: Sequence[int]) -> Pairs:
        """Drops the lags beyond these limits."""
        array = self.array
        for axis, limit in enumerate(limits):
            over = array.shape[axis] // 2 - limit
            if over > 0:
                array = array.take(range(over, over + 2 * limit + 1), axis)
        return replace(self, array=array)

    def along(
        self,
        axis: int,
        one: Array,
        two: Array,
        limit: int,
        rate: Fraction | None = None,
    ) -> Pairs:
        """Maps an axis to an axis of the tensor below, using matrices [above, below].

        Args:
          axis: the axis to map.
          one: the matrix for the first position of a pair.
          two: the matrix for the second position.
          limit: the largest lag to keep.
          rate: if given, both positions of a pair use the same tap, so the lag below is
            the lag above times the rate.

        Raises:
          TooManyPairsError: if lags are kept and the result would have more than
            `MOST_PAIRS` numbers.
        """
        whole = self.explicit(axis)
        moved = np.moveaxis(whole._moved(axis), 1, -1)
        reach = moved.shape[0] // 2
        if rate is None:
            limit = min(limit, farthest(one, two, reach), max(one.shape[1] - 1, 0))
        else:
            limit = min(limit, int(reach * abs(rate)))
        shape = (2 * limit + 1, *moved.shape[1:-1], one.shape[1])
        if limit and math.prod(shape) > MOST_PAIRS:
            raise TooManyPairsError
        hold(math.prod(shape))
        found = np.zeros(shape)
        for lag in range(-reach, reach + 1):
            above = moved[lag + reach]
            if lag and not above.any():
                continue
            lags: Iterable[int] = range(-limit, limit + 1)
            if rate is not None:
                exact = lag * rate
                lags = [int(exact)] if exact.denominator == 1 else []
            for below in lags:
                if abs(below) <= limit:
                    both = one * _displaced(two, lag, below)
                    if both.any():
                        found[below + limit] += above @ both
        size = one.shape[1]
        back = np.moveaxis(found, -1, 1)
        return whole._with(back, 1, [axis], sizes=[size], even=[False])

    def split(self, axis: int, inner: Size) -> Pairs:
        """Splits an axis into an outer axis and an inner axis of size ``inner``."""
        size = self.sizes[axis]
        known = isinstance(size, int) and isinstance(inner, int)
        outer = size // inner if known else None  # type: ignore[operator]
        both = (outer, inner)
        if self.even[axis] or not isinstance(outer, int) or not isinstance(inner, int):
            moved = self._moved(axis)[None, :, None]
            axes = [axis, axis + 1]
            return self._with(moved, 1, axes, sizes=both, even=[self.even[axis]] * 2)
        reach = self.reach(axis)
        reaches = min((reach + inner - 1) // inner, outer - 1), min(reach, inner - 1)
        lags = [np.arange(-r, r + 1) for r in reaches]
        a, b, p, q = np.ix_(*lags, np.arange(outer), np.arange(inner))
        lag = a * inner + b
        there = (np.abs(lag) <= reach) & (q + b >= 0) & (q + b < inner)
        at = np.clip(lag + reach, 0, 2 * reach)
        found = self._moved(axis)[at, p * inner + q]
        found = found * there.reshape(there.shape + (1,) * (found.ndim - 4))
        axes = [axis, axis + 1]
        return self._with(found, 1, axes, sizes=both, even=[False, False])

    def merged(self, axis: int) -> Pairs:
        """Merges an axis and the next one."""
        outer, inner = self.sizes[axis : axis + 2]
        known = isinstance(outer, int) and isinstance(inner, int)
        size = outer * inner if known else None  # type: ignore[operator]
        if all(self.even[axis : axis + 2]) or not isinstance(inner, int):
            moved = self._moved(axis, axis + 1)[:, 0, :, 0]
            return self._with(moved, 2, [axis], sizes=[size], even=[True])
        whole = self.explicit(axis).explicit(axis + 1)
        a, b = whole.reach(axis), whole.reach(axis + 1)
        assert isinstance(size, int)
        reach = min(a * inner + b, size - 1)
        lag, p = np.ix_(np.arange(-reach, reach + 1), np.arange(size))
        other = p + lag
        lags = other // inner - p // inner, other % inner - p % inner
        there = (other >= 0) & (other < size)
        there &= (np.abs(lags[0]) <= a) & (np.abs(lags[1]) <= b)
        at = np.clip(lags[0] + a, 0, 2 * a), np.clip(lags[1] + b, 0, 2 * b)
        moved = whole._moved(axis, axis + 1)
        found = moved[at[0], at[1], p // inner, p % inner]
        found = found * there.reshape(there.shape + (1,) * (found.ndim - 2))
        return whole._with(found, 2, [axis], sizes=[size], even=[False])

    def without(self, axis: int, coherent: bool) -> Pairs:
        """Removes an axis.

        This adds up the gradients along the axis if ``coherent``, and the squares of
        the gradients otherwise.
        """
        moved = self._moved(axis)
        if coherent and not self.even[axis]:
            summed = moved.sum(axis=(0, 1))
        else:
            summed = moved[moved.shape[0] // 2].sum(axis=0)
        sizes, even = list(self.sizes), list(self.even)
        del sizes[axis], even[axis]
        return Pairs(summed, tuple(sizes), tuple(even))

    def with_axis(self, size: Size | None, even: bool) -> Pairs:
        """Appends an axis with a single position, or an even axis."""
        array = self.array.reshape(
            *self.array.shape[: self.rank], 1, *self.array.shape[self.rank :], 1
        )
        return Pairs(array, (*self.sizes, size), (*self.even, even))

    def permuted(self, order: Sequence[int]) -> Pairs:
        """Puts the axes in another order."""
        axes = [*order, *(self.rank + axis for axis in order)]
        return Pairs(
            self.array.transpose(axes),
            tuple(self.sizes[axis] for axis in order),
            tuple(self.even[axis] for axis in order),
        )

    def times(self, factor: float) -> Pairs:
        """Multiplies all products by a factor."""
        return self if factor == 1 else replace(self, array=self.array * factor)

    def __add__(self, other: Pairs) -> Pairs:
        one, two = self, other
        for axis in range(self.rank):
            if one.even[axis] != two.even[axis]:
                one, two = one.explicit(axis), two.explicit(axis)
        reaches = [max(one.reach(a), two.reach(a)) for a in range(one.rank)]
        arrays = []
        for pairs in (one, two):
            lags = [(r - pairs.reach(a),) * 2 for a, r in enumerate(reaches)]
            arrays.append(np.pad(pairs.array, [*lags, *[(0, 0)] * pairs.rank]))
        return replace(one, array=arrays[0] + arrays[1])


def _displaced(matrix: Array, above: int, below: int) -> Array:
    """Returns a matrix whose entry [u, p] is ``matrix[u + above, p + below]``.

    Entries that would lie outside ``matrix`` are zero.
    """
    if not above and not below:
        return matrix
    found = np.zeros_like(matrix)
    rows, columns = matrix.shape
    here = slice(max(0, -above), min(rows, rows - above))
    at = slice(max(0, -below), min(columns, columns - below))
    if here.start < here.stop and at.start < at.stop:
        found[here, at] = matrix[
            here.start + above : here.stop + above, at.start + below : at.stop + below
        ]
    return found


def farthest(one: Array, two: Array, reach: int) -> int:
    """Returns the largest distance between columns that two nearby rows read.

    A row reads a column if the entry at that row and column is not zero. One row is a
    row of ``one``, the other a row of ``two``, and their indices differ by at most
    ``reach``.
    """
    if not one.shape[1] or not two.shape[1]:
        return 0
    ends = []
    for matrix in (one, two):
        some = matrix != 0
        filled = some.any(axis=1)
        first = np.where(filled, some.argmax(axis=1), matrix.shape[1] * 4)
        last = matrix.shape[1] - 1 - some[:, ::-1].argmax(axis=1)
        ends.append((first, np.where(filled, last, -matrix.shape[1] * 4)))
    (low, high), (other_low, other_high) = ends
    farthest = 0
    for lag in range(min(reach, len(low) - 1) + 1):
        stop = len(low) - lag
        for a, b in ((other_high[lag:], low[:stop]), (other_high[:stop], low[lag:])):
            farthest = max(farthest, int((a - b).max(initial=0)))
        for a, b in ((high[lag:], other_low[:stop]), (high[:stop], other_low[lag:])):
            farthest = max(farthest, int((a - b).max(initial=0)))
    return farthest
