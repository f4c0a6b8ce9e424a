"""How tensors depend on those just below them, for what follows regions on the way.

Between two tensors that are looked at (*stops*) lie others: copies, and those whose
axes hold positions in parts, as the phases of a SpaceToBatch do. What is between is
composed by the relations of the backward pass, from each stop down to the next ones.
What an axis map of each axis cannot say, the pass on sets does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    EVERYTHING,
    AxisMap,
    constant,
)
from receptive_field.algebra.sizes import Size
from receptive_field.arrays import np
from receptive_field.graph.graph import Tensor
from receptive_field.network.walk import reads
from receptive_field.passes.positions import UntoldError, follow_positions
from receptive_field.passes.regions import Forward, State, backward
from receptive_field.questions.question import Question
from receptive_field.relations import boxes
from receptive_field.relations.boxes import Box, Mask
from receptive_field.relations.relation import (
    ALL_BOUND,
    SAME,
    Relation,
    ranked,
    source,
)
from receptive_field.results.field import ReceptiveField

MOST_SEEN = 1 << 22
"""Sets of more positions together, for all features, are not looked at."""

Places = tuple[int | None, ...]
"""For each spatial axis of the input, x first, the axis of a tensor that holds its
positions; None where none does."""


class Follows(NamedTuple):
    """How one spatial axis of a tensor follows a tensor above it."""

    axis: int | None
    """Which spatial axis above, 0 being x; None if the map is constant."""
    map: AxisMap
    seen: Mask | None = None
    """Where a map cannot say it: for each position above (for all, if it follows none)
    which positions are seen."""


Axes = tuple[Follows | None, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """How a tensor depends on one just below it.

    Attributes:
      below: the lower tensor.
      axes: how its spatial axes follow those above, x first; None for an axis of the
        input whose positions it does not hold.
      even: whether just every ``gap``-th position of a window counts, as in a single
        layer. If not, any position of it may.
      exact: whether that is the truth. If not, it may be more, never less.
    """

    below: Tensor
    axes: Axes
    even: bool
    exact: bool


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
        self._order = {index: i for i, index in enumerate(question.network.order)}
        self._looping = question.network.in_loop()
        self._passing = {i for i in self._order if self._hands_on(i)}
        self.stops = self._find_stops(shown)
        """The input, what is shown, and where windows or branches are, in order."""
        self._found_stops = set(self.stops)

    def order(self, tensor: Tensor) -> int:
        """Where a tensor comes in topological order; -1 for the input."""
        return self._order.get(tensor[0], -1)

    def places(self, tensor: Tensor) -> Places:
        """Which axes of a tensor hold the positions of the input's axes."""
        question = self._question
        if tensor == question.network.input:
            return question.spatial[::-1]
        return tuple(axis.output_axis for axis in self._fields[tensor].axes)

    def below(self, tensor: Tensor) -> list[Step]:
        """The steps down from a tensor to the next stops."""
        if tensor == self._question.network.input:
            return []
        indices = self._segment(tensor)
        single = self._is_single(tensor, indices)
        steps = []
        for below, relation in self._related(tensor, indices):
            axes = self._axes(tensor, below, relation)
            exact = all(follows is None or follows.map.exact for follows in axes)
            even = True
            if not single:
                axes, exact = self._with_sets(tensor, below, indices, axes)
                even = exact or any(f is not None and f.seen is not None for f in axes)
            steps.append(Step(below, axes, even, exact))
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
        start = self._question.network.input
        return [start, *sorted(stops - {start}, key=lambda t: (self.order(t), t[1]))]

    def _is_plain(self, tensor: Tensor) -> bool:
        """Whether each axis holds positions of one axis of the input, or none."""
        if tensor[0] in self._looping:
            return False
        question = self._question
        return (
            question.network.shape(tensor) is not None
            and not self._fields[tensor].is_folded
        )

    def _hands_on(self, index: int) -> bool:
        """Whether a node has one input, and leaves positions where they are."""
        network, tensor = self._question.network, (index, 0)
        edges = network.edges(index)
        if len(edges) != 1 or index in self._looping or tensor not in self._fields:
            return False
        found = reads(network, tensor)
        if not found:
            return False
        ((_, _, below, rule, _),) = found
        if rule is SAME:
            return True
        places = self.places(tensor)
        known = below in self._fields or below == self._question.network.input
        if not rule.axes or not known or places != self.places(below):
            return False
        # A crop at the end is no identity, though it is equal to it as a map.
        followed = (source(rule.axes[axis]) for axis in places if axis is not None)
        unmoved = (axis_map.is_identity for _, axis_map in followed)
        return None not in places and all(unmoved)

    # --- From one stop to the next ---------------------------------------------------

    def _segment(self, top: Tensor) -> set[int]:
        """The nodes from a tensor down to the next stops, which are left out."""
        stops, network = self._found_stops, self._question.network
        found, waiting = {top[0]}, [top[0]]
        while waiting:
            for _, below in network.edges(waiting.pop()):
                if below not in stops and below[0] not in found:
                    found.add(below[0])
                    waiting.append(below[0])
        return found

    def _related(
        self, top: Tensor, indices: set[int]
    ) -> Iterator[tuple[Tensor, Relation]]:
        question, stops = self._question, self._found_stops
        state: State
        if indices & self._looping:
            edges = [below for i in indices for _, below in question.network.edges(i)]
            state = dict.fromkeys(edges, ALL_BOUND)
        else:
            order = sorted(indices, key=self._order.__getitem__)
            network = replace(question.network, order=order, loops={})
            state = backward(network, top, stops).state
        for tensor in sorted(state, key=lambda t: (self.order(t), t[1])):
            if tensor in stops and tensor != top:
                yield tensor, state[tensor]

    def _axes(self, top: Tensor, below: Tensor, relation: Relation) -> Axes:
        network = self._question.network
        shape = network.shape(below)
        above = self.places(top)
        if shape is None:
            return (None,) * len(above)
        relation = ranked(relation, len(shape))
        bounds = {low for high, low in relation.parts if high == 0 or high in above}
        # Where axes are folded, it is not told here which positions a feature has.
        certain = top not in self._fields or not self._fields[top].is_folded
        axes: list[Follows | None] = []
        for axis in self.places(below):
            if axis is None:
                axes.append(None)
                continue
            followed, axis_map = source(relation.axes[axis])
            if followed is not None and followed not in above:
                # All of what holds no positions, such as channels, is one feature.
                axis_map = constant(*EVERYTHING, exact=certain)
                followed = None
            axis_map = axis_map.all_seen
            if axis in bounds:
                axis_map = axis_map.as_bound()
            place = None if followed is None else above.index(followed)
            axes.append(Follows(place, axis_map))
        return tuple(axes)

    # --- Position by position --------------------------------------------------------

    def _is_single(self, top: Tensor, indices: set[int]) -> bool:
        """Whether no more than one layer lies between, whose taps the maps tell."""
        rest = indices - {top[0]}
        plain = top in self._found_stops
        return plain and all(index in self._passing for index in rest)

    def _with_sets(
        self, top: Tensor, below: Tensor, indices: set[int], axes: Axes
    ) -> tuple[Axes, bool]:
        """What windows cannot tell of several layers together: the positions that are
        seen, by the pass on sets; and whether that is exact."""
        above = self.places(top)
        held = [axis for axis in self.places(below) if axis is not None]
        try:
            found = self._boxes(top, below, indices, held)
        except UntoldError:
            return axes, False
        exact = len(found) == 1 and found[0].exact
        refined: list[Follows | None] = []
        for follows, axis in zip(axes, self.places(below), strict=True):
            if follows is None or axis is None:
                refined.append(None)
                continue
            rows = [_rows(box, held.index(axis)) for box in found]
            followed = {row.follows for row in rows}
            if len(followed) != 1 or not followed <= {None, *above}:
                return axes, False
            (one,) = followed
            place = None if one is None else above.index(one)
            seen: Mask = np.logical_or.reduce([row.seen for row in rows])
            refined.append(_told(follows, place, seen))
            exact &= all(row.exact for row in rows)
        return tuple(refined), exact

    def _boxes(
        self, top: Tensor, below: Tensor, indices: set[int], held: Sequence[int]
    ) -> list[Box]:
        """What all features of a tensor need of some axes of one below.

        Raises:
          UntoldError: if that is not known, or too much to look at.
        """
        network = self._question.sized()
        above, shape = network.shape(top), network.shape(below)
        if above is None or shape is None or indices & self._looping:
            raise UntoldError
        features = {
            axis: np.arange(_number(above[axis]))
            for axis in self.places(top)
            if axis is not None
        }
        count = sum(map(len, features.values()))
        if count * sum(_number(shape[axis]) for axis in held) > MOST_SEEN:
            raise UntoldError
        order = sorted(indices, key=self._order.__getitem__)
        network = replace(network, input=below, order=order, _edges={})
        found = follow_positions(network, top, features)
        return [boxes.of_axes(box, held, features) for box in found]


def _number(size: Size) -> int:
    """A size that is known; no position of one that is not can be told."""
    if not isinstance(size, int):
        raise UntoldError
    return size


class _Rows(NamedTuple):
    """What one axis needs of a box."""

    follows: int | None
    """The axis of the output that it follows."""
    seen: Mask
    """For each position of that: its set."""
    exact: bool
    """Whether nothing is lost by looking at it alone."""


def _rows(box: Box, place: int) -> _Rows:
    """What a box says of one of its axes."""
    group = next(group for group in box.groups if place in group.parts)
    own = len(group.outputs) + group.parts.index(place)
    kept = {0, own} if group.outputs else {own}
    others = tuple(axis for axis in range(group.seen.ndim) if axis not in kept)
    seen: Mask = np.asarray(group.seen.any(axis=others))
    follows, exact = (group.outputs or (None,))[0], not others
    for other in box.groups:  # Whether a feature needs anything at all.
        if not other.parts and other.outputs == (follows,):
            seen = seen & other.seen[:, None]
        elif not other.parts:
            exact &= bool(other.seen.all())
    return _Rows(follows, np.atleast_2d(seen), exact)


def _told(follows: Follows, place: int | None, seen: Mask) -> Follows:
    """The map alone, if its windows and their gap say the same."""
    if place == follows.axis:
        by_map = boxes.image(np.eye(len(seen), dtype=bool), follows.map, seen.shape[1])
        if by_map is not None and (by_map == seen).all():
            return follows
    return Follows(place, follows.map, seen)
