"""Rules for inputs, constants, variables, shapes, fills, calls and loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receptive_field.algebra.sizes import Size, product
from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.frameworks.tflite.definitions import CONSTANT, INPUT, VARIABLE
from receptive_field.frameworks.tflite.ops.registry import like_tensorflow, register
from receptive_field.frameworks.tflite.tensors import TensorInfo
from receptive_field.relations.relation import SAME
from receptive_field.rules.op import Call, Op, Relations, Shape, Value


def _tensor(call: Call) -> TensorInfo:
    found: TensorInfo = call.attribute("tensor")
    return found


def _input_shape(call: Call) -> Sequence[Shape]:
    return [call.named_shape(_tensor(call).shape)]


def _constant_shape(call: Call) -> Sequence[Shape]:
    return [_tensor(call).stored_shape]


def _constant_numbers(call: Call) -> Sequence[Any] | None:
    try:
        return _tensor(call).numbers()
    except ValueError as error:
        call.fail(f"is malformed: {error}")


def _constant_value(call: Call) -> Sequence[Value]:
    numbers = _constant_numbers(call)
    return [None if numbers is None else _tensor(call).array(numbers)]


def _constant_weights(call: Call) -> Size:
    """Returns the number of elements of a constant that may be a weight, otherwise 0.

    Scalars, and integers that stand for themselves, are part of the computation.
    """
    tensor = _tensor(call)
    trained = tensor.is_quantised or "FLOAT" in tensor.type
    return product(tensor.stored_shape) if tensor.stored_shape and trained else 0


register(INPUT, Op(None, _input_shape))
register(
    CONSTANT,
    Op(
        None,
        _constant_shape,
        _constant_value,
        _constant_numbers,
        weights=_constant_weights,
    ),
)
# The state of a recurrent op, which is zero in the first run.
register(VARIABLE, Op(None, _constant_shape))

like_tensorflow(
    "FILL=Fill RANGE=Range RANK=Rank SHAPE=Shape ZEROS_LIKE=ZerosLike "
    "BROADCAST_ARGS=BroadcastArgs RANDOM_UNIFORM=RandomUniform "
    "RANDOM_STANDARD_NORMAL=RandomStandardNormal MULTINOMIAL=Multinomial"
)


def _without_data(call: Call) -> Sequence[Shape]:
    return [None] * max(len(call.numbers("Tout") or ()), 1)


register(
    "CALL_ONCE VAR_HANDLE ASSIGN_VARIABLE HASHTABLE HASHTABLE_IMPORT HASHTABLE_SIZE "
    "STABLEHLO_RNG_BIT_GENERATOR",
    Op(None, _without_data),
)


def _assigned(call: Call, output: int) -> Relations:
    """Returns the relation to the value that was assigned before, if there is one.

    If other subgraphs assign values, any of them may be that value.
    """
    if call.flag("elsewhere"):
        return [None, *(call.all_of(n, exact=False) for n in range(1, len(call)))]
    return [None, *[SAME] * (len(call) - 1)]


def _assigned_shape(call: Call) -> Sequence[Shape]:
    return [call.shape(1) if len(call) == 2 else None]


register("READ_VARIABLE", Op(_assigned, _assigned_shape))

# --- Subgraphs, which are inlined ----------------------------------------------------

register("CALL STABLEHLO_COMPOSITE", OPS["PartitionedCall"])
register("IF STABLEHLO_CASE", OPS["If"])
register("WHILE STABLEHLO_WHILE", OPS["While"])
like_tensorflow("Merge=Merge NextIteration=NextIteration")
