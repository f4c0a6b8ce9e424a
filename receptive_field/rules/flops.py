"""The number of floating-point operations of a node.

Operations are counted as in TensorFlow's profiler (``tf.compat.v1.profiler``, option
`float_operation`). A multiply-add counts as two operations, an elementwise op as one
per element, and functions such as exp or tanh count as none. A bias counts as one per
element of the result, also where a convolution or a product adds it by itself. Some
ops multiply and add but have no formula in the profiler (resizes, Einsum, batch
normalisation). They are counted in the same way, and their `Flops.profiled` is None.
Integers that are computed from sizes take no floating-point operations, although the
profiler counts them (`receptive_field.questions.costs` sees to that).

Rules use these functions for `Op.flops`.
"""

from __future__ import annotations

from collections.abc import Callable

from receptive_field.algebra.sizes import Size, product
from receptive_field.rules.op import Call, Flops

Count = Callable[[Call], Flops]


def elements(call: Call, number: int = 0) -> Size:
    """Returns the number of elements of an input."""
    return product(call.known_shape(number))


def output_elements(call: Call) -> Size:
    """Returns the number of elements of the first output."""
    shape = call.output_shape()
    if shape is None:
        call.fail("has an output of unknown shape")
    return product(shape)


def per_input(times: int = 1, profiled: bool = True) -> Count:
    """Returns a `Count` of ``times`` operations per element of the first input."""
    return lambda call: Flops.alike(times * elements(call), profiled)


def per_output(times: int = 1, profiled: bool = True) -> Count:
    """Returns a `Count` of ``times`` operations per element of the first output."""
    return lambda call: Flops.alike(times * output_elements(call), profiled)


def reduction(last: int = 0, profiled: bool = True) -> Count:
    """Returns a `Count` for a reduction that adds up elements of the first input.

    An output element that sums up n input elements takes n - 1 additions, and then
    ``last`` further operations.
    """

    def flops(call: Call) -> Flops:
        added = elements(call) - output_elements(call)
        return Flops.alike(added + last * output_elements(call), profiled)

    return flops


def multiply_adds(number: Size, profiled: bool = True) -> Flops:
    """Returns the `Flops` of ``number`` multiply-adds."""
    return Flops(2 * number, number, 2 * number if profiled else None)
