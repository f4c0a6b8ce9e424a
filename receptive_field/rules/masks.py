"""Ops in which a mask chooses between two tensors at each position.

If the values of the mask are known, each tensor is seen only where it is chosen. A mask
that depends on the input, or is drawn at random, may choose either tensor at any
position. Any other mask gives an upper bound, unless both tensors see the same
positions of the tensor where all their paths meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from receptive_field.algebra.axis_map import IDENTITY, AxisMap, constant, selection
from receptive_field.arrays import np
from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import (
    ALL_BOUND,
    SAME,
    Piece,
    Relation,
    follow,
    followed_axes,
    local,
    part,
    ranked,
    through,
)
from receptive_field.rules.elementwise import (
    broadcast_relations,
    broadcast_shapes,
    computed,
)
from receptive_field.rules.op import Call, Op, Relations, Taps, Value, rule_at, rule_of

Flags: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"


def _select(call: Call, output: int) -> Relations:
    call.input(2)  # Raises if there is no such input.
    return selected(call, 0, 1, 2)


def selected(call: Call, condition: int, one: int | None, two: int | None) -> Relations:
    """Returns the relations of an op that chooses between two inputs that broadcast.

    Args:
      call: the op.
      condition: the number of the input with the mask.
      one, two: the numbers of the inputs that are chosen where the mask is true, and
        where it is false; None for a number that is not an input.
    """
    broadcast = broadcast_relations(call, 0)
    found: list[Relation | None] = [*broadcast]
    shape, mask = call.output_shape(), _mask(call, condition)
    if mask is not None and shape is not None:
        mask = mask.reshape((1,) * (len(shape) - mask.ndim) + mask.shape)
    sides = [SAME if n is None else broadcast[n] for n in (one, two)]
    parts = _sides(call, sides[0], sides[1], mask, condition, (one, two))
    if mask is not None:
        found[condition] = None
    for number, relation in zip((one, two), parts, strict=True):
        if number is not None:
            found[number] = relation
    return found


def _select_rows(call: Call, output: int) -> Relations:
    """Returns the relations of an op whose condition may choose whole rows.

    The condition chooses rows if its rank is lower than that of the data.
    """
    call.input(2)  # Raises if there is no such input.
    condition, data, mask = call.shape(0), call.shape(1), _mask(call)
    rows = SAME
    if condition is not None and data is not None and len(condition) < len(data):
        rows = Relation(tuple(map(follow, range(len(condition)))))
        if mask is not None:
            mask = mask.reshape(mask.shape + (1,) * (len(data) - mask.ndim))
    return [None if mask is not None else rows, *_sides(call, SAME, SAME, mask)]


def _mask(call: Call, condition: int = 0) -> Flags | None:
    value: Value = call.value(condition)
    return value if value is not None and value.dtype.kind == "b" else None


def _sides(
    call: Call,
    one: Relation,
    two: Relation,
    mask: Flags | None,
    condition: int = 0,
    numbers: tuple[int | None, int | None] = (1, 2),
) -> Relations:
    """Returns the relations to the two inputs that a mask chooses between.

    ``one`` and ``two`` relate the output to these inputs wherever they are chosen, and
    ``numbers`` are the numbers of the inputs. The mask is None if its values are
    unknown.
    """
    if mask is None and call.varies(call.input(condition)):
        return [one, two]
    if mask is not None and (mask.all() or not mask.any()):
        return [one if mask.all() else None, None if mask.all() else two]
    inputs = [number for number in numbers if number is not None]
    both = len(inputs) == 2 and all(map(call.carries, inputs))
    shape = call.output_shape()
    varying = () if mask is None else _varying(mask)
    if both and shape is not None and mask is not None and len(varying) == 1:
        (axis,) = varying
        flags = np.moveaxis(mask, axis, 0).reshape(mask.shape[axis], -1)[:, 0]
        return [
            piece_of(side, len(shape), axis, places)
            for side, places in ((one, flags), (two, ~flags))
        ]
    if both and call.is_alike(*inputs):
        return [one, two]
    if shape is None:
        return [ALL_BOUND] * 2
    masks = (None, None) if mask is None else (mask, ~mask)
    return [
        chosen(side, len(shape), flags)
        for side, flags in zip((one, two), masks, strict=True)
    ]


def _varying(mask: Flags) -> Sequence[int]:
    """Returns the axes along which the mask is not constant."""
    firsts = (mask.take([0], axis) for axis in range(mask.ndim))
    return [axis for axis, first in enumerate(firsts) if (mask != first).any()]


MASKING = 1e4
"""If a score is larger than others by this number, they have no weight in a softmax."""


def added(call: Call, output: int) -> Relations:
    """Returns the relations of an op that adds or subtracts inputs that broadcast.

    One of them may be a constant that masks the others. Where it is infinite, the sum
    does not depend on them. Where it is a large number, it does, but a softmax of the
    sum may not, so the relations are upper bounds.
    """
    return _beside_constants(call, _large, lambda value: np.isinf(value))


def _large(value: Any) -> Any:
    return abs(value) >= MASKING


def adds_mask(call: Call, op: Op | None) -> bool:
    """Returns whether an op that sums up products also adds a constant mask to them."""
    added = None if op is None else op.added
    if added is None or added >= len(call):
        return False
    return _hidden(call, added, _large) is not None


def multiplied(call: Call, output: int) -> Relations:
    """Returns the relations of an op that multiplies inputs that broadcast.

    The product does not depend on the others where one is a constant zero. Constants
    that are not zero elsewhere may be weights, so only ones and zeros count as a mask.
    """

    found = list(_beside_constants(call, _zeros, lambda value: value == 0))
    shape = call.output_shape()
    for number in beside_masked(call, range(len(call))):
        side = found[number]
        if side is not None:
            found[number] = (
                ALL_BOUND if shape is None else chosen(side, len(shape), None)
            )
    return found


def _zeros(value: Any) -> Any:
    return (value == 0) & ((value == 0) | (value == 1)).all()


def beside_masked(call: Call, numbers: Sequence[int]) -> set[int]:
    """Returns the places of the factors of products that others may make irrelevant.

    Where a mask has made a factor zero, the others do not matter, so the relations to
    the others are upper bounds. ``numbers`` are the numbers of the inputs that are the
    factors.
    """
    factors = {place for place, number in enumerate(numbers) if call.carries(number)}
    found = set[int]()
    for place in factors if len(factors) > 1 else ():
        if is_masked(call, numbers[place]):
            found |= factors - {place}
    return found


def _beside_constants(
    call: Call, hidden: Callable[[Any], Any], certain: Callable[[Any], Any]
) -> Relations:
    """Returns the relations to inputs that broadcast, some of which may be masks.

    Args:
      call: the op.
      hidden: returns where a constant may hide the other inputs.
      certain: returns whether the constant hides them for sure, for values at those
        positions. Otherwise, the relations are upper bounds.
    """
    found: list[Relation | None] = [*broadcast_relations(call, 0)]
    for number in range(len(call)):
        masked, shape = _hidden(call, number, hidden), call.output_shape()
        if masked is None or shape is None:
            continue
        left: Flags | None = None
        value: Any = call.value(number)
        if certain(value[masked]).all():
            left = ~masked.reshape((1,) * (len(shape) - masked.ndim) + masked.shape)
        for other, side in enumerate(found):
            if other != number and side is not None:
                found[other] = chosen(side, len(shape), left)
    return found


def _hidden(call: Call, number: int, hidden: Callable[[Any], Any]) -> Flags | None:
    """Returns where an input hides others, or None if it is no mask."""
    value = call.value(number) if _may_be_mask(call, number) else None
    if value is None or value.dtype.kind not in "fb" or value.size < 2:
        return None
    masked: Flags = hidden(value)
    return masked if masked.any() and not masked.all() else None


def _may_be_mask(call: Call, number: int) -> bool:
    """Returns whether an input is made of constants, one of which may be a mask.

    This is quick, and needs no arrays.
    """
    graph, known = call.node.graph, call.knowledge
    waiting, seen = [call.input(number)[0]], set[int]()
    masking = False
    while waiting and len(seen) < MOST_OF_MASK:
        index = waiting.pop()
        op = rule_at(graph, index)
        if op is None or op.values is None:
            return False
        seen.add(index)
        read = op.numbers
        if read is not None:
            numbers = read(Call(graph.nodes[index], known)) or ()
            some = [abs(n) for n in numbers if type(n) in (float, bool)]
            masking |= any(n == 0 or n >= MASKING for n in some)
        below = {node for node, _ in graph.inputs[index]}
        masking |= read is None and not below
        waiting += below - seen
    return masking and not waiting


MOST_OF_MASK = 32
"""The most nodes of which a mask is computed."""


def is_masked(call: Call, number: int) -> bool:
    """Returns whether a mask may have made an input zero at some positions.

    The mask may come before a softmax, or anything else that looks at no other tensor.
    A mask that depends on the input hides no position for good.
    """
    graph, known, sight = call.node.graph, call.knowledge, call.sight
    waiting, seen = [call.input(number)], set[Tensor]()
    while waiting:
        tensor = waiting.pop()
        below = Call(graph.nodes[tensor[0]], known, sight)
        op = rule_of(below.node)
        if tensor in seen or op is None or op.relations is None:
            continue
        seen.add(tensor)
        if adds_mask(below, op):
            return True
        if op.taps in _MIXING:
            continue
        if op.products is not None or op.windows is not None:
            continue
        carrying = [n for n in range(len(below)) if below.carries(n)]
        if op.taps is Taps.CHOICE:  # Or a part of the tensor is written over.
            found = below.relations(op, tensor[1])
            hidden = [n for n in carrying if not _is_seen_everywhere(found[n])]
            if any(_depends(below, below.input(n)) for n in hidden):
                return True
        elif op.relations in _HIDING:
            hides = _HIDING[op.relations]
            if any(_hidden(below, n, hides) is not None for n in range(len(below))):
                return True
        waiting += map(below.input, carrying)
    return False


def _is_seen_everywhere(side: Relation | None) -> bool:
    """Returns whether an op hides no position of a tensor, if it reads it at all.

    Such a tensor is at most broadcast.
    """
    if side is None:
        return True
    if side.any_rank:
        return side == SAME
    return not side.parts and all(
        any(axis in (follow(a), follow(a, constant(0, 0))) for a in followed_axes(axis))
        for axis in side.axes
    )


_HIDING = {added: _large, multiplied: _zeros}
"""Where the constants of an op may hide its other inputs."""


def _depends(call: Call, tensor: Tensor) -> bool:
    """Returns whether the values of a tensor depend on the input of the question.

    `Call.carries` also counts tensors of which only the shape depends on it.
    """
    graph, waiting, seen = call.node.graph, [tensor], set[Tensor]()
    while waiting:
        below = waiting.pop()
        node = Call(graph.nodes[below[0]], call.knowledge, call.sight)
        op = rule_of(node.node)
        if not len(node) or op is None:
            return True
        seen.add(below)
        if not op.values_need_shapes:
            read = map(node.input, filter(node.carries, range(len(node))))
            waiting += set(read) - seen
    return False


_MIXING = Taps.SUM, Taps.MEAN, Taps.WEIGHTS, Taps.WINNER
"""How ops weight positions that make other numbers of zeros."""


def piece_of(side: Relation, rank: int, axis: int, chosen: Flags) -> Relation:
    """Returns the relation to a tensor that is chosen at some positions of one axis."""
    edges = np.flatnonzero(np.diff(chosen, prepend=False, append=False)).tolist()
    ranges = tuple(map(range, edges[::2], edges[1::2]))
    below = ranked(side, rank)
    if not below.axes:  # No axis can record where a single number is chosen.
        return ALL_BOUND
    return part(below, axis, Piece(axis, ranges, len(chosen), side != SAME))


def chosen(side: Relation, rank: int, mask: Flags | None) -> Relation:
    """Returns the relation to a tensor that is chosen where a mask is true.

    On each axis, the relation keeps the positions at which the mask has any true value.
    The relation is exact if the mask is true at every combination of these positions,
    and an upper bound otherwise. If the mask is None, the relation is an upper bound
    that keeps all positions.
    """
    maps: list[AxisMap] = [IDENTITY] * rank
    varying: Sequence[int] = ()
    exact = False
    if mask is not None:
        varying = _varying(mask)
        others = [tuple(a for a in range(mask.ndim) if a != axis) for axis in varying]
        sets = [mask.any(axis=rest, keepdims=True) for rest in others]
        alike = tuple(axis for axis in range(mask.ndim) if axis not in varying)
        count = int(mask.any(axis=alike).sum())
        exact = count == math.prod(int(flags.sum()) for flags in sets)
        for axis, flags in zip(varying, sets, strict=True):
            if not flags.all():
                maps[axis] = selection(flags.ravel().tolist())
    below = ranked(side, rank)
    if not below.axes:
        return ALL_BOUND
    found = through(local(maps if exact else [m.as_bound() for m in maps]), below)
    assert found is not None
    for axis in set(varying).difference(*map(followed_axes, below.axes)):
        found = part(found, axis)  # No axis below records the choice along this axis.
    return found


ADDED = Op(added, broadcast_shapes, taps=Taps.COPY, is_pointwise=True)
"""The rules of an op that adds inputs, of which one may be a mask of attention."""

SUBTRACTED = ADDED._replace(taps=Taps.FACTOR)
"""The rules of an op that subtracts, where one input may be a mask of attention."""

MULTIPLIED = ADDED._replace(relations=multiplied, taps=Taps.FACTOR)
"""The rules of an op that multiplies inputs, of which one may be a mask."""

SELECT = Op(
    _select, broadcast_shapes, computed("where"), chooses=True, taps=Taps.CHOICE
)
"""The rules of an op whose mask and two tensors broadcast against each other."""

SELECT_ROWS = Op(
    _select_rows, lambda call: [call.shape(1)], chooses=True, taps=Taps.CHOICE
)
"""The rules of an op whose mask may be a vector that chooses whole rows."""
