"""Rules that a caller states for a node, a scope or a layer of one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from receptive_field.errors import NodeNotFoundError, ReceptiveFieldError, nearest
from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.graph.model import Model
from receptive_field.rules.op import Call, Shape, rule_of
from receptive_field.rules.stated import Rule, op_of


def with_overrides(model: Model, overrides: Mapping[Any, Rule] | None) -> Model:
    """Returns a copy of the model in which the stated rules replace those of the graph.

    A rule for a node replaces the node's own rule. A rule for a layer or a scope is
    given to the outputs of the layer or scope, which then read its inputs directly. If
    there are no overrides, the model itself is returned.

    Raises:
      ReceptiveFieldError: if a rule is invalid, a name is not found, or a layer returns
        its own input.
    """
    if overrides is not None and not isinstance(overrides, Mapping):
        raise ReceptiveFieldError(
            "overrides must be a dictionary {node, scope or layer: rule}, not "
            f"{overrides!r}."
        )
    if not overrides:
        return model
    model = replace(model, graph=model.graph.copy())
    for thing, rule in overrides.items():
        op = op_of(rule)
        name = thing if isinstance(thing, str) else model.name_of(thing)
        if name is None:
            raise ReceptiveFieldError(
                "the keys of overrides must be names, layers or tensors, not "
                f"{thing!r}."
            )
        if name in model.layers:
            output, inputs = model.layers[name], model.layer_inputs.get(name, ())
            if output in inputs:
                raise ReceptiveFieldError(
                    f"the layer {name!r} returns its input unchanged, so it has no "
                    "node whose rule could be replaced."
                )
            _replace(model.graph, output[0], op, inputs)
        elif name in model.graph.index_of:
            index = model.graph.index_of[name]
            _replace(model.graph, index, op, model.graph.nodes[index].inputs)
        else:
            _replace_scope(model, name, op)
    return model


def _replace_scope(model: Model, name: str, op: Any) -> None:
    graph = model.graph
    inside = {n.index for n in graph if n.name.startswith(f"{name}/")}
    if not inside:
        known = [*model.layers, *graph.index_of]
        raise NodeNotFoundError(
            f"there is no node, scope or layer {name!r} to override. "
            + nearest(name, known)
        )
    read = (t for n in graph if n.index not in inside for t in n.inputs)
    asked = (*model.outputs.values(), *model.layers.values())
    outputs = {tensor[0] for tensor in (*read, *asked)} & inside
    inputs: dict[Tensor, None] = {}
    for index in sorted(inside):
        inputs.update(
            {t: None for t in graph.nodes[index].inputs if t[0] not in inside}
        )
    outputs = outputs or {max(inside)}
    for index in outputs:
        _replace(graph, index, op, tuple(inputs))
    for index in inside - outputs:
        _cut(graph.nodes[index])


def _cut(node: Node) -> None:
    """Gives a node a rule that makes it independent of its inputs."""
    op = rule_of(node) or op_of(None)
    node.stated = op._replace(relations=None)


def _replace(graph: Graph, index: int, op: Any, inputs: Sequence[Tensor]) -> None:
    """Gives a node a new rule and new inputs, but keeps its shapes if they are known.

    The shapes come from a copy of the node, which still has the old inputs and the old
    rule for shapes. If they are unknown, the new rule computes them.
    """
    node = graph.nodes[index]
    before = graph.append(node.definition, node.frame)
    before.op = node.op
    before.read(node.inputs)
    _cut(before)
    node.frame.names[node.definition.name] = index
    node.read(inputs)

    def shapes(call: Call) -> Sequence[Shape]:
        known = call.knowledge.shape((before.index, 0))
        if known is not None:
            count = call.knowledge.output_count(before.index) or 1
            return [call.knowledge.shape((before.index, k)) for k in range(count)]
        found: Sequence[Shape] = [None] if op.shapes is None else op.shapes(call)
        return found

    node.stated = op._replace(shapes=shapes, values=None)
