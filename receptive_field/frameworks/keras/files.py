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

from receptive_field.errors import GraphError

LARGEST_CONFIG = 1 << 26
"""The largest config that is read, in bytes."""

ZIP_MAGIC = b"PK\x03\x04"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

CHUNK = 1 << 20
"""The number of bytes that are searched at once."""

ENDINGS = (".keras", ".h5", ".hdf5")
"""How the names of Keras files end."""

_START = re.compile(rb'\{"(?:class_name|module|config|keras_version|backend)": ')
"""The first bytes of a config in an HDF5 file."""

_OTHERS = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "compressed by gzip",
    b"\x80": "a pickle",
    b"<": "a page of HTML or XML",
}
"""The first bytes of files that are no models -> what the files are."""


def config_of(path: str) -> Mapping[str, Any] | None:
    """Returns the config of the Keras model in a file.

    The content decides, not the name of the file. Returns None if the file is of
    another kind.

    Raises:
      GraphError: if the content, or only the name, is that of a Keras file, but no
        model can be found in it.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
            if head.startswith(ZIP_MAGIC):
                return _in_zip(path)
            if head.startswith(HDF5_MAGIC):
                return _in_hdf5(path, file)
            if head.lstrip().startswith(b"{"):
                return _model(head + file.read(LARGEST_CONFIG))
    except OSError:
        return None  # The wing of TensorFlow says why.
    if path.lower().endswith(ENDINGS) and head:
        kinds = (kind for start, kind in _OTHERS.items() if head.startswith(start))
        kind = next(kinds, f"of another kind: it begins with {head[:8]!r}")
        raise GraphError(f"{path!r} has the name of a Keras file, but is {kind}.")
    return None


def is_json(path: Any) -> bool:
    """Returns whether a thing is the path of a file with JSON."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    with open(path, "rb") as file:
        return file.read(64).lstrip().startswith(b"{")


def _in_zip(path: str) -> Mapping[str, Any]:
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "config.json" not in names:
                listed = ", ".join(map(repr, names[:3])) or "nothing"
                raise GraphError(
                    f"{path!r} is a zip archive without the config.json of a Keras "
                    f"model; it holds {listed}{', ...' * (len(names) > 3)}."
                )
            with archive.open("config.json") as file:
                content = file.read(LARGEST_CONFIG + 1)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        zlib.error,
    ) as error:  # Damaged, encrypted, or compressed in an unusual way.
        raise GraphError(
            f"{path!r} is a zip archive that cannot be read: {error}."
        ) from None
    if len(content) > LARGEST_CONFIG:
        raise GraphError(
            f"the config.json in {path!r} has more than {LARGEST_CONFIG} bytes."
        )
    config = _parsed(content)
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise GraphError(
            f"the config.json in {path!r} does not describe a Keras model."
        )
    return config


def _in_hdf5(path: str, file: BinaryIO) -> Mapping[str, Any]:
    import json

    found: dict[str, Mapping[str, Any]] = {}
    end = 0
    for start in _starts(file):
        if start < end:
            continue  # A part of the last config.
        try:
            text = _text_at(file, start).decode()
            config, length = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            continue
        if _is_model(config):
            end = start + length
            found[text[:length]] = config
    if not found:
        stated = _by_h5py(path)
        if stated is not None:
            return stated
        raise GraphError(
            f"{path!r} is an HDF5 file without the layers of a Keras model. It may be "
            "truncated, or hold only weights: save the whole model with model.save()."
        )
    if len(found) > 1:
        raise GraphError(
            f"{path!r} holds the layers of {len(found)} Keras models. Save the one "
            "that you mean to a file of its own."
        )
    return next(iter(found.values()))


def _by_h5py(path: str) -> Mapping[str, Any] | None:
    """Returns the config of a file in which it is not stored as plain text."""
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except (OSError, KeyError, RuntimeError):
        return None
    if text is None:
        return None
    return _model(text.encode() if isinstance(text, str) else bytes(text))


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
    config = _parsed(content)
    return config if _is_model(config) else None


def _parsed(content: bytes) -> Any:
    import json

    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _is_model(config: Any) -> bool:
    """Returns whether a config is that of a model, not that of a layer."""
    if not isinstance(config, Mapping) or "class_name" not in config:
        return False
    inner = config.get("config")
    # In older versions, the config of a Sequential is the list of its layers.
    return isinstance(inner, list) or (isinstance(inner, Mapping) and "layers" in inner)
