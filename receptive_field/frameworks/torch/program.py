"""A program of ATen ops, as `torch.export` writes it, whatever it was read from.

`objects.py` makes programs of objects of PyTorch, and `files.py` of ``.pt2`` files.
Arguments of ops have the names that the schemas of PyTorch give them; arguments that
were left out have their default values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST_VALUES = 1 << 20
"""Integer and boolean buffers and constants with at most this many values are read."""

MOST_NUMBERS = 1 << 20
"""Floating-point buffers and constants with at most this many values are read, because
they may be masks. Parameters are not."""

FLOATS = {"float16": 2, "float32": 4, "float64": 8}
"""Data type of floating-point numbers that are read -> bytes of a value."""


class Value(NamedTuple):
    """An argument that is the result of a step, an input or a weight."""

    name: str


class Kind(NamedTuple):
    """What is recorded about a tensor or a number."""

    sizes: tuple[int | str | None, ...] | None
    """A number for a known size, the name of an unknown size, or None."""
    dtype: str = ""
    """The data type, such as ``float32``, if it is recorded."""
    strides: tuple[int | None, ...] | None = None


class Scope(NamedTuple):
    """A module around a step."""

    call: str
    """A key of this call of the module."""
    path: str
    """The path of the module, such as ``layer1.0.conv1``."""
    kind: str
    """The class of the module."""


@dataclass(slots=True)
class Step:
    """One op of a program.

    Attributes:
      target: the op with its namespace and overload, such as ``aten.conv2d.default``.
      arguments: the arguments, by name. Tensors and unknown sizes are a `Value`, graphs
        of control flow are a `Program`.
      outputs: the names of the results; None for a result that nothing reads.
      scopes: the modules around the op, outermost first.
      code: the lines of code that ran the op, innermost last.
    """

    target: str
    arguments: dict[str, Any]
    outputs: list[str | None]
    scopes: tuple[Scope, ...] = ()
    code: str = ""

    @property
    def op(self) -> str:
        """The op without its overload, and without the namespace ``aten``."""
        namespace, dot, rest = self.target.partition(".")
        name = rest.partition(".")[0]
        return name if namespace == "aten" else f"{namespace}{dot}{name}"

    def reads(self) -> Iterator[str]:
        """Yields the names of the values that the op reads."""
        return values_in(self.arguments.values())


@dataclass(slots=True)
class Weight:
    """A parameter, a buffer or a constant of a program.

    Attributes:
      kind: "parameter", "buffer" or "constant".
      path: the name that the module gives it.
      values: returns the values, or None if they are not known. Weights have none.
      tensor: returns the tensor that holds the values, for experiments; None if there
        is none.
    """

    kind: str
    path: str
    values: Callable[[], Any] | None = None
    tensor: Callable[[], Any] | None = None


@dataclass(slots=True)
class Program:
    """Steps in the order in which they run.

    Attributes:
      steps: the ops.
      inputs: the names of the values that the caller gives.
      outputs: the results, each with the label that the module gives it.
      weights: name of a value -> the parameter, buffer or constant that it is.
      kinds: name of a value -> what is recorded about it.
      calls: call of a module, as in `Scope` -> its path and the labels and names of the
        values that it returns, where that was recorded.
    """

    steps: list[Step]
    inputs: list[str]
    outputs: list[tuple[str, Any]]
    weights: dict[str, Weight] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    calls: Mapping[str, tuple[str, Sequence[tuple[str, Any]]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class Runnable:
    """What an experiment with a model of PyTorch runs: its `Model.definition`.

    Attributes:
      program: returns the program as it was recorded, before ops in place are written
        out. Its values have the names that they have in the program of which the graph
        was made; those of them that only the written-out program has cannot be
        measured. The `Weight.tensor` of each weight has its real values, on any
        device. Measurements of receptive fields need those of buffers and constants
        alone, and make up the rest; effective receptive fields need all of them.
    """

    program: Callable[[], Program]


def values_in(arguments: Any) -> Iterator[str]:
    """Yields the names of all values in arguments, in order."""
    for argument in arguments:
        if isinstance(argument, Value):
            yield argument.name
        elif isinstance(argument, (list, tuple)):
            yield from values_in(argument)


def replaced(argument: Any, replace: Callable[[Value], Any]) -> Any:
    """Returns an argument with something else in place of its values."""
    if isinstance(argument, Value):
        return replace(argument)
    if isinstance(argument, list):
        return [replaced(part, replace) for part in argument]
    return argument


def keys_in(context: Any, count: int) -> list[str] | None:
    """Returns the keys that the context of a tree spec states for its parts, if any.

    Dictionaries state them as they are, and other classes in one of several lists.
    """
    for keys in (context, *context) if isinstance(context, (list, tuple)) else ():
        if (
            isinstance(keys, (list, tuple))
            and len(keys) == count
            and not any(isinstance(key, (list, tuple)) for key in keys)
        ):
            return [str(key) for key in keys]
    return None


def labels(spec: Any, before: str = "") -> Iterator[str]:
    """Yields a label for each leaf of nested results, such as ``out`` or ``aux#1``.

    Args:
      spec: a dictionary or a list of specs; None for a leaf.
      before: the label of the whole.
    """
    if spec is None:
        yield before
    elif isinstance(spec, dict):
        for key, part in spec.items():
            yield from labels(part, f"{before}.{key}" if before else str(key))
    else:
        for number, part in enumerate(spec):
            yield from labels(part, f"{before}#{number}")
