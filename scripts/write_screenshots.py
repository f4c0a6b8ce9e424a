"""Writes the screenshots of the explorer in ``docs/images/``.

  python scripts/write_screenshots.py [--folder FOLDER] [name ...]

Needs Keras, Playwright, Pillow and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import lzma
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
DATA = Path(__file__).parent.parent / "tests" / "data"
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


def u_net() -> keras.Model:
    """Three levels, with skips."""
    x = image = keras.Input((224, 224, 3), name="image")
    skips = []
    for level in range(3):
        x = layers.Conv2D(4, 3, padding="same", name=f"down{level}")(x)
        skips.append(x)
        x = layers.MaxPooling2D(name=f"pool{level}")(x)
    x = layers.Conv2D(8, 3, padding="same", name="bottom")(x)
    for level, skip in reversed([*enumerate(skips)]):
        x = layers.Conv2DTranspose(4, 2, strides=2, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([skip, x])
        x = layers.Conv2D(4, 3, padding="same", name=f"out{level}")(x)
    return keras.Model(image, x, name="unet")


def vision_transformer() -> keras.Model:
    """Patches as tokens, and one block of attention."""
    x = image = keras.Input((96, 96, 3), name="image")
    x = layers.Conv2D(16, 16, strides=16, name="embedding")(x)
    x = layers.Reshape((36, 16), name="patches")(x)
    near = layers.LayerNormalization(name="norm")(x)
    seen = layers.MultiHeadAttention(2, 8, name="attention")(near, near)
    x = layers.Add(name="attended")([x, seen])
    return keras.Model(image, layers.Dense(16, name="mlp")(x), name="vit")


def misaligned() -> keras.Model:
    """Two paths of different strides and centres."""
    image = keras.Input((64, 64, 3), name="image")
    wide = layers.Conv2D(4, 5, strides=2, padding="same", name="wide")(image)
    deep = layers.ZeroPadding2D(2, name="padded")(image)
    deep = layers.Conv2D(4, 3, strides=2, name="deep")(deep)
    deep = layers.Cropping2D(((0, 1), (0, 1)), name="crop")(deep)
    both = layers.Add(name="both")([wide, deep])
    x = layers.Conv2D(4, 31, padding="same", name="large")(both)
    for number in range(4):
        x = layers.Conv2D(4, 31, padding="same", name=f"idle{number}")(x)
    return keras.Model(image, x, name="misaligned")


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


def attributes(page: Page) -> None:
    """What a layer's ops state."""
    region(page)
    choose(page, "conv3_block1_1_conv")
    page.locator(".attributes summary").click()
    point(page, 14, 12)


def models(page: Page) -> None:
    """A ResNet and a U-Net side by side."""
    choose(page, "conv3_block1_out")
    page.evaluate("app.focusPane(app.panes[1])")
    choose(page, "down2")
    page.evaluate("app.focusPane(app.panes[0])")
    point(page, 13, 11)


def u_net_skips(page: Page) -> None:
    """A layer in which paths of a U-Net meet."""
    choose(page, "join1")
    point(page, 44, 61)


def tokens(page: Page) -> None:
    """The tokens of a vision transformer."""
    choose(page, "patches")
    point(page, 8, 8)


def module(page: Page) -> None:
    """A program of PyTorch, and the attributes of its ops."""
    choose(page, "layer2.0.conv1")
    page.locator(".attributes summary").click()
    point(page, 10, 9)


def onnx_file(page: Page) -> None:
    """An ONNX file."""
    choose(page, "layer2")
    point(page, 3, 12)


def reason(page: Page) -> None:
    """Why a layer is misaligned, and unproductive layers in the list."""
    choose(page, "both")
    page.locator("button.badge").click()
    point(page, 9, 9)


def cut(page: Page) -> None:
    """An outline that goes on beyond the drawing."""
    choose(page, "idle3")
    point(page, 20, 12)


def phone(page: Page) -> None:
    """A small screen."""
    region(page)
    page.evaluate("scrollTo(0, 0)")


def phone_models(page: Page) -> None:
    """Several models on a small screen."""
    models(page)
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
    ("attributes", "resnet", attributes, LARGE, "light"),
    ("models", "several", models, {"width": 1280, "height": 960}, "light"),
    ("models-phone", "several", phone_models, SMALL, "dark"),
    ("u-net", "u_net", u_net_skips, LARGE, "light"),
    ("vit", "vit", tokens, LARGE, "light"),
    ("pytorch", "pytorch", module, LARGE, "dark"),
    ("onnx", "onnx", onnx_file, LARGE, "light"),
    ("cut", "misaligned", cut, LARGE, "dark"),
    ("misaligned", "misaligned", reason, LARGE, "light"),
]
"""Name of the image, model, what is done, size of the window, light or dark."""


def write_pages(folder: Path) -> dict[str, Path]:
    """The pages that the screenshots are of."""
    resnet = keras.applications.ResNet50(weights=None)
    unet = u_net()
    onnx = folder / "resnet18.onnx"
    onnx.write_bytes(lzma.decompress((DATA / "onnx/resnet18.onnx.xz").read_bytes()))
    several = {"resnet50.keras": resnet, "unet.keras": unet}
    return {
        "several": rf.explore(several, folder / "several.html"),
        "u_net": rf.explore(unet, folder / "u_net.html"),
        "vit": rf.explore(vision_transformer(), folder / "vit.html"),
        "misaligned": rf.explore(misaligned(), folder / "misaligned.html"),
        "pytorch": rf.explore(DATA / "torch" / "resnet18.pt2", folder / "torch.html"),
        "onnx": rf.explore(onnx, folder / "onnx.html", input_resolution=224),
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
    parser.add_argument("names", nargs="*", help="only these, such as phone")
    options = parser.parse_args()
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as pages:
        written = write_pages(Path(pages))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for state in STATES:
            if options.names and state[0] not in options.names:
                continue
            target = folder / f"explorer-{state[0]}.png"
            shot(browser, written[state[1]], state, target)
            print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
