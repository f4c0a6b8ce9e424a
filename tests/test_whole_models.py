"""Questions about whole models: conditions, comparisons, proposals, pyramids, pairs."""

import itertools
import json

import pytest
from graphs import constant, conv, graph_def, node, placeholder, pool

import receptive_field as rf
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


# --- Two models side by side --------------------------------------------------------


def test_what_differs_and_what_is_the_same(chain, tmp_path):
    # The first layer is dilated by 2, and there is one more layer.
    nodes = placeholder(), conv("a", "input", dilation=2), conv("b", "a", stride=2)
    other = saved(tmp_path / "other.pb", *nodes, conv("c", "b", 1))
    found = rf.compare(chain, other, input_resolution=[9, 11])
    assert {row.name: (row.a, row.b, row.same) for row in found.rows} == {
        "receptive field": ("5 x 5", "7 x 7", False),
        "effective stride": ("2 x 2", "2 x 2", True),
        "effective padding": ("0 x 0", "0 x 0", True),
        "aligned": ("yes", "yes", True),
        "exact": ("yes", "yes", True),
        "output size": ("x: 4, y: 3", "x: 3, y: 2", False),
        # A multiply-add is two operations: 9 for each output of both layers.
        "FLOPs": (str(18 * (7 * 9 + 3 * 4)), str(18 * (5 * 7 + 2 * 3) + 2 * 6), False),
        "parameters": ("18", "19", False),
    }
    assert found.same is False
    assert [layer.name for layer in found.layers] == ["a", "b"]
    assert str(found.layers[0]) == "a: receptive field 3 x 3 and 5 x 5"
    assert found.only == ((), ("c",))
    shown = str(found).splitlines()
    assert shown[0].startswith("A  ")
    assert shown[0].endswith("chain.pb: b in input")
    assert "layers or nodes: 2 in both, 1 only in B; 2 of these differ" in shown
    told = json.loads(json.dumps(found.to_dict()))
    assert [model["size"] for model in told["models"]] == [[5, 5], [7, 7]]
    assert told["same"]["effective stride"] is True
    assert told["layers"]["only_b"] == ["c"]


def test_a_model_is_the_same_as_itself(chain, capsys):
    found = rf.compare(chain, chain, input_resolution=[9, 9])
    assert found.same is True
    assert found.layers == ()
    unknown = rf.compare(chain, chain)
    assert unknown.same is None  # The sizes of both outputs are unknown.
    assert "FLOPs" not in {row.name for row in unknown.rows}
    assert main(["compare", chain, chain, "--output", "a", "--output", "b"]) == 0
    shown = capsys.readouterr().out
    assert "effective stride   1 x 1  2 x 2  differs\n" in shown
    assert shown.endswith("2 in both; none of these differ\n")
    assert main(["compare", chain, chain, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"]["output size"] is None


def test_only_the_first_layers_that_differ_are_listed(tmp_path):
    paths = []
    for kernel in (3, 5):
        nodes = [placeholder()]
        names = ["input", *(f"layer{number}" for number in range(12))]
        for below, name in itertools.pairwise(names):
            nodes.append(conv(name, below, kernel))
        paths.append(saved(tmp_path / f"{kernel}.pb", *nodes))
    assert str(rf.compare(*paths)).splitlines()[-2:] == [
        "  layer9: receptive field 21 x 21 and 41 x 41",
        "  and 2 more",
    ]


def test_models_that_cannot_be_compared(chain, tmp_path, capsys):
    signal = placeholder(sizes=(1, None, 1))
    path = saved(tmp_path / "signal.pb", signal, node("end", "Relu", ["input"]))
    assert main(["compare", chain, path]) == 1
    told = capsys.readouterr().err
    assert "has 2 spatial axes" in told
    assert "has 1 spatial axis" in told
    assert main(["compare", chain, "nothing.pb"]) == 1
    assert "the second model: cannot read" in capsys.readouterr().err
    with pytest.raises(rf.ReceptiveFieldError, match="a pair with one for each model"):
        rf.compare(chain, chain, output=["a", "b", "a"])
    with pytest.raises(SystemExit):
        main(["compare", chain, chain, *["--output", "a"] * 3])
