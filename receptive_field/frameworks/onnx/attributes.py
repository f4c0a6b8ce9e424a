"""Converts the attributes of ONNX nodes to plain Python values."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.onnx.definitions import Definition
from receptive_field.frameworks.onnx.limits import FLOATING, most_values
from receptive_field.graph.graph import ABSENT
from receptive_field.rules.op import Call, StatedShape

_FIELDS = {
    1: "f",
    2: "i",
    3: "s",
    4: "t",
    5: "g",
    6: "floats",
    7: "ints",
    8: "strings",
    10: "graphs",
    11: "sparse_tensor",
}
"""AttributeProto.type -> the field with the value."""


def attribute(definition: Definition, name: str) -> Any:
    """Returns an attribute of a node as a plain value, or `ABSENT`.

    Integers stay integers, also those that stand for true and false. Graphs are
    returned as messages.
    """
    if isinstance(definition.message, dict):
        return definition.message.get(name, ABSENT)
    found = message_of(definition, name)
    return ABSENT if found is None else _plain(found)


def attributes(definition: Definition) -> dict[str, Any]:
    """Returns the attributes of a node to show; of a graph, only its name."""
    if isinstance(definition.message, dict):
        return dict(definition.message)
    found = {}
    for message in getattr(definition.message, "attribute", ()):
        value = attribute(definition, message.name)
        found[message.name] = getattr(value, "name", value)
    return found


def message_of(definition: Definition, name: str) -> Any | None:
    """Returns the AttributeProto of an attribute of a node, or None."""
    for found in getattr(definition.message, "attribute", ()):
        if found.name == name:
            if found.ref_attr_name:
                return definition.scope.given.get(found.ref_attr_name)
            return found
    return None


def _plain(message: Any) -> Any:
    field = _FIELDS.get(message.type) or _field_of(message)
    value: Any = getattr(message, field)
    match field:
        case "s":
            return value.decode("utf-8", "replace")
        case "strings":
            return [text.decode("utf-8", "replace") for text in value]
        case "ints" | "floats":
            return value[:]
        case "t":
            return StatedTensor(value)
    return value


def _field_of(message: Any) -> str:
    """Returns the field that is set. Early versions of ONNX recorded no type."""
    set_fields = [field.name for field, _ in message.ListFields()]
    return next((field for field in _FIELDS.values() if field in set_fields), "i")


# --- Constants -----------------------------------------------------------------------

_TYPES: dict[int, tuple[str, str, str]] = {
    1: ("float32", "f", "float_data"),
    2: ("uint8", "B", "int32_data"),
    3: ("int8", "b", "int32_data"),
    4: ("uint16", "H", "int32_data"),
    5: ("int16", "h", "int32_data"),
    6: ("int32", "i", "int32_data"),
    7: ("int64", "q", "int64_data"),
    9: ("bool", "?", "int32_data"),
    10: ("float16", "e", "int32_data"),
    11: ("float64", "d", "double_data"),
    12: ("uint32", "I", "uint64_data"),
    13: ("uint64", "Q", "uint64_data"),
}
"""Data type -> (NumPy type, `struct` format, field with unpacked values)."""

EXTERNAL = 1
"""The number that TensorProto.data_location has for values in another file."""


class StatedTensor:
    """A constant. Its values are decoded on demand, and never read from other files."""

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    def __repr__(self) -> str:
        return f"a tensor of shape {list(self.shape)}"

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return tuple(self._message.dims)

    @property
    def data_type(self) -> int:
        """The number of the data type (TensorProto.DataType)."""
        number: int = self._message.data_type
        return number

    def numbers(self) -> Sequence[Any] | None:
        """Returns the values as a flat list.

        Returns None for weights, unsupported types, and values in another file.

        Raises:
          ValueError: if the number of values does not match the shape.
        """
        message, shape = self._message, self.shape
        count = math.prod(shape)
        if (
            message.data_type not in _TYPES
            or message.data_location == EXTERNAL
            or count > most_values(message.data_type)
        ):
            return None
        _, letter, field = _TYPES[message.data_type]
        if message.raw_data:
            try:
                return struct.unpack(f"<{count}{letter}", message.raw_data)
            except struct.error as error:
                raise ValueError(
                    f"its raw_data does not fit the shape {list(shape)}: {error}"
                ) from None
        flat = list(getattr(message, field))
        if count and not flat and message.data_type in FLOATING:
            return None  # The weights of the model were left out.
        if len(flat) != count:
            raise ValueError(
                f"it has {len(flat)} values, which do not fit the shape {list(shape)}"
            )
        if letter == "e":  # The bits of half-precision numbers are stored as integers.
            bits = struct.pack(f"<{count}H", *(bits & 0xFFFF for bits in flat))
            return struct.unpack(f"<{count}e", bits)
        return flat

    def array(self, numbers: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Returns decoded values as an array with the constant's type and shape."""
        dtype = _TYPES[self.data_type][0]
        return np.array(numbers, dtype=dtype).reshape(self.shape)


# --- Shapes --------------------------------------------------------------------------


def sizes_of(type_proto: Any) -> tuple[int | str | None, ...] | None:
    """Returns the sizes that a TypeProto states; None if there is no shape.

    The size of an axis is a number, the name of an unknown size, or None.
    """
    kind = type_proto.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return None
    tensor = getattr(type_proto, kind)
    if not tensor.HasField("shape"):
        return None
    return tuple(map(_size, tensor.shape.dim))


def _size(dim: Any) -> int | str | None:
    if dim.WhichOneof("value") == "dim_value" and dim.dim_value >= 0:
        return int(dim.dim_value)
    return dim.dim_param or None


def opset(call: Call) -> int:
    """Returns the version of the operator set of a node."""
    definition = call.node.definition
    domain = definition.message.domain
    version: int = definition.scope.opsets.get("" if domain == "ai.onnx" else domain, 1)
    return version


def recorded(sizes: tuple[int | str | None, ...] | None) -> StatedShape:
    """Returns stated sizes with None in place of the names of unknown sizes."""
    if sizes is None:
        return None
    return tuple([size if isinstance(size, int) else None for size in sizes])
