"""The layers of a Keras model in a SavedModel, found by the scopes of their nodes.

A SavedModel has no list of layers. But a layer runs its ops in a scope that has its
name, and the names of its variables begin with its own name, too. So a scope whose ops
read such a variable is a layer, and the scopes beside it are the other layers of the
same model, which need no variables.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.graph.model import unique_name

NUMBER = re.compile(r"_\d+$")
"""What TensorFlow appends to a scope that is entered again."""


class SavedLayers(NamedTuple):
    """The layers of a model, by their names."""

    outputs: Mapping[str, Tensor]
    inputs: Mapping[str, Sequence[Tensor]]
    ops: Mapping[str, str]


def saved_layers(graph: Graph, outputs: Iterable[Tensor]) -> SavedLayers:
    """Returns the layers that the outputs depend on.

    A layer that is called again has a number after its name, as in a Keras model. If
    all its calls are in one scope, or if it returns several tensors, it is left out.
    The op of a layer is that of the first node which reads the layer's input.
    """
    nodes = list(_upstream(graph, [index for index, _ in outputs]))
    read = [(*owned, variable) for node in nodes for owned, variable in _owners(node)]
    owners = {scope: name for scope, name, _ in read}
    repeated = {scope for (scope, *_), count in Counter(read).items() if count > 1}
    models = {scope.rpartition("/")[0] for scope in owners}
    returned: dict[str, set[Tensor]] = {}
    given: dict[str, list[tuple[Node, Tensor]]] = {}
    for node in nodes:
        inside = _scopes(node, models)
        returned |= {scope: set() for scope in inside if scope not in returned}
        for tensor in node.inputs:
            source = graph.nodes[tensor[0]]
            below = _scopes(source, models)
            for scope in below - inside:
                returned[scope].add(tensor)
            if source.op not in ("VarHandleOp", "Const"):
                for scope in inside - below:
                    given.setdefault(scope, []).append((node, tensor))
    for tensor in outputs:
        for scope in _scopes(graph.nodes[tensor[0]], models):
            returned[scope].add(tensor)
    layers: dict[str, Tensor] = {}
    inputs: dict[str, list[Tensor]] = {}
    ops: dict[str, str] = {}
    for scope, tensors in returned.items():
        if scope not in repeated and len(tensors) == 1:
            name = unique_name(owners.get(scope) or _named(scope, owners), layers)
            (layers[name],) = tensors
            inputs[name] = [tensor for _, tensor in given.get(scope, ())]
            if scope in given and scope not in models:
                ops[name] = given[scope][0][0].op
    return SavedLayers(layers, inputs, ops)


def _scopes(node: Node, models: Collection[str]) -> set[str]:
    """Returns the scopes of a node that are the layers of models."""
    parts = node.name.split("/")
    paths = ["/".join(parts[:end]) for end in range(len(parts))]
    return {path for model, path in pairwise(paths) if model in models}


def _upstream(graph: Graph, ends: Iterable[int]) -> Iterator[Node]:
    """Yields the nodes that some nodes depend on, in the order of the graph."""
    waiting, seen = list(ends), set()
    while waiting:
        index = waiting.pop()
        if index not in seen:
            seen.add(index)
            waiting += [index for index, _ in graph.nodes[index].inputs]
    for index in sorted(seen):
        yield graph.nodes[index]


def _owners(node: Node) -> Iterator[tuple[tuple[str, str], str]]:
    """Yields the scope of the layer whose variable a node reads, the layer's name, and
    the variable's name."""
    for index, _ in node.inputs:
        variable = node.graph.nodes[index]
        if variable.op != "VarHandleOp":
            continue
        _, _, owner = variable.name.rpartition("/")[0].rpartition("/")
        parts = node.name.split("/")[:-1]
        for end in range(len(parts), 0, -1):
            if owner and owner in (parts[end - 1], NUMBER.sub("", parts[end - 1])):
                yield ("/".join(parts[:end]), owner), variable.name
                break


def _named(scope: str, owners: dict[str, str]) -> str:
    """Returns the name of a layer without variables.

    If the scopes of all layers beside it have a number, its own has one, too.
    """
    model, _, last = scope.rpartition("/")
    beside = [s for s in owners if s.rpartition("/")[0] == model]
    numbered = all(not s.endswith(owners[s]) for s in beside)
    return NUMBER.sub("", last) if numbered else last
