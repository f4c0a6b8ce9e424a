"""Every ONNX op that has a rule, and every op of the standard."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import tables
from needed import needed

from receptive_field.frameworks.onnx.files import NEWEST_OPSET
from receptive_field.frameworks.onnx.ops import OPS

onnx = needed("onnx")
needed("onnxruntime")

FAMILIES = [
    import_module(path.stem)
    for path in sorted(Path(__file__).parent.glob("onnx_cases_*.py"))
]


def merged(name):
    """What all families say under a name: lists of cases are joined."""
    found = {}
    for family in FAMILIES:
        for op, more in getattr(family, name, {}).items():
            found[op] = [*found.get(op, []), *more] if name == "CASES" else more
    return found


CASES, REASONS, UNSUPPORTED = map(merged, ("CASES", "REASONS", "UNSUPPORTED"))

WRITTEN_OUT = {
    "Absent",
    "Initializer",
    "Input",
    "Iteration",
    "ListItem",
    "Merge",
    "NextIteration",
    "ScanSlice",
}
"""Op types of nodes that the library adds to a graph."""

STANDARD = {
    schema.name
    for schema in onnx.defs.get_all_schemas()
    if schema.domain == "" and not schema.deprecated
}


def result(name):
    """What the table says of an op."""
    if name in CASES:
        return "measured"
    return REASONS[name] if name in OPS else f"no rule: {UNSUPPORTED[name]}"


@pytest.mark.parametrize("name", CASES)
def test_op(name):
    for make in CASES[name]:
        make().hold()
    tables.measured_onnx_ops.add(name)


def test_every_op_is_measured_or_has_a_reason():
    assert CASES.keys() | REASONS.keys() == OPS.keys() - WRITTEN_OUT
    assert not CASES.keys() & REASONS.keys()
    assert not UNSUPPORTED.keys() & OPS.keys()


def test_every_op_of_the_standard_has_a_row(pytestconfig):
    assert OPS.keys() | UNSUPPORTED.keys() >= STANDARD
    assert onnx.defs.onnx_opset_version() >= NEWEST_OPSET
    if not pytestconfig.option.write_tables:
        names = OPS.keys() | UNSUPPORTED.keys()
        assert tables.rows("onnx_ops.md") == {
            name: result(name) for name in names - WRITTEN_OUT
        }
