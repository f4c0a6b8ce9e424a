"""The number of floating-point operations of a node.

The convention is that of TensorFlow's profiler (``tf.compat.v1.profiler``, option
`float_operation`). A multiply-add counts as two operations, an elementwise op as one
per element, and functions such as exp or tanh as none. If the profiler has no formula
for an op that multiplies and adds (resizes, Einsum, batch normalisation), its
convention is applied all the same, and `Flops.profiled` is None.

The functions here make the `Op.flops` of rules.
"""

from __future__ import annotations

from collections.abc import Callable

from receptive_field.algebra.sizes import Size, product
from receptive_field.rules.op import Call, Flops

Count = Callable[[Call], Flops]


def elements(call: Call, number: int = 0) -> Size:
    """Returns how many elements an input has."""
    return product(call.known_shape(number))


def output_elements(call: Call) -> Size:
    """Returns how many elements the first output has."""
    shape = call.output_shape()
    if shape is None:
        call.fail("has an output whose shape cannot be known")
    return product(shape)


def per_input(times: int = 1, profiled: bool = True) -> Count:
    """Returns a `Count` of ``times`` operations per element of the first input."""
    return lambda call: Flops.alike(times * elements(call), profiled)


def per_output(times: int = 1, profiled: bool = True) -> Count:
    """Returns a `Count` of ``times`` operations per element of the output."""
    return lambda call: Flops.alike(times * output_elements(call), profiled)


def reduction(last: int = 0, profiled: bool = True) -> Count:
    """Returns a `Count` of one operation per addition, and ``last`` per output element.

    An output that sums up n elements has n - 1 additions.
    """

    def flops(call: Call) -> Flops:
        added = elements(call) - output_elements(call)
        return Flops.alike(added + last * output_elements(call), profiled)

    return flops


def multiply_adds(number: Size, profiled: bool = True) -> Flops:
    """Returns the operations of this number of multiply-adds."""
    return Flops(2 * number, number, 2 * number if profiled else None)
