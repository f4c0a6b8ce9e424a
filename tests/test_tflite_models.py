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
from receptive_field.frameworks import load

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
    (output,) = load(content_of(name)).outputs
    last = rf.compute_receptive_field(content_of(name), output=output)
    assert numbers(last) == numbers(list(expected.values())[-1])


@pytest.mark.parametrize(
    ("name", "resolution"),
    [("dilated", 65), ("transposed", 32), ("sound", 1024), ("misaligned", 48)],
)
def test_experiments_agree(name, resolution):
    """Every position that the interpreter sees is one that the rules give."""
    content = content_of(name)
    model = load(content)
    (output,) = model.outputs
    network = rf.compute_receptive_field(content, output=output)
    measured = rf.measure_receptive_field(content, output=output, axes_only=True)
    if network.is_global:
        assert all(along.all() for along in measured.per_axis)
        return
    region = network.compute_input_region(measured.feature, clip=True)
    assert measured.region.tolist() == region.tolist()


def test_quantised_networks_are_not_measured():
    with pytest.raises(rf.ReceptiveFieldError, match="quantised numbers"):
        rf.measure_receptive_field(content_of("dilated_int8"))


def test_sizes_that_were_not_built_for():
    content = content_of("any_size")
    keras_model = script.any_size()
    for size in (32, 45, 64):
        found = rf.compute_receptive_field(content, input_resolution=size + -size % 4)
        expected = rf.compute_receptive_field(
            keras_model, input_resolution=size + -size % 4
        )
        assert numbers(found) == numbers(expected)


def test_costs_are_those_of_keras():
    for name in ("u_net", "mobilenet_v2"):
        content = rf.compute_costs(content_of(name), output="output_0").total
        model = rf.compute_costs(BUILDS[name]()).total
        # Batch normalisation has become a part of the kernels and biases.
        assert 0.98 * model.macs < content.macs <= model.macs
        # Biases that are equal when a model is converted are stored once.
        assert 0.95 * model.parameters < content.parameters <= model.parameters


@pytest.mark.parametrize("name", ["dilated", "transposed", "sound"])
def test_effective_fields_are_those_of_keras(name):
    """Folded batches and activations that are part of an op change nothing."""
    content = content_of(name)
    (output,) = load(content).outputs
    found = rf.compute_receptive_field(content, output=output)
    expected = rf.compute_receptive_field(BUILDS[name]())
    maps = [field.effective_receptive_field().map for field in (found, expected)]
    assert maps[0] == pytest.approx(maps[1], rel=1e-9)
