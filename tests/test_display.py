"""What results say of themselves: as text, HTML, plain data and a DataFrame."""

import doctest
import itertools
import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from graphs import add, constant, conv, graph_def, node, pad, placeholder, pool
from needed import needed, needs

import receptive_field as rf
from receptive_field.results import field as result
from receptive_field.results.explanation import Difference, StepWindow
from receptive_field.results.reasons import Reasons

SIZED = placeholder(sizes=(1, 20, 30, 1))
MODEL = graph_def(SIZED, conv("conv", "input", (3, 5), 2, "SAME"), pool("pool", "conv"))
WHOLE = graph_def(SIZED, conv("<conv>", "input"), node("all", "Odd", ["<conv>"]))


@pytest.fixture
def field():
    return rf.compute_receptive_field(MODEL)


@pytest.fixture
def whole():
    """Features that see everything."""
    rules = {"all": "global"}
    return rf.compute_receptive_field(WHOLE, output="all", overrides=rules)


def labelled(text):
    return {line[:18].strip(): line[19:] for line in text.splitlines()}


def test_a_field_as_text(field):
    # x: 5 and 2 - 1 more steps of 2; padding of 30 by 5/2: total 3, 1 before.
    # y: 3 and one more step of 2; padding of 20 by 3/2: total 1, 0 before.
    assert labelled(str(field)) == {
        "input": "input (x: 30, y: 20)",
        "output": "pool (x: 7, y: 5)",
        "graph": f"graph ({len(MODEL.node)} nodes)",
        "receptive field": "x: 7, y: 5",
        "effective stride": "4 x 4",
        "effective padding": "x: 1, y: 0",
        "": "feature i sees positions 4i-1 to 4i+5 (x), 4i to 4i+4 (y)",
        "aligned": "yes",
        "exact": "yes",
    }


def test_what_sees_everything_names_why(whole):
    told = labelled(str(whole))
    assert told["receptive field"] == "whole input"
    assert told["effective stride"] == told["effective padding"] == "n/a"
    assert told["aligned"] == "n/a (no local paths)"
    assert "size whole input, stride n/a, padding n/a (no local paths" in str(
        whole.explain()
    )
    assert told["made global by"] == "all"


def test_local_paths_and_mirrored_borders_are_named():
    graph = graph_def(
        placeholder(sizes=(1, 8, 8, 1)),
        pad("mirror", "input", 1, 1, "MirrorPad"),
        conv("conv", "mirror"),
        constant("axes", [1, 2]),
        node("mean", "Mean", ["input", "axes"], keep_dims="b: true"),
        add("out", "conv", "mean"),
    )
    told = labelled(str(rf.compute_receptive_field(graph, output="conv")))
    assert told["mirrored border by"] == "mirror"
    told = labelled(str(rf.compute_receptive_field(graph, output="out")))
    assert told["made global by"] == "mean"
    local = "size 3 x 3, stride 1 x 1, padding 1 x 1; exact"
    assert told["local paths only"] == local


def test_words_on_one_axis():
    """The mean over the rows makes every feature see its whole column."""
    graph = graph_def(
        SIZED,
        constant("axes", [1]),
        node("mean", "Mean", ["input", "axes"], keep_dims="b: true"),
        add("out", "input", "mean"),
    )
    field = rf.compute_receptive_field(graph)
    told = labelled(str(field))
    assert told["receptive field"] == "x: 1, y: whole axis"
    assert told["effective stride"] == "x: 1, y: n/a"
    assert told["effective padding"] == "x: 0, y: n/a"
    assert told["aligned"] == "yes (local paths)"
    told = labelled(str(field.in_units(2, "mm")))
    assert told["receptive field"] == (
        "x: 2 mm, y: whole axis (in positions: x: 1, y: whole axis)"
    )
    assert "size x: 1, y: whole axis, stride x: 1, y: n/a" in str(field.explain())
    row = str(rf.compute_receptive_fields(graph)).splitlines()
    assert "yes" in next(line for line in row if line.startswith("out "))
    assert "yes" not in next(line for line in row if line.startswith("mean "))[:-20]


def test_words_for_what_is_unknown():
    """At most 20 of an unknown number of rows and columns are left."""
    graph = graph_def(
        placeholder(),
        constant("size", [20, 20]),
        node("small", "ResizeBilinear", ["input", "size"]),
    )
    field = rf.compute_receptive_field(graph)
    told = labelled(str(field))
    assert told["receptive field"] == "unbounded"
    assert told["effective stride"] == told["effective padding"] == "unknown"
    assert told["aligned"] == "unknown: depends on the input size"
    # Regions that move evenly on average only have no padding at any size.
    moved = graph_def(
        placeholder(sizes=(1, 12, 12, 1)),
        conv("one", "input", stride=2),
        conv("two", "input", 1, 3),
        constant("size", [4, 4]),
        node("five", "ResizeNearestNeighbor", ["one", "size"]),
        add("sum", "five", "two"),
    )
    assert labelled(str(rf.compute_receptive_field(moved)))["effective padding"] == (
        "n/a"
    )


def notes(text, label):
    """The lines without a label that follow the line with this label."""
    lines = text.splitlines()
    (start,) = (i for i, line in enumerate(lines) if line.startswith(f"{label} "))
    found = itertools.takewhile(lambda line: line.startswith(" "), lines[start + 1 :])
    return " ".join(line.strip() for line in found)


def test_a_plain_field_has_no_other_notes(field):
    assert sum(line.startswith(" ") for line in str(field).splitlines()) == 1


def test_a_note_on_misaligned_paths():
    graph = graph_def(
        placeholder(sizes=(1, 10, 10, 1)),
        pad("padded", "input", 3, 3),
        conv("wide", "padded", 7, 2),
        conv("fine", "input", 3, 2, "SAME"),
        add("sum", "wide", "fine"),
    )
    field = rf.compute_receptive_field(graph)
    assert field.aligned is False
    # Feature 2 sees 4 - 3 to 4 + 3 by the wide path, and 4 to 6 by the fine one.
    assert field.middle() == ((2, 2), (7, 7))
    # Feature 0 sees -3 to 3 by the wide path, of which 0 to 3 are real.
    assert field.corner() == ((0, 0), (4, 4))
    assert field.to_dict(with_reasons=True)["middle"] == {
        "feature": [2, 2],
        "size": [7, 7],
    }
    assert notes(str(field), "receptive field") == (
        "features differ, because paths of different positions meet "
        "feature (0, 0) sees x 0 to 3, y 0 to 3 (4 x 4) "
        "feature (2, 2) sees x 1 to 7, y 1 to 7 (7 x 7) "
        "field.compute_input_region tells this of other features"
    )
    assert notes(str(field), "aligned") == (
        "field.explain() names the paths that differ"
    )
    unknown = rf.compute_receptive_field(graph, input_resolution="unknown")
    assert unknown.middle() is None


def test_a_note_on_a_padding_that_is_unknown():
    graph = graph_def(placeholder(), conv("a", "input"), conv("b", "a", 3, 2, "SAME"))
    field = rf.compute_receptive_field(graph)
    assert notes(str(field), "effective padding") == (
        "the padding depends on the input's size ('b': SAME, stride 2); give that "
        "size, such as input_resolution=[224, 224]"
    )
    sized = rf.compute_receptive_field(graph, input_resolution=[224, 224])
    assert sized.reasons() == Reasons()
    assert None not in sized.padding
    audio = graph_def(
        placeholder(sizes=(1, None, 80, 1)), conv("a", "input", 3, 2, "SAME")
    )
    # The size that is known is kept.
    told = rf.compute_receptive_field(audio).reasons()
    assert (told.padding_node, told.resolution) == ("a", (224, 80))


def test_no_size_is_proposed_if_none_makes_the_padding_known(field):
    # Two paths with different strides have no common padding at any size.
    graph = graph_def(
        placeholder(), conv("a", "input"), node("up", "Odd", ["a"]), conv("b", "up")
    )
    rules = {"up": "global"}
    whole = rf.compute_receptive_field(graph, output="b", overrides=rules)
    assert whole.reasons() == Reasons(local_output="a")


def test_a_note_on_what_makes_an_upper_bound():
    # It is not known which positions a gather with unknown indices reads.
    graph = graph_def(
        SIZED,
        placeholder("indices", (5,)),
        constant("axis", [1], ()),
        conv("a", "input"),
        node("odd", "GatherV2", ["a", "indices", "axis"]),
        conv("b", "odd"),
    )
    field = rf.compute_receptive_field(graph, input="input", output="b")
    assert field.exact is False
    assert field.reasons().bounding_node == "odd"
    assert notes(str(field), "exact") == "at most this, because of 'odd'"


def test_notes_on_paths_that_see_everything(whole):
    assert notes(str(whole), "made global by") == (
        "all paths do; ask about '<conv>' for a local field"
    )
    graph = graph_def(
        SIZED,
        constant("axes", [1, 2]),
        node("mean", "Mean", ["input", "axes"], keep_dims="b: true"),
        conv("conv", "input"),
        add("out", "conv", "mean"),
    )
    field = rf.compute_receptive_field(graph, output="out")
    shown = str(field)
    assert notes(shown, "made global by").startswith('with global_context="exclude"')
    local = rf.compute_receptive_field(graph, output="out", global_context="exclude")
    assert notes(str(local), "made global by").startswith("these paths are left out")


def test_steps_and_differences_that_have_no_numbers():
    assert str(StepWindow(None, None, None, None)) == "rearranges positions"
    assert str(Difference(0, (Fraction(1),) * 2, None, ())) == "x: centres differ"


def test_unknown_alignment():
    unknown = rf.compute_receptive_field(
        graph_def(placeholder(), conv("conv", "input", 3, 2, "SAME"))
    )
    assert labelled(str(unknown))["effective padding"] == "unknown"
    assert labelled(str(unknown))["input"] == "input (unknown size)"


def test_a_field_as_html(whole):
    shown = whole._repr_html_()
    assert '<th style="text-align:left">receptive field</th>' in shown
    hostile = rf.compute_receptive_field(WHOLE, output="<conv>")._repr_html_()
    assert "&lt;conv&gt;" in hostile
    assert "<conv>" not in hostile


def test_a_field_as_data(field):
    data = json.loads(json.dumps(field.to_dict(with_reasons=True), allow_nan=False))
    assert data == {
        "graph": "graph",
        "input": "input",
        "output": "pool",
        "input_size": [30, 20],
        "output_size": [7, 5],
        "size": field.size.tolist(),
        "stride": field.stride.tolist(),
        "padding": field.padding.tolist(),
        "first_center": field.compute_input_center_coordinates([0, 0]).tolist(),
        "aligned": True,
        "exact": True,
        "global_nodes": [],
        "mirroring_nodes": [],
        "local": None,
        "reasons": dict.fromkeys(
            [
                *("bounding_node", "padding_node", "resolution", "local_output"),
                "built_for",
            ]
        ),
        "middle": None,
    }


def test_a_size_that_differs_from_the_one_of_the_graph(field):
    assert field.reasons().built_for is None
    other = rf.compute_receptive_field(MODEL, input_resolution=[40, 40])
    assert other.reasons().built_for == (30, 20)
    assert notes(str(other), "input") == (
        "the graph is built for x: 30, y: 20; constants computed from this size are "
        "kept"
    )
    sized = placeholder(sizes=(1, None, None, 1)), conv("conv", "input")
    unsized = rf.compute_receptive_field(graph_def(*sized), input_resolution=9)
    assert unsized.reasons().built_for is None


def test_a_padding_that_follows_from_a_size_inside_the_graph():
    """The scale has an unknown number of axes, so the product has an unknown size."""
    graph = graph_def(
        SIZED,
        node("scale", "Placeholder"),
        node("scaled", "Mul", ["input", "scale"]),
        conv("half", "scaled", 3, 2, "SAME"),
    )
    field = rf.compute_receptive_field(graph, output="half", input="input")
    assert labelled(str(field))["effective padding"] == "unknown"
    assert notes(str(field), "effective padding") == (
        "the padding depends on a size inside the graph that is unknown ('half': SAME, "
        "stride 2)"
    )


def test_data_of_what_has_no_number():
    squeezed = graph_def(
        SIZED,
        conv("conv", "input"),
        node("all", "Odd", ["conv"]),
        node("sum", "AddV2", ["conv", "all"]),
    )
    whole = rf.compute_receptive_field(squeezed, overrides={"all": "global"})
    data = json.loads(json.dumps(whole.to_dict(), allow_nan=False))
    assert data["size"] == ["inf", "inf"]
    assert (data["first_center"], data["global_nodes"]) == (None, ["all"])
    assert (data["local"]["size"], data["local"]["padding"]) == ([3, 3], [0, 0])


def test_a_stride_that_is_no_integer():
    up = graph_def(
        placeholder(sizes=(1, 4, 4, 1)),
        constant("size", [8, 8]),
        node("up", "ResizeNearestNeighbor", ["input", "size"]),
    )
    field = rf.compute_receptive_field(up)
    assert field.to_dict()["stride"] == ["1/2", "1/2"]


@pytest.fixture
def fields():
    broken = node("broken", "Odd", ["conv"])
    graph = graph_def(SIZED, conv("conv", "input", (3, 5), 2, "SAME"), broken)
    return rf.compute_receptive_fields(graph)


def test_fields_as_text_and_html(fields):
    head, rule, row, failure = str(fields).splitlines()
    columns = (
        "layer op output size receptive field stride padding first centre kernel layer "
        "stride dilation layer padding aligned exact"
    )
    assert " ".join(head.split()) == columns
    assert set(rule) == {"-", " "}
    assert " ".join(row.split()) == (
        "conv Conv2D 15 x 10 5 x 3 2 1 x 0 1 5 x 3 2 1 same 1/2 x same 0/1 yes yes"
    )
    assert failure.startswith("1 could not be analysed (.errors): broken: no rule")
    assert repr(fields) == "<ReceptiveFields: 1 tensors, 1 errors>"
    shown = fields._repr_html_()
    assert shown.count("<tr>") == 2
    assert "<td>15 x 10</td>" in shown
    hostile = rf.compute_receptive_fields(WHOLE, overrides={"all": "global"})
    assert "<conv>" not in hostile._repr_html_()


def test_a_name_that_is_not_there(fields):
    wrong = next(iter(fields))[:-1]
    with pytest.raises(rf.ReceptiveFieldError, match=r"^there is no .* Did you mean"):
        fields[wrong]
    with pytest.raises(KeyError):
        fields[wrong]
    assert fields.get(wrong) is None
    assert wrong not in fields


def test_costs_as_text():
    costs = rf.compute_costs(rf.EXAMPLE_GRAPH, input_resolution=[299, 299])
    assert str(costs.total) in str(costs)
    assert len(str(costs)) < 1000
    with pytest.raises(rf.ReceptiveFieldError, match=r"^there is no cost for 'some'"):
        costs["some"]


def test_fields_as_data(fields):
    data = json.loads(json.dumps(fields.to_dict(), allow_nan=False))
    assert data["fields"] == {"conv": fields["conv"].to_dict()}
    assert list(data["errors"]) == ["broken"]


def test_fields_as_a_dataframe(fields):
    missing = needed("pandas").NA
    table = fields.to_dataframe().set_index("layer")
    assert list(table.index) == ["conv", "broken"]
    row = table.loc["conv"]
    assert (row.op, row.rf_x, row.rf_y) == ("Conv2D", 5, 3)
    assert (row.output_size_x, row.output_size_y, row.stride_x) == (15, 10, 2)
    assert (row.padding_x, row.center_x, row.aligned) == (1, 1, True)
    assert table.rf_x.dtype == "Int64"
    assert table.loc["broken"].rf_x is missing
    assert "no rule" in table.loc["broken"].error
    assert "rf_z" not in table


def test_a_dataframe_of_what_is_infinite_or_unknown():
    missing = needed("pandas").NA
    fields = rf.compute_receptive_fields(WHOLE, overrides={"all": "global"})
    table = fields.to_dataframe().set_index("layer")
    assert table.rf_x["all"] == np.inf
    unknown = graph_def(placeholder(), conv("conv", "input", 3, 2, "SAME"))
    table = rf.compute_receptive_fields(unknown).to_dataframe()
    assert table.padding_x[0] is missing
    assert (table.padding_x.dtype, table.output_size_x.dtype) == ("Int64", "Int64")
    assert table.error.dtype == "string"


def test_without_pandas_and_without_need_of_it():
    code = (
        "import sys; import receptive_field as rf\n"
        "fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)\n"
        "str(fields), fields._repr_html_(), fields.to_dict()\n"
        "assert not {'pandas', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "sys.modules['pandas'] = None\n"
        "try: fields.to_dataframe()\n"
        "except rf.ReceptiveFieldError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "receptive_field[pandas]"' in done.stdout


@needs("pandas")
def test_examples_in_docstrings():
    results = doctest.testmod(result)
    assert results.attempted
    assert not results.failed
