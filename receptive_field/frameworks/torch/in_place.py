"""Gives ops that write in place a meaning without writing.

An op that writes makes a new value of the tensor, of every tensor that this one is a
view of and, when they are read later, of all other views of the same memory.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from receptive_field.errors import GraphError
from receptive_field.frameworks.torch.evaluate import function_of
from receptive_field.frameworks.torch.program import (
    Kind,
    Program,
    Step,
    Value,
    replaced,
    values_in,
)
from receptive_field.frameworks.torch.views import (
    INVERSES,
    Unknown,
    View,
    shared,
    source_of,
)

INSTEAD = (
    "Pass the module itself, or what program.run_decompositions({}) returns (for a "
    "file, save that)."
)
"""What to do with an op that cannot be followed."""

RESHAPING: Mapping[str, str] = {
    "detach_": "detach.default",
    "requires_grad_": "alias.default",
    "squeeze_": "squeeze",
    "swapaxes_": "swapaxes.default",
    "swapdims_": "swapdims.default",
    "t_": "t.default",
    "transpose_": "transpose.int",
    "unsqueeze_": "unsqueeze.default",
}
"""Ops that change how a tensor is seen and no value of it -> ops that make views."""

_DROPOUTS = ("alpha_dropout_", "dropout_", "feature_alpha_dropout_", "feature_dropout_")
"""Ops whose first argument is named ``self``, and not ``input`` as in others."""

REFUSED = frozenset(
    [
        "_amp_foreach_non_finite_check_and_unscale_",
        "_amp_update_scale_",
        "_cummax_helper",
        "_cummin_helper",
        "_fill_mem_eff_dropout_mask_",
        "_flash_attention_forward_no_dropout_inplace",
        "_no_grad_embedding_renorm_",
        "_no_grad_fill_",
        "_no_grad_normal_",
        "_no_grad_uniform_",
        "_no_grad_zero_",
        "_set_item",
        "_sobol_engine_ff_",
        "_sobol_engine_initialize_state_",
        "_sobol_engine_scramble_",
        "as_strided_",
        "fill_diagonal_",
        "record_stream",
        "resize_",
        "resize_as_",
        "retain_grad",
        "set_",
        "set_data",
    ]
)
"""Ops that write, and have no counterpart that returns what they write."""

REFUSED_OVERLOADS = frozenset(
    [
        "_linalg_det.result",
        "_linalg_eigh.eigenvalues",
        "_linalg_slogdet.sign",
        "_linalg_solve_ex.result",
        "_linalg_svd.U",
        "geqrf.a",
        "kthvalue.values",
        "linalg_cholesky_ex.L",
        "linalg_eigh.eigvals",
        "linalg_inv_ex.inverse",
        "linalg_svd.U",
        "max.dim_max",
        "median.dim_values",
        "min.dim_min",
        "mode.values",
        "nanmedian.dim_values",
        "qr.Q",
        "sort.values",
        "sort.values_stable",
        "svd.U",
        "topk.values",
        "triangular_solve.X",
        "xlogy.OutScalar_Other",
        "xlogy.OutScalar_Self",
        "xlogy.OutTensor",
    ]
)
"""Overloads that write to arguments of various names."""

_MOMENTS = ("running_mean", "running_var")
_RANGES = ("running_min", "running_max", "scale", "zero_point")
STATISTICS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "_batch_norm_impl_index": ("training", _MOMENTS),
    "_batch_norm_with_update": ("", _MOMENTS),
    "_fused_moving_avg_obs_fq_helper": ("", _RANGES),
    "_native_batch_norm_legit": ("training", _MOMENTS),
    "batch_norm": ("training", _MOMENTS),
    "cudnn_batch_norm": ("training", _MOMENTS),
    "fused_moving_avg_obs_fake_quant": ("", _RANGES),
    "instance_norm": ("use_input_stats", _MOMENTS),
    "miopen_batch_norm": ("training", _MOMENTS),
    "native_batch_norm": ("training", _MOMENTS),
    "rrelu_with_noise": ("training", ("noise",)),
}
"""Op -> the argument that says whether it writes, and the arguments that it writes to.

Their old values do not matter then.
"""

_SHAPES = frozenset(
    [
        "_assert_tensor_metadata",
        "sym_is_contiguous",
        "sym_numel",
        "sym_size",
        "sym_storage_offset",
        "sym_stride",
    ]
)
"""Ops that read only what writing does not change."""

_AUGMENTED = frozenset(
    [
        "iadd",
        "iand",
        "ifloordiv",
        "ilshift",
        "imatmul",
        "imod",
        "imul",
        "ior",
        "ipow",
        "irshift",
        "isub",
        "itruediv",
        "ixor",
    ]
)
_PYTORCHS_OWN = frozenset(
    ["aten", "builtins", "higher_order", "math", "operator", "profiler", "torch"]
)
"""Namespaces whose ops are in these tables if they write."""

_NUMBERS = frozenset(["bool", "float", "int", "Sym", "SymBool", "SymFloat", "SymInt"])


def functional(program: Program) -> Program:
    """Returns a program that computes the same, without ops that write in place.

    Args:
      program: a program without control flow.

    Raises:
      GraphError: if it is not known what an op writes.
    """
    if not any(
        _may_write(step) or _written_elsewhere(step, program.kinds)
        for step in program.steps
    ):
        return program
    return _Writes(program).run()


def _may_write(step: Step) -> bool:
    namespace, _, rest = step.target.partition(".")
    name, _, overload = rest.partition(".")
    return (
        name.endswith("_")
        or _is_out(overload)
        or name in REFUSED
        or name in STATISTICS
        or f"{name}.{overload}" in REFUSED_OVERLOADS
        or (namespace == "operator" and (name in _AUGMENTED or name == "setitem"))
    )


def _written_elsewhere(step: Step, kinds: Mapping[str, Kind]) -> tuple[str, ...]:
    """Returns the arguments that an op of another library may write to.

    Its schema tells, if PyTorch is imported and knows the op. Otherwise, an op without
    a result is there for what it writes.
    """
    if step.target.partition(".")[0] in _PYTORCHS_OWN:
        return ()
    known = function_of(step.target) if "torch" in sys.modules else None
    if known is not None:
        return tuple(
            argument.name
            for argument in known._schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
        )
    kind = kinds.get(step.outputs[0] or "") if step.outputs else None
    has_result = kind is None or kind.dtype != "NoneType"
    return () if has_result else tuple(step.arguments)


def _is_out(overload: str) -> bool:
    return overload.startswith("out") or overload.endswith("_out")


class _Storage:
    """The memory of a tensor and of its views.

    Attributes:
      version: how often it was written to.
      perhaps: other memory that may be the same, and the op that may have copied.
      lost: why its values are not known any more; empty if they are.
    """

    __slots__ = ("lost", "perhaps", "version")

    def __init__(self) -> None:
        self.version = 0
        self.perhaps: list[tuple[_Storage, str]] = []
        self.lost = ""


class _Tensor:
    """A tensor, which is a view or owns its memory.

    Attributes:
      storage: its memory.
      origin: the name of the value that it was first.
      name: the name of the value that it was last.
      version: the version of the memory that this value belongs to.
      base: the tensor that this one is a view of, if it is one.
      view: how.
    """

    __slots__ = ("base", "name", "origin", "storage", "version", "view")

    def __init__(
        self,
        storage: _Storage,
        name: str,
        base: _Tensor | None = None,
        view: View | None = None,
    ) -> None:
        self.storage = storage
        self.origin = self.name = name
        self.version = storage.version
        self.base = base
        self.view = view

    def path(self) -> list[Any]:
        """Returns the views that lead here from the owner of the memory."""
        found: list[Any] = []
        tensor = self
        while tensor.base is not None and tensor.view is not None:
            step = tensor.view.step
            stated = {**step.arguments, source_of(step): None}
            found.append((step.op, stated, tensor.view.number))
            tensor = tensor.base
        return found


class _Written(NamedTuple):
    """What an op writes.

    Attributes:
      argument: the name of the argument that it writes to.
      target: the op that returns what this one writes.
    """

    argument: str
    target: str


class _Writes:
    """Follows the writes of a program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._kinds = dict(program.kinds)
        self._taken = {*self._kinds, *program.inputs, *program.weights}
        self._steps: list[Step] = []
        self._optional: set[int] = set()
        """Which steps can be left out if nothing reads their results, by `id`."""
        self._tensors: dict[str, _Tensor] = {}
        self._step = Step("", {}, [])
        self._read = set(_results(program))
        for step in program.steps:
            self._read.update(step.reads())

    def run(self) -> Program:
        """Returns the program without writes."""
        program = self._program
        ends: dict[int, list[str]] = {}
        last_steps = _last_steps(program)
        for call, index in last_steps.items():
            ends.setdefault(index, []).append(call)
        calls = dict(program.calls)
        for index, step in enumerate(program.steps):
            self._step = step
            self._read_step(step)
            for call in ends.get(index, ()):
                path, returned = calls[call]
                calls[call] = (path, [(k, self._returned(v)) for k, v in returned])
        self._step = Step("", {}, [])
        for call, (_, returned) in program.calls.items():
            if call not in last_steps and any(
                self._returned(value) != value for _, value in returned
            ):
                del calls[call]  # It is not known whether it came before the write.
        outputs = [(label, self._returned(value)) for label, value in program.outputs]
        found = Program(
            [], program.inputs, outputs, program.weights, self._kinds, calls
        )
        read = set(_results(found))
        for step in reversed(self._steps):
            if id(step) not in self._optional or not read.isdisjoint(step.outputs):
                read.update(step.reads())
                found.steps.append(step)
        found.steps.reverse()
        return found

    def _returned(self, value: Any) -> Any:
        return self._now(value) if isinstance(value, Value) else value

    def _tensor(self, name: str) -> _Tensor:
        found = self._tensors.get(name)
        if found is None:
            found = self._tensors[name] = _Tensor(_Storage(), name)
        return found

    def _first(self, value: Value) -> Value:
        """Returns the first value of a tensor, which has the same shape as all."""
        return Value(self._tensor(value.name).origin)

    def _now(self, value: Value) -> Value:
        """Returns the present value of a tensor."""
        tensor = self._tensor(value.name)
        if tensor.storage.lost:
            self._refuse(f"reads {value.name!r}, but {tensor.storage.lost}")
        self._refresh(tensor)
        return Value(tensor.name)

    def _refresh(self, tensor: _Tensor) -> None:
        """Makes a view again if its memory was written to."""
        stale = []
        while tensor.version != tensor.storage.version:
            assert tensor.base is not None  # What owns the memory is never stale.
            stale.append(tensor)
            tensor = tensor.base
        for view in reversed(stale):
            self._make_again(view)

    def _make_again(self, tensor: _Tensor) -> None:
        base, view = tensor.base, tensor.view
        assert base is not None
        assert view is not None
        step = view.step
        names: list[str | None] = [self._unique(str(name)) for name in step.outputs]
        for name, kind in zip(names, view.kinds, strict=True):
            self._kinds[str(name)] = kind
        arguments = {**step.arguments, source_of(step): Value(base.name)}
        self._append(step.target, arguments, names, is_optional=True)
        for output, name in zip(step.outputs, names, strict=True):
            other = self._tensors.get(str(output))
            if other is not None and other.view is not None and other.view.step is step:
                other.name, other.version = str(name), base.version

    def _unique(self, name: str) -> str:
        number, found = 1, f"{name}@1"
        while found in self._taken:
            number += 1
            found = f"{name}@{number}"
        self._taken.add(found)
        return found

    def _append(
        self,
        target: str,
        arguments: dict[str, Any],
        outputs: list[str | None],
        is_optional: bool,
    ) -> None:
        around = self._step
        step = Step(target, arguments, outputs, around.scopes, around.code)
        self._steps.append(step)
        if is_optional:
            self._optional.add(id(step))

    def _add(self, target: str, like: Kind | None, /, **arguments: Any) -> Value:
        name = self._unique(target.split(".")[1])
        self._kinds[name] = like or Kind(None)
        self._append(target, arguments, [name], is_optional=True)
        return Value(name)

    def _refuse(self, why: str) -> NoReturn:
        step = self._step
        path = step.scopes[-1].path if step.scopes else ""
        where = f"{path}/{step.op}" if path else step.op or "the output"
        raise GraphError(f"{where!r} {why}. {INSTEAD}")

    def _read_step(self, step: Step) -> None:
        written = self._written(step)
        if written is not None and step.op in RESHAPING:
            arguments = dict(step.arguments)
            arguments.pop("requires_grad", None)
            target = f"aten.{RESHAPING[step.op]}"
            if step.op == "squeeze_":  # The only one with several overloads.
                target = written.target
            self._read_view(
                Step(target, arguments, step.outputs, step.scopes, step.code)
            )
            changed = self._tensor(str(step.outputs[0]))
            self._tensors[step.arguments["self"].name] = changed
        elif written is not None:
            self._write_step(step, written)
        else:
            self._read_view(step)

    def _written(self, step: Step) -> _Written | None:
        """Returns what an op writes, if it writes to an argument."""
        namespace, _, rest = step.target.partition(".")
        name, _, overload = rest.partition(".")
        if namespace == "operator" and name == "setitem":
            self._refuse("writes to a part of a tensor that is not known")
        if namespace == "operator" and name in _AUGMENTED:
            return _Written("0", f"operator.{name[1:]}")
        if namespace in ("operator", "math", "torch", "higher_order"):
            return None
        if (
            name in REFUSED
            or f"{name}.{overload}" in REFUSED_OVERLOADS
            or (namespace != "aten" and (name.endswith("_") or _is_out(overload)))
        ):
            self._refuse("writes in place, which is not followed")
        if _is_out(overload):
            if not isinstance(step.arguments.get("out"), Value):
                self._refuse("writes to several tensors, which is not followed")
            other = overload.removeprefix("out").removesuffix("out").strip("_")
            return _Written("out", f"aten.{name}.{other or 'default'}")
        if not name.endswith("_"):
            return None
        operator = re.fullmatch(r"__(i?)(\w+?)__", name)
        if operator is not None and not operator[1]:
            return None
        if not isinstance(step.arguments.get("self"), Value):
            self._refuse("writes in place to several tensors, which is not followed")
        plain = name[:-1] if operator is None else f"__{operator[2]}__"
        return _Written("self", f"aten.{plain}.{overload}")

    def _write_step(self, step: Step, written: _Written) -> None:
        value = step.arguments[written.argument]
        tensor = self._tensor(value.name)
        arguments = dict(step.arguments)
        if written.argument == "out":
            del arguments["out"]
        if step.op in _DROPOUTS:
            arguments = {"input": arguments.pop("self"), **arguments}
        output = str(step.outputs[0])
        sources = [*values_in([arguments.get("src")])]
        if step.op == "copy_" and sources:
            source = self._tensor(sources[0])
            if source.storage is tensor.storage and source.path() == tensor.path():
                self._now(value)
                self._tensors[output] = tensor
                return
        resolved = {k: replaced(a, self._now) for k, a in arguments.items()}
        self._append(written.target, resolved, list(step.outputs), is_optional=False)
        if self._is_number(value):
            return
        if written.argument == "out":
            out, result = (self._kinds.get(n, Kind(None)) for n in (value.name, output))
            if out.sizes is None or out.sizes != result.sizes:
                self._refuse("writes to a tensor of another size")
            if tensor.storage.lost:
                self._refuse(f"writes to {value.name!r}, but {tensor.storage.lost}")
        self._write(tensor, output)
        self._tensors[output] = tensor

    def _is_number(self, value: Value) -> bool:
        kind = self._kinds.get(value.name, Kind(None))
        return kind.strides is None and kind.dtype in _NUMBERS

    def _write(self, tensor: _Tensor, name: str) -> None:
        """Gives a tensor a new value, and all tensors that it is a view of."""
        self._refresh(tensor)
        value = Value(name)
        changed = [(tensor, name)]
        below = tensor
        while below.base is not None and below.view is not None:
            view, base = below.view, below.base
            try:
                inverse = INVERSES[view.step.op]
                value = inverse(view, Value(base.name), value, self._add)
            except Unknown as error:
                self._refuse(
                    f"writes in place to the result of {view.step.op!r}, which is a "
                    f"view that cannot be written to: {error}"
                )
            changed.append((base, value.name))
            below = base
        storage = tensor.storage
        storage.version += 1
        for part, new in changed:
            part.name, part.version = new, storage.version
        self._lose(storage)

    def _lose(self, written: _Storage) -> None:
        """Marks what may share the memory that was written to."""
        seen, left = {id(written)}, [written]
        while left:
            for other, op in left.pop().perhaps:
                if id(other) not in seen:
                    seen.add(id(other))
                    left.append(other)
                    other.lost = other.lost or (
                        f"{self._step.op!r} wrote to a tensor that may share its "
                        f"memory: whether {op!r} copies is not known"
                    )

    def _read_view(self, step: Step) -> None:
        """Adds an op that does not write, and notes what its results share."""
        flag, statistics = STATISTICS.get(step.op, ("", ()))
        if statistics and flag and step.arguments.get(flag) is False:
            statistics = ()
        resolve = self._first if step.op in _SHAPES else self._now
        arguments = {
            name: replaced(a, self._first if name in statistics else resolve)
            for name, a in step.arguments.items()
        }
        new = Step(step.target, arguments, step.outputs, step.scopes, step.code)
        self._steps.append(new)
        found = shared(step, self._kinds)
        if found is not None and found.is_certain:
            self._add_views(new, self._tensor(found.sources[0]))
            if not self._read.isdisjoint(step.outputs):
                self._optional.add(id(new))
        elif found is not None:
            sources = [self._tensor(name).storage for name in found.sources]
            for output in step.outputs:
                storage = self._tensor(str(output)).storage
                for source in sources:
                    storage.perhaps.append((source, step.op))
                    source.perhaps.append((storage, step.op))
        for name in statistics:
            for read in values_in([step.arguments.get(name)]):
                storage = self._tensor(read).storage
                storage.lost = f"{step.op!r} has written its statistics there"
        for name in _written_elsewhere(step, self._kinds):
            for read in values_in([step.arguments.get(name)]):
                storage = self._tensor(read).storage
                storage.lost = f"{step.op!r} may have written there"
                self._lose(storage)

    def _add_views(self, step: Step, base: _Tensor) -> None:
        kinds = [self._kinds.get(name or "", Kind(None)) for name in step.outputs]
        below = self._kinds.get(base.origin, Kind(None))
        for number, name in enumerate(step.outputs):
            view = View(step, number, below, kinds)
            self._tensors[str(name)] = _Tensor(base.storage, str(name), base, view)


def _results(program: Program) -> Iterator[str]:
    """Yields the names of the results of a program, and of its modules."""
    for results in (program.outputs, *(part for _, part in program.calls.values())):
        yield from values_in(value for _, value in results)


def _last_steps(program: Program) -> dict[str, int]:
    """Returns the index of the last step of each call whose results are recorded."""
    found = {}
    for index, step in enumerate(program.steps):
        for scope in step.scopes:
            if scope.call in program.calls:
                found[scope.call] = index
    return found
