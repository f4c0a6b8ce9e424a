"""Compares two models: their outputs, their costs, and the layers that both have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from receptive_field.budget import within_budget
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.graph.model import Model
from receptive_field.network.layout import Resolution
from receptive_field.questions.costs import compute_costs, total_parameters
from receptive_field.questions.fields import field_of, fields_of
from receptive_field.questions.question import Options, StopPropagation
from receptive_field.results.comparison import (
    Comparison,
    LayerDifference,
    compared_fields,
)
from receptive_field.results.costs import Cost
from receptive_field.results.field import ReceptiveField, ReceptiveFields


class Side(NamedTuple):
    """One of two models, and what is asked about it."""

    model: Any
    output: Any
    input: Any
    options: Options


@within_budget
def compare(
    model_a: Any,
    model_b: Any,
    *,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: str = "include",
    trace: bool = False,
) -> Comparison:
    """Compares the receptive fields, costs and layers of two models.

    Args:
      model_a, model_b: two models, each as in `compute_receptive_field`.
      output, input: the tensors to compare, as in `compute_receptive_field`: one name
        for both models, or a pair (a list or tuple) with one for each model.
      input_resolution, stop_propagation, global_context, trace: as in
        `compute_receptive_field`, for both models.

    Returns:
      What is the same and what differs: size, stride, padding, alignment, exactness
      and the size of the output; FLOPs and parameters of everything that the output is
      computed from, if they are known; and the layers of the same name whose fields
      differ. ``print`` shows the comparison as a table.

    Raises:
      ReceptiveFieldError: if one of the models cannot be read or analysed, or if the
        inputs have different numbers of spatial axes.

    >>> import receptive_field as rf
    >>> pools = "MaxPool_3a_3x3/MaxPool", "MaxPool_5a_3x3/MaxPool"
    >>> found = rf.compare(rf.EXAMPLE_GRAPH, rf.EXAMPLE_GRAPH, output=pools)
    >>> print(found.rows[1].name, found.rows[1].a, found.rows[1].b)
    effective stride 4 x 4 8 x 8
    """
    options = Options(input_resolution, stop_propagation)
    sides = [
        Side(model, _of_side(output, i, "output"), _of_side(input, i, "input"), options)
        for i, model in enumerate((model_a, model_b))
    ]
    return compare_sides(sides, global_context, trace)


@within_budget
def compare_sides(
    sides: Sequence[Side], global_context: str = "include", trace: bool = False
) -> Comparison:
    """Compares two models that are not asked the same.

    Raises:
      ReceptiveFieldError: as in `compare`.
    """
    loaded, fields = [], []
    for which, side in zip(("first", "second"), sides, strict=True):
        try:
            model = load(side.model, resolution=side.options.input_resolution)
            # Only Keras models are traced.
            model = model.to_run() if trace else model
            ends = side.output, side.input
            fields.append(field_of(model, *ends, side.options, global_context))
        except ReceptiveFieldError as error:
            raise ReceptiveFieldError(f"the {which} model: {error}") from None
        loaded.append(model)
    a, b = fields
    names = loaded[0].graph.name, loaded[1].graph.name
    if len(a.axes) != len(b.axes):
        described = []
        for name, field in zip(names, fields, strict=True):
            count = len(field.axes)
            axes = f"{count} spatial {'axis' if count == 1 else 'axes'}"
            described.append(f"{field.input!r} of {name!r} has {axes}")
        raise ReceptiveFieldError(
            "the models cannot be compared, because their inputs differ: "
            f"{', but '.join(described)}."
        )
    layers = [
        fields_of(model, None, side.input, side.options, global_context)
        for model, side in zip(loaded, sides, strict=True)
    ]
    shared = [name for name in layers[0] if name in layers[1]]
    different = {name: _difference(name, *layers) for name in shared}
    costs = _cost(loaded[0], sides[0], a), _cost(loaded[1], sides[1], b)
    parameters = [
        _parameters(loaded[i], sides[i], fields[i], costs[i]) for i in range(2)
    ]
    return Comparison(
        names,
        (a, b),
        costs,
        tuple(found for found in different.values() if found.differences),
        tuple(name for name, found in different.items() if not found.differences),
        (
            tuple(name for name in layers[0] if name not in layers[1]),
            tuple(name for name in layers[1] if name not in layers[0]),
        ),
        (parameters[0], parameters[1]),
    )


def _of_side(thing: Any, side: int, what: str) -> Any:
    if not isinstance(thing, (list, tuple)):
        return thing
    if len(thing) != 2:
        raise ReceptiveFieldError(
            f"{what}= must be one name for both models, or a pair with one for each "
            f"model, not {thing!r}."
        )
    return thing[side]


def _difference(name: str, a: ReceptiveFields, b: ReceptiveFields) -> LayerDifference:
    pairs = compared_fields(a[name], b[name])
    return LayerDifference(name, tuple(one for one in pairs if one.same is False))


def _cost(model: Model, side: Side, field: ReceptiveField) -> Cost | None:
    """Returns the cost of all that an output is computed from, or None if unknown."""
    try:
        costs = compute_costs(model, **_about(side, field))
    except ReceptiveFieldError:
        return None
    return costs.total if costs.is_complete else None


def _parameters(
    model: Model, side: Side, field: ReceptiveField, cost: Cost | None
) -> int | None:
    """Returns the parameters of all that an output is computed from, if known.

    Unlike the rest of the cost, they need no size of the input.
    """
    if cost is not None:
        return cost.parameters
    try:
        return total_parameters(model, **_about(side, field))
    except ReceptiveFieldError:
        return None


def _about(side: Side, field: ReceptiveField) -> dict[str, Any]:
    """Returns the arguments of a question about all that an output is computed from."""
    return {
        "output": field.output,
        "input": side.input,
        "input_resolution": side.options.input_resolution,
    }
