"""Makes a `Model` from the config of a Keras model, in a file or of an object.

If a layer of the model has no rule, the model is left to the wing of TensorFlow, which
traces it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.keras.files import config_of, is_json
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.frameworks.tensorflow.objects import keras_of, maker_of, only_call
from receptive_field.graph.model import Model
from receptive_field.graph.source import Source
from receptive_field.rules.stated import Rule

if TYPE_CHECKING:
    from receptive_field.frameworks.keras.write import WrittenModel

READS = "a path to a Keras file (.keras, .h5, or the JSON of a model)"
"""The kinds of models that this wing can read, for error messages."""


def model_of(
    thing: Any,
    signature: str | None = None,
    overrides: Mapping[Any, Rule] | None = None,
) -> Model | None:
    """Returns the `Model` of a Keras model, or None if the thing is not one.

    Args:
      thing: a path, or any other object.
      signature: ignored, because Keras models have no signatures.
      overrides: rules for layers that have none.
    """
    config: Mapping[str, Any] | None = None
    if isinstance(thing, (str, os.PathLike)):
        name = os.fspath(thing)
        config = config_of(name)
        if config is None:
            return None
    elif keras_of(thing) is None:
        return None
    # Other models do not need these imports.
    from receptive_field.frameworks.keras import configs, objects
    from receptive_field.frameworks.keras.calls import NoRuleError
    from receptive_field.frameworks.keras.write import write

    try:
        if config is not None:
            found = write(configs.called_model(config), name, overrides)
        else:
            found = write(objects.called_model(thing), str(thing.name), overrides)
    except NoRuleError as error:
        if is_json(thing):  # Nobody else can read it.
            raise GraphError(
                f"{name!r} holds the layers of a Keras model, and not all of them can "
                f"be read: {error}. Load the model yourself and pass the object."
            ) from None
        model = tensorflow.model_of(thing)
        if model is not None:
            model.graph.source = Source("trace", reason=str(error))
        return model

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
        found.operations,
        partial(_name_of, found=found),
        traced=traced,
    )


def _name_of(thing: Any, found: WrittenModel) -> str | None:
    """Returns the name of the call that an object of the model refers to."""
    maker = maker_of(thing)
    if maker is None:
        return only_call(thing, found.calls.get(id(thing), []))
    if maker.name in found.inputs:
        return str(maker.name)
    return found.names.get((id(maker), thing._keras_history[1]))
