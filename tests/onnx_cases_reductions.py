"""Reductions, softmax and normalisations, each in a model of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import case

MICROSOFT = "com.microsoft"
SHAPE = (1, 2, 4, 5)
REDUCTIONS = [
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
]


def numbers(*shape: int) -> Any:
    """Positive numbers without a pattern."""
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def small(op: str, *inputs: Any, **given: Any) -> Any:
    """A case on a small image."""
    return case(op, *inputs, shape=SHAPE, **({"check_exact": True} | given))


CASES: dict[str, Any] = {
    op: [
        small(op, axes=[2], opset=7),
        small(op, np.array([-1]), opset=18),
        small(op, np.array([2]), opset=18, keepdims=0),
        small(op, opset=18, noop_with_empty_axes=1),
        small(op, np.zeros(0, "int64"), opset=18),
    ]
    for op in REDUCTIONS
}
CASES |= {
    op: [small(op, axis=2), small(op, axis=-1, keepdims=0, select_last_index=1)]
    for op in ("ArgMax", "ArgMin")
}
CASES |= {
    op: [small(op, axis=2, opset=7), small(op, axis=2), small(op, opset=11)]
    for op in ("Softmax", "LogSoftmax")
}
CASES |= {
    "InstanceNormalization": [
        small("InstanceNormalization", numbers(2), numbers(2)),
    ],
    "GroupNormalization": [
        small("GroupNormalization", numbers(2), numbers(2), num_groups=2, opset=21)
    ],
    "LayerNormalization": [
        small("LayerNormalization", numbers(5), numbers(5)),
        small("LayerNormalization", numbers(4, 5), numbers(4, 5), axis=2),
        small("LayerNormalization", numbers(5), None, outputs=3, output=1),
    ],
    "RMSNormalization": [
        small("RMSNormalization", numbers(5), opset=23),
        small("RMSNormalization", numbers(4, 5), axis=-2, opset=23),
    ],
    "SimplifiedLayerNormalization": [small("SimplifiedLayerNormalization", numbers(5))],
    "MeanVarianceNormalization": [
        small("MeanVarianceNormalization", opset=13),
        small("MeanVarianceNormalization", axes=[3], opset=13),
    ],
    "LpNormalization": [
        small("LpNormalization", axis=axis, p=p) for axis in (-1, 2) for p in (1, 2)
    ],
    "SoftmaxCrossEntropyLoss": [
        small(
            "SoftmaxCrossEntropyLoss",
            np.zeros((1, 4, 5), int),
            reduction="none",
            check_channels=(),
        ),
    ],
    f"{MICROSOFT}.BranchwiseRMSNorm": [
        small("BranchwiseRMSNorm", numbers(2, 2, 5)[0, 0], domain=MICROSOFT)
    ],
    f"{MICROSOFT}.GatedRMSNorm": [
        small("GatedRMSNorm", numbers(5), numbers(*SHAPE), domain=MICROSOFT)
    ],
}
for _op in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"):
    CASES |= {
        f"{MICROSOFT}.{_op}": [
            case(
                _op,
                *(numbers(1, 4, 8), numbers(8)),
                shape=(1, 4, 8),
                domain=MICROSOFT,
                outputs=4,
                output=output,
                check_axes=(2,),
                check_channels=(),
                check_exact=True,
            )
            for output in (0, 3)
        ]
    }

CASES |= {
    "NegativeLogLikelihoodLoss": [
        small(
            "NegativeLogLikelihoodLoss",
            np.zeros((1, 4, 5), int),
            reduction="none",
            check_channels=(),
        )
    ],
}

REASONS = {
    "Hardmax": "its result rarely changes; its rule is that of Softmax",
    f"{MICROSOFT}.GroupNorm": "onnxruntime has no kernel for processors",
    f"{MICROSOFT}.BiasSoftmax": "onnxruntime has no kernel for processors",
    f"{MICROSOFT}.EmbedLayerNormalization": "its input are words, which have no pixels",
}
