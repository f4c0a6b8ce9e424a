"""Traces a single layer with TensorFlow, and adds its nodes to the model's graph."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from receptive_field.errors import ReceptiveFieldError, quoted
from receptive_field.frameworks.keras.calls import (
    Call,
    NoRuleError,
    Read,
    Weight,
    replaced,
    tensor_of,
)
from receptive_field.frameworks.keras.objects import backend_of
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.frameworks.tensorflow.keras_models import names_in, recorded
from receptive_field.frameworks.tensorflow.load import graph_of_function
from receptive_field.frameworks.tensorflow.objects import keras_of
from receptive_field.graph.graph import Tensor

Found = Mapping[Hashable, Sequence[Tensor]]


def symbols(
    call: Call, found: Found, writer: Writer
) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments of a call, with new symbolic tensors of Keras 3."""
    keras: Any = sys.modules.get("keras")
    if not hasattr(keras, "KerasTensor"):
        raise NoRuleError("Keras 3 is not imported")

    def symbol(read: Read) -> Any:
        made = keras.KerasTensor(_shape(read, found, writer), read.dtype)
        mask = writer.masks.peek(tensor_of(found, read))
        if mask is not None:
            made._keras_mask = keras.KerasTensor(_sizes(mask, writer), "bool")
        return made

    return _given(call, symbol)


class TracedCall(NamedTuple):
    """What a call becomes in the graph of the model."""

    outputs: list[Tensor]
    masks: list[Tensor | None]
    """The mask of each output."""
    inside: list[tuple[Any, Tensor, list[Tensor]]]
    """The calls of layers inside: the layer, its output, and its inputs."""


def traced(call: Call, found: Found, writer: Writer) -> TracedCall:
    """Adds the nodes that TensorFlow runs for a call.

    Raises:
      NoRuleError: if Keras runs on another backend, or the layer fails.
    """
    thing = call.layer.thing
    backend = backend_of(thing)
    if backend != "tensorflow":
        raise NoRuleError(f"it cannot be traced on the {backend} backend")
    keras: Any = keras_of(thing) or sys.modules["keras"]
    tf: Any = import_module("tensorflow")
    calls: list[tuple[Any, Any, Any]] = []
    given: list[Tensor] = []
    specs: list[Any] = []

    def spec(read: Read) -> Any:
        given.append(tensor_of(found, read))
        shape = _shape(read, found, writer)
        specs.append(tf.TensorSpec(shape, read.dtype, f"input_{len(specs)}"))
        return read

    _given(call, spec)
    own = [writer.masks.of(tensor) for tensor in given]
    masked = [number for number, mask in enumerate(own) if mask is not None]
    for mask in (mask for mask in own if mask is not None):
        given.append(mask)
        specs.append(tf.TensorSpec(_sizes(mask, writer), "bool", f"input_{len(specs)}"))
    removed: list[int] = []
    has_mask: list[bool] = []

    def run(*tensors: Any) -> Any:
        for number, mask in zip(masked, tensors[len(own) :], strict=True):
            tensors[number]._keras_mask = mask
        left = iter(tensors)
        arguments, keywords = _given(call, lambda read: next(left))
        more = {} if call.layer.is_operation else {"training": False}
        with recorded(keras.layers.Layer, calls):
            outputs = thing(*arguments, **{**keywords, **more})
        removed[:] = [n for n in masked if tensors[n]._keras_mask is None]
        masks = [getattr(y, "_keras_mask", None) for y in tf.nest.flatten(outputs)]
        has_mask[:] = [mask is not None for mask in masks]
        return outputs, [mask for mask in masks if mask is not None]

    try:
        function = tf.function(run, autograph=False).get_concrete_function(*specs)
        graph = graph_of_function(function)
    except ReceptiveFieldError as error:
        raise NoRuleError(str(error)) from error
    except Exception as error:  # The layer may be a user's, and fail in any way.
        reason = quoted(f"{type(error).__name__}: {error}")
        raise NoRuleError(f"it cannot be traced: {reason}") from error
    inputs = {
        graph.tensor(tensor.name)[0]: other
        for tensor, other in zip(function.graph.inputs, given, strict=False)
    }
    place = writer.add(graph, inputs)

    def places(structure: Any) -> list[Tensor]:
        names = names_in(function.graph, structure)
        return [place(graph.tensor(name)) for name in names]

    inside = [
        (layer, outputs[0], places(read))
        for layer, read, result in calls
        if layer is not thing and (outputs := places(result))
    ]
    for number in removed:
        writer.masks.remove(given[number])
    outputs, masks = map(places, function.graph.structured_outputs)
    left = iter(masks)
    return TracedCall(
        outputs, [next(left) if has else None for has in has_mask], inside
    )


def _given(call: Call, tensor: Any) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments of a call, with something for each tensor."""

    def part(thing: Any) -> Any:
        if isinstance(thing, Read):
            return tensor(thing)
        return thing.thing if isinstance(thing, Weight) else thing

    arguments = [replaced(thing, part) for thing in call.arguments]
    return arguments, {k: replaced(v, part) for k, v in call.keywords.items()}


def _shape(read: Read, found: Found, writer: Writer) -> list[int | None]:
    return _sizes(tensor_of(found, read), writer)


def _sizes(tensor: Tensor, writer: Writer) -> list[int | None]:
    shape = writer.shape(tensor)
    return [size if isinstance(size, int) else None for size in shape]
