"""Ops of PyTorch that read or write positions that other tensors name."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch = needed("torch")

SOME = torch.tensor([3, 0, 4])
FLAGS = torch.tensor([True, False, True, True, False])
ROWS, COLUMNS = torch.tensor([[1], [4]]), torch.tensor([[5, 0, 2]])


def _picked(x: Any) -> Any:
    """Indices that the data decide."""
    return (x[0, 0, 0, :4] > 1).long()


def _put(x: Any) -> Any:
    y = x.clone()
    y[:, :, SOME] = x[:, :, :3]
    return y


def _put_points(x: Any) -> Any:
    y = x.clone()
    y[:, :, ROWS, COLUMNS] = x[:, :, 2:4, 1:4]
    return y


def _put_apart(x: Any) -> Any:
    y = x.clone()
    y[:, SOME % 2, :, SOME] = x[0, 0, :3, None, :5]
    return y


def _put_flags(x: Any) -> Any:
    y = x.clone()
    y[:, :, FLAGS] = 2.0
    return y


def _put_where(x: Any) -> Any:
    y = 3 * x
    y[x > 1] = 1.0
    return y


TWO, THREE = (torch.arange(n)[:, None].expand(1, 2, n, 6).contiguous() for n in (2, 3))


CASES: Cases = {
    "index": [
        case(lambda x: x[:, :, SOME], check_exact=True),
        case(lambda x: x[:, :, FLAGS], check_exact=True),
        case(lambda x: x[:, :, ROWS, COLUMNS], check_exact=True),
        case(lambda x: x[:, :, SOME, SOME], check_exact=True),
        case(lambda x: x[:, SOME % 2, :, SOME], check_channels=(1,)),
        case(lambda x: x[:, :, [[0, 1], [4, 2]]], check_channels=(1,)),
        case(lambda x: x[:, :, _picked(x)]),
    ],
    "index_select": [
        case(lambda x: x.index_select(2, SOME), check_exact=True),
        case(lambda x: x.index_select(2, _picked(x))),
    ],
    "gather": [
        case(lambda x: x.gather(2, THREE), check_exact=True),
        case(lambda x: x.gather(2, (x[:, :, :2] > 1).long())),
    ],
    "take": [case(lambda x: x.take(torch.tensor([[7, 59], [30, 1]])))],
    "take_along_dim": [
        case(lambda x: x.take_along_dim(SOME.view(1, 1, 3, 1), 2), check_exact=True),
        case(lambda x: x.take_along_dim(SOME.view(1, 1, 3, 1)), check_channels=()),
    ],
    "index_put": [
        case(_put),
        case(_put_points),
        case(_put_apart),
        case(_put_flags, check_exact=True),
        case(_put_where, check_exact=True),
        case(
            lambda x: x.index_put(
                (torch.tensor([0]), torch.tensor([1]), SOME[:1]),
                x[0, 0, 0] * 2,
                accumulate=True,
            )
        ),
    ],
    "index_add": [case(lambda x: x.index_add(2, SOME, x[:, :, :3]))],
    "index_copy": [case(lambda x: x.index_copy(2, SOME, x[:, :, :3]))],
    "index_fill": [case(lambda x: x.index_fill(2, SOME, 1.0), check_exact=True)],
    "index_reduce": [
        case(lambda x: x.index_reduce(2, SOME, x[:, :, :3], "prod", include_self=False))
    ],
    "scatter": [
        case(lambda x: x.scatter(2, THREE, x[:, :, 1:])),
        case(lambda x: x.scatter(2, TWO, 1.5)),
    ],
    "scatter_add": [case(lambda x: x.scatter_add(2, THREE, x[:, :, 1:]))],
    "scatter_reduce": [
        case(lambda x: x.scatter_reduce(2, THREE, x[:, :, 1:4], "sum")),
        case(
            lambda x: x.scatter_reduce(
                2, THREE, x[:, :, 1:4], "mean", include_self=False
            )
        ),
    ],
    "masked_select": [
        case(lambda x: x.masked_select(FLAGS[:, None]), check_channels=()),
    ],
    "masked_scatter": [
        case(lambda x: x.masked_scatter(FLAGS[:, None], x.flip(2))),
        case(lambda x: x.masked_scatter(x > 1, x * 2)),
    ],
    "tril": [case(lambda x: x.tril(1))],
    "triu": [case(lambda x: x.triu(-1))],
}

REASONS = {
    "nonzero": "the number of places depends on the data",
    "nonzero_static": "its places are integers, which hardly ever change",
}

UNSUPPORTED = {
    "_unique2": "the data decide which values there are, and how many",
    "unique_consecutive": "the data decide which values there are, and how many",
    "unique_dim": "the data decide which values there are, and how many",
    "as_strided_scatter": "it writes to the memory behind a tensor",
}
