"""The data types of tensors, and which constants are small enough to be decoded."""

from __future__ import annotations

LARGEST_VALUE = 1 << 16
"""Integer constants with more elements are weights, and are never decoded."""

LARGEST_NUMBERS = 1 << 10
"""Floating-point constants with more elements are weights, and are never decoded."""

FLOATING = frozenset({1, 10, 11, 14, 15, 16, 17, 18, 19, 20, 23, 24})
"""The numbers of the floating-point and complex data types."""


def most_values(data_type: int) -> int:
    """Returns the largest number of elements in a constant that rules can read."""
    return LARGEST_NUMBERS if data_type in FLOATING else LARGEST_VALUE
