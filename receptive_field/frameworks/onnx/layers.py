"""Finds the layers of a model: the calls of modules that PyTorch's exporters record.

The exporter of today writes the path of modules around each node into the metadata of
the node (`pkg.torch.onnx.name_scopes`), and the classes of these modules. The exporter
of earlier versions wrote the path into the name of the node, as in
``/layer1/layer1.0/conv1/Conv``. Nodes are in the order in which they ran, so a run of
nodes inside a module is one call of it.

The exporter folds a batch normalisation into the convolution before it, and says that
the resulting node belongs to the normalisation. The name of its kernel, as in
``layer1.0.conv1.weight``, then says which convolution it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from receptive_field.frameworks.module_calls import Edges, Layers
from receptive_field.frameworks.onnx.definitions import ABSENT_INPUT, INITIALIZER
from receptive_field.graph.graph import Graph
from receptive_field.graph.model import unique_name

_SCOPES = "pkg.torch.onnx.name_scopes"
_CLASSES = "pkg.torch.onnx.class_hierarchy"
_NO_MODULE = "_empty_nn_module_stack_from_metadata_hook"
"""The path that the exporter records for nodes of no module."""

CONSTANTS = (ABSENT_INPUT, INITIALIZER, "Constant")


class _Call(NamedTuple):
    path: str
    kind: str
    nodes: list[int]
    folded: list[int]
    """Nodes that the exporter says belong to the call, but that a convolution before
    it has absorbed: the call returns their output unchanged."""


def layers_of(graph: Graph, nodes: Sequence[Any]) -> Layers:
    """Returns the layers of a graph that was made of these NodeProtos."""
    found = Layers({}, {}, {})
    edges = Edges(
        graph, CONSTANTS, lambda index: len(graph.nodes[index].definition.outputs)
    )
    for call in _calls(graph, nodes):
        if not call.nodes:
            name = unique_name(call.path, found.tensors)
            found.tensors[name] = call.folded[-1], 0
            found.inputs[name] = [found.tensors[name]]
            found.kinds[name] = call.kind
            continue
        returned = edges.returned(call.nodes)
        if not returned:
            continue
        name = unique_name(call.path, found.tensors)
        found.tensors[name] = returned[-1]
        found.inputs[name] = edges.read(call.nodes)
        if call.kind:
            found.kinds[name] = call.kind
    return found


def _calls(graph: Graph, nodes: Sequence[Any]) -> Iterator[_Call]:
    """Yields the calls of modules, each after the calls inside it."""
    opened: list[_Call] = []
    for node in nodes:
        scopes = _scopes(node)
        names = [output for output in node.output if output]
        if scopes is None or not names:
            continue
        paths = [path for path, _ in scopes]
        while opened and opened[-1].path not in paths:
            yield opened.pop()
        for path, kind in scopes[len(opened) :]:
            opened.append(_Call(path, kind, [], []))
        index, _ = graph.tensor(names[0])
        folded = _folded(node, paths)
        if folded:
            dimensions = opened[-1].kind[-2:]  # Of BatchNorm2d.
            yield _Call(folded, node.op_type + dimensions, [index], [])
            opened[-1].folded.append(index)
        for call in opened[:-1] if folded else opened:
            call.nodes.append(index)
    while opened:
        yield opened.pop()


def _folded(node: Any, paths: Sequence[str]) -> str | None:
    """Returns the path of the convolution that a node of another layer was, if any."""
    if node.op_type not in ("Conv", "ConvTranspose"):
        return None
    for name in node.input:
        path, dot, kind = name.rpartition(".")
        beside = paths and path.rpartition(".")[0] == paths[-1].rpartition(".")[0]
        if dot and kind == "weight" and path not in paths and beside:
            return str(path)
    return None


def _listed(text: str) -> list[str]:
    """Returns the strings of a list that Python has written."""
    return [one or two for one, two in _STRING.findall(text)]


_STRING = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def _scopes(node: Any) -> list[tuple[str, str]] | None:
    """Returns the paths and classes of the modules around a node, outermost first.

    Returns None for a node without modules.
    """
    metadata = {entry.key: entry.value for entry in node.metadata_props}
    if _SCOPES in metadata:
        paths = _listed(metadata[_SCOPES])
        classes = _listed(metadata.get(_CLASSES, ""))
        # The first path is that of the model; the last is the node itself.
        classes = [*classes, *[""] * len(paths)]
        return [
            (path, classes[place].rpartition(".")[2])
            for place, path in enumerate(paths[:-1])
            if path and path != _NO_MODULE
        ]
    parts = node.name.split("/")
    if len(parts) < 3 or parts[0]:
        return None
    found: list[tuple[str, str]] = []
    path, before = "", ""
    for part in parts[1:-1]:
        if before and part.startswith(f"{before}."):
            path += part.removeprefix(before)
        else:
            path = f"{path}.{part}" if path else part
        before = part
        found.append((path, ""))
    return found
