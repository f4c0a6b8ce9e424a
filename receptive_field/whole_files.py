"""Writes files completely or not at all."""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import suppress
from typing import Any

from receptive_field.errors import ReceptiveFieldError

FilePath = str | os.PathLike[str]

STANDARD_OUTPUT = "-"
"""The path that stands for standard output."""


def replace_file(path: FilePath, content: bytes) -> None:
    """Replaces a file with new content, or leaves it unchanged if writing fails.

    The file keeps its mode and, where that is allowed, its owner; a link to a file is
    followed. The content is first written to a file beside it, whose name nobody can
    predict. Standard output (``-``) and special files, such as devices and pipes, are
    not replaced but written to.

    Raises:
      OSError: if the file cannot be written.
    """
    if (descriptor := open_already(path)) is not None:
        sys.stdout.flush()  # What was printed before comes first.
        with open(os.dup(descriptor), "wb") as file:
            file.write(content)
        return
    if _is_special(path):
        with open(path, "wb") as file:
            file.write(content)
        return
    path = os.path.realpath(path)
    beside = f"{path}.{os.urandom(8).hex()}.tmp"
    _unfinished.append(beside)
    try:
        with open(beside, "xb") as file:
            _take_over(path, file.fileno())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        with suppress(OSError):
            os.remove(beside)
        _unfinished.remove(beside)


def _take_over(path: str, descriptor: int) -> None:
    """Gives a new file the owner and the mode of the file that it will replace."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        return
    if hasattr(os, "fchown"):
        with suppress(OSError):  # Only the group may be ours to give, or nothing.
            os.fchown(descriptor, -1, old.st_gid)
            os.fchown(descriptor, old.st_uid, -1)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


_unfinished: list[str] = []
"""Files that are being written."""


def remove_unfinished() -> None:
    """Removes what has been written of unfinished files, before the process ends."""
    for path in list(_unfinished):
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
    if open_already(path) is not None:
        return
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    is_path = isinstance(read, (str, os.PathLike)) and os.path.exists(read)
    if is_path and os.path.exists(target) and os.path.samefile(read, target):
        raise _unwritable(path, "the model is read from this file")
    if os.path.isdir(target):
        raise _unwritable(path, "the path is a folder")
    if os.path.exists(target) and not _may(target, os.W_OK):
        raise _unwritable(path, "you have no permission to write to this file")
    if _is_special(path):
        return
    if not os.path.isdir(folder):
        raise _unwritable(path, "its folder does not exist")
    if not _may(folder, os.W_OK | os.X_OK):
        raise _unwritable(path, "you have no permission to write to its folder")


def _may(path: FilePath, mode: int) -> bool:
    """Returns whether the user as whom this process acts may access a file."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _is_special(path: FilePath) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


def open_already(path: FilePath) -> int | None:
    """Returns the number of the open file that a path stands for, if any.

    Such paths are ``-``, and links such as ``/dev/stdout`` that lead to
    ``/proc/self/fd/1``. To open what such a link points to would overwrite what was
    written to it before.

    Raises:
      ReceptiveFieldError: if no file can have this path.
    """
    text = os.fspath(path)
    if text == STANDARD_OUTPUT:
        return 1
    if "\0" in text:
        raise _unwritable(path, "no file can have this name")
    for _ in range(8):
        text = os.path.abspath(text)
        found = re.fullmatch(rf"(?:/proc/(?:self|{os.getpid()})|/dev)/fd/(\d+)", text)
        if found is not None:
            return int(found[1])
        folder = os.path.realpath(os.path.dirname(text))
        text = os.path.join(folder, os.path.basename(text))
        if not os.path.islink(text):
            return None
        text = os.path.join(folder, os.readlink(text))
    return None


def _unwritable(path: FilePath, reason: str) -> ReceptiveFieldError:
    return ReceptiveFieldError(f"cannot write {os.fspath(path)!r}: {reason}.")
