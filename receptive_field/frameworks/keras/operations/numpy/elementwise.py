"""Functions of single positions, choices, and constants.

Most types of numbers make no difference to what is seen, so they are not converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.operations.numpy.registry import RULES, rule
from receptive_field.frameworks.keras.operations.operand import (
    Operation,
    as_list,
    binary,
    operand,
    pointwise,
    reduced_by,
    stated_sizes,
    unary,
)
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor

_UNARY = {
    "Absolute": "Abs",
    "Abs": "Abs",
    "Fabs": "Abs",
    "Angle": "Angle",
    "Arccos": "Acos",
    "Arccosh": "Acosh",
    "Arcsin": "Asin",
    "Arcsinh": "Asinh",
    "Arctan": "Atan",
    "Arctanh": "Atanh",
    "BitwiseInvert": "Invert",
    "BitwiseNot": "Invert",
    "Ceil": "Ceil",
    "Conj": "Conj",
    "Conjugate": "Conj",
    "Copy": "Identity",
    "Cos": "Cos",
    "Cosh": "Cosh",
    "Exp": "Exp",
    "Expm1": "Expm1",
    "Floor": "Floor",
    "I0": "BesselI0",
    "Log": "Log",
    "Log1p": "Log1p",
    "LogicalNot": "LogicalNot",
    "Ndim": "Rank",
    "Negative": "Neg",
    "Real": "Real",
    "Reciprocal": "Reciprocal",
    "Sign": "Sign",
    "Sin": "Sin",
    "Sinh": "Sinh",
    "Size": "Size",
    "Sqrt": "Sqrt",
    "Square": "Square",
    "Tan": "Tan",
    "Tanh": "Tanh",
}
RULES |= {name: unary(op) for name, op in _UNARY.items()}

_BINARY = {
    "Add": "AddV2",
    "Arctan2": "Atan2",
    "BitwiseAnd": "BitwiseAnd",
    "BitwiseLeftShift": "LeftShift",
    "BitwiseOr": "BitwiseOr",
    "BitwiseRightShift": "RightShift",
    "BitwiseXor": "BitwiseXor",
    "Divide": "RealDiv",
    "DivideNoNan": "DivNoNan",
    "Equal": "Equal",
    "FloorDivide": "FloorDiv",
    "Greater": "Greater",
    "GreaterEqual": "GreaterEqual",
    "LeftShift": "LeftShift",
    "Less": "Less",
    "LessEqual": "LessEqual",
    "LogicalAnd": "LogicalAnd",
    "LogicalOr": "LogicalOr",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
    "Mod": "FloorMod",
    "Multiply": "Mul",
    "Nextafter": "NextAfter",
    "NotEqual": "NotEqual",
    "Power": "Pow",
    "RightShift": "RightShift",
    "Subtract": "Sub",
    "TrueDivide": "RealDiv",
}
RULES |= {name: binary(op) for name, op in _BINARY.items()}

_POINTWISE = (
    "Cbrt Deg2rad Exp2 Fmax Fmin Fmod Gcd Heaviside Hypot Lcm Ldexp Log10 Log2 "
    "Logaddexp Logaddexp2 LogicalXor Rad2deg Sinc Trunc"
)
RULES |= {name: pointwise(name) for name in _POINTWISE.split()}


_FLOATING = ("float", "bfloat", "complex")
_SOMETIMES: dict[str, tuple[str, Sequence[str]]] = {
    "Imag": ("Imag", ("complex",)),
    "Isfinite": ("IsFinite", _FLOATING),
    "Isinf": ("IsInf", _FLOATING),
    "Isnan": ("IsNan", _FLOATING),
    "Isneginf": ("Equal", _FLOATING),
    "Isposinf": ("Equal", _FLOATING),
    "Isreal": ("Imag", ("complex",)),
    "Signbit": ("Less", (*_FLOATING, "int")),
}
"""Operations whose result is constant unless the numbers are of one of some types."""


def _sometimes(op: str, types: Sequence[str]) -> Operation:
    others = {"Equal": [float("inf")], "Less": [0.0]}.get(op, [])

    def written(w: Writer, x: Tensor) -> Tensor:
        if x not in w.dtypes:
            raise NoRuleError("the type of its input is unknown")
        if w.dtypes[x].startswith(tuple(types)):
            return w.op(op, x, *others)
        return w.op("ZerosLike", x)

    return written


RULES |= {name: _sometimes(op, types) for name, (op, types) in _SOMETIMES.items()}


@rule("Round")
def _round(w: Writer, x: Tensor, decimals: int = 0) -> Tensor:
    return w.op("Round", x)


@rule("NanToNum")
def nan_to_num(w: Writer, x: Tensor, **numbers: Any) -> Tensor:
    """Adds the tensor with numbers in place of what is no finite number."""
    return pointwise("NanToNum")(w, x)


@rule("Isclose")
def _is_close(w: Writer, x1: Any, x2: Any, *limits: Any, **options: Any) -> Tensor:
    return pointwise("IsClose")(w, x1, x2)


@rule("AllClose")
def _all_close(w: Writer, x1: Any, x2: Any, **options: Any) -> Tensor:
    return reduced_by(w, "All", _is_close(w, x1, x2))


@rule("Array")
def _array(w: Writer, x: Tensor, dtype: Any = None) -> Tensor:
    return x


@rule("Clip")
def _clip(w: Writer, x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    return w.op("ClipByValue", x, operand(x_min), operand(x_max))


@rule("Where")
def _where(w: Writer, condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
    if x1 is None or x2 is None:
        raise NoRuleError("the data decide which positions it returns")
    chosen = w.op("Cast", condition, DstT=w.dtype("bool"))
    return w.op("SelectV2", chosen, operand(x1), operand(x2))


@rule("Select")
def _select(
    w: Writer, condlist: list[Any], choicelist: list[Any], default: Any = 0
) -> Any:
    found = default
    pairs = list(zip(condlist, choicelist, strict=True))
    for condition, choice in reversed(pairs):
        found = _where(w, condition, choice, found)
    return found


@rule("EmptyLike OnesLike ZerosLike")
def _like(w: Writer, x: Tensor, dtype: Any = None) -> Tensor:
    return w.op("ZerosLike", x)


@rule("FullLike")
def _full_like(w: Writer, x: Tensor, fill_value: Any, dtype: Any = None) -> Tensor:
    return w.op("BroadcastTo", operand(fill_value), w.op("Shape", x))


@rule("Full")
def _full(w: Writer, fill_value: Any, shape: Any, dtype: Any = None) -> Tensor:
    return w.op("BroadcastTo", operand(fill_value), stated_sizes(shape))


@rule("BroadcastTo")
def _broadcast_to(w: Writer, x: Any, shape: Any) -> Tensor:
    return w.op("BroadcastTo", x, stated_sizes(shape))


@rule("UnravelIndex")
def _unravel_index(w: Writer, indices: Tensor, shape: Any) -> list[Tensor]:
    sizes = as_list(shape)
    found = []
    for size in reversed(sizes) if w.rank(indices) == 1 else sizes:
        found.append(w.op("FloorMod", indices, size))
        indices = w.op("FloorDiv", indices, size)
    return found[::-1]
