"""Finds the layers of a program: the calls of its modules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from receptive_field.frameworks.module_calls import (
    Around,
    Edges,
    Layers,
    ModuleCall,
    module_calls,
)
from receptive_field.frameworks.torch.definitions import BUFFER, PARAMETER
from receptive_field.frameworks.torch.program import Program, Value
from receptive_field.graph.graph import Graph, Tensor
from receptive_field.graph.model import unique_name


def layers_of(
    graph: Graph,
    program: Program,
    index_of_step: Sequence[int],
    tensor: Callable[[str], Tensor],
) -> Layers:
    """Returns the layers of a graph.

    Args:
      graph: the graph.
      program: the program that the graph was made of.
      index_of_step: the index of the node of each step.
      tensor: returns the tensor of a value of the program.
    """
    found = Layers({}, {}, {})
    steps = dict(zip(index_of_step, program.steps, strict=True))
    constants = PARAMETER, BUFFER
    edges = Edges(graph, constants, lambda index: len(steps[index].outputs))
    scoped = (
        (index, [Around(*scope) for scope in step.scopes])
        for index, step in steps.items()
    )
    calls = list(module_calls(scoped))
    seen = set()
    without = _Without(program, tensor, {call.key for call in calls})
    for call in calls:
        without.add_to(found, call)
        if not call.path:
            continue
        returned = edges.returned(call.nodes)
        stated = program.calls.get(call.key)
        if stated is not None and call.key not in seen:
            seen.add(call.key)
            returned = [tensor(v.name) for _, v in stated[1] if isinstance(v, Value)]
        if not returned:
            continue
        name = unique_name(call.path, found.tensors)
        read = edges.read(call.nodes)
        if stated is not None and len(returned) > 1:
            found.tensors[name] = returned[0]
            for label, value in stated[1]:
                if isinstance(value, Value):
                    mark = label if label.startswith("#") else f"#{label}"
                    leaf = unique_name(f"{name}{mark}", found.tensors)
                    found.tensors[leaf] = tensor(value.name)
                    found.inputs[leaf] = read
                    found.kinds[leaf] = call.kind
        else:
            found.tensors[name] = returned[-1]
        found.inputs[name] = read
        found.kinds[name] = call.kind
    return found


class _Without:
    """The calls of modules without ops, such as ``torch.nn.Identity``.

    They return what they are given.
    """

    def __init__(
        self, program: Program, tensor: Callable[[str], Tensor], others: Collection[str]
    ) -> None:
        self._calls = [
            (path, tensor(value.name))
            for key, (path, returned) in program.calls.items()
            for _, value in returned[:1]
            if key not in others and path and isinstance(value, Value)
        ]

    def add_to(self, found: Layers, before: ModuleCall) -> None:
        """Adds the calls that are over when a call with ops is over."""
        first, last = before.nodes[0], before.nodes[-1]
        inside = f"{before.path}." if before.path else ""
        waiting = []
        for path, given in self._calls:
            if given[0] < first or (given[0] <= last and path.startswith(inside)):
                name = unique_name(path, found.tensors)
                found.tensors[name] = given
                found.inputs[name] = [given]
            else:
                waiting.append((path, given))
        self._calls = waiting
