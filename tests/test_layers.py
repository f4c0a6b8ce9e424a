"""Every class of ``keras.layers``, held against measurement."""

import layer_catalogue as catalogue
import pytest
import tables
from keras_experiments import hold_output

SEEDS = range(4)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.EXAMPLES)
def test_layer(name):
    fields = [hold_output(catalogue.model_of(name, seed)) for seed in SEEDS]
    exact = all(field.exact for field in fields)
    found = tables.EXACT if exact else f"an upper bound: {catalogue.BOUNDS[name]}"
    tables.measured_layers[name] = found
    if not tables.RECORDING:
        assert tables.rows("layers.md")[name] == found


def test_no_class_is_left_out():
    classes = set(catalogue.classes())
    assert classes <= {*catalogue.EXAMPLES, *catalogue.REASONS}
    rows = tables.rows("layers.md")
    assert classes <= set(rows)
    assert "not measured" not in rows.values()
    for name, reason in catalogue.REASONS.items():
        assert rows[name] == reason
