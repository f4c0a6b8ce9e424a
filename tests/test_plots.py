"""That plots show what they must: the coordinates of what is drawn, not its pixels."""

import dataclasses
import doctest
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from graphs import (
    add,
    constant,
    conv,
    graph_def,
    integers,
    node,
    placeholder,
    pool,
    variable,
)
from needed import needed, needs
from run_scripts import DOCS, OURS, script

import receptive_field as rf
from receptive_field.report import growth, plots
from receptive_field.report.accuracy import Dot
from receptive_field.report.figure import file_figure

mpl = needed("matplotlib")
mpl.use("agg")
pyplot = needed("matplotlib.pyplot")

DILATED = graph_def(
    placeholder(), conv("one", "input", 3, 2, "SAME"), conv("two", "one", 3, dilation=2)
)
BRANCHES = graph_def(
    placeholder(sizes=(1, 20, 30, 1)),
    conv("left", "input", 3, 1, "SAME"),
    conv("right", "input", (1, 7), 1, "SAME"),
    node("relu", "Relu", ["right"]),
    add("sum", "left", "relu"),
    pool("pool", "sum"),
)


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    pyplot.close("all")


@pytest.fixture
def field():
    return rf.compute_receptive_field(DILATED, input_resolution=[16, 20])


@pytest.fixture
def line():
    """One axis of ten positions; three of them are seen, in steps of two."""
    signal = node("window", "Custom", ["signal"])
    window = rf.SlidingWindow(kernel_size=3, stride=1, padding=2, dilation=2)
    graph = graph_def(placeholder("signal", (1, 10, 1)), signal)
    return rf.compute_receptive_field(graph, overrides={"window": window})


def drawn(ax, gid):
    """Where the patches with this mark are: left, top, width, height."""
    return [
        [*patch.get_xy(), patch.get_width(), patch.get_height()]
        for patch in ax.patches
        if patch.get_gid() == gid
    ]


def lines(ax, gid):
    return [line.get_xydata().tolist() for line in ax.lines if line.get_gid() == gid]


def places(regions):
    """Rectangles around regions of pixels: pixel i is from i - 0.5 to i + 0.5."""
    return [
        [x0 - 0.5, y0 - 0.5, x1 - x0 + 1, y1 - y0 + 1]
        for (x0, x1), (y0, y1) in np.asarray(regions).tolist()
    ]


def test_regions(field):
    features = [[0, 0], [5, 3]]
    ax = rf.plot_regions(field, features)
    regions = field.compute_input_region(features)
    assert drawn(ax, "region") == places(regions)
    assert drawn(ax, "input") == [[-0.5, -0.5, 20, 16]]
    centres = field.compute_input_center_coordinates(features)
    assert lines(ax, "centre") == [[centre] for centre in centres.tolist()]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (pixels)", "y (pixels)")
    assert ax.get_xlim()[0] < ax.get_xlim()[1]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # Downwards, as in an image.


def test_what_lies_in_the_padding_is_apart(field):
    padded = rf.compute_receptive_field(
        graph_def(placeholder(), conv("conv", "input", 5, 1, "SAME")),
        input_resolution=[8, 8],
    )
    ax = rf.plot_regions(padded, [[0, 7]])
    assert drawn(ax, "region") == [[-2.5, 4.5, 5, 5]]
    assert drawn(ax, "inside") == [[-0.5, 4.5, 3, 3]]
    (outer,) = [p for p in ax.patches if p.get_gid() == "region"]
    assert outer.get_hatch()
    (image,) = ax.images
    assert outer.get_zorder() < image.get_zorder()  # It hides the hatches inside.


def test_regions_in_one_axis(line):
    ax = rf.plot_regions(line, [[0], [4]])
    regions = line.compute_input_region([[0], [4]])[:, 0]
    spans = [(left, width) for left, _, width, _ in drawn(ax, "region")]
    assert spans == [(first - 0.5, last - first + 1) for first, last in regions]
    assert ax.get_xlabel() == "position (pixels)"


def test_an_image(field, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    mpl.image.imsave(tmp_path / "image.png", pixels)
    for image in (pixels, tmp_path / "image.png", str(tmp_path / "image.png")):
        (shown,) = rf.plot_regions(field, [1, 1], image=image).images
        found = np.asarray(shown.get_array())
        if found.dtype != np.uint8:
            found = np.round(found * 255)
        assert (found == pixels).all()
        assert list(shown.get_extent()) == [-0.5, 19.5, 15.5, -0.5]


def test_an_image_says_how_large_an_input_of_any_size_is():
    valid = rf.compute_receptive_field(graph_def(placeholder(), conv("conv", "input")))
    ax = rf.plot_regions(valid, [2, 3], image=np.zeros((12, 14)))
    assert drawn(ax, "input") == [[-0.5, -0.5, 14, 12]]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 16, 20, 3)), r"shape \(1, 16, 20, 3\)"),
        (np.zeros((16, 20, 2)), "1, 3 or 4 channels"),
        (np.zeros((16, 0)), "height, width"),
        (np.array([["a"]]), "height, width"),
        ("nofile.png", "cannot read the image 'nofile.png': No such file"),
        (__file__, "Pillow cannot read the file as an image"),
        (".", "cannot read the image '.'"),
    ],
)
def test_what_is_no_image(field, image, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        rf.plot_regions(field, [1, 1], image=image)


GLOBAL = graph_def(
    placeholder(sizes=(1, 8, 8, 1)), conv("conv", "input"), node("all", "Odd", ["conv"])
)

WIDER = graph_def(
    placeholder(sizes=(1, 8, 8, 1)),
    constant("sizes", [1, 16, 16, 1], [4]),
    variable("kernel", (1, 1, 1, 1)),
    node(
        "wider",
        "Conv2DBackpropInput",
        ["sizes", "kernel", "input"],
        strides=integers([1, 2, 2, 1]),
        padding='s: "VALID"',
    ),
)
"""Between the features of which each sees one pixel lies one that sees none."""


def test_what_cannot_be_drawn(field):
    unknown = rf.compute_receptive_field(DILATED, input_resolution="unknown")
    rules = {"all": "global"}
    whole = rf.compute_receptive_field(GLOBAL, output="all", overrides=rules)
    valid = rf.compute_receptive_field(graph_def(placeholder(), conv("conv", "input")))
    box = graph_def(placeholder(sizes=(1, 4, 4, 4, 1)), node("relu", "Relu", ["input"]))
    volume = rf.compute_receptive_field(box)
    spread = rf.compute_receptive_field(WIDER)
    for ask, message in {
        lambda: rf.plot_regions(unknown, [0, 0]): "Give input_resolution",
        lambda: rf.plot_regions(valid, [0, 0]): "or an image",
        lambda: rf.plot_regions(whole, [0, 0]): "of 'input', because of 'all'",
        lambda: rf.plot_regions(field, [0.5, 0]): "integer coordinates",
        lambda: rf.plot_regions(field, [0]): "each feature needs 2 integer coordinates",
        lambda: rf.plot_regions(field, [6, 0]): "there is no feature",
        lambda: rf.plot_support(field, [[0, 0]]): "this plot shows one feature",
        lambda: rf.plot_support(valid, [0, 0]): "size",
        lambda: rf.plot_effective(valid): "Give input_resolution",
        lambda: rf.plot_regions(field, [[0, 0], [1]]): "an array of numbers",
        lambda: rf.plot_support(field, [[0, 0], [1]]): "an array of numbers",
        lambda: rf.plot_regions(volume, [0, 0, 0]): "'input' has 3",
        lambda: rf.plot_effective(volume): "'input' has 3",
        lambda: rf.plot_regions(spread, [1, 1]): r"feature \[1, 1\] .* sees nothing",
        lambda: rf.plot_growth({}): "no receptive fields",
        lambda: rf.plot_growth(field): "a dictionary of receptive fields",
        lambda: rf.plot_growth({"a": 1}): "a dictionary of receptive fields",
        lambda: rf.plot_growth({"a": {}}): "a: there are no receptive fields",
        lambda: rf.plot_regions(1): "draws a receptive field.*not 'int'",
        lambda: rf.plot_regions({}): "there are no models",
        lambda: rf.plot_support({"a": valid}): "a: the number of features",
        lambda: rf.plot_support({"a": field, "b": whole}, [9, 9]): "a: there is no",
        lambda: rf.plot_effective({"a": field}, ax=[]): "1 model .* got 0 axes",
    }.items():
        with pytest.raises(rf.ReceptiveFieldError, match=message):
            ask()


def test_the_axes_of_the_caller_are_used(field, line):
    _, ax = pyplot.subplots()
    fields = rf.compute_receptive_fields(BRANCHES)
    assert rf.plot_regions(field, [1, 1], ax=ax) is ax
    assert rf.plot_support(line, [4], ax=ax) is ax
    assert rf.plot_effective(field, ax=ax) is ax
    assert rf.plot_growth(fields, ax=ax) is ax
    dots = [Dot("a", 10, 1e9, 0.5), Dot("b", 100, 1e9, 0.7)]
    assert rf.plot_accuracy(dots, ax=ax) is ax


def test_support_with_holes(field):
    ax = rf.plot_support(field, [3, 2])
    states = np.asarray(ax.images[0].get_array())
    mask = field.support().mask([3, 2])
    assert (states == 2).tolist() == mask.tolist()
    (x0, x1), (y0, y1) = field.compute_input_region([3, 2]).tolist()
    inside = np.zeros_like(mask)
    inside[y0 : y1 + 1, x0 : x1 + 1] = True
    assert (states == 1).tolist() == (inside & ~mask).tolist()
    assert drawn(ax, "region") == places(field.compute_input_region([[3, 2]]))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["seen", "not seen: a hole"]


def test_support_in_one_axis(line):
    ax = rf.plot_support(line, [4])
    assert np.asarray(ax.images[0].get_array()).tolist() == [
        [0, 0, 2, 1, 2, 1, 2, 0, 0, 0]
    ]


def test_effective(field):
    ax = rf.plot_effective(field, feature=[2, 2])
    effective = field.effective_receptive_field([2, 2])
    assert np.asarray(ax.images[0].get_array()).tolist() == effective.map.tolist()
    assert drawn(ax, "region") == places(field.compute_input_region([[2, 2]]))
    (interval,) = drawn(ax, "interval")
    assert np.allclose(interval, places([effective.interval()]))
    alone = rf.plot_effective(effective)
    seen = np.argwhere(effective.map)
    ends = np.stack([seen.min(axis=0), seen.max(axis=0)], axis=-1)[::-1]
    assert drawn(alone, "region") == places([ends])
    with pytest.raises(rf.ReceptiveFieldError, match="already belongs to one feature"):
        rf.plot_effective(effective, feature=[1, 1])


def test_effective_in_one_axis(line):
    ax = rf.plot_effective(line, feature=[4])
    effective = line.effective_receptive_field([4])
    (share,) = lines(ax, "share")
    assert share == [[i, value] for i, value in enumerate(effective.map.tolist())]


def test_growth_with_branches():
    fields = rf.compute_receptive_fields(BRANCHES)
    ax = rf.plot_growth(fields)
    # Depths by hand: input, then left and right, relu after right, sum, pool.
    depths = {"left": 1, "right": 1, "relu": 2, "sum": 3, "pool": 4}
    assert set(depths) == set(fields)
    for axis, name in enumerate("xy"):
        (points,) = lines(ax, name)
        assert points == [[depths[n], fields[n].size[axis]] for n in fields]
    widths = [f.size[0] for f in fields.values()]
    assert max(widths) == 8  # 7, then a pooling of 2.
    levels = [segment[0][1] for segment in lines(ax, "input")]
    assert sorted(levels) == [20, 30]
    marked = [c for c in ax.collections if c.get_gid() == "links"]
    skips = [c for c in ax.collections if c.get_gid() == "skips"]
    # The edges of the graph: from "left" to "sum", "relu" lies beside.
    assert [len(links.get_segments()) for links in marked] == [5, 5]
    for axis, curves in enumerate(skips):
        (curve,) = curves.get_paths()
        ends = [[depths[n], fields[n].size[axis]] for n in ("left", "sum")]
        assert curve.vertices[[0, -1]].tolist() == ends


def test_growth_of_what_sees_a_whole_axis():
    fields = rf.compute_receptive_fields(GLOBAL, overrides={"all": "global"})
    ax = rf.plot_growth(fields)
    assert [x for ((x, _),) in lines(ax, "whole")] == [2]
    assert lines(ax, "x, y") == [[[1, 3]]]


def test_what_is_effective_of_a_whole_image():
    sum_of_all = graph_def(
        placeholder(sizes=(1, 4, 6, 1)),
        constant("axes", [1, 2], [2]),
        node("sum", "Sum", ["input", "axes"], keep_dims="b: true"),
    )
    ax = rf.plot_effective(rf.compute_receptive_field(sum_of_all))
    assert drawn(ax, "region") == places([[[0, 5], [0, 3]]])


def test_growth_of_four_axes():
    sizes = (1, 3, 4, 5, 6, 1)
    line = [0, 1, 0, 0, 0, 0]
    padded = constant("paddings", [n for n in line for _ in range(2)], [6, 2])
    graph = graph_def(
        placeholder(sizes=sizes), padded, node("pad", "Pad", ["input", "paddings"])
    )
    ax = rf.plot_growth(rf.compute_receptive_fields(graph))
    assert lines(ax, "x, y, z, axis 3") == [[[1, 1]]]
    assert [segment[0][1] for segment in lines(ax, "input")] == [6, 5, 4, 3]


def test_files_are_the_same_each_time(field, tmp_path):
    for name in ("a.svg", "b.svg"):
        with file_figure(tmp_path / name) as figure:
            rf.plot_regions(field, [1, 1], ax=figure)
    one, other = ((tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert one == other


def test_without_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import receptive_field as rf\n"
        "fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)\n"
        "try: rf.plot_growth(fields)\n"
        "except rf.ReceptiveFieldError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "receptive_field[plot]"' in done.stdout


@pytest.mark.slow
@needs("tensorflow")
def test_the_plots_of_the_documentation_can_be_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["write_plots.py", "--folder", str(tmp_path)])
    script(OURS / "write_plots.py").main()
    written = sorted(path.name for path in tmp_path.iterdir())
    assert "regions.svg" in written
    for name in written:
        assert (tmp_path / name).read_bytes().startswith(b"<?xml")
        assert (DOCS / "images" / name).exists()


@pytest.mark.parametrize("module", [growth, plots])
def test_examples_in_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


def names_below(ax):
    """Depth -> the names that are written below it."""
    labels = ax.get_xticklabels()
    return dict(zip(ax.get_xticks(), (t.get_text() for t in labels), strict=True))


def test_all_layers_are_named_if_there_is_room():
    ax = rf.plot_growth(rf.compute_receptive_fields(BRANCHES))
    names = ["input", "left\nright", "relu", "sum", "pool"]
    assert names_below(ax) == dict(enumerate(names))


def blocks(count):
    """Residual blocks in a chain: one convolution beside a skip."""
    nodes, below = [placeholder(sizes=(1, 64, 64, 1))], "input"
    for number in range(count):
        nodes += [
            conv(f"conv{number}", below, 3, 1, "SAME"),
            add(f"sum{number}", f"conv{number}", below),
        ]
        below = f"sum{number}"
    return rf.compute_receptive_fields(graph_def(*nodes))


def test_names_that_fit_are_those_where_paths_join():
    ax = rf.plot_growth(blocks(100))
    names = names_below(ax)
    assert 10 < len(names) < 60
    assert set(names.values()) <= {f"sum{number}" for number in range(100)}
    assert names[200] == "sum99"
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.get_xticklabels()]
    for left, right in pairwise(boxes):
        assert left.x1 <= right.x0
    legend = ax.get_legend().get_window_extent()
    assert legend.y1 <= min(box.y0 for box in boxes)


def test_a_skip_is_drawn_beside_the_layers_that_it_skips():
    ax = rf.plot_growth(blocks(3))
    (skips,) = [c for c in ax.collections if c.get_gid() == "skips"]
    for number, curve in enumerate(skips.get_paths()):
        points = curve.interpolated(50).vertices
        beside = [y for x, y in points if abs(x - (2 * number + 1)) < 0.1]
        assert beside
        assert max(beside) < 2 * number + 2  # Below the straight line, and the point.


def test_several_models_have_axes_of_their_own(field, line):
    fields = {"<one>": field, "$two$": line}
    for drawn_axes, rest in (
        (rf.plot_regions({"<one>": field, "$two$": field}, [1, 1]), "What features"),
        (rf.plot_support(fields), "Feature ("),
        (rf.plot_effective(fields), "Effective receptive field of feature ("),
        (
            rf.plot_growth(dict.fromkeys(fields, blocks(2))),
            "Growth of",
        ),
    ):
        assert len({*drawn_axes}) == 2
        for name, ax in zip(fields, drawn_axes, strict=True):
            first, second, *_ = ax.get_title().split("\n")
            assert (first, second[: len(rest)]) == (name, rest)
    assert drawn(rf.plot_regions({"a": field}, [1, 1])[0], "region")


def test_growths_of_several_models_have_one_scale():
    axes = rf.plot_growth({"short": blocks(2), "long": blocks(9)})
    assert axes[0].get_ylim() == axes[1].get_ylim()
    (ends,) = {ax.get_ylim() for ax in axes}
    assert ends[0] < 1 < 64 < ends[1]


def test_several_models_fill_a_figure_or_the_axes_of_the_caller(field):
    figure = mpl.figure.Figure(layout="constrained")
    places = rf.plot_support({"a": field, "b": field, "c": field}, [1, 1], ax=figure)
    assert figure.axes == places
    _, given = pyplot.subplots(1, 2)
    drawn_axes = rf.plot_support({"a": field, "b": field}, [1, 1], ax=given)
    assert drawn_axes == given.tolist()


def test_the_image_shows_through_what_is_seen():
    solid = rf.compute_receptive_field(
        graph_def(placeholder(), conv("conv", "input", 3, 1, "SAME")),
        input_resolution=[8, 8],
    )
    pixels = np.arange(64).reshape(8, 8) / 64
    ax = rf.plot_support(solid, [4, 4], image=pixels)
    states, image = ax.images
    assert image.get_array().tolist() == pixels.tolist()
    assert image.get_zorder() < states.get_zorder()
    opacity = states.get_cmap()(states.norm(np.array([0, 1, 2])))[:, 3]
    assert opacity[0] == 0
    assert opacity[2] < 0.5 < opacity[1]
    ((left, right), (bottom, top)) = ax.get_xlim(), ax.get_ylim()
    assert left < 2.5 < 5.5 < right  # The image around the region is shown, too.
    assert top < 2.5 < 5.5 < bottom


def test_a_growth_without_a_finite_layer_says_what_there_is():
    sum_of_all = graph_def(
        placeholder(sizes=(1, 4, 6, 1)),
        constant("axes", [1, 2], [2]),
        node("sum", "Sum", ["input", "axes"], keep_dims="b: true"),
        node("relu", "Relu", ["sum"]),
    )
    fields = rf.compute_receptive_fields(sum_of_all)
    message = (
        "none of 2 layers sees a finite part of 'input': 'sum', 'relu' see a whole"
    )
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        rf.plot_growth(fields)
    with pytest.raises(rf.ReceptiveFieldError, match=r"model\.pb: there is no growth"):
        rf.plot_growth({"good": blocks(1), "model.pb": fields})


def test_a_field_that_is_infinite_says_how_large_its_finite_part_is():
    both = graph_def(
        placeholder(sizes=(1, 8, 8, 1)),
        conv("conv", "input", 3, 1, "SAME"),
        constant("axes", [1, 2], [2]),
        node("sum", "Sum", ["input", "axes"], keep_dims="b: true"),
        add("both", "conv", "sum"),
    )
    field = rf.compute_receptive_field(both)
    with pytest.raises(rf.ReceptiveFieldError, match="the others see 3 x 3 positions"):
        rf.plot_regions(field, [0, 0])


def test_weights_that_are_no_numbers_are_not_drawn(field):
    effective = field.effective_receptive_field([1, 1])
    for weights in (effective.map * 0, effective.map * np.nan):
        broken = dataclasses.replace(effective, map=weights)
        with pytest.raises(rf.ReceptiveFieldError, match="nothing to draw"):
            rf.plot_effective(broken)
        with pytest.raises(rf.ReceptiveFieldError, match="two: the shares of feature"):
            rf.plot_effective({"one": effective, "two": broken})


def test_one_network_has_no_trend():
    ax = rf.plot_accuracy([Dot("$a$", 10, 1e9, 0.5)])
    assert not ax.lines
    assert [text.get_text() for text in ax.texts] == ["$a$\n1.0 GFLOPs"]
    for dots, message in (
        ([], "no networks"),
        ([Dot("a", 10, 1e9, 0.5), Dot("b", float("inf"), 1e9, 0.5)], "'b' cannot"),
        ([Dot("a", 10, 1e9, float("nan"))], "must be finite"),
    ):
        with pytest.raises(rf.ReceptiveFieldError, match=message):
            rf.plot_accuracy(dots)
