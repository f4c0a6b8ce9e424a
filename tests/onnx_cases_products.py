"""Products of matrices and tensors, each in a model of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import Cases, case

MICROSOFT = "com.microsoft"


def weights(*shape: int) -> Any:
    """Positive numbers without a pattern."""
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def levels(*shape: int) -> Any:
    """Integers of 8 bits that are larger than the zero point."""
    return np.random.default_rng(0).integers(2, 5, shape).astype("uint8")


def matrix(op: str, *inputs: Any, **given: Any) -> Any:
    """A case of a product of a matrix whose positions lie on its last axis."""
    return case(
        op,
        *inputs,
        shape=(3, 5),
        check_axes=(1,),
        check_exact=True,
        **given,
    )


def image(op: str, *inputs: Any, **given: Any) -> Any:
    """A case of a product of the last two axes of an image."""
    return case(op, *inputs, **({"check_exact": True} | given))


ONE, ZERO = np.float32(0.5), np.uint8(1)
BYTES = {"dtype": "uint8", "check_dtype": "uint8", "check_values": (2, 200)}

CASES: Cases = {
    "Gemm": [
        matrix("Gemm", weights(3, 4), weights(4), transA=1),
        matrix("Gemm", weights(4, 3), weights(5, 1), transA=1, transB=1),
    ],
    "MatMul": [
        image("MatMul", weights(6, 4)),
        image("MatMul", weights(1, 2, 6, 4)),
        image("MatMul", weights(6), check_channels=(1,)),
    ],
    "MatMulInteger": [image("MatMulInteger", levels(6, 4), ZERO, **BYTES)],
    "com.microsoft.MatMulInteger16": [
        image(
            "MatMulInteger16",
            np.ones((6, 4), "int16"),
            domain=MICROSOFT,
            dtype="int16",
            check_dtype="int16",
            check_values=(2, 200),
        )
    ],
    "QLinearMatMul": [
        image(
            "QLinearMatMul",
            *(ONE, ZERO, levels(6, 4), ONE, ZERO, np.float32(4), ZERO),
            opset=21,
            **(BYTES | {"check_exact": None}),
        )
    ],
    "com.microsoft.FusedMatMul": [
        image("FusedMatMul", weights(5, 4), domain=MICROSOFT, transA=1),
        image("FusedMatMul", weights(4, 6), domain=MICROSOFT, transB=1),
        image(
            "FusedMatMul",
            weights(2, 5, 6, 4),
            domain=MICROSOFT,
            transBatchA=1,
            check_channels=(0,),
        ),
    ],
    "com.microsoft.TransposeMatMul": [
        image("TransposeMatMul", weights(5, 4), domain=MICROSOFT, transA=1)
    ],
    "com.microsoft.FusedGemm": [
        matrix(
            "FusedGemm",
            *(weights(3, 4), weights(4)),
            domain=MICROSOFT,
            transA=1,
            activation="Relu",
        )
    ],
    "com.microsoft.QGemm": [
        matrix(
            "QGemm",
            *(ONE, ZERO, levels(3, 4), ONE, ZERO, np.ones(4, "int32")),
            domain=MICROSOFT,
            transA=1,
            **BYTES,
        )
    ],
    "com.microsoft.MatMulIntegerToFloat": [
        image(
            "MatMulIntegerToFloat",
            *(levels(6, 4), ONE, ONE, ZERO, ZERO, weights(4)),
            domain=MICROSOFT,
            **BYTES,
        )
    ],
    "com.microsoft.DynamicQuantizeMatMul": [
        image(
            "DynamicQuantizeMatMul",
            *(levels(6, 4), ONE, ZERO),
            domain=MICROSOFT,
            check_exact=None,
        )
    ],
    "com.microsoft.MatMulNBits": [
        case(
            "MatMulNBits",
            *(levels(4, 1, 8), weights(4, 1)),
            domain=MICROSOFT,
            shape=(1, 2, 5, 16),
            K=16,
            N=4,
            bits=4,
            block_size=16,
        )
    ],
    "Einsum": [
        image("Einsum", equation="bchw->bcwh"),
        image("Einsum", weights(6, 4), equation="...w,wk->...k"),
        image("Einsum", weights(1, 2, 5, 3), equation="...hw,...hk->...wk"),
        image("Einsum", weights(5, 3), equation="bchw,hk", check_channels=(1,)),
        image("Einsum", equation="bchw->bcw", check_channels=(1,)),
        case("Einsum", shape=(1, 2, 5, 5), equation="bcii->bci", check_exact=True),
        case("Einsum", shape=(1, 2, 4, 4), equation="bcii->bc"),
    ],
    "com.microsoft.Inverse": [
        case("Inverse", shape=(1, 2, 3, 3), domain=MICROSOFT, check_exact=True)
    ],
}

REASONS = {
    "com.microsoft.GemmFloat8": "onnxruntime has no kernel for processors",
    "com.microsoft.GemmFastGelu": "onnxruntime has no kernel for processors",
    "com.microsoft.FusedMatMulActivation": "onnxruntime has no kernel for processors",
    "com.microsoft.MatMulBnb4": "its weights are packed like those of MatMulNBits",
    "com.microsoft.MatMulFpQ4": "its weights are packed like those of MatMulNBits",
    "com.microsoft.CDist": "its positions lie on the first axis of a matrix",
    "com.microsoft.SparseToDenseMatMul": "its first operand is sparse",
}
