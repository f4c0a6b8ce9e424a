"""Limits the time and the memory that the analysis of one file may take."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

from receptive_field.budget import STEPS, work_limit
from receptive_field.errors import ReceptiveFieldError

POLL_SECONDS = 0.02
"""How often the time and the memory are looked at."""

AGAIN_SECONDS = 1.0
"""How long it takes until a thread that has gone on is interrupted again. Python drops
what is raised while garbage is collected."""

GRACE_SECONDS = 10.0
"""How much longer a process may take that does not react, before it is ended."""

SLACK_MEGABYTES = 2048
"""How much more memory may be reserved than used."""

MEGABYTE = 1 << 20


class Limits(NamedTuple):
    """What the analysis of one file may take; None for any amount."""

    seconds: float | None = None
    megabytes: float | None = None
    """How much the memory of the process may grow."""
    may_end: bool = False
    """Whether the process is ours, and may be ended if it does not react."""
    steps: int | None = STEPS
    """How many steps an answer may take (`work_limit`)."""


class _ExceededError(BaseException):
    """Raised in the thread that analyses a file. No handler of errors catches it."""


class Watch:
    """Looks at the time and the memory that files take, one after another.

    It does so in a thread of its own, which interrupts the one that analyses them. A
    process of ours that does not react is ended.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._start: float | None = None
        self._next = 0.0
        """When the thread may be interrupted, again if it has been already."""
        self._before: _Memory | None = None
        self._reason = ""

    def __enter__(self) -> Watch:
        seconds, _, may_end, steps = self._limits
        self._stack = ExitStack()
        self._stack.enter_context(_reserved(self._limits))
        self._stack.enter_context(work_limit(steps))
        if may_end and seconds is not None:
            nowhere = self._stack.enter_context(open(os.devnull, "w"))
            late = seconds + GRACE_SECONDS
            faulthandler.dump_traceback_later(late, exit=True, file=nowhere)
            self._stack.callback(faulthandler.cancel_dump_traceback_later)
        threading.Thread(target=self._look, daemon=True).start()
        self._stack.callback(self._ended.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Ends what is done in the context when it takes more than one file may.

        Raises:
          ReceptiveFieldError: if the time or the memory is used up.
        """
        self._before, self._reason = _memory(), ""
        self._start = self._next = time.monotonic()
        try:
            try:
                yield
            finally:
                self._leave()
        except (_ExceededError, MemoryError):
            self._leave()  # It may have been interrupted itself.
            reason = self._reason or _too_much_memory(self._limits)
            raise ReceptiveFieldError(reason) from None

    def _leave(self) -> None:
        with self._lock:  # From here on, nothing is interrupted.
            self._start = None
        for _ in range(2):
            pass  # An error that was raised before arrives here at the latest.

    def _look(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            with self._lock:
                self._reason = self._reason or self._exceeded()
                now = time.monotonic()
                if self._reason and self._start is not None and now >= self._next:
                    self._next = now + AGAIN_SECONDS
                    _interrupt(self._thread)

    def _exceeded(self) -> str:
        """Returns what a file has used up, in words; empty if nothing."""
        seconds, megabytes, *_ = self._limits
        if self._start is None:
            return ""
        if seconds is not None and time.monotonic() - self._start > seconds:
            return (
                f"the analysis takes more than {seconds:g} seconds. Give a longer "
                "timeout, or analyse the file by itself."
            )
        now, before = _memory(), self._before
        if megabytes is None or now is None or before is None:
            return ""
        grown = now.resident - before.resident
        return _too_much_memory(self._limits) if grown > megabytes * MEGABYTE else ""


def _too_much_memory(limits: Limits) -> str:
    amount = "" if limits.megabytes is None else f" {limits.megabytes:g} MB"
    return (
        f"the analysis takes more memory than{amount or ' there is'}. Allow more, or "
        "analyse the file by itself."
    )


def _interrupt(thread: int) -> None:
    """Raises an error in a thread that runs Python code.

    It cannot be taken back: a thread of Python 3.11 that is traced, as for coverage,
    would never end after that.
    """
    error = ctypes.py_object(_ExceededError)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)


class _Memory(NamedTuple):
    """Bytes of memory of this process."""

    resident: int
    reserved: int


def _memory() -> _Memory | None:
    """Returns the memory of this process, or None where it is not known."""
    try:
        with open("/proc/self/statm", "rb") as file:
            numbers = [int(number) for number in file.read().split()]
    except (OSError, ValueError):
        return None
    size = os.sysconf("SC_PAGE_SIZE")
    return _Memory(numbers[1] * size, numbers[5] * size)


@contextmanager
def _reserved(limits: Limits) -> Iterator[None]:
    """Limits what a process of ours may reserve at once, before it is used."""
    now = _memory()
    if not limits.may_end or limits.megabytes is None or now is None:
        yield
        return
    import resource

    kind = resource.RLIMIT_DATA
    before: Any = resource.getrlimit(kind)
    most = now.reserved + int((limits.megabytes + SLACK_MEGABYTES) * MEGABYTE)
    if before[1] != resource.RLIM_INFINITY:
        most = min(most, before[1])
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, before[1]))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, before)
