"""ONNX's elementwise ops, reductions and normalisations against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_cases_elementwise as of_elementwise
import onnx_cases_features as of_features
import onnx_cases_fused as of_fused
import onnx_cases_quantised as of_quantised
import onnx_cases_reductions as of_reductions
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_cases import case
from onnx_cases_quantised import levels
from onnx_cases_reductions import REDUCTIONS, numbers
from onnx_sizes import hold_case
from random_search import examples

CASES = [
    (op, makes)
    for cases in (of_elementwise, of_features, of_fused, of_quantised, of_reductions)
    for op, makes in cases.CASES.items()
]
SHAPE = (1, 2, 3, 4)
flags = st.booleans()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=f"{op}-{number}")
        for op, makes in CASES
        for number, make in enumerate(makes)
    ],
)
def test_case(make):
    hold_case(make)


@given(
    st.sampled_from(REDUCTIONS),
    st.sampled_from((7, 11, 13, 18, 20)),
    st.sets(st.integers(1, 3)),
    flags,
    flags,
    st.data(),
)
@examples(60)
def test_reduction(op, opset, axes, keeps, noop, data):
    stated = [data.draw(st.sampled_from((a, a - 4))) for a in sorted(axes)]
    if opset == 7:
        stated = sorted(axes)
    by_input = opset >= 18 or (op == "ReduceSum" and opset >= 13)
    given = {"keepdims": int(keeps)}
    inputs = []
    if by_input:
        given["noop_with_empty_axes"] = int(noop)
        inputs = [np.array(stated, "int64")] if stated or data.draw(flags) else []
    elif stated:
        given["axes"] = stated
    gone = set(axes) or (set() if by_input and noop else set(range(4)))
    assume(keeps or 0 not in gone)
    channels = () if 1 in gone and not keeps else (1,)
    hold_case(
        case(
            op,
            *inputs,
            shape=SHAPE,
            opset=opset,
            check_channels=channels,
            check_exact=True,
            **given,
        )
    )


@given(
    st.sampled_from(("Softmax", "LogSoftmax")),
    st.sampled_from((7, 11, 13)),
    st.sampled_from((None, 1, 2, 3, -1, -2)),
)
@examples(25)
def test_softmax(op, opset, axis):
    assume(opset > 7 or axis is None or axis > 0)
    given = {} if axis is None else {"axis": axis}
    hold_case(case(op, shape=SHAPE, opset=opset, check_exact=True, **given))


@given(
    st.sampled_from(("LayerNormalization", "RMSNormalization")),
    st.integers(1, 3),
    flags,
    st.integers(0, 2),
)
@examples(25)
def test_layer_normalization(op, axis, counts_back, output):
    scale = numbers(*SHAPE[axis:])
    many = op == "LayerNormalization"
    hold_case(
        case(
            op,
            scale,
            shape=SHAPE,
            opset=23,
            axis=axis - 4 if counts_back else axis,
            outputs=3 if many else 1,
            output=output if many else 0,
            check_exact=True,
        )
    )


@given(st.integers(2, 3), st.integers(1, 4), st.sampled_from(("one", "axis", "block")))
@examples(25)
def test_dequantize(axis, block, kind):
    sizes = list(SHAPE)
    sizes[axis] = -(-sizes[axis] // block)
    if kind != "block":
        sizes = [] if kind == "one" else [SHAPE[axis]]
    given = {"block_size": block} if kind == "block" else {}
    hold_case(
        case(
            "DequantizeLinear",
            *(numbers(*sizes), levels(*sizes)),
            shape=SHAPE,
            dtype="uint8",
            axis=axis,
            check_dtype="uint8",
            check_values=(2, 100),
            check_exact=True,
            **given,
        )
    )


@pytest.mark.parametrize("size", [1, 3, 5])
def test_response(size):
    hold_case(case("LRN", shape=(1, 3, 4, 5), size=size, check_exact=True))
