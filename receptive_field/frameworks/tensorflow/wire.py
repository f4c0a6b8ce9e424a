"""Binary graphs without their weights: large tensors are passed over, not read.

A frozen graph is mostly the contents of its constants, of which only type and shape
matter here. Its bytes are walked field by field (protobuf's wire format: tag, length,
content), where a field is large enough to hide a tensor; of a tensor whose values no
rule asks for, what follows type and shape is left out. Of a file of gigabytes only what
is kept is ever read (`FileBytes`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from io import RawIOBase
from typing import Any, overload

from receptive_field.frameworks.tensorflow.attributes import most_values
from receptive_field.frameworks.tensorflow.messages import TensorProto

LARGE = 4096
"""Fields of fewer bytes are kept as they are."""

_INSIDE: Mapping[str, Mapping[int, str]] = {
    "SavedModel": {2: "MetaGraphDef"},
    "MetaGraphDef": {2: "GraphDef"},
    "GraphDef": {1: "NodeDef", 2: "FunctionDefLibrary"},
    "FunctionDefLibrary": {1: "FunctionDef"},
    "FunctionDef": {3: "NodeDef"},
    "NodeDef": {5: "AttrEntry"},
    "AttrEntry": {2: "AttrValue"},
    "AttrValue": {8: "TensorProto"},
}
"""Message -> the fields of it in which tensors may be, and what these are."""


class FileBytes:
    """The bytes of an open file, read block by block where they are asked for.

    (A file that is mapped into memory brings its neighbours: megabytes for each page.)
    """

    def __init__(self, file: RawIOBase, size: int) -> None:
        self._file = file
        self._size = size
        self._start = 0
        self._block = b""

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, key: int) -> int: ...

    @overload
    def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: int | slice) -> int | bytes:
        if isinstance(key, slice):
            start, stop, _ = key.indices(self._size)
            return self._read(start, stop - start)
        offset = key - self._start
        if not 0 <= offset < len(self._block):
            self._start, self._block = key, self._read(key, LARGE)
            offset = 0
        if not self._block:
            raise DamagedError(f"the file has become shorter than {key} bytes")
        return self._block[offset]

    def _read(self, start: int, count: int) -> bytes:
        self._file.seek(start)
        parts = []
        while count > 0 and (part := self._file.read(count)):
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


class DamagedError(ValueError):
    """That bytes are no message."""


def without_weights(content: Any, kind: str) -> bytes:
    """A message of this kind, with the contents of large tensors left out.

    Args:
      content: its bytes, or memory mapped from a file.
      kind: the name of the message.

    Raises:
      DamagedError: if a field goes on past the end; names the byte.
    """
    return b"".join(_kept(content, 0, len(content), kind))


def _kept(content: Any, start: int, end: int, kind: str) -> Iterator[bytes]:
    inside = _INSIDE.get(kind, {})
    run = start  # From here on nothing has been handed over.
    for number, begin, value, stop in _fields(content, start, end):
        if stop - value < LARGE or number not in inside:
            continue
        yield content[run:begin]
        below = inside[number]
        if below == "TensorProto":
            kept = _tensor(content, value, stop)
        else:
            kept = b"".join(_kept(content, value, stop, below))
        yield _varint(number << 3 | 2) + _varint(len(kept)) + kept
        run = stop
    yield content[run:end]


def _tensor(content: Any, start: int, end: int) -> bytes:
    """A tensor; without values if no rule would ask for them."""
    head = b"".join(
        content[begin:stop]
        for number, begin, _, stop in _fields(content, start, end)
        if number in (1, 2)
    )
    tensor = TensorProto.FromString(head)
    elements = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    few = elements <= most_values(tensor.dtype)
    whole: bytes = content[start:end] if few else head
    return whole


def _fields(content: Any, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, where the field begins, its value, its end."""
    position = start
    while position < end:
        begin = position
        tag, position = _read_varint(content, position, end)
        value = position
        match tag & 7:
            case 0:
                _, position = _read_varint(content, position, end)
            case 1:
                position += 8
            case 2:
                length, value = _read_varint(content, position, end)
                position = value + length
            case 5:
                position += 4
            case _:
                raise DamagedError(f"there is no field at byte {begin}")
        if position > end:
            raise DamagedError(
                f"a field at byte {begin} goes on to byte {position}, past the end at "
                f"{end}"
            )
        yield tag >> 3, begin, value, position


def _read_varint(content: Any, position: int, end: int) -> tuple[int, int]:
    number = shift = 0
    while position < end and shift < 70:
        byte = content[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7
    raise DamagedError(f"a number at byte {position} does not end")


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
