"""Reductions of axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receptive_field.frameworks.keras.operations.numpy.elementwise import nan_to_num
from receptive_field.frameworks.keras.operations.numpy.registry import RULES, rule
from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    along,
    as_tensor,
    axes_of,
    contracted,
    expanded,
    operand,
    reduced_by,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor
from receptive_field.rules.op import Call, Op, Relations, Shape
from receptive_field.rules.reductions import reduced, reduced_shape

_REDUCTIONS = {
    "All": "All",
    "Amax": "Max",
    "Amin": "Min",
    "Any": "Any",
    "Max": "Max",
    "Mean": "Mean",
    "Min": "Min",
    "Prod": "Prod",
    "Sum": "Sum",
}


def _reduction(op: str, as_number: bool = False) -> Operation:
    """Returns the rule of a reduction, which may first replace what is no number."""

    def written(
        w: Writer,
        x: Tensor,
        axis: Any = None,
        keepdims: bool = False,
        dtype: Any = None,
        initial: Any = None,
    ) -> Tensor:
        y = reduced_by(w, op, nan_to_num(w, x) if as_number else x, axis, keepdims)
        if initial is None:
            return y
        return w.op(f"{op}imum", y, operand(initial))

    return written


RULES |= {name: _reduction(op) for name, op in _REDUCTIONS.items()}
RULES |= {
    f"Nan{op.lower()}": _reduction(op, True)
    for op in ("Max", "Mean", "Min", "Prod", "Sum")
}


@rule("CountNonzero")
def _count_nonzero(w: Writer, x: Tensor, axis: Any = None) -> Tensor:
    return reduced_by(w, "Sum", w.op("NotEqual", x, 0.0), axis)


@rule("Ptp")
def _range(w: Writer, x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    most, least = (reduced_by(w, op, x, axis, keepdims) for op in ("Max", "Min"))
    return w.op("Sub", most, least)


@rule("Var Nanvar")
def _variance(w: Writer, x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    difference = w.op("Sub", x, reduced_by(w, "Mean", x, axis, True))
    return reduced_by(w, "Mean", w.op("Square", difference), axis, keepdims)


@rule("Std Nanstd")
def _deviation(
    w: Writer, x: Tensor, axis: Any = None, keepdims: bool = False
) -> Tensor:
    return w.op("Sqrt", _variance(w, x, axis, keepdims))


@rule("Average")
def _average(w: Writer, x: Tensor, axis: Any = None, weights: Any = None) -> Tensor:
    if weights is None:
        return reduced_by(w, "Mean", x, axis)
    weights = as_tensor(w, weights)
    if axis is None or w.rank(x) == w.rank(weights):
        total = reduced_by(w, "Sum", w.op("Mul", x, weights), axis)
        return w.op("RealDiv", total, reduced_by(w, "Sum", weights, axis))
    total = contracted(w, x, weights, [axis], [0])
    return w.op("RealDiv", total, reduced_by(w, "Sum", weights))


def _place(op: str) -> Operation:
    """Returns the rule of a search for the place of the largest or smallest number."""

    def written(
        w: Writer, x: Tensor, axis: int | None = None, keepdims: bool = False
    ) -> Tensor:
        searched, place = along(w, x, axis)
        y = w.op(op, searched, place)
        if keepdims:
            return expanded(w, y, axes_of(w, x, axis))
        return y

    return written


RULES |= dict.fromkeys(("Argmax", "Nanargmax"), _place("ArgMax"))
RULES |= dict.fromkeys(("Argmin", "Nanargmin"), _place("ArgMin"))


def merging(count: int, outputs: int = 1) -> Op:
    """Returns the rule of an op that sees the last axes whole, and removes them."""
    gone = list(range(-count, 0))

    def axes(call: Call) -> list[int]:
        rank = len(call.known_shape(0))
        return [axis + rank for axis in gone]

    def relations(call: Call, output: int) -> Relations:
        return [reduced(len(call.known_shape(0)), axes(call), False)]

    def shapes(call: Call) -> Sequence[Shape]:
        return [reduced_shape(call.known_shape(0), axes(call), False)] * outputs

    return Op(relations, shapes)
