"""Interpolation of PyTorch with random sizes and scales."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from needed import needed
from random_search import examples

torch = needed("torch")

from torch_experiments import check  # noqa: E402

from receptive_field.rules.upsampling import (  # noqa: E402
    Lengths,
    copies,
    reads,
    weight_matrix,
)

F = torch.nn.functional

MODES = (
    ("nearest", False),
    ("nearest-exact", False),
    ("linear", False),
    ("cubic", False),
    ("linear", True),
    ("cubic", True),
    ("lanczos", True),
)

NAMES = {
    ("linear", 1): "linear",
    ("linear", 2): "bilinear",
    ("linear", 3): "trilinear",
    ("cubic", 2): "bicubic",
}

SCALES = st.one_of(
    st.floats(0.2, 3),
    st.integers(1, 4).map(float),
    st.integers(2, 11).map(lambda n: 1 / n),
    st.sampled_from((0.7, 1.01, 1.7, 2.05, 2.3)),
)


def _given(mode: str, antialias: bool, dimensions: int, corners: bool) -> Any:
    found: dict[str, Any] = {"mode": NAMES.get((mode, dimensions), mode)}
    if mode in ("linear", "cubic"):
        found["align_corners"] = corners
    if antialias:
        found["antialias"] = True
    return found


def _dimensions(mode: str, antialias: bool) -> Any:
    only_images = mode in ("cubic", "lanczos") or antialias
    return st.just(2) if only_images else st.integers(1, 3)


@given(st.data())
@examples(150)
def test_kernels_read_what_their_arithmetic_says(data: Any) -> None:
    """Of a matrix with one in each row, an interpolation shows its weights."""
    draw = data.draw
    mode, antialias = draw(st.sampled_from(MODES))
    dimensions = draw(_dimensions(mode, antialias))
    size, double = draw(st.integers(1, 60)), draw(st.booleans())
    scale = draw(st.one_of(st.none(), SCALES))
    corners = mode in ("linear", "cubic") and draw(st.booleans())
    new_size = draw(st.integers(1, 130)) if scale is None else int(size * scale)
    assume(new_size > 0)
    last_first = draw(st.booleans())
    beside = {1: (), 2: (draw(st.sampled_from((2, 130))),), 3: (2, 2)}[dimensions]
    matrix = torch.eye(size, dtype=torch.float64 if double else torch.float32)
    matrix = matrix.reshape(size, 1, *[1] * len(beside), size)
    image = matrix.repeat(1, 8 if last_first else 2, *beside, 1)
    if last_first and dimensions == 2:
        image = image.contiguous(memory_format=torch.channels_last)
    options = _given(mode, antialias, dimensions, corners)
    if scale is None:
        found = F.interpolate(image, size=(*beside, new_size), **options)
    else:
        scales = (*[1.0] * len(beside), scale)
        found = F.interpolate(image, scale_factor=scales, **options)
    truth = found.reshape(size, -1, new_size)[:, 0].numpy().T
    if size == new_size and (scale in (None, 1) or copies(mode, antialias)):
        assert (truth == np.eye(size)).all()
        return
    read = reads(Lengths(size, new_size, scale, corners, double), mode, antialias)
    if read.exact:
        assert np.allclose(weight_matrix(size, read, antialias), truth, atol=1e-4)
    for u, (first, last) in enumerate(read.windows):
        seen = np.flatnonzero(truth[u])
        low, high = (min(max(end, 0), size - 1) for end in (first, last))
        assert low <= seen[0]
        assert seen[-1] <= high
        if read.exact and (not antialias or (first >= 0 and last < size)):
            assert (seen[0], seen[-1]) == (low, high)
            assert read.holes or len(seen) == high - low + 1


@given(st.data())
@examples(8)
def test_interpolation(data: Any) -> None:
    draw = data.draw
    mode, antialias = draw(st.sampled_from(MODES))
    dimensions = draw(_dimensions(mode, antialias))
    most = {1: 11, 2: 7, 3: 3}[dimensions]
    sizes = [draw(st.integers(1, most)) for _ in range(dimensions)]
    options = _given(
        mode, antialias, dimensions, mode != "lanczos" and draw(st.booleans())
    )
    if draw(st.booleans()):
        options["size"] = [draw(st.integers(1, most + 2)) for _ in sizes]
    else:
        scales = [draw(SCALES) for _ in sizes]
        assume(all(int(s * n) > 0 for s, n in zip(scales, sizes, strict=True)))
        options["scale_factor"] = scales
        options["recompute_scale_factor"] = draw(st.booleans())
    # In PyTorch 2.13, all rows of a result that is one pixel wide are the first one.
    # Their gradients say otherwise.
    scaled = [
        int(s * n) for s, n in zip(options.get("scale_factor", ()), sizes, strict=False)
    ]
    assume(not antialias or (options.get("size") or scaled)[-1] > 1)

    def interpolated(x: Any) -> Any:
        return F.interpolate(x, **options)

    axes = tuple(range(2, 2 + dimensions))
    check(interpolated, (1, 1, *sizes), axes)
