"""Networks of torchvision and timm against receptive fields that were measured.

``data/onnx/torch_truth.csv`` was measured by gradients of the same networks in double
precision. Every row, with times, by a command (several minutes)::

    python -m tests.torch_networks
"""

from __future__ import annotations

import ast
import csv
import sys
import time
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from statistics import median
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

from needed import needed
from torchvision_ops import torch, torchvision

import receptive_field as rf

TRUTH = Path(__file__).parent / "data/onnx/torch_truth.csv"

HEIGHT = 256
"""The images were low and long; all networks can run at this height."""


def rows() -> list[dict[str, str]]:
    """What was measured."""
    with TRUTH.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def built(name: str) -> Any:
    """A network without weights, or with some if it needs their values."""
    try:
        with torch.device("meta"):
            return made(name)
    except NotImplementedError:
        return made(name)


def made(name: str) -> Any:
    """A network."""
    library, _, model = name.partition("/")
    if library == "timmf":
        return needed("timm").create_model(model, features_only=True)
    builder = torchvision.models.get_model_builder(model)
    weights = [p for p in signature(builder).parameters if p.startswith("weights")]
    return builder(**dict.fromkeys(weights))


def resolution_of(row: dict[str, str]) -> tuple[int, int]:
    """The height and the width of the image of a row."""
    length = int(row["input_length"])
    return (length, HEIGHT) if row["axis"] == "y" else (HEIGHT, length)


def output_of(layer: str) -> str | None:
    """The name of a row's layer in the analysis."""
    return "out" if layer == "@forward" else layer


def held(row: dict[str, str], field: rf.ReceptiveField) -> Iterator[str]:
    """What differs between a row and a field."""
    number = "xy".index(row["axis"])
    if row["local"] == "True":
        field = field.local
    stated = {
        "size": field.size,
        "stride": field.stride,
        "padding": field.padding,
    }
    for key, found in stated.items():
        if row[key] and "/" not in row[key] and found[number] != float(row[key]):
            yield f"{key} is {found[number]}, measured {row[key]}"
    if "/" in row["size"]:
        largest = max(map(int, row["size"].split("/")))
        if field.size[number] != largest or field.aligned:
            yield f"size is {field.size[number]}, measured {row['size']}"
    if row["centre_of_feature_0"]:
        centre = field.compute_input_center_coordinates([0] * len(field.axes))[number]
        if centre != float(row["centre_of_feature_0"]):
            yield f"centre is {centre}, measured {row['centre_of_feature_0']}"
    for u, first, last in features(row["note"]):
        feature = [0] * len(field.axes)
        feature[number] = u
        region = field.compute_input_region(feature)
        if region[number].tolist() != [first, last]:
            yield f"{u} sees {region.tolist()}, measured {first} to {last}"
    if not field.exact:
        yield "is a bound"


def features(note: str) -> Iterator[tuple[int, int, int]]:
    """The features of a note, with the first and last pixel that each sees."""
    if note.startswith("misaligned: "):
        yield from ast.literal_eval(note.removeprefix("misaligned: "))
        return
    for part in note.partition(": ")[2].split(", ") or []:
        name, _, ends = part.partition(" see")
        if ends and not name.startswith("u="):
            continue
        if ends:
            first, last = ends.split()[-1].split("..")
            numbers = name.removeprefix("u=").removesuffix(" all").split("..")
            for u in map(int, numbers):
                yield u, int(first), int(last)


def main() -> None:
    """Prints all differences, and the seconds of CPU that each network takes."""
    exports, _analyses, wrong = [], [], 0
    for row in rows():
        name = row["model"]
        module = built(name)
        start = time.process_time()
        try:
            field = rf.compute_receptive_field(
                module,
                output=output_of(row["layer"]),
                input_resolution=resolution_of(row),
            )
            exports.append(time.process_time() - start)
            found = list(held(row, field))
        except rf.ReceptiveFieldError as error:
            found = [str(error)]
        wrong += bool(found)
        print(name, row["layer"], row["axis"], exports[-1:], found or "right")
    print(f"{wrong} wrong; median {median(exports):.1f} s, most {max(exports):.1f} s")


if __name__ == "__main__":
    main()
