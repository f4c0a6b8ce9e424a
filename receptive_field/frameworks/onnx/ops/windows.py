"""Rules for convolution and pooling.

Windows have onnxruntime's arithmetic. With ``auto_pad``, SAME_UPPER and SAME_LOWER give
``ceil(size / stride)`` positions, and put the extra position of an odd padding after or
before the axis. For a pool, this padding leaves the dilation out of account, so a
dilated pool has fewer positions. With ``ceil_mode``, the last window of a pool may
reach past the padded axis, unless it starts in the padding behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from receptive_field.algebra.axis_map import ANYWHERE, transposed_convolution
from receptive_field.algebra.sizes import Size, ceiling_division, divide, product
from receptive_field.frameworks.onnx.ops.registry import (
    count,
    is_given,
    register,
    treat_zeros,
    weigh,
    with_sums,
)
from receptive_field.relations.relation import ALL, SAME, whole, with_bounds
from receptive_field.rules.flops import (
    elements,
    multiply_adds,
    output_elements,
    reduction,
)
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
from receptive_field.rules.reductions import reduced
from receptive_field.rules.windows import Sliding, sliding_windows


class Family:
    """The base class for rules of ops with sliding windows.

    Args:
      kernel: the number of the input with the kernel; None for pools.
      channels_last: whether the channels come last; None if an attribute says so.
      bias: the number of the input with the bias; None if the op takes none.
    """

    is_transposed = False
    """Whether the first axis of the kernel holds the channels of the input."""
    least_padding: int | None = 0
    """The smallest SAME padding; None if a stride longer than the kernel makes it
    negative."""
    pads_undilated = False
    """Whether SAME padding is that of the kernel without its dilation."""

    def __init__(
        self,
        kernel: int | None = None,
        channels_last: bool | None = False,
        bias: int | None = None,
    ) -> None:
        self.kernel_input = kernel
        self.channels_last = channels_last
        self.bias = bias

    def axes(self, call: Call) -> tuple[int, ...]:
        """Returns the spatial axes."""
        rank = len(self.input_shape(call))
        if rank < 3:
            call.fail(f"requires an input of rank 3 or more, not {rank}")
        return tuple(range(1, rank - 1) if self._is_last(call) else range(2, rank))

    def input_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the input, whose rank follows from the kernel."""
        shape = call.shape(0)
        if shape is not None:
            return shape
        stated = call.numbers("kernel_shape") or []
        filters = self.kernel_input and call.shape(self.kernel_input)
        rank = len(filters) if filters else len(stated) + 2 if stated else None
        return call.known_shape(0, rank)

    def _is_last(self, call: Call) -> bool:
        if self.channels_last is None:
            return bool(call.number("channels_last", 0))
        return self.channels_last

    def filter_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the kernel: channels, channels of a group, positions."""
        assert self.kernel_input is not None
        shape = call.shape(self.kernel_input)
        rank = len(self.input_shape(call))
        if shape is None or len(shape) != rank:
            call.fail(
                f"requires a kernel of rank {rank}, but the shape of "
                f"{call.name(self.kernel_input)} is "
                f"{'unknown' if shape is None else list(shape)}"
            )
        return shape

    def kernel(self, call: Call) -> list[int]:
        """Returns the kernel size on each spatial axis."""
        stated = call.numbers("kernel_shape")
        if self.kernel_input is not None:
            self._check_channels(call)
            sizes = list(self.filter_shape(call)[2:])
            known = [size for size in sizes if isinstance(size, int)]
            if len(known) == len(sizes):
                if stated and list(stated) != known:
                    call.fail(
                        f"states the kernel_shape {stated} for a kernel of {known}"
                    )
                return known
        if not stated:
            call.fail("has a kernel of unknown size")
        return list(stated)

    def _check_channels(self, call: Call) -> None:
        """Raises an error if the channels do not fit the kernel."""
        shape, (outer, inner) = self.input_shape(call), self.filter_shape(call)[:2]
        channels, group = shape[-1 if self._is_last(call) else 1], self.groups(call)
        wanted = outer if self.is_transposed else inner * group
        if isinstance(channels, int) and isinstance(wanted, int) and channels != wanted:
            call.fail(
                f"takes {wanted} channels in {group} groups, but "
                f"{call.name(0)} has {channels}"
            )

    def groups(self, call: Call) -> int:
        """Returns the number of groups of channels."""
        group = call.number("group", 1)
        if group < 1:
            call.fail(f"has {group} groups of channels")
        return group

    def per_axis(self, call: Call, name: str, default: int, count: int) -> list[int]:
        """Returns a list with one number for each spatial axis."""
        found = call.numbers(name)
        if not found:
            return [default] * count
        if len(found) != count:
            call.fail(f"has {len(found)} {name} for {count} spatial axes")
        return list(found)

    def paddings(self, call: Call, count: int) -> list[tuple[int, int]] | None:
        """Returns the padding before and after each axis; None for SAME padding."""
        kind = call.text("auto_pad", "NOTSET") or "NOTSET"
        if kind in ("SAME_UPPER", "SAME_LOWER"):
            return None
        if kind not in ("NOTSET", "VALID"):
            call.fail(
                f"has auto_pad {kind!r}, which is not NOTSET, VALID, SAME_UPPER or "
                "SAME_LOWER"
            )
        pads = call.numbers("pads") if kind == "NOTSET" else None
        if not pads:
            return [(0, 0)] * count
        if len(pads) != 2 * count:
            call.fail(f"has {len(pads)} pads for {count} spatial axes")
        return list(zip(pads[:count], pads[count:], strict=True))

    def placed(self, call: Call) -> Sliding:
        """Returns the windows."""
        return call.once(partial(self._placed, call))

    def _placed(self, call: Call) -> Sliding:
        axes, shape = self.axes(call), self.input_shape(call)
        kernel = self.kernel(call)
        if len(kernel) != len(axes):
            call.fail(f"has a kernel of {len(kernel)} axes for {len(axes)} axes")
        strides, dilations = (
            self.per_axis(call, name, 1, len(axes)) for name in ("strides", "dilations")
        )
        paddings = self.paddings(call, len(axes))
        lower = call.text("auto_pad", "NOTSET") == "SAME_LOWER"
        sizes = [shape[axis] for axis in axes]
        try:
            found = sliding_windows(
                sizes,
                kernel,
                strides,
                dilations,
                paddings,
                self.least_padding,
                lower,
                undilated=self.pads_undilated,
                rounds_up=self._rounds_up(call),
            )
        except ValueError as error:
            call.fail(str(error))
        return Sliding(shape, axes, found)

    def _rounds_up(self, call: Call) -> bool:
        """Returns whether windows may reach past the padding behind an axis."""
        return self.kernel_input is None and bool(call.number("ceil_mode", 0))

    def windows(self, call: Call) -> tuple[Window, ...]:
        """Returns the window on each spatial axis."""
        return self.placed(call).windows

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input and its spatial axes."""
        return 0, self.axes(call)

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the data and to all other inputs."""
        data = self.placed(call).relation()
        return [data, *[ALL] * (len(call) - 1)]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the outputs."""
        return [tuple(self.placed(call).sizes())]

    def op(self) -> Op:
        """Returns the rules."""
        return Op(self.relations, self.shapes, layout=self.layout, windows=self.windows)


class Pooling(Family):
    """Pooling. A second output holds the places of the largest values."""

    least_padding = None
    pads_undilated = True

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the outputs."""
        (shape,) = super().shapes(call)
        return [shape] * 2

    def flops(self, call: Call) -> Flops:
        """Counts one operation for each position of each window."""
        area = product(self.kernel(call))
        return Flops.alike(area * output_elements(call), profiled=False)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(flops=self.flops)


class Averaging(Pooling):
    """Pooling by averages."""

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relation to the data.

        It is an upper bound if windows are dilated and their SAME padding is negative:
        onnxruntime then leaves out positions of them at the end of the axis.
        """
        (data, *rest), sliding = super().relations(call, output), self.placed(call)
        assert data is not None
        cut = [
            axis
            for axis, w in zip(sliding.axes, sliding.windows, strict=True)
            if w.follows_size and w.dilation > 1 and w.stride > w.kernel
        ]
        return [with_bounds(data, cut), *rest]


class Convolution(Family):
    """Convolutions with a kernel of shape (channels, channels of a group, *sizes)."""

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the output."""
        shape = self.placed(call).sizes()
        shape[-1 if self._is_last(call) else 1] = self.filter_shape(call)[0]
        return [tuple(shape)]

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the inputs.

        An input that is added to the result has its shape.
        """
        found = list(super().relations(call, output))
        return [
            SAME if number == self.added(call) else relation
            for number, relation in enumerate(found)
        ]

    def added(self, call: Call) -> int | None:
        """Returns the number of an input that is added to the result, or None."""
        return None

    def products(self, call: Call) -> Size:
        """Returns the number of products that are summed for each output element."""
        return product(self.filter_shape(call)[1:])

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product, and all additions to the result."""
        number = self.products(call) * output_elements(call)
        return self._with_sums(call, multiply_adds(number, False))

    def _with_sums(self, call: Call, flops: Flops) -> Flops:
        added = [n for n in (self.bias, self.added(call)) if n is not None]
        return with_sums(call, flops, *added)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(products=self.products, flops=self.flops)


class FusedConvolution(Convolution):
    """Convolutions that add a tensor, the fourth input, before an activation."""

    def added(self, call: Call) -> int | None:
        """Returns the number of the input that is added to the result."""
        return 3 if is_given(call, 3) else None


register("Conv", Convolution(1, bias=2).op())
register("ConvInteger", Convolution(1).op())
register("QLinearConv", Convolution(3, bias=8).op())
register("com.microsoft.FusedConv", FusedConvolution(1, bias=2).op())
register("com.microsoft.NhwcFusedConv", FusedConvolution(1, True, bias=2).op())
register("com.microsoft.NhwcConv", Convolution(1, channels_last=True, bias=2).op())
register("com.microsoft.QLinearConv", Convolution(3, channels_last=None, bias=8).op())
register("MaxPool LpPool", Pooling().op())
register("AveragePool", Averaging().op())
register("com.microsoft.NhwcMaxPool", Pooling(channels_last=True).op())
register("com.microsoft.QLinearAveragePool", Averaging(channels_last=None).op())


# --- Transposed convolutions ---------------------------------------------------------


class Transposed(Convolution):
    """Transposed convolutions. The kernel has the shape (inputs, channels, *sizes)."""

    is_transposed = True

    def _outer(self, call: Call) -> list[tuple[Size, int | None, int]]:
        """Returns each axis's size of the output, and the padding at both of its ends.

        The padding is None if it depends on an unknown size.
        """
        axes, shape = self.axes(call), self.input_shape(call)
        kernel, count = self.kernel(call), len(axes)
        strides, dilations, added = (
            self.per_axis(call, name, default, count)
            for name, default in (
                ("strides", 1),
                ("dilations", 1),
                ("output_padding", 0),
            )
        )
        stated: Sequence[int | None] = call.numbers("output_shape") or [None] * count
        stated = stated[-count:]
        kind = call.text("auto_pad", "NOTSET")
        paddings = self.paddings(call, count)
        found: list[tuple[Size, int | None, int]] = []
        for place, axis in enumerate(axes):
            step, extent = strides[place], dilations[place] * (kernel[place] - 1) + 1
            whole = step * (shape[axis] - 1) + added[place] + extent
            size, pair = stated[place], (0, 0) if paddings is None else paddings[place]
            if size is None and paddings is not None:
                found.append((whole - sum(pair), pair[0], sum(pair)))
                continue
            target = shape[axis] * step if size is None else size
            total = whole - target
            if not isinstance(total, int):
                found.append((target, None, 0))
                continue
            total = max(total, 0)
            upper = kind == "SAME_UPPER"
            before = total // 2 if upper else total - total // 2
            found.append((whole - total if size is None else size, before, total))
        return found

    def output_sizes(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the output."""
        shape = list(self.input_shape(call))
        for axis, (size, _, _) in zip(self.axes(call), self._outer(call), strict=True):
            if isinstance(size, int) and size < 1:
                call.fail(f"makes the feature map vanish: {size} positions on an axis")
            shape[axis] = size
        shape[1] = self.filter_shape(call)[1] * self.groups(call)
        return tuple(shape)

    def _placed(self, call: Call) -> Sliding:
        """Returns the windows of the convolution that this op reverses."""
        kernel, axes = self.kernel(call), self.axes(call)
        strides, dilations = (
            self.per_axis(call, name, 1, len(axes)) for name in ("strides", "dilations")
        )
        windows = [
            Window(size, stride, before, None if before is None else total, dilation)
            for size, stride, dilation, (_, before, total) in zip(
                kernel, strides, dilations, self._outer(call), strict=True
            )
        ]
        return Sliding(self.output_sizes(call), axes, tuple(windows))

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the data, the kernel and the bias."""
        sliding = self.placed(call)
        data = Sliding(
            sliding.shape,
            sliding.axes,
            tuple(w._replace(padding=w.padding or 0) for w in sliding.windows),
        ).relation(transposed_convolution)
        unknown = [
            axis
            for axis, w in zip(sliding.axes, sliding.windows, strict=True)
            if w.padding is None
        ]
        axes = [
            whole([axis], ANYWHERE) if axis in unknown else followed
            for axis, followed in enumerate(data.axes)
        ]
        data = data._replace(axes=tuple(axes))
        return [data, *[ALL] * (len(call) - 1)]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the output."""
        return [self.output_sizes(call)]

    def products(self, call: Call) -> Size:
        """Returns the largest number of products summed for an output element."""
        inner, _, *area = self.filter_shape(call)
        strides = self.per_axis(call, "strides", 1, len(area))
        windows = (
            ceiling_division(size, stride)
            for size, stride in zip(area, strides, strict=True)
        )
        channels = divide(inner, self.groups(call)) or inner
        return product([channels, *windows])

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each pair of an input element and a weight."""
        _, *weights = self.filter_shape(call)
        found = multiply_adds(elements(call) * product(weights), False)
        return self._with_sums(call, found)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(windows=None, stretched=self.windows)


class PaddedByInput(Transposed):
    """Transposed convolutions whose padding is an input."""

    def paddings(self, call: Call, count: int) -> list[tuple[int, int]] | None:
        """Returns the padding before and after each axis."""
        if not is_given(call, 2):
            return super().paddings(call, count)
        pads = call.integers(2)
        if pads is None or not all(isinstance(pad, int) for pad in pads):
            call.fail("has pads of unknown size")
        if len(pads) != 2 * count:
            call.fail(f"has {len(pads)} pads for {count} spatial axes")
        known = [int(pad) for pad in pads]  # type: ignore[arg-type]
        return list(zip(known[:count], known[count:], strict=True))


register("ConvTranspose", Transposed(1, bias=2).op())
register("com.microsoft.ConvTransposeWithDynamicPads", PaddedByInput(1, bias=3).op())


# --- Pools over whole maps -----------------------------------------------------------


def _global(call: Call, output: int) -> Relations:
    rank = len(call.known_shape(0))
    return [reduced(rank, range(2, rank), keeps=True)]


def _global_shape(call: Call) -> Sequence[Shape]:
    shape = call.known_shape(0)
    return [(*shape[:2], *[1] * (len(shape) - 2))]


def _global_layout(call: Call) -> tuple[int, Sequence[int]]:
    return 0, range(2, len(call.known_shape(0)))


register(
    "GlobalAveragePool GlobalMaxPool GlobalLpPool",
    Op(_global, _global_shape, layout=_global_layout),
)

# --- Weights of positions, zeros and operations --------------------------------------

weigh(
    "Conv ConvInteger QLinearConv com.microsoft.FusedConv com.microsoft.NhwcFusedConv "
    "com.microsoft.NhwcConv com.microsoft.QLinearConv ConvTranspose "
    "com.microsoft.ConvTransposeWithDynamicPads",
    Taps.WEIGHTS,
)
weigh("MaxPool com.microsoft.NhwcMaxPool GlobalMaxPool", Taps.WINNER)
weigh("AveragePool com.microsoft.QLinearAveragePool GlobalAveragePool", Taps.MEAN)
treat_zeros("MaxPool AveragePool GlobalAveragePool GlobalMaxPool", Zeros.KEPT)


def _biased(call: Call) -> Zeros:
    """Returns how zeros pass: a bias makes all positions nonzero."""
    return Zeros.FILLED if is_given(call, 2) else Zeros.KEPT


treat_zeros("Conv ConvTranspose", _biased)
count("GlobalAveragePool", reduction(last=1, profiled=False))
count("GlobalMaxPool", reduction(profiled=False))
