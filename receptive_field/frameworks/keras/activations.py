"""The ops of activation functions, by the names that Keras writes for them.

Layers name an activation in their config. The functions of `keras.ops` with the same
names have classes, so `operations/nn.py` reads this table, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from receptive_field.frameworks.keras.writer import FLOAT, Writer
from receptive_field.graph.graph import Tensor

Activation = Callable[..., Tensor]
"""Adds an activation of a tensor. Further arguments are those of the function."""


def _single(op: str) -> Activation:
    return lambda w, x, **options: w.op(op, x)


def _where_above(w: Writer, x: Tensor, limit: float, yes: Any, no: Any) -> Tensor:
    """Adds a choice between two values by whether the input exceeds a limit."""
    return w.op("SelectV2", w.op("Greater", x, float(limit)), yes, no)


def _silu(w: Writer, x: Tensor) -> Tensor:
    return w.op("Mul", x, w.op("Sigmoid", w.op("Mul", 1.0, x)))


def _gelu(w: Writer, x: Tensor, approximate: bool = False) -> Tensor:
    half = w.op("Mul", 0.5, x)
    if approximate:
        cubic = w.op("Mul", 0.044715, w.op("Pow", x, 3.0))
        inner = w.op("Mul", math.sqrt(2 / math.pi), w.op("AddV2", x, cubic))
        bend = w.op("Tanh", inner)
    else:
        bend = w.op("Erf", w.op("RealDiv", x, math.sqrt(2)))
    return w.op("Mul", half, w.op("AddV2", 1.0, bend))


def _hard_sigmoid(w: Writer, x: Tensor) -> Tensor:
    return w.op("RealDiv", w.op("Relu6", w.op("AddV2", x, 3.0)), 6.0)


def _hard_silu(w: Writer, x: Tensor) -> Tensor:
    return w.op("Mul", x, _hard_sigmoid(w, x))


def _mish(w: Writer, x: Tensor) -> Tensor:
    return w.op("Mul", x, w.op("Tanh", w.op("Softplus", x)))


def _elu(w: Writer, x: Tensor, alpha: float = 1.0) -> Tensor:
    y = w.op("Elu", x)
    if alpha == 1:
        return y
    return _where_above(w, x, 0.0, y, w.op("Mul", float(alpha), y))


def _celu(w: Writer, x: Tensor, alpha: float = 1.0) -> Tensor:
    below = w.op("RealDiv", w.op("Minimum", x, 0.0), float(alpha))
    bent = w.op("Mul", float(alpha), w.op("Expm1", below))
    return w.op("AddV2", w.op("Maximum", x, 0.0), bent)


def _glu(w: Writer, x: Tensor, axis: int = -1) -> Tensor:
    index, _ = w.op("Split", axis, x, num_split=2)
    return w.op("Mul", (index, 0), w.op("Sigmoid", (index, 1)))


def _hard_tanh(w: Writer, x: Tensor) -> Tensor:
    return w.op("Maximum", w.op("Minimum", x, 1.0), -1.0)


def _hard_shrink(w: Writer, x: Tensor, threshold: float = 0.5) -> Tensor:
    return w.op(
        "SelectV2",
        w.op("Greater", w.op("Abs", x), float(threshold)),
        x,
        w.op("ZerosLike", x),
    )


def _soft_shrink(w: Writer, x: Tensor, threshold: float = 0.5) -> Tensor:
    limit = float(threshold)
    is_below = w.op("Less", x, -limit)
    zeros = w.op("ZerosLike", x)
    below = w.op("SelectV2", is_below, w.op("AddV2", x, limit), zeros)
    return _where_above(w, x, limit, w.op("Sub", x, limit), below)


def _threshold(
    w: Writer, x: Tensor, threshold: float = 0.0, default_value: float = 0.0
) -> Tensor:
    return _where_above(w, x, threshold, x, float(default_value))


def _log_sigmoid(w: Writer, x: Tensor) -> Tensor:
    return w.op("Neg", w.op("Softplus", w.op("Neg", x)))


def _tanh_shrink(w: Writer, x: Tensor) -> Tensor:
    return w.op("Sub", x, w.op("Tanh", x))


def _squareplus(w: Writer, x: Tensor, b: float = 4.0) -> Tensor:
    root = w.op("Sqrt", w.op("AddV2", w.op("Square", x), float(b)))
    return w.op("RealDiv", w.op("AddV2", x, root), 2.0)


def _between(w: Writer, x: Tensor, least: Any, middle: Any, most: Any) -> Tensor:
    """Adds a choice between three values, at -1 and at 1."""
    upper = w.op("SelectV2", w.op("GreaterEqual", x, 1.0), most, middle)
    return w.op("SelectV2", w.op("LessEqual", x, -1.0), least, upper)


def _sparse_sigmoid(w: Writer, x: Tensor) -> Tensor:
    middle = w.op("Mul", 0.5, w.op("AddV2", x, 1.0))
    return _between(w, x, 0.0, middle, 1.0)


def _sparse_plus(w: Writer, x: Tensor) -> Tensor:
    middle = w.op("Mul", 0.25, w.op("Pow", w.op("AddV2", x, 1.0), 2.0))
    return _between(w, x, w.op("ZerosLike", x), middle, x)


def on_last_axis(
    w: Writer, x: Tensor, axis: Any, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """Adds a function of the last axis, applied to an axis or to several together.

    All axes are taken together if ``axis`` is None. The shape stays as it is.
    """
    rank = w.rank(x)
    given = range(rank) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = [one % rank for one in given]
    order = [*(one for one in range(rank) if one not in axes), *axes]
    if order != list(range(rank)):
        x = w.op("Transpose", x, order)
    if len(axes) == 1:
        y = function(x)
    else:
        kept = [w.size(x, number) for number in range(rank - len(axes))]
        flat = w.op("Reshape", x, w.sizes(*kept, -1))
        y = w.op("Reshape", function(flat), w.op("Shape", x))
    if order != list(range(rank)):
        y = w.op("Transpose", y, sorted(range(rank), key=order.__getitem__))
    return y


def _along(op: str) -> Activation:
    """Returns an activation that runs an op on the last axis."""
    return lambda w, x, axis=-1: on_last_axis(w, x, axis, lambda y: w.op(op, y))


def _sparsemax(w: Writer, x: Tensor, axis: int = -1) -> Tensor:
    """Adds the projection of each row onto the simplex, which depends on all of it."""

    def function(y: Tensor) -> Tensor:
        count = w.size(y, -1)
        sorted_ = w.op("TopKV2", y, count)
        sums = w.op("Cumsum", sorted_, -1)
        places = w.op("Cast", w.op("Range", 1, w.op("AddV2", count, 1), 1), DstT=FLOAT)
        mean = w.op("RealDiv", w.op("Sub", sums, 1.0), places)
        chosen = w.op("Greater", w.op("Sub", sorted_, mean), 0.0)
        number = w.op("Sum", w.op("Cast", chosen, DstT=FLOAT), [-1], keep_dims=True)
        total = w.op("Sum", w.op("SelectV2", chosen, sums, 0.0), [-1], keep_dims=True)
        limit = w.op("RealDiv", w.op("Sub", total, 1.0), number)
        return w.op("Maximum", w.op("Sub", y, limit), 0.0)

    return on_last_axis(w, x, axis, function)


ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda w, x: x,
    "relu": _single("Relu"),
    "relu6": _single("Relu6"),
    "sigmoid": _single("Sigmoid"),
    "tanh": _single("Tanh"),
    "softmax": _along("Softmax"),
    "log_softmax": _along("LogSoftmax"),
    "sparsemax": _sparsemax,
    "elu": _elu,
    "selu": _single("Selu"),
    "celu": _celu,
    "glu": _glu,
    "softplus": _single("Softplus"),
    "softsign": _single("Softsign"),
    "exponential": _single("Exp"),
    "leaky_relu": _single("LeakyRelu"),
    "swish": _silu,
    "silu": _silu,
    "gelu": _gelu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_silu,
    "hard_silu": _hard_silu,
    "hard_tanh": _hard_tanh,
    "hard_shrink": _hard_shrink,
    "soft_shrink": _soft_shrink,
    "tanh_shrink": _tanh_shrink,
    "threshold": _threshold,
    "log_sigmoid": _log_sigmoid,
    "squareplus": _squareplus,
    "sparse_sigmoid": _sparse_sigmoid,
    "sparse_plus": _sparse_plus,
    "mish": _mish,
}
"""Name of an activation -> the ops that it runs."""
