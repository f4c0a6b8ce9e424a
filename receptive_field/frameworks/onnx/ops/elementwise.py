"""Rules for ops that compute each position on its own, and for normalisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.axis_map import IDENTITY, convolution
from receptive_field.arrays import np
from receptive_field.frameworks.onnx.attributes import opset
from receptive_field.frameworks.onnx.limits import FLOATING
from receptive_field.frameworks.onnx.ops.registry import (
    count,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import SAME, local
from receptive_field.rules.elementwise import (
    ELEMENTWISE,
    FIRST,
    UNARY,
    computed,
    equal,
    extreme,
    first_follows,
    integer_division,
    normalised_by_batch,
    rounding,
)
from receptive_field.rules.flops import (
    elements,
    multiply_adds,
    output_elements,
    per_input,
    per_output,
)
from receptive_field.rules.masks import ADDED, MULTIPLIED, SELECT, SUBTRACTED
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    first_shape,
)

register(
    "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu "
    "HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu "
    "Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh "
    "ThresholdedRelu BitwiseNot Cast com.microsoft.Gelu "
    "com.microsoft.QuickGelu",
    UNARY,
)
register(
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual "
    "Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum SwiGLU Xor "
    "com.microsoft.BiasAdd com.microsoft.BiasGelu com.microsoft.FastGelu "
    "com.microsoft.MulInteger",
    ELEMENTWISE,
)
_BINARY: dict[str, str | Callable[..., Any]] = {
    "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
    "Less": "less",
    "LessOrEqual": "less_equal",
    "Equal": equal,
    "And": "logical_and",
    "Or": "logical_or",
    "Xor": "logical_xor",
    "Pow": "power",
}


for _name, _function in _BINARY.items():
    register(_name, ELEMENTWISE._replace(values=computed(_function)))
register("Add", ADDED._replace(values=computed("add")))
register("Sum", ADDED._replace(values=computed(lambda *terms: sum(terms))))
register("Sub", SUBTRACTED._replace(values=computed("subtract")))
register("Mul", MULTIPLIED._replace(values=computed("multiply")))


def _divided(call: Call) -> Sequence[Value]:
    """Returns a quotient; integers are rounded towards zero, as in C.

    Symbolic sizes are integers, unless they were cast.
    """
    operands = [call.value(i) for i in range(len(call))]
    whole = all(o is not None and o.dtype.kind in "iuO" for o in operands)
    if whole and not _is_cast_to_float(call):
        return integer_division(call)
    return computed("true_divide")(call)


def _is_cast_to_float(call: Call) -> bool:
    """Returns whether the first input comes from a cast of sizes to floats."""
    while len(call) and call.node.op not in ("Cast", "Shape", "Size"):
        index, _ = call.input(0)
        call = Call(call.node.graph.nodes[index], call.knowledge)
    return call.node.op == "Cast" and call.number("to", 1) in FLOATING


def _remainder(call: Call) -> Sequence[Value]:
    return computed("fmod" if call.number("fmod", 0) else "mod")(call)


register("Max", ELEMENTWISE._replace(values=extreme(1)))
register("Min", ELEMENTWISE._replace(values=extreme(-1)))
register("Div", ELEMENTWISE._replace(values=_divided))
register("Mod", ELEMENTWISE._replace(values=_remainder))

_UNARY: dict[str, str | Callable[..., Any]] = {
    "Neg": "negative",
    "Floor": rounding(1),
    "Ceil": rounding(-1),
    "Not": "logical_not",
    "Sqrt": "sqrt",
    "Abs": "abs",
    "Sign": "sign",
    "Round": "rint",
    "Reciprocal": "reciprocal",
}
for _name, _function in _UNARY.items():
    register(_name, UNARY._replace(values=computed(_function)))


def _cast(call: Call) -> Sequence[Value]:
    """Returns a cast value. Floats that become integers lose their fractions."""
    value, to = call.value(0), call.number("to", 1)
    if value is None or to not in _KINDS or value.dtype.kind in "SU":
        return [None]
    if value.dtype == object:
        return [value if to in (1, 7, 6, 11) else None]
    if value.dtype.kind == "f" and not np.isfinite(value).all() and to not in FLOATING:
        return [None]
    return [value.astype(_KINDS[to])]


_KINDS = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
register("Cast", UNARY._replace(values=_cast, taps=Taps.COPY))

register("Where", SELECT)
register("Clip Dropout com.microsoft.ScaledSiLU", FIRST)
register("Bernoulli", FIRST._replace(is_random=True))
# The second input of CastLike only says which data type the result has.
register(
    "CastLike",
    UNARY._replace(relations=lambda call, output: [SAME, None], taps=Taps.COPY),
)


def _clipped(call: Call) -> Sequence[Value]:
    """Returns a clipped value; limits are attributes before operator set 11."""
    value = call.value(0)
    limits: list[Any] = []
    for number, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), 1):
        if opset(call) < 11:
            limits.append(call.attribute(name, default))
        elif len(call) > number and call.shape(number) == ():
            limits.append(call.value(number))
        else:
            limits.append(default)
    if value is None or value.dtype == object or any(limit is None for limit in limits):
        return [None]
    return [np.clip(value, *limits).astype(value.dtype)]


register("Clip", FIRST._replace(values=_clipped, taps=Taps.ACTIVATION))


def _dropout_shapes(call: Call) -> Sequence[Shape]:
    return [call.shape(0)] * 2


def _dropout(call: Call, output: int) -> Relations:
    # The mask does not depend on the values.
    return [None] * len(call) if output else first_follows(call, output)


register(
    "Dropout",
    FIRST._replace(
        relations=_dropout,
        shapes=_dropout_shapes,
        values=lambda call: [call.value(0)],
    ),
)


# --- Normalisations ------------------------------------------------------------------


def _trains(call: Call) -> bool:
    """Returns whether a node normalises by the moments of the batch.

    Before operator set 14, only such a node had more than one output.
    """
    if opset(call) < 14:
        return len(call.node.definition.outputs) > 1
    return bool(call.number("training_mode", 0))


def _batch_normalised(call: Call, output: int) -> Relations:
    if output:
        return [call.all_of(i) for i in range(len(call))]
    data, *rest = first_follows(call, output)
    if call.trains_batch_norm and _trains(call):
        data = normalised_by_batch(len(call.known_shape(0)), 1)
    return [data, *rest]


def _batch_normalised_shapes(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    return [shape, *[None if shape is None else (shape[1],)] * 4]


def _batch_normalised_flops(call: Call) -> Flops:
    size = elements(call)
    moments = 4 * size if _trains(call) else 0
    return Flops(2 * size + moments, size)


register(
    "BatchNormalization",
    Op(_batch_normalised, _batch_normalised_shapes, taps=Taps.COPY),
)
count("BatchNormalization", _batch_normalised_flops)

# --- Weights of positions, zeros and operations --------------------------------------

weigh("Add Sum Mean", Taps.COPY)
weigh("Sub", Taps.COPY, signs=(1, -1))
weigh("Neg", Taps.COPY, signs=(-1,))
treat_zeros(
    "Abs Asin Asinh Atan Ceil Cast Celu Clip Dropout Elu Erf Floor Gelu HardSwish "
    "LeakyRelu Mish Neg PRelu Relu Round Selu Sign Sin Sinh Softsign Sqrt Swish "
    "Tan Tanh ThresholdedRelu com.microsoft.Gelu com.microsoft.QuickGelu",
    Zeros.KEPT,
)
treat_zeros(
    "Acos BatchNormalization Cos Cosh Exp HardSigmoid Not Sigmoid Softplus",
    Zeros.FILLED,
)
treat_zeros("Add Sub Sum", Zeros.SUM)
treat_zeros("And Mul", Zeros.KEPT, absorbing=(0, 1))
treat_zeros("Div", Zeros.KEPT, absorbing=(0,))
count("Reciprocal Log Neg", per_input())
count(
    "Sum",
    lambda call: Flops.alike((len(call) - 1) * output_elements(call), profiled=False),
)
count(
    "Add Sub Mul Div Max Min Pow GreaterOrEqual Greater LessOrEqual Less Equal",
    per_output(profiled=False),
)


def _response(call: Call, output: int) -> Relations:
    """Relates each channel to its neighbours at the same position."""
    rank, size = len(call.known_shape(0)), call.number("size")
    if size < 1:
        call.fail(f"has the size {size}, which must be at least 1")
    maps = [IDENTITY] * rank
    maps[call.axis(1, rank)] = convolution(size, 1, (size - 1) // 2)
    return [local(maps)]


def _response_flops(call: Call) -> Flops:
    """Counts one multiply-add for each neighbouring channel of each element."""
    return multiply_adds(elements(call) * call.number("size", 1), profiled=False)


register("LRN", Op(_response, first_shape, flops=_response_flops, zeros=Zeros.KEPT))
