"""The models of the onnx package's own tests: analysed, or refused with a reason.

These are those in its wheel, and the cases of single ops that it makes in memory.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tables
from needed import needed

import receptive_field as rf
from receptive_field.errors import (
    IndependentError,
    ReceptiveFieldError,
    UnsupportedOpsError,
)

pytestmark = pytest.mark.slow

onnx = needed("onnx")
loader = needed("onnx.backend.test.loader")

FOLDERS = ("light", "simple", "pytorch-converted", "pytorch-operator", "node")
"""Folders of models in the wheel. The loader lists all of them but the first, whose
networks have no numbers to compare with."""

REASONS = {
    "CastLike": "a constant that is cast to the type of the input is taken to depend "
    "on it, and has another rank",
    "PRelu": "slopes without axes, which onnx does not convert from operator set 6",
    "Scan": "Scan of operator set 8, which had a batch axis of its own",
    "Slice": "the slice is empty",
}
"""The op that an error names -> why the library refuses the model."""


class Case(NamedTuple):
    """A model of the onnx package."""

    folder: str
    name: str
    model: Any


def cases() -> Iterator[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
        for path in sorted(light.glob("*.onnx")):
            yield Case("light", path.stem, onnx.load(path))
        for folder in FOLDERS[1:]:
            for case in loader.load_model_tests(kind=folder):
                model = case.model
                if model is None:
                    model = onnx.load(Path(case.model_dir) / "model.onnx")
                yield Case(folder, case.name, _at_least_opset_7(model))


def _at_least_opset_7(model: Any) -> Any:
    """Converts a model as the library's error asks for, if onnx can."""
    if all(o.version >= 7 for o in model.opset_import if not o.domain):
        return model
    try:
        return onnx.version_converter.convert_version(model, 8)
    except Exception:  # The converter does not know all ops.
        return model


def image(model: Any) -> str | None:
    """The first input of rank 3 or more that is no constant."""
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        rank = len(value.type.tensor_type.shape.dim)
        if value.name not in constants and rank >= 3:
            return value.name
    return None


class Count:
    """What becomes of the models of a folder."""

    def __init__(self) -> None:
        self.models = self.asked = self.analysed = self.independent = self.refused = 0


def refusal(error: ReceptiveFieldError) -> list[str]:
    """The ops that an error names."""
    if isinstance(error, UnsupportedOpsError):
        return list(error.nodes)
    found = re.match(r"([\w.]+) node '", str(error))
    if found:
        return [found[1]]
    found = re.search(r"uses (operator set \d+)", str(error))
    return [found[1] if found else f"? {error}"]


def test_models_of_the_onnx_package():
    counts = {folder: Count() for folder in FOLDERS}
    refused: dict[str, set[str]] = {}
    for folder, name, model in cases():
        count = counts[folder]
        count.models += 1
        source = image(model)
        if source is None:
            continue
        count.asked += 1
        kinds = set()
        for output in model.graph.output:
            try:
                field = rf.compute_receptive_field(
                    model, input=source, output=output.name
                )
                assert field.axes
                kinds.add("analysed")
            except IndependentError:
                kinds.add("independent")
            except ReceptiveFieldError as error:
                kinds.add("refused")
                for op in refusal(error):
                    refused.setdefault(op, set()).add(name)
        kind = next(k for k in ("refused", "analysed", "independent") if k in kinds)
        setattr(count, kind, getattr(count, kind) + 1)
    tables.onnx_backend = table(counts, refused)
    assert not [op for op in refused if op.startswith("?")]
    assert {op for op in refused if not reason(op)} == set()


def reason(op: str) -> str | None:
    if op.startswith("operator set"):
        return "ops of operator sets below 7, which onnx itself cannot convert"
    return REASONS.get(op)


def table(counts: dict[str, Count], refused: dict[str, set[str]]) -> list[str]:
    """The rows of both tables."""
    columns = ("models", "asked", "analysed", "independent", "refused")
    rows = [
        f"| `{folder}` | "
        + " | ".join(str(getattr(count, column)) for column in columns)
        + " |\n"
        for folder, count in counts.items()
    ]
    rows.append("\n| op | models | reason |\n|---|---|---|\n")
    rows += [
        f"| {op if ' ' in op else f'`{op}`'} | {len(names)} | {reason(op)} |\n"
        for op, names in sorted(refused.items())
    ]
    return rows


def test_the_table_in_the_documentation(pytestconfig):
    if tables.onnx_backend is None:
        pytest.fail("run test_models_of_the_onnx_package in the same process")
    if pytestconfig.option.write_tables:
        return
    text = (tables.DOCS / "onnx_backend.md").read_text(encoding="utf-8")
    assert text == tables.ONNX_BACKEND + "".join(tables.onnx_backend)
