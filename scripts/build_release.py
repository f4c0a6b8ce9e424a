"""Builds the packages of a release, and tries them in fresh environments.

  python scripts/build_release.py [-o dist] [PYTHON ...]

What is built is the commit that is checked out: an sdist, and a wheel from it. Twine
checks both. Then each PYTHON (if none is given, every supported one on the PATH or of
pyenv) gets an environment without anything in it, in which the wheel, and for the first
Python the sdist, is installed: requirements agree with each other, the command answers
about the graph of the package, and a program runs and is checked by mypy with the types
that are shipped. A line says for each what was tried. The packages are kept only if all
goes well.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "tests" / "user_program.py"
VERSIONS = range(10, 20)
"""The minor versions of Python 3 that are looked for."""


def run(*command: object, folder: Path | None = None) -> str:
    """Runs a command outside the checkout; returns what it prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    parts = [os.fspath(p) if isinstance(p, Path) else str(p) for p in command]
    done = subprocess.run(
        parts, env=environment, cwd=folder, text=True, capture_output=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(parts)}\n{done.stdout}{done.stderr}error: this failed.")
    return done.stdout


def environment(folder: Path, python: Path, *packages: object) -> Path:
    """Makes an environment with these packages; returns its folder of commands."""
    run(python, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "-q", *packages)
    return folder / "bin"


def pythons() -> Iterator[Path]:
    """Every supported Python of this machine, one for each minor version."""
    known = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for minor in VERSIONS:
        name = f"python3.{minor}"
        found = [*known.glob(f"3.{minor}.*/bin/{name}")]
        found += [Path(path)] if (path := shutil.which(name)) else []
        yield from found[:1]


def build(folder: Path, tools: Path) -> list[Path]:
    """Builds the commit that is checked out; returns the sdist and the wheel."""
    run("git", "clone", "-q", ROOT, folder / "source")
    run(tools / "python", "-m", "build", "-o", folder / "dist", folder / "source")
    packages = sorted((folder / "dist").iterdir())
    run(tools / "twine", "check", "--strict", *packages)
    return sorted(packages, key=lambda path: path.suffix == ".whl")


def tried(package: Path, python: Path, folder: Path, tools: Path) -> str:
    """Installs a package in an environment of its own, and uses it."""
    commands = environment(folder, python, package)
    run(commands / "python", "-m", "pip", "check")
    empty = folder / "empty"
    empty.mkdir()
    graph = run(
        *(commands / "python", "-c"),
        "import receptive_field as rf; print(rf.EXAMPLE_GRAPH)",
        folder=empty,
    ).strip()
    answer = run(commands / "receptive-field", "compute", graph, folder=empty)
    if not re.search(r"^receptive field +3039 x 3039$", answer, re.M):
        sys.exit(f"{answer}error: {package.name} gives another answer.")
    program = shutil.copy(PROGRAM, empty)
    run(commands / "python", program, folder=empty)
    mypy = (tools / "mypy", "--strict", "--python-executable", commands / "python")
    run(*mypy, program, folder=empty)
    version = run(
        commands / "python", "-c", "import sys; print(sys.version.split()[0])"
    )
    return f"{package.name}: installed, run and type-checked with Python {version}"


def main() -> None:
    """Builds, tries, and copies what was tried."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pythons", nargs="*", type=Path, metavar="PYTHON")
    parser.add_argument("-o", dest="folder", type=Path, default=Path("dist"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        own = Path(sys.executable)
        tools = environment(folder / "tools", own, "build", "twine", "mypy")
        sdist, wheel = build(folder, tools)
        found = arguments.pythons or [*pythons()] or [own]
        trials = [(sdist, found[0]), *((wheel, python) for python in found)]
        for number, (package, python) in enumerate(trials):
            print(tried(package, python, folder / str(number), tools))
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for package in (sdist, wheel):
            print(shutil.copy(package, arguments.folder))


if __name__ == "__main__":
    main()
