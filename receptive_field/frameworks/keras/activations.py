"""The ops of activation functions, by the names that Keras writes for them."""

from __future__ import annotations

import math
from collections.abc import Callable

from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor

Activation = Callable[[Writer, Tensor], Tensor]


def _single(op: str) -> Activation:
    return lambda w, x: w.op(op, x)


def _swish(w: Writer, x: Tensor) -> Tensor:
    return w.op("Mul", x, w.op("Sigmoid", w.op("Mul", 1.0, x)))


def _gelu(w: Writer, x: Tensor) -> Tensor:
    half = w.op("Mul", 0.5, x)
    error = w.op("Erf", w.op("RealDiv", x, math.sqrt(2)))
    return w.op("Mul", half, w.op("AddV2", 1.0, error))


def _hard_sigmoid(w: Writer, x: Tensor) -> Tensor:
    shifted = w.op("AddV2", w.op("RealDiv", x, 6.0), 0.5)
    return w.op("Maximum", w.op("Minimum", shifted, 1.0), 0.0)


def _hard_swish(w: Writer, x: Tensor) -> Tensor:
    return w.op("Mul", x, _hard_sigmoid(w, x))


def _mish(w: Writer, x: Tensor) -> Tensor:
    return w.op("Mul", x, w.op("Tanh", w.op("Softplus", x)))


def _celu(w: Writer, x: Tensor) -> Tensor:
    below = w.op("Expm1", w.op("Minimum", x, 0.0))
    return w.op("AddV2", w.op("Maximum", x, 0.0), below)


def _glu(w: Writer, x: Tensor) -> Tensor:
    node, _ = w.op("Split", w.rank(x) - 1, x, num_split=2)
    return w.op("Mul", (node, 0), w.op("Sigmoid", (node, 1)))


def _hard_tanh(w: Writer, x: Tensor) -> Tensor:
    return w.op("ClipByValue", x, -1.0, 1.0)


def _hard_shrink(w: Writer, x: Tensor) -> Tensor:
    return w.op("SelectV2", w.op("Greater", w.op("Abs", x), 0.5), x, 0.0)


def _soft_shrink(w: Writer, x: Tensor) -> Tensor:
    inside = w.op("ClipByValue", x, -0.5, 0.5)
    return w.op("Sub", x, inside)


def _log_sigmoid(w: Writer, x: Tensor) -> Tensor:
    return w.op("Neg", w.op("Softplus", w.op("Neg", x)))


def _squareplus(w: Writer, x: Tensor) -> Tensor:
    root = w.op("Sqrt", w.op("AddV2", w.op("Square", x), 4.0))
    return w.op("RealDiv", w.op("AddV2", x, root), 2.0)


def _tanh_shrink(w: Writer, x: Tensor) -> Tensor:
    return w.op("Sub", x, w.op("Tanh", x))


def _sparse_plus(w: Writer, x: Tensor) -> Tensor:
    inside = w.op("Square", w.op("AddV2", w.op("ClipByValue", x, -1.0, 1.0), 1.0))
    curve = w.op("Mul", 0.25, inside)
    return w.op("SelectV2", w.op("Less", x, 1.0), curve, x)


def _sparse_sigmoid(w: Writer, x: Tensor) -> Tensor:
    return w.op("Mul", 0.5, w.op("AddV2", _hard_tanh(w, x), 1.0))


ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda w, x: x,
    "relu": _single("Relu"),
    "relu6": _single("Relu6"),
    "sigmoid": _single("Sigmoid"),
    "tanh": _single("Tanh"),
    "softmax": _single("Softmax"),
    "log_softmax": _single("LogSoftmax"),
    "elu": _single("Elu"),
    "selu": _single("Selu"),
    "softplus": _single("Softplus"),
    "softsign": _single("Softsign"),
    "exponential": _single("Exp"),
    "leaky_relu": _single("LeakyRelu"),
    "swish": _swish,
    "silu": _swish,
    "gelu": _gelu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "hard_silu": _hard_swish,
    "mish": _mish,
    "celu": _celu,
    "glu": _glu,
    "hard_tanh": _hard_tanh,
    "hard_shrink": _hard_shrink,
    "soft_shrink": _soft_shrink,
    "log_sigmoid": _log_sigmoid,
    "squareplus": _squareplus,
    "tanh_shrink": _tanh_shrink,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
}
