"""The receptive fields of a loaded model, as the public functions return them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from receptive_field.budget import within_budget
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.model import Model
from receptive_field.progress import tell
from receptive_field.questions.every_size import all_at_every_size, at_every_size
from receptive_field.questions.later import LATER
from receptive_field.questions.question import Options, Question, ask
from receptive_field.results.field import ReceptiveField, ReceptiveFields


def excludes(global_context: str) -> bool:
    """Returns whether paths that see a whole axis are to be left out.

    Raises:
      ReceptiveFieldError: if the caller's choice is invalid.
    """
    if global_context not in ("include", "exclude"):
        raise ReceptiveFieldError(
            f"global_context must be 'include' or 'exclude', not {global_context!r}."
        )
    return global_context == "exclude"


@within_budget
def field_of(
    model: Model,
    output: Any,
    input: Any,
    options: Options,
    global_context: str = "include",
    require_aligned: bool = False,
) -> ReceptiveField:
    """Returns the receptive field of one output; see `compute_receptive_field`."""
    exclude = excludes(global_context)
    question, field = ask(model, output, input, options, LATER)
    field = at_every_size(question, field)
    if require_aligned:
        question.require_aligned(field)
    return field.without_global_context() if exclude else field


@within_budget
def field_of_named(
    model: Model, output: Any, input: Any, options: Options, global_context: str
) -> ReceptiveField:
    """Returns the receptive field of an output that the caller names.

    Unlike `field_of`, this does not look for a size that fits if the maps do not fit.
    """
    question = Question.ask(model, input, [output], options, LATER)
    field = at_every_size(question, question.answer())
    return field.without_global_context() if excludes(global_context) else field


@within_budget
def fields_of(
    model: Model,
    outputs: Sequence[Any] | None,
    input: Any,
    options: Options,
    global_context: str = "include",
    require_aligned: bool = False,
) -> ReceptiveFields:
    """Returns the receptive fields of outputs; see `compute_receptive_fields`."""
    tell("analysing the model")
    exclude = excludes(global_context)
    question = Question.ask(model, input, outputs, options, LATER)
    fields = question.answers(strict=outputs is not None)
    fields = all_at_every_size(question, fields)
    if require_aligned:
        for field in fields.values():
            question.require_aligned(field)
    return fields.without_global_context() if exclude else fields
