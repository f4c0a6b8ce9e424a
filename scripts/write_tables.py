"""Writes the tables and the figure of the networks in ``docs/``. Needs TensorFlow.

  python scripts/write_tables.py [--folder FOLDER]

Nothing in these files is written by hand; a test regenerates and compares them.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from receptive_field import zoo
from receptive_field.report.accuracy import Dot, accuracies, plot_accuracy
from receptive_field.report.figure import file_figure
from receptive_field.zoo.layers import Network
from receptive_field.zoo.notation import rows
from receptive_field.zoo.table import network_table

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "python" / "util" / "examples"

README_NETWORKS = (
    *("alexnet_v2", "vgg_16", "mobilenet_v1", "mobilenet_v1_075", "resnet_v1_50"),
    *("inception_v2", "resnet_v1_101", "inception_v3", "resnet_v1_152"),
    *("resnet_v1_200", "inception_v4", "inception_resnet_v2"),
)
"""In the order of the paper: by receptive field."""

ALEXNET = Network(
    "AlexNet",
    "alexnet",
    rows(
        """
        conv1: 96 11x11/4 V
        pool1: max 3x3/2 V
        conv2: 256 5x5
        pool2: max 3x3/2 V
        conv3: 384 3x3
        conv4: 384 3x3
        conv5: 256 3x3
        pool5: max 3x3/2 V
        fc6: 4096 6x6 V
        fc7: 4096 1x1
        """
    ),
    (
        *("conv1", "pool1", "conv2", "pool2", "conv3"),
        *("conv4", "conv5", "pool5", "fc6", "fc7"),
    ),
    2012,
    "Krizhevsky, Sutskever and Hinton (2012)",
)
"""AlexNet with its dense layers as convolutions, on an image of 227 pixels."""

SMALL = Network(
    "example",
    "example",
    rows("one: 1 3x3/2\ntwo: 1 3x3/2"),
    ("one", "two"),
    None,
    "Dang Ha The Hien (2017), a guide to receptive field arithmetic",
)
"""Two layers with kernel 3, stride 2 and padding 1, on an image of 5 pixels."""

HEAD = """# Networks

This page gives the receptive fields, effective strides, effective paddings and costs of
well-known networks. `python scripts/write_tables.py` computes them with this package,
from the networks that come with it (`rf.zoo`). For any other graph, you get these
numbers from `rf.compute_receptive_fields` and `rf.compute_costs`.

`rf.zoo.build(name)` builds one of the networks as a TensorFlow graph (`rf.zoo.NETWORKS`
lists the names), and `rf.zoo.table(name, [224, 224])` returns its rows of the table. In
a copy of the repository, `pip install ".[benchmark]"` and
`python python/util/examples/rf_benchmark.py --csv_path table.csv` compute all 561 rows
in a minute or two; `csv_to_markdown_table.py --csv_path table.csv` beside it prints
them.

## The networks of the paper

The numbers are for the last feature map and an image of 224 x 224 pixels. The receptive
field and the stride are the same for any size, but the padding is not. GFLOPs are
counted as TensorFlow's profiler does (a multiply-add counts as two operations).

"""

ALL = """
The complete table has 561 rows, for 19 variants, three resolutions and every end-point:
[end_points.md](end_points.md) or [end_points.csv](end_points.csv).

![Accuracy against receptive field](accuracy.svg)

The figure shows the accuracy on ImageNet against the receptive field of the last
feature map, with the logarithmic trend from the paper. The paper took the accuracies
from the TF-Slim model library, and so does this figure.

## Counted differently today

Residual connections use the op `AddV2`. When the published FLOPs were counted,
TensorFlow's profiler had no formula for it. Today it has one. If you subtract `AddV2`,
all published figures are reproduced to three decimals. [additions.csv](additions.csv)
lists all affected end-points at both resolutions. This is the last end-point at 224 x
224:

"""

RESNETS = """
## ResNet, in both placements of the stride

A bottleneck unit that halves the size can have its stride in the first 1x1 convolution,
as in the original paper, or in the 3x3 after it, as in most implementations today. If
the 1x1 has the stride, the 3x3 already works on the coarser grid, so its two outer
positions are twice as far apart in pixels. This adds 8 pixels in the first unit of
stage 2 (99 instead of 91 in ResNet-50), 16 more in stage 3 (291 instead of 267), and 32
more in stage 4 (483 instead of 427). It adds the same in deeper ResNets. ResNet-18 and
ResNet-34 have no bottlenecks, so their stride is always in a 3x3.

"""

STAGES = """
The next table shows how small the map is after each stage of ResNet-50 (stride in the
3x3), for an image of 224 x 224 pixels. The first convolution and the pooling reduce it
to a quarter, and the last stage to 1/32.

"""

GUIDE = """
## AlexNet, layer by layer

For an image of 227 pixels, this table gives the number of features along an axis (n),
the pixels from one feature to the next (j, the jump), the receptive field (r), and the
centre of the first feature (start). Here pixels are one unit wide, and the centre of
the first one is at 0.5. In the rest of this package the first pixel is at 0, so `start`
is one half more than the centre that the package returns. Dense layers are written as
convolutions.

A layer with kernel k, stride s and padding p on both sides has
`n_out = floor((n_in + 2p - k) / s) + 1` features, `j_out = j_in * s`,
`r_out = r_in + (k - 1) * j_in` and `start_out = start_in + ((k - 1) / 2 - p) * j_in`.

"""

EXAMPLE = """
This example has two layers with k = 3, s = 2 and p = 1, on 5 x 5 pixels:

"""


def markdown(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """A table with numbers to the right of the first column."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    cells = [header, rule, *lines]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in cells)


def run(script: str, *arguments: object) -> None:
    """Runs one of the example scripts, as a user would."""
    subprocess.run(
        [sys.executable, str(EXAMPLES / script), *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def last_rows(path: Path) -> dict[str, Mapping[str, str]]:
    """The last end-point of each network at 224 x 224."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = [
            row for row in csv.DictReader(file) if row["input resolution"] == "224"
        ]
    return {row["CNN"]: row for row in lines}


def paper_table(last: Mapping[str, Mapping[str, str]]) -> str:
    """The table of the paper, with the FLOPs of the original's README."""
    lines = []
    for name in README_NETWORKS:
        row = last[name]
        numbers = [row[f"{what} hor"] for what in COLUMNS]
        flops = f"{float(row['FLOPs (Billion)']):.2f}"
        lines.append([name, *numbers, flops, zoo.NETWORKS[name].year])
    header = ("network", "receptive field", "stride", "padding", "GFLOPs", "year")
    return markdown(header, lines)


COLUMNS = ("RF size", "effective stride", "effective padding")


def counted_additions(table: Path) -> list[dict[str, str]]:
    """The rows in which today's profiler counts AddV2, with what that amounts to."""
    from receptive_field.frameworks import load
    from receptive_field.graph.graph import topological_order
    from receptive_field.questions.costs import node_costs
    from receptive_field.results.costs import totals
    from receptive_field.rules.inference import Inference

    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["FLOPs (Billion)"]]
    by_graph: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        by_graph.setdefault((row["CNN"], row["input resolution"]), []).append(row)
    lines = []
    for (name, resolution), some in by_graph.items():
        built = zoo.build(name, [int(resolution)] * 2)
        graph = load(built.graph).graph
        outputs = [graph.tensor(built.end_points[row["end_point"]]) for row in some]
        order, _ = topological_order(graph, [tensor[0] for tensor in outputs])
        costs = node_costs(graph, order, Inference(graph)).complete()
        added = {i: c for i, c in costs.items() if graph.nodes[i].op == "AddV2"}
        both = (totals(graph, order, counted, outputs) for counted in (costs, added))
        for row, today, additions in zip(some, *both, strict=True):
            if additions.profiler_flops:
                counts = today.profiler_flops, additions.profiler_flops
                numbers = [f"{n / 1e9:.3f}" for n in (*counts, counts[0] - counts[1])]
                place = (name, resolution, row["end_point"])
                lines.append(dict(zip(ADDITIONS, (*place, *numbers), strict=True)))
    return lines


ADDITIONS = (
    *("network", "input resolution", "end_point"),
    *("GFLOPs today", "of AddV2", "without"),
)


def additions_table(lines: Iterable[Mapping[str, str]]) -> str:
    """What AddV2 adds to the FLOPs of the networks that have it."""
    last = {d["network"]: d for d in lines if d["input resolution"] == "224"}
    rows = [(name, *list(line.values())[3:]) for name, line in last.items()]
    header = ("network", "GFLOPs today", "of AddV2", "without, as published")
    return markdown(header, rows)


def resnet_table() -> str:
    """Receptive fields of ResNets, by where bottlenecks have their stride."""
    names = {
        "18": "resnet_18",
        "34": "resnet_34",
        "50, 1x1": "resnet_50",
        "50, 3x3": "resnet_50_b",
        "101, 1x1": "resnet_101",
        "101, 3x3": "resnet_101_b",
        "152, 1x1": "resnet_152",
        "152, 3x3": "resnet_152_b",
    }
    tables = [zoo.table(name) for name in names.values()]
    columns = [[row.receptive_field.size[0] for row in t.rows] for t in tables]
    stages = [p.name.rpartition("/")[2] for p in tables[0].rows]
    return markdown(("layer", *names), zip(stages, *columns, strict=True))


def stages_table() -> str:
    """How the stages of ResNet-50 come down in size."""
    lines = []
    for row in zoo.table("resnet_50_b", [224, 224]).rows:
        field = row.receptive_field
        size = field.axes[0].output_size
        stride = field.stride[0]
        lines.append([row.name.rpartition("/")[2], size, f"1/{stride}", field.size[0]])
    return markdown(("layer", "size", "of the image", "receptive field"), lines)


def arithmetic_table(network: Network, size: int) -> str:
    """A network layer by layer: features, jump, receptive field, first centre."""
    lines = []
    for row in network_table(network, [size, size], None).rows:
        field = row.receptive_field
        start = field.compute_input_center_coordinates([0, 0])[0] + 0.5
        numbers = (field.axes[0].output_size, field.stride[0], field.size[0], start)
        lines.append([row.name, *(f"{number:g}" for number in numbers)])
    return markdown(("layer", "n", "j", "r", "start"), lines)


def dots(last: Mapping[str, Mapping[str, str]]) -> list[Dot]:
    """The networks of the figure."""
    return [
        Dot(
            name,
            int(last[name]["RF size hor"]),
            float(last[name]["FLOPs (Billion)"]) * 1e9,
            accuracy,
        )
        for name, accuracy in accuracies().items()
    ]


def draw(last: Mapping[str, Mapping[str, str]], path: Path) -> None:
    """Draws the figure, the same in every run."""
    with file_figure(path) as figure:
        plot_accuracy(dots(last), ax=figure)


def main() -> None:
    """Writes all files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "docs")
    folder = parser.parse_args().folder
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    table = folder / "end_points.csv"
    run("rf_benchmark.py", "--csv_path", table)
    run(
        "csv_to_markdown_table.py",
        *("--csv_path", table, "--markdown_path", folder / "end_points.md"),
    )
    last = last_rows(table)
    additions = counted_additions(table)
    with (folder / "additions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ADDITIONS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(additions)
    text = HEAD + paper_table(last) + ALL + additions_table(additions)
    text += RESNETS + resnet_table() + STAGES + stages_table()
    text += GUIDE + arithmetic_table(ALEXNET, 227) + EXAMPLE
    text += arithmetic_table(SMALL, 5)
    (folder / "networks.md").write_text(text, encoding="utf-8")
    draw(last, folder / "accuracy.svg")


if __name__ == "__main__":
    main()
