"""ONNX's lists of tensors against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_experiments import IR_VERSION, check, measured, onnx

import receptive_field as rf
from receptive_field.errors import GraphError

SHAPE = (1, 2, 5, 6)


def model(text, height=5, width=6, opset=18):
    """A model of some nodes from "x", of two channels, to "y"."""
    nodes = "\n".join(line.strip() for line in text.strip().splitlines())
    image = f"float[1, 2, {height}, {width}] x"
    graph = onnx.parser.parse_graph(f"g ({image}) => (float[a, b, c, d] y) {{{nodes}}}")
    graph.output[0].type.tensor_type.ClearField("shape")
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


PARTS = """
    start = Constant<value_ints = [0]>()
    middle = Constant<value_ints = [2]>()
    far = Constant<value_ints = [9223372036854775807]>()
    axis = Constant<value_ints = [3]>()
    zero = Constant<value_int = 0>()
    one = Constant<value_int = 1>()
    minus = Constant<value_int = -1>()
    left = Slice(x, start, middle, axis)
    right = Slice(x, middle, far, axis)
"""

LISTS = {
    "of parts": "list = SequenceConstruct(left, right)\ny = SequenceAt(list, one)",
    "last": "list = SequenceConstruct(left, right)\ny = SequenceAt(list, minus)",
    "joined": """
        list = SequenceConstruct(right, left)
        y = ConcatFromSequence<axis = 3>(list)""",
    "of one size": """
        list = SequenceConstruct(left, left)
        y = ConcatFromSequence<axis = 2>(list)""",
    "stacked": """
        flipped = Transpose<perm = [0, 1, 3, 2]>(x)
        back = Transpose<perm = [0, 1, 3, 2]>(flipped)
        list = SequenceConstruct(x, back)
        stacked = ConcatFromSequence<axis = 1, new_axis = 1>(list)
        y = ReduceMax<keepdims = 0>(stacked, axes)
        """,
    "inserted": """
        none = SequenceEmpty()
        few = SequenceInsert(none, left)
        more = SequenceInsert(few, right)
        list = SequenceInsert(more, x, one)
        y = ConcatFromSequence<axis = 3>(list)""",
    "erased": """
        all = SequenceConstruct(left, x, right)
        list = SequenceErase(all, one)
        y = ConcatFromSequence<axis = 3>(list)""",
    "erased last": """
        all = SequenceConstruct(left, x, right)
        list = SequenceErase(all)
        y = SequenceAt(list, one)""",
    "split by one": """
        list = SplitToSequence<axis = 2, keepdims = 0>(x)
        y = ConcatFromSequence<axis = 2, new_axis = 1>(list)""",
    "split and kept": """
        list = SplitToSequence<axis = 2>(x)
        y = SequenceAt(list, minus)""",
    "split evenly": """
        size = Constant<value_int = 3>()
        list = SplitToSequence<axis = 3>(x, size)
        y = SequenceAt(list, one)""",
    "split with a rest": """
        size = Constant<value_int = 4>()
        list = SplitToSequence<axis = 3>(x, size)
        y = ConcatFromSequence<axis = 3>(list)""",
    "split unevenly": """
        sizes = Constant<value_ints = [1, 3, 2]>()
        list = SplitToSequence<axis = 3>(x, sizes)
        y = SequenceAt(list, one)""",
    "split and joined": """
        sizes = Constant<value_ints = [1, 3, 2]>()
        list = SplitToSequence<axis = 3>(x, sizes)
        y = ConcatFromSequence<axis = 3>(list)""",
    "given": """
        maybe = Optional(left)
        y = OptionalGetElement(maybe)""",
}


BOUNDS = "joined", "inserted", "erased"
"""Lists whose items lie elsewhere in the result than in the input; the windows of these
positions are those of all items."""


def text_of(name):
    axes = "axes = Constant<value_ints = [1]>()\n"
    return PARTS + axes * ("axes" in LISTS[name]) + LISTS[name]


@pytest.mark.parametrize("name", LISTS)
def test_list(name):
    text = text_of(name)
    field = check(model(text), SHAPE)
    assert field.exact is (name not in BOUNDS)
    asked = {"input": "x", "output": "y", "input_resolution": [5, 6]}
    told = rf.compute_receptive_field(model(text, "h", "w"), **asked)
    assert list(told) == list(field)
    rf.compute_receptive_field(model(text, "h", "w"), input="x", output="y")


def test_whether_there_is_a_value():
    text = """
        maybe = Optional(x)
        is_given = OptionalHasElement(maybe)
        y = If (is_given) <
            then_branch = one () => (float[a, b, c, d] taken) { taken = Neg(x) },
            else_branch = two () => (float[a, b, c, d] left) {
                left = Transpose<perm = [0, 1, 3, 2]>(x)
            }
        >
    """
    field = check(model(text), SHAPE)
    assert list(field) == [1, 1, 1, 1, 0, 0]


def test_an_item_that_a_list_does_not_have():
    text = (
        PARTS
        + """
        three = Constant<value_int = 3>()
        list = SequenceConstruct(left, right)
        y = SequenceAt(list, three)"""
    )
    with pytest.raises(GraphError, match="item 3 of a list of 2"):
        rf.compute_receptive_field(model(text), input="x", output="y")


def test_the_length_of_a_list():
    text = (
        PARTS
        + """
        list = SequenceConstruct(left, right)
        count = SequenceLength(list)
        begin = Unsqueeze(count, start)
        y = Slice(x, begin, far, axis)"""
    )
    assert check(model(text), SHAPE).padding.tolist() == [-2, 0]


MAPPED = """
    list = SplitToSequence<axis = 2>(x)
    other = SplitToSequence<axis = 2>(x)
    kernel = ConstantOfShape<value = float[1] {1}>(size)
    results = SequenceMap (list, other, kernel) <
        body = each (
            float[1, 2, 1, 6] one, float[1, 2, 1, 6] two, float[2, 2, 1, 3] weights
        ) => (float[1, 2, 1, 4] result) {
            seen = Conv(one, weights)
            start = Constant<value_ints = [2]>()
            far = Constant<value_ints = [6]>()
            axis = Constant<value_ints = [3]>()
            cut = Slice(two, start, far, axis)
            result = Add(seen, cut)
        }
    >
    y = ConcatFromSequence<axis = 2>(results)
"""


def test_what_runs_over_the_items_of_a_list():
    """Rows are not told apart, which is an upper bound; columns are."""
    text = "size = Constant<value_ints = [2, 2, 1, 3]>()" + MAPPED
    field = rf.compute_receptive_field(model(text), input="x", output="y")
    assert list(field) == [3, np.inf, 1, None, 0, None]
    assert not field.exact
    truth, _ = measured(model(text), SHAPE)
    columns = truth[0].any(axis=(0, 2))
    for u, seen in enumerate(columns):
        assert np.flatnonzero(seen).tolist() == [u, u + 1, u + 2]
