"""Random modules of PyTorch: none of the answers is too small, or falsely exact."""

from __future__ import annotations

import pytest
from random_search import seeds
from random_torch_modules import described, example_of, held


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds("modules of PyTorch", 30))
def test_random_modules(seed):
    example = example_of(seed)
    outcome = held(example)
    assert outcome.kind != "refused", f"{example}: {outcome.reason}"


def test_a_seed_means_one_module():
    one, two = example_of(5), example_of(5)
    assert described(one.module) == described(two.module)
    assert str(one) == str(two)
    assert str(example_of(6)) != str(one)
