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
}
