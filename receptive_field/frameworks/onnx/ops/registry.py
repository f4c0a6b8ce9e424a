"""The table of rules for ONNX ops, and the functions that fill the table.

An op of the standard goes by its name, and an op of another domain by the domain and
its name, such as ``com.microsoft.FusedConv``.
"""

from __future__ import annotations

from receptive_field.frameworks.registry import Table
from receptive_field.rules.flops import output_elements
from receptive_field.rules.op import Call, Flops

OPS = Table()
"""ONNX op type -> rule."""

register, weigh, treat_zeros, count = (
    OPS.register,
    OPS.weigh,
    OPS.treat_zeros,
    OPS.count,
)


def is_given(call: Call, number: int) -> bool:
    """Returns whether a node has an optional input."""
    absent = call.node.graph.index_of.get("")
    return len(call) > number and call.input(number)[0] != absent


def with_sums(call: Call, flops: Flops, *numbers: int) -> Flops:
    """Returns a count that includes the addition of biases to the first output.

    Args:
      call: the op.
      flops: the count without them.
      numbers: the numbers of the inputs that are added, if they are given.
    """
    given = sum(is_given(call, number) for number in numbers)
    return flops.plus(given * output_elements(call)) if given else flops
