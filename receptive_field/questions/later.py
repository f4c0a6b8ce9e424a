"""Answers the questions that a receptive field passes on to its origin.

These questions ask for the field's support, its effective receptive field or an
explanation. The module that answers a question is imported only when it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from receptive_field.questions.question import Asked, Later
from receptive_field.results.field import ReceptiveField

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from receptive_field.results.effective import EffectiveReceptiveField
    from receptive_field.results.explanation import Explanation
    from receptive_field.results.reasons import Reasons
    from receptive_field.results.support import Support


class _Rooms:
    """Passes each question to the module that answers it."""

    def support(
        self, asked: Asked, of: ReceptiveField, features: NDArray[Any] | None
    ) -> Support:
        from receptive_field.questions.support import find_support

        network = asked.question.sized()
        return find_support(of, network, asked.output, features, asked.cut)

    def effective(
        self, asked: Asked, of: ReceptiveField, feature: Sequence[int] | None
    ) -> EffectiveReceptiveField:
        from receptive_field.questions.effective import analytic

        return analytic(asked.question, asked.output, feature, of)

    def explain(self, asked: Asked, of: ReceptiveField) -> Explanation[ReceptiveField]:
        from receptive_field.questions.explain import explain

        return explain(asked.question, of.output, asked.output, of)

    def reasons(self, asked: Asked, of: ReceptiveField) -> Reasons:
        from receptive_field.questions.reasons import find_reasons

        return find_reasons(asked.question, asked.output, of)


LATER: Later = _Rooms()
