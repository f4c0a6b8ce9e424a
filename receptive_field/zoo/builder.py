"""Builds TensorFlow graphs from tables, with one function for each kind of layer.

Graphs consist of plain operations, as in TensorFlow 1. Weights are variables that are
initialised with zeros, so the GraphDef stays small. This file contains no networks.
TensorFlow is imported when the first graph is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatchmethod
from operator import index
from types import MappingProxyType
from typing import Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks.quiet import imported
from receptive_field.zoo.layers import (
    Block,
    Concatenation,
    Convolution,
    Depthwise,
    Label,
    Layer,
    Network,
    Normalisation,
    Pool,
    Residual,
    Separable,
)

INPUT = "input_image"
_EPSILON = 1e-5

LARGEST_SIZE = 1 << 20
"""The largest height or width. TensorFlow cannot represent the feature maps of much
larger images."""


@dataclass(frozen=True, slots=True)
class BuiltNetwork:
    """A network as a graph.

    Attributes:
      name: the name of the network.
      graph: the `tf.Graph`, with float32 features in NHWC.
      input: the name of the input node, a placeholder with shape (1, H, W, 3).
      end_points: published name of an end-point -> name of its node, in the order of
        the network.
    """

    name: str
    graph: Any
    input: str
    end_points: Mapping[str, str]


def build_network(
    network: Network,
    input_resolution: Sequence[int] | None,
    *,
    resource_variables: bool,
) -> BuiltNetwork:
    """Builds the graph of a network; see `receptive_field.zoo.build`."""
    tf = _tensorflow()
    height, width = _checked_resolution(input_resolution)
    graph = tf.Graph()
    outputs = {}
    with graph.as_default():
        v1 = tf.compat.v1
        tensor = v1.placeholder(tf.float32, (1, height, width, 3), name=INPUT)
        builder = _Builder(tf, network.name)
        with v1.variable_scope(
            network.scope,
            use_resource=resource_variables,
            initializer=v1.zeros_initializer(),
        ):
            for layer in network.layers:
                tensor = builder.add(layer, tensor)
                outputs[layer.name] = tensor.op.name
    end_points = {
        published: outputs[published.removeprefix(f"{network.scope}/")]
        for published in network.end_points
    }
    return BuiltNetwork(network.name, graph, INPUT, MappingProxyType(end_points))


def _tensorflow() -> Any:
    try:
        return imported("tensorflow")
    except ImportError as error:
        raise ReceptiveFieldError(
            "building a network from the zoo requires TensorFlow, which cannot be "
            f'imported ({error}): run pip install "receptive_field[tensorflow]"'
        ) from error


def _checked_resolution(
    resolution: Sequence[int] | None,
) -> tuple[int | None, int | None]:
    if resolution is None:
        return None, None
    try:
        height, width = map(index, resolution)
    except (TypeError, ValueError):
        height = width = 0
    if not 1 <= min(height, width) <= max(height, width) <= LARGEST_SIZE:
        raise ReceptiveFieldError(
            "input_resolution must be None or [height, width], two integers from 1 to "
            f"{LARGEST_SIZE}; got {resolution!r}"
        )
    return height, width


class _Builder:
    """Adds layers to the default graph, in the current variable scope."""

    def __init__(self, tf: Any, network: str) -> None:
        self._tf = tf
        self._network = network

    @singledispatchmethod
    def add(self, layer: Layer, tensor: Any) -> Any:
        """Adds a layer that reads the tensor, and returns the layer's output."""
        raise TypeError(f"no builder for {type(layer).__name__}")

    @add.register
    def _(self, layer: Convolution, tensor: Any) -> Any:
        padded, padding = self._padded(layer, tensor, "Conv2D")
        with self._scope(layer.name):
            shape = (*layer.kernel, _channels(tensor), layer.filters)
            weights = self._variable("weights", shape)
            output = self._tf.nn.conv2d(
                padded, weights, layer.stride, padding, name="Conv2D"
            )
            if layer.normalised:
                with self._scope("BatchNorm"):
                    output = self._batch_norm(output)
            else:
                output = self._with_bias(output)
            return self._relu(output) if layer.activated else output

    @add.register
    def _(self, layer: Depthwise, tensor: Any) -> Any:
        with self._scope(layer.name):
            shape = (*layer.kernel, _channels(tensor), 1)
            weights = self._variable("depthwise_weights", shape)
            strides = (1, layer.stride, layer.stride, 1)
            output = self._tf.nn.depthwise_conv2d(tensor, weights, strides, "SAME")
            return self._relu(self._with_bias(output))

    @add.register
    def _(self, layer: Separable, tensor: Any) -> Any:
        channels = _channels(tensor)
        with self._scope(layer.name):
            output = self._tf.nn.separable_conv2d(
                tensor,
                self._variable(
                    "depthwise_weights", (*layer.kernel, channels, layer.multiplier)
                ),
                self._variable(
                    "pointwise_weights",
                    (1, 1, channels * layer.multiplier, layer.filters),
                ),
                strides=(1, layer.stride, layer.stride, 1),
                padding="SAME",
            )
            return self._relu(self._with_bias(output))

    @add.register
    def _(self, layer: Pool, tensor: Any) -> Any:
        operation, pool = {
            "max": ("MaxPool", self._tf.nn.max_pool2d),
            "avg": ("AvgPool", self._tf.nn.avg_pool2d),
        }[layer.kind]
        padded, padding = self._padded(layer, tensor, operation)
        with self._scope(layer.name):
            return pool(padded, layer.kernel, layer.stride, padding, name=operation)

    @add.register
    def _(self, layer: Normalisation, tensor: Any) -> Any:
        with self._scope(layer.name):
            return self._relu(self._batch_norm(tensor))

    @add.register
    def _(self, layer: Concatenation, tensor: Any) -> Any:
        parts = [self.add(part, tensor) for part in layer.parts]
        return self._tf.concat(parts, axis=3)

    @add.register
    def _(self, layer: Residual, tensor: Any) -> Any:
        shortcut = self._sequence(layer.shortcut, tensor)
        body = self._sequence(layer.body, tensor)
        if layer.scale is not None:
            body = self._tf.multiply(body, layer.scale, name="mul")
        output = self._tf.add(shortcut, body, name="add")
        return self._relu(output) if layer.activated else output

    @add.register
    def _(self, layer: Block, tensor: Any) -> Any:
        with self._scope(layer.name):
            return self._sequence(layer.layers, tensor)

    @add.register
    def _(self, layer: Label, tensor: Any) -> Any:
        return tensor

    def _sequence(self, layers: Sequence[Layer], tensor: Any) -> Any:
        for layer in layers:
            tensor = self.add(layer, tensor)
        return tensor

    def _padded(
        self, layer: Convolution | Pool, tensor: Any, operation: str
    ) -> tuple[Any, str]:
        """Returns the tensor that the operation reads and the operation's padding.

        Adds a Pad node if the layer needs one.
        """
        if layer.padding == "SAME":
            return tensor, "SAME"
        if layer.padding == "PAD" and layer.kernel != (1, 1):
            around = [((k - 1) // 2, k // 2) for k in layer.kernel]
            tensor = self._tf.pad(tensor, [(0, 0), *around, (0, 0)])
        sizes = tensor.shape.as_list()[1:3]
        if any(
            n is not None and n < k for n, k in zip(sizes, layer.kernel, strict=True)
        ):
            raise self._vanishing(layer, sizes, operation)
        return tensor, "VALID"

    def _vanishing(
        self, layer: Convolution | Pool, sizes: Sequence[int], operation: str
    ) -> ReceptiveFieldError:
        graph = self._tf.compat.v1.get_default_graph()
        node = f"{graph.get_name_scope()}/{layer.name}/{operation}"
        height, width = graph.get_tensor_by_name(f"{INPUT}:0").shape.as_list()[1:3]
        return ReceptiveFieldError(
            f"an input resolution of {[height, width]} is too small for "
            f"{self._network}: the feature map vanishes at {node}, whose kernel "
            f"{list(layer.kernel)} is larger than its input {sizes}"
        )

    def _scope(self, name: str) -> Any:
        return self._tf.compat.v1.variable_scope(name)

    def _variable(self, name: str, shape: tuple[int, ...]) -> Any:
        return self._tf.compat.v1.get_variable(name, shape)

    def _with_bias(self, tensor: Any) -> Any:
        biases = self._variable("biases", (_channels(tensor),))
        return self._tf.nn.bias_add(tensor, biases, name="BiasAdd")

    def _batch_norm(self, tensor: Any) -> Any:
        scale, offset, mean, variance = (
            self._variable(name, (_channels(tensor),))
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        output, _, _ = self._tf.compat.v1.nn.fused_batch_norm(
            tensor,
            scale,
            offset,
            mean,
            variance,
            epsilon=_EPSILON,
            is_training=False,
            name="FusedBatchNormV3",
        )
        return output

    def _relu(self, tensor: Any) -> Any:
        return self._tf.nn.relu(tensor, name="Relu")


def _channels(tensor: Any) -> int:
    return int(tensor.shape.as_list()[-1])
