"""The rules of `keras.ops.linalg`: what functions of matrices depend on.

TensorFlow's ops for most of them have no other rule. Axes before those of the matrices
follow themselves.
"""

from __future__ import annotations

import math
from typing import Any

from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    as_tensor,
    axes_of,
)
from receptive_field.frameworks.keras.operations.stated import stated
from receptive_field.frameworks.keras.writer import FLOAT, Writer
from receptive_field.graph.graph import Tensor


def of_matrices(
    kind: str, equation: str, exact: bool = True, **sizes: str
) -> Operation:
    """Returns the rule of an operation that runs one op on matrices."""

    def run(w: Writer, *inputs: Any, **options: Any) -> list[Tensor]:
        return stated(w, kind, equation, inputs, sizes, exact)

    return run


def _solve(kind: str, exact: bool) -> Operation:
    def run(w: Writer, a: Any, b: Any, **options: Any) -> list[Tensor]:
        a, b = as_tensor(w, a), as_tensor(w, b)
        is_vector = w.rank(b) == w.rank(a) - 1
        equation = "...ab,...c->...i" if is_vector else "...ab,...ck->...ik"
        return stated(w, kind, equation, [a, b], {"i": "b"}, exact)

    return run


def _lstsq(w: Writer, a: Any, b: Any, rcond: Any = None) -> list[Tensor]:
    equation = "ab,c->i" if w.rank(as_tensor(w, b)) == 1 else "ab,ck->ik"
    return stated(w, "Svd", equation, [a, b], {"i": "b"})


def _least(w: Writer, x: Tensor) -> str | None:
    """Returns which axis of matrices, a or b, is the shorter one, if that is known."""
    rows, columns = w.shape(x)[-2:]
    if isinstance(rows, int) and isinstance(columns, int):
        return "a" if rows < columns else "b"
    return "a" if rows == columns else None


def _known(**sizes: Any) -> dict[str, Any]:
    return {name: size for name, size in sizes.items() if size is not None}


def _svd(
    w: Writer, x: Any, full_matrices: bool = True, compute_uv: bool = True
) -> list[Tensor]:
    x = as_tensor(w, x)
    least = _least(w, x)
    if not compute_uv:
        return stated(w, "Svd", "...ab->...s", [x], _known(s=least))
    rows, columns = ("a", "b") if full_matrices else (least, least)
    sizes = _known(i="a", j=rows, s=least, k=columns, l="b")
    return stated(w, "Svd", "...ab->...ij,...s,...kl", [x], sizes)


def _qr(w: Writer, x: Any, mode: str = "reduced") -> list[Tensor]:
    x = as_tensor(w, x)
    inner = "a" if mode == "complete" else _least(w, x)
    sizes = _known(i="a", j=inner, k=inner, l="b")
    return stated(w, "Qr", "...ab->...ij,...kl", [x], sizes, exact=False)


def _norm(
    w: Writer, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False
) -> Tensor:
    x = as_tensor(w, x)
    axes = axes_of(w, x, axis)

    def reduce(op: str, y: Tensor, gone: list[int]) -> Tensor:
        return w.op(op, y, gone, keep_dims=True)

    if ord is None or ord == "fro" or (ord == 2 and len(axes) == 1):
        y = w.op("Sqrt", reduce("Sum", w.op("Square", x), axes))
    elif ord in ("nuc", 2, -2):
        y = _of_singular_values(w, x, axes, {2: "Max", -2: "Min"}.get(ord, "Sum"))
    elif len(axes) == 2:
        first, last = axes if abs(ord) == 1 else axes[::-1]
        sums = reduce("Sum", w.op("Abs", x), [first])
        y = reduce("Max" if ord > 0 else "Min", sums, [last])
    elif math.isinf(ord):
        y = reduce("Max" if ord > 0 else "Min", w.op("Abs", x), axes)
    elif ord == 0:
        y = reduce("Sum", w.op("Cast", w.op("NotEqual", x, 0.0), DstT=FLOAT), axes)
    else:
        total = reduce("Sum", w.op("Pow", w.op("Abs", x), float(ord)), axes)
        y = w.op("Pow", total, 1 / ord)
    return y if keepdims else w.op("Squeeze", y, squeeze_dims=axes)


def _of_singular_values(w: Writer, x: Tensor, axes: list[int], op: str) -> Tensor:
    """Adds a reduction of the singular values, in which both axes have size one."""
    others = [axis for axis in range(w.rank(x)) if axis not in axes]
    (values,) = _svd(w, w.op("Transpose", x, [*others, *axes]), compute_uv=False)
    y = w.op(op, values, [-1])
    for axis in sorted(axes):
        y = w.op("ExpandDims", y, axis)
    return y


RULES: dict[str, Operation] = {
    # Only a triangle of the matrix is read, or written.
    "Cholesky": of_matrices("Cholesky", "...ab->...ij", exact=False, i="a", j="b"),
    "CholeskyInverse": of_matrices(
        "MatrixTriangularSolve", "...ab->...ij", exact=False, i="a", j="b"
    ),
    "Det": of_matrices("MatrixDeterminant", "...ab->..."),
    "Eig": of_matrices("Eig", "...ab->...s,...ij", s="a", i="a", j="b"),
    "Eigh": of_matrices(
        "SelfAdjointEigV2", "...ab->...s,...ij", exact=False, s="a", i="a", j="b"
    ),
    "Inv": lambda w, x: w.op("MatrixInverse", x),
    "Logdet": of_matrices("Cholesky", "...ab->...", exact=False),
    "Lstsq": _lstsq,
    "LuFactor": of_matrices(
        "Lu", "...ab->...ij,...s", exact=False, s="a", i="a", j="b"
    ),
    "MatrixRank": of_matrices("Svd", "...ab->...", exact=False),
    "Norm": _norm,
    "Pinv": of_matrices("Svd", "...ab->...ij", i="b", j="a"),
    "Qr": _qr,
    "SVD": _svd,
    "Solve": _solve("MatrixSolve", exact=True),
    "SolveTriangular": _solve("MatrixTriangularSolve", exact=False),
}
