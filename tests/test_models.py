"""Keras models, through every door, and by every name that a layer has."""

import numpy as np
import pytest
from needed import needed

import receptive_field as rf

pytestmark = pytest.mark.slow

keras = needed("keras")
tf_keras = needed("tf_keras")
tf = needed("tensorflow")
layers = keras.layers
constants = needed("tensorflow.python.framework.convert_to_constants")


@pytest.fixture(scope="module")
def model():
    """A small classifier with a branch, a gate, and layers that leave no node."""
    image = keras.Input((40, 36, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation("linear", name="nothing")(x)
    y = layers.DepthwiseConv2D(5, padding="same", name="deep")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(y)
    y = layers.Multiply(name="gated")([y, gate])
    x = layers.Add(name="sum")([x, y])
    x = layers.Conv2D(8, 3, name="last")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    scores = layers.Dense(5, name="scores")(layers.Flatten(name="flat")(x))
    return keras.Model(image, scores)


LAST = [15, 15, 2, 2, 4, 4]


def test_every_door_leads_to_one_answer(model, tmp_path):
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    model.export(tmp_path / "saved")
    spec = tf.TensorSpec((None, 40, 36, 3))
    concrete = tf.function(model).get_concrete_function(spec)
    frozen = constants.convert_variables_to_constants_v2(concrete).graph.as_graph_def()
    (tmp_path / "frozen.pb").write_bytes(frozen.SerializeToString())
    doors = [
        model,
        tmp_path / "frozen.pb",
        tmp_path / "model.keras",
        tmp_path / "model.h5",
        tmp_path / "saved",
        tmp_path / "saved" / "saved_model.pb",
        concrete,
    ]
    for door in doors:
        field = rf.compute_receptive_field(door)
        assert list(field.local) == LAST
        assert field.is_global
        assert field.aligned
        assert field.local.exact
        assert field.local.compute_input_region([3, 5]).tolist() == [[2, 16], [6, 20]]
        assert [axis.output_size for axis in field.local.axes] == [16, 18]


@pytest.mark.parametrize("door", ["object", "h5", "saved"])
def test_models_of_keras_2(door, tmp_path):
    """The same network in both Keras packages, with layers of the same names."""
    shape = (64, 48, 3)
    old = tf_keras.applications.MobileNet(shape, weights=None, include_top=False)
    new = keras.applications.MobileNet(shape, weights=None, include_top=False)
    expected = rf.compute_receptive_fields(new)
    if door == "object":
        fields = rf.compute_receptive_fields(old)
        assert not fields.errors
        assert list(fields) == list(expected)
        for name, field in fields.items():
            assert list(field) == list(expected[name])
            assert field.axes == expected[name].axes
        found = rf.compute_receptive_field(old, output=old.get_layer("conv_pw_5"))
        assert list(found) == list(expected["conv_pw_5"])
        return
    end = "conv_pw_3_relu"
    old = tf_keras.Model(old.input, old.get_layer(end).output)
    path = tmp_path / f"model.{door}"
    if door == "h5":
        old.save(path)
        found = rf.compute_receptive_field(tf_keras.models.load_model(path))
    else:
        tf.saved_model.save(old, path)
        found = rf.compute_receptive_field(path)
    assert list(found) == list(expected[end])


def test_a_keras_2_model_with_a_subclass():
    class Own(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = tf_keras.layers.Conv2D(2, 3, 2)

        def call(self, x):
            return self.conv(x)

    own = Own()
    own(np.zeros((1, 20, 20, 3), "float32"))
    assert list(rf.compute_receptive_field(own)) == [3, 3, 2, 2, 0, 0]


def through_attention(image):
    return layers.MultiHeadAttention(2, 4, attention_axes=(2,))(image, image)


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (through_attention, [np.inf, 1]),
        (
            lambda x: layers.Reshape((8, 8, 2))(layers.Dense(128)(layers.Flatten()(x))),
            2,
        ),
        (layers.UnitNormalization(axis=[1, 2]), 2),
    ],
)
def test_an_output_with_positions_is_never_passed_over(build, size):
    """Though every path to it sees a whole axis."""
    image = keras.Input((8, 8, 2))
    field = rf.compute_receptive_field(keras.Model(image, build(image)))
    assert field.size.tolist() == ([np.inf] * size if isinstance(size, int) else size)


def test_the_output_of_a_recurrent_layer():
    steps = keras.Input((6, 2))
    x = layers.MaxPooling1D(2)(steps)
    model = keras.Model(steps, layers.GRU(3, return_sequences=True, name="gru")(x))
    field = rf.compute_receptive_field(model)
    assert field.output == "gru"
    assert field.size.tolist() == [np.inf]  # As a bound: nothing mixes all steps.
    assert not field.is_global
    assert not field.exact


def test_the_default_output_is_the_last_feature_map(model):
    assert rf.compute_receptive_field(model).output == "dropout"
    scores = rf.compute_receptive_field(model, output="scores")
    assert scores.size.tolist() == [np.inf, np.inf]
    assert scores.local is None


def test_one_entry_for_each_layer_call(model):
    fields = rf.compute_receptive_fields(model)
    assert not fields.errors
    assert list(fields) == [layer.name for layer in model.layers[1:]]
    assert list(fields["nothing"]) == list(fields["stem"]) == [3, 3, 2, 2, 0, 0]
    assert list(fields["deep"]) == [11, 11, 2, 2, 4, 4]
    assert fields["deep"].global_nodes == ()
    (gate,) = fields["sum"].global_nodes
    assert "squeeze" in gate
    assert list(fields["sum"].local) == [11, 11, 2, 2, 4, 4]


def test_layers_are_named_by_object_name_or_tensor(model):
    layer = model.get_layer("deep")
    for name in ("deep", layer, layer.output):
        assert rf.compute_receptive_field(model, output=name).output == "deep"
        between = rf.compute_receptive_field(model, input="stem", output=name)
        assert list(between) == [5, 5, 1, 1, 2, 2]
    with pytest.raises(rf.ReceptiveFieldError, match="Did you mean 'deep'"):
        rf.compute_receptive_field(model, output="deeep")


def test_layers_that_are_called_twice_and_nested_models():
    shared = layers.Conv2D(3, 3, name="shared")
    inner = keras.Sequential([keras.Input((None, None, 3)), shared], name="inner")
    image = keras.Input((None, None, 3))
    model = keras.Model(image, inner(inner(image)))
    fields = rf.compute_receptive_fields(model)
    assert list(fields) == ["shared", "inner", "shared:2", "inner:2"]
    assert list(fields["shared:2"]) == [5, 5, 1, 1, 0, 0]
    with pytest.raises(rf.ReceptiveFieldError, match="is called 2 times"):
        rf.compute_receptive_field(model, output=shared)


def test_a_subclassed_model():
    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = layers.Conv2D(4, 5, name="layer")

        def call(self, x):
            return self.layer(x)

    model = Custom()
    with pytest.raises(rf.ReceptiveFieldError, match="input shape of the model"):
        rf.compute_receptive_field(model)
    model.build((None, 16, 16, 3))
    assert list(rf.compute_receptive_field(model)) == [5, 5, 1, 1, 0, 0]


def test_keras_layers_in_a_graph():
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, None, None, 3), "image")
        out = layers.Conv2D(4, 3, strides=2)(layers.Conv2D(4, 3)(image))
    field = rf.compute_receptive_field_from_graph_def(
        graph.as_graph_def(add_shapes=True), "image", out.op.name
    )
    assert list(field) == [5, 5, 2, 2, 0, 0]


def test_models_that_cannot_be_read(tmp_path):
    odd = keras.Sequential([keras.Input((8, 8, 3)), layers.Lambda(lambda x: x + 1)])
    odd.save(tmp_path / "odd.keras")
    with pytest.raises(rf.ReceptiveFieldError, match="never run from a file"):
        rf.compute_receptive_field(tmp_path / "odd.keras")
    (tmp_path / "bad.keras").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(rf.ReceptiveFieldError, match="damaged or cut off"):
        rf.compute_receptive_field(tmp_path / "bad.keras")


def test_saved_models_that_cannot_be_read(model, tmp_path):
    folder = tmp_path / "saved"
    model.export(folder)
    with pytest.raises(rf.ReceptiveFieldError, match="has no signature 'mine'"):
        rf.compute_receptive_field(folder, signature="mine")
    assert rf.compute_receptive_field(folder, signature="serving_default").is_global
    file = folder / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(rf.ReceptiveFieldError, match="is not a GraphDef"):
        rf.compute_receptive_field(folder)
    file.unlink()
    with pytest.raises(rf.ReceptiveFieldError, match="contains no SavedModel"):
        rf.compute_receptive_field(folder)


def test_several_inputs_must_be_told_apart():
    images = [keras.Input((8, 8, 3), name=name) for name in ("left", "right")]
    outputs = [layers.Conv2D(3, 3, name=f"conv_{i}")(x) for i, x in enumerate(images)]
    model = keras.Model(images, outputs)
    with pytest.raises(rf.ReceptiveFieldError, match="2 outputs"):
        rf.compute_receptive_field(model)
    with pytest.raises(
        rf.ReceptiveFieldError, match=r"2 inputs: 'left' \(8 x 8 x 3\), 'r"
    ):
        rf.compute_receptive_field(model, output="conv_0")
    field = rf.compute_receptive_field(model, input="left", output="conv_0")
    assert list(field) == [3, 3, 1, 1, 0, 0]


def test_a_model_that_tensorflow_cannot_run():
    image = keras.Input((8, 8, 3))
    around = [(0, 0), (1, 1), (1, 1), (0, 0)]
    model = keras.Model(image, keras.ops.pad(image, around, mode="edge"))
    with pytest.raises(rf.ReceptiveFieldError, match="fails on inputs of the shape"):
        rf.compute_receptive_field(model)
