"""The properties of a graph that depend on how ONNX represents it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from receptive_field.frameworks.onnx.attributes import (
    attribute,
    attributes,
    recorded,
    sizes_of,
)
from receptive_field.frameworks.onnx.definitions import INPUT, Definition
from receptive_field.graph.graph import Frame, Graph, Node, Tensor
from receptive_field.rules.op import Call, StatedShape

if TYPE_CHECKING:
    from receptive_field.graph.runner import Runner


class Onnx:
    """The `Framework` of a graph of an ONNX model."""

    name = "onnx"

    attribute = staticmethod(attribute)

    attributes = staticmethod(attributes)

    def inputs(self, definition: Definition) -> Sequence[str]:
        """Returns the names of the values that a node reads."""
        return definition.input

    def resolve(self, graph: Graph, text: str, frame: Frame) -> Tensor | None:
        """Returns the value with this name.

        Subgraphs see the values of the graph around them, functions do not.
        """
        if not text:
            return graph.nodes.root.names[""], 0
        scope: Frame | None = frame
        while scope is not None:
            if text in scope.arguments:
                return scope.arguments[text]
            if text in scope.names:
                return scope.names[text], 0
            scope = None if scope.function else scope.caller
        return None

    def recorded_shapes(self, call: Call) -> Sequence[StatedShape]:
        """Returns the shapes that the model states for the outputs of a node."""
        definition = call.node.definition
        types = map(definition.scope.types.get, definition.outputs)
        return [None if t is None else recorded(sizes_of(t)) for t in types]

    def placeholders(self, graph: Graph) -> Iterator[Node]:
        """Yields the inputs of the model."""
        return graph.of_ops(INPUT)

    def is_of_training(self, node: Node) -> bool:
        """Returns whether a node computes gradients, or changes weights with them."""
        return node.op.startswith("ai.onnx.preview.training.")

    def decoders(self, graph: Graph) -> Iterator[Node]:
        """Yields the nodes that decode images."""
        return graph.of_ops("ImageDecoder")

    def batch_moments(
        self, graph: Graph, knowledge: Any, among: Iterable[int]
    ) -> set[int]:
        """Returns no nodes, because exporters write the inference mode of a model."""
        return set()

    def default_layout(self, rank: int) -> tuple[int, ...]:
        """Returns the spatial axes of a tensor for which no op determines them.

        The first two axes are assumed to hold the batch and the channels.
        """
        return tuple(range(2, rank)) if rank > 2 else (max(rank - 1, 0),)

    def runner(self) -> Runner:
        """Returns an object that runs models with onnxruntime."""
        from receptive_field.frameworks.onnx.running import OnnxRunner

        return OnnxRunner()


ONNX = Onnx()
