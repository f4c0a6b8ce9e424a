"""ONNX models run by onnxruntime: what changes is what was computed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from needed import needed
from onnx_experiments import model_of

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.frameworks.onnx.messages import ModelProto
from receptive_field.frameworks.onnx.ops import OPS
from receptive_field.frameworks.onnx.weights import constants, is_missing
from receptive_field.network.overrides import with_overrides
from receptive_field.questions.bisection import bisect

onnx = needed("onnx")
helper = onnx.helper
node = helper.make_node

EXPORTED = Path(__file__).parent / "data" / "onnx"
SHAPE = (1, 3, 14, 15)
rng = np.random.default_rng(0)


def weight(name, *shape):
    """A kernel with weights of both signs, which cancel unless they are replaced."""
    values = rng.normal(size=shape).astype("float32")
    return onnx.numpy_helper.from_array(values, name)


def integers(name, *values):
    return onnx.numpy_helper.from_array(np.array(values, "int64"), name)


def network(*nodes, constants=(), shape=SHAPE, **given):
    """A model from "x" to "y"."""
    return model_of(nodes, {"x": ("float32", shape)}, ["y"], constants, **given)


def graph(nodes, inputs, outputs, constants=()):
    """A subgraph."""
    value = helper.make_tensor_value_info
    return helper.make_graph(
        nodes,
        "body",
        [value(n, kind, s) for n, kind, s in inputs],
        [value(n, kind, None) for n, kind in outputs],
        constants,
    )


def conv(source, result, kernel, *more, **given):
    given.setdefault("pads", [1, 1, 1, 1])
    return node("Conv", [source, kernel, *more], [result], **given)


def chain():
    return network(
        conv("x", "a", "k", "b", strides=[2, 2]),
        node("Relu", ["a"], ["r"]),
        node("MaxPool", ["r"], ["m"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        conv("m", "y", "l", dilations=[2, 2], pads=[0, 0, 0, 0]),
        constants=[weight("k", 4, 3, 3, 3), weight("b", 4), weight("l", 2, 4, 2, 2)],
    )


def average():
    pool = {"kernel_shape": [3, 2], "strides": [2, 1], "ceil_mode": 1}
    return network(
        node("AveragePool", ["x"], ["a"], **pool),
        node("LpPool", ["a"], ["y"], kernel_shape=[2, 2]),
    )


def transposed():
    return network(
        conv("x", "a", "k", strides=[2, 2]),
        node("ConvTranspose", ["a", "t"], ["y"], strides=[2, 2], pads=[1, 1, 0, 0]),
        constants=[weight("k", 4, 3, 3, 3), weight("t", 4, 2, 3, 3)],
    )


def resized():
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], "float32"), "s")
    return network(
        conv("x", "a", "k", strides=[2, 2]),
        node("Resize", ["a", "", "s"], ["r"], mode="linear"),
        conv("r", "y", "l"),
        constants=[weight("k", 2, 3, 3, 3), weight("l", 2, 2, 3, 3), scales],
    )


def joined():
    return network(
        conv("x", "a", "k"),
        conv("x", "b", "l", pads=[0, 2, 0, 2]),
        node("Concat", ["a", "b"], ["c"], axis=1),
        conv("c", "y", "m"),
        constants=[
            weight("k", 2, 3, 3, 3),
            weight("l", 2, 3, 1, 5),
            weight("m", 2, 4, 3, 3),
        ],
    )


def squeezed():
    return network(
        conv("x", "a", "k"),
        node("GlobalAveragePool", ["a"], ["g"]),
        conv("g", "h", "l", "b", pads=[0] * 4),
        node("HardSigmoid", ["h"], ["s"]),
        node("Mul", ["a", "s"], ["m"]),
        conv("m", "y", "k2"),
        constants=[
            weight("k", 4, 3, 3, 3),
            weight("l", 4, 4, 1, 1),
            weight("b", 4),
            weight("k2", 2, 4, 3, 3),
        ],
    )


def residual():
    names = ["s", "o", "mean", "var"]
    norm = [weight(name, 3) for name in names[:3]]
    norm.append(onnx.numpy_helper.from_array(np.ones(3, "float32"), "var"))
    return network(
        conv("x", "a", "k"),
        node("BatchNormalization", ["a", *names], ["n"]),
        node("Relu", ["n"], ["r"]),
        node("Sub", ["x", "offset"], ["less"]),
        node("Add", ["r", "less"], ["d"]),
        conv("d", "y", "k", strides=[2, 2]),
        constants=[weight("k", 3, 3, 3, 3), weight("offset", 3, 1, 1), *norm],
    )


def branches():
    then = graph([conv("x", "t", "k")], [], [("t", 1)])
    other = graph([conv("x", "e", "l")], [], [("e", 1)], [weight("l", 3, 3, 1, 3)])
    other.node[0].attribute[0].ints[:] = [0, 1, 0, 1]
    return network(
        node("If", ["c"], ["i"], then_branch=then, else_branch=other),
        conv("i", "y", "k"),
        constants=[
            weight("k", 3, 3, 3, 3),
            onnx.numpy_helper.from_array(np.array(False), "c"),
        ],
    )


def function():
    body = helper.make_function(
        "own",
        "Block",
        ["image", "kernel"],
        ["result"],
        [
            node("Conv", ["image", "kernel"], ["inner"], pads=[1, 1, 1, 1]),
            node("Constant", [], ["factor"], value=weight("", 3, 1, 1)),
            node("Mul", ["inner", "factor"], ["result"]),
        ],
        [helper.make_opsetid("", 22)],
    )
    model = network(
        node("Block", ["x", "k"], ["a"], domain="own"),
        node("Block", ["a", "k"], ["y"], domain="own"),
        constants=[weight("k", 3, 3, 3, 3)],
        functions=[body],
    )
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def dense():
    return network(
        node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        node("MatMul", ["t", "w"], ["m"]),
        node("LayerNormalization", ["m", "s", "o"], ["n"]),
        node("Transpose", ["n"], ["c"], perm=[0, 3, 1, 2]),
        conv("c", "y", "k"),
        constants=[
            weight("w", 3, 5),
            weight("s", 5),
            weight("o", 5),
            weight("k", 2, 5, 3, 3),
        ],
    )


def audio():
    return network(
        node("Conv", ["x", "k"], ["a"], strides=[3], dilations=[2], pads=[1, 3]),
        node("LeakyRelu", ["a"], ["r"]),
        node("Conv", ["r", "l"], ["y"], group=2),
        constants=[weight("k", 4, 2, 4), weight("l", 4, 2, 3)],
        shape=(1, 2, 60),
    )


def moved():
    return network(
        node("Pad", ["x", "p"], ["a"], mode="reflect"),
        node("Slice", ["a", "from", "to", "axes"], ["b"]),
        node("SpaceToDepth", ["b"], ["d"], blocksize=2),
        conv("d", "y", "k"),
        constants=[
            integers("p", 0, 0, 2, 1, 0, 0, 0, 2),
            integers("from", 0, 3),
            integers("to", 16, 15),
            integers("axes", 2, 3),
            weight("k", 2, 12, 3, 3),
        ],
    )


NETWORKS = [
    chain,
    average,
    transposed,
    resized,
    joined,
    squeezed,
    residual,
    branches,
    function,
    dense,
    audio,
    moved,
]


BOUNDS = (moved,)
"""Networks of which only a bound is known: mirrored borders are moved into channels."""


def hold(model, **asked):
    """Compares a measurement with the computed field; returns the measurement.

    A bound is never smaller. An exact result is the same.
    """
    found = rf.measure_receptive_field(model, **asked)
    asked.pop("feature", None)
    field = rf.compute_receptive_field(model, **asked)
    support = field.support()
    mask = support.mask(found.feature)
    assert not (found.positions & ~mask).any()
    assert not support.exact or (found.positions == mask).all()
    return found


@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_measured_is_computed(build):
    hold(build())
    exact = rf.compute_receptive_field(build()).support().exact
    assert exact or build in BOUNDS


@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_bisect_finds_nothing_wrong(build):
    found = bisect(build())
    assert found.wrong is None
    assert not found.suspected
    assert not found.unchecked


def test_bisect_finds_a_wrong_rule():
    right = OPS["Relu"]
    rf.register_op("Relu", rf.SlidingWindow(3), framework="onnx")
    try:
        found = bisect(chain())
    finally:
        OPS["Relu"] = right
    assert found.wrong.op == "Relu"


def looped():
    body = graph(
        [conv("v", "w", "k"), node("Identity", ["go"], ["on"])],
        [("i", 7, []), ("go", 9, []), ("v", 1, None)],
        [("on", 9), ("w", 1)],
    )
    return network(
        node("Loop", ["n", "", "x"], ["y"], body=body),
        constants=[weight("k", 3, 3, 3, 3), integers("n", 2)],
    )


def test_a_loop_is_bounded():
    """The number of iterations is not known to the rules, but the network has it."""
    model = looped()
    model.graph.initializer[1].dims[:] = []
    found = rf.measure_receptive_field(model, feature=[7, 7])
    assert [int(axis.sum()) for axis in found.per_axis] == [5, 5]
    support = rf.compute_receptive_field(model).support()
    assert not (found.positions & ~support.mask([7, 7])).any()


# --- Networks of PyTorch --------------------------------------------------------------


def test_resnet18():
    """The window of the formula: 7, pooling over 3, and two kernels of 3."""
    found = hold(
        str(EXPORTED / "resnet18.onnx.xz"),
        output="layer1.0",
        feature=[4, 4],
        input_resolution=[31, 30],
    )
    assert found.positions.sum() == 27 * 27


def test_squeezenet():
    hold(
        str(EXPORTED / "squeezenet1_1.onnx.xz"),
        output="features.4",
        feature=[2, 3],
        input_resolution=[27, 26],
    )


def test_unet():
    hold(
        str(EXPORTED / "unet.onnx.xz"),
        output="decoders.0.0",
        feature=[1, 1],
        input_resolution=[16, 16],
    )


def test_a_corner_of_a_deep_network_is_seen():
    """The share of the outermost row is that of one path among very many."""
    path = str(EXPORTED / "resnet50_script.onnx.xz")
    output = [n for n in load(path).graph if n.op == "Relu"][-1].name
    asked = {"output": output, "input_resolution": [64, 1]}
    found = rf.measure_receptive_field(path, **asked, axes_only=True, feature=[0, 0])
    assert found.per_axis[1].all()


# --- Weights -------------------------------------------------------------------------


def stripped(model):
    """A copy whose kernels are in a file that does not exist."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in copy.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="nowhere.bin")
    return copy


@pytest.mark.parametrize("build", [chain, residual, dense])
def test_weights_that_are_missing_are_made(build, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(stripped(build()).SerializeToString())
    found, whole = hold(str(path)), hold(build())
    assert (found.positions == whole.positions).all()


def test_weights_without_values_are_made():
    model = chain()
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
    hold(model.SerializeToString())


def test_constants_of_functions_belong_to_their_calls():
    model = ModelProto.FromString(function().SerializeToString())
    names = [constant.name for constant in constants(model)]
    assert names == ["k", "a/factor", "y/factor"]
    graph = load(function()).graph
    assert all(graph.has(name) for name in names)
    assert not any(is_missing(constant.tensor) for constant in constants(model))


def test_an_input_in_the_middle():
    found = hold(chain(), input="r", input_resolution=[7, 8])
    assert [int(axis.sum()) for axis in found.per_axis] == [5, 5]


def test_a_second_input_is_given():
    model = network(
        conv("x", "a", "k"),
        node("Mul", ["a", "z"], ["y"]),
        constants=[weight("k", 3, 3, 3, 3)],
    )
    model.graph.input.append(helper.make_tensor_value_info("z", 1, [1, 1, 1, 1]))
    hold(model, input="x")
    model.graph.input[1].type.tensor_type.shape.dim[2].dim_param = "n"
    with pytest.raises(ReceptiveFieldError, match="'z', whose type or size"):
        rf.measure_receptive_field(model, input="x", input_resolution=[14, 15])


def test_sizes_that_a_model_leaves_open():
    model = chain()
    for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    hold(model, input_resolution=[9, 11])


# --- Errors --------------------------------------------------------------------------


def test_a_value_in_a_function_cannot_be_measured():
    with pytest.raises(ReceptiveFieldError, match="inside a function"):
        rf.measure_receptive_field(function(), output="a/inner")


def test_without_onnxruntime_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ReceptiveFieldError, match=r'"receptive_field\[onnx\]"'):
        rf.measure_receptive_field(chain())


def test_what_onnxruntime_cannot_run_is_an_error():
    model = network(
        node("Celu", ["x"], ["a"], domain="own"), node("Relu", ["a"], ["y"])
    )
    model.opset_import.append(helper.make_opsetid("own", 1))
    rf.register_op("own.Celu", "elementwise", framework="onnx")
    try:
        with pytest.raises(ReceptiveFieldError, match="cannot run the network"):
            rf.measure_receptive_field(model)
    finally:
        OPS.pop("own.Celu")


def test_gradients_are_not_measured():
    with pytest.raises(ReceptiveFieldError, match="only for Keras models"):
        rf.measure_effective_receptive_field(chain())


# --- Costs ---------------------------------------------------------------------------


def test_parameters_of_layers():
    """ResNet-18 has 11689512 parameters. The export folds its normalisations."""
    path = str(EXPORTED / "resnet18.onnx.xz")
    costs = rf.compute_costs(path, input_resolution=[224, 224])
    assert costs["conv1"].parameters == 64 * 3 * 7 * 7
    assert costs["layer1.0.conv2"].parameters == 64 * 64 * 3 * 3
    assert costs["fc"].parameters == 512 * 1000 + 1000
    folded = 9600 - 4800  # A factor and an offset become one offset.
    assert 11689512 - 9600 <= costs.total.parameters <= 11689512 - folded
    table = rf.compute_receptive_fields(path)
    assert "downsample" in str(table)


def test_operations_of_layers():
    """MobileNetV2 has 301 million multiply-adds (its paper says 300)."""
    path = str(EXPORTED / "mobilenet_v2.onnx.xz")
    costs = rf.compute_costs(path)
    assert round(costs.total.macs / 1e6) == 301
    assert costs["features.0.0"].macs == 112 * 112 * 32 * 27


def test_nodes_of_no_module_are_no_layer():
    names = list(load(str(EXPORTED / "fcn_resnet50.onnx.xz")).layers)
    assert "backbone.conv1" in names
    assert not [name for name in names if "empty" in name]


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(stripped(chain()).SerializeToString())
    for command in ("measure", "bisect", "compute", "layers", "nodes", "resolutions"):
        assert main([command, "model.onnx"]) in (None, 0)
    assert "nodes that agree with their rules: 4" in capsys.readouterr().out
    assert main(["many", "model.onnx", "-o", "table.csv"]) in (None, 0)
    assert main(["explore", "model.onnx", "-o", "page.html"]) in (None, 0)
    assert "MaxPool" in Path("page.html").read_text(encoding="utf-8")


def test_indices_cannot_be_disturbed():
    """No disturbance of row numbers shows, which is not the same as seeing nothing."""
    table = onnx.numpy_helper.from_array(np.ones((9, 4), "float32"), "t")
    kernel = onnx.numpy_helper.from_array(np.ones((2, 4, 3), "float32"), "w")
    nodes = [
        onnx.helper.make_node("Gather", ["t", "x"], ["rows"]),
        onnx.helper.make_node("Transpose", ["rows"], ["a"], perm=[0, 2, 1]),
        onnx.helper.make_node("Conv", ["a", "w"], ["y"]),
    ]
    model = model_of(nodes, {"x": ("int64", (1, 9))}, ["y"], [table, kernel])
    assert rf.compute_receptive_field(model).size.tolist() == [3]
    with pytest.raises(rf.ReceptiveFieldError, match="holds integers"):
        rf.measure_receptive_field(model)


def modules(path):
    """Saves a model whose nodes are in modules, after an initializer."""
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["a"], name="/first/Conv"),
        onnx.helper.make_node("Relu", ["a"], ["b"], name="/block/Relu"),
        onnx.helper.make_node("Add", ["b", "a"], ["y"], name="/Add"),
    ]
    kernel = onnx.numpy_helper.from_array(np.ones((2, 2, 3, 3), "float32"), "w")
    model = model_of(nodes, {"x": ("float32", (1, 2, 8, 8))}, ["y"], [kernel])
    path.write_bytes(model.SerializeToString())
    return str(path)


def test_nodes_that_depend_on_the_input_come_first(tmp_path, capsys):
    assert main(["nodes", modules(tmp_path / "model.onnx")]) in (None, 0)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[1:] for row in rows] == [
        ["x"],
        ["a", "first"],
        ["b", "block"],
        ["y"],
        ["w", "first"],
    ]


@pytest.mark.parametrize("command", ["compute", "layers", "nodes", "resolutions"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--trace"], "--trace is for Keras models. This model is a graph already"),
        (["--signature", "serve"], "an ONNX model has no signatures"),
    ],
)
def test_options_for_other_models_are_refused(command, options, told, tmp_path, capsys):
    assert main([command, modules(tmp_path / "model.onnx"), *options]) == 1
    assert told in capsys.readouterr().err


def test_nodes_that_were_not_checked_are_counted():
    """onnxruntime has no op Odd, whose rule is stated here."""
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["a"]),
        onnx.helper.make_node("Odd", ["a"], ["b"], domain="mine"),
    ]
    model = model_of(nodes, {"x": ("float32", (1, 2, 8, 8))}, ["b"])
    model.opset_import.append(onnx.helper.make_opsetid("mine", 1))
    loaded = with_overrides(load(model), {"b": rf.SlidingWindow(1)})
    found = bisect(loaded, input="x")
    assert found.wrong is None
    assert list(found.unchecked) == ["b"]
    assert str(found).splitlines()[0] == (
        "no wrong relation between 'x' and 'b'; nodes that agree with their rules: 1; "
        "nodes not checked: 1"
    )
