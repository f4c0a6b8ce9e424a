"""Outputs of any layout: where their features lie, and that all they say is right."""

import random
import warnings

import numpy as np
import pytest
from dependency import hold, measured, positive, traced
from graphs import constant, graph_def, node, placeholder
from graphs import conv as conv_node
from needed import needed
from random_search import seeds

import receptive_field as rf

tf, keras = needed("tensorflow"), needed("keras")
layers = keras.layers


def conv(x, size, strides=1, padding="SAME", filters=1):
    """A convolution over all axes between the first and the last."""
    rank = len(x.shape) - 2
    taps = tf.constant(positive((*[size] * rank, x.shape[-1], filters)), x.dtype)
    return tf.nn.convolution(x, taps, strides, padding)


def field_of(build, shape, **options):
    trace = traced(build, shape, "float32")
    options |= {"input": trace.input.name, "output": trace.output.name}
    return rf.compute_receptive_field(trace.graph, **options)


def numbers(field):
    return field.size.tolist(), field.stride.tolist(), field.padding.tolist()


def places(field):
    return [axis.output_axis for axis in field.feature_axes]


# --- Tails of networks ----------------------------------------------------------------

TAILS = {
    "argmax": lambda x: tf.argmax(x, -1),
    "squeeze": lambda x: tf.squeeze(x, -1),
    "mean": lambda x: tf.reduce_mean(x, -1),
    "first channel": lambda x: x[..., 0],
    "channels first": lambda x: tf.transpose(x, [0, 3, 1, 2]),
    "x before y": lambda x: tf.transpose(x, [0, 2, 1, 3]),
    "without batch": lambda x: x[0],
    "classes per pixel": lambda x: tf.one_hot(tf.argmax(x, -1), 4),
    "one more axis": lambda x: x[:, None, ..., None],
    "reshape": lambda x: tf.reshape(x, [-1, *x.shape[1:-1]]),
}
"""What comes after a convolution of 5 x 5, SAME, and moves or drops axes."""


@pytest.mark.parametrize("resolution", [None, "unknown"])
@pytest.mark.parametrize("name", TAILS)
def test_what_is_seen_does_not_depend_on_the_layout(name, resolution):
    """5, 1 and 2 are the kernel, its stride and its padding."""

    def network(x):
        return TAILS[name](conv(x, 5))

    if (name, resolution) == ("reshape", "unknown"):
        return  # Sizes that are written into the graph are none of any other size.
    field = field_of(network, (1, 32, 32, 3), input_resolution=resolution)
    assert numbers(field) == ([5, 5], [1, 1], [2, 2])
    assert field.exact
    assert field.aligned


@pytest.mark.parametrize("name", ["argmax", "squeeze", "mean", "first channel"])
@pytest.mark.parametrize("rank", [1, 3])
def test_sequences_and_volumes(name, rank):
    shape = (1, *(12, 14, 16)[:rank], 3)
    field = field_of(lambda x: TAILS[name](conv(x, 5)), shape)
    assert numbers(field) == ([5] * rank, [1] * rank, [2] * rank)
    assert places(field) == [*range(rank, 0, -1)]


@pytest.mark.parametrize("tail", [[], [0, 2, 3, 1], [0, 3, 2, 1]])
def test_channels_that_come_first(tail):
    """Of what is read as channels first, whatever it is handed on as."""

    def network(x):
        x = conv(tf.transpose(x, [0, 2, 3, 1]), 3, 2, "VALID", 4)
        x = tf.transpose(x, [0, 3, 1, 2])
        return tf.transpose(x, tail) if tail else x

    trace = traced(network, (1, 2, 9, 11))
    field = rf.compute_receptive_field(
        trace.graph, input=trace.input.name, output=trace.output.name
    )
    assert numbers(field) == ([3, 3], [2, 2], [0, 0])
    assert places(field) == {0: [3, 2], 2: [2, 1], 3: [1, 2]}[tail[1] if tail else 0]
    channels = [axis for axis in (1, 2, 3) if axis not in places(field)]
    truth = measured(network, (1, 2, 9, 11), (2, 3), channels, trace=trace)
    hold(trace, truth, (2, 3), channels)


def test_a_convolution_with_channels_first_after_a_permutation():
    image = keras.Input((32, 48, 3))
    first = layers.Permute((3, 1, 2))(image)
    kernel = {"strides": 2, "data_format": "channels_first"}
    model = keras.Model(image, layers.Conv2D(8, (3, 5), **kernel)(first))
    field = rf.compute_receptive_field(model)
    assert numbers(field) == ([5, 3], [2, 2], [0, 0])
    assert places(field) == [3, 2]


def test_axes_are_in_the_order_of_the_input():
    """x is the last axis of the input, also where it is transposed at once."""
    field = field_of(
        lambda x: tf.nn.max_pool2d(tf.transpose(x, [0, 2, 1, 3]), [3, 5], 1, "VALID"),
        (1, 9, 12, 1),
    )
    assert numbers(field) == ([3, 5], [1, 1], [0, 0])  # Its height is the input's x.
    assert places(field) == [1, 2]
    assert field.compute_input_region([1, 2]).tolist() == [[1, 3], [2, 6]]


def test_super_resolution_that_ends_with_channels_first():
    """Kernels of 5, 3 and 3 before each pixel becomes 2 x 2."""

    def network(x):
        x = conv(conv(conv(x, 5, filters=4), 3, filters=4), 3, filters=4)
        return tf.transpose(tf.nn.depth_to_space(x, 2), [0, 3, 1, 2])

    for shape in ((1, 12, 16, 1), (1, None, None, 1)):
        field = field_of(network, shape)
        assert field.size.tolist() == [9, 9]
        assert [str(stride) for stride in field.stride] == ["1/2", "1/2"]
        assert field.exact


def test_convnext_blocks_that_turn_the_layout():
    """Depthwise 7 x 7 with channels first, dense layers with channels last."""

    def network(x):
        x = tf.transpose(x, [0, 2, 3, 1])
        for _ in range(2):
            above = conv(x, 7, filters=x.shape[-1])
            first = tf.transpose(above, [0, 3, 1, 2])
            x = x + tf.tensordot(tf.transpose(first, [0, 2, 3, 1]), tf.ones((2, 2)), 1)
        return tf.transpose(x, [0, 3, 1, 2])

    field = field_of(network, (1, 2, 32, 40))
    assert numbers(field) == ([13, 13], [1, 1], [6, 6])  # 1 + 2 * 6.
    assert places(field) == [3, 2]


@pytest.mark.parametrize("way", ["function", "layer", "saved"])
def test_tails_within_functions_and_models(way, tmp_path):
    image = keras.Input((32, 32, 3))
    scores = layers.Conv2D(4, 5, padding="same")(image)
    model = keras.Model(image, layers.Lambda(TAILS["argmax"])(scores))
    if way == "layer":
        outer = keras.Input((32, 32, 3))
        model = keras.Model(outer, model(outer))
    if way == "saved":
        model.export(tmp_path / "saved", verbose=False)
        model = tmp_path / "saved"
    if way == "function":
        inner = tf.function(lambda x: TAILS["argmax"](conv(x, 5)))
        model = tf.function(inner).get_concrete_function(
            tf.TensorSpec((1, 32, 32, 3), tf.float32)
        )
    field = rf.compute_receptive_field(model)
    assert numbers(field) == ([5, 5], [1, 1], [2, 2])
    assert places(field) == [2, 1]


def test_the_classes_of_a_segmentation_are_the_default_output():
    """They have positions; class scores of an image have none."""
    image = keras.Input((32, 32, 3))
    scores = layers.Conv2D(4, 5, padding="same", name="scores")(image)
    classes = layers.Lambda(TAILS["argmax"], name="classes")(scores)
    assert rf.compute_receptive_field(keras.Model(image, classes)).output == "classes"
    flat = layers.Dense(3, name="dense")(layers.Flatten()(scores))
    assert rf.compute_receptive_field(keras.Model(image, flat)).output == "scores"


# --- Coordinates ----------------------------------------------------------------------


def test_an_axis_that_nothing_follows_has_the_coordinate_0():
    row = field_of(lambda x: conv(x, 3)[:, 4], (1, 9, 11, 2))
    assert row.feature_axes == ((1, 11), (None, 1))
    assert row.compute_input_region([5, 0]).tolist() == [[4, 6], [3, 5]]
    pooled = field_of(lambda x: tf.reduce_mean(conv(x, 3), [1, 2]), (1, 9, 11, 2))
    assert pooled.feature_axes == ((None, 1), (None, 1))
    assert pooled.compute_input_region([0, 0], clip=True).tolist() == [[0, 10], [0, 8]]
    kept = field_of(lambda x: tf.reduce_mean(x, [1, 2], keepdims=True), (1, 9, 11, 2))
    assert [axis.size for axis in kept.feature_axes] == [1, 1]


def test_an_axis_of_which_all_is_seen_is_an_axis():
    """Self-attention without a shortcut over 20 x 32 positions."""
    image = keras.Input((20, 32, 3))
    tokens = layers.Reshape((640, 8))(layers.Conv2D(8, 3, padding="same")(image))
    seen = layers.Attention()([tokens, tokens])
    field = rf.compute_receptive_field(keras.Model(image, seen))
    assert field.feature_axes == ((1, 640),)
    model = keras.Model(image, layers.Reshape((20, 32, 8))(seen))
    field = rf.compute_receptive_field(model)
    assert [tuple(axis) for axis in field.feature_axes] == [(2, 32), (1, 20)]
    assert field.size.tolist() == [np.inf, np.inf]
    assert field.compute_input_region([31, 19], clip=True).tolist() == [
        [0, 31],
        [0, 19],
    ]


def test_rows_that_are_folded():
    """32 rows as 16 times 2: a feature has a coordinate for each of the two."""
    field = field_of(
        lambda x: tf.reshape(conv(x, 5), [1, 16, 2, 20, 1]), (1, 32, 20, 1)
    )
    assert [tuple(axis) for axis in field.feature_axes] == [(3, 20), (2, 2), (1, 16)]
    assert numbers(field) == ([5, 5], [1, None], [2, None])
    assert field.is_folded
    assert field.exact
    # Row 1 of block 3 is row 7 of the map.
    assert field.compute_input_region([4, 1, 3]).tolist() == [[2, 6], [5, 9]]
    assert field.compute_input_center_coordinates([4, 1, 3]).tolist() == [4, 7]
    # Rows 5 to 9 of the map see it: blocks 2 to 4.
    expected = [[2, 6], [0, 1], [2, 4]]
    for clip in (False, True):
        assert field.compute_feature_region([4, 7], clip=clip).tolist() == expected


def test_positions_in_the_batch():
    """Phases of a SpaceToBatch: position ``u * 2 + phase`` in each axis."""

    def network(x):
        return tf.space_to_batch(conv(x, 3), [2, 2], [[0, 0], [0, 0]])

    for batch in (1, None):
        field = field_of(network, (batch, 8, 12, 1), input_resolution=[8, 12])
        assert [tuple(a) for a in field.feature_axes] == [(2, 6), (1, 4), (0, 4)]
        # Phase 1 is that of odd columns and even rows.
        assert field.compute_input_region([2, 3, 1]).tolist() == [[4, 6], [5, 7]]


def test_images_of_a_batch_that_are_computed_differently():
    """A feature is all of its batch: what any of the images needs, counts."""
    field = field_of(
        lambda x: tf.concat([conv(x[:1], 3), conv(x[1:], 5)], 0), (2, 9, 9, 1)
    )
    assert field.compute_input_region([4, 4], clip=True).tolist() == [[2, 6], [2, 6]]
    assert field.support().mask([4, 4]).sum() == 25


# --- Tokens ---------------------------------------------------------------------------


def patches(side, size, channels=4, classes=0):
    """The tokens of a vision transformer, behind ``classes`` others."""

    def network(x):
        x = conv(x, size, size, "VALID", channels)
        x = tf.reshape(x, [1, -1, channels])
        zeros = tf.zeros((1, classes, channels), x.dtype)
        return tf.concat([zeros, x], 1) if classes else x

    return network, (1, side, side, 3)


def test_tokens_have_one_coordinate():
    field = field_of(*patches(224, 16))
    assert field.feature_axes == ((1, 196),)
    assert numbers(field) == ([16, 16], [None, None], [None, None])
    assert (field.exact, field.aligned) == (True, True)
    assert " (196)" in str(field)
    assert "196 x" not in str(field)
    assert field.compute_input_region([195]).tolist() == [[208, 223], [208, 223]]
    assert field.compute_input_region([[0], [15]]).tolist() == [
        [[0, 15], [0, 15]],
        [[16, 31], [16, 31]],
    ]
    for clip in (False, True):
        assert field.compute_feature_region([17, 40], clip=clip).tolist() == [[29, 29]]
    with pytest.raises(rf.ReceptiveFieldError, match=r"1 coordinate: axis 1 .*196"):
        field.compute_input_region([0, 195])
    told = field.to_dict()
    assert (told["output_size"], told["stride"]) == ([196], [None, None])


def test_which_tokens_see_a_pixel():
    """A row of tokens and the one below see what a 3 x 3 kernel sees of both."""

    def network(x):
        return tf.reshape(conv(x, 3), [1, 20, 1])

    field = field_of(network, (1, 4, 5, 1))
    assert field.compute_feature_region([2, 1], clip=True).tolist() == [[1, 13]]
    seen = np.flatnonzero(field.support().features_that_see([2, 1]))
    assert seen.tolist() == [1, 2, 3, 6, 7, 8, 11, 12, 13]


def test_a_class_token_sees_nothing_before_attention():
    network, shape = patches(64, 16, classes=1)
    field = field_of(network, shape)
    assert field.feature_axes == ((1, 17),)
    assert numbers(field) == ([16, 16], [None, None], [None, None])
    for clip in (False, True):
        told = field.compute_input_region([[0], [1], [16]], clip=clip)
        assert told.tolist() == [[[0, -1]] * 2, [[0, 15]] * 2, [[48, 63]] * 2]
    trace = traced(*patches(8, 2, classes=1))
    truth = measured(*patches(8, 2, classes=1), trace=trace)
    hold(trace, truth)


def test_a_transformer_sees_everything():
    network, shape = patches(32, 8, classes=1)

    def attention(x):
        tokens = network(x)
        scores = tf.matmul(tokens, tokens, transpose_b=True)
        return tokens + tf.matmul(tf.nn.softmax(scores), tokens)

    field = field_of(attention, shape)
    assert field.feature_axes == ((1, 17),)
    assert field.is_global
    assert field.local.compute_input_region([3]).tolist() == [[16, 23], [0, 7]]


# --- The rank of an input -------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "axis"),
    [
        (lambda x: tf.nn.conv1d(x, tf.ones((5, 1, 1)), 1, "SAME"), 1),
        (lambda x: tf.nn.conv1d(x[None, :, None], tf.ones((5, 1, 1)), 1, "SAME"), 1),
        (lambda x: conv(tf.ensure_shape(x[..., None], [None] * 3 + [1]), 5), 2),
    ],
)
def test_an_input_of_which_the_rank_is_not_stated(network, axis):
    """It is what the convolution needs, with axes that are added taken off again."""
    field = field_of(network, None)
    assert set(field.size.tolist()) == {5}
    assert places(field)[0] == axis


# --- Random tails ---------------------------------------------------------------------


class Tail:
    """Moves axes at random, and knows what each axis of its output holds."""

    def __init__(self, seed, held):
        self.random = random.Random(seed)
        self.start = held
        self.steps = [self.random.choice(self.STEPS) for _ in range(4)]
        self.seed = seed

    def __call__(self, x):
        self.held = [set(axis) for axis in self.start]
        self.random = random.Random(self.seed)
        for step in self.steps:
            x = step(self, x)
        return x

    def where(self, kind):
        return [a for a, held in enumerate(self.held) if a and held == kind]

    def permute(self, x):
        order = list(range(1, len(self.held)))
        self.random.shuffle(order)
        self.held = [self.held[axis] for axis in (0, *order)]
        return tf.transpose(x, [0, *order])

    def without_channels(self, x):
        for axis in self.where({"c"})[:1]:
            del self.held[axis]
            choice = self.random.choice([tf.reduce_mean, tf.reduce_max, tf.gather])
            return (
                tf.gather(x, 0, axis=axis) if choice is tf.gather else choice(x, axis)
            )
        return x

    def without_positions(self, x):
        for axis in self.where({self.random.choice("xy")})[:1]:
            del self.held[axis]
            row = min(1, x.shape[axis] - 1)
            mean = self.random.random() < 0.5
            return tf.reduce_mean(x, axis) if mean else tf.gather(x, row, axis=axis)
        return x

    def slice(self, x):
        for axis in self.where({"x"})[:1]:
            return x if x.shape[axis] < 3 else tf.gather(x, [1, 2], axis=axis)
        return x

    def expand(self, x):
        axis = self.random.randint(1, len(self.held))
        self.held.insert(axis, set())
        return tf.expand_dims(x, axis)

    def merge(self, x):
        """Two neighbours that hold positions."""
        held = [axis <= {"x", "y"} and bool(axis) for axis in self.held]
        for axis in range(1, len(held) - 1):
            if held[axis] and held[axis + 1]:
                self.held[axis : axis + 2] = [self.held[axis] | self.held[axis + 1]]
                sizes = x.shape.as_list()
                sizes[axis : axis + 2] = [sizes[axis] * sizes[axis + 1]]
                return tf.reshape(x, sizes)
        return x

    def split(self, x):
        for axis in self.where({"y"})[:1]:
            sizes = x.shape.as_list()
            if sizes[axis] > 2 and sizes[axis] % 2 == 0:
                self.held.insert(axis, {"y"})
                sizes[axis : axis + 1] = [sizes[axis] // 2, 2]
                return tf.reshape(x, sizes)
        return x

    STEPS = (permute, without_channels, without_positions, slice, expand, merge, split)

    def coordinates(self):
        """The axes of the coordinates of a feature, by definition."""
        on = {a: self.held[a] & {"x", "y"} for a in range(len(self.held))}
        by_axis = {p: [a for a in on if p in on[a]] for p in "xy"}
        if all(len(axes) < 2 for axes in by_axis.values()) and all(
            len(held) < 2 for held in on.values()
        ):
            return [axes[0] if axes else None for axes in by_axis.values()]
        return [a for a in sorted(on, reverse=True) if on[a]]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("seed", seeds("tails of outputs", 24))
def test_random_tails(seed, first):
    """Appended to a random network: all coordinates, against experiment."""
    choose = random.Random(seed)
    tail = Tail(seed, ["n", "c", "y", "x"] if first else ["n", "y", "x", "c"])
    kernel, stride = choose.randint(1, 3), choose.randint(1, 2)
    padding = choose.choice(["SAME", "VALID"])

    def network(x):
        if first:
            x = tf.transpose(x, [0, 2, 3, 1])
        x = conv(x, kernel, stride, padding, 2)
        return tail(tf.transpose(x, [0, 3, 1, 2]) if first else x)

    sizes = choose.randint(6, 9), choose.randint(6, 9)
    shape = (1, 2, *sizes) if first else (1, *sizes, 2)
    axes = (2, 3) if first else (1, 2)
    trace = traced(network, shape)
    field = rf.compute_receptive_field(
        trace.graph, input=trace.input.name, output=trace.output.name
    )
    held = tail.coordinates()
    if places(field) != held:
        # Positions of a mean over a part of a folded axis, of which some are gathered.
        assert not field.exact
        assert None in places(field)
        return
    channels = [a for a in range(1, len(trace.output.shape)) if a not in held]
    truth = measured(network, shape, axes, channels, trace=trace)
    hold(trace, truth, axes, channels)
    # The middle feature, by the other ways to ask.
    feature = [(axis.size - 1) // 2 for axis in field.feature_axes]
    measured_field = rf.measure_receptive_field(
        trace.graph, input="input", output=trace.output.name, feature=feature
    )
    mask = field.support().mask(feature)
    assert (measured_field.positions <= mask).all()
    assert not field.support().exact or (measured_field.positions == mask).all()
    if mask.any():
        weights = field.effective_receptive_field(feature).map
        assert ((weights > 0) <= mask).all()
        for y, x in np.argwhere(mask):
            seen_by = field.support().features_that_see([x, y])
            order = np.argsort([a for a in held if a is not None])
            told = [f for f, a in zip(feature, held, strict=True) if a is not None]
            assert seen_by[tuple(told[i] for i in order)]


# --- All that a field is asked for ----------------------------------------------------


def test_transposed_outputs_answer_as_others_do(tmp_path):
    """Resolutions, explanation, plots, tables, the explorer: as without transposing."""
    plain = graph_def(
        placeholder(),
        conv_node("a", "input", 3, 2, "SAME"),
        conv_node("b", "input", 1, 2, "SAME"),
        node("add", "AddV2", ["a", "b"]),
    )
    trace = traced(
        lambda x: tf.transpose(
            conv(x, 3, 2, filters=2) + conv(x, 1, 2, filters=2), [0, 3, 1, 2]
        ),
        (1, None, None, 2),
        "float32",
    )
    name = trace.output.op.name
    one = rf.resolutions(plain, output="add")
    two = rf.resolutions(trace.graph, output=name)
    assert [str(axis) for axis in one.axes] == [str(axis) for axis in two.axes]
    assert one.axes == two.axes
    options = {"output": name, "input_resolution": [16, 20]}
    field = rf.compute_receptive_field(trace.graph, **options)
    assert not field.aligned
    assert "centres differ by 1 (" in str(field.explain())
    fields = rf.compute_receptive_fields(trace.graph, input_resolution=[16, 20])
    assert fields[name].size.tolist() == field.size.tolist()
    assert "10 x 8" in str(fields)
    table = fields.to_dataframe().set_index("layer")
    assert table.output_size_x[name] == 10
    for plot in (rf.plot_regions, rf.plot_support):
        assert plot(field, [9, 7]) is not None
    page = rf.explore(trace.graph, tmp_path / "page.html", **options)
    assert name in page.read_text()


def test_tokens_are_explored_plotted_and_listed(tmp_path):
    network, shape = patches(32, 8)
    trace = traced(network, shape, "float32")
    field = field_of(network, shape)
    assert rf.plot_regions(field, [[0], [15]]) is not None
    fields = rf.compute_receptive_fields(trace.graph)
    row = fields.to_dataframe().set_index("layer").loc[trace.output.op.name]
    assert (row.rf_x, row.rf_y) == (8, 8)
    page = rf.explore(trace.graph, tmp_path / "page.html", output=trace.output.op.name)
    assert page.exists()


# --- Bad input ------------------------------------------------------------------------


def test_features_outside_of_the_map():
    field = field_of(lambda x: conv(x, 3), (1, 6, 6, 1))
    with pytest.warns(
        rf.OutsideMapWarning, match=r"no feature \[300, 4\].*6 positions"
    ):
        region = field.compute_input_region([300, 4])
    assert region.tolist() == [[299, 301], [3, 5]]
    with pytest.raises(rf.ReceptiveFieldError, match="from 0 to 5"):
        field.compute_input_region([300, 4], clip=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        field.compute_input_region([[0, 0], [5, 5]])
        unknown = field_of(lambda x: conv(x, 3), (1, None, None, 1))
        unknown.compute_input_region([300, 4])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1], "2 coordinates: x along axis 2 of the output .6 positions., y along"),
        ([1, 2, 3], "2 coordinates"),
        ([[1, 2, 3]], "2 coordinates"),
        (["a", "b"], "numbers"),
        ([0.5, 1], "integer"),
    ],
)
def test_coordinates_that_are_none(given, message):
    field = field_of(lambda x: conv(x, 3), (1, 6, 6, 1))
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        field.compute_input_region(given)


def test_what_has_no_stride_has_no_inverse():
    field = field_of(*patches(32, 8))
    with pytest.raises(rf.ReceptiveFieldError, match="are not evenly spaced"):
        field.compute_feature_coordinates([3.0, 4.0])
    with pytest.raises(rf.ReceptiveFieldError, match="must be integers"):
        field.compute_input_center_coordinates([0.5])
    assert field.compute_input_center_coordinates([5]).tolist() == [11.5, 11.5]


def test_scalars_have_no_positions():
    with pytest.raises(rf.ReceptiveFieldError, match="single number"):
        field_of(lambda x: x * 2, ())


@pytest.mark.parametrize(
    ("resolution", "message"),
    [
        ([4], "2 sizes"),
        ([4, 4, 4], "2 sizes"),
        ([0, 4], "at least 1"),
        ([-1, 4], "at least 1"),
        ([2, 9], "vanish.*kernel spans 3"),
        ("any", "'unknown'"),
    ],
)
def test_resolutions_that_are_none(resolution, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        field_of(
            lambda x: tf.argmax(conv(x, 3, padding="VALID"), -1),
            (1, None, None, 1),
            input_resolution=resolution,
        )


def test_a_resolution_that_is_known_in_part():
    field = field_of(
        lambda x: tf.argmax(conv(x, 3), -1),
        (1, None, None, 1),
        input_resolution=[None, 9],
    )
    assert [axis.size for axis in field.feature_axes] == [9, None]
    assert numbers(field) == ([3, 3], [1, 1], [1, 1])


def test_an_output_that_does_not_depend_on_the_input():
    trace = traced(lambda x: tf.zeros((1, 4, 4)), (1, 4, 4, 1))
    with pytest.raises(rf.ReceptiveFieldError, match="does not depend on the input"):
        rf.compute_receptive_field(
            trace.graph, input="input:0", output=trace.output.name
        )


@pytest.mark.parametrize(
    ("size", "next_one"), [([20, 20], "[75, 75]"), ([74, 90], "[75, 91]")]
)
def test_a_size_at_which_maps_vanish(size, next_one):
    """Inception-ResNet-v2 needs 75 positions, as Keras says, too."""
    with pytest.raises(rf.ReceptiveFieldError) as raised:
        rf.compute_receptive_field(rf.EXAMPLE_GRAPH, input_resolution=size)
    assert "MaxPool node" in str(raised.value)
    assert str(raised.value).endswith(f"can run is {next_one}.")


def test_maps_that_do_not_fit():
    """Halved and doubled, an odd size is another."""

    def network(x):
        low = tf.nn.max_pool2d(x, 2, 2, "VALID")
        return x + tf.repeat(tf.repeat(low, 2, 1), 2, 2)

    message = r"AddV2 .* shapes \[\(1, 9, 11, 1\), \(1, 8, 10, 1\)\].* is \[10, 12\]\."
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        field_of(network, (1, None, None, 1), input_resolution=[9, 11])


@pytest.mark.parametrize("reads", ["the padding", "nothing"])
def test_what_a_padding_is_for_is_told_by_what_reads_it(reads):
    """Alone, nothing says which of its axes are channels."""

    def network(x):
        padded = tf.pad(x, [[0, 0], [0, 0], [1, 2], [3, 0]])
        if reads == "the padding":
            conv(tf.transpose(padded, [0, 2, 3, 1]), 3)
        return padded

    field = field_of(network, (1, 2, 8, 9))
    assert places(field) == ([3, 2] if reads == "the padding" else [2, 1])


def test_resolutions_of_tokens_are_those_of_their_map():
    """By default; if they are asked about, the map is named."""
    image = keras.Input((None, None, 3))
    patches = layers.Conv2D(8, 16, strides=16, padding="same", name="patches")(image)
    tokens = layers.Lambda(lambda x: tf.reshape(x, [1, -1, 8]), name="tokens")(patches)
    model = keras.Model(image, tokens)
    found = rf.resolutions(model)
    assert found.output == "patches"
    assert found.axes == rf.resolutions(model, output="patches").axes
    with pytest.raises(rf.ReceptiveFieldError, match="Ask about 'patches'"):
        rf.resolutions(model, output="tokens")


def test_coordinates_of_different_lengths():
    field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH)
    with pytest.raises(rf.ReceptiveFieldError, match="must be an array of numbers"):
        field.compute_input_region([[0, 0], [1]])
    model = traced(tf.nn.relu, (1, 8, 8, 1)).graph
    field = rf.compute_receptive_field(model)
    with pytest.raises(rf.ReceptiveFieldError, match="must be an array of numbers"):
        field.effective_receptive_field([[0, 0], [1]])
    with pytest.raises(rf.ReceptiveFieldError, match="must be an array of numbers"):
        rf.measure_receptive_field(model, feature=[[0, 0], [1]])


def test_four_axes_have_names():
    sizes = (1, None, None, None, None, 1)
    paddings = constant("paddings", [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0], [6, 2])
    padded = node("pad", "Pad", ["input", "paddings"])
    model = graph_def(placeholder(sizes=sizes), paddings, padded)
    told = str(rf.resolutions(model)).splitlines()
    paddings = {line.split(":")[0]: line for line in told if "; padding" in line}
    for name, padding in {"x": 4, "y": 3, "z": 2, "axis 3": 1}.items():
        assert paddings[name].endswith(f"padding {padding}")
    field = rf.compute_receptive_field(model, input_resolution=[5, 5, 5, 5])
    with pytest.raises(rf.ReceptiveFieldError, match="on axis 3 of the input"):
        field.support().features_that_see([0, 0, 0, 5])
