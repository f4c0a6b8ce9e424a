"""Which axes of the input are spatial, and what sizes they are taken to have."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Literal

from receptive_field.analysis import Scope
from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.graph.axes import SAME, Relation, source
from receptive_field.graph.graph import Tensor
from receptive_field.graph.sizes import Size, unknown
from receptive_field.inference import Inference
from receptive_field.ops import Call, rule_of

Resolution = Sequence[int | None] | Literal["unknown"] | None

Places = dict[int, int]
"""For axes of a tensor, the axis of the input whose positions they hold."""


def spatial_layout(scope: Scope, inference: Inference) -> tuple[int, tuple[int, ...]]:
    """The rank of the input and its spatial axes, height before width.

    Told by the first op that has a layout; without one, all axes but the first (the
    batch) and the last (the channels). What comes between the batch and the axes that
    it names, such as the time of a video, is spatial too. Of two axes, the last is.
    """
    shape = inference.shape(scope.input)
    rank = None if shape is None else len(shape)
    places: dict[Tensor, Places] = {scope.input: {a: a for a in range(rank or 0)}}
    for index in scope.order:
        node = scope.graph.nodes[index]
        op = rule_of(node)
        edges = [(n, t) for n, t in scope.edges(index) if t in places]
        if op is None or not edges:
            continue
        number, tensor = edges[0]
        call = Call(node, inference)
        if op.layout is not None and op.layout(call)[0] == number:
            axes = list(op.layout(call)[1])
            if rank is None:
                rank = len(op.shapes(call)[0] or ())
                return rank, tuple(axes)
            named = [places[tensor][axis] for axis in axes if axis in places[tensor]]
            if named and (len(named) == len(axes) or rank == len(named) + 2):
                outer = range(1, rank - 1 - len(named))
                if set(named) != set(range(len(outer) + 1, rank - 1)):
                    outer = range(0)
                return rank, (*outer, *named)
        try:
            relation = call.relations(op, 0)[number]
        except ReceptiveFieldError:
            continue  # The pass itself will say so, if it gets there.
        if relation is not None:
            places[(index, 0)] = _moved(places[tensor], relation)
    if rank is None:
        raise GraphError(
            f"the rank of the input {scope.graph.name_of(scope.input)!r} is not known, "
            "and no op says what it must be."
        )
    return rank, tuple(range(1, max(rank - 1, 2)))


def _moved(places: Places, relation: Relation) -> Places:
    """Where the input's axes are after an op."""
    moved = {}
    for below, axis in places.items():
        if relation is SAME:
            moved[below] = axis
        elif below < len(relation.axes):
            above, _ = source(relation.axes[below])
            if above is not None:
                moved[above] = axis
    return moved


def input_shape(
    scope: Scope,
    inference: Inference,
    rank: int,
    spatial: tuple[int, ...],
    resolution: Resolution,
) -> tuple[Size, ...] | None:
    """The shape that the input is taken to have; None for what the graph says."""
    shape = inference.shape(scope.input)
    if resolution is None and shape is not None:
        return None
    name = scope.graph.name_of(scope.input)
    sizes = list(shape or (unknown(f"{name}[{axis}]") for axis in range(rank)))
    given = _sizes(resolution, len(spatial))
    for axis, size in zip(spatial, given, strict=True):
        sizes[axis] = unknown(f"{name}[{axis}] of any size") if size is None else size
    return tuple(sizes)


def _sizes(resolution: Resolution, count: int) -> list[int | None]:
    if resolution is None or isinstance(resolution, str):
        if resolution not in (None, "unknown"):
            raise ReceptiveFieldError(
                f"input_resolution is {resolution!r}; give a list of sizes such as "
                "[224, 224], 'unknown', or None for what the graph says."
            )
        return [None] * count
    try:
        sizes = [None if s is None else operator.index(s) for s in resolution]
    except TypeError:
        raise ReceptiveFieldError(
            "input_resolution must be a list of integers such as [224, 224]; it is "
            f"{resolution!r}."
        ) from None
    if len(sizes) != count or any(size is not None and size < 1 for size in sizes):
        raise ReceptiveFieldError(
            f"input_resolution must hold {count} sizes of at least 1, height before "
            f"width; it is {list(resolution)}."
        )
    return sizes
