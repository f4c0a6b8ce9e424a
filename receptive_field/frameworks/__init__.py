"""One wing for each framework; each makes models of what is its own."""

from __future__ import annotations

from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.tensorflow.load import READS, model_of
from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.graph.model import Model

TABLES = {"tensorflow": OPS}
"""Framework -> its rules: op type -> `Op`."""


def load(model: Any, signature: str | None = None) -> Model:
    """The graph of anything that has one.

    Args:
      model: what one of the wings reads; or what this function has made of that.
      signature: which signature of a SavedModel is meant, if it has several.

    Raises:
      GraphError: if no wing reads it, or it is malformed.
    """
    if isinstance(model, Model):
        return model
    found = model_of(model, signature)
    if found is None:
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        raise GraphError(f"cannot analyse a {kind}: give {READS}.")
    return found
