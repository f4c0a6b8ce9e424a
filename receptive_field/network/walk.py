"""Walks over a network, which hand on values from tensor to tensor.

A *domain* defines the values, and how they step over an edge::

    descend(network, starts, domain)        from outputs down to the input
      domain.ready(tensor, value)             completes it after all readers are seen
      domain.down(read, value)                steps to the tensor that is read
      domain.united(tensor, one, two)         unites the values of two edges
    ascend(network, start, domain)          from the input up to the outputs
      domain.up(read, value)                  steps to the tensor that reads
      domain.united(tensor, one, two)         unites the values of two edges
      domain.ready(tensor, value)             completes it after all inputs are seen

Each tensor is visited once, except in loops, which are visited until they settle.
Missing rules, nodes that fail, and loops are handled here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar

from receptive_field.errors import ReceptiveFieldError, UnsupportedOpsError
from receptive_field.graph.graph import Node, Tensor
from receptive_field.network.network import Network, spelled
from receptive_field.relations.relation import ALL_BOUND, Relation
from receptive_field.rules.op import rule_of

V = TypeVar("V")


class Read(NamedTuple):
    """An edge from a tensor to one that it depends on."""

    tensor: Tensor
    number: int
    """The number of the input of ``node``."""
    below: Tensor
    """The tensor that is read."""
    rule: Relation
    """How the tensor that is read follows the tensor that reads it."""
    node: Node
    """The node of ``tensor``."""


class Domain(Protocol[V]):
    """The values that a walk hands on, and how; see the docstring of the module."""

    def united(self, tensor: Tensor, one: V, two: V) -> V:
        """Returns the union of the values that two edges hand to a tensor."""

    def ready(self, tensor: Tensor, value: V) -> V | None:
        """Returns the final value of a tensor, or None if it has none to hand on."""

    def widened(self, before: V, now: V) -> V:
        """Returns a value for all rounds of a loop, if one grew from before to now."""


class Descent(Domain[V], Protocol):
    """A domain for `descend`."""

    def down(self, read: Read, value: V) -> V | None:
        """Returns the value that steps down an edge, or None if there is none."""


class Ascent(Domain[V], Protocol):
    """A domain for `ascend`."""

    def up(self, read: Read, value: V) -> V | None:
        """Returns the value that steps up an edge, or None if there is none."""


def reads(network: Network, tensor: Tensor) -> list[Read]:
    """Returns the edges from a tensor to those that it depends on.

    Raises:
      ReceptiveFieldError: if its op has no rule, or cannot be analysed.
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


# --- Down ----------------------------------------------------------------------------


def descend(
    network: Network,
    starts: Mapping[Tensor, V],
    domain: Descent[V],
    wanted: Collection[Tensor] = (),
) -> dict[Tensor, V]:
    """Walks from some tensors down to the input, and returns the values of tensors.

    Args:
      network: the network.
      starts: the values of the tensors where the walk starts.
      domain: the values, and how they are handed on.
      wanted: tensors whose values are kept, besides the input's. In a network without
        loops, all others are dropped, because sets of positions may be large.

    Raises:
      ReceptiveFieldError: if any op of the network has no rule, or cannot be analysed.
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
            missing.add(tensor[0])  # The walk goes on, to find all missing rules.
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
        raise UnsupportedOpsError(names)
    return state


# --- Up ------------------------------------------------------------------------------


class Found(NamedTuple, Generic[V]):
    """The result of `ascend`."""

    state: dict[Tensor, V]
    """Tensors and their values."""
    errors: dict[Tensor, ReceptiveFieldError]
    """Tensors that could not be analysed, and why."""


def ascend(
    network: Network, start: V, domain: Ascent[V], asked: Iterable[Tensor] = ()
) -> Found[V]:
    """Walks from the input up, and returns the values of tensors.

    If a node cannot be analysed, only it and the nodes that depend on it fail.

    Args:
      network: the network.
      start: the value of the input.
      domain: the values, and how they are handed on.
      asked: tensors that are wanted even if nothing reads them. The first output of
        every node is always wanted.
    """
    state, errors = found = Found({network.input: start}, {})
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
    return found


def tensors_below(
    network: Network, starts: Iterable[Tensor], goes_on: Callable[[Tensor], bool]
) -> Iterator[Tensor]:
    """Yields all tensors on the paths down from some tensors, each of them once.

    Args:
      network: the network.
      starts: where the paths start. They are only yielded if they are read further up.
      goes_on: whether the paths through a tensor continue, or end with it.
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
    """Yields the tensors that nodes of a network read, as often as they are read."""
    for index in network.order:
        for _, tensor in network.edges(index):
            yield tensor


def outputs_wanted(
    network: Network, asked: Iterable[Tensor]
) -> dict[int, list[Tensor]]:
    """Returns all wanted outputs, for each node with more than its first one wanted."""
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
    """Visits all nodes in order, or in reverse order, and loops until they settle.

    A value that still grows in the second round of a loop would grow in every further
    round, so each round after the first one widens it.
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
