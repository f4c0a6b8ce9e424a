"""Prints how many steps the answers about real networks take, as shares of the limit.

  python scripts/count_steps.py [zoo] [applications] [onnx] [--only NAME]

The networks are those of the published table (`zoo`), the applications of Keras, and
the networks that PyTorch exports (`tests/data/onnx`). Each is asked all questions, at
an unknown size and at 224 x 224. The table has the ten answers that take most. Its
numbers are in `docs/guide/untrusted.md`.
"""

from __future__ import annotations

import argparse
import heapq
import inspect
import lzma
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import receptive_field as rf  # noqa: E402
from receptive_field import budget, zoo  # noqa: E402

SIZE = [224, 224]

QUESTIONS: dict[str, Callable[[Any], object]] = {
    "one output": rf.compute_receptive_field,
    "all layers": rf.compute_receptive_fields,
    "all layers of any size": lambda model: rf.compute_receptive_fields(
        model, input_resolution="unknown"
    ),
    "all layers at 224 x 224": lambda model: rf.compute_receptive_fields(
        model, input_resolution=SIZE
    ),
    "support": lambda model: rf.compute_receptive_field(
        model, input_resolution=SIZE
    ).support(),
    "explanation": lambda model: rf.compute_receptive_field(
        model, input_resolution=SIZE
    ).explain(),
    "resolutions": rf.resolutions,
    "costs": lambda model: rf.compute_costs(model, input_resolution=SIZE),
}

Networks = Iterator[tuple[str, Callable[[], Any]]]


def published() -> Networks:
    """Yields the networks of the published table."""
    for name in zoo.NETWORKS:
        yield name, lambda name=name: zoo.build(name).graph.as_graph_def()


def applications() -> Networks:
    """Yields the configs of the applications of Keras, whose weights are not made."""
    os.environ["KERAS_BACKEND"] = "numpy"
    import keras
    import numpy as np
    from keras.src.backend.numpy.core import Variable

    def empty(variable: Any, initializer: Any) -> None:
        variable._initialize(np.zeros(variable._shape, variable._dtype))

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(Variable, "_initialize_with_initializer", empty),
    ):
        path = Path(folder, "model.json")

        def written(build: Callable[..., Any]) -> Path:
            path.write_text(build(weights=None).to_json(), encoding="utf-8")
            return path

        for name, build in inspect.getmembers(keras.applications, inspect.isfunction):
            yield name, partial(written, build)


def exported() -> Networks:
    """Yields the files of networks that PyTorch exported."""
    with tempfile.TemporaryDirectory() as folder:
        for packed in sorted((ROOT / "tests/data/onnx").glob("*.onnx.xz")):
            path = Path(folder, packed.stem)
            path.write_bytes(lzma.decompress(packed.read_bytes()))
            yield packed.stem, lambda path=path: path


KINDS = {"zoo": published, "applications": applications, "onnx": exported}


def steps(answer: Callable[[], object]) -> int:
    """Returns how many steps an answer takes, or that part of it that takes most."""
    taken = [0]
    spend = budget._Budget

    class Counted(spend):  # type: ignore[misc,valid-type]
        """A budget that is so large that no answer uses it up."""

        def __init__(self, limit: int) -> None:
            super().__init__(limit)
            budgets.append(self)

    budgets: list[Counted] = []
    budget._Budget = Counted  # type: ignore[misc]
    try:
        with rf.work_limit(1 << 60):
            answer()
    except rf.ReceptiveFieldError:
        pass  # What cannot be answered ends for another reason.
    finally:
        budget._Budget = spend  # type: ignore[misc]
    taken += [made.limit - made.left for made in budgets]
    return max(taken)


def main() -> None:
    """Asks all questions about all networks, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help=", ".join(KINDS))
    parser.add_argument("--only", default="", help="a part of the networks' names")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found: list[tuple[int, str, str]] = []
    count = 0
    for kind in options.kinds or KINDS:
        for name, make in KINDS[kind]():
            if options.only not in name:
                continue
            count, model = count + 1, make()
            for question, asked in QUESTIONS.items():
                taken = steps(lambda asked=asked, model=model: asked(model))
                found.append((taken, question, name))
    print(f"Of {count} networks, the answers that take most:\n")
    print("| question | network | steps | share of the limit |")
    print("|---|---|---:|---:|")
    for taken, question, name in heapq.nlargest(10, found):
        print(f"| {question} | {name} | {taken:,} | {taken / budget.STEPS:.2%} |")


if __name__ == "__main__":
    main()
