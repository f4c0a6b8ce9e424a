"""Runs the random tests with ever new seeds, and many more examples than the suite.

  python tests/search.py --minutes 30
  python tests/search.py tests/test_rules.py -k chain

A search goes on where it was interrupted, with the seed of that round: what has been
tried is kept in ``.search.json``. It ends at the first failure, and says how to repeat
it; the next search begins with that seed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from random_search import ROOT, seed_of_contents

from receptive_field.whole_files import replace_file


class State(NamedTuple):
    """What has been tried, by the arguments of pytest."""

    passed: dict[str, list[int]]
    """Seeds of rounds that passed, of the files as they are now."""
    begun: dict[str, int]
    """Seeds of rounds that were interrupted, or failed."""

    @classmethod
    def read(cls, path: Path) -> State:
        """What is kept; what passed does not count if the files have changed."""
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return cls({}, {})
        same = kept["contents"] == seed_of_contents()
        return cls(kept["passed"] if same else {}, kept["begun"])

    def write(self, path: Path) -> None:
        kept = {"contents": seed_of_contents(), **self._asdict()}
        replace_file(path, json.dumps(kept, indent=1).encode())


def run(arguments: list[str]) -> int:
    """One run of pytest, ended with all its workers if this process is."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "random", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        return process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def main() -> int:
    """Runs rounds until the time is up, a round fails, or it is interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog="other arguments are those of pytest: files, -k, -n",
    )
    parser.add_argument("--minutes", type=float, help="begin no round after these")
    parser.add_argument("--rounds", type=int, help="run so many rounds more")
    parser.add_argument(
        "--times", type=int, default=5, help="how many times as many examples a round"
    )
    parser.add_argument("--state", type=Path, default=ROOT / ".search.json")
    options, others = parser.parse_known_args()
    state = State.read(options.state)
    what = " ".join([f"--times {options.times}", *others])
    done = state.passed.setdefault(what, [])
    end = time.monotonic() + 60 * (options.minutes or math.inf)
    last = len(done) + (options.rounds or sys.maxsize)
    while len(done) < last and time.monotonic() < end:
        fresh = int.from_bytes(os.urandom(4), "big")
        seed = state.begun.setdefault(what, fresh)
        state.write(options.state)
        print(f"round {len(done) + 1}: --seed {seed} --times {options.times}")
        found = run(["--seed", str(seed), "--times", str(options.times), *others])
        if found:
            return found
        done.append(state.begun.pop(what))
        state.write(options.state)
    print(f"{len(done)} rounds passed")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; the rounds that passed are kept.")
