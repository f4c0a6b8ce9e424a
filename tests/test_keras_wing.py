"""Keras models that are written layer by layer, held against their traces."""

import json
import os
import re
import subprocess
import sys
import zipfile

import keras_answers
import layer_catalogue as catalogue
import pytest
import random_keras_models
import stored
from keras_answers import all_said, drawn, said, seen
from needed import needed
from random_search import seeds

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.frameworks.keras import objects
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.configs import called_model
from receptive_field.frameworks.keras.layers import LAYERS
from receptive_field.frameworks.keras.load import model_from
from receptive_field.frameworks.keras.stated import MODEL_CLASSES, STATED
from receptive_field.frameworks.keras.write import write
from receptive_field.frameworks.tensorflow import load as tensorflow

keras, tf = needed("keras"), needed("tensorflow")
layers = keras.layers

CLASSES = {*catalogue.EXAMPLES} & {*LAYERS} - {"Equalization"}
"""Equalization cannot be called with symbolic tensors."""

MORE_EXACT = {"MelSpectrogram"}
"""Layer classes whose trace splits frames into parts, and sees too much."""


def written(model):
    """The model, as it is written from its layers; a test may not get a trace."""
    found = load(model)
    assert found.traced is not None
    return found


def hold(model, **options):
    """Holds all layers of a model against those of its trace."""
    one, two = (
        rf.compute_receptive_fields(made, **options)
        for made in (written(model), tensorflow.model_of(model))
    )
    assert one.keys() == two.keys()
    assert {name: said(field) for name, field in one.items()} == {
        name: said(field) for name, field in two.items()
    }
    for name, field in one.items():
        assert seen(field, drawn(field)) == seen(two[name], drawn(field))


@pytest.mark.slow
@pytest.mark.parametrize("name", keras_answers.names("keras"))
def test_applications(name):
    """Their configs, held against what traces answered, without Keras or a trace."""
    assert not keras_answers.differences("keras", name)


OF_KERAS_2 = sorted({*keras_answers.names("tf_keras")} & {*keras_answers.SMALLEST})


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_KERAS_2)
def test_applications_of_keras_2(name):
    """The smallest of each architecture; `keras_answers` compares all by a command."""
    needed("tf_keras")
    asked = dict(keras_answers.RESOLUTIONS)
    if name in keras_answers.SLOW_AT_UNKNOWN_SIZE:
        del asked["unknown"]
    assert not keras_answers.differences("tf_keras", name, asked)


@pytest.mark.slow
def test_what_keras_builds_and_cannot_run():
    """See `keras_answers.NOT_RUN`. The trace ends where Keras fails."""
    package, name = "tf_keras", "NASNetMobile"
    tf_keras = needed(package)
    config, traced = keras_answers.kept(package, name, with_top=False)
    sizes = r"floor\(\(n - 1\) / 8\) and floor\(\(n - 1\) / 4\)"
    with pytest.raises(NoRuleError, match=f"reduction_add_1_stem_2.*{sizes}"):
        keras_answers.written(package, name, with_top=False)
    assert all("reduction_add_1_stem_2" not in found for found in traced.values())
    entries = config["config"]["layers"]
    end = [entry["name"] for entry in entries].index("reduction_add_1_stem_2") + 1
    outputs = [[entries[end - 1]["name"], 0, 0]]
    first = {**config["config"], "layers": entries[:end], "output_layers": outputs}
    model = tf_keras.Model.from_config(first)
    for size in (32, 33, 331):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Incompatible"):
            model(tf.zeros([1, size, size, 3]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ConvNeXtTiny", "EfficientNetB0", "NASNetMobile"])
def test_an_object_says_what_its_config_says(name):
    keras.backend.clear_session(free_memory=False)
    model = stored.build(name)
    _, expected = keras_answers.kept("keras", name, with_top=True)
    assert keras_answers.answers(written(model), with_top=True) == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *seeds("written layers", 1)])
@pytest.mark.parametrize("name", sorted(CLASSES))
def test_layers(name, seed, tmp_path):
    """A file says what the object says, and the object what its trace says."""
    model = catalogue.model_of(name, seed)
    path = tmp_path / "model.json"
    path.write_text(model.to_json())
    assert all_said(path) == all_said(model)
    if name not in MORE_EXACT:
        hold(model)


def model_in(kind, tmp_path):
    image = keras.Input((None, None, 3), name="image")
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    inner = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(4, 5, name="wide")], name="inner"
    )
    low = layers.MaxPooling2D(2, name="low")(shared(image))
    both = layers.Concatenate(name="both")([shared(low), low])
    model = keras.Model(image, [inner(low), both])
    path = tmp_path / f"model.{kind}"
    if kind == "json":
        path.write_text(model.to_json())
    else:
        model.save(path)
    return model, os.fspath(path)


@pytest.mark.parametrize("kind", ["keras", "h5", "json"])
def test_files(kind, tmp_path):
    model, path = model_in(kind, tmp_path)
    renamed = tmp_path / "network"
    os.rename(path, renamed)  # The content tells what the file is.
    found = rf.compute_receptive_fields(renamed)
    assert {*found} == {"shared", "low", "shared:2", "both", "wide", "inner"}
    assert found["shared:2"].size.tolist() == [8, 8]
    assert found["inner"].size.tolist() == [12, 12]
    hold(model)
    with pytest.raises(rf.ReceptiveFieldError, match=r"inner.*both|both.*inner"):
        rf.compute_receptive_field(renamed)
    assert rf.compute_receptive_field(renamed, output="both").stride.tolist() == [2, 2]


@pytest.mark.parametrize("kind", ["keras", "h5", "json"])
def test_nothing_of_keras_is_imported_for_a_file(kind, tmp_path):
    _, path = model_in(kind, tmp_path)
    code = (
        "import sys, receptive_field as rf\n"
        f"print(rf.compute_receptive_field({path!r}, output='inner').size.tolist())\n"
        "print([m for m in ('tensorflow', 'keras', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[12, 12]", "[]"]


@pytest.mark.parametrize("kind", ["keras", "h5", "json"])
def test_memory_for_a_large_file(kind, tmp_path):
    """The peak of a process that answers for NASNetMobile."""
    config, traced = keras_answers.kept("keras", "NASNetMobile", with_top=True)
    path, text = tmp_path / f"model.{kind}", json.dumps(config)
    if kind == "keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
    elif kind == "h5":
        with needed("h5py").File(path, "w") as file:
            file.attrs["model_config"] = text
    else:
        path.write_text(text)
    code = (
        "import receptive_field as rf\n"
        f"field = rf.compute_receptive_field({os.fspath(path)!r})\n"
        "print(field.output, field.size.tolist(), sep=';')\n"
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    answer, kilobytes = done.stdout.splitlines()
    output, _, size = answer.partition(";")
    assert json.loads(size) == traced["own"][output][0]
    assert int(kilobytes) < 60_000


def test_a_model_of_one_size_answers_at_others():
    """The trace holds the sizes of the map that is repeated."""
    image = keras.Input((64, 64, 3))
    low = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    high = layers.UpSampling2D(2)(
        layers.Conv2D(4, 3, padding="same", dilation_rate=5)(low)
    )
    model = keras.Model(image, layers.Concatenate()([high, image]))
    field = rf.compute_receptive_field(model, input_resolution=[96, 128])
    assert [axis.output_size for axis in field.axes] == [128, 96]
    assert rf.compute_receptive_field(model, input_resolution="unknown").exact
    # Kernels of 3 at steps of 1, and of 11 at steps of 2.
    assert field.size.tolist() == [23, 23]


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("size", [None, 20])
def test_a_pooling_of_everything_is_global_whatever_is_below(kernel, size):
    """A kernel as wide as its stride repeats positions, and a wider one joins them."""
    image = keras.Input((size, size, 2))
    wide = layers.Conv2DTranspose(2, kernel, 2, padding="same")(image)
    pooled = layers.GlobalMaxPooling2D(keepdims=True, name="pooled")(wide)
    model = keras.Model(image, layers.Conv2D(2, 3, padding="same", name="last")(pooled))
    field = rf.compute_receptive_field(model, output="last")
    assert field.global_nodes == ("pooled/Max",)
    assert field.local is None


def test_layers_and_tensors_of_the_model_are_its_names():
    image = keras.Input((None, None, 3), name="image")
    first, second = (
        layers.Conv2D(3, 3, name="first"),
        layers.Conv2D(3, 3, name="second"),
    )
    middle = first(image)
    model = keras.Model(image, second(middle))
    assert rf.compute_receptive_field(model, output=first).size.tolist() == [3, 3]
    assert rf.compute_receptive_field(model, output=middle).size.tolist() == [3, 3]
    field = rf.compute_receptive_field(model, input=middle, output=second)
    assert field.size.tolist() == [3, 3]


def test_calls_are_numbered_as_they_were_made():
    """The model runs the first call after the second."""
    image = keras.Input((None, None, 3))
    shared = layers.Conv2D(3, 3, name="shared")
    keras.Model(image, shared(image))  # A call of another model.
    late = shared(layers.Conv2D(3, 5)(layers.Conv2D(3, 5)(image)))
    early = shared(image)
    model = keras.Model(image, [late, early])
    for tensor, name, size in ((late, "shared", 11), (early, "shared:2", 3)):
        for thing in (tensor, name):
            field = rf.compute_receptive_field(model, output=thing)
            assert (field.output, field.size[0]) == (name, size)
    for trace in (False, True):
        with pytest.raises(rf.ReceptiveFieldError, match="'shared', 'shared:2'"):
            rf.compute_receptive_field(model, output=shared, trace=trace)


@pytest.mark.parametrize("keys", [None, ("second", "first"), ("first", "second")])
def test_a_model_in_the_model_may_be_called_with_a_dict(keys, tmp_path):
    """Its tensors go by the keys of the inputs, or by their names if they have none."""
    one, two = keras.Input((8, 2), name="second"), keras.Input((8, 2), name="first")
    outputs = [layers.Conv1D(2, k, padding="same")(x) for k, x in ((3, one), (5, two))]
    given = dict(zip(keys, (one, two), strict=True)) if keys else [one, two]
    inner = keras.Model(given, outputs)
    image = keras.Input((8, 2))
    narrow = layers.Conv1D(2, 2, padding="same")(image)
    found = inner({"first": image, "second": narrow})
    model = keras.Model(image, found[1])
    path = tmp_path / "model.keras"
    model.save(path)
    # Of the input called "first", 5 pixels are seen; below "second" are 2 more.
    size = 6 if keys == ("first", "second") else 5
    for source in (model, path):
        assert rf.compute_receptive_field(source).size.tolist() == [size]
    real = rf.measure_receptive_field(model, feature=[4]).region.tolist()
    assert real == [[2, 6 + (size == 6)]]


@pytest.mark.parametrize("way", ["object", "file", "trace"])
def test_the_name_of_an_output_means_the_output(way, tmp_path):
    x = keras.Input((20, 20, 1))
    layer = layers.Conv2D(1, 3, name="conv")
    open_input = keras.Input((None, None, 1))
    blocks = keras.Sequential([open_input, layers.Conv2D(1, 5)], name="blocks")
    once = layer(x)
    model = keras.Model(x, [once, layer(once), blocks(blocks(x)), once])
    given = model
    if way == "file":
        given = tmp_path / "model.keras"
        model.save(given)
    found = load(given, trace=way == "trace").outputs
    sizes = {
        name: rf.compute_receptive_field(given, output=name, trace=way == "trace").size
        for name in found
    }
    assert [size.tolist() for size in sizes.values()] == [[s, s] for s in (3, 5, 9, 3)]
    if way != "trace":
        assert list(sizes) == ["conv", "conv:2", "blocks:2", "conv:3"]


@pytest.mark.parametrize("kind", ["Softmax", "ReLU", "PReLU"])
def test_the_activation_of_a_layer_may_be_a_layer(kind, tmp_path):
    """It is called with what the layer computed, not with what the layer read."""
    image = keras.Input((12, 12, 3))
    activation = getattr(layers, kind)(name="bend")
    model = keras.Model(image, layers.Conv2D(3, 5, activation=activation)(image))
    path = tmp_path / "model.keras"
    model.save(path)
    for name in ("bend", model.layers[-1].name):
        field = rf.compute_receptive_field(path, output=name)
        assert field.size.tolist() == [5, 5]
    hold(model)


def test_layers_of_one_name_are_not_taken_for_each_other():
    """The model inside has a layer of the same name, which is called first."""
    image = keras.Input((None, None, 3))
    wide = layers.Conv2D(3, 7, name="conv")
    inner = keras.Sequential([keras.Input((None, None, 3)), wide], name="inner")
    outer = layers.Conv2D(3, 3, name="conv")
    features = outer(inner(image))
    model = keras.Model(image, layers.ReLU()(features))
    for thing in (outer, features, "conv:2"):
        field = rf.compute_receptive_field(model, output=thing)
        assert field.size.tolist() == [9, 9]
    assert rf.compute_receptive_field(model, output=wide).size.tolist() == [7, 7]
    other = layers.Conv2D(3, 5, name="inner")
    with pytest.raises(rf.ReceptiveFieldError, match="must be a name"):
        rf.compute_receptive_field(model, output=other)


class Custom(layers.Layer):
    def call(self, x):
        return x[:, ::2]


class Inner(layers.Layer):
    """Calls layers, and functions of `keras.ops`."""

    def __init__(self):
        super().__init__()
        self.wide = layers.Conv2D(3, 5, name="wide")

    def call(self, x, training=True):
        y = self.wide(x)[:, ::2]
        return keras.ops.pad(y, [[0, 0], [3, 3], [0, 0], [0, 0]])


class OfTensorFlow(layers.Layer):
    """Cannot be called with symbolic tensors of Keras."""

    def __init__(self):
        super().__init__()
        self.wide = layers.Conv2D(3, 5, name="wide")

    def call(self, x):
        return tf.pad(self.wide(x)[:, ::2], [[0, 0], [3, 3], [0, 0], [0, 0]])


@pytest.mark.parametrize("kind", [Inner, OfTensorFlow])
def test_layers_without_a_rule_are_opened_or_traced(kind):
    """Each by itself; the others are written by their rules."""
    image = keras.Input((None, None, 3))
    layer = kind()
    model = keras.Model(image, layer(layers.Conv2D(3, 3, name="conv")(image)))
    found = write(objects.called_model(model), "model")
    name = layer.name
    assert (name in found.opened, name in found.traced) == (
        kind is Inner,
        kind is OfTensorFlow,
    )
    assert list(found.layers) == ["conv", "wide", name]
    hold(model)
    assert rf.compute_receptive_field(model).padding.tolist() == [0, 6]
    assert [len(part._inbound_nodes) for part in (layer, layer.wide)] == [1, 0]


class Again(layers.Layer):
    """Calls a layer twice, the second time on what the first gave."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(3, 3, padding="same", name="conv")

    def call(self, x):
        y = self.conv(x)
        return y + self.conv(y)


@pytest.mark.parametrize("mode", ["inference", "graph"])
@pytest.mark.parametrize("inside", [False, True])
def test_keras_2_keeps_the_training_mode_of_a_call(mode, inside):
    """Batch normalisation then sees the whole map, if it is analysed as it runs."""
    old = needed("tf_keras")
    image = old.Input((9, 8, 2))
    x = old.layers.Conv2D(2, 3)(image)
    part = old.layers.BatchNormalization()
    if inside:
        maps = old.Input((None, None, 2))
        part = old.Model(maps, part(maps))
    model = old.Model(image, part(x, training=True))
    field = rf.compute_receptive_field(model, batch_norm=mode)
    assert field.is_global == (mode == "graph")
    assert field.source.way == "layers"


def test_a_model_is_written_once_for_all_time_steps():
    """Also if its config has tuples, which a file does not."""
    image = keras.Input((None, None, 2))
    pooled = layers.MaxPooling2D(2)(layers.Conv2D(2, (3, 2))(image))
    video = keras.Input((None, None, None, 2))
    each = layers.TimeDistributed(keras.Model(image, pooled))
    field = rf.compute_receptive_field(keras.Model(video, each(video)))
    assert field.source.opened == {}
    assert field.exact
    assert field.size.tolist() == [3, 4, 1]  # (2 - 1) + kernel; x, y and time
    assert field.stride.tolist() == [2, 2, 1]


def test_an_opened_layer_may_call_a_layer_twice():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, Again()(image))
    fields = rf.compute_receptive_fields(model)
    assert [field.size[0] for field in fields.values()] == [3, 5, 5]
    hold(model)


class Blocks(keras.Model):
    """A model whose calls only its own code knows."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Conv2D(3, 3), layers.Conv2D(3, 3)

    def call(self, x):
        return self.second(self.first(x)) + x[:, 2:-2, 2:-2]


def test_subclassed_models_are_opened():
    model = Blocks()
    model.build((None, None, None, 3))
    hold(model)
    assert rf.compute_receptive_field(model).size.tolist() == [5, 5]


@pytest.mark.parametrize("name", ["MobileNetV3Small", "ResNet50"])
def test_models_of_keras_2(name):
    tf_keras = needed("tf_keras")
    hold(getattr(tf_keras.applications, name)(weights=None, include_top=False))


class Dense(layers.Layer):
    """A class of the user, named like one of Keras."""

    def call(self, x):
        return x[:, ::2]


class Model(keras.Model):
    """A model that is not called as its config says."""

    def call(self, x):
        return super().call(x[:, ::2])


def test_a_class_that_is_named_like_one_of_keras_is_not_taken_for_it():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, Dense()(image))
    assert rf.compute_receptive_field(model).stride.tolist() == [1, 2]
    model = Model(image, layers.MaxPooling2D(2)(image))
    assert rf.compute_receptive_field(model).stride.tolist() == [2, 4]


def test_experiments_run_the_model_itself(tmp_path):
    _, path = model_in("keras", tmp_path)
    measured = rf.measure_receptive_field(
        path, output="inner", input_resolution=[40, 40]
    )
    assert measured.size.tolist() == [12, 12]


# --- Bad input -----------------------------------------------------------------------


def archive(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("_json", ".json"), content)
    return os.fspath(path)


def config(*nodes):
    """A model of one input and one layer that is called so."""
    own = {"name": "a", "trainable": True, "pool_size": [2, 2]}
    given = {"name": "image", "batch_shape": [None, None, None, 3]}
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {
            "name": "model",
            "layers": [
                {
                    "module": "keras.layers",
                    "class_name": "InputLayer",
                    "config": given,
                    "name": "image",
                    "inbound_nodes": [],
                },
                {
                    "module": "keras.layers",
                    "class_name": "MaxPooling2D",
                    "config": own,
                    "name": "a",
                    "inbound_nodes": list(nodes),
                },
            ],
            "input_layers": [["image", 0, 0]],
            "output_layers": [["a", 0, 0]],
        },
    }


def reads(*history):
    tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": history}}
    return {"args": [tensor], "kwargs": {}}


def test_a_config_by_hand(tmp_path):
    path = archive(
        tmp_path / "a.keras", config_json=json.dumps(config(reads("image", 0, 0)))
    )
    assert rf.compute_receptive_field(path).size.tolist() == [2, 2]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(config(reads("a", 0, 0))),
        json.dumps(config(reads("b", 0, 0))),
        json.dumps(config(reads("image", 0, 7))),
        json.dumps(config({"args": 5})),
        json.dumps(config(7)),
        json.dumps({**config(), "config": {"layers": {}}}),
        json.dumps({"class_name": "Functional", "config": []}),
        "[" * 100_000,
        "{}",
        "nothing",
    ],
)
def test_configs_that_make_no_model(content, tmp_path):
    path = archive(tmp_path / "a.keras", config_json=content)
    with pytest.raises(rf.ReceptiveFieldError):
        rf.compute_receptive_field(path)


def test_an_archive_without_a_config(tmp_path):
    path = archive(tmp_path / "a.keras", other_json="{}")
    with pytest.raises(rf.ReceptiveFieldError):
        rf.compute_receptive_field(path)


def test_json_with_a_layer_that_has_no_rule(tmp_path):
    image = keras.Input((None, None, 3))
    path = tmp_path / "a.json"
    path.write_text(keras.Model(image, Custom(name="mine")(image)).to_json())
    with pytest.raises(rf.ReceptiveFieldError, match=r"mine.*pass the object"):
        rf.compute_receptive_field(path)


def test_json_cannot_be_run(tmp_path):
    _, path = model_in("json", tmp_path)
    with pytest.raises(rf.ReceptiveFieldError, match="model_from_json"):
        rf.measure_receptive_field(path, output="inner", input_resolution=[40, 40])


def test_operations_are_not_taken_for_layers_of_their_name():
    """`keras.ops.average` is no sum of its inputs."""
    image = keras.Input((None, None, 3))
    shifted = keras.ops.concatenate([image[:, 1:], image[:, :-1]], axis=-1)
    model = keras.Model(image, layers.ReLU()(keras.ops.average(shifted, axis=1)))
    field = rf.compute_receptive_field(model)
    assert field.global_nodes or field.size[1] == float("inf")


# --- How a model was read ------------------------------------------------------------


def test_the_result_says_how_the_model_was_read():
    image = keras.Input((None, None, 3))
    opened, traced = Inner(), OfTensorFlow()
    model = keras.Model(image, traced(opened(layers.Conv2D(3, 3)(image))))
    source = rf.compute_receptive_field(model).source
    assert source.way == "layers"
    assert list(source.opened) == [opened.name]
    assert traced.name in source.traced
    assert f"opened: {opened.name!r}; traced by TensorFlow: " in str(source)
    source = rf.compute_receptive_field(model, trace=True).source
    assert (source.way, source.opened, source.traced) == ("trace", {}, {})
    assert rf.compute_receptive_field(rf.EXAMPLE_GRAPH).source.way == "graph"


@pytest.fixture
def stated_classes():
    """Removes what a test states when it ends."""
    yield
    STATED.clear()
    MODEL_CLASSES.clear()


@pytest.fixture
def custom(tmp_path):
    """A file with a custom layer between two others."""
    image = keras.Input((None, None, 3))
    low = layers.MaxPooling2D(2)(Custom(name="mine")(layers.ReLU()(image)))
    path = tmp_path / "a.json"
    path.write_text(keras.Model(image, low).to_json())
    return path


def test_a_caller_can_state_what_a_custom_layer_does(custom, stated_classes):
    window = rf.SlidingWindow(kernel_size=1, stride=(1, 2))
    field = rf.compute_receptive_field(custom, overrides={"mine": window})
    assert field.stride.tolist() == [2, 4]
    assert field.source.stated == ("mine",)
    rf.register_layer("Custom", window)
    field = rf.compute_receptive_field(custom)
    assert (field.stride.tolist(), field.source.stated) == ([2, 4], ("mine",))
    with pytest.raises(rf.ReceptiveFieldError, match="not a rule"):
        rf.register_layer("Custom", "elementwize")


class Backbone(keras.Model):
    """A class of the user that calls its layers as its config says."""


class Stack(keras.Sequential):
    """The same, of a sequential model."""


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", ["Backbone", "Stack"])
def test_a_caller_can_state_that_a_model_calls_its_layers(
    kind, inside, tmp_path, stated_classes
):
    image = keras.Input((None, None, 3))
    wide = layers.Conv2D(3, 5, name="wide")
    model = Stack([image, wide]) if kind == "Stack" else Backbone(image, wide(image))
    if inside:  # Keras counts the calls of a model in another way.
        model = keras.Model(image, model(model(image)))
    path = tmp_path / "model.keras"
    model.save(path)
    how = rf"override `call`.* register_layer\('{kind}', 'model'\)"
    with pytest.raises(rf.ReceptiveFieldError, match=how):
        rf.compute_receptive_field(path)
    rf.register_layer(kind, "elementwise")  # What is said last counts.
    rf.register_layer(kind, "model")
    field = rf.compute_receptive_field(path)
    assert field.size.tolist() == ([9, 9] if inside else [5, 5])
    hold(model)


def test_a_model_in_memory_is_not_taken_for_what_was_stated(stated_classes):
    rf.register_layer("Model", "model")
    image = keras.Input((None, None, 3))
    inner = Model(image, layers.MaxPooling2D(2)(image))
    model = keras.Model(image, layers.ReLU()(inner(image)))
    assert rf.compute_receptive_field(model).stride.tolist() == [2, 4]


def test_operations_have_names():
    image = keras.Input((None, None, 3), name="image")
    cut = image[:, 2:]
    model = keras.Model(image, layers.MaxPooling2D(2)(cut))
    name = cut._keras_history.operation.name
    field = rf.compute_receptive_field(model, output=name)
    assert (field.output, field.padding.tolist()) == (name, [0, -2])
    assert name not in rf.compute_receptive_fields(model)


class Twice(layers.Layer):
    """Its first part can be opened, its second cannot."""

    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def call(self, x):
        return tf.pad(self.inner(x), [[0, 0], [3, 3], [0, 0], [0, 0]])


def test_what_could_not_be_opened_leaves_nothing_behind():
    image = keras.Input((None, None, 3))
    layer = Twice()
    model = keras.Model(image, layer(image))
    found = write(objects.called_model(model), "model")
    assert list(found.layers) == ["wide", layer.inner.name, layer.name]
    scopes = {node.name.partition("/")[0] for node in found.writer.graph}
    assert "wide" not in scopes
    hold(model)


class WithConstant(layers.Layer):
    """Gives a layer a constant."""

    def __init__(self):
        super().__init__()
        self.add = layers.Add()

    def call(self, x):
        return self.add([x, tf.ones((1, 1, 1, 3))])


@pytest.mark.parametrize("trace", [False, True])
def test_layers_that_are_given_constants(trace):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, WithConstant()(layers.Conv2D(3, 3)(image)))
    assert rf.compute_receptive_field(model, trace=trace).size.tolist() == [3, 3]


# --- Random models -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(6), *seeds("keras models", 8)])
def test_random_models(seed):
    """A model, its trace and its config say the same, layer by layer."""
    try:
        model = random_keras_models.model_of(seed)
    except (TypeError, ValueError):
        return  # A map became too small.
    found = answers_of(written(model))
    traced = answers_of(tensorflow.model_of(model))
    if not model.layers[1:]:
        return  # Only operations, whose nodes have other names in a trace.
    # A trace numbers the calls of a layer in the order in which they run.
    assert sorted(found.values()) == sorted(traced.values())
    single = {name for name in found if ":" not in name and f"{name}:2" not in found}
    assert all(found[name] == traced[name] for name in single)
    if any(
        type(layer).__module__ == random_keras_models.__name__ for layer in model.layers
    ):
        return  # A file does not hold the code of a custom layer.
    config = json.loads(model.to_json())
    from_file = model_from("model", write(called_model(config), "model"), config)
    assert answers_of(from_file) == found


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 4, *seeds("measured keras models", 2)])
def test_random_models_are_what_is_measured(seed):
    try:
        model = random_keras_models.model_of(seed)
    except (TypeError, ValueError):
        return
    source = load(model)
    (name,) = source.outputs
    if None in model.input_shape[1:]:
        return
    field = rf.compute_receptive_field(source, output=name)
    middle = [axis.size // 2 for axis in field.feature_axes]
    region = field.compute_input_region(middle, clip=True)
    real = rf.measure_receptive_field(model, output=name, feature=middle).region
    assert (region[:, 0] <= real[:, 0]).all()
    assert (real[:, 1] <= region[:, 1]).all()
    if field.support().exact:
        assert region.tolist() == real.tolist()


def answers_of(model):
    fields = rf.compute_receptive_fields(model)
    # Nothing is left of a map, or too little to mirror it.
    assert all(
        re.search("vanish|cannot mirror", str(error))
        for error in fields.errors.values()
    )
    answers = {name: json.dumps(said(field)) for name, field in fields.items()}
    return answers | dict.fromkeys(fields.errors, "too small")


class PooledContext(keras.layers.Layer):
    """Makes a layer of a size that is unknown until the model runs."""

    def call(self, x):
        sizes = keras.ops.shape(x)
        pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        resized = keras.layers.Resizing(sizes[1], sizes[2])(pooled)
        return keras.ops.concatenate([x, resized], axis=-1)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 2 * shape[-1])


def test_a_layer_that_reads_an_unknown_size_is_traced():
    image = keras.Input((None, None, 3))
    convolved = keras.layers.Conv2D(4, 3, padding="same")(image)
    model = keras.Model(image, PooledContext(name="context")(convolved))
    field = rf.compute_receptive_field(model, input_resolution=[8, 10])
    assert list(field.source.traced) == ["context"]
    assert "not a number" in field.source.traced["context"]
    assert [axis.size for axis in field.feature_axes] == [10, 8]
    assert field.size.tolist() == [float("inf")] * 2
    assert field.local.size.tolist() == [3, 3]
