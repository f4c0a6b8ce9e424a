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
}
