"""Rules for identities, branches and loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from receptive_field.frameworks.onnx.definitions import ABSENT_INPUT
from receptive_field.frameworks.onnx.ops.registry import register, treat_zeros, weigh
from receptive_field.graph.graph import Graph, Tensor
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


def _rounds(call: Call) -> int | None:
    """Returns the number of iterations of a loop or scan, or None if it is unknown."""
    if call.node.op == "Scan":
        return _length(call)
    first = _outer(call, 1)
    starts = None if first is None else call.knowledge.value(first)
    if starts is not None and starts.size == 1 and not starts.any():
        return 0
    if not (_is_true(call, first) and _stays_true(call)):
        return None
    most = _outer(call, 0)
    numbers = None if most is None else call.knowledge.integers(most)
    if numbers is None or len(numbers) != 1 or not isinstance(numbers[0], int):
        return None
    return max(numbers[0], 0)


def _outer(call: Call, number: int) -> Tensor | None:
    """Returns an input of the node of the model; None if it is not given."""
    names = call.node.definition.input
    name = names[number] if number < len(names) else ""
    graph = call.node.graph
    found = graph.framework.resolve(graph, name, call.node.frame) if name else None
    return None if found is None or graph.op(found[0]) == ABSENT_INPUT else found


def _length(call: Call) -> int | None:
    """Returns the length of the axis that a scan runs over."""
    scanned = _outer(call, _variables(call))
    shape = None if scanned is None else call.knowledge.shape(scanned)
    if shape is None:
        return None
    axes = call.numbers("scan_input_axes") or [0]
    size = shape[call.axis(axes[0], len(shape))]
    return size if isinstance(size, int) else None


def _is_true(call: Call, tensor: Tensor | None) -> bool:
    """Returns whether a condition is true, as it is if it is not given."""
    value = None if tensor is None else call.knowledge.value(tensor)
    return tensor is None or (value is not None and value.size == 1 and bool(value))


def _stays_true(call: Call) -> bool:
    """Returns whether the condition is true after each iteration."""
    graph = call.node.graph
    after = _copied(graph, call.input(0))
    if graph.op(after[0]) != "Merge":
        return _is_true(call, after)
    start, (again, _) = graph.inputs[after[0]]
    is_kept = _copied(graph, graph.inputs[again][0]) == after
    given = None if graph.op(start[0]) == ABSENT_INPUT else start
    return is_kept and _is_true(call, given)


def _copied(graph: Graph, tensor: Tensor) -> Tensor:
    """Returns the tensor that a tensor is a copy of, or the tensor itself."""
    while graph.op(tensor[0]) == "Identity":
        tensor = graph.inputs[tensor[0]][0]
    return tensor


register("Loop Scan", Op(_loop, _loop_shapes, rounds=_rounds))
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
