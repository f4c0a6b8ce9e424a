"""Models of ONNX ops that reshape, join, or make values from nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import Cases, case


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


CASES: Cases = {
    "Reshape": [
        case("Reshape", ints(0, -1, 6), check_channels=()),
        case("Reshape", ints(0, 0, -1, 2), check_exact=True),
        case("Reshape", ints(1, 2, 3, 2, 5), allowzero=1),
        case("Reshape", ints(1, 2, 30), opset=7, check_exact=True),
    ],
    "Flatten": [
        case("Flatten", axis=axis, shape=(1, 2, 3, 4), check_channels=())
        for axis in range(-4, 5)
    ],
    "Squeeze": [
        case("Squeeze", ints(-3), shape=(1, 1, 3, 4), check_channels=()),
        case("Squeeze", shape=(1, 1, 3, 4), check_channels=(), check_exact=True),
        case("Squeeze", shape=(1, 1, 3, 4), axes=[1], opset=11, check_channels=()),
    ],
    "Unsqueeze": [
        case("Unsqueeze", ints(2, -1), check_exact=True),
        case("Unsqueeze", axes=[2, 5], opset=7, check_exact=True),
    ],
    "Transpose": [
        case("Transpose", check_channels=(2,), check_exact=True),
        case("Transpose", perm=[0, 1, 3, 2], check_exact=True),
    ],
    "Concat": [
        case(
            "Concat",
            np.ones((1, 2, 3, 6), np.float32),
            axis=-2,
            check_exact=True,
        ),
    ],
    "DepthToSpace": [
        case("DepthToSpace", shape=(1, 8, 3, 4), blocksize=2, check_exact=True),
        case(
            "DepthToSpace",
            shape=(1, 8, 3, 4),
            blocksize=2,
            mode="CRD",
            check_exact=True,
        ),
    ],
    "SpaceToDepth": [
        case("SpaceToDepth", shape=(1, 2, 4, 6), blocksize=2, check_exact=True),
    ],
}

REASONS = dict.fromkeys(
    (
        "BlackmanWindow",
        "Constant",
        "ConstantOfShape",
        "EyeLike",
        "HammingWindow",
        "HannWindow",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "Range",
        "Shape",
        "Size",
    ),
    "its values do not depend on those of an image",
)
