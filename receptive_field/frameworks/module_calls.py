"""Finds the calls of modules in a graph whose nodes know the modules around them.

Nodes are in the order in which they ran, so a run of nodes inside a module is one call
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from receptive_field.graph.graph import Graph, Tensor


class Layers(NamedTuple):
    """The calls of modules, by name."""

    tensors: dict[str, Tensor]
    inputs: dict[str, Sequence[Tensor]]
    kinds: dict[str, str]


class Around(NamedTuple):
    """A module around a node."""

    call: str
    """A key of this call of the module. Its path, if calls cannot be told apart."""
    path: str
    kind: str
    """The class of the module; empty if that is not known."""


class ModuleCall(NamedTuple):
    """The nodes of one call of a module."""

    key: str
    path: str
    kind: str
    nodes: list[int]


def module_calls(
    nodes: Iterable[tuple[int, Sequence[Around]]],
) -> Iterator[ModuleCall]:
    """Yields calls of modules, each after the calls inside it.

    Args:
      nodes: the index of each node, with the modules around it, outermost first.
    """
    opened: list[ModuleCall] = []
    for index, scopes in nodes:
        keys = [scope.call for scope in scopes]
        while opened and opened[-1].key not in keys:
            yield opened.pop()
        for scope in scopes[len(opened) :]:
            opened.append(ModuleCall(*scope, []))
        for call in opened:
            call.nodes.append(index)
    while opened:
        yield opened.pop()


class Edges:
    """The edges of a graph, seen from calls of modules.

    Args:
      graph: the graph.
      constants: the op types of constants and weights.
      outputs: the number of outputs of a node, by its index.
    """

    def __init__(
        self, graph: Graph, constants: Sequence[str], outputs: Callable[[int], int]
    ) -> None:
        self._graph = graph
        self._constants = constants
        self._outputs = outputs
        self._readers: dict[Tensor, list[int]] = {}
        for index, reads in ((i, graph.inputs[i]) for i in range(len(graph))):
            for tensor in reads:
                self._readers.setdefault(tensor, []).append(index)

    def returned(self, nodes: Sequence[int]) -> list[Tensor]:
        """Returns the tensors of a call that are read outside it.

        A first output that nothing reads counts, too: it is an output of the model.
        """
        inside = set(nodes)
        return [
            (index, number)
            for index in nodes
            for number in range(self._outputs(index))
            if self._leaves((index, number), inside)
        ]

    def _leaves(self, tensor: Tensor, inside: set[int]) -> bool:
        readers = self._readers.get(tensor)
        return not tensor[1] if readers is None else not inside.issuperset(readers)

    def read(self, nodes: Sequence[int]) -> list[Tensor]:
        """Returns the tensors that a call reads from outside, without constants."""
        graph, inside = self._graph, set(nodes)
        reads = dict.fromkeys(tensor for i in nodes for tensor in graph.inputs[i])
        return [
            tensor
            for tensor in reads
            if tensor[0] not in inside and graph.op(tensor[0]) not in self._constants
        ]
