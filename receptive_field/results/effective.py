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
      map: float64, of the spatial shape of the input, (height, width) of an image: the
        share of each position, one in total.
      total: the sum before it was divided: the expected squared gradient with respect
        to the whole input. 1 less what was lost in padding, or weighed by poolings.
      assumed: the nodes that there is no exact rule for; see the module.
      draws: how many random inputs were averaged over; None if computed.
      standard_error: of a measured map, that of each position; None if computed.
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
        """Whether it is computed, and nothing had to be assumed but what stands above.

        That is, but the derivatives of activations and the choice of maxima.
        """
        return self.draws is None and not self.assumed

    @property
    def coordinates(self) -> tuple[NDArray[np.int64], ...]:
        """The input positions along each axis, x first: what to plot `profiles` over.

        `map` is over ``coordinates[::-1]``.
        """
        return tuple(np.arange(size, dtype=np.int64) for size in self.map.shape[::-1])

    @property
    def profiles(self) -> tuple[Array, ...]:
        """The map summed over all other axes, for each axis, x first."""
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
        """The extent of `interval`, x first: ``2 * reach + 1`` input positions."""
        ends = self.interval()
        return np.asarray(ends[:, 1] - ends[:, 0] + 1)

    def interval(self, share: float = TWO_SIGMA) -> Array:
        """The smallest interval around the centre of mass that holds this share.

        Args:
          share: of the profile; that of two standard deviations of a Gaussian, 95.45 %,
            by default.

        Returns:
          float64 array of shape ``(d, 2)``, x first: the centre less and plus the
          distance within which the share lies. It may reach past the input.
        """
        if not 0 < share <= 1:
            raise ReceptiveFieldError(f"a share is above 0, at most 1; not {share!r}.")
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


Array = NDArray[np.float64]
