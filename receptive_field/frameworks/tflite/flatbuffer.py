"""Reads flatbuffers: tables, vectors and texts, each checked against the file's end.

A table begins with the distance to its vtable, which lists where in the table each
field begins. Distances to tables, vectors and texts point forward, so they cannot form
circles. They may overlap, so the number of elements that are read is limited by the
size of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NoReturn

from receptive_field.errors import GraphError
from receptive_field.frameworks.tflite.content import Content

SIZES = {letter: struct.calcsize(f"<{letter}") for letter in "bBhHiIqQfd?"}

MOST_READ = 16
"""How often, on average, each byte of a file may be read."""


class Flatbuffer:
    """A flatbuffer, and the tables that have been looked up in it."""

    def __init__(self, content: Content, name: str) -> None:
        """Stores the content. Error messages contain the name."""
        self.content = content
        self.name = name
        self._vtables: dict[int, tuple[int, ...]] = {}
        self._left = MOST_READ * content.size + (1 << 16)

    def root(self) -> Table:
        """Returns the root table, to which the first four bytes point."""
        return self.table(self._forward(0, "the root table"))

    def fail(self, position: int, reason: str) -> NoReturn:
        """Raises an error about a byte of the file.

        Raises:
          GraphError: always.
        """
        raise GraphError(
            f"{self.name} is damaged: at byte {position}, {reason}; the file has "
            f"{self.content.size} bytes."
        )

    def bytes(self, position: int, count: int, what: str) -> bytes:
        """Returns bytes that belong to something, which error messages name."""
        if position < 0 or position + count > self.content.size:
            self.fail(position, f"{what} extends past the end of the file")
        self._left -= count
        if self._left < 0:
            self.fail(position, f"{what} is one of too many that overlap")
        return self.content.read(position, count) if count else b""

    def number(self, position: int, letter: str, what: str) -> Any:
        """Returns one number, in a format of the module `struct`."""
        found = self.bytes(position, SIZES[letter], what)
        return struct.unpack(f"<{letter}", found)[0]

    def numbers(self, position: int, letter: str, what: str) -> Sequence[Any]:
        """Returns the numbers of a vector."""
        count, start = self.vector(position, SIZES[letter], what)
        found = self.bytes(start, count * SIZES[letter], what)
        return struct.unpack(f"<{count}{letter}", found)

    def vector(self, position: int, size: int, what: str) -> tuple[int, int]:
        """Returns the length of a vector, and where its elements of this size begin."""
        start = self._forward(position, what)
        count: int = self.number(start, "I", what)
        if start + 4 + count * size > self.content.size:
            self.fail(start, f"{what} claims to have {count} elements")
        return count, start + 4

    def table(self, position: int) -> Table:
        """Returns the table that begins at this byte."""
        back: int = self.number(position, "i", "a table")
        place = position - back
        known = self._vtables.get(place)
        if known is None:
            length: int = self.number(place, "H", "the layout of a table")
            if length < 4 or length % 2:
                self.fail(place, f"the layout of a table has a length of {length}")
            found = self.bytes(place, length, "the layout of a table")
            known = struct.unpack(f"<{length // 2}H", found)
            self._vtables[place] = known
        return Table(self, position, known)

    def _forward(self, position: int, what: str) -> int:
        distance: int = self.number(position, "I", what)
        target = position + distance
        if distance < 4 or target + 4 > self.content.size:
            self.fail(position, f"the distance to {what} is {distance}")
        return target


class Table:
    """A table of a flatbuffer. Fields are read by their numbers in the schema."""

    __slots__ = ("_layout", "buffer", "position")

    def __init__(
        self, buffer: Flatbuffer, position: int, layout: tuple[int, ...]
    ) -> None:
        self.buffer = buffer
        self.position = position
        self._layout = layout

    def _place(self, field: int) -> int | None:
        """Returns where a field begins, or None if the table does not have it."""
        layout = self._layout
        if field + 2 >= len(layout) or not layout[field + 2]:
            return None
        return self.position + layout[field + 2]

    def number(self, field: int, letter: str, default: Any = 0) -> Any:
        """Returns a number, or the default if the table does not have the field."""
        place = self._place(field)
        if place is None:
            return default
        return self.buffer.number(place, letter, "a field")

    def numbers(self, field: int, letter: str, what: str = "a vector") -> Sequence[Any]:
        """Returns a vector of numbers, which is empty if the field is missing."""
        place = self._place(field)
        return () if place is None else self.buffer.numbers(place, letter, what)

    def vector(self, field: int, what: str = "a vector") -> tuple[int, int] | None:
        """Returns the length of a vector of bytes, and where they begin."""
        place = self._place(field)
        return None if place is None else self.buffer.vector(place, 1, what)

    def text(self, field: int, what: str = "a text") -> str:
        """Returns a text, which is empty if the field is missing."""
        found = self.vector(field, what)
        if found is None:
            return ""
        count, start = found
        return self.buffer.bytes(start, count, what).decode("utf-8", "replace")

    def table(self, field: int) -> Table | None:
        """Returns the table that a field points to."""
        place = self._place(field)
        if place is None:
            return None
        return self.buffer.table(self.buffer._forward(place, "a table"))

    def tables(self, field: int, what: str = "a vector") -> Tables:
        """Returns a vector of tables, which is empty if the field is missing."""
        place = self._place(field)
        if place is None:
            return Tables(self.buffer, 0, 0)
        return Tables(self.buffer, *self.buffer.vector(place, 4, what))


class Tables:
    """A vector of tables, each of which is looked up when it is asked for."""

    def __init__(self, buffer: Flatbuffer, count: int, start: int) -> None:
        self._buffer, self._count, self._start = buffer, count, start

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Table:
        if not 0 <= number < self._count:
            raise IndexError(number)
        place = self._start + 4 * number
        return self._buffer.table(self._buffer._forward(place, "a table"))
