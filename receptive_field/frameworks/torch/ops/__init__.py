"""The table of rules for ATen ops, which its files fill."""

from receptive_field.frameworks.torch.ops import (
    control,
    elementwise,
    indexing,
    joining,
    reshaping,
    slicing,
    sources,
    windows,
)
from receptive_field.frameworks.torch.ops.registry import OPS

__all__ = [
    "OPS",
    "control",
    "elementwise",
    "indexing",
    "joining",
    "reshaping",
    "slicing",
    "sources",
    "windows",
]
