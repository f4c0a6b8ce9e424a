"""Writes the screenshots of the web page in ``docs/images/``.

  python scripts/build_web.py -o site
  python scripts/write_web_screenshots.py site [--folder FOLDER]

Needs Playwright, Pillow and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from receptive_field.cli.serving import Server, site_in

DOCS = Path(__file__).parent.parent / "docs"
LARGE = {"width": 1280, "height": 800}
SMALL = {"width": 390, "height": 844}
COLOURS = 200
PATIENCE = 120_000


def save(page: Page, target: Path) -> None:
    """Saves what a page shows, with few colours."""
    page.mouse.move(0, 0)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    few = image.quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(target, optimize=True)
    print(f"{target.name}: {target.stat().st_size / 1000:.0f} kB")


def opened(page: Page, *files: Path) -> None:
    """Opens files, and waits for their pictures or errors."""
    page.locator("#file").set_input_files(files)
    page.locator("#progress").wait_for(state="hidden", timeout=PATIENCE)
    for number in range(page.locator(".view iframe:visible").count()):
        frame = page.frame_locator(".view iframe >> nth=" + str(number))
        frame.locator(".stage .region").first.wait_for(state="attached")


def write(browser: Browser, url: str, examples: Path, folder: Path) -> None:
    """Writes all of them."""
    resnet, mobile = examples / "resnet50.onnx.xz", examples / "mobilenet_v2.tflite.xz"
    page = browser.new_page(viewport=LARGE)
    page.goto(url)
    save(page, folder / "web-start.png")
    page.locator("#file").set_input_files(resnet)
    page.locator("#progress").wait_for()
    save(page, folder / "web-progress.png")
    opened(page, resnet)
    save(page, folder / "web-explorer.png")
    opened(page, resnet, mobile)
    save(page, folder / "web-two.png")
    with tempfile.TemporaryDirectory() as made:
        weights = Path(made) / "weights.pth"
        weights.write_bytes(b"\x80\x04}.")
        opened(page, weights)
    save(page, folder / "web-error.png")
    page.close()
    page = browser.new_page(viewport=SMALL, color_scheme="dark")
    page.goto(url)
    opened(page, mobile)
    save(page, folder / "web-phone.png")
    page.close()


def main() -> None:
    """Serves the site and writes the screenshots."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("site")
    parser.add_argument("--folder", type=Path, default=DOCS / "images")
    options = parser.parse_args()
    site = site_in(options.site)
    with Server(site) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        write(browser, server.url, site / "examples", options.folder)
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main()
