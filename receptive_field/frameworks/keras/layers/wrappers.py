"""Layers that call another layer."""

from __future__ import annotations

from receptive_field.frameworks.keras.layers.call import LayerCall, rule
from receptive_field.graph.graph import Tensor


@rule("SpectralNormalization")
def _wrapper(call: LayerCall) -> Tensor:
    return call.layer(call.config["layer"], call.x)[0]


@rule("Pipeline")
def _pipeline(call: LayerCall) -> Tensor:
    x = call.x
    for layer in call.config["layers"]:
        x = call.layer(layer, x)[0]
    return x


@rule("TimeDistributed")
def _time_distributed(call: LayerCall) -> Tensor:
    """Writes the layer once, for all time steps as parts of the batch."""
    w, x = call.writer, call.x
    sizes = [w.size(x, axis) for axis in range(w.rank(x))]
    steps = w.op("Reshape", x, w.sizes(-1, *sizes[2:]))
    y = call.layer(call.config["layer"], steps, recorded=False)[0]
    after = [w.size(y, axis) for axis in range(1, w.rank(y))]
    return w.op("Reshape", y, w.sizes(*sizes[:2], *after))
