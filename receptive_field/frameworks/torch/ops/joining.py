"""Rules for ops that join tensors, and that repeat, turn and roll them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    IDENTITY,
    constant,
    periodic,
    shift,
)
from receptive_field.algebra.sizes import Size, product
from receptive_field.arrays import np
from receptive_field.frameworks.torch.ops.registry import (
    place,
    places,
    register,
    size,
    sizes,
    treat_zeros,
    weigh,
)
from receptive_field.frameworks.torch.ops.reshaping import (
    at_least,
    axes_of,
    axis_of,
    only,
    small,
)
from receptive_field.frameworks.torch.ops.traced import (
    changed_axes,
    check_offset,
    check_written,
    is_resized,
    refuse,
)
from receptive_field.relations.relation import (
    Axis,
    Factor,
    Relation,
    Slot,
    follow,
    local,
    merge,
    part,
    through,
    whole,
)
from receptive_field.rules.joining import (
    joined,
    joined_axis,
    joined_shape,
    stacked,
    stacked_shape,
)
from receptive_field.rules.op import Call, Op, Relations, Shape, Taps, Value, Zeros
from receptive_field.rules.picking import (
    LARGEST_TABLE,
    flipped,
    positions_map,
    rolled,
    tiled,
)
from receptive_field.rules.reshaping import permuted, reshape_relation

# --- Joins along an axis -------------------------------------------------------------


def _numbers(call: Call) -> list[int]:
    """Returns the numbers of the tensors that are joined."""
    found = [number for number in places(call, "tensors") if number is not None]
    if not found:
        call.fail("joins no tensors")
    return found


def _joining(
    lifted: Callable[[Sequence[Size]], Sequence[Size]] | None,
    axis_in: Callable[[Call, int], int],
) -> Op:
    """Returns the rules of an op that joins tensors along an axis.

    Args:
      lifted: returns the shape that a tensor gets before, given its own.
      axis_in: returns the axis, given the rank.
    """

    def shapes(call: Call) -> dict[int, Shape]:
        """Returns the shapes of the tensors that have positions, by number."""
        found = {number: call.shape(number) for number in _numbers(call)}
        if lifted is not None:
            return {
                number: None if shape is None else tuple(lifted(shape))
                for number, shape in found.items()
            }
        # An empty vector fits tensors of any rank.
        kept = {n: shape for n, shape in found.items() if shape != (0,)}
        return kept or found

    def axis(call: Call, found: Sequence[Shape]) -> int | None:
        rank = next((len(shape) for shape in found if shape is not None), None)
        return None if rank is None else axis_in(call, rank)

    def joined_shapes(call: Call) -> Sequence[Shape]:
        found = shapes(call)
        place = axis(call, [*found.values()])
        # A size that is not that of the trace is right; numbers may be of the trace.
        changed = sorted(found, key=lambda number: -len(changed_axes(call, number)))
        result = joined_shape(call, [*found.values()], place)
        first = found[changed[0]]
        if result is None or first is None or place is None:
            return [result]
        return [tuple(n if a == place else first[a] for a, n in enumerate(result))]

    def relations(call: Call, output: int) -> Relations:
        found = shapes(call)
        place = joined_axis(call, [*found.values()], axis(call, [*found.values()]))
        parts = joined(call, [*found], place, found)
        result: list[Relation | None] = [None] * len(call)
        for number, relation in zip(found, parts, strict=True):
            shape, below = found[number], call.shape(number)
            if relation is not None and shape is not None and below is not None:
                relation = through(relation, reshape_relation(below, shape))
            result[number] = relation
        return result

    def values(call: Call) -> Sequence[Value]:
        found = shapes(call)
        place = axis(call, [*found.values()])
        given = [(call.value(number), shape) for number, shape in found.items()]
        if place is None or any(value is None for value, _ in given):
            return [None]
        return [
            np.concatenate(
                [value.reshape(shape) for value, shape in given],  # type: ignore[union-attr]
                place,
            )
        ]

    return Op(relations, joined_shapes, values, taps=Taps.COPY, zeros=Zeros.BESIDE)


register(
    "cat concat concatenate",
    _joining(None, lambda call, rank: axis_of(call, "dim", rank, 0)),
)
register(
    "hstack",
    _joining(lambda shape: at_least(1, shape), lambda call, rank: int(rank > 1)),
)
register("vstack row_stack", _joining(lambda shape: at_least(2, shape), lambda *_: 0))
register("dstack", _joining(lambda shape: at_least(3, shape), lambda *_: 2))


def _as_column(shape: Sequence[Size]) -> Sequence[Size]:
    return (product(shape), 1) if len(shape) < 2 else shape


register("column_stack", _joining(_as_column, lambda *_: 1))


def _stack_axis(call: Call) -> tuple[list[Shape], int | None]:
    shapes = [call.shape(number) for number in _numbers(call)]
    rank = next((len(shape) for shape in shapes if shape is not None), None)
    if rank is None:
        return shapes, None
    return shapes, call.axis(call.number("dim", 0), rank + 1)


def _stack(call: Call, output: int) -> Relations:
    shapes, axis = _stack_axis(call)
    numbers = _numbers(call)
    found: list[Relation | None] = [None] * len(call)
    for place_on_axis, (number, shape) in enumerate(zip(numbers, shapes, strict=True)):
        if shape is None or axis is None:
            found[number] = call.all_of(number, exact=False)
        else:
            found[number] = stacked(len(shape), axis, place_on_axis, len(numbers))
    return found


def _stack_value(call: Call) -> Sequence[Value]:
    given = [call.value(number) for number in _numbers(call)]
    if any(value is None for value in given):
        return [None]
    return [np.stack(given, call.number("dim", 0))]  # type: ignore[arg-type]


register(
    "stack _stack",
    Op(
        _stack,
        lambda call: [stacked_shape(call, *_stack_axis(call))],
        _stack_value,
        taps=Taps.COPY,
        zeros=Zeros.BESIDE,
    ),
)


# --- Grids and blocks ----------------------------------------------------------------


def _lengths(call: Call) -> list[Size] | None:
    """Returns the sizes of vectors; a number counts as one of size one."""
    shapes = [call.shape(number) for number in _numbers(call)]
    found = [product(shape) for shape in shapes if shape is not None]
    return found if len(found) == len(shapes) else None


def _grid_axis(call: Call, number: int) -> int:
    """Returns the axis of the grids along which a vector lies."""
    swapped = call.text("indexing", "ij") == "xy" and len(_numbers(call)) > 1
    return 1 - number if swapped and number < 2 else number


def _grid_shapes(call: Call) -> Sequence[Shape]:
    lengths = _lengths(call)
    count = len(_numbers(call))
    if lengths is None:
        return [None] * count
    return [tuple(lengths[_grid_axis(call, axis)] for axis in range(count))] * count


def _grid(call: Call, output: int) -> Relations:
    shape = call.shape(output)
    if shape is None:
        return only(call, call.all_of(output, exact=False), output)
    axes = [follow(_grid_axis(call, output))] if shape else []
    return only(call, Relation(tuple(axes)), output)


def _grid_values(call: Call) -> Sequence[Value]:
    numbers = _numbers(call)
    found: list[Value] = []
    for output, shape in enumerate(_grid_shapes(call)):
        value, lengths = call.value(numbers[output]), small(shape)
        if value is None or lengths is None:
            found.append(None)
            continue
        along = [1] * len(lengths)
        along[_grid_axis(call, output)] = -1
        found.append(np.broadcast_to(value.reshape(along), lengths))
    return found


register("meshgrid", Op(_grid, _grid_shapes, _grid_values, taps=Taps.COPY))


def _block_shapes(call: Call) -> list[tuple[Size, ...]] | None:
    """Returns the shapes of the blocks of a matrix."""
    shapes = [call.shape(number) for number in _numbers(call)]
    found = [at_least(2, shape) for shape in shapes if shape is not None]
    return found if len(found) == len(shapes) else None


def _blocks_shape(call: Call) -> Sequence[Shape]:
    blocks = _block_shapes(call)
    if blocks is None:
        return [None]
    return [tuple(sum((b[axis] for b in blocks), start=0) for axis in (0, 1))]


def _blocks(call: Call, output: int) -> Relations:
    numbers, blocks = _numbers(call), _block_shapes(call)
    found: list[Relation | None] = [None] * len(call)
    starts: list[Size] = [0, 0]
    for place_of, number in enumerate(numbers):
        found[number] = call.all_of(number, exact=False)
        shape = call.shape(number)
        if blocks is None or shape is None:
            continue
        block = blocks[place_of]
        known = [start for start in starts if isinstance(start, int)]
        if len(known) == 2:
            maps = [shift(-start) for start in known]
            relation = part(part(local(maps), 0), 1)
            found[number] = through(relation, reshape_relation(shape, block))
        starts = [start + n for start, n in zip(starts, block, strict=True)]
    return found


register("block_diag", Op(_blocks, _blocks_shape))


def _products_shape(call: Call) -> Sequence[Shape]:
    lengths = _lengths(call)
    if lengths is None:
        return [None]
    return [(lengths[0],) if len(lengths) == 1 else (product(lengths), len(lengths))]


def _products(call: Call, output: int) -> Relations:
    lengths = _lengths(call)
    found: list[Relation | None] = [None] * len(call)
    for place_of, number in enumerate(_numbers(call)):
        if lengths is None:
            found[number] = call.all_of(number, exact=False)
            continue
        inner = product(lengths[place_of + 1 :])
        outermost = None if place_of == 0 else lengths[place_of]
        factor = Factor(lengths[place_of], Slot(0, inner, outermost), IDENTITY)
        relation = Relation((merge(factor),) if call.shape(number) else ())
        found[number] = part(relation, 1) if len(lengths) > 1 else relation
    return found


register("cartesian_prod", Op(_products, _products_shape))
weigh("block_diag cartesian_prod", Taps.COPY)


# --- Repeats -------------------------------------------------------------------------


def _tiles(call: Call, name: str) -> tuple[tuple[Size, ...], list[Size]] | None:
    """Returns the shape of a tensor with as many axes as repeats, and the repeats.

    Raises:
      GraphError: if a repeat may be a size of the traced input.
    """
    shape, stated = call.shape(0), sizes(call, name)
    if stated is None:
        call.malformed(name, "a list of integers")
    if shape is None:
        return None
    times = [call.unknown_size(a) if n is None else n for a, n in enumerate(stated)]
    times = [1] * (len(shape) - len(times)) + times
    if any(isinstance(n, int) and n > 1 for n in times) and is_resized(call):
        check_written(call, f"its repeats {times}")
    return (*[1] * (len(times) - len(shape)), *shape), times


def _tiling(name: str) -> Op:
    def shapes(call: Call) -> Sequence[Shape]:
        found = _tiles(call, name)
        if found is None:
            return [None]
        return [tuple(n * times for n, times in zip(*found, strict=True))]

    def relations(call: Call, output: int) -> Relations:
        found, shape = _tiles(call, name), call.shape(0)
        if found is None or shape is None:
            return only(call, call.all_of(0, exact=False))
        added = len(found[0]) - len(shape)
        dropped = Relation(tuple(follow(added + axis) for axis in range(len(shape))))
        return only(call, through(tiled(*found), dropped))

    def values(call: Call) -> Sequence[Value]:
        value, found = call.value(0), _tiles(call, name)
        (shape,) = shapes(call)
        if value is None or found is None or small(shape) is None:
            return [None]
        return [np.tile(value, np.array(found[1], int))]

    return Op(relations, shapes, values, taps=Taps.COPY, zeros=Zeros.KEPT)


register("repeat", _tiling("repeats"))
register("tile", _tiling("dims"))


def _repeated(call: Call) -> tuple[tuple[Size, ...], int, list[Size] | None] | None:
    """Returns the shape of what is repeated, the axis, and how often, if known.

    A list of one number holds for all positions. Without an axis, a tensor is
    flattened.
    """
    number = place(call, "repeats")
    shape: Shape
    if call.attribute("self") is None:  # The repeats alone: places are repeated.
        shape = call.shape(0)
    else:
        shape = call.shape(place(call, "self") or 0)
    if shape is None:
        return None
    axis = 0
    if call.attribute("dim") is None:
        shape = (product(shape),)
    else:
        axis = axis_of(call, "dim", len(shape))
    times = [size(call, "repeats")] if number is None else call.integers(number)
    if times is None or None in times:
        return shape, axis, None
    if number is not None and axis in changed_axes(call, 0) and len(times) > 1:
        refuse(call, f"its {len(times)} repeats")
    return shape, axis, times  # type: ignore[return-value]


def _is_of_places(call: Call) -> bool:
    """Returns whether the result is the places of repeated positions."""
    return call.attribute("self") is None


def _interleaved_shape(call: Call) -> Sequence[Shape]:
    found = _repeated(call)
    if found is None:
        return [None]
    shape, axis, times = found
    length: Size
    if times is None:
        stated = size(call, "output_size")
        length = call.unknown_size(axis) if stated is None else stated
    elif len(times) == 1:
        length = shape[axis] * times[0]
    else:
        length = sum(times, start=0)
    return [(*shape[:axis], length, *shape[axis + 1 :])]


def _interleaved(call: Call, output: int) -> Relations:
    found = _repeated(call)
    if found is None or _is_of_places(call):
        return [call.all_of(i, exact=False) for i in range(len(call))]
    shape, axis, times = found
    relation = Relation(
        tuple(
            _repeated_axis(axis, shape[axis], times) if a == axis else follow(a)
            for a in range(len(shape))
        )
    )
    below = call.known_shape(0)
    if call.attribute("dim") is None:
        relation = through(relation, reshape_relation(below, shape)) or relation
    result = [*only(call, relation)]
    number = place(call, "repeats")
    if number is not None:
        result[number] = call.all_of(number, exact=False)
    return result


def _repeated_axis(axis: int, length: Size, times: Sequence[Size] | None) -> Axis:
    """Returns how an axis of this size follows the one in which it is repeated."""
    if length == 1:
        return follow(axis, constant(0, 0))
    counts = [n for n in times or () if isinstance(n, int)]
    if times is None or len(counts) < len(times):
        return whole([axis], ANYWHERE)
    if len(counts) == 1 and 0 < counts[0] <= LARGEST_TABLE:
        return follow(axis, periodic(1, [(0, 0)] * counts[0]))
    if not isinstance(length, int) or sum(counts) > LARGEST_TABLE:
        return whole([axis], ANYWHERE)
    positions = np.repeat(np.arange(length), counts).tolist()
    return follow(axis, positions_map(positions)) if positions else whole([], ANYWHERE)


def _interleaved_value(call: Call) -> Sequence[Value]:
    found = _repeated(call)
    (shape,) = _interleaved_shape(call)
    value = None if _is_of_places(call) else call.value(0)
    if found is None or small(shape) is None or found[2] is None:
        return [None]
    _, axis, times = found
    if _is_of_places(call):
        return [np.repeat(np.arange(len(times)), times)]  # type: ignore[arg-type]
    if value is None:
        return [None]
    flat = value.reshape(-1) if call.attribute("dim") is None else value
    return [np.repeat(flat, times, axis)]  # type: ignore[arg-type]


register("repeat_interleave", Op(_interleaved, _interleaved_shape, _interleaved_value))
weigh("repeat_interleave", Taps.COPY)
treat_zeros("repeat_interleave", Zeros.KEPT)


# --- Turns ---------------------------------------------------------------------------


def _turned(
    relation_of: Callable[[Call, tuple[Size, ...]], Relation],
    shape_of: Callable[[Call, tuple[Size, ...]], tuple[Size, ...]],
    value_of: Callable[[Call, Any], Any],
) -> Op:
    """Returns the rules of an op that moves the positions of a tensor."""

    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.shape(0)
        return [None if shape is None else shape_of(call, shape)]

    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(0)
        if shape is None:
            return only(call, call.all_of(0, exact=False))
        return only(call, relation_of(call, shape))

    def values(call: Call) -> Sequence[Value]:
        value = call.value(0)
        return [None if value is None else value_of(call, value)]

    return Op(relations, shapes, values, taps=Taps.COPY, zeros=Zeros.KEPT)


def _flipping(axes: Callable[[Call, int], Sequence[int]]) -> Op:
    return _turned(
        lambda call, shape: flipped(shape, axes(call, len(shape))),
        lambda call, shape: shape,
        lambda call, value: np.flip(value, tuple(axes(call, value.ndim))),
    )


register("flip", _flipping(lambda call, rank: axes_of(call, "dims", rank) or []))
register("fliplr", _flipping(lambda call, rank: [1]))
register("flipud", _flipping(lambda call, rank: [0]))


def _turns(call: Call, rank: int) -> tuple[int, int, int]:
    """Returns the number of quarter turns, and the axes of the plane."""
    axes = axes_of(call, "dims", rank)
    if axes is None:
        axes = [0, 1]
    if len(axes) != 2 or axes[0] == axes[1]:
        call.fail(f"turns in the plane of the axes {axes}")
    return call.number("k", 1) % 4, axes[0], axes[1]


def _order(rank: int, one: int, two: int) -> list[int]:
    found = list(range(rank))
    found[one], found[two] = two, one
    return found


def _turned_shape(call: Call, shape: tuple[Size, ...]) -> tuple[Size, ...]:
    turns, one, two = _turns(call, len(shape))
    order = _order(len(shape), one, two) if turns % 2 else range(len(shape))
    return tuple(shape[axis] for axis in order)


def _turn(call: Call, shape: tuple[Size, ...]) -> Relation:
    """Returns the relation of quarter turns: a flip and, if odd, a transposition."""
    turns, one, two = _turns(call, len(shape))
    axes = {0: [], 1: [two], 2: [one, two], 3: [one]}[turns]
    below = flipped(shape, axes)
    if turns % 2 == 0:
        return below
    return through(permuted(_order(len(shape), one, two)), below) or below


def _turned_value(call: Call, value: Any) -> Any:
    turns, one, two = _turns(call, value.ndim)
    return np.rot90(value, turns, (one, two))


register("rot90", _turned(_turn, _turned_shape, _turned_value))


def _offsets(call: Call, shape: Sequence[Size]) -> dict[int, Size] | None:
    """Returns how far each axis is rolled; None if all of the tensor is."""
    axes = axes_of(call, "dims", len(shape))
    shifts = sizes(call, "shifts") or []
    if not axes:
        return None
    if len(axes) != len(shifts):
        call.fail(f"rolls {len(axes)} axes by {len(shifts)} shifts")
    found: dict[int, Size] = {}
    for axis, offset in zip(axes, shifts, strict=True):
        check_offset(call, 0, axis, offset)
        known = call.unknown_size(axis) if offset is None else offset
        found[axis] = found.get(axis, 0) + known
    return found


def _roll(call: Call, shape: tuple[Size, ...]) -> Relation:
    offsets = _offsets(call, shape)
    if offsets is not None:
        return rolled(call, shape, offsets)
    flat = (product(shape),)
    offset = size(call, "shifts")
    turned = rolled(call, flat, {0: call.unknown_size(0) if offset is None else offset})
    above = through(reshape_relation(flat, shape), turned) or turned
    return through(above, reshape_relation(shape, flat)) or above


def _rolled_value(call: Call, value: Any) -> Any:
    offsets = _offsets(call, value.shape)
    if offsets is None:
        offset = size(call, "shifts")
        return np.roll(value, offset) if isinstance(offset, int) else None
    known = {axis: n for axis, n in offsets.items() if isinstance(n, int)}
    if len(known) < len(offsets):
        return None
    return np.roll(value, [*known.values()], [*known])


register("roll", _turned(_roll, lambda call, shape: shape, _rolled_value))
