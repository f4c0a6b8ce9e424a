"""The table of rules for ATen ops, which its files fill."""

from receptive_field.frameworks.torch.ops import (
    attention,
    elementwise,
    indexing,
    joining,
    normalisations,
    padding,
    pooling,
    products,
    recurrent,
    reductions,
    reshaping,
    resizing,
    signals,
    slicing,
    sources,
    windows,
)
from receptive_field.frameworks.torch.ops.registry import OPS

__all__ = [
    "OPS",
    "attention",
    "elementwise",
    "indexing",
    "joining",
    "normalisations",
    "padding",
    "pooling",
    "products",
    "recurrent",
    "reductions",
    "reshaping",
    "resizing",
    "signals",
    "slicing",
    "sources",
    "windows",
]
