"""A process may analyse any number of models: what it keeps of them does not grow.

The tests run this file, as a process of its own. `python -m tests.stress memory` does
the same for longer, with models that differ more.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

WARM_UP = 3
ROUNDS = 4

MOST = 5000
"""The bytes by which a round may grow. Python and NumPy keep some freed objects, which
are two thousand bytes a round; the smallest model that is analysed takes 6,700."""

LEAKS = "--leak"
"""Said to a process that is to keep a model in each round."""

LAYERS = [("a", 3, 2, True), ("b", 5, 1, False), ("c", 3, 1, True), ("d", 2, 2, False)]
"""Name, kernel, stride and whether the padding is SAME, for each layer of a chain."""


def write_models(folder: Path, number: int) -> list[Path]:
    """Writes models of four frameworks; the names in them depend on a number."""
    import lzma

    import stress

    layers = [(f"{name}{number}", *layer) for name, *layer in LAYERS]
    kinds = stress.as_graph, stress.as_onnx, stress.as_keras
    made = [make(folder, layers, None) for make in kinds]
    lite = folder / f"model{number}.tflite"
    packed = HERE / "data/tflite/misaligned.tflite.xz"
    lite.write_bytes(lzma.decompress(packed.read_bytes()))
    return [*made, lite]


def ask_everything(number: int) -> Any:
    """Asks all questions about models that are new; returns one of them."""
    import stress

    import receptive_field as rf
    from receptive_field.frameworks import load

    with tempfile.TemporaryDirectory() as folder:
        made = write_models(Path(folder), number)
        for path in made if LEAKS not in sys.argv else ():
            stress.answers(stress.QUESTIONS, path)
            stress.answers(stress.OF_FIELDS, rf.compute_receptive_field(path))
        model = load(made[1])
        rf.compute_receptive_field(model)
        return model


def measure() -> None:
    """Prints the bytes that are in use after each round."""
    kept: list[Any] = []
    tracemalloc.start()
    used = []
    for number in range(WARM_UP + ROUNDS):
        model = ask_everything(number)
        if LEAKS in sys.argv:
            kept.append(model)
        del model
        gc.collect()
        used.append(tracemalloc.get_traced_memory()[0])
    print(json.dumps(used[WARM_UP:]))


def growth(*options: str) -> float:
    """Returns by how many bytes the memory of a process grows in a round."""
    done = subprocess.run(
        [sys.executable, __file__, *options],
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
        capture_output=True,
        text=True,
        check=True,
    )
    used = json.loads(done.stdout.splitlines()[-1])
    steps = sorted(after - before for before, after in pairwise(used))
    return float(steps[len(steps) // 2])


@pytest.mark.slow
def test_memory_does_not_grow() -> None:
    assert growth() < MOST


@pytest.mark.slow
def test_a_model_that_is_kept_would_be_found() -> None:
    assert growth(LEAKS) > MOST


if __name__ == "__main__":
    measure()
