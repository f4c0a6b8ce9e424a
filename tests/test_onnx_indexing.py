"""ONNX's pads, slices, gathers and scatters against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_experiments as experiments
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_cases_indexing import CASES
from onnx_experiments import check, operation
from random_search import examples

import receptive_field as rf
from receptive_field.errors import GraphError

SHAPE = (1, 2, 5, 6)
sizes = st.integers(1, 7)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=f"{op}-{k}")
        for op, cases in CASES.items()
        for k, make in enumerate(cases)
    ],
)
def test_case(make):
    make().hold()


def held(op, shape, *inputs, axes=(2, 3), channels=(1,), exact=None, **given):
    """Holds a model against onnxruntime, and at named sizes against itself."""
    model = operation(op, shape, *inputs, **given)
    assume(experiments.can_run(model, np.ones(shape, "float32")))
    field = check(model, shape, axes, channels, exact)
    named = [f"n{a}" if a in axes else size for a, size in enumerate(shape)]
    unknown = operation(op, named, *inputs, **given)
    resolution = [shape[axis] for axis in axes]
    options = {"input": "x", "output": "y"}
    told = rf.compute_receptive_field(unknown, input_resolution=resolution, **options)
    assert list(told) == list(field)
    assert told.exact is field.exact
    assert [a.map for a in told.axes] == [a.map for a in field.axes]
    try:
        general = rf.compute_receptive_field(unknown, **options)
    except GraphError:  # What is true of all large sizes may be that nothing is left.
        return field
    for one, other in zip(general, field, strict=True):
        assert one is None or other is None or one == other or np.isinf(one)
    return field


MODES = ("constant", "reflect", "edge", "wrap")


@given(sizes, sizes, st.sampled_from(MODES), st.booleans(), st.data())
@examples(60)
def test_pad(height, width, mode, with_axes, data):
    pads = data.draw(st.lists(st.integers(-3, 4), min_size=4, max_size=4))
    if with_axes:
        inputs = np.array(pads), None, np.array([2, -1])
    else:
        inputs = (np.array([0, 0, *pads[:2], 0, 0, *pads[2:]]),)
    held("Pad", (1, 2, height, width), *inputs, mode=mode)


@given(sizes, sizes, st.sampled_from(MODES[:3]), st.data())
@examples(20)
def test_pad_with_attributes(height, width, mode, data):
    pads = data.draw(st.lists(st.integers(-2, 3), min_size=4, max_size=4))
    pads = [0, 0, *pads[:2], 0, 0, *pads[2:]]
    held("Pad", (1, 2, height, width), mode=mode, pads=pads, opset=10)


limits = st.integers(-9, 9) | st.sampled_from(
    [2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]
)


@given(sizes, sizes, st.data())
@examples(60)
def test_slice(height, width, data):
    pairs = st.lists(limits, min_size=2, max_size=2)
    steps = [data.draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in range(2)]
    starts, ends, axes = data.draw(pairs), data.draw(pairs), [-1, 2]
    inputs = [np.array(values) for values in (starts, ends, axes, steps)]
    held("Slice", (1, 2, height, width), *inputs)


@given(sizes, sizes, st.lists(limits, min_size=4, max_size=4))
@examples(30)
def test_slice_with_attributes(height, width, numbers):
    held(
        "Slice",
        (1, 2, height, width),
        starts=numbers[:2],
        ends=numbers[2:],
        axes=[3, 2],
        opset=9,
    )
