"""Names that are not complete: parts, ends, scopes and patterns, in any case."""

import pytest
from needed import needed

import receptive_field as rf
from receptive_field.cli import main

keras = needed("keras")

LAYER = "InceptionResnetV2/Repeat/block35_1"


def output(model, name):
    return rf.compute_receptive_field(model, output=name).output


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MaxPool_3a_3x3/MaxPool", "InceptionResnetV2/MaxPool_3a_3x3/MaxPool"),
        ("maxpool_3a_3X3/maxpool", "InceptionResnetV2/MaxPool_3a_3x3/MaxPool"),
        ("MaxPool_3a", "InceptionResnetV2/MaxPool_3a_3x3/MaxPool"),
        ("*_5b*concat", "InceptionResnetV2/Mixed_5b/concat"),
        ("Mixed_5b", "InceptionResnetV2/Mixed_5b/concat"),
        ("inceptionresnetv2/mixed_5b", "InceptionResnetV2/Mixed_5b/concat"),
        (f"{LAYER}/", f"{LAYER}/Relu"),
        ("block35_1", f"{LAYER}/Relu"),
        ("Mixed_5b/concat:0", "InceptionResnetV2/Mixed_5b/concat"),
    ],
)
def test_a_part_that_one_name_has_means_it(name, meant):
    assert output(rf.EXAMPLE_GRAPH, name) == meant
    fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH, outputs=[name])
    assert list(fields) == [meant]


@pytest.mark.parametrize(
    "name",
    ["Mixed_5b", "mixed_5b", "MIXED_5B/CONCAT", "Mixed_5b/concat", "*_5b*concat"],
)
def test_results_are_looked_up_by_the_names_of_questions(name):
    fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
    assert fields[name].output == "InceptionResnetV2/Mixed_5b/concat"
    assert name not in fields
    with pytest.raises(KeyError, match="243 names match 'relu'"):
        fields["relu"]
    with pytest.raises(KeyError, match="no 'input_image' among the"):
        fields["input_image"]
    costs = rf.compute_costs(rf.EXAMPLE_GRAPH, input_resolution=[299, 299])
    layer = "InceptionResnetV2/Conv2d_7b_1x1"
    assert costs["conv2D_7B_1x1/conv2d"] == costs[f"{layer}/Conv2D"]
    # A scope has no cost of its own, and that of its output would be too small.
    with pytest.raises(KeyError, match=f"2 names match .*: {layer}/Conv2D, "):
        costs["Conv2d_7b_1x1"]
    with pytest.raises(KeyError, match=f"Did you mean '{layer}/Conv2D'"):
        costs["CONV2D_7B_1X1/CONV2S"]
    pairs = rf.compute_all_pairs(rf.EXAMPLE_GRAPH)
    ((output, image),) = pairs
    assert pairs["conv2d_7b_1x1/relu", "IMAGE"] == pairs[output, image]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Relu", r"243 names match 'Relu': InceptionResnetV2/Conv2d_1a_3x3/Relu, "),
        ("Conv2d_1a_3x3", "6 names match .* and 1 more. Give the full name"),
        ("*Mixd_5b/*", "Did you mean"),
        ("Mixd_5b", "no node 'Mixd_5b'. Did you mean 'InceptionResnetV2/Mixed_5b'"),
        ("InceptionResnetV2/Repeat/block34_1", "Did you mean .*block35_1'"),
    ],
)
def test_other_parts_are_refused_with_what_there_is(name, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        output(rf.EXAMPLE_GRAPH, name)


@pytest.fixture(scope="module")
def model():
    layers = keras.layers
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(4, 3, name="Stem")(image)
    x = layers.BatchNormalization(name="stem_bn")(x)
    inside = keras.Input((30, 30, 4))
    pooled = layers.MaxPooling2D(name="pool")(inside)
    x = keras.Model(inside, pooled, name="block")(x)
    return keras.Model(image, layers.Conv2D(4, 1, name="head", activation="relu")(x))


def test_layers_come_before_nodes(model):
    assert output(model, "stem") == "Stem"
    assert output(model, "BN") == "stem_bn"
    assert output(model, "p?ol") == "pool"
    assert output(model, "stem/conv*") == "Stem/Conv2D"
    field = rf.compute_receptive_field(model, output="head", input="STEM")
    assert (field.input, field.size.tolist()) == ("Stem", [2, 2])
    with pytest.raises(rf.ReceptiveFieldError, match=r"no layer 'blok'. .*'block'"):
        output(model, "blok")


def test_the_op_of_a_layer_is_its_class(model):
    ops = {
        name: field.origin.op
        for name, field in rf.compute_receptive_fields(model).items()
    }
    assert ops == {layer.name: type(layer).__name__ for layer in model.layers[1:]} | {
        "pool": "MaxPooling2D"
    }
    traced = rf.compute_receptive_fields(model, trace=True)
    assert {name: field.origin.op for name, field in traced.items()} == ops
    field = rf.compute_receptive_field(model, output="Stem/Conv2D")
    assert field.origin.op == "Conv2D"


def test_scopes_with_several_outputs_list_them(tmp_path):
    tf = needed("tensorflow").compat.v1
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, (1, 16, 16, 3), "image")
        with tf.name_scope("split"):
            left = tf.nn.max_pool2d(image, 2, 2, "VALID", name="left")
            right = tf.nn.relu(image, name="right")
        tf.nn.relu(left, name="a")
        tf.nn.relu(right, name="b")
    with pytest.raises(
        rf.ReceptiveFieldError,
        match="2 outputs of the scope 'split': split/left, split/rig",
    ):
        output(graph, "split")


def test_neither_weights_nor_gradients_are_outputs_of_a_scope():
    tf = needed("tensorflow").compat.v1

    def conv(below, name, size):
        with tf.variable_scope(name):
            weights = tf.get_variable("weights", [size, size, 1, 1])
            biases = tf.get_variable("biases", [1])
            x = tf.nn.conv2d(below, weights, padding="VALID")
            return tf.nn.relu(tf.nn.bias_add(x, biases))

    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, [None, 32, 32, 1], "image")
        with tf.variable_scope("net"):
            first = conv(image, "conv1", 3)
            last = conv(first, "conv2", 5)
        tf.train.AdamOptimizer(0.1).minimize(tf.reduce_mean(last))
    for name in ("net/conv1", "conv1", "CONV1/", "*conv1/r*"):
        assert output(graph, name) == "net/conv1/Relu"
    assert output(graph, "net") == "net/conv2/Relu"
    with pytest.raises(rf.ReceptiveFieldError, match=r"^3 names match .*conv1/Relu\."):
        output(graph, "conv1/*")
    with pytest.raises(rf.ReceptiveFieldError, match="mean 'net/conv2' or 'net/conv1'"):
        output(graph, "con")
    # Those who name a weight in full still mean it.
    with pytest.raises(rf.ReceptiveFieldError, match="of 'net/conv1/weights'"):
        output(graph, "net/conv1/weights")


def several_layers(keras):
    """A model with a layer that is called twice, an inner model and several rows."""
    layers = keras.layers
    image = keras.Input((64, 64, 3), name="image")
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    x = shared(shared(image))
    inside = keras.Input((64, 64, 3))
    y = layers.Conv2D(4, 3, name="in_conv")(inside)
    y = layers.MaxPooling2D(name="pool_1")(y)
    x = keras.Model(inside, y, name="block")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Activation("relu", name="act")(x)
    x = layers.Add(name="plus")([x, layers.DepthwiseConv2D(1, name="side")(x)])
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return keras.Model(image, layers.Dense(5, name="fc")(x), name="whole")


@pytest.mark.slow
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_saved_model_has_the_layers_of_its_keras_model(package, tmp_path):
    model = several_layers(needed(package))
    if package == "keras":
        model.export(tmp_path, verbose=False)
    else:
        model.save(tmp_path)
    saved = rf.compute_receptive_fields(str(tmp_path))
    fields = rf.compute_receptive_fields(model)
    assert saved.keys() == fields.keys() - {"shared", "shared:2"}
    for name, field in saved.items():
        assert list(field) == list(fields[name])
    ops = {name: field.origin.op for name, field in saved.items()}
    assert (
        ops.items()
        >= {
            **{
                "in_conv": "Conv2D",
                "pool_1": "MaxPool",
                "act": "Relu",
                "plus": "AddV2",
            },
            **{"side": "DepthwiseConv2dNative", "gap": "Mean", "fc": "MatMul"},
            **({} if package == "tf_keras" else {"bn": "BatchNormalization"}),
        }.items()
    )
    assert output(str(tmp_path), "side") == "side"


@pytest.mark.slow
def test_the_nodes_of_a_saved_model_are_those_of_its_signature(tmp_path, capsys):
    layers = keras.layers
    image = keras.Input((32, 32, 1), name="image")
    x = layers.Conv2D(1, 3, dilation_rate=2, name="dilated")(image)
    model = keras.Model(image, layers.BatchNormalization(name="bn")(x))
    model.export(tmp_path, verbose=False)
    fields = rf.compute_receptive_fields(str(tmp_path))
    # A dilated convolution is computed by a plain one, between ops that move positions.
    ops = {name: field.origin.op for name, field in fields.items()}
    assert ops == {"dilated": "Conv2D", "bn": "BatchNormalization"}
    assert main(["nodes", str(tmp_path)]) == 0
    shown = capsys.readouterr().out.split()
    assert not {"SaveV2", "RestoreV2"}.intersection(shown)
    assert shown.count("Conv2D") == 1
    assert main(["nodes", str(tmp_path), "--op", "RestoreV2"]) == 0
    assert "RestoreV2" in capsys.readouterr().out
    assert output(str(tmp_path), "*/convolution").endswith("/convolution")


def called_again(keras):
    """Models whose layers are called again, or share a name, and what is left."""
    layers = keras.layers

    def image():
        return keras.Input((32, 32, 1))

    def conv(name, size=3):
        return layers.Conv2D(1, size, padding="same", name=name)

    def nested(name, *inner):
        x = start = image()
        for layer in inner:
            x = layer(x)
        return keras.Model(start, x, name=name)

    def pool():
        return layers.MaxPooling2D(3, 1, padding="same", name="pool")

    x, one = image(), pool()
    yield keras.Model(x, conv("end")(one(one(x)))), {"end"}
    for part in (conv("inner"), pool()):
        x, one = image(), nested("nested", part)
        yield keras.Model(x, conv("end")(one(one(x)))), {"end"}
    x, one, two = image(), conv("again"), conv("first", 5)
    late = one(two(x))
    yield keras.Model(x, layers.Add(name="sum")([one(x), late])), {"first", "sum"}
    x, left = image(), nested("left", conv("same"), pool())
    right = nested("right", conv("same", 5), pool())
    yield keras.Model(x, layers.Add(name="sum")([right(x), left(x)])), {"sum"}


@pytest.mark.slow
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_saved_model_leaves_out_layers_whose_calls_it_does_not_tell(
    package, tmp_path
):
    keras = needed(package)
    for number, (model, left) in enumerate(called_again(keras)):
        path = tmp_path / str(number)
        if package == "keras":
            model.export(path, verbose=False)
        else:
            model.save(path)
        saved = rf.compute_receptive_fields(str(path))
        fields = rf.compute_receptive_fields(model)
        named = {name for name in saved if "/" not in name and name in fields}
        assert named <= left
        for name in named:
            assert list(saved[name]) == list(fields[name])


def test_a_name_that_is_not_there_is_not_taken_for_a_longer_one():
    layers = keras.layers
    image = keras.Input((16, 16, 1), name="image_a")
    x = layers.MaxPooling2D(name="pool_1")(layers.Conv2D(1, 3, name="conv_1")(image))
    model = keras.Model(image, layers.ReLU(name="last")(x))
    for name in ("conv", "pool", "pool:2", "a", "imag", "st"):
        with pytest.raises(rf.ReceptiveFieldError):
            output(model, name)
    assert output(model, "LAST") == "last"
