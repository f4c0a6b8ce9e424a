"""The vocabulary of the zoo: what a network is made of, as plain data.

A network is a sequence of layers; the words below are all that its table may use.
This file knows neither TensorFlow nor any network.

Layers with a name open a scope of that name in the graph; `Concatenation` and
`Residual` belong to the scope they stand in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kernel = tuple[int, int]
"""Height and width."""

Padding = Literal["SAME", "VALID", "PAD"]
"""TensorFlow's two words, or an explicit Pad node followed by VALID.

``PAD`` puts (k - 1) // 2 zeros before and the rest of k - 1 after each axis, whatever
the size of the input; SAME depends on that size where the stride is not 1.
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
      normalised: batch normalisation stands in the place of the bias.
      activated: a ReLU follows.
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
    """One SAME filter for every channel of its input, then bias and ReLU."""

    name: str
    kernel: Kernel
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Separable:
    """`multiplier` SAME filters a channel, a 1x1 convolution, bias and ReLU."""

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
    """Every part reads the same tensor; their outputs are joined over channels."""

    parts: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Residual:
    """The shortcut plus the body, then ReLU.

    Attributes:
      body: the layers of the residual branch.
      shortcut: the layers of the other one; none of them is the identity.
      scale: the body is multiplied by it before the addition; None leaves it out.
      activated: a ReLU follows.
    """

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()
    scale: float | None = None
    activated: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """Layers one after another in a scope of their own."""

    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """Another name for the tensor that is reached here; it adds no node."""

    name: str


NamedLayer: TypeAlias = (
    Convolution | Depthwise | Separable | Pool | Normalisation | Block | Label
)
Layer: TypeAlias = NamedLayer | Concatenation | Residual


@dataclass(frozen=True, slots=True)
class Network:
    """The definition of a network.

    Attributes:
      name: as in the published table.
      scope: the outermost scope of its graph.
      layers: the table; every end-point is one of these rows.
      end_points: the published names of end-points, from the input on: the name of
        a row, with or without the scope in front.
      year: the model's year as given in "Computing Receptive Fields of Convolutional
        Neural Networks" (Araujo et al., 2019); None where it is not given there.
      paper: where the network was proposed.
    """

    name: str
    scope: str
    layers: tuple[NamedLayer, ...]
    end_points: tuple[str, ...]
    year: int | None
    paper: str

    def end_point(self, name: str) -> str | None:
        """The end-point that is meant, with or without the scope in front."""
        meant = (name, f"{self.scope}/{name}")
        return next((point for point in self.end_points if point in meant), None)
