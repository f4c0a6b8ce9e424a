"""Computes values of a program with PyTorch, one ATen op after another.

Programs are run as PyTorch recorded them: ops in place change their tensors. A program
may come from a file, so only ops of PyTorch's own registry and a few functions for
sizes are called.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.alone import ALONE
from receptive_field.frameworks.torch.program import (
    Program,
    Step,
    Value,
    replaced,
)

WIDE = {
    "float16": "float64",
    "bfloat16": "float64",
    "float32": "float64",
    "complex32": "complex128",
    "complex64": "complex128",
}
"""Data type -> the one that takes its place in double precision."""

_TRAINING = {
    "alpha_dropout": "train",
    "batch_norm": "training",
    "cudnn_batch_norm": "training",
    "dropout": "train",
    "feature_alpha_dropout": "train",
    "feature_dropout": "train",
    "miopen_batch_norm": "training",
    "native_batch_norm": "training",
    "native_dropout": "train",
    "_native_batch_norm_legit": "training",
    "_native_batch_norm_legit_functional": "training",
}
"""Op -> the argument that says whether it runs as in training."""

_REFUSED = frozenset({"from_file", "save", "_save"})
"""ATen ops that read or write files."""

_PLAIN = (
    "add and_ eq floordiv ge getitem gt le lt mod mul ne neg not_ or_ pow sub truediv"
)


def _plain_functions(torch: Any) -> Mapping[str, Callable[..., Any]]:
    """Returns the functions of sizes that a program may call, by target."""
    found: dict[str, Callable[..., Any]] = {
        f"operator.{name}": getattr(operator, name) for name in _PLAIN.split()
    }
    found |= {f"math.{name}": getattr(math, name) for name in ("ceil", "floor")}
    for name in ("sym_float", "sym_int", "sym_ite", "sym_max", "sym_min", "sym_not"):
        found[f"torch.{name}"] = getattr(torch, name)
    return found | {"math.trunc": math.trunc, "builtins.round": round}


@lru_cache(maxsize=4096)
def function_of(target: str) -> Any:
    """Returns what the target of a step calls, or None if it is not known."""
    torch = import_module("torch")
    plain = _plain_functions(torch)
    if target in plain:
        return plain[target]
    namespace, _, rest = target.partition(".")
    name, _, overload = rest.partition(".")
    if namespace == "higher_order" or (namespace == "aten" and name in _REFUSED):
        return None
    packet = getattr(getattr(torch.ops, namespace, None), name, None)
    found = getattr(packet, overload or "default", None)
    return found if hasattr(found, "_schema") else None


def is_mutable(step: Step) -> bool:
    """Returns whether a step, or a program inside of it, changes a tensor in place."""
    schema = getattr(function_of(step.target), "_schema", None)
    inner = [a for a in step.arguments.values() if isinstance(a, Program)]
    return bool(schema is not None and schema.is_mutable) or any(
        is_mutable(below) for program in inner for below in program.steps
    )


def is_view(step: Step) -> bool:
    """Returns whether a result of a step may share its memory with an argument."""
    schema = getattr(function_of(step.target), "_schema", None)
    return schema is None or any(r.alias_info is not None for r in schema.returns)


class _Memory:
    """Sets of values that share their memory."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Returns the name of one of the values that share the memory of a value."""
        above = self._above
        while above.get(name, name) != name:
            above[name] = above.get(above[name], above[name])
            name = above[name]
        return name

    def join(self, names: Iterable[str]) -> None:
        """States that values share their memory."""
        first, *others = map(self.of, names)
        for other in others:
            self._above[other] = first


class Evaluator:
    """Computes some values of a program from others.

    Only steps that the wanted values need are run, and values are given up after their
    last use. Ops that differ in training run as in inference.
    """

    def __init__(
        self,
        program: Program,
        given: Sequence[str],
        wanted: Sequence[str],
        *,
        weight: Callable[[str], Any],
        double: bool,
        device: Any = "cpu",
    ) -> None:
        """Chooses the steps to run.

        Args:
          program: the program.
          given: the names of the values that are given; they need not be inputs.
          wanted: the names of the values to compute.
          weight: returns the tensor of a weight, by its name in the program.
          double: whether to compute in double precision.
          device: where ops that make tensors put them.

        Raises:
          GraphError: if a value depends on an input that is not given, or if values
            that share their memory are changed in a way that the given value hides.
        """
        self._torch: Any = import_module("torch")
        self._double, self._device, self._weight = double, device, weight
        self._program = program
        self.wanted = list(wanted)
        """The names of the values to compute."""
        self._makers = {
            name: number
            for number, step in enumerate(program.steps)
            for name in step.outputs
            if name is not None
        }
        self._given = set(given)
        self._steps = self._chosen()
        self._changes = any(is_mutable(program.steps[n]) for n in self._steps)
        for name in given:
            self._check_memory(name)
        self._last = {
            name: number for number in self._steps for name in self._reads(number)
        }
        made = {*self._makers, *self._given}
        self.reads = {*self._last, *self.wanted}
        """The names of the values that are read."""
        weights = [name for name in program.weights if name in self.reads - made]
        self._weights = weights
        self._kept: dict[str, Any] = {}
        missing = [name for name in program.inputs if name in self.reads - self._given]
        if missing:
            raise GraphError(f"the network also reads the input {missing[0]!r}.")

    def _reads(self, number: int) -> Iterator[str]:
        return self._program.steps[number].reads()

    def _chosen(self) -> list[int]:
        """Returns the numbers of the steps that are needed, in order.

        What changes a tensor in place may be needed although nothing reads its result.
        """
        steps = self._program.steps
        chosen: set[int] = set()
        read: set[str] = set()  # The memory that is read.
        waiting = list(self.wanted)
        end = max((self._makers.get(name, -1) for name in waiting), default=-1)
        changing = [n for n in range(end) if is_mutable(steps[n])]
        memory = self._memory(self._given) if changing else _Memory()
        while waiting:
            while waiting:
                name = waiting.pop()
                read.add(memory.of(name))
                number = self._makers.get(name, -1)
                if name in self._given or number < 0 or number in chosen:
                    continue
                chosen.add(number)
                waiting += steps[number].reads()
            for number in changing:
                changed = set(map(memory.of, steps[number].reads()))
                if number not in chosen and changed & read:
                    chosen.add(number)
                    waiting += steps[number].reads()
        return sorted(chosen)

    def _memory(self, apart: Set[str]) -> _Memory:
        """Returns which values share their memory.

        Args:
          apart: names of values that are in memory of their own when they are made.
        """
        found = _Memory()
        for step in self._program.steps:
            if is_view(step):
                names = {name for name in step.outputs if name is not None} - apart
                found.join([*names, *step.reads()])
        return found

    def _check_memory(self, given: str) -> None:
        """Makes sure that no other value shows changes of the given one.

        The given value takes the place of a result. If that result shares its memory
        with values that it is not the source of, and one of them changes in place, the
        others would not follow.
        """
        start = self._makers.get(given)
        steps = self._program.steps
        if start is None or not is_view(steps[start]):
            return
        memory, whole = self._memory({given}), self._memory(set())
        read = {n for later in self._steps if later > start for n in self._reads(later)}
        shared = {
            name
            for name in read.union(self.wanted)
            if whole.of(name) == whole.of(given)
        }
        end = max(self._steps, default=-1)
        changing = [
            number
            for number in range(start, end + 1)
            if is_mutable(steps[number])
            and whole.of(given) in map(whole.of, steps[number].reads())
        ]
        if changing and any(memory.of(name) != memory.of(given) for name in shared):
            raise GraphError(
                f"{given!r} shares its memory with other tensors that are changed in "
                "place, so it cannot be replaced. Measure from another tensor (input=)."
            )

    def keep_weights(self) -> None:
        """Keeps the weights for the next runs."""
        self._kept = {name: self._weight(name) for name in self._weights}

    def __call__(self, given: Mapping[str, Any]) -> list[Any]:
        """Returns the wanted values."""
        values = dict(given)
        for name in self._weights:
            value = self._kept.get(name)
            value = self._weight(name) if value is None else value
            values[name] = value.clone() if self._changes else value
        found: dict[str, Any] = {n: values[n] for n in self.wanted if n in values}
        for number in self._steps:
            step = self._program.steps[number]
            result = self.call(step, lambda value: values[value.name])
            parts = result if isinstance(result, (list, tuple)) else [result]
            for made, part in zip(step.outputs, parts, strict=False):
                if made is None or made in given:
                    continue
                if made in self.wanted:
                    # It may change in place later on.
                    keeps = self._changes and hasattr(part, "clone")
                    found[made] = part.clone() if keeps else part
                if made in self._last:
                    values[made] = part
            for name in {*step.reads()}:
                if self._last[name] == number:
                    del values[name]
        return [found[name] for name in self.wanted]

    def call(self, step: Step, read: Callable[[Value], Any]) -> Any:
        """Returns the result of a step.

        Raises:
          GraphError: if there is no such op.
        """
        if step.target.startswith("higher_order."):
            return self._call_higher_order(step, read)
        function = function_of(step.target)
        if function is None:
            raise GraphError(f"PyTorch has no op {step.target!r} that can be run here.")
        given = {k: replaced(a, read) for k, a in step.arguments.items()}
        schema = getattr(function, "_schema", None)
        if schema is None:
            return function(*given.values())
        switch = _TRAINING.get(step.op)
        if switch in given and given.get("running_mean", 0) is not None:
            given[switch] = False
        positional, named, is_gap = [], {}, False
        for argument in schema.arguments:
            is_gap = is_gap or argument.kwarg_only or argument.name not in given
            if argument.name in given:
                value = self._as(given[argument.name], argument.real_type)
                if is_gap:
                    named[argument.name] = value
                else:
                    positional.append(value)
        return function(*positional, **named)

    def _as(self, value: Any, kind: Any) -> Any:
        """Returns an argument as a type of a schema."""
        text = str(kind)
        if "Device" in text:
            return None if value is None else self._torch.device(self._device)
        if not isinstance(value, str):
            return value
        if "ScalarType" in text:
            wide = WIDE.get(value, value) if self._double else value
            return getattr(self._torch, wide)
        if "Layout" in text or "MemoryFormat" in text:
            return getattr(self._torch, value)
        return value

    # --- Control flow ----------------------------------------------------------------

    def _call_higher_order(self, step: Step, read: Callable[[Value], Any]) -> Any:
        kind = step.op.removeprefix("higher_order.")
        given: list[Any] = [
            a if isinstance(a, Program) else replaced(a, read)
            for a in step.arguments.values()
        ]
        if kind == "cond":
            condition, then, otherwise, operands = given
            return self._run(then if bool(condition) else otherwise, operands)
        if kind == "wrap_with_set_grad_enabled":
            enabled, program, *operands = given
            with self._torch.set_grad_enabled(enabled):
                return self._run(program, operands)
        if kind == "wrap_with_autocast":
            *_, program = [a for a in given[:5] if isinstance(a, Program)]
            return self._run(program, given[given.index(program) + 1 :])
        if kind == "while_loop":
            condition, body, carried, others = given
            carried = list(carried)
            while bool(self._run(condition, [*carried, *others])[0]):
                carried = self._run(body, [*carried, *others])
            return carried
        raise GraphError(f"experiments cannot run {step.op!r}.")

    def _run(self, program: Program, operands: Sequence[Any]) -> list[Any]:
        """Returns the results of a program inside of a step."""
        given = dict(zip(program.inputs, operands, strict=True))
        names = [v.name for _, v in program.outputs if isinstance(v, Value)]

        def weight(name: str) -> Any:
            held = program.weights[name].tensor
            if held is None:
                raise GraphError(f"the constant {name!r} has no values.")
            return to_device(held(), self._device, self._double)

        inner = Evaluator(
            program,
            list(given),
            names,
            weight=weight,
            double=self._double,
            device=self._device,
        )
        return inner(given)


def to_device(tensor: Any, device: Any, double: bool) -> Any:
    """Returns a tensor without a gradient, on a device."""
    torch = import_module("torch")
    found = tensor.detach().to(device)
    name = str(found.dtype).rpartition(".")[2]
    return found.to(getattr(torch, WIDE.get(name, name))) if double else found


@contextmanager
def repeatable(double: bool) -> Iterator[None]:
    """Makes PyTorch compute one thing in one way, and leaves it as it was.

    On one thread, an output that does not depend on a position is computed in the same
    way, bit by bit, if that position changes. Random numbers are the same in every run.
    """
    torch = import_module("torch")
    with ALONE.held(), torch.random.fork_rng(devices=[]):
        threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
        torch.default_generator.manual_seed(0)
        torch.set_num_threads(1)
        if double:
            torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)
