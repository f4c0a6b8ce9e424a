"""Removes the weights from binary protobuf messages without reading them.

Most bytes of a model are the values of its weights, but the analysis needs only their
types and shapes. This code walks the fields of protobuf's wire format (tag, length,
content) and enters the fields that are large enough to contain large tensors. Of a
tensor that is too large for rules to read, the framework keeps only the description.
`FileBytes` never reads the values of such tensors, so this works for large files, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from io import RawIOBase
from typing import Any, NamedTuple, overload

LARGE = 4096
"""Fields with fewer bytes are kept unchanged."""


class Messages(NamedTuple):
    """Where the messages of a framework contain tensors, and what to keep of these."""

    inside: Mapping[str, Mapping[int, str]]
    """Message -> number of a field that may contain tensors -> type of the field.

    The type of a tensor is "TensorProto"."""
    description: frozenset[int]
    """The numbers of the fields that describe a tensor without its values."""
    is_read: Callable[[bytes], bool]
    """Returns whether rules may read the values of a tensor with this description."""


class FileBytes:
    """The bytes of an open file, read in blocks on demand.

    Mapping the file into memory would load megabytes around each accessed page.
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
    """The bytes are not a valid protobuf message."""


def without_weights(content: Any, kind: str, messages: Messages) -> bytes:
    """Returns the bytes of a message without the contents of large tensors.

    Args:
      content: the bytes of the message, or a `FileBytes`.
      kind: the name of the message type.
      messages: where the message contains tensors.

    Raises:
      DamagedError: if a field is invalid or extends past the end of its message. The
        error text gives the position of the byte.
    """
    return b"".join(_kept(content, 0, len(content), kind, messages))


def _kept(
    content: Any, start: int, end: int, kind: str, messages: Messages
) -> Iterator[bytes]:
    inside = messages.inside.get(kind, {})
    run = start  # The bytes from this position on have not been yielded yet.
    for number, begin, value, stop in fields(content, start, end):
        if stop - value < LARGE or number not in inside:
            continue
        yield content[run:begin]
        below = inside[number]
        if below == "TensorProto":
            kept = _tensor(content, value, stop, messages)
        else:
            kept = b"".join(_kept(content, value, stop, below, messages))
        yield _varint(number << 3 | 2) + _varint(len(kept)) + kept
        run = stop
    yield content[run:end]


def _tensor(content: Any, start: int, end: int, messages: Messages) -> bytes:
    """Returns a tensor's bytes, without values if no rule reads them."""
    head = b"".join(
        content[begin:stop]
        for number, begin, _, stop in fields(content, start, end)
        if number in messages.description
    )
    whole: bytes = content[start:end] if messages.is_read(head) else head
    return whole


def fields(content: Any, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields the number, start, start of the value, and end of each field."""
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
                raise DamagedError(f"no field begins at byte {begin}")
        if position > end:
            raise DamagedError(
                f"the field at byte {begin} extends to byte {position}, which is past "
                f"the end at byte {end}"
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
    raise DamagedError(f"a number is not terminated by byte {position}")


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)
