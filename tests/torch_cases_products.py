"""Products of matrices, attention, recurrent networks and transforms of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from needed import needed
from torch_cases import Cases, case

torch = needed("torch")
nn = needed("torch.nn")
F = needed("torch.nn.functional")
aten = torch.ops.aten


def _numbers(*shape: int) -> Any:
    """Positive numbers without a pattern."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5


def _image(x: Any) -> Any:
    """The same, by an op that says that the last two axes hold positions."""
    return F.avg_pool2d(x, 1)


EXACT: Any = {"check_exact": True}


def _sequence(make: Any, *arguments: Any, **given: Any) -> Callable[[], Any]:
    """A case with five steps of four channels."""
    options = {"shape": (1, 5, 4), "check_axes": (1,), "check_channels": (2,)}
    return case(make, *arguments, **options | {"check_exact": True} | given)


def _matrix(function: Callable[..., Any], **given: Any) -> Callable[[], Any]:
    """A case with a matrix of four rows and five columns."""
    options = {"shape": (1, 1, 4, 5), "check_channels": (), "check_exact": True}
    return case(lambda x: function(x[0, 0]), **options | given)


class _OfMatrix(nn.Module):  # type: ignore[misc, name-defined]
    """A cell that gets the rows of an image of one channel."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.cell = getattr(nn, name)(5, 3)

    def forward(self, x: Any) -> Any:
        """Runs the cell."""
        found = self.cell(x[0, 0])
        return found[0] if isinstance(found, tuple) else found


CASES: Cases = {
    "linear": [
        case(lambda x: F.linear(_image(x), _numbers(3, 6), _numbers(3)), **EXACT),
        _matrix(lambda x: F.linear(x, _numbers(3, 5))),
    ],
    "mm": [
        _matrix(lambda x: torch.mm(x, _numbers(5, 3))),
    ],
    "bmm": [_matrix(lambda x: torch.bmm(x[None], _numbers(1, 5, 3))[0])],
    "mv": [_matrix(lambda x: torch.mv(x, _numbers(5)))],
    "dot": [_matrix(lambda x: 0 * x[1] + torch.dot(x[0], 2 * x[0]))],
    "addmm": [_matrix(lambda x: torch.addmm(x[:, :1], x, x.T))],
    "addmv": [_matrix(lambda x: torch.addmv(_numbers(4), x, _numbers(5)))],
    "addr": [_matrix(lambda x: torch.addr(x, x[:, 0], x[0]), check_exact=None)],
    "baddbmm": [
        _matrix(lambda x: torch.baddbmm(x[None], x[None], _numbers(1, 5, 5))[0])
    ],
    "addbmm": [_matrix(lambda x: torch.addbmm(x[:, :3], x[None], _numbers(1, 5, 3)))],
    "outer": [_matrix(lambda x: torch.outer(x[:, 0], x[1]), check_exact=None)],
    "matmul": [
        case(lambda x: torch.matmul(x, x.transpose(2, 3)), check_exact=True),
        case(lambda x: torch.matmul(_image(x), _numbers(6)), **EXACT),
        case(lambda x: torch.matmul(_numbers(5), x), check_exact=True),
    ],
    "inner": [_matrix(lambda x: torch.inner(x, _numbers(2, 5)))],
    "einsum": [
        case(
            lambda x: torch.einsum("bchw,bdhw->bhcd", x, x * 2),
            check_channels=(2, 3),
            check_exact=True,
        ),
        case(
            lambda x: torch.einsum("...hw, kw", _image(x), _numbers(3, 6)),
            check_channels=(1,),
        ),
    ],
    "bilinear": [
        case(lambda x: F.bilinear(x, 2 * x, _numbers(3, 6, 6)), check_exact=True)
    ],
    "tensordot": [
        case(
            lambda x: torch.tensordot(_image(x), _numbers(6, 3), dims=([3], [0])),
            check_exact=True,
        )
    ],
    "linalg_multi_dot": [
        _matrix(lambda x: torch.linalg.multi_dot([x, _numbers(5, 3), _numbers(3, 2)]))
    ],
    "kron": [_matrix(lambda x: torch.kron(x, _numbers(2, 3)))],
    "linalg_cross": [
        case(lambda x: torch.linalg.cross(x, x**2, dim=1), shape=(1, 3, 4, 5))
    ],
    "linalg_inv": [
        case(lambda x: torch.linalg.inv(x + 9 * torch.eye(5)), shape=(1, 2, 5, 5))
    ],
    "linalg_matrix_exp": [
        case(lambda x: torch.linalg.matrix_exp(x / 99), shape=(1, 2, 5, 5))
    ],
    "linalg_det": [case(torch.linalg.det, shape=(1, 2, 4, 4))],
    "linalg_solve": [
        case(
            lambda x: torch.linalg.solve(x + 9 * torch.eye(5), x),
            shape=(1, 2, 5, 5),
        )
    ],
    "trace": [_matrix(lambda x: 0 * x[:, 0] + torch.trace(x[:, :4]), check_exact=None)],
    "cdist": [_matrix(lambda x: torch.cdist(x, _numbers(3, 5)))],
    "dist": [_matrix(lambda x: 0 * x[0] + torch.dist(x, 2 * x))],
    "pdist": [_matrix(lambda x: 0 * x[0] + F.pdist(x).sum(), check_exact=None)],
    "embedding": [
        _matrix(
            lambda x: F.embedding((10 * x).long() % 2003, _numbers(2003, 3)),
            check_channels=(2,),
        )
    ],
    "embedding_bag": [
        _matrix(
            lambda x: F.embedding_bag((10 * x).long() % 2003, _numbers(2003, 3)),
            check_channels=(1,),
        )
    ],
}

# --- Attention -----------------------------------------------------------------------


def _attention(x: Any, **given: Any) -> Any:
    return F.scaled_dot_product_attention(x, x**2, 3 - x, **given)


CASES |= {
    "scaled_dot_product_attention": [
        _sequence(_attention),
        _sequence(_attention, is_causal=True),
        _sequence(lambda x: _attention(x, attn_mask=_mask(x))),
        _sequence(lambda x: _attention(x, attn_mask=_numbers(5, 5)), check_exact=None),
        case(
            lambda x: F.scaled_dot_product_attention(
                x, x[:, :1], x[:, 1:], enable_gqa=True
            ),
            shape=(1, 2, 5, 4),
            check_axes=(1, 2),
            check_channels=(3,),
            check_exact=True,
        ),
    ],
    "_scaled_dot_product_flash_attention_for_cpu": [
        case(
            lambda x: aten._scaled_dot_product_flash_attention_for_cpu(
                x, x, x, 0.0, True
            )[0],
            shape=(1, 2, 5, 4),
            check_axes=(1, 2),
            check_channels=(3,),
            check_exact=True,
        )
    ],
    "_scaled_dot_product_attention_math": [
        _sequence(lambda x: aten._scaled_dot_product_attention_math(x, x, x)[0])
    ],
}


def _mask(x: Any) -> Any:
    places = torch.arange(x.shape[1])
    return places[None] <= places[:, None] + 1


def _layer(x: Any) -> Any:
    return torch._transformer_encoder_layer_fwd(
        x,
        4,
        2,
        _numbers(12, 4),
        _numbers(12),
        _numbers(4, 4),
        _numbers(4),
        True,
        False,
        1e-5,
        _numbers(4),
        _numbers(4),
        _numbers(4),
        _numbers(4),
        _numbers(8, 4),
        _numbers(8),
        _numbers(4, 8),
        _numbers(4),
    )


def _heads(x: Any) -> Any:
    weights = _numbers(12, 4), _numbers(12), _numbers(4, 4), _numbers(4)
    return torch._native_multi_head_attention(x, x, x, 4, 2, *weights)[0]


CASES |= {
    "_transformer_encoder_layer_fwd": [_sequence(_layer)],
    "_native_multi_head_attention": [_sequence(_heads)],
}

# --- Recurrent networks --------------------------------------------------------------


class _Recurrent(nn.Module):  # type: ignore[misc, name-defined]
    """One of the results of a recurrent network."""

    def __init__(self, name: str, output: int = 0, **given: Any) -> None:
        super().__init__()
        options = {"batch_first": True} | given
        self.network = getattr(nn, name)(4, 3, **options)
        self.output = output

    def forward(self, x: Any) -> Any:
        """Runs the network."""
        found = self.network(x)
        if isinstance(found, tuple):
            found = found[self.output]
        return found[0] if isinstance(found, tuple) else found


_FINAL = {"check_channels": (0, 2)}

CASES |= {
    "lstm": [
        _sequence(_Recurrent, "LSTM"),
        _sequence(_Recurrent, "LSTM", num_layers=2, bidirectional=True),
        _sequence(_Recurrent, "LSTM", 1, proj_size=2, **_FINAL),
    ],
    "gru": [
        _sequence(_Recurrent, "GRU"),
        _sequence(
            _Recurrent,
            "GRU",
            batch_first=False,
            shape=(5, 2, 4),
            check_axes=(0,),
        ),
        _sequence(_Recurrent, "GRU", 1, bidirectional=True, **_FINAL),
    ],
    "rnn_tanh": [_sequence(_Recurrent, "RNN")],
    "rnn_relu": [_sequence(_Recurrent, "RNN", nonlinearity="relu")],
}


CASES |= {
    op: [case(_OfMatrix, name, shape=(1, 1, 4, 5), check_channels=(1,))]
    for op, name in [
        ("lstm_cell", "LSTMCell"),
        ("gru_cell", "GRUCell"),
        ("rnn_tanh_cell", "RNNCell"),
    ]
}

# --- Transforms ----------------------------------------------------------------------

CASES |= {
    "fft_fft": [
        case(lambda x: torch.fft.fft(x).abs(), check_exact=True),
        case(lambda x: torch.fft.fft(x, 3, 2).abs(), check_exact=True),
    ],
    "fft_ifft": [case(lambda x: torch.fft.ifft(x, 9).abs(), check_exact=True)],
    "fft_rfft": [case(lambda x: torch.fft.rfft(x).abs(), check_exact=True)],
    "fft_irfft": [
        case(lambda x: torch.fft.irfft(torch.complex(x, x)), check_exact=True),
        case(lambda x: torch.fft.irfft(torch.complex(x, x), 6)),
    ],
    "fft_fft2": [case(lambda x: torch.fft.fft2(x).abs(), check_exact=True)],
    "fft_rfft2": [case(lambda x: torch.fft.rfft2(x).abs(), check_exact=True)],
    "fft_irfft2": [case(lambda x: torch.fft.irfft2(torch.complex(x, x)))],
    "fft_fftn": [case(lambda x: torch.fft.fftn(x, dim=(2, 3)).abs(), check_exact=True)],
    "fft_ihfft": [case(lambda x: torch.fft.ihfft(x).abs(), check_exact=True)],
    "fft_hfft": [case(lambda x: torch.fft.hfft(torch.complex(x, x)), check_exact=True)],
    "fft_fftshift": [
        case(lambda x: torch.fft.fftshift(x, dim=(2, 3)), check_exact=True)
    ],
    "fft_ifftshift": [
        case(lambda x: torch.fft.ifftshift(x, dim=(2, 3)), check_exact=True)
    ],
    "stft": [
        case(
            lambda x: torch.stft(
                x,
                6,
                2,
                4,
                window=_numbers(4),
                center=False,
                return_complex=True,
            ).abs(),
            shape=(1, 16),
            check_axes=(1,),
            check_exact=True,
        )
    ],
}

REASONS = {
    "istft": "a trace without values cannot check the window; a program is analysed"
}
