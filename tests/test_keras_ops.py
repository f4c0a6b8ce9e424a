"""Every function of ``keras.ops``, held against experiments and against its trace."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import operation_catalogue as catalogue
import pytest
import tables
from dependency import hold_lines, windows_of
from needed import needed
from random_search import seeds

import receptive_field as rf
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.frameworks.keras import objects
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.write import write
from receptive_field.frameworks.tensorflow import load as tensorflow

tf = needed("tensorflow")

SEEDS = (0, 3)
"""Those that decide what the table says."""

EXACT_TRACES_THAT_DIFFER = {
    "argpartition": "the trace follows the only axis of the result",
    "extract_sequences": "the trace follows another axis",
    "fold": "the trace follows another axis",
    "gcd": "in the trace, how often a loop runs depends on all positions",
    "image.scale_and_translate": "in the trace, it is a product of matrices",
    "istft": "in the trace, the zeros of its window count",
    "lcm": "in the trace, how often a loop runs depends on all positions",
    "linspace": "the trace joins both ends, also if it then takes the first only",
    "logspace": "the trace joins both ends, also if it then takes the first only",
    "stft": "in the trace, the zeros of its window count",
}


def runner(call: Any, images: Any) -> Any:
    """What runs a model on many images, each by itself.

    Some functions of Keras fail unless they run eagerly.
    """
    dtype = np.asarray(call(tf.constant(images[0]))).dtype
    # Of any number of images: for each other number, it would be traced again.
    any_number = tf.TensorSpec((None, *images.shape[1:]), images.dtype)
    run = tf.function(
        lambda images: tf.map_fn(call, images, fn_output_signature=dtype),
        input_signature=[any_number],
        autograph=False,
    )
    try:
        run(tf.constant(images[:1]))
    except (AttributeError, TypeError, ValueError, tf.errors.OpError):
        return lambda images: np.stack([call(image) for image in tf.constant(images)])
    return lambda images: run(tf.constant(images)).numpy()


def hold(name: str, example: Any) -> rf.ReceptiveField:
    """Holds what the output sees against runs of a model with changed lines."""
    model = catalogue.model_of(example)
    written(model)
    field = analysed(load(model))
    assert field is not None
    shape = tuple(model.inputs[0].shape)
    generator = np.random.default_rng(0)
    draws = [generator.normal(size=shape) for _ in range(2)]
    images = [np.zeros(shape), np.full(shape, 0.5), -np.ones(shape)]
    images += [draws[0], -draws[0]]
    far = 1000.0 * draws[1]
    changes = [far, -far, np.zeros(shape), np.ones(shape)]
    if name in catalogue.SEE_NAN:
        changes += [np.full(shape, math.nan), np.full(shape, math.inf)]
        changes += [np.full(shape, -math.inf)]
    if name in catalogue.SLOW:
        images, changes = [draws[0], -draws[0]], [far, -far]
    if name in catalogue.REGULAR:
        images = changes = [
            draw + catalogue.REGULAR[name] * np.eye(shape[-1]) for draw in draws
        ]

    images, changes = (
        tf.constant(np.stack(some), example.dtype).numpy() for some in (images, changes)
    )
    call = example.call if name in catalogue.FAIL_IN_MODELS else model
    run = runner(call, images)
    before = run(images)
    output = before[0].shape
    held = {axis for found in field.axes for axis in found.output_axes}
    # A feature is all of an axis that nothing of the input follows, but for the batch.
    channels = [axis for axis in range(len(output)) if axis not in held]
    channels = channels[1:] if channels[:1] == [0] and len(output) > 1 else channels
    windows, lines = windows_of(field, shape, output, channels), []
    for w in windows:
        places = [size for axis, size in enumerate(output) if axis not in channels]
        # One batch: each line, in each image, changed in each way.
        along = [n if axis == w.axis else 1 for axis, n in enumerate(shape)]
        at_line = np.eye(w.size, dtype=bool).reshape(w.size, 1, 1, *along)
        changed = np.where(at_line, changes, images[:, None])
        new = run(changed.reshape(-1, *shape))
        new = new.reshape(w.size, len(images), len(changes), *output)
        old = before[:, None]
        differs = (old != new) & ~((old != old) & (new != new))
        gone = (1, 2, *(3 + axis for axis in channels))
        seen = np.moveaxis(differs.any(gone), 0, -1)
        assert seen.shape == (*places, w.size)
        assert seen.any()
        lines.append(seen)
    hold_lines(field, windows, lines, windows)
    return field


def written(model: Any) -> Any:
    """The model as its rules write it: no operation may be traced."""
    found = write(objects.called_model(model), model.name)
    assert not found.opened
    assert not found.traced
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.EXAMPLES)
def test_operation(name, pytestconfig):
    fields = []
    for seed in SEEDS:
        fields.append(hold(name, catalogue.example_of(name, seed)))
    exact = all(field.exact for field in fields)
    found = tables.EXACT if exact else f"an upper bound: {catalogue.BOUNDS[name]}"
    tables.measured_operations[name] = found
    if not pytestconfig.option.write_tables:
        assert tables.rows("keras_ops.md")[name] == found


def said(field: rf.ReceptiveField) -> Any:
    """What a field says, without the name of its graph."""
    answer = field.to_dict()
    numbers = ("size", "stride", "padding", "aligned", "exact", "output_size")
    return [answer[name] for name in numbers]


def analysed(source: Any) -> rf.ReceptiveField | None:
    """What the output sees, even if it has no positions."""
    (output,) = source.outputs
    try:
        return rf.compute_receptive_field(source, output=output)
    except ReceptiveFieldError:
        return None


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("seed", seeds("operations", 1))
@pytest.mark.parametrize("name", catalogue.EXAMPLES)
def test_the_trace_knows_no_more(name, seed, sized):
    try:
        model = catalogue.model_of(catalogue.example_of(name, seed), sized)
    except (AttributeError, TypeError, ValueError):
        assert not sized
        return
    if not sized and name in catalogue.STATED:
        with pytest.raises(NoRuleError, match="is unknown"):
            written(model)
        return
    written(model)
    one = analysed(load(model))
    try:
        two = analysed(tensorflow.model_of(model))
    except ReceptiveFieldError:
        two = None
    if two is None or not two.exact or name in EXACT_TRACES_THAT_DIFFER:
        return
    assert one is not None
    assert said(one) == said(two)


def test_no_function_is_left_out(pytestconfig):
    functions = set(catalogue.functions())
    assert functions <= {*catalogue.EXAMPLES, *catalogue.REASONS}
    if pytestconfig.option.write_tables:
        return
    rows = tables.rows("keras_ops.md")
    assert functions <= set(rows)
    assert "not measured" not in rows.values()
    for name, reason in catalogue.REASONS.items():
        assert rows[name] == reason
