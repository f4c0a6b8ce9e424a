"""The properties of a graph that depend on how PyTorch represents it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from receptive_field.frameworks.torch.definitions import INPUT, Definition, Read
from receptive_field.graph.graph import ABSENT, Frame, Graph, Node, Tensor
from receptive_field.rules.op import Call, StatedShape

if TYPE_CHECKING:
    from receptive_field.graph.runner import Runner


class Torch:
    """The `Framework` of a graph of ATen ops."""

    name = "torch"

    def attribute(self, definition: Definition, name: str) -> Any:
        """Returns an argument of an op, or `ABSENT` if it has its default value."""
        found = definition.arguments.get(name)
        return ABSENT if found is None else found

    def attributes(self, definition: Definition) -> Mapping[str, Any]:
        """Returns the arguments of an op that are neither tensors nor left out."""
        return {
            name: value
            for name, value in definition.arguments.items()
            if value is not None and not _has_tensors(value)
        }

    def inputs(self, definition: Definition) -> Sequence[str]:
        """Returns the names of the values that a node reads."""
        return definition.input

    def resolve(self, graph: Graph, text: str, frame: Frame) -> Tensor | None:
        """Returns the result of a node with this name and number."""
        name, _, number = text.rpartition(":")
        index = frame.names.get(name)
        return None if index is None else (index, int(number))

    def recorded_shapes(self, call: Call) -> Sequence[StatedShape]:
        """Returns the shapes that were recorded for the results of a node."""
        return [
            None
            if kind is None or kind.sizes is None
            else tuple(s if isinstance(s, int) else None for s in kind.sizes)
            for kind in call.node.definition.kinds
        ]

    def placeholders(self, graph: Graph) -> Iterator[Node]:
        """Yields the inputs of the program."""
        return graph.of_ops(INPUT)

    def is_of_training(self, node: Node) -> bool:
        """Returns False, because programs compute no gradients."""
        return False

    def decoders(self, graph: Graph) -> Iterator[Node]:
        """Yields the nodes that decode images."""
        return graph.of_ops("torchvision.decode_jpeg", "torchvision.decode_png")

    def batch_moments(
        self, graph: Graph, knowledge: Any, among: Iterable[int]
    ) -> set[int]:
        """Returns no nodes, because a batch normalisation is one op."""
        return set()

    def default_layout(self, rank: int) -> tuple[int, ...]:
        """Returns the spatial axes of a tensor for which no op determines them.

        The first two axes are assumed to hold the batch and the channels.
        """
        return tuple(range(2, rank)) if rank > 2 else (max(rank - 1, 0),)

    def runner(self) -> Runner:
        """Returns an object that runs programs with PyTorch.

        Raises:
          GraphError: if PyTorch is not installed.
        """
        from receptive_field.frameworks.torch.running import TorchRunner

        return TorchRunner()


def _has_tensors(value: Any) -> bool:
    if isinstance(value, (list, tuple)) and not isinstance(value, Read):
        return any(map(_has_tensors, value))
    return isinstance(value, Read)


TORCH = Torch()
