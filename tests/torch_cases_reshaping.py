"""Views of PyTorch, and ops that add, drop, repeat and permute axes."""

from __future__ import annotations

from needed import needed
from torch_cases import Cases, case

torch = needed("torch")
nn = torch.nn


CASES: Cases = {
    "view": [
        case(lambda x: x.view(1, 2, 5, 2, 3), check_channels=(1,), check_exact=True),
        case(lambda x: x.view(1, 2, -1), check_exact=True),
        case(lambda x: x.view(torch.int64).double(), check_exact=True),
        case(lambda x: x.view(torch.int32).double()),
    ],
    "_unsafe_view": [
        case(lambda x: x.permute(0, 1, 3, 2).reshape(1, 2, -1), check_exact=True)
    ],
    "permute": [case(lambda x: x.permute(0, 3, 1, 2), check_channels=(2,))],
    "transpose": [case(lambda x: x.transpose(2, 3), check_exact=True)],
    "squeeze": [
        case(lambda x: x.squeeze(1), shape=(1, 1, 5, 6), check_channels=()),
        case(lambda x: x[:, :1].squeeze((1, 2)), check_channels=()),
    ],
    "unsqueeze": [case(lambda x: x.unsqueeze(2), check_exact=True)],
    "expand": [
        case(lambda x: x.expand(-1, 3, 5, -1), shape=(1, 1, 5, 6), check_exact=True),
        case(lambda x: x[:, :, :1].expand(1, 2, 4, 6)),
    ],
    "broadcast_tensors": [
        case(lambda x: torch.broadcast_tensors(x, x[:, :, :1])[1]),
    ],
    "reshape": [
        case(lambda x: x.reshape(1, 2, 30), check_exact=True, check_written=True),
    ],
    "view_as": [
        case(lambda x: x.view_as(x[0]), check_channels=(0,), check_written=True)
    ],
    "reshape_as": [
        case(lambda x: x.reshape_as(x[0]), check_channels=(0,), check_written=True)
    ],
    "flatten": [
        case(lambda x: x.flatten(2), check_exact=True, check_written=True),
        case(lambda x: x.flatten(), check_channels=(), check_written=True),
    ],
    "ravel": [case(lambda x: x.ravel(), check_channels=(), check_written=True)],
    "unflatten": [
        case(lambda x: x.unflatten(3, (3, -1)), check_exact=True, check_written=True),
    ],
    "swapaxes": [case(lambda x: x.swapaxes(2, -1), check_written=True)],
    "swapdims": [
        case(lambda x: torch.swapdims(x, 0, 2), check_channels=(1,), check_written=True)
    ],
    "t": [case(lambda x: x[0, 0].t(), check_channels=())],
    "numpy_T": [case(lambda x: x[0, 0].T, check_channels=(), check_written=True)],
    "mT": [case(lambda x: x.mT, check_written=True)],
    "mH": [case(lambda x: x.mH, check_written=True)],
    "matrix_H": [case(lambda x: x[0, 1].H, check_channels=(), check_written=True)],
    "adjoint": [case(lambda x: x.adjoint(), check_written=True)],
    "movedim": [
        case(
            lambda x: x.movedim((1, 2), (-1, 0)),
            check_channels=(3,),
            check_written=True,
        ),
        case(lambda x: x.movedim(3, 1), check_channels=(2,), check_written=True),
    ],
    "moveaxis": [
        case(lambda x: torch.moveaxis(x, 3, 0), check_channels=(2,), check_written=True)
    ],
    "atleast_1d": [
        case(
            lambda x: torch.atleast_1d(x[0, 0, 2]),
            check_channels=(),
            check_written=True,
        ),
    ],
    "atleast_2d": [
        case(
            lambda x: torch.atleast_2d(x[0, 0, 2]),
            check_channels=(),
            check_written=True,
        ),
    ],
    "atleast_3d": [
        case(
            lambda x: torch.atleast_3d([x[0, 0], x[0, 0, 2]])[1],
            check_channels=(2,),
            check_written=True,
        ),
    ],
    "expand_as": [
        case(lambda x: x[:, :, :1].expand_as(x), check_written=True),
    ],
    "broadcast_to": [
        case(
            lambda x: x[:, :, :1].broadcast_to(2, 1, 2, 4, 6),
            check_channels=(2,),
            check_written=True,
        ),
    ],
}
