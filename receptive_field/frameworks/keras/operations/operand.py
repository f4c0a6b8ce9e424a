"""What the rules of operations share: operands, and rules of one or two of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor

Operation = Callable[..., Tensor | list[Tensor]]


def unary(op: str) -> Operation:
    """Returns the rule of an operation that runs one op on one tensor."""
    return lambda w, x: w.op(op, x)


def binary(op: str) -> Operation:
    """Returns the rule of an operation that runs one op on two operands."""
    return lambda w, x1, x2: w.op(op, operand(x1), operand(x2))


def operand(value: Any) -> Any:
    """Returns a tensor as it is, and a number as one of floating point."""
    return float(value) if isinstance(value, int) else value


def as_list(value: Any) -> list[Any]:
    """Returns a sequence as a list, and another value as the only part of a list."""
    return value if isinstance(value, list) else [value]


def as_tensor(w: Writer, value: Any) -> Tensor:
    """Returns a tensor as it is, and adds anything else as a constant."""
    return value if isinstance(value, tuple) else w.op("Identity", value)


def axes_of(w: Writer, x: Tensor, axis: Any) -> list[int]:
    """Returns axes as a list of numbers that count from 0: all axes for None."""
    rank = w.rank(x)
    if axis is None:
        return list(range(rank))
    return [number % rank for number in as_list(axis)]


def sizes_of(w: Writer, x: Tensor) -> list[Any]:
    """Adds the sizes of all axes."""
    return [w.size(x, axis) for axis in range(w.rank(x))]


def item(w: Writer, x: Tensor, key: Any) -> Tensor:
    """Adds ``x[key]``. The key has integers, slices, None and Ellipsis."""
    parts = as_list(key)
    begins, ends, steps = [0] * len(parts), [0] * len(parts), [1] * len(parts)
    masks = dict.fromkeys(("begin", "end", "ellipsis", "new_axis", "shrink_axis"), 0)
    for number, part in enumerate(parts):
        open_ends = []
        if part is None or part is Ellipsis:
            open_ends = ["new_axis" if part is None else "ellipsis"]
        elif isinstance(part, slice):
            open_ends += ["begin"] * (part.start is None)
            open_ends += ["end"] * (part.stop is None)
            begins[number], ends[number] = part.start or 0, part.stop or 0
            steps[number] = 1 if part.step is None else part.step
        else:
            begins[number], ends[number] = part, part + 1
            open_ends = ["shrink_axis"] + ["end"] * (part == -1)
        for name in open_ends:
            masks[name] |= 1 << number
    limits = [_limits(w, values) for values in (begins, ends, steps)]
    fields = {f"{name}_mask": bits for name, bits in masks.items()}
    return w.op("StridedSlice", x, *limits, **fields)


def _limits(w: Writer, values: list[Any]) -> Any:
    """Returns numbers, or a tensor of them if one of them is a tensor."""
    return values if all(isinstance(v, int) for v in values) else w.sizes(*values)
