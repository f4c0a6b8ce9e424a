"""The receptive fields of all outputs of a model in all of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from receptive_field.budget import within_budget
from receptive_field.errors import (
    IndependentError,
    NodeNotFoundError,
    ReceptiveFieldError,
)
from receptive_field.frameworks import load
from receptive_field.network.layout import Resolution
from receptive_field.questions.candidates import candidates
from receptive_field.questions.fields import field_of_named
from receptive_field.questions.question import Options, StopPropagation
from receptive_field.results.field import ReceptiveField
from receptive_field.results.pairs import Pair, Pairs
from receptive_field.rules.stated import Rule


@within_budget
def compute_all_pairs(
    model: Any,
    *,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: str = "include",
    batch_norm: str = "inference",
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
    trace: bool = False,
    example_inputs: Any = None,
) -> Pairs:
    """Computes the receptive field of every output of a model in every input.

    The inputs and outputs are those that the model states. If a graph states none, they
    are the placeholders that could be images, and the tensors that depend on one of
    them and that no node reads.

    Args:
      model, input_resolution, stop_propagation, global_context, batch_norm, overrides,
        signature, trace, example_inputs: as in `compute_receptive_field`, for all
        pairs.

    Returns:
      A mapping from pairs ``(output, input)`` to receptive fields. Pairs that do not
      depend on each other are listed in ``independent``, and pairs that cannot be
      analysed in ``errors``. ``print`` shows all of them.

    Raises:
      ReceptiveFieldError: if the model cannot be read, or has no inputs or no outputs.

    >>> import receptive_field as rf
    >>> [(pair, field.size.tolist()) for pair, field in
    ...     rf.compute_all_pairs(rf.EXAMPLE_GRAPH).items()]
    [(('InceptionResnetV2/Conv2d_7b_1x1/Relu', 'input_image'), [3039, 3039])]
    """
    loaded = load(
        model,
        signature,
        overrides=overrides,
        trace=trace,
        resolution=input_resolution,
        example_inputs=example_inputs,
    )
    inputs, outputs = candidates(loaded)
    if not inputs or not outputs:
        raise NodeNotFoundError(
            f"the model has {len(inputs)} inputs and {len(outputs)} outputs, so it has "
            "no pairs. Name the tensors with input= and output= of "
            "compute_receptive_field."
        )
    options = Options(input_resolution, stop_propagation, batch_norm, overrides)
    fields: dict[Pair, ReceptiveField] = {}
    independent: list[Pair] = []
    errors: dict[Pair, ReceptiveFieldError] = {}
    for output in outputs:
        for input in inputs:
            pair = output, input
            try:
                fields[pair] = field_of_named(
                    loaded, output, input, options, global_context
                )
            except IndependentError:
                independent.append(pair)
            except ReceptiveFieldError as error:
                errors[pair] = error
    return Pairs(fields, tuple(independent), errors)
