"""Compares two models: their outputs, their costs, and the layers that both have."""

from __future__ import annotations

from typing import Any

from receptive_field.budget import within_budget
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.graph.model import Model
from receptive_field.network.layout import Resolution
from receptive_field.questions.costs import compute_costs
from receptive_field.questions.fields import field_of, fields_of
from receptive_field.questions.question import Options, StopPropagation
from receptive_field.results.comparison import (
    Comparison,
    LayerDifference,
    compared_fields,
)
from receptive_field.results.costs import Cost
from receptive_field.results.field import ReceptiveField, ReceptiveFields


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
    sides = []
    for side, model in enumerate((model_a, model_b)):
        ends = [
            _of_side(thing, side, what)
            for thing, what in ((output, "output"), (input, "input"))
        ]
        try:
            loaded = load(model, resolution=input_resolution)
            # Only Keras models are traced.
            loaded = loaded.to_run() if trace else loaded
            field = field_of(loaded, ends[0], ends[1], options, global_context)
        except ReceptiveFieldError as error:
            which = ("first", "second")[side]
            raise ReceptiveFieldError(f"the {which} model: {error}") from None
        sides.append((loaded, ends[1], field))
    (one, _, a), (two, _, b) = sides
    names = one.graph.name, two.graph.name
    if len(a.axes) != len(b.axes):
        described = []
        for name, field in zip(names, (a, b), strict=True):
            count = len(field.axes)
            axes = f"{count} spatial {'axis' if count == 1 else 'axes'}"
            described.append(f"{field.input!r} of {name!r} has {axes}")
        raise ReceptiveFieldError(
            "the models cannot be compared, because their inputs differ: "
            f"{', but '.join(described)}."
        )
    layers = [
        fields_of(model, None, given, options, global_context)
        for model, given, _ in sides
    ]
    shared = [name for name in layers[0] if name in layers[1]]
    different = {name: _difference(name, *layers) for name in shared}
    return Comparison(
        names,
        (a, b),
        tuple(_cost(*side, input_resolution) for side in sides),  # type: ignore[arg-type]
        tuple(found for found in different.values() if found.differences),
        tuple(name for name, found in different.items() if not found.differences),
        (
            tuple(name for name in layers[0] if name not in layers[1]),
            tuple(name for name in layers[1] if name not in layers[0]),
        ),
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


def _cost(
    model: Model, input: Any, field: ReceptiveField, resolution: Resolution
) -> Cost | None:
    """Returns the cost of all that an output is computed from, or None if unknown."""
    try:
        costs = compute_costs(
            model, output=field.output, input=input, input_resolution=resolution
        )
    except ReceptiveFieldError:
        return None
    return costs.total if costs.is_complete else None
