"""Makes a `Model` of an ONNX model, in a file or in memory."""

from __future__ import annotations

import os
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.onnx.files import (
    Content,
    WholeModel,
    is_model,
    parsed,
    read_file,
)
from receptive_field.frameworks.request import NOTHING_ASKED, Request
from receptive_field.graph.model import Model

READS = "a path to an ONNX file, or an onnx.ModelProto"
"""The kinds of models that this wing can read, for error messages."""


def model_of(thing: Any, request: Request = NOTHING_ASKED) -> Model | None:
    """Returns the `Model` of an ONNX model, or None if the thing is not one.

    Args:
      thing: a path, an onnx.ModelProto, the bytes of one, an ``onnx_ir.Model``, or the
        program that ``torch.onnx.export`` returns.
      request: a signature is refused, because ONNX models have none.

    Raises:
      GraphError: if the model is damaged, or a signature is given.
    """
    if isinstance(thing, (str, os.PathLike)):
        path = os.fspath(thing)
        if not os.path.isfile(path):
            return None
        message = read_file(path)
        if message is None:
            return None
        _refuse(request.signature)
        return _model(message, WholeModel(path), path)
    message = _message_of(thing)
    if message is None:
        return None
    _refuse(request.signature)
    if isinstance(message, bytes):
        message = Content(message)
    content = message.SerializeToString()
    return _model(parsed(content, "the model"), message, "the model")


def _refuse(signature: str | None) -> None:
    if signature is not None:
        raise GraphError(
            f"an ONNX model has no signatures, so there is no {signature!r}. Choose "
            "tensors with input= and output=."
        )


def _message_of(thing: Any) -> Any | None:
    """Returns the onnx.ModelProto, or the bytes, that an object stands for."""
    if isinstance(thing, bytes):
        return thing if is_model(thing) else None
    descriptor = getattr(thing, "DESCRIPTOR", None)
    if getattr(descriptor, "full_name", None) == "onnx.ModelProto":
        return thing
    package = str(type(thing).__module__).partition(".")[0]
    if package == "torch" and hasattr(thing, "model_proto"):
        return thing.model_proto
    if package in ("onnx_ir", "onnxscript") and hasattr(thing, "opset_imports"):
        import onnx_ir  # type: ignore[import-not-found,unused-ignore]

        return onnx_ir.to_proto(thing)
    return None


def _model(message: Any, definition: Any, name: str) -> Model:
    # Other models do not need these imports.
    from receptive_field.frameworks.onnx.framework import ONNX
    from receptive_field.frameworks.onnx.layers import layers_of
    from receptive_field.frameworks.onnx.ops import OPS
    from receptive_field.frameworks.onnx.writing_out import graph_of

    graph = graph_of(message, name, rules=OPS, framework=ONNX)
    inputs, outputs = (
        {value.name: graph.tensor(value.name) for value in values}
        for values in (_inputs(message.graph), message.graph.output)
    )
    named = {
        node.name: graph.tensor(node.output[0])
        for node in message.graph.node
        if node.name and node.output and node.output[0] and not graph.has(node.name)
    }
    layers = layers_of(graph, message.graph.node)
    return Model(
        graph,
        definition,
        inputs,
        outputs,
        layers.tensors,
        layers.inputs,
        layers.kinds,
        named,
        weights_are_constants=True,
    )


def _inputs(graph: Any) -> list[Any]:
    """Returns the inputs of a GraphProto that could be images.

    Constants that are listed among the inputs are left out and, if there are others,
    single numbers such as a rate or a condition.
    """
    from receptive_field.frameworks.onnx.attributes import sizes_of

    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    return [value for value in inputs if sizes_of(value.type) != ()] or inputs
