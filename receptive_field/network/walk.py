"""Walks over a network: what is known of one tensor is handed on to others.

What it is, and how it steps over an edge, is a *domain*::

    descend(network, starts, domain)        from outputs down to the input
      domain.ready(tensor, value)             all that reads the tensor has been seen
      domain.down(read, value)                what the tensor that is read is handed
      domain.united(tensor, one, two)         two edges lead to one tensor
    ascend(network, domain)                 from the input up to the outputs
      domain.up(read, value)                  what the reader is handed
      domain.united(tensor, one, two)
      domain.ready(tensor, value)             all that the tensor reads has been seen

Each tensor is looked at once, loops until they settle. Missing rules, propagation that
was stopped, and loops are handled here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar

from receptive_field.errors import ReceptiveFieldError, UnsupportedOpsError
from receptive_field.graph.graph import Node, Tensor
from receptive_field.network.network import Network, spelled
from receptive_field.relations.relation import ALL_BOUND, Relation
from receptive_field.rules.op import rule_of

V = TypeVar("V")


class Read(NamedTuple):
    """An edge: what a tensor reads, and how it follows that."""

    tensor: Tensor
    number: int
    """Which input of the node it is."""
    below: Tensor
    """The tensor that is read."""
    rule: Relation
    node: Node
    """That of ``tensor``."""


class Domain(Protocol[V]):
    """What a walk hands on; see the module."""

    def united(self, tensor: Tensor, one: V, two: V) -> V:
        """What two edges to a tensor hand it together."""

    def ready(self, tensor: Tensor, value: V) -> V | None:
        """A tensor's value, now that it is complete; None if nothing is handed on."""

    def widened(self, before: V, now: V) -> V:
        """What holds after all rounds of a loop, if it still grew in the second one."""


class Descent(Domain[V], Protocol):
    """What is handed down."""

    def down(self, read: Read, value: V) -> V | None:
        """What is handed over an edge; None if nothing is."""


class Ascent(Domain[V], Protocol):
    """What is handed up."""

    def up(self, read: Read, value: V) -> V | None:
        """What is handed over an edge; None if nothing is."""


def reads(network: Network, tensor: Tensor) -> list[Read]:
    """The edges from a tensor to those that it depends on.

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
    """What tensors below some others are handed, down to the input.

    Args:
      network: what is walked over.
      starts: what the walk starts with.
      domain: what is handed on.
      wanted: the tensors whose values are kept, beside the input; others are let go
        where there are no loops, since sets of positions may be large.

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
            missing.add(tensor[0])  # What lies below may have no rule either.
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
    """What a walk upwards finds."""

    state: dict[Tensor, V]
    errors: dict[Tensor, ReceptiveFieldError]
    """Why tensors could not be analysed."""


def ascend(
    network: Network, start: V, domain: Ascent[V], asked: Iterable[Tensor] = ()
) -> Found[V]:
    """What tensors above the input are handed.

    A node that cannot be analysed fails itself and all that depends on it, no more.

    Args:
      network: what is walked over.
      start: what the input has.
      domain: what is handed on.
      asked: tensors that are wanted although nothing reads them; the first output of
        every node always is.
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


def outputs_wanted(
    network: Network, asked: Iterable[Tensor]
) -> dict[int, list[Tensor]]:
    """For each node of which more than the first output is wanted: all that are."""
    read: dict[int, set[int]] = {}
    tensors = set(asked)
    for index in network.order:
        for _, tensor in network.edges(index):
            if tensor[1]:
                tensors.add(tensor)
    for index, number in tensors:
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
    """Visits all nodes in their order (or against it), loops until they settle.

    What still grows in the second round of a loop would grow with every further one.
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
    """Visits the nodes of a loop once more; whether that made a difference."""
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
