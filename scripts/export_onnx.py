"""Writes the networks of `tests/data/onnx`: exported by PyTorch, without their weights.

  python -m venv VENV
  VENV/bin/pip install torch==2.14.1 torchvision==0.29.1 \\
      onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
  VENV/bin/pip install --no-deps timm==1.0.31
  VENV/bin/pip install huggingface_hub==2.4.0 safetensors==0.8.0 pyyaml==6.0.4
  VENV/bin/python scripts/export_onnx.py [NAME ...] [--check] [--folder FOLDER]

Without names, it writes all networks (a quarter of an hour). Nothing is downloaded, and
the weights are random. With `--check` it writes nothing: it says which files differ
from what it would write, and gives the files that are there their weights back.
`onnx.checker` has to accept them, and ONNX Runtime has to compute the same numbers as
PyTorch, in every layer that `layers.csv` names.

The README of the folder says what is left out of the files, and what `layers.csv` is.
"""

from __future__ import annotations

import argparse
import ast
import csv
import io
import logging
import lzma
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch_networks import NETWORKS, Network

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "data" / "onnx"
TRUTHS = ("torch_truth.csv", "measured.csv")
LAYERS = "layers.csv"
HEAD = ("file", "layer", "value")
ENDING = ".onnx.xz"
KEPT = ("namespace", "pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy")
"""What stays of the notes that the exporter attaches to nodes."""

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
FEW = 8
"""So many numbers can be the scales of an op rather than weights."""


# --- Export and strip ----------------------------------------------------------------


def export(network: Network, module: nn.Module) -> onnx.ModelProto:
    """Return the network as PyTorch writes it."""
    inputs = (network.input(),)
    if not network.script:
        shapes = (dict(network.dynamic),) if network.dynamic else None
        program = torch.onnx.export(
            module, inputs, dynamo=True, dynamic_shapes=shapes, verbose=False
        )
        return program.model_proto
    named: dict[str, Any] = {}
    if network.dynamic:
        named["input_names"] = ["image"]
        named["dynamic_axes"] = {"image": dict(network.dynamic)}
    file = io.BytesIO()
    torch.onnx.export(
        module, inputs, file, dynamo=False, opset_version=network.script, **named
    )
    return onnx.load_model_from_string(file.getvalue())


def _is_weight(tensor: TensorProto) -> bool:
    many = np.prod(tensor.dims) > FEW
    return tensor.data_type in FLOATS and (many or len(tensor.dims) > 1)


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without the data of weights, and without notes of this machine."""
    stripped = onnx.ModelProto()
    stripped.CopyFrom(model)
    graph = stripped.graph
    del graph.metadata_props[:]
    for item in (*graph.node, *graph.initializer, *graph.value_info):
        kept = [note for note in item.metadata_props if note.key in KEPT]
        item.ClearField("metadata_props")
        item.metadata_props.extend(kept)
    for item in (*graph.node, *graph.initializer, *graph.value_info, graph, stripped):
        item.ClearField("doc_string")
    offset = 0
    for tensor in graph.initializer:
        if not _is_weight(tensor):
            continue
        length = onnx.numpy_helper.to_array(tensor).nbytes
        bare = TensorProto(
            name=tensor.name,
            dims=tensor.dims,
            data_type=tensor.data_type,
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (
            ("location", "weights.bin"),
            ("offset", offset),
            ("length", length),
        ):
            bare.external_data.add(key=key, value=str(value))
        tensor.CopyFrom(bare)
        offset += length
    return stripped


def fill(stripped: onnx.ModelProto, model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a stripped network with the weights of the whole one."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    filled = onnx.ModelProto()
    filled.CopyFrom(stripped)
    for tensor in filled.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            weight = weights[tensor.name]
            if (tensor.dims, tensor.data_type) != (weight.dims, weight.data_type):
                raise ValueError(f"{tensor.name} has another shape or type")
            tensor.CopyFrom(weight)
    return filled


# --- Layers --------------------------------------------------------------------------


def wanted(network: Network, folder: Path) -> list[str]:
    """Return the layers of a network of which the tables tell the truth."""
    found: dict[str, None] = {}
    for name in TRUTHS:
        if (folder / name).exists():
            with (folder / name).open(newline="") as file:
                for row in csv.DictReader(file):
                    if row["model"] == network.truth:
                        found[row["layer"]] = None
    return list(found)


def first(result: Any) -> Tensor:
    """Return the first tensor of what a module returns."""
    while not isinstance(result, Tensor):
        result = next(iter(result.values() if isinstance(result, dict) else result))
    return result


def arrays(module: nn.Module, image: Tensor, layers: Iterable[str]) -> Any:
    """Return what PyTorch computes in the layers."""
    found: dict[str, np.ndarray] = {}
    hooks = []
    for layer in layers:
        if layer[0] not in "#@":

            def keep(_: Any, __: Any, result: Any, layer: str = layer) -> None:
                found[layer] = first(result).detach().clone().numpy()

            hooks.append(module.get_submodule(layer).register_forward_hook(keep))
    with torch.no_grad():
        result = module(image)
    for hook in hooks:
        hook.remove()
    for layer in layers:
        if layer[0] == "#":
            found[layer] = result[int(layer[1:])].numpy()
        elif layer[0] == "@":
            found[layer] = first(result).numpy()
    return found


def scopes(node: onnx.NodeProto) -> set[str]:
    """Return the paths of the modules that a node is in."""
    for note in node.metadata_props:
        if note.key == "pkg.torch.onnx.name_scopes":
            return set(ast.literal_eval(note.value)[:-1])
    # TorchScript: `/features/features.0/Conv` is in `features` and in `features.0`. A
    # module in a container has the container's last name before its own.
    path: list[str] = []
    found = set()
    for part in node.name.strip("/").split("/")[:-1]:
        names = part.split(".")
        while path and len(names) > 1 and names[0] == path[-1]:
            names = names[1:]
        path += names
        found.add(".".join(path))
    return found


def run(model: onnx.ModelProto, image: Tensor, values: Iterable[str]) -> Any:
    """Return what ONNX Runtime computes for values of a network."""
    told = onnx.ModelProto()
    told.CopyFrom(model)
    outputs = {output.name for output in told.graph.output}
    names = list(dict.fromkeys(values))
    told.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in outputs
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        told.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    data = {session.get_inputs()[0].name: image.numpy()}
    return dict(zip(names, session.run(names, data), strict=True))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two frameworks computed the same numbers."""
    if one.shape != other.shape:
        return False
    scale = np.abs(one).max()
    return bool(scale > 0 and np.abs(one - other).max() <= 1e-3 * scale)


def find_layers(
    network: Network, module: nn.Module, model: onnx.ModelProto, layers: list[str]
) -> dict[str, str]:
    """Return the value that each layer returns.

    It is the last one in the layer's scope that has the numbers of the layer's (first)
    result. Layers that are written `#i` or `@forward` are outputs.
    """
    image = network.input()
    truth = arrays(module, image, layers)
    candidates: dict[str, list[str]] = {}
    for layer in layers:
        if layer[0] in "#@":
            index = int(layer[1:]) if layer[0] == "#" else 0
            candidates[layer] = [model.graph.output[index].name]
        else:
            candidates[layer] = [
                node.output[0]
                for node in model.graph.node
                if layer in scopes(node) and node.output[0]
            ]
    computed = run(model, image, (x for names in candidates.values() for x in names))
    found = {}
    for layer, names in candidates.items():
        matching = [name for name in names if same(truth[layer], computed[name])]
        if not matching:
            raise ValueError(f"no value of {layer} among {len(names)}")
        found[layer] = matching[-1]
    return found


# --- Files ---------------------------------------------------------------------------


def make(name: str, folder: Path) -> tuple[bytes, dict[str, str], onnx.ModelProto]:
    """Return a stripped network, the values of its layers, and the whole network."""
    network = NETWORKS[name]
    module = network.module()
    model = export(network, module)
    stripped = strip(model)
    data = stripped.SerializeToString(deterministic=True)
    for word in (sys.prefix, str(ROOT), "site-packages"):
        if word.encode() in data:
            raise ValueError(f"{name} contains {word}")
    filled = fill(stripped, model)
    layers = find_layers(network, module, filled, wanted(network, folder))
    return data, layers, model


def read_layers(folder: Path) -> dict[str, dict[str, str]]:
    """Return the values of the layers of all files."""
    found: dict[str, dict[str, str]] = {}
    if (folder / LAYERS).exists():
        with (folder / LAYERS).open(newline="") as file:
            for row in csv.DictReader(file):
                name = row["file"].removesuffix(ENDING)
                found.setdefault(name, {})[row["layer"]] = row["value"]
    return found


def write_layers(folder: Path, layers: dict[str, dict[str, str]]) -> None:
    """Write the values of the layers of all files."""
    with (folder / LAYERS).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        for name in NETWORKS:
            for layer, value in layers.get(name, {}).items():
                writer.writerow((name + ENDING, layer, value))


def write(names: Iterable[str], folder: Path) -> None:
    """Write networks and the values of their layers."""
    for name in names:
        data, layers, _ = make(name, folder)
        packed = lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
        (folder / (name + ENDING)).write_bytes(packed)
        write_layers(folder, read_layers(folder) | {name: layers})
        print(f"{name}: {len(data)} bytes, {len(packed)} packed", flush=True)


def check(names: Iterable[str], folder: Path) -> Iterator[str]:
    """Yield what differs between the files and what would be written."""
    written = read_layers(folder)
    for name in names:
        network = NETWORKS[name]
        data, layers, model = make(name, folder)
        path = folder / (name + ENDING)
        if not path.exists():
            yield f"{name}: there is no file"
            continue
        there = lzma.decompress(path.read_bytes())
        if there != data:
            yield f"{name}: the file differs"
        if written.get(name, {}) != layers:
            yield f"{name}: its layers differ"
        filled = fill(onnx.load_model_from_string(there), model)
        onnx.checker.check_model(filled.SerializeToString(), full_check=True)
        outputs = [output.name for output in filled.graph.output]
        computed = run(filled, network.input(), outputs)
        whole = run(model, network.input(), outputs)
        if not all(same(whole[output], computed[output]) for output in outputs):
            yield f"{name}: the outputs differ"
        print(f"{name}: checked", flush=True)


def main() -> int:
    """Write or check the networks that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    names = options.names or list(NETWORKS)
    if unknown := set(names) - set(NETWORKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    if not options.check:
        write(names, options.folder)
        return 0
    wrong = 0
    for line in check(names, options.folder):
        print(line, flush=True)
        wrong += 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
