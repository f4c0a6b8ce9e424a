"""Rules for ops that pick, repeat, order or write positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    shift,
    transposed_convolution,
)
from receptive_field.algebra.sizes import (
    Size,
    Symbolic,
    ceiling_division,
    divides,
    product,
)
from receptive_field.arrays import np
from receptive_field.frameworks.onnx.attributes import opset
from receptive_field.frameworks.onnx.ops.registry import (
    is_given,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import (
    FULL,
    SAME,
    Axis,
    Factor,
    Relation,
    Slot,
    follow,
    merge,
    part,
    through,
    whole,
)
from receptive_field.rules.elementwise import (
    UNARY,
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
    Window,
    Zeros,
    first_shape,
)
from receptive_field.rules.picking import (
    LARGEST_TABLE,
    by_rows,
    gathered,
    gathered_points,
    gathered_slices,
    not_written,
    picked_along,
    picked_lines,
    positions_map,
    split,
    split_sizes,
    tiled,
    written_along,
    written_lines,
    written_points,
)
from receptive_field.rules.reductions import accumulated, reduced, reduced_shape
from receptive_field.rules.reshaping import reshape_relation, with_axis
from receptive_field.rules.windows import output_size


def _axis(call: Call, default: int | None = None) -> int | None:
    """Returns the attribute `axis`, counted from the front; None if it is unknown."""
    shape = call.shape(0)
    return (
        None if shape is None else call.axis(call.number("axis", default), len(shape))
    )


def _small(shape: Sequence[Size]) -> list[int] | None:
    """Returns the sizes of a tensor whose elements may be listed, otherwise None."""
    sizes = [size for size in shape if isinstance(size, int)]
    known = len(sizes) == len(shape) and math.prod(sizes) <= LARGEST_TABLE
    return sizes if known else None


def _all_as_bound(call: Call, output: int) -> Relations:
    return [call.all_of(i, exact=False) for i in range(len(call))]


# --- Gather --------------------------------------------------------------------------


def _gather_shape(call: Call) -> Sequence[Shape]:
    shape, indices, axis = call.shape(0), call.shape(1), _axis(call, 0)
    if shape is None or indices is None or axis is None:
        return [None]
    return [(*shape[:axis], *indices, *shape[axis + 1 :])]


def _gather(call: Call, output: int) -> Relations:
    shape, indices, axis = call.shape(0), call.shape(1), _axis(call, 0)
    if shape is None or indices is None or axis is None:
        return _all_as_bound(call, output)
    return gathered(shape, indices, call.integers(1), axis, 0)


def _gather_value(call: Call) -> Sequence[Value]:
    value, indices = call.value(0), call.value(1)
    if value is None or indices is None or indices.dtype.kind not in "iu":
        return [None]
    try:
        return [np.asarray(np.take(value, indices, call.number("axis", 0)))]
    except IndexError:
        call.fail(f"gathers positions outside {call.name(0)}")


register("Gather", Op(_gather, _gather_shape, _gather_value))


def _features_shape(call: Call) -> Sequence[Shape]:
    shape, indices = call.shape(0), call.shape(1)
    if shape is None or indices is None:
        return [None]
    return [(*(shape[:-1] or (1,)), product(indices))]


def _features(call: Call, output: int) -> Relations:
    shape, indices = call.shape(0), call.shape(1)
    if not shape or indices is None:
        return _all_as_bound(call, output)
    axis, count = len(shape) - 1, product(indices)
    data, _ = gathered(shape, (count,), call.integers(1), axis, 0)
    if len(shape) == 1:  # The result of one axis has two.
        data = Relation((_moved_to(data.axes[0], 1),))
    above = max(axis, 1)
    places = [whole([above], ANYWHERE)] * len(indices)
    if len([size for size in indices if size != 1]) < 2:
        places = [follow(above) if s != 1 else whole([]) for s in indices]
    return [data, Relation(tuple(places))]


def _moved_to(axis: Axis, place: int) -> Axis:
    """Returns an axis that follows axis ``place`` instead of another one."""
    return tuple(
        thread._replace(
            factors=tuple(
                f if f.slot is None else f._replace(slot=f.slot._replace(axis=place))
                for f in thread.factors
            )
        )
        for thread in axis
    )


register("ai.onnx.ml.ArrayFeatureExtractor", Op(_features, _features_shape))


def _gather_elements(call: Call, output: int) -> Relations:
    shape, indices, axis = call.shape(0), call.shape(1), _axis(call, 0)
    if shape is None or indices is None or axis is None:
        return _all_as_bound(call, output)
    return [picked_along(shape, indices, call.value(1), axis), SAME]


register("GatherElements", Op(_gather_elements, lambda call: [call.shape(1)]))


def _depth(call: Call) -> int | None:
    """Returns how many axes are indexed, which is the last size of the indices."""
    indices = call.shape(1)
    return indices[-1] if indices and isinstance(indices[-1], int) else None


def _gather_nd(call: Call, output: int) -> Relations:
    shape, indices, depth = call.shape(0), call.shape(1), _depth(call)
    if shape is None or indices is None or depth is None:
        return [call.all_of(0, exact=False), call.all_of(1, exact=False)]
    batch, value = call.number("batch_dims", 0), call.value(1)
    found = None
    if value is not None and not batch:
        found = gathered_points(shape, value)
    if found is None:
        found = gathered_slices(len(shape), len(indices), batch, depth)
    return [found, by_rows(len(indices))]


def _gather_nd_shape(call: Call) -> Sequence[Shape]:
    shape, indices, depth = call.shape(0), call.shape(1), _depth(call)
    if shape is None or indices is None or depth is None:
        return [None]
    return [(*indices[:-1], *shape[call.number("batch_dims", 0) + depth :])]


register("GatherND", Op(_gather_nd, _gather_nd_shape))


def _compressed(call: Call) -> tuple[list[int] | None, Size | None]:
    """Returns the positions that Compress keeps, and how many there are.

    Either is None if it is unknown. A condition may be longer than the axis, so their
    number follows from the size of the axis.
    """
    kept, shape = call.value(1), call.shape(0)
    if kept is None or shape is None:
        return None, None
    places = np.flatnonzero(kept).tolist()
    if call.attribute("axis") is None:
        size = product(shape)
    else:
        axis = call.axis(call.number("axis"), len(shape))
        size = shape[axis]
    if isinstance(size, int):
        places = [place for place in places if place < size]
        return places, len(places)
    return places, len(places) if places in ([], [0]) else None


def _compress_shape(call: Call) -> Sequence[Shape]:
    shape, (_, count) = call.shape(0), _compressed(call)
    if call.attribute("axis") is None:
        return [(call.unknown_size(0) if count is None else count,)]
    axis = _axis(call)
    if shape is None or axis is None:
        return [None]
    size = call.unknown_size(axis) if count is None else count
    return [(*shape[:axis], size, *shape[axis + 1 :])]


def _compress(call: Call, output: int) -> Relations:
    shape, (kept, _) = call.shape(0), _compressed(call)
    if shape is None:
        return _all_as_bound(call, output)
    if kept is not None and not kept:
        call.fail("makes the feature map vanish: its condition is never true")
    flat = call.attribute("axis") is None
    axis = 0 if flat else call.axis(call.number("axis"), len(shape))
    picked = whole([axis], ANYWHERE)
    if kept is not None and len(kept) <= LARGEST_TABLE:
        picked = follow(axis, positions_map(kept))
    rest = call.all_of(1, exact=False)
    if not flat:
        axes = [picked if a == axis else follow(a) for a in range(len(shape))]
        return [Relation(tuple(axes)), rest]
    below = reshape_relation(shape, (product(shape),))
    return [through(Relation((picked,)), below), rest]


register("Compress", Op(_compress, _compress_shape))


# --- Split ---------------------------------------------------------------------------


def _split_sizes(call: Call) -> list[Size] | None:
    """Returns the sizes of the parts of a split, or None if they are unknown.

    Parts that are not stated are equal. Since operator set 18, the last one may be
    smaller.
    """
    shape, axis = call.shape(0), _axis(call, 0)
    if shape is None or axis is None:
        return None
    count, size = len(call.node.definition.outputs), shape[axis]
    stated: Sequence[Size] | None = call.numbers("split")
    if opset(call) >= 13 and is_given(call, 1):
        stated = call.integers(1)
        if stated is None:
            return None
    if stated:
        return split_sizes(call, size, stated, count)
    if opset(call) < 18:
        part = divides(count, size)
        if part is None and isinstance(size, int):
            call.fail(f"cannot split {size} positions into {count} equal parts")
        return None if part is None else [part] * count
    if call.number("num_outputs") != count:
        call.fail(f"has {count} outputs, but its num_outputs is different")
    part = ceiling_division(size, count)
    last = size - part * (count - 1)
    if not isinstance(last, Symbolic) and last < 0:
        call.fail(f"cannot split {size} positions into {count} parts of {part}")
    return [part] * (count - 1) + [last]


def _split_shapes(call: Call) -> Sequence[Shape]:
    shape, axis, sizes = call.shape(0), _axis(call, 0), _split_sizes(call)
    count = len(call.node.definition.outputs)
    if shape is None or axis is None:
        return [None] * count
    shapes: list[Shape] = []
    for number in range(count):
        size = call.unknown_size(axis, number) if sizes is None else sizes[number]
        shapes.append((*shape[:axis], size, *shape[axis + 1 :]))
    return shapes


def _split(call: Call, output: int) -> Relations:
    shape, axis = call.shape(0), _axis(call, 0)
    rest = [None] * (len(call) - 1)
    if shape is None or axis is None:
        return [call.all_of(0, exact=False), *rest]
    return [split(call, len(shape), axis, _split_sizes(call), output), *rest]


def _split_values(call: Call) -> Sequence[Value]:
    value, axis, sizes = call.value(0), _axis(call, 0), _split_sizes(call)
    count = len(call.node.definition.outputs)
    if value is None or axis is None or sizes is None:
        return [None] * count
    if not all(isinstance(size, int) for size in sizes):
        return [None] * count
    ends = np.cumsum(np.array(sizes, dtype=np.int64)).tolist()
    return np.split(value, ends[:-1], axis)


register("Split", Op(_split, _split_shapes, _split_values))


# --- Expand and tile -----------------------------------------------------------------


def _expanded(call: Call) -> Shape:
    """Returns the shape that the input and the stated sizes broadcast to."""
    shape, sizes = call.shape(0), call.integers(1)
    if sizes is not None:
        return None if shape is None else broadcast(call, shape, tuple(sizes))
    length = call.shape(1)
    if shape is None or not length or not isinstance(length[0], int):
        return None
    rank = max(len(shape), length[0])
    # Only an axis of size one can be repeated.
    known = ((1,) * (rank - len(shape)) + shape)[:rank]
    return tuple(
        call.unknown_size(axis) if not isinstance(size, int) or size == 1 else size
        for axis, size in enumerate(known)
    )


def _expand(call: Call, output: int) -> Relations:
    shape, above = call.shape(0), call.output_shape()
    if shape is None or above is None:
        return [call.all_of(0, exact=False), None]
    return [broadcast_relation(shape, above), None]


def _expand_value(call: Call) -> Sequence[Value]:
    value, shape = call.value(0), _expanded(call)
    sizes = None if shape is None else _small(shape)
    if value is None or sizes is None:
        return [None]
    return [np.broadcast_to(value, sizes)]


register("Expand", Op(_expand, lambda call: [_expanded(call)], _expand_value))


def _times(call: Call, shape: Sequence[Size]) -> list[Size] | None:
    """Returns how often each axis is repeated."""
    times = call.integers(1)
    if times is not None and len(times) != len(shape):
        call.fail(f"has {len(times)} repeats for an input of rank {len(shape)}")
    return times


def _tile_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    times = _times(call, shape)
    if times is None:
        return [tuple(call.unknown_size(axis) for axis in range(len(shape)))]
    return [tuple(size * n for size, n in zip(shape, times, strict=True))]


def _tile(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False), None]
    return [tiled(shape, _times(call, shape)), None]


def _tile_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    times = None if value is None else _times(call, value.shape)
    counts = None if times is None else _small(times)
    if (
        value is None
        or counts is None
        or math.prod(counts) * value.size > LARGEST_TABLE
    ):
        return [None]
    return [np.tile(value, counts)]


register("Tile", Op(_tile, _tile_shape, _tile_value))


# --- Along one axis ------------------------------------------------------------------


def _accumulated(call: Call, output: int) -> Relations:
    shape, axis = call.shape(0), call.integer(1)
    if shape is None or axis is None:
        return [call.all_of(0, exact=False), None]
    own, reverse = not call.number("exclusive", 0), bool(call.number("reverse", 0))
    return [accumulated(len(shape), call.axis(axis, len(shape)), own, reverse), None]


def _cumsum_value(call: Call) -> Sequence[Value]:
    value, axis = call.value(0), call.integer(1)
    if value is None or axis is None or value.dtype == object:
        return [None]
    if call.number("exclusive", 0) or call.number("reverse", 0):
        return [None]
    return [np.cumsum(value, axis, dtype=value.dtype)]


register("CumSum", Op(_accumulated, first_shape, _cumsum_value))
register("CumProd", Op(_accumulated, first_shape))


def _top(call: Call, output: int) -> Relations:
    axis = _axis(call, -1)
    rest = [None] * (len(call) - 1)
    if axis is None:
        return [call.all_of(0, exact=False), *rest]
    axes = map(follow, range(len(call.known_shape(0))))
    return [
        Relation(tuple(whole([a]) if a == axis else f for a, f in enumerate(axes))),
        *rest,
    ]


def _top_shapes(call: Call) -> Sequence[Shape]:
    shape, axis = call.shape(0), _axis(call, -1)
    if shape is None or axis is None:
        return [None, None]
    count = call.number("k") if opset(call) < 10 else call.integer(1)
    size = call.unknown_size(axis) if count is None else count
    return [(*shape[:axis], size, *shape[axis + 1 :])] * 2


register("TopK", Op(_top, _top_shapes))


def _reverse_sequence(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return _all_as_bound(call, output)
    batch, time = (
        call.axis(call.number(name, default), len(shape))
        for name, default in (("batch_axis", 1), ("time_axis", 0))
    )
    axes = [follow(a) for a in range(len(shape))]
    axes[time] = whole([time], ANYWHERE)
    lengths, size = call.integers(1), shape[time]
    known = lengths is not None and all(isinstance(n, int) for n in lengths)
    if known and isinstance(size, int) and size <= LARGEST_TABLE:
        rows = np.array(
            [
                [length - 1 - u if u < length else u for u in range(size)]  # type: ignore[operator]
                for length in set(lengths or ())
            ]
        )
        seen = picked_lines(rows.T, size)
        if seen is not None:
            axes[time] = follow(time, seen)
    return [Relation(tuple(axes)), Relation((follow(batch),))]


register("ReverseSequence", Op(_reverse_sequence, first_shape))


# --- Results that depend on the data -------------------------------------------------


def _one_hot_axis(call: Call, shape: Sequence[Size]) -> int:
    return call.axis(call.number("axis", -1), len(shape) + 1)


def _one_hot(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    rest = [call.all_of(i) for i in range(1, len(call))]
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    return [with_axis(len(shape) + 1, _one_hot_axis(call, shape)), *rest]


def _one_hot_shape(call: Call) -> Sequence[Shape]:
    shape, depth = call.shape(0), call.integer(1)
    if shape is None:
        return [None]
    added = _one_hot_axis(call, shape)
    size = call.unknown_size(added) if depth is None else depth
    return [(*shape[:added], size, *shape[added:])]


register("OneHot", Op(_one_hot, _one_hot_shape))


def _unique_shapes(call: Call) -> Sequence[Shape]:
    shape, count = call.shape(0), call.unknown_size(0)
    if call.attribute("axis") is None:
        total = call.unknown_size(0, 2) if shape is None else product(shape)
        return [(count,), (count,), (total,), (count,)]
    axis = _axis(call)
    if shape is None or axis is None:
        return [None, (count,), None, (count,)]
    found = (*shape[:axis], count, *shape[axis + 1 :])
    return [found, (count,), (shape[axis],), (count,)]


register("Unique", Op(_all_as_bound, _unique_shapes))


def _nonzero_shape(call: Call) -> Sequence[Shape]:
    shape, (value,) = call.shape(0), _nonzero_value(call)
    if value is not None:
        return [value.shape]
    rank = call.unknown_size(0) if shape is None else max(len(shape), 1)
    return [(rank, call.unknown_size(1))]


def _nonzero_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    if value is None or value.dtype == object or not value.ndim:
        return [None]
    return [np.stack(np.nonzero(value))]


register("NonZero", Op(_all_as_bound, _nonzero_shape, _nonzero_value))


def _draws(call: Call, output: int) -> Relations:
    return [Relation((follow(0), FULL))]


def _draws_shape(call: Call) -> Sequence[Shape]:
    return [(call.known_shape(0, 2)[0], call.number("sample_size", 1))]


register("Multinomial", Op(_draws, _draws_shape, is_random=True))


# --- Writing -------------------------------------------------------------------------


def _reduction(call: Call) -> str:
    kind = call.text("reduction", "none")
    if kind not in ("none", "add", "mul", "max", "min"):
        call.fail(f"has the reduction {kind!r}, which no operator set has")
    return kind


def _scatter_nd(call: Call, output: int) -> Relations:
    shape, updates, depth = call.shape(0), call.shape(2), _depth(call)
    if shape is None or updates is None or depth is None:
        return [SAME, *(call.all_of(i, exact=False) for i in (1, 2))]
    kind, indices = _reduction(call), call.value(1)
    written = written_points(shape, indices, len(updates), depth, kind != "none")
    data: Relation | None = SAME
    if kind == "none":
        kept = not_written(shape, indices)
        data = chosen(SAME, len(shape), kept)
        if kept is not None and not kept.any():
            data = None
    return [data, call.all_of(1, exact=False), written]


register("ScatterND", Op(_scatter_nd, first_shape))


def _scatter_elements(call: Call, output: int) -> Relations:
    shape, indices, axis = call.shape(0), call.shape(1), _axis(call, 0)
    if shape is None or indices is None or axis is None:
        return [SAME, *(call.all_of(i, exact=False) for i in (1, 2))]
    combines = _reduction(call) != "none"
    value = call.value(1)
    return written_along(call, shape, indices, value, axis, combines)


register("Scatter ScatterElements", Op(_scatter_elements, first_shape))


def _tensor_scatter(call: Call, output: int) -> Relations:
    """Relates a cache to its former values, and to those that are written into it."""
    shape, update = call.shape(0), call.shape(1)
    rest = [call.all_of(i, exact=False) for i in range(2, len(call))]
    if shape is None or update is None:
        return [SAME, call.all_of(1, exact=False), *rest]
    rank = len(shape)
    axis = call.axis(call.number("axis", -2), rank)
    starts: Sequence[Size] | None = [0]
    if is_given(call, 2):
        starts = call.integers(2)
    size, count = shape[axis], update[axis]
    axes = [follow(a) for a in range(rank)]
    start = starts[0] if starts and len(set(starts)) == 1 else None
    circular = call.text("mode", "linear") == "circular"
    if not (
        isinstance(start, int) and isinstance(size, int) and isinstance(count, int)
    ):
        if isinstance(start, int) and not circular:
            axes[axis] = follow(axis, shift(-start))
        else:
            axes[axis] = whole([axis], ANYWHERE)
        written = part(Relation(tuple(axes)), axis)
        return [chosen(SAME, rank, None), written, *rest]
    places = [start + u for u in range(count)]
    if circular and size:
        places = [place % size for place in places]
    if any(not 0 <= place < size for place in places):
        call.fail(f"writes to positions {places[0]} to {places[-1]} of only {size}")
    axes[axis] = follow(axis, written_lines(places, size, False))
    kept = np.ones(size, dtype=bool)
    kept[places] = False
    flags = kept.reshape([size if a == axis else 1 for a in range(rank)])
    data = chosen(SAME, rank, flags) if kept.any() else None
    return [data, Relation(tuple(axes)), *rest]


register("TensorScatter", Op(_tensor_scatter, first_shape))


# --- Columns to image ----------------------------------------------------------------


def _columns(call: Call) -> tuple[list[Size], list[Window]] | None:
    """Returns the sizes of the image, and the windows that its columns come from.

    Returns None if the sizes of the image or of the windows are unknown.
    """
    image, block = call.integers(1), call.integers(2)
    if image is None or block is None:
        return None
    rank, windows = len(image), []
    steps, rates, pads = (
        call.numbers(name) or [default] * length
        for name, default, length in (
            ("strides", 1, rank),
            ("dilations", 1, rank),
            ("pads", 0, 2 * rank),
        )
    )
    if not len(block) == len(steps) == len(rates) == len(pads) // 2 == rank:
        call.fail(f"does not state one window for each of the {rank} axes of its image")
    for axis, kernel in enumerate(block):
        if not isinstance(kernel, int) or min(kernel, steps[axis], rates[axis]) < 1:
            call.fail("has a window without positions, or a stride of zero")
        before, total = pads[axis], pads[axis] + pads[rank + axis]
        windows.append(Window(kernel, steps[axis], before, total, rates[axis]))
    return image, windows


def _to_image(call: Call, output: int) -> Relations:
    """Relates each pixel to the columns of all windows that contain it."""
    call.known_shape(0, 3)
    rest, found = [None] * (len(call) - 1), _columns(call)
    if found is None:
        return [call.all_of(0, exact=False), *rest]
    image, windows = found
    factors = []
    for axis, (size, w) in enumerate(zip(image, windows, strict=True)):
        placed = transposed_convolution(w.kernel, w.stride, w.padding or 0, w.dilation)
        count = output_size(size, w)
        factors.append(Factor(count, Slot(2 + axis), placed))
    return [Relation((follow(0), FULL, merge(*factors))), *rest]


def _to_image_shape(call: Call) -> Sequence[Shape]:
    shape, found = call.known_shape(0, 3), _columns(call)
    if found is None:
        length = call.shape(1)
        rank = length[0] if length else None
        if not isinstance(rank, int):
            return [None]
        return [(shape[0], *(call.unknown_size(axis) for axis in range(1, rank + 2)))]
    image, windows = found
    channels = divides(product(w.kernel for w in windows), shape[1])
    if channels is None:
        channels = call.unknown_size(1)
    return [(shape[0], channels, *image)]


register("Col2Im", Op(_to_image, _to_image_shape, taps=Taps.COPY, zeros=Zeros.KEPT))


# --- Matrices ------------------------------------------------------------------------


def _triangle(call: Call, size: Sequence[Size]) -> Value:
    """Returns which elements of a matrix of this size are kept; None if unknown."""
    offset = call.integer(1) if is_given(call, 1) else 0
    sizes = _small(size)
    if offset is None or sizes is None:
        return None
    ones: Any = np.ones(sizes, dtype=bool)
    half: Value = (np.triu if call.number("upper", 1) else np.tril)(ones, offset)
    return half


def _trilu(call: Call, output: int) -> Relations:
    shape, rest = call.shape(0), [None] * (len(call) - 1)
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    if len(shape) < 2:
        call.fail(f"requires a matrix, but its input has rank {len(shape)}")
    kept = _triangle(call, shape[-2:])
    if kept is not None:
        kept = kept.reshape([1] * (len(shape) - 2) + list(kept.shape))
        if not kept.any():
            return [None, *rest]
    return [chosen(SAME, len(shape), kept), *rest]


def _trilu_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    kept = None if value is None else _triangle(call, value.shape[-2:])
    if value is None or kept is None:
        return [None]
    return [np.where(kept, value, np.zeros_like(value))]


register("Trilu", Op(_trilu, first_shape, _trilu_value))


def _last_two(call: Call) -> list[int] | None:
    shape = call.shape(0)
    if shape is None:
        return None
    return [call.axis(axis, len(shape)) for axis in (-2, -1)]


def _det(call: Call, output: int) -> Relations:
    gone = _last_two(call)
    if gone is None:
        return [call.all_of(0, exact=False)]
    return [reduced(len(call.known_shape(0)), gone, keeps=False)]


def _det_shape(call: Call) -> Sequence[Shape]:
    shape, gone = call.shape(0), _last_two(call)
    if shape is None or gone is None:
        return [None]
    return [reduced_shape(shape, gone, keeps=False)]


register("Det", Op(_det, _det_shape))
register("BitCast", UNARY._replace(taps=None))

weigh("Gather Split Expand Tile ReverseSequence Compress GatherElements", Taps.COPY)
weigh("TopK", Taps.WINNER)
treat_zeros(
    "Gather GatherElements GatherND Compress Split Expand Tile ReverseSequence Trilu "
    "ai.onnx.ml.ArrayFeatureExtractor",
    Zeros.KEPT,
)
