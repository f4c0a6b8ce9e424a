"""How tensors depend on those just below them, for what follows regions on the way.

Between two tensors that are looked at (*stops*) lie others: copies, and those whose
axes hold positions in parts, as the phases of a SpaceToBatch do. What is between is
composed by the relations of the backward pass, from each stop down to the next ones; so
nothing is lost that an axis map of each axis can say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from receptive_field.analysis import Forward, State, backward, relations
from receptive_field.axis_map import (
    EVERYTHING,
    IDENTITY,
    INFINITY,
    AxisMap,
    Floating,
    constant,
)
from receptive_field.graph.axes import (
    ALL_BOUND,
    SAME,
    Relation,
    followed_axes,
    ranked,
    source,
)
from receptive_field.graph.graph import Tensor
from receptive_field.question import Question
from receptive_field.result import ReceptiveField

Places = tuple[int | None, ...]
"""For each spatial axis of the input, x first, the axis of a tensor that holds its
positions; None where none does."""


class Follows(NamedTuple):
    """How one spatial axis of a tensor follows a tensor above it."""

    axis: int | None
    """Which spatial axis above, 0 being x; None if the map is constant."""
    map: AxisMap


@dataclass(frozen=True, slots=True)
class Step:
    """How a tensor depends on one just below it.

    Attributes:
      below: the lower tensor.
      axes: how its spatial axes follow those above, x first; None for an axis of the
        input whose positions it does not hold.
      even: whether just every ``gap``-th position of a window counts, as in a single
        layer. If not, any position of it may.
    """

    below: Tensor
    axes: tuple[Follows | None, ...]
    even: bool


class Steps:
    """What the forward pass has found, taken step by step.

    Args:
      question: the question; all sizes on the spatial axes should be known.
      found: what its forward pass found.
      fields: the receptive fields of tensors.
      shown: the tensors that must be stops, if their axes can be told.
    """

    def __init__(
        self,
        question: Question,
        found: Forward,
        fields: Mapping[Tensor, ReceptiveField],
        shown: Collection[Tensor],
    ) -> None:
        self._question = question
        self._found = found
        self._fields = fields
        self._order = {index: i for i, index in enumerate(question.scope.order)}
        self._looping = question.scope.in_loop()
        self._passing = {i for i in self._order if self._hands_on(i)}
        self.stops = self._find_stops(shown)
        """The input, what is shown, and where windows or branches are, in order."""

    def order(self, tensor: Tensor) -> int:
        """Where a tensor comes in topological order; -1 for the input."""
        return self._order.get(tensor[0], -1)

    def places(self, tensor: Tensor) -> Places:
        """Which axes of a tensor hold the positions of the input's axes."""
        question = self._question
        if tensor == question.scope.input:
            return question.spatial[::-1]
        followed = self._fields[tensor].followed_axes
        return tuple(None if axis is None else axis.output_axis for axis in followed)

    def below(self, tensor: Tensor) -> list[Step]:
        """The steps down from a tensor to the next stops."""
        if tensor == self._question.scope.input:
            return []
        indices = self._segment(tensor)
        steps = []
        for below, relation in self._related(tensor, indices):
            axes = self._axes(tensor, below, relation)
            steps.append(Step(below, axes, self._is_even(tensor, below, indices, axes)))
        return steps

    def hands_on(self, tensor: Tensor) -> bool:
        """Whether every feature sees the same as that of the only tensor below."""
        return tensor[0] in self._passing

    # --- Stops -----------------------------------------------------------------------

    def _find_stops(self, shown: Collection[Tensor]) -> list[Tensor]:
        """Of one node all outputs are stops, or none."""
        wanted = [t for t in self._fields if self._is_plain(t)]
        unplain = {t[0] for t in self._fields} - {t[0] for t in wanted}
        stops = {
            tensor
            for tensor in wanted
            if tensor[0] not in unplain
            and (tensor in shown or tensor[0] not in self._passing)
        }
        start = self._question.scope.input
        return [start, *sorted(stops - {start}, key=lambda t: (self.order(t), t[1]))]

    def _is_plain(self, tensor: Tensor) -> bool:
        """Whether each axis holds positions of one axis of the input, or none."""
        if tensor[0] in self._looping:
            return False
        question = self._question
        shape = question.inference.shape(tensor)
        if shape is None:
            return False
        channels = question.channel_axis(len(shape))
        relation = self._found.local(tensor) or self._found.state[tensor]
        relation = ranked(relation, question.rank)
        held = [axis for axis in self.places(tensor) if axis is not None]
        if len(set(held)) < len(held):
            return False
        for axis in question.spatial:
            above = followed_axes(relation.axes[axis]) - {channels}
            if above and source(relation.axes[axis])[0] is None:
                return False
        return True

    def _hands_on(self, index: int) -> bool:
        """Whether a node has one input, and leaves positions where they are."""
        edges = self._question.scope.edges(index)
        tensor = (index, 0)
        if len(edges) != 1 or index in self._looping or tensor not in self._fields:
            return False
        ((number, below),) = edges
        rule = relations(self._question.scope, self._question.inference, tensor)[number]
        if rule is None or rule is SAME:
            return rule is SAME
        places = self.places(tensor)
        known = below in self._fields or below == self._question.scope.input
        if not rule.axes or not known or places != self.places(below):
            return False
        return None not in places and all(
            source(rule.axes[axis]) == (axis, IDENTITY)
            for axis in places
            if axis is not None
        )

    # --- From one stop to the next ---------------------------------------------------

    def _segment(self, top: Tensor) -> set[int]:
        """The nodes from a tensor down to the next stops, which are left out."""
        stops, scope = set(self.stops), self._question.scope
        found, waiting = {top[0]}, [top[0]]
        while waiting:
            for _, below in scope.edges(waiting.pop()):
                if below not in stops and below[0] not in found:
                    found.add(below[0])
                    waiting.append(below[0])
        return found

    def _related(
        self, top: Tensor, indices: set[int]
    ) -> Iterator[tuple[Tensor, Relation]]:
        question, stops = self._question, set(self.stops)
        state: State
        if indices & self._looping:
            edges = [below for i in indices for _, below in question.scope.edges(i)]
            state = dict.fromkeys(edges, ALL_BOUND)
        else:
            order = sorted(indices, key=self._order.__getitem__)
            scope = replace(question.scope, order=order, loops={})
            state = backward(scope, question.inference, top)
        for tensor in sorted(state, key=lambda t: (self.order(t), t[1])):
            if tensor in stops and tensor != top:
                yield tensor, state[tensor]

    def _axes(
        self, top: Tensor, below: Tensor, relation: Relation
    ) -> tuple[Follows | None, ...]:
        inference = self._question.inference
        shape = inference.shape(below)
        above = self.places(top)
        if shape is None:
            return (None,) * len(above)
        relation = ranked(relation, len(shape))
        upper = inference.shape(top)
        channels = None if upper is None else self._question.channel_axis(len(upper))
        bounds = {low for high, low in relation.parts if high != channels}
        axes: list[Follows | None] = []
        for axis in self.places(below):
            if axis is None:
                axes.append(None)
                continue
            followed, axis_map = source(relation.axes[axis])
            if followed is not None and followed not in above:
                # All channels are one feature; of other axes it is not told which.
                axis_map = constant(*EVERYTHING, exact=followed == channels)
                followed = None
            if axis in bounds:
                axis_map = axis_map.as_bound()
            place = None if followed is None else above.index(followed)
            axes.append(Follows(place, axis_map))
        return tuple(axes)

    # --- Holes -----------------------------------------------------------------------

    def _is_even(
        self,
        top: Tensor,
        below: Tensor,
        indices: set[int],
        axes: tuple[Follows | None, ...],
    ) -> bool:
        """Whether the positions of every window are its ``gap`` apart.

        They are where only one layer has windows, and its taps cover the whole of the
        composed window at the largest distance that there is.
        """
        rest = indices - {top[0]}
        if all(index in self._passing for index in rest):
            return True
        edges = [
            edge for index in indices for edge in self._question.scope.edges(index)
        ]
        if len(edges) > len(indices) or self.places(top) != self.places(below):
            return False
        windowed = [rule for i in indices for rule in self._rules(i) if _windows(rule)]
        if len(windowed) > 1:
            return False
        taps = _windows(windowed[0]) if windowed else {}
        return all(
            follows is None
            or place is None
            or _is_covered(follows.map, taps.get(place, 1))
            for follows, place in zip(axes, self.places(below), strict=True)
        )

    def _rules(self, index: int) -> list[Relation]:
        """The relations of the first output of a node to what it reads."""
        scope, inference = self._question.scope, self._question.inference
        rules = relations(scope, inference, (index, 0))
        read = (rules[number] for number, _ in scope.edges(index))
        return [rule for rule in read if rule is not None]


def _windows(rule: Relation) -> dict[int, int]:
    """For the axes on which a layer has windows of several positions: how many."""
    found = {}
    for axis in range(len(rule.axes)):
        followed, axis_map = source(rule.axes[axis])
        if followed is not None and not axis_map.is_split:
            gap = max((strand.gap for strand in axis_map.strands), default=1)
            reach = axis_map.size(1) - 1
            if reach > 0:
                even = INFINITY not in (gap, reach) and reach % gap == 0
                found[axis] = int(reach // gap) + 1 if even else 0
    return found


def _is_covered(axis_map: AxisMap, taps: int) -> bool:
    """Whether all windows are as long as so many taps are at the map's gap."""
    return len(axis_map.strands) == 1 and all(
        not isinstance(strand, Floating)
        and all(
            w is None or w[1] - w[0] == strand.gap * (taps - 1) for w in strand.windows
        )
        for strand in axis_map.strands
    )
