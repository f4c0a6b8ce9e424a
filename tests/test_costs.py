"""FLOPs, multiply-adds and parameters, held against TensorFlow's profiler and Keras."""

import numpy as np
import op_catalogue
import pytest
from dependency import traced
from hypothesis import assume, given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from raw_ops import op, weights

import receptive_field as rf
from receptive_field import zoo
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow import load as tensorflow

keras = needed("keras")
tf = needed("tensorflow")
v1 = tf.compat.v1

FLOPS = (
    v1.profiler.ProfileOptionBuilder(v1.profiler.ProfileOptionBuilder.float_operation())
    .with_empty_output()
    .build()
)


def profiled(graph):
    """What the profiler counts in a graph."""
    found = v1.profiler.profile(graph, cmd="graph", options=FLOPS)
    return found.total_float_ops


def costs_of(trace):
    return rf.compute_costs(trace.graph, input=trace.input, output=trace.output)


def hold(build, shape=(1, 4, 5, 2), dtype="float64", complete=True):
    """The costs of a network, which must be what the profiler counts, or a bound."""
    trace = traced(build, shape, dtype)
    with trace.graph.as_default():
        end = tf.identity(trace.output, name="end")
    # Only what the output needs.
    needed = v1.graph_util.extract_sub_graph(trace.graph.as_graph_def(), ["end"])
    with tf.Graph().as_default() as graph:
        v1.import_graph_def(needed, name="")
    costs = rf.compute_costs(trace.graph, input=trace.input, output=end)
    assert costs.is_complete == complete
    if complete:
        assert costs.total.profiler_flops == profiled(graph)
    else:
        assert costs.total.profiler_flops <= profiled(graph)
    return costs


UNCOUNTED = {
    "Cholesky": "MatrixDiagV3",
    "MatrixInverse": "MatrixDiagV3",
    **{f"NonMaxSuppression{v}": "unknown" for v in ("", "V2", "V3", "V4", "V5")},
    "NonMaxSuppressionWithOverlaps": "unknown",
    **dict.fromkeys(["Enter", "Exit", "NextIteration", "LoopCond"], "how many times"),
    "Where": "unknown",
    **{f"Unique{v}": "known" for v in ("", "V2", "WithCounts", "WithCountsV2")},
}
"""Networks with an op without a rule, a size that depends on the data, or a loop."""


@pytest.mark.slow
@pytest.mark.parametrize("name", op_catalogue.NETWORKS)
def test_every_op_type(name):
    costs = hold(op_catalogue.NETWORKS[name], complete=name not in UNCOUNTED)
    if name in UNCOUNTED:
        assert UNCOUNTED[name] in " ".join(costs.uncounted.values())


def sizes(low=1, high=3):
    return st.integers(low, high)


@st.composite
def convolutions(draw):
    """Shape of the input, and one op that slides a window, with random parameters."""
    channels, filters = draw(sizes(1, 4)), draw(sizes(1, 4))
    shape = (draw(sizes(1, 2)), draw(sizes(5, 9)), draw(sizes(5, 9)), channels)
    kernel = draw(st.tuples(sizes(), sizes()))
    stride = draw(sizes(1, 2))
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    name = draw(
        st.sampled_from(
            ["Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "Dilation2D"]
        )
    )
    strides = [1, stride, stride, 1]
    if name.endswith("Pool"):
        ksize = [1, *kernel, 1]
        return shape, lambda x: op(
            name, x, ksize=ksize, strides=strides, padding=padding
        )
    if name == "Dilation2D":
        return shape, lambda x: op(
            name,
            x,
            weights(x, *kernel, channels),
            strides=strides,
            rates=[1, 1, 1, 1],
            padding=padding,
        )
    return shape, lambda x: op(
        name,
        x,
        weights(x, *kernel, channels, filters),
        strides=strides,
        padding=padding,
    )


@given(convolutions())
@examples(60)
def test_windows(drawn):
    shape, build = drawn
    hold(build, shape)


@given(st.data())
@examples(40)
def test_transposed_convolutions(data):
    stride, kernel = data.draw(sizes()), data.draw(st.tuples(sizes(), sizes()))
    shape = (1, data.draw(sizes(2, 5)), data.draw(sizes(2, 5)), data.draw(sizes()))
    filters = data.draw(sizes())
    new = [(n - 1) * stride + k for n, k in zip(shape[1:3], kernel, strict=True)]
    assume(stride <= min(kernel))

    def build(x):
        return op(
            "Conv2DBackpropInput",
            tf.constant([1, *new, filters]),
            weights(x, *kernel, filters, shape[-1]),
            x,
            strides=[1, stride, stride, 1],
            padding="VALID",
        )

    costs = hold(build, shape)
    # Every position of the input is multiplied with the whole kernel.
    assert costs.total.macs == int(np.prod(shape)) * int(np.prod(kernel)) * filters


@given(st.data())
@examples(40)
def test_products_of_matrices(data):
    batch, rows, inner, columns = (data.draw(sizes(1, 5)) for _ in range(4))
    one, two = data.draw(st.booleans()), data.draw(st.booleans())
    left = (batch, inner, rows) if one else (batch, rows, inner)
    right = (batch, columns, inner) if two else (batch, inner, columns)

    def build(x):
        return op("BatchMatMulV2", x, weights(x, *right), adj_x=one, adj_y=two)

    costs = hold(build, left)
    assert costs.total.macs == batch * rows * inner * columns


BINARY = ["Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "SquaredDifference"]


@given(st.data())
@examples(40)
def test_elementwise_ops_and_reductions(data):
    shape = tuple(data.draw(st.lists(sizes(1, 4), min_size=2, max_size=4)))
    name = data.draw(st.sampled_from(BINARY))
    reduction = data.draw(st.sampled_from(["Mean", "Sum", "Max", "ArgMax"]))
    broadcast = data.draw(st.booleans())

    def build(x):
        other = weights(x, *shape[1:]) if broadcast else x
        y = op(name, other, x)
        y = op("Rsqrt", op("Square", y))
        return op(reduction, y, tf.constant(data.draw(sizes(0, len(shape) - 1))))

    hold(build, shape)


def test_what_the_profiler_does_not_count():
    """Multiply-adds, counted by hand."""
    shape = (1, 4, 5, 2)

    def norm(x):
        scale = weights(x, 2)
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=scale,
            offset=scale,
            mean=scale,
            variance=scale,
            is_training=False,
        )[0]

    found = hold(norm, shape, "float32")
    assert found.total.macs == 40
    assert found.total.profiler_flops == 0
    assert found.unprofiled == {"FusedBatchNormV3": 80}
    einsum = hold(lambda x: tf.einsum("bhwc,cd->bhwd", x, weights(x, 2, 3)), shape)
    assert einsum.total.macs == 4 * 5 * 2 * 3
    assert einsum.unprofiled == {"Einsum": 240}
    resize = hold(
        lambda x: tf.raw_ops.ResizeBilinear(
            images=x, size=[8, 10], half_pixel_centers=True
        ),
        shape,
    )
    assert resize.total.macs == 8 * 10 * 2 * 4
    nearest = hold(lambda x: tf.repeat(tf.repeat(x, 2, 1), 2, 2), shape)
    assert nearest.total.macs == 0


@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2", "DenseNet121", "VGG16"])
def test_parameters_are_those_that_keras_counts(name):
    model = getattr(keras.applications, name)(weights=None)
    costs = rf.compute_costs(model)
    assert costs.total.parameters == model.count_params()
    for layer in model.layers[1:]:
        assert costs[layer.name].parameters == layer.count_params(), layer.name
    parts = sum(costs.values(), start=rf.Cost())
    assert parts == costs.total


@pytest.mark.parametrize("read", [load, tensorflow.model_of])
def test_a_layer_that_is_called_twice_has_its_parameters_once(read):
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(3, 3, name="twice")
    model = keras.Model(inputs, layer(layer(inputs)))
    costs = rf.compute_costs(read(model))
    assert costs.total.parameters == model.count_params()
    one, two = (costs[name] for name in costs if name.startswith("twice"))
    assert (one.parameters, two.parameters) == (model.count_params(), 0)
    assert one.macs == 6 * 6 * 9 * 3 * 3
    assert two.macs == 4 * 4 * 9 * 3 * 3


def test_a_frozen_graph_has_the_same_parameters(tmp_path):
    built = zoo.build("mobilenet_v1", [64, 64])
    (*_, last) = built.end_points.values()
    with built.graph.as_default(), v1.Session() as session:
        session.run(v1.global_variables_initializer())
        frozen = v1.graph_util.convert_variables_to_constants(
            session, built.graph.as_graph_def(), [last]
        )
    one = rf.compute_costs(built.graph, output=last)
    two = rf.compute_costs(frozen, output=last)
    assert one.total == two.total
    assert one.total.parameters == sum(
        int(np.prod(v.shape)) for v in built.graph.get_collection("variables")
    )


def test_several_inputs_and_outputs_are_one_model():
    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    sums = keras.layers.Add()([one, two])
    model = keras.Model(
        [one, two], [keras.layers.Conv2D(2, 3)(sums), keras.layers.Conv2D(4, 1)(one)]
    )
    costs = rf.compute_costs(model)
    assert costs.total.macs == 6 * 6 * 9 * 3 * 2 + 8 * 8 * 3 * 4
    assert costs.total.parameters == model.count_params()


@pytest.mark.parametrize(
    ("name", "options", "flops"),
    [
        # 8 * 8 positions with 3 channels, windows of 9 positions and 4 channels, a
        # multiply-add each; and a bias for each of 16 * 16 positions and 4 channels.
        ("Conv2DTranspose", (4, 3, 2, "same"), 2 * 8 * 8 * 3 * 9 * 4 + 16 * 16 * 4),
        # A mean of four pixels, weighted, for each of 16 * 16 positions and 3 channels.
        ("UpSampling2D", (2, None, "bilinear"), 2 * 16 * 16 * 3 * 4),
        ("UpSampling2D", (2,), 0),
    ],
)
def test_arithmetic_of_sizes_takes_no_flops(tmp_path, name, options, flops):
    keras = needed("keras")
    layer = getattr(keras.layers, name)(*options)
    model = keras.Sequential([keras.Input((8, 8, 3), batch_size=1), layer])
    model.save(tmp_path / "model.keras")
    model.export(tmp_path / "saved", verbose=False)
    for thing in (model, tmp_path / "model.keras", tmp_path / "saved"):
        assert rf.compute_costs(thing).total.flops == flops


def test_up_to_an_end_point():
    built = zoo.build("alexnet_v2", [227, 227])
    first, *_, last = built.end_points.values()
    costs = rf.compute_costs(built.graph, output=last)
    assert costs.up_to(last) == costs.total
    assert costs.up_to(first).parameters == 11 * 11 * 3 * 64 + 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "depends on an unknown size. Give all sizes"),
        ({"input_resolution": [299, None]}, "unknown size. Give all sizes"),
        ({"input_resolution": [0, 3]}, "sizes of at least 1"),
        ({"output": "nothing"}, "nothing"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        rf.compute_costs(rf.EXAMPLE_GRAPH, **options)


def test_the_rounds_of_a_loop_are_not_known():
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(2)])
    with pytest.raises(rf.ReceptiveFieldError, match=r"how many times .* Give all"):
        rf.compute_costs(model)


def test_an_op_without_a_rule_has_no_known_cost():
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder("float32", (1, 4, 4, 1), name="x")
        x = tf.nn.relu(2 * x)
        tf.raw_ops.MatrixDeterminant(input=x[..., 0], name="y")
    costs = rf.compute_costs(graph, input="x", output="y")
    assert list(costs.uncounted) == ["y"]
    assert "MatrixDeterminant" in costs.uncounted["y"]
    assert not costs.is_complete
    assert costs.total.flops == 16


def test_several_inputs_of_one_size():
    one, two = (keras.Input((None, None, 3), name=name) for name in ("a", "b"))
    convolutions = [keras.layers.Conv2D(4, 3)(x) for x in (one, two)]
    model = keras.Model([one, two], keras.layers.Add()(convolutions))
    costs = rf.compute_costs(model, input_resolution=[16, 16])
    assert costs.total.macs == 2 * 14 * 14 * 27 * 4


def test_quantised_kernels_are_parameters():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
    model.quantize("int8")
    assert rf.compute_costs(model).total.parameters == model.count_params()


def test_constants_of_a_keras_model_are_no_parameters():
    norm = keras.layers.Normalization(mean=[1.0, 2, 3], variance=[1.0, 2, 3])
    model = keras.Sequential([keras.Input((8, 8, 3)), norm])
    assert rf.compute_costs(model).total.parameters == 0


def test_a_variable_that_rows_are_gathered_from_counts_once():
    graph = tf.Graph()
    with graph.as_default():
        index = v1.placeholder("int32", (1, 6), name="index")
        table = v1.get_variable("table", (20, 8), use_resource=True)
        rows = tf.nn.embedding_lookup(table, index)
        scores = tf.matmul(rows, tf.identity(table), transpose_b=True, name="scores")
    assert "ResourceGather" in {op.type for op in graph.get_operations()}
    costs = rf.compute_costs(graph, input=index, output=scores)
    assert costs.total.parameters == 20 * 8


def test_a_variable_of_unknown_shape_is_refused():
    with tf.Graph().as_default() as graph:
        image = v1.placeholder(tf.float32, [1, 4, 4, 2], name="image")
        handle = tf.raw_ops.VarHandleOp(
            dtype=tf.float32, shape=tf.TensorShape(None), name="scale"
        )
        scale = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
        tf.raw_ops.BiasAdd(value=image, bias=scale, name="scaled")
    with pytest.raises(rf.ReceptiveFieldError, match="unknown shape"):
        rf.compute_costs(graph, output="scaled")


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
def test_a_recurrent_layer_of_known_length(layer):
    """As many multiply-adds and parameters as written out step by step."""
    costs = []
    for unroll in (False, True):
        image = keras.Input((11, 3))
        x = keras.layers.Conv1D(4, 2)(image)
        x = getattr(keras.layers, layer)(5, unroll=unroll, name="recurrent")(x)
        model = keras.Model(image, keras.layers.Dense(2, name="last")(x))
        costs.append(rf.compute_costs(model))
    loop, written_out = costs
    assert loop.total.macs == written_out.total.macs
    assert loop.total.parameters == written_out.total.parameters
    assert loop["last"] == written_out["last"]
    assert loop.total.profiler_flops < written_out.total.profiler_flops


@pytest.mark.parametrize(
    ("start", "step", "end", "rounds"), [(0, 1, 5, 5), (2, 3, 9, 3), (9, 1, 9, 0)]
)
def test_rounds_are_counted(start, step, end, rounds):
    graph = tf.Graph()
    with graph.as_default():
        image = v1.placeholder(tf.float32, (1, 4, 6), "image")
        _, found = tf.while_loop(
            lambda i, x: i < end,
            lambda i, x: (i + step, tf.matmul(x, tf.ones((6, 6)))),
            (start, image),
        )
        tf.identity(found, "out")
    assert rf.compute_costs(graph, output="out").total.macs == rounds * 4 * 6 * 6


def test_a_loop_that_ends_by_what_it_computes():
    graph = tf.Graph()
    with graph.as_default():
        image = v1.placeholder(tf.float32, (1, 4, 6), "image")
        found = tf.while_loop(
            lambda x: tf.reduce_sum(x) < 9.0, lambda x: (x * 2,), (image,)
        )
        tf.identity(found[0], "out")
    costs = rf.compute_costs(graph, output="out")
    assert "how many times" in " ".join(costs.uncounted.values())
    doubled, summed, compared, counted = 4 * 6, 4 * 6 - 1, 1, 1
    assert costs.total.flops == doubled + summed + compared + counted


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("depthwise", [False, True])
def test_a_dilated_layer_costs_what_it_computes(padding, rank, depthwise):
    """Not what its blocks are filled up with, which the profiler counts, too."""
    kind = f"{'Depthwise' if depthwise else ''}Conv{rank}D"
    options = {"dilation_rate": 4, "padding": padding, "use_bias": False}
    filters = [] if depthwise else [5]
    image = keras.Input((*(15, 18)[:rank], 3))
    layer = getattr(keras.layers, kind)(*filters, 3, **options)
    output = layer(image)
    cost = rf.compute_costs(keras.Model(image, output)).total
    positions = int(np.prod(output.shape[1:-1]))
    assert cost.macs == positions * 3**rank * 3 * (1 if depthwise else 5)
    assert cost.flops == 2 * cost.macs
    assert cost.profiler_flops >= cost.flops


@pytest.mark.parametrize("crops", [[1, 1], [1, 3], [3, 1]])
def test_a_dilated_layer_whose_blocks_are_joined_twice(crops):
    """It computes once what the larger result needs: 5 x 5 elements of 9 products."""
    with tf.Graph().as_default() as graph:
        image = v1.placeholder(tf.float32, (1, 5, 5, 1), name="image")
        blocks = tf.space_to_batch(image, [2, 2], [[2, 3], [2, 3]])
        layer = tf.nn.conv2d(blocks, tf.ones((3, 3, 1, 1)), 1, "VALID", name="layer")
        joined = [tf.batch_to_space(layer, [2, 2], [[0, crop]] * 2) for crop in crops]
        tf.concat([tf.reshape(x, [-1]) for x in joined], 0, name="output")
    costs = rf.compute_costs(graph, output="output")
    assert (costs["layer"].macs, costs["layer"].flops) == (25 * 9, 2 * 25 * 9)


def test_parameters_of_a_frozen_graph_are_those_of_its_layers():
    """Each where it is used, not at the constant that holds it."""
    built = zoo.build("mobilenet_v1", [64, 64])
    (*_, last) = built.end_points.values()
    with built.graph.as_default(), v1.Session() as session:
        session.run(v1.global_variables_initializer())
        frozen = v1.graph_util.convert_variables_to_constants(
            session, built.graph.as_graph_def(), [last]
        )
    for graph in (built.graph, frozen):
        costs = rf.compute_costs(graph, output=last)
        first = next(n for n in costs if costs[n].macs)
        assert costs[first].parameters == 3 * 3 * 3 * 32
        assert all(cost.macs or not cost.parameters > 2048 for cost in costs.values())
