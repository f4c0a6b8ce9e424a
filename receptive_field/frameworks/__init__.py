"""One wing for each framework. A wing turns its framework's graphs into models."""

from __future__ import annotations

from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.keras import load as keras
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.graph.model import Model

WINGS = (keras, tensorflow)
"""Modules with a function `model_of`, and a text `READS` that says what it can read."""

TABLES = {"tensorflow": OPS}
"""Framework name -> the framework's table of rules, from op type to `Op`."""


def load(model: Any, signature: str | None = None) -> Model:
    """Returns the `Model` of anything that contains a graph.

    Args:
      model: anything that a wing can read. A `Model` is returned unchanged.
      signature: the signature of a SavedModel to use, if it has several.

    Raises:
      GraphError: if no wing can read the model, or the model is malformed.
    """
    if isinstance(model, Model):
        return model
    for wing in WINGS:
        found: Model | None = wing.model_of(model, signature)
        if found is not None:
            return found
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    reads = "; ".join(wing.READS for wing in WINGS)
    raise GraphError(f"cannot analyse a {kind}: give {reads}.")
