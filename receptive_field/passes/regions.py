"""What regions features see, by two walks over what lies between input and output.

Both combine the relations of single ops, one visit per node and edge. Backward (the
paper's algorithm) starts at one output and answers for every tensor below it;
forward, its dual, starts at the input and answers for every tensor above it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Node, Tensor
from receptive_field.network.network import (
    Edge,
    Network,
    clamps,
    combined,
    merged,
    rank_error,
)
from receptive_field.network.walk import Read, ascend, descend
from receptive_field.passes.outside import overstated_axes
from receptive_field.relations.joins import (
    Paths,
    gathered,
    mixes,
    settled,
    widened,
)
from receptive_field.relations.relation import (
    SAME,
    Relation,
    has_holes,
    has_phases,
    permutes,
    repeats,
    with_bounds,
)

State = dict[Tensor, Relation]
"""For each tensor, how it depends on the input (forward), or how the output depends
on it (backward). Tensors without dependency are not in it."""


# --- Backward ------------------------------------------------------------------------


class Backward(NamedTuple):
    """What the backward pass finds."""

    state: State
    has_phases: bool
    """Whether it met a map that is not the same for all positions, such as an
    upsampling. Paths that are aligned above it may not be below."""
    has_parts: bool
    """Whether it met what holds at some positions only, such as a part of what is
    joined along an axis with positions. Windows end there, so that paths that are
    aligned above it may not be below, or the other way round."""
    looks_outside: bool
    """Whether it met an op of which only the forward pass tells whether what it reads
    outside of its input is in sight: see `outside`."""


class Below:
    """How an output depends on what lies below it: a domain of `descend`.

    Args:
      network: what is walked over.
      overstated: axes on which rules are bounds, as the forward pass finds them.
    """

    def __init__(
        self,
        network: Network,
        overstated: Mapping[Edge, Collection[int]] = MappingProxyType({}),
    ) -> None:
        self.has_phases = self.has_parts = self.looks_outside = False
        self._nodes = network.graph.nodes
        self._overstated = overstated
        self._looked_at: dict[int, Relation] = {}  # By identity: most are shared.

    def ready(self, tensor: Tensor, value: Paths) -> Paths | None:
        """The paths as one, where all parts of what is joined have come together."""
        if isinstance(value, Relation):
            return value
        whole = gathered(value)
        if whole is not None:
            self.looks_outside |= _repeats(whole)
        return whole

    def down(self, read: Read, value: Paths) -> Paths | None:
        """The path that goes on over an edge."""
        rule = read.rule
        if rule is not SAME:
            if id(rule) not in self._looked_at:
                self._looked_at[id(rule)] = rule
                self.has_phases |= has_phases(rule)
                self.has_parts |= has_holes(rule)
                self.looks_outside |= clamps(read.node)
                self.looks_outside |= any(map(permutes, rule.axes))
            bounds = self._overstated.get((read.tensor, read.number), ())
            rule = with_bounds(rule, bounds)
        found = combined(read.node, value, rule)
        self.has_parts |= found is not None and not isinstance(found, Relation)
        return found

    def united(self, tensor: Tensor, one: Paths, two: Paths) -> Paths:
        """Both."""
        return merged(self._nodes[tensor[0]], one, two)

    def widened(self, before: Paths, now: Paths) -> Paths:
        """Everything, on an axis on which it grew."""
        return widened(before, now)


def backward(
    network: Network,
    output: Tensor,
    wanted: Collection[Tensor],
    overstated: Mapping[Edge, Collection[int]] = MappingProxyType({}),
) -> Backward:
    """How the output depends on tensors below it, down to the input.

    Args:
      network: what is analysed.
      output: where it starts.
      wanted: the tensors that are asked about.
      overstated: axes on which rules are bounds, as the forward pass finds them.

    Raises:
      ReceptiveFieldError: if any op of the network has no rule, or cannot be analysed.
    """
    domain = Below(network, overstated)
    state = descend(network, {output: SAME}, domain, wanted)
    closed: State = {}
    looks_outside = domain.looks_outside
    for tensor in wanted:
        paths = state.get(tensor)
        relation = None if paths is None else settled(paths)
        if relation is not None:
            closed[tensor] = relation
            looks_outside |= relation is not paths and _repeats(relation)
    return Backward(closed, domain.has_phases, domain.has_parts, looks_outside)


def _repeats(joined: Paths) -> bool:
    """Whether parts have been joined to a tensor that holds the same again."""
    return isinstance(joined, Relation) and any(map(repeats, joined.axes))


# --- Forward -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Forward:
    """What the forward pass finds."""

    state: State
    errors: dict[Tensor, ReceptiveFieldError]
    """Why tensors could not be analysed."""
    global_edges: dict[Edge, None]
    """Where local paths come to depend on a whole axis of the input, in order."""
    local_state: State
    """The state without the paths over these edges, where that differs."""
    reached: set[Tensor]
    """The tensors where it differs."""
    overstated: dict[Edge, set[int]]
    """Where positions outside of what is read fall on the input, the axes of that:
    see `outside`."""

    def local(self, tensor: Tensor) -> Relation | None:
        """How a tensor depends on the input without the paths over global edges."""
        return (self.local_state if tensor in self.reached else self.state).get(tensor)


class _Ways(NamedTuple):
    """How a tensor depends on the input."""

    whole: Paths
    local: Paths | None
    """Without the paths over global edges; None if there are no others."""
    apart: bool = False
    """Whether that differs."""


class _Above:
    """How tensors depend on the input, by all and by local paths: for `ascend`."""

    def __init__(self, network: Network, spatial: Sequence[int]) -> None:
        self.global_edges: dict[Edge, None] = {}
        self.overstated: dict[Edge, set[int]] = {}
        self._network = network
        self._spatial = spatial

    def up(self, read: Read, value: _Ways) -> _Ways | None:
        """The ways over an edge; it may be where they become global."""
        if read.rule is SAME:
            return value
        edge = read.tensor, read.number
        path, seeming = self._over(read, value.whole)
        if seeming:
            self.overstated[edge] = seeming
        before, local = value.local, path if value.local is not None else None
        if value.apart and before is not None:
            local, _ = self._over(read, before)
        if before is not None and _becomes_global(before, local, self._spatial):
            self.global_edges[edge] = None
            local = None
        return None if path is None else _Ways(path, local, local is not path)

    def _over(self, read: Read, value: Paths) -> tuple[Paths | None, set[int]]:
        """A way over an edge, and the axes on which it is overstated."""
        network, node, below = self._network, read.node, settled(value)
        if below is None:
            return None, set()
        tensors = (read.tensor, read.below, network.input)
        try:
            seeming = overstated_axes(
                read.rule, below, clamps(node), lambda: [*map(network.shape, tensors)]
            )
        except IndexError:
            raise rank_error(node) from None
        return combined(node, with_bounds(read.rule, seeming), below), seeming

    def united(self, tensor: Tensor, one: _Ways, two: _Ways) -> _Ways:
        """Both; what is local of one alone stays local."""
        node = self._network.graph.nodes[tensor[0]]
        whole = merged(node, one.whole, two.whole)
        if not (one.apart or two.apart):
            return _Ways(whole, whole)
        local = [ways.local for ways in (one, two) if ways.local is not None]
        return _Ways(whole, _all(node, local), True)

    def ready(self, tensor: Tensor, value: _Ways) -> _Ways | None:
        """What parts that are joined see together."""
        whole = settled(value.whole)
        if whole is None:
            return None
        if not value.apart:
            return value if whole is value.whole else _Ways(whole, whole)
        return _Ways(whole, value.local and settled(value.local), True)

    def widened(self, before: _Ways, now: _Ways) -> _Ways:
        """Everything, on an axis on which it grew."""
        whole = now.whole
        if whole != before.whole:
            whole = widened(before.whole, whole)
        if not now.apart:
            return _Ways(whole, whole)
        local = now.local
        if before.apart and before.local is not None and local is not None:
            local = local if local == before.local else widened(before.local, local)
        return _Ways(whole, local, True)


def _all(node: Node, paths: Sequence[Paths]) -> Paths | None:
    found: Paths | None = None
    for path in paths:
        found = merged(node, found, path)
    return found


def forward(
    network: Network, spatial: Sequence[int] = (), asked: Iterable[Tensor] = ()
) -> Forward:
    """How every tensor of the network depends on the input.

    A node that cannot be analysed fails itself and all that depends on it, no more.

    Args:
      network: what is analysed.
      spatial: the axes of the input that count for global edges.
      asked: tensors that are wanted although nothing reads them; the first output of
        every node always is.
    """
    domain = _Above(network, spatial)
    found, errors = ascend(network, _Ways(SAME, SAME), domain, asked)
    state: State = {}
    local_state: State = {}
    for tensor, ways in found.items():
        state[tensor] = _closed(ways.whole)
        if ways.apart and ways.local is not None:
            local_state[tensor] = _closed(ways.local)
    reached = {tensor for tensor, ways in found.items() if ways.apart}
    edges, overstated = domain.global_edges, domain.overstated
    return Forward(state, errors, edges, local_state, reached, overstated)


def _closed(paths: Paths) -> Relation:
    assert isinstance(paths, Relation), "a tensor's paths are settled before it is left"
    return paths


def _becomes_global(before: Paths, after: Paths | None, spatial: Sequence[int]) -> bool:
    if after is None or after is before:
        return False
    return any(mixes(after, axis) and not mixes(before, axis) for axis in spatial)
