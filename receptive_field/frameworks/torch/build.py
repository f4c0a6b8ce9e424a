"""Makes a graph, and the model around it, of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.torch.definitions import (
    BUFFER,
    INPUT,
    PARAMETER,
    Definition,
    Read,
    Trace,
)
from receptive_field.frameworks.torch.framework import TORCH
from receptive_field.frameworks.torch.in_place import functional
from receptive_field.frameworks.torch.layers import layers_of
from receptive_field.frameworks.torch.ops import OPS
from receptive_field.frameworks.torch.program import Program, Step, Value, replaced
from receptive_field.frameworks.torch.writing_out import written_out
from receptive_field.graph.graph import Graph, Tensor
from receptive_field.graph.model import Model, unique_name


def model_of_program(
    program: Program,
    definition: Any,
    name: str,
    again: Callable[[], Program | None] = lambda: None,
) -> Model:
    """Returns the `Model` of a program.

    Args:
      program: the program.
      definition: what an experiment runs.
      name: the name of the graph in results.
      again: returns the program for inputs of at least twice the sizes; None if there
        is none.
    """
    program = functional(written_out(program))
    built = _Built(program, again)
    graph = Graph(built.definitions, name, rules=OPS, framework=TORCH)

    def tensor(text: str) -> Tensor:
        node, _, number = built.texts[text].rpartition(":")
        return graph.index_of[node], int(number)

    layers = layers_of(graph, program, built.index_of_step, tensor)
    outermost = {found: layer for layer, found in layers.tensors.items()}
    outputs: dict[str, Tensor] = {}
    for label, value in program.outputs:
        if isinstance(value, Value):
            found = tensor(value.name)
            label = label or outermost.get(found) or graph.name_of(found)
            outputs[unique_name(label, outputs)] = found
    named = {text: tensor(text) for text in built.texts if text not in graph.index_of}
    return Model(
        graph,
        definition,
        {text: tensor(text) for text in program.inputs},
        outputs,
        layers.tensors,
        layers.inputs,
        layers.kinds,
        named,
    )


class _Built:
    """The definitions of a program's nodes."""

    def __init__(
        self, program: Program, again: Callable[[], Program | None] = lambda: None
    ) -> None:
        self._trace = Trace(partial(_nodes_of, again))
        self.definitions = self._trace.nodes
        self.texts: dict[str, str] = {}
        """Name of a value in the program -> the node and the number of its result."""
        self.index_of_step: list[int] = []
        self._taken: dict[str, None] = {}
        for name in program.inputs:
            self._add(self._unique(name), INPUT, {}, program, [name])
        for name, weight in program.weights.items():
            kind = PARAMETER if weight.kind == "parameter" else BUFFER
            found = self._unique(weight.path or name)
            self._add(found, kind, {"values": weight.values}, program, [name])
        names = []
        for step in program.steps:  # A step of a loop may read what comes later.
            path = step.scopes[-1].path if step.scopes else ""
            op = step.op.rpartition(".")[2]
            names.append(self._unique(f"{path}/{op}" if path else op))
            self._name(names[-1], step.outputs)
        for name, step in zip(names, program.steps, strict=True):
            self.index_of_step.append(len(self.definitions))
            self._add_step(name, step, program)

    def _add_step(self, name: str, step: Step, program: Program) -> None:
        inputs: list[str] = []

        def read(value: Value) -> Read:
            inputs.append(self.texts[value.name])
            return Read(len(inputs) - 1)

        arguments = {key: replaced(a, read) for key, a in step.arguments.items()}
        self._add(name, step.op, arguments, program, step.outputs, inputs, step)

    def _add(
        self,
        name: str,
        op: str,
        arguments: dict[str, Any],
        program: Program,
        outputs: list[str] | list[str | None],
        inputs: list[str] | tuple[()] = (),
        step: Step | None = None,
    ) -> None:
        kinds = [program.kinds.get(output or "") for output in outputs]
        scopes, code, target = (
            ((), "", "") if step is None else (step.scopes, step.code, step.target)
        )
        self.definitions.append(
            Definition(
                name,
                op,
                arguments,
                inputs,
                kinds,
                scopes,
                code,
                target,
                outputs,
                self._trace,
            )
        )
        self._name(name, outputs)

    def _name(self, name: str, outputs: list[str] | list[str | None]) -> None:
        """Notes the node of results, and their numbers."""
        for number, output in enumerate(outputs):
            if output is not None:
                self.texts[output] = f"{name}:{number}"

    def _unique(self, name: str) -> str:
        """Returns a name that no node has yet: ``add``, ``add_1`` ..."""
        for found in _numbered(name):
            if found not in self._taken:
                self._taken[found] = None
                return found
        raise AssertionError


def _nodes_of(again: Callable[[], Program | None]) -> Sequence[Definition] | None:
    """Returns the nodes of a program, if there is one that can be analysed."""
    program = again()
    if program is None:
        return None
    try:
        return _Built(functional(written_out(program))).definitions
    except GraphError:
        return None


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 1
    while True:
        yield f"{name}_{number}"
        number += 1
