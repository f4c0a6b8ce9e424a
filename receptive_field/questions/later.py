"""Answers the questions that a receptive field passes on to its origin.

These questions ask for the field's support, its effective receptive field, an
explanation, the windows of its layer, or the unproductive layers. The module that
answers a question is imported only when it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from receptive_field.budget import within_budget
from receptive_field.net import guarded
from receptive_field.questions.question import Asked, Later
from receptive_field.results.field import ReceptiveField

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from receptive_field.results.effective import EffectiveReceptiveField
    from receptive_field.results.explanation import Explanation
    from receptive_field.results.layer_window import LayerWindows
    from receptive_field.results.padding import Unpadded
    from receptive_field.results.reasons import Reasons
    from receptive_field.results.support import Support
    from receptive_field.results.tiling import Tiling


class _Rooms:
    """Passes each question to the module that answers it."""

    @guarded
    @within_budget
    def support(
        self, asked: Asked, of: ReceptiveField, features: NDArray[Any] | None
    ) -> Support:
        from receptive_field.questions.support import find_support

        network = asked.question.sized()
        return find_support(of, network, asked.output, features, asked.cut)

    @guarded
    @within_budget
    def effective(
        self, asked: Asked, of: ReceptiveField, feature: Sequence[int] | None
    ) -> EffectiveReceptiveField:
        from receptive_field.questions.effective import analytic

        return analytic(asked.question, asked.output, feature, of)

    @guarded
    @within_budget
    def explain(self, asked: Asked, of: ReceptiveField) -> Explanation[ReceptiveField]:
        from receptive_field.questions.explain import explain

        return explain(asked.question, of.output, asked.output, of)

    @guarded
    @within_budget
    def windows(self, asked: Asked, of: ReceptiveField) -> LayerWindows:
        from receptive_field.questions.layer_windows import layer_windows

        return layer_windows(asked.question, asked.output, of)

    @guarded
    @within_budget
    def unproductive(self, asked: Asked) -> frozenset[str]:
        from receptive_field.questions.unproductive import unproductive

        return unproductive(asked.question)

    @guarded
    @within_budget
    def without_padding(self, asked: Asked, of: ReceptiveField) -> Unpadded:
        from receptive_field.questions.padding import find_unpadded

        return find_unpadded(of, asked.question.sized(), asked.output, asked.cut)

    @guarded
    @within_budget
    def tiling(self, asked: Asked, of: ReceptiveField, tile: Sequence[int]) -> Tiling:
        from receptive_field.questions.tiling import find_tiling

        return find_tiling(of, asked.question, asked.output, tile)

    @guarded
    @within_budget
    def at_every_size(self, asked: Asked, of: ReceptiveField) -> ReceptiveField | None:
        from receptive_field.questions.every_size import of_any_size

        return of_any_size(asked, of)

    @guarded
    @within_budget
    def reasons(self, asked: Asked, of: ReceptiveField) -> Reasons:
        from receptive_field.questions.reasons import find_reasons

        return find_reasons(asked.question, asked.output, of)


LATER: Later = _Rooms()
