"""Indexes graphs in text form and parses attributes on demand.

Protobuf's text parser takes a second for a large network, mostly for attributes that
are never read. TensorFlow writes a regular layout (one field per line, indented by two
spaces per level, names before attributes), in which a regular expression can find the
nodes. For any other text, `index` returns None, and protobuf parses the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from google.protobuf import text_format

from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.tensorflow.attributes import most_values
from receptive_field.frameworks.tensorflow.messages import AttrValue, GraphDef

LARGE = 1 << 12
"""Tensors with at most this many characters are always parsed with their values."""

_STRING = r'"([^"\\\n]*)"\n'
_NODE = re.compile(
    rf"node \{{\n  name: {_STRING}  op: {_STRING}"
    r'((?:  input: "[^"\\\n]*"\n)*)'
    r'(?:  device: "[^"\\\n]*"\n)?'
    r"((?:  attr \{\n(?:    .*\n)*  \}\n)*)"
    r"(?:  experimental_debug_info \{\n(?:    .*\n)*  \}\n)?"
    r"\}\n"
)
_INPUT = re.compile(r'  input: "([^"\\\n]*)"\n')
_ATTRIBUTE = re.compile(
    rf"  attr \{{\n    key: {_STRING}    value \{{\n((?:      .*\n)*)    \}}\n  \}}\n"
)
_DIM = r"        dim \{\n          size: (-?\d+)\n        \}\n"
_SHAPE = re.compile(rf"      shape \{{\n(?:{_DIM})*      \}}\n")
_INTEGERS = re.compile(r"      list \{\n(?:        i: -?\d+\n)+      \}\n")
_SCALAR = re.compile(r'      (type|s|i|b|f): (?:"([^"\\\n]*)"|([^"\n]*))\n')
_SIZE = re.compile(r"size: (-?\d+)\n")
_INTEGER = re.compile(r"i: (-?\d+)\n")
_CONTENT = re.compile(r"^ {8}\w+_(?:content|val): .*\n", re.MULTILINE)


class TextNode:
    """A node whose inputs and attributes are parsed on demand."""

    __slots__ = ("_attributes", "_body", "_inputs", "name", "op")

    def __init__(self, name: str, op: str, inputs: str, body: str) -> None:
        self.name = name
        self.op = op
        self._inputs = inputs
        self._body = body
        self._attributes: Attributes | None = None

    @property
    def input(self) -> list[str]:
        """The inputs of the node, as written in the graph."""
        return _INPUT.findall(self._inputs)

    @property
    def attr(self) -> Attributes:
        """The attributes of the node. Each is parsed on demand."""
        if self._attributes is None:
            self._attributes = Attributes(self.name, self._body)
        return self._attributes


class Attributes(Mapping[str, Any]):
    """The attributes of one node, as AttrValue messages by name."""

    def __init__(self, node: str, body: str) -> None:
        self._node = node
        self._texts: dict[str, str] = dict(_ATTRIBUTE.findall(body))
        self._parsed: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._parsed:
            self._parsed[name] = self._parse(self._texts[name])
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def _parse(self, text: str) -> Any:
        try:
            simple = _simple(text)
            if simple is not None:
                return simple
            if len(text) > LARGE and text.startswith("      tensor {\n"):
                text = _without_weights(text)
            return text_format.Parse(text, AttrValue(), allow_unknown_field=True)
        except (text_format.ParseError, ValueError, RecursionError) as error:
            raise GraphError(
                f"the attributes of node {self._node!r} cannot be read: {quoted(error)}"
            ) from None


class TextGraph(NamedTuple):
    """A graph whose attributes are parsed on demand."""

    node: list[TextNode]
    library: Any


def index(text: str) -> TextGraph | None:
    """Indexes a GraphDef in TensorFlow's layout. Returns None for any other text."""
    # Indentation corresponds to nesting only if the braces at line ends balance.
    if text.count("{\n") != text.count("}\n"):
        return None
    nodes = []
    position = 0
    match = _NODE.match
    while found := match(text, position):
        nodes.append(TextNode(*found.groups()))
        position = found.end()
    if not nodes or any(_covers_less(node) for node in nodes):
        return None
    try:
        rest = text_format.Parse(text[position:], GraphDef(), allow_unknown_field=True)
    except (text_format.ParseError, ValueError, RecursionError):
        return None
    return None if rest.node else TextGraph(nodes, rest.library)


def _covers_less(node: TextNode) -> bool:
    """Returns whether the pattern misses some attributes, or a name occurs twice."""
    body = node._body
    if not body:
        return False
    found = list(_ATTRIBUTE.finditer(body))
    names = {match[1] for match in found}
    length = sum(match.end() - match.start() for match in found)
    return length != len(body) or len(names) != len(found)


def _simple(text: str) -> Any:
    """Returns a simple attribute without using a parser; None for other attributes."""
    scalar = _SCALAR.fullmatch(text)
    if scalar is not None:
        return _scalar(*scalar.groups())
    if _INTEGERS.fullmatch(text):
        return AttrValue(list={"i": map(int, _INTEGER.findall(text))})
    if _SHAPE.fullmatch(text):
        sizes = map(int, _SIZE.findall(text))
        return AttrValue(shape={"dim": [{"size": size} for size in sizes]})
    return None


def _scalar(kind: str, quoted: str | None, plain: str | None) -> Any:
    if kind == "s":
        return None if quoted is None else AttrValue(s=quoted.encode())
    if plain is None:
        return None
    if kind == "i" and re.fullmatch(r"-?\d{1,18}", plain):
        return AttrValue(i=int(plain))
    if kind == "b" and plain in ("true", "false"):
        return AttrValue(b=plain == "true")
    return None


def _without_weights(text: str) -> str:
    """Removes the values of a tensor that is too large for rules to read."""
    kept = _CONTENT.sub("", text)
    tensor = text_format.Parse(kept, AttrValue(), allow_unknown_field=True).tensor
    elements = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    return text if elements <= most_values(tensor.dtype) else kept
