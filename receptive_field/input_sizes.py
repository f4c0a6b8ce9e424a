"""For which input sizes a network is aligned, and what its padding then is.

TensorFlow's SAME padding depends on a size through its residue only, so there is an
exact answer for all sizes at once. The input is given the size ``period * q + r``, q
being a symbol: what the analysis then finds holds for every q. The other axes have
sizes of which nothing is known, so that the answer does not depend on them either.
Small sizes, at which a map vanishes or an op behaves otherwise, are analysed one by
one, until every residue has been seen to do as the symbolic answer says.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from receptive_field.analysis import Forward, forward, relations
from receptive_field.axis_map import INFINITY, NONE, AxisMap, Bound
from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.every_size import last_unplaced
from receptive_field.graph.axes import ALL_BOUND, SAME, Relation, ranked, source
from receptive_field.graph.graph import Tensor
from receptive_field.graph.joins import settled, through
from receptive_field.graph.sizes import Atom, Size, Symbolic, rounded_down, unknown
from receptive_field.question import Options, Question, StopPropagation, ask
from receptive_field.result import ReceptiveField
from receptive_field.rules.op import Call, rule_of
from receptive_field.rules.stated import Rule
from receptive_field.sources import load

T = TypeVar("T")

LONGEST_PERIOD = 1 << 12
"""Answers that repeat after more sizes than this are not worked out."""

LARGEST_SMALLEST = 1 << 11
"""A network that cannot be run at any size up to this one is not waited for."""

SIZES_TRIED = 16
"""At so many small sizes the output's size is held against its function."""

MOST_ASKED = 256
"""Questions about so many sizes are kept at a time."""

LONGEST_WORDS = 64
"""Sizes are put into words if they are functions of this period."""


class Placement(NamedTuple):
    """What a size decides on one axis, of the paths that do not see all of it."""

    aligned: bool | None
    """As `ReceptiveField.aligned`."""
    padding: int | None
    """The effective padding; None where no single number holds."""


class Obstacle(NamedTuple):
    """Why there is no answer at some sizes."""

    node: str
    """Where: the name of a node."""
    reason: str
    can_run: bool = False
    """Whether the network can be run; then more matters than the size's residue."""


Outcome = Placement | Obstacle
"""What holds at some sizes, or why there is no answer."""


class OutputSize(NamedTuple):
    """The output's size as a function of the input's.

    ``n`` positions become ``(n - r) / period * slope + offsets[r]``, where r is the
    residue of n modulo the period.
    """

    slope: int
    offsets: tuple[int, ...]

    def __call__(self, size: int) -> int:
        """The output's size where the input's is ``size``."""
        turns, rest = divmod(size, len(self.offsets))
        return turns * self.slope + self.offsets[rest]

    def __str__(self) -> str:
        slope, offsets, period = self.slope, self.offsets, len(self.offsets)
        if slope == 0:
            return str(offsets[0])
        if slope == 1:
            # floor((r + shift) / period) steps where that is a whole number.
            step = next((r for r in range(period) if offsets[r] != offsets[0]), period)
            shift = period * (offsets[0] + 1) - step
            if all((r + shift) // period == offsets[r] for r in range(period)):
                return _rounded_quotient(shift, period)
        if period == 1:
            return f"{slope} * size{_signed(offsets[0])}"
        listed = ", ".join(map(str, offsets))
        return f"{slope} * floor(size / {period}) + [{listed}][size mod {period}]"


@dataclass(frozen=True, slots=True)
class AxisResolutions:
    """One axis of the input, at every size.

    Attributes:
      placements: for each residue of the size modulo the `period` what it decides; an
        `Obstacle` where the network cannot be run, or a node blocks.
      blocking: the nodes that make more of a size matter than its residue, if any.
      smallest: the smallest size at which the network can be run.
      vanishing: the node at which the feature map vanishes at the size below; None if
        ``smallest`` is 1.
      exceptions: the sizes from ``smallest`` on at which it is not as ``placements``
        say, as far as sizes were tried one by one: until every residue had been
        seen to do as they say.
      output_size: the size of the output; None where it cannot be known, or the output
        has no axis for this one.
    """

    placements: tuple[Outcome, ...]
    smallest: int
    vanishing: Obstacle | None = None
    blocking: tuple[Obstacle, ...] = ()
    exceptions: Mapping[int, Outcome] = attribute(default_factory=dict)
    output_size: OutputSize | None = None

    @property
    def period(self) -> int:
        """After how many sizes the answer repeats."""
        return len(self.placements)

    def at(self, size: int) -> Placement:
        """Alignment and padding where the input has this many positions.

        Raises:
          ReceptiveFieldError: if the network cannot be run at this size (names the node
            where it fails), or a node makes more matter than the size's residue.
        """
        if size < 1:
            raise ReceptiveFieldError(f"a size is at least 1; it is {size}.")
        found = self.exceptions.get(size, self.placements[size % self.period])
        if self.vanishing is not None and size < self.smallest:
            found = self.vanishing
        if isinstance(found, Placement):
            return found
        if found.can_run:
            raise GraphError(
                f"what size {size} decides does not follow from its residue: "
                f"{found.reason} Ask compute_receptive_field with an input_resolution."
            )
        raise GraphError(
            f"the network cannot be run at size {size}: {found.reason} The smallest "
            f"possible size is {self.smallest}."
        )

    def __str__(self) -> str:
        placed = [p if isinstance(p, Placement) else None for p in self.placements]
        parts = []
        if any(placed):
            known = _cases([p and _ALIGNED[p.aligned] for p in placed])
            parts.append(known if " where " in known else f"{known} at every size")
        if any(p and p.padding is not None for p in placed):
            parts.append(f"padding {_paddings([p and p.padding for p in placed])}")
        for reason, residues in self._obstacles().items():
            where = _where(residues, self.period) or " at any size"
            parts.append(f"no answer{where}: {reason}")
        for size, found in list(self.exceptions.items())[:MOST_CASES]:
            told = f"cannot be run: {found[1]}"
            if isinstance(found, Placement):
                told = f"{_ALIGNED[found.aligned]}, padding {found.padding}"
            parts.append(f"at size {size} {told}")
        if len(self.exceptions) > MOST_CASES:
            last = max(self.exceptions)
            parts.append(f"and otherwise at more sizes up to {last} (see exceptions)")
        return "; ".join(part.removesuffix(".") for part in parts)

    def _obstacles(self) -> dict[str, list[int]]:
        """Why there are residues without an answer."""
        reasons: dict[str, list[int]] = {}
        for residue, found in enumerate(self.placements):
            if isinstance(found, Obstacle):
                reasons.setdefault(found.reason, []).append(residue)
        return reasons


class LayerReach(NamedTuple):
    """What a layer's input sees already, x before y; see `Resolutions`."""

    name: str
    smallest: tuple[Bound | None, ...]
    """The receptive field of the smallest path to its input; None for an axis on which
    the layer's kernel has a single position."""
    largest: tuple[Bound | None, ...]
    """That of the largest path that is local."""


@dataclass(frozen=True, slots=True)
class Resolutions:
    """What the size of the input decides; lists have x (width) first, then y.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor whose features are described.
      axes: one answer for each spatial axis of the input.
      layers: convolutions and poolings whose kernel has more than one position.
      largest_useful_size: for each axis the largest local receptive field (a bound,
        where a resize has another scale at every size). In a larger image, a feature
        sees no more, but by paths over a whole axis.
    """

    input: str
    output: str
    axes: tuple[AxisResolutions, ...]
    layers: tuple[LayerReach, ...]
    largest_useful_size: tuple[Bound, ...]

    def at(self, resolution: Sequence[int] | int) -> tuple[Placement, ...]:
        """Alignment and padding of each axis, x first.

        Args:
          resolution: the size of the input's spatial axes, ``[height, width]`` for
            images; a single number stands for all.

        Raises:
          ReceptiveFieldError: if there is no answer for a size; see
            `AxisResolutions.at`.
        """
        sizes = self._sizes(resolution)
        return tuple(axis.at(n) for axis, n in zip(self.axes, sizes, strict=True))

    def unproductive_layers(
        self, resolution: Sequence[int] | int
    ) -> tuple[tuple[str, ...], ...]:
        """For each axis, x first, the layers that add nothing at this size.

        Even the smallest path to the input of such a layer sees as many positions as
        the image has.

        Args:
          resolution: as in `at`.
        """
        sizes = self._sizes(resolution)
        return tuple(
            tuple(x.name for x in self.layers if _covers(x.smallest[i], n))
            for i, n in enumerate(sizes)
        )

    def critical_layers(
        self, resolution: Sequence[int] | int
    ) -> tuple[tuple[str, ...], ...]:
        """For each axis, x first, the layers that only some paths need at this size.

        The largest path to the input of such a layer sees as many positions as the
        image has, the smallest does not.

        Args:
          resolution: as in `at`.
        """
        sizes = self._sizes(resolution)
        return tuple(
            tuple(
                x.name
                for x in self.layers
                if _covers(x.largest[i], n) and not _covers(x.smallest[i], n)
            )
            for i, n in enumerate(sizes)
        )

    @property
    def smallest_productive_size(self) -> tuple[Bound, ...]:
        """For each axis, x first, the smallest size without unproductive layers."""
        reaches = [[x.smallest[i] for x in self.layers] for i in range(len(self.axes))]
        return tuple(max([0, *filter(None, reach)]) + 1 for reach in reaches)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data that JSON can hold.

        Returns:
          ``input`` and ``output`` by name, and ``axes``, x first, each with its
          ``period``, what holds (``placements``, by the residue of the size modulo the
          period; ``exceptions``, by size): ``aligned`` and ``padding``, or the ``node``
          and ``reason`` why there is no answer; ``smallest_size``; ``output_size`` with
          its ``slope`` and ``offsets`` (see `OutputSize`), or None;
          ``smallest_productive_size`` and ``largest_useful_size``, ``"inf"`` where
          there is no bound.
        """

        def told(found: Outcome) -> dict[str, Any]:
            if isinstance(found, Placement):
                return {"aligned": found.aligned, "padding": found.padding}
            return {"node": found.node, "reason": found.reason}

        def number(bound: Bound) -> int | str:
            return "inf" if bound == INFINITY else int(bound)

        guidance = zip(
            self.smallest_productive_size, self.largest_useful_size, strict=True
        )
        axes = [
            {
                "period": axis.period,
                "placements": [told(found) for found in axis.placements],
                "exceptions": {str(n): told(f) for n, f in axis.exceptions.items()},
                "smallest_size": axis.smallest,
                "output_size": axis.output_size and axis.output_size._asdict(),
                "smallest_productive_size": number(productive),
                "largest_useful_size": number(useful),
            }
            for axis, (productive, useful) in zip(self.axes, guidance, strict=True)
        ]
        return {"input": self.input, "output": self.output, "axes": axes}

    def __str__(self) -> str:
        lines: dict[tuple[str, ...], list[str]] = {}
        guidance = zip(
            self.smallest_productive_size, self.largest_useful_size, strict=True
        )
        told = zip("xyz", self.axes, guidance, strict=False)
        for name, axis, (productive, useful) in told:
            text = [str(axis), f"smallest size {axis.smallest}"]
            if axis.vanishing is not None:
                text[-1] += f" (below, the map vanishes at {axis.vanishing.node!r})"
            if axis.output_size is not None:
                text.append(f"output size {axis.output_size}")
            if productive != INFINITY:
                productive = max(productive, axis.smallest)
                text.append(f"no unproductive layer from size {productive} on")
            if useful != INFINITY:
                text.append(f"largest local receptive field {useful}")
            lines.setdefault(tuple(text), []).append(name)
        listed = [
            f"{', '.join(names)}: " + "\n  ".join(text) for text, names in lines.items()
        ]
        return "\n".join([f"{self.output} in {self.input}, by input size", *listed])

    def _sizes(self, resolution: Sequence[int] | int) -> list[int]:
        """The sizes, x first."""
        alone = not isinstance(resolution, Sequence)
        given: Any = [resolution] * len(self.axes) if alone else resolution
        try:
            sizes = [operator.index(size) for size in given]
        except TypeError:
            sizes = []
        if len(sizes) != len(self.axes) or min(sizes) < 1:
            raise ReceptiveFieldError(
                f"a resolution is one positive integer for each of the "
                f"{len(self.axes)} spatial axes, height before width, or one for all; "
                f"it is {resolution!r}."
            )
        return sizes[::-1]


def resolutions(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    stop_propagation: StopPropagation = None,
    batch_norm: str = "inference",
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
) -> Resolutions:
    """At which input sizes a network is aligned, and what its padding then is.

    Paths over a whole axis (global pooling, attention) have no padding, and do not
    count. Sizes in the graph are ignored where they are those of the input; what was
    computed from them when the graph was made (paddings of Keras) stays.

    Args:
      model, output, input, stop_propagation, batch_norm, overrides, signature: as in
        `compute_receptive_field`.

    Returns:
      The answer for all sizes, one axis after the other. Sizes at which the network
      cannot be run, and nodes that make more of a size matter than its residue (a
      resize to a constant size), are part of it. Resizes count as in exact arithmetic;
      the kernels' rounding may move single positions at some sizes.

    Raises:
      ReceptiveFieldError: if the model cannot be read or analysed, cannot be run at any
        size up to 2048, or repeats itself only after more than 4096 sizes.

    >>> import receptive_field as rf
    >>> print(rf.resolutions(rf.EXAMPLE_GRAPH).axes[0])
    aligned at every size; padding 1482
    """
    options = Options("unknown", stop_propagation, batch_norm, overrides)
    loaded = load(model, signature)
    question, field = ask(loaded, output, input, options)
    if field.is_folded:
        below = question.at_last_feature_map(folded=False)
        if output is not None or below is None:
            advice = f" Ask about {below[1].output!r}, before it." if below else ""
            raise GraphError(
                f"{field.output!r} has no axis for each of the input's, as tokens have "
                f"not, so that there is no padding on an axis.{advice}"
            )
        field = below[1]
    # What comes after the output that was found does not matter.
    question = Question.ask(loaded, input, [field.output], options)
    found = forward(question.scope, question.inference, question.spatial)
    spatial = question.spatial[::-1]
    analyses = [_AxisAnalysis(question, field, found, axis) for axis in spatial]
    axes = [analysis.result() for analysis in analyses]
    # Where a resize blocks at some sizes, more is known at others.
    told = question.with_sizes({a.axis: a.clearest for a in analyses})
    ((name, tensor),) = (question.outputs or {}).items()
    found = forward(told.scope, told.inference, told.spatial, [tensor])
    axes = [
        replace(axis, output_size=analysis.output_size(found.local(tensor), axis))
        for axis, analysis in zip(axes, analyses, strict=True)
    ]
    useful = [
        max(_reach(found.local(tensor), told, analysis.axis), analysis.largest)
        for analysis in analyses
    ]
    layers = _layers(told, found)
    return Resolutions(question.input, name, tuple(axes), layers, tuple(useful))


# --- One axis --------------------------------------------------------------------


class _Seen(NamedTuple):
    """What the analysis finds at one size."""

    placement: Placement
    stride: int | Fraction | None
    is_vague: bool
    """Whether any path is but a bound, or its offset unknown."""
    size: Bound
    """The local receptive field, or a bound of it."""


_Outcome = _Seen | Obstacle
"""What is found at one size, or why the network cannot be run at it."""


class _AxisAnalysis:
    """A question about one axis, at sizes of its choice; the others are unknown."""

    def __init__(
        self, question: Question, field: ReceptiveField, found: Forward, axis: int
    ) -> None:
        self.question = question
        self.found = found
        self.axis = axis
        """The axis of the input."""
        shape = question.inference.shape(question.scope.input) or ()
        self.clearest: Size = shape[axis]
        """A size, for all turns of a period, at which as much as possible is known."""
        ((_, self.output),) = (question.outputs or {}).items()
        self.unplaced = last_unplaced(question, [field])
        """The last size that has to be looked at by itself."""
        self.largest: Bound = 0
        """The largest local receptive field of all residues."""
        self._asked: dict[Size, Question] = {}
        self.growing: list[tuple[int, list[int]]] = []
        """The nodes whose outputs have axes of unknown size, and these axes."""
        for index in question.scope.order:
            sizes = question.inference.shape((index, 0)) or ()
            unknowns = [a for a, size in enumerate(sizes) if isinstance(size, Symbolic)]
            if unknowns:
                self.growing.append((index, unknowns))

    def result(self) -> AxisResolutions:
        """The answer at all sizes, without guidance."""
        whole = [self._outcome(self.clearest)]
        if _is_vague(whole[0]):
            whole = self._by_residue(self._period())
        if any(map(_is_vague, whole)):
            longer = self._period(of_all=True)
            whole = self._by_residue(longer) if longer > len(whole) else whole
        smallest, vanishing = self._smallest()
        whole = self._as_it_fits(whole, smallest)
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
            elif residue in failed or seen.placement.aligned is None:
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
            tuple(_shortest(placements)),
            smallest,
            vanishing,
            tuple(blocking),
            {size: _placement(found) for size, found in exceptions.items()},
        )

    def _at(self, size: Size) -> Question:
        """The question at one size; what it has inferred of shapes is kept a while."""
        if size not in self._asked:
            if len(self._asked) >= MOST_ASKED:
                self._asked.clear()
            self._asked[size] = self.question.with_sizes({self.axis: size})
        return self._asked[size]

    def _outcome(self, size: Size) -> _Outcome:
        question = self._at(size)
        obstacle = self._obstacle(question)
        if obstacle is not None:
            return obstacle
        try:
            whole = question.answer()
        except ReceptiveFieldError as error:
            return Obstacle(question.scope.graph.name_of(self.output), str(error))
        local = whole.local or whole
        place = question.spatial[::-1].index(self.axis)
        of_all, axis_map = whole.axes[place].map, local.axes[place].map
        placement = Placement(axis_map.aligned, local.padding.tolist()[place])
        is_vague = of_all.is_floating or not of_all.exact
        stride = local.stride.tolist()[place]
        reach: Bound = local.size.tolist()[place]
        return _Seen(placement, stride, is_vague, reach)

    def _obstacle(self, question: Question) -> Obstacle | None:
        """The first node that cannot be run, or whose output has no position left."""
        for index, axes in self.growing:
            node = question.scope.graph.nodes[index]
            try:
                shape = question.inference.shape((index, 0)) or ()
            except ReceptiveFieldError as error:
                return Obstacle(node.name, str(error))
            sizes = [shape[axis] for axis in axes if axis < len(shape)]
            if any(isinstance(size, int) and size < 1 for size in sizes):
                return Obstacle(
                    node.name,
                    f"{node.op} node {node.name!r} makes the feature map vanish: its "
                    f"output has the shape {shape}.",
                )
        return None

    def _by_residue(self, period: int) -> list[_Outcome]:
        """For each residue what is found at all sizes that have it."""
        if period > LONGEST_PERIOD:
            raise GraphError(
                f"the paddings of {self.question.input!r} repeat after {period} sizes "
                f"only, and {LONGEST_PERIOD} is the limit. Ask about single sizes with "
                "compute_receptive_field(..., input_resolution=...)."
            )
        turns = unknown("turns")
        return [self._outcome(turns * period + residue) for residue in range(period)]

    def _period(self, of_all: bool = False) -> int:
        """How many residues must be told apart, for the ops of which not all is known.

        Where a tensor has an effective stride of a / b, its size is b / a of that of
        the input, but for an offset and rounding. At multiples of all a, around the
        ops in question or ``of_all``, sizes are whole and so are their quotients by
        the strides.
        """
        scope, inference = self.question.scope, self.question.inference
        period = 1
        for index in scope.order:
            above = (index, 0)
            rules = relations(scope, inference, above)
            for number, below in scope.edges(index):
                if of_all or self._is_vague(rules[number], below):
                    for tensor in (above, below):
                        rates = self._map(tensor).rates
                        period = math.lcm(period, *(r.numerator for r in rates if r))
        return period

    def _map(self, tensor: Tensor) -> AxisMap:
        """How a tensor follows the axis by local paths, at unknown sizes."""
        return _followed(self.found.local(tensor), self.question, self.axis)[1]

    def _is_vague(self, rule: Relation | None, below: Tensor) -> bool:
        if rule is None or not rule.axes:
            return rule is ALL_BOUND
        relation = self.found.local(below)
        place, _ = _followed(relation, self.question, self.axis)
        axes = rule.axes if place is None else rule.axes[place : place + 1]
        maps = [axis_map for _, axis_map in map(source, axes)]
        return any(m.is_floating or not m.exact for m in maps)

    def _smallest(self) -> tuple[int, Obstacle | None]:
        """The smallest size at which the network runs, and why not at the one before.

        Raises:
          ReceptiveFieldError: if there is none.
        """
        vanishing = None
        for size in range(1, LARGEST_SMALLEST + 1):
            found = self._outcome(size)
            if isinstance(found, _Seen):
                return size, vanishing
            vanishing = found
        raise GraphError(
            f"the network cannot be run at any size up to {LARGEST_SMALLEST}: "
            f"{vanishing and vanishing.reason} Is this the input that you mean?"
        )

    def _as_it_fits(self, whole: list[_Outcome], smallest: int) -> list[_Outcome]:
        """The same for more residues, if maps that meet fit at some of them only."""
        cycle = math.lcm(self._period(of_all=True), len(whole))
        if cycle > LONGEST_PERIOD:
            return whole
        large = _large(smallest, cycle)
        fits = [self._obstacle(self._at(large + n)) is None for n in range(cycle)]
        return whole if all(fits) else whole * (cycle // len(whole))

    def _held(
        self, whole: Sequence[_Outcome], smallest: int
    ) -> tuple[dict[int, _Outcome], dict[int, _Outcome]]:
        """Holds single sizes against what was found for all sizes of their residue.

        Returns:
          The sizes at which it is otherwise, up to where each residue has agreed; and
          for each residue that never does, what is found instead.
        """
        period = len(whole)
        large = max(_large(smallest, period), self.unplaced + 1)
        failed: dict[int, _Outcome] = {}
        for size in range(large, large + period):
            # Small maps that do not fit may be broadcast; large ones tell.
            residue = size % period
            obstacle = self._obstacle(self._at(size))
            if obstacle is not None:
                failed[residue] = obstacle
            elif _is_vague(whole[residue]):  # It was not found for all sizes alike.
                found = self._outcome(size)
                if not _agree(found, whole[residue]):
                    failed[residue] = found
        waiting = set(range(period)) - set(failed)
        exceptions: dict[int, _Outcome] = {}
        least = max(smallest + period, self.unplaced + 1)
        for size in range(smallest, large + period):
            if not waiting and size >= least:
                break
            residue, found = size % period, self._outcome(size)
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
        """The nodes of which more is known where the size is a number."""
        for_all = self._at(unknown("turns") * period + residue)
        for_one = self._at((smallest // period + 8) * period + residue)
        scope = self.question.scope
        found = []
        for index in scope.order:
            try:
                vague = relations(scope, for_all.inference, (index, 0))
                if not any(map(_says_little, vague)):
                    continue
                known = relations(scope, for_one.inference, (index, 0))
            except ReceptiveFieldError:
                continue
            for edge, below in scope.edges(index):
                axis = _better_known(vague[edge], known[edge])
                if axis is not None:
                    found.append(self._described(index, below, axis))
                    break
        return found

    def _described(self, index: int, below: Tensor, axis: int) -> Obstacle:
        question = self.question
        sizes = []
        for tensor in (below, (index, 0)):
            shape = question.inference.shape(tensor) or ()
            known = axis < len(shape) and self._as_function(shape[axis], LONGEST_WORDS)
            sizes.append(str(known or "unknown"))
        node = question.scope.graph.nodes[index]
        reason = (
            f"{node.op} node {node.name!r} depends on the size itself, not only on its "
            f"residue: its input has size {sizes[0]}, its output {sizes[1]}."
        )
        return Obstacle(node.name, reason, can_run=True)

    def _unexplained(self) -> Obstacle:
        name = self.question.scope.graph.name_of(self.output)
        reason = f"at {name!r} single sizes differ from what holds for their residue."
        return Obstacle(name, reason, can_run=True)

    def output_size(
        self, relation: Relation | None, found: AxisResolutions
    ) -> OutputSize | None:
        """The size of the output, whose relation to the input is given.

        None if it is another one at small sizes: a slice whose ends are numbers takes
        less of those.
        """
        shape = self.question.inference.shape(self.output)
        place, axis_map = _followed(relation, self.question, self.axis)
        if shape is None or place is None:
            return None
        own = math.lcm(*(rate.numerator for rate in axis_map.rates if rate))
        of_all = math.lcm(own, self._period(of_all=True))
        known = self._as_function(shape[place], own)
        known = known or self._as_function(shape[place], of_all)
        for size in range(found.smallest, found.smallest + SIZES_TRIED):
            at_size = self._at(size)
            if known is None or self._obstacle(at_size) is not None:
                continue
            real = (at_size.inference.shape(self.output) or ())[place]
            if size not in found.exceptions and real != known(size):
                return None
        return known

    def _as_function(self, size: Size, period: int) -> OutputSize | None:
        """A size as a function of that of the input, if it is one of this period."""
        shape = self.question.inference.shape(self.question.scope.input) or ()
        given = shape[self.axis]
        if not isinstance(given, Symbolic):
            return None
        if period > LONGEST_PERIOD:
            return None
        ((atom,),) = given.terms
        turns = unknown("turns")
        linear = [
            _slope_and_offset(_substituted(size, {atom: turns * period + r}), turns)
            for r in range(period)
        ]
        slopes = {slope for slope, _ in linear}
        slope = slopes.pop()
        if slopes or slope is None:
            return None
        return _shortest_size(slope, [offset for _, offset in linear])


def _followed(
    relation: Relation | None, question: Question, axis: int
) -> tuple[int | None, AxisMap]:
    """The axis of a tensor that follows an axis of the input, and how."""
    if relation is None:
        return None, NONE
    return source(ranked(relation, question.rank).axes[axis])


def _large(smallest: int, period: int) -> int:
    """A size at which no map is small."""
    return max(4 * smallest, smallest + 4 * period, 64)


def _agree(one: _Outcome, two: _Outcome) -> bool:
    """Whether two sizes are placed alike; errors never are."""
    return isinstance(one, _Seen) and isinstance(two, _Seen) and one[:2] == two[:2]


def _is_vague(found: _Outcome) -> bool:
    return not isinstance(found, _Seen) or found.is_vague


def _placement(found: _Outcome) -> Outcome:
    return found.placement if isinstance(found, _Seen) else found


def _says_little(relation: Relation | None) -> bool:
    """Whether more could be known of an axis: all of it is needed, or nobody knows
    where."""
    maps = (source(axis)[1] for axis in relation.axes) if relation else ()
    return any(m.is_floating or m.is_unbounded for m in maps)


def _better_known(vague: Relation | None, known: Relation | None) -> int | None:
    """An axis of which one relation says nothing, or not where, and the other does."""
    if vague is None or known is None:
        return None
    for axis, (one, two) in enumerate(zip(vague.axes, known.axes, strict=False)):
        (_, before), (_, after) = source(one), source(two)
        if before.is_floating and not after.is_floating:
            return axis
        if before.is_unbounded and not after.is_unbounded:
            return axis
    return None


def _substituted(size: Size, values: Mapping[Atom, Size]) -> Size:
    """A size in which atoms have been given values."""
    if not isinstance(size, Symbolic):
        return size
    whole: Size = 0
    for monomial, factor in size.terms.items():
        term: Size = factor
        for atom in monomial:
            term = term * _value(atom, values)
        whole = whole + term
    return whole


def _value(atom: Atom, values: Mapping[Atom, Size]) -> Size:
    if atom in values:
        return values[atom]
    operands = [_substituted(operand, values) for operand in atom.operands]
    if atom.kind == "floor" and operands:
        return rounded_down(operands[0])
    if atom.kind == "quotient" and operands:
        numerator, denominator = operands
        if isinstance(denominator, Symbolic):
            return numerator / denominator
        return numerator * Fraction(1, denominator)
    return Symbolic({(atom,): Fraction(1)})


def _slope_and_offset(size: Size, symbol: Symbolic) -> tuple[int | None, int]:
    """The integers a and b of ``a * symbol + b``; None and 0 for what is not that."""
    terms: dict[tuple[Atom, ...], Fraction] = {(): Fraction(0)}
    terms |= size.terms if isinstance(size, Symbolic) else {(): Fraction(size)}
    (monomial,) = symbol.terms
    slope, offset = terms.pop(monomial, Fraction(0)), terms.pop(())
    if terms or slope.denominator != 1 or offset.denominator != 1:
        return None, 0
    return int(slope), int(offset)


def _shortest(values: Sequence[T]) -> Sequence[T]:
    """The shortest period of what repeats itself; errors are what they say."""
    told = [str(value) for value in values]
    for period in range(1, len(told)):
        if len(told) % period == 0 and told[period:] == told[:-period]:
            return values[:period]
    return values


def _shortest_size(slope: int, offsets: Sequence[int]) -> OutputSize:
    total = len(offsets)
    for period in range(1, total):
        if total % period == 0 and slope * period % total == 0:
            step = slope * period // total
            later = zip(offsets, offsets[period:], strict=False)
            if all(two - one == step for one, two in later):
                return OutputSize(step, tuple(offsets[:period]))
    return OutputSize(slope, tuple(offsets))


# --- Guidance --------------------------------------------------------------------


_Relations = Callable[[Tensor], Relation | None]
"""How a tensor depends on the input, by some of the paths."""


def _smallest_paths(
    question: Question, found: Forward, axis: int
) -> dict[Tensor, Relation]:
    """For each tensor the path to it that sees least of an axis of the input.

    The forward pass, with a minimum where that has a union.
    """
    scope, inference = question.scope, question.inference
    state: dict[Tensor, Relation] = {scope.input: SAME}

    def extent(relation: Relation) -> Bound:
        return _followed(relation, question, axis)[1].size() or INFINITY

    def visit(index: int) -> None:
        outputs = range(inference.output_count(index) or 1)
        for tensor in ((index, number) for number in outputs):
            if tensor not in found.state:
                continue
            rules = relations(scope, inference, tensor)
            for number, below in scope.edges(index):
                rule, before = rules[number], state.get(below)
                if rule is None or before is None:
                    continue
                path = through(rule, before)
                path = None if path is None else settled(path)
                if path is None:
                    continue
                known = state.get(tensor)
                if known is None or extent(path) < extent(known):
                    state[tensor] = path

    scope.settle([state], visit)
    return state


def _layers(question: Question, found: Forward) -> tuple[LayerReach, ...]:
    """The convolutions and poolings of the scope, in order, and what they are given."""
    scope, inference = question.scope, question.inference
    axes = question.spatial[::-1]
    of_smallest: list[_Relations] = [
        _smallest_paths(question, found, axis).get for axis in axes
    ]
    of_largest: list[_Relations] = [found.local] * len(axes)
    names = _layer_names(question)
    layers = []
    for index in scope.order:
        node = scope.graph.nodes[index]
        op = rule_of(node)
        if op is None or op.layout is None or not (op.windows or op.products):
            continue
        if (index, 0) not in found.state:
            continue
        number, places = op.layout(Call(node, inference))
        rule = relations(scope, inference, (index, 0))[number]
        below = node.inputs[number]
        if rule is None or below not in found.state:
            continue
        lies: Sequence[int | None] = places[::-1]
        if len(places) != len(axes):  # A sound, as an image of one row.
            lies = [_followed(found.state[below], question, axis)[0] for axis in axes]
        kernels = [
            1
            if place is None or place not in places
            else source(rule.axes[place])[1].size()
            for place in lies
        ]
        if max(kernels) == 1:
            continue
        least, most = (
            tuple(
                _reach_of_input(below, of_tensor, question, axis)
                if kernel > 1
                else None
                for axis, kernel, of_tensor in zip(axes, kernels, of_axes, strict=True)
            )
            for of_axes in (of_smallest, of_largest)
        )
        name = names.get(index, node.name)
        layers.append(LayerReach(name, least, most))
    return tuple(layers)


def _reach_of_input(
    tensor: Tensor,
    of_tensor: _Relations,
    question: Question,
    axis: int,
) -> Bound:
    """What a layer's input sees; if its positions lie in several axes (around a dilated
    convolution), what is seen by the tensor that they were taken from."""
    while True:
        relation = of_tensor(tensor)
        if relation is None:
            return INFINITY
        place, axis_map = _followed(relation, question, axis)
        below = question.scope.edges(tensor[0])
        if place is not None or axis_map.exact or len(below) != 1:
            return _reach(relation, question, axis)
        ((_, tensor),) = below


def _reach(relation: Relation | None, question: Question, axis: int) -> Bound:
    """How many positions are seen; without a local path, all of them."""
    return _followed(relation, question, axis)[1].size() or INFINITY


def _layer_names(question: Question) -> dict[int, str]:
    """For nodes of the scope, the layer that they are the work of, if layers are known:
    the first whose output needs them."""
    scope = question.scope
    names: dict[int, str] = {}
    for name, tensor in question.layers.items():
        stack = [tensor[0]]
        while stack:
            index = stack.pop()
            if index not in names and scope.carries[index]:
                names[index] = name
                stack += [below for _, (below, _) in scope.edges(index)]
    return names


# --- Words -----------------------------------------------------------------------

_ALIGNED = {True: "aligned", False: "misaligned", None: "alignment unknown"}

MOST_CASES = 4
"""So many different values are told apart in words; more are listed by residue."""


def _cases(values: Sequence[str | None], whole: bool = True) -> str:
    """Which value holds for which residue; there is none where it is None.

    Unless they are the ``whole`` that is said, where there is none is said elsewhere.
    """
    values = _shortest(values)
    period = len(values)
    residues: dict[str, list[int]] = {}
    for residue, value in enumerate(values):
        if value is not None:
            residues.setdefault(value, []).append(residue)
    if len(residues) == 1:
        ((value, where),) = residues.items()
        return value + (_where(where, period) if whole else "")
    if len(residues) > MOST_CASES:
        listed = ", ".join("-" if value is None else value for value in values)
        return f"{listed} where size mod {period} is 0, 1, ..."
    most = max(residues, key=lambda value: (len(residues[value]), residues[value]))
    cases = [v + _where(rs, period) for v, rs in residues.items() if v != most]
    return f"{', '.join(cases)}, else {most}"


def _paddings(values: Sequence[int | None]) -> str:
    values = _shortest(values)
    first, period = values[0], len(values)
    if first is not None and period > 2:
        # What is missing to a multiple of the period is padded, and all of it in front.
        in_front = [first + -residue % period for residue in range(period)]
        if list(values) == in_front:
            return f"{first} + (-size mod {period})" if first else f"-size mod {period}"
    return _cases([None if v is None else str(v) for v in values], whole=False)


def _where(residues: Sequence[int], period: int) -> str:
    """Words for these residues; none for all."""
    others = [residue for residue in range(period) if residue not in set(residues)]
    if not others:
        return ""
    if len(others) == 1 < len(residues):
        return f" where size mod {period} is not {others[0]}"
    *some, last = map(str, residues)
    return f" where size mod {period} is " + " or ".join(
        [", ".join(some)] * bool(some) + [last]
    )


def _rounded_quotient(shift: int, period: int) -> str:
    """Words for ``floor((size + shift) / period)``."""
    if period == 1:
        return f"size{_signed(shift)}"
    if shift == period - 1:
        return f"ceil(size / {period})"
    numerator = f"(size{_signed(shift)})" if shift else "size"
    return f"floor({numerator} / {period})"


def _signed(number: int) -> str:
    return f" {'-' if number < 0 else '+'} {abs(number)}" if number else ""


def _covers(reach: Bound | None, size: int) -> bool:
    return reach is not None and reach >= size
