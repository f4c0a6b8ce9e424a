"""A small network around each op type that networks are made of; `op_catalogue` has the
rarer ones.

All take an image of (1, 4, 5, 2) in double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from needed import needed
from raw_ops import op, weights, words

tf = needed("tensorflow")
raw = tf.raw_ops

Network = Callable[[Any], Any]


def whole(x: Any) -> Any:
    """Whole numbers below 64, most of them different."""
    return tf.cast(tf.abs(x) * 10, tf.int32) % 64


def back(y: Any) -> Any:
    """As numbers, whatever they are."""
    if y.dtype.is_complex:
        return tf.math.real(y) + tf.math.imag(y)
    return tf.cast(y, tf.float64) if y.dtype != tf.float64 else y


def of(name: str, *more: Any, **attributes: Any) -> Network:
    """A network of one op on the image."""
    return lambda x: back(op(name, x, *more, **attributes))


def of_single(name: str, *more: Any, **attributes: Any) -> Network:
    """One for ops that have no kernel in double precision."""
    return lambda x: back(op(name, tf.cast(x, tf.float32), *more, **attributes))


def of_colours(name: str, *more: Any) -> Network:
    """One on an image of three colours."""
    network = of_single(name, *more)
    return lambda x: network(tf.concat([x, x[..., :1] / 2], 3))


def of_first(name: str, *more: Any, **attributes: Any) -> Network:
    """One of the first output of an op that has several."""
    return lambda x: back(op(name, x, *more, **attributes)[0])


def weighed(name: str, *shape: int, **attributes: Any) -> Network:
    """One of the image and a kernel, or another tensor of this shape."""
    return lambda x: back(op(name, x, weights(x, *shape), **attributes))


def of_volume(name: str, *shape: int, **attributes: Any) -> Network:
    """One on a volume, whose height is the image's: with a kernel if it has a shape."""

    def build(x: Any) -> Any:
        y = x[:, :, None]
        more = [weights(x, *shape)] if shape else []
        return back(
            op(name, y if more else tf.cast(y, tf.float32), *more, **attributes)
        )

    return build


def of_complex(name: str, **attributes: Any) -> Network:
    return lambda x: back(op(name, tf.complex(x, x * x), **attributes))


def of_matrix(change: Network) -> Network:
    """Rows and columns last, as matrices and spectra need them."""

    def build(x: Any) -> Any:
        y = change(tf.transpose(x, (0, 3, 1, 2)))
        return tf.transpose(back(y), (0, 2, 3, 1))

    return build


def spectrum(name: str) -> Network:
    """What a spectrum is computed of, complex numbers or real ones."""
    inverse = name.startswith("I")
    axes = [4, 8 if inverse else 5][-2 if name.endswith("2D") else -1 :]

    def change(y: Any) -> Any:
        if name.lstrip("I").startswith("FFT"):
            return op(name, tf.cast(y, tf.complex128))
        if inverse:
            return op(name, tf.complex(y, y * y), axes, Treal=tf.float64)
        return op(name, y, axes, Tcomplex=tf.complex128)

    return of_matrix(change)


def upwards(name: str, axes: int) -> Network:
    """A transposed convolution."""

    def build(x: Any) -> Any:
        y = x if axes == 2 else x[:, :, :, None]
        sizes = [8, 10, 1][:axes]
        kernel = weights(x, *[3, 2, 1][:axes], 2, 2)
        strides = [1, *[2, 2, 1][:axes], 1]
        return op(name, [1, *sizes, 2], kernel, y, strides=strides, padding="SAME")

    return build


def normalised(name: str) -> Network:
    def build(x: Any) -> Any:
        numbers = [tf.cast(weights(x, 2), tf.float32) for _ in range(4)]
        return back(op(name, tf.cast(x, tf.float32), *numbers, is_training=False)[0])

    return build


def to_size(name: str, *more: Any) -> Network:
    """A resize of the image."""
    return of_single(name, [7, 3], *more)


# --- Quantised and fused -------------------------------------------------------------


def as_quantized(x: Any) -> Any:
    return tf.quantization.quantize(tf.cast(x, tf.float32), 0.0, 2.0, tf.quint8)


def of_quantized(name: str, **attributes: Any) -> Network:
    def build(x: Any) -> Any:
        return back(
            tf.quantization.dequantize(*op(name, *as_quantized(x), **attributes))
        )

    return build


def quantized_convolution(x: Any) -> Any:
    y, low, high = as_quantized(x)
    kernel = as_quantized(weights(x, 3, 2, 2, 2))
    z = op(
        *("QuantizedConv2D", y, kernel[0], low, high, *kernel[1:]),
        strides=[1, 2, 2, 1],
        padding="SAME",
    )
    return back(tf.quantization.dequantize(*z))


def quantized_sum(x: Any) -> Any:
    y, low, high = as_quantized(x)
    z = op("QuantizedAdd", y, y, low, high, low, high)
    return back(tf.bitcast(z[0], tf.int32))


def fused(name: str, change: Network, *shape: int, **attributes: Any) -> Network:
    """What TensorFlow's optimiser makes of an op with a bias and an activation.

    Args:
      name: the op type.
      change: what is done to the image before.
      shape: that of the kernel.
      attributes: more attributes of the node.
    """
    value = tf.compat.v1.AttrValue

    def build(x: Any) -> Any:
        y = tf.cast(change(x), tf.float32)
        kind = y.dtype.as_datatype_enum
        names = value.ListValue(s=[b"BiasAdd", b"Relu"])
        values = {
            "T": value(type=kind),
            "num_args": value(i=1),
            "fused_ops": value(list=names),
            **attributes,
        }
        inputs = [y, weights(y, *shape), weights(y, shape[-1])]
        graph = tf.compat.v1.get_default_graph()
        made = graph.create_op(name, inputs, [y.dtype], name="fused", attrs=values)
        return back(made.outputs[0])

    return build


def fused_convolution(x: Any) -> Any:
    value = tf.compat.v1.AttrValue
    types = value.ListValue(type=[tf.float32.as_datatype_enum])
    build = fused(
        *("_FusedConv2D", lambda x: x, 3, 2, 2, 2),
        strides=value(list=value.ListValue(i=[1, 2, 1, 1])),
        padding=value(s=b"SAME"),
        TArgs=value(list=types),
        num_host_args=value(i=0),
    )
    return build(x)


def fused_product(x: Any) -> Any:
    rows = fused("_FusedMatMul", lambda x: tf.reshape(x, (20, 2)), 2, 3)(x)
    return tf.reshape(rows, (1, 4, 5, 3))


# --- Control flow ---------------------------------------------------------------------


def still(x: Any) -> Any:
    """The image, and an op that has a state: what they lie in has one, too."""
    with tf.control_dependencies([tf.random.uniform(())]):
        return tf.identity(x)


def loop(x: Any) -> Any:
    """A few steps, each of which stays in place."""
    return tf.while_loop(
        lambda i, x: i < 3, lambda i, x: (i + 1, still(tf.nn.relu(x) * 2)), (0, x)
    )[1]


def condition(x: Any) -> Any:
    """Two branches of which only one can be seen: they see the same."""
    return tf.cond(
        tf.constant(True), lambda: still(x[:, ::-1]), lambda: tf.reverse(x, [1])
    )


def loop_that_asks(x: Any) -> Any:
    """How many steps there are depends on the image."""
    return tf.while_loop(
        lambda x: tf.reduce_sum(x) < 50, lambda x: (tf.nn.relu(x) * 2 + 1,), (x,)
    )[0]


def of_version_1(build: Network) -> Network:
    """With the control flow of TensorFlow 1, which is ops of the graph itself."""

    def built(x: Any) -> Any:
        tf.compat.v1.disable_control_flow_v2()
        try:
            return build(x)
        finally:
            tf.compat.v1.enable_control_flow_v2()

    return built


def call(x: Any) -> Any:
    return tf.function(lambda x: x[:, ::-1])(x)


# --- All of them ---------------------------------------------------------------------

_UNARY = words(
    """
    Abs Acos Acosh Asin Asinh Atan Atanh BesselI0e BesselI1e Ceil Cos Cosh Digamma Elu
    Erf Erfc Erfinv Exp Expm1 Floor Identity Inv LeakyRelu Lgamma Log Log1p LogSoftmax
    Ndtri Neg PreventGradient Reciprocal Relu Relu6 Rint Round Rsqrt Selu Sigmoid Sign
    Sin Sinh Snapshot Softmax Softplus Softsign Sqrt Square StopGradient Tan Tanh
    """
)
_BINARY = words(
    """
    Add AddV2 Atan2 Div DivNoNan FloorDiv FloorMod Greater GreaterEqual Less LessEqual
    Maximum Minimum Mul MulNoNan NextAfter Pow RealDiv SquaredDifference Sub Xdivy Xlogy
    """
)
_WINDOW = {"ksize": [1, 3, 2, 1], "strides": [1, 2, 1, 1], "padding": "SAME"}
_KERNEL = {"strides": [1, 1, 1, 1], "padding": "SAME"}
_VOLUME = {"strides": [1, 2, 1, 1, 1], "padding": "SAME"}

NETWORKS: dict[str, Network] = {
    # By position.
    **{name: of(name) for name in _UNARY},
    **{name: weighed(name, 1, 4, 5, 2) for name in _BINARY},
    "AddN": lambda x: op("AddN", [x, x * x]),
    "BiasAdd": weighed("BiasAdd", 2),
    "Bitcast": lambda x: back(op("Bitcast", x, type=tf.int64)),
    "Bucketize": of_single("Bucketize", boundaries=[0.3, 0.6, 1.0]),
    "Cast": of("Cast", DstT=tf.int32),
    "ClipByValue": lambda x: op("ClipByValue", x, 0 * x + 0.2, 0 * x + 1.1),
    "Equal": lambda x: back(op("Equal", tf.floor(x), tf.zeros_like(x))),
    "NotEqual": lambda x: back(op("NotEqual", tf.floor(x), tf.zeros_like(x))),
    **{name: normalised(name) for name in words("FusedBatchNorm FusedBatchNormV2")},
    "FusedBatchNormV3": normalised("FusedBatchNormV3"),
    "IdentityN": lambda x: op("IdentityN", [2 * x, x])[1],
    "Imag": of_complex("Imag", Tout=tf.float64),
    "IsFinite": lambda x: back(op("IsFinite", tf.exp(3 * x))),
    "IsInf": lambda x: back(op("IsInf", tf.exp(3 * x))),
    "IsNan": lambda x: back(op("IsNan", tf.math.log(x))),
    "LogicalAnd": lambda x: back(op("LogicalAnd", x > 0, tf.exp(x) > 1)),
    "LogicalNot": lambda x: back(op("LogicalNot", x > 0)),
    "LRN": of_single("LRN"),
    "Real": of_complex("Real", Tout=tf.float64),
    "Select": lambda x: op("Select", x > 0, weights(x, 1, 4, 5, 2), 2 * x),
    "SelectV2": lambda x: op("SelectV2", x > 0, weights(x, 2), 2 * x),
    # Colours.
    "AdjustContrastv2": of_colours("AdjustContrastv2", 0.7),
    "AdjustHue": of_colours("AdjustHue", 0.2),
    "AdjustSaturation": of_colours("AdjustSaturation", 0.7),
    **{name: of_colours(name) for name in words("HSVToRGB RGBToHSV")},
    # Windows.
    **{name: of(name, **_WINDOW) for name in words("AvgPool MaxPool")},
    "MaxPoolV2": of("MaxPoolV2", [1, 3, 2, 1], [1, 2, 1, 1], padding="SAME"),
    "MaxPoolWithArgmax": of_first("MaxPoolWithArgmax", **_WINDOW),
    **{
        name: of_volume(name, ksize=[1, 3, 1, 2, 1], **_VOLUME)
        for name in words("AvgPool3D MaxPool3D")
    },
    "Conv2D": weighed("Conv2D", 3, 2, 2, 2, **_KERNEL),
    "Conv3D": of_volume("Conv3D", 3, 1, 2, 2, 2, **_VOLUME),
    "DepthwiseConv2dNative": weighed("DepthwiseConv2dNative", 3, 2, 2, 1, **_KERNEL),
    "Conv2DBackpropInput": upwards("Conv2DBackpropInput", 2),
    "Conv3DBackpropInputV2": upwards("Conv3DBackpropInputV2", 3),
    "Dilation2D": weighed("Dilation2D", 3, 2, 2, rates=[1, 1, 2, 1], **_KERNEL),
    "ExtractImagePatches": of(
        "ExtractImagePatches", ksizes=[1, 3, 2, 1], rates=[1, 1, 2, 1], **_KERNEL
    ),
    "ExtractVolumePatches": of_volume(
        "ExtractVolumePatches", ksizes=[1, 3, 1, 2, 1], **_VOLUME
    ),
    **{
        name: of_first(
            name, pooling_ratio=[1.0, 1.3, 1.44, 1.0], deterministic=True, seed=1
        )
        for name in words("FractionalAvgPool FractionalMaxPool")
    },
    # Padding and parts.
    "GatherNd": lambda x: op("GatherNd", x, [[[0, 1], [0, 3]]]),
    "GatherV2": of("GatherV2", [2, 0, 3], 1),
    "MirrorPad": of("MirrorPad", [[0, 0], [2, 1], [0, 3], [0, 0]], mode="REFLECT"),
    "OneHot": lambda x: back(op("OneHot", whole(x)[..., 0], 64, 1.0, 0.0)),
    "Pad": of("Pad", [[0, 0], [2, 1], [0, 3], [0, 0]]),
    "PadV2": lambda x: op(
        "PadV2", x, [[0, 0], [2, 1], [0, 3], [0, 0]], tf.constant(3.0, x.dtype)
    ),
    "ReverseV2": of("ReverseV2", [1]),
    "Slice": of("Slice", [0, 1, 2, 0], [1, 2, 3, 2]),
    "Split": lambda x: op("Split", 1, x, num_split=2)[1],
    "StridedSlice": lambda x: x[:, ::2, 3:0:-1],
    "TensorScatterUpdate": lambda x: op(
        "TensorScatterUpdate", x, [[0, 1, 2]], x[:, 3, 4]
    ),
    # Joined, and of another shape.
    "ConcatV2": lambda x: op("ConcatV2", [x, 2 * x[:, :2]], 1),
    "DepthToSpace": lambda x: op("DepthToSpace", tf.tile(x, [1, 1, 1, 2]), 2),
    "Einsum": lambda x: op("Einsum", [x, weights(x, 5, 3)], equation="bhwc,wv->bhvc"),
    "ExpandDims": of("ExpandDims", 2),
    "MatMul": lambda x: tf.reshape(
        op("MatMul", tf.reshape(x, (20, 2)), weights(x, 2, 3)), (1, 4, 5, 3)
    ),
    "BatchMatMulV2": weighed("BatchMatMulV2", 2, 3),
    "Pack": lambda x: op("Pack", [x, 2 * x], axis=2),
    "Reshape": of("Reshape", [1, 2, 10, 2]),
    **{
        name: lambda x: op(
            "BatchToSpaceND",
            tf.nn.avg_pool2d(
                op("SpaceToBatchND", x, [2, 1], [[0, 0], [0, 0]]), 2, 1, "VALID"
            ),
            [2, 1],
            [[0, 0], [0, 0]],
        )
        for name in words("BatchToSpaceND SpaceToBatchND")
    },
    "SpaceToDepth": lambda x: op("SpaceToDepth", x[:, :, :4], 2),
    "Squeeze": lambda x: op("Squeeze", x[:, :, 2:3], axis=[2]),
    "Tile": of("Tile", [1, 2, 1, 1]),
    "Transpose": of("Transpose", [0, 2, 1, 3]),
    # Along axes.
    "Any": lambda x: back(op("Any", x > 2, [1], keep_dims=True)),
    **{name: of(name, 1) for name in words("ArgMax ArgMin")},
    **{name: of(name, 1) for name in words("Cumprod Cumsum CumulativeLogsumexp")},
    **{
        name: of(name, [1], keep_dims=True)
        for name in words("EuclideanNorm Max Mean Min Prod Sum")
    },
    **{
        name: spectrum(name)
        for name in words("FFT FFT2D IFFT IFFT2D IRFFT IRFFT2D RFFT RFFT2D")
    },
    "MatrixBandPart": of_matrix(
        lambda y: op("MatrixBandPart", y, *np.array([1, 1], np.int64))
    ),
    "TopKV2": of_first("TopKV2", 1),
    # Resized.
    **{
        name: to_size(name) for name in words("ResizeArea ResizeBicubic ResizeBilinear")
    },
    "ResizeNearestNeighbor": to_size("ResizeNearestNeighbor"),
    "ScaleAndTranslate": to_size("ScaleAndTranslate", [1.75, 0.6], [0.0, 0.0]),
    "CropAndResize": of_single("CropAndResize", [[0.1, 0.2, 0.7, 0.8]], [0], [3, 4]),
    "ImageProjectiveTransformV3": of_single(
        "ImageProjectiveTransformV3",
        *([[0.8, -0.6, 1.0, 0.6, 0.8, 0.0, 0.0, 0.0]], [4, 5], 0.0),
        interpolation="BILINEAR",
    ),
    # Quantised and fused.
    **{
        name: lambda x: back(tf.quantization.dequantize(*as_quantized(x)))
        for name in words("Dequantize QuantizeV2")
    },
    "QuantizedAdd": quantized_sum,
    **{
        name: of_quantized(name, **_WINDOW)
        for name in words("QuantizedAvgPool QuantizedMaxPool")
    },
    "QuantizedConv2D": quantized_convolution,
    **{name: of_quantized(name) for name in words("QuantizedRelu QuantizedRelu6")},
    "_FusedConv2D": fused_convolution,
    "_FusedMatMul": fused_product,
    # Control flow.
    "If": condition,
    "PartitionedCall": call,
    "While": loop,
    **{name: of_version_1(condition) for name in words("Merge Switch")},
    **{name: of_version_1(loop) for name in words("Enter Exit NextIteration")},
    "LoopCond": of_version_1(loop_that_asks),
}
"""Op type -> a network around it."""
