"""Convolutions, pools, paddings and blocks of PyTorch with random parameters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from needed import needed
from random_search import examples

torch, nn = needed("torch"), needed("torch.nn")

from torch_experiments import check, exported, with_weights  # noqa: E402

import receptive_field as rf  # noqa: E402
from receptive_field.errors import ReceptiveFieldError  # noqa: E402
from receptive_field.frameworks.torch import objects  # noqa: E402
from receptive_field.frameworks.torch.build import model_of_program  # noqa: E402
from receptive_field.frameworks.torch.program import (  # noqa: E402
    Kind,
    Program,
    Step,
    Value,
)

AXES = {1: (2,), 2: (2, 3), 3: (2, 3, 4)}


def _image(draw: Any, count: int, least: int = 1) -> tuple[int, ...]:
    most = {1: 11, 2: 7, 3: 4}[count]
    sizes = st.integers(least, max(most, least))
    return (1, 2, *(draw(sizes) for _ in range(count)))


def _per_axis(draw: Any, count: int, low: int, high: int) -> list[int]:
    return [draw(st.integers(low, high)) for _ in range(count)]


def _runs(module: Any, shape: tuple[int, ...]) -> bool:
    """Whether PyTorch takes these parameters for this shape."""
    try:
        with torch.no_grad():
            found = module.double()(torch.ones(*shape, dtype=torch.float64))
    except RuntimeError:
        return False
    return bool(found.numel() and found.numel() < 300)


@given(st.data())
@examples(8)
def test_convolutions(data: Any) -> None:
    draw = data.draw
    count = draw(st.integers(1, 3))
    same = draw(st.booleans())
    stride = [1] * count if same else _per_axis(draw, count, 1, 3)
    groups = draw(st.sampled_from((1, 2)))
    module = getattr(nn, f"Conv{count}d")(
        2,
        2 * groups,
        _per_axis(draw, count, 1, 4),
        stride,
        "same" if same else _per_axis(draw, count, 0, 2),
        _per_axis(draw, count, 1, 3),
        groups,
        draw(st.booleans()),
        draw(st.sampled_from(("zeros", "reflect", "replicate", "circular"))),
    )
    shape = _image(draw, count)
    assume(_runs(module, shape))
    # A dilated kernel over mirrored positions is a bound.
    exact = True if module.padding_mode == "zeros" else None
    check(with_weights(module), shape, AXES[count], exact=exact)


@given(st.data())
@examples(8)
def test_transposed_convolutions(data: Any) -> None:
    draw = data.draw
    count = draw(st.integers(1, 2))
    stride = _per_axis(draw, count, 1, 3)
    module = getattr(nn, f"ConvTranspose{count}d")(
        2,
        2,
        _per_axis(draw, count, 1, 4),
        stride,
        _per_axis(draw, count, 0, 2),
        [draw(st.integers(0, step - 1)) for step in stride],
        draw(st.sampled_from((1, 2))),
        draw(st.booleans()),
        draw(st.integers(1, 2)),
    )
    shape = _image(draw, count)
    assume(_runs(module, shape))
    check(with_weights(module), shape, AXES[count], exact=True)


@given(st.data())
@examples(10)
def test_pools(data: Any) -> None:
    draw = data.draw
    count = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(("Max", "Avg", "AdaptiveAvg", "AdaptiveMax")))
    make = getattr(nn, f"{kind}Pool{count}d")
    if kind.startswith("Adaptive"):
        module = make(_per_axis(draw, count, 1, 5))
    else:
        kernel = _per_axis(draw, count, 1, 4)
        stride = _per_axis(draw, count, 1, 4)
        padding = [draw(st.integers(0, size // 2)) for size in kernel]
        ceil = draw(st.booleans())
        if kind == "Max":
            dilation = _per_axis(draw, count, 1, 2)
            module = make(kernel, stride, padding, dilation, ceil_mode=ceil)
        else:
            includes = draw(st.booleans())
            module = make(kernel, stride, padding, ceil, includes)
    shape = _image(draw, count)
    assume(_runs(module, shape))
    check(module, shape, AXES[count], exact=True)


@given(st.data())
@examples(8)
def test_paddings(data: Any) -> None:
    draw = data.draw
    count = draw(st.integers(1, 2))
    mode = draw(st.sampled_from(("constant", "reflect", "replicate", "circular")))
    pads = _per_axis(draw, 2 * count, -2, 4)
    shape = _image(draw, count)
    kept = [
        shape[-1 - place] + sum(min(pad, 0) for pad in pads[2 * place :][:2])
        for place in range(count)
    ]
    if mode == "circular":  # Otherwise, memory that was never written is repeated.
        assume(all(max(pads[2 * i :][:2]) <= kept[i] for i in range(count)))

    def padded(x: Any) -> Any:
        return nn.functional.pad(x, pads, mode)

    class Padded(nn.Module):
        def forward(self, x: Any) -> Any:
            return padded(x)

    assume(_runs(Padded(), shape))
    check(padded, shape, AXES[count], exact=True)


@pytest.mark.parametrize(
    ("pads", "size"), [((1, -1), 1), ((3, -2), 2), ((-2, 3), 1), ((2, -1), 3)]
)
def test_the_border_is_repeated_although_it_is_cropped(pads, size):
    def padded(x: Any) -> Any:
        return nn.functional.pad(x, pads, "replicate")

    check(padded, (1, 1, size), AXES[1], exact=True)


@given(st.data())
@examples(6)
def test_unfolding_and_folding(data: Any) -> None:
    draw = data.draw
    kernel = draw(st.integers(1, 3))
    tiles = draw(st.booleans())
    rest = (1, 0, kernel) if tiles else tuple(draw(st.integers(*r)) for r in LIMITS)
    shape = _image(draw, 2)
    rows = 2 * kernel * kernel
    layers: list[Any] = [nn.Unfold(kernel, *rest)]
    if draw(st.booleans()):
        layers.append(nn.Conv1d(rows, rows, 1))
    if draw(st.booleans()):
        layers.append(nn.Fold(shape[2:], kernel, *rest))
    module = nn.Sequential(*layers)
    assume(_runs(module, shape))
    # An axis with a single window is not followed, or only by the rows.
    dilation, padding, stride = rest
    spans = dilation * (kernel - 1) + stride
    assume(all(size + 2 * padding > spans for size in shape[2:]))
    check(with_weights(module), shape)


LIMITS = ((1, 2), (0, 1), (1, 3))
"""Dilation, padding and stride."""


@pytest.mark.parametrize("groups", [1, 2])
def test_multiply_adds_are_those_of_pytorch(groups: int) -> None:
    counter = torch.utils.flop_counter.FlopCounterMode(display=False)
    module = nn.Sequential(
        nn.Conv2d(4, 6, (3, 2), 2, 1, groups=groups),
        nn.ConvTranspose2d(6, 4, 3, 2, groups=groups),
    )
    with counter, torch.no_grad():
        module.double()(torch.ones(1, 4, 9, 8, dtype=torch.float64))
    program = exported(module, (1, 4, 9, 8))
    costs = rf.compute_costs(program, input_resolution=[9, 8])
    assert 2 * costs.total.macs == counter.get_total_flops()


# --- Ops of torchvision, whose code need not be there --------------------------------


def _program(op: str, arguments: dict[str, Any], **shapes: Any) -> Any:
    """A model that runs one op on inputs of these shapes."""
    inputs = list(shapes)
    kinds = {name: Kind(shape, "float32") for name, shape in shapes.items()}
    values = {name: Value(name) for name in inputs}
    step = Step(f"torchvision.{op}.default", {**values, **arguments}, ["found"])
    outputs = [("", Value("found"))]
    return model_of_program(Program([step], inputs, outputs, kinds=kinds), None, op)


def test_a_deformable_convolution_may_read_any_position() -> None:
    rest = {"stride_h": 2, "stride_w": 1, "pad_h": 1, "pad_w": 0, "dilation_h": 1}
    rest |= {"dilation_w": 2, "groups": 1, "offset_groups": 1, "use_mask": False}
    shapes = {
        "input": (1, 2, 9, 8),
        "weight": (3, 2, 3, 3),
        "offset": (1, 18, 5, 4),
        "mask": (1, 1),
        "bias": (3,),
    }
    model = _program("deform_conv2d", rest, **shapes)
    field = rf.compute_receptive_field(model, input="input")
    assert not field.exact
    assert [axis.output_size for axis in field.axes] == [4, 5]
    offsets = rf.compute_receptive_field(model, input="offset")
    assert offsets.size.tolist() == [1, 1]


def test_boxes_may_lie_anywhere() -> None:
    rest = {"spatial_scale": 1.0, "pooled_height": 3, "pooled_width": 2}
    rest |= {"sampling_ratio": 1, "aligned": True}
    model = _program("roi_align", rest, input=(1, 4, 9, 8), rois=(5, 5))
    field = rf.compute_receptive_field(model, input="input")
    assert not field.exact


# --- Unknown sizes -------------------------------------------------------------------


def _of_unknown_size(program: Any) -> Any:
    """The model of a program whose input has unknown sizes, traced at one size."""
    found = objects.of_exported(program)
    (name,) = found.inputs
    found.kinds[name] = Kind((1, 2, None, None), "float64")
    return model_of_program(found, None, "the program")


def test_a_literal_size_is_refused_at_an_unknown_size() -> None:
    def resized(x: Any) -> Any:
        return nn.functional.interpolate(x, size=(8, 8))

    program = exported(resized, (1, 2, 4, 4))
    known = rf.compute_receptive_field(program, input_resolution=[4, 4])
    assert known.exact
    with pytest.raises(ReceptiveFieldError, match="one size of the input"):
        rf.compute_receptive_field(_of_unknown_size(program))


def test_a_scale_holds_at_an_unknown_size() -> None:
    program = exported(nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 4, 4))
    field = rf.compute_receptive_field(_of_unknown_size(program))
    assert field.size.tolist() == [2, 2]


def test_bins_are_a_bound_at_an_unknown_size() -> None:
    program = exported(nn.AdaptiveAvgPool2d(3), (1, 2, 7, 7))
    field = rf.compute_receptive_field(_of_unknown_size(program))
    assert not field.exact
    whole = exported(nn.AdaptiveAvgPool2d(1), (1, 2, 7, 7))
    assert rf.compute_receptive_field(_of_unknown_size(whole)).exact
