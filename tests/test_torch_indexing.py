"""Indices of PyTorch with random known positions."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from torch_experiments import check

torch = needed("torch")

SHAPE = (1, 2, 5, 6)


def _places(data: Any, dim: int, count: int) -> Any:
    places = st.integers(-SHAPE[dim], SHAPE[dim] - 1)
    return torch.tensor(data.draw(st.lists(places, min_size=count, max_size=count)))


@examples(10)
@given(data=st.data(), way=st.integers(0, 3))
def test_reads(data: Any, way: int) -> None:
    rows, columns = _places(data, 2, 3), _places(data, 3, 3)
    index: Any = [
        (..., rows, slice(None)),
        (..., rows, columns),
        (..., rows[:, None], columns),
        (..., rows.view(3, 1), columns[:2]),
    ][way]
    check(lambda x: x[index], SHAPE)


@examples(10)
@given(data=st.data(), dim=st.integers(2, 3), kind=st.sampled_from(["put", "add"]))
def test_writes(data: Any, dim: int, kind: str) -> None:
    places = _places(data, dim, 3) % SHAPE[dim]

    def thing(x: Any) -> Any:
        lines = x.narrow(dim, 1, 3)
        if kind == "add":
            return x.index_add(dim, places, lines)
        y = x.clone()
        y[(slice(None),) * dim + (places,)] = lines
        return y

    check(thing, SHAPE)


@examples(8)
@given(data=st.data(), dim=st.integers(2, 3), reduce=st.sampled_from(["sum", "amax"]))
def test_scatters(data: Any, dim: int, reduce: str) -> None:
    places = _places(data, dim, 3) % SHAPE[dim]
    shape = [1, 1, 1, 1]
    shape[dim] = 3
    sizes = [3 if axis == dim else n for axis, n in enumerate(SHAPE)]
    index = places.view(shape).expand(sizes).contiguous()

    def thing(x: Any) -> Any:
        return x.scatter_reduce(dim, index, x.gather(dim, index) * 2, reduce)

    check(thing, SHAPE)
