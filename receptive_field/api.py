"""The public functions: load the model, put the question, hand over the answer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from receptive_field.errors import ReceptiveFieldError
from receptive_field.every_size import all_at_every_size, at_every_size
from receptive_field.layout import Resolution
from receptive_field.ops import OPS
from receptive_field.question import Options, Question, StopPropagation, ask
from receptive_field.result import ReceptiveField, ReceptiveFields
from receptive_field.rules.op import rule_of
from receptive_field.rules.stated import Rule, op_of
from receptive_field.sources import load

EXAMPLE_GRAPH = os.path.join(
    os.path.dirname(__file__), "data", "inception_resnet_v2.pbtxt.gz"
)
"""The path of a graph to try things on: Inception-ResNet-v2, without weights."""

GlobalContext = Literal["include", "exclude"]
BatchNorm = Literal["inference", "graph"]


def compute_receptive_field(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: GlobalContext = "include",
    batch_norm: BatchNorm = "inference",
    overrides: Mapping[Any, Rule] | None = None,
    require_aligned: bool = False,
    signature: str | None = None,
) -> ReceptiveField:
    """The receptive field of one tensor of a model.

    Args:
      model: a path to a graph file, a GraphDef, a ``tf.Graph``, or a ``tf.Tensor``
        (which then is the output).
      output: the tensor whose features are asked about: its name, or the tensor.
        Found where only one candidate exists; if that has no spatial axes with more
        than one position (the scores of a classifier), the last feature map before it
        is taken, and ``ReceptiveField.output`` names it.
      input: the tensor that they see: likewise.
      input_resolution: the size of the input's spatial axes, ``[height, width]`` for
        images; None for an axis of any size. None alone takes what the graph says,
        "unknown" ignores that.
      stop_propagation: inputs whose name starts with one of these strings are not
        followed.
      global_context: whether paths over a whole axis (global pooling, attention) count:
        "include" or "exclude". `ReceptiveField.local` is the answer without them.
      batch_norm: whether a batch normalisation counts as at "inference", or as it is in
        the "graph": in training mode it depends on the whole batch.
      overrides: node, scope or layer -> how its outputs depend on its inputs, whatever
        the graph says; a rule as in `register_op`.
      require_aligned: whether a graph is an error that is misaligned, or of which that
        depends on a size that is not known.
      signature: which signature of a SavedModel is meant, if it has several.

    Returns:
      The receptive field. In a misaligned graph, regions are the hull of what the
      paths see, and ``aligned`` is False.

    Raises:
      ReceptiveFieldError: if the model cannot be read or analysed; the message says
        what is wrong, where, and what to do.

    >>> import receptive_field as rf
    >>> field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH)
    >>> list(field)
    [3039, 3039, 32, 32, 1482, 1482]
    """
    options = Options(input_resolution, stop_propagation, batch_norm, overrides)
    exclude = _excludes(global_context)
    question, field = ask(load(model, signature), output, input, options)
    field = at_every_size(question, field)
    if require_aligned:
        question.require_aligned(field)
    return field.without_global_context() if exclude else field


def _excludes(global_context: str) -> bool:
    if global_context not in ("include", "exclude"):
        raise ReceptiveFieldError(
            f"global_context is {global_context!r}; it is 'include' or 'exclude'."
        )
    return global_context == "exclude"


def compute_receptive_fields(
    model: Any,
    *,
    outputs: Sequence[Any] | None = None,
    input: Any = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: GlobalContext = "include",
    batch_norm: BatchNorm = "inference",
    overrides: Mapping[Any, Rule] | None = None,
    require_aligned: bool = False,
    signature: str | None = None,
) -> ReceptiveFields:
    """The receptive fields of all nodes that depend on the input, in one pass.

    Args:
      model, input, input_resolution, stop_propagation, global_context, batch_norm,
        overrides, require_aligned, signature: as in `compute_receptive_field`.
      outputs: the tensors that are asked for; all that depend on the input if None.

    Returns:
      A mapping from the names of the tensors to their receptive fields, in
      topological order. A node that cannot be analysed is in its ``errors`` instead,
      with all that depend on it; the others are not affected.

    Raises:
      ReceptiveFieldError: if the model cannot be read, or an output that is asked for
        cannot be analysed.

    >>> import receptive_field as rf
    >>> fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
    >>> list(fields["InceptionResnetV2/MaxPool_3a_3x3/MaxPool"])
    [15, 15, 4, 4, 2, 2]
    """
    options = Options(input_resolution, stop_propagation, batch_norm, overrides)
    exclude = _excludes(global_context)
    question = Question.ask(load(model, signature), input, outputs, options)
    fields = question.answers(strict=outputs is not None)
    fields = all_at_every_size(question, fields)
    if require_aligned:
        for field in fields.values():
            question.require_aligned(field)
    return fields.without_global_context() if exclude else fields


def unsupported_ops(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    stop_propagation: StopPropagation = None,
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
) -> dict[str, list[str]]:
    """The ops without a rule on the way from the input to the output.

    Args:
      model, input, stop_propagation, overrides, signature: as in
        `compute_receptive_field`.
      output: the tensor that is asked about; all that depend on the input if None.

    Returns:
      Op type -> the names of its nodes. Empty if all can be analysed.

    Raises:
      ReceptiveFieldError: if the model cannot be read, or the input not be found.

    >>> import receptive_field as rf
    >>> rf.unsupported_ops(rf.EXAMPLE_GRAPH)
    {}
    """
    options = Options(stop_propagation=stop_propagation, overrides=overrides)
    outputs = None if output is None else [output]
    question = Question.ask(load(model, signature), input, outputs, options)
    scope = question.scope
    found: dict[str, list[str]] = {}
    for node in (scope.graph.nodes[index] for index in scope.order):
        if rule_of(node) is None:
            found.setdefault(node.op, []).append(node.name)
    return found


TABLES = {"tensorflow": OPS}
"""Framework -> its rules: op type -> `Op`."""


def register_op(name: str, rule: Rule, *, framework: str = "tensorflow") -> None:
    """Adds or replaces the rule of an op type, for all graphs from now on.

    Args:
      name: the op type, as in NodeDef.op.
      rule: how its outputs depend on its inputs: "elementwise" (every position on
        itself), "global" (on everything), "no_dependency", a `SlidingWindow`, or, for
        anything else, an `Op` or a function, as docs/design.md describes.
      framework: whose op type it is; only "tensorflow" is known.

    Raises:
      ReceptiveFieldError: if it is no rule, or there is no such framework.

    >>> import receptive_field as rf
    >>> rf.register_op("MyActivation", "elementwise")
    >>> rf.register_op("MyFilter", rf.SlidingWindow(kernel_size=5, padding="same"))
    """
    if not isinstance(name, str) or not name:
        raise ReceptiveFieldError(f"an op type is a name, not {name!r}.")
    if framework not in TABLES:
        raise ReceptiveFieldError(
            f"there is no framework {framework!r}; there is "
            f"{', '.join(map(repr, TABLES))}."
        )
    TABLES[framework][name] = op_of(rule)
