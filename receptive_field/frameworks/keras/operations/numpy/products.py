"""Products of vectors, matrices and tensors."""

from __future__ import annotations

import itertools
from typing import Any

from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.numpy.registry import rule
from receptive_field.frameworks.keras.operations.operand import (
    as_list,
    as_tensor,
    contracted,
    einsum,
    expanded,
    flat,
    item,
    moved,
    operand,
    resized,
    sizes_of,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule("Einsum")
def _einsum(w: Writer, *operands: Any, subscripts: str) -> Tensor:
    equation = subscripts.replace(" ", "")
    if "->" not in equation:
        letters = equation.replace(",", "").replace("...", "")
        once = sorted(label for label in set(letters) if letters.count(label) == 1)
        dots = "..." * ("..." in equation)
        equation = f"{equation}->{dots}{''.join(once)}"
    return einsum(w, equation, *map(operand, operands))


@rule("Matmul")
def _matmul(w: Writer, x1: Any, x2: Any) -> Tensor:
    x1, x2 = as_tensor(w, x1), as_tensor(w, x2)
    one, two = w.rank(x1), w.rank(x2)
    if two == 1:
        return contracted(w, x1, x2, [-1], [0])
    if one == 1 or (one > 2 and two == 2):
        return contracted(w, x1, x2, [-1], [-2])
    return w.op("MatMul" if one == two == 2 else "BatchMatMulV2", x1, x2)


@rule("Dot")
def _dot(w: Writer, x1: Any, x2: Any) -> Tensor:
    return _last_axes(w, x1, x2, -2)


@rule("Inner")
def _inner(w: Writer, x1: Any, x2: Any) -> Tensor:
    return _last_axes(w, x1, x2, -1)


def _last_axes(w: Writer, x1: Any, x2: Any, axis: int) -> Tensor:
    """Adds products that are summed over the last axis and one of the second tensor."""
    x1, x2 = as_tensor(w, operand(x1)), as_tensor(w, operand(x2))
    if not w.rank(x1) or not w.rank(x2):
        return w.op("Mul", x1, x2)
    return contracted(w, x1, x2, [-1], [max(axis, -w.rank(x2))])


@rule("Vdot")
def _vdot(w: Writer, x1: Any, x2: Any) -> Tensor:
    one, two = (flat(w, as_tensor(w, x)) for x in (x1, x2))
    return contracted(w, one, two, [0], [0])


@rule("Tensordot")
def _tensordot(w: Writer, x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    if isinstance(axes, int):
        axes = [list(range(-axes, 0)), list(range(axes))]
    return contracted(w, x1, x2, *map(as_list, axes))


@rule("Outer")
def _outer(w: Writer, x1: Any, x2: Any) -> Tensor:
    one, two = as_tensor(w, operand(x1)), as_tensor(w, operand(x2))
    return w.op("Mul", w.op("Reshape", one, [-1, 1]), flat(w, two))


@rule("Kron")
def _kron(w: Writer, x1: Any, x2: Any) -> Tensor:
    x1, x2 = as_tensor(w, x1), as_tensor(w, x2)
    rank = max(w.rank(x1), w.rank(x2))
    pair = [expanded(w, x, list(range(rank - w.rank(x)))) for x in (x1, x2)]
    sizes = [sizes_of(w, x) for x in pair]
    ones = [1] * rank
    shapes = (zip(sizes[0], ones, strict=True), zip(ones, sizes[1], strict=True))
    wide = [
        resized(w, x, list(itertools.chain.from_iterable(shape)))
        for x, shape in zip(pair, shapes, strict=True)
    ]
    products = [w.op("Mul", *both) for both in zip(*sizes, strict=True)]
    return resized(w, w.op("Mul", *wide), products)


@rule("Cross")
def _cross(
    w: Writer,
    x1: Any,
    x2: Any,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Tensor:
    if axis is not None:
        axisa = axisb = axisc = axis
    vectors = []
    for x, place in ((as_tensor(w, x1), axisa), (as_tensor(w, x2), axisb)):
        last = moved(w, x, [place], [-1])
        count = w.shape(last)[-1]
        if not isinstance(count, int) or count not in (2, 3):
            raise NoRuleError(f"vectors of {count} numbers")
        vectors.append([item(w, last, [..., number]) for number in range(count)])
    one, two = vectors

    def component(first: int, second: int) -> Tensor:
        terms = [
            w.op("Mul", one[left], two[right])
            for left, right in ((first, second), (second, first))
            if left < len(one) and right < len(two)
        ]
        return w.op("Sub", *terms) if len(terms) == 2 else terms[0]

    if len(one) == len(two) == 2:
        return component(0, 1)
    parts = [component(1, 2), component(2, 0), component(0, 1)]
    return moved(w, w.op("Pack", *parts, axis=-1), [-1], [axisc])


@rule("Corrcoef")
def _corrcoef(w: Writer, x: Tensor) -> Tensor:
    centred = w.op("Sub", x, w.op("Mean", x, [-1], keep_dims=True))
    product = w.op("BatchMatMulV2", centred, centred, adj_y=True)
    deviation = w.op("Sqrt", w.op("Sum", w.op("Square", centred), [-1]))
    return w.op("RealDiv", product, contracted(w, deviation, deviation, [], []))


@rule("Correlate")
def _correlate(w: Writer, x1: Any, x2: Any, mode: str = "valid") -> Tensor:
    x1, x2 = as_tensor(w, operand(x1)), as_tensor(w, operand(x2))
    (length,) = w.shape(x2)
    if not isinstance(length, int):
        raise NoRuleError("a kernel of unknown size")
    size = w.size(x1, 0)
    if mode != "valid":
        x1 = w.op("Pad", x1, [[length - 1, length - 1]])
    row = w.op("Reshape", x1, [1, 1, -1, 1])
    kernel = w.op("Reshape", x2, [1, length, 1, 1])
    windows = {"strides": [1] * 4, "dilations": [1] * 4, "padding": "VALID"}
    found = w.op("Conv2D", row, kernel, **windows, data_format="NHWC")
    found = w.op("Squeeze", found, squeeze_dims=[0, 1, 3])
    if mode != "same":
        return found
    longest = w.op("Maximum", size, length)
    left = w.op("Sub", w.op("AddV2", size, length - 1), longest)
    start = w.op("FloorDiv", left, 2)
    return w.op("Slice", found, w.sizes(start), w.sizes(longest))
