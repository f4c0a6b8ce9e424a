"""The table of rules for ONNX ops, which its files fill."""

from receptive_field.frameworks.onnx.ops import (
    control,
    elementwise,
    reductions,
    regions,
    reshaping,
    resizing,
    sources,
    windows,
)
from receptive_field.frameworks.onnx.ops.registry import OPS

__all__ = [
    "OPS",
    "control",
    "elementwise",
    "reductions",
    "regions",
    "reshaping",
    "resizing",
    "sources",
    "windows",
]
