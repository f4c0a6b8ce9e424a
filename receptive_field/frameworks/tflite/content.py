"""The bytes of a file, read piece by piece and only where they are needed.

Most bytes of a model are weights, which no rule asks for. So a file is neither read as
a whole nor mapped into memory (the operating system would load megabytes around each
page). Compressed files have no order in which they could be read otherwise, so they are
decompressed as a whole. Blocks of zeros, with which tools replace weights, then share
one object.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.contents import decompressed

BLOCK = 1 << 13
"""How many bytes are read at once."""

MOST_BLOCKS = 512
"""How many blocks of a file are kept in memory."""

IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of a model."""


class Content:
    """Bytes that are read in blocks, on demand."""

    def __init__(self, size: int, load: Callable[[int], bytes]) -> None:
        self.size = size
        self._load = load
        self._blocks: dict[int, bytes] = {}

    def read(self, start: int, count: int) -> bytes:
        """Returns bytes of the content, which must all exist."""
        first, last = start // BLOCK, (start + count - 1) // BLOCK
        if first == last:
            offset = start - first * BLOCK
            found = self._block(first)[offset : offset + count]
        else:
            joined = b"".join(map(self._block, range(first, last + 1)))
            found = joined[start - first * BLOCK :][:count]
        if len(found) < count:
            raise GraphError(
                f"cannot be read: it ends before byte {start + count}, although it has "
                f"had {self.size} bytes."
            )
        return found

    def whole(self) -> bytes:
        """Returns all bytes of the content."""
        count = (self.size + BLOCK - 1) // BLOCK
        return b"".join(map(self._load, range(count)))

    def _block(self, number: int) -> bytes:
        found = self._blocks.get(number)
        if found is None:
            found = self._load(number)
            if len(self._blocks) >= MOST_BLOCKS:
                self._blocks.clear()
            self._blocks[number] = found
        return found


def of_bytes(whole: Any) -> Content:
    """Returns the content of an object that holds bytes."""
    view = memoryview(whole).cast("B")
    return Content(
        len(view), lambda number: bytes(view[number * BLOCK : (number + 1) * BLOCK])
    )


def of_file(path: str) -> Content:
    """Returns the content of a file, decompressed.

    Raises:
      GraphError: if the file cannot be read.
    """
    blocks, size, zeros = [], 0, bytes(BLOCK)
    with decompressed(path) as (file, is_compressed):
        if not is_compressed:
            return _of_plain_file(path)
        while block := file.read(BLOCK):
            blocks.append(zeros if block == zeros else block)
            size += len(block)
    return Content(size, blocks.__getitem__)


def _of_plain_file(path: str) -> Content:
    def load(number: int) -> bytes:
        try:
            with open(path, "rb") as file:
                file.seek(number * BLOCK)
                return file.read(BLOCK)
        except OSError as error:
            raise GraphError(f"cannot read {path!r}: {error.strerror}.") from None

    return Content(os.path.getsize(path), load)


def head_of(path: str, count: int = 8) -> bytes:
    """Returns the first bytes of a file, decompressed.

    Raises:
      GraphError: if the file cannot be read.
    """
    with decompressed(path) as (file, _):
        found: bytes = file.read(count)
        return found
