"""Recurrent ops, each in a model of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx_cases import case
from onnx_experiments import Reference


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
        outputs=1 + max(1, given.get("output", 0)),
        check_axes=(0,),
        check_channels=(0, 2) if final else (1, 3),
        check_exact=True,
        **given,
    )


CASES: dict[str, Any] = {
    op: [
        recurrent(op),
        recurrent(op, "reverse"),
        recurrent(op, "bidirectional"),
        recurrent(op, output=1),
    ]
    for op in ("RNN", "GRU", "LSTM")
}
CASES["LSTM"].append(recurrent("LSTM", output=2))


def by_batch(op: str, **given: Any) -> Any:
    """A case whose batch comes first, for which onnxruntime has no kernel."""
    return case(
        op,
        *parameters(op, 2, 3),
        shape=(1, 5, 2),
        hidden_size=3,
        layout=1,
        outputs=2,
        check_axes=(1,),
        check_channels=(1, 2) if given.get("output") else (2, 3),
        check_exact=True,
        check_runner=Reference,
        **given,
    )


for _op in ("RNN", "GRU", "LSTM"):
    CASES[_op] += [by_batch(_op), by_batch(_op, output=1)]


def causal(**given: Any) -> Any:
    """A case of a convolution of each channel along time."""
    return case(
        "CausalConvWithState",
        *(weights(2, 1, 3), None, weights(1, 2, given.pop("past", 2))),
        shape=(1, 2, 6),
        outputs=2,
        check_axes=(2,),
        check_exact=True,
        **given,
    )


CASES |= {
    "CausalConvWithState": [
        causal(opset=27, check_runner=Reference),
        causal(opset=27, check_runner=Reference, output=1),
    ],
    "com.microsoft.CausalConvWithState": [
        causal(domain="com.microsoft"),
        causal(domain="com.microsoft", output=1),
        causal(domain="com.microsoft", dilation=2, past=4),
    ],
}

REASONS = {
    "com.microsoft.DynamicQuantizeLSTM": "it quantises its weights in its own form"
}
