"""The constant values that ATen ops compute with, and relations by name of argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from receptive_field.algebra.sizes import Size, Symbolic, product
from receptive_field.arrays import np
from receptive_field.frameworks.torch.definitions import Read
from receptive_field.frameworks.torch.ops.registry import place, places
from receptive_field.relations.relation import ALL, Relation
from receptive_field.rules.elementwise import Operands
from receptive_field.rules.op import Call, Relations, Shape, Value

LARGEST_VALUE = 1 << 20
"""The most elements of a constant that is computed."""


def operand(call: Call, name: str, default: Any = None) -> Value:
    """Returns the constant value of an argument, or None if it is not known."""
    found = call.attribute(name, default)
    if isinstance(found, Read):
        return call.value(found.number)
    if found is None or isinstance(found, (str, list)):
        return None
    return np.asarray(found, dtype=object if isinstance(found, Symbolic) else None)


def data_type(call: Call, number: int = 0) -> str:
    """Returns the recorded data type of a result, such as ``float32``; may be empty."""
    kinds = call.node.definition.kinds
    kind = kinds[number] if number < len(kinds) else None
    return "" if kind is None else kind.dtype


_NUMBERS = {
    "int": "int64",
    "SymInt": "int64",
    "float": "float64",
    "SymFloat": "float64",
    "SymBool": "bool",
}


def kept(value: Value, dtype: str) -> Value:
    """Returns a value in a data type; None if NumPy has no such type.

    Symbolic sizes have no data type.
    """
    if value is None or value.dtype == object or not dtype:
        return value
    try:
        return value.astype(_NUMBERS.get(dtype, dtype))
    except TypeError:
        return None


def operands(*names: str, alike: bool = False, **defaults: Any) -> Operands:
    """Returns the values of arguments as a function for `computed`.

    Args:
      names: the names of the arguments.
      alike: whether the op converts its operands to the data type of the result.
      defaults: the values of arguments that may be absent.
    """

    def read(call: Call) -> Sequence[Value]:
        found = [operand(call, name, defaults.get(name)) for name in names]
        return [kept(v, data_type(call)) for v in found] if alike else found

    return read


def in_data_type(
    values: Callable[[Call], Sequence[Value]],
) -> Callable[[Call], Sequence[Value]]:
    """Returns the function, with its first value in the recorded data type."""

    def typed(call: Call) -> Sequence[Value]:
        first, *rest = values(call)
        return [kept(first, data_type(call)), *rest]

    return typed


def filled(call: Call, value: Value) -> Sequence[Value]:
    """Returns a value, broadcast to the shape of the result."""
    shape = call.output_shape()
    if value is None or shape is None or not is_small(shape):
        return [None]
    whole: Any = shape
    return [kept(np.broadcast_to(value, whole), data_type(call))]


def is_small(shape: Sequence[Size]) -> bool:
    """Returns whether a tensor of this shape may be computed."""
    known = all(isinstance(size, int) for size in shape)
    return known and product(shape) <= LARGEST_VALUE  # type: ignore[operator]


def related(
    call: Call, relations: Mapping[str, Relation | None], rest: Relation | None = ALL
) -> list[Relation | None]:
    """Returns the relations to all inputs.

    Args:
      call: the op.
      relations: name of an argument -> the relation to it. Names of absent arguments,
        and of arguments that are no tensors, are ignored.
      rest: the relation to all other inputs, such as weights.
    """
    found: list[Relation | None] = [rest] * len(call)
    for name, relation in relations.items():
        number = place(call, name)
        if number is not None:
            found[number] = relation
    return found


def shape_of(call: Call, name: str) -> Shape:
    """Returns the shape of an argument: () for numbers, and None if it is unknown."""
    number = place(call, name)
    return () if number is None else call.shape(number)


def list_of(call: Call, name: str) -> list[int]:
    """Returns the numbers of the inputs in a list of tensors, which must be tensors."""
    found = [number for number in places(call, name) if number is not None]
    if len(found) < len(places(call, name)):
        call.malformed(name, "a list of tensors")
    return found


def none(call: Call, output: int) -> Relations:
    """Relates an output to no values of the inputs."""
    return [None] * len(call)
