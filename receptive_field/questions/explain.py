"""Explains why a graph is misaligned: which two paths disagree, and how to align them.

The two paths split at one tensor and meet at another. Suppose that neighbouring
positions of a layer's input are S positions apart in the tensor where the paths split.
Then one more position of padding at the start of the layer's input moves the centre of
the layer's path by S, and an increase of the kernel size by one moves it by
S * dilation / 2. Arithmetic on these numbers finds the changes that make the centres
equal. The relations are then recomputed with each change, and only changes that align
the paths are proposed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from receptive_field.algebra.axis_map import (
    GLOBAL,
    INFINITY,
    LONGEST_PERIOD,
    AxisMap,
    Extended,
    MaybeInterval,
    only_strand,
    shift_of,
)
from receptive_field.algebra.sizes import unknown
from receptive_field.graph.graph import Tensor
from receptive_field.network.layout import feature_layout
from receptive_field.network.local import Rules
from receptive_field.network.network import Edge
from receptive_field.network.walk import Read
from receptive_field.questions.alignment import (
    Layer,
    Solution,
    cheapest,
    columns,
    joint_changes,
    kernel_changes,
    moves,
    pinned,
    resizing_changes,
    single_changes,
    with_kernel,
)
from receptive_field.questions.paths import (
    Ways,
    agree,
    count_apart,
    placed,
    ways_to,
)
from receptive_field.questions.question import Question
from receptive_field.relations.joins import Paths, settled, through
from receptive_field.relations.relation import (
    ALL_BOUND,
    SAME,
    Axis,
    Relation,
    follow,
    ranked,
    source,
)
from receptive_field.results.axes import SpatialAxis, axis_name
from receptive_field.results.explanation import (
    Change,
    Difference,
    Explanation,
    Path,
    Proposal,
    Setting,
    Step,
    StepWindow,
    listed,
    number_text,
    strides_text,
)
from receptive_field.results.field import ReceptiveField
from receptive_field.rules.op import Call, Window, rule_of
from receptive_field.rules.windows import same_padding

MOST_PROPOSALS = 4
"""The largest number of proposals that are returned."""


def explain(
    question: Question,
    name: str,
    output: Tensor,
    known: ReceptiveField | None = None,
) -> Explanation[ReceptiveField]:
    """Explains why the features of a tensor are misaligned, and how to align them.

    If there are several pairs of misaligned paths, the explanation describes the pair
    that splits closest to the output. Paths that see a whole axis (global pooling) are
    ignored. If the features are aligned, the explanation only says so.

    Args:
      question: the model, its input, and what is known about sizes.
      name: the name of the tensor.
      output: the tensor.
      known: the tensor's receptive field, used if a single pass cannot tell whether it
        is aligned.

    Returns:
      The explanation. Arrays and tuples list x first. All distances are in positions of
      the tensor where the paths split.

    Raises:
      ReceptiveFieldError: if the tensor does not depend on the input, or cannot be
        analysed.

    >>> import receptive_field as rf
    >>> from receptive_field.questions.question import Options, Question
    >>> from receptive_field.frameworks import load
    >>> question = Question.ask(load(rf.EXAMPLE_GRAPH), None, [None], Options())
    >>> ((name, output),) = question.outputs.items()
    >>> explain(question, name, output).aligned
    True
    """
    field = replace(question, outputs={name: output}).answer()
    unknown = field.aligned is None
    if unknown and known is not None:
        field = known
    if field.aligned is True:
        return Explanation(field)
    network = ways_to(question, output)
    if unknown:
        return Explanation(field, tuple(dict.fromkeys(network.unknown_paddings())))
    if network.has_loops:
        return Explanation(field, reasons=("The paths run through a loop.",))
    meeting = network.meeting()
    if meeting is None:
        return _of_hulls(network, field)
    return _Pair(network, *meeting).explanation(field)


def _of_hulls(network: Ways, field: ReceptiveField) -> Explanation[ReceptiveField]:
    """Explains a misalignment in which all paths agree at the tensors where they meet.

    A later layer sees several features, and the hulls of their regions may still be
    centred differently.
    """
    parting = network.parting(network.output)
    if parting is None:
        reason = (
            "paths meet above an op that does not treat all positions alike, such as "
            "an upsampling op or a roll. The paths see the same place above this op, "
            "but for some features they see different places below the op."
        )
        return Explanation(field, reasons=(reason,))
    parts, *paths = parting
    differences = []
    shape = network.network.shape(network.output)
    for place, axis in enumerate(network.axes_of(parts)):
        if axis is not None and agree(paths[0], paths[1], [axis], shape) is False:
            maps = (placed(path, axis, shape)[1] for path in paths)
            differences.append(_difference(place, *maps))
    name_of = network.question.network.graph.name_of
    return Explanation(
        field,
        parts=name_of(parts),
        meets=name_of(network.output),
        differences=tuple(differences),
        reasons=(
            "The paths agree where they meet, feature by feature. But neighbouring "
            "features see regions of different sizes there (as after a transposed "
            "convolution or an upsampling op), so the regions that later layers see "
            "have different centres. No change of one layer's padding is known to "
            "align them.",
        ),
    )


# --- Two paths ----------------------------------------------------------------------


class _Pair:
    """Two misaligned paths between the same two tensors."""

    def __init__(
        self, network: Ways, parts: Tensor, meets: Tensor, number: int
    ) -> None:
        self.network = network
        self.question = network.question
        self.parts, self.meets = parts, meets
        start, spatial = self.question.network.input, self.question.spatial
        _, self.apart = network.forward(start, spatial, {})
        self.axes = network.axes_of(parts)
        """The axes of the tensor where the paths split, x first."""
        self.counted = network.positions(parts)
        self.state, self.apart_above = network.forward(parts, self.counted, {}, meets)
        reads = network.reads[meets]
        first = next(r for r in reads if self._path(r, self.state, {}) is not None)
        second = next(r for r in reads if r.number == number)
        self.edges = tuple(self._traced(read) for read in (first, second))
        """The edges of both paths, from where they meet down to where they split."""
        described = [self._described(e, side) for side, e in enumerate(self.edges)]
        self.shape = self.question.network.shape(meets)
        self.ways = described[0][0], described[1][0]
        """Both paths, as relations."""
        self.paths = [Path(steps, self._field(way)) for way, steps, _ in described]
        self.layers = [layers for _, _, layers in described]
        """For each path and axis, the layers whose padding may be changed."""

    def _path(
        self, read: Read, state: Mapping[Tensor, Relation], rules: Rules
    ) -> Relation | None:
        """Returns the relation of one path, from where paths meet to where they split.

        ``read`` is the first step of the path, down from the tensor where they meet.
        """
        rule = rules.get((self.meets, read.number), read.rule)
        path = through(rule, state[read.below]) if read.below in state else None
        return None if path is None else settled(path)

    def _traced(self, read: Read) -> list[Read]:
        """Returns the edges of the path that begins with this step.

        The path leads from the tensor where the paths meet down to the tensor where
        they split. Where several aligned paths continue, this follows the one that sees
        the most.
        """

        def extents(read: Read) -> list[Extended]:
            path = through(read.rule, self.state[read.below])
            relation = None if path is None else settled(path)
            if relation is None:
                return []
            axes = ranked(relation, max(self.counted, default=0) + 1).axes
            return [source(axes[axis])[1].size() for axis in self.counted]

        edges = [read]
        tensor = read.below
        while tensor != self.parts:
            apart = self.apart_above.get(tensor, [])
            reads = [
                w
                for w in self.network.reads[tensor]
                if w.below in self.state and w.number not in apart
            ]
            read = max(reads, key=extents)
            edges.append(read)
            tensor = read.below
        return edges

    # --- The paths ---

    def explanation(self, field: ReceptiveField) -> Explanation[ReceptiveField]:
        name_of = self.question.network.graph.name_of
        paths = self.paths
        differences: list[Difference] = []
        reasons: dict[str, list[str]] = {}
        solutions: list[list[Solution]] = []
        for axis, counted in enumerate(self.axes):
            if counted is None:
                continue
            if agree(*self.ways, [counted], self.shape) is not False:
                continue
            maps = [path.field.axes[axis].map for path in paths]
            outer = [path.field.axes[axis].output_axes for path in paths]
            difference = _difference(axis, *maps)
            if outer[0] != outer[1]:
                difference = replace(difference, centres=None, offsets=())
            differences.append(difference)
            of_axis = [layer for side in self.layers for layer in side[axis]]
            found: list[Solution] = []
            if outer[0] != outer[1]:
                why = "they follow different axes where they meet."
            elif None not in difference.strides and len({*difference.strides}) > 1:
                why = strides_text(axis, difference, paths)
            else:
                found, why = self._solved(axis, difference, of_axis)
            solutions.append(found)
            if why:
                reasons.setdefault(why, []).append(axis_name(axis))
        is_solved = bool(solutions) and all(solutions)
        changes = self._proposals(solutions) if is_solved else []
        texts = [f"On {' and '.join(axes)} {why}" for why, axes in reasons.items()]
        if is_solved and not changes:
            texts.append(
                "No change on these paths aligns them without misaligning other paths."
            )
        return Explanation(
            field,
            (),
            name_of(self.parts),
            name_of(self.meets),
            tuple(differences),
            tuple(paths),
            tuple(changes),
            tuple(texts),
            tuple(dict.fromkeys(self._size_dependent())),
            len(self.apart),
        )

    def _described(
        self, edges: Sequence[Read], side: int
    ) -> tuple[Relation, tuple[Step, ...], list[list[Layer]]]:
        """Returns a path, its steps and, for each axis, its layers with changeable
        padding."""
        below: Paths | None = SAME
        steps = []
        layers: list[list[Layer]] = [[] for _ in self.axes]
        for read in reversed(edges):
            assert below is not None
            windows: list[StepWindow | None] = []
            found: list[Layer] = []
            for axis, start_axis in enumerate(self.axes):
                window = None
                if start_axis is not None and read.rule != SAME:
                    layer = self._layer(read, settled(below), axis, start_axis, side)
                    window = _step_window(layer)
                    if layer is not None and layer.is_changeable:
                        found.append(layer)
                windows.append(window)
            if found and not self._is_bypassed(read.tensor, edges[0].below):
                for layer in found:
                    layers[layer.axis].append(layer)
            if any(windows):
                node = self.network.call(read.tensor).node
                steps.append(Step(node.name, node.op, tuple(windows)))
            closed = settled(below)
            below = None if closed is None else through(read.rule, closed)
        whole = settled(below) if below is not None else None
        way = ranked(whole or ALL_BOUND, max(self.counted) + 1)
        return way, tuple(steps), layers

    def _is_bypassed(self, tensor: Tensor, top: Tensor) -> bool:
        """Returns whether a path from ``top`` to the other end avoids a tensor.

        The other end is the tensor where the paths split. A change at ``tensor`` would
        then misalign the avoiding path and the paths through ``tensor``.
        """
        seen, stack = {tensor}, [top]
        while stack:
            upper = stack.pop()
            if upper == self.parts:
                return tensor != self.meets
            if upper not in seen:
                seen.add(upper)
                stack += [read.below for read in self.network.reads.get(upper, ())]
        return False

    def _field(self, path: Relation) -> ReceptiveField:
        network = self.question.network
        name_of = network.graph.name_of
        shape = network.shape(self.parts)
        layout = feature_layout(path, None, sorted(self.counted), self.shape)
        axes = []
        for axis in self.axes:
            if axis is None:  # Every position sees the whole of this axis of the input.
                axes.append(SpatialAxis(GLOBAL, 0, (), None, None))
                continue
            size = shape[axis] if shape else None
            axes.append(
                SpatialAxis(
                    layout.map(axis, path.axes[axis]),
                    axis,
                    layout.followed[axis],
                    size if isinstance(size, int) else None,
                    layout.places(axis),
                )
            )
        return ReceptiveField(
            name_of(self.parts), name_of(self.meets), tuple(axes), layout.features
        )

    def _layer(
        self,
        read: Read,
        below: Relation | None,
        axis: int,
        start_axis: int,
        side: int,
    ) -> Layer | None:
        """Returns one step of a path as a layer on one axis (0 for x).

        ``start_axis`` is that axis of the tensor where the paths split.

        Returns None if the step leaves all positions where they are, or if no single
        axis can be followed.
        """
        if below is None:
            return None
        place, axis_below = source(ranked(below, start_axis + 1).axes[start_axis])
        if place is None or place >= len(read.rule.axes):
            return None
        output_axis, axis_map = source(read.rule.axes[place])
        call = self.network.call(read.tensor)
        size, output_size = (
            shape[a] if shape and a is not None and a < len(shape) else None
            for shape, a in (
                (self.question.network.shape(read.below), place),
                (self.question.network.shape(read.tensor), output_axis),
            )
        )
        window = self._window(call, read.number, place)
        has_kernel = window is not None
        if window is None:
            shift_by = shift_of(axis_map)
            resized = None
            if size is not None and output_size is not None:
                resized = output_size - size
            # An addition may also change the size (by broadcasting), but does not cut.
            is_cut = resized and isinstance(resized, int) and self._is_only(read.tensor)
            if shift_by == 0 and not is_cut:
                return None
            window = Window(0, 1, None, None)
            if shift_by is not None:
                total = resized if isinstance(resized, int) else None
                window = Window(1, 1, -shift_by, total)
        rates = axis_below.rates
        rate = rates[0] if len(rates) == 1 else Fraction(0)
        return Layer(
            (read.tensor, read.number),
            axis,
            place,
            -1 if output_axis is None else output_axis,
            rate if side else -rate,
            window,
            axis_map,
            size if isinstance(size, int) else None,
            window.follows_size,
            (window.padding or 0) <= 0 > (window.total_padding or 0),
            has_kernel,
            side,
        )

    def _is_only(self, tensor: Tensor) -> bool:
        return len(self.network.reads[tensor]) == 1

    def _window(self, call: Call, number: int, axis: int) -> Window | None:
        """Returns the window of a convolution or pooling op on one axis of an input."""
        op = rule_of(call.node)
        if op is None or op.windows is None or op.layout is None:
            return None
        data, axes = op.layout(call)
        if data != number or axis not in axes:
            return None
        windows = dict(zip(axes, op.windows(call), strict=False))
        return windows.get(axis)

    def _size_dependent(self) -> Iterator[str]:
        for read in (read for edges in self.edges for read in reversed(edges)):
            call = self.network.call(read.tensor)
            op = rule_of(call.node)
            if op is None or op.windows is None:
                continue
            for w in op.windows(call):
                before, _ = same_padding(
                    w.padded_extent, w.stride, unknown("size"), w.least, w.extra_before
                )
                if w.follows_size and before is None:
                    yield call.node.name

    # --- The solutions ---

    def _solved(
        self, axis: int, difference: Difference, layers: Sequence[Layer]
    ) -> tuple[list[Solution], str]:
        offset = difference.offset
        if not layers:
            return [], "no change of padding is known to align them."
        if offset is None:
            return self._tried(axis, layers)
        # The layers must move the first path's centre by the offset, relative to the
        # second path's centre.
        found = list(single_changes(layers, offset))
        found = found or list(joint_changes(layers, offset))
        found = found or list(self._compensated(axis, layers, offset))
        if found:
            return sorted(found, key=lambda s: s.cost), ""
        steps = math.gcd(*(layer.weight.numerator for layer in layers))
        unit = Fraction(steps, math.lcm(*(x.weight.denominator for x in layers)))
        if unit and offset % unit == 0:
            resizing = resizing_changes(layers, offset)
            return [p for s in resizing for p in pinned(layers, s)], (
                "no padding both aligns them and keeps the size of "
                f"{self.question.network.graph.name_of(self.meets)!r}."
            )
        kernels = sorted(kernel_changes(layers, offset), key=lambda s: s.cost)
        even = [
            self.network.call(layer.edge[0]).node.name
            for layer in layers
            if layer.window.extent % 2 == 0
        ]
        return kernels, (
            "no padding aligns them: their centres differ by "
            f"{number_text(abs(offset))}, but paddings move them only by multiples of "
            f"{number_text(unit)}."
            + (f" The cause is the even kernels of {listed(even)}." if even else "")
        )

    def _tried(self, axis: int, layers: Sequence[Layer]) -> tuple[list[Solution], str]:
        """Tries small changes of one layer at a time.

        This is for paths whose offset differs between features, because the arithmetic
        of this module does not apply to them.
        """
        found = []
        for layer in layers:
            for kernel in (0, -1, 1):
                other = with_kernel(layer, layer.window.kernel + kernel)
                if other is None:
                    continue
                before = layer.setting.before
                for new in range(before - 4, before + 5):
                    after = other.after(new)
                    setting = Setting(other.window.kernel, new, after)
                    if after is None or setting == layer.setting:
                        continue
                    solution = Solution(((layer, setting),))
                    if self._agree(self._rules([solution]), [self.axes[axis] or 0]):
                        found.append(solution)
        found.sort(key=lambda solution: solution.cost)
        paddings = [s for s in found if s.cost[1] == 0]
        if paddings:
            return paddings, ""
        steps = (step for path in self.paths for step in path.steps)
        windows = ((step.node, step.windows[axis]) for step in steps)
        uneven = [node for node, w in windows if w is not None and w.kernel is None]
        return found, (
            "no padding of one layer aligns them: a centre does not move evenly"
            + (f", because of {listed(uneven)}." if uneven else ".")
        )

    def _compensated(
        self, axis: int, layers: Sequence[Layer], offset: Fraction
    ) -> Iterator[Solution]:
        """Yields solutions that pad a path more at one end and less at the other.

        The paddings of the two ends may change at different layers.
        """
        for side in (0, 1):
            own = [layer for layer in layers if layer.side == side]
            if not own or not self._is_chain(side, axis):
                continue
            weights = [layer.weight for layer in own]
            front, *behind = (
                cheapest(weights, [moves(x, p, offset) for x, p in paddings], amount)
                for paddings, amount in (
                    ([(x, x.setting.before) for x in own], offset),
                    *(
                        ([(x, x.setting.after or 0) for x in own], more - offset)
                        for more in self._spare(axis, side, own)
                    ),
                )
            )
            rest = next((moves for moves in behind if moves is not None), None)
            if front is None or rest is None:
                continue
            settings = []
            for layer, more_before, more_after in zip(own, front, rest, strict=True):
                kernel, before, after = layer.setting
                if more_before or more_after:
                    new = Setting(
                        kernel, before + more_before, (after or 0) + more_after
                    )
                    settings.append((layer, new))
            yield from pinned(layers, Solution(tuple(settings)))

    def _spare(self, axis: int, side: int, layers: Sequence[Layer]) -> Iterator[int]:
        """Yields changes to a path's total padding that do not change its output size.

        The first one is zero. The others only change how many positions the strides
        skip at the end.
        """
        yield 0
        spatial = self.paths[side].field.axes[axis]
        total, size = spatial.map.rates[0], spatial.input_size
        steps = [abs(layer.weight) for layer in layers]
        whole = all(step.denominator == 1 for step in (total, *steps))
        if size is None or not whole or total <= 0:
            return
        sign = 1 if side else -1
        for step, layer in zip(steps, layers, strict=True):
            w = layer.window
            size += int(step) * ((w.total_padding or 0) - w.extent + w.stride)
        rest = size % int(total)
        for more in sorted(range(-rest, int(total) - rest), key=abs):
            yield sign * more

    def _is_chain(self, side: int, axis: int) -> bool:
        """Returns whether a path is a chain of layers with known paddings.

        In a chain, no other node reads the tensors between the layers.
        """
        inner = {read.tensor for read in self.edges[side][1:]}
        readers = [r.below for reads in self.network.reads.values() for r in reads]
        if any(readers.count(tensor) > 1 for tensor in inner):
            return False
        windows = (step.windows[axis] for step in self.paths[side].steps)
        return all(w is None or w.after is not None for w in windows)

    def _rules(self, solutions: Iterable[Solution]) -> dict[Edge, Relation]:
        """Returns the rules of the changed layers with their new settings."""
        rules: dict[Edge, Relation] = {}
        known = {(r.tensor, r.number): r.rule for edges in self.edges for r in edges}
        for solution in solutions:
            for layer, new in solution.settings:
                rule = rules.get(layer.edge, known[layer.edge])
                axes: list[Axis] = list(rule.axes)
                axes[layer.input_axis] = follow(layer.output_axis, layer.changed(new))
                rules[layer.edge] = rule._replace(axes=tuple(axes))
        return rules

    def _agree(self, rules: Rules, axes: Collection[int]) -> bool:
        """Returns whether rules align the two paths on the given axes.

        The rules must also reduce the number of misaligned edges between the tensors
        where the paths split and meet.
        """
        state, apart = self.network.forward(self.parts, axes, rules, self.meets)
        one, two = (self._path(edges[0], state, rules) for edges in self.edges)
        if one is None or two is None or not agree(one, two, axes, self.shape):
            return False
        before = self.apart_above
        if list(axes) != self.counted:
            _, before = self.network.forward(self.parts, axes, {}, self.meets)
        return count_apart(apart) < count_apart(before)

    def _proposals(self, solutions: Sequence[Sequence[Solution]]) -> list[Proposal]:
        """Returns tested proposals that combine one solution from each axis.

        Solutions that change the same layers on all axes are combined. If there are no
        such solutions, the best solution of each axis is used. Only the proposals that
        align the paths and leave the fewest misaligned edges are returned.
        """
        by_edges = [{s.edges: s for s in reversed(of_axis)} for of_axis in solutions]
        joint = [
            [found[s.edges] for found in by_edges]
            for s in by_edges[0].values()
            if all(s.edges in found for found in by_edges)
        ]
        joint = joint or [[of_axis[0] for of_axis in solutions]]
        joint.sort(key=lambda parts: [sum(c) for c in columns(s.cost for s in parts)])
        proposals = []
        start, spatial = self.question.network.input, self.question.spatial
        for parts in joint:
            rules = self._rules(parts)
            if not self._agree(rules, self.counted):
                continue
            _, apart = self.network.forward(start, spatial, rules)
            if count_apart(apart) < count_apart(self.apart):
                keeps = all(solution.keeps_size for solution in parts)
                proposals.append(Proposal(self._changes(parts), keeps, len(apart)))
        proposals.sort(key=lambda proposal: proposal.remaining)
        least = [p for p in proposals if p.remaining == proposals[0].remaining]
        return least[:MOST_PROPOSALS]

    def _changes(self, solutions: Sequence[Solution]) -> tuple[Change, ...]:
        none: list[Setting | None] = [None] * len(self.axes)
        found: dict[Edge, tuple[list[Setting | None], list[Setting | None]]] = {}
        for layer, new in (pair for s in solutions for pair in s.settings):
            old_ones, new_ones = found.setdefault(layer.edge, ([*none], [*none]))
            old_ones[layer.axis] = layer.setting
            new_ones[layer.axis] = new
        changes = []
        for (tensor, _), (old_ones, new_ones) in found.items():
            node = self.network.call(tensor).node
            changes.append(Change(node.name, node.op, (*old_ones,), (*new_ones,)))
        return tuple(changes)


# --- The arithmetic -----------------------------------------------------------------


def _difference(axis: int, one: AxisMap, two: AxisMap) -> Difference:
    rates = [m.rates[0] if len(m.rates) == 1 else None for m in (one, two)]
    strides = rates[0], rates[1]
    first, second = map(only_strand, (one, two))
    pairs: list[tuple[Fraction, Fraction]] = []
    if rates[0] == rates[1] and first is not None and second is not None:
        period = math.lcm(len(first.windows), len(second.windows))
        for u in range(period if period <= LONGEST_PERIOD else 0):
            centres = _centre(first.window(u)), _centre(second.window(u))
            if centres[0] is not None and centres[1] is not None:
                pairs.append((centres[0], centres[1]))
    if not pairs:
        return Difference(axis, strides, None, ())
    offsets = tuple(b - a for a, b in pairs)
    same = len(set(offsets)) == 1
    return Difference(axis, strides, pairs[0], offsets[:1] if same else offsets)


def _centre(window: MaybeInterval) -> Fraction | None:
    if window is None or INFINITY in map(abs, window):
        return None
    return Fraction(int(window[0]) + int(window[1]), 2)


def _step_window(layer: Layer | None) -> StepWindow | None:
    if layer is None:
        return None
    w = layer.window
    if not w.kernel:
        rates = layer.map.rates
        followed = layer.output_axis >= 0 and len(rates) == 1
        stride = rates[0] if followed else None
        return StepWindow(None, stride, None, None)
    after = None
    if w.total_padding is not None and w.padding is not None:
        after = w.total_padding - w.padding
    return StepWindow(w.kernel, w.stride, w.padding, after, w.dilation)
