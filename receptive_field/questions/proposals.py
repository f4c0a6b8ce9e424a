"""Finds changes with which a receptive field reaches a size.

Arithmetic on the parameters of the layers gives a first guess, as if the network were a
chain: if neighbouring positions of a layer's input are S pixels apart, one more
position of its dilated kernel makes the field larger by S. Each change is then tried in
a copy of the graph, which is analysed like any other graph, and only a change whose
field is known to have the size is proposed.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from receptive_field.algebra.axis_map import IDENTITY, AxisMap, Extended
from receptive_field.budget import within_budget
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.graph.edits import with_node_after, with_rules
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import Model, nodes_of_layers
from receptive_field.network.layout import Resolution
from receptive_field.network.overrides import with_overrides
from receptive_field.network.walk import Read, reads
from receptive_field.passes.regions import Forward, forward
from receptive_field.questions.costs import compute_costs
from receptive_field.questions.fields import field_of, field_of_named
from receptive_field.questions.question import (
    Asked,
    Options,
    Question,
    StopPropagation,
)
from receptive_field.relations.relation import ranked, source
from receptive_field.results.check import found_size, is_reached, x_first
from receptive_field.results.field import ReceptiveField
from receptive_field.results.proposals import Proposals, SizeProposal
from receptive_field.rules.changed import WindowChange, added_layers, with_window
from receptive_field.rules.op import Call, Shape, Window, rule_of
from receptive_field.rules.stated import Rule

MOST_TRIED = 4
"""At most this many layers, or groups of layers, are tried for each kind of change."""

MOST_DOUBLED = 3
"""If a number is too small, it is doubled at most this often. A larger number may be
needed where paths meet, because the arithmetic takes the network for a chain."""

MOST_OF_A_KIND = 2
"""At most this many proposals of each kind are returned."""

LARGEST_NUMBER = 1 << 10
"""The largest dilation, growth of a kernel, or number of added layers."""


@within_budget
def proposals(
    model: Any,
    target: int | Sequence[int],
    *,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: str = "include",
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
    trace: bool = False,
    example_inputs: Any = None,
) -> Proposals:
    """Proposes changes with which the receptive field reaches a size.

    The changes are: add layers of 3x3, dilate one layer or the last layers of stride 1,
    give a layer of stride 1 a stride of 2, or give one or several layers larger
    kernels. Each is tried in a copy of the graph, which is analysed again. A change is
    proposed only if the field that it leads to is known to have the size, and is as
    aligned as before.

    Args:
      model: the model, as in `compute_receptive_field`. It is not changed.
      target: the size to reach, in positions of the input: a number for all axes, or
        one for each, ``[height, width]`` for images.
      output, input, input_resolution, stop_propagation, global_context, overrides,
        signature, trace, example_inputs: as in `compute_receptive_field`. With
        ``global_context="exclude"``, the target is for the paths that do not see a
        whole axis.

    Returns:
      The proposals, the smallest change first, each with the field after the change and
      its FLOPs, if they are known. If there are none, ``reasons`` says why. ``print``
      shows the proposals as a list.

    Raises:
      ReceptiveFieldError: if the model cannot be read or analysed, or the target is not
        one or more positive numbers.

    >>> import receptive_field as rf
    >>> found = rf.proposals(rf.EXAMPLE_GRAPH, 40, output="MaxPool_5a_3x3/MaxPool")
    >>> found.reached, found.field.size.tolist(), found[0].field.size.tolist()
    (False, [31, 31], [47, 47])
    """
    limits = _checked(target)
    loaded = with_overrides(
        load(
            model,
            signature,
            overrides=overrides,
            trace=trace,
            resolution=input_resolution,
            example_inputs=example_inputs,
        ),
        overrides,
    )
    options = Options(input_resolution, stop_propagation)
    now = field_of(loaded, output, input, options, global_context)
    wanted = tuple(x_first(limits, len(now.axes), f"the input {now.input!r}"))
    search = _Search(loaded, now, wanted, input, options, global_context)
    reached = is_reached(now, wanted)
    found: list[SizeProposal] = []
    reasons: list[str] = []
    if reached is not False:
        reasons.append(
            "The field has this size already."
            if reached
            else "The size is only an upper bound, so whether it is reached is unknown."
        )
        if now.is_global or not now.aligned:
            reasons.append(f"It is: {found_size(now)}.")
        if now.is_global:
            reasons.append(
                'Use global_context="exclude" to ask about the paths that do not see '
                "a whole axis."
            )
    else:
        found, why = search.found()
        reasons += why
        sizes = [axis.input_size for axis in now.axes]
        if any(s is not None and s < t for s, t in zip(sizes, wanted, strict=True)):
            shown = " x ".join(map(str, sizes))
            reasons.append(
                f"Note that the input has only {shown} positions. A larger field also "
                "covers its padding."
            )
    return Proposals(
        now, wanted, reached, search.flops_now, tuple(found), tuple(reasons)
    )


def _checked(target: Any) -> list[int]:
    whole: list[int] = []
    with suppress(TypeError):  # Anything else is refused below.
        sizes = [*target] if isinstance(target, Iterable) else [target]
        if bool not in map(type, sizes):
            whole = [operator.index(size) for size in sizes]
    if min(whole, default=0) < 1:
        raise ReceptiveFieldError(
            "target must be a number of positions of at least 1, or one for each axis "
            f"such as [height, width]; got {target!r}."
        )
    return whole


@dataclass(frozen=True)
class _Node:
    """A node with a window that slides over the spatial axes of the input."""

    index: int
    axes: tuple[int, ...]
    """The axis of its data input that follows each axis of the input, x first."""
    windows: tuple[Window, ...]
    """The window on each of these axes, x first."""
    steps: tuple[int, ...]
    """How far neighbouring positions of its data input are apart in the input."""
    is_convolution: bool


@dataclass(frozen=True)
class _Layer:
    """A layer, with all of its calls; they share their parameters."""

    names: tuple[str, ...]
    nodes: tuple[_Node, ...]
    pads: bool
    """Whether the layer also pads or moves positions by ops of its own, whose numbers
    may follow its kernel and dilation (causal padding)."""

    @property
    def windows(self) -> tuple[Window, ...]:
        return self.nodes[0].windows

    @property
    def is_free(self) -> bool:
        """Whether kernel and dilation can be changed, and the rest stays as it is."""
        return not self.pads and all(node.is_convolution for node in self.nodes)

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(window.kernel for window in self.windows)

    def is_padded(self, change: WindowChange) -> bool | None:
        """Returns whether padding by numbers grows with a change of the window.

        Returns None if there is nothing to say: the padding follows the size or is
        zero, or it fits both windows.
        """
        grows = None
        for w in self.windows:
            if not w.follows_size and change.of(w)[::2] != (w.kernel, w.dilation):
                pads = change.padding(w)
                if any(pads) and w.kernel > 1:
                    grows = pads != WindowChange().padding(w)
        return grows

    def gains(self, per_kernel: bool) -> list[int]:
        """Returns how much the field grows if the dilation or kernel grows by one."""
        return [
            sum(
                node.steps[i]
                * (window.dilation if per_kernel else 1)
                * ((window.kernel > 1) if per_kernel else window.kernel - 1)
                for node in self.nodes
            )
            for i, window in enumerate(self.windows)
        ]


class _Changed(NamedTuple):
    """A model after a change."""

    model: Model
    output: Any
    """The output to ask for."""
    grown: tuple[str, ...] = ()
    """The layers whose padding by numbers grows with their windows."""
    kept: tuple[str, ...] = ()
    """The layers whose padding by numbers stays, although their windows grow."""


_Change = Callable[[int], _Changed]
"""Takes a number and returns the changed model."""


@dataclass
class _Search:
    model: Model
    now: ReceptiveField
    wanted: tuple[int, ...]
    input: Any
    options: Options
    global_context: str
    flops_now: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.flops_now = self._flops(self.model, self.now.output)

    def _flops(self, model: Model, output: Any) -> int | None:
        try:
            costs = compute_costs(
                model,
                output=output,
                input=self.input,
                input_resolution=self.options.input_resolution,
            )
        except ReceptiveFieldError:
            return None
        return costs.total.flops if costs.is_complete else None

    def found(self) -> tuple[list[SizeProposal], list[str]]:
        """Returns the proposals, and the reasons if there are none."""
        asked = self.now.origin
        assert isinstance(asked, Asked)
        question = asked.question
        passed = forward(question.network, question.spatial, [asked.output])
        layers = list(self._layers(question, passed))
        found = [
            *self._added(question, passed, asked.output),
            *self._dilated(layers),
            *self._strided(layers, passed, question),
            *self._widened(layers),
        ]
        if not found:
            return [], [self._why_not(layers)]
        stride = self.now.stride.tolist()

        def order(one: SizeProposal) -> tuple[Any, ...]:
            changed = not one.keeps_output or one.field.stride.tolist() != stride
            amount = {
                "add": one.number,
                "dilate": len(one.layers) * (one.number - 1),
                "kernel": len(one.layers) * one.number // 2,
                "stride": 1,
            }[one.kind]
            return changed, one.has_holes, amount, sum(one.field.size.tolist())

        return sorted(found, key=order), []

    def _why_not(self, layers: Sequence[_Layer]) -> str:
        if not self.now.exact:
            return (
                "No change is proposed, because the sizes are only upper bounds (see "
                "exact), so none of them proves that a field is large enough."
            )
        if not layers and self.now.is_folded:
            return (
                f"No change is proposed: {self.now.output!r} has no axis for each axis "
                "of the input, and no layer below it has a window of more than one "
                "position."
            )
        return (
            "No change is proposed: adding layers, or changing the dilation, stride or "
            "kernel of the layers with a window, does not lead to this size, or leads "
            "to maps that do not fit or are not aligned (numbers up to "
            f"{LARGEST_NUMBER} are tried). Ask about an earlier output, or make "
            "several changes, one after the other."
        )

    # --- The layers ---

    def _places(
        self, question: Question, passed: Forward, tensor: Tensor
    ) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Returns the axes of a tensor that follow the input's, and their strides.

        Both list x first. Returns None unless each axis of the input has its own axis
        of the tensor, with a stride.
        """
        relation = passed.local(tensor)
        if relation is None:
            return None
        axes, steps = [], []
        for axis in reversed(question.spatial):
            place, axis_map = source(ranked(relation, question.rank).axes[axis])
            rates = axis_map.rates
            if place is None or len(rates) != 1 or not rates[0]:
                return None
            axes.append(place)
            steps.append(math.ceil(abs(rates[0])))
        return (tuple(axes), tuple(steps)) if len({*axes}) == len(axes) else None

    def _nodes(self, question: Question, passed: Forward) -> Iterator[_Node]:
        network = question.network
        for index in network.order:
            node = network.graph.nodes[index]
            op = rule_of(node)
            if op is None or op.windows is None or op.layout is None:
                continue
            call = Call(node, network.known)
            try:
                number, axes = op.layout(call)
                windows = dict(zip(axes, op.windows(call), strict=False))
            except ReceptiveFieldError:
                continue
            found = self._places(question, passed, node.inputs[number])
            if found is not None and windows.keys() >= {*found[0]}:
                own = tuple(windows[axis] for axis in found[0])
                if any(window.kernel > 1 for window in own):
                    of_weights = op.products is not None
                    yield _Node(index, found[0], own, found[1], of_weights)

    def _layers(self, question: Question, passed: Forward) -> Iterator[_Layer]:
        """Yields the layers that can be changed, in the order of computation.

        A layer can be changed if each of its calls has one node with a window of more
        than one position, and all these windows are alike.
        """
        graph, network = self.model.graph, question.network
        owner = nodes_of_layers(self.model)
        groups: dict[Any, dict[str, list[_Node]]] = {}
        padded: set[str] = set()
        found = {node.index: node for node in self._nodes(question, passed)}
        for index in network.order:
            node = graph.nodes[index]
            name: str | None = owner.get(index)
            key: Any = name
            if index in found:
                if name is None:  # Convolutions with the same kernel belong together.
                    convolves = found[index].is_convolution
                    key = (convolves and node.inputs[1:]) or node.name
                else:
                    key = re.sub(r":\d+$", "", name)
                of_layer = groups.setdefault(key, {})
                of_layer.setdefault(name or node.name, []).append(found[index])
            elif name and any(map(_moves, reads(network, (index, 0)))):
                padded.add(name)
        for key, calls in groups.items():
            nodes = [node for of_call in calls.values() for node in of_call]
            alike = len({(node.axes, *_plain(node.windows)) for node in nodes}) == 1
            if alike and len(nodes) == len(calls):
                names = (key,) if key in self.model.layers else tuple(calls)
                yield _Layer(names, tuple(nodes), not padded.isdisjoint(calls))

    # --- The changes ---

    def _changed(self, layers: Sequence[_Layer], change: WindowChange) -> _Changed:
        graph = self.model.graph
        stated = {}
        for node in (node for layer in layers for node in layer.nodes):
            op = rule_of(graph.nodes[node.index])
            assert op is not None
            stated[node.index] = with_window(op, change, node.axes)
        grown, kept = (
            tuple(n for x in layers if x.is_padded(change) is says for n in x.names)
            for says in (True, False)
        )
        return _Changed(with_rules(self.model, stated), self.now.output, grown, kept)

    def _tried(self, model: Model, output: Any) -> ReceptiveField | None:
        """Returns the field after a change, or None if it does not fit the target."""
        try:
            found = field_of_named(
                model, output, self.input, self.options, self.global_context
            )
        except ReceptiveFieldError:
            return None  # For example, maps that meet no longer fit.
        worse = self.now.aligned is True and found.aligned is not True
        return found if is_reached(found, self.wanted) and not worse else None

    def _least(
        self,
        kind: Literal["add", "dilate", "stride", "kernel"],
        layers: tuple[str, ...],
        kernels: Sequence[tuple[int, ...]],
        change: _Change,
        guess: int,
        least: int,
        step: int = 1,
    ) -> SizeProposal | None:
        """Returns the proposal with the smallest number that reaches the target."""
        known: dict[int, ReceptiveField | None] = {}

        def tried(number: int) -> ReceptiveField | None:
            if number not in known:
                known[number] = self._tried(*change(number)[:2])
            return known[number]

        low, high = least - step, max(least, guess)
        most = high if kind == "stride" else min(high << MOST_DOUBLED, LARGEST_NUMBER)
        while tried(high) is None:
            if high >= most:
                return None
            low, high = high, min(2 * high, most)
        if high - step > low and tried(high - step) is None:
            low = high - step
        while high - low > step:
            middle = low + (high - low) // step // 2 * step
            low, high = (middle, high) if tried(middle) is None else (low, middle)
        reached = tried(high)
        assert reached is not None
        model, output, grown, kept = change(high)
        holes = any(
            _gap(new.map) > _gap(old.map)
            for new, old in zip(reached.axes, self.now.axes, strict=True)
        )
        flops = self._flops(model, output)
        keeps = self._shape(model, output) == self._shape(self.model, self.now.output)
        return SizeProposal(
            kind,
            layers,
            high,
            tuple(kernels),
            reached,
            flops,
            keeps,
            holes,
            grown,
            kept,
        )

    def _shape(self, model: Model, output: Any) -> Shape:
        """Returns the shape of an output, as it follows from the size of the input."""
        question = Question.ask(model, self.input, [output], self.options)
        (tensor,) = (question.outputs or {}).values()
        return question.network.shape(tensor)

    def _missing(self, gains: Sequence[int]) -> int:
        """Returns how often the field must grow by these numbers to reach the target.

        Returns 0 if it never does, because it does not grow on some axis.
        """
        needed = 1
        for size, least, gain in zip(
            self.now.size.tolist(), self.wanted, gains, strict=True
        ):
            if size < least:
                if not gain:
                    return 0
                needed = max(needed, math.ceil((least - size) / gain))
        return min(needed, LARGEST_NUMBER)

    def _added(
        self, question: Question, passed: Forward, output: Tensor
    ) -> Iterator[SizeProposal]:
        """Yields layers that are added after the output, or where the stride is largest
        if that is elsewhere."""
        network = question.network
        order = {index: place for place, index in enumerate(network.order)}
        names = {t: n for n, t in self.model.layers.items() if t[0] in order}
        if not names:
            names = {(i, 0): network.graph.nodes[i].name for i in network.order}
        names[output] = self.now.output
        places = {t: self._places(question, passed, t) for t in names}
        usable = {t: p for t, p in places.items() if p is not None}
        if not usable:
            return
        largest = max(usable, key=lambda t: (min(usable[t][1]), order.get(t[0], -1)))
        chosen = [output] if output in usable else []
        if not chosen or min(usable[largest][1]) > min(usable[output][1]):
            chosen.append(largest)
        for tensor in chosen:
            axes, steps = usable[tensor]

            def change(number: int, tensor: Tensor = tensor) -> _Changed:
                place = usable[tensor][0]
                op = added_layers(place, 3, number)
                model, name = with_node_after(self.model, tensor, op)
                return _Changed(model, name if tensor == output else self.now.output)

            guess = self._missing([2 * step for step in steps])
            kernel = (3,) * len(axes)
            found = self._least("add", (names[tensor],), [kernel], change, guess, 1)
            if found is not None:
                yield found

    def _dilated(self, layers: Sequence[_Layer]) -> Iterator[SizeProposal]:
        able = [
            layer
            for layer in layers
            if all(w.stride == 1 for w in layer.windows) and layer.is_free
        ]

        def change_of(some: Sequence[_Layer]) -> _Change:
            return lambda number: self._changed(some, WindowChange(dilation=number))

        groups = [able[-count:] for count in range(2, len(able) + 1)]
        yield from self._best("dilate", able, groups, change_of, False)

    def _widened(self, layers: Sequence[_Layer]) -> Iterator[SizeProposal]:
        able = [layer for layer in layers if layer.is_free]

        def change_of(some: Sequence[_Layer]) -> _Change:
            return lambda number: self._changed(some, WindowChange(wider=number))

        groups = [able[-count:] for count in range(2, len(able) + 1)]
        yield from self._best("kernel", able, groups, change_of, True)

    def _best(
        self,
        kind: Literal["dilate", "kernel"],
        able: Sequence[_Layer],
        groups: Sequence[Sequence[_Layer]],
        change_of: Callable[[Sequence[_Layer]], _Change],
        wider: bool,
    ) -> Iterator[SizeProposal]:
        """Yields the best proposal for one layer, and one for several of them."""
        step = 2 if wider else 1

        def guess(some: Sequence[_Layer]) -> int:
            gains = [sum(g) for g in zip(*(x.gains(wider) for x in some), strict=True)]
            missing = self._missing(gains)
            if not missing:
                return 0
            if wider:  # Odd kernels stay odd, so that layers stay aligned.
                return missing + missing % 2
            return missing + min(w.dilation for x in some for w in x.windows)

        def least(some: Sequence[_Layer]) -> int:
            before = max(w.dilation for x in some for w in x.windows)
            return 2 if wider else before + 1

        def tried(some: Sequence[_Layer], start: int) -> SizeProposal | None:
            names = tuple(name for layer in some for name in layer.names)
            kernels = [layer.kernel for layer in some]
            change = change_of(some)
            return self._least(kind, names, kernels, change, start, least(some), step)

        guesses = [(guess([layer]), -i, layer) for i, layer in enumerate(able)]
        usable = sorted((g for g in guesses if g[0]), key=lambda g: g[:2])
        single = None
        for start, _, layer in usable[:MOST_TRIED]:
            single = tried([layer], start)
            if single is not None:
                yield single
                break
        # The last layers whose changes are smallest, taken together.
        together = [
            (len(some) * (start - least(some) + step), some)
            for some in groups
            if (start := guess(some))
        ]
        together.sort(key=lambda pair: pair[0])
        for _, some in together[:MOST_TRIED]:
            several = tried(some, guess(some))
            if several is not None:
                yield several
                return

    def _strided(
        self, layers: Sequence[_Layer], passed: Forward, question: Question
    ) -> Iterator[SizeProposal]:
        """Yields the last layers of stride 1 for which a stride of 2 is enough."""
        able = [
            layer
            for layer in layers
            if all(w.stride == w.dilation == 1 for w in layer.windows)
        ]
        now = self.now.size.tolist()

        def falls_short(layer: _Layer) -> bool:
            """Returns whether twice the growth above the layer seems too little."""
            last = layer.nodes[-1]
            relation = passed.local((last.index, 0))
            if relation is None:
                return True
            axes = ranked(relation, question.rank).axes
            spatial = reversed(question.spatial)
            below = [source(axes[axis])[1].size() for axis in spatial]
            ends = zip(now, below, self.wanted, strict=True)
            return any(2 * size - low < least for size, low, least in ends)

        found = 0
        last_first = list(reversed(able))
        last_first.sort(key=falls_short)  # This keeps the order of the others.
        for layer in last_first[:MOST_TRIED]:

            def change(number: int, layer: _Layer = layer) -> _Changed:
                return self._changed([layer], WindowChange(stride=number))

            one = self._least("stride", layer.names, [layer.kernel], change, 2, 2)
            if one is not None:
                yield one
                found += 1
                if found == MOST_OF_A_KIND:
                    return


def _gap(axis_map: AxisMap) -> Extended:
    """Returns the largest distance between neighbouring pixels that a feature sees."""
    return max([1, *(strand.gap for strand in axis_map.strands)])


def _moves(read: Read) -> bool:
    """Returns whether an edge moves positions, as padding does."""
    sources = map(source, read.rule.axes)
    return any(place is not None and found != IDENTITY for place, found in sources)


def _plain(windows: Sequence[Window]) -> tuple[tuple[int, int, int], ...]:
    return tuple((w.kernel, w.stride, w.dilation) for w in windows)
