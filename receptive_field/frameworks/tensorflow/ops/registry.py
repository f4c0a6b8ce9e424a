"""The table of rules for TensorFlow's ops, and the functions that fill the table."""

from __future__ import annotations

from receptive_field.frameworks.registry import Table

OPS = Table()
"""TensorFlow op type -> rule."""

register, weigh, treat_zeros, count = (
    OPS.register,
    OPS.weigh,
    OPS.treat_zeros,
    OPS.count,
)
