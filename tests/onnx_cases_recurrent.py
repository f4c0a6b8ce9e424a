"""Recurrent ops, each in a model of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import Cases, case


def weights(*shape: int, scale: float = 0.3) -> Any:
    """Weights without a pattern, which do not saturate a sigmoid."""
    return (scale * np.random.default_rng(0).uniform(-1, 1, shape)).astype("float32")


def parameters(op: str, inputs: int, width: int, directions: int = 1) -> list[Any]:
    """The weights of the inputs and of the states."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    return [
        weights(directions, gates * width, inputs),
        weights(directions, gates * width, width),
    ]


def recurrent(op: str, direction: str = "forward", **given: Any) -> Any:
    """A case of five steps."""
    directions = 2 if direction == "bidirectional" else 1
    final = bool(given.get("output"))
    return case(
        op,
        *parameters(op, 2, 3, directions),
        shape=(5, 1, 2),
        hidden_size=3,
        direction=direction,
        outputs=2,
        check_axes=(0,),
        check_channels=(0, 2) if final else (1, 3),
        check_exact=True,
        **given,
    )


CASES: Cases = {
    op: [
        recurrent(op),
        recurrent(op, "reverse"),
        recurrent(op, "bidirectional"),
        recurrent(op, output=1),
    ]
    for op in ("RNN", "GRU", "LSTM")
}
