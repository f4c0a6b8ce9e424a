"""The rule of each layer class: which ops a call of the layer runs at inference."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from receptive_field.frameworks.keras.activations import ACTIVATIONS
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


class LayerCall(NamedTuple):
    """A call of a layer."""

    writer: Writer
    config: Mapping[str, Any]
    inputs: Sequence[Tensor]
    """The tensors that the layer is called with."""

    @property
    def x(self) -> Tensor:
        """The only tensor that the layer is called with."""
        if len(self.inputs) != 1:
            self.fail("several inputs")
        return self.inputs[0]

    @property
    def is_channels_first(self) -> bool:
        """Whether the axis of channels comes before the spatial axes."""
        return bool(self.config.get("data_format") == "channels_first")

    def fail(self, reason: str) -> NoReturn:
        """Raises the error that the layer cannot be written for this reason."""
        raise NoRuleError(reason)

    def spatial(self, tensor: Tensor) -> list[int]:
        """Returns the spatial axes of a tensor."""
        first = 2 if self.is_channels_first else 1
        return list(range(first, first + self.writer.rank(tensor) - 2))

    def channels(self, tensor: Tensor) -> Any:
        """Returns the number of channels of a tensor."""
        return self.writer.shape(tensor)[1 if self.is_channels_first else -1]

    def along(self, tensor: Tensor, values: Sequence[Any], other: Any) -> list[Any]:
        """Returns a value for each axis: one of ``values`` for each spatial axis."""
        axes, found = self.spatial(tensor), [other] * self.writer.rank(tensor)
        if len(values) != len(axes):
            self.fail("does not fit the rank of its input")
        for axis, value in zip(axes, values, strict=True):
            found[axis] = value
        return found

    def numbers(self, name: str, tensor: Tensor, default: Any = 1) -> list[int]:
        """Returns an option that has one number for each spatial axis."""
        value = self.config.get(name)
        value = default if value is None else value
        if isinstance(value, int):
            return [value] * len(self.spatial(tensor))
        return list(value)

    def activated(self, tensor: Tensor, name: str = "activation") -> Tensor:
        """Returns the tensor after an activation function of the layer."""
        return activation(self, tensor, self.config.get(name))

    def biased(self, tensor: Tensor) -> Tensor:
        """Returns the tensor with a bias added to its channels, if there is one."""
        if not self.config.get("use_bias", True):
            return tensor
        w, count = self.writer, self.channels(tensor)
        if self.is_channels_first:
            shape = (count, *[1] * (w.rank(tensor) - 2))
            return w.op("AddV2", tensor, w.weight(1, *shape))
        return w.op("BiasAdd", tensor, w.weight(count), data_format="NHWC")


LayerRule = Callable[[LayerCall], Tensor | list[Tensor]]

LAYERS: dict[str, LayerRule] = {}
"""Name of a layer class -> its rule."""

MOST_CHANNELS = 1 << 16
"""The most channels of which a constant is written."""


def rule(names: str) -> Callable[[LayerRule], LayerRule]:
    """Returns a decorator that makes a function the rule of some layer classes."""

    def register(function: LayerRule) -> LayerRule:
        LAYERS.update(dict.fromkeys(names.split(), function))
        return function

    return register


def activation(call: LayerCall, tensor: Tensor, given: Any) -> Tensor:
    """Returns the tensor after an activation function, as a config states it."""
    if given is None:
        return tensor
    if isinstance(given, Mapping):
        if given.get("class_name") == "function" and not given.get("registered_name"):
            given = given["config"]
        elif given.get("class_name") in LAYERS:
            inner = call._replace(config=given.get("config") or {}, inputs=[tensor])
            found = LAYERS[given["class_name"]](inner)
            return found[0] if isinstance(found, list) else found
    if given not in ACTIVATIONS:
        call.fail(f"the activation {given!r}")
    return ACTIVATIONS[given](call.writer, tensor)


# --- Windows -------------------------------------------------------------------------


def _format(call: LayerCall, rank: int) -> str:
    letters = "DHW"[5 - rank :]
    return f"NC{letters}" if call.is_channels_first else f"N{letters}C"


def _as_image(call: LayerCall, tensor: Tensor) -> Tensor:
    """Returns a tensor with one spatial axis as an image with one row."""
    w = call.writer
    if w.rank(tensor) != 3:
        return tensor
    return w.op("ExpandDims", tensor, call.spatial(tensor)[0])


def _as_before(call: LayerCall, tensor: Tensor, rank: int) -> Tensor:
    """Returns the result for an image with one row with its original rank."""
    if rank != 3:
        return tensor
    axis = call.spatial(tensor)[0]
    return call.writer.op("Squeeze", tensor, squeeze_dims=[axis])


def _padded(call: LayerCall, tensor: Tensor, pads: Sequence[Sequence[int]]) -> Tensor:
    """Returns the tensor, with zeros before and after its spatial axes."""
    zeros = call.along(tensor, [list(pair) for pair in pads], [0, 0])
    return call.writer.op("Pad", tensor, zeros)


def _causal(call: LayerCall, tensor: Tensor) -> tuple[Tensor, str]:
    """Returns the input of a convolution, and its padding as TensorFlow names it."""
    padding = call.config.get("padding", "valid")
    if padding == "causal":
        (kernel,) = call.numbers("kernel_size", tensor)
        (dilation,) = call.numbers("dilation_rate", tensor)
        return _padded(call, tensor, [(dilation * (kernel - 1), 0)]), "VALID"
    return tensor, str(padding).upper()


class _Settings(NamedTuple):
    """The numbers of a window for an image of at least two spatial axes."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]


def _settings(call: LayerCall, tensor: Tensor, kernel: str) -> _Settings:
    kernels = call.numbers(kernel, tensor)
    default = kernels if kernel == "pool_size" else 1
    strides = call.numbers("strides", tensor, default)
    dilations = call.numbers("dilation_rate", tensor)
    one = [1] if len(kernels) == 1 else []
    return _Settings(one + kernels, one + strides, one + dilations)


POINTWISE = _Settings([1, 1], [1, 1], [1, 1])


def _convolved(
    call: LayerCall,
    op: str,
    tensor: Tensor,
    padding: str,
    found: _Settings,
    channels: Sequence[Any],
) -> Tensor:
    """Adds a convolution. ``channels`` are the last two sizes of its kernel."""
    w = call.writer
    return w.op(
        op,
        tensor,
        w.weight(*found.kernel, *channels),
        strides=call.along(tensor, found.strides, 1),
        dilations=call.along(tensor, found.dilations, 1),
        padding=padding,
        data_format=_format(call, w.rank(tensor)),
    )


def _layer(
    call: LayerCall, op: str, channels: Sequence[Any], then: Sequence[Any] = ()
) -> Tensor:
    """Adds a convolution with its padding, bias and activation.

    If ``then`` is given, it is the channels of a pointwise convolution that follows.
    """
    x, padding = _causal(call, call.x)
    y = _as_image(call, x)
    y = _convolved(call, op, y, padding, _settings(call, x, "kernel_size"), channels)
    if then:
        y = _convolved(call, "Conv2D", y, "VALID", POINTWISE, then)
    return call.activated(call.biased(_as_before(call, y, call.writer.rank(x))))


@rule("Conv1D Conv2D Conv3D Convolution1D Convolution2D Convolution3D")
def _convolution(call: LayerCall) -> Tensor:
    op = "Conv3D" if call.writer.rank(call.x) == 5 else "Conv2D"
    count = call.channels(call.x) // call.config.get("groups", 1)
    return _layer(call, op, (count, call.config["filters"]))


@rule("DepthwiseConv1D DepthwiseConv2D")
def _depthwise(call: LayerCall) -> Tensor:
    return _layer(call, "DepthwiseConv2dNative", _depthwise_channels(call))


@rule("SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D")
def _separable(call: LayerCall) -> Tensor:
    count, multiplier = channels = _depthwise_channels(call)
    then = (count * multiplier, call.config["filters"])
    return _layer(call, "DepthwiseConv2dNative", channels, then)


def _depthwise_channels(call: LayerCall) -> tuple[Any, int]:
    return call.channels(call.x), call.config.get("depth_multiplier", 1)


@rule("Conv1DTranspose Conv2DTranspose Conv3DTranspose Deconvolution2D Deconvolution3D")
def _transposed(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    rank, found = w.rank(x), _settings(call, x, "kernel_size")
    padding = str(c.get("padding", "valid")).upper()
    more: list[int | None] = [None] * len(found.kernel)
    if c.get("output_padding") is not None:
        more[-len(call.spatial(x)) :] = call.numbers("output_padding", x)
    if c.get("groups", 1) != 1:
        call.fail("groups")
    image = _as_image(call, x)
    sizes = [
        _transposed_size(w, w.size(image, axis), *numbers, padding)
        for axis, numbers in zip(
            call.spatial(image), zip(*found, more, strict=True), strict=True
        )
    ]
    shape = call.along(image, sizes, c["filters"])
    shape[0] = w.size(image, 0)
    kernel = w.weight(*found.kernel, c["filters"], call.channels(x))
    y = w.op(
        "Conv3DBackpropInputV2" if rank == 5 else "Conv2DBackpropInput",
        w.sizes(*shape),
        kernel,
        image,
        strides=call.along(image, found.strides, 1),
        dilations=call.along(image, found.dilations, 1),
        padding=padding,
        data_format=_format(call, w.rank(image)),
    )
    return call.activated(call.biased(_as_before(call, y, rank)))


def _transposed_size(
    w: Writer,
    size: Tensor,
    kernel: int,
    stride: int,
    dilation: int,
    more: int | None,
    padding: str,
) -> Tensor:
    """Adds the size of the output of a transposed convolution on one axis."""
    extent = (kernel - 1) * dilation + 1
    if more is None:
        added = max(extent - stride, 0) if padding == "VALID" else 0
    else:
        added = extent - stride + more - (2 * (extent // 2) if padding == "SAME" else 0)
    scaled = w.op("Mul", size, stride)
    return w.op("AddV2", scaled, added) if added else scaled


def _pooling(op: str) -> LayerRule:
    def pooled(call: LayerCall) -> Tensor:
        w, x = call.writer, call.x
        rank, found = w.rank(x), _settings(call, x, "pool_size")
        image = _as_image(call, x)
        y = w.op(
            op + "3D" * (rank == 5),
            image,
            ksize=call.along(image, found.kernel, 1),
            strides=call.along(image, found.strides, 1),
            padding=str(call.config.get("padding", "valid")).upper(),
            data_format=_format(call, w.rank(image)),
        )
        return _as_before(call, y, rank)

    return pooled


rule("MaxPooling1D MaxPooling2D MaxPooling3D MaxPool1D MaxPool2D MaxPool3D")(
    _pooling("MaxPool")
)
rule(
    "AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D"
)(_pooling("AvgPool"))


def _global_pooling(op: str) -> LayerRule:
    def pooled(call: LayerCall) -> Tensor:
        keep = bool(call.config.get("keepdims", False))
        return call.writer.op(op, call.x, call.spatial(call.x), keep_dims=keep)

    return pooled


rule("GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D")(_global_pooling("Max"))
rule("GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D")(
    _global_pooling("Mean")
)


@rule("ZeroPadding1D ZeroPadding2D ZeroPadding3D")
def _zero_padding(call: LayerCall) -> Tensor:
    return _padded(call, call.x, _pairs(call, "padding", 1))


@rule("Cropping1D Cropping2D Cropping3D")
def _cropping(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    pairs = call.along(x, _pairs(call, "cropping", 0), (0, 0))
    begin = [before for before, _ in pairs]
    end = [-after for _, after in pairs]
    open_ends = sum(1 << axis for axis, stop in enumerate(end) if not stop)
    return w.op(
        "StridedSlice",
        x,
        begin,
        end,
        [1] * len(end),
        begin_mask=0,
        end_mask=open_ends,
        ellipsis_mask=0,
        new_axis_mask=0,
        shrink_axis_mask=0,
    )


def _pairs(call: LayerCall, name: str, default: int) -> list[Any]:
    """Returns the numbers before and after each spatial axis."""
    value = call.config.get(name, default)
    axes = len(call.spatial(call.x))
    if isinstance(value, int):
        return [(value, value)] * axes
    if axes == 1:
        return [tuple(value)]
    return [(v, v) if isinstance(v, int) else tuple(v) for v in value]


@rule("UpSampling1D UpSampling2D UpSampling3D")
def _upsampling(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    times = call.numbers("size", x, 2)
    kind = call.config.get("interpolation", "nearest")
    if kind == "nearest":
        for axis, count in zip(call.spatial(x), times, strict=True):
            x = _repeated(w, x, axis, count)
        return x
    ops = {"bilinear": "ResizeBilinear", "bicubic": "ResizeBicubic"}
    if kind not in ops or call.is_channels_first:
        call.fail(f"the interpolation {kind!r}")
    sizes = [
        w.op("Mul", w.size(x, axis), count)
        for axis, count in zip(call.spatial(x), times, strict=True)
    ]
    return w.op(ops[kind], x, w.sizes(*sizes), half_pixel_centers=True)


def _repeated(w: Writer, x: Tensor, axis: int, times: int) -> Tensor:
    """Adds a repetition of each position of an axis."""
    rank = w.rank(x)
    tile = [1] * (rank + 1)
    tile[axis + 1] = times
    sizes: list[Any] = [w.size(x, a) for a in range(rank)]
    sizes[axis] = w.op("Mul", sizes[axis], times)
    tiled = w.op("Tile", w.op("ExpandDims", x, axis + 1), tile)
    return w.op("Reshape", tiled, w.sizes(*sizes))


# --- Dense layers and shapes ---------------------------------------------------------


@rule("Dense")
def _dense(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    kernel = w.weight(w.shape(x)[-1], c["units"])
    op = "MatMul" if w.rank(x) == 2 else "BatchMatMulV2"
    y = w.op(op, x, kernel)
    if c.get("use_bias", True):
        y = w.op("BiasAdd", y, w.weight(c["units"]), data_format="NHWC")
    return call.activated(y)


@rule("Flatten")
def _flatten(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    if call.is_channels_first and w.rank(x) > 2:
        x = w.op("Transpose", x, [0, *range(2, w.rank(x)), 1])
    return w.op("Reshape", x, w.sizes(w.size(x, 0), -1))


@rule("Reshape")
def _reshape(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    return w.op("Reshape", x, w.sizes(w.size(x, 0), *call.config["target_shape"]))


@rule("Permute")
def _permute(call: LayerCall) -> Tensor:
    return call.writer.op("Transpose", call.x, [0, *call.config["dims"]])


@rule("RepeatVector")
def _repeat_vector(call: LayerCall) -> Tensor:
    w = call.writer
    return w.op("Tile", w.op("ExpandDims", call.x, 1), [1, call.config["n"], 1])


# --- Elementwise ---------------------------------------------------------------------


@rule(
    "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise "
    "GaussianDropout AlphaDropout ActivityRegularization Identity StochasticDepth"
)
def _identity(call: LayerCall) -> Tensor:
    return call.x


@rule("Activation")
def _activation(call: LayerCall) -> Tensor:
    return call.activated(call.x)


@rule("ReLU")
def _relu(call: LayerCall) -> Tensor:
    w, c = call.writer, call.config
    most, slope, threshold = (
        _plain(c.get(name)) for name in ("max_value", "negative_slope", "threshold")
    )
    if slope or threshold:
        call.fail("a slope or threshold")
    if most is None:
        return w.op("Relu", call.x)
    if most == 6:
        return w.op("Relu6", call.x)
    limited = w.op("Minimum", w.op("Relu", call.x), float(most))
    return limited


@rule("LeakyReLU")
def _leaky_relu(call: LayerCall) -> Tensor:
    return call.writer.op("LeakyRelu", call.x)


@rule("ELU")
def _elu(call: LayerCall) -> Tensor:
    if call.config.get("alpha", 1.0) != 1.0:
        call.fail("an alpha")
    return call.writer.op("Elu", call.x)


@rule("Softmax")
def _softmax(call: LayerCall) -> Tensor:
    if _axes(call) != [call.writer.rank(call.x) - 1]:
        call.fail("axes other than the last")
    return call.writer.op("Softmax", call.x)


@rule("Rescaling")
def _rescaling(call: LayerCall) -> Tensor:
    w, c = call.writer, call.config
    scale, offset = (_plain(c.get(name, 0.0)) for name in ("scale", "offset"))
    return w.op("AddV2", w.op("Mul", call.x, scale), offset)


@rule("Normalization")
def _normalization(call: LayerCall) -> Tensor:
    w, x, c = call.writer, call.x, call.config
    if _axes(call) != [w.rank(x) - 1] or c.get("invert", False):
        call.fail("axes other than the last")
    count = w.shape(x)[-1]
    if not isinstance(count, int) or count > MOST_CHANNELS:
        call.fail(f"{count} channels")
    channels = [1.0] * count
    shifted = w.op("Sub", x, [[[channels]]] if w.rank(x) == 4 else [channels])
    deviation = w.op("Maximum", w.op("Sqrt", [channels]), 1e-7)
    return w.op("RealDiv", shifted, deviation)


@rule("LayerScale")
def _layer_scale(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    return w.op("Mul", x, w.weight(call.config["projection_dim"]))


def _axes(call: LayerCall) -> list[int]:
    """Returns the option ``axis`` as a list of axes, counted from 0."""
    axis = call.config.get("axis", -1)
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    return [number % call.writer.rank(call.x) for number in axes]


def _plain(value: Any) -> Any:
    """Returns a number of a config, which may be written as an array."""
    if isinstance(value, Mapping) and value.get("class_name") == "__numpy__":
        value = value["config"]["value"]
    return value


@rule("BatchNormalization")
def _batch_normalization(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    (axis,) = _axes(call)
    shape: list[Any] = [1] * w.rank(x)
    count = shape[axis] = w.shape(x)[axis]
    if axis == w.rank(x) - 1:
        shape = [count]
    mean, variance = w.weight(*shape), w.weight(*shape)
    scale = w.op("Rsqrt", w.op("AddV2", variance, float(c.get("epsilon", 1e-3))))
    if c.get("scale", True):
        scale = w.op("Mul", scale, w.weight(*shape))
    y = w.op("Mul", x, scale)
    offset = w.op("Mul", mean, scale)
    if c.get("center", True):
        return w.op("AddV2", y, w.op("Sub", w.weight(*shape), offset))
    return w.op("AddV2", y, w.op("Neg", offset))


@rule("LayerNormalization")
def _layer_normalization(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    axes = _axes(call)
    if axes != [w.rank(x) - 1]:
        call.fail("axes other than the last")
    if c.get("rms_scaling", False):
        call.fail("rms_scaling")
    count = w.shape(x)[-1]
    mean = w.op("Mean", x, axes, keep_dims=True)
    squares = w.op("SquaredDifference", x, w.op("StopGradient", mean))
    variance = w.op("Mean", squares, axes, keep_dims=True)
    scale = w.op("Rsqrt", w.op("AddV2", variance, float(c.get("epsilon", 1e-3))))
    shape = [1] * (w.rank(x) - 1) + [count]
    if c.get("scale", True):
        scale = w.op("Mul", scale, w.op("Reshape", w.weight(count), shape))
    offset = w.op("Mul", w.op("Neg", mean), scale)
    if c.get("center", True):
        offset = w.op("AddV2", offset, w.op("Reshape", w.weight(count), shape))
    return w.op("AddV2", w.op("Mul", x, scale), offset)


# --- Merging -------------------------------------------------------------------------


def _pairwise(op: str) -> LayerRule:
    def merged(call: LayerCall) -> Tensor:
        w, found = call.writer, list(call.inputs)
        if len({w.rank(x) for x in found}) != 1 or len(found) < 2:
            call.fail("inputs of different rank")
        return _folded(w, op, found)

    return merged


def _folded(w: Writer, op: str, tensors: Sequence[Tensor]) -> Tensor:
    *_, last = itertools.accumulate(tensors, lambda one, two: w.op(op, one, two))
    return last


LAYERS |= {
    "Add": _pairwise("AddV2"),
    "Subtract": _pairwise("Sub"),
    "Multiply": _pairwise("Mul"),
    "Maximum": _pairwise("Maximum"),
    "Minimum": _pairwise("Minimum"),
}


@rule("Average")
def _average(call: LayerCall) -> Tensor:
    total = LAYERS["Add"](call)
    return call.writer.op("RealDiv", total, float(len(call.inputs)))


@rule("CustomScaleLayer")
def _scaled_sum(call: LayerCall) -> Tensor:
    """Of Inception-ResNet: the first input, plus the second times a factor."""
    w, (one, two) = call.writer, call.inputs
    return w.op("AddV2", one, w.op("Mul", two, float(call.config["scale"])))


@rule("Concatenate")
def _concatenate(call: LayerCall) -> Tensor:
    return call.writer.op("ConcatV2", *call.inputs, call.config.get("axis", -1))
