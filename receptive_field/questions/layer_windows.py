"""Finds the kernel, stride, dilation and padding of a single layer.

They are the numbers of the op that the analysis itself uses. A layer of a Keras model
consists of several ops. Ops before the window that only move positions, such as the
padding of a causal convolution, are a part of the layer's padding.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from receptive_field.algebra.axis_map import INFINITY, AxisMap, only_strand, shift_of
from receptive_field.algebra.sizes import Size
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Tensor
from receptive_field.network.walk import tensors_below
from receptive_field.passes.regions import backward
from receptive_field.questions.question import Question
from receptive_field.relations.relation import (
    Axis,
    follow,
    followed_axes,
    ranked,
    source,
)
from receptive_field.results.field import ReceptiveField
from receptive_field.results.layer_window import LayerWindow, LayerWindows
from receptive_field.rules.op import Call, Window, rule_at


def layer_windows(
    question: Question, output: Tensor, field: ReceptiveField
) -> LayerWindows:
    """Returns the windows of the layer or node that computes an output; see
    `ReceptiveField.layer_windows`.
    """
    nothing: LayerWindows = (None,) * len(field.axes)
    try:
        layer = _Layer(question, output, question.layer_inputs.get(field.output, ()))
        windows = layer.windows()
    except ReceptiveFieldError:  # The layer can be analysed, but not op by op.
        return nothing
    if not windows:
        return nothing
    followed = [axis.output_axes for axis in field.axes]
    single = any(len(axes) == 1 for axes in followed)
    if not single and len(windows) == len(nothing):
        # Features see the whole input, or a map met its transpose: no axis of the input
        # belongs to one axis of the op, so the axes keep the order of the op.
        return tuple(reversed(windows.values()))
    return tuple(windows.get(a[0]) if len(a) == 1 else None for a in followed)


class _Layer:
    """The nodes between the inputs and the output of a layer.

    A node that belongs to no layer is its own layer.
    """

    def __init__(
        self, question: Question, output: Tensor, given: Sequence[Tensor]
    ) -> None:
        network = question.network
        self.network = network
        self.output = output
        self.given = set(given)
        inner = {output[0]}
        if given:
            others = tensors_below(network, [output], lambda t: t not in self.given)
            inner.update(t[0] for t in others if t not in self.given)
        if output in self.given:  # The layer returns its input.
            inner.clear()
        inner.discard(network.input[0])
        self.nodes = sorted(inner, key=network.place)

    def windows(self) -> dict[int, LayerWindow | None]:
        """Returns the window for each axis of the output that it slides along.

        The axes are in ascending order. Returns an empty mapping if the layer has no
        window, or several that differ or follow each other.
        """
        found: dict[int, Sequence[Window]] = {}
        for index in self.nodes:
            op = rule_at(self.network.graph, index)
            if op is None or op.layout is None:
                continue
            for read in (op.windows, op.stretched):
                windows = () if read is None else read(self._call(index))
                if windows:
                    found[index] = windows
                    break
        wide = {i: ws for i, ws in found.items() if not all(map(_is_trivial, ws))}
        chosen = wide or found
        if not chosen or len(set(map(tuple, chosen.values()))) > 1:
            return {}
        if len(chosen) > 1 and self._follow(chosen):
            return {}
        if not self.network.in_loop().isdisjoint(self.nodes):
            return {}
        (index, windows), *_ = chosen.items()
        return self._placed(index, windows)

    def _follow(self, chosen: Collection[int]) -> bool:
        """Returns whether one of these nodes is computed from another one."""
        for index in chosen:
            reads = self.network.graph.inputs[index]
            inner = [t for t in reads if t not in self.given and t[0] in self.nodes]
            below = tensors_below(self.network, inner, lambda t: t not in self.given)
            if any(t[0] in chosen for t in (*inner, *below) if t not in self.given):
                return True
        return False

    def _call(self, index: int) -> Call:
        return Call(self.network.graph.nodes[index], self.network.known)

    def _maps(self, lower: Tensor, upper: Tensor) -> dict[int, tuple[int, AxisMap]]:
        """Returns how the axes of a tensor follow those of another tensor above it.

        The result maps each axis that follows one axis of the upper tensor to that axis
        and the map. Axes that follow none or several are left out.
        """
        found = map(source, self._axes(lower, upper))
        return {
            axis: (place, axis_map)
            for axis, (place, axis_map) in enumerate(found)
            if place is not None
        }

    def _axes(self, lower: Tensor, upper: Tensor) -> tuple[Axis, ...]:
        """Returns how each axis of a tensor follows those of a tensor above it."""
        shape = self.network.shape(lower) or ()
        if lower == upper:
            return tuple(map(follow, range(len(shape))))
        start = self.nodes.index(lower[0]) + 1 if lower[0] in self.nodes else 0
        part = replace(
            self.network, input=lower, order=self.nodes[start:], loops={}, _edges={}
        )
        relation = backward(part, upper, [lower]).state.get(lower)
        return () if relation is None else ranked(relation, len(shape)).axes

    def _placed(
        self, index: int, windows: Sequence[Window]
    ) -> dict[int, LayerWindow | None]:
        """Returns the windows of a node, for the axes of the layer's output."""
        op = rule_at(self.network.graph, index)
        assert op is not None
        assert op.layout is not None
        number, axes = op.layout(self._call(index))
        read = self._call(index).input(number)
        above = self._maps((index, 0), self.output)
        start = self._start(read)
        below = self._maps(start, read)
        lower = {place: (axis, moved) for axis, (place, moved) in below.items()}
        sizes = self.network.shape(read) or (), self.network.shape(start) or ()
        found: dict[int, LayerWindow | None] = {}
        for axis, window in zip(axes, windows, strict=True):
            if axis in above and axis in lower:
                under, moved = lower[axis]
                added = sizes[0][axis] - sizes[1][under]
                found[above[axis][0]] = _with_padding(window, shift_of(moved), added)
            else:
                found |= self._unfolded(start, read, axis, window)
        return dict(sorted(found.items()))

    def _unfolded(
        self, start: Tensor, read: Tensor, axis: int, window: Window
    ) -> dict[int, LayerWindow | None]:
        """Returns the window on an axis whose positions are folded into the batch.

        Around a dilated convolution, the positions of an axis may be spread over blocks
        in the batch. The layer as a whole then has the dilation and the padding that
        the op itself does not have.

        Args:
          start: the input of the layer.
          read: the tensor that the op reads.
          axis: the axis of that tensor that the window slides along.
          window: the window of the op.
        """
        whole = self._maps(start, self.output)
        places = enumerate(self._axes(start, read))
        folded = [a for a, followed in places if axis in followed_axes(followed)]
        if len(folded) != 1 or folded[0] not in whole:
            return {}
        place, axis_map = whole[folded[0]]
        strand = only_strand(axis_map) if axis_map.exact else None
        if strand is None or strand.advance != 1 or len(strand.windows) != 1:
            return {}
        first, last = strand.windows[0] or (INFINITY, INFINITY)
        steps = max(window.kernel - 1, 1)
        if window.stride != 1 or last == INFINITY or (last - first) % steps:
            return {}
        sizes = [
            (self.network.shape(tensor) or ())[a]
            for tensor, a in ((start, folded[0]), (self.output, place))
        ]
        total, before = sizes[1] - sizes[0] + int(last - first), -int(first)
        after = total - before if isinstance(total, int) else None
        dilation = max(int(last - first) // steps, 1)
        return {place: LayerWindow(window.kernel, 1, dilation, before, after, False)}

    def _start(self, read: Tensor) -> Tensor:
        """Returns the only input of the layer that a tensor inside it depends on.

        If there is not exactly one, returns the tensor itself.
        """
        if read in self.given or not self.given:
            return read
        below = tensors_below(self.network, [read], lambda t: t not in self.given)
        starts = self.given.intersection(below)
        return starts.pop() if len(starts) == 1 else read


def _is_trivial(w: Window) -> bool:
    """Returns whether a window reads each position by itself."""
    return w.kernel == w.stride == 1 and w.total_padding == 0


def _with_padding(w: Window, shift: int | None, added: Size) -> LayerWindow | None:
    """Returns a window, padded by what the ops before it add.

    Args:
      w: the window.
      shift: the distance by which the ops before the window move positions. None if
        they do anything else; the window then does not describe the layer.
      added: the number of positions that these ops add to the axis.
    """
    if shift is None:
        return None
    before = after = None
    if w.padding is not None:
        before = w.padding - shift
        if w.total_padding is not None and isinstance(added, int):
            after = w.total_padding + added - before
    return LayerWindow(w.kernel, w.stride, w.dilation, before, after, w.follows_size)
