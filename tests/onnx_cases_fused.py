"""Convolutions and pools of onnxruntime's own, each in a model of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import Case, case
from onnx_experiments import model_of, onnx

MICROSOFT = "com.microsoft"
SHAPE = (1, 2, 5, 6)


def weights(*shape: int) -> Any:
    """Positive numbers without a pattern."""
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def summed(**given: Any) -> Any:
    """A case in which the input is added to a convolution of itself."""
    node = onnx.helper.make_node(
        "FusedConv", ["x", "w", "b", "x"], ["y"], domain=MICROSOFT, **given
    )
    tensors = [
        onnx.numpy_helper.from_array(array, name)
        for name, array in (("w", weights(2, 2, 3, 3)), ("b", weights(2)))
    ]
    model = model_of([node], {"x": ("float32", SHAPE)}, ["y"], tensors)
    return lambda: Case(model, SHAPE, {"exact": True})


LAST = {"shape": (1, 5, 6, 2), "check_axes": (1, 2), "check_channels": (3,)}
BYTES = {"dtype": "uint8", "check_dtype": "uint8", "check_values": (2, 100)}
SCALES = (np.float32(1), np.uint8(0), np.float32(1), np.uint8(0))

CASES: dict[str, Any] = {
    "com.microsoft.FusedConv": [
        case(
            "FusedConv",
            *(weights(3, 2, 3, 3), weights(3)),
            domain=MICROSOFT,
            strides=[2, 1],
            activation="Relu",
            check_exact=True,
        ),
        case(
            "FusedConv",
            *(weights(2, 2, 3, 3), weights(2), weights(1, 2, 3, 4)),
            domain=MICROSOFT,
            check_exact=True,
        ),
        summed(pads=[2, 2, 0, 0]),
        summed(pads=[1, 1, 1, 1], activation="Relu"),
    ],
    "com.microsoft.ConvTransposeWithDynamicPads": [
        case(
            "ConvTransposeWithDynamicPads",
            *(weights(2, 3, 3, 3), np.array([0, 1, 1, 0])),
            domain=MICROSOFT,
            strides=[2, 2],
            output_padding=[1, 0],
        ),
    ],
    "com.microsoft.NhwcMaxPool": [
        case(
            "NhwcMaxPool",
            domain=MICROSOFT,
            kernel_shape=[3, 2],
            strides=[2, 1],
            pads=[1, 0, 1, 1],
            **LAST,
            **BYTES,
        )
    ],
    "com.microsoft.QLinearAveragePool": [
        case(
            "QLinearAveragePool",
            *SCALES,
            domain=MICROSOFT,
            kernel_shape=[3, 2],
            strides=[2, 1],
            **BYTES,
        ),
        case(
            "QLinearAveragePool",
            *SCALES,
            domain=MICROSOFT,
            kernel_shape=[2, 2],
            channels_last=1,
            **LAST,
            **BYTES,
        ),
    ],
    "com.microsoft.QLinearGlobalAveragePool": [
        case(
            "QLinearGlobalAveragePool",
            *(np.float32(0.5), np.uint8(1), np.float32(0.1), np.uint8(1)),
            domain=MICROSOFT,
            channels_last=1,
            **LAST,
            **BYTES,
        )
    ],
    "com.microsoft.QLinearConv": [
        case(
            "QLinearConv",
            *(np.float32(0.5), np.uint8(1)),
            np.full((3, 2, 3, 3), 3, "uint8"),
            *(np.float32(0.5), np.uint8(1), np.float32(3), np.uint8(1)),
            domain=MICROSOFT,
            channels_last=1,
            pads=[0, 1, 2, 0],
            **LAST,
            **BYTES,
        )
    ],
}

REASONS = {
    "com.microsoft.NhwcFusedConv": "onnxruntime has a kernel for half precision only"
}
