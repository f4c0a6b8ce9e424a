"""Makes programs of objects of PyTorch: exported programs and modules of fx."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from typing import Any

from receptive_field.errors import GraphError
from receptive_field.frameworks.torch.program import (
    FLOATS,
    MOST_NUMBERS,
    MOST_VALUES,
    Kind,
    Program,
    Scope,
    Step,
    Value,
    Weight,
    keys_in,
    labels,
)


def of_exported(exported: Any, values: Mapping[str, Any] | None = None) -> Program:
    """Returns the program of a ``torch.export.ExportedProgram``.

    Args:
      exported: the exported program.
      values: path of a buffer or constant -> the tensor that holds its values, where
        the exported program has none.
    """
    reader = _Reader(exported.graph_module)
    program, named = reader.program, reader.names
    signature = exported.graph_signature
    weights = {}
    inputs = []
    for spec in signature.input_specs:
        name = getattr(spec.arg, "name", None)
        kind = spec.kind.name.lower()
        if name is None:
            continue
        if kind == "user_input":
            inputs.append(name)
            continue
        held: Any = (values or {}).get(spec.target)
        if held is None:
            held = exported.state_dict.get(spec.target)
        if held is None:
            held = exported.constants.get(spec.target)
        kind = {"constant_tensor": "constant"}.get(kind, kind)
        weights[name] = Weight(
            kind, spec.target, _values_of(held, kind), _tensor_of(held)
        )
    spec = _nested(exported.call_spec.out_spec)
    returned = [
        _returned(output.arg, named)
        for output in signature.output_specs
        if output.kind.name == "USER_OUTPUT"
    ]
    names = list(labels(spec)) if spec is not None else [""]
    program.inputs = inputs
    program.outputs = list(zip(names, returned, strict=True))
    program.weights |= weights
    program.calls = {
        entry.fqn: (
            entry.fqn.partition("@")[0],
            [
                (label, _returned(argument, named))
                for label, argument in zip(
                    labels(_nested(entry.signature.out_spec)),
                    entry.signature.outputs,
                    strict=True,
                )
            ],
        )
        for entry in exported.module_call_graph
        if entry.signature is not None and entry.fqn
    }
    return program


def of_graph_module(module: Any) -> Program:
    """Returns the program of a ``torch.fx.GraphModule`` of ATen ops with shapes."""
    reader = _Reader(module)
    names = labels(_literal(reader.returned))
    leaves = [
        reader.value(leaf.name) if hasattr(leaf, "name") else None
        for leaf in _leaves(reader.returned)
    ]
    reader.program.outputs = list(zip(names, leaves, strict=True))
    return reader.program


def _returned(argument: Any, names: Mapping[str, str]) -> Value | None:
    """Returns the value that an argument of PyTorch's export stands for."""
    name: str = getattr(argument, "name", None) or ""
    return Value(names[name]) if name in names else None


def _literal(value: Any) -> Any:
    """Returns nested results of a graph as a spec; see `labels`."""
    if isinstance(value, Mapping):
        return {key: _literal(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_literal(part) for part in value]
    return None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _nested(spec: Any) -> Any:
    """Returns a tree spec of PyTorch in the form that `labels` takes."""
    if spec is None or spec.is_leaf():
        return None
    parts = [_nested(child) for child in spec.children()]
    context = getattr(spec.context, "_fields", spec.context)
    keys = keys_in(context, len(parts))
    return parts if keys is None else dict(zip(keys, parts, strict=True))


def _values_of(held: Any, kind: str = "constant") -> Any:
    """Returns a function that returns the values of a tensor that may be read, or None.

    Those are integers, booleans, and floating-point numbers that are no parameters.
    """
    if held is None or not hasattr(held, "dtype") or held.is_meta:
        return None
    most = MOST_VALUES
    if held.dtype.is_floating_point or held.dtype.is_complex:
        is_read = kind != "parameter" and str(held.dtype).rpartition(".")[2] in FLOATS
        most = MOST_NUMBERS if is_read else -1
    if type(held).__name__ == "FakeTensor" or math.prod(held.shape) > most:
        return None
    return lambda: held.detach().cpu().numpy()


def _tensor_of(held: Any) -> Any:
    """Returns a function that returns a tensor, or None if it has no values."""
    is_fake = held is None or type(held).__name__ == "FakeTensor"
    if is_fake or not hasattr(held, "dtype") or held.is_meta:
        return None
    return lambda: held


class _Reader:
    """Reads the graph of a ``torch.fx.GraphModule``.

    Attributes:
      program: the steps, with the placeholders as inputs.
      names: name of a node of fx -> the value that it stands for.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.program = Program([], [], [])
        self.names: dict[str, str] = {}
        self.returned: Any = None
        for node in module.graph.nodes:
            self.names[node.name] = node.name
            if node.op == "placeholder":
                self.program.inputs.append(node.name)
                self.program.kinds[node.name] = _kind(node.meta.get("val"))
            elif node.op == "get_attr":
                self._read_attribute(node)
            elif node.op == "call_function":
                self._read_call(node)
            elif node.op == "output":
                self.returned = node.args[0]
            else:
                raise GraphError(
                    f"the graph of {type(module).__name__} calls {node.target!r} as a "
                    f"{node.op.removeprefix('call_')}, not as an op of ATen. Give the "
                    "module itself, or what torch.export.export returns."
                )

    def value(self, name: str) -> Value:
        """Returns the value that a node of fx stands for."""
        return Value(self.names[name])

    def _read_attribute(self, node: Any) -> None:
        held: Any = self.module
        for part in str(node.target).split("."):
            held = getattr(held, part)
        if not hasattr(held, "graph"):  # Graphs of control flow are read where used.
            self.program.weights[node.name] = Weight(
                "constant", str(node.target), _values_of(held), _tensor_of(held)
            )
            self.program.kinds[node.name] = _kind(node.meta.get("val", held))

    def _read_call(self, node: Any) -> None:
        result = node.meta.get("val")
        source: Any = node.args[0] if node.args else None
        if node.target is operator.getitem and _is_of_several(source):
            self.names[node.name] = f"{self.names[source.name]}#{node.args[1]}"
            return
        parts = result if isinstance(result, (list, tuple)) else [result]
        outputs = [node.name]
        if isinstance(result, (list, tuple)):
            outputs = [f"{node.name}#{number}" for number in range(len(parts))]
        for output, part in zip(outputs, parts, strict=True):
            self.program.kinds[output] = _kind(part)
        arguments = {
            name: self._argument(argument) for name, argument in _arguments(node)
        }
        scopes = tuple(
            Scope(str(key).removeprefix("L__self__"), *_path_and_kind(*entry))
            for key, entry in (node.meta.get("nn_module_stack") or {}).items()
        )
        code = node.meta.get("stack_trace") or ""
        target = _target(node.target)
        self.program.steps.append(Step(target, arguments, [*outputs], scopes, code))

    def _argument(self, argument: Any) -> Any:
        if hasattr(argument, "op") and hasattr(argument, "target"):
            if argument.op == "get_attr" and argument.name not in self.program.weights:
                return of_graph_module(getattr(self.module, argument.target))
            return self.value(argument.name)
        if isinstance(argument, (list, tuple)):
            return [self._argument(part) for part in argument]
        if isinstance(argument, Mapping):
            return [self._argument(part) for part in argument.values()]
        if hasattr(argument, "_schema") or hasattr(argument, "_name"):
            return _target(argument)
        if argument is None or isinstance(argument, (bool, int, float, str, complex)):
            return argument
        return str(argument).rpartition(".")[2]  # A data type, a device or a layout.


def _path_and_kind(path: str, kind: Any) -> tuple[str, str]:
    name = kind if isinstance(kind, str) else kind.__qualname__
    return path.partition("@")[0], name.rpartition(".")[2]


def _is_of_several(node: Any) -> bool:
    """Returns whether a node of fx has several results."""
    return hasattr(node, "meta") and isinstance(node.meta.get("val"), (list, tuple))


def _target(target: Any) -> str:
    """Returns the name of an op: its namespace, its name and its overload."""
    if hasattr(target, "_schema"):
        return str(target)
    module = getattr(target, "__module__", "").lstrip("_")
    if hasattr(target, "_name"):
        return f"higher_order.{target._name}"
    return f"{module.rpartition('.')[2]}.{target.__name__}"


def _arguments(node: Any) -> Iterator[tuple[str, Any]]:
    """Yields the arguments of a node of fx, with the names of the op's schema.

    Where there is no schema, arguments are numbered.
    """
    schema = getattr(node.target, "_schema", None)
    names = [] if schema is None else [argument.name for argument in schema.arguments]
    for number, argument in enumerate(node.args):
        yield names[number] if number < len(names) else str(number), argument
    yield from node.kwargs.items()


def _kind(value: Any) -> Kind:
    """Returns what is known about a tensor or a number of a trace."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dtype = str(value.dtype).rpartition(".")[2]
        strides = None
        if hasattr(value, "stride") and str(value.layout) == "torch.strided":
            strides = tuple(s if type(s) is int else None for s in value.stride())
        return Kind(tuple(map(_size, value.shape)), dtype, strides)
    return Kind(None if value is None else (), type(value).__name__)


def _size(size: Any) -> int | str | None:
    if type(size) is int:
        return size
    text = str(size)
    return text if text.isidentifier() else None
