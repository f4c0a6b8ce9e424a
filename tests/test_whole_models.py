"""Questions about whole models: conditions, comparisons, proposals, pyramids, pairs."""

import json

import pytest
from graphs import constant, conv, graph_def, node, placeholder, pool

from receptive_field.cli import main


def saved(path, *nodes):
    path.write_bytes(graph_def(*nodes).SerializeToString())
    return str(path)


@pytest.fixture
def chain(tmp_path):
    """Two layers: 3 and then 3 of stride 2, so a field of 5."""
    nodes = placeholder(), conv("a", "input"), conv("b", "a", stride=2)
    return saved(tmp_path / "chain.pb", *nodes)


# --- Conditions ---------------------------------------------------------------------


def test_conditions_that_hold(chain, capsys):
    given = "--min-size", "5", "--aligned", "--exact"
    output = "--min-output", "3x4", "--resolution", "9x11"
    assert main(["check", chain, *given, *output]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok      receptive field at least 5 x 5: 5 x 5",
        "ok      aligned: yes",
        "ok      exact: yes",
        "ok      output at least x: 4, y: 3: x: 4, y: 3",  # (11 - 5) / 2 + 1
    ]


def test_each_axis_has_its_own_limit(chain, capsys):
    assert main(["check", chain, "--min-size", "6x5"]) == 1
    shown = capsys.readouterr().out
    assert shown == "FAILED  receptive field at least x: 5, y: 6: 5 x 5\n"


def test_what_is_unknown_does_not_hold(chain, tmp_path, capsys):
    assert main(["check", chain, "--min-output", "1"]) == 1
    assert "unknown: depends on the input size; give --resolution" in (
        capsys.readouterr().out
    )
    nodes = (
        placeholder(),
        conv("a", "input", stride=2, padding="SAME"),
        conv("b", "input"),
    )
    mixed = pool("c", "b", 3, 2, "SAME"), node("sum", "AddV2", ["a", "c"])
    path = saved(tmp_path / "mixed.pb", *nodes, *mixed)
    assert main(["check", path, "--aligned"]) == 1
    assert "FAILED  aligned:" in capsys.readouterr().out


def test_an_upper_bound_proves_only_that_a_field_is_too_small(tmp_path, capsys):
    # The tables of which pixels are read are unknown, so the whole axis may be seen.
    reads = node("read", "GatherV2", ["input", "places", "axis"])
    places = node("places", "Placeholder", shape="shape { dim { size: 4 } }")
    nodes = placeholder(sizes=(1, 8, 8, 1)), places, constant("axis", [1], [])
    path = saved(tmp_path / "read.pb", *nodes, reads, conv("last", "read"))
    question = ["check", path, "--input", "input"]
    assert main([*question, "--min-size", "3x3"]) == 1
    assert "3: unknown: " in capsys.readouterr().out
    assert main([*question, "--min-size", "3x4"]) == 1
    assert "unknown" not in capsys.readouterr().out
    assert main([*question, "--exact"]) == 1


def test_conditions_as_json(chain, capsys):
    assert main(["check", chain, "--min-size", "6", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["output"], found["holds"]) == ("b", False)
    assert [one["holds"] for one in found["conditions"]] == [False]


def test_conditions_that_make_no_sense(chain, capsys):
    for given in ((), ("--min-size", "0"), ("--min-size", "much")):
        with pytest.raises(SystemExit) as stopped:
            main(["check", chain, *given])
        assert stopped.value.code == 2
    assert main(["check", chain, "--min-size", "1x2x3"]) == 1
    assert "has 2 spatial axes" in capsys.readouterr().err
