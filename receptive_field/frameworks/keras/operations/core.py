"""The rules of `keras.ops.core`: types, shapes, slices and control flow."""

from __future__ import annotations

from typing import Any

from receptive_field.frameworks.keras.operations.operand import Operation
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


def _cast(w: Writer, x: Tensor, dtype: Any = None) -> Tensor:
    return w.op("Cast", x, DstT=w.dtype(dtype))


RULES: dict[str, Operation] = {"Cast": _cast}
