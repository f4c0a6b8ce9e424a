"""Slices, parts and writes of PyTorch with random positions, in both forms."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from torch_experiments import check, exported, written

torch = needed("torch")

SHAPE = (1, 2, 5, 6)
BOUNDS = st.none() | st.integers(-7, 7)


@examples(10)
@given(dim=st.integers(2, 3), start=BOUNDS, end=BOUNDS, step=st.integers(1, 3))
def test_slices(dim: int, start: int | None, end: int | None, step: int) -> None:
    if not len(range(SHAPE[dim])[start:end:step]):
        return
    index = (slice(None),) * dim + (slice(start, end, step),)
    check(lambda x: x[index], SHAPE, exact=True)


@examples(8)
@given(data=st.data(), dim=st.integers(2, 3), as_written=st.booleans())
def test_parts(data: Any, dim: int, as_written: bool) -> None:
    kind = data.draw(st.sampled_from(["chunk", "split", "tensor_split", "sizes"]))
    count = data.draw(st.integers(1, SHAPE[dim]))
    number = data.draw(st.integers(0, 5))

    def thing(x: Any) -> Any:
        if kind == "sizes":
            parts = x.split([count, SHAPE[dim] - count], dim)
        else:
            parts = getattr(x, kind)(count, dim)
        parts = [part for part in parts if part.shape[dim]]
        return parts[number % len(parts)]

    check(thing, SHAPE, program=(written if as_written else exported)(thing, SHAPE))


@examples(8)
@given(data=st.data(), dim=st.integers(2, 3), step=st.integers(1, 2))
def test_writes(data: Any, dim: int, step: int) -> None:
    start = data.draw(st.integers(0, SHAPE[dim] - 1))
    end = data.draw(st.integers(start + 1, SHAPE[dim]))
    index = (slice(None),) * dim + (slice(start, end, step),)

    def thing(x: Any) -> Any:
        return torch.slice_scatter(x, x.flip(dim)[index], dim, start, end, step)

    check(thing, SHAPE)


@examples(6)
@given(dim=st.integers(2, 3), size=st.integers(1, 4), step=st.integers(1, 4))
def test_windows(dim: int, size: int, step: int) -> None:
    check(lambda x: x.unfold(dim, size, step), SHAPE, exact=True)
