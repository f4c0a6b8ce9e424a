"""What the web page costs: its size, and the times until it answers.

    python benchmarks/web.py SITE [FILE ...]

SITE is what ``scripts/build_web.py`` wrote. Needs Playwright, a Chromium and Linux. For
each file (by default, examples of the page, and one of them with a gigabyte of weights
more), prints the seconds from a first visit, with an empty cache, until the explorer
stands there, and from the choice of the file until then when Python has started; and
the most memory that the page took, with all that Python holds.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from receptive_field.frameworks.onnx.messages import ModelProto, TensorProto

EXAMPLES = ("inception_resnet_v2.pbtxt.gz", "resnet50.onnx.xz", "ResNet50.keras")
PATIENCE = 600_000
GIGABYTE = 1 << 30


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


# --- A large file --------------------------------------------------------------------


def write_large(path: Path, model: bytes, size: int = GIGABYTE) -> None:
    """Writes an ONNX model with a further weight of many zeros.

    They are a hole in the file, where the file system has holes.
    """
    message = ModelProto.FromString(model)
    graph = message.graph.SerializeToString()
    message.ClearField("graph")
    weight = TensorProto(name="large", dims=[size // 4], data_type=1)
    head = weight.SerializeToString() + b"\x4a" + varint(size)  # raw_data
    initializer = b"\x2a" + varint(len(head) + size) + head
    length = varint(len(graph) + len(initializer) + size)
    with path.open("wb") as file:
        file.write(message.SerializeToString() + b"\x3a" + length)
        file.write(graph + initializer)
        file.truncate(file.tell() + size)


def varint(number: int) -> bytes:
    """Returns a number as protobuf encodes it."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


class Memory:
    """The most memory that pages took that were opened since this object was made.

    It is what their processes hold for themselves: without files that are mapped, such
    as the program of the browser. Browsers of this process are watched.
    """

    def __init__(self) -> None:
        self.most = 0
        self._before = set(renderers())
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Ends watching, and returns the most bytes."""
        self._done.set()
        self._thread.join()
        return self.most

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            pages = set(renderers()) - self._before
            self.most = max(self.most, sum(map(held, pages)))


def renderers() -> Iterator[Path]:
    """Yields the folders in /proc of the processes of pages below this process."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, _, rest = status.read_text().partition(" (")
            parents[int(number)] = int(rest.rpartition(") ")[2].split()[1])
    for number in parents:
        above = number
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid():
            folder = Path("/proc", str(number))
            with suppress(OSError):
                if b"--type=renderer" in (folder / "cmdline").read_bytes():
                    yield folder


def held(process: Path) -> int:
    """Returns how many bytes a process holds for itself."""
    with suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


# --- Times ---------------------------------------------------------------------------


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
    memory = Memory()
    start = time.perf_counter()
    tab.goto(url)
    first = tab.locator("#file")
    first.wait_for(state="attached")
    seconds_to_picture(tab, path)
    cold = time.perf_counter() - start
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        again = Path(folder, f"again-{path.name}")
        os.link(path, again)
        warm = seconds_to_picture(tab, again)
    context.close()
    took = f"{cold:6.1f} s cold {warm:6.1f} s warm {memory.stop() / 1e6:6.0f} MB"
    print(f"{path.name:44} {took}")


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
        url = f"http://127.0.0.1:{server.server_port}/"
        for path in named or [site / "examples" / name for name in EXAMPLES]:
            measure(browser, url, path)
        if not named:
            with tempfile.TemporaryDirectory() as folder:
                large = Path(folder, "large.onnx")
                packed = site / "examples" / "resnet50.onnx.xz"
                write_large(large, lzma.decompress(packed.read_bytes()))
                measure(browser, url, large)
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
