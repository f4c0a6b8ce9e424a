"""The table of rules for ATen ops, which its files fill."""

from receptive_field.frameworks.torch.ops import (
    elementwise,
    padding,
    pooling,
    resizing,
    sources,
    windows,
)
from receptive_field.frameworks.torch.ops.registry import OPS

__all__ = [
    "OPS",
    "elementwise",
    "padding",
    "pooling",
    "resizing",
    "sources",
    "windows",
]
