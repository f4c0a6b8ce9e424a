"""Keras models held against measurement, at every layer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from dependency import Trace, hold, hold_lines, windows_of

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow import keras_models
from receptive_field.questions.experiment import TRIALS, NetworkExperiment, Trial
from receptive_field.questions.question import Options, Question


def hold_output(model: Any) -> rf.ReceptiveField:
    """Holds what the output sees against what each position of the input changes.

    Both passes must give the same, but for bounds, of which one may be tighter.
    """
    traced = keras_models.trace(model)
    source = load(traced.graph)
    (start,), (end,) = traced.inputs.values(), traced.outputs.values()
    question = Question.ask(source, start, [end], Options())
    experiment = NetworkExperiment(
        source, question, list((question.outputs or {}).values())
    )
    (shape,) = experiment.output_shapes
    # The last axis of what is flattened, say, holds positions, too.
    held = [axis.output_axis for axis in question.answer().feature_axes]
    channels = [] if len(shape) - 1 in held else [-1]
    truth = np.zeros((*shape[: len(shape) - len(channels)], *experiment.sizes), bool)
    for position in itertools.product(*map(range, experiment.sizes)):
        for (change,) in experiment.changes(position):
            truth[(..., *position)] |= change.any(tuple(channels))
    trace = Trace(traced.graph, *map(traced.graph.get_tensor_by_name, (start, end)))
    field = hold(trace, truth, question.spatial, channels)
    (forward,) = rf.compute_receptive_fields(
        source, input=start, outputs=[end]
    ).values()
    assert forward.exact == field.exact
    assert forward.axes == field.axes or not field.exact
    return field


def hold_layers(
    model: Any,
    layers: Sequence[str] | None = None,
    resolution: Sequence[int] | None = None,
    trials: Sequence[Trial] = TRIALS,
    **options: Any,
) -> dict[str, rf.ReceptiveField]:
    """Holds what layers see against what each line of the input changes.

    Args:
      model: a Keras model.
      layers: names of layers; all that have features if None.
      resolution: the input's size, if the model leaves it open.
      trials: how the input is disturbed.
      options: more options of `compute_receptive_fields`.

    Returns:
      The receptive fields of the layers that were held.
    """
    source = load(model)
    fields = rf.compute_receptive_fields(source, input_resolution=resolution, **options)
    names = list(fields) if layers is None else list(layers)
    assert layers or not fields.errors
    run = source.to_run()
    question = Question.ask(run, None, names, Options(resolution))
    tensors = [(question.outputs or {})[name] for name in names]
    experiment = NetworkExperiment(run, question, tensors, trials)
    image_shape = experiment.image_shape
    lines = [
        [np.zeros((*shape[:-1], size), dtype=bool) for size in experiment.sizes]
        for shape in experiment.output_shapes
    ]
    for axis, size in enumerate(experiment.sizes):
        for line in range(size):
            probe = (*[slice(None)] * axis, line)
            for changes in experiment.changes(probe):
                for seen, change in zip(lines, changes, strict=True):
                    seen[axis][..., line] |= change.any(-1)
    held = {}
    for name, seen, shape in zip(names, lines, experiment.output_shapes, strict=True):
        assert all(line.any() for line in seen)
        field = fields[name]
        windows = windows_of(field, image_shape, shape)
        by_axis = dict(zip(question.spatial, seen, strict=True))
        hold_lines(field, windows, [by_axis[w.axis] for w in windows], windows)
        held[name] = field
    return held
