"""Finds the config of a Keras model in a file, without Keras.

A ``.keras`` file is a zip archive with the config as a member. An HDF5 file holds the
config as one of its attributes. The result of ``model.to_json()`` is the config itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.contents import BYTES_OF_TEXT, Unpacked
from receptive_field.frameworks.keras.hdf5 import MAGIC as HDF5_MAGIC
from receptive_field.frameworks.keras.hdf5 import (
    EndlessError,
    OtherLayoutError,
    check_heaps,
    texts_in,
)

if TYPE_CHECKING:
    import zipfile

LARGEST_CONFIG = 1 << 26
"""The largest config that is read, in bytes."""

ZIP_MAGIC = b"PK\x03\x04"

ENDINGS = (".h5", ".hdf5", ".keras")
"""How the names of Keras files end."""

OTHERS = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a pointer of Git LFS, without the file's content",
}
"""First bytes -> a kind of file that is often taken for a model."""

GRAPHS = (b"\n", b"\x08", b"\x1f\x8b", b"node", b"meta")
"""First bytes of graphs, which may have any name."""

PASS_THE_OBJECT = "Load the model yourself and pass the object."


def config_of(path: str) -> Mapping[str, Any] | None:
    """Returns the config of the Keras model in a file.

    The content decides, not the name of the file. Returns None if the file is neither
    a zip archive, nor HDF5, nor JSON.

    Raises:
      GraphError: if the file is one of these, but holds no model.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
            if head.startswith(ZIP_MAGIC):
                return _in_zip(path)
            if head.startswith(HDF5_MAGIC):
                return _in_hdf5(path, file)
            if head.lstrip().startswith((b"{", b"[")):
                content = head + file.read(LARGEST_CONFIG)
                return _model(path, "a JSON file", content)
    except OSError:
        return None  # The error is told where other files are read.
    for start, kind in OTHERS.items():
        if head.startswith(start):
            raise GraphError(f"{path!r} is {kind}, and no model. Check the path.")
    if path.lower().endswith(ENDINGS) and not head.startswith(GRAPHS):
        kind = f"begins with {head[:8]!r}" if head else "is empty"
        raise GraphError(
            f"{path!r} has the name of a Keras model, but {kind}, and is neither a zip "
            "archive, nor HDF5, nor JSON. Check that it was copied completely."
        )
    return None


def is_json(path: Any) -> bool:
    """Returns whether a thing is the path of a file with JSON."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    with open(path, "rb") as file:
        return file.read(64).lstrip().startswith(b"{")


@contextmanager
def archive_in(path: str) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive.

    Raises:
      GraphError: if it is damaged.
    """
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        UnicodeDecodeError,  # In the name of an entry.
        zlib.error,
    ) as error:
        raise GraphError(
            f"{path!r} is a zip archive that is damaged or cut off "
            f"({quoted(error)}). Save or "
            "copy the model again."
        ) from None


def _in_zip(path: str) -> Mapping[str, Any] | None:
    with archive_in(path) as archive:
        if "config.json" not in archive.namelist():
            return None  # Other frameworks have zip archives, too.
        with archive.open("config.json") as file:
            size = archive.getinfo("config.json").compress_size
            unpacked = Unpacked(file, size, repr(path), BYTES_OF_TEXT)
            content = unpacked.read(LARGEST_CONFIG + 1)
    return _model(path, "a .keras archive", content)


def _in_hdf5(path: str, file: BinaryIO) -> Mapping[str, Any]:
    try:
        texts = texts_in(file, LARGEST_CONFIG)
    except OtherLayoutError:
        texts = _texts_of_h5py(path, file)
    content = texts.get("model_config")
    if content is None:
        raise GraphError(
            f"{path!r} is an HDF5 file without the config of a model: it holds "
            f"{'only the weights of one' if _has_weights(path, texts) else 'none'}. "
            "Build the model in Python and pass the object, or save it with "
            "model.save()."
        )
    return _model(path, "an HDF5 file", content.rstrip(b"\0"))


def _has_weights(path: str, texts: Mapping[str, bytes]) -> bool:
    return "layer_names" in texts or path.endswith(".weights.h5")


def _texts_of_h5py(path: str, opened: BinaryIO) -> dict[str, bytes]:
    """Returns the texts of the root group of an HDF5 file of any layout."""
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise GraphError(
            f"{path!r} is an HDF5 file that is damaged, or has a layout that only h5py "
            "can read. Install h5py, or save the model as a .keras file."
        ) from None
    try:
        check_heaps(opened)
        with h5py.File(path, "r") as file:
            found = {name: file.attrs.get(name) for name in file.attrs}
    except (EndlessError, OSError, RuntimeError, KeyError, ValueError) as error:
        raise GraphError(
            f"{path!r} is an HDF5 file that is damaged or cut off "
            f"({quoted(error)}). Save or "
            "copy the model again."
        ) from None
    return {
        name: value.encode() if isinstance(value, str) else bytes(value)
        for name, value in found.items()
        if isinstance(value, (bytes, str))
    }


def _model(path: str, form: str, content: bytes) -> Mapping[str, Any]:
    """Returns the config of a model, from its text."""
    import json

    if len(content) > LARGEST_CONFIG:
        raise GraphError(
            f"{path!r} is {form} with a config of more than {LARGEST_CONFIG} bytes, "
            f"which is not read. {PASS_THE_OBJECT}"
        )
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GraphError(
            f"{path!r} is {form}, but its config is no JSON that can be read "
            f"({quoted(error)}). Save or copy the model again."
        ) from None
    topology = config.get("modelTopology") if isinstance(config, Mapping) else None
    if isinstance(topology, Mapping):  # TensorFlow.js
        config = topology.get("model_config")
    if (
        not isinstance(config, Mapping)
        or not isinstance(config.get("class_name"), str)
        or not isinstance(config.get("config"), (Mapping, list))
    ):
        raise GraphError(
            f"{path!r} is {form}, but its config is not that of a Keras model, which "
            "has a class_name and a config. Check the path."
        )
    return config
