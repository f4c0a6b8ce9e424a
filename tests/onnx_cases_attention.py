"""Attention and its relatives, each in a model of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from onnx_cases import Case, case
from onnx_experiments import Reference, model_of, onnx

STEPS, WIDTH = 5, 8
MICROSOFT = "com.microsoft"


def weights(*shape: int, scale: float = 1) -> Any:
    """Numbers without a pattern."""
    return (scale * np.random.default_rng(0).uniform(-1, 1, shape)).astype("float32")


def attention(
    *inputs: Any,
    role: str = "all",
    op: str = "Attention",
    opset: int = 24,
    domain: str = "",
    outputs: int = 1,
    output: int = 0,
    other: int = STEPS,
    heads: int | None = None,
    steps: int | str = STEPS,
    channels: Sequence[int] | None = None,
    exact: bool | None = True,
    runner: Any = None,
    **attributes: Any,
) -> Callable[[], Case]:
    """A case in which the input is the query, the key and value, or all of them.

    A rotation reads the input first, because it names the axis of the steps.

    Args:
      inputs: constants for the inputs after the value.
      role: "all", "query", "key" or "value".
      op, opset, domain: which op.
      outputs, output: how many outputs there are, and which one counts.
      other: how many steps the operands that are not the input have.
      heads: into how many heads the input is split before the op; None if the op does.
      steps: the number of steps of the input, or a name.
      channels, exact, runner: see `check`.
      attributes: those of the node.
    """
    first = {"all": "zzz", "query": "zcc", "key": "czz", "value": "ccz"}[role]
    kept = other if heads is None else (heads, other)
    constants: dict[str, Any] = {
        "c": weights(1, *np.ravel(kept), WIDTH // (heads or 1)),
        "place": np.arange(STEPS)[None],
        "cos": weights(STEPS, WIDTH // 2),
        "sin": weights(STEPS, WIDTH // 2),
    }
    node = onnx.helper.make_node
    if runner is None:
        rotated = ["x", "place", "cos", "sin"]
        nodes = [node("RotaryEmbedding", rotated, ["r"], domain=MICROSOFT)]
    else:  # The standard's implementation knows ops of the standard only.
        rotated = ["x", "cos", "sin", "place"]
        nodes = [node("RotaryEmbedding", rotated, ["r"], num_heads=1)]
    if heads is None:
        nodes.append(node("Identity", ["r"], ["z"]))
    else:
        constants["split"] = np.array([1, -1, heads, WIDTH // heads])
        nodes += [
            node("Reshape", ["r", "split"], ["h"]),
            node("Transpose", ["h"], ["z"], perm=[0, 2, 1, 3]),
        ]
    read = list(first)
    for number, constant in enumerate(inputs):
        read.append("" if constant is None else f"i{number}")
        if constant is not None:
            constants[f"i{number}"] = np.asarray(constant)
    returned = ["y" if k == output else f"o{k}" for k in range(outputs)]
    nodes.append(node(op, read, returned, domain=domain, **attributes))
    used = {name for n in nodes for name in n.input}
    tensors = [
        onnx.numpy_helper.from_array(array, name)
        for name, array in constants.items()
        if name in used
    ]
    model = model_of(
        nodes, {"x": ("float32", (1, steps, WIDTH))}, ["y"], tensors, opset
    )
    if domain not in ("", MICROSOFT):
        model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    if channels is None:
        channels = (2,) if heads is None else (1, 3)
    options: dict[str, Any] = {"axes": (1,), "channels": channels, "exact": exact}
    if runner is not None:
        options["runner"] = runner
    return lambda: Case(model, (1, STEPS, WIDTH), options)


HEADS = {"q_num_heads": 2, "kv_num_heads": 2}
TRIANGLE = np.tril(np.ones((STEPS, STEPS), bool))
BAND = np.abs(np.subtract.outer(np.arange(STEPS), np.arange(STEPS))) < 2
PAST = weights(1, 2, 3, 4)


def added(kept: Any) -> Any:
    """A mask that is added to the scores."""
    return np.where(kept, 0, -np.inf).astype("float32")


multi_head = partial(attention, op="MultiHeadAttention", domain=MICROSOFT, num_heads=2)


def grouped(*inputs: Any, past: int = 0, **given: Any) -> Any:
    """A case of GroupQueryAttention with a single head."""
    stored = weights(1, 1, past, WIDTH) if past else None
    last = np.array([STEPS + past - 1], "int32")
    total = np.array(STEPS + past, "int32")
    return attention(
        *(stored, stored, last, total, *inputs),
        op="GroupQueryAttention",
        domain=MICROSOFT,
        num_heads=1,
        kv_num_heads=1,
        outputs=3,
        **given,
    )


def projected(*inputs: Any, **given: Any) -> Any:
    """A case of the attention that computes queries, keys and values."""
    return case(
        "Attention",
        *(weights(WIDTH, 3 * WIDTH), weights(3 * WIDTH), *inputs),
        shape=(1, STEPS, WIDTH),
        domain=MICROSOFT,
        num_heads=2,
        check_axes=(1,),
        **({"check_channels": (2,)} | given),
    )


linear = partial(attention, op="LinearAttention", domain=MICROSOFT, outputs=2, **HEADS)
RATES = weights(1, STEPS, 2)


def rotation(*inputs: Any, **given: Any) -> Any:
    """A case of RotaryEmbedding."""
    return case(
        "RotaryEmbedding",
        *inputs,
        shape=(1, STEPS, WIDTH),
        check_axes=(1,),
        check_channels=(2,),
        check_exact=True,
        **given,
    )


CASES: dict[str, Any] = {
    "Attention": [
        attention(**HEADS),
        attention(role="query", **HEADS),
        attention(role="key", other=4, **HEADS),
        attention(heads=2),
        attention(is_causal=1, softcap=2.0, **HEADS),
        attention(role="key", is_causal=1, **HEADS),
        attention(role="value", is_causal=1, heads=2),
        attention(role="key", is_causal=1, other=3, **HEADS),
        attention(role="key", is_causal=1, other=7, **HEADS),
        *(
            attention(
                *(None, None, None, np.array([STEPS])),
                role="key",
                other=other,
                is_causal=causal,
                **HEADS,
            )
            for causal in (0, 1)
            for other in (3, STEPS)
        ),
        attention(TRIANGLE, heads=2),
        attention(BAND, heads=2, is_causal=1),
        attention(added(BAND), **HEADS),
        attention(None, PAST, PAST, is_causal=1, outputs=3, **HEADS),
        attention(
            *(None, PAST, PAST), role="key", other=1, is_causal=1, outputs=3, **HEADS
        ),
        attention(
            added(np.tril(np.ones((STEPS, STEPS + 3)), 3)),
            *(PAST, PAST),
            outputs=3,
            **HEADS,
        ),
        *(
            attention(
                *(None, PAST, PAST),
                role="key",
                channels=(1, 3),
                outputs=3,
                output=output,
                **HEADS,
            )
            for output in (1, 2)
        ),
        *(
            attention(
                role=role,
                channels=(1,),
                outputs=4,
                output=3,
                qk_matmul_output_mode=mode,
                **HEADS,
            )
            for role in ("query", "key")
            for mode in (0, 3)
        ),
        *(
            attention(
                opset=25,
                runner=Reference,
                left_window_size=left,
                right_window_size=right,
                **HEADS,
            )
            for left, right in ((2, 1), (1, -1), (-1, 1))
        ),
    ],
    "com.microsoft.MultiHeadAttention": [
        multi_head(),
        multi_head(role="key", other=3),
        multi_head(unidirectional=1),
        multi_head(None, np.array([[1, 1, 1, 0, 0]], "int32"), role="key"),
        multi_head(None, None, added(BAND)[None, None], role="key"),
        multi_head(None, None, None, PAST, PAST, unidirectional=1, outputs=3),
        multi_head(
            *(None, None, None, PAST, PAST), channels=(1, 3), outputs=3, output=1
        ),
    ],
    "com.microsoft.GroupQueryAttention": [
        grouped(),
        grouped(local_window_size=2),
        grouped(causal=0),
        grouped(past=3),
        grouped(past=3, role="key", local_window_size=2),
        case(
            "GroupQueryAttention",
            *(None, None, None, None),
            *(np.array([STEPS - 1], "int32"), np.array(STEPS, "int32")),
            shape=(1, STEPS, 3 * WIDTH),
            domain=MICROSOFT,
            num_heads=1,
            kv_num_heads=1,
            outputs=3,
            check_axes=(1,),
            check_channels=(2,),
            check_exact=True,
        ),
    ],
    "com.microsoft.Attention": [
        projected(check_exact=True),
        projected(unidirectional=1, check_exact=True),
        projected(np.array([[1, 1, 1, 0, 0]], "int32")),
        projected(None, weights(2, 1, 2, 3, 4), unidirectional=1, outputs=2),
        projected(
            *(None, weights(2, 1, 2, 3, 4)),
            outputs=2,
            output=1,
            check_channels=(0, 2, 4),
        ),
    ],
    "RotaryEmbedding": [
        rotation(
            weights(9, 2),
            weights(9, 2),
            RATES[..., 0].astype(int),
            num_heads=2,
            opset=23,
        ),
        rotation(weights(1, STEPS, 2), weights(1, STEPS, 2), num_heads=2, opset=23),
    ],
    "com.microsoft.RotaryEmbedding": [
        rotation(
            *(np.arange(STEPS)[None], weights(9, 4), weights(9, 4)), domain=MICROSOFT
        )
    ],
    "com.microsoft.LinearAttention": [
        linear(update_rule="linear"),
        linear(None, None, RATES, update_rule="delta"),
        linear(None, RATES, update_rule="gated", role="key"),
        linear(weights(1, 2, 4, 4), RATES, RATES, role="key"),
        linear(update_rule="linear", output=1, channels=(1, 2, 3)),
    ],
    "LinearAttention": [
        linear(update_rule="linear", domain="", opset=27, runner=Reference),
        linear(None, RATES, RATES, domain="", opset=27, runner=Reference),
    ],
    "SwiGLU": [
        case(
            "SwiGLU",
            weights(1, 2, 5, 6),
            opset=28,
            check_exact=True,
            check_runner=Reference,
        )
    ],
}

CASES |= {
    "ai.onnx.preview.FlexAttention": [
        attention(
            op="FlexAttention", domain="ai.onnx.preview", heads=2, runner=Reference
        )
    ]
}

REASONS = {
    "com.microsoft.QAttention": "onnxruntime rounds queries and keys to 8 bits",
    "com.microsoft.BiasSplitGelu": "onnxruntime has no kernel for processors",
    "com.microsoft.SwiGLU": "onnxruntime has no kernel for processors",
}
