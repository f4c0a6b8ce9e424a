"""The values of ONNX's constants and sizes, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_experiments import Session, model_of, onnx, operation
from random_search import examples

from receptive_field.frameworks import load
from receptive_field.rules.inference import Inference

IMAGE = {"x": ("float32", (1, 2, 5, 6))}


def told(model):
    """What is known of "y": its shape and its value."""
    graph = load(model).graph
    known = Inference(graph)
    return known.shape(graph.tensor("y")), known.value(graph.tensor("y"))


def hold(model):
    """Holds the value of "y" against what onnxruntime computes."""
    shape, value = told(model)
    truth = Session(model)(np.ones((1, 2, 5, 6), "float32"))
    assert shape == truth.shape
    assert value.dtype == truth.dtype
    assert (value == truth).all()


TENSOR = np.arange(6).reshape(2, 3)

FORMS = {
    "value_int": 3,
    "value_ints": [3, 4],
    "value_float": 2.5,
    "value_floats": [0.5, 1.5],
}


@pytest.mark.parametrize("name", FORMS)
def test_constant(name):
    nodes = [onnx.helper.make_node("Constant", [], ["y"], **{name: FORMS[name]})]
    hold(model_of(nodes, IMAGE, ["y"]))


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "float16", "int8", "uint8", "int32", "int64", "bool"],
)
@pytest.mark.parametrize("raw", [False, True])
def test_constant_tensor(dtype, raw):
    array = TENSOR.astype(dtype)
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    values = array.tobytes() if raw else array.ravel().tolist()
    tensor = onnx.helper.make_tensor("t", kind, array.shape, values, raw=raw)
    nodes = [onnx.helper.make_node("Constant", [], ["y"], value=tensor)]
    hold(model_of(nodes, IMAGE, ["y"]))


def test_sparse_constant():
    """Its shape is known, its values are not read."""
    values = onnx.helper.make_tensor("v", 1, [2], [1.0, 2.0])
    places = onnx.helper.make_tensor("i", 7, [2], [1, 4])
    sparse = onnx.helper.make_sparse_tensor(values, places, [2, 3])
    nodes = [onnx.helper.make_node("Constant", [], ["y"], sparse_value=sparse)]
    assert told(model_of(nodes, IMAGE, ["y"])) == ((2, 3), None)


@pytest.mark.parametrize("text", ["a", ["a", "b"]])
def test_text(text):
    name = "value_strings" if isinstance(text, list) else "value_string"
    nodes = [onnx.helper.make_node("Constant", [], ["y"], **{name: text})]
    shape = (2,) if isinstance(text, list) else ()
    assert told(model_of(nodes, IMAGE, ["y"])) == (shape, None)


edges = st.none() | st.integers(-6, 6)


@given(edges, edges)
@examples(20)
def test_shape(start, end):
    ends = {"start": start, "end": end}
    options = {name: edge for name, edge in ends.items() if edge is not None}
    hold(operation("Shape", (1, 2, 5, 6), opset=15, **options))


def test_size():
    hold(operation("Size", (1, 2, 5, 6)))


def of_constants(op, *constants, **attributes):
    names = [f"c{k}" for k in range(len(constants))]
    tensors = [
        onnx.numpy_helper.from_array(np.asarray(value), name)
        for name, value in zip(names, constants, strict=True)
    ]
    node = onnx.helper.make_node(op, names, ["y"], **attributes)
    return model_of([node], IMAGE, ["y"], tensors)


@given(st.integers(-5, 5), st.integers(-5, 5), st.sampled_from([1, 2, 3, -1, -2]))
@examples(20)
def test_range(start, limit, step):
    hold(of_constants("Range", start, limit, step))


@pytest.mark.parametrize("value", [None, np.array([7]), np.array([1.5], "float32")])
def test_filled(value):
    options = {} if value is None else {"value": onnx.numpy_helper.from_array(value)}
    hold(of_constants("ConstantOfShape", np.array([2, 3]), **options))


def test_shapes_of_what_is_drawn_or_made():
    for op, options in (
        ("EyeLike", {}),
        ("RandomNormalLike", {}),
        ("RandomUniformLike", {"low": 1.0}),
        ("Bernoulli", {}),
    ):
        shape, value = told(operation(op, (5, 6), **options))
        assert (shape, value) == ((5, 6), None)
    for op in ("RandomNormal", "RandomUniform"):
        nodes = [onnx.helper.make_node(op, [], ["y"], shape=[3, 4])]
        assert told(model_of(nodes, IMAGE, ["y"])) == ((3, 4), None)


def test_what_ops_make_of_constants():
    matrix = np.arange(12).reshape(3, 4)
    for op, inputs, options in (
        ("Gather", [matrix, np.array([[0, -1]])], {"axis": 1}),
        ("Slice", [matrix, np.array([-1]), np.array([-9]), np.array([1])], {}),
        ("Slice", [matrix, *map(np.array, ([3], [-9], [1], [-2]))], {}),
        ("Expand", [matrix[:1], np.array([2, 1, 4])], {}),
        ("Tile", [matrix, np.array([1, 2])], {}),
        ("Trilu", [matrix], {"upper": 0}),
        ("CumSum", [matrix, np.array(1)], {}),
        ("NonZero", [matrix % 2], {}),
        ("Reshape", [matrix, np.array([2, -1, 3])], {}),
        ("Transpose", [matrix], {}),
        ("Unsqueeze", [matrix, np.array([0, -1])], {}),
        ("Concat", [matrix, matrix], {"axis": -1}),
    ):
        model = of_constants(op, *inputs, **options)
        if told(model)[1].size:
            hold(model)
