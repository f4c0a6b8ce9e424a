"""ONNX's products and attention against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_cases_attention as of_attention
import onnx_cases_products as of_products
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_cases import case
from onnx_cases_attention import PAST, STEPS, added, attention, grouped, weights
from onnx_experiments import Reference, Session
from onnx_sizes import hold_case
from random_search import examples

CASES = {**of_attention.CASES, **of_products.CASES}
MICROSOFT = "com.microsoft"
flags = st.booleans()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=f"{op}-{number}")
        for op, makes in CASES.items()
        for number, make in enumerate(makes)
    ],
)
def test_case(make):
    hold_case(make)


def runs(make):
    """A case that onnxruntime can run."""
    found = make()
    try:
        Session(found.model)(np.ones(found.shape, "float32"))
    except Exception:
        assume(False)
    return make


@given(st.integers(1, 4), st.integers(0, 2), st.data())
@examples(25)
def test_matmul(rank, ones, data):
    shape = [1, 2, 4, 5]
    outer = [1 if axis >= 2 - ones else size for axis, size in enumerate((1, 2))]
    other = [*outer, 5, 3][4 - max(rank, 2) :] if rank > 1 else [5]
    if data.draw(flags) and rank > 2:
        shape[1] = 1
        other[-3] = 2
    channels = (1,)
    hold_case(case("MatMul", weights(*other), shape=shape, check_channels=channels))


@given(st.tuples(flags, flags, flags, flags), st.integers(2, 4))
@examples(40)
def test_fused_matmul(swaps, rank):
    names = ("transA", "transB", "transBatchA", "transBatchB")
    given = {name: int(flag) for name, flag in zip(names, swaps, strict=True)}
    sizes = {"r": 1, "b": 2, "c": 3, "k": 4, "j": 5}
    left = ["k", "r"] if swaps[0] else ["r", "k"]
    right = ["j", "k"] if swaps[1] else ["k", "j"]
    batch = ["b", "c"][4 - rank :]
    left = [left[0], *batch, left[1]] if swaps[2] else [*batch, *left]
    right = [right[0], *batch, right[1]] if swaps[3] else [*batch, *right]
    shape = [sizes[label] for label in left]
    make = case(
        "FusedMatMul",
        weights(*(sizes[label] for label in right)),
        shape=shape,
        domain=MICROSOFT,
        check_axes=tuple(range(2, rank)) if rank > 2 else (1,),
        check_channels=(),
        **given,
    )
    runs(make)
    hold_case(make)


@given(st.permutations("bchw"), st.integers(1, 4), flags, flags, st.data())
@examples(50)
def test_einsum(order, count, is_long, states, data):
    other = data.draw(st.permutations("chwk"))[: data.draw(st.integers(1, 4))]
    sizes = {"b": 1, "c": 2, "h": 3, "w": 4, "k": 2}
    kept = [label for label in (*order[:count], *"k" * is_long) if label != "b"]
    kept = [label for label in kept if label in "bchw" or label in other]
    result = ["b", *kept]
    equation = f"bchw,{''.join(other)}"
    if states:
        equation += f"->{''.join(result)}"
    else:
        letters = "bchw" + "".join(other)
        result = sorted(label for label in letters if letters.count(label) == 1)
        assume(result[:1] == ["b"])
    gone = [axis for axis, label in enumerate(result) if label in "ck"]
    operand = weights(*(sizes[label] for label in other))
    make = case(
        "Einsum",
        operand,
        shape=[1, 2, 3, 4],
        equation=equation,
        check_channels=tuple(gone),
    )
    assume(len(result) > 1)
    hold_case(runs(make))


@st.composite
def masks(draw, keys):
    """A mask of queries and keys, or None."""
    kind = draw(st.sampled_from(("none", "flags", "added", "full")))
    if kind == "none":
        return None
    kept = np.array(draw(st.lists(flags, min_size=STEPS * keys, max_size=STEPS * keys)))
    kept = kept.reshape(STEPS, keys)
    if kind == "full":
        return np.ones((STEPS, keys), bool)
    return kept if kind == "flags" else added(kept)


@given(
    st.sampled_from(("all", "key", "value", "query")),
    st.sampled_from((None, 2)),
    flags,
    flags,
    st.integers(1, 7),
    st.data(),
)
@examples(60)
def test_attention(role, heads, causal, has_past, other, data):
    if role != "query":
        other = STEPS if role == "all" else other
    keys = (other if role == "query" else STEPS) + 3 * has_past
    queries = other if role in ("key", "value") else STEPS
    mask = data.draw(masks(keys)) if queries == STEPS else None
    past = (PAST, PAST) if has_past else ()
    given = {} if heads else {"q_num_heads": 2, "kv_num_heads": 2}
    if role == "value":  # The keys are constants, as many as there are values.
        other = queries = STEPS
    make = attention(
        *(mask, *past),
        role=role,
        heads=heads,
        other=other,
        exact=None,
        outputs=3 if has_past else 1,
        is_causal=int(causal),
        **given,
    )
    hold_case(runs(make))


@given(st.integers(-1, 4), st.integers(-1, 4), flags, flags)
@examples(25)
def test_windows(left, right, causal, has_past):
    make = attention(
        *((None, PAST, PAST) if has_past else ()),
        opset=25,
        runner=Reference,
        outputs=3 if has_past else 1,
        is_causal=int(causal),
        left_window_size=left,
        right_window_size=right,
        q_num_heads=2,
        kv_num_heads=2,
    )
    hold_case(make)


@given(st.integers(-1, 6), st.sampled_from((0, 3)), st.sampled_from(("all", "key")))
@examples(25)
def test_grouped(window, past, role):
    assume(window)
    hold_case(grouped(past=past, role=role, local_window_size=window, exact=None))


def test_a_query_that_sees_only_another_key():
    """A single key has the probability 1, so the query itself does not matter. The
    steps see key 4, 0, 4, 4 and 0, as onnxruntime shows."""
    kept = np.zeros((STEPS, STEPS), bool)
    for query, key in enumerate((4, 0, 4, 4, 0)):
        kept[query, key] = True
    hold_case(
        attention(
            kept,
            role="all",
            heads=None,
            other=STEPS,
            exact=None,
            outputs=1,
            is_causal=0,
            q_num_heads=2,
            kv_num_heads=2,
        )
    )
