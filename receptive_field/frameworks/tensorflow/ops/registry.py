"""TensorFlow's table of rules, and how the files of the families fill it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from receptive_field.rules.flops import Count
from receptive_field.rules.op import Call, Op, Taps, Zeros

OPS: dict[str, Op] = {}
"""Op type of TensorFlow -> its rules."""


def register(names: str, op: Op) -> None:
    """Binds a rule to op types, given as one string with spaces between."""
    for name in names.split():
        OPS[name] = op


def weigh(names: str, taps: Taps, **fields: Any) -> None:
    """Says of op types what the positions of their windows count."""
    for name in names.split():
        OPS[name] = OPS[name]._replace(taps=taps, **fields)


def treat_zeros(
    names: str, zeros: Zeros | Callable[[Call], Zeros | None], **fields: Any
) -> None:
    """Says of op types what they make of zeros."""
    for name in names.split():
        OPS[name] = OPS[name]._replace(zeros=zeros, **fields)


def count(names: str, flops: Count) -> None:
    """Says of op types how their operations are counted."""
    for name in names.split():
        OPS[name] = OPS[name]._replace(flops=flops)
