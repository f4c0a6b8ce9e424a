"""Every op of PyTorch that has a rule, and every class of torch.nn."""

from __future__ import annotations

import pytest
import tables
import torch_catalogue as catalogue
from torch_experiments import ops_of

from receptive_field.frameworks.torch.ops import OPS


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.CASES)
def test_op(name):
    for make in catalogue.CASES[name]:
        assert name in ops_of(make().hold([name]))
    tables.measured_torch_ops.add(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.CLASSES)
def test_class(name):
    for make in catalogue.CLASSES[name]:
        make().hold()
    tables.measured_torch_classes.add(name)


def test_every_op_is_measured_or_has_a_reason(pytestconfig):
    known = catalogue.CASES.keys() | catalogue.REASONS.keys()
    assert known == OPS.keys() - catalogue.WRITTEN_OUT
    assert not catalogue.CASES.keys() & catalogue.REASONS.keys()
    assert not catalogue.UNSUPPORTED.keys() & OPS.keys()
    if not pytestconfig.option.write_tables:
        found = {name: catalogue.result(name) for name in catalogue.NAMES}
        assert tables.rows("torch_ops.md", 0) == found


def test_every_class_is_measured_or_has_a_reason(pytestconfig):
    known = catalogue.CLASSES.keys() | catalogue.CLASS_REASONS.keys()
    assert known == catalogue.MODULES
    assert not catalogue.CLASSES.keys() & catalogue.CLASS_REASONS.keys()
    if not pytestconfig.option.write_tables:
        names = sorted(catalogue.MODULES)
        found = {name: catalogue.result_of_class(name) for name in names}
        assert tables.rows("torch_ops.md", 1) == found
