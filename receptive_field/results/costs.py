"""Costs: the operations that a network computes, and the parameters that it stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from receptive_field.errors import NoSuchEntryError, nearest
from receptive_field.graph.graph import Graph, Tensor, topological_order
from receptive_field.graph.model import Model


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a part of a network.

    It is the cost of a batch of the size that the graph states, or of one example if
    the size is unknown.

    Attributes:
      flops: floating-point operations. A multiply-add counts as two.
      macs: the multiply-adds (multiply-accumulates) among them.
      profiler_flops: the figure of TensorFlow's profiler, which leaves out some ops.
      parameters: the number of trained numbers that are read, each counted once. In a
        graph without variables, such as a frozen one, these are all constants of a
        floating type that have axes. This is an upper bound, because some of them may
        not have been trained.
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
        """Returns the cost of this many rounds, which the profiler does not count."""
        return Cost(self.flops * rounds, self.macs * rounds, 0, self.parameters)


FREE = Cost()


_PARTS = [attrgetter(part.name) for part in fields(Cost)]


@dataclass(frozen=True, slots=True)
class Costs(Mapping[str, Cost]):
    """Costs by layer (of a Keras model) or node (of a graph), in topological order.

    The cost of a layer is that of everything computed since the layers before it. If a
    layer is called twice, the first call has its parameters.

    Attributes:
      total: the cost of the whole model, that is, of all its layers and everything
        after the last one.
      unprofiled: op type -> the floating-point operations that the profiler leaves out,
        because it has no formula for them.
    """

    _costs: Mapping[str, Cost] = field(repr=False)
    _model: Model = field(repr=False)
    _by_node: Mapping[int, Cost] = field(repr=False)
    total: Cost
    unprofiled: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Cost:
        if name not in self._costs:
            raise NoSuchEntryError(
                f"there is no cost of {name!r}. {nearest(str(name), self._costs)}"
            )
        return self._costs[name]

    def __contains__(self, name: object) -> bool:
        return name in self._costs

    def __iter__(self) -> Iterator[str]:
        return iter(self._costs)

    def __len__(self) -> int:
        return len(self._costs)

    def up_to(self, output: Any) -> Cost:
        """Returns the cost of everything that a tensor (by name, or a layer) needs.

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
      by_node: the costs of the nodes that compute or store something.
      outputs: outputs of some of these nodes.
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
