"""Activations, and layers that do nothing at inference."""

from __future__ import annotations

from receptive_field.arrays import np
from receptive_field.frameworks.keras.layers.call import (
    LayerCall,
    as_bool,
    axes_of,
    number_of,
    passed_on,
    rule,
    softmax,
)
from receptive_field.frameworks.keras.writer import FLOAT
from receptive_field.graph.graph import Tensor


@rule(
    "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise "
    "GaussianDropout AlphaDropout ActivityRegularization Identity StochasticDepth"
)
def _identity(call: LayerCall) -> Tensor:
    return call.x


@rule("Activation", masks=passed_on)
def _activation(call: LayerCall) -> Tensor:
    return call.activated(call.x)


@rule("ReLU", masks=passed_on)
def _relu(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    most, slope, threshold = (
        number_of(c.get(name)) for name in ("max_value", "negative_slope", "threshold")
    )
    if slope and most is None and not threshold:
        return w.op("LeakyRelu", x)
    if threshold:
        above = w.op("Cast", w.op("Greater", x, float(threshold)), DstT=FLOAT)
        y = w.op("Mul", x, above)
    else:
        y = w.op("Relu6" if most == 6 else "Relu", x)
    if most is not None and (threshold or most != 6):
        y = w.op("ClipByValue", y, 0.0, float(most))
    if slope:
        below = w.op("Neg", x)
        if threshold:
            below = w.op("AddV2", below, float(threshold))
        y = w.op("Sub", y, w.op("Mul", float(slope), w.op("Relu", below)))
    return y


@rule("LeakyReLU", masks=passed_on)
def _leaky_relu(call: LayerCall) -> Tensor:
    return call.writer.op("LeakyRelu", call.x)


@rule("PReLU", masks=passed_on)
def _parametric_relu(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    shape = list(w.shape(x)[1:])
    for axis in call.config.get("shared_axes") or ():
        shape[axis - 1] = 1
    below = w.op("Relu", w.op("Neg", x))
    return w.op(
        "AddV2", w.op("Relu", x), w.op("Mul", w.op("Neg", w.weight(*shape)), below)
    )


@rule("ELU", masks=passed_on)
def _elu(call: LayerCall) -> Tensor:
    w, x, alpha = call.writer, call.x, number_of(call.config.get("alpha", 1.0))
    y = w.op("Elu", x)
    if alpha == 1:
        return y
    return w.op("SelectV2", w.op("Greater", x, 0.0), y, w.op("Mul", float(alpha), y))


@rule("Softmax", arguments=True, masks=passed_on)
def _softmax(call: LayerCall) -> Tensor:
    w, given = call.writer, call.given("inputs", "mask")
    x = given["inputs"]
    if "mask" not in given:
        return softmax(w, x, axes_of(call, x))
    mask = as_bool(w, given["mask"])
    y = softmax(w, w.op("SelectV2", mask, x, -1e9), axes_of(call, x))
    return w.op("SelectV2", mask, y, 0.0)


@rule("Masking")
def _masking(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    hidden = number_of(call.config.get("mask_value", 0.0))
    shown = w.op("Any", w.op("NotEqual", x, float(hidden)), [-1], keep_dims=True)
    y = w.op("SelectV2", shown, x, 0.0)
    w.masks.put(y, w.op("Squeeze", shown, squeeze_dims=[w.rank(x) - 1]))
    return y


@rule("Rescaling", masks=passed_on)
def _rescaling(call: LayerCall) -> Tensor:
    w, c = call.writer, call.config
    scale, offset = (
        np.asarray(number_of(c.get(name, 0.0)), "float32")
        for name in ("scale", "offset")
    )
    return w.op("AddV2", w.op("Mul", call.x, scale), offset)


@rule("LayerScale")
def _layer_scale(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    return w.op("Mul", x, w.weight(call.config["projection_dim"]))
