"""Writes files completely or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from receptive_field.errors import ReceptiveFieldError

FilePath = str | os.PathLike[str]


def replace_file(path: FilePath, content: bytes) -> None:
    """Replaces a file with new content, or leaves it unchanged if writing fails.

    A special file, such as a device or a pipe, is not replaced but written to directly.

    Raises:
      OSError: if the file cannot be written.
    """
    if _is_special(path):
        with open(path, "wb") as file:
            file.write(content)
        return
    path = os.path.realpath(path)
    beside = f"{path}.{os.getpid()}.tmp"
    _unfinished.append(beside)
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        with suppress(OSError):
            os.remove(beside)
        _unfinished.remove(beside)


_unfinished: list[str] = []
"""Files that are being written."""


def remove_unfinished() -> None:
    """Removes what has been written of unfinished files, before the process ends."""
    for path in _unfinished:
        with suppress(OSError):
            os.remove(path)


def write_whole(path: FilePath, content: bytes) -> None:
    """Like `replace_file`, but raises an error with a message for users.

    Raises:
      ReceptiveFieldError: if the file cannot be written.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None


def check_writable(path: FilePath, read: Any = None) -> None:
    """Checks that a file can be written, before any work is done.

    Args:
      path: the file.
      read: what the caller reads. If it is the path of a file, that file is not
        overwritten.

    Raises:
      ReceptiveFieldError: if the file cannot be written. The message says why.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    is_path = isinstance(read, (str, os.PathLike))
    if is_path and os.path.exists(target) and os.path.realpath(read) == target:
        raise _unwritable(path, "the model is read from this file")
    if os.path.isdir(target):
        raise _unwritable(path, "the path is a folder")
    if _is_special(path):
        if not os.access(path, os.W_OK):
            raise _unwritable(path, "you have no permission to write to this file")
        return
    if not os.path.isdir(folder):
        raise _unwritable(path, "its folder does not exist")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(path, "you have no permission to write to its folder")


def _is_special(path: FilePath) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


def _unwritable(path: FilePath, reason: str) -> ReceptiveFieldError:
    return ReceptiveFieldError(f"cannot write {os.fspath(path)!r}: {reason}.")
