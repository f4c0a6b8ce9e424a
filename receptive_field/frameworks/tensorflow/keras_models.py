"""Turns Keras models (Keras 3, or Keras 2 from the tf_keras package) into graphs.

A model is traced once, as a `tf.function` in inference mode, with inputs of the model's
own shapes. During tracing, every layer call is recorded with the tensors that it reads
and returns. This includes the layers of nested and subclassed models. The recording
does not depend on node names, needs no second trace, and also finds layers that create
no node, such as Dropout.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.alone import ALONE
from receptive_field.frameworks.tensorflow.objects import keras_of, maker_of, only_call
from receptive_field.graph.model import output_name, unique_name


@dataclass(slots=True)
class TracedModel:
    """The graph of a model, and the tensors that its layers read and return."""

    graph: Any
    """The `tf.Graph`."""
    inputs: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    """Name of a model input or output -> tensor name."""
    layers: dict[str, str] = field(default_factory=dict)
    """Name of a layer call -> name of the first tensor that the call returns."""
    layer_inputs: dict[str, list[str]] = field(default_factory=dict)
    """Name of a layer call -> names of the tensors that the call receives."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Name of a layer call -> the class of the layer."""
    calls: dict[int, list[str]] = field(default_factory=dict)
    """``id`` of a layer -> the names of its calls, in order."""

    def name_of(self, thing: Any) -> str | None:
        """Returns the name of the layer call that a layer or KerasTensor refers to.

        A layer refers to its only call, and a KerasTensor to the call that created it.
        For a model input, returns the input's name. Returns None if there is no such
        call.

        Raises:
          GraphError: if the layer is called several times. (A trace runs these calls in
            another order than that in which they were made.)
        """
        maker = maker_of(thing)
        if maker is not None and maker.name in self.inputs:
            return str(maker.name)
        layer = thing if maker is None else maker
        return only_call(layer, self.calls.get(id(layer), []))


def trace(model: Any) -> TracedModel:
    """Traces a Keras model.

    Raises:
      GraphError: if the object is not a Keras model, Keras runs on another backend, the
        input shape is unknown, or the model fails on inputs of this shape.
    """
    keras = keras_of(model)
    if keras is None:
        raise GraphError(f"{model!r} is not a Keras model.")
    if hasattr(keras, "backend") and hasattr(keras.backend, "backend"):
        backend = keras.backend.backend()
        if backend != "tensorflow":
            raise GraphError(
                f"Keras runs on the {backend} backend, which has no graph to analyse. "
                "Set KERAS_BACKEND=tensorflow in the environment before you import "
                "Keras."
            )
    tf = import_module("tensorflow")

    structure = _input_structure(model, tf)
    calls: list[tuple[Any, Any, Any]] = []

    def run(inputs: Any) -> Any:
        with recorded(keras.layers.Layer, calls):
            return model(inputs, training=False)

    try:
        concrete = tf.function(run, autograph=False).get_concrete_function(structure)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        tf.errors.OpError,
    ) as error:
        reason = quoted(error) or type(error).__name__
        raise GraphError(
            f"the model {model.name!r} fails on inputs of the shape that it declares: "
            f"{reason}"
        ) from error
    graph = concrete.graph
    specs = tf.nest.flatten(structure)
    traced = TracedModel(
        graph,
        {
            _base_name(spec.name or tensor.name): tensor.name
            for spec, tensor in zip(specs, graph.inputs, strict=False)
        },
    )
    for layer, given, outputs in calls:
        tensors = names_in(graph, outputs)
        if layer is not model and tensors:
            name = unique_name(layer.name, traced.layers)
            traced.layers[name] = tensors[0]
            traced.kinds[name] = type(layer).__name__
            traced.layer_inputs[name] = names_in(graph, given)
            traced.calls.setdefault(id(layer), []).append(name)
    _name_outputs(model, tf.nest.flatten(graph.structured_outputs), traced)
    return traced


def names_in(graph: Any, structure: Any) -> list[str]:
    """Returns the names of the tensors in a structure that are in a graph."""
    tf = import_module("tensorflow")
    return [
        tensor.name
        for tensor in tf.nest.flatten(structure)
        if tf.is_tensor(tensor) and getattr(tensor, "graph", None) is graph
    ]


def _name_outputs(model: Any, tensors: list[Any], traced: TracedModel) -> None:
    names = list(getattr(model, "output_names", None) or ())
    is_stated = len(names) == len(tensors)
    last_call = {result: called for called, result in traced.layers.items()}
    for number, tensor in enumerate(tensors):
        # A function returns copies.
        same = tensor
        while same.name not in last_call and same.op.type == "Identity":
            (same,) = same.op.inputs
        own = same.name if same.name in last_call else tensor.name
        called = last_call.get(own, _base_name(tensor.name))
        name = str(names[number]) if is_stated else called
        name = output_name(name, own, traced.layers, traced.outputs)
        traced.outputs[name] = own


def _input_name(tensor: Any) -> str:
    """Returns the name of a tensor's input layer, or its own name if it has none."""
    history = getattr(tensor, "_keras_history", None)
    layer = getattr(history, "operation", None) or getattr(history, "layer", None)
    return str(layer.name) if layer is not None else _base_name(tensor.name)


def _base_name(name: str) -> str:
    return name.partition(":")[0]


def _input_structure(model: Any, tf: Any) -> Any:
    """Returns TensorSpecs of the inputs, in the structure that the model expects."""
    inputs = getattr(model, "_inputs_struct", None)
    if inputs is None:
        listed = getattr(model, "inputs", None)
        inputs = listed[0] if listed and len(listed) == 1 else listed or None
    if inputs is None and hasattr(model, "save_spec"):  # Keras 2
        spec = model.save_spec()
        inputs = spec[0][0] if spec is not None else None
    if inputs is None:
        shape = getattr(model, "_build_shapes_dict", None) or {}
        if len(shape) == 1:
            (sizes,) = shape.values()
            if isinstance(sizes, (tuple, list)):
                return tf.TensorSpec((None, *sizes[1:]), tf.float32)
        raise GraphError(
            f"the input shape of the model {model.name!r} is unknown. Call the model "
            "once on data, build the model with build(shape), or add an Input layer."
        )
    return tf.nest.map_structure(
        lambda tensor: tf.TensorSpec(
            tensor.shape, tf.as_dtype(tensor.dtype), _input_name(tensor)
        ),
        inputs,
    )


@contextmanager
def recorded(layer_class: Any, calls: list[tuple[Any, Any, Any]]) -> Iterator[None]:
    """Records the calls of layers by this thread while the context is open."""
    with ALONE.held():
        original = layer_class.__call__
        thread = threading.get_ident()

        def recording(self: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = original(self, *args, **kwargs)
            if threading.get_ident() == thread:
                calls.append((self, (args, kwargs), outputs))
            return outputs

        layer_class.__call__ = recording
        try:
            yield
        finally:
            layer_class.__call__ = original
