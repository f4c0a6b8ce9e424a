"""The explorer's page, in a real browser without a screen.

What it shows is held against the analysis: regions, sets of positions, and the numbers
of the editable figure.
"""

import random
import shutil
from importlib.resources import files

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

import receptive_field as rf
from receptive_field import axis_map as am
from receptive_field.graph import boxes
from receptive_field.report.explorer import encoded_map

PAGE = files("receptive_field.report") / "page"


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium")
    assert path, "these tests need chromium (apt-get install chromium)"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield started
        started.close()


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


def test_maps_are_evaluated_as_in_python(scripts):
    rng = random.Random(1)
    maps = [random_map(rng) for _ in range(400)]
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


def test_global_maps_are_known_as_such(scripts):
    rng = random.Random(2)
    maps = [random_map(rng) for _ in range(200)]
    found = scripts.evaluate(
        "(maps) => maps.map((strands) => isGlobal(decodeMap(strands)))",
        [encoded_map(m) for m in maps],
    )
    assert found == [m.is_global for m in maps]
    assert {True, False} == set(found)


def test_sets_are_followed_as_in_python(scripts):
    """Layer by layer, with the holes of dilated kernels."""
    rng = random.Random(3)
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
