"""Describes the ops of each layer for the explorer's page: attributes, inputs, outputs.

Networks repeat their layers, so each description, text and set of attributes is listed
once, and referred to by its number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Node, Tensor
from receptive_field.network.network import Network
from receptive_field.rules.op import rule_of

T = TypeVar("T")

MOST_OPS = 40
"""At most this many ops of a layer are described; the rest are counted."""

MOST_INPUTS = 24
MOST_NUMBERS = 16
LONGEST = 100
"""The longest text of an attribute. The rest of a longer one is left out."""


class Contents:
    """The ops of layers.

    Args:
      network: the network of all layers.
      owner: for the index of each node of a layer, the name of the layer.
      described: returns the number of the page's node for a tensor, or a text.
    """

    def __init__(
        self,
        network: Network,
        owner: Mapping[int, str],
        described: Callable[[Tensor], int | str],
    ) -> None:
        self.network = network
        self.described = described
        self.nodes: dict[str, list[int]] = {}
        for index in network.order:
            if index in owner and network.carries[index]:
                self.nodes.setdefault(owner[index], []).append(index)
        self.has_layers = bool(owner)
        self.lists: dict[str, dict[str, int]] = {"layers": {}, "sets": {}, "texts": {}}

    def data(self) -> dict[str, list[Any]]:
        """Returns what the descriptions refer to.

        ``layers`` has the ops of a layer: for each, its op, its set of attributes, its
        inputs and the shapes of its outputs, or the number of ops that are left out.
        An input is a source and a shape. The source is the text of a constant, -1 for
        a tensor from outside of the layer, or -2 - k for a result of its k-th op.
        ``sets`` has attributes with their values, and ``texts`` has all texts.
        """
        return {
            name: [json.loads(x) for x in found] for name, found in self.lists.items()
        }

    def of(self, name: str, tensor: Tensor) -> list[int | str] | None:
        """Returns the number of a layer's description and its inputs from outside."""
        nodes = self.nodes.get(name)
        if nodes is None and not self.has_layers:
            nodes = [tensor[0]]
        if nodes is None:
            return None
        graph = self.network.graph
        places = {index: place for place, index in enumerate(nodes)}
        outside: list[int | str] = []
        ops: list[Any] = []
        for index in nodes[:MOST_OPS]:
            node = graph.nodes[index]
            reads = node.inputs[:MOST_INPUTS]
            inputs = [self._input(node, read, places, outside) for read in reads]
            if len(node.inputs) > MOST_INPUTS:
                inputs.append([self._text("and others"), self._text("")])
            outputs = [self._shape(t) for t in self._outputs(index, tensor)]
            ops.append([self._text(node.op), self._set(node), inputs, outputs])
        if len(nodes) > MOST_OPS:
            ops.append(len(nodes) - MOST_OPS)
        return [self._number("layers", ops), *outside]

    def _input(
        self,
        node: Node,
        read: Tensor,
        places: Mapping[int, int],
        outside: list[int | str],
    ) -> list[int]:
        shape = self._shape(read)
        if read[0] in places:
            return [-2 - places[read[0]], shape]
        if self.network.carries[read[0]] or read == self.network.input:
            outside.append(self.described(read))
            return [-1, shape]
        scope, slash, _ = node.name.rpartition("/")
        name = self.network.graph.name_of(read).removeprefix(scope + slash)
        return [self._text(shortened(name) + self._value(read)), shape]

    def _value(self, tensor: Tensor) -> str:
        """Returns the integers of a small constant, as a text that follows its name."""
        op = rule_of(self.network.graph.nodes[tensor[0]])
        shape = _known(self.network.shape, tensor)
        if op is None or op.numbers is None or shape is None:
            return ""  # Other values need NumPy.
        sizes = [size for size in shape if isinstance(size, int)]
        if len(sizes) < len(shape) or math.prod(sizes) > MOST_NUMBERS:
            return ""
        numbers = _known(self.network.known.integers, tensor)
        return "" if numbers is None else f" = {', '.join(map(str, numbers))}"

    def _outputs(self, index: int, tensor: Tensor) -> list[Tensor]:
        count = _known(self.network.known.output_count, index) or 1
        shown = [(index, number) for number in range(min(count, MOST_INPUTS))]
        return [tensor] if tensor[0] == index and tensor not in shown else shown

    def _shape(self, tensor: Tensor) -> int:
        """Returns the number of a shape as text: "?" if its rank is unknown."""
        shape = _known(self.network.shape, tensor)
        if shape is None:
            return self._text("?")
        sizes = [str(size) if isinstance(size, int) else "?" for size in shape]
        return self._text(",".join(sizes) if sizes else "number")

    def _set(self, node: Node) -> int:
        try:
            stated = node.graph.framework.attributes(node.definition)
            texts = {str(name): as_text(value) for name, value in stated.items()}
        except (ReceptiveFieldError, ValueError) as error:
            texts = {"attributes": f"cannot be read: {error}"}
        return self._number("sets", {shortened(n): t for n, t in texts.items()})

    def _text(self, text: str) -> int:
        return self._number("texts", text)

    def _number(self, kind: str, value: Any) -> int:
        known = self.lists[kind]
        return known.setdefault(json.dumps(value), len(known))


def _known(ask: Callable[[Any], T | None], about: Any) -> T | None:
    """Returns an answer, or None if there is none, because a constant is malformed."""
    try:
        return ask(about)
    except ReceptiveFieldError:
        return None


def as_text(value: Any) -> str:
    """Returns the value of an attribute as people read it, without large constants."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, (list, tuple)):
        shown = [as_text(part) for part in value[:MOST_NUMBERS]]
        more = [f"… {len(value)} in all"] if len(value) > MOST_NUMBERS else []
        return shortened(", ".join([*shown, *more])) if value else "none"
    if not isinstance(value, (str, int, float, bool, type(None))):
        shape: Sequence[Any] | None = getattr(value, "shape", None)
        if isinstance(shape, tuple):
            return f"a constant of {' x '.join(map(str, shape)) or 'one number'}"
    return shortened(str(value))


def shortened(text: str) -> str:
    """Returns a text of at most `LONGEST` characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
