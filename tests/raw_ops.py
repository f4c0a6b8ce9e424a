"""Networks of TensorFlow's raw ops, for tests of their rules."""

from __future__ import annotations

import inspect
from functools import reduce

import numpy as np
from dependency import hold, measured, positive, traced, vanishes
from hypothesis import assume
from needed import needed

tf = needed("tensorflow")
raw = tf.raw_ops


def op(name, *tensors, **attributes):
    """A raw op, whose inputs have names that nobody knows."""
    function = getattr(raw, name)
    names = inspect.signature(function).parameters
    return function(**dict(zip(names, tensors, strict=False)), **attributes)


def words(text):
    return text.split()


def weights(tensor, *shape):
    return tf.constant(positive(shape), tensor.dtype)


def sizes_of(tensor, *axes):
    """Sizes as numbers where the graph knows them, else as tensors."""
    return [tensor.shape[axis] or tf.shape(tensor)[axis] for axis in axes]


def chain(*layers):
    """One layer after another."""
    return lambda x: reduce(lambda tensor, layer: layer(tensor), layers, x)


def merged(merge, *branches):
    """Branches from one tensor that meet again."""
    return lambda x: merge([branch(x) for branch in branches])


def possible_trace(build, shape, largest=600, dtype="float64"):
    """Rejects networks whose maps vanish or grow without bound."""
    try:
        trace = traced(build, shape, dtype)
    except ValueError:
        assume(False)
    sizes = trace.output.shape
    assume(not vanishes(trace))
    assume(not any(map(_mirrors_too_much, trace.graph.get_operations())))
    assume(None in shape or (None not in sizes and 0 < sizes.num_elements() <= largest))
    return trace


def _mirrors_too_much(operation):
    """Whether it mirrors more than there is, which shows only when it is run."""
    if (
        operation.type != "MirrorPad"
        or not operation.inputs[0].shape.is_fully_defined()
    ):
        return False
    sizes = np.array(operation.inputs[0].shape.as_list())
    least = sizes - (operation.get_attr("mode") == b"REFLECT")
    return (tf.get_static_value(operation.inputs[1]).max(axis=1) > least).any()


def check_possible(
    build, shape, largest=600, axes=(1, 2), spacing=None, dtype="float64"
):
    """The same as `check`, for networks that may be impossible or grow too large."""
    trace = possible_trace(build, shape, largest, dtype)
    try:
        truth = measured(build, shape, axes, dtype=dtype, trace=trace)
    except tf.errors.InvalidArgumentError:
        assume(False)
    assume(truth.any())
    return hold(trace, truth, axes, spacing=spacing)
