"""What ops do that look at one position at a time, and normalisations that do so.

Inputs broadcast as in NumPy: an axis of size one is read at its only position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.axis_map import GLOBAL, IDENTITY, constant
from receptive_field.algebra.sizes import Size, Symbolic, rounded_down
from receptive_field.arrays import np
from receptive_field.relations.relation import ALL, SAME, Axis, Relation, follow, local
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    first_shape,
    same,
)


def broadcast(call: Call, *shapes: Shape) -> Shape:
    """The shape that these shapes broadcast to.

    Of two sizes that may differ, the one that is not 1 counts; unknown sizes that
    meet a known one are taken to be equal to it, as the op would otherwise fail.
    """
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    longest = max(known, key=len)
    rank = len(longest)
    if all(_is_within(shape, longest) for shape in known):
        return longest
    sizes = []
    for axis in range(-rank, 0):
        candidates = [s[axis] for s in known if len(s) >= -axis and s[axis] != 1]
        numbers = [size for size in candidates if not isinstance(size, Symbolic)]
        if len(set(numbers)) > 1:
            call.fail(f"has inputs of shapes {known} that do not broadcast")
        call.meet(candidates)
        sizes.append((numbers or candidates or [1])[0])
    return tuple(sizes)


def _is_within(shape: Sequence[Size], longest: Sequence[Size]) -> bool:
    """Whether broadcasting to the longest shape leaves that as it is."""
    above = longest[len(longest) - len(shape) :]
    pairs = zip(shape, above, strict=True)
    return all(one is two or one == 1 or one == two for one, two in pairs)


def broadcast_relation(shape: Shape, output: Shape) -> Relation:
    """How an input of ``shape`` is read when it is broadcast to ``output``."""
    if shape is None or output is None or shape == output:
        return SAME
    return Relation(broadcast_axes(shape, output))


def broadcast_axes(shape: Sequence[Size], output: Sequence[Size]) -> tuple[Axis, ...]:
    """The same, axis by axis."""
    offset = len(output) - len(shape)
    return tuple(
        follow(axis + offset, constant(0, 0))
        if size == 1 and output[axis + offset] != 1
        else follow(axis + offset)
        for axis, size in enumerate(shape)
    )


def broadcast_relations(call: Call, output: int) -> list[Relation]:
    """How each input is read when all are broadcast to one shape."""
    shapes = [call.shape(i) for i in range(len(call))]
    if all(shape == shapes[0] for shape in shapes):
        return [SAME] * len(call)
    whole = broadcast(call, *shapes)
    return [broadcast_relation(shape, whole) for shape in shapes]


def broadcast_shapes(call: Call) -> Sequence[Shape]:
    """The shape that all inputs broadcast to."""
    shapes = [call.shape(i) for i in range(len(call))]
    if all(shape == shapes[0] for shape in shapes):
        return shapes[:1]
    return [broadcast(call, *shapes)]


def computed(
    function: str | Callable[..., Any],
) -> Callable[[Call], Sequence[Value]]:
    """The values by a function, or by that of NumPy with this name."""

    def values(call: Call) -> Sequence[Value]:
        operands = [call.value(i) for i in range(len(call))]
        if any(operand is None for operand in operands):
            return [None]
        apply = getattr(np, function) if isinstance(function, str) else function
        try:
            with np.errstate(all="ignore"):
                return [np.asarray(apply(*operands))]
        except (TypeError, ZeroDivisionError, OverflowError, ValueError):
            return [None]  # Not a number that a size could be made from.

    return values


def equal(one: Any, two: Any) -> Any:
    """Whether they are equal. Where that depends on a size it is no value."""
    if one.dtype != object and two.dtype != object:
        return one == two
    differences = np.asarray(one - two, dtype=object)
    if any(isinstance(number, Symbolic) for number in differences.flat):
        raise TypeError("depends on a size")
    return differences == 0


def division(one: Any, two: Any) -> Any:
    """A quotient; of whole numbers it is that of C, which rounds towards zero."""
    if one.dtype.kind in "iu" and two.dtype.kind in "iu":
        return np.sign(one) * np.sign(two) * (abs(one) // abs(two))
    return one / two


ELEMENTWISE = Op(broadcast_relations, broadcast_shapes, taps=Taps.FACTOR)
"""Several inputs, which broadcast."""

UNARY = Op(same, first_shape, taps=Taps.ACTIVATION)
"""One input."""


def rounding(direction: int) -> Callable[[Any], Any]:
    """To the next whole number: 1 is down, -1 up."""

    def rounded(value: Any) -> Any:
        if value.dtype != object:
            return direction * np.floor(direction * value)
        return direction * np.vectorize(rounded_down, otypes=[object])(
            direction * value
        )

    return rounded


def first_follows(call: Call, output: int) -> Relations:
    """Every position follows itself in the first input, and all of the others."""
    return [SAME, *[ALL] * (len(call) - 1)]


FIRST = Op(first_follows, first_shape, taps=Taps.COPY)
"""Elementwise in the first input; what else goes in, goes into every position."""


def _ranged(call: Call, output: int) -> Relations:
    """The range of the result is computed from those of the inputs."""
    if output == 0:
        return first_follows(call, output)
    return [None, *(call.all_of(i) for i in range(1, len(call)))]


RANGED = Op(_ranged, lambda call: [call.shape(0), (), ()], taps=Taps.COPY)
"""Quantised, elementwise in the first input; then come ranges."""


def normalised_by_batch(rank: int, channels: int) -> Relation:
    """The relation to a tensor that is normalised by its own mean and variance, of all
    axes but one."""
    return local([IDENTITY if axis == channels else GLOBAL for axis in range(rank)])
