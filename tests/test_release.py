"""What a stranger installs: packages, their types and extras, README's examples."""

from __future__ import annotations

import lzma
import os
import re
import subprocess
import sys
import sysconfig
from importlib import import_module
from pathlib import Path
from zipfile import ZipFile

import pytest
from needed import needed, needs
from pages import blocks, run_page
from run_scripts import EXAMPLES, ROOT, script

import receptive_field as rf

README = (ROOT / "README.md").read_text()
DATA = ROOT / "tests" / "data"


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text()
    (version,) = re.findall(r"^version: (.+)$", citation, re.M)
    (date,) = re.findall(r"^date-released: (.+)$", citation, re.M)
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert version == rf.__version__
    assert newest
    assert newest[1] in (f"{version} ({date})", "Unreleased")


def test_a_tab_shows_what_is_public():
    assert sorted(dir(rf)) == sorted([*rf.__all__, "__version__"])
    assert all(getattr(rf, name).__doc__ for name in rf.__all__ if name.islower())


def extras(monkeypatch) -> dict[str, list[str]]:
    """What setup.py says of the extras."""
    told: dict[str, list[str]] = {}
    setuptools = needed("setuptools")
    monkeypatch.setattr(
        setuptools, "setup", lambda **said: told.update(said["extras_require"])
    )
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.delitem(sys.modules, "setup", raising=False)
    import_module("setup")
    return told


def test_extras_that_are_named_exist_and_bring_what_they_are_for(monkeypatch):
    found = extras(monkeypatch)
    pages = [README, (ROOT / "CONTRIBUTING.md").read_text()]
    for folder in ("docs", "python", "receptive_field"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".md", ".py", ".ipynb"):
                pages.append(path.read_text())
    named = re.findall(r"install[^`\n]*\[([\w,]+)\]", "\n".join(pages))
    assert {name for names in named for name in names.split(",")} == set(found)
    assert any(re.match("notebook", package) for package in found["notebook"])


# --- Types ---------------------------------------------------------------------------


@pytest.mark.slow
@needs("mypy")
def test_the_types_that_are_shipped_check_a_program(tmp_path):
    """The package is installed as a user has it, beside what is here."""
    wheel = script(ROOT / "scripts" / "build_web.py").own_wheel(tmp_path)
    environment = tmp_path / "environment"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", environment], check=True
    )
    variables = {"base": os.fspath(environment), "platbase": os.fspath(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", variables))
    with ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    program = ROOT / "tests" / "user_program.py"
    wrong = tmp_path / "wrong.py"
    wrong.write_text(program.read_text() + "\nstride: str = field.stride\n")
    python = ("--python-executable", environment / "bin" / "python")
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *python, program, wrong],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    ).stdout
    (error,) = (line for line in told.splitlines() if "error: " in line)
    assert error.startswith("wrong.py:"), told
    assert "Incompatible types in assignment" in error
    assert "checked 2 source files" in told


# --- README --------------------------------------------------------------------------


def test_the_readme_is_short():
    assert len(README.split()) < 500


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) > 20
    assert not [link for link in links if not (ROOT / link).exists()]


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The folder of a user who has the models that the README names."""
    keras = needed("keras")
    monkeypatch.chdir(tmp_path)
    keras.applications.ResNet50(weights=None).save("model.keras")
    graph = Path(rf.EXAMPLE_GRAPH).read_bytes()
    Path("graph.pb").write_bytes(graph)  # What is in a file tells what it is.
    for name, source in {
        "model.onnx": "onnx/resnet50.onnx.xz",
        "model.tflite": "tflite/mobilenet_v2.tflite.xz",
    }.items():
        Path(name).write_bytes(lzma.decompress((DATA / source).read_bytes()))
    # torchvision needs a word more beside the PyTorch of the tests.
    needed("torchvision_ops")
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("models")
@needs("keras", "tensorflow", "torch", "torchvision")
def test_the_examples_of_the_readme_run(tmp_path):
    """All but the two commands that install: `.ci/run` is the second of them."""
    installing = [code for _, code in blocks(README) if "pip install" in code]
    assert len(installing) == 2
    page = README
    for code in installing:
        page = page.replace(f"```sh\n{code}```\n", "", 1)
    first = f'"{sys.executable}" "{EXAMPLES / "compute_rf.py"}"\n'
    assert run_page(f"```sh\n{first}```\n{page}", tmp_path) == 5
    assert "<html" in (tmp_path / "page.html").read_text()
