"""Rules for convolutions, and for pools with windows.

With ``padding="same"``, the extra position of an odd padding is at the end. With
``ceil_mode``, the last window of a pool may reach past the padded axis, unless it
starts in the padding behind it. Inputs may have no batch axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from receptive_field.algebra.axis_map import transposed_convolution
from receptive_field.algebra.sizes import Size, ceiling_division, divide, product
from receptive_field.frameworks.torch.ops.registry import (
    integers,
    place,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import ALL, SAME, Relation
from receptive_field.rules.flops import elements, multiply_adds, output_elements
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
      dimensions: the number of spatial axes, which are the last ones; None if the
        kernel says how many there are.
      outputs: the number of results, which all have the same shape.
    """

    def __init__(self, dimensions: int | None = None, outputs: int = 1) -> None:
        self.dimensions = dimensions
        self.outputs = outputs

    def count(self, call: Call) -> int:
        """Returns the number of spatial axes."""
        assert self.dimensions is not None
        return self.dimensions

    def axes(self, call: Call) -> tuple[int, ...]:
        """Returns the spatial axes. An input may have no batch axis."""
        rank, count = len(self.input_shape(call)), self.count(call)
        if rank not in (count + 1, count + 2):
            call.fail(f"requires an input of rank {count + 2}, not {rank}")
        return tuple(range(rank - count, rank))

    def batch(self, call: Call) -> int | None:
        """Returns the axis of the batch, or None if there is none."""
        return 0 if self.axes(call)[0] > 1 else None

    def channels(self, call: Call) -> int:
        """Returns the axis of the channels."""
        return self.axes(call)[0] - 1

    def input_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the input."""
        return call.known_shape(0)

    def kernel(self, call: Call) -> list[int]:
        """Returns the kernel size on each spatial axis."""
        return integers(call, "kernel_size", self.count(call))

    def strides(self, call: Call) -> list[int]:
        """Returns the stride on each spatial axis."""
        return integers(call, "stride", self.count(call), 1)

    def dilations(self, call: Call) -> list[int]:
        """Returns the dilation on each spatial axis."""
        return integers(call, "dilation", self.count(call), 1)

    def paddings(self, call: Call) -> list[tuple[int, int]]:
        """Returns the padding before and after each axis."""
        return [(pad, pad) for pad in integers(call, "padding", self.count(call), 0)]

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
        return Sliding(shape, axes, found, batch=self.batch(call))

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
        return [tuple(self.placed(call).sizes())] * self.outputs

    def op(self) -> Op:
        """Returns the rules."""
        return Op(self.relations, self.shapes, layout=self.layout, windows=self.windows)


# --- Convolutions --------------------------------------------------------------------


class Convolution(Family):
    """Convolutions with a kernel of shape (channels, channels of a group, *sizes)."""

    is_transposed = False
    """Whether the first axis of the kernel holds the channels of the input."""

    def filter_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the kernel."""
        rank = None if self.dimensions is None else self.dimensions + 2
        found = call.known_shape(place(call, "weight") or 1, rank)
        if len(found) < 3:
            call.fail(f"requires a kernel of rank 3 or more, not {len(found)}")
        return found

    def count(self, call: Call) -> int:
        """Returns the number of spatial axes."""
        return self.dimensions or len(self.filter_shape(call)) - 2

    def groups(self, call: Call) -> int:
        """Returns the number of groups of channels."""
        (group,) = integers(call, "groups", 1, 1)
        if group < 1:
            call.fail(f"has {group} groups of channels")
        return group

    def _check_channels(self, call: Call) -> None:
        """Raises an error if the channels do not fit the kernel."""
        outer, inner = self.filter_shape(call)[:2]
        channels = self.input_shape(call)[self.channels(call)]
        wanted = outer if self.is_transposed else inner * self.groups(call)
        if isinstance(channels, int) and isinstance(wanted, int) and channels != wanted:
            call.fail(
                f"takes {wanted} channels in {self.groups(call)} groups, but "
                f"{call.name(0)} has {channels}"
            )

    def kernel(self, call: Call) -> list[int]:
        """Returns the kernel size on each spatial axis."""
        self._check_channels(call)
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
            return [(0, 0)] * self.count(call)
        totals = [
            dilation * (size - 1)
            for dilation, size in zip(
                self.dilations(call), self.kernel(call), strict=True
            )
        ]
        return [(total // 2, total - total // 2) for total in totals]

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the inputs.

        A tensor that is added to the result has the shape of the result.
        """
        found = list(super().relations(call, output))
        added = place(call, "z")
        if added is not None:
            found[added] = SAME
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the output."""
        shape = self.placed(call).sizes()
        shape[self.channels(call)] = self.filter_shape(call)[0]
        return [tuple(shape)]

    def products(self, call: Call) -> Size:
        """Returns the number of products that are summed for each output element."""
        return product(self.filter_shape(call)[1:])

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product."""
        return multiply_adds(self.products(call) * output_elements(call), False)

    def zeros(self, call: Call) -> Zeros:
        """Returns how zeros pass: what is added makes all positions nonzero."""
        added = place(call, "bias") is not None or place(call, "z") is not None
        return Zeros.FILLED if added else Zeros.KEPT

    def op(self) -> Op:
        """Returns the rules."""
        return (
            super()
            .op()
            ._replace(
                products=self.products,
                flops=self.flops,
                taps=Taps.WEIGHTS,
                zeros=self.zeros,
            )
        )


class Transposed(Convolution):
    """Transposed convolutions. The kernel has the shape (inputs, channels, *sizes)."""

    is_transposed = True

    def output_sizes(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the output."""
        shape = list(self.input_shape(call))
        added = integers(call, "output_padding", self.count(call), 0)
        for axis, kernel, stride, dilation, (pad, _), more in zip(
            self.axes(call),
            self.kernel(call),
            self.strides(call),
            self.dilations(call),
            self.paddings(call),
            added,
            strict=True,
        ):
            extent = dilation * (kernel - 1) + 1
            size = (shape[axis] - 1) * stride - 2 * pad + extent + more
            if isinstance(size, int) and size < 1:
                call.fail(f"makes the feature map vanish: {size} positions on an axis")
            shape[axis] = size
        shape[self.channels(call)] = self.filter_shape(call)[1] * self.groups(call)
        return tuple(shape)

    def _placed(self, call: Call) -> Sliding:
        """Returns the windows of the convolution that this op reverses."""
        windows = [
            Window(size, stride, pad, 2 * pad, dilation)
            for size, stride, dilation, (pad, _) in zip(
                self.kernel(call),
                self.strides(call),
                self.dilations(call),
                self.paddings(call),
                strict=True,
            )
        ]
        shape, axes = self.output_sizes(call), self.axes(call)
        return Sliding(shape, axes, tuple(windows), batch=self.batch(call))

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the data, the kernel and the bias."""
        data = self.placed(call).relation(transposed_convolution)
        return [data, *[ALL] * (len(call) - 1)]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the output."""
        return [self.output_sizes(call)]

    def products(self, call: Call) -> Size:
        """Returns the largest number of products summed for an output element."""
        inner, _, *area = self.filter_shape(call)
        windows = (
            ceiling_division(size, stride)
            for size, stride in zip(area, self.strides(call), strict=True)
        )
        channels = divide(inner, self.groups(call)) or inner
        return product([channels, *windows])

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each pair of an input element and a weight."""
        _, *weights = self.filter_shape(call)
        return multiply_adds(elements(call) * product(weights), False)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(windows=None, stretched=self.windows)


class _Either:
    """The rules of ops with a flag that says whether a convolution is transposed."""

    def __init__(self) -> None:
        self.plain, self.turned = Convolution(), Transposed()

    def of(self, call: Call) -> Convolution:
        """Returns the rules of a call."""
        return self.turned if call.flag("transposed") else self.plain

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            lambda call, output: self.of(call).relations(call, output),
            lambda call: self.of(call).shapes(call),
            layout=lambda call: self.of(call).layout(call),
            windows=lambda call: (
                () if call.flag("transposed") else self.plain.windows(call)
            ),
            stretched=lambda call: (
                self.turned.windows(call) if call.flag("transposed") else ()
            ),
            products=lambda call: self.of(call).products(call),
            flops=lambda call: self.of(call).flops(call),
            taps=Taps.WEIGHTS,
            zeros=lambda call: self.of(call).zeros(call),
        )


class _TimeFirst(Convolution):
    """Convolutions over (time, batch, channels).

    The kernel has the shape (size, inputs, channels).
    """

    def axes(self, call: Call) -> tuple[int, ...]:
        """Returns the axis of time."""
        call.known_shape(0, 3)
        return (0,)

    def batch(self, call: Call) -> int | None:
        """Returns the axis of the batch."""
        return 1

    def channels(self, call: Call) -> int:
        """Returns the axis of the channels."""
        return 2

    def filter_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the kernel in the order of other convolutions."""
        size, inner, outer = call.known_shape(place(call, "weight") or 1, 3)
        return outer, inner, size

    def paddings(self, call: Call) -> list[tuple[int, int]]:
        """Returns the padding before and after the sequence."""
        (pad,) = integers(call, "pad", 1, 0)
        return [(pad, pad)]


for _count in (1, 2, 3):
    register(f"conv{_count}d", Convolution(_count).op())
    register(f"conv_transpose{_count}d", Transposed(_count).op())
register("convolution _convolution convolution_overrideable", _Either().op())
register("conv_tbc", _TimeFirst(1).op())
register(
    "cudnn_convolution cudnn_convolution_relu cudnn_convolution_add_relu "
    "miopen_convolution miopen_depthwise_convolution mkldnn_convolution "
    "slow_conv_dilated2d slow_conv_dilated3d slow_conv3d slow_conv3d_forward "
    "thnn_conv2d _slow_conv2d_forward _conv_depthwise2d conv_depthwise3d",
    Convolution().op(),
)
register(
    "cudnn_convolution_transpose slow_conv_transpose2d slow_conv_transpose3d",
    Transposed().op(),
)

# --- Pools ---------------------------------------------------------------------------


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

    def relation_above(self, call: Call) -> Relation:
        """Returns how the results of the windows follow the positions in them."""
        return self.placed(call).relation(transposed_convolution)

    def flops(self, call: Call) -> Flops:
        """Counts one operation for each position of each window."""
        area = product(self.kernel(call))
        return Flops.alike(area * output_elements(call), profiled=False)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(flops=self.flops)


for _count in (1, 2, 3):
    register(f"max_pool{_count}d quantized_max_pool{_count}d", Pooling(_count).op())
    register(f"max_pool{_count}d_with_indices", Pooling(_count, outputs=2).op())
    register(f"avg_pool{_count}d", Pooling(_count).op())
    weigh(f"avg_pool{_count}d", Taps.MEAN)
register("mkldnn_max_pool2d", Pooling(2).op())
register("mkldnn_max_pool3d", Pooling(3).op())

LARGEST = (
    "max_pool1d max_pool2d max_pool3d mkldnn_max_pool2d mkldnn_max_pool3d "
    "quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d"
)
weigh(LARGEST, Taps.WINNER)
WITH_PLACES = "max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices"
weigh(WITH_PLACES, Taps.WINNER, places=[1])
treat_zeros(f"{LARGEST} avg_pool1d avg_pool2d avg_pool3d", Zeros.KEPT)
treat_zeros(WITH_PLACES, Zeros.KEPT)
