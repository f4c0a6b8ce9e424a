"""The backward pass on sets: finds exactly which input positions features see.

Like the backward pass in `regions`, it visits each node and edge once, but it passes
down sets of positions (`relations.boxes`) instead of windows. All sizes must be known.
If the network cannot be followed position by position, because of a loop or a size that
depends on data, the pass raises `UntoldError`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from receptive_field.arrays import np
from receptive_field.budget import hold
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Tensor
from receptive_field.network.network import Edge, Network
from receptive_field.network.walk import Read, descend, reads, tensors_below
from receptive_field.passes.zeros import ZeroPass
from receptive_field.relations import boxes
from receptive_field.relations.boxes import Box, Digits, Mask
from receptive_field.relations.relation import SAME, Relation, all_seen
from receptive_field.rules.op import Call, Taps, rule_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Features: TypeAlias = "Mapping[int, NDArray[Any]]"
"""For each axis of the output, the positions of the features on that axis."""


class UntoldError(Exception):
    """The network cannot be followed position by position from output to input."""


class Needed:
    """The domain of `descend` that finds which positions of each tensor are needed.

    Args:
      network: the network to walk over.
      zeros: where tensors are zero; None to ignore zeros.
      cut: edges that are not followed.
    """

    def __init__(
        self,
        network: Network,
        zeros: ZeroPass | None = None,
        cut: Collection[Edge] = (),
    ) -> None:
        self._network, self._zeros, self._cut = network, zeros, cut

    def ready(self, tensor: Tensor, value: list[Box]) -> list[Box]:
        """Unites the boxes, and marks those that may be too large as upper bounds."""
        united = boxes.united(value)
        if tensor == self._network.input:
            return united
        if not _is_certain(self._network, tensor[0]):
            return [box._replace(exact=False) for box in united]
        if not _mixes_channels(self._network, tensor[0]):
            return [_bound_if_partial(box) for box in united]
        return united

    def down(self, read: Read, value: list[Box]) -> list[Box] | None:
        """Returns the positions needed of ``read.below``; None if the edge is cut."""
        tensor, number = read.tensor, read.number
        if (tensor, number) in self._cut:
            return None
        needed = value
        if self._zeros is not None:
            needed = [
                part
                for box in value
                for part in _without_zeros(box, self._zeros, tensor, number)
            ]
        rule, sizes = all_seen(read.rule), _sizes(self._network, read.below)
        taps = _taps(self._network, tensor[0], rule) if number == 0 else None
        return [b for box in needed for b in boxes.through(box, rule, sizes, taps)]

    def united(self, tensor: Tensor, one: list[Box], two: list[Box]) -> list[Box]:
        """Returns the boxes of both edges in one list."""
        return one + two

    def widened(self, before: list[Box], now: list[Box]) -> list[Box]:
        """Raises an error, because loops cannot be followed position by position.

        Raises:
          UntoldError: always.
        """
        raise UntoldError


def follow_positions(
    network: Network,
    output: Tensor,
    features: Features,
    cut: Collection[Edge] = (),
    zeros: ZeroPass | None = None,
) -> list[Box]:
    """Returns the input positions that features of a tensor need, as boxes.

    Args:
      network: the network below the tensor. All sizes must be known.
      output: the tensor that has the features.
      features: the positions of the features. On an axis that is left out, all
        positions together are one feature.
      cut: edges that are not followed.
      zeros: where tensors are zero. If None, this is computed.

    Raises:
      UntoldError: if the size of a tensor on the way to the input is unknown, or if the
        network has a loop.
    """
    if network.loops or network.cycle:
        raise UntoldError
    if zeros is None:
        zeros = _settled_zeros(network, output)
    sizes, digits = _sizes(network, output), _digits(network, output, features)
    first = boxes.start(sizes, features, digits)
    state = descend(network, {output: [first]}, Needed(network, zeros, cut))
    found = boxes.united(state.get(network.input, []))
    return [boxes.whole(box, len(sizes), digits) for box in found]


def _digits(network: Network, output: Tensor, features: Features) -> Digits:
    """Returns the axes that the first op below the output divides, such as a Flatten.

    What the 25,088 features of such an axis see is the product of what 7 rows, 7
    columns and 512 channels see, while a table of all features would take gigabytes.
    """
    try:
        below = reads(network, output)
        while len(below) == 1 and below[0].rule == SAME:
            below = reads(network, below[0].below)
    except ReceptiveFieldError:
        return {}  # The walk has the reason.
    ends: dict[int, set[Any]] = {}
    for axis, size in enumerate(_sizes(network, output)):
        if axis in features and len(features[axis]) == size:
            ends[axis] = {1, size}
    for thread in itertools.chain.from_iterable(t for r in below for t in r.rule.axes):
        for factor in thread.factors:
            slot = factor.slot
            if slot is not None and slot.axis in ends:
                ends[slot.axis] |= {slot.inner, slot.inner * (slot.size or 1)}
    digits = {}
    for axis, found in ends.items():
        if len(found) > 2 and all(isinstance(end, int) and end > 0 for end in found):
            steps = [*itertools.pairwise(sorted(found))][::-1]
            if not any(outer % inner for inner, outer in steps):
                digits[axis] = tuple(outer // inner for inner, outer in steps)
    return digits


def _without_zeros(box: Box, zeros: ZeroPass, tensor: Tensor, number: int) -> list[Box]:
    """Drops the positions of a product at which it multiplies an input by zero.

    If the zeros are uncertain, the result is an upper bound. If there are positions at
    which the input is known to matter, they are added as an exact box.
    """
    live = zeros.beside(tensor, number)
    if live is None:
        return [box]
    found = boxes.restricted(box, live.axes)
    if live.certain:
        return [found]
    sure = [] if live.sure is None else [boxes.restricted(box, live.sure)]
    return [*sure, found._replace(exact=False)]


def _settled_zeros(network: Network, output: Tensor) -> ZeroPass:
    """Returns where the factors of products below the output are zero.

    If the rules of the ops do not decide where a factor is zero, the factor is assumed
    to be nonzero at every position that is itself known to depend on the input.
    """
    zeros = ZeroPass(network)
    above = {t[0] for t in tensors_below(network, [output], lambda t: True)}
    above.add(output[0])
    for index in network.order:
        for _, factor in zeros.factors(index) if index in above else ():
            live = zeros.live(factor)
            if live is not None and not live.certain:
                sure = _dependent(network, factor, zeros)
                if sure is not None:
                    zeros.settle(factor, sure)
    return zeros


def _dependent(
    network: Network, tensor: Tensor, zeros: ZeroPass
) -> tuple[Mask, ...] | None:
    """Returns, for each axis, positions whose combinations are known to see the input.

    If several such sets of combinations are known, returns the largest. If none is
    known, returns None.
    """
    sizes = _sizes(network, tensor)
    hold(sum(sizes))
    features = {axis: np.arange(size) for axis, size in enumerate(sizes) if axis}
    found = []
    for box in follow_positions(network, tensor, features, zeros=zeros):
        groups = box.groups
        if not box.exact or any(len(g.outputs) > 1 or not g.seen.any() for g in groups):
            continue
        axes = [np.ones(size, dtype=bool) for size in sizes]
        for outputs, _, seen in groups:
            for axis in outputs:
                axes[axis] &= seen.any(axis=tuple(range(1, seen.ndim)))
        found.append(tuple(axes))
    return max(found, key=_volume, default=None)


def _volume(axes: Sequence[Mask]) -> int:
    return math.prod(int(axis.sum()) for axis in axes)


def _is_certain(network: Network, index: int) -> bool:
    """Returns False if there is reason to think that an op multiplies by zero.

    A constant may mask positions. If two factors depend on the input, one of them may
    mask positions of the other, as attention weights do.
    """
    node = network.graph.nodes[index]
    op = rule_of(node)
    if op is None or op.taps not in (Taps.WEIGHTS, Taps.FACTOR):
        return True
    carrying = {number for number, _ in network.edges(index)}
    if op.taps is Taps.WEIGHTS and (len(carrying) > 1 or len(node.inputs) == 1):
        return False  # An op with one input moves positions into channels or back.
    values = (network.value(t) for i, t in enumerate(node.inputs) if i not in carrying)
    return not any(
        v is not None and v.dtype.kind in "fb" and (v == 0).any() for v in values
    )


def _taps(network: Network, index: int, rule: Relation) -> dict[int, Mask]:
    """Returns which positions an op reads on axes with irregular holes.

    The result has a boolean matrix [above, below] for each axis of the first input
    whose gap is unknown.
    """
    node = network.graph.nodes[index]
    op = rule_of(node)
    if op is None or op.coefficients is None or rule.any_rank:
        return {}
    uneven = [
        any(s.gap == math.inf for t in axis for f in t.factors for s in f.map.strands)
        for axis in rule.axes
    ]
    if not any(uneven):
        return {}
    coefficients = op.coefficients(Call(node, network.known))
    return {a: matrix != 0 for a, matrix in coefficients.items() if uneven[a]}


def _mixes_channels(network: Network, index: int) -> bool:
    """Returns whether each output channel is known to need all input channels.

    The question does not arise for nodes without weights, so the result is True.
    """
    node = network.graph.nodes[index]
    op = rule_of(node)
    if op is None or op.products is None or len(node.inputs) < 2:
        return True
    if op.layout is None:
        return False
    number, spatial = op.layout(Call(node, network.known))
    kernel = network.shape(node.inputs[1]) or ()
    pairs = ((node.inputs[number], -2), ((index, 0), -1))
    for tensor, place in pairs:
        shape = network.shape(tensor) or ()
        channels = [n for axis, n in enumerate(shape) if axis and axis not in spatial]
        if len(kernel) < 3 or channels != [kernel[place]]:
            return False
    return True


def _bound_if_partial(box: Box) -> Box:
    """Marks a box as an upper bound if it contains only some of the channels."""
    partial = any(
        not group.seen.all()
        for group in box.groups
        if not group.outputs and not set(group.parts) & set(box.axes[0])
    )
    return box._replace(exact=False) if partial else box


def _sizes(network: Network, tensor: Tensor) -> tuple[int, ...]:
    shape = network.shape(tensor)
    if shape is None or not all(isinstance(size, int) for size in shape):
        raise UntoldError
    return shape  # type: ignore[return-value]
