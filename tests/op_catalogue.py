"""Every op type that has a rule: networks around it, or why it is not measured."""

from __future__ import annotations

from typing import Any

import op_networks
from needed import needed
from op_networks import back, of, of_complex, of_single, whole
from raw_ops import op, weights, words

from receptive_field.frameworks.tensorflow.ops import OPS

tf = needed("tensorflow")

REGISTERED = frozenset(OPS)
"""The op types of the library itself; tests may register more."""


def of_whole(name: str, *more: Any, **attributes: Any) -> Any:
    return lambda x: back(op(name, whole(x), *more, **attributes))


def of_two(name: str) -> Any:
    return lambda x: back(op(name, x, x + 0.5))


def of_two_whole(name: str) -> Any:
    return lambda x: back(op(name, whole(x) + 1, whole(x) % 5 + 1))


def definite(name: str) -> Any:
    """Matrices that can be inverted, whatever is in them."""

    def build(x: Any) -> Any:
        y = tf.transpose(x[:, :4, :4], (0, 3, 1, 2))
        y = tf.matmul(y, y, transpose_b=True) / 100 + 3 * tf.eye(4, dtype=y.dtype)
        return tf.transpose(op(name, y), (0, 2, 3, 1))

    return build


def segments(name: str) -> Any:
    def build(x: Any) -> Any:
        rows = tf.reshape(x, (20, 2))
        more = [5] if name.startswith("Unsorted") else []
        found = op(name, rows, [i // 4 for i in range(20)], *more)
        return tf.reshape(found, (1, 5, 1, 2))

    return build


def scattered(name: str) -> Any:
    return lambda x: op(name, x, tf.constant([[0, 1, 2]]), x[:, 3, 4] * 2)


def counted(name: str) -> Any:
    """Outputs whose size depends on values: only whether they change counts."""

    def build(x: Any) -> Any:
        y = tf.reshape(whole(x), (-1,))
        found = getattr(tf.raw_ops, name)
        z = found(x=y) if not name.endswith("V2") else found(x=y, axis=[0])
        return tf.reshape(tf.reduce_sum(tf.cast(z.y, tf.float64) ** 2), (1, 1, 1, 1))

    return build


def dynamic(name: str) -> Any:
    def build(x: Any) -> Any:
        rows = tf.reshape(x, (20, 2))
        indices = [list(range(0, 20, 2)), list(range(1, 20, 2))]
        if name == "DynamicPartition":
            parts = tf.dynamic_partition(rows, [0] * 10 + [1] * 10, 2)
            return tf.ensure_shape(parts[0], (10, 2))[None, None]
        return tf.reshape(op(name, indices, [rows[:10], rows[10:]]), (1, 4, 5, 2))

    return build


def suppressed(name: str) -> Any:
    def build(x: Any) -> Any:
        boxes = tf.cast(tf.reshape(tf.repeat(x, 2, -1), (20, 4)), tf.float32)
        scores = boxes[:, 0]
        more = [] if name == "NonMaxSuppression" else [0.5]
        more += [0.0] if name[-1] in "345" else []
        more += [0.0] if name[-1] == "5" else []
        given = {"iou_threshold": 0.5} if name == "NonMaxSuppression" else {}
        if name.endswith("Overlaps"):
            more, boxes = [0.5, 0.0], boxes @ tf.transpose(boxes)
        found = op(name, boxes, scores, 5, *more, **given)
        found = getattr(found, "selected_indices", found)
        return tf.reshape(tf.cast(tf.reduce_sum(found), tf.float64), (1, 1, 1, 1))

    return build


def array(count: int, change: Any) -> Any:
    """A tensor array of TensorFlow 1, its items the rows of the image."""

    def build(x: Any) -> Any:
        raw = tf.raw_ops
        made = raw.TensorArrayV3(
            size=4, dtype=x.dtype, dynamic_size=True, clear_after_read=False
        )
        rows = tf.transpose(x, (1, 0, 2, 3))
        flow = raw.TensorArrayScatterV3(
            handle=made.handle, indices=range(4), value=rows, flow_in=made.flow
        )
        return tf.ensure_shape(change(made.handle, flow), (1, count, 5, 2))

    return build


def items(count: int, change: Any) -> Any:
    """A list of tensors, its items the rows of the image."""

    def build(x: Any) -> Any:
        rows = tf.transpose(x, (1, 0, 2, 3))
        shape = [1, 5, 2]
        made = tf.raw_ops.TensorListFromTensor(tensor=rows, element_shape=shape)
        return tf.ensure_shape(change(made, shape, x), (1, count, 5, 2))

    return build


def stacked(made: Any, shape: Any, x: Any) -> Any:
    rows = tf.raw_ops.TensorListStack(
        input_handle=made, element_shape=shape, element_dtype=x.dtype
    )
    return tf.transpose(rows, (1, 0, 2, 3))


def by_way_of_the_batch(x: Any) -> Any:
    none = [[0, 0], [0, 0]]
    y = op("SpaceToBatch", x[:, :, :4], none, block_size=2)
    return op("BatchToSpace", y, none, block_size=2)


def quantized(name: str) -> Any:
    def build(x: Any) -> Any:
        y, low, high = tf.quantization.quantize(
            tf.cast(x, tf.float32), 0.0, 2.0, tf.quint8
        )
        z = tf.raw_ops.QuantizedMul(
            x=y, y=y, min_x=low, max_x=high, min_y=low, max_y=high
        )
        if name == "QuantizedMul":
            return back(tf.bitcast(z[0], tf.int32))
        if name == "Requantize":
            z = tf.raw_ops.Requantize(
                input=z[0],
                input_min=z[1],
                input_max=z[2],
                requested_output_min=0.0,
                requested_output_max=4.0,
                out_type=tf.quint8,
            )
        else:
            z = tf.raw_ops.QuantizeDownAndShrinkRange(
                input=z[0], input_min=z[1], input_max=z[2], out_type=tf.quint8
            )
        return back(tf.quantization.dequantize(*z))

    return build


_BESSEL = words(
    "BesselI0 BesselI1 BesselJ0 BesselJ1 BesselK0 BesselK0e BesselK1 BesselK1e "
    "BesselY0 BesselY1"
)

NETWORKS: dict[str, Any] = {
    **op_networks.NETWORKS,
    **{name: of(name) for name in words("Dawsn Expint FresnelCos FresnelSin Spence")},
    **{name: of(name) for name in _BESSEL},
    "Angle": of_complex("Angle", Tout=tf.float64),
    "Conj": of_complex("Conj"),
    "ComplexAbs": of_complex("ComplexAbs", Tout=tf.float64),
    **{name: of_whole(name) for name in words("Invert PopulationCount")},
    **{
        name: of_two_whole(name)
        for name in words(
            "BitwiseAnd BitwiseOr BitwiseXor LeftShift RightShift Mod TruncateDiv "
            "TruncateMod"
        )
    },
    **{name: of_two(name) for name in words("Igamma Igammac Xlog1py Zeta")},
    "AccumulateNV2": lambda x: op("AccumulateNV2", [x, x], shape=x.shape),
    "ApproximateEqual": lambda x: back(
        op("ApproximateEqual", x, 1 + 0 * x, tolerance=100.0)
    ),
    "Complex": lambda x: back(op("Complex", x, x, Tout=tf.complex128)),
    "All": lambda x: back(op("All", x > 0, [1], keep_dims=True)),
    "BatchMatMul": lambda x: op("BatchMatMul", x, weights(x, 1, 4, 2, 3)),
    "BatchMatMulV3": lambda x: op(
        "BatchMatMulV3", x, weights(x, 2, 3), Tout=tf.float64
    ),
    "Betainc": lambda x: op("Betainc", x, x + 1, 0.5 + 0 * x),
    "BiasAddV1": lambda x: op("BiasAddV1", x, weights(x, 2)),
    "Bincount": lambda x: back(op("Bincount", whole(x), 64, tf.zeros(0, tf.float64)))[
        None, None, None
    ],
    "BroadcastTo": lambda x: op("BroadcastTo", x[:, :1], (1, 4, 5, 2)),
    "CheckNumerics": of("CheckNumerics", message=""),
    "CheckNumericsV2": of("CheckNumericsV2", message=""),
    "Cholesky": definite("Cholesky"),
    "Concat": lambda x: op("Concat", 3, [x, x]),
    "DebugGradientIdentity": of("DebugGradientIdentity"),
    "DenseBincount": lambda x: back(
        op("DenseBincount", tf.reshape(whole(x), (4, 10)), 64, tf.zeros(0, tf.float64))
    )[None, None],
    "DynamicPartition": dynamic("DynamicPartition"),
    "DynamicStitch": dynamic("DynamicStitch"),
    "EnsureShape": of("EnsureShape", shape=(1, 4, 5, 2)),
    "FakeQuantWithMinMaxArgs": of_single("FakeQuantWithMinMaxArgs"),
    "FakeQuantWithMinMaxVars": of_single("FakeQuantWithMinMaxVars", 0.0, 2.0),
    "FakeQuantWithMinMaxVarsPerChannel": of_single(
        "FakeQuantWithMinMaxVarsPerChannel", [0.0, 0.0], [2.0, 2.0]
    ),
    "Fill": lambda x: op("Fill", (1, 4, 5, 2), tf.reduce_sum(x)),
    "Gather": lambda x: op("Gather", x[0], [2, 0, 3])[None],
    "HistogramFixedWidth": lambda x: back(
        op("HistogramFixedWidth", x, tf.constant([0.0, 2.0], x.dtype), 50)
    )[None, None, None],
    "L2Loss": lambda x: tf.reshape(op("L2Loss", x), (1, 1, 1, 1)),
    "LogicalOr": lambda x: back(op("LogicalOr", x > 1, x > 2)),
    "MatrixDiag": lambda x: op("MatrixDiag", x[..., 0])[..., :2],
    "MatrixInverse": definite("MatrixInverse"),
    **{
        name: suppressed(name)
        for name in words(
            "NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 "
            "NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps"
        )
    },
    "ParallelDynamicStitch": dynamic("ParallelDynamicStitch"),
    "Polygamma": lambda x: op("Polygamma", 0 * x + 1, x),
    "PlaceholderWithDefault": of("PlaceholderWithDefault", shape=(1, 4, 5, 2)),
    "QuantizeAndDequantizeV2": of(
        "QuantizeAndDequantizeV2", 0.0, 2.0, range_given=True
    ),
    "QuantizeAndDequantizeV3": of(
        "QuantizeAndDequantizeV3", 0.0, 2.0, 8, range_given=True
    ),
    "QuantizeAndDequantizeV4": of(
        "QuantizeAndDequantizeV4", 0.0, 2.0, range_given=True
    ),
    **{
        name: quantized(name)
        for name in words("QuantizeDownAndShrinkRange QuantizedMul Requantize")
    },
    "Roll": lambda x: op("Roll", x, [1, 2], [1, 2]),
    "ScatterNd": lambda x: op(
        "ScatterNd", tf.constant([[0, 1], [0, 3]]), x[0, :2], (1, 4, 5, 2)
    ),
    **{
        name: segments(name)
        for name in words(
            "SegmentMax SegmentMean SegmentMin SegmentSum UnsortedSegmentMax "
            "UnsortedSegmentMin UnsortedSegmentSum"
        )
    },
    **dict.fromkeys(words("BatchToSpace SpaceToBatch"), by_way_of_the_batch),
    "SplitV": lambda x: op("SplitV", x, [1, 3], 1, num_split=2)[1],
    **{
        name: array(
            2,
            lambda handle, flow: tf.transpose(
                op("TensorArrayGatherV3", handle, [3, 1], flow, dtype=tf.float64),
                (1, 0, 2, 3),
            ),
        )
        for name in words("TensorArrayGatherV3 TensorArrayScatterV3")
    },
    "TensorArrayReadV3": array(
        1,
        lambda handle, flow: op("TensorArrayReadV3", handle, 2, flow, dtype=tf.float64)[
            None
        ],
    ),
    "TensorArrayWriteV3": array(
        5,
        lambda handle, flow: tf.transpose(
            op(
                "TensorArrayGatherV3",
                handle,
                range(5),
                op(
                    "TensorArrayWriteV3",
                    handle,
                    4,
                    op("TensorArrayReadV3", handle, 0, flow, dtype=tf.float64),
                    flow,
                ),
                dtype=tf.float64,
            ),
            (1, 0, 2, 3),
        ),
    ),
    "TensorListConcatV2": items(
        4,
        lambda made, shape, x: tf.raw_ops.TensorListConcatV2(
            input_handle=made,
            element_shape=shape,
            leading_dims=tf.zeros(0, tf.int64),
            element_dtype=x.dtype,
        ).tensor[None],
    ),
    **dict.fromkeys(words("TensorListFromTensor TensorListStack"), items(4, stacked)),
    "TensorListGather": items(
        2,
        lambda made, shape, x: tf.transpose(
            op("TensorListGather", made, [2, 0], shape, element_dtype=x.dtype),
            (1, 0, 2, 3),
        ),
    ),
    "TensorListGetItem": items(
        1,
        lambda made, shape, x: op(
            "TensorListGetItem", made, 2, shape, element_dtype=x.dtype
        )[None],
    ),
    "TensorListPopBack": items(
        1,
        lambda made, shape, x: tf.raw_ops.TensorListPopBack(
            input_handle=made, element_shape=shape, element_dtype=x.dtype
        ).tensor[None],
    ),
    "TensorListPushBack": items(
        5,
        lambda made, shape, x: stacked(
            tf.raw_ops.TensorListPushBack(input_handle=made, tensor=x[:, 0]), shape, x
        ),
    ),
    "TensorListResize": items(
        3,
        lambda made, shape, x: stacked(
            tf.raw_ops.TensorListResize(input_handle=made, size=3), shape, x
        ),
    ),
    "TensorListSetItem": items(
        4,
        lambda made, shape, x: stacked(
            op("TensorListSetItem", made, 3, x[:, 0]), shape, x
        ),
    ),
    **{
        name: scattered(name)
        for name in words(
            "TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub"
        )
    },
    **{
        name: counted(name)
        for name in words("Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2")
    },
    "Unpack": lambda x: op("Unpack", x, num=4, axis=1)[2][:, None],
    "Where": lambda x: tf.reshape(
        tf.reduce_sum(tf.cast(op("Where", x > 1), tf.float64)), (1, 1, 1, 1)
    ),
}
"""Op type -> a network around it."""

_FORM = "created only by TensorFlow's optimiser; has the rule of"
_CONTROL = "control flow, tested by tests/test_functions.py and test_slim.py"

REASONS: dict[str, str] = {
    **dict.fromkeys(
        words("RefEnter RefExit RefIdentity RefMerge RefNextIteration RefSwitch"),
        _CONTROL,
    ),
    **dict.fromkeys(
        words(
            "Multinomial ParameterizedTruncatedNormal RandomGamma RandomPoissonV2 "
            "RandomShuffle RandomUniformInt StatelessMultinomial StatelessRandomNormal "
            "StatelessRandomNormalV2 StatelessRandomGetKeyCounter "
            "StatelessRandomUniform StatelessRandomUniformInt "
            "StatelessRandomUniformIntV2 StatelessRandomUniformV2 "
            "StatelessTruncatedNormal StatelessTruncatedNormalV2"
        ),
        "draws random numbers, tested by tests/test_random_numbers.py",
    ),
    **dict.fromkeys(
        words("ReadVariableOp ResourceGather _ReadVariablesOp"),
        "reads a variable, which cannot be an image",
    ),
    **dict.fromkeys(
        words("LookupTableFind LookupTableFindV2"),
        "reads a table that is not in the graph; same rule as ops on single values",
    ),
    **dict.fromkeys(
        words("BroadcastArgs InvertPermutation Range"),
        "computes shapes and indices; every output depends on every input",
    ),
    **dict.fromkeys(
        words("DebugIdentity DebugIdentityV2 Print PrintV2 XlaSharding"),
        "passes its input on; needs a debugger, a log or a compiler to run",
    ),
    **dict.fromkeys(
        words("UniformDequantize UniformQuantize UniformRequantize"),
        "has no kernel for CPUs; same rule as QuantizeV2 and Dequantize",
    ),
    **dict.fromkeys(
        words("FFT3D IFFT3D RFFT3D IRFFT3D"),
        "same rule as the spectra of one and two axes",
    ),
    **dict.fromkeys(
        words(
            "QuantizedConv2DAndRelu QuantizedConv2DAndReluAndRequantize "
            "QuantizedConv2DAndRequantize QuantizedConv2DPerChannel "
            "QuantizedConv2DWithBias QuantizedConv2DWithBiasAndRelu "
            "QuantizedConv2DWithBiasAndReluAndRequantize "
            "QuantizedConv2DWithBiasAndRequantize"
        ),
        f"{_FORM} QuantizedConv2D",
    ),
    **dict.fromkeys(
        words(
            "QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias "
            "QuantizedDepthwiseConv2DWithBiasAndRelu "
            "QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize "
            "_FusedDepthwiseConv2dNative"
        ),
        f"{_FORM} DepthwiseConv2dNative",
    ),
    "BatchNormWithGlobalNormalization": "removed from TensorFlow; same rule as "
    "FusedBatchNorm",
    "MatrixExponential": "removed from TensorFlow; same rule as MatrixInverse",
    "QuantizeAndDequantize": "removed from TensorFlow; same rule as "
    "QuantizeAndDequantizeV2",
    "QuantizedReluX": "has no kernel; same rule as QuantizedRelu",
    "CombinedNonMaxSuppression": "same rule as NonMaxSuppression",
    "ImageProjectiveTransformV2": "same rule as ImageProjectiveTransformV3",
    "TensorListConcat": "same rule as TensorListConcatV2",
    "TensorListScatter": "same rule as TensorListScatterV2",
    "TensorListScatterV2": "same rule as TensorListGather",
    "_FusedBatchNormEx": f"{_FORM} FusedBatchNorm",
    "_FusedConv3D": f"{_FORM} Conv3D",
}
"""Op type -> why it is not measured."""


def result(name: str) -> str:
    """What the table says of an op type."""
    if name in NETWORKS:
        return "measured"
    if OPS[name].relations is None:
        return "its values do not depend on the values of its inputs"
    return REASONS.get(name, "not measured")
