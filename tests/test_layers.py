"""Every class of ``keras.layers``, held against measurement."""

import layer_catalogue as catalogue
import pytest
from keras_experiments import hold_output

SEEDS = range(4)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.EXAMPLES)
@pytest.mark.parametrize("seed", SEEDS)
def test_layer(name, seed):
    hold_output(catalogue.model_of(name, seed))
