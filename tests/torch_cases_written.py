"""Ops of PyTorch by their other names, copies, new tensors and arithmetic of sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from needed import needed
from torch_cases import Cases, case, together

torch = needed("torch")
F = needed("torch.nn.functional")
aten = torch.ops.aten

CASES: Cases = {}


def _hold(functions: dict[str, Callable[..., Any]], **given: Any) -> None:
    """Adds functions that are held together, as `torch.export.export` writes them."""
    for name, cases in together(functions, check_written=True, **given).items():
        CASES[name] = [*CASES.get(name, []), *cases]


def _called(names: str, *arguments: Any) -> dict[str, Callable[..., Any]]:
    """Functions of one tensor, by the name of their op."""

    def made(name: str) -> Callable[..., Any]:
        return lambda x: getattr(aten, name)(x, *arguments)

    return {name: made(name) for name in names.split()}


def _whole(x: Any) -> Any:
    return (10 * x).to(torch.int64)


def _line(x: Any) -> Any:
    return x.mean(2, keepdim=True)


def _complex(x: Any) -> Any:
    return torch.complex(x, 2 * x)


# --- Each position on its own --------------------------------------------------------

_hold(
    _called(
        "absolute fix negative positive special_digamma special_erf special_erfc "
        "special_erfinv special_exp2 special_expit special_expm1 special_gammaln "
        "special_i0 special_log1p special_logit special_ndtr special_psi special_round "
        "special_sinc hardshrink softshrink conj_physical contiguous detach alias "
        "alias_copy detach_copy lift lift_fresh_copy resolve_conj resolve_neg conj"
    )
)
_hold(
    {
        name: (lambda op: lambda x: op(x, _line(x)))(getattr(aten, name))
        for name in [
            "arctan2",
            "divide",
            "float_power",
            "greater",
            "greater_equal",
            "less",
            "less_equal",
            "multiply",
            "not_equal",
            "special_xlogy",
            "subtract",
            "true_divide",
        ]
    }
)
_hold(
    {
        "clip": lambda x: torch.clip(x, 0, 1),
        "special_multigammaln": lambda x: torch.special.multigammaln(x + 1, 2),
        "special_polygamma": lambda x: torch.special.polygamma(1, x),
        "_conj_physical": lambda x: aten._conj_physical(_complex(x)).abs(),
        "_conj": lambda x: aten._conj(_complex(x)).abs(),
        "to": lambda x: x.to(torch.float32).to(torch.float64),
        "log_sigmoid_forward": lambda x: aten.log_sigmoid_forward(x)[0],
        "_prelu_kernel": lambda x: aten._prelu_kernel(
            x, torch.ones(1, 2, 1, 1).double()
        ),
        "rrelu_with_noise": lambda x: aten.rrelu_with_noise(x, torch.ones_like(x)),
        "__or__": lambda x: aten.__or__(_whole(x), 1),
        "__xor__": lambda x: aten.__xor__(_whole(x), 1),
        "__lshift__": lambda x: aten.__lshift__(_whole(x), 1),
        "__rshift__": lambda x: aten.__rshift__(_whole(x), 1),
        "alpha_dropout": lambda x: torch.alpha_dropout(x, 0.5, False),
        "feature_dropout": lambda x: torch.feature_dropout(x, 0.5, False),
        "feature_alpha_dropout": lambda x: torch.feature_alpha_dropout(x, 0.5, False),
        "view_as_complex_copy": lambda x: aten.view_as_complex_copy(
            torch.stack([x, x], -1)
        ).abs(),
        "view_as_real_copy": lambda x: aten.view_as_real_copy(_complex(x)).sum(-1),
        "fake_quantize_per_tensor_affine_cachemask": lambda x: (
            aten.fake_quantize_per_tensor_affine_cachemask(x.float(), 0.1, 0, -9, 9)[0]
        ),
        "fake_quantize_per_channel_affine_cachemask": lambda x: (
            aten.fake_quantize_per_channel_affine_cachemask(
                x.float(), torch.ones(2), torch.zeros(2), 1, -9, 9
            )[0]
        ),
        "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams": lambda x: (
            aten._fake_quantize_per_tensor_affine_cachemask_tensor_qparams(
                *(x.float(), torch.ones(1), torch.zeros(1).int(), torch.ones(1).long()),
                *(-9, 9),
            )[0]
        ),
        "margin_ranking_loss": lambda x: F.margin_ranking_loss(
            x, 2 * x, x.sign(), 0.5, reduction="none"
        ),
        "nll_loss2d": lambda x: aten.nll_loss2d(x, x[:, 0].long() * 0, None, 0)[
            :, None
        ],
        "nll_loss2d_forward": lambda x: aten.nll_loss2d_forward(
            x, x[:, 0].long() * 0, None, 0, -100
        )[0][:, None],
    }
)

# --- Copies of views -----------------------------------------------------------------

_hold(
    {
        "as_strided_copy": lambda x: aten.as_strided_copy(
            x, [1, 2, 3, 4], [24, 12, 4, 1]
        ),
        "diagonal_copy": lambda x: aten.diagonal_copy(x.diag_embed(), 0, 3, 4),
        "expand_copy": lambda x: aten.expand_copy(x[:, :1], [1, 2, 3, 4]),
        "narrow_copy": lambda x: aten.narrow_copy(torch.cat([x, x], 2), 2, 3, 3),
        "permute_copy": lambda x: aten.permute_copy(x, [0, 3, 1, 2]).permute(
            0, 2, 3, 1
        ),
        "_reshape_alias": lambda x: aten._reshape_alias(
            x, [1, 2, 3, 2, 2], [24, 12, 4, 2, 1]
        ).flatten(3),
        "_reshape_copy": lambda x: aten._reshape_copy(x, [1, 2, 3, 2, 2]).flatten(3),
        "select_copy": lambda x: aten.select_copy(x, 1, 1)[:, None],
        "slice_copy": lambda x: aten.slice_copy(torch.cat([x, x], 3), 3, 4),
        "split_copy": lambda x: torch.cat(aten.split_copy(x, 3, 3), 3),
        "split_with_sizes_copy": lambda x: torch.cat(
            aten.split_with_sizes_copy(x, [1, 3], 3), 3
        ),
        "squeeze_copy": lambda x: aten.squeeze_copy(x[:, :1], 1)[:, None],
        "t_copy": lambda x: aten.t_copy(x[0, 0]).transpose(0, 1)[None, None],
        "transpose_copy": lambda x: aten.transpose_copy(x, 2, 3).transpose(2, 3),
        "unbind_copy": lambda x: torch.stack(aten.unbind_copy(x, 3), 3),
        "unfold_copy": lambda x: aten.unfold_copy(x, 3, 1, 1)[..., 0],
        "unsqueeze_copy": lambda x: aten.unsqueeze_copy(x, 2)[:, :, 0],
        "view_copy": lambda x: aten.view_copy(x, [1, 2, 3, 2, 2]).flatten(3),
        "_stack": lambda x: aten._stack([x, 2 * x], 1)[:, 1],
        "_unsafe_index": lambda x: aten._unsafe_index(
            x, [None, None, None, torch.arange(4)]
        ),
        "_unsafe_index_put": lambda x: aten._unsafe_index_put(
            x, [None, torch.tensor([1])], torch.ones(1).double()
        ),
        "_index_put_impl": lambda x: aten._index_put_impl(
            x, [None, torch.tensor([1])], torch.ones(1).double()
        ),
    },
    check_exact=None,
)

# --- New tensors ---------------------------------------------------------------------

_ROW = [1, 1, 1, 4]

_hold(
    {
        "arange": lambda x: x + torch.arange(4),
        "range": lambda x: x + torch.range(1, 4),
        "linspace": lambda x: x + torch.linspace(0, 1, 4),
        "logspace": lambda x: x + torch.logspace(0, 1, 4),
        "eye": lambda x: x + torch.eye(3, 4),
        "zeros": lambda x: x + torch.zeros(_ROW),
        "ones": lambda x: x + torch.ones(_ROW),
        "full": lambda x: x + torch.full(_ROW, 2.0),
        "zeros_like": lambda x: x + torch.zeros_like(x),
        "ones_like": lambda x: x + torch.ones_like(x),
        "full_like": lambda x: x + torch.full_like(x, 2),
        "new_zeros": lambda x: x + x.new_zeros(_ROW),
        "new_ones": lambda x: x + x.new_ones(_ROW),
        "new_full": lambda x: x + x.new_full(_ROW, 2),
        "zero": lambda x: x + aten.zero(x),
        "fill": lambda x: x + aten.fill(x, 2),
        "scalar_tensor": lambda x: x + torch.scalar_tensor(2.0),
        "tril_indices": lambda x: x + torch.tril_indices(2, 2)[0, 0],
        "triu_indices": lambda x: x + torch.triu_indices(2, 2)[0, 0],
        "bartlett_window": lambda x: x + torch.bartlett_window(4),
        "blackman_window": lambda x: x + torch.blackman_window(4),
        "hamming_window": lambda x: x + torch.hamming_window(4),
        "hann_window": lambda x: x + torch.hann_window(4),
        "kaiser_window": lambda x: x + torch.kaiser_window(4),
        "fft_fftfreq": lambda x: x + torch.fft.fftfreq(4),
        "fft_rfftfreq": lambda x: x + torch.fft.rfftfreq(6),
    }
)

# --- Whole axes ----------------------------------------------------------------------

_hold(
    {
        "_softmax": lambda x: aten._softmax(0.01 * x, 3, False),
        "_log_softmax": lambda x: aten._log_softmax(0.01 * x, 3, False),
        "_safe_softmax": lambda x: aten._safe_softmax(0.01 * x, 3),
        "_masked_softmax": lambda x: aten._masked_softmax(
            0.01 * x, torch.zeros(1, 2, 3, 4, dtype=torch.bool), 3
        ),
        "special_softmax": lambda x: torch.special.softmax(0.01 * x, 3),
        "special_log_softmax": lambda x: torch.special.log_softmax(0.01 * x, 3),
        "special_logsumexp": lambda x: torch.special.logsumexp(x, 3, True),
        "frobenius_norm": lambda x: aten.frobenius_norm(x, [3], True),
        "linalg_norm": lambda x: torch.linalg.norm(x, dim=3, keepdim=True),
        "norm": lambda x: aten.norm(x, 2, [3], True),
        "nanquantile": lambda x: torch.nanquantile(x, 0.3, 3, True),
        "_fft_c2c": lambda x: aten._fft_c2c(_complex(x), [3], 0, True).abs(),
        "_fft_r2c": lambda x: aten._fft_r2c(x, [3], 0, False).abs(),
        "_fft_c2r": lambda x: aten._fft_c2r(_complex(x), [3], 0, 4),
    }
)
_hold(
    {
        "msort": lambda x: torch.msort(x.permute(2, 0, 1, 3)).permute(1, 2, 0, 3),
    }
)
_hold(
    {
        name: (
            lambda op: lambda x: op(_complex(x), dim=(2, 3)).abs().sum((2, 3), True)
        )(getattr(aten, name))
        for name in ["fft_ifft2", "fft_ifftn", "fft_hfft2", "fft_hfftn", "fft_irfftn"]
    }
    | {
        name: (lambda op: lambda x: op(x, dim=(2, 3)).abs().sum((2, 3), True))(
            getattr(aten, name)
        )
        for name in ["fft_rfftn", "fft_ihfft2", "fft_ihfftn"]
    }
)

# --- Matrices ------------------------------------------------------------------------


def _matrix(x: Any) -> Any:
    """A matrix that is well conditioned for any image."""
    return torch.eye(4).double() + 0.1 * x.tanh()


def _positive(x: Any) -> Any:
    """A positive definite matrix."""
    return _matrix(x) @ _matrix(x).transpose(2, 3)


def _summed(functions: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """Functions of matrices, whose results are added up."""

    def made(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: function(x).sum((2, 3), True)

    return {name: made(function) for name, function in functions.items()}


_hold(
    _summed(
        {
            "inverse": lambda x: torch.inverse(_matrix(x)),
            "linalg_inv_ex": lambda x: torch.linalg.inv_ex(_matrix(x))[0],
            "linalg_pinv": lambda x: torch.linalg.pinv(_matrix(x)),
            "pinverse": lambda x: torch.pinverse(_matrix(x)),
            "matrix_exp": lambda x: torch.matrix_exp(_matrix(x)),
            "matrix_power": lambda x: torch.matrix_power(_matrix(x), 3),
            "linalg_matrix_power": lambda x: torch.linalg.matrix_power(_matrix(x), 3),
            "cholesky": lambda x: torch.cholesky(_positive(x)),
            "linalg_cholesky": lambda x: torch.linalg.cholesky(_positive(x)),
            "linalg_cholesky_ex": lambda x: torch.linalg.cholesky_ex(_positive(x))[0],
            "cholesky_inverse": lambda x: torch.cholesky_inverse(_matrix(x)),
            "cholesky_solve": lambda x: torch.cholesky_solve(_matrix(x), _matrix(x)),
            "linalg_qr": lambda x: torch.linalg.qr(_matrix(x))[1],
            "qr": lambda x: torch.qr(_matrix(x))[1],
            "linalg_lu": lambda x: torch.linalg.lu(_matrix(x))[2],
            "linalg_lu_factor": lambda x: torch.linalg.lu_factor(_matrix(x))[0],
            "linalg_ldl_factor": lambda x: torch.linalg.ldl_factor(_positive(x))[0],
            "linalg_solve": lambda x: torch.linalg.solve(_matrix(x), x),
            "linalg_solve_triangular": lambda x: torch.linalg.solve_triangular(
                _matrix(x), x, upper=True
            ),
            "triangular_solve": lambda x: torch.triangular_solve(x, _matrix(x))[0],
            "linalg_matmul": lambda x: torch.linalg.matmul(x, x),
            "det": lambda x: torch.det(_matrix(x))[..., None, None],
            "logdet": lambda x: torch.logdet(_positive(x))[..., None, None],
            "linalg_slogdet": lambda x: torch.linalg.slogdet(_matrix(x))[1][
                ..., None, None
            ],
            "linalg_cond": lambda x: torch.linalg.cond(_matrix(x))[..., None, None],
            "linalg_matrix_norm": lambda x: torch.linalg.matrix_norm(x)[
                ..., None, None
            ],
            "linalg_matrix_rank": lambda x: torch.linalg.matrix_rank(x)[
                ..., None, None
            ],
            "nuclear_norm": lambda x: aten.nuclear_norm(x, [2, 3], True),
            "linalg_eig": lambda x: torch.linalg.eig(_positive(x))[0].real[..., None],
            "linalg_eigvals": lambda x: torch.linalg.eigvals(_positive(x)).real[
                ..., None
            ],
            "linalg_eigh": lambda x: torch.linalg.eigh(_positive(x))[0][..., None],
            "linalg_eigvalsh": lambda x: torch.linalg.eigvalsh(_positive(x))[..., None],
            "linalg_svd": lambda x: torch.linalg.svd(_matrix(x))[1][..., None],
            "svd": lambda x: torch.svd(_matrix(x))[1][..., None],
            "linalg_svdvals": lambda x: torch.linalg.svdvals(_matrix(x))[..., None],
        }
    ),
    shape=(1, 2, 4, 4),
    check_exact=None,
)
_hold(
    {
        "linalg_tensorinv": lambda x: torch.linalg.tensorinv(_matrix(x)[0, 0], ind=1),
        "linalg_tensorsolve": lambda x: torch.linalg.tensorsolve(
            _matrix(x)[0, 0], x[0, 0, 0]
        ),
        "chain_matmul": lambda x: torch.chain_matmul(x[0, 0], x[0, 1]),
        "_addmm_activation": lambda x: aten._addmm_activation(
            torch.ones(4).double(), x[0, 0], x[0, 1]
        ),
        "_weight_norm": lambda x: aten._weight_norm(x[0, 0], x[0, 0, :, :1], 0),
        "_weight_norm_interface": lambda x: aten._weight_norm_interface(
            x[0, 0], x[0, 0, :, :1], 0
        )[0],
        "_cdist_forward": lambda x: aten._cdist_forward(x, x, 2.0, None)[0, 0],
        "_euclidean_dist": lambda x: aten._euclidean_dist(x[0, 0], x[0, 0] + 1),
        "ger": lambda x: torch.ger(x[0, 0, 0], x[0, 1, 0]),
        "vdot": lambda x: torch.vdot(x[0, 0, 0], x[0, 1, 0]),
        "linalg_vander": lambda x: torch.linalg.vander(x[0, 0, 0]),
        "cross": lambda x: torch.cross(x[0, 0, :3], x[0, 1, :3], 0)[:1],
        "_pdist_forward": lambda x: aten._pdist_forward(x[0, 0])[:4],
    },
    shape=(1, 2, 4, 4),
    check_exact=None,
    check_channels=(),
)

# --- Normalisations ------------------------------------------------------------------


def _moments() -> list[Any]:
    return [torch.zeros(2).double(), torch.ones(2).double()]


_hold(
    {
        "batch_norm": lambda x: F.batch_norm(x, *_moments()),
        "native_batch_norm": lambda x: aten.native_batch_norm(
            x, None, None, *_moments(), False, 0.1, 1e-5
        )[0],
        "_batch_norm_no_update": lambda x: aten._batch_norm_no_update(
            x, *_moments()[::-1], *_moments(), 0.1, 1e-5
        )[0],
    }
)

# --- Sizes ---------------------------------------------------------------------------


def _sizes(function: Callable[..., Any], **given: Any) -> list[Any]:
    """Cases of a function of an image and its sizes, which are unknown."""
    return [
        case(
            lambda x: function(x, *x.shape[2:]),
            check_dynamic=(2, 3),
            check_exact=True,
            **given,
        )
    ]


CASES |= {
    "sym_size": _sizes(lambda x, h, w: x.expand(2, 1, 2, h, w), check_channels=(2,)),
    "operator.add": _sizes(lambda x, h, w: x[:, :, 1 : h + 2]),
    "operator.sub": _sizes(lambda x, h, w: x[:, :, : h - 2]),
    "operator.mul": _sizes(lambda x, h, w: x.reshape(1, 2, h * w)),
    "operator.floordiv": _sizes(lambda x, h, w: x[:, :, : h // 2]),
    "operator.mod": _sizes(lambda x, h, w: x[:, :, h % 3 :]),
}
_SIZES = """
    builtins.abs builtins.max builtins.min builtins.round math.ceil math.cos math.exp
    math.floor math.log math.log2 math.pow math.sin math.sqrt math.tan math.trunc numel
    operator.abs operator.and_ operator.eq operator.ge operator.gt operator.index
    operator.le operator.lshift operator.lt operator.ne operator.neg operator.not_
    operator.or_ operator.pos operator.pow operator.rshift operator.truediv operator.xor
    size sym_is_contiguous sym_numel sym_storage_offset sym_stride torch._sym_cos
    torch._sym_exp torch._sym_log torch._sym_log2 torch._sym_sin torch._sym_sqrt
    torch._sym_tan torch.sym_float torch.sym_int torch.sym_ite torch.sym_max
    torch.sym_min torch.sym_not torch.sym_sum
"""
_WITHOUT_RESULT = """
    _assert_async _assert_scalar _assert_tensor_metadata _functional_assert_async
    _functional_assert_scalar _functional_sym_constrain_range
    _functional_sym_constrain_range_for_size _make_dep_token _print manual_seed
    profiler._record_function_enter_new profiler._record_function_exit
    sym_constrain_range sym_constrain_range_for_size torch._check torch._check_is_size
"""
_RANDOM = """
    _fused_dropout cauchy exponential geometric log_normal multinomial normal
    normal_functional rand rand_like randint randint_like randn randn_like random
    randperm rrelu_with_noise_functional uniform
"""
_EMPTY = "empty empty_like empty_permuted empty_strided new_empty new_empty_strided"
_NUMBERS = "_local_scalar_dense is_nonzero item"
_TRAINING = """
    _batch_norm_with_update _batch_norm_with_update_functional
    _native_batch_norm_legit_functional
"""
_OTHER_DEVICES = """
    _scaled_dot_product_cudnn_attention _scaled_dot_product_efficient_attention
    _scaled_dot_product_flash_attention
    _scaled_dot_product_fused_attention_overrideable cudnn_batch_norm miopen_batch_norm
    pin_memory
"""
_QUANTISED = """
    dequantize int_repr quantize_per_channel quantize_per_tensor
    quantized_decomposed.dequantize_per_channel
    quantized_decomposed.dequantize_per_tensor
    quantized_decomposed.quantize_per_channel
    quantized_decomposed.quantize_per_tensor
"""
_EMBEDDING = "_embedding_bag _embedding_bag_forward_only"

REASONS = {
    **dict.fromkeys(_SIZES.split(), "computes a number, mostly of sizes"),
    **dict.fromkeys(_WITHOUT_RESULT.split(), "has no result that is a tensor"),
    **dict.fromkeys(_RANDOM.split(), "its results are drawn at random"),
    **dict.fromkeys(_EMPTY.split(), "its result has no defined values"),
    **dict.fromkeys(_NUMBERS.split(), "its number depends on the data"),
    **dict.fromkeys(_TRAINING.split(), "trains; it has the arguments of batch_norm"),
    **dict.fromkeys(
        _OTHER_DEVICES.split(),
        "runs on other devices only; its arguments are those of a measured op",
    ),
    **dict.fromkeys(_QUANTISED.split(), "rounds each position on its own"),
    **dict.fromkeys(_EMBEDDING.split(), "has the arguments of embedding_bag"),
    "argwhere": "the number of places depends on the data",
    "histc": "its counts are integers, which hardly ever change",
    "lift_fresh": "it is written as lift_fresh_copy",
    "linalg_lstsq": "PyTorch does not export it",
    "nll_loss": "its inputs have no positions",
    "nll_loss_forward": "its inputs have no positions",
    "rnn_relu_cell": "its inputs have no positions",
    "higher_order.associative_scan": "PyTorch does not export it on this device",
    "higher_order.flex_attention": "PyTorch does not export it on this device",
    "control.next": "the library adds it to loops",
    "control.slice": "the library adds it to loops",
    "control.variable": "the library adds it to loops",
}
