"""One wing for each framework. A wing turns its framework's graphs into models."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from receptive_field.budget import within_budget
from receptive_field.errors import GraphError
from receptive_field.frameworks.keras import load as of_keras
from receptive_field.frameworks.keras.stated import MODEL_CLASSES, STATED
from receptive_field.frameworks.onnx import load as of_onnx
from receptive_field.frameworks.request import Request, stated_sizes
from receptive_field.frameworks.tensorflow import load as of_tensorflow
from receptive_field.frameworks.tflite import load as of_tflite
from receptive_field.frameworks.torch import load as of_torch
from receptive_field.graph.model import Model
from receptive_field.progress import tell
from receptive_field.rules.op import Op
from receptive_field.rules.stated import Rule

WINGS = (of_keras, of_onnx, of_tflite, of_torch, of_tensorflow)
"""Modules with a function `model_of`, and a text `READS` that says what it can read."""

_NEVER_TRACED = (of_onnx, of_tflite, of_torch)
"""Wings whose models are graphs from the start."""

FRAMEWORKS = ("tensorflow", "keras", "onnx", "tflite", "torch")
"""The names of the frameworks that have a table of rules."""

__all__ = ["FRAMEWORKS", "MODEL_CLASSES", "WINGS", "built", "load", "table"]


def table(framework: str) -> dict[str, Op]:
    """Returns a framework's table of rules, which is imported on first use.

    The table maps op types (or, for Keras, names of layer classes) to rules.
    """
    if framework == "keras":
        return STATED
    found: dict[str, Op] = import_module(f"{__name__}.{framework}.ops").OPS
    return found


@within_budget
def load(
    model: Any,
    signature: str | None = None,
    *,
    overrides: Mapping[Any, Rule] | None = None,
    trace: bool = False,
    resolution: object = None,
    example_inputs: Any = None,
) -> Model:
    """Returns the `Model` of anything that contains a graph.

    Args:
      model: anything that a wing can read. A `Model` is returned unchanged.
      signature: the signature of a SavedModel to use, if it has several.
      overrides: rules that the caller states for layers that have none.
      trace: whether the model is to be read as its framework runs it.
      resolution: the ``input_resolution`` of the question. A module of PyTorch is
        exported for it.
      example_inputs: what a module of PyTorch is called with: a tensor, a tuple of
        arguments, or a dictionary of keyword arguments. None for an image.

    Raises:
      GraphError: if no wing can read the model, if the model is malformed, or if it has
        no such signature or cannot be traced.
    """
    if isinstance(model, Model):
        return model.to_run() if trace else model
    if isinstance(model, (str, os.PathLike)):
        _check_name(os.fspath(model))
    tell("reading the model")
    request = Request(signature, overrides, stated_sizes(resolution), example_inputs)
    for wing in WINGS:
        found: Model | None = wing.model_of(model, request)
        if found is not None:
            if example_inputs is not None and wing is not of_torch:
                raise GraphError(
                    "example_inputs say what a module of PyTorch is called with; this "
                    "model states its inputs."
                )
            if trace and wing in _NEVER_TRACED:
                raise GraphError(
                    "trace=True is for Keras models. This model is a graph already, so "
                    "there is nothing to trace."
                )
            return found.to_run() if trace else found
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    reads = "; ".join(wing.READS for wing in WINGS)
    raise GraphError(f"cannot analyse a {kind}: give {reads}.")


def _check_name(path: str | bytes) -> None:
    try:
        os.stat(path)
    except ValueError:  # It has a null character, or one that no name can hold.
        raise GraphError(f"no file can have the name {path!r}.") from None
    except OSError:
        return  # The error is told where files are read.


def built(make: Callable[[], Any]) -> Any:
    """Returns the model that a function makes, if possible without its weights."""
    if "torch" not in sys.modules:
        return make()
    from receptive_field.frameworks.torch.building import without_weights

    return without_weights(sys.modules["torch"], make)
