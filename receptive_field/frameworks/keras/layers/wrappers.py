"""Layers that call another layer."""

from __future__ import annotations

from receptive_field.frameworks.keras.layers.call import (
    LAYERS,
    LayerCall,
    passed_on,
    rule,
)
from receptive_field.graph.graph import Tensor

TAKE_MASKS = frozenset(
    (
        *("Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Functional"),
        *("GRU", "GlobalAveragePooling1D", "LSTM", "Model", "RNN", "Sequential"),
        *("SimpleRNN", "Softmax", "TimeDistributed"),
    )
)
"""The classes of layers with one input that read a mask that they are given."""


@rule("SpectralNormalization")
def _wrapper(call: LayerCall) -> Tensor:
    return call.layer(call.config["layer"], call.x)[0]


@rule("Pipeline")
def _pipeline(call: LayerCall) -> Tensor:
    x = call.x
    for layer in call.config["layers"]:
        x = call.layer(layer, x)[0]
    return x


@rule("TimeDistributed", arguments=True, masks=passed_on)
def _time_distributed(call: LayerCall) -> Tensor:
    """Writes the layer once, for all time steps as parts of the batch."""
    w, given = call.writer, call.given("inputs", "training", "mask")
    x, layer, more = given["inputs"], call.config["layer"], {}
    sizes = [w.size(x, axis) for axis in range(w.rank(x))]
    steps = w.op("Reshape", x, w.sizes(-1, *sizes[2:]))
    if "mask" in given and layer["class_name"] in TAKE_MASKS:
        mask = given["mask"]
        rest = [w.size(mask, axis) for axis in range(2, w.rank(mask))]
        more["mask"] = w.op("Reshape", mask, w.sizes(-1, *rest))
    elif "mask" in given and layer["class_name"] not in LAYERS:
        call.fail("it is not known whether the layer in it reads the mask")
    y = call.layer(layer, steps, recorded=False, **more)[0]
    after = [w.size(y, axis) for axis in range(1, w.rank(y))]
    return w.op("Reshape", y, w.sizes(*sizes[:2], *after))
