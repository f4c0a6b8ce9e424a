"""The random weights that a program is run with in an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receptive_field.frameworks.torch.definitions import BUFFER, PARAMETER, Read
from receptive_field.frameworks.weights import Between, leaf_scales, scale_of_weights
from receptive_field.rules.op import Call

ADDING = frozenset({"add", "rsub", "sub", "add_", "sub_", "operator.add"})
"""Ops that add their inputs."""

OFFSETS = frozenset({"bias", "running_mean"})
"""Arguments that are added to products or features."""

ADDED = frozenset({"addbmm", "addmm", "addmv", "addr", "baddbmm"})
"""Products of matrices to which the first argument is added."""

FACTORS = frozenset({"running_var"})
"""Arguments by which features are multiplied or divided."""


def weight_scale(call: Call, number: int) -> float | None:
    """Returns the scale of a weight that reaches the features through an input."""
    op, name = call.node.op, _argument(call, number)
    if name in OFFSETS or (op in ADDED and name == "self"):
        return 0.0
    if name in FACTORS or (name == "weight" and "norm" in op):
        return 1.0
    shape = call.shape(number) if number >= 0 else None
    if name == "params" and shape is not None and len(shape) == 1:
        return 0.0  # The offsets of a recurrent layer are among its weights.
    return scale_of_weights(call, op in ADDING)


def _argument(call: Call, number: int) -> str:
    """Returns the name of the argument that reads an input."""
    for name, argument in call.node.definition.arguments.items():
        parts = argument if isinstance(argument, list) else [argument]
        if any(isinstance(part, Read) and part.number == number for part in parts):
            return str(name)
    return ""


def network_scales(network: Between) -> Mapping[str, float | None]:
    """Returns the scale of each weight that reaches the features, by program name."""
    nodes = network.graph.nodes
    found: dict[str, Any] = {}
    for index, scale in leaf_scales(network, weight_scale).items():
        definition = nodes[index].definition
        if definition.op in (PARAMETER, BUFFER):
            found[definition.values[0]] = scale
    return found
