"""Which level of a feature pyramid fits which sizes of objects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

from receptive_field.budget import within_budget
from receptive_field.errors import ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.network.layout import Resolution
from receptive_field.questions.fields import fields_of
from receptive_field.questions.question import Options, StopPropagation
from receptive_field.results.pyramid import ObjectLevel, Pyramid, PyramidLevel, Sides
from receptive_field.rules.stated import Rule


@within_budget
def pyramid_levels(
    model: Any,
    outputs: Sequence[Any],
    object_sizes: Sequence[float | Sequence[float]],
    *,
    input: Any = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
    trace: bool = False,
    example_inputs: Any = None,
) -> Pyramid:
    """Finds the level of a feature pyramid for objects of each size.

    The rule is coverage: an object belongs to the finest level (the smallest stride)
    whose receptive field is at least as large as the object on every axis, so that a
    feature at the centre of the object can see all of it. Paths that see a whole axis
    are left out, because they do not say where something is. A field that is only an
    upper bound covers nothing for certain.

    Detectors often state a rule that does not look at fields. Feature Pyramid Networks
    (Lin et al., 2017, equation 1) assign an object of width w and height h to level
    ``floor(4 + log2(sqrt(w * h) / 224))``. Compare both to see whether the levels can
    see what they are asked to find.

    Args:
      model: the model, as in `compute_receptive_field`.
      outputs: the levels: tensors or their names.
      object_sizes: the sizes of objects, in positions of the input: the side of a
        square object, or one number for each axis, ``[height, width]`` for images.
      input, input_resolution, stop_propagation, overrides, signature, trace,
        example_inputs: as in `compute_receptive_field`.

    Returns:
      The levels, the finest first, and the level for each size. If no level covers an
      object, ``nearest`` names the level with the largest field. ``print`` shows both
      as tables.

    Raises:
      ReceptiveFieldError: if there are no levels or no sizes, a size is not a positive
        number or one for each axis, or a level cannot be analysed.

    >>> import receptive_field as rf
    >>> pools = "MaxPool_3a_3x3/MaxPool", "MaxPool_5a_3x3/MaxPool"
    >>> found = rf.pyramid_levels(rf.EXAMPLE_GRAPH, pools, [10, 20, 40])
    >>> [(one.size, one.level) for one in found.objects][1]
    (20, 'InceptionResnetV2/MaxPool_5a_3x3/MaxPool')
    >>> found.objects[2].level is None
    True
    """
    listed = isinstance(outputs, Iterable) and not isinstance(outputs, str)
    ends = list(outputs) if listed else [outputs] if outputs else []
    if not ends:
        raise ReceptiveFieldError(
            "outputs must name the levels of the pyramid, such as ['c3', 'c4', 'c5']."
        )
    sizes = _checked(object_sizes)
    loaded = load(
        model,
        signature,
        overrides=overrides,
        trace=trace,
        resolution=input_resolution,
        example_inputs=example_inputs,
    )
    options = Options(input_resolution, stop_propagation, overrides=overrides)
    fields = fields_of(loaded, ends, input, options)
    levels = [PyramidLevel(name, field) for name, field in fields.items()]
    levels.sort(key=_coarseness)
    _check_axes(sizes, levels)
    return Pyramid(tuple(levels), tuple(_level_for(size, levels) for size in sizes))


def _checked(sizes: Any) -> list[Sides]:
    """Returns the sizes of objects, x first."""
    given = list(sizes) if isinstance(sizes, Iterable) else [sizes]
    found: list[Any] = [
        size if isinstance(size, (str, Real)) else tuple(size)[::-1]
        for size in given
        if isinstance(size, (str, Real, Iterable))
    ]
    try:
        sides = [s for one in found for s in (one if isinstance(one, tuple) else [one])]
        fit = bool(sides) and all(0 < side < math.inf for side in sides)
    except TypeError:
        fit = False
    if len(found) < len(given) or not fit or () in found:
        raise ReceptiveFieldError(
            "object_sizes must be one or more positive numbers of positions, such as "
            "[32, 64, 128], with one number for each axis of objects that are not "
            f"square, such as [[32, 64], 128]; got {sizes!r}."
        )
    return found


def _check_axes(sizes: Iterable[Sides], levels: Sequence[PyramidLevel]) -> None:
    count = len(levels[0].size)
    for size in sizes:
        if isinstance(size, tuple) and len(size) != count:
            raise ReceptiveFieldError(
                f"the object {list(size[::-1])} has {len(size)} sides, but the input "
                f"has {count} spatial {'axis' if count == 1 else 'axes'}. Give one "
                "number, or one for each axis."
            )


def _coarseness(level: PyramidLevel) -> tuple[float, float]:
    strides = [math.inf if s is None else float(abs(s)) for s in level.stride]
    return max(strides), max(level.size)


def _level_for(size: Sides, levels: Sequence[PyramidLevel]) -> ObjectLevel:
    for level in levels:
        if level.covers(size):
            return ObjectLevel(size, level.name, level.name)
    nearest = max(levels, key=lambda level: level.share(size))
    return ObjectLevel(size, None, nearest.name)
