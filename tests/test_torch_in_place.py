"""Programs that write in place, and what they become."""

import operator

from needed import needed

from receptive_field.frameworks.torch.in_place import functional
from receptive_field.frameworks.torch.objects import of_exported
from receptive_field.frameworks.torch.program import Value, replaced

torch = needed("torch")
nn, F = torch.nn, torch.nn.functional


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def run(program, exported, *inputs):
    """What a program computes, step by step."""
    values = dict(zip(program.inputs, inputs, strict=True))
    state = {**exported.state_dict, **exported.constants}
    for name, weight in program.weights.items():
        values[name] = state[weight.path].detach().clone()
    for step in program.steps:
        op = operator if step.target.startswith("operator.") else torch.ops
        for part in step.target.removeprefix("operator.").split("."):
            op = getattr(op, part)
        given = {
            k: replaced(a, lambda v: values[v.name]) for k, a in step.arguments.items()
        }
        numbered = [given.pop(key) for key in sorted(given) if key.isdigit()]
        before = [
            (v, v.clone()) for v in values.values() if isinstance(v, torch.Tensor)
        ]
        found = op(*numbered, **given)
        for value, old in before:
            assert torch.equal(value, old), step.target
        several = len(step.outputs) > 1 or isinstance(found, (list, tuple))
        for name, value in zip(
            step.outputs, found if several else [found], strict=True
        ):
            values[name] = value.clone() if isinstance(value, torch.Tensor) else value
    return [values[v.name] for _, v in program.outputs if isinstance(v, Value)]


def hold(function, *shape, dynamic=None, image=None):
    """Holds the program that a function becomes against the function."""
    module = function if isinstance(function, nn.Module) else Function(function)
    image = torch.rand(*shape) + 0.5 if image is None else image
    exported = torch.export.export(
        module.eval(), (image.clone(),), strict=False, dynamic_shapes=dynamic
    )
    program = functional(of_exported(exported))
    expected = exported.module()(image.clone())
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    with torch.no_grad():
        found = run(program, exported, image.clone())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
    return program


def shifted(x):
    y = x * 2
    y[:, :, 1:] += x[:, :, :-1]
    return y


def views(x):
    y = x + 1
    a = y.transpose(1, 2)
    b = y.view(2, 12)
    c = a[:, 1]
    c.mul_(3)
    b.add_(1)
    y[0].fill_(2.0)
    return y + 1, a * 1, b * 1, c * 1


def test_first():
    hold(shifted, 2, 3, 4)
    hold(views, 2, 3, 4)
