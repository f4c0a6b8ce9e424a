"""What the rules of operations share: operands, axes, and rules of a few ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor
from receptive_field.rules.elementwise import ELEMENTWISE
from receptive_field.rules.op import Op

Operation = Callable[..., Tensor | list[Tensor]]

Single = Callable[..., Tensor]
"""The rule of an operation with one output."""


def unary(op: str) -> Single:
    """Returns the rule of an operation that runs one op on one tensor."""
    return lambda w, x: w.op(op, x)


def binary(op: str) -> Single:
    """Returns the rule of an operation that runs one op on two operands."""
    return lambda w, x1, x2: w.op(op, operand(x1), operand(x2))


def pointwise(name: str) -> Single:
    """Returns the rule of an operation that runs several elementwise ops.

    They are written as one node with this name.
    """
    return lambda w, *operands: ruled(w, name, ELEMENTWISE, *map(operand, operands))


def operand(value: Any) -> Any:
    """Returns a tensor as it is, and a number as one of floating point."""
    return float(value) if isinstance(value, int) else value


def ruled(w: Writer, name: str, op: Op, *inputs: Any) -> Tensor:
    """Adds a node with a rule of its own."""
    tensor = w.op(name, *inputs)
    w.graph.nodes[tensor[0]].stated = op
    return tensor


def as_list(value: Any) -> list[Any]:
    """Returns a sequence as a list, and another value as the only part of a list."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return value if isinstance(value, list) else [value]


def stated_sizes(shape: Any) -> list[Any]:
    """Returns a shape as a list.

    Raises:
      NoRuleError: if a size is None.
    """
    sizes = as_list(shape)
    if None in sizes:
        raise NoRuleError(f"a size in the shape {sizes} is unknown")
    return sizes


def as_tensor(w: Writer, value: Any) -> Tensor:
    """Returns a tensor as it is, and adds anything else as a constant."""
    return value if isinstance(value, tuple) else w.op("Identity", value)


def axes_of(w: Writer, x: Tensor, axis: Any) -> list[int]:
    """Returns axes as a list of numbers that count from 0: all axes for None."""
    rank = w.rank(x)
    if axis is None:
        return list(range(rank))
    return [number % rank for number in as_list(axis)]


def flat(w: Writer, x: Tensor) -> Tensor:
    """Adds the tensor with a single axis."""
    return w.op("Reshape", x, [-1])


def along(w: Writer, x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """Returns a tensor and one of its axes, which is the only one for None."""
    if axis is None:
        return flat(w, x), 0
    return x, axes_of(w, x, axis)[0]


def moved(w: Writer, x: Tensor, sources: Sequence[int], places: Any) -> Tensor:
    """Adds the tensor with axes moved to other places."""
    sources, places = axes_of(w, x, list(sources)), axes_of(w, x, list(places))
    order = [axis for axis in range(w.rank(x)) if axis not in sources]
    for place, source in sorted(zip(places, sources, strict=True)):
        order.insert(place, source)
    return transposed(w, x, order)


def transposed(w: Writer, x: Tensor, order: list[int]) -> Tensor:
    """Adds the tensor with its axes in another order."""
    if order == sorted(order):
        return x
    return w.op("Transpose", x, order)


def sizes_of(w: Writer, x: Tensor) -> list[Any]:
    """Adds the sizes of all axes."""
    return [w.size(x, axis) for axis in range(w.rank(x))]


def resized(w: Writer, x: Tensor, sizes: Sequence[Any]) -> Tensor:
    """Adds the tensor with other sizes, each of them a number or a tensor."""
    return w.op("Reshape", x, w.sizes(*sizes))


def expanded(w: Writer, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Adds new axes, whose numbers count the axes of the result."""
    rank = w.rank(x) + len(axes)
    for axis in sorted(number % rank for number in axes):
        x = w.op("ExpandDims", x, axis)
    return x


def item(w: Writer, x: Tensor, key: Any) -> Tensor:
    """Adds ``x[key]``. The key has integers, slices, None and Ellipsis."""
    parts = as_list(key)
    begins, ends, steps = [0] * len(parts), [0] * len(parts), [1] * len(parts)
    masks = dict.fromkeys(("begin", "end", "ellipsis", "new_axis", "shrink_axis"), 0)
    for number, part in enumerate(parts):
        open_ends = []
        if part is None or part is Ellipsis:
            open_ends = ["new_axis" if part is None else "ellipsis"]
        elif isinstance(part, slice):
            open_ends += ["begin"] * (part.start is None)
            open_ends += ["end"] * (part.stop is None)
            begins[number], ends[number] = part.start or 0, part.stop or 0
            steps[number] = 1 if part.step is None else part.step
        else:
            begins[number], ends[number] = part, part + 1
            open_ends = ["shrink_axis"] + ["end"] * (part == -1)
        for name in open_ends:
            masks[name] |= 1 << number
    limits = [w.sizes(*values) for values in (begins, ends, steps)]
    fields = {f"{name}_mask": bits for name, bits in masks.items()}
    return w.op("StridedSlice", x, *limits, **fields)


def on_axis(rank: int, axis: int, part: Any) -> list[Any]:
    """Returns the key that takes a part of one axis, and the other axes whole."""
    key: list[Any] = [slice(None)] * rank
    key[axis] = part
    return key


def reduced_by(
    w: Writer, op: str, x: Tensor, axis: Any = None, keepdims: bool = False
) -> Tensor:
    """Adds a reduction of some axes: of all axes for None."""
    return w.op(op, x, axes_of(w, x, axis), keep_dims=bool(keepdims))


def contracted(
    w: Writer, x1: Any, x2: Any, axes1: Sequence[int], axes2: Sequence[int]
) -> Tensor:
    """Adds the products of two tensors, summed over pairs of their axes."""
    x1, x2 = as_tensor(w, x1), as_tensor(w, x2)
    axes1, axes2 = axes_of(w, x1, list(axes1)), axes_of(w, x2, list(axes2))
    labels = iter("abcdefghijklmnopqrstuvwxyz")
    one = [next(labels) for _ in range(w.rank(x1))]
    pairs = {second: one[first] for first, second in zip(axes1, axes2, strict=True)}
    two = [pairs.get(axis) or next(labels) for axis in range(w.rank(x2))]
    summed = set(pairs.values())
    kept = [label for label in [*one, *two] if label not in summed]
    return einsum(w, f"{''.join(one)},{''.join(two)}->{''.join(kept)}", x1, x2)


def einsum(w: Writer, equation: str, *operands: Any) -> Tensor:
    """Adds an Einsum."""
    return w.op("Einsum", *operands, equation=equation)
