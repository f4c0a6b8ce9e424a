"""Finds batch normalisation in training mode that consists of separate ops.

Keras 3 and ``tf.nn.moments`` create a ``Mean``, a ``SquaredDifference`` from this mean,
and another ``Mean``. If the reduced axes include the batch, the means are the moments
of the batch, which are constants in inference mode.
"""

from __future__ import annotations

from collections.abc import Iterable

from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.rules.op import Call, Knowledge


def batch_moments(graph: Graph, knowledge: Knowledge, among: Iterable[int]) -> set[int]:
    """Returns the indices of nodes that compute the mean or variance of a batch.

    Nodes that compute variances are found only in `among`. Nodes that compute means are
    found in the whole graph, provided that `among` contains any ``Mean``.
    """
    means = [index for index in among if graph.nodes[index].op == "Mean"]
    if not means:
        return set()
    found: set[int] = set()
    squares: dict[Tensor, Node] = {}
    for node in graph.of_ops("SquaredDifference"):
        mean = _mean_of(graph, node, knowledge)
        if mean is not None:
            found.add(mean.index)
            squares[node.index, 0] = mean
    found.update(i for i in means if graph.nodes[i].inputs[0] in squares)
    return found


def _mean_of(graph: Graph, node: Node, knowledge: Knowledge) -> Node | None:
    """Returns the node of the batch mean that a SquaredDifference node subtracts.

    Returns None if the node does not subtract a batch mean.
    """
    for number in (0, 1):
        mean = graph.nodes[node.inputs[number][0]]
        while mean.op in ("StopGradient", "Identity"):
            mean = graph.nodes[mean.inputs[0][0]]
        if mean.op == "Mean" and mean.inputs[0] == node.inputs[1 - number]:
            call = Call(mean, knowledge)
            shape, axes = call.shape(0), call.integers(1)
            if shape is not None and axes is not None:
                reduced = {int(a) % len(shape) for a in axes if isinstance(a, int)}
                if 0 in reduced and len(reduced) == len(shape) - 1 > 1:
                    return mean
    return None
