"""Rules that a caller states for custom op types or for parts of one graph."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from receptive_field.algebra.axis_map import IDENTITY, AxisMap, convolution
from receptive_field.algebra.sizes import Size
from receptive_field.errors import ReceptiveFieldError
from receptive_field.relations.relation import Relation, local
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Window,
    first_shape,
    same,
)
from receptive_field.rules.windows import output_size, same_padding, window_map


class SlidingWindow(NamedTuple):
    """A rule for ops whose output positions each see a window, as in a convolution.

    A single number applies to all spatial axes. A sequence has one number per spatial
    axis, x first.

    Attributes:
      kernel_size: the number of positions in a window.
      stride: the distance that the window moves from one output position to the next.
      padding: the number of positions added at each end of an axis; or "same" or
        "valid", as in TensorFlow.
      dilation: the distance between neighbouring positions of a window.
      channels_first: whether the channels are axis 1 instead of the last axis; None
        means what is usual in the framework (first in ONNX, last in all others).

    >>> SlidingWindow(kernel_size=3, stride=2, padding="same").stride
    2
    """

    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: int | str | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    channels_first: bool | None = None


Rule = str | SlidingWindow | Op | Callable[[Call, int], Relations] | None
"""A rule that a caller can state.

It is "elementwise", "global", "no_dependency" (or None), a `SlidingWindow`, an `Op`, or
a function. The function takes a `Call` and the number of an output, and returns one
relation (or None) per input."""


def _all(call: Call, output: int) -> Relations:
    return [call.all_of(i) for i in range(len(call))]


_NAMED = {
    "elementwise": Op(same, first_shape),
    "global": Op(_all, None),
    "no_dependency": Op(None, None),
}


def op_of(rule: Rule) -> Op:
    """Returns the `Op` for a caller's rule.

    Raises:
      ReceptiveFieldError: if the rule is not a `Rule`, or is a `SlidingWindow` with
        invalid values.
    """
    if rule is None:
        rule = "no_dependency"
    if isinstance(rule, Op):
        return rule
    if isinstance(rule, SlidingWindow):
        return _window_op(rule)
    if isinstance(rule, str) and rule in _NAMED:
        return _NAMED[rule]
    if callable(rule):
        return Op(_checked(rule), None)
    raise ReceptiveFieldError(
        f"{rule!r} is not a rule. Give one of {', '.join(map(repr, _NAMED))}, a "
        "SlidingWindow, an Op, or a function (see docs/add_an_op.md)."
    )


def _checked(
    rule: Callable[[Call, int], Relations],
) -> Callable[[Call, int], Relations]:
    """Wraps a caller's function in a check that it returns one relation per input."""

    def relations(call: Call, output: int) -> Relations:
        found = rule(call, output)
        listed = isinstance(found, Sequence) and len(found) == len(call)
        if not listed or not all(isinstance(r, Relation | None) for r in found):
            call.fail(
                f"has a rule that returns {found!r}; it must return one relation, or "
                f"None, for each of the {len(call)} inputs"
            )
        return found

    return relations


def _whole(name: str, values: Any, least: float) -> int | list[int]:
    """Returns a number, or a list with one number per axis, as Python integers.

    Raises:
      ReceptiveFieldError: if any of the values is not an integer, or is less than
        ``least``, or if there are no values.
    """
    try:
        if isinstance(values, Iterable):
            numbers = [operator.index(value) for value in values]
        else:
            numbers = [operator.index(values)]
    except TypeError:
        numbers = []
    if not numbers or min(numbers) < least:
        wanted = "an integer" if least < 1 else f"an integer of at least {least}"
        raise ReceptiveFieldError(
            f"the {name} of a SlidingWindow must be {wanted}, or a list with one "
            f"integer for each axis; got {values!r}."
        )
    return numbers if isinstance(values, Iterable) else numbers[0]


def _window_op(stated: SlidingWindow) -> Op:
    stated = stated._replace(
        kernel_size=_whole("kernel_size", stated.kernel_size, 1),
        stride=_whole("stride", stated.stride, 1),
        dilation=_whole("dilation", stated.dilation, 1),
    )
    if isinstance(stated.padding, str):
        if stated.padding not in ("same", "valid"):
            raise ReceptiveFieldError(
                "the padding of a SlidingWindow must be a number, 'same' or 'valid', "
                f"not {stated.padding!r}."
            )
    else:
        padding = _whole("padding", stated.padding, -math.inf)
        stated = stated._replace(padding=padding)

    def is_first(call: Call) -> bool:
        if stated.channels_first is not None:
            return stated.channels_first
        rank = len(call.known_shape(0))
        return rank > 2 and 1 not in call.node.graph.framework.default_layout(rank)

    def axes(call: Call) -> list[int]:
        rank = len(call.known_shape(0))
        return list(range(2, rank) if is_first(call) else range(1, rank - 1))

    def windows(call: Call) -> list[Window]:
        shape, spatial = call.known_shape(0), axes(call)
        count = len(spatial)
        numbers = (
            _per_axis(call, values, count)
            for values in (stated.kernel_size, stated.stride, stated.dilation)
        )
        paddings: list[Any] = [stated.padding] * count
        if not isinstance(stated.padding, str):
            paddings = _per_axis(call, stated.padding, count)
        return [
            _window(shape[axis], *of_axis)
            for axis, *of_axis in zip(spatial, *numbers, paddings, strict=True)
        ]

    def relations(call: Call, output: int) -> Relations:
        maps: dict[int, AxisMap] = {}
        shape = call.known_shape(0)
        for axis, w in zip(axes(call), windows(call), strict=True):
            maps[axis] = window_map(shape[axis], w, convolution)
        rank = len(shape)
        channels = 1 if is_first(call) else rank - 1
        data = [None if a == channels else maps.get(a, IDENTITY) for a in range(rank)]
        return [local(data), *(call.all_of(i) for i in range(1, len(call)))]

    def shapes(call: Call) -> Sequence[Shape]:
        shape = list(call.known_shape(0))
        for axis, w in zip(axes(call), windows(call), strict=True):
            shape[axis] = output_size(shape[axis], w)
        return [tuple(shape)]

    return Op(
        relations, shapes, layout=lambda call: (0, tuple(axes(call))), windows=windows
    )


def _per_axis(call: Call, values: int | Sequence[int], count: int) -> list[int]:
    """Returns one number per spatial axis, in the order of the tensor's axes.

    The caller's order is the reverse: x, the last spatial axis, comes first.
    """
    if isinstance(values, int):
        return [values] * count
    if len(values) != count:
        call.fail(
            f"has {count} spatial axes, but its SlidingWindow has {len(values)} values"
        )
    return list(values)[::-1]


def _window(
    size: Size, kernel: int, stride: int, dilation: int, padding: int | str
) -> Window:
    extent = dilation * (kernel - 1) + 1
    if padding == "same":
        before, total = same_padding(extent, stride, size)
        return Window(kernel, stride, before, total, dilation, follows_size=True)
    before = 0 if isinstance(padding, str) else padding
    return Window(kernel, stride, before, 2 * before, dilation)
