"""Models of Keras on backends that have no traces, with TensorFlow out of reach."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras_answers
import pytest
from random_search import seeds

pytestmark = pytest.mark.slow

BACKENDS = ["jax", "numpy"]
"""Those of CI; ``KERAS_BACKEND=torch python tests/keras_backends.py`` tries another."""

APPLICATIONS = {
    "jax": [
        *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "MobileNetV3Small"),
        "ResNet50V2",
    ],
    "numpy": ["MobileNetV3Small", "ResNet50V2"],
}
"""Those with all kinds of layers and calls; `test_keras_wing` has the others. NumPy
really computes each layer that a model is built of, on two images."""

CUSTOM = """
import sys
sys.modules["tensorflow"] = None
import keras
import receptive_field as rf

class Tokens(keras.layers.Layer):
    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, 4))

    def call(self, x):
        batch = keras.ops.shape(x)[0]
        rows = keras.ops.reshape(x, (batch, -1, 4))
        token = keras.ops.broadcast_to(self.token, (batch, 1, 4))
        return keras.ops.concatenate([token, rows], axis=1)

image = keras.Input((8, 8, 3))
x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(image)
field = rf.compute_receptive_field(keras.Model(image, Tokens(name="tokens")(x)))
regions = [field.compute_input_region([u], clip=True).tolist() for u in (0, 1, 6)]
print(json.dumps([regions, list(field.source.opened)]))
"""


def run(backend, *command):
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_applications(backend):
    names = APPLICATIONS[backend]
    found = run(backend, "keras_backends.py", "applications", *names)
    for name in names:
        _, expected = keras_answers.kept("keras", name, with_top=False)
        assert found[name] == json.loads(json.dumps(expected))


@pytest.mark.random
@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_do_what_they_do_in_tensorflow(backend):
    """What their kernels do is measured on the backend."""
    numbers = [0, *(seed.values[0] for seed in seeds("backends", 1))]
    found = run(backend, "keras_backends.py", "measured", *map(str, numbers))
    assert found["differ"] == []
    assert found["bounds"] == 0
    assert found["held"] >= 40


@pytest.mark.parametrize("backend", BACKENDS)
def test_custom_layers_are_opened(backend):
    """The first of 17 features is the class token; the others are rows of 4."""
    regions, opened = run(backend, "-c", "import json" + CUSTOM)
    assert regions == [[[0, -1], [0, -1]], [[0, 2], [0, 2]], [[2, 4], [2, 4]]]
    assert opened == ["tokens"]
