"""Opens ``.pt2`` files, the zip archives that ``torch.export.save`` writes.

Nothing in an archive is unpickled or run. The sizes that an archive states for its
entries are not trusted: bytes are counted while they are unpacked.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO

from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.contents import BYTES_OF_TEXT, Unpacked, decompressed

LARGEST_PROGRAM = 1 << 27
"""The largest program that is read, in bytes."""

LARGEST_CONTENT = 1 << 28
"""The largest archive in a compressed file that is read, in bytes."""

INSTEAD = (
    "Build the module in Python and pass it, or save what torch.export.export returns "
    "with torch.export.save."
)
"""What to do with a file of PyTorch that holds no exported program."""

_ZIP = b"PK\x03\x04", b"PK\x05\x06"
_PICKLE = b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"

_PROGRAM = re.compile(r"((?:[^/]+/)?)models/(.+)\.json")
_OLD_PROGRAM = "serialized_exported_program.json"
"""Where PyTorch 2.1 to 2.7 stored the only program of a file."""

_FAILURES = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What reading a damaged zip archive raises."""

_ENDS = (
    *(".onnx", ".tflite", ".pb", ".pbtxt", ".keras", ".h5", ".hdf5", ".pt2"),
    *(".gz", ".bz2", ".xz"),
)
"""How the names of files end that may be a model's."""

_MOST_NAMED = 3
"""So many entries that may be models are named."""


class Archive:
    """An open archive.

    Attributes:
      path: the path of the file.
      programs: name of a program -> the entry that holds it.
      root: the folder inside the archive in which everything else is.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(file)
            entries = self._zip.infolist()
        except _FAILURES as error:
            raise GraphError(
                f"{path!r} is a zip archive that is damaged or cut off "
                f"({quoted(error)}). Save or copy the model again."
            ) from None
        self._entries = {entry.filename: entry for entry in entries}
        found = [
            match
            for name in self._entries
            if (match := _PROGRAM.fullmatch(name)) is not None
            and f"{match[1]}archive_format" in self._entries
        ]
        self.root = found[0][1] if found else ""
        self.programs: Mapping[str, str] = {
            match[2]: match[0] for match in found if match[1] == self.root
        }
        if not found and _OLD_PROGRAM in self._entries:
            self.programs = {"model": _OLD_PROGRAM}
        if not self.programs:
            raise GraphError(f"{path!r} {_what_else(self._entries)}")
        name, count = Counter(entry.filename for entry in entries).most_common(1)[0]
        if count > 1:
            raise GraphError(
                f"{path!r} is a zip archive with {count} entries named {name!r}, of "
                "which only one can be meant. Save the model again."
            )

    def __contains__(self, name: str) -> bool:
        """Returns whether there is an entry of this name."""
        return name in self._entries

    def read(self, name: str, most: int = LARGEST_PROGRAM) -> bytes:
        """Returns the content of an entry.

        Args:
          name: the name of the entry.
          most: the largest number of bytes that is read.

        Raises:
          GraphError: if the entry is larger, damaged, or encrypted.
        """
        entry = self._entries[name]
        where = f"the entry {name!r} of {self.path!r}"
        if entry.flag_bits & 1:
            raise GraphError(
                f"{where} is encrypted. Save the model without a password."
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise GraphError(
                f"{where} is compressed in a way that is not read. Save the model with "
                "torch.export.save."
            )
        try:
            with self._zip.open(entry) as file:
                unpacked = Unpacked(file, entry.compress_size, where, BYTES_OF_TEXT)
                content = unpacked.read(most + 1)
        except _FAILURES as error:
            raise GraphError(
                f"{where} is damaged or cut off ({quoted(error)}). Save or copy the "
                "model again."
            ) from None
        if len(content) > most:
            raise GraphError(
                f"{where} holds more than {most} bytes, which is not read."
            )
        return content


@contextmanager
def opened(path: str) -> Iterator[Archive | None]:
    """Yields the archive in a file, or None if the file is no zip archive.

    The content decides, not the name of the file.

    Raises:
      GraphError: if the archive holds no exported program, or the file is a pickle
        or cannot be read.
    """
    with decompressed(path) as (file, is_compressed):
        head = file.read(4)
        if head.startswith(_PICKLE):
            raise GraphError(
                f"{path!r} is a Python pickle, which is never loaded, because that "
                "could run code. If it holds a module of PyTorch or its weights: "
                f"{INSTEAD}"
            )
        if not head.startswith(_ZIP):
            yield None
        elif is_compressed:
            content = head + file.read(LARGEST_CONTENT)
            if len(content) > LARGEST_CONTENT:
                raise GraphError(
                    f"{path!r} is a compressed zip archive of more than "
                    f"{LARGEST_CONTENT} bytes, which is not read. Decompress it."
                )
            yield Archive(path, BytesIO(content))
        else:
            yield Archive(path, file)


def _what_else(names: Mapping[str, Any]) -> str:
    """Returns what a zip archive without an exported program is, and what to do."""
    ends = {name.rpartition("/")[2] for name in names}
    folders = {part for name in names for part in name.split("/")[:-1]}
    if "constants.pkl" in ends and "code" in folders:
        return f"is a scripted module (TorchScript), which is not read. {INSTEAD}"
    if "data.pkl" in ends:
        return (
            "was written by torch.save: it holds a state_dict or a pickled module, and "
            f"is never unpickled, because that could run code. {INSTEAD}"
        )
    if "aotinductor" in folders:
        return (
            "is a package of AOTInductor, which holds compiled code and no exported "
            f"program. {INSTEAD}"
        )
    if "archive_format" in ends:
        return f"is a .pt2 archive without an exported program. {INSTEAD}"
    models = [name for name in names if name.lower().endswith(_ENDS)]
    if models:
        named = ", ".join(map(repr, models[:_MOST_NAMED]))
        more = len(models) - _MOST_NAMED
        return (
            f"is a zip archive around {named}{f' and {more} more' * (more > 0)}, which "
            "is not looked into. Unpack it, and give a file in it."
        )
    return (
        "is a zip archive without a config.json, so it is no Keras model, and without "
        "an exported program, so it is no .pt2 file of PyTorch. Check the path."
    )
