"""Converts networks to TensorFlow Lite, and writes them without their weights.

  python scripts/convert_tflite.py [--folder FOLDER] [NAME ...]

The files are in ``tests/data/tflite/``. They are compressed, and the weights in them
are zeros, which compress to nothing. Needs TensorFlow and Keras; the files in the
repository were made with TensorFlow 2.21.0 and Keras 3.15.1.
"""

from __future__ import annotations

import argparse
import lzma
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from keras import layers

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "tflite"

SEED = 20

LARGEST_KEPT = 64
"""Constants with more elements are weights. Smaller ones may be sizes or axes."""

Build = Callable[[], Any]


def mobilenet_v2() -> Any:
    """The network of Keras, for images of 224 x 224 pixels."""
    return keras.applications.MobileNetV2(weights=None)


def dilated() -> Any:
    """Convolutions with growing dilations, one of them with a stride before it."""
    image = keras.Input((65, 65, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="first")(
        image
    )
    x = layers.BatchNormalization(name="normalised")(x)
    x = layers.ReLU(name="active")(x)
    branches = [
        layers.Conv2D(
            8,
            3,
            dilation_rate=rate,
            padding="same",
            activation="relu",
            name=f"by_{rate}",
        )(x)
        for rate in (1, 2, 3, 6)
    ]
    x = layers.Concatenate(name="joined")(branches)
    x = layers.DepthwiseConv2D(3, dilation_rate=2, padding="same", name="depthwise")(x)
    return keras.Model(image, layers.Conv2D(4, 1, name="last")(x))


def transposed() -> Any:
    """Transposed convolutions with kernels of 2 to 5 positions, and one resize."""
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="down")(
        image
    )
    x = layers.Conv2DTranspose(8, 4, strides=2, padding="same", name="up_4")(x)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", name="up_3")(x)
    x = layers.Conv2DTranspose(8, 2, strides=2, name="up_2")(x)
    x = layers.Conv2DTranspose(4, 5, strides=1, padding="valid", name="up_5")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="twice")(x)
    return keras.Model(image, layers.Cropping2D(((1, 2), (3, 0)), name="cropped")(x))


def u_net() -> Any:
    """An encoder and a decoder with skip connections."""
    image = keras.Input((128, 128, 3), name="image")

    def block(x: Any, channels: int, name: str) -> Any:
        for number in (1, 2):
            x = layers.Conv2D(
                channels, 3, padding="same", activation="relu", name=f"{name}_{number}"
            )(x)
        return x

    skips, x = [], image
    for level in range(4):
        x = block(x, 8 << level, f"encoder_{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"pool_{level}")(x)
    x = block(x, 128, "bottom")
    for level in reversed(range(4)):
        x = layers.Conv2DTranspose(8 << level, 2, strides=2, name=f"up_{level}")(x)
        x = layers.Concatenate(name=f"join_{level}")([x, skips[level]])
        x = block(x, 8 << level, f"decoder_{level}")
    return keras.Model(image, layers.Conv2D(2, 1, name="classes")(x))


def sound() -> Any:
    """A network for sounds: strides, dilations, causal padding and pooling."""
    wave = keras.Input((1024, 1), name="wave")
    x = layers.Conv1D(8, 9, strides=4, padding="same", activation="relu", name="first")(
        wave
    )
    for rate in (1, 2, 4):
        y = layers.Conv1D(
            8,
            3,
            dilation_rate=rate,
            padding="causal",
            activation="relu",
            name=f"by_{rate}",
        )(x)
        x = layers.Add(name=f"add_{rate}")([x, y])
    x = layers.MaxPooling1D(2, name="pool")(x)
    return keras.Model(wave, layers.Conv1D(4, 5, name="last")(x))


def misaligned() -> Any:
    """Two branches whose centres differ, and features that scale the result."""
    image = keras.Input((48, 48, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="one")(image)
    y = layers.ZeroPadding2D(1, name="padded")(image)
    y = layers.AveragePooling2D(3, strides=2, name="pool")(y)
    x = layers.Concatenate(name="joined")([x, y])
    scale = layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
    scale = layers.Conv2D(11, 1, activation="sigmoid", name="scale")(scale)
    x = layers.Multiply(name="scaled")([x, scale])
    return keras.Model(image, layers.Conv2D(4, 3, padding="same", name="last")(x))


def any_size() -> Any:
    """A network for images of any size, whose sizes are computed when it runs."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="one")(
        image
    )
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="two")(x)
    y = layers.Conv2DTranspose(8, 2, strides=2, name="up")(y)
    x = layers.Conv2D(8, 5, padding="same", name="three")(x)
    y = layers.Conv2D(8, 3, dilation_rate=2, padding="same", name="dilated")(y)
    return keras.Model(image, layers.Concatenate(name="joined")([x, y]))


class TwoFunctions(tf.Module):
    """Two functions that share a layer, each of which becomes a signature."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(SEED)
        self.kernel = tf.Variable(random.random((3, 3, 3, 4)), dtype=tf.float32)
        self.second = tf.Variable(random.random((5, 5, 4, 4)), dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, 40, 40, 3], name="image")])
    def coarse(self, image: Any) -> Any:
        """Features of a stride of 4."""
        x = tf.nn.relu(tf.nn.conv2d(image, self.kernel, 2, "SAME"))
        return {"features": tf.nn.conv2d(x, self.second, 2, "VALID")}

    @tf.function(input_signature=[tf.TensorSpec([1, 40, 40, 3], name="image")])
    def fine(self, image: Any) -> Any:
        """Features of a stride of 2."""
        return {"map": tf.nn.relu6(tf.nn.conv2d(image, self.kernel, 2, "SAME"))}


def keras_converter(build: Build) -> Any:
    """The converter of a Keras model."""
    keras.utils.set_random_seed(SEED)
    return tf.lite.TFLiteConverter.from_keras_model(build())


def images(shape: tuple[int, ...]) -> Callable[[], Iterator[list[Any]]]:
    """A data set of random images, with which a converter chooses ranges."""

    def found() -> Iterator[list[Any]]:
        random = np.random.default_rng(SEED)
        for _ in range(4):
            yield [random.random((1, *shape)).astype(np.float32)]

    return found


def int8() -> bytes:
    """`dilated`, with integers for all values, and for its input and output."""
    converter = keras_converter(dilated)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = images((65, 65, 3))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def float16() -> bytes:
    """`u_net`, with weights in half precision."""
    converter = keras_converter(u_net)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def exported(build: Build) -> bytes:
    """A Keras model, through a SavedModel, as unknown sizes need it."""
    keras.utils.set_random_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        build().export(folder, verbose=False)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def two_signatures() -> bytes:
    """`TwoFunctions`, through a SavedModel."""
    module = TwoFunctions()
    with tempfile.TemporaryDirectory() as folder:
        signatures = {"coarse": module.coarse, "fine": module.fine}
        tf.saved_model.save(module, folder, signatures)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


NETWORKS: dict[str, Build] = {
    "mobilenet_v2": mobilenet_v2,
    "dilated": dilated,
    "transposed": transposed,
    "u_net": u_net,
    "sound": sound,
    "misaligned": misaligned,
}
"""Networks of Keras, converted without options."""

OTHERS: dict[str, Callable[[], bytes]] = {
    "any_size": lambda: exported(any_size),
    "dilated_int8": int8,
    "u_net_float16": float16,
    "two_signatures": two_signatures,
}


def converted(name: str) -> bytes:
    """The model with this name."""
    if name in OTHERS:
        return OTHERS[name]()
    return bytes(keras_converter(NETWORKS[name]).convert())


def without_weights(content: bytes) -> bytes:
    """Replaces the values of large constants by zeros, where they are in the file."""
    from tensorflow.lite.python import schema_py_generated as schema

    kept = bytearray(content)
    model = schema.Model.GetRootAs(content, 0)
    for number in range(model.SubgraphsLength()):
        subgraph = model.Subgraphs(number)
        for place in range(subgraph.TensorsLength()):
            tensor = subgraph.Tensors(place)
            buffer = model.Buffers(tensor.Buffer())
            values = buffer.DataAsNumpy()
            if not isinstance(values, np.ndarray):
                continue
            if np.prod(tensor.ShapeAsNumpy()) > LARGEST_KEPT:
                start = values.__array_interface__["data"][0]
                start -= np.frombuffer(content, np.uint8).__array_interface__["data"][0]
                kept[start : start + len(values)] = bytes(len(values))
    return bytes(kept)


def main() -> None:
    """Writes all files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("names", nargs="*", default=[*NETWORKS, *OTHERS])
    given = parser.parse_args()
    folder = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        content = without_weights(converted(name))
        packed = lzma.compress(content, preset=9)
        (folder / f"{name}.tflite.xz").write_bytes(packed)
        print(f"{name}: {len(content)} bytes, {len(packed)} compressed")


if __name__ == "__main__":
    main()
