"""The notebook, executed from top to bottom for other models than the one it shows."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "python" / "util" / "examples"
NOTEBOOK = (EXAMPLES / "RF_Keras_Applications.ipynb").read_text()
PICKED = 'NAME = "ResNet50"\n'


def test_it_is_kept_without_results():
    notebook = nbformat.reads(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert sum(cell.source.count(PICKED) for cell in notebook.cells) == 1
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert set(notebook.metadata.kernelspec.values()) == {
        *("Python 3", "python", "python3")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV3Small"])
def test_it_runs_for_a_model(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    notebook = nbformat.reads(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace(PICKED, f'NAME = "{name}"\n')
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, resources=resources).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    text = "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in outputs
    )
    assert "40 models: " in text
    assert f" layers of {name} in " in text
    assert re.search(r"VGG16 +block5_pool +212 +32 ", text)  # The published numbers.
    assert re.search(r"ResNet50 +conv5_block3_out +483 +32 ", text)
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 3
    assert not list(tmp_path.iterdir())  # It writes nothing.
