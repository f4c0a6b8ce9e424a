"""Rules for elementwise ops and normalisations."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.frameworks.tflite.ops.registry import like_tensorflow, register
from receptive_field.rules.elementwise import (
    ELEMENTWISE,
    UNARY,
    broadcast_relations,
    broadcast_shapes,
)
from receptive_field.rules.flops import elements, multiply_adds
from receptive_field.rules.op import Call, Flops, Op, Shape, Taps, Zeros, first_shape
from receptive_field.rules.reductions import along_last

like_tensorflow(
    "ABS=Abs ADD=AddV2 ADD_N=AddN ATAN2=Atan2 BITWISE_XOR=BitwiseXor CAST=Cast "
    "CEIL=Ceil COMPLEX_ABS=ComplexAbs COS=Cos DIV=Div ELU=Elu EQUAL=Equal EXP=Exp "
    "FLOOR=Floor FLOOR_DIV=FloorDiv FLOOR_MOD=FloorMod GREATER=Greater "
    "GREATER_EQUAL=GreaterEqual IMAG=Imag LEAKY_RELU=LeakyRelu LESS=Less "
    "LESS_EQUAL=LessEqual LOCAL_RESPONSE_NORMALIZATION=LRN LOG=Log LOGICAL_AND="
    "LogicalAnd LOGICAL_NOT=LogicalNot LOGICAL_OR=LogicalOr LOGISTIC=Sigmoid "
    "LOG_SOFTMAX=LogSoftmax MAXIMUM=Maximum MINIMUM=Minimum MUL=Mul NEG=Neg "
    "NOT_EQUAL=NotEqual POW=Pow REAL=Real RELU=Relu RELU6=Relu6 RIGHT_SHIFT=RightShift "
    "ROUND=Round RSQRT=Rsqrt SIGN=Sign SIN=Sin SOFTMAX=Softmax SQRT=Sqrt SQUARE=Square "
    "SQUARED_DIFFERENCE=SquaredDifference SUB=Sub TANH=Tanh BUCKETIZE=Bucketize"
)
like_tensorflow(
    "STABLEHLO_ABS=Abs STABLEHLO_ADD=AddV2 STABLEHLO_AND=LogicalAnd "
    "STABLEHLO_COSINE=Cos STABLEHLO_DIVIDE=RealDiv STABLEHLO_EXPONENTIAL=Exp "
    "STABLEHLO_FLOOR=Floor STABLEHLO_LOG=Log STABLEHLO_LOGISTIC=Sigmoid "
    "STABLEHLO_MAXIMUM=Maximum STABLEHLO_MINIMUM=Minimum STABLEHLO_MULTIPLY=Mul "
    "STABLEHLO_NEGATE=Neg STABLEHLO_OR=LogicalOr STABLEHLO_POWER=Pow "
    "STABLEHLO_REMAINDER=Mod STABLEHLO_RSQRT=Rsqrt STABLEHLO_SUBTRACT=Sub "
    "STABLEHLO_TANH=Tanh STABLEHLO_SHIFT_LEFT=LeftShift"
)
register("STABLEHLO_COMPARE STABLEHLO_CLAMP", ELEMENTWISE)
_FROM_ZERO = UNARY._replace(zeros=Zeros.KEPT)
register(
    "GELU HARD_SWISH RELU_N1_TO_1 SIGN_BIT STABLEHLO_CBRT",
    _FROM_ZERO,
)
register("RELU_0_TO_1", _FROM_ZERO)
# Numbers that stand for others: what they stand for stays about the same.
register(
    "DENSIFY DEQUANTIZE FAKE_QUANT QUANTIZE STABLEHLO_CONVERT",
    _FROM_ZERO._replace(taps=Taps.COPY),
)
# The second input is the slope below zero.
register(
    "PRELU",
    Op(
        broadcast_relations,
        broadcast_shapes,
        taps=Taps.ACTIVATION,
        is_pointwise=True,
        zeros=Zeros.KEPT,
        absorbing=(0,),
    ),
)


def _length_flops(call: Call) -> Flops:
    """Counts a multiply-add and a product for each element."""
    return multiply_adds(elements(call), profiled=False).plus(elements(call))


register(
    "L2_NORMALIZATION",
    Op(along_last(1), first_shape, flops=_length_flops, zeros=Zeros.KEPT),
)


WIDTHS = {
    **dict.fromkeys((4, 6, 10), 1),
    **dict.fromkeys((5, 14, 17, 19), 2),
    **dict.fromkeys((1, 3, 22), 4),
    **dict.fromkeys((2, 8, 9, 23), 8),
}
"""The numbers of data types -> how many bytes a number has."""


def _same_width(call: Call) -> Sequence[Shape]:
    """Returns the shape of numbers whose bits are read as those of another type."""
    read, (made, *_) = call.number("T", 0), call.numbers("Tout") or [0]
    if read not in WIDTHS or WIDTHS[read] != WIDTHS.get(made):
        call.fail("splits or joins numbers, which no rule covers")
    return [call.shape(0)]


register("BITCAST", UNARY._replace(shapes=_same_width))
