"""Options of layers that random examples rarely draw, held against experiments."""

import itertools

import pytest
from keras_answers import all_said
from layer_catalogue import Example
from needed import needed
from test_keras_ops import hold
from test_keras_wing import hold as hold_against_trace
from test_keras_wing import written

import receptive_field as rf

keras = needed("keras")
layers = keras.layers

IMAGE = (13, 9, 2)


def resizes():
    for option, (height, width), kind in itertools.product(
        ("crop_to_aspect_ratio", "pad_to_aspect_ratio"),
        ((5, 9), (20, 5)),
        ("nearest", "bilinear"),
    ):
        yield layers.Resizing(height, width, kind, **{option: True}), IMAGE
    for kind, smooth in itertools.product(("area", "bicubic"), (False, True)):
        yield layers.Resizing(7, 12, kind, antialias=smooth), IMAGE
    for height, width in ((20, 5), (6, 30), (6, 4)):
        yield layers.CenterCrop(height, width), IMAGE
    for kind in ("nearest", "bilinear", "bicubic"):
        yield layers.UpSampling2D((2, 3), interpolation=kind), IMAGE


def spectra():
    # The layer computes with a kernel, whose numbers are taken not to be zero.
    numbers = {"window": "hamming", "frame_length": 8, "frame_step": 4, "fft_length": 8}
    modes = ("log", "magnitude", "psd", "real", "angle", "stft")
    for mode, expands in itertools.product(modes, (False, True)):
        layer = layers.STFTSpectrogram(mode, expand_dims=expands, **numbers)
        yield layer, (40, 1)
    numbers = {"sequence_length": 10, "sequence_stride": 5, "fft_length": 12}
    for window, decibels in itertools.product(("hann", "hamming", None), (False, True)):
        options = {"window": window, "power_to_db": decibels, "num_mel_bins": 4}
        yield layers.MelSpectrogram(**numbers, **options), (40,)


def bins():
    for mode in ("int", "one_hot", "multi_hot", "count"):
        layer = layers.Discretization(bin_boundaries=[0.0, 0.5], output_mode=mode)
        yield layer, (6, 1) if mode == "one_hot" else IMAGE


class Attended:
    """An attention layer, called with an input and a map that is made of it."""

    def __init__(self, layer, **options):
        self.layer, self.options = layer, options

    def __call__(self, x):
        kind = layers.Conv1D if len(x.shape) == 3 else layers.Conv2D
        y = kind(x.shape[-1], 3, padding="same")(x)
        return self.layer(x, y, **self.options)

    def __repr__(self):
        return f"{self.layer} {self.options}"


class Listed(Attended):
    def __call__(self, x):
        y = layers.Conv1D(x.shape[-1], 3, padding="same")(x)
        return self.layer([x, y], **self.options)


def attentions():
    for scaled, causal in itertools.product((False, True), (False, True)):
        call = {"use_causal_mask": causal}
        for score in ("dot", "concat"):
            layer = layers.Attention(use_scale=scaled, score_mode=score)
            yield Listed(layer, **call), (7, 4)
        yield Listed(layers.AdditiveAttention(use_scale=scaled), **call), (7, 4)
    for axes in (None, (1,), (2,), (1, 2)):
        yield Attended(layers.MultiHeadAttention(2, 3, attention_axes=axes)), (5, 4, 4)
    yield Attended(layers.MultiHeadAttention(2, 3), use_causal_mask=True), (7, 4)
    for options in ({"value_dim": 5}, {"output_shape": 6}, {"use_bias": False}):
        yield Attended(layers.MultiHeadAttention(2, 3, **options)), (7, 4)
        layer = layers.GroupQueryAttention(3, 4, 2, use_bias="use_bias" not in options)
        yield Attended(layer, use_causal_mask=True), (7, 4)


def products():
    for axes in (1, 2, (1, 2), (2, 1), -1):
        for normalize in (False, True):
            yield Listed(layers.Dot(axes, normalize=normalize)), (4, 4)


@pytest.mark.slow
@pytest.mark.parametrize("cases", [resizes, spectra, bins, attentions, products])
def test_options(cases, tmp_path):
    """A file says what the object says, and the object what changes its output."""
    for layer, shape in cases():
        image = keras.Input(shape, batch_size=1)
        model = keras.Model(image, layer(image))
        path = tmp_path / "model.json"
        path.write_text(model.to_json())
        assert all_said(path) == all_said(model)
        hold("", Example(shape, layer, "float32"))


CHANNELS_FIRST = {"data_format": "channels_first"}


def formats():
    """Layers whose channels come first: such convolutions do not run on every CPU."""
    first, image, sound = CHANNELS_FIRST, (2, 13, 9), (2, 13)
    for padding in ("same", "valid"):
        own = {"padding": padding, **first}
        yield layers.Conv2D(4, (3, 2), (2, 1), activation="relu", **own), image
        yield layers.DepthwiseConv2D((3, 2), 2, depth_multiplier=2, **own), image
        yield layers.SeparableConv2D(5, (3, 2), **own), image
        yield layers.MaxPooling2D((3, 2), (1, 2), **own), image
        yield layers.Conv2DTranspose(3, (4, 3), 2, output_padding=1, **own), image
        yield layers.Conv1DTranspose(3, 3, 2, **own), sound
        yield layers.AveragePooling1D(3, **own), sound
        yield layers.Conv3D(4, (3, 2, 1), (1, 2, 1), **own), (2, 7, 5, 4)
    yield layers.UpSampling2D((2, 3), interpolation="bilinear", **first), image
    yield layers.ZeroPadding2D(((1, 2), (0, 3)), **first), image
    yield layers.Cropping2D(((1, 2), (0, 3)), **first), image
    yield layers.Resizing(7, 5, crop_to_aspect_ratio=True, **first), image
    yield layers.GlobalMaxPooling2D(keepdims=True, **first), image
    yield layers.Flatten(**first), image


def normalisations():
    plain = {"center": False, "scale": False}
    yield layers.BatchNormalization(1, **plain), IMAGE
    yield layers.GroupNormalization(13, 1, **plain), IMAGE
    for axis in (1, [2, 1], [-1]):
        yield layers.LayerNormalization(axis, **plain), IMAGE
    for axis in (None, 1, (1, 3)):
        for invert in (False, True):
            numbers = {"mean": 1.0, "variance": 2.0, "invert": invert}
            yield layers.Normalization(axis, **numbers), IMAGE


class Beside(Attended):
    """A layer, called with a sequence and with a map of another rank."""

    def __call__(self, x):
        y = layers.GlobalMaxPooling1D()(layers.Conv1D(x.shape[-1], 3)(x))
        return self.layer([y, x] if self.options["first"] else [x, y])


def ranks():
    for first in (False, True):
        yield Beside(layers.Add(), first=first), (7, 4)
        yield Beside(layers.Dot(-1), first=first), (7, 4)
    yield Beside(layers.Dot((1, 1)), first=False), (4, 4)


def bands():
    """Steps that are near, and gates."""
    for options in ({"sliding_window": 2}, {"use_gate": True}):
        yield Attended(layers.MultiHeadAttention(2, 3, **options)), (7, 4)
        attention = layers.GroupQueryAttention(3, 4, 2, **options)
        yield Attended(attention, use_causal_mask=True), (7, 4)


class WithState(Attended):
    """A recurrent layer whose first state is a step of the input."""

    def __call__(self, x):
        return self.layer(x, initial_state=x[:, 2])


def loops():
    steps = (6, 2)
    yield layers.GRU(2, reset_after=False, return_sequences=True), steps
    yield WithState(layers.GRU(2, return_sequences=True)), steps
    for mode in (None, "concat"):
        yield layers.Bidirectional(layers.LSTM(2), merge_mode=mode), steps


def plain():
    for limits in ((6.0, 0.0, 0.2), (3.0, 0.1, 0.2), (None, 0.1, 0.0)):
        yield layers.ReLU(*limits), IMAGE
    yield layers.ELU(0.5), IMAGE
    yield layers.Dense(3, use_bias=False, activation="gelu"), IMAGE
    yield layers.Cropping2D(2), IMAGE
    yield lambda x: layers.ReLU()(x[..., 2:, 0]), IMAGE


@pytest.mark.parametrize("cases", [formats, normalisations, ranks, bands, loops, plain])
def test_options_against_traces(cases, tmp_path):
    """A file and the object say what the trace says."""
    for layer, shape in cases():
        image = keras.Input(shape, batch_size=1)
        model = keras.Model(image, layer(image))
        path = tmp_path / "model.json"
        path.write_text(model.to_json())
        assert all_said(path) == all_said(written(model))
        hold_against_trace(model)


def test_a_causal_convolution_whose_channels_come_first():
    """A kernel of 3 with dilation 2 sees 5 steps, of which the last is its own."""
    sound = keras.Input((2, 13))
    layer = layers.Conv1D(4, 3, dilation_rate=2, padding="causal", **CHANNELS_FIRST)
    field = rf.compute_receptive_field(keras.Model(sound, layer(sound)))
    assert field.source.way == "layers"
    assert (field.size, field.stride, field.padding) == (5, 1, 4)
