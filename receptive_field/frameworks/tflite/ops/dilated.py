"""Rules for ops that put positions between others, and for windows on any axis.

They come from StableHLO, in which any axis may be padded, spread out or reduced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    IDENTITY,
    AxisMap,
    convolution,
    shift,
    transposed_convolution,
)
from receptive_field.algebra.sizes import Size, ceiling_division
from receptive_field.frameworks.tflite.ops.registry import register
from receptive_field.relations.relation import LARGEST_PERIOD, local
from receptive_field.rules.op import Call, Op, Relations, Shape, Taps


def _checked(
    call: Call, values: Sequence[Size] | None, what: str, low: int
) -> list[int]:
    """Returns one known number for each axis of the first input."""
    rank = len(call.known_shape(0))
    found = [value for value in values or () if isinstance(value, int)]
    if len(found) != rank or not all(low <= v <= LARGEST_PERIOD for v in found):
        call.fail(f"has {what} {values} for an input of rank {rank}")
    return found


def _spread(step: int) -> AxisMap:
    """Returns the map to an axis whose positions are moved ``step`` apart."""
    return IDENTITY if step == 1 else transposed_convolution(1, step, 0, 1)


def _spread_size(size: Size, step: int) -> Size:
    return size if step == 1 else (size - 1) * step + 1


# --- Padding, also between positions -------------------------------------------------


class _Padding(NamedTuple):
    """The padding of one axis."""

    before: int
    after: int
    step: int

    def map(self) -> AxisMap:
        moved = shift(-self.before) if self.before else IDENTITY
        return moved.then(_spread(self.step))

    def size(self, size: Size) -> Size:
        return _spread_size(size, self.step) + self.before + self.after


def _paddings(call: Call) -> list[_Padding]:
    least = -LARGEST_PERIOD
    before = _checked(call, call.numbers("edge_padding_low"), "paddings", least)
    after = _checked(call, call.numbers("edge_padding_high"), "paddings", least)
    inside = _checked(call, call.numbers("interior_padding"), "inner paddings", 0)
    return [
        _Padding(b, a, i + 1) for b, a, i in zip(before, after, inside, strict=True)
    ]


def _padded(call: Call, output: int) -> Relations:
    maps = [padding.map() for padding in _paddings(call)]
    return [local(maps), *(call.all_of(n) for n in range(1, len(call)))]


def _padded_shape(call: Call) -> Sequence[Shape]:
    pairs = zip(_paddings(call), call.known_shape(0), strict=True)
    return [tuple(padding.size(size) for padding, size in pairs)]


register("STABLEHLO_PAD", Op(_padded, _padded_shape, taps=Taps.COPY))


def _steps(call: Call) -> list[int]:
    return _checked(call, call.integers(1), "dilations", 1)


def _dilated(call: Call, output: int) -> Relations:
    maps = [_spread(step) for step in _steps(call)]
    return [local(maps), None, *(call.all_of(n) for n in range(2, len(call)))]


def _dilated_shape(call: Call) -> Sequence[Shape]:
    pairs = zip(_steps(call), call.known_shape(0), strict=True)
    return [tuple(_spread_size(size, step) for step, size in pairs)]


register("DILATE", Op(_dilated, _dilated_shape, taps=Taps.COPY))

# --- Windows -------------------------------------------------------------------------


class _Window(NamedTuple):
    """The window on one axis, which may be spread out and padded before."""

    kernel: int
    stride: int
    dilation: int
    step: int = 1
    before: int = 0
    after: int = 0

    def map(self) -> AxisMap:
        if self[:2] == (1, 1) and not self.before:
            return _spread(self.step)
        window = convolution(self.kernel, self.stride, self.before, self.dilation)
        return window.then(_spread(self.step))

    def size(self, size: Size) -> Size:
        extent = self.dilation * (self.kernel - 1) + 1
        padded = _spread_size(size, self.step) + self.before + self.after
        return ceiling_division(padded - extent + 1, self.stride)


def _stored_windows(call: Call) -> list[_Window]:
    """Returns the windows of StableHLO's op, which are options."""
    names = "window_dimensions", "window_strides", "window_dilations", "base_dilations"
    numbers = [_checked(call, call.numbers(name) or None, name, 1) for name in names]
    pads = call.numbers("padding") or []
    if len(pads) != 2 * len(numbers[0]):
        call.fail(f"has the paddings {pads}")
    return [
        _Window(*sizes) for sizes in zip(*numbers, pads[::2], pads[1::2], strict=True)
    ]


def _given_windows(call: Call) -> list[_Window]:
    """Returns the windows of the builtin op, which are inputs."""
    names = "sizes", "strides", "dilations"
    numbers = [
        _checked(call, call.integers(number), name, 1)
        for number, name in enumerate(names, start=2)
    ]
    return [_Window(*sizes) for sizes in zip(*numbers, strict=True)]


def _windows(call: Call) -> list[_Window]:
    stored = call.node.op == "STABLEHLO_REDUCE_WINDOW"
    return _stored_windows(call) if stored else _given_windows(call)


def _reduced(call: Call, output: int) -> Relations:
    maps = [window.map() for window in _windows(call)]
    rest = [call.all_of(1), *[None] * (len(call) - 2)]
    return [local(maps), *rest]


def _reduced_shape(call: Call) -> Sequence[Shape]:
    pairs = zip(_windows(call), call.known_shape(0), strict=True)
    return [tuple(window.size(size) for window, size in pairs)]


register("REDUCE_WINDOW STABLEHLO_REDUCE_WINDOW", Op(_reduced, _reduced_shape))
