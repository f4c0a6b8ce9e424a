"""Attention and its relatives, each in a model of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx_cases import Case, Cases, case
from onnx_experiments import model_of, onnx

STEPS, WIDTH = 5, 8


def weights(*shape: int, scale: float = 1) -> Any:
    """Numbers without a pattern."""
    return (scale * np.random.default_rng(0).uniform(-1, 1, shape)).astype("float32")


def attention(
    *inputs: Any,
    role: str = "all",
    shape: Sequence[int] = (1, STEPS, WIDTH),
    op: str = "Attention",
    opset: int = 24,
    domain: str = "",
    outputs: int = 1,
    output: int = 0,
    other: int | None = None,
    options: dict[str, Any] | None = None,
    **attributes: Any,
) -> Any:
    """A case in which the input is the query, the key and value, or all of them.

    Args:
      inputs: constants for the inputs after the value.
      role: "all", "query" or "key".
      shape: the shape of the input.
      op, opset, domain: which op.
      outputs, output: how many outputs there are, and which one counts.
      other: how many steps the operands that are not the input have.
      options: arguments of `check`.
      attributes: those of the node.
    """
    names = {"all": "xxx", "query": "xcc", "key": "cxx", "value": "ccx"}[role]
    where = 2 if len(shape) == 4 else 1
    sizes = list(shape)
    sizes[where] = sizes[where] if other is None else other
    tensors = [onnx.numpy_helper.from_array(weights(*sizes), "c")]
    read = list(names)
    for number, constant in enumerate(inputs):
        read.append("" if constant is None else f"i{number}")
        if constant is not None:
            array = np.asarray(constant)
            tensors.append(onnx.numpy_helper.from_array(array, read[-1]))
    returned = ["y" if k == output else f"o{k}" for k in range(outputs)]
    node = onnx.helper.make_node(op, read, returned, domain=domain, **attributes)
    model = model_of([node], {"x": ("float32", shape)}, ["y"], tensors, opset)
    given = {"axes": (where,), "channels": (1, 3) if len(shape) == 4 else (2,)}
    given.update(options or {})
    return lambda: Case(model, shape, given)


EXACT = {"exact": True}
HEADS = {"q_num_heads": 2, "kv_num_heads": 2}
FOUR = (1, 2, STEPS, 4)
TRIANGLE = np.tril(np.ones((STEPS, STEPS), bool))
BAND = np.abs(np.subtract.outer(np.arange(STEPS), np.arange(STEPS))) < 2
PAST = weights(1, 2, 3, 4)


def added(kept: Any) -> Any:
    """A mask that is added to the scores."""
    return np.where(kept, 0, -np.inf).astype("float32")


CASES: Cases = {
    "Attention": [
        attention(options=EXACT, **HEADS),
        attention(role="query", options=EXACT, **HEADS),
        attention(role="key", options=EXACT, other=4, **HEADS),
        attention(shape=FOUR, options=EXACT),
        attention(options=EXACT, is_causal=1, softcap=2.0, **HEADS),
        attention(role="key", options=EXACT, is_causal=1, **HEADS),
        attention(role="key", options=EXACT, is_causal=1, other=3, **HEADS),
        attention(role="key", options=EXACT, is_causal=1, other=7, **HEADS),
        attention(TRIANGLE, shape=FOUR, options=EXACT),
        attention(BAND, shape=FOUR, options=EXACT, is_causal=1),
        attention(added(BAND), options=EXACT, **HEADS),
        attention(added(BAND)[:, :4], options=EXACT, **HEADS),
        attention(None, PAST, PAST, options=EXACT, is_causal=1, outputs=3, **HEADS),
        attention(
            added(np.tril(np.ones((STEPS, STEPS + 3)), 3)),
            PAST,
            PAST,
            options=EXACT,
            outputs=3,
            **HEADS,
        ),
        attention(
            None,
            PAST,
            PAST,
            role="key",
            options={"channels": (1, 3)},
            outputs=3,
            output=1,
            **HEADS,
        ),
    ],
    "com.microsoft.MultiHeadAttention": [
        attention(
            op="MultiHeadAttention", domain="com.microsoft", num_heads=2, options=EXACT
        ),
        attention(
            op="MultiHeadAttention",
            domain="com.microsoft",
            num_heads=2,
            unidirectional=1,
            options=EXACT,
        ),
        attention(
            None,
            np.array([[1, 1, 1, 0, 0]], "int32"),
            op="MultiHeadAttention",
            domain="com.microsoft",
            num_heads=2,
            options=EXACT,
            role="key",
        ),
        attention(
            None,
            None,
            added(BAND)[None, None],
            op="MultiHeadAttention",
            domain="com.microsoft",
            num_heads=2,
            options=EXACT,
            role="key",
        ),
        attention(
            None,
            None,
            None,
            PAST,
            PAST,
            op="MultiHeadAttention",
            domain="com.microsoft",
            num_heads=2,
            options=EXACT,
            unidirectional=1,
            outputs=3,
        ),
        attention(
            None,
            None,
            None,
            PAST,
            PAST,
            op="MultiHeadAttention",
            domain="com.microsoft",
            num_heads=2,
            options={"channels": (1, 3)},
            unidirectional=1,
            outputs=3,
            output=1,
        ),
    ],
    "com.microsoft.GroupQueryAttention": [
        attention(
            None,
            None,
            np.array([4], "int32"),
            np.array(5, "int32"),
            op="GroupQueryAttention",
            domain="com.microsoft",
            num_heads=1,
            kv_num_heads=1,
            options=EXACT,
            outputs=3,
        ),
        attention(
            None,
            None,
            np.array([4], "int32"),
            np.array(5, "int32"),
            op="GroupQueryAttention",
            domain="com.microsoft",
            num_heads=1,
            kv_num_heads=1,
            options=EXACT,
            outputs=3,
            local_window_size=2,
        ),
        attention(
            None,
            None,
            np.array([4], "int32"),
            np.array(5, "int32"),
            op="GroupQueryAttention",
            domain="com.microsoft",
            num_heads=1,
            kv_num_heads=1,
            options=EXACT,
            outputs=3,
            causal=0,
        ),
        attention(
            weights(1, 1, 3, 8),
            weights(1, 1, 3, 8),
            np.array([7], "int32"),
            np.array(8, "int32"),
            op="GroupQueryAttention",
            domain="com.microsoft",
            num_heads=1,
            kv_num_heads=1,
            options=EXACT,
            outputs=3,
        ),
    ],
    "com.microsoft.Attention": [
        case(
            "Attention",
            weights(WIDTH, 24),
            weights(24),
            shape=(1, STEPS, WIDTH),
            domain="com.microsoft",
            num_heads=2,
            check_axes=(1,),
            check_channels=(2,),
            check_exact=True,
        ),
        case(
            "Attention",
            weights(WIDTH, 24),
            weights(24),
            shape=(1, STEPS, WIDTH),
            domain="com.microsoft",
            num_heads=2,
            unidirectional=1,
            check_axes=(1,),
            check_channels=(2,),
            check_exact=True,
        ),
        case(
            "Attention",
            weights(WIDTH, 24),
            weights(24),
            np.array([[1, 1, 1, 0, 0]], "int32"),
            shape=(1, STEPS, WIDTH),
            domain="com.microsoft",
            num_heads=2,
            check_axes=(1,),
            check_channels=(2,),
        ),
        case(
            "Attention",
            weights(WIDTH, 24),
            weights(24),
            None,
            weights(2, 1, 2, 3, 4),
            shape=(1, STEPS, WIDTH),
            domain="com.microsoft",
            num_heads=2,
            unidirectional=1,
            outputs=2,
            check_axes=(1,),
            check_channels=(2,),
        ),
        case(
            "Attention",
            weights(WIDTH, 24),
            weights(24),
            None,
            weights(2, 1, 2, 3, 4),
            shape=(1, STEPS, WIDTH),
            domain="com.microsoft",
            num_heads=2,
            unidirectional=1,
            outputs=2,
            output=1,
            check_axes=(1,),
            check_channels=(0, 2, 4),
        ),
    ],
    "RotaryEmbedding": [
        case(
            "RotaryEmbedding",
            weights(9, 2),
            weights(9, 2),
            np.arange(STEPS)[None],
            shape=FOUR,
            opset=23,
            check_axes=(2,),
            check_channels=(1, 3),
            check_exact=True,
        ),
        case(
            "RotaryEmbedding",
            weights(1, STEPS, 2),
            weights(1, STEPS, 2),
            shape=(1, STEPS, 8),
            num_heads=2,
            opset=23,
            check_axes=(1,),
            check_channels=(2,),
            check_exact=True,
        ),
    ],
    "com.microsoft.RotaryEmbedding": [
        case(
            "RotaryEmbedding",
            np.arange(STEPS)[None],
            weights(9, 4),
            weights(9, 4),
            shape=(1, STEPS, 8),
            domain="com.microsoft",
            check_axes=(1,),
            check_channels=(2,),
            check_exact=True,
        ),
    ],
    "com.microsoft.LinearAttention": [
        attention(
            op="LinearAttention",
            domain="com.microsoft",
            update_rule="linear",
            outputs=2,
            options=EXACT,
            **HEADS,
        ),
        attention(
            None,
            None,
            weights(1, STEPS, 2),
            op="LinearAttention",
            domain="com.microsoft",
            update_rule="delta",
            outputs=2,
            options=EXACT,
            **HEADS,
        ),
        attention(
            None,
            weights(1, STEPS, 2),
            op="LinearAttention",
            domain="com.microsoft",
            update_rule="gated",
            role="key",
            outputs=2,
            options=EXACT,
            **HEADS,
        ),
        attention(
            weights(1, 2, 4, 4),
            weights(1, STEPS, 2),
            weights(1, STEPS, 2),
            op="LinearAttention",
            domain="com.microsoft",
            role="key",
            outputs=2,
            options=EXACT,
            **HEADS,
        ),
        attention(
            op="LinearAttention",
            domain="com.microsoft",
            update_rule="linear",
            outputs=2,
            output=1,
            options={"channels": (1, 2, 3)},
            **HEADS,
        ),
    ],
    "SwiGLU": [case("SwiGLU", weights(1, 2, 5, 6), opset=28, check_exact=True)],
    "com.microsoft.SwiGLU": [case("SwiGLU", domain="com.microsoft", check_exact=True)],
}
