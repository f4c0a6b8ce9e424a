"""Graphs of objects of the caller's TensorFlow and Keras.

Neither is ever imported here. An object of theirs can only exist if the caller has
imported them, so they are looked up in ``sys.modules``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from receptive_field.errors import GraphError

LAYER_MODULES = ("keras", "tf_keras")


def graph_of(thing: Any) -> Any | None:
    """The ``tf.Graph`` that an object is, or is part of; None for anything else."""
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
            "this tensor was computed eagerly and belongs to no graph; build it inside "
            "a tf.Graph."
        ) from None


def keras_of(thing: Any) -> Any | None:
    """The Keras module (keras or tf_keras) that an object is a layer of."""
    for name in LAYER_MODULES:
        keras = sys.modules.get(name)
        layers = getattr(keras, "layers", None)
        if layers is not None and isinstance(thing, layers.Layer):
            return keras
    return None


def concrete_function_of(thing: Any) -> Any | None:
    """The ConcreteFunction that a function of TensorFlow is, or has.

    Raises:
      GraphError: if it is a tf.function that is not traced for exactly one signature.
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
            f"the tf.function {thing.__name__!r} has {len(known)} traced signatures; "
            "give get_concrete_function(tf.TensorSpec(...)) of it."
        )
    return known[0]


def arguments_of(function: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """The tensors that a ConcreteFunction takes and returns, captures left out."""
    count = len(function.inputs) - len(function.captured_inputs)
    return function.inputs[:count], function.outputs
