"""Converted models of TensorFlow Lite, against the Keras models they came from.

The receptive fields of Keras models are compared with experiments elsewhere.
"""

from __future__ import annotations

import importlib.util
import lzma
from pathlib import Path

import pytest
from needed import needed

import receptive_field as rf

tf = needed("tensorflow")
keras = needed("keras")

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "data" / "tflite"


def loaded_script():
    path = ROOT / "scripts" / "convert_tflite.py"
    spec = importlib.util.spec_from_file_location("convert_tflite", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = loaded_script()
BUILDS = {
    **script.NETWORKS,
    "any_size": script.any_size,
    "dilated_int8": script.dilated,
    "u_net_float16": script.u_net,
}
"""File -> the network that it was converted from."""


def content_of(name):
    return lzma.decompress((FOLDER / f"{name}.tflite.xz").read_bytes())


def numbers(field):
    """The numbers of a receptive field, and what is known about them."""
    return [
        (*map(list, (f.size, f.stride, f.padding)), f.aligned, f.exact)
        for f in (field, field.local or field)
    ]


def of_layers(fields, layers):
    """The fields of the layers of a converted model.

    The scope of a layer has its name and a number. The last tensor of a scope is what
    the layer returns. If several layers became one op, the tensor has the name of the
    last of them.
    """
    found = {}
    for name, field in fields.items():
        for part in name.split("/")[:-1]:
            layer = part.rpartition("_")[0]
            if layer in layers:
                found[layer] = field
    return found


@pytest.mark.parametrize("name", BUILDS)
def test_layer_by_layer(name):
    expected = rf.compute_receptive_fields(BUILDS[name]())
    found = of_layers(rf.compute_receptive_fields(content_of(name)), expected)
    for layer, field in found.items():
        assert numbers(field) == numbers(expected[layer]), layer
    # Only layers that became a part of the next one have no tensor.
    assert len(found) > len(expected) / 3
    output = rf.compute_receptive_field(content_of(name))
    assert numbers(output) == numbers(list(expected.values())[-1])
