"""Ops that join tensors along an axis, either an existing one or a new one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache

from receptive_field.algebra.axis_map import IDENTITY, AxisMap, shift
from receptive_field.algebra.sizes import Size
from receptive_field.relations.relation import (
    Piece,
    Relation,
    follow,
    local,
    moved,
    part,
)
from receptive_field.rules.op import Call, Shape


def joined_axis(call: Call, shapes: Sequence[Shape], axis: int | None) -> int | None:
    """Returns the axis along which tensors are joined, counted from the front.

    Returns None if ``axis`` is None or no rank is known.

    Raises:
      GraphError: if the tensors differ in rank or do not have this axis.
    """
    known = [shape for shape in shapes if shape is not None]
    if len(set(map(len, known))) > 1:
        call.fail(f"joins inputs of different ranks: {known}")
    return call.axis(axis, len(known[0])) if known and axis is not None else None


def joined_shape(call: Call, shapes: Sequence[Shape], axis: int | None) -> Shape:
    """Returns the shape of tensors joined along an axis; None if the axis is unknown.

    Raises:
      GraphError: if the tensors differ along another axis.
    """
    known = [shape for shape in shapes if shape is not None]
    if axis is None:
        return None
    total = sum((shape[axis] for shape in known), start=0)
    whole = list(known[0])
    whole[axis] = total if len(known) == len(shapes) else call.unknown_size(axis)
    for other, size in enumerate(whole):
        if other == axis:
            continue
        sizes = [shape[other] for shape in known]
        numbers = {s for s in sizes if isinstance(s, int)}
        if len(numbers) > 1:
            call.fail(
                f"joins inputs of shapes {known} along axis {axis}, but the shapes "
                "differ along another axis"
            )
        call.meet(sizes)
        whole[other] = min(numbers, default=size)
    return tuple(whole)


def joined(
    call: Call,
    numbers: Sequence[int],
    axis: int | None,
    shapes: Mapping[int, Shape] | None = None,
) -> list[Relation | None]:
    """Returns the relations to inputs that are joined along an axis, in order.

    Args:
      call: the op.
      numbers: the numbers of these inputs in the same order.
      axis: the axis; None if it is unknown.
      shapes: the shapes that the inputs are given before, by number; None if they keep
        their own.
    """
    relations: list[Relation | None] = []
    offset: Size | None = 0
    # A single part that is joined only with constants is padded by them.
    varying = (n for n in numbers if not call.is_constant(n))
    several = len(list(itertools.islice(varying, 2))) > 1
    joined = call.output_shape() if several and axis is not None else None
    for number in numbers:
        shape = call.shape(number) if shapes is None else shapes[number]
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
    return relations


@lru_cache(maxsize=1024)
def _part(
    rank: int, axis: int, place: AxisMap, varies: bool, piece: Piece | None
) -> Relation:
    """Returns the relation to a joined input; ``place`` maps the joined axis to it."""
    relation = local(place if a == axis else IDENTITY for a in range(rank))
    return part(relation, axis, piece) if varies else relation


def _piece(axis: int, offset: Size | None, size: Size, total: Size) -> Piece | None:
    if isinstance(offset, int) and isinstance(size, int) and isinstance(total, int):
        return Piece(axis, (range(offset, offset + size),), total)
    return None


def stacked_shape(call: Call, shapes: Sequence[Shape], axis: int | None) -> Shape:
    """Returns the shape of tensors joined along a new axis.

    Returns None if the axis is unknown, or no shape is known.

    Raises:
      GraphError: if the shapes of the tensors differ.
    """
    known = [shape for shape in shapes if shape is not None]
    if axis is None or not known:
        return None
    if len(set(map(len, known))) > 1:
        call.fail(f"packs inputs of different ranks: {known}")
    for sizes in zip(*known, strict=True):
        if len({size for size in sizes if isinstance(size, int)}) > 1:
            call.fail(f"packs inputs of different shapes: {known}")
        call.meet(sizes)
    return (*known[0][:axis], len(shapes), *known[0][axis:])


def stacked(rank: int, axis: int, number: int, count: int) -> Relation:
    """Returns the relation to one of ``count`` tensors joined along a new axis.

    ``number`` is the position of the tensor on that axis.
    """
    axes = [a for a in range(rank + 1) if a != axis]
    relation = Relation(tuple(map(follow, axes)))
    if count == 1:
        return relation
    piece = Piece(axis, (range(number, number + 1),), count)
    return part(relation, axis, piece)
