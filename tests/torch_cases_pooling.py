"""Pools of PyTorch whose windows follow the sizes, and unpooling."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch, nn = needed("torch"), needed("torch.nn")
aten = torch.ops.aten

LINE: Any = {"shape": (1, 2, 11), "check_axes": (2,)}
VOLUME: Any = {"shape": (1, 2, 3, 4, 5), "check_axes": (2, 3, 4)}
EXACT: Any = {"check_exact": True}


class Fractional(nn.Module):
    """A fractional pool with random numbers that are the same in each call."""

    def __init__(self, *sizes: int, kernel: int) -> None:
        super().__init__()
        self.sizes, self.kernel = sizes, kernel
        numbers = torch.rand(1, 2, len(sizes), dtype=torch.float64)
        self.register_buffer("numbers", numbers)

    def forward(self, x: Any) -> Any:
        """Pools."""
        count = len(self.sizes)
        op = getattr(aten, f"fractional_max_pool{count}d")
        return op(x, [self.kernel] * count, [*self.sizes], self.numbers)[0]


class Unpooled(nn.Module):
    """A pool, and the op that reverses it."""

    def __init__(self, count: int, *arguments: int, size: Any = None) -> None:
        super().__init__()
        pool = getattr(nn, f"MaxPool{count}d")
        self.pool = pool(*arguments, return_indices=True)
        self.unpool = getattr(nn, f"MaxUnpool{count}d")(*arguments)
        self.size = size

    def forward(self, x: Any) -> Any:
        """Pools, and reverses it."""
        found, indices = self.pool(x)
        return self.unpool(found, indices, self.size)


CASES: Cases = {
    "adaptive_avg_pool1d": [case(nn.AdaptiveAvgPool1d, 4, **LINE, **EXACT)],
    "adaptive_avg_pool2d": [
        case(nn.AdaptiveAvgPool2d, (2, 4), **EXACT),
        case(nn.AdaptiveAvgPool2d, (7, None), **EXACT),
        case(nn.AdaptiveAvgPool2d, 1, **EXACT),
        case(
            nn.AdaptiveAvgPool2d,
            4,
            shape=(2, 5, 6),
            check_axes=(1, 2),
            check_channels=(0,),
            **EXACT,
        ),
    ],
    "adaptive_avg_pool3d": [case(nn.AdaptiveAvgPool3d, (2, 1, 3), **VOLUME)],
    "_adaptive_avg_pool2d": [case(aten._adaptive_avg_pool2d, [3, 4], **EXACT)],
    "_adaptive_avg_pool3d": [case(aten._adaptive_avg_pool3d, [2, 1, 3], **VOLUME)],
    "adaptive_max_pool1d": [case(nn.AdaptiveMaxPool1d, 4, **LINE, **EXACT)],
    "adaptive_max_pool2d": [case(nn.AdaptiveMaxPool2d, (2, 4), **EXACT)],
    "adaptive_max_pool3d": [case(nn.AdaptiveMaxPool3d, (2, 1, 3), **VOLUME)],
    "fractional_max_pool2d": [case(Fractional, 3, 4, kernel=2)],
    "fractional_max_pool3d": [case(Fractional, 1, 2, 3, kernel=2, **VOLUME)],
    "max_unpool2d": [
        case(Unpooled, 2, 2),
        case(Unpooled, 2, 3, 2, 1, size=(5, 6)),
        case(Unpooled, 1, 3, 2, size=(11,), **LINE),
    ],
    "max_unpool3d": [case(Unpooled, 3, 2, size=(3, 4, 5), **VOLUME)],
}

REASONS = {
    "mkldnn_adaptive_avg_pool2d": "has the arguments of the op that it runs for",
}

UNSUPPORTED: dict[str, str] = {}
