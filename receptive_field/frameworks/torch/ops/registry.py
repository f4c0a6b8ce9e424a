"""The table of rules for ATen ops, and the functions that fill and read it.

An op of ATen goes by its name without overload, such as ``conv2d``, and any other op by
its namespace and name, such as ``torchvision.deform_conv2d``. What differs between
overloads is told from the arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.registry import Table
from receptive_field.frameworks.torch.definitions import Read
from receptive_field.rules.op import Call

OPS = Table()
"""ATen op -> rule."""

register, weigh, treat_zeros, count = (
    OPS.register,
    OPS.weigh,
    OPS.treat_zeros,
    OPS.count,
)


def place(call: Call, name: str) -> int | None:
    """Returns the number of the data input that an argument is, or None."""
    found = call.attribute(name)
    return found.number if isinstance(found, Read) else None


def places(call: Call, name: str) -> list[int | None]:
    """Returns the numbers of the data inputs in a list of tensors.

    An absent tensor is None.
    """
    found = call.attribute(name)
    if not isinstance(found, list):
        call.malformed(name, "a list of tensors")
    return [part.number if isinstance(part, Read) else None for part in found]


def size(call: Call, name: str, default: Size | None = None) -> Size | None:
    """Returns an argument that is an integer; None if its value is not known."""
    return _size(call, call.attribute(name, default))


def sizes(
    call: Call, name: str, default: Sequence[int] | None = None
) -> list[Size | None] | None:
    """Returns an argument that is a list of integers, or None if it is absent.

    A single number stands for a list of one. An integer that is not known is None.
    """
    found = call.attribute(name, default)
    if found is None:
        return None
    parts = found if isinstance(found, (list, tuple)) else [found]
    return [_size(call, part) for part in parts]


def _size(call: Call, part: Any) -> Size | None:
    if isinstance(part, Read):
        values = call.integers(part.number)
        return values[0] if values is not None and len(values) == 1 else None
    found: Size | None = part
    return found


def integers(
    call: Call, name: str, count: int, default: int | None = None
) -> list[int]:
    """Returns an argument with a known integer for each of some axes.

    A single number stands for all axes.

    Raises:
      GraphError: if a number is missing or not known.
    """
    found = sizes(call, name) or ([] if default is None else [default])
    if len(found) == 1:
        found = found * count
    if len(found) != count:
        call.fail(f"has {len(found)} numbers in {name} for {count} axes")
    known = [part for part in found if isinstance(part, int)]
    if len(known) < count:
        call.fail(f"cannot be analysed: its {name} depends on unknown sizes")
    return known
