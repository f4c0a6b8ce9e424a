"""Rules for ops that read or write positions that other tensors name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from receptive_field.algebra.axis_map import ANYWHERE, constant, sampling
from receptive_field.algebra.sizes import Size, product
from receptive_field.arrays import np
from receptive_field.frameworks.torch.ops.registry import (
    place,
    places,
    register,
    size,
    treat_zeros,
    weigh,
)
from receptive_field.frameworks.torch.ops.reshaping import axis_of, only, small
from receptive_field.frameworks.torch.ops.traced import (
    changed_axes,
    check_offset,
    refuse,
)
from receptive_field.relations.relation import (
    ALL,
    SAME,
    Axis,
    Relation,
    follow,
    local,
    part,
    through,
    whole,
)
from receptive_field.rules.elementwise import (
    broadcast,
    broadcast_relation,
)
from receptive_field.rules.masks import chosen
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    first_shape,
)
from receptive_field.rules.picking import (
    LARGEST_TABLE,
    gathered,
    not_written,
    picked_along,
    picked_grid,
    written_along,
    written_lines,
    written_points,
)
from receptive_field.rules.reshaping import reshape_relation


def _bounds(call: Call) -> list[Relation | None]:
    """Returns relations in which all of every input may matter."""
    return [call.all_of(number, exact=False) for number in range(len(call))]


def _number(call: Call, name: str) -> int:
    """Returns the number of an input that must be given."""
    found = place(call, name)
    if found is None:
        call.malformed(name, "a tensor")
    return found


def _known_indices(call: Call, number: int, axis: int) -> Value:
    """Returns the known indices of an axis of the first input, or None.

    Raises:
      GraphError: if they may have been made for one size of the axis.
    """
    value = call.value(number)
    if value is None or value.dtype.kind not in "iu":
        return None
    if value.size and axis in changed_axes(call, 0):
        for index in (value.min(), value.max()):
            check_offset(call, 0, axis, int(index), number)
    shape = call.shape(0)
    length = shape[axis] if shape else None
    if (
        isinstance(length, int)
        and value.size
        and not -length <= value.min() <= value.max() < length
    ):
        call.fail(f"refers to positions that axis {axis} does not have")
    return value


# --- Indices along one axis ----------------------------------------------------------


def _select(call: Call, output: int) -> Relations:
    shape, number = call.shape(0), _number(call, "index")
    if shape is None:
        return _bounds(call)
    axis = axis_of(call, "dim", len(shape))
    value = _known_indices(call, number, axis) if shape else None
    count = product(call.shape(number) or ())
    found: list[Relation | None] = [None] * len(call)
    if not shape:
        found[0], found[number] = Relation(()), ALL
        return found
    flat = None if value is None else value.ravel().tolist()
    found[0], found[number] = gathered(shape, (count,), flat, axis, 0)
    if call.shape(number) == ():
        found[number] = ALL
    return found


def _select_shape(call: Call) -> Sequence[Shape]:
    shape, index = call.shape(0), call.shape(_number(call, "index"))
    if not shape or index is None:
        return [shape if index is not None else None]
    axis = axis_of(call, "dim", len(shape))
    return [(*shape[:axis], product(index), *shape[axis + 1 :])]


def _select_value(call: Call) -> Sequence[Value]:
    value, index = call.value(0), call.value(_number(call, "index"))
    if value is None or index is None or not value.ndim:
        return [None]
    return [np.take(value, index.ravel(), axis_of(call, "dim", value.ndim))]


register("index_select", Op(_select, _select_shape, _select_value))


def _gather(call: Call, output: int) -> Relations:
    number = _number(call, "index")
    shape, indices = call.shape(0), call.shape(number)
    if shape is None or indices is None:
        return _bounds(call)
    found: list[Relation | None] = [None] * len(call)
    found[number] = SAME
    if not shape:
        found[0] = ALL
        return found
    axis = axis_of(call, "dim", len(shape))
    value = _known_indices(call, number, axis)
    found[0] = picked_along(shape, indices, value, axis)
    return found


register("gather", Op(_gather, lambda call: [call.shape(_number(call, "index"))]))


def _flat(shape: tuple[Size, ...]) -> Relation:
    return reshape_relation(shape, (product(shape),))


def _along_shape(call: Call) -> Sequence[Shape]:
    shape, indices = call.shape(0), call.shape(_number(call, "indices"))
    if shape is None or indices is None or call.attribute("dim") is None:
        return [None if indices is None else (product(indices),)]
    if len(shape) != len(indices):
        call.fail("has indices of another rank than its input")
    axis = axis_of(call, "dim", len(shape))
    found = broadcast(call, *((*s[:axis], *s[axis + 1 :]) for s in (shape, indices)))
    assert found is not None
    return [(*found[:axis], indices[axis], *found[axis:])]


def _along(call: Call, output: int) -> Relations:
    number = _number(call, "indices")
    shape, indices, above = call.shape(0), call.shape(number), call.output_shape()
    if shape is None or indices is None or above is None:
        return _bounds(call)
    found: list[Relation | None] = [None] * len(call)
    if call.attribute("dim") is None:
        value = call.value(number) if not changed_axes(call, 0) else None
        flat = None if value is None else value.reshape(-1)
        total = (product(shape),)
        picked = picked_along(total, above, flat, 0)
        found[0] = through(picked, _flat(shape))
        found[number] = _flat(indices)
        return found
    axis = axis_of(call, "dim", len(shape))
    value = _known_indices(call, number, axis)
    wide = tuple(n if a == axis else above[a] for a, n in enumerate(shape))
    picked = picked_along(wide, above, value, axis)
    found[0] = through(picked, broadcast_relation(shape, wide))
    found[number] = broadcast_relation(indices, above)
    return found


register("take_along_dim", Op(_along, _along_shape))


def _take(call: Call, output: int) -> Relations:
    number = _number(call, "index")
    shape, indices = call.shape(0), call.shape(number)
    if shape is None or indices is None:
        return _bounds(call)
    found: list[Relation | None] = [None] * len(call)
    value = call.integers(number)
    if value is not None and changed_axes(call, 0):
        refuse(call, "its indices")
    total = product(shape)
    picked, found[number] = gathered((total,), indices, value, 0, 0)
    found[0] = through(picked, _flat(shape))
    return found


register("take", Op(_take, lambda call: [call.shape(_number(call, "index"))]))


# --- Indices of several axes ---------------------------------------------------------


class _Indexed(NamedTuple):
    """What the indices of an op stand for."""

    shape: tuple[Size, ...]
    """The shape of the tensor that is indexed."""
    components: dict[int, Value]
    """The indices along each indexed axis; None if they are unknown."""
    grid: tuple[Size, ...]
    """The shape that the indices broadcast to."""
    place: int
    """The first axis of the result that counts the indices."""
    inputs: dict[int, range]
    """The number of each input that holds indices -> the axes that it indexes."""

    @property
    def rest(self) -> list[int]:
        """The axes that are not indexed."""
        return [a for a in range(len(self.shape)) if a not in self.components]

    @property
    def result(self) -> tuple[Size, ...]:
        """The shape of the result."""
        rest = [self.shape[axis] for axis in self.rest]
        return (*rest[: self.place], *self.grid, *rest[self.place :])


def _indexed(call: Call) -> _Indexed | None:
    """Returns what the indices of an op stand for, or None if a shape is unknown."""
    shape = call.shape(0)
    if shape is None:
        return None
    components: dict[int, Value] = {}
    shapes: list[Shape] = []
    inputs = {}
    axis = 0
    for number in places(call, "indices"):
        if number is None:
            axis += 1
            continue
        found = call.shape(number)
        if found is None:
            return None
        depth = len(found) if _is_mask(call, number) else 1
        if axis + depth > len(shape):
            call.fail(f"has indices of more than the {len(shape)} axes of its input")
        inputs[number] = range(axis, axis + depth)
        if _is_mask(call, number):
            shapes.append(_of_mask(call, number, axis, components))
        else:
            shapes.append(found)
            components[axis] = _known_indices(call, number, axis)
        axis += depth
    grid = broadcast(call, *shapes) if shapes else ()
    assert grid is not None
    axes = [*components]
    adjacent = axes == [*range(axes[0], axes[0] + len(axes))] if axes else True
    first = axes[0] if axes and adjacent else 0
    return _Indexed(shape, components, grid, first, inputs)


def _is_mask(call: Call, number: int) -> bool:
    """Returns whether an index is a mask, whose true positions are taken."""
    index, output = call.input(number)
    kind = call.node.graph.nodes[index].definition.kinds[output]
    return kind is not None and kind.dtype in ("bool", "uint8")


def _of_mask(
    call: Call, number: int, axis: int, components: dict[int, Value]
) -> tuple[Size, ...]:
    """Adds the indices that a mask stands for, and returns their shape."""
    value, shape = call.value(number), call.known_shape(number)
    axes = range(axis, axis + len(shape))
    if value is None or value.dtype.kind not in "biu":
        components.update(dict.fromkeys(axes))
        return (call.unknown_size(axis),)
    if changed_axes(call, 0).intersection(axes):
        refuse(call, "its masks")
    found = np.nonzero(value)
    components.update(zip(axes, found, strict=True))
    return (len(found[0]),) if found else (int(bool(value)),)


def _index_shape(call: Call) -> Sequence[Shape]:
    found = _indexed(call)
    return [None if found is None else found.result]


def _index(call: Call, output: int) -> Relations:
    found = _indexed(call)
    if found is None:
        return _bounds(call)
    if 0 in found.grid:
        call.fail("makes the feature map vanish: it takes no positions from an axis")
    result: list[Relation | None] = [None] * len(call)
    rank = len(found.grid)
    result[0] = picked_grid(found.shape, found.components, rank, found.place)
    end = found.place + rank
    for number in found.inputs:
        result[number] = _of_indices(call, number, found, end)
    return result


def _of_indices(call: Call, number: int, found: _Indexed, end: int) -> Relation:
    """Returns the relation to indices.

    Args:
      call: the op.
      number: the number of the input.
      found: what all indices stand for.
      end: the axis of the output after the last axis that counts indices.
    """
    shape = call.known_shape(number)
    if _is_mask(call, number):
        return Relation((whole([end - 1], ANYWHERE),) * len(shape))
    axes: list[Axis] = []
    for axis, length in enumerate(shape, end - len(shape)):
        repeated = length == 1 and found.grid[axis - end] != 1
        axes.append(follow(axis, constant(0, 0)) if repeated else follow(axis))
    return Relation(tuple(axes))


def _index_value(call: Call) -> Sequence[Value]:
    value, found = call.value(0), _indexed(call)
    if value is None or found is None or None in found.components.values():
        return [None]
    if any(part is None for part in found.components.values()):
        return [None]
    index = [found.components.get(a, slice(None)) for a in range(value.ndim)]
    return [np.asarray(value[tuple(index)], dtype=value.dtype)]


register("index _unsafe_index", Op(_index, _index_shape, _index_value))


def _points(found: _Indexed) -> Value:
    """Returns the place of each written slice on the indexed axes, if it is known."""
    known = [value for value in found.components.values() if value is not None]
    sizes = small(found.grid)
    if len(known) < len(found.components) or sizes is None or not known:
        return None
    lengths = [found.shape[axis] for axis in found.components]
    counted = []
    for value, length in zip(known, lengths, strict=True):
        if (value < 0).any() and not isinstance(length, int):
            return None
        counted.append(np.where(value < 0, value + length, value))
    return np.stack([np.broadcast_to(v, sizes) for v in counted], -1).astype(np.int64)


def _put(call: Call, output: int) -> Relations:
    found, number = _indexed(call), _number(call, "values")
    values = call.shape(number)
    if found is None or values is None:
        return [SAME, *_bounds(call)[1:]]
    rank, depth = len(found.shape), len(found.components)
    order = [*found.components, *found.rest]
    ordered = [found.shape[axis] for axis in order]
    points, adds = _points(found), call.flag("accumulate")
    result: list[Relation | None] = [None] * len(call)
    counts = len(found.grid)
    written = through(
        Relation(tuple(map(follow, order))),
        written_points(ordered, points, counts + rank - depth, depth, adds),
    )
    places_of_rest = range(counts, counts + rank - depth)
    layout = [*places_of_rest[: found.place], *range(counts)]
    layout += places_of_rest[found.place :]
    above = Relation(tuple(map(follow, layout)))
    below = broadcast_relation(values, found.result)
    if written is not None:
        above = through(written, above) or above
        result[number] = through(above, below)
    varies = any(call.varies(call.input(n)) for n in found.inputs)
    result[0] = SAME
    kept = None if adds else not_written(ordered, points)
    if kept is not None:
        back = [order.index(axis) for axis in range(rank)]
        result[0] = chosen(SAME, rank, kept.transpose(back)) if kept.any() else None
    elif not adds and not varies:
        result[0] = chosen(SAME, rank, None)
    for index, axes in found.inputs.items():
        one_value = product(values) == 1 and _is_mask(call, index)
        if one_value and len(found.inputs) == 1:  # Each position is masked by itself.
            result[index] = Relation(tuple(map(follow, axes)))
        else:
            result[index] = call.all_of(index, exact=False)
    return result


register("index_put _unsafe_index_put _index_put_impl", Op(_put, first_shape))


# --- Writing along one axis ----------------------------------------------------------


def _along_lines(adds: bool, keeps: bool) -> Callable[[Call, int], Relations]:
    """Returns the relations of an op that writes lines to places of an axis.

    Args:
      adds: whether all lines that are written to one place count.
      keeps: whether what was there before counts, too.
    """

    def relations(call: Call, output: int) -> Relations:
        shape, number = call.shape(0), _number(call, "index")
        if not shape:
            return [SAME, *_bounds(call)[1:]]
        rank, axis = len(shape), axis_of(call, "dim", len(shape))
        found: list[Relation | None] = [None] * len(call)
        value = _known_indices(call, number, axis)
        length = shape[axis]
        kept = None
        axes = [follow(a) for a in range(rank)]
        axes[axis] = whole([axis], ANYWHERE)
        written = part(Relation(tuple(axes)), axis)
        if value is not None and isinstance(length, int) and length <= LARGEST_TABLE:
            lines = np.where(value < 0, value + length, value).ravel().tolist()
            kept = np.ones(length, dtype=np.bool_)
            kept[lines] = False
            axes[axis] = follow(axis, written_lines(lines, length, adds))
            written = Relation(tuple(axes))
        source = place(call, "source")
        if source is not None:
            found[source] = written
        found[number] = call.all_of(number, exact=False)
        other = place(call, "value")
        if other is not None:
            found[other] = ALL
        found[0] = SAME
        before = keeps and call.flag("include_self", True)
        if not before and kept is not None:
            flags = kept.reshape([-1 if a == axis else 1 for a in range(rank)])
            found[0] = chosen(SAME, rank, flags) if kept.any() else None
        elif not before:
            found[0] = chosen(SAME, rank, None)
        return found

    return relations


register("index_add", Op(_along_lines(adds=True, keeps=True), first_shape))
register("index_reduce", Op(_along_lines(adds=True, keeps=True), first_shape))
register("index_copy index_fill", Op(_along_lines(False, False), first_shape))


def _scattering(combines: bool) -> Callable[[Call, int], Relations]:
    """Returns the relations of an op that writes elements to places of an axis.

    Args:
      combines: whether it combines what is written with what was there, although it
        states no reduction.
    """

    def relations(call: Call, output: int) -> Relations:
        number, source = _number(call, "index"), place(call, "src")
        shape, indices = call.shape(0), call.shape(number)
        if not shape or indices is None:
            return [SAME, *_bounds(call)[1:]]
        axis = axis_of(call, "dim", len(shape))
        value = _known_indices(call, number, axis)
        reduces = combines or call.attribute("reduce") is not None
        data, everywhere, written = written_along(
            call, shape, indices, value, axis, reduces
        )
        if not call.flag("include_self", True):
            data = written_along(call, shape, indices, value, axis, False)[0]
        found: list[Relation | None] = [None] * len(call)
        found[0], found[number] = data, everywhere
        if source is not None:
            above = call.shape(source)
            found[source] = written
            if above is None:
                found[source] = call.all_of(source, exact=False)
            elif above != indices:  # More may be given than is written.
                crop = local([sampling(0, 1)] * len(above))
                found[source] = through(written, crop)
        other = place(call, "value")
        if other is not None:
            found[other] = ALL
        return found

    return relations


register("scatter", Op(_scattering(combines=False), first_shape))
register("scatter_add scatter_reduce", Op(_scattering(combines=True), first_shape))


# --- Masks ---------------------------------------------------------------------------


def _masked_shape(call: Call) -> Sequence[Shape]:
    value = call.value(_number(call, "mask"))
    above = broadcast(call, call.shape(0), call.shape(_number(call, "mask")))
    sizes = small(above)
    if value is None or sizes is None:
        return [(call.unknown_size(0),)]
    return [(int(np.broadcast_to(value, sizes).astype(bool).sum()),)]


def _masked(call: Call, output: int) -> Relations:
    number = _number(call, "mask")
    shape = call.shape(0)
    above = broadcast(call, shape, call.shape(number))
    if shape is None or above is None:
        return _bounds(call)
    value, sizes = call.value(number), small(above)
    components: dict[int, Value] = dict.fromkeys(range(len(above)))
    if value is not None and changed_axes(call, 0):
        refuse(call, "its masks")
    if value is not None and sizes is not None:
        found = np.nonzero(np.broadcast_to(value, sizes))
        components = dict(enumerate(found))
    result = _bounds(call)
    picked = picked_grid(above, components, 1, 0)
    result[0] = through(picked, broadcast_relation(shape, above))
    result[number] = Relation((whole([0], ANYWHERE),) * len(call.known_shape(number)))
    return result


register("masked_select", Op(_masked, _masked_shape))


def _filled(call: Call, output: int) -> Relations:
    """Relates a tensor to itself, and to what is written where a mask is true.

    Which elements are written depends on all of the mask.
    """
    mask, source = _number(call, "mask"), _number(call, "source")
    shape, flags, given = call.shape(0), call.shape(mask), call.shape(source)
    if shape is None or flags is None or given is None:
        return _bounds(call)
    above = broadcast(call, shape, flags)
    assert above is not None
    result: list[Relation | None] = [None] * len(call)
    everywhere = range(len(above))
    value = call.value(mask)
    kept = None
    if value is not None:
        known = ~value.astype(bool)
        kept = known.reshape((1,) * (len(above) - known.ndim) + known.shape)
    data: Relation | None = broadcast_relation(shape, above)
    if kept is not None or not call.varies(call.input(mask)):
        data = None
        if kept is None or kept.any():
            data = through(
                chosen(SAME, len(above), kept), broadcast_relation(shape, above)
            )
    result[0] = data
    result[mask] = Relation((whole(everywhere, ANYWHERE),) * len(flags))
    result[source] = Relation((whole(everywhere, ANYWHERE),) * len(given))
    return result


def _filled_shape(call: Call) -> Sequence[Shape]:
    return [broadcast(call, call.shape(0), call.shape(_number(call, "mask")))]


register("masked_scatter", Op(_filled, _filled_shape))


def _triangle(call: Call, upper: bool) -> Value:
    """Returns which elements of a matrix are kept, or None if that is not known."""
    shape = call.known_shape(0)
    if len(shape) < 2:
        call.fail(f"requires a matrix, but its input has rank {len(shape)}")
    sizes, offset = small(shape[-2:]), size(call, "diagonal", 0)
    if sizes is None or not isinstance(offset, int):
        return None
    half: Value = (np.triu if upper else np.tril)(np.ones(sizes, dtype=bool), offset)
    return half


def _half(upper: bool) -> Op:
    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(0)
        if shape is None:
            return only(call, call.all_of(0, exact=False))
        kept = _triangle(call, upper)
        if kept is not None:
            kept = kept.reshape([1] * (len(shape) - 2) + list(kept.shape))
            if not kept.any():
                return only(call, None)
        return only(call, chosen(SAME, len(shape), kept))

    def values(call: Call) -> Sequence[Value]:
        value = call.value(0)
        kept = None if value is None else _triangle(call, upper)
        if value is None or kept is None:
            return [None]
        return [np.where(kept, value, np.zeros_like(value))]

    return Op(relations, first_shape, values, zeros=Zeros.KEPT)


register("tril", _half(upper=False))
register("triu", _half(upper=True))


# --- Places that the data decide -----------------------------------------------------


def _nonzero_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    if value is None or value.dtype == object:
        return [None]
    return [np.argwhere(value)]


def _nonzero_shape(call: Call) -> Sequence[Shape]:
    shape, (value,) = call.shape(0), _nonzero_value(call)
    if value is not None:
        return [value.shape]
    columns = call.unknown_size(1) if shape is None else len(shape)
    return [(call.unknown_size(0), columns)]


def _any_place(call: Call, output: int) -> Relations:
    return only(call, call.all_of(0, exact=False))


register("nonzero argwhere", Op(_any_place, _nonzero_shape, _nonzero_value))


def _static_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    count = size(call, "size")
    return [(call.unknown_size(0) if count is None else count, len(shape))]


register("nonzero_static", Op(_any_place, _static_shape))


def _searched(call: Call, output: int) -> Relations:
    """Relates places in sorted sequences to what is searched, and to the sequences."""
    lines, number = _number(call, "sorted_sequence"), place(call, "self")
    shape = call.shape(lines)
    found: list[Relation | None] = [None] * len(call)
    if shape is None:
        return _bounds(call)
    axes = [follow(axis) for axis in range(len(shape) - 1)]
    relation = Relation((*axes, whole([len(shape) - 1])))
    found[lines] = ALL if len(shape) == 1 else relation
    sorter = place(call, "sorter")
    if sorter is not None:
        found[sorter] = found[lines]
    if number is not None:
        found[number] = SAME
    return found


def _searched_shape(call: Call) -> Sequence[Shape]:
    number = place(call, "self")
    return [() if number is None else call.shape(number)]


register("searchsorted", Op(_searched, _searched_shape))


def _in_buckets(call: Call, output: int) -> Relations:
    found: list[Relation | None] = [None] * len(call)
    number = place(call, "self")
    if number is not None:
        found[number] = SAME
    found[_number(call, "boundaries")] = ALL
    return found


register("bucketize", Op(_in_buckets, _searched_shape))

_PICKING = "index_select gather take_along_dim take index _unsafe_index masked_select"
weigh(_PICKING, Taps.COPY)
treat_zeros(_PICKING, Zeros.KEPT)
