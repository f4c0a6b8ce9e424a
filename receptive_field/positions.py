"""The backward pass on sets: which input positions features see, one by one.

One visit per node and edge, as the pass of `analysis`, with `graph.boxes` in the place
of windows. All sizes must be known. What cannot be followed position by position (a
loop, a size that depends on data) is a bound: the windows of the algebra, cut to the
input.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receptive_field.analysis import Edge, Scope, relations
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph import boxes
from receptive_field.graph.axes import Relation, all_seen
from receptive_field.graph.boxes import Box, Group, Mask
from receptive_field.graph.graph import Tensor
from receptive_field.inference import Inference
from receptive_field.result import ReceptiveField, SpatialAxis
from receptive_field.rules.op import Call, Taps, rule_of
from receptive_field.support import Support
from receptive_field.zeros import ZeroPass

Features = Mapping[int, NDArray[Any]]
"""Axis of the output -> the positions on it that are asked about."""


class UntoldError(Exception):
    """That something on the way cannot be followed position by position."""


def follow_positions(
    scope: Scope,
    inference: Inference,
    output: Tensor,
    features: Features,
    cut: Collection[Edge] = (),
    zeros: ZeroPass | None = None,
) -> list[Box]:
    """What features of the output need of the input, by each path.

    Args:
      scope: what lies between.
      inference: shapes, all of known sizes.
      output: the tensor.
      features: the positions of it; of axes that are not told, all count together.
      cut: edges that are not followed.
      zeros: where tensors are zero; found out if None.

    Raises:
      UntoldError: if a size on the way is not known, or there is a loop.
    """
    if scope.loops or scope.cycle:
        raise UntoldError
    if zeros is None:
        zeros = _settled_zeros(scope, inference, output)
    shape = _sizes(inference, output)
    first = boxes.start(shape, features)
    state: dict[Tensor, list[Box]] = {output: [first]}
    outputs: dict[int, list[Tensor]] = {output[0]: [output]}
    for index in reversed(scope.order):
        for tensor in outputs.pop(index, ()):
            above = boxes.united(state.pop(tensor))
            reads = needed_below(scope, inference, tensor, above, zeros, cut)
            for _, below, found in reads:
                if below not in state:
                    state[below] = []
                    outputs.setdefault(below[0], []).append(below)
                state[below] += found
    return boxes.united(state.get(scope.input, []))


def needed_below(
    scope: Scope,
    inference: Inference,
    tensor: Tensor,
    above: Sequence[Box],
    zeros: ZeroPass | None = None,
    cut: Collection[Edge] = (),
) -> Iterator[tuple[int, Tensor, list[Box]]]:
    """What is needed of the inputs of a node, where boxes of an output are needed.

    Args:
      scope, inference: as in `follow_positions`.
      tensor: the output.
      above: what is needed of it.
      zeros: where tensors are zero; nowhere if None.
      cut: edges that are not followed.

    Yields:
      The number of an input, the tensor that is read, and what is needed of it.
    """
    index = tensor[0]
    rules = relations(scope, inference, tensor)
    if not _is_certain(scope, inference, index):
        above = [box._replace(exact=False) for box in above]
    elif not _mixes_channels(scope, inference, index):
        above = [_bound_if_partial(box) for box in above]
    for number, below in scope.edges(index):
        rule = rules[number]
        if rule is None or (tensor, number) in cut:
            continue
        needed = above
        if zeros is not None:
            needed = [
                part
                for box in above
                for part in _without_zeros(box, zeros, tensor, number)
            ]
        rule, sizes = all_seen(rule), _sizes(inference, below)
        taps = _taps(scope, inference, index, rule) if number == 0 else None
        found = [b for box in needed for b in boxes.through(box, rule, sizes, taps)]
        yield number, below, found


def _without_zeros(box: Box, zeros: ZeroPass, tensor: Tensor, number: int) -> list[Box]:
    """What is needed of a tensor, where an input is not multiplied by a zero.

    Where that is not certain, what is sure is kept beside what may be.
    """
    live = zeros.beside(tensor, number)
    if live is None:
        return [box]
    found = boxes.restricted(box, live.axes)
    if live.certain:
        return [found]
    sure = [] if live.sure is None else [boxes.restricted(box, live.sure)]
    return [*sure, found._replace(exact=False)]


def _settled_zeros(scope: Scope, inference: Inference, output: Tensor) -> ZeroPass:
    """Where the factors of products are zero, on the way to the output.

    Where that is not told op by op, a factor is not zero where it depends on the input.
    """
    zeros = ZeroPass(scope, inference)
    above, stack = {output[0]}, [output[0]]
    while stack:
        for _, below in scope.edges(stack.pop()):
            if below[0] not in above:
                above.add(below[0])
                stack.append(below[0])
    for index in scope.order:
        for _, factor in zeros.factors(index) if index in above else ():
            live = zeros.live(factor)
            if live is not None and not live.certain:
                sure = _dependent(scope, inference, factor, zeros)
                if sure is not None:
                    zeros.settle(factor, sure)
    return zeros


def _dependent(
    scope: Scope, inference: Inference, tensor: Tensor, zeros: ZeroPass
) -> tuple[Mask, ...] | None:
    """Positions of each axis in whose product a tensor is known to see the input.

    None if none are known.
    """
    sizes = _sizes(inference, tensor)
    features = {axis: np.arange(size) for axis, size in enumerate(sizes) if axis}
    found = []
    for box in follow_positions(scope, inference, tensor, features, zeros=zeros):
        if not box.exact or any(len(group.outputs) > 1 for group in box.groups):
            continue
        axes = [np.ones(size, dtype=bool) for size in sizes]
        for outputs, _, seen in box.groups:
            alive = np.asarray(seen.any(axis=tuple(range(len(outputs), seen.ndim))))
            axes[outputs[0] if outputs else 0] &= alive
        found.append(tuple(axes))
    return max(found, key=_volume, default=None)


def _volume(axes: Sequence[Mask]) -> int:
    return math.prod(int(axis.sum()) for axis in axes)


def _is_certain(scope: Scope, inference: Inference, index: int) -> bool:
    """Whether nothing that an op reads is known to be multiplied by zero, or may be.

    A constant may mask positions; so may one of two factors that depend on the input,
    as the weights of attention do.
    """
    node = scope.graph.nodes[index]
    op = rule_of(node)
    if op is None or op.taps not in (Taps.WEIGHTS, Taps.FACTOR):
        return True
    carrying = {number for number, _ in scope.edges(index)}
    if op.taps is Taps.WEIGHTS and (len(carrying) > 1 or len(node.inputs) == 1):
        return False  # (With one input: positions are put into channels, or back.)
    values = (
        inference.value(t) for i, t in enumerate(node.inputs) if i not in carrying
    )
    return not any(
        v is not None and v.dtype.kind in "fb" and (v == 0).any() for v in values
    )


def _taps(
    scope: Scope, inference: Inference, index: int, rule: Relation
) -> dict[int, Mask]:
    """Which positions of the first input count, where the gaps of windows differ."""
    node = scope.graph.nodes[index]
    op = rule_of(node)
    if op is None or op.coefficients is None or rule.any_rank:
        return {}
    uneven = [
        any(s.gap == math.inf for t in axis for f in t.factors for s in f.map.strands)
        for axis in rule.axes
    ]
    if not any(uneven):
        return {}
    coefficients = op.coefficients(Call(node, inference))
    return {a: matrix != 0 for a, matrix in coefficients.items() if uneven[a]}


def _mixes_channels(scope: Scope, inference: Inference, index: int) -> bool:
    """Whether each channel that comes out needs all that go in, if it has weights."""
    node = scope.graph.nodes[index]
    op = rule_of(node)
    if op is None or op.products is None or len(node.inputs) < 2:
        return True
    if op.layout is None:
        return False
    number, spatial = op.layout(Call(node, inference))
    kernel = inference.shape(node.inputs[1]) or ()
    pairs = ((node.inputs[number], -2), ((index, 0), -1))
    for tensor, place in pairs:
        shape = inference.shape(tensor) or ()
        channels = [n for axis, n in enumerate(shape) if axis and axis not in spatial]
        if len(kernel) < 3 or channels != [kernel[place]]:
            return False
    return True


def _bound_if_partial(box: Box) -> Box:
    """A box of which only some channels are needed, where they are not told apart."""
    partial = any(
        not group.seen.all()
        for group in box.groups
        if not group.outputs and not set(group.parts) & set(box.axes[0])
    )
    return box._replace(exact=False) if partial else box


def _sizes(inference: Inference, tensor: Tensor) -> tuple[int, ...]:
    shape = inference.shape(tensor)
    if shape is None or not all(isinstance(size, int) for size in shape):
        raise UntoldError
    return shape  # type: ignore[return-value]


def windows_as_boxes(axes: Sequence[SpatialAxis], features: Features) -> list[Box]:
    """The windows of the algebra as one box, a bound; axes as they are listed."""
    groups = []
    for place, axis in enumerate(axes):
        outputs = axis.output_axes if len(axis.output_axes) == 1 else ()
        positions = features[outputs[0]] if outputs else np.zeros(1, dtype=np.int64)
        indices = np.arange(axis.input_size or 0)
        seen = np.ones((len(positions), len(indices)), dtype=bool)
        # Else nobody knows where the windows are.
        if not axis.map.is_floating and outputs == axis.output_axes:
            firsts, lasts = axis.map.evaluate(positions)
            seen = (indices >= firsts[:, None]) & (indices <= lasts[:, None])
        seen = seen.astype(bool)
        groups.append(Group(outputs, (place,), seen if outputs else seen[0]))
    return [Box(tuple(groups), tuple((i,) for i in range(len(axes))), exact=False)]


def find_support(
    field: ReceptiveField,
    scope: Scope,
    inference: Inference,
    output: Tensor,
    chosen: NDArray[Any] | None,
    cut: Collection[Edge] = (),
) -> Support:
    """The support of a field.

    Args:
      field: the answer of the algebra, with known sizes.
      scope, inference, output, cut: as in `follow_positions`.
      chosen: the features that are asked about, of shape ``(..., d)``; all if None.

    Raises:
      ReceptiveFieldError: if a size is not known, or the sets are too large to hold.
    """
    sizes = [axis.input_size for axis in field.axes]
    if None in [*sizes, *(axis.size for axis in field.feature_axes)]:
        raise ReceptiveFieldError(
            f"which positions of {field.input!r} matter depends on its size, which "
            "is not known. Give input_resolution."
        )
    features: dict[int, NDArray[Any]] = {}
    for number, axis in enumerate(field.feature_axes):
        if axis.output_axis is not None:
            positions = np.arange(axis.size or 0)
            if chosen is not None:
                positions = np.unique(chosen[..., number])
            features[axis.output_axis] = positions
    _check_memory(field, features)
    axes = [axis.input_axis for axis in field.axes]
    try:
        found = follow_positions(scope, inference, output, features, cut)
        found = [boxes.of_axes(box, axes, features) for box in found]
    except UntoldError:
        found = windows_as_boxes(field.axes, features)
    found = boxes.united(found)
    return Support(
        field.input,
        field.output,
        tuple(size or 0 for size in sizes),
        tuple(None if a.output_axis is None else a.size for a in field.feature_axes),
        all(box.exact for box in found),
        tuple(axis.output_axis for axis in field.feature_axes),
        features,
        tuple(box.groups for box in found),
    )


def _check_memory(field: ReceptiveField, features: Features) -> None:
    for axis in field.axes:
        count = math.prod(len(features[place]) for place in axis.output_axes)
        size = count * (axis.input_size or 0)
        if size > boxes.LARGEST_GROUP:
            raise ReceptiveFieldError(
                f"which of {axis.input_size} positions {count} features see, takes "
                f"{size:,} bytes. Ask about some features, support(features=...), or "
                "take the hull: compute_input_region without clip."
            )
