"""Convolutions of PyTorch, and pools with windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from needed import needed
from torch_cases import Cases, case

torch, nn = needed("torch"), needed("torch.nn")
aten = torch.ops.aten


class Weighted(nn.Module):
    """An op of ATen with weights.

    Args:
      op: the op, called with the input, the kernel and the other arguments.
      shape: the shape of the kernel.
      arguments: the arguments after the kernel.
      bias: the number of channels of a bias, which comes before them; None without.
      given: arguments by name.
    """

    def __init__(
        self,
        op: Callable[..., Any],
        shape: tuple[int, ...],
        *arguments: Any,
        bias: int | None = None,
        **given: Any,
    ) -> None:
        super().__init__()
        self.op, self.arguments, self.given = op, arguments, given
        self.weight = nn.Parameter(torch.ones(shape))
        if bias is not None:
            self.bias = nn.Parameter(torch.ones(bias))

    def forward(self, x: Any) -> Any:
        """Runs the op, and returns its first result."""
        bias = [self.bias] if hasattr(self, "bias") else []
        found = self.op(x, self.weight, *bias, *self.arguments, **self.given)
        return found[0] if isinstance(found, tuple) else found


LINE: Any = {"shape": (1, 2, 11), "check_axes": (2,)}
VOLUME: Any = {"shape": (1, 2, 4, 5, 6), "check_axes": (2, 3, 4)}
EXACT: Any = {"check_exact": True}

CASES: Cases = {
    "conv1d": [
        case(nn.Conv1d, 2, 3, 4, 2, 3, 2, **LINE, **EXACT),
        case(nn.Conv1d, 2, 3, 4, padding="same", dilation=3, **LINE, **EXACT),
        case(nn.Conv1d, 2, 3, 4, padding="valid", **LINE, **EXACT),
        case(nn.Conv1d, 2, 3, 4, padding="same", padding_mode="circular", **LINE),
        case(nn.Conv1d, 2, 3, 4, padding=2, padding_mode="reflect", **LINE),
        case(nn.Conv1d, 2, 3, 4, padding=2, padding_mode="replicate", **LINE),
    ],
    "conv2d": [
        case(nn.Conv2d, 2, 3, 3, 2, 1, **EXACT),
        case(nn.Conv2d, 2, 4, (2, 3), groups=2, padding="same", **EXACT),
        case(nn.Conv2d, 2, 3, (2, 3), (1, 2), (0, 2), (2, 1), bias=False, **EXACT),
        case(
            nn.Conv2d,
            2,
            3,
            3,
            shape=(2, 5, 6),
            check_axes=(1, 2),
            check_channels=(0,),
            **EXACT,
        ),
    ],
    "conv3d": [case(nn.Conv3d, 2, 3, (2, 3, 2), (1, 2, 1), (0, 1, 2), **VOLUME)],
    "conv_transpose1d": [
        case(nn.ConvTranspose1d, 2, 3, 4, 3, 1, 2, dilation=2, **LINE, **EXACT)
    ],
    "conv_transpose2d": [
        case(nn.ConvTranspose2d, 2, 4, 3, 2, 1, 1, groups=2, **EXACT),
        case(nn.ConvTranspose2d, 2, 3, (2, 4), (3, 1), (1, 2), (1, 0), **EXACT),
        case(
            nn.ConvTranspose2d,
            2,
            3,
            3,
            2,
            shape=(2, 3, 4),
            check_axes=(1, 2),
            check_channels=(0,),
            **EXACT,
        ),
    ],
    "conv_transpose3d": [
        case(nn.ConvTranspose3d, 2, 3, (2, 3, 1), 2, (0, 1, 0), **VOLUME)
    ],
    "convolution": [
        case(
            Weighted,
            torch.convolution,
            (3, 2, 3, 2),
            *([2, 1], [1, 0], [1, 2], False, [0, 0], 1),
            bias=3,
            **EXACT,
        ),
        case(
            Weighted,
            torch.convolution,
            (2, 3, 3, 2),
            *([2, 1], [1, 0], [1, 2], True, [1, 0], 1),
            bias=3,
            **EXACT,
        ),
    ],
    "_convolution": [
        case(
            Weighted,
            torch._convolution,
            (3, 2, 3),
            *([2], [1], [1], False, [0], 1, False, False, False, False),
            bias=3,
            **LINE,
            **EXACT,
        ),
    ],
    "conv_tbc": [
        case(
            Weighted,
            torch.conv_tbc,
            (3, 2, 4),
            1,
            bias=4,
            shape=(7, 1, 2),
            check_axes=(0,),
            check_channels=(1, 2),
        )
    ],
    "max_pool1d": [
        case(nn.MaxPool1d, 3, 2, 1, 2, ceil_mode=True, **LINE, **EXACT),
    ],
    "max_pool2d": [
        case(nn.MaxPool2d, 3, 2, ceil_mode=True, **EXACT),
        case(nn.MaxPool2d, (2, 3), padding=1, dilation=(1, 2), **EXACT),
        case(nn.MaxPool2d, 2, shape=(2, 5, 6), check_axes=(1, 2), check_channels=(0,)),
    ],
    "max_pool3d": [case(nn.MaxPool3d, 2, (1, 2, 3), 1, ceil_mode=True, **VOLUME)],
    "max_pool1d_with_indices": [
        case(lambda x: nn.MaxPool1d(3, 2, 1, return_indices=True)(x)[0], **LINE)
    ],
    "max_pool2d_with_indices": [
        case(lambda x: nn.MaxPool2d(2, 2, return_indices=True)(x)[0], **EXACT)
    ],
    "max_pool3d_with_indices": [
        case(lambda x: nn.MaxPool3d(2, 2, return_indices=True)(x)[0], **VOLUME)
    ],
    "avg_pool1d": [
        case(nn.AvgPool1d, 3, 2, 1, ceil_mode=True, **LINE, **EXACT),
    ],
    "avg_pool2d": [
        case(nn.AvgPool2d, 2, 3, 1, ceil_mode=True, **EXACT),
        case(nn.AvgPool2d, (3, 2), count_include_pad=False, padding=1, **EXACT),
        case(nn.AvgPool2d, 2, 1, divisor_override=3, **EXACT),
    ],
    "avg_pool3d": [case(nn.AvgPool3d, 2, 2, 1, count_include_pad=False, **VOLUME)],
    "slow_conv_dilated2d": [
        case(
            Weighted,
            lambda x, w, b: aten.slow_conv_dilated2d(
                x, w, [3, 2], b, [2, 1], [1, 0], [1, 2]
            ),
            (3, 2, 3, 2),
            bias=3,
            **EXACT,
        )
    ],
    "slow_conv_dilated3d": [
        case(
            Weighted,
            lambda x, w, b: aten.slow_conv_dilated3d(x, w, [2, 2, 2], b),
            (3, 2, 2, 2, 2),
            bias=3,
            **VOLUME,
        )
    ],
    "slow_conv3d": [
        case(
            Weighted,
            lambda x, w, b: aten.slow_conv3d(x, w, [2, 2, 2], b),
            (3, 2, 2, 2, 2),
            bias=3,
            **VOLUME,
        )
    ],
    "thnn_conv2d": [
        case(
            Weighted,
            lambda x, w, b: aten.thnn_conv2d(x, w, [3, 2], b, [1, 2], [1, 0]),
            (3, 2, 3, 2),
            bias=3,
            **EXACT,
        )
    ],
    "slow_conv_transpose2d": [
        case(
            Weighted,
            lambda x, w, b: aten.slow_conv_transpose2d(x, w, [3, 2], b, [2, 2]),
            (2, 3, 3, 2),
            bias=3,
            **EXACT,
        )
    ],
    "slow_conv_transpose3d": [
        case(
            Weighted,
            lambda x, w, b: aten.slow_conv_transpose3d(x, w, [2, 2, 1], b, [2, 1, 1]),
            (2, 3, 2, 2, 1),
            bias=3,
            **VOLUME,
        )
    ],
}

_OTHER_DEVICES = """
    convolution_overrideable cudnn_convolution cudnn_convolution_relu
    cudnn_convolution_add_relu cudnn_convolution_transpose miopen_convolution
    miopen_depthwise_convolution _conv_depthwise2d conv_depthwise3d
"""
_INNER = """
    mkldnn_convolution _slow_conv2d_forward slow_conv3d_forward mkldnn_max_pool2d
    mkldnn_max_pool3d quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d
"""

REASONS = {
    **dict.fromkeys(
        _OTHER_DEVICES.split(),
        "runs on other devices only; it has the arguments of a convolution",
    ),
    **dict.fromkeys(_INNER.split(), "has the arguments of the op that it runs for"),
}

UNSUPPORTED: dict[str, str] = {}
