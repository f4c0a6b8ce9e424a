"""Tells what is wrong, and what is weaker than it could be, at sizes not known.

  python scripts/tally_unknown_sizes.py [CHECKOUT ...] [--networks 2000]

Random networks (`tests/unknown_sizes.py`) are asked about at unknown size and at each
size from 1 to 48, with the package of every checkout, by default of this one. Answers
are kept in a folder, by the contents of the package that gave them: a tally that was
interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from compare_checkouts import ROOT, contents, write_whole


def answer(checkout: Path, into: Path, count: int) -> None:
    """Asks the package of a checkout about every network that is not there yet."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path[:0] = [str(checkout), str(ROOT / "tests")]
    import unknown_sizes

    import receptive_field as rf

    if not Path(rf.__file__).is_relative_to(checkout):
        raise SystemExit(f"{rf.__file__} is not the package of {checkout}")
    into.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        path = into / f"{seed:05}.json"
        if not path.exists():
            said: Any = unknown_sizes.said(rf, unknown_sizes.network(seed))
            found = list(unknown_sizes.wrong(said))
            weak = list(unknown_sizes.weak(said))
            write_whole(path, {"wrong": found[:3], "weak": weak})


def tally(folder: Path, count: int) -> None:
    """Prints what was found."""
    weak: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    wrong = []
    for path in sorted(folder.glob("*.json"))[:count]:
        found = json.loads(path.read_text())
        if found["wrong"]:
            wrong.append((path.stem, found["wrong"]))
        for what, is_weak in found["weak"]:
            asked[what] += 1
            weak[what] += is_weak
    for seed, found in wrong[:10]:
        print(f"  {seed}: {found[0]}")
    each = ", ".join(f"{what} {weak[what]} of {asked[what]}" for what in asked)
    print(f"wrong in {len(wrong)} networks; weaker than it could be: {each}")
    print(f"together {weak.total()} of {asked.total()}")


def main() -> None:
    """Tallies; see the file's head."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkouts", type=Path, nargs="*", default=[ROOT])
    parser.add_argument("--networks", type=int, default=2000, help="random networks")
    parser.add_argument("--folder", type=Path, default=ROOT / ".compare" / "sizes")
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        answer(given.checkouts[0].resolve(), given.answer, given.networks)
        return
    for checkout in map(Path.resolve, given.checkouts):
        into = given.folder / contents(checkout)
        command = [sys.executable, __file__, str(checkout), "--answer", str(into)]
        subprocess.run([*command, "--networks", str(given.networks)], check=True)
        print(checkout.name)
        tally(into, given.networks)


if __name__ == "__main__":
    main()
