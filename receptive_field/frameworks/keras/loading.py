"""Loads a model that only Keras can make from its config, without running its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from receptive_field.errors import GraphError

PACKAGES = ("keras", "tf_keras", "keras_hub", "keras_nlp", "keras_cv")
"""The packages whose classes may be made from a config."""

WITH_CODE = (
    *("Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"),
    *("ClassMethod", "InstanceMethod", "InstanceProperty"),
)
"""Classes whose configs hold a program, or name any function of TensorFlow."""

NAMESPACES = (
    *("layers", "initializers", "regularizers", "constraints", "activations"),
    *("losses", "metrics", "optimizers", "dtype_policies", "mixed_precision"),
    *("random", "models", "preprocessing"),
)
"""The parts of Keras that define what a config may name."""


def loaded(path: str, config: Mapping[str, Any]) -> Any:
    """Returns the model in a file, which Keras loads in safe mode.

    Safe mode does not keep all releases of Keras from running what a file says, so its
    config is looked through first.

    Raises:
      GraphError: if a class in the config may run code of the file, Keras is not
        installed, or it cannot load the file.
    """
    try:
        keras = _keras_for(config)
    except ImportError:
        raise GraphError(
            f"{path!r} is a Keras model with layers that only Keras can make, and "
            'Keras is not installed: run pip install "receptive_field[tensorflow]"'
        ) from None
    for entry in _entries(config):
        reason = _danger(entry, keras)
        if reason:
            name = (entry.get("config") or {}).get("name", "")
            raise GraphError(
                f"the Keras model {path!r} is not loaded: {reason} "
                f"({entry['class_name']}{f', named {name!r}' if name else ''}). Custom "
                "classes and lambdas are never loaded from a file: load the model "
                "yourself and pass the object, or state the rule of the layer with "
                "register_layer."
            )
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise GraphError(f"Keras cannot load {path!r}: {reason[:300]}") from error


def is_of_keras_2(config: Any) -> bool:
    """Returns whether a config was written by Keras 2, or an older version."""
    for entry in _entries(config):
        given = entry.get("config")
        if isinstance(given, list):
            return True
        if isinstance(given, Mapping) and "batch_input_shape" in given:
            return True
    return False


def _keras_for(config: Mapping[str, Any]) -> Any:
    if is_of_keras_2(config):
        try:
            return import_module("tf_keras")
        except ImportError:
            pass  # Keras 3 reads some of these files.
    return import_module("keras")


def _entries(thing: Any) -> Iterator[Mapping[str, Any]]:
    """Yields all parts of a config that name a class."""
    waiting = [thing]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            if isinstance(part.get("class_name"), str):
                yield part
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _danger(entry: Mapping[str, Any], keras: Any) -> str:
    """Returns why a class of a config is not made; an empty text if it is."""
    kind, module = entry["class_name"], entry.get("module")
    if kind in WITH_CODE:
        return "a layer may run any code"
    registered = str(entry.get("registered_name") or kind)
    if {kind, registered} & set(keras.saving.get_custom_objects()):
        return ""
    if module is not None:
        package = str(module).partition(".")[0]
        known = package in PACKAGES or (module, kind) == ("builtins", "function")
    else:
        known = any(hasattr(getattr(keras, part, None), kind) for part in NAMESPACES)
        known = known or kind in ("Functional", "Model") or kind.startswith("__")
        known = known and ">" not in registered
    return "" if known else "a class is custom"
