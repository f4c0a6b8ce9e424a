"""Models that once ended in an exception of Python are refused with a reason."""

import json
import lzma
from pathlib import Path

import graphs
import pytest

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
