"""The random weights that a network is run with in an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receptive_field.frameworks.tensorflow.double_precision import WIDE
from receptive_field.frameworks.weights import Between, leaf_scales, scale_of_weights
from receptive_field.rules.op import Call


class Weight(NamedTuple):
    """The random values that a variable or constant is set to for an experiment."""

    shape: tuple[int, ...]
    dtype: int
    """The number of the DataType, or 0 to use the type that the node states."""
    scale: float | None
    """The average of the random positive values. If it is None, constants keep their
    values, and variables get values of about one."""


def network_weights(network: Between) -> dict[str, Weight]:
    """Returns the values of the network's weights for an experiment, by node name.

    The weights of a kernel sum to about one. Weights that are added to the features are
    zero. All other weights, such as factors, are about one.
    """
    graph = network.graph
    nodes = graph.nodes
    found = leaf_scales(network, lambda call, _: weight_scale(call))
    shapes: dict[int, tuple[Any, int]] = {
        index: (network.shape((index, 0)), 0) for index in found
    }
    for node in graph:
        if node.op in READING:
            call, (index, _) = Call(node, network.known), node.inputs[0]
            while nodes[index].inputs:  # Follows the handle to its variable.
                index = nodes[index].inputs[0][0]
            shape = network.shape((index, 0))
            if shape is None and node.op == "ReadVariableOp":
                shape = network.shape((node.index, 0))
            shapes[index] = shape, call.attribute("dtype")
    return {
        nodes[index].name: Weight(shape, dtype, found.get(index))
        for index, (shape, dtype) in shapes.items()
        if shape is not None and all(isinstance(size, int) for size in shape)
    }


READING = frozenset({"ReadVariableOp", "ResourceGather"})
"""Ops that read a variable through its handle."""


ADDING = frozenset({"Add", "AddV2", "AddN", "Sub", "BiasAdd", "BiasAddV1"})


def weight_scale(call: Call) -> float | None:
    """Returns the scale of a weight that reaches the features through this node."""
    return scale_of_weights(call, call.node.op in ADDING)


def set_weights(
    tf: Any, definition: Any, weights: Mapping[str, Weight]
) -> dict[str, NDArray[Any]]:
    """Writes the chosen values into constants and returns the values of variables."""
    values = {}
    for number, node in enumerate(definition.node):
        weight = weights.get(node.name)
        if weight is None:
            continue
        scale = 1.0 if weight.scale is None else weight.scale
        value = np.random.default_rng(number).uniform(0.5, 1.5, weight.shape) * scale
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            if tensor.dtype in WIDE and value.size > 1 and weight.scale is not None:
                tensor.CopyFrom(tf.make_tensor_proto(value))
            continue
        resource = tf.resource.as_datatype_enum
        if node.op == "Placeholder" and node.attr["dtype"].type != resource:
            continue  # An input whose shape is read, not a captured variable.
        by_handle = node.op in ("VarHandleOp", "Placeholder")
        if not by_handle and node.op not in ("VariableV2", "Variable"):
            continue
        dtype = weight.dtype or node.attr["dtype"].type
        if dtype == resource:
            continue
        if by_handle:
            node.op = "VarHandleOp"
            node.attr.clear()
            node.attr["shared_name"].s = node.name.encode()
        node.attr["dtype"].type = WIDE.get(dtype, dtype)
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(weight.shape).as_proto())
        kind = tf.dtypes.as_dtype(WIDE.get(dtype, dtype)).as_numpy_dtype
        values[node.name] = (value if dtype in WIDE else value * 0).astype(kind)
    return values
