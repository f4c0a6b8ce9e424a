"""The forty models of ``keras.applications``."""

import inspect
import re

import keras_answers
import numpy as np
import pytest
import stored
from keras_experiments import hold_layers
from needed import needed

import receptive_field as rf
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.questions.experiment import Trial

keras = needed("keras")

pytestmark = pytest.mark.slow

APPLICATIONS = [
    name
    for name, function in inspect.getmembers(keras.applications, inspect.isfunction)
    if name[0].isupper()
]

# At an unknown size: worked out in the papers of these networks, or published.
KNOWN_SIZES = {
    "InceptionResNetV2": 3039,
    "InceptionV3": 1311,
    "MobileNet": 315,
    "ResNet50": 483,
    "ResNet101": 1027,
    "ResNet152": 1507,
    "VGG16": 212,
}


SHAPE = (None, None, 3)


def test_there_are_forty_of_them():
    assert len(APPLICATIONS) == 40


@pytest.mark.parametrize("name", ["MobileNet", "EfficientNetB0", "ConvNeXtTiny"])
def test_what_is_stored_is_what_is_loaded_of_the_real_one(name):
    """EfficientNet computes with weights while it is built, ConvNeXt has functions."""
    build = getattr(keras.applications, name)
    real = tensorflow.model_of(
        build(weights=None, include_top=False, input_shape=SHAPE)
    )
    found = stored.application(name, include_top=False, input_shape=SHAPE)
    assert [said(node) for node in found.graph] == [said(node) for node in real.graph]
    for part in ("inputs", "outputs", "layers", "layer_inputs"):
        assert numberless(getattr(found, part)) == numberless(getattr(real, part))


def numberless(named):
    """What is named, in order, without the numbers that Keras puts behind names."""
    return [(re.sub(r"_\d+", "", name), thing) for name, thing in named.items()]


def said(node):
    """All of a node but names, which number weights and functions anew each time."""
    attributes = dict(node.definition.attr)
    numbered = {"_user_specified_name", "_gradient_op_type", "f", "handle_name"}
    kept = {key: attributes[key] for key in attributes.keys() - numbered}
    return node.op, node.inputs, kept


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_layer(name):
    """As its config says it; other tests hold what a trace says of the same layers."""
    size: list[int] | None = [299, 331]
    if "NASNet" in name:  # Built for any size, it cannot be run at any: Keras's bug.
        with pytest.raises(NoRuleError, match="does not fit"):
            keras_answers.written("keras", name, with_top=False)
        size = None
    model = keras_answers.written("keras", name, with_top=size is None)
    fields = rf.compute_receptive_fields(model, input_resolution="unknown")
    assert not fields.errors
    if name in KNOWN_SIZES:
        last = fields[list(model.layers)[-1]]
        assert last.size.tolist() == [KNOWN_SIZES[name]] * 2
        assert last.stride.tolist() == [32, 32]
    placed = rf.compute_receptive_fields(model, input_resolution=size)
    assert not placed.errors
    assert list(placed) == list(fields)
    for field in placed.values():
        assert field.aligned is not None
        field.compute_input_region(np.zeros(2, int))


def test_xception_is_misaligned_at_its_default_size():
    """Its shortcuts skip every other row; 3x3 convolutions and poolings do not."""
    model = stored.application("Xception", include_top=False, input_shape=SHAPE)
    fields = rf.compute_receptive_fields(model, input_resolution=[299, 299])
    assert fields["block14_sepconv2_act"].aligned is False
    assert fields["block1_conv2_act"].aligned is True
    with pytest.raises(rf.ReceptiveFieldError, match="not aligned"):
        rf.compute_receptive_field(
            model, input_resolution=[299, 299], require_aligned=True
        )


FROM_ZERO = (Trial(0, 0, 1),)
"""Where everything is zero, a gate passes nothing on: only local paths show."""


@pytest.mark.parametrize(
    "name",
    [
        *("ConvNeXtTiny", "EfficientNetB0", "MobileNet", "MobileNetV3Small"),
        *("NASNetMobile", "ResNet50", "VGG16"),
    ],
)
def test_with_its_classifier(name):
    """One of each kind of classifier; many networks end as ResNet does."""
    model = stored.build(name)
    fields = rf.compute_receptive_fields(model)
    assert not fields.errors
    assert set(fields) >= {layer.name for layer in model.layers[1:]}
    assert fields[model.layers[-1].name].is_global


MEASURED = {
    "ConvNeXtTiny": (20, 59),
    "DenseNet121": (27, 83),
    "EfficientNetB0": (27, 83),
    "EfficientNetV2B0": (27, 83),
    "InceptionResNetV2": (75, 77),
    "InceptionV3": (75, 77),
    "MobileNet": (27, 83),
    "MobileNetV2": (27, 83),
    "MobileNetV3Small": (27, 83),
    "NASNetMobile": (60, 83),
    "ResNet50": (27, 83),
    "ResNet50V2": (27, 83),
    "VGG16": (20, 59),
    "Xception": (27, 83),
}
"""One of each family, and a size that is as wide as the fields that are measured."""

GATED = ("EfficientNet", "MobileNetV3")


@pytest.mark.parametrize("name", MEASURED)
def test_against_measurement(name):
    """Sizes, strides, paddings and regions of layers all along the first half."""
    size = MEASURED[name]
    options = {"input_shape": (*size, 3) if "NASNet" in name else SHAPE}
    if "MobileNetV3" in name:  # It would shift the image: zero is not zero then.
        options["include_preprocessing"] = False
    model = stored.application(name, include_top=False, **options)
    fields = rf.compute_receptive_fields(
        model, input_resolution=size, global_context="exclude"
    )
    small = [n for n, f in fields.items() if 1 < max(f.size) <= size[1]]
    chosen = small[:: max(len(small) // 6, 1)]
    assert len(chosen) >= 4
    context = "exclude" if name.startswith(GATED) else "include"
    trials = FROM_ZERO if context == "exclude" else (*FROM_ZERO, Trial(0.5, 1.5, 1e3))
    held = hold_layers(model, chosen, size, trials, global_context=context)
    assert any(field.exact for field in held.values())
