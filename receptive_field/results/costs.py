"""Costs: the operations that a network computes, and the parameters that it stores."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from receptive_field.errors import NoSuchEntryError, nearest
from receptive_field.graph.graph import Graph, Tensor, topological_order
from receptive_field.graph.model import Model
from receptive_field.graph.names import meant, only


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a part of a network.

    It is the cost for one batch of the size that the graph states, or for one example
    if the batch size is unknown.

    Attributes:
      flops: floating-point operations. A multiply-add counts as two.
      macs: the number of multiply-adds (multiply-accumulates).
      profiler_flops: the operations that TensorFlow's profiler counts. The profiler
        leaves out some ops.
      parameters: the number of trained values that the part reads, each counted once.
        In a graph without variables, such as a frozen graph, every element of a
        floating-point or quantised constant with at least one axis is counted. This is
        an upper bound, because some constants may not have been trained.
    """

    flops: int = 0
    macs: int = 0
    profiler_flops: int = 0
    parameters: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.macs + other.macs,
            self.profiler_flops + other.profiler_flops,
            self.parameters + other.parameters,
        )

    def in_a_loop(self, rounds: int) -> Cost:
        """Returns the cost of ``rounds`` iterations of a loop.

        TensorFlow's profiler does not count the operations in a loop.
        """
        return Cost(self.flops * rounds, self.macs * rounds, 0, self.parameters)


FREE = Cost()


_PARTS = [attrgetter(part.name) for part in fields(Cost)]


@dataclass(frozen=True, slots=True)
class Costs(Mapping[str, Cost]):
    """Maps the name of each layer (Keras model) or node (graph) to its cost.

    Names are in topological order. A part of a name that no other name has is looked up
    as well, in any case. The cost of a layer covers the nodes between the
    tensors that are passed to it and the tensor that it returns, without those of the
    layers inside it. What lies between layers counts at the first layer that needs it.
    The parameters of a layer that is
    called twice are counted at the first call.

    Attributes:
      total: the cost of the whole model: all its layers and everything computed after
        the last layer.
      unprofiled: op type -> the floating-point operations that the profiler leaves out,
        because it has no formula for them.
      uncounted: the name of each node whose operations are not counted, and of each
        loop of which only one iteration is -> the reason. If there are any, ``total``,
        and the cost of each layer with such a node or loop, are lower bounds.
    """

    _costs: Mapping[str, Cost] = field(repr=False)
    _model: Model = field(repr=False)
    _by_node: Mapping[int, Cost] = field(repr=False)
    total: Cost
    unprofiled: Mapping[str, int] = field(default_factory=dict)
    uncounted: Mapping[str, str] = field(default_factory=dict)
    _partial: Collection[str] = field(default=(), repr=False)
    """The layers or nodes with operations that are not counted."""

    @property
    def is_complete(self) -> bool:
        """Whether all nodes are counted. If not, ``total`` is a lower bound."""
        return not self.uncounted

    def flops(self, name: str) -> int | None:
        """Returns the operations of a layer or node, or None if some are unknown."""
        cost = self[name]
        return None if name in self._partial else cost.flops

    def __getitem__(self, name: str) -> Cost:
        found = meant(str(name), self._costs)
        if not found:
            raise NoSuchEntryError(
                f"there is no cost for {name!r}. {nearest(str(name), self._costs)}"
            )
        return self._costs[only(name, found, error=NoSuchEntryError)]

    def __contains__(self, name: object) -> bool:
        return name in self._costs

    def __iter__(self) -> Iterator[str]:
        return iter(self._costs)

    def __len__(self) -> int:
        return len(self._costs)

    def up_to(self, output: Any) -> Cost:
        """Returns the cost of everything that a tensor is computed from.

        The tensor is given by its name, or as a layer.

        Raises:
          ReceptiveFieldError: if there is no such tensor or layer.
        """
        _, tensor = self._model.find(output)
        graph = self._model.graph
        order, _ = topological_order(graph, [tensor[0]])
        (cost,) = totals(graph, order, self._by_node, [tensor])
        return cost


def totals(
    graph: Graph,
    order: Sequence[int],
    by_node: Mapping[int, Cost],
    outputs: Sequence[Tensor],
) -> list[Cost]:
    """Returns, for each output, the cost of everything that it is computed from.

    Args:
      graph: the graph.
      order: the nodes that the outputs are computed from, in topological order.
      by_node: node index -> cost, for the nodes that compute or store something.
      outputs: the output tensors. Their nodes are in ``order``.
    """
    needed_by = [0] * len(graph)  # Bit i: output i needs the node.
    for bit, (index, _) in enumerate(outputs):
        needed_by[index] |= 1 << bit
    groups: dict[int, list[Cost]] = {}
    for index in reversed(order):
        bits = needed_by[index]
        for below, _ in graph.inputs[index]:
            needed_by[below] |= bits
        if index in by_node:
            groups.setdefault(bits, []).append(by_node[index])
    together = {bits: summed(costs) for bits, costs in groups.items()}
    return [
        summed(cost for bits, cost in together.items() if bits >> bit & 1)
        for bit in range(len(outputs))
    ]


def summed(costs: Iterable[Cost]) -> Cost:
    """Returns the sum of the costs of several parts."""
    added = list(costs)
    return Cost(*(sum(map(part, added)) for part in _PARTS))
