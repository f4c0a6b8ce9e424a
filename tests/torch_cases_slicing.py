"""Slices, parts and diagonals of PyTorch, and what is written into them."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch = needed("torch")


def _added(x: Any) -> Any:
    y = x.clone()
    y[:, :, 1:] += x[:, :, :-1]
    return y


def _every_second(x: Any) -> Any:
    y = x.clone()
    y[:, :, 1::2] = x[:, :, 2:4]
    return y


def _one_line(x: Any) -> Any:
    y = x.clone()
    y[:, :, 3] = x[:, :, 1]
    return y


def _into_zeros(x: Any) -> Any:
    return torch.slice_scatter(torch.zeros(1, 2, 8, 6, dtype=torch.float64), x, 2, 2, 7)


CASES: Cases = {
    "slice": [
        case(lambda x: x[:, :, 1:4], check_exact=True),
        case(lambda x: x[:, :, 1::2, :-2], check_exact=True),
        case(lambda x: x[:, :, -3:100], check_exact=True),
    ],
    "select": [
        case(lambda x: x[:, :, 2], check_channels=(1,), check_exact=True),
        case(lambda x: x[:, :, :, -1], check_channels=(1,), check_exact=True),
        case(lambda x: x[:, 1], check_channels=(), check_exact=True),
    ],
    "split": [
        case(lambda x: x.chunk(3, 3)[2], check_exact=True),
        case(lambda x: torch.stack(x.split(3, 3), 4), check_channels=(1, 4)),
        case(lambda x: x.split(4, 3)[1], check_exact=True),
    ],
    "split_with_sizes": [
        case(lambda x: x.split([1, 3, 2], 3)[1], check_exact=True),
    ],
    "narrow": [
        case(lambda x: x.narrow(2, 1, 3), check_exact=True, check_written=True),
        case(lambda x: x.narrow(3, -2, 2), check_exact=True, check_written=True),
    ],
    "chunk": [
        case(lambda x: x.chunk(4, 3)[2], check_exact=True, check_written=True),
        case(lambda x: x.chunk(2, 2)[1], check_exact=True, check_written=True),
    ],
    "unsafe_chunk": [
        case(lambda x: torch.unsafe_chunk(x, 2, 3)[1], check_written=True),
    ],
    "unsafe_split": [case(lambda x: torch.unsafe_split(x, 4, 3)[1])],
    "unsafe_split_with_sizes": [
        case(lambda x: torch.unsafe_split_with_sizes(x, [2, 4], 3)[1])
    ],
    "tensor_split": [
        case(lambda x: x.tensor_split(4, 3)[1], check_exact=True, check_written=True),
        case(lambda x: x.tensor_split((2, -1), 3)[2], check_written=True),
        case(lambda x: x.tensor_split((2, -1), 3)[1], check_written=True),
    ],
    "hsplit": [
        case(lambda x: x[0, 0].hsplit(3)[1], check_channels=(), check_written=True),
        case(
            lambda x: x[0, 0].hsplit([1, 4])[1], check_channels=(), check_written=True
        ),
    ],
    "vsplit": [
        case(lambda x: x[0, 0].vsplit([1, 4])[2], check_channels=(), check_written=True)
    ],
    "dsplit": [
        case(lambda x: x.dsplit([1, 4])[1], check_exact=True, check_written=True)
    ],
    "linalg_diagonal": [
        case(lambda x: torch.linalg.diagonal(x, offset=1), check_written=True)
    ],
    "unbind": [case(lambda x: x.unbind(3)[2], check_exact=True)],
    "diagonal": [
        case(lambda x: x.diagonal(1, 2, 3), check_exact=True),
        case(lambda x: x.diagonal(-2, 3, 2), check_exact=True),
    ],
    "diag_embed": [
        case(lambda x: x.diag_embed(1, 2, 3)),
        case(lambda x: x.diag_embed()),
    ],
    "diag": [
        case(lambda x: torch.diag(x[0, 0], -1), check_channels=()),
        case(lambda x: torch.diag(x[0, 0, 1], 1), check_channels=()),
    ],
    "diagflat": [case(lambda x: torch.diagflat(x[:, :1], 1), check_channels=())],
    "unfold": [
        case(lambda x: x.unfold(2, 2, 3), check_exact=True),
        case(lambda x: x.unfold(3, 3, 2), check_exact=True),
    ],
    "as_strided": [
        case(lambda x: x.as_strided((1, 2, 4, 6), (60, 30, 6, 1))),
        case(lambda x: x.as_strided((1, 2, 3, 3), (0, 30, 7, 2), 3)),
    ],
    "slice_scatter": [
        case(_added, check_exact=True),
        case(_every_second, check_exact=True),
        case(_into_zeros, check_exact=True),
        case(lambda x: torch.slice_scatter(x, torch.ones(1, 2, 2, 6), 2, 1, 3)),
    ],
    "select_scatter": [case(_one_line, check_exact=True)],
    "diagonal_scatter": [
        case(lambda x: torch.diagonal_scatter(x, x[:, :, :, 1], 1, 2, 3)),
        case(lambda x: torch.diagonal_scatter(x, torch.ones(1, 2, 5), 1, 2, 3)),
    ],
}
