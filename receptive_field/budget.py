"""How many steps the answer to a question may take.

A file of a few bytes may hold a number of billions, and an answer that writes out every
position up to this number would never end. So work that grows with the numbers in a
model, and not just with its size, is counted in *steps* (`spend`), of which one takes
about a microsecond or a hundred bytes. All other work is bounded by the size of the
file. No network in use needs a tenth of `STEPS` in one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from receptive_field.errors import TooMuchWorkError

STEPS = 1 << 22
"""The steps that an answer may take if the caller does not say (`work_limit`)."""

P = ParamSpec("P")
R = TypeVar("R")


class ExhaustedError(Exception):
    """An answer takes more steps than it may.

    This is not a `ReceptiveFieldError`: code that tries whether something can be
    analysed must not take this for an answer. `within_budget` turns it into one.
    """

    def __init__(self, needed: str, limit: int) -> None:
        super().__init__(needed, limit)
        self.needed, self.limit = needed, limit
        self.place = ""
        """What needs the steps, in words."""

    def at(self, place: str) -> ExhaustedError:
        """Says what needs the steps, unless something in it is named already."""
        self.place = self.place or place
        return self


class _Budget:
    """What is left for an answer."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit
        self.kept: dict[Hashable, Any] = {}
        """What `kept` keeps until the answer is there."""
        self.room = NUMBERS_KEPT


_limit: ContextVar[int | None] = ContextVar("work_limit", default=STEPS)
_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


@contextmanager
def work_limit(steps: int | None) -> Iterator[None]:
    """Limits the steps of each answer that is asked for in the context.

    Args:
      steps: the number of steps, of which one takes about a microsecond; None for any
        number of steps.

    >>> import receptive_field as rf
    >>> with rf.work_limit(10**9):
    ...     field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH)
    """
    token = _limit.set(steps)
    try:
        yield
    finally:
        _limit.reset(token)


def allowed() -> int | None:
    """Returns how many steps an answer may take here; None for any number."""
    return _limit.get()


def within_budget(answer: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function that answers a question, of which the steps are counted.

    A function that it calls for a part of the answer shares its budget.
    """

    @wraps(answer)
    def limited(*args: P.args, **options: P.kwargs) -> R:
        limit = _limit.get()
        if limit is None or _budget.get() is not None:
            return answer(*args, **options)
        token = _budget.set(_Budget(limit))
        try:
            return answer(*args, **options)
        except ExhaustedError as error:
            raise TooMuchWorkError(error.place, error.needed, error.limit) from None
        finally:
            _budget.reset(token)

    return limited


def spend(steps: int) -> None:
    """Counts steps, before they are taken.

    Raises:
      ExhaustedError: if more are needed than are left.
    """
    budget = _budget.get() if steps else None
    if budget is not None:
        budget.left -= steps
        if budget.left < 0:
            raise ExhaustedError(f"{steps} steps", budget.limit)


def kept(size: int, work: Callable[..., R], *about: Hashable) -> R:
    """Returns ``work(*about)``, which is done once in an answer.

    An answer for many sizes of the input needs many results again. The first ones are
    kept: if later ones took their places, an answer with too many would find none.

    Args:
      size: how many numbers the result holds, about.
      work: the function.
      about: its arguments.
    """
    budget = _budget.get()
    if budget is None:
        return work(*about)
    key = work, about
    if key in budget.kept:
        known: R = budget.kept[key]
        return known
    found = work(*about)
    if budget.room >= size:
        budget.room -= size
        budget.kept[key] = found
    return found


NUMBERS_KEPT = 1 << 18
"""How many numbers the results hold that an answer keeps, about."""


class Copies:
    """Counts the nodes that are written out for calls of functions.

    Args:
      written: the number of nodes in the file, in functions and outside of them.
    """

    def __init__(self, written: int) -> None:
        self._free = FREE_COPIES * written

    def add(self, count: int) -> None:
        """Counts nodes, before they are written out.

        Raises:
          ExhaustedError: if a file of this size may not ask for so many, and the steps
            that are left do not allow them.
        """
        self._free -= count
        if self._free < 0:
            spend(STEPS_OF_COPY * count)


FREE_COPIES = 32
"""How often each node of a file is written out, on average, before it is counted."""

STEPS_OF_COPY = 128
"""The steps that a further node takes."""


def hold(numbers: int) -> None:
    """Counts the numbers of an array, before it is made.

    Raises:
      ExhaustedError: if one array of an answer may not hold so many (`NUMBERS_HELD`),
        or they take more steps than are left.
    """
    budget = _budget.get() if numbers >= NUMBERS_A_STEP else None
    if budget is not None:
        if numbers > NUMBERS_HELD * budget.limit:
            raise ExhaustedError(f"an array of {numbers} numbers", budget.limit)
        spend(numbers // NUMBERS_A_STEP)


COPIES_A_STEP = 4
"""How many positions of a table are written down in a step."""

NUMBERS_A_STEP = 256
"""How many numbers of an array are computed in a step."""

NUMBERS_HELD = 8
"""How many numbers an array may hold for each step that an answer may take."""


def counted(positions: range) -> range:
    """Returns positions that are going to be visited one by one, and counts them."""
    if len(positions) > FREE:
        spend(len(positions))
    return positions


FREE = 256
"""Fewer positions are not counted, so that ordinary layers take no longer."""
