"""Models in code: ``torchvision.models:resnet50`` instead of a file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import Parameter, isclass, signature
from typing import Any

from receptive_field.errors import ReceptiveFieldError, nearest, quoted

_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def model_named(text: str) -> Any:
    """Returns the model that a command line names: a path, or what code makes.

    ``package.module:name`` is imported, from the current folder, too. If it is a class
    or a function, it is called without arguments, and without weights if it asks for
    them.

    Raises:
      ReceptiveFieldError: if there is no such name, or the call fails.
    """
    if os.path.exists(text) or not _REFERENCE.fullmatch(text):
        return text
    module, _, path = text.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = import_module(module)
    except Exception as error:  # The code of a user may raise anything.
        raise ReceptiveFieldError(
            f"cannot import {module!r}: {quoted(error)}. There is no file {text!r} "
            "either."
        ) from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = nearest(part, [name for name in dir(found) if name[0] != "_"])
            raise ReceptiveFieldError(f"{module!r} has no {part!r}. {near}") from None
    if isclass(found) or _is_function(found):
        return _made(text, found)
    return found


def _is_function(thing: Any) -> bool:
    return callable(thing) and hasattr(thing, "__code__")


def _made(text: str, make: Callable[..., Any]) -> Any:
    """Calls a class or a function that makes a model.

    Raises:
      ReceptiveFieldError: if it needs arguments, or the call fails.
    """
    parameters = signature(make).parameters.values()
    kinds = Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD
    missing = [
        p.name
        for p in parameters
        if p.default is Parameter.empty and p.kind not in kinds
    ]
    if missing:
        raise ReceptiveFieldError(
            f"{text!r} needs arguments: {', '.join(missing)}. Write a function without "
            "arguments that makes the model, and name that."
        )
    unloaded: dict[str, Any] = {
        p.name: None for p in parameters if p.name.startswith("weights")
    }
    unloaded |= {p.name: False for p in parameters if p.name.startswith("pretrained")}
    from receptive_field.frameworks import built

    try:
        return built(partial(make, **unloaded))
    except Exception as error:  # The code of a user may raise anything.
        raise ReceptiveFieldError(
            f"{text!r} cannot be called: {quoted(error)}."
        ) from error
