"""The levels of a feature pyramid, and the sizes of objects that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from receptive_field.algebra.axis_map import INFINITY
from receptive_field.errors import NoSuchEntryError
from receptive_field.printable import printable
from receptive_field.results.columns import in_columns
from receptive_field.results.field import ReceptiveField
from receptive_field.results.words import numbers, size_words, stride_words

Sides = float | tuple[float, ...]
"""The side of a square object, or the sides of another one, x first."""


@dataclass(frozen=True, slots=True)
class PyramidLevel:
    """A level of a feature pyramid: a tensor of the model.

    Attributes:
      name: the name of the tensor.
      field: its receptive field. `ReceptiveField.local` leaves out the paths that see a
        whole axis.
    """

    name: str
    field: ReceptiveField

    @property
    def size(self) -> list[int | float]:
        """The size of the local receptive field, x first; infinite if all paths see a
        whole axis."""
        local = self.field.local
        sizes: list[int | float] = (local or self.field).size.tolist()
        return sizes

    @property
    def stride(self) -> list[Any]:
        """The effective stride, x first; None on an axis without one."""
        strides: list[Any] = (self.field.local or self.field).stride.tolist()
        return strides

    @property
    def exact(self) -> bool:
        """Whether the size is exact, and not only an upper bound."""
        return (self.field.local or self.field).exact

    def covers(self, size: Sides) -> bool | None:
        """Returns whether the field is at least this large on every axis.

        Args:
          size: the size on all axes, or on each axis, x first.

        Returns:
          None if this is unknown, because the field is only an upper bound.
        """
        enough = self.share(size) >= 1
        return enough if not enough or self.exact else None

    def share(self, size: Sides) -> float:
        """Returns the part of a size that the field covers, on the axis where it is the
        smallest; more than 1 if the field is larger."""
        sides = size if isinstance(size, tuple) else (size,) * len(self.size)
        pairs = zip(self.size, sides, strict=True)
        return min(one / side for one, side in pairs)


class ObjectLevel(NamedTuple):
    """The level for objects of one size.

    >>> print(ObjectLevel(64, None, "p5").nearest)
    p5
    """

    size: Sides
    """The side of the object, in positions of the input; one for each axis, x first, if
    the object is not square."""
    level: str | None
    """The finest level that covers the object; None if none does, or if it is unknown
    whether one does."""
    nearest: str
    """This level or, if there is none, the level with the largest field."""


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The levels of a feature pyramid, and the level for each size of objects.

    Attributes:
      levels: the levels, the finest first.
      objects: the level for each size, in the order of the sizes that the caller gave.
    """

    levels: tuple[PyramidLevel, ...]
    objects: tuple[ObjectLevel, ...]

    def __getitem__(self, name: str) -> PyramidLevel:
        for level in self.levels:
            if level.name == name:
                return level
        known = ", ".join(repr(level.name) for level in self.levels)
        raise NoSuchEntryError(f"there is no level {name!r}; there are {known}.")

    def __str__(self) -> str:
        rows = [("level", "stride", "receptive field")]
        for level in self.levels:
            stride = numbers(stride_words(level.field.local or level.field))
            rows.append((printable(level.name), stride, self._size(level)))
        found = [("object", "level")]
        for one in self.objects:
            told = printable(one.level or "")
            if one.level is None:
                size = self._size(self[one.nearest])
                told = f"none; {printable(one.nearest)} comes nearest with {size}"
            sides = one.size if isinstance(one.size, tuple) else (one.size,)
            found.append((numbers(f"{side:g}" for side in sides), told))
        return "\n".join([*in_columns(rows), "", *in_columns(found)])

    @staticmethod
    def _size(level: PyramidLevel) -> str:
        size = numbers(size_words(level.field.local or level.field))
        return size + ("" if level.exact else ", an upper bound")

    def to_dict(self) -> dict[str, Any]:
        """Returns the pyramid as plain data for JSON.

        Returns:
          ``levels``: for each level its ``name``, and ``size``, ``stride`` (x first)
          and ``exact`` of the local field; ``objects``: for each size the ``level``
          (None if there is none) and the ``nearest`` level. An infinite size is
          ``"inf"``.
        """
        levels = [
            {
                "name": level.name,
                "size": _plain(level.size),
                "stride": _plain(level.stride),
                "exact": level.exact,
            }
            for level in self.levels
        ]
        return {"levels": levels, "objects": [one._asdict() for one in self.objects]}


def _plain(values: Sequence[Any]) -> list[Any]:
    return [
        v if v is None or (v != INFINITY and v % 1 == 0) else str(v) for v in values
    ]
