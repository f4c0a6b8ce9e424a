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
from receptive_field.ops.registry import (
    OPS,
    Call,
    Op,
    Window,
    register,
    rule_at,
    rule_of,
)
from receptive_field.ops.tensorflow import TENSORFLOW

__all__ = [
    "OPS",
    "TENSORFLOW",
    "Call",
    "Op",
    "Window",
    "control",
    "elementwise",
    "images",
    "indexing",
    "lists",
    "masks",
    "padding",
    "reductions",
    "register",
    "reshaping",
    "resizing",
    "rule_at",
    "rule_of",
    "sources",
    "windows",
]
