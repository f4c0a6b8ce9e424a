"""Modules of PyTorch at sizes that the caller states, and at unknown sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from needed import needed

import receptive_field as rf
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load

torch = needed("torch")


def hold_sizes(
    module: Any, shape: Sequence[int], axes: Sequence[int], field: rf.ReceptiveField
) -> None:
    """Holds what a module shows against the field of its program at these sizes.

    At this resolution, the two are the same. At unknown sizes, no number may be wrong
    at these.
    """
    resolution = [shape[axis] for axis in axes]
    image = torch.ones(*shape, dtype=torch.float64)
    model = load(module, resolution=resolution, example_inputs=image)
    (output,) = model.outputs
    told = rf.compute_receptive_field(model, output=output, input_resolution=resolution)
    assert list(told) == list(field)
    assert told.exact is field.exact
    assert [axis.map for axis in told.axes] == [axis.map for axis in field.axes]
    unknown = replace(model, sizes_are_examples=True)
    try:
        general = rf.compute_receptive_field(unknown, output=output)
    except ReceptiveFieldError:  # What fits no size but this one.
        return
    if [a.input_axis for a in general.axes] == [a.input_axis for a in field.axes]:
        for one, other in zip(general, field, strict=True):
            assert one is None or other is None or one == other or np.isinf(one)
