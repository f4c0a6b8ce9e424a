"""Finds the input sizes at which a network is aligned, and its padding at these sizes.

TensorFlow's SAME padding depends only on the remainder of a size, so there is an exact
answer for all sizes at once. The input gets the size ``period * q + r``, where q is a
symbol. The result of the analysis then holds for every q. The sizes of the other axes
are unknown, so the result holds for all of them. At small sizes, a map may vanish or an
op may behave differently. Small sizes are therefore analysed one by one, until one size
of each remainder has agreed with the symbolic answer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

from receptive_field.algebra.axis_map import INFINITY, AxisMap, Extended
from receptive_field.algebra.sizes import (
    Size,
    Symbolic,
    shape_in_words,
    slope_and_offset,
    substituted,
    unknown,
)
from receptive_field.budget import within_budget
from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.graph.graph import Tensor
from receptive_field.network.network import Network
from receptive_field.network.walk import reads
from receptive_field.passes.regions import Forward, forward
from receptive_field.progress import tell
from receptive_field.questions.every_size import (
    MOST_VISITS,
    last_shortened,
    last_unplaced,
)
from receptive_field.questions.question import Options, Question, StopPropagation, ask
from receptive_field.questions.reach import followed, layer_reaches, reach_of
from receptive_field.relations.relation import (
    ALL_BOUND,
    Relation,
    rates,
    source,
)
from receptive_field.results.axes import axis_name
from receptive_field.results.field import ReceptiveField, numbers_on
from receptive_field.results.resolutions import (
    LONGEST_WORDS,
    AxisResolutions,
    Obstacle,
    Outcome,
    OutputSize,
    Placement,
    Resolutions,
    shortest,
)
from receptive_field.rules.op import rule_at
from receptive_field.rules.stated import Rule

LONGEST_PERIOD = 1 << 12
"""The longest period for which an answer is computed."""

LARGEST_SMALLEST = 1 << 11
"""The search for a size at which the network can run stops at this size."""

SIZES_TRIED = 16
"""The number of sizes at which the function for the output's size is tested. If a
period is too long, this is also the number of sizes that are tried instead."""

MORE_TURNS = (0, 1, 5)
"""The result at a large size is trusted if it stays the same when each of these numbers
of periods is added to the size."""

MOST_ASKED = 256
"""The largest number of questions (one per size) that is cached."""


@within_budget
def resolutions(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    stop_propagation: StopPropagation = None,
    batch_norm: str = "inference",
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
    trace: bool = False,
    example_inputs: Any = None,
) -> Resolutions:
    """Finds the input sizes at which a network is aligned, and the padding at each.

    Paths that see a whole axis (global pooling, attention) have no padding and are
    ignored. The sizes that the graph states for the input are ignored, too. Values that
    were computed from these sizes when the graph was built (such as paddings in Keras)
    are kept.

    Args:
      model, output, input, stop_propagation, batch_norm, overrides, signature, trace,
        example_inputs: as in `compute_receptive_field`.

    Returns:
      The answer for all sizes, axis by axis. It includes the sizes at which the network
      cannot run, and the nodes that do not depend on the remainder of a size alone
      (such as a resize to a constant size). Resizes are computed in exact arithmetic.
      The rounding of TensorFlow's kernels may move single positions at some sizes.

    Raises:
      ReceptiveFieldError: if the model cannot be read or analysed, cannot run at any
        size up to 2048, or has a period of more than 4096 sizes.

    >>> import receptive_field as rf
    >>> print(rf.resolutions(rf.EXAMPLE_GRAPH).axes[0])
    aligned at every size; padding 1482
    """
    options = Options("unknown", stop_propagation, batch_norm, overrides)
    loaded = load(
        model,
        signature,
        overrides=overrides,
        trace=trace,
        example_inputs=example_inputs,
    )
    tell("analysing the model")
    question, field = ask(loaded, output, input, options)
    if field.is_folded:
        below = question.at_last_feature_map(folded=False)
        if output is not None or below is None:
            advice = ""
            if below:
                advice = f" Ask about {below[1].output!r}, which is nearer the input."
            raise GraphError(
                f"{field.output!r} does not have one axis for each spatial axis of "
                "the input (for example, because it holds tokens), so it has no "
                f"padding on the axes of the input.{advice}"
            )
        field = below[1]
    # Leave out the nodes after the output.
    question = Question.ask(loaded, input, [field.output], options)
    found = forward(question.network, question.spatial)
    spatial = question.spatial[::-1]
    analyses = [_AxisAnalysis(question, field, found, axis) for axis in spatial]
    axes = [analysis.result() for analysis in analyses]
    # If a resize blocks the answer at some sizes, more is known at other sizes.
    told = question.with_sizes({a.axis: a.clearest for a in analyses})
    ((name, tensor),) = (question.outputs or {}).items()
    found = forward(told.network, told.spatial, [tensor])
    axes = [
        replace(axis, output_size=analysis.output_size(found.local(tensor), axis))
        for axis, analysis in zip(axes, analyses, strict=True)
    ]
    useful = [
        max(reach_of(found.local(tensor), told, analysis.axis), analysis.largest)
        for analysis in analyses
    ]
    layers = layer_reaches(told, found)
    return Resolutions(
        question.input,
        name,
        tuple(axes),
        layers,
        tuple(useful),
        question.built_for,
    )


# --- One axis --------------------------------------------------------------------


class _Seen(NamedTuple):
    """What the analysis finds at one size, or at all sizes with one remainder."""

    placement: Placement
    stride: int | Fraction | None
    is_vague: bool
    """Whether the relation is only an upper bound, or has an unknown offset."""
    size: Extended
    """The size of the local receptive field, or an upper bound on it."""
    reach: Extended
    """The largest known distance from a feature's place to a position that it sees."""


class _Unclear(NamedTuple):
    """An edge whose relation is better known if the size of the input is a number."""

    node: int
    below: Tensor
    axis: int
    is_roll: bool


_Outcome = _Seen | Obstacle
"""The result of the analysis at some size, or the reason why the network cannot run."""


class _AxisAnalysis:
    """The analysis of one axis at chosen sizes.

    The sizes of the other axes stay unknown.
    """

    def __init__(
        self, question: Question, field: ReceptiveField, found: Forward, axis: int
    ) -> None:
        self.question = question
        self.found = found
        self.axis = axis
        """The axis of the input."""
        self._name = axis_name(question.spatial[::-1].index(axis))
        shape = question.network.shape(question.network.input) or ()
        self.clearest: Size = shape[axis]
        """A symbolic size at which as much as possible is known about the network."""
        ((_, self.output),) = (question.outputs or {}).items()
        self.unplaced = last_unplaced(question, [field])
        """The last size whose result may differ from the result for larger sizes."""
        self.shortened = last_shortened(question, [field])
        """The last size at which a slice takes fewer positions than at large sizes, or
        a roll moves positions by the whole axis or more. All sizes up to this one are
        analysed."""
        self.largest: Extended = 0
        """The size of the largest local receptive field, over all remainders."""
        self._asked: dict[Size, Question] = {}
        network = question.network
        self.chooses = any(_chooses_what_to_read(network, i) for i in network.needed)
        """Whether some node reads only some of its inputs."""
        self.growing: list[tuple[int, list[int]]] = []
        """The nodes that read or make axes of unknown size, and the axes they make."""
        for index in question.network.order:
            sizes = question.network.shape((index, 0)) or ()
            unknowns = [a for a, size in enumerate(sizes) if isinstance(size, Symbolic)]
            inputs = question.network.graph.nodes[index].inputs
            below = map(question.network.shape, inputs)
            read = itertools.chain.from_iterable(filter(None, below))
            if unknowns or any(isinstance(size, Symbolic) for size in read):
                self.growing.append((index, unknowns))

    def result(self) -> AxisResolutions:
        """Returns the answer for all sizes, but without the size of the output."""
        whole = [self._outcome(self.clearest)]
        if _is_vague(whole[0]):
            whole = self._by_residue(self._period())
        if any(map(_is_vague, whole)):
            longer = self._period(of_all=True)
            whole = self._by_residue(longer) if longer > len(whole) else whole
        smallest, vanishing = self._smallest()
        whole = self._as_it_fits(whole, smallest)
        rolled = self._as_it_rolls(whole, smallest)
        whole = [rolled.get(residue, seen) for residue, seen in enumerate(whole)]
        self.largest = max((o.size for o in whole if isinstance(o, _Seen)), default=0)
        exceptions, failed = self._held(whole, smallest)
        blocking: dict[Obstacle, None] = {}
        placements: list[Outcome] = []
        for residue, seen in enumerate(whole):
            other = failed.get(residue, seen)
            if isinstance(other, Obstacle):
                placements.append(other)
            elif isinstance(seen, Obstacle):
                placements.append(seen._replace(can_run=True))
            elif residue in failed or (
                seen.placement.aligned is None and residue not in rolled
            ):
                nodes = self._blocking(residue, len(whole), smallest)
                blocking.update(dict.fromkeys(nodes))
                if residue in failed and not nodes:
                    nodes = [self._unexplained()]
                placements.append(nodes[0] if nodes else seen.placement)
            else:
                placements.append(seen.placement)
        clear = [r for r, p in enumerate(placements) if isinstance(p, Placement)]
        if clear and len(whole) > 1:
            turns = unknown(f"turns of axis {self.axis}")
            self.clearest = turns * len(whole) + clear[0]
        return AxisResolutions(
            tuple(shortest(placements)),
            smallest,
            vanishing,
            tuple(blocking),
            {size: _placement(found) for size, found in exceptions.items()},
        )

    def _at(self, size: Size) -> Question:
        """Returns the question at one size.

        Recent questions are kept, because their networks cache shapes.
        """
        if size not in self._asked:
            if len(self._asked) >= MOST_ASKED:
                self._asked.clear()
            self._asked[size] = self.question.with_sizes({self.axis: size})
        return self._asked[size]

    def _outcome(self, at: Size) -> _Outcome:
        question = self._at(at)
        obstacle = self._obstacle(question)
        if obstacle is not None:
            return obstacle
        try:
            whole = question.answer()
        except ReceptiveFieldError as error:
            return Obstacle(question.network.graph.name_of(self.output), str(error))
        local = whole.local or whole
        place = question.spatial[::-1].index(self.axis)
        of_all, axis_map = whole.axes[place].map, local.axes[place].map
        size, stride, padding = numbers_on(local, place)
        placement = Placement(axis_map.aligned, padding)
        is_vague = of_all.is_floating or not of_all.exact
        return _Seen(placement, stride, is_vague, size, axis_map.reach)

    def _obstacle(self, question: Question) -> Obstacle | None:
        """Returns the first node that cannot run, or where the feature map vanishes.

        An empty map is not an obstacle if the output still has positions, for example
        because the map is joined with others.
        """
        vanishing: Obstacle | None = None
        is_read = self._is_read(question)
        for index, axes in self.growing:
            if not is_read(index):
                continue
            node = question.network.graph.nodes[index]
            try:
                shape = question.network.shape((index, 0)) or ()
            except ReceptiveFieldError as error:
                return Obstacle(node.name, str(error))
            sizes = [shape[axis] for axis in axes if axis < len(shape)]
            if vanishing is None and _is_empty(sizes):
                vanishing = Obstacle(
                    node.name,
                    f"{node.op} node {node.name!r} makes the feature map vanish: its "
                    f"output has the shape {shape_in_words(shape)}.",
                )
        is_empty = _is_empty(question.network.shape(self.output) or ())
        return vanishing if is_empty else None

    def _is_read(self, question: Question) -> Callable[[int], bool]:
        """Returns a function that says whether the output is computed from a node.

        It is not if the node is in a branch that the network does not take.
        """
        if not self.chooses:
            return lambda index: True
        return question.network.known.nodes_read([self.output]).__contains__

    def _by_residue(self, period: int) -> list[_Outcome]:
        """Returns, for each remainder, the outcome at all sizes with that remainder."""
        turns = unknown("turns") * self._checked(period)
        found = []
        for residue in range(period):
            tell(f"comparing sizes along {self._name}", residue / period)
            found.append(self._outcome(turns + residue))
        return found

    def _checked(self, period: int) -> int:
        """Returns the period, unless it is too long for an answer."""
        if period > LONGEST_PERIOD:
            raise GraphError(
                f"the padding of {self.question.input!r} repeats with a period of "
                f"{period} input sizes, which is more than the limit of "
                f"{LONGEST_PERIOD}. Ask about individual sizes with "
                "compute_receptive_field(..., input_resolution=...)."
            )
        return period

    def _period(self, of_all: bool = False) -> int:
        """Returns how many remainders must be distinguished.

        If a tensor has effective stride a / b, its size is b / a times the size of the
        input, apart from an offset and rounding. So the period is a common multiple of
        the numerators a of the tensors around all ops whose relations are not fully
        known (or around all ops, if ``of_all``). If the size of the input is a multiple
        of the period, the sizes of these tensors are integers, apart from offsets.
        """
        network = self.question.network
        period = 1
        for index in network.order:
            for read in reads(network, (index, 0)):
                if of_all or self._is_vague(read.rule, read.below):
                    for tensor in (read.tensor, read.below):
                        found = self._map(tensor).rates
                        period = math.lcm(period, *(r.numerator for r in found if r))
        return period

    def _map(self, tensor: Tensor) -> AxisMap:
        """Returns how the axis follows a tensor by local paths, for an unknown size."""
        return followed(self.found.local(tensor), self.question, self.axis)[1]

    def _period_of_blocks(self, node: int) -> int:
        """Returns how many sizes pass until the output of a node has one more block.

        This is the product of the stride of the tensor that the node reads and the size
        of the blocks into which the node divides it (1 if it does not). If the node
        reads several tensors, the result is a common multiple.
        """
        network, period = self.question.network, 1
        for read in reads(network, (node, 0)):
            place, axis_map = followed(
                self.found.local(read.below), self.question, self.axis
            )
            if place is not None and place < len(read.rule.axes):
                steps = itertools.product(axis_map.rates, rates(read.rule.axes[place]))
                passed = [one * two for one, two in steps]
                period = math.lcm(period, *(step.numerator for step in passed if step))
        return period

    def _is_vague(self, rule: Relation | None, below: Tensor) -> bool:
        if rule is None or not rule.axes:
            return rule == ALL_BOUND
        relation = self.found.local(below)
        place, _ = followed(relation, self.question, self.axis)
        axes = rule.axes if place is None else rule.axes[place : place + 1]
        maps = [axis_map for _, axis_map in map(source, axes)]
        return any(m.is_floating or not m.exact for m in maps)

    def _smallest(self) -> tuple[int, Obstacle | None]:
        """Returns the smallest size at which the network runs.

        Also returns the reason why the next smaller size fails, or None if the smallest
        size is 1.

        Raises:
          ReceptiveFieldError: if there is no such size up to `LARGEST_SMALLEST`.
        """
        vanishing = None
        tell(f"finding the smallest size along {self._name}")
        for size in range(1, LARGEST_SMALLEST + 1):
            found = self._outcome(size)
            if isinstance(found, _Seen):
                return size, vanishing
            vanishing = found
        raise GraphError(
            f"the network cannot be run at any size up to {LARGEST_SMALLEST}: "
            f"{vanishing and vanishing.reason} Did you mean a different input?"
        )

    def _as_it_fits(self, whole: list[_Outcome], smallest: int) -> list[_Outcome]:
        """Returns the outcomes, repeated to cover a longer period if necessary.

        This is necessary if the network can run only at some remainders of the longer
        period. Ops that divide an axis into blocks make the period longer, unless
        paddings ensure that the blocks always fit. Such an op fails at some of the
        sizes tried, because two consecutive sizes never both fit.
        """
        graph = self.question.network.graph
        longer = math.lcm(self._period(of_all=True), len(whole))
        period = 0
        while longer > period:
            period = longer
            large = _large(smallest, period)
            count = 2 * period if period <= LONGEST_PERIOD else SIZES_TRIED
            sizes = range(large, large + count)
            found = []
            for size in sizes:
                tell(f"running sizes along {self._name}", (size - large) / count)
                found.append(self._obstacle(self._at(size)))
            nodes = {obstacle.node for obstacle in found if obstacle}
            if not nodes:
                return whole
            blocks = (self._period_of_blocks(graph.node(name).index) for name in nodes)
            longer = self._checked(math.lcm(period, *blocks))
        fits = [obstacle is None for obstacle in found]
        if fits[:period] != fits[period:]:
            raise GraphError(
                f"the sizes of {self.question.input!r} at which the network can run "
                "repeat only after a period that is too long to be found. Ask about "
                "individual sizes with compute_receptive_field(..., "
                "input_resolution=...)."
            )
        if any(map(_is_vague, whole)):
            return self._by_residue(period)
        return whole * (period // len(whole))

    def _as_it_rolls(
        self, whole: Sequence[_Outcome], smallest: int
    ) -> dict[int, _Outcome]:
        """Returns outcomes at large sizes for remainders where only rolls are unclear.

        A roll lets a few positions see the other end of the axis. If the input is
        larger than the parts seen from both ends together, a larger input with the same
        remainder only adds positions in the middle. The added positions behave like the
        other positions in the middle.
        """
        rolled: dict[int, _Outcome] = {}
        period = len(whole)
        reach: Extended = max(
            (o.reach for o in whole if isinstance(o, _Seen)), default=0
        )
        least = self.shortened + 2 * reach
        if least * len(self.question.network.order) > MOST_VISITS:
            return rolled
        for residue, seen in enumerate(whole):
            if not (isinstance(seen, _Seen) and seen.size == INFINITY):
                continue
            unclear = list(self._unclear(residue, period, smallest))
            if unclear and all(place.is_roll for place in unclear):
                self.unplaced = max(self.unplaced, int(least))
                large = max(_large(smallest, period), self.unplaced + 1)
                first = large + (residue - large) % period
                single = [self._outcome(first + n * period) for n in MORE_TURNS]
                if all(_agree(one, single[0]) for one in single):
                    rolled[residue] = single[0]
        return rolled

    def _held(
        self, whole: Sequence[_Outcome], smallest: int
    ) -> tuple[dict[int, _Outcome], dict[int, _Outcome]]:
        """Compares single sizes with the outcome for all sizes with their remainder.

        Returns:
          Two dictionaries. The first maps single sizes to outcomes that differ. It
          covers the sizes up to the one at which the last remainder has agreed once.
          The second maps each remainder that never agrees to its outcome at a large
          size.
        """
        period = len(whole)
        large = max(_large(smallest, period), self.shortened + 1)
        failed: dict[int, _Outcome] = {}
        # A model that was built for one size may fail at all large ones.
        fails = not isinstance(self._outcome(large), _Seen)
        for size in range(large, large + period):
            tell(f"checking sizes along {self._name}", (size - large) / period)
            # Small maps that do not fit may be broadcast, so try large maps.
            residue = size % period
            obstacle = self._obstacle(self._at(size))
            if obstacle is not None:
                failed[residue] = obstacle
            elif fails or _is_vague(whole[residue]):  # Not found for all sizes at once.
                found = self._outcome(size)
                if not _agree(found, whole[residue]):
                    failed[residue] = found
        waiting = set(range(period)) - set(failed)
        exceptions: dict[int, _Outcome] = {}
        least = max(smallest + period, self.unplaced + 1)
        # A model that was built for one size may run at small sizes only.
        small = {r for r, found in failed.items() if isinstance(found, Obstacle)}
        for size in range(smallest, max(large + period, least)):
            residue = size % period
            if size >= least and not waiting and residue not in small:
                continue
            found = self._outcome(size)
            if _agree(found, whole[residue]) and residue not in failed:
                waiting.discard(residue)
            elif isinstance(found, _Seen) or residue not in failed:
                exceptions[size] = found
        for residue in waiting:
            failed[residue] = exceptions[large + (residue - large) % period]
        blocked = {r for r, found in failed.items() if isinstance(found, _Seen)}
        kept = {n: p for n, p in exceptions.items() if n % period not in blocked}
        return kept, failed

    def _blocking(self, residue: int, period: int, smallest: int) -> list[Obstacle]:
        unclear = self._unclear(residue, period, smallest)
        return [self._described(*place[:3]) for place in unclear]

    def _unclear(self, residue: int, period: int, smallest: int) -> Iterator[_Unclear]:
        """Yields the edges whose relations are known better if the size is a number."""
        for_all = self._at(unknown("turns") * period + residue)
        for_one = self._at((smallest // period + 8) * period + residue)
        is_read = self._is_read(for_all)
        for index in filter(is_read, self.question.network.order):
            try:
                vague = reads(for_all.network, (index, 0))
                if not any(_says_little(read.rule) for read in vague):
                    continue
                known = {r.number: r.rule for r in reads(for_one.network, (index, 0))}
            except ReceptiveFieldError:
                continue
            for read in vague:
                found = _better_known(read.rule, known.get(read.number))
                if found is not None:
                    axis, vague_map = found
                    # Only the map of a roll places most but not all positions.
                    is_roll = vague_map.is_unbounded and not vague_map.is_everything
                    yield _Unclear(index, read.below, axis, is_roll)
                    break

    def _described(self, index: int, below: Tensor, axis: int) -> Obstacle:
        question = self.question
        sizes = []
        for tensor in (below, (index, 0)):
            shape = question.network.shape(tensor) or ()
            known = axis < len(shape) and self._as_function(shape[axis], LONGEST_WORDS)
            sizes.append(str(known or "unknown"))
        node = question.network.graph.nodes[index]
        reason = (
            f"{node.op} node {node.name!r} depends on the size itself, not only on "
            f"its remainder: its input has size {sizes[0]}, and its output has size "
            f"{sizes[1]}."
        )
        return Obstacle(node.name, reason, can_run=True)

    def _unexplained(self) -> Obstacle:
        name = self.question.network.graph.name_of(self.output)
        reason = (
            f"at {name!r}, the results at individual sizes differ from the result for "
            "all sizes with the same remainder."
        )
        return Obstacle(name, reason, can_run=True)

    def output_size(
        self, relation: Relation | None, found: AxisResolutions
    ) -> OutputSize | None:
        """Returns the size of the output, given its relation to the input.

        Returns None if the size is unknown, or if the function does not hold at some
        size at which the network can run. For example, a slice with constant ends takes
        fewer positions of a small input.
        """
        shape = self.question.network.shape(self.output)
        place, axis_map = followed(relation, self.question, self.axis)
        if shape is None or place is None:
            return None
        own = math.lcm(*(rate.numerator for rate in axis_map.rates if rate))
        of_all = math.lcm(own, self._period(of_all=True))
        known = self._as_function(shape[place], own)
        known = known or self._as_function(shape[place], of_all)
        end = max(found.smallest + SIZES_TRIED, self.shortened + 1)
        for size in range(found.smallest, end if known else 0):
            at_size = self._at(size)
            if known is None or self._obstacle(at_size) is not None:
                continue
            real = (at_size.network.shape(self.output) or ())[place]
            if real != known(size):
                return None
        return known

    def _as_function(self, size: Size, period: int) -> OutputSize | None:
        """Returns a size as a function of the input's size, with this period.

        Returns None if there is no such function, or if the period is too long.
        """
        shape = self.question.network.shape(self.question.network.input) or ()
        given = shape[self.axis]
        if not isinstance(given, Symbolic):
            return None
        if period > LONGEST_PERIOD:
            return None
        ((atom,),) = given.terms
        turns = unknown("turns")
        linear = [
            slope_and_offset(substituted(size, {atom: turns * period + r}), turns)
            for r in range(period)
        ]
        slopes = {slope for slope, _ in linear}
        slope = slopes.pop()
        if slopes or slope is None:
            return None
        return _shortest_size(slope, [offset for _, offset in linear])


def _chooses_what_to_read(network: Network, index: int) -> bool:
    op = rule_at(network.graph, index)
    return op is not None and op.reads is not None


def _is_empty(shape: Sequence[Size]) -> bool:
    return any(isinstance(size, int) and size < 1 for size in shape)


def _large(smallest: int, period: int) -> int:
    """Returns a size at which feature maps are assumed not to be small."""
    return max(4 * smallest, smallest + 4 * period, 64)


def _agree(one: _Outcome, two: _Outcome) -> bool:
    """Returns whether two outcomes have the same placement and stride.

    Returns False if one of them is an obstacle.
    """
    return isinstance(one, _Seen) and isinstance(two, _Seen) and one[:2] == two[:2]


def _is_vague(found: _Outcome) -> bool:
    return not isinstance(found, _Seen) or found.is_vague


def _placement(found: _Outcome) -> Outcome:
    return found.placement if isinstance(found, _Seen) else found


def _says_little(relation: Relation | None) -> bool:
    """Returns whether a relation leaves open which positions are seen on some axis."""
    maps = (source(axis)[1] for axis in relation.axes) if relation else ()
    return any(m.is_floating or m.is_unbounded for m in maps)


def _better_known(
    vague: Relation | None, known: Relation | None
) -> tuple[int, AxisMap] | None:
    """Returns an axis that the first relation leaves open but the second does not.

    Also returns the first relation's map of that axis. Returns None if there is no such
    axis.
    """
    if vague is None or known is None:
        return None
    for axis, (one, two) in enumerate(zip(vague.axes, known.axes, strict=False)):
        (_, before), (_, after) = source(one), source(two)
        if before.is_floating and not after.is_floating:
            return axis, before
        if before.is_unbounded and not after.is_unbounded:
            return axis, before
    return None


def _shortest_size(slope: int, offsets: Sequence[int]) -> OutputSize:
    total = len(offsets)
    for period in range(1, total):
        if total % period == 0 and slope * period % total == 0:
            step = slope * period // total
            later = zip(offsets, offsets[period:], strict=False)
            if all(two - one == step for one, two in later):
                return OutputSize(step, tuple(offsets[:period]))
    return OutputSize(slope, tuple(offsets))
