"""Rules for products of matrices, reductions and running sums."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.sizes import Size, divides, product
from receptive_field.frameworks.tflite.ops.registry import like_tensorflow, register
from receptive_field.frameworks.tflite.ops.windows import zeros_of_bias
from receptive_field.relations.relation import ALL, FULL, Relation, follow, through
from receptive_field.rules.flops import multiply_adds, output_elements
from receptive_field.rules.op import Call, Flops, Op, Relations, Shape, Taps
from receptive_field.rules.reshaping import reshape_relation

like_tensorflow(
    "ARG_MAX=ArgMax ARG_MIN=ArgMin BATCH_MATMUL=BatchMatMulV2 CUMSUM=Cumsum MEAN=Mean "
    "REDUCE_ALL=All REDUCE_ANY=Any REDUCE_MAX=Max REDUCE_MIN=Min REDUCE_PROD=Prod "
    "RFFT2D=RFFT2D SUM=Sum"
)


def _weights(call: Call) -> tuple[Size, Size]:
    """Returns the numbers of output and input channels."""
    outer, inner = call.known_shape(1, 2)
    return outer, inner


def _rows(call: Call) -> tuple[Size, ...] | None:
    """Returns the shape in which the input is multiplied, or None if it is unknown.

    All but the last axis are rows. If the last axis does not fit the weights, or the op
    does not keep the axes, the input is reshaped to rows that fit.
    """
    shape = call.shape(0)
    if shape is None:
        return None
    _, inner = _weights(call)
    if shape and shape[-1] == inner and (call.flag("keep_num_dims") or len(shape) == 2):
        return shape
    count = divides(inner, product(shape))
    return (call.unknown_size(0) if count is None else count, inner)


def _connected(call: Call, output: int) -> Relations:
    rows, rest = _rows(call), [ALL] * (len(call) - 1)
    if rows is None:
        return [call.all_of(0, exact=False), *rest]
    last = len(rows) - 1
    made = frozenset({last})
    multiplied = Relation((*map(follow, range(last)), FULL), channels=made)
    reshaped = reshape_relation(call.known_shape(0), rows)
    found = multiplied if call.shape(0) == rows else through(multiplied, reshaped)
    return [call.all_of(0, exact=False) if found is None else found, *rest]


def _connected_shape(call: Call) -> Sequence[Shape]:
    rows = _rows(call)
    return [None if rows is None else (*rows[:-1], _weights(call)[0])]


def _connected_flops(call: Call) -> Flops:
    number = output_elements(call)
    added = max(len(call) - 2, 0) * number
    return multiply_adds(_weights(call)[1] * number, profiled=False).plus(added)


register(
    "FULLY_CONNECTED",
    Op(
        _connected,
        _connected_shape,
        products=lambda call: _weights(call)[1],
        flops=_connected_flops,
        taps=Taps.WEIGHTS,
        zeros=zeros_of_bias(2),  # type: ignore[arg-type]
    ),
)
