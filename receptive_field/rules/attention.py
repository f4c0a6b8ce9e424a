"""Which keys a query of an attention sees.

A query sees all keys, unless a mask hides some of them. A causal mask hides the keys
after the query, and a window those that are far from it. Other masks hide keys exactly
if their values are known. The values of a mask may depend on the data, and then each
query may see any key that no other mask hides, as an upper bound.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    GLOBAL,
    IDENTITY,
    AxisMap,
    convolution,
    one_sided,
    shift,
    table,
)
from receptive_field.algebra.sizes import Size, product
from receptive_field.arrays import np
from receptive_field.relations.relation import (
    Axis,
    Relation,
    follow,
    moved,
    whole,
)
from receptive_field.rules.op import Call

Flags: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"

LARGEST_MASK = 1 << 20
"""The most pairs of queries and keys for which a mask is computed."""


class Keys(NamedTuple):
    """Which keys each query sees."""

    queries: Size
    new: Size
    """The number of keys of this step."""
    past: Size = 0
    """The number of keys of the steps before."""
    offset: Size | None = 0
    """The place of the first query among all keys; None if it is unknown."""
    left: int | None = None
    """How many keys before its own a query sees; None if it sees all of them."""
    right: int | None = None
    """How many keys after its own a query sees; None if it sees all of them."""
    hidden: Flags | None = None
    """For each query, the keys that a mask hides."""
    is_known: bool = True
    """Whether all masks are known."""

    def seen(self, start: Size = 0) -> AxisMap:
        """Returns the map from a query to the keys from key ``start`` on."""
        if self.hidden is not None and isinstance(start, int):
            found = self._tabulated().then(shift(-start))
        elif self.left is None and self.right is None:
            found = GLOBAL
        elif self.offset is None:
            return ANYWHERE
        else:
            found = self._window(self.offset - start)
        return found if self.is_known else found.as_bound()

    def of_packed(self) -> AxisMap:
        """Returns the map to an input that holds queries, keys and values."""
        found = self.seen(self.past) | IDENTITY
        return found.as_bound() if self.may_hide_own else found

    def _window(self, offset: Size) -> AxisMap:
        """Returns the map from a query to the keys around one at this distance."""
        if not isinstance(offset, int):
            return moved(self._window(0), offset)
        if self.left is None or self.right is None:
            first = -math.inf if self.left is None else offset - self.left
            last = math.inf if self.right is None else offset + self.right
            return one_sided(first, last)
        return convolution(self.left + self.right + 1, 1, self.left - offset)

    def _tabulated(self) -> AxisMap:
        assert self.hidden is not None
        keys = np.arange(self.hidden.shape[1])
        flags = ~self.hidden
        if not isinstance(self.offset, int):
            return ANYWHERE
        own = np.arange(len(flags))[:, np.newaxis] + self.offset
        if self.left is not None:
            flags &= keys >= own - self.left
        if self.right is not None:
            flags &= keys <= own + self.right
        windows = []
        exact = True
        for row in flags:
            places = np.flatnonzero(row).tolist() or [0, len(keys) - 1]
            exact = exact and row.any() and len(places) == places[-1] - places[0] + 1
            windows.append((places[0], places[-1]))
        if all(window == (0, len(keys) - 1) for window in windows):
            return GLOBAL if exact else GLOBAL.as_bound()
        return table(windows, exact=bool(exact))

    @property
    def total(self) -> Size:
        """The number of all keys."""
        return self.past + self.new

    def with_last_query_free(self) -> Keys:
        """Returns the keys if the last query sees the keys after it, too.

        onnxruntime's MultiHeadAttention masks all queries but the last one.
        """
        sizes = self.queries, self.total, self.offset
        free = self._replace(right=None)
        if not all(isinstance(size, int) for size in sizes):
            return free._replace(is_known=False)
        queries, total, offset = map(int, sizes)  # type: ignore[arg-type]
        if queries * total > LARGEST_MASK:
            return free._replace(is_known=False)
        own = np.arange(queries)[:, np.newaxis] + offset
        hidden = np.arange(total) > own
        hidden[-1] = False
        return free._replace(hidden=hidden) if hidden.any() else free

    @property
    def may_be_single(self) -> bool:
        """Whether a query may see a single key, whose probability is always 1."""
        limits = self.left, self.right, self.hidden
        return self.total == 1 or any(limit is not None for limit in limits)

    @property
    def may_hide_own(self) -> bool:
        """Whether a query may see another key than its own, and not its own."""
        if self.hidden is None:
            return not self.is_known
        if not isinstance(self.offset, int):
            return True
        queries, total = self.hidden.shape
        own = np.arange(queries) + self.offset
        if own.min() < 0 or own.max() >= total:
            return True
        return bool(self.hidden[np.arange(queries), own].any())

    def without(self, value: Any, are_kept: bool = False) -> Keys:
        """Returns the keys that a mask leaves.

        Args:
          value: the mask, whose last two axes are queries and keys; None if it is not
            known.
          are_kept: whether the numbers of the mask are 1 for keys that are kept, and 0
            for keys that are hidden, instead of numbers that are added to the scores.
        """
        sizes = (self.queries, self.total)
        if value is None or value.dtype == object or not value.ndim:
            return self._replace(is_known=False)
        if not all(isinstance(size, int) for size in sizes):
            flags = are_kept or value.dtype.kind == "b"
            hides_none = (value == 1).all() if flags else not value.any()
            return self if hides_none else self._replace(is_known=False)
        if product(sizes) > LARGEST_MASK:  # type: ignore[operator]
            return self._replace(is_known=False)
        if value.dtype.kind == "b" or are_kept:
            hidden, is_known = value == 0, True
        else:
            hidden = np.isneginf(value)
            # So large a number usually hides a key, too.
            is_known = not (~hidden & (value < -_LARGEST_SCORE)).any()
        hidden = hidden.reshape((1,) * (2 - hidden.ndim) + hidden.shape)
        outer = tuple(range(hidden.ndim - 2))
        is_known = is_known and bool((hidden == hidden.all(outer)).all())
        flags = hidden.all(outer)
        missing = int(self.total) - flags.shape[1]  # type: ignore[arg-type]
        if missing > 0 and flags.shape[1] != 1:
            flags = np.pad(flags, ((0, 0), (0, missing)), constant_values=True)
        if missing < 0:
            return self._replace(is_known=False)
        flags = np.broadcast_to(flags, sizes)  # type: ignore[arg-type]
        if self.hidden is not None:
            flags = flags | self.hidden
        is_known = is_known and self.is_known
        if not flags.any():
            return self._replace(is_known=is_known)
        return self._replace(hidden=flags, is_known=is_known)


_LARGEST_SCORE = 50
"""The largest number that is taken to change a score instead of hiding a key."""


def along_steps(axis: int, seen: AxisMap) -> Axis:
    """Returns the axis of steps of keys, of which a query on an axis sees some."""
    return whole([axis], seen) if seen.is_everything else follow(axis, seen)


def exactly_seen(
    call: Call,
    keys: Keys,
    number: int,
    value: int,
    found: Relation,
    steps: int,
    is_query: bool,
) -> Relation:
    """Returns the relation to queries or keys, as a bound unless all of them matter.

    Where a query sees a single key, neither of the two matters. This makes no
    difference if the value of that key sees the same positions.

    Args:
      call: the op.
      keys: which keys each query sees.
      number, value: the inputs with the queries or keys, and with the values.
      found: the relation of a query that sees several keys.
      steps: the axis of the input that holds the steps.
      is_query: whether the input holds the queries, which see the positions of their
        own keys.
    """
    if not keys.may_be_single:
        return found
    sees_same = call.carries(value) and call.is_alike(number, value)
    if sees_same and not (is_query and keys.may_hide_own):
        return found
    axes = list(found.axes)
    axes[steps] = tuple(
        thread._replace(
            factors=tuple(f._replace(map=f.map.as_bound()) for f in thread.factors)
        )
        for thread in axes[steps]
    )
    return found._replace(axes=tuple(axes))
