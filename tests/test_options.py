"""What a caller may say beyond the graph: context, batch norm, rules of his own."""

import numpy as np
import pytest
from graphs import add, conv, graph_def, node, placeholder, variable
from needed import needed

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.frameworks.tensorflow.ops import OPS, TENSORFLOW
from receptive_field.graph.graph import Graph
from receptive_field.rules.op import (
    Op,
    first_shape,
    rule_at,
    rule_of,
    same,
)

keras = needed("keras")
tf = needed("tensorflow")
layers = keras.layers


@pytest.fixture
def own_ops():
    """Rules that are registered in a test are gone afterwards."""
    before = dict(OPS)
    yield
    OPS.clear()
    OPS.update(before)


# --- Global context ------------------------------------------------------------------


@pytest.fixture(scope="module")
def gated():
    """Squeeze and excitation between two convolutions, and a classifier's head."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="before")(image)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    x = layers.Multiply(name="excite")([x, layers.Dense(4)(gate)])
    x = layers.Conv2D(4, 3, padding="same", name="after")(x)
    scores = layers.Dense(5, name="scores")(layers.Flatten()(x))
    return keras.Model(image, scores)


def test_global_context_is_included_by_default(gated):
    field = rf.compute_receptive_field(gated, output="after")
    assert field.size.tolist() == [np.inf, np.inf]
    assert all("squeeze" in name for name in field.global_nodes)
    assert list(field.local) == [7, 7, 2, 2, 2, 2]


def test_global_context_can_be_excluded(gated):
    field = rf.compute_receptive_field(gated, output="after", global_context="exclude")
    assert list(field) == [7, 7, 2, 2, 2, 2]
    assert all("squeeze" in name for name in field.global_nodes)
    fields = rf.compute_receptive_fields(gated, global_context="exclude")
    assert list(fields["after"]) == list(field)
    assert list(fields["before"]) == [3, 3, 2, 2, 0, 0]
    assert "scores" in fields.errors


def test_what_is_global_only_cannot_be_excluded(gated):
    with pytest.raises(rf.ReceptiveFieldError, match="see a whole axis"):
        rf.compute_receptive_field(gated, output="scores", global_context="exclude")


# --- Batch normalisation -------------------------------------------------------------


def trained(graph_of):
    """The GraphDef of a function of an image."""
    spec = tf.TensorSpec((4, 16, 16, 3), name="image")
    function = tf.function(graph_of).get_concrete_function(spec)
    return function.graph.as_graph_def(add_shapes=True), function.outputs[0].name


def keras_form():
    model = keras.Sequential(
        [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Conv2D(4, 3)]
    )
    model.build((4, 16, 16, 3))
    return lambda image: model(image, training=True)


def fused_form():
    zeros = tf.zeros(3)

    def build(image):
        x, *_ = tf.compat.v1.nn.fused_batch_norm(image, zeros, zeros, is_training=True)
        return tf.nn.max_pool2d(x, 5, 1, "VALID")

    return build


def moments_form():
    def build(image):
        mean, variance = tf.nn.moments(image, [0, 1, 2])
        x = tf.nn.batch_normalization(image, mean, variance, None, None, 1e-3)
        return tf.nn.max_pool2d(x, 5, 1, "VALID")

    return build


@pytest.mark.parametrize("form", [keras_form, fused_form, moments_form])
def test_batch_norm_in_training_mode(form):
    build = form()  # Its variables must live as long as the graph.
    definition, output = trained(build)
    field = rf.compute_receptive_field(definition, output=output)
    assert list(field) == [5, 5, 1, 1, 0, 0]
    assert field.exact
    field = rf.compute_receptive_field(definition, output=output, batch_norm="graph")
    assert field.size.tolist() == [np.inf, np.inf]
    if form is not fused_form:  # Where one op does all, no path is left out.
        assert list(field.local) == [5, 5, 1, 1, 0, 0]


def test_layer_norm_is_no_batch_norm():
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.LayerNormalization([1, 2])]
    )
    assert rf.compute_receptive_field(model).is_global


# --- Overrides -----------------------------------------------------------------------

UNKNOWN = graph_def(
    placeholder("input", (1, 20, 20, 1)),
    conv("first", "input"),
    node("dynamic/a", "MyKernels", ["first"]),
    node("dynamic/b", "MyDynamicConv", ["first", "dynamic/a"]),
    conv("last", "dynamic/b"),
)


def test_unsupported_ops_are_listed():
    expected = {"MyKernels": ["dynamic/a"], "MyDynamicConv": ["dynamic/b"]}
    assert rf.unsupported_ops(UNKNOWN) == expected
    assert rf.unsupported_ops(UNKNOWN, output="first") == {}
    assert rf.unsupported_ops(UNKNOWN, overrides={"dynamic": "elementwise"}) == {}
    with pytest.raises(rf.ReceptiveFieldError, match=r"register_op.*overrides"):
        rf.compute_receptive_field(UNKNOWN, output="last")


@pytest.mark.parametrize(
    ("rule", "size"),
    [
        ("elementwise", 5),
        (rf.SlidingWindow(kernel_size=3, padding="same"), 7),
        (rf.SlidingWindow(kernel_size=(5, 3), padding=1), (9, 7)),
        (rf.SlidingWindow(kernel_size=3, dilation=2, padding="valid"), 9),
        (rf.SlidingWindow(kernel_size=np.int64(3), padding=np.int64(1)), 7),
        (Op(same, first_shape), 5),
        (same, 5),
        ("global", np.inf),
    ],
)
def test_a_scope_is_overridden(rule, size):
    field = rf.compute_receptive_field(
        UNKNOWN, output="last", overrides={"dynamic": rule}
    )
    assert field.size.tolist() == list(
        size if isinstance(size, tuple) else (size, size)
    )


def test_a_window_over_two_axes_is_stated_x_first():
    rule = rf.SlidingWindow(kernel_size=(5, 3), stride=(2, 1), padding=(1, 0))
    field = rf.compute_receptive_field(
        UNKNOWN, output="dynamic/b", overrides={"dynamic": rule}
    )
    assert list(field) == [7, 5, 2, 1, 1, 0]


def test_a_node_is_overridden():
    graph = graph_def(
        placeholder("input", (1, 20, 20, 1)), conv("first", "input"), conv("a", "first")
    )
    rule = rf.SlidingWindow(kernel_size=7)
    field = rf.compute_receptive_field(graph, output="a", overrides={"first": rule})
    assert list(field) == [9, 9, 1, 1, 0, 0]
    assert field.axes[0].output_size == 16


def test_a_node_without_dependency_leaves_the_other_path():
    graph = graph_def(
        placeholder("input", (1, 20, 20, 1)),
        conv("one", "input", 5, padding="SAME"),
        conv("two", "input", 3, padding="SAME"),
        add("sum", "one", "two"),
    )
    field = rf.compute_receptive_field(graph, output="sum", overrides={"one": None})
    assert list(field) == [3, 3, 1, 1, 1, 1]


@pytest.mark.parametrize("by_object", [False, True])
def test_a_layer_is_overridden(by_object):
    image = keras.Input((32, 32, 3))
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="pool")
    x = layers.Conv2D(4, 3, name="conv")(image)
    middle = layers.Conv2D(4, 5, padding="same", name="middle")
    y = layers.Add(name="sum")([middle(x), pooled(x)])
    model = keras.Model(image, layers.Conv2D(4, 3, name="last")(y))
    overrides = {"pool": None, middle if by_object else "middle": "elementwise"}
    field = rf.compute_receptive_field(model, overrides=overrides)
    assert list(field) == [5, 5, 1, 1, 0, 0]
    assert field.axes[0].output_size == 28


def test_a_layer_that_does_nothing_has_no_rule_to_replace():
    image = keras.Input((32, 32, 3))
    same_image = layers.Identity(name="same")(image)
    model = keras.Model(image, layers.Conv2D(4, 3, name="conv")(same_image))
    with pytest.raises(rf.ReceptiveFieldError, match="'same' returns its input"):
        rf.compute_receptive_field(model, overrides={"same": "global"})


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"dynamik": "elementwise"}, "Did you mean 'dynamic/"),
        ({"dynamic": "local"}, "'local' is not a rule"),
        ({"dynamic": rf.SlidingWindow(0)}, "kernel_size"),
        ({"dynamic": rf.SlidingWindow(3, padding="full")}, "'full'"),
        ({"dynamic": rf.SlidingWindow((3, 3, 3))}, "spatial axes"),
        ({"dynamic": rf.SlidingWindow(3, padding=1.5)}, "padding.*1.5"),
        ({"dynamic": rf.SlidingWindow(3, padding=None)}, "padding.*None"),
        ({"dynamic": lambda call, output: 5}, "returns 5"),
        ({"dynamic": lambda call, output: []}, r"returns \[\]"),
        ([("dynamic", "elementwise")], "dictionary"),
        ({7: "elementwise"}, "not 7"),
    ],
)
def test_wrong_overrides(overrides, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        rf.compute_receptive_field(UNKNOWN, output="last", overrides=overrides)


# --- Rules for op types --------------------------------------------------------------


@pytest.mark.usefixtures("own_ops")
def test_register_op():
    rf.register_op("MyKernels", "global")
    rf.register_op("MyDynamicConv", rf.SlidingWindow(3, padding="same"))
    field = rf.compute_receptive_field(UNKNOWN, output="last")
    assert list(field.local) == [7, 7, 1, 1, 1, 1]
    assert field.global_nodes == ("dynamic/a",)
    rf.register_op("MyKernels", "no_dependency")
    assert list(rf.compute_receptive_field(UNKNOWN, output="last")) == list(field.local)


@pytest.mark.usefixtures("own_ops")
def test_an_op_is_registered_for_a_framework():
    rf.register_op("MyKernels", "no_dependency", framework="tensorflow")
    assert OPS["MyKernels"].relations is None
    with pytest.raises(rf.ReceptiveFieldError, match=r"'caffe'; .*'tensorflow'"):
        rf.register_op("MyKernels", "global", framework="caffe")


def test_graphs_answer_by_their_own_rules():
    definition = graph_def(
        placeholder("input", (1, 9, 9, 1)), node("a", "Mine", ["input"])
    )
    mine = {**OPS, "Mine": Op(same, first_shape)}
    graph = Graph(definition.node, rules=mine, framework=TENSORFLOW)
    ours = load(definition).graph
    for found, known in ((graph, True), (graph.copy(), True), (ours, False)):
        assert (rule_of(found.node("a")) is not None) == known
        assert (rule_at(found, 1) is not None) == known


@pytest.mark.usefixtures("own_ops")
def test_a_registered_window_is_that_of_a_convolution():
    for kernel, stride, padding in [(3, 2, "SAME"), (4, 3, "VALID"), (5, 2, "SAME")]:
        for size in (19, 20, None):
            image = placeholder("input", (1, size, size, 1))
            known = graph_def(image, conv("a", "input", kernel, stride, padding))
            stated = graph_def(
                image, variable("w", (1,)), node("a", "MyConv", ["input", "w"])
            )
            rule = rf.SlidingWindow(kernel, stride, padding.lower())
            rf.register_op("MyConv", rule)
            expected, found = (
                rf.compute_receptive_field(g, output="a") for g in (known, stated)
            )
            assert list(found) == list(expected)
            assert found.axes[0].output_size == expected.axes[0].output_size
        told = [str(rf.resolutions(g, output="a")) for g in (known, stated)]
        assert told[0] == told[1]


@pytest.mark.parametrize(
    "options",
    [{"global_context": "none"}, {"batch_norm": "training"}, {"overrides": {"a": 3}}],
)
def test_options_that_do_not_exist(options):
    (value,) = options.values()
    shown = repr(3 if isinstance(value, dict) else value)
    with pytest.raises(rf.ReceptiveFieldError, match=shown):
        rf.compute_receptive_field(UNKNOWN, output="last", **options)


@pytest.mark.parametrize("stop", [3, [None]])
def test_wrong_prefixes(stop):
    with pytest.raises(rf.ReceptiveFieldError, match="stop_propagation must be"):
        rf.compute_receptive_field(UNKNOWN, output="last", stop_propagation=stop)


def test_a_transposed_convolution_that_was_built_for_another_size():
    image = keras.Input((20, 20, 1))
    halved = layers.Conv2D(4, 4, strides=2, padding="same")(image)
    doubled = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(halved)
    model = tensorflow.model_of(keras.Model(image, doubled))
    assert rf.compute_receptive_field(model).axes[0].output_size == 20
    with pytest.raises(rf.ReceptiveFieldError, match="requires an input of 10"):
        rf.compute_receptive_field(model, input_resolution=[30, 30])


def test_a_question_leaves_its_model_as_it_is():
    """Also one that is asked again with other overrides, or by `resolutions`."""
    model = load(
        graph_def(
            placeholder(),
            conv("block/a", "input", 3, 1, "SAME"),
            conv("block/b", "block/a", 3, 2, "SAME"),
            conv("out", "block/b", 3, 1, "SAME"),
        )
    )
    before = rf.compute_receptive_field(model)
    nodes = len(model.graph)
    stated = {"block": rf.SlidingWindow(7, 2)}
    told = rf.compute_receptive_field(model, overrides=stated)
    assert told.size.tolist() == [11, 11]  # 7 + 2 * 2.
    assert rf.resolutions(model, overrides=stated).largest_useful_size == (11, 11)
    other = rf.compute_receptive_field(model, overrides={"block/b": None})
    assert other.size.tolist() != told.size.tolist()
    assert rf.compute_receptive_field(model) == before
    assert (len(model.graph), rf.unsupported_ops(model)) == (nodes, {})


def test_op_types_without_a_name():
    with pytest.raises(rf.ReceptiveFieldError, match="non-empty string, not ''"):
        rf.register_op("", "elementwise")


def test_public_names_are_listed_before_they_are_used():
    assert {*rf.__all__} <= {*dir(rf)}
