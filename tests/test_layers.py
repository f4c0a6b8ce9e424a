"""Every class of ``keras.layers``, held against measurement."""

import layer_catalogue as catalogue
import pytest
import tables
from keras_experiments import hold_output
from random_search import seeds

from receptive_field.frameworks.keras.layers import LAYERS

SEEDS = (0, 1)
"""Those that decide what the table says."""


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.EXAMPLES)
def test_layer(name, pytestconfig):
    fields = [hold_output(catalogue.model_of(name, seed)) for seed in SEEDS]
    exact = all(field.exact for field in fields)
    found = tables.EXACT if exact else f"an upper bound: {catalogue.BOUNDS[name]}"
    tables.measured_layers[name] = found
    if not pytestconfig.option.write_tables:
        assert tables.rows("layers.md")[name] == found


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds("layers", 1))
@pytest.mark.parametrize("name", catalogue.EXAMPLES)
def test_other_parameters(name, seed):
    assert hold_output(catalogue.model_of(name, seed)).exact or name in catalogue.BOUNDS


def test_no_class_is_left_out(pytestconfig):
    classes = set(catalogue.classes())
    assert classes <= {*catalogue.EXAMPLES, *catalogue.REASONS}
    without = {*catalogue.REASONS, *catalogue.NO_RULE}
    assert classes - without <= set(LAYERS)
    assert without.isdisjoint(LAYERS)
    if pytestconfig.option.write_tables:
        return
    rows = tables.rows("layers.md")
    assert classes <= set(rows)
    assert "not measured" not in rows.values()
    for name, reason in catalogue.REASONS.items():
        assert rows[name] == reason
