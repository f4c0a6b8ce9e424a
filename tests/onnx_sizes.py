"""The same model with names instead of the sizes of its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx_cases import Case
from onnx_experiments import check, usual_layout

import receptive_field as rf
from receptive_field.errors import ReceptiveFieldError


def named(model: Any, axes: Sequence[int]) -> Any:
    """The model with a name for the size of each of these axes of its input."""
    found = type(model)()
    found.CopyFrom(model)
    for axis in axes:
        size = found.graph.input[0].type.tensor_type.shape.dim[axis]
        size.Clear()
        size.dim_param = f"n{axis}"
    return found


@usual_layout
def hold_sizes(
    model: Any, shape: Sequence[int], axes: Sequence[int], field: rf.ReceptiveField
) -> None:
    """Holds what a model shows at named sizes against its field at known sizes.

    At this resolution, the two are the same. At unknown sizes, no number may be wrong
    at these.
    """
    unknown = named(model, axes)
    options = {"input": "x", "output": "y"}
    resolution = [shape[axis] for axis in axes]
    told = rf.compute_receptive_field(unknown, input_resolution=resolution, **options)
    assert list(told) == list(field)
    assert told.exact is field.exact
    assert [axis.map for axis in told.axes] == [axis.map for axis in field.axes]
    try:
        general = rf.compute_receptive_field(unknown, **options)
    except ReceptiveFieldError:  # What fits no size but this one.
        return
    for one, other in zip(general, field, strict=True):
        assert one is None or other is None or one == other or np.isinf(one)


def hold_case(make: Callable[[], Case]) -> rf.ReceptiveField:
    """Holds the rule of a case against the experiment, and at named sizes."""
    case = make()
    field = check(case.model, case.shape, **case.options)
    hold_sizes(case.model, case.shape, case.options.get("axes", (2, 3)), field)
    return field
