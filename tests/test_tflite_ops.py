"""Every builtin op of TensorFlow Lite, against its interpreter."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
import tables
import tflite_catalogue as catalogue
from needed import needed
from random_search import seeds

import receptive_field as rf
from receptive_field.errors import UnsupportedOpsError
from receptive_field.frameworks import load
from receptive_field.frameworks.tflite import running
from receptive_field.frameworks.tflite.ops import OPS
from receptive_field.frameworks.tflite.schema import BUILTINS
from receptive_field.questions.bisection import bisect
from receptive_field.rules.inference import Inference

tf = needed("tensorflow")

from tflite_models import Fed, Writer, one_op, options  # noqa: E402

KERNELS = (running.REFERENCE, running.OPTIMISED, "BUILTIN")
"""The sets of kernels, of which the last is that of XNNPACK."""


def check(content: bytes) -> None:
    """Holds the rule of the only operator against the interpreter.

    Every output is compared for every input, position by position.
    """
    model = load(content)
    for output in model.outputs:
        for start in model.inputs:
            found = bisect(content, input=start, output=output)
            said = f"{output} from {start}: {found}"
            assert found.wrong is None, said
            assert not found.suspected, said
            assert not found.unchecked, said
            assert found.checked, said


@pytest.mark.parametrize("name", catalogue.MODELS)
def test_op(name):
    for seed in range(2):
        check(catalogue.MODELS[name](np.random.default_rng(seed)))
    tables.measured_tflite_ops.add(name)


@pytest.mark.parametrize("seed", seeds("ops of TensorFlow Lite", 30))
def test_random_ops(seed, monkeypatch):
    random = np.random.default_rng(seed)
    monkeypatch.setattr(running, "REFERENCE", KERNELS[seed % 3])
    names = list(catalogue.MODELS)
    check(catalogue.MODELS[names[int(random.integers(len(names)))]](random))


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", catalogue.WINDOWED)
def test_windows_and_resizes(name, kernels, monkeypatch):
    monkeypatch.setattr(running, "REFERENCE", kernels)
    for seed in range(2, 5):
        check(catalogue.MODELS[name](np.random.default_rng(seed)))


def test_every_op_has_a_row(pytestconfig):
    known = catalogue.MODELS.keys() | catalogue.REASONS.keys()
    assert known == set(BUILTINS)
    assert not catalogue.MODELS.keys() & catalogue.REASONS.keys()
    assert catalogue.MODELS.keys() <= OPS.keys()
    for name, reason in catalogue.REASONS.items():
        assert (name in OPS) != reason.startswith("no rule"), name
    if not pytestconfig.option.write_tables:
        found = {name: catalogue.result(name) for name in BUILTINS}
        assert tables.rows("tflite_ops.md") == found


# --- Custom ops ---------------------------------------------------------------------


def test_flex_ops_are_those_of_tensorflow():
    """An op of TensorFlow has its attributes in a NodeDef."""
    node = tf.compat.v1.NodeDef(name="node", op="ExtractImagePatches")
    for name, sizes in {
        "ksizes": [1, 3, 2, 1],
        "strides": [1, 2, 1, 1],
        "rates": [1, 1, 2, 1],
    }.items():
        node.attr[name].list.i.extend(sizes)
    node.attr["padding"].s = b"VALID"
    content = one_op(
        "FlexExtractImagePatches",
        [Fed(1, 9, 9, 2)],
        custom=flexbuffer(b"ExtractImagePatches", node.SerializeToString()),
    )
    found = rf.compute_receptive_field(content)
    assert found.size.tolist() == [3, 3]
    assert found.stride.tolist() == [1, 2]
    damaged = one_op("FlexErf", [Fed(1, 9, 9, 2)], custom=b"\x01\x02\x03")
    with pytest.raises(rf.ReceptiveFieldError, match="not those of an op of Tensor"):
        _ = load(damaged).graph.node("output").attribute("T")


def flexbuffer(*texts: bytes) -> bytes:
    """The bytes of a flexbuffer that is a vector of texts."""
    made, places = b"", []
    for text in texts:
        made += struct.pack("<H", len(text))
        places.append(len(made))
        made += text + b"\0"
        made += bytes(len(made) % 2)
    made += struct.pack("<H", len(texts))
    start = len(made)
    for place in places:
        made += struct.pack("<H", len(made) - place)
    made += bytes([5 << 2 | 1] * len(texts))  # Texts with lengths of two bytes.
    made += struct.pack("<H", len(made) - start)
    return made + bytes([10 << 2 | 1, 2])  # A vector of such elements.


def test_transposed_convolution_of_mediapipe():
    """The padding depends on the size of the input: k - (n - 1) % s - 1 in all."""
    for padding, kernel, stride, size in ((1, 4, 2, 5), (1, 3, 2, 6), (2, 3, 2, 5)):
        content = one_op(
            "Convolution2DTransposeBias",
            [
                Fed(1, size, size, 2),
                np.ones((3, kernel, kernel, 2), np.float32),
                np.ones(3, np.float32),
            ],
            custom=struct.pack("<3i", padding, stride, stride),
        )
        found = rf.compute_receptive_field(content)
        total = max(kernel - (size - 1) % stride - 1, 0) if padding == 1 else 0
        length = stride * (size - 1) + kernel - total
        for feature in range(length):
            reading = [
                position
                for position in range(size)
                for tap in range(kernel)
                if position * stride - total // 2 + tap == feature
            ]
            region = found.compute_input_region([feature] * 2, clip=True)
            ends = [min(reading), max(reading)]
            assert region.tolist() == [ends, ends]


def test_max_pooling_of_mediapipe():
    content = one_op(
        "MaxPoolingWithArgmax2D",
        [Fed(1, 9, 8, 2)],
        outputs=["float32", "float32"],
        custom=struct.pack("<6i", 2, 1, 2, 3, 2, 0),
    )
    found = rf.compute_receptive_field(content, output="output")
    assert found.size.tolist() == [3, 2]  # x first
    assert found.stride.tolist() == [1, 2]


def test_unknown_custom_ops_can_be_stated():
    writer = Writer()
    data = writer.input(1, 16, 16, 2)
    for number in range(2):
        (data,) = writer.op(f"Mine{number}", [data], name=f"mine_{number}")
    content = writer.content([data])
    with pytest.raises(UnsupportedOpsError, match=r"(?s)Mine0.*Mine1"):
        rf.compute_receptive_field(content)
    rule = rf.SlidingWindow(kernel_size=3)
    found = rf.compute_receptive_field(
        content, overrides={"mine_0": rule, "mine_1": rule}
    )
    assert found.size.tolist() == [5, 5]


def test_detections_depend_on_everything():
    content = one_op(
        "TFLite_Detection_PostProcess",
        [Fed(1, 10, 4), Fed(1, 10, 3), np.ones((10, 4), np.float32)],
        outputs=["float32"] * 4,
        custom=b"",
    )
    found = rf.compute_receptive_field(content, input="input_0", output="output")
    assert found.is_global


# --- Subgraphs ----------------------------------------------------------------------


def with_branches(condition: object) -> bytes:
    """A model of a condition that blurs an image, or does not."""
    writer = Writer()
    data = writer.input(1, 9, 9, 1)
    number = (
        writer.input(dtype="bool")
        if condition is None
        else writer.constant(np.array(condition))
    )
    chosen = options("IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=2)
    writer.op("IF", [number, data], chosen)
    for op in ("AVERAGE_POOL_2D", "RELU"):
        writer.subgraph()
        inner = writer.input(1, 9, 9, 1)
        pool = options(
            "Pool2DOptions", strideH=1, strideW=1, filterHeight=3, filterWidth=3
        )
        writer.op(op, [inner], pool if op != "RELU" else None, name=op.lower())
    return writer.content()


def test_branches():
    for condition, size in ((True, 3), (False, 1), (None, 3)):
        content = with_branches(condition)
        found = rf.compute_receptive_field(content, input="input_0")
        assert found.size.tolist() == [size, size]
        if condition is not None:
            measured = rf.measure_receptive_field(content, input="input_0")
            assert measured.size.tolist() == [size, size]
    tables.measured_tflite_ops.add("IF")


def loop(rounds: int) -> bytes:
    """A model that blurs an image a number of times."""
    writer = Writer()
    data = writer.input(1, 9, 9, 1)
    start = writer.constant(np.array(0, np.int32))
    chosen = options("WhileOptions", condSubgraphIndex=1, bodySubgraphIndex=2)
    writer.op("WHILE", [start, data], chosen, ["int32", "float32"])
    whole = writer.current
    writer.subgraph()
    count = writer.input(dtype="int32")
    writer.input(1, 9, 9, 1)
    limit = writer.constant(np.array(rounds, np.int32))
    writer.op("LESS", [count, limit], None, ["bool"])
    writer.subgraph()
    count, data = writer.input(dtype="int32"), writer.input(1, 9, 9, 1)
    step = writer.constant(np.array(1, np.int32))
    (more,) = writer.op("ADD", [count, step], options("AddOptions"), ["int32"])
    pool = options("Pool2DOptions", strideH=1, strideW=1, filterHeight=3, filterWidth=3)
    (blurred,) = writer.op("AVERAGE_POOL_2D", [data], pool, name="blurred")
    writer.current.outputs = [more, blurred]
    whole.outputs = whole.operators[0].outputs[1:]
    return writer.content()


def test_loops():
    content = loop(2)
    found = rf.compute_receptive_field(content)
    measured = rf.measure_receptive_field(content)
    assert measured.size.tolist() == [5, 5]
    # How often a loop runs is not known, so everything may be seen.
    assert not found.exact
    assert found.is_global or (found.size >= measured.size).all()
    tables.measured_tflite_ops.add("WHILE")
    costs = rf.compute_costs(content)
    assert costs.is_complete
    assert costs["blurred"].flops == 2 * 9 * 9 * 9


def test_variables_that_are_assigned():
    writer = Writer()
    data = writer.input(1, 9, 9, 1)
    named = options("VarHandleOptions", sharedName="kept")
    (handle,) = writer.op("VAR_HANDLE", [], named, name="handle")
    writer.op("ASSIGN_VARIABLE", [handle, data], None, [])
    (read,) = writer.op("READ_VARIABLE", [handle], name="read")
    found = rf.compute_receptive_field(writer.content([read]))
    assert found.size.tolist() == [1, 1]


def test_variables_that_another_subgraph_assigns():
    """Which of the values a variable has is not known, so it may be any of them."""
    writer = Writer()
    data = writer.input(1, 9, 9, 1)
    named = options("VarHandleOptions", sharedName="kept")
    (handle,) = writer.op("VAR_HANDLE", [], named, name="handle")
    chosen = options("IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=1)
    yes = writer.constant(np.array(True))
    (same,) = writer.op("IF", [yes, data], chosen, name="same")
    (read,) = writer.op("READ_VARIABLE", [handle], name="read")
    (last,) = writer.op("ADD", [read, same], options("AddOptions"), name="last")
    whole = writer.current
    whole.outputs = [last]
    writer.subgraph()
    inner = writer.input(1, 9, 9, 1)
    (handle,) = writer.op("VAR_HANDLE", [], named, name="handle")
    writer.op("ASSIGN_VARIABLE", [handle, inner], None, [])
    writer.current.outputs = [inner]
    content = writer.content()
    assert rf.compute_receptive_field(content, output="same").size.tolist() == [1, 1]
    found = rf.compute_receptive_field(content, output="last")
    assert found.size.tolist() == [float("inf")] * 2
    assert not found.exact


def test_arithmetic_of_sizes_rounds_as_the_interpreter_does():
    """Half of 9 is 4, also if a cast states no types."""
    writer = Writer()
    data = writer.input(1, 9, 9, 1)
    (shape,) = writer.op("SHAPE", [data], options("ShapeOptions", outType=2), ["int32"])
    numbers = [np.array([n], np.int32) for n in (1, 3, 1, 2)]
    begin, end, step, two = map(writer.constant, numbers)
    slicing = [shape, begin, end, step]
    (sizes,) = writer.op(
        "STRIDED_SLICE", slicing, options("StridedSliceOptions"), ["int32"]
    )
    (half,) = writer.op("DIV", [sizes, two], options("DivOptions"), ["int32"])
    (real,) = writer.op("CAST", [half], None, ["float32"])
    quarter = writer.constant(np.array([0.4], np.float32))
    (more,) = writer.op("ADD", [real, quarter], options("AddOptions"))
    (again,) = writer.op("CAST", [more], None, ["int32"])
    resize = options("ResizeNearestNeighborOptions")
    (last,) = writer.op("RESIZE_NEAREST_NEIGHBOR", [data, again], resize, name="last")
    content = writer.content([last])
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.invoke()
    (detail,) = interpreter.get_output_details()
    model = load(content)
    found = Inference(model.graph).shape(model.graph.tensor("last"))
    assert found == tuple(interpreter.get_tensor(detail["index"]).shape) == (1, 4, 4, 1)


def test_rows_of_the_table_are_written():
    text = tables.TFLITE_OPS
    assert re.search("pytest --write-tables tests/test_tflite_ops.py", text)
