"""What passes values on does: identities, branches, switches and merges."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.relations.relation import ALL_BOUND, SAME
from receptive_field.rules.elementwise import first_follows
from receptive_field.rules.masks import chosen
from receptive_field.rules.op import Call, Op, Relations, Shape, Value, first_shape


def _same_value(call: Call) -> Sequence[Value]:
    return [call.value(0)]


PASS = Op(first_follows, first_shape, _same_value, may_be_handle=True)
"""The first input, as it is."""


def _each_shape(call: Call) -> Sequence[Shape]:
    return [call.shape(i) for i in range(len(call))]


def _each(call: Call, output: int) -> Relations:
    return [SAME if i == output else None for i in range(len(call))]


def _each_value(call: Call) -> Sequence[Value]:
    return [call.value(i) for i in range(len(call))]


EACH = Op(_each, _each_shape, _each_value, may_be_handle=True)
"""Each output is the input of its number."""


# --- Branches ------------------------------------------------------------------------


def branches(call: Call, count: int, taken: Sequence[int], output: int) -> Relations:
    """The condition, then as many results per branch as there are outputs.

    A condition that depends on the input, or is drawn at random, may choose any branch.
    Of any other it is not known which one is taken: unless all see the same, what they
    see is a bound.

    Args:
      call: the op.
      count: how many outputs it has.
      taken: the branches that may be taken.
      output: the number of the output.
    """
    first, *others = (1 + branch * count + output for branch in taken)
    is_open = call.carries(0) or call.is_drawn(0)
    alike = is_open or all(call.is_alike(first, other) for other in others)
    shape, result = call.output_shape(output), SAME
    if not alike:
        result = ALL_BOUND if shape is None else chosen(SAME, len(shape), None)
    results = [
        result if number in (first, *others) else None for number in range(1, len(call))
    ]
    return [call.all_of(0), *results]


def branch_shapes(call: Call, count: int, taken: Sequence[int]) -> list[Shape]:
    """What the results of the branches that may be taken have in common."""
    return [
        common_shape(call, [call.shape(1 + b * count + k) for b in taken], k)
        for k in range(count)
    ]


def branch_values(call: Call, count: int, taken: Sequence[int]) -> list[Value]:
    """The values of the only branch that may be taken."""
    if len(taken) > 1:
        return [None] * count
    return [call.value(1 + taken[0] * count + k) for k in range(count)]


def switched(call: Call, output: int) -> Relations:
    """What it hands on by the side that a known condition does not take, is nothing."""
    value = call.value(1)
    if value is not None and not value.ndim and bool(value) != bool(output):
        return [None] * len(call)
    return first_follows(call, output)


def merged(call: Call, output: int) -> Relations:
    """Any of the inputs, whichever arrives first."""
    if output == 1:  # Which of the inputs arrived.
        return [call.all_of(i) for i in range(len(call))]
    return [SAME] * len(call)


def common_shape(call: Call, shapes: Sequence[Shape], output: int) -> Shape:
    """What tensors of these shapes have in common."""
    known = [shape for shape in shapes if shape is not None]
    if not known or any(len(shape) != len(known[0]) for shape in known):
        return None
    return tuple(
        sizes[0] if len(set(sizes)) == 1 else call.unknown_size(axis, output)
        for axis, sizes in enumerate(zip(*known, strict=True))
    )
