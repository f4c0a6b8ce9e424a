"""The nodes of a graph of ATen ops, in the form that `graph.Graph` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from receptive_field.frameworks.torch.program import Kind, Scope

INPUT, PARAMETER, BUFFER = "Input", "Parameter", "Buffer"
"""Op types of the nodes that stand for inputs, parameters, and buffers or constants."""


class Read(NamedTuple):
    """An argument that is one of the tensors that a node reads."""

    number: int


class Definition:
    """An op, an input or a weight."""

    __slots__ = (
        "arguments",
        "code",
        "input",
        "kinds",
        "name",
        "op",
        "scopes",
        "target",
        "values",
    )

    def __init__(
        self,
        name: str,
        op: str,
        arguments: Mapping[str, Any],
        inputs: Sequence[str] = (),
        kinds: Sequence[Kind | None] = (),
        scopes: Sequence[Scope] = (),
        code: str = "",
        target: str = "",
        values: Sequence[str | None] = (),
    ) -> None:
        self.name = name
        self.op = op
        self.arguments = arguments
        """The arguments by name, with a `Read` in place of each tensor."""
        self.input = inputs
        """The tensors that the node reads: ``name`` or ``name:number``."""
        self.kinds = kinds
        """What is recorded about each result."""
        self.scopes = scopes
        self.code = code
        self.target = target
        """The op with its namespace and overload; empty for inputs and weights."""
        self.values = values
        """The names of the results in the program."""
