"""Converts the attributes of TensorFlow nodes to plain Python values.

A NodeDef stores each attribute as a protobuf message. Rules read attributes by name as
strings, numbers, booleans, tuples and lists, and never see these messages.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.errors import quoted
from receptive_field.graph.graph import ABSENT
from receptive_field.rules.op import Call, StatedShape

# fmt: off
DATA_TYPES = (
    "INVALID", "FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "STRING",
    "COMPLEX64", "INT64", "BOOL", "QINT8", "QUINT8", "QINT32", "BFLOAT16", "QINT16",
    "QUINT16", "UINT16", "COMPLEX128", "HALF", "RESOURCE", "VARIANT", "UINT32",
    "UINT64", "FLOAT8_E5M2", "FLOAT8_E4M3FN", "FLOAT8_E4M3FNUZ", "FLOAT8_E4M3B11FNUZ",
    "FLOAT8_E5M2FNUZ", "INT4", "UINT4", "INT2", "UINT2", "FLOAT4_E2M1FN",
)
# fmt: on
"""The data types in the order of their numbers, of core/framework/types.proto."""

_SEEN: dict[bytes, Any] = {}
"""Serialized attribute -> value. The same few attributes occur in most nodes."""

MOST_SEEN = 1 << 14
LARGEST_SEEN = 256
_PLAIN = (str, int, float, tuple, type(ABSENT))


def attribute(definition: Any, name: str) -> Any:
    """Returns an attribute of a NodeDef as a plain value.

    Returns `ABSENT` if the attribute is missing or empty. Functions are returned as
    messages, because no rule reads them.
    """
    found = definition.attr.get(name)
    if found is None:
        return ABSENT
    if name == "value" and found.HasField("tensor"):
        return StatedTensor(found.tensor)  # May be too large to serialize.
    content = found.SerializeToString()
    if content in _SEEN:
        return _SEEN[content]
    value = plain(found) if content else ABSENT
    if len(_SEEN) < MOST_SEEN and len(content) <= LARGEST_SEEN:
        parts = value if isinstance(value, list) else [value]
        # A cached message would keep its whole graph alive.
        if all(isinstance(part, _PLAIN) for part in parts):
            _SEEN[content] = value
    return value


def attributes(definition: Any) -> dict[str, Any]:
    """Returns the attributes of a NodeDef to show.

    Types and functions are shown by name. What TensorFlow adds for itself is left out.
    """
    found: dict[str, Any] = {}
    for name in sorted(definition.attr):
        message = definition.attr[name]
        kind = message.WhichOneof("value")
        if name.startswith("_") or kind is None:
            continue
        if kind == "type":
            found[name] = type_name(message.type)
        elif kind == "func":
            found[name] = message.func.name
        elif kind == "list" and message.list.type:
            found[name] = [type_name(number) for number in message.list.type]
        elif kind == "list" and message.list.func:
            found[name] = [function.name for function in message.list.func]
        else:
            found[name] = attribute(definition, name)
    return found


def type_name(number: int) -> str:
    """Returns the name of a DataType, such as float."""
    known = 0 <= number < len(DATA_TYPES)
    return DATA_TYPES[number].lower() if known else str(number)


def plain(message: Any) -> Any:
    """Returns an AttrValue message as a Python value. Unknown sizes become None."""
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
"""Floating-point constants with more elements are weights, and are never decoded."""

LARGEST_VALUE = 1 << 16
"""Integer constants with more elements are weights, and are never decoded."""

# DataType number -> (NumPy type, `struct` format, field with unpacked values).
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
    """Returns the largest number of elements in a constant that rules can read."""
    integral = dtype in _TYPES and not _TYPES[dtype][0].startswith("float")
    return LARGEST_VALUE if integral else LARGEST_NUMBERS


class StatedTensor:
    """A constant in an attribute. Its values are decoded on demand."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def __repr__(self) -> str:
        return repr(self._message)

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return tuple([dim.size for dim in self._message.tensor_shape.dim])

    def numbers(self) -> Sequence[Any] | None:
        """Returns the values as a flat list; None for weights and unsupported types.

        Raises:
          ValueError: if the shape is none, or the number of values does not match it.
        """
        message, shape = self._message, self.shape
        if any(size < 0 for size in shape):
            raise ValueError(f"its shape {list(shape)} has a negative size")
        count = math.prod(shape)
        if message.dtype not in _TYPES or count > most_values(message.dtype):
            return None
        _, letter, field = _TYPES[message.dtype]
        if message.tensor_content:
            try:
                return struct.unpack(f"<{count}{letter}", message.tensor_content)
            except struct.error as error:
                raise ValueError(
                    f"its content does not fit the shape {list(shape)}: {quoted(error)}"
                ) from None
        flat = list(getattr(message, field)) or [0] * count
        flat += flat[-1:] * (count - len(flat))  # The last value is repeated.
        if len(flat) != count:
            raise ValueError(
                f"it has {len(flat)} values, which do not fit the shape {list(shape)}"
            )
        return flat

    def array(self, numbers: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Returns decoded values as an array with the constant's type and shape."""
        return np.array(numbers, dtype=_TYPES[self._message.dtype][0]).reshape(
            self.shape
        )


# --- Attributes that many ops have ---------------------------------------------------

DATA_FORMATS = ("NHWC", "NCHW", "NDHWC", "NCDHW", "NWC", "NCW", "NCHW_VECT_C")

RESOURCE = 20
"""The DataType of resource handles, such as those of variables."""


def data_format(call: Call, default: str = "NHWC") -> str:
    """Returns the layout of the axes, with one letter per axis, such as NHWC."""
    found = call.text("data_format", default) or default
    if found not in DATA_FORMATS:
        call.fail(
            f"has the data_format {found!r}, which is not one of "
            f"{', '.join(DATA_FORMATS)}"
        )
    return found


def stated_shape(call: Call) -> StatedShape:
    """Returns the attribute ``shape``, or None if it is missing or of unknown rank."""
    value: StatedShape = call.node.attribute("shape")
    if type(value) not in (tuple, type(None)):
        call.malformed("shape", "a shape")
    return value


def recorded_shapes(call: Call) -> Sequence[StatedShape]:
    """Returns the output shapes that TensorFlow recorded; empty if there are none."""
    if call.node.attribute("dtype") == RESOURCE:
        return []  # TensorFlow recorded the handle's shape, not the variable's.
    values: Sequence[StatedShape] = call.node.attribute("_output_shapes") or []
    known = {tuple, type(None)}
    if type(values) is not list or not known.issuperset(map(type, values)):
        call.malformed("_output_shapes", "a list of shapes")
    return values
