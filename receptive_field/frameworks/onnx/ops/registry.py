"""The table of rules for ONNX ops, and the functions that fill the table.

An op of the standard goes by its name, and an op of another domain by the domain and
its name, such as ``com.microsoft.FusedConv``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from receptive_field.rules.flops import Count
from receptive_field.rules.op import Call, Op, Taps, Zeros

OPS: dict[str, Op] = {}
"""ONNX op type -> rule."""


def register(names: str, op: Op) -> None:
    """Registers a rule for op types. `names` is a list separated by spaces."""
    for name in names.split():
        OPS[name] = op


def weigh(names: str, taps: Taps, **fields: Any) -> None:
    """Sets how op types weigh the positions of their windows."""
    for name in names.split():
        OPS[name] = OPS[name]._replace(taps=taps, **fields)


def treat_zeros(
    names: str, zeros: Zeros | Callable[[Call], Zeros | None], **fields: Any
) -> None:
    """Sets how op types treat zeros."""
    for name in names.split():
        OPS[name] = OPS[name]._replace(zeros=zeros, **fields)


def count(names: str, flops: Count) -> None:
    """Sets how the floating-point operations of op types are counted."""
    for name in names.split():
        OPS[name] = OPS[name]._replace(flops=flops)


def is_given(call: Call, number: int) -> bool:
    """Returns whether a node has an optional input."""
    absent = call.node.graph.index_of.get("")
    return len(call) > number and call.input(number)[0] != absent
