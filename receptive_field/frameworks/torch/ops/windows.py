"""Rules for convolution and pooling.

With ``padding="same"``, the extra position of an odd padding is at the end. With
``ceil_mode``, the last window of a pool may reach past the padded axis, unless it
starts in the padding behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from receptive_field.algebra.sizes import Size, product
from receptive_field.frameworks.torch.ops.registry import (
    integers,
    place,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import ALL
from receptive_field.rules.flops import multiply_adds, output_elements
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Window,
    Zeros,
)
from receptive_field.rules.windows import Sliding, sliding_windows


class Family:
    """The base class for rules of ops with sliding windows.

    Args:
      dimensions: the number of spatial axes, which are the last ones.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions

    def axes(self, call: Call) -> tuple[int, ...]:
        """Returns the spatial axes. An input may have no batch axis."""
        rank, count = len(self.input_shape(call)), self.dimensions
        if rank not in (count + 1, count + 2):
            call.fail(f"requires an input of rank {count + 2}, not {rank}")
        return tuple(range(rank - count, rank))

    def input_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the input."""
        return call.known_shape(0)

    def kernel(self, call: Call) -> list[int]:
        """Returns the kernel size on each spatial axis."""
        return integers(call, "kernel_size", self.dimensions)

    def strides(self, call: Call) -> list[int]:
        """Returns the stride on each spatial axis."""
        return integers(call, "stride", self.dimensions, 1)

    def dilations(self, call: Call) -> list[int]:
        """Returns the dilation on each spatial axis."""
        return integers(call, "dilation", self.dimensions, 1)

    def paddings(self, call: Call) -> list[tuple[int, int]]:
        """Returns the padding before and after each axis."""
        return [(pad, pad) for pad in integers(call, "padding", self.dimensions, 0)]

    def placed(self, call: Call) -> Sliding:
        """Returns the windows."""
        return call.once(partial(self._placed, call))

    def _placed(self, call: Call) -> Sliding:
        axes, shape = self.axes(call), self.input_shape(call)
        sizes = [shape[axis] for axis in axes]
        try:
            found = sliding_windows(
                sizes,
                self.kernel(call),
                self.strides(call),
                self.dilations(call),
                self.paddings(call),
            )
        except ValueError as error:
            call.fail(str(error))
        return Sliding(shape, axes, found)

    def windows(self, call: Call) -> tuple[Window, ...]:
        """Returns the window on each spatial axis."""
        return self.placed(call).windows

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input and its spatial axes."""
        return 0, self.axes(call)

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the data and to all other inputs."""
        return [self.placed(call).relation(), *[ALL] * (len(call) - 1)]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the outputs."""
        return [tuple(self.placed(call).sizes())]

    def op(self) -> Op:
        """Returns the rules."""
        return Op(self.relations, self.shapes, layout=self.layout, windows=self.windows)


class Convolution(Family):
    """Convolutions with a kernel of shape (channels, channels of a group, *sizes)."""

    def filter_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the kernel."""
        return call.known_shape(place(call, "weight") or 1, self.dimensions + 2)

    def kernel(self, call: Call) -> list[int]:
        """Returns the kernel size on each spatial axis."""
        sizes = self.filter_shape(call)[2:]
        known = [size for size in sizes if isinstance(size, int)]
        if len(known) < len(sizes):
            call.fail("has a kernel of unknown size")
        return known

    def paddings(self, call: Call) -> list[tuple[int, int]]:
        """Returns the padding before and after each axis."""
        kind = call.attribute("padding")
        if not isinstance(kind, str):
            return super().paddings(call)
        if kind not in ("same", "valid"):
            call.fail(f"has padding {kind!r}, which is neither 'same' nor 'valid'")
        if kind == "valid":
            return [(0, 0)] * self.dimensions
        totals = [
            dilation * (size - 1)
            for dilation, size in zip(
                self.dilations(call), self.kernel(call), strict=True
            )
        ]
        return [(total // 2, total - total // 2) for total in totals]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the output."""
        shape = self.placed(call).sizes()
        shape[self.axes(call)[0] - 1] = self.filter_shape(call)[0]
        return [tuple(shape)]

    def products(self, call: Call) -> Size:
        """Returns the number of products that are summed for each output element."""
        return product(self.filter_shape(call)[1:])

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product."""
        return multiply_adds(self.products(call) * output_elements(call), False)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(products=self.products, flops=self.flops)


class Pooling(Family):
    """Pooling. The stride is the kernel size unless it is stated."""

    def strides(self, call: Call) -> list[int]:
        """Returns the stride on each spatial axis."""
        if not call.attribute("stride"):
            return self.kernel(call)
        return super().strides(call)

    def paddings(self, call: Call) -> list[tuple[int, int]]:
        """Returns the padding before and after each axis.

        A window that reaches past the padding behind an axis is the same as more
        padding: ``stride - 1`` positions, but not so many that a window starts behind
        the axis.
        """
        found = super().paddings(call)
        if not call.flag("ceil_mode"):
            return found
        return [
            (before, min(after + stride - 1, dilation * (size - 1)))
            for (before, after), stride, dilation, size in zip(
                found,
                self.strides(call),
                self.dilations(call),
                self.kernel(call),
                strict=True,
            )
        ]

    def flops(self, call: Call) -> Flops:
        """Counts one operation for each position of each window."""
        area = product(self.kernel(call))
        return Flops.alike(area * output_elements(call), profiled=False)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(flops=self.flops)


for _count in (1, 2, 3):
    register(f"conv{_count}d", Convolution(_count).op())
    weigh(f"conv{_count}d", Taps.WEIGHTS)
    treat_zeros(f"conv{_count}d", Zeros.SUM)
    register(f"max_pool{_count}d", Pooling(_count).op())
    weigh(f"max_pool{_count}d", Taps.WINNER)
    treat_zeros(f"max_pool{_count}d", Zeros.KEPT)
    register(f"avg_pool{_count}d", Pooling(_count).op())
    weigh(f"avg_pool{_count}d", Taps.MEAN)
    treat_zeros(f"avg_pool{_count}d", Zeros.KEPT)
