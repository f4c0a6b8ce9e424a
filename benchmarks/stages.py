"""Where the time goes when all layers of a Keras model are analysed.

    python benchmarks/stages.py [application ...]

Prints the median of several runs of every stage, and its ratio to the trace, which is
what Keras and TensorFlow need to make a graph of the model at all.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import keras

import receptive_field as rf
from receptive_field.frameworks import load
from receptive_field.frameworks.tensorflow import keras_models
from receptive_field.questions.question import Options, Question

RUNS = 5


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """The median time of an action in milliseconds, and what it returned."""
    times, result = [], None
    for _ in range(RUNS):
        start = time.perf_counter()
        result = action()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), result


def stages(name: str) -> None:
    """Prints the stages of one of ``keras.applications``."""
    model = getattr(keras.applications, name)(
        weights=None, include_top=False, input_shape=(224, 224, 3)
    )
    rows: dict[str, float] = {}
    rows["trace by Keras and TensorFlow"], traced = timed(
        lambda: keras_models.trace(model)
    )
    rows["GraphDef of the trace"], definition = timed(
        lambda: traced.graph.as_graph_def(add_shapes=True)
    )
    rows["read the GraphDef"], source = timed(lambda: load(definition))
    options = Options()
    rows["find input, scope and sizes"], _ = timed(
        lambda: Question.ask(source, None, None, options)
    )
    # What is inferred is kept, so every run asks anew.
    rows["find, and analyse every node"], fields = timed(
        lambda: Question.ask(source, None, None, options).answers(strict=False)
    )
    rows["all of it, from the Keras model"], layers = timed(
        lambda: rf.compute_receptive_fields(model)
    )
    print(f"\n{name}: {len(definition.node)} nodes, {len(fields)} of them analysed,")
    print(f"{len(layers)} layers; median of {RUNS} runs\n")
    print(f"{'stage':34}{'ms':>9}{'/ trace':>10}")
    trace = rows["trace by Keras and TensorFlow"]
    for stage, milliseconds in rows.items():
        print(f"{stage:34}{milliseconds:9.1f}{milliseconds / trace:10.2f}")


if __name__ == "__main__":
    for application in sys.argv[1:] or ["ResNet50"]:
        stages(application)
