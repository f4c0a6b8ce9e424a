"""Graphs in which something is wrong: refused with a reason, never a traceback.

Some of them make sense all the same, and are analysed.
"""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Any

import numpy as np
import op_catalogue
import pytest
from dependency import traced
from graphs import IMAGE as X
from graphs import (
    SCALAR,
    constant,
    conv,
    graph_def,
    integers,
    node,
    placeholder,
    pool,
    single,
)
from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_search import examples

import receptive_field as rf
from receptive_field.frameworks.tensorflow.messages import GraphDef

tf = needed("tensorflow")

SHAPE = (1, 4, 5, 2)


def kernel(*sizes: int) -> Any:
    return tf.compat.v1.get_variable(f"kernel{len(sizes)}", sizes, tf.float64)


def windows(x: Any) -> Any:
    """Convolutions and poolings of two and three axes."""
    y = tf.nn.conv2d(
        x, kernel(3, 3, 2, 4), [1, 2, 1, 1], [[0, 0], [1, 0], [2, 1], [0, 0]]
    )
    y = tf.nn.avg_pool2d(tf.nn.bias_add(y, tf.ones(4, tf.float64)), 2, 1, "SAME")
    z = tf.nn.conv3d(y[:, None], kernel(1, 2, 2, 4, 4), [1] * 5, "SAME")
    return tf.nn.max_pool3d(tf.cast(z, tf.float32), [1, 1, 2], [1, 1, 2], "VALID")[:, 0]


def upwards(x: Any) -> Any:
    """Maps that become larger, and are padded."""
    y = tf.nn.conv2d_transpose(x, kernel(3, 3, 4, 2), [1, 8, 10, 4], 2, "SAME")
    y = tf.compat.v1.image.resize_bilinear(y, [7, 9], align_corners=True)
    y = tf.pad(tf.cast(y, tf.float64), [[0, 0], [2, 1], [1, 1], [0, 0]], "REFLECT")
    return tf.raw_ops.FractionalMaxPool(value=y, pooling_ratio=[1.0, 1.5, 1.5, 1.0])[0]


def parts(x: Any) -> Any:
    """Axes that are cut, joined and moved."""
    first, second = tf.split(x, [1, 3], 1)
    y = tf.concat([second, first, tf.zeros([1, 1, 5, 2], tf.float64)], 1)
    y = tf.batch_to_space(
        tf.space_to_batch(y, [2, 2], [[1, 0], [0, 1]]), [2, 2], [[0] * 2] * 2
    )
    y = tf.transpose(tf.gather(y, [2, 1, 0], axis=2), [0, 2, 1, 3])
    return tf.stack(tf.unstack(y[:, ::-1, None, ..., 1:], axis=1), 1)


def control(x: Any) -> Any:
    """Functions: a condition and a loop."""
    y = tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2, lambda: tf.nn.relu(x))
    loop = tf.while_loop(
        lambda i, y: i < 3,
        lambda i, y: (i + 1, tf.nn.max_pool2d(y, 3, 1, "SAME")),
        [0, y],
    )
    return loop[1]


NETWORKS = {
    **op_catalogue.NETWORKS,
    **{build.__name__: build for build in (windows, upwards, parts, control)},
}


@cache
def definition(name: str) -> bytes:
    found: bytes = (
        traced(NETWORKS[name], SHAPE).graph.as_graph_def().SerializeToString()
    )
    return found


SIZES = st.sampled_from([0, 1, -1, 2, 3, 7, -7, 100])
WHOLE = SIZES | st.sampled_from([2**31 - 1, -(2**31), 2**40])


@st.composite
def attribute_values(draw: Any) -> dict[str, Any]:
    """The fields of an AttrValue, of any kind."""
    number, size = draw(WHOLE), draw(SIZES)
    lists = [{"i": draw(st.lists(WHOLE, max_size=6))}, {"f": [1.5, 1.0]}, {"s": [b"a"]}]
    kinds = [
        {},
        {"i": number},
        {"f": float("nan")},
        {"s": b"hello"},
        {"b": draw(st.booleans())},
        {"type": draw(st.sampled_from([1, 3, 20]))},
        {"shape": {"dim": [{"size": size}]}},
        {"tensor": {"dtype": 1}},
        {"func": {"name": "f"}},
        *({"list": entries} for entries in lists),
        {"list": {"shape": [{"dim": [{"size": size}]}]}},
    ]
    return draw(st.sampled_from(kinds))


def attribute_is_changed(draw: Any, whole: Any, found: Any) -> None:
    name = draw(st.sampled_from(sorted(found.attr) or ["value"]))
    value = type(found.attr[name])(**draw(attribute_values()))
    found.attr[name].CopyFrom(value)


def attribute_is_gone(draw: Any, whole: Any, found: Any) -> None:
    found.attr.pop(draw(st.sampled_from(sorted(found.attr) or ["none"])), None)


def inputs_are_changed(draw: Any, whole: Any, found: Any) -> None:
    found.input[:] = (
        draw(st.lists(st.sampled_from(found.input[:]), max_size=4))
        if found.input
        else []
    )


def constants_are_changed(draw: Any, whole: Any, found: Any) -> None:
    for other in whole.node:
        tensor = other.attr["value"].tensor if other.op == "Const" else None
        if tensor is not None and tensor.dtype == 3 and draw(st.booleans()):
            tensor.ClearField("tensor_content")
            tensor.int_val[:] = draw(st.lists(SIZES, max_size=4))


CHANGES = [
    attribute_is_changed,
    attribute_is_gone,
    inputs_are_changed,
    constants_are_changed,
]


@examples(400)
@given(st.data())
def test_one_thing_is_wrong(data):
    name = data.draw(st.sampled_from(sorted(NETWORKS)))
    whole = GraphDef.FromString(definition(name))
    nodes = [n for n in whole.node if n.op == name] or list(whole.node)
    found = data.draw(
        st.sampled_from(nodes if data.draw(st.booleans()) else list(whole.node))
    )
    data.draw(st.sampled_from(CHANGES))(data.draw, whole, found)
    for ask in (rf.compute_receptive_fields, rf.compute_costs):
        with contextlib.suppress(rf.ReceptiveFieldError):
            ask(whole)


def network(**attributes: str) -> Any:
    """A convolution with changed attributes, and a pooling."""
    convolution = GraphDef()
    convolution.CopyFrom(
        graph_def(placeholder(sizes=(1, 32, 32, 1)), conv("conv", "input"))
    )
    changed = graph_def(node("conv", "Conv2D", **attributes)).node[0]
    for name in attributes:
        convolution.node[-1].attr[name].CopyFrom(changed.attr[name])
    convolution.node.extend(graph_def(pool("pool", "conv")).node)
    return convolution


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"strides": 'list { s: "1" }'}, r"malformed: its strides is \['1'\]"),
        ({"strides": "list { f: 1 f: 2 f: 2 f: 1 }"}, "not a list of integers"),
        ({"strides": "i: 2"}, "malformed: its strides is 2"),
        ({"strides": integers([1, 0, 0, 1])}, "all three must be at least 1"),
        ({"padding": "i: 1"}, "malformed: its padding is 1, not a string"),
        (
            {"data_format": 's: "hello"'},
            "data_format 'hello', which is not one of NHWC, NCHW",
        ),
        ({"data_format": 's: "NDHWC"'}, "data_format NDHWC, but 2 spatial axes"),
    ],
)
def test_message(attributes, message):
    with pytest.raises(rf.ReceptiveFieldError, match=f"Conv2D node 'conv'.*{message}"):
        rf.compute_receptive_field(network(**attributes), output="pool")


FOUR = [1, 1, 1, 1]
POOL = {"ksize": integers(FOUR), "strides": integers(FOUR), "padding": 's: "VALID"'}
CONV = {"strides": integers(FOUR), "padding": 's: "VALID"'}
RESIZE = {"kernel_type": 's: "triangle"'}
REFUSED: list[tuple[str, list[Any], dict[str, str], str]] = [
    ("AvgPool", [X], POOL | {"ksize": integers([1, 2])}, "2 entries of ksize"),
    ("BatchToSpaceND", [X, [2, 1], [[0, 0]] * 2], {}, "divide a batch of 1 into"),
    ("BatchToSpaceND", [X, (2,), [[0, 0]] * 2], {}, "unknown block shape"),
    ("BatchToSpaceND", [X, [1, 1], (2, 2)], {}, "unknown paddings or crops"),
    ("BatchToSpaceND", [X, [1, 1], [[0, 0]]], {}, "block shape .* but 2 paddings"),
    ("BatchToSpaceND", [X, FOUR, [[0, 0]] * 4], {}, "more than 4 axes"),
    ("BroadcastTo", [X, [6, 4]], {}, "broadcast an input of rank 4 to rank 2"),
    ("ConcatV2", [X], {}, "no inputs to join"),
    ("ConcatV2", [X, (1, 6), 1], {}, "inputs of different ranks"),
    ("Conv2D", [X, (3, 3, 3)], CONV, "kernel of rank 4"),
    ("Conv2D", [X, (None, 3, 3, 1)], CONV, "kernel of unknown size"),
    ("Conv2D", [X, (3, 3, 3, 1)], CONV | {"strides": integers([1])}, "has 1 strides"),
    ("Cumsum", [X, 4], {}, "along axis 4"),
    ("Einsum", [X], {"equation": 's: "abcd"'}, "do not fit the equation"),
    ("FFT2D", [(8,)], {}, "at least 2 axes"),
    ("FractionalMaxPool", [X], {"pooling_ratio": "list { f: 0.5 }"}, "at least 1"),
    ("FractionalMaxPool", [X], {"pooling_ratio": "list { f: 1 }"}, "four entries"),
    ("MatMul", [(3,), (3, 3)], {}, "at least two axes"),
    ("MatrixDiag", [SCALAR], {}, "at least one axis"),
    ("MirrorPad", [X, [[0, 0]] * 4], {"mode": 's: "WRAP"'}, "neither REFLECT nor"),
    ("Pack", [X, (1, 6)], {}, "inputs of different ranks"),
    ("Pack", [X, (1, 6, 3, 3)], {}, "inputs of different shapes"),
    ("Pad", [X, [[0, 0], [-1, 0], [0, 0], [0, 0]]], {}, "neither may be negative"),
    ("RFFT2D", [X, [0, 4]], {}, "each length must be at least 1"),
    ("RGBToHSV", [SCALAR], {}, "requires axis -1"),
    ("Reshape", [X, [1, 6, 4, 2]], {}, "cannot reshape 72 values"),
    ("Reshape", [X, [2, 6, -1, -1, 1]], {}, "cannot reshape 72 values"),
    ("ResizeBilinear", [X, [0, 4]], {}, "the output size 0"),
    ("ResizeBilinear", [X, [4, 4]], {"align_corners": "i: 1"}, "not true or false"),
    ("Roll", [X, [1, 2], [1]], {}, "1 axes to roll, but 2 shifts"),
    ("ScaleAndTranslate", [X, [4, 4], [1], [0, 0]], RESIZE, "two scales"),
    ("Slice", [X, [0], [1]], {}, "slices 1 axes"),
    ("SpaceToDepth", [X], {"block_size": "i: 0"}, "block size 0"),
    ("Split", [1, X], {}, "has no attribute num_split"),
    ("Split", [1, X], {"num_split": "i: -1"}, "out of range"),
    ("SplitV", [X, [2, 3, -2], 1], {"num_split": "i: 3"}, "cannot split 6 positions"),
    ("StridedSlice", [X, [0], [1, 1], [1]], {}, "different lengths"),
    ("StridedSlice", [X, [0] * 5, [1] * 5, [1] * 5], {}, "slices 5 axes"),
    (
        "StridedSlice",
        [X, [0, 0], [1, 1], [1, 1]],
        {"ellipsis_mask": "i: 3"},
        "more than one ellipsis",
    ),
    ("Tile", [X, [1, 2]], {}, "2 multiples for an input of rank 4"),
]


@pytest.mark.parametrize(("op", "inputs", "attributes", "message"), REFUSED)
def test_an_op_says_what_is_wrong(op, inputs, attributes, message):
    graph = single(op, inputs, **attributes)
    image = "given0" if isinstance(inputs[0], tuple) else X
    with pytest.raises(rf.ReceptiveFieldError, match=f"'out'.*{message}"):
        rf.compute_receptive_field(graph, input=image, output="out")


WRONG_VALUES = [
    ("Gather", [[5, 6, 7, 8], [0, 9]], "positions outside given0"),
    ("BroadcastTo", [[5, 6, 7, 8], [3]], "do not broadcast"),
    ("StridedSlice", [[5, 6], [4], [5], [1]], "takes position 4"),
]


@pytest.mark.parametrize(("op", "inputs", "message"), WRONG_VALUES)
def test_a_value_that_cannot_be_computed(op, inputs, message):
    """Such as the shape that something is given further up."""
    graph = single(op, inputs, shrink_axis_mask="i: 1")
    graph.node.extend(graph_def(node("reshaped", "Reshape", [X, "out"])).node)
    with pytest.raises(rf.ReceptiveFieldError, match=f"'out'.*{message}"):
        rf.compute_receptive_field(graph, input=X, output="reshaped")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_text_that_is_cut_off_is_not_quoted_at_length(tmp_path, share):
    """The weights of a convolution are one line of the text, with 19200 bytes."""
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 3), name="image")
        weights = np.random.default_rng(1).normal(size=(5, 5, 3, 64))
        tf.nn.conv2d(image, weights.astype(np.float32), 1, "SAME", name="conv")
    text = str(graph.as_graph_def())
    file = tmp_path / "cut.pbtxt"
    file.write_text(text[: int(len(text) * share)])
    with pytest.raises(rf.ReceptiveFieldError, match="not the text of a") as caught:
        rf.compute_receptive_field(file)
    assert len(str(caught.value)) < 400 + len(str(file))


def test_a_malformed_graph_leaves_no_trace():
    strides = {"strides": "list { f: 1 f: 1 f: 1 f: 1 }"}
    with pytest.raises(rf.ReceptiveFieldError):
        rf.compute_receptive_field(network(**strides), output="pool")
    field = rf.compute_receptive_field(network(), output="pool")
    assert field.size.tolist() == [4, 4]


def test_attributes_that_are_not_set_have_their_defaults():
    field = rf.compute_receptive_field(
        network(data_format="", dilations=""), output="pool"
    )
    assert field.size.tolist() == [4, 4]


def test_a_constant_of_a_negative_size():
    paddings = constant("paddings", [1], [-(2**63)])
    graph = graph_def(
        placeholder(), paddings, node("pad", "Pad", ["input", "paddings"])
    )
    with pytest.raises(rf.ReceptiveFieldError, match=r"paddings.* has a negative size"):
        rf.compute_receptive_field(graph, output="pad")
