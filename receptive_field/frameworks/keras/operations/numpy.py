"""The rules of `keras.ops.numpy`, whose functions are named as in NumPy."""

from __future__ import annotations

from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    binary,
    unary,
)

RULES: dict[str, Operation] = {
    "Add": binary("AddV2"),
    "Subtract": binary("Sub"),
    "Multiply": binary("Mul"),
    "TrueDivide": binary("RealDiv"),
    "Divide": binary("RealDiv"),
    "Maximum": binary("Maximum"),
    "Minimum": binary("Minimum"),
    "Power": binary("Pow"),
    "Tanh": unary("Tanh"),
    "Negative": unary("Neg"),
    "Absolute": unary("Abs"),
    "Sqrt": unary("Sqrt"),
    "Exp": unary("Exp"),
}
