"""The receptive fields of all layers in physical units."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.net import guarded
from receptive_field.results.units import (
    FieldInUnits,
    Placed,
    Units,
    as_written,
    checked_lengths,
)


@dataclass(frozen=True, slots=True, repr=False)
class FieldsInUnits(Mapping[str, FieldInUnits]):
    """Receptive fields in physical units, by name, in topological order.

    It prints as a table. Sizes, strides, paddings and centres that refer to the input
    are in the unit, which is part of the names of their columns. The numbers of a layer
    itself (its kernel, stride and padding) count positions of the layer's own input.

    Attributes:
      errors: name -> the reason why the layer could not be analysed. Looking up one of
        these names raises the error.
    """

    _fields: Mapping[str, Placed]
    errors: Mapping[str, ReceptiveFieldError]
    _units: Units
    _unproductive: Callable[[], tuple[str, ...] | None]
    _covering: Callable[[Sequence[int]], Mapping[str, Placed]]

    def __getitem__(self, name: str) -> FieldInUnits:
        return FieldInUnits(self._fields[name], *self._units)

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    @property
    def spacing(self) -> tuple[float, ...]:
        """The distance between neighbouring positions on each axis, x first."""
        return self._units.spacing

    @property
    def unit(self) -> str:
        """The name of the unit."""
        return self._units.unit

    def covering(self, size: float | Sequence[float]) -> FieldsInUnits:
        """Returns the first layers whose receptive field covers a size in the unit.

        Args:
          size: the size: a number for all axes, or one for each axis, x before y.

        Returns:
          The receptive fields of these layers, as `ReceptiveFields.covering` returns
          them.

        Raises:
          ReceptiveFieldError: if the size is not one or more positive numbers, or no
            layer covers it. The message tells the size in positions.

        >>> import receptive_field as rf
        >>> found = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH).in_units(0.5, "mm")
        >>> list(found.covering(7.5))   # 15 pixels
        ['InceptionResnetV2/MaxPool_3a_3x3/MaxPool']
        """
        what = f"the size to cover is in {self.unit}"
        wanted = checked_lengths(size, len(self.spacing), what, "the size")
        pairs = zip(wanted, self.spacing, strict=True)
        counts = [math.ceil(as_written(n) / as_written(step)) for n, step in pairs]
        found = self._covering(counts)
        return replace(self, _fields=found, errors={})

    def __repr__(self) -> str:
        return (
            f"<FieldsInUnits: {len(self)} tensors in {self.unit}, "
            f"{len(self.errors)} errors>"
        )

    @guarded
    def __str__(self) -> str:
        # Imported only for printing.
        import sys

        from receptive_field.results.fitting import terminal_fit
        from receptive_field.results.tables import as_text

        fit, found = terminal_fit(sys.stdout), self._unproductive()
        return as_text(self._fields, self.errors, found, fit, self._units)

    @guarded
    def _repr_html_(self) -> str:
        """Returns the HTML that a notebook shows."""
        from receptive_field.results.tables import as_html

        found = self._unproductive()
        return as_html(self._fields, self.errors, found, self._units)

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields and errors as plain data for JSON.

        Returns:
          ``fields``: name -> `FieldInUnits.to_dict`, in topological order; and
          ``errors``: name -> message.

        >>> import receptive_field as rf
        >>> found = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH).in_units(0.5, "mm")
        >>> found.to_dict()["fields"]["InceptionResnetV2/Mixed_5b/concat"]["size"]
        [31.5, 31.5]
        """
        return {
            "fields": {name: self[name].to_dict() for name in self},
            "errors": {name: str(error) for name, error in self.errors.items()},
        }

    def to_dataframe(self) -> Any:
        """Returns a pandas DataFrame with one row for each layer.

        Returns:
          A table as of `ReceptiveFields.to_dataframe`. The names of columns in the unit
          end with it: ``rf_x_mm``, ``stride_x_mm``, ``padding_x_mm``, ``center_x_mm``
          and ``local_rf_x_mm``, likewise for y and z.

        Raises:
          ReceptiveFieldError: if pandas is not installed.

        >>> import receptive_field as rf
        >>> found = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH).in_units(0.5, "mm")
        >>> table = found.to_dataframe().set_index("layer")
        >>> float(table.rf_x_mm["InceptionResnetV2/Mixed_5b/concat"])
        31.5
        """
        from receptive_field.results.tables import as_dataframe

        found = self._unproductive()
        return as_dataframe(self._fields, self.errors, found, self._units)
