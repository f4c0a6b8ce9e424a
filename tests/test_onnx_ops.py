"""Every ONNX op that has a rule, and every op of the standard."""

from __future__ import annotations

import onnx_catalogue as catalogue
import pytest
import tables
from needed import needed

from receptive_field.frameworks.onnx.files import NEWEST_OPSET
from receptive_field.frameworks.onnx.ops import OPS

onnx = needed("onnx")


@pytest.mark.parametrize("name", catalogue.CASES)
def test_op(name):
    for make in catalogue.CASES[name]:
        make().hold()
    tables.measured_onnx_ops.add(name)


def test_every_op_is_measured_or_has_a_reason():
    known = catalogue.CASES.keys() | catalogue.REASONS.keys()
    assert known == OPS.keys() - catalogue.WRITTEN_OUT
    assert not catalogue.CASES.keys() & catalogue.REASONS.keys()
    assert not catalogue.UNSUPPORTED.keys() & OPS.keys()


def test_every_op_of_the_standard_has_a_row(pytestconfig):
    assert set(catalogue.NAMES) >= catalogue.STANDARD
    assert onnx.defs.onnx_opset_version() >= NEWEST_OPSET
    if not pytestconfig.option.write_tables:
        found = {name: catalogue.result(name) for name in catalogue.NAMES}
        assert tables.rows("onnx_ops.md") == found
