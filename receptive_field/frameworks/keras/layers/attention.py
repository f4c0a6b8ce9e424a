"""Attention, which reads several tensors and masks."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

from receptive_field.frameworks.keras.layers.call import (
    LayerCall,
    LayerRule,
    as_bool,
    matmul,
    rule,
    softmax,
)
from receptive_field.frameworks.keras.masks import MasksError
from receptive_field.frameworks.keras.operations.windows import repeated
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor

_LEAST = -1e9
"""What takes the place of scores that a mask hides."""

# --- Attention without weights of its own --------------------------------------------


Scores = Callable[[LayerCall, Tensor, Tensor], Tensor]
"""Writes the scores of queries and keys."""


def _scores(call: LayerCall, query: Tensor, key: Tensor) -> Tensor:
    w, c = call.writer, call.config
    scaled = c.get("use_scale", False)
    if c.get("score_mode", "dot") == "dot":
        scores = w.op("BatchMatMulV2", query, _swapped(w, key))
        return w.op("Mul", scores, w.weight()) if scaled else scores
    pairs = _pairs(w, query, key)
    if scaled:
        pairs = w.op("Mul", w.weight(), pairs)
    return w.op("Mul", w.weight(), w.op("Sum", w.op("Tanh", pairs), [-1]))


def _additive_scores(call: LayerCall, query: Tensor, key: Tensor) -> Tensor:
    w = call.writer
    scaled = call.config.get("use_scale", True)
    scale = w.weight(w.shape(query)[-1]) if scaled else 1.0
    activated = w.op("Tanh", _pairs(w, query, key))
    return w.op("Sum", w.op("Mul", scale, activated), [-1])


def _pairs(w: Writer, query: Tensor, key: Tensor) -> Tensor:
    """Adds the sum of each query and each key."""
    return w.op("AddV2", w.op("ExpandDims", query, -2), w.op("ExpandDims", key, -3))


def _attention(scores_of: Scores) -> LayerRule:
    def attended(call: LayerCall) -> list[Tensor]:
        w, given = call.writer, call.given("inputs", *_OPTIONS)
        query, value, *more = given["inputs"]
        masks = given.get("mask") or [None, None]
        scores = scores_of(call, query, more[0] if more else value)
        mask = None if masks[1] is None else as_bool(w, masks[1])
        if given.get("use_causal_mask", False):
            if mask is not None:
                mask = w.op("ExpandDims", mask, -2)
            mask = _both(w, mask, _causal(w, w.size(scores, -2), w.size(scores, -1)))
        if mask is not None:
            if w.rank(mask) == 2:
                mask = w.op("ExpandDims", mask, -2)
            hidden = w.op("Sub", scores, -_LEAST)
            scores = w.op("SelectV2", w.op("LogicalNot", mask), hidden, scores)
        weights = w.op("Softmax", scores)
        y = matmul(w, weights, value)
        if masks[0] is not None:
            kept = w.op("ExpandDims", as_bool(w, masks[0]), -1)
            y = w.op("SelectV2", kept, y, 0.0)
        return [y, weights] if given.get("return_attention_scores", False) else [y]

    return attended


_OPTIONS = ("mask", "training", "return_attention_scores", "use_causal_mask")


def _of_queries(call: LayerCall) -> Tensor | None:
    masks = call.mask_of(call.given("inputs", *_OPTIONS)["inputs"])
    return None if masks is None else masks[0]


rule("Attention", arguments=True, masks=_of_queries)(_attention(_scores))
rule("AdditiveAttention", arguments=True, masks=_of_queries)(
    _attention(_additive_scores)
)


def _swapped(w: Writer, x: Tensor) -> Tensor:
    """Adds a transposition of the last two axes."""
    order = list(range(w.rank(x)))
    order[-2:] = order[-1], order[-2]
    return w.op("Transpose", x, order)


# --- Masks ---------------------------------------------------------------------------


def _both(w: Writer, one: Tensor | None, two: Tensor) -> Tensor:
    return two if one is None else w.op("LogicalAnd", one, two)


def _steps(w: Writer, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Adds the numbers of the steps of queries, and of those of keys."""
    rows = w.op("Reshape", w.op("Range", 0, rows, 1), [1, -1, 1])
    return rows, w.op("Reshape", w.op("Range", 0, columns, 1), [1, 1, -1])


def _causal(w: Writer, rows: Tensor, columns: Tensor) -> Tensor:
    """Adds a mask that hides later steps."""
    return w.op("GreaterEqual", *_steps(w, rows, columns))


def _window(w: Writer, rows: Tensor, columns: Tensor, size: int) -> Tensor:
    """Adds a mask that hides steps at some distance."""
    return w.op("Less", w.op("Abs", w.op("Sub", *_steps(w, rows, columns))), size)


# --- Attention of several heads ------------------------------------------------------

_MASKS = ("query_mask", "value_mask", "key_mask", "attention_mask")


def _given(call: LayerCall) -> dict[str, Any]:
    """Returns the arguments of a call. Their order depends on the version of Keras."""
    if len(call.arguments) > 3:
        call.fail("more than three arguments without a name")
    options = "return_attention_scores", "use_causal_mask"
    return call.given("query", "value", "key", *_MASKS, *options)


def _mask(
    call: LayerCall, given: Mapping[str, Any], query: Tensor, value: Tensor
) -> Tensor | None:
    """Adds the mask of all masks that a call is given, if there are any."""
    w, found = call.writer, None
    for name, axis in (("query_mask", -1), ("value_mask", -2), ("key_mask", -2)):
        if given.get(name) is not None:
            found = _both(w, found, w.op("ExpandDims", as_bool(w, given[name]), axis))
    sizes = w.size(query, 1), w.size(value, 1)
    if given.get("use_causal_mask", False):
        found = _both(w, found, _causal(w, *sizes))
    window = call.config.get("sliding_window")
    if window is not None:
        found = _both(w, found, _window(w, *sizes, window))
    if "attention_mask" in given:
        found = _both(w, found, as_bool(w, given["attention_mask"]))
    return found


def _attended(
    call: LayerCall,
    equations: tuple[str, str],
    axes: Sequence[int],
    tensors: Sequence[Tensor],
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Adds attention, and returns its output and its scores.

    Args:
      call: the call of the layer.
      equations: how queries meet keys, and how scores meet values.
      axes: the axes of the scores over which they sum to one.
      tensors: queries, keys and values.
      mask: which keys a query may read.
    """
    w, (query, key, value) = call.writer, tensors
    size = w.shape(query)[-1]
    assert isinstance(size, int)
    scores = w.op(
        "Einsum", key, w.op("Mul", query, 1 / sqrt(size)), equation=equations[0]
    )
    if mask is None:
        weights = softmax(w, scores, axes)
    else:
        for _ in range(w.rank(scores) - w.rank(mask)):
            mask = w.op("ExpandDims", mask, -2 * len(axes) - 1)
        scores = w.op("SelectV2", mask, scores, _LEAST)
        weights = softmax(w, scores, axes)
    return w.op("Einsum", weights, value, equation=equations[1]), weights


def _head(
    call: LayerCall,
    name: str,
    equation: str,
    sizes: Sequence[Any],
    bias: str,
    x: Tensor,
    activation: str | None = None,
) -> Tensor:
    """Writes a call of one of the dense layers of an attention layer."""
    free = len(equation.partition("->")[2]) - len(sizes) - 1
    config = {
        "name": name,
        "trainable": True,
        "equation": equation,
        "output_shape": [*[None] * free, *sizes],
        "bias_axes": bias if call.config.get("use_bias", True) else None,
        "activation": activation,
    }
    saved = {"module": "keras.layers", "class_name": "EinsumDense", "config": config}
    return call.layer(saved, x)[0]


def _projected(
    call: LayerCall,
    name: str,
    x: Tensor,
    sizes: Sequence[Any],
    bound: int = 1,
    activation: str | None = None,
) -> Tensor:
    """Writes a dense layer over the last axes of a tensor.

    Args:
      call: the call of the attention layer.
      name: the name of the dense layer.
      x: its input.
      sizes: the sizes of the axes that it makes.
      bound: how many axes it reads.
      activation: the name of its activation function.
    """
    free = call.writer.rank(x) - bound
    letters = string.ascii_lowercase
    kept, read = letters[:free], letters[free : free + bound]
    made = letters[free + bound : free + bound + len(sizes)]
    equation = f"{kept}{read},{read}{made}->{kept}{made}"
    return _head(call, name, equation, sizes, made, x, activation)


def _equations(rank: int, axes: Sequence[int]) -> tuple[str, str]:
    """Returns the equations of attention over some axes of tensors of a rank."""
    letters = string.ascii_lowercase
    target = letters[:rank]
    batch = [axis for axis in range(rank - 1) if axis not in axes]
    own = iter(letters[rank:])
    source = "".join(
        next(own) if axis in axes else target[axis] for axis in range(rank)
    )
    product = "".join(
        [target[a] for a in batch]
        + [target[a] for a in axes]
        + [source[a] for a in axes]
    )
    return f"{source},{target}->{product}", f"{product},{source}->{target}"


def _policy(config: Mapping[str, Any]) -> Any:
    """Returns the name of the policy for types."""
    policy = config.get("dtype")
    return policy["config"]["name"] if isinstance(policy, Mapping) else policy


def _of_query(call: LayerCall) -> Tensor | None:
    return call.writer.masks.of(_given(call)["query"])


@rule("MultiHeadAttention", arguments=True, masks=_of_query)
def _multi_head_attention(call: LayerCall) -> list[Tensor]:
    w, c, given = call.writer, call.config, _given(call)
    query, value = given["query"], given["value"]
    key = given.get("key", value)
    # Keras does not read the mask of the query that a caller gives.
    given["query_mask"] = w.masks.of(query)
    mask = _mask(call, given, query, value)
    for x in (query, value, key):
        if w.masks.peek(x) is not None and _policy(c) not in (None, "float32"):
            raise MasksError("it may remove the mask of a copy of its input")
        w.masks.remove(x)
    heads, size = c["num_heads"], c["key_dim"]
    value_size = c.get("value_dim") or size
    gated = c.get("use_gate", False)
    shape: Any = c.get("output_shape") or w.shape(query)[-1]
    if gated:
        gate = _projected(call, "gate", query, [heads, value_size], 1, "sigmoid")
    queries = _projected(call, "query", query, [heads, size])
    keys = _projected(call, "key", key, [heads, size])
    values = _projected(call, "value", value, [heads, value_size])
    rank = w.rank(queries)
    axes = c.get("attention_axes") or range(1, rank - 2)
    axes = [axes] if isinstance(axes, int) else axes
    axes = [axis if axis >= 0 else rank - 1 + axis for axis in axes]
    equations = _equations(rank, axes)
    top = len(equations[1].partition(",")[0])
    over = range(top - len(axes), top)
    y, scores = _attended(call, equations, over, (queries, keys, values), mask)
    if gated:
        y = w.op("Mul", y, gate)
    sizes = [shape] if isinstance(shape, int) else list(shape)
    y = _projected(call, "attention_output", y, sizes, 2)
    return [y, scores] if given.get("return_attention_scores", False) else [y]


@rule("GroupedQueryAttention GroupQueryAttention", arguments=True, masks=_of_query)
def _grouped_query_attention(call: LayerCall) -> list[Tensor]:
    w, c, given = call.writer, call.config, _given(call)
    query, value = given["query"], given["value"]
    key = given.get("key", value)
    mask = _mask(call, given, query, value)
    heads, groups, size = (
        c[name] for name in ("num_query_heads", "num_key_value_heads", "head_dim")
    )
    gated = c.get("use_gate", False)
    asked, stored = "bqm,muh->bquh", "bkm,mvh->bkvh"
    if gated:
        gate = _head(call, "gate", asked, [heads, size], "uh", query, "sigmoid")
    queries = _head(call, "query", asked, [heads, size], "uh", query)
    keys, values = (
        repeated(
            w, _head(call, name, stored, [groups, size], "vh", x), 2, heads // groups
        )
        for name, x in (("key", key), ("value", value))
    )
    equations = "bkuh,bquh->buqk", "buqk,bkuh->bquh"
    y, scores = _attended(call, equations, [3], (queries, keys, values), mask)
    if gated:
        y = w.op("Mul", y, gate)
    channels = w.shape(query)[-1]
    y = _head(call, "attention_output", "bquh,uhm->bqm", [channels], "m", y)
    return [y, scores] if given.get("return_attention_scores", False) else [y]
