"""The rules of `keras.ops.nn`: activations, windows, normalisations and attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from receptive_field.frameworks.keras.activations import ACTIVATIONS
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    as_tensor,
    axes_of,
    operand,
)
from receptive_field.frameworks.keras.operations.stated import stated
from receptive_field.frameworks.keras.operations.windows import (
    Numbers,
    channels_last,
    convolved,
    is_channels_first,
    pooled,
    pooled_to,
    repeated,
    transposed,
)
from receptive_field.frameworks.keras.writer import FLOAT, Writer
from receptive_field.graph.graph import Tensor

EPSILON = 1e-7
"""What Keras adds to denominators by default."""

# --- Windows -------------------------------------------------------------------------


def _conv(
    w: Writer,
    inputs: Tensor,
    kernel: Any,
    strides: Numbers = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Numbers = 1,
    depthwise: bool = False,
) -> Tensor:
    first = is_channels_first(data_format)
    settings = strides, padding, first, dilation_rate or 1
    return convolved(w, inputs, kernel, *settings, depthwise)


def _depthwise_conv(w: Writer, inputs: Tensor, kernel: Any, **options: Any) -> Tensor:
    return _conv(w, inputs, kernel, **options, depthwise=True)


def _separable_conv(
    w: Writer,
    inputs: Tensor,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    **options: Any,
) -> Tensor:
    x = _depthwise_conv(w, inputs, depthwise_kernel, **options)
    return _conv(w, x, pointwise_kernel, data_format=options.get("data_format"))


def _conv_transpose(
    w: Writer,
    inputs: Tensor,
    kernel: Any,
    strides: Numbers = 1,
    padding: str = "valid",
    output_padding: Numbers | None = None,
    data_format: str | None = None,
    dilation_rate: Numbers = 1,
) -> Tensor:
    first = is_channels_first(data_format)
    settings = strides, padding, output_padding, first, dilation_rate
    return transposed(w, inputs, kernel, *settings)


def _pool(op: str) -> Operation:
    def pool(
        w: Writer,
        inputs: Tensor,
        pool_size: Numbers,
        strides: Numbers | None = None,
        padding: str = "valid",
        data_format: str | None = None,
    ) -> Tensor:
        first = is_channels_first(data_format)
        return pooled(w, op, inputs, pool_size, strides, padding, first)

    return pool


def _adaptive_pool(op: str) -> Operation:
    def pool(
        w: Writer, inputs: Tensor, output_size: Numbers, data_format: str | None = None
    ) -> Tensor:
        return pooled_to(w, op, inputs, output_size, is_channels_first(data_format))

    return pool


def _unfold(
    w: Writer,
    x: Tensor,
    kernel_size: Numbers,
    dilation: Numbers = 1,
    padding: Numbers = 0,
    stride: Numbers = 1,
) -> Tensor:
    kernel, rates, pads, strides = map(_pair, (kernel_size, dilation, padding, stride))
    if any(pads):
        x = w.op("Pad", x, [[0, 0], [0, 0], *([pad, pad] for pad in pads)])
    patches = w.op(
        "ExtractImagePatches",
        w.op("Transpose", x, [0, 2, 3, 1]),
        ksizes=[1, *kernel, 1],
        strides=[1, *strides, 1],
        rates=[1, *rates, 1],
        padding="VALID",
    )
    count, *sizes = (w.size(patches, axis) for axis in range(3))
    split = w.sizes(count, *sizes, *kernel, w.size(x, 1))
    parts = w.op("Transpose", w.op("Reshape", patches, split), [0, 5, 3, 4, 1, 2])
    area = math.prod(kernel)
    rows = w.op("Mul", w.size(x, 1), area)
    return w.op("Reshape", parts, w.sizes(count, rows, w.op("Mul", *sizes)))


def _fold(
    w: Writer,
    x: Tensor,
    output_size: Numbers,
    kernel_size: Numbers,
    dilation: Numbers = 1,
    padding: Numbers = 0,
    stride: Numbers = 1,
) -> Tensor:
    """Writes the sum of windows at their places.

    This is a transposed convolution, whose kernel puts each channel at its place.
    """
    new, kernel, rates, pads, strides = map(
        _pair, (output_size, kernel_size, dilation, padding, stride)
    )
    whole = [size + 2 * pad for size, pad in zip(new, pads, strict=True)]
    counts = [
        (size - rate * (extent - 1) - 1) // step + 1
        for size, extent, rate, step in zip(whole, kernel, rates, strides, strict=True)
    ]
    area = math.prod(kernel)
    count, channels = w.size(x, 0), w.op("FloorDiv", w.size(x, 1), area)
    images = w.op("Mul", count, channels)
    windows = w.op("Reshape", x, w.sizes(images, area, *counts))
    y = w.op(
        "Conv2DBackpropInput",
        w.sizes(images, *whole, 1),
        w.op("Fill", [*kernel, 1, area], 1.0),
        w.op("Transpose", windows, [0, 2, 3, 1]),
        strides=[1, *strides, 1],
        dilations=[1, *rates, 1],
        padding="VALID",
        data_format="NHWC",
    )
    y = w.op("Reshape", y, w.sizes(count, channels, *whole))
    if any(pads):
        y = w.op("Slice", y, [0, 0, *pads], w.sizes(count, channels, *new))
    return y


def _pair(value: Numbers) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _blocks(op: str) -> Operation:
    def moved(
        w: Writer, x: Tensor, block_size: int, data_format: str | None = "channels_last"
    ) -> Tensor:
        fields = {"block_size": block_size, "data_format": "NHWC"}
        first = is_channels_first(data_format)
        return channels_last(w, x, first, lambda y: w.op(op, y, **fields))

    return moved


# --- Normalisations ------------------------------------------------------------------


def _moments(
    w: Writer, x: Tensor, axes: Any, keepdims: bool = False, synchronized: bool = False
) -> list[Tensor]:
    gone = axes_of(w, x, axes)
    mean = w.op("Mean", x, gone, keep_dims=True)
    squares = w.op("SquaredDifference", x, w.op("StopGradient", mean))
    both = [mean, w.op("Mean", squares, gone, keep_dims=True)]
    if keepdims:
        return both
    return [w.op("Squeeze", one, squeeze_dims=gone) for one in both]


def _shaped(w: Writer, vector: Any, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Returns a vector, or a tensor for several axes, so that it broadcasts to these.

    Vectors for the last axis, and tensors of the rank of ``x``, stay as they are.
    """
    given = as_tensor(w, vector)
    rank = w.rank(x)
    if list(axes) == [rank - 1] or w.rank(given) == rank:
        return given
    sizes: list[Any] = [1] * rank
    for axis in axes:
        sizes[axis] = w.size(x, axis)
    return w.op("Reshape", given, w.sizes(*sizes))


def _batch_norm(
    w: Writer,
    x: Tensor,
    mean: Any,
    variance: Any,
    offset: Any = None,
    scale: Any = None,
    axis: int = -1,
    epsilon: float = 1e-3,
) -> Tensor:
    axes = axes_of(w, x, axis)
    shifted = w.op("AddV2", _shaped(w, variance, x, axes), float(epsilon))
    factor = w.op("Rsqrt", shifted)
    if scale is not None:
        factor = w.op("Mul", factor, _shaped(w, scale, x, axes))
    moved = w.op("Mul", _shaped(w, mean, x, axes), factor)
    if offset is None:
        rest = w.op("Neg", moved)
    else:
        rest = w.op("Sub", _shaped(w, offset, x, axes), moved)
    return w.op("AddV2", w.op("Mul", x, factor), rest)


def _layer_norm(
    w: Writer,
    x: Tensor,
    gamma: Any = None,
    beta: Any = None,
    axis: Any = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Tensor:
    axes = axes_of(w, x, axis)
    mean, variance = _moments(w, x, axes, keepdims=True)
    factor = w.op("Rsqrt", w.op("AddV2", variance, _small(epsilon)))
    if gamma is not None:
        factor = w.op("Mul", factor, _shaped(w, gamma, x, axes))
    y = w.op("Mul", x, factor)
    if rms_scaling:
        return y
    rest = w.op("Mul", w.op("Neg", mean), factor)
    if beta is not None:
        rest = w.op("AddV2", rest, _shaped(w, beta, x, axes))
    return w.op("AddV2", y, rest)


def _rms_norm(
    w: Writer,
    x: Tensor,
    scale: Any = None,
    axis: Any = -1,
    epsilon: float | None = None,
) -> Tensor:
    mean = w.op("Mean", w.op("Square", x), axes_of(w, x, axis), keep_dims=True)
    y = w.op("Mul", x, w.op("Rsqrt", w.op("AddV2", mean, _small(epsilon))))
    return y if scale is None else w.op("Mul", y, as_tensor(w, scale))


def _small(epsilon: float | None) -> float:
    return EPSILON if epsilon is None else float(epsilon)


def _normalize(
    w: Writer, x: Tensor, axis: Any = -1, order: int = 2, epsilon: float | None = None
) -> Tensor:
    axes = axes_of(w, x, axis)
    if order == 2:
        total = w.op("Sum", w.op("Square", x), axes, keep_dims=True)
        factor = w.op("Minimum", w.op("Rsqrt", total), 1 / _small(epsilon))
        return w.op("Mul", x, factor)
    powers = w.op("Pow", w.op("Abs", x), float(order))
    total = w.op("Sum", powers, axes, keep_dims=True)
    norm = w.op("Pow", total, 1 / order)
    return w.op("RealDiv", x, w.op("Maximum", norm, _small(epsilon)))


# --- Classes and losses --------------------------------------------------------------


def _one_hot(
    w: Writer,
    x: Any,
    num_classes: int,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
) -> Tensor:
    return w.op("OneHot", as_tensor(w, x), num_classes, 1.0, 0.0, axis=axis)


def _multi_hot(
    w: Writer,
    inputs: Any,
    num_classes: int,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
) -> Tensor:
    x = as_tensor(w, inputs)
    return w.op("Max", _one_hot(w, x, num_classes, axis), [1 if w.rank(x) > 1 else 0])


def _clipped(w: Writer, x: Tensor) -> Tensor:
    return w.op("ClipByValue", x, EPSILON, 1 - EPSILON)


def _logits(w: Writer, output: Tensor, from_logits: bool, op: str) -> Tensor | None:
    """Returns the logits that a loss reads, if it does not read probabilities.

    If the probabilities come from an activation, Keras reads the input of that.
    """
    if from_logits:
        return output
    node = w.graph.nodes[output[0]]
    if node.op == op:
        found: Tensor = node.inputs[0]
        return found
    if node.op in ("Transpose", "Reshape"):
        below = w.graph.nodes[node.inputs[0][0]]
        if below.op == op:
            raise NoRuleError("its input is an activation of other axes")
    return None


def _binary_crossentropy(
    w: Writer, target: Any, output: Any, from_logits: bool = False
) -> Tensor:
    target, output = as_tensor(w, target), as_tensor(w, output)
    logits = _logits(w, output, from_logits, "Sigmoid")
    x = _clipped(w, output) if logits is None else w.op("Sigmoid", logits)
    yes = w.op("Mul", target, w.op("Log", x))
    others = w.op("Sub", 1.0, target), w.op("Log", w.op("Sub", 1.0, x))
    return w.op("Neg", w.op("AddV2", yes, w.op("Mul", *others)))


def _categorical_crossentropy(
    w: Writer, target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    target, output = as_tensor(w, target), as_tensor(w, output)
    logits = _logits(w, output, from_logits, "Softmax")
    if logits is None:
        total = w.op("Sum", output, [axis], keep_dims=True)
        logs = w.op("Log", _clipped(w, w.op("RealDiv", output, total)))
    else:
        logs = ACTIVATIONS["log_softmax"](w, logits, axis=axis)
    return w.op("Neg", w.op("Sum", w.op("Mul", target, logs), [axis]))


def _sparse_categorical_crossentropy(
    w: Writer, target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    target, output = as_tensor(w, target), as_tensor(w, output)
    logits = _logits(w, output, from_logits, "Softmax")
    if logits is None:
        logits = w.op("Log", _clipped(w, output))
    if w.rank(target) == w.rank(output):
        target = w.op("Squeeze", target, squeeze_dims=[w.rank(target) - 1])
    logs = w.op("LogSoftmax", logits)
    chosen = w.op("OneHot", target, w.size(logs, -1), 1.0, 0.0, axis=-1)
    return w.op("Neg", w.op("Sum", w.op("Mul", chosen, logs), [-1]))


def _ctc_loss(
    w: Writer,
    target: Any,
    output: Any,
    target_length: Any,
    output_length: Any,
    mask_index: int = 0,
) -> list[Tensor]:
    """Writes a loss for each sample, whose steps the data choose."""
    inputs = target, output, target_length, output_length
    return stated(w, "CTCLoss", "nl,ntc,n,n->n", inputs, exact=False)


def _psnr(w: Writer, x1: Any, x2: Any, max_val: float) -> Tensor:
    difference = w.op("Square", w.op("Sub", operand(x1), operand(x2)))
    error = w.op("Mean", difference, list(range(w.rank(difference))))
    loss = w.op("Mul", 10 / math.log(10), w.op("Log", error))
    return w.op("Sub", 20 * math.log10(max_val), loss)


def _polar(w: Writer, abs_: Any, angle: Any) -> Tensor:
    size, turned = operand(abs_), as_tensor(w, operand(angle))
    parts = [w.op("Mul", size, w.op(op, turned)) for op in ("Cos", "Sin")]
    return w.op("Complex", *parts)


# --- Attention -----------------------------------------------------------------------


def _attention(
    w: Writer,
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: Any = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    query, key, value = (as_tensor(w, given) for given in (query, key, value))
    heads, others = (w.shape(given)[2] for given in (query, key))
    if isinstance(heads, int) and isinstance(others, int) and heads > others > 1:
        key, value = (repeated(w, x, 2, heads // others) for x in (key, value))
    if scale is None:
        size = w.op("Cast", w.size(key, -1), DstT=FLOAT)
        scale = w.op("RealDiv", 1.0, w.op("Sqrt", size))
    logits = w.op("Einsum", query, key, equation="BTNH,BSNH->BNTS")
    logits = w.op("Mul", logits, operand(scale))
    if bias is not None:
        logits = w.op("AddV2", logits, operand(bias))
    if mask is not None or is_causal:
        logits = w.op("SelectV2", _seen(w, logits, mask, is_causal), logits, -1e38)
    weights = w.op("Softmax", logits)
    return w.op("Einsum", weights, value, equation="BNTS,BSNH->BTNH")


def _seen(w: Writer, logits: Tensor, mask: Any, is_causal: bool) -> Tensor:
    """Adds the mask of what each query may look at."""
    seen = w.op("Cast", w.op("OnesLike", logits), DstT=w.dtype("bool"))
    if mask is not None:
        seen = w.op("LogicalAnd", seen, as_tensor(w, mask))
    if is_causal:
        sizes = w.sizes(w.size(logits, 2), w.size(logits, 3))
        below = w.op("MatrixBandPart", w.op("Fill", sizes, 1.0), -1, 0)
        seen = w.op("LogicalAnd", seen, w.op("Cast", below, DstT=w.dtype("bool")))
    return seen


_ACTIVATIONS = (
    "relu relu6 sigmoid sparse_sigmoid softplus softsign soft_shrink sparse_plus silu "
    "squareplus log_sigmoid leaky_relu hard_sigmoid hard_silu elu selu gelu celu glu "
    "tanh_shrink hard_tanh hard_shrink threshold softmax log_softmax sparsemax"
)

RULES: dict[str, Operation] = {
    name.title().replace("_", ""): ACTIVATIONS[name] for name in _ACTIVATIONS.split()
} | {
    "AdaptiveAveragePool": _adaptive_pool("AvgPool"),
    "AdaptiveMaxPool": _adaptive_pool("MaxPool"),
    "AveragePool": _pool("AvgPool"),
    "BatchNorm": _batch_norm,
    "BinaryCrossentropy": _binary_crossentropy,
    "CTCLoss": _ctc_loss,
    "CategoricalCrossentropy": _categorical_crossentropy,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _blocks("DepthToSpace"),
    "DepthwiseConv": _depthwise_conv,
    "DotProductAttention": _attention,
    "Fold": _fold,
    "LayerNorm": _layer_norm,
    "MaxPool": _pool("MaxPool"),
    "Moments": _moments,
    "MultiHot": _multi_hot,
    "Normalize": _normalize,
    "OneHot": _one_hot,
    "PSNR": _psnr,
    "Polar": _polar,
    "RMSNorm": _rms_norm,
    "SeparableConv": _separable_conv,
    "SpaceToDepth": _blocks("SpaceToDepth"),
    "SparseCategoricalCrossentropy": _sparse_categorical_crossentropy,
    "Unfold": _unfold,
}
