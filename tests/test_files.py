"""Graphs from files: formats told by content, and files that are no graphs."""

import gzip
import io
import os
import stat
import subprocess
import sys
import tarfile
import threading

import pytest
from google.protobuf import text_format
from graphs import conv, graph_def, placeholder
from needed import needed, needs

import receptive_field as rf
from receptive_field.frameworks.tensorflow.messages import GraphDef
from receptive_field.whole_files import check_writable, replace_file

GRAPH = graph_def(placeholder(), conv("layer", "input", 5, 2))
ANSWER = [5, 5, 2, 2, 0, 0]
BINARY = GRAPH.SerializeToString(deterministic=True)
TEXT = text_format.MessageToString(GRAPH).encode()


def tar(content):
    """A tar archive around the file of a graph."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as new:
        entry = tarfile.TarInfo("model/saved_model.pb")
        entry.size = len(content)
        new.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


@pytest.mark.parametrize("name", ["graph.pb", "graph.pbtxt", "graph"])
@pytest.mark.parametrize(
    "content",
    [BINARY, TEXT, gzip.compress(BINARY, mtime=0), gzip.compress(TEXT, mtime=0)],
)
def test_the_content_decides_the_format(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert list(rf.compute_receptive_field(path)) == ANSWER
    assert list(rf.compute_receptive_field(str(path))) == ANSWER


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (BINARY[:-3], "not a GraphDef"),
        (BINARY[: len(BINARY) // 2], "not a GraphDef"),
        (b"\x01\x02\x03\xff\xfe" * 50, "not a GraphDef"),
        (bytes(range(256)) * 9, "not a GraphDef"),
        (tar(BINARY), "tar archive.*Unpack it"),
        (gzip.compress(tar(BINARY), mtime=0), "tar archive.*Unpack it"),
        (TEXT[:-3], "not the text of a GraphDef: .*:"),
        (b"just some words", "not the text of a GraphDef: 1:6"),
        (b"node { name: 3 }", "not the text of a GraphDef: 1:14"),
        ("n\u00f6de".encode("latin-1"), "not the text of a GraphDef"),
        (b"versions { producer: 3 }", "contains no nodes"),
        (gzip.compress(BINARY, mtime=0)[:-12], "cannot read"),
        (gzip.compress(BINARY, mtime=0)[:12] + b"garbage" * 9, "cannot read"),
        (b"node " + b"{ attr { value { func " * 3000, "not the text of a GraphDef"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",
)
def test_files_that_are_no_graphs(tmp_path, content, message):
    path = tmp_path / "graph.pb"
    path.write_bytes(content)
    with pytest.raises(rf.ReceptiveFieldError, match=message) as error:
        rf.compute_receptive_field(path)
    assert "graph.pb" in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(rf.ReceptiveFieldError, match="No such file"):
        rf.compute_receptive_field(tmp_path / "missing.pb")
    with pytest.raises(rf.ReceptiveFieldError, match="contains no SavedModel"):
        rf.compute_receptive_field(tmp_path)


@pytest.mark.parametrize("model", [3, None, [], object()])
def test_what_is_no_model(model):
    with pytest.raises(rf.ReceptiveFieldError, match="cannot analyse a"):
        rf.compute_receptive_field(model)


def run(code):
    """Runs Python code in a process of its own; its output."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return done.stdout


def test_neither_the_package_nor_a_file_imports_tensorflow():
    code = (
        "import sys, receptive_field as rf\n"
        "rf.compute_receptive_field(rf.EXAMPLE_GRAPH)\n"
        "rf.zoo.NETWORKS\n"
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('tensorflow', 'keras', 'matplotlib', 'pandas', 'numpy')])"
    )
    assert run(code).strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("first", ["tensorflow", "receptive_field"])
@needs("tensorflow")
def test_messages_do_not_collide_with_those_of_tensorflow(first):
    second = {"tensorflow": "receptive_field"}.get(first, "tensorflow")
    code = (
        f"import {first}, {second}\n"
        "import receptive_field as rf, tensorflow as tf\n"
        "graph = tf.Graph()\n"
        "with graph.as_default():\n"
        "  x = tf.compat.v1.placeholder(tf.float32, (1, None, None, 3), name='x')\n"
        "  y = tf.nn.conv2d(x, tf.zeros((3, 3, 3, 2)), 2, 'VALID')\n"
        "from google.protobuf import text_format\n"
        "from receptive_field.frameworks.tensorflow.messages import GraphDef\n"
        "theirs = graph.as_graph_def()\n"
        "ours = GraphDef.FromString(theirs.SerializeToString(deterministic=True))\n"
        "assert text_format.Parse(str(theirs), GraphDef()) == ours\n"
        "for model in (graph, theirs, ours, y):\n"
        "  print(*rf.compute_receptive_field(model))\n"
        "print(*rf.compute_receptive_field(graph, input=x, output=y))\n"
        "print(*rf.compute_receptive_field(graph, input=x.op, output=y.op))\n"
    )
    assert run(code).splitlines() == ["3 3 2 2 0 0"] * 6


def test_every_data_type_of_tensorflow_is_known():
    theirs = needed("tensorflow.core.framework.types_pb2").DataType
    pool = GraphDef.DESCRIPTOR.file.pool
    ours = pool.FindEnumTypeByName("receptive_field.DataType").values_by_name
    assert len(theirs.items()) > 40
    for name, number in theirs.items():
        assert ours[name].number == number


def test_fields_that_are_not_needed_are_skipped():
    message = GraphDef()
    text = (
        'node { name: "a" op: "Placeholder" experimental_debug_info {} }'
        'library { gradient { function_name: "f" } }'
    )
    text_format.Parse(text, message, allow_unknown_field=True)
    assert message.node[0].name == "a"


@pytest.mark.parametrize("command", ["explore", "plot"])
def test_what_is_no_regular_file_is_written_to(tmp_path, command):
    """A pipe is still there, and had the whole of it; so has a device."""
    pipe = tmp_path / ("out.html" if command == "explore" else "out.svg")
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    if command == "explore":
        end = "InceptionResnetV2/MaxPool_3a_3x3/MaxPool"
        rf.explore(rf.EXAMPLE_GRAPH, pipe, output=end, input_resolution=[75, 75])
    else:
        replace_file(pipe, b"<svg/>" * 100_000)  # More than a pipe holds.
    reader.join()
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)
    assert len(read[0]) > 100_000
    assert list(tmp_path.iterdir()) == [pipe]
    check_writable(pipe)
