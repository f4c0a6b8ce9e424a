"""Ops that compute each position on its own, and batch normalisation.

Inputs broadcast as in NumPy: if an input axis has size one, every output position reads
the single position on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.axis_map import GLOBAL, IDENTITY, constant
from receptive_field.algebra.sizes import Size, Symbolic, bounds, rounded_down, smaller
from receptive_field.arrays import np
from receptive_field.graph.graph import Node
from receptive_field.relations.relation import ALL, SAME, Axis, Relation, follow, local
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    first_shape,
    rule_of,
    same,
)


def broadcast(call: Call, *shapes: Shape) -> Shape:
    """Returns the shape that these shapes broadcast to, or None if one is unknown.

    An unknown size that meets a known size other than 1 is assumed to be equal to it:
    if it were neither equal nor 1, the op would fail.

    Raises:
      GraphError: if the shapes do not broadcast.
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
    """Returns whether broadcasting with ``shape`` leaves ``longest`` unchanged."""
    above = longest[len(longest) - len(shape) :]
    pairs = zip(shape, above, strict=True)
    return all(one is two or one == 1 or one == two for one, two in pairs)


def broadcast_relation(shape: Shape, output: Shape) -> Relation:
    """Returns the relation to an input of ``shape`` that is broadcast to ``output``."""
    if shape is None or output is None or shape == output:
        return SAME
    return Relation(broadcast_axes(shape, output))


def broadcast_axes(shape: Sequence[Size], output: Sequence[Size]) -> tuple[Axis, ...]:
    """Returns the axes of the relation that `broadcast_relation` returns."""
    offset = len(output) - len(shape)
    return tuple(
        follow(axis + offset, constant(0, 0))
        if size == 1 and output[axis + offset] != 1
        else follow(axis + offset)
        for axis, size in enumerate(shape)
    )


def broadcast_relations(call: Call, output: int) -> list[Relation]:
    """Returns the relations to inputs that are all broadcast to one shape."""
    shapes = [call.shape(i) for i in range(len(call))]
    if all(shape == shapes[0] for shape in shapes):
        return [SAME] * len(call)
    whole = broadcast(call, *shapes)
    return [broadcast_relation(shape, whole) for shape in shapes]


def broadcast_shapes(call: Call) -> Sequence[Shape]:
    """Returns the shape that all inputs broadcast to."""
    shapes = [call.shape(i) for i in range(len(call))]
    if all(shape == shapes[0] for shape in shapes):
        return shapes[:1]
    return [broadcast(call, *shapes)]


Operands = Callable[[Call], Sequence[Value]]
"""Returns the constant values that an op computes with."""


def all_inputs(call: Call) -> Sequence[Value]:
    """Returns the constant values of all inputs.

    Constants are decoded only if all other values are known.
    """
    nodes = [call.node.graph.nodes[call.input(i)[0]] for i in range(len(call))]
    found: dict[int, Value] = {}
    for number in sorted(range(len(call)), key=lambda i: _is_decoded(nodes[i])):
        found[number] = call.value(number)
        if found[number] is None:
            return [None]
    return [found[number] for number in range(len(call))]


def _is_decoded(node: Node) -> bool:
    """Returns whether the value of a node is decoded, and not computed or unknown."""
    op = rule_of(node)
    return not node.inputs and op is not None and op.values is not None


def computed(
    function: str | Callable[..., Any], operands: Operands = all_inputs
) -> Callable[[Call], Sequence[Value]]:
    """Returns a function for `Op.values` that applies ``function`` to the operands.

    ``function`` is a callable, or the name of a NumPy function.
    """

    def values(call: Call) -> Sequence[Value]:
        found = operands(call)
        if any(operand is None for operand in found):
            return [None]
        apply = getattr(np, function) if isinstance(function, str) else function
        try:
            with np.errstate(all="ignore"):
                return [np.asarray(apply(*found))]
        except (TypeError, ZeroDivisionError, OverflowError, ValueError):
            return [None]  # No size can be computed from such values.

    return values


def equal(one: Any, two: Any) -> Any:
    """Returns a boolean array that is true where two arrays are equal.

    Raises:
      TypeError: if the result depends on an unknown size.
    """
    if one.dtype != object and two.dtype != object:
        return one == two
    differences = np.asarray(one - two, dtype=object)
    if any(isinstance(number, Symbolic) for number in differences.flat):
        raise TypeError("depends on a size")
    return differences == 0


def integer_division(call: Call, operands: Operands = all_inputs) -> Sequence[Value]:
    """Returns the quotient of two arrays of integers, rounded as in C."""

    def divided(one: Any, two: Any) -> Any:
        if object in (one.dtype, two.dtype):
            return rounded_towards_zero(call, np.asarray(one / two, dtype=object))
        return np.sign(one) * np.sign(two) * (abs(one) // abs(two))

    return computed(divided, operands)(call)


def rounded_towards_zero(call: Call, sizes: Any) -> Any:
    """Returns an array of sizes without their fractions, as C casts to an integer.

    If the sign depends on unknown sizes, the result holds only for sizes that are large
    enough, which `Call.exceeds` records.

    Raises:
      TypeError: if the sign of a size is unknown.
    """

    def rounded(size: Size) -> Size:
        if not isinstance(size, Symbolic):
            return math.trunc(size)
        if size.is_integral:
            return size
        low = smaller(0, size)
        if low is None:
            raise TypeError("the sign depends on a size")
        sign = 1 if low == 0 else -1
        part = sign * size
        limits = bounds(part)
        if limits is not None and math.floor(limits[0]) == math.floor(limits[1]) >= 0:
            return sign * math.floor(limits[0])
        if isinstance(part, Symbolic):
            call.exceeds(part, -1)
        return sign * rounded_down(part)

    return np.vectorize(rounded, otypes=[object])(sizes)


def extreme(
    sign: int, operands: Operands = all_inputs
) -> Callable[[Call], Sequence[Value]]:
    """Returns a function for `Op.values`: the largest operand, or the smallest.

    ``sign`` is 1 for the largest and -1 for the smallest. If sizes are unknown, the
    result may hold only for large sizes, which `Call.exceeds` records.
    """

    def values(call: Call) -> Sequence[Value]:
        def chosen(one: Size, two: Size) -> Size:
            ahead = sign * (one - two)
            if not isinstance(ahead, Symbolic):
                return one if ahead >= 0 else two
            limits = bounds(ahead)
            low = smaller(0, ahead)
            if low is None or (limits and limits[0] < 0 < limits[1]):
                raise TypeError("depends on a size")
            room = ahead if low == 0 else -1 * ahead
            if isinstance(room, Symbolic):
                call.exceeds(room, -1)
            return one if low == 0 else two

        def folded(*several: Any) -> Any:
            found = several[0]
            for operand in several[1:]:
                if object in (found.dtype, operand.dtype):
                    found = np.vectorize(chosen, otypes=[object])(found, operand)
                else:
                    found = (np.maximum if sign > 0 else np.minimum)(found, operand)
            return found

        return computed(folded, operands)(call)

    return values


ELEMENTWISE = Op(
    broadcast_relations, broadcast_shapes, taps=Taps.FACTOR, is_pointwise=True
)
"""The rules of an elementwise op whose inputs broadcast against each other."""

UNARY = Op(same, first_shape, taps=Taps.ACTIVATION)
"""The rules of an elementwise op with one input."""


def rounding(direction: int) -> Callable[[Any], Any]:
    """Returns a rounding function: down if ``direction`` is 1, up if it is -1."""

    def rounded(value: Any) -> Any:
        if value.dtype != object:
            return direction * np.floor(direction * value)
        return direction * np.vectorize(rounded_down, otypes=[object])(
            direction * value
        )

    return rounded


def first_follows(call: Call, output: int) -> Relations:
    """Relates each position to itself in the first input.

    Each position also needs all elements of every other input.
    """
    return [SAME, *[ALL] * (len(call) - 1)]


FIRST = Op(first_follows, first_shape, taps=Taps.COPY, is_pointwise=True)
"""The rules of an op whose output positions follow the same position of the first
input, and need the whole of every other input."""


def _ranged(call: Call, output: int) -> Relations:
    """Relates the first output to all inputs, and the other outputs to the ranges."""
    if output == 0:
        return first_follows(call, output)
    return [None, *(call.all_of(i) for i in range(1, len(call)))]


RANGED = Op(_ranged, lambda call: [call.shape(0), (), ()], taps=Taps.COPY)
"""The rules of a quantised op.

The first input and the first output are data; all others are ranges."""


def normalised_by_batch(rank: int, channels: int) -> Relation:
    """Returns the relation to a tensor that is normalised with its own moments.

    The mean and the variance are taken over all axes except the channels.
    """
    return local([IDENTITY if axis == channels else GLOBAL for axis in range(rank)])
