"""The command line, as a user calls it, into a pipe or a terminal.

What depends on the process, such as a signal, a terminal or what is imported, is tested
in a process of its own.
"""

import csv
import fcntl
import io
import itertools
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from functools import cache

import pytest
from commands import run
from graphs import add, conv, graph_def, placeholder
from needed import needed, needs

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.cli.arguments import FILES
from receptive_field.cli.terminal import _Line
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow.files import read_graph_def
from receptive_field.progress import told_to

CONCAT = "InceptionResnetV2/Mixed_5b/concat"
POOL = "InceptionResnetV2/MaxPool_3a_3x3/MaxPool"


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
    of_axes = {
        **{"output_size": "73", "rf": "15", "stride": "4", "padding": "2"},
        **{"center": "5", "local_rf": "15", "kernel": "3", "layer_stride": "2"},
        **{"dilation": "1", "layer_padding_before": "0", "layer_padding_after": "0"},
    }
    assert rows[0] == {
        **{"layer": POOL, "op": "MaxPool"},
        **{f"{name}_{axis}": n for name, n in of_axes.items() for axis in "xy"},
        **{"same_padding": "False", "aligned": "True", "exact": "True"},
        **{"global": "False", "unproductive": "False"},
        # 73 x 73 positions, 64 channels, 9 comparisons; nothing to train.
        **{"flops": str(73 * 73 * 64 * 9), "parameters": "0"},
    }


def test_layers_in_other_forms():
    table, markdown = answer(*LAYERS), answer(*LAYERS, "--format", "markdown")
    assert table.splitlines()[0].split()[:2] == ["layer", "op"]
    flops = 73 * 73 * 64 * 9
    numbers = f"73 | 15 | 4 | 2 | 5 | 3 | 2 | 1 | 0 | yes | yes | {flops} | 0"
    assert f"| {POOL} | MaxPool | {numbers} |" in markdown
    rows = json.loads(answer(*LAYERS[:4], "--format", "json"))
    assert rows[0]["receptive field"] == [15, 15]
    assert rows[0]["FLOPs"] is None  # The input's size is not known.


def test_columns_of_layers():
    rows = answer(*LAYERS, "--columns", "stride,Layer,flops", "--format", "csv")
    assert rows.splitlines()[:2] == [
        "stride_x,stride_y,layer,flops",
        f"4,4,{POOL},{73 * 73 * 576}",
    ]
    table = answer(*LAYERS, "--columns", "stride,layer").splitlines()
    assert table[0].split() == ["stride", "layer"]
    assert table[2].split() == ["4", POOL]


def test_nodes():
    shown = answer("nodes", rf.EXAMPLE_GRAPH, "Conv2d_1a", "--op", "Conv*")
    assert shown.splitlines()[0] == "Conv2D  InceptionResnetV2/Conv2d_1a_3x3/Conv2D"


def test_layers_without_nodes_and_words_that_are_near(tmp_path, capsys):
    keras = needed("keras")
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(1, 3, name="mid_conv1")(image)
    model = keras.Model(image, keras.layers.Dropout(0.5, name="drop")(x))
    model.save(tmp_path / "model.keras")
    file = str(tmp_path / "model.keras")
    assert main(["nodes", file, "drop"]) == 0
    assert capsys.readouterr().out.split() == ["Dropout", "drop"]
    for command in (["layers", file, "--filter", "mdi"], ["nodes", file, "mdi"]):
        assert main(command) == 1
        assert "Did you mean 'mid'?" in capsys.readouterr().err
    assert main(["nodes", rf.EXAMPLE_GRAPH, "Mixd_5b"]) == 1
    assert "Did you mean 'Mixed_5b'" in capsys.readouterr().err


def test_inputs_and_outputs():
    shape = ["?", "x", "?", "x", "3"]
    shown = answer("nodes", rf.EXAMPLE_GRAPH, "--inputs")
    assert shown.split() == ["Placeholder", "input_image", *shape]
    last = "InceptionResnetV2/Conv2d_7b_1x1/Relu"
    shown = answer("nodes", rf.EXAMPLE_GRAPH, "--outputs", "--inputs")
    assert [line.split() for line in shown.splitlines()] == [
        ["Placeholder", "input_image", *shape],
        ["Relu", last, *shape[:4], "1536"],
    ]
    assert answer("nodes", rf.EXAMPLE_GRAPH, "*7b*/Relu").split() == ["Relu", last]


def test_resolutions():
    shown = answer("resolutions", rf.EXAMPLE_GRAPH, "--output", POOL)
    assert (
        "smallest size 11" in shown
    )  # 3/2, 3, SAME 3, then 3/2: 3 positions are left.


@pytest.mark.slow
def test_measure(tmp_path, capsys):
    keras = needed("keras")
    image = keras.Input((9, 9, 1))
    layer = keras.layers.Conv2D(1, 3, strides=2, name="layer")
    keras.Model(image, layer(image)).save(tmp_path / "model.keras")
    question = ("measure", tmp_path / "model.keras", "--feature", "1,3")
    told = json.loads(run(*question, "--format", "json").stdout)
    assert (told["feature"], told["region"]) == ([1, 3], [[2, 4], [6, 8]])
    assert main(list(map(str, question))) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[1:] == ["  x: 2 to 4 (3)", "  y: 6 to 8 (3)"]
    # The model that runs is traced, and has other nodes than the one that is read.
    assert main([*map(str, question), "--input", "*/convolution"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  x: 1 to 1 (1)",
        "  y: 3 to 3 (1)",
    ]


def test_many(tmp_path):
    results = tmp_path / "fields.csv"
    done = run("many", rf.EXAMPLE_GRAPH, tmp_path / "no.pb", "-o", results)
    assert done.returncode == 1
    assert "2 files, 1 with an error" in done.stderr
    rows = list(csv.DictReader(results.open()))
    assert {row["rf_x"] for row in rows} == {"3039", ""}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compute", "nofile"), "cannot read 'nofile'"),
        (("compute", rf.EXAMPLE_GRAPH, "--output", "Rleu"), "there is no node 'Rleu'"),
        (
            ("compute", rf.EXAMPLE_GRAPH, "--output", "Mxd_5b/concat"),
            f"mean {CONCAT!r}",
        ),
        (("compute", rf.EXAMPLE_GRAPH, "--input", "inptu"), "mean 'input_image'?"),
        (("compute", rf.EXAMPLE_GRAPH, "--stop", "Incption"), "begins with 'Incption'"),
        (
            ("explore", rf.EXAMPLE_GRAPH, "-o", rf.EXAMPLE_GRAPH),
            "the model is read from this file",
        ),
        (("compute", os.devnull), "is empty"),
        (("compute", "."), "the folder '.' contains no SavedModel"),
        (("compute", rf.EXAMPLE_GRAPH, "--output", "Relu"), "243 names match 'Relu'"),
        (("compute", rf.EXAMPLE_GRAPH, "--resolution", "0x9"), "at least 1"),
        (("layers", rf.EXAMPLE_GRAPH, "--filter", "x*y"), "no name matches 'x*y'"),
        (("layers", rf.EXAMPLE_GRAPH, "--filter", "*Maxpol"), "Did you mean"),
        (("layers", rf.EXAMPLE_GRAPH, "--columns", "FLOPs"), "with --resolution"),
        (("nodes", rf.EXAMPLE_GRAPH, "Mixd_5b"), "Did you mean 'Mixed_5b'"),
        (("nodes", rf.EXAMPLE_GRAPH, "--op", "Rlu"), "Did you mean 'Relu'"),
        (
            ("nodes", rf.EXAMPLE_GRAPH, "Conv2d_1a", "--op", "MaxPool"),
            "no node whose name matches 'Conv2d_1a' has an op type that matches",
        ),
        (("plot", "growth", rf.EXAMPLE_GRAPH, "-o", "a.txt"), ".svg, .png, .pdf"),
        (("plot", "growth", "nofile", "-o", "no/a.svg"), "its folder does not exist"),
        (("plot", "growth", "nofile", "-o", "a.svg"), "cannot read 'nofile'"),
        (("plot", "regions", rf.EXAMPLE_GRAPH, "-o", "a.svg"), "Give --resolution"),
        (("layers", rf.EXAMPLE_GRAPH, "--costs"), "unknown size"),
        (("nodes", rf.EXAMPLE_GRAPH, "nothing"), "no name matches"),
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
    [
        (),
        ("compute",),
        ("draw",),
        ("compute", "graph.pb", "--resolution", "big"),
        ("layers", "graph.pb", "--columns", "strid"),
        ("plot", "growth", "-o", "a.svg"),
        ("plot", "accuracy", "graph.pb", "-o", "a.svg"),
        ("plot", "growth", "graph.pb"),
        ("plot", "regions", "a", "b", "c", "--output=d", "--output=e", "-o", "a.svg"),
        ("plot", "support", "g.pb", "-o", "a.svg", "--feature=1,1", "--feature=2,2"),
    ],
)
def test_command_lines_that_make_no_sense(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize(
    "command",
    [
        *[
            "compute",
            "layers",
            "nodes",
            "resolutions",
            "measure",
            "bisect",
            "tiling",
            "explore",
            "plot",
            "many",
            "check",
            "compare",
            "reach",
            "levels",
        ]
    ],
)
def test_help_has_an_example(command):
    assert f"example: receptive-field {command} " in answer(command, "--help")
    assert f"\n  receptive-field {command} " in answer("--help")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("comput", "g.pb"), "Did you mean compute?"),
        (("--versoin",), "Did you mean --version?"),
        (("compute", "g.pb", "--resoluton", "9x9"), "Did you mean --resolution?"),
        (("layers", "g.pb", "--format", "jsn"), "Did you mean json?"),
        (
            ("explore", "g.pb", "--output", "page.html"),
            "If page.html is the file, type: receptive-field explore g.pb -o page.html",
        ),
        (
            ("plot", "growth", "g.pb", "--output=a.svg", "--trace"),
            "type: receptive-field plot growth g.pb -o a.svg --trace",
        ),
        (
            ("explore", "g.pb", "page.html", "--trace"),
            "type: receptive-field explore g.pb --trace -o page.html",
        ),
        (("plot", "regions", "g.pb", "--image", "cat.png"), "the file to write)"),
        (("nodes", "g.pb", "--op", "Conv*", "a", "b"), "unrecognized arguments: a b"),
        (("explore", "g.pb"), "the file to write"),
        (("compute", "g.pb", "-o", "a.txt"), "--output NAME is the layer to ask about"),
        (("nodes", "g.pb", "-o", "a.txt"), "add > FILE"),
        (("measure", "g.pb", "--feature", "3x4"), "write coordinates as X,Y: 3,4"),
        (("measure", "g.pb", "--feature", "3,4x"), "is not X,Y such as 3,4"),
        (("compute", "g.pb", "--resolution", "9x9,9"), "is not HEIGHTxWIDTH"),
    ],
)
def test_a_mistake_says_what_to_write(arguments, told, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())


def shown(capsys, *arguments):
    """What a command prints to stdout and to stderr."""
    assert main([str(text) for text in arguments]) == 0
    return capsys.readouterr()


def test_a_pattern_may_follow_an_option(capsys):
    pattern, op = "mixed_5b", ("--op", "conv2d")
    right = shown(capsys, "nodes", rf.EXAMPLE_GRAPH, pattern, *op)
    assert "Mixed_5b" in right.out
    assert shown(capsys, "nodes", rf.EXAMPLE_GRAPH, *op, pattern) == right


def test_sizes_with_a_comma_work_with_a_note(capsys):
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL, "--resolution")
    right = shown(capsys, *asked, "64x96")
    assert right.err == ""
    assert shown(capsys, *asked, "64X96") == right
    comma = shown(capsys, *asked, "64,96")
    assert comma.out == right.out
    assert comma.err.startswith("note: sizes are written HEIGHTxWIDTH, so ")
    assert "read as 64x96" in comma.err


def test_one_number_is_the_size_of_both_axes(capsys):
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL, "--resolution")
    assert shown(capsys, *asked, "64") == shown(capsys, *asked, "64x64")


def test_former_names_of_the_file_work_with_a_note(tmp_path, capsys):
    file = tmp_path / "fields.csv"
    asked = ("many", rf.EXAMPLE_GRAPH, "--workers", 1)
    told = shown(capsys, *asked, "--results", file)
    assert told.err.startswith("note: --results is now -o; ")
    assert file.exists()
    page = tmp_path / "page.html"
    told = shown(
        capsys, "explore", rf.EXAMPLE_GRAPH, f"--save={page}", "--output", POOL
    )
    assert told.err.startswith("note: --save is now -o; ")
    assert page.exists()


def test_version():
    assert answer("--version") == f"receptive-field {rf.__version__}\n"


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


def test_a_reader_that_has_had_enough():
    process = subprocess.Popen(
        [sys.executable, "-m", "receptive_field.cli", "layers", rf.EXAMPLE_GRAPH],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline().startswith("layer ")
        process.stdout.close()  # The table is longer than a pipe holds.
        assert process.stderr.read() == ""
        assert process.wait() == 0
    finally:
        process.kill()
        process.communicate()


def in_terminal(*arguments, width=300, **environment):
    """What a command shows on a terminal, and its status; progress only if asked."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    known = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "receptive_field.cli", *map(str, arguments)],
        stdout=end,
        stderr=end,
        stdin=end,
        env={
            **known,
            "TERM": "xterm-256color",
            "NO_PROGRESS": "1",
            **environment,
        },
    )
    os.close(end)
    shown = b""
    try:
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # Linux says so where others say that nothing is left.
                part = b""
            if not part:
                break
            shown += part
        return process.wait(), shown.decode().replace("\r\n", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


ESCAPE = re.compile("\x1b\\[[0-9;]*m")


@needs("rich")
@pytest.mark.parametrize(
    "arguments",
    [
        ("compute", rf.EXAMPLE_GRAPH),
        (*LAYERS, "--columns", "layer,op"),
        ("nodes", rf.EXAMPLE_GRAPH, "Mixed_5b/concat"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_colours_are_for_terminals(arguments):
    plain = answer(*arguments)
    assert "\x1b" not in plain
    status, coloured = in_terminal(*arguments)
    assert status == 0
    assert ESCAPE.search(coloured)
    assert ESCAPE.sub("", coloured) == plain
    assert in_terminal(*arguments, NO_COLOR="1") == (0, plain)
    assert in_terminal(*arguments, TERM="dumb") == (0, plain)


@needs("rich")
def test_errors_are_red_on_a_terminal():
    status, shown = in_terminal("compute", "nofile")
    assert status == 1
    assert shown.startswith("\x1b[1;31merror:\x1b[0m cannot read 'nofile'")


def test_long_lines_are_broken_between_words_on_a_terminal():
    asked = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL, "--spacing", "0.5")
    status, shown = in_terminal(*asked, width=80, NO_COLOR="1")
    lines = shown.splitlines()
    assert (status, lines[0][:6]) == (1, "error:")
    assert max(map(len, lines)) <= 80
    assert len(lines) > 1
    assert " ".join(line.strip() for line in lines) == run(*asked).stderr.strip()


def test_lines_of_data_are_never_broken():
    from receptive_field.cli.terminal import wrapped

    status, shown = in_terminal("compute", rf.EXAMPLE_GRAPH, "--format", "json")
    assert status == 0
    assert json.loads(shown)["stride"] == [32, 32]
    long = "x" * 90
    assert wrapped(f"op  {long}\n{long}", 80) == f"op  {long}\n{long}"


def test_many_counts_its_files(tmp_path):
    arguments = ("many", rf.EXAMPLE_GRAPH, "--workers", 1, "-o")
    assert run(*arguments, tmp_path / "b.csv").stderr == "1 file, 0 with an error.\n"


def without(modules, *arguments):
    """Runs a command as if some modules were not installed."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(sys.argv[1].split(',')))\n"
        "from receptive_field.cli import main; sys.exit(main(sys.argv[2:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, modules, *map(str, arguments)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("modules", "arguments", "extra"),
    [
        ("shtab", ("--print-completion", "bash"), "terminal"),
        ("matplotlib", ("plot", "growth", rf.EXAMPLE_GRAPH, "-o", "{}/a.svg"), "plot"),
        ("pyarrow", ("many", rf.EXAMPLE_GRAPH, "-o", "{}/a.parquet"), "many"),
    ],
)
def test_what_is_not_installed(modules, arguments, extra, tmp_path):
    done = without(modules, *(text.format(tmp_path) for text in arguments))
    assert done.returncode == 1
    assert re.fullmatch(f"error: .*receptive_field\\[{extra}\\].*\n", done.stderr)
    assert not list(tmp_path.iterdir())


def test_without_rich_a_terminal_shows_plain_text(tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError('not installed')")
    known = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([str(tmp_path), *filter(None, [known])])
    arguments = ("compute", rf.EXAMPLE_GRAPH)
    assert in_terminal(*arguments, PYTHONPATH=path) == (0, answer(*arguments))


def completions(*words):
    """What bash offers in the place of the last word."""
    script = answer("--print-completion", "bash") + (
        f"COMP_WORDS=({' '.join(words)!s}); COMP_CWORD={len(words) - 1}\n"
        "$(complete -p receptive-field | sed 's/.*-F \\([^ ]*\\).*/\\1/') "
        f"receptive-field {words[-1]!r} {words[-2]!r}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


@needs("shtab")
def test_completion():
    assert completions("receptive-field", "m") == ["measure", "many"]
    assert completions("receptive-field", "layers", "--fo") == ["--format"]
    assert completions("receptive-field", "layers", "--format", "c") == ["csv"]
    graph = rf.EXAMPLE_GRAPH
    assert completions("receptive-field", "compute", graph[:-3]) == [graph]
    assert answer("--print-completion", "zsh").startswith("#compdef receptive-field")


def test_files_are_completed_as_shtab_does():
    assert FILES.items() <= needed("shtab").FILE.items()


@needs("matplotlib")
@pytest.mark.parametrize(
    ("arguments", "head"),
    [
        (
            ("regions", "--feature", "0,0", "--feature", "3,3", "-o", "{}/a.svg"),
            b"<?xml",
        ),
        (("growth", "-o", "{}/a.pdf"), b"%PDF"),
        (("support", "--feature", "3,3", "-o", "{}/a.png"), b"\x89PNG"),
        (("effective", "-o", "{}/a.PNG"), b"\x89PNG"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_plot(arguments, head, tmp_path):
    kind, *rest = (text.format(tmp_path) for text in arguments)
    question = ("--resolution", "64x96")
    if kind != "growth":
        question += ("--output", POOL)
    assert answer("plot", kind, rf.EXAMPLE_GRAPH, *rest, *question) == ""
    (written,) = tmp_path.iterdir()
    assert written.read_bytes().startswith(head)


@needs("matplotlib")
@pytest.mark.parametrize("kind", ["regions", "growth", "support", "effective"])
def test_a_plot_of_several_models(kind, tmp_path):
    copy = tmp_path / "other.pbtxt.gz"
    shutil.copy(rf.EXAMPLE_GRAPH, copy)
    name = os.path.basename(rf.EXAMPLE_GRAPH)
    saved = tmp_path / "a.svg"
    models = [rf.EXAMPLE_GRAPH, "-o", str(saved), str(copy), str(copy)]
    question = ["--resolution", "64x96"]
    if kind != "growth":
        question += [
            "--output",
            POOL,
            "--output",
            POOL,
            "--output",
            "InceptionResnetV2/Conv2d_1a_3x3/Relu",
        ]
    assert answer("plot", kind, *models, *question) == ""
    drawn = saved.read_text()
    for title in (name, f"{copy.name} (1)", f"{copy.name} (2)"):
        assert f"<!-- {title}" in drawn


@pytest.mark.parametrize(
    ("kind", "option"),
    [("growth", "output"), ("growth", "image"), ("effective", "image")],
)
def test_what_makes_no_difference_is_no_option(kind, option, tmp_path, capsys):
    saved = str(tmp_path / "a.svg")
    arguments = ["plot", kind, rf.EXAMPLE_GRAPH, "-o", saved, f"--{option}", "some"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert f"--{option} has no effect on {kind}" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_the_end_of_a_name_may_have_an_output(tmp_path):
    ends = POOL.split("/", 1)[1]
    assert answer("compute", rf.EXAMPLE_GRAPH, "--output", f"{ends}:0") == answer(
        "compute", rf.EXAMPLE_GRAPH, "--output", POOL
    )


def test_a_layer_that_cannot_be_analysed_is_not_said_to_be_missing(capsys):
    name = "InceptionResnetV2/Mixed_5b/concat"
    arguments = ["layers", rf.EXAMPLE_GRAPH, "--resolution", "10x10", "--filter", name]
    assert main(arguments) == 1
    assert "vanish" in capsys.readouterr().err


@pytest.fixture
def graph(tmp_path):
    """A file with a convolution whose padding depends on the size of its input."""
    file = tmp_path / "graph.pbtxt"
    paths = conv("one", "input", 3, 2, "SAME"), conv("two", "input", 1, 2, "SAME")
    file.write_text(str(graph_def(placeholder(), *paths, add("sum", "one", "two"))))
    return file


def test_resolutions_as_data():
    told = json.loads(answer("resolutions", rf.EXAMPLE_GRAPH, "--format", "json"))
    model = load(read_graph_def(rf.EXAMPLE_GRAPH))

    @cache
    def field_at(size):
        return rf.compute_receptive_field(model, input_resolution=[size, size])

    assert (told["input"], len(told["axes"])) == ("input_image", 2)
    for index, axis in enumerate(told["axes"]):
        placements, formula = axis["placements"], axis["output_size"]
        for size in range(axis["smallest_size"], axis["smallest_size"] + 33, 8):
            field = field_at(size)
            assert placements[size % axis["period"]] == {
                "aligned": field.aligned,
                "padding": field.padding[index],
            }
            turns, rest = divmod(size, len(formula["offsets"]))
            found = turns * formula["slope"] + formula["offsets"][rest]
            assert found == field.axes[index].output_size
        assert axis["largest_useful_size"] == field.size[index]


def test_messages_speak_of_options(graph):
    file = graph.with_name("two.pbtxt")
    ends = (conv("one", "input"), conv("two", "input"))
    file.write_text(str(graph_def(placeholder(), *ends)))
    done = run("compute", file)
    listed = "('one' (? x ? x 1), 'two' (? x ? x 1))"
    assert done.stderr.endswith(f"{listed}. Choose one with --output.\n")
    assert answer("compute", file, "--output", "one").splitlines()[3].endswith("3 x 3")


def test_explanations_as_json(graph):
    told = json.loads(answer("compute", graph, "--explain", "--format", "json"))
    field = rf.compute_receptive_field(graph)
    said = str(field.explain()).replace("rf.res", "receptive-field res")
    said = said.replace("input_resolution", "--resolution")
    assert told.pop("explanation") == said
    assert told == field.to_dict(with_reasons=True)


@needs("matplotlib")
def test_a_plot_that_fails_leaves_the_old_one(tmp_path):
    drawn = tmp_path / "a.svg"
    drawn.write_text("old")
    image = tmp_path / "image.png"
    image.write_bytes(b"no image")
    files = ("-o", drawn, "--image", image, "--resolution", "299x299")
    done = run("plot", "regions", rf.EXAMPLE_GRAPH, *files)
    assert done.returncode == 1
    assert f"cannot read the image {str(image)!r}" in done.stderr
    assert drawn.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [drawn, image]


def test_a_folder_is_no_place_for_a_plot(tmp_path):
    folder = tmp_path / "a.svg"
    folder.mkdir()
    done = run("plot", "growth", "nofile", "-o", folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the path is a folder" in done.stderr


def test_files_need_no_tensorflow_and_no_arrays():
    code = (
        "import sys; from receptive_field.cli import main; "
        f"main(['compute', {rf.EXAMPLE_GRAPH!r}]); "
        "sys.exit(not {'tensorflow', 'keras', 'matplotlib', 'numpy'}.isdisjoint("
        "sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_interrupt_ends_a_command(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("receptive_field.cli.parser", interrupted)
    assert main(["compute", "model.pb"]) == 130
    assert capsys.readouterr().err == "interrupted.\n"


# --- Progress, logs and interrupts ---------------------------------------------------


def drawn(shown):
    """The texts that a line on a terminal has had, one after another."""
    texts = re.findall(r"\r([^\r\n]*?)\x1b\[K", shown)
    return [text for text, _ in itertools.groupby(texts)]


@pytest.fixture
def hurried(tmp_path):
    """A folder that makes Python show progress at once, and take its time."""
    code = (
        "from receptive_field.cli import terminal\n"
        "from receptive_field import progress\n"
        "import time\n"
        "terminal.PATIENCE = 0.01\n"
        "tell = progress.tell\n"
        "def slow(*told):\n"
        "    tell(*told)\n"
        "    time.sleep(0.02)\n"
        "progress.tell = slow\n"
    )
    (tmp_path / "sitecustomize.py").write_text(code)
    paths = str(tmp_path), os.environ.get("PYTHONPATH", ""), os.getcwd()
    return {"PYTHONPATH": os.pathsep.join(paths), "NO_PROGRESS": ""}


def test_progress_is_gone_when_the_answer_is_printed(hurried, tmp_path):
    page = tmp_path / "page.html"
    arguments = ("explore", rf.EXAMPLE_GRAPH, "--output", POOL, "-o", page)
    status, shown = in_terminal(*arguments, **hurried)
    assert status == 0
    before, after = shown.rsplit("\x1b[K", 1)
    assert after.strip() == str(page)
    texts = drawn(shown)
    assert texts[-1] == ""  # The line has been removed.
    assert any(re.fullmatch(r"[a-z ]+: \d+%(, .* left)?", text) for text in texts)
    assert "\n" not in before


@pytest.mark.parametrize("variable", [{"NO_PROGRESS": "1"}, {"TERM": "dumb"}])
def test_progress_is_not_shown_if_nobody_wants_it(variable, hurried):
    arguments = ("compute", rf.EXAMPLE_GRAPH, "--output", POOL)
    environment = {**hurried, "NO_COLOR": "1", **variable}
    _, shown = in_terminal(*arguments, **environment)
    assert "\r" not in shown
    assert "\x1b" not in shown


def test_progress_is_not_shown_in_a_pipe_or_in_python(hurried):
    environment = {**os.environ, **hurried}
    program = (
        "import receptive_field as rf; rf.resolutions(rf.EXAMPLE_GRAPH, output={})"
    )
    commands = (
        [
            "-m",
            "receptive_field.cli",
            "resolutions",
            rf.EXAMPLE_GRAPH,
            "--output",
            POOL,
        ],
        ["-c", program.format(repr(POOL))],
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, env=environment, check=True
        )
        assert done.stderr == b""


def test_listeners_are_told_what_is_done():
    told = []
    with told_to(lambda *what: told.append(what)):
        rf.resolutions(rf.EXAMPLE_GRAPH, output=POOL)
    assert told[0] == ("reading the model", None)
    shares = [s for what, s in told if what == "running sizes along y"]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] > 0.5
    assert "following each layer" in {what for what, share in told if share}
    assert all(share is None or 0 <= share <= 1 for _, share in told)
    told.clear()
    rf.resolutions(rf.EXAMPLE_GRAPH, output=POOL)
    assert not told


def test_what_a_line_says():
    line = _Line(io.StringIO())
    line.tell("reading", None)
    assert line._text() == "reading ... 0 s"
    line.tell("measuring", 0.0)
    assert line._text() == "measuring: 0%"
    line._since -= 130
    line.tell("measuring", 0.5)
    assert line._text() == "measuring: 50%, 2 min 10 s left"
    assert line._text(26) == "meas: 50%, 2 min 10 s left"
    assert line._text(5) == ": 50%"
    line.end()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["keras", "saved"])
def test_no_framework_writes_before_an_answer(kind, tmp_path):
    keras = needed("keras")
    image = keras.Input((9, 9, 1))
    model = keras.Model(image, keras.layers.Conv2D(1, 3)(image))
    path = tmp_path / ("model.keras" if kind == "keras" else "model")
    (model.save if kind == "keras" else model.export)(path)
    known = {k: v for k, v in os.environ.items() if not k.startswith("TF_CPP")}
    code = (
        "import sys\n"
        "from receptive_field.cli import main\n"
        "from receptive_field.cli.terminal import hide_native_logs\n"
        "hide_native_logs()\n"
        "for command in ('compute', 'measure'):\n"
        "    assert main([command, sys.argv[1], '--trace']) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, env=known
    )
    assert (done.returncode, done.stderr) == (0, b"")


INTERRUPTED = """
import os, signal, sys
from receptive_field.cli import command_line, commands
from receptive_field.whole_files import replace_file

# Jobs in the background of a shell ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    print("went on")

class Callback:
    def __del__(self):  # Python ignores exceptions here.
        interrupted()

def compute(options):
    Callback()

def write(options):
    os.fsync = lambda file: interrupted()
    replace_file("page.html", b"half")

commands.compute, commands.explore = compute, write
command_line()
"""


@pytest.mark.parametrize("command", [["compute"], ["explore", "-o", "page.html"]])
def test_an_interrupt_is_one_line_and_leaves_no_file(command, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, command[0], "model.pb", *command[1:]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted.\n"
    assert list(tmp_path.iterdir()) == []


def test_messages_name_the_options_of_the_command_line():
    from receptive_field.cli.messages import with_options

    assert with_options("Choose one with output=.") == "Choose one with --output."
    assert with_options("Give input='x' and input_resolution.") == (
        "Give --input 'x' and --resolution."
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("input_resolution=[224]", "--resolution 224"),
        ("input_resolution=[224, 80, 3, 1]", "--resolution 224x80x3x1"),
        (
            "Give input_resolution as [height, width].",
            "Give --resolution HEIGHTxWIDTH.",
        ),
        (
            "Call compute_receptive_field with input_resolution.",
            "Call receptive-field compute with --resolution.",
        ),
        (
            "use compute_receptive_field(..., input_resolution=...).",
            "use receptive-field compute with --resolution HEIGHTxWIDTH.",
        ),
        ("spacing=[0.5, 2], unit='mm'", "--spacing 0.5,2 --unit mm"),
        ("up to 40 (see exceptions)", "up to 40 (--format json lists them)"),
        ("leave them out with stop_propagation.", "leave them out with --stop PREFIX."),
        ("the node 'my/input_resolution'", "the node 'my/input_resolution'"),
    ],
)
def test_what_is_typed_in_a_shell(given, told):
    from receptive_field.cli.messages import with_options

    assert with_options(given) == told
