"""Diagonals, triangles and determinants of matrices."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.operations.numpy.reductions import merging
from receptive_field.frameworks.keras.operations.numpy.registry import rule
from receptive_field.frameworks.keras.operations.operand import (
    einsum,
    flat,
    item,
    moved,
    ruled,
    sizes_of,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule("Diagonal")
def _diagonal(
    w: Writer, x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Tensor:
    x = moved(w, x, [axis1, axis2], [-2, -1])
    below, right = max(-offset, 0), max(offset, 0)
    x = item(w, x, [..., slice(below, None), slice(right, None)])
    rows, columns = w.size(x, -2), w.size(x, -1)
    size = w.op("Minimum", rows, columns)
    labels = string.ascii_letters[: w.rank(x) - 1]
    begin = [0] * w.rank(x)
    sizes = [*sizes_of(w, x)[:-2], size, size]
    square = w.op("Slice", x, begin, w.sizes(*sizes))
    return einsum(w, f"{labels}{labels[-1]}->{labels}", square)


@rule("Diag")
def _diag(w: Writer, x: Tensor, k: int = 0) -> Tensor:
    if w.rank(x) == 2:
        return _diagonal(w, x, k)
    before, after = max(-k, 0), max(k, 0)
    return w.op("Pad", w.op("MatrixDiag", x), [[before, after], [after, before]])


@rule("Diagflat")
def _diagflat(w: Writer, x: Tensor, k: int = 0) -> Tensor:
    return _diag(w, flat(w, x), k)


@rule("Trace")
def _trace(
    w: Writer, x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Tensor:
    matrices = moved(w, x, [axis1, axis2], [-2, -1])
    kept = _kept(w, matrices, lambda row, column: column - row == offset)
    return w.op("Sum", kept, [-2, -1])


def _kept(w: Writer, x: Tensor, condition: Callable[[Any, Any], Any]) -> Tensor:
    """Adds matrices of which other elements than those of a condition are zero."""
    rows, columns = w.shape(x)[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        return w.op("MatrixBandPart", x, 0, 0)
    return w.op("SelectV2", condition(*np.indices((rows, columns))), x, 0.0)


@rule("Tril")
def _tril(w: Writer, x: Tensor, k: int = 0) -> Tensor:
    if k >= 0:
        return w.op("MatrixBandPart", x, -1, k)
    return _kept(w, x, lambda row, column: row >= column - k)


@rule("Triu")
def _triu(w: Writer, x: Tensor, k: int = 0) -> Tensor:
    if k <= 0:
        return w.op("MatrixBandPart", x, -k, -1)
    return _kept(w, x, lambda row, column: row <= column - k)


@rule("Slogdet")
def _slogdet(w: Writer, x: Tensor) -> list[Tensor]:
    index, _ = ruled(w, "LogMatrixDeterminant", merging(2, 2), x)
    return [(index, 0), (index, 1)]
