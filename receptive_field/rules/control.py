"""Ops that pass values on unchanged: identities, branches, switches and merges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from receptive_field.algebra.axis_map import ANYWHERE, IDENTITY
from receptive_field.algebra.sizes import Size
from receptive_field.graph.graph import Tensor, nodes_below
from receptive_field.relations.relation import (
    ALL_BOUND,
    SAME,
    Relation,
    follow,
    whole,
)
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


PASS = Op(
    first_follows, first_shape, _same_value, may_be_handle=True, is_pointwise=True
)
"""The rules of an op that returns its first input unchanged."""


def _each_shape(call: Call) -> Sequence[Shape]:
    return [call.shape(i) for i in range(len(call))]


def _each(call: Call, output: int) -> Relations:
    return [SAME if i == output else None for i in range(len(call))]


def _each_value(call: Call) -> Sequence[Value]:
    return [call.value(i) for i in range(len(call))]


EACH = Op(_each, _each_shape, _each_value, may_be_handle=True)
"""The rules of an op that returns all of its inputs unchanged."""


# --- Branches ------------------------------------------------------------------------


def branches(call: Call, count: int, taken: Sequence[int], output: int) -> Relations:
    """Returns the relations of an output to the condition and the branches' results.

    Each branch has one result per output. A condition that depends on the input, or is
    drawn at random, may choose any branch. Any other condition always chooses the same
    branch, but it is not known which. The relations are then upper bounds, unless all
    branches see the same positions.

    Args:
      call: the op, whose inputs are the condition and the results of each branch.
      count: the number of outputs.
      taken: the numbers of the branches that may be taken.
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
    """Returns the relation to a tensor that may or may not become this output."""
    shape = call.output_shape(output)
    return ALL_BOUND if shape is None else chosen(SAME, len(shape), None)


def branch_shapes(call: Call, count: int, taken: Sequence[int]) -> list[Shape]:
    """Returns the shape of each output, as far as all possible branches agree on it."""
    return [
        common_shape(call, [call.shape(1 + b * count + k) for b in taken], k)
        for k in range(count)
    ]


def branch_values(call: Call, count: int, taken: Sequence[int]) -> list[Value]:
    """Returns the constant values of the outputs, as far as they are known.

    They are known only if a single branch may be taken.
    """
    if len(taken) > 1:
        return [None] * count
    return [call.value(1 + taken[0] * count + k) for k in range(count)]


def switched(call: Call, output: int) -> Relations:
    """Returns the relations of an output of a switch.

    If the condition is known to select the other output, this output depends on
    nothing.
    """
    value = call.value(1)
    if value is not None and not value.ndim and bool(value) != bool(output):
        return [None] * len(call)
    return first_follows(call, output)


def merged(call: Call, output: int) -> Relations:
    """Returns the relations of a merge, which passes on the input that arrives.

    The condition of a switch further down decides which input arrives. As in
    `branches`, the relations are exact only if the condition varies or its value is
    known, or if all inputs see the same positions.
    """
    numbers = range(len(call))
    if output == 1:  # The index of the input that arrived.
        return [call.all_of(i) for i in numbers]
    is_open = all(
        call.varies(condition) or call.knowledge.value(condition) is not None
        for condition in _conditions(call)
    )
    alike = is_open or all(call.is_alike(0, i) for i in numbers[1:])
    return [SAME if alike else _any_of(call, 0)] * len(call)


def _conditions(call: Call) -> Iterator[Tensor]:
    """Yields the conditions of the nearest switches below a node.

    Yields nothing for the merge at the start of a loop.
    """
    graph = call.node.graph
    starts = [index for index, _ in call.node.inputs]
    if any(_starts_over(rule_at(graph, index)) for index in starts):
        return  # The inputs of a loop's merge all arrive, one iteration after another.

    def condition(index: int) -> int | None:
        op = rule_at(graph, index)
        return None if op is None else op.condition

    for index in nodes_below(graph, starts, lambda i: condition(i) is None):
        number = condition(index)
        # The rule of a switch without its condition fails by itself.
        if number is not None and number < len(graph.inputs[index]):
            yield graph.inputs[index][number]


def _starts_over(op: Op | None) -> bool:
    return op is not None and op.starts_over


def common_shape(call: Call, shapes: Sequence[Shape], output: int) -> Shape:
    """Returns the shape that the known shapes have in common.

    Sizes that differ become new symbols. Returns None if no shape is known or the ranks
    differ.
    """
    known = [shape for shape in shapes if shape is not None]
    if not known or any(len(shape) != len(known[0]) for shape in known):
        return None
    return tuple(
        sizes[0] if len(set(sizes)) == 1 else call.unknown_size(axis, output)
        for axis, sizes in enumerate(zip(*known, strict=True))
    )


def stacked_as_bound(rank: int, axis: int) -> Relation:
    """Returns the relation to a result of one iteration, of which there are several.

    It is an upper bound, because each position sees only one iteration.

    Args:
      rank: the rank of the result of one iteration.
      axis: the axis along which the results are stacked.
    """
    place = axis % (rank + 1)
    above = (a + (a >= place) for a in range(rank))
    return Relation(tuple(follow(a, IDENTITY.as_bound()) for a in above))


def unknown_slice(rank: int, axis: int) -> Relation:
    """Returns the relation of a slice of an unknown iteration to what is sliced.

    Args:
      rank: the rank of the tensor that is sliced.
      axis: the axis along which it is.
    """
    axes = [follow(a - (a > axis)) for a in range(rank)]
    axes[axis] = whole([], ANYWHERE)
    return Relation(tuple(axes))


def check_carried(call: Call, numbers: Iterable[int]) -> None:
    """Checks that the variables of a loop keep their sizes.

    Args:
      call: the loop.
      numbers: the numbers of its variables, each of which last reads its next value.

    Raises:
      GraphError: if a variable has another size after an iteration.
    """
    graph = call.node.graph
    for number in numbers:
        shape = call.shape(number)
        reads = graph.inputs[call.input(number)[0]]
        again, _ = reads[-1] if reads else (None, 0)
        below = () if again is None else graph.inputs[again]
        later = call.knowledge.shape(below[0]) if below else None
        if shape is not None and later is not None and _differ(shape, later):
            call.fail(
                f"carries a value of shape {shape}, which has the shape {later} after "
                "an iteration. Loops that change sizes cannot be analysed"
            )


def _differ(one: Sequence[Size], two: Sequence[Size]) -> bool:
    """Returns whether two shapes are known to differ."""
    if len(one) != len(two):
        return True
    differences = (a - b for a, b in zip(one, two, strict=True))
    return any(isinstance(d, int) and d for d in differences)
