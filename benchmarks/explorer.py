"""What the explorer's page costs: to write, to open, and to point at.

    python benchmarks/explorer.py [application ...]

Needs Keras, Playwright and a Chromium. Prints the size of the page, the time until its
first picture, and how long the scripts take for each move of the pointer, at the last
feature map: the median and the longest of many moves.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import keras
from playwright.sync_api import Browser, sync_playwright

import receptive_field as rf

MOVES = """
() => {
  const { pane } = app;
  const times = [];
  for (let i = 0; i < 120; i++) {
    const { size } = pane.node;
    const feature = size.map((count, axis) => (i * (7 + axis)) % count);
    const start = performance.now();
    app.point(pane, feature, "move");
    app.pointed();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return [times[60], times[119]];
}
"""

FIRST = """
() => new Promise((done) => {
  const told = (list) => list.getEntries().forEach((entry) => done(entry.startTime));
  new PerformanceObserver(told).observe({ type: "paint", buffered: true });
})
"""


def measure(browser: Browser, name: str, folder: Path) -> None:
    """Prints one line about one of ``keras.applications``."""
    model = getattr(keras.applications, name)(weights=None)
    start = time.perf_counter()
    path = rf.explore(model, folder / f"{name}.html")
    written = time.perf_counter() - start
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    tab.goto(path.as_uri())
    first = tab.evaluate(FIRST)
    median, longest = tab.evaluate(MOVES)
    tab.close()
    size = path.stat().st_size / 1000
    print(
        f"{name:20} {written:8.1f} s {size:8.0f} kB {first:12.0f} ms "
        f"{median:10.1f} ms {longest:10.1f} ms",
        flush=True,
    )


def main() -> None:
    """Measures the applications that are named."""
    names = sys.argv[1:] or ["ResNet50", "InceptionResNetV2"]
    chromium = shutil.which("chromium")
    print(
        f"{'':20} {'written':>10} {'size':>11} {'first paint':>15} "
        f"{'move':>13} {'longest':>13}"
    )
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        for name in names:
            measure(browser, name, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
