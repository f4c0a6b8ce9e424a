"""Every op type that has a rule."""

import op_catalogue
import pytest
import tables

tf = pytest.importorskip("tensorflow")


def test_no_op_type_is_left_out():
    rows = tables.rows("ops.md")
    assert set(rows) == op_catalogue.REGISTERED
    assert "not measured" not in rows.values()


def test_all_are_ops_of_tensorflow():
    from tensorflow.python.framework import op_def_registry

    for name in op_catalogue.REGISTERED:
        assert op_def_registry.get(name) is not None, name
