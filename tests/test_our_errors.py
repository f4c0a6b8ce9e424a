"""Models that once ended in an exception of Python are refused with a reason."""

import json
import lzma
from pathlib import Path

import graphs
import pytest
from google.protobuf import text_format

import receptive_field as rf

DATA = Path(__file__).parent / "data"


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path, match, **options):
    with pytest.raises(rf.ReceptiveFieldError, match=match):
        rf.compute_receptive_field(path, **options)


def keras(folder, change):
    """A file of Keras with two layers, after a change of its config."""
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 1]}},
        {"class_name": "ReLU", "config": {"max_value": 6}},
    ]
    for number, layer in enumerate(layers):
        layer["module"], layer["config"]["name"] = "keras.layers", f"layer{number}"
    change(layers)
    config = {"name": "model", "layers": layers}
    saved = {"class_name": "Sequential", "module": "keras", "config": config}
    return put(folder, "model.json", json.dumps(saved))


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("name", [True, 1.5, ["a"], {"a": 1}])
def test_a_name_that_is_no_text(number, name, tmp_path):
    def change(layers):
        layers[number]["config"]["name"] = name

    refused(keras(tmp_path, change), "the name of a layer is")


def test_a_constant_that_is_text_in_an_op_of_keras(tmp_path):
    config = json.loads((DATA / "keras" / "op_layers_2.2.json").read_text())
    layers = {layer["name"]: layer["config"] for layer in config["config"]["layers"]}
    layers["slice"]["constants"]["1"] = ["Model", 3]
    refused(put(tmp_path, "model.json", json.dumps(config)), "is not a number")


@pytest.mark.parametrize(
    "value", ["type: 99999999999", "tensor { dtype: 99999999999 }"]
)
def test_a_number_of_a_text_that_no_enum_has(value, tmp_path):
    text = graphs.placeholder(sizes=(1, 8, 8, 1))
    text += graphs.node("x", "Relu", ["input"], T=value)
    refused(
        put(tmp_path, "graph.pbtxt", text), "is text, but not the text of a GraphDef"
    )


@pytest.mark.parametrize("digits", [20, 5000])
@pytest.mark.parametrize("number", ["size: 77", "i: 77"])
def test_a_number_that_is_too_large_in_a_text_that_is_read_in_parts(
    number, digits, tmp_path
):
    """Attributes of texts that protobuf itself wrote are read when they are needed."""
    pool = graphs.pool("pool", "input", 77, 1)
    graph = graphs.graph_def(graphs.placeholder(sizes=(1, 99, 77, 1)), pool)
    text = text_format.MessageToString(graph)
    assert number in text
    path = put(
        tmp_path, "graph.pbtxt", text.replace(number, number[:-2] + "9" * digits)
    )
    refused(path, "cannot be read", output="pool")


def test_an_axis_that_is_split_into_parts_of_unknown_size(tmp_path):
    """The sizes of an exported reshape do not fit another resolution."""
    content = lzma.decompress((DATA / "tflite" / "sound.tflite.xz").read_bytes())
    path = put(tmp_path, "sound.tflite", content)
    field = rf.compute_receptive_field(path, input_resolution=16)
    with pytest.raises(
        rf.ReceptiveFieldError, match="the size of a part is unknown or does not fit"
    ):
        field.effective_receptive_field()
    rf.explore(path, tmp_path / "page.html", input_resolution=16)


def empty(*nodes, sizes=(1, 0, 16, 1)):
    """A graph whose input has no positions along an axis."""
    return graphs.graph_def(graphs.placeholder(sizes=sizes), *nodes)


ALONG = graphs.constant("axes", [1, 2])
MEAN = graphs.node("mean", "Mean", ["input", "axes"], keep_dims="b: true")


def test_the_effective_field_of_a_mean_over_no_positions():
    gate = graphs.node("gate", "Mul", ["input", "mean"])
    field = rf.compute_receptive_field(empty(ALONG, MEAN, gate), output="mean")
    with pytest.raises(rf.ReceptiveFieldError, match="sees nothing"):
        field.effective_receptive_field()


def test_the_effective_field_of_a_resize_of_no_positions():
    sizes = graphs.constant("sizes", [1, 8])
    resize = graphs.node("resize", "ResizeBilinear", ["input", "sizes"])
    field = rf.compute_receptive_field(empty(sizes, resize))
    with pytest.raises(rf.ReceptiveFieldError, match="sees nothing"):
        field.effective_receptive_field()


def test_proposals_for_a_map_without_positions():
    """Layers that are tried do not fit."""
    assert not list(rf.proposals(empty(ALONG, MEAN), 20))


def test_the_effective_field_of_a_tensor_of_unknown_shape():
    pack = graphs.node("pack", "Pack", [], axis="i: 1", N="i: 0")
    field = rf.compute_receptive_field(
        empty(pack, graphs.node("gate", "Mul", ["pack", "input"]))
    )
    with pytest.raises(rf.ReceptiveFieldError, match="unknown"):
        field.effective_receptive_field()


@pytest.mark.parametrize("sizes", [(0, 16, 16, 1), (1, 16, 16, 0)])
def test_the_support_of_a_reshape_of_nothing(sizes):
    """What has no positions or channels sees nothing."""
    shape = graphs.constant("shape", [1, -1, 1])
    reshape = graphs.node("reshape", "Reshape", ["input", "shape"])
    last = graphs.node("last", "Softmax", ["reshape"])
    support = rf.compute_receptive_field(
        empty(shape, reshape, last, sizes=sizes)
    ).support()
    assert not support.seen().any()


def test_the_support_of_a_product_of_nothing():
    product = graphs.node(
        "product", "BatchMatMulV2", ["input", "input"], adj_y="b: true"
    )
    assert not rf.compute_receptive_field(empty(product)).support().seen().any()


@pytest.mark.parametrize(
    "nodes",
    [
        [
            graphs.constant("times", [1, -1, 1, 1]),
            graphs.node("tile", "Tile", ["input", "times"]),
        ],
        [
            graphs.constant("depth", [-3], []),
            graphs.node("one_hot", "OneHot", ["input", "depth", "depth", "depth"]),
        ],
    ],
)
def test_an_output_of_negative_size(nodes):
    with pytest.raises(
        rf.ReceptiveFieldError, match="would have an output of the shape"
    ):
        rf.compute_receptive_field(empty(*nodes, sizes=(1, 16, 16, 1)))


def test_an_equation_with_an_axis_of_no_input():
    equation = 's: "...ab->...a\\302\\262"'
    node = graphs.node("einsum", "Einsum", ["input"], equation=equation)
    with pytest.raises(rf.ReceptiveFieldError, match="axis that no input has"):
        rf.compute_receptive_field(empty(node, sizes=(1, 16, 16, 1)))
