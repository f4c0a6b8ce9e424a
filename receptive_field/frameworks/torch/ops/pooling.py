"""Rules for pools whose windows follow the sizes, and for unpooling.

Bin u of m covers the positions from ``floor(u * n / m)`` to
``ceil((u + 1) * n / m) - 1`` of n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from receptive_field.algebra.axis_map import ANYWHERE, IDENTITY, table
from receptive_field.algebra.sizes import Size, Symbolic
from receptive_field.frameworks.torch.ops import literals
from receptive_field.frameworks.torch.ops.registry import (
    integers,
    place,
    register,
    sizes,
    treat_zeros,
    weigh,
)
from receptive_field.frameworks.torch.ops.windows import WITH_PLACES, Pooling
from receptive_field.relations.relation import (
    Axis,
    Relation,
    follow,
    whole,
    with_bounds,
)
from receptive_field.rules.flops import elements
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Zeros,
)
from receptive_field.rules.resizing import bins_map


def _spatial(call: Call, count: int) -> range:
    """Returns the spatial axes, which are the last ones."""
    rank = len(call.known_shape(0))
    if rank not in (count + 1, count + 2):
        call.fail(f"requires an input of rank {count + 2}, not {rank}")
    return range(rank - count, rank)


# --- Bins ----------------------------------------------------------------------------


class _Adaptive:
    """The rules of an adaptive pool over so many axes."""

    def __init__(self, count: int, outputs: int = 1) -> None:
        self.count = count
        self.outputs = outputs

    def new_sizes(self, call: Call) -> list[Size | None]:
        """Returns the stated sizes of the output; None if they are unknown."""
        found = sizes(call, "output_size") or []
        if len(found) == 1:
            found = found * self.count
        if len(found) != self.count:
            call.fail(f"has {len(found)} output sizes for {self.count} axes")
        return found

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relation to the data."""
        shape, axes = call.known_shape(0), _spatial(call, self.count)
        found: list[Axis] = [follow(axis) for axis in range(axes[0])]
        for axis, new in zip(axes, self.new_sizes(call), strict=True):
            size = shape[axis]
            if new == 1 and size != 1:
                found.append(whole([axis]))
                continue
            bins = None if new is None else bins_map(size, new)
            found.append(
                whole([axis], ANYWHERE) if bins is None else follow(axis, bins)
            )
        return [Relation(tuple(found))]

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shapes of the outputs."""
        shape = list(call.known_shape(0))
        axes = _spatial(call, self.count)
        for axis, new in zip(axes, self.new_sizes(call), strict=True):
            known = new is not None and _holds(call, axis, new)
            shape[axis] = new if known else call.unknown_size(axis)  # type: ignore[assignment]
        return [tuple(shape)] * self.outputs

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            layout=lambda call: (0, _spatial(call, self.count)),
            flops=lambda call: Flops.alike(elements(call), profiled=False),
        )


def _holds(call: Call, axis: int, new: Size) -> bool:
    """Returns whether the size of an output holds for the sizes in question.

    A number holds for any size of the input if a module was made with it. The module
    may also have been made to keep the size, so the two must have differed in the
    trace.
    """
    if not isinstance(call.known_shape(0)[axis], Symbolic) or not isinstance(new, int):
        return True
    if new == 1 or not literals.are_of_one_size(call):
        return True
    scopes = call.node.definition.scopes
    index, number = call.input(0)
    kind = call.node.graph.nodes[index].definition.kinds[number]
    traced = None if kind is None or kind.sizes is None else kind.sizes[axis]
    is_of_module = bool(scopes) and scopes[-1].kind.startswith("Adaptive")
    return is_of_module and isinstance(traced, int) and traced != new


for _count in (1, 2, 3):
    register(f"adaptive_avg_pool{_count}d", _Adaptive(_count).op())
    register(f"adaptive_max_pool{_count}d", _Adaptive(_count, outputs=2).op())
register("_adaptive_avg_pool2d mkldnn_adaptive_avg_pool2d", _Adaptive(2).op())
register("_adaptive_avg_pool3d", _Adaptive(3).op())

MEANS = (
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d "
    "_adaptive_avg_pool3d mkldnn_adaptive_avg_pool2d"
)
LARGEST = "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d"
weigh(MEANS, Taps.MEAN)
weigh(LARGEST, Taps.WINNER, places=[1])
treat_zeros(f"{MEANS} {LARGEST}", Zeros.KEPT)

# --- Windows at random places --------------------------------------------------------


def _starts(size: int, new_size: int, kernel: int) -> list[tuple[int, int]]:
    """Returns the first and last place where each window may start.

    A window starts at ``floor((u + s) * a) - floor(s * a)``, where s is a random number
    between 0 and 1; the last one ends with the axis.
    """
    last = size - kernel
    if new_size == 1:
        return [(last, last)]
    step = Fraction(last, new_size - 1)
    found = [(0, 0)]
    for u in range(1, new_size - 1):
        low, high = math.floor(u * step), math.ceil(u * step)
        if low == high:  # The numbers are rounded.
            low, high = max(low - 1, 0), min(high + 1, last)
        found.append((low, high))
    return [*found, (last, last)]


class _Fractional(_Adaptive):
    """The rules of a pool whose windows lie at random places."""

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the data, as an upper bound, and to the numbers."""
        shape, axes = call.known_shape(0), _spatial(call, self.count)
        found: list[Axis] = [follow(axis) for axis in range(axes[0])]
        kernel = integers(call, "kernel_size", self.count)
        for axis, new, taps in zip(axes, self.new_sizes(call), kernel, strict=True):
            size = shape[axis]
            if not isinstance(size, int) or not isinstance(new, int):
                found.append(whole([axis], ANYWHERE))
                continue
            if new + taps - 1 > size:
                call.fail(
                    f"cannot place {new} windows of {taps} positions on an axis of "
                    f"{size}"
                )
            starts = _starts(size, new, taps)
            windows = [(low, high + taps - 1) for low, high in starts]
            certain = all(low == high for low, high in starts)
            found.append(follow(axis, table(windows, exact=certain)))
        data = Relation(tuple(found))
        return [data, *(call.all_of(i, exact=False) for i in range(1, len(call)))]


for _count in (2, 3):
    register(f"fractional_max_pool{_count}d", _Fractional(_count, outputs=2).op())
weigh("fractional_max_pool2d fractional_max_pool3d", Taps.WINNER, places=[1])
treat_zeros("fractional_max_pool2d fractional_max_pool3d", Zeros.KEPT)

# --- Unpooling -----------------------------------------------------------------------


def _unpooled_shape(call: Call, count: int) -> Sequence[Shape]:
    shape, axes = call.known_shape(0), _spatial(call, count)
    stated = sizes(call, "output_size") or []
    if len(stated) != count:
        call.fail(f"has {len(stated)} output sizes for {count} axes")
    new = list(shape)
    for axis, size in zip(axes, stated, strict=True):
        of_trace = isinstance(shape[axis], Symbolic) and isinstance(size, int)
        if of_trace and literals.are_of_one_size(call):
            literals.fail(call, stated)
        new[axis] = call.unknown_size(axis) if size is None else size
    return [tuple(new)]


def _unpooled(call: Call, count: int) -> Relations:
    """Returns relations for values that are written where indices say.

    If these are the indices of a pool, a position can only come from the windows that
    hold it. Which of them it comes from is decided by the data.
    """
    found = _of_pool(call, count)
    if found is None:
        axes = _spatial(call, count)
        kept = [follow(axis) for axis in range(axes[0])]
        found = Relation((*kept, *(whole([axis], ANYWHERE) for axis in axes)))
    return [found] * len(call)


def _of_pool(call: Call, count: int) -> Relation | None:
    """Returns the relation to what a pool made of a tensor of the output's shape.

    Returns None if the indices are not those of such a pool. One over a single axis has
    a last axis of size one in addition.
    """
    nodes = call.node.graph.nodes
    (shape,) = _unpooled_shape(call, count)
    assert shape is not None
    index, number = call.input(place(call, "indices") or 1)
    added = 0
    if nodes[index].op == "unsqueeze" and shape[-1] == 1:
        above = Call(nodes[index], call.knowledge)
        rank = len(shape)
        if above.axis(above.number("dim"), rank) != rank - 1:
            return None
        (index, number), added = above.input(0), 1
    pool = Call(nodes[index], call.knowledge)
    if pool.node.op not in WITH_PLACES.split() or number != 1:
        return None
    if pool.shape(0) is None or pool.shape(0) != shape[: len(shape) - added]:
        return None
    windows = Pooling(count - added).relation_above(pool)
    more = [follow(len(shape) - 1, IDENTITY)] * added
    found = windows._replace(axes=(*windows.axes, *more))
    return with_bounds(found, _spatial(call, count))


def _unpooling(count: int) -> Op:
    return Op(
        lambda call, output: _unpooled(call, count),
        lambda call: _unpooled_shape(call, count),
        layout=lambda call: (0, _spatial(call, count)),
    )


register("max_unpool2d", _unpooling(2))
register("max_unpool3d", _unpooling(3))
treat_zeros("max_unpool2d max_unpool3d", Zeros.KEPT)
