"""Interpolation of PyTorch."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch = needed("torch")
F, aten = torch.nn.functional, torch.ops.aten

LINE: Any = {"shape": (1, 2, 7), "check_axes": (2,)}
VOLUME: Any = {"shape": (1, 2, 3, 4, 3), "check_axes": (2, 3, 4)}
EXACT: Any = {"check_exact": True}


def _to(mode: str, **given: Any) -> Any:
    """A case of an interpolation; ``shape`` and ``check_`` are for `case`."""
    options = {k: v for k, v in given.items() if k == "shape" or k[:6] == "check_"}
    rest = {k: v for k, v in given.items() if k not in options}
    return case(lambda x: F.interpolate(x, mode=mode, **rest), **options)


CASES: Cases = {
    "upsample_nearest1d": [
        _to("nearest", scale_factor=2, **LINE, **EXACT),
        _to("nearest", size=5, **LINE, **EXACT),
    ],
    "upsample_nearest2d": [
        _to("nearest", scale_factor=2.0, **EXACT),
        _to("nearest", scale_factor=(1.5, 0.6), **EXACT),
        _to("nearest", size=(3, 16), **EXACT),
        case(aten.upsample_nearest2d, [10, 9], 2.0, 1.5, **EXACT),
    ],
    "upsample_nearest3d": [_to("nearest", scale_factor=2, **VOLUME)],
    "_upsample_nearest_exact1d": [
        _to("nearest-exact", scale_factor=1.5, **LINE, **EXACT)
    ],
    "_upsample_nearest_exact2d": [
        _to("nearest-exact", size=(3, 16), **EXACT),
        _to("nearest-exact", scale_factor=(0.4, 3), **EXACT),
    ],
    "_upsample_nearest_exact3d": [_to("nearest-exact", size=(2, 8, 3), **VOLUME)],
    "upsample_linear1d": [
        _to("linear", scale_factor=2, **LINE, **EXACT),
        _to("linear", size=10, align_corners=True, **LINE, **EXACT),
    ],
    "upsample_bilinear2d": [
        _to("bilinear", scale_factor=2, **EXACT),
        _to("bilinear", scale_factor=(0.5, 1.5), recompute_scale_factor=True),
        _to("bilinear", size=(9, 3), align_corners=True, **EXACT),
        _to("bilinear", size=(1, 11), align_corners=True),
        _to("bilinear", size=(8, 8), shape=(1, 2, 1, 4)),
    ],
    "upsample_trilinear3d": [_to("trilinear", scale_factor=2, **VOLUME)],
    "upsample_bicubic2d": [
        _to("bicubic", scale_factor=2, **EXACT),
        _to("bicubic", scale_factor=1.1),
        _to("bicubic", size=(9, 3), align_corners=True, **EXACT),
    ],
    "_upsample_bilinear2d_aa": [
        _to("bilinear", scale_factor=0.5, antialias=True, **EXACT),
        _to("bilinear", size=(3, 9), antialias=True),
        _to("bilinear", size=(3, 4), antialias=True, align_corners=True),
    ],
    "_upsample_bicubic2d_aa": [
        _to("bicubic", scale_factor=0.5, antialias=True, **EXACT),
        _to("bicubic", size=(3, 9), antialias=True),
        _to("bicubic", size=(3, 4), antialias=True, align_corners=True),
    ],
    "_upsample_lanczos2d_aa": [
        _to("lanczos", scale_factor=0.5, antialias=True, **EXACT),
        _to("lanczos", size=(3, 9), antialias=True),
    ],
}

REASONS: dict[str, str] = {}

UNSUPPORTED: dict[str, str] = {}
