"""Alignment, padding and output size of a network at every input size."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, NamedTuple, TypeVar

from receptive_field.algebra.axis_map import INFINITY, Extended
from receptive_field.errors import GraphError, ReceptiveFieldError
from receptive_field.printable import printable
from receptive_field.results.axes import axis_name
from receptive_field.results.words import numbers

LONGEST_WORDS = 64
"""The longest period that is described in words."""


class Placement(NamedTuple):
    """Alignment and padding on one axis, without paths that see the whole axis."""

    aligned: bool | None
    """See `ReceptiveField.aligned`."""
    padding: int | None
    """The effective padding, or None if no single number is right for all features."""


class Obstacle(NamedTuple):
    """The reason why there is no answer at some sizes."""

    node: str
    """The name of the node that is the reason."""
    reason: str
    can_run: bool = False
    """Whether the network can run at these sizes. If it can, there is no answer because
    the remainder of the size does not determine the answer."""


Outcome = Placement | Obstacle
"""Alignment and padding at some sizes, or the reason why there is no answer."""


class OutputSize(NamedTuple):
    """The output's size as a function of the input's size.

    For an input of n positions, the output has
    ``(n - r) / period * slope + offsets[r]`` positions, where r is the remainder of n
    modulo the period.
    """

    slope: int
    offsets: tuple[int, ...]

    def __call__(self, size: int) -> int:
        """Returns the size of the output for an input of this size."""
        turns, rest = divmod(size, len(self.offsets))
        return turns * self.slope + self.offsets[rest]

    def __str__(self) -> str:
        slope, offsets, period = self.slope, self.offsets, len(self.offsets)
        if slope == 0 and period == 1:
            return str(offsets[0])
        if slope == 1:
            # floor((r + shift) / period) rises where the quotient is a whole number.
            step = next((r for r in range(period) if offsets[r] != offsets[0]), period)
            shift = period * (offsets[0] + 1) - step
            if all((r + shift) // period == offsets[r] for r in range(period)):
                return _rounded_quotient(shift, period)
        if period == 1:
            return f"{slope} * size{_signed(offsets[0])}"
        if slope and len(set(offsets)) == 1:
            return f"{slope} * floor(size / {period}){_signed(offsets[0])}"
        listed = f"[{', '.join(map(str, offsets))}][size mod {period}]"
        return f"{slope} * floor(size / {period}) + {listed}" if slope else listed


@dataclass(frozen=True, slots=True)
class AxisResolutions:
    """Alignment, padding and output size for every size of one input axis.

    Attributes:
      placements: the answer for each remainder of the size modulo the `period`. An
        `Obstacle` if the network cannot run, or if a node blocks the answer.
      blocking: the nodes for which the remainder of the size does not determine the
        answer.
      smallest: the smallest size at which the network can run.
      vanishing: the node at which the feature map vanishes if the input is one position
        smaller than ``smallest``. None if ``smallest`` is 1.
      exceptions: size -> answer, for all sizes from ``smallest`` upwards whose answer
        differs from ``placements``. Sizes were tried one by one, until the answer had
        agreed with ``placements`` for every remainder.
      output_size: the size of the output as a function of the size of this axis, which
        holds at all sizes at which the network can run (see `at`). None if this
        function is unknown, or if no output axis follows this axis.
    """

    placements: tuple[Outcome, ...]
    smallest: int
    vanishing: Obstacle | None = None
    blocking: tuple[Obstacle, ...] = ()
    exceptions: Mapping[int, Outcome] = attribute(default_factory=dict)
    output_size: OutputSize | None = None

    @property
    def period(self) -> int:
        """The number of sizes after which the answer repeats."""
        return len(self.placements)

    def at(self, size: int) -> Placement:
        """Returns alignment and padding for an input with this many positions.

        Raises:
          ReceptiveFieldError: if the network cannot run at this size (the message gives
            the reason), or if the remainder of the size does not determine the answer.
        """
        if size < 1:
            raise ReceptiveFieldError(f"a size must be at least 1, not {size}.")
        found = self.exceptions.get(size, self.placements[size % self.period])
        if self.vanishing is not None and size < self.smallest:
            found = self.vanishing
        if isinstance(found, Placement):
            return found
        if found.can_run:
            raise GraphError(
                f"the remainder of size {size} does not determine the answer: "
                f"{found.reason} Call compute_receptive_field with input_resolution."
            )
        raise GraphError(
            f"the network cannot run at size {size}: {found.reason} The smallest "
            f"possible size is {self.smallest}."
        )

    def __str__(self) -> str:
        placed = [p if isinstance(p, Placement) else None for p in self.placements]
        parts = []
        if any(placed):
            known = _cases([p and _ALIGNED[p.aligned] for p in placed])
            parts.append(known if " at " in known else f"{known} at every size")
        if any(p and p.padding is not None for p in placed):
            parts.append(f"padding {_paddings([p and p.padding for p in placed])}")
        parts += self._told_obstacles(any(placed))
        for size, found in list(self.exceptions.items())[:MOST_CASES]:
            if isinstance(found, Placement):
                told = f"{_ALIGNED[found.aligned]}, padding {found.padding}"
            else:
                told = f"it cannot run: {found.reason.removesuffix('.')}"
            parts.append(f"at size {size} {told}")
        if len(self.exceptions) > MOST_CASES:
            last = max(self.exceptions)
            parts.append(f"and more such sizes up to {last} (see exceptions)")
        return "; ".join(parts)

    def _told_obstacles(self, some_placed: bool) -> Iterator[str]:
        """Yields the reasons for missing answers, and where they are missing.

        If the network cannot run at several remainders, for different reasons, only the
        nodes are named. The method `at` gives the reason at one size.
        """
        obstacles: dict[Obstacle, list[int]] = {}
        for residue, found in enumerate(self.placements):
            if isinstance(found, Obstacle):
                obstacles.setdefault(found, []).append(residue)
        failing = {o: rs for o, rs in obstacles.items() if not o.can_run}
        if len(failing) > 1 or any(FORMULA in o.reason for o in failing):
            residues = sorted(residue for rs in failing.values() for residue in rs)
            where = _where(residues, self.period) or " at any size"
            if some_placed and len(failing) == len(obstacles):
                where = " at other sizes"
            named = list(dict.fromkeys(repr(obstacle.node) for obstacle in failing))
            rest = len(named) - MOST_NAMED
            listed = ", ".join(named[:MOST_NAMED])
            listed += f" and {rest} more" if rest > 0 else ""
            yield f"cannot run{where}, because of {listed}"
        else:
            failing = {}
        for found, residues in obstacles.items():
            if found not in failing:
                where = _where(residues, self.period) or " at any size"
                yield f"no answer{where}: {found.reason.removesuffix('.')}"


class LayerReach(NamedTuple):
    """The receptive field sizes of the paths to a layer's input, per axis, x first."""

    name: str
    """The name of the layer."""
    smallest: tuple[Extended | None, ...]
    """The size for the smallest path. None for an axis on which the layer's kernel has
    a single position."""
    largest: tuple[Extended | None, ...]
    """The size for the largest path that does not see a whole axis."""


@dataclass(frozen=True, slots=True)
class Resolutions:
    """Alignment, padding and useful sizes of a network at every size of its input.

    Lists have x (width) first, then y.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor whose features are described.
      axes: the answer for each spatial axis of the input.
      layers: the convolution and pooling layers whose kernel has more than one
        position.
      largest_useful_size: the largest local receptive field on each axis (an upper
        bound if a resize has a different scale at every size). In a larger image, a
        feature sees nothing more, except through paths that see a whole axis.
      built_for: the size that the graph states for each axis, or None for an axis whose
        size it leaves open. Values that were computed from this size when the graph was
        built (such as paddings in Keras) are the same at every size.
    """

    input: str
    output: str
    axes: tuple[AxisResolutions, ...]
    layers: tuple[LayerReach, ...]
    largest_useful_size: tuple[Extended, ...]
    built_for: tuple[int | None, ...] = ()

    def at(self, resolution: Sequence[int] | int) -> tuple[Placement, ...]:
        """Returns the alignment and padding of each axis, x first.

        Args:
          resolution: the size of the input's spatial axes, ``[height, width]`` for
            images. A single number is the size of all axes.

        Raises:
          ReceptiveFieldError: if there is no answer for a size; see
            `AxisResolutions.at`.
        """
        sizes = self._sizes(resolution)
        return tuple(axis.at(n) for axis, n in zip(self.axes, sizes, strict=True))

    def unproductive_layers(
        self, resolution: Sequence[int] | int
    ) -> tuple[tuple[str, ...], ...]:
        """Returns the layers that add nothing at this size, for each axis, x first.

        Even the smallest path to such a layer's input sees at least as many positions
        as the image has.

        Args:
          resolution: as in `at`.
        """
        sizes = self._sizes(resolution)
        return tuple(
            tuple(x.name for x in self.layers if _covers(x.smallest[i], n))
            for i, n in enumerate(sizes)
        )

    def critical_layers(
        self, resolution: Sequence[int] | int
    ) -> tuple[tuple[str, ...], ...]:
        """Returns the layers that are useful on some paths only, per axis, x first.

        The largest path to such a layer's input sees at least as many positions as the
        image has, but the smallest path does not.

        Args:
          resolution: as in `at`.
        """
        sizes = self._sizes(resolution)
        return tuple(
            tuple(
                x.name
                for x in self.layers
                if _covers(x.largest[i], n) and not _covers(x.smallest[i], n)
            )
            for i, n in enumerate(sizes)
        )

    @property
    def smallest_productive_size(self) -> tuple[Extended, ...]:
        """For each axis, x first, the smallest size without unproductive layers."""
        reaches = [[x.smallest[i] for x in self.layers] for i in range(len(self.axes))]
        return tuple(max([0, *filter(None, reach)]) + 1 for reach in reaches)

    def to_dict(self) -> dict[str, Any]:
        """Returns the answers as plain data for JSON.

        Returns:
          The names ``input`` and ``output``, and ``axes``, x first. Each axis has its
          ``period``; ``placements``, a list with one entry per remainder, and
          ``exceptions``, size -> entry, where an entry has ``aligned`` and ``padding``,
          or the ``node`` and the ``reason`` for a missing answer; ``smallest_size``;
          ``output_size`` with its ``slope`` and ``offsets`` (see `OutputSize`), or
          None; ``smallest_productive_size`` and ``largest_useful_size``, where
          ``"inf"`` means infinite; and ``built_for``, the size that the graph states,
          or None.
        """

        def told(found: Outcome) -> dict[str, Any]:
            if isinstance(found, Placement):
                return {"aligned": found.aligned, "padding": found.padding}
            return {"node": found.node, "reason": found.reason}

        def number(bound: Extended) -> int | str:
            return "inf" if bound == INFINITY else int(bound)

        guidance = zip(
            self.smallest_productive_size, self.largest_useful_size, strict=True
        )
        axes = [
            {
                "period": axis.period,
                "placements": [told(found) for found in axis.placements],
                "exceptions": {str(n): told(f) for n, f in axis.exceptions.items()},
                "smallest_size": axis.smallest,
                "output_size": axis.output_size and axis.output_size._asdict(),
                "smallest_productive_size": number(productive),
                "largest_useful_size": number(useful),
                "built_for": built_for,
            }
            for axis, (productive, useful), built_for in zip(
                self.axes,
                guidance,
                self.built_for or [None] * len(self.axes),
                strict=True,
            )
        ]
        return {"input": self.input, "output": self.output, "axes": axes}

    def __str__(self) -> str:
        lines: dict[tuple[str, ...], list[str]] = {}
        told = zip(
            self.axes,
            self.smallest_productive_size,
            self.largest_useful_size,
            strict=True,
        )
        for number, (axis, productive, useful) in enumerate(told):
            text = [str(axis), f"smallest size {axis.smallest}"]
            if axis.vanishing is not None:
                text[-1] += f" (below it, the map vanishes at {axis.vanishing.node!r})"
            if axis.output_size is not None:
                formula = str(axis.output_size)
                is_same = formula == "size"
                text.append(f"output size {'as the input' if is_same else formula}")
            if productive != INFINITY:
                productive = max(productive, axis.smallest)
                text.append(f"no unproductive layers at size {productive} or above")
            if useful != INFINITY:
                text.append(f"largest local receptive field {useful}")
            lines.setdefault(tuple(text), []).append(axis_name(number))
        listed = [
            f"{', '.join(names)}: " + "\n  ".join(text) for text, names in lines.items()
        ]
        title = [printable(f"{self.output} in {self.input}, by input size")]
        if self.built_for and None not in self.built_for:
            sizes = numbers(self.built_for)
            title.append(
                f"built for {sizes}; constants computed from this size are kept"
            )
        return "\n".join([*title, *listed])

    def _sizes(self, resolution: Sequence[int] | int) -> list[int]:
        """Returns the sizes of a resolution, x first.

        Raises:
          ReceptiveFieldError: if the resolution is neither one positive integer nor one
            for each axis.
        """
        alone = not isinstance(resolution, Sequence)
        given: Any = [resolution] * len(self.axes) if alone else resolution
        try:
            sizes = [operator.index(size) for size in given]
        except TypeError:
            sizes = []
        if len(sizes) != len(self.axes) or min(sizes) < 1:
            raise ReceptiveFieldError(
                "a resolution must be one positive integer for each of the "
                f"{len(self.axes)} spatial axes, height before width, or one for all "
                f"axes; got {resolution!r}."
            )
        return sizes[::-1]


_ALIGNED = {True: "aligned", False: "misaligned", None: "alignment unknown"}


FORMULA = "floor("
"""A reason that contains this text describes sizes by formulas."""

MOST_NAMED = 3
"""At most this many nodes are named. The rest are counted."""

MOST_CASES = 4
"""At most this many different values or sizes are described one by one."""


def _cases(values: Sequence[str | None], whole: bool = True) -> str:
    """Describes which value belongs to which remainder. None means no value.

    If ``whole`` is false and there is only one value, its remainders are left out.
    """
    values = shortest(values)
    period = len(values)
    residues: dict[str, list[int]] = {}
    for residue, value in enumerate(values):
        if value is not None:
            residues.setdefault(value, []).append(residue)
    if len(residues) == 1:
        ((value, where),) = residues.items()
        return value + (_where(where, period) if whole else "")
    if len(residues) > MOST_CASES:
        listed = ", ".join("-" if value is None else value for value in values)
        return f"{listed} where size mod {period} is 0, 1, ..."
    most = max(residues, key=lambda value: (len(residues[value]), residues[value]))
    cases = [v + _where(rs, period) for v, rs in residues.items() if v != most]
    return f"{', '.join(cases)}, else {most}"


def _paddings(values: Sequence[int | None]) -> str:
    values = shortest(values)
    first, period = values[0], len(values)
    if first is not None and period > 2:
        # The start of the input is padded to make its size a multiple of the period.
        in_front = [first + -residue % period for residue in range(period)]
        if list(values) == in_front:
            return f"{first} + (-size mod {period})" if first else f"-size mod {period}"
    return _cases([None if v is None else str(v) for v in values], whole=False)


def _where(residues: Sequence[int], period: int) -> str:
    """Describes a set of remainders. Returns "" if the set contains every remainder."""
    others = [residue for residue in range(period) if residue not in set(residues)]
    if not others:
        return ""
    if period == 2:
        return f" at {('even', 'odd')[residues[0]]} sizes"
    if len(others) == 1 < len(residues):
        return f" at sizes that are not {_multiples(others, period)}"
    if len(residues) == 1 and residues[0] == 0:
        return f" at {_multiples(residues, period)}"
    run = _run(residues, period)
    if run is not None:
        return f" at sizes that are {_multiples(run, period)}"
    *some, last = map(str, residues)
    listed = " or ".join([", ".join(some)] * bool(some) + [last])
    return f" at sizes whose remainder modulo {period} is {listed}"


def _run(residues: Sequence[int], period: int) -> list[int] | None:
    """Returns remainders as consecutive numbers around 0, if they are consecutive."""
    known = set(residues)
    starts = [r for r in residues if (r - 1) % period not in known]
    if len(starts) != 1:
        return None
    start, count = starts[0], len(residues)
    if start + count > period or (count == 1 and 2 * start > period):
        start -= period
    return list(range(start, start + count))


def _multiples(run: Sequence[int], period: int) -> str:
    """Describes the sizes ``n * period + r`` for consecutive remainders r."""
    first, last = run[0], run[-1]
    if first == last == 0:
        return f"multiples of {period}"
    below, above = f"{-first} less", f"{last} more"
    to = "or" if last - first == 1 else "to"
    if first == last:
        return f"{above if last > 0 else below} than a multiple of {period}"
    if first > 0:
        return f"{first} {to} {last} more than a multiple of {period}"
    if last < 0:
        return f"{-last} {to} {-first} less than a multiple of {period}"
    if first == 0:
        return f"0 {to} {above} than a multiple of {period}"
    if last == 0:
        return f"0 {to} {below} than a multiple of {period}"
    return f"from {below} to {above} than a multiple of {period}"


def _rounded_quotient(shift: int, period: int) -> str:
    """Describes ``floor((size + shift) / period)``."""
    if period == 1:
        return f"size{_signed(shift)}"
    if shift == period - 1:
        return f"ceil(size / {period})"
    numerator = f"(size{_signed(shift)})" if shift else "size"
    return f"floor({numerator} / {period})"


def _signed(number: int) -> str:
    return f" {'-' if number < 0 else '+'} {abs(number)}" if number else ""


def _covers(reach: Extended | None, size: int) -> bool:
    return reach is not None and reach >= size


T = TypeVar("T")


def shortest(values: Sequence[T]) -> Sequence[T]:
    """Returns the shortest period of the values, which are compared as text."""
    told = [str(value) for value in values]
    for period in range(1, len(told)):
        if len(told) % period == 0 and told[period:] == told[:-period]:
            return values[:period]
    return values
