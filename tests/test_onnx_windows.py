"""ONNX's convolutions and pools against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_experiments as experiments
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_experiments import check, operation
from onnx_sizes import hold_sizes
from random_search import examples

PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
sizes = st.integers(1, 9)


def weights(*shape):
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


@st.composite
def windows(draw, largest=4, dilated=True, least_pad=0, same_dilated=False):
    """The attributes of a layer with windows, on two axes."""

    def pair(low, high):
        return [draw(st.integers(low, high)) for _ in range(2)]

    kernel = pair(1, largest)
    kind = draw(st.sampled_from(PADS))
    found = {"kernel_shape": kernel, "strides": pair(1, 3)}
    if kind != "NOTSET":
        found["auto_pad"] = kind
    if dilated and (same_dilated or not kind.startswith("SAME")):
        found["dilations"] = pair(1, 2)
    if kind == "NOTSET":
        found["pads"] = [draw(st.integers(least_pad, k - 1)) for k in kernel * 2]
    return found


def fits(attributes, sizes):
    """Whether a window fits on each padded axis.

    If none does, onnxruntime rounds towards zero and may compute a single position.
    """
    pads = attributes.get("pads", [0] * 4)
    kernels, dilations = attributes["kernel_shape"], attributes.get("dilations", [1, 1])
    totals = [pads[0] + pads[2], pads[1] + pads[3]]
    if attributes.get("auto_pad", "").startswith("SAME"):
        if dilations == [1, 1]:
            return True
        totals = [
            kernel - (size % stride or stride)
            for size, kernel, stride in zip(
                sizes, kernels, attributes["strides"], strict=True
            )
        ]
    return all(
        size + total > dilation * (kernel - 1)
        for size, total, dilation, kernel in zip(
            sizes, totals, dilations, kernels, strict=True
        )
    )


def ran(model, shape):
    assume(experiments.can_run(model, np.ones(shape, "float32")))
    return model


@given(windows(), sizes, sizes)
@examples(60)
def test_conv(attributes, height, width):
    shape = (1, 2, height, width)
    kernel = weights(3, 2, *attributes["kernel_shape"])
    model = operation("Conv", shape, kernel, **attributes)
    check(ran(model, shape), shape)


@given(
    windows(same_dilated=True),
    sizes,
    sizes,
    st.booleans(),
    st.sampled_from(["Max", "Average", "Lp"]),
)
@examples(120)
def test_pool(attributes, height, width, ceil, kind):
    assume(fits(attributes, (height, width)))
    shape = (1, 2, height, width)
    model = operation(f"{kind}Pool", shape, ceil_mode=int(ceil), **attributes)
    check(ran(model, shape), shape)


@pytest.mark.parametrize("kind", ["Max", "Average", "Lp"])
@pytest.mark.parametrize(
    ("stride", "ceil", "size", "windows"),
    [
        # The padding is kernel - stride = 2, and the dilated kernel spans 5 positions.
        (1, 0, 6, [(-1, 3), (0, 4), (1, 5), (2, 6)]),
        # 8 + 1 padded positions: (9 - 5) / 2 + 1 = 3 windows instead of 8 / 2.
        (2, 0, 8, [(0, 4), (2, 6), (4, 8)]),
        # 10 + 2 padded positions: 7 are left for strides of 3, and ceil_mode counts
        # the window that does not fit.
        (3, 0, 10, [(-1, 3), (2, 6), (5, 9)]),
        (3, 1, 10, [(-1, 3), (2, 6), (5, 9), (8, 12)]),
    ],
)
def test_same_padding_of_a_dilated_pool(kind, stride, ceil, size, windows):
    """The padding is that of the kernel without its dilation."""
    attributes = {
        "kernel_shape": [3, 1],
        "dilations": [2, 1],
        "strides": [stride, 1],
        "auto_pad": "SAME_UPPER",
        "ceil_mode": ceil,
    }
    model = operation(f"{kind}Pool", (1, 2, size, 3), **attributes)
    field = check(model, (1, 2, size, 3))
    hold_sizes(model, (1, 2, size, 3), (2, 3), field)
    assert field.axes[1].output_size == len(windows)
    found = field.compute_input_region([[0, y] for y in range(len(windows))])
    assert found[:, 1].tolist() == [list(window) for window in windows]


@st.composite
def transposed(draw):
    found = draw(windows(least_pad=0))
    pair = [draw(st.integers(0, 2)) for _ in range(2)]
    if draw(st.booleans()):
        found["output_padding"] = [
            min(p, s - 1) for p, s in zip(pair, found["strides"], strict=True)
        ]
    return found


@given(transposed(), st.integers(1, 5), st.integers(1, 5), st.data())
@examples(80)
def test_transposed(attributes, height, width, data):
    shape = (1, 2, height, width)
    kernel = weights(2, 3, *attributes["kernel_shape"])
    if data.draw(st.booleans()):
        attributes["output_shape"] = [data.draw(st.integers(1, 14)) for _ in range(2)]
    model = operation("ConvTranspose", shape, kernel, **attributes)
    check(ran(model, shape), shape)


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
def test_global(kind):
    check(operation(kind, (1, 2, 4, 5), opset=20), (1, 2, 4, 5), exact=True)
