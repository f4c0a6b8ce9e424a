"""Programs that write in place, and what they become."""

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needed import needed
from random_search import examples
from torch_experiments import check, with_weights

import receptive_field as rf
from receptive_field.errors import GraphError
from receptive_field.frameworks.torch import in_place, views
from receptive_field.frameworks.torch.in_place import functional
from receptive_field.frameworks.torch.objects import of_exported
from receptive_field.frameworks.torch.program import (
    Kind,
    Program,
    Step,
    Value,
    replaced,
)

torch = needed("torch")
nn, F = torch.nn, torch.nn.functional


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def run(program, state, *inputs):
    """What a program computes, step by step. No step may change a value."""
    values = dict(zip(program.inputs, inputs, strict=True))
    for name, weight in program.weights.items():
        values[name] = state[weight.path]

    def read(argument):
        return replaced(argument, lambda value: values[value.name])

    for step in program.steps:
        namespace, name, *_ = step.target.split(".")
        holder = operator if namespace == "operator" else getattr(torch.ops, namespace)
        op = getattr(holder, name)  # Arguments tell which overload is meant.
        given = {name: read(argument) for name, argument in step.arguments.items()}
        for name in ("dtype", "layout", "memory_format"):
            if isinstance(given.get(name), str):
                given[name] = getattr(torch, given[name])
        numbered = [given.pop(key) for key in sorted(given) if key.isdigit()]
        tensors = [values[name] for name in step.reads()]
        tensors = [v for v in tensors if isinstance(v, torch.Tensor)]
        before = [tensor.clone() for tensor in tensors]
        found = op(*numbered, **given)
        assert all(map(torch.equal, tensors, before)), step.target
        several = isinstance(found, (list, tuple))
        results = found if several else [found]
        for name, value in zip(step.outputs, results, strict=True):
            values[name] = value.clone() if isinstance(value, torch.Tensor) else value
    return [values[v.name] for _, v in program.outputs if isinstance(v, Value)]


def exported_of(function, image, dynamic=None):
    """The program of a function or a module, which may write."""
    module = function if isinstance(function, nn.Module) else Function(function)
    return torch.export.export(
        module.eval(), (image.clone(),), strict=False, dynamic_shapes=dynamic
    )


def hold(function, *shape, dynamic=None, others=(), whole=None):
    """Holds what the program of a function becomes against the function.

    Args:
      function: a function or a module.
      shape: the shape of its input.
      dynamic: which sizes are unknown.
      others: other shapes of the input that must be right, too.
      whole: the program of the function, and a functional one; None to export it.
    """
    image = torch.rand(*shape, dtype=torch.float64) + 0.5
    exported, true = whole or (exported_of(function, image, dynamic),) * 2
    program = functional(of_exported(exported))
    for size in (shape, *others):
        image = torch.rand(*size, dtype=torch.float64) + 0.5
        state = {**exported.state_dict, **exported.constants}
        state = {name: value.detach().clone() for name, value in state.items()}
        with torch.no_grad():
            expected = true.module()(image.clone())
            found = run(program, state, image.clone())
        leaves, names = torch.utils._pytree.tree_flatten(expected)[0], program.outputs
        for one, other, (name, _) in zip(found, leaves, names, strict=True):
            torch.testing.assert_close(one, other, msg=lambda m, n=name: f"{n}: {m}")
    assert functional(program) is program
    return program


def writes(make, write=lambda v: v.mul_(3)):
    """A function that writes to a view, and reads the view and others."""

    def function(x):
        y = x * 2
        before = y.flatten()
        view = make(y)
        again = make(y)
        write(view)
        below = y + 1
        before += 1
        return view * 1, again + 0, below, y - 1, before * 2

    return function


VIEWS = {
    "adjoint": lambda y: y.adjoint(),
    "alias": lambda y: torch.ops.aten.alias(y),
    "broadcast_to": lambda y: y.broadcast_to(2, 3, 4),
    "chunk": lambda y: y.chunk(2, 2)[1],
    "chunk uneven": lambda y: y.chunk(3, -1)[1],
    "conj": lambda y: y.conj(),
    "conj_physical": lambda y: y.conj_physical(),
    "contiguous": lambda y: y.contiguous(),
    "contiguous copy": lambda y: y.transpose(0, 2).contiguous(),
    "detach": lambda y: y.detach(),
    "diagonal": lambda y: y.diagonal(1, -2, -1),
    "dropout": lambda y: F.dropout(y, training=False),
    "dropout copy": lambda y: F.dropout(y, p=1.0),
    "dsplit": lambda y: torch.dsplit(y, [1, 3])[1],
    "expand": lambda y: y.expand(2, -1, 4),
    "feature_dropout": lambda y: F.dropout2d(y[None], training=False),
    "flatten": lambda y: y.flatten(1),
    "flatten copy": lambda y: y.transpose(0, 1).flatten(),
    "hsplit": lambda y: torch.hsplit(y, 3)[2],
    "lift_fresh": lambda y: torch.ops.aten.lift_fresh(y),
    "linalg_diagonal": lambda y: torch.linalg.diagonal(y, offset=-1),
    "mH": lambda y: y.mH,
    "mT": lambda y: y.mT,
    "movedim": lambda y: y.movedim(0, 2),
    "movedim list": lambda y: y.movedim([0, 1], [2, 0]),
    "narrow": lambda y: y.narrow(1, 1, 2),
    "narrow from the end": lambda y: y.narrow(1, -2, 2),
    "numpy_T": lambda y: y[0].T,
    "numpy_T of three": lambda y: torch.ops.aten.numpy_T(y),
    "permute": lambda y: y.permute(2, 0, -2),
    "positive": lambda y: +y,
    "ravel": lambda y: y.ravel(),
    "real": lambda y: torch.real(y),
    "reshape": lambda y: y.reshape(4, -1),
    "reshape copy": lambda y: y.transpose(0, 1).reshape(4, -1),
    "reshape_as": lambda y: y.reshape_as(torch.zeros(3, 8)),
    "resolve_conj": lambda y: y.resolve_conj(),
    "select": lambda y: y[:, -1],
    "select twice": lambda y: y[1][:, 2],
    "slice": lambda y: y[:, 1:, ::2],
    "slice to the end": lambda y: y[..., -3:-1],
    "split": lambda y: y.split(3, 2)[1],
    "split sizes": lambda y: y.split([1, 2, 1], 2)[1],
    "squeeze": lambda y: y[:1, :1].squeeze(),
    "squeeze dim": lambda y: y[:, :1].squeeze(1),
    "squeeze no dim": lambda y: y.squeeze(1),
    "squeeze dims": lambda y: y[:1, :, :1].squeeze((0, 1, -1)),
    "swapaxes": lambda y: y.swapaxes(0, -1),
    "swapdims": lambda y: y.swapdims(0, 1),
    "t": lambda y: y[1].t(),
    "t of one": lambda y: y[1, 2].t(),
    "tensor_split": lambda y: y.tensor_split(3, 2)[1],
    "to": lambda y: y.to(torch.float64),
    "to copy": lambda y: y.to(torch.float32),
    "to copy again": lambda y: y.to(torch.float64, copy=True),
    "transpose": lambda y: y.transpose(0, 1),
    "unbind": lambda y: y.unbind(1)[2],
    "unflatten": lambda y: y.unflatten(2, (2, 2)),
    "unsafe_chunk": lambda y: torch.unsafe_chunk(y, 2, 2)[0] * 1,
    "unsqueeze": lambda y: y.unsqueeze(-1),
    "view": lambda y: y.view(-1, 2, 2),
    "view_as": lambda y: y.view_as(torch.zeros(6, 4)),
    "view_as_complex": lambda y: torch.view_as_complex(y.view(2, 3, 2, 2)),
    "vsplit": lambda y: torch.vsplit(y, 2)[0],
    "many": lambda y: y[1:].transpose(1, 2)[..., ::2].unsqueeze(0).flatten(2),
}


def all_of(functions):
    """All functions in one, because an export takes its time."""
    return lambda x: {name: function(x) for name, function in functions.items()}


def test_writes_to_a_view_change_what_it_is_a_view_of():
    hold(all_of({name: writes(make) for name, make in VIEWS.items()}), 2, 3, 4)


def test_views_of_sizes_that_are_not_known():
    def function(x):
        y = x + 1
        a, b = y.chunk(2, 2)
        y.unsqueeze(1).unflatten(2, (3, 1))[:, :, 0].mul_(2)
        b.mul_(3)
        y.view(6, y.shape[2])[1:].add_(1)
        y.narrow(2, 1, y.shape[2] - 2).neg_()
        y.split([y.shape[2] - 3, 3], 2)[1].mul_(5)
        y.split(y.shape[2] // 2, 2)[1].mul_(7)
        return a + 1, b + 1, y * 2

    sizes = ({2: 2 * torch.export.Dim("w", min=4, max=100)},)
    hold(function, 2, 3, 10, dynamic=sizes, others=[(2, 3, 8), (2, 3, 14)])


WRITES = {
    "add_": lambda v: v.add_(v, alpha=2),
    "addcmul_": lambda v: v.addcmul_(v, v),
    "clamp_": lambda v: v.clamp_(1, 2),
    "copy_": lambda v: v.copy_(torch.ones(4)),
    "copy_ of another type": lambda v: v.copy_(torch.arange(4)),
    "copy_ of itself": lambda v: v.copy_(v),
    "copy_ of its reverse": lambda v: v.copy_(v.flip(-1)),
    "cumsum_": lambda v: v.cumsum_(-1),
    "detach_": lambda v: (v * 2).detach_().add_(1),
    "dropout_": lambda v: torch.dropout_(v, 0.5, False),
    "elu_": lambda v: F.elu_(v),
    "fill_": lambda v: v.fill_(2),
    "fill_ of a tensor": lambda v: v.fill_(torch.tensor(2.0)),
    "iadd": lambda v: operator.iadd(v, v.mean()),
    "index_add_": lambda v: v.index_add_(0, torch.tensor([0]), v[:1] * 2),
    "index_copy_": lambda v: v.index_copy_(0, torch.tensor([0]), v[:1] * 2),
    "index_fill_": lambda v: v.index_fill_(0, torch.tensor([0]), 7),
    "index_put_": lambda v: v.index_put_((torch.tensor([0]),), torch.zeros(4).double()),
    "leaky_relu_": lambda v: F.leaky_relu_(v),
    "lerp_": lambda v: v.lerp_(v * 2, 0.5),
    "masked_fill_": lambda v: v.masked_fill_(v > 1, 0.0),
    "out": lambda v: torch.add(v, 1, out=v),
    "out of a matrix product": lambda v: torch.mul(v, 2, out=v),
    "pow_": lambda v: v.pow_(2),
    "relu_": lambda v: v.relu_(),
    "requires_grad_": lambda v: v.requires_grad_(False).add_(1),
    "scatter_": lambda v: v.scatter_(-1, torch.zeros(1, 1, 1).long(), 5.0),
    "setitem": lambda v: operator.setitem(v, (..., slice(1, 3)), 0.0),
    "setitem of a mask": lambda v: operator.setitem(v, v > 1, 0.0),
    "setitem of a tensor": lambda v: operator.setitem(v, (..., 0), v[..., 1]),
    "squeeze_": lambda v: v.unsqueeze(0).squeeze_(0).add_(1),
    "sub_": lambda v: v.sub_(1),
    "t_": lambda v: v[0].t_().add_(1),
    "transpose_": lambda v: v[..., :2].transpose_(0, 1).add_(1),
    "unsqueeze_": lambda v: v.select(0, 0).unsqueeze_(0).add_(1),
    "zero_": lambda v: v.zero_(),
}


def test_every_sort_of_write():
    functions = {
        name: writes(lambda y: y[:, 1:], write) for name, write in WRITES.items()
    }
    hold(all_of(functions), 2, 3, 4)


def test_writes_to_inputs_buffers_and_constants_count():
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("steps", torch.zeros(3, 1, dtype=torch.float64))

        def forward(self, x):
            y = x[:, 1:]
            self.steps.add_(2)
            self.steps[0].mul_(3)
            x.mul_(self.steps)
            return y + 0, x - 1

    hold(Module(), 2, 3, 4)


def test_in_place_modules_keep_what_the_modules_before_return():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(True), nn.Hardswish(True))
    names = ("0", "1", "2")
    exported = torch.export.export(
        module, (torch.ones(1, 3, 9, 9),), preserve_module_call_signature=names
    )
    program = functional(of_exported(exported))
    returned = [program.calls[name][1][0][1].name for name in names]
    outputs = [step.outputs[0] for step in program.steps]
    assert returned == outputs
    assert [step.op for step in program.steps] == ["conv2d", "relu", "hardswish"]


def test_a_module_returns_what_it_wrote_to():
    class Inner(nn.Module):
        def forward(self, x):
            y = x + 1
            y[:, 1:] += 1
            return y

    module = nn.Sequential(Inner(), nn.ReLU(True))
    exported = torch.export.export(
        module, (torch.ones(2, 3),), preserve_module_call_signature=("0", "1")
    )
    program = functional(of_exported(exported))
    (_, inner), (_, outer) = (program.calls[name][1][0] for name in ("0", "1"))
    ops = {step.outputs[0]: step.op for step in program.steps}
    assert (ops[inner.name], ops[outer.name]) == ("slice_scatter", "relu")


def test_only_statistics_are_written_by_a_normalisation_in_training():
    module = nn.BatchNorm2d(3).double()
    exported = torch.export.export(module, (torch.rand(2, 3, 4, 5).double(),))
    program = functional(of_exported(exported))
    assert [step.op for step in program.steps][-1] == "batch_norm"

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(3)

        def forward(self, x):
            return self.norm(x) + self.norm.running_mean[:, None, None]

    exported = torch.export.export(Twice(), (torch.rand(2, 3, 4, 5),))
    with pytest.raises(GraphError, match=r"'batch_norm' has written its statistics"):
        functional(of_exported(exported))


REFUSALS = {
    "expand": (lambda y: y[:, :1].expand(2, 3, 4).add_(1), "several positions"),
    "unfold": (lambda y: y.unfold(2, 2, 1).add_(1), "its windows overlap"),
    "as_strided": (
        lambda y: y.as_strided((2, 2), (1, 2)).add_(1),
        "'as_strided' copies",
    ),
    "fill_diagonal_": (lambda y: y[0].fill_diagonal_(1), "not followed"),
    "view of bits": (lambda y: y.view(torch.int64).add_(1), "another data type"),
    "to a device": (lambda y: y.to("cpu", y.dtype).add_(1), "'to' copies"),
    "einsum": (lambda y: torch.einsum("abc->acb", y).add_(1), "'einsum' copies"),
    "several": (lambda y: torch._foreach_add_([y, y], 1), "several tensors"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_followed_is_refused_by_name(name):
    write, reason = REFUSALS[name]

    def function(x):
        y = x * 2
        others = y[:1], write(y)
        return y + 1, others[0] + 1

    exported = exported_of(function, torch.rand(2, 3, 4).double())
    with pytest.raises(GraphError, match=reason) as caught:
        functional(of_exported(exported))
    assert "run_decompositions" in str(caught.value)


def test_what_may_be_a_view_is_no_obstacle_if_only_one_of_both_is_read():
    def function(x):
        y = (x * 2).to("cpu", torch.float64)
        y += 1
        return y * 2

    hold(function, 2, 3, 4)


RANDOM_VIEWS = {
    "permute": lambda y, k: y.permute(*[(n + k) % y.dim() for n in range(y.dim())]),
    "flip of axes": lambda y, k: y.transpose(0, -1),
    "flatten": lambda y, k: y.flatten(k % y.dim()),
    "reshape": lambda y, k: y.reshape(-1, *y.shape[k % y.dim() :]),
    "select": lambda y, k: y.select(k % y.dim(), 0) if y.dim() > 1 else y[:],
    "slice": lambda y, k: y.narrow(k % y.dim(), 0, max(y.shape[k % y.dim()] - 1, 1)),
    "end": lambda y, k: y[..., -max(y.shape[-1] - k, 1) :],
    "steps": lambda y, k: y[:: k + 1],
    "chunk": lambda y, k: y.chunk(2, k % y.dim())[-1],
    "unbind": lambda y, k: y.unbind(0)[-1] if y.dim() > 1 else y[:],
    "split": lambda y, k: y.split(2, k % y.dim())[0],
    "unsqueeze": lambda y, k: y.unsqueeze(k % y.dim()),
    "squeeze": lambda y, k: y.squeeze(k % y.dim()) if y.dim() > 1 else y[:],
    "diagonal": lambda y, k: y.diagonal(k % 2) if y.dim() > 1 else y[:],
    "expand": lambda y, k: y.unsqueeze(0).expand(2, *y.shape),
    "contiguous": lambda y, k: y.contiguous(),
    "new": lambda y, k: y * 2,
}
RANDOM_WRITES = {
    "add": lambda v, w: v.add_(w.mean()),
    "add a part": lambda v, w: v.add_(w.flatten()[: v.shape[-1]].mean(0, True)),
    "multiply": lambda v, w: v.mul_(2),
    "relu": lambda v, w: v.relu_(),
    "fill": lambda v, w: v.fill_(3),
    "zero": lambda v, w: v[0].zero_(),
    "copy": lambda v, w: v.copy_(v.flip(0)),
    "shift": lambda v, w: operator.setitem(v, 0, v[0] + v[-1]),
    "mask": lambda v, w: operator.setitem(v, v > 1.2, 0.0),
    "cumsum": lambda v, w: v.cumsum_(-1),
}
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*RANDOM_VIEWS.items(), *RANDOM_WRITES.items()]),
        st.integers(0, 3),
        st.integers(0, 99),
        st.integers(0, 99),
    ),
    min_size=2,
    max_size=10,
)


def random_code(steps):
    """A function that makes views and writes to them, and returns them all."""

    def function(x):
        tensors, expanded = [x, x * 1], set()
        for (name, step), axis, first, second in steps:
            one, other = (tensors[n % len(tensors)] for n in (first, second))
            if name in RANDOM_VIEWS:
                tensors.append(step(one, axis))
                if name == "expand" or id(one) in expanded:
                    expanded.add(id(tensors[-1]))
            elif id(one) not in expanded:
                step(one, other)
        return [tensor + 1 for tensor in tensors]

    return function


@given(STEPS)
@examples(20)
def test_random_code_computes_what_pytorch_says(steps):
    image = torch.rand(2, 3, 4, dtype=torch.float64) + 0.5
    exported = true = exported_of(random_code(steps), image)
    try:
        exported.module()(image.clone())
    except RuntimeError:  # It reads the memory that it writes to at other positions.
        true = exported.run_decompositions({})
    hold(None, 2, 3, 4, whole=(exported, true))


SPATIAL_VIEWS = {
    "rows": lambda y, k: y[:, :, k:],
    "columns": lambda y, k: y[..., : 6 - k],
    "every second": lambda y, k: y[:, :, k % 2 :: 2],
    "transposed": lambda y, k: y.transpose(2, 3)[:, :, k:],
    "flat": lambda y, k: y.flatten(2)[..., k:],
    "row": lambda y, k: y[:, :, k],
    "channel": lambda y, k: y[:, :1],
    "part": lambda y, k: y.chunk(2, 2)[k % 2],
    "split": lambda y, k: y.split([k + 1, 5 - k], 3)[1],
    "bordered": lambda y, k: y.unsqueeze(0)[..., 1:-1, 1:-1].squeeze(0),
}
SPATIAL_WRITES = {
    "add": lambda v, y, k: v.add_(1),
    "relu": lambda v, y, k: v.relu_(),
    "zero": lambda v, y, k: v[..., :1].zero_(),
    "shift": lambda v, y, k: operator.iadd(v[..., 1:], v[..., :-1].clone()),
    "overlap": lambda v, y, k: operator.setitem(v, (..., 0), v[..., -1] + v[..., 0]),
    "copy": lambda v, y, k: v.copy_(v.flip(-1)),
    "mean": lambda v, y, k: v.add_(v.mean(-1, keepdim=True)),
}


def spatial_code(kernel, steps):
    """A module: a convolution, and views of its result that are written to."""

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, kernel, padding=kernel // 2)

        def forward(self, x):
            y = self.conv(x)
            for view, write, axis in steps:
                SPATIAL_WRITES[write](SPATIAL_VIEWS[view](y, axis), y, axis)
            return y

    return with_weights(Module()).requires_grad_(False).eval().double()


def described(field):
    return (
        field.size.tolist(),
        field.stride.tolist(),
        None if field.padding is None else field.padding.tolist(),
        field.aligned,
    )


@given(
    st.sampled_from([1, 3]),
    st.lists(
        st.tuples(
            st.sampled_from(list(SPATIAL_VIEWS)),
            st.sampled_from(list(SPATIAL_WRITES)),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=3,
    ),
)
@examples(6)
def test_random_code_sees_what_the_experiment_says(kernel, steps):
    module = spatial_code(kernel, steps)
    exported = exported_of(module, torch.ones(1, 1, 5, 6, dtype=torch.float64))
    plain = check(module, (1, 1, 5, 6), program=exported)
    other = rf.compute_receptive_field(exported.run_decompositions({}))
    if plain.exact and other.exact:  # Bounds depend on where paths meet.
        assert described(plain) == described(other)


def test_a_sum_of_neighbouring_rows_is_three_by_four():
    class Module(nn.Module):
        def __init__(self, inputs):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)
            self.inputs = inputs

        def forward(self, x):
            y = self.conv(x)
            other = y.clone() if self.inputs else y
            y[:, :, 1:] += other[:, :, :-1]
            return y

    for inputs in (False, True):
        module = with_weights(Module(inputs)).double()
        exported = exported_of(module, torch.ones(1, 1, 9, 9, dtype=torch.float64))
        plain = rf.compute_receptive_field(exported)
        other = rf.compute_receptive_field(exported.run_decompositions({}))
        assert plain.size.tolist() == [3, 4]
        assert plain.exact
        assert described(plain) == described(other)
    check(module, (1, 1, 9, 9), program=exported, exact=True)


@torch.library.custom_op("in_place::add_up", mutates_args=("x",))
def add_up(x: torch.Tensor) -> None:
    x.copy_(x.cumsum(-1))


@torch.library.custom_op("in_place::add_up_and_tell", mutates_args=("x",))
def add_up_and_tell(x: torch.Tensor) -> torch.Tensor:
    x.copy_(x.cumsum(-1))
    return x.sum()


@add_up_and_tell.register_fake
def _(x):
    return x.new_empty(())


class AddsUp(nn.Module):
    def __init__(self, op):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)
        self.op = op

    def forward(self, x):
        y = self.conv(x)
        self.op(y.view(-1))
        return self.conv(y)


@pytest.mark.parametrize("op", [add_up, add_up_and_tell])
def test_an_op_of_another_library_that_writes_is_refused(op, tmp_path):
    image = torch.ones(1, 1, 9, 9)
    exported = torch.export.export(AddsUp(op), (image,), strict=False)
    torch.export.save(exported, tmp_path / "adds_up.pt2")
    for source in (exported, tmp_path / "adds_up.pt2"):
        with pytest.raises(GraphError, match=f"{op._name}' may have written there"):
            rf.compute_receptive_field(source)
    with pytest.raises(rf.ReceptiveFieldError):
        rf.compute_receptive_field(AddsUp(op), example_inputs=image)


def test_an_unknown_op_without_a_result_is_there_for_what_it_writes():
    writes = Step("unknown.writes.default", {"x": Value("x")}, ["nothing"])
    reads = Step("aten.relu.default", {"self": Value("x")}, ["relu"])
    kinds = {"nothing": Kind(None, "NoneType")}

    def written_out(*steps):
        return functional(Program([*steps], ["x"], [("", Value("relu"))], {}, kinds))

    with pytest.raises(GraphError, match=r"'unknown\.writes' may have written there"):
        written_out(writes, reads)
    assert written_out(reads, writes).steps[0] == reads


def schemas():
    """The schemas of ATen, apart from those of lists and dictionaries in scripts."""
    for schema in torch._C._jit_get_all_schemas():
        namespace, _, name = schema.name.partition("::")
        arguments = [a for a in schema.arguments if a.alias_info is not None]
        if namespace == "aten" and all("Tensor" in str(a.type) for a in arguments):
            yield name, schema, arguments


SCRIPT_ONLY = {
    *(
        "__getitem__",
        "_unwrap_optional",
        "append",
        "as_tensor",
        "clear",
        "copy",
        "dict",
    ),
    *("extend", "insert", "list", "pop", "remove", "reverse", "select", "setdefault"),
    *("sort", "sorted", "update", "Delete", "popitem", "_test_autograd_multiple_"),
}


def test_every_op_of_pytorch_that_shares_memory_is_known():
    known = {*views.INVERSES, *views._PERHAPS, *SCRIPT_ONLY}
    found = {
        name
        for name, schema, arguments in schemas()
        if arguments and not any(a.alias_info.is_write for a in arguments)
    }
    assert {n for n in found - known if not n.startswith("_test")} == set()


def test_every_op_of_pytorch_that_writes_is_known():
    unknown = set()
    for name, schema, arguments in schemas():
        if any(a.alias_info.is_write for a in arguments) and name not in SCRIPT_ONLY:
            target = f"aten.{name}.{schema.overload_name or 'default'}"
            if "backward" not in name and not in_place._may_write(Step(target, {}, [])):
                unknown.add(target)
    assert unknown == set()


def test_every_write_that_is_not_refused_has_a_counterpart():
    for name, _, _ in schemas():
        is_plain = name.endswith("_") and not name.startswith(("__", "_f", "_a"))
        if is_plain and name not in {*in_place.REFUSED, *in_place.RESHAPING}:
            assert hasattr(torch.ops.aten, name[:-1]), name
