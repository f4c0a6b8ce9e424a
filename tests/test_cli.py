"""The command line, as a user calls it: in a process of its own, into a pipe."""

import csv
import io
import json
import subprocess
import sys

import pytest

import receptive_field as rf

POOL = "InceptionResnetV2/MaxPool_3a_3x3/MaxPool"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "receptive_field.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def answer(*arguments):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_compute():
    lines = dict(
        line.split("  ", 1) for line in answer("compute", rf.EXAMPLE_GRAPH).splitlines()
    )
    found = {name.strip(): value.strip() for name, value in lines.items()}
    assert found["receptive field"] == "3039 x 3039"
    assert found["effective padding"] == "1482 x 1482"
    assert found["aligned"] == "yes"


def test_compute_as_json_by_the_end_of_a_name():
    output = ("--output", "MaxPool_3a_3x3/MaxPool", "--format", "json")
    found = json.loads(answer("compute", rf.EXAMPLE_GRAPH, *output))
    assert found["output"] == POOL
    assert (found["size"], found["stride"], found["padding"]) == (
        [15] * 2,
        [4] * 2,
        [2] * 2,
    )


def test_explain():
    shown = answer("compute", rf.EXAMPLE_GRAPH, "--explain")
    assert shown.splitlines()[-1].endswith("(aligned)")


LAYERS = ("layers", rf.EXAMPLE_GRAPH, "--filter", "*MaxPool", "--resolution", "299x299")


def test_layers_as_csv():
    rows = list(
        csv.DictReader(io.StringIO(answer(*LAYERS, "--costs", "--format", "csv")))
    )
    assert rows[0] == {
        **{"layer": POOL, "op": "MaxPool", "output size": "73", "stride": "4"},
        **{"receptive field": "15", "padding": "2", "first centre": "5"},
        # 73 x 73 positions, 64 channels, 9 comparisons; nothing to train.
        **{"FLOPs": str(73 * 73 * 64 * 9), "parameters": "0"},
    }


def test_layers_in_other_forms():
    table, markdown = answer(*LAYERS), answer(*LAYERS, "--format", "markdown")
    assert table.splitlines()[0].split()[:2] == ["layer", "op"]
    assert f"| {POOL} | MaxPool | 73 | 15 | 4 | 2 | 5 | - | - |" in markdown
    rows = json.loads(answer(*LAYERS, "--format", "json"))
    assert rows[0]["receptive field"] == [15, 15]
    assert rows[0]["FLOPs"] is None


def test_nodes():
    shown = answer("nodes", rf.EXAMPLE_GRAPH, "Conv2d_1a", "--op", "Conv*")
    assert shown.splitlines()[0] == "Conv2D  InceptionResnetV2/Conv2d_1a_3x3/Conv2D"


def test_resolutions():
    shown = answer("resolutions", rf.EXAMPLE_GRAPH, "--output", POOL)
    assert (
        "smallest size 11" in shown
    )  # 3/2, 3, SAME 3, then 3/2: 3 positions are left.


@pytest.mark.slow
def test_measure(tmp_path):
    keras = pytest.importorskip("keras")
    image = keras.Input((9, 9, 1))
    layer = keras.layers.Conv2D(1, 3, strides=2, name="layer")
    keras.Model(image, layer(image)).save(tmp_path / "model.keras")
    done = run("measure", tmp_path / "model.keras", "--feature", "1,3")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["  x: 2 to 4 (3)", "  y: 6 to 8 (3)"]


def test_many(tmp_path):
    results = tmp_path / "fields.csv"
    done = run("many", rf.EXAMPLE_GRAPH, tmp_path / "no.pb", "--results", results)
    assert done.returncode == 1
    assert "2 files, 1 with an error" in done.stderr
    rows = list(csv.DictReader(results.open()))
    assert {row["rf_x"] for row in rows} == {"3039", ""}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compute", "nofile"), "cannot read 'nofile'"),
        (("compute", rf.EXAMPLE_GRAPH, "--output", "Rleu"), "there is no node 'Rleu'"),
        (("compute", rf.EXAMPLE_GRAPH, "--output", "Relu"), "names end with 'Relu'"),
        (("compute", rf.EXAMPLE_GRAPH, "--resolution", "0x9"), "at least 1"),
        (("layers", rf.EXAMPLE_GRAPH, "--filter", "x*y"), "no name matches 'x*y'"),
        (("layers", rf.EXAMPLE_GRAPH, "--costs"), "size that is not known"),
        (("nodes", rf.EXAMPLE_GRAPH, "nothing"), "no node matches"),
    ],
)
def test_what_cannot_be_answered(arguments, message):
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [(), ("compute",), ("draw",), ("compute", "graph.pb", "--resolution", "big")],
)
def test_command_lines_that_make_no_sense(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize(
    "command",
    ["compute", "layers", "nodes", "resolutions", "measure", "explore", "many"],
)
def test_help_has_an_example(command):
    assert f"example: receptive-field {command} " in answer(command, "--help")


def test_a_full_device():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "receptive_field.cli", "nodes", rf.EXAMPLE_GRAPH],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write")
    assert "Traceback" not in done.stderr


def test_files_need_no_tensorflow():
    code = (
        "import sys; from receptive_field.cli import main; "
        f"main(['compute', {rf.EXAMPLE_GRAPH!r}]); "
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
