"""Finds the tensors that could be the input and the output of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from receptive_field.errors import NodeNotFoundError
from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.graph.model import Model
from receptive_field.network.network import find_network
from receptive_field.network.walk import tensors_read
from receptive_field.rules.inference import Inference
from receptive_field.rules.op import rule_of


def only_of_model(named: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Returns the only input or output that a model states, or an empty dict.

    Raises:
      NodeNotFoundError: if the model states several.
    """
    if len(named) > 1:
        raise NodeNotFoundError(
            f"the model has {len(named)} {what}s: {', '.join(map(repr, named))}. "
            f"Choose one with {what}=."
        )
    return dict(named)


def candidates(model: Model) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns the possible inputs and outputs of a model, by name.

    These are the inputs and outputs that the model states. If it states no inputs, the
    placeholders that could be images are used. If it states no outputs, the tensors
    that depend on an input and that no node reads are used.
    """
    graph = model.graph
    inputs, outputs = dict(model.inputs), dict(model.outputs)
    if not inputs:
        found = _possible_inputs(graph, (), ())
        inputs = {node.name: (node.index, 0) for node in found}
    if not outputs:
        for start in inputs.values():
            ends = _possible_outputs(graph, start, ())
            outputs |= {graph.nodes[index].name: (index, 0) for index in ends}
    return inputs, outputs


def _possible_inputs(
    graph: Graph, outputs: Sequence[int], stop: Sequence[str]
) -> list[Node]:
    """Returns the placeholders that could be images and on which the outputs depend.

    If no outputs are given, this returns all placeholders that could be images.
    """
    inference = Inference(graph)
    found = []
    for node in graph.framework.placeholders(graph):
        shape = inference.shape((node.index, 0))
        if shape is None or len(shape) > 2:
            network = find_network(inference, (node.index, 0), outputs, stop)
            if network.order or not outputs or node.index in outputs:
                found.append(node)
    return found


def only_input(graph: Graph, outputs: Sequence[int], stop: Sequence[str]) -> Tensor:
    """Returns the only placeholder that could be the input.

    Raises:
      NodeNotFoundError: if there is none, or if there are several.
    """
    found = _possible_inputs(graph, outputs, stop)
    if len(found) != 1:
        names = ", ".join(repr(node.name) for node in found[:10])
        whose = " or ".join(repr(graph.nodes[index].name) for index in outputs)
        raise NodeNotFoundError(
            f"{len(found) or 'no'} placeholders could be the input"
            + (f" of {whose}" if whose else "")
            + (f" ({names}). Choose one" if found else ". Name the input")
            + " with input=."
        )
    return found[0].index, 0


def _possible_outputs(graph: Graph, start: Tensor, stop: Sequence[str]) -> list[int]:
    """Returns the nodes with a rule that depend on the input and that no node reads."""
    network = find_network(Inference(graph), start, range(len(graph)), stop)
    read = {index for index, _ in tensors_read(network)}
    ends = [index for index in network.order if index not in read]
    return [index for index in ends if rule_of(graph.nodes[index])]


def only_output(graph: Graph, start: Tensor, stop: Sequence[str]) -> int:
    """Returns the only node with a rule that depends on the input and is not read.

    Raises:
      NodeNotFoundError: if there is none, or if there are several.
    """
    known = _possible_outputs(graph, start, stop)
    if len(known) != 1:
        names = ", ".join(repr(graph.nodes[index].name) for index in known[:10])
        raise NodeNotFoundError(
            f"{len(known) or 'no'} nodes that depend on {graph.name_of(start)!r} and "
            "that no node reads could be the output"
            + (f" ({names}). Choose one" if known else ". Name the output")
            + " with output=."
        )
    return known[0]
