"""The attributes of TensorFlow's nodes as plain Python values.

A NodeDef holds a message for each attribute. Rules read texts, numbers, flags, tuples
and lists by name; only this file knows the messages.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.graph.graph import ABSENT
from receptive_field.rules.op import Call, StatedShape

_SEEN: dict[bytes, Any] = {}
"""What attributes hold, by their bytes: those of most nodes are alike."""

MOST_SEEN = 1 << 14
LARGEST_SEEN = 256
_PLAIN = (str, int, float, tuple, type(ABSENT))


def attribute(definition: Any, name: str) -> Any:
    """An attribute of a NodeDef as a plain value; `ABSENT` if it is not there or empty.

    Functions stay messages; no rule asks for them.
    """
    found = definition.attr.get(name)
    if found is None:
        return ABSENT
    if name == "value" and found.HasField("tensor"):
        return StatedTensor(found.tensor)  # It may be large.
    content = found.SerializeToString()
    if content in _SEEN:
        return _SEEN[content]
    value = plain(found) if content else ABSENT
    if len(_SEEN) < MOST_SEEN and len(content) <= LARGEST_SEEN:
        parts = value if isinstance(value, list) else [value]
        if all(isinstance(part, _PLAIN) for part in parts):  # No part of a graph.
            _SEEN[content] = value
    return value


def plain(message: Any) -> Any:
    """An AttrValue message as a Python value; shapes as tuples with None."""
    kind = message.WhichOneof("value")
    if kind == "list":
        integers: list[int] = message.list.i[:]
        if integers:
            return integers
        fields = message.list.ListFields()
        return [_of_kind(f.name, v) for f, vs in fields[:1] for v in vs]
    return _of_kind(kind, getattr(message, kind)) if kind else None


def _of_kind(kind: str, value: Any) -> Any:
    if kind == "s":
        return value.decode("utf-8", "replace")
    if kind == "shape":
        if value.unknown_rank:
            return None
        sizes = [dim.size for dim in value.dim[:]]
        return tuple([size if size >= 0 else None for size in sizes])
    return StatedTensor(value) if kind == "tensor" else value


# --- Constants -----------------------------------------------------------------------

LARGEST_NUMBERS = 1 << 10
"""Constants of more floating-point numbers are weights, not sizes or scales."""

LARGEST_VALUE = 1 << 16
"""Constants with more elements than this are weights, not sizes: never decoded."""

# DataType number -> (NumPy type, that of `struct`, field of single values).
_TYPES: dict[int, tuple[str, str, str]] = {
    1: ("float32", "f", "float_val"),
    2: ("float64", "d", "double_val"),
    3: ("int32", "i", "int_val"),
    4: ("uint8", "B", "int_val"),
    5: ("int16", "h", "int_val"),
    6: ("int8", "b", "int_val"),
    9: ("int64", "q", "int64_val"),
    10: ("bool", "?", "bool_val"),
    17: ("uint16", "H", "int_val"),
    22: ("uint32", "I", "uint32_val"),
    23: ("uint64", "Q", "uint64_val"),
}


def most_values(dtype: int) -> int:
    """The largest constant of a type whose value a rule may ask for."""
    integral = dtype in _TYPES and not _TYPES[dtype][0].startswith("float")
    return LARGEST_VALUE if integral else LARGEST_NUMBERS


class StatedTensor:
    """A constant in an attribute, whose numbers are decoded when somebody asks."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def __repr__(self) -> str:
        return repr(self._message)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return tuple([dim.size for dim in self._message.tensor_shape.dim])

    def numbers(self) -> Sequence[Any] | None:
        """Its numbers as a flat list; None if they are weights, or no numbers.

        Raises:
          ValueError: if there are more or fewer than its shape says.
        """
        message, shape = self._message, self.shape
        count = math.prod(shape)
        if message.dtype not in _TYPES or count > most_values(message.dtype):
            return None
        _, letter, field = _TYPES[message.dtype]
        if message.tensor_content:
            try:
                return struct.unpack(f"<{count}{letter}", message.tensor_content)
            except struct.error as error:
                raise ValueError(f"for the shape {list(shape)}, {error}") from None
        flat = list(getattr(message, field)) or [0] * count
        flat += flat[-1:] * (count - len(flat))  # The last stands for all that follow.
        if len(flat) != count:
            raise ValueError(f"{len(flat)} values for the shape {list(shape)}")
        return flat

    def array(self, numbers: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Its numbers as an array of its type and shape."""
        return np.array(numbers, dtype=_TYPES[self._message.dtype][0]).reshape(
            self.shape
        )


# --- Attributes that many ops have ---------------------------------------------------

DATA_FORMATS = ("NHWC", "NCHW", "NDHWC", "NCDHW", "NWC", "NCW", "NCHW_VECT_C")

RESOURCE = 20
"""The DataType of handles, of variables for example."""


def data_format(call: Call, default: str = "NHWC") -> str:
    """What the axes are, a letter each."""
    found = call.text("data_format", default) or default
    if found not in DATA_FORMATS:
        call.fail(f"has the data_format {found!r}; {', '.join(DATA_FORMATS)} are known")
    return found


def stated_shape(call: Call) -> StatedShape:
    """The attribute ``shape``; None if it is not there or says nothing."""
    value: StatedShape = call.node.attribute("shape")
    if type(value) not in (tuple, type(None)):
        call.malformed("shape", "a shape")
    return value


def recorded_shapes(call: Call) -> Sequence[StatedShape]:
    """The shapes of the outputs that TensorFlow wrote down, if it did."""
    if call.node.attribute("dtype") == RESOURCE:
        return []  # That of the handle, not of the variable behind it.
    values: Sequence[StatedShape] = call.node.attribute("_output_shapes") or []
    known = {tuple, type(None)}
    if type(values) is not list or not known.issuperset(map(type, values)):
        call.malformed("_output_shapes", "a list of shapes")
    return values
