"""Models of ONNX ops that pad, slice, pick, order or write positions."""

from __future__ import annotations

import numpy as np
from onnx_cases import Cases, case


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


CASES: Cases = {
    "Pad": [case("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), check_exact=True)],
}
