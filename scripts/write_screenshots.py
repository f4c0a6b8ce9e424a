"""Writes the screenshots of the explorer in ``docs/images/``.

  python scripts/write_screenshots.py [--folder FOLDER]

Needs Keras, Playwright, Pillow and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import receptive_field as rf

IMAGES = Path(__file__).parent.parent / "docs" / "images"
LARGE = {"width": 1280, "height": 800}
SMALL = {"width": 390, "height": 844}
COLOURS = 200


def dilated_network() -> keras.Model:
    """Convolutions whose dilations leave holes."""
    x = image = keras.Input((64, 96, 3))
    for number, rate in enumerate((3, 3, 9), 1):
        x = layers.Conv2D(
            4, 3, padding="same", dilation_rate=rate, name=f"dilated_{number}"
        )(x)
    return keras.Model(image, x, name="dilated")


def choose(page: Page, layer: str) -> None:
    """Searches a layer and selects it."""
    page.locator("#search").fill(layer)
    page.locator("#search").press("Enter")
    page.locator("#search").press("Escape")


def point(page: Page, *feature: int) -> None:
    """Pins the current pane at a feature."""
    page.evaluate("(feature) => app.point(app.pane, feature, 'pin')", list(feature))


def region(page: Page) -> None:
    """One feature, well inside of the image."""
    choose(page, "conv3_block4_out")
    point(page, 20, 16)


def padding(page: Page) -> None:
    """One that reaches far into padding."""
    choose(page, "conv4_block3_out")
    point(page, 1, 4)


def centres(page: Page) -> None:
    """All features at their centres."""
    choose(page, "conv4_block1_out")
    page.locator("#mode-centres").click()
    point(page, 8, 5)


def compare(page: Page) -> None:
    """Two layers side by side."""
    choose(page, "conv3_block4_out")
    page.keyboard.press("c")
    page.evaluate("app.focusPane(app.panes[1])")
    choose(page, "conv2_block3_out")
    page.evaluate("app.focusPane(app.panes[0])")
    point(page, 17, 19)


def holes(page: Page) -> None:
    """Dilated convolutions."""
    choose(page, "dilated_3")
    point(page, 60, 30)


def graph(page: Page) -> None:
    """A frozen graph, folded by scopes."""
    choose(page, "InceptionResnetV2/Mixed_6a/concat")
    point(page, 12, 14)


def table(page: Page) -> None:
    """All layers, by the size of their receptive field."""
    page.locator("#tab-table").click()
    for _ in range(2):
        page.locator("th button", has_text="receptive field").click()


def figure(page: Page) -> None:
    """The misaligned example of the paper."""
    page.locator("#tab-figure").click()
    page.locator("#figure .dot.top").nth(1).hover()


def phone(page: Page) -> None:
    """A small screen."""
    region(page)
    page.evaluate("scrollTo(0, 0)")


State = tuple[str, str, Callable[[Page], None], dict[str, int], str]
STATES: list[State] = [
    ("region", "resnet", region, LARGE, "light"),
    ("padding", "resnet", padding, LARGE, "light"),
    ("centres", "resnet", centres, LARGE, "light"),
    ("compare", "resnet", compare, {"width": 1280, "height": 960}, "dark"),
    ("holes", "dilated", holes, LARGE, "light"),
    ("graph", "inception", graph, LARGE, "dark"),
    ("table", "resnet", table, LARGE, "light"),
    ("figure", "resnet", figure, LARGE, "light"),
    ("phone", "resnet", phone, SMALL, "light"),
]
"""Name of the image, model, what is done, size of the window, light or dark."""


def write_pages(folder: Path) -> dict[str, Path]:
    """The pages that the screenshots are of."""
    resnet = keras.applications.ResNet50(weights=None)
    return {
        "resnet": rf.explore(resnet, folder / "resnet.html", title="ResNet-50"),
        "dilated": rf.explore(dilated_network(), folder / "dilated.html"),
        "inception": rf.explore(
            rf.EXAMPLE_GRAPH, folder / "inception.html", input_resolution=[299, 299]
        ),
    }


def shot(browser: Browser, path: Path, state: State, target: Path) -> None:
    """Takes one screenshot, with few colours, which makes it small."""
    _, _, act, size, scheme = state
    page = browser.new_page(
        viewport=size,  # type: ignore[arg-type]
        color_scheme=scheme,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    page.goto(path.as_uri())
    act(page)
    page.evaluate("document.activeElement.blur()")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")
    page.evaluate("() => new Promise((done) => requestIdleCallback(() => done()))")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.close()
    few = image.quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


def main() -> None:
    """Writes all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=IMAGES)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as pages:
        written = write_pages(Path(pages))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for state in STATES:
            target = folder / f"explorer-{state[0]}.png"
            shot(browser, written[state[1]], state, target)
            print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
