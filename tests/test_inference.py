"""What is worked out of shapes and values, against what TensorFlow computes."""

import numpy as np
import op_catalogue
import pytest
from dependency import traced
from graphs import IMAGE as X
from graphs import integers, single
from needed import needed
from raw_ops import op, words

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.questions.question import Options, Question
from receptive_field.relations.relation import ALL, ALL_BOUND, full, ranked
from receptive_field.rules.inference import Inference

tf = needed("tensorflow")

A = np.array([[4, -3, 7], [2, 9, -5]], np.int32)
B = np.array([[3, 2, -2], [5, 4, 1]], np.int32)
F = np.array([[1.5, -2.0, 0.25]], np.float32)
T = np.array([True, False, True])

VALUES = {
    **{
        name: (name, [A, B])
        for name in words(
            "Add AddV2 Sub Mul Maximum Minimum FloorDiv FloorMod Equal NotEqual Less "
            "LessEqual Greater GreaterEqual"
        )
    },
    **{name: (name, [A]) for name in words("Abs Neg Square Identity")},
    **{name: (name, [F]) for name in words("Ceil Floor")},
    **{name: (name, [T, T[::-1]]) for name in words("LogicalAnd LogicalOr")},
    **{
        f"{name} {axes}": (name, [A, axes], {"keep_dims": keep})
        for name in words("Sum Prod Max Min")
        for axes, keep in (([0], False), ([1], True), ([0, 1], False))
    },
    "All": ("All", [T, [0]]),
    "Any": ("Any", [T, [0]]),
    "LogicalNot": ("LogicalNot", [T]),
    "Sqrt": ("Sqrt", [F * F]),
    "RealDiv": ("RealDiv", [F, F + 4]),
    "Div of whole numbers": ("Div", [A, B]),
    "Div of fractions": ("Div", [F, F + 4]),
    "AddN": ("AddN", [[A, B, A]]),
    "BroadcastArgs": ("BroadcastArgs", [[3, 1], [2, 1, 4]]),
    "BroadcastTo": ("BroadcastTo", [A[:, :1], [2, 3]]),
    "Cast": ("Cast", [F], {"DstT": tf.int32}),
    "Cast to complex numbers": ("Cast", [F], {"DstT": tf.complex64}),
    "Cast to flags": ("Cast", [A - 4], {"DstT": tf.bool}),
    "Concat": ("Concat", [1, [A, B]]),
    "ConcatV2": ("ConcatV2", [[A, B], -1]),
    "ExpandDims": ("ExpandDims", [A, -1]),
    "Fill": ("Fill", [[2, 2], np.int32(7)]),
    "Gather": ("Gather", [A, [1, 0, 1]]),
    "GatherV2": ("GatherV2", [A, [2, 0], 1]),
    "GatherV2 of a scalar": ("GatherV2", [A, 1, 0]),
    "IdentityN": ("IdentityN", [[A, B]]),
    "InvertPermutation": ("InvertPermutation", [[2, 0, 1]]),
    "OnesLike": ("OnesLike", [A]),
    "ZerosLike": ("ZerosLike", [A]),
    "Pack": ("Pack", [[A, B]], {"axis": 1}),
    "Range": ("Range", [1, 9, 3]),
    "Rank": ("Rank", [A]),
    "Reshape": ("Reshape", [A, [3, -1]]),
    "SelectV2": ("SelectV2", [T, A, B]),
    "Shape": ("Shape", [A]),
    "ShapeN": ("ShapeN", [[A, A[0]]]),
    "Size": ("Size", [A]),
    "Slice": ("Slice", [A, [0, 1], [2, -1]]),
    "Squeeze": ("Squeeze", [A[None, :, None]], {"axis": [0]}),
    "StridedSlice": (
        "StridedSlice",
        [A, [0, 2], [2, 0], [1, -1]],
        {"begin_mask": 1, "shrink_axis_mask": 0},
    ),
    "StridedSlice with new axes": (
        "StridedSlice",
        [A, [1, 0, 0], [2, 1, 3], [1, 1, 2]],
        {"shrink_axis_mask": 1, "new_axis_mask": 2},
    ),
    "Tile": ("Tile", [A, [2, 1]]),
    "Transpose": ("Transpose", [A, [1, 0]]),
    "Unpack": ("Unpack", [A], {"num": 3, "axis": 1}),
}
"""Name -> op type, its inputs, which are constants, and its attributes."""


@pytest.mark.parametrize("name", VALUES)
def test_values_are_those_that_tensorflow_computes(name):
    kind, inputs, *attributes = VALUES[name]
    graph = tf.Graph()
    with graph.as_default():
        made = op(kind, *inputs, **(attributes[0] if attributes else {}))
        made = list(made) if isinstance(made, (list, tuple)) else [made]
    with tf.compat.v1.Session(graph=graph) as session:
        expected = session.run(made)
    loaded = load(graph.as_graph_def()).graph
    for tensor, truth in zip(made, expected, strict=True):
        # Types of more bits hold the same numbers.
        place = loaded.tensor(tensor.name.removesuffix(":0"))
        found = Inference(loaded).value(place)
        assert found is not None
        assert found.tolist() == truth.tolist()
        assert Inference(loaded).shape(place) == truth.shape
        flat = Inference(loaded).integers(place)
        assert flat == truth.ravel().tolist()


FILTER = (3, 3, 5, 3)
STRIDES = {"strides": integers([1, 2, 2, 1]), "padding": 's: "SAME"'}
UNKNOWN = {
    "SplitV": ([X, [[2, 4], [5, 1]], 1], {"num_split": "i: 2"}),
    "Transpose": ([X, [[0, 1, 2, 3], [0, 2, 1, 3]]], {}),
    "Reshape": ([X, [[1, 6, 4, 3], [1, 4, 6, 3], [2, 3, 4, 3]]], {}),
    "Tile": ([X, [[1, 1, 1, 1], [1, 2, 1, 1]]], {}),
    "Roll": ([X, [[1], [2]], [1]], {}),
    "StridedSlice": ([X, [0, 0], [1, 4], [[1, 1], [1, 2]]], {}),
    "ResizeBilinear": ([X, [[6, 4], [12, 8], [3, 3]]], {}),
    "ScaleAndTranslate": (
        [X, [4, 4], [[1, 1], [2, 2]], [0, 0]],
        {"kernel_type": 's: "triangle"', "antialias": "b: false"},
    ),
    "CropAndResize": ([X, (2, 4), (2,), [[6, 4], [3, 2]]], {}),
    "ImageProjectiveTransformV3": ([X, (1, 8), [[6, 4], [3, 2]], 0], {}),
    "RFFT2D": ([X, [[6, 4], [3, 2], [8, 8]]], {}),
    "IRFFT2D": ([X, [[6, 4], [3, 2], [8, 8]]], {}),
    "Conv2DBackpropInput": ([[[1, 12, 8, 5], [1, 11, 7, 5]], FILTER, X], STRIDES),
    "RandomPoissonV2": ([[[2], [5]], X], {}),
}
"""Op -> its inputs, of which one has several possible values, and its attributes."""


@pytest.mark.parametrize("has_shape", [True, False])
@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_said_of_an_unknown_parameter_holds_for_every_value(name, has_shape):
    inputs, attributes = UNKNOWN[name]
    place = next(i for i, given in enumerate(inputs) if np.ndim(given) == 2)

    def field_of(given):
        made = [*inputs[:place], given, *inputs[place + 1 :]]
        graph = single(name, made, **attributes)
        return rf.compute_receptive_field(graph, input=X, output="out")

    values = inputs[place]
    found = field_of((len(values[0]) if has_shape else None,))
    for value in values:
        known = field_of(value)
        assert (found.size >= known.size).all()
        for one, two in zip(found.axes, known.axes, strict=True):
            assert not one.map.exact or two.map.exact
            assert not one.map.exact or one.map.size() == two.map.size()
        for number, padding in enumerate(found.padding):
            if padding is not None:
                assert padding == known.padding[number]
                assert found.stride[number] == known.stride[number]
        if found.aligned is not None:
            assert found.aligned == known.aligned


def test_positions_that_are_the_rest_of_an_axis():
    graph = single("SplitV", [X, [2, -1], 1], num_split="i: 2")
    found = rf.compute_receptive_fields(graph, input=X, outputs=["out:0", "out:1"])
    assert [f.padding.tolist() for f in found.values()] == [[0, 0], [0, -2]]
    assert [f.axes[1].output_size for f in found.values()] == [2, 4]


def test_the_size_of_a_transposed_convolution_without_batch_and_channels():
    graph = single("Conv2DBackpropInput", [[11, 8], FILTER, X], **STRIDES)
    found = rf.compute_receptive_field(graph, input=X, output="out")
    assert [axis.output_size for axis in found.axes] == [8, 11]


AT_OTHER_SIZES = {
    "Squeeze": lambda x: tf.squeeze(tf.nn.max_pool2d(x, 4, 4, "VALID"), [1]),
    "Unpack": lambda x: tf.stack(tf.unstack(x, axis=1), 1),
    "Split": lambda x: tf.split(x, 2, 1)[1],
    "SplitV": lambda x: tf.split(x, [1, 3], 1)[1],
    "SplitV of the rest": lambda x: tf.split(x, [3, -1], 1)[1],
    "Slice": lambda x: tf.slice(x, [0, 1, 0, 0], [1, 3, 4, 4]),
    "Slice of the rest": lambda x: tf.slice(x, [0, 3, 0, 0], [1, -1, 4, 4]),
    "StridedSlice": lambda x: x[:, 1:4],
    "StridedSlice of a row": lambda x: x[:, 3:4] + x[:, 3][:, None],
    "StridedSlice of a row from the end": lambda x: x[:, -4][:, None],
    "BroadcastTo": lambda x: tf.broadcast_to(x[:, ::4], [1, 2, 4, 4]),
    "SpaceToDepth": lambda x: tf.nn.space_to_depth(x, 2),
    "SpaceToBatch": lambda x: tf.space_to_batch(x, [2, 2], [[0, 0], [0, 0]]),
    "MirrorPad": lambda x: tf.pad(x, [[0, 0], [3, 3], [0, 0], [0, 0]], "REFLECT"),
}
"""What is built for a height of 4, and does not run at every other height."""


@pytest.mark.parametrize("name", AT_OTHER_SIZES)
def test_heights_at_which_tensorflow_cannot_run_are_refused(name):
    trace = traced(AT_OTHER_SIZES[name], (1, 4, 4, 4))
    built = trace.graph.as_graph_def()
    refused = 0
    for height in range(2, 10):
        try:
            sizes = _sizes_at(height, built, trace.output.name)
            if 0 in sizes:
                continue
        except (ValueError, tf.errors.InvalidArgumentError):
            refused += 1
            with pytest.raises(rf.ReceptiveFieldError):
                _field_at(height, built, trace.output.name)
        else:
            field = _field_at(height, built, trace.output.name)
            for axis in field.feature_axes:
                if axis.output_axis is not None:
                    assert axis.size == sizes[axis.output_axis]
    assert refused < 8
    assert refused or name == "StridedSlice"


def _sizes_at(height, built, output):
    """The shape that TensorFlow computes."""
    definition = type(built).FromString(built.SerializeToString())
    shape = tf.TensorShape([1, height, 4, 4])
    definition.node[0].attr["shape"].shape.CopyFrom(shape.as_proto())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        return session.run(output, {"input:0": np.ones(shape)}).shape


def _field_at(height, built, output):
    return rf.compute_receptive_field(
        built, input="input", output=output, input_resolution=[height, 4]
    )


def test_a_slice_written_outside_of_its_tensor():
    """Some devices fail, and others write nothing."""
    graph = single("TensorScatterUpdate", [X, [[9]], (1, 6, 4, 3)])
    found = rf.compute_receptive_field(graph, input=X, output="out")
    assert found.size.tolist() == [1, 1]
    assert not found.exact


def test_a_shape_that_is_ensured_without_being_stated():
    graph = single("EnsureShape", [X], shape="shape { unknown_rank: true }")
    found = rf.compute_receptive_field(graph, input=X, output="out")
    assert found.size.tolist() == [1, 1]
    assert [axis.output_size for axis in found.axes] == [4, 6]


def test_an_inverse_needs_the_whole_permutation():
    graph = single("InvertPermutation", [(8,)])
    found = rf.compute_receptive_field(graph, input="given0", output="out")
    assert found.size.tolist() == [np.inf]


def test_a_table_is_read_key_by_key():
    graph = single("LookupTableFindV2", [(2,), X, 0])
    found = rf.compute_receptive_field(graph, input=X, output="out")
    assert (found.size.tolist(), found.exact) == ([1, 1], True)


def test_a_row_that_is_broadcast_by_an_einsum():
    equation = 's: "...wc,...cd->...wd"'
    graph = single("Einsum", [(1, 1, 4, 3), (1, 5, 3, 2)], equation=equation)
    found = rf.compute_receptive_field(graph, input="given0", output="out")
    rows = found.compute_input_region([[2, 0], [2, 4]])[:, 1]
    assert rows.tolist() == [[0, 0], [0, 0]]


def test_the_positions_that_a_pooling_draws_are_not_computed_from_its_input():
    ratio = "list { f: 1 f: 1.5 f: 1.5 f: 1 }"
    graph = single("FractionalMaxPool", [X], pooling_ratio=ratio)
    with pytest.raises(rf.ReceptiveFieldError, match="does not depend"):
        rf.compute_receptive_field(graph, input=X, output="out:1")


def test_counts_of_a_vector_need_all_of_it():
    graph = single("DenseBincount", [(8,), 5, (0,)])
    found = rf.compute_receptive_field(graph, input="given0", output="out")
    assert found.size.tolist() == [np.inf]
    assert found.exact


def test_counts_of_what_may_be_a_matrix_may_be_by_row():
    model = load(single("DenseBincount", [X, 5, (0,)]))
    network = Question.ask(model, X, ["out"], Options()).network
    out = network.graph.tensor("out")
    assert network.told(None).relations(out)[0] == ALL_BOUND


def test_an_axis_of_several_positions_is_not_dropped():
    graph = single("Squeeze", [X], squeeze_dims=integers([1]))
    with pytest.raises(rf.ReceptiveFieldError, match=r"'out' drops axis 1.* not 6"):
        rf.compute_receptive_field(graph, input=X, output="out")


@pytest.mark.parametrize("name", op_catalogue.NETWORKS)
def test_rules_of_tensors_of_unknown_rank(name):
    """They know what a tensor depends on at all, or name the node and refuse."""
    trace = traced(op_catalogue.NETWORKS[name], (1, 4, 5, 2))
    model = load(trace.graph.as_graph_def())
    question = Question.ask(model, trace.input.name, [trace.output.name], Options())
    network = question.network
    nothing = network.told(None)
    for index in network.order:
        tensor = index, 0
        try:
            found = nothing.relations(tensor)
            nothing.shape(tensor)
        except rf.ReceptiveFieldError as error:
            refused = str(error)
            found = None
        if found is None:
            assert network.graph.nodes[index].name in refused
            continue
        known = network.relations(tensor)
        for number, below in network.edges(index):
            assert (found[number] is None) == (known[number] is None)
            if found[number] == ALL:  # It is certain that all of it is needed.
                whole = full(len(network.shape(below)))
                assert ranked(known[number], len(whole.axes)).axes == whole.axes
