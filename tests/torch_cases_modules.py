"""Classes of torch.nn, with arguments of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from needed import needed
from torch_cases import Cases, case

torch, nn = needed("torch"), needed("torch.nn")

LINE: Any = {"shape": (1, 2, 11), "check_axes": (2,)}
VOLUME: Any = {"shape": (1, 2, 4, 5, 4), "check_axes": (2, 3, 4)}
SMALL: Any = {"shape": (1, 2, 2, 3, 2), "check_axes": (2, 3, 4)}
SEQUENCE: Any = {"shape": (5, 1, 4), "check_axes": (0,), "check_channels": (1, 2)}
EXACT: Any = {"check_exact": True}


class Calls(nn.Module):  # type: ignore[misc]
    """A module that is called in its own way.

    Args:
      make: makes the module.
      call: is called with it and the input.
    """

    def __init__(self, make: Callable[[], Any], call: Callable[..., Any]) -> None:
        super().__init__()
        self.part, self.call = make(), call

    def forward(self, x: Any) -> Any:
        """Calls the module."""
        return self.call(self.part, x)


def _first(make: Callable[[], Any], **given: Any) -> Any:
    """A case of the first result of a module."""
    return case(Calls, make, lambda part, x: part(x)[0], **given)


CLASSES: Cases = {
    "Conv1d": [case(nn.Conv1d, 2, 3, 4, 2, 3, 2, **LINE, **EXACT)],
    "Conv2d": [
        case(nn.Conv2d, 2, 4, (2, 3), 2, "valid", groups=2, **EXACT),
        case(nn.Conv2d, 2, 3, 3, padding=1, padding_mode="circular"),
    ],
    "Conv3d": [case(nn.Conv3d, 2, 3, (2, 3, 2), (1, 2, 1), 1, **VOLUME, **EXACT)],
    "ConvTranspose1d": [
        case(nn.ConvTranspose1d, 2, 3, 4, 3, 1, 2, dilation=2, **LINE, **EXACT)
    ],
    "ConvTranspose2d": [case(nn.ConvTranspose2d, 2, 4, 3, 2, 1, 1, groups=2, **EXACT)],
    "ConvTranspose3d": [
        case(nn.ConvTranspose3d, 2, 3, (2, 3, 1), 2, (0, 1, 0), **SMALL, **EXACT)
    ],
    "MaxPool1d": [case(nn.MaxPool1d, 3, 2, 1, 2, ceil_mode=True, **LINE, **EXACT)],
    "MaxPool2d": [case(nn.MaxPool2d, (2, 3), padding=1, dilation=(1, 2), **EXACT)],
    "MaxPool3d": [case(nn.MaxPool3d, 2, (1, 2, 3), 1, **VOLUME, **EXACT)],
    "AvgPool1d": [case(nn.AvgPool1d, 3, 2, 1, ceil_mode=True, **LINE, **EXACT)],
    "AvgPool2d": [case(nn.AvgPool2d, 2, 3, 1, ceil_mode=True, **EXACT)],
    "AvgPool3d": [case(nn.AvgPool3d, 2, 2, 1, **VOLUME, **EXACT)],
    "LPPool1d": [case(nn.LPPool1d, 2, 3, 2, **LINE, **EXACT)],
    "LPPool2d": [case(nn.LPPool2d, 1.5, (2, 3), 2, **EXACT)],
    "LPPool3d": [case(nn.LPPool3d, 2, 2, 2, **VOLUME, **EXACT)],
    "AdaptiveAvgPool1d": [case(nn.AdaptiveAvgPool1d, 4, **LINE, **EXACT)],
    "AdaptiveAvgPool2d": [case(nn.AdaptiveAvgPool2d, (2, None), **EXACT)],
    "AdaptiveAvgPool3d": [case(nn.AdaptiveAvgPool3d, (2, 3, 1), **VOLUME, **EXACT)],
    "AdaptiveMaxPool1d": [case(nn.AdaptiveMaxPool1d, 4, **LINE, **EXACT)],
    "AdaptiveMaxPool2d": [case(nn.AdaptiveMaxPool2d, (3, 2), **EXACT)],
    "AdaptiveMaxPool3d": [case(nn.AdaptiveMaxPool3d, (2, 3, 1), **VOLUME, **EXACT)],
    "MaxUnpool1d": [
        case(
            lambda x: nn.MaxUnpool1d(2)(*nn.MaxPool1d(2, return_indices=True)(x)),
            **(LINE | {"shape": (1, 2, 6)}),
        )
    ],
    "MaxUnpool2d": [
        case(
            lambda x: nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(x)),
            shape=(1, 2, 4, 6),
        )
    ],
    "MaxUnpool3d": [
        case(
            lambda x: nn.MaxUnpool3d(2)(*nn.MaxPool3d(2, return_indices=True)(x)),
            **(SMALL | {"shape": (1, 2, 2, 4, 2)}),
        )
    ],
    "CircularPad1d": [case(nn.CircularPad1d, (2, 1), **LINE)],
    "CircularPad2d": [case(nn.CircularPad2d, (2, 1, 0, 3))],
    "CircularPad3d": [case(nn.CircularPad3d, 1, **SMALL)],
    "ConstantPad1d": [case(nn.ConstantPad1d, (2, -1), 3.0, **LINE, **EXACT)],
    "ConstantPad2d": [case(nn.ConstantPad2d, (2, 1, -1, 3), 3.0, **EXACT)],
    "ConstantPad3d": [case(nn.ConstantPad3d, 1, 3.0, **SMALL, **EXACT)],
    "ReflectionPad1d": [case(nn.ReflectionPad1d, (2, 1), **LINE)],
    "ReflectionPad2d": [case(nn.ReflectionPad2d, (2, 1, 0, 3))],
    "ReflectionPad3d": [case(nn.ReflectionPad3d, 1, **SMALL)],
    "ReplicationPad1d": [case(nn.ReplicationPad1d, (2, 1), **LINE)],
    "ReplicationPad2d": [case(nn.ReplicationPad2d, (2, 1, 0, 3))],
    "ReplicationPad3d": [case(nn.ReplicationPad3d, 1, **SMALL)],
    "ZeroPad1d": [case(nn.ZeroPad1d, (2, 1), **LINE, **EXACT)],
    "ZeroPad2d": [case(nn.ZeroPad2d, (2, 1, 0, 3), **EXACT)],
    "ZeroPad3d": [case(nn.ZeroPad3d, 1, **SMALL, **EXACT)],
    "BatchNorm1d": [case(nn.BatchNorm1d, 2, **LINE, **EXACT)],
    "BatchNorm2d": [case(nn.BatchNorm2d, 2, **EXACT)],
    "BatchNorm3d": [case(nn.BatchNorm3d, 2, **SMALL, **EXACT)],
    "SyncBatchNorm": [case(nn.SyncBatchNorm, 2, **EXACT)],
    "InstanceNorm1d": [case(nn.InstanceNorm1d, 2, **LINE)],
    "InstanceNorm2d": [
        case(nn.InstanceNorm2d, 2, affine=True),
        case(nn.InstanceNorm2d, 2, track_running_stats=True, **EXACT),
    ],
    "InstanceNorm3d": [case(nn.InstanceNorm3d, 2, **SMALL)],
    "GroupNorm": [case(nn.GroupNorm, 2, 2)],
    "LayerNorm": [case(nn.LayerNorm, 6), case(nn.LayerNorm, (5, 6))],
    "RMSNorm": [case(nn.RMSNorm, 6)],
    "LocalResponseNorm": [
        case(nn.Sequential, nn.Conv2d(2, 4, 2), nn.LocalResponseNorm(3), **EXACT)
    ],
    "Linear": [case(nn.Linear, 6, 3, check_axes=(1, 2), check_channels=(3,))],
    "Bilinear": [
        case(Calls, lambda: nn.Bilinear(6, 6, 3), lambda part, x: part(x, x + 1))
    ],
    "Flatten": [case(nn.Flatten, 2), case(nn.Flatten, check_channels=())],
    "Unflatten": [case(nn.Unflatten, 3, (2, 3), check_channels=(1,))],
    "Fold": [
        case(
            nn.Sequential,
            nn.Unfold((2, 3), padding=1),
            nn.Fold((5, 6), (2, 3), padding=1),
        )
    ],
    "Unfold": [case(nn.Unfold, (2, 3), 1, 1, 2)],
    "PixelShuffle": [case(nn.PixelShuffle, 2, shape=(1, 4, 3, 4), **EXACT)],
    "PixelUnshuffle": [case(nn.PixelUnshuffle, 2, shape=(1, 2, 4, 6), **EXACT)],
    "ChannelShuffle": [case(nn.ChannelShuffle, 2, **EXACT)],
    "Upsample": [
        case(nn.Upsample, (8, 9), mode="bilinear"),
        case(nn.Upsample, scale_factor=2, **EXACT),
    ],
    "UpsamplingBilinear2d": [case(nn.UpsamplingBilinear2d, scale_factor=2, **EXACT)],
    "UpsamplingNearest2d": [case(nn.UpsamplingNearest2d, (7, 8), **EXACT)],
    "GLU": [case(nn.GLU, 1, **EXACT), case(nn.GLU, 3, **EXACT)],
    "Softmax": [case(nn.Softmax, 3)],
    "Softmin": [case(nn.Softmin, 1, **EXACT)],
    "Softmax2d": [case(nn.Softmax2d, **EXACT)],
    "LogSoftmax": [case(nn.LogSoftmax, 2)],
    "CosineSimilarity": [
        case(
            lambda x: nn.CosineSimilarity(1)(x, x[:, :, :1] + 1),
            check_channels=(),
        )
    ],
    "PairwiseDistance": [
        case(lambda x: nn.PairwiseDistance()(x, 2 * x), check_channels=(1,))
    ],
    "RNN": [_first(lambda: nn.RNN(4, 3), **SEQUENCE)],
    "GRU": [_first(lambda: nn.GRU(4, 3, bidirectional=True), **SEQUENCE)],
    "LSTM": [_first(lambda: nn.LSTM(4, 3, 2), **SEQUENCE)],
    "MultiheadAttention": [
        case(
            Calls,
            lambda: nn.MultiheadAttention(4, 2),
            lambda part, x: part(x, x, x, need_weights=False)[0],
            **SEQUENCE,
        )
    ],
    "TransformerEncoderLayer": [case(nn.TransformerEncoderLayer, 4, 2, 8, **SEQUENCE)],
    "TransformerEncoder": [
        case(
            nn.TransformerEncoder,
            nn.TransformerEncoderLayer(4, 2, 8),
            2,
            enable_nested_tensor=False,
            **SEQUENCE,
        )
    ],
    "TransformerDecoderLayer": [
        case(
            Calls,
            lambda: nn.TransformerDecoderLayer(4, 2, 8),
            lambda part, x: part(x, x),
            **SEQUENCE,
        )
    ],
    "TransformerDecoder": [
        case(
            Calls,
            lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 2),
            lambda part, x: part(x, x),
            **SEQUENCE,
        )
    ],
    "Transformer": [
        case(
            Calls,
            lambda: nn.Transformer(4, 2, 1, 1, 8),
            lambda part, x: part(x, x),
            **SEQUENCE,
        )
    ],
}
"""Name of a class -> functions that make what `Case.hold` holds."""


def _activations() -> Cases:
    names = """
        CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh Identity LeakyReLU
        LogSigmoid Mish RReLU ReLU ReLU6 SELU SiLU Sigmoid Softplus Softshrink Softsign
        Tanh Tanhshrink AlphaDropout Dropout Dropout1d Dropout2d Dropout3d
        FeatureAlphaDropout
    """
    shapes = {"Dropout1d": LINE, "Dropout3d": SMALL}
    return {
        name: [case(getattr(nn, name), **shapes.get(name, {}), **EXACT)]
        for name in names.split()
    }


def _losses() -> Cases:
    """Losses without reduction that compare two images of the same shape."""
    names = """
        BCELoss BCEWithLogitsLoss HuberLoss KLDivLoss L1Loss MSELoss
        PoissonNLLLoss SmoothL1Loss SoftMarginLoss
    """

    def loss(name: str) -> Callable[[Any], Any]:
        made = getattr(nn, name)(reduction="none")
        return lambda x: made(x.sigmoid(), (x + 1).sigmoid())

    return {name: [case(loss(name), **EXACT)] for name in names.split()}


CLASSES |= _activations() | _losses()
CLASSES |= {
    "PReLU": [case(nn.PReLU, 2, **EXACT)],
    "Threshold": [case(nn.Threshold, 0.7, 3.0, **EXACT)],
    "HingeEmbeddingLoss": [
        case(
            lambda x: nn.HingeEmbeddingLoss(1e4, reduction="none")(x, 2 * (x > 0) - 1),
            **EXACT,
        )
    ],
    "MarginRankingLoss": [
        case(
            lambda x: nn.MarginRankingLoss(0.5, reduction="none")(x, 2 * x, x.sign()),
            **EXACT,
        )
    ],
    "CrossEntropyLoss": [
        case(
            lambda x: nn.CrossEntropyLoss(reduction="none")(x, x.softmax(1)),
            check_channels=(),
            **EXACT,
        )
    ],
    "NLLLoss": [
        case(
            lambda x: nn.NLLLoss(reduction="none")(x, x[:, 0].long() * 0),
            check_channels=(),
            **EXACT,
        )
    ],
    "TripletMarginLoss": [
        case(
            lambda x: nn.TripletMarginLoss(reduction="none")(x, 2 * x, x + 1),
            check_channels=(1,),
        )
    ],
}

_CONTAINERS = "Container Module ModuleDict ModuleList ParameterDict ParameterList"
_BASES = "RNNBase RNNCellBase"
_CELLS = "GRUCell LSTMCell RNNCell"
_VECTORS = """
    AdaptiveLogSoftmaxWithLoss CosineEmbeddingLoss LinearCrossEntropyLoss
    MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss
"""

CLASS_REASONS = {
    **dict.fromkeys(_CONTAINERS.split(), "holds modules or parameters"),
    **dict.fromkeys(_BASES.split(), "a base class"),
    **dict.fromkeys(_CELLS.split(), "one step: its input has no positions"),
    **dict.fromkeys(_VECTORS.split(), "its input has no positions"),
    **{
        name: f"{name.removeprefix('Lazy')} as soon as it was called"
        for name in dir(nn)
        if name.startswith("Lazy")
    },
    "Sequential": "the modules in it, one after another",
    "DataParallel": "the module in it",
    "Embedding": "its input are integers, which stand for places in a table",
    "EmbeddingBag": "its input are integers, which stand for places in a table",
    "NLLLoss2d": "another name of NLLLoss",
    "CTCLoss": "one number for a whole sequence",
    "CrossMapLRN2d": "PyTorch does not export it",
    "FractionalMaxPool2d": "its windows are drawn at random",
    "FractionalMaxPool3d": "its windows are drawn at random",
    "GaussianNLLLoss": "PyTorch does not export it",
    "TripletMarginWithDistanceLoss": "calls a function of the caller",
}
"""Name of a class -> why it is not measured."""
