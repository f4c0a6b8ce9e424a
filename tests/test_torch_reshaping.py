"""Views of PyTorch with random sizes, and what a trace wrote as numbers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from torch_experiments import check, exported, with_weights, written

import receptive_field as rf
from receptive_field.errors import GraphError
from receptive_field.frameworks.torch.build import model_of_program
from receptive_field.frameworks.torch.objects import of_exported

torch = needed("torch")
nn = torch.nn


@examples(12)
@given(
    data=st.data(),
    sizes=st.tuples(*[st.sampled_from([2, 3, 4, 6])] * 2),
    as_written=st.booleans(),
)
def test_views(data: Any, sizes: tuple[int, int], as_written: bool) -> None:
    rest, parts = sizes[0] * sizes[1], []
    while rest > 1:
        part = data.draw(
            st.sampled_from([n for n in range(2, rest + 1) if not rest % n])
        )
        parts.append(part)
        rest //= part
    if data.draw(st.booleans()):
        parts.insert(data.draw(st.integers(0, len(parts))), 1)
    order = data.draw(st.permutations(range(2, 2 + len(parts))))
    shape = (1, 2, *sizes)

    def thing(x: Any) -> Any:
        return x.reshape(1, 2, *parts).permute(0, 1, *order).unsqueeze(1).squeeze()

    export = written if as_written else exported
    check(thing, shape, channels=(), program=export(thing, shape))


def _resized(thing: Any, shape: tuple[int, ...]) -> Any:
    """The model of a module that was traced at one size, for other sizes."""
    program = of_exported(exported(thing, shape))
    (name,) = program.inputs
    kind = program.kinds[name]
    program.kinds[name] = kind._replace(sizes=(*shape[:2], "height", "width"))
    return model_of_program(program, None, "the module")


class Shuffle(nn.Module):
    """A stage of ShuffleNet: an unknown size is copied through both views."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(2, 8, 3, 2, 1)
        self.two = nn.Conv2d(8, 8, 3, padding=1, groups=4)

    def forward(self, x: Any) -> Any:
        """Shuffles the channels between two layers."""
        y = self.one(x)
        batch, channels, height, width = y.shape
        y = y.view(batch, 4, channels // 4, height, width)
        y = y.transpose(1, 2).contiguous()
        return self.two(y.view(batch, channels, height, width))


def _tokens(x: Any) -> Any:
    y = nn.functional.avg_pool2d(x, 4)
    return y.flatten(2).transpose(1, 2)


SIZES = (32, 48), (64, 56)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_sizes_of_the_trace_are_matched(height: int, width: int) -> None:
    module = with_weights(Shuffle())
    model = _resized(module, (1, 2, 32, 40))
    shape = (1, 2, height, width)
    found = rf.compute_receptive_field(model, input_resolution=[height, width])
    truth = rf.compute_receptive_field(exported(module, shape))
    unknown = rf.compute_receptive_field(model)
    for field in (found, unknown):
        assert field.size.tolist() == truth.size.tolist() == [7, 7]
        assert field.stride.tolist() == truth.stride.tolist() == [2, 2]
        assert field.padding.tolist() == truth.padding.tolist()
        assert field.exact


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_merged_sizes_of_the_trace_are_products(height: int, width: int) -> None:
    model = _resized(_tokens, (1, 2, 32, 40))
    (output,) = model.outputs
    shape = (1, 2, height, width)
    field = rf.compute_receptive_field(
        model, output=output, input_resolution=[height, width]
    )
    truth = rf.compute_receptive_field(exported(_tokens, shape), output=output)
    places = [[place] for place in (0, 7, height * width // 16 - 1)]
    assert [axis.size for axis in field.feature_axes] == [height * width // 16]
    assert (
        field.compute_input_region(places) == truth.compute_input_region(places)
    ).all()


def _windows(x: Any) -> Any:
    x = x.relu()
    batch, channels, height, width = x.shape
    return x.view(batch, channels, height // 4, 4, width // 4, 4)


BACK, EVEN = torch.arange(31, -1, -1), torch.arange(32) % 2 == 0

REFUSED = {
    "a shift by two": lambda x: x.relu()[:, :, :, :-2],
    "windows": _windows,
    "an image of tokens": lambda x: x.relu().flatten(2).unflatten(2, (32, 40)),
    "a hole beside merged sizes": lambda x: x.relu().view(1, -1, 32 * 40),
    "a repeat": lambda x: x[:, :, :1, :1].expand(1, 2, 32, 40) + x,
    "repeats": lambda x: x[:, :, :1].repeat(1, 1, 32, 1),
    "the end of a slice": lambda x: x[:, :, :16],
    "the start of a slice": lambda x: x.relu()[:, :, 16:],
    "a position": lambda x: x.relu().select(2, 16),
    "parts": lambda x: x.relu().split(16, 2)[0],
    "chunks": lambda x: x.relu().chunk(2, 2)[0],
    "items": lambda x: torch.stack(x.relu().unbind(2)[:2], 2),
    "half a roll": lambda x: x.relu().roll(16, 2),
    "indices": lambda x: x.relu()[:, :, BACK],
    "a mask": lambda x: x.relu()[:, :, EVEN],
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_be_a_size_of_the_trace_is_refused(name: str) -> None:
    model = _resized(REFUSED[name], (1, 2, 32, 40))
    (output,) = model.outputs
    for resolution in (None, [64, 64]):
        with pytest.raises(GraphError, match="written for one size of the input"):
            rf.compute_receptive_field(
                model, output=output, input_resolution=resolution
            )
    rf.compute_receptive_field(exported(REFUSED[name], (1, 2, 32, 40)), output=output)


ACCEPTED = {
    "a shift": lambda x: x.relu()[:, :, 1:, :-1],
    "every second": lambda x: x[:, :, ::2, 1::2],
    "a hole for channels": lambda x: x.relu().view(1, 1, -1, *x.shape[2:]),
    "a slice of channels": lambda x: x.relu().split(1, 1)[0],
    "a flip": lambda x: x.flip(3),
    "a hole for positions": lambda x: x.relu().view(1, 2, -1),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_other_numbers_hold_at_every_size(name: str) -> None:
    thing = ACCEPTED[name]
    model = _resized(thing, (1, 2, 32, 40))
    (output,) = model.outputs
    for height, width in SIZES:
        field = rf.compute_receptive_field(
            model, output=output, input_resolution=[height, width]
        )
        truth = rf.compute_receptive_field(
            exported(thing, (1, 2, height, width)), output=output
        )
        sizes = [axis.size for axis in field.feature_axes]
        assert sizes == [axis.size for axis in truth.feature_axes]
        corners = [[0] * len(sizes), [size - 1 for size in sizes]]
        assert (
            field.compute_input_region(corners) == truth.compute_input_region(corners)
        ).all()


def test_dynamic_shapes_need_no_guess() -> None:
    dims = {2: torch.export.Dim("h", min=8, max=64), 3: torch.export.Dim("w", min=8)}
    image = torch.ones(1, 2, 12, 10, dtype=torch.float64)

    class Module(nn.Module):
        def forward(self, x: Any) -> Any:
            """Joins the first rows with all rows."""
            batch, channels, _, width = x.shape
            y = x[:, :, :4].reshape(batch, channels, -1)
            y = y.view(batch, channels, 4, width)
            return torch.cat([y, x.flatten(2).view(x.shape)], 2)

    program = torch.export.export(
        Module(), (image,), dynamic_shapes=(dims,), strict=False
    )
    field = rf.compute_receptive_field(program, input_resolution=[9, 11])
    assert [axis.size for axis in field.feature_axes] == [11, 13]
    region = field.compute_input_region([3, 12], clip=True)
    assert region.tolist() == [[3, 3], [8, 8]]
