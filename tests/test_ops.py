"""Every op type that has a rule."""

import op_catalogue
import pytest
import tables
from dependency import check, ops_of, traced

tf = pytest.importorskip("tensorflow")


def test_no_op_type_is_left_out():
    rows = tables.rows("ops.md")
    assert set(rows) == op_catalogue.REGISTERED
    assert "not measured" not in rows.values()


def test_all_are_ops_of_tensorflow():
    from tensorflow.python.framework import op_def_registry

    for name in op_catalogue.REGISTERED:
        assert op_def_registry.get(name) is not None, name


@pytest.mark.parametrize("name", op_catalogue.NETWORKS)
def test_op(name):
    build = op_catalogue.NETWORKS[name]
    check(build, (1, 4, 5, 2))
    assert name in ops_of(traced(build, (1, 4, 5, 2)))


def test_reasons_are_for_what_is_not_measured():
    rows = tables.rows("ops.md")
    for name, reason in op_catalogue.REASONS.items():
        assert rows[name] in ("measured", reason), name
