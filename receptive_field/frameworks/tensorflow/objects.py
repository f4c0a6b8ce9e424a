"""Finds the graphs of TensorFlow and Keras objects.

This file never imports TensorFlow or Keras, but looks them up in ``sys.modules``. A
caller who has TensorFlow or Keras objects has already imported the module.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from receptive_field.errors import GraphError

LAYER_MODULES = ("keras", "tf_keras")


def graph_of(thing: Any) -> Any | None:
    """Returns the ``tf.Graph`` that an object is or belongs to; None for other objects.

    Raises:
      GraphError: if the object is an eager tensor.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return None
    if isinstance(thing, tensorflow.Graph):
        return thing
    if not isinstance(thing, (tensorflow.Tensor, tensorflow.Operation)):
        return None
    try:
        return thing.graph
    except AttributeError:
        raise GraphError(
            "the tensor was computed eagerly and does not belong to a graph. Create "
            "the tensor inside a tf.Graph."
        ) from None


def keras_of(thing: Any) -> Any | None:
    """Returns a layer's Keras module (keras or tf_keras); None for other objects."""
    for name in LAYER_MODULES:
        keras = sys.modules.get(name)
        layers = getattr(keras, "layers", None)
        if layers is not None and isinstance(thing, layers.Layer):
            return keras
    return None


def maker_of(tensor: Any) -> Any | None:
    """Returns the layer or operation that a symbolic tensor of Keras comes from."""
    history = getattr(tensor, "_keras_history", None)
    return None if history is None else history[0]


def only_call(layer: Any, names: Sequence[str]) -> str | None:
    """Returns the name of the only call of a layer; None if there is none.

    Args:
      layer: the layer.
      names: the names of its calls.

    Raises:
      GraphError: if the layer is called several times.
    """
    if len(names) > 1:
        raise GraphError(
            f"the layer {layer.name!r} is called {len(names)} times; give the name of "
            f"one call: {', '.join(map(repr, names))}."
        )
    return names[0] if names else None


def concrete_function_of(thing: Any) -> Any | None:
    """Returns the ConcreteFunction that an object is or has; None for other objects.

    Raises:
      GraphError: if the object is a tf.function without an input signature that has not
        been traced exactly once.
    """
    if sys.modules.get("tensorflow") is None:
        return None
    if hasattr(thing, "structured_outputs") and hasattr(thing, "captured_inputs"):
        return thing
    if not hasattr(thing, "get_concrete_function"):
        return None
    if thing.input_signature is not None:
        return thing.get_concrete_function()
    known = thing._list_all_concrete_functions()
    if len(known) != 1:
        raise GraphError(
            f"the tf.function {thing.__name__!r} has {len(known)} traced signatures. "
            "Instead of the function, give the result of its "
            "get_concrete_function(tf.TensorSpec(...))."
        )
    return known[0]


def arguments_of(function: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """Returns the inputs (without captures) and outputs of a ConcreteFunction."""
    count = len(function.inputs) - len(function.captured_inputs)
    return function.inputs[:count], function.outputs
