"""Kernel, stride, dilation and padding of a single layer."""

from __future__ import annotations

from typing import NamedTuple


class LayerWindow(NamedTuple):
    """The parameters of a convolution or pooling layer on one axis of the input.

    Of a transposed convolution, they are the parameters of the convolution that it
    reverses: its output is ``stride`` times as large as its input.

    >>> import receptive_field as rf
    >>> field = rf.compute_receptive_field(
    ...     rf.EXAMPLE_GRAPH, output="InceptionResnetV2/Conv2d_1a_3x3/Conv2D"
    ... )
    >>> field.layer_windows[0]
    LayerWindow(kernel=3, stride=2, dilation=1, before=0, after=0, same=False)
    """

    kernel: int
    """The number of positions of the kernel."""
    stride: int
    dilation: int
    """The distance between neighbouring positions of the kernel."""
    before: int | None
    """The padding at the start of the axis (left or top), in positions of the layer's
    input. None if it depends on an unknown size. Negative if positions are cut off."""
    after: int | None
    """The padding at the end of the axis."""
    same: bool
    """Whether the padding is chosen to give ``ceil(size / stride)`` positions."""


LayerWindows = tuple[LayerWindow | None, ...]
"""The window of a layer on each spatial axis of the input, x first."""
