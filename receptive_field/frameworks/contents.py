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

from receptive_field.errors import GraphError
from receptive_field.frameworks.wire import FileBytes

LARGE_FILE = 1 << 22
"""Uncompressed files of at least this many bytes are read on demand."""

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "lzma"}
"""First bytes of a compressed file -> the module that decompresses it."""


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
                yield inner, True
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
