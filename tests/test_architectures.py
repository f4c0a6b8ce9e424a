"""Whole architectures, built with Keras and held against measurement at every layer."""

import numpy as np
import pytest
from keras_experiments import hold_layers
from needed import needed

keras = needed("keras")
layers, ops = keras.layers, keras.ops

pytestmark = pytest.mark.slow


def conv(filters, kernel=3, **options):
    return layers.Conv2D(filters, kernel, padding="same", activation="relu", **options)


def test_unet():
    """Its centres vary with the phase, so it is misaligned; its regions are exact."""
    x = image = keras.Input((24, 28, 1), batch_size=1)
    skips = []
    for filters in (2, 3):
        x = conv(filters)(conv(filters)(x))
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = conv(4, name="bottom")(x)
    for skip in skips[::-1]:
        x = layers.Conv2DTranspose(2, 2, strides=2)(x)
        x = layers.Concatenate()([skip, x])
        x = conv(2)(x)
    output = layers.Conv2D(1, 1, name="mask")(x)
    fields = hold_layers(keras.Model(image, output))
    assert fields["bottom"].aligned
    assert fields["mask"].aligned is False
    assert fields["mask"].exact
    assert fields["mask"].stride.tolist() == [1, 1]


def test_feature_pyramid():
    x = image = keras.Input((32, 32, 1), batch_size=1)
    levels = []
    for _ in range(3):
        x = conv(2, strides=2)(x)
        levels.append(x)
    top = layers.Conv2D(2, 1)(levels[-1])
    outputs = [conv(2, name="p3")(top)]
    for number, level in ((2, levels[1]), (1, levels[0])):
        up = layers.UpSampling2D(2, interpolation="nearest")(top)
        top = layers.Add()([layers.Conv2D(2, 1)(level), up])
        outputs.append(conv(2, name=f"p{number}")(top))
    fields = hold_layers(keras.Model(image, outputs))
    assert all(fields[f"p{number}"].exact for number in (1, 2, 3))


def test_atrous_pyramid():
    """DeepLab's: rates side by side, and a global branch."""
    x = image = keras.Input((40, 40, 1), batch_size=1)
    x = conv(2, strides=2)(x)
    branches = [layers.Conv2D(2, 1)(x)]
    branches += [conv(2, dilation_rate=rate)(x) for rate in (2, 3, 5)]
    local = layers.Concatenate(name="local")(branches)
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    pooled = layers.UpSampling2D((20, 20), interpolation="bilinear")(pooled)
    x = layers.Concatenate(name="all")([local, pooled])
    x = layers.UpSampling2D(2, interpolation="bilinear", name="up")(x)
    fields = hold_layers(keras.Model(image, x))
    assert list(fields["local"]) == [23, 23, 2, 2, 10, 10]
    assert fields["all"].size.tolist() == [np.inf, np.inf]
    assert list(fields["all"].local) == list(fields["local"])


def test_wavenet():
    x = signal = keras.Input((40, 1), batch_size=1)
    for rate in (1, 2, 4, 8):
        y = layers.Conv1D(2, 2, dilation_rate=rate, padding="causal")(x)
        gate = layers.Conv1D(2, 2, dilation_rate=rate, padding="causal")(x)
        y = ops.tanh(y) * ops.sigmoid(gate)
        x = layers.Add(name=f"block_{rate}")([layers.Conv1D(2, 1)(x), y])
    fields = hold_layers(keras.Model(signal, x))
    # The last of its 16 samples is the present one.
    assert list(fields["block_8"]) == [16, 1, 15]
    assert fields["block_8"].exact


def test_volume():
    x = volume = keras.Input((8, 10, 12, 1), batch_size=1)
    x = layers.Conv3D(2, (3, 1, 3), strides=(1, 2, 1), padding="same")(x)
    x = layers.MaxPooling3D((2, 2, 1), padding="same")(x)
    x = layers.Conv3DTranspose(1, 2, strides=2, name="up")(x)
    fields = hold_layers(keras.Model(volume, x))
    assert len(fields["up"].size) == 3


def tokens(x, height, width, dim):
    return layers.Reshape((height * width, dim))(x)


def test_vision_transformer():
    """Its tokens are apart until attention mixes them."""
    x = image = keras.Input((24, 32, 1), batch_size=1)
    x = layers.Conv2D(4, 8, strides=8, name="patches")(x)
    x = tokens(x, 3, 4, 4)
    x = y = layers.LayerNormalization(name="before")(x)
    y = layers.MultiHeadAttention(1, 4, name="attention")(y, y)
    x = layers.Add(name="after")([x, y])
    y = layers.Dense(4, activation="gelu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, y])
    x = layers.Reshape((3, 4, 4), name="grid")(x)
    model = keras.Model(image, x)
    fields = hold_layers(model)
    assert fields["grid"].is_global
    assert list(fields["grid"].local) == [8, 8, 8, 8, 0, 0]
    apart = keras.Model(
        image,
        layers.Reshape((3, 4, 4), name="grid")(
            layers.Dense(4)(model.get_layer("before").output)
        ),
    )
    assert list(hold_layers(apart)["grid"]) == [8, 8, 8, 8, 0, 0]


def windows(x, height, width, size):
    """(1, h, w, c) to (windows, size * size, c)."""
    channels = x.shape[-1]
    x = ops.reshape(x, (1, height // size, size, width // size, size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, size * size, channels))


def image_of(x, height, width, size):
    channels = x.shape[-1]
    x = ops.reshape(x, (1, height // size, width // size, size, size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (1, height, width, channels))


def swin_block(x, shift, name):
    height, width = x.shape[1:3]
    y = ops.roll(x, (-shift, -shift), (1, 2)) if shift else x
    y = windows(y, height, width, 4)
    y = layers.MultiHeadAttention(1, 2)(y, y)
    y = image_of(y, height, width, 4)
    y = ops.roll(y, (shift, shift), (1, 2)) if shift else y
    return layers.Add(name=name)([x, y])


def test_swin():
    """A window sees itself; a shifted one reaches into its neighbours."""
    x = image = keras.Input((16, 16, 2), batch_size=1)
    x = swin_block(x, 0, "windows")
    x = layers.Dense(2, name="dense")(x)
    x = swin_block(x, 2, "shifted")
    fields = hold_layers(keras.Model(image, x))
    assert fields["windows"].size.tolist() == [4, 4]
    assert fields["windows"].stride.tolist() == [1, 1]
    regions = fields["windows"].compute_input_region([[0, 5], [3, 5], [4, 15]])
    assert regions.tolist() == [[[0, 3], [4, 7]], [[0, 3], [4, 7]], [[4, 7], [12, 15]]]
