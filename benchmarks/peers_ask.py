"""Asks one tool for receptive fields; ``peers.py`` runs it in its own environment.

    python benchmarks/peers_ask.py TOOL NUMBER...

Prints for each row of the truth table, by its number, one line of JSON: what the tool
says, or why it has no answer. All else that is printed goes to standard error.
"""

from __future__ import annotations

import collections.abc
import json
import os
import resource
import sys
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent))
sys.path.append(str(Path(__file__).parent.parent / "tests"))

import torch_networks
from torch import nn
from torchvision_ops import torch

import receptive_field as rf

Row = dict[str, str]
Answer = dict[str, Any]

MEMORY = 14 * 2**30
"""Bytes that a tool may use, so that the machine is not exhausted."""

HEIGHT = 128
"""Images are low and long; all networks run at this height."""


class NoAnswerError(Exception):
    """The tool ran, but states nothing for the layer."""


class Until(nn.Module):
    """A network whose output is that of one of its layers."""

    def __init__(self, network: nn.Module, layer: str) -> None:
        super().__init__()
        self.network = network
        self._layer = layer
        self._found: Any = None
        if layer[0] not in "@#":
            network.get_submodule(layer).register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self._found = output

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The first tensor of the layer."""
        output = self.network(image)
        if self._layer[0] == "#":
            return output[int(self._layer[1:])]
        found = output if self._layer[0] == "@" else self._found
        return next(iter(found.values())) if isinstance(found, dict) else found


def image_of(row: Row, length: int) -> tuple[int, int, int]:
    """Channels, height and width of an image that is long on the row's axis."""
    return (3, HEIGHT, length) if row["axis"] == "x" else (3, length, HEIGHT)


def path_of(network: nn.Module, layer: str) -> str:
    """The path of the module whose output a layer is; empty for the whole network."""
    if layer[0] not in "@#":
        return layer
    calls: list[tuple[str, Any]] = []
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, p=path: calls.append((p, out)))
        for path, module in network.named_modules()
    ]
    with torch.no_grad():
        output = Until(network, layer)(torch.rand(1, 3, HEIGHT, 2 * HEIGHT))
    for hook in hooks:
        hook.remove()
    return next((path for path, out in reversed(calls) if out is output), "")


def cut(network: nn.Module, path: str) -> nn.Module:
    """A sequence of a network's modules, in their order, up to the one at a path."""
    if not path:
        return network
    first, _, rest = path.partition(".")
    children: OrderedDict[str, nn.Module] = OrderedDict()
    for name, child in network.named_children():
        children[name] = cut(child, rest) if name == first else child
        if name == first:
            break
    return nn.Sequential(children)


def ask_receptive_field(row: Row) -> Answer:
    """This library."""
    length = int(row["input_length"])
    resolution = [torch_networks.HEIGHT, length]
    if row["axis"] == "y":
        resolution.reverse()
    field = rf.compute_receptive_field(
        torch_networks.network(row["model"]),
        output=torch_networks.output_of(row["layer"]),
        input_resolution=resolution,
    )
    differs = list(torch_networks.held(row, field))
    number = "xy".index(row["axis"])
    field = field.local
    answer: Answer = {"size": float(field.size[number])}
    stated = {"stride": field.stride[number], "padding": field.padding[number]}
    if field.aligned:
        centres = field.compute_input_center_coordinates([0] * len(field.axes))
        stated["centre"] = centres[number]
    # There may be no stride, padding or centre that all features share.
    known = {key: float(value) for key, value in stated.items() if value is not None}
    return {**answer, **known, "differs": differs}


def ask_torchscan(row: Row) -> Answer:
    """Versions 0.1: a list of modules, in the order of their calls."""
    from torchscan import crawl_module

    network = torch_networks.made(row["model"]).eval()
    path = path_of(network, row["layer"])
    shape = image_of(row, min(512, int(row["input_length"])))
    layers = crawl_module(network, shape)["layers"]
    # Its entries have the last part of a path and a depth: the paths are put together.
    parts: list[str] = []
    found = None
    for layer in layers:
        parts = [*parts[: layer["depth"] - 1], layer["name"]] if layer["depth"] else []
        name = ".".join(parts)
        if not path or name == path or name.startswith(path + "."):
            found = layer
    if found is None:
        raise NoAnswerError("no entry for the module")
    return {"size": found["rf"], "stride": found["s"], "padding": found["p"]}


def ask_torchscan_report(row: Row) -> Answer:
    """Versions 0.2: a report with an entry for each module."""
    from torchscan import crawl_module

    network = torch_networks.made(row["model"]).eval()
    path = path_of(network, row["layer"])
    shape = image_of(row, min(512, int(row["input_length"])))
    layers = crawl_module(network, shape)["layers"]
    for layer in reversed(layers):
        if layer["path"].removeprefix("<root>").lstrip(".") == path:
            stated = {
                "size": layer["metrics"].get("receptive_field"),
                "stride": layer["metrics"].get("effective_stride"),
                "padding": layer["metrics"].get("effective_padding"),
            }
            if any(s is None or s["status"] != "complete" for s in stated.values()):
                raise NoAnswerError("its table shows a question mark for this module")
            return {key: metric["value"] for key, metric in stated.items()}
    raise NoAnswerError("no entry for the module")


SMOOTH = (
    nn.ReLU,
    nn.ReLU6,
    nn.SiLU,
    nn.GELU,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.LeakyReLU,
)


def linear(module: nn.Module) -> None:
    """What the documentation of receptivefield advises.

    Linear activations, average pools instead of maximum pools, constant positive
    weights, and no biases.
    """
    for name, child in module.named_children():
        if isinstance(child, SMOOTH):
            setattr(module, name, nn.Identity())
        elif isinstance(child, nn.MaxPool2d) and child.dilation == 1:
            pool = nn.AvgPool2d(
                child.kernel_size, child.stride, child.padding, child.ceil_mode
            )
            setattr(module, name, pool)
        else:
            linear(child)
    if isinstance(module, nn.Conv2d):
        nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def ask_receptivefield(row: Row) -> Answer:
    """Gradients of the network; the image is more than twice as long as the field."""
    from receptivefield.pytorch import PytorchReceptiveField

    class Model(Until):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            found = super().forward(image)
            self.__dict__["feature_maps"] = [found]
            return found

    def build() -> nn.Module:
        network = torch_networks.made(row["model"])
        linear(network)
        return Model(network, row["layer"]).eval()

    size = max(map(int, row["size"].split("/")))
    length = min(int(row["input_length"]), -(-2 * size // 256) * 256 + 256)
    channels, height, width = image_of(row, length)
    # It gives the network an image whose width is the first number. In its answer, the
    # first number of each pair belongs to the height.
    field = PytorchReceptiveField(build).compute([width, height, channels])[0].rf
    number = 1 if row["axis"] == "x" else 0
    answer = {
        "size": float(field.size[number]),
        "stride": float(field.stride[number]),
        # Its coordinates begin at the edge of the first pixel, ours at its centre.
        "centre": float(field.offset[number]) - 0.5,
    }
    if any(number != number for number in answer.values()):
        raise NoAnswerError("it says that the numbers are not a number (nan)")
    return answer


def ask_rfa_toolbox(row: Row) -> Answer:
    """The graph of a traced network; its last node is the output."""
    # Python 3.10 removed this name; without it the package does not import.
    collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]
    from rfa_toolbox import create_graph_from_pytorch_model

    network = Until(torch_networks.made(row["model"]).eval(), row["layer"])
    graph = create_graph_from_pytorch_model(
        network.eval(), input_res=(1, *image_of(row, 512))
    )
    size = graph.receptive_field_max
    if isinstance(size, (tuple, list)) or getattr(size, "ndim", 0):
        size = size[1 if row["axis"] == "x" else 0]
    return {"size": float(size)}


def ask_rf_calc(row: Row) -> Answer:
    """A table of the layers that a network prints; the last line is the layer's."""
    from rf_calc import receptive_field

    network = torch_networks.made(row["model"]).eval()
    network = cut(network, path_of(network, row["layer"]))
    table = receptive_field(network, int(row["input_length"]))
    return {"size": float(table["Receptive_field"].iloc[-1].split("*")[0])}


def ask_netharn(row: Row) -> Answer:
    """A sequence of modules, of which those of ResNet are known."""
    from netharn.analytic.receptive_field_for import ReceptiveFieldFor

    network = torch_networks.made(row["model"]).eval()
    field = ReceptiveFieldFor(cut(network, path_of(network, row["layer"])))()
    number = 1 if row["axis"] == "x" else 0
    return {
        "size": float(field["shape"][number]),
        "stride": float(field["stride"][number]),
        "centre": float(field["crop"][number]),
    }


TOOLS = {
    "receptive_field": ask_receptive_field,
    "torchscan==0.1.2": ask_torchscan,
    "torchscan==0.2.0": ask_torchscan_report,
    "receptivefield==0.5.0": ask_receptivefield,
    "rfa-toolbox==1.7.0": ask_rfa_toolbox,
    "rf-calc==0.0.7": ask_rf_calc,
    "netharn==0.6.2": ask_netharn,
}


def reason(error: BaseException) -> str:
    """An error in one line."""
    first = (str(error).strip() or "no message").splitlines()[0]
    kind = "" if isinstance(error, NoAnswerError) else f"{type(error).__name__}: "
    return f"{kind}{first}"[:160]


def main(tool: str, numbers: list[int]) -> None:
    """Answers the rows, one line each."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What the tools print is not an answer.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    rows = torch_networks.rows()
    for number in numbers:
        torch.manual_seed(0)
        try:
            answer = TOOLS[tool](rows[number])
        except Exception as error:  # Whatever a tool raises is its answer.
            answer = {"error": reason(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], [int(number) for number in sys.argv[2:]])
