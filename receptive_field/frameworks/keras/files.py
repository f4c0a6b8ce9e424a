"""Finds the config of a Keras model in a file, without Keras.

A ``.keras`` file is a zip archive with the config as a member. An HDF5 file holds the
config as one of its attributes, whose text is stored as it is. The result of
``model.to_json()`` is the config itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

LARGEST_CONFIG = 1 << 26
"""The largest config that is read, in bytes."""

ZIP_MAGIC = b"PK\x03\x04"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

CHUNK = 1 << 20
"""The number of bytes that are searched at once."""

_START = re.compile(rb'\{"(?:class_name|module)": "')
"""The first bytes of a config in an HDF5 file."""


def config_of(path: str) -> Mapping[str, Any] | None:
    """Returns the config of the Keras model in a file.

    The content decides, not the name of the file. Returns None if the file is not a
    Keras model, or is damaged.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
            if head.startswith(ZIP_MAGIC):
                return _in_zip(path)
            if head.startswith(HDF5_MAGIC):
                return _in_hdf5(file)
            if head.lstrip().startswith(b"{"):
                return _model(head + file.read(LARGEST_CONFIG))
    except OSError:
        pass
    return None


def is_json(path: Any) -> bool:
    """Returns whether a thing is the path of a file with JSON."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    with open(path, "rb") as file:
        return file.read(64).lstrip().startswith(b"{")


def _in_zip(path: str) -> Mapping[str, Any] | None:
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            if "config.json" not in archive.namelist():
                return None
            with archive.open("config.json") as file:
                content = file.read(LARGEST_CONFIG + 1)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        zlib.error,
    ):
        return None  # Damaged, encrypted, or compressed in an unusual way.
    return _model(content) if len(content) <= LARGEST_CONFIG else None


def _in_hdf5(file: BinaryIO) -> Mapping[str, Any] | None:
    import json

    for start in _starts(file):
        try:
            text = _text_at(file, start).decode()
            config, _ = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            continue
        if _is_model(config):
            return config  # type: ignore[no-any-return]
    return None


def _text_at(file: BinaryIO, start: int) -> bytes:
    """Returns the bytes of a text, which ends before the first zero."""
    file.seek(start)
    found = b""
    while len(found) < LARGEST_CONFIG:
        content = file.read(CHUNK)
        text, zero, _ = content.partition(b"\0")
        found += text
        if zero or not content:
            break
    return found


def _starts(file: BinaryIO) -> Iterator[int]:
    """Yields the places in a file at which a config may begin."""
    position, longest = 0, 32
    while True:
        file.seek(position)
        content = file.read(CHUNK)
        for match in _START.finditer(content):
            yield position + match.start()
        if len(content) < CHUNK:
            return
        position += CHUNK - longest  # A match may lie across the end of a chunk.


def _model(content: bytes) -> Mapping[str, Any] | None:
    import json

    try:
        config = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return config if _is_model(config) else None


def _is_model(config: Any) -> bool:
    """Returns whether a config is that of a model, not that of a layer."""
    if not isinstance(config, Mapping) or "class_name" not in config:
        return False
    inner = config.get("config")
    return isinstance(inner, list) or (isinstance(inner, Mapping) and "layers" in inner)
