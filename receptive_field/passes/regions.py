"""Finds the regions that features see, in two passes over the network.

Both passes combine the relations of single ops and visit each node and edge once. The
backward pass (the paper's algorithm) starts at one output and finds how this output
depends on every tensor below. The forward pass, its dual, starts at the input and finds
how every tensor above depends on the input.
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
    of_any_part,
    settled,
    widened,
)
from receptive_field.relations.relation import (
    SAME,
    Axis,
    Relation,
    has_holes,
    has_phases,
    permutes,
    repeats,
    with_bounds,
)

State = dict[Tensor, Relation]
"""For each tensor, how it depends on the input (forward) or how the output depends on
it (backward). Tensors without such a dependency are left out."""


# --- Backward ------------------------------------------------------------------------


class Backward(NamedTuple):
    """The result of the backward pass."""

    state: State
    has_phases: bool
    """Whether the pass met a map that differs from position to position, such as the
    map of an upsampling op. Paths that are aligned above such a map may be misaligned
    below it."""
    has_parts: bool
    """Whether the pass met a relation that holds at some positions only, such as the
    relation to one part of a join along an axis of positions. Windows end at the edge
    of a part, so paths that are aligned above the join may be misaligned below it, or
    vice versa."""
    looks_outside: bool
    """Whether the pass met an op that may read outside its input. Only the forward pass
    can find out whether this adds pixels to a region (see `outside`)."""


class Below:
    """The domain of `descend` that finds how an output depends on tensors below it.

    Args:
      network: the network to walk over.
      overstated: for each edge, the axes on which its rule is only an upper bound, as
        found by the forward pass.
    """

    def __init__(
        self,
        network: Network,
        overstated: Mapping[Edge, Collection[int]] = MappingProxyType({}),
    ) -> None:
        self.has_phases = self.has_parts = self.looks_outside = False
        self._nodes = network.graph.nodes
        self._overstated = overstated
        self._looked_at: dict[int, Axis] = {}  # By id, as most axes are shared.
        self._over: dict[Relation, Paths | None] = {}
        """The paths over the edges of the tensor that is visited."""
        self._met: dict[tuple[int, int], tuple[Paths, Paths, Paths]] = {}
        """By their ids, two paths that met below this tensor, and their union."""

    def ready(self, tensor: Tensor, value: Paths) -> Paths | None:
        """Returns the paths after closing every join whose parts have all met."""
        self._over, self._met = {}, {}
        if isinstance(value, Relation):
            return value
        whole = gathered(value)
        if whole is not None:
            self.looks_outside |= _repeats(whole)
        return whole

    def down(self, read: Read, value: Paths) -> Paths | None:
        """Returns the paths, continued over an edge; None if the edge ends them."""
        rule = read.rule
        if rule != SAME:
            self.looks_outside |= clamps(read.node)
            for axis in rule.axes:
                if id(axis) not in self._looked_at:
                    self._looked_at[id(axis)] = axis
                    self.has_phases |= has_phases(axis)
                    self.has_parts |= has_holes(axis)
                    self.looks_outside |= permutes(axis)
            bounds = self._overstated.get((read.tensor, read.number), ())
            rule = with_bounds(rule, bounds)
            if rule.piece is not None and getattr(value, "piece", None) is None:
                return self._down_to_part(read.node, value, rule)
        found = combined(read.node, value, rule)
        self.has_parts |= found is not None and not isinstance(found, Relation)
        return found

    def _down_to_part(self, node: Node, value: Paths, rule: Relation) -> Paths | None:
        """Returns the paths, continued to a joined part.

        They are found once for all parts that can be treated alike, as those of a join
        of channels. A join may have as many parts as the network has layers.
        """
        rule = of_any_part(value, rule)
        if rule not in self._over:
            self._over[rule] = combined(node, value, rule)
        found = self._over[rule]
        self.has_parts |= found is not None and not isinstance(found, Relation)
        return found

    def united(self, tensor: Tensor, one: Paths, two: Paths) -> Paths:
        """Returns the union of the paths over two edges.

        Many parts of a join may be read by the same joins above it, too.
        """
        key = id(one), id(two)
        if key not in self._met:
            met = merged(self._nodes[tensor[0]], one, two)
            self._met[key] = one, two, met  # Kept, so that the ids stay theirs.
        return self._met[key][2]

    def widened(self, before: Paths, now: Paths) -> Paths:
        """Returns the paths, but each axis that still grows is needed whole."""
        return widened(before, now)


def backward(
    network: Network,
    output: Tensor,
    wanted: Collection[Tensor],
    overstated: Mapping[Edge, Collection[int]] = MappingProxyType({}),
) -> Backward:
    """Returns how the output depends on tensors below it, down to the input.

    Args:
      network: the network to analyse.
      output: the tensor to start from.
      wanted: the tensors for which to return a relation.
      overstated: for each edge, the axes on which its rule is only an upper bound, as
        found by the forward pass.

    Raises:
      ReceptiveFieldError: if any op of the network has no rule or cannot be analysed.
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
    """Returns whether a tensor whose parts were joined may repeat some positions."""
    return isinstance(joined, Relation) and any(map(repeats, joined.axes))


# --- Forward -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Forward:
    """The result of the forward pass."""

    state: State
    errors: dict[Tensor, ReceptiveFieldError]
    """For each tensor that could not be analysed, the error that says why."""
    global_edges: dict[Edge, None]
    """The edges at which local paths begin to depend on a whole axis of the input, in
    order."""
    local_state: State
    """How tensors above global edges depend on the input through local paths alone.
    Tensors that no local path reaches are left out."""
    reached: set[Tensor]
    """The tensors above global edges. For these tensors, the local paths are in
    `local_state`. For all other tensors, all paths are local and in `state`."""
    overstated: dict[Edge, set[int]]
    """For each edge over which an op reads outside its input and so may add pixels to a
    region, the axes on which this happens (see `outside`)."""

    def local(self, tensor: Tensor) -> Relation | None:
        """Returns how a tensor depends on the input through local paths alone."""
        return (self.local_state if tensor in self.reached else self.state).get(tensor)


class _Ways(NamedTuple):
    """All paths from a tensor to the input, and the local paths among them."""

    whole: Paths
    local: Paths | None
    """The local paths: those that avoid global edges. None if there are none."""
    apart: bool = False
    """Whether ``local`` has to be tracked separately from ``whole``."""


class _Above:
    """The domain of `ascend` that finds how tensors depend on the input."""

    def __init__(self, network: Network, spatial: Sequence[int]) -> None:
        self.global_edges: dict[Edge, None] = {}
        self.overstated: dict[Edge, set[int]] = {}
        self._network = network
        self._spatial = spatial

    def up(self, read: Read, value: _Ways) -> _Ways | None:
        """Returns the paths, continued over an edge. Records the edge if it is global.

        Returns None if the paths end at the edge.
        """
        if read.rule == SAME:
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
        """Returns paths continued over an edge, and the axes that are overstated.

        On the overstated axes, the rule of the edge is only an upper bound.
        """
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
        """Returns the union of the paths over two edges, and of their local paths."""
        node = self._network.graph.nodes[tensor[0]]
        whole = merged(node, one.whole, two.whole)
        if not (one.apart or two.apart):
            return _Ways(whole, whole)
        local = [ways.local for ways in (one, two) if ways.local is not None]
        return _Ways(whole, _all(node, local), True)

    def ready(self, tensor: Tensor, value: _Ways) -> _Ways | None:
        """Returns the paths with all joins closed; None if no paths are left."""
        whole = settled(value.whole)
        if whole is None:
            return None
        if not value.apart:
            return value if whole is value.whole else _Ways(whole, whole)
        return _Ways(whole, value.local and settled(value.local), True)

    def widened(self, before: _Ways, now: _Ways) -> _Ways:
        """Returns the paths, but each axis that still grows is needed whole."""
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
    """Returns how every tensor of the network depends on the input.

    An error at one node affects only that node and the nodes that depend on it.

    Args:
      network: the network to analyse.
      spatial: the axes of the input to check for global edges.
      asked: tensors to analyse even if nothing reads them. The first output of every
        node is always analysed.
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
    assert isinstance(paths, Relation), "a pass must close all joins at a tensor"
    return paths


def _becomes_global(before: Paths, after: Paths | None, spatial: Sequence[int]) -> bool:
    if after is None or after is before:
        return False
    return any(mixes(after, axis) and not mixes(before, axis) for axis in spatial)
