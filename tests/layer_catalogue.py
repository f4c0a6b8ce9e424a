"""Every class of ``keras.layers``: models of it with random parameters, or a reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from needed import needed

keras = needed("keras")
layers = keras.layers


def words(text: str) -> list[str]:
    return text.split()


class Random:
    """Parameters at random, small enough for small inputs."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def one(self, low: int = 1, high: int = 3) -> int:
        return int(self.generator.integers(low, high + 1))

    def some(self, count: int, low: int = 1, high: int = 3) -> Any:
        values = tuple(self.one(low, high) for _ in range(count))
        return values[0] if count == 1 else values

    def pairs(self, count: int, low: int = 0, high: int = 2) -> Any:
        values = tuple((self.one(low, high), self.one(low, high)) for _ in range(count))
        return values[0] if count == 1 else values

    def of(self, *choices: Any) -> Any:
        return choices[self.one(0, len(choices) - 1)]

    def shape(self, rank: int, channels: int = 2) -> tuple[int, ...]:
        least = {1: 8, 2: 6, 3: 4}[rank]
        return (*(self.one(least, least + 3) for _ in range(rank)), channels)

    def strided(self, rank: int, same_strides: bool = False) -> dict[str, Any]:
        """Kernel, strides (or dilation) and padding of a convolution."""
        strides = (self.one(),) * rank if same_strides else self.some(rank)
        strides = strides[0] if rank == 1 and same_strides else strides
        spread = {"strides": strides}
        if self.one(0, 2) == 0 and rank < 3:
            spread = {"dilation_rate": self.some(rank, 1, 2)}
        return {
            "kernel_size": self.some(rank),
            "padding": self.of("same", "valid"),
            **spread,
        }


class _Only(layers.Layer):  # type: ignore[misc]
    """Calls a layer that cannot be a part of a functional model by itself."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def call(self, x: Any) -> Any:
        return self.layer(x)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


class Example(NamedTuple):
    """An input, and what a model makes of it."""

    shape: tuple[int, ...]
    call: Callable[[Any], Any]
    dtype: str = "float32"


Make = Callable[[Random], Example]


def _convolution(name: str, rank: int, **options: Any) -> Make:
    def make(random: Random) -> Example:
        depthwise = "Depthwise" in name or "Separable" in name
        given = random.strided(rank, same_strides=depthwise)
        if rank == 1 and not depthwise:
            given["padding"] = random.of("same", "valid", "causal")
        if rank == 3:
            # In double precision, a kernel shorter than its stride begins elsewhere.
            pairs = zip(given["kernel_size"], given["strides"], strict=True)
            given["kernel_size"] = tuple(map(max, pairs))
        filters = {} if "Depthwise" in name else {"filters": 2}
        layer = getattr(layers, name)(**filters, **given, **options)
        return Example(random.shape(rank), layer)

    return make


def _transposed(name: str, rank: int) -> Make:
    def make(random: Random) -> Example:
        layer = getattr(layers, name)(
            2,
            random.some(rank),
            strides=random.some(rank),
            padding=random.of("same", "valid"),
        )
        return Example(random.shape(rank), layer)

    return make


def _pooling(name: str, rank: int) -> Make:
    def make(random: Random) -> Example:
        layer = getattr(layers, name)(
            random.some(rank), random.some(rank), padding=random.of("same", "valid")
        )
        return Example(random.shape(rank), layer)

    return make


def _plain(rank: int, make_layer: Callable[[Random], Any], channels: int = 2) -> Make:
    return lambda random: Example(random.shape(rank, channels), make_layer(random))


def _layer(name: str, random: Random, **options: Any) -> Any:
    return getattr(layers, name)(**options)


def _named(name: str, rank: int = 2, **options: Any) -> Make:
    return _plain(rank, partial(_layer, name, **options))


def _merged(name: str) -> Make:
    """Two paths that see different parts meet."""

    def make(random: Random) -> Example:
        merge = getattr(layers, name)()
        one = layers.Conv2D(2, random.some(2), padding="same")
        two = layers.Conv2D(2, random.some(2, 1, 5), padding="same")
        return Example(random.shape(2), lambda x: merge([one(x), two(x)]))

    return make


def _dot(random: Random) -> Example:
    layer = layers.Dot(axes=random.of(1, 2))
    one, two = (layers.Conv1D(3, random.one(), padding="same") for _ in range(2))
    return Example((random.one(5, 8), 2), lambda x: layer([one(x), two(x)]))


def _attention(name: str) -> Make:
    def make(random: Random) -> Example:
        options = {"use_scale": True} if name == "Attention" else {}
        layer = getattr(layers, name)(**options)
        key = layers.Conv1D(2, random.one(), padding="same")
        return Example((random.one(5, 8), 2), lambda x: layer([x, key(x)]))

    return make


def _multi_head(name: str, **heads: int) -> Make:
    def make(random: Random) -> Example:
        layer = getattr(layers, name)(**heads)
        return Example((random.one(5, 8), 4), lambda x: layer(x, x))

    return make


def _recurrent(name: str) -> Make:
    def make(random: Random) -> Example:
        layer = getattr(layers, name)(
            2,
            return_sequences=True,
            go_backwards=random.of(True, False),
            unroll=random.of(True, False),
        )
        return Example((random.one(4, 6), 2), layer)

    return make


def _cell(name: str) -> Make:
    return lambda random: Example(
        (random.one(4, 6), 2),
        layers.RNN(getattr(layers, name)(2), return_sequences=True),
    )


def _conv_lstm(rank: int) -> Make:
    def make(random: Random) -> Example:
        layer = getattr(layers, f"ConvLSTM{rank}D")(
            1, random.some(rank), padding="same", return_sequences=random.of(0, 1) == 1
        )
        return Example((3, *(random.one(3, 4) for _ in range(rank)), 1), layer)

    return make


def _adaptive(name: str, rank: int) -> Make:
    # To a size of one, Keras's own code fails.
    return _plain(rank, lambda random: getattr(layers, name)(random.some(rank, 2, 4)))


def _einsum(random: Random) -> Example:
    equation, shape = random.of(
        ("abcd,de->abce", (None, None, 3)),
        ("abcd,be->aecd", (3, None, 2)),
        ("abcd,bcd->ad", (2,)),
        ("...x,xy->...y", (None, None, 3)),
    )
    size = random.shape(2)
    layer = layers.EinsumDense(
        equation, [s or n for s, n in zip(shape, size, strict=False)]
    )
    return Example(size, layer)


def _tokens(make_layer: Callable[[Random], Any]) -> Make:
    return lambda random: Example(
        (random.one(4, 6),),
        lambda x: layers.Conv1D(2, 1)(make_layer(random)(x)),
        "int32",
    )


KERAS_VERSION = tuple(map(int, keras.__version__.split(".")[:2]))
INTERPOLATIONS = words("nearest bilinear bicubic lanczos3 lanczos5") + (
    ["area"] if KERAS_VERSION >= (3, 13) else []
)


def _resizing(random: Random) -> Example:
    shape = random.shape(2)
    interpolation = random.of(*INTERPOLATIONS)
    new = random.one(3, 12), random.one(3, 12)
    return Example(shape, layers.Resizing(*new, interpolation=interpolation))


def _spectrogram(random: Random) -> Example:
    length = random.one(3, 6)
    layer = layers.STFTSpectrogram(
        frame_length=length, frame_step=random.one(2, min(length, 4)), fft_length=8
    )
    return Example((random.one(20, 30), 2), layer)


def _reshape(random: Random) -> Example:
    shape, target = random.of(
        ((4, 6, 2), (8, 3, 2)),
        ((6, 4, 2), (24, 2)),
        ((6, 4, 2), (2, 3, 4, 2)),
        ((4, 4, 6), (4, 24)),
    )
    return Example(shape, layers.Reshape(target))


def _spectral(random: Random) -> Example:
    layer = layers.SpectralNormalization(layers.Conv2D(2, random.some(2)))
    return Example(random.shape(2), layer)


def _bidirectional(random: Random) -> Example:
    modes = "concat", "sum", "ave", "mul"
    layer = layers.Bidirectional(
        layers.LSTM(2, return_sequences=True), merge_mode=random.of(*modes)
    )
    return Example((random.one(4, 6), 2), layer)


def _time_distributed(random: Random) -> Example:
    layer = layers.TimeDistributed(layers.Conv1D(2, random.one(), padding="same"))
    return Example((3, random.one(5, 7), 2), layer)


def _by_rank(name: str, make: Callable[[str, int], Any]) -> dict[str, Any]:
    return {f"{name}{rank}D": make(f"{name}{rank}D", rank) for rank in (1, 2, 3)}


_ALL_ACTIVATIONS = words(
    "relu relu6 leaky_relu elu selu gelu silu sigmoid hard_sigmoid hard_silu tanh "
    "softplus softsign mish exponential linear celu glu hard_tanh hard_shrink "
    "log_sigmoid soft_shrink softmax sparse_plus squareplus tanh_shrink sparse_sigmoid "
    "log_softmax"
)
ACTIVATIONS = [n for n in _ALL_ACTIVATIONS if hasattr(keras.activations, n)]
"""Older versions have fewer."""

AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "AugMix": {},
    "CutMix": {},
    "MixUp": {},
    "RandAugment": {},
    "RandomBrightness": {"factor": 0.2},
    "RandomColorDegeneration": {"factor": 0.5},
    "RandomColorJitter": {"brightness_factor": 0.2},
    "RandomContrast": {"factor": 0.2},
    "RandomElasticTransform": {},
    "RandomErasing": {},
    "RandomFlip": {},
    "RandomGaussianBlur": {},
    "RandomGrayscale": {},
    "RandomHue": {"factor": 0.2},
    "RandomInvert": {},
    "RandomPerspective": {},
    "RandomPosterization": {"factor": 4},
    "RandomRotation": {"factor": 0.2},
    "RandomSaturation": {"factor": 0.5},
    "RandomSharpness": {"factor": 0.5},
    "RandomShear": {},
    "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.2},
}
"""What only does something in training."""

_ALL: dict[str, Make] = {
    "Activation": _plain(2, lambda r: layers.Activation(r.of(*ACTIVATIONS))),
    "ActivityRegularization": _named("ActivityRegularization", l1=0.1),
    **_by_rank("AdaptiveAveragePooling", _adaptive),
    **_by_rank("AdaptiveMaxPooling", _adaptive),
    **{
        name: _merged(name)
        for name in words("Add Average Concatenate Maximum Minimum Multiply Subtract")
    },
    "AdditiveAttention": _attention("AdditiveAttention"),
    "AlphaDropout": _named("AlphaDropout", rate=0.5),
    "Attention": _attention("Attention"),
    "AutoContrast": _named("AutoContrast", value_range=(0, 1)),
    **_by_rank("AveragePooling", _pooling),
    "BatchNormalization": _named("BatchNormalization"),
    "Bidirectional": _bidirectional,
    "CenterCrop": _plain(2, lambda r: layers.CenterCrop(r.one(2, 5), r.one(2, 5))),
    "ContrastLimitedAdaptiveHistogramEqualization": _plain(
        2,
        lambda r: layers.ContrastLimitedAdaptiveHistogramEqualization(
            (0, 1), 4.0, (2, 2)
        ),
        3,
    ),
    **_by_rank("Conv", _convolution),
    **{f"Conv{n}DTranspose": _transposed(f"Conv{n}DTranspose", n) for n in (1, 2, 3)},
    **{f"ConvLSTM{n}D": _conv_lstm(n) for n in (1, 2, 3)},
    "Cropping1D": _plain(1, lambda r: layers.Cropping1D(r.pairs(1))),
    "Cropping2D": _plain(2, lambda r: layers.Cropping2D(r.pairs(2))),
    "Cropping3D": _plain(3, lambda r: layers.Cropping3D(r.pairs(3, 0, 1))),
    "Dense": _plain(2, lambda r: layers.Dense(2)),
    "DepthwiseConv1D": _convolution("DepthwiseConv1D", 1),
    "DepthwiseConv2D": _convolution("DepthwiseConv2D", 2),
    "Discretization": _named("Discretization", bin_boundaries=[0.6, 1.0]),
    "Dot": _dot,
    "Dropout": _named("Dropout", rate=0.5),
    "ELU": _plain(2, lambda r: layers.ELU(r.of(1.0, 0.5))),
    "EinsumDense": _einsum,
    "Embedding": _tokens(lambda r: layers.Embedding(9, 2)),
    "Equalization": _plain(2, lambda r: _Only(layers.Equalization((0, 1))), 3),
    "Flatten": _named("Flatten"),
    "GRU": _recurrent("GRU"),
    "GRUCell": _cell("GRUCell"),
    "GaussianDropout": _named("GaussianDropout", rate=0.5),
    "GaussianNoise": _named("GaussianNoise", stddev=0.5),
    **_by_rank("GlobalAveragePooling", lambda name, rank: _named(name, rank)),
    **_by_rank("GlobalMaxPooling", lambda name, rank: _named(name, rank)),
    "GroupNormalization": _plain(
        2, lambda r: layers.GroupNormalization(r.of(1, 2, -1)), 4
    ),
    "GroupedQueryAttention": _multi_head(
        "GroupQueryAttention", head_dim=2, num_query_heads=2, num_key_value_heads=1
    ),
    "Identity": _named("Identity"),
    "LSTM": _recurrent("LSTM"),
    "LSTMCell": _cell("LSTMCell"),
    "Lambda": _plain(2, lambda r: layers.Lambda(lambda x: x[:, 1::2, ::-1])),
    "LayerNormalization": _plain(
        2, lambda r: layers.LayerNormalization(axis=r.of(-1, [1, 2], [1, 2, 3])), 3
    ),
    "LeakyReLU": _named("LeakyReLU"),
    "Masking": _plain(1, lambda r: layers.Masking()),
    **_by_rank("MaxPooling", _pooling),
    # With fewer frequencies a band would hold none of them, and show nothing.
    "MelSpectrogram": lambda r: Example(
        (r.one(20, 30),),
        layers.MelSpectrogram(
            fft_length=16, sequence_stride=r.one(3, 6), num_mel_bins=3, max_freq=4000
        ),
    ),
    "MultiHeadAttention": _multi_head("MultiHeadAttention", num_heads=2, key_dim=2),
    "Normalization": _named("Normalization", mean=[0.5, 1.0], variance=[2.0, 3.0]),
    "PReLU": _plain(2, lambda r: layers.PReLU(shared_axes=r.of(None, [1, 2]))),
    "Permute": _plain(2, lambda r: layers.Permute(r.of((2, 1, 3), (1, 2, 3)))),
    "Pipeline": _plain(2, lambda r: layers.Pipeline([layers.Rescaling(2.0)])),
    "RMSNormalization": _named("RMSNormalization"),
    "RNN": _cell("SimpleRNNCell"),
    **{
        name: _plain(2, partial(_layer, name, **options), channels=3)
        for name, options in AUGMENTATIONS.items()
    },
    "RandomCrop": _plain(2, lambda r: layers.RandomCrop(r.one(2, 5), r.one(2, 5))),
    "ReLU": _plain(
        2, lambda r: layers.ReLU(r.of(None, 6.0, 3.0), r.of(0.0, 0.1), r.of(0.0, 0.2))
    ),
    "RepeatVector": lambda r: Example(
        (r.one(4, 6), 2),
        lambda x: layers.RepeatVector(3)(layers.GlobalMaxPooling1D()(x)),
    ),
    "Rescaling": _named("Rescaling", scale=0.5),
    "Reshape": _reshape,
    "Resizing": _resizing,
    "ReversibleEmbedding": _tokens(lambda r: layers.ReversibleEmbedding(9, 2)),
    "STFTSpectrogram": _spectrogram,
    "SeparableConv1D": _convolution("SeparableConv1D", 1),
    "SeparableConv2D": _convolution("SeparableConv2D", 2),
    "SimpleRNN": _recurrent("SimpleRNN"),
    "SimpleRNNCell": _cell("SimpleRNNCell"),
    "Softmax": _plain(2, lambda r: layers.Softmax(axis=r.of(-1, 1, 2, (1, 2)))),
    "Solarization": _named("Solarization", value_range=(0, 1)),
    **_by_rank("SpatialDropout", lambda name, rank: _named(name, rank, rate=0.5)),
    "SpectralNormalization": _spectral,
    "StackedRNNCells": lambda r: Example(
        (r.one(4, 6), 2),
        layers.RNN(
            layers.StackedRNNCells([layers.GRUCell(2), layers.LSTMCell(2)]),
            return_sequences=True,
        ),
    ),
    "TimeDistributed": _time_distributed,
    "UnitNormalization": _plain(
        2, lambda r: layers.UnitNormalization(axis=r.of(-1, [1, 2])), 3
    ),
    "UpSampling1D": _plain(1, lambda r: layers.UpSampling1D(r.one())),
    "UpSampling2D": _plain(
        2,
        lambda r: layers.UpSampling2D(
            r.some(2),
            interpolation=r.of(
                "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"
            ),
        ),
    ),
    "UpSampling3D": _plain(3, lambda r: layers.UpSampling3D(r.some(3, 1, 2))),
    "Wrapper": _spectral,
    "ZeroPadding1D": _plain(1, lambda r: layers.ZeroPadding1D(r.pairs(1))),
    "ZeroPadding2D": _plain(2, lambda r: layers.ZeroPadding2D(r.pairs(2))),
    "ZeroPadding3D": _plain(3, lambda r: layers.ZeroPadding3D(r.pairs(3, 0, 1))),
}
_KNOWN = {thing.__name__ for thing in vars(layers).values() if isinstance(thing, type)}

EXAMPLES = {name: make for name, make in _ALL.items() if name in _KNOWN}
"""Class -> models of it that are analysed and measured; older versions have fewer."""

STEPS = "it treats all time steps alike"
WHOLE = "it sees a whole axis, but layers below it may skip an end"

BOUNDS: dict[str, str] = {
    **dict.fromkeys(
        words(
            "Bidirectional GRU GRUCell LSTM LSTMCell RNN SimpleRNN SimpleRNNCell "
            "StackedRNNCells"
        ),
        STEPS,
    ),
    "ContrastLimitedAdaptiveHistogramEqualization": "the pixels decide which "
    "entries of the tiles' histograms it reads",
    **{f"ConvLSTM{rank}D": STEPS for rank in (1, 2, 3)},
    **dict.fromkeys(words("AdditiveAttention Attention Dot MelSpectrogram"), WHOLE),
}
"""Class -> why its result may be larger than the truth."""

REASONS = {
    "CategoryEncoding": "takes a batch of single values, which have no positions",
    "FlaxLayer": "runs code of another framework, which leaves no TensorFlow graph",
    "HashedCrossing": "takes a batch of single values, which have no positions",
    "Hashing": "takes strings, which cannot change by a small amount",
    "InputLayer": "is the input itself",
    "InputSpec": "describes an input and is not a layer",
    "IntegerLookup": "looks values up in a table that is not part of the graph",
    "JaxLayer": "runs code of another framework, which leaves no TensorFlow graph",
    "Layer": "is the base class of the others",
    "MaxNumBoundingBoxes": "takes bounding boxes instead of images",
    "StringLookup": "takes strings, which cannot change by a small amount",
    "TFSMLayer": "wraps a SavedModel, which you can analyse itself",
    "TextVectorization": "takes strings, which cannot change by a small amount",
    "TorchModuleWrapper": "runs code of another framework, which leaves no TensorFlow "
    "graph",
}
"""Class -> why there is nothing to analyse, or to measure."""

NO_RULE = {
    "ContrastLimitedAdaptiveHistogramEqualization": "the pixels decide what it reads",
    "Lambda": "runs code of the user",
    "RandomCrop": "does different things at inference, depending on the version",
    "Wrapper": "leaves it to its subclasses what is called",
}
"""Class -> why a model with this layer cannot be read from its config."""


def from_config(name: str) -> str:
    """What docs/layers.md says of a class in a file that is read without Keras."""
    if name in REASONS:
        return ""
    return f"no: {NO_RULE[name]}" if name in NO_RULE else "yes"


def classes() -> dict[str, list[str]]:
    """The classes of ``keras.layers`` by their own names, with all names they have."""
    found: dict[str, list[str]] = {}
    for name, thing in sorted(vars(layers).items()):
        if isinstance(thing, type):
            found.setdefault(thing.__name__, []).append(name)
    return found


def model_of(name: str, seed: int) -> keras.Model:
    """A model around the layer of this class, with random parameters."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    example = EXAMPLES[name](Random(seed))
    x = keras.Input(batch_shape=(1, *example.shape), dtype=example.dtype)
    return keras.Model(x, example.call(x))
