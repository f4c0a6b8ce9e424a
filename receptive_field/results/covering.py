"""Finds the first layers whose receptive field covers a size."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeVar

from receptive_field.errors import ReceptiveFieldError
from receptive_field.results.words import Described, numbers, size_words

F = TypeVar("F", bound=Described)
"""A `ReceptiveField`."""


def covering(
    fields: Mapping[str, F], links: Iterable[tuple[str, str]], size: Any
) -> dict[str, F]:
    """Returns the first layers that cover a size; see `ReceptiveFields.covering`.

    Args:
      fields: name -> receptive field, in topological order.
      links: the pairs of a layer and the next layer above it.
      size: the size to cover.
    """
    local = {name: f.local for name, f in fields.items() if f.local is not None}
    if not local:
        raise ReceptiveFieldError(
            "no layer has a receptive field that could cover a size: all of them see "
            "the whole input, or none could be analysed."
        )
    counts = {len(field.axes) for field in local.values()}
    wanted = _sizes(size, max(counts))
    shares = {name: _share(field, wanted) for name, field in local.items()}
    large = {name for name, share in shares.items() if share >= 1}
    wide = {name for name in large if local[name].exact}
    if not wide:
        name = max(shares, key=lambda n: shares[n])
        largest, asked = numbers(size_words(local[name])), numbers(wanted)
        if large:
            raise ReceptiveFieldError(
                f"no layer is known to have a receptive field that covers {asked}. "
                f"That of {name!r} may cover it: {largest} is an upper bound."
            )
        raise ReceptiveFieldError(
            f"no layer has a receptive field that covers {asked}. The largest is that "
            f"of {name!r}, with {largest}. Ask about a smaller size."
        )
    above = {upper for lower, upper in links if lower in wide}
    return {name: fields[name] for name in fields if name in wide - above}


def _share(field: Described, wanted: Sequence[int]) -> float | Fraction:
    """Returns the largest part of the wanted sizes that fits in a receptive field."""
    pairs = zip(field.size.tolist(), wanted, strict=True)
    return min(
        found if found == float("inf") else Fraction(found, size)
        for found, size in pairs
    )


def _sizes(size: Any, count: int) -> list[int]:
    """Returns a size for each axis, x first.

    Raises:
      ReceptiveFieldError: if the size is neither a positive integer nor one for each
        axis.
    """
    alone = not isinstance(size, Sequence) or isinstance(size, str)
    given: Any = [size] * count if alone else size
    try:
        sizes = [operator.index(n) for n in given]
    except TypeError:
        sizes = []
    if len(sizes) != count or min(sizes) < 1:
        raise ReceptiveFieldError(
            "the size to cover must be one positive integer for each of the "
            f"{count} spatial axes, x before y, or one for all axes; got {size!r}."
        )
    return sizes
