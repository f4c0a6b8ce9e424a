"""Rules for slices, parts and diagonals, and for writing into them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    IDENTITY,
    periodic,
    sampling,
    shift,
)
from receptive_field.algebra.sizes import (
    Size,
    ceiling_division,
    product,
    rounded_down,
    smaller,
)
from receptive_field.arrays import np
from receptive_field.frameworks.torch.definitions import INPUT
from receptive_field.frameworks.torch.ops.registry import (
    place,
    register,
    size,
    sizes,
    treat_zeros,
    weigh,
)
from receptive_field.frameworks.torch.ops.reshaping import axis_of, only, small
from receptive_field.frameworks.torch.ops.traced import (
    changed_axes,
    check_offset,
    check_written,
    recorded,
    refuse,
)
from receptive_field.relations.relation import (
    SAME,
    Factor,
    Relation,
    Slot,
    Thread,
    follow,
    moved,
    through,
)
from receptive_field.rules.masks import chosen
from receptive_field.rules.op import Call, Op, Relations, Shape, Taps, Value, Zeros
from receptive_field.rules.picking import (
    LARGEST_TABLE,
    gathered,
    item,
    overwritten,
    split,
    split_sizes,
)
from receptive_field.rules.reshaping import reshape_relation
from receptive_field.rules.slicing import Slice, slice_op, strided_piece

_END = 1 << 62
"""A larger bound of a slice means the end of the axis."""


# --- Slices --------------------------------------------------------------------------


def _bound(call: Call, name: str, axis: int) -> tuple[Size | None, bool]:
    """Returns a bound of a slice, and whether the slice is open on that side."""
    stated = call.attribute(name)
    if stated is None or (isinstance(stated, int) and stated >= _END):
        return 0, True
    found = size(call, name)
    sizes, changed = recorded(call, 0), changed_axes(call, 0)
    if found == 0 and name == "start":
        return 0, False
    if axis in changed and sizes is not None:
        check_offset(call, 0, axis, found)
    return found, False


def _piece(call: Call, shape: Sequence[Size], axis: int) -> Slice:
    """Returns the part of an axis that a slice takes."""
    begin, end = _bound(call, "start", axis), _bound(call, "end", axis)
    step = size(call, "step", 1)
    return strided_piece(call, shape[axis], begin, end, step, False)


def _pieces(call: Call) -> list[Slice] | None:
    shape = call.shape(0)
    if shape is None:
        return None
    axis = axis_of(call, "dim", len(shape), 0)
    return [
        _piece(call, shape, a) if a == axis else Slice(0, 1, n)
        for a, n in enumerate(shape)
    ]


def _reading_first(op: Op) -> Op:
    """Returns the rules without the inputs that only state positions."""

    def relations(call: Call, output: int) -> Relations:
        assert op.relations is not None
        return only(call, op.relations(call, output)[0])

    return op._replace(relations=relations)


register("slice slice_copy", _reading_first(slice_op(_pieces)))


def _narrowed(call: Call) -> list[Slice] | None:
    shape = call.shape(0)
    if shape is None:
        return None
    axis = axis_of(call, "dim", len(shape))
    start, count = size(call, "start"), size(call, "length")
    for number in (start, count):
        check_offset(call, 0, axis, number)
    if start is not None:
        negative = smaller(0, start) != 0
        start = start + shape[axis] if negative else start
    known = all(isinstance(n, int) for n in (shape[axis], start, count))
    if known and not 0 <= start <= start + count <= shape[axis]:  # type: ignore[operator]
        call.fail(f"takes {count} positions from {start} on of only {shape[axis]}")
    return [
        Slice(start, 1, count) if a == axis else Slice(0, 1, n)
        for a, n in enumerate(shape)
    ]


register("narrow narrow_copy", _reading_first(slice_op(_narrowed)))


def _selected(call: Call) -> list[Slice] | None:
    shape = call.shape(0)
    if shape is None:
        return None
    axis, index = axis_of(call, "dim", len(shape)), size(call, "index")
    check_offset(call, 0, axis, index)
    one = strided_piece(call, shape[axis], (index, False), (None, True), 1, True)
    return [one if a == axis else Slice(0, 1, n) for a, n in enumerate(shape)]


register("select select_copy", _reading_first(slice_op(_selected)))


# --- Parts ---------------------------------------------------------------------------


def _count(call: Call) -> int:
    return len(call.node.definition.kinds)


Parts = tuple[int, list[Size]]
"""An axis, and the sizes of the parts into which it is split."""


def _splitting(parts_of: Callable[[Call, Sequence[Size]], Parts]) -> Op:
    """Returns the rules of an op that splits an axis into parts.

    Args:
      parts_of: returns the axis and the sizes of the parts, given the shape.
    """

    def parts(call: Call) -> Parts | None:
        shape = call.shape(0)
        if shape is None:
            return None
        axis, found = parts_of(call, shape)
        return axis, split_sizes(call, shape[axis], found, _count(call))

    def shapes(call: Call) -> Sequence[Shape]:
        shape, found = call.shape(0), parts(call)
        if shape is None or found is None:
            return [None] * _count(call)
        axis, lengths = found
        return [(*shape[:axis], n, *shape[axis + 1 :]) for n in lengths]

    def relations(call: Call, output: int) -> Relations:
        shape, found = call.shape(0), parts(call)
        if shape is None or found is None:
            return only(call, call.all_of(0, exact=False))
        axis, lengths = found
        if lengths[output] == 0:
            return only(call, None)
        return only(call, split(call, len(shape), axis, lengths, output))

    def values(call: Call) -> Sequence[Value]:
        value, found = call.value(0), parts(call)
        if value is None or found is None:
            return [None] * _count(call)
        axis, lengths = found
        return np.split(value, np.cumsum(np.array(lengths, int))[:-1].tolist(), axis)

    return Op(relations, shapes, values, taps=Taps.COPY, zeros=Zeros.KEPT)


def _refuse_parts(call: Call, axis: int) -> None:
    """Refuses parts of stated sizes if they are parts of a size of the trace."""
    if axis in changed_axes(call, 0):
        refuse(call, f"the sizes of the parts of axis {axis}")


def _known(call: Call, lengths: Sequence[Size | None]) -> list[Size]:
    """Returns sizes, with a symbol for those that are not known."""
    return [call.unknown_size(0, i) if n is None else n for i, n in enumerate(lengths)]


def _stated(call: Call, shape: Sequence[Size]) -> Parts:
    """Returns parts of one stated size, the last of which may be smaller; or a list."""
    axis = axis_of(call, "dim", len(shape), 0)
    if axis in changed_axes(call, 0):
        check_written(call, f"the sizes of the parts of axis {axis}")
    name = "split_sizes" if call.attribute("split_size") is None else "split_size"
    stated = sizes(call, name)
    if stated is None:
        call.malformed("split_size", "an integer or a list of integers")
    if isinstance(call.attribute(name), list):
        return axis, _known(call, stated)
    (part,) = _known(call, stated)
    count = _count(call)
    return axis, [part] * (count - 1) + [shape[axis] - part * (count - 1)]


def _chunks(call: Call, shape: Sequence[Size]) -> Parts:
    axis = axis_of(call, "dim", len(shape), 0)
    wanted, count = call.number("chunks"), _count(call)
    if wanted < 1:
        call.fail(f"splits an axis into {wanted} parts")
    if count != wanted:  # Another size may have more parts.
        _refuse_parts(call, axis)
    part = ceiling_division(shape[axis], wanted)
    return axis, [part] * (count - 1) + [shape[axis] - part * (count - 1)]


def _evenly(length: Size, count: int) -> list[Size]:
    """Returns the sizes of even parts of an axis; the first may be longer by one."""
    return [ceiling_division(length - number, count) for number in range(count)]


def _at_bounds(call: Call, axis: int, length: Size, ends: Sequence[Any]) -> Parts:
    """Returns the parts between the positions where an axis is cut."""
    for end in ends:
        check_offset(call, 0, axis, end)
    found, start = [], 0
    for end in [*ends, None]:
        bounds = (start, False), (end, end is None)
        found.append(strided_piece(call, length, *bounds, 1, False).count)
        start = end
    return axis, _known(call, found)


def _tensor_split(name: str, dim: Callable[[int], int] | None = None) -> Op:
    """Returns the rules of an op that splits an axis at positions, or evenly.

    Args:
      name: the argument with the number of parts, which may also be called `sections`.
      dim: returns the axis, given the rank; None if the op states it.
    """

    def parts(call: Call, shape: Sequence[Size]) -> Parts:
        axis = axis_of(call, "dim", len(shape), 0) if dim is None else dim(len(shape))
        axis = call.axis(axis, len(shape))
        number = place(call, name)
        if call.attribute("indices") is not None:
            return _at_bounds(call, axis, shape[axis], sizes(call, "indices") or [])
        if number is None:
            return axis, _evenly(shape[axis], call.number("sections"))
        ends = call.integers(number)
        if ends is None:
            return axis, [call.unknown_size(axis, i) for i in range(_count(call))]
        if call.shape(number) == ():
            return axis, _evenly(shape[axis], _count(call))
        return _at_bounds(call, axis, shape[axis], ends)

    return _splitting(parts)


register("chunk unsafe_chunk", _splitting(_chunks))
register(
    "split split_copy unsafe_split split_with_sizes split_with_sizes_copy "
    "unsafe_split_with_sizes",
    _splitting(_stated),
)
register("tensor_split", _tensor_split("tensor_indices_or_sections"))
register("hsplit", _tensor_split("", lambda rank: 0 if rank == 1 else 1))
register("vsplit", _tensor_split("", lambda rank: 0))
register("dsplit", _tensor_split("", lambda rank: 2))


def _items(call: Call) -> int | None:
    """Returns the axis whose positions are taken apart."""
    shape = call.shape(0)
    if shape is None:
        return None
    axis = axis_of(call, "dim", len(shape), 0)
    _refuse_parts(call, axis)
    if isinstance(shape[axis], int) and shape[axis] != _count(call):
        call.fail(f"takes {_count(call)} positions from an axis of {shape[axis]}")
    return axis


def _unbound(call: Call) -> Sequence[Shape]:
    shape, axis = call.shape(0), _items(call)
    if shape is None or axis is None:
        return [None] * _count(call)
    return [(*shape[:axis], *shape[axis + 1 :])] * _count(call)


def _unbind(call: Call, output: int) -> Relations:
    shape, axis = call.shape(0), _items(call)
    if shape is None or axis is None:
        return only(call, call.all_of(0, exact=False))
    return only(call, item(len(shape), axis, output))


def _unbind_values(call: Call) -> Sequence[Value]:
    value, axis = call.value(0), _items(call)
    if value is None or axis is None:
        return [None] * _count(call)
    return [np.asarray(v, dtype=value.dtype) for v in np.moveaxis(value, axis, 0)]


register("unbind unbind_copy", Op(_unbind, _unbound, _unbind_values))


# --- Diagonals -----------------------------------------------------------------------


def _diagonal_axes(call: Call, rank: int, one: int, two: int) -> tuple[int, int, int]:
    """Returns the two axes of a diagonal, and how far it is from the main one."""
    first, second = (
        axis_of(call, name, rank, default)
        for name, default in (("dim1", one), ("dim2", two))
    )
    if first == second:
        call.fail(f"has a diagonal of axis {first} with itself")
    return first, second, call.number("offset", 0)


def _length(call: Call, rows: Size, columns: Size, offset: int) -> Size:
    """Returns the length of a diagonal."""
    lengths = rows - max(-offset, 0), columns - max(offset, 0)
    found = smaller(*lengths)
    if found is None:
        return call.unknown_size(0)
    return max(found, 0) if isinstance(found, int) else found


def _diagonal_of(one: int, two: int) -> Op:
    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.shape(0)
        if shape is None:
            return [None]
        first, second, offset = _diagonal_axes(call, len(shape), one, two)
        rest = [n for axis, n in enumerate(shape) if axis not in (first, second)]
        return [(*rest, _length(call, shape[first], shape[second], offset))]

    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(0)
        if shape is None:
            return only(call, call.all_of(0, exact=False))
        rank = len(shape)
        first, second, offset = _diagonal_axes(call, rank, one, two)
        last, rest = rank - 2, iter(range(rank))
        begun = {
            first: sampling(max(-offset, 0), 1),
            second: sampling(max(offset, 0), 1),
        }
        axes = [
            follow(last, begun[axis]) if axis in begun else follow(next(rest))
            for axis in range(rank)
        ]
        return only(call, Relation(tuple(axes)))

    return Op(relations, shapes, taps=Taps.COPY, zeros=Zeros.KEPT)


register("diagonal diagonal_copy", _diagonal_of(0, 1))
register("linalg_diagonal", _diagonal_of(-2, -1))


def _on_diagonal(rank: int, first: int, second: int, offset: int) -> Relation:
    """Returns the relation to a tensor whose last axis is written to a diagonal.

    It is an upper bound: beside the diagonal, nothing is seen.

    Args:
      rank: the rank of the result.
      first: the axis of the rows.
      second: the axis of the columns.
      offset: how far the diagonal is from the main one.
    """
    axes = [follow(axis) for axis in range(rank) if axis not in (first, second)]
    rows, columns = (
        Thread((Factor(None, Slot(axis), shift(before).as_bound()),))
        for axis, before in ((first, min(offset, 0)), (second, -max(offset, 0)))
    )
    return Relation((*axes, (rows, columns)))


def _embedded_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    first, second, offset = _diagonal_axes(call, len(shape) + 1, -2, -1)
    rest = iter(shape[:-1])
    side = shape[-1] + abs(offset)
    return [
        tuple(
            side if axis in (first, second) else next(rest)
            for axis in range(len(shape) + 1)
        )
    ]


def _embedded(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return only(call, call.all_of(0, exact=False))
    rank = len(shape) + 1
    return only(call, _on_diagonal(rank, *_diagonal_axes(call, rank, -2, -1)))


_EMBED = Op(_embedded, _embedded_shape)
register("diag_embed", _EMBED)


def _diag(call: Call, flat: bool) -> tuple[Relation, Shape] | None:
    """Returns the relation of `diag` or `diagflat`, and the shape of its result."""
    shape = call.shape(0)
    if shape is None:
        return None
    offset = call.number("offset" if flat else "diagonal", 0)
    if not flat and len(shape) == 2:
        axes = sampling(max(-offset, 0), 1), sampling(max(offset, 0), 1)
        relation = Relation(tuple(follow(0, axis) for axis in axes))
        return relation, (_length(call, *shape, offset),)
    if not flat and len(shape) != 1:
        call.fail(f"requires a vector or a matrix, not an input of rank {len(shape)}")
    length = product(shape)
    side = length + abs(offset)
    below = reshape_relation(shape, (length,))
    return through(_on_diagonal(2, 0, 1, offset), below) or SAME, (side, side)


def _diag_op(flat: bool) -> Op:
    def relations(call: Call, output: int) -> Relations:
        found = _diag(call, flat)
        return only(call, call.all_of(0, exact=False) if found is None else found[0])

    def shapes(call: Call) -> Sequence[Shape]:
        found = _diag(call, flat)
        return [None if found is None else found[1]]

    return Op(relations, shapes)


register("diag", _diag_op(flat=False))
register("diagflat", _diag_op(flat=True))


# --- Windows and strides -------------------------------------------------------------


def _unfolded(call: Call, rank: int) -> tuple[int, int, int]:
    """Returns the axis of windows, their length and their step."""
    axis = axis_of(call, "dimension", rank)
    length, step = size(call, "size"), size(call, "step")
    check_offset(call, 0, axis, length)
    if not isinstance(length, int) or not isinstance(step, int) or step < 1:
        call.fail("cannot be analysed: its windows depend on unknown sizes")
    return axis, length, step


def _unfold_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    axis, length, step = _unfolded(call, len(shape))
    total = shape[axis] if shape else 1
    if isinstance(total, int) and length > total:
        call.fail(f"has windows of {length} positions on an axis of {total}")
    room = (total - length) * Fraction(1, step)
    return [(*shape[:axis], rounded_down(room) + 1, *shape[axis + 1 :], length)]


def _unfold(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return only(call, call.all_of(0, exact=False))
    axis, length, step = _unfolded(call, len(shape))
    if not shape:
        return only(call, Relation(()))
    windows = Thread(
        (
            Factor(None, Slot(axis), IDENTITY),
            Factor(length, Slot(len(shape)), IDENTITY),
        ),
        periodic(step, [(u, u) for u in range(length)]),
    )
    axes = [(windows,) if a == axis else follow(a) for a in range(len(shape))]
    return only(call, Relation(tuple(axes)))


register("unfold unfold_copy", Op(_unfold, _unfold_shape))


def _strided(call: Call) -> tuple[list[int], list[int]]:
    """Returns the sizes of a strided view, and the place of each of its elements.

    Raises:
      GraphError: if it is not known how the elements lie in memory.
    """
    shape = small(call.shape(0))
    index, output = call.input(0)
    below = call.node.graph.nodes[index]
    kind = below.definition.kinds[output]
    found, steps = sizes(call, "size"), sizes(call, "stride")
    if changed_axes(call, 0) or found is None or steps is None:
        refuse(call, "its sizes and strides")
    start = size(call, "storage_offset")
    offset = 0 if start is None else start
    numbers = [*found, *steps, offset]
    plain = [n for n in numbers if isinstance(n, int)]
    if shape is None or len(plain) < len(numbers) or kind is None:
        call.fail("cannot be analysed: it is not known how its input lies in memory")
    dense = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    is_dense = kind.strides is not None and all(
        n == 1 or one == two
        for n, one, two in zip(shape, dense, kind.strides, strict=True)
    )
    # An offset counts from the start of the memory, which may be before the input.
    if not is_dense or (start is not None and below.op not in (INPUT, "clone")):
        call.fail("cannot be analysed: it is not known how its input lies in memory")
    count = len(found)
    result = plain[:count]
    if math.prod(result) > LARGEST_TABLE:
        call.fail("has too many elements to be analysed")
    places = np.full(result, offset, dtype=np.int64)
    for axis, step in enumerate(plain[count : 2 * count]):
        along = [1] * axis + [-1] + [1] * (count - axis - 1)
        places = places + step * np.arange(result[axis]).reshape(along)
    if places.size and not 0 <= places.min() <= places.max() < math.prod(shape):
        call.fail("cannot be analysed: it reads what lies outside its input in memory")
    return result, places.ravel().tolist()


def _as_strided(call: Call, output: int) -> Relations:
    found, places = _strided(call)
    shape = call.known_shape(0)
    total = product(shape)
    picked, _ = gathered((total,), found, places, 0, 0)
    return only(call, through(picked, reshape_relation(shape, (total,))))


register(
    "as_strided as_strided_copy",
    Op(_as_strided, lambda call: [tuple(_strided(call)[0])]),
)


# --- Writing -------------------------------------------------------------------------


def _as_first(call: Call) -> Sequence[Shape]:
    return [call.shape(0)]


def _written(
    call: Call, places: range | None, axis: int, written: Relation
) -> Relations:
    """Returns the relations of an op that writes at some places of an axis."""
    shape, source = call.known_shape(0), place(call, "src")
    if source is None:
        call.malformed("src", "a tensor")
    found: list[Relation | None] = [None] * len(call)
    found[0], found[source] = overwritten(
        call, shape, axis, places, written, (0, source)
    )
    return found


def _slice_scatter(call: Call, output: int) -> Relations:
    source = place(call, "src")
    shape = call.shape(0)
    if shape is None or source is None:
        return [call.all_of(i, exact=False) for i in range(len(call))]
    axis = axis_of(call, "dim", len(shape), 0)
    piece = _piece(call, shape, axis)
    start, step, count = piece.start, piece.step, piece.count
    axes = [follow(a) for a in range(len(shape))]
    places = None
    if isinstance(start, int) and isinstance(step, int) and isinstance(count, int):
        places = range(start, start + step * count, step)
    if step == 1 and start is not None:
        axes[axis] = follow(axis, moved(IDENTITY, start * -1))
    elif isinstance(start, int) and isinstance(step, int):
        windows = [(0, 0), *[None] * (step - 1)]
        axes[axis] = follow(axis, shift(-start).then(periodic(1, windows)))
    else:
        axes[axis] = follow(axis, ANYWHERE)
    return _written(call, places, axis, Relation(tuple(axes)))


register("slice_scatter", Op(_slice_scatter, _as_first))


def _select_scatter(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(i, exact=False) for i in range(len(call))]
    axis, index = axis_of(call, "dim", len(shape)), size(call, "index")
    check_offset(call, 0, axis, index)
    length = shape[axis]
    piece = strided_piece(call, length, (index, False), (None, True), 1, True)
    places = None
    if isinstance(piece.start, int):
        places = range(piece.start, piece.start + 1)
    axes = [follow(a) for a in range(len(shape)) if a != axis]
    return _written(call, places, axis, Relation(tuple(axes)))


register("select_scatter", Op(_select_scatter, _as_first))


def _diagonal_scatter(call: Call, output: int) -> Relations:
    shape, source = call.shape(0), place(call, "src")
    if shape is None or source is None:
        return [call.all_of(i, exact=False) for i in range(len(call))]
    rank = len(shape)
    first, second, offset = _diagonal_axes(call, rank, 0, 1)
    sides = small((shape[first], shape[second]))
    kept: Value = None
    if sides is not None:
        aside = ~np.eye(sides[0], sides[1], offset, dtype=np.bool_)
        lengths = [n if a in (first, second) else 1 for a, n in enumerate(shape)]
        kept = (aside if first < second else aside.T).reshape(lengths)
    found: list[Relation | None] = [None] * len(call)
    found[0] = chosen(SAME, rank, kept) if kept is None or kept.any() else None
    found[source] = _on_diagonal(rank, first, second, offset)
    return found


register("diagonal_scatter", Op(_diagonal_scatter, _as_first))

_TAKING = (
    "slice slice_copy narrow narrow_copy select select_copy unbind unbind_copy "
    "unfold unfold_copy as_strided as_strided_copy diag_embed diag diagflat"
)
weigh(_TAKING, Taps.COPY)
treat_zeros(_TAKING, Zeros.KEPT)
weigh("slice_scatter select_scatter diagonal_scatter", Taps.CHOICE)
