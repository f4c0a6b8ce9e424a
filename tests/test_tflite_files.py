"""Reading files of TensorFlow Lite: the schema, names, signatures and damaged files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from needed import needed
from random_search import seeds

import receptive_field as rf
from receptive_field.errors import GraphError
from receptive_field.frameworks import load
from receptive_field.frameworks.tflite import schema as ours
from receptive_field.frameworks.tflite.content import of_bytes
from receptive_field.frameworks.tflite.flatbuffer import Flatbuffer
from receptive_field.questions.bisection import bisect
from receptive_field.rules.inference import Inference

tf = needed("tensorflow")
theirs = needed("tensorflow.lite.python.schema_py_generated")

from tflite_models import Fed, Writer, one_op, options  # noqa: E402

FOLDER = Path(__file__).parent / "data" / "tflite"
FILES = sorted(FOLDER.glob("*.xz"))


def unpacked(name: str) -> bytes:
    return lzma.decompress((FOLDER / f"{name}.tflite.xz").read_bytes())


# --- The schema ---------------------------------------------------------------------


def numbered(enumeration: type) -> list[str]:
    """The names of an enumeration, by number."""
    found = {
        number: name
        for name, number in vars(enumeration).items()
        if not name.startswith("_")
    }
    assert list(range(len(found))) == sorted(found)
    return [found[number] for number in sorted(found)]


def test_enumerations_are_those_of_the_schema():
    assert list(ours.BUILTINS) == numbered(theirs.BuiltinOperator)
    assert list(ours.TYPES) == numbered(theirs.TensorType)
    assert list(ours.PADDINGS) == numbered(theirs.Padding)
    assert list(ours.ACTIVATIONS) == numbered(theirs.ActivationFunctionType)
    assert list(ours.MIRROR_MODES) == numbered(theirs.MirrorPadMode)


@pytest.mark.parametrize(
    ("tables", "union"),
    [
        (ours.OPTIONS, theirs.BuiltinOptions),
        (ours.OPTIONS_2, theirs.BuiltinOptions2),
    ],
)
def test_fields_of_options_are_those_of_the_schema(tables, union):
    flatbuffers = needed("flatbuffers")
    names = numbered(union)
    for number, fields in tables.items():
        name = names[number]
        table = getattr(theirs, name)
        for field in fields:
            getter = "".join(part.title() for part in field.name.split("_"))
            assert hasattr(table, getter), f"{name}.{getter}"
            # Writing the field alone shows at which number the schema has it.
            builder = flatbuffers.Builder(64)
            value = not field.default if field.letter == "?" else 3
            if field.is_vector or field.letter == "s":
                builder.StartVector(4, 0, 4)
                value = builder.EndVector()
            getattr(theirs, f"{name}Start")(builder)
            getattr(theirs, f"{name}Add{getter}")(builder, value)
            builder.Finish(builder.EndObject())
            read = table.GetRootAs(bytes(builder.Output()), 0)
            assert _slot(read) == field.number, f"{name}.{getter}"
            empty = getattr(theirs, f"{name}T")()
            default = getattr(empty, getter[0].lower() + getter[1:])
            assert (default or 0) == field.default, f"{name}.{getter}"


def _slot(table) -> int:
    """The number of the only field of a table."""
    found = [number for number in range(40) if table._tab.Offset(4 + 2 * number)]
    (slot,) = found
    return slot


# --- How a model may be given -------------------------------------------------------


def test_bytes_paths_and_compressed_files_are_alike(tmp_path):
    content = unpacked("dilated")
    expected = rf.compute_receptive_field(content)
    assert expected.size.tolist() == [35, 35]
    for name, written in {
        "plain": content,
        "model.gz": gzip.compress(content),
        "model.xz": lzma.compress(content),
        "model.bz2": bz2.compress(content),
        "model.pb": content,  # The content decides, not the name.
    }.items():
        path = tmp_path / name
        path.write_bytes(written)
        found = rf.compute_receptive_field(path)
        assert found.size.tolist() == [35, 35]
        assert found.output == expected.output
    for given in (bytearray(content), memoryview(content)):
        assert rf.compute_receptive_field(given).size.tolist() == [35, 35]


def test_names_of_files_that_are_something_else(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"1234TFL2" + bytes(100))
    with pytest.raises(GraphError, match="not a model of TensorFlow Lite"):
        rf.compute_receptive_field(path)
    with pytest.raises(GraphError, match="No such file"):
        rf.compute_receptive_field(tmp_path / "missing.tflite")
    with pytest.raises(GraphError, match=r"cannot analyse a builtins\.bytes"):
        rf.compute_receptive_field(b"anything else")


def test_signatures():
    content = unpacked("two_signatures")
    with pytest.raises(GraphError, match="several signatures: coarse, fine"):
        rf.compute_receptive_field(content)
    with pytest.raises(GraphError, match="no signature 'other'"):
        rf.compute_receptive_field(content, signature="other")
    coarse = rf.compute_receptive_field(content, signature="coarse")
    fine = rf.compute_receptive_field(content, signature="fine")
    # A kernel of 3 with stride 2, and below it one of 5 with stride 2: 3 + 4 * 2.
    assert (coarse.output, coarse.size.tolist()) == ("features", [11, 11])
    assert coarse.stride.tolist() == [4, 4]
    assert (fine.output, fine.size.tolist()) == ("map", [3, 3])


def test_names_in_the_file_are_found():
    content = unpacked("mobilenet_v2")
    model = load(content)
    fused = next(name for name in model.operations if ";" in name)
    by_full_name = rf.compute_receptive_field(content, output=fused)
    node = model.graph.name_of(model.operations[fused])
    assert by_full_name.size.tolist() == (
        rf.compute_receptive_field(content, output=node).size.tolist()
    )
    # Parts of names are found as in frozen graphs.
    last = rf.compute_receptive_field(content, output="out_relu_1")
    assert last.size.tolist() == [491, 491]


def test_tensors_without_names_and_with_equal_names():
    writer = Writer()
    number = writer.tensor("", (1, 8, 8, 1), "float32")
    writer.current.inputs.append(number)
    first = writer.op("RELU", [number], name="same")
    second = writer.op("RELU", first, name="same")
    writer.op("RELU", second, name="same:1")
    model = load(writer.content())
    assert [node.name for node in model.graph] == [
        "tensor_0",
        "same",
        "same_2",
        "same_1",
    ]
    assert model.find("same:1")[1] == model.graph.tensor("same_1")


def test_an_activation_is_a_node_of_its_own():
    chosen = options("AddOptions", fusedActivationFunction=1)
    content = one_op("ADD", [Fed(1, 8, 8, 2), Fed(1, 8, 8, 2)], chosen)
    graph = load(content).graph
    assert [(node.name, node.op) for node in graph][2:] == [
        ("output/ADD", "ADD"),
        ("output", "RELU"),
    ]
    checked = bisect(content, input="input_0")
    assert checked.wrong is None, str(checked)
    assert list(checked.checked) == ["output/ADD", "output"]


# --- What is not read ---------------------------------------------------------------


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("name", ["mobilenet_v2", "dilated", "dilated_int8"])
def test_no_package_is_imported(name):
    found = run(
        "import sys\n"
        "from receptive_field.cli import command_line\n"
        f"sys.argv = ['receptive-field', 'compute', {str(FOLDER / name)!r} + "
        "'.tflite.xz']\n"
        "try:\n    command_line()\n"
        "except SystemExit as error:\n    assert not error.code\n"
        "for name in ('tensorflow', 'numpy', 'google.protobuf', 'flatbuffers'):\n"
        "    assert name not in sys.modules, name\n"
    )
    assert "receptive field" in found


def test_weights_are_not_read(tmp_path):
    path = tmp_path / "large.tflite"
    kernel = np.ones((64, 3, 3, 2), np.float32)
    content = one_op("CONV_2D", [Fed(1, 8, 8, 2), kernel], _conv())
    place = content.index(kernel.tobytes())
    path.write_bytes(content)
    model = load(path)
    kernels = [node for node in model.graph if node.op == "Constant"]
    (data,) = [node.definition.tensor.data for node in kernels]
    assert data == (kernel.nbytes, place)
    assert rf.compute_receptive_field(path).size.tolist() == [3, 3]


def _conv():
    return options("Conv2DOptions", padding=0, strideH=1, strideW=1)


def test_values_behind_the_flatbuffer(tmp_path):
    """Models of more than 2 GB state offsets in the file instead of vectors."""
    writer = Writer()
    data = writer.input(1, 8, 8, 2)
    pads = writer.constant(np.array([[0, 0], [1, 2], [3, 4], [0, 0]], np.int32))
    writer.op("PAD", [data, pads])
    values = bytes(writer.model.buffers[1].data)
    buffer = writer.model.buffers[1]
    buffer.data, buffer.size = None, len(values)
    buffer.offset = 1 << 40
    length = len(writer.content())
    far = (3 << 30) + length  # Past what a flatbuffer can hold.
    buffer.offset = far
    content = writer.content()
    path = tmp_path / "huge.tflite"
    with path.open("wb") as file:  # A file with a hole, which takes no room.
        file.write(content)
        file.seek(far)
        file.write(values)
    tracemalloc.start()
    began = time.monotonic()
    found = rf.compute_receptive_field(path)
    assert time.monotonic() - began < 5
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()
    assert found.padding.tolist() == [3, 1]
    model = load(path)
    shape = Inference(model.graph).shape(model.graph.tensor("output"))
    assert shape == (1, 11, 15, 2)
    buffer.offset = far + 1
    path.write_bytes(writer.content())
    with pytest.raises(GraphError, match="a buffer ends past the end"):
        rf.compute_receptive_field(path)


# --- Damaged files ------------------------------------------------------------------


def asked(content: bytes) -> str:
    """What reading and analysing a damaged file says, within limits."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        model = load(content)
        for output in model.outputs:
            rf.compute_receptive_field(model, output=output)
        said = ""
    except rf.ReceptiveFieldError as error:
        said = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.monotonic() - began < 20
    assert peak < (64 << 20) + 8 * len(content)
    return said


def small(name: str) -> bytes:
    """A model without most of its zeros, so that changes hit something else."""
    content = unpacked(name)
    return content if len(content) < 100_000 else content[: 1 << 20]


@pytest.mark.parametrize("length", [0, 3, 7, 8, 12, 40, 100, 1000, 5000])
def test_truncated_files(length, tmp_path):
    content = unpacked("dilated")[:length]
    path = tmp_path / "short.tflite"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"byte \d+"):
        rf.compute_receptive_field(path)


def test_random_bytes():
    generator = random.Random(1)
    for _ in range(50):
        length = generator.randrange(1, 400)
        content = generator.randbytes(4) + b"TFL3" + generator.randbytes(length)
        with pytest.raises(GraphError, match=r"byte \d+|no subgraph"):
            rf.compute_receptive_field(content)


@pytest.mark.parametrize("seed", seeds("damaged flatbuffers", 40))
def test_changed_bytes(seed):
    generator = random.Random(seed)
    content = bytearray(unpacked(generator.choice(["dilated", "two_signatures"])))
    if generator.random() < 0.3:
        content = bytearray(unpacked("dilated_int8"))
    for _ in range(generator.choice([1, 1, 2, 8])):
        place = generator.randrange(len(content))
        if generator.random() < 0.5:
            content[place] = generator.randrange(256)
        else:
            value = generator.choice([0, 1, 1 << 31, (1 << 32) - 1, 1 << 16, place])
            content[place : place + 4] = value.to_bytes(4, "little")
    if bytes(content[4:8]) == b"TFL3":
        asked(bytes(content))


def test_no_subgraph():
    writer = Writer()
    writer.model.subgraphs = []
    with pytest.raises(GraphError, match="contains no subgraph"):
        rf.compute_receptive_field(writer.content())


def test_unknown_ops():
    writer = Writer()
    writer.op("RELU", [writer.input(1, 8, 8, 2)])
    writer.model.operatorCodes[0].builtinCode = 1000
    with pytest.raises(GraphError, match=r"at byte \d+, there is an op with the code"):
        rf.compute_receptive_field(writer.content())


def test_old_files_state_codes_in_a_byte():
    writer = Writer()
    writer.op("RELU", [writer.input(1, 8, 8, 2)])
    writer.model.operatorCodes[0].builtinCode = 0
    assert load(writer.content()).graph.node("output").op == "RELU"


def test_numbers_of_tensors_that_do_not_exist():
    for change in ("inputs", "outputs"):
        writer = Writer()
        writer.op("RELU", [writer.input(1, 8, 8, 2)])
        setattr(writer.current.operators[0], change, [7])
        with pytest.raises(GraphError, match=r"contain tensor 7, but there are 2"):
            rf.compute_receptive_field(writer.content([1]))


def test_operators_that_read_what_is_computed_later():
    writer = Writer()
    data = writer.input(1, 8, 8, 2)
    (first,) = writer.op("ADD", [data, data], name="first")
    (second,) = writer.op("ADD", [first, first], name="second")
    writer.current.operators[0].inputs = [data, second]
    with pytest.raises(GraphError, match="is read before"):
        rf.compute_receptive_field(writer.content([second]))


def test_a_vector_longer_than_the_file():
    content = bytearray(unpacked("dilated"))
    graph = load(bytes(content)).graph
    constant = next(node for node in graph if node.op == "Constant")
    _, start = constant.definition.tensor.data
    content[start - 4 : start] = (1 << 30).to_bytes(4, "little")
    said = asked(bytes(content))
    assert not said or re.search(r"at byte \d+", said)
    with pytest.raises(GraphError, match=rf"at byte {start - 4}, .* claims to have"):
        _ = load(bytes(content)).graph.node(constant.name).definition.tensor.data


def test_vectors_that_overlap_are_not_read_again_and_again():
    """A few bytes of a file can claim to be a large vector many times."""
    vector = (4).to_bytes(4, "little") + (1 << 16).to_bytes(4, "little")
    content = vector + bytes(4 << 16)
    buffer = Flatbuffer(of_bytes(content), "the model")
    began = time.monotonic()
    read = (buffer.numbers(0, "i", "a vector") for _ in range(1000))
    with pytest.raises(GraphError, match=r"at byte 8, .* too many that overlap"):
        list(map(len, read))
    assert time.monotonic() - began < 10


def test_a_subgraph_that_calls_itself():
    writer = Writer()
    data = writer.input(1, 8, 8, 2)
    condition = writer.constant(np.array([True]))
    chosen = options("IfOptions", thenSubgraphIndex=1, elseSubgraphIndex=1)
    writer.op("IF", [condition, data], chosen)
    writer.subgraph()
    inner = writer.input(1, 8, 8, 2)
    condition = writer.constant(np.array([True]))
    writer.op("IF", [condition, inner], chosen)
    with pytest.raises(GraphError, match="calls itself"):
        rf.compute_receptive_field(writer.content())


def test_subgraphs_that_call_ever_more_subgraphs():
    writer = Writer()
    for number in range(40):
        if number:
            writer.subgraph()
        data = writer.input(1, 8, 8, 2)
        if number == 39:
            writer.op("RELU", [data])
            continue
        chosen = options("IfOptions", thenSubgraphIndex=number + 1)
        chosen[0].elseSubgraphIndex = number + 1
        writer.op("IF", [writer.constant(np.array([True])), data], chosen)
    began = time.monotonic()
    steps = "steps that an answer may take"
    with pytest.raises(rf.ReceptiveFieldError, match=steps):
        rf.compute_receptive_field(writer.content())
    assert time.monotonic() - began < 120


def test_a_subgraph_that_does_not_exist():
    writer = Writer()
    data = writer.input(1, 8, 8, 2)
    chosen = options("WhileOptions", condSubgraphIndex=3, bodySubgraphIndex=4)
    writer.op("WHILE", [data], chosen)
    with pytest.raises(GraphError, match="refers to subgraph 4, but has 1"):
        rf.compute_receptive_field(writer.content())


def test_a_damaged_compressed_file(tmp_path):
    path = tmp_path / "model.tflite.xz"
    whole = (FOLDER / "u_net.tflite.xz").read_bytes()
    path.write_bytes(whole[: len(whole) - 300])
    with pytest.raises(GraphError, match="cannot read"):
        rf.compute_receptive_field(path)
    shutil.copy(FOLDER / "u_net.tflite.xz", path)
    assert rf.compute_receptive_field(path).size.tolist() == [204, 204]
