"""Reads ONNX models from files and objects, using only protobuf.

Whether something is an ONNX model is told from its bytes: the fields of a ModelProto,
with their wire types, are those of no other message that the library reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.contents import contents
from receptive_field.frameworks.wire import (
    DamagedError,
    fields,
    without_weights,
)

OLDEST_OPSET, NEWEST_OPSET = 7, 28
"""The operator sets whose ops the rules describe."""

_NUMBER, _LENGTH = 0, 2
_GRAPH = 7
_WIRE_TYPES: Mapping[int, int] = {
    1: _NUMBER,  # ir_version
    2: _LENGTH,
    3: _LENGTH,
    4: _LENGTH,
    5: _NUMBER,
    6: _LENGTH,
    _GRAPH: _LENGTH,
    8: _LENGTH,  # opset_import
    14: _LENGTH,
    20: _LENGTH,
    25: _LENGTH,
    26: _LENGTH,
}
"""Field of a ModelProto -> its wire type."""


def is_model(content: Any) -> bool:
    """Returns whether bytes begin as those of a ModelProto, up to its graph.

    No content of large fields is read.
    """
    found, position = set(), 0
    try:
        for number, begin, _, stop in fields(content, 0, len(content)):
            if _WIRE_TYPES.get(number) != content[begin] & 7:
                return False
            found.add(number)
            if _GRAPH in found and found & {1, 8}:
                return True
            position = stop
    except DamagedError:  # The graph may be cut off.
        return 1 in found and content[position] == _GRAPH << 3 | _LENGTH
    return False


@dataclass(frozen=True, slots=True)
class WholeModel:
    """The complete model of a file, which is read again when it is needed."""

    path: str

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Returns the bytes of the file, decompressed."""
        with contents(self.path) as content:
            whole: bytes = content[:]
        return whole


@dataclass(frozen=True, slots=True)
class Content:
    """The complete model that a caller passes as bytes."""

    content: bytes

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Returns the bytes."""
        return self.content


def read_file(path: str) -> Any | None:
    """Returns the ModelProto of a file without its weights.

    Returns None if the file holds something else, or does not exist.

    Raises:
      GraphError: if the file cannot be read, or the model is damaged.
    """
    with contents(path) as content:
        return parsed(content, repr(path)) if is_model(content) else None


def parsed(content: Any, name: str) -> Any:
    """Returns the ModelProto that some bytes hold, without its weights.

    Args:
      content: bytes, or an object that is sliced like bytes.
      name: what the model is called in errors.

    Raises:
      GraphError: if the bytes are damaged, or their operator set is not supported.
    """
    from google.protobuf.message import DecodeError

    from receptive_field.frameworks.onnx.messages import MODELS, ModelProto

    try:
        model = ModelProto.FromString(without_weights(content, "ModelProto", MODELS))
    except (DamagedError, DecodeError, RecursionError) as error:
        raise GraphError(
            f"{name} is an ONNX model, but its {len(content)} bytes are damaged or cut "
            f"off: {error}."
        ) from None
    if not model.graph.node:
        raise GraphError(f"{name} is an ONNX model whose graph has no nodes.")
    _check_opset(model, name)
    return model


def _check_opset(model: Any, name: str) -> None:
    from receptive_field.frameworks.onnx.definitions import opsets_of

    version = opsets_of(model).get("")
    if version is None:
        if any(not node.domain for node in model.graph.node):
            raise GraphError(
                f"{name} does not say which operator set of ONNX it uses (its "
                "opset_import is empty)."
            )
    elif version < OLDEST_OPSET:
        raise GraphError(
            f"{name} uses operator set {version} of ONNX, in which ops had other "
            f"attributes. Convert it with onnx.version_converter to {OLDEST_OPSET} or "
            "later."
        )
    elif version > NEWEST_OPSET:
        raise GraphError(
            f"{name} uses operator set {version} of ONNX, but this version of the "
            f"library knows the ops up to {NEWEST_OPSET}. Export the model with "
            f"opset_version={NEWEST_OPSET}."
        )
