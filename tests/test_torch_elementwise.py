"""Random reductions, normalisations and products of PyTorch, against experiments."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from torch_experiments import check

torch = needed("torch")
F = needed("torch.nn.functional")

SHAPE = (1, 2, 3, 4)


@given(
    name=st.sampled_from(["sum", "mean", "amax", "var", "logsumexp"]),
    axes=st.sets(st.integers(-4, 3), min_size=1, max_size=3),
)
@examples(6)
def test_reductions_of_any_axes(name: str, axes: set[int]) -> None:
    over = sorted({axis % 4 for axis in axes})
    if name == "var":  # The variance of a single number is a constant.
        assume(over != [0])

    def reduced(x: Any) -> Any:
        return getattr(torch, name)(x, dim=over, keepdim=True) + 0 * x

    check(reduced, SHAPE, exact=True)


@given(
    name=st.sampled_from(["softmax", "cumsum", "cumprod", "sort", "cummax"]),
    axis=st.integers(-2, -1),
)
@examples(5)
def test_results_along_an_axis(name: str, axis: int) -> None:
    def along(x: Any) -> Any:
        found = getattr(torch, name)(x, dim=axis)
        return found[0] if isinstance(found, tuple) else found

    check(along, SHAPE, exact=True)


@given(causal=st.booleans(), queries=st.integers(1, 4), keys=st.integers(2, 4))
@examples(5)
def test_attention_with_other_numbers_of_keys(
    causal: bool, queries: int, keys: int
) -> None:
    def attended(x: Any) -> Any:
        query = x[:, :, :1].expand(1, 2, queries, 3)
        return F.scaled_dot_product_attention(query, x, 2 - x, is_causal=causal)

    check(attended, (1, 2, keys, 3), axes=(1, 2), channels=(3,))
