"""Rules for elementwise ops and normalisations.

Unless the caller asks for ``batch_norm="graph"``, batch normalisation is analysed in
inference mode, where it is a scale and an offset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.tensorflow.attributes import data_format
from receptive_field.frameworks.tensorflow.ops.registry import (
    count,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import SAME
from receptive_field.rules.elementwise import (
    ELEMENTWISE,
    FIRST,
    RANGED,
    UNARY,
    broadcast,
    broadcast_relation,
    computed,
    equal,
    first_follows,
    integer_division,
    normalised_by_batch,
    rounded_towards_zero,
    rounding,
)
from receptive_field.rules.flops import elements, multiply_adds, per_input, per_output
from receptive_field.rules.masks import ADDED, MULTIPLIED, SUBTRACTED
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
)


def _cast(call: Call) -> Sequence[Value]:
    value = call.value(0)
    if value is None:
        return [None]
    integral = call.number("DstT", 0) in _INTEGRAL
    if value.dtype == object:
        if not integral:
            return [value]
        return computed(lambda sizes: rounded_towards_zero(call, sizes))(call)
    if call.number("DstT", 0) == _BOOLEAN:
        return [value != 0]
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        return [None]
    return [value.astype(np.int64 if integral else np.float64)]


_BOOLEAN = 10

# DT_INT32, DT_UINT8, DT_INT16, DT_INT8, DT_INT64, DT_UINT16, DT_UINT32, DT_UINT64
_INTEGRAL = {3, 4, 5, 6, 9, 17, 22, 23}

register(
    "Abs Acos Acosh Angle Asin Asinh Atan Atanh BesselI0 BesselI0e BesselI1 BesselI1e "
    "BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e BesselY0 BesselY1 Bitcast "
    "Bucketize Ceil CheckNumerics CheckNumericsV2 ComplexAbs Conj Cos Cosh Dawsn "
    "DebugGradientIdentity Digamma Elu Erf Erfc Erfinv Exp Expint Expm1 FresnelCos "
    "FresnelSin Imag Inv Invert IsFinite IsInf IsNan LeakyRelu Lgamma Log Log1p "
    "LogicalNot Ndtri Neg PopulationCount QuantizeAndDequantize Real Reciprocal Relu "
    "Relu6 Rint Round Rsqrt Selu Sigmoid Sign Sin Sinh Softplus Softsign Spence Sqrt "
    "Square Tan Tanh",
    UNARY,
)
register(
    "Add AddN AddV2 Atan2 BitwiseAnd BitwiseOr BitwiseXor ClipByValue Complex Div "
    "DivNoNan Equal FloorDiv FloorMod Greater GreaterEqual Less LessEqual LogicalAnd "
    "LogicalOr Maximum Minimum Mod Mul MulNoNan NotEqual Polygamma Pow RealDiv "
    "SquaredDifference Sub TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Zeta "
    "Igamma Igammac ApproximateEqual NextAfter LeftShift RightShift Betainc "
    "AccumulateNV2",
    ELEMENTWISE,
)
_BINARY: dict[str, str | Callable[..., Any]] = {
    "RealDiv": "true_divide",
    "FloorDiv": "floor_divide",
    "FloorMod": "mod",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Greater": "greater",
    "GreaterEqual": "greater_equal",
    "Less": "less",
    "LessEqual": "less_equal",
    "Equal": equal,
    "NotEqual": lambda one, two: ~np.asarray(equal(one, two)),
    "LogicalAnd": "logical_and",
    "LogicalOr": "logical_or",
}
for _names, _function in _BINARY.items():
    register(_names, ELEMENTWISE._replace(values=computed(_function)))
register("Add AddV2", ADDED._replace(values=computed("add")))
register("AddN", ADDED._replace(values=computed(lambda *terms: sum(terms))))
register("Sub", SUBTRACTED._replace(values=computed("subtract")))
register("Mul", MULTIPLIED._replace(values=computed("multiply")))


def _divided(call: Call) -> Sequence[Value]:
    if call.number("T", 0) in _INTEGRAL:
        return integer_division(call)
    return computed("true_divide")(call)


register("Div", ELEMENTWISE._replace(values=_divided))


_UNARY: dict[str, str | Callable[..., Any]] = {
    "Neg": "negative",
    "Floor": rounding(1),
    "Ceil": rounding(-1),
    "LogicalNot": "logical_not",
    "Square": "square",
    "Sqrt": "sqrt",
    "Abs": "abs",
}
for _names, _function in _UNARY.items():
    register(_names, UNARY._replace(values=computed(_function)))
register("Cast", UNARY._replace(values=_cast))


def _broadcast_args(call: Call) -> Sequence[Shape]:
    shapes = [call.shape(0), call.shape(1)]
    ranks = [s[0] for s in shapes if s and isinstance(s[0], int)]
    return [(max(ranks),)] if len(ranks) == 2 else [None]


def _broadcast_args_values(call: Call) -> Sequence[Value]:
    one, two = call.integers(0), call.integers(1)
    if one is None or two is None:
        return [None]
    shape = broadcast(call, tuple(one), tuple(two))
    return [np.array(shape, dtype=object)]


register(
    "BroadcastArgs",
    Op(
        lambda call, output: [call.all_of(i) for i in range(len(call))],
        _broadcast_args,
        _broadcast_args_values,
    ),
)


register(
    "BiasAdd BiasAddV1 LRN FakeQuantWithMinMaxArgs "
    "FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel "
    "QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 "
    "Dequantize UniformQuantize UniformDequantize UniformRequantize",
    FIRST,
)


def _second_follows(call: Call, output: int) -> Relations:
    return [call.all_of(0), SAME, *(call.all_of(i) for i in range(2, len(call)))]


# Their inputs are the table, the keys and a default value.
register(
    "LookupTableFind LookupTableFindV2",
    Op(_second_follows, lambda call: [call.shape(1)]),
)


register(
    "QuantizeV2 Requantize QuantizedRelu QuantizedRelu6 QuantizedReluX",
    RANGED,
)
# The new range depends on all values.
register(
    "QuantizeDownAndShrinkRange",
    RANGED._replace(
        relations=lambda call, output: [call.all_of(i) for i in range(len(call))]
    ),
)


def _quantized_pair(call: Call, output: int) -> Relations:
    ranges = [call.all_of(i) for i in range(2, len(call))]
    pair: Relations = [None, None]
    if output == 0:
        whole = call.output_shape()
        pair = [broadcast_relation(call.shape(i), whole) for i in (0, 1)]
    return [*pair, *ranges]


def _quantized_pair_shapes(call: Call) -> Sequence[Shape]:
    return [broadcast(call, call.shape(0), call.shape(1)), (), ()]


register("QuantizedAdd QuantizedMul", Op(_quantized_pair, _quantized_pair_shapes))


def _uses_batch(call: Call) -> bool:
    is_given = call.node.op == "BatchNormWithGlobalNormalization"
    return not is_given and call.flag("is_training", True)


def _normalised(call: Call, output: int) -> Relations:
    if output:
        return [call.all_of(i) for i in range(len(call))]
    data, *rest = first_follows(call, output)
    if call.trains_batch_norm and _uses_batch(call):
        # The mean and variance are computed over the whole batch.
        rank = len(call.known_shape(0))
        first = data_format(call).startswith("NC")
        data = normalised_by_batch(rank, 1 if first else rank - 1)
    return [data, *rest]


def _normalised_shapes(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None] * 6
    first = data_format(call).startswith("NC")
    return [shape, *[(shape[1 if first else -1],)] * 5]


register(
    "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 _FusedBatchNormEx "
    "BatchNormWithGlobalNormalization",
    Op(_normalised, _normalised_shapes, shapes_by_first=True, uses_batch=_uses_batch),
)


# --- Weights of positions ------------------------------------------------------------

weigh("Add AddN AddV2 AccumulateNV2 QuantizedAdd", Taps.COPY)
weigh("Sub", Taps.COPY, signs=(1, -1))
weigh("Neg", Taps.COPY, signs=(-1,))
weigh(
    "Bitcast Cast CheckNumerics CheckNumericsV2 DebugGradientIdentity "
    "QuantizeAndDequantize Real",
    Taps.COPY,
)
weigh("QuantizedMul", Taps.FACTOR)
weigh(
    "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 _FusedBatchNormEx "
    "BatchNormWithGlobalNormalization LookupTableFind LookupTableFindV2",
    Taps.COPY,
)

# --- Zeros ---------------------------------------------------------------------------

treat_zeros(
    "Abs Asin Asinh Atan Atanh Bitcast Cast Ceil CheckNumerics CheckNumericsV2 "
    "ComplexAbs Conj Dawsn DebugGradientIdentity Elu Erf Erfinv Expm1 Floor FresnelSin "
    "Imag LRN LeakyRelu Log1p Neg Real Relu Relu6 Rint Round Selu Sign Sin Sinh "
    "Softsign Sqrt Square Tan Tanh",
    Zeros.KEPT,
)
treat_zeros(
    "Acos BatchNormWithGlobalNormalization BesselI0 BesselI0e BesselJ0 BiasAdd "
    "BiasAddV1 Cos Cosh Erfc Exp FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 "
    "LogicalNot Sigmoid Softplus _FusedBatchNormEx",
    Zeros.FILLED,
)
treat_zeros("Add AddN AddV2 AccumulateNV2 Sub", Zeros.SUM)
treat_zeros("DivNoNan LogicalAnd Mul MulNoNan", Zeros.KEPT, absorbing=(0, 1))
treat_zeros("Div FloorDiv RealDiv Xdivy Xlog1py Xlogy", Zeros.KEPT, absorbing=(0,))

# --- Operations ----------------------------------------------------------------------

count("Reciprocal Square Log Neg BiasAdd", per_input())
count("Rsqrt", per_input(2))
count(
    "Add AddV2 Sub Mul RealDiv Maximum Minimum Pow GreaterEqual Greater LessEqual Less "
    "Equal NotEqual",
    per_output(),
)
count("Div DivNoNan FloorDiv Inv MulNoNan BiasAddV1", per_output(profiled=False))
count("SquaredDifference", per_output(2))


def _sum_flops(call: Call) -> Flops:
    return Flops.alike(elements(call) * (len(call) - 1))


def _response_flops(call: Call) -> Flops:
    """Counts one multiply-add for each neighbouring channel of each element."""
    neighbours = 2 * call.number("depth_radius", 5) + 1
    return multiply_adds(elements(call) * neighbours, profiled=False)


def _normalised_flops(call: Call) -> Flops:
    """Counts a multiply-add per element and, in training mode, work for the moments."""
    size = elements(call)
    moments = 4 * size if call.flag("is_training") else 0
    return Flops(2 * size + moments, size)


count("AddN", _sum_flops)
count("AccumulateNV2", lambda call: _sum_flops(call)._replace(profiled=None))
count("LRN", _response_flops)
count(
    "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 _FusedBatchNormEx "
    "BatchNormWithGlobalNormalization",
    _normalised_flops,
)
