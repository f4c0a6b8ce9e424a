"""The layers of exported networks are the modules of the code in PyTorch."""

from __future__ import annotations

from pathlib import Path

import receptive_field as rf
from receptive_field.frameworks import load

FOLDER = Path(__file__).parent / "data" / "onnx"
RESNET = load(FOLDER / "resnet50.onnx.xz")


def window(fields, name):
    """Kernel, stride and padding of a layer; None if it has no window of its own."""
    windows = fields[name].layer_windows
    found = {w and (w.kernel, w.stride, w.before) for w in windows}
    (only,) = found
    return only


def test_modules_are_layers_in_the_order_in_which_they_run():
    names = list(RESNET.layers)
    assert names[:5] == ["conv1", "bn1", "relu", "maxpool", "layer1.0.conv1"]
    assert names.index("layer1.2") < names.index("layer1") < names.index("layer2.0")
    assert RESNET.layers["layer1.2"] == RESNET.layers["layer1"]


def test_modules_that_are_called_several_times():
    """A bottleneck calls its ReLU three times."""
    calls = [name for name in RESNET.layers if name.startswith("layer1.0.relu")]
    assert calls == ["layer1.0.relu", "layer1.0.relu:2", "layer1.0.relu:3"]
    script = load(FOLDER / "resnet50_script.onnx.xz")
    calls = [name for name in script.layers if name.startswith("layer1.0.relu")]
    assert calls == ["layer1.0.relu", "layer1.0.relu_1", "layer1.0.relu_2"]


def test_classes():
    kinds = [RESNET.kinds[name] for name in ("conv1", "bn1", "relu", "layer1.0")]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "Bottleneck"]


def test_windows_are_those_of_the_module():
    """The numbers are those of the architecture. A folded norm has no window of its
    own, and neither has a module whose windows follow each other."""
    fields = rf.compute_receptive_fields(RESNET)
    assert window(fields, "conv1") == (7, 2, 3)
    assert window(fields, "maxpool") == (3, 2, 1)
    assert window(fields, "layer2.0.conv2") == (3, 2, 1)
    for name in ("bn1", "relu", "layer1.0.bn2", "layer1", "layer2", "layer4"):
        assert window(fields, name) is None, name
    norms = RESNET.layers["bn1"], RESNET.layers["conv1"]
    assert norms[0] == norms[1]


def test_a_layer_is_not_called_like_another_whose_weights_it_shares():
    """Two norms of this network have equal weights, which the file stores once."""
    vit = load(FOLDER / "vit_b_16_short.onnx.xz")
    norms = [name for name in vit.layers if ".ln_" in name]
    assert all(name.rpartition(".")[2] in ("ln_1", "ln_2") for name in norms)
