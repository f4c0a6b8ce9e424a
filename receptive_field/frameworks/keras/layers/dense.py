"""Layers that multiply by a matrix or look up its rows."""

from __future__ import annotations

import re

from receptive_field.frameworks.keras.layers.call import (
    LayerCall,
    matmul,
    passed_on,
    rule,
)
from receptive_field.graph.graph import Tensor


@rule("Dense", masks=passed_on)
def _dense(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    y = matmul(w, x, w.weight(w.shape(x)[-1], c["units"]))
    if c.get("use_bias", True):
        y = w.op("BiasAdd", y, w.weight(c["units"]), data_format="NHWC")
    return call.activated(y)


_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->\.*([a-zA-Z]+)\.*")


@rule("EinsumDense")
def _einsum_dense(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    found = _EQUATION.fullmatch(c["equation"].replace(" ", ""))
    if found is None:
        call.fail(f"the equation {c['equation']!r}")
    before, read, after, kernel, made = found.groups()
    shape = c["output_shape"]
    shape = [shape] if isinstance(shape, int) else list(shape)
    given = w.shape(x)
    if before:
        sizes = dict(zip(made[::-1], shape[::-1], strict=False))
        sizes |= zip(read[::-1], given[::-1], strict=False)
    else:
        sizes = dict(zip(made[1:], shape, strict=False))
        sizes |= zip(read, given, strict=False)
    y = w.op(
        "Einsum", x, w.weight(*map(sizes.__getitem__, kernel)), equation=c["equation"]
    )
    axes = c.get("bias_axes")
    if axes:
        start = min(map(made.index, axes))
        bias = [sizes[name] if name in axes else 1 for name in made[start:]]
        bias += [1] * (len(given) - len(read)) if after else []
        y = w.op("AddV2", y, w.weight(*bias))
    return call.activated(y)


def _mask(call: LayerCall) -> Tensor | None:
    """Writes which of the numbers that are looked up are not 0."""
    given = call.given("inputs", "reverse")
    if given.get("reverse", False) or not call.config.get("mask_zero", False):
        return None
    return call.writer.op("NotEqual", given["inputs"], 0)


@rule("Embedding", masks=_mask)
def _embedding(call: LayerCall) -> Tensor:
    return _looked_up(call, call.x, _table(call))


@rule("ReversibleEmbedding", arguments=True, masks=_mask)
def _reversible_embedding(call: LayerCall) -> Tensor:
    w, c, given = call.writer, call.config, call.given("inputs", "reverse")
    x, table = given["inputs"], _table(call)
    if not given.get("reverse", False):
        return _looked_up(call, x, table)
    if c.get("tie_weights", True):
        kernel = w.op("Transpose", table, [1, 0])
    else:
        kernel = w.weight(c["output_dim"], c["input_dim"])
    y, cap = matmul(w, x, kernel), c.get("logit_soft_cap")
    if cap is None:
        return y
    return w.op("Mul", w.op("Tanh", w.op("RealDiv", y, float(cap))), float(cap))


def _table(call: LayerCall) -> Tensor:
    return call.writer.weight(call.config["input_dim"], call.config["output_dim"])


def _looked_up(call: LayerCall, x: Tensor, table: Tensor) -> Tensor:
    """Adds a lookup of the rows of a table; negative numbers count from its end."""
    w = call.writer
    shifted = w.op("AddV2", x, w.size(table, 0))
    rows = w.op("SelectV2", w.op("Less", x, 0), shifted, x)
    return w.op("GatherV2", table, rows, 0, batch_dims=0)
