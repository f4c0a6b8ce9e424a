"""Ops that pass values on: identities, variable reads, TF1's switch and merge."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.graph.axes import SAME
from receptive_field.ops.registry import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    first_shape,
    register,
    unknown_shape,
    weigh,
)
from receptive_field.ops.sources import named_shape, own_weights


def _same_value(call: Call) -> Sequence[Value]:
    return [call.value(0)]


def _first(call: Call, output: int) -> Relations:
    return [SAME, *(call.all_of(i) for i in range(1, len(call)))]


PASS = Op(_first, first_shape, _same_value, may_be_handle=True)

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
    """What is known of either, as the op fails if they differ."""
    shape, stated = call.shape(0), call.stated_shape()
    if stated is None:
        return [shape]
    if shape is None:
        return [named_shape(call, stated)]
    if len(shape) != len(stated):
        call.fail(f"states the shape {stated} of an input of rank {len(shape)}")
    return [tuple(b if a is None else a for a, b in zip(stated, shape, strict=True))]


register("EnsureShape", PASS._replace(shapes=_ensured_shape))


def _each_shape(call: Call) -> Sequence[Shape]:
    return [call.shape(i) for i in range(len(call))]


def _each(call: Call, output: int) -> Relations:
    return [SAME if i == output else None for i in range(len(call))]


def _each_value(call: Call) -> Sequence[Value]:
    return [call.value(i) for i in range(len(call))]


EACH = Op(_each, _each_shape, _each_value, may_be_handle=True)
# A call that is written out reads what its function returns.
register("IdentityN PartitionedCall", EACH)


def _condition_first(call: Call, output: int) -> Relations:
    """The condition, then as many results per branch as there are outputs."""
    count = _outputs_of_branches(call)
    results = [
        SAME if number % count == output else None for number in range(len(call) - 1)
    ]
    return [call.all_of(0), *results]


def _outputs_of_branches(call: Call) -> int:
    return max(len(call.numbers("Tout") or ()), 1)


def _branch_shapes(call: Call) -> Sequence[Shape]:
    count = _outputs_of_branches(call)
    shapes = [call.shape(number) for number in range(1, len(call))]
    return [_common(call, shapes[k::count], k) for k in range(count)]


# Branches that are written out: any of them may be taken.
register("If", Op(_condition_first, _branch_shapes, may_be_handle=True))


def _loop(call: Call, output: int) -> Relations:
    variables = [SAME if k == output else None for k in range(len(call) - 1)]
    return [call.all_of(0), *variables]


# A loop that is written out: the condition, then the variables as they are at its end.
register(
    "While", Op(_loop, lambda call: list(_each_shape(call))[1:], may_be_handle=True)
)
register("Enter RefEnter Exit RefExit LoopCond", PASS)
# What comes round again is known only by what it was at first.
register(
    "NextIteration RefNextIteration",
    Op(_first, unknown_shape, may_be_handle=True, starts_over=True),
)


def _switch_shape(call: Call) -> Sequence[Shape]:
    return [call.shape(0)] * 2


register("Switch RefSwitch", Op(_first, _switch_shape, may_be_handle=True))


def _merge(call: Call, output: int) -> Relations:
    if output == 1:  # Which of the inputs arrived.
        return [call.all_of(i) for i in range(len(call))]
    return [SAME] * len(call)


def _merge_shape(call: Call) -> Sequence[Shape]:
    return [_common(call, [call.shape(i) for i in range(len(call))], 0), ()]


def _common(call: Call, shapes: Sequence[Shape], output: int) -> Shape:
    """What tensors of these shapes have in common."""
    known = [shape for shape in shapes if shape is not None]
    if not known or any(len(shape) != len(known[0]) for shape in known):
        return None
    return tuple(
        sizes[0] if len(set(sizes)) == 1 else call.unknown_size(axis, output)
        for axis, sizes in enumerate(zip(*known, strict=True))
    )


register("Merge RefMerge", Op(_merge, _merge_shape, may_be_handle=True))

weigh(
    "Identity StopGradient PreventGradient Snapshot PlaceholderWithDefault "
    "DebugIdentity DebugIdentityV2 RefIdentity XlaSharding Print PrintV2 EnsureShape "
    "IdentityN PartitionedCall If Switch RefSwitch Merge RefMerge",
    Taps.COPY,
)
