"""Finds where tensors are zero for every input, because of zero padding.

A product does not depend on one factor where the other factor is zero. Zeros come from
padding, and pass through ops that keep them (`Op.zeros`). Weights and other constants
are taken to be nonzero. For each axis of a tensor, the pass records which positions are
*live*. The tensor is zero wherever a position on some axis is not live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from receptive_field.arrays import np
from receptive_field.budget import hold
from receptive_field.graph.graph import Tensor
from receptive_field.network.network import Network
from receptive_field.network.walk import tensors_below
from receptive_field.relations.boxes import FLAGS_A_NUMBER, Mask, is_told, reached
from receptive_field.relations.relation import SAME, Relation, all_seen, ranked
from receptive_field.rules.op import Call, Zeros, rule_of


class Live(NamedTuple):
    """The positions where a tensor may be nonzero."""

    axes: tuple[Mask, ...]
    """The live positions of each axis."""
    certain: bool
    """Whether the tensor is nonzero wherever the positions on all axes are live, unless
    a weight is zero."""
    sure: tuple[Mask, ...] | None = None
    """If not certain: for each axis, positions such that the tensor is known to be
    nonzero at all their combinations. None if no such positions are known."""

    @property
    def is_all(self) -> bool:
        """Whether every position is live."""
        return all(bool(axis.all()) for axis in self.axes)


class ZeroPass:
    """The zeros in the tensors of a network, computed on demand."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._places = {index: place for place, index in enumerate(network.order)}
        self._found: dict[Tensor, Live | None] = {}

    def factors(self, index: int) -> list[tuple[int, Tensor]]:
        """Returns the factors of a product that depend on the network's input.

        At positions where one factor is zero, the others do not matter. The list is
        empty if fewer than two inputs of the node depend on the network's input.
        """
        edges = self._network.edges(index)
        op = rule_of(self._network.graph.nodes[index])
        if op is None or len(edges) < 2:
            return []
        return [(number, below) for number, below in edges if number in op.absorbing]

    def live(self, tensor: Tensor) -> Live | None:
        """Returns where a tensor is live; None if its sizes are unknown."""
        if tensor not in self._found:
            for below in self._unknown_below(tensor):
                self._found[below] = self._look_at(below)
        return self._found[tensor]

    def settle(self, tensor: Tensor, sure: tuple[Mask, ...]) -> None:
        """Records positions that were found to be nonzero."""
        live = self.live(tensor)
        if live is not None:
            certain = all(bool(axis.all()) for axis in sure)
            self._found[tensor] = Live(live.axes, certain, sure)

    def beside(self, tensor: Tensor, number: int) -> Live | None:
        """Returns where an input of a product matters: where no other factor is zero.

        Args:
          tensor: the output of the product.
          number: the number of the input.

        Returns:
          Positions of the output; None if there is no other factor, if no other factor
          can be zero, or if the sizes of the output are unknown.
        """
        others = [key for key in self.factors(tensor[0]) if key[0] != number]
        sizes = _known_sizes(self._network, tensor)
        if not others or sizes is None:
            return None
        rules = self._network.relations(tensor)
        parts = [self._handed(below, rules[n], sizes) for n, below in others]
        found = _in_all(parts, sizes)
        return None if found.certain and found.is_all else found

    def _unknown_below(self, tensor: Tensor) -> list[Tensor]:
        """Returns this tensor and those below it with unknown zeros, lowest first."""
        known = self._found
        below = tensors_below(self._network, [tensor], lambda t: t not in known)
        found = {tensor, *(t for t in below if t not in known)}
        return sorted(found, key=lambda t: self._places.get(t[0], -1))

    def _look_at(self, tensor: Tensor) -> Live | None:
        sizes = _known_sizes(self._network, tensor)
        if sizes is None:
            return None
        whole = _all_live(sizes)
        if 0 in sizes:  # A part without positions, which a Concat leaves out.
            return Live(whole, True)
        node = self._network.graph.nodes[tensor[0]]
        op = rule_of(node)
        if tensor == self._network.input or op is None:
            return Live(whole, tensor == self._network.input)
        call = Call(node, self._network.known)
        kind = op.zeros(call) if callable(op.zeros) else op.zeros
        if kind is Zeros.FILLED:
            return Live(whole, True)
        rules = self._network.relations(tensor)
        matters = [n for n, rule in enumerate(rules[: len(call)]) if rule is not None]
        edges = [e for e in self._network.edges(tensor[0]) if e[0] in matters]
        parts = {number: self._handed(t, rules[number], sizes) for number, t in edges}
        if op.absorbing:
            return _in_all([p for n, p in parts.items() if n in op.absorbing], sizes)
        constants = [number for number in matters if number not in parts]
        if kind is Zeros.SUM and constants:
            return Live(whole, not any(_has_zero(call, n) for n in constants))
        if kind is Zeros.BESIDE:
            lives = [self._found.get(below) for _, below in edges]
            full = all(live and live.certain and live.is_all for live in lives)
            return Live(whole, full and not any(_has_zero(call, n) for n in constants))
        found = _in_any(list(parts.values()), sizes)
        if kind is None:
            return Live(whole, found.certain and found.is_all)
        return found

    def _handed(
        self, below: Tensor, rule: Relation | None, sizes: Sequence[int]
    ) -> Live:
        """Returns the positions of an op's output that read a live position below."""
        whole = _all_live(sizes)
        live = self._found[below] if below in self._found else self.live(below)
        if live is None or rule is None:
            return Live(whole, False)
        if rule == SAME:
            return live
        rule = ranked(rule, len(live.axes))
        axes, certain = list(whole), live.certain and not rule.parts
        for axis, threads in zip(live.axes, all_seen(rule).axes, strict=True):
            factors = [factor for thread in threads for factor in thread.factors]
            maps = [factor.via.then(factor.map) for factor in factors]
            simple = len(factors) == 1 and threads[0].tail.is_identity
            slot = factors[0].slot if simple else None
            if simple and (slot is None or slot.is_whole):
                # Without a slot, all positions of the output read the same positions.
                places = range(len(axes)) if slot is None else (slot.axis,)
                found = reached(axis, maps[0], 1 if slot is None else sizes[slot.axis])
                certain &= found is not None and is_told(maps[0])
                if found is not None:
                    certain &= bool(places) or bool(found.all())
                    for place in places:
                        axes[place] = axes[place] & found
            else:
                tails = [thread.tail for thread in threads]
                certain &= bool(axis.all()) and all(
                    axis_map.is_identity for axis_map in (*maps, *tails)
                )
        return Live(tuple(axes), certain)


def _known_sizes(network: Network, tensor: Tensor) -> tuple[int, ...] | None:
    shape = network.shape(tensor)
    if shape is None or not all(isinstance(size, int) for size in shape):
        return None
    return shape  # type: ignore[return-value]


def _has_zero(call: Call, number: int) -> bool:
    """Returns whether an input is known to be a constant that contains a zero."""
    value = call.value(number)
    return value is not None and value.dtype.kind in "fb" and bool((value == 0).any())


def _in_all(parts: Sequence[Live], sizes: Sequence[int]) -> Live:
    """Returns the positions that are live in all parts."""

    whole = _all_live(sizes)

    def common(products: Sequence[tuple[Mask, ...]]) -> tuple[Mask, ...]:
        along = zip(whole, *products, strict=True)
        return tuple(np.logical_and.reduce(axes) for axes in along)

    axes = common([part.axes for part in parts])
    if all(part.certain for part in parts):
        return Live(axes, True)
    sure = [part.axes if part.certain else part.sure for part in parts]
    told = [one for one in sure if one is not None]
    return Live(axes, False, common(told) if len(told) == len(sure) else None)


def _in_any(parts: Sequence[Live], sizes: Sequence[int]) -> Live:
    """Returns, for each axis, the positions that are live in any part."""
    axes = tuple(
        np.logical_or.reduce([np.zeros(size, dtype=bool), *(p.axes[i] for p in parts)])
        for i, size in enumerate(sizes)
    )
    apart = [
        [i for i, axis in enumerate(axes) if not np.array_equal(part.axes[i], axis)]
        for part in parts
    ]
    told = not all(apart) or len({i for axis in apart for i in axis}) < 2
    return Live(axes, told and all(part.certain for part in parts))


def _all_live(sizes: Sequence[int]) -> tuple[Mask, ...]:
    """Returns flags for axes of these sizes, on which every position is live."""
    hold(sum(sizes) // FLAGS_A_NUMBER)
    return tuple(np.ones(size, dtype=bool) for size in sizes)
