"""What the library says of Keras models on this backend, without TensorFlow.

``KERAS_BACKEND=jax python tests/keras_backends.py applications MobileNet`` prints the
answers for the layers of applications, and ``... measured`` holds layers whose kernels
differ between backends against what their outputs do when the input changes.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import keras_answers
import numpy as np

import receptive_field as rf

if "applications" in sys.argv:  # Without TensorFlow. Some layers ask whether it runs.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
keras = import_module("keras")
layers = keras.layers


def zeros(self: Any, shape: Any, dtype: Any = None) -> Any:
    """In place of random weights, which JAX compiles for half a second per shape."""
    return np.zeros(shape, dtype)


def applications(names: list[str]) -> dict[str, Any]:
    """The answers for all layers of applications without top."""
    found = {}
    for kind in ("TruncatedNormal", "VarianceScaling"):
        getattr(keras.initializers, kind).__call__ = zeros
    for name in names:
        make = getattr(keras.applications, name)
        model = make(weights=None, include_top=False, input_shape=(None, None, 3))
        found[name] = keras_answers.answers(model, with_top=False)
        keras.backend.clear_session()
    return found


def examples(seed: int) -> Iterator[Any]:
    """Layers whose kernels differ from backend to backend."""
    one = random.Random(seed).randint
    for padding in ("same", "valid"):
        for kind in (layers.MaxPooling2D, layers.AveragePooling2D):
            yield kind((one(1, 4), one(1, 4)), one(1, 3), padding)
        yield layers.Conv2D(1, (one(1, 4), one(1, 4)), one(1, 3), padding)
        yield layers.Conv2D(1, one(2, 4), padding=padding, dilation_rate=one(1, 3))
        yield layers.DepthwiseConv2D(one(1, 4), one(1, 3), padding)
        yield layers.SeparableConv2D(1, one(1, 4), one(1, 3), padding)
        yield layers.Conv2DTranspose(1, (one(1, 4), one(1, 4)), one(1, 3), padding)
        kernel, stride = one(2, 4), one(2, 3)
        # TensorFlow has no kernel for the maps of even kernels without more padding.
        more = one(1 - kernel % 2, stride - 1)
        yield layers.Conv2DTranspose(1, kernel, stride, padding, output_padding=more)
    for kind in ("nearest", "bilinear", "bicubic"):
        yield layers.UpSampling2D((one(1, 3), one(1, 3)), interpolation=kind)
    for kind in ("nearest", "bilinear", "bicubic"):
        yield layers.Resizing(one(3, 18), one(3, 18), interpolation=kind)


def seen(model: Any, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Which rows and columns of the input change each position of the output."""
    generator = np.random.default_rng(seed)
    truth = None
    for _ in range(3):
        images = [generator.uniform(0.5, 1.5, (1, *shape, 1))]
        for y, x in itertools.product(*map(range, shape)):
            other = images[0].copy()
            other[0, y, x] += generator.uniform(5, 9)
            images.append(other)
        batch = np.concatenate(images).astype("float32")
        features = keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(batch)))
        change = np.abs(features[1:] - features[:1]).max(-1) > 1e-5
        change = change.reshape(*shape, *change.shape[1:])
        truth = change if truth is None else truth | change
    assert truth is not None
    return truth


def hull(flags: np.ndarray) -> list[int]:
    """The first and last position that is marked; [0, -1] if none is."""
    (places,) = np.nonzero(flags)
    return [int(places[0]), int(places[-1])] if len(places) else [0, -1]


def rounds(layer: Any, position: int, size: int, result: int) -> bool:
    """Whether a resized position falls on a pixel of the axis.

    Its neighbour then has no weight, or that of a rounding error: this differs from
    backend to backend.
    """
    steps, rest = divmod((2 * position + 1) * size, result)
    return isinstance(layer, layers.Resizing) and rest == 0 and steps % 2 == 1


def measured(seeds: list[str]) -> dict[str, Any]:
    """The number of layers whose regions are what was measured, and those that differ.

    A layer whose field is a bound may see less.
    """
    differ: list[str] = []
    missing: list[str] = []
    bounds, count = 0, 0
    for seed in map(int, seeds):
        for layer in examples(seed):
            one = random.Random(f"{seed} {layer.name}").randint
            shape = (one(10, 13), one(10, 13))  # The longest window spans 10.
            image = keras.Input((*shape, 1))
            model = keras.Model(image, layer(image))
            for weight in model.weights:
                weight.assign(np.random.default_rng(seed).uniform(0.5, 1, weight.shape))
            try:
                truth = seen(model, shape, seed)
            except ValueError as error:
                if "not supported" not in str(error):
                    raise
                missing.append(layer.name)
                continue
            field = rf.compute_receptive_field(model)
            rows, columns = truth.shape[2:]
            for y, x in itertools.product(range(rows), range(columns)):
                region = field.compute_input_region([x, y], clip=True).tolist()
                mark = truth[:, :, y, x]
                real = [hull(mark.any(0)), hull(mark.any(1))]
                rounded = rounds(layer, x, shape[1], columns)
                rounded |= rounds(layer, y, shape[0], rows)
                fits = region == real or not field.exact or rounded
                for (low, high), (first, last) in zip(region, real, strict=True):
                    fits &= first > last or low <= first <= last <= high
                if not fits:
                    config = layer.get_config()
                    differ.append(f"{config} on {shape} at {x, y}: {region}, {real}")
                    break
            bounds += not field.exact
            count += 1
    return {"held": count, "bounds": bounds, "differ": differ, "missing": missing}


if __name__ == "__main__":
    found = {"applications": applications, "measured": measured}[sys.argv[1]](
        sys.argv[2:]
    )
    print(json.dumps(found))
