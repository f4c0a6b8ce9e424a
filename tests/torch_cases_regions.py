"""Warps and crops of PyTorch and torchvision, and convolutions with offsets."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch, nn = needed("torch"), needed("torch.nn")
F, aten = torch.nn.functional, torch.ops.aten


class Warped(nn.Module):
    """An image that is read where a grid says.

    Args:
      sizes: the size of the grid.
      op: the op that reads.
    """

    def __init__(self, *sizes: int, op: Any = aten.grid_sampler) -> None:
        super().__init__()
        self.op, count = op, len(sizes)
        grid = 1.6 * torch.rand(1, *sizes, count, dtype=torch.float64) - 0.8
        self.register_buffer("grid", grid)

    def forward(self, x: Any) -> Any:
        """Reads the image."""
        return self.op(x, self.grid, 0, 0, False)


VOLUME: Any = {"shape": (1, 2, 3, 3, 4), "check_axes": (2, 3, 4)}

CASES: Cases = {
    "grid_sampler": [
        case(Warped, 3, 4),
        case(Warped, 2, 3, 2, **VOLUME),
    ],
    "grid_sampler_2d": [case(Warped, 3, 4, op=aten.grid_sampler_2d)],
    "grid_sampler_3d": [case(Warped, 2, 3, 2, op=aten.grid_sampler_3d, **VOLUME)],
    "affine_grid_generator": [
        case(
            lambda x: aten.affine_grid_generator(x, [1, 2, 3, 4], False),
            shape=(1, 2, 3),
            check_axes=(2,),
            check_channels=(3,),
        )
    ],
}

_COMPILED = (
    "torchvision's compiled code is not there; the data decide which positions it reads"
)

REASONS = {
    "_grid_sampler_2d_cpu_fallback": "is grid_sampler_2d in single precision only",
    "cudnn_grid_sampler": "runs on other devices only",
    "cudnn_affine_grid_generator": "runs on other devices only",
    "torchvision.roi_align": _COMPILED,
    "torchvision.roi_pool": _COMPILED,
    "torchvision.ps_roi_align": _COMPILED,
    "torchvision.ps_roi_pool": _COMPILED,
    "torchvision.nms": _COMPILED,
    "torchvision.deform_conv2d": _COMPILED,
}

UNSUPPORTED: dict[str, str] = {}
