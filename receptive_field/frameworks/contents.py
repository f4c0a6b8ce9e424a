"""Opens files of models, which may be compressed.

Whether a file is compressed is told from its content, not from its name.
"""

from __future__ import annotations

import os
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
def contents(path: str) -> Iterator[Any]:
    """Yields the decompressed bytes of a file, or `FileBytes` if the file is large.

    Raises:
      GraphError: if the file cannot be read or decompressed.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(6)
            file.seek(0)
            for magic, module in _COMPRESSED.items():
                if head.startswith(magic):
                    yield import_module(module).decompress(file.read())
                    return
            yield FileBytes(file, size) if size >= LARGE_FILE else file.read()
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise GraphError(f"cannot read {path!r}: {reason}.") from None
