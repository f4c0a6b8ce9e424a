"""The table of rules for ONNX ops, which its files fill."""

from receptive_field.frameworks.onnx.ops import (
    attention,
    control,
    elementwise,
    features,
    indexing,
    padding,
    products,
    quantised,
    recurrent,
    reductions,
    regions,
    reshaping,
    resizing,
    sequences,
    signals,
    sources,
    windows,
)
from receptive_field.frameworks.onnx.ops.registry import OPS

__all__ = [
    "OPS",
    "attention",
    "control",
    "elementwise",
    "features",
    "indexing",
    "padding",
    "products",
    "quantised",
    "recurrent",
    "reductions",
    "regions",
    "reshaping",
    "resizing",
    "sequences",
    "signals",
    "sources",
    "windows",
]
