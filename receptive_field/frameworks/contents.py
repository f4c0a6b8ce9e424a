"""Opens files of models, which may be compressed.

Whether a file is compressed is told from its content, not from its name.
"""

from __future__ import annotations

import os
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
            module = next((m for b, m in _COMPRESSED.items() if head.startswith(b)), "")
            if module:
                yield _decompressed(file.read(), path, module)
            else:
                yield FileBytes(file, size) if size >= LARGE_FILE else file.read()
    except OSError as error:
        raise GraphError(f"cannot read {path!r}: {error.strerror or error}.") from None


def _decompressed(content: bytes, path: str, module: str) -> bytes:
    try:
        found: bytes = import_module(module).decompress(content)
    except Exception as error:  # Each module has errors of its own.
        raise GraphError(f"cannot read {path!r}: {error}.") from None
    return found
