"""Measuring a receptive field by running the network."""

import os
import subprocess
import sys

import numpy as np
import pytest
from graphs import graph_def, node, placeholder
from needed import needed

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.frameworks.quiet import _without_log_lines
from receptive_field.frameworks.tensorflow.running import TensorFlowRunner
from receptive_field.questions.experiment import NetworkExperiment
from receptive_field.questions.question import Options, Question

keras = needed("keras")
tf = needed("tensorflow")
import training_graphs  # noqa: E402

layers = keras.layers


def through(*stack, shape=(24, 28, 2)):
    x = image = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


def test_holes_are_seen():
    model = through(layers.Conv2D(2, 3, dilation_rate=(2, 3), padding="same"))
    measured = rf.measure_receptive_field(model, feature=[10, 12])
    assert measured.feature == (10, 12)
    assert np.flatnonzero(measured.positions.any(0)).tolist() == [7, 10, 13]
    assert np.flatnonzero(measured.positions.any(1)).tolist() == [10, 12, 14]
    assert measured.positions.sum() == 9
    assert measured.region.tolist() == [[7, 13], [10, 14]]
    assert measured.size.tolist() == [7, 5]


@pytest.mark.parametrize("kept", ["graph", "function"])
def test_a_weight_that_is_zero_but_for_rounding_is_not_seen(kept):
    """The third pixel on each side lies where the kernel ends."""
    model = through(
        layers.Conv2D(1, 1), layers.Resizing(4, 6, "lanczos3"), shape=(12, 18, 1)
    )
    if kept == "function":
        spec = tf.TensorSpec([1, 12, 18, 1])
        model = tf.function(model, input_signature=[spec])
    measured = rf.measure_receptive_field(model, feature=[2, 1])
    assert measured.region.tolist() == [[5, 9], [2, 6]]


@pytest.mark.parametrize(
    "hiding",
    [
        layers.MaxPooling2D(3, 1, padding="same"),
        layers.ReLU(6.0),
        layers.Activation("hard_sigmoid"),
        layers.Activation("tanh"),
        layers.BatchNormalization(gamma_initializer="zeros"),
    ],
)
def test_what_hides_a_dependency_from_gradients(hiding):
    """Weights of zero, trained or not, saturation and maxima hide nothing."""
    model = through(
        layers.Conv2D(3, 3, kernel_initializer="zeros"),
        hiding,
        layers.Conv2D(3, 3),
        hiding,
        layers.Conv2D(3, 3),
    )
    field = rf.compute_receptive_field(model)
    measured = rf.measure_receptive_field(model, feature=[8, 9])
    assert measured.region.tolist() == field.compute_input_region([8, 9]).tolist()
    assert measured.positions.sum() == np.prod(measured.size)


def test_a_fused_normalisation_by_zero_hides_nothing():
    def normalised(x):
        kernel, zeros, ones = tf.ones((3, 3, 2, 2)), [0.0, 0.0], [1.0, 1.0]
        x = tf.nn.conv2d(x, kernel, 1, "SAME")
        x, *_ = tf.compat.v1.nn.fused_batch_norm(
            x, zeros, ones, ones, ones, is_training=False
        )
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    spec = tf.TensorSpec([1, 7, 7, 2])
    measured = rf.measure_receptive_field(
        tf.function(normalised, input_signature=[spec]), feature=[3, 3]
    )
    assert measured.region.tolist() == [[1, 5], [1, 5]]


def test_two_resizes_by_the_same_kernel():
    """The centre of 5 is at 5.5 / 1.5, between 3 and 4; those of these at 2.3 and 3."""

    def resized(x):
        for size in (9, 12):
            x = tf.raw_ops.ScaleAndTranslate(
                images=x,
                size=[size, size],
                scale=[1.5, 1.5],
                translation=[0.0, 0.0],
                kernel_type="triangle",
            )
        return x

    spec = tf.TensorSpec([1, 6, 6, 1])
    measured = rf.measure_receptive_field(
        tf.function(resized, input_signature=[spec]), feature=[5, 5]
    )
    assert measured.region.tolist() == [[1, 3], [1, 3]]


def test_depth_does_not_hide_it():
    """The corner of a deep network has a weight of 9 to the power of minus 40."""
    deep = [layers.Conv2D(2, 3, padding="same", activation="relu") for _ in range(40)]
    model = through(*deep, shape=(1, 100, 2))
    measured = rf.measure_receptive_field(model, feature=[50, 0], axes_only=True)
    assert measured.positions is None
    assert measured.region[0].tolist() == [10, 90]


def test_by_default_the_middle_is_measured():
    model = through(layers.Conv2D(2, 3), shape=(7, 9, 1))
    assert rf.measure_receptive_field(model).feature == (3, 2)


def test_the_output_is_that_of_the_analysis():
    # A placeholder without a shape leaves open how many axes the logits have.
    graph = training_graphs.graph_def_of(training_graphs.classifier)
    found = rf.measure_receptive_field(graph, feature=[1, 1], axes_only=True)
    # Two convolutions of 5 and poolings of 2: 16 positions, from 4 - 6 on.
    assert (found.output, found.region.tolist()) == ("pool2", [[0, 13], [0, 13]])
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(1, 3), layers.Dropout(0.5, name="last")]
    )
    found = rf.measure_receptive_field(model, feature=[2, 2])
    assert (found.output, found.region.tolist()) == ("last", [[2, 4], [2, 4]])


def test_a_feature_that_sees_nothing():
    model = through(layers.ZeroPadding2D(3), layers.Conv2D(2, 1))
    measured = rf.measure_receptive_field(model, feature=[0, 5])
    assert measured.region.tolist() == [[0, -1], [0, -1]]
    assert measured.size.tolist() == [0, 0]


def test_a_model_is_left_as_it_is():
    model = through(layers.Conv2D(2, 3))
    before = [weight.copy() for weight in model.get_weights()]
    rf.measure_receptive_field(model)
    for one, two in zip(before, model.get_weights(), strict=True):
        assert (one == two).all()


def test_saved_models_and_graphs_are_measured(tmp_path):
    model = through(layers.Conv2D(2, 3, 2), layers.BatchNormalization())
    model.export(tmp_path / "saved")
    measured = rf.measure_receptive_field(tmp_path / "saved", feature=[2, 3])
    assert measured.region.tolist() == [[4, 6], [6, 8]]
    # A SavedModel does not state the data type of a maximum, which is the default.
    through(layers.MaxPooling2D(2), shape=(8, 8, 1)).export(tmp_path / "maxima")
    measured = rf.measure_receptive_field(tmp_path / "maxima", feature=[1, 2])
    assert measured.region.tolist() == [[2, 3], [4, 5]]
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, (1, None, None, 1), "image")
        kernel = tf.compat.v1.get_variable("kernel", (3, 5, 1, 2), use_resource=False)
        tf.nn.conv2d(image, kernel, 1, "VALID", name="conv")
    measured = rf.measure_receptive_field(
        graph, output="conv", feature=[2, 3], input_resolution=[9, 9]
    )
    assert measured.region.tolist() == [[2, 6], [3, 5]]


def test_tokens_are_measured():
    tokens = keras.Input((12,), dtype="int32")
    x = layers.Conv1D(2, 3, padding="causal")(layers.Embedding(5, 4)(tokens))
    measured = rf.measure_receptive_field(keras.Model(tokens, x), feature=[5])
    assert measured.region.tolist() == [[3, 5]]


@pytest.mark.parametrize(
    ("build", "rows", "columns"),
    [
        (lambda tf, x: tf.math.logical_xor(x[:, 1:], x[:, :-1]), [2, 3], [1]),
        (lambda tf, x: tf.logical_and(x[:, 1:], x[:, :-1]), [2, 3], [1]),
        (lambda tf, x: tf.reduce_any(x, 2, keepdims=True), [2], [0, 1, 2, 3, 4, 5]),
    ],
)
def test_boolean_inputs_are_measured(build, rows, columns):
    """All values of an exclusive or change together, and then it does not change."""
    tf = needed("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.bool, (1, 6, 6, 1), name="image")
        tf.identity(build(tf, image), name="output")
    field = rf.compute_receptive_field(graph)
    feature = [
        0 if axis.output_size == 1 else n + 1 for n, axis in enumerate(field.axes)
    ]
    found = rf.measure_receptive_field(graph, feature=feature)
    assert [mask.nonzero()[0].tolist() for mask in found.per_axis] == [columns, rows]
    seen = found.positions.nonzero()
    assert [sorted({*axis.tolist()}) for axis in seen] == [rows, columns]


def test_complex_inputs_are_measured():
    tf = needed("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.complex64, (1, 6, 6, 1), name="image")
        kernel = tf.ones((3, 1, 1, 1))
        parts = tf.math.real(image), tf.math.imag(image)[:, :, ::-1]
        tf.add_n([tf.nn.conv2d(x, kernel, 1, "SAME") for x in parts], name="output")
    found = rf.measure_receptive_field(graph, feature=[1, 2])
    assert [mask.nonzero()[0].tolist() for mask in found.per_axis] == [
        [1, 4],
        [1, 2, 3],
    ]


def test_an_input_of_which_the_shape_counts_too():
    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 1))])
    def network(image):
        return tf.nn.max_pool2d(image * tf.ones_like(image), 3, 1, "VALID")

    measured = rf.measure_receptive_field(network, feature=[2, 3])
    assert measured.region.tolist() == [[2, 4], [3, 5]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feature": [30, 0]}, r"no feature \[30, 0\].*26 x 22 features"),
        ({"feature": [0]}, "2 coordinates"),
        ({"feature": [0.5, 1]}, "no feature"),
        ({"input_resolution": "unknown"}, "Give input_resolution"),
        ({"output": "nowhere"}, "no layer 'nowhere'"),
    ],
)
def test_what_cannot_be_measured(options, message):
    model = through(layers.Conv2D(2, 3))
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        rf.measure_receptive_field(model, **options)


def test_a_network_that_does_not_run():
    graph = graph_def(
        placeholder("input", (1, 9, 9, 1)), node("own", "MyOp", ["input"])
    )
    with pytest.raises(rf.ReceptiveFieldError, match="MyOp"):
        rf.measure_receptive_field(graph, output="own")


@pytest.mark.slow
def test_another_backend_of_keras(tmp_path):
    program = (
        "import keras, receptive_field as rf\n"
        "layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)]\n"
        "try: rf.measure_receptive_field(keras.Sequential(layers))\n"
        "except rf.ReceptiveFieldError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"KERAS_BACKEND": "jax", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Set KERAS_BACKEND=tensorflow" in done.stdout


def test_a_loop_that_cannot_be_bounded():
    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 1))])
    def grow(image):
        _, found = tf.while_loop(
            lambda i, x: i < 3,
            lambda i, x: (i + 1, tf.expand_dims(x, 0)),
            (0, image),
            (tf.TensorShape(()), tf.TensorShape(None)),
        )
        return found

    with pytest.raises(rf.ReceptiveFieldError, match="does not fit the rank"):
        rf.compute_receptive_field(grow)


def test_what_lies_inside_of_a_function_is_not_handed_over(tmp_path):
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, activation="relu")(image)
    scores = layers.Dense(2)(layers.GlobalAveragePooling2D()(x))
    keras.Model(image, scores).export(tmp_path / "saved", verbose=False)
    field = rf.compute_receptive_field(tmp_path / "saved")
    assert field.size.tolist() == [3, 3]
    with pytest.raises(rf.ReceptiveFieldError, match="inside a function"):
        rf.measure_receptive_field(tmp_path / "saved")


# --- Many parts at once --------------------------------------------------------------


def u_net(size, pooling=layers.MaxPooling2D, activation="relu", deep=2):
    """A small U-Net for images of this size."""

    def block(x, channels):
        for _ in range(2):
            x = layers.Conv2D(channels, 3, padding="same", activation=activation)(x)
        return x

    x = image = keras.Input((size, size, 1))
    skips = []
    for level in range(deep):
        x = block(x, 2 + level)
        skips.append(x)
        x = pooling(2)(x)
    x = block(x, 4)
    for level in reversed(range(deep)):
        x = layers.Conv2DTranspose(2 + level, 2, 2)(x)
        x = block(layers.Concatenate()([x, skips[level]]), 2 + level)
    return keras.Model(image, x)


def experiment_on(model):
    run = load(model).to_run()
    question = Question.ask(run, None, [None], Options())
    return NetworkExperiment(run, question, list(question.outputs.values()))


def one_by_one(model, feature):
    """The positions that change a feature, each of them disturbed by itself."""
    experiment = experiment_on(model)
    x, y = feature
    seen = np.zeros(experiment.sizes, bool)
    for position in np.ndindex(*experiment.sizes):
        changes = experiment.changes(position)
        seen[position] = any(change[0][:, y, x].any() for change in changes)
    return seen


@pytest.fixture
def runs(monkeypatch):
    """The sizes of the images that experiments run on, one for each run."""
    found = []
    run = TensorFlowRunner.network

    def network(self, *arguments):
        computation = run(self, *arguments)

        def counted(image):
            found.append(image.shape)
            return computation.run(image)

        return computation._replace(run=counted)

    monkeypatch.setattr(TensorFlowRunner, "network", network)
    return found


class Rounded(layers.Layer):
    """Rounds to halves, through which no gradient passes."""

    def call(self, x):
        return tf.round(2 * x) / 2


class Compared(layers.Layer):
    """Adds whether each pixel is larger than a neighbour, which has no gradient."""

    def call(self, x):
        larger = x > tf.roll(x, 4, 1)
        return x + tf.cast(larger, x.dtype)


STACKS = {
    "max": lambda: u_net(16),
    "average": lambda: u_net(16, layers.AveragePooling2D),
    "smooth": lambda: u_net(16, activation="tanh"),
    "gelu": lambda: u_net(16, activation="gelu", deep=1),
    "dilated": lambda: through(
        layers.Conv2D(2, 3, dilation_rate=3, padding="same"),
        layers.MaxPooling2D(3, 1, padding="same"),
        shape=(16, 16, 1),
    ),
    "pooled": lambda: through(layers.MaxPooling2D(8), shape=(16, 16, 1)),
    "rounded": lambda: through(layers.Conv2D(2, 3), Rounded(), shape=(9, 9, 1)),
    "compared": lambda: through(layers.Conv2D(1, 3), Compared(), shape=(12, 9, 1)),
    "normalised": lambda: through(
        layers.Conv2D(2, 3), layers.LayerNormalization(), shape=(9, 9, 1)
    ),
    "attention": lambda: through(
        layers.Conv2D(2, 3, 3),
        layers.Reshape((9, 2)),
        layers.Softmax(axis=1),
        layers.Reshape((3, 3, 2)),
        shape=(11, 11, 1),
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_many_at_once_shows_what_one_by_one_shows(name):
    model = STACKS[name]()
    width, height = model.output_shape[2], model.output_shape[1]
    for feature in {(0, 0), (width // 2, height // 3)}:
        measured = rf.measure_receptive_field(model, feature=feature)
        truth = one_by_one(model, feature)
        assert (measured.positions == truth).all()
        lines = truth.any(0), truth.any(1)
        for line, expected in zip(measured.per_axis, lines, strict=True):
            assert (line == expected).all()


@pytest.mark.parametrize("pooling", [layers.MaxPooling2D, layers.AveragePooling2D])
def test_a_network_runs_a_few_times_for_all_lines(pooling, runs):
    """Disturbed one by one, the 2 x 96 lines would take 192 runs or more."""
    model = u_net(96, pooling)
    field = rf.compute_receptive_field(model)
    measured = rf.measure_receptive_field(model, axes_only=True)
    region = field.compute_input_region(measured.feature).tolist()
    assert measured.region.tolist() == region
    assert len(runs) <= 40
    runs.clear()
    measured = rf.measure_receptive_field(model)
    assert measured.region.tolist() == region
    assert measured.positions.sum() == np.prod(measured.size)
    assert len(runs) <= 120


@pytest.mark.parametrize("lie", ["everywhere", "nowhere", "scaled", "nan", "fails"])
def test_a_gradient_is_not_believed(lie, monkeypatch):
    """What a gradient says counts only if runs of the network show it."""
    model = through(layers.Conv2D(2, 3, padding="same"), shape=(12, 12, 1))
    run = TensorFlowRunner.network

    def network(self, *arguments):
        computation = run(self, *arguments)

        def gradient(image, factors):
            true = computation.gradient(image, factors)
            return {
                "everywhere": true + 0.1,
                "nowhere": true * 0,
                "scaled": true * 1.7,
                "nan": true * np.nan,
                "fails": None,
            }[lie]

        return computation._replace(gradient=gradient)

    monkeypatch.setattr(TensorFlowRunner, "network", network)
    measured = rf.measure_receptive_field(model, feature=[4, 6])
    assert measured.region.tolist() == [[3, 5], [5, 7]]
    assert measured.positions.sum() == 9


@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_a_gradient_that_a_network_states_is_not_used(factor):
    @tf.custom_gradient
    def smooth(x):
        """Whatever the function does, the whole row is said to matter, or nothing."""
        whole = tf.reduce_sum(x, 2, keepdims=True)
        return tf.nn.avg_pool2d(x, 3, 1, "SAME"), lambda g: factor * (g + 0 * whole + 1)

    spec = tf.TensorSpec([1, 9, 9, 1])
    measured = rf.measure_receptive_field(
        tf.function(smooth, input_signature=[spec]), feature=[4, 5]
    )
    assert measured.region.tolist() == [[3, 5], [4, 6]]
    assert measured.positions.sum() == 9


def test_an_op_without_a_gradient():
    def cropped(x):
        return tf.nn.dilation2d(
            x, tf.ones((3, 3, 1)), [1] * 4, "SAME", "NHWC", [1] * 4
        ) + tf.cast(tf.bitwise.invert(tf.cast(x, tf.int32)), tf.float32)

    spec = tf.TensorSpec([1, 9, 9, 1])
    measured = rf.measure_receptive_field(
        tf.function(cropped, input_signature=[spec]), feature=[4, 5]
    )
    assert measured.region.tolist() == [[3, 5], [4, 6]]


def test_offsets_below_an_op_that_reads_a_shape_are_zero():
    """The transposed convolution reads the shape of its input, and so no offsets."""
    model = through(layers.Conv2D(2, 3), layers.Conv2DTranspose(2, 2, 2))
    experiment = experiment_on(model)
    (output,) = experiment.outputs(np.zeros(experiment.image_shape))
    assert not output.any()


# --- The log lines of TensorFlow ------------------------------------------------------


@pytest.mark.slow
def test_no_log_lines_of_tensorflow_before_an_answer(tmp_path):
    file = tmp_path / "model.keras"
    through(layers.Conv2D(2, 3), shape=(8, 8, 1)).save(file)
    code = (
        "import receptive_field as rf\n"
        f"print(rf.measure_receptive_field({str(file)!r}).size)"
    )
    unset = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    for asked, is_silent in (({}, True), ({"TF_CPP_MIN_LOG_LEVEL": "0"}, False)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=unset | asked,
        )
        assert done.stdout == "[3 3]\n"
        assert (done.stderr == "") is is_silent


def test_other_lines_are_shown(capfd):
    lines = [
        "WARNING: All log messages before absl::InitializeLog() is called",
        "I0000 00:00:1795873981.414268    3492 port.cc:153] oneDNN custom operations",
        "UserWarning: this is not of TensorFlow",
    ]
    with _without_log_lines():
        for line in lines:
            os.write(2, f"{line}\n".encode())
    assert capfd.readouterr().err == f"{lines[-1]}\n"
