"""The rule of each function of `keras.ops` that a model may call by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor

Operation = Callable[..., Tensor]


def _binary(op: str) -> Operation:
    def written(w: Writer, x1: Any, x2: Any) -> Tensor:
        for value in (x1, x2):
            if not isinstance(value, (tuple, int, float)):
                raise NoRuleError("a constant that is not a number")
        one, two = (v if isinstance(v, tuple) else float(v) for v in (x1, x2))
        return w.op(op, one, two)

    return written


def _unary(op: str) -> Operation:
    return lambda w, x: w.op(op, x)


OPERATIONS: dict[str, Operation] = {
    "Add": _binary("AddV2"),
    "Subtract": _binary("Sub"),
    "Multiply": _binary("Mul"),
    "TrueDivide": _binary("RealDiv"),
    "Divide": _binary("RealDiv"),
    "Maximum": _binary("Maximum"),
    "Minimum": _binary("Minimum"),
    "Power": _binary("Pow"),
    "Relu": _unary("Relu"),
    "Relu6": _unary("Relu6"),
    "Sigmoid": _unary("Sigmoid"),
    "Tanh": _unary("Tanh"),
    "Negative": _unary("Neg"),
    "Absolute": _unary("Abs"),
    "Sqrt": _unary("Sqrt"),
    "Exp": _unary("Exp"),
}
"""Name of an operation's class -> its rule."""
