"""What traces of the applications of Keras answered, layer by layer, kept in files.

A file holds, for one version of Keras, the config of each application and the answers
for its layers. So a test needs neither Keras nor a trace. This command writes the file
of the installed version again; for the applications of Keras 2, add ``tf_keras``:

    python tests/keras_answers.py

The tests compare all applications of Keras 3, and those of Keras 2 that are in
`SMALLEST`. This command compares all of a file, in about ten minutes:

    python tests/keras_answers.py --compare tf_keras
"""

from __future__ import annotations

import argparse
import json
import lzma
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
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

SMALLEST = [
    *(*DOZEN, "NASNetMobile", "RegNetX002", "RegNetY002", "ResNet50", "ResNetRS50"),
]
"""The smallest application of each architecture."""

SLOW_AT_UNKNOWN_SIZE = ("RegNetX002", "RegNetY002", "Xception")
"""Those of the smallest whose answers at unknown size take several seconds."""

NOT_RUN = ("NASNetLarge", "NASNetMobile")
"""Applications that Keras builds without top for any size, but can run at none.

Where an input of n positions has become maps of floor((n - 1) / 8) and of
floor((n - 1) / 4) positions, Keras has to make the larger one smaller before it adds
them. It compares the sizes while it builds the model, and both are None.
"""

RESOLUTIONS = {"unknown": "unknown", "224x224": [224, 224], "299x331": [299, 331]}
"""The sizes at which a model without top is asked. One with top is asked at its own."""

DRAWN = {"299x331": [299, 331]}
"""The sizes at which single features of a model without top are asked."""

MOST_LAYERS = 6
"""The layers of a model whose features are asked, evenly spaced."""


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


def answers(
    model: Any, with_top: bool, resolutions: Mapping[str, Any] = RESOLUTIONS
) -> dict[str, dict[str, Any]]:
    """The answers of all layers, at each size.

    Args:
      model: a model.
      with_top: whether it is asked at its own size only.
      resolutions: the sizes at which it is asked otherwise.
    """
    sizes = {"own": None} if with_top else resolutions
    return {name: all_said(model, size) for name, size in sizes.items()}


def drawn(field: rf.ReceptiveField) -> list[list[int]]:
    """The first, the middle and the last feature, if their numbers are known."""
    counts = [axis.size for axis in field.feature_axes]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return []
    return [[0 for _ in known], [n // 2 for n in known], [n - 1 for n in known]]


def seen(
    field: rf.ReceptiveField, features: Sequence[Sequence[int]]
) -> list[tuple[Any, Any]]:
    """The region of each feature; and the positions in it, if they are known exactly.

    All features are asked about at once, which takes as long as to ask about one.
    """
    regions = [field.compute_input_region(feature).tolist() for feature in features]
    nothing = [(region, None) for region in regions]
    if not features or None in (axis.input_size for axis in field.axes):
        return nothing
    if not field.exact:
        return nothing
    support = field.support(features)
    if not support.exact:
        return [_alone(field, feature) for feature in features]
    masks = [support.mask(feature).tolist() for feature in features]
    return list(zip(regions, masks, strict=True))


def _alone(field: rf.ReceptiveField, feature: Sequence[int]) -> tuple[Any, Any]:
    """Others may be bounds, and this feature not."""
    support = field.support([feature])
    mask = support.mask(feature).tolist() if support.exact else None
    return field.compute_input_region(feature).tolist(), mask


def seen_by_drawn(
    model: Any,
    with_top: bool,
    sizes: Mapping[str, Any] = DRAWN,
    chosen: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """What drawn features see along their local paths, at each size.

    The positions are replaced by a hash, because there are many of them.
    """
    found: dict[str, dict[str, Any]] = {}
    for size, resolution in ({"own": None} if with_top else sizes).items():
        fields = rf.compute_receptive_fields(model, input_resolution=resolution)
        local = {n: f.local for n, f in fields.items() if f.local and drawn(f.local)}
        if chosen is not None:  # A trace has its layers in another order.
            local = {name: local[name] for name in chosen[size] if name in local}
        step = 1 if chosen else max(1, len(local) // MOST_LAYERS)
        found[size] = {
            layer: [_in_short(*answer) for answer in seen(field, drawn(field))]
            for layer, field in list(local.items())[step - 1 :: step]
        }
    return found


def _in_short(region: Any, positions: Any) -> list[Any]:
    text = json.dumps(positions).encode()
    return [
        region,
        None if positions is None else blake2b(text, digest_size=4).hexdigest(),
    ]


def file_of(keras: str) -> Path | None:
    """The path of the file of Keras, or of Keras 2; None if it is not installed."""
    try:
        return FOLDER / f"{keras}_{version(keras.replace('_', '-'))}.json.xz"
    except PackageNotFoundError:
        return None


@cache
def read(keras: str) -> dict[str, str]:
    """The JSON of the configs and answers of each application of an installed Keras.

    It is empty if there is no file for this version.
    """
    path = file_of(keras)
    if path is None or not path.exists():
        return {}
    lines = lzma.decompress(path.read_bytes()).decode().splitlines()
    return {name: text for name, _, text in (line.partition(" ") for line in lines)}


@lru_cache(maxsize=1)
def _found(keras: str, name: str) -> dict[str, Any]:
    text = read(keras).get(name)
    return json.loads(text) if text else _made(import_module(keras), name)


def kept(keras: str, name: str, with_top: bool) -> tuple[Any, dict[str, Any]]:
    """The config of an application, and the answers of its trace.

    If no file has them, the application is built and traced.
    """
    config, traced, *_ = _found(keras, name)["with top" if with_top else "without"]
    return config, traced


def kept_regions(keras: str, name: str, with_top: bool) -> dict[str, Any]:
    """What drawn features of an application see, as its trace says it.

    It is empty if the file does not hold this.
    """
    _, _, *regions = _found(keras, name)["with top" if with_top else "without"]
    return regions[0] if regions else {}


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
        trace = tensorflow.model_of(model)
        asked = {} if name in NOT_RUN and not top else DRAWN
        parts = config, answers(trace, top), seen_by_drawn(trace, top, asked)
        found["with top" if top else "without"] = parts
        keras.backend.clear_session()
    return found


def names(keras: str) -> list[str]:
    """The names of the applications in the file, or a dozen if there is none."""
    return sorted(read(keras)) or DOZEN


def differences(
    keras: str, name: str, resolutions: Mapping[str, Any] = RESOLUTIONS
) -> dict[str, Any]:
    """What an application says as its config says it, and its trace, if it differs.

    Each layer that differs is named with the size at which it does.
    """
    found = {}
    for with_top in (False, True):
        if name in NOT_RUN and not with_top:
            continue
        _, traced = kept(keras, name, with_top)
        model = written(keras, name, with_top)
        for size, told in answers(model, with_top, resolutions).items():
            expected = traced[size]
            for layer in {**expected, **told}:
                both = told.get(layer), expected.get(layer)
                if both[0] != both[1]:
                    found[f"{layer} at {size} size"] = both
        traced = kept_regions(keras, name, with_top)
        told_again = seen_by_drawn(model, with_top, DRAWN, traced) if traced else {}
        for size, told in told_again.items():
            for layer in {**traced[size], **told}:
                both = told.get(layer), traced[size].get(layer)
                if both[0] != both[1]:
                    found[f"features of {layer} at {size} size"] = both
    return found


def compare(keras: str) -> bool:
    """Prints all differences in the file, and returns whether there are any."""
    differ = False
    for number, name in enumerate(names(keras)):
        print(number, name, flush=True)
        for layer, (told, traced) in differences(keras, name).items():
            print(f"  {layer}: {told}, and in the trace {traced}", flush=True)
            differ = True
    return differ


def write_file(keras: str) -> None:
    """Writes the file of the installed version of Keras, or of Keras 2."""
    path, package = file_of(keras), import_module(keras)
    assert path is not None
    named = {n: f for n, f in vars(package.applications).items() if n[0].isupper()}
    lines = []
    for number, name in enumerate(sorted(n for n in named if callable(named[n]))):
        print(number, name, flush=True)
        found = json.dumps(_made(package, name), separators=(",", ":"))
        lines.append(f"{name} {found}\n")
    FOLDER.mkdir(exist_ok=True)
    text = "".join(lines)
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def main() -> int:
    """Writes or compares the file of the installed version of Keras."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keras", nargs="?", default="keras", help="keras or tf_keras")
    parser.add_argument("--compare", action="store_true", help="write nothing")
    asked = parser.parse_args()
    if asked.compare:
        return int(compare(asked.keras))
    write_file(asked.keras)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
