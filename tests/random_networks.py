"""Random networks, held against experiment: support, clipped regions, projective field.

``python tests/search.py tests/test_exact.py`` tries new ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from dependency import Tally, Trace, hold, measured, traced, vanishes
from needed import needed
from raw_ops import op, weights

tf = needed("tensorflow")

Layer = Callable[[Any], Any]

LARGEST = 700
"""Networks with more positions in their output are passed over."""


class Network(NamedTuple):
    """A network, the shape of its input, and whether paths merge in it."""

    layers: list[Layer]
    shape: tuple[int, ...]
    merges: bool

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class _Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rank = self.random.choice([1, 1, 2, 2, 2, 2, 2, 3])

    def network(self) -> Network:
        largest = {1: 18, 2: 9, 3: 4}[self.rank]
        sizes = [self.random.randint(1, largest) for _ in range(self.rank)]
        layers = [self.layer() for _ in range(self.random.randint(1, 3))]
        merges = self.random.random() < 0.5
        if merges:
            layers.append(self.merge())
            layers += [self.layer() for _ in range(self.random.randint(0, 2))]
        return Network(layers, (1, *sizes, 2), merges)

    def sizes(self, low: int, high: int) -> list[int]:
        """One number per axis; often the same."""
        if self.random.random() < 0.5:
            return [self.random.randint(low, high)] * self.rank
        return [self.random.randint(low, high) for _ in range(self.rank)]

    def layer(self) -> Layer:
        makers = [self.convolution, self.convolution, self.pad, self.crop]
        makers += [self.transposed, self.atrous, self.repeat, self.shifted]
        if self.rank < 3:  # Poolings of volumes have no kernel in double precision.
            makers += [self.pool, self.pool]
        if self.rank == 2:
            makers += [self.resize, self.resize]
        return self.random.choice(makers)()

    def merge(self) -> Layer:
        branches = [
            [self.layer() for _ in range(self.random.randint(0, 2))]
            for _ in range(self.random.randint(2, 3))
        ]
        adds = self.random.random() < 0.5

        def merged(x: Any) -> Any:
            ends = [Network(layers, (), False)(x) for layers in branches]
            least = np.min([end.shape.as_list()[1:-1] for end in ends], axis=0)
            cut = [end[(slice(None), *map(slice, least))] for end in ends]
            return tf.add_n(cut) if adds else tf.concat(cut, axis=-1)

        return merged

    def convolution(self) -> Layer:
        kernel, padding = self.sizes(1, 3), self.random.choice(["SAME", "VALID"])
        strides, dilations = self.sizes(1, 3), [1] * self.rank
        if self.rank == 3:
            # In double precision, on a CPU, a kernel shorter than its stride begins at
            # another position than in single precision, or in fewer dimensions.
            strides = [min(s, k) for s, k in zip(strides, kernel, strict=True)]
        if self.random.random() < 0.4:
            strides, dilations = [1] * self.rank, self.sizes(1, 3)

        def layer(x: Any) -> Any:
            taps = weights(x, *kernel, x.shape[-1], 2)
            return tf.nn.convolution(x, taps, strides, padding, dilations=dilations)

        return layer

    def pool(self) -> Layer:
        kernel, strides = self.sizes(1, 3), self.sizes(1, 3)
        kind = self.random.choice(["MAX", "AVG"])
        padding = self.random.choice(["SAME", "VALID"])
        return lambda x: tf.nn.pool(x, kernel, kind, strides, padding)

    def pad(self) -> Layer:
        pairs = self.sizes(0, 2), self.sizes(0, 2)
        pads = [[0, 0], *([a, b] for a, b in zip(*pairs, strict=True))]
        mode = self.random.choice(["CONSTANT", "CONSTANT", "REFLECT", "SYMMETRIC"])
        return lambda x: tf.pad(x, [*pads, [0, 0]], mode)

    def crop(self) -> Layer:
        starts, stops = self.sizes(0, 2), self.sizes(0, 2)
        steps = self.sizes(1, 2)
        cuts = [
            slice(start, -stop or None, step)
            for start, stop, step in zip(starts, stops, steps, strict=True)
        ]
        return lambda x: x[(slice(None), *cuts)]

    def shifted(self) -> Layer:
        """Cropped on one side and padded on the other."""
        by = self.random.randint(1, 2)
        pads = [[0, 0], [0, by], *[[0, 0]] * self.rank]
        return lambda x: tf.pad(x[:, by:], pads)

    def transposed(self) -> Layer:
        kernel, strides = self.sizes(1, 3), self.sizes(1, 3)
        padding = self.random.choice(["SAME", "VALID"])

        def layer(x: Any) -> Any:
            sizes = [
                n * s + (max(k - s, 0) if padding == "VALID" else 0)
                for n, k, s in zip(x.shape[1:-1], kernel, strides, strict=True)
            ]
            taps = weights(x, *kernel, 2, x.shape[-1])
            return tf.nn.conv_transpose(x, taps, [1, *sizes, 2], strides, padding)

        return layer

    def atrous(self) -> Layer:
        """A dilated convolution by way of the batch."""
        rate, kernel = self.random.randint(2, 3), self.sizes(1, 3)

        def layer(x: Any) -> Any:
            sizes = x.shape.as_list()[1:-1]
            pads = [[rate, rate + -(n + 2 * rate) % rate] for n in sizes]
            blocks = [rate] * self.rank
            batched = op("SpaceToBatchND", x, tf.constant(blocks), tf.constant(pads))
            taps = weights(x, *kernel, x.shape[-1], 2)
            done = tf.nn.convolution(batched, taps, padding="SAME")
            return op("BatchToSpaceND", done, tf.constant(blocks), tf.constant(pads))

        return layer

    def repeat(self) -> Layer:
        """Nearest upsampling as Keras writes it."""
        factor, axis = self.random.randint(2, 3), self.random.randint(1, self.rank)
        return lambda x: tf.repeat(x, factor, axis=axis)

    def resize(self) -> Layer:
        kind = self.random.choice(
            ["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"]
        )
        sizes = [self.random.randint(1, 13) for _ in range(2)]
        mode = self.random.choice(["align_corners", "half_pixel_centers", None])
        if kind == "ResizeArea" and mode == "half_pixel_centers":
            mode = None
        attributes = {} if mode is None else {mode: True}

        def layer(x: Any) -> Any:
            resized = op(kind, x, tf.constant(sizes), **attributes)
            return tf.cast(resized, x.dtype)

        return layer


def _is_possible(trace: Trace) -> bool:
    """Whether no map vanishes, and the last is not too large."""
    return not vanishes(trace) and trace.output.shape.num_elements() <= LARGEST


def networks(seed: int) -> Iterator[tuple[Network, Trace]]:
    """Random networks from a seed, those left out that cannot be built or run."""
    while True:
        network = _Generator(seed).network()
        seed += 1 << 40
        try:
            trace = traced(network, network.shape)
        except (ValueError, tf.errors.InvalidArgumentError):
            continue  # A map vanishes, or is too small to be mirrored.
        if _is_possible(trace):
            yield network, trace


def possible(seed: int) -> Trace:
    """The first of them that TensorFlow runs; it refuses some only then."""
    return next(trace for _, trace in networks(seed) if _runs(trace))


def _runs(trace: Trace) -> bool:
    with tf.compat.v1.Session(graph=trace.graph) as session:
        try:
            session.run(trace.output, {trace.input: np.zeros(trace.input.shape)})
        except tf.errors.InvalidArgumentError:
            return False  # A map is too small to be mirrored.
    return True


def held(seed: int) -> tuple[bool, Tally]:
    """Whether the paths of a random network merge, and what was found of it."""
    for network, trace in networks(seed):
        axes = range(1, len(network.shape) - 1)
        try:
            truth = measured(network, network.shape, axes, trace=trace)
        except (ValueError, tf.errors.InvalidArgumentError):
            continue
        if not truth.any():
            continue
        tallies: list[Tally] = []
        hold(trace, truth, axes, tallies=tallies)
        return network.merges, tallies[0]
    raise AssertionError("networks are without end")
