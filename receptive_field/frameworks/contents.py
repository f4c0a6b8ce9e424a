"""Opens files of models, which may be compressed.

Whether a file is compressed is told from its content, not from its name.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from receptive_field.budget import ExhaustedError, spend
from receptive_field.errors import GraphError
from receptive_field.frameworks.wire import FileBytes

LARGE_FILE = 1 << 22
"""Uncompressed files of at least this many bytes are read on demand."""

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
"""First bytes of a compressed file -> the module that decompresses it."""


FREE_BYTES = 32
"""How many bytes each byte of a compressed file may hold without being counted."""

BYTES_A_STEP = 64
"""How many further bytes are unpacked in a step."""

BYTES_OF_TEXT = 8
"""How many bytes of a text are unpacked, and parsed, in a step."""

CHUNK = 1 << 20
"""How many bytes are unpacked at once."""


class Unpacked:
    """A compressed file, whose bytes are counted while they are unpacked.

    Args:
      file: what unpacks the file.
      size: the size of the compressed file.
      name: the file in words.
      bytes_a_step: how many bytes are unpacked, and used, in a step.
    """

    def __init__(
        self, file: Any, size: int, name: str, bytes_a_step: int = BYTES_A_STEP
    ) -> None:
        self._file, self._name = file, name
        self._free = FREE_BYTES * size
        self._bytes_a_step = bytes_a_step

    def read(self, most: int = -1) -> bytes:
        """Returns the next bytes: all, or as many as there are up to a number.

        Raises:
          ExhaustedError: if they are many more than the compressed ones.
        """
        chunks = []
        while most:
            chunk = self._file.read(CHUNK if most < 0 else min(most, CHUNK))
            if not chunk:
                break
            most -= len(chunk) if most > 0 else 0
            self._free -= len(chunk)
            if self._free < 0:
                try:
                    spend(len(chunk) // self._bytes_a_step)
                except ExhaustedError as error:
                    raise error.at(f"unpacking {self._name}") from None
            chunks.append(chunk)
        return b"".join(chunks)


@contextmanager
def decompressed(path: str) -> Iterator[tuple[Any, bool]]:
    """Yields an open file of decompressed bytes, and whether the file is compressed.

    Raises:
      GraphError: if the file cannot be read or decompressed.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(6)
            file.seek(0)
            module = next((m for b, m in _COMPRESSED.items() if head.startswith(b)), "")
            if not module:
                yield file, False
                return
            with import_module(module).open(file) as inner:
                size = os.fstat(file.fileno()).st_size
                yield Unpacked(inner, size, repr(path)), True
    except _failures() as error:
        reason = getattr(error, "strerror", None) or error
        raise GraphError(f"cannot read {path!r}: {reason}.") from None


def _failures() -> tuple[type[Exception], ...]:
    """Returns the errors of files, and of the modules that decompress them."""
    lzma = sys.modules.get("lzma")  # It is only imported for files that need it.
    return OSError, EOFError, zlib.error, *(() if lzma is None else (lzma.LZMAError,))


@contextmanager
def contents(path: str) -> Iterator[Any]:
    """Yields the decompressed bytes of a file, or `FileBytes` if the file is large.

    Raises:
      GraphError: if the file cannot be read or decompressed.
    """
    with decompressed(path) as (file, is_compressed):
        size = 0 if is_compressed else os.fstat(file.fileno()).st_size
        yield FileBytes(file, size) if size >= LARGE_FILE else file.read()
