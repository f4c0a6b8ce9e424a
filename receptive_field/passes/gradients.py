"""Computes squared gradients, from a feature down to the input, op by op.

`questions/effective.py` explains what the pass computes and what it assumes. A
`GradientEdge` passes gradients from an op to one of its inputs, according to the op's
rule (a relation and the weight of each position of a window). The `Descent` visits all
tensors from the output down. This module does not mention any specific op.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from receptive_field.algebra.axis_map import IDENTITY, AxisMap, Floating, Periodic
from receptive_field.algebra.sizes import Size
from receptive_field.budget import counted, hold
from receptive_field.errors import GraphError
from receptive_field.graph.graph import Tensor
from receptive_field.network.network import Network
from receptive_field.passes.pairs import Array, Pairs, TooManyPairsError, farthest
from receptive_field.passes.zeros import ZeroPass
from receptive_field.relations.relation import (
    ALL,
    ALL_BOUND,
    SAME,
    Axis,
    Factor,
    Relation,
    Slot,
    all_seen,
    follow,
    followed_axes,
    is_exact,
    ranked,
)
from receptive_field.rules.op import Call, Taps, rule_of

MOST_TERMS = 16
"""The largest number of weightless paths that is tracked at a tensor. If there are
more, their gradients are added up as if they were independent."""

# --- From the output of an op to an input ---------------------------------------------


def _taps(axis_map: AxisMap, above: int, below: int) -> Array:
    """Returns a matrix [above, below] of the number of taps at each position below.

    Each row counts the taps of one position above.
    """
    hold(above * below)
    counts = np.zeros((above, below))
    for strand in axis_map.strands:
        assert not isinstance(strand, Floating), "the edges have known offsets"
        for u in counted(range(above)):
            window = strand.window(u)
            if window is None:
                continue
            first, last = window
            step = int(strand.gap) if math.isfinite(strand.gap) else 1
            start = 0 if first == -math.inf else int(first)
            start = max(start, start % step)
            stop = below if last == math.inf else min(int(last) + 1, below)
            if start < stop:
                counts[u, start:stop:step] += 1
    counts.flags.writeable = False
    return counts


def _rate(axis_map: AxisMap) -> Fraction | None:
    """Returns the stride of a map with a single periodic strand, or None for others."""
    (strand, *rest) = axis_map.strands or (None,)
    return strand.rate if not rest and isinstance(strand, Periodic) else None


def _mean_taps(axis_map: AxisMap) -> float:
    """Returns the average number of taps of a feature, including those in the padding.

    The map must be that of a layer with weights: periodic, with finite windows.
    """
    (strand,) = axis_map.strands
    assert isinstance(strand, Periodic)
    windows = [w for w in strand.windows if w is not None]
    return sum((w[1] - w[0]) / strand.gap + 1 for w in windows) / len(strand.windows)


MOVING = (Taps.COPY, Taps.FACTOR, Taps.CHOICE, Taps.ACTIVATION)
"""The kinds of taps that pass on each position unchanged."""

COHERENT = (*MOVING, Taps.SUM, Taps.MEAN)
"""The kinds of taps whose gradients are added up before they are squared."""


def _is_identity(axis_map: AxisMap, above: Size | None, below: Size | None) -> bool:
    return axis_map == IDENTITY and above == below


@dataclass(slots=True)
class GradientEdge:
    """An edge, and how it passes gradients from an output of a node to an input."""

    below: Tensor
    relation: Relation
    taps: Taps
    sign: float
    above_sizes: tuple[Size | None, ...]
    above_placed: frozenset[int]
    sizes: tuple[Size | None, ...]
    placed: frozenset[int]
    """The axes of the input along which positions are kept apart. ``above_placed``
    holds these axes of the output."""
    coefficients: dict[int, Array] = dataclasses.field(default_factory=dict)
    independent: bool = False
    """Whether the gradient of this input is independent of other inputs' gradients."""
    matrices: tuple[Array | None, ...] | None = None
    """For each axis, the matrix to multiply by (None if the axis is unchanged).
    ``matrices`` itself is None if the edge has weights or does more than multiply by
    matrices."""

    def __post_init__(self) -> None:
        if self.taps in COHERENT and not self.relation.any_rank:
            self.matrices = self._simple()

    @property
    def coherent(self) -> bool:
        """Whether gradients are added up before they are squared."""
        return self.taps in COHERENT

    @property
    def meets_others(self) -> bool:
        """Whether gradients are added to those of other paths before they are
        squared."""
        return self.coherent and not self.independent

    def _simple(self) -> tuple[Array | None, ...] | None:
        if len(self.sizes) != len(self.above_sizes) or self.placed != self.above_placed:
            return None
        matrices: list[Array | None] = []
        for axis, below in enumerate(self.relation.axes):
            (thread,) = below
            factor = thread.factors[0]
            whole = factor.slot is not None and factor.slot.is_whole
            if len(thread.factors) > 1 or not whole or factor.slot.axis != axis:  # type: ignore[union-attr]
                return None
            same = _is_identity(_map(factor), self.above_sizes[axis], self.sizes[axis])
            if same and axis not in self.coefficients and self._own(axis) is None:
                matrices.append(None)
            elif axis not in self.placed or not thread.tail.is_identity:
                return None
            else:
                matrices.append(
                    self._matrix(axis, _map(factor), axis, self.sizes[axis])
                )
        return tuple(matrices)

    def _counts(self, axis_map: AxisMap, above: int | None, size: Size | None) -> Array:
        count = 1 if above is None else _integer(self.above_sizes[above])
        own = self._own(above)
        taps = _taps(axis_map, count, _integer(size))
        return taps if own is None else taps * own[:, None]

    def _own(self, above: int | None) -> Array | None:
        """Returns 1 for each position of an axis above that reads this input, else 0.

        Returns None if all positions read it.
        """
        piece = self.relation.piece
        if piece is None or piece.axis != above:
            return None
        own = np.zeros(piece.total)
        for positions in piece.ranges:
            own[positions.start : positions.stop] = 1
        return own

    def _matrix(
        self, axis: int, axis_map: AxisMap, above: int | None, size: Size | None
    ) -> Array:
        """Returns the weights along one axis, as a matrix [above, below].

        Each element is the weight that the position above gives to the position below.
        """
        if axis in self.coefficients:
            return self.coefficients[axis]
        counts = self._counts(axis_map, above, size)
        if self.taps in (Taps.MEAN, Taps.WINNER):
            inside = counts.sum(axis=1, keepdims=True)
            return counts / np.where(inside == 0, 1, inside)
        if self.taps is Taps.WEIGHTS:
            return counts / _mean_taps(axis_map)
        return counts

    # Limits: the largest lags at which some op below can bring two positions together.

    def limits(self, below: Sequence[int]) -> list[int]:
        """Returns the largest lags that matter above, given those that matter below."""
        if self.matrices is not None:
            pairs = zip(self.matrices, below, strict=True)
            return [r if m is None else farthest(m.T, m.T, r) for m, r in pairs]
        limits = [0] * len(self.above_sizes)
        if self.taps is Taps.WINNER or self.relation.any_rank:
            return limits
        followers = self._followers()
        for axis in self.above_placed:
            size = _integer(self.above_sizes[axis])
            limit = self._limit(followers.get(axis, []), below, size)
            limits[axis] = max(min(limit, size - 1), 0)
        return limits

    def _limit(
        self, followers: Sequence[tuple[int, int]], below: Sequence[int], size: int
    ) -> int:
        if not followers:
            return size - 1 if self.coherent else 0
        reaches = {key: self._factor_limit(*key, below) for key in followers}
        factors = [(self._factor(*key), reaches[key]) for key in followers]
        if all(f.is_identity for f, _ in factors):
            slots = [(f.slot, reach) for f, reach in factors]
            inner = [s.inner if isinstance(s.inner, int) else 1 for s, _ in slots if s]
            return sum(i * r for i, (_, r) in zip(inner, slots, strict=True))
        if len(factors) == 1:
            ((factor, reach),) = factors
            ((axis, number),) = followers
            rate = _rate(_map(factor))
            if self.taps is Taps.WEIGHTS:
                return int(reach / abs(rate)) if rate else 0
            assert factor.slot is not None
            if factor.slot.is_whole:
                matrix = self._matrix(
                    axis if self._is_single(axis) else -1,
                    _map(factor),
                    factor.slot.axis,
                    self._size(axis, number),
                )
                return farthest(matrix.T, matrix.T, reach)
        if not any(reaches.values()):
            joint = self._joint(followers)
            return farthest(joint.T, joint.T, 0)
        return size - 1

    def _factor_limit(self, axis: int, number: int, below: Sequence[int]) -> int:
        (thread,) = self.relation.axes[axis]
        reach = below[axis]
        if not thread.tail.is_identity:
            tail = self._tail(axis)
            reach = farthest(tail.T, tail.T, reach)
        if len(thread.factors) == 1:
            return reach
        inner = 1
        for other in range(number + 1, len(thread.factors)):
            size = self._size(axis, other)
            inner *= size if isinstance(size, int) else 1
        own = self._size(axis, number)
        steps = (reach + inner - 1) // inner
        return min(steps, own - 1) if isinstance(own, int) else steps

    # Factors of axes.

    def _factor(self, axis: int, number: int) -> Factor:
        return self.relation.axes[axis][0].factors[number]

    def _is_single(self, axis: int) -> bool:
        return len(self.relation.axes[axis][0].factors) == 1

    def _followers(self) -> dict[int, list[tuple[int, int]]]:
        """Returns the factors that follow each axis above, as pairs (axis, number)."""
        found: dict[int, list[tuple[int, int]]] = {}
        for axis, (thread,) in enumerate(self.relation.axes):
            for number, factor in enumerate(thread.factors):
                if factor.slot is not None:
                    found.setdefault(factor.slot.axis, []).append((axis, number))
        return found

    def _size(self, axis: int, number: int) -> Size | None:
        """Returns the number of positions of a factor; None if it is unknown."""
        (thread,) = self.relation.axes[axis]
        factor = thread.factors[number]
        if len(thread.factors) == 1 and thread.tail.is_identity:
            return self.sizes[axis]
        if factor.size is not None:
            return factor.size
        assert factor.is_identity
        assert factor.slot is not None
        assert factor.slot.is_whole
        return self.above_sizes[factor.slot.axis]

    def _tail(self, axis: int) -> Array:
        (thread,) = self.relation.axes[axis]
        merged = 1
        for number in range(len(thread.factors)):
            merged *= _integer(self._size(axis, number))
        return _taps(thread.tail, merged, _integer(self.sizes[axis]))

    def _joint(self, followers: Sequence[tuple[int, int]]) -> Array:
        """Returns a matrix from an axis above to the merged factors that follow it."""
        whole: Array | None = None
        for key in followers:
            factor, size = self._factor(*key), _integer(self._size(*key))
            slot = factor.slot
            assert slot is not None
            assert slot.is_whole
            count = _integer(self.above_sizes[slot.axis])
            matrix = _taps(_map(factor), count, size)
            if whole is None:
                whole = matrix
            else:
                hold(whole.size * size)
                whole = (whole[:, :, None] * matrix[:, None]).reshape(count, -1)
        assert whole is not None
        return whole

    # From pairs of the output to pairs of the input.

    def handed(self, pairs: Pairs, limits: Sequence[int]) -> Pairs:
        """Returns the pairs of the input that result from these pairs of the output."""
        if self.relation.any_rank or len(self.above_sizes) != pairs.rank:
            for _ in range(pairs.rank):
                pairs = pairs.without(0, coherent=False)
            for size in self.sizes:
                pairs = pairs.with_axis(size, even=True)
            return pairs
        if self.taps is Taps.WINNER:
            pairs = pairs.cropped([0] * pairs.rank)
        followers = self._followers()
        labels: list[Any] = list(range(pairs.rank))
        for axis in range(pairs.rank):
            place = labels.index(axis)
            keys = followers.get(axis, [])
            if not keys:
                pairs = self._piece(pairs, place, axis)
                pairs = pairs.without(place, self.coherent)
                del labels[place]
            elif len(keys) == 1 and self._is_whole(keys[0]):
                pairs = self._through(pairs, place, keys[0], limits)
                labels[place] = keys[0]
            else:
                pairs, parts = self._taken_apart(pairs, place, keys)
                labels[place : place + 1] = parts
        for axis, (thread,) in enumerate(self.relation.axes):
            for number, factor in enumerate(thread.factors):
                if factor.slot is None:
                    pairs = self._with_constant(pairs, axis, number, limits)
                    labels.append((axis, number))
        pairs = pairs.permuted([labels.index(key) for key in sorted(labels)])
        for axis, (thread,) in enumerate(self.relation.axes):
            for _ in thread.factors[1:]:
                pairs = pairs.merged(axis)
            if not pairs.even[axis] and not _is_identity(
                thread.tail, pairs.sizes[axis], self.sizes[axis]
            ):
                tail = self._tail(axis)
                pairs = pairs.along(axis, tail, tail, limits[axis])
            if axis not in self.placed:
                pairs = pairs.spread(axis)
        pairs = replace(pairs, sizes=self.sizes)
        return pairs.times(self.sign**2).cropped(limits)

    def _piece(self, pairs: Pairs, place: int, axis: int) -> Pairs:
        """Keeps only this input's positions on an axis that no factor follows."""
        own = self._own(axis)
        if own is None:
            return pairs
        if pairs.even[place]:
            return pairs.times(own.mean())
        return pairs.along(place, own[:, None], own[:, None], 0)

    def _is_whole(self, key: tuple[int, int]) -> bool:
        slot = self._factor(*key).slot
        assert slot is not None
        return slot.inner == 1 and slot.size in (None, self.above_sizes[slot.axis])

    def _through(
        self, pairs: Pairs, place: int, key: tuple[int, int], limits: Sequence[int]
    ) -> Pairs:
        """Maps an axis through the only factor that follows it.

        The factor follows the whole axis.
        """
        factor = self._factor(*key)
        axis_map, size = _map(factor), self._size(*key)
        single = self._is_single(key[0])
        assert factor.slot is not None
        above = factor.slot.axis
        own = self._own(above)
        given = (single and key[0] in self.coefficients) or own is not None
        if not given and _is_identity(axis_map, pairs.sizes[place], size):
            return pairs
        if pairs.even[place] and key[0] not in self.placed:
            share = self._share(axis_map, above, size)
            sizes = (*pairs.sizes[:place], size, *pairs.sizes[place + 1 :])
            return replace(pairs.times(share), sizes=sizes)
        sizes_known = isinstance(size, int) and isinstance(pairs.sizes[place], int)
        if not sizes_known:
            spread = pairs.spread(place)
            sizes = (*spread.sizes[:place], size, *spread.sizes[place + 1 :])
            return replace(spread, sizes=sizes)
        assert isinstance(size, int)
        matrix = self._matrix(key[0] if single else -1, axis_map, above, size)
        limit = self._factor_limit(*key, limits)
        if self.coherent:
            return pairs.along(place, matrix, matrix, limit)
        counts = self._counts(axis_map, above, size)
        rate = _rate(axis_map) if self.taps is Taps.WEIGHTS else None
        return pairs.along(place, matrix, counts, limit if rate else 0, rate)

    def _share(self, axis_map: AxisMap, axis: int, below: Size | None) -> float:
        """Returns the factor by which gradients on an even axis are multiplied.

        An even axis, such as the channels, stores only the sum over its positions.
        """
        above, own = self.above_sizes[axis], self._own(axis)
        if not isinstance(above, int) or not isinstance(below, int):
            return 1.0
        if self.taps is Taps.WEIGHTS:
            return float(self._matrix(-1, axis_map, axis, below).sum() / above)
        firsts, lasts = axis_map.evaluate(np.arange(above))
        inside = np.minimum(lasts, below - 1) - np.maximum(firsts, 0) + 1
        counts = np.maximum(inside, 0).astype(np.float64)
        counts = counts if own is None else counts * own
        if self.taps in (*MOVING, Taps.SUM):
            return float(counts.sum() / above)
        if self.taps is Taps.MEAN:
            return float((1 / counts[counts > 0]).sum() / above)
        return float((counts > 0).sum() / above)

    def _taken_apart(
        self, pairs: Pairs, place: int, keys: Sequence[tuple[int, int]]
    ) -> tuple[Pairs, list[tuple[int, int]]]:
        """Splits an axis into the factors that follow it.

        Returns:
          The pairs, and the key of each part.
        """
        slots = {key: self._factor(*key).slot for key in keys}
        plain = all(self._factor(*key).is_identity for key in keys)
        if not plain:
            joint = self._joint(keys)
            size = joint.shape[1]
            whole = pairs.along(place, joint, joint, size - 1)
            for key in reversed(keys[1:]):
                whole = whole.split(place, _integer(self._size(*key)))
            return whole, list(keys)
        # If two slots begin at the same place, the inner one has a single position.
        parts = sorted(keys, key=lambda key: _place(slots[key]), reverse=True)
        for key in parts[:0:-1]:
            slot = slots[key]
            assert slot is not None
            pairs = pairs.split(place, _integer(slot.size))
        if not pairs.even[place] and pairs.sizes[place] != self._size(*parts[0]):
            raise _unfit()
        return pairs, parts

    def _with_constant(
        self, pairs: Pairs, axis: int, number: int, limits: Sequence[int]
    ) -> Pairs:
        """Appends a factor whose positions are the same for every feature."""
        size = self._size(axis, number)
        axis_map = _map(self._factor(axis, number))
        whole = axis_map.is_global
        if axis not in self.placed or not isinstance(size, int):
            count = size if whole and isinstance(size, int) and size else 1
            factor = {Taps.MEAN: 1 / count, Taps.SUM: float(count)}.get(self.taps, 1.0)
            return pairs.times(factor).with_axis(size, even=True)
        if whole and not self.coherent:
            return pairs.with_axis(size, even=True)
        matrix = self._matrix(-1, axis_map, None, size)
        pairs = pairs.with_axis(1, even=False)
        place = pairs.rank - 1
        if self.coherent:
            limit = self._factor_limit(axis, number, limits)
            return pairs.along(place, matrix, matrix, limit)
        counts = self._counts(axis_map, None, size)
        return pairs.along(place, matrix, counts, 0)


def _place(slot: Slot | None) -> tuple[int, bool]:
    """Returns a key that sorts the slots of an axis, the innermost slot first."""
    assert slot is not None
    return _integer(slot.inner), slot.size != 1


def _integer(size: Size | None) -> int:
    """Returns the size of a part of an axis.

    Raises:
      GraphError: if it is unknown.
    """
    if not isinstance(size, int):
        raise _unfit()
    return size


def _unfit() -> GraphError:
    return GraphError(
        "squared gradients cannot be computed at this size of the input: an op splits "
        "or merges axes, and the size of a part is unknown or does not fit. Give the "
        "input_resolution for which the model was made, or an output= nearer the input."
    )


def _map(factor: Factor) -> AxisMap:
    return factor.via.then(factor.map)


class RuleEdge(NamedTuple):
    """An edge, as described by its op's rule."""

    below: Tensor
    relation: Relation
    taps: Taps
    sign: float = 1.0
    coefficients: dict[int, Array] = {}  # noqa: RUF012
    independent: bool = False


def _known(axes: Collection[int], sizes: Sequence[Size | None]) -> frozenset[int]:
    """Returns the axes among ``axes`` whose sizes are known."""
    return frozenset(
        axis for axis in axes if axis < len(sizes) and isinstance(sizes[axis], int)
    )


def _channels_apart(
    relation: Relation,
    above: Sequence[Size | None],
    below: Sequence[Size | None],
    placed: Collection[int],
) -> Relation:
    """Returns the relation with channels following the channels above, if possible.

    Rules do not track single channels. If an op needs all channels and keeps their
    number, this treats the axis of channels as if it followed the same axis above.
    """
    if len(above) != len(below) or relation.any_rank:
        return relation
    followed = set[int]().union(*map(followed_axes, relation.axes))
    return relation._replace(
        axes=tuple(
            follow(number)
            if number not in placed
            and number not in followed
            and above[number] == below[number]
            and all(axis_map.is_global for axis_map in _maps(axis))
            else axis
            for number, axis in enumerate(relation.axes)
        )
    )


# --- The pass -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A weightless path from a root: a factor, and a matrix for each axis.

    A matrix is None if the path leaves the axis unchanged.
    """

    factor: float
    matrices: tuple[Array | None, ...]

    def then(self, factor: float, matrices: Sequence[Array | None]) -> Term:
        """Returns this path with one more step."""
        found = tuple(
            b if a is None else a if b is None else a @ b
            for a, b in zip(self.matrices, matrices, strict=True)
        )
        return Term(self.factor * factor, found)


Terms = dict[int, list[Term]]
"""The gradient of a tensor: for each root, the paths that lead to the tensor."""


def _added(terms: list[Term], term: Term) -> None:
    """Adds a term to a list.

    If the list has a term with equal matrices, this adds up the factors instead.
    """
    for index, other in enumerate(terms):
        pairs = zip(other.matrices, term.matrices, strict=True)
        if all(
            a is b or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in pairs
        ):
            terms[index] = replace(other, factor=other.factor + term.factor)
            return
    terms.append(term)


class Slopes:
    """What descents from several outputs of a network have in common.

    A descent adds what it needs. None of this depends on the output.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.zeros = ZeroPass(network)
        self.steps: dict[Tensor, list[RuleEdge]] = {}
        self.assumed: dict[Tensor, str] = {}
        """For each tensor at which the rules alone need an assumption, the name of the
        node."""
        self.placed: dict[Tensor, frozenset[int]] = {}
        """For each tensor, the axes along which positions are kept apart. These are the
        axes of positions and of copies, but not of channels."""
        self.edges: dict[Tensor, list[GradientEdge]] = {}


class Descent:
    """The pass that takes the squared gradient of a feature down to the input.

    Terms start from *roots*: gradients that are independent of all others. At a
    weightless op, a path only collects matrices, so that the gradients of paths that
    part and meet again are added up before they are squared. Any other edge makes a new
    root.
    """

    def __init__(
        self,
        slopes: Slopes,
        output: Tensor,
        spatial: Sequence[int],
    ) -> None:
        self.network = slopes.network
        self.spatial = spatial
        self.output = output
        self.slopes = slopes
        self.placed, self.edges = slopes.placed, slopes.edges
        self.assumed: dict[str, None] = {}
        self.roots: dict[int, Pairs] = {}
        self._numbers = itertools.count()
        self.pending: dict[Tensor, Terms] = {}
        self.order: list[list[Tensor]] = []
        """The tensors from the output down, as lists. Each list holds one tensor, or
        all tensors of a loop."""
        self._find_edges()
        flat = itertools.chain.from_iterable(self.order)
        self.places = {tensor: place for place, tensor in enumerate(flat)}
        self.meets = self._find_meets()
        self.limits = self._find_limits()

    # Preparation.

    def _find_edges(self) -> None:
        """Finds the edges on the way down, then the axes of positions on the way up."""
        produced: dict[int, list[Tensor]] = {self.output[0]: [self.output]}
        steps = self.slopes.steps
        starts = {end: start for start, end in self.network.loops.items()}
        stop = len(self.network.order)
        while stop:
            start = starts.get(stop, stop - 1)
            group = self.network.order[start:stop]
            tensors = sorted(t for index in group for t in produced.get(index, ()))
            for tensor in tensors:
                if tensor not in steps:
                    steps[tensor] = (
                        self._loop_steps(tensor, group)
                        if stop in starts
                        else self._steps(tensor)
                    )
                if tensor in self.slopes.assumed:
                    self.assumed[self.slopes.assumed[tensor]] = None
                for step in steps[tensor]:
                    below = produced.setdefault(step.below[0], [])
                    if step.below not in below:
                        below.append(step.below)
            if tensors:
                self.order.append(tensors)
            stop = start
        own = self._shape(self.network.input)
        self.placed[self.network.input] = _known({0, *self.spatial}, own)
        for tensors in reversed(self.order):
            for tensor in tensors:
                if tensor not in self.edges:
                    self._make_edges(tensor, steps[tensor])

    def _make_edges(self, tensor: Tensor, steps: Sequence[RuleEdge]) -> None:
        shape, placed = self._shape(tensor), set[int]()
        relations = []
        for step in steps:
            held = self.placed.get(step.below, frozenset())
            relation = _channels_apart(
                step.relation, shape, self._shape(step.below), held
            )
            relations.append(relation)
            axes = enumerate(relation.axes)
            placed.update(*(followed_axes(axis) for a, axis in axes if a in held))
            if step.taps in COHERENT and not relation.any_rank:
                # Axes that an op without weights adds, for example by repetition.
                placed |= set(range(len(shape))).difference(
                    *map(followed_axes, relation.axes)
                )
        self.placed[tensor] = _known(placed, shape)
        hold(math.prod(shape[axis] for axis in self.placed[tensor]))  # type: ignore[misc]
        self.edges[tensor] = [
            GradientEdge(
                step.below,
                relation,
                step.taps,
                step.sign,
                shape,
                self.placed[tensor],
                self._shape(step.below),
                self.placed.get(step.below, frozenset()),
                step.coefficients,
                step.independent,
            )
            for step, relation in zip(steps, relations, strict=True)
        ]

    def _shape(self, tensor: Tensor) -> tuple[Size | None, ...]:
        return self.network.shape(tensor) or ()

    def _loop_steps(self, tensor: Tensor, group: Sequence[int]) -> list[RuleEdge]:
        """Returns the edges that stand for a whole loop.

        They spread the gradient of the loop evenly over each tensor that the loop
        reads.
        """
        self.slopes.assumed[tensor] = self.network.graph.nodes[group[0]].name
        edges = (edge for index in group for edge in self.network.edges(index))
        read = dict.fromkeys(below for _, below in edges if below[0] not in group)
        return [RuleEdge(below, ALL_BOUND, Taps.WINNER) for below in read]

    def _steps(self, tensor: Tensor) -> list[RuleEdge]:
        node = self.network.graph.nodes[tensor[0]]
        op = rule_of(node)
        assert op is not None
        rules = self.network.relations(tensor)
        carrying = [
            (number, below, rule)
            for number, below in self.network.edges(tensor[0])
            if (rule := rules[number]) is not None
        ]
        # An input that fills only a piece of the output is not multiplied by others.
        several = sum(rule.piece is None for _, _, rule in carrying) > 1
        product = several and op.taps in (Taps.FACTOR, Taps.CHOICE, Taps.WEIGHTS)
        if product and not self._is_activation(carrying):
            self.slopes.assumed[tensor] = node.name
        found = []
        for number, below, rule in carrying:
            relation = self._plain(rule, tensor, below)
            taps, sign = op.taps, 1.0
            if number < len(op.signs):
                sign = float(op.signs[number])
            if product:
                sign /= math.sqrt(len(carrying))
            moves = taps in MOVING
            vague = relation.any_rank or (moves and not _is_certain(relation))
            if product and not _covers(relation):
                # At each position, a broadcast factor meets a different number.
                taps = Taps.WINNER
            if taps is None or vague or (product and taps is Taps.WEIGHTS):
                self.slopes.assumed[tensor] = node.name
                taps = Taps.WINNER
            coefficients = {}
            if op.coefficients is not None and number == 0:
                coefficients = dict(op.coefficients(Call(node, self.network.known)))
            if product:
                coefficients |= self._zeros_beside(tensor, number, relation, below)
            apart = product or taps is Taps.ACTIVATION
            found.append(RuleEdge(below, relation, taps, sign, coefficients, apart))
        return found

    def _zeros_beside(
        self, tensor: Tensor, number: int, relation: Relation, below: Tensor
    ) -> dict[int, Array]:
        """Returns the taps of a factor at positions where no other factor is zero.

        There is one matrix [above, below] for each axis on which other factors of the
        product are zero at some positions.
        """
        live = self.slopes.zeros.beside(tensor, number)
        found: dict[int, Array] = {}
        if live is None or relation.any_rank:
            return found
        for axis, (thread,) in enumerate(relation.axes):
            factor, size = thread.factors[0], self._shape(below)[axis]
            simple = len(thread.factors) == 1 and thread.tail.is_identity
            if not simple or factor.slot is None or not factor.slot.is_whole:
                continue
            along = live.axes[factor.slot.axis]
            if isinstance(size, int) and not along.all():
                found[axis] = _taps(_map(factor), len(along), size) * along[:, None]
        return found

    def _is_activation(self, factors: Sequence[tuple[int, Tensor, Relation]]) -> bool:
        """Returns whether all factors are elementwise functions of one tensor.

        An example is ``x * f(x)``.
        """
        sources = [set(self._elementwise_sources(below)) for _, below, _ in factors]
        return bool(set.intersection(*sources))

    def _elementwise_sources(self, tensor: Tensor) -> list[Tensor]:
        """Returns this tensor, and all tensors that determine it elementwise."""
        found = [tensor]
        while tensor != self.network.input:
            edges = self.network.edges(tensor[0])
            op = rule_of(self.network.graph.nodes[tensor[0]])
            if len(edges) != 1 or op is None or op.taps not in MOVING:
                break
            ((number, below),) = edges
            if self.network.relations(tensor)[number] != SAME:
                break
            tensor = below
            found.append(tensor)
        return found

    def _plain(self, rule: Relation, tensor: Tensor, below: Tensor) -> Relation:
        """Returns the relation with all axes written out, or `ALL_BOUND`.

        `ALL_BOUND` is returned if the axes cannot be written out.
        """
        above, shape = self.network.shape(tensor), self.network.shape(below)
        if above is None or shape is None or rule in (ALL, ALL_BOUND):
            return ALL_BOUND
        relation = ranked(all_seen(rule), len(shape))
        fits = len(relation.axes) == len(shape) and all(
            len(axis) == 1 and max(followed_axes(axis), default=-1) < len(above)
            for axis in relation.axes
        )
        return relation if fits and _is_placed(relation) else ALL_BOUND

    def _find_limits(self) -> dict[Tensor, list[int]]:
        """Finds, for each tensor, the largest lags that are needed below it."""
        limits: dict[Tensor, list[int]] = {}

        def limit(tensor: Tensor) -> list[int]:
            return [0] * len(self.network.shape(tensor) or ())

        for tensors in reversed(self.order):
            for tensor in tensors:
                own = limit(tensor)
                for edge in self.edges[tensor]:
                    below = limits.setdefault(edge.below, limit(edge.below))
                    own = list(map(max, own, edge.limits(below)))
                own = list(map(max, own, self._limits_of_meeting(tensor, limits)))
                placed = self.placed[tensor]
                limits[tensor] = [r if a in placed else 0 for a, r in enumerate(own)]
        limits.setdefault(self.network.input, limit(self.network.input))
        return limits

    def _limits_of_meeting(
        self, tensor: Tensor, limits: Mapping[Tensor, Sequence[int]]
    ) -> list[int]:
        """Returns the largest lags needed where paths from a tensor meet again."""
        own = [0] * len(self._shape(tensor))
        pending = {tensor: [Term(1.0, (None,) * len(own))]}
        while pending:
            current = min(pending, key=lambda t: self.places.get(t, len(self.places)))
            terms = pending.pop(current)
            for one, two in itertools.combinations(terms, 2):
                for axis, limit in enumerate(limits.get(current, ())):
                    first, second = one.matrices[axis], two.matrices[axis]
                    size = self._shape(tensor)[axis]
                    if first is second or not isinstance(size, int):
                        continue
                    first = np.eye(size) if first is None else first
                    second = np.eye(size) if second is None else second
                    own[axis] = max(own[axis], farthest(first.T, second.T, limit))
            mine = self.meets.get(current, 0)
            apart = any(self.meets.get(other, 0) & mine for other in pending)
            if (not apart and current != tensor) or len(terms) > MOST_TERMS:
                continue
            for edge in self.edges.get(current, ()):
                if edge.matrices is not None and edge.meets_others:
                    for term in terms:
                        step = term.then(edge.sign, edge.matrices)
                        _added(pending.setdefault(edge.below, []), step)
            if current == tensor and not self._meet_again(pending):
                break
        return own

    def _meet_again(self, tensors: Iterable[Tensor]) -> bool:
        pairs = itertools.combinations([self.meets.get(t, 0) for t in tensors], 2)
        return any(one & two for one, two in pairs)

    def _find_meets(self) -> dict[Tensor, int]:
        """Returns, for each tensor, the tensors at which its paths may meet others.

        Paths may meet at a tensor if several edges lead to it and weightless paths
        reach it. Each such tensor is one bit of the returned integers.
        """
        read: dict[Tensor, int] = {}
        for tensor in itertools.chain.from_iterable(self.order):
            for edge in self.edges[tensor]:
                read[edge.below] = read.get(edge.below, 0) + 1
        several = (tensor for tensor, count in read.items() if count > 1)
        bits = {tensor: 1 << number for number, tensor in enumerate(several)}
        meets: dict[Tensor, int] = {self.network.input: bits.get(self.network.input, 0)}
        for tensors in reversed(self.order):
            for tensor in tensors:
                found = bits.get(tensor, 0)
                for edge in self.edges[tensor]:
                    if edge.meets_others:
                        found |= meets.get(edge.below, 0)
                meets[tensor] = found
        return meets

    # The pass itself.

    def run(self, feature: dict[int, int]) -> tuple[Array, tuple[str, ...]]:
        """Takes the gradient of a feature down to the input.

        Args:
          feature: for each axis of the output with positions, the feature's position.

        Returns:
          The expected squared gradients over the input's spatial axes, and the names of
          the nodes at which the pass had to make an assumption.
        """
        self._start(feature)
        for tensor in itertools.chain.from_iterable(self.order):
            self._visit(tensor)
        paths = self.pending[self.network.input]
        found = self._value(paths, self.limits[self.network.input])
        for axis in range(found.rank):
            found = found.explicit(axis) if axis in self.spatial else found.spread(axis)
        found = found.cropped([0] * found.rank)
        others = tuple(a for a in range(found.rank) if a not in self.spatial)
        squares = found.array.reshape(found.array.shape[found.rank :]).sum(axis=others)
        ranks = np.argsort(np.argsort(self.spatial))
        return np.maximum(squares.transpose(ranks), 0), tuple(self.assumed)

    def _start(self, feature: dict[int, int]) -> None:
        sizes = self.network.shape(self.output) or ()
        pairs = Pairs(np.ones(()), (), ())
        for axis, size in enumerate(sizes):
            if axis in feature and isinstance(size, int):
                hold(size)
                at = np.zeros((1, size))
                at[0, feature[axis]] = 1
                pairs = pairs.with_axis(1, even=False).along(axis, at, at, 0)
            else:
                pairs = pairs.with_axis(size, even=True)
        self._new_root(self.output, pairs)

    def _new_root(self, tensor: Tensor, pairs: Pairs) -> None:
        number = next(self._numbers)
        self.roots[number] = pairs
        paths = self.pending.setdefault(tensor, {})
        paths[number] = [Term(1.0, (None,) * pairs.rank)]

    def _visit(self, tensor: Tensor) -> None:
        paths = self.pending.pop(tensor)
        shared = self._is_shared(tensor, paths)
        whole: Pairs | None = None
        if not shared or sum(map(len, paths.values())) > MOST_TERMS:
            if shared:
                self._assume(tensor)
            whole = self._within_bounds(tensor, paths)
            self._new_root(tensor, whole)
            paths = self.pending.pop(tensor)
        for edge in self.edges[tensor]:
            if edge.matrices is not None and not edge.independent:
                below = self.pending.setdefault(edge.below, {})
                for root, terms in paths.items():
                    for term in terms:
                        step = term.then(edge.sign, edge.matrices)
                        _added(below.setdefault(root, []), step)
                continue
            if whole is None:
                whole = self._within_bounds(tensor, paths)
            if edge.meets_others and (shared or self._is_torn(tensor, whole, edge)):
                self._assume(tensor)
            self._new_root(edge.below, self._handed(tensor, whole, edge))
        used = {root for others in self.pending.values() for root in others}
        for root in paths.keys() - used:
            del self.roots[root]

    def _within_bounds(self, tensor: Tensor, paths: Terms) -> Pairs:
        limits = self.limits[tensor]
        try:
            return self._value(paths, limits)
        except TooManyPairsError:
            self._assume(tensor)
            return self._value(paths, [0] * len(limits))

    def _handed(self, tensor: Tensor, pairs: Pairs, edge: GradientEdge) -> Pairs:
        limits = self.limits[edge.below]
        try:
            return edge.handed(pairs, limits)
        except TooManyPairsError:
            self._assume(tensor)
            none = pairs.cropped([0] * pairs.rank)
            return edge.handed(none, [0] * len(limits))

    def _assume(self, tensor: Tensor) -> None:
        self.assumed[self.network.graph.nodes[tensor[0]].name] = None

    def _is_shared(self, tensor: Tensor, paths: Terms) -> bool:
        """Returns whether paths at a tensor may yet meet others from the same root."""
        mine = self.meets.get(tensor, 0)
        return any(
            self.meets.get(other, 0) & mine and not paths.keys().isdisjoint(theirs)
            for other, theirs in self.pending.items()
        )

    def _is_torn(self, tensor: Tensor, pairs: Pairs, edge: GradientEdge) -> bool:
        """Returns whether an edge separates pairs whose paths meet again below.

        A pair is separated if its positions belong to different inputs of a join.
        """
        piece, mine = edge.relation.piece, self.meets.get(edge.below, 0)
        return (
            piece is not None
            and pairs.reach(piece.axis) > 0
            and any(
                self.meets.get(other.below, 0) & mine
                for other in self.edges[tensor]
                if other is not edge
            )
        )

    def _value(self, paths: Terms, limits: Sequence[int]) -> Pairs:
        """Returns the pairs of a tensor, summed over all paths that lead to it."""
        found: Pairs | None = None
        for root, terms in paths.items():
            for one in terms:
                for two in terms:
                    pairs = self._product(self.roots[root], one, two, limits)
                    found = pairs if found is None else found + pairs
        assert found is not None
        return found

    def _product(
        self, pairs: Pairs, one: Term, two: Term, limits: Sequence[int]
    ) -> Pairs:
        for axis, (a, b) in enumerate(zip(one.matrices, two.matrices, strict=True)):
            if a is None and b is None:
                continue
            first = np.eye(len(b)) if a is None and b is not None else a
            second = np.eye(len(a)) if b is None and a is not None else b
            assert first is not None
            assert second is not None
            pairs = pairs.along(axis, first, second, limits[axis])
        return pairs.cropped(limits).times(one.factor * two.factor)


def _is_certain(relation: Relation) -> bool:
    """Returns whether all axes of a relation are exact, with finite windows."""
    return all(
        is_exact(axis) and not any(map(_is_endless, _maps(axis)))
        for axis in relation.axes
    )


def _covers(relation: Relation) -> bool:
    """Returns whether every factor follows a slot, so that nothing is broadcast."""
    return all(
        factor.slot is not None
        for axis in relation.axes
        for thread in axis
        for factor in thread.factors
    )


def _maps(axis: Axis) -> list[AxisMap]:
    return [_map(factor) for thread in axis for factor in thread.factors]


def _is_endless(axis_map: AxisMap) -> bool:
    return any(
        window is not None and not all(map(math.isfinite, window))
        for strand in axis_map.strands
        if not isinstance(strand, Floating)
        for window in strand.windows
    )


def _is_placed(relation: Relation) -> bool:
    """Returns whether all offsets in a relation are known."""
    return not any(m.is_floating for axis in relation.axes for m in _maps(axis))
