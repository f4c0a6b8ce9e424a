"""Rules of ops that are no everyday convolution, against what their kernels do."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
from dependency import analysed, check, positive, traced
from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from raw_ops import check_possible, op, weights, words

import receptive_field as rf

tf = needed("tensorflow")

small = st.integers(1, 3)
images = st.tuples(st.just(1), st.integers(4, 9), st.integers(4, 9), st.just(2))
new_sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))
single = {"dtype": "float32"}


# --- Windows -------------------------------------------------------------------------


@given(images, st.tuples(*[small] * 6), st.sampled_from(["SAME", "VALID"]))
@examples(30)
def test_extracted_patches(shape, numbers, padding):
    height, width, s, t, d, e = numbers
    check_possible(
        lambda x: op(
            "ExtractImagePatches",
            x,
            ksizes=[1, height, width, 1],
            strides=[1, s, t, 1],
            rates=[1, d, e, 1],
            padding=padding,
        ),
        shape,
        largest=4000,
        spacing=(d, e),
    )


@given(st.tuples(*[small] * 6), st.sampled_from(["SAME", "VALID"]))
@examples(15)
def test_extracted_volumes(numbers, padding):
    check_possible(
        lambda x: op(
            "ExtractVolumePatches",
            x,
            ksizes=[1, *numbers[:3], 1],
            strides=[1, *numbers[3:], 1],
            padding=padding,
        ),
        (1, 3, 4, 5, 1),
        largest=4000,
        axes=(1, 2, 3),
        spacing=(1, 1, 1),
    )


@given(images, st.tuples(*[small] * 6), st.sampled_from(["SAME", "VALID"]))
@examples(30)
def test_grey_scale_dilation(shape, numbers, padding):
    height, width, s, t, d, e = numbers
    check_possible(
        lambda x: op(
            "Dilation2D",
            x,
            weights(x, height, width, 2),
            strides=[1, s, t, 1],
            rates=[1, d, e, 1],
            padding=padding,
        ),
        shape,
        spacing=(d, e),
    )


@pytest.mark.parametrize("name", ["FractionalMaxPool", "FractionalAvgPool"])
@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("pseudo_random", [False, True])
@pytest.mark.parametrize("ratio", [1.0, 1.3, 1.44, 1.73])
def test_fractional_pooling(name, overlapping, pseudo_random, ratio):
    """Where pools begin is random: every one must be within the bounds."""
    for seed in range(1, 9):
        field = check(
            lambda x, seed=seed: op(
                name,
                x,
                pooling_ratio=[1.0, ratio, 1.44, 1.0],
                overlapping=overlapping,
                pseudo_random=pseudo_random,
                deterministic=True,
                seed=seed,
                seed2=seed,
            )[0],
            (1, 11, 13, 1),
        )
        assert not field.exact


# --- Resizing ------------------------------------------------------------------------


@given(images, new_sizes, st.sampled_from(["legacy", "corners", "half"]))
@examples(60)
def test_bicubic_resize(shape, size, mode):
    check_possible(
        lambda x: op(
            "ResizeBicubic",
            x,
            tf.constant(size),
            align_corners=mode == "corners",
            half_pixel_centers=mode == "half",
        ),
        shape,
        **single,
    )


def test_bicubic_resize_just_below_a_position():
    """11 * (13 / 11) is less than 13 in float32; the kernel's table rounds it to 13."""
    network = bicubic_corners(12)
    graph = traced(network, (1, 14, 1, 1)).graph.as_graph_def(add_shapes=True)
    field = rf.compute_receptive_field(graph)
    region = field.compute_input_region([0, 11])[1].tolist()
    row = np.eye(14, dtype=np.float32).reshape(14, 14, 1, 1)
    read = np.flatnonzero(network(row).numpy()[:, 11, 0, 0])
    assert region == [read[0], read[-1]] == [13, 13]


def bicubic_corners(size):
    return lambda x: op("ResizeBicubic", x, tf.constant([size, 1]), align_corners=True)


@given(images, new_sizes, st.booleans())
@examples(60)
def test_area_resize(shape, size, corners):
    check_possible(
        lambda x: op("ResizeArea", x, tf.constant(size), align_corners=corners),
        shape,
        **single,
    )


KERNELS = words(
    "lanczos1 lanczos3 lanczos5 gaussian box triangle keyscubic mitchellcubic"
)


def by_kernel(size, scales, offset, kernel, antialias):
    return lambda x: op(
        "ScaleAndTranslate",
        x,
        tf.constant(size),
        tf.constant(scales, tf.float32),
        tf.constant(offset, tf.float32),
        kernel_type=kernel,
        antialias=antialias,
    )


@pytest.mark.slow
@given(
    images,
    new_sizes,
    st.sampled_from(KERNELS),
    st.booleans(),
    st.sampled_from([(0.0, 0.0), (1.0, -0.5)]),
    st.sampled_from([None, (0.5, 1.5)]),
)
@examples(20)
def test_scale_and_translate(shape, size, kernel, antialias, offset, scale):
    scales = scale or (size[0] / shape[1], size[1] / shape[2])
    build = by_kernel(size, scales, offset, kernel, antialias)
    check_possible(build, shape, **single)


@pytest.mark.parametrize("scale", [0.0, 1e-40, -1.0, np.inf, np.nan])
def test_nothing_is_known_of_a_scale_that_has_no_inverse(scale):
    build = by_kernel((4, 4), (1.0, scale), (0.0, 0.0), "triangle", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        field = analysed(traced(build, (1, 6, 6, 1), "float32"))
    assert field.size.tolist() == [np.inf, 1]
    assert not field.exact


def test_what_is_effective_of_an_image_that_is_moved():
    """Pixels 0 and 1 of the output lie before the image."""
    build = by_kernel((6, 6), (1.0, 1.0), (2.0, 2.0), "triangle", False)
    field = analysed(traced(build, (1, 6, 6, 1), "float32"))
    effective = field.effective_receptive_field([2, 5])
    assert np.argwhere(effective.map).tolist() == [[3, 0]]
    with pytest.raises(rf.ReceptiveFieldError, match="sees nothing"):
        field.effective_receptive_field([1, 5])


@pytest.mark.parametrize("method", ["bilinear", "bicubic", "nearest", "area"])
def test_what_is_effective_of_a_resize_to_the_same_size(method):
    build = lambda x: tf.image.resize(x, (5, 7), method)  # noqa: E731
    effective = analysed(traced(build, (1, 5, 6, 1), "float32"))
    found = effective.effective_receptive_field([3, 2]).profiles[1]
    assert found.tolist() == [0, 0, 1, 0, 0]


def test_a_lanczos_kernel_of_radius_three_reads_five_pixels():
    """From 7 to 3: the middle one is centred on pixel 3, and 0 and 6 lie at the end."""
    field = analysed(
        traced(
            lambda x: tf.image.resize(x, (3, 1), "lanczos3"), (1, 7, 1, 1), "float32"
        )
    )
    assert field.compute_input_region([0, 1])[1].tolist() == [1, 5]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("kernel", "antialias", "scale", "region", "seen"),
    [
        # Three pixels apart, all others lie at whole distances, the third at the end.
        ("lanczos3", False, "1/3", (-1, 3), [0, 1, 2, 3]),
        ("keyscubic", False, "1/3", (1, 1), [1]),
        ("mitchellcubic", False, "1/3", (0, 2), [0, 1, 2]),
        # Three times as wide: zero at 3, 6 and 9 pixels.
        ("lanczos1", True, "1/3", (-1, 3), [0, 1, 2, 3]),
        ("lanczos3", True, "1/3", (-7, 9), list(range(10))),
        ("triangle", True, "1/3", (-1, 3), [0, 1, 2, 3]),
        # A pixel and a half is 8/7 of 21/16, as wide as this one is.
        ("mitchellcubic", True, "16/21", (-2, 2), [0, 1, 2]),
    ],
)
def test_zeros_of_kernels(kernel, antialias, scale, region, seen, known):
    """By arithmetic: where a kernel ends, and where a cubic is zero."""
    ratio = Fraction(scale)
    count = ratio.denominator if known else None

    size = 4 * ratio.numerator, 1
    build = by_kernel(size, (float(ratio), 1.0), (0.0, 0.0), kernel, antialias)
    field = analysed(traced(build, (1, count and 4 * count, 1, 1), "float32"))
    assert field.compute_input_region([0, 0])[1].tolist() == list(region)
    assert field.exact
    if known:
        assert field.support().exact
        assert np.flatnonzero(field.support().mask([0, 0])).tolist() == seen
        counts = field.effective_receptive_field([0, 0]).map
        assert np.flatnonzero(counts).tolist() == seen


@pytest.mark.parametrize(
    "method", ["lanczos3", "bicubic", "area", "gaussian", "mitchellcubic"]
)
def test_scales_of_unknown_sizes_are_known(method):
    """Twice the size of an image of any size."""

    def build(x):
        return tf.image.resize(x, 2 * tf.shape(x)[1:3], method)

    known = analysed(traced(build, (1, 9, 9, 1), "float32"))
    unknown = analysed(traced(build, (1, None, None, 1), "float32"))
    assert [a.map for a in known.axes] == [a.map for a in unknown.axes]


# --- Along axes ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Cumsum", "Cumprod", "CumulativeLogsumexp"])
@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative(name, axis, exclusive, reverse):
    field = check(
        lambda x: op(name, x, axis, exclusive=exclusive, reverse=reverse),
        (1, 5, 6, 2),
    )
    assert field.exact


def test_a_cumulative_sum_is_one_sided():
    field = check(lambda x: tf.cumsum(x, 1), (1, 5, 6, 2))
    assert field.compute_input_region([2, 3])[1].tolist() == [np.iinfo(int).min, 3]
    assert field.size.tolist() == [1, np.inf]
    assert field.stride.tolist() == [1, 1]


@pytest.mark.parametrize("name", ["FFT", "IFFT", "FFT2D", "IFFT2D"])
def test_spectra(name):
    def build(x):
        y = op(name, tf.cast(tf.transpose(x, (0, 3, 1, 2)), tf.complex128))
        return tf.transpose(tf.math.real(y) + tf.math.imag(y), (0, 2, 3, 1))

    field = check(build, (1, 5, 6, 2))
    assert field.exact


@pytest.mark.parametrize("name", ["rfft", "rfft2d", "irfft", "irfft2d"])
def test_spectra_of_real_numbers(name):
    def build(x):
        y = tf.transpose(x, (0, 3, 1, 2))
        if name.startswith("i"):
            y = tf.cast(y, tf.complex128)
        y = getattr(tf.signal, name)(y)
        return tf.transpose(tf.math.real(y), (0, 2, 3, 1))

    check(build, (1, 5, 6, 2))


@pytest.mark.parametrize("lengths", [(3, 4), (5, 6), (5, 10), (8, 9), (7, 2)])
@pytest.mark.parametrize("name", ["rfft", "rfft2d", "irfft", "irfft2d"])
def test_spectra_of_other_lengths(name, lengths):
    """A shorter one leaves out the end of the axis, a longer one adds zeros."""

    def build(x):
        y = tf.transpose(x, (0, 3, 1, 2))
        if name.startswith("i"):
            y = tf.complex(y, 2 * y)
        count = 2 if name.endswith("2d") else 1
        y = getattr(tf.signal, name)(y, lengths[-count:])
        return tf.transpose(tf.math.real(y) + 2 * tf.math.imag(y), (0, 2, 3, 1))

    assert check(build, (1, 5, 6, 2)).exact


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    "shape", [(6, 5), (1, 6, 5), (4, 6, 5), (2, 1, 6, 5), (2, 4, 6, 5), (1, 1, 6, 5)]
)
def test_matrices_of_other_ranks(shape, swapped):
    """The axes before the matrices broadcast, from either side."""

    def build(x):
        taps = weights(x, *shape)
        y = tf.transpose(x, (0, 3, 1, 2))
        if swapped:
            y = tf.transpose(y @ taps if shape[-1] == 5 else y, (0, 1, 3, 2))
        else:
            y = taps @ y
        return tf.transpose(y, (0, 2, 3, 1))

    check(build, (1, 5, 6, 4), spacing=(1, 1))


EQUATIONS = [
    ("bhwc,cd->bhwd", (2, 3)),
    ("bhwc,wv->bhvc", (6, 4)),
    ("bhwc,hg->bgwc", (5, 3)),
    ("...c,cd->...d", (2, 3)),
    ("bhwc->bwhc", None),
    ("bhwc->bhc", None),
    ("b...c,c...->b...", (2,)),
]


@pytest.mark.parametrize(("equation", "shape"), EQUATIONS)
def test_einsum(equation, shape):
    def build(x):
        operands = [x] if shape is None else [x, weights(x, *shape)]
        y = op("Einsum", operands, equation=equation)
        return y if y.shape.rank == 4 or equation.endswith("c") else y[..., None]

    check(build, (1, 5, 6, 2))


def test_attention_by_einsum():
    def build(x):
        scores = tf.einsum("bhwc,bhvc->bhwv", x, x)
        return tf.einsum("bhwv,bhvc->bhwc", tf.nn.softmax(scores), x)

    field = check(build, (1, 4, 5, 2))
    assert field.size.tolist() == [np.inf, 1]


# --- Indices -------------------------------------------------------------------------


def test_embedding_follows_its_indices():
    def build(x):
        indices = tf.cast(tf.abs(x), tf.int32)[..., 0]
        return tf.gather(tf.constant(positive((2000, 3))), indices)

    field = check(build, (1, 4, 5, 1), values=(3.0, 4.0))
    assert list(field) == [1, 1, 1, 1, 0, 0]


def test_gather_in_batches():
    def build(x):
        indices = tf.argsort(x, axis=2)
        return tf.gather(x, indices, axis=2, batch_dims=2)[..., 0]

    check(build, (1, 4, 5, 1))


def test_one_hot():
    def build(x):
        return tf.one_hot(tf.cast(x[..., 0] * 2, tf.int32), 2500)

    field = check(build, (1, 4, 5, 1), values=(3.0, 4.0))
    assert list(field) == [1, 1, 1, 1, 0, 0]


def test_gathered_slices():
    def build(x):
        return tf.gather_nd(x, [[[0, 1], [0, 3]]])

    field = check(build, (1, 4, 5, 2))
    assert not field.exact


def test_updated_slices():
    def build(x):
        return tf.tensor_scatter_nd_update(x, [[0, 1, 2]], x[:, 3, 4])

    assert not check(build, (1, 4, 5, 2)).exact


def test_band_of_a_matrix():
    def build(x):
        y = tf.linalg.band_part(tf.transpose(x, (0, 3, 1, 2)), 2, 2)
        return tf.transpose(y, (0, 2, 3, 1))

    field = check(build, (1, 5, 6, 2))
    assert list(field) == [1, 1, 1, 1, 0, 0]
    assert not field.exact


def test_inverse_permutation():
    def build(x):
        order = tf.constant([2, 0, 3, 1])
        y = tf.transpose(x, [2, 0, 3, 1])
        return tf.transpose(y, tf.math.invert_permutation(order))

    field = check(build, (1, 5, 6, 2))
    assert list(field) == [1, 1, 1, 1, 0, 0]


# --- Images --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        tf.image.rgb_to_hsv,
        tf.image.hsv_to_rgb,
        lambda x: tf.image.adjust_hue(x, 0.2),
        lambda x: tf.image.adjust_saturation(x, 0.7),
        lambda x: tf.image.adjust_contrast(x, 0.7),
    ],
)
def test_colours(change):
    field = check(change, (1, 4, 5, 3), values=(0.2, 0.8), **single)
    assert field.exact


def test_warp():
    def build(x):
        turn = [[0.8, -0.6, 1.0, 0.6, 0.8, 0.0, 0.0, 0.0]]
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=x,
            transforms=turn,
            output_shape=[5, 6],
            fill_value=0.0,
            interpolation="BILINEAR",
        )

    assert not check(build, (1, 5, 6, 2), **single).exact


def test_crops():
    def build(x):
        boxes = [[0.1, 0.2, 0.7, 0.8]]
        return tf.image.crop_and_resize(x, boxes, [0], (3, 4))

    assert not check(build, (1, 5, 6, 2), **single).exact


# --- Quantised and fused -------------------------------------------------------------


def quantized(x):
    return tf.quantization.quantize(x, 0.0, 2.0, tf.quint8)


def real(output, low, high):
    return tf.quantization.dequantize(output, low, high)


def test_quantised_convolution():
    def build(x):
        y, low, high = quantized(x)
        kernel = tf.quantization.quantize(weights(x, 3, 2, 1, 2), 0.0, 2.0, tf.quint8)
        z = tf.raw_ops.QuantizedConv2D(
            input=y,
            filter=kernel[0],
            min_input=low,
            max_input=high,
            min_filter=kernel[1],
            max_filter=kernel[2],
            strides=[1, 2, 2, 1],
            padding="SAME",
        )
        return real(*z)

    field = check(build, (1, 7, 8, 1), **single)
    assert list(field)[:4] == [2, 3, 2, 2]
    assert field.exact


@pytest.mark.parametrize("name", ["QuantizedMaxPool", "QuantizedAvgPool"])
def test_quantised_pooling(name):
    def build(x):
        y, low, high = quantized(x)
        z = getattr(tf.raw_ops, name)(
            input=y,
            min_input=low,
            max_input=high,
            ksize=[1, 3, 2, 1],
            strides=[1, 2, 1, 1],
            padding="VALID",
        )
        return real(*z)

    field = check(build, (1, 7, 8, 1), **single)
    assert list(field) == [2, 3, 1, 2, 0, 0]


@pytest.mark.parametrize("name", ["QuantizedRelu", "QuantizedRelu6"])
def test_quantised_activations(name):
    def build(x):
        y, low, high = quantized(x)
        z = getattr(tf.raw_ops, name)(features=y, min_features=low, max_features=high)
        return real(*z)

    assert list(check(build, (1, 4, 5, 1), **single)) == [1, 1, 1, 1, 0, 0]


def test_quantised_sum():
    def build(x):
        y = quantized(x)
        z = tf.raw_ops.QuantizedAdd(
            x=y[0], y=y[0], min_x=y[1], max_x=y[2], min_y=y[1], max_y=y[2]
        )
        return tf.cast(tf.bitcast(z[0], tf.int32), tf.float32)

    assert list(check(build, (1, 4, 5, 1), **single)) == [1, 1, 1, 1, 0, 0]


def test_ranges_of_the_input_are_global():
    """Where the range is that of the image, every pixel sees all of it."""

    def build(x):
        low, high = tf.reduce_min(x), tf.reduce_max(x)
        return real(*tf.quantization.quantize(x, low, high, tf.quint8))

    field = check(build, (1, 4, 5, 1), **single)
    assert field.is_global
    assert list(field.local) == [1, 1, 1, 1, 0, 0]


def fused(name, x, kernel, **attributes):
    """What TensorFlow's optimiser makes of an op with a bias and an activation."""
    bias = weights(x, kernel.shape[-1] * (kernel.shape[-2] if "Depth" in name else 1))
    values = {
        "T": attr(type=x.dtype.as_datatype_enum),
        "num_args": attr(i=1),
        "fused_ops": attr(list=attr.ListValue(s=[b"BiasAdd", b"Relu"])),
        **attributes,
    }
    if name != "_FusedMatMul" and name != "_FusedDepthwiseConv2dNative":
        types = attr.ListValue(type=[x.dtype.as_datatype_enum])
        values |= {"TArgs": attr(list=types), "num_host_args": attr(i=0)}
    graph = tf.compat.v1.get_default_graph()
    inputs = [x, kernel, bias]
    return graph.create_op(name, inputs, [x.dtype], name="fused", attrs=values).outputs[
        0
    ]


attr = tf.compat.v1.AttrValue
SAME = attr(s=b"SAME")
STRIDES = attr(list=attr.ListValue(i=[1, 2, 2, 1]))


def test_fused_convolution():
    def build(x):
        kernel = weights(x, 3, 2, 2, 2)
        return fused("_FusedConv2D", x, kernel, strides=STRIDES, padding=SAME)

    field = check(build, (1, 7, 8, 2), **single)
    assert list(field) == [2, 3, 2, 2, 0, 1]
    assert field.exact


def test_fused_depthwise_convolution():
    def build(x):
        kernel = weights(x, 3, 2, 2, 1)
        name = "_FusedDepthwiseConv2dNative"
        return fused(name, x, kernel, strides=STRIDES, padding=SAME)

    definition = traced(build, (1, 7, 8, 2), "float32")
    assert list(analysed(definition)) == [2, 3, 2, 2, 0, 1]


def test_fused_matrix_product():
    def build(x):
        y = fused("_FusedMatMul", tf.reshape(x, (20, 2)), weights(x, 2, 3))
        return tf.reshape(y, (1, 4, 5, 3))

    assert list(check(build, (1, 4, 5, 2), **single)) == [1, 1, 1, 1, 0, 0]


def test_what_is_left_of_nothing_is_not_rolled():
    with pytest.raises(rf.ReceptiveFieldError, match="takes no position"):
        check(lambda x: tf.roll(x[:, 5:5], 1, 1), (1, 9, 3))


def test_an_input_of_one_axis():
    """Which values are the first of their kind depends on all of them."""
    trace = traced(lambda x: tf.unique(x)[0], (10,))
    names = {"input": trace.input.name, "output": trace.output.name}
    field = rf.compute_receptive_field(trace.graph, **names)
    assert (field.size.tolist(), field.feature_axes[0].output_axis) == ([np.inf], None)
    field = rf.compute_receptive_field(
        traced(lambda x: x[2:5] + 1, (10,)).graph, input="input"
    )
    assert field.compute_input_region([1]).tolist() == [[3, 3]]
