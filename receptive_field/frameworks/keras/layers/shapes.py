"""Layers that move positions between axes."""

from __future__ import annotations

from math import prod

from receptive_field.frameworks.keras.layers.call import LayerCall, rule
from receptive_field.graph.graph import Tensor


@rule("Flatten")
def _flatten(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    if call.is_channels_first and w.rank(x) > 2:
        x = w.op("Transpose", x, [0, *range(2, w.rank(x)), 1])
    return w.op("Reshape", x, w.sizes(w.size(x, 0), -1))


@rule("Reshape")
def _reshape(call: LayerCall) -> Tensor:
    w, x, target = call.writer, call.x, call.config["target_shape"]
    sizes, rest = w.shape(x)[1:], prod(size for size in target if size != -1)
    if target.count(-1) > 1:
        call.fail("target_shape has -1 more than once")
    if all(isinstance(size, int) for size in sizes):
        values = prod(sizes)
        if values % rest if -1 in target else values != rest:
            call.fail(f"{values} values cannot have the shape {target}")
    return w.op("Reshape", x, w.sizes(w.size(x, 0), *target))


@rule("Permute")
def _permute(call: LayerCall) -> Tensor:
    return call.writer.op("Transpose", call.x, [0, *call.config["dims"]])


@rule("RepeatVector")
def _repeat_vector(call: LayerCall) -> Tensor:
    w = call.writer
    return w.op("Tile", w.op("ExpandDims", call.x, 1), [1, call.config["n"], 1])
