"""Ops of PyTorch that compute each position on its own."""

from __future__ import annotations

from typing import Any

from needed import needed
from torch_cases import Cases, case

torch = needed("torch")
nn = needed("torch.nn")
F = needed("torch.nn.functional")

SHAPE = (1, 2, 3, 4)


def _held(make: Any, *arguments: Any, **given: Any) -> Any:
    """A case that must be exact."""
    return case(make, *arguments, shape=SHAPE, check_exact=True, **given)


def _function(name: str) -> Any:
    if name.startswith("special_"):
        return getattr(torch.special, name.removeprefix("special_"))
    return getattr(torch.ops.aten, name)


def _numbers(*shape: int) -> Any:
    """Positive numbers without a pattern."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5


def _with(function: Any, *others: Any, **given: Any) -> Any:
    """A function of an image, another image and perhaps more of its columns."""
    return _held(
        lambda x: function(x, x.mean(3, keepdim=True), *others, **given).double()
    )


def _columns(x: Any) -> Any:
    """A mask of columns whose values are known."""
    return torch.arange(x.shape[3]) >= 2


def _integers(function: Any) -> Any:
    """A case of an op on integers."""
    return _held(lambda x: function((10 * x).to(torch.int64)).double())


CASES: Cases = {
    name: [_held(_function(name))]
    for name in (
        "abs acos angle asin asinh atan ceil cos cosh deg2rad digamma erf erfc erfinv "
        "exp exp2 expm1 floor frac hardsigmoid hardswish i0 lgamma log log10 log1p "
        "log2 logit mish nan_to_num neg rad2deg reciprocal relu relu6 round rsqrt selu "
        "sgn sigmoid sign silu sin sinc sinh softplus special_airy_ai "
        "special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 "
        "special_entr special_erfcx special_i0e special_i1 special_i1e special_log_ndtr "
        "special_modified_bessel_i0 special_modified_bessel_i1 "
        "special_modified_bessel_k0 special_modified_bessel_k1 special_ndtri "
        "special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 "
        "special_spherical_bessel_j0 sqrt square tan tanh trunc"
    ).split()
}
CASES |= {
    "acosh": [_held(torch.acosh, check_values=(1.5, 2.5))],
    "atanh": [_held(torch.atanh, check_values=(-0.9, 0.9))],
    "celu": [_held(nn.CELU, 1.5)],
    "elu": [_held(nn.ELU, 0.5)],
    "gelu": [_held(nn.GELU, "tanh")],
    "hardshrink": [_held(nn.Hardshrink, 0.2)],
    "hardtanh": [_held(nn.Hardtanh, -1, 2)],
    "leaky_relu": [_held(nn.LeakyReLU)],
    "log_sigmoid": [_held(nn.LogSigmoid)],
    "mvlgamma": [_held(torch.mvlgamma, 2, check_values=(2, 3))],
    "polygamma": [_held(lambda x: torch.polygamma(1, x))],
    "prelu": [_held(nn.PReLU, 2)],
    "rrelu": [_held(nn.RReLU)],
    "softshrink": [_held(nn.Softshrink, 0.2)],
    "threshold": [_held(nn.Threshold, 0.7, 3.0)],
    "glu": [
        _held(nn.GLU, 1),
        case(nn.GLU, 3, shape=(1, 1, 3, 6), check_exact=True),
    ],
    "isfinite": [_held(lambda x: x * torch.isfinite(x))],
    "isinf": [_held(lambda x: x * ~torch.isinf(x))],
    "isnan": [_held(lambda x: x * ~torch.isnan(x))],
    "isneginf": [_held(lambda x: x * ~torch.isneginf(x))],
    "isposinf": [_held(lambda x: x * ~torch.isposinf(x))],
    "signbit": [_held(lambda x: x * ~torch.signbit(x) + x)],
    "logical_not": [_held(lambda x: torch.logical_not(x).double())],
    "bitwise_not": [_integers(torch.bitwise_not)],
    "dropout": [_held(lambda x: torch.ops.aten.dropout(x, 0.5, False))],
    "feature_dropout": [_held(lambda x: torch.ops.aten.feature_dropout(x, 0.5, False))],
    "alpha_dropout": [_held(lambda x: torch.ops.aten.alpha_dropout(x, 0.5, False))],
    "feature_alpha_dropout": [
        _held(lambda x: torch.ops.aten.feature_alpha_dropout(x, 0.5, False))
    ],
    "native_dropout": [_held(lambda x: torch.native_dropout(x, 0.5, False)[0])],
    "clone": [_held(nn.Identity), _held(lambda x: x.clone() * 1)],
    "type_as": [_held(lambda x: x.float().type_as(x))],
    "_to_copy": [_held(lambda x: x.float().double())],
    "copy": [_held(lambda x: torch.ops.aten.copy(x, x[:, :, 1:2]))],
    "real": [_held(lambda x: torch.real(torch.complex(x, x)))],
    "imag": [_held(lambda x: torch.imag(torch.complex(x, x)))],
    "complex": [_held(lambda x: torch.complex(x, 2 * x).abs())],
    "polar": [_held(lambda x: torch.polar(x, x).real)],
    "view_as_real": [_held(lambda x: torch.view_as_real(torch.complex(x, x))[..., 1])],
    "view_as_complex": [
        _held(lambda x: torch.view_as_complex(torch.stack([x, x], -1)).abs())
    ],
    "one_hot": [
        case(
            lambda x: F.one_hot(x.clamp(0, 3).long(), 4).double(),
            shape=SHAPE,
            check_exact=True,
            check_channels=(1, 4),
        )
    ],
    "bucketize": [
        _held(lambda x: torch.bucketize(x, torch.linspace(0, 1, 9)).double())
    ],
    "searchsorted": [
        _held(
            lambda x: torch.searchsorted(torch.linspace(0, 1, 9).double(), x).double()
        )
    ],
    "isin": [_held(lambda x: torch.isin(x, torch.zeros(2).double()).double())],
}
CASES |= {
    name: [_with(_function(name))]
    for name in (
        "add atan2 copysign div eq floor_divide fmax fmin fmod ge gt hypot le "
        "logaddexp logaddexp2 logical_and logical_xor lt maximum minimum mul ne pow "
        "remainder rsub special_xlog1py special_zeta sub xlogy"
    ).split()
}
CASES["add"] = [*CASES["add"], _held(lambda x: 1 + x[:, :, :1] + x)]
CASES["mul"] = [*CASES["mul"], _held(lambda x: 2 * x * x[..., 1:2])]
CASES["pow"] = [*CASES["pow"], _held(lambda x: x**2), _held(lambda x: 2**x)]
CASES["rsub"] = [_held(lambda x: torch.rsub(x, 1))]
CASES |= {
    "heaviside": [_with(torch.heaviside)],
    "ldexp": [_held(lambda x: torch.ldexp(x, x[..., :1].long()))],
    "logical_or": [_held(lambda x: torch.logical_or(x, x[:, :, :1]).double())],
    "isclose": [_with(torch.isclose)],
    "nextafter": [_with(torch.nextafter)],
    "special_gammainc": [_with(torch.special.gammainc)],
    "special_gammaincc": [_with(torch.special.gammaincc)],
    "lerp": [_with(torch.lerp, 0.3)],
    "addcmul": [_held(lambda x: torch.addcmul(x, x[:, :, :1], x[..., 1:2], value=2))],
    "addcdiv": [_held(lambda x: torch.addcdiv(x, x[:, :, :1], x[..., 1:2]))],
    "clamp": [_held(lambda x: x.clamp(0, 1)), _with(torch.clamp)],
    "clamp_min": [_held(lambda x: x.clamp_min(0.7))],
    "clamp_max": [_held(lambda x: x.clamp_max(0.7))],
    "bitwise_and": [_integers(lambda x: x & 7)],
    "bitwise_or": [_integers(lambda x: x | x[:, :, :1])],
    "bitwise_xor": [_integers(lambda x: x ^ x[:, :, :1])],
    "bitwise_left_shift": [_integers(lambda x: torch.bitwise_left_shift(x, 1))],
    "bitwise_right_shift": [_integers(lambda x: torch.bitwise_right_shift(x, 1))],
    "gcd": [_integers(lambda x: torch.gcd(x, torch.full_like(x, 24)))],
    "lcm": [_integers(lambda x: torch.lcm(x, torch.full_like(x, 5)))],
    "where": [
        _held(lambda x: torch.where(x > 1, x, x[:, :, :1])),
        _held(lambda x: torch.where(_columns(x), x, x[:, :, :1])),
        _held(lambda x: torch.where(_columns(x), x, 3.0)),
        _held(lambda x: torch.where(_columns(x), 3.0, x)),
    ],
    "masked_fill": [
        _held(lambda x: x.masked_fill(x > 1, 3.0)),
        _held(lambda x: x.masked_fill(_columns(x), 3.0)),
        _held(lambda x: x.masked_fill(_columns(x), x[0, 0, 0, 0])),
    ],
    "mse_loss": [
        _held(lambda x: F.mse_loss(x, x[:, :, :1].expand_as(x), reduction="none")),
        _held(lambda x: F.mse_loss(x, 2 * x), check_channels=()),
    ],
    "nll_loss_nd": [
        _held(
            lambda x: F.nll_loss(x, x[:, 0].long() * 0, reduction="none"),
            check_channels=(),
        )
    ],
    "cross_entropy_loss": [
        _held(
            lambda x: F.cross_entropy(x, x.softmax(1), reduction="none"),
            check_channels=(),
        )
    ],
    "fake_quantize_per_tensor_affine": [
        _held(
            lambda x: torch.fake_quantize_per_tensor_affine(
                x.float(), 0.1, 0, -128, 127
            )
        )
    ],
    "fake_quantize_per_channel_affine": [
        _held(
            lambda x: torch.fake_quantize_per_channel_affine(
                x.float(), torch.ones(2), torch.zeros(2), 1, -128, 127
            )
        )
    ],
}
CASES |= {
    name: [
        _held(
            lambda x, f=getattr(F, name): f(
                x.sigmoid(), x[:, :, :1].sigmoid().expand_as(x), reduction="none"
            )
        )
    ]
    for name in (
        "binary_cross_entropy binary_cross_entropy_with_logits hinge_embedding_loss "
        "huber_loss kl_div l1_loss poisson_nll_loss smooth_l1_loss soft_margin_loss"
    ).split()
}

REASONS = {
    "bernoulli": "its results are drawn at random",
    "poisson": "its results are drawn at random",
}
