"""Computes how to change layers so that two misaligned paths become aligned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from receptive_field.algebra.axis_map import AxisMap, convolution, shift
from receptive_field.network.network import Edge
from receptive_field.results.explanation import MOST_SUMS, Setting
from receptive_field.rules.op import Window

MOST_MOVES = 16
"""The largest change of a single padding that is tried."""


class Layer(NamedTuple):
    """A layer of one of the two paths, on one axis."""

    edge: Edge
    axis: int
    """The number of the spatial axis (0 for x)."""
    input_axis: int
    output_axis: int
    """The axis of the output that ``input_axis`` follows; -1 if there is none."""
    weight: Fraction
    """How far one more position of padding at the start moves the first path's centre
    relative to the second path's centre."""
    window: Window
    map: AxisMap
    size: int | None
    """The size of the layer's input."""
    is_same: bool
    """Whether the layer has SAME padding."""
    is_cut: bool
    """Whether the layer cuts off positions instead of padding."""
    has_kernel: bool
    """Whether the layer is a convolution or pooling layer."""
    side: int
    """The number of the path that the layer belongs to, 0 or 1."""

    def after(self, before: int) -> int | None:
        """Returns the padding at the end that keeps the size of the output.

        Args:
          before: the padding at the start.

        Returns:
          The padding, or None if no padding keeps the size.
        """
        w = self.window
        total = w.total_padding
        totals = [] if total is None else [total]
        if self.is_same:
            # At every size, this total gives the same output size as SAME.
            totals.insert(0, w.extent - 1)
        if self.size is not None and total is not None:
            spare = (self.size + total - w.extent) % w.stride
            lowest = total - spare
            totals += range(lowest, lowest + w.stride)
            totals = [t for t in totals if lowest <= t < lowest + w.stride]
        for after in (t - before for t in totals):
            if self.allows(before) and self.allows(after):
                return after
        return None

    @property
    def follows_size(self) -> bool:
        """Whether the layer's padding depends on the size of its input."""
        return self.is_same and self.window.stride > 1

    def allows(self, padding: int) -> bool:
        """Returns whether the layer may have this padding."""
        return padding <= 0 if self.is_cut else padding >= 0

    @property
    def setting(self) -> Setting:
        """The layer's current kernel and padding."""
        total, before = self.window.total_padding, self.window.padding or 0
        return Setting(
            self.window.kernel, before, None if total is None else total - before
        )

    def skew(self, setting: Setting) -> int:
        """Returns the difference between the two paddings of a setting."""
        after = self.window.extent - 1 if setting.after is None else setting.after
        return abs(setting.before - after)

    @property
    def is_changeable(self) -> bool:
        """Whether a different padding would move the centre of the path."""
        w = self.window
        known = w.padding is not None and (w.total_padding is not None or self.is_same)
        return known and w.kernel > 0 and self.weight != 0 and self.output_axis >= 0

    def changed(self, new: Setting) -> AxisMap:
        """Returns the map of the layer with a different setting."""
        w = self.window
        if new.kernel != w.kernel:
            return convolution(new.kernel, w.stride, new.before, w.dilation)
        return self.map.then(shift((w.padding or 0) - new.before))


class Solution(NamedTuple):
    """New settings of layers that align the paths on one axis."""

    settings: tuple[tuple[Layer, Setting], ...]
    keeps_size: bool = True

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The edges whose layers change, sorted."""
        return tuple(sorted(layer.edge for layer, _ in self.settings))

    @property
    def cost(self) -> tuple[int, ...]:
        """The sort key of the solution.

        It prefers solutions that keep the size, then solutions that change few kernels,
        then few layers, then solutions with symmetric padding, then small changes.
        """
        kernels = sum(new.kernel != layer.window.kernel for layer, new in self.settings)
        skew = sum(layer.skew(n) - layer.skew(layer.setting) for layer, n in self[0])
        moves = sum(abs(n.before - layer.setting.before) for layer, n in self[0])
        return not self.keeps_size, kernels, len(self.settings), skew, moves


def single_changes(layers: Sequence[Layer], offset: Fraction) -> Iterator[Solution]:
    """Yields changes of one layer's padding that keep the size of its output."""
    for layer in layers:
        more = offset / layer.weight
        before = layer.setting.before + int(more)
        after = layer.after(before)
        if more.denominator == 1 and after is not None:
            new = Setting(layer.window.kernel, before, after)
            yield Solution(((layer, new),))


def joint_changes(layers: Sequence[Layer], offset: Fraction) -> Iterator[Solution]:
    """Yields a joint change of as few layers as possible that aligns the paths.

    All of these layers keep the sizes of their outputs.
    """
    choices = []
    for layer in layers:
        before = layer.setting.before
        tried = moves(layer, before, offset)
        choices.append(
            [x for x in tried if not x or layer.after(before + x) is not None]
        )
    moves_of_all = cheapest([x.weight for x in layers], choices, offset)
    if moves_of_all is not None:
        yield _moved(layers, moves_of_all, True)


def resizing_changes(layers: Sequence[Layer], offset: Fraction) -> Iterator[Solution]:
    """Yields changes of the padding at the start, but not of that at the end."""
    for layer in layers:
        more = offset / layer.weight
        if more.denominator == 1 and layer.allows(layer.setting.before + int(more)):
            yield _moved([layer], [int(more)], False)
    choices = [moves(layer, layer.setting.before, offset) for layer in layers]
    chosen = cheapest([layer.weight for layer in layers], choices, offset)
    if chosen is not None and sum(map(bool, chosen)) > 1:
        yield _moved(layers, chosen, False)


def pinned(layers: Sequence[Layer], solution: Solution) -> Iterator[Solution]:
    """Yields the solution, extended so that size-dependent (SAME) padding is explicit.

    The solution changes sizes inside its paths. The other layers of these paths keep
    their present padding only if it is explicit. Yields nothing if that padding is
    unknown.
    """
    changed = {layer.edge for layer, _ in solution.settings}
    sides = {layer.side for layer, _ in solution.settings}
    more = tuple(
        (layer, layer.setting)
        for layer in layers
        if layer.follows_size and layer.side in sides and layer.edge not in changed
    )
    if all(setting.after is not None for _, setting in more):
        yield solution._replace(settings=(*solution.settings, *more))


def _moved(layers: Sequence[Layer], moves: Sequence[int], keeps_size: bool) -> Solution:
    """Returns the solution that changes the layers' padding at the start by
    ``moves``."""
    settings = []
    for layer, more in zip(layers, moves, strict=True):
        if more:
            kernel, before, after = layer.setting
            behind = layer.after(before + more) if keeps_size else after
            settings.append((layer, Setting(kernel, before + more, behind)))
    return Solution(tuple(settings), keeps_size)


def kernel_changes(layers: Sequence[Layer], offset: Fraction) -> Iterator[Solution]:
    """Yields changes of one layer's kernel size by one, with a matching padding."""
    for layer in layers:
        for more in (1, -1):
            other = with_kernel(layer, layer.window.kernel + more)
            if other is None:
                continue
            moved = offset / layer.weight + Fraction(layer.window.dilation * more, 2)
            before = layer.setting.before + int(moved)
            after = other.after(before)
            if moved.denominator == 1 and after is not None:
                new = Setting(other.window.kernel, before, after)
                yield Solution(((layer, new),))


def with_kernel(layer: Layer, kernel: int) -> Layer | None:
    """Returns the layer with another kernel size, but with the same output size.

    The total padding changes accordingly. Returns None if the layer cannot have such a
    kernel.
    """
    w = layer.window
    if kernel == w.kernel:
        return layer
    if not layer.has_kernel or kernel < 1:
        return None
    total = w.total_padding
    if total is not None:
        total += w.dilation * (kernel - w.kernel)
    return layer._replace(window=w._replace(kernel=kernel, total_padding=total))


def moves(layer: Layer, padding: int, offset: Fraction) -> list[int]:
    """Returns the changes of a layer's padding to try, the smallest first."""
    most = min(int(abs(offset / layer.weight)) + 2, MOST_MOVES)
    nearest = sorted(range(-most, most + 1), key=abs)
    return [x for x in nearest if not x or layer.allows(padding + x)]


def cheapest(
    weights: Sequence[Fraction], choices: Sequence[Sequence[int]], target: Fraction
) -> list[int] | None:
    """Returns one choice for each weight, such that the products sum to the target.

    This prefers few nonzero choices, then small choices. After each weight, it keeps
    only the `MOST_SUMS` partial sums that are closest to the target. Returns None if
    this search finds no such choices.
    """
    best: dict[Fraction, tuple[int, int, tuple[int, ...]]] = {Fraction(0): (0, 0, ())}
    for weight, some in zip(weights, choices, strict=True):
        further: dict[Fraction, tuple[int, int, tuple[int, ...]]] = {}
        for total, (count, moved, picks) in best.items():
            for x in some:
                key = total + weight * x
                found = (count + bool(x), moved + abs(x), (*picks, x))
                if key not in further or found[:2] < further[key][:2]:
                    further[key] = found
        nearest = sorted(further, key=lambda total: abs(total - target))
        best = {total: further[total] for total in nearest[:MOST_SUMS]}
    return list(best[target][2]) if target in best else None


def columns(rows: Iterable[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """Yields the columns of the given rows."""
    return zip(*rows, strict=True)
