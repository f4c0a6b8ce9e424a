"""One network through TensorFlow, Keras, ONNX, TensorFlow Lite and PyTorch: one answer.

It is the U-Net of `scripts/torch_networks.py`, which PyTorch exported to ONNX, written
with layers of Keras.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from needed import needed

import receptive_field as rf

tf, keras = needed("tensorflow"), needed("keras")
layers = keras.layers

FOLDER = Path(__file__).parent / "data" / "onnx"
SIZE = 64
PLACES = ("encoders.0", "encoders.1", "encoders.2", "encoders.3")
PLACES += ("decoders.0", "decoders.1", "decoders.2", "head")


def double(x, filters):
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return x


def upsampled(x, filters, kernel):
    """The three kinds of transposed convolution, which double a size.

    The last has a padding of 1, and a second one only at the start of its output.
    """
    if kernel == 3:
        x = layers.Conv2DTranspose(filters, kernel, 2)(x)
        return layers.Cropping2D(((1, 0), (1, 0)))(x)
    padding = "same" if kernel == 4 else "valid"
    return layers.Conv2DTranspose(filters, kernel, 2, padding=padding)(x)


@cache
def u_net():
    """The model, with an output at each place."""
    x = image = keras.Input((SIZE, SIZE, 3), batch_size=1)
    maps = []
    for filters in (16, 32, 64, 128):
        x = double(layers.MaxPooling2D(2)(x) if maps else x, filters)
        maps.append(x)
    ends = list(maps)
    maps.pop()
    for filters, kernel in ((64, 2), (32, 4), (16, 3)):
        x = layers.Concatenate()([maps.pop(), upsampled(x, filters, kernel)])
        x = double(x, filters)
        ends.append(x)
    return keras.Model(image, [*ends, layers.Conv2D(2, 1)(x)])


def of_keras():
    model = u_net()
    return [rf.compute_receptive_field(model, output=end) for end in model.outputs]


@cache
def function():
    model = u_net()
    signature = tf.TensorSpec(model.input_shape, "float32")
    call = tf.function(lambda image: model(image, training=False))
    return call.get_concrete_function(signature)


def of_tensorflow():
    traced = function()
    graph = traced.graph.as_graph_def(add_shapes=True)
    names = [end.name for end in traced.outputs]
    return [rf.compute_receptive_field(graph, output=name) for name in names]


def of_tflite():
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function()])
    content = converter.convert()
    return [
        rf.compute_receptive_field(
            content, output="Identity" + (number and f"_{number}")
        )
        for number in ["", *map(str, range(1, len(PLACES)))]
    ]


def of_onnx(file):
    return [
        rf.compute_receptive_field(
            FOLDER / file, output=place, input_resolution=[SIZE, SIZE]
        )
        for place in PLACES
    ]


@cache
def module():
    """The network as a module of PyTorch."""
    import torchvision_ops  # noqa: F401 - the script imports torchvision.

    needed("timm")
    path = Path(__file__).parent.parent / "scripts" / "torch_networks.py"
    spec = spec_from_file_location("scripts_torch_networks", path)
    found = module_from_spec(spec)
    sys.modules[spec.name] = found  # Data classes in it look there.
    spec.loader.exec_module(found)
    return found.UNet()


def of_torch(thing):
    return [
        rf.compute_receptive_field(thing, output=place, input_resolution=[SIZE, SIZE])
        for place in PLACES
    ]


def of_pt2(folder):
    torch = needed("torch")
    image = torch.zeros(1, 3, SIZE, SIZE)
    program = torch.export.export(module().eval(), (image,), strict=False)
    path = folder / "unet.pt2"
    torch.export.save(program, path)
    return of_torch(path)


WAYS = {
    "tensorflow": of_tensorflow,
    "tflite": of_tflite,
    "onnx": lambda: of_onnx("unet.onnx.xz"),
    "onnx of the older exporter": lambda: of_onnx("unet_script.onnx.xz"),
    "torch": lambda: of_torch(module()),
}


@pytest.mark.filterwarnings("ignore:.*tf.lite:UserWarning")
@pytest.mark.parametrize("way", WAYS)
def test_all_give_one_answer(way):
    check(WAYS[way]())


def test_a_file_of_pytorch_gives_the_same_answer(tmp_path):
    check(of_pt2(tmp_path))


def check(fields):
    for place, ours, theirs in zip(PLACES, of_keras(), fields, strict=True):
        for attribute in ("size", "stride", "padding"):
            one, two = getattr(ours, attribute), getattr(theirs, attribute)
            assert one.tolist() == two.tolist(), (place, attribute)
        assert (ours.aligned, ours.exact) == (theirs.aligned, theirs.exact), place
        sizes = [axis.size for axis in ours.feature_axes]
        assert sizes == [axis.size for axis in theirs.feature_axes]
        features = np.stack(np.meshgrid(*map(np.arange, sizes)), axis=-1)
        regions = (f.compute_input_region(features, clip=True) for f in (ours, theirs))
        assert (next(regions) == next(regions)).all(), place
