"""Where the messages of TensorFlow contain weights."""

from __future__ import annotations

import math

from receptive_field.frameworks.tensorflow.attributes import most_values
from receptive_field.frameworks.tensorflow.messages import TensorProto
from receptive_field.frameworks.wire import Messages


def _is_read(description: bytes) -> bool:
    tensor = TensorProto.FromString(description)
    elements: int = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    return elements <= most_values(tensor.dtype)


GRAPHS = Messages(
    {
        "SavedModel": {2: "MetaGraphDef"},
        "MetaGraphDef": {2: "GraphDef"},
        "GraphDef": {1: "NodeDef", 2: "FunctionDefLibrary"},
        "FunctionDefLibrary": {1: "FunctionDef"},
        "FunctionDef": {3: "NodeDef"},
        "NodeDef": {5: "AttrEntry"},
        "AttrEntry": {2: "AttrValue"},
        "AttrValue": {8: "TensorProto"},
    },
    frozenset({1, 2}),
    _is_read,
)
"""The messages that may contain constants."""
