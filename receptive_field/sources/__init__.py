"""Where graphs come from: files, TensorFlow objects, Keras models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.graph.functions import flattened
from receptive_field.graph.graph import Graph, Tensor
from receptive_field.graph.model import Model
from receptive_field.ops import OPS, TENSORFLOW
from receptive_field.sources.files import FileContent, WholeGraph, read_file
from receptive_field.sources.tensorflow_objects import (
    arguments_of,
    concrete_function_of,
    graph_of,
    keras_of,
)


def load(model: Any, signature: str | None = None) -> Model:
    """The graph of anything that has one.

    Args:
      model: a path, a GraphDef message, a ``tf.Graph`` (or a tensor or operation of
        one), a ``tf.function``, a ConcreteFunction or a Keras model; or what this
        function has made of one.
      signature: which signature of a SavedModel is meant, if it has several.

    Raises:
      GraphError: if it is none of these, or malformed.
    """
    if isinstance(model, Model):
        return model
    name = None
    if isinstance(model, (str, os.PathLike)):
        content = read_file(model, signature)
        if isinstance(content, FileContent):
            return _from_file(content, os.fspath(model), signature)
        name, model = os.fspath(model), content
    if hasattr(model, "node") and hasattr(model, "library"):
        return Model(_graph(model), model)
    if keras_of(model) is not None:
        return _from_keras(model, name or model.name)
    function = concrete_function_of(model)
    if function is not None:
        return _from_function(function)
    graph = graph_of(model)
    if graph is None:
        raise GraphError(
            f"cannot analyse a {type(model).__module__}.{type(model).__qualname__}: "
            "give a path to a graph file or SavedModel, a GraphDef, a tf.Graph, a "
            "tf.Tensor of one, a tf.function, a ConcreteFunction or a Keras model."
        )
    outputs = {}
    definition = graph.as_graph_def(add_shapes=True)
    flat = _graph(definition)
    if graph is not model and hasattr(model, "op"):
        outputs = _named(flat, [model.name])
    return Model(flat, definition, outputs=outputs, name_of=_tensor_name)


def _graph(graph_def: Any, name: str = "graph") -> Graph:
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


def _from_file(content: FileContent, path: str, signature: str | None) -> Model:
    graph = _graph(content.graph_def, path)
    return Model(
        graph,
        WholeGraph(path, signature),
        {name: graph.tensor(tensor) for name, tensor in content.inputs.items()},
        {name: graph.tensor(tensor) for name, tensor in content.outputs.items()},
    )


def _from_function(function: Any) -> Model:
    definition = function.graph.as_graph_def(add_shapes=True)
    graph = _graph(definition)
    inputs, outputs = (
        _named(graph, [tensor.name for tensor in tensors])
        for tensors in arguments_of(function)
    )
    return Model(graph, definition, inputs, outputs, name_of=_tensor_name)


def _from_keras(model: Any, name: str) -> Model:
    from receptive_field.sources import keras_models

    traced = keras_models.trace(model)
    definition = traced.graph.as_graph_def(add_shapes=True)
    graph = _graph(definition, name)

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
        traced.name_of,
    )
