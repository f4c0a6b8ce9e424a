"""Receptive fields found by experiment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredReceptiveField:
    """The input positions that change a feature, as found by experiment.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor of the feature.
      feature: the coordinates of the feature, x first.
      per_axis: for each axis, x first, a boolean array that marks the positions that
        change the feature.
      positions: a boolean array that marks the positions that change the feature, in
        the spatial shape of the input, (height, width) for an image. None if each axis
        was measured by itself.
    """

    input: str
    output: str
    feature: tuple[int, ...]
    per_axis: tuple[Mask, ...]
    positions: Mask | None

    @property
    def region(self) -> NDArray[np.int64]:
        """The first and last position that change the feature, on each axis, x first.

        The result is ``[0, -1]`` on every axis if no position changes the feature.
        """
        ends = [np.flatnonzero(mask)[[0, -1]] for mask in self.per_axis if mask.any()]
        if len(ends) < len(self.per_axis):
            ends = [np.array([0, -1])] * len(self.per_axis)
        return np.array(ends, dtype=np.int64)

    @property
    def size(self) -> NDArray[np.int64]:
        """The extent of the region, x first."""
        return self.region[:, 1] - self.region[:, 0] + 1


Mask = NDArray[np.bool_]
