"""The kinds of layers in the zoo, as plain data.

A network is a sequence of layers. Its table may use only the kinds of layers defined
below. This file contains no networks, and does not use TensorFlow.

A layer with a name opens a scope with that name in the graph. `Concatenation` and
`Residual` belong to the scope that contains them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kernel = tuple[int, int]
"""Height and width."""

Padding = Literal["SAME", "VALID", "PAD"]
"""TensorFlow's two paddings, or an explicit Pad node followed by VALID.

``PAD`` puts (k - 1) // 2 zeros before each axis and the rest of k - 1 after it, for
inputs of any size. SAME depends on the size if the stride is not 1.
"""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution, its bias (or batch normalisation) and its ReLU.

    Attributes:
      name: the scope of its nodes.
      filters: the number of output channels.
      kernel: height and width.
      stride: the same on both axes.
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
    """A convolution with one SAME filter for each input channel, then bias and ReLU."""

    name: str
    kernel: Kernel
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Separable:
    """`multiplier` SAME filters for each channel, a 1x1 convolution, bias and ReLU."""

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
    """Batch normalisation at inference, and ReLU (a pre-activation)."""

    name: str


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Parts that read the same tensor. Their outputs are joined along the channels."""

    parts: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Residual:
    """The sum of shortcut and body, then ReLU.

    Attributes:
      body: the layers of the residual branch.
      shortcut: the layers of the other branch. If empty, it is the identity.
      scale: the factor of the body in the sum. None means no factor.
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
    """Another name for the tensor at this place. It adds no node."""

    name: str


NamedLayer: TypeAlias = (
    Convolution | Depthwise | Separable | Pool | Normalisation | Block | Label
)
Layer: TypeAlias = NamedLayer | Concatenation | Residual


@dataclass(frozen=True, slots=True)
class Network:
    """The definition of a network.

    Attributes:
      name: the name in the published table.
      scope: the outermost scope of its graph.
      layers: the table. Every end-point is one of its rows.
      end_points: the published names of end-points, starting at the input. Each is the
        name of a row, with or without the scope in front.
      year: the year of the model in "Computing Receptive Fields of Convolutional Neural
        Networks" (Araujo et al., 2019). None if the paper does not give it.
      paper: the paper that proposed the network.
    """

    name: str
    scope: str
    layers: tuple[NamedLayer, ...]
    end_points: tuple[str, ...]
    year: int | None
    paper: str

    def end_point(self, name: str) -> str | None:
        """Returns the end-point with this name, with or without the scope in front."""
        meant = (name, f"{self.scope}/{name}")
        return next((point for point in self.end_points if point in meant), None)
