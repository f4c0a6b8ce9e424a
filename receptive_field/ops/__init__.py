"""One rule for each op type, in tables keyed by its name, a file per family."""

from receptive_field.ops import (
    control,
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
from receptive_field.ops.registry import OPS
from receptive_field.ops.tensorflow import TENSORFLOW

__all__ = [
    "OPS",
    "TENSORFLOW",
    "control",
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
