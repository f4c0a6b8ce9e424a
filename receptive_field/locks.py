"""A lock between threads, which processes that are forked find open."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Lock:
    """Lets one thread at a time into a context, which it may enter again inside.

    A process that is forked has only the thread that forked it. If another thread held
    the lock, nobody would ever release it there, so the process gets a new lock.
    """

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):  # Not on Windows, which cannot fork.
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lock while the context is open."""
        with self._lock:
            yield
