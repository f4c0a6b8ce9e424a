"""Random modules of PyTorch: none of the answers is too small, or falsely exact."""

from __future__ import annotations

import pytest
from random_search import seeds
from random_torch_modules import described, example_of, held, torch
from torch_experiments import check


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


def test_what_is_written_over_is_not_seen_by_a_mean():
    """Found by a random module: the window claimed to see the whole axis."""

    def copied(x):
        y = x.clone()
        y[..., 0] = x[..., -1]
        return y.mean(-1, keepdim=True) + y

    field = check(copied, (1, 1, 6), (2,), exact=False)
    assert field.support().mask([0]).tolist() == [False, *[True] * 5]


def test_what_a_mask_hides_is_not_seen_by_a_mean():
    mask = torch.tensor([True, False, True, True, True])

    def masked(x):
        y = torch.where(mask, x, 2 * x.roll(1, -1))
        return y.mean(-1, keepdim=True) + y

    check(masked, (1, 1, 5), (2,))
