"""Answers for all input sizes are those of an analysis at each single size."""

import random
import re

import numpy as np
import pytest
import random_search
from graphs import (
    add,
    constant,
    conv,
    graph_def,
    integers,
    node,
    pad,
    placeholder,
    pool,
)
from needed import needed
from onnx_experiments import Session, model_of, onnx, operation
from random_search import seeds

from receptive_field import EXAMPLE_GRAPH, compute_receptive_field, zoo
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow import load as tensorflow
from receptive_field.questions.question import Options, Question
from receptive_field.questions.resolutions import resolutions
from receptive_field.results.resolutions import (
    AxisResolutions,
    Obstacle,
    OutputSize,
    Placement,
    _where,
)

LARGEST = 1024


def at_one_size(model, found, height, width):
    """Alignment, padding and output size by axis, x first; None if it cannot be run."""
    sizes = Options(input_resolution=[height, width])
    try:
        question = Question.ask(model, found.input, [found.output], sizes)
        field = question.answer()
    except ReceptiveFieldError:
        return None
    field = field.local or field
    paddings = field.padding.tolist()
    if any(axis.output_size == 0 for axis in field.axes):
        return None  # A slice took all that there was.
    return [
        (axis.map.aligned, padding, axis.output_size)
        for axis, padding in zip(field.axes, paddings, strict=True)
    ]


def as_told(found, height, width):
    """The same from the answer for all sizes."""
    try:
        placements = found.at([height, width])
    except ReceptiveFieldError:
        return None
    return [
        (*placement, axis.output_size and axis.output_size(size))
        for placement, axis, size in zip(
            placements, found.axes, (width, height), strict=True
        )
    ]


def some_sizes(found, seed):
    """All small sizes, all of two periods above them, and some that are drawn."""
    above = max(64, *(axis.smallest for axis in found.axes))
    end = above + 2 * max(axis.period for axis in found.axes)
    return [*range(1, end), *random.Random(seed).sample(range(end, end + LARGEST), 8)]


def drawn_sizes(found, count):
    """Some sizes, half of them small."""
    choose = random.Random(random_search.SEED)
    start = max(axis.smallest for axis in found.axes)
    small = choose.sample(range(1, 64 + start), count // 2)
    return [*small, *choose.sample(range(64, LARGEST), count // 2)]


def pairs_of_a_period(found):
    """Heights and widths that together have each remainder of a period once.

    Square networks are told the same on both axes, so one of them shows it for both.
    """
    across, along = (
        (axis.placements, axis.smallest, axis.exceptions, axis.output_size)
        for axis in found.axes
    )
    assert across == along
    period = found.axes[0].period
    start, end = random.Random(random_search.SEED).sample(range(64, LARGEST // 2), 2)
    count = (period + 1) // 2
    end += (start + count - end) % period
    return [(start + n, end + n) for n in range(count)]


def hold_large(model, found, count):
    """Holds the answer of a network whose analysis takes long."""
    hold(model, found, drawn_sizes(found, count), pairs=pairs_of_a_period(found))


def hold(model, found, sizes, largest=LARGEST, pairs=()):
    """Holds the answer for all sizes against an analysis at each of these.

    Heights and widths differ, so that an axis that depends on the other shows.
    """
    model = load(model)
    runs = 0
    tried = [((size, largest + 1 - size), (size, size)) for size in sizes]
    for alternatives in (*tried, *((pair,) for pair in pairs)):
        for pair in alternatives:
            expected = at_one_size(model, found, *pair)
            assert as_told(found, *pair) == expected, pair
            if expected is not None:
                runs += 1
                break  # If not: which of the two is too small?
    assert runs


# --- Small networks, at every size ---------------------------------------------------


def raised(name, below, factor=2):
    """Nearest upsampling to twice the size or more, as a graph computes it."""
    return (
        node(f"{name}/shape", "Shape", [below])
        + constant(f"{name}/from", [1])
        + constant(f"{name}/to", [3])
        + constant(f"{name}/step", [1])
        + node(
            f"{name}/size",
            "StridedSlice",
            [f"{name}/{part}" for part in ("shape", "from", "to", "step")],
        )
        + constant(f"{name}/factor", [factor], [])
        + node(f"{name}/raised", "Mul", [f"{name}/size", f"{name}/factor"])
        + node(name, "ResizeNearestNeighbor", [below, f"{name}/raised"])
    )


def resized_to(name, below, like, **attributes):
    """Nearest resizing to the size of another tensor."""
    return (
        node(f"{name}/shape", "Shape", [like])
        + constant(f"{name}/from", [1])
        + constant(f"{name}/to", [3])
        + constant(f"{name}/step", [1])
        + node(
            f"{name}/size",
            "StridedSlice",
            [f"{name}/{part}" for part in ("shape", "from", "to", "step")],
        )
        + node(name, "ResizeNearestNeighbor", [below, f"{name}/size"], **attributes)
    )


NETWORKS = {
    "one SAME layer": [conv("out", "input", 3, 2, "SAME")],
    "a stride longer than the kernel": [conv("out", "input", 2, 5, "SAME")],
    "strides of three and two": [
        conv("a", "input", 5, 3, "SAME"),
        conv("b", "a", 4, 2, "SAME"),
        pool("out", "b", 3, 2, "SAME"),
    ],
    "VALID layers that vanish": [
        conv("a", "input", 7, 2),
        pool("b", "a", 3, 2),
        conv("out", "b", (5, 1), 3, "SAME"),
    ],
    "dilated": [
        conv("a", "input", 3, 2, "SAME"),
        conv("out", "a", 3, 1, "SAME", dilation=4),
    ],
    "misaligned at even sizes": [
        conv("a", "input", 3, 2, "SAME"),
        conv("b", "input", 1, 2, "SAME"),
        add("out", "a", "b"),
    ],
    "never aligned": [
        conv("a", "input", 2, 1, "SAME"),
        conv("b", "input", 1, 1, "SAME"),
        add("out", "a", "b"),
    ],
    "explicit padding": [pad("p", "input", 3, 3), conv("out", "p", 7, 4)],
    "mirrored padding": [
        pad("p", "input", 3, 3, "MirrorPad"),
        conv("out", "p", 7, 2),
    ],
    "up again": [
        conv("a", "input", 3, 2, "SAME"),
        conv("b", "a", 3, 2, "SAME"),
        raised("u", "b"),
        conv("out", "u", 3, 1, "SAME"),
    ],
    "up and added to what came down": [
        conv("a", "input", 3, 2, "SAME"),
        raised("u", "a"),
        add("out", "u", "input"),
    ],
    "halves and thirds, up again and added": [
        conv("a", "input", 2, 2, "SAME"),
        raised("u", "a"),
        conv("b", "input", 3, 3, "SAME"),
        raised("v", "b", 3),
        add("w", "u", "v"),
        add("out", "w", "input"),
    ],
}


AT_EVERY_SIZE = {
    "one SAME layer": LARGEST,
    "VALID layers that vanish": LARGEST,
    "misaligned at even sizes": LARGEST,
    "up and added to what came down": LARGEST,
    "mirrored padding": 130,  # Its positions are tables, which take their time.
}


@pytest.mark.parametrize("name", NETWORKS)
def test_small_network_at_every_size(name):
    """Of most, at all of two periods, all small ones, and some that are drawn."""
    graph = graph_def(placeholder(), *NETWORKS[name])
    found = resolutions(graph)
    if largest := AT_EVERY_SIZE.get(name):
        hold(graph, found, range(1, largest + 1), largest)
    else:
        hold(graph, found, some_sizes(found, random_search.SEED))


def random_network(seed):
    """A chain of layers, some of them with a shortcut of one position beside them."""
    choose = random.Random(seed)
    nodes, below, total = [placeholder()], "input", 1
    for number in range(choose.randint(2, 5)):
        name = f"layer{number}"
        stride = choose.choice([1, 1, 2, 2, 3])
        total *= stride
        if total > 36:
            break
        kernel = choose.randint(1, 5), choose.randint(1, 5)
        padding = choose.choice(["SAME", "SAME", "VALID"])
        if padding == "SAME" and choose.random() < 0.4:
            nodes.append(conv(f"{name}/main", below, kernel, stride, "SAME"))
            nodes.append(conv(f"{name}/short", below, 1, stride, "SAME"))
            nodes.append(add(name, f"{name}/main", f"{name}/short"))
        else:
            nodes.append(conv(name, below, kernel, stride, padding))
        below = name
    return graph_def(*nodes)


@pytest.mark.parametrize("seed", seeds("networks of all sizes", 12))
def test_random_network(seed):
    graph = random_network(seed)
    found = resolutions(graph)
    hold(graph, found, some_sizes(found, seed))


# --- Known networks -------------------------------------------------------------------


def of_zoo(name):
    definition, start, nodes = needed("stored").zoo_definition(name)
    output = nodes[zoo.NETWORKS[name].end_points[-1]]
    model = load(definition)
    return model, resolutions(model, output=output, input=start)


def some_drawn(names, count):
    return random.Random(random_search.SEED).sample(names, count)


DEEP = [
    *(f"resnet_v{v}_{depth}" for v in (1, 2) for depth in (101, 152, 200)),
    *(f"resnet_{depth}{kind}" for depth in (101, 152) for kind in ("", "_b")),
]
"""Networks that repeat the units of those with 50 layers."""

OF_ZOO = [*(name for name in zoo.NETWORKS if name not in DEEP), *some_drawn(DEEP, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_ZOO)
def test_network_of_the_zoo(name):
    model, found = of_zoo(name)
    if name == "alexnet_v2":
        hold(model, found, range(1, LARGEST + 1))
    else:
        hold_large(model, found, 8)


APPLICATIONS = [
    *("ConvNeXtTiny", "DenseNet121", "MobileNet", "MobileNetV2", "MobileNetV3Small"),
    *("ResNet50", "ResNet50V2", "VGG16", "Xception"),
    *some_drawn(["EfficientNetB0", "EfficientNetV2B0"], 1),
    *some_drawn(["InceptionV3", "InceptionResNetV2"], 1),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_keras_application(name):
    options = {"include_top": False, "input_shape": (None, None, 3)}
    model = needed("stored").application(name, **options)
    hold_large(model, resolutions(model), 6)


@pytest.mark.parametrize(
    ("name", "paddings"),
    [("resnet_v1_50", (239, 241)), ("resnet_v2_50", (239, 241))],
)
def test_padding_of_slims_residual_networks(name, paddings):
    _, found = of_zoo(name)
    for axis in found.axes:
        less, more = paddings
        assert axis.period == 4
        assert axis.placements == tuple(
            Placement(True, padding) for padding in (less, more, more, less)
        )
        assert str(axis) == (
            f"aligned at every size; padding {less} at sizes that are 0 or 1 less than "
            f"a multiple of 4, else {more}"
        )
        assert str(axis.output_size) == "ceil(size / 32)"
        assert axis.smallest == 1
    assert found.largest_useful_size == (483, 483)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet_v2", "vgg_a", "inception_v3"])
def test_smallest_size_is_that_at_which_tensorflow_builds_it(name):
    _, found = of_zoo(name)
    for axis in found.axes:
        zoo.build(name, [axis.smallest] * 2)
        with pytest.raises(ReceptiveFieldError):
            zoo.build(name, [axis.smallest - 1] * 2)


@pytest.mark.slow
def test_the_graph_of_the_package():
    found = resolutions(EXAMPLE_GRAPH)
    node = "InceptionResnetV2/Mixed_7a/Branch_3/MaxPool_1a_3x3/MaxPool"
    assert str(found) == (
        "InceptionResnetV2/Conv2d_7b_1x1/Relu in input_image, by input size\n"
        "x, y: aligned at every size; padding 1482\n"
        f"  smallest size 75 (below it, the map vanishes at {node!r})\n"
        "  output size floor((size - 43) / 32)\n"
        "  no unproductive layers at size 80 or above\n"
        "  largest local receptive field 3039"
    )
    with pytest.raises(ReceptiveFieldError, match=r"at size 74: MaxPool node .*Mixed"):
        found.at([299, 74])
    assert found.at([299, 75]) == (Placement(True, 1482),) * 2


# --- What stands in the way -----------------------------------------------------------


def described(*paddings, aligned=True, **more):
    """The text of an axis with these paddings, by the remainder of the size."""
    placements = tuple(Placement(aligned, padding) for padding in paddings)
    return str(AxisResolutions(placements, 1, **more))


def test_paddings_in_words():
    assert described(0, 2, 1) == "aligned at every size; padding -size mod 3"
    assert described(1, 3, 2).endswith("padding 1 + (-size mod 3)")
    many = described(7, 1, 9, 3, 5)
    assert many.endswith("padding 7, 1, 9, 3, 5 where size mod 5 is 0, 1, ...")
    some = AxisResolutions((Obstacle("a", "why."), *[Placement(True, 1)] * 2), 1)
    assert str(some).startswith("aligned at sizes that are not multiples of 3")


def sizes_told(words, period):
    """The remainders that words such as "1 to 2 more than a multiple of 9" describe."""
    words = words.removeprefix(" at ")
    if words == "":
        return set(range(period))
    if words in ("even sizes", "odd sizes"):
        return {words == "odd sizes"}
    listed = re.fullmatch(r"sizes whose remainder modulo \d+ is (.*)", words)
    if listed:
        return {int(number) for number in re.findall(r"\d+", listed[1])}
    negated = words.startswith("sizes that are not ")
    words = words.removeprefix("sizes that are ").removeprefix("not ")
    if words == f"multiples of {period}":
        found = {0}
    else:
        assert words.endswith(f" than a multiple of {period}")
        signs = re.findall("less|more", words)
        ends = [int(number) for number in re.findall(r"\d+", words)[:-1]]
        if len(signs) == 1:
            signs *= len(ends)
        ends = [
            -n if sign == "less" else n for n, sign in zip(ends, signs, strict=True)
        ]
        found = {end % period for end in range(min(ends), max(ends) + 1)}
    return set(range(period)) - found if negated else found


@pytest.mark.parametrize("period", range(1, 9))
def test_words_for_remainders_name_exactly_these(period):
    for number in range(1, 1 << period):
        residues = [r for r in range(period) if number >> r & 1]
        told = _where(residues, period)
        assert sizes_told(told, period) == set(residues), told


def test_what_cannot_run_is_told_once():
    obstacles = [Obstacle(name, f"{name} has floor(n).") for name in "abcd"]
    some = AxisResolutions((Placement(False, 1), *obstacles), 1)
    assert str(some) == (
        "misaligned at multiples of 5; padding 1; cannot run at other sizes, because "
        "of 'a', 'b', 'c' and 1 more"
    )


def test_the_size_that_a_graph_was_built_for_comes_first():
    sized = graph_def(placeholder(sizes=(1, 20, 30, 1)), conv("conv", "input"))
    found = resolutions(sized)
    assert found.built_for == (30, 20)
    assert str(found).splitlines()[1].startswith("built for x: 30, y: 20;")
    assert [axis["built_for"] for axis in found.to_dict()["axes"]] == [30, 20]
    unsized = resolutions(graph_def(placeholder(), conv("conv", "input")))
    assert unsized.built_for == (None, None)
    assert "built for" not in str(unsized)


def test_sizes_that_differ_in_words():
    differ = {2: Placement(False, 3), 3: Obstacle("a", "why.")}
    text = described(1, exceptions=differ)
    assert text.endswith(
        "at size 2 misaligned, padding 3; at size 3 it cannot run: why"
    )
    text = described(1, exceptions=dict.fromkeys(range(2, 30), Placement(False, 3)))
    assert text.endswith("and more such sizes up to 29 (see exceptions)")


def test_resize_to_a_constant_size_is_named():
    nodes = [conv("a", "input", 3, 2, "SAME"), constant("size", [33, 65])]
    resize = node("resized", "ResizeBilinear", ["a", "size"])
    graph = graph_def(placeholder(), *nodes, resize, conv("out", "resized", 3))
    found = resolutions(graph)
    for axis, size in zip(found.axes, (65, 33), strict=True):
        assert [obstacle.node for obstacle in axis.blocking] == ["resized"]
        words = f"size ceil(size / 2), and its output has size {size}"
        assert words in axis.blocking[0].reason
    with pytest.raises(ReceptiveFieldError, match=r"'resized'.*input_resolution"):
        found.at(224)
    assert "no answer at any size: ResizeBilinear node 'resized'" in str(found)


def test_resize_with_aligned_corners_is_named():
    corners = resized_to("up", "a", "input", align_corners="b: true")
    graph = graph_def(placeholder(), conv("a", "input", 3, 2, "SAME"), corners)
    found = resolutions(graph)
    assert all([o.node for o in axis.blocking] == ["up"] for axis in found.axes)


def test_resize_to_the_size_of_the_input_blocks_where_it_is_no_multiple():
    down = conv("a", "input", 3, 2, "SAME")
    graph = graph_def(
        placeholder(), down, resized_to("up", "a", "input"), conv("out", "up", 3)
    )
    found = resolutions(graph)
    for size in range(4, 130, 2):
        assert as_told(found, size, size) == at_one_size(load(graph), found, size, size)
    for axis in found.axes:
        even, odd = axis.placements
        assert even == Placement(True, None)  # Every position is there twice.
        assert isinstance(odd, Obstacle)
        assert odd.can_run
        assert odd.node == "up"
    # Two neighbours of the smaller map, three positions for each: five in all. At odd
    # sizes the scale is another one at each, and three neighbours are the bound: seven.
    assert found.largest_useful_size == (7, 7)


def test_an_axis_is_only_dropped_where_it_has_one_position():
    """That is so where a pooling by 4 fits once, but not twice."""
    squeezed = node("out", "Squeeze", ["pool"], squeeze_dims=integers([1, 2]))
    graph = graph_def(placeholder(), pool("pool", "input", 4, 4), squeezed)
    found = resolutions(graph, output="out")
    runs = [size for size in range(1, 200) if as_told(found, size, size)]
    assert runs == [4, 5, 6, 7]
    hold(graph, found, range(1, 20))
    for axis in found.axes:
        (large,) = axis.placements
        assert isinstance(large, Obstacle)
        assert (large.node, large.can_run) == ("out", False)


def test_sizes_at_which_two_maps_do_not_fit_cannot_be_run():
    graph = graph_def(placeholder(), *NETWORKS["up and added to what came down"])
    found = resolutions(graph)
    for axis in found.axes:
        even, odd = axis.placements
        assert isinstance(even, Placement)
        assert isinstance(odd, Obstacle)
        assert not odd.can_run
        assert odd.node == "out"
        assert not axis.blocking
        # The only position of the smaller map is broadcast.
        assert set(axis.exceptions) == {1}
    with pytest.raises(ReceptiveFieldError, match="cannot run at size 7"):
        found.at([8, 7])


def test_a_network_that_never_runs_is_an_error():
    graph = graph_def(
        placeholder(),
        constant("size", [2, 2]),
        node("small", "ResizeBilinear", ["input", "size"]),
        conv("out", "small", 3),
    )
    with pytest.raises(ReceptiveFieldError, match="'out' makes the feature map vanish"):
        resolutions(graph)
    graph = graph_def(placeholder(), conv("out", "input", (1, 3000)))
    with pytest.raises(ReceptiveFieldError, match=r"at any size up to 2048.*'out'"):
        resolutions(graph)


# --- Design guidance ------------------------------------------------------------------


def wide_and_narrow(name, below, kernel):
    """A layer beside a shortcut, added."""
    return conv(f"{name}/main", below, kernel, 1, "SAME") + add(
        name, below, f"{name}/main"
    )


def test_guidance_follows_the_smallest_and_the_largest_path():
    graph = graph_def(
        placeholder(),
        conv("stem", "input", 3, 2, "SAME"),  # sees 3
        wide_and_narrow("one", "stem", 5),  # 3 by the shortcut, 3 + 4 * 2 = 11
        wide_and_narrow("two", "one", 3),  # 3; 11 + 2 * 2 = 15
        conv("head", "two", 1),
        conv("tail", "head", (1, 3), 1, "SAME"),  # on x only: 15 + 2 * 2 = 19
    )
    found = resolutions(graph)
    assert [tuple(layer) for layer in found.layers] == [
        ("stem", (1, 1), (1, 1)),
        ("one/main", (3, 3), (3, 3)),
        ("two/main", (3, 3), (11, 11)),
        ("tail", (3, None), (15, None)),
    ]
    assert found.largest_useful_size == (19, 15)
    assert found.smallest_productive_size == (4, 4)
    assert found.unproductive_layers(3) == (
        ("one/main", "two/main", "tail"),
        ("one/main", "two/main"),
    )
    assert found.unproductive_layers(4) == ((), ())
    assert found.critical_layers([15, 11]) == (("two/main", "tail"), ())
    assert found.critical_layers([11, 16]) == ((), ("two/main",))


@pytest.mark.parametrize("seed", range(40))
def test_reaches_are_those_of_all_paths(seed):
    """Every path of a random graph is followed by itself."""
    choose = random.Random(seed)
    nodes = [placeholder()]
    paths = {"input": [1]}
    expected = {}
    names = ["input"]
    for number in range(7):
        name = f"layer{number}"
        if choose.random() < 0.5 and len(names) > 1:
            one, two = choose.sample(names, 2)
            nodes.append(add(name, one, two))
            paths[name] = paths[one] + paths[two]
        else:
            below, kernel = choose.choice(names), choose.choice([1, 3, 5, 7])
            dilation = choose.choice([1, 2])
            nodes.append(conv(name, below, kernel, 1, "SAME", dilation))
            paths[name] = [r + (kernel - 1) * dilation for r in paths[below]]
            if kernel > 1:
                expected[name] = min(paths[below]), max(paths[below])
        names.append(name)
    nodes += [add(f"all{i}", n, f"all{i - 1}" if i else n) for i, n in enumerate(names)]
    found = resolutions(graph_def(*nodes))
    assert {x.name: (x.smallest[0], x.largest[0]) for x in found.layers} == expected
    assert found.largest_useful_size[0] == max(map(max, paths.values()))


def test_layers_around_which_positions_move_to_the_batch():
    """A dilated convolution is SpaceToBatch, a convolution, BatchToSpace."""
    keras = needed("keras")
    inputs = keras.Input((None, None, 1))
    one = keras.layers.Conv2D(1, 3, name="one")(inputs)
    two = keras.layers.DepthwiseConv2D(3, dilation_rate=2, name="two")(one)
    three = keras.layers.Conv2D(1, 3, name="three")(two)
    found = resolutions(keras.Model(inputs, three))
    assert [tuple(layer) for layer in found.layers] == [
        ("one", (1, 1), (1, 1)),
        ("two", (3, 3), (3, 3)),
        ("three", (7, 7), (7, 7)),
    ]


def test_what_comes_after_the_output_does_not_matter():
    """Of a classifier, the last map with positions is asked about."""
    keras = needed("keras")
    inputs = keras.Input((64, 64, 1))
    features = keras.layers.Conv2D(1, 3, 2, padding="same", name="map")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(inputs, keras.layers.Dense(3)(pooled))
    found = resolutions(model)
    assert found.output == "map"
    hold(model, found, range(1, 40), 40)


def test_layers_of_a_keras_model_have_their_names():
    keras = needed("keras")
    layers = keras.layers
    inputs = keras.Input((None, None, 1))
    one = layers.Conv2D(1, 3, strides=2, padding="same", name="one")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(one)
    gated = layers.Multiply()([one, layers.Conv2D(1, 1)(gate)])
    two = layers.SeparableConv2D(1, 3, padding="same", name="two")(gated)
    found = resolutions(keras.Model(inputs, two))
    assert [layer.name for layer in found.layers] == ["one", "two"]
    assert found.layers[1].smallest == found.layers[1].largest == (3, 3)
    assert found.largest_useful_size == (7, 7)  # Without what the gate sees.
    assert found.axes[0].placements == (Placement(True, 2), Placement(True, 3))


def reaches(build):
    """The smallest and the largest reach of each layer, by its name."""
    tf = needed("tensorflow")
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, None, None, 1), name="input")
        tf.identity(build(tf, image), name="output")
    found = resolutions(graph, output="output")
    return {layer.name: (layer.smallest, layer.largest) for layer in found.layers}


def squares(tf, x, size, name=None):
    return tf.nn.conv2d(x, tf.ones((size, size, 1, 1)), 1, "SAME", name=name)


def test_variables_of_a_loop_that_change_places():
    """After two rounds, each of them may be the map that sees 3."""

    def build(tf, x):
        start = [squares(tf, x, size) for size in (9, 7, 3)]
        _, *maps = tf.while_loop(
            lambda i, a, b, c: i < 3, lambda i, a, b, c: (i + 1, b, c, a), [0, *start]
        )
        tops = [squares(tf, y, 3, f"top_{i}") for i, y in enumerate(maps)]
        return tf.add_n(tops)

    found = reaches(build)
    assert [found[f"top_{i}"][0] for i in range(3)] == [(3, 3)] * 3


def test_a_layer_whose_input_is_seen_through_no_local_path():
    infinity = float("inf")

    def build(tf, x):
        mean = tf.reduce_mean(x, [1, 2], keepdims=True)
        spread = tf.tile(mean, [1, tf.shape(x)[1], tf.shape(x)[2], 1])
        return squares(tf, spread, 3, "spread") + squares(tf, x, 3, "local")

    assert reaches(build) == {
        "local": ((1, 1), (1, 1)),
        "spread": ((infinity, infinity), (infinity, infinity)),
    }


def test_a_layer_of_which_only_the_kernel_depends_on_the_input():
    def build(tf, x):
        kernel = tf.tile(tf.reduce_mean(x, [1, 2], keepdims=True), [3, 3, 1, 1])
        constant = tf.nn.conv2d(tf.ones_like(x), kernel, 1, "SAME", name="constant")
        return squares(tf, x, 3, "local") + constant

    assert reaches(build) == {"local": ((1, 1), (1, 1))}


# --- Bad input, words -----------------------------------------------------------------


@pytest.mark.parametrize("size", [(), (1, 2, 3), 0, 2.5, (-3, 4), ("a", 2), "ab", None])
def test_a_resolution_that_is_none(size):
    found = resolutions(graph_def(placeholder(), conv("out", "input")))
    with pytest.raises(ReceptiveFieldError, match="height before width"):
        found.at(size)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (OutputSize(1, (0,)), "size"),
        (OutputSize(1, (-2,)), "size - 2"),
        (OutputSize(2, (3,)), "2 * size + 3"),
        (OutputSize(0, (33,)), "33"),
        (OutputSize(1, (0, 1, 1)), "ceil(size / 3)"),
        (OutputSize(1, (0, 0, 1)), "floor((size + 1) / 3)"),
        (OutputSize(1, (-1, -1, 0)), "floor((size - 2) / 3)"),
        (OutputSize(2, (0, 2)), "2 * floor(size / 2) + [0, 2][size mod 2]"),
        (OutputSize(1, (0, 2)), "1 * floor(size / 2) + [0, 2][size mod 2]"),
        (OutputSize(0, (1, 2, 3)), "[1, 2, 3][size mod 3]"),
    ],
)
def test_words_for_sizes(function, words):
    assert str(function) == words
    given = {"floor": lambda x: x // 1, "ceil": lambda x: -(-x // 1)}
    for size in range(1, 50):
        # Written as a program, up to the word for the residue.
        program = words.replace("size mod", "size %")
        assert eval(program, given, {"size": size}) == function(size)


def test_a_network_of_one_axis():
    keras = needed("keras")
    image = keras.Input((None, 1))
    layer = keras.layers.Conv1D(1, 5, strides=3, padding="same")
    model = keras.Model(image, layer(image))
    (axis,) = resolutions(model).axes
    for size in range(1, 40):
        field = compute_receptive_field(model, input_resolution=[size])
        assert axis.at(size) == Placement(True, field.padding.item())


def test_sizes_at_which_maps_do_not_meet():
    """A U-Net of one level: half of an odd size, doubled, is not that size."""
    keras = needed("keras")
    image = keras.Input((None, None, 1))
    low = keras.layers.MaxPool2D(2)(image)
    high = keras.layers.Conv2DTranspose(1, 2, strides=2)(low)
    found = resolutions(keras.Model(image, keras.layers.Add()([image, high])))
    for axis in found.axes:
        assert isinstance(axis.at(6), Placement)
        for size in (5, 7, 101):
            with pytest.raises(ReceptiveFieldError, match="cannot run at size"):
                axis.at(size)


def test_a_slice_with_constant_ends_takes_less_of_small_images():
    keras = needed("keras")
    image = keras.Input((None, None, 1))
    found = resolutions(keras.Model(image, image[:, :10, :10]))
    assert [axis.output_size for axis in found.axes] == [None, None]


def test_a_reversed_slice_takes_less_of_small_images():
    """Its padding differs at all sizes at which its size does."""
    reverse = (np.array([v]) for v in (9, -(1 << 40), 3, -1))
    model = operation("Slice", (1, 1, "height", "width"), *reverse)
    along, across = resolutions(model, input="x", output="y").axes
    run = Session(model)
    for size in range(1, 14):
        result = run(np.arange(size, dtype=np.float32).reshape(1, 1, 1, size))
        assert along.at(size).padding == -result.flat[0]
        assert result.size == min(size, 10)
    assert along.output_size is None
    assert across.output_size == OutputSize(1, (0,))


@pytest.mark.parametrize("condition", [True, False])
def test_a_branch_that_is_not_taken_needs_no_positions(condition):
    shape = (1, 1, "height", "width")
    make, kernel = onnx.helper.make_node, np.ones((1, 1, 9, 9), np.float32)
    branches = {
        branch: onnx.helper.make_graph(
            [body], branch, [], [onnx.helper.make_empty_tensor_value_info(branch)]
        )
        for branch, body in {
            "then_branch": make("Conv", ["x", "kernel"], ["then_branch"]),
            "else_branch": make("Relu", ["x"], ["else_branch"]),
        }.items()
    }
    constants = [
        onnx.numpy_helper.from_array(np.array(condition), "condition"),
        onnx.numpy_helper.from_array(kernel, "kernel"),
    ]
    choice = make("If", ["condition"], ["y"], **branches)
    model = model_of([choice], {"x": ("float32", shape)}, ["y"], constants)
    found = resolutions(model, input="x", output="y")
    for axis in found.axes:
        assert axis.smallest == (9 if condition else 1)
        assert axis.output_size == OutputSize(1, (-8 if condition else 0,))
    assert [layer.name for layer in found.layers] == (
        ["y/then_branch/then_branch"] if condition else []
    )


def traced(model):
    """The graph that TensorFlow makes of a model, with the sizes of its input."""
    return tensorflow.model_of(model)


@pytest.mark.parametrize(
    ("kind", "options", "sizes"),
    [
        (
            "Conv1D",
            {"kernel_size": 3, "padding": "same", "dilation_rate": 2},
            range(1, 40, 2),
        ),
        (
            "Conv1D",
            {"kernel_size": 3, "padding": "same", "dilation_rate": 3},
            range(2, 40, 3),
        ),
        ("Conv1DTranspose", {"kernel_size": 5, "strides": 2}, [17]),
        ("Autoencoder", {"strides": 3}, [15, 16, 17]),
        ("Autoencoder", {"strides": 4}, [16, 17, 18, 19]),
    ],
)
def test_a_model_that_was_built_for_one_size(kind, options, sizes):
    """The graph holds paddings and crops of that size, or the size itself."""
    keras = needed("keras")
    image = keras.Input((17, 2))
    if kind == "Autoencoder":
        low = keras.layers.MaxPooling1D(options["strides"])(image)
        layer = keras.layers.Conv1DTranspose(2, 2, **options)
        features = layer(low)
    else:
        features = getattr(keras.layers, kind)(2, **options)(image)
    model = traced(keras.Model(image, features))
    (axis,) = resolutions(model).axes
    runs = []
    for size in range(1, 40):
        try:
            field = compute_receptive_field(model, input_resolution=[size])
        except ReceptiveFieldError:
            with pytest.raises(ReceptiveFieldError):
                axis.at(size)
        else:
            runs.append(size)
            placement = Placement(field.aligned, field.padding.item())
            assert axis.at(size) == placement
    assert 17 in runs
    assert runs == list(sizes)


@pytest.mark.parametrize(
    ("layers", "length", "period", "fits"),
    [
        ("d13", 143, 13, {143, 156, 169, 182, 195}),
        ("d5 d7", 140, 35, {140, 175}),
        ("s2 d11", 132, 22, {131, 132, 153, 154, 175, 176, 197, 198}),
        ("s2 d3 d4", 144, 24, {143, 144, 167, 168, 191, 192}),
        ("u2 d3", 132, 3, {*range(132, 200, 3)}),
        ("u3 d2", 132, 2, {*range(132, 200, 2)}),
        ("d5 s4", 135, 20, {*range(135, 200, 5)}),
    ],
)
def test_blocks_of_a_model_that_was_built_for_one_size(layers, length, period, fits):
    """Each map must be a multiple of the dilation (d) that follows, as it is at the
    size of the model; strides (s) divide it before, upsamplings (u) multiply it."""
    keras = needed("keras")
    image = keras.Input((length, 1))
    features = image
    for name in layers.split():
        kind, number = name[0], int(name[1:])
        layer = {
            "d": lambda n: keras.layers.Conv1D(1, 3, dilation_rate=n, padding="same"),
            "s": lambda n: keras.layers.Conv1D(1, 3, strides=n, padding="same"),
            "u": keras.layers.UpSampling1D,
        }[kind](number)
        features = layer(features)
    model = traced(keras.Model(image, features))
    (axis,) = resolutions(model).axes
    assert axis.period == period
    runs = set()
    for size in range(131, 200):
        try:
            field = compute_receptive_field(model, input_resolution=[size])
        except ReceptiveFieldError:
            with pytest.raises(ReceptiveFieldError, match=f"size {size}"):
                axis.at(size)
        else:
            runs.add(size)
            padding = field.padding.item()
            if axis.at(size).aligned is not None:
                assert axis.at(size) == Placement(field.aligned, padding)
    assert runs == fits


def test_blocks_that_repeat_too_late():
    keras = needed("keras")
    image = keras.Input((60, 1))
    features = image
    for dilation in (11, 13, 15, 17):
        layer = keras.layers.Conv1D(1, 3, padding="same", dilation_rate=dilation)
        features = layer(features)
    with pytest.raises(ReceptiveFieldError, match="Ask about individual sizes"):
        resolutions(traced(keras.Model(image, features)))
