"""Locks and lazy properties for threads, and for the processes that they fork.

A process that is forked has only the thread that forked it. If another thread held a
lock, nobody would ever release it there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Lock:
    """Lets one thread at a time into a context, which it may enter again inside.

    A process that is forked has a new lock, which nobody holds.
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


class lazy(Generic[T]):  # noqa: N801  It is used as `property` is.
    """A property that is computed when it is first asked for, and kept.

    `functools.cached_property` does the same, but up to Python 3.11 one thread at a
    time computes it, for all objects of a class. Here, threads may compute it together.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __get__(self, thing: Any, kind: type) -> T:
        # Python calls this only for values that are not kept yet.
        value = self._compute(thing)
        thing.__dict__[self._compute.__name__] = value
        return value
