"""Convolutions and pools of PyTorch."""

from __future__ import annotations

from needed import needed
from torch_cases import Cases, case

nn = needed("torch.nn")

CASES: Cases = {
    "conv2d": [
        case(nn.Conv2d, 2, 3, 3, 2, 1, check_exact=True),
        case(nn.Conv2d, 2, 4, (2, 3), groups=2, padding="same", check_exact=True),
    ],
    "max_pool2d": [
        case(nn.MaxPool2d, 3, 2, ceil_mode=True, check_exact=True),
    ],
}
