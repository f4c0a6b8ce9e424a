"""Masks of time steps, which Keras carries beside tensors."""

import json
import random

import layer_catalogue as catalogue
import numpy as np
import pytest
from keras_answers import said
from needed import needed
from random_search import seeds

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.frameworks.keras import objects
from receptive_field.frameworks.keras.configs import called_model
from receptive_field.frameworks.keras.layers import LAYERS
from receptive_field.frameworks.keras.load import model_from
from receptive_field.frameworks.keras.write import write
from receptive_field.frameworks.tensorflow import load as tensorflow

keras, tf = needed("keras"), needed("tensorflow")
layers, ops = keras.layers, keras.ops

# Keras says so of each layer that stops a mask.
pytestmark = pytest.mark.filterwarnings("ignore:.*with a mask attached to it")

STEPS, CHANNELS = 6, 4


class Shown(layers.Layer):
    """Returns the mask of its input, so that one sees where it was computed from."""

    def call(self, x, mask=None):
        shown = ops.zeros_like(x) if mask is None else ops.expand_dims(mask, -1)
        return ops.cast(shown, "float32")


class Keeping(layers.Layer):
    """Passes the mask on, as most layers of Keras do."""

    def __init__(self, **options):
        super().__init__(**options)
        self.supports_masking = True

    def call(self, x):
        return 2.0 * x


class Dropping(layers.Layer):
    """Passes no mask on."""

    def call(self, x):
        return 2.0 * x


class Shifted(layers.Layer):
    """Says itself how its mask is computed: each step has that of the step before."""

    def call(self, x):
        return 2.0 * x

    def compute_mask(self, x, mask=None):
        if mask is None:
            return ops.any(x > 1.0, axis=-1)
        return ops.concatenate([mask[:, :1], mask[:, :-1]], axis=1)


class OfTensorFlow(Shifted):
    """The same, of a layer that cannot be called with symbolic tensors."""

    def call(self, x):
        return tf.multiply(2.0, x)


class Setting(layers.Layer):
    """Gives its output a mask without a method of its own."""

    def call(self, x):
        y = 2.0 * x
        y._keras_mask = ops.any(x > 1.0, axis=-1)
        return y


class Block(layers.Layer):
    """Calls layers that read and pass on masks."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = layers.Dense(CHANNELS)
        self.attention = layers.Attention()

    def call(self, x):
        y = self.inner(x)
        return self.attention([y, x])


CUSTOM = (Keeping, Dropping, Shifted, OfTensorFlow, Setting, Block)


def answers(model):
    fields = rf.compute_receptive_fields(model)
    assert not fields.errors
    return {name: json.dumps(said(field)) for name, field in fields.items()}


EXACT = 5
"""So many parts of what is said of a layer end with whether that is exact."""

LOCAL = 6
"""The number of the part with the size of the local receptive field."""


def hold(model, custom=False):
    """Holds a model against its trace, and its config against it."""
    found = load(model)
    assert found.traced is not None
    ours = answers(found)
    theirs = answers(tensorflow.model_of(model))
    single = {name for name in ours if ":" not in name and f"{name}:2" not in ours}
    # A trace unrolls a layer that is distributed over time, and knows less of its axes.
    inside = model._flatten_layers()
    count = 1 if any(isinstance(x, layers.TimeDistributed) for x in inside) else None
    joins = any(isinstance(x, layers.Concatenate) for x in inside)
    for name in single:
        one, two = json.loads(ours[name]), json.loads(theirs[name])
        *_, is_exact = two[:EXACT]
        if joins and one[LOCAL] is None:
            # Joined with an input without a mask, the mask is true everywhere. A trace
            # computes it from the input all the same.
            two[LOCAL] = None
        if is_exact:
            assert one[:count] == two[:count]
        else:  # The trace may say less of alignment, or of what an axis holds.
            assert one[0] == two[0]
    if not custom:
        config = json.loads(model.to_json())
        read = model_from("model", write(called_model(config), "model"), config)
        assert answers(read) == ours


STEP_KINDS = catalogue.words(
    "attention custom each explicit heads nested plain plain recurrent two_ways window"
)
JOINTS = catalogue.words(
    "Add Attention Average Concatenate Maximum Minimum Multiply Subtract"
)


class Models:
    """Random models of sequences in which steps are masked."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.custom = False
        self.floats = False

    def model(self):
        if self.random.random() < 0.5 and not self.floats:
            given = keras.Input((STEPS,), dtype="int32")
            start = layers.Embedding(9, CHANNELS, mask_zero=True)(given)
        else:
            given = keras.Input((STEPS, CHANNELS))
            start = layers.Conv1D(CHANNELS, 3, padding="same")(given)
            start = layers.Masking(0.5)(start)
        x = self.steps(start, self.random.randint(1, 3))
        if self.random.random() < 0.5:
            x = self.joined(x, self.steps(start, self.random.randint(0, 2)))
            x = self.steps(x, self.random.randint(0, 2))
        return keras.Model(given, self.ended(x))

    def steps(self, x, count):
        for _ in range(count):
            x = self.step(x)
        return x

    def step(self, x):
        choice = self.random.choice
        kind = choice(STEP_KINDS)
        if kind == "plain":
            plain = (
                layers.Dense(CHANNELS),
                layers.LayerNormalization(),
                layers.BatchNormalization(),
                layers.Dropout(0.5),
                layers.ReLU(),
                layers.UnitNormalization(),
            )
            return choice(plain)(x)
        if kind == "window":
            return layers.Conv1D(CHANNELS, 3, padding="same")(x)
        recurrent = choice((layers.LSTM, layers.GRU, layers.SimpleRNN))
        options = {"return_sequences": True, "unroll": choice((True, False))}
        if kind == "recurrent":
            back = choice((True, False))
            zero = choice((True, False))
            return recurrent(
                CHANNELS, go_backwards=back, zero_output_for_mask=zero, **options
            )(x)
        if kind == "two_ways":
            mode = choice(("sum", "mul", "ave"))
            inner = recurrent(CHANNELS, **options)
            return layers.Bidirectional(inner, merge_mode=mode)(x)
        if kind == "attention":
            return layers.Attention()([x, x], use_causal_mask=choice((True, False)))
        if kind == "heads":
            return layers.MultiHeadAttention(2, 2)(x, x)
        if kind == "each":
            return layers.TimeDistributed(layers.Dense(CHANNELS))(x)
        if kind == "explicit":
            wide = layers.Conv1D(1, 3, padding="same")(x)
            mask = ops.any(ops.greater(wide, 0.1), axis=-1)
            layer = choice(
                (layers.TimeDistributed(layers.ReLU()), recurrent(CHANNELS, **options))
            )
            return layer(x, mask=mask)
        if kind == "nested":
            start = keras.Input((STEPS, CHANNELS))
            return keras.Model(start, self.steps(start, 1))(x)
        self.custom = True
        return choice(CUSTOM)()(x)

    def joined(self, one, two):
        kind = self.random.choice(JOINTS)
        y = getattr(layers, kind)()([one, two])
        return layers.Dense(CHANNELS)(y)

    def ended(self, x):
        # No experiment meets the one number that is masked.
        shown = () if self.floats else ("shown",)
        kind = self.random.choice((*shown, "pooled", "last", "steps"))
        if kind == "pooled":
            return layers.GlobalAveragePooling1D()(x)
        if kind == "last":
            return layers.LSTM(CHANNELS)(x)
        if kind == "shown":
            self.custom = True
            return Shown()(x)
        return x


CLASSES = {*catalogue.EXAMPLES} & {*LAYERS} - {"Equalization"}
"""Equalization cannot be called with symbolic tensors."""

FAIL = {"Embedding", "ReversibleEmbedding", "Softmax"}
"""Classes that take no floats, or no mask of their own input."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLASSES - FAIL))
def test_a_layer_reads_and_passes_on_masks(name):
    """As Keras does, when it runs the layer on a tensor with a mask."""
    keras.utils.set_random_seed(0)
    example = catalogue.EXAMPLES[name](catalogue.Random(0))
    given = keras.Input(batch_shape=(1, *example.shape))
    model = keras.Model(given, example.call(layers.Masking(0.25)(given)))
    found = write(objects.called_model(model), "model")
    ran = model(np.full((1, *example.shape), 0.5, "float32"), training=False)
    assert [
        found.writer.masks.peek(tensor) is not None for tensor in found.outputs.values()
    ] == [get_mask(tensor) is not None for tensor in keras.tree.flatten(ran)]
    if name != "MelSpectrogram":  # See `MORE_EXACT` in test_keras_wing.py.
        hold(model, custom="Pipeline" in name)


def get_mask(tensor):
    return getattr(tensor, "_keras_mask", None)


@pytest.mark.parametrize("kind", ["Embedding", "ReversibleEmbedding"])
def test_tokens_that_are_zero_are_masked(kind, tmp_path):
    """The file says what the object says, and the mask sees one token."""
    tokens = keras.Input((STEPS,), dtype="int32")
    x = getattr(layers, kind)(9, CHANNELS, mask_zero=True)(tokens)
    model = keras.Model(tokens, Shown()(x))
    hold(model, custom=True)
    field = rf.compute_receptive_field(model)
    assert (field.size.tolist(), field.exact) == ([1], True)
    pooled = keras.Model(tokens, layers.LSTM(3)(x))
    path = tmp_path / "model.keras"
    pooled.save(path)
    assert answers(path) == answers(pooled)


def test_a_function_is_not_taken_for_a_convolution():
    """Keras converts the mask of queries with a function of `keras.ops`."""
    tokens = keras.Input((STEPS,), dtype="int32")
    x = layers.Embedding(9, CHANNELS, mask_zero=True)(tokens)
    pooled = layers.GlobalAveragePooling1D()(layers.Attention()([x, x]))
    model = keras.Model(tokens, pooled)
    assert "ConvertToTensor" in model.to_json()
    hold(model)


def test_a_mask_leads_to_what_it_was_computed_from(tmp_path):
    """A step sees its own pixel, and the three pixels of which its mask is made."""
    steps = keras.Input((STEPS, CHANNELS))
    wide = layers.Conv1D(1, 3, padding="same")(steps)
    mask = ops.any(ops.greater(wide, 0.1), axis=-1)
    x = layers.TimeDistributed(layers.ReLU())(steps, mask=mask)
    y = layers.Multiply(name="both")([x, x])
    model = keras.Model(steps, [x, y])
    path = tmp_path / "model.keras"
    model.save(path)
    for thing in (model, path):
        one, two = (
            rf.compute_receptive_field(thing, output=name)
            for name in (model.layers[-2].name, "both")
        )
        assert (one.size.tolist(), two.size.tolist()) == ([1], [3])
    measured = rf.measure_receptive_field(model, output="both", feature=[3])
    assert measured.region.tolist() == [[2, 4]]


@pytest.mark.parametrize("kind", CUSTOM)
def test_a_custom_layer_says_what_becomes_of_a_mask(kind):
    steps = keras.Input((STEPS, CHANNELS))
    x = layers.Masking(0.5)(layers.Conv1D(CHANNELS, 3, padding="same")(steps))
    model = keras.Model(steps, Shown(name="shown")(kind(name="mine")(x)))
    if kind is Dropping:
        with pytest.raises(rf.ReceptiveFieldError, match="does not depend"):
            rf.compute_receptive_field(model)
        return
    field = rf.compute_receptive_field(model)
    assert ("mine" in field.source.opened) == (kind not in (OfTensorFlow, Setting))
    hold(model, custom=True)
    shift = kind in (Shifted, OfTensorFlow)
    assert field.compute_input_region([3]).tolist() == [[2 - shift, 4 - shift]]


def test_a_mask_that_another_layer_may_remove_is_left_to_the_trace(tmp_path):
    tokens = keras.Input((STEPS,), dtype="int32")
    x = layers.Embedding(9, CHANNELS, mask_zero=True)(tokens)
    apart = [layers.MultiHeadAttention(2, 2)(x, x), layers.LSTM(3)(x)]
    model = keras.Model(tokens, apart)
    source = rf.compute_receptive_fields(model)[apart[1]._keras_history[0].name].source
    assert source.way == "trace"
    assert "removes the mask" in str(source)
    after = layers.Add()([x, apart[0]])  # Here, the mask is gone in any case.
    hold(keras.Model(tokens, after))


def wide_mask(x):
    """Where five steps decide which step is real."""
    wide = layers.Conv1D(1, 5, padding="same")(x)
    return ops.any(ops.greater(wide, 0.1), axis=-1)


class Same(layers.Layer):
    """Returns its input, to which Keras gives the mask that it is called with."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True

    def call(self, x, mask=None):
        return x


@pytest.mark.parametrize("kind", ["model", "same", "cast", "copy"])
def test_a_mask_of_a_tensor_that_others_read_is_left_to_the_trace(kind):
    """A model or function that sees five steps through a mask, by what Keras does."""
    steps = keras.Input((STEPS, CHANNELS))
    x = layers.Dense(CHANNELS)(steps)
    other = []
    if kind == "model":
        other = [keras.Sequential([layers.Dense(3)])(x, mask=wide_mask(steps))]
    elif kind == "same":
        other = [Same()(x, mask=wide_mask(steps))]
    else:
        rows = layers.TimeDistributed(layers.ReLU())(steps, mask=wide_mask(steps))
        convert = ops.cast if kind == "cast" else ops.convert_to_tensor
        x = convert(rows, dtype="float32")
    last = layers.Multiply(name="last")([x, x])
    field = rf.compute_receptive_field(
        keras.Model(steps, [last, *other]), output="last"
    )
    assert field.source.way == "trace"
    assert field.size.tolist() == [5]


def test_a_joined_mask_of_which_a_part_is_always_true(tmp_path):
    steps = keras.Input((STEPS, CHANNELS))
    rows = layers.TimeDistributed(layers.ReLU())(steps, mask=wide_mask(steps))
    both = layers.Concatenate()([rows, steps])
    model = keras.Model(steps, layers.Multiply()([both, both]))
    assert rf.compute_receptive_field(model).size.tolist() == [1]


def test_a_stated_rule_says_nothing_of_masks(tmp_path):
    steps = keras.Input((STEPS, CHANNELS))
    model = keras.Model(steps, Keeping(name="mine")(layers.Masking()(steps)))
    path = tmp_path / "model.json"
    path.write_text(model.to_json())
    with pytest.raises(rf.ReceptiveFieldError, match=r"'mine' does not say.* mask"):
        rf.compute_receptive_field(path, overrides={"mine": "elementwise"})


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 3, *seeds("measured masked models", 2)])
def test_random_models_are_what_is_measured(seed):
    keras.utils.set_random_seed(seed)
    models = Models(seed)
    models.floats = True
    model = models.model()
    (name,) = load(model).outputs
    field = rf.compute_receptive_field(model, output=name)
    middle = [axis.size // 2 for axis in field.feature_axes]
    real = rf.measure_receptive_field(model, output=name, feature=middle).region
    region = field.compute_input_region(middle, clip=True)
    assert (region[:, 0] <= real[:, 0]).all()
    assert (real[:, 1] <= region[:, 1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [*range(4), *seeds("masked models", 8)])
def test_random_models(seed):
    keras.utils.set_random_seed(seed)
    models = Models(seed)
    model = models.model()
    if load(model).traced is not None:  # Some masks are left to the trace.
        hold(model, models.custom)


def test_masks_of_earlier_releases_are_left_to_the_trace(monkeypatch):
    """Their layers read and pass on masks in other ways."""
    given = keras.Input((STEPS, CHANNELS))
    masked = layers.Masking()(given)
    model = keras.Model(given, layers.Attention()([masked, masked]))
    assert str(load(model).graph.source) == "the layers of the model, by their rules"
    monkeypatch.setattr(keras, "__version__", "3.14.1")
    assert "masks time steps" in str(load(model).graph.source)
