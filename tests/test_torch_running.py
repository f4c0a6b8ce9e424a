"""Programs of PyTorch that are run: what changes is what was computed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from needed import needed

import receptive_field as rf
from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.questions.bisection import bisect

torch = needed("torch")
torch.set_num_threads(1)
nn, F = torch.nn, torch.nn.functional


def conv(channels, out, kernel=3, **options):
    return nn.Conv2d(channels, out, kernel, **options)


class Block(nn.Module):
    """A block of a ResNet."""

    def __init__(self, channels, stride=1, skip=1):
        super().__init__()
        self.conv1 = conv(channels, channels, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.skip = conv(channels, channels, skip, stride=stride)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.skip(x))


class UNet(nn.Module):
    """Two levels, each of which is seen again after upsampling."""

    def __init__(self):
        super().__init__()
        self.down1 = conv(1, 2, padding=1)
        self.down2 = conv(2, 2, padding=1)
        self.bottom = conv(2, 2, padding=1)
        self.up = nn.ConvTranspose2d(2, 2, 2, stride=2)
        self.top = conv(4, 1, padding=1)

    def forward(self, x):
        one = torch.relu(self.down1(x))
        two = torch.relu(self.down2(F.max_pool2d(one, 2)))
        three = torch.relu(self.bottom(two))
        return self.top(torch.cat([one, self.up(three)], 1))


def misaligned():
    """Two paths with one stride and centres that differ."""

    class Misaligned(nn.Module):
        def __init__(self):
            super().__init__()
            self.left = conv(1, 1, 1, stride=2)
            self.right = conv(1, 1, 3, stride=2)

        def forward(self, x):
            a, b = self.left(x), self.right(x)
            return a[:, :, : b.shape[2], : b.shape[3]] + b

    return Misaligned()


def chain(*layers):
    return nn.Sequential(*layers)


NETWORKS = {
    "conv": (chain(conv(3, 2), nn.ReLU(), conv(2, 2, stride=2)), (3, 13, 14)),
    "dilated": (chain(conv(1, 1, dilation=3), conv(1, 1, dilation=2)), (1, 15, 16)),
    "block": (chain(Block(2, 2, 1), Block(2)), (2, 17, 16)),
    "max": (chain(nn.MaxPool2d(3, 2, 1), conv(1, 1), nn.MaxPool2d(2)), (1, 15, 16)),
    "misaligned": (misaligned(), (1, 11, 12)),
    "bilinear": (
        chain(
            conv(1, 1, stride=2),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            conv(1, 1),
        ),
        (1, 12, 14),
    ),
    "unet": (UNet(), (1, 12, 16)),
    "sequence": (
        chain(nn.Conv1d(2, 2, 3, dilation=2), nn.GELU(), nn.AvgPool1d(3)),
        (2, 30),
    ),
    "volume": (chain(nn.Conv3d(1, 1, (1, 2, 3)), nn.MaxPool3d(2)), (1, 6, 7, 8)),
    "depthwise": (chain(conv(4, 4, groups=4), conv(4, 2, 1)), (4, 8, 9)),
}


def program(module, *shape, **options):
    image = torch.ones(1, *shape)
    found = torch.export.export(module.eval(), (image,), strict=False, **options)
    return found.run_decompositions({})


@pytest.mark.parametrize("name", NETWORKS)
def test_measured_fields_are_computed_ones(name):
    module, shape = NETWORKS[name]
    field = rf.compute_receptive_field(module, input_resolution=shape[1:])
    support = field.support()
    assert support.exact or name == "unet"
    with torch.no_grad():
        output = module.eval()(torch.ones(1, *shape))
    places = np.array(output.shape[:1:-1])
    for feature in ((places - 1) // 2, places * 0, places - 1):
        measured = rf.measure_receptive_field(
            module, feature=feature, input_resolution=shape[1:]
        )
        assert measured.output == field.output
        mask = support.mask(feature)
        assert not (measured.positions & ~mask).any()
        if support.exact:
            assert (measured.positions == mask).all()
        region = field.compute_input_region(feature, clip=True)
        assert (measured.region == region).all()


def test_weights_of_the_caller_do_not_matter_and_stay():
    module = chain(conv(1, 2), nn.BatchNorm2d(2), nn.ReLU(), conv(2, 1)).train()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    before = {name: t.clone() for name, t in module.state_dict().items()}
    state = torch.get_rng_state()
    measured = rf.measure_receptive_field(module, input_resolution=[9, 9])
    assert measured.size.tolist() == [5, 5]
    assert module.training
    assert torch.get_rng_state().equal(state)
    assert torch.get_default_dtype() == torch.float32
    after = module.state_dict()
    assert all(after[name].equal(value) for name, value in before.items())


def test_any_tensor_is_an_input_or_an_output():
    module = chain(conv(1, 2, stride=2), nn.ReLU(), conv(2, 1), conv(1, 1))
    whole = program(module, 1, 17, 17)
    found = rf.measure_receptive_field(whole, output="2", feature=[1, 1])
    assert found.region.tolist() == [[2, 8], [2, 8]]
    found = rf.measure_receptive_field(whole, input="1", feature=[1, 1])
    assert found.region.tolist() == [[1, 5], [1, 5]]
    found = rf.measure_receptive_field(whole, input="0", output="2", axes_only=True)
    assert found.size.tolist() == [3, 3]
    assert found.positions is None


def test_half_precision_and_its_constants():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv(1, 1)
            self.register_buffer("mask", torch.tensor([1, 0, 1]))

        def forward(self, x):
            y = self.conv(x).to(torch.float32).to(x.dtype)
            y = y + torch.zeros(3, dtype=x.dtype)
            return y * torch.where(self.mask > 0, 1.0, 0.0).to(x.dtype)

    image = torch.ones(1, 1, 5, 5, dtype=torch.bfloat16)
    module = Scaled().to(torch.bfloat16).eval()
    whole = torch.export.export(module, (image,), strict=False)
    conv_only = rf.measure_receptive_field(whole, output="conv", feature=[1, 1])
    assert conv_only.size.tolist() == [3, 3]
    # The mask keeps its values: it hides the middle column.
    assert not rf.measure_receptive_field(
        whole, input="conv", output="mul", feature=[1, 1]
    ).positions.any()


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = conv(1, 1, padding=1)

    def forward(self, x):
        y = self.conv(x)
        z = y.relu_()
        y[:, :, 1:] += x[:, :, :-1].roll(1, 3)
        return z


def test_ops_in_place_run_as_they_are():
    whole = torch.export.export(
        InPlace().eval(), (torch.ones(1, 1, 6, 6),), strict=False
    )
    measured = rf.measure_receptive_field(whole, feature=[5, 3])
    expected = np.zeros((6, 6), bool)
    expected[2:5, 4:] = True
    assert (measured.positions == expected).all()
    measured = rf.measure_receptive_field(whole, feature=[0, 3])
    expected[:] = False
    expected[2:5, :2] = True
    expected[2, 5] = True  # The roll brings it here.
    assert (measured.positions == expected).all()


def test_a_size_that_the_program_was_not_exported_for():
    whole = program(chain(conv(1, 1)), 1, 8, 8)
    with pytest.raises(ReceptiveFieldError, match="shape"):
        rf.measure_receptive_field(whole, input_resolution=[9, 9])


def test_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv(1, 1)

        def forward(self, x, factor, other):
            return self.conv(x) * factor + self.conv(other).mean()

    given = torch.ones(1, 1, 8, 8), torch.ones(1), torch.ones(1, 1, 8, 9)
    whole = torch.export.export(Two().eval(), given, strict=False)
    found = rf.measure_receptive_field(whole, input="x")
    assert found.size.tolist() == [3, 3]
    effective = rf.measure_effective_receptive_field(whole, input="x", draws=3)
    assert np.count_nonzero(effective.map) == 9


def test_branches_run():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv(1, 1)

        def forward(self, x):
            y = torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x * 2, (x,))
            with torch.no_grad():
                z = x * 2
            return self.conv(y + z)

    from receptive_field.frameworks.torch.evaluate import Evaluator
    from receptive_field.frameworks.torch.objects import of_exported

    image = torch.rand(1, 1, 5, 5)
    module = Branching().eval()
    whole = torch.export.export(module, (image,), strict=False)
    read = of_exported(whole)
    (name,) = [value.name for _, value in read.outputs]

    def weight(key):
        return read.weights[key].tensor().detach()

    run = Evaluator(read, ["x"], [name], weight=weight, double=False)
    for x in (image, -image):
        (found,) = run({"x": x})
        assert found.equal(module(x))


def test_every_op_agrees_with_its_rule():
    found = bisect(chain(Block(2), nn.MaxPool2d(2)), input_resolution=[9, 9])
    assert found.wrong is None
    assert not found.suspected
    assert not found.unchecked
    assert len(found.checked) >= 6


def test_a_wrong_rule_is_found(monkeypatch):
    from receptive_field.frameworks.torch.ops import OPS
    from receptive_field.rules.elementwise import UNARY

    monkeypatch.setitem(
        OPS, "max_pool2d", UNARY._replace(shapes=OPS["max_pool2d"].shapes)
    )
    found = bisect(chain(conv(1, 1), nn.MaxPool2d(2)), input_resolution=[9, 9])
    assert found.wrong.op == "max_pool2d"
    assert found.wrong.proved


# --- Values that share their memory ---------------------------------------------------


def evaluated(function, image, start, wanted="output"):
    """The value of an output if the value `start` of a program is replaced."""
    from receptive_field.frameworks.torch.evaluate import Evaluator
    from receptive_field.frameworks.torch.objects import of_exported

    class Module(nn.Module):
        def forward(self, x):
            return function(x)

    read = of_exported(torch.export.export(Module(), (image,), strict=False))
    (name,) = [value.name for _, value in read.outputs]
    run = Evaluator(read, [start], [name], weight=None, double=False)
    return lambda value: run({start: value})[0]


def test_what_changes_later_is_replaced_where_it_is_made():
    def function(x):
        y = x + 1
        y.mul_(2)
        return y[:, 1:]

    run = evaluated(function, torch.ones(1, 4), "add")
    assert run(torch.arange(4.0)[None]).tolist() == [[2, 4, 6]]


def test_what_was_changed_is_not_changed_again():
    def function(x):
        y = (x + 1).relu_()
        return y * 3

    run = evaluated(function, torch.ones(1, 4), "relu_")
    assert run(torch.tensor([[-1.0, 1.0]])).tolist() == [[-3, 3]]


def test_a_view_that_others_see_is_not_replaced():
    def function(x):
        y = x + 1
        part = y[:, 1:]
        part.mul_(2)
        return y * 3

    with pytest.raises(GraphError, match="shares its memory"):
        evaluated(function, torch.ones(1, 4), "slice_1")


# --- Effective receptive fields -------------------------------------------------------


def by_hand(module, images, where):
    """The mean squared gradient of a feature with one channel, [y, x]."""
    squares = []
    for image in images:
        leaf = image[None].clone().requires_grad_()
        module(leaf)[(0, 0, *where)].backward()
        squares.append(leaf.grad.double().square().sum((0, 1)))
    return torch.stack(squares).mean(0).numpy()


def test_effective_field_on_images_of_the_caller():
    torch.manual_seed(0)
    module = chain(
        conv(3, 4, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), conv(4, 1)
    )
    module(torch.randn(4, 3, 12, 14))  # For the batch normalisation.
    module.eval()
    images = torch.randn(5, 3, 12, 14)
    expected = by_hand(module, images, (1, 2))
    for asked in (module, module.train(), program(module, 3, 12, 14)):
        found = rf.measure_effective_receptive_field(
            asked, images=images, feature=[2, 1]
        )
        assert found.draws == 5
        assert found.total == pytest.approx(expected.sum(), rel=1e-4)
        np.testing.assert_allclose(found.map * found.total, expected, rtol=1e-3)
        module.eval()
    arrays = rf.measure_effective_receptive_field(
        module, images=images.numpy().astype("float64"), feature=[2, 1]
    )
    np.testing.assert_allclose(arrays.map, found.map, rtol=1e-4)
    field = rf.compute_receptive_field(module, input_resolution=[12, 14])
    mask = field.support().mask([2, 1])
    assert mask.shape == found.map.shape
    assert not found.map[~mask].any()


def test_channels_are_summed_on_average():
    torch.manual_seed(0)
    module = chain(conv(1, 3))
    weight = module[0].weight.detach().double().square().sum((0, 1)).numpy() / 3
    found = rf.measure_effective_receptive_field(
        module, input_resolution=[5, 5], draws=400, feature=[1, 1]
    )
    errors = found.standard_error[1:4, 1:4] * found.total
    assert (abs(found.map[1:4, 1:4] * found.total - weight) < 5 * errors).all()


def test_the_width_of_a_stack_of_convolutions():
    """Variances add up: that of a kernel of three equal weights is 2/3."""
    layers = [conv(1, 1, bias=False) for _ in range(6)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    found = rf.measure_effective_receptive_field(
        chain(*layers), input_resolution=[17, 17], draws=2
    )
    # The gradient is the distribution of the sum of six uniform steps; it is squared.
    steps = np.ones(1)
    for _ in layers:
        steps = np.convolve(steps, np.ones(3) / 3)
    squared = np.square(steps) / np.square(steps).sum()
    at = np.arange(len(squared)) - 6
    np.testing.assert_allclose(found.profiles[0][2:-2], squared, rtol=1e-5)
    deviation = np.sqrt(squared @ at**2)
    np.testing.assert_allclose(found.deviation, [deviation] * 2, rtol=1e-5)
    # A Gaussian of variance 6 * 2/3, squared, has half of this variance.
    assert deviation == pytest.approx(np.sqrt(2), rel=0.04)
    flat = np.sort(np.outer(squared, squared).ravel())[::-1]
    assert found.area(0.9) == np.searchsorted(np.cumsum(flat), 0.9) + 1


def test_images_without_a_batch():
    layer = nn.Conv2d(2, 1, 3).eval()
    whole = torch.export.export(layer, (torch.ones(2, 6, 6),), strict=False)
    found = rf.measure_effective_receptive_field(whole, images=torch.ones(3, 2, 6, 6))
    assert found.map.shape == (6, 6)
    expected = layer.weight.detach().double().square().sum((0, 1)).numpy()
    np.testing.assert_allclose(found.map[1:4, 1:4] * found.total, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 8, 9, 3), r"channels first: np.moveaxis\(images, -1, 1\)"),
        ((3, 8, 9), "Give a batch"),
        ((2, 3, 8, 7), r"\[N, 3, 8, 9\], which the input"),
        ((0, 3, 8, 9), r"not \[0, 3, 8, 9\]"),
    ],
)
def test_images_that_do_not_fit(shape, words):
    whole = program(chain(conv(3, 1)), 3, 8, 9)
    with pytest.raises(ReceptiveFieldError, match=words):
        rf.measure_effective_receptive_field(whole, images=np.zeros(shape))


def test_images_of_text():
    whole = program(chain(conv(1, 1)), 1, 8, 9)
    with pytest.raises(ReceptiveFieldError, match="must be numbers"):
        rf.measure_effective_receptive_field(whole, images=[["a"]])


def test_few_images_and_many_draws():
    module = chain(conv(1, 1))
    images = torch.rand(1, 1, 5, 5)
    assert rf.measure_effective_receptive_field(module, images=images).draws == 2
    found = rf.measure_effective_receptive_field(module, images=images, draws=3)
    assert found.draws == 3


def test_no_gradient():
    module = chain(conv(1, 1))
    with torch.no_grad():
        module[0].weight.zero_()
    with pytest.raises(ReceptiveFieldError, match="no gradient"):
        rf.measure_effective_receptive_field(module, input_resolution=[5, 5])


# --- Files and what is missing --------------------------------------------------------


def test_a_file(tmp_path):
    path = tmp_path / "model.pt2"
    module = chain(conv(1, 1), nn.BatchNorm2d(1), nn.ReLU(inplace=True), conv(1, 1))
    whole = torch.export.export(module.eval(), (torch.ones(1, 1, 9, 9),), strict=False)
    torch.export.save(whole, path)
    assert rf.measure_receptive_field(str(path)).size.tolist() == [5, 5]
    with pytest.raises(ReceptiveFieldError, match=r"torch\.export\.load"):
        rf.measure_effective_receptive_field(str(path))


def test_ops_that_read_files_are_not_run():
    from receptive_field.frameworks.torch.evaluate import function_of

    assert function_of("aten.relu.default") is torch.ops.aten.relu.default
    for target in (
        "aten.from_file.default",
        "os.system",
        "torch.load",
        "operator.attrgetter",
        "builtins.eval",
        "aten.no_such_op.default",
    ):
        assert function_of(target) is None


def test_without_pytorch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from receptive_field.frameworks.torch.framework import TORCH\n"
        "TORCH.runner()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install torch" in found.stderr


def test_changes_in_place_that_have_no_gradient():
    """PyTorch refuses them where it records gradients; an analysis needs none."""

    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv(1, 2)

        def forward(self, x):
            y = self.conv(x)
            a, b = y.chunk(2, 1)
            a += b
            return y

    field = rf.compute_receptive_field(Halves(), input_resolution=[6, 6])
    assert field.size.tolist() == [3, 3]
    measured = rf.measure_receptive_field(Halves(), input_resolution=[6, 6])
    assert measured.size.tolist() == [3, 3]
