"""Which tensors are taken for the input and the output of graphs that state neither."""

import re

import pytest
from needed import needed

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.frameworks import load
from receptive_field.questions.candidates import candidates

needed("tensorflow")

import training_graphs as graphs  # noqa: E402


def ends(build):
    """The names of the possible inputs and outputs."""
    inputs, outputs = candidates(load(graphs.graph_def_of(build)))
    return list(inputs), list(outputs)


@pytest.mark.parametrize(
    ("build", "inputs", "outputs"),
    [
        (graphs.classifier, ["image"], ["logits"]),
        (lambda: graphs.classifier(flattened=True), ["image"], ["logits"]),
        (graphs.segmentation, ["image"], ["predicted"]),
        (graphs.classes_of_pixels, ["image"], ["logits"]),
        (lambda: graphs.classes_of_pixels(flattened=True), ["image"], ["logits"]),
        (graphs.classes_of_images, ["image"], ["logits"]),
        (graphs.two_heads, ["image"], ["kind", "box"]),
        (graphs.two_images, ["one", "two"], ["both"]),
        (graphs.spoken_words, ["image"], ["pool"]),
    ],
)
def test_the_ends_of_a_network(build, inputs, outputs):
    found = ends(build)
    assert found[0] == inputs
    assert sorted(found[1]) == sorted(outputs)


def test_a_classifier_that_is_trained_needs_no_names():
    field = rf.compute_receptive_field(graphs.graph_def_of(graphs.classifier))
    assert (field.input, field.output) == ("image", "pool2")
    # 5, pool 2: 6; 5 at every second position: 14, pool 2: 16.
    assert list(field) == [16, 16, 4, 4, 6, 6]


def test_a_map_that_a_loss_reads_as_a_list_has_its_positions():
    field = rf.compute_receptive_field(graphs.graph_def_of(graphs.classes_of_pixels))
    # Two convolutions of 5 with as much padding as keeps the size.
    assert list(field) == [9, 9, 1, 1, 4, 4]
    assert [axis.size for axis in field.feature_axes] == [28, 28]


def test_flattened_images_are_seen_in_their_shape():
    flat = graphs.graph_def_of(lambda: graphs.classifier(flattened=True))
    field = rf.compute_receptive_field(flat)
    assert (field.input, field.output) == ("image", "pool2")
    assert [axis.input_size for axis in field.axes] == [28, 28]
    # Asked about by name, they are what they are: 784 positions.
    assert rf.compute_receptive_field(flat, input="pixels", output="pool2").axes[
        0
    ].input_size == (784)


def test_who_asks_about_flattened_images_is_told_where_they_are_images(
    tmp_path, capsys
):
    flat = graphs.graph_def_of(lambda: graphs.classifier(flattened=True))
    with pytest.raises(rf.ReceptiveFieldError, match=r"1 sizes .* input='image' \(28"):
        rf.compute_receptive_field(flat, input="pixels", input_resolution=[28, 28])
    (tmp_path / "flat.pb").write_bytes(flat.SerializeToString())
    for command in ("compute", "layers"):
        for name, noted in (("pixels", True), ("image", False)):
            assert main([command, str(tmp_path / "flat.pb"), "--input", name]) == 0
            told = capsys.readouterr().err
            assert ("--input 'image' (28 x 28 x 1)" in told) == noted


def test_several_candidates_are_listed_with_their_shapes():
    with pytest.raises(rf.ReceptiveFieldError) as error:
        rf.compute_receptive_field(graphs.graph_def_of(graphs.two_images))
    assert "('one' (28 x 28 x 1), 'two' (? x 28 x 3))" in str(error.value)
    with pytest.raises(rf.ReceptiveFieldError) as error:
        rf.compute_receptive_field(graphs.graph_def_of(graphs.two_heads))
    assert "'kind' (10)" in str(error.value)
    assert "'box' (4)" in str(error.value)


def test_a_sound_in_a_file_names_where_the_analysis_ends(tmp_path, capsys):
    graph = graphs.graph_def_of(graphs.spoken_words)
    told = r".* ends at 'mfcc' \(Mfcc\), .* choose 'image' \(98 x 40 x 1\) with"
    for name, what in (
        (None, "is a sound in a file"),
        ("wav_data", "is a sound in a file"),
        ("spectrogram", "'spectrogram' is computed from a sound"),
    ):
        with pytest.raises(rf.ReceptiveFieldError, match=what + told):
            rf.compute_receptive_field(graph, input=name)
    (tmp_path / "sound.pb").write_bytes(graph.SerializeToString())
    assert main(["compute", str(tmp_path / "sound.pb"), "--input", "mfcc"]) == 0
    note = "note: 'mfcc' has no known shape. .* --input 'image' .98 x 40 x 1"
    assert re.match(note, capsys.readouterr().err)
    # Who states rules for the decoders can ask about the file.
    rules = dict.fromkeys(["DecodeWav", "spectrogram", "mfcc"], "global")
    assert rf.compute_receptive_field(graph, overrides=rules).is_global
    # A convolution of 5 and a pooling of 2: 6.
    field = rf.compute_receptive_field(graph, input="image", output="pool")
    assert list(field)[:4] == [6, 6, 2, 2]


def test_gradients_are_no_layers(tmp_path, capsys):
    def classifier():
        graphs.classifier()
        loss = v1.get_default_graph().get_tensor_by_name("Mean:0")
        (gradient,) = v1.gradients(loss, [v1.trainable_variables()[0]])
        tf.clip_by_norm(gradient, 1.0, name="clipped")

    tf = needed("tensorflow")
    v1 = tf.compat.v1
    graph = graphs.graph_def_of(classifier)
    fields = rf.compute_receptive_fields(graph)
    names = [*fields, *fields.errors]
    assert {"conv1", "pool2", "logits", "Mean"} <= {*names}
    assert not [name for name in names if "gradients" in name or "Adam" in name]
    assert next(iter(rf.unsupported_ops(graph))) == "SoftmaxCrossEntropyWithLogits"
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    assert main(["layers", str(tmp_path / "graph.pb"), "--columns", "op"]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: softmax_cross_entropy_with_logits and ")


def mean(x):
    return needed("tensorflow").reduce_mean(x)


def square(x):
    return needed("tensorflow").square(x)


def both_heads(conv, x, labels):
    hidden = conv(x, 3, "hidden")
    one, two = conv(hidden, 5, "one"), conv(hidden, 1, "two")
    return mean(square(one - labels)) + 0.4 * mean(square(two - labels))


def regularised(conv, x, labels):
    hidden = conv(x, 3, "hidden")
    return mean(square(conv(hidden, 5, "last") - labels)) + mean(abs(hidden))


def of_a_code(conv, x, labels):
    code = conv(x, 3, "code")
    return mean(square(conv(code, 5, "last") - labels)) + mean(square(code))


def of_a_residual(conv, x, labels):
    return mean(square(conv(x, 3, "last") - (labels - x)))


def of_the_input(conv, x, labels):
    return mean(square(conv(conv(x, 3, "code"), 5, "last") - x))


def weighted(conv, x, labels):
    tf = needed("tensorflow")
    return mean(square(conv(x, 3, "last") - labels) * tf.cast(x > 0, tf.float32))


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (regularised, ("last", 7)),
        (of_a_code, ("last", 7)),
        (of_a_residual, ("last", 3)),
        (both_heads, r"'one' \(32 x 32 x 1\), 'two' \("),
        (weighted, "'last' .*'Cast' "),
        (of_the_input, "Name the output"),
    ],
)
def test_losses_that_also_read_other_tensors(loss, found):
    tf = needed("tensorflow")
    v1 = tf.compat.v1

    def conv(x, size, name):
        weights = v1.get_variable(f"{name}_weights", [size, size, 1, 1])
        return tf.nn.conv2d(x, weights, 1, "SAME", name=name)

    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 32, 32, 1], "image")
        labels = v1.placeholder(tf.float32, [None, 32, 32, 1], "labels")
        v1.train.GradientDescentOptimizer(0.1).minimize(loss(conv, x, labels))
    if isinstance(found, str):
        with pytest.raises(rf.ReceptiveFieldError, match=found):
            rf.compute_receptive_field(graph)
    else:
        name, size = found
        field = rf.compute_receptive_field(graph)
        assert (field.output, field.size.tolist()) == (name, [size, size])
