"""Layers that prepare data, most of which do something in training only."""

from __future__ import annotations

from receptive_field.frameworks.keras.layers.call import LayerCall, rule
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor


@rule(
    "AugMix CutMix Equalization MixUp RandAugment RandomBrightness "
    "RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop "
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
