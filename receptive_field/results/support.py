"""The positions inside a region that really matter, and the features that see them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from receptive_field.budget import ExhaustedError, hold, within_budget
from receptive_field.errors import ReceptiveFieldError
from receptive_field.relations.boxes import Group, Mask, joined_groups
from receptive_field.results.axes import axis_name, checked_coordinates

Positions = NDArray[np.int64]

Part = tuple[tuple[int, ...], Mask]
"""Some axes of the input, where 0 is x, and an array over these axes."""


@dataclass(frozen=True, slots=True)
class Support:
    """The input positions that features really see, without the holes in regions.

    The coordinates of features and positions are those of `ReceptiveField`, x first.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor whose features are described.
      input_size: the number of positions on each axis of the input, x first.
      output_size: the number of features along each coordinate (see ``feature_axes`` of
        `ReceptiveField`). None for a coordinate that is always 0.
      exact: whether every position in the sets matters, as long as no weight is zero.
        Otherwise, the sets are upper bounds. This is False if features are multiplied
        by a constant that is known to contain a zero, or if it is unknown whether a
        factor is zero.
    """

    input: str
    output: str
    input_size: tuple[int, ...]
    output_size: tuple[int | None, ...]
    exact: bool
    _axes: tuple[int | None, ...] = field(repr=False)
    """The output axis of each feature coordinate. None if the coordinate is always
    0."""
    _features: Mapping[int, Positions] = field(repr=False)
    """Output axis -> the positions on that axis whose sets are stored, ascending."""
    _boxes: tuple[tuple[Group, ...], ...] = field(repr=False)
    """For each path, groups over output axes and input axes. The parts of a group are
    input axes, where 0 is x."""

    def region(self, y: ArrayLike) -> Positions:
        """Returns the hull of the positions that each feature sees.

        Args:
          y: integer feature coordinates, as for `ReceptiveField.compute_input_region`.

        Returns:
          An int64 array of shape ``(..., d, 2)``: first and last position on each axis
          of the input. A feature that sees nothing has ``[0, -1]`` on every axis.

        Raises:
          ReceptiveFieldError: if a feature is outside the map.
        """
        features = self.features(y)
        rows = self._rows(features)
        shape = (*features.shape[:-1], len(self.input_size))
        firsts = np.full(shape, np.iinfo(np.int64).max)
        lasts = np.full(shape, -1, dtype=np.int64)
        for box in self._boxes:
            ends = [_ends(group) for group in box]
            some = np.ones(shape[:-1], dtype=bool)
            for group, (alive, _, _) in zip(box, ends, strict=True):
                some &= alive[_index(group, rows)]
            for group, (_, low, high) in zip(box, ends, strict=True):
                place = _index(group, rows)
                for i, part in enumerate(group.parts):
                    first = np.where(some, low[i][place], firsts[..., part])
                    last = np.where(some, high[i][place], lasts[..., part])
                    firsts[..., part] = np.minimum(firsts[..., part], first)
                    lasts[..., part] = np.maximum(lasts[..., part], last)
        regions = np.stack([firsts, lasts], axis=-1)
        regions[(lasts < 0).any(axis=-1)] = (0, -1)
        return regions

    def feature_region(self, x: ArrayLike) -> Positions:
        """Returns the hull of the features that see each input position.

        Args:
          x: integer input coordinates of shape ``(..., d)``, x first.

        Returns:
          An int64 array of shape ``(..., len(output_size), 2)``: the first and last
          feature along each feature coordinate. They are ``[0, -1]`` for a position
          that no feature sees.

        Raises:
          ReceptiveFieldError: if a position is outside the input.
        """
        positions = _coordinates(x, len(self.input_size))
        for place, size in enumerate(self.input_size):
            _check_inside(positions[..., place], size, place, f"input {self.input!r}")
        shape = (*positions.shape[:-1], len(self._axes))
        firsts = np.full(shape, np.iinfo(np.int64).max)
        lasts = np.full(shape, -1, dtype=np.int64)
        rows = {place: positions[..., place] for place in range(len(self.input_size))}
        for box in self._boxes:
            # Groups that depend on a common output axis are joined.
            groups = [_turned(group) for group in _by_outputs(box)]
            some = np.ones(positions.shape[:-1], dtype=bool)
            found: dict[int, tuple[Positions, Positions]] = {}
            for group in groups:
                index = _index(group, rows)
                alive, low, high = _ends(group)
                some &= alive[index]
                for i, axis in enumerate(group.parts):
                    values = self._features[axis]
                    found[axis] = values[low[i][index]], values[high[i][index]]
            for i, followed in enumerate(self._axes):
                if followed is None:
                    first = last = np.zeros((), dtype=np.int64)
                else:
                    values = self._features[followed]
                    first, last = found.get(followed, (values[0], values[-1]))
                least, most = firsts[..., i], lasts[..., i]
                firsts[..., i] = np.where(some, np.minimum(least, first), least)
                lasts[..., i] = np.where(some, np.maximum(most, last), most)
        regions = np.stack([firsts, lasts], axis=-1)
        regions[(lasts < 0).any(axis=-1)] = (0, -1)
        return regions

    def features_that_see(self, x: ArrayLike) -> Mask:
        """Returns which features see one input position.

        Args:
          x: the position's integer coordinates, of shape ``(d,)``, x first.

        Returns:
          A boolean array over the output axes that hold positions, in the order of the
          output: ``[height, width]`` for an image, ``[tokens]`` for tokens.

        Raises:
          ReceptiveFieldError: if the position is outside the input.
        """
        position = _coordinates(x, len(self.input_size))
        for place, size in enumerate(self.input_size):
            _check_inside(position[..., place], size, place, f"input {self.input!r}")
        axes = sorted(self._features)
        found = np.zeros([len(self._features[axis]) for axis in axes], dtype=bool)
        for box in self._boxes:
            whole = np.ones_like(found)
            for group in box:
                seen = _turned(group).seen[tuple(position[p] for p in group.parts)]
                shape = [1] * len(axes)
                for axis, size in zip(group.outputs, seen.shape, strict=True):
                    shape[axes.index(axis)] = size
                whole &= seen.reshape(shape)
            found |= whole
        return found

    def mask(self, y: ArrayLike) -> Mask:
        """Returns which input positions one feature sees.

        Args:
          y: the feature's integer coordinates, of shape ``(len(output_size),)``, x
            first.

        Returns:
          A boolean array in the order of an image: ``[height, width]`` in 2-D.
        """
        rows = self._rows(self._feature(y))
        return self._mask(
            [[(g.parts, g.seen[_index(g, rows)]) for g in box] for box in self._boxes]
        )

    def box_region(self, first: ArrayLike, last: ArrayLike) -> Positions:
        """Returns the hull of the positions that a box of features sees together.

        Args:
          first: the integer coordinates of the first feature of the box, x first.
          last: the coordinates of the last feature of the box, inclusive.

        Returns:
          An int64 array of shape ``(d, 2)``: first and last position on each axis of
          the input, x first. If the features see nothing, it has ``[0, -1]`` on every
          axis.

        Raises:
          ReceptiveFieldError: if the box is not inside the map, or is empty.
        """
        low, high = self._feature(first), self._feature(last)
        if (low > high).any():
            raise ReceptiveFieldError(
                f"there is no box of features from {low.tolist()} to {high.tolist()}, "
                "because no coordinate of the last feature may be smaller than that of "
                "the first feature."
            )
        chosen: dict[int, NDArray[np.bool_]] = {}
        for place, axis in enumerate(self._axes):
            if axis is not None:
                values = self._features[axis]
                chosen[axis] = (low[place] <= values) & (values <= high[place])
                if chosen[axis].sum() < high[place] - low[place] + 1:
                    raise self._not_stored()
        regions = []
        for along in self._projected(self._all_of(chosen)):
            size = len(along)
            regions.append((along.argmax(), size - 1 - along[::-1].argmax()))
            if not along.any():
                return np.array([(0, -1)] * len(self.input_size), dtype=np.int64)
        return np.array(regions, dtype=np.int64)

    @within_budget
    def mask_of(self, features: ArrayLike) -> Mask:
        """Returns which input positions are seen by any of the given features.

        Args:
          features: a boolean array over the output axes that hold positions, in the
            order of the output: ``[height, width]`` for an image, ``[tokens]`` for
            tokens. It has the shape that `features_that_see` returns.

        Returns:
          A boolean array in the order of an image: ``[height, width]`` in 2-D. If
          `exact` is False, it may contain more positions than the features see, but it
          leaves out none.

        Raises:
          ReceptiveFieldError: if the array has the wrong shape or type, or contains
            features that were not asked for in ``support(features=...)``.

        >>> import numpy as np
        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH,
        ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
        ...     input_resolution=[64, 64],
        ... )
        >>> features = np.zeros([14, 14], dtype=bool)
        >>> features[3, 3] = features[9, 3] = True
        >>> int(field.support().mask_of(features).sum())   # two squares of 15 pixels
        450
        """
        wanted = self._wanted(features)
        axes = sorted(self._features)
        rank = len(self.input_size)
        self._hold()
        found = np.zeros(self.input_size[::-1], dtype=bool)
        for box in self._boxes:
            groups = [*_by_outputs(box)]
            followed = {axis for group in groups for axis in group.outputs}
            labels = [axis for axis in axes if axis in followed]
            unused = tuple(i for i, axis in enumerate(axes) if axis not in followed)
            seen = np.asarray(wanted.any(axis=unused))
            # Contract one group after another. Input axes have labels below zero.
            for group in groups:
                outer = len(group.outputs)
                places = [labels.index(axis) for axis in group.outputs]
                counts = np.tensordot(
                    seen.astype(np.float32),
                    group.seen.astype(np.float32),
                    (places, range(outer)),
                )
                seen = counts > 0
                labels = [axis for axis in labels if axis not in group.outputs]
                labels += [-1 - part for part in group.parts]
            order = [labels.index(-1 - part) for part in reversed(range(rank))]
            found |= seen.transpose(order)
        return found

    def _wanted(self, features: ArrayLike) -> Mask:
        """Checks a mask of features, and returns its entries for the stored ones."""
        given = np.asarray(features)
        axes = sorted(self._features)
        sizes = dict(zip(self._axes, self.output_size, strict=True))
        shape = tuple(sizes[axis] for axis in axes)
        if given.dtype != bool or given.shape != shape:
            along = ", ".join(map(str, axes))
            raise ReceptiveFieldError(
                f"a mask of the features of {self.output!r} is a boolean array of "
                f"shape {shape}, over the output's axes {along}; got an array of shape "
                f"{given.shape} and type {given.dtype}."
            )
        wanted = given[np.ix_(*(self._features[axis] for axis in axes))]
        if wanted.sum() < given.sum():
            raise self._not_stored()
        return wanted

    def _not_stored(self) -> ReceptiveFieldError:
        return ReceptiveFieldError(
            f"this support of {self.output!r} does not contain all of these features. "
            "Ask for them with support(features=...), or call support() for all."
        )

    def _all_of(self, chosen: Mapping[int, Mask]) -> list[list[Part]]:
        """Returns what all chosen features see together along each path.

        Args:
          chosen: for each output axis, which of the stored positions are chosen.
        """
        found = []
        for box in self._boxes:
            cut = [
                g._replace(
                    seen=g.seen[np.ix_(*(chosen[a].nonzero()[0] for a in g.outputs))]
                )
                for g in box
            ]
            found.append([_seen_by_any(groups) for groups in _together(cut)])
        return found

    def projections(self, y: ArrayLike) -> tuple[Mask, ...]:
        """Returns which positions on each axis one feature sees, x first.

        Args:
          y: the feature's integer coordinates, of shape ``(len(output_size),)``, x
            first.

        Returns:
          One boolean array for each axis of the input, with the size of the axis. An
          entry is True if the feature sees anything at that position of the axis.
        """
        rows = self._rows(self._feature(y))
        return self._projected(
            [[(g.parts, g.seen[_index(g, rows)]) for g in box] for box in self._boxes]
        )

    def _projected(self, boxes: Sequence[Sequence[Part]]) -> tuple[Mask, ...]:
        """Returns which positions on each axis a union of boxes contains, x first."""
        found = [np.zeros(size, dtype=bool) for size in self.input_size]
        for seen in boxes:
            if all(array.any() for _, array in seen):
                for parts, array in seen:
                    for i, part in enumerate(parts):
                        others = tuple(a for a in range(len(parts)) if a != i)
                        found[part] |= array.any(axis=others)
        return tuple(found)

    def coverage(self, y: ArrayLike) -> float:
        """Returns the share of a feature's clipped region that the feature really sees.

        Args:
          y: the feature's integer coordinates, of shape ``(len(output_size),)``, x
            first.
        """
        sizes = np.diff(self.region(self._feature(y))).astype(float) + 1
        area = float(np.prod(sizes))
        return float(self.mask(y).sum()) / area if area else 0.0

    def seen(self) -> Mask:
        """Returns which input positions at least one feature sees, in image order."""
        every = {a: np.ones(len(v), dtype=bool) for a, v in self._features.items()}
        return self._mask(self._all_of(every))

    def unseen(self) -> Mask:
        """Returns which input positions no feature sees, in image order."""
        return ~self.seen()

    @within_budget
    def _mask(self, boxes: Sequence[Sequence[Part]]) -> Mask:
        """Returns the union of boxes in image order.

        A box is a product of arrays. Each array runs over the input axes that are given
        with it.
        """
        rank = len(self.input_size)
        self._hold()
        found = np.zeros(self.input_size[::-1], dtype=bool)
        for box in boxes:
            whole = np.ones([1] * rank, dtype=bool)
            for parts, array in box:
                shape = [1] * rank
                for part in parts:
                    shape[part] = self.input_size[part]
                whole = whole & array.reshape(shape)
            found |= whole.transpose()
        return found

    def _hold(self) -> None:
        """Counts the memory that a mask of the input takes."""
        try:
            hold(math.prod(self.input_size) // 8)
        except ExhaustedError as error:
            sizes = " x ".join(map(str, self.input_size))
            raise error.at(f"a mask of {sizes} positions") from None

    def features(self, y: ArrayLike) -> Positions:
        """Checks and returns feature coordinates.

        Raises:
          ReceptiveFieldError: if the coordinates have the wrong shape or type, or are
            outside the map.
        """
        features = _coordinates(y, len(self.output_size))
        for place, size in enumerate(self.output_size):
            what = f"map {self.output!r}"
            _check_inside(features[..., place], size or 1, place, what)
        return features

    def _feature(self, y: ArrayLike) -> Positions:
        if np.ndim(y) != 1:
            raise ReceptiveFieldError(
                f"this method takes one feature, given by {len(self.output_size)} "
                f"coordinates, x first; the shape of the argument is {np.shape(y)}."
            )
        return self.features(y)

    def _rows(self, features: Positions) -> dict[int, Positions]:
        """Maps each output axis to the features' indices in the arrays of groups.

        Raises:
          ReceptiveFieldError: if a feature was not asked for.
        """
        rows = {}
        for place, axis in enumerate(self._axes):
            if axis is not None:
                stored, asked = self._features[axis], features[..., place]
                if not np.isin(asked, stored).all():
                    raise self._not_stored()
                rows[axis] = np.searchsorted(stored, asked)
        return rows


def _coordinates(y: ArrayLike, count: int) -> Positions:
    coordinates = checked_coordinates(y, count, lambda: "x comes first")
    if not np.issubdtype(coordinates.dtype, np.integer):
        raise ReceptiveFieldError(
            f"the coordinates must be integers, not {coordinates.dtype}."
        )
    return coordinates.astype(np.int64)


def _check_inside(values: Positions, size: int, place: int, what: str) -> None:
    outside = (values < 0) | (values >= size)
    if outside.any():
        axis = axis_name(place).removeprefix("axis ")
        raise ReceptiveFieldError(
            f"there is no position {values[outside].flat[0]} on axis {axis} of the "
            f"{what}: the axis has {size} positions, from 0 to {size - 1}."
        )


def _index(group: Group, rows: Mapping[int, Positions]) -> tuple[Positions, ...]:
    return tuple(rows[axis] for axis in group.outputs)


def _ends(group: Group) -> tuple[Mask, list[Positions], list[Positions]]:
    """Returns which features of a group see anything, and the ends of what they see.

    The ends are the first and the last position that each feature sees on each part.
    """
    outer, count = len(group.outputs), len(group.parts)
    inner = tuple(range(outer, outer + count))
    firsts, lasts = [], []
    for axis in inner:
        along = np.asarray(group.seen.any(axis=tuple(a for a in inner if a != axis)))
        firsts.append(_first(along))
        lasts.append(along.shape[-1] - 1 - _first(along[..., ::-1]))
    return np.asarray(group.seen.any(axis=inner)), firsts, lasts


def _first(seen: Mask) -> Positions:
    """Returns the first position that is seen, or 0 if there is none."""
    if not seen.shape[-1]:
        return np.zeros(seen.shape[:-1], dtype=np.int64)
    return np.asarray(seen.argmax(-1))


def _together(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Yields the groups that depend on common output axes together."""
    left = list(groups)
    while left:
        together = [left.pop(0)]
        grown = True
        while grown:
            known = {axis for group in together for axis in group.outputs}
            more = [g for g in left if known & set(g.outputs)]
            left = [g for g in left if not known & set(g.outputs)]
            together += more
            grown = bool(more)
        yield together


def _by_outputs(groups: Sequence[Group]) -> Iterator[Group]:
    """Joins groups that depend on a common output axis, and yields the result.

    The product of all groups stays the same.

    Raises:
      ReceptiveFieldError: if a joined group would be too large.
    """
    return map(_joined, _together(groups))


def _joined(groups: Sequence[Group]) -> Group:
    if len(groups) == 1:
        return groups[0]
    joined = joined_groups(groups)
    if joined is None:
        size = math.prod(math.prod(g.seen.shape) for g in groups)
        raise ReceptiveFieldError(
            "the sets of positions that features see along several axes would "
            f"take {size} bytes. Ask about some of the features with "
            "support(features=...), or call compute_input_region without clip."
        )
    return joined


def _seen_by_any(groups: Sequence[Group]) -> Part:
    """Returns what some feature sees, of groups that depend on common output axes."""
    if len(groups) == 2 and groups[0].outputs == groups[1].outputs:
        # The product of two tables takes far less memory than all features of both.
        one, two = (
            g.seen.reshape(math.prod(g.seen.shape[: len(g.outputs)]), -1)
            for g in groups
        )
        seen = (one.astype(np.float32).T @ two.astype(np.float32)) > 0
        shape = (n for g in groups for n in g.seen.shape[len(g.outputs) :])
        return (*groups[0].parts, *groups[1].parts), seen.reshape(*shape)
    outputs, parts, seen = _joined(groups)
    return parts, np.asarray(seen.any(axis=tuple(range(len(outputs)))))


def _turned(group: Group) -> Group:
    """Returns the inverse group, which maps input positions to features."""
    outer, inner = len(group.outputs), len(group.parts)
    turned = group.seen.transpose(*range(outer, outer + inner), *range(outer))
    return Group(group.parts, group.outputs, turned)


__all__ = ["Support"]
