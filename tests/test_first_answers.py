"""The text of ``receptive-field compute MODEL`` for whole models, at 80 columns.

The texts are in tests/golden. After a change of the text on purpose, this writes them
again; a person must then look at the difference (``git diff tests/golden``)::

    pytest tests/test_first_answers.py --write-golden

The numbers in these texts are not taken on trust: each test computes them by other
means, and looks for them in the text.
"""

from pathlib import Path

import pytest
from needed import needed

from receptive_field.cli import main

keras = needed("keras")
needed("tensorflow")

import training_graphs  # noqa: E402
from keras import layers  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def first_answer(request, tmp_path, monkeypatch, capsys):
    """A function that returns what `compute` prints of a model, as the golden text."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def answer(model, name):
        if isinstance(model, keras.Model):
            file = f"{name}.keras"
            model.save(file)
        else:
            file = f"{name}.pb"
            Path(file).write_bytes(model.SerializeToString())
        assert main(["compute", file]) == 0
        shown = capsys.readouterr().out
        golden = GOLDEN / f"{name}.txt"
        if request.config.option.write_golden:
            golden.write_text(shown)
        assert shown == golden.read_text()
        return {
            line[:18].strip(): line[19:]
            for line in shown.splitlines()
            if line[0] != " "
        }

    return answer


def chain(*windows):
    """Size and stride after layers of (kernel, stride): the paper's recurrence."""
    size, stride = 1, 1
    for kernel, step in windows:
        size, stride = size + (kernel - 1) * stride, stride * step
    return size, stride


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()


@pytest.mark.slow
def test_mobilenet_v3_small(first_answer):
    told = first_answer(keras.applications.MobileNetV3Small(weights=None), "mobilenet")
    # Howard et al. 2019, table 2: the kernels and strides of the blocks.
    blocks = [(3, 2), (3, 2), (3, 1), (5, 2), *[(5, 1)] * 4, (5, 2), *[(5, 1)] * 2]
    size, stride = chain((3, 2), *blocks)
    local = f"size {size} x {size}, stride {stride} x {stride}"
    assert told["local paths only"].startswith(local)


@pytest.mark.slow
def test_efficientnet_b0(first_answer):
    told = first_answer(keras.applications.EfficientNetB0(weights=None), "efficientnet")
    # Tan and Le 2019, table 1, and the kernels of its stages: kernel, stride, repeats.
    stages = [(3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 2, 3), (5, 1, 3), (5, 2, 4)]
    stages.append((3, 1, 1))
    windows = [(k, s if i == 0 else 1) for k, s, n in stages for i in range(n)]
    size, stride = chain((3, 2), *windows)
    local = f"size {size} x {size}, stride {stride} x {stride}"
    assert told["local paths only"].startswith(local)


LEVELS = 4


def unet():
    x = image = keras.Input((256, 256, 1), name="image")
    skips = []

    def block(x, name):
        for part in "ab":
            x = layers.Conv2D(2, 3, padding="same", name=f"{name}_{part}")(x)
        return x

    for level in range(LEVELS):
        skips.append(block(x, f"down{level}"))
        x = layers.MaxPooling2D(2, name=f"pool{level}")(skips[-1])
    x = block(x, "bottom")
    for level in reversed(range(LEVELS)):
        x = layers.Conv2DTranspose(2, 2, 2, name=f"grow{level}")(x)
        x = layers.Concatenate(name=f"join{level}")([skips[level], x])
        x = block(x, f"up{level}")
    return keras.Model(image, layers.Conv2D(2, 1, name="mask")(x))


def seen_by(first, last, level=0):
    """What positions of a level's output see of its input: the hull over both paths."""
    first, last = first - 2, last + 2  # Two convolutions of 3 going up.
    if level == LEVELS:
        return first, last
    below, above = seen_by(first // 2, last // 2, level + 1)
    below, above = min(first, 2 * below), max(last, 2 * above + 1)
    return below - 2, above + 2  # Two convolutions of 3 going down.


def test_unet(first_answer):
    told = first_answer(unet(), "unet")
    sizes = {u: last - first + 1 for u in range(16) for first, last in [seen_by(u, u)]}
    largest = max(sizes.values())
    assert told["receptive field"] == f"at most {largest} x {largest}"
    text = (GOLDEN / "unet.txt").read_text()
    for feature in (0, 127):
        first, last = seen_by(feature, feature)
        first, last = max(first, 0), min(last, 255)
        size = last - first + 1
        assert (
            f"feature ({feature}, {feature}) sees x {first} to {last}, "
            f"y {first} to {last} ({size} x {size})\n"
        ) in text


def test_vit(first_answer):
    x = image = keras.Input((64, 64, 3), name="image")
    x = layers.Conv2D(16, 16, 16, name="patches")(x)
    x = layers.Reshape((16, 16), name="tokens")(x)
    for block in range(2):
        y = layers.LayerNormalization(name=f"norm{block}")(x)
        y = layers.MultiHeadAttention(2, 8, name=f"attention{block}")(y, y)
        x = layers.Add(name=f"add{block}")([x, y])
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    told = first_answer(keras.Model(image, layers.Dense(5, name="scores")(x)), "vit")
    # Attention sees all (64 / 16) ** 2 tokens; without it, a token sees its patch.
    assert told["output"] == "add1 (16)"
    assert told["receptive field"] == "whole input"
    assert told["local paths only"].startswith("size 16 x 16,")


def hull_below(model, feature):
    """What a feature sees of the first axis: the hull of the windows of all layers."""
    seen = {model.layers[-1]: (feature, feature)}
    for layer in reversed(model.layers):  # Each layer comes after those that read it.
        first, last = seen.get(layer, (None, None))
        if first is None or not layer._inbound_nodes[0].input_tensors:
            continue
        kernel, stride, before = 1, 1, 0
        inputs = layer._inbound_nodes[0].input_tensors
        if hasattr(layer, "kernel_size") or hasattr(layer, "pool_size"):
            kernel = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))[0]
            stride, size = layer.strides[0], inputs[0].shape[1]
            if layer.padding == "same":
                total = (-(-size // stride) - 1) * stride + kernel - size
                before = max(total, 0) // 2
        elif isinstance(layer, layers.ZeroPadding2D):
            before = layer.padding[0][0]
        elif isinstance(layer, layers.Cropping2D):
            before = -layer.cropping[0][0]
        first, last = first * stride - before, last * stride - before + kernel - 1
        for tensor in inputs:
            below = tensor._keras_history.operation
            known = seen.get(below, (first, last))
            seen[below] = min(first, known[0]), max(last, known[1])
    return seen[model.layers[0]]


@pytest.mark.slow
def test_nasnet_mobile(first_answer):
    model = keras.applications.NASNetMobile(weights=None)
    told = first_answer(model, "nasnet")
    assert told["aligned"] == "no"
    # The first convolution, of 3 by 2 without padding, gives (224 - 3) // 2 + 1 = 111
    # positions, which see 111 * 2 + 1 = 223 pixels. The middle feature sees them all.
    text = (GOLDEN / "nasnet.txt").read_text()
    assert "feature (3, 3) sees x 0 to 222, y 0 to 222 (223 x 223)\n" in text
    features = keras.Model(model.input, model.layers[-3].output)
    first, last = hull_below(features, 3)
    size = last - first + 1
    assert told["receptive field"] == f"at most {size} x {size}"
    padding = 3 * 32 - first
    assert told["effective padding"] == f"{padding} x {padding}"


def test_audio(first_answer):
    x = sound = keras.Input((None, 1), name="sound")
    for number in range(3):
        x = layers.Conv1D(
            4, 3, dilation_rate=2**number, padding="causal", name=f"conv{number}"
        )(x)
    x = layers.Conv1D(4, 4, 2, padding="same", name="reduce")(x)
    told = first_answer(keras.Model(sound, x), "audio")
    # Causal kernels of 3, dilated by 1, 2 and 4, then 4 by 2: 1 + 2 + 4 + 8 + 3.
    # Causal padding is 2 + 4 + 8; SAME adds 1 before if the size is even, else 1.
    assert told["receptive field"] == "18"
    assert told["effective stride"] == "2"
    assert told["effective padding"] == "15"


def test_volume(first_answer):
    x = volume = keras.Input((32, 64, 64, 1), name="volume")
    x = layers.Conv3D(4, 3, padding="same", name="conv1")(x)
    x = layers.MaxPooling3D((1, 2, 2), name="pool")(x)
    x = layers.Conv3D(4, 3, padding="same", name="conv2")(x)
    told = first_answer(keras.Model(volume, x), "volume")
    plane, plane_stride = chain((3, 1), (2, 2), (3, 1))
    depth, depth_stride = chain((3, 1), (1, 1), (3, 1))
    assert told["receptive field"] == f"x: {plane}, y: {plane}, z: {depth}"
    stride = f"x: {plane_stride}, y: {plane_stride}, z: {depth_stride}"
    assert told["effective stride"] == stride


def test_training_graph(first_answer):
    graph = training_graphs.graph_def_of(training_graphs.classifier)
    told = first_answer(graph, "training")
    size, stride = chain((5, 1), (2, 2), (5, 1), (2, 2))
    assert told["output"] == "pool2 (7 x 7)"
    assert told["receptive field"] == f"{size} x {size}"
    assert told["effective stride"] == f"{stride} x {stride}"
