"""Every rule against what TensorFlow's kernel does, found by experiment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from dependency import analysed, check, measured, positive, traced, windows_of
from hypothesis import assume, given
from hypothesis import strategies as st
from needed import needed
from random_search import examples, seeds
from raw_ops import (
    chain,
    check_possible,
    merged,
    op,
    possible_trace,
    sizes_of,
    weights,
    words,
)

import receptive_field as rf

tf = needed("tensorflow")
raw = tf.raw_ops

DENSE = (1, 1)
"""Every position of a window matters."""


# --- Layers ------------------------------------------------------------------------
#
# Pairs are (height, width). Padding is "SAME", "VALID" or ((top, bottom), (left,
# right)).


def spread(pair, layout, other=1):
    """Spatial values at their places among those of all four axes."""
    return [other, *pair, other] if layout == "NHWC" else [other, other, *pair]


def window_attributes(layer):
    attributes = {"strides": spread(layer.strides, layer.layout)}
    attributes["data_format"] = layer.layout
    if isinstance(layer.padding, str):
        return {**attributes, "padding": layer.padding}
    pads = [end for pair in spread(layer.padding, layer.layout, (0, 0)) for end in pair]
    return {**attributes, "padding": "EXPLICIT", "explicit_paddings": pads}


@dataclass(frozen=True)
class Conv:
    kernel: Any = (3, 3)
    strides: Any = (1, 1)
    padding: Any = "SAME"
    dilations: Any = (1, 1)
    layout: str = "NHWC"

    def __call__(self, x):
        return raw.Conv2D(
            input=x,
            filter=weights(x, *self.kernel, x.shape[self.layout.index("C")], 2),
            dilations=spread(self.dilations, self.layout),
            **window_attributes(self),
        )


@dataclass(frozen=True)
class Depthwise:
    kernel: Any = (3, 3)
    strides: Any = (1, 1)
    padding: Any = "SAME"
    layout: str = "NHWC"

    def __call__(self, x):
        return raw.DepthwiseConv2dNative(
            input=x,
            filter=weights(x, *self.kernel, x.shape[self.layout.index("C")], 1),
            **window_attributes(self),
        )


@dataclass(frozen=True)
class Transposed:
    """The gradient of a convolution. Of the sizes that it can have, the smallest has
    a surplus of zero, the largest one of ``stride - 1``."""

    kernel: Any = (3, 3)
    strides: Any = (2, 2)
    padding: Any = "SAME"
    surplus: Any = (0, 0)
    dilations: Any = (1, 1)
    layout: str = "NHWC"

    def size(self, axis, size):
        extent = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        smallest = (size - 1) * self.strides[axis] + self.surplus[axis]
        if self.padding == "SAME":
            return smallest + 1
        ends = (0, 0) if self.padding == "VALID" else self.padding[axis]
        return smallest + extent - sum(ends)

    def __call__(self, x):
        first = self.layout.index("H")
        batch, height, width = sizes_of(x, 0, first, first + 1)
        pair = (self.size(0, height), self.size(1, width))
        sizes = spread(pair, self.layout, 2)
        return raw.Conv2DBackpropInput(
            input_sizes=[batch, *sizes[1:]],
            filter=weights(x, *self.kernel, 2, x.shape[self.layout.index("C")]),
            out_backprop=x,
            dilations=spread(self.dilations, self.layout),
            **window_attributes(self),
        )


@dataclass(frozen=True)
class Pool:
    op: str = "MaxPool"
    kernel: Any = (2, 2)
    strides: Any = (2, 2)
    padding: Any = "VALID"
    layout: str = "NHWC"

    def __call__(self, x):
        attributes = window_attributes(self)
        if self.op == "MaxPoolWithArgmax":
            del attributes["data_format"]
        attributes["ksize"] = spread(self.kernel, self.layout)
        pooled = op(self.op, x, **attributes)
        return pooled[0] if self.op == "MaxPoolWithArgmax" else pooled


@dataclass(frozen=True)
class Pad:
    paddings: Any = ((1, 1), (1, 1))
    op: str = "Pad"

    def __call__(self, x):
        paddings = [(0, 0), *self.paddings, (0, 0)]
        if self.op == "PadV2":
            value = tf.constant(3, x.dtype)
            return raw.PadV2(input=x, paddings=paddings, constant_values=value)
        return raw.Pad(input=x, paddings=paddings)


@dataclass(frozen=True)
class MirrorPad:
    paddings: Any = ((1, 1), (1, 1))
    mode: str = "REFLECT"

    def __call__(self, x):
        paddings = [(0, 0), *self.paddings, (0, 0)]
        return raw.MirrorPad(input=x, paddings=paddings, mode=self.mode)


@dataclass(frozen=True)
class Slice:
    begin: Any
    size: Any

    def __call__(self, x):
        return raw.Slice(input=x, begin=[0, *self.begin, 0], size=[-1, *self.size, -1])


@dataclass(frozen=True)
class Index:
    """What Python writes in brackets."""

    key: Any

    def __call__(self, x):
        return x[self.key]


def resized(name, x, sizes, mode):
    modes = {} if mode == "legacy" else {mode: True}
    return tf.cast(op(name, x, tf.stack(sizes), **modes), x.dtype)


@dataclass(frozen=True)
class Resize:
    op: str
    sizes: Any
    mode: str = "legacy"

    def __call__(self, x):
        return resized(self.op, x, self.sizes, self.mode)


@dataclass(frozen=True)
class Upsample:
    op: str = "ResizeNearestNeighbor"
    factors: Any = (2, 2)
    mode: str = "legacy"

    def __call__(self, x):
        pairs = zip(sizes_of(x, 1, 2), self.factors, strict=True)
        return resized(self.op, x, [size * n for size, n in pairs], self.mode)


@dataclass(frozen=True)
class Depth:
    op: str
    block: int
    layout: str = "NHWC"

    def __call__(self, x):
        return op(self.op, x, self.block, data_format=self.layout)


@dataclass(frozen=True)
class Atrous:
    """Convolutions between SpaceToBatchND and its inverse, padded as if SAME."""

    block: Any = (2, 2)
    layers: Any = (Conv(padding="VALID"),)

    @property
    def paddings(self):
        """Before and after, as SAME padding of the dilated convolutions would be."""
        totals = [
            sum(layer.kernel[axis] - 1 for layer in self.layers) * self.block[axis]
            for axis in range(2)
        ]
        return tuple((total // 2, total - total // 2) for total in totals)

    def __call__(self, x):
        paddings, crops = [], []
        sizes = sizes_of(x, 1, 2)
        for (before, after), block, size in zip(
            self.paddings, self.block, sizes, strict=True
        ):
            rest = -(size + before + after) % block
            paddings.append([before, after + rest])
            crops.append([0, rest])
        block = list(self.block)
        y = raw.SpaceToBatchND(input=x, block_shape=block, paddings=paddings)
        y = chain(*self.layers)(y)
        return raw.BatchToSpaceND(input=y, block_shape=block, crops=crops)

    def dilated(self):
        """The same with dilated convolutions."""
        layers = (replace(layer, dilations=self.block) for layer in self.layers)
        return chain(Pad(self.paddings), *layers)


@dataclass(frozen=True)
class Reduce:
    """Over space, and back by broadcasting."""

    op: str = "Mean"
    axes: Any = (1, 2)
    keeps: bool = True

    def __call__(self, x):
        reduced = op(self.op, x, list(self.axes), keep_dims=self.keeps)
        for axis in () if self.keeps else self.axes:
            reduced = tf.expand_dims(reduced, axis)
        return x + reduced


@dataclass(frozen=True)
class Unary:
    op: str

    def __call__(self, x):
        return op(self.op, x)


def to_channels_first(x):
    return tf.transpose(x, [0, 3, 1, 2])


def to_channels_last(x):
    return tf.transpose(x, [0, 2, 3, 1])


def batch_norm(x, op_name="FusedBatchNormV3"):
    numbers = [tf.constant(positive([x.shape[-1]]), tf.float32) for _ in range(4)]
    y = op(op_name, tf.cast(x, tf.float32), *numbers, is_training=False)
    return tf.cast(y[0], x.dtype)


def local_response(x):
    return tf.cast(raw.LRN(input=tf.cast(x, tf.float32)), x.dtype)


def bias(x):
    return raw.BiasAdd(value=x, bias=weights(x, x.shape[-1]))


def as_tokens(x):
    batch, height, width, channels = x.shape
    return tf.reshape(x, [batch, height * width, channels])


def as_image(height, width):
    return lambda x: tf.reshape(x, [x.shape[0], height, width, x.shape[-1]])


def dense(x):
    """A matrix product along the last axis."""
    size = x.shape[-1]
    y = raw.MatMul(a=tf.reshape(x, [-1, size]), b=weights(x, size, 3))
    return tf.reshape(y, [*sizes_of(x, *range(len(x.shape) - 1)), 3])


def attention(x):
    scores = tf.matmul(x, x, transpose_b=True)
    return tf.matmul(tf.nn.softmax(scores / 100), x)


# --- Random layers -----------------------------------------------------------------

small = st.integers(1, 3)
pairs = st.tuples(small, small)
kernels = st.tuples(st.integers(1, 4), st.integers(1, 4))
ends = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2)
paddings = st.sampled_from(["SAME", "VALID"]) | ends
schemes = st.sampled_from(["SAME", "VALID"])
images = st.tuples(st.just(1), st.integers(4, 9), st.integers(4, 9), st.just(2))
large_images = st.tuples(st.just(1), st.integers(6, 14), st.integers(6, 14), st.just(2))

convs = st.builds(Conv, kernels, kernels, paddings)
dilated_convs = st.builds(Conv, kernels, pairs, paddings, pairs)
depthwise_convs = st.builds(Depthwise, kernels, small.map(lambda s: (s, s)), paddings)


@st.composite
def transposed_convs(draw, dilations=st.just((1, 1)), schemes=paddings):  # noqa: B008
    strides = draw(kernels)
    surplus = tuple(draw(st.integers(0, stride - 1)) for stride in strides)
    kernel, padding = draw(kernels), draw(schemes)
    return Transposed(kernel, strides, padding, surplus, draw(dilations))


@st.composite
def explicitly_padded_pools(draw):
    """A window may not lie in the padding alone."""
    kernel, strides = draw(kernels), draw(kernels)
    padding = tuple(
        (draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1)))
        for size in kernel
    )
    return Pool("MaxPool", kernel, strides, padding)


pools = st.builds(
    Pool,
    st.sampled_from(["MaxPool", "MaxPoolV2", "AvgPool", "MaxPoolWithArgmax"]),
    kernels,
    kernels,
    schemes,
)
mirror_pads = st.builds(MirrorPad, ends, st.sampled_from(["REFLECT", "SYMMETRIC"]))
pads = st.builds(Pad, ends, st.sampled_from(["Pad", "PadV2"]))
RESIZES = ["ResizeNearestNeighbor", "ResizeBilinear"]
MODES = ["legacy", "align_corners", "half_pixel_centers"]


# --- Windows -----------------------------------------------------------------------


class TestWindows:
    @given(convs, images)
    @examples(25)
    def test_convolution(self, layer, shape):
        check_possible(layer, shape, spacing=DENSE)

    @given(dilated_convs, images)
    @examples(25)
    def test_dilated_convolution(self, layer, shape):
        check_possible(layer, shape, spacing=layer.dilations)

    @given(depthwise_convs, images)
    @examples(15)
    def test_depthwise_convolution(self, layer, shape):
        check_possible(layer, shape, spacing=DENSE)

    @given(pools, images)
    @examples(25)
    def test_pooling(self, layer, shape):
        check_possible(layer, shape, spacing=DENSE)

    @given(explicitly_padded_pools(), images)
    @examples(12)
    def test_explicitly_padded_pooling(self, layer, shape):
        check_possible(layer, shape, spacing=DENSE)

    @given(transposed_convs(), st.tuples(small, small))
    @examples(30)
    def test_transposed_convolution(self, layer, sizes):
        shape = (1, sizes[0] + 1, sizes[1] + 1, 2)
        check_possible(layer, shape, largest=2000, spacing=DENSE)

    @given(transposed_convs(pairs), st.tuples(small, small))
    @examples(20)
    def test_transposed_convolution_is_the_gradient(self, layer, sizes):
        """Whose dependency is that of the convolution, turned around. There is no
        kernel for dilated ones."""
        shape = (1, sizes[0] + 1, sizes[1] + 1, 2)
        output_shape = possible_trace(layer, shape).output.shape
        conv = Conv(layer.kernel, layer.strides, layer.padding, layer.dilations)
        down = measured(conv, output_shape.as_list())[0]
        up = np.moveaxis(down, (0, 1), (2, 3))[np.newaxis]
        check(layer, shape, truth=up)

    @pytest.mark.parametrize("padding", ["SAME", "VALID"])
    @pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 3)])
    @pytest.mark.parametrize("kernel", [(1, 3, 2), (3, 2, 1)])
    @pytest.mark.parametrize("name", ["Conv3D", "MaxPool3D", "AvgPool3D"])
    def test_three_dimensions(self, name, kernel, strides, padding):
        def layer(x):
            settings = {"strides": [1, *strides, 1], "padding": padding}
            if name == "Conv3D":
                return op(name, x, weights(x, *kernel, 1, 1), **settings)
            y = op(name, tf.cast(x, tf.float32), ksize=[1, *kernel, 1], **settings)
            return tf.cast(y, x.dtype)

        check(layer, (1, 3, 4, 5, 1), axes=(1, 2, 3), spacing=(1, 1, 1))

    @pytest.mark.parametrize("padding", ["SAME", "VALID"])
    def test_transposed_convolution_in_three_dimensions(self, padding):
        conv = partial(Transposed, (2, 3, 1), (2, 1, 3), padding, (1, 0, 2))

        def layer(x):
            sizes = [
                conv(dilations=(1, 1, 1)).size(i, x.shape[i + 1]) for i in range(3)
            ]
            return raw.Conv3DBackpropInputV2(
                input_sizes=[1, *sizes, 1],
                filter=weights(x, 2, 3, 1, 1, 1),
                out_backprop=x,
                strides=[1, 2, 1, 3, 1],
                padding=padding,
            )

        check(layer, (1, 3, 4, 2, 1), axes=(1, 2, 3), spacing=(1, 1, 1))


class TestChannelsFirst:
    """Few of these ops have a kernel for this layout: the other one tells the truth."""

    LAYERS = (
        Conv((3, 2), (2, 1), "SAME"),
        Conv((2, 3), (1, 3), ((2, 0), (1, 3))),
        Conv((3, 2), (1, 1), "SAME", (1, 3)),
        Depthwise((2, 3), (2, 2), ((2, 0), (1, 3))),
        Transposed((3, 2), (2, 3), "SAME", (1, 2)),
        Transposed((2, 4), (3, 2), "VALID", (2, 0)),
        Pool("AvgPool", (3, 2), (1, 2), "SAME"),
        Pool("MaxPool", (3, 2), (2, 1), "VALID"),
        Pool("MaxPoolV2", (1, 4), (2, 3), "SAME"),
        Depth("SpaceToDepth", 2),
        Depth("DepthToSpace", 2),
    )

    @pytest.mark.parametrize("layer", LAYERS, ids=str)
    def test_same_as_channels_last(self, layer):
        truth = measured(layer, (1, 6, 8, 4))
        moved = replace(layer, layout="NCHW")
        check(moved, (1, 4, 6, 8), axes=(2, 3), channels=[1], truth=truth, spacing=None)
        unmoved = analysed(traced(layer, (1, 6, 8, 4)))
        field = analysed(traced(moved, (1, 4, 6, 8)))
        assert [a.map for a in field.axes] == [a.map for a in unmoved.axes]

    def test_around_convolutions(self):
        start, end = Conv((3, 2), (1, 2)), Conv((2, 2), (1, 1), "VALID")
        pool = Pool("MaxPool", (2, 3), (2, 1), "SAME")
        truth = measured(chain(start, pool, end), (1, 9, 10, 2))
        moved = replace(pool, layout="NCHW")
        network = chain(start, to_channels_first, moved, to_channels_last, end)
        check(network, (1, 9, 10, 2), truth=truth)

    def test_an_input_with_channels_first(self):
        network = chain(to_channels_last, Conv((3, 2), (2, 1)), to_channels_first)
        check(network, (1, 2, 7, 6), axes=(2, 3), channels=[1], spacing=DENSE)


# --- Padding and slicing -----------------------------------------------------------

bounds = st.none() | st.integers(-11, 11)
steps = st.sampled_from([None, 1, 2, 3, -1, -2, -3])
slices = st.builds(slice, bounds, bounds, steps)


@st.composite
def keys(draw):
    """Anything that can be written in brackets, but for a cut through channels."""
    height, width = (draw(slices | st.integers(-4, 3)) for _ in range(2))
    whole = slice(None)
    key = draw(
        st.sampled_from(
            [
                [whole, height, width, whole],
                [whole, height, width],
                [whole, height, ...],
                [..., height, width, whole],
                [..., width, whole],
                [whole, height, ..., width, whole],
            ]
        )
    )
    for _ in range(draw(st.integers(0, 2))):
        key = [*key]
        key.insert(draw(st.integers(0, len(key))), None)
    return Index(tuple(key))


class TestPadding:
    @given(pads, images)
    @examples(12)
    def test_pad(self, layer, shape):
        check(layer, shape, spacing=DENSE)

    @given(mirror_pads, images)
    @examples(20)
    def test_mirror_pad(self, layer, shape):
        """Features in the padding see the position that they mirror; size and stride
        are those of the others."""
        field = check_possible(layer, shape, largest=1000)
        assert field.size.tolist() == field.stride.tolist() == [1, 1]
        for axis in field.axes:
            before, after = layer.paddings[axis.input_axis - 1]
            mode = layer.mode.lower()
            mirrored = np.pad(range(axis.input_size), (before, after), mode=mode)
            for u, position in enumerate(mirrored.tolist()):
                assert axis.map.window(u) == (position, position)


class TestSlicing:
    @given(st.data(), images)
    @examples(12)
    def test_slice(self, data, shape):
        begin = [data.draw(st.integers(0, size - 1)) for size in shape[1:3]]
        size = [
            data.draw(st.just(-1) | st.integers(1, size - start))
            for size, start in zip(shape[1:3], begin, strict=True)
        ]
        check(Slice(begin, size), shape, spacing=DENSE)

    @given(keys(), images)
    @examples(40)
    def test_strided_slice(self, layer, shape):
        check_possible(layer, shape, spacing=DENSE)

    @pytest.mark.parametrize(
        "layers",
        [
            (Index(np.s_[:, 1:8:2, ::-1]), Conv((3, 2), padding="VALID")),
            (Index(np.s_[:, ::-2, 3:]), Pool("MaxPool", (3, 2), (1, 2), "SAME")),
            (
                Index(np.s_[..., ::3, 1:, :]),
                Conv((2, 3), (1, 2)),
                Index(np.s_[:, ::-1]),
            ),
            (Index(np.s_[:, None, :, 3]), Conv((1, 3), (1, 2))),
            (Index(np.s_[:, 4, :, None]), Conv((3, 1), (2, 1), "VALID")),
            (Conv(), Index(np.s_[:, ::2, ::2]), Conv()),
            (Index(np.s_[:, -5:-1, -2::-1]), Transposed()),
        ],
        ids=str,
    )
    def test_before_other_layers(self, layers):
        check(chain(*layers), (1, 10, 9, 2))


# --- Batch, depth and space --------------------------------------------------------

valid_convs = st.builds(Conv, kernels, st.just((1, 1)), st.just("VALID"))
atrous = st.builds(Atrous, pairs, st.tuples(valid_convs))
atrous_twice = st.builds(Atrous, pairs, st.tuples(valid_convs, valid_convs))


def answer(field):
    """All that a receptive field says."""
    return field.hide_padding, [
        (
            (axis.map.strands, axis.map.aligned, axis.map.seen),
            (axis.input_axis, axis.output_axes, axis.input_size, axis.output_size),
        )
        for axis in field.axes
    ]


class TestSpaceToBatch:
    @given(atrous, images)
    @examples(12)
    def test_experiment(self, layer, shape):
        check(layer, shape, spacing=layer.block)

    @given(atrous_twice, images)
    @examples(12)
    def test_experiment_with_two_convolutions(self, layer, shape):
        check(layer, shape)

    @given(atrous | atrous_twice, images)
    @examples(20)
    def test_equals_dilation(self, layer, shape):
        dilated = analysed(traced(layer.dilated(), shape))
        assert answer(analysed(traced(layer, shape))) == answer(dilated)

    @pytest.mark.parametrize(
        "layer", [Atrous(), Atrous((2, 3), (Conv((1, 1), padding="VALID"),))], ids=str
    )
    @pytest.mark.parametrize("sizes", [(12, 15), (11, 14), (None, None)])
    def test_equals_dilation_between_convolutions(self, layer, sizes):
        before, after, shape = Conv((3, 3)), Conv((3, 2)), (1, *sizes, 2)
        dilated = analysed(traced(chain(before, layer.dilated(), after), shape))
        field = analysed(traced(chain(before, layer, after), shape))
        assert list(field) == list(dilated)
        assert field.exact
        assert field.aligned == dilated.aligned
        if None not in shape:
            check(chain(before, layer, after), shape)

    @pytest.mark.parametrize("batch", [1, 3, None])
    @given(atrous | atrous_twice, images)
    @examples(12)
    def test_sizes_that_come_later(self, batch, layer, shape):
        dilated = analysed(traced(layer.dilated(), shape))
        field = analysed(
            traced(layer, (batch, None, None, shape[3])), input_resolution=shape[1:3]
        )
        assert answer(field) == answer(dilated)

    @pytest.mark.parametrize("batch", [1, None])
    @given(atrous | atrous_twice)
    @examples(12)
    def test_sizes_that_never_come(self, batch, layer):
        shape = (batch, None, None, 2)
        dilated = analysed(traced(layer.dilated(), shape))
        field = analysed(traced(layer, shape))
        assert list(field) == list(dilated)
        assert field.exact
        assert field.aligned

    @pytest.mark.parametrize(
        "layers",
        [
            (Conv((3, 3)),),
            (Conv((3, 2), padding="VALID"), Pool("MaxPool", (2, 2), (1, 1), "SAME")),
            (Conv((2, 3), (1, 2)),),
        ],
        ids=str,
    )
    def test_other_layers_in_between(self, layers):
        def network(x):
            y = raw.SpaceToBatchND(
                input=x, block_shape=[2, 3], paddings=[[1, 1], [2, 1]]
            )
            y = chain(*layers)(y)
            return raw.BatchToSpaceND(
                input=y, block_shape=[2, 3], crops=[[1, 0], [0, 2]]
            )

        check(network, (1, 8, 12, 2))

    def test_a_batch_of_phases(self):
        network = chain(
            lambda x: raw.SpaceToBatchND(
                input=x, block_shape=[2, 3], paddings=[[0, 0], [0, 0]]
            ),
            Conv((2, 2)),
        )
        check(network, (1, 8, 6, 2))


class TestDepth:
    @pytest.mark.parametrize("block", [2, 3])
    @pytest.mark.parametrize("name", ["SpaceToDepth", "DepthToSpace"])
    def test_experiment(self, name, block):
        layer = Depth(name, block)
        check(layer, (1, 2 * block, block, block**2), spacing=DENSE)

    @pytest.mark.parametrize("block", [2, 3])
    def test_there_and_back_around_a_convolution(self, block):
        network = chain(
            Depth("SpaceToDepth", block),
            Conv((2, 1)),
            bias,
            lambda x: tf.concat([x] * block**2, 3),
            Depth("DepthToSpace", block),
        )
        check(network, (1, 3 * block, 2 * block, 1))


# --- Resizing ----------------------------------------------------------------------


def kernel_weights(name, mode, size, new_size):
    """Whether each new position (first axis) reads each old one."""
    modes = {} if mode == "legacy" else {mode: True}
    single_ones = np.eye(size, dtype=np.float32).reshape(size, size, 1, 1)
    resized = op(name, tf.constant(single_ones), [new_size, 1], **modes)
    return resized.numpy()[:, :, 0, 0].T != 0


def assert_reads(axis, reads):
    """A window, cut to the input, holds just the positions that are read."""
    for u, row in enumerate(reads):
        first, last = axis.map.window(u)
        taps = range(max(first, 0), min(last, len(row) - 1) + 1)
        assert list(taps) == np.flatnonzero(row).tolist(), u


def check_resizes(name, mode, size, new_sizes):
    """One graph in which heights and widths are resized to all the new sizes."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [1, size, size, 1], name="input")
        resizes = zip(new_sizes, reversed(new_sizes), strict=True)
        outputs = [Resize(name, sizes, mode)(x).name for sizes in resizes]
    fields = rf.compute_receptive_fields(
        graph.as_graph_def(), input="input", outputs=outputs
    )
    for height, field in zip(new_sizes, fields.values(), strict=True):
        x, y = field.axes
        assert field.exact
        assert_reads(y, kernel_weights(name, mode, size, height))
        assert (x.output_size, y.output_size)[1] == height
    for width, field in zip(reversed(new_sizes), fields.values(), strict=True):
        assert_reads(field.axes[0], kernel_weights(name, mode, size, width))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", RESIZES)
class TestResizing:
    @pytest.mark.parametrize("size", range(1, 17))
    def test_all_small_sizes(self, name, mode, size):
        check_resizes(name, mode, size, range(1, 17))

    @pytest.mark.parametrize("seed", seeds("larger sizes", 4))
    def test_larger_sizes(self, name, mode, seed):
        random = np.random.default_rng(seed)
        size, *new_sizes = random.integers(17, 100, 9).tolist()
        check_resizes(name, mode, size, [*new_sizes, *range(1, 33)])

    @pytest.mark.parametrize(
        ("size", "new_size"),
        [(7, 13), (26, 11), (11, 26), (224, 299), (41, 205), (500, 3), (3, 500)],
    )
    def test_roundings(self, name, mode, size, new_size):
        check_resizes(name, mode, size, [new_size])

    @pytest.mark.parametrize("sizes", [(3, 11), (10, 14), (7, 3)])
    def test_experiment(self, name, mode, sizes):
        check(Resize(name, sizes, mode), (1, 5, 7, 2), spacing=DENSE)

    @pytest.mark.parametrize("sizes", [(3, 11), (10, 14)])
    def test_between_convolutions(self, name, mode, sizes):
        network = chain(Conv((2, 3)), Resize(name, sizes, mode), Conv((3, 1), (1, 2)))
        check(network, (1, 5, 7, 2))


# --- Position by position ----------------------------------------------------------


class TestElementwise:
    UNARY = words(
        """
        Abs Acos Acosh Asin Asinh Atan Atanh BesselI0e BesselI1e Ceil Cos Cosh Digamma
        Elu Erf Erfc Erfinv Exp Expm1 Floor Identity Inv LeakyRelu Lgamma Log Log1p
        LogSoftmax Ndtri Neg PreventGradient Reciprocal Relu Relu6 Rint Round Rsqrt
        Selu Sigmoid Sign Sin Sinh Snapshot Softmax Softplus Softsign Sqrt Square
        StopGradient Tan Tanh
        """
    )
    BINARY = words(
        """
        Add AddV2 Atan2 Div DivNoNan FloorDiv FloorMod Greater GreaterEqual Less
        LessEqual Maximum Minimum Mul MulNoNan NextAfter Pow RealDiv
        SquaredDifference Sub Xdivy Xlogy
        """
    )
    SHAPE = (1, 3, 4, 2)
    SMALLER = ((1, 1, 1, 2), (2,), (1, 3, 1, 1), (4, 1), (3, 1, 2), ())

    @pytest.mark.parametrize("name", UNARY)
    def test_unary(self, name):
        check(Unary(name), self.SHAPE, spacing=DENSE, values=(0.1, 0.9))

    @pytest.mark.parametrize(
        "layer",
        [
            lambda x: raw.LogicalNot(x=x > 0),
            lambda x: raw.IsNan(x=tf.math.log(x)),
            lambda x: raw.IsInf(x=tf.exp(x)),
            lambda x: raw.IsFinite(x=tf.exp(x)),
            lambda x: raw.Cast(x=x, DstT=tf.int32),
            lambda x: raw.LogicalAnd(x=x > 0, y=tf.exp(x) > 1),
            lambda x: raw.Equal(x=raw.Floor(x=x), y=tf.constant(0, x.dtype)),
            lambda x: raw.ClipByValue(
                t=x,
                clip_value_min=tf.constant(0.2, x.dtype),
                clip_value_max=tf.constant(1.1, x.dtype),
            ),
            lambda x: raw.AddN(inputs=[x, x, x]),
            lambda x: raw.IdentityN(input=[2 * x, x])[1],
            bias,
            dense,
            local_response,
            *(
                partial(batch_norm, op_name=f"FusedBatchNorm{version}")
                for version in ("", "V2", "V3")
            ),
        ],
    )
    def test_one_position(self, layer):
        check(layer, self.SHAPE, spacing=DENSE, values=(0.1, 0.9))

    @pytest.mark.parametrize("name", BINARY)
    @pytest.mark.parametrize("other", [SHAPE, (2,)], ids=str)
    def test_binary(self, name, other):
        check(lambda x: op(name, x, weights(x, *other)), self.SHAPE, spacing=DENSE)
        check(lambda x: op(name, weights(x, *other), x), self.SHAPE, spacing=DENSE)

    @pytest.mark.parametrize("other", SMALLER, ids=str)
    def test_constants_broadcast(self, other):
        check(lambda x: weights(x, *other) * x, self.SHAPE, spacing=DENSE)

    @pytest.mark.parametrize("shape", [(1, 1, 4, 2), (1, 3, 1, 2), (1, 1, 1, 2)])
    def test_inputs_broadcast(self, shape):
        check(lambda x: x * weights(x, *self.SHAPE), shape, spacing=DENSE)
        check(lambda x: weights(x, 3, 4, 1) + x, shape, spacing=DENSE)

    @pytest.mark.parametrize(
        "key",
        [np.s_[:, :1], np.s_[:, :, 2:3], np.s_[0], np.s_[0, 1:2], np.s_[:, 1:2, 3:]],
        ids=str,
    )
    def test_parts_of_the_input_broadcast(self, key):
        check(lambda x: x + x[key], self.SHAPE)
        check(lambda x: x[key] * x, self.SHAPE)

    def test_one_position_broadcasts(self):
        check(lambda x: x + x[0, 2, 1], self.SHAPE)
        check(lambda x: x[0, 2, 1] + weights(x, *self.SHAPE), self.SHAPE)

    @pytest.mark.parametrize("name", ["Select", "SelectV2"])
    def test_select(self, name):
        shape = self.SHAPE
        check(
            lambda x: op(name, x > 0, weights(x, *shape), 2 * weights(x, *shape)), shape
        )
        truths = tf.constant, np.indices(shape).sum(0) % 2 == 0
        check(lambda x: op(name, truths[0](truths[1]), x, -x), shape, spacing=DENSE)

    def test_select_rows(self):
        """A vector as condition chooses whole images of the batch."""

        def layer(x):
            rows = x[:, 1, 2, 0] > 0
            return op("Select", rows, 2 * x, -x)

        check(layer, self.SHAPE)

    def test_select_broadcasts(self):
        check(lambda x: op("SelectV2", x[:, :1] > 0, x, -x), self.SHAPE)

    @pytest.mark.parametrize("axis", [-1, 3])
    def test_softmax_over_channels(self, axis):
        check(lambda x: tf.nn.softmax(x, axis), self.SHAPE, spacing=DENSE)

    @pytest.mark.parametrize("axis", [1, 2])
    def test_softmax_over_space(self, axis):
        check(lambda x: tf.nn.softmax(x, axis), self.SHAPE, spacing=DENSE)


# --- Masks -------------------------------------------------------------------------


def mirrored(x, axis=2):
    return tf.reverse(x, [axis])


def not_folded(mask):
    """A mask whose values are not known: it is cut from a constant that is too large to
    be read."""
    large = np.zeros(1 << 17, dtype=bool)
    large[: mask.size] = mask.ravel()
    return tf.reshape(tf.constant(large)[: mask.size], mask.shape)


@st.composite
def masks(draw, shape):
    """Any that broadcasts to a shape: the same, or not, along each axis."""
    sizes = [draw(st.sampled_from([1, size])) for size in shape]
    random = np.random.default_rng(draw(st.integers(0, 99)))
    if draw(st.booleans()):
        return random.random(sizes) < 0.5
    box = np.ones(sizes, dtype=bool)
    for axis in range(len(sizes)):
        box &= random.random([n if a == axis else 1 for a, n in enumerate(sizes)]) < 0.7
    return box ^ draw(st.booleans())


class TestMasks:
    SHAPE = (1, 4, 5, 2)
    SIDES = (
        lambda x: x,
        lambda x: 3 * tf.nn.relu(x),
        mirrored,
        Conv((1, 3)),
        Conv((3, 1)),
        lambda x: x[:, :, 1:2],
        lambda x: x[0, 2],
        lambda x: tf.constant(1, x.dtype),
    )

    @given(
        masks(SHAPE),
        st.sampled_from(SIDES[:-3]),
        st.sampled_from(SIDES),
        st.sampled_from([tf.identity, Conv((2, 3)), Conv((1, 3), dilations=(1, 2))]),
        st.booleans(),
    )
    @examples(60)
    def test_random(self, mask, one, two, above, skips):
        def network(x):
            chosen = tf.where(mask, one(x), two(x))
            return above(chosen + x if skips else chosen)

        assume(mask.any())
        check(network, self.SHAPE)

    @pytest.mark.parametrize(
        ("shape", "axis"),
        [
            ((1, 5, 7, 2), 2),
            ((1, 5, 7, 2), 1),
            ((1, 7, 2), 1),
            ((1, 3, 2, 7, 2), 3),
            ((1, 7, 2, 3, 2), 1),
        ],
        ids=str,
    )
    def test_each_position_sees_the_side_that_is_chosen(self, shape, axis):
        size = shape[axis]
        mask = np.reshape(np.arange(size) < 3, [size] + [1] * (len(shape) - 1 - axis))
        axes = range(1, len(shape) - 1)
        network = lambda x: tf.where(mask, x, mirrored(x, axis))  # noqa: E731
        field = check(network, shape, axes, spacing=[1] * len(axes))
        (seen,) = (a.map for a in field.axes if a.input_axis == axis)
        places = [*range(3), *range(size - 1 - 3, -1, -1)]
        assert [seen.window(u) for u in range(size)] == [(p, p) for p in places]
        assert (field.size.tolist(), field.aligned) == ([1] * len(axes), True)

    def test_channels_first(self):
        def network(x):
            x = tf.transpose(x, [0, 3, 1, 2])
            x = tf.where(np.arange(5) < 2, x, mirrored(x, 3))
            return tf.transpose(x, [0, 2, 3, 1])

        field = check(network, self.SHAPE, spacing=DENSE)
        assert field.size.tolist() == [1, 1]

    @pytest.mark.parametrize("mask", [True, False, [[True], [True]], [False]], ids=str)
    def test_one_side_alone(self, mask):
        field = check(lambda x: tf.where(mask, x, mirrored(x)), (1, 3, 2, 2))
        assert field.stride.tolist() == [1 if np.all(mask) else -1, 1]
        assert field.exact

    def test_channels_are_told_together(self):
        shape = (1, 3, 5, 2)
        network = partial(tf.where, [True, False])
        field = check(lambda x: network(Conv((1, 3))(x), mirrored(x)), shape)
        assert (field.size.tolist(), field.exact) == ([6, 1], True)
        field = check(lambda x: Conv((1, 1))(network(Conv((1, 3))(x), 0) + x), shape)
        assert (list(field), field.exact) == ([3, 1, 1, 1, 1, 0], True)

    def test_rows_of_the_old_select(self):
        def network(x):
            rows = tf.constant([False, True, False, True])
            return op("Select", rows, x[0], mirrored(x[0], 0))[tf.newaxis]

        field = check(network, self.SHAPE, spacing=DENSE)
        assert field.size.tolist() == [1, 1]

    @pytest.mark.parametrize("mask", [(5, 1), (1, 1), (4, 5, 2)], ids=str)
    def test_what_is_not_known(self, mask):
        mask = np.arange(np.prod(mask)).reshape(mask) % 3 == 0
        kernels = [Conv((1, 3)), tf.nn.relu]
        for other in (mirrored, kernels[0], lambda x: tf.zeros_like(x)):
            network = lambda x, f=other: tf.where(not_folded(mask), x, f(x))  # noqa: E731
            field = check(network, self.SHAPE)
            assert not field.exact
            assert not field.support().exact

    @pytest.mark.parametrize(
        ("one", "two"),
        [
            (tf.nn.relu, lambda x: x / 5),
            (tf.nn.swish, lambda x: x),
            (lambda x: x + Conv((1, 3))(x), lambda x: Conv((1, 3))(x) - x),
            (lambda x: tf.where(not_folded(np.eye(5) > 0)[0, :, None], x, -x), tf.exp),
        ],
        ids=["relu", "swish", "residual", "again"],
    )
    def test_what_is_not_known_of_sides_that_see_the_same(self, one, two):
        mask = np.indices(self.SHAPE).sum(0) % 3 == 0
        for known in (tf.constant, not_folded):
            network = lambda x, f=known: tf.where(f(mask), one(x), two(x))  # noqa: E731
            field = check(network, self.SHAPE)
            assert field.exact
            assert field.support().exact
            assert field.stride.tolist() == [1, 1]

    def test_what_depends_on_the_input_or_is_drawn_lets_both_through(self):
        shape = (1, 1, 7, 2)
        field = check(lambda x: tf.where(x > 1, x, mirrored(x)), shape)
        assert (field.size.tolist(), field.exact) == ([7, 1], True)
        field = analysed(traced(lambda x: tf.nn.dropout(x, 0.5), shape))
        assert (list(field), field.exact) == ([1, 1, 1, 1, 0, 0], True)
        assert field.support().exact

    def test_skipped_by_a_path_that_sees_more(self):
        """In every row the path around it sees the same or more: nothing is lost."""
        mask = np.indices((4, 5)).max(0)[..., None] < 3
        field = check(lambda x: tf.where(mask, x, 0) + x, self.SHAPE, spacing=DENSE)
        assert list(field) == [1, 1, 1, 1, 0, 0]

    @pytest.mark.parametrize("size", [3, 4, 5, 6])
    def test_sizes_that_are_not_known(self, size):
        """What is said of any size holds at this one."""

        def network(x):
            width = tf.shape(x)[2]
            few = tf.where(tf.range(width)[:, tf.newaxis] < 2, x, mirrored(x))
            four = tf.where(tf.equal(width, 4), few, mirrored(few))
            return tf.where([[[True]], [[False]]], four, x)

        shape = (1, 2, size, 2)
        unknown = analysed(traced(network, (1, 2, None, 2)))
        field = check(network, shape)
        truth = field.compute_input_region([[u, 0] for u in range(size)])[:, 0]
        told = unknown.compute_input_region([[u, 0] for u in range(size)])[:, 0]
        assert (told[:, 0] <= truth[:, 0]).all()
        assert (told[:, 1] >= truth[:, 1]).all()
        assert not unknown.exact

    @pytest.mark.parametrize("indices", [[[0, 2]], [[0, 0], [0, 3]], [[0]]], ids=str)
    def test_what_is_written_over(self, indices):
        depth = len(indices[0])

        def network(x):
            rest = x.shape[depth:].as_list()
            zeros = tf.zeros((len(indices), *rest), x.dtype)
            return x[0, :1, 1:3, :1] + op("TensorScatterUpdate", x, indices, zeros)

        check(network, (1, 4, 2, 2))


# --- Joining, reshaping, reducing --------------------------------------------------


ONE = Conv((3, 2))
TWO = chain(Conv((1, 3)), Pool("MaxPool", (2, 2), (1, 1), "SAME"))


class TestJoining:
    SHAPE = (1, 7, 6, 2)

    @pytest.mark.parametrize("axis", [-1, 3, 1, 2, -3])
    def test_concat(self, axis):
        check(merged(partial(tf.concat, axis=axis), ONE, TWO), self.SHAPE)

    @pytest.mark.parametrize("axis", [1, 2])
    def test_concat_before_convolution(self, axis):
        joined = merged(partial(tf.concat, axis=axis), ONE, TWO)
        check(chain(joined, Conv((3, 3), (2, 2))), self.SHAPE)

    def test_add_n(self):
        check(merged(tf.add_n, ONE, TWO, bias), self.SHAPE)

    @pytest.mark.parametrize("axis", range(-5, 5))
    def test_pack(self, axis):
        stacked = merged(partial(tf.stack, axis=axis), ONE, TWO)
        check(chain(stacked, partial(tf.reduce_max, axis=axis)), self.SHAPE)

    @pytest.mark.parametrize("axis", [-1, 1])
    def test_parts_of_a_stack(self, axis):
        """Each sees only what was stacked there."""
        channels = [-2, -1] if axis == -1 else [1, -1]
        stack = merged(partial(tf.stack, axis=axis), ONE, TWO)
        check(stack, self.SHAPE, channels=channels)

    @pytest.mark.parametrize("axis", [1, 2])
    def test_take_apart_and_stack_again(self, axis):
        def network(x):
            rows = [x[:, i] if axis == 1 else x[:, :, i] for i in range(x.shape[axis])]
            return tf.stack(rows, axis)

        check(network, self.SHAPE)


class TestReshaping:
    SHAPE = (1, 4, 6, 2)

    def test_merge_and_split(self):
        network = chain(Conv((3, 2)), as_tokens, as_image(4, 6), Conv((2, 3)))
        check(network, self.SHAPE)

    def test_tokens(self):
        check(as_tokens, self.SHAPE, spacing=DENSE)

    def test_tokens_of_patches(self):
        patches = Conv((2, 3), (2, 3), "VALID")
        check(chain(patches, as_tokens, dense), self.SHAPE, spacing=DENSE)

    def test_patches_to_image(self):
        patches = Conv((2, 2), (2, 2), "VALID")
        network = chain(patches, as_tokens, dense, as_image(2, 3), Conv((2, 1)))
        check(network, self.SHAPE)

    def test_attention(self):
        check(chain(as_tokens, attention), self.SHAPE, spacing=DENSE)
        check(chain(as_tokens, attention, as_image(4, 6)), self.SHAPE, spacing=DENSE)

    @pytest.mark.parametrize("batch", [1, 2])
    def test_merge_with_the_batch(self, batch):
        rows = chain(lambda x: tf.reshape(x, [batch * 4, 1, 6, 2]), Conv((1, 3)))
        network = chain(rows, lambda x: tf.reshape(x, [batch, 4, 6, 2]))
        check(network, (batch, 4, 6, 2), spacing=DENSE)

    def test_rows_of_a_matrix(self):
        network = chain(lambda x: tf.reshape(x, [24, 2]), dense)
        check(network, self.SHAPE, spacing=DENSE)

    def test_dense_layer(self):
        network = chain(lambda x: tf.reshape(x, [1, 48]), dense)
        check(network, self.SHAPE, spacing=DENSE)

    def test_nearest_upsampling_by_broadcast(self):
        def network(x):
            wide = tf.reshape(x, [1, 4, 1, 6, 1, 2]) * weights(x, 1, 1, 2, 1, 3, 1)
            return tf.reshape(wide, [1, 8, 18, 2])

        check(network, self.SHAPE, spacing=DENSE)

    def test_space_to_depth_by_transpose(self):
        def network(x):
            blocks = tf.reshape(x, [1, 2, 2, 3, 2, 2])
            return tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4, 5]), [1, 2, 3, 8])

        check(network, self.SHAPE)

    def test_depth_to_space_by_transpose(self):
        def network(x):
            blocks = tf.reshape(x, [1, 4, 6, 2, 3, 2])
            return tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4, 5]), [1, 8, 18, 2])

        check(network, (1, 4, 6, 12), spacing=DENSE)

    def test_windows_of_a_transformer(self):
        """Attention within windows of 2 x 3."""

        def network(x):
            windows = tf.transpose(
                tf.reshape(x, [1, 2, 2, 2, 3, 2]), [0, 1, 3, 2, 4, 5]
            )
            y = attention(tf.reshape(windows, [4, 6, 2]))
            y = tf.transpose(tf.reshape(y, [1, 2, 2, 2, 3, 2]), [0, 1, 3, 2, 4, 5])
            return tf.reshape(y, [1, 4, 6, 2])

        field = check(network, self.SHAPE, spacing=DENSE)
        assert field.size.tolist() == [3, 2]

    @pytest.mark.parametrize("axis", [0, 1, 2, 3])
    def test_axes_of_size_one(self, axis):
        """Added, and taken away again."""
        network = chain(
            Conv((3, 2)),
            lambda x: tf.squeeze(tf.expand_dims(x, axis), axis),
            Conv((2, 1)),
        )
        check(network, self.SHAPE)
        check(lambda x: tf.expand_dims(x, axis), self.SHAPE, spacing=DENSE)

    @pytest.mark.parametrize("shape", [(1, 1, 6, 2), (1, 4, 1, 2), (1, 1, 1, 2)])
    def test_squeeze(self, shape):
        axes = [axis for axis in (1, 2) if shape[axis] == 1]
        check(partial(tf.squeeze, axis=axes), shape, spacing=DENSE)

    def test_height_and_width_change_places(self):
        network = chain(
            Conv((3, 1)),
            lambda x: tf.transpose(x, [0, 2, 1, 3]),
            Conv((3, 2), (2, 1)),
        )
        check(network, self.SHAPE)


REDUCTIONS = ["Mean", "Max", "Sum", "Min", "Prod", "EuclideanNorm"]


class TestReducing:
    SHAPE = (1, 4, 5, 2)

    @pytest.mark.parametrize("keeps", [True, False])
    @pytest.mark.parametrize("axes", [(1,), (2,), (1, 2), (-3, -2), (1, 3)])
    @pytest.mark.parametrize("name", REDUCTIONS)
    def test_over_space(self, name, axes, keeps):
        def layer(x):
            return op(name, x, list(axes), keep_dims=keeps)

        channels = [-1] if 3 not in axes or keeps else []
        check(layer, self.SHAPE, channels=channels, spacing=DENSE)

    @pytest.mark.parametrize("keeps", [True, False])
    @pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
    @pytest.mark.parametrize("name", REDUCTIONS)
    def test_and_back(self, name, axes, keeps):
        check(Reduce(name, axes, keeps), self.SHAPE, spacing=DENSE)

    @pytest.mark.parametrize("name", ["ArgMax", "ArgMin"])
    def test_arg_max(self, name):
        check(lambda x: op(name, x, 1), self.SHAPE)

    def test_squeeze_and_excite(self):
        network = chain(
            Conv((3, 2)),
            lambda x: x * tf.sigmoid(dense(tf.reduce_mean(x, [1, 2], True))[..., :2]),
            Conv((2, 2), (1, 2)),
        )
        field = check(network, self.SHAPE)
        assert field.is_global
        assert field.local.exact

    @pytest.mark.parametrize(
        "layer",
        [
            Slice((1, 2), (2, 2)),
            Index(np.s_[:, ::2, 1::2]),
            Index(np.s_[:, :1]),
            Pool("MaxPool", (2, 2), (2, 2), "VALID"),
            Conv((1, 1), (3, 3)),
            Resize("ResizeNearestNeighbor", (2, 2)),
        ],
        ids=str,
    )
    def test_of_a_part(self, layer):
        """What is no more there cannot be seen."""
        network = chain(layer, partial(tf.reduce_mean, axis=[1, 2]))
        truth = measured(network, self.SHAPE)
        field = check(network, self.SHAPE, truth=truth)
        for w in windows_of(field, self.SHAPE, (1, 2)):
            seen = np.flatnonzero(truth.any(axis=(0, 3 - w.axis)))
            ends = (w.first.item(), w.last.item())
            assert not field.exact or ends == (seen[0], seen[-1])


# --- Networks ----------------------------------------------------------------------


@dataclass(frozen=True)
class Branch:
    """Layers, and a resize that gives their output the size of the input."""

    layers: Any
    op: str = "ResizeNearestNeighbor"
    mode: str = "legacy"

    def __call__(self, x):
        y = Conv((1, 1))(chain(*self.layers)(x))
        if None not in x.shape and x.shape[1:3] == y.shape[1:3]:
            return y
        return resized(self.op, y, sizes_of(x, 1, 2), self.mode)


MERGES = {
    "add": tf.add_n,
    # Not by the zeros of a padding, which would hide the other branch.
    "multiply": lambda tensors: (1 + tensors[0]) * (1 + tensors[1]),
    "concatenate": partial(tf.concat, axis=3),
    "stack": lambda tensors: tf.reduce_sum(tf.stack(tensors, 1), 1),
}

ends_of_two = st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)
small_pools = st.builds(
    Pool, st.sampled_from(["MaxPool", "AvgPool"]), pairs, pairs, schemes
)
cuts = keys().filter(lambda k: not any(i is None or isinstance(i, int) for i in k.key))
upsamplings = st.builds(
    Upsample, st.sampled_from(RESIZES), pairs, st.sampled_from(MODES)
)
resizes = st.builds(Resize, st.sampled_from(RESIZES), kernels, st.sampled_from(MODES))
pointwise = st.sampled_from([bias, batch_norm, Unary("Relu"), dense])
fixed_strides = st.one_of(
    st.builds(Conv, pairs, pairs, paddings),
    st.builds(Conv, pairs, st.just((1, 1)), schemes, pairs),
    st.builds(Depthwise, pairs, small.map(lambda s: (s, s)), schemes),
    small_pools,
    small_pools,
    st.builds(Pad, ends_of_two),
    transposed_convs(schemes=schemes),
    upsamplings,
    st.builds(Depth, st.just("SpaceToDepth"), st.integers(1, 2)),
    pointwise,
)
layers = st.one_of(
    fixed_strides,
    fixed_strides,
    fixed_strides,
    resizes,
    cuts,
    st.builds(MirrorPad, ends_of_two, st.sampled_from(["REFLECT", "SYMMETRIC"])),
    st.just(chain(to_channels_first, to_channels_last)),
)
chains = st.lists(layers, min_size=2, max_size=5).map(tuple)
chains_with_blocks = st.tuples(layers, atrous | atrous_twice, fixed_strides)
reductions = st.builds(
    Reduce,
    st.sampled_from(["Mean", "Max"]),
    st.sampled_from([(1,), (2,), (1, 2)]),
    st.booleans(),
)


def is_seamless(layer):
    """Whether no position of the output depends on nothing."""
    pairs = () if not isinstance(layer, Transposed) else (layer.kernel, layer.strides)
    return all(kernel >= stride for kernel, stride in zip(*pairs, strict=True))


seamless = layers.filter(is_seamless)
branches = st.builds(
    Branch,
    st.lists(seamless | reductions, max_size=2).map(tuple),
    st.sampled_from(RESIZES),
    st.sampled_from(MODES),
)


@dataclass(frozen=True)
class Merging:
    before: Any
    branches: Any
    merge: str
    after: Any

    def __call__(self, x):
        joined = merged(MERGES[self.merge], *self.branches)
        return chain(*self.before, joined, *self.after)(x)


merging = st.builds(
    Merging,
    st.lists(seamless, max_size=1).map(tuple),
    st.tuples(branches, branches),
    st.sampled_from(sorted(MERGES)),
    st.lists(seamless, max_size=2).map(tuple),
)


class TestNetworks:
    @given(chains, large_images)
    @examples(40)
    def test_chain(self, layers, shape):
        check_possible(chain(*layers), shape)

    @given(chains_with_blocks, large_images)
    @examples(25)
    def test_chain_around_blocks(self, layers, shape):
        """What is dilated by way of the batch is followed by something wider."""
        check_possible(chain(*layers), shape)

    @given(merging, large_images)
    @examples(40)
    def test_two_branches(self, network, shape):
        check_possible(network, shape)

    def test_branch_with_holes(self):
        """Where one axis of a branch sees nothing, its other axis does not either."""
        branch = Transposed((3, 1), (1, 2), "SAME", (0, 1))
        network = merged(tf.add_n, branch, Upsample(factors=(1, 2)))
        check(network, (1, 6, 6, 2))

    def test_padding_on_one_axis_under_a_whole_other_one(self):
        """What reads padding on one axis sees nothing of the other, even all of it."""
        padded = Reduce("Mean", (1,)), Pad(((0, 0), (0, 1)))
        branches = (
            Branch((), "ResizeNearestNeighbor", "legacy"),
            Branch(padded, "ResizeNearestNeighbor", "align_corners"),
        )
        check(Merging((), branches, "add", ()), (1, 6, 6, 2))


class TestUnknownSizes:
    @given(chains.map(lambda layers: chain(*layers)) | merging, images, st.booleans())
    @examples(40)
    def test_given_later(self, network, shape, batch_is_known):
        """A resolution makes up for what the graph does not say."""
        static = analysed(possible_trace(network, shape))
        unknown = (shape[0] if batch_is_known else None, None, None, shape[3])
        trace = possible_trace(network, unknown)
        assert answer(analysed(trace, input_resolution=shape[1:3])) == answer(static)

    @given(
        st.lists(fixed_strides.filter(is_seamless), min_size=1, max_size=5), st.data()
    )
    @examples(30)
    def test_never_given(self, layers, data):
        """Nothing is said that some size contradicts."""
        network = chain(*layers)
        trace = possible_trace(network, (1, None, None, 2))
        unknown = analysed(trace, input_resolution="unknown")
        for _ in range(4):
            sizes = data.draw(st.tuples(*[st.integers(20, 60)] * 2))
            possible_trace(network, (1, *sizes, 2), largest=10**9)
            field = analysed(trace, input_resolution=sizes)
            # A bound of the given size may be wider.
            assert not field.exact or (unknown.size >= field.size).all()
            for stride, stride_here in zip(unknown.stride, field.stride, strict=True):
                # None is no stride: nothing moves along an axis of one feature.
                assert None in (stride, stride_here) or stride == stride_here
