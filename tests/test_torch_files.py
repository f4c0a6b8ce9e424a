"""Programs in ``.pt2`` files are those of the objects that were saved."""

import re
from collections import OrderedDict, namedtuple

import pytest
from needed import needed

from receptive_field.frameworks.torch.files import read_file
from receptive_field.frameworks.torch.objects import of_exported
from receptive_field.frameworks.torch.program import Program

torch = needed("torch")
nn, F = torch.nn, torch.nn.functional


class Made(nn.Module):
    """A module that calls a function."""

    def __init__(self, function, *, saved=(), **children):
        super().__init__()
        self.function = function
        for name, child in children.items():
            setattr(self, name, child)
        for name, value in saved:
            self.register_buffer(name, value)

    def forward(self, x):
        return self.function(self, x)


Pair = namedtuple("Pair", "first second")
torch.utils._pytree._register_namedtuple(Pair, serialized_type_name="tests.Pair")


def several(m, x, *, scale=2.0):
    y = m.conv(x).relu_()
    z = y[:, m.index]
    z[:, :, 1:] += z[:, :, :-1]
    u, v = torch.split(y, 4, 1)
    mean, _ = torch.max(u, 2)
    return OrderedDict(out=z * scale, aux=[v, Pair(u, mean)], size=x.shape[2])


def branches(m, x):
    y = torch.cond(x.sum() > 0, lambda a: a + 1, lambda a: a * 2, (x,))
    with torch.no_grad():
        u, v = y.chunk(2, 3)
    return y, F.interpolate(u + v, scale_factor=2.0, mode="bilinear")


def formats(m, x):
    y = x.to(torch.float64, memory_format=torch.channels_last)
    z = torch.zeros(3, dtype=torch.int32, device="cpu")
    return y.contiguous(), z, F.pad(x, (1, 1), value=float("-inf")), x * complex(1, 2)


def arithmetic(m, x):
    h, w = x.shape[2:]
    y = F.interpolate(x, size=(h // 2, w * 2))
    return y.view(1, -1, y.shape[2] * y.shape[3]), h, torch.sym_max(h, w)


def strided(m, x):
    return x[:, m.rows] + m.columns


ROWS = (torch.arange(24, dtype=torch.int32) % 3).reshape(4, 6).t()[1:3, 2]
DYNAMIC = ({2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
MODULES = {
    "several": Made(
        several, conv=nn.Conv2d(3, 8, 3), saved=[("index", torch.arange(4))]
    ),
    "branches": Made(branches),
    "formats": Made(formats),
    "arithmetic": Made(arithmetic),
    "strided": Made(
        strided, saved=[("rows", ROWS), ("columns", torch.tensor([[[True]]] * 2))]
    ),
    "shared": Made(lambda m, x: m.conv(m.conv(x)), conv=nn.Conv2d(3, 3, 3)),
    "nested": nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(True)), nn.Flatten()
    ),
    "attention": Made(
        lambda m, x: m.attend(*[x.flatten(2).transpose(1, 2)] * 3),
        attend=nn.MultiheadAttention(3, 1, batch_first=True),
    ),
    "recurrent": Made(
        lambda m, x: m.cells(x.flatten(2))[1][0], cells=nn.LSTM(40 * 8, 5)
    ),
    "unused": Made(lambda m, x: torch.topk(x, 2)[1]),
    "pools": nn.Sequential(nn.MaxPool2d(2, return_indices=True)),
    "constant": Made(lambda m, x: (x + torch.tensor([1.0]), 3, None)),
}


def exports(module, name):
    """The programs of a module: as exported, and functional or of unknown sizes."""
    image = torch.zeros(1, 3, 8, 40)
    module.eval()
    keep = tuple(n for n, _ in module.named_modules() if n)
    yield torch.export.export(
        module, (image,), strict=False, preserve_module_call_signature=keep
    )
    if name in ("several", "branches", "formats", "arithmetic"):
        yield torch.export.export(
            module, (image,), dynamic_shapes=DYNAMIC, strict=False
        )
    if name in ("several", "attention", "recurrent"):
        yield torch.export.export(module, (image,), strict=False).run_decompositions({})


def plain(program):
    """A program without functions, so that programs can be compared."""
    assert isinstance(program, Program)
    weights = {
        name: (w.kind, w.path, None if w.values is None else w.values().tolist())
        for name, w in program.weights.items()
    }
    steps = [
        (s.target, {k: plain_argument(a) for k, a in s.arguments.items()}, s.outputs)
        for s in program.steps
    ]
    scopes = [(s.scopes, s.code) for s in program.steps]
    kinds = {
        name: kind._replace(dtype=re.sub("^Sym.*", "Sym", kind.dtype))
        for name, kind in program.kinds.items()
    }
    outputs, calls = program.outputs, program.calls
    return {
        "steps": steps,
        "scopes": scopes,
        "inputs": program.inputs,
        "outputs": outputs,
        "weights": weights,
        "kinds": kinds,
        "calls": calls,
    }


def plain_argument(argument):
    if isinstance(argument, Program):
        return plain(argument)
    if isinstance(argument, (list, tuple)):
        return [plain_argument(part) for part in argument]
    return argument


@pytest.mark.parametrize("name", MODULES)
def test_a_file_has_the_program_of_its_object(name, tmp_path):
    for number, exported in enumerate(exports(MODULES[name], name)):
        path = tmp_path / f"{number}.pt2"
        torch.export.save(exported, path)
        program, where = read_file(str(path))
        found, expected = plain(program), plain(of_exported(exported))
        for part, value in expected.items():
            assert found[part] == value, part
        assert (where.path, where.name) == (str(path), "model")
