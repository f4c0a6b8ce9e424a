"""Makes a `Model` from the config of a Keras model, in a file or of an object.

If a layer of the model has no rule, the model is left to the wing of TensorFlow, which
traces it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.keras.files import config_of, is_json
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.graph.model import Model

READS = "a path to a Keras file (.keras, .h5, or the JSON of a model)"
"""The kinds of models that this wing can read, for error messages."""


def model_of(thing: Any, signature: str | None = None) -> Model | None:
    """Returns the `Model` of a Keras model.

    Returns None if the thing is not a Keras model, or has a layer without a rule.

    Args:
      thing: a path, or any other object.
      signature: ignored, because Keras models have no signatures.
    """
    config: Mapping[str, Any] | None
    if isinstance(thing, (str, os.PathLike)):
        name = os.fspath(thing)
        config = config_of(name)
    else:
        name = str(getattr(thing, "name", ""))
        config = _config_of_object(thing)
    if config is None:
        return None
    # Other models do not need these imports.
    from receptive_field.frameworks.keras.configs import write
    from receptive_field.frameworks.keras.layers import NoRuleError

    try:
        found = write(config, name)
    except NoRuleError as error:
        if is_json(thing):  # Nobody else can read it.
            raise GraphError(
                f"{name!r} holds the layers of a Keras model, and not all of them can "
                f"be read: {error}. Load the model yourself and pass the object."
            ) from None
        return None

    def traced() -> Model:
        if is_json(thing):
            raise GraphError(
                f"{name!r} holds only the layers of a Keras model. To run it, load it "
                "with keras.models.model_from_json and pass the object."
            )
        model = tensorflow.model_of(thing)
        assert model is not None, "it was recognised as a Keras model"
        return model

    return Model(
        found.writer.graph,
        None,
        found.inputs,
        found.outputs,
        found.layers,
        found.layer_inputs,
        _name_of(found.inputs, found.layers),
        traced=traced,
    )


def _config_of_object(thing: Any) -> Mapping[str, Any] | None:
    """Returns the config of a model of Keras 3; None for other objects."""
    keras = sys.modules.get("keras")
    models = getattr(keras, "Model", None)
    if keras is None or models is None or not isinstance(thing, models):
        return None
    if not hasattr(keras, "saving") or not hasattr(
        keras.saving, "serialize_keras_object"
    ):
        return None
    if type(thing).__module__.partition(".")[0] != "keras":
        return None  # A user's class may override how the model is called.
    try:
        config = keras.saving.serialize_keras_object(thing)
    except Exception:  # Layers of a user may fail in any way.
        return None
    return config if isinstance(config, Mapping) else None


def _name_of(
    inputs: Mapping[str, Any], layers: Mapping[str, Any]
) -> Callable[[Any], str | None]:
    calls: dict[str, list[str]] = {}
    for name in layers:
        base, _, number = name.rpartition(":")
        calls.setdefault(
            base if number.isdigit() and base in layers else name, []
        ).append(name)

    def name_of(thing: Any) -> str | None:
        """Returns the name of the layer call that a layer or KerasTensor refers to."""
        history = getattr(thing, "_keras_history", None)
        if history is not None:
            operation = getattr(history, "operation", None) or history.layer
            if operation.name in inputs:
                return str(operation.name)
            names = calls.get(operation.name, [])
            return names[min(history.node_index, len(names) - 1)] if names else None
        names = calls.get(getattr(thing, "name", ""), [])
        if len(names) > 1:
            raise GraphError(
                f"the layer {thing.name!r} is called {len(names)} times; give the "
                f"name of one call: {', '.join(map(repr, names))}."
            )
        return names[0] if names else None

    return name_of
