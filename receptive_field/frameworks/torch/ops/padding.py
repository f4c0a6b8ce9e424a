"""Rules for ops that pad or crop the ends of axes.

Paddings are listed from the last axis to the first, and negative ones drop positions.
Mirrored positions may be dropped at the other end of the axis; circular padding repeats
what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import IDENTITY, AxisMap
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.torch.definitions import Read
from receptive_field.frameworks.torch.ops.registry import (
    register,
    sizes,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import local
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Window,
    Zeros,
)
from receptive_field.rules.slicing import extended

Pair = tuple[Size | None, Size | None]

_MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}
"""PyTorch's name of a mode -> the name that `extended` knows."""

_NUMBERS = ("reflect", "replicate", "circular", "constant")
"""The modes in the order of their numbers."""


def _mode(call: Call) -> str:
    op = call.node.op
    if op.startswith("reflection_pad"):
        return "reflect"
    if op.startswith("replication_pad"):
        return "edge"
    if op == "_pad_circular":
        return "wrap"
    if op == "_pad_enum":
        number = call.number("mode")
        if not 0 <= number < len(_NUMBERS):
            call.fail(f"has the unknown mode {number}")
        return _MODES[_NUMBERS[number]]
    mode = call.text("mode", "constant")
    if mode not in _MODES:
        call.fail(f"has the mode {mode!r}, which is none of {', '.join(_MODES)}")
    return _MODES[mode]


def _pads(call: Call, rank: int) -> list[Pair]:
    """Returns the padding before and after each axis; None where it is unknown."""
    pads = sizes(call, "pad") or sizes(call, "padding") or []
    if len(pads) % 2 or len(pads) > 2 * rank:
        call.fail(f"has {len(pads)} numbers of padding for {rank} axes")
    pairs: list[Pair] = list(zip(pads[::2], pads[1::2], strict=True))
    return [(0, 0)] * (rank - len(pairs)) + pairs[::-1]


def _padded(call: Call, axis: int, size: Size, pair: Pair) -> AxisMap:
    before, after = pair
    mode = _mode(call)
    if before is None or after is None:
        moved = IDENTITY.with_unknown_offset(call.unknown_offset(axis))
        return moved if mode == "constant" else moved.beside_anything()
    is_wrapped = mode == "wrap"
    numbers = [n for n in (before, after) if isinstance(n, int)]
    if is_wrapped and isinstance(size, int):
        left = size + sum(n for n in numbers if n < 0)
        if max(numbers, default=0) > left:
            call.fail(
                f"repeats {max(numbers)} positions of axis {axis}, of which it keeps "
                f"only {left}"
            )
    return extended(call, axis, size, (before, after), mode, crops_first=is_wrapped)


def _relations(call: Call, output: int) -> Relations:
    shape = call.known_shape(0)
    pairs = _pads(call, len(shape))
    maps = [
        _padded(call, axis, size, pair)
        for axis, (size, pair) in enumerate(zip(shape, pairs, strict=True))
    ]
    return [local(maps), *(call.all_of(i) for i in range(1, len(call)))]


def _shapes(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    found: list[Size] = []
    for axis, (before, after) in enumerate(_pads(call, len(shape))):
        if before is None or after is None:
            found.append(call.unknown_size(axis))
            continue
        size = shape[axis] + before + after
        if isinstance(size, int) and size < 1 and shape[axis]:
            call.fail(f"makes the feature map vanish: {size} positions on an axis")
        found.append(size)
    return [tuple(found)]


def _windows(call: Call) -> Sequence[Window]:
    shape = call.shape(0)
    if shape is None:
        return []
    windows = []
    for before, after in _pads(call, len(shape))[2:]:
        first = before if isinstance(before, int) else None
        both = isinstance(before, int) and isinstance(after, int)
        windows.append(Window(1, 1, first, before + after if both else None))  # type: ignore[operator,arg-type]
    return windows


def _zeros(call: Call) -> Zeros:
    """Returns how zeros pass. A constant that is not known is taken to be nonzero."""
    value = call.attribute("value", 0)
    nonzero = isinstance(value, Read) or bool(value)
    return Zeros.BESIDE if nonzero and _mode(call) == "constant" else Zeros.KEPT


PADS = (
    "pad constant_pad_nd _pad_circular _pad_enum reflection_pad1d reflection_pad2d "
    "reflection_pad3d replication_pad1d replication_pad2d replication_pad3d"
)
register(PADS, Op(_relations, _shapes, windows=_windows))
weigh(PADS, Taps.COPY)
treat_zeros(PADS, _zeros)
