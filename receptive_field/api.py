"""The public functions that load a model and compute its receptive fields."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from receptive_field.budget import within_budget
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import FRAMEWORKS, MODEL_CLASSES, load, table
from receptive_field.network.layout import Resolution
from receptive_field.questions.fields import field_of, fields_of
from receptive_field.questions.later import LATER
from receptive_field.questions.question import Options, Question, StopPropagation
from receptive_field.results.field import ReceptiveField, ReceptiveFields
from receptive_field.rules.op import rule_of
from receptive_field.rules.stated import Rule, op_of

EXAMPLE_GRAPH = os.path.join(
    os.path.dirname(__file__), "data", "inception_resnet_v2.pbtxt.gz"
)
"""The path of an example graph: Inception-ResNet-v2 without weights."""

GlobalContext = Literal["include", "exclude"]
BatchNorm = Literal["inference", "graph"]


@within_budget
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
    trace: bool = False,
    example_inputs: Any = None,
) -> ReceptiveField:
    """Computes the receptive field of one tensor of a model.

    Args:
      model: a path to a graph file, a SavedModel or a Keras file; a GraphDef; a
        ``tf.Graph``, ``tf.function`` or Keras model; or a ``tf.Tensor``, which is then
        the output.
      output: the tensor whose features you ask about, or its name. May be omitted if
        there is only one candidate. If this candidate has no spatial axis with more
        than one position (as for a classifier's scores), the last feature map before it
        is used. ``ReceptiveField.output`` names the tensor that was used.
      input: the tensor that the features see, or its name. May be omitted if there is
        only one candidate.
      input_resolution: the size of the input's spatial axes, ``[height, width]`` for
        images. An entry is None for an axis of any size. A single number is the size of
        all axes, if there are at most two. If this argument is None, the sizes that the
        graph states are used; "unknown" ignores them.
      stop_propagation: node inputs whose name starts with one of these strings are not
        followed.
      global_context: whether to "include" or "exclude" paths that see a whole axis
        (global pooling, attention). `ReceptiveField.local` is the receptive field
        without these paths.
      batch_norm: whether batch normalisation is analysed in "inference" mode, or in the
        mode that the "graph" states. In training mode, it depends on the whole batch.
      overrides: a mapping from nodes, scopes or layers to rules, as in `register_op`. A
        rule says how the outputs depend on the inputs, and is used instead of the
        definition in the graph.
      require_aligned: whether to raise an error if the graph is misaligned, or if its
        alignment depends on an unknown size.
      signature: the signature of a SavedModel, or the program of a ``.pt2`` file, to
        use, if it has several.
      trace: whether to trace a Keras model with TensorFlow instead of reading its
        layers. ``ReceptiveField.source`` says how the model was read.
      example_inputs: what a module of PyTorch is called with: a tensor, a tuple of
        arguments, or a dictionary of keyword arguments. Only shapes and types matter.
        None means an image with the channels of the module's first layer.

    Returns:
      The receptive field. In a misaligned graph, each region is the hull of the regions
      of all paths, and ``aligned`` is False.

    Raises:
      ReceptiveFieldError: if the model cannot be read or analysed. The message says
        what is wrong, where, and what to do.

    >>> import receptive_field as rf
    >>> field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH)
    >>> list(field)
    [3039, 3039, 32, 32, 1482, 1482]
    """
    options = Options(input_resolution, stop_propagation, batch_norm, overrides)
    loaded = load(
        model,
        signature,
        overrides=overrides,
        trace=trace,
        resolution=input_resolution,
        example_inputs=example_inputs,
    )
    return field_of(loaded, output, input, options, global_context, require_aligned)


@within_budget
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
    trace: bool = False,
    example_inputs: Any = None,
) -> ReceptiveFields:
    """Computes the receptive fields of all nodes that depend on the input.

    Args:
      model, input, input_resolution, stop_propagation, global_context, batch_norm,
        overrides, require_aligned, signature, trace, example_inputs: as in
        `compute_receptive_field`.
      outputs: the tensors to analyse. None means all tensors that depend on the input,
        without gradients and what else only trains the network.

    Returns:
      A mapping from the names of the tensors to their receptive fields, in topological
      order, computed in one pass. A node that cannot be analysed is listed in the
      mapping's ``errors``, together with all nodes that depend on it. Other nodes are
      not affected.

    Raises:
      ReceptiveFieldError: if the model cannot be read, or one of the given ``outputs``
        cannot be analysed.

    >>> import receptive_field as rf
    >>> fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
    >>> list(fields["InceptionResnetV2/MaxPool_3a_3x3/MaxPool"])
    [15, 15, 4, 4, 2, 2]
    """
    options = Options(input_resolution, stop_propagation, batch_norm, overrides)
    loaded = load(
        model,
        signature,
        overrides=overrides,
        trace=trace,
        resolution=input_resolution,
        example_inputs=example_inputs,
    )
    return fields_of(loaded, outputs, input, options, global_context, require_aligned)


@within_budget
def unsupported_ops(
    model: Any,
    *,
    output: Any = None,
    input: Any = None,
    stop_propagation: StopPropagation = None,
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
    trace: bool = False,
    example_inputs: Any = None,
) -> dict[str, list[str]]:
    """Finds the ops between the input and the output that have no rule.

    Args:
      model, input, stop_propagation, overrides, signature, trace, example_inputs: as in
        `compute_receptive_field`.
      output: the tensor that you ask about. None means all tensors that depend on the
        input, without gradients and what else only trains the network.

    Returns:
      A mapping from op types to the names of their nodes. It is empty if every op has a
      rule.

    Raises:
      ReceptiveFieldError: if the model cannot be read, or the input cannot be found.

    >>> import receptive_field as rf
    >>> rf.unsupported_ops(rf.EXAMPLE_GRAPH)
    {}
    """
    options = Options(stop_propagation=stop_propagation, overrides=overrides)
    outputs = None if output is None else [output]
    question = Question.ask(
        load(
            model,
            signature,
            overrides=overrides,
            trace=trace,
            example_inputs=example_inputs,
        ),
        input,
        outputs,
        options,
        LATER,
    )
    network = question.network
    found: dict[str, list[str]] = {}
    for node in (network.graph.nodes[index] for index in network.order):
        if rule_of(node) is None:
            found.setdefault(node.op, []).append(node.name)
    return found


def register_layer(name: str, rule: Rule) -> None:
    """States the rule of a layer class of Keras, for all models from now on.

    The rule is used in the place of the layer's code. Files do not contain the code of
    custom layers, so they can only be read if there is such a rule.

    Args:
      name: the name of the class.
      rule: as in `register_op`. The output has the shape of the first input if the rule
        is "elementwise", and the shape that windows give if it is a `SlidingWindow`. Of
        a subclass of a functional or sequential model that does not override `call`,
        state "model": a file then says how its layers are called.

    Raises:
      ReceptiveFieldError: if ``rule`` is not a rule.

    >>> import receptive_field as rf
    >>> rf.register_layer("MyGate", "elementwise")
    """
    if rule == "model":
        table("keras").pop(name, None)
        MODEL_CLASSES.add(name)
    else:
        register_op(name, rule, framework="keras")
        MODEL_CLASSES.discard(name)


def register_op(name: str, rule: Rule, *, framework: str = "tensorflow") -> None:
    """Adds or replaces the rule of an op type, for all graphs from now on.

    Args:
      name: the op type, as in NodeDef.op.
      rule: how its outputs depend on its inputs: "elementwise" (every position depends
        only on the same position), "global" (every position depends on all positions),
        "no_dependency", a `SlidingWindow`, or, for anything else, an `Op` or a
        function, as docs/add_an_op.md describes.
      framework: the framework that defines the op type: "tensorflow", "onnx" (ops of
        other domains go by their full name, such as "com.example.Blur"), or "keras" for
        classes of layers (see `register_layer`).

    Raises:
      ReceptiveFieldError: if ``rule`` is not a rule, or the framework is unknown.

    >>> import receptive_field as rf
    >>> rf.register_op("MyActivation", "elementwise")
    >>> rf.register_op("MyFilter", rf.SlidingWindow(kernel_size=5, padding="same"))
    """
    if not isinstance(name, str) or not name:
        raise ReceptiveFieldError(
            f"the op type must be a non-empty string, not {name!r}."
        )
    if framework not in FRAMEWORKS:
        raise ReceptiveFieldError(
            f"there is no framework {framework!r}; the library supports "
            f"{', '.join(map(repr, FRAMEWORKS))}."
        )
    table(framework)[name] = op_of(rule)
