"""The documentation: its code is run, its pages are built, no name is missing."""

import re
import subprocess
import sys

import pytest
from needed import needs
from pages import blocks, run_page
from run_scripts import DOCS, OURS, ROOT

import receptive_field as rf
from receptive_field.algebra import axis_map
from receptive_field.frameworks import FRAMEWORKS, table
from receptive_field.frameworks.tensorflow.ops import elementwise, registry
from receptive_field.relations import relation as axes
from receptive_field.rules import op

pytestmark = pytest.mark.slow

PAGES = {
    path.relative_to(DOCS).as_posix(): path.read_text()
    for path in sorted(DOCS.rglob("*.md"))
}
MODULES = {
    r"\bkeras\b|receptive-field (measure|bisect)": ("keras", "tensorflow"),
    r"\btensorflow\b": ("tensorflow",),
    r"rf\.plot|receptive-field plot": ("matplotlib",),
    r"to_dataframe": ("pandas",),
    r"dask": ("distributed",),
    r"\bimport torch\b": ("torch",),
    r"\bimport onnx\b": ("onnx", "onnxruntime"),
}
"""What code needs, by what is written in it."""


def with_code():
    """The pages that have code to run, marked with what it needs."""
    for name, page in PAGES.items():
        code = "".join(code for kind, code in blocks(page) if kind in ("python", "sh"))
        found = [
            m for text, some in MODULES.items() if re.search(text, code) for m in some
        ]
        if code:
            yield pytest.param(name, marks=needs(*found), id=name)


WITHOUT_IMPORTS = {
    "design.md": {
        **vars(axis_map),
        **vars(axes),
        **vars(elementwise),
        **vars(op),
        **vars(registry),
    }
}
"""A page for maintainers shows pieces of files; their names come from there."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with what a copy of the repository holds."""
    for name in ("python", "receptive_field"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rules():
    """What a page registers, is forgotten."""
    tables = [table(name) for name in FRAMEWORKS]
    kept = [dict(rules) for rules in tables]
    yield
    for rules, before in zip(tables, kept, strict=True):
        rules.clear()
        rules.update(before)


@pytest.fixture
def fresh_names():
    """Layers get the names that they have in a new process."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()


@pytest.mark.usefixtures("rules", "fresh_names")
@pytest.mark.parametrize("name", with_code())
def test_the_code_of_a_page_runs_and_shows_what_the_page_says(name, folder):
    compared = run_page(PAGES[name], folder, WITHOUT_IMPORTS.get(name))
    assert compared or name in WITHOUT_IMPORTS


def test_what_a_page_states_is_compared(folder):
    names = {"__name__": "__main__"}
    assert run_page("```python\n1 + 1  # 2: two\nprint(3)\n```\n\n", folder, names) == 1
    for page in (
        "```python\n1 + 1  # 3\n```\n",
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```sh\necho 1\n```\n\n```text\n2\n```\n",
        "```sh\nexit 3\n```\n",
        "```text\nout of nothing\n```\n",
    ):
        with pytest.raises(AssertionError):
            run_page(page, folder)


def test_the_reference_has_every_public_name():
    listed = re.findall(r"^::: receptive_field\.(\w+)$", PAGES["reference.md"], re.M)
    assert sorted(listed) == sorted(rf.__all__)


def test_the_first_picture_is_the_one_that_the_script_writes(tmp_path):
    path = tmp_path / "picture.svg"
    script = OURS / "write_first_picture.py"
    subprocess.run([sys.executable, script, "--path", path], check=True)
    assert path.read_text() == (DOCS / "first_page.svg").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built pages."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        check=True,
        cwd=ROOT,
    )
    return folder


BUILDS = needs("mkdocs", "material", "mkdocstrings", "latex2mathml")


@BUILDS
@pytest.mark.parametrize("page", ["index.html", "guide/compute.html"])
def test_search_works_from_a_folder(site, page, browser):
    tab = browser.new_page(viewport={"width": 1300, "height": 800})
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((site / page).as_uri())
    search = tab.locator("input.md-search__input")
    search.click()
    search.press_sequentially("untrusted")
    found = tab.locator(".md-search-result__link[href*='untrusted.html']").first
    found.click()
    tab.wait_for_url("**/guide/untrusted.html*")
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)
    tab.close()


@BUILDS
def test_the_pages_are_built_and_load_nothing_from_elsewhere(site):
    built = {path: path.read_text() for path in site.rglob("*.html")}
    assert {path.relative_to(site).with_suffix("").as_posix() for path in built} > {
        name.removesuffix(".md") for name in PAGES
    }
    for path, page in built.items():
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*>", page)
        assert not [
            tag for tag in loaded if re.search(r"(src|href)=.?(https?:)?//", tag)
        ]
        assert "arithmatex" not in page, f"a formula of {path} was not converted"
    assert "<math" in (site / "theory" / "equations.html").read_text()
    reference = (site / "reference.html").read_text()
    assert "&gt;&gt;&gt; " in reference
    assert "<blockquote" not in reference, "a doctest is not shown as code"
