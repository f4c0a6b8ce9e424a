"""Layers of several inputs."""

from __future__ import annotations

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


def _expanded(call: LayerCall) -> list[Tensor]:
    """Returns the inputs of a merging layer with the same number of axes."""
    w, found = call.writer, _given(call)
    most = max(map(w.rank, found))
    for number, x in enumerate(found):
        for _ in range(most - w.rank(x)):
            x = w.op("ExpandDims", x, 1)
        found[number] = x
    return found


def _masks(call: LayerCall) -> list[Tensor | None]:
    """Returns the masks of the inputs, as they are given to the layer."""
    found = call.given("inputs")["inputs"]
    return call.masks(found) or [None] * len(found)


def _any_of(call: LayerCall) -> Tensor | None:
    """Writes where any of the inputs is real, if all have masks."""
    masks = [mask for mask in _masks(call) if mask is not None]
    if len(masks) < len(_masks(call)):
        return None
    return call.writer.reduced("LogicalOr", masks)


def _pairwise(op: str) -> LayerRule:
    def merged(call: LayerCall) -> Tensor:
        return call.writer.reduced(op, _expanded(call))

    return merged


for _name, _op in {"Add": "AddV2", "Subtract": "Sub"}.items():
    rule(_name, arguments=True, masks=_any_of)(_pairwise(_op))


def _of_channels(call: LayerCall, x: Tensor) -> Tensor | None:
    """Adds an axis of channels to the mask of an input, if there is one."""
    mask = call.masks(x)
    return None if mask is None else call.writer.op("ExpandDims", mask, -1)


def _extreme(op: str) -> LayerRule:
    """Returns the rule of a layer that leaves out what is not real."""

    def merged(call: LayerCall) -> Tensor:
        w = call.writer
        y, *more = _expanded(call)
        shown = _of_channels(call, y)
        for x in more:
            mask = _of_channels(call, x)
            if mask is not None:
                x = w.op("SelectV2", mask, x, y)
            if shown is not None:
                y = w.op("SelectV2", shown, y, x)
            both = mask is not None and shown is not None
            shown = w.op("LogicalOr", shown, mask) if both else None
            y = w.op(op, y, x)
        return y

    return merged


rule("Maximum", arguments=True, masks=_any_of)(_extreme("Maximum"))
rule("Minimum", arguments=True, masks=_any_of)(_extreme("Minimum"))


@rule("Multiply", arguments=True, masks=_any_of)
def _multiply(call: LayerCall) -> Tensor:
    w, found = call.writer, _expanded(call)
    masks = [_of_channels(call, x) for x in found]
    factors = [
        x if mask is None else w.op("SelectV2", mask, x, 1.0)
        for x, mask in zip(found, masks, strict=True)
    ]
    y = w.reduced("Mul", factors)
    if any(mask is None for mask in masks):
        return y
    return w.op("SelectV2", w.reduced("LogicalOr", masks), y, 0.0)


@rule("Average", arguments=True, masks=_any_of)
def _average(call: LayerCall) -> Tensor:
    total = _pairwise("AddV2")(call)
    return call.writer.op("RealDiv", total, float(len(_given(call))))


@rule("CustomScaleLayer")
def _scaled_sum(call: LayerCall) -> Tensor:
    """Of Inception-ResNet: the first input, plus the second times a factor."""
    w, (one, two) = call.writer, call.inputs
    return w.op("AddV2", one, w.op("Mul", two, float(call.config["scale"])))


def _joined(call: LayerCall) -> Tensor | None:
    """Writes where any channel of the joined inputs is real."""
    w, found, axis = call.writer, _given(call), call.config.get("axis", -1)
    if all(mask is None for mask in _masks(call)):
        return None
    rank = w.rank(found[0])
    if axis in (-1, rank - 1) and None in _masks(call):
        # Each step has channels of an input without a mask.
        return w.op(
            "Any", w.op("Fill", w.op("Shape", found[0]), True), [-1], keep_dims=False
        )
    masks = []
    for x, mask in zip(found, _masks(call), strict=True):
        everywhere = w.op("Fill", w.op("Shape", x), mask is None)
        if mask is None:
            mask = everywhere
        elif w.rank(mask) < w.rank(x):
            mask = w.op("LogicalOr", w.op("ExpandDims", mask, -1), everywhere)
        masks.append(mask)
    return w.op("Any", w.op("ConcatV2", *masks, axis), [-1], keep_dims=False)


@rule("Concatenate", arguments=True, masks=_joined)
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
