"""Layers that prepare data, most of which do something in training only."""

from __future__ import annotations

from receptive_field.frameworks.keras.layers.call import LayerCall, rule, sliced
from receptive_field.frameworks.keras.layers.windows import convolved
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule(
    "AugMix CutMix Equalization MixUp RandAugment RandomBrightness "
    "RandomColorDegeneration RandomColorJitter RandomContrast "
    "RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur "
    "RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization "
    "RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation "
    "RandomZoom Solarization"
)
def _in_training_only(call: LayerCall) -> Tensor:
    return call.x


@rule("AutoContrast")
def _auto_contrast(call: LayerCall) -> Tensor:
    w, x = call.writer, call.x
    least, most = sorted(map(float, call.config["value_range"]))
    y = _rescaled(w, x, (least, most), (0.0, 255.0))
    low = w.op("Min", y, [1, 2], keep_dims=True)
    high = w.op("Max", y, [1, 2], keep_dims=True)
    scale = w.op("RealDiv", 255.0, w.op("Sub", high, low))
    y = w.op("AddV2", w.op("Mul", y, scale), w.op("Mul", w.op("Neg", low), scale))
    y = w.op("ClipByValue", y, 0.0, 255.0)
    y = _rescaled(w, y, (0.0, 255.0), (least, most))
    return w.op("SelectV2", w.op("IsNan", y), x, y)


def _rescaled(
    w: Writer, x: Tensor, old: tuple[float, float], new: tuple[float, float]
) -> Tensor:
    """Adds the map of a range of values to another one."""
    x = w.op("RealDiv", w.op("Sub", x, old[0]), old[1] - old[0])
    return w.op("AddV2", w.op("Mul", x, new[1] - new[0]), new[0])


@rule("Discretization")
def _discretization(call: LayerCall) -> Tensor:
    w, c, x = call.writer, call.config, call.x
    bounds, mode = c.get("bin_boundaries"), c.get("output_mode", "int")
    if bounds is None:
        call.fail("bins that are not in its config")
    y = w.op("Bucketize", x, boundaries=list(map(float, bounds)))
    if mode == "int":
        return y
    if mode != "one_hot" and w.rank(x) < 3:
        call.fail(f"the output mode {mode!r} for single values")
    if mode == "one_hot" and w.rank(x) > 1 and w.shape(x)[-1] == 1:
        y = w.op("Squeeze", y, squeeze_dims=[w.rank(x) - 1])
    y = w.op("OneHot", y, len(bounds) + 1, 1.0, 0.0, axis=-1)
    if mode == "one_hot":
        return y
    return w.op("Max" if mode == "multi_hot" else "Sum", y, [1])


# --- Spectra -------------------------------------------------------------------------


@rule("STFTSpectrogram")
def _spectrogram(call: LayerCall) -> Tensor:
    w, x, mode = call.writer, call.x, call.config.get("mode", "log")
    real = None if mode == "imag" else _transformed(call, x)
    imaginary = None if mode == "real" else _transformed(call, x)
    if real is None or imaginary is None:
        found = real or imaginary
        assert found is not None
        return _adjusted(call, found)
    if mode == "angle":
        return _adjusted(call, w.op("Atan2", imaginary, real))
    if mode == "stft":
        return _adjusted(call, w.op("ConcatV2", real, imaginary, 2))
    power = w.op("AddV2", w.op("Square", real), w.op("Square", imaginary))
    if mode == "psd":
        middle = sliced(w, power, [0, 0, 1, 0], [0, 0, -1, 0])
        twice = w.op("Pad", middle, [[0, 0], [0, 0], [1, 1], [0, 0]])
        return _adjusted(call, w.op("AddV2", power, twice))
    size = _adjusted(call, w.op("Sqrt", w.op("Maximum", power, 1e-7)))
    return size if mode == "magnitude" else w.op("Log", w.op("Maximum", size, 1e-7))


def _transformed(call: LayerCall, x: Tensor) -> Tensor:
    """Adds the transform of each channel: (batch, channel, frequency, time).

    The channels are treated as parts of the batch.
    """
    w, c = call.writer, call.config
    length = c["frame_length"]
    count = (c.get("fft_length") or 1 << (length - 1).bit_length()) // 2 + 1
    if not call.is_channels_first:
        x = w.op("Transpose", x, [0, 2, 1])
    channels, time = w.size(x, 1), w.size(x, 2)
    frames = {
        "kernel_size": length,
        "strides": c.get("frame_step") or length // 2,
        "padding": c.get("padding", "valid"),
    }
    signal = w.op("Reshape", x, w.sizes(-1, time, 1))
    y = convolved(call._replace(config=frames), signal, count)
    y = w.op("Transpose", y, [0, 2, 1])
    return w.op("Reshape", y, w.sizes(-1, channels, count, w.size(y, 2)))


def _adjusted(call: LayerCall, x: Tensor) -> Tensor:
    """Adds the transposition of a transform to the layout that the layer returns."""
    w = call.writer
    if call.config.get("expand_dims", False):
        return w.op(
            "Transpose", x, [0, 1, 3, 2] if call.is_channels_first else [0, 3, 2, 1]
        )
    count = w.op("Mul", w.size(x, 1), w.size(x, 2))
    x = w.op("Reshape", x, w.sizes(-1, count, w.size(x, 3)))
    return x if call.is_channels_first else w.op("Transpose", x, [0, 2, 1])


@rule("MelSpectrogram")
def _mel_spectrogram(call: LayerCall) -> Tensor:
    """Writes the transform of each frame as a convolution."""
    w, c, x = call.writer, call.config, call.x
    length, window = c["fft_length"], c.get("window", "hann")
    if w.rank(x) != 2:
        call.fail("a single signal")
    if not (window is None or isinstance(window, str)):
        call.fail("a window of numbers")
    half, size, before = length // 2, length, 0
    if window is not None:
        size = c.get("sequence_length") or length
        before = (length - size) // 2
    after = length - size - before
    if window == "hann" and size > 1:  # Its first number is zero.
        before, size = before + 1, size - 1
    x = w.op("MirrorPad", x, [[0, 0], [half, half]], mode="REFLECT")
    signal = w.op("ExpandDims", sliced(w, x, [0, before], [0, -after]), -1)
    frames = {"kernel_size": size, "strides": c["sequence_stride"]}
    real, imaginary = (
        convolved(call._replace(config=frames), signal, half + 1) for _ in range(2)
    )
    power = w.op("AddV2", w.op("Square", real), w.op("Square", imaginary))
    y = w.op("Pow", w.op("Sqrt", power), float(c.get("mag_exp", 2.0)))
    y = w.op("BatchMatMulV2", y, w.weight(half + 1, c["num_mel_bins"]))
    if c.get("power_to_db", True):
        y = w.op("Log", w.op("Maximum", y, float(c.get("min_power", 1e-10))))
        top = w.op("Max", y, [0, 1, 2], keep_dims=False)
        y = w.op("Maximum", y, w.op("Sub", top, float(c.get("top_db", 80.0))))
    return w.op("Transpose", y, [0, 2, 1])
