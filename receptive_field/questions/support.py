"""Computes the support of a receptive field: the input positions that matter."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receptive_field.budget import hold
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Tensor
from receptive_field.network.network import Edge, Network
from receptive_field.passes.positions import Features, UntoldError, follow_positions
from receptive_field.relations import boxes
from receptive_field.relations.boxes import Box, Group
from receptive_field.results.axes import SpatialAxis
from receptive_field.results.field import ReceptiveField
from receptive_field.results.support import Support


def windows_as_boxes(axes: Sequence[SpatialAxis], features: Features) -> list[Box]:
    """Returns the windows of the axis maps as one box, which is an upper bound.

    The axes of the box are in the order of ``axes``.
    """
    groups = []
    for place, axis in enumerate(axes):
        outputs = axis.output_axes if len(axis.output_axes) == 1 else ()
        positions = features[outputs[0]] if outputs else np.zeros(1, dtype=np.int64)
        indices = np.arange(axis.input_size or 0)
        seen = np.ones((len(positions), len(indices)), dtype=bool)
        # If the offset is unknown or the axis follows several axes, take all positions.
        if not axis.map.is_floating and outputs == axis.output_axes:
            firsts, lasts = axis.map.evaluate(positions)
            seen = (indices >= firsts[:, None]) & (indices <= lasts[:, None])
        seen = seen.astype(bool)
        groups.append(Group(outputs, (place,), seen if outputs else seen[0]))
    return [Box(tuple(groups), tuple((i,) for i in range(len(axes))), exact=False)]


def find_support(
    field: ReceptiveField,
    network: Network,
    output: Tensor,
    chosen: NDArray[Any] | None,
    cut: Collection[Edge] = (),
) -> Support:
    """Returns the support of a receptive field.

    Args:
      field: the receptive field. All its sizes must be known.
      network, output, cut: as in `follow_positions`.
      chosen: the coordinates of the features to include, of shape
        ``(..., len(field.feature_axes))``. None means all features.

    Raises:
      ReceptiveFieldError: if a size is not known, or if the sets would take too much
        memory.
    """
    sizes = [axis.input_size for axis in field.axes]
    if None in [*sizes, *(axis.size for axis in field.feature_axes)]:
        raise ReceptiveFieldError(
            f"the positions of {field.input!r} that features see depend on its size, "
            "which is unknown. Give input_resolution."
        )
    _check_memory(field, chosen)
    features: dict[int, NDArray[Any]] = {}
    for number, axis in enumerate(field.feature_axes):
        if axis.output_axis is not None:
            if chosen is None:
                hold(axis.size or 0)
                positions = np.arange(axis.size or 0)
            else:
                positions = np.unique(chosen[..., number])
            features[axis.output_axis] = positions
    axes = [axis.input_axis for axis in field.axes]
    try:
        found = follow_positions(network, output, features, cut)
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


def _check_memory(field: ReceptiveField, chosen: NDArray[Any] | None) -> None:
    counts = {
        axis.output_axis: (axis.size or 0)
        if chosen is None
        else len(np.unique(chosen[..., number]))
        for number, axis in enumerate(field.feature_axes)
    }
    for axis in field.axes:
        count = math.prod(counts[place] for place in axis.output_axes)
        size = count * (axis.input_size or 0)
        if size > boxes.LARGEST_GROUP:
            raise ReceptiveFieldError(
                f"a table that shows which of the {axis.input_size} positions each of "
                f"{count} features sees would take {size:,} bytes. Ask about some of "
                "the features with support(features=...), or call "
                "compute_input_region without clip to get the hull of what they see."
            )
