"""Normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.layers.call import (
    MOST_CHANNELS,
    LayerCall,
    axes_of,
    moments,
    normalized,
    passed_on,
    rule,
)
from receptive_field.graph.graph import Tensor


@rule("Normalization", masks=passed_on)
def _normalization(call: LayerCall) -> Tensor:
    w, x, c = call.writer, call.x, call.config
    kept = [] if c.get("axis", -1) is None else axes_of(call)
    given = [size if n in kept else 1 for n, size in enumerate(w.shape(x))]
    shape = [size for size in given if isinstance(size, int)]
    if len(shape) < len(given) or prod(shape) > MOST_CHANNELS:
        call.fail(f"statistics of the shape {given}")
    statistics = np.ones(shape, "float32")
    deviation = w.op("Maximum", w.op("Sqrt", statistics), 1e-7)
    if c.get("invert", False):
        return w.op("AddV2", statistics, w.op("Mul", x, deviation))
    return w.op("RealDiv", w.op("Sub", x, statistics), deviation)


@rule("BatchNormalization", masks=passed_on)
def _batch_normalization(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    axes = axes_of(call)
    shape = [size if axis in axes else 1 for axis, size in enumerate(w.shape(x))]
    if axes == [w.rank(x) - 1]:
        shape = shape[-1:]
    mean, variance = w.weight(*shape), w.weight(*shape)
    if call.in_training:
        if axes != [3] or w.rank(x) != 4:
            call.fail("it is called in training mode")
        weights = w.weight(*shape), w.weight(*shape), mean, variance
        options = {"is_training": True, "data_format": "NHWC"}
        return w.op("FusedBatchNormV3", x, *weights, **options)
    scale = w.op("Rsqrt", w.op("AddV2", variance, float(c.get("epsilon", 1e-3))))
    if c.get("scale", True):
        scale = w.op("Mul", scale, w.weight(*shape))
    y = w.op("Mul", x, scale)
    offset = w.op("Mul", mean, scale)
    if c.get("center", True):
        return w.op("AddV2", y, w.op("Sub", w.weight(*shape), offset))
    return w.op("AddV2", y, w.op("Neg", offset))


def _per_axes(call: LayerCall, axes: Sequence[int]) -> Tensor:
    """Adds a weight for each position of some axes, in the rank of the input."""
    w, x = call.writer, call.x
    sizes = [w.shape(x)[axis] for axis in axes]
    if list(axes) == [w.rank(x) - 1]:
        return w.weight(*sizes)
    shape: list[Any] = [1] * w.rank(x)
    for axis in axes:
        shape[axis] = w.size(x, axis)
    return w.op("Reshape", w.weight(*sizes), w.sizes(*shape))


@rule("LayerNormalization", masks=passed_on)
def _layer_normalization(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    axes, epsilon = sorted(axes_of(call)), float(c.get("epsilon", 1e-3))
    mean, variance = moments(w, x, axes)
    scale = w.op("Rsqrt", w.op("AddV2", variance, epsilon))
    if c.get("rms_scaling", False):
        return w.op("Mul", w.op("Mul", x, scale), _per_axes(call, axes))
    if c.get("scale", True):
        scale = w.op("Mul", scale, _per_axes(call, axes))
    offset = w.op("Mul", w.op("Neg", mean), scale)
    if c.get("center", True):
        offset = w.op("AddV2", offset, _per_axes(call, axes))
    return w.op("AddV2", w.op("Mul", x, scale), offset)


@rule("GroupNormalization", masks=passed_on)
def _group_normalization(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    (axis,) = axes_of(call)
    count = w.shape(x)[axis]
    groups = count if c.get("groups", 32) == -1 else c.get("groups", 32)
    sizes: list[Any] = [w.size(x, number) for number in range(w.rank(x))]
    split = [-1, *sizes[1:]]
    split[axis : axis + 1] = [groups, count // groups]
    parts = w.op("Reshape", x, w.sizes(*split))
    axes = [number for number in range(1, w.rank(parts)) if number != axis]
    shape: list[Any] = [1] * w.rank(parts)
    shape[axis : axis + 2] = [groups, count // groups]
    mean, variance = moments(w, parts, axes)
    scale = w.op("Rsqrt", w.op("AddV2", variance, float(c.get("epsilon", 1e-3))))
    if c.get("scale", True):
        scale = w.op("Mul", scale, w.op("Reshape", w.weight(count), shape))
    offset = w.op("Mul", w.op("Neg", mean), scale)
    if c.get("center", True):
        offset = w.op("AddV2", offset, w.op("Reshape", w.weight(count), shape))
    y = w.op("AddV2", w.op("Mul", parts, scale), offset)
    return w.op("Reshape", y, w.sizes(*sizes))


@rule("RMSNormalization")
def _rms_normalization(call: LayerCall) -> Tensor:
    w, x, axes = call.writer, call.x, sorted(axes_of(call))
    mean = w.op("Mean", w.op("Square", x), axes, keep_dims=True)
    epsilon = float(call.config.get("epsilon", 1e-6))
    y = w.op("Mul", x, w.op("Rsqrt", w.op("AddV2", mean, epsilon)))
    return w.op("Mul", y, w.weight(*(w.shape(x)[axis] for axis in axes)))


@rule("UnitNormalization", masks=passed_on)
def _unit_normalization(call: LayerCall) -> Tensor:
    return normalized(call.writer, call.x, axes_of(call), 1e-12)
