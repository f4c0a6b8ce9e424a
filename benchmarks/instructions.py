"""How many instructions the questions take, as ratios to the bare walk.

    python benchmarks/instructions.py [question ...]

Times on a shared machine differ by a quarter from run to run. The number of
instructions, counted by Valgrind's callgrind, hardly differs at all, so it shows what a
change is worth. Needs the extra "test", and `valgrind`.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed import OUTPUT, inception, walk

import receptive_field as rf
from receptive_field.frameworks.tensorflow.files import read_graph_def

ONE_IMAGE = {"input_resolution": [149, 149]}

QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "one output": lambda graph: rf.compute_receptive_field(
        graph, input="input_1", output=OUTPUT
    ),
    "all nodes": lambda graph: rf.compute_receptive_fields(graph, input="input_1"),
    # Of the graph that is part of the package, whose maps are larger.
    "support": lambda _: rf.compute_receptive_field(
        rf.EXAMPLE_GRAPH, **ONE_IMAGE
    ).support(),
    "resolutions": lambda _: rf.resolutions(rf.EXAMPLE_GRAPH),
}

ACTIONS = {"nothing": lambda _: None, "walk": walk, **QUESTIONS}

REPEATED = 4


def work(path: str, kind: str) -> None:
    """What is counted: nothing, the walk or a question, several times over."""
    definition, action = read_graph_def(path), ACTIONS[kind]
    action(definition)
    gc.disable()
    for _ in range(REPEATED):
        action(definition)


def instructions(path: Path, kind: str) -> int:
    """Returns the instructions of a process that does this, from start to end."""
    callgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    done = subprocess.run(
        [*callgrind, sys.executable, __file__, "--count", str(path), kind],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found.group(1))


def main(questions: list[str]) -> None:
    """Prints the numbers and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        path, _ = inception(Path(folder))
        nothing = instructions(path, "nothing")
        # Each action ran once more, to warm caches, than it did nothing.
        bare = (instructions(path, "walk") - nothing) // (REPEATED + 1)
        print(f"bare walk {bare / 1e6:.1f} million instructions")
        for kind in questions or QUESTIONS:
            own = (instructions(path, kind) - nothing) // (REPEATED + 1)
            print(f"{kind} {own / 1e6:.1f} million, {own / bare:.2f} x the walk")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--count"]:
        work(*sys.argv[2:])
    else:
        main(sys.argv[1:])
