"""What traces of the applications of Keras answered, layer by layer, kept in files.

A file holds, for one version of Keras, the config of each application and the answers
for its layers. So a test needs neither Keras nor a trace. This command writes the file
of the installed version again; for the applications of Keras 2, add ``tf_keras``:

    python tests/keras_answers.py
"""

from __future__ import annotations

import json
import lzma
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import receptive_field as rf
from receptive_field.frameworks.tensorflow import load as tensorflow

FOLDER = Path(__file__).parent / "data" / "keras"

RESOLUTIONS = {"unknown": "unknown", "224x224": [224, 224], "299x331": [299, 331]}
"""The sizes at which a model without top is asked. One with top is asked at its own."""


def said(field: rf.ReceptiveField) -> list[Any]:
    """What a field says, without the names of its graph and its nodes."""
    answer = field.to_dict()
    numbers = ("size", "stride", "padding", "aligned", "exact", "output_size")
    local = None if field.local is None else field.local.size.tolist()
    return [*(answer[name] for name in numbers), local, bool(field.global_nodes)]


def answers(model: Any, with_top: bool) -> dict[str, dict[str, Any]]:
    """The answers of all layers, at each size.

    Args:
      model: a model.
      with_top: whether it is asked at its own size only.
    """
    sizes = {"own": None} if with_top else RESOLUTIONS
    return {
        name: {
            layer: said(field)
            for layer, field in rf.compute_receptive_fields(
                model, input_resolution=size
            ).items()
        }
        for name, size in sizes.items()
    }


def read(path: Path) -> dict[str, Any]:
    """The configs and answers in a file, by the names of the applications."""
    found: dict[str, Any] = json.loads(lzma.decompress(path.read_bytes()))
    return found


def file_of(keras: Any) -> Path:
    """The path of the file of an installed version of Keras."""
    return FOLDER / f"{keras.__name__}_{keras.__version__}.json.xz"


def _kept(keras: Any, name: str) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for top in (False, True):
        options = {} if top else {"input_shape": (None, None, 3)}
        made = getattr(keras.applications, name)
        model = made(weights=None, include_top=top, **options)
        config = json.loads(model.to_json())
        traced = answers(tensorflow.model_of(model), top)
        kept["with top" if top else "without"] = {"config": config, "answers": traced}
        keras.backend.clear_session()
    return kept


def main() -> None:
    """Writes the file of the installed version of Keras."""
    keras = import_module(sys.argv[1] if len(sys.argv) > 1 else "keras")
    named = {n: f for n, f in vars(keras.applications).items() if n[0].isupper()}
    found = {}
    for number, name in enumerate(sorted(n for n in named if callable(named[n]))):
        print(number, name, flush=True)
        found[name] = _kept(keras, name)
    text = json.dumps(found, separators=(",", ":"))
    FOLDER.mkdir(exist_ok=True)
    file_of(keras).write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    main()
