"""Rules for constants, variables, placeholders, shapes and fills.

Most of these rules have no relations, so paths end at these ops. Only the outputs of
Range and Fill depend on the values of their inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from receptive_field.algebra.sizes import Size, Symbolic, product
from receptive_field.arrays import np
from receptive_field.frameworks.tensorflow.attributes import (
    LARGEST_VALUE,
    StatedTensor,
    stated_shape,
)
from receptive_field.frameworks.tensorflow.ops.drawing import stated_by_input
from receptive_field.frameworks.tensorflow.ops.registry import register
from receptive_field.rules.op import (
    Call,
    Op,
    Shape,
    Value,
    first_shape,
    scalar,
)

TRAINED_TYPES = frozenset({1, 2, 8, 11, 12, 13, 14, 15, 16, 18, 19})
"""The numbers of the floating-point, complex and quantised DataTypes."""


def _declared(call: Call) -> Sequence[Shape]:
    return [call.named_shape(stated_shape(call))]


def _placeholder(call: Call) -> Sequence[Shape]:
    # The oldest TensorFlow versions wrote an unknown shape as a shape without axes.
    shape = stated_shape(call)
    return [call.named_shape(shape) if shape else None]


def _constant_shape(call: Call) -> Sequence[Shape]:
    return [_constant(call).shape]


def _constant(call: Call) -> StatedTensor:
    found = call.node.attribute("value")
    if not isinstance(found, StatedTensor):
        call.fail("has no value")
    return found


def _constant_numbers(call: Call) -> Sequence[Any] | None:
    try:
        return _constant(call).numbers()
    except ValueError as error:
        call.fail(f"is malformed: {error}")


def _constant_value(call: Call) -> Sequence[Value]:
    numbers = _constant_numbers(call)
    return [None if numbers is None else _constant(call).array(numbers)]


def own_weights(call: Call) -> Size:
    """Returns the number of elements in the output.

    Integers are counted as weights, because quantised kernels are integers.
    """
    shape = call.output_shape()
    if shape is None:
        call.fail(
            "has an unknown shape, so its parameters cannot be counted. Save the "
            "graph with shapes (as_graph_def(add_shapes=True))"
        )
    return product(shape)


def _constant_weights(call: Call) -> Size:
    """Returns the number of elements of a constant that may be a weight, otherwise 0.

    Scalars and integers are taken to be part of the computation.
    """
    shape = call.output_shape()
    trained = call.number("dtype", 1) in TRAINED_TYPES
    return own_weights(call) if shape and trained else 0


register(
    "Const HostConst",
    Op(
        None,
        _constant_shape,
        _constant_value,
        _constant_numbers,
        weights=_constant_weights,
    ),
)
register("Placeholder", Op(None, _placeholder))
register("PlaceholderV2 ImmutableConst", Op(None, _declared))
# A handle is given the shape of its variable.
register(
    "Variable VariableV2 VarHandleOp TemporaryVariable _VarHandlesOp",
    Op(None, _declared, weights=own_weights, may_be_handle=True),
)


register("Empty", Op(None, stated_by_input))
register("NoOp", Op(None, lambda call: [None] * 3))


def _sizes(shape: Sequence[Size]) -> Value:
    dtype = object if any(isinstance(s, Symbolic) for s in shape) else np.int64
    return np.array(shape, dtype=dtype)


def _shape_values(call: Call) -> Sequence[Value]:
    shapes = [call.shape(i) for i in range(len(call))]
    return [None if shape is None else _sizes(shape) for shape in shapes]


def _shape_shapes(call: Call) -> Sequence[Shape]:
    shapes = [call.shape(i) for i in range(len(call))]
    return [None if shape is None else (len(shape),) for shape in shapes]


register(
    "Shape ShapeN",
    Op(None, _shape_shapes, _shape_values, values_need_shapes=True),
)


def _rank_value(call: Call) -> Sequence[Value]:
    shape = call.shape(0)
    return [None if shape is None else np.array(len(shape))]


def _size_value(call: Call) -> Sequence[Value]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    size = product(shape)
    return [np.array(size, dtype=object if isinstance(size, Symbolic) else np.int64)]


register("Rank", Op(None, scalar, _rank_value, values_need_shapes=True))
register("Size", Op(None, scalar, _size_value, values_need_shapes=True))


def _like(number: int) -> Any:
    def values(call: Call) -> Sequence[Value]:
        shape = call.shape(0)
        if shape is None or not all(isinstance(s, int) for s in shape):
            return [None]
        sizes = [int(s) for s in shape]  # type: ignore[arg-type]
        return [None if math.prod(sizes) > LARGEST_VALUE else np.full(sizes, number)]

    return values


register("ZerosLike", Op(None, first_shape, _like(0), values_need_shapes=True))
register("OnesLike", Op(None, first_shape, _like(1), values_need_shapes=True))


def _range_value(call: Call) -> Sequence[Value]:
    limits = [call.integers(i) for i in range(3)]
    numbers = [v[0] for v in limits if v and isinstance(v[0], (int, float))]
    if len(numbers) < 3 or numbers[2] == 0:
        return [None]
    length = abs((numbers[1] - numbers[0]) / numbers[2])
    return [np.arange(*numbers) if length <= LARGEST_VALUE else None]


def _range_shape(call: Call) -> Sequence[Shape]:
    (value,) = _range_value(call)
    return [(call.unknown_size(0) if value is None else len(value),)]


register(
    "Range",
    Op(
        lambda call, output: [call.all_of(i) for i in range(len(call))],
        _range_shape,
        _range_value,
    ),
)


def _fill_value(call: Call) -> Sequence[Value]:
    sizes, value = call.integers(0), call.value(1)
    if sizes is None or value is None or not all(isinstance(s, int) for s in sizes):
        return [None]
    shape = [int(s) for s in sizes]  # type: ignore[arg-type]
    return [None if math.prod(shape) > LARGEST_VALUE else np.full(shape, value)]


register(
    "Fill",
    Op(lambda call, output: [None, call.all_of(1)], stated_by_input, _fill_value),
)
