"""The tensors of a subgraph: names, shapes, types, and values of small constants."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.tensorflow.attributes import (
    LARGEST_NUMBERS,
    LARGEST_VALUE,
)
from receptive_field.frameworks.tflite.content import Content
from receptive_field.frameworks.tflite.flatbuffer import (
    SIZES,
    Flatbuffer,
    Table,
    Tables,
)
from receptive_field.frameworks.tflite.schema import TYPES
from receptive_field.rules.op import StatedShape
from receptive_field.threads import lazy

FORMATS = {
    "FLOAT32": ("f", "float32"),
    "FLOAT64": ("d", "float64"),
    "INT8": ("b", "int8"),
    "INT16": ("h", "int16"),
    "INT32": ("i", "int32"),
    "INT64": ("q", "int64"),
    "UINT8": ("B", "uint8"),
    "UINT16": ("H", "uint16"),
    "UINT32": ("I", "uint32"),
    "UINT64": ("Q", "uint64"),
    "BOOL": ("?", "bool"),
}
"""Types of constants whose values can be read -> formats in `struct` and NumPy."""

NUMBERS = {
    "FLOAT32": 1,
    "FLOAT64": 2,
    "INT32": 3,
    "UINT8": 4,
    "INT16": 5,
    "INT8": 6,
    "STRING": 7,
    "COMPLEX64": 8,
    "INT64": 9,
    "BOOL": 10,
    "BFLOAT16": 14,
    "UINT16": 17,
    "COMPLEX128": 18,
    "FLOAT16": 19,
    "RESOURCE": 20,
    "VARIANT": 21,
    "UINT32": 22,
    "UINT64": 23,
    "INT4": 29,
    "UINT4": 30,
}
"""Types -> the numbers of the same types in TensorFlow, as rules know them."""

MOST_AXES = 64


class TensorInfo:
    """A tensor of a subgraph. All but its table is read when it is asked for."""

    def __init__(
        self, table: Table, buffers: Tables, subgraph: int, number: int
    ) -> None:
        """Stores the table, and the numbers of the subgraph and of the tensor in it."""
        self._table = table
        self._buffers = buffers
        self.subgraph = subgraph
        self.number = number

    @property
    def _file(self) -> Flatbuffer:
        return self._table.buffer

    @property
    def content(self) -> Content:
        """The bytes of the file."""
        return self._file.content

    @lazy
    def name(self) -> str:
        """The name, which need not be unique and may be empty."""
        return self._table.text(3, "the name of a tensor")

    @lazy
    def type(self) -> str:
        """The name of the data type."""
        number: int = self._table.number(1, "b")
        if not 0 <= number < len(TYPES):
            self._file.fail(self._table.position, f"a tensor has the type {number}")
        return TYPES[number]

    @lazy
    def dtype(self) -> int:
        """The number that TensorFlow gives the data type, or 0 if it has none."""
        return NUMBERS.get(self.type, 0)

    @lazy
    def stored_shape(self) -> tuple[int, ...]:
        """The sizes of the axes when the file was written; 1 may stand for unknown."""
        return self._sizes(0, 0)

    @lazy
    def shape(self) -> StatedShape:
        """The sizes of the axes; None if they are unknown.

        A tensor whose shape is empty may be a number, or may have any rank.
        """
        signature = self._sizes(7, -1)
        if signature:
            return tuple(None if size < 0 else size for size in signature)
        stored = self.stored_shape
        return stored if stored or self._table.number(8, "?", False) else None

    def _sizes(self, field: int, least: int) -> tuple[int, ...]:
        found = tuple(self._table.numbers(field, "i", "the shape of a tensor"))
        if len(found) > MOST_AXES or any(size < least for size in found):
            self._file.fail(
                self._table.position, f"a tensor has the shape {list(found)[:9]}"
            )
        return found

    @property
    def is_variable(self) -> bool:
        """Whether the tensor keeps its values from run to run."""
        return bool(self._table.number(5, "?", False))

    @lazy
    def is_quantised(self) -> bool:
        """Whether the numbers of the tensor stand for other numbers."""
        quantisation = self._table.table(4)
        return quantisation is not None and bool(quantisation.vector(2))

    @lazy
    def data(self) -> tuple[int, int] | None:
        """The number of bytes of the values, and where they begin; None if there are
        none in the file."""
        number: int = self._table.number(2, "I")
        if number >= len(self._buffers):
            self._file.fail(
                self._table.position,
                f"a tensor refers to buffer {number} of {len(self._buffers)}",
            )
        if self._table.number(10, "I"):
            return None
        table = self._buffers[number]
        offset, size = table.number(1, "Q"), table.number(2, "Q")
        if offset > 1:  # The values of large models lie behind the flatbuffer.
            if offset + size > self._file.content.size:
                self._file.fail(table.position, "a buffer ends past the end")
            return size, offset
        return table.vector(0, "a buffer")

    def numbers(self) -> Sequence[Any] | None:
        """Returns the values as a flat list; None if they are not for rules to know.

        These are weights, types without a format, and numbers that stand for others.

        Raises:
          ValueError: if the number of bytes does not match the shape.
        """
        if self.type not in FORMATS or self.is_quantised or self._table.table(6):
            return None
        letter = FORMATS[self.type][0]
        count = math.prod(self.stored_shape)
        if count > (LARGEST_NUMBERS if letter in "fd" else LARGEST_VALUE):
            return None
        if not count:
            return ()
        data = self.data
        if data is None:
            return None
        size, start = data
        if size != count * SIZES[letter]:
            raise ValueError(
                f"its {size} bytes do not fit the shape {list(self.stored_shape)}"
            )
        found = self._file.bytes(start, size, "a buffer")
        return struct.unpack(f"<{count}{letter}", found)

    def array(self, numbers: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Returns values as an array with the tensor's type and shape."""
        dtype = FORMATS[self.type][1]
        return np.array(numbers, dtype=dtype).reshape(self.stored_shape)
