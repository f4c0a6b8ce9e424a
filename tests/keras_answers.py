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
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import receptive_field as rf
from receptive_field.frameworks.keras.configs import called_model
from receptive_field.frameworks.keras.load import model_from
from receptive_field.frameworks.keras.write import write
from receptive_field.frameworks.tensorflow import load as tensorflow

FOLDER = Path(__file__).parent / "data" / "keras"

DOZEN = [
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0"),
    *("InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2"),
    *("MobileNetV3Small", "ResNet50V2", "VGG16", "Xception"),
]
"""The applications that are traced for a version of Keras without a file."""

RESOLUTIONS = {"unknown": "unknown", "224x224": [224, 224], "299x331": [299, 331]}
"""The sizes at which a model without top is asked. One with top is asked at its own."""


def said(field: rf.ReceptiveField) -> list[Any]:
    """What a field says, without the names of its graph and its nodes."""
    answer = field.to_dict()
    numbers = ("size", "stride", "padding", "aligned", "exact", "output_size")
    local = None if field.local is None else field.local.size.tolist()
    return [*(answer[name] for name in numbers), local, bool(field.global_nodes)]


def all_said(model: Any, size: Any = None) -> dict[str, list[Any]]:
    """What the fields of all layers say."""
    fields = rf.compute_receptive_fields(model, input_resolution=size)
    return {layer: said(field) for layer, field in fields.items()}


def answers(model: Any, with_top: bool) -> dict[str, dict[str, Any]]:
    """The answers of all layers, at each size.

    Args:
      model: a model.
      with_top: whether it is asked at its own size only.
    """
    sizes = {"own": None} if with_top else RESOLUTIONS
    return {name: all_said(model, size) for name, size in sizes.items()}


def file_of(keras: str) -> Path:
    """The path of the file of an installed version of Keras, or of Keras 2."""
    return FOLDER / f"{keras}_{version(keras.replace('_', '-'))}.json.xz"


@cache
def read(keras: str) -> dict[str, Any]:
    """The configs and answers of the applications of an installed version of Keras.

    It is empty if there is no file for this version.
    """
    path = file_of(keras)
    return json.loads(lzma.decompress(path.read_bytes())) if path.exists() else {}


def kept(keras: str, name: str, with_top: bool) -> tuple[Any, dict[str, Any]]:
    """The config of an application, and the answers of its trace.

    If no file has them, the application is built and traced.
    """
    found = read(keras).get(name) or _made(import_module(keras), name)
    config, traced = found["with top" if with_top else "without"]
    return config, traced


def written(keras: str, name: str, with_top: bool) -> Any:
    """An application as its config says it."""
    config, _ = kept(keras, name, with_top)
    return model_from(name, write(called_model(config), name))


def _made(keras: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for top in (False, True):
        options = {} if top else {"input_shape": (None, None, 3)}
        made = getattr(keras.applications, name)
        model = made(weights=None, include_top=top, **options)
        config = json.loads(model.to_json())
        traced = answers(tensorflow.model_of(model), top)
        found["with top" if top else "without"] = config, traced
        keras.backend.clear_session()
    return found


def names(keras: str) -> list[str]:
    """The names of the applications in the file, or a dozen if there is none."""
    return sorted(read(keras)) or DOZEN


def main() -> None:
    """Writes the file of the installed version of Keras."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "keras"
    keras = import_module(wanted)
    named = {n: f for n, f in vars(keras.applications).items() if n[0].isupper()}
    found = {}
    for number, name in enumerate(sorted(n for n in named if callable(named[n]))):
        print(number, name, flush=True)
        found[name] = _made(keras, name)
    text = json.dumps(found, separators=(",", ":"))
    FOLDER.mkdir(exist_ok=True)
    file_of(wanted).write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    main()
