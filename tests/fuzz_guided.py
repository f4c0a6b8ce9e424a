"""Damaged models that reach new code are kept, and damaged again.

  python -m tests.fuzz_guided FOLDER COUNT

tries so many files, as `fuzz` does, but is guided by the branches of the package that
they reach. What reached new ones is kept in a folder, and each file that is a defect in
its folder ``defects``. A run goes on where it was interrupted: what was counted is kept
in ``tried.json``, and the case that was running is asked about again, in a process of
its own. Needs `pip install atheris`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import pkgutil
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import atheris

# To ask about one case again, no branches are counted: preparing it takes minutes.
with (
    contextlib.nullcontext()
    if "--repeat" in sys.argv
    else atheris.instrument_imports(include=["receptive_field"])
):
    import receptive_field

    for _module in pkgutil.walk_packages(receptive_field.__path__, "receptive_field."):
        if not _module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(_module.name)

import fuzz
from needed import needed

from receptive_field.whole_files import replace_file

KINDS = list(fuzz.DAMAGE)

NAMES = {
    "GraphDef": "model.pb",
    "GraphDef as text": "model.pbtxt",
    "MetaGraph": "model.meta",
    "SavedModel": "model/saved_model.pb",
    "Keras": "model.keras",
    "HDF5": "model.h5",
    "ONNX": "model.onnx",
    "TFLite": "model.tflite",
    ".pt2": "model.pt2",
}
"""The names of files, which state their formats."""

HEAD = 2
"""The bytes before each file: its format, and the question about it."""


def mutated(case: bytes, most: int, seed: int) -> bytes:
    """Damages the file of a case, and sometimes asks another question about it."""
    draw = random.Random(seed)
    kind, question = case[0] % len(KINDS), case[1]
    if draw.random() < 0.2:
        question = draw.randrange(256)
    damage = fuzz.of_bytes if draw.random() < 0.1 else fuzz.DAMAGE[KINDS[kind]]
    try:
        content = damage(draw, case[HEAD:])
    except Exception:  # It is too damaged to be damaged by its structure.
        content = fuzz.of_bytes(draw, case[HEAD:])
    return bytes([kind, question]) + content[: most - HEAD]


LIMITS = fuzz.LIMITS._replace(seconds=60)
"""Counting branches takes time, too."""


class Guided:
    """Asks about cases, counts how they end, and keeps defects."""

    def __init__(self, folder: Path) -> None:
        self._defects = folder / "defects"
        self._defects.mkdir(parents=True, exist_ok=True)
        self._counted, self.running = folder / "tried.json", folder / "running"
        self._is_new = False
        self.counts: Counter[str] = Counter()
        with contextlib.suppress(FileNotFoundError):
            self.counts.update(json.loads(self._counted.read_text(encoding="utf-8")))

    def damage(self, case: bytes, most: int, seed: int) -> bytes:
        """Damages the file of a case, which makes a new one."""
        self._is_new = True
        return mutated(case, most, seed)

    def ask(self, case: bytes) -> None:
        """Asks about a case, and counts it, unless it was kept by an earlier run."""
        if len(case) < HEAD:
            return
        self.running.write_bytes(case)
        end, why = ending(case)
        if self._is_new or why:
            self.count(case, end, why)
        self._is_new = False
        self.running.unlink()

    def count(self, case: bytes, end: str, why: str) -> None:
        """Counts how a case ended."""
        kind = KINDS[case[0] % len(KINDS)]
        self.counts[f"{kind}: {end}"] += 1
        replace_file(self._counted, json.dumps(self.counts).encode())
        if why:
            print("\n", kind, case[1], why[:300], flush=True)
            name = hashlib.sha256(why.partition(":")[0].encode()).hexdigest()[:16]
            (self._defects / name).write_bytes(case)
        if not self.counts.total() % 1000:
            print(f"\n{fuzz.table(self.counts)}", flush=True)

    def ask_interrupted(self, command: list[str]) -> None:
        """Counts the case that was asked about when the last process ended."""
        with contextlib.suppress(FileNotFoundError):
            case = self.running.read_bytes()
            ended = subprocess.run([*command, "--repeat"]).returncode
            if ended:
                self.count(case, "broken", f"the process ended with {ended}")
            self.running.unlink()


def ending(case: bytes) -> tuple[str, str]:
    """How a case ends, and why."""
    kind = KINDS[case[0] % len(KINDS)]
    chosen = fuzz.Seed(NAMES[kind], kind, b"")
    return fuzz.ending(str(case[1]), chosen, case[HEAD:], LIMITS)


def start(folder: Path) -> Path:
    """The folder of cases; if there are none yet, those of the corpus."""
    cases = folder / "cases"
    if not cases.exists():
        cases.mkdir(parents=True)
        for number, kind in enumerate(KINDS):
            for place, seed in enumerate(fuzz.corpus()[kind]):
                case = bytes([number, place % 256]) + seed.content
                (cases / f"{number}_{place}").write_bytes(case)
    return cases


def main() -> None:
    """Tries damaged models until enough were tried."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    needed("keras")  # Importing it is no part of a case.
    guided = Guided(folder)
    if "--repeat" in sys.argv:
        ending(guided.running.read_bytes())
        return
    guided.ask_interrupted([sys.executable, "-m", "tests.fuzz_guided", *sys.argv[1:]])
    cases = start(folder)
    # It asks about those that are kept first, and about an empty one.
    left = count - guided.counts.total() + len(list(cases.iterdir())) + 1
    most = fuzz.MOST_BYTES + HEAD
    flags = [f"-runs={left}", f"-max_len={most}", "-rss_limit_mb=0", "-timeout=3600"]
    flags.append(f"-artifact_prefix={folder}{os.sep}")  # Slow cases, for example.
    atheris.Setup(
        [sys.argv[0], *flags, str(cases)], guided.ask, custom_mutator=guided.damage
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
