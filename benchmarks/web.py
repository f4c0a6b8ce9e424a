"""What the web page costs: its size, and the times until it answers.

    python benchmarks/web.py SITE [FILE ...]

SITE is what ``scripts/build_web.py`` wrote. Needs Playwright and a Chromium. For each
file (by default, examples of the page), prints the seconds from a first visit, with an
empty cache, until the explorer stands there, and from the choice of the file until then
when Python has started.
"""

from __future__ import annotations

import gzip
import shutil
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

EXAMPLES = ("inception_resnet_v2.pbtxt.gz", "resnet50.onnx.xz", "ResNet50.keras")
PATIENCE = 600_000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def print_sizes(site: Path) -> None:
    """Prints the size of each part, as it is and compressed by gzip."""
    whole = packed = 0
    for path in sorted(path for path in site.rglob("*") if path.is_file()):
        content = path.read_bytes()
        smaller = len(gzip.compress(content, 6))
        whole, packed = whole + len(content), packed + smaller
        if len(content) > 100_000:
            name = path.relative_to(site).as_posix()
            print(f"{name:44} {len(content) / 1e6:6.2f} MB {smaller / 1e6:6.2f} MB")
    print(f"{'all files':44} {whole / 1e6:6.2f} MB {packed / 1e6:6.2f} MB (packed)")


def seconds_to_picture(tab: Page, path: Path) -> float:
    """Returns the seconds from the choice of a file to the picture of its explorer."""
    start = time.perf_counter()
    tab.locator("#file").set_input_files(path)
    frame = tab.frame_locator(".view iframe")
    frame.locator("#title", has_text=path.name).wait_for()
    frame.locator(".stage .region:not(.other):not(.local)").wait_for(state="attached")
    return time.perf_counter() - start


def measure(browser: Browser, url: str, path: Path) -> None:
    """Prints one line about a file."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(PATIENCE)
    tab = context.new_page()
    start = time.perf_counter()
    tab.goto(url)
    first = tab.locator("#file")
    first.wait_for(state="attached")
    seconds_to_picture(tab, path)
    cold = time.perf_counter() - start
    copy = path.with_name(f"again-{path.name}")
    shutil.copy(path, copy)
    try:
        warm = seconds_to_picture(tab, copy)
    finally:
        copy.unlink()
    context.close()
    print(f"{path.name:44} {cold:6.1f} s cold {warm:6.1f} s warm")


def main() -> None:
    """Measures what the command line names."""
    site = Path(sys.argv[1])
    named = [Path(name) for name in sys.argv[2:]]
    print_sizes(site)
    handler = partial(Quiet, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for path in named or [site / "examples" / name for name in EXAMPLES]:
            measure(browser, f"http://127.0.0.1:{server.server_port}/", path)
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
