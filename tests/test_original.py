"""The interface of the original library: compute order and layer parameters."""

import pytest
from graphs import (
    add,
    constant,
    conv,
    graph_def,
    integers,
    node,
    pad,
    placeholder,
    pool,
)

import receptive_field as rf

GRAPH = graph_def(
    placeholder("below"),
    node("input", "Relu", ["below"]),
    conv("left", "input", 3, 2, "SAME"),
    pad("padded", "input", 2, 1),
    pool("right", "padded", 5, 2),
    add("sum", "left:0", "right"),
    node("odd", "NobodyKnowsThis", ["sum", "^left"]),
    node("resized", "ResizeBilinear", ["sum", "sizes"]),
    constant("sizes", [5, 5]),
)


def test_the_order_is_the_longest_path_from_the_roots():
    infos, nodes = rf.get_compute_order(GRAPH)
    assert set(infos) == set(nodes) == {n.name for n in GRAPH.node}
    orders = {name: info.order for name, info in infos.items()}
    assert orders["below"] == 0
    assert orders["left"] == 2
    assert orders["right"] == 3
    assert orders["sum"] == 4
    assert orders["odd"] == 5
    assert infos["left"].node == nodes["left"]
    assert infos["left"].input_size is None


def test_the_input_has_order_zero_and_sizes_follow_from_its_own():
    infos, _ = rf.get_compute_order(GRAPH, "input", [7, 10])
    order, _, _, output_size = infos["input"]
    assert (order, output_size) == (0, [7, 10])
    assert infos["sum"].order == 3
    assert infos["left"][2:] == ([7, 10], [4, 5])
    assert infos["padded"][2:] == ([7, 10], [10, 13])
    assert infos["right"][2:] == ([10, 13], [3, 5])
    assert infos["odd"].output_size is None
    assert infos["left/weights"].output_size is None
    with pytest.raises(rf.ReceptiveFieldError, match="no node 'inptu'"):
        rf.get_compute_order(GRAPH, "inptu")


@pytest.mark.parametrize(
    ("name", "resolution", "params"),
    [
        ("left", None, (3, 3, 2, 2, None, None, None, None)),
        ("left", [7, 10], (3, 3, 2, 2, 0, 1, 1, 2)),
        ("right", None, (5, 5, 2, 2, 0, 0, 0, 0)),
        ("padded", None, (1, 1, 1, 1, 2, 2, 3, 3)),
        ("sum", None, (1, 1, 1, 1, 0, 0, 0, 0)),
        ("input", [7, 7], (1, 1, 1, 1, 0, 0, 0, 0)),
        ("below", None, (1, 1, 1, 1, 0, 0, 0, 0)),
    ],
)
def test_layer_params(name, resolution, params):
    _, nodes = rf.get_compute_order(GRAPH)
    assert rf.get_layer_params(nodes[name], nodes, resolution) == params


@pytest.mark.parametrize(
    ("kernel", "stride", "paddings"),
    [(4, 2, (1, None)), (2, 2, (0, None)), (1, 3, (0, 0)), (5, 1, (2, 4))],
)
def test_same_padding_with_an_unknown_resolution(kernel, stride, paddings):
    graph = graph_def(placeholder(), conv("c", "input", kernel, stride, "SAME"))
    _, nodes = rf.get_compute_order(graph)
    *_, padding_x, padding_y, total_x, total_y = rf.get_layer_params(nodes["c"], nodes)
    assert (padding_x, total_x) == (padding_y, total_y) == paddings


def test_layer_params_ignore_a_static_shape():
    graph = graph_def(placeholder(sizes=(1, 8, 8, 1)), conv("c", "input", 3, 2, "SAME"))
    _, nodes = rf.get_compute_order(graph)
    assert rf.get_layer_params(nodes["c"], nodes)[4] is None
    assert rf.get_layer_params(nodes["c"], nodes, [9, 8])[4:] == (0, 1, 1, 2)


def test_x_comes_first_and_dilated_kernels_have_the_size_they_span():
    graph = graph_def(
        placeholder(),
        conv("c", "input", (3, 5), 1, "VALID", dilation=2),
        node(
            "e",
            "MaxPool",
            ["c"],
            ksize=integers([1, 3, 2, 1]),
            strides=integers([1, 2, 1, 1]),
            padding='s: "EXPLICIT"',
            explicit_paddings=integers([0, 0, 1, 2, 3, 4, 0, 0]),
        ),
    )
    _, nodes = rf.get_compute_order(graph)
    assert rf.get_layer_params(nodes["c"], nodes) == (9, 5, 1, 1, 0, 0, 0, 0)
    assert rf.get_layer_params(nodes["e"], nodes) == (2, 3, 1, 2, 3, 1, 7, 3)


@pytest.mark.parametrize(
    ("name", "why"), [("odd", "is unknown"), ("resized", "has no kernel")]
)
def test_ops_without_parameters(name, why):
    _, nodes = rf.get_compute_order(GRAPH)
    with pytest.raises(ValueError, match=f"of node '{name}' {why}"):
        rf.get_layer_params(nodes[name], nodes)
    assert rf.get_layer_params(nodes[name], nodes, force=True) == (None,) * 8
