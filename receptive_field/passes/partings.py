"""Where two paths that are not aligned meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from receptive_field.algebra.axis_map import AxisMap
from receptive_field.graph.graph import Node, Tensor
from receptive_field.network.inference import Inference
from receptive_field.network.network import Scope
from receptive_field.passes.regions import backward, forward
from receptive_field.relations.joins import Paths, settled
from receptive_field.relations.relation import Relation, followed_axes, ranked, source


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where two paths from a tensor to the output disagree."""

    tensor: str
    paths: tuple[str, str]
    maps: tuple[AxisMap, AxisMap]


def find_misalignment(
    scope: Scope, inference: Inference, output: Tensor, axes: Sequence[int], rank: int
) -> Meeting | None:
    """The first tensor, from the output down, where two paths are misaligned.

    ``axes`` are the axes of the input (of this rank) that count.
    """
    from_input = forward(scope, inference).state
    came_through: dict[Tensor, str] = {}
    meetings: list[Meeting] = []

    def arrival(tensor: Tensor, before: Paths | None, path: Paths, node: Node) -> None:
        if before is not None and tensor in from_input and not meetings:
            counted = _positions(ranked(from_input[tensor], rank), axes)
            maps = _disagreement(settled(before), settled(path), counted)
            if maps is not None:
                names = (came_through[tensor], node.name)
                meetings.append(Meeting(scope.graph.name_of(tensor), names, maps))
        came_through[tensor] = node.name

    backward(scope, inference, output, (), arrival)
    return meetings[0] if meetings else None


def _positions(relation: Relation, axes: Sequence[int]) -> set[int]:
    """The axes of a tensor that hold positions of the input's axes."""
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
