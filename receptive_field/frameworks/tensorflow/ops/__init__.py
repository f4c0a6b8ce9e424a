"""The table of rules for TensorFlow's ops, with one file for each family of ops."""

from receptive_field.frameworks.tensorflow.framework import TENSORFLOW
from receptive_field.frameworks.tensorflow.ops import (
    control,
    drawing,
    elementwise,
    images,
    indexing,
    lists,
    masks,
    padding,
    reductions,
    reshaping,
    resizing,
    sources,
    windows,
)
from receptive_field.frameworks.tensorflow.ops.registry import OPS

__all__ = [
    "OPS",
    "TENSORFLOW",
    "control",
    "drawing",
    "elementwise",
    "images",
    "indexing",
    "lists",
    "masks",
    "padding",
    "reductions",
    "reshaping",
    "resizing",
    "sources",
    "windows",
]
