"""Makes a `Model` of a Keras model, in a file or in memory.

If a layer in a file has no rule, Keras loads the model. A model in memory that cannot
be written is left to the wing of TensorFlow, which traces it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.keras.files import PASS_THE_OBJECT, config_of
from receptive_field.frameworks.request import NOTHING_ASKED, Request
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.frameworks.tensorflow.objects import keras_of, maker_of, only_call
from receptive_field.graph.model import Model
from receptive_field.graph.source import Source
from receptive_field.rules.stated import Rule

if TYPE_CHECKING:
    from receptive_field.frameworks.keras.write import WrittenModel

READS = "a path to a Keras file (.keras, .h5, or the JSON of a model)"
"""The kinds of models that this wing can read, for error messages."""


def model_of(thing: Any, request: Request = NOTHING_ASKED) -> Model | None:
    """Returns the `Model` of a Keras model, or None if the thing is not one.

    Args:
      thing: a path, or any other object.
      request: only the overrides matter.
    """
    overrides = request.overrides
    if isinstance(thing, (str, os.PathLike)):
        path = os.fspath(thing)
        config = config_of(path)
        return None if config is None else _of_file(path, config, overrides)
    return None if keras_of(thing) is None else _of_object(thing, overrides)


def _of_file(
    path: str, config: Mapping[str, Any], overrides: Mapping[Any, Rule] | None
) -> Model | None:
    # Other models do not need these imports.
    from receptive_field.frameworks.keras.calls import (
        NoModelError,
        NoRuleError,
        TooManyCallsError,
    )
    from receptive_field.frameworks.keras.configs import called_model
    from receptive_field.frameworks.keras.write import write

    try:
        found = write(called_model(config), path, overrides)
        by_name = config.get("module") is None
        found.writer.graph.source = replace(found.writer.graph.source, by_name=by_name)
        return model_from(path, found, config)
    except NoModelError as error:
        raise GraphError(
            f"{path!r} cannot be read: {error}. Save or copy the model again."
        ) from None
    except TooManyCallsError as error:
        raise GraphError(f"{path!r} is not read: {error}. {PASS_THE_OBJECT}") from None
    except NoRuleError as error:
        reason = str(error)
    from receptive_field.frameworks.keras.loading import loaded

    return _of_object(loaded(path, config, reason), overrides)


def _of_object(model: Any, overrides: Mapping[Any, Rule] | None) -> Model | None:
    from receptive_field.frameworks.keras.calls import NoRuleError
    from receptive_field.frameworks.keras.objects import backend_of, called_model
    from receptive_field.frameworks.keras.write import write

    backend, name = backend_of(model), str(model.name)
    try:
        return model_from(model, write(called_model(model), name, overrides))
    except NoRuleError as error:
        if backend == "tensorflow":
            return _traced(model, str(error))
    try:  # With a batch of one, more layers can be called with symbolic tensors.
        return model_from(model, write(called_model(model), name, overrides, batch=1))
    except NoRuleError as error:
        raise GraphError(
            f"the model {name!r} cannot be read on the {backend} backend of Keras: "
            f"{error}. With KERAS_BACKEND=tensorflow in the environment, TensorFlow "
            "can trace the layer. You can also state what the layer does with "
            "overrides or register_layer."
        ) from None


def _traced(thing: Any, reason: str) -> Model | None:
    """Returns the trace of a whole model."""
    model = tensorflow.model_of(thing)
    if model is not None:
        model.graph.source = Source("trace", reason=reason)
    return model


def model_from(
    thing: Any, found: WrittenModel, config: Mapping[str, Any] | None = None
) -> Model:
    """Returns the `Model` of a model whose graph is written.

    Args:
      thing: the model, or the path of its file.
      found: its graph.
      config: the config in the file.
    """

    def traced() -> Model:
        model = thing
        if config is not None:
            from receptive_field.frameworks.keras.loading import loaded

            model = loaded(thing, config)
        traced = tensorflow.model_of(model)
        assert traced is not None, "it is a Keras model"
        return traced

    return Model(
        found.writer.graph,
        None,
        found.inputs,
        found.outputs,
        found.layers,
        found.layer_inputs,
        found.kinds,
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
