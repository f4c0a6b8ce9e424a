"""Rules for reshapes, joins, and ops that move positions into batch or channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from receptive_field.algebra.sizes import Size, product
from receptive_field.arrays import np
from receptive_field.frameworks.tensorflow.attributes import data_format
from receptive_field.frameworks.tensorflow.ops.registry import (
    register,
    treat_zeros,
    weigh,
)
from receptive_field.graph.graph import Node
from receptive_field.relations.relation import Relation
from receptive_field.rules.blocks import (
    batch_to_space,
    batch_to_space_shape,
    checked_block,
    depth_or_space_shape,
    depth_to_space,
    space_to_batch,
    space_to_batch_shape,
    space_to_depth,
)
from receptive_field.rules.joining import (
    joined,
    joined_axis,
    joined_shape,
    stacked,
    stacked_shape,
)
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
from receptive_field.rules.reshaping import (
    checked_permutation,
    filled_in,
    permuted,
    reshape_relation,
    with_axis,
    without_axes,
)

# --- Reshape -----------------------------------------------------------------------


def _reshaped(call: Call) -> Shape:
    shape, sizes = call.shape(0), call.integers(1)
    if sizes is None:
        return call.unknown_shape(call.shape(1))
    return filled_in(call, shape, sizes)


def _reshape(call: Call, output: int) -> Relations:
    below, above = call.shape(0), call.output_shape()
    if below is None or above is None:
        return [call.all_of(0, exact=False), None]
    return [reshape_relation(below, above), call.all_of(1)]


def _reshape_value(call: Call) -> Sequence[Value]:
    value, shape = call.value(0), _reshaped(call)
    if value is None or shape is None or not all(isinstance(s, int) for s in shape):
        return [None]
    return [value.reshape(shape)]


register(
    "Reshape",
    Op(_reshape, lambda call: [_reshaped(call)], _reshape_value, reshapes=True),
)


# --- Axes of size one ----------------------------------------------------------------


def _squeezed_axes(call: Call) -> list[int] | None:
    """Returns the axes that a Squeeze removes, or None if they are unknown.

    Raises:
      GraphError: if a stated axis is known to have more or less than one position.
    """
    shape = call.shape(0)
    if shape is None:
        return None
    stated = call.numbers("squeeze_dims") or call.numbers("axis") or []
    axes = sorted(call.axis(axis, len(shape)) for axis in stated)
    for axis in axes:
        if isinstance(shape[axis], int) and shape[axis] != 1:
            call.fail(f"drops axis {axis}, which must have size 1, not {shape[axis]}")
    return axes or [axis for axis, size in enumerate(shape) if size == 1]


def _squeeze_shape(call: Call) -> Sequence[Shape]:
    shape, gone = call.shape(0), _squeezed_axes(call)
    if shape is None or gone is None:
        return [None]
    return [tuple(size for axis, size in enumerate(shape) if axis not in gone)]


def _squeeze(call: Call, output: int) -> Relations:
    shape, gone = call.shape(0), _squeezed_axes(call)
    if shape is None or gone is None:
        return [call.all_of(0, exact=False)]
    return [without_axes(len(shape), gone)]


def _squeeze_value(call: Call) -> Sequence[Value]:
    value, gone = call.value(0), _squeezed_axes(call)
    return [None if value is None or gone is None else np.squeeze(value, tuple(gone))]


register("Squeeze", Op(_squeeze, _squeeze_shape, _squeeze_value))


def _new_axis(call: Call) -> tuple[int, int] | None:
    """Returns the axis that ExpandDims adds, and the rank of the output, if known."""
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
    return [with_axis(rank, axis), None]


def _expand_value(call: Call) -> Sequence[Value]:
    value, new = call.value(0), _new_axis(call)
    return [None if value is None or new is None else np.expand_dims(value, new[0])]


register("ExpandDims", Op(_expand, _expand_shape, _expand_value))


# --- Transpose -----------------------------------------------------------------------


def _permutation(call: Call, shape: Sequence[Size] | None) -> list[int] | None:
    """Returns the input axis of each output axis, for a tensor of this shape."""
    values = call.integers(1)
    if values is None:
        return None
    return checked_permutation(call, values, len(values if shape is None else shape))


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
    return [permuted(permutation), None]


def _transpose_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    permutation = None if value is None else _permutation(call, value.shape)
    if value is None or permutation is None:
        return [None]
    return [np.transpose(value, permutation)]


register("Transpose", Op(_transpose, _transpose_shape, _transpose_value))


# --- Joining -------------------------------------------------------------------------


class _Join:
    """The rules of Concat and ConcatV2, whose first or last input is the axis."""

    def __init__(self, axis_input: int):
        self.axis_input = axis_input

    def parts(self, call: Call) -> list[int]:
        if len(call) < 2:
            call.fail("has no inputs to join")
        numbers = list(range(len(call)))
        del numbers[self.axis_input]
        return numbers

    def axis(self, call: Call) -> int | None:
        return call.once(partial(self._axis, call))

    def _axis(self, call: Call) -> int | None:
        shapes = [call.shape(number) for number in self.parts(call)]
        return joined_axis(call, shapes, call.integer(self.axis_input % len(call)))

    def shapes(self, call: Call) -> Sequence[Shape]:
        shapes = [call.shape(number) for number in self.parts(call)]
        return [joined_shape(call, shapes, self.axis(call))]

    def relations(self, call: Call, output: int) -> Relations:
        relations = joined(call, self.parts(call), self.axis(call))
        relations.insert(self.axis_input % len(call), None)
        return relations

    def values(self, call: Call) -> Sequence[Value]:
        axis, values = self.axis(call), [call.value(n) for n in self.parts(call)]
        known = [value for value in values if value is not None]
        if axis is None or len(known) < len(values):
            return [None]
        return [np.concatenate(known, axis)]


for _name, _number in {"ConcatV2": -1, "Concat": 0}.items():
    _join = _Join(_number)
    register(_name, Op(_join.relations, _join.shapes, _join.values))


def _pack_axis(call: Call) -> int | None:
    shapes = [call.shape(i) for i in range(len(call))]
    rank = next((len(shape) for shape in shapes if shape is not None), None)
    axis = call.number("axis", 0)
    return None if rank is None else call.axis(axis, rank + 1)


def _pack_shape(call: Call) -> Sequence[Shape]:
    shapes = [call.shape(number) for number in range(len(call))]
    return [stacked_shape(call, shapes, _pack_axis(call))]


def _pack(call: Call, output: int) -> Relations:
    axis = _pack_axis(call)
    relations: list[Relation | None] = []
    for number in range(len(call)):
        shape = call.shape(number)
        if axis is None or shape is None:
            relations.append(call.all_of(number, exact=False))
        else:
            relations.append(stacked(len(shape), axis, number, len(call)))
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
    # A list of sizes, some of which are unknown.
    items = [
        call.unknown_size(i) if value is None else value.item()
        for i, value in enumerate(values)
    ]
    return [np.array(items, dtype=object)]


register("Pack", Op(_pack, _pack_shape, _pack_values))


# --- Space to batch, to depth and back -----------------------------------------------


def _blocks(call: Call) -> tuple[list[int], list[int]]:
    """Returns the block sizes, and the padding or crop before the first position."""
    if call.node.has("block_size"):
        size = call.number("block_size")
        blocks: list[Any] = [size, size]
        offsets = call.integers(1)
    else:
        known = call.integers(1)
        if known is None:
            call.fail("has an unknown block shape")
        blocks, offsets = known, call.integers(2)
    if offsets is None or not all(isinstance(v, int) for v in (*blocks, *offsets[::2])):
        call.fail("has an unknown block shape, or unknown paddings or crops")
    for block in blocks:
        checked_block(call, block)
    if len(offsets) != 2 * len(blocks):
        call.fail(f"has the block shape {blocks}, but {len(offsets)} paddings")
    return blocks, [int(v) for v in offsets[::2]]  # type: ignore[arg-type]


def _ends(call: Call) -> list[Size]:
    offsets = call.integers(1 if call.node.has("block_size") else 2)
    return [] if offsets is None else offsets[1::2]


def _checked_shape(call: Call, blocks: list[int]) -> tuple[Size, ...]:
    shape = call.shape(0)
    if shape is None:
        return call.known_shape(0, len(blocks) + 2)
    if len(shape) <= len(blocks):
        call.fail(
            f"requires an input with more than {len(blocks)} axes, but its input has "
            f"{len(shape)}"
        )
    return shape


def _space_to_batch(call: Call, output: int) -> Relations:
    blocks, paddings = _blocks(call)
    found = space_to_batch(_checked_shape(call, blocks), blocks, paddings)
    return [found, *[None] * (len(call) - 1)]


def _space_to_batch_shape(call: Call) -> Sequence[Shape]:
    blocks, paddings = _blocks(call)
    shape = _checked_shape(call, blocks)
    return [space_to_batch_shape(call, shape, blocks, paddings, _ends(call))]


def _folds(node: Node) -> bool:
    """Returns whether a node moves positions into the batch."""
    op = rule_of(node)
    return op is not None and op.relations is _space_to_batch


def _copied_from(node: Node) -> Iterator[Node]:
    """Yields the nodes below a node, ending with the first that does more than copy."""
    while node.inputs:
        node = node.graph.nodes[node.inputs[0][0]]
        yield node
        op = rule_of(node)
        if op is None or op.taps is not Taps.COPY:
            return


def _folded(call: Call) -> tuple[Node, Size] | None:
    """Returns the layer between SpaceToBatch and this op, and this op's output size.

    The layer also computes elements for the padding of the last blocks, which this op
    removes. Returns None if there is no such layer.
    """
    for node in _copied_from(call.node):
        if _folds(node):
            return None
        op = rule_of(node)
        if op is not None and op.products is not None:
            folds = any(map(_folds, _copied_from(node)))
            return (node, product(call.output_shape() or ())) if folds else None
    return None


def _batch_to_space(call: Call, output: int) -> Relations:
    blocks, crops = _blocks(call)
    found = batch_to_space(call, _checked_shape(call, blocks), blocks, crops)
    return [found, *[None] * (len(call) - 1)]


def _batch_to_space_shape(call: Call) -> Sequence[Shape]:
    blocks, crops = _blocks(call)
    shape = _checked_shape(call, blocks)
    return [batch_to_space_shape(call, shape, blocks, crops, _ends(call))]


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
    return checked_block(call, call.number("block_size"))


def _depth_op(to_space: bool) -> Op:
    def relations(call: Call, output: int) -> Relations:
        block, (axes, channel) = _block_size(call), _depth_axes(call)
        (image,) = shapes(call) if to_space else [call.known_shape(0, 4)]
        relation = depth_to_space if to_space else space_to_depth
        return [relation(image, axes, channel, block, offsets_first=True)]

    def shapes(call: Call) -> Sequence[tuple[Size, ...]]:
        block, (axes, channel) = _block_size(call), _depth_axes(call)
        shape = call.known_shape(0, 4)
        return [depth_or_space_shape(call, shape, axes, channel, block, to_space)]

    return Op(relations, shapes, layout=lambda call: (0, _depth_axes(call)[0]))


register("SpaceToDepth", _depth_op(to_space=False))
register("DepthToSpace", _depth_op(to_space=True))

weigh(
    "Reshape Squeeze ExpandDims Transpose Concat ConcatV2 Pack SpaceToBatch "
    "SpaceToBatchND BatchToSpace BatchToSpaceND SpaceToDepth DepthToSpace",
    Taps.COPY,
)

treat_zeros(
    "Reshape Squeeze ExpandDims Transpose SpaceToBatch SpaceToBatchND BatchToSpace "
    "BatchToSpaceND SpaceToDepth DepthToSpace",
    Zeros.KEPT,
)
treat_zeros("Concat ConcatV2 Pack", Zeros.BESIDE)
