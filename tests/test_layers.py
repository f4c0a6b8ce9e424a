"""Every class of ``keras.layers``, held against measurement."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from dependency import Trace, hold

import receptive_field as rf
from receptive_field.api import Options, Question
from receptive_field.measurement import Experiment
from receptive_field.sources import keras_models, load

pytest.importorskip("tensorflow")
import layer_catalogue as catalogue

SEEDS = range(4)


def measured(model, output=None):
    """All that the experiment sees: output positions, then input positions."""
    source = load(model)
    question = Question.ask(source, None, [output], Options())
    (tensor,) = question.outputs.values()
    experiment = Experiment(source, question, [tensor])
    (shape,) = experiment.output_shapes
    truth = np.zeros((*shape[:-1], *experiment.sizes), dtype=bool)
    for position in itertools.product(*map(range, experiment.sizes)):
        for (change,) in experiment.changes(position):
            truth[(..., *position)] |= change.any(-1)
    return truth, question.spatial


def traced(model, output=None):
    trace = keras_models.trace(model)
    names = trace.outputs if output is None else trace.layers
    name = names[output] if output else next(iter(names.values()))
    tensors = map(
        trace.graph.get_tensor_by_name, (next(iter(trace.inputs.values())), name)
    )
    return Trace(trace.graph, *tensors)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.EXAMPLES)
@pytest.mark.parametrize("seed", SEEDS)
def test_layer(name, seed):
    model = catalogue.model_of(name, seed)
    truth, axes = measured(model)
    field = hold(traced(model), truth, axes)
    assert isinstance(field, rf.ReceptiveField)
