"""The input's spatial axes, their sizes, and the output axes that hold positions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, TypeAlias

from receptive_field.algebra.axis_map import ANYWHERE, IDENTITY, NONE, AxisMap
from receptive_field.algebra.sizes import Size, product, unknown
from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.graph.graph import Tensor
from receptive_field.network.network import Network
from receptive_field.network.walk import Read, ascend
from receptive_field.relations.relation import (
    FULL_BOUND,
    SAME,
    Axis,
    Factor,
    Relation,
    Slot,
    fixed,
    followed_axes,
    merge,
    source,
    standing_axes,
    through,
)
from receptive_field.results.axes import FeatureAxis
from receptive_field.rules.op import Call, Shape, rule_of

Resolution = Sequence[int | None] | int | Literal["unknown"] | None

Places = dict[int, int]
"""For each axis of a tensor, the axis of the input whose positions it holds."""


def spatial_layout(
    network: Network,
    beyond: Callable[[], Network],
    made_for: Resolution = None,
) -> tuple[int, tuple[int, ...]]:
    """Returns the rank of the input, and its spatial axes in ascending order.

    The first op with a layout decides which axes are spatial. Axes between the batch
    axis and the axes named by this op are also spatial, such as the time axis of a
    video. If no op has a layout, but the last axis is multiplied by weights, as that of
    a sequence of tokens is, it holds the channels. Otherwise, the framework's default
    layout applies. Unless an op names as many axes as the resolution has sizes, the
    spatial axes are those that have the sizes for which the input was made.

    Args:
      network: the network that the question is about.
      beyond: a function that returns the network of everything that depends on the
        input. It is called if ``network`` has no op with a layout. For example, if the
        network ends at a padding op, the convolution that reads the padded tensor names
        the axes.
      made_for: the resolution that the input was made for, if the caller gave one.

    Raises:
      GraphError: if the input has no axes, or its rank is unknown.
    """
    shape = network.shape(network.input)
    if shape is None:
        network = _with_rank(network)
        shape = network.shape(network.input) or ()
    rank = len(shape)
    if not rank:
        raise GraphError(
            f"the input {network.graph.name_of(network.input)!r} is a single number, "
            "so it has no positions. Did you mean a different input?"
        )
    named, whole = _told(network, rank, _named), network
    if named is None:
        whole = replace(beyond(), known=network.known)
        named = _told(whole, rank, _named)
    if named is not None:
        axes = _with_outer(named, rank)
    else:
        default = network.graph.framework.default_layout(rank)
        axes = _told(whole, rank, _weighted) or default
    if made_for is None or isinstance(made_for, str):
        return rank, axes
    sizes = [made_for] * len(axes) if isinstance(made_for, int) else list(made_for)
    if named is None or len(named) != len(sizes):
        axes = _with_sizes(shape, sizes, axes)
    return rank, axes


def _with_sizes(
    shape: tuple[Size, ...], sizes: Sequence[int | None], axes: tuple[int, ...]
) -> tuple[int, ...]:
    """Returns the axes of an input that have the sizes it was made for.

    Args:
      shape: the shape of the input.
      sizes: the sizes.
      axes: the axes that are returned if they have these sizes, or if no axes next to
        each other have them that are as many, or more and hold these.
    """
    count = len(sizes)
    found = [
        tuple(range(first, first + count))
        for first in range(len(shape) - count + 1)
        if shape[first : first + count] == tuple(sizes)
    ]
    fitting = [f for f in found if count == len(axes) or set(axes) < set(f)]
    if not fitting or axes in found:
        return axes
    return min(fitting, key=lambda found: 0 in found)  # The first axis is a batch.


Teller: TypeAlias = Callable[[Network, int, Read, Places], tuple[int, ...] | None]
"""Tells the spatial axes of an input of a rank from an op that reads a tensor with the
given places, or returns None if the op does not tell."""


def _told(network: Network, rank: int, teller: Teller) -> tuple[int, ...] | None:
    """Returns the spatial axes of an input of this rank, as told by the first op that
    tells, or None if there is no such op."""
    places = {axis: axis for axis in range(rank)}
    try:
        ascend(network, places, _Layout(network, rank, teller))
    except _LayoutFoundError as found:
        return found.axes
    return None


def _named(
    network: Network, rank: int, read: Read, places: Places
) -> tuple[int, ...] | None:
    """Tells the axes that an op with a layout names."""
    op = rule_of(read.node)
    if op is None or op.layout is None:
        return None
    number, axes = op.layout(Call(read.node, network.known))
    named = sorted(places[axis] for axis in axes if axis in places)
    fits = len(named) == len(axes) or rank == len(named) + 2
    if number != read.number or not named or not fits:
        return None
    return tuple(named)


def _with_outer(named: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Returns the axes that an op names, and those between them and the batch axis."""
    outer = range(1, rank - 1 - len(named))
    is_last = set(named) == set(range(len(outer) + 1, rank - 1))
    return (*outer, *named) if is_last else named


def _weighted(
    network: Network, rank: int, read: Read, places: Places
) -> tuple[int, ...] | None:
    """Tells the axes before the last one if weights are multiplied by the last one."""
    op = rule_of(read.node)
    is_product = op is not None and op.products is not None
    if rank < 3 or not is_product or len(network.edges(read.tensor[0])) > 1:
        return None
    summed = [
        places.get(axis)
        for axis, above in enumerate(read.rule.axes)
        if not standing_axes(above)
    ]
    fits = set(places.values()) == set(range(rank))
    return tuple(range(1, rank - 1)) if summed == [rank - 1] and fits else None


class _LayoutFoundError(Exception):
    """The end of the walk at the first op with a layout; not an error."""

    def __init__(self, axes: tuple[int, ...]) -> None:
        super().__init__(axes)
        self.axes = axes


class _Layout:
    """The domain of `ascend` that follows the axes of the input to the first op that
    tells the layout, over the first path to each tensor."""

    def __init__(self, network: Network, rank: int, teller: Teller) -> None:
        self._network, self._rank, self._teller = network, rank, teller

    def up(self, read: Read, value: Places) -> Places:
        """Returns the places of the tensor that reads, unless its op tells the layout.

        Raises:
          _LayoutFoundError: if the op tells. The error holds the spatial axes.
        """
        axes = self._teller(self._network, self._rank, read, value)
        if axes is not None:
            raise _LayoutFoundError(axes)
        return _moved(value, read.rule)

    def united(self, tensor: Tensor, one: Places, two: Places) -> Places:
        """Returns the places of the first path."""
        return one

    def ready(self, tensor: Tensor, value: Places) -> Places:
        """Returns the places unchanged."""
        return value

    def widened(self, before: Places, now: Places) -> Places:
        """Returns the places of the first iteration of a loop."""
        return before


def _with_rank(network: Network) -> Network:
    """Returns the network with a known rank for its input of unknown rank.

    The rank is chosen so that an op with a layout reads a tensor of the rank that it
    needs, even if axes are added or removed between the input and this op.

    Raises:
      GraphError: if no op determines the rank.
    """
    name = network.graph.name_of(network.input)
    for index in network.order:
        op = rule_of(network.graph.nodes[index])
        if op is None or op.layout is None or op.shapes is None:
            continue
        call = Call(network.graph.nodes[index], network.known)
        number, needed = op.layout(call)[0], len(op.shapes(call)[0] or ())
        read = dict(network.edges(index)).get(number)
        for rank in sorted(range(1, needed + 3), key=lambda r: abs(r - needed)):
            shape = tuple(unknown(f"{name}[{axis}]") for axis in range(rank))
            told = network.told(shape)
            try:
                if read is not None and len(told.shape(read) or ()) == needed:
                    return told
            except ReceptiveFieldError:
                continue  # For example, an op squeezes an axis that does not exist.
    raise GraphError(
        f"the rank of the input {name!r} is unknown, and no op determines the rank."
    )


def _moved(places: Places, relation: Relation) -> Places:
    """Returns the `Places` of an op's output, given those of its input.

    ``relation`` is the relation of the output to the input.
    """
    moved = {}
    for below, axis in places.items():
        if relation == SAME:
            moved[below] = axis
        elif below < len(relation.axes):
            above, _ = source(relation.axes[below])
            if above is not None:
                moved[above] = axis
    return moved


def input_shape(
    network: Network,
    rank: int,
    spatial: tuple[int, ...],
    resolution: Resolution,
) -> tuple[Size, ...] | None:
    """Returns the shape that the analysis assumes for the input.

    Returns None if this is the shape that the graph states.

    Raises:
      ReceptiveFieldError: if the resolution does not have one size per spatial axis.
    """
    shape = network.shape(network.input)
    if resolution is None and shape is not None:
        return None
    name = network.graph.name_of(network.input)
    sizes = list(shape or (unknown(f"{name}[{axis}]") for axis in range(rank)))
    given = _sizes(resolution, len(spatial))
    for axis, size in zip(spatial, given, strict=True):
        sizes[axis] = unknown(f"{name}[{axis}] of any size") if size is None else size
    return tuple(sizes)


def _of_all_axes(size: int, count: int) -> list[int]:
    """Returns one size for all axes.

    Raises:
      ReceptiveFieldError: if there are more than two axes, which rarely have one size.
    """
    if count > 2:
        raise ReceptiveFieldError(
            f"one number is the size of an image or a sequence, but the input has "
            f"{count} spatial axes. Give all sizes, the last one the width, such as "
            f"input_resolution=[{', '.join([str(size)] * count)}]."
        )
    return [size] * count


def _sizes(resolution: Resolution, count: int) -> list[int | None]:
    if resolution is None or isinstance(resolution, str):
        if resolution not in (None, "unknown"):
            raise ReceptiveFieldError(
                "input_resolution must be a list of sizes such as [224, 224], "
                "'unknown', or None for the size that the graph states; got "
                f"{resolution!r}."
            )
        return [None] * count
    try:
        if not isinstance(resolution, Iterable):
            resolution = _of_all_axes(operator.index(resolution), count)
        sizes = [None if s is None else operator.index(s) for s in resolution]
    except TypeError:
        raise ReceptiveFieldError(
            "input_resolution must be a list of integers such as [224, 224], not "
            f"{resolution!r}."
        ) from None
    if len(sizes) != count or any(size is not None and size < 1 for size in sizes):
        raise ReceptiveFieldError(
            f"input_resolution must contain {count} sizes of at least 1, height "
            f"before width; got {list(resolution)}."
        )
    return sizes


# --- Features ------------------------------------------------------------------------


class FeatureLayout(NamedTuple):
    """How the features of an output are arranged along its axes."""

    features: tuple[FeatureAxis, ...]
    """See `ReceptiveField`."""
    followed: Mapping[int, tuple[int, ...]]
    """For each spatial axis of the input, the axes of the output that determine where a
    feature lies on that axis, in ascending order."""
    channels: frozenset[int]
    """The axes of the output that hold channels, possibly mixed with positions."""
    shape: Shape
    """The shape of the output."""

    @property
    def axes(self) -> frozenset[int]:
        """The axes of the output that hold positions."""
        return frozenset[int]().union(*self.followed.values())

    def places(self, axis: int) -> int | None:
        """Returns the number of different places of features on an axis of the input.

        This is the product of the sizes of the output axes that the input axis follows.
        Returns None if there are no such axes, or their sizes are unknown.
        """
        followed = self.followed[axis]
        if self.shape is None or not followed:
            return None
        return _number(product(self.shape[place] for place in followed))

    def map(self, axis: int, relation: Axis) -> AxisMap:
        """Returns the map from the places of features to an axis of the input.

        Args:
          axis: the axis of the input.
          relation: how that axis follows the output.
        """
        followed = self.followed[axis]
        if len(followed) < 2 and standing_axes(relation) <= set(followed):
            return source(relation)[1]
        if self.shape is None:
            return ANYWHERE
        above = list(map(_all_of, self.shape))
        inner: Size = 1
        for place in reversed(followed):
            size = None if place == followed[0] else self.shape[place]
            above[place] = merge(Factor(None, Slot(0, inner, size), IDENTITY))
            inner = inner * self.shape[place]
        found = through(Relation(tuple(above)), Relation((relation,)))
        return NONE if found is None else source(found.axes[0])[1]


def _all_of(size: Size) -> Axis:
    """Returns an axis whose positions all belong to one feature."""
    return fixed(0, size - 1) if isinstance(size, int) and size > 0 else FULL_BOUND


def _number(size: Size) -> int | None:
    return size if isinstance(size, int) else None


def feature_layout(
    relation: Relation,
    local: Relation | None,
    spatial: Sequence[int],
    shape: Shape,
) -> FeatureLayout:
    """Returns how features are arranged along the output axes that the input follows.

    An output axis that no spatial axis of the input follows holds no positions, and a
    feature contains all of it. The same is true of an output axis that holds both
    channels and the positions within a block, if other axes give the place of the
    block.

    Args:
      relation: how the input follows the output, axis by axis.
      local: the relation through local paths alone, which do not see a whole axis. None
        if there are no local paths, or if the local relation is not needed.
      spatial: the spatial axes of the input, in ascending order.
      shape: the shape of the output.
    """
    others = set(range(len(relation.axes))) - {0, *spatial}
    channels = relation.channels.union(
        *(standing_axes(relation.axes[axis]) for axis in others)
    )
    placed = {axis: followed_axes(relation.axes[axis]) for axis in spatial}
    for axis, places in placed.items():
        if not places and local is not None:
            places |= followed_axes(local.axes[axis])
    batch = () if 0 in spatial else (0,)
    taken = set(channels).union(batch, *placed.values())
    for axis, places in placed.items():
        if not places:
            # Features still have places on an input axis that is seen whole if some
            # output axis keeps its slot, or joins parts that see the input axis.
            standing = standing_axes(relation.axes[axis])
            joined = {above for above, below in relation.parts if below == axis}
            places |= (standing - taken) or (joined - taken)
    for mixed in channels:
        users = [places for places in placed.values() if mixed in places]
        if all(places - channels for places in users):
            for places in users:
                places.discard(mixed)
    coordinates: Sequence[int | None]
    used = [place for places in placed.values() for place in places]
    if len(set(used)) == len(used) and max(map(len, placed.values())) < 2:
        coordinates = [min(p, default=None) for p in reversed(placed.values())]
    else:
        coordinates = sorted(set(used), reverse=True)
    features = []
    for place in coordinates:
        known = shape is not None and place is not None and place < len(shape)
        size = _number(shape[place]) if known else None  # type: ignore[index]
        features.append(FeatureAxis(place, 1 if place is None else size))
    followed = {axis: tuple(sorted(places)) for axis, places in placed.items()}
    return FeatureLayout(tuple(features), followed, channels, shape)
