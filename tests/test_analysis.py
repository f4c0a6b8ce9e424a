"""The public functions on small graphs: the paper's examples, and bad graphs."""

import doctest
from fractions import Fraction

import numpy as np
import pytest
from graphs import (
    add,
    constant,
    conv,
    graph_def,
    integers,
    node,
    pad,
    placeholder,
    pool,
    variable,
)

import receptive_field as rf
from receptive_field import api, original

INPUT = placeholder()
EXAMPLE_OUTPUT = "InceptionResnetV2/Conv2d_7b_1x1/Relu"

TWO_LAYERS = graph_def(
    INPUT,
    pad("padded", "input", 1, 1),
    conv("one", "padded", 4, 2),
    conv("two", "one", 2),
)
MISALIGNED = graph_def(
    INPUT,
    pad("padded", "input", 2, 1),
    conv("left", "padded", 5, 2),
    conv("right_1", "input", 3),
    conv("right_2", "right_1", 3),
    add("output", "left", "right_2"),
)
ALIGNED = graph_def(
    INPUT,
    conv("left", "input", 1, 4),
    pad("padded", "input", 1, 1),
    conv("right_1", "padded", 3, 2),
    conv("right_2", "right_1", 1, 2),
    add("output", "left", "right_2"),
)


def from_graph_def(graph, output="output", **options):
    return rf.compute_receptive_field_from_graph_def(graph, "input", output, **options)


def test_the_numbers_of_the_readme():
    field = rf.compute_receptive_field_from_graph_def(
        rf.EXAMPLE_GRAPH, "input_image", EXAMPLE_OUTPUT
    )
    rf_x, rf_y, stride_x, stride_y, padding_x, padding_y = field
    assert (rf_x, rf_y) == (3039, 3039)
    assert (stride_x, stride_y) == (32, 32)
    assert (padding_x, padding_y) == (1482, 1482)
    assert field.compute_input_center_coordinates([0, 2]).tolist() == [37, 101]
    assert field.compute_feature_coordinates([37, 101]).tolist() == [0, 2]
    assert field.aligned
    assert field.exact


def test_the_two_layers_of_the_paper():
    """u2 = v2 = 0, u1 = 0, v1 = 1, u0 = -1, v0 = 4."""
    top = rf.compute_receptive_field(TWO_LAYERS, input="one", output="two")
    assert top.compute_input_region([0, 0]).tolist() == [[0, 1], [0, 1]]
    whole = rf.compute_receptive_field(TWO_LAYERS)
    assert whole.compute_input_region([0, 0]).tolist() == [[-1, 4], [-1, 4]]


def test_the_aligned_network_of_the_paper():
    for field in (
        from_graph_def(ALIGNED),
        rf.compute_receptive_field(ALIGNED, require_aligned=True),
    ):
        assert list(field) == [3, 3, 4, 4, 1, 1]
        assert field.aligned is True


def test_the_misaligned_network_of_the_paper():
    field = rf.compute_receptive_field(MISALIGNED)
    assert field.aligned is False
    assert field.exact
    regions = field.compute_input_region([[1, 1], [2, 2]])
    sizes = regions[..., 1] - regions[..., 0] + 1
    assert sizes.tolist() == [[6, 6], [5, 5]]
    assert field.stride.tolist() == [None, None]
    assert field.padding.tolist() == [None, None]


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: from_graph_def(MISALIGNED),
        lambda: rf.compute_receptive_field(MISALIGNED, require_aligned=True),
        lambda: rf.compute_receptive_fields(MISALIGNED, require_aligned=True),
    ],
)
def test_a_misaligned_graph_is_refused_with_both_paths(refuse):
    with pytest.raises(rf.ReceptiveFieldError) as error:
        refuse()
    message = str(error.value)
    assert "from 'input' to 'output'" in message
    assert "'padded' with stride 2" in message
    assert "'right_1' with stride 1" in message


def test_centres_are_multiples_of_the_stride_when_padding_is_half_the_kernel():
    nodes, below = [INPUT], "input"
    for i, (kernel, stride) in enumerate([(7, 2), (3, 2), (1, 1), (5, 3)]):
        half = (kernel - 1) // 2
        nodes += [
            pad(f"p{i}", below, half, half),
            conv(f"c{i}", f"p{i}", kernel, stride),
        ]
        below = f"c{i}"
    field = rf.compute_receptive_field(graph_def(*nodes))
    centres = field.compute_input_center_coordinates([[u, u] for u in range(4)])
    assert centres[:, 0].tolist() == [0, 12, 24, 36]


@pytest.mark.parametrize("size", range(3, 12))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_same_padding_depends_on_the_size_as_tensorflow_documents(size, stride, kernel):
    graph = graph_def(INPUT, conv("output", "input", kernel, stride, "SAME"))
    field = from_graph_def(graph, input_resolution=[size, size])
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    assert list(field) == [kernel] * 2 + [stride] * 2 + [total // 2] * 2


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        (1, 3, 0),
        (2, 3, 0),
        (5, 1, 2),
        (4, 1, 1),
        (4, 2, 1),
        (6, 2, 2),
        (3, 2, None),
        (5, 3, None),
        (3, 4, None),
    ],
)
def test_same_padding_of_an_unknown_size(kernel, stride, padding):
    graph = graph_def(INPUT, conv("output", "input", kernel, stride, "SAME"))
    field = from_graph_def(graph)
    assert list(field) == [kernel] * 2 + [stride] * 2 + [padding] * 2
    assert list(rf.compute_receptive_field(graph)) == list(field)


def test_an_unknown_padding_on_one_axis_hides_both_in_the_original_interface():
    graph = graph_def(
        placeholder(sizes=(1, None, 9, 1)), conv("output", "input", (3, 1), 2, "SAME")
    )
    assert list(from_graph_def(graph)) == [1, 3, 2, 2, None, None]
    assert list(rf.compute_receptive_field(graph)) == [1, 3, 2, 2, 0, None]
    with pytest.raises(rf.ReceptiveFieldError, match="Give input_resolution"):
        from_graph_def(graph).compute_input_center_coordinates([0, 0])


def test_paths_whose_alignment_is_unknown():
    graph = graph_def(
        INPUT,
        conv("left", "input", 3, 2, "SAME"),
        conv("right", "input", 1, 2, "SAME"),
        add("output", "left", "right"),
    )
    field = rf.compute_receptive_field(graph)
    assert list(field) == [3, 3, 2, 2, None, None]
    assert field.aligned is None
    with pytest.raises(rf.ReceptiveFieldError, match="Give input_resolution"):
        rf.compute_receptive_field(graph, require_aligned=True)
    even, odd = ([n, n] for n in (8, 7))
    assert rf.compute_receptive_field(graph, input_resolution=even).aligned is False
    assert rf.compute_receptive_field(graph, input_resolution=odd).aligned is True


def test_sizes_in_the_graph_are_used_unless_they_are_replaced():
    graph = graph_def(
        placeholder(sizes=(1, 7, 8, 1)), conv("output", "input", 3, 2, "SAME")
    )
    assert rf.compute_receptive_field(graph).padding.tolist() == [0, 1]
    unknown = rf.compute_receptive_field(graph, input_resolution="unknown")
    assert unknown.padding.tolist() == [None, None]
    replaced = rf.compute_receptive_field(graph, input_resolution=[8, 7])
    assert replaced.padding.tolist() == [1, 0]
    assert from_graph_def(graph).padding.tolist() == [None, None]


@pytest.mark.parametrize(
    "resolution",
    [[7], [7, 7, 7], [0, 7], [7, -1], ["a", "b"], [7.5, 7], 0, 7.5, "known", [[7, 7]]],
)
def test_resolutions_that_make_no_sense(resolution):
    with pytest.raises(rf.ReceptiveFieldError, match="input_resolution"):
        rf.compute_receptive_field(TWO_LAYERS, input_resolution=resolution)


def test_axes_differ_and_x_comes_first():
    graph = graph_def(INPUT, conv("output", "input", (3, 5)))
    field = rf.compute_receptive_field(graph)
    assert field.size.tolist() == [5, 3]
    assert [axis.input_axis for axis in field.axes] == [2, 1]


def test_a_channels_first_graph_is_told_by_its_ops():
    graph = graph_def(
        placeholder(sizes=(1, 1, None, None)),
        node("relu", "Relu", ["input"]),
        variable("weights", (3, 5, 1, 1)),
        node(
            "output",
            "Conv2D",
            ["relu", "weights"],
            strides=integers([1, 1, 2, 3]),
            padding='s: "VALID"',
            data_format='s: "NCHW"',
        ),
    )
    field = rf.compute_receptive_field(graph)
    assert list(field) == [5, 3, 3, 2, 0, 0]
    assert [axis.input_axis for axis in field.axes] == [3, 2]


def test_only_what_lies_between_input_and_output_counts():
    graph = graph_def(
        INPUT,
        conv("output", "input", 3),
        node("odd", "NobodyKnowsThis", ["output"]),
        node("behind", "NorThis", ["odd"]),
        node("source", "OrThat"),
        node("loop_1", "AddV2", ["loop_2", "source"]),
        node("loop_2", "Relu", ["loop_1"]),
        node("unrelated", "Relu", ["^output", "source"]),
    )
    assert list(from_graph_def(graph)) == [3, 3, 1, 1, 0, 0]
    fields = rf.compute_receptive_fields(graph)
    assert list(fields) == ["output"]
    assert set(fields.errors) == {"odd", "behind"}
    with pytest.raises(rf.ReceptiveFieldError, match="NobodyKnowsThis"):
        fields["behind"]
    with pytest.raises(KeyError):
        fields["source"]


def test_unsupported_ops_are_told_all_at_once():
    graph = graph_def(
        INPUT,
        *(node(f"a{i}", "Odd", [f"a{i - 1}" if i else "input"]) for i in range(5)),
        node("b", "Even", ["a4"]),
        node("output", "Relu", ["b"]),
    )
    with pytest.raises(rf.ReceptiveFieldError) as error:
        from_graph_def(graph)
    message = str(error.value)
    assert message.startswith("no rule for 2 op types between input and output: ")
    assert "Odd (a0, a1, a2 and 2 more)" in message
    assert "Even (b)" in message
    assert "stop_propagation" in message
    assert error.value.nodes == {"Odd": ["a0", "a1", "a2", "a3", "a4"], "Even": ["b"]}


def test_stop_propagation_cuts_by_prefix():
    graph = graph_def(
        INPUT,
        conv("branch/wide", "input", 9),
        conv("branch_2/narrow", "input", 3),
        node("odd", "NobodyKnowsThis", ["input"]),
        node("output", "AddN", ["branch/wide", "branch_2/narrow", "odd"]),
    )
    stop = ["branch/", "odd"]
    assert from_graph_def(graph, stop_propagation=stop).size.tolist() == [3, 3]
    narrow = ["branch_2", "odd"]
    assert from_graph_def(graph, stop_propagation=narrow).size.tolist() == [9, 9]
    fields = rf.compute_receptive_fields(graph, stop_propagation=stop)
    assert fields["output"].size.tolist() == [3, 3]
    with pytest.raises(rf.ReceptiveFieldError, match="does not depend on the input"):
        from_graph_def(graph, stop_propagation=["branch", "odd"])
    with pytest.raises(rf.ReceptiveFieldError, match="does not depend on the input"):
        from_graph_def(graph, stop_propagation="input")


def test_global_operations_see_everything():
    graph = graph_def(
        INPUT,
        conv("layer", "input", 3, 2),
        constant("axes", [1, 2]),
        node("mean", "Mean", ["layer", "axes"], keep_dims="b: true"),
        node("gated", "Mul", ["layer", "mean"]),
        conv("output", "gated", 3, 2),
    )
    fields = rf.compute_receptive_fields(graph)
    for name in ("mean", "gated", "output"):
        assert fields[name].size.tolist() == [np.inf, np.inf]
        assert fields[name].stride.tolist() == [None, None]
        assert fields[name].global_nodes == ("mean",)
    # What the stride below leaves out, at the end of the axis, is not known.
    assert not fields["mean"].exact
    assert fields["mean"].local is None
    assert list(fields["output"].local) == [7, 7, 4, 4, 0, 0]
    assert fields["output"].local.exact
    limits = [np.iinfo(np.int64).min, np.iinfo(np.int64).max]
    region = fields["output"].compute_input_region([0, 0])
    assert region.tolist() == [limits, limits]
    assert list(fields["layer"]) == [3, 3, 2, 2, 0, 0]


def test_shapes_and_random_numbers_cut_the_dependency():
    graph = graph_def(
        INPUT,
        conv("output", "input", 3),
        node("shape", "Shape", ["input"]),
        node("noise", "RandomUniform", ["shape"]),
        node("sum", "AddV2", ["output", "noise"]),
    )
    assert list(from_graph_def(graph, "sum")) == [3, 3, 1, 1, 0, 0]
    with pytest.raises(rf.ReceptiveFieldError, match="does not depend"):
        from_graph_def(graph, "noise")


def test_upsampling_has_a_fractional_stride():
    graph = graph_def(
        INPUT,
        node("shape", "Shape", ["input"]),
        constant("begin", [1]),
        constant("end", [3]),
        constant("step", [1]),
        node("sizes", "StridedSlice", ["shape", "begin", "end", "step"]),
        constant("two", [2], []),
        node("doubled", "Mul", ["sizes", "two"]),
        node("up", "ResizeNearestNeighbor", ["input", "doubled"]),
        pool("down", "up"),
    )
    fields = rf.compute_receptive_fields(graph)
    assert fields["up"].stride.tolist() == [Fraction(1, 2)] * 2
    assert fields["up"].padding.tolist() == [None, None]
    assert list(fields["down"]) == [1, 1, 1, 1, 0, 0]
    centres = fields["up"].compute_input_center_coordinates([[3, 4], [3.5, 4.5]])
    assert centres.tolist() == [[1, 2], [1.5, 2]]
    with pytest.raises(rf.ReceptiveFieldError, match="are not evenly spaced"):
        fields["up"].compute_feature_coordinates([1, 1])


def test_strides_outgrow_machine_integers():
    nodes = [pool(f"p{i}", f"p{i - 1}" if i else "input", 8, 8) for i in range(30)]
    field = rf.compute_receptive_field(graph_def(INPUT, *nodes))
    assert field.stride.tolist() == [8**30] * 2
    assert field.size.dtype == object
    with pytest.raises(rf.ReceptiveFieldError, match="64-bit"):
        field.compute_input_region([1, 1])


def test_mirrored_padding_counts_as_padding_and_shows_the_inside():
    graph = graph_def(
        placeholder(sizes=(1, 9, 9, 1)),
        pad("mirrored", "input", 3, 3, "MirrorPad"),
        conv("output", "mirrored", 2),
    )
    field = rf.compute_receptive_field(graph)
    assert list(field) == [2, 2, 1, 1, 3, 3]
    assert field.aligned
    # The first feature reads two positions of the padding: 3 and 2, mirrored.
    assert field.compute_input_region([[0, 0]])[0, 0].tolist() == [2, 3]
    assert field.compute_input_region([[5, 5]])[0, 0].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([INPUT, conv("output", "gone")], "'output' reads 'gone', which is not in"),
        ([INPUT, INPUT], "two nodes of the graph are named 'input'"),
        (
            [INPUT, add("a", "input", "output"), node("output", "Relu", ["a"])],
            "cycle between input and output",
        ),
        (
            [INPUT, node("output", "AddV2", ["input", "output"])],
            "cycle between input and output",
        ),
        (
            [INPUT, node("w", "Placeholder"), node("output", "Conv2D", ["input", "w"])],
            "kernel of unknown shape",
        ),
        (
            [INPUT, node("output", "Conv2D", ["input"])],
            "has 1 inputs, but requires at least 2",
        ),
        ([INPUT, conv("output", "input", 0)], "kernel size 0"),
        ([INPUT, conv("output", "input", 3, 0)], "stride 0"),
        ([INPUT, conv("output", "input", 3, -2)], "stride -2"),
        ([INPUT, conv("output", "input", 3, 1, dilation=0)], "dilation 0"),
        ([INPUT, conv("output", "input", 3, 1, "FULL")], "padding 'FULL'"),
        ([INPUT, conv("output", "input", 3, 1, "EXPLICIT")], "explicit_paddings"),
        ([INPUT, pool("output", "input", 0)], "kernel size 0"),
        ([INPUT, pool("output", "input", 2, 0)], "stride 0"),
        ([INPUT, node("output", "MaxPool", ["input"])], "unknown values of ksize"),
        (
            [placeholder(sizes=(1, None, 1)), conv("output", "input")],
            "requires an input of rank 4, but input has rank 3",
        ),
        (
            [INPUT, node("output", "Pad", ["input", "input"])],
            "unknown paddings",
        ),
        (
            [INPUT, constant("axes", [7]), node("output", "Mean", ["input", "axes"])],
            r"refers to axis 7, which a tensor of rank 4 does not have",
        ),
        (
            [placeholder(sizes=(1, 5, 5, 1)), conv("output", "input", 7)],
            "'output' makes the feature map vanish",
        ),
    ],
)
def test_graphs_that_cannot_be_analysed(nodes, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message) as error:
        rf.compute_receptive_field(graph_def(*nodes), input="input", output="output")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("inptu", "two"), "there is no node 'inptu'. Did you mean 'input'"),
        (("input", "tow"), "Did you mean 'two'"),
        (("input", "weights"), "2 names match 'weights': one/weights, two/weights"),
        (("input", "two:x"), "a number must follow the colon"),
        (("input", "two:1"), "has 1 output"),
        (("input", "one/weights"), "does not depend on the input"),
        (("two", "one"), "does not depend on the input"),
        ((3, "one"), "must be a name or a tensor"),
    ],
)
def test_names_that_are_not_there(names, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        rf.compute_receptive_field(TWO_LAYERS, input=names[0], output=names[1])


def test_inputs_and_outputs_are_found_where_there_is_one_candidate():
    assert rf.compute_receptive_field(TWO_LAYERS).output == "two"
    two = graph_def(
        INPUT,
        placeholder("other"),
        add("a", "input", "other"),
        node("b", "Relu", ["a"]),
        node("c", "Relu", ["a"]),
    )
    with pytest.raises(
        rf.ReceptiveFieldError, match=r"\('input' \(\? x \? x 1\), 'other' "
    ):
        rf.compute_receptive_field(two, output="a")
    with pytest.raises(rf.ReceptiveFieldError, match=r"\('b' \(.*\), 'c' \("):
        rf.compute_receptive_field(two, input="input")
    with pytest.raises(rf.ReceptiveFieldError, match="no placeholders could"):
        rf.compute_receptive_field(TWO_LAYERS, output="one/weights")


def test_one_number_is_the_size_of_all_axes():
    one = rf.compute_receptive_field(TWO_LAYERS, input_resolution=32)
    assert [axis.input_size for axis in one.axes] == [32, 32]


def test_the_input_sees_itself():
    field = rf.compute_receptive_field(TWO_LAYERS, input="one", output="one")
    assert list(field) == [1, 1, 1, 1, 0, 0]


def test_chosen_outputs_in_one_pass():
    fields = rf.compute_receptive_fields(TWO_LAYERS, outputs=["one", "two"])
    assert list(fields) == ["one", "two"]
    assert not fields.errors
    with pytest.raises(rf.ReceptiveFieldError, match="does not depend"):
        rf.compute_receptive_fields(TWO_LAYERS, input="input", outputs=["one/weights"])


@pytest.mark.parametrize(
    ("method", "coordinates", "message"),
    [
        ("compute_input_region", [0, 0, 0], "must have 2 entries"),
        ("compute_input_region", 3, "must have 2 entries"),
        ("compute_input_region", [0.5, 0], "must be integers"),
        ("compute_input_region", ["a", "b"], "must be numbers"),
        ("compute_input_center_coordinates", [0], "must have 2 entries"),
        ("compute_feature_coordinates", [[1], [2]], "must have 2 entries"),
    ],
)
def test_coordinates_that_do_not_fit(method, coordinates, message):
    field = rf.compute_receptive_field(TWO_LAYERS)
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        getattr(field, method)(coordinates)


def test_coordinates_of_some_axes():
    graph = graph_def(INPUT, conv("output", "input", (3, 5), 2))
    field = rf.compute_receptive_field(graph)
    assert field.compute_input_center_coordinates([[1], [2]], axis=[1]).tolist() == [
        [3],
        [5],
    ]
    assert field.compute_input_center_coordinates([1, 0], axis=(1, 0)).tolist() == [
        3,
        2,
    ]
    assert field.compute_feature_coordinates([[3.0]], axis=[0]).tolist() == [[0.5]]
    assert field.compute_input_region(np.zeros((4, 3, 2), int)).shape == (4, 3, 2, 2)
    for axis in ([2], ["x"]):
        with pytest.raises(rf.ReceptiveFieldError, match="axis must list indices"):
            field.compute_input_center_coordinates([1], axis=axis)


def test_results_print_what_they_say():
    text = str(rf.compute_receptive_field(ALIGNED))
    assert [line.split(maxsplit=1) for line in text.splitlines()[:2]] == [
        ["input", "input (unknown size)"],
        ["output", "output (unknown size)"],
    ]
    assert text.splitlines()[3:] == [
        "receptive field    3 x 3",
        "effective stride   4 x 4",
        "effective padding  1 x 1",
        "                   feature i sees positions 4i-1 to 4i+1 on each axis",
        "aligned            yes",
        "exact              yes",
    ]


@pytest.mark.slow
def test_twenty_thousand_layers_in_reverse_order():
    layers = graph_def(node("relu", "Relu", ["input"]), conv("conv", "input"))
    relu, weights, convolution = layers.node
    graph = type(layers)()
    for i in reversed(range(20_000)):
        layer = graph.node.add()
        layer.CopyFrom(convolution if i % 2 else relu)
        layer.name = f"n{i}"
        layer.input[0] = f"n{i - 1}" if i else "input"
    graph.node.add().CopyFrom(weights)
    graph.node.add().CopyFrom(graph_def(INPUT).node[0])
    field = rf.compute_receptive_field(graph)
    assert list(field) == [20_001, 20_001, 1, 1, 0, 0]
    assert list(rf.compute_receptive_fields(graph)["n19999"]) == list(field)


@pytest.mark.parametrize("module", [api, original])
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


def test_blocks_that_move_into_channels_and_back_change_nothing():
    nodes = [
        placeholder(sizes=(1, 12, 18, 4)),
        node("deep", "SpaceToDepth", ["input"], block_size="i: 3"),
        node("on", "Relu", ["deep"]),
        node("flat", "DepthToSpace", ["on"], block_size="i: 3"),
    ]
    field = rf.compute_receptive_field(graph_def(*nodes))
    assert field.size.tolist() == field.stride.tolist() == [1, 1]
    assert field.exact


@pytest.mark.parametrize("part", range(4))
def test_some_of_the_channels_that_hold_blocks_see_one_place_of_each(part):
    nodes = [
        placeholder(sizes=(1, 12, 18, 4)),
        node("deep", "SpaceToDepth", ["input"], block_size="i: 2"),
        constant("axis", [3], []),
        node("parts", "Split", ["axis", "deep"], num_split="i: 4"),
    ]
    output = f"parts:{part}" if part else "parts"
    field = rf.compute_receptive_field(graph_def(*nodes), output=output)
    assert (field.size.tolist(), field.stride.tolist()) == ([1, 1], [2, 2])
    y, x = divmod(part, 2)
    assert field.padding.tolist() == [-x, -y]
    assert field.exact
