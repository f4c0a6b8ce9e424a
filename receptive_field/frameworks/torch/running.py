"""Runs programs with PyTorch, with weights for experiments."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.torch.definitions import Read
from receptive_field.frameworks.torch.evaluate import (
    WIDE,
    Evaluator,
    function_of,
    repeatable,
    to_device,
)
from receptive_field.frameworks.torch.in_place import functional
from receptive_field.frameworks.torch.program import Kind, Program, Step, Value, Weight
from receptive_field.frameworks.torch.weights import network_scales, weight_scale
from receptive_field.frameworks.torch.writing_out import written_out
from receptive_field.frameworks.weights import Between
from receptive_field.graph.graph import Node, Tensor
from receptive_field.graph.model import Model
from receptive_field.graph.runner import Computation
from receptive_field.rules.op import Call


class TorchRunner:
    """Runs programs of ATen ops; see `graph.runner.Runner`."""

    def __init__(self) -> None:
        """Imports PyTorch.

        Raises:
          GraphError: if PyTorch is not installed.
        """
        try:
            self._torch = import_module("torch")
        except ImportError:
            raise GraphError(
                "a measurement runs the network with PyTorch, which is not installed: "
                "run pip install torch"
            ) from None

    def network(
        self,
        model: Model,
        network: Between,
        outputs: Sequence[Tensor],
        shape: Sequence[int],
    ) -> Computation:
        """Returns a computation of the outputs from an image of this shape."""
        start = value_name(model, network.input)
        names = [value_name(model, output) for output in outputs]
        program = program_with(model, [start, *names])
        check_sizes(program, start, shape)
        others = other_inputs(program, start)
        scales = network_scales(network)
        weight = partial(_made_up, self._torch, program, scales)
        evaluator = Evaluator(
            program, [start, *others], names, weight=weight, double=True
        )
        given = {
            name: self._other_input(network, program, name, scales.get(name))
            for name in others
            if name in evaluator.reads
        }
        with failing("the network"):
            evaluator.keep_weights()
        dtype = self.dtype_of(program.kinds.get(start), True)
        run = partial(self._values, evaluator, start, given, dtype)
        return Computation(
            run, dtype, partial(self._gradient, evaluator, start, given, dtype)
        )

    def _other_input(
        self, network: Between, program: Program, name: str, scale: float | None
    ) -> Any:
        """Returns a random value of an input that is not disturbed."""
        graph = network.graph
        nodes = (n for n in graph.framework.placeholders(graph))
        index = next(n.index for n in nodes if n.definition.values[0] == name)
        shape = list(network.shape((index, 0)) or [])
        if shape and not isinstance(shape[0], int):
            shape[0] = 1  # The batch.
        if not all(isinstance(size, int) for size in shape):
            raise GraphError(
                f"the network also reads the input {name!r}, whose size is unknown, so "
                "it cannot be run."
            )
        dtype = self.dtype_of(program.kinds.get(name), True)
        random = np.random.default_rng(index).uniform(0.5, 1.5, shape)  # type: ignore[arg-type]
        values = random * (1.0 if scale is None else scale)
        values = values if dtype.kind in "fc" else np.ones_like(values)
        return self._torch.from_numpy(values.astype(dtype))

    def dtype_of(self, kind: Kind | None, double: bool) -> np.dtype[Any]:
        """Returns the data type of an image.

        Raises:
          GraphError: if the data type is unknown, or NumPy does not have it.
        """
        name = "" if kind is None else kind.dtype
        name = WIDE.get(name, name) if double else name
        try:
            return np.dtype(name or None)
        except TypeError:
            raise GraphError(f"images cannot have the data type {name!r}.") from None

    def _values(
        self,
        evaluator: Evaluator,
        start: str,
        given: Mapping[str, Any],
        dtype: np.dtype[Any],
        image: Any,
    ) -> list[NDArray[Any]]:
        with failing("the network"), self._torch.no_grad(), repeatable(True):
            tensor = self._torch.from_numpy(np.array(image, dtype))
            found = evaluator({start: tensor, **given})
            for name, output in zip(evaluator.wanted, found, strict=True):
                if not hasattr(output, "numpy"):
                    raise GraphError(f"the output {name!r} is not a tensor.")
            return [output.resolve_conj().numpy() for output in found]

    def _gradient(
        self,
        evaluator: Evaluator,
        start: str,
        given: Mapping[str, Any],
        dtype: np.dtype[Any],
        image: Any,
        factors: Sequence[Any],
    ) -> Any:
        torch = self._torch
        try:
            with repeatable(True), torch.enable_grad():
                leaf = torch.from_numpy(np.array(image, dtype)).requires_grad_()
                found = evaluator({start: leaf.clone(), **given})
                total = sum(
                    (output * torch.from_numpy(np.asarray(factor))).sum()
                    for output, factor in zip(found, factors, strict=True)
                )
                (gradient,) = torch.autograd.grad(total, [leaf])
                return gradient.numpy()
        except Exception:
            # A gradient can fail in as many ways as there are ops. It is not needed.
            return None

    def runs(self, node: Node) -> bool:
        """Returns whether PyTorch can run this node as a single op."""
        return function_of(node.definition.target) is not None

    def reads(self, node: Node, number: int) -> bool:
        """Returns whether the op reads this input in an experiment: always."""
        return True

    def scale(self, call: Call) -> float | None:
        """Returns the scale to give weights that reach features through this call."""
        return weight_scale(call, -1)

    def alone(
        self, node: Node, number: int, given: Callable[[int, Tensor, str], Any]
    ) -> _Alone:
        """Returns the op of a node in a form that runs by itself."""
        return _Alone(self, node, number, given)


class _Alone:
    """A node in a program of its own; see `graph.runner.Alone`."""

    def __init__(
        self,
        runner: TorchRunner,
        node: Node,
        fed: int,
        given: Callable[[int, Tensor, str], Any],
    ) -> None:
        torch = import_module("torch")
        definition = node.definition
        self._arrays: dict[str, Any] = {}
        self._kind: Kind | None = None
        for number, (index, output) in enumerate(node.inputs):
            kind = node.graph.nodes[index].definition.kinds[output]
            if number == fed:
                self._kind = kind
                continue
            dtype = _numbers(kind)
            array = np.asarray(given(number, (index, output), dtype.kind))
            self._arrays[f"input_{number}"] = array.astype(dtype)
        self._runner, self._start = runner, f"input_{fed}"
        arguments = {k: _unread(a) for k, a in definition.arguments.items()}
        outputs: list[str | None] = [
            f"output_{n}" for n in range(len(definition.kinds))
        ]
        step = Step(definition.target, arguments, outputs)
        self._program = Program([step], [self._start, *self._arrays], [])
        self._numbers = {
            f"input_{number}"
            for number, (index, output) in enumerate(node.inputs)
            if _is_number(node.graph.nodes[index].definition.kinds[output])
        }
        self._torch = torch
        values = [
            (name, array.shape, hashlib.sha256(array.tobytes()).digest())
            for name, array in self._arrays.items()
        ]
        self.content: bytes = repr((step.target, arguments, values)).encode()

    def computations(
        self, output: int, shape: Sequence[int]
    ) -> Iterator[Callable[[], Computation]]:
        """Yields ways to compute an output: in double precision and in the op's own."""
        for double in (True, False):
            yield partial(self._compute, output, double)

    def _compute(self, output: int, double: bool) -> Computation:
        torch = self._torch
        name = f"output_{output}"
        evaluator = Evaluator(
            self._program,
            self._program.inputs,
            [name],
            weight=self._arrays.__getitem__,
            double=double,
        )
        given = {
            name: array.item()
            if name in self._numbers and array.size == 1
            else to_device(torch.from_numpy(array), "cpu", double)
            for name, array in self._arrays.items()
        }
        dtype = self._runner.dtype_of(self._kind, double)

        def run(image: Any) -> list[Any]:
            with failing("the node"), torch.no_grad(), repeatable(double):
                tensor = torch.from_numpy(np.array(image, dtype))
                copies = {
                    name: value.clone() if hasattr(value, "clone") else value
                    for name, value in given.items()
                }
                (found,) = evaluator({**copies, self._start: tensor})
                if not hasattr(found, "numpy"):
                    raise GraphError("the output is not a tensor.")
                return [found.resolve_conj().numpy()]

        return Computation(run, dtype, lambda image, factors: None)


def _unread(argument: Any) -> Any:
    """Returns an argument of a definition in the form that programs have."""
    if isinstance(argument, Read):
        return Value(f"input_{argument.number}")
    if isinstance(argument, list):
        return [_unread(part) for part in argument]
    return argument


def _is_number(kind: Kind | None) -> bool:
    """Returns whether a value is a number of Python, such as a size."""
    return kind is not None and kind.dtype in ("SymInt", "SymFloat", "int", "float")


def _numbers(kind: Kind | None) -> np.dtype[Any]:
    """Returns the data type of NumPy that holds a value."""
    name = "" if kind is None else kind.dtype
    name = {"SymInt": "int64", "SymFloat": "float64"}.get(name, name)
    try:
        return np.dtype(WIDE.get(name, name))
    except TypeError:
        raise GraphError(f"NumPy has no data type {name!r}") from None


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Turns PyTorch's errors into a `GraphError`. They have no common class."""
    try:
        yield
    except GraphError:
        raise
    except Exception as error:
        raise GraphError(f"PyTorch cannot run {what}: {quoted(error)}") from error


def value_name(model: Model, tensor: Tensor) -> str:
    """Returns the name of a tensor in the program."""
    node = model.graph.nodes[tensor[0]]
    return node.definition.values[tensor[1]] or ""


def program_with(model: Model, names: Sequence[str]) -> Program:
    """Returns a program that computes some values.

    It is the program that was recorded, with ops that write in place, or, if one of
    the values is what such an op writes, the program in which they have a meaning
    without writing.

    Raises:
      GraphError: if there is no such program.
    """
    recorded: Program = model.definition.program()
    program = recorded if _has(recorded, names) else functional(written_out(recorded))
    if not _has(program, names):
        raise GraphError(
            f"not all of {', '.join(map(repr, names))} are tensors of the program that "
            "PyTorch runs. They may be inside a branch or a loop. Measure others."
        )
    if len({*names}) < len(names):
        raise GraphError(f"the input and the output are both {names[0]!r}.")
    return program


def _has(program: Program, names: Sequence[str]) -> bool:
    outputs = (name for step in program.steps for name in step.outputs)
    return {*outputs, *program.inputs, *program.weights}.issuperset(names)


def check_sizes(program: Program, name: str, shape: Sequence[int]) -> None:
    """Raises a GraphError if the program was recorded for another size of a value."""
    kind = program.kinds.get(name)
    if kind is None or kind.sizes is None:
        return
    stated = kind.sizes
    pairs = zip(stated, shape, strict=False)
    differ = any(isinstance(one, int) and one != two for one, two in pairs)
    if differ or len(stated) != len(shape):
        raise GraphError(
            f"the program was exported for {name!r} of shape {_text(stated)}, and can "
            f"only be run at it, not at {_text(shape)}. Export the module with an "
            "input of that size."
        )


def _text(sizes: Sequence[Any]) -> str:
    return "[" + ", ".join("?" if s is None else str(s) for s in sizes) + "]"


def other_inputs(program: Program, start: str) -> list[str]:
    """Returns the names of all inputs of a program but one."""
    return [name for name in program.inputs if name != start]


def held(weight: Weight, device: Any, double: bool) -> Any:
    """Returns the real values of a weight, or None if it has none."""
    if weight.tensor is not None:
        return to_device(weight.tensor(), device, double)
    if weight.values is None:
        return None
    torch = import_module("torch")
    return to_device(torch.from_numpy(np.array(weight.values())), device, double)


def _made_up(
    torch: Any, program: Program, scales: Mapping[str, float | None], name: str
) -> Any:
    """Returns random positive numbers for a weight; others keep their values.

    Raises:
      GraphError: if integers or booleans are not known.
    """
    weight, kind = program.weights[name], program.kinds.get(name)
    sizes = [] if kind is None or kind.sizes is None else list(kind.sizes)
    dtype = "float32" if kind is None else kind.dtype
    scale = scales.get(name)
    if dtype in WIDE or dtype == "float64":
        own = held(weight, "cpu", True)
        is_free = weight.kind == "parameter" or own is None
        count = math.prod(size for size in sizes if isinstance(size, int))
        if is_free or (scale is not None and count > 1):
            number = list(program.weights).index(name)
            random = np.random.default_rng(number).uniform(0.5, 1.5, sizes)  # type: ignore[arg-type]
            scaled = np.asarray(random * (1.0 if scale is None else scale))
            wide = getattr(torch, WIDE.get(dtype, dtype))
            return torch.from_numpy(scaled).to(wide)
        return own
    own = held(weight, "cpu", True)
    if own is None:
        raise GraphError(f"the values of {weight.path!r} are not known.")
    return own
