"""The table of rules for the ops of TensorFlow Lite, with a file for each family."""

from receptive_field.frameworks.tflite.ops import (
    dilated,
    elementwise,
    indexing,
    others,
    products,
    recurrent,
    resizing,
    sources,
    windows,
)
from receptive_field.frameworks.tflite.ops.registry import OPS

__all__ = [
    "OPS",
    "dilated",
    "elementwise",
    "indexing",
    "others",
    "products",
    "recurrent",
    "resizing",
    "sources",
    "windows",
]
