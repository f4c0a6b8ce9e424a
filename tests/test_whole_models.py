"""Questions about whole models: conditions, comparisons, proposals, pyramids, pairs."""

import itertools
import json

import pytest
from graphs import add, constant, conv, graph_def, node, placeholder, pool

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


GATED = (
    conv("conv", "input", 7, 1, "SAME"),
    constant("axes", [1, 2]),
    node("mean", "Mean", ["conv", "axes"], keep_dims="b: true"),
    node("gated", "Mul", ["conv", "mean"]),
)


def test_what_local_paths_see_is_seen_in_any_case(tmp_path, capsys):
    """A gate that sees everything is only a bound, but the window of 7 is exact."""
    path = saved(tmp_path / "gated.pb", placeholder(), *GATED)
    for size, status in ((7, 0), (8, 1)):
        assert main(["check", path, "--output", "gated", "--min-size", str(size)]) == (
            status
        )


def test_a_proof_by_local_paths_is_told(tmp_path, capsys):
    path = saved(tmp_path / "gated.pb", placeholder(), *GATED)
    told = "whole input, because of mean, an upper bound; the local paths alone see 7"
    assert main(["check", path, "--output", "gated", "--min-size", "7"]) == 0
    assert f": {told} x 7\n" in capsys.readouterr().out
    assert main(["reach", path, "7", "--output", "gated"]) == 0
    shown = capsys.readouterr().out
    assert "The field has this size already." in shown
    assert told in shown


def uneven(tmp_path, size):
    """A map halved and doubled again, then a kernel of 2, and the map itself.

    Features at even places see 2 positions, those at odd places see 4 (one to the left
    of their place, and two to the right).
    """
    nodes = (
        pool("half", "input"),
        node("shape", "Shape", ["half"]),
        *(constant(name, [at]) for name, at in (("from", 1), ("to", 3), ("by", 1))),
        node("sides", "StridedSlice", ["shape", "from", "to", "by"]),
        constant("two", [2], []),
        node("size", "Mul", ["sides", "two"]),
        node("double", "ResizeNearestNeighbor", ["half", "size"]),
        conv("pair", "double", 2, 1, "SAME"),
        node("sum", "AddV2", ["pair", "input"]),
    )
    return saved(tmp_path / "uneven.pb", placeholder(sizes=(1, *size, 1)), *nodes)


def test_the_largest_field_of_a_misaligned_network_is_called_so(tmp_path, capsys):
    path = uneven(tmp_path, (30, 30))  # The middle is 14: a feature at an even place.
    told = "at most 4 x 4 (the largest; feature (14, 14) sees 2 x 2)"
    assert main(["check", path, "--min-size", "3"]) == 0
    assert (
        capsys.readouterr().out == f"ok      receptive field at least 3 x 3: {told}\n"
    )
    assert main(["reach", path, "3"]) == 0
    shown = capsys.readouterr().out
    assert f"It is: {told}." in shown
    assert "sum in input: at most 4 x 4, to reach: 3 x 3" in shown


def test_a_size_shows_what_features_of_a_misaligned_network_see(tmp_path, capsys):
    path = uneven(tmp_path, (None, None))
    assert main(["check", path, "--min-size", "3"]) == 0
    assert "at most 4 x 4 (the largest of several)" in capsys.readouterr().out
    assert main(["compute", path]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "give a size, such as --resolution 224x224, to see what the middle" in shown


def test_an_upper_bound_is_not_known_to_cover_a_size(tmp_path):
    reads = node("read", "GatherV2", ["input", "places", "axis"])
    places = node("places", "Placeholder", shape="shape { dim { size: 4 } }")
    nodes = placeholder(sizes=(1, 8, 8, 1)), places, constant("axis", [1], [])
    path = saved(tmp_path / "read.pb", *nodes, reads, conv("last", "read"))
    fields = rf.compute_receptive_fields(path, input="input")
    assert (fields["last"].local or fields["last"]).exact is False
    with pytest.raises(rf.ReceptiveFieldError, match="covers 3 x 3"):
        fields.covering(3)


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


def test_local_fields_behind_a_gate_are_compared(tmp_path):
    """A gate sees everything; the convolutions of 3 and of 5 beside it do not."""

    def gated(kernel):
        axes = constant("axes", [1, 2])
        mean = node("mean", "Mean", ["a", "axes"], keep_dims="b: true")
        gate = node("gate", "Mul", ["a", "mean"])
        nodes = placeholder(), conv("a", "input", kernel), axes, mean, gate
        return saved(tmp_path / f"gate{kernel}.pb", *nodes)

    found = rf.compare(gated(3), gated(5), output="gate")
    rows = {row.name: row for row in found.rows}
    assert rows["receptive field"][1:] == ("whole input", "whole input", True)
    assert rows["effective stride"][1:] == ("n/a", "n/a", True)
    assert rows["local receptive field"][1:] == ("3 x 3", "5 x 5", False)
    assert rows["local effective stride"].same is True
    assert found.same is False
    assert {"a", "gate"} == {layer.name for layer in found.layers}
    assert "gate: local receptive field 3 x 3 and 5 x 5" in str(found)
    none = rf.compare(gated(3), gated(3), output=("gate", "mean"))
    rows = {row.name: row for row in none.rows}
    assert rows["local receptive field"][1:] == ("3 x 3", "n/a", False)
    both = rf.compare(gated(3), gated(3), output="mean")
    assert "local receptive field" not in {row.name for row in both.rows}


def test_a_model_is_the_same_as_itself(chain, capsys):
    found = rf.compare(chain, chain, input_resolution=[9, 9])
    assert found.same is True
    assert found.layers == ()
    unknown = rf.compare(chain, chain)
    assert unknown.same is None  # The sizes of both outputs are unknown.
    rows = {row.name: row for row in unknown.rows}
    assert "FLOPs" not in rows
    # Two kernels of 3 x 3 with one channel, whatever the size of the input.
    assert rows["parameters"] == ("parameters", "18", "18", True)
    below = {row.name: row for row in rf.compare(chain, chain, output=("a", "b")).rows}
    assert (below["parameters"].a, below["parameters"].b) == ("9", "18")
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


# --- Feature pyramids ---------------------------------------------------------------


@pytest.fixture
def pyramid(tmp_path):
    """Fields of 3, 7 and 15 pixels with strides of 2, 4 and 8."""
    nodes = [placeholder()]
    for below, name in (("input", "c1"), ("c1", "c2"), ("c2", "c3")):
        nodes.append(conv(name, below, stride=2, padding="SAME"))
    return saved(tmp_path / "pyramid.pb", *nodes)


def test_the_finest_level_that_covers_an_object(pyramid, capsys):
    found = rf.pyramid_levels(pyramid, ["c3", "c1", "c2"], [3, 4, 7.5, 15, 16])
    assert [level.name for level in found.levels] == ["c1", "c2", "c3"]
    assert [level.size for level in found.levels] == [[3, 3], [7, 7], [15, 15]]
    assert [level.stride for level in found.levels] == [[2, 2], [4, 4], [8, 8]]
    assert [(one.level, one.nearest) for one in found.objects] == [
        ("c1", "c1"),
        ("c2", "c2"),
        ("c3", "c3"),
        ("c3", "c3"),
        (None, "c3"),
    ]
    question = ["levels", pyramid, "--outputs", "c2, c3", "--objects", "4,16"]
    assert main(question) == 0
    assert capsys.readouterr().out.splitlines() == [
        "level  stride  receptive field",
        "c2     4 x 4   7 x 7",
        "c3     8 x 8   15 x 15",
        "",
        "object  level",
        "4       c2",
        "16      none; c3 comes nearest with 15 x 15",
    ]
    assert main([*question, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["levels"][0] == {
        "name": "c2",
        "size": [7, 7],
        "stride": [4, 4],
        "exact": True,
    }
    assert told["objects"][1] == {"size": 16, "level": None, "nearest": "c3"}


def test_every_axis_of_an_object_must_be_covered(tmp_path):
    nodes = placeholder(), conv("wide", "input", (1, 9)), conv("both", "wide", (5, 1))
    path = saved(tmp_path / "wide.pb", *nodes)
    found = rf.pyramid_levels(path, ["wide", "both"], [1, 5, 6])
    assert [one.level for one in found.objects] == ["wide", "both", None]


def test_objects_that_are_not_square(tmp_path, capsys):
    """Fields 9 wide and 1 high, and 9 wide and 5 high."""
    nodes = placeholder(), conv("wide", "input", (1, 9)), conv("both", "wide", (5, 1))
    path = saved(tmp_path / "wide.pb", *nodes)
    found = rf.pyramid_levels(path, ["wide", "both"], [[1, 9], [5, 9], [6, 2], (2, 3)])
    assert [one.level for one in found.objects] == ["wide", "both", None, "both"]
    assert found.objects[0].size == (9, 1)
    assert main(["levels", path, "--outputs", "wide,both", "--objects", "1x9,5"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2:] == ["x: 9, y: 1  wide", "5           both"]
    with pytest.raises(rf.ReceptiveFieldError, match=r"\[1, 2, 3\] has 3 sides"):
        rf.pyramid_levels(path, ["wide"], [4, [1, 2, 3]])


def test_a_level_that_sees_everything_is_described_by_its_local_field(tmp_path):
    axes = constant("axes", [1, 2])
    mean = node("mean", "Mean", ["a", "axes"], keep_dims="b: true")
    nodes = placeholder(), conv("a", "input"), axes, mean
    gate = node("gate", "Mul", ["a", "mean"])
    path = saved(tmp_path / "gate.pb", *nodes, gate)
    found = rf.pyramid_levels(path, ["gate", "mean"], [3, 4])
    assert found["gate"].size == [3, 3]
    assert [one.level for one in found.objects] == ["gate", None]
    assert "mean   n/a     whole input, an upper bound" in str(found)
    assert found.to_dict()["levels"][1]["size"] == ["inf", "inf"]


@pytest.mark.parametrize(
    "sizes", [[], [0], ["big"], None, [None], [float("inf")], [[]], [[3, 0]], [[[3]]]]
)
def test_objects_without_sizes(pyramid, sizes):
    with pytest.raises(rf.ReceptiveFieldError, match="object_sizes must be"):
        rf.pyramid_levels(pyramid, ["c1"], sizes)


def test_levels_that_do_not_exist(pyramid, capsys):
    with pytest.raises(rf.ReceptiveFieldError, match="outputs must name the levels"):
        rf.pyramid_levels(pyramid, [], [32])
    assert main(["levels", pyramid, "--outputs", "c1,c9", "--objects", "3"]) == 1
    assert "no node 'c9'" in capsys.readouterr().err
    for given in (
        ("--outputs", "c1"),
        ("--outputs", "c1", "--objects", "0"),
        ("--outputs", ",", "--objects", "3"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["levels", pyramid, *given])
        assert stopped.value.code == 2


# --- All inputs and outputs ---------------------------------------------------------


@pytest.fixture
def several(tmp_path):
    """Two inputs; one output sees both, one only the first, one has no rule."""
    nodes = (
        placeholder("one"),
        placeholder("two"),
        conv("a", "one"),
        conv("b", "two", 5),
    )
    ends = add("both", "a", "b"), conv("alone", "a"), node("odd", "Odd", ["two"])
    return saved(tmp_path / "several.pb", *nodes, *ends)


def test_every_output_in_every_input(several, capsys):
    found = rf.compute_all_pairs(several)
    assert {pair: field.size.tolist() for pair, field in found.items()} == {
        ("both", "one"): [3, 3],
        ("both", "two"): [5, 5],
        ("alone", "one"): [5, 5],
    }
    assert found.independent == (("alone", "two"),)
    assert found.errors == {}
    assert len(found) == 3
    assert ("alone", "two") not in found
    assert list(found["alone", "one"]) == list(
        rf.compute_receptive_field(several, output="alone", input="one")
    )
    with pytest.raises(KeyError, match="'alone' does not depend on 'two'"):
        found["alone", "two"]
    with pytest.raises(KeyError, match="there is no pair"):
        found["alone", "three"]
    assert main(["compute", several, "--all"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("receptive field ") == 3
    assert shown.endswith("\n\n'alone' does not depend on 'two'\n")
    assert main(["compute", several, "--all", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["independent"] == [{"output": "alone", "input": "two"}]
    assert len(told["fields"]) == 3


def test_a_pair_that_cannot_be_analysed(tmp_path, capsys):
    nodes = placeholder("one"), conv("a", "one"), node("odd", "Odd", ["one"])
    path = saved(tmp_path / "odd.pb", *nodes, add("end", "a", "odd"))
    assert main(["compute", path, "--all"]) == 1
    assert "'end' in 'one' cannot be analysed: no rule" in capsys.readouterr().out
    (error,) = rf.compute_all_pairs(path).errors.values()
    with pytest.raises(type(error)):
        rf.compute_all_pairs(path)["end", "one"]
    assert rf.compute_all_pairs(path).to_dict()["errors"][0]["output"] == "end"


def test_all_goes_with_no_single_name(several, tmp_path, capsys):
    for given in (
        ("--output", "both"),
        ("--input", "one"),
        ("--explain",),
        ("--look-ahead",),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["compute", several, "--all", *given])
        assert stopped.value.code == 2
    path = saved(tmp_path / "nothing.pb", constant("numbers", [1]))
    assert main(["compute", path, "--all"]) == 1
    assert "the model has 0 inputs" in capsys.readouterr().err
