"""Rules of layers whose window is changed, and of layers that are added to a graph.

Both are used to try a change of a network before anyone makes it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from receptive_field.algebra.sizes import Size, divide, product
from receptive_field.rules.flops import multiply_adds, output_elements
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Window,
    first_shape,
)
from receptive_field.rules.windows import Sliding, sliding_windows


class WindowChange(NamedTuple):
    """A change of a window, on some axes.

    Padding that follows the size (SAME) follows the new window. So does padding by
    numbers, if it keeps the size of the axis at stride 1. Any other padding stays.
    """

    wider: int = 0
    """The number of positions that are added to a kernel of more than one."""
    stride: int | None = None
    """The new stride; None to keep it."""
    dilation: int | None = None
    """The new dilation; None to keep it."""

    def of(self, window: Window) -> tuple[int, int, int]:
        """Returns the new kernel size, stride and dilation of a window."""
        return (
            window.kernel + (self.wider if window.kernel > 1 else 0),
            window.stride if self.stride is None else self.stride,
            window.dilation if self.dilation is None else self.dilation,
        )

    def padding(self, window: Window) -> tuple[int, int]:
        """Returns the new padding before and after the axis, for padding by numbers."""
        assert window.padding is not None
        assert window.total_padding is not None
        kernel, _, dilation = self.of(window)
        before, total = window.padding, window.total_padding - window.rounded
        after, now = total - before, dilation * (kernel - 1)
        if total != window.extent - 1 or now == total:
            return before, after
        if abs(before - after) <= 1:
            half = now // 2
            return (half, now - half) if before <= after else (now - half, half)
        if before == 0:
            return 0, now
        return (now, 0) if after == 0 else (before, after)


class _Changed:
    """The rules of an op whose windows are changed."""

    def __init__(self, op: Op, change: WindowChange, changed: Collection[int]) -> None:
        assert op.windows is not None
        assert op.layout is not None
        self._op, self._change, self._changed = op, change, changed
        self._windows, self._layout = op.windows, op.layout

    def op(self) -> Op:
        """Returns the op with its new rules."""
        flops = None if self._op.flops is None else self.flops
        return self._op._replace(
            relations=self.relations,
            shapes=self.shapes,
            flops=flops,
            windows=lambda call: self._sliding(call).windows,
            values=None,
        )

    def _sliding(self, call: Call) -> Sliding:
        number, axes = self._layout(call)
        shape = call.known_shape(number)
        before = self._windows(call)
        windows: list[Window] = []
        for axis, w in zip(axes, before, strict=True):
            change = self._change if axis in self._changed else WindowChange()
            kernel, stride, dilation = change.of(w)
            try:
                windows += sliding_windows(
                    [shape[axis]],
                    [kernel],
                    [stride],
                    [dilation],
                    None if w.follows_size else [change.padding(w)],
                    w.least,
                    w.extra_before,
                    w.undilated,
                    w.rounds_up,
                )
            except ValueError as error:
                call.fail(str(error))
        return Sliding(shape, tuple(axes), tuple(windows))

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the inputs, through the new windows."""
        assert self._op.relations is not None
        found = list(self._op.relations(call, output))
        number, _ = self._layout(call)
        if found[number] is not None:
            found[number] = self._sliding(call).relation()
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the outputs, with the sizes that the windows give."""
        assert self._op.shapes is not None
        first, *rest = self._op.shapes(call)
        if first is None:
            return [first, *rest]
        sliding, shape = self._sliding(call), list(first)
        sizes = sliding.sizes()
        for axis in sliding.axes:
            shape[axis] = sizes[axis]
        return [tuple(shape), *rest]

    def flops(self, call: Call) -> Flops:
        """Returns the operations: each product or comparison of a window counts."""
        assert self._op.flops is not None
        found = self._op.flops(call)  # For the new size of the output.
        before = product([w.kernel for w in self._windows(call)])
        after = product([w.kernel for w in self._sliding(call).windows])
        if self._op.products is None:
            return Flops(_scaled(found.total, after, before))
        more = _scaled(found.multiply_adds, after, before) - found.multiply_adds
        return Flops(found.total + 2 * more, found.multiply_adds + more)


def _scaled(count: Size, after: Size, before: Size) -> Size:
    """Returns a multiple of ``before``, with ``after`` in its place."""
    quotient = divide(count, before)
    assert quotient is not None
    return quotient * after


def with_window(op: Op, change: WindowChange, changed: Collection[int]) -> Op:
    """Returns the rules of a convolution or pooling op after a change.

    Args:
      op: the rules before, which have `windows` and a `layout`.
      change: the change.
      changed: the axes of the input on which the window changes.
    """
    return _Changed(op, change, changed).op()


def added_layers(axes: Sequence[int], kernel: int, count: int) -> Op:
    """Returns the rules of convolutions that keep the size and the number of channels.

    Several of these layers together have one larger window.

    Args:
      axes: the axes of the input that the window slides over.
      kernel: the kernel size of each layer on each of these axes, an odd number.
      count: the number of layers.
    """
    extent = count * (kernel - 1) + 1

    def sliding(call: Call) -> Sliding:
        shape = call.known_shape(0)
        ones = [1] * len(axes)
        sizes = [shape[axis] for axis in axes]
        try:
            windows = sliding_windows(sizes, [extent] * len(axes), ones, ones, None)
        except ValueError as error:
            call.fail(str(error))
        return Sliding(shape, tuple(axes), windows)

    def flops(call: Call) -> Flops:
        shape = call.known_shape(0)
        channels: list[Size] = [
            size for axis, size in enumerate(shape) if axis and axis not in axes
        ]
        area = kernel ** len(axes)
        return multiply_adds(count * area * product(channels) * output_elements(call))

    def relations(call: Call, output: int) -> Relations:
        return [sliding(call).relation()]

    return Op(relations, first_shape, layout=lambda call: (0, axes), flops=flops)
