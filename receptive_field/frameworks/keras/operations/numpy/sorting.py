"""Sorts, quantiles and searches."""

from __future__ import annotations

from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.numpy.registry import rule
from receptive_field.frameworks.keras.operations.operand import (
    along,
    as_list,
    axes_of,
    expanded,
    moved,
    operand,
    resized,
    ruled,
    transposed,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import SAME
from receptive_field.rules.op import Call, Op, Relations


def _sorted(w: Writer, x: Tensor, axis: int | None, number: int) -> Tensor:
    """Adds one of the outputs of a sort: the values, or the places that they had."""
    x, place = along(w, x, axis)
    x = w.op("Neg", moved(w, x, [place], [-1]))
    index, _ = w.op("TopKV2", x, w.size(x, -1))
    found = (index, number)
    return moved(w, found if number else w.op("Neg", found), [-1], [place])


@rule("Sort")
def _sort(w: Writer, x: Tensor, axis: int | None = -1) -> Tensor:
    return _sorted(w, x, axis, 0)


@rule("Argsort")
def _argsort(w: Writer, x: Tensor, axis: int | None = -1) -> Tensor:
    return _sorted(w, x, axis, 1)


def _everything(call: Call, output: int) -> Relations:
    """Returns exact relations for a single axis.

    In Keras, the places in one row of a matrix depend on the other rows.
    """
    return [call.all_of(0, exact=len(call.known_shape(0)) == 1)]


@rule("Argpartition")
def _argpartition(w: Writer, x: Tensor, kth: int, axis: int | None = -1) -> Tensor:
    partitioned = Op(_everything, lambda call: [call.shape(0)])
    return ruled(w, "ArgPartition", partitioned, along(w, x, axis)[0])


def _quantile(
    w: Writer,
    x: Tensor,
    q: Any = 0.5,
    axis: Any = None,
    method: str = "linear",
    keepdims: bool = False,
) -> Tensor:
    """Adds positions of the sorted axes.

    Each of them sees all that is sorted, so it makes no difference which they are.
    """
    if any(isinstance(part, tuple) for part in as_list(q)):
        raise NoRuleError("the quantiles are not constant")
    axes, shape = axes_of(w, x, axis), np.shape(q)
    others = [number for number in range(w.rank(x)) if number not in axes]
    sizes = [w.size(x, number) for number in others]
    rows = resized(w, transposed(w, x, others + axes), [*sizes, -1])
    found = _sorted(w, rows, -1, 0)
    found = w.op("GatherV2", found, np.zeros(shape, np.int32), len(others))
    if keepdims:
        found = expanded(w, found, axes)
    count = w.rank(found) - len(shape)
    return moved(w, found, range(count, count + len(shape)), range(len(shape)))


rule("Median Nanmedian Percentile Nanpercentile Quantile Nanquantile")(_quantile)


def _following(number: int) -> Op:
    """Returns the rule that the output follows one input, and sees others whole."""

    def relations(call: Call, output: int) -> Relations:
        return [SAME if i == number else call.all_of(i) for i in range(len(call))]

    return Op(relations, lambda call: [call.shape(number)])


@rule("SearchSorted")
def _search(w: Writer, sorted_sequence: Any, values: Any, side: str = "left") -> Tensor:
    return ruled(w, "SearchSorted", _following(1), sorted_sequence, operand(values))


@rule("Digitize")
def _digitize(w: Writer, x: Tensor, bins: Any) -> Tensor:
    return w.op("Bucketize", x)


@rule("IsIn")
def _is_in(w: Writer, x1: Any, x2: Any, **options: Any) -> Tensor:
    return ruled(w, "IsIn", _following(0), operand(x1), operand(x2))
