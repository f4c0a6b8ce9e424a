"""Models of ONNX's resizes, and of ops that crop, warp and unpool."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx_cases import Cases, case


def floats(*values: float) -> np.ndarray:
    """A list of numbers in single precision."""
    return np.array(values, "float32")


def positive(*shape: int) -> np.ndarray:
    """Numbers in single precision that hide nothing."""
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def indices(*values: int) -> np.ndarray:
    """A list of indices."""
    return np.array(values, "int64")


def grid(height: int, width: int) -> np.ndarray:
    """A grid that reads between positions all over an image."""
    random = np.random.default_rng(1)
    return random.uniform(-0.9, 0.9, (1, height, width, 2)).astype("float32")


def theta() -> np.ndarray:
    """A matrix that turns an image a little."""
    return np.array([[[0.9, 0.2, 0.1], [-0.2, 0.8, 0.1]]], "float32")


NONE = floats()

CASES: Cases = {
    "Resize": [
        case("Resize", NONE, floats(1, 1, 2, 2), check_exact=True),
        case(
            "Resize",
            NONE,
            floats(1, 1, 2, 0.5),
            mode="linear",
            coordinate_transformation_mode="pytorch_half_pixel",
            check_exact=True,
        ),
        case(
            "Resize",
            NONE,
            NONE,
            indices(1, 2, 9, 4),
            mode="linear",
            coordinate_transformation_mode="align_corners",
            check_exact=True,
        ),
        case("Resize", NONE, floats(1, 1, 2, 3), mode="cubic", check_exact=True),
        case(
            "Resize",
            NONE,
            NONE,
            indices(3, 3),
            axes=[2, 3],
            mode="cubic",
            antialias=1,
            exclude_outside=1,
            check_exact=True,
        ),
        case(
            "Resize",
            floats(0.1, 0.2, 0.8, 1.2),
            NONE,
            indices(6, 6),
            axes=[2, 3],
            mode="linear",
            coordinate_transformation_mode="tf_crop_and_resize",
            check_exact=True,
        ),
        case(
            "Resize",
            NONE,
            floats(2),
            shape=(1, 2, 7),
            axes=[2],
            nearest_mode="ceil",
            check_axes=(2,),
            check_exact=True,
        ),
        case(
            "Resize",
            NONE,
            floats(1, 1, 1, 2, 1.5),
            shape=(1, 1, 3, 4, 4),
            mode="linear",
            check_axes=(2, 3, 4),
            check_exact=True,
        ),
        case(
            "Resize",
            NONE,
            floats(1, 2, 1.5, 1),
            shape=(1, 4, 5, 2),
            mode="linear",
            check_axes=(1, 2),
            check_channels=(3,),
            check_exact=True,
        ),
        case("Resize", floats(1, 1, 0.5, 2), opset=10, check_exact=True),
    ],
    "Upsample": [
        case("Upsample", opset=7, scales=[1.0, 1.0, 2.0, 3.0], check_exact=True),
        case("Upsample", floats(1, 1, 2, 1.5), opset=9, check_exact=True),
        case(
            "Upsample", floats(1, 1, 2, 1.5), opset=9, mode="linear", check_exact=True
        ),
    ],
    "CenterCropPad": [
        case("CenterCropPad", indices(2, 9), axes=[2, 3], check_exact=True),
        case("CenterCropPad", indices(1, 2, 8, 3), opset=18, check_exact=True),
    ],
    "GridSample": [
        case("GridSample", grid(3, 4), opset=20, check_exact=False),
        case("GridSample", grid(3, 4), opset=16, check_exact=False),
    ],
    "AffineGrid": [
        case(
            "AffineGrid",
            indices(1, 2, 3, 4),
            shape=(1, 2, 3),
            opset=20,
            check_axes=(2,),
            check_channels=(1, 2, 3),
        ),
    ],
    "RoiAlign": [
        case(
            "RoiAlign",
            floats(0, 0, 3, 4).reshape(1, 4),
            indices(0),
            opset=16,
            output_height=2,
            output_width=3,
            check_exact=False,
        ),
    ],
    "MaxRoiPool": [
        case(
            "MaxRoiPool",
            floats(0, 0, 0, 4, 3).reshape(1, 5),
            opset=11,
            pooled_shape=[2, 2],
            check_exact=False,
        ),
    ],
    "MaxUnpool": [
        case(
            "MaxUnpool",
            np.arange(12).reshape(1, 1, 3, 4) * 4,
            shape=(1, 1, 3, 4),
            opset=11,
            kernel_shape=[2, 2],
            strides=[2, 2],
            check_exact=False,
        ),
    ],
    "DeformConv": [
        case(
            "DeformConv",
            positive(3, 2, 3, 3),
            positive(1, 18, 3, 4),
            check_exact=False,
        ),
        case(
            "DeformConv",
            positive(3, 2, 3, 3),
            np.zeros((1, 18, 3, 4), "float32"),
            check_exact=True,
        ),
    ],
}

REASONS: Mapping[str, str] = {
    "ImageDecoder": "its input is the content of a file, which has no positions",
    "NonMaxSuppression": "the values decide how many boxes there are",
}

UNSUPPORTED: Mapping[str, str] = {}
