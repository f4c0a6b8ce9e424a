"""Rules for convolutions, transposed convolutions and pooling.

Strides, paddings and sizes follow TensorFlow's arithmetic. Kernels have other axes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from receptive_field.algebra.axis_map import IDENTITY, transposed_convolution
from receptive_field.algebra.sizes import Size, product, residue
from receptive_field.frameworks.tensorflow.ops.windows import (
    Convolution,
    Pooling,
    Transposed,
    filter_shape,
)
from receptive_field.frameworks.tflite.ops.registry import register
from receptive_field.relations.relation import ALL, local
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


def zeros_of_bias(number: int) -> object:
    """Returns the `Op.zeros` of an op that adds a bias, if it has this input."""

    def zeros(call: Call) -> Zeros:
        return Zeros.FILLED if len(call) > number else Zeros.KEPT

    return zeros


class _Convolution(Convolution):
    """Convolutions, whose kernels begin with the axis that becomes the channels."""

    def _kernel(self, call: Call, axes: Sequence[int]) -> list[Size]:
        return list(filter_shape(call, 1, self.rank)[1:-1])

    def channels(self, call: Call) -> Size:
        shape = filter_shape(call, 1, self.rank)
        return shape[-1] if self.depthwise else shape[0]

    def products(self, call: Call) -> Size:
        _, *positions, last = filter_shape(call, 1, self.rank)
        return product(positions if self.depthwise else [*positions, last])


class _Transposed(Transposed):
    """Transposed convolutions. Their inputs are the output's shape, kernel and data."""

    kernel_first = True
    """Whether the kernel begins with the axis that becomes the channels."""

    def _kernel(self, call: Call, axes: Sequence[int]) -> list[Size]:
        shape = list(filter_shape(call, 1, self.rank))
        return shape[1:-1] if self.kernel_first else shape[:-2]

    def channels(self, call: Call) -> Size:
        shape = filter_shape(call, 1, self.rank)
        return shape[0] if self.kernel_first else shape[-2]

    def products(self, call: Call) -> Size:
        shape = filter_shape(call, 1, self.rank)
        return product(self._kernel(call, self.axes(call))) * shape[-1]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each pair of an input element and a weight."""
        area = product(self._kernel(call, self.axes(call)))
        number = elements(call, 2) * area * self.channels(call)
        added = max(len(call) - 3, 0) * output_elements(call)
        return multiply_adds(number, profiled=False).plus(added)


class _TransposedVolume(_Transposed):
    kernel_first = False


def _weighed(op: Op, bias: int) -> Op:
    return op._replace(taps=Taps.WEIGHTS, zeros=zeros_of_bias(bias))  # type: ignore[arg-type]


register("CONV_2D", _weighed(_Convolution(4, fused=True).op(), 2))
register(
    "DEPTHWISE_CONV_2D", _weighed(_Convolution(4, depthwise=True, fused=True).op(), 2)
)
register("CONV_3D", _weighed(Convolution(5, fused=True).op(), 2))
register("TRANSPOSE_CONV", _weighed(_Transposed(4).op(), 3))
register("CONV_3D_TRANSPOSE", _weighed(_TransposedVolume(5).op(), 3))

_POOLING = Pooling(4).op()._replace(zeros=Zeros.KEPT)
register("AVERAGE_POOL_2D", _POOLING._replace(taps=Taps.MEAN))
register("MAX_POOL_2D", _POOLING._replace(taps=Taps.WINNER))
# The root of the mean of squares.
register("L2_POOL_2D", _POOLING)


# --- Custom ops of MediaPipe ---------------------------------------------------------


def _stored(call: Call, count: int) -> list[int]:
    """Returns the first numbers of the options of a custom op."""
    options = call.attribute("custom_options", b"")
    if len(options) < 4 * count:
        call.fail(f"has options of {len(options)} bytes, but needs {4 * count}")
    return list(struct.unpack_from(f"<{count}i", options))


def _stored_padding(call: Call, number: int) -> str:
    if number not in (1, 2):
        call.fail(f"has the padding {number}, which is neither SAME nor VALID")
    return "SAME" if number == 1 else "VALID"


class _StoredPooling(Pooling):
    """Max pooling whose options are numbers: padding, strides, and sizes, x first."""

    def __init__(self) -> None:
        super().__init__(4)

    def _sizes(
        self, call: Call, name: str, number: int, axes: Sequence[int]
    ) -> list[Size]:
        _, *pairs = _stored(call, 5)
        x, y = pairs[:2] if name == "strides" else pairs[2:]
        return [y, x]

    def paddings(
        self, call: Call, axes: Sequence[int]
    ) -> Sequence[tuple[int, int]] | None:
        padding = _stored_padding(call, _stored(call, 1)[0])
        return None if padding == "SAME" else [(0, 0)] * len(axes)

    def relations(self, call: Call, output: int) -> Relations:
        return [self.placed(call).relation()]

    def shapes(self, call: Call) -> Sequence[Shape]:
        return [*super().shapes(call)] * 2


register(
    "MaxPoolingWithArgmax2D",
    _StoredPooling().op()._replace(zeros=Zeros.KEPT, taps=Taps.WINNER),
)


def _stretched(call: Call) -> list[Window]:
    """Returns the windows that a Convolution2DTransposeBias reverses.

    The total padding depends on the size of the input, not of the output.
    """
    padding, *strides = _stored(call, 3)
    kernel = filter_shape(call, 1, 4)[1:3]
    is_same = _stored_padding(call, padding) == "SAME"
    found = []
    for axis, stride, size in zip((1, 2), strides[::-1], kernel, strict=True):
        if not isinstance(size, int) or stride < 1:
            call.fail(f"has a kernel of {size} positions and a stride of {stride}")
        rest = residue(call.known_shape(0, 4)[axis] - 1, stride)
        if rest is None:
            call.fail("has a padding that depends on an unknown size")
        total = max(size - rest - 1, 0) if is_same else 0
        found.append(Window(size, stride, total // 2, total))
    return found


def _transposed_with_bias(call: Call, output: int) -> Relations:
    maps = [
        transposed_convolution(w.kernel, w.stride, w.padding or 0, 1)
        for w in _stretched(call)
    ]
    data = local([IDENTITY, *maps, None])._replace(channels=frozenset({3}))
    return [data, *[ALL] * (len(call) - 1)]


def _transposed_with_bias_shape(call: Call) -> Sequence[Shape]:
    shape = call.known_shape(0, 4)
    sizes = [
        w.stride * (size - 1) + w.kernel - (w.total_padding or 0)
        for size, w in zip(shape[1:3], _stretched(call), strict=True)
    ]
    return [(shape[0], *sizes, filter_shape(call, 1, 4)[0])]


def _transposed_with_bias_flops(call: Call) -> Flops:
    channels, *area, _ = filter_shape(call, 1, 4)
    number = elements(call) * product([*area, channels])
    return multiply_adds(number, profiled=False).plus(output_elements(call))


register(
    "Convolution2DTransposeBias",
    Op(
        _transposed_with_bias,
        _transposed_with_bias_shape,
        layout=lambda call: (0, (1, 2)),
        stretched=_stretched,
        products=lambda call: product(filter_shape(call, 1, 4)[1:]),
        flops=_transposed_with_bias_flops,
        taps=Taps.WEIGHTS,
        zeros=Zeros.FILLED,
    ),
)
