"""Finds how to compute a large image tile by tile, with exactly the same result.

Let a tile start at position t of the image. It gives what the image gives if every
tensor T of the tile is a cut of the same tensor of the image, moved by an offset d(T),
apart from its borders. For an op that reads T and computes U, this holds if its windows
repeat after a number of positions of U that divides d(U), and move by d(T) there, and
if the op treats the tile and the image in the same way (for example, if SAME padding
has the same number of positions before the first one). So t has to be a multiple of
``rate(T) * advance`` for every op, where rate(T) is the effective stride of T, and the
op's windows move by ``advance`` positions of T until they repeat. The least common
multiple of these numbers is the alignment. If the sizes of the tile and of the image
have the same remainder when divided by the alignment, all paddings agree. This is not
taken for granted: the maps of all ops are compared for both sizes, and so are the sizes
of all tensors.

At the borders, features read positions outside of the tile that the image has.
`find_outside` finds these features. They are discarded, unless the tile ends where the
image ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from receptive_field.algebra.axis_map import IDENTITY, AxisMap, Periodic
from receptive_field.errors import GraphError, ReceptiveFieldError, some_names
from receptive_field.graph.graph import Tensor, nodes_below
from receptive_field.network.network import Network
from receptive_field.network.walk import Read, read_beside, reads
from receptive_field.passes.regions import forward
from receptive_field.questions.padding import find_outside, state_below
from receptive_field.questions.question import Question
from receptive_field.relations.relation import (
    Relation,
    ranked,
    source,
)
from receptive_field.results.axes import axis_name
from receptive_field.results.field import ReceptiveField
from receptive_field.results.tiling import (
    Along,
    Span,
    Tiling,
    checked_sizes,
    spans_along,
    too_small,
)
from receptive_field.results.words import numbers
from receptive_field.rules.op import Call, rule_at


def find_tiling(
    of: ReceptiveField, question: Question, output: Tensor, tile: Sequence[int]
) -> Tiling:
    """Returns how tiles have to lie; see `ReceptiveField.tiling`.

    Args:
      of: the receptive field that the user asked.
      question: its question.
      output: its output.
      tile: the size of the tiles, x first.

    Raises:
      ReceptiveFieldError: if no tiling gives the same result, or the tile is too small.
    """
    _check_local(of)
    sizes = checked_sizes(tile, len(of.axes), "a tile")
    plan = _Plan(of.output, output, question, tuple(sizes))
    at_tile = plan.at(sizes)
    along = tuple(at_tile.along(i) for i in range(len(sizes)))
    larger = plan.at([one.tile + one.alignment for one in along])
    for i in range(len(along)):
        _compare(at_tile, larger, i)
    for one in along:
        if one.step < 1:
            raise too_small(one)
    return Tiling(of.input, of.output, along, plan)


def _check_local(field: ReceptiveField) -> None:
    if field.is_folded:
        raise ReceptiveFieldError(
            f"the axes of {field.output!r} are folded (for example, into tokens), so a "
            "tile has no place in it. Ask about a layer below it."
        )
    names = some_names([*map(repr, field.global_nodes)]) or repr(field.output)
    if field.global_nodes and not field.is_global:
        raise ReceptiveFieldError(
            f"no tiling gives the same result as the whole image, because of {names}: "
            'global_context="exclude" leaves paths that see the whole image out of '
            "the numbers, but not out of the network. Ask about a layer below these "
            "paths."
        )
    if field.is_global:
        raise ReceptiveFieldError(
            f"no tiling gives the same result as the whole image: every feature of "
            f"{field.output!r} sees a whole axis of the image, because of {names}. Ask "
            "about a layer below it."
        )
    for axis in field.axes:
        if len(axis.map.rates) > 1:
            rates = " and ".join(map(str, axis.map.rates))
            raise ReceptiveFieldError(
                "no tiling gives the same result as the whole image: paths with the "
                f"strides {rates} meet, so no cut of the image moves both of them by a "
                "whole number of features."
            )


@dataclass(frozen=True)
class _Plan:
    """Plans the tiles of images."""

    name: str
    output: Tensor
    question: Question
    tile: tuple[int, ...]
    """The largest size of a tile, x first."""
    kept: dict[tuple[int, ...], _AtSize] = field(default_factory=dict)

    def at(self, sizes: Sequence[int]) -> _AtSize:
        """Returns what happens in an image of this size, x first."""
        key = tuple(sizes)
        if key not in self.kept:
            spatial = self.question.spatial[::-1]
            if self.question.network.shape(self.question.network.input) is None:
                raise ReceptiveFieldError(
                    f"the shape of {self.question.input!r} is unknown. Give "
                    "input_resolution."
                )
            told = self.question.with_sizes(dict(zip(spatial, sizes, strict=True)))
            told = replace(told, outputs={self.name: self.output})
            try:
                self.kept[key] = _AtSize.of(told, self.output)
            except GraphError as error:
                fitting = told.next_size()
                hint = ""
                if fitting is not None:
                    hint = f" The next size that fits is {numbers(fitting[::-1])}."
                raise GraphError(
                    f"{error} This is so for an input of {numbers(key)} positions, x "
                    f"first.{hint}"
                ) from None
        return self.kept[key]

    def spans(self, size: Sequence[int]) -> list[list[Span]]:
        """See `Planner`."""
        image = checked_sizes(size, len(self.tile), "an image")
        whole = self.at(image)
        steps = [whole.alignment(i) for i in range(len(image))]
        tile = []
        for i, (n, largest, step) in enumerate(
            zip(image, self.tile, steps, strict=True)
        ):
            cut = largest - (largest - n) % step
            if n > largest and cut < 1:
                name = axis_name(i)
                raise ReceptiveFieldError(
                    f"a tile of {largest} positions on axis {name} is too small: "
                    f"its size must have the same remainder as that of the image ({n}) "
                    f"when divided by {step}. Give a larger tile."
                )
            tile.append(min(n, cut) if n > largest else n)
        if tile == image:
            part = whole
        else:
            part = self.at(tile)
            cut_axes = [i for i in range(len(image)) if tile[i] != image[i]]
            for i in cut_axes:
                _compare(part, whole, i)
        found = []
        for i, n in enumerate(image):
            along = part.along(i)
            if tile[i] == n:
                every = slice(0, along.features)
                found.append([Span(slice(0, n), every, every)])
            else:
                found.append(spans_along(along, n, whole.features(i)))
        return found

    def order(self) -> tuple[Sequence[int], Sequence[int]]:
        """See `Planner`."""
        found = self.at(self.tile)
        places = [axis.output_axis or 0 for axis in found.field.feature_axes]
        inputs = [axis.input_axis for axis in found.field.axes]
        return (
            sorted(range(len(inputs)), key=inputs.__getitem__),
            sorted(range(len(places)), key=places.__getitem__),
        )


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies in the input, along one axis of the input."""

    axis: int
    """The axis of the tensor."""
    rate: Fraction
    """Positions of the input for each position of the tensor."""


@dataclass(frozen=True)
class _AtSize:
    """The network with an input of one size."""

    field: ReceptiveField
    network: Network
    output: Tensor
    places: dict[Tensor, list[_Place]]
    """For each tensor between output and input, its place on each axis, x first."""
    edges: list[tuple[Read, list[AxisMap]]]
    """The edges of these tensors, and the map of each axis, x first."""

    @classmethod
    def of(cls, question: Question, output: Tensor) -> _AtSize:
        """Returns what happens with the input of this question.

        Raises:
          ReceptiveFieldError: if some layer stands in the way of tiles.
        """
        question = replace(question, network=question.sized())
        network, spatial = question.network, question.spatial[::-1]
        if network.loops or network.stop_propagation:
            raise ReceptiveFieldError(
                "it cannot be shown that tiles give the same result as the whole image "
                "if a network has loops, or with stop_propagation."
            )
        answer = question.answer()
        _check_local(answer)
        below = state_below(network, output)
        found = forward(network, question.spatial, below)
        places = {}
        for tensor in (output, *below):
            if tensor == network.input:
                places[tensor] = [_Place(axis, Fraction(1)) for axis in spatial]
                continue
            if tensor in found.errors:
                raise found.errors[tensor]
            relation = ranked(found.state[tensor], question.rank)
            places[tensor] = [_place(network, tensor, relation, a) for a in spatial]
        _check_values(network, places)
        edges = []
        for tensor in places:
            own = [
                (read, [*_maps(network, read, places)])
                for read in (reads(network, tensor) if tensor != network.input else ())
                if read.below in places
            ]
            if own:
                _check_beside(network, tensor, [maps for _, maps in own])
            edges += own
        return cls(answer, network, output, places, edges)

    def alignment(self, i: int) -> int:
        """Returns the number whose multiples are the starts of tiles on an axis."""
        found = [place[i].rate for place in self.places.values()]
        for read, maps in self.edges:
            own = [place.axis for place in self.places[read.tensor]]
            rate = self.places[read.tensor][i].rate
            below = self.places[read.below][i]
            for strand in maps[i].strands:
                assert isinstance(strand, Periodic)
                found.append(below.rate * strand.advance)
                if rate * len(strand.windows) != below.rate * strand.advance:
                    raise _moved(self.network, read)
            found += [rate * n for n in _blocks(self.network, read, own[i], below.axis)]
        return math.lcm(*(rate.numerator for rate in found))

    def features(self, i: int) -> int:
        """Returns the number of features along an axis."""
        return self.field.feature_axes[i].size or 1

    def along(self, i: int) -> Along:
        """Returns the numbers of tiles of this size along an axis."""
        outside = find_outside(self.field, self.network, self.output, ())
        place = self.places[self.output][i]
        before, after = outside.ends[place.axis]
        count = len(before)
        first = int(before.nonzero()[0].max(initial=-1)) + 1
        last = count - int(after.nonzero()[0].min(initial=count))
        size = self.field.axes[i].input_size or 0
        return Along(
            *(size, count, self.alignment(i), (first, last), place.rate),
        )


def _place(network: Network, tensor: Tensor, relation: Relation, axis: int) -> _Place:
    """Returns where a tensor lies along an axis of the input."""
    followed, axis_map = source(relation.axes[axis])
    rates = axis_map.rates
    if followed is None or len(rates) != 1 or rates[0] <= 0:
        raise _refused(
            f"{network.graph.name_of(tensor)!r} does not follow an axis of the image "
            "at one positive stride"
        )
    return _Place(followed, rates[0])


def _maps(
    network: Network, read: Read, places: dict[Tensor, list[_Place]]
) -> Iterator[AxisMap]:
    """Yields the map of an edge on each axis of the input, x first."""
    shape = network.shape(read.below)
    if shape is None:
        raise _refused(f"the shape of {network.graph.name_of(read.below)!r} is unknown")
    rule = ranked(read.rule, len(shape))
    for above, below in zip(places[read.tensor], places[read.below], strict=True):
        followed, axis_map = source(rule.axes[below.axis])
        plain = axis_map.placed
        told = bool(plain.strands) and all(
            isinstance(strand, Periodic)
            and strand.advance > 0
            and all(w is None or math.isfinite(w[0] + w[1]) for w in strand.windows)
            for strand in plain.strands
        )
        # Of a join along the axis, each part is read at some positions only.
        joined = (above.axis, below.axis) in rule.parts
        if followed != above.axis or joined or not told:
            raise _moved(network, read)
        yield plain


def _blocks(network: Network, read: Read, above: int, below: int) -> Iterator[int]:
    """Yields after how many positions of the tensor that reads its blocks repeat.

    An op such as DepthToSpace moves positions within a block into channels.
    """
    shape = network.shape(read.below) or ()
    for place, axis in enumerate(ranked(read.rule, len(shape)).axes):
        for thread in axis:
            for factor in thread.factors:
                slot = factor.slot
                if slot is None or slot.axis != above or place == below:
                    continue
                if not isinstance(slot.inner, int) or not isinstance(slot.size, int):
                    raise _moved(network, read)
                yield slot.inner * slot.size


def _check_beside(
    network: Network, tensor: Tensor, edges: Sequence[Sequence[AxisMap]]
) -> None:
    """Refuses a tensor that is also computed from the size of the image.

    An example is a grid of coordinates that is added to each position. Ops that move
    positions, such as a resize, may read sizes, because their maps are compared. So may
    a reshape to the shape that the tensor has.

    Args:
      network: the network.
      tensor: the tensor.
      edges: the maps of each edge of the tensor.

    Raises:
      ReceptiveFieldError: if the tensor is computed from the size of the image.
    """
    still = (all(m.strands == IDENTITY.strands for m in maps) for maps in edges)
    if not any(still):
        return
    start = network.input[0]

    def goes_on(index: int) -> bool:
        return index != start

    for other in read_beside(network, tensor):
        if network.known.integers(other) == [*(network.shape(tensor) or ())]:
            continue
        if start in nodes_below(network.graph, [other[0]], goes_on):
            names = map(network.graph.name_of, (tensor, other))
            raise _refused(
                "{!r} combines features with a tensor that depends on the size of the "
                "image ({!r})".format(*names)
            )


def _check_values(network: Network, tensors: Iterable[Tensor]) -> None:
    """Refuses values that a tile cannot have, although they come from its positions.

    Raises:
      ReceptiveFieldError: if values are places in the image, are drawn at random, or
        are normalised with statistics of the whole image.
    """
    graph = network.graph
    moments = graph.framework.batch_moments(graph, network.known, network.needed)
    for index in sorted(moments.intersection(network.needed)):
        raise _of_batch(graph.nodes[index].name)
    for tensor in tensors:
        rule = rule_at(graph, tensor[0]) if tensor != network.input else None
        if rule is None:
            continue
        name = graph.name_of(tensor)
        if tensor[1] in rule.places:
            raise _refused(
                f"the values of {name!r} are places in a whole tensor, and a tile has "
                "other places"
            )
        if rule.is_random:
            raise _refused(f"the values of {name!r} are drawn at random")
        call = Call(graph.nodes[tensor[0]], network.known)
        if rule.uses_batch is not None and rule.uses_batch(call):
            raise _of_batch(name)


def _of_batch(name: str) -> ReceptiveFieldError:
    return _refused(
        f"{name!r} is batch normalisation in training mode, which uses the mean and "
        "variance of all positions. Save the model in inference mode "
        "(training=False)"
    )


def _compare(part: _AtSize, whole: _AtSize, i: int) -> None:
    """Checks that all ops treat a tile and the image in the same way along an axis.

    Raises:
      ReceptiveFieldError: if some op does not.
    """
    sizes = [one.field.axes[i].input_size or 0 for one in (part, whole)]
    for tensor, own in part.places.items():
        if own != whole.places.get(tensor):
            raise _refused(
                f"{part.network.graph.name_of(tensor)!r} has another stride for "
                f"{sizes[0]} positions than for {sizes[1]}"
            )
    for (read, maps), (_, others) in zip(part.edges, whole.edges, strict=True):
        if maps[i].strands != others[i].strands:
            raise _refused(
                f"{read.node.name!r} treats an input of {sizes[0]} positions and one "
                f"of {sizes[1]} positions differently"
            )
    for tensor, places in part.places.items():
        axis, rate = places[i].axis, places[i].rate
        small, large = (one.network.shape(tensor) or () for one in (part, whole))
        if (large[axis] - small[axis]) * rate != sizes[1] - sizes[0]:
            raise _refused(
                f"the size of {part.network.graph.name_of(tensor)!r} does not grow "
                "with that of the image"
            )


def _moved(network: Network, read: Read) -> ReceptiveFieldError:
    return _refused(
        f"{read.node.name!r} does not treat all positions of "
        f"{network.graph.name_of(read.below)!r} alike"
    )


def _refused(reason: str) -> ReceptiveFieldError:
    return ReceptiveFieldError(
        "it cannot be shown that any tiling gives the same result as the whole image: "
        f"{reason}."
    )
