"""The explorer's page, in a real browser without a screen.

What it shows is held against the analysis: regions, sets of positions, and the numbers
of the editable figure.
"""

import csv
import itertools
import json
import lzma
import os
import random
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import graphs
import numpy as np
import pytest
import stored
from accessibility import violations
from needed import needed
from random_networks import possible
from random_search import seeds

import receptive_field as rf
from receptive_field.algebra import axis_map as am
from receptive_field.frameworks import load
from receptive_field.passes.gradients import Descent
from receptive_field.questions.question import Options
from receptive_field.relations import boxes
from receptive_field.report import explorer
from receptive_field.report.contents import as_text
from receptive_field.report.explorer import encoded_map, page_data

pytestmark = pytest.mark.slow

keras, Image = needed("keras"), needed("PIL.Image")
tf = needed("tensorflow")
layers = keras.layers
playwright = needed("playwright.sync_api")
expect = playwright.expect

PAGE = files("receptive_field.report") / "page"
DATA = Path(__file__).parent / "data"


# --- What the page works out itself --------------------------------------------------


@pytest.fixture(scope="module")
def scripts(browser):
    """An empty page with the scripts that know no document."""
    tab = browser.new_page()
    for name in ("maps.js", "follow.js"):
        tab.add_script_tag(content=(PAGE / name).read_text())
    yield tab
    tab.close()


def random_layer(rng):
    kernel, stride, dilation = rng.randint(1, 5), rng.randint(1, 3), rng.randint(1, 3)
    size = rng.randint(2, 9)
    offset = rng.randint(-3, 3)
    return rng.choice(
        [
            lambda: am.convolution(kernel, stride, rng.randint(0, 4), dilation),
            lambda: am.transposed_convolution(kernel, stride, rng.randint(0, 2)),
            lambda: am.shift(offset),
            lambda: am.sampling(offset, rng.choice([-2, -1, 2])),
            lambda: am.periodic(stride, [(0, 0), (0, 1), (offset, offset + 2)]),
            lambda: am.periodic(2, [(0, 1), None, (1, 1)]),
            lambda: am.table([(size - i, size) for i in range(size)], offset),
            lambda: am.one_sided(last=offset),
            lambda: am.constant(0, kernel),
            lambda: am.GLOBAL,
            lambda: am.quotient(stride + 1),
            lambda: am.remainder(stride + 1),
        ]
    )()


def random_map(rng):
    """A chain of layers, or two that meet."""
    found = random_layer(rng)
    for _ in range(rng.randint(0, 3)):
        found = found.then(random_layer(rng))
    return found | random_map(rng) if rng.random() < 0.4 else found


def as_numbers(window):
    infinite = {am.INFINITY: "inf", -am.INFINITY: "-inf"}
    return None if window is None else [infinite.get(end, end) for end in window]


@pytest.mark.parametrize("seed", seeds("maps of a page", 1))
def test_maps_are_evaluated_as_in_python(scripts, seed):
    rng = random.Random(seed)
    maps = [random_map(rng) for _ in range(200)]
    positions = [*range(-25, 40), 1000, -1000]
    found = scripts.evaluate(
        """([maps, positions]) => maps.map((strands) => {
          const map = decodeMap(strands);
          const plain = (end) => Number.isFinite(end) ? end : end > 0 ? "inf" : "-inf";
          return positions.map((u) => {
            const window = windowOf(map, u);
            return window === null ? null : window.map(plain);
          });
        })""",
        [[encoded_map(m) for m in maps], positions],
    )
    assert sum(len(m.strands) > 1 for m in maps) > 20
    for axis_map, windows in zip(maps, found, strict=True):
        expected = [as_numbers(axis_map.window(u)) for u in positions]
        assert windows == expected, axis_map


@pytest.mark.parametrize("seed", seeds("global maps of a page", 1))
def test_global_maps_are_known_as_such(scripts, seed):
    rng = random.Random(seed)
    maps = [random_map(rng) for _ in range(200)]
    found = scripts.evaluate(
        "(maps) => maps.map((strands) => isGlobal(decodeMap(strands)))",
        [encoded_map(m) for m in maps],
    )
    assert found == [m.is_global for m in maps]
    assert {True, False} == set(found)


@pytest.mark.parametrize("seed", seeds("sets of a page", 1))
def test_sets_are_followed_as_in_python(scripts, seed):
    """Layer by layer, with the holes of dilated kernels."""
    rng = random.Random(seed)
    cases = []
    for _ in range(400):
        above, below = rng.randint(1, 12), rng.randint(1, 30)
        seen = [rng.randint(0, 1) for _ in range(above)]
        cases.append((random_layer(rng), seen, below))
    found = scripts.evaluate(
        """(cases) => cases.map(([strands, seen, size]) => {
          const into = new Uint8Array(size);
          const marked = markImage(decodeMap(strands), Uint8Array.from(seen), 1, into);
          return [marked, Array.from(into)];
        })""",
        [[encoded_map(m), seen, size] for m, seen, size in cases],
    )
    for (axis_map, seen, size), (marked, positions) in zip(cases, found, strict=True):
        expected = boxes.image(np.array([seen], dtype=bool), axis_map, size)[0]
        assert positions == expected.astype(int).tolist(), (axis_map, seen)
        assert marked == expected.any()


def test_numbers_too_large_for_a_page_are_an_error():
    with pytest.raises(rf.ReceptiveFieldError, match=r"2\*\*53"):
        encoded_map(am.shift(2**60))


def held_down_to_the_input(scripts, graph, name):
    """Of how many features the page says exactly what they see.

    What is not said to be a bound is what clipped regions are, and a bound is never
    smaller.
    """
    told = 0
    data = page_data(load(graph), name, None, Options())
    (place,) = [i for i, n in enumerate(data["nodes"]) if n.get("name") == name]
    sizes = [size or 1 for size in data["nodes"][place]["size"]]
    features = list(itertools.product(*map(range, sizes)))
    field = rf.compute_receptive_field(graph, output=name)
    if field.is_folded:
        return 0
    expected = field.compute_input_region(features, clip=True)
    found = scripts.evaluate(
        """([data, place, features]) => {
          const network = decodeNetwork(data);
          return features.map((feature) => {
            const seen = follow(network, place, feature);
            const regions = seen[0] === undefined ? null : seen[0].map(hullOf);
            return [regions, seen.bounds.has(0)];
          });
        }""",
        [data, place, features],
    )
    for (region, bound), truth in zip(found, expected.tolist(), strict=True):
        region = region or [[0, -1]] * len(truth)
        if not bound:
            assert region == truth
            told += 1
        elif truth[0] != [0, -1] and field.support().exact:
            assert all(
                a <= first and last <= b
                for (a, b), (first, last) in zip(region, truth, strict=True)
            ), (region, truth)
    return told


@pytest.mark.parametrize("seed", seeds("networks of a page", 3))
def test_what_is_seen_is_followed_down_to_the_input(scripts, seed):
    told = 0
    for number in range(seed, seed + 10):  # So many, as one may have bounds only.
        trace = possible(number)
        told += held_down_to_the_input(scripts, trace.graph, trace.output.op.name)
    assert told


def two_maps(x):
    return [tf.nn.conv2d(x, tf.ones((n, n, 1, 1)), 1, "SAME") for n in (3, 5)]


def padded_product(x):
    """Zero at the border, whatever the second factor is there."""
    small = tf.nn.conv2d(x, tf.ones((3, 3, 1, 1)), 1, "VALID")
    return tf.pad(small, [[0, 0], [1, 1], [1, 1], [0, 0]]) * two_maps(x)[1]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.reshape(tf.stack(two_maps(x), 1), (1, 16, 6, 1)),
        lambda x: tf.stack(two_maps(x), 1)[:, 0],
        lambda x: tf.concat(two_maps(x), 3)[..., :1],
        padded_product,
    ],
)
def test_what_a_feature_sees_of_a_part_of_the_features_below(scripts, build):
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 8, 6, 1), name="image")
        tf.identity(build(image), name="out")
    held_down_to_the_input(scripts, graph, "out")


# --- The page ------------------------------------------------------------------------


def convolution(filters, kernel=3, **options):
    return layers.Conv2D(filters, kernel, padding="same", **options)


def u_net():
    x = image = keras.Input((56, 64, 1))
    skips = []
    for filters in (2, 3):
        x = convolution(filters)(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolution(4, name="bottom")(x)
    for number, skip in enumerate(skips[::-1]):
        x = layers.Conv2DTranspose(2, 2, strides=2, name=f"up{number}")(x)
        x = layers.Concatenate(name=f"join{number}")([skip, x])
    output = layers.UpSampling2D(2, interpolation="bilinear", name="large")(x)
    return keras.Model(image, output, name="u_net")


def misaligned():
    x = image = keras.Input((40, 48, 3), batch_size=1)
    wide = convolution(2, 5, strides=2, name="wide")(x)
    deep = layers.Conv2D(2, 3, strides=2, name="deep")(layers.ZeroPadding2D(2)(x))
    deep = layers.Cropping2D(((0, 1), (0, 1)), name="crop")(deep)
    both = layers.Add(name="both")([wide, deep])
    output = convolution(2, dilation_rate=5, name="dilated")(both)
    return keras.Model(image, output, name="misaligned")


def with_context():
    x = image = keras.Input((None, None, 3))
    x = convolution(4, strides=2, name="stem")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply(name="scaled")([x, gate])
    x = layers.Dropout(0.2, name="dropped")(layers.Conv2D(4, 3, name="last")(x))
    return keras.Model(image, x)


def drifting():
    """Paths of strides 1 and 2, so that no two features are alike."""
    image = keras.Input((40, 48, 3), batch_size=1)
    near = layers.Cropping2D(((0, 20), (0, 24)))(convolution(2)(image))
    far = convolution(2, strides=2)(image)
    return keras.Model(image, layers.Add(name="both")([near, far]))


MODELS = {"u_net": u_net, "misaligned": misaligned}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Writes the page of a model, once."""
    folder = tmp_path_factory.mktemp("pages")
    written = {}

    def page_of(name):
        if name not in written:
            model = MODELS[name]()
            written[name] = model, rf.explore(model, folder / f"{name}.html")
        return written[name]

    return page_of


WINDOW = {"width": 1400, "height": 900}


@pytest.fixture(scope="module")
def kept_tab(browser):
    """A tab for all tests that need no other: to make one takes longer than a test."""
    tab = browser.new_page(viewport=WINDOW)
    yield tab
    tab.close()


@pytest.fixture
def open_page(browser, kept_tab):
    """Opens a file; at the end, nothing was said on the console or asked for."""
    tabs, said, asked = [], [], []
    events = {
        "console": lambda message: said.append(message.text),
        "pageerror": lambda error: said.append(str(error)),
        "request": lambda request: asked.append(request.url),
    }

    def opened(path, link="", **options):
        is_usual = not tabs and not options
        options = {"viewport": WINDOW, **options}
        tab = kept_tab if is_usual else browser.new_page(**options)
        tabs.append(tab)
        for event, note in events.items():
            tab.on(event, note)
        tab.goto(path.as_uri() + link)
        return tab

    yield opened
    for tab in tabs:
        if tab is not kept_tab:
            tab.close()
            continue
        for event, note in events.items():
            tab.remove_listener(event, note)
        tab.goto("about:blank")  # No page of another test stays, nor the pointer on it.
        tab.mouse.move(-1, -1)
    assert said == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    assert sum(url.startswith("file:") for url in asked) == len(tabs)


def choose(tab, layer):
    tab.locator("#search").fill(layer)
    tab.locator("#search").press("Enter")
    tab.locator("#search").press("Escape")
    expect(tab.locator(".pane h2").first).to_have_text(layer)


def hover(tab, feature, sizes, pane=0, click=False):
    """Points at the middle of a feature's cell on the map."""
    tab.locator(".map").nth(pane).scroll_into_view_if_needed()
    box = tab.locator(".map").nth(pane).bounding_box()
    where = [
        (box[corner] + (u + 0.5) / size * box[side])
        for u, size, corner, side in zip(
            feature, sizes, "xy", ("width", "height"), strict=False
        )
    ]
    tab.mouse.move(*where)
    if click:
        tab.mouse.click(*where)


def settle(tab):
    """Waits until what has moved is drawn."""
    tab.evaluate(
        "() => new Promise((done) =>"
        " requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def drawn_box(tab, kind, pane=0):
    """The positions that a rectangle on the image covers: [[x0, x1], [y0, y1]]."""
    rect = tab.locator(f".stage .{kind}").nth(pane)
    x, y, width, height = (
        float(rect.get_attribute(name)) for name in ("x", "y", "width", "height")
    )
    return [[x, x + width - 1], [y, y + height - 1]]


def told(tab, what, pane=0):
    text = tab.locator(".stage").nth(pane).get_attribute(f"data-{what}")
    numbers = [int(number) for number in text.split(",")] if text else []
    return np.array(numbers).reshape(-1, 2).tolist()


def some_features(sizes, count=4):
    rng = random.Random(str(sizes))
    corners = [[0] * len(sizes), [size - 1 for size in sizes]]
    return corners + [[rng.randrange(n) for n in sizes] for _ in range(count)]


SHOWN = """(wanted) => {
  const stage = document.querySelector(".stage");
  if (stage.dataset.feature !== wanted) return null;
  const number = (text) => text.split(",").filter(Boolean).map(Number);
  const drawn = (kind) => {
    const found = stage.querySelector(kind);
    const sides = ["x", "y", "width", "height"];
    const [x, y, width, height] = sides.map((name) => Number(found.getAttribute(name)));
    return {
      box: [[x, x + width - 1], [y, y + height - 1]],
      hidden: getComputedStyle(found).display === "none",
    };
  };
  return {
    region: number(stage.dataset.region),
    clipped: number(stage.dataset.clipped),
    drawn: drawn(".region:not(.other):not(.local)"),
    drawnClipped: drawn(".clipped"),
  };
}"""
"""What is shown of a feature, once it is."""


def check_regions(tab, field, features):
    """Every feature that is pointed at shows just what the analysis says."""
    sizes = [axis.size for axis in field.feature_axes]
    for feature in features:
        hover(tab, feature, sizes)
        found = tab.wait_for_function(SHOWN, arg=",".join(map(str, feature)))
        shown = found.json_value()
        region = field.compute_input_region(feature)
        assert shown["region"] == region.ravel().tolist()
        assert shown["drawn"] == {"box": region.tolist(), "hidden": False}
        clipped = field.compute_input_region(feature, clip=True)
        if clipped[0].tolist() == [0, -1]:  # It sees nothing but padding.
            assert shown["clipped"] == []
            assert shown["drawnClipped"]["hidden"]
        else:
            assert shown["clipped"] == clipped.ravel().tolist()
            drawn = {"box": clipped.tolist(), "hidden": False}
            assert shown["drawnClipped"] == drawn


@pytest.mark.parametrize("name", sorted(MODELS))
def test_pointing_shows_the_region(pages, open_page, name):
    model, path = pages(name)
    tab = open_page(path)
    fields = rf.compute_receptive_fields(model)
    for layer, field in fields.items():
        choose(tab, layer)
        sizes = [axis.size for axis in field.feature_axes]
        check_regions(tab, field, some_features(sizes))


@pytest.mark.parametrize(
    ("application", "chosen"),
    [
        (
            "ResNet50",
            "conv1_conv pool1_pool conv2_block3_out conv4_block1_0_conv "
            "conv5_block3_out",
        ),
        ("Xception", "block2_pool {add} block13_sepconv2_act block14_sepconv2"),
    ],
)
def test_pointing_at_layers_of_large_networks(tmp_path, open_page, application, chosen):
    model = stored.build(application)
    tab = open_page(rf.explore(model, tmp_path / "page.html"))
    fields = rf.compute_receptive_fields(model)
    # Keras counts the layers without a name over all models of a process.
    added = next(x.name for x in model.layers if isinstance(x, keras.layers.Add))
    for layer in chosen.format(add=added).split():
        choose(tab, layer)
        sizes = [axis.size for axis in fields[layer].feature_axes]
        check_regions(tab, fields[layer], some_features(sizes))


def wide_kernel():
    image = keras.Input((20, 24, 1), batch_size=1)
    return keras.Model(image, convolution(1, 61, name="wide")(image))


@pytest.mark.parametrize(
    ("build", "layer", "features"),
    [
        (u_net, "bottom", [[0, 0], [15, 13], [7, 7]]),
        (wide_kernel, "wide", [[0, 0], [12, 10], [23, 19]]),
        (with_context, "scaled", [[3, 3]]),
    ],
)
def test_outlines_are_whole_or_shown_as_cut(
    tmp_path, open_page, build, layer, features
):
    model = build()
    size = None if model.input_shape[1] else [30, 40]
    page = rf.explore(model, tmp_path / "page.html", input_resolution=size)
    tab = open_page(page)
    choose(tab, layer)
    field = rf.compute_receptive_field(model, output=layer, input_resolution=size)
    left, top, width, height = (
        float(number)
        for number in tab.locator(".stage").get_attribute("viewBox").split()
    )
    for feature in features:
        tab.evaluate("(feature) => app.point(app.pane, feature, 'move')", feature)
        (x0, x1), (y0, y1) = field.compute_input_region(feature).tolist()
        beyond = [x0 < left, x1 + 1 > left + width, y0 < top, y1 + 1 > top + height]
        arrows = tab.locator(".stage .cut:not(.cut-other):not(.cut-local)")
        assert arrows.get_attribute("d").count("M") == 2 * sum(beyond)
        expect(tab.locator(".body .hint")).to_be_visible(visible=any(beyond))
    assert any(beyond) == (build is not u_net)


def test_pointing_at_the_image_finds_the_nearest_feature(pages, open_page):
    model, path = pages("u_net")
    tab = open_page(path)
    choose(tab, "bottom")
    field = rf.compute_receptive_field(model, output="bottom")
    centre = field.compute_input_center_coordinates([9, 5])
    where = tab.evaluate(
        """([x, y]) => {
          const stage = document.querySelector(".stage");
          const point = new DOMPoint(x + 0.5, y + 0.5);
          const { x: left, y: top } = point.matrixTransform(stage.getScreenCTM());
          return [left, top];
        }""",
        (centre + np.array([1, -1])).tolist(),
    )
    tab.mouse.move(*where)
    expect(tab.locator(".stage")).to_have_attribute("data-feature", "9,5")


def test_what_is_seen_is_bright_and_the_rest_is_not(pages, open_page, tmp_path):
    model, path = pages("misaligned")
    tab = open_page(path)
    choose(tab, "both")
    Image.new("L", (50, 50), 200).save(tmp_path / "grey.png")
    tab.locator("#file").set_input_files(tmp_path / "grey.png")
    expect(tab.locator("#test-picture")).to_be_visible()
    hover(tab, [6, 12], [24, 20])
    settle(tab)
    tab.screenshot(path=tmp_path / "shot.png")
    field = rf.compute_receptive_field(model, output="both")
    region = field.compute_input_region([6, 12], clip=True)
    pixels = np.asarray(Image.open(tmp_path / "shot.png").convert("L"), dtype=float)

    def brightness(places):
        """Of the middles of positions, as the page places them."""
        on_screen = tab.evaluate(
            """(places) => places.map(([x, y]) => {
              const matrix = document.querySelector(".stage").getScreenCTM();
              const { x: a, y: b } =
                new DOMPoint(x + 0.5, y + 0.5).matrixTransform(matrix);
              return [Math.round(a), Math.round(b)];
            })""",
            places,
        )
        return np.array([pixels[y, x] for x, y in on_screen])

    (x0, x1), (y0, y1) = region.tolist()
    inside = [[x0 + 1, y0 + 1], [x1 - 1, y0 + 1], [x0 + 1, y1 - 1]]
    beside = [[x0 - 2, y0 + 1], [x1 + 2, y0 + 1], [x0 + 1, y1 + 2]]
    assert (brightness(inside) > 150).all()
    assert (brightness(beside) < 100).all()


def test_the_picture_is_saved_as_it_is_drawn(pages, open_page, tmp_path):
    model, path = pages("misaligned")
    tab = open_page(path)
    choose(tab, "both")
    hover(tab, [6, 12], [24, 20], click=True)
    with tab.expect_download() as waiting:
        tab.locator("#save").click()
    assert waiting.value.suggested_filename.endswith(".svg")
    waiting.value.save_as(tmp_path / "picture.svg")
    root = ElementTree.parse(tmp_path / "picture.svg").getroot()
    clipped = next(part for part in root if part.get("class") == "clipped")
    field = rf.compute_receptive_field(model, output="both")
    region = field.compute_input_region([6, 12], clip=True).tolist()
    x, y, width, height = (
        float(clipped.get(name)) for name in ("x", "y", "width", "height")
    )
    assert [[x, x + width - 1], [y, y + height - 1]] == region
    assert "stroke-width: 3px" in clipped.get("style")


# --- The address ---------------------------------------------------------------------


def address(tab, wanted):
    """Waits until the page has this address behind its "#"."""
    tab.wait_for_function("(wanted) => location.hash === `#${wanted}`", arg=wanted)


def test_a_link_shows_what_was_shown(pages, open_page):
    path = pages("misaligned")[1]
    tab = open_page(path)
    choose(tab, "both")
    hover(tab, [6, 12], [24, 20], click=True)
    tab.locator("#mode-centres").click()
    address(tab, "layer=both&feature=6%2C12&mode=centres")
    tab.locator("#compare").click()
    tab.locator("#tab-table").click()
    tab.wait_for_function("() => location.hash.startsWith('#view=table&layer=both&')")
    link = tab.evaluate("location.hash")

    other = open_page(path, link)
    expect(other.locator("#table")).to_be_visible()
    expect(other.locator("#message")).to_be_hidden()
    assert other.evaluate("addressOf(app)") == link
    assert told(other, "feature") == [[6, 12]]
    assert other.locator(".pane").count() == 2
    other.evaluate("() => (location.hash = '#layer=wide')")
    expect(other.locator(".pane h2")).to_have_text(["wide"])
    expect(other.locator("#explore")).to_be_visible()


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("layer=nobody", 'the layer "nobody", which is not on this page'),
        ("layer=<img src=x>", 'the layer "<img src=x>", which is not on this page'),
        ("layer=both&feature=99,0", 'feature "99,0", which both does not have'),
        ("layer=both&feature=1", 'feature "1", which both does not have'),
        ("layer=both&feature=-1,e", 'feature "-1,e", which both does not have'),
        ("view=nowhere", 'the view "nowhere"; there are explore, table, figure'),
    ],
)
def test_a_link_to_what_is_not_there(pages, open_page, link, sentence):
    tab = open_page(pages("misaligned")[1], f"#{link}")
    expect(tab.locator("#message")).to_contain_text(sentence)
    assert tab.locator("img").count() == 0
    expect(tab.locator(".pane h2")).not_to_have_text("")


# --- Where it starts, and why --------------------------------------------------------


def test_a_page_starts_where_pointing_shows_most(tmp_path, open_page):
    """At a field of about a third of 120 pixels: 3, 7, 15, 31, 63, 127."""
    x = image = keras.Input((120, 120, 1))
    for number in range(6):
        x = convolution(1, dilation_rate=2**number, name=f"conv{number}")(x)
    model = keras.Model(image, x)
    tab = open_page(rf.explore(model, tmp_path / "page.html"))
    expect(tab.locator(".pane h2")).to_have_text("conv3")
    tab = open_page(rf.explore(model, tmp_path / "asked.html", output="conv5"))
    expect(tab.locator(".pane h2")).to_have_text("conv5")


def test_a_phone_starts_at_the_image(pages, open_page):
    size = {"width": 390, "height": 844}
    tab = open_page(pages("misaligned")[1], viewport=size)
    settle(tab)
    box = tab.locator(".stage").bounding_box()
    assert tab.evaluate("scrollY") == 0
    assert 0 < box["y"] < 844 / 2


def test_a_misaligned_layer_tells_the_reason(pages, open_page):
    """`wide` sees 5 positions from -1 on (SAME, even axis), `crop` 3 from -2 on."""
    tab = open_page(pages("misaligned")[1])
    choose(tab, "dilated")
    tab.get_by_role("button", name="misaligned").click()
    reason = tab.locator(".reason")
    expect(reason).to_contain_text(
        "At both, paths meet that differ: wide (stride 2, first centre 1) and crop "
        "(stride 2, first centre \u22121)."
    )
    reason.get_by_role("button", name="Show").click()
    expect(tab.locator(".pane h2")).to_have_text("both")
    expect(reason).to_be_hidden()


def test_unproductive_layers_are_marked(tmp_path, open_page):
    """The second convolution reads features that see 9 of 8 positions."""
    x = image = keras.Input((8, 8, 1))
    for name, kernel in (("first", 9), ("second", 3)):
        x = convolution(1, kernel, name=name)(x)
    tab = open_page(rf.explore(keras.Model(image, x), tmp_path / "page.html"))
    choose(tab, "second")
    expect(tab.locator(".badges")).to_contain_text("unproductive")
    assert tab.locator(".row.idle .name").all_text_contents() == ["second"]
    choose(tab, "first")
    expect(tab.locator(".badges")).not_to_contain_text("unproductive")


def test_the_table_is_saved(tmp_path, open_page):
    x = image = keras.Input((40, 48, 1))
    x = convolution(1, (3, 5), strides=2, name="=1,2")(x)
    tab = open_page(rf.explore(keras.Model(image, x), tmp_path / "page.html"))
    tab.locator("#tab-table").click()
    with tab.expect_download() as waiting:
        tab.locator("#save-table").click()
    waiting.value.save_as(tmp_path / "layers.csv")
    with open(tmp_path / "layers.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows[1:]] == ["'=1,2"]
    found = {name: rows[1][name] for name in rows[1] if name[-2:] in (" x", " y")}
    assert found == {
        **{"output x": "24", "output y": "20"},
        **{"receptive field x": "5", "receptive field y": "3"},
        **{"stride x": "2", "stride y": "2", "padding x": "1", "padding y": "0"},
        **{"first centre x": "1", "first centre y": "1"},
    }


def test_regions_on_layers_in_between(pages, open_page):
    """Each one as if that layer were the input."""
    model, path = pages("misaligned")
    tab = open_page(path)
    choose(tab, "dilated")
    hover(tab, [3, 7], [24, 20], click=True)
    for layer in ("both", "wide", "deep", "crop", "zero_padding2d"):
        names = [n for n in rf.compute_receptive_fields(model) if n.startswith(layer)]
        field = rf.compute_receptive_field(model, output="dilated", input=names[0])
        expected = field.compute_input_region([3, 7], clip=True)
        thumb = tab.locator(f'.thumb[title^="{names[0]} "]')
        thumb.scroll_into_view_if_needed()
        seen = ",".join(map(str, expected.ravel()))
        expect(thumb).to_have_attribute("data-seen", seen)


def test_profiles_show_holes(pages, open_page):
    model, path = pages("misaligned")
    tab = open_page(path)
    choose(tab, "dilated")
    hover(tab, [10, 10], [24, 20])
    settle(tab)
    field = rf.compute_receptive_field(model, output="dilated")
    mask = field.support().mask([10, 10])
    for axis, line in enumerate((mask.any(0), mask.any(1))):
        runs = json.loads(
            tab.locator(".profiles svg").nth(axis).get_attribute("data-runs")
        )
        seen = np.zeros(len(line), dtype=bool)
        for first, last in runs:
            seen[first : last + 1] = True
        assert seen.tolist() == line.tolist()
        assert len(runs) > 1
    assert "in holes" in tab.locator(".profiles figcaption").first.text_content()


def test_weights_are_those_of_the_middle_feature(pages, open_page):
    model, path = pages("u_net")
    tab = open_page(path)
    choose(tab, "bottom")
    effective = rf.compute_receptive_field(
        model, output="bottom"
    ).effective_receptive_field()
    hover(tab, effective.feature, [16, 14])
    settle(tab)
    for axis, profile in enumerate(effective.profiles):
        shown = curve(tab, axis, len(profile))
        np.testing.assert_allclose(shown, profile / profile.max(), atol=1e-3)


def curve(tab, axis, size):
    """The curve that is shown, as shares of its highest point."""
    points = tab.locator(".profiles polyline").nth(axis).get_attribute("points")
    pairs = [tuple(map(float, pair.split(","))) for pair in points.split()]
    shown = np.zeros(size)
    for x, height in pairs:
        shown[int(x)] = (39 - height) / 37
    return shown


def test_weights_of_a_misaligned_layer_are_moved_by_its_stride(pages, open_page):
    model, path = pages("misaligned")
    tab = open_page(path)
    choose(tab, "both")
    field = rf.compute_receptive_field(model, output="both")
    assert not field.aligned
    feature = [u + 3 for u in field.effective_receptive_field().feature]
    hover(tab, feature, [axis.size for axis in field.feature_axes])
    settle(tab)
    own = field.effective_receptive_field(feature)
    for axis, profile in enumerate(own.profiles):
        shown = curve(tab, axis, len(profile))
        np.testing.assert_allclose(shown, profile / profile.max(), atol=1e-3)


def test_weights_are_not_moved_where_features_differ(open_page, tmp_path):
    model = drifting()
    tab = open_page(rf.explore(model, tmp_path / "page.html"))
    choose(tab, "both")
    field = rf.compute_receptive_field(model, output="both")
    sizes = [axis.size for axis in field.feature_axes]
    at = field.effective_receptive_field().feature
    for feature, shown in ((at, True), ([0, 0], False)):
        hover(tab, feature, sizes)
        settle(tab)
        assert bool(tab.locator(".profiles polyline").count()) is shown
        note = tab.locator(".profiles .hint").text_content()
        assert ("Curve: " in note) is shown
        assert ("differ from it in more than their place" in note) is not shown


def test_all_features_at_their_centres(pages, open_page):
    model, path = pages("u_net")
    tab = open_page(path)
    choose(tab, "bottom")
    tab.locator("#mode-centres").click()
    dots = tab.locator(".stage .dots")
    expect(dots).to_be_visible()
    found = sorted(
        tuple(float(number) - 0.5 for number in part.removesuffix("h0").split())
        for part in dots.get_attribute("d").split("M")[1:]
    )
    field = rf.compute_receptive_field(model, output="bottom")
    features = list(itertools.product(range(16), range(14)))
    expected = field.compute_input_center_coordinates(features).tolist()
    assert found == sorted(map(tuple, expected))
    tab.keyboard.press("m")
    expect(dots).to_be_hidden()


# --- Choosing and moving -------------------------------------------------------------


def test_searching(pages, open_page):
    tab = open_page(pages("u_net")[1])
    tab.keyboard.press("/")
    expect(tab.locator("#search")).to_be_focused()
    tab.keyboard.type("JOIN")
    rows = tab.locator("#tree .row .name")
    expect(rows).to_have_text(["join0", "join1"])
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    expect(tab.locator(".pane h2")).to_have_text("join1")
    tab.locator("#search").fill("no such layer")
    expect(tab.locator("#tree")).to_contain_text("No layer matches")
    tab.locator("#search").press("Escape")
    expect(tab.locator("#tree [data-pane=a] .name")).to_have_text("join1")


def test_pinning(pages, open_page):
    tab = open_page(pages("u_net")[1])
    choose(tab, "bottom")
    stage = tab.locator(".stage")
    hover(tab, [3, 4], [16, 14], click=True)
    hover(tab, [9, 9], [16, 14])
    expect(stage).to_have_attribute("data-feature", "3,4")
    expect(tab.locator(".pin")).to_have_attribute("aria-pressed", "true")
    tab.keyboard.press("Escape")
    hover(tab, [10, 9], [16, 14])
    expect(stage).to_have_attribute("data-feature", "10,9")


def test_keys(pages, open_page):
    tab = open_page(pages("u_net")[1])
    choose(tab, "bottom")
    hover(tab, [5, 6], [16, 14])
    tab.locator(".map").focus()
    stage = tab.locator(".stage")
    for keys, feature in (
        (["ArrowRight"], "6,6"),
        (["ArrowDown", "ArrowDown"], "6,8"),
        (["Shift+ArrowLeft"], "0,8"),
        (["ArrowUp"], "0,7"),
    ):
        for key in keys:
            tab.keyboard.press(key)
        expect(stage).to_have_attribute("data-feature", feature)
    expect(tab.locator("#status")).to_contain_text("Feature 0, 7 of bottom sees x")
    tab.keyboard.press("]")
    expect(tab.locator(".pane h2")).to_have_text("up0")
    tab.keyboard.press("[")
    expect(tab.locator(".pane h2")).to_have_text("bottom")
    tab.keyboard.press("?")
    expect(tab.locator("#help")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.locator("#help")).to_be_hidden()


def test_everything_is_reached_by_tab(pages, open_page):
    tab = open_page(pages("u_net")[1])
    reached = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.add(
            tab.evaluate(
                "document.activeElement.id || document.activeElement.className.baseVal"
                " || document.activeElement.className"
            )
        )
    wanted = {"tab-explore", "theme", "search", "choose-image", "compare"}
    assert wanted | {"stage", "map", "pin", "thumb"} <= reached
    outline = tab.evaluate(
        """() => {
          document.querySelector(".map").focus();
          return getComputedStyle(document.querySelector(".map")).outlineWidth;
        }"""
    )
    assert outline == "3px"


def test_two_layers_side_by_side(pages, open_page):
    model, path = pages("u_net")
    tab = open_page(path)
    choose(tab, "bottom")
    tab.keyboard.press("c")
    panes = tab.locator(".pane")
    expect(panes).to_have_count(2)
    left, right = (panes.nth(i).bounding_box() for i in range(2))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    other = panes.nth(1).locator("h2").text_content()
    hover(tab, [4, 8], [16, 14])
    expect(tab.locator(".stage").first).to_have_attribute("data-feature", "4,8")
    fields = rf.compute_receptive_fields(model)
    centre = fields["bottom"].compute_input_center_coordinates([4, 8])
    settle(tab)
    text = tab.locator(".stage").nth(1).get_attribute("data-feature")
    feature = list(map(int, text.split(",")))
    there = fields[other].compute_input_center_coordinates(feature)
    assert (np.abs(there - centre) <= fields[other].stride).all()
    assert (
        told(tab, "region", 1) == fields[other].compute_input_region(feature).tolist()
    )
    assert drawn_box(tab, "other", 1) == told(tab, "region", 0)
    tab.keyboard.press("c")
    expect(panes).to_have_count(1)


# --- Attributes -----------------------------------------------------------------------


def test_attributes_are_shown_on_demand(pages, open_page):
    """As the layer states them: a kernel of 5 x 5 from 3 to 2 channels, stride 2."""
    tab = open_page(pages("misaligned")[1])
    choose(tab, "wide")
    ops = tab.locator(".pane .ops")
    expect(ops).to_be_empty()
    tab.locator(".attributes summary").click()
    expect(ops.locator("h3")).to_have_text(["Conv2D", "BiasAdd"])
    names, values = (ops.locator(part).all_text_contents() for part in ("dt", "dd"))
    told = dict(zip(names, values, strict=True))
    assert (told["strides"], told["padding"]) == ("1, 2, 2, 1", "SAME")
    expect(ops).to_contain_text("weight 5 \u00d7 5 \u00d7 3 \u00d7 2")
    assert told["returns"].strip() == "1 \u00d7 20 \u00d7 24 \u00d7 2"
    read = ops.locator("button").first
    name = read.text_content()
    read.click()
    expect(tab.locator(".pane h2")).to_have_text(name)
    expect(ops).to_contain_text("This is the input.")
    choose(tab, "both")
    expect(ops.locator("button")).to_have_text(["wide", "crop"])


def first_op(data, *ops):
    """The first op of one of these types: its attributes, and what it reads."""
    contents = data["contents"]
    texts = contents["texts"]
    for node in data["nodes"]:
        for op in contents["layers"][node["ops"][0]] if "ops" in node else []:
            if texts[op[0]] in ops:
                reads = [texts[size] for _, size in op[2]]
                return contents["sets"][op[1]], reads, [texts[n] for n in op[3]]
    raise AssertionError(f"no {ops}")


@pytest.mark.parametrize(
    ("path", "op", "stated", "reads"),
    [
        (  # AlexNet of torchvision: Conv2d(3, 64, 11, stride=4, padding=2).
            "onnx/alexnet.onnx.xz",
            "Conv",
            {"strides": "4, 4", "pads": "2, 2, 2, 2", "kernel_shape": "11, 11"},
            "64,3,11,11",
        ),
        (  # ResNet-18 of torchvision: Conv2d(3, 64, 7, stride=2, padding=3).
            "torch/resnet18.pt2",
            "conv2d",
            {"stride": "2, 2", "padding": "3, 3"},
            "64,3,7,7",
        ),
        (  # MobileNetV2: Conv2D(32, 3, strides=2).
            "tflite/mobilenet_v2.tflite.xz",
            "CONV_2D",
            {"stride_h": "2", "stride_w": "2", "strides": "1, 2, 2, 1"},
            "32,3,3,3",
        ),
        (
            "zoo/resnet_v2_50.pb.xz",
            "Conv2D",
            {"strides": "1, 2, 2, 1", "padding": "VALID", "T": "float"},
            "7,7,3,64",
        ),
    ],
)
def test_attributes_of_all_frameworks(tmp_path, path, op, stated, reads):
    name = tmp_path / path.split("/")[1].removesuffix(".xz")
    packed = (DATA / path).read_bytes()
    name.write_bytes(lzma.decompress(packed) if path.endswith(".xz") else packed)
    data = page_data(load(str(name)), None, None, Options([224, 224]))
    attributes, sizes, _ = first_op(data, op)
    assert stated.items() <= attributes.items()
    assert sizes[1] == reads


def test_attributes_are_a_small_part_of_the_page():
    data = page_data(load(rf.EXAMPLE_GRAPH), None, None, Options([299, 299]))
    whole = len(json.dumps(data))
    for node in data["nodes"]:
        node.pop("ops", None)
    del data["contents"]
    assert whole - len(json.dumps(data)) < whole / 10


def test_large_constants_are_left_out(tmp_path):
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, (1, 60, 60, 1), name="image")
        x = image + tf.constant(np.arange(3600.0, dtype="f").reshape(1, 60, 60, 1))
        x = tf.pad(x, [[0, 0], [1, 2], [3, 4], [0, 0]], name="padded")
        tf.nn.conv2d(x, np.ones((3, 3, 1, 1), dtype="f"), 1, "SAME", name="out")
    contents = page_data(load(graph), "out", None, Options())["contents"]
    assert max(map(len, contents["texts"])) < 100
    assert any("0, 0, 1, 2, 3, 4, 0, 0" in text for text in contents["texts"])
    assert as_text([7] * 1000).endswith("… 1000 in all")
    assert len(as_text("x" * 1000)) == len(as_text(["x" * 90] * 9)) == 100


def test_a_long_row_of_features_is_explored(tmp_path, open_page):
    """As that of a VGG's Flatten: 7 x 7 x 512 features in one row."""
    image = keras.Input((7, 7, 3))
    x = layers.Conv2D(512, 1, name="maps")(image)
    model = keras.Model(image, layers.Flatten(name="row")(x))
    tab = open_page(rf.explore(model, tmp_path / "page.html"))
    choose(tab, "row")
    feature = (5 * 7 + 2) * 512 + 100
    tab.evaluate("(u) => app.point(app.pane, [u, u], 'move')", feature)
    assert told(tab, "region") == [[2, 2], [5, 5]]


# --- Several models -------------------------------------------------------------------


def smaller_u_net():
    """Half of the size of `u_net`, with another layer at the bottom."""
    x = image = keras.Input((28, 32, 1))
    x = layers.MaxPooling2D(4)(x)
    return keras.Model(image, convolution(4, name="bottom")(x), name="small")


def of_a_signal():
    image = keras.Input((100, 2))
    return keras.Model(image, layers.Conv1D(2, 5, name="only")(image), name="signal")


def test_several_models_are_compared(pages, open_page, tmp_path):
    model, _ = pages("u_net")
    other = smaller_u_net()
    tab = open_page(rf.explore([model, other], tmp_path / "page.html"))
    expect(tab.locator("#title")).to_have_text("u_net, small")
    panes = tab.locator(".pane")
    expect(panes).to_have_count(2)
    choosers = tab.locator(".pane .model")
    assert [choosers.nth(i).input_value() for i in range(2)] == ["0", "1"]
    choose(tab, "bottom")
    tab.evaluate("app.focusPane(app.panes[1])")
    expect(tab.locator("#tree-model")).to_have_text("small")
    tab.evaluate("app.select(app.pane.model.nodeNamed('bottom').index)")
    tab.evaluate("app.focusPane(app.panes[0])")
    expect(tab.locator("#tree-model")).to_have_text("u_net")
    for feature in ([3, 9], [11, 2]):
        tab.evaluate("(f) => app.point(app.panes[0], f, 'move')", feature)
        settle(tab)
        fields = [
            rf.compute_receptive_field(m, output="bottom") for m in (model, other)
        ]
        shown = [told(tab, "region", pane) for pane in range(2)]
        assert shown[0] == fields[0].compute_input_region(feature).tolist()
        # Centres are at the same place of images of which one is half as large.
        centre = fields[0].compute_input_center_coordinates(feature) / 2 - 0.25
        text = tab.locator(".stage").nth(1).get_attribute("data-feature")
        followed = list(map(int, text.split(",")))
        there = fields[1].compute_input_center_coordinates(followed)
        assert (np.abs(there - centre) <= 2).all()
        assert shown[1] == fields[1].compute_input_region(followed).tolist()
        scaled = [[2 * first, 2 * last + 1] for first, last in shown[1]]
        assert drawn_box(tab, "other", 0) == scaled


def test_another_model_is_chosen_for_a_pane(pages, open_page, tmp_path):
    models = {"one": pages("u_net")[0], "two": smaller_u_net(), "three": misaligned()}
    tab = open_page(rf.explore(models, tmp_path / "page.html"))
    expect(tab.locator("#title")).to_have_text("one, two, three")
    tab.locator(".pane .model").nth(1).select_option("three")
    tab.evaluate("app.select(app.pane.model.nodeNamed('both').index)")
    expect(tab.locator(".pane h2").nth(1)).to_have_text("both")
    expect(tab.locator("#tree")).to_contain_text("dilated")
    tab.locator("#tab-table").click()
    expect(tab.locator("tbody tr", has_text="two")).to_have_count(3)
    tab.locator("tbody tr", has_text="two").last.click()
    expect(tab.locator(".pane h2").nth(1)).to_have_text("bottom")
    expect(tab.locator(".pane .model").nth(1)).to_have_value("1")


def test_a_link_names_the_model(pages, open_page, tmp_path):
    models = [pages("u_net")[0], smaller_u_net()]
    path = rf.explore(models, tmp_path / "page.html")
    tab = open_page(path, "#model=small&layer=bottom&feature=1,2")
    expect(tab.locator(".pane h2")).to_have_text(["bottom"])
    expect(tab.locator(".pane .model")).to_have_value("1")
    address(tab, "model=small&layer=bottom&feature=1%2C2")
    tab.evaluate("() => (location.hash = '#model=u_net&layer=bottom')")
    expect(tab.locator(".pane .model")).to_have_value("0")
    tab.evaluate("() => (location.hash = '#model=<img src=x>&layer=bottom')")
    expect(tab.locator("#message")).to_contain_text('the model "<img src=x>", which')
    tab.evaluate("() => (location.hash = '#model=small&layer=up0')")
    expect(tab.locator("#message")).to_contain_text('"up0", which is not in small')
    assert tab.locator("img").count() == 0


def test_models_of_different_ranks(pages, open_page, tmp_path):
    """Each is shown on its own, and the page says so."""
    models = [pages("u_net")[0], of_a_signal()]
    tab = open_page(rf.explore(models, tmp_path / "page.html"))
    expect(tab.locator("#apart")).to_be_visible()
    before = tab.locator(".stage").nth(1).get_attribute("data-feature")
    tab.evaluate("app.point(app.panes[0], [0, 0], 'move')")
    settle(tab)
    assert tab.locator(".stage").nth(1).get_attribute("data-feature") == before
    expect(tab.locator(".stage .other").nth(0)).to_be_hidden()
    tab.evaluate("app.point(app.panes[1], [20], 'move')")
    assert told(tab, "region", 1) == [[20, 24]]
    tab.locator(".pane .model").nth(1).select_option("u_net")
    expect(tab.locator("#apart")).to_be_hidden()
    assert violations(tab) == []


def test_models_have_different_names(tmp_path):
    first, second = tmp_path / "a" / "net.keras", tmp_path / "b" / "net.keras"
    for path in (first, second):
        path.parent.mkdir()
        of_a_signal().save(path)
    assert list(explorer.by_name([first, second])) == [str(first), str(second)]
    assert list(explorer.by_name([first, first])) == [str(first), f"{first}:2"]
    assert list(explorer.by_name([first, rf.EXAMPLE_GRAPH])) == [
        "net.keras",
        "inception_resnet_v2.pbtxt.gz",
    ]
    done = run(first, second, "-o", "page.html", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "page.html\n"), done.stderr
    assert str(second) in (tmp_path / "page.html").read_text()


def test_a_model_of_several_that_cannot_be_shown(tmp_path):
    dense = keras.Sequential([keras.Input((10,)), layers.Dense(5)], name="flat")
    with pytest.raises(rf.ReceptiveFieldError, match="flat: no layer has features"):
        rf.explore([of_a_signal(), dense], tmp_path / "page.html")
    with pytest.raises(rf.ReceptiveFieldError, match="the list is empty"):
        rf.explore([], tmp_path / "page.html")
    assert os.listdir(tmp_path) == []


# --- The graph, and the table ---------------------------------------------------------


def test_the_graph_folds(tmp_path, open_page):
    path = rf.explore(
        rf.EXAMPLE_GRAPH,
        tmp_path / "page.html",
        output="InceptionResnetV2/Mixed_5b/concat",
        input_resolution=[96, 96],
    )
    tab = open_page(path)
    expect(tab.locator(".pane h2")).to_have_text("InceptionResnetV2/Mixed_5b/concat")
    group = tab.locator("#tree .row.group", has_text="Branch_1").first
    before = tab.locator("#tree .row").count()
    assert group.get_attribute("aria-expanded") == "true"
    group.click()
    expect(group).to_have_attribute("aria-expanded", "false")
    assert tab.locator("#tree .row").count() < before
    nodes = tab.evaluate("app.tree.nodes.map((node) => [node.name, node.op])")
    ops = {op for _, op in nodes}
    assert not ops & {"Const", "Identity", "VariableV2", "Pack"}
    assert all(not name.startswith("InceptionResnetV2/Mixed_6a") for name, _ in nodes)


def test_branches_are_drawn_as_the_graph_has_them(pages, open_page):
    tab = open_page(pages("misaligned")[1])
    sources = tab.evaluate(
        """() => Object.fromEntries(app.tree.nodes.map((node) => [
          node.name,
          app.tree.sources[node.index].map((i) => app.network.nodes[i].name).sort(),
        ]))"""
    )
    assert sources["both"] == ["crop", "wide"]
    assert sources["dilated"] == ["both"]
    assert len(sources["wide"]) == 1


# --- Table, colours, size of the window ----------------------------------------------


def test_the_table_sorts_and_opens_layers(pages, open_page):
    model, path = pages("u_net")
    tab = open_page(path)
    tab.locator("#tab-table").click()
    rows = tab.locator("#table tbody tr")
    fields = rf.compute_receptive_fields(model)
    assert rows.count() == len(fields) + 1
    head = tab.locator("#table th", has_text="receptive field")
    sizes = {name: field.size[0] for name, field in fields.items()}
    for order, reverse in (("ascending", False), ("descending", True)):
        head.locator("button").click()
        expect(head).to_have_attribute("aria-sort", order)
        names = tab.locator("#table tbody th").all_text_contents()
        shown = [sizes.get(name, 1) for name in names]
        assert shown == sorted(shown, reverse=reverse)
    costs = rf.compute_costs(model)
    row = tab.locator("#table tbody tr", has_text="bottom")
    flops = row.locator("td").nth(8).get_attribute("title")
    assert int(flops) == costs["bottom"].flops
    row.click()
    expect(tab.locator("#explore")).to_be_visible()
    expect(tab.locator(".pane h2")).to_have_text("bottom")


def brightness_of(tab):
    return tab.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g)"
        ".slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(pages, open_page, scheme):
    tab = open_page(pages("u_net")[1], color_scheme=scheme)
    assert (brightness_of(tab) < 128) == (scheme == "dark")
    tab.locator("#theme").click()
    assert (brightness_of(tab) < 128) == (scheme == "light")
    tab.keyboard.press("t")
    assert (brightness_of(tab) < 128) == (scheme == "dark")


@pytest.mark.parametrize("view", ["explore", "table", "figure"])
def test_a_small_screen_needs_no_sideways_scrolling(pages, open_page, view):
    tab = open_page(pages("u_net")[1], viewport={"width": 375, "height": 700})
    tab.locator(f"#tab-{view}").click()
    expect(tab.locator(f"#{view}")).to_be_visible()
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= 375


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["explore", "table", "figure"])
def test_the_page_can_be_read_aloud_and_seen(pages, open_page, view, scheme):
    """It breaks no rule of accessibility that a program can check."""
    tab = open_page(pages("misaligned")[1], color_scheme=scheme)
    tab.locator(".attributes summary").click()
    tab.locator(f"#tab-{view}").click()
    assert violations(tab) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_pressed_button_under_the_pointer_can_be_read(pages, open_page, scheme):
    tab = open_page(pages("u_net")[1], color_scheme=scheme, reduced_motion="reduce")
    button = tab.locator("#mode-centres")
    button.click()  # The pointer stays there.
    assert button.evaluate("element => element.matches(':hover')")
    assert violations(tab) == []


# --- Images --------------------------------------------------------------------------


@pytest.fixture
def red_image(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (90, 30), (250, 10, 20)).save(path)
    return path


def middle_pixel(tab):
    return tab.evaluate(
        "Array.from(app.pane.model.picture.context.getImageData(30, 28, 1, 1).data)"
    )


def drop(tab, name, kind, content):
    """Drops a file onto the page, as a mouse would."""
    tab.evaluate(
        """([name, type, bytes]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
          const event = { dataTransfer, bubbles: true, cancelable: true };
          document.body.dispatchEvent(new DragEvent("drop", event));
        }""",
        [name, kind, list(content)],
    )


def test_choosing_an_image(pages, open_page, red_image):
    tab = open_page(pages("u_net")[1])
    before = middle_pixel(tab)
    with tab.expect_file_chooser() as chooser:
        tab.locator("#choose-image").click()
    chooser.value.set_files(red_image)
    expect(tab.locator("#test-picture")).to_be_visible()
    assert middle_pixel(tab) == [250, 10, 20, 255]
    tab.locator("#test-picture").click()
    assert middle_pixel(tab) == before


def test_dropping_an_image(pages, open_page, red_image):
    tab = open_page(pages("u_net")[1])
    drop(tab, "red.png", "image/png", red_image.read_bytes())
    expect(tab.locator("#test-picture")).to_be_visible()
    assert middle_pixel(tab) == [250, 10, 20, 255]


def test_a_file_that_is_no_image(pages, open_page):
    tab = open_page(pages("u_net")[1])
    before = middle_pixel(tab)
    drop(tab, "broken.png", "image/png", b"this is no image")
    expect(tab.locator("#message")).to_contain_text("broken.png")
    expect(tab.locator("#message")).to_contain_text("this browser cannot read")
    assert middle_pixel(tab) == before


# --- The editable figure -------------------------------------------------------------

PATHS = {
    "A plain chain": [[(3, 1, 1, 1), (3, 2, 1, 1), (3, 1, 1, 1)]],
    "Two layers (paper)": [[(4, 2, 1, 1), (2, 1, 0, 1)]],
    "Aligned paths (paper)": [[(1, 4, 0, 1)], [(3, 2, 1, 1), (1, 2, 0, 1)]],
    "Misaligned paths (paper)": [[(5, 2, 2, 1)], [(3, 1, 0, 1), (3, 1, 0, 1)]],
    "Dilated, with holes": [[(3, 1, 2, 2), (3, 1, 4, 4)]],
}
"""Kernel, stride, padding and dilation of each layer, from the input on."""


def path_map(path):
    whole = am.IDENTITY
    for kernel, stride, padding, dilation in path[::-1]:
        whole = whole.then(am.convolution(kernel, stride, padding, dilation))
    return whole


def check_figure(tab, paths):
    maps = [path_map(path) for path in paths]
    whole = am.NONE
    for axis_map in maps:
        whole |= axis_map
    result = tab.locator("#figure .result")
    numbers = json.loads(result.get_attribute("data-numbers"))
    assert numbers["aligned"] == whole.aligned
    if whole.aligned:
        assert numbers["r"] == whole.size()
        assert [numbers["S"]] == list(whole.rates)
        assert -numbers["P"] == whole.window(0)[0]
    rows = result.locator("tbody tr")
    assert rows.count() > 1
    for u in range(rows.count()):
        first, last = whole.window(u)
        assert rows.nth(u).get_attribute("data-region") == f"{first},{last}"


@pytest.mark.parametrize("name", sorted(PATHS))
def test_the_numbers_of_the_figure(pages, open_page, name):
    tab = open_page(pages("u_net")[1])
    tab.locator("#tab-figure").click()
    tab.locator("#preset").select_option(name)
    check_figure(tab, PATHS[name])


def test_the_misaligned_figure_of_the_paper(pages, open_page):
    """Six input samples for the second feature, five for the third."""
    tab = open_page(pages("u_net")[1])
    tab.locator("#tab-figure").click()
    tops = tab.locator("#figure .dot.top")
    for feature, count in ((1, 6), (2, 5)):
        tops.nth(feature).hover()
        inside = tab.locator("#figure .result").get_attribute("data-inside")
        assert len(inside.split(",")) == count


def test_dilation_leaves_holes_in_the_figure(pages, open_page):
    tab = open_page(pages("u_net")[1])
    tab.locator("#tab-figure").click()
    tab.locator("#preset").select_option("Dilated, with holes")
    tab.locator("#figure .dot.top").nth(8).hover()
    inside = tab.locator("#figure .result").get_attribute("data-inside")
    taps = {8 + a + b for a in (-4, 0, 4) for b in (-2, 0, 2)}
    assert inside == ",".join(map(str, sorted(taps)))


def test_editing_the_figure(pages, open_page):
    tab = open_page(pages("u_net")[1])
    tab.locator("#tab-figure").click()
    tab.locator("#preset").select_option("A plain chain")
    editor = tab.locator("#figure .editor")
    editor.get_by_label("layer 2: kernel size").fill("5")
    editor.get_by_label("layer 2: padding before").fill("2")
    editor.get_by_label("layer 2: padding after").fill("2")
    check_figure(tab, [[(3, 1, 1, 1), (5, 2, 2, 1), (3, 1, 1, 1)]])
    editor.get_by_role("button", name="+ parallel path").nth(1).click()
    check_figure(
        tab,
        [
            [(3, 1, 1, 1), (5, 2, 2, 1), (3, 1, 1, 1)],
            [(3, 1, 1, 1), (1, 1, 0, 1), (3, 1, 1, 1)],
        ],
    )
    expect(tab.locator("#figure .problem")).to_contain_text("The paths have")
    editor.get_by_label("layer 3: stride").fill("2")
    expect(tab.locator("#figure .problem")).to_have_count(0)
    editor.get_by_role("button", name="Remove layer 4").click()
    check_figure(tab, [[(3, 1, 1, 1), (5, 2, 2, 1)], [(3, 1, 1, 1), (1, 2, 0, 1)]])
    editor.get_by_label("layer 1: kernel size").fill("99")
    field = editor.get_by_label("layer 1: kernel size")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(tab.locator("#figure .wrong")).to_have_text(
        "Layer 1: kernel size must be a whole number from 1 to 15. "
        "The figure still shows 3."
    )
    check_figure(tab, [[(3, 1, 1, 1), (5, 2, 2, 1)], [(3, 1, 1, 1), (1, 2, 0, 1)]])


# --- Other models --------------------------------------------------------------------


def test_unknown_sizes_are_chosen_and_said(tmp_path, open_page):
    model = with_context()
    tab = open_page(rf.explore(model, tmp_path / "page.html"))
    expect(tab.locator("#about")).to_contain_text("224 x 224 is assumed. Give input_re")
    smaller = rf.explore(model, tmp_path / "page.html", input_resolution=[40, 60])
    tab = open_page(smaller)
    expect(tab.locator("#about")).to_contain_text("60 \u00d7 40 positions")
    expect(tab.locator("#about")).not_to_contain_text("assumed")


def test_with_and_without_global_context(tmp_path, open_page):
    model = with_context()
    resolution = [40, 60]
    page = rf.explore(model, tmp_path / "page.html", input_resolution=resolution)
    tab = open_page(page)
    expect(tab.locator(".pane h2")).to_have_text("dropped")
    field = rf.compute_receptive_field(
        model, output="last", input_resolution=resolution
    )
    assert field.is_global
    choose(tab, "last")
    assert told(tab, "clipped") == [[0, 59], [0, 39]]
    assert field.local is not None
    hover(tab, [4, 5], [28, 18])
    expect(tab.locator(".stage")).to_have_attribute("data-feature", "4,5")
    assert drawn_box(tab, "local") == field.local.compute_input_region([4, 5]).tolist()
    tab.locator("#local").check()
    assert told(tab, "region") == field.local.compute_input_region([4, 5]).tolist()
    clipped = field.local.compute_input_region([4, 5], clip=True)
    assert told(tab, "clipped") == clipped.tolist()


@pytest.mark.parametrize(
    ("rank", "shape"), [(1, (96, 2)), (3, (8, 20, 24, 2))], ids=["1-D", "3-D"]
)
def test_inputs_with_other_numbers_of_axes(tmp_path, open_page, rank, shape):
    layer = {1: layers.Conv1D, 3: layers.Conv3D}[rank]
    x = image = keras.Input(shape)
    x = layer(2, 3, strides=2, padding="same", name="one")(x)
    model = keras.Model(image, layer(2, 3, padding="same", name="two")(x))
    tab = open_page(rf.explore(model, tmp_path / "page.html"))
    field = rf.compute_receptive_field(model, output="two")
    if rank == 3:
        tab.locator(".slice input").fill("3")
        tab.keyboard.press("Escape")
    sizes = [axis.output_size for axis in field.axes]
    feature = [5, 4, 3][:rank]
    hover(tab, (*feature, 0)[:2], (*sizes, 1)[:2])
    text = ",".join(map(str, feature))
    expect(tab.locator(".stage")).to_have_attribute("data-feature", text)
    assert told(tab, "region") == field.compute_input_region(feature).tolist()
    assert told(tab, "clipped") == field.compute_input_region(feature, True).tolist()
    if rank == 3:
        expect(tab.locator(".numbers")).to_contain_text("sees on z")


HOSTILE = (
    "</script><img src=x onerror=window.harmed=1>",
    "a'b`c&amp;<b>",
    "${window.harmed=1}\u2028\u2029--><!--",
    "</script><script>window.harmed=1</script>",
    "<!--<script>",
    "javascript:window.harmed=1",
    '" onmouseover="window.harmed=1" x="',
    "\x1b[2J\x00\u202e</title><svg onload=window.harmed=1>",
)


def test_names_are_only_text(tmp_path, open_page):
    below = "input"
    text = graphs.placeholder(sizes=(1, 20, 20, 1))
    for number in range(len(HOSTILE)):
        text += graphs.conv(f"layer{number}", below)
        below = f"layer{number}"
    graph = graphs.graph_def(text)
    for node in graph.node:
        for number, name in enumerate(HOSTILE):
            if node.name == f"layer{number}":
                node.name = name
            for i, read in enumerate(node.input):
                if read == f"layer{number}":
                    node.input[i] = name
                    node.attr[name].s = name.encode()
    tab = open_page(rf.explore(graph, tmp_path / "page.html", title=HOSTILE[0]))
    assert tab.locator("#title").text_content() == HOSTILE[0]
    assert tab.title().startswith(HOSTILE[0])
    names = tab.evaluate("app.tree.nodes.map((node) => node.name)")
    assert names == ["input", *HOSTILE]
    tab.locator(".attributes summary").click()
    for number, name in enumerate(HOSTILE, 1):
        tab.evaluate("(number) => app.select(app.tree.nodes[number].index)", number)
        assert tab.locator(".pane h2").text_content() == name
    tab.locator("#tab-table").click()
    assert tab.locator("img").count() == 0
    assert tab.evaluate("window.harmed") is None
    several = dict.fromkeys(HOSTILE, graph)
    tab = open_page(rf.explore(several, tmp_path / "several.html"))
    assert tab.locator(".pane .model").first.locator("option").all_text_contents() == [
        *HOSTILE
    ]
    assert tab.locator("#title").text_content() == ", ".join(HOSTILE)
    tab.evaluate("app.panes.forEach((pane) => app.focusPane(pane))")
    tab.locator("#tab-table").click()
    assert tab.locator("img").count() == 0
    assert tab.evaluate("window.harmed") is None


# --- Errors, and the command ---------------------------------------------------------


def run(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", "receptive_field.cli", "explore", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


SMALL = ("--output", "MaxPool_3a_3x3/MaxPool", "--resolution", "75x75")


def test_the_command(tmp_path, open_page):
    done = run(rf.EXAMPLE_GRAPH, "-o", "page.html", *SMALL, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "page.html\n"
    tab = open_page(tmp_path / "page.html")
    expect(tab.locator("#title")).to_have_text("inception_resnet_v2.pbtxt.gz")
    name = "InceptionResnetV2/MaxPool_3a_3x3/MaxPool"
    expect(tab.locator(".pane h2")).to_have_text(name)
    assert os.listdir(tmp_path) == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((rf.EXAMPLE_GRAPH, "-o", "none/page.html"), "its folder does not exist"),
        ((rf.EXAMPLE_GRAPH, "-o", "."), "the path is a folder"),
        ((rf.EXAMPLE_GRAPH, "-o", "p.html", "--output", "x"), "there is no node 'x'"),
        (("missing.pb", "-o", "p.html"), "cannot read 'missing.pb'"),
        ((rf.EXAMPLE_GRAPH, "-o", "p.html", "--resolution", "9x9"), "vanish"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, arguments, message):
    done = run(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_model_without_positions(tmp_path):
    model = keras.Sequential([keras.Input((10,)), layers.Dense(5), layers.Dense(3)])
    with pytest.raises(rf.ReceptiveFieldError, match="no layer has features"):
        rf.explore(model, tmp_path / "page.html")
    assert os.listdir(tmp_path) == []


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch, pages):
    model, _ = pages("u_net")
    path = tmp_path / "page.html"
    path.write_text("what was there")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(explorer.os, "replace", fails)
    with pytest.raises(rf.ReceptiveFieldError, match="No space left"):
        rf.explore(model, path)
    assert path.read_text() == "what was there"
    assert os.listdir(tmp_path) == ["page.html"]


def with_unknown_op():
    text = graphs.placeholder(sizes=(1, 20, 20, 1)) + graphs.conv("known", "input")
    text += graphs.node("strange", "NobodyKnows", ["known"])
    ends = graphs.conv("one", "input", kernel=5) + graphs.conv("two", "input")
    return graphs.graph_def(text + ends)


def test_what_cannot_be_analysed_is_listed(tmp_path, open_page):
    tab = open_page(rf.explore(with_unknown_op(), tmp_path / "page.html"))
    tab.locator("#tab-table").click()
    expect(tab.locator("#table li")).to_contain_text("strange: no rule for")
    names = tab.locator("#table tbody th").all_text_contents()
    assert sorted(names) == ["input", "known", "one", "two"]


def test_an_output_that_cannot_be_analysed_is_an_error(tmp_path):
    with pytest.raises(rf.ReceptiveFieldError, match="NobodyKnows"):
        rf.explore(with_unknown_op(), tmp_path / "page.html", output="strange")
    assert os.listdir(tmp_path) == []


def test_a_graph_with_branches_and_loops_is_explored():
    """A loop reads what comes later; the page shows what lies before it."""
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, (1, 16, 16, 1), "image")

        def conv(x, size):
            return tf.nn.conv2d(x, tf.ones((size, size, 1, 1)), 1, "SAME")

        chosen = tf.cond(
            tf.reduce_sum(image) > 0, lambda: conv(image, 3), lambda: conv(image, 5)
        )
        _, found = tf.while_loop(
            lambda i, x: i < 3, lambda i, x: (i + 1, conv(x, 3)), (0, chosen)
        )
        tf.identity(found, "out")
    data = page_data(load(graph), "out", None, Options())
    names = [node.get("name") for node in data["nodes"]]
    assert "cond/branch_0/Conv2D" in names
    assert names[-1] == "out"
    for number, described in enumerate(data["nodes"]):
        assert all(below < number for below in described.get("reads", ()))


def test_all_layers_share_what_does_not_depend_on_the_layer(monkeypatch, tmp_path):
    """The edges of each tensor are prepared once for all profiles of the page."""
    made = []
    make = Descent._make_edges

    def counted(self, tensor, steps):
        made.append(tensor)
        make(self, tensor, steps)

    monkeypatch.setattr(Descent, "_make_edges", counted)
    end = "InceptionResnetV2/MaxPool_5a_3x3/MaxPool"
    rf.explore(
        rf.EXAMPLE_GRAPH, tmp_path / "page.html", output=end, input_resolution=[64, 64]
    )
    assert made
    assert len(made) == len(set(made))
