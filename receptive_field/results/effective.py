"""How much each position of the input matters for a feature."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import ReceptiveFieldError

TWO_SIGMA = math.erf(math.sqrt(2))
"""The share of a Gaussian within two standard deviations: 95.45 %."""


@dataclass(frozen=True, slots=True, eq=False)
class EffectiveReceptiveField:
    """How much each position of the input matters for one feature.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor of the feature.
      feature: the coordinates of the feature, x first.
      map: the share of each position, as a float64 array that sums to one, in the
        spatial shape of the input, (height, width) for an image.
      total: the sum of the map before normalisation, that is, the expected squared
        gradient with respect to the whole input. It is below 1 if gradients were lost
        in padding or scaled down by pooling.
      assumed: the nodes without an exact rule. All positions that such a node reads
        were assumed to matter equally.
      draws: the number of random inputs that a measured map is averaged over. None for
        a computed map.
      standard_error: the standard error of each position of a measured map. None for a
        computed map.
    """

    input: str
    output: str
    feature: tuple[int, ...]
    map: Array
    total: float
    assumed: tuple[str, ...] = ()
    draws: int | None = None
    standard_error: Array | None = None

    @property
    def exact(self) -> bool:
        """Whether the map is computed and no node needed an assumption.

        Assumptions about activation derivatives and the choices of maxima are allowed.
        """
        return self.draws is None and not self.assumed

    @property
    def coordinates(self) -> tuple[NDArray[np.int64], ...]:
        """The input positions along each axis, x first, to plot `profiles` against.

        The axes of `map` are ``coordinates[::-1]``.
        """
        return tuple(np.arange(size, dtype=np.int64) for size in self.map.shape[::-1])

    @property
    def profiles(self) -> tuple[Array, ...]:
        """For each axis, x first, the map summed over all other axes."""
        axes = range(self.map.ndim)
        others = [tuple(a for a in axes if a != axis) for axis in axes]
        return tuple(self.map.sum(axis=other) for other in others[::-1])

    @property
    def center(self) -> Array:
        """The centre of mass, x first, in input coordinates."""
        pairs = zip(self.profiles, self.coordinates, strict=True)
        return np.array([profile @ at for profile, at in pairs])

    @property
    def deviation(self) -> Array:
        """The standard deviation along each axis, x first, in input positions."""
        triples = zip(self.profiles, self.coordinates, self.center, strict=True)
        return np.array([math.sqrt(p @ (at - c) ** 2) for p, at, c in triples])

    @property
    def size(self) -> Array:
        """The extent of the default `interval` on each axis, in positions, x first."""
        ends = self.interval()
        return np.asarray(ends[:, 1] - ends[:, 0] + 1)

    def area(self, share: float = TWO_SIGMA) -> int:
        """Returns the smallest number of positions that hold a share of the whole.

        Args:
          share: the share that these positions hold together.
        """
        _check_share(share)
        held = np.cumsum(np.sort(self.map, axis=None)[::-1])
        found = int(np.searchsorted(held, share - 1e-12)) + 1
        return min(found, int(np.count_nonzero(self.map)))

    def interval(self, share: float = TWO_SIGMA) -> Array:
        """Returns the smallest interval around the centre of mass with a given share.

        Args:
          share: the share of each profile that the interval contains. The default is
            the share of a Gaussian within two standard deviations, 95.45 %.

        Returns:
          A float64 array of shape ``(d, 2)``, x first: the two ends of the interval,
          which are equally far from the centre. They may lie outside the input.
        """
        _check_share(share)
        ends = []
        for profile, at, center in zip(
            self.profiles, self.coordinates, self.center, strict=True
        ):
            distances = np.abs(at - center)
            order = np.argsort(distances, kind="stable")
            held = np.cumsum(profile[order])
            last = min(int(np.searchsorted(held, share - 1e-12)), len(order) - 1)
            reach = distances[order[last]]
            ends.append((center - reach, center + reach))
        return np.array(ends)


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ReceptiveFieldError(
            f"a share must be above 0 and at most 1, not {share!r}."
        )


Array = NDArray[np.float64]
