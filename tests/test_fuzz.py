"""Damaged models of each format are answered or refused (see `fuzz`).

Many more, with seeds of their own: ``python -m tests.fuzz SEED COUNT``.
"""

from __future__ import annotations

import random

import fuzz
import pytest
from random_search import seed_of_contents

from receptive_field.frameworks.keras.hdf5 import HEAP, EndlessError

CASES = 500
"""How many files are damaged."""

SLOW = fuzz.LIMITS._replace(seconds=60, megabytes=2048)
"""Limits on a machine that does other things, too, while coverage is measured."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", fuzz.DAMAGE)
def test_damaged_models(kind):
    formats = list(fuzz.DAMAGE)
    seed = seed_of_contents()
    numbers = range(formats.index(kind), CASES, len(formats))
    ends = [fuzz.outcome_of(seed, number, SLOW) for number in numbers]
    assert {found for found, _, _ in ends} == {kind}
    defects = [
        f"python -m tests.fuzz {seed} 0 --repeat {number}: {why}"
        for number, (_, _, why) in zip(numbers, ends, strict=True)
        if why
    ]
    assert not defects
    # What is refused at the first byte tests nothing. (Of many, a seventh is answered.)
    assert any(end == "answered" for _, end, _ in ends)


def test_a_message_is_written_as_it_was_read():
    for seed in fuzz.corpus()["GraphDef"] + fuzz.corpus()["ONNX"]:
        parts = fuzz.parsed(seed.content)
        assert b"".join(part.written() for part in parts) == seed.content


def test_the_same_numbers_damage_alike():
    for number in range(9):
        assert fuzz.case_of(3, number) == fuzz.case_of(3, number)


@pytest.mark.parametrize("kind", fuzz.DAMAGE)
def test_what_is_damaged_differs(kind):
    seeds = fuzz.corpus()[kind]
    assert len(seeds) > 1
    differs = [
        fuzz.DAMAGE[kind](random.Random(number), seed.content) != seed.content
        for number, seed in enumerate(seeds)
    ]
    assert sum(differs) * 2 > len(differs)


def test_a_file_that_h5py_never_leaves_is_not_opened_to_be_damaged():
    """Guided fuzzing damages files again: the first object of this one is empty."""
    (content, *_) = [
        seed.content for seed in fuzz.corpus()["HDF5"] if HEAP in seed.content
    ]
    first = content.index(HEAP) + 16
    endless = content[:first] + bytes(16) + content[first + 16 :]
    opens = next(n for n in range(9) if random.Random(n).random() >= 0.3)
    assert fuzz.of_hdf5(random.Random(opens), content) != content
    with pytest.raises(EndlessError):
        fuzz.of_hdf5(random.Random(opens), endless)
