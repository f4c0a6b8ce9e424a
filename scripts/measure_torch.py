"""Measures receptive fields of PyTorch networks, and writes `measured.csv`.

  VENV/bin/python scripts/measure_torch.py [NAME ...] [--check] [--known]

Without names of networks, it measures all (a few minutes). `export_onnx.py` says how to
make the environment. Nothing here is computed by the library. Gradients in double
precision show what neighbouring features in the middle of an image depend on. To keep
their sums from cancelling out, every kernel is a positive mean of the same geometry,
max pools are mean pools, and norms, activations and gates are left out. The weights of
attention pass no gradients, but the values do.

`--check` compares the file with a new measurement. `--known` measures the networks of
torchvision in `torch_truth.csv` again, which were measured by another program.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from export_onnx import FOLDER, first
from torch import Tensor, nn
from torch.nn import functional
from torch_networks import NETWORKS
from torchvision.ops import SqueezeExcitation

FILE = "measured.csv"
KNOWN = "torch_truth.csv"
HEAD = (
    *("model", "layer", "axis", "local", "size", "stride", "padding"),
    *("centre_of_feature_0", "features", "input_length", "note"),
)
AXES = "xyz"
"""The last axis of an image is x, the last but one is y."""

LEFT_OUT = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm),
    *(nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid),
    SqueezeExcitation,
)
MEANS: dict[type, type] = {
    nn.MaxPool1d: nn.AvgPool1d,
    nn.MaxPool2d: nn.AvgPool2d,
    nn.MaxPool3d: nn.AvgPool3d,
}


@dataclass(frozen=True)
class Question:
    """Layers of a network, and the image and the axis on which they are measured."""

    network: str
    layers: tuple[str, ...]
    shape: tuple[int, ...]
    axis: str = "x"
    channels_last: bool = False
    count: int = 9
    """How many features in the middle are asked."""


YOLO = ("stage3", "stage5", "down4", "down3", "up4", "up5", "#0", "#1", "#2")
UNET = ("encoders.1", "encoders.3", "decoders.0", "decoders.1", "decoders.2")
VIDEO = ("stem", "layer1", "layer2", "layer3", "layer4")
SWIN = ("features.0", "features.1", "features.2")
QUESTIONS = (
    Question("yolo", YOLO, (1, 3, 32, 2048)),
    Question("yolo", ("stage5", "#0"), (1, 3, 2048, 32), "y"),
    Question("unet", (*UNET, "@forward"), (1, 3, 16, 1024), count=17),
    Question("wave", ("layers.0", "layers.4", "layers.6"), (1, 1, 16000)),
    Question("wave", ("@forward",), (1, 1, 60000)),
    Question("temporal", ("steps.2", "steps", "@forward"), (1, 8, 512)),
    Question("r3d_18", VIDEO, (1, 3, 8, 16, 512)),
    Question("r3d_18", VIDEO, (1, 3, 192, 16, 16), "z"),
    Question("vit_b_16_short", ("conv_proj",), (1, 3, 224, 224)),
    Question("swin_t", SWIN, (1, 3, 224, 224), channels_last=True),
    Question("swin_t", SWIN, (1, 3, 224, 224), "y", channels_last=True),
    # Others see windows at the edge, which a mask of -100 joins with the other edge.
    Question("swin_t", ("features.3",), (1, 3, 224, 224), "x", True, count=5),
    Question("swin_t", ("features.3",), (1, 3, 224, 224), "y", True, count=5),
)
TOKENS = (Question("vit_b_16_short", ("encoder",), (1, 3, 224, 224)),)
"""Layers of tokens, every one of which sees the whole image."""


def simplify(module: nn.Module) -> nn.Module:
    """Make all kernels means, and leave out what is not linear."""
    for name, child in module.named_children():
        if isinstance(child, LEFT_OUT):
            setattr(module, name, nn.Identity())
        elif isinstance(child, tuple(MEANS)):
            if child.dilation != 1:
                raise ValueError(f"{name} is dilated")
            options = (child.kernel_size, child.stride, child.padding, child.ceil_mode)
            setattr(module, name, MEANS[type(child)](*options))
        else:
            simplify(child)
    with torch.no_grad():
        for weight in module.parameters(recurse=False):
            weight.fill_(1 / weight[0].numel() if weight.dim() > 1 else 0.0)
    return module


def _steady(scores: Tensor, *options: Any, **named: Any) -> Tensor:
    return torch.softmax(scores, *options, **named).detach()


def _mean(x: Tensor, *options: Any, **named: Any) -> Tensor:
    return nn.AvgPool2d(*options, **named)(x)


class _EnoughError(Exception):
    """All layers are computed."""


def results(module: nn.Module, image: Tensor, layers: tuple[str, ...]) -> Any:
    """Return the (first) results of the layers. Nothing above them is computed."""
    found: dict[str, Tensor] = {}
    for layer in layers:
        if layer[0] not in "#@":

            def keep(_: Any, __: Any, result: Any, layer: str = layer) -> None:
                found[layer] = first(result)
                if len(found) == len(layers):
                    raise _EnoughError

            module.get_submodule(layer).register_forward_hook(keep)
    with (
        mock.patch.object(functional, "softmax", _steady),
        mock.patch.object(functional, "max_pool2d", _mean),
    ):
        try:
            result = module(image)
        except _EnoughError:
            return found
    for layer in layers:
        if layer[0] in "#@":
            index = int(layer[1:]) if layer[0] == "#" else 0
            found[layer] = result[index] if isinstance(result, tuple) else first(result)
    return found


def regions(
    result: Tensor, image: Tensor, feature_axis: int, axis: int, count: int
) -> list[tuple[int, int, int]]:
    """Return features in the middle, with the first and last position of each."""
    length = result.shape[feature_axis]
    start = max(length // 2 - count // 2, 0)
    found = []
    for feature in range(start, min(start + count, length)):
        chosen = result.select(feature_axis, feature).sum()
        (gradient,) = torch.autograd.grad(chosen, image, retain_graph=True)
        seen = gradient.abs().movedim(axis, 0).flatten(1).sum(1).nonzero().flatten()
        found.append((feature, int(seen[0]), int(seen[-1])))
    return found


def _several(values: set[int]) -> str:
    return "/".join(map(str, sorted(values)))


def measure(question: Question) -> Iterator[list[str]]:
    """Yield the rows of the layers."""
    network = NETWORKS[question.network]
    module = simplify(network.module().double())
    image = torch.rand(question.shape, dtype=torch.double, requires_grad=True)
    place = -1 - AXES.index(question.axis)
    feature_axis = place - question.channels_last
    for layer, result in results(module, image, question.layers).items():
        seen = regions(result, image, feature_axis, place, question.count)
        sizes = {last - first + 1 for _, first, last in seen}
        steps = {b[1] - a[1] for a, b in pairwise(seen)}
        padding, centre = "", ""
        if len(sizes) == len(steps) == 1 and steps != {0}:
            (size,), (step,) = sizes, steps
            feature, start, _ = seen[0]
            padding = str(feature * step - start)
            centre = str(start - feature * step + (size - 1) / 2)
        yield [
            *(network.truth, layer, question.axis, "True"),
            *(_several(sizes), _several(steps), padding, centre),
            *(str(result.shape[feature_axis]), str(image.shape[place])),
            f"regions: {seen}",
        ]


def measure_tokens(question: Question) -> Iterator[list[str]]:
    """Yield rows of layers whose tokens all see the whole image."""
    network = NETWORKS[question.network]
    module = simplify(network.module().double())
    image = torch.rand(question.shape, dtype=torch.double, requires_grad=True)
    for layer, result in results(module, image, question.layers).items():
        for name in "xy":
            place = -1 - AXES.index(name)
            length = image.shape[place]
            seen = regions(result, image, 1, place, question.count)
            if any(region[1:] != (0, length - 1) for region in seen):
                raise ValueError(f"{layer} does not see everything: {seen}")
            yield [
                *(network.truth, layer, name, "False", "inf", "", "", ""),
                *(str(result.shape[1]), str(length)),
                "every token sees everything",
            ]


def known(folder: Path, names: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield rows of torchvision in `torch_truth.csv`, and their measurements."""
    with (folder / KNOWN).open(newline="") as file:
        rows = [list(row.values()) for row in csv.DictReader(file)]
    for row in rows:
        library, _, name = row[0].partition("/")
        # Where these pool globally, gradients would have to stop.
        left_out = name.startswith(("deeplab", "lraspp"))
        if library != "tv" or left_out or (names and name not in names):
            continue
        low, long = 64, int(row[9])
        shape = (1, 3, low, long) if row[2] == "x" else (1, 3, long, low)
        for measured in measure(Question(name, (row[1],), shape, row[2], count=3)):
            yield row, measured


def read(folder: Path) -> dict[str, list[list[str]]]:
    """Return the rows of the file, by the names of the networks in it."""
    found: dict[str, list[list[str]]] = {}
    if (folder / FILE).exists():
        with (folder / FILE).open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["model"], []).append(list(row.values()))
    return found


def write(folder: Path, rows: dict[str, list[list[str]]]) -> None:
    """Write the rows in the order of the questions."""
    with (folder / FILE).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        for name in dict.fromkeys(question.network for question in QUESTIONS):
            writer.writerows(rows.get(NETWORKS[name].truth, []))


def main() -> int:
    """Write or compare the measurements."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--known", action="store_true", help="measure known fields")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    wrong = 0
    if options.known:
        for old, new in known(options.folder, options.names):
            same = old[:10] == new[:10]
            wrong += not same
            print("same" if same else "differs", *old[:10], "|", *new, flush=True)
        return int(wrong > 0)
    names = options.names or [question.network for question in QUESTIONS]
    there = read(options.folder)
    for name in dict.fromkeys(names):
        rows = [
            *(x for q in QUESTIONS if q.network == name for x in measure(q)),
            *(x for q in TOKENS if q.network == name for x in measure_tokens(q)),
        ]
        truth = NETWORKS[name].truth
        same = there.get(truth) == rows
        wrong += not same
        print(f"{name}: {'as in the file' if same else 'new'}", flush=True)
        there[truth] = rows
        if not options.check:
            write(options.folder, there)
    return int(options.check and wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
