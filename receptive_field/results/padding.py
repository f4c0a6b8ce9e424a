"""The features that see no padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from receptive_field.arrays import np
from receptive_field.results.words import numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Unpadded:
    """The features that see no padding of any layer.

    A feature sees no padding if its places on all axes see none.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor whose features are described.
      inside: for each feature coordinate, x first, a boolean array over its places:
        whether the features at this place see no padding along this axis.
      exact: whether all other features see padding, as long as no weight is zero.
        Otherwise, some of them may see none. The features that ``inside`` contains
        never see any.
    """

    input: str
    output: str
    inside: tuple[NDArray[np.bool_], ...]
    exact: bool

    @property
    def runs(self) -> tuple[list[tuple[int, int]], ...]:
        """The same places as runs ``(first, last)``, for each coordinate, x first.

        In most networks, there is one run, or none if all features see padding. There
        are several runs if a map is padded inside (for example, if two padded maps are
        joined along the axis).
        """
        return tuple(map(_runs, self.inside))

    def mask(self) -> NDArray[np.bool_]:
        """Returns which features see no padding: ``[height, width]`` for an image.

        The axes are those of the feature coordinates in reverse, so that x is last.
        """
        found = np.ones((), dtype=bool)
        for along in self.inside[::-1]:
            found = np.logical_and.outer(found, along)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Returns the runs as plain data for JSON, one list per axis, x first."""
        runs = [[list(run) for run in runs] for runs in self.runs]
        return {"runs": runs, "exact": self.exact}

    def __str__(self) -> str:
        texts = []
        for runs in self.runs:
            texts.append(" and ".join(f"{a} to {b}" for a, b in runs) or "none")
        if "none" in texts:
            told = "none" if self.exact else "none that is known"
            return f"{'without padding':18} {told}"
        least = "" if self.exact else "at least "
        told = texts[0] if len(texts) == 1 else numbers(texts)
        return f"{'without padding':18} {least}{told}"


def _runs(inside: NDArray[np.bool_]) -> list[tuple[int, int]]:
    steps = np.diff(np.concatenate([[0], inside.astype(int), [0]]))
    firsts, ends = (np.flatnonzero(steps == step) for step in (1, -1))
    return [(int(a), int(b) - 1) for a, b in zip(firsts, ends, strict=True)]
