"""Ops that merge, split, add, drop and permute axes."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import ANYWHERE, IDENTITY
from receptive_field.algebra.sizes import Size, divides, product
from receptive_field.relations.relation import (
    Axis,
    Factor,
    Relation,
    Slot,
    fixed,
    follow,
    merge,
    whole,
)
from receptive_field.rules.op import Call, Shape


def reshape_relation(below: tuple[Size, ...], above: tuple[Size, ...]) -> Relation:
    """Returns the relation of a reshape.

    Args:
      below: the shape of the op's input.
      above: the shape of the op's output.
    """
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
    """Returns how the axes ``below`` follow the axes ``above``.

    ``above`` gives the sizes of the output's axes from axis ``start`` onwards. The
    sizes on both sides are split into common factors, from the last axis to the first.
    If this is impossible, each axis depends on all axes above in an unknown way.
    """
    axes: list[Axis] = []
    unknown = [whole(range(start, start + len(above)), ANYWHERE)] * len(below)
    position = len(above) - 1
    inner: Size = 1  # The product of the factors already taken from the axis above.
    for size in reversed(below):
        factors: list[Factor] = []
        rest = size
        while rest != 1:
            while position >= 0 and above[position] == inner:
                position, inner = position - 1, 1
            free = divides(inner, above[position]) if position >= 0 else None
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


def filled_in(call: Call, shape: Shape, sizes: Sequence[Size]) -> tuple[Size, ...]:
    """Returns the sizes of a reshape, with a -1 replaced by the size that it implies.

    If this size is unknown, it becomes a new symbol.

    Raises:
      GraphError: if the input has another number of values.
    """
    found = list(sizes)
    if -1 in found:
        hole = found.index(-1)
        others = product(size for size in found if size != -1)
        count = None if shape is None else divides(others, product(shape))
        found[hole] = call.unknown_size(hole) if count is None else count
    given, wanted = product(shape or ()), product(found)
    known = shape is not None and isinstance(given, int) and isinstance(wanted, int)
    if known and given != wanted:
        call.fail(f"cannot reshape {given} values to the shape {found}")
    return tuple(found)


def without_axes(rank: int, gone: Sequence[int]) -> Relation:
    """Returns the relation to a tensor from which axes of size one are dropped.

    ``rank`` is the rank of that tensor, and ``gone`` are the dropped axes.
    """
    kept = iter(range(rank))
    axes = [fixed(0, 0) if a in gone else follow(next(kept)) for a in range(rank)]
    return Relation(tuple(axes))


def with_axis(rank: int, axis: int) -> Relation:
    """Returns the relation to a tensor into which ``axis`` is inserted.

    ``rank`` is the rank of the result.
    """
    return Relation(tuple(follow(a) for a in range(rank) if a != axis))


def checked_permutation(call: Call, values: Sequence[Size], rank: int) -> list[int]:
    """Returns a permutation of the axes of a tensor, as integers.

    Raises:
      GraphError: if ``values`` does not contain each axis exactly once.
    """
    if set(values) != set(range(rank)) or len(values) != rank:
        call.fail(
            f"has the permutation {values}, which does not fit an input of rank {rank}"
        )
    return [int(v) for v in values]  # type: ignore[arg-type]


def permuted(permutation: Sequence[int]) -> Relation:
    """Returns the relation to a tensor whose axes are permuted."""
    axes = [follow(permutation.index(axis)) for axis in range(len(permutation))]
    return Relation(tuple(axes))
