"""Functions of ``keras.ops``: models of them with random parameters, or a reason.

These are the functions of the modules nn, image, linalg and math. The examples of
`operation_catalogue`, which says what each dict holds, include them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from layer_catalogue import INTERPOLATIONS, Example, Make, Random, words
from needed import needed

keras = needed("keras")
layers, ops = keras.layers, keras.ops


def _of(function: Callable[..., Any], **options: Callable[[Random], Any]) -> Make:
    """An image, and a function with random options."""

    def make(random: Random) -> Example:
        given = {name: choose(random) for name, choose in options.items()}
        return Example(random.shape(2), lambda x: function(x, **given))

    return make


def _named(name: str, **options: Callable[[Random], Any]) -> Make:
    return _of(getattr(ops, name), **options)


def _weights(*shape: int) -> Any:
    return np.random.default_rng(1).uniform(0.5, 1.5, shape).astype("float32")


def _kernel(random: Random, rank: int, *channels: int) -> Any:
    return _weights(*(random.one() for _ in range(rank)), *channels)


def _two(function: Callable[..., Any], rank: int = 2, channels: int = 2) -> Make:
    """Two paths that see different parts meet in a function."""

    def make(random: Random) -> Example:
        convolution = getattr(layers, f"Conv{rank}D")
        one, two = (
            convolution(channels, random.some(rank), padding="same") for _ in range(2)
        )
        return Example(random.shape(rank), lambda x: function(one(x), two(x)))

    return make


# --- Windows -------------------------------------------------------------------------


def _strided(random: Random, rank: int, same: bool = False) -> dict[str, Any]:
    """Strides or dilations, and a padding."""
    given = random.strided(rank, same)
    del given["kernel_size"]
    return given


def _conv(random: Random) -> Example:
    rank = random.one(1, 3)
    given = random.strided(rank)
    # In double precision, a kernel shorter than its stride begins elsewhere.
    sizes, strides = (
        np.broadcast_to(given.get(name, 1), rank) for name in ("kernel_size", "strides")
    )
    kernel = _weights(*np.maximum(sizes, strides), 2, 2)
    options = {k: v for k, v in given.items() if k != "kernel_size"}
    return Example(random.shape(rank), lambda x: ops.conv(x, kernel, **options))


def _depthwise_conv(random: Random) -> Example:
    rank = random.one(1, 2)
    kernel, given = _kernel(random, rank, 2, 2), _strided(random, rank, True)
    return Example(random.shape(rank), lambda x: ops.depthwise_conv(x, kernel, **given))


def _separable_conv(random: Random) -> Example:
    rank = random.one(1, 2)
    kernel, given = _kernel(random, rank, 2, 2), _strided(random, rank, True)
    pointwise = _weights(*[1] * rank, 4, 3)
    return Example(
        random.shape(rank), lambda x: ops.separable_conv(x, kernel, pointwise, **given)
    )


def _conv_transpose(random: Random) -> Example:
    rank = random.one(1, 3)
    kernel, strides = _kernel(random, rank, 2, 2), random.some(rank)
    return Example(random.shape(rank), lambda x: ops.conv_transpose(x, kernel, strides))


def _pool(name: str) -> Make:
    def make(random: Random) -> Example:
        rank = random.one(1, 3)
        size, strides = random.some(rank), random.of(None, random.some(rank))
        padding = random.of("same", "valid")
        return Example(
            random.shape(rank),
            lambda x: getattr(ops, name)(x, size, strides, padding),
        )

    return make


def _adaptive(name: str) -> Make:
    def make(random: Random) -> Example:
        rank = random.one(1, 3)
        # Keras cannot tell the shape of a symbolic tensor if the size is one number.
        size = tuple(random.one(2, 4) for _ in range(rank))
        return Example(random.shape(rank), lambda x: getattr(ops, name)(x, size))

    return make


def _unfold(random: Random) -> Example:
    """The windows as positions, of an image whose channels come first."""
    numbers = [random.of(random.one(), random.some(2)) for _ in range(4)]
    kernel, dilation, padding, stride = numbers
    height, width, _ = random.shape(2)
    return Example(
        (2, height + 2, width + 2),
        lambda x: ops.unfold(x, kernel, random.of(1, dilation), padding, stride),
    )


def _fold(random: Random) -> Example:
    kernel, stride, padding = random.some(2), random.some(2), random.some(2, 0, 1)
    size = random.some(2, 5, 8)
    counts = [
        (n + 2 * p - k) // s + 1
        for n, p, k, s in zip(size, padding, kernel, stride, strict=True)
    ]
    return Example(
        (2 * kernel[0] * kernel[1], counts[0] * counts[1]),
        lambda x: ops.fold(x, size, kernel, 1, padding, stride),
    )


def _depth_to_space(random: Random) -> Example:
    return Example(random.shape(2, 8), lambda x: ops.depth_to_space(x, 2))


def _space_to_depth(random: Random) -> Example:
    block = random.one(2, 3)
    shape = random.one(2, 3) * block, random.one(2, 3) * block, 2
    return Example(shape, lambda x: ops.space_to_depth(x, block))


# --- Normalisations ------------------------------------------------------------------


def _batch_normalization(random: Random) -> Example:
    shape, axis = random.shape(2), random.of(-1, 1, 2)
    vectors = [_weights((1, *shape)[axis]) for _ in range(4)]
    mean, variance, offset, scale = vectors
    # A single one of them is refused by Keras 3.15.
    given = random.of({}, {"offset": offset, "scale": scale})
    return Example(
        shape, lambda x: ops.batch_normalization(x, mean, variance, axis, **given)
    )


def _axes(random: Random) -> Any:
    return random.of(-1, 1, [1, 2], [1, 2, 3], [2, 3])


def _layer_normalization(random: Random) -> Example:
    shape, axis = random.shape(2), _axes(random)
    axes = axis if isinstance(axis, list) else [axis]
    gamma, beta = (_weights(*((1, *shape)[a] for a in axes)) for _ in range(2))
    given = random.of({}, {"gamma": gamma}, {"gamma": gamma, "beta": beta})
    return Example(shape, lambda x: ops.layer_normalization(x, axis=axis, **given))


def _moments(random: Random) -> Example:
    axes, keeps = _axes(random), random.of(True, False)
    place = random.one(0, 1)
    return Example(random.shape(2, 3), lambda x: ops.moments(x, axes, keeps)[place])


# --- Classes and losses --------------------------------------------------------------


def _hot(name: str) -> Make:
    def make(random: Random) -> Example:
        axis = -1 if name == "multi_hot" else random.of(-1, 1, 2)
        shape = random.one(4, 6), random.one(2, 4)
        return Example(shape, lambda x: getattr(ops, name)(x, 3, axis), "int32")

    return make


def _crossentropy(name: str, **options: Callable[[Random], Any]) -> Make:
    def make(random: Random) -> Example:
        given = {key: choose(random) for key, choose in options.items()}
        before = random.of("softmax", "sigmoid", "linear")
        return _two(
            lambda x, y: getattr(ops, name)(x, layers.Activation(before)(y), **given)
        )(random)

    return make


def _sparse_crossentropy(random: Random) -> Example:
    shape, given = random.shape(2, 3), random.of(True, False)
    target = np.ones((1, *shape[:2]), "int32")
    output = layers.Conv2D(3, random.some(2), padding="same")
    return Example(
        shape,
        lambda x: ops.sparse_categorical_crossentropy(target, output(x), given),
    )


def _ctc_loss(random: Random) -> Example:
    steps = random.one(4, 6)
    return Example(
        (steps, 4),
        lambda x: ops.ctc_loss(
            np.ones((1, 2), "int32"), x, np.array([2]), np.array([steps])
        ),
    )


# --- Attention -----------------------------------------------------------------------


def _attention(random: Random) -> Example:
    steps, heads = random.one(5, 8), random.of(2, 4)
    causal = random.of(True, False)
    query, key = (
        layers.Conv1D(count * 2, random.one(), padding="same") for count in (heads, 2)
    )
    bias = random.of(None, _weights(1, heads, steps, steps))
    mask = random.of(None, np.ones((1, 1, steps, steps), bool))

    def call(x: Any) -> Any:
        asked = ops.reshape(query(x), (1, -1, heads, 2))
        found = ops.reshape(key(x), (1, -1, 2, 2))
        return ops.dot_product_attention(
            asked, found, found, bias, mask, is_causal=causal
        )

    return Example((steps, 3), call)


def _threshold(random: Random) -> float:
    return random.of(0.1, 0.5, 1.0)


NN: dict[str, Make] = {
    **{
        name: _named(name)
        for name in words(
            "relu relu6 sigmoid sparse_sigmoid softplus softsign sparse_plus silu "
            "squareplus log_sigmoid hard_sigmoid hard_silu selu tanh_shrink hard_tanh "
            "swish hard_swish"
        )
    },
    "adaptive_average_pool": _adaptive("adaptive_average_pool"),
    "adaptive_max_pool": _adaptive("adaptive_max_pool"),
    "average_pool": _pool("average_pool"),
    "batch_normalization": _batch_normalization,
    "binary_crossentropy": _crossentropy(
        "binary_crossentropy", from_logits=lambda r: r.of(True, False)
    ),
    "categorical_crossentropy": _crossentropy(
        "categorical_crossentropy",
        from_logits=lambda r: r.of(True, False),
        axis=lambda r: r.of(-1, 1, 2),
    ),
    "celu": _named("celu", alpha=_threshold),
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "ctc_loss": _ctc_loss,
    "depth_to_space": _depth_to_space,
    "depthwise_conv": _depthwise_conv,
    "dot_product_attention": _attention,
    "elu": _named("elu", alpha=_threshold),
    "fold": _fold,
    "gelu": _named("gelu", approximate=lambda r: r.of(True, False)),
    "glu": _named("glu"),
    "hard_shrink": _named("hard_shrink", threshold=_threshold),
    "layer_normalization": _layer_normalization,
    "leaky_relu": _named("leaky_relu", negative_slope=_threshold),
    "log_softmax": _named("log_softmax", axis=lambda r: r.of(-1, 1, 2, None)),
    "max_pool": _pool("max_pool"),
    "moments": _moments,
    "multi_hot": _hot("multi_hot"),
    "normalize": _named("normalize", order=lambda r: r.one(), axis=lambda r: r.one()),
    "one_hot": _hot("one_hot"),
    "polar": _two(lambda x, y: ops.real(ops.polar(x, y))),
    "psnr": _two(lambda x, y: ops.psnr(x, y, 255)),
    "rms_normalization": _named("rms_normalization", axis=_axes),
    "separable_conv": _separable_conv,
    "soft_shrink": _named("soft_shrink", threshold=_threshold),
    "softmax": _named("softmax", axis=lambda r: r.of(-1, 1, 2, None)),
    "space_to_depth": _space_to_depth,
    "sparse_categorical_crossentropy": _sparse_crossentropy,
    "sparsemax": _named("sparsemax", axis=lambda r: r.of(-1, 1, 2)),
    "threshold": _named("threshold", threshold=_threshold, default_value=_threshold),
    "unfold": _unfold,
}

# --- Images --------------------------------------------------------------------------


def _image(name: str) -> Callable[..., Any]:
    return getattr(ops.image, name)


def _resize(random: Random) -> Example:
    shape = random.shape(2)
    new = random.one(3, 12), random.one(3, 12)
    options = {"interpolation": random.of(*INTERPOLATIONS)}
    options |= random.of({}, {"antialias": True}, {"crop_to_aspect_ratio": True})
    return Example(shape, lambda x: ops.image.resize(x, new, **options))


def _padded_resize(random: Random) -> Example:
    new = random.one(3, 12), random.one(3, 12)
    return Example(
        random.shape(2),
        lambda x: ops.image.resize(x, new, "nearest", pad_to_aspect_ratio=True),
    )


def _patches(random: Random) -> Example:
    rank = random.one(2, 3)
    size = random.some(rank)
    strides = random.of(None, random.some(rank))
    if rank == 3 and strides:
        strides = tuple(map(min, strides, size))
    dilation = 1 if rank == 3 else random.of(1, random.some(rank, 1, 2))
    strides = strides if dilation == 1 else 1
    padding = random.of("valid", "same")
    return Example(
        random.shape(rank),
        lambda x: ops.image.extract_patches(x, size, strides, dilation, padding),
    )


def _around(name: str, low: int, high: int) -> Make:
    """Two of the numbers before, after and of the new size, on both axes."""
    what = name.partition("_")[0] + "ping" if "crop" in name else "padding"

    def make(random: Random) -> Example:
        given: dict[str, int] = {}
        for before, after, side in (
            ("top", "bottom", "height"),
            ("left", "right", "width"),
        ):
            numbers = {
                f"{before}_{what}": random.one(0, 2),
                f"{after}_{what}": random.one(0, 2),
                f"target_{side}": random.one(low, high),
            }
            del numbers[random.of(*numbers)]
            given |= numbers
        return Example(random.shape(2), lambda x: _image(name)(x, **given))

    return make


def _affine(random: Random) -> Example:
    transform = np.array([1, 0.1, 0, 0, 1, 0.1, 0, 0], "float32")
    return Example(random.shape(2), lambda x: ops.image.affine_transform(x, transform))


def _perspective(random: Random) -> Example:
    points = np.array([[0, 0], [0, 4], [4, 0], [4, 4]], "float32")
    return Example(
        random.shape(2),
        lambda x: ops.image.perspective_transform(x, points, points + 0.5),
    )


def _map_coordinates(random: Random) -> Example:
    shape, order = random.shape(2), random.of(0, 1)
    places = np.random.default_rng(1).uniform(0, 4, (4, 1, 3, 4, 2)).astype("float32")
    return Example(shape, lambda x: ops.image.map_coordinates(x, places, order))


def _scaled(random: Random) -> Example:
    shape = random.shape(2)
    new = (1, random.one(4, 9), random.one(4, 9), 2)
    scale = np.array([random.of(0.5, 1, 2), random.of(0.5, 1, 2)], "float32")
    moved = np.array([random.of(0, 0.5, 1), random.of(0, 1.5)], "float32")
    method = random.of("linear", "cubic", "lanczos3", "lanczos5")
    return Example(
        shape,
        lambda x: ops.image.scale_and_translate(x, new, scale, moved, [1, 2], method),
    )


def _three(make: Callable[[Any], Any]) -> Make:
    return lambda random: Example(random.shape(2, 3), make)


IMAGE: dict[str, Make] = {
    "image.affine_transform": _affine,
    "image.crop_images": _around("crop_images", 2, 3),
    "image.elastic_transform": _of(_image("elastic_transform")),
    "image.extract_patches": _patches,
    "image.extract_patches_3d": lambda random: Example(
        random.shape(3), lambda x: ops.image.extract_patches_3d(x, random.one(1, 2))
    ),
    "image.gaussian_blur": _of(
        _image("gaussian_blur"), kernel_size=lambda r: r.some(2)
    ),
    "image.hsv_to_rgb": _three(_image("hsv_to_rgb")),
    "image.map_coordinates": _map_coordinates,
    "image.pad_images": _around("pad_images", 11, 14),
    "image.perspective_transform": _perspective,
    "image.resize": lambda r: r.of(_resize, _resize, _padded_resize)(r),
    "image.rgb_to_grayscale": _three(_image("rgb_to_grayscale")),
    "image.rgb_to_hsv": _three(_image("rgb_to_hsv")),
    "image.scale_and_translate": _scaled,
    "image.sobel_edges": _of(_image("sobel_edges")),
    "image.ssim": _two(lambda x, y: ops.image.ssim(x, y, filter_size=3)),
}

# --- Matrices ------------------------------------------------------------------------


def _matrices(
    name: str, square: bool = True, choose: Callable[[Any], Any] = lambda y: y
) -> Make:
    """A batch of matrices, each of them of an image."""

    def make(random: Random) -> Example:
        size = random.one(3, 5)
        shape = size, size if square else random.one(3, 5)
        return Example(shape, lambda x: choose(getattr(ops, name)(x)))

    return make


def _part(*places: int) -> Callable[[Random], Callable[[Any], Any]]:
    return lambda random: lambda y: y[random.of(*places)]


def _norm(random: Random) -> Example:
    axis = random.of(-1, 1, [1, 2], [2, 1])
    orders = [None, 1, -1, 2, float("inf"), -float("inf")]
    orders += ["fro", "nuc", -2] if isinstance(axis, list) else [0, 3]
    order, keeps = random.of(*orders), random.of(True, False)
    return Example(random.shape(2), lambda x: ops.norm(x, order, axis, keeps))


def _solve(name: str) -> Make:
    def make(random: Random) -> Example:
        size = random.one(3, 5)
        matrix = random.of(None, _weights(1, size, size))
        return Example(
            (size, size),
            lambda x: getattr(ops, name)(x if matrix is None else matrix, x),
        )

    return make


def _lstsq(random: Random) -> Example:
    rows, columns = random.one(3, 5), random.one(2, 3)
    target = _weights(rows, random.one())
    return Example(
        (rows, columns),
        lambda x: ops.expand_dims(ops.lstsq(ops.squeeze(x, 0), target), 0),
    )


def _lu_factor(random: Random) -> Example:
    size, place = random.one(3, 5), random.of(0, 1)
    return Example(
        (size, size),
        lambda x: ops.expand_dims(ops.lu_factor(ops.squeeze(x, 0))[place], 0),
    )


LINALG: dict[str, Make] = {
    "cholesky": _matrices("cholesky"),
    "cholesky_inverse": _matrices("cholesky_inverse"),
    "det": _matrices("det"),
    "eig": lambda r: _matrices("eig", choose=_part(0, 1)(r))(r),
    "eigh": lambda r: _matrices("eigh", choose=_part(0, 1)(r))(r),
    "inv": _matrices("inv"),
    "logdet": _matrices("logdet"),
    "lstsq": _lstsq,
    "lu_factor": _lu_factor,
    "matrix_rank": _matrices("matrix_rank", square=False),
    "norm": _norm,
    "pinv": _matrices("pinv", square=False),
    "qr": lambda r: _matrices("qr", False, _part(0, 1)(r))(r),
    "solve": _solve("solve"),
    "solve_triangular": _solve("solve_triangular"),
    "svd": lambda r: _matrices("svd", False, _part(0, 1, 2)(r))(r),
}

# --- Segments, sequences and spectra -------------------------------------------------


def _signals(random: Random) -> tuple[int, ...]:
    return 2, random.one(12, 20)


def _pairs(function: Callable[..., Any], **options: Any) -> Make:
    """A function of the real and the imaginary part of signals."""

    def make(random: Random) -> Example:
        place = random.of(0, 1)

        def call(x: Any) -> Any:
            y = function((x, ops.square(x)), **options)
            return y[place] if isinstance(y, (list, tuple)) else y

        return Example(_signals(random), call)

    return make


def _segment(name: str) -> Make:
    def make(random: Random) -> Example:
        steps, channels = random.one(4, 6), 2
        places = np.arange(steps, dtype="int32") // 2
        count = (steps + 1) // 2

        def call(x: Any) -> Any:
            rows = ops.squeeze(x, 0)
            return ops.expand_dims(getattr(ops, name)(rows, places, count), 0)

        return Example((steps, channels), call)

    return make


def _in_top_k(random: Random) -> Example:
    rows, count = random.one(2, 4), random.one(1, 2)
    targets = np.zeros(rows, "int32")
    return Example(
        (rows, random.one(3, 5)),
        lambda x: ops.in_top_k(targets, ops.squeeze(x, 0), count),
    )


def _rfft(random: Random) -> Example:
    length = random.of(None, random.one(8, 24))
    return Example(_signals(random), lambda x: ops.rfft(x, length)[0])


def _framed(random: Random) -> dict[str, Any]:
    length = random.one(3, 6)
    return {
        "sequence_length": length,
        "sequence_stride": random.one(1, length),
        "fft_length": random.one(length, 8),
        "center": random.of(True, False),
        "window": random.of(None, "hann", "hamming", _weights(length)),
    }


def _stft(random: Random) -> Example:
    options = _framed(random)
    return Example((random.one(14, 20),), lambda x: ops.stft(x, **options)[0])


def _istft(random: Random) -> Example:
    options = _framed(random)
    bins = options["fft_length"] // 2 + 1
    return Example(
        (random.one(4, 7), bins),
        lambda x: ops.istft((x, ops.square(x)), **options),
    )


MATH: dict[str, Make] = {
    **{
        f"segment_{name}": _segment(f"segment_{name}")
        for name in words("max min prod sum")
    },
    "cdist": _two(ops.cdist, rank=1),
    "erf": _named("erf"),
    "erfc": _named("erfc"),
    "erfinv": _named("erfinv"),
    "extract_sequences": lambda r: Example(
        _signals(r), lambda x: ops.extract_sequences(x, r.one(2, 5), r.one())
    ),
    "fft": _pairs(ops.fft),
    "fft2": _pairs(ops.fft2),
    "ifft2": _pairs(ops.ifft2),
    "in_top_k": _in_top_k,
    "irfft": lambda r: _pairs(ops.irfft, fft_length=r.of(None, r.one(8, 24)))(r),
    "istft": _istft,
    "logsumexp": _named(
        "logsumexp",
        axis=lambda r: r.of(-1, 1, [1, 2]),
        keepdims=lambda r: r.of(True, False),
    ),
    "rfft": _rfft,
    "rsqrt": _named("rsqrt"),
    "stft": _stft,
    "top_k": lambda r: Example(
        r.shape(2, 4), lambda x: ops.top_k(x, r.one())[r.of(0, 1)]
    ),
    "view_as_complex": _of(
        # Keras 3.15 fails for numbers that are not complex.
        lambda x: ops.real(ops.view_as_complex(ops.cast(x, "complex64")))
    ),
    "view_as_real": _two(lambda x, y: ops.view_as_real(ops.polar(x, y))),
}


def _exists(name: str) -> bool:
    module, _, function = name.rpartition(".")
    return hasattr(getattr(ops, module) if module else ops, function)


EXAMPLES: dict[str, Make] = {
    name: make for name, make in (NN | IMAGE | LINALG | MATH).items() if _exists(name)
}
"""Function -> models of it; older versions have fewer."""

_TRIANGLE = "only a triangle of the matrix is read or written"
_ALL = "it sees a whole axis, but may skip an end"
_ANYWHERE = "the values of other tensors decide which positions are seen"

BOUNDS = {
    "cholesky": _TRIANGLE,
    "cholesky_inverse": _TRIANGLE,
    "ctc_loss": "the data decide how many steps are seen",
    "dot_product_attention": _ALL,
    "eigh": _TRIANGLE,
    "image.affine_transform": _ANYWHERE,
    "image.elastic_transform": _ANYWHERE,
    "image.map_coordinates": _ANYWHERE,
    "image.perspective_transform": _ANYWHERE,
    "logdet": _TRIANGLE,
    "image.ssim": _ALL,
    "lu_factor": _TRIANGLE,
    "matrix_rank": "a number that only jumps",
    "psnr": _ALL,
    "qr": _TRIANGLE,
    **{f"segment_{name}": _ANYWHERE for name in words("max min prod sum")},
    "solve_triangular": _TRIANGLE,
}
"""Function -> why its result may be larger than the truth."""

REASONS = {
    "ctc_decode": "returns classes, which cannot change by a small amount",
    "jvp": "runs a user's code",
}
"""Function -> why it has no rule."""

FAIL_IN_MODELS = words("conv_transpose")
"""Functions that Keras 3.15 can run, but not in a functional model."""

REGULAR = {
    **dict.fromkeys(words("det inv lu_factor solve"), 0.0),
    **dict.fromkeys(words("cholesky cholesky_inverse logdet solve_triangular"), 20.0),
}
"""Functions of matrices with full rank -> what their diagonals have more."""
