"""The nodes of an ONNX graph, in the form that `graph.Graph` reads.

A node is named after its first output, because only values have unique names in ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

INPUT, INITIALIZER, ABSENT_INPUT, CALL = "Input", "Initializer", "Absent", "Function"
"""Op types of the nodes that stand for the inputs of a graph, for its initializers, for
inputs that a node does not have, and for calls of functions."""

MAIN_DOMAINS = ("", "ai.onnx")


class Scope(NamedTuple):
    """What the nodes of a graph, a subgraph or a function share."""

    opsets: Mapping[str, int] = {}
    """Domain -> the version of its operator set."""
    types: Mapping[str, Any] = {}
    """Name of a value -> the TypeProto that the model states for it."""
    given: Mapping[str, Any] = {}
    """In a function: the AttributeProtos of the call, by name."""


NO_SCOPE = Scope()


class Definition:
    """A node, an initializer or an input of a graph."""

    __slots__ = ("input", "message", "name", "op", "outputs", "scope")

    def __init__(
        self,
        name: str,
        op: str,
        message: Any,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        scope: Scope = NO_SCOPE,
    ) -> None:
        self.name = name
        self.op = op
        self.message = message
        """The NodeProto, TensorProto or ValueInfoProto. A node that is added when loops
        are written out has a dictionary of its attributes instead."""
        self.input = inputs
        """The names of the values that the node reads; empty for an absent input."""
        self.outputs = outputs
        """The names of all outputs; empty for an output that is not computed."""
        self.scope = scope


def of_node(node: Any, scope: Scope) -> Definition | None:
    """Returns the definition of a NodeProto, or None if it has no output."""
    outputs = list(node.output)
    op, name = op_type(node), next(filter(None, outputs), None)
    if name is None:
        return None
    if not outputs[0]:
        name = f"{op} of {name}"  # Its name would mean the first output.
    inputs = list(node.input)
    while inputs and not inputs[-1]:
        inputs.pop()
    return Definition(name, op, node, inputs, outputs, scope)


def op_type(node: Any) -> str:
    """Returns the op type of a NodeProto, with the domain unless it is the main one."""
    kind: str = node.op_type
    return kind if node.domain in MAIN_DOMAINS else f"{node.domain}.{kind}"


def opsets_of(message: Any) -> dict[str, int]:
    """Returns the version of each operator set that a model or function imports."""
    return {
        "" if imported.domain in MAIN_DOMAINS else imported.domain: imported.version
        for imported in message.opset_import
    }
