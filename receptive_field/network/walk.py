"""Walks over a network, which pass values from tensor to tensor.

A *domain* defines the values, and how they pass along an edge::

    descend(network, starts, domain)        from outputs down to the input
      domain.ready(tensor, value)             completes a value once readers are visited
      domain.down(read, value)                passes a value to the tensor that is read
      domain.united(tensor, one, two)         unites the values of two edges
    ascend(network, start, domain)          from the input up to the outputs
      domain.up(read, value)                  passes a value to the tensor that reads
      domain.united(tensor, one, two)         unites the values of two edges
      domain.ready(tensor, value)             completes a value once inputs are visited

Each tensor is visited once, except in a loop, whose tensors are visited until their
values settle. Only this module handles missing rules, nodes that fail, and loops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeVar

from receptive_field.errors import ReceptiveFieldError, UnsupportedOpsError
from receptive_field.graph.graph import Node, Tensor
from receptive_field.network.network import Network, spelled
from receptive_field.relations.relation import ALL_BOUND, SAME, Relation, follow
from receptive_field.rules.op import rule_of

V = TypeVar("V")


class Read(NamedTuple):
    """An edge from a tensor to a tensor that it depends on."""

    tensor: Tensor
    """The tensor that depends on ``below``."""
    number: int
    """The number of the input of ``node`` that reads ``below``."""
    below: Tensor
    """The tensor that is read."""
    rule: Relation
    """How ``below`` follows ``tensor``, axis by axis."""
    node: Node
    """The node that ``tensor`` is an output of."""


class Domain(Protocol[V]):
    """The operations on the values that a walk passes on; see the module docstring."""

    def united(self, tensor: Tensor, one: V, two: V) -> V:
        """Returns the union of the values that two edges bring to a tensor."""

    def ready(self, tensor: Tensor, value: V) -> V | None:
        """Returns the completed value of a tensor, or None to pass no value on."""

    def widened(self, before: V, now: V) -> V:
        """Returns a value that covers all further iterations of a loop.

        In one iteration, the value grew from ``before`` to ``now``.
        """


class Descent(Domain[V], Protocol):
    """A domain for `descend`."""

    def down(self, read: Read, value: V) -> V | None:
        """Returns the value that this edge passes to ``read.below``.

        ``value`` is the value of ``read.tensor``. Returns None if the edge passes no
        value.
        """


class Ascent(Domain[V], Protocol):
    """A domain for `ascend`."""

    def up(self, read: Read, value: V) -> V | None:
        """Returns the value that this edge passes to ``read.tensor``.

        ``value`` is the value of ``read.below``. Returns None if the edge passes no
        value.
        """


def reads(network: Network, tensor: Tensor) -> list[Read]:
    """Returns the edges from a tensor to the tensors that it depends on.

    Raises:
      ReceptiveFieldError: if the tensor's op has no rule, or cannot be analysed.
    """
    node = network.graph.nodes[tensor[0]]
    rules = network.relations(tensor)
    found = []
    for number, below in network.edges(tensor[0]):
        rule = rules[number]
        if rule is not None:
            rule = spelled(rule, below, network)
            found.append(Read(tensor, number, below, rule, node))
    return found


def read_beside(network: Network, tensor: Tensor) -> list[Tensor]:
    """Returns the tensors that a tensor depends on, but that no edge leads to.

    Their values do not depend on the values of the network's input. Examples are
    weights, and tensors that give sizes.

    Raises:
      ReceptiveFieldError: if the tensor's op has no rule, or cannot be analysed.
    """
    edges = {number for number, _ in network.edges(tensor[0])}
    inputs = network.graph.inputs[tensor[0]]
    return [
        inputs[number]
        for number, rule in enumerate(network.relations(tensor))
        if rule is not None and number not in edges
    ]


def count_changing(network: Network) -> int:
    """Returns how many nodes do more than pass one tensor on as it is."""
    return sum(not _passes_on(network, index) for index in network.order)


def _passes_on(network: Network, index: int) -> bool:
    """Returns whether a node reads one tensor, and each axis follows the same axis."""
    if len(network.edges(index)) != 1:
        return False
    try:
        rules = [read.rule for read in reads(network, (index, 0))]
    except ReceptiveFieldError:
        return False
    if len(rules) != 1:  # It reads the shape only.
        return False
    (rule,) = rules
    return rule in (SAME, Relation(tuple(map(follow, range(len(rule.axes))))))


# --- Down ----------------------------------------------------------------------------


def descend(
    network: Network,
    starts: Mapping[Tensor, V],
    domain: Descent[V],
    wanted: Collection[Tensor] = (),
) -> dict[Tensor, V]:
    """Walks from some tensors down to the input, and returns the values that it keeps.

    Args:
      network: the network.
      starts: the tensors where the walk starts, and their values.
      domain: the operations on the values.
      wanted: the tensors whose values are kept, in addition to the input. In a network
        without loops, all other values are dropped, because sets of positions may be
        large.

    Raises:
      ReceptiveFieldError: if an op that the walk reaches has no rule, or cannot be
        analysed.
    """
    nodes = network.graph.nodes
    state = dict(starts)
    missing: set[int] = set()
    reached: dict[int, list[Tensor]] = {}
    for tensor in starts:
        reached.setdefault(tensor[0], []).append(tensor)

    def edges(tensor: Tensor) -> list[Read]:
        try:
            return reads(network, tensor)
        except UnsupportedOpsError:
            missing.add(tensor[0])  # The walk continues, to find all missing rules.
            node = nodes[tensor[0]]
            return [
                Read(tensor, number, below, ALL_BOUND, node)
                for number, below in network.edges(tensor[0])
            ]

    def visit(index: int) -> None:
        for tensor in reached.get(index, ()):
            value = domain.ready(tensor, state[tensor])
            if value is None:
                continue
            state[tensor] = value
            for read in edges(tensor):
                found, below = domain.down(read, value), read.below
                if found is None:
                    continue
                before = state.get(below)
                if before is None:
                    reached.setdefault(below[0], []).append(below)
                    state[below] = found
                else:
                    state[below] = domain.united(below, before, found)
            if not network.loops and tensor not in wanted:
                del state[tensor]

    _settle(network, state, visit, domain, backward=True)
    if missing:
        names: dict[str, list[str]] = {}
        for node in (nodes[index] for index in sorted(missing)):
            names.setdefault(node.op, []).append(node.name)
        raise UnsupportedOpsError(names, network.graph.framework.name)
    return state


# --- Up ------------------------------------------------------------------------------


def ascend(
    network: Network, start: V, domain: Ascent[V], asked: Iterable[Tensor] = ()
) -> tuple[dict[Tensor, V], dict[Tensor, ReceptiveFieldError]]:
    """Walks up from the input, and returns the values of all tensors that are wanted.

    If a node cannot be analysed, only this node and those that depend on it get errors,
    which are returned beside the values.

    Args:
      network: the network.
      start: the value of the input.
      domain: the operations on the values.
      asked: tensors that are wanted even if no node reads them. The first output of
        every node is always wanted.
    """
    state = {network.input: start}
    errors: dict[Tensor, ReceptiveFieldError] = {}
    wanted = outputs_wanted(network, asked)
    looping = network.in_loop()

    def collected(tensor: Tensor) -> V | None:
        if errors:
            broken = (t for _, t in network.edges(tensor[0]) if t in errors)
            first = next(broken, None)
            if first is not None and rule_of(network.graph.nodes[tensor[0]]) is None:
                raise errors[first]
        value = state.get(tensor) if tensor[0] in looping else None
        for read in reads(network, tensor):
            if read.below in errors:
                raise errors[read.below]
            below = state.get(read.below)
            over = None if below is None else domain.up(read, below)
            if over is not None:
                value = over if value is None else domain.united(tensor, value, over)
        return None if value is None else domain.ready(tensor, value)

    def visit(index: int) -> None:
        for tensor in wanted.get(index, [(index, 0)]):
            try:
                value = collected(tensor)
            except ReceptiveFieldError as error:
                errors[tensor] = error
            else:
                if value is not None:
                    state[tensor] = value

    _settle(network, state, visit, domain)
    return state, errors


def tensors_below(
    network: Network, starts: Iterable[Tensor], goes_on: Callable[[Tensor], bool]
) -> Iterator[Tensor]:
    """Yields each tensor on the paths down from some tensors exactly once.

    Args:
      network: the network.
      starts: the tensors where the paths start. A start is yielded only if a path leads
        back to it.
      goes_on: a function that returns whether paths continue below a tensor.
    """
    found: set[Tensor] = set()
    waiting = [start for start in starts if start != network.input]
    while waiting:
        for _, tensor in network.edges(waiting.pop()[0]):
            if tensor not in found:
                found.add(tensor)
                if tensor != network.input and goes_on(tensor):
                    waiting.append(tensor)
                yield tensor


def tensors_read(network: Network) -> Iterator[Tensor]:
    """Yields the tensors that a network's nodes read, once for each edge."""
    for index in network.order:
        for _, tensor in network.edges(index):
            yield tensor


def outputs_wanted(
    network: Network, asked: Iterable[Tensor]
) -> dict[int, list[Tensor]]:
    """Returns the wanted outputs of each node that has several wanted outputs.

    For a node that is missing from the result, only the first output is wanted.
    """
    read: dict[int, set[int]] = {}
    for index, number in {*asked, *tensors_read(network)}:
        if number:
            read.setdefault(index, {0}).add(number)
    return {index: [(index, k) for k in sorted(ks)] for index, ks in read.items()}


# --- Loops ---------------------------------------------------------------------------


def _settle(
    network: Network,
    state: dict[Tensor, V],
    visit: Callable[[int], None],
    domain: Domain[V],
    backward: bool = False,
) -> None:
    """Visits all nodes in order or in reverse order, and each loop until it settles.

    A value that still grows in the second iteration of a loop would grow in every
    further iteration. Therefore, values that grow are widened in each iteration after
    the first.
    """
    order = network.order
    if not network.loops:
        for index in reversed(order) if backward else order:
            visit(index)
        return
    starts = {stop: start for start, stop in network.loops.items()}
    ends = starts if backward else network.loops
    step = -1 if backward else 1
    position = len(order) if backward else 0
    while position != (0 if backward else len(order)):
        end = ends.get(position, position + step)
        indices = order[min(position, end) : max(position, end)][::step]
        for index in indices:
            visit(index)
        if position in ends:
            while _round(state, indices, visit, domain):
                pass
        position = end


def _round(
    state: dict[Tensor, V],
    indices: Iterable[int],
    visit: Callable[[int], None],
    domain: Domain[V],
) -> bool:
    """Visits the nodes of a loop once more, and returns whether a value changed."""
    members = set(indices)
    before = {t: value for t, value in state.items() if t[0] in members}
    for index in indices:
        visit(index)
    grown = False
    for tensor, value in state.items():
        if tensor[0] not in members or value == before.get(tensor):
            continue
        if tensor in before:
            value = state[tensor] = domain.widened(before[tensor], value)
        grown |= value != before.get(tensor)
    return grown
