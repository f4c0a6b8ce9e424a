"""Fourier transforms, each in a model of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import Cases, case


def transform(length: int | None = None, axis: int | None = None, **given: Any) -> Any:
    """A case of DFT with the length and the axis as inputs.

    onnxruntime crashes if the axis is the empty name of an absent input.
    """
    inputs = [None if length is None else np.array(length)]
    if axis is not None:
        inputs.append(np.array(axis))
    return case(
        "DFT",
        *inputs,
        shape=(1, 4, 5, 2),
        opset=20,
        check_axes=(1, 2),
        check_channels=(3,),
        **({"check_exact": True} | given),
    )


def frames(*inputs: Any, length: int = 17, **given: Any) -> Any:
    """A case of STFT."""
    return case(
        "STFT",
        *inputs,
        shape=(1, length, 1),
        check_axes=(1,),
        check_channels=(2, 3),
        check_exact=True,
        **given,
    )


WINDOW = np.linspace(0.5, 1, 6).astype("float32")

CASES: Cases = {
    "DFT": [
        transform(),
        transform(axis=1),
        transform(3),
        transform(7, inverse=1),
        transform(4, inverse=1, onesided=1, check_exact=False),
        transform(9, inverse=1, onesided=1),
        transform(inverse=1, onesided=1),
    ],
    "STFT": [
        frames(np.array(3), WINDOW),
        frames(np.array(4), None, np.array(8)),
        frames(np.array(2), WINDOW, np.array(6), onesided=0),
    ],
}

UNSUPPORTED: dict[str, str] = {}
REASONS = {
    "MelWeightMatrix": "it reads only numbers that say how large it is",
    "com.microsoft.Rfft": "onnxruntime has no kernel for processors",
    "com.microsoft.Irfft": "onnxruntime has no kernel for processors",
}
