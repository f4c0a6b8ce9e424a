"""Rules for ops that compute each position on its own, and for normalisations."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.frameworks.torch.ops.registry import register, treat_zeros, weigh
from receptive_field.rules.elementwise import ELEMENTWISE, FIRST, UNARY
from receptive_field.rules.op import Call, Shape, Taps, Zeros

register("relu gelu silu sigmoid tanh hardswish hardsigmoid hardtanh dropout", UNARY)
register("alias clone contiguous detach", UNARY._replace(taps=Taps.COPY))
register("add mul sub div", ELEMENTWISE)
weigh("add", Taps.COPY)
treat_zeros("relu gelu silu tanh hardswish alias clone contiguous detach", Zeros.KEPT)
treat_zeros("add", Zeros.SUM)


def _normalised_shapes(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    return [shape, *[None if shape is None else (shape[1],)] * 2]


register("batch_norm", FIRST)
register(
    "_native_batch_norm_legit_no_training", FIRST._replace(shapes=_normalised_shapes)
)
