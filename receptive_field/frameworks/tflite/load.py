"""Makes a `Model` from a file of TensorFlow Lite, or from its bytes."""

from __future__ import annotations

import os
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.request import NOTHING_ASKED, Request
from receptive_field.frameworks.tflite.content import (
    IDENTIFIER,
    Content,
    head_of,
    of_bytes,
    of_file,
)
from receptive_field.graph.model import Model

READS = "a path to a TensorFlow Lite file (.tflite), or the bytes of one"
"""The kinds of models that this wing can read, for error messages."""


def model_of(thing: Any, request: Request = NOTHING_ASKED) -> Model | None:
    """Returns the `Model` of a TensorFlow Lite model, or None if it is not one.

    Args:
      thing: a path, bytes, or any other object.
      request: only the signature matters.

    Raises:
      GraphError: if the model is damaged, or does not have the signature.
    """
    if isinstance(thing, (bytes, bytearray, memoryview)):
        if bytes(thing[4:8]) != IDENTIFIER:
            return None
        return _model(of_bytes(thing), "the model", "graph", request.signature)
    if not isinstance(thing, (str, os.PathLike)):
        return None
    path = os.fspath(thing)
    if not _is_model(path):
        return None
    return _model(of_file(path), repr(path), path, request.signature)


def _is_model(path: str) -> bool:
    """Returns whether a file begins as a model does.

    Raises:
      GraphError: if it does not, although its name says so.
    """
    try:
        found = head_of(path)[4:8] == IDENTIFIER
    except GraphError:
        return False  # Other wings say what is wrong.
    if not found and os.path.splitext(path)[1].lower() == ".tflite":
        raise GraphError(
            f"{path!r} is not a model of TensorFlow Lite: byte 4 does not begin with "
            f"{IDENTIFIER.decode()!r}."
        )
    return found


def _model(content: Content, called: str, name: str, signature: str | None) -> Model:
    # Other models do not need these imports.
    from receptive_field.frameworks.tflite.models import model_from

    return model_from(content, called, name, signature)
