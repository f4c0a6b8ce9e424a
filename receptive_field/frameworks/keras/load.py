"""Makes a `Model` from the config of a Keras model, in a file or of an object.

If a layer of the model has no rule, the model is left to the wing of TensorFlow, which
traces it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.keras.files import (
    PASS_THE_OBJECT,
    config_of,
    is_json,
)
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.frameworks.tensorflow.objects import call_of, keras_of
from receptive_field.graph.model import Model

if TYPE_CHECKING:
    from receptive_field.frameworks.keras.write import WrittenModel

READS = "a path to a Keras file (.keras, .h5, or the JSON of a model)"
"""The kinds of models that this wing can read, for error messages."""


def model_of(thing: Any, signature: str | None = None) -> Model | None:
    """Returns the `Model` of a Keras model.

    Returns None if the thing is not a Keras model, or has a layer without a rule.

    Args:
      thing: a path, or any other object.
      signature: ignored, because Keras models have no signatures.
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

    def traced() -> Model:
        model = tensorflow.model_of(thing if config is None else _loaded(name, config))
        assert model is not None, "it was recognised as a Keras model"
        return model

    try:
        if config is not None:
            found = write(configs.called_model(config), name)
        else:
            found = write(objects.called_model(thing), str(thing.name))
    except NoRuleError as error:
        return None if config is None else _loaded_model(name, config, str(error))

    return Model(
        found.writer.graph,
        None,
        found.inputs,
        found.outputs,
        found.layers,
        found.layer_inputs,
        _name_of(thing, found),
        traced=traced,
    )


LONGEST_REASON = 300
"""The most characters of a reason in an error."""


def _loaded_model(path: str, config: Mapping[str, Any], reason: str) -> Model | None:
    """Returns the `Model` of a file in which a layer has no rule.

    Raises:
      GraphError: if Keras may not or cannot load the file.
    """
    return tensorflow.model_of(_loaded(path, config, reason))


def _loaded(path: str, config: Mapping[str, Any], reason: str | None = None) -> Any:
    """Loads the model in a file, unless it names anything that runs code.

    Args:
      path: the file.
      config: the config in it.
      reason: why the model must be loaded; by default, because it is to be run.
    """
    from receptive_field.frameworks.keras.configs import version_of
    from receptive_field.frameworks.keras.trust import distrust_of
    from receptive_field.frameworks.tensorflow import keras_models

    reason = reason and shorten(reason, LONGEST_REASON)
    version = version_of(config)
    what = f"{path!r} is a model of Keras {version}"
    unread = f", and cannot be read: {reason}. " if reason else ". To run it: "
    if version == 1:
        raise GraphError(
            f"{what}{unread}No later version loads it. Build the model in one of them "
            "and pass the object."
        )
    is_old = version == 2 and find_spec("tf_keras") is not None
    package = "tf_keras" if is_old else "keras"
    distrust = distrust_of(config)
    if distrust is None and is_json(path):
        raise GraphError(
            f"{what}{unread}Load it with {package}.models.model_from_json and pass the "
            "object."
        )
    if distrust is None and find_spec(package) is None:
        raise GraphError(
            f"{what}{unread}Keras is not installed: run pip install "
            '"receptive_field[tensorflow]"'
        )
    distrust = distrust or distrust_of(config, package)
    if distrust is not None:
        where, why = distrust
        also = f"{what}{unread}" if reason and where not in reason else f"{what}. "
        raise GraphError(
            f"{also}It is not loaded, because {where} {why}. {PASS_THE_OBJECT}"
        )
    return keras_models.read(path, package)


def _name_of(model: Any, found: WrittenModel) -> Callable[[Any], str | None]:
    """Returns a function that names the call that an object of the model refers to."""
    own: dict[str, dict[int, Any]] = {}
    for layer in _layers_in(model):
        own.setdefault(layer.name, {})[id(layer)] = layer

    def calls(layer: Any) -> Sequence[str]:
        alike = own.get(getattr(layer, "name", ""), {})
        if id(layer) not in alike:
            return []
        names = found.calls.get(layer.name, [])
        if len(alike) > 1:
            raise GraphError(
                f"{len(alike)} layers are named {layer.name!r}; give the name of one "
                f"call: {', '.join(map(repr, names))}."
            )
        return names

    return lambda thing: call_of(thing, found.inputs, calls)


def _layers_in(model: Any) -> Iterator[Any]:
    """Yields the layers of a model, and of the models in it; none for a path."""
    for layer in getattr(model, "layers", ()):
        yield layer
        yield from _layers_in(layer)
