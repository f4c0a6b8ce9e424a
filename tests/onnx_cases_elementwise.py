"""Ops that compute each position on its own, and normalisations that do."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import case
from onnx_experiments import Reference

MICROSOFT = "com.microsoft"
SHAPE = (1, 2, 4, 5)


def numbers(*shape: int) -> Any:
    """Positive numbers without a pattern."""
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def unary(op: str, **given: Any) -> Any:
    """A case of an op with one input."""
    return case(op, shape=SHAPE, **given)


def binary(op: str, other: Any, **given: Any) -> Any:
    """A case of an op with two inputs, which broadcast."""
    return case(op, other, shape=SHAPE, **given)


def bits(op: str, *inputs: Any, **given: Any) -> Any:
    """A case of an op on integers."""
    return case(
        op,
        *inputs,
        shape=SHAPE,
        dtype="uint8",
        check_dtype="uint8",
        check_values=(0, 9),
        **given,
    )


SMALL = {"check_values": (-0.5, 0.5)}
FLAGS = np.arange(20).reshape(1, 1, 4, 5) % 3 == 0
MOMENTS = [numbers(2) for _ in range(4)]

CASES: dict[str, Any] = {
    op: [unary(op)]
    for op in [
        "Abs",
        "Asinh",
        "Atan",
        "Celu",
        "Cos",
        "Cosh",
        "Elu",
        "Erf",
        "Exp",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Log",
        "Mish",
        "Neg",
        "Reciprocal",
        "Relu",
        "Selu",
        "Shrink",
        "Sigmoid",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "Dropout",
        "Identity",
    ]
}
CASES |= {op: [unary(op, **SMALL)] for op in ("Acos", "Asin", "Atanh")}
CASES |= {op: [unary(op, check_values=(-9, 9))] for op in ("Ceil", "Floor", "Round")}
CASES |= {
    "Acosh": [unary("Acosh", check_values=(2, 3))],
    "Sign": [unary("Sign", **SMALL)],
    "Swish": [unary("Swish", opset=24, check_runner=Reference)],
    "Cast": [unary("Cast", to=11)],
    "CastLike": [case("CastLike", np.float64(0), shape=SHAPE, opset=19)],
    "Gelu": [unary("Gelu", opset=20)],
    "Clip": [
        case("Clip", np.float32(-2), np.float32(9), shape=SHAPE),
        unary("Clip", min=-2.0, max=9.0, opset=7),
    ],
    "Where": [
        case(
            "Where",
            *(numbers(*SHAPE), numbers(5)),
            shape=SHAPE,
            dtype="bool",
            check_dtype="bool",
            check_values=(0, 1),
        )
    ],
    "LRN": [case("LRN", shape=(1, 5, 3, 4), size=3)],
    "BatchNormalization": [
        case("BatchNormalization", *MOMENTS, shape=SHAPE),
        case("BatchNormalization", *MOMENTS, shape=SHAPE, opset=7),
    ],
    "BitwiseNot": [bits("BitwiseNot")],
    "BitShift": [bits("BitShift", np.full(5, 1, "uint8"), direction="LEFT")],
    "Not": [unary("Not", dtype="bool", check_dtype="bool", check_values=(0, 1))],
}
CASES |= {
    op: [binary(op, numbers(*SHAPE)), binary(op, numbers(4, 1))]
    for op in ["Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "PRelu", "Sub", "Sum"]
}
CASES |= {
    op: [binary(op, numbers(5) + 0.5)]
    for op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
}
CASES |= {"Mod": [binary("Mod", numbers(5), fmod=1)]}
CASES |= {
    op: [bits(op, np.full(5, 85, "uint8"))]
    for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
}
CASES |= {
    op: [binary(op, flags, dtype="bool", check_dtype="bool", check_values=(0, 1))]
    for op, flags in (("And", FLAGS | True), ("Or", FLAGS & False), ("Xor", FLAGS))
}
CASES |= {
    f"{MICROSOFT}.Gelu": [unary("Gelu", domain=MICROSOFT)],
    f"{MICROSOFT}.QuickGelu": [unary("QuickGelu", domain=MICROSOFT)],
    f"{MICROSOFT}.FastGelu": [
        unary("FastGelu", domain=MICROSOFT),
        binary("FastGelu", numbers(5), domain=MICROSOFT),
    ],
    f"{MICROSOFT}.BiasGelu": [binary("BiasGelu", numbers(5), domain=MICROSOFT)],
    f"{MICROSOFT}.ScaledSiLU": [unary("ScaledSiLU", domain=MICROSOFT)],
}

REASONS = {
    "Equal": "its result rarely changes",
    "IsInf": "its result rarely changes",
    "IsNaN": "its result rarely changes",
    "Bernoulli": "it draws random numbers",
    f"{MICROSOFT}.BiasAdd": "onnxruntime has no kernel for processors",
    f"{MICROSOFT}.MulInteger": "onnxruntime has no kernel for processors",
}
