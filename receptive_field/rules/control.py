"""What passes values on does: identities, branches, switches and merges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import ALL_BOUND, SAME, Relation
from receptive_field.rules.elementwise import first_follows
from receptive_field.rules.masks import chosen
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Value,
    first_shape,
    rule_at,
)


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
    is_open = call.varies(call.input(0))
    alike = is_open or all(call.is_alike(first, other) for other in others)
    result = SAME if alike else _any_of(call, output)
    results = [
        result if number in (first, *others) else None for number in range(1, len(call))
    ]
    return [call.all_of(0), *results]


def _any_of(call: Call, output: int) -> Relation:
    """The relation to one of several tensors that may be this output."""
    shape = call.output_shape(output)
    return ALL_BOUND if shape is None else chosen(SAME, len(shape), None)


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
    """The input that arrives, of which a condition further down decides.

    As in `branches`, it is a bound if the condition is not known, but cannot vary.
    """
    numbers = range(len(call))
    if output == 1:  # Which of the inputs arrived.
        return [call.all_of(i) for i in numbers]
    is_open = all(
        call.varies(condition) or call.knowledge.value(condition) is not None
        for condition in _conditions(call)
    )
    alike = is_open or all(call.is_alike(0, i) for i in numbers[1:])
    return [SAME if alike else _any_of(call, 0)] * len(call)


def _conditions(call: Call) -> Iterator[Tensor]:
    """Yields the conditions of the nearest switches below a node."""
    graph = call.node.graph
    waiting = [index for index, _ in call.node.inputs]
    if any(_starts_over(rule_at(graph, index)) for index in waiting):
        return  # The next round of a loop arrives after the first one.
    seen = set[int]()
    while waiting:
        index = waiting.pop()
        if index not in seen:
            seen.add(index)
            op, inputs = rule_at(graph, index), graph.inputs[index]
            if op is not None and op.condition is not None:
                yield inputs[op.condition]
            else:
                waiting += [below for below, _ in inputs]


def _starts_over(op: Op | None) -> bool:
    return op is not None and op.starts_over


def common_shape(call: Call, shapes: Sequence[Shape], output: int) -> Shape:
    """What tensors of these shapes have in common."""
    known = [shape for shape in shapes if shape is not None]
    if not known or any(len(shape) != len(known[0]) for shape in known):
        return None
    return tuple(
        sizes[0] if len(set(sizes)) == 1 else call.unknown_size(axis, output)
        for axis, sizes in enumerate(zip(*known, strict=True))
    )
