"""Finds the layers that add nothing, because their input already sees everything."""

from __future__ import annotations

from receptive_field.errors import ReceptiveFieldError
from receptive_field.passes.regions import Forward, forward
from receptive_field.questions.question import Question
from receptive_field.questions.reach import layer_reaches


def unproductive(question: Question, found: Forward | None = None) -> frozenset[str]:
    """Returns the layers that add nothing at the size of the question's input.

    On every axis along which such a layer's kernel has more than one position, even the
    smallest path to its input sees at least as many positions as the input has.

    Args:
      question: the question.
      found: the result of the forward pass, if it has already run.

    Raises:
      ReceptiveFieldError: if the size of the input is unknown.
    """
    shape = question.network.shape(question.network.input)
    given = [shape[axis] for axis in question.spatial[::-1]] if shape else []
    sizes = [size for size in given if isinstance(size, int)]
    if not sizes or len(sizes) < len(given):
        raise ReceptiveFieldError(
            f"which layers are unproductive depends on the size of {question.input!r}, "
            "which is unknown. Give input_resolution, or use rf.resolutions to find "
            "the smallest size without unproductive layers."
        )
    if found is None:
        found = forward(question.network, question.spatial)
    return frozenset(
        layer.name
        for layer in layer_reaches(question, found)
        if all(
            reach is None or reach >= size
            for reach, size in zip(layer.smallest, sizes, strict=True)
        )
    )
