"""Finds the features that read past the start or the end of a map on the way.

An unclipped region of the input may lie within the input although the feature sees
padding: if a map is cropped and padded again, the padding lies where pixels were. So
every tensor between the output and the input is looked at, and the windows of a feature
must lie within all of them. If they do, no op reads outside of its input for this
feature. If a feature reads outside of a map, the first such map on its way is the place
where it sees padding (or, at a resize, a repeated border).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from receptive_field.algebra.axis_map import AxisMap
from receptive_field.arrays import np
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Tensor
from receptive_field.network.local import without_edges
from receptive_field.network.network import Edge, Network
from receptive_field.network.walk import tensors_below
from receptive_field.passes.regions import State, backward
from receptive_field.relations.relation import Axis, Factor, ranked
from receptive_field.results.field import ReceptiveField
from receptive_field.results.padding import Unpadded


class Ends(NamedTuple):
    """Which places on an output axis read past the ends of some map on the way."""

    before: Any
    """A boolean array: whether the features at each place read before the start."""
    after: Any
    """A boolean array: whether the features at each place read past the end."""


@dataclass(slots=True)
class Outside:
    """What features read outside of maps, for each output axis."""

    ends: dict[int, Ends]
    exact: bool = True
    _known: dict[tuple[Any, ...], Ends] = field(default_factory=dict)

    def add(self, axis: Axis, size: int) -> None:
        """Adds what features read outside of one axis of a tensor of this size."""
        for factor, axis_map, count in _factors(axis, size):
            slot = factor.slot
            if slot is None or slot.axis not in self.ends or axis_map.is_everything:
                continue
            if not isinstance(slot.inner, int) or count is None or _is_untold(axis_map):
                self._give_up(slot.axis)
                continue
            key = slot, axis_map, count
            if key not in self._known:
                places = np.arange(len(self.ends[slot.axis].before)) // slot.inner
                if slot.size is not None:
                    if not isinstance(slot.size, int):
                        self._give_up(slot.axis)
                        continue
                    places = places % slot.size
                self._known[key] = _ends(axis_map, places, count)
            before, after = self._known[key]
            own = self.ends[slot.axis]
            if (before & ~own.before).any() or (after & ~own.after).any():
                self.exact &= axis_map.exact
                self.ends[slot.axis] = Ends(own.before | before, own.after | after)

    def _give_up(self, axis: int) -> None:
        """Takes all features to read past both ends, because nothing is known."""
        every = np.ones_like(self.ends[axis].before)
        self.ends[axis] = Ends(every, every)
        self.exact = False


def find_outside(
    field: ReceptiveField, network: Network, output: Tensor, cut: Collection[Edge]
) -> Outside:
    """Returns what the features of an output read outside of the maps below it.

    Args:
      field: the receptive field of the output. All its sizes must be known.
      network: the network, with a batch of one.
      output: the output.
      cut: the edges that are not followed.

    Raises:
      ReceptiveFieldError: if the field is folded, or a size is not known.
    """
    if field.is_folded:
        raise ReceptiveFieldError(
            f"the axes of {field.output!r} are folded (for example, into tokens), so "
            "its features do not lie along the axes of the input. Ask about a layer "
            "below it."
        )
    sizes = [axis.input_size for axis in field.axes]
    if None in [*sizes, *(axis.size for axis in field.feature_axes)]:
        raise ReceptiveFieldError(
            f"which features of {field.output!r} reach the border of {field.input!r} "
            "depends on its size, which is unknown. Give input_resolution."
        )
    found = Outside(
        {
            axis.output_axis: Ends(*(np.zeros(axis.size or 0, dtype=bool),) * 2)
            for axis in field.feature_axes
            if axis.output_axis is not None
        }
    )
    network = without_edges(network, cut) if cut else network
    for tensor, relation in state_below(network, output).items():
        shape = network.shape(tensor)
        if shape is None or not all(isinstance(size, int) for size in shape):
            raise ReceptiveFieldError(
                f"the shape of {network.graph.name_of(tensor)!r} is unknown, so it is "
                "unknown which features read outside of it."
            )
        for place, axis in enumerate(ranked(relation, len(shape)).axes):
            found.add(axis, int(shape[place]))  # type: ignore[arg-type]
            # Part of a join; a feature has all channels, so those do not matter.
            if any(b == place and a in found.ends for a, b in relation.parts):
                found.exact = False
    return found


def state_below(network: Network, output: Tensor) -> State:
    """Returns how an output depends on each tensor between it and the input."""
    tensors = [*tensors_below(network, [output], lambda _: True), network.input]
    return backward(network, output, tensors).state


def find_unpadded(
    field: ReceptiveField, network: Network, output: Tensor, cut: Collection[Edge]
) -> Unpadded:
    """Returns which features see no padding; see `find_outside`."""
    found = find_outside(field, network, output, cut)
    exact, inside = found.exact, []
    for spatial, axis in zip(field.axes, field.feature_axes, strict=True):
        if axis.output_axis is None:
            own = np.ones(1, dtype=bool)
        else:
            before, after = found.ends[axis.output_axis]
            own = ~(before | after)
        axis_map = spatial.map
        whole = axis_map.is_everything or axis_map.is_unbounded
        if whole or axis.output_axis is None:
            # A feature that may see everything is taken to see padding, too.
            first, last = (0, 0) if whole else axis_map.placed.window(0) or (0, -1)
            size = spatial.input_size or 0
            fits = not whole and first >= 0 and last < size
            own = own & fits
            exact &= not whole
        inside.append(own)
    return Unpadded(field.input, field.output, tuple(inside), exact)


def _factors(axis: Axis, size: int) -> Iterator[tuple[Factor, AxisMap, int | None]]:
    """Yields the factors of an axis, with their whole maps and numbers of positions."""
    for thread in axis:
        (outer, *inner) = thread.factors
        if not inner:
            yield outer, outer.via.then(outer.map).then(thread.tail), size
            continue
        known = [f.size for f in inner if isinstance(f.size, int)]
        told = len(known) == len(inner) and thread.tail.is_identity
        block = math.prod(known) or 1
        counts = [size // block, *known] if told else [None] * len(thread.factors)
        for factor, count in zip(thread.factors, counts, strict=True):
            yield factor, factor.via.then(factor.map), count


def _is_untold(axis_map: AxisMap) -> bool:
    """Returns whether windows are unknown, or reach an end through other positions."""
    if axis_map.is_floating or axis_map.is_unbounded:
        return True
    ends = (
        end
        for one in (axis_map.placed, axis_map.all_seen)
        for strand in one.strands
        for window in getattr(strand, "windows", ())
        for end in window or ()
    )
    return any(map(math.isinf, ends))


def _ends(axis_map: AxisMap, places: Any, count: int) -> Ends:
    """Returns which places see windows that reach past the ends of an axis."""
    maps = [axis_map.placed]
    if axis_map.seen is not None:
        maps.append(axis_map.seen)
    before = after = np.zeros(places.shape, dtype=bool)
    for one in maps:
        firsts, lasts = one.evaluate(places)
        some = np.asarray(firsts <= lasts, dtype=bool)
        before = before | (some & np.asarray(firsts < 0, dtype=bool))
        after = after | (some & np.asarray(lasts >= count, dtype=bool))
    return Ends(before, after)
