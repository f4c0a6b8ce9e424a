"""Reading only what is asked for: text that is indexed, weights that are passed over.

Both are held against protobuf's own parsers: whichever way a graph was read, its nodes
are the same.
"""

import struct

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from random_search import examples

import receptive_field as rf
from receptive_field.errors import GraphError
from receptive_field.frameworks import contents, load, wire
from receptive_field.frameworks.tensorflow import files
from receptive_field.frameworks.tensorflow.messages import (
    AttrValue,
    GraphDef,
    MetaGraphDef,
    SavedModel,
    TensorProto,
)
from receptive_field.frameworks.tensorflow.text import index
from receptive_field.frameworks.tensorflow.wire import GRAPHS
from receptive_field.rules.inference import Inference

names = st.text("abcXYZ012_/.-", min_size=1, max_size=12)
strings = st.text(max_size=12).map(str.encode) | st.binary(max_size=6)
integers = st.integers(-(2**63), 2**63 - 1)
shapes = st.builds(
    lambda sizes: {"dim": [{"size": size} for size in sizes]},
    st.lists(st.integers(-1, 300), max_size=3),
) | st.just({"unknown_rank": True})
tensors = st.builds(
    lambda sizes, values: {
        "dtype": 3,
        "tensor_shape": {"dim": [{"size": size} for size in sizes]},
        "int_val": values,
    },
    st.lists(st.integers(1, 3), max_size=2),
    st.lists(st.integers(-9, 9), max_size=4),
)
attributes = st.one_of(
    st.builds(lambda v: AttrValue(s=v), strings),
    st.builds(lambda v: AttrValue(i=v), integers),
    st.builds(lambda v: AttrValue(f=v), st.floats(width=32, allow_nan=False)),
    st.builds(lambda v: AttrValue(b=v), st.booleans()),
    st.builds(lambda v: AttrValue(type=v), st.sampled_from([1, 2, 3, 9, 20, 101])),
    st.builds(lambda v: AttrValue(shape=v), shapes),
    st.builds(lambda v: AttrValue(tensor=v), tensors),
    st.builds(lambda v: AttrValue(placeholder=v), names),
    st.builds(lambda v: AttrValue(list={"i": v}), st.lists(integers, max_size=4)),
    st.builds(lambda v: AttrValue(list={"s": v}), st.lists(strings, max_size=3)),
    st.builds(lambda v: AttrValue(list={"shape": v}), st.lists(shapes, max_size=3)),
    st.builds(lambda v: AttrValue(func={"name": v}), names),
    st.just(AttrValue()),
)
nodes = st.tuples(
    names,
    names,
    st.lists(names | st.just("^control") | st.just("a:1"), max_size=3),
    st.dictionaries(names | st.text(max_size=3), attributes, max_size=4),
    st.sampled_from(["", "/device:CPU:0", 'a "device"']),
)


def graph_of(parts):
    graph = GraphDef()
    for name, op, inputs, attrs, device in parts:
        node = graph.node.add(name=name, op=op, input=inputs, device=device)
        for key, value in attrs.items():
            node.attr[key].CopyFrom(value)
    return graph


graphs = st.lists(nodes, min_size=1, max_size=4).map(graph_of)


def parsed(text):
    """As protobuf's parser reads it, for files too."""
    return text_format.Parse(text, GraphDef(), allow_unknown_field=True)


def assert_same(indexed, graph):
    assert len(indexed.node) == len(graph.node)
    for found, node in zip(indexed.node, graph.node, strict=True):
        assert (found.name, found.op) == (node.name, node.op)
        assert list(found.input) == list(node.input)
        assert dict(found.attr) == dict(node.attr.items())
    assert indexed.library == graph.library


@given(graphs)
@examples(200)
def test_text_is_read_the_same_in_both_ways(graph):
    indexed = index(text_format.MessageToString(graph))
    odd = any(node.device.count('"') for node in graph.node) or any(
        not key
        or not key.isprintable()
        or set(key) & set("\\\"'\t")
        or not key.isascii()
        for node in graph.node
        for key in node.attr
    )
    assert indexed is not None or odd
    if indexed is not None:
        assert_same(indexed, graph)


MUTATIONS = [
    ("node {", "node: {"),
    ("node {\n", "# a comment\nnode {\n"),
    ("  op:", "  # a comment\n  op:"),
    ("  op:", "op:"),
    ("  name:", "  name :"),
    ("\n", "\r\n"),
    ("\n", "  \n"),
    ('"', "'"),
    ("    key:", "\tkey:"),
    ("  attr {", "  attr <"),
    ("  attr {\n", "  attr {\n    # }\n"),
    ("  }\n}", "  }}"),
    ("}\nnode {", "} node {"),
    ("    value {\n", "    value {\n\n"),
    ("      s: ", "      s: 'x' "),
    ("      i: ", "      i: 0x"),
]


@given(graphs, st.sampled_from(MUTATIONS), st.integers(0, 9))
@examples(300)
def test_other_ways_to_write_a_graph(graph, mutation, place):
    """Whatever is changed: it is read as protobuf reads it, or left to protobuf."""
    text = text_format.MessageToString(graph)
    old, new = mutation
    parts = text.split(old)
    place %= max(len(parts) - 1, 1)
    text = old.join(parts[: place + 1]) + new + old.join(parts[place + 1 :])
    indexed = index(text)
    if indexed is None:
        return
    try:
        expected = parsed(text)
    except text_format.ParseError:  # A number such as 0x-1: when it is asked for.
        with pytest.raises(GraphError):
            assert_same(indexed, graph)
    else:
        assert_same(indexed, expected)


def test_a_number_that_is_none_is_told_when_it_is_asked_for():
    text = 'node {\n  name: "a"\n  op: "b"\n  attr {\n    key: "k"\n    value {\n'
    text += "      i: 0x-1\n    }\n  }\n}\n"
    (found,) = index(text).node
    with pytest.raises(GraphError, match="attributes of node 'a' cannot be read"):
        found.attr["k"]


@given(graphs, st.data())
@examples(150)
def test_text_that_ends_early(graph, data):
    text = text_format.MessageToString(graph)
    cut = data.draw(st.integers(1, len(text) - 1))
    indexed = index(text[:cut])
    if indexed is not None:
        assert_same(indexed, parsed(text[:cut]))


def test_braces_in_strings():
    graph = graph_of([("a", "b", [], {"k": AttrValue(s=b"}\n}\nnode {\n")}, "")])
    assert_same(index(text_format.MessageToString(graph)), graph)


def test_an_attribute_that_cannot_be_read(tmp_path):
    text = text_format.MessageToString(
        graph_of([("image", "Placeholder", [], {"dtype": AttrValue(type=1)}, "")])
    )
    path = tmp_path / "graph.pbtxt"
    path.write_text(text.replace("DT_FLOAT", "DT_NOTHING"))
    with pytest.raises(rf.ReceptiveFieldError, match=r"node 'image' cannot be read"):
        rf.unsupported_ops(path, input="image")


def frozen(floats, integers_of=4):
    """A graph with a weight of this many numbers, and a small constant."""
    graph = GraphDef()
    weight = graph.node.add(name="weight", op="Const").attr["value"].tensor
    weight.dtype = 1
    weight.tensor_shape.dim.add(size=floats)
    weight.tensor_content = bytes(4 * floats)
    small = graph.node.add(name="small", op="Const").attr["value"].tensor
    small.dtype = 3
    small.tensor_shape.dim.add(size=integers_of)
    small.tensor_content = bytes(range(4)) * integers_of
    return graph


def knowledge_of(tensor):
    """What is inferred of a graph of this one constant."""
    graph = GraphDef()
    node = graph.node.add(name="constant", op="Const")
    node.attr["value"].tensor.MergeFromString(tensor.SerializeToString())
    return Inference(load(graph).graph)


class TestConstants:
    @pytest.mark.parametrize(
        "dtype",
        ["f4", "f8", "i4", "u1", "i2", "i1", "i8", "?", "u2", "u4", "u8"],
        ids=lambda dtype: dtype,
    )
    @given(data=st.data())
    @examples(20)
    def test_are_what_tensorflow_reads(self, dtype, data):
        import tensorflow as tf

        sizes = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
        values = data.draw(arrays(dtype, sizes, elements={"allow_nan": False}))
        tensor = tf.make_tensor_proto(values)
        if values.size and data.draw(st.booleans()):  # The last stands for the rest.
            tensor = tf.make_tensor_proto(values.flat[0], shape=sizes)
        truth = tf.make_ndarray(tensor)
        known = knowledge_of(tensor)
        found = known.value((0, 0))
        assert (found.dtype, found.shape) == (truth.dtype, truth.shape)
        assert found.tolist() == truth.tolist()
        assert known.integers((0, 0)) == truth.ravel().tolist()

    @pytest.mark.parametrize(
        ("content", "values"), [(bytes(5), []), (bytes(4), []), (b"", [1, 2, 3])]
    )
    def test_that_do_not_fit_their_shape(self, content, values):
        tensor = TensorProto(
            dtype=3,
            tensor_shape={"dim": [{"size": 2}]},
            tensor_content=content,
            int_val=values,
        )
        for ask in (Inference.value, Inference.integers):
            with pytest.raises(rf.ReceptiveFieldError, match="is malformed"):
                ask(knowledge_of(tensor), (0, 0))


class TestWeights:
    def test_are_left_out_and_what_rules_ask_for_is_not(self):
        graph = frozen(50_000, 2_000)
        kept = GraphDef.FromString(
            wire.without_weights(graph.SerializeToString(), "GraphDef", GRAPHS)
        )
        weight, small = (node.attr["value"].tensor for node in kept.node)
        assert weight == TensorProto(dtype=1, tensor_shape={"dim": [{"size": 50_000}]})
        assert small == graph.node[1].attr["value"].tensor

    @given(graphs)
    @examples(100)
    def test_nothing_else_is_changed(self, graph):
        wire_large, wire.LARGE = wire.LARGE, 0
        try:
            content = graph.SerializeToString()
            kept = wire.without_weights(content, "GraphDef", GRAPHS)
            assert GraphDef.FromString(kept) == graph
        finally:
            wire.LARGE = wire_large

    @pytest.mark.parametrize("kind", ["GraphDef", "MetaGraphDef", "SavedModel"])
    def test_in_files_of_every_kind(self, tmp_path, kind, monkeypatch):
        monkeypatch.setattr(contents, "LARGE_FILE", 1000)
        graph = frozen(50_000)
        content = {
            "GraphDef": graph,
            "MetaGraphDef": MetaGraphDef(graph_def=graph),
            "SavedModel": SavedModel(meta_graphs=[MetaGraphDef(graph_def=graph)]),
        }[kind].SerializeToString()
        path = tmp_path / "graph.pb"
        path.write_bytes(content)
        read = files.read_file(path).graph_def
        assert [node.name for node in read.node] == ["weight", "small"]
        assert not read.node[0].attr["value"].tensor.tensor_content
        assert files.read_graph_def(path) == graph
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(rf.ReceptiveFieldError, match=r"past the end|damaged"):
            files.read_file(path)

    def test_in_text(self, tmp_path):
        path = tmp_path / "graph.pbtxt"
        path.write_text(text_format.MessageToString(frozen(5_000)))
        read = files.read_file(path).graph_def
        tensor = read.node[0].attr["value"].tensor
        assert tensor.tensor_shape.dim[0].size == 5_000
        assert not tensor.tensor_content

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"\x0a\xff\xff\xff\xff\x7f" + bytes(5000), "past the end"),
            (b"\x0a" + b"\xff" * 5000, "is not terminated"),
            (b"\x0b" + bytes(5000), "no field begins at byte 0"),
            (struct.pack("<B", 9), "past the end"),
        ],
    )
    def test_damaged_bytes(self, content, message):
        with pytest.raises(wire.DamagedError, match=message):
            wire.without_weights(content, "GraphDef", GRAPHS)
