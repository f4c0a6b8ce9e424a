"""Modules of PyTorch as models: names, sizes, what goes in, and what is left alone."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from needed import needed

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.errors import GraphError, NodeNotFoundError
from receptive_field.frameworks import load

torch = needed("torch")
nn, functional = torch.nn, torch.nn.functional


def conv(inputs=4, outputs=4, kernel=3, **options):
    return nn.Conv2d(inputs, outputs, kernel, **options)


class Of(nn.Module):
    """A module whose forward is a function of itself and its arguments."""

    def __init__(self, run, **parts):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args, **named):
        return self.run(self, *args, **named)


class Block(nn.Module):
    """A residual block."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = conv(padding=1), conv(padding=1)

    def forward(self, x):
        y = functional.relu(self.conv1(x))
        return functional.relu(self.conv2(y) + x)


def sizes(module, **options):
    """Name of each layer -> the size of its field on x."""
    fields = rf.compute_receptive_fields(module, **options)
    return {name: field.size[0] for name, field in fields.items()}


def size(module, output=None, **options):
    return rf.compute_receptive_field(module, output=output, **options).size.tolist()


# --- Names ---------------------------------------------------------------------------


def test_layers_are_module_paths():
    module = nn.Sequential(conv(3), nn.Sequential(Block(), Block()))
    found = sizes(module)
    assert found == {
        "0": 3,
        "1.0.conv1": 5,
        "1.0.conv2": 7,
        "1.0": 7,
        "1.1.conv1": 9,
        "1.1.conv2": 11,
        "1.1": 11,
        "1": 11,
    }
    assert size(module, "1.1/add") == [11, 11]
    assert size(module, "1.1/relu") == [9, 9]
    with pytest.raises(NodeNotFoundError, match=r"Did you mean '1\.1"):
        size(module, "1.2")


def test_second_calls_are_numbered():
    module = Of(lambda m, x: m.block(m.block(m.stem(x))), stem=conv(3), block=Block())
    assert sizes(module) == {
        "stem": 3,
        "block.conv1": 5,
        "block.conv2": 7,
        "block": 7,
        "block.conv1:2": 9,
        "block.conv2:2": 11,
        "block:2": 11,
    }
    shared = conv(3, 3)
    module = nn.Sequential(shared, nn.ModuleList([shared])[0], nn.ReLU())
    assert sizes(module) == {"0": 3, "1": 5, "2": 5}


def test_modules_in_lists_and_dictionaries():
    def run(m, x):
        for part in m.parts:
            x = part(x)
        return m.heads["mask"](x)

    parts = nn.ModuleList([conv(3), conv()])
    module = Of(run, parts=parts, heads=nn.ModuleDict({"mask": conv(), "not": conv()}))
    assert sizes(module) == {"parts.0": 3, "parts.1": 5, "heads.mask": 7}


def test_modules_without_ops_are_layers():
    module = Of(
        lambda m, x: m.last(m.same(m.same(m.drop(m.conv(m.first(x)))))),
        first=nn.Identity(),
        conv=conv(3),
        drop=nn.Dropout(),
        same=nn.Identity(),
        last=nn.Sequential(nn.Identity()),
    )
    found = sizes(module)
    assert found.pop("first") == 1
    assert set(found) == {"conv", "drop", "same", "same:2", "last", "last.0"}
    assert set(found.values()) == {3}
    assert next(iter(found)) == "conv"
    assert load(module).kinds["same"] == "Identity"


def test_an_identity_beside_a_write_is_not_answered_wrongly():
    def run(m, x):
        x = m.conv(x)
        x[:, :, :, 1:] += x[:, :, :, :-1].clone()
        return m.last(m.same(x))

    last = nn.Sequential(conv(kernel=1), nn.Identity())
    found = sizes(Of(run, conv=conv(3), same=nn.Identity(), last=last))
    assert found.pop("same", 4) == 4
    assert found == {"conv": 3, "last.0": 4, "last.1": 4, "last": 4}


class Backbone(nn.Module):
    """Two maps."""

    def __init__(self, pack):
        super().__init__()
        self.a, self.b, self.pack = conv(3), conv(stride=2), pack

    def forward(self, x):
        low = self.a(x)
        return self.pack(low, self.b(low))


class Pair(NamedTuple):
    low: Any
    high: Any


@dataclass
class Packed:
    low: Any
    high: Any


PACKS = {
    "a tuple": (lambda low, high: (low, high), "#0", "#1"),
    "a list": (lambda low, high: [low, high], "#0", "#1"),
    "a dictionary": (lambda low, high: {"aux": low, "out": high}, "aux", "out"),
    "a namedtuple": (Pair, "low", "high"),
    "a data class": (Packed, "low", "high"),
    "nested": (lambda low, high: {"feats": [low, (high, 1)]}, "feats#0", "feats#1#0"),
    "with None": (lambda low, high: (None, low, high), "#1", "#2"),
    "a data class in a list": (lambda *maps: [Packed(*maps)], "#0.low", "#0.high"),
}


@pytest.mark.parametrize("pack", PACKS)
def test_leaves_of_outputs_are_named(pack):
    make, low, high = PACKS[pack]
    module = Backbone(make)
    assert (size(module, low), size(module, high)) == ([3, 3], [5, 5])
    with pytest.raises(rf.ReceptiveFieldError, match="2 outputs") as caught:
        size(module)
    assert f"'{low}' ('a'), '{high}' ('b')" in str(caught.value)


def test_modules_that_return_several_tensors():
    module = Of(
        lambda m, x: m.head(m.backbone(x)["high"]),
        backbone=Backbone(lambda low, high: {"low": low, "high": high}),
        head=conv(),
    )
    assert sizes(module) == {
        "backbone.a": 3,
        "backbone.b": 5,
        "backbone": 3,
        "backbone#low": 3,
        "backbone#high": 5,
        "head": 9,
    }


def test_hooks_are_part_of_a_module():
    module = nn.Sequential(conv(3), conv())
    module[0].register_forward_hook(lambda m, x, y: functional.max_pool2d(y, 2))
    assert sizes(module) == {"0": 4, "1": 8}


def test_wrappers_are_left_out_of_names():
    plain = nn.Sequential(conv(3), conv())
    inside = nn.Sequential(torch.compile(plain[0]), plain[1])
    for module in (torch.compile(plain), nn.DataParallel(plain), inside):
        assert sizes(module) == {"0": 3, "1": 5}


# --- The caller's module ------------------------------------------------------------


class Touchy(nn.Module):
    """Changes all that a run of a module can change."""

    def __init__(self, fails):
        super().__init__()
        self.conv, self.norm = conv(3), nn.BatchNorm2d(4)
        self.drop, self.fails, self.seen = nn.Dropout2d(0.5), fails, []
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count += 1
        self.seen.append(1)
        self.last = x
        x = self.drop(self.norm(self.conv(x)))
        if self.fails:
            raise ValueError("no luck")
        return x + torch.rand(1)


@pytest.mark.parametrize("fails", [False, True])
def test_the_module_is_left_as_it_was(fails):
    module = Touchy(fails).train()
    module.norm.eval()
    module.conv.weight.requires_grad_(False)
    module.conv.register_forward_hook(lambda *_: None)

    def state():
        named = [*module.named_parameters(), *module.named_buffers()]
        return (
            [(key, id(t), t.tolist(), t._version, t.requires_grad) for key, t in named],
            [part.training for part in module.modules()],
            [list(part._forward_hooks) for part in module.modules()],
            sorted(vars(module)),
            module.seen,
            torch.get_rng_state().tolist(),
            (torch.get_default_dtype(), torch.is_grad_enabled()),
            list(warnings.filters),
            [(log, log.handlers, log.propagate) for log in logs],
        )

    logs = [logging.getLogger("torch"), logging.getLogger("torch._subclasses")]
    before = state()
    if fails:
        with pytest.raises(GraphError, match="no luck"):
            size(module)
    else:
        assert size(module) == [3, 3]
    assert state() == before


def test_training_mode_is_answered_as_inference():
    module = nn.Sequential(conv(3), nn.BatchNorm2d(4), conv())
    assert size(module.train()) == size(module.eval()) == [5, 5]


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_data_types(kind):
    module = nn.Sequential(conv(3), nn.BatchNorm2d(4), conv())
    assert size(module.to(getattr(torch, kind))) == [5, 5]


def test_modules_without_memory():
    with torch.device("meta"):
        module = nn.Sequential(conv(3), nn.BatchNorm2d(4), conv())
    assert size(module) == [5, 5]


def test_modes_of_the_caller():
    module = nn.Sequential(conv(3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), conv())
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert size(module) == [5, 5]


def parametrised():
    found = torch.nn.utils.parametrizations
    return found.weight_norm, found.spectral_norm, found.orthogonal


@pytest.mark.parametrize("way", range(3))
def test_parametrised_weights(way):
    module = nn.Sequential(parametrised()[way](conv(3)), conv())
    assert size(module.train()) == [5, 5]


def test_computed_weights():
    module = Of(lambda m, x: functional.conv2d(x, m.weight), conv=conv(3))
    module.weight = module.conv.weight * 2
    assert size(module) == [3, 3]


# --- Sizes ---------------------------------------------------------------------------


def resized(m, x):
    return functional.interpolate(m.conv(functional.max_pool2d(x, 2)), x.shape[2:])


def test_sizes_are_unknown_unless_they_are_given():
    module = nn.Sequential(conv(3, stride=2, padding=1), Block())
    field = rf.compute_receptive_field(module)
    assert [axis.size for axis in field.feature_axes] != [112, 112]
    for given in (33, [32, 40]):
        known = rf.compute_receptive_field(module, input_resolution=given)
        for name in ("size", "stride", "padding"):
            assert getattr(known, name).tolist() == getattr(field, name).tolist()
    assert [axis.size for axis in known.feature_axes] == [20, 16]


def test_a_size_in_the_code_needs_the_input_resolution():
    module = Of(resized, conv=conv(3))
    with pytest.raises(GraphError, match="Give input_resolution"):
        size(module)
    # Of 14 pixels, the 32 of the result show number 9 * 14 // 32 = 3 at 9. It sees 3
    # to 5 of the pool's, and each of those two.
    field = rf.compute_receptive_field(module, input_resolution=[32, 32])
    assert field.compute_input_region([9, 9]).tolist() == [[6, 11], [6, 11]]


def test_a_flattened_map_has_one_size():
    module = Of(
        lambda m, x: m.dense(m.conv(x).flatten(1)), conv=conv(3), dense=nn.Linear(36, 2)
    )
    assert size(module, "conv", input_resolution=5) == [3, 3]
    with pytest.raises(GraphError, match=r"\[1, 3, 6, 6\].* of test_torch_modules"):
        size(module, "conv", input_resolution=6)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_resolutions_of_each_rank(axes):
    module = getattr(nn, f"Conv{axes}d")(3, 4, 3, stride=2)
    given = [9, 11, 13][:axes]
    field = rf.compute_receptive_field(module, input_resolution=given)
    assert field.stride.tolist() == [2] * axes
    found = [axis.size for axis in field.feature_axes]
    assert sorted(found) == [4, 5, 6][:axes]
    with pytest.raises(GraphError, match=f"has {axes} spatial ax"):
        rf.compute_receptive_field(module, input_resolution=[9] * (axes + 1))


def test_an_image_that_is_too_small():
    with pytest.raises(GraphError, match="Kernel size can't be greater"):
        size(conv(3, kernel=7), input_resolution=5)
    with pytest.raises(rf.ReceptiveFieldError, match="at least 1"):
        size(conv(3), input_resolution=-1)


# --- What goes in --------------------------------------------------------------------


def two(m, image, depth, *, scale=1):
    return m.conv(image) * scale + m.other(depth)


def two_inputs():
    class Two(Of):
        def forward(self, image, depth, *, scale=1):
            return two(self, image, depth, scale=scale)

    return Two(two, conv=conv(3), other=conv(1, kernel=1, stride=1, padding=0))


def test_example_inputs():
    image = torch.zeros(1, 3, 9, 9)
    module = Of(lambda m, x: m.conv(x), conv=conv(3))
    named = Of(lambda m, *, x: m.conv(x), conv=conv(3))
    nested = Of(lambda m, batch: m.conv(batch["x"]), conv=conv(3))
    assert size(module, example_inputs=image) == [3, 3]
    assert size(module, example_inputs=(image,)) == [3, 3]
    assert size(named, example_inputs={"x": image}) == [3, 3]
    assert size(nested, example_inputs=({"x": image},)) == [3, 3]
    assert size(nn.MaxPool2d(2), example_inputs=image) == [2, 2]


def test_one_of_several_inputs_is_chosen():
    examples = torch.zeros(1, 3, 9, 9), torch.zeros(1, 1, 7, 7)
    module = two_inputs()
    with pytest.raises(GraphError, match="needs 2 inputs: image, depth"):
        size(module)
    with pytest.raises(
        NodeNotFoundError, match=r"'image' \(3 x 9 x 9\), 'depth' \(1 x 7"
    ):
        size(module, example_inputs=examples)
    given = {"depth": examples[1], "image": examples[0]}
    for some in (examples, given):
        for name, expected in {"image": 3, "depth": 1}.items():
            found = size(module, input=name, example_inputs=some)
            assert found == [expected] * 2


class Product(nn.Module):
    """Of two maps."""

    def __init__(self):
        super().__init__()
        self.one = conv(3)
        self.two = conv(3, kernel=5, padding=1)

    def forward(self, x, y):
        return self.one(x) * self.two(y)


def test_the_sizes_of_several_inputs_are_those_of_the_examples():
    """The size of one is not unknown while that of another is known."""
    image = torch.zeros(1, 3, 9, 11)
    for examples in ((image, image.clone()), (image, image), (image, image[:])):
        for name, expected in {"x": 3, "y": 5}.items():
            field = rf.compute_receptive_field(
                Product(), input=name, example_inputs=examples
            )
            assert field.size.tolist() == [expected] * 2
            assert field.stride.tolist() == [1, 1]
            assert [axis.input_size for axis in field.axes] == [11, 9]


def test_channels_last():
    def run(m, x):
        return m.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    module = Of(run, conv=conv(3, stride=2, padding=1))
    image = torch.zeros(1, 8, 10, 3)
    for given in (None, [16, 18]):
        field = rf.compute_receptive_field(
            module, example_inputs=image, input_resolution=given
        )
        assert field.stride.tolist() == [2, 2]
        assert field.padding.tolist() == [1, 1]
    assert [axis.size for axis in field.feature_axes] == [9, 8]


class SumsOfTokens(nn.Module):
    """The sums of the tokens so far."""

    def forward(self, x):
        return x.cumsum(1)


class AttentionInRows(nn.Module):
    """Attention from each pixel to the pixels of its row."""

    def forward(self, x):
        y = x.permute(0, 2, 3, 1)
        return functional.scaled_dot_product_attention(y, y, y).permute(0, 3, 1, 2)


class ProductWithColumns(nn.Module):
    """An image of which the last axis is multiplied by weights."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.ones(7, 7))

    def forward(self, x):
        return x @ self.weights


@pytest.mark.parametrize(
    ("module", "shape", "given", "feature", "region"),
    [
        (SumsOfTokens(), (1, 9, 4), [9], [2], [[0, 2]]),
        (SumsOfTokens(), (9, 4), 9, [2], [[2, 2]]),
        (AttentionInRows(), (1, 2, 5, 7), [5, 7], [2, 2], [[0, 6], [2, 2]]),
        (ProductWithColumns(), (1, 2, 5, 7), [5, 7], [0, 2], [[0, 6], [2, 2]]),
    ],
)
def test_the_resolution_says_which_axes_of_the_example_have_positions(
    module, shape, given, feature, region
):
    field = rf.compute_receptive_field(
        module, example_inputs=torch.zeros(shape), input_resolution=given
    )
    sizes = [given] if isinstance(given, int) else given
    assert [axis.input_size for axis in field.axes] == sizes[::-1]
    assert field.compute_input_region(feature, clip=True).tolist() == region


def test_as_many_channels_as_the_resolution_are_no_positions():
    """The example has the size that the caller asks for, but as its channels."""
    for module, shape, given in (
        (nn.Conv1d(16, 2, 3), (1, 16, 20), [16]),
        (nn.Conv2d(8, 2, 3), (1, 8, 8, 12), [8, 8]),
    ):
        field = rf.compute_receptive_field(
            module, example_inputs=torch.zeros(shape), input_resolution=given
        )
        assert [axis.input_size for axis in field.axes] == given
        assert [axis.size for axis in field.feature_axes] == [n - 2 for n in given]


def test_no_size_is_asked_for_if_the_data_decide_how_many_positions_there_are():
    def picked(m, x):
        return m.conv(x.index_select(2, torch.nonzero(x[0, 0])[:, 0]))

    module = Of(picked, conv=nn.Conv1d(1, 1, 3))
    field = rf.compute_receptive_field(module, example_inputs=torch.ones(1, 1, 20))
    assert field.reasons().bounding_node == "nonzero"
    assert field.reasons().resolution is None
    assert "give that size" not in str(field)


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_module_with_a_lock_has_a_copy_with_another_one(make):
    """The caller may hold the lock while it asks."""

    def locked(m, x):
        with m.lock:
            return m.conv(x)

    module = Of(locked, conv=conv(3))
    module.lock = lock = make()
    with lock:
        assert size(module) == [3, 3]
    assert module.lock is lock


class Attention(nn.Module):
    """Attention over tokens, of which each sees itself and earlier ones."""

    def __init__(self, weights, masked):
        super().__init__()
        self.part = nn.MultiheadAttention(8, 2, batch_first=True)
        lower = nn.Transformer.generate_square_subsequent_mask(12)
        self.register_buffer("mask", lower if masked else torch.zeros(12, 12))
        self.weights = weights

    def forward(self, x):
        options = {"attn_mask": self.mask, "need_weights": self.weights}
        return self.part(x, x, x, **options)[0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weights", [False, True])
def test_attention_with_a_mask(weights, masked):
    """Its weights are computed by products of their own if the caller wants them."""
    module, tokens = Attention(weights, masked).eval(), torch.rand(1, 12, 8)
    rows = torch.autograd.functional.jacobian(module, tokens).abs().amax((0, 2, 3, 5))
    assert (rows == 0).any().item() is masked
    field = rf.compute_receptive_field(
        module, example_inputs=tokens, input_resolution=[12]
    )
    assert field.axes[0].input_axis == 1
    ((first, last),) = field.compute_input_region([5], clip=True).tolist()
    assert (first, last) == (0, 11) or (masked and (first, last) == (0, 5))
    assert field.exact is not masked


class Band(nn.Module):
    """Attention in which each token sees those that are at most two steps away."""

    def __init__(self, count, flags):
        super().__init__()
        steps = torch.arange(count)
        near = (steps - steps[:, None]).abs() <= 2
        self.register_buffer("mask", near if flags else near.float().log())

    def forward(self, x):
        return functional.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)


@pytest.mark.parametrize("count", [129, 1024])
@pytest.mark.parametrize("flags", [False, True])
def test_large_masks_are_read(count, flags):
    field = rf.compute_receptive_field(
        Band(count, flags),
        example_inputs=torch.zeros(1, count, 8),
        input_resolution=count,
    )
    assert field.exact
    for u, region in {
        0: (0, 2),
        10: (8, 12),
        count - 1: (count - 3, count - 1),
    }.items():
        assert field.compute_input_region([u]).tolist() == [list(region)]


@pytest.mark.parametrize("shape", [(1, 12, 8), (1, 5, 12, 8)])
def test_tokens_have_their_channels_last(shape):
    module = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 4))
    field = rf.compute_receptive_field(module, example_inputs=torch.rand(shape))
    assert [axis.input_axis for axis in field.axes] == [*range(1, len(shape) - 1)][::-1]
    assert set(field.size) == {1}


def test_a_flattened_image_has_its_channels_first():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 7, 4))
    field = rf.compute_receptive_field(module, example_inputs=torch.rand(1, 3, 6, 7))
    assert [axis.input_axis for axis in field.axes] == [3, 2]


def test_files_take_no_example_inputs(tmp_path):
    path = tmp_path / "model.pt2"
    image = torch.zeros(1, 3, 9, 9)
    torch.export.save(torch.export.export(conv(3), (image,)), path)
    with pytest.raises(rf.ReceptiveFieldError, match="example_inputs"):
        size(path, example_inputs=image)


# --- Bad input -----------------------------------------------------------------------


def branches(m, x):
    x = m.conv(x)
    return x if x.sum() > 0 else -x


def counts(m, x):
    return m.conv(x)[:, :, : int(x.sum())]


def raises(m, x):
    raise ValueError("the weather is bad.\nStay inside.")


def mismatches(m, x):
    return m.other(m.conv(x))


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(conv(3))


def traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(conv(3), torch.zeros(1, 3, 8, 8))


def quantised():
    found = needed("torch.ao.quantization")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = nn.Sequential(found.QuantStub(), conv(3), found.DeQuantStub()).eval()
        module.qconfig = found.get_default_qconfig("fbgemm")
        return found.prepare(module)


VALUES = "depends on the values in its tensors. This is in line"
BAD = {
    "a branch": (lambda: Of(branches, conv=conv(3)), f"{VALUES} [0-9]+ .*sum.. > 0"),
    "a count": (lambda: Of(counts, conv=conv(3)), f"{VALUES} [0-9]+ .*int.x.sum"),
    "an exception": (
        lambda: Of(raises, conv=conv(3)),
        "the weather is bad. This is in line [0-9]+ of test_torch_modules.py: 'raise V",
    ),
    "wrong channels": (
        lambda: Of(mismatches, conv=conv(3), other=conv(7)),
        "7 channels, but got 4 .*This is in line .*return m.other",
    ),
    "no forward": (lambda: nn.ModuleList([conv(3)]), "ModuleList has no forward"),
    "lazy layers": (lambda: nn.Sequential(nn.LazyConv2d(4, 3)), "Call the module once"),
    "a script": (scripted, "scripted module.* hides its layers"),
    "a script inside": (lambda: nn.Sequential(scripted()), "'0', a scripted module"),
    "a trace": (traced, "scripted module.* hides its layers"),
    "a state_dict": (lambda: conv(3).state_dict(), "Give the module: build it"),
    "a checkpoint": (
        lambda: {"epoch": 3, "model": conv(3).state_dict()},
        "Give the module: build it",
    ),
    "a class": (lambda: Block, "Block is a class. Call it to make a module"),
    "no convolution": (lambda: nn.MaxPool2d(2), "has no convolution. Give example_in"),
    "a generator": (
        lambda: Of(lambda m, x: x, conv=conv(3), numbers=(n for n in range(3))),
        "cannot be copied: .*torch.export.export",
    ),
    "observers": (quantised, "is quantised, or prepared for it: '0.activation"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error(case, capfd):
    make, message = BAD[case]
    module = make()
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(GraphError, match=message) as caught:
            size(module)
    assert "\n" not in str(caught.value)
    assert not said
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("given", [(1, 3, 8, 8), "image", [], {"x": 3}])
def test_examples_without_a_tensor(given):
    with pytest.raises(GraphError, match="There is no tensor in"):
        size(conv(3), example_inputs=given)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((8, 8), "input of size: .8, 8."), ((1, 4, 8, 8), "to have 3 channels")],
)
def test_examples_that_do_not_fit(shape, message):
    with pytest.raises(GraphError, match=message):
        size(conv(3), example_inputs=torch.zeros(shape))


def test_the_log_of_pytorch_is_silent(capfd):
    module = Of(lambda m, x: m.dense(m.conv(x)), conv=conv(3), dense=nn.Linear(7, 2))
    with suppress(GraphError):
        size(module, input_resolution=8)
    assert capfd.readouterr() == ("", "")


# --- Other questions -----------------------------------------------------------------


IMAGE, TOKENS = (1, 4, 8, 10), (1, 1, 6, 8)

# Modules, the shape of their input -> multiply-adds; None for those of PyTorch.
COSTS = {
    "convolution": (conv(bias=False), IMAGE, None),
    "convolution with a bias": (conv(), IMAGE, None),
    "groups": (conv(4, 8, groups=2), IMAGE, None),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, 2), IMAGE, None),
    "linear": (nn.Linear(8, 5), TOKENS, None),
    "matmul": (Of(lambda m, x: x @ x.transpose(2, 3)), TOKENS, None),
    "einsum": (Of(lambda m, x: torch.einsum("abij,abkj->abik", x, x)), TOKENS, None),
    "attention": (
        Of(lambda m, x: functional.scaled_dot_product_attention(x, x, x)),
        TOKENS,
        2 * 6 * 6 * 8,
    ),
    "several heads": (
        Of(lambda m, x: m.of(x[0], x[0], x[0]), of=nn.MultiheadAttention(8, 2)),
        (1, 6, 1, 8),
        None,
    ),
    "lstm": (
        Of(lambda m, x: m.of(x[0])[0], of=nn.LSTM(8, 5, batch_first=True)),
        TOKENS,
        6 * 4 * 5 * (8 + 5),
    ),
    "bilinear": (Of(lambda m, x: m.of(x, x), of=nn.Bilinear(8, 8, 3)), TOKENS, 6 * 192),
    "batch norm": (nn.BatchNorm2d(4), IMAGE, 4 * 80),
    "group norm": (nn.GroupNorm(2, 4), IMAGE, 4 * 80),
    "layer norm": (nn.LayerNorm(8), TOKENS, 6 * 8),
    "interpolation": (
        nn.Upsample(scale_factor=2, mode="bilinear"),
        IMAGE,
        4 * (4 * 80) * 4,
    ),
    "pool": (nn.AvgPool2d(2), IMAGE, 0),
    "softmax": (nn.Softmax(-1), TOKENS, 0),
    "sum": (Of(lambda m, x: x + x), IMAGE, 0),
}


@pytest.mark.parametrize("name", COSTS)
def test_multiply_adds_of_modules(name):
    module, shape, expected = COSTS[name]
    counter = needed("torch.utils.flop_counter").FlopCounterMode(display=False)
    with counter, torch.no_grad():
        module.eval()(torch.zeros(shape))
    if expected is None:
        expected = counter.get_total_flops() / 2
        assert expected
    elif expected:
        assert not counter.get_total_flops()
    module = nn.Sequential(nn.Identity(), module)
    for size in None, list(shape[2:]):
        costs = rf.compute_costs(
            module, example_inputs=torch.zeros(shape), input_resolution=size
        )
        assert costs.total.macs == expected


def test_costs_are_those_of_pytorch():
    counter = needed("torch.utils.flop_counter").FlopCounterMode(display=False)
    module = nn.Sequential(
        conv(3, 8, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        conv(8, 8, groups=4),
        nn.ConvTranspose2d(8, 4, 3, 2, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    ).eval()
    costs = rf.compute_costs(module, input_resolution=[33, 35])
    with counter, torch.no_grad():
        module(torch.zeros(1, 3, 33, 35))
    norm = 8 * 16 * 17  # A multiply-add for each element; PyTorch counts none.
    assert costs["1"].macs == norm
    assert costs.total.macs - norm == counter.get_total_flops() // 2
    for name, part in module.named_children():
        found = costs[name].parameters if name in costs else 0
        assert found == sum(p.numel() for p in part.parameters()), name
    assert costs.total.parameters == sum(p.numel() for p in module.parameters())
    with pytest.raises(GraphError, match="Give all sizes"):
        rf.compute_costs(module)


def skips():
    """A path of size 1 that is cropped at one side, beside one of size 3."""
    return Of(
        lambda m, x: m.conv(m.stem(x)) + m.skip(m.stem(x))[:, :, :-2, :-2],
        stem=conv(3, stride=2, padding=1),
        conv=conv(),
        skip=conv(kernel=1),
    )


# What a module does after a convolution of size 1 -> size, stride and padding on x;
# None where numbers of the two programs differ, or where an unknown size is divided.
WRITTEN = {
    "a slice": (lambda y: y[..., 2:-3], (1, 1, -2)),
    "a slice of nearly half": (lambda y: y[..., : y.shape[-1] // 100], None),
    "the middle": (lambda y: y[..., y.shape[-1] // 2 :], None),
    "parts": (lambda y: y.split([3, y.shape[-1] - 3], -1)[1], None),
    "more parts": (lambda y: y.split(100, -1)[1], None),
    "indices": (lambda y: y[..., [4, 5, 6]], (1, 1, -4)),
    "indices that end": (lambda y: y[..., torch.arange(3, y.shape[-1])], None),
    "a position": (lambda y: y.select(2, 7), (1, 1, 0)),
    "windows": (lambda y: y.reshape(1, 4, -1, 4, y.shape[3]).amax(3), None),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_numbers_that_are_the_same_at_twice_the_size(name):
    run, expected = WRITTEN[name]
    module = nn.Sequential(conv(3, kernel=1), Of(lambda m, y: run(y), conv=conv()))
    if expected is None:
        with pytest.raises(GraphError, match="written for one size of the input"):
            rf.compute_receptive_field(module)
        return
    field = rf.compute_receptive_field(module)
    assert (field.size[0], field.stride[0], field.padding[0]) == expected
    assert field.exact


def test_repeats_that_are_the_same_at_twice_the_size():
    def run(m, x):
        context = m.head(x).mean((2, 3), keepdim=True)
        return context.expand(1, 4, 5, 5) + context.repeat(1, 1, 5, 5)

    field = rf.compute_receptive_field(Of(run, head=conv(3)))
    assert field.size.tolist() == [float("inf")] * 2


def test_questions_about_a_module(tmp_path):
    module = skips()
    text = str(rf.compute_receptive_field(module).explain())
    assert "centres differ by 2" in text
    assert "conv/conv2d" in text
    found = rf.resolutions(module)
    assert "misaligned at every size" in str(found)
    plain = nn.Sequential(conv(3), conv())
    assert "7 x 7" in str(rf.proposals(plain, 7))
    assert "5 x 5" in str(rf.compare(plain, module))
    levels = str(rf.pyramid_levels(plain, ["0", "1"], [4]))
    assert "5 x 5" in levels
    page = rf.explore(plain, tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    field = rf.compute_receptive_field(plain, input_resolution=[16, 16])
    assert "overlap" in str(field.tiling([8, 8]))


# --- The command line ----------------------------------------------------------------

NETS = """
import torch

def net():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3))

def wide(width):
    return torch.nn.Conv2d(3, width, 3)

def fails():
    raise RuntimeError("no disk")
"""


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with a module of networks."""
    (tmp_path / "nets_of_this_test.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(*arguments):
        with suppress(SystemExit):
            main(list(arguments))
        return "".join(capsys.readouterr())

    return run


def test_references_on_the_command_line(shell):
    name = "nets_of_this_test"
    assert "5 x 5" in shell("compute", f"{name}:net")
    assert "Conv2d" in shell("layers", f"{name}:net")
    assert "1/conv2d" in shell("nodes", f"{name}:net")
    assert "Did you mean 'net'" in shell("compute", f"{name}:nett")
    assert "needs arguments: width" in shell("compute", f"{name}:wide")
    assert "cannot be called: no disk." in shell("compute", f"{name}:fails")
    assert "cannot import 'no_such_nets'" in shell("compute", "no_such_nets:net")


def test_a_file_with_a_colon_in_its_name_is_a_file(shell, tmp_path):
    (tmp_path / "nets_of_this_test:net").write_bytes(b"nothing")
    assert "cannot import" not in shell("compute", "nets_of_this_test:net")
    assert "5 x 5" not in shell("compute", "nets_of_this_test:net")


OF_KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, torch
import receptive_field as rf
image = keras.Input((32, 32, 3))
x = keras.layers.Conv2D(4, 3, strides=2, name="first")(image)
model = keras.Model(image, keras.layers.Conv2D(4, 3, name="second")(x))
assert isinstance(model, torch.nn.Module)
fields = rf.compute_receptive_fields(model)
print({name: field.size.tolist() for name, field in fields.items()})
"""


@pytest.mark.slow
def test_keras_models_on_pytorch_are_answered_by_their_layers():
    needed("keras")
    run = subprocess.run(
        [sys.executable, "-c", OF_KERAS], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "{'first': [3, 3], 'second': [7, 7]}"


def test_what_the_data_select_is_a_bound():
    def selects(m, x):
        y = m.conv(x)
        return y[y > 0]

    field = rf.compute_receptive_field(
        Of(selects, conv=conv(3)), output="index", input_resolution=[8, 8]
    )
    assert not field.exact
