"""Follows all paths from the input to an output, and keeps misaligned ones separate."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import NamedTuple

from receptive_field.graph.graph import Tensor
from receptive_field.network.walk import reads
from receptive_field.passes.regions import forward
from receptive_field.questions.question import Question
from receptive_field.relations.joins import Paths, gathered, settled, through, united
from receptive_field.relations.relation import (
    SAME,
    Relation,
    followed_axes,
    is_exact,
    ranked,
    source,
)
from receptive_field.rules.op import Call, rule_of


class Way(NamedTuple):
    """One step down: how a tensor depends on one input of its node."""

    number: int
    below: Tensor
    rule: Relation


Edge = tuple[Tensor, int]
"""A tensor, and the number of an input of its node."""

Rules = Mapping[Edge, Relation]
"""Replacement rules for some edges, used to test the effect of a change."""


@dataclass(frozen=True)
class Ways:
    """All local paths to an output: the paths that do not see a whole axis."""

    question: Question
    output: Tensor
    ways: dict[Tensor, tuple[Way, ...]]
    """The ways down from each tensor, in topological order."""

    @cached_property
    def from_input(self) -> dict[Tensor, Relation]:
        """How each tensor depends on the input."""
        return self.forward(self.start, self.question.spatial, {})[0]

    @property
    def start(self) -> Tensor:
        """The input tensor."""
        return self.question.network.input

    @property
    def has_loops(self) -> bool:
        """Whether any path runs through a loop."""
        loops = self.question.network.in_loop()
        return any(index in loops for index, _ in self.ways)

    def call(self, tensor: Tensor) -> Call:
        """Returns the call that is passed to the rule of a tensor's op."""
        graph = self.question.network.graph
        return Call(graph.nodes[tensor[0]], self.question.network.known)

    def unknown_paddings(self) -> Iterator[str]:
        """Yields the names of the nodes whose padding is unknown."""
        for tensor in self.ways:
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
        each tensor where such paths meet to the numbers of the inputs through which the
        other paths arrive. The rules in ``changed`` replace those of the graph. Tensors
        after ``last`` are ignored.
        """
        state: dict[Tensor, Relation] = {start: SAME}
        apart: dict[Tensor, list[int]] = {}
        for tensor, ways in self.ways.items():
            first: Relation | None = None
            whole: Paths | None = None
            for number, below, rule in ways:
                if below not in state:
                    continue
                path = through(changed.get((tensor, number), rule), state[below])
                closed = None if path is None else settled(path)
                if path is None or closed is None:
                    continue
                if first is None:
                    first = closed
                elif disagree(first, closed, axes):
                    apart.setdefault(tensor, []).append(number)
                    continue
                whole = path if whole is None else united(whole, path)
            found = None if whole is None else settled(whole)
            if found is not None:
                state[tensor] = found
            if tensor == last:
                break
        return state, apart

    def meeting(self) -> tuple[Tensor, Tensor, int] | None:
        """Returns the tensors where two misaligned paths split and meet.

        If there are several pairs of such paths, the result describes the pair that
        splits closest to the output. If several pairs split there, it describes the
        pair that meets closest to where they split. The third value is the number of
        the input through which the second path enters the tensor where the paths meet.
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
        """Returns the closest tensor to ``upper`` from which two misaligned paths lead
        there, and both paths.

        Returns None if there is no such tensor.
        """
        arrivals: dict[Tensor, list[Paths]] = {upper: [SAME]}
        for tensor in [*reversed(self.ways), self.start]:
            paths = arrivals.pop(tensor, [])
            if tensor not in self.from_input or not paths:
                continue
            counted = self.positions(tensor)
            seen = (_whole(path, counted) for path in paths)
            closed = [path for path in seen if path is not None]
            for other in closed[1:]:
                if disagree(closed[0], other, counted):
                    return tensor, closed[0], other
            whole = gathered(reduce(united, paths))
            for _, below, rule in self.ways.get(tensor, ()):
                path = None if whole is None else through(whole, rule)
                if path is not None:
                    arrivals.setdefault(below, []).append(path)
        return None

    def axes_of(self, tensor: Tensor) -> list[int | None]:
        """Returns the axes of a tensor that hold positions of the input, x first."""
        axes = ranked(self.from_input[tensor], self.question.rank).axes
        return [source(axes[axis])[0] for axis in self.question.spatial[::-1]]

    def positions(self, tensor: Tensor) -> list[int]:
        """Returns the axes of a tensor that are known to hold positions of the
        input."""
        return [axis for axis in self.axes_of(tensor) if axis is not None]


def ways_to(question: Question, output: Tensor) -> Ways:
    """Finds all local paths to an output."""
    network = question.network
    skipped = forward(network, question.spatial, [output]).global_edges
    ways: dict[Tensor, tuple[Way, ...]] = {}
    stack = [output]
    while stack:
        tensor = stack.pop()
        if tensor in ways or tensor == network.input:
            continue
        found = []
        for read in reads(network, tensor):
            # A global edge ends the local paths if its rule is known to see a whole
            # axis. If the rule is global only because it is unknown, they may continue.
            edge = tensor, read.number
            if edge not in skipped or not all(map(is_exact, read.rule.axes)):
                found.append(Way(read.number, read.below, read.rule))
                stack.append(read.below)
        ways[tensor] = tuple(found)
    place = {index: i for i, index in enumerate(network.order)}
    ordered = sorted(ways, key=lambda tensor: (place[tensor[0]], tensor[1]))
    return Ways(question, output, {tensor: ways[tensor] for tensor in ordered})


def _whole(paths: Paths, axes: Collection[int]) -> Relation | None:
    """Closes all joins and returns the paths as a single relation.

    Returns None if parts are joined along one of the axes, because each part is seen
    from different positions.
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


def disagree(one: Relation, two: Relation, axes: Collection[int]) -> bool:
    """Returns whether two paths are misaligned on any of these axes."""
    rank = max(len(one.axes), len(two.axes), max(axes, default=-1) + 1)
    one, two = ranked(one, rank), ranked(two, rank)
    for axis in axes:
        (first, a), (second, b) = source(one.axes[axis]), source(two.axes[axis])
        if first is None or second is None:
            continue
        if first != second or (a | b).aligned is False:
            return True
    return False


def count_apart(apart: Mapping[Tensor, Sequence[int]]) -> int:
    """Returns the number of edges over which misaligned paths arrive."""
    return sum(map(len, apart.values()))
