"""Says how far a long answer is. Nothing is shown unless somebody listens.

The code that computes an answer calls `tell`. The command line listens and shows the
progress on a terminal. A user of the library sees nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Listener = Callable[[str, float | None], None]
"""A function of what is being done and of the share that is done (None if unknown)."""

_listeners: list[Listener] = []


def tell(what: str, share: float | None = None) -> None:
    """Tells the listener what is being done, and which share of it is done."""
    for listener in _listeners:
        listener(what, share)


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Tells a function about progress while the context is open."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
