"""Rules for identities, variable reads, branches and loops."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from receptive_field.algebra.sizes import Symbolic
from receptive_field.frameworks.tensorflow.attributes import stated_shape
from receptive_field.frameworks.tensorflow.ops.registry import (
    register,
    treat_zeros,
    weigh,
)
from receptive_field.frameworks.tensorflow.ops.sources import own_weights
from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import SAME
from receptive_field.rules.control import (
    EACH,
    PASS,
    branch_shapes,
    branch_values,
    branches,
    common_shape,
    merged,
    switched,
)
from receptive_field.rules.elementwise import first_follows
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
)

register(
    "Identity StopGradient PreventGradient Snapshot PlaceholderWithDefault "
    "DebugIdentity DebugIdentityV2 RefIdentity XlaSharding Print PrintV2",
    PASS,
)
register(
    "ReadVariableOp _ReadVariablesOp",
    PASS._replace(may_be_handle=False, weights=own_weights),
)


def _ensured_shape(call: Call) -> Sequence[Shape]:
    """Returns the stated shape, with the input's sizes in place of unknown sizes.

    Raises:
      GraphError: if the stated shape has another rank or size than the input.
    """
    shape, stated = call.shape(0), stated_shape(call)
    if stated is None:
        return [shape]
    if shape is None:
        return [call.named_shape(stated)]
    if len(shape) != len(stated):
        call.fail(f"states the shape {stated} for an input of rank {len(shape)}")
    for own, wanted in zip(shape, stated, strict=True):
        if isinstance(own, int) and wanted not in (None, own):
            call.fail(f"takes an axis of {wanted} positions, and not of {own}")
    return [tuple(b if a is None else a for a, b in zip(stated, shape, strict=True))]


register("EnsureShape", PASS._replace(shapes=_ensured_shape))


# The inputs of an inlined call are the results of its function.
register("IdentityN PartitionedCall", EACH)


def _branch_relations(call: Call, output: int) -> Relations:
    return branches(call, _outputs_of_branches(call), _taken(call), output)


def _outputs_of_branches(call: Call) -> int:
    return max(len(call.numbers("Tout") or ()), 1)


def _taken(call: Call) -> Sequence[int]:
    """Returns the branches that may be taken: only one if the condition is known.

    The condition of an If is a boolean. The condition of a Case is the number of a
    branch, and an invalid number selects the last branch.
    """
    count = (len(call) - 1) // _outputs_of_branches(call)
    value = call.value(0)
    if value is None or value.ndim or value.dtype.kind not in "biu":
        return range(count)
    if call.node.has("branches"):
        return [int(value) if 0 <= value < count else count - 1]
    return [0 if value else 1]


def _branch_shapes(call: Call) -> Sequence[Shape]:
    return branch_shapes(call, _outputs_of_branches(call), _taken(call))


def _branch_values(call: Call) -> Sequence[Value]:
    return branch_values(call, _outputs_of_branches(call), _taken(call))


def _of_branches(call: Call) -> Sequence[Tensor]:
    """Returns the condition and the results of the branches that may be taken."""
    count = _outputs_of_branches(call)
    starts = (1 + branch * count for branch in _taken(call))
    results = (call.node.inputs[start : start + count] for start in starts)
    return [call.node.inputs[0], *itertools.chain.from_iterable(results)]


# An inlined conditional may take any branch, unless its condition is known.
register(
    "If",
    Op(
        _branch_relations,
        _branch_shapes,
        _branch_values,
        may_be_handle=True,
        chooses=True,
        reads=_of_branches,
    ),
)


def _loop(call: Call, output: int) -> Relations:
    variables = [SAME if k == output else None for k in range(len(call) - 1)]
    return [call.all_of(0), *variables]


def _loop_shapes(call: Call) -> Sequence[Shape]:
    """Returns the shapes of the variables before the first iteration.

    For a size that is unknown at that point (for example, in a list of results), the
    size after one iteration is used.
    """
    graph = call.node.graph
    shapes = []
    for variable in call.node.inputs[1:]:
        shape = call.knowledge.shape(variable)
        if shape is None or any(isinstance(size, Symbolic) for size in shape):
            again, _ = graph.inputs[variable[0]][-1]
            later = call.knowledge.shape(graph.inputs[again][0])
            if shape is None or later is None or len(later) != len(shape):
                shape = shape or later
            else:
                pairs = zip(shape, later, strict=True)
                shape = tuple(b if isinstance(a, Symbolic) else a for a, b in pairs)
        shapes.append(shape)
    return shapes


def _rounds(call: Call) -> int | None:
    """Returns the number of iterations of a loop that counts up to a known number.

    Returns None for any other loop. The loop may also be one of TensorFlow Lite, whose
    op types are in upper case.
    """
    return _until(call, call.node.inputs[0])


def _until(call: Call, condition: Tensor) -> int | None:
    """Returns the number of iterations until a condition is false; None if unknown."""
    node = call.node.graph.nodes[_handed_on(call, condition)[0]]
    if node.op in ("LogicalAnd", "LOGICAL_AND"):
        parts = [_until(call, part) for part in node.inputs]
        known = [part for part in parts if part is not None]
        return min(known) if len(known) == len(parts) else None
    if node.op not in ("Less", "LessEqual", "LESS", "LESS_EQUAL"):
        return None
    counted, limit = node.inputs
    steps, end = _counted(call, counted), _fixed(call, limit)
    if steps is None or end is None:
        return None
    start, step = steps
    end += node.op in ("LessEqual", "LESS_EQUAL")
    return max(-((start - end) // step), 0)


def _counted(call: Call, tensor: Tensor) -> tuple[int, int] | None:
    """Returns a variable's initial value and its increment per iteration, if known."""
    variable = _handed_on(call, tensor)
    after = _after_a_round(call, variable)
    if after is None:
        return None
    start = _fixed(call, call.node.graph.inputs[variable[0]][0])
    added = call.node.graph.nodes[after[0]]
    if added.op not in ("Add", "AddV2", "ADD"):
        return None
    operands = [_handed_on(call, operand) for operand in added.inputs]
    others = [_fixed(call, operand) for operand in operands if operand != variable]
    if start is None or len(others) != 1 or others[0] is None or others[0] < 1:
        return None
    return start, others[0]


def _after_a_round(call: Call, tensor: Tensor) -> Tensor | None:
    """Returns a loop variable's value after one iteration; None for other tensors."""
    graph = call.node.graph
    if tensor not in call.node.inputs[1:]:
        return None
    again = graph.inputs[tensor[0]][-1]
    return _handed_on(call, graph.inputs[again[0]][0])


def _handed_on(call: Call, tensor: Tensor) -> Tensor:
    """Returns the tensor that a tensor is a copy of, or the tensor itself."""
    graph = call.node.graph
    while graph.op(tensor[0]) in ("Identity", "LoopCond"):
        tensor = graph.inputs[tensor[0]][0]
    return tensor


def _fixed(call: Call, tensor: Tensor) -> int | None:
    """Returns the value of a tensor that holds one known integer in all iterations.

    Returns None for any other tensor.
    """
    tensor = _handed_on(call, tensor)
    if _after_a_round(call, tensor) == tensor:
        tensor = call.node.graph.inputs[tensor[0]][0]
    numbers = call.knowledge.integers(tensor)
    known = numbers is not None and len(numbers) == 1 and isinstance(numbers[0], int)
    return numbers[0] if known else None  # type: ignore[index,return-value]


# The inputs of an inlined loop are its condition and then its variables.
register(
    "While",
    Op(_loop, _loop_shapes, may_be_handle=True, rounds=_rounds),
)
register("Enter RefEnter Exit RefExit LoopCond", PASS)
# Inferring the shape of NextIteration would never leave the loop. The Merge at the
# start of the loop uses the initial shape instead.
register(
    "NextIteration RefNextIteration",
    Op(
        first_follows,
        None,
        may_be_handle=True,
        is_pointwise=True,
        starts_over=True,
    ),
)


def _switch_shape(call: Call) -> Sequence[Shape]:
    return [call.shape(0)] * 2


register(
    "Switch RefSwitch", Op(switched, _switch_shape, may_be_handle=True, condition=1)
)


def _merge_shape(call: Call) -> Sequence[Shape]:
    return [common_shape(call, [call.shape(i) for i in range(len(call))], 0), ()]


register("Merge RefMerge", Op(merged, _merge_shape, may_be_handle=True, chooses=True))

weigh(
    "Identity StopGradient PreventGradient Snapshot PlaceholderWithDefault "
    "DebugIdentity DebugIdentityV2 RefIdentity XlaSharding Print PrintV2 EnsureShape "
    "IdentityN PartitionedCall If Switch RefSwitch Merge RefMerge",
    Taps.COPY,
)
treat_zeros(
    "Identity StopGradient PreventGradient Snapshot PlaceholderWithDefault "
    "DebugIdentity DebugIdentityV2 RefIdentity XlaSharding Print PrintV2 EnsureShape "
    "IdentityN PartitionedCall",
    Zeros.KEPT,
)
