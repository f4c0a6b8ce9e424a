"""Rules for views, and for ops that add, drop, repeat and permute axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.axis_map import convolution, quotient
from receptive_field.algebra.sizes import Size, divides, product
from receptive_field.arrays import np
from receptive_field.frameworks.torch.ops.registry import (
    place,
    places,
    register,
    sizes,
    treat_zeros,
    weigh,
)
from receptive_field.frameworks.torch.ops.traced import (
    changed_axes,
    check_written,
    is_resized,
    matched,
    recorded,
    refuse,
)
from receptive_field.relations.relation import (
    SAME,
    Relation,
    follow,
)
from receptive_field.rules.elementwise import (
    broadcast,
    broadcast_relation,
)
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
)
from receptive_field.rules.picking import LARGEST_TABLE
from receptive_field.rules.reshaping import (
    checked_permutation,
    filled_in,
    permuted,
    reshape_relation,
    without_axes,
)


def only(call: Call, relation: Relation | None, number: int = 0) -> Relations:
    """Returns the relations of an op that reads the values of one input only."""
    return [relation if i == number else None for i in range(len(call))]


def small(shape: Shape) -> list[int] | None:
    """Returns the sizes of a tensor whose elements may be listed, otherwise None."""
    if shape is None:
        return None
    found = [size for size in shape if isinstance(size, int)]
    if len(found) < len(shape) or math.prod(found) > LARGEST_TABLE:
        return None
    return found


def axis_of(call: Call, name: str, rank: int, default: int | None = None) -> int:
    """Returns an argument that is an axis. A number also has the axis 0."""
    return call.axis(call.number(name, default), max(rank, 1))


def axes_of(call: Call, name: str, rank: int) -> list[int] | None:
    """Returns an argument that is a list of axes, or None if it is absent."""
    found = sizes(call, name)
    if found is None:
        return None
    return [call.axis(-rank - 1 if a is None else a, max(rank, 1)) for a in found]


def _computed(
    function: Callable[[Call, Any], Any],
) -> Callable[[Call], Sequence[Value]]:
    """Returns a function for `Op.values` of an op that moves the values of an input."""

    def values(call: Call) -> Sequence[Value]:
        value = call.value(0)
        return [None if value is None else function(call, value)]

    return values


# --- Views ---------------------------------------------------------------------------


def _viewed(call: Call, stated: Sequence[Size | None]) -> tuple[Size, ...]:
    """Returns the shape of a view of these sizes, one of which may be -1."""
    if changed_axes(call, 0):
        hole = stated.index(-1) if -1 in stated else None
        return matched(call, 0, stated, hole)
    known = [call.unknown_size(a) if s is None else s for a, s in enumerate(stated)]
    return filled_in(call, call.shape(0), known)


def view_op(shape_of: Callable[[Call], Shape]) -> Op:
    """Returns the rules of an op that gives its first input another shape."""

    def relations(call: Call, output: int) -> Relations:
        below, above = call.shape(0), call.output_shape()
        if below is None or above is None:
            return only(call, call.all_of(0, exact=False))
        return only(call, reshape_relation(below, above))

    def reshaped(call: Call, value: Any) -> Any:
        found = shape_of(call)
        if found is None or not all(isinstance(size, int) for size in found):
            return None
        return value.reshape(found)

    return Op(relations, lambda call: [shape_of(call)], _computed(reshaped))


def _stated(call: Call, name: str) -> Shape:
    stated = sizes(call, name)
    if stated is None:
        call.malformed(name, "a list of sizes")
    return _viewed(call, stated)


_VIEW = view_op(lambda call: _stated(call, "size"))

_BITS = {
    "bool": 8,
    "complex128": 128,
    "complex64": 64,
    "complex32": 32,
    "float64": 64,
    "int64": 64,
    "uint64": 64,
    "float32": 32,
    "int32": 32,
    "uint32": 32,
    "float16": 16,
    "bfloat16": 16,
    "int16": 16,
    "uint16": 16,
    "int8": 8,
    "uint8": 8,
}


def _bits(call: Call) -> tuple[int, int]:
    """Returns the size of a number before and after a view as another data type."""
    index, output = call.input(0)
    kind = call.node.graph.nodes[index].definition.kinds[output]
    found = []
    for name in ("" if kind is None else kind.dtype, call.text("dtype")):
        if name not in _BITS and not name.startswith("float8"):
            call.fail(f"cannot be analysed: the size of {name or 'numbers'} is unknown")
        found.append(_BITS.get(name, 8))
    return found[0], found[1]


def _cast_shape(call: Call) -> Shape:
    shape, (before, after) = call.shape(0), _bits(call)
    if shape is None or before == after:
        return shape
    if not shape:
        call.fail("cannot cut a number without axes into parts")
    total = shape[-1] * before
    last = divides(after, total)
    return (*shape[:-1], call.unknown_size(len(shape) - 1) if last is None else last)


def _cast(call: Call, output: int) -> Relations:
    shape, (before, after) = call.shape(0), _bits(call)
    if before == after:
        return only(call, SAME)
    if shape is None:
        return only(call, call.all_of(0, exact=False))
    if before > after:
        last = quotient(before // after)
    else:
        last = convolution(after // before, after // before)
    axes = [follow(axis) for axis in range(len(shape) - 1)]
    return only(call, Relation((*axes, follow(len(shape) - 1, last))))


def _of_view(call: Call, output: int) -> Relations:
    if call.attribute("dtype") is not None:
        return _cast(call, output)
    assert _VIEW.relations is not None
    return _VIEW.relations(call, output)


def _view_shape(call: Call) -> Sequence[Shape]:
    if call.attribute("dtype") is not None:
        return [_cast_shape(call)]
    return [_stated(call, "size")]


def _view_value(call: Call) -> Sequence[Value]:
    if call.attribute("dtype") is not None:
        return [None]  # The bits of the numbers stand for other numbers.
    assert _VIEW.values is not None
    return _VIEW.values(call)


register("view view_copy", Op(_of_view, _view_shape, _view_value))
register("_unsafe_view _reshape_alias _reshape_copy", _VIEW)
register("reshape", view_op(lambda call: _stated(call, "shape")))


def _shape_of_other(call: Call) -> Shape:
    number = place(call, "other")
    return None if number is None else call.shape(number)


register("view_as reshape_as", view_op(_shape_of_other))


def _flat(call: Call) -> Shape:
    shape = call.shape(0)
    if not shape:
        return None if shape is None else (1,)
    first = axis_of(call, "start_dim", len(shape), 0)
    last = axis_of(call, "end_dim", len(shape), -1)
    if first > last:
        call.fail(f"flattens axes {first} to {last}, which are in the wrong order")
    merged = product(shape[first : last + 1])
    return (*shape[:first], merged, *shape[last + 1 :])


register("flatten ravel", view_op(_flat))


def _unflattened(call: Call) -> Shape:
    shape, stated = call.shape(0), sizes(call, "sizes")
    if shape is None or stated is None:
        return None
    axis = axis_of(call, "dim", len(shape))
    if axis in changed_axes(call, 0):
        check_written(call, f"the sizes of the parts of axis {axis}")
    known = [call.unknown_size(a) if s is None else s for a, s in enumerate(stated)]
    parts = filled_in(call, (shape[axis],), known)
    return (*shape[:axis], *parts, *shape[axis + 1 :])


register("unflatten", view_op(_unflattened))


# --- Permutations --------------------------------------------------------------------


def _permuting(order_of: Callable[[Call, int], Sequence[int]]) -> Op:
    """Returns the rules of an op that permutes axes.

    Args:
      order_of: returns the input axis of each output axis, given the rank.
    """

    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.shape(0)
        if shape is None:
            return [None]
        return [tuple(shape[axis] for axis in order_of(call, len(shape)))]

    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(0)
        if shape is None:
            return only(call, call.all_of(0, exact=False))
        return only(call, permuted(order_of(call, len(shape))))

    def moved(call: Call, value: Any) -> Any:
        return np.transpose(value, order_of(call, value.ndim))

    return Op(relations, shapes, _computed(moved), taps=Taps.COPY, zeros=Zeros.KEPT)


def _stated_order(call: Call, rank: int) -> list[int]:
    return checked_permutation(call, axes_of(call, "dims", rank) or [], rank)


def _swapping(one: str, two: str) -> Op:
    def order(call: Call, rank: int) -> list[int]:
        if not rank:
            return []
        found = list(range(rank))
        first, second = axis_of(call, one, rank), axis_of(call, two, rank)
        found[first], found[second] = second, first
        return found

    return _permuting(order)


def _last_two(call: Call, rank: int) -> list[int]:
    if rank == 1:
        call.fail("requires a matrix, but its input has rank 1")
    return [*range(rank - 2), rank - 1, rank - 2] if rank else []


def _moved(call: Call, rank: int) -> list[int]:
    sources, goals = axes_of(call, "source", rank), axes_of(call, "destination", rank)
    if sources is None or goals is None or len(sources) != len(goals):
        call.fail("does not say where each of its axes goes")
    rest = iter(axis for axis in range(rank) if axis not in sources)
    to = dict(zip(goals, sources, strict=True))
    return [to[axis] if axis in to else next(rest) for axis in range(rank)]


register("permute permute_copy", _permuting(_stated_order))
register("transpose transpose_copy swapdims", _swapping("dim0", "dim1"))
register("swapaxes", _swapping("axis0", "axis1"))
register("t t_copy numpy_T", _permuting(lambda call, rank: range(rank)[::-1]))
register("mT mH matrix_H adjoint", _permuting(_last_two))
register("movedim moveaxis", _permuting(_moved))


# --- Axes of size one ----------------------------------------------------------------


def _squeezed(call: Call) -> tuple[list[int], int] | None:
    """Returns the axes that are dropped, and the rank of the input; None if unknown.

    An axis that is named, but is longer than one, stays.

    Raises:
      GraphError: if an axis had size one in the trace only.
    """
    shape = call.shape(0)
    if shape is None:
        return None
    rank = len(shape)
    named = axes_of(call, "dim", rank)
    axes = set(range(rank))
    if named is not None:
        axes &= set(named)
    before = recorded(call, 0)
    for axis in changed_axes(call, 0).intersection(axes):
        if before is not None and 1 in (before[axis], shape[axis]):
            refuse(call, f"sizes that are one, such as that of axis {axis},")
    return [axis for axis in sorted(axes) if shape[axis] == 1], rank


def _squeeze_shape(call: Call) -> Sequence[Shape]:
    shape, found = call.shape(0), _squeezed(call)
    if shape is None or found is None:
        return [None]
    return [tuple(size for axis, size in enumerate(shape) if axis not in found[0])]


def _squeeze(call: Call, output: int) -> Relations:
    found = _squeezed(call)
    if found is None:
        return only(call, call.all_of(0, exact=False))
    gone, rank = found
    return only(call, without_axes(rank, gone))


def _squeeze_value(call: Call, value: Any) -> Any:
    found = _squeezed(call)
    return None if found is None else np.squeeze(value, tuple(found[0]))


register(
    "squeeze squeeze_copy", Op(_squeeze, _squeeze_shape, _computed(_squeeze_value))
)


def _with_one(call: Call) -> Shape:
    shape = call.shape(0)
    if shape is None:
        return None
    axis = call.axis(call.number("dim"), len(shape) + 1)
    return (*shape[:axis], 1, *shape[axis:])


def _unsqueeze(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return only(call, call.all_of(0, exact=False))
    new = call.axis(call.number("dim"), len(shape) + 1)
    kept = (axis for axis in range(len(shape) + 1) if axis != new)
    return only(call, Relation(tuple(map(follow, kept))))


def _unsqueeze_value(call: Call, value: Any) -> Any:
    return np.expand_dims(value, call.axis(call.number("dim"), value.ndim + 1))


register(
    "unsqueeze unsqueeze_copy",
    Op(_unsqueeze, lambda call: [_with_one(call)], _computed(_unsqueeze_value)),
)


def at_least(rank: int, shape: Sequence[Size]) -> tuple[Size, ...]:
    """Returns the shape of a tensor that was given at least so many axes."""
    missing = max(rank - len(shape), 0)
    if rank == 3 and missing:
        before = 1 if missing > 1 else 0
        return (*[1] * before, *shape, *[1] * (missing - before))
    return (*[1] * missing, *shape)


def _at_least(rank: int) -> Op:
    def shapes(call: Call) -> Sequence[Shape]:
        found = (call.shape(number) for number in range(len(call)))
        return [None if s is None else at_least(rank, s) for s in found]

    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(output)
        if shape is None:
            return only(call, call.all_of(output, exact=False), output)
        return only(call, reshape_relation(shape, at_least(rank, shape)), output)

    def values(call: Call) -> Sequence[Value]:
        found = (call.value(number) for number in range(len(call)))
        return [
            None if value is None else value.reshape(at_least(rank, value.shape))
            for value in found
        ]

    return Op(relations, shapes, values, taps=Taps.COPY, zeros=Zeros.KEPT)


for _rank in (1, 2, 3):
    register(f"atleast_{_rank}d", _at_least(_rank))


# --- Repeated axes of size one -------------------------------------------------------


def _expanded(call: Call) -> Shape:
    """Returns the shape of an expanded tensor.

    A size that the trace has for an axis of the input is that of the axis now.

    Raises:
      GraphError: if it may be a size of the traced input.
    """
    shape, stated = call.shape(0), sizes(call, "size")
    if stated is None:
        call.malformed("size", "a list of sizes")
    if shape is None:
        return None
    added = len(stated) - len(shape)
    if added < 0:
        call.fail(f"expands {len(shape)} axes to only {len(stated)} sizes")
    before, changed = recorded(call, 0), changed_axes(call, 0)
    texts = ", ".join("?" if size is None else str(size) for size in stated)
    found: list[Size] = []
    for axis, size in enumerate(stated, -added):
        now: Size = shape[axis] if axis >= 0 else 1
        if size is None:
            found.append(call.unknown_size(axis + added))
        elif size == -1 or size == now:
            found.append(now)
        elif axis in changed:
            if before is None or size != before[axis]:
                refuse(call, f"its sizes [{texts}]")
            found.append(now)
        else:
            if now == 1 and isinstance(size, int) and is_resized(call):
                check_written(call, f"its sizes [{texts}]")
            found.append(size)
    return broadcast(call, shape, tuple(found))


def expanding(shape_of: Callable[[Call], Shape]) -> Op:
    """Returns the rules of an op that repeats axes of size one of its first input."""

    def relations(call: Call, output: int) -> Relations:
        shape, above = call.shape(0), call.output_shape()
        if shape is None or above is None:
            return only(call, call.all_of(0, exact=False))
        return only(call, broadcast_relation(shape, above))

    def repeated(call: Call, value: Any) -> Any:
        found = small(shape_of(call))
        return None if found is None else np.broadcast_to(value, found)

    return Op(relations, lambda call: [shape_of(call)], _computed(repeated))


register("expand expand_copy broadcast_to", expanding(_expanded))
register(
    "expand_as",
    expanding(lambda call: broadcast(call, call.shape(0), _shape_of_other(call))),
)


def _all_broadcast(call: Call) -> Sequence[Shape]:
    numbers = [n for n in places(call, "tensors") if n is not None]
    return [broadcast(call, *map(call.shape, numbers))] * len(numbers)


def _each_broadcast(call: Call, output: int) -> Relations:
    shape, above = call.shape(output), call.output_shape(output)
    if shape is None or above is None:
        return only(call, call.all_of(output, exact=False), output)
    return only(call, broadcast_relation(shape, above), output)


register("broadcast_tensors", Op(_each_broadcast, _all_broadcast))

_MOVING = (
    "view view_copy _unsafe_view _reshape_alias _reshape_copy reshape view_as "
    "reshape_as flatten ravel unflatten squeeze squeeze_copy unsqueeze unsqueeze_copy "
    "expand expand_copy broadcast_to expand_as broadcast_tensors"
)
weigh(_MOVING, Taps.COPY)
treat_zeros(_MOVING, Zeros.KEPT)
