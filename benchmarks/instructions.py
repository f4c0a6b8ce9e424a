"""How many instructions one question takes, as a ratio to the bare walk.

    python benchmarks/instructions.py

Times on a shared machine differ by a quarter from run to run; instructions, counted by
Valgrind's callgrind, hardly at all, so that they show what a change is worth. Needs the
extra "test", and `valgrind`.
"""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from speed import OUTPUT, inception, walk

import receptive_field as rf
from receptive_field.frameworks.tensorflow.files import read_graph_def

REPEATED = 4


def work(path: str, kind: str) -> None:
    """What is counted: nothing, the walk or the question, some times over."""
    definition = read_graph_def(path)
    action = {
        "nothing": lambda: None,
        "walk": lambda: walk(definition),
        "question": lambda: rf.compute_receptive_field(
            definition, input="input_1", output=OUTPUT
        ),
    }[kind]
    action()
    gc.disable()
    for _ in range(REPEATED):
        action()


def instructions(path: Path, kind: str) -> int:
    """The instructions of a process that does this, from start to end."""
    callgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    done = subprocess.run(
        [*callgrind, sys.executable, __file__, str(path), kind],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found.group(1))


def main() -> None:
    """Prints the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        path, _ = inception(Path(folder))
        nothing, bare, question = (
            instructions(path, kind) for kind in ("nothing", "walk", "question")
        )
    # Each action ran once more, to warm caches, than it did nothing.
    times = REPEATED + 1
    bare, question = (bare - nothing) // times, (question - nothing) // times
    print(f"bare walk {bare / 1e6:.1f} million instructions")
    print(f"one output {question / 1e6:.1f} million, {question / bare:.2f} x the walk")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        work(*sys.argv[1:])
    else:
        main()
