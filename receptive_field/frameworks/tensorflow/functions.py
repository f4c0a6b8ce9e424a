"""Inlines function calls, branches and loops into one flat graph.

Every call gets its own nodes, named after the call, so two calls of a function share no
nodes. The call node remains in the graph, and its inputs become the tensors that the
function returns. The inputs of a node with branches become the condition, followed by
the tensors that the function of each branch returns. A loop becomes a cycle through
Merge and NextIteration, as in TensorFlow 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receptive_field.budget import Copies, ExhaustedError
from receptive_field.errors import GraphError
from receptive_field.frameworks.tensorflow.signatures import resolve
from receptive_field.graph.graph import Frame, Framework, Graph, Node

CALLS = {
    "PartitionedCall": ("f", 0),
    "StatefulPartitionedCall": ("f", 0),
    "RemoteCall": ("f", 1),  # Input 0 is the name of a device.
}
"""Op that calls one function -> the attribute that names the function, and the number
of inputs before the function's arguments."""

BRANCHES = {
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "Case": ("branches",),
    "StatelessCase": ("branches",),
}
"""Op that calls one of several functions -> the attributes that name the functions."""

LOOPS = ("While", "StatelessWhile")


@dataclass(frozen=True, slots=True)
class Definition:
    """A node that inlining adds, with the fields of a NodeDef."""

    name: str
    op: str
    input: tuple[str, ...] = ()
    attr: Mapping[str, Any] = field(default_factory=dict)


def flattened(
    definitions: Sequence[Any],
    functions: Iterable[Any] = (),
    name: str = "graph",
    *,
    rules: Mapping[str, Any],
    framework: Framework,
) -> Graph:
    """Returns the graph of these nodes, with all function calls inlined.

    Raises:
      GraphError: if a function is missing, calls itself, or does not have the number of
        arguments or results that the node expects.
    """
    graph = Graph(definitions, name, rules=rules, framework=framework)
    library = {function.signature.name: function for function in functions}
    if library:
        _Writer(graph, library).write()
    return graph


def is_written_out(node: Node) -> bool:
    """Returns whether a node is, or was added for, an inlined call, branch or loop."""
    definition = node.definition
    added = isinstance(definition, Definition)
    return added or node.op != definition.op or node.op in (*CALLS, *BRANCHES, *LOOPS)


class Inliner:
    """Appends the bodies of functions to a graph."""

    def __init__(self, graph: Graph, library: Mapping[str, Any]) -> None:
        """Stores the graph, and its functions by name."""
        self.graph = graph
        self.library = library
        in_functions = sum(len(function.node_def) for function in library.values())
        self._copies = Copies(len(graph) + in_functions)

    def call(self, node: Node, function: str, before: int = 0) -> None:
        """Inlines the function that a node calls.

        The inputs of the node become the results, instead of the arguments that come
        after the first ``before`` inputs.
        """
        node.read(self._body(node, function, node.name, node.inputs[before:]))

    def branch(self, node: Node, names: Iterable[str]) -> None:
        """Inlines the functions of which a node calls one, after its condition."""
        if not node.inputs:
            raise GraphError(f"{node.op} node {node.name!r} has no condition.")
        condition, *arguments = node.inputs
        returned = [condition]
        for number, function in enumerate(names):
            scope = f"{node.name}/branch_{number}"
            returned += self._body(node, function, scope, arguments)
        node.read(returned)

    def loop(self, node: Node, body: str, condition: str) -> None:
        """Inlines the body and the condition of a loop as a cycle."""
        graph = self.graph
        variables = []
        for number, start in enumerate(node.inputs):
            variable = graph.append(
                Definition(f"{node.name}/variable_{number}", "Merge"), node.frame
            )
            variable.read([start])
            variables.append(variable)
        carried = [(variable.index, 0) for variable in variables]
        returns, continues = (
            self._body(node, function, f"{node.name}/{part}", carried)
            for part, function in (("body", body), ("cond", condition))
        )
        if len(returns) != len(variables):
            raise GraphError(
                f"{node.op} node {node.name!r} carries {len(variables)} values, but "
                f"its body returns {len(returns)} values."
            )
        for variable, returned in zip(variables, returns, strict=True):
            again = graph.append(
                Definition(f"{variable.name}/next", "NextIteration"), node.frame
            )
            again.read([returned])
            variable.read([*variable.inputs, (again.index, 0)])
        node.read([*continues, *carried])

    def _body(
        self,
        caller: Node,
        name: str,
        scope: str,
        arguments: Iterable[tuple[int, int]],
    ) -> list[tuple[int, int]]:
        """Appends a function's nodes to the graph and returns its result tensors."""
        function = self.library.get(name)
        if function is None:
            raise GraphError(
                f"{caller.op} node {caller.name!r} calls the function {name!r}, which "
                "is not in the graph's library."
            )
        above: Frame | None = caller.frame
        while above is not None:
            if above.function == name:
                raise GraphError(
                    f"the function {name!r} calls itself through node "
                    f"{caller.name!r}; recursion cannot be analysed."
                )
            above = above.caller
        named = [argument.name for argument in function.signature.input_arg]
        arguments = list(arguments)
        if len(arguments) != len(named):
            raise GraphError(
                f"{caller.op} node {caller.name!r} calls the function {name!r} with "
                f"{len(arguments)} inputs, but the function takes {len(named)}."
            )
        given = dict(zip(named, arguments, strict=True))
        frame = Frame(name, scope + "/", given, {}, caller.frame)
        try:
            self._copies.add(len(function.node_def))
        except ExhaustedError as error:
            raise error.at(f"{caller.op} node {caller.name!r}") from None
        for definition in function.node_def:
            self.graph.append(definition, frame)
        returned = [
            resolve(self.graph, function.ret[output.name], frame)
            for output in function.signature.output_arg
        ]
        for output, tensor in zip(function.signature.output_arg, returned, strict=True):
            if tensor is None:
                raise GraphError(
                    f"the function {name!r} returns {function.ret[output.name]!r}, "
                    "which is not in the function."
                )
        return [tensor for tensor in returned if tensor is not None]


class _Writer(Inliner):
    """Inlines all calls, branches and loops of a graph."""

    def write(self) -> None:
        # The loop also visits nodes that are appended while it runs.
        for node in self.graph:
            attributes = node.definition.attr
            if node.op in CALLS:
                attribute, before = CALLS[node.op]
                self.call(node, attributes[attribute].func.name, before)
                node.op = "PartitionedCall"
            elif node.op in self.library:
                self.call(node, node.op)
                node.op = "PartitionedCall"
            elif node.op in BRANCHES:
                self.branch(node, self._functions(node))
                node.op = "If"
            elif node.op in LOOPS:
                functions = (attributes[part].func.name for part in ("body", "cond"))
                self.loop(node, *functions)
                node.op = "While"

    def _functions(self, node: Node) -> list[str]:
        """Returns the names of the functions of a node with branches."""
        names = []
        for attribute in BRANCHES[node.op]:
            value = node.definition.attr[attribute]
            functions = value.list.func if value.HasField("list") else [value.func]
            names += [function.name for function in functions]
        return names
