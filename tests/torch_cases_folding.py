"""Ops of PyTorch that move blocks of positions into channels or columns, and back."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch, nn = needed("torch"), needed("torch.nn")

EXACT: Any = {"check_exact": True}


class Folded(nn.Sequential):
    """A module that unfolds an image of two channels, mixes the rows, and folds."""

    def __init__(self, kernel: int, *arguments: int, size: tuple[int, int]) -> None:
        rows = 2 * kernel * kernel
        super().__init__(
            nn.Unfold(kernel, *arguments),
            nn.Conv1d(rows, rows, 1, bias=False),
            nn.Fold(size, kernel, *arguments),
        )


class Refolded(nn.Sequential):
    """A module that unfolds an image, and folds it again."""

    def __init__(self, *arguments: int, size: tuple[int, int]) -> None:
        super().__init__(nn.Unfold(*arguments), nn.Fold(size, *arguments))


class Reshuffled(nn.Sequential):
    """Blocks that move into channels and back, perhaps with a layer in between."""

    def __init__(self, *layers: Any) -> None:
        super().__init__(nn.PixelUnshuffle(2), *layers, nn.PixelShuffle(2))


IMAGE: Any = {"shape": (1, 2, 4, 6)}

CASES: Cases = {
    "pixel_shuffle": [
        case(nn.PixelShuffle, 2, shape=(1, 8, 3, 4), **EXACT),
        case(
            nn.PixelShuffle,
            2,
            shape=(8, 3, 4),
            check_axes=(1, 2),
            check_channels=(0,),
            **EXACT,
        ),
        case(Reshuffled, **IMAGE, **EXACT),
    ],
    "pixel_unshuffle": [
        case(nn.PixelUnshuffle, 2, **IMAGE, **EXACT),
        case(
            nn.PixelUnshuffle,
            3,
            shape=(2, 6, 3),
            check_axes=(1, 2),
            check_channels=(0,),
            **EXACT,
        ),
        case(lambda x: Reshuffled(nn.ReLU())(x), **IMAGE, **EXACT),
    ],
    "channel_shuffle": [case(nn.ChannelShuffle, 2, shape=(1, 4, 3, 3), **EXACT)],
    "native_channel_shuffle": [
        case(torch.native_channel_shuffle, 2, shape=(1, 6, 3, 3), **EXACT)
    ],
    "im2col": [
        case(nn.Unfold, (3, 2), (1, 2), (1, 0), (2, 1), **IMAGE, **EXACT),
        case(nn.Unfold, 2, stride=2, **IMAGE, **EXACT),
        case(nn.Unfold, 3, 1, 1, 3, shape=(1, 2, 4, 7), **EXACT),
        case(nn.Unfold, (2, 6), 1, 0, (1, 6), **IMAGE, **EXACT),
        case(
            nn.Unfold,
            3,
            1,
            1,
            shape=(2, 4, 5),
            check_axes=(1, 2),
            check_channels=(0,),
        ),
    ],
    "col2im": [
        case(Refolded, 2, 1, 0, 2, size=(4, 6), **IMAGE, **EXACT),
        case(Folded, 2, 1, 0, 2, size=(4, 6), **IMAGE),
        case(Folded, 3, 1, 1, 2, size=(4, 6), **IMAGE),
        case(Folded, 2, 2, 0, 3, size=(7, 6), shape=(1, 2, 7, 6)),
        case(Folded, 1, 1, 0, 2, size=(4, 6), **IMAGE),
        case(Folded, 3, 1, 0, 1, size=(4, 6), **IMAGE),
    ],
}

REASONS: dict[str, str] = {}

UNSUPPORTED: dict[str, str] = {}
