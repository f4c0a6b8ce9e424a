"""Names that would control a terminal, be run by a spreadsheet, or forge lines."""

import csv
import io
import json
import os
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import graphs
import pytest
from needed import needed

import receptive_field as rf
from receptive_field.cli import main as command
from receptive_field.many.results import read_rows
from receptive_field.printable import csv_cell, from_csv_cell, markdown, printable

EVIL = (
    "=1+1\x1b[2J\x1b]0owned\x07\r\nforged\x00\x9b\u202e\u2066\u2028"
    "|<b>`[a](b)`$x$ größe"
)
SHOWN = (
    r"=1+1\x1b[2J\x1b]0owned\x07\r\nforged\x00\x9b\u202e\u2066\u2028"
    "|<b>`[a](b)`$x$ größe"
)
"""How the name is shown."""

NAMES = {plain: f"{EVIL}_{plain}" for plain in ("image", "one", "two", "sum")}


def graph_def():
    graph = graphs.graph_def(
        graphs.placeholder("image", (1, 33, 33, 1)),
        graphs.conv("one", "image", 3, 2, "SAME"),
        graphs.conv("two", "image", 2, 2, "SAME"),
        graphs.add("sum", "one", "two"),
    )
    for node in graph.node:
        node.name = NAMES.get(node.name, node.name)
        for place, read in enumerate(node.input):
            node.input[place] = NAMES.get(read, read)
    return graph.SerializeToString()


def onnx_model():
    helper = needed("onnx").helper
    image, one, two, added = NAMES.values()
    weights = [
        helper.make_tensor(f"w{size}", 1, [1, 1, size, size], [1.0] * size**2)
        for size in (3, 2)
    ]
    nodes = [
        helper.make_node(
            "Conv", [image, f"w{k}"], [n], name=n, strides=[2, 2], auto_pad="SAME_UPPER"
        )
        for n, k in ((one, 3), (two, 2))
    ]
    nodes.append(helper.make_node("Add", [one, two], [added], name=added))
    ends = [
        helper.make_tensor_value_info(name, 1, [1, 1, size, size])
        for name, size in ((image, 33), (added, 17))
    ]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], weights)
    return helper.make_model(graph).SerializeToString()


def keras_config():
    def layer(kind, plain, below=(), **config):
        return {
            "class_name": kind,
            "module": "keras.layers",
            "registered_name": None,
            "name": NAMES[plain],
            "config": {"name": NAMES[plain], **config},
            "inbound_nodes": [[[NAMES[name], 0, 0, {}] for name in below]]
            * bool(below),
        }

    def conv(plain, size):
        shared = {"filters": 1, "strides": [2, 2], "padding": "same"}
        return layer("Conv2D", plain, ["image"], kernel_size=[size, size], **shared)

    layers = [
        layer("InputLayer", "image", batch_shape=[1, 33, 33, 1]),
        conv("one", 3),
        conv("two", 2),
        layer("Add", "sum", ["one", "two"]),
    ]
    ends = {"input_layers": [[NAMES["image"], 0, 0]]}
    ends["output_layers"] = [[NAMES["sum"], 0, 0]]
    config = {"name": EVIL, "layers": layers, **ends}
    model = {"class_name": "Functional", "module": "keras", "config": config}
    return json.dumps(model).encode()


def tflite_model():
    import numpy as np
    from tflite_models import Writer, options

    writer = Writer()
    image = writer.tensor(NAMES["image"], (1, 33, 33, 1), "float32")
    writer.current.inputs.append(image)
    found = []
    for plain, size in (("one", 3), ("two", 2)):
        kernel = writer.constant(np.ones((1, size, size, 1)))
        chosen = options("Conv2DOptions", strideW=2, strideH=2)
        reads = [image, kernel, writer.constant(np.zeros(1))]
        found += writer.op("CONV_2D", reads, chosen, name=NAMES[plain])
    for tensor in found:
        writer.current.tensors[tensor].shape = [1, 17, 17, 1]
    (added,) = writer.op("ADD", found, options("AddOptions"), name=NAMES["sum"])
    writer.current.tensors[added].shape = [1, 17, 17, 1]
    return writer.content()


MODELS = {
    "GraphDef.pb": graph_def,
    "ONNX.onnx": onnx_model,
    "Keras.json": keras_config,
    "TFLite.tflite": tflite_model,
}


@pytest.fixture(params=MODELS)
def model(request, tmp_path):
    """The path of a model with hostile names, in a hostile file."""
    path = tmp_path / f"=\x1b[2J\n{request.param}"
    path.write_bytes(MODELS[request.param]())
    return os.fspath(path)


def check(text):
    """Nothing in a text controls a terminal, and no name begins a line."""
    assert text
    for line in text.split("\n"):
        assert line.isprintable(), line
        assert not line.startswith("forged"), text
    return text


def printed(capsys, *arguments, fails=False):
    status = command(list(arguments))
    found = capsys.readouterr()
    assert bool(status) == fails, found.err
    return check(found.err if fails else found.out)


# --- Results -------------------------------------------------------------------------


def test_results_keep_names_and_show_them_escaped(model):
    field = rf.compute_receptive_field(model)
    assert (field.input, field.output) == (NAMES["image"], NAMES["sum"])
    assert field.to_dict()["output"] == NAMES["sum"]
    assert f"{SHOWN}_sum" in check(str(field))
    assert "&lt;b&gt;" in check(field._repr_html_())
    assert field.aligned is False
    assert f"{SHOWN}_one" in check(str(field.explain()))
    check(str(field.in_units(0.5, "mm")))
    check(str(field.look_ahead()))
    check(repr(field))


def test_every_other_result_shows_them_escaped(model):
    fields = rf.compute_receptive_fields(model)
    assert fields[NAMES["one"]].output == NAMES["one"]
    for result in (
        fields,
        fields.in_units(0.5, "mm"),
        rf.resolutions(model),
        rf.compute_all_pairs(model),
        rf.compare(model, model, output=[NAMES["one"], NAMES["two"]]),
        rf.proposals(model, [20, 20]),
        rf.pyramid_levels(model, [NAMES["one"], NAMES["sum"]], [2, 200]),
    ):
        check(str(result))
    check(fields._repr_html_())
    check(fields.in_units(0.5, "mm")._repr_html_())
    assert NAMES["sum"] in set(fields.to_dataframe().layer)


def test_errors_and_warnings_are_escaped(model):
    fields = rf.compute_receptive_fields(model)
    questions = (
        lambda: rf.compute_receptive_field(model, output="absent"),
        lambda: rf.compute_receptive_field(model, output=f"{EVIL}_absent"),
        lambda: rf.compute_receptive_field(model, require_aligned=True),
        lambda: fields["absent"],
        lambda: rf.compute_receptive_field(model + EVIL),
    )
    for question in questions:
        with pytest.raises(rf.ReceptiveFieldError) as caught:
            question()
        check(str(caught.value))
        copied = pickle.loads(pickle.dumps(caught.value))
        assert str(copied) == str(caught.value)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fields[NAMES["sum"]].compute_input_region([99, 99])
    (warning,) = found
    check(str(warning.message))


@pytest.mark.parametrize("path", ["a\0b", "a\0b.keras", "\ud800.onnx"])
def test_no_file_can_have_such_a_name(path, tmp_path):
    with pytest.raises(rf.ReceptiveFieldError, match="no file can have the name"):
        rf.compute_receptive_field(path)
    (row,) = rf.compute_many([path], executor=ThreadPoolExecutor(1))
    assert "no file can have the name" in row.error
    with pytest.raises(rf.ReceptiveFieldError, match="no file can have this name"):
        rf.explore(rf.EXAMPLE_GRAPH, tmp_path / "a\0b.html")


# --- The command line ----------------------------------------------------------------

COMMANDS = {
    "compute": ["--explain"],
    "all pairs": ["--all"],
    "layers": ["--costs"],
    "nodes": [],
    "inputs": ["--inputs"],
    "resolutions": [],
    "check": ["--min-size", "1"],
    "reach": ["20"],
    "levels": ["--outputs", "*_one,*_sum", "--objects", "2,200"],
    "tiling": ["--tile", "16", "--output", "*_one"],
}
"""What is asked -> the options of a command."""

NAMED = {"all pairs": "compute", "inputs": "nodes"}


@pytest.mark.parametrize("asked", COMMANDS)
def test_the_command_line_prints_them_escaped(asked, model, capsys):
    printed(capsys, NAMED.get(asked, asked), model, *COMMANDS[asked])


def test_a_comparison_prints_them_escaped(model, capsys):
    printed(capsys, "compare", model, model, "--output", "*_one", "--output", "*_two")


def test_an_error_of_the_command_line_is_escaped(model, capsys):
    printed(capsys, "compute", model, "--output", "absent", fails=True)
    printed(capsys, "nodes", model, "absent*", fails=True)


def test_a_name_is_found_as_it_is_shown(model, capsys):
    told = printed(capsys, "compute", model, "--output", f"{SHOWN}_one")
    assert f"{SHOWN}_one" in told
    assert f"{SHOWN}_one" in printed(capsys, "nodes", model, r"\x1b]0owned")
    assert (
        rf.compute_receptive_field(model, output=f"{SHOWN}_one").output == NAMES["one"]
    )


def test_json_has_exact_names(model, capsys):
    told = json.loads(printed(capsys, "compute", model, "--format", "json"))
    assert (told["input"], told["output"]) == (NAMES["image"], NAMES["sum"])


def test_a_page_and_a_plot_are_written(model, tmp_path, capsys):
    printed(capsys, "explore", model, "-o", os.fspath(tmp_path / "\x1b[2J.html"))
    page = (tmp_path / "\x1b[2J.html").read_text()
    assert "<b>`" not in page
    target = tmp_path / "plot.svg"
    command(["plot", "support", model, "--output", "*_one", "-o", os.fspath(target)])
    told = "".join(ElementTree.parse(target).getroot().itertext())
    assert "forged" not in told.splitlines()


def test_titles_of_plots_are_no_formulas(model):
    pyplot = needed("matplotlib.pyplot")
    field = rf.compute_receptive_field(model, output=NAMES["one"])
    ax = rf.plot_regions(field, [[3, 3]])
    assert "$x$ größe" in check(ax.get_title()).replace("\n", "")
    assert not ax.title.get_parse_math()
    pyplot.close(ax.figure)


# --- CSV and Markdown ----------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@a", "'=1", "''=1", "'", "'a'", "", "a=b"]
)
def test_a_cell_of_csv_is_no_formula_and_reads_back(text):
    cell = csv_cell(text)
    assert cell[:1] not in {*"=+-@"}
    assert from_csv_cell(cell) == text


@pytest.mark.parametrize("start", ["\t", "\r", "\n", "\x00"])
def test_a_cell_of_csv_begins_with_no_control_character(start):
    assert csv_cell(f"{start}=1") == printable(start) + "=1"


def test_a_table_as_csv_has_no_formulas(model, capsys):
    told = printed(capsys, "layers", model, "--format", "csv")
    header, *rows = csv.reader(io.StringIO(told))
    names = [row[header.index("layer")] for row in rows]
    assert f"'{SHOWN}_sum" in names
    assert {row[header.index("padding_x")] for row in rows} >= {"0"}


def test_a_table_as_csv_keeps_negative_numbers(capsys, tmp_path):
    """A cropped image has a negative padding, which is no formula."""
    path = tmp_path / "graph.pb"
    nodes = [
        graphs.placeholder(sizes=(1, 9, 9, 1)),
        graphs.constant("begin", [0, 2, 2, 0]),
        graphs.constant("size", [1, 5, 5, 1]),
        graphs.node("-crop", "Slice", ["input", "begin", "size"]),
    ]
    path.write_bytes(graphs.graph_def(*nodes).SerializeToString())
    told = printed(capsys, "layers", os.fspath(path), "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(told))
    assert (row["layer"], row["padding_x"]) == ("'-crop", "-2")


def test_results_of_many_files_have_no_formulas_and_read_back(model, tmp_path):
    results = os.fspath(tmp_path / "fields.csv")
    (row,) = rf.compute_many([model], results=results, workers=1)
    with open(results, newline="", encoding="utf-8") as file:
        (_, line) = csv.reader(file)
    assert row.output == f"{SHOWN}_sum"
    assert f"'{SHOWN}_sum" in line
    assert not any(cell.startswith(("=", "+", "@")) for cell in line)
    assert read_rows(results, None) == [row]
    again = rf.compute_many([model], results=results, workers=1)
    assert again == [row]


def test_a_table_as_markdown_has_no_tags_links_or_code(model, capsys):
    told = printed(capsys, "layers", model, "--format", "markdown")
    shown = r"\|&lt;b&gt;\`\[a\](b)\`$x$ größe_sum"
    assert shown in told
    lines = [line for line in told.splitlines() if line.startswith("|")]
    columns = {line.replace(r"\|", "").count("|") for line in lines}
    assert len(columns) == 1


def test_markdown_escapes_a_backslash_before_a_pipe():
    """Otherwise, the backslash of a name would take away that of the pipe."""
    assert markdown("a\\|b") == "a\\\\\\|b"
