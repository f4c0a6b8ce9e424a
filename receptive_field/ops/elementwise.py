"""Ops that look at one position at a time, and normalisations that do so.

Inputs broadcast as in NumPy: an axis of size one is read at its only position.
Batch normalisation counts as at inference, where it is a scale and an offset, unless
the caller wants it as the graph has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.axis_map import GLOBAL, IDENTITY, constant
from receptive_field.graph.axes import (
    ALL,
    SAME,
    Axis,
    Relation,
    follow,
    local,
)
from receptive_field.graph.sizes import Size, Symbolic, rounded_down
from receptive_field.ops.attributes import data_format
from receptive_field.ops.registry import count, register, treat_zeros, weigh
from receptive_field.rules.flops import elements, multiply_adds, per_input, per_output
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
    same,
)


def broadcast(call: Call, *shapes: Shape) -> Shape:
    """The shape that these shapes broadcast to.

    Of two sizes that may differ, the one that is not 1 counts; unknown sizes that
    meet a known one are taken to be equal to it, as the op would otherwise fail.
    """
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    longest = max(known, key=len)
    rank = len(longest)
    if all(_is_within(shape, longest) for shape in known):
        return longest
    sizes = []
    for axis in range(-rank, 0):
        candidates = [s[axis] for s in known if len(s) >= -axis and s[axis] != 1]
        numbers = [size for size in candidates if not isinstance(size, Symbolic)]
        if len(set(numbers)) > 1:
            call.fail(f"has inputs of shapes {known} that do not broadcast")
        call.meet(candidates)
        sizes.append((numbers or candidates or [1])[0])
    return tuple(sizes)


def _is_within(shape: Sequence[Size], longest: Sequence[Size]) -> bool:
    """Whether broadcasting to the longest shape leaves that as it is."""
    above = longest[len(longest) - len(shape) :]
    pairs = zip(shape, above, strict=True)
    return all(one is two or one == 1 or one == two for one, two in pairs)


def broadcast_relation(shape: Shape, output: Shape) -> Relation:
    """How an input of ``shape`` is read when it is broadcast to ``output``."""
    if shape is None or output is None or shape == output:
        return SAME
    return Relation(broadcast_axes(shape, output))


def broadcast_axes(shape: Sequence[Size], output: Sequence[Size]) -> tuple[Axis, ...]:
    """The same, axis by axis."""
    offset = len(output) - len(shape)
    return tuple(
        follow(axis + offset, constant(0, 0))
        if size == 1 and output[axis + offset] != 1
        else follow(axis + offset)
        for axis, size in enumerate(shape)
    )


def broadcast_relations(call: Call, output: int) -> list[Relation]:
    """How each input is read when all are broadcast to one shape."""
    shapes = [call.shape(i) for i in range(len(call))]
    if all(shape == shapes[0] for shape in shapes):
        return [SAME] * len(call)
    whole = broadcast(call, *shapes)
    return [broadcast_relation(shape, whole) for shape in shapes]


def broadcast_shapes(call: Call) -> Sequence[Shape]:
    """The shape that all inputs broadcast to."""
    shapes = [call.shape(i) for i in range(len(call))]
    if all(shape == shapes[0] for shape in shapes):
        return shapes[:1]
    return [broadcast(call, *shapes)]


def computed(
    function: str | Callable[..., Any],
) -> Callable[[Call], Sequence[Value]]:
    """The values by a function, or by that of NumPy with this name."""

    def values(call: Call) -> Sequence[Value]:
        operands = [call.value(i) for i in range(len(call))]
        if any(operand is None for operand in operands):
            return [None]
        apply = getattr(np, function) if isinstance(function, str) else function
        try:
            with np.errstate(all="ignore"):
                return [np.asarray(apply(*operands))]
        except (TypeError, ZeroDivisionError, OverflowError, ValueError):
            return [None]  # Not a number that a size could be made from.

    return values


def _equal(one: Any, two: Any) -> Any:
    """Of sizes it may be true of some inputs only, and then is no value."""
    if one.dtype != object and two.dtype != object:
        return one == two
    differences = np.asarray(one - two, dtype=object)
    if any(isinstance(number, Symbolic) for number in differences.flat):
        raise TypeError("depends on a size")
    return differences == 0


def _division(one: Any, two: Any) -> Any:
    """Of whole numbers it is that of C, which rounds towards zero."""
    if one.dtype.kind in "iu" and two.dtype.kind in "iu":
        return np.sign(one) * np.sign(two) * (abs(one) // abs(two))
    return one / two


def _cast(call: Call) -> Sequence[Value]:
    value = call.value(0)
    if value is None:
        return [None]
    integral = call.number("DstT", 0) not in _FLOATING
    if value.dtype == object:
        if not integral:
            return [value]
        return [np.vectorize(rounded_down, otypes=[object])(value)]
    if call.number("DstT", 0) == _BOOLEAN:
        return [value != 0]
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        return [None]
    return [value.astype(np.int64 if integral else np.float64)]


_BOOLEAN = 10

# DT_FLOAT, DT_DOUBLE, DT_HALF, DT_BFLOAT16
_FLOATING = {1, 2, 19, 14}

ELEMENTWISE = Op(broadcast_relations, broadcast_shapes, taps=Taps.FACTOR)
UNARY = Op(same, first_shape, taps=Taps.ACTIVATION)

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
    "Add AddV2": "add",
    "Sub": "subtract",
    "Mul": "multiply",
    "RealDiv": "true_divide",
    "Div": _division,
    "FloorDiv": "floor_divide",
    "FloorMod": "mod",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Greater": "greater",
    "GreaterEqual": "greater_equal",
    "Less": "less",
    "LessEqual": "less_equal",
    "Equal": _equal,
    "NotEqual": lambda one, two: ~np.asarray(_equal(one, two)),
    "LogicalAnd": "logical_and",
    "LogicalOr": "logical_or",
    "AddN": lambda *terms: sum(terms),
}
for _names, _function in _BINARY.items():
    register(_names, ELEMENTWISE._replace(values=computed(_function)))


def _rounding(direction: int) -> Callable[[Any], Any]:
    def rounded(value: Any) -> Any:
        if value.dtype != object:
            return direction * np.floor(direction * value)
        return direction * np.vectorize(rounded_down, otypes=[object])(
            direction * value
        )

    return rounded


_UNARY: dict[str, str | Callable[..., Any]] = {
    "Neg": "negative",
    "Floor": _rounding(1),
    "Ceil": _rounding(-1),
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


def _first_follows(call: Call, output: int) -> Relations:
    return [SAME, *[ALL] * (len(call) - 1)]


FIRST = Op(_first_follows, first_shape, taps=Taps.COPY)
"""Elementwise in the first input; what else goes in, goes into every position."""

register(
    "BiasAdd BiasAddV1 LRN FakeQuantWithMinMaxArgs "
    "FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel "
    "QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 "
    "Dequantize UniformQuantize UniformDequantize UniformRequantize",
    FIRST,
)


def _second_follows(call: Call, output: int) -> Relations:
    return [call.all_of(0), SAME, *(call.all_of(i) for i in range(2, len(call)))]


# The table, what is looked up, and what stands for the rest.
register(
    "LookupTableFind LookupTableFindV2",
    Op(_second_follows, lambda call: [call.shape(1)]),
)


def _ranged(call: Call, output: int) -> Relations:
    """The range of the result is computed from those of the inputs."""
    if output == 0:
        return _first_follows(call, output)
    return [None, *(call.all_of(i) for i in range(1, len(call)))]


RANGED = Op(_ranged, lambda call: [call.shape(0), (), ()], taps=Taps.COPY)
"""Quantised, elementwise in the first input; then come ranges."""

register(
    "QuantizeV2 Requantize QuantizedRelu QuantizedRelu6 QuantizedReluX",
    RANGED,
)
# The range is shrunk to what the values really take.
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


def _normalised(call: Call, output: int) -> Relations:
    if output:
        return [call.all_of(i) for i in range(len(call))]
    data, *rest = _first_follows(call, output)
    if call.trains_batch_norm and call.flag("is_training", True):
        # Mean and variance are those of the batch.
        rank = len(call.known_shape(0))
        first = data_format(call).startswith("NC")
        channels = 1 if first else rank - 1
        data = local([IDENTITY if axis == channels else GLOBAL for axis in range(rank)])
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
    Op(_normalised, _normalised_shapes, shapes_by_first=True),
)


# --- What positions count ------------------------------------------------------------

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
    """Squares of neighbouring channels are added up and weighted."""
    neighbours = 2 * call.number("depth_radius", 5) + 1
    return multiply_adds(elements(call) * neighbours, profiled=False)


def _normalised_flops(call: Call) -> Flops:
    """One multiply-add; in training, mean and variance before."""
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
