"""Computes gradients of Keras models with the models' own weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks.images import chosen, complete_images, draws_of

IMAGES_AT_ONCE = 8


def squared_gradients(
    keras: Any,
    model: Any,
    calls: Mapping[int, Sequence[str]],
    output: str,
    *,
    is_whole: bool,
    number: int,
    shape: Sequence[int],
    where: Mapping[int, int],
    images: Any,
    draws: int | None,
    seed: int,
    **_: Any,
) -> NDArray[np.float64]:
    """Returns squared gradients of a feature on images, [draw, 1, *shape[1:]].

    The squares are divided by the number of the feature's channels.

    Args:
      keras: the Keras module of the model.
      model: a Keras model.
      calls: the names of the calls of each layer, by the layer's id.
      output: the name of a layer.
      is_whole: whether the layer is an output of the model.
      number: the index of the input among the model's inputs.
      shape: the shape of the input.
      where: output axis -> the feature's position on that axis.
      images: the images to use; None for random ones.
      draws: the number of images; None for one draw of each image.
      seed: the seed of the random numbers.

    Raises:
      ReceptiveFieldError: if the model cannot be cut at the layer, or the images do not
        fit its input.
    """
    one = (1, *shape[1:])
    own = complete_images(images, one, "the model")
    total = draws_of(own, draws)
    part = _part(keras, model, calls, output, is_whole)
    others = [s for i, s in enumerate(_input_shapes(model)) if i != number]
    tf = import_module("tensorflow")
    random = np.random.default_rng(seed)
    found = []
    for start in range(0, total, IMAGES_AT_ONCE):
        count = min(IMAGES_AT_ONCE, total - start)
        inputs = [
            tf.constant(random.standard_normal((count, *sizes)), tf.float32)
            for sizes in others
        ]
        drawn = (
            random.standard_normal((count, *shape[1:]))
            if own is None
            else chosen(own, start, count)[:, 0]
        )
        image = tf.constant(drawn, tf.float32)
        inputs.insert(number, image)
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = part(inputs if others else image, training=False)
            index = tuple(where.get(a, slice(None)) for a in range(features.ndim))
            values = features[index]
            signs = random.choice([-1.0, 1.0], tuple(values.shape))
            loss = tf.reduce_sum(values * tf.constant(signs, values.dtype))
        gradient = tape.gradient(loss, image)
        if gradient is None:
            break
        squares = np.square(np.asarray(gradient, dtype=np.float64))
        found.append(squares / math.prod(values.shape[1:]))
    return np.concatenate(found)[:, None] if found else np.zeros((2, *one))


def _part(
    keras: Any,
    model: Any,
    calls: Mapping[int, Sequence[str]],
    output: str,
    is_whole: bool,
) -> Any:
    """Returns the part of a model that ends at a layer.

    Raises:
      ReceptiveFieldError: if the model cannot be cut at the layer.
    """
    if is_whole and len(getattr(model, "outputs", None) or [output]) == 1:
        return model
    with suppress(AttributeError, ValueError):
        layer = model.get_layer(output)
        if len(calls.get(id(layer), ())) < 2:  # Keras returns the output of one call.
            return keras.Model(model.inputs, layer.output)
    raise ReceptiveFieldError(
        f"the model {model.name!r} cannot be cut at {output!r}: in functional and "
        "sequential models, gradients can be measured at every layer that is called "
        "once. In other models, gradients can be measured only at the model's single "
        "output."
    )


def _input_shapes(model: Any) -> list[list[int]]:
    inputs = getattr(model, "inputs", None) or []
    return [[int(size or 1) for size in tensor.shape[1:]] for tensor in inputs]
