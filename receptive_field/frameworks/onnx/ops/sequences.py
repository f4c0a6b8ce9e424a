"""Rules for lists of tensors (sequences) and values that may be absent (optionals).

A list is treated as a tensor whose first axis runs over its items. Items of different
sizes share such a tensor: the size of an axis on which they differ is unknown, but the
size of each item is looked up where the list is made.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    IDENTITY,
    quotient,
    remainder,
    table,
)
from receptive_field.algebra.sizes import Size, ceiling_division
from receptive_field.arrays import np
from receptive_field.frameworks.onnx.ops.registry import (
    is_given,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import (
    FULL_BOUND,
    LARGEST_PERIOD,
    Axis,
    Factor,
    Piece,
    Relation,
    Slot,
    Thread,
    fixed,
    follow,
    part,
    whole,
)
from receptive_field.rules.control import PASS, common_shape
from receptive_field.rules.joining import joined_shape, stacked
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    scalar,
)
from receptive_field.rules.picking import LARGEST_TABLE

Items = list[Shape] | None
"""The shapes of the items of a list; None if it is unknown how many there are."""


def _items(call: Call, tensor: Tensor) -> Items:
    """Returns the shapes of the items of a list."""
    node = call.node.graph.nodes[tensor[0]]
    items_of = _MAKERS.get(node.op)
    if items_of is None:
        return None
    below = Call(node, call.knowledge)
    return below.once(lambda: items_of(below))


def _own(call: Call) -> Items:
    """Returns the shapes of the items of the list that a node makes."""
    return _items(call, (call.node.index, 0))


def _list_shape(call: Call) -> Sequence[Shape]:
    """Returns the shape of a tensor that holds all items of a list."""
    items = _own(call)
    if not items:
        return [None]
    item = common_shape(call, items, 0) if None not in items else None
    return [None if item is None else (len(items), *item)]


def _place(call: Call, number: int, count: int | None) -> int | None:
    """Returns the position that an input states, counted from the start of a list."""
    stated = call.integer(number)
    if stated is None or (stated < 0 and count is None):
        return None
    place = stated + (count or 0) if stated < 0 else stated
    if count is not None and not 0 <= place <= count:
        call.fail(f"refers to item {stated} of a list of {count}")
    return place


def _length(items: Items) -> int | None:
    return None if items is None else len(items)


# --- Lists that are written item by item ---------------------------------------------


def _constructed(call: Call) -> Items:
    return [call.shape(number) for number in range(len(call))]


def _construct(call: Call, output: int) -> Relations:
    shapes = [call.shape(number) for number in range(len(call))]
    count = len(shapes)
    return [
        call.all_of(number, exact=False)
        if shape is None
        else stacked(len(shape), 0, number, count)
        for number, shape in enumerate(shapes)
    ]


register("SequenceConstruct", Op(_construct, _list_shape))
register("SequenceEmpty", Op(None, lambda call: [None]))


def _inserted(call: Call) -> Items:
    items = _items(call, call.input(0))
    place = _insert_place(call, _length(items))
    if items is None or place is None:
        return None
    return [*items[:place], call.shape(1), *items[place:]]


def _insert_place(call: Call, count: int | None) -> int | None:
    return _place(call, 2, count) if is_given(call, 2) else count


def _insert(call: Call, output: int) -> Relations:
    items, shape = _items(call, call.input(0)), call.shape(1)
    count, rest = _length(items), [None] * (len(call) - 2)
    if shape is None:
        return [call.all_of(0, exact=False), call.all_of(1, exact=False), *rest]
    rank, place = len(shape), _insert_place(call, count)
    axes = tuple(follow(axis) for axis in range(1, rank + 1))
    if place is None or count is None:
        above = Relation((whole([0], ANYWHERE), *axes))
        return [part(above, 0), part(Relation(axes), 0), *rest]
    if not count:
        return [None, stacked(rank, 0, 0, 1), *rest]
    positions = [*range(place), None, *range(place, count)]
    moved = table(None if p is None else (p, p) for p in positions)
    ranges = tuple(r for r in (range(place), range(place + 1, count + 1)) if r)
    above = Relation((follow(0, moved), *axes))
    held = part(above, 0, Piece(0, ranges, count + 1))
    return [held, stacked(rank, 0, place, count + 1), *rest]


def _insert_shape(call: Call) -> Sequence[Shape]:
    (found,) = _list_shape(call)
    shape, item = call.shape(0), call.shape(1)
    if found is not None or shape is None or item is None:
        return [found]
    together = common_shape(call, [shape[1:], item], 0)
    return [None if together is None else (shape[0] + 1, *together)]


register("SequenceInsert", Op(_insert, _insert_shape))


def _erase_place(call: Call, count: int | None) -> int | None:
    if is_given(call, 1):
        return _place(call, 1, count)
    return None if count is None else count - 1


def _erased(call: Call) -> Items:
    items = _items(call, call.input(0))
    place = _erase_place(call, _length(items))
    if items is None or place is None:
        return None
    return [*items[:place], *items[place + 1 :]]


def _erase(call: Call, output: int) -> Relations:
    shape, items = call.shape(0), _items(call, call.input(0))
    rest = [None] * (len(call) - 1)
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    place = _erase_place(call, _length(items))
    kept = whole([0], ANYWHERE)
    if items is not None and place is not None:
        positions = [p for p in range(len(items)) if p != place]
        kept = follow(0, table((p, p) for p in positions))
    return [Relation((kept, *map(follow, range(1, len(shape))))), *rest]


def _erase_shape(call: Call) -> Sequence[Shape]:
    (found,), shape = _list_shape(call), call.shape(0)
    if found is not None or shape is None:
        return [found]
    return [(shape[0] - 1, *shape[1:])]


register("SequenceErase", Op(_erase, _erase_shape))


def _length_value(call: Call) -> Sequence[Value]:
    items, shape = _items(call, call.input(0)), call.shape(0)
    count = shape[0] if items is None and shape else _length(items)
    if count is None:
        return [None]
    return [np.array(count, dtype=np.int64 if isinstance(count, int) else object)]


register("SequenceLength", Op(None, scalar, _length_value, values_need_shapes=True))


# --- One item ------------------------------------------------------------------------


def _at(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False), None]
    place = _place(call, 1, _length(_items(call, call.input(0))))
    item = FULL_BOUND if place is None else fixed(place, place)
    return [Relation((item, *map(follow, range(len(shape) - 1)))), None]


def _at_shape(call: Call) -> Sequence[Shape]:
    items, shape = _items(call, call.input(0)), call.shape(0)
    place = _place(call, 1, _length(items))
    if items is not None and place is not None:
        if place >= len(items):
            call.fail(f"takes item {place} of a list of {len(items)}")
        return [items[place]]
    return [None if shape is None else shape[1:]]


register("SequenceAt", Op(_at, _at_shape))


# --- Between tensors and lists -------------------------------------------------------


def _split_axis(call: Call, shape: Sequence[Size]) -> int:
    return call.axis(call.number("axis", 0), len(shape))


def _keeps(call: Call) -> bool:
    """Returns whether the items keep the axis that is split."""
    return is_given(call, 1) or bool(call.number("keepdims", 1))


def _part_size(call: Call) -> Size | None:
    """Returns the size of all parts but the last, if they are stated to be equal."""
    if not is_given(call, 1):
        return 1
    stated = call.integers(1)
    return stated[0] if call.shape(1) == () and stated else None


def _part_sizes(call: Call) -> list[Size] | None:
    """Returns the size of each part, or None if it is unknown how many there are."""
    shape, size = call.shape(0), _part_size(call)
    if size is None:
        return call.integers(1) if call.shape(1) != () else None
    total = None if shape is None else shape[_split_axis(call, shape)]
    if not isinstance(total, int) or not isinstance(size, int) or size < 1:
        return None
    return [min(size, total - start) for start in range(0, total, size)]


def _parts(call: Call) -> Items:
    shape, sizes = call.shape(0), _part_sizes(call)
    if shape is None or sizes is None:
        return None if sizes is None else [None] * len(sizes)
    axis = _split_axis(call, shape)
    before, after = shape[:axis], shape[axis + 1 :]
    return [(*before, *[size] * _keeps(call), *after) for size in sizes]


def _split_shape(call: Call) -> Sequence[Shape]:
    (found,), shape, size = _list_shape(call), call.shape(0), _part_size(call)
    if found is not None or shape is None:
        return [found]
    axis = _split_axis(call, shape)
    count: Size = call.unknown_size(-1)
    if isinstance(size, int) and size > 0:
        count = ceiling_division(shape[axis], size)
    length = call.unknown_size(axis) if size != 1 else size
    before, after = shape[:axis], shape[axis + 1 :]
    return [(count, *before, *[length] * _keeps(call), *after)]


def _split(call: Call, output: int) -> Relations:
    shape, rest = call.shape(0), [None] * (len(call) - 1)
    if shape is None:
        return [call.all_of(0, exact=False), *rest]
    axis, keeps = _split_axis(call, shape), _keeps(call)
    axes = [follow(a + (a < axis or keeps)) for a in range(len(shape))]
    axes[axis] = _joined_parts(call, axis + 1) if keeps else follow(0)
    return [Relation(tuple(axes)), *rest]


def _joined_parts(call: Call, place: int) -> Axis:
    """Returns how an axis follows the parts that it is split into.

    ``place`` is the axis of the list that holds positions of a part.
    """
    size, sizes = _part_size(call), _part_sizes(call)
    if isinstance(size, int):
        factors = Factor(None, Slot(0), IDENTITY), Factor(size, Slot(place), IDENTITY)
        return follow(0) if size == 1 else (Thread(factors),)
    lengths = [s for s in sizes or () if isinstance(s, int)]
    longest = max(lengths, default=0)
    if sizes is None or len(lengths) < len(sizes) or not longest:
        return whole([0, place], ANYWHERE)
    if longest * len(sizes) > LARGEST_TABLE:
        return whole([0, place], ANYWHERE)
    starts = itertools.accumulate(lengths, initial=0)
    positions = [
        (start + u, start + u) if u < length else None
        for start, length in zip(starts, lengths, strict=False)
        for u in range(longest)
    ]
    factors = Factor(None, Slot(0), IDENTITY), Factor(longest, Slot(place), IDENTITY)
    return (Thread(factors, table(positions)),)


register("SplitToSequence", Op(_split, _split_shape))


def _joins_axis(call: Call, rank: int) -> int:
    """Returns the axis of the result; ``rank`` is that of the result."""
    return call.axis(call.number("axis"), rank)


def _concat(call: Call, output: int) -> Relations:
    shape, items = call.shape(0), _items(call, call.input(0))
    if shape is None:
        return [call.all_of(0, exact=False)]
    if call.number("new_axis", 0):
        new = _joins_axis(call, len(shape))
        others = (follow(a) for a in range(len(shape)) if a != new)
        return [Relation((follow(new), *others))]
    axis = _joins_axis(call, len(shape) - 1)
    axes = [whole([axis], ANYWHERE), *map(follow, range(len(shape) - 1))]
    item, size = whole([axis], ANYWHERE), shape[axis + 1]
    sizes = [s[axis] for s in items if s is not None] if items else []
    lengths = [s for s in sizes if isinstance(s, int)]
    if items and len(lengths) == len(items) and sum(lengths) <= LARGEST_TABLE:
        places = [(k, u) for k, length in enumerate(lengths) for u in range(length)]
        axes[0] = follow(axis, table((k, k) for k, _ in places))
        item = follow(axis, table((u, u) for _, u in places))
    elif size == 1:
        axes[0], item = follow(axis), fixed(0, 0)
    elif isinstance(size, int) and 0 < size <= LARGEST_PERIOD:
        axes[0], item = follow(axis, quotient(size)), follow(axis, remainder(size))
    axes[axis + 1] = item
    return [Relation(tuple(axes))]


def _concat_shape(call: Call) -> Sequence[Shape]:
    shape, items = call.shape(0), _items(call, call.input(0))
    if call.number("new_axis", 0):
        if shape is None:
            return [None]
        new = _joins_axis(call, len(shape))
        return [(*shape[1 : new + 1], shape[0], *shape[new + 1 :])]
    known = [item for item in items or () if item is not None]
    if known and len(known) == len(items or ()):
        return [joined_shape(call, known, _joins_axis(call, len(known[0])))]
    if shape is None:
        return [None]
    axis = _joins_axis(call, len(shape) - 1)
    size = shape[axis + 1]
    total = shape[0] * size if isinstance(size, int) else call.unknown_size(axis)
    return [(*shape[1 : axis + 1], total, *shape[axis + 2 :])]


register("ConcatFromSequence", Op(_concat, _concat_shape))


# --- What runs over the items of a list ----------------------------------------------

# A map that is written out reads its list, which tells how many items there are, and
# the results for one item, which is not known.


def _one_of(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(0, exact=False)]
    return [Relation((FULL_BOUND, *map(follow, range(len(shape) - 1))))]


def _one_of_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    return [None if shape is None else shape[1:]]


register("ListItem", Op(_one_of, _one_of_shape))


def _mapped(call: Call, output: int) -> Relations:
    found: list[Relation | None] = [None] * len(call)
    shape = call.shape(1 + output)
    if shape is None:
        found[1 + output] = call.all_of(1 + output, exact=False)
    else:
        # Each item of the result sees only one item, but all are followed alike.
        axes = (follow(axis + 1, IDENTITY.as_bound()) for axis in range(len(shape)))
        found[1 + output] = Relation(tuple(axes))
    return found


def _mapped_shapes(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    count = call.unknown_size(-1) if shape is None else shape[0]
    results = (call.shape(number) for number in range(1, len(call)))
    return [None if result is None else (count, *result) for result in results]


def _rounds(call: Call) -> int | None:
    """Returns the number of items that a body runs over, if it is known."""
    items = _items(call, call.input(0))
    return None if items is None else len(items)


register("SequenceMap", Op(_mapped, _mapped_shapes, rounds=_rounds))


# --- Values that may be absent -------------------------------------------------------


def _passed_on(call: Call) -> Items:
    return _items(call, call.input(0)) if len(call) else None


def _has_element(call: Call) -> Sequence[Value]:
    if not len(call):
        return [np.array(False)]
    node = call.node.graph.nodes[call.input(0)[0]]
    return [np.array(bool(len(node.inputs))) if node.op == "Optional" else None]


def _optional_shape(call: Call) -> Sequence[Shape]:
    return [call.shape(0) if len(call) else None]


register("Optional", PASS._replace(shapes=_optional_shape, values=None))
register("OptionalGetElement", PASS)
register("OptionalHasElement", Op(None, scalar, _has_element))

_MAKERS = {
    "Identity": _passed_on,
    "Optional": _passed_on,
    "OptionalGetElement": _passed_on,
    "SequenceConstruct": _constructed,
    "SequenceEmpty": lambda call: [],
    "SequenceErase": _erased,
    "SequenceInsert": _inserted,
    "SplitToSequence": _parts,
}
"""The ops that make or pass on lists -> what tells the shapes of the items."""

weigh(
    "ConcatFromSequence OptionalGetElement SequenceAt SequenceConstruct SequenceErase "
    "SequenceInsert SplitToSequence",
    Taps.COPY,
)
treat_zeros(
    "ConcatFromSequence Optional OptionalGetElement SequenceAt SplitToSequence",
    Zeros.KEPT,
)
