"""How far features look ahead and back, and whether they are causal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

from receptive_field.algebra.axis_map import (
    INFINITY,
    Anywhere,
    AxisMap,
    Extended,
    Floating,
    Periodic,
)
from receptive_field.results.units import (
    Spacing,
    as_written,
    checked_spacing,
    rounded,
    with_unit,
)
from receptive_field.results.words import NONE, UNBOUNDED, UNKNOWN, numbers


def _exact(number: Any) -> Fraction:
    return as_written(number) if isinstance(number, float) else Fraction(number)


POSITIONS = "positions"
"""The unit of a look-ahead that is not in physical units."""


@dataclass(frozen=True, slots=True)
class LookAhead:
    """How far features look ahead and back on each axis; see `look_ahead` of a field.

    With stride s, the *step* of feature u starts at position ``u * s`` (rounded down)
    and ends just before that of feature u + 1. These are the positions of the input
    that feature u stands for when the input arrives position by position. All tuples
    list x first. A number is None if the axis has no positive stride, and infinite if a
    feature may see everything on that side.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor whose features are described.
      stride: how long a step is.
      look_ahead: how far a feature sees after the first position of its step, at most.
      look_back: how far a feature sees before the first position of its step, at most.
      beyond_step: how far a feature sees after the last position of its step, at most.
        It is negative if all features end earlier.
      exact: whether some feature really sees that far. Otherwise, the numbers are upper
        bounds.
      causal: whether no feature sees anything after the last position of its step. True
        only if this is proven for every feature at every size of the input. False if
        some feature of a large enough input sees a later position, and None if neither
        is known.
      spacing: the distance between neighbouring positions on each axis.
      unit: the unit of all numbers: positions, or what `in_units` was told.
    """

    input: str
    output: str
    stride: tuple[Any, ...]
    look_ahead: tuple[Any, ...]
    look_back: tuple[Any, ...]
    beyond_step: tuple[Any, ...]
    exact: tuple[bool, ...]
    causal: tuple[bool | None, ...]
    spacing: tuple[float, ...] = ()
    unit: str = POSITIONS

    @property
    def latency(self) -> tuple[Any, ...]:
        """The algorithmic latency: how long a feature has to wait for its input.

        This is the time from the beginning of the first position of a feature's step to
        the end of the last position that the feature sees: ``look_ahead`` and one
        position more. It does not include the time of the computation.
        """
        steps = self.spacing or (1,) * len(self.look_ahead)
        return tuple(
            ahead
            if ahead is None or ahead == INFINITY
            else type(ahead)(_exact(ahead) + _exact(step))
            for ahead, step in zip(self.look_ahead, steps, strict=True)
        )

    def in_units(
        self, spacing: Spacing | None = None, unit: str | None = None
    ) -> LookAhead:
        """Returns the same numbers in physical units, such as milliseconds.

        Args:
          spacing: the distance between neighbouring positions of the input, as for
            `ReceptiveField.in_units`.
          unit: the name of the unit.

        Raises:
          ReceptiveFieldError: if the spacing or the unit is missing, or the spacing
            does not fit the axes.
        """
        steps, name = checked_spacing(spacing, unit, len(self.stride))

        def told(values: Iterable[Any]) -> tuple[Any, ...]:
            return tuple(
                value
                if value is None or abs(value) == INFINITY
                else float(_exact(value) / _exact(before) * _exact(step))
                for value, before, step in zip(values, old, steps, strict=True)
            )

        old = self.spacing or (1.0,) * len(steps)
        return replace(
            self,
            stride=told(self.stride),
            look_ahead=told(self.look_ahead),
            look_back=told(self.look_back),
            beyond_step=told(self.beyond_step),
            spacing=steps,
            unit=name,
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data for JSON, with lists per axis, x first.

        Unknown values are None. An infinite number is ``"inf"``, and a stride that is
        not an integer is a string such as ``"1/2"``.
        """
        return {
            "input": self.input,
            "output": self.output,
            "unit": self.unit,
            "stride": [*map(_plain, self.stride)],
            "look_ahead": [*map(_plain, self.look_ahead)],
            "look_back": [*map(_plain, self.look_back)],
            "beyond_step": [*map(_plain, self.beyond_step)],
            "latency": [*map(_plain, self.latency)],
            "exact": list(self.exact),
            "causal": list(self.causal),
        }

    def __str__(self) -> str:
        causal = {True: "yes, at every size", False: "no", None: "not proven"}
        told = [causal[flag] for flag in self.causal]
        lines = (
            ("step", self._told(self.stride, NONE) + self._on_steps()),
            ("looks ahead", self._at_most(self.look_ahead)),
            ("looks back", self._at_most(self.look_back)),
            ("beyond its step", self._at_most(self.beyond_step)),
            ("latency", self._at_most(self.latency)),
            ("causal", told[0] if len(set(told)) == 1 else numbers(told)),
        )
        return "\n".join(f"{label:18} {text}" for label, text in lines)

    def _on_steps(self) -> str:
        if None not in self.stride:
            return ""
        return " (features without a positive stride stand for no step)"

    def _at_most(self, values: Sequence[Any]) -> str:
        known = any(value is not None and value < INFINITY for value in values)
        most = "at most " if known and not all(self.exact) else ""
        return most + self._told(values, UNKNOWN)

    def _told(self, values: Iterable[Any], missing: str) -> str:
        def text(value: Any) -> str:
            if value is None or value == INFINITY:
                return missing if value is None else UNBOUNDED
            return str(value) if isinstance(value, (int, Fraction)) else rounded(value)

        return with_unit([text(value) for value in values], self.unit)


class Reach(NamedTuple):
    """How far the windows of a map reach from the steps of its positions."""

    stride: int | Fraction | None
    ahead: Extended | None
    back: Extended | None
    beyond: Extended | None
    exact: bool = False
    causal: bool | None = None
    """Whether no window of this map ends after its step; None if this is unknown."""


def reach_of(axis_map: AxisMap) -> Reach:
    """Returns how far the windows of a map reach ahead and back."""
    if axis_map.is_global:
        return Reach(None, INFINITY, INFINITY, INFINITY)
    rates = axis_map.rates
    if len(rates) != 1 or rates[0] <= 0 or axis_map.drifts:
        return Reach(None, None, None, None)
    (rate,) = rates
    strands = [*axis_map.strands]
    if axis_map.seen is not None:
        strands += axis_map.seen.strands
    ahead: Extended = -INFINITY
    back: Extended = -INFINITY
    beyond: Extended = -INFINITY
    for strand in strands:
        if isinstance(strand, Anywhere):
            ahead = back = beyond = INFINITY
        elif isinstance(strand, Floating):
            low, high = strand.starts()
            size = strand.extents.one
            # A step begins less than one position before u times the rate.
            spare = 0 if rate.denominator == 1 else 1
            ahead = max(ahead, _floor(high + size - 1) + spare)
            back = max(back, _floor(-low))
            beyond = max(beyond, _floor(high + size - rate))
        else:
            start = 0 if isinstance(strand, Periodic) else strand.start
            for u, window in enumerate(strand.windows, start):
                if window is not None:
                    first, last = window
                    begin = math.floor(u * rate)
                    end = math.ceil((u + 1) * rate) - 1
                    ahead = max(ahead, last - begin)
                    back = max(back, begin - first)
                    beyond = max(beyond, last - end)
    settled = len(strands) == 1 and isinstance(strands[0], Periodic)
    exact = axis_map.exact and settled
    causal = True if beyond <= 0 else False if exact else None
    stride = rate.numerator if rate.denominator == 1 else rate
    return Reach(stride, ahead, back, beyond, exact, causal)


def _floor(number: Any) -> Extended:
    return math.floor(number) if abs(number) < INFINITY else float(number)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    return str(value) if isinstance(value, Fraction) or value == INFINITY else value
