"""Which tensors are taken for the input and the output of graphs that state neither."""

import pytest
from needed import needed

import receptive_field as rf
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
        (graphs.two_heads, ["image"], ["kind", "box"]),
        (graphs.two_images, ["one", "two"], ["both"]),
        (graphs.spoken_words, ["mfcc"], ["pool"]),
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


def test_flattened_images_are_seen_in_their_shape():
    flat = graphs.graph_def_of(lambda: graphs.classifier(flattened=True))
    field = rf.compute_receptive_field(flat)
    assert (field.input, field.output) == ("image", "pool2")
    assert [axis.input_size for axis in field.axes] == [28, 28]
    # Asked about by name, they are what they are: 784 positions.
    assert rf.compute_receptive_field(flat, input="pixels", output="pool2").axes[
        0
    ].input_size == (784)


def test_several_candidates_are_listed_with_their_shapes():
    with pytest.raises(rf.ReceptiveFieldError) as error:
        rf.compute_receptive_field(graphs.graph_def_of(graphs.two_images))
    assert "('one': [?, 28, 28, 1], 'two': [?, ?, 28, 3])" in str(error.value)
    with pytest.raises(rf.ReceptiveFieldError) as error:
        rf.compute_receptive_field(graphs.graph_def_of(graphs.two_heads))
    assert "[?, 10]" in str(error.value)
    assert "'box': [?, 4]" in str(error.value)


def test_a_sound_in_a_file_names_where_the_analysis_ends():
    graph = graphs.graph_def_of(graphs.spoken_words)
    for name in (None, "wav_data", "spectrogram"):
        with pytest.raises(rf.ReceptiveFieldError, match=r"ends at 'mfcc' \(Mfcc\)"):
            rf.compute_receptive_field(graph, input=name)
    # Who states rules for the decoders can ask about the file.
    rules = dict.fromkeys(["DecodeWav", "spectrogram", "mfcc"], "global")
    assert rf.compute_receptive_field(graph, overrides=rules).is_global
    # A convolution of 5 and a pooling of 2: 6.
    field = rf.compute_receptive_field(graph, input="image", output="pool")
    assert list(field)[:4] == [6, 6, 2, 2]
