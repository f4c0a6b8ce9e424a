"""Protocols through which experiments run a network, or one of its ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from receptive_field.graph.graph import Node, Tensor
from receptive_field.graph.model import Model

Array = NDArray[Any]


class Computation(NamedTuple):
    """A function that computes outputs from an image."""

    run: Callable[[Array], Sequence[Array]]
    """Raises a GraphError if the framework fails."""
    dtype: np.dtype[Any]
    """The data type of the image."""
    gradient: Callable[[Array, Sequence[Array]], Array | None]
    """Returns the derivative of a sum over all outputs with respect to the image.

    The second argument holds one array for each output, by which it is multiplied in
    the sum. Returns None if the framework cannot compute it.
    """


class Alone(Protocol):
    """A single op that runs by itself, with all but one of its inputs fixed."""

    content: bytes
    """A key. Ops with equal keys compute the same function."""

    def computations(
        self, output: int, shape: Sequence[int]
    ) -> Iterator[Callable[[], Computation]]:
        """Yields ways to compute an output from an image of this shape.

        The most precise way comes first.
        """


class Runner(Protocol):
    """Runs the graphs of a framework, with weights that make dependencies visible."""

    def network(
        self,
        model: Model,
        network: Any,
        outputs: Sequence[Tensor],
        shape: Sequence[int],
    ) -> Computation:
        """Returns a computation of ``outputs`` from an image of this shape.

        Raises:
          GraphError: if the framework cannot run the network.
        """

    def runs(self, node: Node) -> bool:
        """Returns whether the framework runs this node as one op."""

    def reads(self, node: Node, number: int) -> bool:
        """Returns whether the op really reads this input when this runner runs it."""

    def scale(self, call: Any) -> float | None:
        """Returns the average to give to weights that reach features through this call.

        Returns None if no weights reach the features through the call.
        """

    def alone(
        self, node: Node, number: int, given: Callable[[int, Tensor, str], Array]
    ) -> Alone:
        """Returns the op of a node in a form that runs by itself.

        Args:
          node: the node.
          number: the number of the input that is fed an image.
          given: a function that returns the value of another input. Its arguments are
            the input's number, the tensor that it reads, and the NumPy kind of the
            tensor's data type.

        Raises:
          GraphError: if the framework does not know the op.
        """
