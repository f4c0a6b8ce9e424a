"""Loads a model that only Keras can make from its config, without running its code."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.keras.configs import version_of
from receptive_field.frameworks.keras.files import PASS_THE_OBJECT, is_json
from receptive_field.frameworks.keras.trust import reason_for_distrust


def loaded(path: str, config: Mapping[str, Any], reason: str = "") -> Any:
    """Loads the model in a file, unless its config names anything that may run code.

    Safe mode does not keep all releases of Keras from running what a file says.

    Args:
      path: the file.
      config: the config in it.
      reason: why the model must be loaded. By default, because it is to be run.

    Raises:
      GraphError: if Keras may not load the file, cannot load it, or is not installed.
    """
    version = version_of(config)
    distrust = reason_for_distrust(config)
    what = f"{path!r} is a model of Keras {version}"
    if distrust is not None:
        why = f"It cannot be read: {reason}. " if reason else ""
        raise GraphError(
            f"{what}, which is not loaded, because {distrust}. {why}{PASS_THE_OBJECT} "
            "Or state what the layer does with register_layer or overrides."
        )
    if is_json(path):
        unread = f", not all of which can be read: {reason}" if reason else ""
        raise GraphError(
            f"{what}, and holds only its layers{unread}. Load it with "
            "keras.models.model_from_json and pass the object."
        )
    if version == 1:
        raise GraphError(
            f"{what}, which later versions cannot load: {reason or 'to run it'}. Build "
            "the model in a later version and pass the object."
        )
    is_old = version == 2 and find_spec("tf_keras") is not None
    try:
        keras = import_module("tf_keras" if is_old else "keras")
    except ImportError:
        raise GraphError(
            f"{what} with a layer that only Keras can make, and Keras is not "
            'installed: run pip install "receptive_field[tensorflow]"'
        ) from None
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        failed = textwrap.shorten(str(error), 300) or type(error).__name__
        raise GraphError(
            f"Keras cannot load {path!r}: {failed} {PASS_THE_OBJECT}"
        ) from error
