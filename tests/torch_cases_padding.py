"""Paddings and crops of PyTorch."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch, nn = needed("torch"), needed("torch.nn")
F, aten = torch.nn.functional, torch.ops.aten

LINE: Any = {"shape": (1, 2, 7), "check_axes": (2,)}
VOLUME: Any = {"shape": (1, 2, 3, 4, 5), "check_axes": (2, 3, 4)}
EXACT: Any = {"check_exact": True}

CASES: Cases = {
    "pad": [
        case(F.pad, (1, 2, 3, 0), **EXACT),
        case(F.pad, (1, -2, -1, 0), "constant", 1.5, **EXACT),
        case(F.pad, (2, 1, 0, 3), "reflect", **EXACT),
        case(F.pad, (5, -4, -3, 4), "reflect", **EXACT),
        case(F.pad, (2, -1, -1, 3), "replicate", **EXACT),
        case(F.pad, (2, 6, 5, 1), "circular", **EXACT),
        case(F.pad, (-1, 3, 2, -2), "circular", **EXACT),
        case(nn.ReflectionPad1d, 3, **LINE),
        case(nn.CircularPad1d, (3, 1), **LINE),
        case(nn.CircularPad3d, (3, 1, 0, 2, 1, 1), **VOLUME),
        case(nn.ReplicationPad3d, (3, 1, 0, 2, 1, 1), **VOLUME),
        case(nn.ZeroPad1d, (3, -1), **LINE),
        case(nn.ConstantPad3d, (1, 0, 0, 2, -1, 1), 2.0, **VOLUME),
    ],
    "constant_pad_nd": [case(aten.constant_pad_nd, [1, -1, 2, 0], 1, **EXACT)],
    "_pad_circular": [case(aten._pad_circular, [1, 2, 3, 0], **EXACT)],
    "_pad_enum": [
        case(aten._pad_enum, [1, 2, 3, 0], 0, **EXACT),
        case(aten._pad_enum, [1, 2, 3, 0], 1, **EXACT),
        case(aten._pad_enum, [1, 2, 3, 0], 2, **EXACT),
        case(aten._pad_enum, [1, 2, 3, 0], 3, **EXACT),
    ],
    "reflection_pad1d": [case(aten.reflection_pad1d, [2, -1], **LINE, **EXACT)],
    "reflection_pad2d": [case(aten.reflection_pad2d, [2, 1, 3, -2], **EXACT)],
    "reflection_pad3d": [case(aten.reflection_pad3d, [1, 2, 0, 1, 1, 0], **VOLUME)],
    "replication_pad1d": [case(aten.replication_pad1d, [-2, 9], **LINE, **EXACT)],
    "replication_pad2d": [case(aten.replication_pad2d, [2, 1, 3, -2], **EXACT)],
    "replication_pad3d": [case(aten.replication_pad3d, [1, 2, 0, 1, 1, 0], **VOLUME)],
}

REASONS: dict[str, str] = {}

UNSUPPORTED: dict[str, str] = {}
