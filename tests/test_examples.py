"""The scripts, run as a user would."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format
from graphs import add, conv, graph_def, node, placeholder
from needed import needed, needs
from run_scripts import EXAMPLES, example

import receptive_field as rf
from receptive_field.frameworks.tensorflow.files import read_graph_def
from receptive_field.frameworks.tensorflow.messages import GraphDef

pytestmark = pytest.mark.slow

SIX_LINES = """\
Receptive field size (horizontal) = 3039
Receptive field size (vertical) = 3039
Effective stride (horizontal) = 32
Effective stride (vertical) = 32
Effective padding (horizontal) = 1482
Effective padding (vertical) = 1482
"""


def run(script, *arguments, folder=None):
    return subprocess.run(
        [sys.executable, str(EXAMPLES / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def write_graph(path, *nodes):
    path.write_text(text_format.MessageToString(graph_def(*nodes)))
    return path


def test_without_flags_the_graph_of_the_package_is_analysed(tmp_path):
    done = run("compute_rf.py", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, SIX_LINES, "")


def test_all_flags(tmp_path):
    graph = tmp_path / "graph.pbtxt"
    graph.write_bytes(gzip.decompress(Path(rf.EXAMPLE_GRAPH).read_bytes()))
    output = tmp_path / "rf_info.txt"
    done = run(
        "compute_rf.py",
        *("--graph_path", graph, "--output_path", output),
        *("--input_node", "input_image"),
        *("--output_node", "InceptionResnetV2/Conv2d_7b_1x1/Relu"),
    )
    assert (done.returncode, done.stdout) == (0, SIX_LINES)
    assert output.read_text() == SIX_LINES
    assert sorted(os.listdir(tmp_path)) == ["graph.pbtxt", "rf_info.txt"]


def test_the_resolution_makes_paddings_known(tmp_path):
    graph = write_graph(
        tmp_path / "g.pbtxt", placeholder(), conv("c", "input", 3, 2, "SAME")
    )
    unknown = run("compute_rf.py", "--graph_path", graph)
    assert "Effective padding (vertical) = None" in unknown.stdout
    known = run("compute_rf.py", "--graph_path", graph, "--input_resolution=7,8")
    assert known.stdout.splitlines()[-2:] == [
        "Effective padding (horizontal) = 0",
        "Effective padding (vertical) = 1",
    ]


def test_a_binary_graph_is_analysed_without_tensorflow(tmp_path):
    graph = tmp_path / "graph.pb"
    message = graph_def(placeholder(), conv("c", "input"))
    graph.write_bytes(message.SerializeToString())
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['compute_rf.py', '--graph_path', {str(graph)!r}]\n"
        "try:\n"
        f"  runpy.run_path({str(EXAMPLES / 'compute_rf.py')!r}, run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Receptive field size (horizontal) = 3\n")
    assert done.stdout.endswith("False\n")


BAD_GRAPHS = {
    "empty": [],
    "misaligned": [
        placeholder(),
        conv("a", "input", 3),
        conv("b", "input", 4),
        add("c", "a", "b"),
    ],
    "unsupported": [placeholder(), node("odd", "Odd", ["input"])],
    "one axis": [placeholder(sizes=(1, 9, 3)), node("relu", "Relu", ["input"])],
}


@pytest.mark.parametrize("name", BAD_GRAPHS)
def test_bad_graphs_leave_the_output_file_alone(tmp_path, name):
    graph = write_graph(tmp_path / "graph.pbtxt", *BAD_GRAPHS[name])
    output = tmp_path / "rf_info.txt"
    output.write_text("old")
    done = run("compute_rf.py", "--graph_path", graph, "--output_path", output)
    check_failure(done)
    assert output.read_text() == "old"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--graph_path", "missing.pb"],
        ["--input_node", "input_imgae"],
        ["--output_node", "nobody"],
        ["--input_resolution", "224"],
        ["--input_resolution", "a,b"],
        ["--output_path", "no/such/folder/rf.txt"],
        ["stray"],
    ],
)
def test_mistakes_of_the_user(tmp_path, arguments):
    check_failure(run("compute_rf.py", *arguments, folder=tmp_path))
    assert os.listdir(tmp_path) == []


def check_failure(done):
    """One clear sentence, status 1, no traceback."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_help_tells_what_the_script_does():
    done = run("compute_rf.py", "--help")
    assert "Prints the receptive field parameters of a graph file." in done.stdout
    for flag in ("graph_path", "output_path", "input_node", "output_node"):
        assert f"--{flag}" in done.stdout


def structure(message):
    """All that the analysis reads of a graph, by node name."""
    return {node.name: (node.op, list(node.input), node.attr) for node in message.node}


@pytest.mark.slow
@needs("tensorflow")
def test_the_graph_of_the_package_is_the_one_that_the_script_writes(tmp_path):
    flags = ("--graph_dir", tmp_path / "new", "--graph_filename", "graph.pbtxt")
    assert example("write_inception_resnet_v2_graph.py", *flags) == 0
    written = read_graph_def(tmp_path / "new" / "graph.pbtxt")
    assert structure(written) == structure(read_graph_def(rf.EXAMPLE_GRAPH))
    assert type(written) is GraphDef


@pytest.mark.slow
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    needed("tensorflow")
    small = rf.zoo.build("alexnet_v2")
    monkeypatch.setattr(rf.zoo, "build", lambda _: small)
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "folder"
    writer = "write_inception_resnet_v2_graph.py"
    assert example(writer, "--graph_dir", folder) == 1
    assert capsys.readouterr().err.startswith("error: cannot write")


def benchmark(folder, *flags):
    return run("rf_benchmark.py", *flags, folder=folder)


@needs("rich")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--networks", "resnet"],
            "no network 'resnet' in the zoo; the networks are alexnet_v2",
        ),
        (
            ["--end_points", "block9"],
            "no network .* 'block9'; known: alexnet_v2/conv1",
        ),
        (["--resolutions", "224,12k"], "--resolutions has '12k'; known are"),
        (["--resolutions", "0"], "--resolutions has '0'"),
        (["--csv_path", "nowhere/table.csv"], "cannot write 'nowhere/table.csv'"),
        (["--resolutions", "\u00b2"], "--resolutions has"),
        (["--resolutions="], "--resolutions is empty"),
        (["more"], "unexpected argument 'more'"),
    ],
)
def test_a_benchmark_that_cannot_be_run(flags, message, tmp_path):
    done = benchmark(tmp_path, *flags)
    assert done.returncode == 1
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert "unknown" not in done.stdout  # Not a row was computed.
    assert not list(tmp_path.iterdir())


@needs("tensorflow", "rich")
def test_a_benchmark_of_some_rows_as_markdown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--networks", "vgg_a,mobilenet_v1", "--end_points", "pool1,Conv2d_0"]
    sizes = ["--resolutions", "unknown,64x96"]
    assert example("rf_benchmark.py", *flags, *sizes, "--csv_path", "table.csv") == 0
    told = capsys.readouterr().out
    assert "vgg_a                             64x96  vgg_a/pool1" in told
    assert re.search(r"analysed in [\d.]+ s \([\d.]+%\)", told)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[1:3] == [
        "vgg_a,,vgg_a/pool1,,4,4,2,2,1,1",
        f"vgg_a,64x96,vgg_a/pool1,{lines[2].split(',')[3]},4,4,2,2,1,1",
    ]
    # 64 filters of 3 x 3 x 3, a bias, a pooling of 2 x 2, on 64 x 96 positions.
    flops = 64 * 96 * 64 * (2 * 27 + 1) + 32 * 48 * 64 * 4
    assert float(lines[2].split(",")[3]) * 1e9 == pytest.approx(flops)
    shown = run("csv_to_markdown_table.py", "--csv_path", "table.csv", folder=tmp_path)
    assert shown.stdout.splitlines()[2] == (
        "| vgg_a |  | vgg_a/pool1 |  | 4 | 4 | 2 | 2 | 1 | 1 |"
    )


@needs("tensorflow", "rich")
def test_a_network_that_does_not_fit_leaves_the_others_alone(tmp_path, capsys):
    table = tmp_path / "table.csv"
    flags = ["--networks", "inception_v4,vgg_a", "--resolutions", "40,unknown"]
    assert example("rf_benchmark.py", *flags, "--csv_path", table) == 1
    told = capsys.readouterr().err
    assert re.search("too small for inception_v4.*vanishes at InceptionV4/", told)
    lines = table.read_text().splitlines()
    assert len(lines) == 1 + 2 * 13 + 22


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        (b"", "is empty"),
        (b"a,b\n1\n", "row 2 of .* has 1 cells, the header 2"),
        (b"\xff\xfe", "cannot read"),
    ],
    ids=["missing", "empty", "ragged", "binary"],
)
def test_tables_that_cannot_be_read(content, message, tmp_path):
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content)
    done = run("csv_to_markdown_table.py", "--csv_path", "table.csv", folder=tmp_path)
    assert done.returncode == 1
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr


def test_a_table_that_cannot_be_printed(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    script = EXAMPLES / "csv_to_markdown_table.py"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, script, "--csv_path", tmp_path / "table.csv"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot print the table: ")
    assert "Traceback" not in done.stderr


def test_markdown_in_cells_is_text(tmp_path):
    (tmp_path / "table.csv").write_text('name,n\n"a|b",1\n"c\nd",\n')
    flags = ["--csv_path", "table.csv", "--markdown_path", "table.md"]
    assert run("csv_to_markdown_table.py", *flags, folder=tmp_path).returncode == 0
    expected = "| name | n |\n| --- | ---: |\n| a\\|b | 1 |\n| c d |  |\n"
    assert (tmp_path / "table.md").read_text() == expected
