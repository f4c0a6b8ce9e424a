"""Changes of a network with which its receptive field reaches a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from receptive_field.results.explanation import listed
from receptive_field.results.field import ReceptiveField
from receptive_field.results.words import (
    at_most,
    numbers,
    size_words,
    stride_words,
    title,
)


@dataclass(frozen=True, slots=True)
class SizeProposal:
    """A change of a network that was tried, and what it does.

    Attributes:
      kind: "add" layers after a layer, "dilate" layers, give a layer another "stride",
        or give layers another "kernel".
      layers: the names of the layers (or nodes) that change; for "add", the layer after
        which layers are added.
      number: how many layers are added; or the new dilation or the new stride, on every
        axis; or the number of positions by which kernels grow, on every axis on which
        they have more than one.
      kernels: the kernel sizes before the change, x first, one list for each layer; for
        "add", the kernel of the added layers, which have stride 1, padding that keeps
        the size ("same"), and as many channels as the layer before.
      field: the receptive field of the output after the change.
      flops: the floating-point operations after the change, or None if unknown.
      keeps_output: whether the output has the same shape as before, for inputs of any
        size.
      has_holes: whether features may miss pixels inside their field after the change,
        although they missed none before.
      grown_padding: the layers whose padding is given by numbers, keeps the size at
        stride 1, and grows with the window, so that it still does.
      kept_padding: the layers whose padding is given by other numbers, which stay as
        they are, although the window grows.
    """

    kind: Literal["add", "dilate", "stride", "kernel"]
    layers: tuple[str, ...]
    number: int
    kernels: tuple[tuple[int, ...], ...]
    field: ReceptiveField
    flops: int | None
    keeps_output: bool
    has_holes: bool
    grown_padding: tuple[str, ...] = ()
    kept_padding: tuple[str, ...] = ()

    @property
    def change(self) -> str:
        """The change, in words."""
        names = listed(self.layers)
        if self.kind == "add":
            kernel = " x ".join(map(str, self.kernels[0]))
            plural = "layer" if self.number == 1 else "layers"
            return f"add {self.number} {plural} of {kernel} after {names}"
        if self.kind == "dilate":
            return f"give {names} a dilation of {self.number}"
        if self.kind == "stride":
            return f"give {names} a stride of {self.number}"
        (old,) = self.kernels if len(self.kernels) == 1 else (None,)
        if old is None:
            return f"make the kernels of {names} larger by {self.number}"
        new = [k + self.number if k > 1 else k for k in old]
        return (
            f"give {names} a kernel of {' x '.join(map(str, new))} instead of "
            f"{' x '.join(map(str, old))}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the proposal as plain data for JSON.

        Returns:
          ``change`` (in words), ``kind``, ``layers``, ``number``, ``kernels``,
          ``flops``, ``keeps_output``, ``has_holes``, ``grown_padding``,
          ``kept_padding``, and ``field`` (see `ReceptiveField.to_dict`).
        """
        return {
            "change": self.change,
            "kind": self.kind,
            "layers": list(self.layers),
            "number": self.number,
            "kernels": [list(kernel) for kernel in self.kernels],
            "flops": self.flops,
            "keeps_output": self.keeps_output,
            "has_holes": self.has_holes,
            "grown_padding": list(self.grown_padding),
            "kept_padding": list(self.kept_padding),
            "field": self.field.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Proposals(Sequence[SizeProposal]):
    """A sequence of proposals, the smallest change first.

    Changes that keep the size of the output come first, and among these, changes that
    leave no holes. Then small changes come first: each added layer, each step of a
    dilation beyond 1, and each two positions of a kernel count as one, for each layer
    that changes. Of equal changes, the one that exceeds the target the least is first.

    Attributes:
      field: the receptive field now.
      target: the size to reach on each axis, x first.
      reached: whether the field has this size already; None if this is unknown, because
        its size is only an upper bound.
      flops: the floating-point operations now, or None if unknown.
      reasons: sentences that say why there are no proposals, or what to consider.
    """

    field: ReceptiveField
    target: tuple[int, ...]
    reached: bool | None
    flops: int | None
    proposals: tuple[SizeProposal, ...]
    reasons: tuple[str, ...]

    def __getitem__(self, index: Any) -> Any:
        return self.proposals[index]

    def __len__(self) -> int:
        return len(self.proposals)

    def __str__(self) -> str:
        field = self.field
        lines = [
            f"{title(field)}: {at_most(field)}{numbers(size_words(field))}, to reach: "
            f"{numbers(self.target)}"
        ]
        lines += self.reasons
        if self.proposals:
            one = len(self.proposals) == 1
            lines.append("this reaches it:" if one else "each of these reaches it:")
            lines += [f"  - {p.change}: {self._effect(p)}" for p in self.proposals]
        return "\n".join(lines)

    def _effect(self, proposal: SizeProposal) -> str:
        parts = [at_most(proposal.field) + numbers(size_words(proposal.field))]
        sizes = [_output(f) for f in (proposal.field, self.field)]
        strides = [stride_words(f) for f in (proposal.field, self.field)]
        if sizes[0] != sizes[1]:
            new, old = (numbers(size) for size in sizes)
            parts.append(f"the output has {new} instead of {old} positions")
        elif not proposal.keeps_output:
            parts.append("the size of the output changes")
        if strides[0] != strides[1]:
            new, old = (numbers(stride) for stride in strides)
            parts.append(f"the effective stride is {new} instead of {old}")
        if proposal.flops is not None and self.flops:
            parts.append(_flops_text(proposal.flops, self.flops))
        if proposal.has_holes:
            parts.append("may leave holes")
        for names, says in (
            (proposal.grown_padding, "grows to keep the size"),
            (proposal.kept_padding, "stays as it is"),
        ):
            if names:
                of = "" if names == proposal.layers else f" of {listed(names)}"
                parts.append(f"the padding{of} {says}")
        return ", ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as plain data for JSON, with one entry per proposal."""
        return {
            "field": self.field.to_dict(),
            "target": list(self.target),
            "reached": self.reached,
            "flops": self.flops,
            "proposals": [proposal.to_dict() for proposal in self.proposals],
            "reasons": list(self.reasons),
        }


def _flops_text(new: int, old: int) -> str:
    if new == old:
        return "same FLOPs"
    if new >= 10 * old:
        return f"{new / old:.0f} times the FLOPs"
    return f"{_percent(100 * new / old - 100)} FLOPs"


def _output(field: ReceptiveField) -> list[int | None]:
    return [axis.size for axis in field.feature_axes]


def _percent(change: float) -> str:
    """Returns a change in percent, with three digits if it is small.

    >>> _percent(0.6141), _percent(1482.3)
    ('+0.614 %', '+1482 %')
    """
    return f"{change:+.0f} %" if abs(change) >= 100 else f"{change:+.3g} %"
