"""A receptive field in physical units, such as milliseconds or millimetres."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from receptive_field.arrays import np
from receptive_field.errors import ReceptiveFieldError
from receptive_field.net import guarded
from receptive_field.printable import printable
from receptive_field.results import words

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LARGEST = 1 << 1000
"""Denominators up to this one are floats, and leave room for products."""

Spacing = float | Sequence[float]
"""The distance between neighbouring positions: one for all axes, or one per axis."""


class Units(NamedTuple):
    """A unit of length or time, and how many of it neighbouring positions are apart."""

    spacing: tuple[float, ...]
    """The distance between neighbouring positions on each axis, x first."""
    unit: str
    """The name of the unit."""


class Placed(words.Described, Protocol):
    """The part of a `ReceptiveField` that is needed to locate features."""

    def compute_input_region(
        self, y: ArrayLike, clip: bool = False
    ) -> NDArray[np.int64]:
        """See `ReceptiveField.compute_input_region`."""

    def compute_box_region(
        self, first: Sequence[int], last: Sequence[int], clip: bool = False
    ) -> NDArray[np.int64]:
        """See `ReceptiveField.compute_box_region`."""

    def compute_input_center_coordinates(self, y: ArrayLike) -> NDArray[Any]:
        """See `ReceptiveField.compute_input_center_coordinates`."""

    def look_ahead(self) -> Ahead:
        """See `ReceptiveField.look_ahead`."""


class Ahead(Protocol):
    """The part of a `LookAhead` that is needed to show it in a unit."""

    def in_units(self, spacing: Spacing, unit: str) -> Any:
        """See `LookAhead.in_units`."""


@dataclass(frozen=True, slots=True)
class FieldInUnits:
    """A receptive field in physical units; see `ReceptiveField.in_units`.

    Position i of an axis covers the interval from ``i * spacing`` to
    ``(i + 1) * spacing``. Its centre is therefore at ``(i + 1/2) * spacing``, and n
    positions have the size ``n * spacing``. All numbers list x first.

    Attributes:
      field: the receptive field in positions.
      spacing: the distance between neighbouring positions on each axis, x first.
      unit: the name of the unit.
    """

    field: Placed
    spacing: tuple[float, ...]
    unit: str

    @property
    def size(self) -> NDArray[Any]:
        """Receptive field sizes. They may be infinite, as in `ReceptiveField.size`."""
        return _array(self._scaled(self.field.size))

    @property
    def stride(self) -> NDArray[Any]:
        """How far the region moves per feature. None as in `ReceptiveField.stride`."""
        return _array(self._scaled(self.field.stride))

    @property
    def padding(self) -> NDArray[Any]:
        """How far the region of feature 0 reaches beyond the start of the input.

        None as in `ReceptiveField.padding`.
        """
        return _array(self._scaled(self.field.padding))

    @property
    def input_size(self) -> tuple[float | None, ...]:
        """The length of each axis of the input. None if its size is unknown."""
        return tuple(self._scaled(axis.input_size for axis in self.field.axes))

    def compute_input_region(
        self, y: ArrayLike, clip: bool = False
    ) -> NDArray[np.float64]:
        """Returns where the region of each feature starts and ends.

        Args:
          y: integer feature coordinates, as for `ReceptiveField.compute_input_region`.
          clip: whether to restrict regions to real input positions.

        Returns:
          A float64 array of shape ``(..., d, 2)``: start and end of the region on each
          axis of the input, x first. The start is that of the first position, and the
          end is that of the last position. For a feature that sees nothing, both are 0.

        Raises:
          ReceptiveFieldError: as for `ReceptiveField.compute_input_region`.
        """
        return self._ends(self.field.compute_input_region(y, clip=clip))

    def compute_box_region(
        self, first: Sequence[int], last: Sequence[int], clip: bool = False
    ) -> NDArray[np.float64]:
        """Returns where the region of a box of features starts and ends.

        Args:
          first: the first feature of the box, as for
            `ReceptiveField.compute_box_region`.
          last: the last feature of the box, inclusive.
          clip: whether to restrict the region to real input positions.

        Returns:
          A float64 array of shape ``(d, 2)``: start and end on each axis, x first.

        Raises:
          ReceptiveFieldError: as for `ReceptiveField.compute_box_region`.
        """
        return self._ends(self.field.compute_box_region(first, last, clip=clip))

    def compute_input_center_coordinates(self, y: ArrayLike) -> NDArray[np.float64]:
        """Returns the centres of the features' regions.

        Args:
          y: feature coordinates, as for
            `ReceptiveField.compute_input_center_coordinates`. They may be fractions.

        Returns:
          A float64 array of shape ``(..., d)``, x first.

        Raises:
          ReceptiveFieldError: as for `ReceptiveField.compute_input_center_coordinates`.
        """
        centers = self.field.compute_input_center_coordinates(y)
        return _all_scaled(centers + 0.5, self.spacing)

    def look_ahead(self) -> Any:
        """Returns how far features look ahead and back, in the unit.

        Returns:
          A `LookAhead`, as `ReceptiveField.look_ahead` returns it.

        Raises:
          ReceptiveFieldError: as for `ReceptiveField.look_ahead`.
        """
        return self.field.look_ahead().in_units(self.spacing, self.unit)

    def to_dict(self) -> dict[str, Any]:
        """Returns the numbers as plain data for JSON.

        Returns:
          ``unit``; and lists with one number per axis, x first: ``spacing``,
          ``input_size``, ``size``, ``stride``, ``padding`` and ``first_center``.
          Unknown values are None. An infinite size is ``"inf"``.
        """
        size = self._scaled(self.field.size)
        return {
            "unit": self.unit,
            "spacing": list(self.spacing),
            "input_size": list(self.input_size),
            "size": ["inf" if value == math.inf else value for value in size],
            "stride": self._scaled(self.field.stride),
            "padding": self._scaled(self.field.padding),
            "first_center": self._first_center(),
        }

    @guarded
    def __str__(self) -> str:
        return self.as_text()

    @guarded
    def as_text(self, told: Callable[[str], str] = str) -> str:
        """Returns the numbers as plain text in two columns.

        Args:
          told: a function that rewrites the notes, such as for the command line.
        """
        return words.in_two_columns(self._lines(), told)

    def _lines(self) -> list[tuple[str, str]]:
        field, found = self.field, []
        sizes = [axis.input_size for axis in field.axes]
        told = {
            "receptive field": words.size_words(field),
            "effective stride": words.stride_words(field),
            "effective padding": words.padding_words(field),
        }
        local = field.local
        for label, text in words.lines(field):
            if label == "input" and None not in sizes:
                length = self._told(self._scaled(sizes))
                positions = f"{words.numbers(sizes)} positions"
                text = f"{printable(field.input)} ({length}: {positions})"
            elif label in told:
                text = self._both(told[label])
                if label == "receptive field":
                    text = words.at_most(field) + text
            elif label == words.LOCAL and local is not None:
                size = self._both(words.size_words(local))
                stride = self._both(words.stride_words(local))
                padding = self._both(words.padding_words(local))
                text = (
                    f"receptive field {size}, stride {stride}, padding {padding}; "
                    f"{words.exactness(local)}"
                )
            if label == "aligned":
                centers = self._first_center()
                if centers is not None:
                    found.append(("first centre", self._told(centers)))
                spacing = f"{self._told(self.spacing)} per position"
                found.append(("spacing", spacing))
            found.append((label, text))
        return found

    def _both(self, values: Iterable[Any]) -> str:
        """Returns numbers in the unit, followed by the same numbers in positions."""
        values = list(values)
        told = self._told(self._scaled(values))
        if words.WORDS.issuperset(values):
            return told
        positions = words.numbers(values)
        if words.WORDS.isdisjoint(values):
            return f"{told} ({positions} positions)"
        return f"{told} (in positions: {positions})"

    def _told(self, values: Iterable[Any]) -> str:
        return with_unit([rounded(value) for value in values], self.unit)

    def _scaled(self, values: Iterable[Any]) -> list[Any]:
        return scaled(values, self.spacing)

    def _first_center(self) -> list[float] | None:
        return in_middle(words.first_center(self.field), self.spacing)

    def _ends(self, regions: NDArray[np.int64]) -> NDArray[np.float64]:
        limits = np.iinfo(np.int64)
        ends = regions.astype(np.float64)
        ends[..., 1] += 1
        ends[regions == limits.min] = -np.inf
        ends[regions == limits.max] = np.inf
        return np.stack(
            [_all_scaled(ends[..., place], self.spacing) for place in range(2)], axis=-1
        )


def scaled(values: Iterable[Any], spacing: Sequence[float]) -> list[Any]:
    """Returns distances in a unit, with unknown values and words unchanged."""
    return [
        value
        if value is None or value in words.WORDS or value == math.inf
        else float(Fraction(value) * as_written(step))
        for value, step in zip(values, spacing, strict=True)
    ]


def as_written(step: float) -> Fraction:
    """Returns the number that a float is written as, so that 3 times 0.7 is 2.1.

    >>> as_written(0.7), float(3 * as_written(0.7)), 3 * 0.7
    (Fraction(7, 10), 2.1, 2.0999999999999996)
    """
    return Fraction(repr(float(step)))


def _all_scaled(
    values: NDArray[np.float64], spacing: Sequence[float]
) -> NDArray[np.float64]:
    """Returns an array of distances in a unit; its last axis has the spacing."""
    steps = [as_written(step) for step in spacing]
    parts: list[Any] = [(step.numerator, step.denominator) for step in steps]
    if any(step.denominator > LARGEST for step in steps):
        parts = [(step, 1) for step in spacing]
    above, below = np.array(parts, dtype=float).T
    return np.asarray(values * above / below)


def in_middle(
    centers: Sequence[float] | None, spacing: Sequence[float]
) -> list[float] | None:
    """Returns centres in a unit, where position 0 begins at 0 and ends at spacing."""
    return None if centers is None else scaled([c + 0.5 for c in centers], spacing)


def rounded(value: float | str) -> str:
    """Returns a number as text with ten digits, so that 3 times 0.1 reads 0.3.

    A word is returned as it is.
    """
    return value if isinstance(value, str) else f"{value:.10g}"


def with_unit(values: Sequence[Any], unit: str) -> str:
    """Returns numbers and words of all axes as text, the numbers with their unit.

    >>> with_unit([3, 4], "mm"), with_unit([3, "unknown"], "mm")
    ('x: 3, y: 4 mm', 'x: 3 mm, y: unknown')
    """
    known = words.WORDS.isdisjoint(values)
    if known:
        return f"{words.numbers(values)} {unit}"
    return words.numbers(v if v in words.WORDS else f"{v} {unit}" for v in values)


def checked_spacing(spacing: Any, unit: Any, count: int) -> Units:
    """Returns the spacing of each axis, and the unit.

    Args:
      spacing: what the caller gave as the distance between neighbouring positions.
      unit: what the caller gave as the name of the unit.
      count: the number of spatial axes of the input.

    Raises:
      ReceptiveFieldError: if the spacing does not fit the axes or the unit is no name.
    """
    if spacing is None:
        raise ReceptiveFieldError(
            f"a unit ({unit!r}) requires a spacing: the distance between neighbouring "
            "positions of the input in this unit. Give both, such as spacing=0.0625, "
            f"unit={unit or 'ms'!r} (0.0625 ms is the spacing of sound at 16 kHz)."
        )
    if unit is None:
        raise ReceptiveFieldError(
            f"a spacing ({spacing!r}) requires the name of its unit. Give both, such "
            f"as spacing={_as_given(spacing)}, unit='mm'."
        )
    if not isinstance(unit, str) or not unit.strip():
        raise ReceptiveFieldError(
            f"the name of a unit is a text, such as 'ms' or 'mm'; got {unit!r}."
        )
    what = "a spacing is the distance between neighbouring positions"
    return Units(checked_lengths(spacing, count, what, "the spacing"), unit)


def checked_lengths(
    lengths: Any, count: int, what: str, short: str
) -> tuple[float, ...]:
    """Returns a length for each axis.

    Args:
      lengths: what the caller gave: one for all axes, or one for each.
      count: the number of spatial axes of the input.
      what: a sentence that says what the lengths are.
      short: what they are called.

    Raises:
      ReceptiveFieldError: if these are not positive numbers that fit the axes.
    """
    names = ", ".join("xyz"[:count] if count <= 3 else map(str, range(count)))
    given = [lengths] * count if isinstance(lengths, numbers.Real) else lengths
    try:
        steps = [step for step in given if not isinstance(step, (str, bool))]
        found = tuple(float(step) for step in steps)
        fits = len(found) == len(given) and all(map(math.isfinite, found))
    except (TypeError, ValueError, OverflowError):
        found, fits = (), False
    if not fits or any(step <= 0 for step in found) or isinstance(lengths, bool):
        raise ReceptiveFieldError(
            f"{what}: a positive number, or one for each axis of the input ({names}); "
            f"got {lengths!r}."
        )
    if len(found) != count:
        raise ReceptiveFieldError(
            f"the input has {count} spatial axes ({names}), but {short} has "
            f"{len(found)} numbers: {lengths!r}. Give one number for each axis, x "
            "first, or a single number for all."
        )
    return found


def _as_given(spacing: Any) -> str:
    """Returns a spacing as it is written in Python, if it is one."""
    return repr(spacing) if isinstance(spacing, (int, float, list, tuple)) else "0.5"


def _array(values: Sequence[Any]) -> NDArray[Any]:
    """Returns a float64 array, or an object array if some values are unknown."""
    return np.array(values, dtype=object if None in values else np.float64)
