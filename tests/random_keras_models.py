"""Random Keras models: shared and nested layers, operators, slices and constants."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from needed import needed

keras = needed("keras")
layers = keras.layers

CHANNELS = 2


class _Halves(layers.Layer):  # type: ignore[misc]
    """A custom layer that calls layers and functions of `keras.ops`."""

    def __init__(self, stride: int, **options: Any) -> None:
        super().__init__(**options)
        self.inner = layers.Conv2D(CHANNELS, 3, padding="same", name=f"{self.name}_in")
        self.stride = stride

    def call(self, x: Any) -> Any:
        return keras.ops.maximum(self.inner(x), 0.5 * x)[:, :: self.stride]


class _Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.number = 0
        self.shared: list[Any] = []

    def name(self, kind: str) -> str:
        self.number += 1
        return f"{kind}{self.number}"

    def one(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def pair(self, low: int, high: int) -> Any:
        pair = (self.one(low, high), self.one(low, high))
        return pair if self.random.random() < 0.5 else pair[0]

    def padding(self) -> str:
        return self.random.choice(["same", "valid"])

    def model(self) -> keras.Model:
        size = [self.one(14, 22), self.one(14, 22)]
        if self.random.random() < 0.5:
            size = [None, None]  # type: ignore[list-item]
        image = keras.Input((*size, CHANNELS), name="image")
        x = self.steps(image, self.one(2, 4))
        if self.random.random() < 0.6:
            x = self.merge(x, self.steps(image, self.one(0, 2)))
            x = self.steps(x, self.one(0, 2))
        if x is image:
            x = layers.ReLU(name="last")(x)
        return keras.Model(image, x, name="model")

    def steps(self, x: Any, count: int) -> Any:
        for _ in range(count):
            x = self.step(x)
        return x

    def step(self, x: Any) -> Any:
        kinds = [self.convolution, self.convolution, self.pool, self.pad, self.crop]
        kinds += [self.repeat, self.transposed, self.pointwise, self.operator]
        kinds += [self.slice, self.nested, self.again, self.custom, self.branch]
        kinds += [self.gate, self.folded]
        return self.random.choice(kinds)(x)

    def convolution(self, x: Any) -> Any:
        options: dict[str, Any] = {"kernel_size": self.pair(1, 3)}
        kind = self.random.choice([layers.Conv2D, layers.DepthwiseConv2D])
        if self.random.random() < 0.4 or kind is layers.DepthwiseConv2D:
            options["strides"] = self.one(1, 2)
        else:
            options["dilation_rate"] = self.pair(1, 2)
        if kind is layers.Conv2D:
            options["filters"] = CHANNELS
        layer = kind(padding=self.padding(), name=self.name("conv"), **options)
        self.shared.append(layer)
        return layer(x)

    def again(self, x: Any) -> Any:
        """Calls a layer once more, with the same weights."""
        return self.random.choice(self.shared)(x) if self.shared else self.nested(x)

    def pool(self, x: Any) -> Any:
        kind = self.random.choice([layers.MaxPooling2D, layers.AveragePooling2D])
        size, padding = self.pair(1, 3), self.padding()
        return kind(size, self.one(1, 2), padding, name=self.name("pool"))(x)

    def pad(self, x: Any) -> Any:
        pads = [[self.one(0, 2), self.one(0, 2)] for _ in range(2)]
        if self.random.random() < 0.5:
            return layers.ZeroPadding2D(pads, name=self.name("pad"))(x)
        mode = self.random.choice(["constant", "reflect", "symmetric"])
        return keras.ops.pad(x, [[0, 0], *pads, [0, 0]], mode=mode)

    def crop(self, x: Any) -> Any:
        return layers.Cropping2D(self.pair(0, 2), name=self.name("crop"))(x)

    def slice(self, x: Any) -> Any:
        step = self.random.choice([1, 1, 2, -1])
        start = None if step == -1 else self.one(0, 2)
        if self.random.random() < 0.5:
            return x[:, start::step]
        return x[:, :, start::step]

    def repeat(self, x: Any) -> Any:
        return layers.UpSampling2D(self.pair(1, 2), name=self.name("up"))(x)

    def transposed(self, x: Any) -> Any:
        return layers.Conv2DTranspose(
            CHANNELS,
            self.one(1, 3),
            self.one(1, 2),
            padding=self.padding(),
            name=self.name("transposed"),
        )(x)

    def pointwise(self, x: Any) -> Any:
        kinds = [layers.ReLU, layers.BatchNormalization, layers.Dropout]
        kinds += [layers.LayerNormalization, layers.Softmax]
        kind = self.random.choice(kinds)
        options = {"rate": 0.5} if kind is layers.Dropout else {}
        return kind(name=self.name("point"), **options)(x)

    def operator(self, x: Any) -> Any:
        constant = np.full((CHANNELS,), 0.5, "float32")
        choices = (lambda: 2 * x, lambda: x - constant, lambda: 1 / (1 + x * x))
        return self.random.choice(choices)()

    def nested(self, x: Any) -> Any:
        """A model in the model, called once or twice."""
        image = keras.Input((None, None, CHANNELS), name=self.name("inner_image"))
        inside = self.convolution(self.pool(image))
        inner = keras.Model(image, inside, name=self.name("inner"))
        self.shared.append(inner)
        return inner(x)

    def custom(self, x: Any) -> Any:
        return _Halves(self.one(1, 2), name=self.name("custom"))(x)

    def branch(self, x: Any) -> Any:
        return self.merge(self.steps(x, self.one(0, 1)), self.steps(x, self.one(0, 2)))

    def merge(self, one: Any, two: Any) -> Any:
        """Adds or joins what two maps have in common, whatever their sizes are."""
        sizes = [x.shape[1:3] for x in (one, two)]
        if None in (*sizes[0], *sizes[1]):
            one, two = (
                layers.GlobalMaxPooling2D(keepdims=True, name=self.name("largest"))(x)
                for x in (one, two)
            )
        else:
            height, width = map(min, *sizes)
            one, two = (x[:, :height, :width] for x in (one, two))
        if self.random.random() < 0.4:
            return one + two
        if self.random.random() < 0.5:
            return layers.Add(name=self.name("add"))([one, two])
        both = layers.Concatenate(name=self.name("join"))([one, two])
        return layers.Conv2D(CHANNELS, 1, name=self.name("mixed"))(both)

    def gate(self, x: Any) -> Any:
        """Squeeze-and-excitation."""
        pooled = layers.GlobalAveragePooling2D(keepdims=True, name=self.name("mean"))(x)
        return layers.Multiply(name=self.name("gate"))(
            [x, layers.Conv2D(CHANNELS, 1, name=self.name("weights"))(pooled)]
        )

    def folded(self, x: Any) -> Any:
        """Swaps rows and columns, or counts the channels first and back."""
        if self.random.random() < 0.5:
            return layers.Permute((2, 1, 3), name=self.name("turned"))(x)
        return keras.ops.moveaxis(keras.ops.moveaxis(x, -1, 1), 1, -1)


def model_of(seed: int) -> keras.Model:
    """A random model; its layers have the same names whenever it is made.

    Some seeds give no model, because a map becomes too small.

    Raises:
      ValueError: if there is none.
    """
    keras.utils.set_random_seed(seed % (1 << 32))
    keras.backend.clear_session(free_memory=False)
    return _Generator(seed).model()
