"""Ops that move positions from one axis into another, or between batch and space."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from receptive_field.arrays import np
from receptive_field.axis_map import (
    ANYWHERE,
    IDENTITY,
    AxisMap,
    convolution,
    quotient,
    remainder,
    shift,
)
from receptive_field.graph.axes import (
    FULL,
    LARGEST_PERIOD,
    Axis,
    Factor,
    Piece,
    Relation,
    Slot,
    Thread,
    fixed,
    follow,
    local,
    merge,
    moved,
    part,
    whole,
)
from receptive_field.graph.graph import Node
from receptive_field.graph.sizes import Size, divides, product
from receptive_field.ops.attributes import data_format
from receptive_field.ops.registry import register, treat_zeros, weigh
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    rule_of,
)

# --- Reshape -----------------------------------------------------------------------


def reshape_relation(below: tuple[Size, ...], above: tuple[Size, ...]) -> Relation:
    """Merges and splits: how the axes ``below`` a reshape follow those ``above``."""
    axes: list[Axis] = []
    start = 0
    while start < min(len(below), len(above)) and below[start] == above[start]:
        axes.append(follow(start))
        start += 1
    tail = 0
    while (
        tail < min(len(below), len(above)) - start
        and below[-1 - tail] == above[-1 - tail]
    ):
        tail += 1
    axes += _regrouped(
        below[start : len(below) - tail], above[start : len(above) - tail], start
    )
    axes += [follow(len(above) - tail + i) for i in range(tail)]
    return Relation(tuple(axes))


def _regrouped(
    below: tuple[Size, ...], above: tuple[Size, ...], start: int
) -> list[Axis]:
    """The axes in the middle, taken apart into their common factors from the end."""
    axes: list[Axis] = []
    unknown = [whole(range(start, start + len(above)), ANYWHERE)] * len(below)
    position = len(above) - 1
    inner: Size = 1  # What is used up of the axis above.
    for size in reversed(below):
        factors: list[Factor] = []
        rest = size
        while rest != 1:
            while position >= 0 and above[position] == inner:
                position, inner = position - 1, 1
            if position < 0:
                return unknown
            free = divides(inner, above[position])
            if free is None:
                return unknown
            slot = Slot(start + position, inner)
            if rest == free or divides(free, rest) is not None:
                left = divides(free, rest)
                factors.append(Factor(free, slot, IDENTITY))
                rest = 1 if left is None else left
                position, inner = position - 1, 1
            elif divides(rest, free) is not None:
                factors.append(Factor(rest, slot._replace(size=rest), IDENTITY))
                inner, rest = inner * rest, 1
            else:
                return unknown
        axes.append(merge(*reversed(factors)) if factors else fixed(0, 0))
    return axes[::-1]


def _reshaped(call: Call) -> Shape:
    shape, sizes = call.shape(0), call.integers(1)
    if sizes is None:
        length = call.shape(1)
        if length and isinstance(length[0], int):
            return tuple(call.unknown_size(axis) for axis in range(length[0]))
        return None
    if -1 in sizes:
        hole = sizes.index(-1)
        others = product(size for size in sizes if size != -1)
        count = None if shape is None else divides(others, product(shape))
        sizes[hole] = call.unknown_size(hole) if count is None else count
    return tuple(sizes)


def _reshape(call: Call, output: int) -> Relations:
    below, above = call.shape(0), call.output_shape()
    if below is None or above is None:
        return [call.all_of(0, exact=False), None]
    return [reshape_relation(below, above), call.all_of(1)]


def _reshape_value(call: Call) -> Sequence[Value]:
    value, shape = call.value(0), _reshaped(call)
    if value is None or shape is None or not all(isinstance(s, int) for s in shape):
        return [None]
    if value.size != product(shape):
        call.fail(f"cannot reshape {value.size} values to {shape}")
    return [value.reshape(shape)]


register("Reshape", Op(_reshape, lambda call: [_reshaped(call)], _reshape_value))


# --- Axes of size one ----------------------------------------------------------------


def _squeezed_axes(call: Call) -> list[int] | None:
    """The axes that a Squeeze removes."""
    shape = call.shape(0)
    if shape is None:
        return None
    axes = call.numbers("squeeze_dims") or call.numbers("axis") or []
    if axes:
        return sorted(call.axis(axis, len(shape)) for axis in axes)
    return [axis for axis, size in enumerate(shape) if size == 1]


def _squeeze_shape(call: Call) -> Sequence[Shape]:
    shape, gone = call.shape(0), _squeezed_axes(call)
    if shape is None or gone is None:
        return [None]
    return [tuple(size for axis, size in enumerate(shape) if axis not in gone)]


def _squeeze(call: Call, output: int) -> Relations:
    shape, gone = call.shape(0), _squeezed_axes(call)
    if shape is None or gone is None:
        return [call.all_of(0, exact=False)]
    kept = iter(range(len(shape)))
    axes = [fixed(0, 0) if a in gone else follow(next(kept)) for a in range(len(shape))]
    return [Relation(tuple(axes))]


def _squeeze_value(call: Call) -> Sequence[Value]:
    value, gone = call.value(0), _squeezed_axes(call)
    return [None if value is None or gone is None else np.squeeze(value, tuple(gone))]


register("Squeeze", Op(_squeeze, _squeeze_shape, _squeeze_value))


def _new_axis(call: Call) -> tuple[int, int] | None:
    """The axis that ExpandDims adds, and the rank of its output."""
    shape, axis = call.shape(0), call.integer(1)
    if shape is None or axis is None:
        return None
    rank = len(shape) + 1
    return call.axis(axis, rank), rank


def _expand_shape(call: Call) -> Sequence[Shape]:
    shape, new = call.shape(0), _new_axis(call)
    if shape is None or new is None:
        return [None]
    return [(*shape[: new[0]], 1, *shape[new[0] :])]


def _expand(call: Call, output: int) -> Relations:
    new = _new_axis(call)
    if new is None:
        return [call.all_of(0, exact=False), None]
    axis, rank = new
    return [Relation(tuple(follow(a) for a in range(rank) if a != axis)), None]


def _expand_value(call: Call) -> Sequence[Value]:
    value, new = call.value(0), _new_axis(call)
    return [None if value is None or new is None else np.expand_dims(value, new[0])]


register("ExpandDims", Op(_expand, _expand_shape, _expand_value))


# --- Transpose -----------------------------------------------------------------------


def _permutation(call: Call, shape: Sequence[Size] | None) -> list[int] | None:
    """Which axis of a tensor of this shape becomes which."""
    values = call.integers(1)
    if values is None:
        return None
    rank = len(values) if shape is None else len(shape)
    if set(values) != set(range(rank)) or len(values) != rank:
        call.fail(f"has the permutation {values} for an input of rank {rank}")
    return [int(v) for v in values]  # type: ignore[arg-type]


def _transpose_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    permutation = _permutation(call, shape)
    if permutation is None:
        return [None]
    if shape is None:
        return [tuple(call.unknown_size(a) for a in range(len(permutation)))]
    return [tuple(shape[axis] for axis in permutation)]


def _transpose(call: Call, output: int) -> Relations:
    permutation = _permutation(call, call.shape(0))
    if permutation is None:
        return [call.all_of(0, exact=False), call.all_of(1)]
    axes = [follow(permutation.index(axis)) for axis in range(len(permutation))]
    return [Relation(tuple(axes)), None]


def _transpose_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    permutation = None if value is None else _permutation(call, value.shape)
    if value is None or permutation is None:
        return [None]
    return [np.transpose(value, permutation)]


register("Transpose", Op(_transpose, _transpose_shape, _transpose_value))


# --- Joining and dividing ------------------------------------------------------------


class _Join:
    """Concat and ConcatV2, which differ in where the axis stands."""

    def __init__(self, axis_input: int):
        self.axis_input = axis_input

    def parts(self, call: Call) -> list[int]:
        if len(call) < 2:
            call.fail("joins nothing")
        numbers = list(range(len(call)))
        del numbers[self.axis_input]
        return numbers

    def axis(self, call: Call) -> int | None:
        return call.once(partial(self._axis, call))

    def _axis(self, call: Call) -> int | None:
        shapes = [call.shape(number) for number in self.parts(call)]
        known = [shape for shape in shapes if shape is not None]
        if len(set(map(len, known))) > 1:
            call.fail(f"joins inputs of different ranks: {known}")
        axis = call.integer(self.axis_input % len(call))
        return call.axis(axis, len(known[0])) if known and axis is not None else None

    def shapes(self, call: Call) -> Sequence[Shape]:
        axis, shapes = self.axis(call), [call.shape(n) for n in self.parts(call)]
        known = [shape for shape in shapes if shape is not None]
        if axis is None:
            return [None]
        total = sum((shape[axis] for shape in known), start=0)
        whole = list(known[0])
        whole[axis] = total if len(known) == len(shapes) else call.unknown_size(axis)
        for other, size in enumerate(whole):
            if other == axis:
                continue
            sizes = [shape[other] for shape in known]
            numbers = {s for s in sizes if isinstance(s, int)}
            if len(numbers) > 1:
                call.fail(f"joins inputs of shapes {known} along axis {axis}")
            call.meet(sizes)
            whole[other] = min(numbers, default=size)
        return [tuple(whole)]

    def relations(self, call: Call, output: int) -> Relations:
        axis = self.axis(call)
        relations: list[Relation | None] = []
        offset: Size | None = 0
        # Beside nothing but constants, the only other part is padded by them.
        varying = (n for n in self.parts(call) if not call.is_constant(n))
        several = len(list(itertools.islice(varying, 2))) > 1
        joined = call.output_shape() if several and axis is not None else None
        for number in self.parts(call):
            shape = call.shape(number)
            if axis is None or shape is None:
                relations.append(call.all_of(number, exact=False))
                offset = None
                continue
            whole = shift(-offset) if isinstance(offset, int) and offset else IDENTITY
            if offset is None:
                unknown = call.unknown_offset(axis, number)
                whole = IDENTITY.with_unknown_offset(unknown)
            elif not isinstance(offset, int):
                whole = moved(IDENTITY, -1 * offset)
            piece = None
            if several:
                total = (joined or shape)[axis]
                piece = _piece(axis, offset, shape[axis], total)
            relation = _part(len(shape), axis, whole, several, piece)
            relations.append(None if shape[axis] == 0 else relation)
            offset = None if offset is None else offset + shape[axis]
        relations.insert(self.axis_input % len(call), None)
        return relations

    def values(self, call: Call) -> Sequence[Value]:
        axis, values = self.axis(call), [call.value(n) for n in self.parts(call)]
        known = [value for value in values if value is not None]
        if axis is None or len(known) < len(values):
            return [None]
        return [np.concatenate(known, axis)]


@lru_cache(maxsize=1024)
def _part(
    rank: int, axis: int, place: AxisMap, varies: bool, piece: Piece | None
) -> Relation:
    """The relation to an input that lies at some place of the joined axis."""
    relation = local(place if a == axis else IDENTITY for a in range(rank))
    return part(relation, axis, piece) if varies else relation


def _piece(axis: int, offset: Size | None, size: Size, total: Size) -> Piece | None:
    if isinstance(offset, int) and isinstance(size, int) and isinstance(total, int):
        return Piece(axis, (range(offset, offset + size),), total)
    return None


for _name, _number in {"ConcatV2": -1, "Concat": 0}.items():
    _join = _Join(_number)
    register(_name, Op(_join.relations, _join.shapes, _join.values))


def _pack_axis(call: Call) -> int | None:
    shapes = [call.shape(i) for i in range(len(call))]
    rank = next((len(shape) for shape in shapes if shape is not None), None)
    axis = call.number("axis", 0)
    return None if rank is None else call.axis(axis, rank + 1)


def _pack_shape(call: Call) -> Sequence[Shape]:
    axis = _pack_axis(call)
    shapes = [s for s in map(call.shape, range(len(call))) if s is not None]
    if axis is None or not shapes:
        return [None]
    if len(set(map(len, shapes))) > 1:
        call.fail(f"packs inputs of different ranks: {shapes}")
    for sizes in zip(*shapes, strict=True):
        if len({size for size in sizes if isinstance(size, int)}) > 1:
            call.fail(f"packs inputs of different shapes: {shapes}")
        call.meet(sizes)
    return [(*shapes[0][:axis], len(call), *shapes[0][axis:])]


def _pack(call: Call, output: int) -> Relations:
    axis = _pack_axis(call)
    relations: list[Relation | None] = []
    for number in range(len(call)):
        shape = call.shape(number)
        if axis is None or shape is None:
            relations.append(call.all_of(number, exact=False))
        else:
            axes = [a for a in range(len(shape) + 1) if a != axis]
            relation = Relation(tuple(map(follow, axes)))
            if len(call) > 1:
                piece = Piece(axis, (range(number, number + 1),), len(call))
                relation = part(relation, axis, piece)
            relations.append(relation)
    return relations


def _pack_values(call: Call) -> Sequence[Value]:
    axis, values = _pack_axis(call), [call.value(i) for i in range(len(call))]
    known = [value for value in values if value is not None]
    if axis is None:
        return [None]
    if len(known) == len(values):
        return [np.stack(known, axis)]
    if len(call.output_shape() or ()) != 1:
        return [None]
    # A list of sizes of which some are not known.
    items = [
        call.unknown_size(i) if value is None else value.item()
        for i, value in enumerate(values)
    ]
    return [np.array(items, dtype=object)]


register("Pack", Op(_pack, _pack_shape, _pack_values))


# --- Space to batch, to depth and back -----------------------------------------------


def _checked_block(call: Call, size: int) -> int:
    if not 0 < size <= LARGEST_PERIOD:
        call.fail(f"has a block of {size} positions, not of 1 .. {LARGEST_PERIOD}")
    return size


def _blocks(call: Call) -> tuple[list[int], list[int]]:
    """Block sizes, and the padding or crop before the first position."""
    if call.node.has("block_size"):
        size = call.number("block_size")
        blocks: list[Any] = [size, size]
        offsets = call.integers(1)
    else:
        known = call.integers(1)
        if known is None:
            call.fail("has a block shape that cannot be known")
        blocks, offsets = known, call.integers(2)
    if offsets is None or not all(isinstance(v, int) for v in (*blocks, *offsets[::2])):
        call.fail("has a block shape, paddings or crops that cannot be known")
    for block in blocks:
        _checked_block(call, block)
    if len(offsets) != 2 * len(blocks):
        call.fail(f"has the block shape {blocks} with {len(offsets)} paddings")
    return blocks, [int(v) for v in offsets[::2]]  # type: ignore[arg-type]


def _ends(call: Call) -> list[Size]:
    offsets = call.integers(1 if call.node.has("block_size") else 2)
    return [] if offsets is None else offsets[1::2]


def _checked_shape(call: Call, blocks: list[int]) -> tuple[Size, ...]:
    shape = call.shape(0)
    if shape is None:
        return call.known_shape(0, len(blocks) + 2)
    if len(shape) <= len(blocks):
        call.fail(f"needs an input of more than {len(blocks)} axes, has {len(shape)}")
    return shape


def _space_to_batch(call: Call, output: int) -> Relations:
    """``padded = position * block + offset``, the offset being part of the batch."""
    blocks, paddings = _blocks(call)
    shape = _checked_shape(call, blocks)
    inner = shape[0]
    slots: list[Slot] = []
    for block in reversed(blocks):
        slots.insert(0, Slot(0, inner, block))
        inner = inner * block
    axes: list[Axis] = [merge(Factor(shape[0], Slot(0, 1, shape[0]), IDENTITY))]
    for axis, (block, slot, padding) in enumerate(
        zip(blocks, slots, paddings, strict=True), start=1
    ):
        factors = (
            Factor(None, Slot(axis), IDENTITY),
            Factor(block, slot, IDENTITY),
        )
        axes.append((Thread(factors, shift(-padding) if padding else IDENTITY),))
    axes += [follow(axis) for axis in range(len(blocks) + 1, len(shape))]
    return [Relation(tuple(axes)), *[None] * (len(call) - 1)]


def _space_to_batch_shape(call: Call) -> Sequence[Shape]:
    blocks, paddings = _blocks(call)
    shape = list(_checked_shape(call, blocks))
    shape[0] = shape[0] * product(blocks)
    for axis, (block, before, after) in enumerate(
        zip(blocks, paddings, _ends(call), strict=True), start=1
    ):
        size = divides(block, shape[axis] + before + after)
        if isinstance(shape[axis] + before + after, int) and size is None:
            call.fail(
                f"cannot divide axis {axis} of {shape[axis]} into blocks of {block}"
            )
        shape[axis] = call.unknown_size(axis) if size is None else size
    return [tuple(shape)]


FOLDS = ("SpaceToBatch", "SpaceToBatchND")


def _copied_from(node: Node) -> Iterator[Node]:
    """The nodes below, down to the first that does more than to copy."""
    while node.inputs:
        node = node.graph.nodes[node.inputs[0][0]]
        yield node
        op = rule_of(node)
        if op is None or op.taps is not Taps.COPY:
            return


def _folded(call: Call) -> tuple[Node, Size] | None:
    """The layer between SpaceToBatch and this op, which works on what the last blocks
    are filled up with, too."""
    for node in _copied_from(call.node):
        if node.op in FOLDS:
            return None
        op = rule_of(node)
        if op is not None and op.products is not None:
            folds = any(below.op in FOLDS for below in _copied_from(node))
            return (node, product(call.output_shape() or ())) if folds else None
    return None


def _batch_to_space(call: Call, output: int) -> Relations:
    blocks, crops = _blocks(call)
    shape = _checked_shape(call, blocks)
    batch: list[Factor] = []
    axes: list[Axis] = []
    for axis, (block, crop) in enumerate(zip(blocks, crops, strict=True), start=1):
        moved = shift(crop) if crop else IDENTITY
        batch.append(Factor(block, Slot(axis), moved.then(remainder(block))))
        axes.append(follow(axis, moved.then(quotient(block))))
    rest = divides(product(blocks), shape[0])
    if rest is None and isinstance(shape[0], int):
        call.fail(f"cannot divide a batch of {shape[0]} into blocks of {blocks}")
    images = call.unknown_size(0) if rest is None else rest
    batch.append(Factor(images, Slot(0), IDENTITY))
    axes += [follow(axis) for axis in range(len(blocks) + 1, len(shape))]
    return [Relation((merge(*batch), *axes)), *[None] * (len(call) - 1)]


def _batch_to_space_shape(call: Call) -> Sequence[Shape]:
    blocks, crops = _blocks(call)
    shape = list(_checked_shape(call, blocks))
    batch = divides(product(blocks), shape[0])
    shape[0] = call.unknown_size(0) if batch is None else batch
    for axis, (block, before, after) in enumerate(
        zip(blocks, crops, _ends(call), strict=True), start=1
    ):
        shape[axis] = shape[axis] * block - before - after
    return [tuple(shape)]


def _block_layout(call: Call) -> tuple[int, Sequence[int]]:
    return 0, range(1, len(_blocks(call)[0]) + 1)


register(
    "SpaceToBatchND SpaceToBatch",
    Op(_space_to_batch, _space_to_batch_shape, layout=_block_layout),
)
register(
    "BatchToSpaceND BatchToSpace",
    Op(_batch_to_space, _batch_to_space_shape, layout=_block_layout, folded=_folded),
)


def _depth_axes(call: Call) -> tuple[list[int], int]:
    layout = data_format(call)
    return ([2, 3], 1) if layout == "NCHW" else ([1, 2], 3)


def _block_size(call: Call) -> int:
    return _checked_block(call, call.number("block_size"))


def _depth_op(to_space: bool) -> Op:
    """Blocks of positions as channels, or back. Channels are not told apart."""

    def relations(call: Call, output: int) -> Relations:
        block = _block_size(call)
        axes, channel = _depth_axes(call)
        step = quotient(block) if to_space else convolution(block, block)
        rank = len(call.known_shape(0, 4))
        axis_of = {axis: follow(axis, step) for axis in axes} | {channel: FULL}
        return [Relation(tuple(axis_of.get(a, follow(a)) for a in range(rank)))]

    def shapes(call: Call) -> Sequence[Shape]:
        block = _block_size(call)
        axes, channel = _depth_axes(call)
        shape = list(call.known_shape(0, 4))
        for axis in (*axes, channel):
            factor = block if axis != channel else block * block
            if to_space == (axis != channel):
                shape[axis] = shape[axis] * factor
            else:
                size = divides(factor, shape[axis])
                shape[axis] = call.unknown_size(axis) if size is None else size
        return [tuple(shape)]

    return Op(relations, shapes, layout=lambda call: (0, _depth_axes(call)[0]))


register("SpaceToDepth", _depth_op(to_space=False))
register("DepthToSpace", _depth_op(to_space=True))

weigh(
    "Reshape Squeeze ExpandDims Transpose Concat ConcatV2 Pack SpaceToBatch "
    "SpaceToBatchND BatchToSpace BatchToSpaceND",
    Taps.COPY,
)
# Every position of a block has channels of its own.
weigh("SpaceToDepth DepthToSpace", Taps.WEIGHTS)

treat_zeros(
    "Reshape Squeeze ExpandDims Transpose SpaceToBatch SpaceToBatchND BatchToSpace "
    "BatchToSpaceND SpaceToDepth DepthToSpace",
    Zeros.KEPT,
)
treat_zeros("Concat ConcatV2 Pack", Zeros.BESIDE)
