"""Padding and cropping."""

from __future__ import annotations

from typing import Any

from receptive_field.frameworks.keras.layers.call import LayerCall, padded, rule, sliced
from receptive_field.graph.graph import Tensor


@rule("ZeroPadding1D ZeroPadding2D ZeroPadding3D")
def _zero_padding(call: LayerCall) -> Tensor:
    return padded(call, call.x, _pairs(call, "padding", 1))


@rule("Cropping1D Cropping2D Cropping3D")
def _cropping(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    pairs = call.along(x, _pairs(call, "cropping", 0), (0, 0))
    starts = [before for before, _ in pairs]
    return sliced(w, x, starts, [-after for _, after in pairs])


def _pairs(call: LayerCall, name: str, default: int) -> list[Any]:
    """Returns the numbers before and after each spatial axis."""
    value = call.config.get(name, default)
    axes = len(call.spatial(call.x))
    if isinstance(value, int):
        return [(value, value)] * axes
    if axes == 1:
        return [tuple(value)]
    return [(v, v) if isinstance(v, int) else tuple(v) for v in value]
