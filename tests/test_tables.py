"""The tables and the figure in ``docs/``: as the script writes them today, and equal to
what was published."""

import csv
import random
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest
from needed import needed, needs
from random_search import seeds
from run_scripts import DOCS, OURS, example, script

from receptive_field import zoo
from receptive_field.report import accuracy
from receptive_field.report.accuracy import (
    AREA_PER_GFLOP,
    Dot,
    accuracies,
    logarithmic_trend,
    networks_of_paper,
    plot_accuracy,
)

NETWORKS = (DOCS / "networks.md").read_text(encoding="utf-8")


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table_after(heading):
    """The rows of the first table below a heading: first column -> the others."""
    part = NETWORKS.partition(heading)[2]
    lines = re.search(r"(?:^\|.*\n)+", part, re.MULTILINE).group().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines[2:]]
    return {first: rest for first, *rest in rows}


def published():
    rows = read(Path(__file__).parent / "data" / "published_table.csv")
    return {(r["model"], r["input_resolution"], r["end_point"]): r for r in rows}


def computed():
    rows = read(DOCS / "end_points.csv")
    return {(r["CNN"], r["input resolution"], r["end_point"]): r for r in rows}


@pytest.fixture
def built_once(monkeypatch):
    """The zoo builds a network once in a run; the size of its input is set later."""
    stored, build = needed("stored"), zoo.build_network

    def build_network(network, resolution, *, resource_variables):
        if resource_variables or network is not zoo.NETWORKS.get(network.name):
            return build(network, resolution, resource_variables=resource_variables)
        size = None if resolution is None else tuple(resolution)
        return stored.zoo_network(network.name, size)

    for module in ("receptive_field.zoo", "receptive_field.zoo.table"):
        monkeypatch.setattr(import_module(module), "build_network", build_network)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds("the size of a network", 1))
def test_a_network_of_another_size_differs_in_its_input_only(seed):
    stored = needed("stored")
    rng = random.Random(seed)
    name, *sizes = rng.choice(list(zoo.NETWORKS)), *rng.choices(range(180, 340), k=2)
    one, _, _ = stored.zoo_definition(name)
    other = zoo.build(name, sizes).graph.as_graph_def()
    assert stored.at_size(one, sizes) == other


def of_network(name, file):
    with file.open(newline="", encoding="utf-8") as lines:
        head, *rows = csv.reader(lines)
    return [head, *(row for row in rows if row[0] == name)]


@pytest.mark.slow
@needs("tensorflow", "rich")
@pytest.mark.usefixtures("built_once")
@pytest.mark.parametrize("name", zoo.PUBLISHED)
def test_the_rows_of_a_network_are_those_in_docs(name, tmp_path, monkeypatch):
    """Those of all end-points, of what additions account for, and of the figure."""
    table = tmp_path / "table.csv"
    assert example("rf_benchmark.py", "--networks", name, "--csv_path", table) == 0
    rows = of_network(name, table)
    assert rows == of_network(name, DOCS / "end_points.csv")
    tables = script(OURS / "write_tables.py")
    additions = [list(row.values()) for row in tables.counted_additions(table)]
    assert [list(tables.ADDITIONS), *additions] == of_network(
        name, DOCS / "additions.csv"
    )
    some = {known: share for known, share in accuracies().items() if known == name}
    monkeypatch.setattr(accuracy, "accuracies", lambda: some)
    last = [row for row in rows if row[1] == "224"][-1]
    for dot in networks_of_paper():
        assert (dot.network, str(dot.size), dot.flops / 1e9) == (
            name,
            last[4],
            float(last[3]),
        )


@pytest.mark.slow
@needs("tensorflow", "matplotlib")
@pytest.mark.usefixtures("built_once")
def test_the_script_writes_what_is_in_docs(tmp_path, monkeypatch):
    """From the rows of the networks, which another test holds one by one."""
    tables = script(OURS / "write_tables.py")
    run = tables.run

    def run_or_copy(name, *arguments):
        if name == "rf_benchmark.py":
            shutil.copy(DOCS / "end_points.csv", arguments[-1])
        else:
            run(name, *arguments)

    monkeypatch.setattr(tables, "run", run_or_copy)
    monkeypatch.setattr(
        tables, "counted_additions", lambda _: read(DOCS / "additions.csv")
    )
    monkeypatch.setattr(sys, "argv", ["write_tables.py", "--folder", str(tmp_path)])
    tables.main()
    for name in ("networks.md", "end_points.md", "end_points.csv", "additions.csv"):
        assert (tmp_path / name).read_text() == (DOCS / name).read_text(), name
    assert (tmp_path / "accuracy.svg").read_text().startswith("<?xml")


def test_all_rows_are_those_of_the_published_table():
    expected, found = published(), computed()
    assert len(expected) == 561
    assert list(found) == list(expected)
    for key, row in expected.items():
        numbers = [
            row[name]
            for name in ("receptive_field", "effective_stride", "effective_padding")
            for _ in ("hor", "ver")
        ]
        assert list(found[key].values())[4:] == numbers, key


WITHOUT_ADDITIONS = {
    (r["network"], r["input resolution"], r["end_point"]): r
    for r in read(DOCS / "additions.csv")
}
"""Rows in which TensorFlow's profiler has come to count additions."""


def test_flops_are_those_of_the_published_table():
    """To three decimals; without additions where TensorFlow has come to count them."""
    compared = 0
    for key, row in published().items():
        if not row["gflops"]:
            continue
        expected, found = float(row["gflops"]), computed()[key]["FLOPs (Billion)"]
        compared += 1
        assert abs(float(found) - expected) <= max(0.005 * expected, 0.001), key
        without = WITHOUT_ADDITIONS.get(key, {}).get("without")
        assert (without or f"{float(found):.3f}") == row["gflops"], key
    assert compared == 374
    assert {model for model, _, _ in WITHOUT_ADDITIONS} == {
        model for model, _, _ in published() if "resnet" in model
    }


def test_what_additions_account_for():
    rows = table_after("## Counted differently today")
    last = {m: r for (m, size, _), r in WITHOUT_ADDITIONS.items() if size == "224"}
    assert rows == {model: list(row.values())[3:] for model, row in last.items()}


def test_the_networks_of_the_readme():
    rows = table_after("## The networks of the paper")
    assert list(rows.values())[-1] == ["3039", "32", "1482", "12.96", "2016"]
    assert rows["vgg_16"] == ["212", "32", "90", "30.71", "2014"]
    assert rows["mobilenet_v1_075"] == ["315", "32", "126", "0.65", "2017"]
    assert len(rows) == 12


def test_resnets_are_those_of_the_gist():
    """In the order 18, 34, 50, 101; the stride of a bottleneck in the 3x3."""
    expected = {
        "conv1": (7, 7, 7, 7),
        "maxpool": (11, 11, 11, 11),
        "layer1": (43, 59, 35, 35),
        "layer2": (99, 179, 91, 91),
        "layer3": (211, 547, 267, 811),
        "layer4": (435, 899, 427, 971),
    }
    rows = table_after("## ResNet, in both placements")
    for layer, numbers in expected.items():
        r18, r34, _, r50, _, r101, _, _ = map(int, rows[layer])
        assert (r18, r34, r50, r101) == numbers
    # What the discussion below the gist found with the stride in the 1x1.
    assert [int(rows[f"layer{n}"][2]) for n in (2, 4)] == [99, 483]


def test_total_downsampling():
    rows = table_after("how small the map is after each stage")
    assert rows["maxpool"][:2] == ["56", "1/4"]
    assert rows["layer4"][:2] == ["7", "1/32"]


def test_alexnet_is_that_of_the_guide():
    """(n, j, r, start) by the guide's formulas, for layers (k, s, p)."""
    layers = {
        "conv1": (11, 4, 0),
        "pool1": (3, 2, 0),
        "conv2": (5, 1, 2),
        "pool2": (3, 2, 0),
        "conv3": (3, 1, 1),
        "conv4": (3, 1, 1),
        "conv5": (3, 1, 1),
        "pool5": (3, 2, 0),
        "fc6": (6, 1, 0),
        "fc7": (1, 1, 0),
    }
    n, j, r, start = 227, 1, 1, 0.5
    rows = table_after("## AlexNet, layer by layer")
    assert list(rows) == list(layers)
    for name, (k, s, p) in layers.items():
        n = (n + 2 * p - k) // s + 1
        start += ((k - 1) / 2 - p) * j
        r += (k - 1) * j
        j *= s
        assert list(map(float, rows[name])) == [n, j, r, start], name
    assert rows["fc7"] == ["1", "32", "355", "113.5"]
    small = table_after("two layers with k = 3")
    assert [row[:3] for row in small.values()] == [["3", "2", "3"], ["2", "4", "7"]]


@needs("matplotlib")
def test_the_figure_shows_the_networks_of_the_paper():
    last = {key[0]: row for key, row in published().items() if key[1] == "224"}

    def dot(name, accuracy):
        size, flops = int(last[name]["receptive_field"]), float(last[name]["gflops"])
        return Dot(name, size, flops * 1e9, accuracy)

    dots = [dot(name, accuracy) for name, accuracy in accuracies().items()]
    assert len(dots) == 10
    ax = plot_accuracy(dots)
    (points,) = ax.collections
    assert points.get_offsets().tolist() == [[d.size, d.accuracy] for d in dots]
    areas = [d.flops / 1e9 * AREA_PER_GFLOP for d in dots]
    assert points.get_sizes().tolist() == pytest.approx(areas)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    # The line goes through the mean of the points, and upwards.
    intercept, slope = logarithmic_trend([Dot("a", 10, 1, 0.5), Dot("b", 100, 1, 0.7)])
    assert (intercept, slope) == pytest.approx((0.3, 0.2))
    drawn = (DOCS / "accuracy.svg").read_text()
    assert all(f"<!-- {name} -->" in drawn for name in accuracies())


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    from receptive_field import ReceptiveFieldError

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ReceptiveFieldError, match=r"receptive_field\[plot\]"):
        plot_accuracy([Dot("a", 10, 1, 0.5), Dot("b", 100, 1, 0.7)])
