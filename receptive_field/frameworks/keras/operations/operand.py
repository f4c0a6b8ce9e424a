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


def tensor(w: Writer, value: Any) -> Tensor:
    """Returns a tensor as it is, and adds a number or an array as a constant."""
    found: Tensor = value if isinstance(value, tuple) else w.op("Identity", value)
    return found
