"""A model around each builtin op of TensorFlow Lite, with random parameters.

`MODELS` maps an op to a function that returns a model. `REASONS` says why there is none
for the other ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tflite_models import Fed, Writer, one_op, options

from receptive_field.frameworks.tflite.ops import OPS
from receptive_field.frameworks.tflite.schema import BUILTINS

Random = np.random.Generator
MODELS: dict[str, Callable[[Random], bytes]] = {}


def model(*ops: str) -> Any:
    """Registers a function that returns a model for some ops.

    If there are several, the function gets the op, too.
    """

    def registered(make: Callable[..., bytes]) -> Callable[..., bytes]:
        for op in ops:
            own = make if len(ops) == 1 else (lambda r, op=op: make(r, op))
            MODELS[op] = own
        return make

    return registered


def whole(random: Random, low: int, high: int) -> int:
    """A whole number in an interval."""
    return int(random.integers(low, high + 1))


def image(random: Random, channels: int = 2, least: int = 5, batch: int = 1) -> Fed:
    sizes = whole(random, least, least + 4), whole(random, least, least + 4)
    return Fed(batch, *sizes, channels)


def weights(random: Random, *shape: int) -> Any:
    return random.uniform(0.5, 1.5, shape).astype(np.float32)


# --- Elementwise --------------------------------------------------------------------

UNARY = (
    "ABS",
    "CEIL",
    "COS",
    "ELU",
    "EXP",
    "FLOOR",
    "GELU",
    "HARD_SWISH",
    "LEAKY_RELU",
    "LOG",
    "LOGISTIC",
    "NEG",
    "RELU",
    "RELU6",
    "RELU_0_TO_1",
    "RELU_N1_TO_1",
    "ROUND",
    "RSQRT",
    "SIGN",
    "SIN",
    "SQRT",
    "SQUARE",
    "TANH",
    "LOCAL_RESPONSE_NORMALIZATION",
    "L2_NORMALIZATION",
    "SOFTMAX",
    "LOG_SOFTMAX",
    "ZEROS_LIKE",
    "RANK",
    "SHAPE",
)
OPTIONS_OF = {
    "GELU": options("GeluOptions"),
    "LEAKY_RELU": options("LeakyReluOptions", alpha=0.3),
    "SOFTMAX": options("SoftmaxOptions", beta=1.0),
    "L2_NORMALIZATION": options("L2NormOptions"),
    "LOCAL_RESPONSE_NORMALIZATION": options(
        "LocalResponseNormalizationOptions", radius=1, bias=1.0, alpha=1.0, beta=0.5
    ),
    "SHAPE": options("ShapeOptions", outType=2),
    **{
        op: options(f"{name}Options")
        for op, name in {
            "ADD": "Add",
            "SUB": "Sub",
            "MUL": "Mul",
            "DIV": "Div",
            "POW": "Pow",
            "SQUARED_DIFFERENCE": "SquaredDifference",
        }.items()
    },
}


@model(*UNARY)
def unary(random: Random, op: str) -> bytes:
    kind = "int32" if op in ("RANK", "SHAPE") else "float32"
    return one_op(op, [image(random)], OPTIONS_OF.get(op), [kind])


@model("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "POW")
def binary(random: Random, op: str) -> bytes:
    first = image(random)
    sizes = [1 if random.random() < 0.3 else size for size in first.shape]
    second = Fed(*sizes) if random.random() < 0.5 else weights(random, *sizes)
    return one_op(op, [first, second], OPTIONS_OF.get(op))


@model("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL")
def comparison(random: Random, op: str) -> bytes:
    kind = "int32" if "EQUAL" in (op, op[4:]) else "float32"
    first = Fed(*image(random).shape, dtype=kind)
    second = Fed(*first.shape)
    if kind == "int32":
        second = np.ones(first.shape, np.int32)
    return one_op(op, [first, second], None, ["bool"])


@model("LOGICAL_AND", "LOGICAL_OR")
def logical(random: Random, op: str) -> bytes:
    first = Fed(*image(random).shape, dtype="bool")
    return one_op(
        op, [first, np.full(first.shape, op == "LOGICAL_AND")], None, ["bool"]
    )


@model("LOGICAL_NOT")
def negation(random: Random) -> bytes:
    first = Fed(*image(random).shape, dtype="bool")
    return one_op("LOGICAL_NOT", [first], None, ["bool"])


@model("BITWISE_XOR", "RIGHT_SHIFT")
def bits(random: Random, op: str) -> bytes:
    first = Fed(*image(random).shape, dtype="int32")
    second = np.full(first.shape, op == "BITWISE_XOR", np.int32)
    return one_op(op, [first, second], None, ["int32"])


@model("FLOOR_DIV", "FLOOR_MOD", "ATAN2")
def quotient(random: Random, op: str) -> bytes:
    first = image(random)
    return one_op(op, [first, weights(random, *first.shape)])


@model("ADD_N")
def total(random: Random) -> bytes:
    first = image(random)
    return one_op("ADD_N", [first, Fed(*first.shape), weights(random, *first.shape)])


@model("PRELU")
def prelu(random: Random) -> bytes:
    first = image(random)
    return one_op("PRELU", [first, weights(random, 1, 1, first.shape[3])])


@model("CAST")
def cast(random: Random) -> bytes:
    chosen = options("CastOptions", inDataType=0, outDataType=2)
    return one_op("CAST", [image(random)], chosen, ["int32"])


@model("BITCAST")
def bitcast(random: Random) -> bytes:
    return one_op("BITCAST", [image(random)], None, ["int32"])


@model("BUCKETIZE")
def bucketize(random: Random) -> bytes:
    chosen = options("BucketizeOptions", boundaries=[0.6, 1.0, 1.2])
    return one_op("BUCKETIZE", [image(random)], chosen, ["int32"])


@model("IMAG", "REAL", "COMPLEX_ABS")
def of_complex(random: Random, op: str) -> bytes:
    return one_op(op, [Fed(*image(random).shape, dtype="complex64")])


def _quantised(writer: Writer, *shape: int, scale: float, is_input: bool) -> int:
    from tensorflow.lite.python import schema_py_generated as schema

    made = schema.QuantizationParametersT()
    made.scale, made.zeroPoint = [scale], [0]
    if is_input:
        return writer.input(*shape, dtype="int8", quantization=made)
    return writer.tensor("output", (), "int8", quantization=made)


@model("QUANTIZE", "DEQUANTIZE")
def quantize(random: Random, op: str) -> bytes:
    writer, shape = Writer(), image(random).shape
    if op == "DEQUANTIZE":
        number = _quantised(writer, *shape, scale=0.1, is_input=True)
        writer.op(op, [number])
        return writer.content()
    writer.op(op, [writer.input(*shape)], None, ["int8"])
    from tensorflow.lite.python import schema_py_generated as schema

    made = schema.QuantizationParametersT()
    made.scale, made.zeroPoint = [0.01], [0]
    writer.current.tensors[-1].quantization = made
    return writer.content()


@model("FAKE_QUANT")
def fake_quant(random: Random) -> bytes:
    chosen = options("FakeQuantOptions", min=-6.0, max=6.0, numBits=8)
    return one_op("FAKE_QUANT", [image(random)], chosen)


# --- Windows ------------------------------------------------------------------------


def window(random: Random, kind: str, dilated: bool, **fields: Any) -> Any:
    """Options of a layer with windows, of which one in two is dilated instead."""
    padding = whole(random, 0, 1)
    strides = [whole(random, 1, 3), whole(random, 1, 3)]
    dilations = [1, 1]
    if dilated and random.random() < 0.5:
        strides, dilations = [1, 1], [whole(random, 1, 3), whole(random, 1, 3)]
    if dilated:
        fields |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    return options(
        kind, padding=padding, strideH=strides[0], strideW=strides[1], **fields
    )


@model("CONV_2D")
def conv(random: Random) -> bytes:
    kernel = weights(random, 3, whole(random, 1, 4), whole(random, 1, 4), 2)
    chosen = window(random, "Conv2DOptions", True)
    return one_op(
        "CONV_2D", [image(random, least=10), kernel, weights(random, 3)], chosen
    )


@model("DEPTHWISE_CONV_2D")
def depthwise(random: Random) -> bytes:
    kernel = weights(random, 1, whole(random, 1, 4), whole(random, 1, 4), 4)
    chosen = window(random, "DepthwiseConv2DOptions", True, depthMultiplier=2)
    inputs = [image(random, least=10), kernel, weights(random, 4)]
    return one_op("DEPTHWISE_CONV_2D", inputs, chosen)


@model("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
def pool(random: Random, op: str) -> bytes:
    sizes = {"filterHeight": whole(random, 1, 4), "filterWidth": whole(random, 1, 4)}
    chosen = window(random, "Pool2DOptions", False, **sizes)
    return one_op(op, [image(random)], chosen)


def _stretched(random: Random, *kernel: int) -> tuple[list[int], list[int], int]:
    """Sizes of the output, strides and the padding of a transposed convolution."""
    sizes = [whole(random, 6, 11) for _ in kernel]
    strides = [whole(random, 1, 3) for _ in kernel]
    return sizes, strides, whole(random, 0, 1)


def _below(size: int, kernel: int, stride: int, padding: int) -> int:
    return -(-(size if padding == 0 else size - kernel + 1) // stride)


@model("TRANSPOSE_CONV")
def transpose_conv(random: Random) -> bytes:
    kernel = [whole(random, 1, 4), whole(random, 1, 4)]
    sizes, strides, padding = _stretched(random, *kernel)
    below = [
        _below(*numbers, padding)
        for numbers in zip(sizes, kernel, strides, strict=True)
    ]
    chosen = options(
        "TransposeConvOptions", padding=padding, strideH=strides[0], strideW=strides[1]
    )
    shape = np.array([1, *sizes, 3], np.int32)
    inputs = [shape, weights(random, 3, *kernel, 2), Fed(1, *below, 2)]
    if random.random() < 0.5:
        inputs.append(weights(random, 3))
    return one_op("TRANSPOSE_CONV", inputs, chosen, version=3)


@model("CONV_3D")
def conv_3d(random: Random) -> bytes:
    kernel = weights(random, *(whole(random, 1, 3) for _ in range(3)), 2, 3)
    strides, dilations = [[whole(random, 1, 2) for _ in range(3)], [1, 1, 1]]
    if random.random() < 0.5:
        strides, dilations = dilations, strides
    chosen = options(
        "Conv3DOptions",
        padding=whole(random, 0, 1),
        strideD=strides[0],
        strideH=strides[1],
        strideW=strides[2],
        dilationDFactor=dilations[0],
        dilationHFactor=dilations[1],
        dilationWFactor=dilations[2],
    )
    volume = Fed(1, *(whole(random, 5, 6) for _ in range(3)), 2)
    return one_op("CONV_3D", [volume, kernel, weights(random, 3)], chosen)


@model("CONV_3D_TRANSPOSE")
def conv_3d_transpose(random: Random) -> bytes:
    kernel = [whole(random, 1, 3) for _ in range(3)]
    sizes = [whole(random, 4, 6) for _ in range(3)]
    strides, padding = [whole(random, 1, 2) for _ in range(3)], whole(random, 0, 1)
    below = [
        _below(*numbers, padding)
        for numbers in zip(sizes, kernel, strides, strict=True)
    ]
    chosen = options(
        "Conv3DOptions",
        padding=padding,
        strideD=strides[0],
        strideH=strides[1],
        strideW=strides[2],
    )
    shape = np.array([1, *sizes, 3], np.int32)
    inputs = [shape, weights(random, *kernel, 3, 2), Fed(1, *below, 2)]
    return one_op("CONV_3D_TRANSPOSE", inputs, chosen)


# --- Resizes, pads, slices ----------------------------------------------------------


@model("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(random: Random, op: str) -> bytes:
    kind = "Bilinear" if op == "RESIZE_BILINEAR" else "NearestNeighbor"
    mode = whole(random, 0, 2)
    chosen = options(
        f"Resize{kind}Options", alignCorners=mode == 1, halfPixelCenters=mode == 2
    )
    size = np.array([whole(random, 1, 20), whole(random, 1, 20)], np.int32)
    return one_op(op, [image(random, least=2), size], chosen, version=3)


@model("PAD", "PADV2")
def pad(random: Random, op: str) -> bytes:
    pads = np.array(
        [
            [0, 0],
            *([whole(random, 0, 3), whole(random, 0, 3)] for _ in range(2)),
            [0, 0],
        ],
        np.int32,
    )
    more = [np.float32(3)] if op == "PADV2" else []
    return one_op(op, [image(random), pads, *more])


@model("MIRROR_PAD")
def mirror_pad(random: Random) -> bytes:
    pads = np.array(
        [
            [0, 0],
            *([whole(random, 0, 3), whole(random, 0, 3)] for _ in range(2)),
            [0, 0],
        ],
        np.int32,
    )
    chosen = options("MirrorPadOptions", mode=whole(random, 0, 1))
    return one_op("MIRROR_PAD", [image(random), pads], chosen)


@model("SLICE")
def piece(random: Random) -> bytes:
    shape = image(random).shape
    begin = [0, whole(random, 0, 2), whole(random, 0, 2), 0]
    size = [
        -1 if random.random() < 0.3 else whole(random, 1, total - first)
        for first, total in zip(begin, shape, strict=True)
    ]
    begin, size = (np.array(numbers, np.int32) for numbers in (begin, size))
    return one_op("SLICE", [Fed(*shape), begin, size])


@model("STRIDED_SLICE")
def strided_slice(random: Random) -> bytes:
    shape = image(random, least=6).shape
    begin = [0, whole(random, -6, 2), whole(random, 0, 2), 0]
    end = [1, whole(random, 4, 12), whole(random, -2, -1), 2]
    steps = [1, whole(random, 1, 3), whole(random, 1, 3), 1]
    if random.random() < 0.3:
        begin[1], end[1], steps[1] = -1, -shape[1] - 1, -whole(random, 1, 2)
    masks = {
        "beginMask": whole(random, 0, 15),
        "endMask": whole(random, 0, 15),
        "shrinkAxisMask": 8 * whole(random, 0, 1),
    }
    if begin[1] < 0 or steps[1] < 0:
        masks["shrinkAxisMask"] = 0
    chosen = options("StridedSliceOptions", **masks)
    numbers = [np.array(part, np.int32) for part in (begin, end, steps)]
    return one_op("STRIDED_SLICE", [Fed(*shape), *numbers], chosen)


@model("SPACE_TO_BATCH_ND")
def space_to_batch(random: Random) -> bytes:
    block = [whole(random, 1, 3), whole(random, 1, 3)]
    shape = image(random).shape
    pads = []
    for size, by in zip(shape[1:3], block, strict=True):
        before = whole(random, 0, 2)
        pads.append([before, -(size + before) % by])
    numbers = np.array(block, np.int32), np.array(pads, np.int32)
    return one_op("SPACE_TO_BATCH_ND", [Fed(*shape), *numbers])


@model("BATCH_TO_SPACE_ND")
def batch_to_space(random: Random) -> bytes:
    block = [whole(random, 1, 3), whole(random, 1, 3)]
    crops = [[whole(random, 0, 1), whole(random, 0, 1)] for _ in range(2)]
    numbers = np.array(block, np.int32), np.array(crops, np.int32)
    return one_op(
        "BATCH_TO_SPACE_ND", [image(random, batch=block[0] * block[1]), *numbers]
    )


@model("SPACE_TO_DEPTH")
def space_to_depth(random: Random) -> bytes:
    block = whole(random, 2, 3)
    shape = 1, block * whole(random, 2, 4), block * whole(random, 2, 4), 2
    chosen = options("SpaceToDepthOptions", blockSize=block)
    return one_op("SPACE_TO_DEPTH", [Fed(*shape)], chosen)


@model("DEPTH_TO_SPACE")
def depth_to_space(random: Random) -> bytes:
    block = whole(random, 2, 3)
    chosen = options("DepthToSpaceOptions", blockSize=block)
    return one_op("DEPTH_TO_SPACE", [image(random, block * block)], chosen)


# --- Reshape, join, gather ----------------------------------------------------------


@model("RESHAPE")
def reshape(random: Random) -> bytes:
    shape = image(random).shape
    size = shape[1] * shape[2]
    new = [[1, size, 2], [1, shape[1], -1], [-1, 2], [shape[1], shape[2], 2]]
    chosen = new[whole(random, 0, 3)]
    if random.random() < 0.5:
        return one_op("RESHAPE", [Fed(*shape), np.array(chosen, np.int32)])
    return one_op("RESHAPE", [Fed(*shape)], options("ReshapeOptions", newShape=chosen))


@model("SQUEEZE")
def squeeze(random: Random) -> bytes:
    dims = [[0], [-2], []][whole(random, 0, 2)]
    chosen = options("SqueezeOptions", squeezeDims=dims)
    return one_op("SQUEEZE", [Fed(1, whole(random, 4, 7), 1, 2)], chosen)


@model("EXPAND_DIMS")
def expand_dims(random: Random) -> bytes:
    axis = np.array(whole(random, -5, 4), np.int32)
    return one_op("EXPAND_DIMS", [image(random), axis])


@model("TRANSPOSE")
def transpose(random: Random) -> bytes:
    order = random.permutation(4).astype(np.int32)
    return one_op("TRANSPOSE", [image(random), order])


@model("CONCATENATION")
def concatenation(random: Random) -> bytes:
    shape, axis = image(random).shape, whole(random, 1, 3)
    other = [
        size + (place == axis) * whole(random, 0, 2) for place, size in enumerate(shape)
    ]
    chosen = options("ConcatenationOptions", axis=axis - 4 * whole(random, 0, 1))
    second = Fed(*other) if random.random() < 0.7 else weights(random, *other)
    return one_op("CONCATENATION", [Fed(*shape), second, Fed(*shape)], chosen)


@model("PACK")
def pack(random: Random) -> bytes:
    shape = image(random).shape[:3]
    chosen = options("PackOptions", valuesCount=3, axis=whole(random, -4, 3))
    return one_op("PACK", [Fed(*shape)] * 3, chosen)


@model("UNPACK")
def unpack(random: Random) -> bytes:
    shape, axis = image(random).shape, whole(random, 1, 2)
    chosen = options("UnpackOptions", num=shape[axis], axis=axis - 4)
    return one_op("UNPACK", [Fed(*shape)], chosen, ["float32"] * shape[axis])


@model("SPLIT")
def split(random: Random) -> bytes:
    count, axis = whole(random, 2, 3), whole(random, 1, 2)
    shape = [1, 6, 7, 2]
    shape[axis] = count * 3
    chosen = options("SplitOptions", numSplits=count)
    inputs = [np.array(axis, np.int32), Fed(*shape)]
    return one_op("SPLIT", inputs, chosen, ["float32"] * count)


@model("SPLIT_V")
def split_v(random: Random) -> bytes:
    shape, axis = image(random).shape, whole(random, 1, 2)
    first = whole(random, 1, 3)
    sizes = np.array([first, shape[axis] - first], np.int32)
    chosen = options("SplitVOptions", numSplits=2)
    inputs = [Fed(*shape), sizes, np.array(axis, np.int32)]
    return one_op("SPLIT_V", inputs, chosen, ["float32"] * 2)


@model("TILE")
def tile(random: Random) -> bytes:
    times = np.array([1, whole(random, 1, 3), whole(random, 1, 3), 1], np.int32)
    return one_op("TILE", [image(random), times])


@model("BROADCAST_TO")
def broadcast_to(random: Random) -> bytes:
    shape = np.array([2, 1, 5, 3, 2], np.int32)
    return one_op("BROADCAST_TO", [Fed(1, 5, 1, 2), shape], version=2)


@model("REVERSE_V2")
def reverse(random: Random) -> bytes:
    axis = np.array([whole(random, 1, 2)], np.int32)
    return one_op("REVERSE_V2", [image(random), axis])


@model("REVERSE_SEQUENCE")
def reverse_sequence(random: Random) -> bytes:
    shape = image(random, batch=2).shape
    lengths = np.array([whole(random, 1, 5), whole(random, 1, 5)], np.int32)
    chosen = options("ReverseSequenceOptions", seqDim=1, batchDim=0)
    return one_op("REVERSE_SEQUENCE", [Fed(*shape), lengths], chosen)


@model("GATHER")
def gather(random: Random) -> bytes:
    shape, axis = image(random).shape, whole(random, 1, 2)
    indices = random.integers(0, shape[axis], [whole(random, 1, 6)]).astype(np.int32)
    chosen = options("GatherOptions", axis=axis, batchDims=0)
    return one_op("GATHER", [Fed(*shape), indices], chosen)


@model("GATHER_ND")
def gather_nd(random: Random) -> bytes:
    shape = image(random).shape
    rows = [[0, whole(random, 0, 4), whole(random, 0, 4)] for _ in range(3)]
    return one_op("GATHER_ND", [Fed(*shape), np.array(rows, np.int32)])


@model("SCATTER_ND")
def scatter_nd(random: Random) -> bytes:
    indices = np.array([[1], [4], [2]], np.int32)
    shape = np.array([6, 5, 2], np.int32)
    return one_op("SCATTER_ND", [indices, Fed(3, 5, 2), shape])


@model("SPARSE_TO_DENSE")
def sparse_to_dense(random: Random) -> bytes:
    inputs = [np.array([1, 4, 6], np.int32), np.array([8], np.int32)]
    chosen = options("SparseToDenseOptions")
    return one_op("SPARSE_TO_DENSE", [*inputs, Fed(3), np.float32(0)], chosen)


@model("DYNAMIC_UPDATE_SLICE")
def dynamic_update_slice(random: Random) -> bytes:
    starts = np.array([0, whole(random, -2, 9), whole(random, 0, 3), 0], np.int32)
    return one_op("DYNAMIC_UPDATE_SLICE", [image(random), Fed(1, 3, 2, 2), starts])


@model("ONE_HOT")
def one_hot(random: Random) -> bytes:
    chosen = options("OneHotOptions", axis=whole(random, -1, 2))
    numbers = [np.array(4, np.int32), np.float32(1), np.float32(0)]
    return one_op("ONE_HOT", [Fed(1, 6, dtype="int32"), *numbers], chosen)


@model("EMBEDDING_LOOKUP")
def embedding_lookup(random: Random) -> bytes:
    return one_op("EMBEDDING_LOOKUP", [Fed(6, dtype="int32"), weights(random, 9, 3)])


@model("SELECT", "SELECT_V2")
def select(random: Random, op: str) -> bytes:
    shape = image(random).shape
    mask = random.random(shape) < 0.5
    return one_op(op, [mask, Fed(*shape), Fed(*shape)])


@model("MATRIX_DIAG")
def matrix_diag(random: Random) -> bytes:
    return one_op("MATRIX_DIAG", [Fed(1, whole(random, 4, 7))])


@model("MATRIX_SET_DIAG")
def matrix_set_diag(random: Random) -> bytes:
    size = whole(random, 4, 6)
    return one_op("MATRIX_SET_DIAG", [Fed(1, size, size), Fed(1, size)])


# --- Reductions and products --------------------------------------------------------


@model("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
def reduction(random: Random, op: str) -> bytes:
    axes = [[1], [2], [1, 2], [3], [-2]][whole(random, 0, 4)]
    chosen = options("ReducerOptions", keepDims=bool(whole(random, 0, 1)))
    return one_op(op, [image(random), np.array(axes, np.int32)], chosen)


@model("REDUCE_ANY", "REDUCE_ALL")
def reduced_bits(random: Random, op: str) -> bytes:
    axes = np.array([[1], [2], [1, 2], [3]][whole(random, 0, 3)], np.int32)
    chosen = options("ReducerOptions", keepDims=bool(whole(random, 0, 1)))
    fed = Fed(*image(random).shape, dtype="bool")
    return one_op(op, [fed, axes], chosen, ["bool"])


@model("ARG_MAX", "ARG_MIN")
def winner(random: Random, op: str) -> bytes:
    kind = "ArgMaxOptions" if op == "ARG_MAX" else "ArgMinOptions"
    axis = np.array(whole(random, 1, 3) - 4 * whole(random, 0, 1), np.int32)
    return one_op(op, [image(random, 6), axis], options(kind, outputType=2), ["int32"])


@model("CUMSUM")
def cumsum(random: Random) -> bytes:
    chosen = options(
        "CumsumOptions",
        exclusive=bool(whole(random, 0, 1)),
        reverse=bool(whole(random, 0, 1)),
    )
    return one_op(
        "CUMSUM", [image(random), np.array(whole(random, 1, 2), np.int32)], chosen
    )


@model("TOPK_V2")
def top_k(random: Random) -> bytes:
    count = np.array(2, np.int32)
    return one_op("TOPK_V2", [image(random, 4), count], None, ["float32", "int32"])


@model("FULLY_CONNECTED")
def fully_connected(random: Random) -> bytes:
    shape, outer = [(2, 6), (1, 4, 6), (1, 4, 3, 2)][whole(random, 0, 2)], 3
    keeps = len(shape) == 3 and random.random() < 0.5
    chosen = options("FullyConnectedOptions", keepNumDims=keeps)
    inner = 24 if len(shape) == 4 and random.random() < 0.5 else 6
    inputs = [Fed(*shape), weights(random, outer, inner), weights(random, outer)]
    return one_op("FULLY_CONNECTED", inputs, chosen)


@model("BATCH_MATMUL")
def batch_matmul(random: Random) -> bytes:
    left, right = bool(whole(random, 0, 1)), bool(whole(random, 0, 1))
    rows, inner, columns = 4, 5, 6
    one = (inner, rows) if left else (rows, inner)
    two = (columns, inner) if right else (inner, columns)
    chosen = options("BatchMatMulOptions", adjX=left, adjY=right)
    second = Fed(1, 2, *two) if random.random() < 0.5 else weights(random, 1, 2, *two)
    return one_op("BATCH_MATMUL", [Fed(1, 2, *one), second], chosen)


@model("RFFT2D")
def rfft(random: Random) -> bytes:
    return one_op(
        "RFFT2D", [Fed(1, 8, 8), np.array([8, 8], np.int32)], None, ["complex64"]
    )


@model("SEGMENT_SUM")
def segment_sum(random: Random) -> bytes:
    return one_op("SEGMENT_SUM", [Fed(5, 3), np.array([0, 0, 1, 1, 2], np.int32)])


@model(
    "UNSORTED_SEGMENT_MAX",
    "UNSORTED_SEGMENT_MIN",
    "UNSORTED_SEGMENT_SUM",
    "UNSORTED_SEGMENT_PROD",
)
def unsorted_segment(random: Random, op: str) -> bytes:
    numbers = np.array([0, 2, 1, 1, 2], np.int32), np.array(3, np.int32)
    return one_op(op, [Fed(5, 3), *numbers])


# --- Recurrent ----------------------------------------------------------------------


@model("RNN")
def rnn(random: Random) -> bytes:
    numbers = [weights(random, 3, 2), weights(random, 3, 3), weights(random, 3)]
    chosen = options("RNNOptions", fusedActivationFunction=0)
    return one_op("RNN", [Fed(1, 2), *numbers, ("state", 1, 3)], chosen)


@model("UNIDIRECTIONAL_SEQUENCE_RNN")
def sequence_rnn(random: Random) -> bytes:
    major = bool(whole(random, 0, 1))
    numbers = [weights(random, 3, 2), weights(random, 3, 3), weights(random, 3)]
    chosen = options("SequenceRNNOptions", timeMajor=major, fusedActivationFunction=0)
    shape = (6, 1, 2) if major else (1, 6, 2)
    inputs = [Fed(*shape), *numbers, ("state", 1, 3)]
    return one_op("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, chosen)


@model("BIDIRECTIONAL_SEQUENCE_RNN")
def both_ways_rnn(random: Random) -> bytes:
    merge = bool(whole(random, 0, 1))
    one = [weights(random, 3, 2), weights(random, 3, 3), weights(random, 3)]
    chosen = options(
        "BidirectionalSequenceRNNOptions", mergeOutputs=merge, fusedActivationFunction=0
    )
    inputs = [Fed(1, 6, 2), *one, ("state", 1, 3), *one, ("state", 1, 3)]
    inputs += [None, None, None]
    outputs = ["float32"] * (1 if merge else 2)
    return one_op("BIDIRECTIONAL_SEQUENCE_RNN", inputs, chosen, outputs)


def _cells(random: Random, units: int, inner: int) -> list[Any]:
    gates = [weights(random, units, inner) / 4 for _ in range(4)]
    gates += [weights(random, units, units) / 4 for _ in range(4)]
    return [*gates, None, None, None, *(weights(random, units) / 4 for _ in range(4))]


@model("LSTM")
def lstm(random: Random) -> bytes:
    chosen = options("LSTMOptions", fusedActivationFunction=4)
    cells = [*_cells(random, 3, 2), None, None]
    inputs = [
        Fed(1, 2),
        *cells,
        ("state", 1, 3),
        ("state", 1, 3),
        None,
        None,
        None,
        None,
    ]
    return one_op("LSTM", inputs, chosen)


@model("UNIDIRECTIONAL_SEQUENCE_LSTM")
def sequence_lstm(random: Random) -> bytes:
    major = bool(whole(random, 0, 1))
    chosen = options(
        "UnidirectionalSequenceLSTMOptions", fusedActivationFunction=4, timeMajor=major
    )
    cells = [*_cells(random, 3, 2), None, None]
    shape = (6, 1, 2) if major else (1, 6, 2)
    inputs = [Fed(*shape), *cells, ("state", 1, 3), ("state", 1, 3)]
    return one_op("UNIDIRECTIONAL_SEQUENCE_LSTM", [*inputs, *[None] * 4], chosen)


@model("BIDIRECTIONAL_SEQUENCE_LSTM")
def both_ways_lstm(random: Random) -> bytes:
    merge = bool(whole(random, 0, 1))
    chosen = options(
        "BidirectionalSequenceLSTMOptions",
        fusedActivationFunction=4,
        mergeOutputs=merge,
        timeMajor=False,
    )
    cells = [*_cells(random, 3, 2), None, None]
    states = [("state", 1, 3)] * 4
    inputs = [Fed(1, 6, 2), *cells, *cells, *states, *[None] * 9]
    outputs = ["float32"] * (1 if merge else 2)
    return one_op("BIDIRECTIONAL_SEQUENCE_LSTM", inputs, chosen, outputs)


@model("SVDF")
def svdf(random: Random) -> bytes:
    units, rank, memory, inner = 3, 2, 4, 2
    numbers = [
        weights(random, units * rank, inner),
        weights(random, units * rank, memory),
        weights(random, units),
    ]
    state = ("state", 1, units * rank * memory)
    return one_op(
        "SVDF", [Fed(1, inner), *numbers, state], options("SVDFOptions", rank=rank)
    )


# --- StableHLO ----------------------------------------------------------------------


@model("STABLEHLO_ADD", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM")
def stable_binary(random: Random, op: str) -> bytes:
    first = image(random)
    return one_op(op, [first, weights(random, *first.shape)])


@model("STABLEHLO_PAD")
def stable_pad(random: Random) -> bytes:
    chosen = options(
        "StablehloPadOptions",
        second=True,
        edgePaddingLow=[0, whole(random, -1, 3), whole(random, -1, 3), 0],
        edgePaddingHigh=[0, whole(random, -1, 3), whole(random, 0, 3), 0],
        interiorPadding=[0, whole(random, 0, 2), whole(random, 0, 2), 0],
    )
    return one_op("STABLEHLO_PAD", [image(random), np.float32(0)], chosen)


@model("DILATE")
def dilate(random: Random) -> bytes:
    steps = np.array([1, whole(random, 1, 3), whole(random, 1, 3), 1], np.int32)
    return one_op("DILATE", [image(random), steps, np.float32(0)])


@model("REDUCE_WINDOW")
def reduce_window(random: Random) -> bytes:
    function = whole(random, 1, 4)
    numbers = [
        np.array([1, whole(random, 1, 3), whole(random, 1, 3), 1], np.int64)
        for _ in range(2)
    ]
    dilations = np.array([1, whole(random, 1, 2), whole(random, 1, 2), 1], np.int64)
    start = np.float32({1: 0, 2: 1, 3: 1e9, 4: -1e9}[function])
    chosen = options("ReduceWindowOptions", second=True, reduceFunction=function)
    return one_op("REDUCE_WINDOW", [image(random), start, *numbers, dilations], chosen)


@model("STABLEHLO_REDUCE_WINDOW")
def stable_reduce_window(random: Random) -> bytes:
    writer = Writer()
    shape = image(random, least=6).shape
    data, start = writer.input(*shape), writer.constant(np.float32(0))

    def numbers(most: int) -> list[int]:
        return [1, whole(random, 1, most), whole(random, 1, most), 1]

    chosen = options(
        "StablehloReduceWindowOptions",
        second=True,
        windowDimensions=numbers(3),
        windowStrides=numbers(3),
        windowDilations=numbers(2),
        baseDilations=numbers(2),
        padding=[0, 0, *(whole(random, 0, 2) for _ in range(4)), 0, 0],
        bodySubgraphIndex=1,
    )
    writer.op("STABLEHLO_REDUCE_WINDOW", [data, start], chosen)
    writer.subgraph()
    writer.op("STABLEHLO_ADD", [writer.input(), writer.input()])
    return writer.content()


WINDOWED = (
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "AVERAGE_POOL_2D"),
    *("MAX_POOL_2D", "L2_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    *("PAD", "MIRROR_PAD", "STRIDED_SLICE", "SLICE", "FULLY_CONNECTED"),
)
"""Ops that move or combine positions in ways that differ between kernels."""

# --- Ops without a model --------------------------------------------------------------

EVERYTHING = "a bound: the outputs depend on all values of the inputs"
NO_DATA = "nothing to measure: its outputs do not depend on the values of images"
LIKE_OTHERS = "as in TensorFlow; no interpreter has a kernel for it"
NO_KERNEL = "no rule: no interpreter has a kernel for it"
OF_TEXTS = "no rule: it reads texts or sparse numbers, not images"

REASONS = {
    "CALL": "inlined, like IF, which is measured; no interpreter has a kernel for it",
    "IF": "measured, in models with branches (`test_branches`)",
    "WHILE": "measured, in a model with a loop (`test_loops`)",
    "UNIQUE": EVERYTHING,
    "WHERE": EVERYTHING,
    "NON_MAX_SUPPRESSION_V4": EVERYTHING,
    "NON_MAX_SUPPRESSION_V5": EVERYTHING,
    "FILL": "one number, which every output position is",
    "RANGE": NO_DATA,
    "DENSIFY": "elementwise; it reads constants only",
    "CALL_ONCE": "it sets variables, and returns nothing",
    "HASHTABLE": NO_DATA,
    "HASHTABLE_IMPORT": NO_DATA,
    "HASHTABLE_SIZE": NO_DATA,
    "HASHTABLE_FIND": "elementwise; the interpreter only runs it on texts and numbers",
    "VAR_HANDLE": NO_DATA,
    "ASSIGN_VARIABLE": "it returns nothing; READ_VARIABLE reads what it assigns",
    "READ_VARIABLE": "what was assigned before, or a constant",
    "BROADCAST_ARGS": "it computes shapes",
    "RANDOM_STANDARD_NORMAL": NO_DATA,
    "RANDOM_UNIFORM": NO_DATA,
    "MULTINOMIAL": "random: a sample depends on all probabilities of its row",
    "HASHTABLE_LOOKUP": OF_TEXTS,
    "LSH_PROJECTION": OF_TEXTS,
    "SKIP_GRAM": OF_TEXTS,
    "EMBEDDING_LOOKUP_SPARSE": OF_TEXTS,
    "CONCAT_EMBEDDINGS": NO_KERNEL,
    "CUSTOM": "no rule: the name of a custom op says which op it is, see above",
    "DELEGATE": "no rule: it is only in memory, never in files",
    "PLACEHOLDER_FOR_GREATER_OP_CODES": "no rule: it is no op, and an error in files",
    **{
        name: LIKE_OTHERS if name in OPS else NO_KERNEL
        for name in BUILTINS
        if name.startswith("STABLEHLO_") and name not in MODELS
    },
}
REASONS |= {
    "STABLEHLO_COMPOSITE": "inlined, like CALL",
    "STABLEHLO_WHILE": "inlined, like WHILE; no interpreter has a kernel for it",
    "STABLEHLO_CASE": "inlined, like IF; no interpreter has a kernel for it",
    "STABLEHLO_GATHER": "a bound: positions may come from anywhere",
    "STABLEHLO_SCATTER": "a bound: positions may be written anywhere",
    "STABLEHLO_RNG_BIT_GENERATOR": NO_DATA,
}


def result(name: str) -> str:
    """The row of an op in the table."""
    return REASONS.get(name) or "measured"
