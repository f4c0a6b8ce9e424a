"""ONNX's pads, slices, gathers and scatters against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_experiments as experiments
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_cases_indexing import CASES
from onnx_cases_reshaping import CASES as RESHAPES
from onnx_experiments import check, model_of, onnx, operation
from random_search import examples

import receptive_field as rf
from receptive_field.errors import GraphError, IndependentError

SHAPE = (1, 2, 5, 6)
sizes = st.integers(1, 7)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=f"{op}-{k}")
        for op, cases in [*CASES.items(), *RESHAPES.items()]
        for k, make in enumerate(cases)
    ],
)
def test_case(make):
    make().hold()


def held(op, shape, *inputs, spatial=(2, 3), channels=(1,), exact=None, **given):
    """Holds a model against onnxruntime, and at named sizes against itself."""
    model = operation(op, shape, *inputs, **given)
    assume(experiments.can_run(model, np.ones(shape, "float32")))
    field = check(model, shape, spatial, channels, exact)
    named = [f"n{a}" if a in spatial else size for a, size in enumerate(shape)]
    unknown = operation(op, named, *inputs, **given)
    resolution = [shape[axis] for axis in spatial]
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
@examples(40)
def test_pad(height, width, mode, with_axes, data):
    pads = data.draw(st.lists(st.integers(-3, 4), min_size=4, max_size=4))
    if with_axes:
        inputs = np.array(pads), None, np.array([2, -1])
    else:
        inputs = (np.array([0, 0, *pads[:2], 0, 0, *pads[2:]]),)
    held("Pad", (1, 2, height, width), *inputs, mode=mode)


@given(sizes, sizes, st.sampled_from(MODES[:3]), st.data())
@examples(12)
def test_pad_with_attributes(height, width, mode, data):
    pads = data.draw(st.lists(st.integers(-2, 3), min_size=4, max_size=4))
    pads = [0, 0, *pads[:2], 0, 0, *pads[2:]]
    held("Pad", (1, 2, height, width), mode=mode, pads=pads, opset=10)


FAR = 2**31 - 1, 2**63 - 1, -(2**31), -(2**63), 9, -9


@st.composite
def slices(draw, size, steps=(1, 1, 2, 3, -1, -2)):
    """Start, end and step of a slice that mostly takes something."""
    step = draw(st.sampled_from(steps))
    first, last = draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))
    start, end = sorted([first, last], reverse=step < 0)
    end += 1 if step > 0 else -1
    start -= size if draw(st.booleans()) else 0
    end -= size if end < 0 or draw(st.booleans()) else 0
    if draw(st.integers(0, 3)) == 0:
        start = draw(st.sampled_from(FAR))
    if draw(st.integers(0, 3)) == 0:
        end = draw(st.sampled_from(FAR))
    return start, end, step


@given(sizes, sizes, st.data())
@examples(25)
def test_slice(height, width, data):
    rows, columns = data.draw(slices(height)), data.draw(slices(width))
    starts, ends, steps = (np.array(pair) for pair in zip(columns, rows, strict=True))
    held("Slice", (1, 2, height, width), starts, ends, np.array([-1, 2]), steps)


@given(sizes, sizes, st.data())
@examples(15)
def test_slice_with_attributes(height, width, data):
    rows, columns = (data.draw(slices(n, [1])) for n in (height, width))
    given = {"starts": [columns[0], rows[0]], "ends": [columns[1], rows[1]]}
    held("Slice", (1, 2, height, width), axes=[3, 2], opset=9, **given)


# --- Positions that are picked -------------------------------------------------------


def indices(data, size, count, least=None):
    """Some positions of an axis, some of them counted from its end."""
    low = -size if least is None else least
    return [data.draw(st.integers(low, size - 1)) for _ in range(count)]


@given(sizes, sizes, st.integers(2, 3), st.data())
@examples(20)
def test_gather(height, width, axis, data):
    shape = (1, 2, height, width)
    count = data.draw(st.integers(1, 6))
    picked = np.array(indices(data, shape[axis], count))
    if count % 2 == 0 and data.draw(st.booleans()):
        picked = picked.reshape(2, -1)
    if count == 1 and data.draw(st.booleans()):
        picked = picked.reshape(())
    held("Gather", shape, picked, axis=data.draw(st.sampled_from([axis, axis - 4])))


@given(sizes, sizes, st.integers(2, 3), st.booleans(), st.data())
@examples(20)
def test_gather_elements(height, width, axis, along, data):
    shape = (1, 2, height, width)
    count = data.draw(st.integers(1, 5))
    size = [1, 2, *(data.draw(st.integers(1, s)) for s in shape[2:])]
    size[axis] = count
    if along:
        line = np.array(indices(data, shape[axis], count))
        line = line.reshape([-1 if a == axis else 1 for a in range(4)])
        picked = np.broadcast_to(line, size)
    else:
        picked = np.array(indices(data, shape[axis], int(np.prod(size))))
        picked = picked.reshape(size)
    held("GatherElements", shape, picked, axis=axis)


@given(sizes, sizes, st.sampled_from(["points", "grid", "rows", "any"]), st.data())
@examples(20)
def test_gather_nd(height, width, kind, data):
    shape = (1, 1, height, width)
    count = data.draw(st.integers(1, 4))
    rows, columns = (indices(data, n, count) for n in (height, width))
    zeros = np.zeros(count, int)
    if kind == "points":
        picked = np.stack([zeros, zeros, rows, columns], -1)[None, None]
    elif kind == "rows":
        picked = np.stack([zeros, zeros, rows], -1)[None, None]
    else:
        picked = np.stack(np.meshgrid([0], [0], rows, columns, indexing="ij"), -1)
        if kind == "any":
            picked = np.maximum(picked - picked[:, :, ::-1], 0)
    held("GatherND", shape, picked)


@given(sizes, sizes, st.integers(2, 3), st.data())
@examples(20)
def test_compress(height, width, axis, data):
    shape = (1, 2, height, width)
    kept = st.lists(st.booleans(), min_size=1, max_size=shape[axis])
    held("Compress", shape, np.array(data.draw(kept)), axis=axis)


def test_compress_with_a_condition_that_is_longer_than_the_axis():
    """Of positions 1, 2 and 5, five columns have the first two, six have all three."""
    condition = np.array([False, True, True, False, False, True, False])
    for width, count in ((5, 2), (6, 3)):
        model = operation("Compress", (1, 2, 3, width), condition, axis=3)
        field = check(model, (1, 2, 3, width), exact=True)
        assert field.axes[0].output_size == count
    unknown = operation("Compress", (1, 2, 3, "w"), condition, axis=3)
    general = rf.compute_receptive_field(unknown, input="x", output="y")
    assert general.axes[0].output_size is None
    assert general.compute_input_region([[1, 0]]).tolist() == [[[2, 2], [0, 0]]]


@given(sizes, sizes, st.integers(2, 3), st.sampled_from([11, 13, 18, 22]), st.data())
@examples(25)
def test_split(height, width, axis, opset, data):
    shape = (1, 2, height, width)
    count = data.draw(st.integers(1, 4))
    given = {"axis": axis, "outputs": count, "opset": opset}
    given["output"] = data.draw(st.integers(0, count - 1))
    inputs = ()
    if data.draw(st.booleans()):
        cuts = sorted(data.draw(st.integers(0, shape[axis])) for _ in range(count - 1))
        parts = np.diff([0, *cuts, shape[axis]])
        if opset < 13:
            given["split"] = parts.tolist()
        else:
            inputs = (parts,)
    elif opset >= 18:
        given["num_outputs"] = count
    held("Split", shape, *inputs, **given)


@given(sizes, sizes, st.lists(st.integers(1, 3), min_size=2, max_size=2))
@examples(20)
def test_tile(height, width, times):
    held("Tile", (1, 2, height, width), np.array([1, 1, *times]))


@given(st.sampled_from([1, 3]), st.sampled_from([1, 4]), st.data())
@examples(20)
def test_expand(height, width, data):
    sizes = {
        1: st.integers(1, 3),
        3: st.sampled_from([1, 3]),
        4: st.sampled_from([1, 4]),
    }
    wanted = [data.draw(sizes[size]) for size in (height, width)]
    sizes = data.draw(st.sampled_from([[1, 1, *wanted], wanted, [1, 1, 1, *wanted]]))
    held(
        "Expand",
        (1, 2, height, width),
        np.array(sizes),
        channels=(len(sizes) // 5 + 1,),
    )


# --- Along one axis ------------------------------------------------------------------


@given(
    sizes,
    sizes,
    st.sampled_from([-1, 2]),
    st.booleans(),
    st.booleans(),
)
@examples(20)
def test_running_sum(height, width, axis, exclusive, reverse):
    options = {"exclusive": int(exclusive), "reverse": int(reverse)}
    held("CumSum", (1, 2, height, width), np.array(axis), **options)


@given(sizes, sizes, st.integers(2, 3), st.sampled_from([9, 10, 22]), st.data())
@examples(20)
def test_top(height, width, axis, opset, data):
    shape = (1, 2, height, width)
    count = data.draw(st.integers(1, shape[axis]))
    given = {"axis": axis, "outputs": 2, "opset": opset}
    if opset == 9:
        held("TopK", shape, k=count, **given)
    else:
        held("TopK", shape, np.array([count]), **given)


@given(st.integers(1, 2), sizes, sizes, st.booleans(), st.data())
@examples(20)
def test_reverse_sequence(batch, width, time, swapped, data):
    """Of a sequence along the width: the op knows only the first two axes."""
    lengths = [data.draw(st.integers(0, time)) for _ in range(batch)]
    if data.draw(st.booleans()):
        lengths = lengths[:1] * batch
    order = [3, 0, 1, 2] if swapped else [0, 3, 1, 2]
    node = onnx.helper.make_node
    nodes = [
        node("Transpose", ["x"], ["turned"], perm=order),
        node(
            "ReverseSequence",
            ["turned", "lengths"],
            ["reversed"],
            batch_axis=int(swapped),
            time_axis=int(not swapped),
        ),
        node("Transpose", ["reversed"], ["y"], perm=np.argsort(order).tolist()),
    ]
    shape = (batch, 2, width, time)
    numbers = onnx.numpy_helper.from_array(np.array(lengths), "lengths")
    check(model_of(nodes, {"x": ("float32", shape)}, ["y"], [numbers]), shape)


# --- Writing -------------------------------------------------------------------------


def held_if_seen(model, shape):
    """Holds a model against onnxruntime, unless nothing of its input is left."""
    assume(experiments.can_run(model, np.ones(shape, "float32")))
    try:
        check(model, shape)
    except IndependentError:
        assert not experiments.measured(model, shape)[0].any()


REDUCTIONS = "none", "add", "mul", "max", "min"


@given(sizes, sizes, st.sampled_from(REDUCTIONS), st.booleans(), st.data())
@examples(20)
def test_scatter_elements(height, width, reduction, along, data):
    shape, axis = (1, 2, height, width), data.draw(st.integers(2, 3))
    repeated = reduction in ("add", "mul")
    most = 4 if repeated else shape[axis]
    count = data.draw(st.integers(1, most))
    size = [1, 2, *(data.draw(st.integers(1, s)) for s in shape[2:])]
    size[axis] = count
    if along:
        numbers = st.integers(0, shape[axis] - 1)
        line = data.draw(
            st.lists(numbers, min_size=count, max_size=count, unique=not repeated)
        )
        picked = np.array(line).reshape([-1 if a == axis else 1 for a in range(4)])
    else:
        picked = np.arange(count).reshape([-1 if a == axis else 1 for a in range(4)])
        rows = np.arange(size[5 - axis])
        picked = picked + rows.reshape([-1 if a == 5 - axis else 1 for a in range(4)])
        picked = picked % shape[axis] - data.draw(st.sampled_from([0, shape[axis]]))
    picked = np.broadcast_to(picked, size)
    for written in (False, True):  # The data, or the updates, is the input.
        if written:
            reads = {"x": ("float32", size)}, "data", filled(*shape)
        else:
            reads = {"x": ("float32", shape)}, "updates", filled(*size)
        model = scatter(
            "ScatterElements", reads, picked, axis=axis, reduction=reduction
        )
        given = size if written else shape
        held_if_seen(model, given)


def filled(*shape):
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype("float32")


def scatter(op, reads, positions, **attributes):
    inputs, name, constant = reads
    values = {"positions": positions, name: constant}
    names = [n if n in values else "x" for n in ("data", "positions", "updates")]
    node = onnx.helper.make_node(op, names, ["y"], **attributes)
    tensors = [onnx.numpy_helper.from_array(v, n) for n, v in values.items()]
    return model_of([node], inputs, ["y"], tensors)


@given(
    sizes,
    sizes,
    st.sampled_from(["points", "grid", "rows", "columns"]),
    st.sampled_from(REDUCTIONS),
    st.data(),
)
@examples(20)
def test_scatter_nd(height, width, kind, reduction, data):
    shape = (1, 1, height, width)
    rows, columns = (
        data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))
        for n in (height, width)
    )
    if kind == "points":
        count = min(len(rows), len(columns))
        zeros = np.zeros(count, int)
        picked = np.stack([zeros, zeros, rows[:count], columns[:count]], -1)[None, None]
    elif kind == "rows":
        zeros = np.zeros(len(rows), int)
        picked = np.stack([zeros, zeros, rows], -1)[None, None]
    else:
        if kind == "columns":
            rows = [data.draw(st.integers(0, height - 1))]
        picked = np.stack(np.meshgrid([0], [0], rows, columns, indexing="ij"), -1)
    size = [*picked.shape[:-1], *shape[picked.shape[-1] :]]
    for written in (False, True):
        if written:
            reads = {"x": ("float32", size)}, "data", filled(*shape)
        else:
            reads = {"x": ("float32", shape)}, "updates", filled(*size)
        model = scatter("ScatterND", reads, picked, reduction=reduction)
        given = size if written else shape
        if len(given) == 3:  # Only the positions on the last axis are asked about.
            continue
        held_if_seen(model, given)
