"""What is said where the size is not known, held against every single size."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import random_search
import unknown_sizes
from needed import needed

import receptive_field as rf
from receptive_field.errors import GraphError, MisalignedError
from receptive_field.questions import every_size

tf = needed("tensorflow")
v1 = tf.compat.v1


def graph_of(network, shape=(1, None, None, 1)):
    with v1.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, shape, name="x")
        tf.identity(network(x), name="y")
    return graph.as_graph_def()


def ask(network, resolution=None, **options):
    """By both passes, which must agree."""
    graph = graph_of(network)
    given = {"input": "x", "input_resolution": resolution, **options}
    field = rf.compute_receptive_field(graph, output="y", **given)
    other = rf.compute_receptive_fields(graph, outputs=["y"], **given)["y"]
    assert list(field) == list(other)
    assert field.aligned is other.aligned
    assert field.exact is other.exact
    return field


def conv(x, kernel=3, stride=1, padding="SAME"):
    taps = tf.ones([kernel, kernel, x.shape[-1], 1])
    return tf.nn.conv2d(x, taps, stride, padding)


def row_conv(x, kernel, stride=1):
    return tf.nn.conv2d(x, tf.ones([kernel, 1, 1, 1]), [1, stride, 1, 1], "SAME")


def pyramid(kind):
    def network(x):
        fine = conv(x, 3, 2)
        coarse = conv(fine, 3, 2)
        return fine + tf.image.resize(coarse, tf.shape(fine)[1:3], kind)

    return network


# --- The rows of wrong answers -------------------------------------------------------


@pytest.mark.parametrize(("kind", "size"), [("nearest", 7), ("bilinear", 11)])
def test_resize_to_the_size_of_a_skip(kind, size):
    """A coarse position spans 7, and by bilinear weights two are read: 7 + 4."""
    field = ask(pyramid(kind))
    assert list(field) == [size, size, None, None, None, None]
    assert field.aligned is False
    assert field.local is field
    assert not field.global_nodes
    excluded = ask(pyramid(kind), global_context="exclude")
    assert excluded.size.tolist() == [size, size]
    for n in range(5, 48):
        single = ask(pyramid(kind), [n, n])
        assert single.size.tolist() == [size, size]
        assert single.aligned is False
        assert single.stride.tolist() == [2 if n % 4 in (0, 3) else None] * 2


def test_resize_to_the_size_of_a_skip_where_one_size_is_known():
    field = ask(pyramid("nearest"), [32, None])
    assert list(field) == [7, 7, None, 2, None, None]
    assert field.aligned is False


def test_resolutions_of_a_resize_to_the_size_of_a_skip():
    """Misaligned at every size, and no padding."""
    found = rf.resolutions(graph_of(pyramid("nearest")), input="x", output="y")
    for n in range(8, 40):
        assert found.at(n) == ((False, None), (False, None))


@pytest.mark.parametrize("kernels", itertools.permutations((2, 3, 3)))
def test_order_of_branches_means_nothing(kernels):
    """A kernel of 2 pads nothing in front, one of 3 one or nothing: centres differ by
    half a position at even sizes, and at odd ones."""

    def network(x):
        mirrored = tf.reverse(x, [1, 2])
        return tf.add_n([conv(mirrored, kernel, 2) for kernel in kernels])

    field = ask(network)
    assert field.aligned is False
    assert list(field)[:4] == [3, 3, -2, -2]
    assert {ask(network, [n, n]).aligned for n in range(3, 20)} == {False}


@pytest.mark.parametrize("join", [tf.add, lambda a, b: tf.concat([a, b], 3)])
def test_rolled_copies_are_misaligned(join):
    field = ask(lambda x: join(x, tf.roll(x, [1, 1], [1, 2])))
    assert field.aligned is False
    assert field.size.tolist() == [float("inf")] * 2
    assert not field.exact
    assert field.local is field  # Nothing mixes the whole axis.


def test_rolled_copies_have_no_stride():
    """The first feature sees 0 and 8, all others see two neighbours."""
    field = ask(lambda x: x + tf.roll(x, 1, 1), [9, 9])
    assert list(field) == [1, 9, 1, None, 0, None]
    assert field.compute_input_region([0, 8]).tolist() == [[0, 0], [7, 8]]
    centres = field.compute_input_center_coordinates([[0, 0], [0, 8]])
    assert centres.tolist() == [[0, 4], [0, 7.5]]


@pytest.mark.parametrize("size", [*range(1, 30), 99, 500])
def test_resolutions_of_a_rolled_branch(size):
    """All but few positions look where others look at other sizes, too."""

    def network(x):
        return conv(x, 3, 2) + conv(tf.roll(x, 2, 1), 5, 2)

    axis = rf.resolutions(graph_of(network)).axes[1]
    assert not axis.blocking
    single = ask(network, [size, size])
    placement = axis.at(size)
    assert placement.aligned is single.axes[1].map.aligned
    assert placement.padding == single.padding[1]


@pytest.mark.parametrize(("more", "size"), [(0, 31), (1, 59), (6, 199)])
def test_maps_that_fit_at_some_sizes_only(more, size):
    """A decoder whose levels have twice the size at some residues: the answer is about
    those. The size is the largest of all single ones."""

    def up(x):
        height, width = tf.shape(x)[1], tf.shape(x)[2]
        shape = tf.stack([1, 2 * height, 2 * width, 1])
        return tf.nn.conv2d_transpose(x, tf.ones([4, 4, 1, 1]), shape, 2, "SAME")

    def network(x):
        levels = []
        for _ in range(3):
            x = conv(x, 3, 2)
            for _ in range(more):
                x = conv(x)
            levels.append(x)
        return up(up(levels[2]) + levels[1])

    field = ask(network)
    assert field.size.tolist() == [size, size]
    assert field.aligned is False
    largest = 0
    for n in range(40, 72):
        try:
            single = ask(network, [n, n])
        except GraphError:
            continue
        largest = max(largest, single.size[0])
        assert single.aligned is False
    assert largest == size


MEETINGS = {
    "add": lambda one, two: one + two,
    "concat": lambda one, two: tf.concat([one, two], 3),
    "stack": lambda one, two: tf.stack([one, two], 3),
}


@pytest.mark.parametrize("name", MEETINGS)
def test_maps_that_never_fit(name):
    def network(x):
        half = conv(conv(x, 3, 2), 3, 2)
        return MEETINGS[name](half, conv(half, 3, 2))

    with pytest.raises(GraphError, match=f"'{name}' does not fit") as error:
        ask(network)
    assert "ceil(n / 4)" in str(error.value)
    assert "ceil(n / 8)" in str(error.value)


@pytest.mark.parametrize("name", ["add", "concat"])
def test_maps_that_fit_at_even_sizes_only(name):
    """A stride and its undoing come back to the next even size."""

    def network(x):
        coarse = conv(x, 2, 2)
        _, height, width, _ = tf.unstack(tf.shape(coarse))
        shape = tf.stack([1, 2 * height, 2 * width, 1])
        back = tf.nn.conv2d_transpose(coarse, tf.ones([2, 2, 1, 1]), shape, 2)
        return MEETINGS[name](x, back)

    field = ask(network)
    assert list(field) == [2, 2, 1, 1, None, None]
    assert field.aligned is False
    found = rf.resolutions(graph_of(network), input="x", output="y")
    for n in range(2, 30, 2):
        single = rf.compute_receptive_field(
            graph_of(network), input="x", output="y", input_resolution=[n, n]
        )
        assert found.at(n)[0] == (single.aligned, None)
        assert list(single) == list(field)
    with pytest.raises(GraphError, match="cannot run at size 7: .*'" + name):
        found.at(7)


def test_required_alignment_that_depends_on_the_size():
    def network(x):
        return conv(x, 3, 2) + x[:, ::2, ::2]  # Aligned at odd sizes.

    assert ask(network).aligned is None
    with pytest.raises(GraphError, match="Give input_resolution"):
        ask(network, require_aligned=True)


def test_alignment_that_no_size_has_is_an_error_with_words():
    def network(x):
        return conv(x, 3, 2) + conv(x, 2, 2)

    with pytest.raises(MisalignedError, match="differ at every size"):
        ask(network, require_aligned=True)


# --- Slices of small maps ------------------------------------------------------------


SLICES = {
    "first": slice(4),
    "last": slice(-5, None),
    "back": slice(4, None, -2),
    "from last": slice(None, -4, -1),
    "many": slice(100),
}


@pytest.mark.parametrize("taken", SLICES.values(), ids=SLICES)
@pytest.mark.parametrize("axis", [1, 2])
def test_slices_take_less_of_small_maps(taken, axis):
    """NumPy's slices tell what there is, and the flip puts the last position first."""
    index = [slice(None)] * 4
    index[axis] = taken

    def network(x):
        return tf.reverse(x[tuple(index)], [axis])

    unknown = ask(network)
    assert (unknown.size[2 - axis], unknown.aligned, unknown.exact) == (1, True, True)
    assert unknown.padding[2 - axis] is None
    assert unknown.feature_axes[2 - axis].size is None
    found = rf.resolutions(graph_of(network), input="x", output="y").axes[2 - axis]
    for n in (*range(1, 8), 99, 100, 101):
        positions = np.arange(n)[taken][::-1]
        field = ask(network, [n, n])
        features = np.zeros([len(positions), 2], int)
        features[:, 2 - axis] = range(len(positions))
        seen = field.compute_input_region(features)[:, 2 - axis]
        assert seen[:, 0].tolist() == seen[:, 1].tolist() == positions.tolist()
        if taken.start is None and taken.step is None:
            assert found.at(n) == (True, -positions[0])


def test_slices_that_stay_where_they_are():
    """What is sliced off at the end moves nothing, however small the map is."""
    field = ask(lambda x: conv(x[:, 1:4, 1:4]))
    assert list(field) == [3, 3, 1, 1, 0, 0]
    assert field.aligned
    assert field.exact


def test_slices_that_stop_behind_the_end():
    """TensorFlow takes what there is."""
    field = ask(lambda x: x[:, : tf.shape(x)[1] + 2] + x)
    assert list(field) == [1, 1, 1, 1, 0, 0]


def test_slices_that_an_output_does_not_depend_on():
    """As those of summaries are, beside many layers."""

    def network(x):
        for _ in range(200):
            x = tf.nn.relu(x)
        tf.reverse(x[:, :100], [1], name="beside")
        return conv(x)

    fields = rf.compute_receptive_fields(graph_of(network), input="x")
    assert list(fields["y"]) == [3, 3, 1, 1, 1, 1]
    assert (fields["y"].aligned, fields["y"].exact) == (True, True)


def test_large_networks_behind_a_slice():
    """Too large for each size below 200: where windows lie at these, is not known."""

    def network(x):
        x = x[:, :200, :200]
        for _ in range(200):
            x = conv(x, 1)
        return conv(x, 3, 2)

    field = ask(network)
    assert (field.size.tolist(), field.stride.tolist()) == ([3, 3], [2, 2])
    assert field.padding.tolist() == [None, None]
    assert (field.aligned, field.exact) == (None, False)


def test_one_position_of_small_maps():
    """Position 1, and of one position that one."""
    field = ask(lambda x: x[:, 1::-2])
    assert (field.size[1], field.aligned, field.padding[1]) == (1, True, None)


def test_positions_behind_the_last_one_of_a_sliced_map():
    """Of six positions, the skip sees -3..4 and 1..8, rolled thirds -1..5 and -1..3.

    A third position would see 5..12, and -1..3 as well: but there is none.
    """

    def network(x):
        x = x[:, :6, :1]
        rolled = tf.roll(row_conv(x, 3)[:, ::2], 1, axis=1)
        skip = row_conv(row_conv(x, 4, 2), 3, 2)
        return skip + row_conv(rolled, 4, 2)

    field = ask(network)
    assert (field.size.tolist(), field.exact) == ([1, 10], True)
    assert max(ask(network, [n, 1]).size[1] for n in range(1, 12)) == 10


# --- Mirrored padding ----------------------------------------------------------------


def mirrored_conv(pad, kernel, stride, mode):
    def network(x):
        around = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
        return conv(tf.pad(x, around, mode), kernel, stride, "VALID")

    return network


def seen_by(pad, kernel, stride, mode, n):
    """What each feature sees of n positions: those that NumPy mirrors there."""
    positions = np.pad(np.arange(n), pad, mode.lower())
    windows = np.lib.stride_tricks.sliding_window_view(positions, kernel)[::stride]
    lows, highs = windows.min(axis=1).tolist(), windows.max(axis=1).tolist()
    return list(zip(lows, highs, strict=True))


@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize(("pad", "kernel", "stride"), [(8, 3, 1), (4, 5, 4), (1, 3, 1)])
def test_mirrored_padding(pad, kernel, stride, mode):
    """Numbers of features that see no mirrored position; regions of all."""
    network = mirrored_conv(pad, kernel, stride, mode)
    usual = [kernel] * 2 + [stride] * 2 + [pad] * 2
    unknown = ask(network)
    assert list(unknown) == usual
    assert unknown.aligned is True
    assert unknown.exact is False
    assert unknown.mirroring_nodes == ("MirrorPad",)
    for n in range(pad + 1, 30):
        field = ask(network, [n, n])
        assert list(field) == usual
        assert field.exact is True
        seen = seen_by(pad, kernel, stride, mode, n)
        features = [[u, u] for u in range(len(seen))]
        clipped = field.compute_input_region(features, clip=True)[:, 0].tolist()
        regions = field.compute_input_region(features)[:, 0].tolist()
        bounds = unknown.compute_input_region(features)[:, 0].tolist()
        for u, (low, high) in enumerate(seen):
            first = u * stride - pad
            last = first + kernel - 1
            holds = first <= low and high <= last
            assert clipped[u] == [low, high]
            assert regions[u] == ([first, last] if holds else [low, high])
            assert bounds[u][0] <= low
            assert high <= bounds[u][1]


def test_mirrored_padding_of_two_layers_beside_zeros():
    """As in networks that transfer styles; the plain path sees less."""

    def network(x):
        around = [[0, 0], [1, 1], [1, 1], [0, 0]]
        y = conv(tf.pad(x, around, "REFLECT"), 3, 1, "VALID")
        y = conv(tf.pad(y, around, "REFLECT"), 3, 1, "VALID")
        return y + conv(x, 3)

    for resolution in (None, [9, 9]):
        field = ask(network, resolution)
        assert list(field) == [5, 5, 1, 1, 2, 2]
        assert field.aligned is True
        assert field.exact is (resolution is not None)
    assert field.compute_input_region([0, 8]).tolist() == [[-2, 2], [6, 10]]
    assert field.compute_input_region([0, 8], clip=True).tolist() == [[0, 2], [6, 8]]


# --- Resizes that read past the ends of what is left ----------------------------------


def up(x, kind="bilinear"):
    return tf.image.resize(x, 2 * tf.shape(x)[1:3], kind)


def u_net(kind, down):
    def network(x):
        skips = []
        for _ in range(2):
            skips.append(conv(x))
            x = down(skips[-1])
        x = conv(x)
        for skip in skips[::-1]:
            x = conv(tf.concat([up(x, kind), skip], -1))
        return x

    return network


def halved(padding):
    return lambda x: tf.nn.max_pool2d(x, 2, 2, padding)


def met_at_half_of_the_sizes(x):
    """Maps fit if a division by 4 leaves 0 or 1. At 1, the last pixel is left out."""
    fine = halved("VALID")(x)
    return up(fine + up(halved("VALID")(fine)))


@pytest.mark.parametrize(
    ("network", "exact"),
    [
        *(
            (u_net(kind, halved("VALID")), True)
            for kind in ("nearest", "bilinear", "bicubic", "lanczos3")
        ),
        (u_net("bilinear", lambda x: conv(x, 3, 2)), True),
        (lambda x: up(conv(conv(x, 3, 2), 5, 2)), True),
        (lambda x: up(halved("SAME")(x)), True),
        # At odd sizes, the last pixel is left out, but the resize seems to see it.
        (lambda x: up(halved("VALID")(x)), False),
        (lambda x: up(conv(x, 3, 2, "VALID")), False),
        (met_at_half_of_the_sizes, False),
        (lambda x: up(x[:, 1:, 1:]), False),
        (lambda x: up(x[:, 1:, 1:], "nearest"), True),
        (lambda x: up(conv(x[:, 1:, 1:])), True),  # It reads zeros where 0 was.
    ],
)
def test_resizes_are_exact_where_all_of_the_image_lies_below(network, exact):
    assert ask(network).exact is exact


# --- Parameters that depend on the size -----------------------------------------------


def rows_of(x):
    return tf.shape(x)[1]


def resized(x, rows, kind, **options):
    return getattr(tf.raw_ops, f"Resize{kind}")(images=x, size=[rows, 1], **options)


def ceiling_of_half(x):
    return tf.cast(tf.math.ceil(tf.cast(rows_of(x), tf.float32) / 2), tf.int32)


def some_rows(x):
    return tf.boolean_mask(x, tf.ones([rows_of(x)], bool), axis=1)


def number_in(x):
    return tf.cast(tf.reduce_max(x), tf.int32)


OF_SIZES = {
    "the last half": lambda x: x[:, -(rows_of(x) // 2) :],
    "all but the last third": lambda x: x[:, : -(rows_of(x) // 3)],
    "from the last but one": lambda x: x[:, rows_of(x) - 2 :: -1],
    "one of the last": lambda x: x[:, -(rows_of(x) // 2)],
    "up to half": lambda x: x[:, : ceiling_of_half(x)],
    "as many rows as columns": lambda x: x[:, : tf.shape(x)[2]],
    "joined with itself": lambda x: conv(tf.concat([x, x], 1)),
    "joined with zeros": lambda x: tf.concat([tf.zeros_like(x), x], 1),
    "joined with some": lambda x: tf.concat([some_rows(x), x], 1),
    "repeated": lambda x: tf.tile(x, [1, 2, 1, 1]),
    "rolled by half": lambda x: tf.roll(x, rows_of(x) // 2, 1),
    "both ends": lambda x: tf.gather(x, [0, rows_of(x) - 1], axis=1),
    "the first row written": lambda x: tf.tensor_scatter_nd_update(
        x, [[0, 0]], 2 * x[0, :1]
    ),
    "made even": lambda x: conv(
        tf.pad(x, [[0, 0], [0, rows_of(x) % 2], [0, 0], [0, 0]], "SYMMETRIC")
    ),
    "half by area": lambda x: resized(x, (rows_of(x) + 1) // 2, "Area"),
    "half by area of corners": lambda x: resized(
        x, (rows_of(x) + 1) // 2, "Area", align_corners=True
    ),
    "as many as a remainder": lambda x: x[:, : rows_of(x) % 3 + 1],
    "every so many": lambda x: x[:, :: rows_of(x) // 4 + 1],
    "up to a number in the data": lambda x: conv(x[:, : number_in(x)]),
    "rolled by a number in the data": lambda x: conv(tf.roll(x, number_in(x), 1)),
    "the second half": lambda x: conv(
        tf.split(x, tf.stack([rows_of(x) // 2, (rows_of(x) + 1) // 2]), 1, 2)[1]
    ),
    "all but three": lambda x: conv(tf.split(x, [3, -1], 1)[1]),
    "mirrored by half": lambda x: conv(
        tf.pad(x, [[0, 0], [1, rows_of(x) // 2], [0, 0], [0, 0]], "SYMMETRIC")
    ),
    "repeated by its size": lambda x: tf.tile(x, [1, rows_of(x), 1, 1]),
    "the inverse by area": lambda x: resized(x, 12 // rows_of(x) + 1, "Area"),
    "one row less by area": lambda x: resized(x, rows_of(x) - 1, "Area"),
    "one row more by area": lambda x: resized(x, rows_of(x) + 1, "Area"),
    "one row less": lambda x: resized(x, rows_of(x) - 1, "NearestNeighbor"),
    "made even by a division that truncates": lambda x: resized(
        x, 2 * tf.raw_ops.Div(x=rows_of(x), y=2), "Bilinear"
    ),
    "made even by a division below zero": lambda x: resized(
        x, -2 * tf.raw_ops.Div(x=-rows_of(x), y=2), "Bilinear"
    ),
    "made even by a cast of a number below zero": lambda x: resized(
        x, -2 * tf.cast(tf.cast(-rows_of(x), tf.float32) / 2, tf.int32), "Bilinear"
    ),
    "a cast of a number that may be below zero": lambda x: resized(
        x, 4 + tf.cast(tf.cast(rows_of(x) - 5, tf.float32) / 2, tf.int32), "Bilinear"
    ),
    "a cast of a difference of quotients": lambda x: resized(
        x,
        9 + tf.cast(tf.cast(rows_of(x), tf.float64) / 2 - 9 / rows_of(x), tf.int32),
        "Bilinear",
    ),
    "without as many columns as the inverse": lambda x: tf.tile(x, [1, 1, 8, 1])[
        :, :, 12 // rows_of(x) :
    ],
}


@pytest.mark.parametrize("network", OF_SIZES.values(), ids=OF_SIZES)
def test_what_depends_on_the_size_holds_at_every_size(network, monkeypatch):
    monkeypatch.setattr(unknown_sizes, "SIZES", range(1, 14))
    monkeypatch.setattr(unknown_sizes, "LARGE", range(1009, 1013))
    graph = graph_of(network, (1, None, 1, 1))
    answers = unknown_sizes.said(rf, graph.SerializeToString())
    assert list(unknown_sizes.wrong(answers)) == []


@pytest.mark.parametrize("kind", ["Area", "Bilinear"])
@pytest.mark.parametrize("times", [-1, -2])
def test_nothing_is_known_of_a_resize_to_less_than_nothing(kind, times):
    for rows in (lambda x: times * rows_of(x), lambda x: 9 + times * rows_of(x)):
        field = ask(lambda x, rows=rows: resized(x, rows(x), kind))
        assert (field.exact, field.aligned) == (False, None)


def test_a_quotient_is_not_larger_than_a_number_at_large_sizes():
    """At 6 rows, 2 of the 8 columns are left out; at 100 rows, none."""
    network = lambda x: x[:, :, 12 // rows_of(x) :]  # noqa: E731
    graph = graph_of(network, (1, None, 8, 1))
    assert rf.compute_receptive_field(graph).padding.tolist() == [None, 0]
    for height, left_out in ((6, 2), (100, 0)):
        field = rf.compute_receptive_field(graph, input_resolution=[height, 8])
        assert field.padding.tolist() == [-left_out, 0]


@pytest.mark.parametrize("ops", [0, 40])
def test_ops_that_pass_a_map_on_do_not_count(ops, monkeypatch):
    """Whether a layer is one op or several does not matter to what is found.

    Each block reads 3 positions of every other one, and its shortcut one of these.
    """
    monkeypatch.setattr(every_size, "MOST_VISITS", 20 * 8)

    def network(x):
        x = conv(x, 3, 2)
        for _ in range(2):
            x = conv(x, 3, 2) + conv(x, 1, 2)
            for _ in range(ops):
                x = tf.nn.relu(x) * 2.0 + 1.0
        return x

    field = ask(network)
    assert field.size.tolist() == [3 + 2 * 2 + 2 * 4] * 2
    assert field.exact


def test_answers_that_are_missing():
    found = rf.resolutions(graph_of(OF_SIZES["rolled by half"]))
    with pytest.raises(rf.ReceptiveFieldError, match="must be at least 1, not 0"):
        found.axes[1].at(0)
    told = found.to_dict()["axes"][1]["placements"]
    assert [placement["node"] for placement in told] == ["Roll"] * len(told)


def test_padding_in_front_that_depends_on_the_size_is_refused():
    with pytest.raises(rf.ReceptiveFieldError, match="'Pad' has an unknown padding"):
        ask(lambda x: tf.pad(x, [[0, 0], [rows_of(x) % 2, 0], [0, 0], [0, 0]]))


# --- Random networks ------------------------------------------------------------------


@pytest.mark.parametrize("seed", random_search.seeds("unknown sizes", 10))
def test_what_is_said_holds_at_every_size(seed):
    answers = unknown_sizes.said(rf, unknown_sizes.network(seed))
    assert list(unknown_sizes.wrong(answers)) == [], json.dumps(answers["unknown"])
