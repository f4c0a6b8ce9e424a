"""Rules for identities, branches and loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from receptive_field.frameworks.onnx.ops.registry import register, treat_zeros, weigh
from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import ALL_BOUND, SAME, Relation
from receptive_field.rules.control import (
    PASS,
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
from receptive_field.rules.op import Call, Op, Relations, Shape, Taps, Value, Zeros

register("Identity", PASS)


# --- Branches ------------------------------------------------------------------------


def _count(call: Call) -> int:
    return len(call.node.definition.outputs)


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
    """Returns the condition and the results of the branches that may be taken."""
    count = _count(call)
    starts = (1 + branch * count for branch in _taken(call))
    results = (call.node.inputs[start : start + count] for start in starts)
    return [call.node.inputs[0], *itertools.chain.from_iterable(results)]


register(
    "If",
    Op(_branch, _branch_shapes, _branch_values, chooses=True, reads=_of_branches),
)


# --- Loops ---------------------------------------------------------------------------

# The inputs of a loop that is written out are its condition, its variables, and the
# results of one iteration that are stacked along a new axis.


def _variables(call: Call) -> int:
    """Returns how many values a loop carries."""
    message = call.node.definition.message
    if call.node.op == "Scan":
        return len(message.input) - call.number("num_scan_inputs")
    return max(len(message.input) - 2, 0)


def _axis_of_stack(call: Call, output: int) -> int:
    stacked = output - _variables(call)
    axes = call.numbers("scan_output_axes") or []
    return axes[stacked] if 0 <= stacked < len(axes) else 0


def _loop(call: Call, output: int) -> Relations:
    found: list[Relation | None] = [None] * (len(call) - 1)
    if output < _variables(call):
        found[output] = SAME
    else:
        shape = call.shape(1 + output)
        found[output] = (
            ALL_BOUND
            if shape is None
            else stacked_as_bound(len(shape), _axis_of_stack(call, output))
        )
    return [call.all_of(0), *found]


def _loop_shapes(call: Call) -> Sequence[Shape]:
    """Returns the shapes of the variables before the first iteration.

    Raises:
      GraphError: if a variable has another size after an iteration.
    """
    check_carried(call, range(1, 1 + _variables(call)))
    shapes: list[Shape] = []
    for output in range(len(call) - 1):
        shape = call.shape(1 + output)
        if output >= _variables(call) and shape is not None:
            axis = _axis_of_stack(call, output) % (len(shape) + 1)
            size = call.unknown_size(axis, output)
            shape = (*shape[:axis], size, *shape[axis:])
        shapes.append(shape)
    return shapes


register("Loop Scan", Op(_loop, _loop_shapes))
register("NextIteration", Op(first_follows, None, is_pointwise=True, starts_over=True))


def _merge_shape(call: Call) -> Sequence[Shape]:
    return [common_shape(call, [call.shape(i) for i in range(len(call))], 0)]


register("Merge", Op(merged, _merge_shape, chooses=True))


def _slice(call: Call, output: int) -> Relations:
    """Relates a slice of an unknown iteration to the tensor that a scan runs over."""
    shape = call.shape(0)
    if shape is None:
        return [ALL_BOUND]
    axis = call.axis(call.number("axis"), len(shape))
    return [unknown_slice(len(shape), axis)]


def _slice_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    axis = call.axis(call.number("axis"), len(shape))
    return [(*shape[:axis], *shape[axis + 1 :])]


register("ScanSlice", Op(_slice, _slice_shape))

weigh("Identity If Merge", Taps.COPY)
treat_zeros("Identity", Zeros.KEPT)
