"""The kinds of layers in the zoo, as plain data.

A network is a sequence of layers of the kinds defined below. This file contains no
networks and does not use TensorFlow.

A layer with a name opens a scope with that name in the graph. `Concatenation` and
`Residual` have no name and open no scope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kernel = tuple[int, int]
"""Height and width."""

Padding = Literal["SAME", "VALID", "PAD"]
"""TensorFlow's two paddings, or an explicit Pad node followed by VALID.

``PAD`` adds k - 1 zeros to each axis, (k - 1) // 2 of them before the first position,
for inputs of any size. SAME padding depends on the size if the stride is not 1.
"""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution, its bias (or batch normalisation) and its ReLU.

    Attributes:
      name: the scope of its nodes.
      filters: the number of output channels.
      kernel: height and width.
      stride: the stride on both axes.
      padding: see `Padding`.
      normalised: whether batch normalisation replaces the bias.
      activated: whether a ReLU follows.
    """

    name: str
    filters: int
    kernel: Kernel
    stride: int = 1
    padding: Padding = "SAME"
    normalised: bool = False
    activated: bool = True


@dataclass(frozen=True, slots=True)
class Depthwise:
    """A depthwise convolution with one filter per input channel and SAME padding, then
    bias and ReLU."""

    name: str
    kernel: Kernel
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Separable:
    """A depthwise convolution with `multiplier` filters per input channel and SAME
    padding, then a 1x1 convolution, bias and ReLU."""

    name: str
    filters: int
    kernel: Kernel
    stride: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class Pool:
    """The maximum or the average of each window."""

    name: str
    kind: Literal["max", "avg"]
    kernel: Kernel
    stride: int = 1
    padding: Padding = "SAME"


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Batch normalisation in inference mode, then ReLU (a pre-activation)."""

    name: str


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Layers that read the same tensor. Their outputs are joined along the channels."""

    parts: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Residual:
    """The sum of a shortcut and a body, then ReLU.

    Attributes:
      body: the layers of the residual branch.
      shortcut: the layers of the shortcut branch. Empty for an identity.
      scale: the factor by which the body is multiplied. None means no factor.
      activated: whether a ReLU follows.
    """

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()
    scale: float | None = None
    activated: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """A sequence of layers with its own scope."""

    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """A name for the output of the previous layer. It adds no node to the graph."""

    name: str


NamedLayer: TypeAlias = (
    Convolution | Depthwise | Separable | Pool | Normalisation | Block | Label
)
Layer: TypeAlias = NamedLayer | Concatenation | Residual


@dataclass(frozen=True, slots=True)
class Network:
    """The definition of a network.

    Attributes:
      name: the name of the network, as in the published table.
      scope: the outermost scope of the graph.
      layers: the rows of the network's table. Every end-point is one of the rows.
      end_points: the published names of the end-points, starting at the input. Each is
        the name of a row, with or without the scope as a prefix.
      year: the network's year in "Computing Receptive Fields of Convolutional Neural
        Networks" (Araujo et al., 2019). None if that paper gives no year.
      paper: the paper that proposed the network.
    """

    name: str
    scope: str
    layers: tuple[NamedLayer, ...]
    end_points: tuple[str, ...]
    year: int | None
    paper: str

    def end_point(self, name: str) -> str | None:
        """Returns the published name of an end-point, or None if it does not exist.

        The given name may include the scope or leave it out.
        """
        meant = (name, f"{self.scope}/{name}")
        return next((point for point in self.end_points if point in meant), None)
