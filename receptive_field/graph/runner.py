"""What the experiments ask of a framework: to run a network, or one of its ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from receptive_field.graph.graph import Node, Tensor
from receptive_field.graph.model import Model

Array = NDArray[Any]


class Computation(NamedTuple):
    """A function from an image to outputs."""

    run: Callable[[Array], Sequence[Array]]
    """Raises a GraphError if the framework fails."""
    dtype: np.dtype[Any]
    """The data type of the image."""


class Alone(Protocol):
    """An op that runs by itself, with all of its inputs but one fixed."""

    content: bytes
    """Equal for ops that compute the same."""

    def computations(
        self, output: int, shape: Sequence[int]
    ) -> Iterator[Callable[[], Computation]]:
        """Yields ways to compute an output of an image, the most precise one first."""


class Runner(Protocol):
    """Runs the graphs of a framework, with weights that make dependencies visible."""

    def network(
        self,
        model: Model,
        network: Any,
        outputs: Sequence[Tensor],
        shape: Sequence[int],
    ) -> Computation:
        """Returns the computation of some outputs from an image of this shape.

        Raises:
          GraphError: if the framework cannot run the network.
        """

    def runs(self, node: Node) -> bool:
        """Whether the framework runs this node as one op."""

    def reads(self, node: Node, number: int) -> bool:
        """Whether the op reads this input when it runs here."""

    def scale(self, call: Any) -> float | None:
        """Returns the average of weights that reach the features through this call.

        None if it is no call that weights reach the features through.
        """

    def alone(
        self, node: Node, number: int, given: Callable[[int, Tensor, str], Array]
    ) -> Alone:
        """Returns a node that runs by itself.

        Args:
          node: the node.
          number: the number of the input that an image is fed to.
          given: returns the value of another input. It gets the number of the input,
            the tensor there, and the kind of its data type, as in NumPy.

        Raises:
          GraphError: if the framework does not know the op.
        """
