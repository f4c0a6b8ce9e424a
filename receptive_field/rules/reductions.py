"""Ops that combine positions along axes: reductions, softmax, spectra, running sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import (
    GLOBAL,
    GLOBAL_BOUND,
    IDENTITY,
    AxisMap,
    constant,
    one_sided,
)
from receptive_field.algebra.sizes import Size
from receptive_field.arrays import np
from receptive_field.relations.relation import Axis, Relation, follow, local, whole
from receptive_field.rules.op import Call, Op, Relations, Shape, Value


def reduced(rank: int, gone: Sequence[int], keeps: bool) -> Relation:
    """Returns the relation to a tensor that is reduced along the axes ``gone``.

    ``keeps`` says whether these axes remain in the result, with size one.
    """
    axes, position = [], 0
    for axis in range(rank):
        kept = axis not in gone or keeps
        gone_with = whole([position] if kept else [])
        axes.append(gone_with if axis in gone else follow(position))
        position += kept
    return Relation(tuple(axes))


def reduced_shape(
    shape: Sequence[Size], gone: Sequence[int], keeps: bool
) -> tuple[Size, ...]:
    """Returns the shape after a reduction; see `reduced` for the arguments."""
    if keeps:
        return tuple(1 if axis in gone else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


Axes = Callable[[Call], "list[int] | None"]
"""Returns the axes that a call reduces; None if they are unknown."""

Keeps = Callable[[Call], bool]
"""Returns whether the reduced axes remain in the result of a call."""


def reducing(axes: Axes, keeps: Keeps, function: str | None = None) -> Op:
    """Returns the rules of an op that reduces its first input along axes.

    ``function`` is the name of the NumPy function that computes constant values; None
    if they are never needed.
    """

    def relations(call: Call, output: int) -> Relations:
        shape, gone = call.shape(0), axes(call)
        rest = [None] * (len(call) - 1)
        if shape is None or gone is None:
            return [call.all_of(0, exact=False), *rest]
        return [reduced(len(shape), gone, keeps(call)), *rest]

    def shapes(call: Call) -> Sequence[Shape]:
        shape, gone = call.shape(0), axes(call)
        if shape is None or gone is None:
            return [None]
        return [reduced_shape(shape, gone, keeps(call))]

    def values(call: Call) -> Sequence[Value]:
        value, gone = call.value(0), axes(call)
        if value is None or gone is None or not value.size or function is None:
            return [None]
        reduce = getattr(np, function)
        try:
            return [np.asarray(reduce(value, axis=tuple(gone), keepdims=keeps(call)))]
        except TypeError:
            return [None]  # Unknown sizes cannot be compared.

    return Op(relations, shapes, None if function is None else values)


def along_last(count: int, seen: AxisMap = GLOBAL) -> Callable[[Call, int], Relations]:
    """Returns an `Op.relations` for ops that combine positions along the last axes.

    ``count`` is the number of these axes. ``seen`` maps a position to the positions of
    such an axis that it sees, by default all of them.
    """

    def relations(call: Call, output: int) -> Relations:
        rest = [None] * (len(call) - 1)
        shape = call.shape(0)
        if shape is None:
            return [call.all_of(0, exact=False), *rest]
        if len(shape) < count:
            call.fail(
                f"requires an input with at least {count} axes, but its input has "
                f"{len(shape)}"
            )
        first = len(shape) - count
        last = (whole([axis], seen) for axis in range(first, len(shape)))
        return [Relation((*map(follow, range(first)), *last)), *rest]

    return relations


def along(
    axes: Sequence[int], seen: AxisMap = GLOBAL
) -> Callable[[Call, int], Relations]:
    """Returns an `Op.relations` for ops that combine positions along some axes.

    ``axes`` are axes of the first input, and its other axes follow themselves. ``seen``
    has the same meaning as in `along_last`.
    """

    def relations(call: Call, output: int) -> Relations:
        rest = [call.all_of(i) for i in range(1, len(call))]
        shape = call.shape(0)
        if shape is None:
            return [call.all_of(0, exact=False), *rest]
        kept = [follow(axis) for axis in range(len(shape))]
        for axis in axes:
            if not -len(shape) <= axis < len(shape):
                call.fail(f"requires axis {axis}, but its input has rank {len(shape)}")
            place = axis % len(shape)
            kept[place] = whole([place], seen)
        return [Relation(tuple(kept)), *rest]

    return relations


def spectrum(
    call: Call, shape: Sequence[Size], lengths: Sequence[Size | None], real: bool
) -> Relation:
    """Returns the relation of a real Fourier transform, or its inverse, to the input.

    ``lengths`` gives the length of the transform along each of the last axes, or None
    where it is unknown. The op pads shorter axes with zeros and cuts off longer ones.
    If the input is not ``real``, it is half of a spectrum, so the op reads only
    ``length // 2 + 1`` positions of the last axis.

    Raises:
      GraphError: if one of the lengths is less than 1.
    """
    read = list(lengths)
    if any(isinstance(length, int) and length < 1 for length in read):
        call.fail(f"has transforms of lengths {read}; each length must be at least 1")
    if not real:
        last = read[-1]
        read[-1] = last // 2 + 1 if isinstance(last, int) else None
    first = len(shape) - len(read)
    axes = map(read_from_start, range(first, len(shape)), shape[first:], read)
    return Relation((*map(follow, range(first)), *axes))


def read_from_start(axis: int, size: Size, read: Size | None) -> Axis:
    """Returns the axis of a relation that needs the first ``read`` positions."""
    if isinstance(read, int) and isinstance(size, int):
        return whole([axis]) if read >= size else follow(axis, constant(0, read - 1))
    return whole([axis], GLOBAL if read == size else GLOBAL_BOUND)


def accumulated(rank: int, axis: int, own: bool, reverse: bool) -> Relation:
    """Returns the relation of a running sum, or another running result, along an axis.

    Each position depends on all positions before it or, with ``reverse``, on all
    positions after it. ``own`` says whether it also depends on itself.
    """
    left_out = int(not own)
    maps: list[AxisMap | None] = [IDENTITY] * rank
    maps[axis] = one_sided(first=left_out) if reverse else one_sided(last=-left_out)
    return local(maps)
