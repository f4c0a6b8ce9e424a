"""Convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from receptive_field.frameworks.keras.layers.call import (
    LayerCall,
    LayerRule,
    as_bool,
    padded,
    rule,
)
from receptive_field.frameworks.keras.operations.windows import (
    pooled_to,
    transposed_size,
)
from receptive_field.frameworks.keras.writer import FLOAT
from receptive_field.graph.graph import Tensor


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


def _causal(call: LayerCall, tensor: Tensor) -> tuple[Tensor, str]:
    """Returns the input of a convolution, and its padding as TensorFlow names it."""
    padding = call.config.get("padding", "valid")
    if padding == "causal":
        (kernel,) = call.numbers("kernel_size", tensor)
        (dilation,) = call.numbers("dilation_rate", tensor)
        return padded(call, tensor, [(dilation * (kernel - 1), 0)]), "VALID"
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


def convolved(call: LayerCall, tensor: Tensor, filters: int) -> Tensor:
    """Adds a convolution with its padding, but without a bias."""
    x, padding = _causal(call, tensor)
    op = "Conv3D" if call.writer.rank(x) == 5 else "Conv2D"
    count, groups = call.channels(x), call.config.get("groups", 1)
    if filters % groups or (isinstance(count, int) and count % groups):
        call.fail(f"{groups} groups of {count} channels and {filters} filters")
    channels = count // groups, filters
    settings = _settings(call, x, "kernel_size")
    y = _convolved(call, op, _as_image(call, x), padding, settings, channels)
    return _as_before(call, y, call.writer.rank(x))


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
    return call.activated(call.biased(convolved(call, call.x, call.config["filters"])))


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
        transposed_size(w, w.size(image, axis), *numbers, padding.lower())
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


def _adaptive_pooling(op: str) -> LayerRule:
    def pooled(call: LayerCall) -> Tensor:
        sizes = call.numbers("output_size", call.x)
        return pooled_to(call.writer, op, call.x, sizes, call.is_channels_first)

    return pooled


rule("AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D")(
    _adaptive_pooling("AvgPool")
)
rule("AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D")(
    _adaptive_pooling("MaxPool")
)


def _global_pooling(op: str) -> LayerRule:
    def pooled(call: LayerCall) -> Tensor:
        keep = bool(call.config.get("keepdims", False))
        return call.writer.op(op, call.x, call.spatial(call.x), keep_dims=keep)

    return pooled


rule("GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D")(_global_pooling("Max"))
rule("GlobalAveragePooling2D GlobalAveragePooling3D")(_global_pooling("Mean"))


@rule("GlobalAveragePooling1D", arguments=True)
def _mean_of_steps(call: LayerCall) -> Tensor:
    w, given = call.writer, call.given("inputs", "mask")
    x = given["inputs"]
    steps, keep = call.spatial(x), bool(call.config.get("keepdims", False))
    if "mask" not in given:
        return w.op("Mean", x, steps, keep_dims=keep)
    mask = w.op("ExpandDims", as_bool(w, given["mask"]), 3 - steps[0])
    total = w.op("Sum", w.op("SelectV2", mask, x, 0.0), steps, keep_dims=keep)
    count = w.op("Sum", w.op("Cast", mask, DstT=FLOAT), steps, keep_dims=keep)
    return w.op("RealDiv", total, count)
