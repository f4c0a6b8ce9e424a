"""Finds the rows, columns and positions of an image that change a feature.

A *part* is a row, a column or a single position. Disturbing the parts one by one takes
up to four runs for each of them. Two observations about many parts at once save most of
these runs:

* The gradient says by how much the feature should change if parts change a little. The
  network then runs with many of these parts changed, each by so much that it should add
  the same share to the change of the feature. If the feature changes by the sum of the
  shares, none of the parts is without effect.
* Parts that are all disturbed at once and do not change the feature do not matter.
  They are disturbed all together, and in random halves, in which fewer of them could
  hide the effect of another one.

What remains is disturbed part by part. If the framework has no gradient for the
network, or the gradient is zero (as for an argmax), all parts are disturbed one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receptive_field.progress import tell
from receptive_field.questions.experiment import NetworkExperiment
from receptive_field.results.measured import Mask

Numbers = NDArray[np.float64]

FEWEST = 8
"""A gradient costs as much as disturbing about this number of parts one by one."""

ROUNDING = 1e-12
"""The smallest share in a feature that rounding does not hide."""

SMALLEST_STEP, LARGEST_STEP = 1e-7, 1e-3
"""By how much the value of a position changes, relative to the value. A larger change
could turn another value into the largest one of a pooling, which bends the line that a
gradient follows."""

RANGE = 1e3
"""The ratio of the largest to the smallest effect of parts that change at once."""


class Search:
    """Finds which parts of the input change one feature."""

    def __init__(self, experiment: NetworkExperiment, feature: tuple[Any, ...]) -> None:
        """Stores the experiment.

        Args:
          experiment: an experiment with one output.
          feature: the index of the feature in that output.
        """
        self.experiment = experiment
        self.feature = feature
        (shape,) = experiment.output_shapes
        self._factors = np.zeros(shape)
        chosen = self._factors[feature].shape
        self._factors[feature] = np.random.default_rng(3).uniform(0.5, 1.5, chosen)
        self._taken: dict[int, _Tangent | None] = {}

    def lines(self) -> list[Mask]:
        """Returns the positions of each axis at which a line changes the feature."""
        sizes = self.experiment.sizes
        labels, count = [], 0
        for axis, size in enumerate(sizes):
            across = [size if a == axis else 1 for a in range(len(sizes))]
            numbers = np.arange(count, count + size).reshape(across)
            labels.append(np.broadcast_to(numbers, sizes))
            count += size
        seen = self._seen(_Parts(labels, count, "measuring rows and columns"))
        return np.split(seen, np.cumsum(sizes)[:-1])

    def positions(self, lines: Sequence[Mask]) -> Mask:
        """Returns the positions that change the feature, in lines that change it."""
        among = np.zeros(self.experiment.sizes, dtype=bool)
        among[np.ix_(*lines)] = True
        labels = np.where(among, np.cumsum(among).reshape(among.shape) - 1, -1)
        among[among] = self._seen(
            _Parts([labels], int(among.sum()), "measuring positions")
        )
        return among

    def _seen(self, parts: _Parts) -> Mask:
        """Returns, for each part, whether the feature changes with it."""
        tell(parts.what, 0.0)
        found = _Found(parts)
        number = 0
        while self._follow(self._tangent(number), found):
            rest = found.undecided
            if not rest.any() or not self._changes(parts, rest):
                found.decided[:] = True
                break
            if found.gained < FEWEST:
                break
            number += 1
        if found.hinted.any():
            self._halve(found, np.flatnonzero(found.undecided))
        else:
            self._one_by_one(found, np.flatnonzero(found.undecided))
        return found.seen

    # --- Parts one by one, and in groups ---------------------------------------------

    def _one_by_one(self, found: _Found, some: NDArray[np.intp]) -> None:
        for part in some:
            chosen = np.zeros(found.parts.count, dtype=bool)
            chosen[part] = True
            found.seen[part] = self._changes(found.parts, chosen)
            found.decided[part] = True
            found.tell()

    def _halve(self, found: _Found, some: NDArray[np.intp]) -> None:
        """Decides parts, of which at least one may change the feature."""
        if len(some) == 1:
            self._one_by_one(found, some)
            return
        for half in np.array_split(some, 2):
            chosen = np.zeros(found.parts.count, dtype=bool)
            chosen[half] = True
            if len(half) == 1 or (len(half) and self._changes(found.parts, chosen)):
                self._halve(found, half)
            found.decided[half] = True
            found.tell()

    def _changes(self, parts: _Parts, chosen: Mask) -> bool:
        """Returns whether the feature changes if parts are disturbed together."""
        masks = [parts.joined(chosen)]
        if np.count_nonzero(chosen) > 1:
            random = np.random.default_rng(4)
            masks.append(parts.joined(chosen & (random.random(len(chosen)) < 0.5)))
        changes = self.experiment.changes_of(masks)
        return any(change[0][self.feature].any() for change in changes)

    # --- Parts that a gradient names -------------------------------------------------

    def _follow(self, tangent: _Tangent | None, found: _Found) -> bool:
        """Decides the parts that a gradient names.

        Returns whether the gradient names any part.
        """
        before = np.count_nonzero(found.seen)
        self._confirm(tangent, found)
        while tangent is not None:
            rest, last = found.hinted & found.undecided, np.count_nonzero(found.seen)
            if np.count_nonzero(rest) <= FEWEST:
                break
            # These parts alone, so that each of them has a large share in the feature.
            lifted = np.zeros(found.parts.count)
            lifted[rest] = found.hints[rest].min() / found.hints[rest]
            image = self._image(0) * self.experiment.over_image(
                found.parts.largest(lifted)
            )
            self._confirm(self._tangent_at(image / image.max()), found)
            if np.count_nonzero(found.seen) < last + FEWEST:
                break
        self._one_by_one(found, np.flatnonzero(found.hinted & found.undecided))
        found.gained = np.count_nonzero(found.seen) - before
        return bool(found.hinted.any())

    def _image(self, number: int) -> Numbers:
        random = np.random.default_rng(5 + number)
        return random.uniform(0.5, 1.5, self.experiment.image_shape)

    def _tangent(self, number: int) -> _Tangent | None:
        if number not in self._taken:
            self._taken[number] = self._tangent_at(self._image(number))
        return self._taken[number]

    def _tangent_at(self, image: Numbers) -> _Tangent | None:
        """Returns the feature and its gradient at an image, or None without one."""
        if self.experiment.dtype.kind != "f":
            return None
        gradient = self.experiment.gradient(image, [self._factors])
        if gradient is None or not np.isfinite(gradient).all() or not gradient.any():
            return None
        return _Tangent(image, self._value(image), gradient)

    def _value(self, image: Numbers) -> float:
        (output,) = self.experiment.outputs(image)
        weighted = self._factors[self.feature] * output[self.feature]
        return float(weighted.sum())

    def _confirm(self, tangent: _Tangent | None, found: _Found) -> None:
        """Confirms the parts that a gradient names: each run changes many of them."""
        if tangent is None:
            return
        random = np.random.default_rng(6)
        steps = tangent.image * random.uniform(0.5, 1.5, tangent.image.shape)
        steps *= np.sign(tangent.gradient)
        own = np.abs(tangent.gradient)
        effects = found.parts.sums(self.experiment.over_positions(own * np.abs(steps)))
        sums = found.parts.sums(self.experiment.over_positions(own))
        found.hints = np.where(sums > 0, sums, found.hints)
        least = abs(tangent.value) * ROUNDING / LARGEST_STEP
        for among in found.parts.apart():
            usable = np.flatnonzero(among & found.undecided & (effects > least))
            usable = usable[np.argsort(effects[usable])]
            while len(usable):
                end = np.searchsorted(
                    effects[usable], effects[usable[0]] * RANGE, side="right"
                )
                change = _Change(tangent, steps, effects)
                self._confirm_some(change, found, usable[:end])
                usable = usable[end:]

    def _confirm_some(
        self, change: _Change, found: _Found, some: NDArray[np.intp]
    ) -> None:
        tangent, effects = change.tangent, change.effects
        smallest = effects[some].min()
        size = abs(tangent.value) * ROUNDING / smallest
        size = min(max(size, SMALLEST_STEP), LARGEST_STEP)
        factors = np.zeros(found.parts.count)
        factors[some] = size * smallest / effects[some]
        spread = self.experiment.over_image(found.parts.largest(factors))
        gain = self._value(tangent.image + change.steps * spread) - tangent.value
        if abs(gain / (size * smallest) - len(some)) < 0.25:
            found.seen[some] = found.decided[some] = True
            found.tell()
        elif len(some) > FEWEST:
            for half in np.array_split(some, 2):
                self._confirm_some(change, found, half)


class _Parts:
    """Parts of the input, by number.

    Attributes:
      labels: arrays with the shape of the input's spatial axes that contain the number
        of the part of each position, or -1. Each part is in one array.
      count: the number of parts.
      what: what is done with the parts, for users who wait.
    """

    def __init__(
        self, labels: Sequence[NDArray[np.intp]], count: int, what: str
    ) -> None:
        self.labels = labels
        self.count = count
        self.what = what

    def joined(self, chosen: Mask) -> Mask:
        """Returns the positions of the chosen parts."""
        known = np.append(chosen, False)
        return np.asarray(np.any([known[part] for part in self.labels], axis=0))

    def largest(self, values: Numbers) -> Numbers:
        """Returns, for each position, the largest value of its parts, or 0."""
        known = np.append(values, 0.0)
        return np.asarray(np.max([known[part] for part in self.labels], axis=0))

    def sums(self, values: Numbers) -> Numbers:
        """Returns the sum over each part's positions."""
        found = np.zeros(self.count)
        for labels in self.labels:
            flat = labels.ravel() + 1
            found += np.bincount(flat, values.ravel(), self.count + 1)[1:]
        return found

    def apart(self) -> list[Mask]:
        """Returns sets of parts that have no position in common."""
        return [
            np.bincount(labels.ravel() + 1, minlength=self.count + 1)[1:] > 0
            for labels in self.labels
        ]


class _Found:
    """What is known of each part."""

    def __init__(self, parts: _Parts) -> None:
        self.parts = parts
        self.seen = np.zeros(parts.count, dtype=bool)
        self.decided = np.zeros(parts.count, dtype=bool)
        self.hints = np.zeros(parts.count)
        """The sum of the absolute gradient over each part, at the last image at which
        it was not zero."""
        self.gained = 0
        """The number of parts that were found by means of the last image."""

    def tell(self) -> None:
        """Says which share of the parts is decided."""
        tell(self.parts.what, float(self.decided.mean()))

    @property
    def hinted(self) -> Mask:
        """The parts that a gradient names."""
        return np.asarray(self.hints > 0)

    @property
    def undecided(self) -> Mask:
        """The parts of which it is not known whether they change the feature."""
        return ~self.decided


class _Tangent(NamedTuple):
    """The value and the gradient of a feature at an image."""

    image: Numbers
    value: float
    gradient: Numbers


class _Change(NamedTuple):
    """A small change of an image, and the effect that each part has on the feature."""

    tangent: _Tangent
    steps: Numbers
    effects: Numbers
