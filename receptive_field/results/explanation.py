"""Explanations of why a network is misaligned, and of changes that would align it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

from receptive_field.printable import printable
from receptive_field.results.axes import axis_name
from receptive_field.results.words import Described, in_words, one_line

F = TypeVar("F", bound=Described)
"""A `ReceptiveField`."""

MOST_SUMS = 512
"""At most this many distances are kept in a search for layers to change together."""


class StepWindow(NamedTuple):
    """Kernel size, stride, padding and dilation of a step on one axis."""

    kernel: int | None
    """The kernel size. None for a step without a window, such as an upsampling op or a
    flip."""
    stride: int | Fraction | None
    """The stride. None for a step that spreads positions over several axes or reorders
    them."""
    before: int | None
    """The padding at the start. Negative if positions are cut off, None if unknown."""
    after: int | None
    dilation: int = 1

    def __str__(self) -> str:
        if self.kernel is None and self.stride is None:
            return "rearranges positions"
        parts = [] if self.kernel is None else [f"k {self.kernel}"]
        parts.append(f"s {self.stride}")
        if self.kernel is not None:
            before, after = ("?" if p is None else p for p in self[2:4])
            parts.append(f"p {before}/{after}")
        return " ".join(parts + [f"d {self.dilation}"] * (self.dilation > 1))


@dataclass(frozen=True, slots=True)
class Step:
    """A node of a path that moves or merges positions."""

    node: str
    op: str
    windows: tuple[StepWindow | None, ...]
    """The window on each axis, x first. None for an axis whose positions do not
    change."""

    def __str__(self) -> str:
        named = printable(f"{self.node} ({self.op})")
        if len(set(self.windows)) == 1:
            return f"{named}: {self.windows[0]}"
        of_axes = (
            f"{axis_name(i)} {w}" for i, w in enumerate(self.windows) if w is not None
        )
        return f"{named}: {', '.join(of_axes)}"


@dataclass(frozen=True, slots=True)
class Path(Generic[F]):
    """A path from the tensor where two paths split to the tensor where they meet."""

    steps: tuple[Step, ...]
    """The steps in the order of computation, without elementwise nodes."""
    field: F
    """Size, stride and padding of this path alone."""

    def __str__(self) -> str:
        steps = "".join(f"\n    {step}" for step in self.steps)
        return in_words(self.field) + (steps or "\n    no node that moves positions")


@dataclass(frozen=True, slots=True)
class Difference:
    """How two paths disagree on one axis.

    Centres and offsets are positions of the tensor where the paths split.
    """

    axis: int
    """The number of the axis: 0 for x, 1 for y, and so on."""
    strides: tuple[Fraction | None, Fraction | None]
    centres: tuple[Fraction, Fraction] | None
    """The first feature's centre on each path. None if the strides differ, if the paths
    follow different axes, or if a centre is unknown."""
    offsets: tuple[Fraction, ...]
    """The second path's centre minus the first path's. One number for all features, or
    several numbers that repeat. Empty if the centres are unknown."""

    @property
    def offset(self) -> Fraction | None:
        """The distance between the centres, or None if it varies between features."""
        return self.offsets[0] if len(self.offsets) == 1 else None

    def __str__(self) -> str:
        name = axis_name(self.axis)
        if self.strides[0] != self.strides[1]:
            return f"{name}: strides {self.strides[0]} and {self.strides[1]}"
        if self.centres is None:
            return f"{name}: centres differ"
        if self.offset is not None:
            by = number_text(abs(self.offset))
        else:
            by = ", ".join(map(number_text, self.offsets[:4])) + " in turn"
        first, second = map(number_text, self.centres)
        return f"{name}: centres differ by {by} (first feature: {first} and {second})"


class Setting(NamedTuple):
    """Kernel size and padding of a layer on one axis."""

    kernel: int
    before: int
    """The padding at the start. Negative if positions are cut off."""
    after: int | None
    """The padding at the end. None if it depends on an unknown size."""


@dataclass(frozen=True, slots=True)
class Change:
    """A different padding or kernel size for one layer."""

    node: str
    op: str
    old: tuple[Setting | None, ...]
    """The old setting on each axis, x first; None for an axis without a change."""
    new: tuple[Setting | None, ...]
    """The new setting on each axis, like ``old``."""

    def __str__(self) -> str:
        texts: dict[str, list[str]] = {}
        for axis, (old, new) in enumerate(zip(self.old, self.new, strict=True)):
            if old is not None and new is not None:
                text = _change_text(self.node, old, new)
                texts.setdefault(text, []).append(axis_name(axis))
        return "; ".join(f"{t} ({' and '.join(axes)})" for t, axes in texts.items())


def _change_text(node: str, old: Setting, new: Setting) -> str:
    paddings = [p for s in (old, new) for p in (s.before, s.after) if p is not None]
    if min(paddings) < 0:
        start, stop = (
            " and ".join(
                f"{-p} {where}"
                for p, where in ((s.before, "at the start"), (s.after, "at the end"))
                if p is not None
            )
            for s in (new, old)
        )
        return f"make {node!r} cut off {start} instead of {stop}"

    def pads(setting: Setting) -> str:
        after = "the rest" if setting.after is None else setting.after
        return f"{setting.before} before and {after} after"

    if new == old:
        return f"pad {node!r} by {pads(new)} as now, but at every size"
    padded = f"by {pads(new)} instead of {pads(old)}"
    if old.kernel != new.kernel:
        return (
            f"give {node!r} a kernel of {new.kernel} instead of {old.kernel}, padded "
            + (padded if new[1:] != old[1:] else f"by {pads(new)} as before")
        )
    return f"pad {node!r} {padded}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A set of changes that aligns the two paths."""

    changes: tuple[Change, ...]
    keeps_size: bool
    """Whether the tensor where the paths meet keeps its size."""
    remaining: int
    """The number of tensors at which misaligned paths still meet after the changes."""

    def __str__(self) -> str:
        text = ", and ".join(map(str, self.changes))
        return text + (
            "" if self.keeps_size else "; this changes the size of the output"
        )


@dataclass(frozen=True, slots=True)
class Explanation(Generic[F]):
    """Whether a graph is aligned and, if not, why, and which changes would align it.

    Attributes:
      field: the receptive field to explain.
      unknown_paddings: the nodes whose padding depends on an unknown size, if their
        padding decides the alignment.
      parts: the tensor where the two paths split, seen from the input. None if no pair
        of misaligned paths was found.
      meets: the tensor where the two paths meet again.
      differences: how the paths disagree, for each axis on which they do, x first.
      paths: the two paths.
      changes: the proposals, the best first. Each proposal aligns the two paths by
        itself.
      reasons: sentences that say why there is no better proposal.
      size_dependent: the nodes on both paths whose padding (SAME) depends on the size
        of the input, so that the paths may be aligned at other sizes.
      meetings: the number of tensors at which misaligned paths meet, including
        ``meets``. Each tensor is judged as if the earlier ones were aligned.
    """

    field: F
    unknown_paddings: tuple[str, ...] = ()
    parts: str | None = None
    meets: str | None = None
    differences: tuple[Difference, ...] = ()
    paths: tuple[Path[F], ...] = ()
    changes: tuple[Proposal, ...] = ()
    reasons: tuple[str, ...] = ()
    size_dependent: tuple[str, ...] = ()
    meetings: int | None = None

    @property
    def aligned(self) -> bool | None:
        """Whether the receptive field is aligned, or None if this is unknown."""
        return self.field.aligned

    def __str__(self) -> str:
        if self.aligned is True:
            return one_line(self.field)
        if self.aligned is None:
            what = "this"
            if self.unknown_paddings:
                what = f"the padding of {listed(self.unknown_paddings)}"
            elif all(axis.input_size is not None for axis in self.field.axes):
                return (
                    f"{one_line(self.field)}: the positions that an op reads are "
                    "unknown."
                )
            return (
                f"{one_line(self.field)}: {what} depends on the size of the input. "
                "Give input_resolution, or use rf.resolutions to check all sizes."
            )
        if self.unknown_paddings:
            return (
                f"{one_line(self.field)}: two paths differ at every size of the input. "
                "The size also determines where they differ, because of the padding of "
                f"{listed(self.unknown_paddings)}. Give input_resolution to find out."
            )
        if self.parts is None:
            return f"misaligned: {' '.join(self.reasons)}"
        lines = [f"misaligned: two paths from {self.parts!r} to {self.meets!r} differ."]
        lines += [f"  {difference}" for difference in self.differences]
        for name, path in zip(("one path", "the other"), self.paths, strict=False):
            lines.append(f"  {name}: {path}")
        lines += self.reasons
        if self.changes:
            one = (
                "This aligns them:"
                if len(self.changes) == 1
                else "Each of these aligns them:"
            )
            lines += [one, *(f"  - {proposal}" for proposal in self.changes)]
        if self.size_dependent:
            lines.append(
                f"The padding of {listed(self.size_dependent)} (SAME) depends on the "
                "size of the input. At other sizes, these paths may be aligned, or "
                "other paths may be misaligned; use rf.resolutions to check all sizes."
            )
        if self.meetings is not None and self.meetings > 1:
            lines.append(
                f"This is one of {self.meetings} tensors where misaligned paths meet."
            )
        return "\n".join(lines)


def strides_text(axis: int, difference: Difference, paths: Sequence[Path[F]]) -> str:
    """Returns a text that says why no padding aligns paths with different strides."""
    texts = []
    for stride, path in zip(difference.strides, paths, strict=True):
        factors = [
            f"{window.stride} by {step.node!r}"
            for step in path.steps
            if (window := step.windows[axis]) is not None and window.stride != 1
        ]
        texts.append(f"{stride} ({' times '.join(factors) or 'no layer has a stride'})")
    return (
        "no padding aligns the paths: the product of the strides is "
        f"{texts[0]} on one path and {texts[1]} on the other. Make the products equal."
    )


def number_text(value: Fraction) -> str:
    """Returns a number of positions as text: an integer, a decimal, or a fraction."""
    exactly = value.denominator == 1 or abs(value) > MOST_SUMS
    return str(value) if exactly else str(float(value))


def listed(names: Sequence[str], limit: int = 3) -> str:
    """Returns the first names in quotes, and the number of remaining names."""
    unique = list(dict.fromkeys(names))
    shown = ", ".join(map(repr, unique[:limit]))
    rest = len(unique) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown
