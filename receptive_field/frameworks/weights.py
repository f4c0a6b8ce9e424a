"""The scales of the random weights that a network is run with in an experiment."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from receptive_field.graph.graph import Graph, Tensor
from receptive_field.rules.op import Call, Shape, rule_of


class Between(Protocol):
    """The part of a `Network` that is needed to run it."""

    graph: Graph
    input: Tensor
    order: list[int]
    carries: bytearray
    known: Any

    def shape(self, tensor: Tensor) -> Shape:
        """Returns the shape of a tensor, or None if its rank is unknown."""


def leaf_scales(
    network: Between, scale_of: Callable[[Call, int], float | None]
) -> dict[int, float | None]:
    """Returns the scale of each node without inputs whose value reaches the features.

    Nodes that depend on the network's input are left out.

    Args:
      network: the network.
      scale_of: a function that returns the scale of weights that reach the features
        through an input of a call; see `scale_of_weights`.
    """
    nodes = network.graph.nodes
    found: dict[int, float | None] = {}
    visited: set[tuple[Tensor, float | None]] = set()
    for index in network.order:
        call = Call(nodes[index], network.known)
        for number, tensor in enumerate(nodes[index].inputs):
            if network.carries[tensor[0]]:
                continue
            scale, stack = scale_of(call, number), [tensor]
            while stack:
                current = stack.pop()
                # A shape is read from features, but says nothing of their values.
                if network.carries[current[0]] or (current, scale) in visited:
                    continue
                visited.add((current, scale))
                stack += nodes[current[0]].inputs
                if not nodes[current[0]].inputs:
                    before = found.get(current[0], scale)
                    found[current[0]] = min(before, scale, key=_weight_of_part)
    return found


def _weight_of_part(scale: float | None) -> float:
    """Returns a sort key for scales. A weight with several scales gets the first one.

    Kernels come before factors. Factors come before offsets, because a mean is scaled
    before it is subtracted.
    """
    return math.inf if scale is None else scale or 2.0


def scale_of_weights(call: Call, is_sum: bool = False) -> float | None:
    """Returns the scale of a weight that reaches the features through a call.

    The weights of a kernel sum to about one. Weights that are added to the features are
    zero, and factors are about one. The scale is None if the op does none of these.

    Args:
      call: the call of an op.
      is_sum: whether the op adds its inputs.
    """
    op = rule_of(call.node)
    if op is not None and op.products is not None:
        count = op.products(call)
        return 1 / count if isinstance(count, int) and count else 1.0
    if is_sum:
        return 0.0
    return 1.0 if op is not None and op.is_pointwise else None
