"""The properties of a graph that depend on how TensorFlow Lite represents it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from receptive_field.frameworks.tensorflow.framework import TENSORFLOW
from receptive_field.frameworks.tensorflow.functions import Definition
from receptive_field.frameworks.tensorflow.signatures import resolve
from receptive_field.frameworks.tflite.definitions import INPUT, OF_TENSORS
from receptive_field.graph.graph import ABSENT, Graph, Node
from receptive_field.rules.op import Call, StatedShape

if TYPE_CHECKING:
    from receptive_field.graph.runner import Runner


class TFLite:
    """The `Framework` of graphs of operators."""

    name = "tflite"

    def attribute(self, definition: Any, name: str) -> Any:
        """Returns an option of an operator under the name that TensorFlow gives it."""
        if isinstance(definition, Definition):  # A node that inlining added.
            return definition.attr.get(name, ABSENT)
        return definition.attributes.get(name, ABSENT)

    def attributes(self, definition: Any) -> Mapping[str, Any]:
        """Returns the options of an operator."""
        if isinstance(definition, Definition):
            return definition.attr
        found = definition.attributes
        return {name: found[name] for name in found if name not in OF_TENSORS}

    def inputs(self, definition: Any) -> Sequence[str]:
        """Returns the tensors that a node reads."""
        return list(definition.input)

    resolve = staticmethod(resolve)

    def recorded_shapes(self, call: Call) -> Sequence[StatedShape]:
        """Returns the shapes that the file states for the outputs of an operator."""
        definition = call.node.definition
        if isinstance(definition, Definition):
            return []
        return [tensor.shape for tensor in definition.outputs]

    def placeholders(self, graph: Graph) -> Iterator[Node]:
        """Yields the inputs of the model."""
        yield from graph.of_ops(INPUT)

    def is_of_training(self, node: Node) -> bool:
        """Returns False: files hold networks that are trained."""
        return False

    def decoders(self, graph: Graph) -> Iterator[Node]:
        """Yields the nodes that compute features of sounds."""
        yield from graph.of_ops("AudioSpectrogram", "Mfcc")

    def batch_moments(
        self, graph: Graph, knowledge: Any, among: Iterable[int]
    ) -> set[int]:
        """Returns no nodes: converted networks do not compute moments of a batch."""
        return set()

    default_layout = staticmethod(TENSORFLOW.default_layout)

    def runner(self) -> Runner:
        """Returns an object that runs networks with TensorFlow Lite."""
        from receptive_field.frameworks.tflite.running import TFLiteRunner

        return TFLiteRunner()


TFLITE = TFLite()
