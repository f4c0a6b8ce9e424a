"""Rules for reshapes, joins, and ops that move positions into channels."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.sizes import Size, product
from receptive_field.arrays import np
from receptive_field.frameworks.onnx.ops.registry import (
    is_given,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import Relation, follow
from receptive_field.rules.blocks import (
    checked_block,
    depth_or_space_shape,
    depth_to_space,
    space_to_depth,
)
from receptive_field.rules.joining import joined, joined_axis, joined_shape
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
)
from receptive_field.rules.reshaping import (
    checked_permutation,
    filled_in,
    permuted,
    reshape_relation,
    without_axes,
)

# --- Reshape -------------------------------------------------------------------------


def _reshaped(call: Call) -> Shape:
    shape, sizes = call.shape(0), call.integers(1)
    if sizes is None:
        return call.unknown_shape(call.shape(1))
    if 0 in sizes and not call.number("allowzero", 0):
        if shape is None:
            return None
        if any(size == 0 and axis >= len(shape) for axis, size in enumerate(sizes)):
            call.fail(f"copies the size of an axis that {call.name(0)} does not have")
        sizes = [shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return filled_in(call, shape, sizes)


def _of_reshape(call: Call, below: Shape, above: Shape) -> Relations:
    rest = [call.all_of(i) for i in range(1, len(call))]
    if below is None or above is None:
        return [call.all_of(0, exact=False), *rest]
    return [reshape_relation(below, above), *rest]


def _reshape(call: Call, output: int) -> Relations:
    return _of_reshape(call, call.shape(0), call.output_shape())


def _reshape_value(call: Call) -> Sequence[Value]:
    value, shape = call.value(0), _reshaped(call)
    if value is None or shape is None or not all(isinstance(s, int) for s in shape):
        return [None]
    return [value.reshape(shape)]


register("Reshape", Op(_reshape, lambda call: [_reshaped(call)], _reshape_value))


def _flat(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [(call.unknown_size(0), call.unknown_size(1))]
    axis = call.number("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        call.fail(f"refers to axis {axis} of an input of rank {len(shape)}")
    axis += len(shape) if axis < 0 else 0
    return [(product(shape[:axis]), product(shape[axis:]))]


register(
    "Flatten",
    Op(lambda call, output: _of_reshape(call, call.shape(0), _flat(call)[0]), _flat),
)


# --- Axes of size one ----------------------------------------------------------------


def _stated_axes(call: Call) -> tuple[bool, list[int] | None]:
    """Returns whether axes are stated, and the axes unless their values are unknown."""
    stated: Sequence[Size] | None = call.numbers("axes")
    if stated is None and is_given(call, 1):
        stated = call.integers(1)
        return True, None if stated is None else [int(a) for a in stated]  # type: ignore[arg-type]
    return stated is not None, None if stated is None else list(stated)  # type: ignore[arg-type]


def _squeezed(call: Call) -> list[int] | None:
    """Returns the axes that a Squeeze removes, or None if they are unknown."""
    shape, (are_stated, stated) = call.shape(0), _stated_axes(call)
    if shape is None or (are_stated and stated is None):
        return None
    if stated is None:
        return [axis for axis, size in enumerate(shape) if size == 1]
    axes = sorted(call.axis(axis, len(shape)) for axis in stated)
    for axis in axes:
        if isinstance(shape[axis], int) and shape[axis] != 1:
            call.fail(f"drops axis {axis}, which must have size 1, not {shape[axis]}")
    return axes


def _squeeze_shape(call: Call) -> Sequence[Shape]:
    shape, gone = call.shape(0), _squeezed(call)
    if shape is None or gone is None:
        return [None]
    return [tuple(size for axis, size in enumerate(shape) if axis not in gone)]


def _squeeze(call: Call, output: int) -> Relations:
    shape, gone = call.shape(0), _squeezed(call)
    rest = [None] * (len(call) - 1)
    if shape is None or gone is None:
        return [call.all_of(0, exact=False), *rest]
    return [without_axes(len(shape), gone), *rest]


def _squeeze_value(call: Call) -> Sequence[Value]:
    value, gone = call.value(0), _squeezed(call)
    return [None if value is None or gone is None else np.squeeze(value, tuple(gone))]


register("Squeeze", Op(_squeeze, _squeeze_shape, _squeeze_value))


def _new_axes(call: Call) -> tuple[int, list[int]] | None:
    """Returns the rank of the output of an Unsqueeze, and its new axes, if known."""
    shape, (_, stated) = call.shape(0), _stated_axes(call)
    if shape is None or stated is None:
        return None
    rank = len(shape) + len(stated)
    return rank, sorted(call.axis(axis, rank) for axis in stated)


def _unsqueeze_shape(call: Call) -> Sequence[Shape]:
    shape, new = call.shape(0), _new_axes(call)
    if shape is None or new is None:
        return [None]
    rest = iter(shape)
    return [tuple(1 if axis in new[1] else next(rest) for axis in range(new[0]))]


def _unsqueeze(call: Call, output: int) -> Relations:
    new, rest = _new_axes(call), [None] * (len(call) - 1)
    if new is None:
        return [call.all_of(0, exact=False), *rest]
    kept = (axis for axis in range(new[0]) if axis not in new[1])
    return [Relation(tuple(map(follow, kept))), *rest]


def _unsqueeze_value(call: Call) -> Sequence[Value]:
    value, new = call.value(0), _new_axes(call)
    if value is None or new is None:
        return [None]
    return [np.expand_dims(value, tuple(new[1]))]


register("Unsqueeze", Op(_unsqueeze, _unsqueeze_shape, _unsqueeze_value))


# --- Transpose -----------------------------------------------------------------------


def _permutation(call: Call) -> list[int] | None:
    """Returns the input axis of each output axis; by default, the order is reversed."""
    shape, stated = call.shape(0), call.numbers("perm")
    if not stated:
        return None if shape is None else list(range(len(shape)))[::-1]
    rank = len(stated) if shape is None else len(shape)
    return checked_permutation(call, stated, rank)


def _transpose_shape(call: Call) -> Sequence[Shape]:
    shape, permutation = call.shape(0), _permutation(call)
    if permutation is None:
        return [None]
    if shape is None:
        return [tuple(call.unknown_size(a) for a in range(len(permutation)))]
    return [tuple(shape[axis] for axis in permutation)]


def _transpose(call: Call, output: int) -> Relations:
    permutation = _permutation(call)
    if permutation is None:
        return [call.all_of(0, exact=False)]
    return [permuted(permutation)]


def _transpose_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    if value is None:
        return [None]
    return [np.transpose(value, call.numbers("perm") or None)]


register("Transpose", Op(_transpose, _transpose_shape, _transpose_value))


# --- Concat --------------------------------------------------------------------------


def _join_axis(call: Call) -> int | None:
    shapes = [call.shape(number) for number in range(len(call))]
    return joined_axis(call, shapes, call.number("axis", 1))


def _concat(call: Call, output: int) -> Relations:
    return joined(call, range(len(call)), _join_axis(call))


def _concat_shape(call: Call) -> Sequence[Shape]:
    shapes = [call.shape(number) for number in range(len(call))]
    return [joined_shape(call, shapes, _join_axis(call))]


def _concat_value(call: Call) -> Sequence[Value]:
    values = [call.value(number) for number in range(len(call))]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        return [np.concatenate(known, call.number("axis", 1))]
    shapes = [call.shape(number) for number in range(len(call))]
    if any(shape is None or len(shape) != 1 for shape in shapes):
        return [None]
    # A list of sizes, some of which are unknown.
    items: list[Size] = []
    for value, shape in zip(values, shapes, strict=True):
        if value is not None:
            items += value.tolist()
        elif shape and isinstance(shape[0], int) and len(items) + shape[0] <= _SIZES:
            items += [call.unknown_size(len(items) + i) for i in range(shape[0])]
        else:
            return [None]
    return [np.array(items, dtype=object)]


_SIZES = 16
"""The length of the longest list that is taken to be a shape."""

register("Concat", Op(_concat, _concat_shape, _concat_value))


# --- Between depth and space ---------------------------------------------------------


def _depth_op(to_space: bool) -> Op:
    def block_of(call: Call) -> int:
        return checked_block(call, call.number("blocksize"))

    def relations(call: Call, output: int) -> Relations:
        (image,) = shapes(call) if to_space else [call.known_shape(0, 4)]
        relation = depth_to_space if to_space else space_to_depth
        first = call.text("mode", "DCR") == "DCR"
        return [relation(image, [2, 3], 1, block_of(call), first)]

    def shapes(call: Call) -> Sequence[tuple[Size, ...]]:
        shape = call.known_shape(0, 4)
        return [depth_or_space_shape(call, shape, [2, 3], 1, block_of(call), to_space)]

    return Op(relations, shapes, layout=lambda call: (0, (2, 3)))


register("DepthToSpace", _depth_op(to_space=True))
register("SpaceToDepth", _depth_op(to_space=False))

weigh(
    "Reshape Flatten Squeeze Unsqueeze Transpose Concat SpaceToDepth DepthToSpace",
    Taps.COPY,
)
treat_zeros(
    "Reshape Flatten Squeeze Unsqueeze Transpose SpaceToDepth DepthToSpace", Zeros.KEPT
)
treat_zeros("Concat", Zeros.BESIDE)
