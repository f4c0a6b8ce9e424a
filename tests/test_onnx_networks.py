"""Networks that PyTorch exported, against receptive fields that were measured there.

`data/onnx/README.md` says where the files and the measurements come from. Neither onnx
nor torch takes part: the test runs in a process in which they cannot be imported.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.rules.inference import Inference

FOLDER = Path(__file__).parent / "data" / "onnx"
AXES = ("x", "y", "z")


def rows(name):
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def truths():
    """File, layer, value, and what was measured on each axis of the layer."""
    measured = {}
    for name in ("torch_truth.csv", "measured.csv"):
        for row in rows(name):
            network = row["model"].replace("/", "_").removeprefix("tv_")
            network = network.replace("timmf_", "timm_")
            measured.setdefault((network, row["layer"]), []).append(row)
    for row in rows("layers.csv"):
        network = row["file"].removesuffix(".onnx.xz").removesuffix("_script")
        found = measured.get((network, row["layer"]))
        if found:
            yield row["file"], row["layer"], row["value"], found


TRUTHS = {(file, layer): (value, found) for file, layer, value, found in truths()}

ASK = """
import importlib.abc, json, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("onnx", "torch", "onnxruntime", "tensorflow"):
            raise ImportError(name + " must not be imported")

sys.meta_path.insert(0, Refuse())
import receptive_field as rf

found = {}
for file, values in json.load(sys.stdin).items():
    for value, field in rf.compute_receptive_fields(file, outputs=values).items():
        local = field.local
        found[f"{file} {value}"] = [
            bool(field.exact),
            local is not None and bool(local.exact),
            [[str(n) for n in numbers] for numbers in (
                field.size, field.stride, field.padding)],
            local and [[str(n) for n in numbers] for numbers in (
                local.size, local.stride, local.padding)],
        ]
json.dump(found, sys.stdout)
"""


@cache
def answers():
    asked = defaultdict(list)
    for (file, _), (value, _) in TRUTHS.items():
        asked[str(FOLDER / file)].append(value)
    run = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "layer"), TRUTHS, ids=[f"{file}-{layer}" for file, layer in TRUTHS]
)
def test_measured_in_pytorch(file, layer):
    value, measured = TRUTHS[file, layer]
    exact, local_exact, whole, local = answers()[f"{FOLDER / file} {value}"]
    for row in measured:
        if row["note"]:
            continue  # Features differ; `test_single_features` looks at them.
        place = AXES.index(row["axis"])
        wanted = [row[column] for column in ("size", "stride", "padding")]
        found = local if row["local"] == "True" and local else whole
        told = [numbers[place] for numbers in found]
        stated = [n for n, w in zip(told, wanted, strict=True) if w]
        assert stated == [*filter(None, wanted)]
        if row["size"] != "inf":
            assert exact or local_exact


def single_features(row):
    """The features that a note is about, each with the first and last pixel it sees."""
    found = re.findall(r"\((\d+), (-?\d+), (-?\d+)\)", row["note"])
    for match in re.finditer(
        r"u=(\d+)(?:\.\.(\d+))? (?:all )?sees? (\d+)\.\.(\d+)", row["note"]
    ):
        first, last, *region = match.groups()
        places = range(int(first), int(last or first) + 1)
        found += [(place, *region) for place in places]
    return [tuple(map(int, numbers)) for numbers in found]


FIXED = ("swin", "vit")
"""Networks whose files hold the sizes of windows or tokens as constants."""

NOTED = {
    (file, layer, row["axis"]): (value, row)
    for (file, layer), (value, found) in TRUTHS.items()
    for row in found
    if single_features(row)
}


@pytest.mark.parametrize(
    ("file", "layer", "axis"), NOTED, ids=["-".join(names) for names in NOTED]
)
def test_single_features(file, layer, axis):
    """Each measured feature sees what was measured, at the size of that image."""
    value, row = NOTED[file, layer, axis]
    model = load(FOLDER / file)
    ((_, image),) = model.inputs.items()
    stated = Inference(model.graph).shape(image)[2:]
    sizes = list(stated) if file.startswith(FIXED) else [128] * len(stated)
    place = len(sizes) - 1 - AXES.index(axis)
    sizes[place] = int(row["input_length"])
    field = rf.compute_receptive_field(
        model,
        output=value,
        input_resolution=sizes,
        global_context="exclude" if row["local"] == "True" else "include",
    )
    wanted = single_features(row)
    features = np.zeros((len(wanted), len(field.feature_axes)), dtype=int)
    features[:, AXES.index(axis)] = [feature for feature, _, _ in wanted]
    if field.exact:
        regions = field.compute_input_region(features)
    else:  # Windows of attention: only sets of positions tell them.
        regions = field.origin.support(field, features).region(features)
    found = regions[:, AXES.index(axis)].tolist()
    assert found == [[first, last] for _, first, last in wanted]


def test_enough_is_held():
    assert len({file for file, _ in TRUTHS}) >= 3
