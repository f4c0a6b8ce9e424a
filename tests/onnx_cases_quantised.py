"""Quantised ops, each in a model of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import Case, Cases, case
from onnx_experiments import model_of, onnx

MICROSOFT = "com.microsoft"
ONE, ZERO = np.float32(0.5), np.uint8(1)
FINE = np.float32(0.001)
SHAPE = (1, 2, 4, 5)


def levels(*shape: int) -> Any:
    """Integers of 8 bits that are larger than the zero point."""
    return np.random.default_rng(0).integers(2, 5, shape).astype("uint8")


def numbers(*shape: int) -> Any:
    """Positive numbers without a pattern."""
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def quantised(op: str, *inputs: Any, **given: Any) -> Any:
    """A case of an op on integers of 8 bits."""
    return case(
        op,
        *inputs,
        **(
            {
                "shape": SHAPE,
                "domain": MICROSOFT,
                "dtype": "uint8",
                "check_dtype": "uint8",
                "check_values": (2, 100),
            }
            | given
        ),
    )


MASK = np.zeros((1, 1, 4, 5), bool)
MASK[..., 1:3, 2:] = True

SMALL = np.float32(0.004)
PART = (levels(*SHAPE), ONE, ZERO)


def at(op: str, place: int, *constants: Any, **attributes: Any) -> Any:
    """A case of an op that reads "x" as the input with number ``place``."""
    names = [f"c{number}" for number in range(len(constants))]
    tensors = [
        onnx.numpy_helper.from_array(np.asarray(constant), name)
        for name, constant in zip(names, constants, strict=True)
    ]
    names.insert(place, "x")
    node = onnx.helper.make_node(op, names, ["y"], domain=MICROSOFT, **attributes)
    model = model_of([node], {"x": ("uint8", SHAPE)}, ["y"], tensors)
    return lambda: Case(model, SHAPE, {"dtype": "uint8", "values": (2, 100)})


CASES: Cases = {
    "QuantizeLinear": [
        case("QuantizeLinear", FINE, ZERO, shape=SHAPE, check_exact=True),
        case("QuantizeLinear", numbers(2), levels(2), shape=SHAPE),
        case(
            "QuantizeLinear",
            *(numbers(1, 2, 2, 5), levels(1, 2, 2, 5)),
            shape=SHAPE,
            axis=2,
            block_size=2,
        ),
    ],
    "DequantizeLinear": [
        quantised("DequantizeLinear", ONE, ZERO, domain="", check_exact=True),
        quantised(
            "DequantizeLinear",
            *(numbers(1, 2, 2, 5), levels(1, 2, 2, 5)),
            domain="",
            axis=2,
            block_size=2,
            check_exact=True,
        ),
    ],
    "com.microsoft.QuantizeLinear": [
        case("QuantizeLinear", FINE, ZERO, shape=SHAPE, domain=MICROSOFT)
    ],
    "com.microsoft.DequantizeLinear": [
        quantised("DequantizeLinear", ONE, ZERO, check_exact=True)
    ],
    "DynamicQuantizeLinear": [case("DynamicQuantizeLinear", shape=SHAPE, outputs=3)],
    "com.microsoft.QLinearAdd": [
        quantised("QLinearAdd", ONE, ZERO, levels(*SHAPE), ONE, ZERO, ONE, ZERO),
        quantised("QLinearAdd", ONE, ZERO, levels(5), ONE, ZERO, ONE, ZERO),
    ],
    "com.microsoft.QLinearMul": [
        quantised("QLinearMul", ONE, ZERO, levels(*SHAPE), ONE, ZERO, ONE, ZERO)
    ],
    "com.microsoft.QLinearLeakyRelu": [
        quantised("QLinearLeakyRelu", ONE, ZERO, ONE, ZERO)
    ],
    "com.microsoft.QLinearSigmoid": [
        quantised("QLinearSigmoid", np.float32(0.02), ZERO, np.float32(0.004), ZERO)
    ],
    "com.microsoft.QLinearSoftmax": [
        at("QLinearSoftmax", 0, np.float32(0.02), ZERO, SMALL, ZERO, axis=3, opset=13),
        at("QLinearSoftmax", 0, np.float32(0.02), ZERO, SMALL, ZERO, axis=2, opset=12),
    ],
    "com.microsoft.QLinearConcat": [
        at("QLinearConcat", 2, ONE, ZERO, ONE, ZERO, *PART, *PART, axis=2),
        at("QLinearConcat", 5, ONE, ZERO, *PART, ONE, ZERO, axis=3),
    ],
    "com.microsoft.QLinearWhere": [
        at("QLinearWhere", 1, MASK, ONE, ZERO, *PART, ONE, ZERO),
        at("QLinearWhere", 4, MASK, *PART, ONE, ZERO, ONE, ZERO),
    ],
    "com.microsoft.QLinearGlobalAveragePool": [
        quantised("QLinearGlobalAveragePool", ONE, ZERO, np.float32(0.2), ZERO)
    ],
    "com.microsoft.QLinearConv": [
        quantised(
            "QLinearConv",
            *(ONE, ZERO, levels(3, 2, 3, 3), ONE, ZERO, np.float32(3), ZERO),
            pads=[1, 1, 1, 1],
        )
    ],
    "QLinearConv": [
        quantised(
            "QLinearConv",
            *(ONE, ZERO, levels(3, 2, 3, 3), ONE, ZERO, np.float32(3), ZERO),
            domain="",
            strides=[2, 1],
        )
    ],
    "ConvInteger": [
        quantised("ConvInteger", levels(3, 2, 3, 3), ZERO, domain="", check_exact=True)
    ],
}

REASONS = {
    "com.microsoft.QLinearReduceMean": "onnxruntime has no kernel for processors",
    "com.microsoft.NhwcConv": "onnxruntime has no kernel for processors",
}
