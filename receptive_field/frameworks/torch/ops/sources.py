"""Rules for inputs, weights, sizes and arithmetic of sizes.

Paths end at these ops.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.sizes import Size, product, unknown
from receptive_field.arrays import np
from receptive_field.frameworks.torch.ops.registry import register
from receptive_field.rules.op import Call, Op, Shape, Value, scalar


def _recorded(call: Call) -> Sequence[Shape]:
    """Returns the recorded shape. Unknown sizes of one name are equal."""
    (kind,) = call.node.definition.kinds
    if kind is None or kind.sizes is None:
        return [None]
    return [
        tuple(
            unknown(size)
            if isinstance(size, str)
            else call.unknown_size(axis)
            if size is None
            else size
            for axis, size in enumerate(kind.sizes)
        )
    ]


def _held(call: Call) -> Sequence[Value]:
    """Returns the values of a buffer or constant, if they are known."""
    values = call.attribute("values")
    return [None if values is None else np.asarray(values())]


def _parameters(call: Call) -> Size:
    """Returns the number of elements of a parameter."""
    (shape,) = _recorded(call)
    return product(shape) if shape else 1


register("Input", Op(None, _recorded))
register("Parameter", Op(None, _recorded, weights=_parameters))
register("Buffer", Op(None, _recorded, _held))


def _size_value(call: Call) -> Sequence[Value]:
    """Returns the size of one axis of the first input."""
    shape = call.shape(0)
    if shape is None:
        return [None]
    found = shape[call.axis(call.number("dim"), len(shape))]
    dtype = int if isinstance(found, int) else object
    return [np.array(found, dtype=dtype)]


register(
    "sym_size",
    Op(None, scalar, _size_value, values_need_shapes=True),
)
