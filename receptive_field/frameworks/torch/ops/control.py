"""Rules for branches and loops, as `writing_out` writes them."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.frameworks.torch.ops.registry import place, places, register
from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import ALL_BOUND, SAME, Relation
from receptive_field.rules.control import (
    branch_shapes,
    branch_values,
    branches,
    check_carried,
    common_shape,
    merged,
    stacked_as_bound,
    unknown_slice,
)
from receptive_field.rules.elementwise import first_follows
from receptive_field.rules.op import Call, Op, Relations, Shape, Taps, Value

# --- Branches ------------------------------------------------------------------------


def _count(call: Call) -> int:
    return len(call.node.definition.kinds)


def _taken(call: Call) -> Sequence[int]:
    """Returns the branches that may be taken: only one if the condition is known."""
    value = call.value(0)
    if value is None or value.size != 1 or value.dtype.kind not in "biu":
        return range(2)
    return [0 if value.reshape(()) else 1]


def _branch(call: Call, output: int) -> Relations:
    return branches(call, _count(call), _taken(call), output)


def _branch_shapes(call: Call) -> Sequence[Shape]:
    return branch_shapes(call, _count(call), _taken(call))


def _branch_values(call: Call) -> Sequence[Value]:
    return branch_values(call, _count(call), _taken(call))


def _of_branches(call: Call) -> Sequence[Tensor]:
    count = _count(call)
    starts = (1 + branch * count for branch in _taken(call))
    return [t for start in starts for t in call.node.inputs[start : start + count]]


register(
    "higher_order.cond",
    Op(
        _branch,
        _branch_shapes,
        _branch_values,
        chooses=True,
        reads=_of_branches,
        taps=Taps.COPY,
    ),
)


# --- Loops ---------------------------------------------------------------------------


def _loop(call: Call, output: int) -> Relations:
    found: list[Relation | None] = [None] * len(call)
    condition = place(call, "condition")
    if condition is not None:
        found[condition] = call.all_of(condition)
    read = [*places(call, "variables"), *places(call, "results")]
    number = read[output]
    if number is None:
        return found
    shape = call.shape(number)
    if output < len(places(call, "variables")):
        found[number] = SAME
    elif shape is None:
        found[number] = ALL_BOUND
    else:
        found[number] = stacked_as_bound(len(shape), 0)
    return found


def _loop_shapes(call: Call) -> Sequence[Shape]:
    variables, results = places(call, "variables"), places(call, "results")
    check_carried(call, [number for number in variables if number is not None])
    shapes: list[Shape] = []
    for output, number in enumerate([*variables, *results]):
        shape = None if number is None else call.shape(number)
        if output >= len(variables) and shape is not None:
            shape = (call.unknown_size(0, output), *shape)
        shapes.append(shape)
    return shapes


register("higher_order.while_loop", Op(_loop, _loop_shapes))
register(
    "higher_order.scan higher_order.map_impl higher_order.associative_scan",
    Op(_loop, _loop_shapes),
)
register("control.next", Op(first_follows, None, is_pointwise=True, starts_over=True))


def _variable_shape(call: Call) -> Sequence[Shape]:
    return [common_shape(call, [call.shape(i) for i in range(len(call))], 0)]


register("control.variable", Op(merged, _variable_shape, chooses=True, taps=Taps.COPY))


def _slice(call: Call, output: int) -> Relations:
    """Relates a slice of an unknown iteration to the tensor that a scan runs over."""
    shape = call.shape(0)
    return [ALL_BOUND if not shape else unknown_slice(len(shape), 0)]


def _slice_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    return [shape[1:] if shape else None]


register("control.slice", Op(_slice, _slice_shape))
