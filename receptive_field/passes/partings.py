"""Finds the tensor where two misaligned paths meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from receptive_field.algebra.axis_map import AxisMap
from receptive_field.graph.graph import Tensor
from receptive_field.network.network import Network
from receptive_field.network.walk import Read, descend
from receptive_field.passes.regions import Below, forward
from receptive_field.relations.joins import Paths, settled
from receptive_field.relations.relation import (
    SAME,
    Relation,
    followed_axes,
    ranked,
    source,
)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A tensor from which two paths to the output are misaligned.

    For each path, ``paths`` holds the name of the node that reads the tensor, and
    ``maps`` holds the map on the axis where the two paths differ.
    """

    tensor: str
    paths: tuple[str, str]
    maps: tuple[AxisMap, AxisMap]


class _Partings(Below):
    """The domain of a backward pass that also records the first misaligned paths."""

    def __init__(self, network: Network, axes: Sequence[int], rank: int) -> None:
        super().__init__(network)
        self.meeting: Meeting | None = None
        self._from_input = forward(network).state
        self._name_of = network.graph.name_of
        self._axes, self._rank = axes, rank
        self._through: dict[Tensor, tuple[str, str]] = {}
        """For each tensor, the last two of its readers that were visited."""

    def down(self, read: Read, value: Paths) -> Paths | None:
        """Returns the paths, continued over an edge; None if the edge ends them."""
        found = super().down(read, value)
        if found is not None:
            _, last = self._through.get(read.below, ("", ""))
            self._through[read.below] = last, read.node.name
        return found

    def united(self, tensor: Tensor, one: Paths, two: Paths) -> Paths:
        """Returns the union of two paths, and records the first misaligned pair."""
        if tensor in self._from_input and self.meeting is None:
            relation = ranked(self._from_input[tensor], self._rank)
            counted = _positions(relation, self._axes)
            maps = _disagreement(settled(one), settled(two), counted)
            if maps is not None:
                name, paths = self._name_of(tensor), self._through[tensor]
                self.meeting = Meeting(name, paths, maps)
        return super().united(tensor, one, two)


def find_misalignment(
    network: Network, output: Tensor, axes: Sequence[int], rank: int
) -> tuple[Meeting | None, bool]:
    """Finds the tensor nearest the output where two paths are misaligned.

    Args:
      network: the network to analyse.
      output: the tensor that is not aligned.
      axes: the axes of the input to look at.
      rank: the rank of the input.

    Returns:
      The meeting (None if no tensor was found), and whether the map of some op differs
      from position to position (see `Backward.has_phases`). If it does, paths may be
      misaligned although they are aligned where they meet.
    """
    domain = _Partings(network, axes, rank)
    descend(network, {output: SAME}, domain)
    return domain.meeting, domain.has_phases


def _positions(relation: Relation, axes: Sequence[int]) -> set[int]:
    """Returns the axes of a tensor that the given axes of the input follow."""
    return set[int]().union(*(followed_axes(relation.axes[axis]) for axis in axes))


def _disagreement(
    one: Relation | None, two: Relation | None, axes: set[int]
) -> tuple[AxisMap, AxisMap] | None:
    if one is None or two is None:
        return None
    rank = max(len(one.axes), len(two.axes), max(axes, default=-1) + 1)
    for axis in sorted(axes):
        (first, a), (second, b) = (
            source(ranked(relation, rank).axes[axis]) for relation in (one, two)
        )
        if first is None or second is None:
            continue
        if a.aligned is False or b.aligned is False:
            continue
        if first != second or (a | b).aligned is False:
            return a, b
    return None
