"""Every op type that has a rule."""

import ast
import re
from pathlib import Path

import op_catalogue as catalogue
import pytest
import tables
from dependency import check, ops_of, traced
from needed import needed

tf = needed("tensorflow")

PACKAGE = Path(__file__).parent.parent / "receptive_field"


def test_no_op_type_is_left_out(pytestconfig):
    found = {name: catalogue.result(name) for name in catalogue.REGISTERED}
    assert "not measured" not in found.values()
    if not pytestconfig.option.write_tables:
        assert tables.rows("ops.md") == found


def imported(path):
    """The modules of the package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith(PACKAGE.name):
            yield node.module.removeprefix(f"{PACKAGE.name}.")


@pytest.mark.parametrize("path", PACKAGE.glob("rules/*.py"), ids=lambda path: path.stem)
def test_rules_know_no_framework(path):
    below = {"algebra", "arrays", "budget", "errors", "graph", "relations", "rules"}
    assert {module.split(".")[0] for module in imported(path)} <= below
    if path.stem not in ("inference", "op"):
        named = re.compile(r"\.(attribute|text|flag|numbers?|has)\(|definition")
        assert not named.search(path.read_text())


def test_only_who_makes_graphs_imports_the_tables():
    found = {
        str(path.relative_to(PACKAGE).with_suffix(""))
        for path in PACKAGE.rglob("*.py")
        if any(
            module.startswith("frameworks.tensorflow.ops") for module in imported(path)
        )
    }
    rooms = {name.split("/")[0] for name in found}
    assert rooms == {"frameworks", "original"}


def test_all_are_ops_of_tensorflow():
    from tensorflow.python.framework import op_def_registry

    for name in catalogue.REGISTERED:
        assert op_def_registry.get(name) is not None, name


@pytest.mark.parametrize("name", catalogue.NETWORKS)
def test_op(name):
    build = catalogue.NETWORKS[name]
    check(build, (1, 4, 5, 2))
    assert name in ops_of(traced(build, (1, 4, 5, 2)))
    tables.measured_ops.add(name)


def test_reasons_are_for_what_is_not_measured():
    assert not catalogue.REASONS.keys() & catalogue.NETWORKS.keys()
    assert catalogue.REASONS.keys() | catalogue.NETWORKS.keys() <= catalogue.REGISTERED


def test_tables_are_written_as_a_whole_or_not_at_all(
    tmp_path, monkeypatch, pytestconfig
):
    docs = tables.DOCS
    monkeypatch.setattr(tables, "DOCS", tmp_path)
    monkeypatch.setattr(tables, "measured_layers", {})
    monkeypatch.setattr(tables, "measured_operations", {})
    monkeypatch.setattr(tables, "measured_tflite_ops", set())
    monkeypatch.setattr(tables, "measured_onnx_ops", set())
    monkeypatch.setattr(tables, "measured_torch_ops", set())
    monkeypatch.setattr(tables, "onnx_backend", None)
    monkeypatch.setattr(tables, "measured_ops", set(catalogue.NETWORKS) - {"Conv2D"})
    assert any(
        "ops.md" in s and "1 of its rows" in s for s in tables.write(passed=True)
    )
    tables.measured_ops.add("Conv2D")
    tables.write(passed=False)
    assert not list(tmp_path.iterdir())
    tables.write(passed=True)
    assert [path.name for path in tmp_path.iterdir()] == ["ops.md"]
    if not pytestconfig.option.write_tables:
        written = (tmp_path / "ops.md").read_text(encoding="utf-8")
        assert written == (docs / "ops.md").read_text(encoding="utf-8")
