"""The axes of an input, and the coordinates of a feature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from receptive_field.algebra.axis_map import AxisMap
from receptive_field.arrays import np
from receptive_field.errors import ReceptiveFieldError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class FeatureAxis(NamedTuple):
    """One coordinate of a feature: the output axis along which it counts positions.

    >>> import receptive_field as rf
    >>> size = [299, 299]
    >>> field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH, input_resolution=size)
    >>> field.feature_axes[0]      # x runs along the last axis but one
    FeatureAxis(output_axis=2, size=8)
    """

    output_axis: int | None
    """The axis of the output that the coordinate runs along. If there is no such axis,
    this is None and the coordinate is 0."""
    size: int | None
    """The number of positions along this coordinate, or None if it is unknown."""


@dataclass(frozen=True, slots=True)
class SpatialAxis:
    """One spatial axis of the input, and how the output's features depend on it."""

    map: AxisMap
    """Maps a feature's place on the ``output_axes`` to positions on this axis."""
    input_axis: int
    """The axis of the input tensor."""
    output_axes: tuple[int, ...]
    """The axes of the output tensor that decide which positions of this axis a feature
    sees, in ascending order. Empty if all features see the same positions. Places on
    several axes are counted row by row, as if the axes were reshaped into one."""
    input_size: int | None
    """The number of positions on this axis, or None if it is unknown."""
    output_size: int | None
    """The number of places on the ``output_axes``. None if this number is unknown, or
    if there are no such axes."""

    @property
    def output_axis(self) -> int | None:
        """The single output axis, or None if there are none or several."""
        return self.output_axes[0] if len(self.output_axes) == 1 else None


def checked_coordinates(
    given: ArrayLike, count: int, described: Callable[[], str]
) -> NDArray[Any]:
    """Checks coordinates and returns them as an array.

    Raises:
      ReceptiveFieldError: if the coordinates are not numbers, or their last axis does
        not have ``count`` entries. ``described`` returns the end of the message.
    """
    try:
        coordinates = np.asarray(given)
    except ValueError as error:
        raise ReceptiveFieldError(
            f"coordinates must be an array of numbers: {error}."
        ) from None
    if not coordinates.ndim or coordinates.shape[-1] != count:
        raise ReceptiveFieldError(
            f"coordinates must have {count} entries in their last axis, but their "
            f"shape is {coordinates.shape}: {described()}."
        )
    if not np.issubdtype(coordinates.dtype, np.number):
        raise ReceptiveFieldError(
            f"coordinates must be numbers, not {coordinates.dtype}."
        )
    return coordinates
