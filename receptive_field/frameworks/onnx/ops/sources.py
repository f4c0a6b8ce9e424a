"""Rules for inputs, constants, shapes and random numbers.

Paths end at these ops. Only the outputs of Range depend on the values of its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from receptive_field.algebra.sizes import (
    Size,
    Symbolic,
    ceiling_division,
    product,
    unknown,
)
from receptive_field.arrays import np
from receptive_field.frameworks.onnx.attributes import (
    StatedTensor,
    sizes_of,
)
from receptive_field.frameworks.onnx.limits import FLOATING, LARGEST_VALUE
from receptive_field.frameworks.onnx.ops.registry import register
from receptive_field.rules.op import Call, Op, Shape, Value, first_shape, scalar


def _input(call: Call) -> Sequence[Shape]:
    """Returns the stated shape. Unknown sizes of one name are equal."""
    sizes = sizes_of(call.node.definition.message.type)
    if sizes is None:
        return [None]
    return [
        tuple(
            unknown(size)
            if isinstance(size, str)
            else call.unknown_size(axis)
            if size is None
            else size
            for axis, size in enumerate(sizes)
        )
    ]


register("Input", Op(None, _input))
register("Absent Iteration", Op(None, scalar))


# --- Constants -----------------------------------------------------------------------


def _stated(call: Call) -> StatedTensor | None:
    """Returns the tensor of a constant; None if the constant is sparse or text."""
    message = call.node.definition.message
    if call.node.op == "Initializer":
        return StatedTensor(message) if hasattr(message, "data_type") else None
    value = call.attribute("value")
    return value if isinstance(value, StatedTensor) else None


_PLAIN = {
    "value_float": "float32",
    "value_floats": "float32",
    "value_int": "int64",
    "value_ints": "int64",
}


def _constant_shape(call: Call) -> Sequence[Shape]:
    tensor = _stated(call)
    if tensor is not None:
        return [tensor.shape]
    sparse = call.node.definition.message
    if call.node.op != "Initializer":
        sparse = call.attribute("sparse_value")
        for name in (*_PLAIN, "value_string", "value_strings"):
            value = call.attribute(name)
            if value is not None:
                return [(len(value),) if isinstance(value, list) else ()]
    if sparse is None:
        call.fail("has no value")
    return [tuple(sparse.dims)]


def _constant_numbers(call: Call) -> Sequence[Any] | None:
    tensor = _stated(call)
    if tensor is None:
        for name in _PLAIN:
            value = call.attribute(name)
            if value is not None:
                return value if isinstance(value, list) else [value]
        return None
    try:
        return tensor.numbers()
    except ValueError as error:
        call.fail(f"is malformed: {error}")


def _constant_value(call: Call) -> Sequence[Value]:
    numbers, tensor = _constant_numbers(call), _stated(call)
    if numbers is None:
        return [None]
    if tensor is not None:
        return [tensor.array(numbers)]
    kind = next(_PLAIN[name] for name in _PLAIN if call.node.has(name))
    (shape,) = _constant_shape(call)
    return [np.array(numbers, dtype=kind).reshape(shape)]


def own_weights(call: Call) -> Size:
    """Returns the number of elements of a constant that may be a weight, otherwise 0.

    Scalars and integers are taken to be part of the computation, unless a quantised
    layer reads them (see `Op.weights` of such layers).
    """
    tensor, (shape,) = _stated(call), _constant_shape(call)
    trained = tensor is None or tensor.data_type in FLOATING
    return product(shape) if shape and trained else 0


register(
    "Initializer Constant",
    Op(None, _constant_shape, _constant_value, _constant_numbers, weights=own_weights),
)


def _filled(call: Call) -> Sequence[Shape]:
    sizes, length = call.integers(0), call.shape(0)
    if sizes is not None:
        return [tuple(sizes)]
    return [call.unknown_shape(length)]


def _filled_value(call: Call) -> Sequence[Value]:
    (shape,) = _filled(call)
    stated = call.attribute("value")
    if shape is None or not all(isinstance(size, int) for size in shape):
        return [None]
    sizes = [int(size) for size in shape]  # type: ignore[arg-type]
    if math.prod(sizes) > LARGEST_VALUE:
        return [None]
    if not isinstance(stated, StatedTensor):
        return [np.zeros(sizes, dtype=np.float32)]
    numbers = stated.numbers()
    if numbers is None:
        return [None]
    return [np.broadcast_to(stated.array(numbers).reshape(-1)[:1], sizes)]


register("ConstantOfShape", Op(None, _filled, _filled_value))


# --- Shapes --------------------------------------------------------------------------


def _shape_value(call: Call) -> Sequence[Value]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    start, end = call.number("start", 0), call.attribute("end")
    part = shape[slice(start, end)]
    symbolic = any(isinstance(size, Symbolic) for size in part)
    return [np.array(part, dtype=object if symbolic else np.int64)]


def _shape_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [(call.unknown_size(0),)]
    return [(len(shape[slice(call.number("start", 0), call.attribute("end"))]),)]


register("Shape", Op(None, _shape_shape, _shape_value, values_need_shapes=True))


def _size_value(call: Call) -> Sequence[Value]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    size = product(shape)
    return [np.array(size, dtype=object if isinstance(size, Symbolic) else np.int64)]


register("Size", Op(None, scalar, _size_value, values_need_shapes=True))


def _range_value(call: Call) -> Sequence[Value]:
    limits = [call.integers(i) for i in range(3)]
    numbers = [v[0] for v in limits if v and isinstance(v[0], (int, float))]
    if len(numbers) < 3 or numbers[2] == 0:
        return [None]
    length = abs((numbers[1] - numbers[0]) / numbers[2])
    return [np.arange(*numbers) if length <= LARGEST_VALUE else None]


def _range_shape(call: Call) -> Sequence[Shape]:
    (value,) = _range_value(call)
    if value is not None:
        return [(len(value),)]
    start, limit, step = (call.integers(i) for i in range(3))
    by = step[0] if step else None
    if not start or not limit or not isinstance(by, int) or not by:
        return [(call.unknown_size(0),)]
    reach = limit[0] - start[0] if by > 0 else start[0] - limit[0]
    length = ceiling_division(reach, abs(by)) if isinstance(reach, Symbolic) else reach
    if not isinstance(length, Symbolic):
        return [(call.unknown_size(0),)]
    call.exceeds(length, -1)
    return [(length,)]


register(
    "Range",
    Op(
        lambda call, output: [call.all_of(i) for i in range(len(call))],
        _range_shape,
        _range_value,
    ),
)


# --- Random numbers and matrices that depend on shapes only --------------------------


def _stated_by_attribute(call: Call) -> Sequence[Shape]:
    return [tuple(call.numbers("shape") or ())]


register("RandomNormal RandomUniform", Op(None, _stated_by_attribute, is_random=True))
register("RandomNormalLike RandomUniformLike", Op(None, first_shape, is_random=True))
register("EyeLike", Op(None, first_shape))


def _window(call: Call) -> Sequence[Shape]:
    length = call.integer(0)
    return [(call.unknown_size(0) if length is None else length,)]


register("HannWindow HammingWindow BlackmanWindow", Op(None, _window))
