"""What a caller says about a model beside the model itself."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from receptive_field.rules.stated import Rule


class Request(NamedTuple):
    """How a model is to be read. A wing ignores what its models do not have."""

    signature: str | None = None
    """The signature of a SavedModel or TFLite model to use, if it has several."""
    overrides: Mapping[Any, Rule] | None = None
    """Rules that the caller states for layers that have none."""
    resolution: Sequence[int] | int | None = None
    """The sizes of the input's spatial axes, if the caller states all of them."""
    example_inputs: Any = None
    """What a module of PyTorch is called with."""


NOTHING_ASKED = Request()


def stated_sizes(resolution: object) -> Sequence[int] | int | None:
    """Returns an ``input_resolution`` if it states all sizes, otherwise None.

    What is wrong with a resolution is told later, when it is used.
    """
    if isinstance(resolution, int):
        return resolution if resolution >= 1 else None
    if isinstance(resolution, str) or not isinstance(resolution, Iterable):
        return None
    sizes = list(resolution)
    if not sizes or any(not hasattr(size, "__index__") or size < 1 for size in sizes):
        return None
    return [operator.index(size) for size in sizes]
