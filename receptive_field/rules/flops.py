"""How the floating-point operations of a node are counted.

The convention is that of TensorFlow's profiler (``tf.compat.v1.profiler``, option
`float_operation`): a multiply-add is two operations, an operation of an elementwise op
is one for each element, functions such as exp or tanh count nothing. Where the profiler
has no formula, its convention is applied to the ops that multiply and add (resizes,
Einsum, batch normalisation); `Flops.profiled` is None there.

The functions here make the `Op.flops` of rules.
"""

from __future__ import annotations

from collections.abc import Callable

from receptive_field.algebra.sizes import Size, product
from receptive_field.rules.op import Call, Flops

Count = Callable[[Call], Flops]


def elements(call: Call, number: int = 0) -> Size:
    """How many elements an input has."""
    return product(call.known_shape(number))


def output_elements(call: Call) -> Size:
    """How many elements the first output has."""
    shape = call.output_shape()
    if shape is None:
        call.fail("has an output whose shape cannot be known")
    return product(shape)


def per_input(times: int = 1, profiled: bool = True) -> Count:
    """So many operations for each element of the first input."""
    return lambda call: Flops.alike(times * elements(call), profiled)


def per_output(times: int = 1, profiled: bool = True) -> Count:
    """So many operations for each element of the output."""
    return lambda call: Flops.alike(times * output_elements(call), profiled)


def reduction(last: int = 0, profiled: bool = True) -> Count:
    """One operation for each element that is added up, and some at the end of each."""

    def flops(call: Call) -> Flops:
        added = elements(call) - output_elements(call)
        return Flops.alike(added + last * output_elements(call), profiled)

    return flops


def multiply_adds(number: Size, profiled: bool = True) -> Flops:
    """So many multiply-adds."""
    return Flops(2 * number, number, 2 * number if profiled else None)
