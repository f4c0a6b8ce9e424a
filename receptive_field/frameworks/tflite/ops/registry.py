"""The table of rules for the ops of TensorFlow Lite, and how it is filled.

Where an op is TensorFlow's, so is its rule: `Operator.attributes` gives options the
names of TensorFlow's attributes.
"""

from __future__ import annotations

from receptive_field.frameworks.registry import Table
from receptive_field.frameworks.tensorflow import ops as tensorflow

OPS = Table()
"""Op type -> rule."""

register = OPS.register


def like_tensorflow(names: str) -> None:
    """Registers rules of TensorFlow's. Each entry is ``NAME=NameInTensorFlow``."""
    for pair in names.split():
        name, _, theirs = pair.partition("=")
        OPS[name] = tensorflow.OPS[theirs]
