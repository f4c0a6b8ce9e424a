"""Copies of a model in which some nodes are changed, and others added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import Model


def with_rules(model: Model, stated: Mapping[int, Any]) -> Model:
    """Returns a copy of a model in which some nodes have other rules.

    Args:
      model: the model, which stays as it is.
      stated: node index -> the rules of the node, an `Op`.
    """
    model = replace(model, graph=model.graph.copy())
    for index, op in stated.items():
        model.graph.nodes[index].stated = op
    return model


def with_node_after(model: Model, tensor: Tensor, op: Any) -> tuple[Model, str]:
    """Returns a copy of a model with one more node, and the name of that node.

    Everything that read the tensor reads the new node instead.

    Args:
      model: the model, which stays as it is.
      tensor: the tensor that the new node reads.
      op: the rules of the new node, an `Op`.
    """
    graph = model.graph.copy()
    below = graph.nodes[tensor[0]]
    name = f"{graph.name_of(tensor).replace(':', '_')}/added"
    while name in graph.index_of:
        name += "_"
    count = len(graph)
    owner = graph.index_of.get(below.name)
    made = graph.append(below.definition, below.frame)
    below.frame.names[below.definition.name] = below.index
    if owner is not None:
        graph.index_of[below.name] = owner
    made.name, made.op, made.stated = name, "added", op
    graph.index_of[name] = made.index
    made.read([tensor])
    moved = (made.index, 0)

    def named(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: moved if t == tensor else t for key, t in tensors.items()}

    for index in range(count):
        inputs = graph.inputs[index]
        if tensor in inputs:
            read = (moved if t == tensor else t for t in inputs)
            graph.nodes[index].read(read)
    return replace(
        model,
        graph=graph,
        outputs=named(model.outputs),
        layers=named(model.layers),
        operations=named(model.operations),
    ), name
