"""A graph of nodes, read lazily from the messages that define them.

A node's message is any object with the fields of TensorFlow's NodeDef: one of this
library's own messages, or one from the caller's TensorFlow. Only names are read up
front. Nodes are created, and their inputs and attributes decoded, on first use.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from receptive_field.errors import GraphError, NodeNotFoundError, nearest
from receptive_field.graph.source import Source

Tensor = tuple[int, int]
"""An output of a node: (the node's index in the graph, the number of the output)."""

ABSENT = object()
"""The value of an attribute that a node does not have."""


class Framework(Protocol):
    """The questions about a graph that only its framework can answer."""

    name: str
    """The name by which `register_op` knows the framework."""

    def attribute(self, definition: Any, name: str) -> Any:
        """Returns a node's attribute as a plain Python value, or `ABSENT`."""

    def attributes(self, definition: Any) -> Mapping[str, Any]:
        """Returns what a node states about itself, by name, to be shown."""

    def inputs(self, definition: Any) -> Sequence[str]:
        """Returns the inputs of a node as texts, without control inputs."""

    def resolve(self, graph: Graph, text: str, frame: Frame) -> Tensor | None:
        """Returns the tensor that the text of an input refers to, or None.

        If this returns None, the graph looks the text up as the name of a node.
        """

    def recorded_shapes(self, call: Any) -> Sequence[Any]:
        """Returns the output shapes that the graph records for a call, if any."""

    def placeholders(self, graph: Graph) -> Iterator[Node]:
        """Yields the nodes whose values the caller of the graph feeds."""

    def is_of_training(self, node: Node) -> bool:
        """Returns whether a node computes gradients, or changes weights with them."""

    def decoders(self, graph: Graph) -> Iterator[Node]:
        """Yields the nodes that turn files into signals and features of signals."""

    def batch_moments(
        self, graph: Graph, knowledge: Any, among: Iterable[int]
    ) -> set[int]:
        """Returns the indices of nodes that compute the mean or variance of a batch.

        The search starts from the nodes in ``among``.
        """

    def default_layout(self, rank: int) -> tuple[int, ...]:
        """Returns the axes to treat as spatial when no op determines them."""

    def runner(self) -> Any:
        """Returns a `graph.runner.Runner`, which runs networks for experiments.

        Raises:
          GraphError: if the framework is not installed, or cannot run its graphs.
        """


@dataclass(slots=True)
class Frame:
    """The scope in which input names are looked up: a graph, or one function call."""

    function: str = ""
    scope: str = ""
    """The prefix of the nodes' names."""
    arguments: Mapping[str, Tensor] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    caller: Frame | None = None


class Node:
    """One operation of a graph."""

    __slots__ = (
        "attributes",
        "definition",
        "frame",
        "graph",
        "index",
        "inputs",
        "name",
        "op",
        "stated",
    )

    name: str
    inputs: tuple[Tensor, ...]
    """The tensors that this node reads, without control inputs. They are looked up on
    first use, which raises a `GraphError` if an input is not in the graph."""

    def __init__(self, graph: Graph, index: int, definition: Any, frame: Frame) -> None:
        self.graph = graph
        self.index = index
        self.definition = definition
        self.frame = frame
        self.op: str = definition.op
        self.attributes: dict[str, Any] = {}
        """The attributes decoded so far; see the method `attribute`."""
        self.stated: Any = None
        """The rules that a caller has stated for this node."""

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.op})"

    def __getattr__(self, name: str) -> Any:
        # Python calls this only for attributes that are not set yet.
        if name == "inputs":
            self.inputs = self.graph.inputs[self.index]
        elif name == "name":
            self.name = self.frame.scope + self.definition.name
        else:
            raise AttributeError(name)
        return getattr(self, name)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Returns an attribute as a plain Python value, or ``default`` if absent."""
        known = self.attributes
        if name in known:
            value = known[name]
        else:
            value = self.graph.framework.attribute(self.definition, name)
            known[name] = value
        return default if value is ABSENT else value

    def has(self, name: str) -> bool:
        """Returns whether the node has an attribute with this name."""
        return self.attribute(name, ABSENT) is not ABSENT

    def read(self, inputs: Iterable[Tensor]) -> None:
        """Replaces the tensors that the node reads."""
        self.inputs = self.graph.inputs[self.index] = tuple(inputs)


class _Nodes(dict[int, Node]):
    """A dictionary from index to node, which creates each node on first use."""

    def __init__(self, graph: Graph, definitions: Sequence[Any], root: Frame) -> None:
        self.graph = graph
        self.definitions = definitions
        self.root = root

    def __missing__(self, index: int) -> Node:
        node = self[index] = Node(self.graph, index, self.definitions[index], self.root)
        inputs = self.graph.inputs.get(index)
        if inputs is not None:
            node.inputs = inputs
        return node


class _Inputs(dict[int, tuple[Tensor, ...]]):
    """A dictionary from a node's index to its inputs, looked up on first use."""

    def __init__(self, nodes: _Nodes) -> None:
        self.nodes = nodes
        self.definitions = nodes.definitions
        self.index_of = nodes.root.names

    def __missing__(self, index: int) -> tuple[Tensor, ...]:
        nodes = self.nodes
        if index in nodes and nodes[index].frame is not nodes.root:
            found = _resolved(nodes[index])
        else:  # There is no need to create the node.
            texts, index_of = self.definitions[index].input[:], self.index_of
            try:
                found = tuple([(index_of[t], 0) for t in texts]) if texts else ()
            except KeyError:  # Some inputs are not plain names.
                found = _resolved(nodes[index])
        self[index] = found
        return found


def _resolved(node: Node) -> tuple[Tensor, ...]:
    found = []
    graph, names = node.graph, node.frame.names
    for text in graph.framework.inputs(node.definition):
        tensor = graph.framework.resolve(graph, text, node.frame)
        if tensor is None and text in names:
            tensor = names[text], 0
        if tensor is None:
            raise GraphError(
                f"node {node.name!r} reads {text!r}, which is not in the graph. The "
                "graph is incomplete: a part of it may have been cut off."
            )
        found.append(tensor)
    return tuple(found)


class Graph:
    """The nodes of a graph, in file order, accessible by index and by name.

    Args:
      definitions: the nodes' messages.
      name: the name of the graph in results.
      rules: the rules of each op type.
      framework: the framework that the graph comes from.

    Raises:
      GraphError: if two nodes have the same name.
    """

    def __init__(
        self,
        definitions: Sequence[Any],
        name: str = "graph",
        *,
        rules: Mapping[str, Any],
        framework: Framework,
    ) -> None:
        self.name = name
        self.source = Source()
        self.rules = rules
        self.framework = framework
        names = [definition.name for definition in definitions]
        root = Frame(names=dict(zip(names, range(len(names)), strict=True)))
        self.index_of = root.names
        self.nodes = _Nodes(self, definitions, root)
        self.inputs = _Inputs(self.nodes)
        """For each node's index, its `Node.inputs`. A look-up usually does not create
        the node."""
        self._outputs: dict[str, Tensor] = {}
        self._output_names: dict[Tensor, str] = {}
        self._count = len(definitions)
        if len(self.index_of) < self._count:
            twice = next(
                d.name for i, d in enumerate(definitions) if self.index_of[d.name] != i
            )
            raise GraphError(
                f"two nodes of the graph are named {twice!r}; names must be unique."
            )

    def copy(self) -> Graph:
        """Returns a copy; changes to the copy do not affect this graph."""
        graph = Graph(
            self.nodes.definitions,
            self.name,
            rules=self.rules,
            framework=self.framework,
        )
        frames = {id(self.nodes.root): graph.nodes.root}

        def copied(frame: Frame) -> Frame:
            if id(frame) not in frames:
                caller = None if frame.caller is None else copied(frame.caller)
                names = dict(frame.names)
                frames[id(frame)] = replace(frame, names=names, caller=caller)
            return frames[id(frame)]

        graph.source = self.source
        graph.index_of.update(self.index_of)
        graph._outputs.update(self._outputs)
        graph._output_names.update(self._output_names)
        graph.inputs.update(self.inputs.copy())
        for index, node in self.nodes.copy().items():  # Other threads may add nodes.
            made = Node(graph, index, node.definition, copied(node.frame))
            made.op, made.stated = node.op, node.stated
            graph.nodes[index] = made
        graph._count = self._count
        return graph

    def append(self, definition: Any, frame: Frame) -> Node:
        """Adds a node whose inputs are looked up in ``frame``, and returns it."""
        node = Node(self, self._count, definition, frame)
        self.nodes[self._count] = node
        self._count += 1
        frame.names[definition.name] = node.index
        self.index_of.setdefault(node.name, node.index)
        return node

    def cut(self, count: int) -> None:
        """Removes the nodes that were appended after the first ``count`` nodes."""
        for index in range(count, self._count):
            node = self.nodes.pop(index)
            self.inputs.pop(index, None)
            for names in (self.index_of, node.frame.names):
                if names.get(node.name) == index:
                    del names[node.name]
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Node]:
        for index in itertools.count():
            if index >= self._count:  # Nodes may be appended during the iteration.
                return
            yield self.nodes[index]

    def op(self, index: int) -> str:
        """Returns a node's op type without creating the node."""
        nodes = self.nodes
        found = nodes[index] if index in nodes else nodes.definitions[index]
        name: str = found.op
        return name

    def of_ops(self, *ops: str) -> Iterator[Node]:
        """Yields the nodes whose op type is one of ``ops``, in order."""
        for index in range(self._count):
            if self.op(index) in ops:
                yield self.nodes[index]

    def node(self, name: str) -> Node:
        """Returns the node with this name.

        Raises:
          NodeNotFoundError: if there is no such node; the message suggests similar
            names.
        """
        if name not in self.index_of:
            raise NodeNotFoundError(
                f"there is no node {name!r} in the graph. "
                + nearest(name, self.index_of)
            )
        return self.nodes[self.index_of[name]]

    def name_output(self, tensor: Tensor, name: str) -> None:
        """Gives a tensor a name, by which it is found and described."""
        self._outputs[name] = tensor
        self._output_names[tensor] = name

    def has(self, name: str) -> bool:
        """Returns whether a node, or an output of a node, has this name."""
        return name in self.index_of or name in self._outputs

    def tensor(self, name: str) -> Tensor:
        """Returns the tensor called ``name`` or ``name:k``.

        Raises:
          NodeNotFoundError: if k is not a number, or if there is no such node; the
            message then suggests similar names.
        """
        if name in self._outputs:
            return self._outputs[name]
        if name in self.index_of:
            return self.index_of[name], 0
        plain, _, number = name.partition(":")
        if number and not re.fullmatch("[0-9]{1,9}", number):
            raise NodeNotFoundError(
                f"{name!r} is not a tensor name: a number must follow the colon."
            )
        return self.node(plain).index, int(number or 0)

    def name_of(self, tensor: Tensor) -> str:
        """Returns the name of a tensor.

        Unless `name_output` gave it one, this is its node's name, with ``:k`` unless k
        is 0.
        """
        index, number = tensor
        if tensor in self._output_names:
            return self._output_names[tensor]
        name = self.nodes[index].name
        return f"{name}:{number}" if number else name


def topological_order(
    graph: Graph,
    outputs: Sequence[int],
    inputs: Iterable[int] = (),
    stop_propagation: Sequence[str] = (),
) -> tuple[list[int], list[tuple[int, int]]]:
    """Returns ``outputs`` and their ancestors, each node after the nodes that it reads.

    The search does not go beyond ``inputs``. It does not follow edges to nodes whose
    name starts with one of ``stop_propagation``.

    Returns:
      The nodes' indices, and the edges (reader, read) that close a cycle.
    """
    nodes, inputs_of = graph.nodes, graph.inputs
    roots = set(inputs)
    prefixes = tuple(stop_propagation)
    order: list[int] = []
    closing: list[tuple[int, int]] = []
    state = bytearray(len(graph))  # 0: not seen, 1: being visited, 2: done
    for output in outputs:
        if state[output]:
            continue
        stack = [output]
        while stack:
            index = stack[-1]
            if state[index]:
                stack.pop()
                if state[index] == 1:
                    state[index] = 2
                    order.append(index)
                continue
            reads = () if index in roots else inputs_of[index]
            state[index] = 1 if reads else 2
            if not reads:
                order.append(stack.pop())
                continue
            for read, _ in reads:
                if prefixes and nodes[read].name.startswith(prefixes):
                    continue
                if not state[read]:
                    stack.append(read)
                elif state[read] == 1:
                    closing.append((index, read))
    return order, closing


def nodes_below(
    graph: Graph, starts: Iterable[int], goes_on: Callable[[int], bool]
) -> Iterator[int]:
    """Yields some nodes and all nodes that they are computed from, each of them once.

    Args:
      graph: the graph.
      starts: the nodes where the paths down start.
      goes_on: a function that returns whether paths continue below a node.
    """
    waiting = list(starts)
    found = set(waiting)
    while waiting:
        index = waiting.pop()
        if goes_on(index):
            below = {read for read, _ in graph.inputs[index]} - found
            found |= below
            waiting += below
        yield index


def strongly_connected(
    graph: Graph, order: Sequence[int], closing: Iterable[tuple[int, int]]
) -> list[list[int]]:
    """Groups the nodes of a depth-first order into strongly connected components.

    Each group comes after the groups that it reads. Nodes within a group keep their
    order.

    Args:
      graph: the graph.
      order: the nodes' indices. Each node comes after the nodes that it reads, except
        where an edge is in ``closing``.
      closing: the edges (reader, read) that close a cycle.
    """
    place = {index: i for i, index in enumerate(order)}
    # An edge that closes a cycle reads a node that comes later in the order. The nodes
    # from its reader to that node form a stretch. Overlapping stretches are merged, and
    # Tarjan's algorithm then splits each stretch into groups.
    groups: list[list[int]] = []
    stop = -1
    last = {i: i for i in range(len(order))}
    for reader, read in closing:
        if read in place:
            last[place[reader]] = max(last[place[reader]], place[read])
    start = 0
    for i, index in enumerate(order):
        stop = max(stop, last[i])
        if i == stop:
            stretch = order[start : i + 1]
            groups += [[index]] if start == i else _components(graph, stretch)
            start = i + 1
    return groups


def _components(graph: Graph, stretch: Sequence[int]) -> list[list[int]]:
    """Splits nodes into components by Tarjan's algorithm, without recursion."""
    place = {index: i for i, index in enumerate(stretch)}
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    open_nodes: list[int] = []
    is_open: set[int] = set()
    groups: list[list[int]] = []
    for root in stretch:
        stack = [(root, iter(graph.inputs[root]))] if root not in number else []
        while stack:
            index, inputs = stack[-1]
            if index not in number:
                number[index] = low[index] = len(number)
                open_nodes.append(index)
                is_open.add(index)
            for read, _ in inputs:
                if read not in place:
                    continue
                if read not in number:
                    stack.append((read, iter(graph.inputs[read])))
                    break
                if read in is_open:
                    low[index] = min(low[index], number[read])
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    low[above] = min(low[above], low[index])
                if low[index] == number[index]:
                    cut = open_nodes.index(index)
                    group, open_nodes[cut:] = open_nodes[cut:], []
                    is_open.difference_update(group)
                    groups.append(sorted(group, key=place.__getitem__))
    return groups
