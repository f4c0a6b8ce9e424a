"""Computes how tensors depend on the tensors just below them, for the explorer's page.

The page follows regions from one *stop* to the next. Between two stops lie tensors that
the page does not need: copies, and tensors that spread the positions of one axis over
several axes, such as the output of a SpaceToBatch. The backward pass composes the
relations from each stop down to the next stops. If the composed axis maps cannot
describe which positions are seen, the pass on sets is used.
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
from receptive_field.arrays import is_installed, np
from receptive_field.graph.graph import Tensor
from receptive_field.network.layout import FeatureLayout
from receptive_field.network.walk import reads, tensors_below
from receptive_field.passes.positions import UntoldError, follow_positions
from receptive_field.passes.regions import Forward, State, backward
from receptive_field.passes.zeros import ZeroPass
from receptive_field.questions.question import Question
from receptive_field.relations import boxes
from receptive_field.relations.boxes import Box, Mask
from receptive_field.relations.relation import (
    ALL_BOUND,
    SAME,
    Relation,
    followed_axes,
    ranked,
    source,
)
from receptive_field.results.field import ReceptiveField

MOST_FEATURES = 1 << 28
"""The most pairs of features on an axis (see `boxes.start`), one byte each."""

MOST_SEEN = 1 << 22
"""Sets are computed only if the number of positions above, times the number of
positions below, is at most this. Here, the number of positions is the sum of the sizes
of a tensor's axes."""

Places = tuple[int | None, ...]
"""For each spatial axis of the input, x first, the axis of a tensor that holds the
positions of the input's axis; None if there is no such axis."""


class Follows(NamedTuple):
    """How one spatial axis of a tensor follows a tensor above it."""

    axis: int | None
    """The number of the spatial axis above (0 for x); None if the map is constant."""
    map: AxisMap
    seen: Mask | None = None
    """The positions that each position above sees, if the map cannot describe them. If
    ``axis`` is None, there is one row for all positions."""


Axes = tuple[Follows | None, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """How a tensor depends on the next stop below it.

    Attributes:
      below: the lower tensor.
      axes: how the lower tensor's spatial axes follow the spatial axes above, x first;
        None for an axis of the input whose positions the lower tensor does not hold.
      even: whether a window sees exactly every ``gap``-th of its positions, as in a
        single layer. If not, any of its positions may be seen.
      exact: whether the step is exact. If not, it is an upper bound.
    """

    below: Tensor
    axes: Axes
    even: bool
    exact: bool


class Stretches:
    """The steps between the stops of a network.

    Args:
      question: the question. All spatial sizes should be known.
      found: the result of the question's forward pass.
      fields: the receptive fields of the tensors. Only these tensors can be stops.
      shown: the tensors that should be stops, if each of their axes holds positions of
        at most one axis of the input.
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
        self._sized = question.sized()
        self._zeros = ZeroPass(self._sized)
        self._passing = {i for i in self._order if self._hands_on(i)}
        self.stops = self._find_stops(shown)
        """The input, and the tensors that are shown or that are not mere copies (see
        `hands_on`), in topological order."""
        self._found_stops = set(self.stops)

    def order(self, tensor: Tensor) -> int:
        """Returns the place of a tensor in topological order; -1 for the input."""
        return self._order.get(tensor[0], -1)

    def places(self, tensor: Tensor) -> Places:
        """Returns which axes of a tensor hold the positions of the input's axes."""
        question = self._question
        if tensor == question.network.input:
            return question.spatial[::-1]
        return tuple(axis.output_axis for axis in self._fields[tensor].axes)

    def below(self, tensor: Tensor) -> list[Stretch]:
        """Returns the steps down from a tensor to the next stops."""
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
            exact &= not self._selects(tensor, below, relation)
            exact &= not self._multiplies_by_zero(indices)
            steps.append(Stretch(below, axes, even, exact))
        return steps

    def hands_on(self, tensor: Tensor) -> bool:
        """Returns whether the tensor only passes on the positions of one other tensor.

        Each feature then sees exactly what the feature at the same place in that tensor
        sees.
        """
        return tensor[0] in self._passing

    # --- Stops -----------------------------------------------------------------------

    def _find_stops(self, shown: Collection[Tensor]) -> list[Tensor]:
        """Returns the stops in topological order.

        If one output of a node cannot be a stop, no output of that node is one.
        """
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
        """Returns whether a tensor is simple enough to be a stop.

        Each axis of the tensor must hold positions of at most one input axis, and the
        tensor must not be in a loop.
        """
        if tensor[0] in self._looping:
            return False
        question = self._question
        return (
            question.network.shape(tensor) is not None
            and not self._fields[tensor].is_folded
        )

    def _hands_on(self, index: int) -> bool:
        """Returns whether a node has one input and does not move any positions."""
        network, tensor = self._question.network, (index, 0)
        edges = network.edges(index)
        if len(edges) != 1 or index in self._looping or tensor not in self._fields:
            return False
        found = reads(network, tensor)
        if not found:
            return False
        ((_, _, below, rule, _),) = found
        if rule == SAME:
            return True
        places = self.places(tensor)
        known = below in self._fields or below == self._question.network.input
        if not rule.axes or not known or places != self.places(below):
            return False
        # A crop at the end has the same strands, but its map is not an identity.
        followed = (source(rule.axes[axis]) for axis in places if axis is not None)
        unmoved = (axis_map.is_identity for _, axis_map in followed)
        return None not in places and all(unmoved)

    # --- From one stop to the next ---------------------------------------------------

    def _segment(self, top: Tensor) -> set[int]:
        """Returns the nodes from a tensor down to just above the next stops."""
        stops, network = self._found_stops, self._question.network
        below = tensors_below(network, [top], lambda t: t not in stops)
        return {top[0], *(t[0] for t in below if t not in stops)}

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
            edges = [below for i in indices for _, below in network.edges(i)]
            wanted = stops.intersection(edges)
            state = backward(network, top, wanted).state
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
        # In a folded tensor, an axis that is not in `above` may hold positions, too.
        certain = top not in self._fields or not self._fields[top].is_folded
        axes: list[Follows | None] = []
        for axis in self.places(below):
            if axis is None:
                axes.append(None)
                continue
            followed, axis_map = source(relation.axes[axis])
            if followed is not None and followed not in above:
                # A feature contains the whole of an axis without positions (channels).
                axis_map = constant(*EVERYTHING, exact=certain)
                followed = None
            axis_map = axis_map.all_seen
            if axis in bounds:
                axis_map = axis_map.as_bound()
            place = None if followed is None else above.index(followed)
            axes.append(Follows(place, axis_map))
        return tuple(axes)

    def _selects(self, top: Tensor, below: Tensor, relation: Relation) -> bool:
        """Returns whether a feature above may see only a part of a feature below.

        A feature contains the whole of an axis without positions. But a feature above
        may see only some places on that axis, such as one of several stacked maps.
        """
        network = self._sized
        above, held = set(self.places(top)), self.places(below)
        sizes = network.shape(below) or ()
        for place, axis in enumerate(relation.axes):
            if place in held:
                continue
            whole = FeatureLayout((), {place: ()}, frozenset(), network.shape(top))
            seen = whole.map(place, axis)
            first, last = seen.window(0) or (0, -1)
            size = sizes[place] if place < len(sizes) else None
            is_all = seen.is_unbounded or (
                isinstance(size, int) and first <= 0 and size - 1 <= last
            )
            if not is_all or not above.isdisjoint(followed_axes(axis)):
                return True
        return False

    def _multiplies_by_zero(self, indices: set[int]) -> bool:
        """Returns whether a factor of a product may be zero, because of padding.

        The product does not see the other factors there. In a network with loops, or
        without NumPy, the zeros are unknown.
        """
        zeros, unknown = self._zeros, self._looping or not is_installed()
        return any(
            unknown or zeros.beside((index, 0), number) is not None
            for index in indices
            for number, _ in zeros.factors(index)
        )

    # --- Position by position --------------------------------------------------------

    def _is_single(self, top: Tensor, indices: set[int]) -> bool:
        """Returns whether at most one layer lies between two stops.

        If so, maps and their gaps describe the taps of that layer.
        """
        rest = indices - {top[0]}
        plain = top in self._found_stops
        return plain and all(index in self._passing for index in rest)

    def _with_sets(
        self, top: Tensor, below: Tensor, indices: set[int], axes: Axes
    ) -> tuple[Axes, bool]:
        """Adds sets of positions where windows cannot describe what is seen.

        The composed windows of several layers may contain positions that are not seen.

        Returns:
          The axes, with sets where the sets differ from the windows, and whether the
          result is exact. If sets cannot be computed, the axes are unchanged.
        """
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
        """Returns what all features of a tensor need of some axes of a lower tensor.

        Raises:
          UntoldError: if this cannot be computed, or if the sets would be too large.
        """
        network = self._sized
        above, shape = network.shape(top), network.shape(below)
        if above is None or shape is None or indices & self._looping:
            raise UntoldError
        if not is_installed():
            raise UntoldError
        features = {
            axis: np.arange(_number(above[axis]))
            for axis in self.places(top)
            if axis is not None
        }
        if any(len(own) ** 2 > MOST_FEATURES for own in features.values()):
            raise UntoldError
        count = sum(map(len, features.values()))
        if count * sum(_number(shape[axis]) for axis in held) > MOST_SEEN:
            raise UntoldError
        order = sorted(indices, key=self._order.__getitem__)
        network = replace(network, input=below, order=order, _edges={})
        found = follow_positions(network, top, features)
        return [boxes.of_axes(box, held, features) for box in found]


def _number(size: Size) -> int:
    """Returns a size as a number.

    Raises:
      UntoldError: if the size is unknown.
    """
    if not isinstance(size, int):
        raise UntoldError
    return size


class _Rows(NamedTuple):
    """What a box says about one of its axes."""

    follows: int | None
    """The output axis that the axis follows; None if all positions see the same set."""
    seen: Mask
    """For each position of the output's axis, the set of positions that it sees."""
    exact: bool
    """Whether the sets of this axis alone lose no information about the box."""


def _rows(box: Box, place: int) -> _Rows:
    """Returns what a box says about one of its axes."""
    group = next(group for group in box.groups if place in group.parts)
    own = len(group.outputs) + group.parts.index(place)
    kept = {0, own} if group.outputs else {own}
    others = tuple(axis for axis in range(group.seen.ndim) if axis not in kept)
    seen: Mask = np.asarray(group.seen.any(axis=others))
    follows, exact = (group.outputs or (None,))[0], not others
    for other in box.groups:  # Groups without parts: does a feature need anything?
        if not other.parts and other.outputs == (follows,):
            seen = seen & other.seen[:, None]
        elif not other.parts:
            exact &= bool(other.seen.all())
    return _Rows(follows, np.atleast_2d(seen), exact)


def _told(follows: Follows, place: int | None, seen: Mask) -> Follows:
    """Returns the sets as a `Follows`, or the map alone if it gives the same sets."""
    if place == follows.axis:
        by_map = boxes.image(np.eye(len(seen), dtype=bool), follows.map, seen.shape[1])
        if by_map is not None and (by_map == seen).all():
            return follows
    return Follows(place, follows.map, seen)
