"""Functions of keras.ops of nn, image, linalg and math: each is written by a rule."""

import operation_catalogue_nn as catalogue
import pytest
from layer_catalogue import Random
from needed import needed

from receptive_field.frameworks.keras import objects
from receptive_field.frameworks.keras.write import write

keras = needed("keras")


SOMETIMES = {"adaptive_average_pool", "adaptive_max_pool"}
"""Functions that Keras cannot call with some parameters of their examples."""


@pytest.mark.parametrize("name", sorted(catalogue.EXAMPLES.keys() - SOMETIMES))
def test_it_is_written_by_a_rule(name):
    example = catalogue.EXAMPLES[name](Random(0))
    x = keras.Input(batch_shape=(1, *example.shape), dtype=example.dtype)
    model = keras.Model(x, example.call(x))
    found = write(objects.called_model(model), name)
    assert (found.traced, found.opened) == ({}, {})
    assert found.outputs
