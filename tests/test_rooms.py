"""The table of rooms in docs/design.md, held against the imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from receptive_field.frameworks.tensorflow.ops import OPS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "receptive_field"
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
ROOMS = re.findall(
    r"^\| `(\w+)(?:/|\.py)` \|", DESIGN.partition("## The rooms")[2], re.MULTILINE
)
"""From the highest to the lowest."""

WALKERS = {
    "network/network.py",
    "network/walk.py",
    "passes/gradients.py",
    "passes/zeros.py",
    "questions/bisection.py",
}
"""Files that ask for the relations of a node."""


WING = re.compile(r"frameworks/\w+/")

SINGLE = {
    "passes/positions.py",
    "questions/candidates.py",
    "questions/reach.py",
    "questions/stretches.py",
}
"""Files that look at the edges of single nodes."""


def module_of(path):
    parts = ("receptive_field", *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = OPS.keys() | {"NHWC", "NCHW", "VALID", "data_format", "_output_shapes"}
"""Op types and attributes of TensorFlow."""

MODULES = {module_of(path): path for path in FILES}


def imported(path):
    """The files of the package that a file imports, lazily or for types only too."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    facade = Path("__init__.py")
    return {MODULES[name] for name in found & MODULES.keys()} - {path, facade}


def room(path):
    return path.parts[0].removesuffix(".py")


def test_every_room_is_in_the_table():
    assert {room(path) for path in FILES} - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_file_imports_from_a_room_above(path):
    if path == Path("__init__.py"):
        return
    above = ROOMS[: ROOMS.index(room(path))]
    assert [str(other) for other in imported(path) if room(other) in above] == []


def test_no_two_files_import_each_other():
    """Nor do longer circles, which are what is left when all others are taken away."""
    reads = {path: imported(path) for path in FILES if path.name != "__init__.py"}
    while True:
        free = {path for path in reads if not reads[path] & reads.keys()}
        if not free:
            break
        reads = {path: others for path, others in reads.items() if path not in free}
    assert sorted(map(str, reads)) == []


def test_no_op_type_is_named_outside_of_its_wing():
    """Beside the original interface and the networks that the zoo builds."""
    apart = ("frameworks/", "zoo/", "original.py")
    named = []
    for path in FILES:
        if not path.as_posix().startswith(apart):
            source = (PACKAGE / path).read_text("utf-8")
            named += [
                (str(path), node.value)
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node.value in NAMES
            ]
    assert named == []


def test_only_the_original_interface_names_a_wing():
    """All others ask `receptive_field.frameworks`, or what it has loaded."""
    wings = {
        path.as_posix(): sorted(map(str, imported(path)))
        for path in FILES
        if room(path) not in ("frameworks", "original")
    }
    assert {
        path: named
        for path, others in wings.items()
        if (named := [o for o in others if WING.match(o)])
    } == {}


def test_few_files_read_edges():
    """The walk does; others look at the inputs of single nodes."""
    reads = {
        path.as_posix()
        for path in FILES
        if ".edges(" in (PACKAGE / path).read_text("utf-8")
    }
    assert {path for path in reads if not path.startswith("network/")} == SINGLE | {
        path for path in WALKERS if not path.startswith("network/")
    }


def test_only_the_walk_asks_for_relations():
    """Beside it the gradients, the zeros, and the command that checks each relation."""
    asks = {
        path.as_posix()
        for path in FILES
        if re.search(r"network\.relations\(", (PACKAGE / path).read_text("utf-8"))
        or path == Path("network/network.py")
    }
    assert asks == WALKERS


def test_no_meaning_hangs_on_the_identity_of_a_value():
    """Equal values mean the same, whether or not they are the same object."""
    compared = {
        f"{path}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        for op, value in zip(node.ops, node.comparators, strict=True)
        if isinstance(op, ast.Is | ast.IsNot) and isinstance(value, ast.Name)
        if value.id.isupper() and value.id != "ABSENT"  # No value can equal that one.
    }
    assert not compared
