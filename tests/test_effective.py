"""Effective receptive fields: against gradients of networks with random weights."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import stored
from needed import needed
from random_search import seeds

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.passes import pairs
from receptive_field.questions import effective
from receptive_field.questions.question import Options, Question

keras = needed("keras")
tf = needed("tensorflow")
layers = keras.layers

HEIGHT, WIDTH, CHANNELS = 19, 22, 3


def asked(model, output=None, resolution=None, feature=None, image=None):
    """The computed effective receptive field of a tensor of a model."""
    question = Question.ask(load(model), image, [output], Options(resolution))
    ((_, tensor),) = question.outputs.items()
    return effective.analytic(question, tensor, feature)


# --- Linear networks as functions of an image and a source of weights ----------------


class Net:
    """Layers without offsets and activations.

    ``weight(shape, products)`` gives independent weights of mean zero and a variance of
    one over the number of products that an output is the sum of.
    """

    def __init__(self, weight):
        self.weight = weight

    def conv(self, x, channels, kernel=3, stride=1, padding="SAME", dilation=1):
        rows, columns = np.broadcast_to(kernel, 2)
        shape = [rows, columns, x.shape[-1], channels]
        kernel = self.weight(shape, rows * columns * x.shape[-1])
        return tf.nn.conv2d(x, kernel, stride, padding, dilations=dilation)

    def depthwise(self, x, kernel=3, stride=1, padding="SAME"):
        weights = self.weight([kernel, kernel, x.shape[-1], 1], kernel * kernel)
        strides = [1, stride, stride, 1]
        return tf.nn.depthwise_conv2d(x, weights, strides, padding)

    def transposed(self, x, channels, size, kernel=3, stride=2, padding="SAME"):
        shape = [kernel, kernel, channels, x.shape[-1]]
        weights = self.weight(shape, kernel**2 * x.shape[-1] / stride**2)
        size = [x.shape[0], *size, channels]
        return tf.nn.conv2d_transpose(x, weights, size, stride, padding)

    def dense(self, x, units):
        return x @ self.weight([x.shape[-1], units], x.shape[-1])

    def average(self, x, kernel=2, stride=2, padding="SAME"):
        return tf.nn.avg_pool2d(x, kernel, stride, padding)

    def bilinear(self, x, size, **options):
        options = {"half_pixel_centers": True} | options
        return tf.raw_ops.ResizeBilinear(images=x, size=size, **options)

    def nearest(self, x, size, **options):
        options = {"half_pixel_centers": True} | options
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size, **options)

    def bicubic(self, x, size):
        resize = tf.raw_ops.ResizeBicubic
        return resize(images=x, size=size, half_pixel_centers=True)


def convolutions(net, x):
    x = net.conv(x, 4, (3, 5), 2)
    x = net.conv(x, 5, 3, dilation=2)
    return net.conv(x, 3, 2, padding="VALID")


def residual(net, x):
    x = net.conv(x, 4)
    for _ in range(2):
        x = x + net.conv(net.conv(x, 6), 4)
    short = net.conv(x, 5, 1, 2, "VALID")
    return short + net.conv(net.conv(x, 5, 3, 2), 5)


def joined(net, x):
    x = tf.concat([net.conv(x, 2, 1), net.conv(x, 6, 5)], -1)
    x = tf.concat([x, net.conv(x, 4)], -1)
    x = tf.concat([net.average(x, 3, 1), x], -1)
    return net.conv(x, 3)


def separable(net, x):
    x = net.conv(net.depthwise(x, 5, 2), 6, 1)
    x = x + net.depthwise(x)
    return net.conv(net.depthwise(x, padding="VALID"), 4, 1)


def overlapping_poolings(net, x):
    """Neighbours with the same gradient stay alike below a convolution."""
    x = net.average(net.conv(x, 4), 3, 1)
    x = net.average(net.conv(x, 4), 3, 1, "VALID")
    x = net.average(net.average(x, 3, 2), 2, 1)
    return net.average(net.conv(x, 4), 3, 1)


def strided_between_poolings(net, x):
    x = net.average(x, 5, 1)
    x = net.conv(x, 4, 3, 2)
    return net.average(net.conv(x, 4, dilation=2), 3, 2)


def raised_between_poolings(net, x):
    """What a pooling has made alike, a transposed convolution takes apart."""
    x = net.average(x, 3, 1)
    x = net.transposed(x, 3, [2 * HEIGHT, 2 * WIDTH], 4)
    return net.average(x, 3, 1)


def parallel_without_weights(net, x):
    """What meets without weights in between, is added up before it is squared."""
    x = net.conv(x, 4)
    x = x + net.average(x, 3, 1)
    x = net.conv(x, 3, padding="VALID") + 0.0
    blurred = net.average(net.average(x, 3, 1), 3, 1)
    x = (x - blurred) + x
    return net.conv(x, 4)


def shifted_ways(net, x):
    """What a resize below a pooling has made alike, meets at other positions."""
    x = net.average(net.conv(x, 4), 3, 1)
    shifted = tf.pad(x, [[0, 0], [4, 0], [0, 3], [0, 0]])[:, : x.shape[1], 3:]
    x = net.conv(x + shifted, 4)
    other = net.nearest(tf.pad(x, [[0, 0], [1, 2], [5, 0], [0, 0]]), x.shape[1:3])
    return net.average(net.bilinear(net.conv(x + other, 3), [12, 31]), 3, 2)


def pyramid(net, x):
    """A U-Net with a bilinear and a nearest resize."""
    one = net.conv(x, 3)
    two = net.conv(net.average(one), 4)
    three = net.conv(net.average(two), 5)
    up = net.bilinear(net.conv(three, 5), two.shape[1:3])
    up = net.conv(tf.concat([up, two], -1), 4)
    up = net.nearest(up, one.shape[1:3])
    return net.conv(tf.concat([up, one], -1), 3)


def resizes(net, x):
    x = net.bilinear(net.conv(x, 4), [13, 31])
    x = net.bilinear(net.conv(x, 4), [20, 17], half_pixel_centers=False)
    x = net.bicubic(net.conv(x, 3), [27, 21])
    x = net.nearest(x, [14, 30])
    return net.conv(net.average(x, 3, 1), 3)


def repeated(net, x):
    """Upsampling and pooling by reshapes alone."""
    x = net.average(net.conv(x, 4), 2, 2, "VALID")
    x = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
    x = net.average(net.conv(x, 4), 3, 1)
    rows, columns = x.shape[1] // 3, x.shape[2] // 2
    x = x[:, : 3 * rows, : 2 * columns]
    x = tf.reshape(x, [x.shape[0], rows, 3, columns, 2, x.shape[-1]])
    return tf.reduce_mean(x, [2, 4])


def transposed(net, x):
    x = net.conv(x, 4, 3, 2)
    x = net.average(net.transposed(x, 3, [HEIGHT, WIDTH]), 3, 1)
    x = net.transposed(x, 4, [3 * HEIGHT, 3 * WIDTH], 2, 3)
    return net.conv(x, 3, 5)


def moved(net, x):
    """Padding, cropping, mirroring, flipping, rolling, joining along an axis."""
    x = net.conv(x, 4)
    x = tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]], "REFLECT")
    x = net.average(x[:, 1:, ::2], 3, 1)
    x = tf.concat([x[:, -4:], x, x[:, :2]], 1)
    x = tf.roll(tf.reverse(x, [2]), 3, 2)
    x = tf.transpose(net.conv(x, 3), [3, 2, 1, 0])
    x = tf.transpose(x[:, 1:], [3, 2, 1, 0])
    return net.conv(net.average(x, 3, 2), 3, padding="VALID")


def blocks(net, x):
    """Positions that become channels or images for a while."""
    x = net.conv(x, 3)[:, :18, :20]
    x = net.conv(tf.nn.space_to_depth(x, 2), 8)
    x = net.conv(tf.nn.depth_to_space(x, 2), 4)
    x = tf.space_to_batch(net.average(x, 3, 1), [2, 2], [[1, 1], [0, 2]])
    x = net.conv(x, 3, 3, padding="VALID")
    return net.average(tf.batch_to_space(x, [2, 2], [[1, 0], [0, 1]]), 2, 1)


def of_other_ranks(net, x):
    """Axes that come and go where rows are left out and turned around."""
    x = net.average(x, 3, 1)[:, ::2, None]
    x = tf.gather(net.conv(x[:, ::-1, 0], 4), [[0, 2, 4], [1, 5, 6]], axis=1)
    return net.average(tf.reshape(x, [x.shape[0], 6, *x.shape[3:]]), 3, 1)


def by_channels(net, x):
    """Layers that slide along the channels, with the rows as a batch."""
    x = net.conv(net.conv(x, 8)[0, ..., None], 1, (1, 3))
    x = net.average(x, (1, 2), (1, 2))
    return net.conv(x[None, ..., 0], 3)


def masked(net, x):
    """Rows and channels that are taken from one of two tensors."""
    rows = np.arange(HEIGHT)[:, None, None] % 3 < 2
    x = tf.where(rows, net.average(x, 3, 1), -x)
    x = net.conv(net.average(x, 3, 1), 4)
    x = tf.where(np.arange(4) < 1, net.conv(x, 4, 5), x)
    return net.conv(x, 3)


def dense(net, x):
    """Features that see everything through a dense layer, or a mean."""
    x = net.average(net.conv(x, 4, 5, 3), 3, 1)
    whole = net.dense(tf.reshape(x, [x.shape[0], -1]), 5)
    mean = net.dense(tf.reduce_mean(x, [1, 2]), 5)
    return (whole + mean)[:, None, None]


NETWORKS = (
    convolutions,
    residual,
    joined,
    separable,
    overlapping_poolings,
    strided_between_poolings,
    raised_between_poolings,
    parallel_without_weights,
    shifted_ways,
    pyramid,
    resizes,
    repeated,
    transposed,
    moved,
    blocks,
    of_other_ranks,
    by_channels,
    masked,
    dense,
)


def random_network(seed):
    """A network of random layers, and of branches that meet by addition or joining."""

    def build(net, x):
        random = np.random.default_rng(seed)
        names = []  # Of the layers so far.

        def is_resized():
            """Twice is enough: what several resizes in a row see takes minutes."""
            return sum(name in ("bilinear", "nearest") for name in names) > 1

        def layer(x):
            kernel, stride = int(random.integers(1, 6)), int(random.integers(1, 3))
            if min(x.shape[1:3]) < 8:
                stride = 1
            padding = str(random.choice(["SAME", "SAME", "VALID"]))
            if min(x.shape[1:3]) <= kernel:
                padding = "SAME"
            size = [int(s * random.uniform(0.7, 1.6)) for s in x.shape[1:3]]
            kinds = {
                "conv": lambda: net.conv(x, 4, kernel, stride, padding),
                "dilated": lambda: net.conv(x, 3, 3, dilation=kernel),
                "depthwise": lambda: net.depthwise(x, kernel, stride, padding),
                "average": lambda: net.average(x, kernel, stride, padding),
                "blur": lambda: net.average(x, 3, 1),
                "bilinear": lambda: net.bilinear(x, size),
                "nearest": lambda: net.nearest(x, size),
                "transposed": lambda: net.transposed(
                    x, 3, [2 * s - 1 for s in x.shape[1:3]], kernel + 1
                ),
                "pad": lambda: tf.pad(x, [[0, 0], [1, 2], [kernel, 0], [0, 0]]),
                "crop": lambda: x[:, 1:, 1:-1],
            }
            if max(x.shape[1:3]) >= 20:
                del kinds["transposed"]
            if min(x.shape[1:3]) < 4:
                del kinds["crop"]  # It would leave nothing in the end.
            if is_resized():
                del kinds["bilinear"], kinds["nearest"]
            names.append(str(random.choice(list(kinds))))
            return kinds[names[-1]]()

        def like(x, other):
            height, width = other.shape[1:3]
            if x.shape[1:3] == other.shape[1:3]:
                return x
            if is_resized():
                x = x[:, :height, :width]
                rows, columns = height - x.shape[1], width - x.shape[2]
                return tf.pad(x, [[0, 0], [rows, 0], [0, columns], [0, 0]])
            names.append(str(random.choice(["bilinear", "nearest"])))
            return getattr(net, names[-1])(x, [height, width])

        for _ in range(3):
            x = layer(x)
            other = like(layer(x), x)
            if random.random() < 0.5:
                other = like(layer(other), x)
            if random.random() < 0.5:
                x = tf.concat([x, other], -1)
            else:
                if x.shape[-1] != other.shape[-1]:
                    other = net.conv(other, x.shape[-1], 1)
                x = x + other
        return net.conv(x, 3)

    return build


def fixed_graph(build, shape=(1, HEIGHT, WIDTH, CHANNELS)):
    """The network with weights as inputs of a graph, which only says their shapes."""
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, shape, name="image")

        def weight(shape, products):
            return tf.compat.v1.placeholder(tf.float32, [int(n) for n in shape])

        return tf.identity(build(Net(weight), image), name="features")


def squared_gradients(build, feature, draws, shape=(1, HEIGHT, WIDTH, CHANNELS)):
    """Squared gradients of a feature, [draw, y, x], each with weights of its own.

    Weights are plus or minus their standard deviation. The channels of the feature are
    added up with random signs, so that the square is expected to be the sum of squares;
    it is divided by their number.

    Args:
      draws: a range of numbers, each of which makes all weights of one draw.
    """

    def draw(number):
        counted = itertools.count()

        def signs(shape):
            seed = tf.stack([number, next(counted)])
            bits = tf.random.stateless_uniform(shape, seed, 0, 2, tf.int32)
            return tf.cast(2 * bits - 1, tf.float32)

        def weight(shape, products):
            return signs(shape) / math.sqrt(products)

        image = tf.zeros(shape)
        features = build(Net(weight), image)[0, feature[1], feature[0]]
        count = features.shape[-1]
        loss = tf.reduce_sum(features * signs([count])) / math.sqrt(count)
        (gradient,) = tf.gradients(loss, image)
        return tf.reduce_sum(gradient[0] ** 2, -1)

    @tf.function
    def run(numbers):
        return tf.map_fn(draw, numbers, fn_output_signature=tf.float32)

    return run(tf.range(draws.start, draws.stop)).numpy().astype(np.float64)


def doubts(samples, expected, errors):
    """Positions, and at the end the sum of all, whose mean over the draws is further
    from what is expected than so many standard errors."""
    found = np.append(
        samples.reshape(len(samples), -1), samples.sum((1, 2))[:, None], 1
    )
    expected = np.append(expected, expected.sum())
    error = found.std(0, ddof=1) / math.sqrt(len(found))
    rounding = 1e-5 * expected + 1e-9
    return np.abs(found.mean(0) - expected) > errors * error + rounding


FIRST, SECOND = range(1000), range(1000, 9000)
"""Draws of the two trials of `hold`."""


def hold(build, feature=None):
    """Holds the computed map against the mean over draws.

    What is more than four standard errors away is in doubt; it fails if it is five away
    in another trial, eight times as long, that shares no draw with the first.

    A single trial would be wrong too often: squares of gradients are skewed, and the
    mean of a thousand was four errors away at one of 5000 positions. That it is five
    away again, by chance, has a probability below 1e-5, so that of 10,000 comparisons
    one is wrong less than once in ten thousand runs. Maps that were made wrong on
    purpose, by a factor of two or none at one position, were all found.
    """
    features = fixed_graph(build)
    found = asked(features, feature=feature, image="image")
    assert found.assumed == ()
    assert found.exact
    expected = found.map * found.total
    samples = squared_gradients(build, found.feature, FIRST)
    # The positions that matter are the same, but for a few that hardly do.
    mean = samples.mean(0)
    matter = np.where(expected > 1e-9, 2 * mean > 1e-9, mean < 2e-9)
    assert matter.mean() > 0.98
    doubtful = doubts(samples, expected, 4)
    if doubtful.any():
        again = squared_gradients(build, found.feature, SECOND)
        assert not (doubtful & doubts(again, expected, 5)).any()
    return found


@pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)
def test_linear_networks(build):
    hold(build)


@pytest.mark.parametrize("feature", [(0, 0), (9, 0), (9, 8)])
def test_features_at_the_border(feature):
    hold(residual, feature)


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds("linear networks", 4))
def test_random_linear_networks(seed):
    hold(random_network(seed))


# --- Closed forms --------------------------------------------------------------------


def through(*stack, shape):
    x = image = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_a_deep_stack_is_a_gaussian(depth):
    """The sum of independent uniform steps: Luo et al., 2016, section 2."""
    size = 2 * depth + 1
    convs = [layers.Conv2D(2, 3, activation="relu") for _ in range(depth)]
    found = asked(through(*convs, shape=(size, size + 2, 3)))
    assert found.feature == (1, 0)
    profile = np.ones(1)
    for _ in range(depth):
        profile = np.convolve(profile, np.ones(3) / 3)
    assert found.profiles[0] == pytest.approx(np.pad(profile, 1), abs=1e-12)
    assert found.profiles[1] == pytest.approx(profile)
    expected = np.outer(profile, np.pad(profile, 1))
    assert found.map == pytest.approx(expected, abs=1e-12)
    assert found.total == pytest.approx(1)
    assert found.deviation == pytest.approx(math.sqrt(depth * (3**2 - 1) / 12))
    assert found.center == pytest.approx([depth + 1, depth])
    if depth == 16:
        gaussian = np.exp(-(np.arange(-16, 17) ** 2) / (2 * depth * 2 / 3))
        assert profile == pytest.approx(gaussian / gaussian.sum(), abs=2e-3)
        within = np.abs(np.arange(-16, 17)) <= (found.size[0] - 1) / 2
        assert profile[within].sum() >= 0.9545
        assert profile[within].sum() - 2 * profile[within][0] < 0.9545


def test_an_average_weighs_each_tap_by_one_over_k():
    """Of a map of 5, SAME pooling by 3 with stride 2 sees 2, 3 and 2 positions."""
    found = [
        asked(
            through(layers.AveragePooling2D((3, 1), (2, 1), "same"), shape=(5, 1, 1)),
            feature=[0, feature],
        )
        for feature in range(3)
    ]
    assert [f.total for f in found] == pytest.approx([2 / 4, 3 / 9, 2 / 4])
    assert found[1].map[:, 0] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3, 0])


def test_averages_of_averages_add_up_before_they_are_squared():
    pools = [layers.AveragePooling2D((1, 3), 1) for _ in range(2)]
    found = asked(through(*pools, shape=(1, 5, 1)))
    taps = np.array([1, 2, 3, 2, 1]) / 9
    assert found.map[0] * found.total == pytest.approx(taps**2)
    conv = layers.Conv2D(1, 1)
    found = asked(through(pools[0], conv, pools[1], shape=(1, 5, 1)))
    assert found.map[0] * found.total == pytest.approx(taps**2)


def test_what_is_subtracted_cancels():
    image = keras.Input((1, 5, 2))
    blurred = layers.AveragePooling2D((1, 3), 1, padding="same")(image)
    found = asked(keras.Model(image, layers.Subtract()([image, blurred])))
    assert found.feature == (2, 0)
    expected = np.array([0, 1 / 9, 4 / 9, 1 / 9, 0])
    assert found.map[0] * found.total == pytest.approx(expected)


def test_the_input_itself_and_its_activation():
    image = keras.Input((3, 3, 2), name="image")
    found = asked(keras.Model(image, image * keras.ops.sigmoid(image)))
    assert found.assumed == ()
    assert found.map.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    model = keras.Model(image, layers.Conv2D(2, 3)(image))
    assert asked(model, "image").map.tolist() == found.map.tolist()


def stacked(net, x):
    return tf.reduce_sum(tf.stack([net.average(x, (1, 3), 1), x], 1), 1)


def unrolled(net, x):
    x = net.average(x, (1, 3), 1)
    return net.average(tf.stack(tf.unstack(x, axis=2), 2), (1, 3), 1)


def turned_beside(net, x):
    return tf.transpose(tf.transpose(x, [0, 2, 1, 3]), [0, 2, 1, 3]) + x


def many_ways(net, x):
    inner = net.average(x, (1, 3), 1)
    return tf.add_n([net.average(inner, (1, 1 + n), 1) for n in range(17)]) + x


@pytest.mark.parametrize("build", [stacked, unrolled, turned_beside, many_ways])
def test_gradients_that_may_cancel_unseen_are_assumed_independent(build):
    """They are added before they are squared, which the pass follows up to a point."""
    found = asked(fixed_graph(build, (1, 1, 40, 2)), image="image")
    assert found.assumed
    assert not found.exact


@pytest.mark.parametrize("between", [False, True])
def test_pairs_that_are_too_many_are_assumed_independent(between, monkeypatch):
    monkeypatch.setattr(pairs, "MOST_PAIRS", 30)
    pools = [layers.AveragePooling2D((1, 3), 1) for _ in range(2)]
    stack = [pools[0], layers.Conv2D(1, 1), pools[1]] if between else pools
    found = asked(through(*stack, shape=(1, 15, 1)))
    assert found.assumed
    taps = np.array([1, 2, 3, 2, 1]) / 81  # Three ninths of each of three positions.
    assert found.map[0, 5:10] * found.total == pytest.approx(taps)


def test_indices_of_each_row_are_assumed_to_be_anywhere_between():
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, (1, 2, 4, 1), name="image")
        rows = tf.constant([[[0, 2, 1], [2, 2, 0]]])
        taken = tf.gather(image, rows, axis=2, batch_dims=2)
    found = asked(graph, taken.name, image="image")
    assert found.assumed == (taken.op.name,)
    assert found.map[0] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


def test_a_maximum_takes_each_position_as_often():
    stack = layers.MaxPooling2D(2), layers.ReLU(), layers.MaxPooling2D(3)
    found = asked(through(*stack, shape=(6, 6, 4)))
    assert found.map == pytest.approx(np.full((6, 6), 1 / 36))
    assert found.total == pytest.approx(1)
    assert found.exact
    image = keras.Input((3, 3, 4))
    largest = keras.ops.max(image, axis=-1, keepdims=True)
    found = asked(keras.Model(image, layers.AveragePooling2D(3)(largest)))
    assert found.map == pytest.approx(np.full((3, 3), 1 / 9))
    assert found.total == pytest.approx(1 / 9)


def test_one_and_three_axes():
    found = asked(through(layers.Conv1D(3, 5, dilation_rate=2), shape=(9, 2)))
    assert found.map.tolist() == pytest.approx([0.2, 0] * 4 + [0.2])
    assert found.feature == (0,)
    stack = layers.Conv3D(2, (3, 2, 1)), layers.AveragePooling3D((1, 1, 2))
    found = asked(through(*stack, shape=(3, 2, 2, 1)))
    assert found.map == pytest.approx(np.full((3, 2, 2), 1 / 12))
    assert [profile.shape for profile in found.profiles] == [(2,), (2,), (3,)]


def test_an_activation_of_a_product_is_none_of_features():
    """Swish is written ``x * sigmoid(x)``; a gate is told of."""
    image = keras.Input((7, 7, 4))
    x = layers.Conv2D(4, 3)(image)
    swish = x * keras.ops.sigmoid(x)
    found = asked(keras.Model(image, swish))
    assert found.assumed == ()
    assert found.map[2:5, 2:5] == pytest.approx(np.full((3, 3), 1 / 9))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(gate)
    found = asked(keras.Model(image, x * gate))
    assert len(found.assumed) == 1
    assert not found.exact
    assert (found.map > 0).all()
    assert found.map[3, 3] > 1 / 18


def test_a_factor_is_not_seen_where_the_other_is_padding():
    """The real gradient vanishes at the same pixels."""
    image = keras.Input((8, 9, 1))
    inner = layers.ZeroPadding2D(((2, 1), (0, 3)))(layers.Conv2D(4, (4, 4))(image))
    outer = layers.Conv2D(4, 1)(image)
    product = layers.Multiply()([inner, outer])
    model = keras.Model(image, layers.Conv2D(4, 5, name="last")(product))
    for feature in ([0, 0], [4, 3], [2, 1]):
        found = asked(model, "last", feature=feature)
        measured = rf.measure_effective_receptive_field(
            model, output="last", feature=feature, draws=4
        )
        assert ((found.map > 0) == (measured.map > 0)).all()
        seen = rf.compute_receptive_field(model, output="last").support().mask(feature)
        assert ((found.map > 0) == seen).all()
    beside = asked(keras.Model(image, product), feature=[1, 3])
    assert beside.map.sum() == pytest.approx(1)
    with pytest.raises(rf.ReceptiveFieldError, match="sees nothing"):
        asked(keras.Model(image, product), feature=[1, 1])


def test_attention_shares_out_evenly_but_for_the_query():
    """Of the products with the values and of queries with keys, each has a half."""
    image = keras.Input((4, 4, 6))
    x = layers.Reshape((16, 6))(image)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    found = asked(keras.Model(image, layers.Reshape((4, 4, 6))(x)))
    expected = np.full((4, 4), 3 / 4 / 16)
    expected[1, 1] += 1 / 4
    assert len(found.assumed) == 3
    assert found.map == pytest.approx(expected)


def test_a_recurrent_layer_is_assumed_to_be_even():
    image = keras.Input((6, 2))
    found = asked(keras.Model(image, layers.GRU(3, return_sequences=True)(image)))
    assert found.assumed
    assert found.map == pytest.approx(np.full(6, 1 / 6))


def test_resnet_sees_far_less_than_its_receptive_field():
    model = stored.application("ResNet50")
    field = rf.compute_receptive_field(model, output="conv5_block3_out")
    found = asked(model, "conv5_block3_out")
    assert found.assumed == ()
    assert found.map.shape == (224, 224)
    assert found.map.sum() == pytest.approx(1)
    assert found.map == pytest.approx(found.map.T)
    assert (field.size == 483).all()
    uniform = 483 / math.sqrt(12)
    assert (found.deviation < uniform / 3).all()
    assert (found.size < field.size / 3).all()
    center = field.compute_input_center_coordinates(found.feature)
    assert found.center == pytest.approx(center, abs=8)


# --- Real gradients ------------------------------------------------------------------


def test_measured_with_the_weights_of_the_model():
    model = through(layers.Conv2D(5, (3, 2), padding="same"), shape=(6, 8, 3))
    found = effective.measure_effective_receptive_field(
        model, feature=[4, 3], draws=400, seed=3
    )
    kernel = model.layers[-1].kernel.numpy().astype(np.float64)
    expected = np.zeros((6, 8))
    expected[2:5, 4:6] = (kernel**2).sum((2, 3)) / 5
    difference = np.abs(found.map * found.total - expected)
    assert (difference <= 5 * found.standard_error * found.total + 1e-12).all()
    assert found.draws == 400
    assert not found.exact
    assert found.map.sum() == pytest.approx(1)
    again = effective.measure_effective_receptive_field(
        model, feature=[4, 3], draws=400, seed=3
    )
    assert (again.map == found.map).all()


def test_a_measured_profile_is_near_the_computed_one():
    """A wide network is near the mean over its weights."""
    keras.utils.set_random_seed(5)
    he = {"kernel_initializer": "he_normal", "activation": "relu"}
    stack = [layers.Conv2D(48, 3, **he) for _ in range(4)]
    stack.insert(2, layers.AveragePooling2D(3, 2))
    model = through(*stack, shape=(25, 25, 3))
    found = effective.measure_effective_receptive_field(model, draws=64)
    computed = asked(model, feature=found.feature)
    assert found.deviation == pytest.approx(computed.deviation, rel=0.03)
    assert found.center == pytest.approx(computed.center, abs=0.3)
    for one, two in zip(found.profiles, computed.profiles, strict=True):
        assert np.abs(one - two).sum() < 0.1


def test_measured_of_an_inner_layer_and_one_of_two_inputs():
    one, two = keras.Input((5, 5, 1), name="one"), keras.Input((5, 5, 1), name="two")
    x = layers.Conv2D(2, 3, name="inner")(layers.Concatenate()([one, two]))
    model = keras.Model([one, two], layers.Dense(2)(layers.Flatten()(x)))
    found = effective.measure_effective_receptive_field(
        model, output="inner", input="two", draws=4
    )
    assert found.input == "two"
    assert found.output == "inner"
    kernel = model.get_layer("inner").kernel.numpy()[:, :, 1]
    assert set(zip(*np.nonzero(found.map), strict=True)) == {
        (y, x) for y in range(1, 4) for x in range(1, 4)
    }
    assert found.total == pytest.approx((kernel**2).sum() / 2, rel=0.9)


def test_measured_of_a_layer_that_is_called_twice():
    """The two calls together have the kernel convolved with itself."""
    twice = layers.Conv2D(1, 3, name="twice")
    image = keras.Input((8, 8, 1))
    output = twice(twice(image))
    model = keras.Model(image, output)
    found = effective.measure_effective_receptive_field(model, feature=[1, 2], draws=2)
    kernel, both = twice.kernel.numpy()[:, :, 0, 0], np.zeros((5, 5))
    for (y, x), weight in np.ndenumerate(kernel):
        both[y : y + 3, x : x + 3] += weight * kernel
    expected = np.zeros((8, 8))
    expected[2:7, 1:6] = both**2
    assert found.map * found.total == pytest.approx(expected, abs=1e-5)
    model = keras.Model(image, [output, layers.ReLU()(output)])
    with pytest.raises(rf.ReceptiveFieldError, match="called once"):
        effective.measure_effective_receptive_field(model, output="twice")


def test_measured_of_a_model_that_is_no_chain_of_layers():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = layers.Conv2D(1, 3, name="inner")
            self.last = layers.Conv2D(1, 2, name="last")

        def call(self, x):
            return self.last(self.inner(x))

    model = Own()
    model(np.zeros((1, 6, 6, 1), np.float32))
    found = effective.measure_effective_receptive_field(model, feature=[1, 0], draws=2)
    assert np.nonzero(found.map.any(axis=0))[0].tolist() == [1, 2, 3, 4]
    assert np.nonzero(found.map.any(axis=1))[0].tolist() == [0, 1, 2, 3]
    with pytest.raises(rf.ReceptiveFieldError, match="cannot be cut at 'inner'"):
        effective.measure_effective_receptive_field(model, output="inner")


# --- Errors --------------------------------------------------------------------------


def test_errors():
    model = through(layers.Conv2D(2, 3), shape=(None, None, 1))
    with pytest.raises(rf.ReceptiveFieldError, match="input_resolution"):
        asked(model)
    assert asked(model, resolution=[8, 9]).map.shape == (8, 9)
    with pytest.raises(rf.ReceptiveFieldError, match=r"map has 7 x 6 features"):
        asked(model, resolution=[8, 9], feature=[7, 0])
    with pytest.raises(rf.ReceptiveFieldError, match="no feature"):
        asked(model, resolution=[8, 9], feature=[1.5, 0])
    with pytest.raises(rf.ReceptiveFieldError, match="input_resolution"):
        effective.measure_effective_receptive_field(model)
    with pytest.raises(rf.ReceptiveFieldError, match="Keras"):
        effective.measure_effective_receptive_field(rf.EXAMPLE_GRAPH)
    with pytest.raises(rf.ReceptiveFieldError, match="draws"):
        effective.measure_effective_receptive_field(model, draws=1)
    zero = through(layers.Conv2D(1, 3, kernel_initializer="zeros"), shape=(5, 5, 1))
    with pytest.raises(rf.ReceptiveFieldError, match="no gradient"):
        effective.measure_effective_receptive_field(zero)
    stopped = through(layers.Lambda(tf.stop_gradient), layers.ReLU(), shape=(5, 5, 1))
    with pytest.raises(rf.ReceptiveFieldError, match="no gradient"):
        effective.measure_effective_receptive_field(stopped)
    with pytest.raises(rf.ReceptiveFieldError, match="share"):
        asked(zero).interval(0)
    far = through(
        layers.ZeroPadding2D(4), layers.Conv2D(1, 2, padding="same"), shape=(5, 5, 1)
    )
    with pytest.raises(rf.ReceptiveFieldError, match="sees nothing"):
        asked(far, feature=[0, 0])


def test_dilation_along_an_axis_of_one_position():
    """Its phases and what is left of the axis begin at the same place."""
    image = keras.Input((7, 1, 2), batch_size=1)
    layer = layers.Conv2D(2, (2, 1), dilation_rate=(2, 1), name="dilated")
    field = rf.compute_receptive_field(keras.Model(image, layer(image)))
    effective = field.effective_receptive_field([0, 1])
    np.testing.assert_allclose(effective.profiles[1], [0, 0.5, 0, 0.5, 0, 0, 0])
