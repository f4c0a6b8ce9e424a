"""Networks in PyTorch with random weights, which `export_onnx.py` exports.

`export_onnx.py` says how to make the environment.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch
import torchvision
from torch import Tensor, nn

SEED = 0


def convolution(channels: int, filters: int, kernel: int = 1, stride: int = 1) -> Any:
    """Return a convolution with its norm and activation, as in YOLO."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
        nn.SiLU(),
    )


class Bottleneck(nn.Module):
    """Two convolutions, and in a backbone a shortcut."""

    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 1)
        self.second = convolution(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways, or the long way alone."""
        way: Tensor = self.second(self.first(x))
        return x + way if self.shortcut else way


class CrossStage(nn.Module):
    """A cross stage partial block: halves the channels, and joins all steps."""

    def __init__(
        self, channels: int, filters: int, repeats: int, shortcut: bool
    ) -> None:
        super().__init__()
        half = filters // 2
        self.split = convolution(channels, filters, 1)
        self.steps = nn.ModuleList(Bottleneck(half, shortcut) for _ in range(repeats))
        self.join = convolution(filters + repeats * half, filters, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the joined steps."""
        parts = list(self.split(x).chunk(2, 1))
        for step in self.steps:
            parts.append(step(parts[-1]))
        joined: Tensor = self.join(torch.cat(parts, 1))
        return joined


class PyramidPooling(nn.Module):
    """Three poolings in a row (SPPF), all joined."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shrink = convolution(channels, channels // 2, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.join = convolution(channels * 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the joined poolings."""
        parts = [self.shrink(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        joined: Tensor = self.join(torch.cat(parts, 1))
        return joined


class Yolo(nn.Module):
    """A detector like YOLO: a backbone, a neck in both directions, three heads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 16, 3, 2)
        self.stage2 = nn.Sequential(
            convolution(16, 32, 3, 2), CrossStage(32, 32, 1, True)
        )
        self.stage3 = nn.Sequential(
            convolution(32, 64, 3, 2), CrossStage(64, 64, 2, True)
        )
        self.stage4 = nn.Sequential(
            convolution(64, 128, 3, 2), CrossStage(128, 128, 2, True)
        )
        self.stage5 = nn.Sequential(
            convolution(128, 256, 3, 2),
            CrossStage(256, 256, 1, True),
            PyramidPooling(256),
        )
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.down4 = CrossStage(384, 128, 1, False)
        self.down3 = CrossStage(192, 64, 1, False)
        self.to4 = convolution(64, 64, 3, 2)
        self.up4 = CrossStage(192, 128, 1, False)
        self.to5 = convolution(128, 128, 3, 2)
        self.up5 = CrossStage(384, 256, 1, False)
        self.heads = nn.ModuleList(
            nn.Sequential(convolution(n, n, 3), nn.Conv2d(n, 85, 1))
            for n in (64, 128, 256)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the three heads, the finest first."""
        c3 = self.stage3(self.stage2(self.stem(image)))
        c4 = self.stage4(c3)
        c5 = self.stage5(c4)
        d4 = self.down4(torch.cat([self.up(c5), c4], 1))
        d3 = self.down3(torch.cat([self.up(d4), c3], 1))
        u4 = self.up4(torch.cat([self.to4(d3), d4], 1))
        u5 = self.up5(torch.cat([self.to5(u4), c5], 1))
        return tuple(head(x) for head, x in zip(self.heads, (d3, u4, u5), strict=True))


class UNet(nn.Module):
    """An encoder, and a decoder with three kinds of transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64, 128)
        self.encoders = nn.ModuleList(
            self._double(channels, filters)
            for channels, filters in zip((3, *widths), widths, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.ups = nn.ModuleList(
            (
                nn.ConvTranspose2d(128, 64, 2, 2),
                nn.ConvTranspose2d(64, 32, 4, 2, 1),
                nn.ConvTranspose2d(32, 16, 3, 2, 1, output_padding=1),
            )
        )
        self.decoders = nn.ModuleList(self._double(2 * n, n) for n in (64, 32, 16))
        self.head = nn.Conv2d(16, 2, 1)

    @staticmethod
    def _double(channels: int, filters: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(channels, filters, 3, padding=1),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return a map of the image's size."""
        maps = []
        x = image
        for index, encoder in enumerate(self.encoders):
            x = encoder(self.pool(x) if index else x)
            maps.append(x)
        maps.pop()
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(torch.cat([maps.pop(), up(x)], 1))
        mask: Tensor = self.head(x)
        return mask


class ChannelNorm(nn.Module):
    """A norm over the channels of a sound: transposed, normed, transposed back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normed sound."""
        normed: Tensor = self.norm(x.transpose(1, 2))
        return normed.transpose(1, 2)


class Wave(nn.Module):
    """The convolutions of wav2vec 2.0, narrow, with norms over the channels."""

    def __init__(self) -> None:
        super().__init__()
        windows = ((10, 5), *((3, 2),) * 4, *((2, 2),) * 2)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(32 if index else 1, 32, kernel, stride),
                ChannelNorm(32),
                nn.GELU(),
            )
            for index, (kernel, stride) in enumerate(windows)
        )
        self.position = nn.Sequential(
            nn.Conv1d(32, 32, 128, padding=64, groups=16), nn.GELU()
        )

    def forward(self, sound: Tensor) -> Tensor:
        """Return features with their position."""
        x = sound
        for layer in self.layers:
            x = layer(x)
        # An even kernel makes one feature too many; wav2vec drops the last.
        position: Tensor = self.position(x)[:, :, :-1]
        return x + position


class CausalStep(nn.Module):
    """A dilated convolution that sees only the past, and a shortcut."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.pad = nn.ConstantPad1d((2 * dilation, 0), 0.0)
        self.convolution = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways."""
        way: Tensor = self.activation(self.convolution(self.pad(x)))
        return x + way


class Temporal(nn.Module):
    """A temporal convolutional network: dilations 1, 2, 4 ... 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(8, 32, 1)
        self.steps = nn.Sequential(*(CausalStep(32, 2**n) for n in range(6)))
        self.head = nn.Conv1d(32, 4, 1)

    def forward(self, signal: Tensor) -> Tensor:
        """Return one prediction for each position."""
        scores: Tensor = self.head(self.steps(self.stem(signal)))
        return scores


@dataclass(frozen=True)
class Network:
    """How a network is built and exported.

    `dynamic` names the axes of the input whose sizes the file leaves open. `script` is
    the opset of an export by TorchScript, or 0 for the exporter of today. `truth` is
    the name of the network in the tables of measured fields.
    """

    truth: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = (1, 3, 224, 224)
    dynamic: tuple[tuple[int, str], ...] = ()
    script: int = 0

    def module(self) -> nn.Module:
        """Return the network with the random weights of the fixed seed."""
        random.seed(SEED)
        np.random.seed(SEED)
        torch.manual_seed(SEED)
        return self.build().eval()

    def input(self, shape: Iterable[int] = ()) -> Tensor:
        """Return a random input."""
        generator = torch.Generator().manual_seed(SEED)
        return torch.randn(tuple(shape) or self.shape, generator=generator)


IMAGE_AXES = ((2, "height"), (3, "width"))


def _vision(name: str, **options: Any) -> Callable[[], nn.Module]:
    getter = torchvision.models.get_model
    return lambda: getter(name, weights=None, **options)


def _segmenter(name: str) -> Callable[[], nn.Module]:
    return _vision(name, weights_backbone=None)


def _timm(name: str) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, pretrained=False, features_only=True)


def _transformer() -> nn.Module:
    return torchvision.models.VisionTransformer(224, 16, 2, 12, 768, 3072)


def _table() -> dict[str, Network]:
    classifiers = (
        *("alexnet", "vgg11", "vgg11_bn", "vgg16", "squeezenet1_1", "resnet18"),
        *("resnet34", "resnet50", "resnet101", "resnext50_32x4d", "densenet121"),
        *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large"),
        *("efficientnet_b0", "efficientnet_b4", "efficientnet_v2_s"),
        *("regnet_y_400mf", "convnext_tiny"),
    )
    open_sizes = ("resnet18", "mobilenet_v3_small", "convnext_tiny")
    table = {
        name: Network(
            f"tv/{name}",
            _vision(name),
            dynamic=IMAGE_AXES if name in open_sizes else (),
        )
        for name in classifiers
    }
    table["inception_v3"] = Network(
        "tv/inception_v3", _vision("inception_v3", init_weights=True), (1, 3, 299, 299)
    )
    for name in ("fcn_resnet50", "deeplabv3_resnet50", "lraspp_mobilenet_v3_large"):
        table[name] = Network(f"tv/{name}", _segmenter(name), dynamic=IMAGE_AXES)
    extractors = (
        *("xception41", "tf_efficientnet_b0", "resnetv2_50", "inception_v4"),
        *("hrnet_w18", "convnext_tiny"),
    )
    for name in extractors:
        table[f"timm_{name}"] = Network(f"timmf/{name}", _timm(name))
    table |= {
        "yolo": Network("own/yolo", Yolo, (1, 3, 640, 640)),
        "unet": Network("own/unet", UNet, (1, 3, 256, 256)),
        "wave": Network("own/wave", Wave, (1, 1, 16000), ((2, "samples"),)),
        "temporal": Network("own/temporal", Temporal, (1, 8, 512)),
        "r3d_18": Network("tv/r3d_18", _vision("r3d_18"), (1, 3, 16, 112, 112)),
        "vit_b_16_short": Network("tv/vit_b_16_short", _transformer),
        "swin_t": Network("tv/swin_t", _vision("swin_t")),
    }
    for name, opset, dynamic in (
        ("squeezenet1_1", 11, False),
        ("resnet50", 13, True),
        ("inception_v3", 17, False),
        ("mobilenet_v3_large", 17, True),
        ("lraspp_mobilenet_v3_large", 17, True),
        ("timm_tf_efficientnet_b0", 14, False),
        ("yolo", 10, True),
        ("unet", 9, True),
        ("swin_t", 17, False),
    ):
        network = table[name]
        table[f"{name}_script"] = Network(
            network.truth,
            network.build,
            network.shape,
            IMAGE_AXES if dynamic else (),
            opset,
        )
    return table


NETWORKS = _table()
"""All networks, by the names of their files."""
