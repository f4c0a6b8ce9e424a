"""Layers of several inputs."""

from __future__ import annotations

import itertools

from receptive_field.arrays import np
from receptive_field.frameworks.keras.layers.call import (
    LayerCall,
    LayerRule,
    matmul,
    normalized,
    rule,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


def _given(call: LayerCall) -> list[Tensor]:
    """Returns the inputs of a merging layer; constants become tensors."""
    w, found = call.writer, call.given("inputs")["inputs"]
    if not isinstance(found, list):
        call.fail("its inputs are not a list")
    return [w.tensor(np.asarray(x) if isinstance(x, list) else x) for x in found]


def _pairwise(op: str) -> LayerRule:
    def merged(call: LayerCall) -> Tensor:
        w, found = call.writer, _given(call)
        most = max(map(w.rank, found))
        for number, x in enumerate(found):
            for _ in range(most - w.rank(x)):
                x = w.op("ExpandDims", x, 1)
            found[number] = x
        *_, last = itertools.accumulate(found, lambda one, two: w.op(op, one, two))
        return last

    return merged


for _name, _op in {
    "Add": "AddV2",
    "Subtract": "Sub",
    "Multiply": "Mul",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
}.items():
    rule(_name, arguments=True)(_pairwise(_op))


@rule("Average", arguments=True)
def _average(call: LayerCall) -> Tensor:
    total = _pairwise("AddV2")(call)
    return call.writer.op("RealDiv", total, float(len(_given(call))))


@rule("CustomScaleLayer")
def _scaled_sum(call: LayerCall) -> Tensor:
    """Of Inception-ResNet: the first input, plus the second times a factor."""
    w, (one, two) = call.writer, call.inputs
    return w.op("AddV2", one, w.op("Mul", two, float(call.config["scale"])))


@rule("Concatenate", arguments=True)
def _concatenate(call: LayerCall) -> Tensor:
    return call.writer.op("ConcatV2", *_given(call), call.config.get("axis", -1))


@rule("Dot")
def _dot(call: LayerCall) -> Tensor:
    w, (one, two), axes = call.writer, call.inputs, call.config["axes"]
    first, second = (axes, axes) if isinstance(axes, int) else axes
    first, second = first % w.rank(one), second % w.rank(two)
    if call.config.get("normalize", False):
        one = normalized(w, one, [first], 1e-7)
        two = normalized(w, two, [second], 1e-7)
    ranks = w.rank(one), w.rank(two)
    if ranks[0] == 2:
        one, first = w.op("ExpandDims", one, 1), first + 1
    if ranks[1] == 2:
        two = w.op("ExpandDims", two, 2)
    one = _moved(w, one, first, w.rank(one) - 1)
    two = _moved(w, two, second, 1)
    before = [w.size(one, axis) for axis in range(w.rank(one) - 1)]
    after = [w.size(two, axis) for axis in range(2, w.rank(two))]
    is_flat = w.rank(one) == w.rank(two) == 3
    if w.rank(one) > 3:
        one = w.op("Reshape", one, w.sizes(before[0], -1, w.size(one, -1)))
    if w.rank(two) > 3:
        two = w.op("Reshape", two, w.sizes(w.size(two, 0), w.size(two, 1), -1))
    y = matmul(w, one, two)
    if not is_flat:
        y = w.op("Reshape", y, w.sizes(*before, *after))
    if ranks[0] == 2:
        return w.op("Squeeze", y, squeeze_dims=[1])
    if ranks[1] == 2:
        return w.op("Squeeze", y, squeeze_dims=[w.rank(y) - 1])
    return y


def _moved(w: Writer, x: Tensor, axis: int, to: int) -> Tensor:
    """Adds a transposition that moves one axis, unless it is there already."""
    if axis == to:
        return x
    order = [number for number in range(w.rank(x)) if number != axis]
    order.insert(to, axis)
    return w.op("Transpose", x, order)
