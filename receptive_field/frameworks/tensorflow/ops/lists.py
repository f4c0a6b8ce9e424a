"""Rules for lists of tensors, which recurrent layers build step by step.

A list is treated as a tensor whose first axis runs over its items. It is rarely known
which item a step reads or writes. If it is unknown, every item is possible, which gives
an upper bound. TensorFlow 1's tensor arrays pass their content along as the *flow*,
which is also treated as a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.tensorflow.ops.registry import register
from receptive_field.relations.relation import (
    FULL_BOUND,
    SAME,
    Axis,
    Relation,
    fixed,
    follow,
    part,
)
from receptive_field.rules.op import Call, Op, Relations, Shape, scalar


def _only(call: Call, **numbered: Relation | None) -> Relations:
    """Returns the relations given as ``input_<number>``, and None for other inputs."""
    found: list[Relation | None] = [None] * len(call)
    for name, relation in numbered.items():
        number = int(name.removeprefix("input_"))
        call.input(number)  # Raises an error if the input is missing.
        found[number] = relation
    return found


def _item(call: Call, rank: int | None, number: int | None) -> Relation | None:
    """Returns the relation of an item to its list, which is a tensor of this rank."""
    if rank is None:
        return call.all_of(0, exact=False)
    axes: list[Axis] = [FULL_BOUND if number is None else fixed(number, number)]
    return Relation((*axes, *map(follow, range(rank - 1))))


def _written(call: Call, number: int) -> Relation:
    """Returns the relation of a list to an item that is written into it."""
    shape = call.shape(number)
    if shape is None:
        return call.all_of(number, exact=False)
    axes = tuple(follow(axis + 1) for axis in range(len(shape)))
    return part(Relation(axes), 0)


def _list_of(count: Size, item: Shape) -> Shape:
    return None if item is None else (count, *item)


def _rank(shape: Shape) -> int | None:
    return None if shape is None else len(shape)


def _element_shape(call: Call, number: int) -> Shape:
    """Returns the stated shape of an item, or None if it is unknown (a scalar -1)."""
    sizes = call.integers(number)
    if sizes is None or call.shape(number) != (len(sizes),):
        return None
    return tuple(
        call.unknown_size(axis) if size == -1 else size
        for axis, size in enumerate(sizes, start=1)
    )


def _first(call: Call, output: int) -> Relations:
    return _only(call, input_0=SAME)


def _first_shape(call: Call) -> Sequence[Shape]:
    return [call.shape(0)]


LIST = Op(_first, _first_shape, may_be_handle=True)

register("TensorListFromTensor TensorListStack", LIST)


def _resized(call: Call) -> Sequence[Shape]:
    shape, count = call.shape(0), call.integer(1)
    size = call.unknown_size(0) if count is None else count
    return [None if shape is None else (size, *shape[1:])]


register("TensorListResize", LIST._replace(shapes=_resized))


def _reserved(call: Call) -> Sequence[Shape]:
    count = call.integer(1)
    item = _element_shape(call, 0)
    return [_list_of(call.unknown_size(0) if count is None else count, item)]


register("TensorListReserve", Op(None, _reserved, may_be_handle=True))
register(
    "EmptyTensorList",
    Op(None, lambda call: [None], may_be_handle=True),
)
register("TensorListLength TensorListElementShape", Op(None, scalar))


def _get(call: Call, output: int) -> Relations:
    return _only(call, input_0=_item(call, _rank(call.shape(0)), call.integer(1)))


def _get_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    return [_element_shape(call, 2) if shape is None else shape[1:]]


register("TensorListGetItem", Op(_get, _get_shape))


def _set(call: Call, output: int) -> Relations:
    return _only(call, input_0=SAME, input_2=_written(call, 2))


def _set_shape(call: Call) -> Sequence[Shape]:
    shape, item = call.shape(0), call.shape(2)
    count = call.unknown_size(0) if shape is None else shape[0]
    return [shape if item is None else _list_of(count, item)]


register("TensorListSetItem", Op(_set, _set_shape, may_be_handle=True))


def _push(call: Call, output: int) -> Relations:
    return _only(call, input_0=SAME, input_1=_written(call, 1))


def _push_shape(call: Call) -> Sequence[Shape]:
    return [_list_of(call.unknown_size(0), call.shape(1))]


register("TensorListPushBack", Op(_push, _push_shape, may_be_handle=True))


def _pop(call: Call, output: int) -> Relations:
    if output == 0:
        return _only(call, input_0=SAME)
    return _only(call, input_0=_item(call, _rank(call.shape(0)), None))


def _pop_shapes(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None, None]
    return [(call.unknown_size(0), *shape[1:]), shape[1:]]


register("TensorListPopBack", Op(_pop, _pop_shapes, may_be_handle=True))


def _any_items(data: int) -> Callable[[Call, int], Relations]:
    """Returns a rule in which each item may be any item of the input `data`."""

    def relations(call: Call, output: int) -> Relations:
        shape = call.shape(data)
        found: list[Relation | None] = [None] * len(call)
        if shape is None:
            found[data] = call.all_of(data, exact=False)
        else:
            rest = map(follow, range(1, len(shape)))
            found[data] = Relation((FULL_BOUND, *rest))
        return found

    return relations


def _reordered(data: int) -> Callable[[Call], Sequence[Shape]]:
    def shapes(call: Call) -> Sequence[Shape]:
        shape = call.shape(data)
        return [None if shape is None else (call.unknown_size(0), *shape[1:])]

    return shapes


register(
    "TensorListGather TensorListScatter TensorListScatterV2",
    Op(_any_items(0), _reordered(0), may_be_handle=True),
)


def _joined(call: Call, output: int) -> Relations:
    """Returns relations for items that are joined along their first axis."""
    shape = call.shape(0)
    if shape is None:
        return _only(call, input_0=call.all_of(0, exact=False))
    rest = map(follow, range(1, len(shape) - 1))
    return _only(call, input_0=Relation((FULL_BOUND, FULL_BOUND, *rest)))


def _joined_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    return [None if shape is None else (call.unknown_size(0), *shape[2:]), None]


register("TensorListConcat TensorListConcatV2", Op(_joined, _joined_shape))

# --- TensorFlow 1: the flow is the list ----------------------------------------------


def _array_shapes(call: Call) -> Sequence[Shape]:
    return [(), None]


register("TensorArrayV3", Op(None, _array_shapes, may_be_handle=True))
register("TensorArraySizeV3 TensorArrayCloseV3", Op(None, scalar))


def _array_write(call: Call, output: int) -> Relations:
    return _only(call, input_2=_written(call, 2), input_3=SAME)


def _array_write_shape(call: Call) -> Sequence[Shape]:
    flow = call.shape(3)
    return [_list_of(call.unknown_size(0), call.shape(2)) if flow is None else flow]


register("TensorArrayWriteV3", Op(_array_write, _array_write_shape, may_be_handle=True))


def _array_read(call: Call, output: int) -> Relations:
    return _only(call, input_2=_item(call, _rank(call.shape(2)), call.integer(1)))


def _array_read_shape(call: Call) -> Sequence[Shape]:
    flow = call.shape(2)
    return [None if flow is None else flow[1:]]


register("TensorArrayReadV3", Op(_array_read, _array_read_shape))


def _scattered(call: Call, output: int) -> Relations:
    moved = _any_items(2)(call, output)
    return [*moved[:3], SAME]


register("TensorArrayScatterV3", Op(_scattered, _reordered(2), may_be_handle=True))
register("TensorArrayGatherV3", Op(_any_items(2), _reordered(2)))
