"""Rules for convolution and pooling ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache, partial

from receptive_field.algebra.axis_map import INFINITY
from receptive_field.algebra.sizes import Size, divide, product
from receptive_field.frameworks.tensorflow.attributes import data_format
from receptive_field.frameworks.tensorflow.ops.registry import (
    count,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import ALL, Relation, follow
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
from receptive_field.rules.windows import (
    Sliding,
    fractional,
    fractional_sizes,
    sliding_windows,
    transposed,
)


@lru_cache(maxsize=32)
def spatial_axes(data_format: str) -> tuple[int, ...]:
    """Returns the axes of (depth,) height and width in a layout such as NHWC."""
    return tuple(axis for axis, letter in enumerate(data_format) if letter in "DHW")


def _paddings(call: Call, axes: Sequence[int]) -> list[tuple[int, int]] | None:
    """Returns the padding before and after each axis, or None for SAME padding."""
    padding = call.text("padding", "VALID")
    if padding == "SAME":
        return None
    if padding == "EXPLICIT":
        listed = call.numbers("explicit_paddings") or []
        if len(listed) < 2 * max(axes) + 2:
            call.fail(
                "has EXPLICIT padding, but its explicit_paddings do not cover every "
                "axis"
            )
        return [(listed[2 * axis], listed[2 * axis + 1]) for axis in axes]
    if padding != "VALID":
        call.fail(f"has padding {padding!r}, which is not SAME, VALID or EXPLICIT")
    return [(0, 0)] * len(axes)


def _per_axis(call: Call, name: str, axes: Sequence[int], rank: int) -> list[int]:
    values = call.numbers(name) or [1] * rank
    if len(values) != rank:
        call.fail(f"has {len(values)} {name} for an input of rank {rank}")
    return list(map(values.__getitem__, axes))


class Family:
    """The base class for rules of ops with sliding windows."""

    least_padding: int | None = 0

    def __init__(self, rank: int, kernel: Callable[[Call, Sequence[int]], list[Size]]):
        self.rank = rank
        self.kernel = kernel

    def axes(self, call: Call) -> tuple[int, ...]:
        """Returns the spatial axes of the input."""
        default = {3: "NWC", 4: "NHWC", 5: "NDHWC"}[self.rank]
        layout = data_format(call, default)
        axes = spatial_axes(layout)
        if len(axes) != self.rank - 2:
            call.fail(f"has the data_format {layout}, but {self.rank - 2} spatial axes")
        return axes

    def input_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the tensor that the windows slide over."""
        vectorised = "VECT" in data_format(call)
        return call.known_shape(0, self.rank + vectorised)

    def windows(self, call: Call) -> tuple[Window, ...]:
        """Returns the window on each spatial axis."""
        return self.placed(call).windows

    def placed(self, call: Call) -> Sliding:
        """Returns the windows and their axes."""
        return call.once(partial(self._placed, call))

    def _placed(self, call: Call) -> Sliding:
        axes, shape = self.axes(call), self.input_shape(call)
        stated = self.kernel(call, axes)
        strides = self.strides(call, axes, len(shape))
        dilations = self.dilations(call, axes, len(shape))
        kernel = [size for size in stated if isinstance(size, int)]
        if len(kernel) < len(stated):
            size = next(size for size in stated if not isinstance(size, int))
            call.fail(f"has a kernel of unknown size: {size}")
        sizes = [shape[axis] for axis in axes]
        paddings, least = self.paddings(call, axes), self.least_padding
        try:
            found = sliding_windows(sizes, kernel, strides, dilations, paddings, least)
        except ValueError as error:
            call.fail(str(error))
        return Sliding(shape, axes, found)

    def paddings(
        self, call: Call, axes: Sequence[int]
    ) -> Sequence[tuple[int, int]] | None:
        """Returns the padding around each axis, or None for SAME padding."""
        return _paddings(call, axes)

    def strides(self, call: Call, axes: Sequence[int], rank: int) -> list[int]:
        """Returns the stride on each spatial axis."""
        return _per_axis(call, "strides", axes, rank)

    def dilations(self, call: Call, axes: Sequence[int], rank: int) -> list[int]:
        """Returns the dilation on each spatial axis."""
        return _per_axis(call, "dilations", axes, rank)

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations of an output to all inputs."""
        return [self.placed(call).relation(), *[ALL] * (len(call) - 1)]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the outputs."""
        sliding = self.placed(call)
        shape = sliding.sizes()
        channel = self.channels(call)
        if channel is not None and len(shape) == self.rank:
            shape[-1 if sliding.axes[0] == 1 else 1] = channel
        return [tuple(shape)]

    def channels(self, call: Call) -> Size | None:
        """Returns the number of output channels; None if it is that of the input."""
        return None

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input, and its spatial axes."""
        return 0, self.axes(call)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(self.relations, self.shapes, layout=self.layout, windows=self.windows)


def filter_shape(call: Call, number: int, rank: int) -> tuple[Size, ...]:
    """Returns the shape of a kernel, which must have this rank."""
    shape = call.shape(number)
    if shape is None:
        call.fail(
            f"has a kernel of unknown shape: {call.name(number)} does not state its "
            "shape. Save the graph with shapes (as_graph_def(add_shapes=True)), or "
            "freeze the graph"
        )
    if len(shape) != rank:
        call.fail(
            f"requires a kernel of rank {rank}, but {call.name(number)} has rank "
            f"{len(shape)}"
        )
    return shape


class Convolution(Family):
    """Convolutions.

    The second input is the kernel, whose axes are the spatial axes, the input channels
    and the output channels.
    """

    def __init__(self, rank: int, depthwise: bool = False, fused: bool = False):
        super().__init__(rank, self._kernel)
        self.depthwise = depthwise
        self.fused = fused  # Whether the op also adds a bias or another tensor.

    def _kernel(self, call: Call, axes: Sequence[int]) -> list[Size]:
        return list(filter_shape(call, 1, self.rank)[: len(axes)])

    def channels(self, call: Call) -> Size:
        """Returns the number of output channels; None if it is that of the input."""
        *_, inner, outer = filter_shape(call, 1, self.rank)
        return inner * outer if self.depthwise else outer

    def products(self, call: Call) -> Size:
        """Returns the number of products that are summed for each output element.

        A depthwise kernel sums over positions. Other kernels also sum over channels.
        """
        *positions, inner, _ = filter_shape(call, 1, self.rank)
        return product(positions if self.depthwise else [*positions, inner])

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(products=self.products, flops=self.flops)

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product, and the additions of fused inputs."""
        number = self.products(call) * output_elements(call)
        if not self.fused:
            return multiply_adds(number)
        added = max(len(call) - 2, 0) * output_elements(call)
        return multiply_adds(number, profiled=False).plus(added)


class Pooling(Family):
    """Pooling. Kernel and strides are attributes, or the second and third inputs."""

    def __init__(self, rank: int):
        super().__init__(rank, self._kernel)

    def _kernel(self, call: Call, axes: Sequence[int]) -> list[Size]:
        return self._sizes(call, "ksize", 1, axes)

    def strides(self, call: Call, axes: Sequence[int], rank: int) -> list[int]:
        """Returns the stride on each spatial axis."""
        return [int(v) for v in self._sizes(call, "strides", 2, axes)]  # type: ignore[arg-type]

    def _sizes(
        self, call: Call, name: str, number: int, axes: Sequence[int]
    ) -> list[Size]:
        values: Sequence[Size] | None = call.numbers(name)
        if values is None:
            values = call.integers(number) if len(call) > number else None
        if values is None or not all(isinstance(v, int) for v in values):
            call.fail(f"has unknown values of {name}")
        rank = len(self.input_shape(call))
        if len(values) != rank:
            call.fail(
                f"has {len(values)} entries of {name} for an input of rank {rank}"
            )
        return [values[axis] for axis in axes]

    def flops(self, call: Call) -> Flops:
        """Counts one operation for each position of each window.

        The profiler only has a formula for two-dimensional pooling ops whose channels
        come last and whose kernel size is an attribute.
        """
        first = data_format(call).startswith("NC")
        known = self.rank == 4 and call.node.has("ksize") and not first
        area = product(self._kernel(call, self.axes(call)))
        return Flops.alike(area * output_elements(call), profiled=known)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(flops=self.flops)


for _fused, _prefix in enumerate(("", "_Fused")):
    register(f"{_prefix}Conv2D", Convolution(4, fused=bool(_fused)).op())
    register(f"{_prefix}Conv3D", Convolution(5, fused=bool(_fused)).op())
    register(
        f"{_prefix}DepthwiseConv2dNative",
        Convolution(4, depthwise=True, fused=bool(_fused)).op(),
    )
register("MaxPool MaxPoolV2 AvgPool MaxPoolWithArgmax", Pooling(4).op())
count("MaxPoolWithArgmax", lambda call: Pooling(4).flops(call)._replace(profiled=None))
register("MaxPool3D AvgPool3D", Pooling(5).op())


class _Quantized(Convolution):
    """Quantised convolutions.

    Additional inputs are the ranges of the data and the kernel. Two additional outputs
    are the range of the result, which does not depend on the data.
    """

    def relations(self, call: Call, output: int) -> Relations:
        data, *rest = super().relations(call, output)
        return [None if output else data, *rest]

    def shapes(self, call: Call) -> Sequence[Shape]:
        return [*super().shapes(call), (), ()]

    def flops(self, call: Call) -> Flops:
        return multiply_adds(self.products(call) * output_elements(call), False)


class _QuantizedPooling(Pooling):
    """Quantised pooling ops, which return the range of their input unchanged."""

    def relations(self, call: Call, output: int) -> Relations:
        data, *ranges = super().relations(call, output)
        if output == 0:
            return [data, *[None] * len(ranges)]
        return [None, *(r if i == output - 1 else None for i, r in enumerate(ranges))]

    def shapes(self, call: Call) -> Sequence[Shape]:
        return [*super().shapes(call), (), ()]

    def flops(self, call: Call) -> Flops:
        return super().flops(call)._replace(profiled=None)


register(
    "QuantizedConv2D QuantizedConv2DAndRequantize QuantizedConv2DWithBias "
    "QuantizedConv2DWithBiasAndRequantize QuantizedConv2DWithBiasAndRelu "
    "QuantizedConv2DWithBiasAndReluAndRequantize QuantizedConv2DAndRelu "
    "QuantizedConv2DAndReluAndRequantize QuantizedConv2DPerChannel",
    _Quantized(4).op(),
)
register(
    "QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias "
    "QuantizedDepthwiseConv2DWithBiasAndRelu "
    "QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize",
    _Quantized(4, depthwise=True).op(),
)
register("QuantizedMaxPool QuantizedAvgPool", _QuantizedPooling(4).op())


class _Patches(Family):
    """Ops that copy the positions of each window into the channels."""

    def __init__(self, rank: int):
        super().__init__(rank, self._kernel)

    def _kernel(self, call: Call, axes: Sequence[int]) -> list[Size]:
        return list(_per_axis(call, "ksizes", axes, self.rank))

    def dilations(self, call: Call, axes: Sequence[int], rank: int) -> list[int]:
        return _per_axis(call, "rates", axes, rank)

    def channels(self, call: Call) -> Size:
        return self.input_shape(call)[-1] * product(self._kernel(call, self.axes(call)))


class _VolumePatches(_Patches):
    """ExtractVolumePatches, for which TensorFlow allows negative SAME padding."""

    least_padding = None


register("ExtractImagePatches", _Patches(4).op())
register("ExtractVolumePatches", _VolumePatches(5).op())


class _Dilation(Family):
    """Grey-scale dilation, with a kernel of shape (height, width, channels)."""

    def __init__(self) -> None:
        super().__init__(4, self._kernel)

    def _kernel(self, call: Call, axes: Sequence[int]) -> list[Size]:
        return list(filter_shape(call, 1, 3)[:2])

    def dilations(self, call: Call, axes: Sequence[int], rank: int) -> list[int]:
        return _per_axis(call, "rates", axes, rank)

    def flops(self, call: Call) -> Flops:
        """Counts an addition and a comparison for each position of each window."""
        area = product(self._kernel(call, self.axes(call)))
        return Flops.alike(2 * area * output_elements(call))

    def op(self) -> Op:
        return super().op()._replace(flops=self.flops)


register("Dilation2D", _Dilation().op())


class Transposed(Convolution):
    """Transposed convolutions. Their inputs are the output sizes, kernel and data."""

    def _output_shape(self, call: Call) -> tuple[Size, ...]:
        data = call.known_shape(2, self.rank)
        axes = self.axes(call)
        values = call.integers(0)
        if values is not None and len(values) == len(axes):
            shape = list(data)
            for axis, size in zip(axes, values, strict=True):
                shape[axis] = size
        elif values is not None and len(values) == self.rank:
            shape = values
        else:
            shape = [call.unknown_size(axis) for axis in range(self.rank)]
            shape[0] = data[0]
        first = data_format(call).startswith("NC")
        shape[1 if first else -1] = self.channels(call)
        return tuple(shape)

    def channels(self, call: Call) -> Size:
        """Returns the number of output channels; None if it is that of the input."""
        *_, outer, _ = filter_shape(call, 1, self.rank)
        return outer

    def input_shape(self, call: Call) -> tuple[Size, ...]:
        """Returns the shape of the tensor that the windows slide over."""
        # The forward convolution reads a map with the shape of this op's output.
        return self._output_shape(call)

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations of an output to all inputs."""
        below = call.known_shape(2, self.rank)
        data = transposed(call, self.placed(call), below)
        return [None, call.all_of(1), data, *[ALL] * (len(call) - 3)]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the outputs."""
        return [self._output_shape(call)]

    def layout(self, call: Call) -> tuple[int, Sequence[int]]:
        """Returns the number of the data input, and its spatial axes."""
        return 2, self.axes(call)

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each pair of an input element and a weight.

        The profiler instead counts the products of a convolution over the output, and
        divides their number by the strides.
        """
        *area, channels, _ = filter_shape(call, 1, self.rank)
        flops = multiply_adds(elements(call, 2) * product([*area, channels]))
        first = data_format(call).startswith("NC")
        if self.rank != 4 or first:
            return flops._replace(profiled=None)
        strides = product(_per_axis(call, "strides", self.axes(call), self.rank))
        products = output_elements(call) * elements(call, 1)
        divided = divide(2 * products, channels * strides)
        return flops._replace(profiled=divided)

    def op(self) -> Op:
        """Returns the rules."""
        return super().op()._replace(windows=None, stretched=self.windows)


register("Conv2DBackpropInput", Transposed(4).op())
register("Conv3DBackpropInputV2", Transposed(5).op())


# --- Fractional pooling --------------------------------------------------------------


def _ratios(call: Call) -> list[Fraction]:
    """Returns the factor by which each axis shrinks."""
    ratios = call.attribute("pooling_ratio")
    numbers = type(ratios) is list and {int, float}.issuperset(map(type, ratios))
    if not numbers or not all(1 <= ratio < INFINITY for ratio in ratios):
        call.fail(f"has the pooling_ratio {ratios}; each ratio must be at least 1")
    if len(ratios) != 4 or ratios[0] != 1:
        call.fail(
            f"has the pooling_ratio {ratios}; it must have four entries, and the "
            "first must be 1"
        )
    return list(map(Fraction, ratios))


def _fractional_sizes(call: Call) -> list[Size]:
    shape, ratios = call.known_shape(0, 4), _ratios(call)
    return fractional_sizes(call, shape, ratios)


def _fractional(call: Call, output: int) -> Relations:
    if output:
        return [None]
    shape, sizes = call.known_shape(0, 4), _fractional_sizes(call)
    overlap = int(call.flag("overlapping"))
    axes = (fractional(shape[a], sizes[a], a, overlap) for a in (1, 2))
    return [Relation((follow(0), *axes, follow(3)))]


def _fractional_shapes(call: Call) -> Sequence[Shape]:
    sizes = _fractional_sizes(call)
    return [tuple(sizes), (sizes[1] + 1,), (sizes[2] + 1,)]


register(
    "FractionalMaxPool FractionalAvgPool",
    Op(_fractional, _fractional_shapes, layout=lambda call: (0, (1, 2))),
)


# --- Weights of positions ------------------------------------------------------------

# Extracted patches become channels, which a later op reads with their own weights.
weigh(
    "Conv2D Conv3D DepthwiseConv2dNative _FusedConv2D _FusedConv3D "
    "_FusedDepthwiseConv2dNative Conv2DBackpropInput Conv3DBackpropInputV2 "
    "ExtractImagePatches ExtractVolumePatches "
    "QuantizedConv2D QuantizedConv2DAndRequantize QuantizedConv2DWithBias "
    "QuantizedConv2DWithBiasAndRequantize QuantizedConv2DWithBiasAndRelu "
    "QuantizedConv2DWithBiasAndReluAndRequantize QuantizedConv2DAndRelu "
    "QuantizedConv2DAndReluAndRequantize QuantizedConv2DPerChannel "
    "QuantizedDepthwiseConv2D QuantizedDepthwiseConv2DWithBias "
    "QuantizedDepthwiseConv2DWithBiasAndRelu "
    "QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize",
    Taps.WEIGHTS,
)
weigh(
    "MaxPool MaxPoolV2 MaxPool3D QuantizedMaxPool Dilation2D",
    Taps.WINNER,
)
weigh("MaxPoolWithArgmax", Taps.WINNER, places=[1])
weigh("AvgPool AvgPool3D QuantizedAvgPool", Taps.MEAN)

# --- Zeros ---------------------------------------------------------------------------

treat_zeros(
    "Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput Conv3DBackpropInputV2 "
    "ExtractImagePatches ExtractVolumePatches MaxPool MaxPoolV2 MaxPool3D AvgPool "
    "AvgPool3D",
    Zeros.KEPT,
)
