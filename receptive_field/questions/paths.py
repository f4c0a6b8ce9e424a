"""Follows all paths from the input to an output, and keeps misaligned ones separate."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from receptive_field.algebra.axis_map import AxisMap
from receptive_field.graph.graph import Tensor
from receptive_field.network.layout import FeatureLayout
from receptive_field.network.local import LocalNetwork, Rules, without_edges
from receptive_field.network.network import Network
from receptive_field.network.walk import Read, ascend, descend
from receptive_field.passes.regions import forward
from receptive_field.questions.question import Question
from receptive_field.relations.joins import Paths, gathered, settled, through, united
from receptive_field.relations.relation import (
    SAME,
    Relation,
    followed_axes,
    ranked,
    source,
)
from receptive_field.rules.op import Call, Shape, rule_of
from receptive_field.threads import lazy


@dataclass(frozen=True)
class Ways:
    """All paths to an output whose alignment counts.

    These are the local paths, which do not see a whole axis. If there are none, these
    are all paths, and the axes that they see whole are ignored.
    """

    question: Question
    network: LocalNetwork
    output: Tensor
    reads: dict[Tensor, list[Read]]
    """The edges down from each tensor on the paths, in topological order."""

    @lazy
    def from_input(self) -> dict[Tensor, Relation]:
        """How each tensor depends on the input."""
        return self.forward(self.network.input, self.question.spatial, {})[0]

    @property
    def has_loops(self) -> bool:
        """Whether any path runs through a loop."""
        loops = self.network.in_loop()
        return any(index in loops for index, _ in self.reads)

    def call(self, tensor: Tensor) -> Call:
        """Returns the call that is passed to the rule of a tensor's op."""
        return Call(self.network.graph.nodes[tensor[0]], self.network.known)

    def unknown_paddings(self) -> Iterator[str]:
        """Yields the names of the nodes whose padding is unknown."""
        for tensor in self.reads:
            call = self.call(tensor)
            op = rule_of(call.node)
            windows = () if op is None or op.windows is None else op.windows(call)
            if any(w.padding is None for w in windows):
                yield call.node.name

    def forward(
        self,
        start: Tensor,
        axes: Collection[int],
        changed: Rules,
        last: Tensor | None = None,
    ) -> tuple[dict[Tensor, Relation], dict[Tensor, list[int]]]:
        """Returns how tensors depend on ``start``, and where misaligned paths meet.

        Where misaligned paths meet, only the paths that agree with the first path are
        followed further, so every meeting is judged on its own. The second result maps
        each tensor where misaligned paths meet to the numbers of the inputs through
        which the other paths arrive. The rules in ``changed`` replace those of the
        graph. Only the paths to ``last`` are followed; by default, the paths to the
        output.
        """
        last = last or self.output
        network = self.network.with_rules(changed).below([last]).above(start)
        domain = _Apart(network, axes)
        found, _ = ascend(network, _Arrival(SAME, SAME, 0), domain, [last])
        return {tensor: value.first for tensor, value in found.items()}, domain.apart

    def meeting(self) -> tuple[Tensor, Tensor, int] | None:
        """Returns the tensors where two misaligned paths split and meet.

        If there are several pairs of such paths, the result describes the pair that
        splits closest to the output. If several pairs split at the same tensor, it
        describes the pair that meets closest to this tensor. The third value is the
        number of the input through which the second path enters the tensor where the
        paths meet.
        """
        parting = self.parting(self.output)
        found = None
        while parting is not None:
            parts = parting[0]
            _, apart = self.forward(parts, self.positions(parts), {})
            if not apart or (found is not None and parts == found[0]):
                break
            meets, numbers = next(iter(apart.items()))
            found = parts, meets, numbers[0]
            parting = self.parting(meets)
        return found

    def parting(self, upper: Tensor) -> tuple[Tensor, Relation, Relation] | None:
        """Returns the closest tensor from which two misaligned paths lead to ``upper``.

        Also returns both paths. Returns None if there is no such tensor.
        """
        domain = _Parting(self, upper)
        start = self.network.input
        starts: dict[Tensor, list[Paths]] = {upper: [SAME]}
        found = descend(self.network, starts, domain)
        domain.ready(start, found.get(start, []))
        return domain.parting

    def axes_of(self, tensor: Tensor) -> list[int | None]:
        """Returns the axes of a tensor that hold positions of the input, x first."""
        axes = ranked(self.from_input[tensor], self.question.rank).axes
        return [source(axes[axis])[0] for axis in self.question.spatial[::-1]]

    def positions(self, tensor: Tensor) -> list[int]:
        """Returns the axes of a tensor that are known to hold the input's positions."""
        return [axis for axis in self.axes_of(tensor) if axis is not None]


def ways_to(question: Question, output: Tensor) -> Ways:
    """Finds all local paths to an output, or all paths if none is local."""
    network = question.network
    found = forward(network, question.spatial, [output])
    skipped = () if found.local(output) is None else found.global_edges
    local = without_edges(network, skipped)
    domain = _Collected()
    descend(local, {output: True}, domain)
    place = {index: i for i, index in enumerate(network.order)}
    ordered = sorted(domain.reads, key=lambda tensor: (place[tensor[0]], tensor[1]))
    return Ways(question, local, output, {t: domain.reads[t] for t in ordered})


# --- Domains -------------------------------------------------------------------------


class _Collected:
    """The domain of `descend` that collects the edges on all paths."""

    def __init__(self) -> None:
        self.reads: dict[Tensor, list[Read]] = {}

    def down(self, read: Read, value: bool) -> bool:
        """Records the edge."""
        self.reads[read.tensor].append(read)
        return value

    def united(self, tensor: Tensor, one: bool, two: bool) -> bool:
        """Returns that the tensor is on a path."""
        return one or two

    def ready(self, tensor: Tensor, value: bool) -> bool:
        """Prepares the record of a tensor."""
        self.reads[tensor] = []
        return value

    def widened(self, before: bool, now: bool) -> bool:
        """Returns that the tensor is on a path."""
        return now


class _Arrival(NamedTuple):
    """The aligned paths to a tensor."""

    paths: Paths
    first: Relation
    """The first of the paths, or all of them after the tensor was visited."""
    number: int
    """The number of the input through which the first path arrives."""


class _Apart:
    """The domain of `ascend` that follows aligned paths and records where misaligned
    paths meet."""

    def __init__(self, network: Network, axes: Collection[int]) -> None:
        self.apart: dict[Tensor, list[int]] = {}
        self._network, self._axes = network, axes

    def up(self, read: Read, value: _Arrival) -> _Arrival | None:
        """Returns the paths, continued over an edge; None if the edge ends them."""
        paths = through(read.rule, value.first)
        first = None if paths is None else settled(paths)
        if paths is None or first is None:
            return None
        return _Arrival(paths, first, read.number)

    def united(self, tensor: Tensor, one: _Arrival, two: _Arrival) -> _Arrival:
        """Returns the union of the paths, or just ``one`` if they are misaligned."""
        shape = self._network.shape(tensor)
        if agree(one.first, two.first, self._axes, shape) is False:
            self.apart.setdefault(tensor, []).append(two.number)
            return one
        return one._replace(paths=united(one.paths, two.paths))

    def ready(self, tensor: Tensor, value: _Arrival) -> _Arrival | None:
        """Returns the paths with all joins closed; None if no paths are left."""
        whole = settled(value.paths)
        return None if whole is None else value._replace(paths=whole, first=whole)

    def widened(self, before: _Arrival, now: _Arrival) -> _Arrival:
        """Returns the last iteration's paths; explanations do not cover loops."""
        return now


class _Parting:
    """The domain of `descend` that finds the first tensor from which two misaligned
    paths lead to the tensor where the walk started."""

    def __init__(self, ways: Ways, upper: Tensor) -> None:
        self.parting: tuple[Tensor, Relation, Relation] | None = None
        self._ways = ways
        self._shape = ways.network.shape(upper)

    def down(self, read: Read, value: list[Paths]) -> list[Paths] | None:
        """Returns the paths, continued over an edge; None if the edge ends them."""
        paths = through(value[0], read.rule)
        return None if paths is None else [paths]

    def united(self, tensor: Tensor, one: list[Paths], two: list[Paths]) -> list[Paths]:
        """Returns all paths in one list."""
        return one + two

    def ready(self, tensor: Tensor, value: list[Paths]) -> list[Paths] | None:
        """Compares the paths, and returns their union.

        Returns None if misaligned paths were found, so that the walk ends.
        """
        if self.parting or not value or tensor not in self._ways.from_input:
            return None
        counted = self._ways.positions(tensor)
        seen = (_whole(paths, counted) for paths in value)
        closed = [paths for paths in seen if paths is not None]
        for other in closed[1:]:
            if agree(closed[0], other, counted, self._shape) is False:
                self.parting = tensor, closed[0], other
                return None
        whole = gathered(reduce(united, value))
        return None if whole is None else [whole]

    def widened(self, before: list[Paths], now: list[Paths]) -> list[Paths]:
        """Returns the last iteration's paths; explanations do not cover loops."""
        return now


# --- Relations -----------------------------------------------------------------------


def _whole(paths: Paths, axes: Collection[int]) -> Relation | None:
    """Closes all joins and returns the paths as a single relation.

    Returns None if the axes follow an axis along which parts are joined, because each
    part is then seen from different positions.
    """
    for join in () if isinstance(paths, Relation) else paths.joins:
        for relation in (settled(part.relation) for part in join.parts):
            rank = max(axes, default=-1) + 1
            if relation is None:
                continue
            columns = ranked(relation, rank).axes
            if any(join.axis in followed_axes(columns[axis]) for axis in axes):
                return None
    return settled(paths)


def placed(path: Relation, axis: int, shape: Shape) -> tuple[tuple[int, ...], AxisMap]:
    """Returns the axes that an axis follows on a path, and the map from their places.

    Args:
      path: a path from a tensor to a tensor below.
      axis: the axis of the tensor below.
      shape: the shape of the upper tensor.
    """
    found = ranked(path, axis + 1).axes[axis]
    followed = tuple(sorted(followed_axes(found)))
    layout = FeatureLayout((), {axis: followed}, frozenset(), shape)
    return followed, layout.map(axis, found)


def agree(
    one: Relation, two: Relation, axes: Iterable[int], shape: Shape
) -> bool | None:
    """Returns whether two paths are aligned on all of these axes; None if unknown.

    ``shape`` is the shape of the tensor where both paths start. Axes that a path sees
    whole are ignored.
    """
    rank = max(len(one.axes), len(two.axes))
    found: bool | None = True
    for axis in axes:
        (first, a), (second, b) = (
            placed(ranked(path, rank), axis, shape) for path in (one, two)
        )
        if first and first == second:
            aligned = (a | b).aligned
        else:
            aligned = not len(first) == len(second) == 1
        if aligned is False:
            return False
        found = found and aligned
    return found


def count_apart(apart: Mapping[Tensor, Sequence[int]]) -> int:
    """Returns the number of edges over which misaligned paths arrive."""
    return sum(map(len, apart.values()))
