"""Models of ONNX ops that pad, slice, pick, order or write positions."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import Cases, case


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def floats(*shape: int) -> Any:
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32)


PADS = ints(0, 0, 1, 2, 0, 0, 3, 0)

CASES: Cases = {
    "Pad": [
        case("Pad", PADS, check_exact=True),
        case("Pad", PADS, np.float32(2), mode="constant", check_exact=True),
        case("Pad", PADS, mode="reflect", check_exact=True),
        case("Pad", PADS, mode="edge", check_exact=True),
        case("Pad", PADS, mode="wrap", check_exact=True),
        case("Pad", ints(-1, 2, 1, -2), None, ints(2, 3), check_exact=True),
        case("Pad", pads=PADS.tolist(), value=1.0, opset=7, check_exact=True),
    ],
    "CenterCropPad": [
        case("CenterCropPad", ints(3, 9), axes=[2, 3], check_exact=True),
        case("CenterCropPad", ints(1, 2, 8, 3), check_exact=True),
    ],
    "Slice": [
        case("Slice", ints(4, 1), ints(-(2**63), 5), ints(2, 3), ints(-1, 2)),
        case("Slice", ints(0, 0, 1), ints(1, 2, 2**31 - 1), check_exact=True),
        case("Slice", starts=[1], ends=[-1], axes=[3], opset=9, check_exact=True),
    ],
    "Split": [
        case("Split", num_outputs=3, axis=2, outputs=3, output=2, check_exact=True),
        case("Split", ints(2, 3), axis=2, outputs=2, output=1, check_exact=True),
        case("Split", axis=3, outputs=3, output=2, opset=7, check_exact=True),
    ],
    "Gather": [
        case("Gather", ints(3, 0, 0, -1), axis=3, check_exact=True),
        case("Gather", np.array(2), axis=3, check_exact=True),
    ],
    "GatherElements": [
        case(
            "GatherElements",
            np.broadcast_to(ints(3, 0, -1), (1, 2, 5, 3)),
            axis=3,
            check_exact=True,
        ),
    ],
    "GatherND": [
        case(
            "GatherND",
            ints(0, 0, 4, 1, 0, 0, 2, 3).reshape(1, 1, 2, 4),
            shape=(1, 1, 5, 6),
            check_exact=True,
        ),
        case(
            "GatherND",
            ints(3, 0).reshape(1, 2, 1, 1).repeat(1, 0),
            shape=(1, 2, 5, 6),
            batch_dims=2,
            check_channels=(1,),
        ),
    ],
    "Compress": [
        case("Compress", np.array([True, False, True]), axis=2, check_exact=True),
        case(
            "Compress",
            np.array([True, False, True, True]),
            shape=(1, 1, 3, 4),
            check_channels=(),
        ),
    ],
    "Expand": [
        case("Expand", ints(3, 1), shape=(1, 2, 1, 4), check_exact=True),
    ],
    "Tile": [case("Tile", ints(1, 1, 2, 3), check_exact=True)],
    "CumSum": [
        case("CumSum", np.array(2), check_exact=True),
        case("CumSum", np.array(-1), exclusive=1, reverse=1, check_exact=True),
    ],
    "CumProd": [case("CumProd", np.array(2), reverse=1, opset=26, check_exact=True)],
    "TopK": [
        case("TopK", ints(2), axis=2, outputs=2, check_exact=True),
        case("TopK", k=2, axis=3, outputs=2, opset=9, check_exact=True),
    ],
    "ReverseSequence": [
        case(
            "ReverseSequence",
            ints(4),
            shape=(6, 1, 3, 4),
            check_exact=True,
        ),
    ],
    "ScatterElements": [
        case(
            "ScatterElements",
            np.broadcast_to(ints(3, 1), (1, 2, 5, 2)),
            floats(1, 2, 5, 2),
            axis=3,
            check_exact=True,
        ),
        case(
            "ScatterElements",
            np.broadcast_to(ints(3, 1), (1, 2, 5, 2)),
            floats(1, 2, 5, 2),
            axis=3,
            reduction="add",
            check_exact=True,
        ),
    ],
    "Scatter": [
        case(
            "Scatter",
            np.broadcast_to(ints(3, 1), (1, 2, 5, 2)),
            floats(1, 2, 5, 2),
            axis=3,
            opset=9,
            check_exact=True,
        ),
    ],
    "ScatterND": [
        case(
            "ScatterND",
            ints(0, 0, 3, 0, 0, 1).reshape(1, 1, 2, 3),
            floats(1, 1, 2, 6),
            shape=(1, 1, 5, 6),
            check_exact=True,
        ),
        case(
            "ScatterND",
            ints(0, 0, 3, 0, 0, 1).reshape(1, 1, 2, 3),
            floats(1, 1, 2, 6),
            shape=(1, 1, 5, 6),
            reduction="max",
            opset=18,
            check_exact=True,
        ),
    ],
    "TensorScatter": [
        case("TensorScatter", floats(1, 2, 3, 6), opset=24, check_exact=True),
        case(
            "TensorScatter",
            floats(1, 2, 3, 6),
            ints(4),
            mode="circular",
            opset=24,
            check_exact=True,
        ),
    ],
    "OneHot": [
        case(
            "OneHot",
            np.array(8),
            np.array([0.5, 2.5], np.float32),
            dtype="int64",
            axis=1,
            check_channels=(1, 2),
            check_values=(0, 5),
            check_dtype="int64",
        ),
    ],
    "Trilu": [
        case("Trilu"),
        case("Trilu", np.array(1), upper=0),
    ],
    "BitCast": [case("BitCast", to=6, opset=26, check_exact=True)],
    "ai.onnx.ml.ArrayFeatureExtractor": [
        case(
            "ArrayFeatureExtractor",
            ints(3, 0, 5),
            domain="ai.onnx.ml",
            check_exact=True,
        ),
    ],
    "Det": [case("Det", shape=(1, 2, 3, 3), check_exact=True)],
    "Col2Im": [
        case(
            "Col2Im",
            ints(5, 7),
            ints(2, 3),
            shape=(1, 12, 16),
            strides=[1, 2],
            pads=[0, 1, 0, 1],
            check_axes=(2,),
        ),
    ],
}

LISTS = "it makes or reads a list of tensors (see test_onnx_sequences.py)"

REASONS = {
    "Bernoulli": "its results are drawn at random",
    "Multinomial": "its results are drawn at random",
    "NonZero": "the values decide how many positions its output has",
    "Unique": "the values decide how many positions its output has",
} | dict.fromkeys(
    (
        "ConcatFromSequence",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SplitToSequence",
    ),
    LISTS,
)

UNSUPPORTED = dict.fromkeys(
    ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit"),
    "it computes with text, which has no positions",
) | {"TfIdfVectorizer": "it counts words, which have no positions"}
