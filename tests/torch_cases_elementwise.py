"""Ops of PyTorch that compute each position on its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from needed import needed
from torch_cases import Cases, case, together

torch = needed("torch")
nn = needed("torch.nn")
F = needed("torch.nn.functional")
aten = torch.ops.aten


def _named(names: str) -> dict[str, Callable[..., Any]]:
    """Functions of one tensor, by the name of their op."""
    return {name: getattr(aten, name) for name in names.split()}


def _by_rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of two tensors, as one of an image and the means of its columns."""
    return lambda x: function(x, x.mean(2, keepdim=True))


def _pairs(names: str) -> dict[str, Callable[..., Any]]:
    """Functions of two tensors, by the name of their op."""
    return {name: _by_rows(getattr(aten, name)) for name in names.split()}


def _whole_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: function((10 * x).to(torch.int64))


def _rows(x: Any) -> Any:
    """A mask of rows whose values are known."""
    return torch.arange(x.shape[2])[:, None] >= 1


def _top(x: Any) -> Any:
    return x[:, :, :1]


CASES: Cases = {}
CASES |= together(
    _named(
        "abs acos angle asin asinh atan ceil cos cosh deg2rad digamma erf erfc erfinv "
        "exp exp2 expm1 floor frac hardsigmoid hardswish i0 lgamma log log10 log1p "
        "log2 log_sigmoid logit mish nan_to_num neg rad2deg reciprocal relu relu6 "
        "round rsqrt selu sgn sigmoid sign silu sin sinc sinh softplus "
        "special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 "
        "special_bessel_y1 special_entr special_erfcx special_i0e special_i1 "
        "special_i1e special_log_ndtr special_modified_bessel_i0 "
        "special_modified_bessel_i1 special_modified_bessel_k0 "
        "special_modified_bessel_k1 special_ndtri special_scaled_modified_bessel_k0 "
        "special_scaled_modified_bessel_k1 special_spherical_bessel_j0 sqrt square "
        "tan tanh trunc"
    )
)
CASES |= together(
    {
        "acosh": lambda x: torch.acosh(x + 0.6),
        "atanh": lambda x: torch.atanh(0.5 * x),
        "celu": nn.CELU(1.5),
        "elu": nn.ELU(0.5),
        "gelu": nn.GELU("tanh"),
        "hardtanh": nn.Hardtanh(-1, 2),
        "leaky_relu": nn.LeakyReLU(),
        "mvlgamma": lambda x: torch.mvlgamma(x + 1, 2),
        "polygamma": lambda x: torch.polygamma(1, x),
        "prelu": nn.PReLU(2).double(),
        "rrelu": nn.RReLU().eval(),
        "threshold": nn.Threshold(0.7, 3.0),
        "isfinite": lambda x: x * torch.isfinite(x),
        "isinf": lambda x: x * ~torch.isinf(x),
        "isnan": lambda x: x * ~torch.isnan(x),
        "isneginf": lambda x: x * ~torch.isneginf(x),
        "isposinf": lambda x: x * ~torch.isposinf(x),
        "signbit": lambda x: x * ~torch.signbit(x) + x,
        "logical_not": torch.logical_not,
        "bitwise_not": _whole_numbers(torch.bitwise_not),
        "native_dropout": lambda x: torch.native_dropout(x, 0.5, False)[0],
        "clone": lambda x: x.clone(),
        "type_as": lambda x: x.float().type_as(x),
        "_to_copy": lambda x: x.float().double(),
        "copy": lambda x: aten.copy(x, _top(x)),
        "complex": lambda x: torch.complex(x, 2 * x).abs(),
        "polar": lambda x: torch.polar(x, x).abs(),
        "view_as_real": lambda x: torch.view_as_real(torch.complex(x, x)).sum(-1),
        "view_as_complex": lambda x: torch.view_as_complex(
            torch.stack([x, x], -1)
        ).abs(),
        "one_hot": lambda x: (F.one_hot(x.clamp(0, 3).long(), 4) * x[..., None]).sum(
            -1
        ),
        "bucketize": lambda x: torch.bucketize(x, torch.linspace(0, 1, 9)),
        "searchsorted": lambda x: torch.searchsorted(
            torch.linspace(0, 1, 9).double(), x
        ),
        "isin": lambda x: torch.isin(x, torch.zeros(2).double()),
        "fake_quantize_per_tensor_affine": lambda x: (
            torch.fake_quantize_per_tensor_affine(x.float(), 0.1, 0, -128, 127)
        ),
        "fake_quantize_per_channel_affine": lambda x: (
            torch.fake_quantize_per_channel_affine(
                x.float(), torch.ones(2), torch.zeros(2), 1, -128, 127
            )
        ),
    }
)
CASES |= together(
    _pairs(
        "atan2 copysign div eq floor_divide fmax fmin fmod ge gt hypot le logaddexp "
        "logaddexp2 lt maximum minimum mul ne pow remainder special_xlog1py sub xlogy "
        "nextafter special_gammainc special_gammaincc heaviside isclose"
    )
)
CASES |= together(
    {
        "add": lambda x: 1 + _top(x) + x,
        "rsub": lambda x: torch.rsub(x, 1),
        "special_zeta": lambda x: torch.special.zeta(x + 1, 2.0),
        "logical_and": lambda x: torch.logical_and(x, x + 1),
        "logical_or": lambda x: torch.logical_or(x, 2 * x),
        "logical_xor": lambda x: torch.logical_xor(x, x > -5),
        "ldexp": lambda x: torch.ldexp(x, _top(x).long()),
        "lerp": lambda x: torch.lerp(x, _top(x), 0.3),
        "addcmul": lambda x: torch.addcmul(x, _top(x), x[:, :1], value=2),
        "addcdiv": lambda x: torch.addcdiv(x, _top(x), x[:, :1]),
        "clamp": lambda x: x.clamp(0, 1),
        "clamp_min": lambda x: x.clamp_min(0.7),
        "clamp_max": lambda x: x.clamp_max(0.7),
        "__and__": _whole_numbers(lambda x: x & 7),
        "bitwise_and": _whole_numbers(lambda x: torch.bitwise_and(x, 7)),
        "bitwise_or": _whole_numbers(lambda x: torch.bitwise_or(x, 1)),
        "bitwise_xor": _whole_numbers(lambda x: torch.bitwise_xor(x, 1)),
        "bitwise_left_shift": _whole_numbers(lambda x: torch.bitwise_left_shift(x, 1)),
        "bitwise_right_shift": _whole_numbers(
            lambda x: torch.bitwise_right_shift(x, 1)
        ),
        "gcd": _whole_numbers(lambda x: x * torch.gcd(x, x + 24)),
        "lcm": _whole_numbers(lambda x: torch.lcm(x, torch.full_like(x, 5))),
        "where": lambda x: torch.where(_rows(x), x, 3.0),
        "masked_fill": lambda x: x.masked_fill(_rows(x), 3.0),
        "mse_loss": lambda x: F.mse_loss(x, 2 * x, reduction="none"),
        "nll_loss_nd": lambda x: F.nll_loss(x, x[:, 0].long() * 0, reduction="none")[
            :, None
        ],
        "cross_entropy_loss": lambda x: F.cross_entropy(
            x, x.softmax(1), reduction="none"
        )[:, None],
    }
)


def _loss(name: str) -> Callable[..., Any]:
    function = getattr(F, name)
    return lambda x: function(x.sigmoid(), (x + 1).sigmoid(), reduction="none")


CASES |= together(
    {
        name: _loss(name)
        for name in [
            "binary_cross_entropy",
            "binary_cross_entropy_with_logits",
            "hinge_embedding_loss",
            "huber_loss",
            "kl_div",
            "l1_loss",
            "poisson_nll_loss",
            "smooth_l1_loss",
            "soft_margin_loss",
        ]
    }
)
CASES["glu"] = [
    case(nn.GLU, 1, check_exact=True),
    case(nn.GLU, 3, shape=(1, 1, 3, 6), check_exact=True),
]
CASES["where"] += [
    case(lambda x: torch.where(x > 1, x, _top(x)), check_exact=True),
    case(lambda x: torch.where(_rows(x), x[..., 1:2], _top(x))),
    case(lambda x: torch.where(_rows(x), x, _top(x)), check_exact=True),
    case(lambda x: torch.where(_rows(x), 3.0, x), check_exact=True),
]
CASES["masked_fill"] += [
    case(lambda x: x.masked_fill(x > 1, 3.0), check_exact=True),
]
CASES["mse_loss"] += [case(lambda x: 0 * x + F.mse_loss(x, 2 * x), check_exact=True)]

REASONS = {
    "bernoulli": "its results are drawn at random",
    "dropout": "it is written as a copy in evaluation mode",
    "imag": "it is written with view_as_real",
    "poisson": "its results are drawn at random",
    "real": "it is written with view_as_real",
}
