"""Reductions and normalisations of PyTorch, and ops that sort or add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from needed import needed
from torch_cases import Cases, case, together

torch = needed("torch")
nn = needed("torch.nn")
F = needed("torch.nn.functional")
aten = torch.ops.aten


def _kept(names: str) -> dict[str, Callable[..., Any]]:
    """Reductions of the rows, by the name of their op."""
    return {name: _reducing(getattr(torch, name)) for name in names.split()}


def _reducing(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: function(x, dim=2, keepdim=True)


def _both(function: Callable[..., Any]) -> Callable[..., Any]:
    """The sum of two results of a function."""
    return lambda x: sum(function(x))


def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: function(x, 2)


CASES: Cases = {}
CASES |= together(
    _kept("amax amin logsumexp mean nansum prod std sum var nanmean")
    | {
        "all": lambda x: x.mean(2, keepdim=True) * (x > -5000).all(2, keepdim=True),
        "any": lambda x: x.mean(2, keepdim=True) * (x > -5000).any(2, keepdim=True),
        "argmax": lambda x: torch.argmax(x, 2, keepdim=True),
        "argmin": lambda x: torch.argmin(x, 2, keepdim=True),
        "count_nonzero": lambda x: torch.count_nonzero(x, 2)[:, :, None],
        "linalg_vector_norm": lambda x: torch.linalg.vector_norm(x, 3, 2, True),
        "max": _both(_reducing(torch.max)),
        "min": _both(_reducing(torch.min)),
        "median": _both(_reducing(torch.median)),
        "nanmedian": _both(_reducing(torch.nanmedian)),
        "mode": _both(_reducing(torch.mode)),
        "kthvalue": lambda x: sum(torch.kthvalue(x, 2, 2, True)),
        "var_mean": _both(_reducing(torch.var_mean)),
        "std_mean": _both(_reducing(torch.std_mean)),
        "aminmax": _both(_reducing(torch.aminmax)),
        "quantile": lambda x: torch.quantile(x, 0.3, 2, True),
        "softmax": _along(torch.softmax),
        "log_softmax": _along(torch.log_softmax),
        "sort": lambda x: sum(torch.sort(x, 2)),
        "argsort": _along(torch.argsort),
    }
)
CASES |= together(
    {
        "cumsum": _along(torch.cumsum),
        "cumprod": _along(torch.cumprod),
        "logcumsumexp": _along(torch.logcumsumexp),
        "cummax": lambda x: sum(torch.cummax(x, 2)),
        "cummin": lambda x: sum(torch.cummin(x, 2)),
    }
)


def _case(function: Callable[..., Any], **given: Any) -> Callable[[], Any]:
    return case(function, shape=(1, 2, 4, 5), check_exact=True, **given)


CASES["topk"] = [
    _case(lambda x: torch.topk(x, 3, 3)[0]),
    _case(lambda x: torch.topk(x, 3, 2)[1].double()),
]
CASES["diff"] = [
    case(lambda x: torch.diff(x, 2, 3), check_exact=True),
    case(lambda x: torch.diff(x, 1, 2, prepend=torch.zeros(1, 2, 2, 6).double())),
]
CASES["renorm"] = [_case(lambda x: torch.renorm(x, 2, 0, 0.1))]
CASES["sum"] += [
    _case(lambda x: 0 * x + x.sum()),
    _case(lambda x: x.sum((1, 2)), check_channels=()),
]
CASES["max"] += [
    _case(lambda x: torch.max(x, x[:, :, :1])),
    _case(lambda x: 0 * x + torch.max(x)),
    _case(lambda x: torch.max(x, 3)[0]),
]
CASES["quantile"] += [
    case(
        lambda x: torch.quantile(x, torch.tensor([0.2, 0.7]).double(), 3),
        check_channels=(0, 2),
    ),
]
CASES["argmax"] += [_case(lambda x: 0 * x + x.argmax())]
CASES["softmax"] += [_case(nn.Softmax2d()), _case(nn.Softmin(3))]

# --- Normalisations ------------------------------------------------------------------

CASES |= {
    "_native_batch_norm_legit_no_training": [case(nn.BatchNorm2d, 2, check_exact=True)],
    "_native_batch_norm_legit": [
        case(nn.BatchNorm2d, 2, track_running_stats=False, check_exact=True),
    ],
    "instance_norm": [
        case(nn.InstanceNorm2d, 2, check_exact=True),
        case(nn.InstanceNorm2d, 2, track_running_stats=True, check_exact=True),
    ],
    "group_norm": [
        case(nn.GroupNorm, 1, 2, check_exact=True),
        case(nn.GroupNorm, 2, 4, shape=(1, 4, 3, 4), check_exact=True),
        case(
            lambda x: F.group_norm(x.transpose(1, 2), 2).transpose(1, 2),
            shape=(1, 2, 6, 3),
            check_exact=True,
        ),
    ],
    "layer_norm": [
        case(nn.LayerNorm, 6, check_exact=True),
        case(nn.LayerNorm, (5, 6), check_exact=True),
    ],
    "rms_norm": [case(nn.RMSNorm, 6, check_exact=True)],
    "cosine_similarity": [
        case(
            lambda x: F.cosine_similarity(x, x[:, :, :1], dim=1),
            check_exact=True,
            check_channels=(),
        ),
        case(
            lambda x: F.cosine_similarity(x, x**2, dim=3),
            check_exact=True,
        ),
    ],
    "pairwise_distance": [
        case(lambda x: F.pairwise_distance(x, 2 * x), check_exact=True),
        case(lambda x: F.pairwise_distance(x, x**2, keepdim=True), check_exact=True),
    ],
    "native_layer_norm": [
        case(lambda x: aten.native_layer_norm(x, [6], None, None, 1e-5)[0])
    ],
    "native_group_norm": [
        case(lambda x: aten.native_group_norm(x, None, None, 1, 2, 30, 1, 1e-5)[0])
    ],
    "_fused_rms_norm": [case(lambda x: aten._fused_rms_norm(x, [6], None, 1e-5)[0])],
}
