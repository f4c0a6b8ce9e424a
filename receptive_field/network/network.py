"""The nodes between the input and the outputs, and the relations of their tensors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import NamedTuple, TypeVar

from receptive_field.budget import ExhaustedError
from receptive_field.errors import GraphError, ReceptiveFieldError, UnsupportedOpsError
from receptive_field.graph.graph import (
    Graph,
    Node,
    Tensor,
    strongly_connected,
    topological_order,
)
from receptive_field.relations.joins import Paths, settled, through, united
from receptive_field.relations.relation import (
    ALL,
    ALL_BOUND,
    SAME,
    Relation,
    full,
    ranked,
)
from receptive_field.rules.inference import Inference
from receptive_field.rules.op import (
    Call,
    Relations,
    Shape,
    Value,
    rule_at,
    rule_of,
)

N = TypeVar("N", bound="Network")


@dataclass(slots=True)
class Network:
    """The nodes through which the outputs depend on the input.

    Args:
      graph: the graph with all its nodes.
      input: the tensor that is treated as the input.
      order: the nodes through which the outputs depend on the input, in topological
        order, without the input's node.
      carries: for each node of the graph, whether it is in ``order`` or is the input's
        node.
      known: shapes and constant values.
      stop_propagation: prefixes of names; nodes whose names start with one of them are
        not followed.
    """

    graph: Graph
    input: Tensor
    order: list[int]
    carries: bytearray
    known: Inference
    stop_propagation: tuple[str, ...] = ()
    needed: Sequence[int] = ()
    """The nodes that the outputs are computed from, including weights, in topological
    order. Nodes that are needed only to compute the input's node are left out."""
    loops: dict[int, int] = field(default_factory=dict)
    """For each group of nodes that depend on each other, the index in `order` where the
    group starts, mapped to the index after its last node."""
    cycle: set[int] = field(default_factory=set)
    """Nodes that depend on each other but do not form a loop of the framework."""
    _edges: dict[int, list[tuple[int, Tensor]]] = field(default_factory=dict)
    _places: dict[int, int] = field(default_factory=dict)
    _decided: bytearray | None = None

    def shape(self, tensor: Tensor) -> Shape:
        """Returns the shape of a tensor; None if its rank is unknown."""
        return self.known.shape(tensor)

    def value(self, tensor: Tensor) -> Value:
        """Returns the constant value of a tensor, or None if it is not known."""
        return self.known.value(tensor)

    def told(self: N, shape: Shape, is_strict: bool | None = None) -> N:
        """Returns the same network with an input of this shape."""
        if self._decided is None:
            self._decided = self._found_decided()
        shapes = {self.input: shape}
        known = self.known.told(shapes, self.carries, self._decided, is_strict)
        return replace(self, known=known)

    def _found_decided(self) -> bytearray:
        """Returns, for each node, whether the shape of the input may affect the node.

        Unlike `carries`, this marks nodes that read only the shape of a tensor. It also
        marks all nodes outside of `needed`.
        """
        start, inputs = self.input[0], self.graph.inputs
        decided = bytearray(b"\1") * len(self.graph)
        for index in self.needed:
            decided[index] = index == start
        grown = True
        while grown:  # A graph with loops may take more than one round.
            grown = False
            for index in self.needed:
                if not decided[index]:
                    for read, _ in inputs[index]:
                        if decided[read]:
                            decided[index] = grown = True
                            break
        return decided

    def below(self: N, outputs: Iterable[Tensor]) -> N:
        """Returns a network with only those nodes that the given outputs depend on.

        A network with loops is returned unchanged.
        """
        if self.loops:
            return self
        needed = {index for index, _ in outputs}
        for index in reversed(self.order):
            if index in needed:
                needed.update(tensor[0] for _, tensor in self.edges(index))
        return replace(self, order=[i for i in self.order if i in needed])

    def above(self: N, start: Tensor) -> N:
        """Returns the same network with one of its tensors as the input."""
        return replace(self, input=start, _edges={})

    def relations(self, tensor: Tensor) -> Relations:
        """Returns the relations of a tensor to the inputs of its node.

        Raises:
          GraphError: if the node is in a cycle that is not a loop, or its rule fails.
          UnsupportedOpsError: if the node's op has no rule.
        """
        node = self.graph.nodes[tensor[0]]
        if tensor[0] in self.cycle:
            raise GraphError(
                f"the graph has a cycle between input and output: {node.name!r} "
                "depends on itself, and the cycle is not a loop."
            )
        op = rule_of(node)
        if op is None:
            raise UnsupportedOpsError({node.op: [node.name]}, self.graph.framework.name)
        try:
            found = Call(node, self.known, _Sight(self)).relations(op, tensor[1])
        except ExhaustedError as error:
            raise error.at(f"{node.op} node {node.name!r}") from None
        reads = self.graph.inputs[tensor[0]]
        if self.input in reads:
            shape = self.shape(self.input)
            rule = found[reads.index(self.input)]
            if shape and rule is not None and len(rule.axes) not in (0, len(shape)):
                raise rank_error(node)
        return found

    def in_loop(self) -> set[int]:
        """Returns the nodes in loops, which a walk may visit more than once."""
        slices = (self.order[start:stop] for start, stop in self.loops.items())
        return set(itertools.chain.from_iterable(slices))

    def edges(self, index: int) -> list[tuple[int, Tensor]]:
        """Returns the inputs of a node that depend on the network's input.

        Each input is returned as a pair: its number and its tensor.
        """
        found = self._edges.get(index)
        if found is None:
            found = self._edges[index] = [
                (number, tensor)
                for number, tensor in enumerate(self.graph.inputs[index])
                if self.carries[tensor[0]] and self.has(tensor)
            ]
        return found

    def place(self, index: int) -> int:
        """Returns the position of a node in `needed`, or -1 if `needed` lacks it."""
        if not self._places:
            places = {node: i for i, node in enumerate(self.needed)}
            self._places.update(places)  # At once, for other threads.
        return self._places.get(index, -1)

    def reaches(self, index: int) -> bool:
        """Returns whether a node reads a tensor that depends on the network's input.

        While the network is being built, this considers only the nodes that are already
        marked in `carries`.
        """
        carries = self.carries
        for tensor in self.graph.inputs[index]:
            if carries[tensor[0]] and self.has(tensor):
                return True
        return False

    def has(self, tensor: Tensor) -> bool:
        """Returns whether a tensor of a node marked in `carries` depends on the input.

        Returns False for a tensor at which propagation is stopped. If the input is one
        output of its node, returns False for the node's other outputs.
        """
        index = tensor[0]
        if index == self.input[0] and tensor != self.input:
            return False
        prefixes = self.stop_propagation
        return not (prefixes and self.graph.nodes[index].name.startswith(prefixes))


def find_network(
    known: Inference,
    input_tensor: Tensor,
    outputs: Sequence[int],
    stop_propagation: Sequence[str] = (),
    constant: Callable[[Collection[int]], Collection[int]] | None = None,
) -> Network:
    """Returns the network between the input and the outputs.

    ``constant`` takes the nodes of this network, and returns the nodes to treat as
    constants. These nodes, and all nodes that depend on the input only through them,
    are then left out.
    """
    graph = known.graph
    order, closing = topological_order(
        graph, outputs, [input_tensor[0]], stop_propagation
    )
    prefixes = tuple(stop_propagation)

    def carriers(fixed: Collection[int]) -> Network:
        carries = bytearray(len(graph))
        network = Network(graph, input_tensor, [], carries, known, prefixes, order)
        carries[input_tensor[0]] = 1
        if closing:
            _collect_with_loops(network, order, closing, fixed)
        else:
            _collect(network, order, fixed)
        return network

    network = carriers(())
    fixed = constant(network.order) if constant is not None else ()
    return carriers(fixed) if fixed else network


def _collect(network: Network, order: Iterable[int], fixed: Collection[int]) -> None:
    start, carries, graph = network.input[0], network.carries, network.graph
    inputs, nodes = graph.inputs, graph.nodes
    for index in order:
        for read, _ in inputs[index] if index != start else ():
            if carries[read]:  # False for weights, which are the majority of all nodes.
                cut = index in fixed or cuts(nodes[index])
                if not cut and network.edges(index):
                    carries[index] = 1
                    network.order.append(index)
                break


def _collect_with_loops(
    network: Network,
    order: Sequence[int],
    closing: Sequence[tuple[int, int]],
    fixed: Collection[int],
) -> None:
    nodes = network.graph.nodes
    for group in strongly_connected(network.graph, order, closing):
        if network.input[0] in group:
            continue
        if not any(network.reaches(index) for index in group):
            continue
        active = [i for i in group if i not in fixed and not cuts(nodes[i])]
        if not any(network.reaches(index) for index in active):
            continue
        for index in active:
            network.carries[index] = 1
        if len(group) > 1 or group[0] in map(itemgetter(0), closing):
            network.loops[len(network.order)] = len(network.order) + len(active)
            if not any(_is_loop(nodes[index]) for index in group):
                network.cycle.update(active)
        network.order += active


def cuts(node: Node) -> bool:
    """Returns whether a node's rule says that the inputs' values do not matter."""
    op = rule_of(node)
    return op is not None and op.relations is None


def clamps(node: Node) -> bool:
    """Returns whether a node reads border positions in place of positions outside."""
    op = rule_of(node)
    return op is not None and op.clamps


def _is_loop(node: Node) -> bool:
    """Returns whether a cycle through this node is a loop of the framework."""
    op = rule_of(node)
    return op is not None and op.starts_over


class _Sight(NamedTuple):
    """Answers the questions of rules about a network; implements `rules.op.Sight`."""

    network: Network

    def carries(self, tensor: Tensor) -> bool:
        """Returns whether a tensor depends on the input."""
        return bool(self.network.carries[tensor[0]]) and self.network.has(tensor)

    def is_alike(self, one: Tensor, two: Tensor) -> bool:
        """Returns whether two tensors see the same positions.

        The positions are those of the tensor where all paths from the two tensors meet.
        Returns False if it is unknown whether they see the same positions.
        """
        if self.network.loops or self.network.cycle:
            return False
        try:
            self._choose_below(max(one[0], two[0], key=self.network.place))
            meeting = self._met({one: SAME}, {two: SAME})
        except ReceptiveFieldError:
            return False  # The pass reports the error.
        if meeting is None:
            return False
        tensor, *paths = meeting
        rank = len(self.network.shape(tensor) or ())
        found = [None if p is None else ranked(p, rank) for p in map(settled, paths)]
        return None not in found and found[0] == found[1]

    def _met(self, *states: dict[Tensor, Paths]) -> tuple[Tensor, Paths, Paths] | None:
        """Returns the tensor where all downward paths from two tensors meet.

        Also returns the paths from each of the two tensors to that tensor. Returns None
        if the paths do not all meet at one tensor.

        Args:
          states: for each of the two tensors, a dictionary from the tensors that its
            paths have reached so far to these paths.
        """
        one, two = states
        while one and two:
            tensor = max({*one, *two}, key=lambda t: self.network.place(t[0]))
            if len(one) == len(two) == 1 and one.keys() == two.keys():
                return tensor, one[tensor], two[tensor]
            for state in states:
                paths = state.pop(tensor, None)
                if paths is not None:
                    self._descend(tensor, paths, state)
        return None

    def _descend(
        self, tensor: Tensor, paths: Paths, state: dict[Tensor, Paths]
    ) -> None:
        """Extends paths that lead to a tensor to the tensors that it reads.

        Adds the extended paths to ``state``.
        """
        node = self.network.graph.nodes[tensor[0]]
        rules = self.network.relations(tensor)
        for number, below in self.network.edges(tensor[0]):
            rule = rules[number]
            if rule is not None:
                rule = spelled(rule, below, self.network)
                found = combined(node, paths, rule)
                if found is not None:
                    state[below] = merged(node, state.get(below), found)

    def _choose_below(self, index: int) -> None:
        """Evaluates the rules of the ops that choose, from the lowest up to a node.

        Each rule can then look up the results of the rules below it, and does not start
        a long chain of evaluations.
        """
        network = self.network
        for below in network.needed[: network.place(index) + 1]:
            if network.carries[below] and below not in self.network.known.worked_out:
                op = rule_at(network.graph, below)
                if op is not None and op.chooses:
                    network.relations((below, 0))


def spelled(rule: Relation, below: Tensor, network: Network) -> Relation:
    """Returns a rule in which `ALL` or `ALL_BOUND` is spelled out axis by axis.

    Any other rule is returned unchanged, and so is every rule if the rank is unknown.
    """
    shape = network.shape(below) if rule in (ALL, ALL_BOUND) else None
    return rule if shape is None else full(len(shape), exact=rule == ALL)


def combined(node: Node, upper: Paths, lower: Relation) -> Paths | None:
    """Returns the composition of paths with the rule of the edge below them.

    Returns None if the composition sees nothing.

    Raises:
      GraphError: if the ranks of the paths and the rule differ.
    """
    if lower == SAME and isinstance(upper, Relation) and upper.piece is None:
        return upper
    try:
        return through(upper, lower)
    except IndexError:
        raise rank_error(node) from None
    except ExhaustedError as error:
        raise error.at(f"{node.op} node {node.name!r}") from None


def merged(node: Node, one: Paths | None, two: Paths) -> Paths:
    """Returns the union of the paths that two edges bring to a tensor.

    Raises:
      GraphError: if the ranks of the paths differ.
    """
    if one is None:
        return two
    try:
        return united(one, two)
    except IndexError:
        raise rank_error(node) from None
    except ExhaustedError as error:
        raise error.at(f"{node.op} node {node.name!r}") from None


def rank_error(node: Node) -> GraphError:
    """Returns the error for a node whose rule does not fit the rank of its inputs."""
    return GraphError(
        f"{node.op} node {node.name!r} does not fit the rank of the tensors that it "
        "reads, or that of the nodes that read it."
    )


def nearest_below(network: Network, chosen: Collection[int]) -> dict[int, set[int]]:
    """Returns, for each chosen node of the network, the nearest chosen nodes below it.

    These are the chosen nodes that it depends on through a path that contains no other
    chosen node.
    """
    start = network.input[0]
    below: dict[int, set[int]] = {start: {start} & set(chosen)}
    found = {}
    for index in network.order:
        read = (below.get(tensor[0], set()) for _, tensor in network.edges(index))
        below.setdefault(index, set()).update(*read)
        if index in chosen:
            found[index] = below[index]
            below[index] = {index}
    return found


Edge = tuple[Tensor, int]
"""An output of a node, and the number of an input that it depends on."""


def upstream(network: Network, edges: Iterable[Edge]) -> dict[int, tuple[str, ...]]:
    """Returns, for each node, the names of the upper nodes of the edges it depends on.

    Nodes that depend on none of the edges are left out.
    """
    nodes = network.graph.nodes
    own: dict[int, tuple[str, ...]] = {
        tensor[0]: (nodes[tensor[0]].name,) for tensor, _ in edges
    }
    found: dict[int, tuple[str, ...]] = {}
    for index in network.order if own else ():
        above = [found[t[0]] for _, t in network.edges(index) if t[0] in found]
        lists = list(dict.fromkeys([*above, *filter(None, [own.get(index)])]))
        if len(lists) == 1:
            found[index] = lists[0]
        elif lists:
            found[index] = tuple(
                dict.fromkeys(name for names in lists for name in names)
            )
    return found
