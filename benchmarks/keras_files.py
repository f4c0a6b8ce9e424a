"""The time and memory that results for Keras files and model objects take.

    python benchmarks/keras_files.py [application ...]

A file is analysed in a process of its own. Prints the CPU time and
the peak memory of this process, the CPU time of the same question about the model
object, and the time of a trace.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

import receptive_field as rf
from receptive_field.frameworks.tensorflow import keras_models

ASK = """
import receptive_field as rf, sys
print(rf.compute_receptive_field(sys.argv[1]))
status = open("/proc/self/status").read()
print(status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""
"""What is run for a file. The peak of `getrusage` would include the parent's memory."""


def of_file(path: Path) -> tuple[float, int]:
    """Returns the CPU seconds and the peak memory in megabytes for a file."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, int(done.stderr) // 1024


def seconds(action: Callable[[], Any]) -> float:
    """Returns the CPU seconds of an action in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    action()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(names: list[str]) -> None:
    """Prints a line for each file and each object."""
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            model = getattr(keras.applications, name)(weights=None)
            for kind in ("keras", "h5", "json"):
                path = Path(folder) / f"{name}.{kind}"
                if kind == "json":
                    path.write_text(model.to_json())
                else:
                    model.save(path)
                used, memory = of_file(path)
                print(f"{name}.{kind}: {used:.2f} s, {memory} MB")
            rf.compute_receptive_field(model)  # Imports what the first answer needs.
            asked = seconds(lambda model=model: rf.compute_receptive_field(model))
            start = time.perf_counter()
            keras_models.trace(model)
            traced = time.perf_counter() - start
            print(f"{name}, the object: {asked:.2f} s; a trace alone {traced:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:] or ["ResNet50", "NASNetMobile"])
