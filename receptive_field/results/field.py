"""The receptive field of a tensor, and everything derived from it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Protocol

from receptive_field.algebra.axis_map import INFINITY, AxisMap, Periodic
from receptive_field.arrays import np
from receptive_field.errors import (
    NodeNotFoundError,
    NoSuchEntryError,
    OutsideMapWarning,
    ReceptiveFieldError,
    nearest,
)
from receptive_field.graph.source import Source
from receptive_field.net import guarded, net
from receptive_field.results.axes import (
    FeatureAxis,
    SpatialAxis,
    axis_name,
    checked_coordinates,
    middle_of,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from receptive_field.graph.graph import Graph
    from receptive_field.results.effective import EffectiveReceptiveField
    from receptive_field.results.explanation import Explanation
    from receptive_field.results.fields_in_units import FieldsInUnits
    from receptive_field.results.layer_window import LayerWindows
    from receptive_field.results.look_ahead import LookAhead
    from receptive_field.results.padding import Unpadded
    from receptive_field.results.reasons import Reasons
    from receptive_field.results.support import Support
    from receptive_field.results.tiling import Tiling
    from receptive_field.results.units import FieldInUnits, Spacing

LEAST_INT64, LARGEST_INT64 = -(1 << 63), (1 << 63) - 1

MOST_KEPT = 1 << 24
"""The most elements that the sets of an axis for all features may have. If there would
be more, only the sets for the requested features are computed."""

MOST_FOLDED = 1 << 20
"""On folded axes, at most this many features are searched one by one."""


class Origin(Protocol):
    """A receptive field's question, which computes what the field does not store."""

    def support(
        self, of: ReceptiveField, features: NDArray[Any] | None = None
    ) -> Support:
        """Returns the support of the given features, or of all features."""

    def effective(
        self, of: ReceptiveField, feature: Sequence[int] | None
    ) -> EffectiveReceptiveField:
        """Returns how much each position of the input matters for a feature."""

    def explain(self, of: ReceptiveField) -> Explanation[ReceptiveField]:
        """Returns an explanation of why the graph is misaligned."""

    def without_padding(self, of: ReceptiveField) -> Unpadded:
        """Returns the features that see no padding."""

    def tiling(self, of: ReceptiveField, tile: Sequence[int]) -> Tiling:
        """Returns how tiles have to lie to give what the whole image gives."""

    def at_every_size(self, of: ReceptiveField) -> ReceptiveField | None:
        """Returns the field as it holds at every size of the input.

        Returns None if it cannot be found.
        """

    def reasons(self, of: ReceptiveField) -> Reasons:
        """Returns why numbers are unknown, or only upper bounds."""

    def full_name(self, name: str) -> str:
        """Returns the name of the tensor that a part of its name means.

        Raises:
          NodeNotFoundError: if the model has no such tensor, or several.
        """

    @property
    def graph(self) -> Graph:
        """The graph that the question is about."""

    @property
    def op(self) -> str:
        """The class of the output's layer, or the op type of its node."""

    @property
    def output(self) -> tuple[int, int]:
        """The output: the index of its node, and its number among the outputs."""

    @property
    def mirroring_nodes(self) -> tuple[str, ...]:
        """The nodes that mirror the border of a map."""

    def windows(self, of: ReceptiveField) -> LayerWindows:
        """Returns the windows of the layer or op itself, for each axis, x first."""

    def unproductive(self) -> frozenset[str]:
        """Returns the names of the layers that add nothing at the input's size.

        Raises:
          ReceptiveFieldError: if the size of the input is unknown.
        """

    def links(self, among: Mapping[str, ReceptiveField]) -> list[tuple[str, str]]:
        """Returns the pairs of tensors with no other given tensor between them."""


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The receptive field of a tensor: the input positions that its features see.

    Every per-axis array lists x (horizontal, width) first, then y, then depth.
    Unpacking gives all sizes, then all strides, then all paddings: for images
    ``rf_x, rf_y, stride_x, stride_y, padding_x, padding_y``.

    Attributes:
      input: the name of the input tensor.
      output: the name of the tensor whose features are described.
      axes: the spatial axes of the input, x first.
      feature_axes: the output axes along which a feature's coordinates run. In most
        networks, there is one for each spatial axis of the input, x first, whatever its
        place in the output. If several input axes are folded into one output axis (the
        tokens of a vision transformer), or one input axis into several output axes,
        there is one for each output axis that holds positions, the last axis first.
      hide_padding: whether all paddings are None because the padding of some layer is
        unknown.
      global_nodes: the nodes that make a feature see a whole axis.
      local_paths: the field of the paths that do not see a whole axis; see `local`.
      origin: the question that computed this field and can answer further ones.
    """

    input: str
    output: str
    axes: tuple[SpatialAxis, ...]
    feature_axes: tuple[FeatureAxis, ...]
    hide_padding: bool = False
    global_nodes: tuple[str, ...] = ()
    local_paths: ReceptiveField | None = None
    origin: Origin | None = field(default=None, repr=False, compare=False)

    @property
    def source(self) -> Source:
        """How the graph of the model was made."""
        return Source() if self.origin is None else self.origin.graph.source

    @property
    def is_global(self) -> bool:
        """Whether a feature sees a whole axis."""
        return any(axis.map.is_global for axis in self.axes)

    @property
    def mirroring_nodes(self) -> tuple[str, ...]:
        """The nodes that pad by mirroring, if features see mirrored positions.

        `size`, `stride` and `padding` describe features that see no mirrored position.
        A feature has the region that they give if this region contains everything that
        the feature sees. Otherwise, its region is the hull of the positions that it
        sees. If the size is unknown, the place where the far end is mirrored is
        unknown, too, and regions are upper bounds.
        """
        shown = any(axis.map.seen is not None for axis in self.axes)
        return self.origin.mirroring_nodes if shown and self.origin else ()

    @property
    def local(self) -> ReceptiveField | None:
        """The receptive field without the paths that see a whole axis.

        If no path sees a whole axis, this is the field itself. If all paths do, it is
        None.
        """
        return self.local_paths if self.is_global else self

    @property
    def is_folded(self) -> bool:
        """Whether a feature has one coordinate per output axis, not per input axis.

        See ``feature_axes``. An input axis that is spread over several output axes, or
        shares an output axis with another input axis, has neither a stride nor a
        padding.
        """
        return any(map(self._is_folded, self.axes))

    def _is_folded(self, axis: SpatialAxis) -> bool:
        shared = any(
            set(axis.output_axes) & set(other.output_axes)
            for other in self.axes
            if other is not axis
        )
        return shared or len(axis.output_axes) > 1

    def without_global_context(self) -> ReceptiveField:
        """Returns the field without the paths that see a whole axis.

        ``global_nodes`` still names the nodes that cause these paths.

        Raises:
          ReceptiveFieldError: if all paths see a whole axis.
        """
        if self.local is None:
            raise ReceptiveFieldError(
                f"without global context, {self.output!r} does not depend on "
                f"{self.input!r}: all paths see a whole axis, because of "
                f"{', '.join(map(repr, self.global_nodes))}."
            )
        return replace(self.local, global_nodes=self.global_nodes)

    def __iter__(self) -> Iterator[Any]:
        for values in (self._sizes, self._strides, self._paddings):
            yield from values()

    @guarded
    def __str__(self) -> str:
        # Imported only for printing.
        from receptive_field.results.words import as_text

        return as_text(self)

    @guarded
    def _repr_html_(self) -> str:
        """Returns the HTML that a notebook shows."""
        from receptive_field.results.words import as_html

        return as_html(self)

    def to_dict(self, *, with_reasons: bool = False) -> dict[str, Any]:
        """Returns the whole field as plain data for JSON.

        Args:
          with_reasons: whether to add ``reasons`` (see the method `reasons`) and, if
            the field is misaligned, ``middle`` (see `middle`). This takes another pass
            over the network.

        Returns:
          ``graph`` (its file, if there is one); the names ``input`` and ``output``;
          lists with one entry per axis, x first: ``input_size``, ``output_size``,
          ``size``, ``stride``, ``padding`` and ``first_center``; ``aligned``,
          ``exact``, ``global_nodes`` and ``mirroring_nodes``; and, if some but not all
          paths see a whole axis, ``local``, the same numbers without these paths.
          Unknown values are None. An infinite size is ``"inf"``. A stride that is not
          an integer is a string such as ``"1/2"``.

        >>> import receptive_field as rf
        >>> rf.compute_receptive_field(rf.EXAMPLE_GRAPH).to_dict()["stride"]
        [32, 32]
        """
        from receptive_field.results.words import as_dict, middle_as_dict

        with net():
            told = as_dict(self)
            if with_reasons:
                told["reasons"] = self.reasons().to_dict()
                told["middle"] = middle_as_dict(self)
        return told

    @property
    def size(self) -> NDArray[Any]:
        """Receptive field sizes, the paper's r0: the largest over all features.

        A size is infinite if a feature sees a whole axis, or everything on one side of
        a position.
        """
        return _array(self._sizes())

    @property
    def stride(self) -> NDArray[Any]:
        """Effective strides, the paper's S0: how far the region moves per feature.

        A stride that is not an integer is a ``Fraction``. A stride is None if paths
        with different strides meet, if the region does not move, or if the axis is
        folded (`is_folded`).
        """
        return _array(self._strides())

    @property
    def padding(self) -> NDArray[Any]:
        """Effective paddings, the paper's P0: feature 0's region starts at -P0.

        A padding is None if no single number is right for all features, either because
        the padding of a layer depends on an unknown size, or because the region does
        not move evenly, as on a folded axis.
        """
        return _array(self._paddings())

    def _sizes(self) -> list[int | float]:
        return [axis.map.size(axis.output_size) for axis in self.axes]

    def _strides(self) -> list[int | Fraction | None]:
        return [self._stride(axis) for axis in self.axes]

    def _paddings(self) -> list[int | None]:
        return [None if self.hide_padding else self._padding(a) for a in self.axes]

    def _stride(self, axis: SpatialAxis) -> int | Fraction | None:
        return None if self._is_irregular(axis) else _stride(axis.map)

    def _padding(self, axis: SpatialAxis) -> int | None:
        return None if self._is_irregular(axis) else _padding(axis.map)

    def _is_irregular(self, axis: SpatialAxis) -> bool:
        """Returns whether no single stride and padding describe all features."""
        if self._is_folded(axis):
            return True
        return not axis.map.follows_pattern(axis.output_size)

    @property
    def aligned(self) -> bool | None:
        """Whether all paths have the same stride and centre for every feature.

        Paths that see a whole axis have no centre and are ignored. The result is None
        if the answer is unknown because a padding depends on an unknown size.
        """
        field = self.local_paths or self
        flags = {axis.map.aligned for axis in field.axes}
        return False if False in flags else None if None in flags else True

    @property
    def exact(self) -> bool:
        """Whether sizes and regions are exact, and not only upper bounds.

        Every number that the graph multiplies by is taken to be nonzero (weights,
        constants, a spectrogram's Hann window, which starts with a zero). Pixels that
        an op's own definition multiplies by zero are not part of a region. An example
        is the pixel at the end of a resize kernel, although rounding in TensorFlow may
        give it a weight of up to a millionth.

        Exactness refers to regions without ``clip``, which include the padding of every
        layer as positions.
        """
        return all(axis.map.exact for axis in self.axes)

    @property
    def layer_windows(self) -> LayerWindows:
        """Kernel, stride, dilation and padding of the layer itself, x first.

        Unlike `size`, `stride` and `padding`, these numbers describe only the layer or
        node that computes the output, not everything between input and output. There is
        one entry for each spatial axis of the input. An entry is None if the layer is
        not a convolution, a transposed convolution or a pooling layer, if it does not
        slide along the axis, or if it contains several windows that differ. All
        entries are None for a field that does not know its graph. If no axis of the
        input belongs to a single axis of the output, for example because features see
        the whole input, the last axis that the layer slides along comes first.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH, output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool"
        ... )
        >>> field.layer_windows[0].kernel, field.layer_windows[0].stride
        (3, 2)
        """
        if self.origin is None:
            return (None,) * len(self.axes)
        return self.origin.windows(self)

    def compute_input_region(
        self, y: ArrayLike, clip: bool = False
    ) -> NDArray[np.int64]:
        """Returns the input region that each feature sees (equations for u0 and v0).

        Without ``clip``, this is the paper's region, from ``u * stride - padding`` to
        ``u * stride - padding + size - 1``. It may reach into the padding (below zero
        or past the end). It includes the padding of every layer as positions, which may
        coincide with real input positions that the feature does not see. If a feature
        sees mirrored positions outside this region, its region is the hull of the
        positions that it sees (`mirroring_nodes`).

        With ``clip``, this is the smallest region that contains all real input
        positions that can change the feature. It leaves out the padding of intermediate
        maps, positions that are multiplied by zero padding, and positions that a
        dilated kernel skips. The region is exact if ``support().exact``, and otherwise
        an upper bound. Weights and constants are taken to be nonzero; see `exact`.

        Args:
          y: integer feature coordinates of shape ``(..., len(feature_axes))``. In most
            networks, there is one coordinate for each spatial axis of the input, x
            first.
          clip: whether to restrict regions to real input positions. The size of the
            input must then be known, and features must lie inside their map.

        Returns:
          An int64 array of shape ``(..., d, 2)``: first and last position for each of
          the ``d`` spatial axes of the input, x first, inclusive. A feature that sees
          nothing has ``[0, -1]`` on every axis. Without ``clip``, infinite ends are the
          limits of int64.

        Raises:
          ReceptiveFieldError: if the coordinates have the wrong shape or type, or a
            padding is unknown.

        Warns:
          OutsideMapWarning: if features lie outside a map of known size. (With
            ``clip``, such features are an error.)

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH,
        ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
        ...     input_resolution=[64, 64],
        ... )
        >>> field.compute_input_region([0, 1]).tolist()
        [[-2, 12], [2, 16]]
        >>> field.compute_input_region([0, 1], clip=True).tolist()
        [[0, 12], [2, 16]]
        """
        features = self._features(y)
        if not np.issubdtype(features.dtype, np.integer):
            raise ReceptiveFieldError(
                f"the coordinates of features must be integers, not {features.dtype}. "
                "For the centres of fractional features, use "
                "compute_input_center_coordinates."
            )
        if clip:
            return self._support_of(features).region(features)
        self._warn_outside(features)
        return self._windows(features)

    def _windows(self, features: NDArray[Any]) -> NDArray[np.int64]:
        """Returns the region of each feature, without clipping."""
        regions = np.empty((*features.shape[:-1], len(self.axes), 2), dtype=np.int64)
        empty = np.zeros(features.shape[:-1], dtype=bool)
        for i, axis in enumerate(self.axes):
            self._check_known(axis)
            firsts, lasts = axis.map.evaluate(self._places(axis, features))
            empty |= np.asarray(firsts > lasts, dtype=bool)
            regions[..., i, 0] = _as_int64(firsts)
            regions[..., i, 1] = _as_int64(lasts)
            if self.is_folded and axis.input_size is not None:
                # Some features see no position of this axis (a class token).
                empty |= np.asarray((lasts < 0) | (firsts >= axis.input_size), bool)
        regions[empty] = (0, -1)
        return regions

    def compute_box_region(
        self, first: Sequence[int], last: Sequence[int], clip: bool = False
    ) -> NDArray[np.int64]:
        """Returns the input region that a box of features sees together.

        This is the smallest region that contains the region of every feature in the
        box. An example is the field of a detection that is read from several features.
        It is as exact as the regions of the features, also in misaligned networks.

        Args:
          first: the integer coordinates of the first feature of the box, one for each
            of the ``feature_axes``. In most networks, these are one for each spatial
            axis of the input, x first.
          last: the coordinates of the last feature of the box, inclusive. None of them
            may be smaller than in ``first``.
          clip: whether to restrict the region to real input positions that can change
            a feature of the box, as in `compute_input_region`.

        Returns:
          An int64 array of shape ``(d, 2)``: first and last position for each of the
          ``d`` spatial axes of the input, x first, inclusive. If no feature of the box
          sees anything, it has ``[0, -1]`` on every axis. Without ``clip``, infinite
          ends are the limits of int64.

        Raises:
          ReceptiveFieldError: if the coordinates have the wrong shape or type, the box
            is empty, a padding is unknown or, with ``clip``, the box does not lie
            inside the map.

        Warns:
          OutsideMapWarning: if the box does not lie inside a map of known size.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH,
        ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
        ...     input_resolution=[64, 64],
        ... )
        >>> field.compute_box_region([0, 1], [2, 3]).tolist()
        [[-2, 20], [2, 24]]
        >>> field.compute_box_region([0, 1], [2, 3], clip=True).tolist()
        [[0, 20], [2, 24]]
        """
        box = self._box(first, last)
        if clip:
            # These features have all coordinates of the box, in as few rows as needed.
            counts = box[1] - box[0] + 1
            rows = np.arange(counts.max(initial=0))[:, None]
            return self._support_of(box[0] + rows % counts).box_region(*box)
        self._warn_outside(box)
        if self.is_folded:
            return self._folded_box_region(*box)
        ends = []
        for axis in self.axes:
            self._check_known(axis)
            places = [int(place) for place in self._places(axis, box)]
            window = axis.map.hull(*places)
            if window is None:
                return np.array([(0, -1)] * len(self.axes), dtype=np.int64)
            ends.append(window)
        return _as_int64(np.array(ends, dtype=object))

    def _box(self, first: ArrayLike, last: ArrayLike) -> NDArray[Any]:
        """Checks the first and the last feature of a box, and returns both."""
        corners = [self._features(corner) for corner in (first, last)]
        for name, corner in zip(("first", "last"), corners, strict=True):
            if corner.ndim != 1 or not np.issubdtype(corner.dtype, np.integer):
                raise ReceptiveFieldError(
                    f"the {name} feature of a box must be given by one integer for "
                    f"each coordinate, not by an array of shape {corner.shape} and "
                    f"type {corner.dtype}: {self._features_described()}."
                )
        if (corners[0] > corners[1]).any():
            raise ReceptiveFieldError(
                f"there is no box of features from {corners[0].tolist()} to "
                f"{corners[1].tolist()}, because no coordinate of the last feature may "
                "be smaller than that of the first feature."
            )
        return np.stack(corners).astype(np.int64)

    def _folded_box_region(
        self, first: NDArray[Any], last: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Returns the region of a box, found from the regions of all its features."""
        counts = (last - first + 1).tolist()
        if math.prod(counts) > MOST_FOLDED:
            raise ReceptiveFieldError(
                f"the box has {math.prod(counts)} features of {self.output!r}, which "
                "are too many to search. Ask for a smaller box."
            )
        grid = first + np.indices(counts).reshape(len(counts), -1).T
        regions = self._windows(grid)  # The warning is given for the box.
        regions = regions[(regions[..., 0] <= regions[..., 1]).all(axis=-1)]
        if not len(regions):
            return np.array([(0, -1)] * len(self.axes), dtype=np.int64)
        ends = regions[..., 0].min(axis=0), regions[..., 1].max(axis=0)
        return np.stack(ends, axis=-1)

    def compute_feature_region(
        self, x: ArrayLike, clip: bool = False
    ) -> NDArray[np.int64]:
        """Returns the projective field: the features that each position can influence.

        Args:
          x: integer input coordinates of shape ``(..., d)``, x first.
          clip: whether to return only features of the map that really see the position,
            as in `compute_input_region`. Otherwise, all features whose windows contain
            the position are returned, on a map without borders.

        Returns:
          An int64 array of shape ``(..., len(feature_axes), 2)``: the first and last
          feature along each feature coordinate, inclusive. A position that no feature
          sees has ``[0, -1]`` everywhere. Infinite ends are the limits of int64.

        Raises:
          ReceptiveFieldError: if the coordinates have the wrong shape or type, or a
            padding is unknown.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH, output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool"
        ... )
        >>> field.compute_feature_region([100, 100]).tolist()   # 15 pixels, every 4th
        [[22, 25], [22, 25]]
        """
        positions = checked_coordinates(x, len(self.axes), self._positions_described)
        if not np.issubdtype(positions.dtype, np.integer):
            raise ReceptiveFieldError(
                "the coordinates of input positions must be integers, not "
                f"{positions.dtype}."
            )
        if clip:
            return self.support().feature_region(positions)
        if self.is_folded:
            return self._folded_feature_region(positions)
        regions = np.zeros((*positions.shape, 2), dtype=np.int64)
        empty = np.zeros(positions.shape[:-1], dtype=bool)
        for i, axis in enumerate(self.axes):
            self._check_known(axis)
            firsts, lasts = axis.map.inverse(positions[..., i])
            empty |= np.asarray(firsts > lasts, dtype=bool)
            if axis.output_axes:
                regions[..., i, 0] = _as_int64(firsts)
                regions[..., i, 1] = _as_int64(lasts)
        regions[empty] = (0, -1)
        return regions

    def _folded_feature_region(self, positions: NDArray[Any]) -> NDArray[np.int64]:
        """Returns the hull of all features whose windows contain a position."""
        sizes = [axis.size for axis in self.feature_axes]
        if None in sizes:
            raise ReceptiveFieldError(
                f"the number of features of {self.output!r} is unknown. Give "
                "input_resolution to find the features that see a position."
            )
        if math.prod(sizes) > MOST_FOLDED:  # type: ignore[arg-type]
            raise ReceptiveFieldError(
                f"{self.output!r} has {math.prod(sizes)} features, "  # type: ignore[arg-type]
                "which are too many to search. Use compute_input_region instead."
            )
        grid = np.indices(sizes).reshape(len(sizes), -1).T  # type: ignore[arg-type]
        windows = self.compute_input_region(grid)
        found = np.zeros((*positions.shape[:-1], len(sizes), 2), dtype=np.int64)
        for place in np.ndindex(positions.shape[:-1]):
            inside = windows[..., 0] <= positions[place]
            inside &= positions[place] <= windows[..., 1]
            some = grid[inside.all(axis=-1)]
            found[place] = (0, -1)
            if len(some):
                found[place] = np.stack([some.min(axis=0), some.max(axis=0)], axis=-1)
        return found

    def support(self, features: ArrayLike | None = None) -> Support:
        """Returns the input positions that features really see inside their regions.

        Dilated kernels leave holes, a stride longer than the kernel skips positions,
        and two branches with kernels of 1x3 and 3x1 see a plus, not a square.

        Args:
          features: the features to compute sets for, of shape
            ``(..., len(feature_axes))``. None means all features. Give only some
            features if the sets for all of them would be too large.

        Returns:
          The set of positions for each feature and axis, the share of each region that
          the set covers, and the positions that no feature sees.

        Raises:
          ReceptiveFieldError: if the size of the input is unknown, or the sets do not
            fit in memory.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH,
        ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
        ...     input_resolution=[64, 64],
        ... )
        >>> field.support().coverage([3, 3])
        1.0
        """
        if features is None:
            return self._origin().support(self)
        return self._origin().support(self, self._features(features))

    def effective_receptive_field(
        self, feature: Sequence[int] | None = None
    ) -> EffectiveReceptiveField:
        """Returns how much each position of the input matters for one feature.

        The weight of a position is its share of the expected squared gradient, for
        independent weights with mean zero. This is exact for linear networks. The
        module `receptive_field.questions.effective` lists the assumptions for other
        networks. `rf.measure_effective_receptive_field` instead measures the gradients
        of a Keras model with the model's own weights.

        Args:
          feature: the feature's integer coordinates, x first. None means the feature in
            the middle of the map.

        Returns:
          The map of weights (in array order, height first), and its profiles,
          coordinates and width (x first).

        Raises:
          ReceptiveFieldError: if the size of the input is not known, or the feature
            lies outside the map or sees nothing.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH,
        ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
        ...     input_resolution=[64, 64],
        ... )
        >>> effective = field.effective_receptive_field([7, 7])
        >>> effective.map.shape, bool(effective.size[0] < field.size[0])
        ((64, 64), True)
        """
        return self._origin().effective(self, feature)

    def explain(self) -> Explanation[ReceptiveField]:
        """Explains which two paths of a misaligned graph disagree, and how to fix it.

        Returns:
          Both paths, layer by layer with kernel, stride and padding; where and by how
          much they differ; and changes of padding or kernel size that have been tested
          and would align them. ``print`` shows the explanation as text.

        Raises:
          ReceptiveFieldError: if this field does not know its graph.

        >>> import receptive_field as rf
        >>> rf.compute_receptive_field(rf.EXAMPLE_GRAPH).explain().aligned
        True
        """
        return self._origin().explain(self)

    def in_units(
        self, spacing: Spacing | None = None, unit: str | None = None
    ) -> FieldInUnits:
        """Returns the receptive field in physical units, such as milliseconds.

        Args:
          spacing: the distance between neighbouring positions of the input, in the
            unit: one number for all axes, or one for each spatial axis of the input, x
            first (``[x, y, z]`` for a volume).
          unit: the name of the unit, such as ``"ms"`` or ``"mm"``.

        Returns:
          An object with size, stride, padding, regions and centres in this unit. It
          prints as text.

        Raises:
          ReceptiveFieldError: if the spacing or the unit is missing, a spacing is not a
            positive number, or there is not one for each axis.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH, output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool"
        ... )
        >>> field.in_units(0.5, "mm").size.tolist()   # 15 pixels
        [7.5, 7.5]
        """
        from receptive_field.results.units import FieldInUnits, checked_spacing

        return FieldInUnits(self, *checked_spacing(spacing, unit, len(self.axes)))

    def look_ahead(self) -> LookAhead:
        """Returns how far features look ahead and back, and whether they are causal.

        This is a question about inputs that arrive position by position, such as sound.
        With stride s, feature u stands for its *step*: the positions from ``u * s`` to
        ``(u + 1) * s - 1`` (for a stride below 1, the one position that contains
        ``u * s``). Its *look-ahead* is the number of positions after ``u * s`` that it
        sees. It can be computed when position ``u * s + look_ahead`` has arrived, so
        its algorithmic latency is ``look_ahead + 1`` positions. The output is *causal*
        if no feature sees anything after its step.

        The padding decides which feature stands for which step. With causal padding,
        the window of a feature ends in its step. Without padding, it starts there:
        a kernel of 3 looks 2 positions ahead. So the same network with all padding at
        the start of the input (as many positions as it looks ahead) is causal, and
        computes the same features that much later. At the start of the input, features
        see the padding instead of earlier positions. If you compute a long input in
        chunks, keep the last ``look_back`` positions of each chunk instead.

        The numbers hold for the input size of this field or, if the size is unknown,
        for every size. ``causal`` is True only if it is proven for every size. A
        feature that sees a whole axis is never proven to be causal, and what the mask
        of an attention layer leaves out does not count.

        Returns:
          The numbers for each axis of the input, x first.

        Raises:
          ReceptiveFieldError: if the output folds axes, so that features have no steps.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH, output="InceptionResnetV2/Conv2d_1a_3x3/Relu"
        ... )
        >>> field.look_ahead().look_ahead, field.look_ahead().causal
        ((2, 2), (False, False))
        """
        from receptive_field.results.look_ahead import LookAhead, reach_of

        if self.is_folded:
            raise ReceptiveFieldError(
                f"the axes of {self.output!r} are folded, so its features have no "
                "stride, and it is not defined how far they look ahead."
            )
        found = [reach_of(axis.map) for axis in self.axes]
        flags = [one.causal for one in found]
        if True in flags:
            always = self._origin().at_every_size(self)
            for i, axis in enumerate(always.axes if always else self.axes):
                proven = always is not None and reach_of(axis.map).causal
                flags[i] = flags[i] and (proven or None)
        strides, ahead, back, beyond, exact, _ = zip(*found, strict=True)
        return LookAhead(
            *(self.input, self.output),
            *(strides, ahead, back, beyond, exact, tuple(flags)),
        )

    def features_without_padding(self) -> Unpadded:
        """Returns the features that see no padding of any layer.

        A feature sees no padding if its unclipped region lies within the input, and its
        windows lie within every map between the input and the output, too. (If a map is
        cropped and padded again, the padding lies where pixels were.) Mirrored borders,
        and borders that a resize repeats, count as padding. A feature that sees a whole
        axis is taken to see padding; see `without_global_context`.

        Returns:
          The places on each axis whose features see no padding, as runs and as arrays.

        Raises:
          ReceptiveFieldError: if a size is unknown, or the output folds axes.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH,
        ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
        ...     input_resolution=[64, 64],
        ... )
        >>> field.features_without_padding().runs   # feature 0 sees -2 to 12
        ([(1, 12)], [(1, 12)])
        """
        return self._origin().without_padding(self)

    def tiling(self, tile: Sequence[int]) -> Tiling:
        """Returns how tiles of an image have to lie to give what the image gives.

        If an image is too large to be computed at once, it can be computed tile by
        tile. The features of a tile are exactly those of the image if the tile starts
        at a multiple of ``alignment``, and has a size with the same remainder as that
        of the image, so that every layer reads the same positions. At the borders of a
        tile, features see padding where the image goes on. They are discarded, so
        neighbouring tiles have to overlap.

        Args:
          tile: the largest size of a tile, x first (width before height).

        Returns:
          The alignment, the features to discard and the overlap. Its method ``tiles``
          lists the tiles of an image.

        Raises:
          ReceptiveFieldError: if no tiling gives the same result (for example, because
            features see the whole image), if this cannot be shown, or if the tile is
            too small.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(
        ...     rf.EXAMPLE_GRAPH, output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool"
        ... )
        >>> tiling = field.tiling([128, 128])
        >>> tiling.alignment, tiling.overlap, tiling.margin
        ((4, 4), (16, 16), ((1, 1), (1, 1)))
        >>> [tile.input[1] for tile in tiling.tiles([300, 100])]
        [slice(0, 128, None), slice(112, 240, None), slice(172, 300, None)]
        """
        return self._origin().tiling(self, tile)

    def reasons(self) -> Reasons:
        """Returns why numbers are unknown, or only upper bounds.

        Returns:
          The first node whose region is only an upper bound, the first node whose
          padding depends on the unknown size of the input, and a size of the input that
          makes this padding known. Each is None if there is none. Paths that see a
          whole axis are left out.

        Raises:
          ReceptiveFieldError: if the network cannot be analysed.

        >>> import receptive_field as rf
        >>> field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH)
        >>> field.reasons().bounding_node is None   # All numbers are exact.
        True
        """
        if self.origin is None:
            from receptive_field.results.reasons import Reasons

            return Reasons()
        return self.origin.reasons(self)

    def middle(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Returns the feature in the middle of the map, and the size of its region.

        On an axis of even size, this is the first of the two in the middle.

        Returns:
          The coordinates of the feature, and the number of positions of the smallest
          region of real input positions that contains everything that the feature sees
          (see ``clip`` of `compute_input_region`), both x first. None if the size of
          the input is unknown.

        Raises:
          ReceptiveFieldError: if the region cannot be computed.

        >>> import receptive_field as rf
        >>> size = [299, 299]
        >>> field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH, input_resolution=size)
        >>> field.middle()
        ((3, 3), (299, 299))
        """
        return _with_size(self._seen_by(1))

    def corner(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Returns the first feature of the map, and the size of its region.

        Returns, Raises: as `middle`.

        >>> import receptive_field as rf
        >>> size = [299, 299]
        >>> field = rf.compute_receptive_field(rf.EXAMPLE_GRAPH, input_resolution=size)
        >>> field.corner()
        ((0, 0), (299, 299))
        """
        return _with_size(self._seen_by(0))

    def _seen_by(self, which: int) -> tuple[tuple[int, ...], list[list[int]]] | None:
        """Returns the first feature (0) or the middle one (1), and its clipped region.

        One walk finds what both of them see.
        """
        sizes = [axis.size for axis in self.feature_axes]
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes) or any(a.input_size is None for a in self.axes):
            return None
        ends = tuple(0 for _ in known), tuple(map(middle_of, known))
        support = self._origin().support(self, self._features(ends))
        return ends[which], support.region(ends[which]).tolist()

    def _origin(self) -> Origin:
        if self.origin is None:
            raise ReceptiveFieldError(
                "this field has no reference to the graph that it belongs to."
            )
        return self.origin

    def _support_of(self, features: NDArray[Any]) -> Support:
        """Returns the support of all features, or only of the given features.

        Only the given features are included if the sets for all features would be too
        large.
        """
        sizes = [(a.output_size or 1) * (a.input_size or 1) for a in self.axes]
        if max(sizes, default=1) <= MOST_KEPT:
            return self.support()
        return self._origin().support(self, features)

    def compute_input_center_coordinates(
        self, y: ArrayLike, axis: Iterable[int] | None = None
    ) -> NDArray[np.float64]:
        """Returns the centres of the features' input regions (equation for c0).

        Args:
          y: feature coordinates of shape ``(..., len(axis))``. They may be fractions.
          axis: the axes of the coordinates, where 0 is x. None means all axes.

        Returns:
          A float64 array of the same shape: the centres in input coordinates.

        Raises:
          ReceptiveFieldError: if the coordinates have the wrong shape or type, a
            padding is unknown, or a region has no centre.
        """
        if self.is_folded:
            return self._folded_centres(self._features(y), axis)
        chosen = self._chosen(axis)
        features = self._features(y, len(chosen)).astype(np.float64)
        centres = [self._centres(a, features[..., i]) for i, a in enumerate(chosen)]
        return np.stack(centres, axis=-1)

    def first_center(self) -> list[float]:
        """Returns the centre of feature 0's region, x first. Does not need NumPy.

        Raises:
          ReceptiveFieldError: if a padding is unknown, the region has no centre, or the
            features have another number of coordinates than the input.
        """
        if len(self.feature_axes) != len(self.axes):
            raise ReceptiveFieldError(self._features_described())
        return [self._first_center(axis) for axis in self.axes]

    def _first_center(self, axis: SpatialAxis) -> float:
        self._check_known(axis)
        if self.is_folded:
            for output_axis in axis.output_axes:
                self._size_along(axis, output_axis)
        if self._padding(axis) is not None:
            return self._line(axis)[0]
        first, last = axis.map.placed.window(0) or (INFINITY, INFINITY)
        center = float(first + last) / 2
        if not math.isfinite(center):
            raise self._no_centre()
        return center

    def _folded_centres(
        self, features: NDArray[Any], axis: Iterable[int] | None
    ) -> NDArray[np.float64]:
        if not np.issubdtype(features.dtype, np.integer):
            raise ReceptiveFieldError(
                f"the coordinates of features of {self.output!r} must be integers, "
                f"because axes are folded; got {features.dtype}."
            )
        places = [(a, self._places(a, features)) for a in self._chosen(axis)]
        centres = [self._centres(a, place.astype(np.float64)) for a, place in places]
        return np.stack(centres, axis=-1)

    def compute_feature_coordinates(
        self, x: ArrayLike, axis: Iterable[int] | None = None
    ) -> NDArray[np.float64]:
        """Returns the (fractional) features that are centred at input positions.

        This is the inverse of `compute_input_center_coordinates`, with the same
        arguments.

        Raises:
          ReceptiveFieldError: if the coordinates have the wrong shape or type, a
            padding is unknown, or there is no inverse because the centres are not
            evenly spaced.
        """
        chosen = self._chosen(axis)
        what = self._positions_described
        positions = checked_coordinates(x, len(chosen), what).astype(np.float64)
        features = []
        for i, spatial in enumerate(chosen):
            origin, stride = self._line(spatial)
            features.append((positions[..., i] - origin) / stride)
        return np.stack(features, axis=-1)

    def _chosen(self, axis: Iterable[int] | None) -> list[SpatialAxis]:
        indices = range(len(self.axes)) if axis is None else list(axis)
        try:
            return [self.axes[i] for i in indices]
        except (IndexError, TypeError):
            raise ReceptiveFieldError(
                f"axis must list indices of the {len(self.axes)} spatial axes, where "
                f"0 is x; got {axis!r}."
            ) from None

    def _features(self, y: ArrayLike, count: int | None = None) -> NDArray[Any]:
        wanted = len(self.feature_axes) if count is None else count
        return checked_coordinates(y, wanted, self._features_described)

    def _features_described(self) -> str:
        """Describes the coordinates of features, as part of a sentence."""
        names = list(map(axis_name, range(len(self.axes))))
        told = []
        for name, axis in zip_longest(names, self.feature_axes):
            if axis is None:
                break
            known = "" if axis.size is None else f" ({axis.size} positions)"
            along = f"axis {axis.output_axis} of the output{known}"
            if self.is_folded:
                told.append(along)
            elif axis.output_axis is None:
                told.append(f"{name}, which is always 0")
            else:
                told.append(f"{name} along {along}")
        count = len(told)
        return (
            f"a feature of {self.output!r} has {count} "
            f"coordinate{'' if count == 1 else 's'}: {', '.join(told)}"
        )

    def _positions_described(self) -> str:
        names = list(map(axis_name, range(len(self.axes))))
        return f"a position of {self.input!r} has the coordinates {', '.join(names)}"

    def _places(self, axis: SpatialAxis, features: NDArray[Any]) -> NDArray[Any]:
        """Returns each feature's place on the output axes that a spatial axis follows.

        Places on several axes are counted row by row.
        """
        found = np.zeros(features.shape[:-1], dtype=np.int64)
        for output_axis in axis.output_axes:
            number, size = self._size_along(axis, output_axis)
            found = found * (size or 1) + features[..., number]
        return found

    def _size_along(
        self, axis: SpatialAxis, output_axis: int
    ) -> tuple[int, int | None]:
        """Returns the number and the size of an output axis that an axis follows."""
        number = next(
            i for i, f in enumerate(self.feature_axes) if f.output_axis == output_axis
        )
        size = self.feature_axes[number].size
        if size is None and output_axis != axis.output_axes[0]:
            raise ReceptiveFieldError(
                f"the size of {self.output!r} is unknown. Give input_resolution "
                "so that its features can be located in the input."
            )
        return number, size

    def _warn_outside(self, features: NDArray[Any]) -> None:
        outside = np.zeros(features.shape[:-1], dtype=bool)
        for number, axis in enumerate(self.feature_axes):
            if axis.size is not None:
                place = features[..., number]
                outside |= np.asarray((place < 0) | (place >= axis.size), dtype=bool)
        if outside.any():
            first = features[outside][0].tolist()
            warnings.warn(
                f"there is no feature {first}: {self._features_described()}. The "
                "result is computed as if the map had no borders.",
                OutsideMapWarning,
                stacklevel=3,
            )

    def _check_known(self, axis: SpatialAxis) -> None:
        if axis.map.is_floating or self.hide_padding:
            raise ReceptiveFieldError(
                f"the padding of a layer between {self.input} and {self.output} "
                "depends on the size of the input, which is unknown. Give "
                "input_resolution so that features can be located in the input."
            )

    def _centres(self, axis: SpatialAxis, features: NDArray[Any]) -> NDArray[Any]:
        """Returns the centres on one axis, interpolated between integer features."""
        self._check_known(axis)
        if self._padding(axis) is not None:
            origin, stride = self._line(axis)
            return origin + features * stride
        below = np.floor(features).astype(np.int64)
        ends = []
        for whole in (below, below + 1):
            firsts, lasts = axis.map.placed.evaluate(whole)
            with np.errstate(invalid="ignore"):  # Whole axes have no centre.
                centre = (firsts + lasts) / 2
            ends.append(np.asarray(centre, dtype=np.float64))
        weight = features - below
        with np.errstate(invalid="ignore"):
            centres = np.where(
                weight == 0, ends[0], ends[0] + weight * (ends[1] - ends[0])
            )
        if not np.isfinite(centres).all():
            raise self._no_centre()
        return centres

    def _no_centre(self) -> ReceptiveFieldError:
        return ReceptiveFieldError(
            f"a feature of {self.output} sees nothing, or an infinite region, so its "
            "region has no centre."
        )

    def _line(self, axis: SpatialAxis) -> tuple[float, float]:
        """Returns the centre of feature 0 and the stride.

        Raises:
          ReceptiveFieldError: if the centres are not evenly spaced.
        """
        self._check_known(axis)
        stride, padding = self._stride(axis), self._padding(axis)
        if not stride or padding is None:
            raise ReceptiveFieldError(
                f"the centres of the features of {self.output} are not evenly spaced, "
                "so no stride and padding can describe them."
            )
        size = axis.map.size()
        return float(-padding + (size - 1) / 2), float(stride)


@dataclass(frozen=True, slots=True, repr=False)
class ReceptiveFields(Mapping[str, ReceptiveField]):
    """Receptive fields by tensor name, in topological order.

    Fields can be looked up by all names that `compute_receptive_field` takes for an
    output, such as a part of a name or a scope. Only full names are ``in`` the mapping.

    Attributes:
      errors: tensor name -> the reason why the tensor could not be analysed. Looking up
        one of these names raises the error.
    """

    _fields: Mapping[str, ReceptiveField]
    errors: Mapping[str, ReceptiveFieldError]

    def __getitem__(self, name: str) -> ReceptiveField:
        known = name in self._fields or name in self.errors
        full = name if known else self._full_name(name)
        if full in self.errors:
            raise self.errors[full]
        if full not in self._fields:
            raise NoSuchEntryError(
                f"there is no {name!r} among the {len(self)} tensors that depend on "
                "the input. " + nearest(str(name), self._fields)
            )
        return self._fields[full]

    def _full_name(self, name: str) -> str:
        """Returns the name of the tensor that a part of its name means.

        Raises:
          NoSuchEntryError: if the model has no such tensor, or several.
        """
        for one in self._fields.values():
            try:
                return one._origin().full_name(name)
            except NodeNotFoundError as error:
                raise NoSuchEntryError(str(error)) from None
        return name

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def without_global_context(self) -> ReceptiveFields:
        """Returns the fields without paths that see a whole axis.

        Tensors that have only such paths move to ``errors``.
        """
        fields, errors = {}, dict(self.errors)
        for name, whole in self._fields.items():
            try:
                fields[name] = whole.without_global_context()
            except ReceptiveFieldError as error:
                errors[name] = error
        return ReceptiveFields(fields, errors)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<ReceptiveFields: {len(self)} tensors, {len(self.errors)} errors>"

    @guarded
    def __str__(self) -> str:
        # Imported only for printing.
        import sys

        from receptive_field.results.fitting import terminal_fit
        from receptive_field.results.tables import as_text

        fit = terminal_fit(sys.stdout)
        return as_text(self._fields, self.errors, self._known_unproductive(), fit)

    @guarded
    def _repr_html_(self) -> str:
        """Returns the HTML that a notebook shows."""
        from receptive_field.results.tables import as_html

        return as_html(self._fields, self.errors, self._known_unproductive())

    def in_units(
        self, spacing: Spacing | None = None, unit: str | None = None
    ) -> FieldsInUnits:
        """Returns the receptive fields in physical units, such as millimetres.

        Args:
          spacing: the distance between neighbouring positions of the input, in the
            unit, as for `ReceptiveField.in_units`.
          unit: the name of the unit, such as ``"ms"`` or ``"mm"``.

        Returns:
          A mapping from names to receptive fields in this unit, in topological order.
          It prints as a table.

        Raises:
          ReceptiveFieldError: as for `ReceptiveField.in_units`.

        >>> import receptive_field as rf
        >>> found = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH).in_units(0.5, "mm")
        >>> found["InceptionResnetV2/MaxPool_3a_3x3/MaxPool"].size.tolist()
        [7.5, 7.5]
        """
        from receptive_field.results.fields_in_units import FieldsInUnits
        from receptive_field.results.units import Units, checked_spacing

        counts = [len(one.axes) for one in self._fields.values()][:1]
        found = [checked_spacing(spacing, unit, count) for count in counts]
        units = found[0] if found else Units((), str(unit))
        return FieldsInUnits(
            self, self.errors, units, self._known_unproductive, self.covering
        )

    def covering(self, size: Sequence[int] | int) -> ReceptiveFields:
        """Returns the first layers whose receptive field covers a size.

        These are the layers whose receptive field is at least as large on every axis,
        but that do not get their input from such a layer. Paths that see a whole axis
        are left out (`ReceptiveField.local`). A layer whose size is only an upper bound
        is not known to cover anything, so it is left out, too.

        Args:
          size: the size in pixels: a number for all axes, or one for each axis, x
            before y.

        Returns:
          The receptive fields of these layers, in topological order. Networks with
          several branches may have several first layers.

        Raises:
          ReceptiveFieldError: if no layer covers the size. The message says which layer
            has the largest receptive field, and how large it is.

        >>> import receptive_field as rf
        >>> fields = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH)
        >>> list(fields.covering(15))
        ['InceptionResnetV2/MaxPool_3a_3x3/MaxPool']
        """
        # Imported only for this question.
        from receptive_field.results.covering import covering

        return ReceptiveFields(covering(self._fields, self._links(), size), {})

    def _links(self) -> list[tuple[str, str]]:
        """Returns the pairs of a layer and a layer that gets its input from it.

        A layer that returns its input unchanged, such as a dropout layer, may share its
        tensor with the layer below it.
        """
        found: list[tuple[str, str]] = []
        first: dict[tuple[int, int], str] = {}
        for name, one in self._fields.items():
            origin = one._origin()
            found = found or origin.links(self._fields)
            below = first.setdefault(origin.output, name)
            if below != name:
                found.append((below, name))
        return found

    def unproductive(self) -> tuple[str, ...]:
        """Returns the layers that add nothing at the size of the input.

        These are the convolution and pooling layers to whose input even the smallest
        path already sees at least as many positions as the input has, on every axis
        along which the kernel has more than one position. Such a layer cannot widen
        what its features see. `Resolutions.unproductive_layers` answers the same
        question axis by axis, for any size.

        Returns:
          The names of these layers, in topological order.

        Raises:
          ReceptiveFieldError: if the size of the input is unknown.

        >>> import receptive_field as rf
        >>> fields = rf.compute_receptive_fields(
        ...     rf.EXAMPLE_GRAPH, input_resolution=[79, 79]
        ... )
        >>> fields.unproductive()[0]
        'InceptionResnetV2/Mixed_7a/Branch_2/Conv2d_1a_3x3/Conv2D'
        """
        first = next(iter(self._fields.values()), None)
        found = first._origin().unproductive() if first else ()
        return tuple(name for name in self._fields if name in found)

    def _known_unproductive(self) -> tuple[str, ...] | None:
        """Returns the unproductive layers, or None if the input's size is unknown."""
        fields = self._fields.values()
        axes = [axis for one in fields for axis in one.axes]
        known = all(axis.input_size is not None for axis in axes)
        if not known or any(one.origin is None for one in fields):
            return None
        return self.unproductive()

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields and errors as plain data for JSON.

        Returns:
          ``fields``: name -> `ReceptiveField.to_dict`, in topological order; and
          ``errors``: name -> message.

        >>> import receptive_field as rf
        >>> found = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH).to_dict()
        >>> found["fields"]["InceptionResnetV2/MaxPool_3a_3x3/MaxPool"]["size"]
        [15, 15]
        """
        return {
            "fields": {name: field.to_dict() for name, field in self._fields.items()},
            "errors": {name: str(error) for name, error in self.errors.items()},
        }

    def to_dataframe(self) -> Any:
        """Returns a pandas DataFrame with one row for each layer, in topological order.

        Returns:
          A table with the columns ``layer`` and ``op``; ``output_size_x``, ``rf_x``,
          ``stride_x``, ``padding_x``, ``center_x`` (of the first feature) and
          ``local_rf_x`` (without paths that see a whole axis); ``kernel_x``,
          ``layer_stride_x``, ``dilation_x``, ``layer_padding_before_x`` and
          ``layer_padding_after_x`` of the layer itself (see
          `ReceptiveField.layer_windows`); likewise for y and z; ``same_padding``,
          ``aligned``, ``exact`` and ``global``; ``unproductive``, if the size of the
          input is known; and ``error``, the reason why a layer has no numbers. Unknown
          values are ``pandas.NA``, and infinite sizes are ``inf``.

        Raises:
          ReceptiveFieldError: if pandas is not installed.

        >>> import receptive_field as rf
        >>> table = rf.compute_receptive_fields(rf.EXAMPLE_GRAPH).to_dataframe()
        >>> int(table.set_index("layer").rf_x["InceptionResnetV2/Mixed_5b/concat"])
        63
        """
        from receptive_field.results.tables import as_dataframe

        return as_dataframe(self._fields, self.errors, self._known_unproductive())


def _with_size(
    seen: tuple[tuple[int, ...], list[list[int]]] | None,
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Returns a feature and the size of its region."""
    if seen is None:
        return None
    feature, region = seen
    return feature, tuple(last - first + 1 for first, last in region)


def numbers_on(field: ReceptiveField, place: int) -> tuple[Any, Any, Any]:
    """Returns the size, stride and padding on one of a field's axes, without arrays."""
    axis = field.axes[place]
    size = axis.map.size(axis.output_size)
    if field._is_irregular(axis):
        return size, None, None
    padding = None if field.hide_padding else _padding(axis.map)
    return size, _stride(axis.map), padding


def _stride(axis_map: AxisMap) -> int | Fraction | None:
    rates = axis_map.rates
    if len(rates) != 1 or not rates[0] or axis_map.drifts or axis_map.is_unbounded:
        return None
    (rate,) = rates
    return rate.numerator if rate.denominator == 1 else rate


def _padding(axis_map: AxisMap) -> int | None:
    """Returns the effective padding: minus the first position that feature 0 sees.

    Returns None if regions are not evenly spaced, or an offset is unknown.
    """
    strands = [s for s in axis_map.strands if isinstance(s, Periodic)]
    unplaced = axis_map.is_floating or axis_map.is_unbounded
    if unplaced or len(axis_map.rates) != 1:
        return None
    if len(strands) != 1 or len(strands[0].windows) != 1:
        return None
    (window,) = strands[0].windows
    if window is None or not all(map(_is_integer, window)):
        return None
    return -int(window[0])


def _is_integer(bound: float) -> bool:
    return isinstance(bound, int)


def _array(values: Iterable[Any]) -> NDArray[Any]:
    """Returns an int64 array if all values fit, and otherwise an object array."""
    entries = list(values)
    if all(type(v) is int and LEAST_INT64 <= v <= LARGEST_INT64 for v in entries):
        return np.array(entries, dtype=np.int64)
    array = np.empty(len(entries), dtype=object)
    array[:] = entries
    return array


def _as_int64(bounds: NDArray[Any]) -> NDArray[np.int64]:
    if bounds.dtype != object:
        return bounds.astype(np.int64)
    limited = [_limited(bound) for bound in bounds.flat]
    return np.array(limited, dtype=np.int64).reshape(bounds.shape)


def _limited(bound: float) -> int:
    if bound == INFINITY or bound == -INFINITY:
        return LARGEST_INT64 if bound > 0 else LEAST_INT64
    if not LEAST_INT64 < bound < LARGEST_INT64:
        raise ReceptiveFieldError(
            "a region exceeds the range of 64-bit integers; use size, stride and "
            "padding, which have no such limit."
        )
    return math.floor(bound)
