"""Conditions that a receptive field must meet, and whether it meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.printable import printable
from receptive_field.results.field import ReceptiveField
from receptive_field.results.words import (
    at_most,
    middle_as_dict,
    numbers,
    size_words,
    sizes_strides_paddings,
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, and whether it holds."""

    wanted: str
    """What must hold, in words."""
    holds: bool | None
    """Whether it holds; None if this is unknown."""
    found: str
    """What was found, in words."""

    def __str__(self) -> str:
        mark = "ok" if self.holds else "FAILED"
        doubt = "unknown: " if self.holds is None else ""
        return f"{mark:6}  {self.wanted}: {doubt}{self.found}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the condition as plain data for JSON."""
        return {"condition": self.wanted, "holds": self.holds, "found": self.found}


def conditions(
    field: ReceptiveField,
    min_size: Sequence[int] | None = None,
    aligned: bool = False,
    exact: bool = False,
    min_output: Sequence[int] | None = None,
) -> list[Condition]:
    """Returns the conditions that the caller gave, in a fixed order.

    Args:
      field: the receptive field.
      min_size: the smallest allowed size of the receptive field, one number for all
        axes or one for each, ``[height, width]`` for images.
      aligned: whether the field must be aligned.
      exact: whether its numbers must be exact.
      min_output: the smallest allowed size of the output, given like ``min_size``.

    Raises:
      ReceptiveFieldError: if the number of sizes is not the number of axes.
    """
    found = []
    if min_size is not None:
        found.append(_of_size(field, min_size))
    if aligned:
        unsized = any(axis.input_size is None for axis in field.axes)
        why = "depends on the input size" if unsized else "an op reads unknown places"
        text = {True: "yes", False: "no", None: why}[field.aligned]
        found.append(Condition("aligned", field.aligned, text))
    if exact:
        text = "yes" if field.exact else "no, an upper bound"
        found.append(Condition("exact", field.exact, text))
    if min_output is not None:
        found.append(_of_output(field, min_output))
    return found


def is_reached(field: ReceptiveField, least: Sequence[int]) -> bool | None:
    """Returns whether a field has a size on each axis, or None if this is unknown.

    In a misaligned network, the largest field counts. What the local paths see is a
    part of what all paths see, so either of the two can prove it.
    """
    both = field, field.local or field
    sizes = [sizes_strides_paddings(one)[0] for one in both]
    flags: list[bool | None] = []
    for place, limit in enumerate(least):
        enough = [
            one.axes[place].map.exact
            for one, of_axes in zip(both, sizes, strict=True)
            if of_axes[place] >= limit
        ]
        flags.append(any(enough) or (None if enough else False))
    return _all(flags)


def found_size(field: ReceptiveField) -> str:
    """Returns the size of a field, and what to know before it is held to a limit."""
    text = _largest(field)
    if field.is_global and field.global_nodes:
        text += f", because of {printable(field.global_nodes[0])}"
    if not field.exact:
        text += ", an upper bound"
    if field.is_global and field.local is not None:
        text += f"; the local paths alone see {_largest(field.local)}"
        text += "" if field.local.exact else ", an upper bound"
    return text


def _largest(field: ReceptiveField) -> str:
    return f"{at_most(field)}{numbers(size_words(field))}{_of_others(field)}"


def _of_others(field: ReceptiveField) -> str:
    """Returns what other features than those with the largest field see."""
    if not at_most(field):
        return ""
    middle = middle_as_dict(field)
    if middle is None:
        return " (the largest of several)"
    place = ", ".join(map(str, middle["feature"]))
    return f" (the largest; feature ({place}) sees {numbers(middle['size'])})"


def _of_size(field: ReceptiveField, least: Sequence[int]) -> Condition:
    limits = x_first(least, len(field.axes), f"the input {field.input!r}")
    wanted = f"receptive field at least {numbers(limits)}"
    return Condition(wanted, is_reached(field, limits), found_size(field))


def _of_output(field: ReceptiveField, least: Sequence[int]) -> Condition:
    sizes = [axis.size for axis in field.feature_axes]
    limits = x_first(least, len(sizes), f"the output {field.output!r}")
    pairs = zip(sizes, limits, strict=True)
    holds = [None if size is None else size >= limit for size, limit in pairs]
    if None in sizes:
        text = "depends on the input size; give input_resolution"
    else:
        text = numbers(sizes)
    return Condition(f"output at least {numbers(limits)}", _all(holds), text)


def _all(holds: Sequence[bool | None]) -> bool | None:
    return False if False in holds else None if None in holds else True


def x_first(sizes: Sequence[int], count: int, whose: str) -> list[int]:
    """Returns one size for each axis, x first.

    Raises:
      ReceptiveFieldError: if their number is not the number of axes.
    """
    if len(sizes) == 1:
        return [*sizes] * count
    if len(sizes) != count:
        raise ReceptiveFieldError(
            f"{'x'.join(map(str, sizes))} has {len(sizes)} sizes, but {whose} has "
            f"{count} spatial {'axis' if count == 1 else 'axes'}. Give one size for "
            "all axes, or one for each axis."
        )
    return [*reversed(sizes)]
