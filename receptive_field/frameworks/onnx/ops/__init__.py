"""The table of rules for ONNX ops, which its files fill."""

from receptive_field.frameworks.onnx.ops import (
    attention,
    control,
    elementwise,
    indexing,
    padding,
    products,
    recurrent,
    reductions,
    reshaping,
    sources,
    windows,
)
from receptive_field.frameworks.onnx.ops.registry import OPS

__all__ = [
    "OPS",
    "attention",
    "control",
    "elementwise",
    "indexing",
    "padding",
    "products",
    "recurrent",
    "reductions",
    "reshaping",
    "sources",
    "windows",
]
