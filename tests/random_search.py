"""Random examples: the same ones for the same files, others after every change.

The seed of a run is made of the contents of the package and of the tests. So a run can
be repeated, in a fresh clone too, and each change is tried on new examples. `search.py`
runs the random tests with ever new seeds.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent


def seed_of_contents(root: Path = ROOT) -> int:
    """A number made of all files of the package and of the tests, caches left out."""
    digest = hashlib.sha256()
    for folder in ("receptive_field", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).digest()
                digest.update(path.relative_to(root).as_posix().encode() + content)
    return int.from_bytes(digest.digest()[:4], "big")


SEED = 0
"""The seed of this run; `conftest.py` sets it before it collects tests."""

TIMES = 1
"""By how much more examples are tried; a search sets it."""


def seeds(name: str, count: int) -> list[Any]:
    """So many seeds of this run, as parameters of a test.

    Args:
      name: what they are for; other names have other seeds.
      count: how many there are in an ordinary run.
    """
    found = []
    for number in range(count * TIMES):
        digest = hashlib.sha256(f"{SEED} {name} {number}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        found.append(pytest.param(seed, id=f"random{number}", marks=pytest.mark.random))
    return found


def examples(count: int) -> settings:
    """How many examples of a property an ordinary run tries."""
    return settings(max_examples=count * TIMES)
