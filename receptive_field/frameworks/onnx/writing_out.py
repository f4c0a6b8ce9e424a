"""Makes one flat graph of an ONNX model: functions, branches and loops are written out.

A called function, or a branch, gets its own nodes, named after the node that calls it.
This node stays in the graph, and reads what the function or the branches return. A loop
becomes a cycle through Merge and NextIteration; a scan reads unknown slices, and what
runs over the items of a list reads an unknown item.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from receptive_field.budget import Copies, ExhaustedError
from receptive_field.errors import GraphError
from receptive_field.frameworks.onnx.attributes import message_of
from receptive_field.frameworks.onnx.definitions import (
    ABSENT_INPUT,
    INITIALIZER,
    INPUT,
    Definition,
    Scope,
    of_node,
    opsets_of,
)
from receptive_field.graph.graph import Frame, Framework, Graph, Node, Tensor
from receptive_field.rules.control import EACH
from receptive_field.rules.op import Op

_ABSENT = Definition("", ABSENT_INPUT, {})
"""The node that stands for all inputs that nodes do not have."""

_WITH_GRAPHS = ("If", "Loop", "Scan", "SequenceMap")

_LISTS = frozenset(
    {
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceMap",
        "SplitToSequence",
    }
)
"""The ops that make lists of tensors."""


def graph_of(
    model: Any, name: str, *, rules: Mapping[str, Op], framework: Framework
) -> Graph:
    """Returns the graph of a ModelProto.

    Raises:
      GraphError: if names are not unique, a function calls itself, or a subgraph does
        not take and return what its node expects.
    """
    functions = {_key(function): function for function in model.functions}
    if functions:
        rules = ChainMap(dict.fromkeys(map(op_of_key, functions), EACH), dict(rules))
    definitions = _definitions(model.graph, Scope(opsets_of(model)))
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [
        Definition(value.name, INPUT, value)
        for value in model.graph.input
        if value.name not in constants
    ]
    every = [*inputs, *definitions]
    if any("" in definition.input for definition in definitions):
        every.append(_ABSENT)
    graph = Graph(every, name, rules=rules, framework=framework)
    root = graph.nodes.root
    root.arguments = _others(graph, enumerate(every), root)
    if functions or any(d.op in _WITH_GRAPHS for d in definitions):
        _Writer(graph, functions).write()
    return graph


def _key(function: Any) -> tuple[str, str, str]:
    return function.domain, function.name, function.overload


def op_of_key(key: tuple[str, str, str]) -> str:
    """Returns the op type of the nodes that call a function."""
    domain, name, _ = key
    return f"{domain}.{name}" if domain else name


def _definitions(graph: Any, scope: Scope) -> list[Definition]:
    """Returns the initializers and nodes of a GraphProto."""
    scope = scope._replace(types=_types(graph.value_info, graph.output))
    tensors = [Definition(t.name, INITIALIZER, t) for t in graph.initializer]
    tensors += [
        Definition(sparse.values.name, INITIALIZER, sparse)
        for sparse in graph.sparse_initializer
    ]
    nodes = (of_node(node, scope) for node in graph.node)
    return [*tensors, *(node for node in nodes if node is not None)]


def _types(*stated: Iterable[Any]) -> dict[str, Any]:
    return {value.name: value.type for values in stated for value in values}


def _others(
    graph: Graph, numbered: Iterable[tuple[int, Definition]], frame: Frame
) -> dict[str, Tensor]:
    """Returns the outputs that nodes are not named after, by name."""
    found: dict[str, Tensor] = {}
    for index, definition in numbered:
        for number, output in enumerate(definition.outputs):
            if not output or (not number and output == definition.name):
                continue
            if output in found or output in frame.names:
                raise GraphError(
                    f"two nodes of the graph have an output {output!r}; names must be "
                    "unique."
                )
            found[output] = index, number
            graph.name_output((index, number), frame.scope + output)
    return found


class _Writer:
    """Appends the bodies of functions and subgraphs to a graph."""

    def __init__(
        self, graph: Graph, functions: Mapping[tuple[str, str, str], Any]
    ) -> None:
        self.graph = graph
        self.functions = functions
        in_functions = sum(len(function.node) for function in functions.values())
        self._copies = Copies(len(graph) + in_functions)

    def write(self) -> None:
        # The loop also visits nodes that are appended while it runs.
        for node in self.graph:
            message = node.definition.message
            if not hasattr(message, "op_type"):
                continue
            key = message.domain, message.op_type, message.overload
            if key in self.functions:
                self._call(node, self.functions[key])
            elif node.op == "If":
                self._branch(node)
            elif node.op == "Loop":
                self._loop(node)
            elif node.op == "Scan":
                self._scan(node)
            elif node.op == "SequenceMap":
                self._map(node)

    def _call(self, node: Node, function: Any) -> None:
        given = {a.name: a for a in function.attribute_proto}
        for attribute in node.definition.message.attribute:
            found = message_of(node.definition, attribute.name)
            if found is not None:
                given[attribute.name] = found
        name = op_of_key(_key(function))
        above: Frame | None = node.frame
        while above is not None:
            if above.function == name:
                raise GraphError(
                    f"the function {name!r} calls itself through node {node.name!r}; "
                    "recursion cannot be analysed."
                )
            above = above.caller
        arguments = dict.fromkeys(function.input, self._absent)
        arguments |= zip(function.input, node.inputs, strict=False)
        if len(node.inputs) > len(function.input):
            raise GraphError(
                f"node {node.name!r} calls the function {name!r} with "
                f"{len(node.inputs)} inputs, but the function takes "
                f"{len(function.input)}."
            )
        frame = Frame(name, f"{node.name}/", arguments, {}, node.frame)
        opsets = opsets_of(function) or node.definition.scope.opsets
        scope = Scope(opsets, _types(function.value_info), given)
        try:
            self._copies.add(len(function.node))
        except ExhaustedError as error:
            raise error.at(f"{node.op} node {node.name!r}") from None
        nodes = (of_node(inner, scope) for inner in function.node)
        self._append([n for n in nodes if n is not None], frame)
        node.read(self._returned(frame, list(function.output), node))

    @property
    def _absent(self) -> Tensor:
        graph = self.graph
        if "" not in graph.index_of:
            graph.append(_ABSENT, graph.nodes.root).read(())
        return graph.index_of[""], 0

    def _append(self, definitions: Sequence[Definition], frame: Frame) -> None:
        appended = []
        for definition in definitions:
            if definition.name in frame.names:
                raise GraphError(
                    f"two nodes of {frame.scope[:-1]!r} are named "
                    f"{definition.name!r}; names must be unique."
                )
            appended.append((self.graph.append(definition, frame).index, definition))
        frame.arguments = {
            **frame.arguments,
            **_others(self.graph, appended, frame),
        }

    def _returned(self, frame: Frame, names: Iterable[str], node: Node) -> list[Tensor]:
        found = []
        for name in names:
            tensor = self.graph.framework.resolve(self.graph, name, frame)
            if tensor is None:
                raise GraphError(
                    f"{node.op} node {node.name!r} returns {name!r}, which is not in "
                    "its body."
                )
            found.append(tensor)
        return found

    def _body(
        self, node: Node, part: str, scope: str, arguments: Sequence[Tensor]
    ) -> list[Tensor]:
        """Appends a subgraph of a node and returns its result tensors."""
        attribute = message_of(node.definition, part)
        if attribute is None:
            raise GraphError(f"{node.op} node {node.name!r} has no {part}.")
        body = attribute.g
        constants = {tensor.name for tensor in body.initializer}
        names = [value.name for value in body.input if value.name not in constants]
        if len(names) != len(arguments):
            raise GraphError(
                f"the {part} of {node.op} node {node.name!r} takes {len(names)} "
                f"inputs, but the node passes {len(arguments)}."
            )
        given = dict(zip(names, arguments, strict=True))
        frame = Frame("", f"{scope}/", given, {}, node.frame)
        self._append(_definitions(body, node.definition.scope), frame)
        return self._returned(frame, [value.name for value in body.output], node)

    def _added(self, node: Node, name: str, op: str, **values: Any) -> Node:
        definition = Definition(f"{node.definition.name}/{name}", op, values)
        return self.graph.append(definition, node.frame)

    def _branch(self, node: Node) -> None:
        if not node.inputs:
            raise GraphError(f"If node {node.name!r} has no condition.")
        returned = [node.inputs[0]]
        for part in ("then_branch", "else_branch"):
            results = self._body(node, part, f"{node.name}/{part}", ())
            if len(results) != len(node.definition.outputs):
                raise GraphError(
                    f"the {part} of If node {node.name!r} returns {len(results)} "
                    f"values, but the node has {len(node.definition.outputs)} outputs."
                )
            returned += results
        node.read(returned)

    def _carried(self, node: Node, starts: Sequence[Tensor]) -> list[Node]:
        """Appends a variable for each value that a loop carries."""
        variables = []
        for number, start in enumerate(starts):
            variable = self._added(node, f"variable_{number}", "Merge")
            variable.read([start])
            variables.append(variable)
        return variables

    def _go_on(self, variables: Sequence[Node], returned: Sequence[Tensor]) -> None:
        """Takes loop variables to their values in the next iteration."""
        for variable, result in zip(variables, returned, strict=True):
            again = self._added(variable, "next", "NextIteration")
            again.read([result])
            variable.read([*variable.inputs, (again.index, 0)])

    def _loop(self, node: Node) -> None:
        _, condition, *starts = [*node.inputs, self._absent, self._absent][
            : max(len(node.inputs), 2)
        ]
        iteration = self._added(node, "iteration", "Iteration")
        iteration.read(())
        iteration.read(())
        variables = self._carried(node, [condition, *starts])
        carried = [(variable.index, 0) for variable in variables]
        body = self._body(node, "body", node.name, [(iteration.index, 0), *carried])
        if len(body) != len(node.definition.outputs) + 1 or len(body) < len(variables):
            raise GraphError(
                f"the body of Loop node {node.name!r} returns {len(body)} values, but "
                f"the node has {len(starts)} variables and "
                f"{len(node.definition.outputs)} outputs."
            )
        self._go_on(variables, body[: len(variables)])
        node.read([body[0], *carried[1:], *body[len(variables) :]])

    def _scan(self, node: Node) -> None:
        attribute = message_of(node.definition, "num_scan_inputs")
        count = 0 if attribute is None else attribute.i
        states = len(node.inputs) - count
        version = node.definition.scope.opsets.get("", 1)
        if not 0 < count <= len(node.inputs) or version < 9:
            raise GraphError(
                f"Scan node {node.name!r} of operator set {version} with {count} scan "
                "inputs cannot be analysed."
            )
        axes = message_of(node.definition, "scan_input_axes")
        slices = []
        for number, tensor in enumerate(node.inputs[states:]):
            axis = (
                axes.ints[number] if axes is not None and number < len(axes.ints) else 0
            )
            slices.append(self._added(node, f"slice_{number}", "ScanSlice", axis=axis))
            slices[-1].read([tensor])
        variables = self._carried(node, node.inputs[:states])
        carried = [(variable.index, 0) for variable in variables]
        passed = [*carried, *((piece.index, 0) for piece in slices)]
        body = self._body(node, "body", node.name, passed)
        if len(body) != len(node.definition.outputs) or len(body) < states:
            raise GraphError(
                f"the body of Scan node {node.name!r} returns {len(body)} values, but "
                f"the node has {len(node.definition.outputs)} outputs."
            )
        self._go_on(variables, body[:states])
        node.read([self._absent, *carried, *body[states:]])

    def _map(self, node: Node) -> None:
        if not node.inputs:
            raise GraphError(f"SequenceMap node {node.name!r} has no list.")
        passed = []
        for number, tensor in enumerate(node.inputs):
            if number and not self._is_list(tensor):
                passed.append(tensor)
                continue
            item = self._added(node, f"item_{number}", "ListItem")
            item.read([tensor])
            passed.append((item.index, 0))
        body = self._body(node, "body", node.name, passed)
        if len(body) != len(node.definition.outputs):
            raise GraphError(
                f"the body of SequenceMap node {node.name!r} returns {len(body)} "
                f"values, but the node has {len(node.definition.outputs)} outputs."
            )
        node.read([node.inputs[0], *body])

    def _is_list(self, tensor: Tensor) -> bool:
        """Returns whether a tensor is known to be a list of tensors."""
        node = self.graph.nodes[tensor[0]]
        while node.op == "Identity" and node.inputs:
            tensor = node.inputs[0]
            node = self.graph.nodes[tensor[0]]
        if node.op == INPUT:
            kind = node.definition.message.type.WhichOneof("value")
            return bool(kind == "sequence_type")
        return node.op in _LISTS
