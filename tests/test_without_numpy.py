"""What is computed without NumPy. `scripts/test_in_pyodide.mjs` runs these tests where
there is none; here they hold as well."""

import csv
import doctest
import io
import random
from fractions import Fraction
from functools import cache, reduce
from pathlib import Path

import pytest

import receptive_field as rf
from receptive_field.algebra import axis_map, sizes
from receptive_field.algebra.axis_map import AxisMap
from receptive_field.frameworks import load
from receptive_field.questions.question import Options
from receptive_field.report.explorer import page_data
from receptive_field.results.tables import Table

DATA = Path(__file__).parent / "data"
LAST = "InceptionResnetV2/Conv2d_7b_1x1/Relu"
PUBLISHED = {}
"""End-point of the graph in the package -> size, stride and padding in the paper."""

with (DATA / "published_table.csv").open(newline="") as file:
    for row in csv.DictReader(file):
        if row["model"] == "inception_resnet_v2" and not row["input_resolution"]:
            PUBLISHED[row["end_point"]] = [
                int(row[name])
                for name in ("receptive_field", "effective_stride", "effective_padding")
            ]


@cache
def example():
    """The graph in the package: to read its text takes longer than to analyse it."""
    return load(rf.EXAMPLE_GRAPH)


@pytest.mark.parametrize("end_point", ["Mixed_6a", "Conv2d_7b_1x1"])
def test_the_published_rows_of_the_graph_in_the_package(end_point):
    last = {"Mixed_6a": "concat", "Conv2d_7b_1x1": "Relu"}[end_point]
    output = f"InceptionResnetV2/{end_point}/{last}"
    field = rf.compute_receptive_field(example(), output=output)
    assert list(field)[::2] == list(field)[1::2] == PUBLISHED[end_point]


# --- The algebra ---------------------------------------------------------------------


@pytest.mark.parametrize("module", [axis_map, sizes], ids=lambda m: m.__name__)
def test_the_examples_of_the_algebra(module):
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


def random_layer(rng):
    kernel, stride, padding, dilation = (rng.randint(*ends) for ends in LAYER)
    return (
        axis_map.convolution(kernel, stride, padding, dilation),
        lambda u: [u * stride - padding + tap * dilation for tap in range(kernel)],
    )


LAYER = (1, 5), (1, 3), (0, 4), (1, 3)
"""Least and largest kernel size, stride, padding and dilation."""


def followed(positions, layers):
    """All positions that these positions see, tap by tap."""
    for taps in layers:
        positions = {below for u in positions for below in taps(u)}
    return positions


@pytest.mark.parametrize("seed", range(20))
def test_paths_see_what_their_taps_see(seed):
    rng = random.Random(seed)
    paths = [[random_layer(rng) for _ in range(rng.randint(1, 4))] for _ in range(2)]
    maps = [reduce(AxisMap.then, [found for found, _ in path]) for path in paths]
    for u in range(-5, 6):
        seen = [followed({u}, [taps for _, taps in path]) for path in paths]
        for found, positions in zip(maps, seen, strict=True):
            assert found.window(u) == (min(positions), max(positions))
        both = seen[0] | seen[1]
        assert (maps[0] | maps[1]).window(u) == (min(both), max(both))


# --- Networks ------------------------------------------------------------------------


def chained(*layers):
    """Size and stride of layers that follow each other, by the paper's recurrence."""
    size, stride = 1, 1
    for kernel, step in layers:
        size, stride = size + (kernel - 1) * stride, stride * step
    return size, stride


BASIC = [(3, 1), (3, 1)]
RESNET_18 = [(7, 2), (3, 2), *BASIC * 2, *([(3, 2), (3, 1), *BASIC] * 3)]


@pytest.mark.parametrize("path", ["onnx/resnet18.onnx.xz", "torch/resnet18.pt2"])
def test_a_resnet_is_as_wide_as_its_longest_path(path):
    field = rf.compute_receptive_field(str(DATA / path), output="layer4")
    size, stride = chained(*RESNET_18)
    assert list(field)[:4] == [size, size, stride, stride]
    assert field.aligned


def test_an_encoder_and_its_decoder_have_the_stride_one():
    field = rf.compute_receptive_field(str(DATA / "torch" / "unet.pt2"))
    assert list(field)[2:4] == [1, 1]
    assert field.exact


def test_the_table_of_all_layers():
    fields = rf.compute_receptive_fields(example())
    rows = list(csv.DictReader(io.StringIO(Table(fields).text("csv"))))
    row = next(row for row in rows if row["layer"] == LAST)
    size, stride, padding = PUBLISHED["Conv2d_7b_1x1"]
    names = ("rf_x", "stride_x", "padding_x", "center_x")
    centre = -padding + Fraction(size - 1, 2)
    assert [float(row[name]) for name in names] == [size, stride, padding, centre]


def test_the_data_of_the_explorer():
    data = page_data(example(), LAST, None, Options([299, 299]))
    (node,) = [node for node in data["nodes"] if node.get("name") == LAST]
    size, stride, padding = PUBLISHED["Conv2d_7b_1x1"]
    assert node["rf"] == [size] * 2
    assert (node["stride"], node["padding"]) == ([stride] * 2, [padding] * 2)
    # The convolutions without padding leave 149, 147, 73, 71, 35, 17 and 8 positions.
    assert node["size"] == [8, 8]
    convolution = LAST.replace("Relu", "Conv2D")
    (node,) = [node for node in data["nodes"] if node.get("name") == convolution]
    assert node["flops"] == 2 * 8 * 8 * 2080 * 1536
