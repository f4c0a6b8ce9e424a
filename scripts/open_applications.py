"""Writes the explorer's page of every Keras application, and opens it in a browser.

  python scripts/open_applications.py [--quick] [application ...]

The models are those of the configs in ``tests/data/keras``, which have no weights.
Needs the installed Keras that they are of, Playwright and a Chromium. Prints, for each
page, how long it took to write and to open, and its size. Ends with status 1 if a page
said anything on its console, or does not show a region and the ops of a layer.

With ``--quick``, the pages have no data on how much positions matter, which take most
of the time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

import receptive_field as rf
from receptive_field.report import explorer

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from keras_answers import kept, names


def complaints(browser: Browser, name: str, folder: Path) -> list[str]:
    """Writes and opens a page; returns what is wrong with it."""
    config, _ = kept("keras", name, with_top=True)
    model = folder / f"{name}.json"
    model.write_text(json.dumps(config), encoding="utf-8")
    start = time.perf_counter()
    path = rf.explore(model, folder / f"{name}.html")
    written = time.perf_counter()
    said: list[str] = []
    tab = browser.new_page(viewport={"width": 1280, "height": 800})
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(path.as_uri())
    tab.locator(".attributes summary").click()
    tab.locator(".ops h3").first.wait_for()  # The browser opens it a moment later.
    region = tab.locator(".stage").get_attribute("data-region")
    opened = time.perf_counter()
    tab.close()
    size = path.stat().st_size / 1000
    path.unlink()
    print(
        f"{name:20} written in {written - start:6.1f} s, opened in "
        f"{opened - written:4.1f} s, {size:5.0f} kB {' '.join(said)}",
        flush=True,
    )
    if not region:
        said.append("nothing is shown")
    return [f"{name}: {text}" for text in said]


def main() -> None:
    """Opens the pages of the applications that are named, or of all."""
    found: list[str] = []
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    chosen = options.names or names("keras")
    if options.quick:
        explorer.MOST_WEIGHED = 0
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name in chosen:
            found += complaints(browser, name, Path(folder))
        browser.close()
    print(f"{len(chosen)} pages")
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
