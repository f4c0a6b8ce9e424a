"""Joins, repeats and turns of PyTorch with random arguments."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from torch_experiments import check

torch = needed("torch")

SHAPE = (1, 2, 5, 6)


@examples(8)
@given(data=st.data(), dim=st.integers(1, 3), stacks=st.booleans())
def test_joins(data: Any, dim: int, stacks: bool) -> None:
    starts = data.draw(st.lists(st.integers(0, 2), min_size=2, max_size=3))

    def thing(x: Any) -> Any:
        if stacks:
            return torch.stack([x[:, :, n : n + 3] for n in starts], 1)
        return torch.cat([x.narrow(dim, min(n, 1), 1) for n in starts], dim)

    check(thing, SHAPE, channels=(1, 2) if stacks else (1,))


@examples(8)
@given(
    turns=st.integers(-4, 4),
    offsets=st.tuples(st.integers(-7, 7), st.integers(-7, 7)),
    dims=st.sets(st.integers(2, 3), min_size=1),
)
def test_turns(turns: int, offsets: tuple[int, int], dims: set[int]) -> None:
    def thing(x: Any) -> Any:
        return x.roll(offsets, (2, 3)).flip(tuple(dims)).rot90(turns, (2, 3))

    check(thing, SHAPE)


@examples(8)
@given(data=st.data(), dim=st.integers(2, 3))
def test_repeats(data: Any, dim: int) -> None:
    counts = st.lists(st.integers(0, 2), min_size=SHAPE[dim], max_size=SHAPE[dim])
    times = data.draw(st.integers(1, 3) | counts.filter(any))
    tiles = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    repeats = times if isinstance(times, int) else torch.tensor(times)
    check(
        lambda x: x.repeat_interleave(repeats, dim).repeat(1, 1, *tiles),
        SHAPE,
    )
