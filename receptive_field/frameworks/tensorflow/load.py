"""Makes a `Model` from a file, a TensorFlow object or a Keras model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from receptive_field.frameworks.request import NOTHING_ASKED, Request
from receptive_field.frameworks.tensorflow.objects import (
    arguments_of,
    concrete_function_of,
    graph_of,
    keras_of,
)
from receptive_field.graph.graph import Graph, Tensor
from receptive_field.graph.model import Model
from receptive_field.graph.source import Source

READS = (
    "a path to a graph file or SavedModel, a GraphDef, a tf.Graph, a tf.Tensor in a "
    "graph, a tf.function, a ConcreteFunction or a Keras model"
)
"""The kinds of models that this wing can read, for error messages."""


def model_of(thing: Any, request: Request = NOTHING_ASKED) -> Model | None:
    """Returns the `Model` of a thing, or None if this wing cannot read the thing.

    Args:
      thing: any object. `READS` lists the kinds that this wing can read.
      request: only the signature matters.

    Raises:
      GraphError: if the thing is malformed or cannot be converted to a graph.
    """
    if isinstance(thing, (str, os.PathLike)):
        return _from_file(os.fspath(thing), request.signature)
    if hasattr(thing, "node") and hasattr(thing, "library"):
        return Model(_graph(thing), thing)
    if keras_of(thing) is not None:
        return _from_keras(thing, thing.name)
    function = concrete_function_of(thing)
    if function is not None:
        return _from_function(function)
    graph = graph_of(thing)
    if graph is None:
        return None
    outputs = {}
    definition = graph.as_graph_def(add_shapes=True)
    flat = _graph(definition)
    if graph is not thing and hasattr(thing, "op"):
        outputs = _named(flat, [thing.name])
    return Model(flat, definition, outputs=outputs, name_of=_tensor_name)


def graph_of_function(function: Any) -> Graph:
    """Returns the graph of a ConcreteFunction."""
    return _graph(function.graph.as_graph_def(add_shapes=True))


def _graph(graph_def: Any, name: str = "graph") -> Graph:
    # Models of other frameworks do not need these imports.
    from receptive_field.frameworks.tensorflow.functions import flattened
    from receptive_field.frameworks.tensorflow.ops import OPS, TENSORFLOW

    return flattened(
        graph_def.node,
        graph_def.library.function,
        name,
        rules=OPS,
        framework=TENSORFLOW,
    )


def _named(graph: Graph, names: Iterable[str]) -> dict[str, Tensor]:
    tensors = map(graph.tensor, names)
    return {graph.name_of(tensor): tensor for tensor in tensors}


def _tensor_name(thing: Any) -> str | None:
    return str(thing.name) if graph_of(thing) is not None else None


def _from_file(path: str, signature: str | None) -> Model:
    # It imports protobuf, which no other model needs.
    from receptive_field.frameworks.tensorflow.files import WholeGraph, read_file
    from receptive_field.frameworks.tensorflow.saved_layers import saved_layers

    content = read_file(path, signature)
    graph = _graph(content.graph_def, path)
    inputs, outputs = (
        {name: graph.tensor(tensor) for name, tensor in named.items()}
        for named in (content.inputs, content.outputs)
    )
    named = saved_layers(graph, outputs.values())
    return Model(graph, WholeGraph(path, signature), inputs, outputs, *named)


def _from_function(function: Any) -> Model:
    definition = function.graph.as_graph_def(add_shapes=True)
    graph = _graph(definition)
    inputs, outputs = (
        _named(graph, [tensor.name for tensor in tensors])
        for tensors in arguments_of(function)
    )
    return Model(graph, definition, inputs, outputs, name_of=_tensor_name)


def _from_keras(model: Any, name: str) -> Model:
    from receptive_field.frameworks.tensorflow import keras_gradients, keras_models

    traced = keras_models.trace(model)
    definition = traced.graph.as_graph_def(add_shapes=True)
    graph = _graph(definition, name)
    graph.source = Source("trace")

    def tensors(names: Mapping[str, str]) -> dict[str, Tensor]:
        return {name: graph.tensor(tensor) for name, tensor in names.items()}

    return Model(
        graph,
        definition,
        tensors(traced.inputs),
        tensors(traced.outputs),
        tensors(traced.layers),
        {
            name: [graph.tensor(tensor) for tensor in given]
            for name, given in traced.layer_inputs.items()
        },
        traced.kinds,
        name_of=traced.name_of,
        squared_gradients=partial(
            keras_gradients.squared_gradients, keras_of(model), model, traced.calls
        ),
    )
