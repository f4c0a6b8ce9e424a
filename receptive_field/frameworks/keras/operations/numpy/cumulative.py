"""Running sums, differences and powers along one axis."""

from __future__ import annotations

from typing import Any

from receptive_field.frameworks.keras.operations.numpy.elementwise import nan_to_num
from receptive_field.frameworks.keras.operations.numpy.registry import RULES, rule
from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    along,
    as_tensor,
    axes_of,
    item,
    moved,
    on_axis,
    operand,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


def _cumulative(op: str, as_number: bool = False) -> Operation:
    def written(
        w: Writer, x: Tensor, axis: int | None = None, dtype: Any = None
    ) -> Tensor:
        return w.op(op, *along(w, nan_to_num(w, x) if as_number else x, axis))

    return written


for _op in ("Cumsum", "Cumprod"):
    RULES[_op] = _cumulative(_op)
    RULES[f"Nan{_op.lower()}"] = _cumulative(_op, True)


@rule("Diff")
def _difference(w: Writer, a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    rank, place = w.rank(a), axes_of(w, a, axis)[0]
    for _ in range(n):
        pair = [
            item(w, a, on_axis(rank, place, part))
            for part in (slice(1, None), slice(-1))
        ]
        a = w.op("Sub", *pair)
    return a


@rule("Trapezoid")
def _trapezoid(
    w: Writer, y: Tensor, x: Any = None, dx: Any = 1.0, axis: int = -1
) -> Tensor:
    def last(tensor: Tensor) -> Tensor:
        return tensor if axis == -1 else moved(w, tensor, [axis], [-1])

    step = operand(dx)
    if x is not None:
        step = last(_difference(w, as_tensor(w, x), axis=axis))
    heights = last(y)
    pairs = [item(w, heights, [..., part]) for part in (slice(1, None), slice(-1))]
    area = w.op("Mul", w.op("Mul", w.op("AddV2", *pairs), 0.5), step)
    return w.op("Sum", area, [-1])


@rule("Vander")
def _vander(w: Writer, x: Tensor, increasing: bool = False, **count: Any) -> Tensor:
    columns = count.get("N")
    powers = w.op("Range", 0, w.size(x, 0) if columns is None else columns, 1)
    return w.op("Pow", w.op("ExpandDims", x, -1), powers)
