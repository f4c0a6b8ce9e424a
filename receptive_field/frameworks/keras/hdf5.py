"""Reads texts that are attributes of the root group of an HDF5 file.

Keras keeps the config of a model in such a text. The classic layout of HDF5 is read
here, which h5py writes unless it is told otherwise; other layouts are left to h5py,
after a check that it comes to an end.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAGIC = b"\x89HDF\r\n\x1a\n"

ATTRIBUTE, CONTINUATION, ATTRIBUTES_ELSEWHERE = 0x0C, 0x10, 0x15
"""Types of messages in the header of a group."""

FIXED, VARIABLE = 3, 9
"""Classes of types: a text of a fixed length, and one that is stored elsewhere."""

MOST_BLOCKS = 1 << 12
"""The most blocks that a header may have."""


HEAP = b"GCOL\x01\0\0\0"
"""How a heap begins."""

MOST_OBJECTS = 1 << 20
"""The most objects that the heaps of a file may have if h5py is to read it."""


class OtherLayoutError(Exception):
    """The file is damaged, or has another layout than the classic one."""


class EndlessError(Exception):
    """The file is damaged in such a way that h5py might never return."""


class _Part(NamedTuple):
    """Bytes of a file, of which numbers are read."""

    content: bytes

    def number(self, start: int, size: int) -> int:
        return int.from_bytes(self.bytes(start, size), "little")

    def bytes(self, start: int, size: int) -> bytes:
        found = self.content[start : start + size]
        if len(found) < size:
            raise OtherLayoutError
        return found


def texts_in(file: BinaryIO, largest: int) -> dict[str, bytes]:
    """Returns the texts of the root group, by their names.

    Args:
      file: an HDF5 file.
      largest: texts with more bytes than this are empty.

    Raises:
      OtherLayoutError: if the file is damaged or has another layout.
    """
    whole = _File(file, os.fstat(file.fileno()).st_size)
    found: dict[str, bytes] = {}
    for kind, message in _messages(whole):
        if kind == ATTRIBUTES_ELSEWHERE:
            raise OtherLayoutError
        if kind == ATTRIBUTE:
            name, text = _attribute(whole, message, largest)
            found[name] = text
    return found


def check_heaps(file: BinaryIO) -> None:
    """Checks that the objects of each heap follow one another up to its end.

    The HDF5 library does not: it never leaves an object that takes no bytes.

    Raises:
      EndlessError: if they do not.
    """
    if not os.fstat(file.fileno()).st_size:
        return  # It cannot be mapped.
    count = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        heap = content.find(HEAP)
        while heap >= 0:
            end = heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
            position = heap + 16
            while position + 16 <= min(end, len(content)):
                size = int.from_bytes(content[position + 8 : position + 16], "little")
                is_used = any(content[position : position + 2])
                taken = 16 + -(-size // 8) * 8 if is_used else size
                position += taken
                count += 1
                if not taken or position > end or count > MOST_OBJECTS:
                    raise EndlessError(f"the heap at byte {heap} has no end")
            heap = content.find(HEAP, heap + 1)


class _File(NamedTuple):
    """A file with a number of bytes."""

    file: BinaryIO
    size: int

    def part(self, start: int, size: int) -> _Part:
        """Returns some bytes, all of which must be there."""
        if start + size > self.size:
            raise OtherLayoutError
        self.file.seek(start)
        return _Part(self.file.read(size))


def _messages(file: _File) -> Iterator[tuple[int, _Part]]:
    """Yields the type and the content of each message of the root group's header."""
    start = file.part(0, 72)
    version = start.number(8, 1)
    if version > 1 or start.bytes(13, 2) != b"\x08\x08":
        raise OtherLayoutError
    first = 24 + 4 * version
    if start.number(first, 8) or file.size < start.number(first + 16, 8):
        raise OtherLayoutError
    root = start.number(first + 40, 8)
    header = file.part(root, 16)
    if header.number(0, 1) != 1:
        raise OtherLayoutError
    blocks = [(root + 16, header.number(8, 4))]
    for place, length in blocks:
        if len(blocks) > MOST_BLOCKS:
            raise OtherLayoutError
        block, position = file.part(place, length), 0
        while position + 8 <= length:
            kind, count = block.number(position, 2), block.number(position + 2, 2)
            is_shared = block.number(position + 4, 1) & 2
            message = _Part(block.bytes(position + 8, count))
            position += 8 + count
            if is_shared and kind == ATTRIBUTE:
                raise OtherLayoutError
            if kind == CONTINUATION:
                blocks.append((message.number(0, 8), message.number(8, 8)))
            else:
                yield kind, message


def _attribute(file: _File, message: _Part, largest: int) -> tuple[str, bytes]:
    """Returns the name and the text of an attribute; empty if it is no text."""
    version = message.number(0, 1)
    sizes = [message.number(start, 2) for start in (2, 4, 6)]
    if not 1 <= version <= 3 or (version > 1 and message.number(1, 1)):
        raise OtherLayoutError
    first = 9 if version == 3 else 8
    places = [first]
    for size in sizes:
        places.append(places[-1] + (-(-size // 8) * 8 if version == 1 else size))
    name = message.bytes(first, sizes[0]).rstrip(b"\0").decode("utf-8", "replace")
    kind, value = message.number(places[1], 1) & 15, places[3]
    if kind == FIXED:
        return name, message.bytes(value, message.number(places[1] + 4, 4))
    if kind != VARIABLE or message.number(value, 4) > largest:
        return name, b""
    length, place, index = (
        message.number(value + start, size) for start, size in ((0, 4), (4, 8), (12, 4))
    )
    return name, _object(file, place, index).bytes(0, length)


def _object(file: _File, place: int, index: int) -> _Part:
    """Returns an object of a heap, which is a list of objects."""
    heap = file.part(place, 16)
    if heap.bytes(0, 4) != b"GCOL":
        raise OtherLayoutError
    position, end = place + 16, place + heap.number(8, 8)
    while position + 16 <= end:
        entry = file.part(position, 16)
        size = entry.number(8, 8)
        if entry.number(0, 2) == index:
            return file.part(position + 16, size)
        if not entry.number(0, 2):
            break
        position += 16 + -(-size // 8) * 8
    raise OtherLayoutError
