"""The table of rules for ATen ops, which its files fill."""

from receptive_field.frameworks.torch.ops import (
    elementwise,
    folding,
    padding,
    pooling,
    regions,
    resizing,
    sources,
    windows,
)
from receptive_field.frameworks.torch.ops.registry import OPS

__all__ = [
    "OPS",
    "elementwise",
    "folding",
    "padding",
    "pooling",
    "regions",
    "resizing",
    "sources",
    "windows",
]
