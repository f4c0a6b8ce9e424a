"""ONNX's recurrent networks and Fourier transforms against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_cases_recurrent as of_recurrent
import onnx_cases_signals as of_signals
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_cases import case
from onnx_cases_recurrent import parameters, weights
from onnx_sizes import hold_case
from random_search import examples

CASES = {**of_recurrent.CASES, **of_signals.CASES}
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


@given(
    st.sampled_from(("RNN", "GRU", "LSTM")),
    st.sampled_from(("forward", "reverse", "bidirectional")),
    st.integers(1, 6),
    st.integers(0, 1),
    st.sampled_from((None, 0, 1, 2)),
    flags,
)
@examples(40)
def test_recurrent(op, direction, steps, output, shorter, starts):
    assume(shorter is None or shorter < steps)
    directions = 2 if direction == "bidirectional" else 1
    lengths = None if shorter is None else np.array([steps - shorter], "int32")
    start = weights(directions, 1, 3) if starts else None
    hold_case(
        case(
            op,
            *(*parameters(op, 2, 3, directions), None, lengths, start),
            shape=(steps, 1, 2),
            hidden_size=3,
            direction=direction,
            outputs=2,
            output=output,
            check_axes=(0,),
            check_channels=(0, 2) if output else (1, 3),
            check_exact=not shorter,
        )
    )


@given(
    st.integers(1, 4), st.integers(1, 3), st.integers(1, 7), st.integers(0, 1), flags
)
@examples(30)
def test_causal(kernel, dilation, steps, output, has_past):
    before = dilation * (kernel - 1)
    assume(before or not output)
    past = weights(1, 2, before) if has_past and before else None
    hold_case(
        case(
            "CausalConvWithState",
            *(weights(2, 1, kernel), None, past),
            shape=(1, 2, steps),
            domain="com.microsoft",
            dilation=dilation,
            outputs=2,
            output=output,
            check_axes=(2,),
        )
    )


@given(
    st.sampled_from((17, 20)),
    st.integers(1, 2),
    st.sampled_from((None, *range(1, 12))),
    flags,
    flags,
)
@examples(50)
def test_transform(opset, axis, length, inverse, half):
    inputs = [None if length is None else np.array(length)]
    given = {"inverse": int(inverse), "onesided": int(half)}
    if opset < 20:
        given["axis"] = axis
    else:
        inputs.append(np.array(axis - 4 if inverse else axis))
    shape = (1, 4, 5, 1 if half and not inverse else 2)
    hold_case(
        case(
            "DFT",
            *inputs,
            shape=shape,
            opset=opset,
            check_axes=(1, 2),
            check_channels=(3,),
            **given,
        )
    )


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 14), flags, st.data())
@examples(40)
def test_frames(frame, step, length, half, data):
    assume(frame <= length)
    window = np.linspace(0.5, 1, frame).astype("float32")
    inputs = data.draw(
        st.sampled_from(
            (
                (window,),
                (window, np.array(frame)),
                (None, np.array(frame)),
            )
        )
    )
    hold_case(
        case(
            "STFT",
            *(np.array(step), *inputs),
            shape=(1, length, 1),
            onesided=int(half),
            check_axes=(1,),
            check_channels=(2, 3),
            check_exact=True,
        )
    )
