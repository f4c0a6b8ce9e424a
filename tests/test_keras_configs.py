"""Configs of all versions of Keras, files that hold none, and hostile ones."""

import copy
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from keras_answers import all_said, said
from needed import needed

import receptive_field as rf
from receptive_field.frameworks.keras import objects
from receptive_field.frameworks.keras.configs import version_of
from receptive_field.frameworks.keras.hdf5 import OtherLayoutError, texts_in
from receptive_field.frameworks.keras.write import write
from receptive_field.frameworks.tensorflow import load as tensorflow

DATA = Path(__file__).parent / "data" / "keras"


def saved(name):
    return json.loads((DATA / name).read_text())


def numbers(path, output=None, **options):
    """Size, stride and padding of an output, first along the width."""
    field = rf.compute_receptive_field(path, output=output, **options)
    assert field.exact
    return field.size.tolist(), field.stride.tolist(), field.padding.tolist()


def put(tmp_path, config, name="model.json"):
    path = tmp_path / name
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return os.fspath(path)


def refused(path, match, **options):
    """Expects one short error, whose message it returns."""
    with pytest.raises(rf.ReceptiveFieldError, match=match) as caught:
        rf.compute_receptive_fields(path, **options)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


# --- One config of each version ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("functional_1.2.json", 1),
        ("sequential_1.0.json", 1),
        ("op_layers_2.2.json", 2),
        ("nested_2.3.json", 2),
        ("functions_2.15.json", 2),
        ("no_modules_3.0.json", 3),
        ("nested_3.15.json", 3),
    ],
)
def test_versions(name, version):
    assert version_of(saved(name)) == version


@pytest.mark.parametrize("name", ["functional_1.2", "no_modules_3.0", "nested_3.15"])
def test_the_result_says_that_names_mean_classes_of_keras(name):
    path = DATA / f"{name}.json"
    source = next(iter(rf.compute_receptive_fields(path).values())).source
    assert source.by_name == (name != "nested_3.15")
    assert ("names mean classes of Keras" in str(source)) == source.by_name


def test_names_of_keras_1():
    """Channels come first, so the width is the last axis.

    The kernels are 5, 2 (stride 2), and 3 with dilation 2 (5 positions) along the
    width: 5 + 1 + 4 * 2 = 14. Along the height, 3 + 1 + 8 = 12. SAME padding of the
    dilated kernel is 2 steps of 2. The last layer adds 0 on the left and 1 at the top:
    steps of 2.
    """
    path = DATA / "functional_1.2.json"
    assert numbers(path, "both") == ([14, 12], [2, 2], [4, 4])
    assert numbers(path) == ([14, 12], [2, 2], [4, 6])
    field = rf.compute_receptive_field(path)
    # (48 - 4) / 2 + 0 + 3 and (40 - 2) / 2 + 1 + 2.
    assert [axis.output_size for axis in field.axes] == [25, 22]


@pytest.mark.parametrize(("side", "kernel"), [("left", 3), ("right", 5)])
def test_a_sequence_of_keras_1_that_merges_others(side, kernel):
    """A kernel with stride 2, then pooling by 2: kernel + 2, and strides of 4."""
    path = DATA / "sequential_1.0.json"
    field = rf.compute_receptive_field(path, input=f"{side}_input")
    assert field.size.tolist() == [kernel + 2]
    assert field.stride.tolist() == [4]


def of_keras_1(kind, shape, **options):
    """A model of Keras 1 with one layer."""
    given = {"batch_input_shape": [None, *shape], "input_dtype": "float32"}
    layer = {"class_name": kind, "config": {"name": "only", **given, **options}}
    return {"class_name": "Sequential", "keras_version": "1.2.2", "config": [layer]}


@pytest.mark.parametrize(
    ("kind", "shape", "padding", "added", "first"),
    [
        ("ZeroPadding1D", [9, 2], 3, [6], [3]),
        ("ZeroPadding1D", [9, 2], [1, 4], [5], [1]),
        ("ZeroPadding1D", [9, 2], {"left_pad": 1, "right_pad": 4}, [5], [1]),
        ("ZeroPadding2D", [9, 9, 2], [1, 4], [8, 2], [4, 1]),
        ("ZeroPadding2D", [9, 9, 2], [1, 2, 3, 4], [7, 3], [3, 1]),
        ("ZeroPadding2D", [9, 9, 2], {"top_pad": 2, "left_pad": 1}, [1, 2], [1, 2]),
        ("ZeroPadding3D", [9, 9, 9, 2], [1, 2, 3], [6, 4, 2], [3, 2, 1]),
    ],
)
def test_padding_of_keras_1(kind, shape, padding, added, first, tmp_path):
    """Lists and dicts name the vertical axis first, results the horizontal one."""
    order = {} if kind == "ZeroPadding1D" else {"dim_ordering": "tf"}
    path = put(tmp_path, of_keras_1(kind, shape, padding=padding, **order))
    field = rf.compute_receptive_field(path)
    assert field.padding.tolist() == first
    assert [axis.output_size - 9 for axis in field.axes] == added


BRANCHES = [{"class_name": "Dense", "config": {"name": "a", "output_dim": 2}}]


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("BatchNormalization", {"mode": 1, "axis": -1}, "depends on the batch"),
        ("MaxoutDense", {"output_dim": 2}, "no class of later versions"),
        ("Merge", {"mode": "dot", "layers": []}, "the mode 'dot'"),
        ("Merge", {"layers": BRANCHES}, "'a' is merged and is no model"),
    ],
)
def test_what_no_later_version_does(kind, options, reason, tmp_path):
    refused(put(tmp_path, of_keras_1(kind, [9, 2], **options)), f"Keras 1.*{reason}")


def test_calls_of_a_nested_model_of_keras_2():
    """Kernels of 5, 2 (stride 2) and 5 again: 5 + 1 + 4 * 2 = 14."""
    path = DATA / "nested_2.3.json"
    assert numbers(path, "inner") == ([5, 5], [1, 1], [0, 0])
    assert numbers(path, "drop") == ([14, 14], [2, 2], [0, 0])


def test_calls_of_a_nested_model_of_keras_3():
    """As in Keras 2, but layers count calls from 0, and the outputs from 1."""
    path = DATA / "nested_3.15.json"
    assert numbers(path, "inner") == ([5, 5], [1, 1], [0, 0])
    assert numbers(path, "inner:2") == ([14, 14], [2, 2], [0, 0])
    assert numbers(path, "last") == ([16, 16], [4, 4], [0, 0])
    with pytest.raises(rf.ReceptiveFieldError, match=r"last.*inner"):
        rf.compute_receptive_field(path)


def test_functions_of_tensorflow():
    """Of 9 x 11 pixels, a convolution with stride 2 makes 5 x 6, and each is doubled.

    The image is 10 x 12, and 5 x 6 with SAME padding. Each position of the kernel's
    output is repeated, and added to the image. Then the first row is cut off, and
    every second column is taken: 2 of the 9 rows 1..9 see the same position.
    """
    path = DATA / "functions_2.15.json"
    options = {"input_resolution": [10, 12]}
    field = rf.compute_receptive_field(path, output="up", **options)
    assert [axis.output_size for axis in field.axes] == [12, 10]
    assert field.stride.tolist() == [1, 1]
    field = rf.compute_receptive_field(path, **options)
    assert [axis.output_size for axis in field.axes] == [6, 9]
    assert field.stride.tolist() == [2, 1]


def test_nodes_of_tensorflow():
    """A slice leaves out the first 3 columns and every second of the others."""
    field = rf.compute_receptive_field(DATA / "op_layers_2.2.json")
    assert field.size.tolist() == [1, 1]
    assert field.stride.tolist() == [1, 2]
    assert field.padding.tolist() == [0, -3]


def test_operations_without_a_module_are_told_from_layers():
    """`Add` is the function on `conv` and a number, and the layer on two tensors."""
    path = DATA / "no_modules_3.0.json"
    assert numbers(path) == ([3, 3], [1, 1], [1, 1])
    assert list(rf.compute_receptive_fields(path)) == ["conv", "add_1"]


def test_models_of_tensorflow_js(tmp_path):
    """They hold the config of Keras inside of theirs."""
    inner = {"keras_version": "2.3.1", "model_config": saved("nested_2.3.json")}
    path = put(tmp_path, {"format": "layers-model", "modelTopology": inner})
    assert numbers(path, "drop") == ([14, 14], [2, 2], [0, 0])


# --- Traps ---------------------------------------------------------------------------


def with_layer(kind, module="keras.layers", **options):
    """A model whose only layer is of this class."""
    config = saved("no_modules_3.0.json")
    inner = config["config"]
    entry = inner["layers"][1]
    entry.update(class_name=kind, module=module)
    entry["config"] = {"name": "conv", "trainable": True, **options}
    inner["layers"] = inner["layers"][:2]
    inner["output_layers"] = [["conv", 0, 0]]
    return config


POOL = {"pool_size": [2, 3], "strides": None, "padding": "valid"}


@pytest.mark.parametrize(
    "module",
    [
        *("keras", "keras.layers", "keras.src.layers.pooling.max_pooling2d"),
        *("keras.layers.pooling", "keras.api.layers", "tf_keras.src.layers"),
        *("tensorflow.keras.layers", "tensorflow.python.keras.layers.pooling"),
        *("keras.api._tf_keras.keras.layers", None),
    ],
)
def test_modules_of_keras(module, tmp_path):
    path = put(tmp_path, with_layer("MaxPooling2D", module, **POOL))
    assert numbers(path) == ([3, 2], [3, 2], [0, 0])


@pytest.mark.parametrize(
    "entry",
    [
        {"module": "mine.keras.layers"},
        {"module": "__main__"},
        {"registered_name": "Custom>MaxPooling2D"},
        {"module": None, "registered_name": "MaxPooling2D"},
    ],
)
def test_a_custom_class_may_be_named_like_one_of_keras(entry, tmp_path):
    config = with_layer("MaxPooling2D", **POOL)
    config["config"]["layers"][1].update(entry)
    refused(put(tmp_path, config), r"'conv' \(MaxPooling2D\).*custom.*pass the object")


@pytest.mark.parametrize("key", ["registered_name", "class_name"])
def test_a_name_that_is_no_text(key, tmp_path):
    config = with_layer("MaxPooling2D", "mine.layers", **POOL)
    config["config"]["layers"][1][key] = {"a": 1}
    refused(put(tmp_path, config), r"\w")


def test_a_name_of_an_input_that_is_no_text(tmp_path):
    config = with_layer("MaxPooling2D", **POOL)
    config["config"]["layers"][0]["config"]["name"] = 7
    refused(put(tmp_path, config), "the name of a layer is 7")


@pytest.mark.parametrize("ending", ["json", "keras", "h5"])
def test_a_registered_name_may_be_that_of_an_application(ending, tmp_path):
    """Both classes are registered as ``Custom>CustomScaleLayer``, one after the other.

    Keras loads what the file alone does not tell: all models of the user's class, and
    the model in .h5, which has only this name.
    """
    tf_keras = needed("tf_keras")
    known = tf_keras.saving.get_custom_objects()
    theirs = known["Custom>CustomScaleLayer"]

    class CustomScaleLayer(tf_keras.layers.Layer):
        def __init__(self, scale, **options):
            super().__init__(**options)
            self.scale = scale

        def call(self, inputs):
            return inputs[1][:, ::2]

        def get_config(self):
            return {**super().get_config(), "scale": self.scale}

    image = tf_keras.Input((None, None, 3))
    parts = [image, tf_keras.layers.Conv2D(3, 5, padding="same")(image)]
    model = tf_keras.Model(image, theirs(0.2)(parts))
    mine = tf_keras.saving.register_keras_serializable()(CustomScaleLayer)
    try:
        other = tf_keras.Model(image, mine(0.2)(parts))
        assert rf.compute_receptive_field(model).stride.tolist() == [1, 1]
        assert rf.compute_receptive_field(other).stride.tolist() == [1, 2]
        path = tmp_path / f"other.{ending}"
        save(other, path)
        if ending == "json":
            refused(path, "custom.*pass the object")
        else:
            assert rf.compute_receptive_field(path).stride.tolist() == [1, 2]
    finally:
        known["Custom>CustomScaleLayer"] = theirs
    path = tmp_path / f"model.{ending}"
    save(model, path)
    assert numbers(path) == ([5, 5], [1, 1], [2, 2])


def save(model, path):
    if path.suffix == ".json":
        path.write_text(model.to_json())
    else:
        model.save(path)


@pytest.mark.parametrize("data_format", [None, "channels_last"])
@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        {"class_name": "Policy", "config": {"name": "mixed_float16"}},
        {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}},
    ],
)
def test_formats_and_types(data_format, policy, tmp_path):
    options = {**POOL, "data_format": data_format, "dtype": policy, "name": "größe"}
    config = with_layer("MaxPooling2D", **options)
    assert numbers(put(tmp_path, config)) == ([3, 2], [3, 2], [0, 0])


def test_numbers_of_calls_of_real_models(tmp_path):
    """Each output of a nested model that is called twice, in all orders."""
    keras = needed("keras")
    image, inside = keras.Input((64, 64, 3)), keras.Input((None, None, 3))
    inner = keras.Model(inside, keras.layers.Conv2D(3, 5)(inside), name="inner")
    first = inner(image)
    second = inner(keras.layers.MaxPooling2D(2)(first))
    last = keras.layers.ReLU(name="last")(second)
    for outputs in ([first, last], [second, first], [last], [second]):
        model = keras.Model(image, outputs)
        for ending in ("keras", "h5"):
            path = tmp_path / f"model.{ending}"
            model.save(path)
            called = rf.compute_receptive_fields(path)
            assert called["inner"].size.tolist() == [5, 5]
            assert called["inner:2"].size.tolist() == [14, 14]
            if len(outputs) == 1:
                assert numbers(path) == ([14, 14], [2, 2], [0, 0])


def test_a_model_that_was_never_built(tmp_path):
    keras = needed("keras")
    path = tmp_path / "model.keras"
    keras.Sequential([keras.layers.Conv2D(2, 3)]).save(path)
    refused(path, r"unknown.*build\(shape\)")


# --- Functions of TensorFlow ---------------------------------------------------------


def conv(size=3, filters=2):
    return needed("tf_keras").layers.Conv2D(filters, size, padding="same")


def many(module, names):
    return lambda tf, x: [getattr(getattr(tf, module), n)(x) for n in names.split()]


FUNCTIONS = {
    "activations": many(
        "nn",
        "relu relu6 elu selu sigmoid softplus softsign tanh leaky_relu gelu silu "
        "softmax log_softmax crelu",
    ),
    "numbers": many(
        "math",
        "abs acos asin atan ceil cos cosh erf exp expm1 floor log log1p negative "
        "reciprocal round rsqrt sigmoid sign sin sinh softplus sqrt square tan tanh "
        "is_nan is_finite",
    ),
    "pairs": lambda tf, x: [
        *(x + 1, 1 - x, x / 3.0, x**2, x // 2.0, x % 2.0, -x, abs(x), x * conv(5)(x)),
        *(tf.maximum(x, 0.0), tf.minimum(x, conv()(x)), tf.add_n([x, conv()(x)])),
        tf.math.squared_difference(x, conv()(x)),
        tf.where(conv(3)(x) > 0, x, tf.zeros_like(x)),
        tf.logical_and(x > 0, x < 1),
        tf.clip_by_value(x, 0.0, 1.0),
        tf.cast(tf.cast(x, tf.int32), "float32"),
        tf.nn.bias_add(x, tf.ones([2])),
    ],
    "joined": lambda tf, x: [
        tf.concat([x, conv()(x)], -1),
        tf.concat(axis=1, values=[x, conv()(x)]),
        tf.reshape(tf.stack([x, conv()(x)], axis=2), (-1, tf.shape(x)[1], 24, 2)),
        *tf.unstack(x, axis=-1),
        *tf.split(x, 2, -1),
        *tf.split(x, [3, -1], axis=2),
    ],
    "shapes": lambda tf, x: [
        tf.reshape(x, [tf.shape(x)[0], tf.shape(x)[1] // 2, 2, tf.shape(x)[2], 2]),
        tf.transpose(x, [0, 2, 1, 3]),
        tf.squeeze(tf.expand_dims(x, axis=1), axis=[1]),
        tf.tile(x, [1, 2, 1, 1]),
        tf.broadcast_to(tf.reduce_mean(x, [1, 2], keepdims=True), tf.shape(x)),
        tf.nn.depth_to_space(conv(3, 8)(x), 2),
        tf.nn.space_to_depth(x, 2),
    ],
    "borders": lambda tf, x: [
        tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]]),
        tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]], "REFLECT"),
        tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]], constant_values=1),
        tf.slice(x, [0, 1, 2, 0], [-1, 5, 6, 2]),
        tf.gather(x, [0, 3], axis=1),
        tf.reverse(x, [1]),
        tf.roll(x, 1, 1),
        tf.image.flip_left_right(x),
        *(x[:, ::2, 1:-1], x[:, -1], x[:, None, 2:, :5:2, 0], x[..., 0], x[:, ::-1]),
        *(x[:, : tf.shape(x)[1] // 2], x[:, tf.shape(x)[1] - 3], x[:, -1:0:-2]),
    ],
    "sums": lambda tf, x: [
        *(tf.reduce_mean(x, -1), tf.reduce_sum(x, [1], keepdims=True)),
        *(tf.reduce_max(x, axis=-1), tf.reduce_mean(x), tf.argmax(x, -1)),
        *(tf.cumsum(x, 1), tf.math.reduce_std(x, -1), tf.math.l2_normalize(x, -1)),
        *(tf.nn.softmax(x, axis=1), tf.matmul(x, tf.ones([2, 3]))),
    ],
    "resized": lambda tf, x: [
        tf.image.resize(x, (tf.shape(x)[1] * 2, 17), method="nearest"),
        tf.image.resize(x, [48, 40]),
        tf.image.resize(x, [48, 40], "bicubic"),
        tf.image.resize(x, [8, 6], method="area"),
        tf.compat.v1.image.resize_bilinear(x, [48, 40], align_corners=True),
        tf.compat.v1.image.resize_nearest_neighbor(x, tf.shape(x)[1:3] * 2),
    ],
    "windows": lambda tf, x: [
        tf.nn.conv2d(x, tf.ones([3, 3, 2, 4]), 2, "SAME"),
        tf.nn.conv2d(x, tf.ones([3, 3, 2, 4]), [1, 2, 1, 1], "VALID"),
        tf.nn.conv2d(x, tf.ones([3, 3, 2, 4]), 1, "SAME", dilations=[2, 3]),
        tf.nn.conv2d(x, tf.ones([3, 3, 2, 4]), 1, [[0, 0], [1, 1], [2, 2], [0, 0]]),
        tf.nn.convolution(x, tf.ones([3, 3, 2, 4]), strides=2, padding="SAME"),
        tf.nn.depthwise_conv2d(x, tf.ones([3, 3, 2, 1]), [1, 2, 2, 1], "SAME"),
        tf.nn.max_pool2d(x, 3, 2, "SAME"),
        tf.nn.avg_pool2d(x, [3, 2], [2, 1], "VALID"),
        tf.nn.conv2d_transpose(
            x,
            tf.ones([3, 3, 4, 2]),
            tf.stack([tf.shape(x)[0], tf.shape(x)[1] * 2, tf.shape(x)[2] * 2, 4]),
            2,
            "SAME",
        ),
    ],
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions_against_traces(kind, tmp_path):
    """The config and the object give what the trace gives."""
    tf_keras = needed("tf_keras")
    image = tf_keras.Input((None, None, 2))
    outputs = FUNCTIONS[kind](needed("tensorflow"), conv()(image))
    model = tf_keras.Model(image, outputs)
    written = write(objects.called_model(model), "model")
    assert not {**written.opened, **written.traced}
    path = put(tmp_path, model.to_json())
    options = {"input_resolution": [16, 12]}
    traced = rf.compute_receptive_fields(tensorflow.model_of(model), **options)
    wanted = {name: said(field) for name, field in traced.items()}
    for thing in (path, model):
        found = rf.compute_receptive_fields(thing, **options)
        assert {name: said(field) for name, field in found.items()} == wanted


def test_convolutions_of_volumes(tmp_path):
    """`tf.nn.convolution` takes images with two spatial axes, or with three."""
    tf, tf_keras = needed("tensorflow"), needed("tf_keras")
    volume = tf_keras.Input((9, 8, 7, 2))
    kernel = tf.ones([3, 2, 1, 2, 4])
    outputs = [
        tf.nn.convolution(volume, kernel, strides=[1, 2, 3], padding="SAME"),
        tf.nn.convolution(volume, kernel, dilations=[2, 3, 1]),
        tf.nn.conv3d(volume, kernel, [1, 2, 1, 1, 1], "VALID"),
    ]
    model = tf_keras.Model(volume, outputs)
    path = put(tmp_path, model.to_json())
    traced = tensorflow.model_of(model)
    assert all_said(path) == all_said(model) == all_said(traced)
    # The last axis comes first: it has no dilation, and the first a kernel of 3.
    field = rf.compute_receptive_field(path, output=model.output_names[1])
    assert field.size.tolist() == [1, 4, 5]


def test_functions_without_a_rule_are_named(tmp_path):
    tf, tf_keras = needed("tensorflow"), needed("tf_keras")
    image = tf_keras.Input((12, 12, 2))
    model = tf_keras.Model(image, tf.image.resize(image, [4, 4], "lanczos3"))
    refused(put(tmp_path, model.to_json()), r"'tf.image.resize.*lanczos3")
    model = tf_keras.Model(image, tf.image.rgb_to_hsv(conv(1, 3)(image)))
    refused(put(tmp_path, model.to_json()), r"tf\.image\.rgb_to_hsv has no rule")
    model = tf_keras.Model(image, tf.image.resize(image, [4, 4], antialias=True))
    refused(put(tmp_path, model.to_json()), r"'tf.image.resize.*antialias")
    pads = [[0, 0], [1, 1], [1, 1], [0, 0]]
    model = tf_keras.Model(image, tf.nn.max_pool2d(image, 3, 2, pads))
    refused(put(tmp_path, model.to_json()), r"'tf.nn.max_pool2d.*another image")
    frames = tf_keras.Input((2, 12, 12, 2))
    kernel = tf.ones([3, 3, 2, 2])
    model = tf_keras.Model(frames, tf.nn.conv2d(frames, kernel, 1, "SAME"))
    refused(put(tmp_path, model.to_json()), "an image with 5 axes")


# --- Files of Keras 2 and 3 ----------------------------------------------------------


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_files_with_a_layer_without_a_rule_are_loaded(package, ending, tmp_path):
    """By the version of Keras that wrote them."""
    keras = needed(package)
    steps = keras.Input((12, 3))
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")
    model = keras.Model(steps, attention(steps, steps))
    path = tmp_path / f"model.{ending}"
    model.save(path)
    assert rf.compute_receptive_field(path).is_global


LAYOUTS = {"classic": {}, "latest": {"libver": "latest"}}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["bytes", "text", "fixed"])
def test_hdf5(layout, kind, tmp_path):
    """The config of the root group counts, not that of another group."""
    h5py, np = needed("h5py"), needed("numpy")
    path = tmp_path / "model.h5"
    text = json.dumps(with_layer("MaxPooling2D", **POOL)).encode()
    other = json.dumps(with_layer("MaxPooling2D", **POOL | {"pool_size": [7, 7]}))
    value = {"bytes": text, "text": text.decode(), "fixed": np.bytes_(text)}[kind]
    with h5py.File(path, "w", **LAYOUTS[layout]) as file:
        file.create_group("other").attrs["model_config"] = other
        file.attrs["model_config"] = other
        file.attrs["number"] = 7
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = value
    with open(path, "rb") as file:
        if layout == "classic":
            texts = texts_in(file, 1 << 20)
            assert texts["model_config"].rstrip(b"\0") == text
            assert texts["backend"] == b"tensorflow"
            assert texts["number"] == b""
        else:
            with pytest.raises(OtherLayoutError):
                texts_in(file, 1 << 20)
    assert numbers(path) == ([3, 2], [3, 2], [0, 0])


def test_a_damaged_hdf5_file_is_never_misread(tmp_path):
    """It gives the right text, none, or the error that it is damaged."""
    h5py = needed("h5py")
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "x" * 500
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        for change in (
            content[:place],
            content[:place] + b"\xff" + content[place + 1 :],
        ):
            path.write_bytes(change)
            with open(path, "rb") as file:
                try:
                    texts = texts_in(file, 1 << 20)
                except OtherLayoutError:
                    continue
            assert all(len(text) < 1000 for text in texts.values())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_heap_without_end_is_damaged(layout, tmp_path):
    """The HDF5 library would never return: the object takes no bytes."""
    path = tmp_path / "model.h5"
    with needed("h5py").File(path, "w", **LAYOUTS[layout]) as file:
        file.attrs["model_config"] = "x" * 500
    content = bytearray(path.read_bytes())
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)
    path.write_bytes(content)
    refused(path, "damaged or cut off .*has no end")


def test_compressed_weights_have_no_heap_without_end(tmp_path, monkeypatch):
    """Keras unpacks them for h5py. Here, it is not even asked."""
    from receptive_field.frameworks.keras import loading

    keras = needed("keras")
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.RandomCrop(8, 8)(image))
    path, weights = tmp_path / "model.keras", tmp_path / "weights.h5"
    with needed("h5py").File(weights, "w") as file:
        file.attrs["name"] = "x" * 500
    content = bytearray(weights.read_bytes())
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", model.to_json())
        archive.writestr("model.weights.h5", content)
    monkeypatch.setattr(loading, "_numbers", lambda *_: pytest.fail("was loaded"))
    refused(path, "has no end")


@pytest.mark.parametrize("kind", ["large", "elsewhere"])
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_weights_that_are_not_in_the_file_are_not_loaded(
    kind, ending, tmp_path, monkeypatch
):
    """An array without content may have any shape, and a link any target."""
    from receptive_field.frameworks.keras import loading

    h5py = needed("h5py")
    config = json.dumps(with_layer("RandomCrop", height=8, width=8))
    weights = path = tmp_path / "model.h5"
    with h5py.File(weights, "w") as file:
        file.attrs["model_config"] = config
        group = file.create_group("model_weights")
        group["again"] = file  # A circle.
        if kind == "large":
            group.create_dataset("kernel", (10**10,), "float32", chunks=(10**6,))
        else:
            group["kernel"] = h5py.ExternalLink("other.h5", "/kernel")
    if ending == "keras":
        path = tmp_path / "model.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", config)
            archive.write(weights, "model.weights.h5")
    monkeypatch.setattr(loading, "_numbers", lambda *_: pytest.fail("was loaded"))
    refused(path, "do not fit in the file" if kind == "large" else "in another file")


@pytest.mark.parametrize("written", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_that_were_packed_again_are_loaded(written, tmp_path):
    keras = needed("keras")
    image = keras.Input((8, 8, 3))
    crop = keras.layers.RandomCrop(8, 8)(image)
    model = keras.Model(image, keras.layers.Conv2D(1, 3)(crop))
    first, path = tmp_path / "first.keras", tmp_path / "model.keras"
    model.save(first)
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(path, "w", written) as two:
        for name in one.namelist():
            two.writestr(name, one.read(name))
    assert rf.compute_receptive_field(path).size.tolist() == [3, 3]


# --- Files that hold no model --------------------------------------------------------

CONTENTS = {
    "photo.h5": (b"\xff\xd8\xff\xe0", "JPEG"),
    "page.keras": (b"<!DOCTYPE html>", "web page"),
    "pointer.h5": (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    "empty.keras": (b"", "is empty"),
    "junk.h5": (b"\xfe\xfe\xfe\xfe", "neither a zip archive, nor HDF5, nor JSON"),
    "cut.keras": (b"PK\x03\x04 nothing", "damaged or cut off"),
    "cut.h5": (b"\x89HDF\r\n\x1a\n nothing", "damaged or cut off"),
    "list.json": (b'{"a": [1]}', "not that of a Keras model"),
    "numbers.json": (b"[1, 2]", "not that of a Keras model"),
    "cut.json": (b'{"class_name": "Functional"', "no JSON"),
    "layers.json": (b'{"class_name": "A", "layers": []}', "not that of a Keras model"),
    "deep.json": (b'{"a":' * 100_000, "no JSON"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_files_that_are_no_model(name, tmp_path):
    content, match = CONTENTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, match)


def test_missing_files_and_folders(tmp_path):
    refused(tmp_path / "missing.h5", "No such file")
    refused(tmp_path, "contains no SavedModel")


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_weights_without_a_model(package, tmp_path):
    keras = needed(package)
    model = keras.Sequential([keras.layers.Input((9, 9, 3)), keras.layers.Conv2D(2, 3)])
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    refused(path, r"only the weights.*model\.save\(\)")


def test_an_archive_is_not_unpacked_without_end(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (80 << 20))
    refused(path, "unpacking .* steps that an answer may take")


def test_an_archive_with_a_name_that_is_no_text(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("\u00e9", "")
    path.write_bytes(path.read_bytes().replace(b"\xc3\xa9", b"\xc3\xff"))
    refused(path, "damaged or cut off")


# --- Files that would run code -------------------------------------------------------


def entry(model, /, **changes):
    """The model, with a change of the layer of `with_layer`."""
    found = copy.deepcopy(model)
    found["config"]["layers"][1].update(changes)
    return found


HARMLESS = with_layer("MultiHeadAttention", num_heads=1, key_dim=1)
RUN = {"class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None}}


def inside(**options):
    return entry(HARMLESS, config={"name": "conv", "trainable": True, **options})


HOSTILE = {
    "lambda": entry(HARMLESS, class_name="Lambda", config={"name": "conv"} | RUN),
    "lambda in an option": inside(kernel_initializer=RUN),
    "function": inside(
        activation={
            "class_name": "function",
            "module": "keras.models",
            "config": "load_model",
        }
    ),
    "utility": inside(
        kernel_initializer={
            "class_name": "get_file",
            "module": "keras.utils",
            "config": {"origin": "file:///etc/hostname"},
        }
    ),
    "setting": entry(
        HARMLESS, class_name="enable_unsafe_deserialization", module="keras.config"
    ),
    "system": entry(
        HARMLESS, class_name="system", module="os", config={"name": "conv"}
    ),
    "saved model": entry(HARMLESS, class_name="TFSMLayer", config={"name": "conv"}),
    "pickle": entry(HARMLESS, class_name="TorchModuleWrapper", config={"name": "conv"}),
    "builtin": entry(HARMLESS, class_name="__marshal__", config={"name": "conv"}),
    "TensorFlow": entry(
        HARMLESS,
        class_name="TFOpLambda",
        config={"name": "conv", "function": "io.write_file"},
        inbound_nodes=[["image", 0, 0, {"contents": "x"}]],
    ),
    "node": entry(
        HARMLESS,
        class_name="TensorFlowOpLayer",
        config={"name": "conv", "node_def": {"name": "x", "op": "WriteFile"}},
        inbound_nodes=[["image", 0, 0, {}]],
    ),
    "method": entry(
        HARMLESS,
        class_name="ClassMethod",
        config={"name": "conv", "cls_symbol": "io", "method_name": "write_file"},
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("ending", ["json", "keras", "h5"])
def test_hostile_configs_are_never_loaded(kind, ending, tmp_path, monkeypatch):
    """Keras is not even asked."""
    from receptive_field.frameworks.keras import loading

    monkeypatch.setattr(loading, "imported", lambda _: pytest.fail("was loaded"))
    text = json.dumps(HOSTILE[kind])
    path = tmp_path / f"model.{ending}"
    if ending == "keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
    elif ending == "h5":
        with needed("h5py").File(path, "w") as file:
            file.attrs["model_config"] = text
    else:
        path.write_text(text)
    refused(path, r"It is not loaded, because 'conv' \(.*pass the object")


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_code_in_a_file_is_not_run(package, ending, tmp_path):
    """A real Lambda that creates a file, in a model that only Keras could load."""
    keras, mark = needed(package), os.fspath(tmp_path / "mark")
    image = keras.Input((8, 8, 3))
    layer = keras.layers.Lambda(lambda x, m=mark: (open(m, "w").close(), x)[1])
    model = keras.Model(image, keras.layers.UnitNormalization()(layer(image)))
    path = tmp_path / f"model.{ending}"
    model.save(path)
    os.remove(mark)
    refused(path, "holds code, which is never run")
    with pytest.raises(rf.ReceptiveFieldError, match="holds code"):
        rf.measure_receptive_field(path, input_resolution=[8, 8])
    assert not os.path.exists(mark)


def test_a_model_that_can_be_read_is_not_loaded_if_it_holds_code(tmp_path):
    """Experiments run the model itself, so Keras would load it."""
    config = with_layer("MaxPooling2D", **POOL, kernel_initializer=RUN)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    assert numbers(path) == ([3, 2], [3, 2], [0, 0])
    with pytest.raises(rf.ReceptiveFieldError, match=r"not loaded.*holds code"):
        rf.measure_receptive_field(path, input_resolution=[8, 8])


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_models_of_a_users_class(package, ending, tmp_path):
    keras = needed(package)

    class Mine(keras.Model):
        def call(self, x, training=None, mask=None):
            return super().call(x[:, ::2])

    image = keras.Input((20, 20, 3))
    path = tmp_path / f"model.{ending}"
    Mine(image, keras.layers.Conv2D(2, 3)(image)).save(path)
    refused(path, r"custom class '(\w+\.)*Mine'.*pass the object")


# --- Configs that make no model ------------------------------------------------------


CONV = {"filters": 3, "kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}

OPTIONS = [
    {"kernel_size": [10**12, 3]},
    {"kernel_size": [-3, 3]},
    {"kernel_size": "3"},
    {"kernel_size": [float("nan"), 3]},
    {"kernel_size": [[[[3]]], 3]},
    {"kernel_size": [True, 3]},
    {"kernel_size": None},
    {"kernel_size": {"a": 1}},
    {"strides": [0, 1]},
    {"strides": [1.5, 1]},
    {"strides": [10**9, 1]},
    {"dilation_rate": [10**9, 1]},
    {"filters": -1},
    {"filters": 10**15},
    {"padding": "full"},
    {"data_format": "channels_sideways"},
    {"data_format": 5},
]


def test_statistics_of_several_axes(tmp_path):
    """Keras 2 may normalise with a number for each row and channel."""
    config = with_layer("BatchNormalization", None, axis=[1, 3])
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 9, None, 3]
    assert numbers(put(tmp_path, config)) == ([1, 1], [1, 1], [0, 0])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_that_no_layer_can_have(options, tmp_path):
    config = with_layer("Conv2D", **CONV | options)
    (name,) = options
    refused(put(tmp_path, config), rf"'conv' \(Conv2D\).*{name} is .*no layer can have")


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("AdaptiveAveragePooling2D", {"output_size": [0, 2]}, "output_size is"),
        ("BatchNormalization", {"axis": 7}, "axis is 7, and its input has 4 axes"),
        ("Conv2D", CONV | {"groups": 0}, "unknown form"),
        ("Conv2D", CONV | {"groups": 2}, "2 groups of 3 channels and 3 filters"),
        ("Conv3D", CONV | {"kernel_size": [3, 3, 3]}, "it reads 5 axes"),
        ("Discretization", {}, "bins that are not in its config"),
        ("EinsumDense", {"equation": "a.b,bc->ac"}, "the equation 'a.b,bc->ac'"),
        ("MelSpectrogram", {"fft_length": 8}, "a single signal"),
        ("Normalization", {"axis": [1]}, "statistics of the shape"),
        ("UpSampling2D", {"interpolation": "cubic"}, "the interpolation 'cubic'"),
        ("LayerNormalization", {"axis": [-5]}, "axis is .*4 axes"),
        ("MaxPooling1D", {"pool_size": 2}, "it reads 3 axes, and its input has 4"),
        ("Reshape", {"target_shape": [-1, -1]}, "-1 more than once"),
    ],
)
def test_options_that_do_not_fit_the_input(kind, options, reason, tmp_path):
    refused(put(tmp_path, with_layer(kind, **options)), rf"\({kind}\).*{reason}")


def test_the_reason_is_told_if_keras_cannot_load_a_file_either(tmp_path):
    needed("keras")
    config = with_layer("Conv2D", **CONV | {"kernel_size": [-3, 3]})
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    refused(path, r"kernel_size is \[-3, 3\], .* Keras cannot load it, either: \w+")


def test_an_image_that_is_too_small_for_its_crop(tmp_path):
    """Keras resizes it, but makes no such graph if the size is open."""
    config = with_layer("CenterCrop", height=6, width=5)
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, None, None, 3]
    path = put(tmp_path, config)
    field = rf.compute_receptive_field(path, input_resolution=[9, 11])
    assert field.padding.tolist() == [-3, -1]  # half of 11 - 5, and of 9 - 6
    assert [axis.size for axis in field.feature_axes] == [5, 6]
    with pytest.raises(rf.ReceptiveFieldError, match="takes 6 positions from -1 on"):
        rf.compute_receptive_field(path, input_resolution=[5, 11])


def tensor(*history):
    found = {"class_name": "__keras_tensor__", "config": {"keras_history": history}}
    return {"args": [found], "kwargs": {}}


NODES = {
    "nowhere": [tensor("nothing", 0, 0)],
    "itself": [tensor("conv", 0, 0)],
    "number": [tensor("image", 0, 10**12)],
    "negative": [tensor("image", 0, -1)],
    "fraction": [tensor("image", 0.5, 0)],
    "text": [tensor("image", "0", 0)],
    "none": None,
    "names": ["image"],
    "nothing": [],
    "without arguments": [{}],
    "deep": [{"args": [json.loads("[" * 300 + "]" * 300)], "kwargs": {}}],
    "many": [tensor("image", 0, 0)] * 30_000,
    "call": [[["image", 5, 0]]],
    "short": [[["image", 0]]],
    "constant": [[["_CONSTANT_VALUE", -1, 5, {}]]],
}


@pytest.mark.parametrize("kind", NODES)
def test_calls_that_make_no_model(kind, tmp_path):
    config = entry(with_layer("Conv2D", **CONV), inbound_nodes=NODES[kind])
    what = (
        "is not read: it calls layers more than" if kind == "many" else "cannot be read"
    )
    refused(put(tmp_path, config), what)


@pytest.mark.parametrize("layers", [None, 5, "x", {"a": 1}, [None], ["a"], [[]]])
def test_layers_that_are_none(layers, tmp_path):
    config = with_layer("Conv2D", **CONV)
    config["config"]["layers"] = layers
    refused(put(tmp_path, config), "cannot be read: .*layers of the model")
    del config["config"]["input_layers"]
    sequence = {**config, "class_name": "Sequential", "module": "keras"}
    refused(put(tmp_path, sequence), "cannot be read: .*layers of the model")


CIRCLES = {
    "nothing": (1, "'conv0' reads is not in the model"),
    "conv0": (1, "'conv0' reads its own output"),
    "conv2": (3, "'conv0', 'conv2', 'conv1' read each other in a circle"),
    "conv8": (9, "'conv0', 'conv8', 'conv7', 'conv6' and 5 more read each other"),
}


@pytest.mark.parametrize("first", CIRCLES)
def test_layers_that_have_no_order(first, tmp_path):
    """A chain of layers, whose first one reads what never comes."""
    count, match = CIRCLES[first]
    config = with_layer("Conv2D", **CONV)
    inner, names = config["config"], [f"conv{n}" for n in range(count)]
    image, conv = inner["layers"]
    chain = [
        {**conv, "name": name, "inbound_nodes": [tensor(below, 0, 0)]}
        for name, below in zip(names, [first, *names], strict=False)
    ]
    inner["layers"] = [image, *chain]
    inner["output_layers"] = [[names[-1], 0, 0]]
    refused(put(tmp_path, config), match)


def test_keyword_arguments_that_are_a_tensor(tmp_path):
    """Keras 2 would wait for a layer that waits for this one."""
    config = json.loads((DATA / "functions_2.15.json").read_text())
    by_name = {layer["name"]: layer for layer in config["config"]["layers"]}
    by_name["sizes"]["inbound_nodes"][0][3] = ["sum", 0, 0]
    refused(put(tmp_path, config), "are no keyword arguments")


def test_a_layer_of_an_op_that_reads_nothing(tmp_path):
    config = json.loads((DATA / "op_layers_2.2.json").read_text())
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "TensorFlowOpLayer":
            layer["inbound_nodes"] = [[[]]]
    refused(put(tmp_path, config), "no tensors")


PARTS = {
    "unknown input": {"input_layers": [["nothing", 0, 0]]},
    "no input": {"input_layers": []},
    "unknown output": {"output_layers": [["nothing", 0, 0]]},
    "no output": {"output_layers": []},
    "unknown call": {"output_layers": [["conv", 77, 0]]},
    "number": {"layers": 5},
    "numbers": {"layers": [5]},
    "empty": {"layers": []},
    "names": {"layers": {"a": 1}},
    "one name": {"layers": with_layer("Conv2D", **CONV)["config"]["layers"] * 2},
}


@pytest.mark.parametrize("kind", PARTS)
def test_parts_that_make_no_model(kind, tmp_path):
    config = with_layer("Conv2D", **CONV)
    config["config"].update(PARTS[kind])
    refused(put(tmp_path, config), "cannot be read")


@pytest.mark.parametrize("shape", [[None, -5, 9, 3], "abc", [None, 1.5, 9, 3], None])
def test_shapes_that_no_input_can_have(shape, tmp_path):
    config = with_layer("Conv2D", **CONV)
    config["config"]["layers"][0]["config"]["batch_shape"] = shape
    refused(put(tmp_path, config), "the shape of an input is")


def test_models_that_call_models_without_end(tmp_path):
    """Each of 20 models calls the next one 10 times."""
    config = with_layer("Conv2D", **CONV)
    image = copy.deepcopy(config["config"]["layers"][0])
    for _ in range(20):
        calls = [tensor("image", 0, 0)] * 10
        inner = {**config, "name": "inner", "inbound_nodes": calls}
        config = copy.copy(config)
        config["config"] = {
            "name": "inner",
            "layers": [image, inner],
            "input_layers": ["image", 0, 0],
            "output_layers": ["inner", 10, 0],
        }
    refused(put(tmp_path, config), "more than 20000 times.* pass the object")
    video = with_layer("TimeDistributed", layer={**config, "class_name": "Model"})
    video["config"]["layers"][0]["config"]["batch_shape"] = [None, 4, 32, 32, 3]
    refused(put(tmp_path, video), "writing the calls of layers, one by one, needs")


def test_models_deep_in_models(tmp_path):
    """Each is read once, although its input is that of the model inside."""
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "s",
            "layers": with_layer("Conv2D", **CONV)["config"]["layers"],
        },
    }
    for number in range(60):
        config = {
            "class_name": "Sequential",
            "config": {"name": f"s{number}", "layers": [config]},
        }
    assert numbers(put(tmp_path, config)) == ([3, 3], [1, 1], [1, 1])


def test_nothing_of_keras_is_imported_for_a_broken_file(tmp_path):
    path = put(tmp_path, with_layer("Conv2D", kernel_size=[-1, 3]), "model.json")
    code = (
        "import sys, receptive_field as rf\n"
        f"try: rf.compute_receptive_field({path!r})\n"
        "except rf.ReceptiveFieldError: pass\n"
        "print([m for m in ('tensorflow', 'keras', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_common_layers_need_neither_arrays_nor_protobuf(tmp_path):
    """What is padded is cropped off again, so only the kernel counts."""

    def layer(kind, name, *reads, **options):
        node = [[read, 0, 0, {}] for read in reads]
        config = {"name": name, **options}
        return {
            "class_name": kind,
            "name": name,
            "config": config,
            "inbound_nodes": [node] if reads else [],
        }

    layers = [
        layer("InputLayer", "image", batch_input_shape=[None, 9, 9, 3]),
        layer("ZeroPadding2D", "padded", "image", padding=[[1, 2], [1, 2]]),
        layer("BatchNormalization", "normal", "padded", axis=3, epsilon=0.001),
        layer("Cropping2D", "cropped", "normal", cropping=[[1, 2], [1, 2]]),
        layer("Concatenate", "joined", "cropped", "image", axis=-1),
        layer("Conv2D", "conv", "joined", **CONV),
    ]
    config = {
        "name": "net",
        "layers": layers,
        "input_layers": [["image", 0, 0]],
        "output_layers": [["conv", 0, 0]],
    }
    path = put(tmp_path, {"class_name": "Functional", "config": config})
    code = (
        "import sys; from receptive_field.cli import main; "
        f"main(['compute', {path!r}]); "
        "print([m for m in ('numpy', 'google.protobuf') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert re.search(r"receptive field +3 x 3\n", done.stdout)
    assert done.stdout.endswith("\n[]\n")


def test_weights_that_are_only_counted_are_never_made(tmp_path, monkeypatch):
    """Keras makes weights that wait for it as soon as it leaves a stateless scope."""
    keras = needed("keras")
    image = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(keras.layers.RandomCrop(8, 8)(image))
    config = json.loads(keras.Model(image, keras.layers.Dense(3)(x)).to_json())
    config["config"]["layers"][-1]["config"]["units"] = 3_000_000
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    made = []
    kernels = keras.initializers.GlorotUniform
    monkeypatch.setattr(kernels, "__call__", lambda *_, **__: made.append("kernel"))
    refused(path, "beyond the weights that fit in the file")
    with keras.StatelessScope():
        pass
    assert made == []
