"""Modules of PyTorch at sizes that the caller states, and at unknown sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

from needed import needed

import receptive_field as rf
from receptive_field.algebra.axis_map import INFINITY
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.graph.model import Model

torch = needed("torch")


def loaded(module: Any, shape: Sequence[int], axes: Sequence[int]) -> tuple[Model, Any]:
    """The library's model of a module at these sizes, and the program that it reads."""
    image = torch.ones(*shape, dtype=torch.float64)
    programs = []
    export = torch.export.export

    def noted(*args: Any, **given: Any) -> Any:
        programs.append(export(*args, **given))
        return programs[-1]

    resolution = [shape[axis] for axis in axes]
    with mock.patch.object(torch.export, "export", noted):
        model = load(module.double(), resolution=resolution, example_inputs=image)
    return model, programs[-1]


def functional(program: Any) -> Any:
    """The functional form of a program; None if PyTorch cannot make it of this one.

    It cannot if the results of calls of modules are noted.
    """
    noted = (c for c in program.module_call_graph if c.fqn and c.signature is not None)
    return None if any(noted) else program.run_decompositions({})


def hold_sizes(
    model: Model, shape: Sequence[int], axes: Sequence[int], field: rf.ReceptiveField
) -> None:
    """Holds what a module shows against the field of its program at these sizes.

    At this resolution, the two are the same. At unknown sizes, no number may be wrong
    at these.
    """
    resolution = [shape[axis] for axis in axes]
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
        for place, (one, other) in enumerate(zip(general, field, strict=True)):
            if one is None or other is None or one in (other, INFINITY):
                continue
            assert place < len(general.axes), "only a size may be an upper bound"
            assert not general.exact
            assert one > other
