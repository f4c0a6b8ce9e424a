"""The table of rules for the ops of TensorFlow Lite, and how it is filled.

Where an op is TensorFlow's, so is its rule: `Operator.attributes` gives options the
names of TensorFlow's attributes.
"""

from __future__ import annotations

from receptive_field.frameworks.tensorflow import ops as tensorflow
from receptive_field.rules.op import Op

OPS: dict[str, Op] = {}
"""Op type -> rule."""


def register(names: str, op: Op) -> None:
    """Registers a rule for op types. `names` is a list separated by spaces."""
    for name in names.split():
        OPS[name] = op


def like_tensorflow(names: str) -> None:
    """Registers rules of TensorFlow's. Each entry is ``NAME=NameInTensorFlow``."""
    for pair in names.split():
        name, _, theirs = pair.partition("=")
        OPS[name] = tensorflow.OPS[theirs]
