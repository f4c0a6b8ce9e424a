"""Rules for elementwise ops and normalisations."""

from __future__ import annotations

from receptive_field.frameworks.tflite.ops.registry import like_tensorflow, register
from receptive_field.rules.elementwise import (
    ELEMENTWISE,
    UNARY,
    broadcast_relations,
    broadcast_shapes,
)
from receptive_field.rules.flops import elements, multiply_adds
from receptive_field.rules.op import Call, Flops, Op, Taps, Zeros, first_shape
from receptive_field.rules.reductions import along_last

like_tensorflow(
    "ABS=Abs ADD=AddV2 ADD_N=AddN ATAN2=Atan2 BITWISE_XOR=BitwiseXor CAST=Cast "
    "CEIL=Ceil COMPLEX_ABS=ComplexAbs COS=Cos DIV=RealDiv ELU=Elu EQUAL=Equal EXP=Exp "
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


def _same_width(call: Call) -> list[object]:
    """Returns the shape of numbers whose bits are read as another type."""
    stated = call.attribute("stated_shapes") or [None]
    shape = call.shape(0)
    if shape is None or stated[0] is None or len(stated[0]) != len(shape):
        call.fail("changes the number of axes, which no rule covers")
    return [shape]


register("BITCAST", UNARY._replace(shapes=_same_width))  # type: ignore[arg-type]
