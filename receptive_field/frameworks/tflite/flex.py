"""Ops of TensorFlow inside a model ("Flex" ops).

The options of such an operator are a flexbuffer: a vector with the name of the op and
the bytes of its NodeDef.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from receptive_field.errors import GraphError
from receptive_field.frameworks.tensorflow.attributes import attribute
from receptive_field.frameworks.tensorflow.messages import NodeDef

VECTOR, STRING, BLOB = 10, 5, 25
"""The types of values in a flexbuffer that such options consist of."""


def attributes(options: bytes, name: str) -> dict[str, Any]:
    """Returns the attributes in the options of the operator with this name.

    Raises:
      GraphError: if the options are damaged.
    """
    try:
        node = NodeDef.FromString(_texts(options)[1])
    except (IndexError, ValueError, DecodeError):
        raise GraphError(
            f"the options of operator {name!r} are not those of an op of TensorFlow."
        ) from None
    return {name: attribute(node, name) for name in node.attr}


def _texts(options: bytes) -> list[bytes]:
    """Returns the texts of a flexbuffer that is a vector of them.

    The last byte is the width of the root, which comes before the byte of its type. A
    vector has its length before it, and the types of its elements behind it.
    """
    width, kind = options[-1], options[-2]
    root = len(options) - 2 - width
    if kind >> 2 != VECTOR or width not in (1, 2, 4, 8) or root < 0:
        raise ValueError("the root is not a vector")
    start = root - _number(options, root, width)
    size = 1 << (kind & 3)
    count = _number(options, start - size, size)
    if count > len(options):
        raise ValueError("the vector is too long")
    found = []
    for number in range(count):
        place = start + number * size
        of_text = options[start + count * size + number]
        if of_text >> 2 not in (STRING, BLOB):
            raise ValueError("an element is not a text")
        begin = place - _number(options, place, size)
        wide = 1 << (of_text & 3)
        length = _number(options, begin - wide, wide)
        if begin + length > len(options):
            raise ValueError("a text is too long")
        found.append(options[begin : begin + length])
    return found


def _number(options: bytes, start: int, size: int) -> int:
    if start < 0 or start + size > len(options):
        raise ValueError("a number is outside")
    return int.from_bytes(options[start : start + size], "little")
