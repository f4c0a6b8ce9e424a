"""The notebooks, executed from top to bottom, one again for another model."""

import copy
import re
from pathlib import Path

import pytest
from needed import needed, needs
from run_scripts import EXAMPLES

nbformat = needed("nbformat")

NOTEBOOK = (EXAMPLES / "RF_Keras_Applications.ipynb").read_text()
PICKED = 'NAME = "ResNet50"\n'


OF_TORCH = (EXAMPLES / "RF_Torch_Models.ipynb").read_text()


@pytest.mark.parametrize(
    ("text", "picked"),
    [(NOTEBOOK, PICKED), (OF_TORCH, 'NAME = "torchvision/resnet50"\n')],
    ids=["keras", "torch"],
)
def test_it_is_kept_without_results(text, picked):
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert sum(cell.source.count(picked) for cell in notebook.cells) == 1
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert set(notebook.metadata.kernelspec.values()) == {
        *("Python 3", "python", "python3")
    }


def of_the_model(cells):
    """The cells that depend on which model is picked."""
    heads = [cell.source.partition("\n")[0] for cell in cells]
    return cells[heads.index("## Pick a model") : heads.index("## Several models")]


def of_few(notebook, *names):
    """Compares only these models, of which a test knows the numbers."""
    (cell,) = (cell for cell in notebook.cells if SEVERAL.search(cell.source))
    cell.source = SEVERAL.sub(rf"\1 = {[*names]}", cell.source)


SEVERAL = re.compile(r"^(several|MODELS) = \[.*?\]", re.DOTALL | re.MULTILINE)

WITHOUT_RANDOM_NUMBERS = """
import keras
import numpy as np

def zeros(self, shape, dtype=None):
    return np.zeros(shape, dtype)

for kind in ("TruncatedNormal", "VarianceScaling"):
    getattr(keras.initializers, kind).__call__ = zeros
"""
"""Weights have no bearing on what is told, and most of the time goes into them."""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "numpy"])
@needs("tensorflow", "matplotlib", "pandas", "ipykernel")
def test_it_runs(backend, tmp_path, monkeypatch):
    """Once more for another model, where Keras models can be traced."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    notebook = nbformat.reads(NOTEBOOK, as_version=4)
    of_few(notebook, "VGG16", "ResNet50")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(WITHOUT_RANDOM_NUMBERS))
    shown = len(notebook.cells)
    if backend == "tensorflow":
        again = copy.deepcopy(of_the_model(notebook.cells))
        for cell in again:
            cell.source = cell.source.replace(PICKED, 'NAME = "MobileNetV3Small"\n')
        notebook.cells += again
    resources = {"metadata": {"path": str(tmp_path)}}
    client = needed("nbclient").NotebookClient
    client(notebook, timeout=300, resources=resources).execute()
    first, second = (
        [output for cell in cells for output in cell.get("outputs", [])]
        for cells in (notebook.cells[:shown], notebook.cells[shown:])
    )
    text, other = ("\n".join(map(as_text, outputs)) for outputs in (first, second))
    assert "40 models: " in text
    assert " layers of ResNet50 in " in text
    assert re.search(r"VGG16 +block5_pool +212 +32 ", text)  # The published numbers.
    assert re.search(r"ResNet50 +conv5_block3_out +483 +32 ", text)
    pictures = ["image/png" in output.get("data", {}) for output in first]
    assert sum(pictures) == 3
    if backend == "tensorflow":
        assert " layers of MobileNetV3Small in " in other
        pictures = ["image/png" in output.get("data", {}) for output in second]
        assert sum(pictures) == 2  # Without that of several models.
    assert not list(tmp_path.iterdir())  # It writes nothing.


@pytest.mark.slow
@needs("torch", "torchvision", "timm", "matplotlib", "pandas", "ipykernel")
def test_that_of_pytorch_runs(tmp_path):
    notebook = nbformat.reads(OF_TORCH, as_version=4)
    tests = str(Path(__file__).parent)
    importing = f"import sys; sys.path.append({tests!r}); import torchvision_ops"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(importing))
    named = ("vgg16", "resnet18", "mobilenet_v2")
    of_few(notebook, *(f"torchvision/{name}" for name in named), "timm/resnet10t")
    resources = {"metadata": {"path": str(tmp_path)}}
    client = needed("nbclient").NotebookClient
    client(notebook, timeout=300, resources=resources).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    text = "\n".join(map(as_text, outputs))
    assert " modules of torchvision/resnet50 in " in text
    # Measured, and published.
    assert re.search(r"torchvision/vgg16 +\S+ +212 +32 +90 ", text)
    assert re.search(r"torchvision/resnet18 +layer4 +435 +32 +217 ", text)
    assert re.search(r"torchvision/mobilenet_v2 +features +491 +32 +245 ", text)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    assert not list(tmp_path.iterdir())  # It writes nothing.


def as_text(output):
    return output.get("text") or output.get("data", {}).get("text/plain", "")
