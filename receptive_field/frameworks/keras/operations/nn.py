"""The rules of `keras.ops.nn`: activations, windows, normalisations and attention."""

from __future__ import annotations

from receptive_field.frameworks.keras.operations.operand import Operation, unary

RULES: dict[str, Operation] = {
    "Relu": unary("Relu"),
    "Relu6": unary("Relu6"),
    "Sigmoid": unary("Sigmoid"),
}
