"""Support, clipped regions and projective fields: every feature, position by position.

`dependency.hold` compares them with the experiment in every test that uses it. Here are
the random networks of all kinds, what the paper and common sense say of small ones, and
mistakes.
"""

import math
import random

import numpy as np
import pytest
from dependency import check, hold_support, measured, traced, vanishes
from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_networks import held
from random_search import examples, seeds
from raw_ops import chain, merged, op, weights, words

import receptive_field as rf
from receptive_field.algebra.axis_map import (
    EVERYTHING,
    Periodic,
    Tabulated,
    convolution,
    one_sided,
    periodic,
    table,
)
from receptive_field.relations import boxes, joins, relation

tf = needed("tensorflow")
keras = needed("keras")


def field_of(build, shape, **options):
    trace = traced(build, shape)
    graph = trace.graph.as_graph_def(add_shapes=True)
    return rf.compute_receptive_field(
        graph, input=trace.input.name, output=trace.output.name, **options
    )


def conv(*kernel, strides=1, dilations=1, padding="SAME"):
    def layer(x):
        taps = weights(x, *kernel, x.shape[-1], 1)
        return tf.nn.convolution(x, taps, strides, padding, dilations=dilations)

    return layer


@pytest.mark.parametrize("seed", seeds("networks of all kinds", 16))
def test_random_networks(seed):
    """None is smaller than the truth, none larger that claims to be exact."""
    held(seed)


SMALL_LIMITS = {
    (boxes, "MOST_BOXES"): 1,
    (boxes, "MOST_TAPS"): 1,
    (relation, "MOST_THREADS"): 1,
    (relation, "LARGEST_PERIOD"): 2,
    (joins, "MOST_PARTS"): 1,
    (joins, "LONGEST_JOINED_AXIS"): 4,
}


@pytest.mark.parametrize("seed", seeds("networks with small limits", 6))
def test_what_goes_beyond_a_limit_is_a_bound(seed, monkeypatch):
    for (module, name), limit in SMALL_LIMITS.items():
        monkeypatch.setattr(module, name, limit)
    held(seed)


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_hardly_any_feature_is_a_bound(first):
    """One random network in five hundred has features that come out too large."""
    for seed in range(first, first + 20):
        _, tally = held(seed)
        assert not tally.larger


class TestSupport:
    def test_a_dilated_kernel_has_holes(self):
        support = field_of(conv(3, 3, dilations=2), (1, 7, 9, 1)).support()
        assert np.flatnonzero(support.projections([4, 3])[0]).tolist() == [2, 4, 6]
        assert support.coverage([4, 3]) == pytest.approx(9 / 25)

    def test_a_step_longer_than_its_kernel_leaves_positions_out(self):
        """A 1x1 convolution with stride 2 never sees three quarters of its input."""
        support = field_of(conv(1, 1, strides=2), (1, 8, 8, 1)).support()
        assert support.exact
        assert support.unseen().mean() == 0.75

    def test_two_branches_see_a_plus(self):
        network = merged(tf.add_n, conv(1, 3), conv(3, 1))
        support = field_of(network, (1, 5, 5, 1)).support()
        plus = np.zeros((5, 5), bool)
        plus[2, 1:4] = plus[1:4, 2] = True
        assert (support.mask([2, 2]) == plus).all()
        assert support.coverage([2, 2]) == pytest.approx(5 / 9)

    def test_gridding_of_an_atrous_stack(self):
        """Of equal rates that do not mix, a feature sees one position out of each."""
        layers = [conv(3, 3, dilations=4)] * 3
        support = field_of(chain(*layers), (1, 31, 31, 1)).support()
        seen = support.projections([15, 15])[0]
        assert np.flatnonzero(seen).tolist() == list(range(3, 28, 4))
        assert support.coverage([15, 15]) == pytest.approx((7 / 25) ** 2)

    @pytest.mark.parametrize("axis", [1, 2])
    @pytest.mark.parametrize(
        ("size", "times", "block"), [(21, 2, 3), (8, 3, 2), (6, 4, 6), (10, 6, 15)]
    )
    def test_blocks_of_what_was_repeated(self, axis, size, times, block):
        """The axis is divided twice, and neither division is a part of the other."""

        def network(x):
            shape = np.where(np.arange(2) == axis - 1, block, 1)
            x = tf.repeat(x, times, axis)
            return tf.batch_to_space(
                2 * tf.space_to_batch(x, shape, [[0, 0]] * 2), shape, [[0, 0]] * 2
            )

        shape = np.where(np.arange(4) == axis, size, 1)
        support = field_of(network, shape.tolist()).support()
        assert support.exact
        features = np.zeros((size * times, 2), int)
        features[:, 2 - axis] = np.arange(size * times)
        truth = features // times
        assert (support.region(features) == truth[:, :, None]).all()

    def test_one_axis(self):
        support = field_of(conv(2, padding="VALID"), (1, 4, 1)).support()
        assert support.mask([1]).tolist() == [False, True, True, False]
        assert support.region([[0], [2]]).tolist() == [[[0, 1]], [[2, 3]]]

    def test_pooling_over_space_leaves_the_other_paths_in_sight(self):
        def network(x):
            return conv(3, 3)(x) + tf.reduce_mean(x, [1, 2], keepdims=True)

        field = field_of(network, (1, 6, 6, 1))
        assert field.compute_input_region([0, 0], clip=True).tolist() == [[0, 5]] * 2
        local = field.local.compute_input_region([[0, 0], [3, 3]], clip=True)
        assert local.tolist() == [[[0, 1], [0, 1]], [[2, 4], [2, 4]]]


class TestClippedRegions:
    def test_what_is_cropped_in_between_is_not_seen(self):
        """The composed windows reach a real position that was cropped."""

        def network(x):
            return conv(3, 3)(tf.pad(x[:, 2:], [[0, 0], [2, 0], [0, 0], [0, 0]]))

        field = field_of(network, (1, 6, 6, 1))
        assert field.compute_input_region([3, 2]).tolist() == [[2, 4], [1, 3]]
        assert field.compute_input_region([3, 2], clip=True).tolist() == [
            [2, 4],
            [2, 3],
        ]

    def test_a_feature_in_the_padding_is_empty_on_both_axes(self):
        pads = [[0, 0], [2, 0], [0, 0], [0, 0]]
        field = field_of(lambda x: tf.pad(x, pads), (1, 3, 3, 1))
        assert field.compute_input_region([1, 0], clip=True).tolist() == [[0, -1]] * 2

    def test_taps_that_fall_outside(self):
        """The region is smaller than the hull cut to the input."""
        field = field_of(conv(3, 3, dilations=3), (1, 5, 5, 1))
        assert field.compute_input_region([1, 1]).tolist() == [[-2, 4]] * 2
        assert field.compute_input_region([1, 1], clip=True).tolist() == [[1, 4]] * 2

    def test_a_million_features(self):
        field = field_of(chain(conv(3, 3), conv(3, 3)), (1, 1000, 1000, 1))
        grid = np.stack(np.meshgrid(np.arange(1000), np.arange(1000)), axis=-1)
        clipped = field.compute_input_region(grid, clip=True)
        assert (clipped == np.clip(field.compute_input_region(grid), 0, 999)).all()

    def test_the_whole_input_of_a_network(self):
        field = rf.compute_receptive_field(
            rf.EXAMPLE_GRAPH, input_resolution=[299, 299]
        )
        assert field.support().exact
        regions = field.compute_input_region([[0, 0], [7, 7]], clip=True)
        assert (regions == [0, 298]).all()

    def test_a_size_that_depends_on_data_is_a_bound(self):
        """Where the rule of an op cannot say what it reads, every position may be."""

        def network(x):
            kept = tf.boolean_mask(x, tf.ones([4], bool), axis=1)
            return conv(3, 3)(tf.reshape(kept, [1, 4, 4, 1]))

        truth = measured(network, (1, 4, 4, 1))
        field = field_of(network, (1, 4, 4, 1))
        features = np.zeros((1, 4, 4, 2), int)
        features[...] = np.stack(np.indices((4, 4))[::-1], axis=-1)
        hold_support(field, truth, features)
        assert not field.support().exact


def after(x):
    return tf.cumsum(x, 1, reverse=True)


TWO_SUMS = {
    "all": (lambda x: tf.cumsum(x, 1) + after(x), True),
    "all but its own": (
        lambda x: (
            tf.cumsum(x, 1, exclusive=True)
            + tf.cumsum(x, 1, exclusive=True, reverse=True)
        ),
        False,
    ),
    "both ends": (lambda x: tf.cumsum(x, 1)[:, :3] + after(x)[:, 4:], False),
    "mirrored": (lambda x: tf.cumsum(x, 1) + tf.reverse(after(x), [1]), False),
    "other strides": (lambda x: tf.cumsum(x, 1)[:, :4] + after(x)[:, ::2], False),
}


@pytest.mark.parametrize(("network", "exact"), TWO_SUMS.values(), ids=TWO_SUMS)
def test_sums_from_both_sides(network, exact):
    """All of the axis is a bound if they leave out positions in between."""
    field = check(network, (1, 7, 1), axes=(1,))
    assert field.is_global
    assert field.exact is exact


def image(x):
    return tf.reshape(conv(3)(x), [1, 3, 4, 1])


ON_TOKENS = {
    "mirrored": lambda x: tf.pad(image(x), [[0, 0], [1, 1], [2, 1], [0, 0]], "REFLECT"),
    "picked": lambda x: tf.gather(image(x), [2, 0, 0], axis=1),
    "spread out": lambda x: tf.nn.conv2d_transpose(
        image(x), weights(x, 1, 1, 1, 1), [1, 6, 8, 1], 2
    ),
}


@pytest.mark.parametrize("network", ON_TOKENS.values(), ids=ON_TOKENS)
def test_images_made_of_tokens(network):
    assert check(network, (1, 12, 1), axes=(1,)).support().exact


def repeated(x):
    return tf.repeat(x, 10, 1)


LARGE_IN_BETWEEN = {
    "repeated": lambda x: conv(3, strides=10)(repeated(x)),
    "dilated": lambda x: conv(3, strides=10)(conv(20, dilations=2)(repeated(x))),
    "tokens": lambda x: conv(10, 1, strides=10)(
        tf.reshape(conv(3)(tf.reshape(repeated(x), [1, -1, 1])), [1, 60, 6, 1])
    ),
}


@pytest.mark.parametrize("network", LARGE_IN_BETWEEN.values(), ids=LARGE_IN_BETWEEN)
def test_sets_that_would_be_too_large_are_bounds(network, monkeypatch):
    monkeypatch.setattr(boxes, "LARGEST_GROUP", 300)
    monkeypatch.setattr(boxes, "MOST_TAPS", 3)
    shape = (1, 6, 6, 1) if network is LARGE_IN_BETWEEN["tokens"] else (1, 6, 1)
    field = check(network, shape, axes=range(1, len(shape) - 1))
    assert not field.support().exact


def test_features_that_see_a_mirrored_pixel():
    """With two pixels reflected in front, the second pixel is seen at 1 and at 3."""
    field = field_of(
        lambda x: tf.pad(x, [[0, 0], [2, 2], [0, 0]], "REFLECT"), (1, 5, 1)
    )
    seen = [[[1, 3]], [[2, 2]], [[6, 6]]]
    assert field.compute_feature_region([[1], [0], [4]]).tolist() == seen
    assert field.compute_feature_region([[1], [0], [4]], clip=True).tolist() == seen


class TestLongAndSparse:
    @pytest.mark.parametrize("reverse", [False, True])
    def test_windows_of_a_hundred_positions(self, reverse):
        """The running sum sees all before it, its own position included."""

        def network(x):
            return tf.cumsum(x, 1, reverse=reverse)

        field = check(network, (1, 100, 1), axes=(1,), spacing=(1,))
        region = field.compute_input_region([80], clip=True)
        assert region.tolist() == [[80, 99] if reverse else [0, 80]]

    def test_an_area_of_many_positions(self):
        def network(x):
            return tf.raw_ops.ResizeArea(images=x, size=[3, 1])

        check(network, (1, 200, 1, 1), spacing=(1, 1))

    def test_a_plus_over_positions_that_see_nothing(self):
        """A 1x3 beside a 3x1 over a map of which three quarters are empty: the hull of
        the plus holds a position where no arm does."""

        def network(x):
            taps = weights(x, 1, 1, 1, 1)
            spread = tf.nn.conv2d_transpose(x, taps, [1, 10, 10, 1], 2)
            return conv(1, 3)(spread) + conv(3, 1)(spread)

        field = check(network, (1, 5, 5, 1))
        assert not field.exact

    @pytest.mark.parametrize("join", [tf.add_n, lambda maps: tf.concat(maps, -1)])
    def test_empty_columns_over_repeated_ones(self, join):
        """Two of three columns see nothing of the first path, and hence no row."""

        def network(x):
            wide = tf.compat.v1.image.resize_nearest_neighbor(x, [9, 9])
            taps = weights(x, 1, 1, 1, 1)
            spread = tf.nn.conv2d_transpose(wide, taps, [1, 9, 27, 1], [1, 3])
            shifted = tf.pad(wide, [[0, 0], [2, 0], [0, 0], [0, 0]])
            return join([spread[:, :, :9], shifted[:, :9]])

        field = check(network, (1, 9, 8, 1))
        assert not field.exact

    def test_channels_of_a_depthwise_convolution_stay_apart(self):
        """The first one sees 1x1 and then 3x3, whatever the other one sees."""

        def network(x):
            joined = tf.concat([conv(1, 1)(x), conv(5, 5)(x)], -1)
            kernel = weights(x, 3, 3, 2, 1)
            apart = tf.nn.depthwise_conv2d(joined, kernel, [1, 1, 1, 1], "SAME")
            return apart[..., :1]

        field = field_of(network, (1, 13, 13, 1))
        assert not field.support().exact
        features = np.stack(np.indices((13, 13))[::-1], axis=-1)[np.newaxis]
        hold_support(field, measured(network, (1, 13, 13, 1)), features)


def test_a_table_is_not_taken_for_a_periodic_map_of_the_same_numbers():
    windows = [(0, 0), (2, 2), None]
    seen = np.eye(7, dtype=bool)
    repeated = boxes.image(seen, periodic(1, windows), 9)
    once = boxes.image(seen, table(windows, start=1), 9)
    assert repeated.sum(-1).tolist() == [1, 1, 0, 1, 1, 0, 1]
    assert once.sum(-1).tolist() == [0, 1, 1, 0, 0, 0, 0]


def resize(kind, size, **modes):
    """Of the height, on images of any rank."""

    def layer(x):
        wide = tf.reshape(x, [1, x.shape[1], -1, x.shape[-1]])
        sizes = tf.constant([size, wide.shape[2]])
        resized = tf.cast(op(kind, wide, sizes, **modes), x.dtype)
        return tf.reshape(resized, [1, size, *x.shape[2:]])

    return layer


def bilinear(size):
    return resize("ResizeBilinear", size, half_pixel_centers=True)


def bicubic(size):
    return resize("ResizeBicubic", size, half_pixel_centers=True)


def lanczos(size):
    def layer(x):
        resized = tf.image.resize(x, [size, x.shape[2]], "lanczos3", antialias=True)
        return tf.cast(resized, x.dtype)

    return layer


def tall(kernel, strides=1, padding="VALID"):
    """A convolution along the height."""

    def layer(x):
        ones = [1] * (x.shape.rank - 3)
        taps = weights(x, kernel, *ones, x.shape[-1], 1)
        return tf.nn.convolution(x, taps, [strides, *ones], padding)

    return layer


def rows(start=None, stop=None, step=None):
    return lambda x: x[:, start:stop:step]


def twice(x):
    return tf.tile(x, [1, 2] + [1] * (x.shape.rank - 2))


def shuffled(x):
    """Every third row, from the first on, from the second on, from the third on."""
    apart = tf.reshape(x, [1, -1, 3, *x.shape[2:]])
    others = range(3, x.shape.rank + 1)
    return tf.reshape(tf.transpose(apart, [0, 2, 1, *others]), x.shape)


def in_parts(layer):
    """Each half of the height as an image of its own."""

    def layers(x):
        parts = layer(tf.reshape(x, [2, -1, *x.shape[2:]]))
        return tf.reshape(parts, [1, -1, *x.shape[2:]])

    return layers


def halves(x):
    sizes = tf.constant([2 * x.shape[1], x.shape[2]])
    return tf.cast(op("ResizeBilinear", x, sizes, half_pixel_centers=True), x.dtype)


def transposed(network, order):
    """A network between a transpose and its inverse."""
    back = np.argsort(order)
    return lambda x: tf.transpose(network(tf.transpose(x, order)), back)


def hold_regions(network, shape, axis=1, channel=-1):
    """Holds unclipped regions, of both passes, against what features see of an axis.

    Returns:
      The map of the axis by the backward pass. Where it is exact, its windows within
      the image are what features see.
    """
    trace = traced(network, shape)
    graph = trace.graph.as_graph_def(add_shapes=True)
    start, end = trace.input.name, trace.output.name
    seen = measured(network, shape, (axis,), (channel,), trace=trace)
    others = {*range(seen.ndim - 1)} - {axis - (0 < channel < axis)}
    found = []
    for field in (
        rf.compute_receptive_field(graph, input=start, output=end),
        *rf.compute_receptive_fields(graph, input=start, outputs=[end]).values(),
    ):
        (axis_map,) = (a.map for a in field.axes if a.input_axis == axis)
        for u, row in enumerate(seen.any(tuple(others))):
            first, last = axis_map.window(u) or (0, -1)
            told = max(first, 0), min(last, shape[axis] - 1)
            hull = np.flatnonzero(row)[[0, -1]] if row.any() else (0, -1)
            assert told[0] <= hull[0]
            assert hull[1] <= told[1]
            assert not axis_map.exact or told == tuple(hull), f"feature {u} of {field}"
        found.append(axis_map)
    return found[0]


def random_chain(seed):
    """A network along the height without any padding, and the shape of its input."""
    while True:
        choose = random.Random(seed)
        seed += 1 << 40
        layers = [tall(1)]  # It says which axis is the height.
        for _ in range(choose.randint(2, 5)):
            size, step = choose.randint(1, 16), choose.randint(1, 3)
            kernel, modes = choose.randint(1, 4), choose.choice(MODES)
            kind = choose.choice(["ResizeBilinear", "ResizeBicubic"])
            layers.append(
                choose.choice(
                    [
                        rows(1),
                        rows(choose.randint(0, 1), -1),
                        rows(None, None, step),
                        rows(None, None, -1),
                        tall(kernel, step),
                        tall(kernel),
                        twice,
                        shuffled,
                        lambda x: tf.roll(x, 2, 1),
                        lambda x: tf.repeat(x, 2, axis=1),
                        lambda x: tf.concat([x, x], 1),
                        resize(kind, size, **modes),
                        bilinear(size),
                        resize("ResizeArea", size),
                    ]
                )
            )
        others = choose.choice([(), (2,), (2, 1)])
        network, shape = chain(*layers), (1, choose.randint(4, 12), *others, 1)
        try:
            trace = traced(network, shape)
        except (ValueError, TypeError):
            continue  # A map vanishes, or cannot be divided.
        if not vanishes(trace):
            return network, shape


MODES = ({"half_pixel_centers": True}, {"align_corners": True}, {})


@pytest.mark.parametrize("seed", seeds("ends of windows", 20))
def test_first_and_last_positions_are_those_of_the_windows(seed):
    numbers = np.random.default_rng(seed)

    def window():
        first, length = numbers.integers(-9, 30), numbers.integers(0, 9)
        ends = int(first), int(first + length)
        some = numbers.integers(0, 9)
        if some == 0:
            return None
        return EVERYTHING if some == 1 else (ends[0], math.inf) if some == 2 else ends

    windows = tuple(window() for _ in range(numbers.integers(1, 6)))
    start, advance = (int(n) for n in numbers.integers(-4, 6, 2))
    for strand in (Periodic(advance, windows), Tabulated(start, windows)):
        for step in (1, 3):
            firsts, lasts = boxes._ends(strand, 12, 20, step)
            for position, ends in enumerate(zip(firsts, lasts, strict=True)):
                first, last = strand.window(position) or (0, -1)
                first = 0 if first == -math.inf else first
                read = [n for n in range(20) if first <= n <= last]
                read = [n for n in read if (n - first) % step == 0]
                told = list(range(ends[0], min(ends[1], 19) + 1, step))
                assert told == read


class TestOutsideOfATensor:
    """What an op reads outside of its input may fall on pixels that nobody sees."""

    @pytest.mark.parametrize(
        ("network", "exact"),
        [
            # A resize reads the first and the last position in its place.
            (chain(rows(1), bilinear(22)), False),
            (chain(rows(0, -1), bilinear(22)), False),
            (chain(rows(0, -1), rows(None, None, -1), bilinear(22)), False),
            (chain(tall(2, 2), tall(3, 2), bilinear(4)), False),
            (chain(rows(2), lanczos(5)), False),
            (chain(rows(2), bicubic(5)), False),
            (in_parts(halves), False),
            # What would come after the last of shuffled or repeated rows is among them.
            (chain(shuffled, tall(3, padding="SAME")), False),
            (chain(twice, tall(3, 2, "SAME")), False),
            (chain(twice, tall(2), tall(3, padding="SAME")), False),
            (chain(lambda x: tf.concat([x, x], 1), tall(3, 2, "SAME")), False),
            (chain(lambda x: tf.concat([x, x], 1), tall(13, padding="SAME")), False),
            (chain(twice, bilinear(48)), False),
            # Nothing is left out below, or nothing is read outside.
            (chain(tall(2, 2), bilinear(12)), True),
            (chain(rows(None, None, -1), bilinear(24)), True),
            (chain(rows(1), resize("ResizeNearestNeighbor", 22)), True),
            (chain(rows(1), bilinear(11)), True),
            (chain(shuffled, tall(3)), True),
            (chain(twice, tall(3, 2)), True),
            (chain(twice, tall(2, 2, "SAME")), True),
            (chain(twice, tall(25, padding="SAME")), True),
            (chain(lambda x: tf.roll(x, 5, 1), bilinear(24)), True),
            (chain(lambda x: tf.roll(x, 5, 1), tall(3, padding="SAME")), True),
        ],
    )
    def test_exact_is_what_features_see(self, network, exact):
        assert hold_regions(network, (1, 12, 2, 1)).exact is exact

    def test_halves_of_an_upsampling_in_turns(self):
        """Two rows show one feature, which sees three; both passes tell it."""

        def in_turns(x):
            halves = tf.reshape(x, [1, 2, x.shape[1] // 2, *x.shape[2:]])
            return tf.reshape(tf.transpose(halves, [0, 2, 1, 3, 4]), x.shape)

        network = chain(tall(3), lambda x: tf.repeat(x, 2, axis=1), in_turns)
        trace = traced(network, (1, 12, 2, 1))
        graph = trace.graph.as_graph_def(add_shapes=True)
        fields = rf.compute_receptive_fields(graph, outputs=[trace.output.name])
        for field in (field_of(network, (1, 12, 2, 1)), *fields.values()):
            assert field.exact
            assert field.aligned
            assert field.size.tolist() == [1, 3]
        hold_regions(network, (1, 12, 2, 1))

    def test_zeros_count_as_positions_wherever_they_fall(self):
        """By the paper's formula, feature 2 begins at 2 * 2 - 2 and spans 7."""
        network = chain(tall(3, 2), tall(3, padding="SAME"))
        field = field_of(network, (1, 8, 2, 1))
        assert field.exact
        assert field.compute_input_region([0, 2]).tolist() == [[0, 0], [2, 8]]

    @pytest.mark.parametrize(("size", "exact"), [(7, True), (8, False)])
    @pytest.mark.parametrize(
        ("variant", "shape", "axis", "channel"),
        [
            (lambda network: tf.function(network), (1, None, 2, 1), 1, -1),
            (lambda network: network, (1, None, 1), 1, -1),
            (lambda network: network, (1, None, 2, 1, 1), 1, -1),
            (lambda network: transposed(network, [0, 2, 1, 3]), (1, 2, None, 1), 2, -1),
            (lambda network: transposed(network, [0, 2, 3, 1]), (1, 1, None, 2), 2, 1),
        ],
        ids=["function", "sequence", "volume", "width", "channels first"],
    )
    def test_wherever_it_stands(self, variant, shape, axis, channel, size, exact):
        """Of 8 rows, three windows of 3 with a stride of 2 leave out the last."""
        network = variant(chain(tall(3, 2), bilinear(6)))
        whole = tuple(size if n is None else n for n in shape)
        assert hold_regions(network, whole, axis, channel).exact is exact

    @pytest.mark.parametrize(
        "layer",
        [
            lambda: keras.layers.UpSampling2D(2, interpolation="bilinear"),
            lambda: keras.layers.Resizing(22, 24, "bicubic"),
        ],
        ids=["UpSampling2D", "Resizing"],
    )
    def test_keras_layers(self, layer, tmp_path):
        """Rows are cropped, columns are not."""
        image = keras.Input((12, 12, 1))
        cropped = keras.layers.Cropping2D(((1, 0), (0, 0)))(image)
        model = keras.Model(image, layer()(cropped))
        model.export(tmp_path / "saved")
        for source in (model, tmp_path / "saved"):
            x, y = rf.compute_receptive_field(source).axes
            assert (x.map.exact, y.map.exact) == (True, False)

    @pytest.mark.parametrize("seed", seeds("regions without padding", 16))
    def test_regions_without_padding(self, seed):
        hold_regions(*random_chain(seed))


class TestProjectiveField:
    def test_of_a_classic_network(self):
        """Equations (rf_loc_recurrence) the other way round."""
        field = field_of(chain(conv(3, 3), conv(3, 3, strides=2)), (1, 16, 16, 1))
        positions = np.stack(np.indices((16, 16))[::-1], axis=-1)
        features = np.stack(np.indices((8, 8))[::-1], axis=-1)
        regions = field.compute_input_region(features, clip=True)
        found = field.compute_feature_region(positions, clip=True)
        for position in np.ndindex(16, 16):
            x = np.array(position)[::-1]
            see = (regions[..., 0] <= x) & (x <= regions[..., 1])
            y, x = np.nonzero(see.all(-1))
            expected = [[x.min(), x.max()], [y.min(), y.max()]]
            assert found[position].tolist() == expected

    @pytest.mark.parametrize(
        "axis_map",
        [
            convolution(3, 2, 1),
            periodic(1, [(0, 0), (0, 1), None]),
            periodic(-2, [(3, 4)]),
            one_sided(last=2),
            one_sided(first=-1),
            convolution(3, 2) | convolution(1, 1),
            table([(2, 3), None, (0, 5)], start=-1),
            periodic(0, [(0, 4)]),
            periodic(-1, [(-np.inf, 0)]),
        ],
        ids=str,
    )
    def test_the_inverse_of_a_map(self, axis_map):
        positions = range(-40, 41)
        targets = np.arange(-8, 9)
        firsts, lasts = axis_map.inverse(targets)
        for target, first, last in zip(targets, firsts, lasts, strict=True):
            readers = [
                u
                for u in positions
                if any(
                    w is not None and w[0] <= target <= w[1]
                    for w in (strand.window(u) for strand in axis_map.strands)
                )
            ]
            assert bool(readers) == (first <= last)
            if readers:
                assert (min(readers), max(readers)) == (max(first, -40), min(last, 40))

    @given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
    @examples(60)
    def test_the_inverse_of_a_convolution_is_the_transposed_one(self, k, s, p, d):
        """A position is read by the features that the gradient goes back to."""
        targets = np.arange(0, 30)
        firsts, lasts = convolution(k, s, p, d).inverse(targets)
        for x, first, last in zip(targets, firsts, lasts, strict=True):
            hull = [
                u for u in range(-20, 60) if u * s - p <= x <= u * s - p + d * (k - 1)
            ]
            assert (first, last) == ((hull[0], hull[-1]) if hull else (np.inf, -np.inf))

    def test_an_axis_that_nothing_follows(self):
        field = field_of(lambda x: tf.reduce_mean(x, 1, keepdims=True), (1, 4, 5, 1))
        limits = [np.iinfo(np.int64).min, np.iinfo(np.int64).max]
        assert field.compute_feature_region([2, 3]).tolist() == [[2, 2], limits]
        assert field.compute_feature_region([2, 3], clip=True).tolist() == [
            [2, 2],
            [0, 0],
        ]

    def test_of_paths_over_a_whole_axis(self):
        """Gates, attention, recurrence: every feature may depend on every position."""

        def gated(x):
            return x * tf.reduce_mean(x, [1, 2], keepdims=True)

        limits = [np.iinfo(np.int64).min, np.iinfo(np.int64).max]
        field = field_of(gated, (1, 5, 6, 2))
        assert field.compute_feature_region([3, 4]).tolist() == [limits] * 2
        assert field.compute_feature_region([3, 4], clip=True).tolist() == [
            [0, 5],
            [0, 4],
        ]
        mixed = field_of(lambda x: tf.nn.softmax(x, axis=1), (1, 6, 2))
        assert mixed.compute_feature_region([3], clip=True).tolist() == [[0, 5]]


def grouped(x):
    """Two groups of channels, of which one sees more than the other."""
    wide = tf.nn.convolution(x, weights(x, 3, 3, 2), padding="SAME")
    narrow = tf.nn.convolution(x, weights(x, 1, 3, 2), padding="SAME")
    return tf.nn.convolution(tf.concat([wide, narrow], -1), weights(x, 1, 2, 4))


class TestMasks:
    """What is multiplied by a constant that has zeros, or by weights that may be zero,
    is never said to be exact."""

    @pytest.mark.parametrize(
        "network",
        [
            lambda x: x * tf.constant([[1.0], [0.0], [1.0], [1.0]], x.dtype),
            lambda x: tf.constant(np.tril(np.ones((4, 4))), x.dtype) @ x,
            lambda x: tf.where(np.arange(12).reshape(4, 3) < 7, x, tf.reverse(x, [1])),
            lambda x: tf.nn.softmax(x @ tf.transpose(x, [0, 2, 1])) @ x,
            lambda x: grouped(x)[..., 2:],
        ],
        ids=["factor", "matrix", "choice", "attention", "groups"],
    )
    def test_are_bounds(self, network):
        shape = (1, 4, 3)
        field = field_of(network, shape)
        assert not field.support().exact
        truth = measured(network, shape, [1])
        features = np.arange(4).reshape(1, 4, 1)
        if field.feature_axes[0].output_axis is None:
            features *= 0  # Rows of a product are no positions: a feature is all.
        hold_support(field, truth, features)


def pad(*pairs, **options):
    """On the first spatial axes, the rest as it is."""

    def layer(x):
        rest = [[0, 0]] * (x.shape.rank - 1 - len(pairs))
        return tf.pad(x, [[0, 0], *pairs, *rest], **options)

    return layer


def times(factor):
    """Multiplied by an enlarged input that has no zeros."""

    def network(x):
        product = factor(x)
        other = x
        for axis in range(1, x.shape.rank - 1):
            other = tf.repeat(other, 4, axis)
        other = tf.slice(other, [0] * x.shape.rank, [*product.shape[:-1], 1])
        return product * other

    return network


def biased(x):
    return x + weights(x, 1)


class TestZerosOfPaddings:
    """Where one factor is zero, the other one does not matter."""

    @pytest.mark.parametrize(
        "factor",
        [
            pad([1, 2], [2, 0]),
            chain(pad([0, 0], [1, 1]), tf.nn.relu, tf.tanh),
            chain(pad([4, 4], [0, 3]), conv(3, 3)),
            chain(pad([4, 4], [0, 3]), conv(3, 3), biased),
            chain(pad([2, 2]), tf.exp),
            chain(pad([1, 2], [2, 0]), lambda x: tf.reverse(x, [1])),
            chain(pad([3, 5], [4, 4]), lambda x: tf.nn.max_pool(x, 3, 2, "SAME")),
            pad([1, 2], [2, 0], constant_values=0.5),
            lambda x: tf.nn.conv2d_transpose(
                x, weights(x, 1, 1, 1, 1), [1, 10, 8, 1], 2
            ),
            lambda x: pad([1, 2], [2, 0])(x) * pad([2, 1], [0, 2])(x),
            lambda x: pad([1, 2])(x) + pad([2, 1])(x),
            lambda x: pad([1, 2])(x) / biased(tf.repeat(x, 4, 1)[:, :8]),
            lambda x: pad([1, 0])(x)[:, 0][:, None],
            lambda x: tf.gather(pad([1, 0])(x), 1, axis=1)[:, None],
            lambda x: tf.reduce_sum(pad([1, 0])(x)[:, :1], [1, 2], keepdims=True),
        ],
        ids=words(
            "padding elementwise convolution bias exp flip pooling other_number "
            "transposed product sum quotient row_of_zeros row_of_pixels sum_of_zeros"
        ),
    )
    def test_as_an_experiment_finds(self, factor):
        field = check(times(factor), (1, 5, 4, 1))
        assert field.support().exact

    @pytest.mark.parametrize(
        "factor",
        [
            lambda x: pad([1, 2], [2, 0])(x) + pad([2, 1], [0, 2])(x),
            lambda x: tf.concat([tf.zeros([1, 5, 2, 1], x.dtype), x], 2),
            chain(pad([1, 1]), pad([0, 0], [2, 0], constant_values=0.5)),
        ],
        ids=words("plus parts numbers_around_zeros"),
    )
    def test_what_is_no_product_of_axes_is_a_bound(self, factor):
        field = check(times(factor), (1, 5, 4, 1))
        assert not field.support().exact

    @pytest.mark.parametrize(
        ("number", "exact"),
        [
            (tf.reduce_sum, True),
            (lambda x: x[0, 0, 0, 0], False),
            (lambda x: tf.reduce_sum(x[:, :1]), False),
        ],
        ids=words("of_all zero sum_of_zeros"),
    )
    def test_a_single_number(self, number, exact):
        """A number has no axes, so it cannot be recorded that it is zero."""
        field = check(lambda x: x * number(pad([1, 0])(x)), (1, 3, 4, 1))
        assert field.support().exact is exact

    @pytest.mark.parametrize("shape", [(1, 5, 1), (1, 3, 4, 2, 1)])
    def test_of_any_rank(self, shape):
        axes = range(1, len(shape) - 1)
        field = check(times(pad([1, 2])), shape, axes)
        assert field.support().exact

    def test_channels_first(self):
        def network(x):
            last = conv(3, 3)(tf.transpose(x, [0, 2, 3, 1]))
            first = tf.transpose(last, [0, 3, 1, 2])
            factor = tf.pad(first, [[0, 0], [0, 0], [1, 0], [0, 2]])
            return factor * tf.pad(x, [[0, 0], [0, 0], [0, 1], [2, 0]], "SYMMETRIC")

        field = check(network, (1, 1, 4, 5), (2, 3), (1,))
        assert field.support().exact

    def test_dilated_layers_that_are_written_with_blocks(self):
        """Whether what lies between is zero is not told op by op, but by the sets."""

        def network(x):
            return conv(3, 3, dilations=2)(pad([2, 2])(x)) * pad([2, 2])(biased(x))

        assert check(network, (1, 6, 5, 1)).support().exact

    def test_a_gate_that_all_positions_share(self):
        """Nothing is seen in the padding, though the gate sees everything."""

        def network(x):
            return pad([0, 1])(x) * tf.reduce_mean(x, [1, 2], keepdims=True)

        field = check(network, (1, 3, 4, 1))
        clipped = field.compute_input_region([[2, 3], [2, 2]], clip=True)
        assert clipped.tolist() == [[[0, -1]] * 2, [[0, 3], [0, 2]]]
        assert field.compute_feature_region([0, 0], clip=True).tolist() == [
            [0, 3],
            [0, 2],
        ]

    @pytest.mark.parametrize("source", ["model", "function", "SavedModel"])
    def test_of_a_layer(self, source, tmp_path):
        keras = needed("keras")
        image = keras.Input((6, 6, 1), batch_size=1)
        inner = keras.layers.Conv2D(1, 3, name="inner")(image)
        product = keras.layers.Multiply()([keras.layers.ZeroPadding2D()(inner), image])
        model = keras.Model(image, product)
        if source == "function":
            given = tf.function(model, input_signature=[tf.TensorSpec([1, 6, 6, 1])])
        elif source == "SavedModel":
            given = str(tmp_path / "saved")
            model.export(given, verbose=False)
        else:
            given = model
        support = rf.compute_receptive_field(given).support()
        assert support.exact
        assert support.region([[0, 3], [1, 3]]).tolist() == [
            [[0, -1], [0, -1]],
            [[0, 2], [2, 4]],
        ]


def test_between_any_two_tensors():
    graph = rf.EXAMPLE_GRAPH
    field = rf.compute_receptive_field(
        graph,
        input="InceptionResnetV2/Conv2d_1a_3x3/Relu",
        output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
    )
    # 3x3 and 3x3 SAME, then a pooling by 3x3 with stride 2.
    assert list(field) == [7, 7, 2, 2, 1, 1]


class TestMistakes:
    FIELD = staticmethod(lambda: field_of(conv(3, 3), (1, 5, 7, 1)))

    @pytest.mark.parametrize(
        ("ask", "message"),
        [
            (lambda f: f.compute_input_region([7, 0], clip=True), "from 0 to 6"),
            (
                lambda f: f.compute_input_region([0, -1], clip=True),
                "axis y .* 5 positions, from",
            ),
            (lambda f: f.compute_input_region([1, 2, 3], clip=True), "2 entries"),
            (lambda f: f.compute_input_region([0.5, 1], clip=True), "integer"),
            (lambda f: f.compute_feature_region([0, 5], clip=True), "axis y .* input"),
            (lambda f: f.compute_feature_region([0.5, 1]), "integer"),
            (lambda f: f.support().mask([[0, 0]]), "one feature"),
            (lambda f: f.support().projections([1.5, 0]), "integers"),
            (lambda f: f.support().coverage([1]), "2 entries"),
        ],
    )
    def test_features_that_do_not_fit(self, ask, message):
        with pytest.raises(rf.ReceptiveFieldError, match=message):
            ask(self.FIELD())

    def test_an_unknown_size(self):
        field = field_of(conv(3, 3), (1, None, None, 1))
        for ask in (
            lambda: field.support(),
            lambda: field.compute_input_region([0, 0], clip=True),
        ):
            with pytest.raises(rf.ReceptiveFieldError, match="input_resolution"):
                ask()

    def test_too_large_to_hold(self):
        """A sound of a million samples: the support of all is refused, of some told."""
        field = field_of(conv(5, dilations=100), (1, 1_000_000, 1))
        with pytest.raises(
            rf.ReceptiveFieldError, match=r"1,000,000,000,000 bytes.*hull"
        ):
            field.support()
        assert field.support([[7]]).coverage([7]) == pytest.approx(3 / 201)
        regions = field.compute_input_region([[0], [500_000]], clip=True)
        assert regions.tolist() == [[[0, 200]], [[499_800, 500_200]]]
