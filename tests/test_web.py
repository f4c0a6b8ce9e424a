"""The web page (`web/`), in a real browser: every model is analysed by Pyodide.

The site is built once in a run. Nothing but the site may be asked for, the console says
nothing, and the numbers are those of the library in this process.
"""

import csv
import fcntl
import gzip
import io
import json
import lzma
import os
import pickle
import re
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from needed import chromium, needed, needs, node
from run_scripts import OURS, ROOT, script

import receptive_field as rf
from receptive_field import zoo
from receptive_field.cli.serving import Server, model_file, site_in
from receptive_field.frameworks import load
from receptive_field.questions.question import Options
from receptive_field.report.explorer import SCRIPTS, page_data
from receptive_field.report.site import OpenFile
from receptive_field.small_arrays import MissingNumPyError

pytestmark = pytest.mark.slow

playwright = needed("playwright.sync_api")
expect = playwright.expect
PATIENCE = 120_000
"""How many milliseconds Python may take to start in the browser."""

ONNX = ROOT / "tests" / "data" / "onnx"
TFLITE = ROOT / "tests" / "data" / "tflite"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The site, built once by all workers of a run."""
    node()
    folder = Path(os.environ["STORED_GRAPHS"]) / "site"
    with (folder.parent / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            script(OURS / "build_web.py").build(folder)
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def served(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def static(folder):
    """The address of a folder on a server that knows nothing about the site."""
    handler = partial(Quiet, directory=str(folder))
    with served(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture(scope="module")
def address(site):
    with static(site) as url:
        yield url


@pytest.fixture(scope="module")
def context(browser, address):
    """Windows of the browser in which nothing but the site can be reached."""
    made = browser.new_context(viewport={"width": 1400, "height": 1000})
    made.set_default_timeout(PATIENCE)
    asked = []
    made.on("request", lambda request: asked.append(request.url))
    yield made
    made.close()
    assert asked
    own = address, f"blob:{address}", "data:", "blob:null/", "about:srcdoc"
    assert [url for url in asked if not url.startswith(own)] == []


@contextmanager
def watched(context, url):
    """A tab; at the end, its console has said nothing."""
    said = []
    tab = context.new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(url)
    yield tab
    tab.close()
    assert said == []


@pytest.fixture(scope="module")
def page(context, address):
    """A tab whose Python is started once for all tests of the file."""
    with watched(context, address) as tab:
        yield tab


def opened(tab, *paths):
    """Chooses files, and returns their views when they are answered."""
    tab.locator("#file").set_input_files([str(path) for path in paths])
    views = tab.locator(".view")
    expect(views).to_have_count(len(paths))
    finish(tab)
    return views


def wait_until(frame, condition):
    """Waits until a condition holds, which the page itself may not evaluate."""
    end = time.monotonic() + PATIENCE / 1000
    while not frame.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def finish(tab):
    """Waits until all questions are answered."""
    wait_until(tab, "document.getElementById('progress').hidden")


def data_of(tab, number=0):
    """The data that an explorer on the page shows."""
    frame = tab.locator(".view iframe").nth(number)
    expect(frame).to_be_visible()
    inner = frame.element_handle().content_frame()
    wait_until(inner, "typeof app !== 'undefined'")
    (data,) = json.loads(inner.locator("#data").text_content())["models"]
    return data


def refusal(tab, path):
    """What the page says about a file that it cannot show."""
    opened(tab, path)
    expect(tab.locator(".error")).to_be_visible()
    return tab.locator(".error").text_content()


# --- Numbers -------------------------------------------------------------------------


def numbers_of(data):
    """All numbers of each layer, without weights and bounds of sets."""
    left_out = {"weights", "from", "map", "local"}
    return {
        node["name"]: {key: value for key, value in node.items() if key not in left_out}
        | {key: data["maps"][node[key][0]] for key in ("map", "local") if key in node}
        for node in data["nodes"]
        if "name" in node
    }


def models(folder):
    """A file of each format but text."""
    graph = folder / "mobilenet.pb"
    packed = ROOT / "tests" / "data" / "zoo" / "mobilenet_v1.pb.xz"
    graph.write_bytes(lzma.decompress(packed.read_bytes()))
    yield from (graph, *keras_files(folder))
    yield from (ONNX / "resnet18.onnx.xz", TFLITE / "mobilenet_v2.tflite.xz")
    yield ROOT / "tests" / "data" / "torch" / "unet.pt2"


def keras_files(folder):
    keras = needed("keras")
    x = image = keras.Input((40, 48, 3))
    skips = []
    for filters in (2, 3):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2DTranspose(2, 2, strides=2)(x)
    x = keras.layers.Concatenate()([skips[1], keras.layers.BatchNormalization()(x)])
    x = keras.layers.Concatenate()([skips[0], keras.layers.UpSampling2D(2)(x)])
    net = keras.Model(image, x, name="u_net")
    for name in ("u_net.keras", "u_net.h5"):
        net.save(folder / name)
        yield folder / name


def check_numbers(page, path):
    """What is shown is what the library tells of a file in this process."""
    shown, here = data_of(page), page_data(load(str(path)), None, None, Options())
    assert "--resolution" not in shown["note"]
    assert ("into Input size" in shown["note"]) == bool(here["note"])
    assert numbers_of(shown) == numbers_of(here), path
    assert shown["failed"] == here["failed"] == {}


def test_numbers_are_those_of_the_library(page, tmp_path):
    for path in models(tmp_path):
        opened(page, path)
        check_numbers(page, path)


@pytest.mark.parametrize(
    ("path", "layers"),
    [
        (ROOT / "tests" / "data" / "torch" / "unet.pt2", ["encoders.1", "head"]),
        (ONNX / "resnet18.onnx.xz", ["conv1", "layer2", "layer4"]),
    ],
)
def test_what_a_feature_sees_is_right_without_numpy(page, path, layers):
    """Sets of positions need NumPy, but the scripts of the page follow them."""
    opened(page, path)
    data_of(page)
    frame = page.locator(".view iframe").element_handle().content_frame()
    sizes = data_of(page)["sizes"][::-1]
    for layer in layers:
        field = rf.compute_receptive_field(
            str(path), output=layer, input_resolution=sizes
        )
        counts = [axis.size for axis in field.feature_axes]
        for feature in ([0, 0], [n // 2 for n in counts], [n - 1 for n in counts]):
            told = frame.evaluate(
                """([name, feature]) => {
                  const node = app.network.nodes.find((each) => each.name === name);
                  app.select(node.index);
                  app.point(app.pane, feature, "pin");
                  return [app.pane.region, app.pane.clipped, app.pane.seen.bounds.size];
                }""",
                [layer, feature],
            )
            clipped = field.compute_input_region(feature, clip=True).tolist()
            assert told == [field.compute_input_region(feature).tolist(), clipped, 0]


def test_the_tests_of_numbers_pass_in_pyodide(site):
    """Where there is no NumPy: see `test_without_numpy.py`."""
    packages = Path(pytest.__file__).parent.parent
    command = [node(), OURS / "test_in_pyodide.mjs", site, packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


# --- Controls ------------------------------------------------------------------------


def downloaded(tab, kind):
    with tab.expect_download() as waiting:
        tab.locator(f".view [data-kind={kind}]").click()
    return Path(waiting.value.path()).read_text("utf-8")


def test_size_and_output_are_asked_anew(page):
    path, output = str(ONNX / "resnet18.onnx.xz"), "layer1"
    opened(page, path)
    page.locator("[name=sizes]").fill("96x128")
    page.locator("[name=output]").fill(output)
    page.get_by_role("button", name="Analyse").click()
    finish(page)
    data = data_of(page)
    assert data["sizes"] == [128, 96]
    field = rf.compute_receptive_field(path, output=output)
    last = data["nodes"][-1]
    assert last["name"] == output
    assert last["rf"] == field.size.tolist() == [43, 43]
    page.locator("[name=sizes]").fill("96 by 128")
    page.get_by_role("button", name="Analyse").click()
    expect(page.locator(".error")).to_contain_text("is not a size")


def test_downloads(page, tmp_path):
    path = ONNX / "resnet18.onnx.xz"
    opened(page, path)
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "csv"))))
    fields = rf.compute_receptive_fields(str(path))
    assert [row["layer"] for row in rows] == list(fields)
    # The last map of a ResNet-18 at 224 pixels is 7 x 7, with the stride 32.
    last = fields["layer4"]
    row = next(row for row in rows if row["layer"] == "layer4")
    assert (int(row["rf_x"]), int(row["stride_x"])) == (last.size[0], 32)
    told = json.loads(downloaded(page, "json"))
    assert [row["receptive field"] for row in told] == [
        ["inf" if size == float("inf") else size for size in field.size.tolist()]
        for field in fields.values()
    ]
    html = tmp_path / "page.html"
    html.write_text(downloaded(page, "html"), "utf-8")
    # It starts at a field of 147 pixels, which is nearest to a third of 448.
    with page.expect_download() as waiting:
        page.frame_locator(".view iframe").locator("#save").click()
    assert waiting.value.suggested_filename.startswith("layer3.0 ")
    tab = page.context.browser.new_page()
    tab.goto(html.as_uri())
    assert tab.evaluate("app.network.nodes.length") == len(data_of(page)["nodes"])
    tab.close()


def test_why_a_network_is_misaligned(page):
    path = ROOT / "tests" / "data" / "torch" / "unet.pt2"
    opened(page, path)
    page.get_by_role("button", name="Alignment").click()
    finish(page)
    reason = str(rf.compute_receptive_field(str(path)).explain())
    expect(page.locator(".told")).to_have_text(reason)
    page.get_by_role("button", name="Alignment").click()
    expect(page.locator(".told")).to_be_hidden()


def test_two_files_side_by_side(page):
    views = opened(page, ONNX / "resnet18.onnx.xz", TFLITE / "mobilenet_v2.tflite.xz")
    expect(views.locator("h2")).to_have_text(
        ["resnet18.onnx.xz", "mobilenet_v2.tflite.xz"]
    )
    boxes = [views.nth(number).bounding_box() for number in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] + 1
    titles = [data_of(page, number)["title"] for number in range(2)]
    assert titles == ["resnet18.onnx.xz", "mobilenet_v2.tflite.xz"]


def test_what_differs_between_two_files(page):
    paths = [ONNX / f"resnet{depth}.onnx.xz" for depth in (18, 34)]
    opened(page, *paths)
    found = rf.compare(*map(str, paths), input_resolution=[224, 224])
    page.locator(".view [name=sizes]").first.fill("224")  # The other one states it.
    page.get_by_role("button", name="Analyse").first.click()
    finish(page)
    shown = page.locator("#differences")
    expect(shown).to_be_visible()
    rows = shown.locator("table").first.locator("tr")
    named = zip(("A", "B"), paths, strict=True)
    titles = ["", *(f"{side}: {path.name}" for side, path in named), ""]
    assert rows.locator(":scope > :first-child").all_text_contents() == titles
    columns = [["output", "layer4 in x", "layer4 in x", ""]]
    verdicts = {True: "same", False: "differs", None: "unknown"}
    columns += [[row.name, row.a, row.b, verdicts[row.same]] for row in found.rows]
    texts = [row.locator(":scope > *").all_text_contents()[1:] for row in rows.all()]
    assert [list(column) for column in zip(*texts, strict=True)] == columns
    assert rows.nth(1).locator(".differs").all_text_contents() == [
        row.a for row in found.rows if row.same is False
    ]
    of_layers = [
        [each.name, row.a, row.b] for each in found.layers for row in each.differences
    ]
    inside = shown.locator("details tbody tr")
    assert inside.count() == len(of_layers) > 50
    # The first stage of both is the same; the second is longer in a ResNet-34.
    assert inside.first.locator("td").all_text_contents() == [
        *("receptive field", "43 x 43", "59 x 59"),
    ]
    both = len(found.layers) + len(found.same_layers)
    expect(shown.locator("summary").nth(1)).to_have_text(
        f"{len(found.layers)} of {both} layers or nodes of the same name differ"
    )
    expect(shown.locator("summary").last).to_have_text(
        f"{len(found.only[1])} only in B"
    )
    page.get_by_role("button", name="Close resnet18").click()
    expect(shown).to_be_hidden()


def test_models_that_cannot_be_compared(page):
    """The input of one has two axes, that of the other one: in the library's words."""
    paths = ONNX / "resnet18.onnx.xz", ONNX / "wave.onnx.xz"
    opened(page, *paths)
    with pytest.raises(rf.ReceptiveFieldError, match="inputs differ") as error:
        rf.compare(*map(str, paths))
    told = str(error.value).replace(f"{ONNX}/", "")
    expect(page.locator("#differences .error")).to_have_text(told)


DROPPED = """([name, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name));
  return data;
}"""


def test_a_dropped_file_is_opened(page):
    """Also if it is dropped on the explorer of another one."""
    for name in ("dropped", "another"):
        content = list((ONNX / "resnet18.onnx.xz").read_bytes())
        inside, place = page, "main"
        if name == "another":
            frame = page.locator(".view iframe").element_handle()
            inside, place = frame.content_frame(), "body"
        data = inside.evaluate_handle(DROPPED, [name, content])
        inside.dispatch_event(place, "dragover", {"dataTransfer": data})
        expect(page.locator("body")).to_have_class("dragging")
        inside.dispatch_event(place, "drop", {"dataTransfer": data})
        expect(page.locator(".view h2")).to_have_text(name)
        finish(page)
        assert data_of(page)["title"] == name
        expect(page.locator("body")).not_to_have_class("dragging")


def test_a_folder_and_a_text_are_not_opened(page):
    for made, told in (
        ("new File([], 'folder')", "Drop the file in it that holds the graph"),
        ("'text', 'text/plain'", "not a file"),
    ):
        data = page.evaluate_handle(
            f"""() => {{
              const data = new DataTransfer();
              data.items.add({made});
              DataTransferItem.prototype.webkitGetAsEntry = function () {{
                return this.kind === "file" ? {{ isDirectory: true }} : null;
              }};
              return data;
            }}"""
        )
        page.dispatch_event("main", "drop", {"dataTransfer": data})
        expect(page.locator("#message")).to_contain_text(told)


def test_an_example(page):
    page.locator("#examples").select_option("examples/ResNet50.keras")
    expect(page.locator(".view h2")).to_have_text("ResNet50.keras")
    finish(page)
    assert data_of(page)["title"] == "ResNet50.keras"


def test_examples_are_files_of_the_site_that_can_be_read(site):
    build = script(OURS / "build_web.py")
    copied = {path.name: path for paths in build.EXAMPLES.values() for path in paths}
    text = (site / "index.html").read_text("utf-8")
    offered = re.findall(r'<option value="examples/([^"]+)">', text)
    files = sorted(path.name for path in (site / "examples").iterdir())
    assert sorted(offered) == files
    assert len(files) > 25
    for name in files:
        path = site / "examples" / name
        if name in copied:  # Other tests read them.
            assert path.read_bytes() == copied[name].read_bytes()
        else:
            assert len(rf.compute_receptive_fields(path)) > 10, name


@pytest.mark.parametrize("path", sorted((ROOT / "tests/data/zoo").iterdir()), ids=str)
def test_graphs_of_the_zoo_are_those_that_it_builds(path):
    needed("tensorflow")
    built = zoo.build(path.name.partition(".")[0]).graph.as_graph_def()
    written = type(built).FromString(lzma.decompress(path.read_bytes()))
    assert list(written.node) == list(built.node)


# --- What is no model ----------------------------------------------------------------


def zip_bomb(path):
    """An archive of PyTorch whose program is a thousand times larger."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/archive_format", "pt2")
        archive.writestr("model/models/model.json", bytes(1 << 28))


def with_custom_class(path, entry):
    """A Keras file with a layer of the user's, as an entry of an archive."""
    layer = {"class_name": "Spectral", "config": {"name": "own"}, "module": "own"}
    config = {"name": "net", "layers": [layer]}
    content = {"class_name": "Sequential", "module": "keras", "config": config}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, json.dumps(content))


BAD = {
    "words.txt": lambda path: path.write_text("no model\n"),
    "empty.onnx": lambda path: path.write_bytes(b""),
    "half.tflite.xz": lambda path: path.write_bytes(
        (TFLITE / "mobilenet_v2.tflite.xz").read_bytes()[:4000]
    ),
    "half.pb": lambda path: path.write_bytes(
        gzip.compress(gzip.decompress(Path(rf.EXAMPLE_GRAPH).read_bytes())[:9999])
    ),
    "archive.zip": lambda path: with_custom_class(path, "model/net.keras"),
    "net.keras": lambda path: with_custom_class(path, "config.json"),
    "weights.pth": lambda path: path.write_bytes(pickle.dumps({"weight": [1.0]})),
    "<img src=x onerror=alert(1)>.pt2": zip_bomb,
}


@pytest.mark.parametrize("name", BAD, ids=lambda name: name.split("=")[0])
def test_bad_files_are_refused_in_the_words_of_the_library(page, tmp_path, name):
    path = tmp_path / name
    BAD[name](path)
    told = refusal(page, path)
    with pytest.raises(rf.ReceptiveFieldError) as error:
        load(str(path))
    assert told == str(error.value).replace(str(path), name)
    assert page.locator("img").count() == 0


# --- The library's side --------------------------------------------------------------


ASKED = {
    "input": None,
    "output": None,
    "signature": None,
    "sizes": None,
    "local": False,
}


def answered(path, **asked):
    told = []
    question = json.dumps(ASKED | asked)
    answer = OpenFile(str(path)).answer(question, lambda *step: told.append(step))
    assert told
    return json.loads(answer)


def test_the_page_is_the_one_that_explore_writes(tmp_path):
    path = ONNX / "resnet18.onnx.xz"
    answer = answered(path, sizes=[64, 96], output="layer1")
    page = tmp_path / "page.html"
    rf.explore(str(path), page, input_resolution=[64, 96], output="layer1")
    assert answer["html"] == page.read_text("utf-8")
    assert answer["sizes"] == [64, 96]
    assert answer["inputs"] == ["x"]
    assert answer["outputs"][-1] == "layer1"


def test_tables_are_those_of_the_library():
    path = TFLITE / "mobilenet_v2.tflite.xz"
    answer = answered(path, table="json", local=True)
    fields = rf.compute_receptive_fields(str(path), global_context="exclude")
    rows = json.loads(answer["text"])
    assert [row["layer"] for row in rows] == list(fields)
    assert all(row["global"] is False for row in rows)
    costs = rf.compute_costs(str(path))
    (some,) = [row for row in rows if row["layer"] in list(costs)][:1]
    assert some["FLOPs"] == costs.flops(some["layer"])


def test_sentences_are_those_of_the_library():
    path = str(ROOT / "tests" / "data" / "torch" / "unet.pt2")
    assert answered(path, about="sizes")["text"] == str(rf.resolutions(path))
    reason = str(rf.compute_receptive_field(path).explain())
    assert reason.startswith("misaligned")
    assert answered(path, about="alignment")["text"] == reason


def test_differences_are_those_of_the_library():
    """At the sizes that each of both explorers shows."""
    paths = [str(ONNX / f"resnet{depth}.onnx.xz") for depth in (18, 34)]
    files = [OpenFile(path) for path in paths]
    question = ASKED | {"sizes": [96, 96], "other": ASKED | {"output": "layer2"}}
    answer = json.loads(files[0].answer(json.dumps(question), print, files[1]))
    ends = {"output": ["layer4", "layer2"]}
    found = rf.compare(*paths, input_resolution=None, **ends)
    assert answer["names"] == [Path(path).name for path in paths]
    assert answer["ends"] == ["layer4 in x", "layer2 in x"]
    # Sizes: 96 / 32, and 224 / 8, which the second model states.
    assert ["output size", "3 x 3", "28 x 28", False] in answer["rows"]
    assert answer["rows"][:3] == [list(row) for row in found.rows[:3]]
    assert answer["same"] == len(found.same_layers)
    assert answer["only"] == [list(names) for names in found.only]


def test_an_answer_has_a_budget():
    with rf.work_limit(10):
        told = answered(ONNX / "resnet18.onnx.xz")["error"]
    assert "10 steps" in told


def test_signatures_are_chosen():
    path = TFLITE / "two_signatures.tflite.xz"
    assert "several signatures: coarse, fine" in answered(path)["error"]
    assert "error" not in answered(path, signature="coarse")


def test_what_needs_numpy_is_refused_with_a_way_out(monkeypatch):
    def unable(*_):
        raise MissingNumPyError("numpy.einsum")

    monkeypatch.setattr("receptive_field.report.site.page_data", unable)
    told = answered(ONNX / "resnet18.onnx.xz")["error"]
    assert "needs NumPy" in told
    assert "receptive-field explore resnet18.onnx.xz -o page.html" in told


# --- The worker ----------------------------------------------------------------------


def test_a_long_analysis_can_be_cancelled(page):
    page.locator("#file").set_input_files(rf.EXAMPLE_GRAPH)
    expect(page.locator("#doing")).to_contain_text("inception_resnet_v2")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".error")).to_contain_text("Cancelled")
    finish(page)
    page.get_by_role("button", name="Analyse").click()
    expect(page.locator(".error")).to_be_hidden()
    finish(page)
    assert len(data_of(page)["nodes"]) > 800
    check_numbers(page, rf.EXAMPLE_GRAPH)


def test_a_reload_without_a_network(browser, site):
    with static(site) as url:
        tab = browser.new_page()
        tab.goto(url)
        tab.evaluate("navigator.serviceWorker.ready.then(() => true)")
    failed = []
    tab.on("requestfailed", lambda request: failed.append(request.url))
    tab.reload()
    opened(tab, ONNX / "resnet18.onnx.xz")
    assert data_of(tab)["title"] == "resnet18.onnx.xz"
    tab.close()
    assert failed == []


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("worker.js", "missing"),
        ("packages.zip", "missing"),
        ("packages.zip", "cut off"),
        ("pyodide/pyodide.asm.wasm", "cut off"),
        ("pyodide/python_stdlib.zip", "cut off"),
    ],
)
def test_loading_that_is_interrupted_says_what_to_do(browser, site, name, how):
    """Also to whoever opens a file nevertheless."""
    content = (site / name).read_bytes()

    class Interrupted(Quiet):
        def do_GET(self):
            if self.path != f"/{name}":
                super().do_GET()
            elif how == "missing":
                self.send_error(404)
            else:
                self.send_response(200)
                kind = self.guess_type(self.path)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])

    handler = partial(Interrupted, directory=str(site))
    with served(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{server.server_port}/")
        told = re.compile("The analysis cannot start: .*Reload the page")
        expect(tab.locator("#message")).to_have_text(told, timeout=PATIENCE)
        opened(tab, ONNX / "resnet18.onnx.xz")
        expect(tab.locator(".view .error")).to_have_text(told)
        tab.close()


@pytest.mark.parametrize("missing", ["WebAssembly", "Worker"])
def test_a_browser_that_cannot_run_python_is_told_so(browser, address, missing):
    tab = browser.new_page()
    tab.add_init_script(f"delete globalThis.{missing}")
    tab.goto(address)
    expect(tab.locator("#message")).to_contain_text(
        "no WebAssembly or no workers. Use a recent Firefox"
    )
    tab.close()


def test_storage_that_is_full(browser, site):
    """The page works, and says what it cannot do."""
    with static(site) as url:
        tab = browser.new_page()
        quota = {"origin": url.rstrip("/"), "quotaSize": 100_000}
        session = tab.context.new_cdp_session(tab)
        session.send("Storage.overrideQuotaForOrigin", quota)
        tab.goto(url)
        expect(tab.locator("#message")).to_contain_text(
            "without a network, because the browser does not keep its files: its "
            "storage is full.",
            timeout=PATIENCE,
        )
        opened(tab, ONNX / "resnet18.onnx.xz")
        assert data_of(tab)["title"] == "resnet18.onnx.xz"
        tab.close()


def test_a_gigabyte_is_not_loaded(browser, address, tmp_path):
    """Slices of the file are read, and its numbers are those without the weights."""
    bench = script(ROOT / "benchmarks" / "web.py")
    small, large = ONNX / "resnet18.onnx.xz", tmp_path / "large.onnx"
    bench.write_large(large, lzma.decompress(small.read_bytes()))
    assert large.stat().st_size > 1 << 30
    memory = bench.Memory()
    options = {"executable_path": chromium(), "args": ["--no-sandbox"]}
    with browser.browser_type.launch(**options) as alone:
        tab = alone.new_page()
        tab.goto(address)
        opened(tab, large)
        here = page_data(load(str(small)), None, None, Options())
        assert numbers_of(data_of(tab)) == numbers_of(here)
        most = memory.stop()
    assert 50e6 < most < 300e6


# --- Building the site ---------------------------------------------------------------


def test_another_pyodide_than_the_locked_one_is_not_used(tmp_path, monkeypatch):
    build = script(OURS / "build_web.py")

    def sent(*_, cwd):
        (cwd / "pyodide.tgz").write_bytes(b"another one")

    monkeypatch.setattr(build, "run", sent)
    with pytest.raises(build.BuildError, match=r"not the one in web/lock\.json"):
        build.fetch_pyodide(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def pyodide(site):
    """A folder with what Pyodide says about its packages."""
    return site / "pyodide"


ONE_PAGE = """\
INHERIT: {root}/mkdocs.yml
docs_dir: {root}/docs
nav: [try.md]
exclude_docs: |
  *.md
  !try.md
plugins: [search, offline]
hooks: [{root}/scripts/mkdocs_extensions.py]
"""


@needs("mkdocs", "material", "mkdocstrings", "latex2mathml")
def test_the_documentation_holds_the_page(site, browser, tmp_path):
    """A documentation of its page alone: `test_docs.py` builds all of it."""
    config, target = tmp_path / "mkdocs.yml", tmp_path / "built"
    config.write_text(ONE_PAGE.format(root=ROOT), "utf-8")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-f", config, "--site-dir", target],
        check=True,
        cwd=ROOT,
        env={**os.environ, "WEB_PAGE": str(site)},
    )
    with static(target) as url:
        tab = browser.new_page(viewport={"width": 1400, "height": 1000})
        tab.set_default_timeout(PATIENCE)
        asked = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"{url}try.html")
        page = tab.frame_locator("iframe.web-page")
        page.locator("#file").set_input_files([ONNX / "resnet18.onnx.xz"])
        shown = page.frame_locator(".view iframe")
        expect(shown.locator("#data")).to_be_attached(timeout=PATIENCE)
        (told,) = json.loads(shown.locator("#data").text_content())["models"]
        tab.close()
    here = page_data(load(ONNX / "resnet18.onnx.xz"), None, None, Options())
    assert numbers_of(told) == numbers_of(here)
    assert all(address.startswith((url, f"blob:{url}", "data:")) for address in asked)


WHEEL = "numpy-9.9-cp314-cp314-pyemscripten_2026_0_wasm32.whl"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("numpy-2.4.6-cp314-cp314-manylinux_2_28_x86_64.whl", "no wheel of NumPy for"),
        ("numpy-2.2.0-cp313-cp313-pyemscripten_2026_0_wasm32.whl", "Give numpy-2"),
        ("scipy-1.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl", "no wheel of NumPy"),
        (WHEEL, "or is damaged"),
    ],
)
def test_a_numpy_that_does_not_fit_is_refused(tmp_path, pyodide, name, told):
    build = script(OURS / "build_web.py")
    wheel = tmp_path / name
    wheel.write_bytes(b"")
    with pytest.raises(build.BuildError, match=told):
        build.check_numpy(wheel, pyodide)


def test_a_numpy_that_is_not_what_pyodide_states_is_refused(tmp_path, pyodide):
    build = script(OURS / "build_web.py")
    lock = json.loads((pyodide / "pyodide-lock.json").read_text())
    wheel = tmp_path / lock["packages"]["numpy"]["file_name"]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("numpy/__init__.py", "")
    with pytest.raises(build.BuildError, match="hash"):
        build.check_numpy(wheel, pyodide)
    with pytest.raises(build.BuildError, match="there is no"):
        build.check_numpy(tmp_path / WHEEL, pyodide)


def test_a_numpy_that_fits_is_part_of_the_site(tmp_path, pyodide):
    build = script(OURS / "build_web.py")
    wheel = tmp_path / WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("numpy/__init__.py", "array = list\n")
        archive.writestr("numpy/core.cpython-314-wasm32-emscripten.so", b"\0asm")
    build.check_numpy(wheel, pyodide)
    node()
    build.pack(pyodide, tmp_path / "packages.zip", wheel)
    with zipfile.ZipFile(tmp_path / "packages.zip") as packed:
        assert packed.namelist() == [
            "numpy/__init__.pyc",
            "numpy/core.cpython-314-wasm32-emscripten.so",
        ]


def test_only_a_site_is_replaced(tmp_path):
    build = script(OURS / "build_web.py")
    build.check_replaceable(tmp_path)
    (tmp_path / "work.txt").write_text("")
    with pytest.raises(build.BuildError, match="is no site"):
        build.check_replaceable(tmp_path)


def test_the_policy_names_the_scripts_of_the_explorer(site):
    """And no others, nor any other server."""
    text = (site / "index.html").read_text("utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    assert allowed["connect-src"] == "'self'"
    scripts = allowed["script-src"].split()
    assert scripts[:2] == ["'self'", "'wasm-unsafe-eval'"]
    assert len(scripts) == 2 + len(SCRIPTS) + 1  # And frame.js.
    assert not re.search(r"https?:|\*|unsafe-inline", allowed["script-src"])


# --- On this machine -----------------------------------------------------------------


def test_serve_opens_the_model_of_the_command_line(site, browser):
    model = ONNX / "resnet18.onnx.xz"
    command = ("-m", "receptive_field.cli", "serve", model, "--no-browser")
    with subprocess.Popen(
        [sys.executable, *command, "--site", site], stdout=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        tab = browser.new_page()
        tab.set_default_timeout(PATIENCE)
        tab.goto(url)
        expect(tab.locator(".view h2")).to_have_text(model.name)
        finish(tab)
        assert data_of(tab)["title"] == model.name
        tab.close()
        process.terminate()


def status_of(url, **headers):
    try:
        with urlopen(Request(url, headers=headers)) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, b""


def test_the_server_gives_the_site_and_the_model_and_nothing_else(tmp_path):
    (tmp_path / "site").mkdir()
    for name in ("index.html", "packages.zip"):
        (tmp_path / "site" / name).write_text(name)
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "secret").write_text("")
    server = Server(site_in(str(tmp_path / "site")), model_file(str(tmp_path)))
    with served(server):
        base = f"http://127.0.0.1:{server.server_port}"
        assert status_of(base) == (200, b"index.html")
        assert status_of(base + server.model_path) == (200, b"graph")
        for path in (
            "/saved_model.pb",
            "/model-/saved_model.pb",
            "/../secret",
            "/%2e%2e/secret",
        ):
            assert status_of(base + path)[0] == 404
        assert status_of(base, Host="example.org")[0] == 421
        assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("find", "missing"),
    [(site_in, "scripts/build_web.py"), (model_file, "there is no")],
)
def test_serve_says_what_is_missing(tmp_path, find, missing):
    with pytest.raises(rf.ReceptiveFieldError, match=missing):
        find(str(tmp_path))
