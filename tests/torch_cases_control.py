"""Branches and loops of PyTorch."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch = needed("torch")
hops = needed("torch._higher_order_ops")

KERNEL = torch.full((2, 2, 3, 3), 0.05, dtype=torch.float64)


def _conv(x: Any) -> Any:
    return torch.nn.functional.conv2d(x, KERNEL, padding=1)


def _branch(x: Any) -> Any:
    return torch.cond(x.sum() > 60, lambda x: x.flip(2), lambda x: x * 2, (x,))


def _rounds(x: Any) -> Any:
    """A convolution that is run three times."""
    start = torch.tensor(0)
    return hops.while_loop(
        lambda i, x: i < 3, lambda i, x: (i + 1, _conv(x)), (start, x)
    )[1]


def _while(x: Any) -> Any:
    """A convolution that is run until its result is small."""
    return hops.while_loop(lambda x: x.sum() > 0.1, lambda x: (_conv(x),), (x,))[0]


def _scan(x: Any) -> Any:
    start = torch.zeros(1, 2, 6, dtype=torch.float64)
    return hops.scan(lambda c, x: (c + x, c * 2 + x), start, x, dim=2)[1]


def _last(x: Any) -> Any:
    start = torch.zeros(1, 2, 5, dtype=torch.float64)
    return hops.scan(lambda c, x: (x * 2, c + x), start, x, dim=3)[0]


def _map(x: Any) -> Any:
    return hops.map(
        lambda x: _conv(x) + x.flip(2), x.view(2, 1, 1, 5, 6).expand(2, 1, 2, 5, 6)
    )


CASES: Cases = {
    "higher_order.cond": [case(_branch)],
    "higher_order.while_loop": [case(_rounds, check_exact=True), case(_while)],
    "higher_order.scan": [
        case(_scan),
        case(_last, check_channels=(1,)),
    ],
    "higher_order.map_impl": [case(_map, check_channels=(0, 2), shape=(2, 1, 5, 6))],
}
