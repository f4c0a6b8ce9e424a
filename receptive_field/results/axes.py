"""The axes of an input, and the coordinates of a feature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from receptive_field.algebra.axis_map import AxisMap
from receptive_field.arrays import np
from receptive_field.errors import ReceptiveFieldError, quoted

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


def middle_of(size: int) -> int:
    """Returns the position in the middle, or the first of the two in an even size."""
    return (size - 1) // 2


def axis_name(number: int) -> str:
    """Returns the name of a spatial axis: x, y or z, or its number after these."""
    return "xyz"[number] if number < 3 else f"axis {number}"


def as_coordinates(given: ArrayLike) -> NDArray[Any]:
    """Returns coordinates as an array.

    Raises:
      ReceptiveFieldError: if they do not form an array.
    """
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ReceptiveFieldError(
            f"coordinates must be an array of numbers: {quoted(error).rstrip('.')}."
        ) from None


def checked_feature(feature: ArrayLike, sizes: Sequence[int]) -> tuple[int, ...]:
    """Returns the coordinates of one feature of a map of these sizes.

    Raises:
      ReceptiveFieldError: if there is no such feature.
    """
    chosen = as_coordinates(feature)
    whole = np.issubdtype(chosen.dtype, np.integer) and chosen.shape == (len(sizes),)
    if not whole or not ((chosen >= 0) & (chosen < sizes)).all():
        shown = " x ".join(map(str, sizes)) or 1
        raise ReceptiveFieldError(
            f"there is no feature {chosen.tolist()}: the map has {shown} features (x "
            f"first), and a feature has {len(sizes)} coordinates, which start at 0."
        )
    return tuple(chosen.tolist())


def checked_coordinates(
    given: ArrayLike, count: int, described: Callable[[], str]
) -> NDArray[Any]:
    """Checks coordinates and returns them as an array.

    Raises:
      ReceptiveFieldError: if the coordinates are not numbers, or their last axis does
        not have ``count`` entries. ``described`` returns the end of the message.
    """
    coordinates = as_coordinates(given)
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
