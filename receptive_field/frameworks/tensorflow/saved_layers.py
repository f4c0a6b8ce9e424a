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
from receptive_field.rules.op import rule_of

NUMBER = re.compile(r"_\d+$")
"""What TensorFlow appends to a scope that is entered again."""

MOVING = ("Resize", "Pad", "MirrorPad", "StridedSlice")
"""The beginnings of op types without windows that move positions."""


class SavedLayers(NamedTuple):
    """The layers of a model, by their names."""

    outputs: Mapping[str, Tensor]
    inputs: Mapping[str, Sequence[Tensor]]
    ops: Mapping[str, str]


def saved_layers(graph: Graph, outputs: Iterable[Tensor]) -> SavedLayers:
    """Returns the layers that the outputs depend on.

    A SavedModel does not tell in which order a model calls its layers. So layers that
    are called again, and layers of one name in several models, are left out. So are
    models with such layers, and layers that return several tensors. The op of a layer
    is that of its first node with weights or, if it has none, of the first node which
    reads the layer's input.
    """
    nodes = list(_upstream(graph, [index for index, _ in outputs]))
    read = [(*owned, variable) for node in nodes for owned, variable in _owners(node)]
    owners = {scope: name for scope, name, _ in read}
    repeated = {scope for (scope, *_), count in Counter(read).items() if count > 1}
    models = {scope.rpartition("/")[0] for scope in owners}
    kinds: dict[str, str] = {}
    returned: dict[str, set[Tensor]] = {}
    given: dict[str, list[tuple[Node, Tensor]]] = {}
    for node in nodes:
        inside = _scopes(node, models)
        returned |= {scope: set() for scope in inside if scope not in returned}
        for scope in inside:
            kind = _kind(scope, node)
            if kind is not None:
                kinds.setdefault(scope, kind)
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
    names = {scope: owners.get(scope) or _named(scope, owners) for scope in returned}
    counts = Counter(names.values())
    repeated |= {scope for scope, name in names.items() if counts[name] > 1}
    repeated |= _windowed_again(nodes, names.keys() - owners.keys() - models)
    layers: dict[str, Tensor] = {}
    inputs: dict[str, list[Tensor]] = {}
    ops: dict[str, str] = {}
    for scope, tensors in returned.items():
        name = names[scope]
        whole = not any(f"{other}/".startswith(f"{scope}/") for other in repeated)
        if name is not None and whole and len(tensors) == 1:
            (layers[name],) = tensors
            inputs[name] = [tensor for _, tensor in given.get(scope, ())]
            if scope in given and scope not in models:
                ops[name] = kinds.get(scope, given[scope][0][0].op)
    return SavedLayers(layers, inputs, ops)


def _kind(scope: str, node: Node) -> str | None:
    """Returns what a layer computes, if a node in its scope tells."""
    if node.name.startswith(f"{scope}/batchnorm/"):  # By tf.nn.batch_normalization.
        return "BatchNormalization"
    op = rule_of(node)
    return node.op if op is not None and op.products is not None else None


def _windowed_again(nodes: Iterable[Node], scopes: Collection[str]) -> set[str]:
    """Returns the scopes that run a window or a resize more than once.

    If a layer without variables reads what it has computed itself, both calls are in
    one scope.
    """
    seen: set[tuple[str, str]] = set()
    found = set()
    for node in nodes:
        op = rule_of(node)
        if (op is not None and op.windows) or node.op.startswith(MOVING):
            parts = node.name.split("/")
            paths = {"/".join(parts[:end]) for end in range(len(parts))}
            for scope in paths.intersection(scopes):
                if (scope, node.op) in seen:
                    found.add(scope)
                seen.add((scope, node.op))
    return found


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


def _named(scope: str, owners: dict[str, str]) -> str | None:
    """Returns the name of a layer without variables, if it can be told.

    The scopes of all layers beside it have a number, or none of them has.
    """
    model, _, last = scope.rpartition("/")
    beside = [s for s in owners if s.rpartition("/")[0] == model]
    exact = {s.endswith(f"/{owners[s]}") for s in beside}
    if exact == {True}:
        return last
    return NUMBER.sub("", last) if exact == {False} and NUMBER.search(last) else None
