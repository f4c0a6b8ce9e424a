"""Reads graphs from files, using only protobuf.

Whether a file is compressed, binary or text is determined from its content, not
from its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from google.protobuf import message

from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.contents import contents
from receptive_field.frameworks.tensorflow.messages import (
    GraphDef,
    MetaGraphDef,
    SavedModel,
)
from receptive_field.frameworks.tensorflow.wire import GRAPHS
from receptive_field.frameworks.wire import DamagedError, without_weights

# Bytes that never occur in text. A binary graph contains at least one such byte: the
# tag of a node's op.
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\v")

_TAR = slice(257, 262)
"""Where a tar archive says what it is."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A graph, and the tensor names in one of the file's signatures."""

    graph_def: Any
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


def read_file(
    path: str | os.PathLike[str], signature: str | None = None, whole: bool = False
) -> FileContent:
    """Reads a graph file or a folder with a SavedModel.

    Args:
      path: a GraphDef, MetaGraphDef or SavedModel, binary or text, compressed or not;
        or a folder with a SavedModel.
      signature: the signature of a SavedModel to use, if it has several.
      whole: whether to return the graph as a complete message. Otherwise, attributes
        may be parsed on demand, and large tensors may lack their values.

    Raises:
      GraphError: if the file cannot be read or contains no graph.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        path = _saved_model_in(path)
    with contents(path) as content:
        head = content[:4096]
        if not head.strip() and not content[:].strip():
            raise GraphError(f"the file {path!r} is empty, but should contain a model.")
        parse = _parse_binary if _CONTROL & frozenset(head) else _parse_text
        parsed = parse(content, path, whole)
    if isinstance(parsed, (MetaGraphDef, SavedModel)):
        return _signature(parsed, path, signature)
    return FileContent(parsed)


@dataclass(frozen=True, slots=True)
class WholeGraph:
    """The complete graph of a file, which is read again when the graph is needed."""

    path: str
    signature: str | None

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Reads the file and returns its graph as a serialized GraphDef."""
        graph_def = read_file(self.path, self.signature, whole=True).graph_def
        serialized: bytes = graph_def.SerializeToString()
        return serialized


def read_graph_def(path: str | os.PathLike[str]) -> Any:
    """Returns the complete GraphDef message of a graph file; see `read_file`."""
    return read_file(path, whole=True).graph_def


def _saved_model_in(folder: str) -> str:
    for name in ("saved_model.pb", "saved_model.pbtxt"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    raise GraphError(
        f"the folder {folder!r} contains no SavedModel (saved_model.pb or "
        "saved_model.pbtxt)."
    )


def _signature(parsed: Any, path: str, name: str | None) -> FileContent:
    """Returns the graph of a MetaGraphDef or SavedModel, and one of its signatures."""
    metas = parsed.meta_graphs if isinstance(parsed, SavedModel) else [parsed]
    serving = [m for m in metas if "serve" in m.meta_info_def.tags]
    meta = (serving or list(metas))[0]
    signatures = {
        key: value
        for key, value in meta.signature_def.items()
        if not key.startswith("__saved_model")
    }
    if name is None and len(signatures) > 1:
        default = [key for key in signatures if key == "serving_default"]
        if not default:
            raise GraphError(
                f"{path!r} has several signatures: {', '.join(sorted(signatures))}. "
                "Choose one with signature=."
            )
        name = default[0]
    if name is not None and name not in signatures:
        known = ", ".join(sorted(signatures)) or "none"
        raise GraphError(
            f"{path!r} has no signature {name!r}; its signatures are: {known}."
        )
    if not signatures:
        return FileContent(meta.graph_def)
    chosen = signatures[name] if name is not None else next(iter(signatures.values()))
    inputs, outputs = (
        {key: info.name for key, info in sorted(infos.items())}
        for infos in (chosen.inputs, chosen.outputs)
    )
    return FileContent(meta.graph_def, inputs, outputs)


def _parse_text(content: Any, path: str, whole: bool) -> Any:
    # Binary graphs do not need these imports.
    from google.protobuf import text_format

    from receptive_field.frameworks.tensorflow.text import index

    try:
        text = content[:].decode("utf-8")
        indexed = None if whole else index(text)
        if indexed is not None:
            return indexed
        for kind, holds_nodes in _KINDS.items():
            parsed = text_format.Parse(text, kind(), allow_unknown_field=True)
            if holds_nodes(parsed):
                return parsed
    except (text_format.ParseError, ValueError, RecursionError) as error:
        # Enums that are out of range are a ValueError.
        raise GraphError(
            f"{path!r} is text, but not the text of a GraphDef: "
            f"{quoted(error).rstrip('.: ')}. Save or copy the graph again."
        ) from None
    raise GraphError(f"{path!r} contains no nodes. Check that the file is a GraphDef.")


def _parse_binary(content: Any, path: str, whole: bool) -> Any:
    """Returns the content, parsed as the first message type in which it has nodes.

    A message of one type may also parse as another type, but then has no valid nodes.
    """
    reason = ""
    for kind, holds_nodes in _KINDS.items():
        try:
            if whole or isinstance(content, bytes):
                parsed = kind.FromString(content[:])
            else:
                parsed = kind.FromString(
                    without_weights(content, kind.DESCRIPTOR.name, GRAPHS)
                )
        except DamagedError as error:
            reason = reason or f" ({error})"
        except message.DecodeError:
            continue
        else:
            if holds_nodes(parsed):
                return parsed
    if content[_TAR] == b"ustar":
        raise GraphError(
            f"{path!r} is a tar archive, which is not looked into. Unpack it, and give "
            "a file or the folder of a SavedModel in it."
        )
    raise GraphError(
        f"{path!r} is not a GraphDef, nor a model of ONNX or TensorFlow Lite: its "
        f"{len(content)} bytes are not text, and the binary data is damaged or has a "
        f"different format{reason}."
    )


def _has_nodes(graph_def: Any) -> bool:
    return bool(graph_def.node) and all(map(attrgetter("op"), graph_def.node))


_KINDS: dict[Any, Callable[[Any], bool]] = {
    GraphDef: _has_nodes,
    MetaGraphDef: lambda meta: _has_nodes(meta.graph_def),
    SavedModel: lambda saved: any(_has_nodes(m.graph_def) for m in saved.meta_graphs),
}
