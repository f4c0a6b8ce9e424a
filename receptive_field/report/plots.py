"""Plots of regions, their holes and their weights.

All functions draw on the caller's Matplotlib axes, or on new axes, and return the axes.
For several models, each has axes of its own.
Positions are pixels of the input. Pixel i extends from i - 0.5 to i + 0.5. An input
with one axis is drawn as a strip.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from receptive_field.errors import ReceptiveFieldError
from receptive_field.printable import printable
from receptive_field.report.figure import (
    BLUE,
    COLOURS,
    ORANGE,
    PADDING,
    SKY,
    VERMILION,
    Drawing,
    add_legend_below,
    draw_one,
    draw_several,
    imported,
    set_title,
)
from receptive_field.results.axes import as_coordinates, middle_of
from receptive_field.results.effective import EffectiveReceptiveField
from receptive_field.results.field import (
    LARGEST_INT64,
    LEAST_INT64,
    ReceptiveField,
)

Positions = NDArray[np.int64]
SEEN, HOLE = BLUE + "50", ORANGE + "E0"
"""The colours of pixels that are seen and of holes, with their opacity."""

Rectangle = tuple[float, float, float, float]
"""The coordinates of the left, top, right and bottom sides."""

TILES = 16
"""How many tiles the test pattern has along the larger side."""


def plot_regions(
    field: ReceptiveField | Mapping[str, ReceptiveField],
    features: ArrayLike | None = None,
    *,
    image: ArrayLike | str | os.PathLike[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draws the regions that features see, over an image.

    The part of a region that lies in the padding, outside the image, is hatched.

    Args:
      field: the receptive field. Its paddings must be known, and its size finite. For
        several models, a dictionary: name of a model -> its field.
      features: integer coordinates of shape ``(..., len(field.feature_axes))``. None
        means the first, the middle and the last feature.
      image: an array of shape ``(height, width)`` or ``(height, width, channels)``, or
        the path of an image file. For an input with one axis, an array of shape
        ``(length,)`` or ``(length, channels)``. The image is stretched to the input's
        size if this is known. None means a test pattern.
      ax: the Matplotlib axes to draw on (for several models, one for each), or a figure
        to fill. None creates a new figure.

    Returns:
      The axes, or a list of axes for several models. Each feature has two patches,
      whose ``get_gid()`` is "region" and "inside" (the part inside the image, if any),
      and a line, "centre".

    Raises:
      ReceptiveFieldError: if a field or the image cannot be drawn, or there is no such
        feature.

    >>> import receptive_field as rf
    >>> field = rf.compute_receptive_field(
    ...     rf.EXAMPLE_GRAPH,
    ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
    ...     input_resolution=[64, 64],
    ... )
    >>> ax = rf.plot_regions(field, [[0, 0], [7, 7]])
    >>> ax.get_xlabel()
    'x (pixels)'
    """

    def prepare(one: Any) -> Drawing:
        return _regions(_field(one), features, image)

    if isinstance(field, Mapping):
        return draw_several(field, prepare, ax)
    return draw_one(prepare(field), ax)


def _field(one: Any) -> ReceptiveField:
    if isinstance(one, ReceptiveField):
        return one
    raise ReceptiveFieldError(
        "this plot draws a receptive field, such as the result of "
        "compute_receptive_field, or a dictionary of the fields of several models, not "
        f"{type(one).__name__!r}."
    )


def _regions(
    field: ReceptiveField,
    features: ArrayLike | None,
    image: ArrayLike | str | os.PathLike[str] | None,
) -> Drawing:
    chosen = _chosen(field, features)
    regions = _bounded_regions(field, chosen)
    centres = field.compute_input_center_coordinates(chosen)
    pixels = _pixels(image, len(field.axes))
    sizes = _sizes(field, pixels)

    def draw(ax: Any) -> None:
        frame = _draw_image(ax, pixels, sizes)
        seen = [frame]
        for number, region in enumerate(regions):
            row = None if len(sizes) == 2 else number + 1
            place = _rectangle(region, row)
            limits = frame if row is None else (frame[0], place[1], frame[2], place[3])
            colour = COLOURS[number % len(COLOURS)]
            label = f"feature ({', '.join(map(str, chosen[number]))})"
            inside = _common(place, limits)
            _draw_region(ax, place, inside, colour, label, row is None)
            ax.plot(
                centres[number, 0],
                centres[number, 1] if row is None else row,
                "+",
                color=colour,
                ms=9,
                mew=2,
                zorder=5,
                gid="centre",
            )
            seen.append(place)
        _label_axes(ax, len(sizes))
        _limit(ax, seen)
        _add_padding_to_legend(ax)
        set_title(ax, f"What features of {printable(field.output)} see")

    return Drawing(8.5, 6 if len(sizes) == 2 else 1.6 + 0.35 * len(chosen), draw)


def some_features(field: ReceptiveField) -> list[list[int]]:
    """Returns the first, middle and last feature.

    Each feature is a list of coordinates, x first. Features that coincide are listed
    once.

    Raises:
      ReceptiveFieldError: if the number of features is unknown.
    """
    sizes = []
    for axis in field.feature_axes:
        size = axis.size
        if size is None:
            raise ReceptiveFieldError(
                f"the number of features of {field.output!r} is unknown. Give "
                "input_resolution, or list the features to draw."
            )
        sizes.append(size)
    ends = [[0] * len(sizes), [middle_of(n) for n in sizes], [n - 1 for n in sizes]]
    return [feature for i, feature in enumerate(ends) if feature not in ends[:i]]


def _chosen(field: ReceptiveField, features: ArrayLike | None) -> Positions:
    """Returns the features as rows of coordinates; for None, `some_features`.

    Raises:
      ReceptiveFieldError: if the features cannot be drawn or lie outside the map.
    """
    rank = len(field.axes)
    if rank not in (1, 2):
        raise ReceptiveFieldError(
            "plots show only inputs with one or two spatial axes, but "
            f"{field.input!r} has {rank}."
        )
    chosen = as_coordinates(some_features(field) if features is None else features)
    count = len(field.feature_axes)
    fits = chosen.size and chosen.shape[-1:] == (count,)
    if not fits or chosen.dtype.kind not in "iu":
        raise ReceptiveFieldError(
            f"each feature needs {count} integer coordinates, x first; got "
            f"{chosen.tolist()!r}."
        )
    rows = chosen.reshape(-1, count)
    sizes = [axis.size for axis in field.feature_axes]
    for row in rows.tolist():
        if any(
            n is not None and not 0 <= u < n for u, n in zip(row, sizes, strict=True)
        ):
            raise ReceptiveFieldError(
                f"there is no feature {row}: {field.output!r} has "
                f"{' x '.join(map(str, sizes))} features (x first), and coordinates "
                "start at 0."
            )
    return rows


def _bounded_regions(field: ReceptiveField, features: Positions) -> Positions:
    regions = field.compute_input_region(features)
    if _unbounded(regions):
        by = ", ".join(map(repr, field.global_nodes[:3]))
        none = f"All paths from {field.input!r} see a whole axis."
        others = (
            'global_context="exclude" leaves out the paths that see a whole axis'
            f"{_local_size(field)}."
        )
        raise ReceptiveFieldError(
            f"the features of {field.output!r} see a whole axis of {field.input!r}"
            + (f", because of {by}" if by else "")
            + ". An infinite region cannot be drawn. "
            + (others if field.local else none)
        )
    nothing = (regions[..., 1] < regions[..., 0]).any(axis=-1)
    if nothing.any():
        raise ReceptiveFieldError(
            f"the feature {features[nothing][0].tolist()} of {field.output!r} sees "
            f"nothing of {field.input!r}, so there is nothing to draw."
        )
    return regions


def _local_size(field: ReceptiveField) -> str:
    """Returns how much is seen without the paths that see a whole axis."""
    size = [] if field.local is None else field.local.size.tolist()
    if not size or not np.isfinite(size).all():
        return ""
    return f"; the others see {' x '.join(map(str, size))} positions"


def _unbounded(regions: Positions) -> bool:
    return bool(((regions == LEAST_INT64) | (regions == LARGEST_INT64)).any())


def _sizes(field: ReceptiveField, pixels: NDArray[Any] | None) -> tuple[int, ...]:
    """Returns the size of the input, x first. Unknown sizes are taken from the image.

    Raises:
      ReceptiveFieldError: if a size is unknown and there is no image.
    """
    known = [axis.input_size for axis in field.axes]
    if pixels is not None:
        shape = pixels.shape[: len(known)][::-1]
        known = [k or n for k, n in zip(known, shape, strict=True)]
    sizes = tuple(size for size in known if size is not None)
    if len(sizes) < len(known):
        raise ReceptiveFieldError(
            f"the size of {field.input!r} is unknown, so the plot cannot show where "
            "its padding begins. Give input_resolution or an image."
        )
    return sizes


def _pixels(
    image: ArrayLike | str | os.PathLike[str] | None, rank: int
) -> NDArray[Any] | None:
    """Returns an image as an array with spatial axes first; None if there is none.

    Raises:
      ReceptiveFieldError: if the image cannot be read, or has an unsuitable shape or
        type.
    """
    if image is None:
        return None
    from_file = isinstance(image, (str, os.PathLike))
    pixels = _read(image) if from_file else np.asarray(image)  # type: ignore[arg-type]
    channels = pixels.shape[rank:]
    if pixels.dtype.kind not in "buif" or 0 in pixels.shape or pixels.ndim < rank:
        channels = (0,)
    if channels not in ((), (1,), (3,), (4,)):
        axes_of = ("length",) if rank == 1 else ("height", "width")
        raise ReceptiveFieldError(
            f"an image must have the axes {', '.join(axes_of)}, and may also have an "
            f"axis of 1, 3 or 4 channels; got an array of {pixels.dtype} with the "
            f"shape {pixels.shape}."
        )
    return pixels[..., 0] if channels == (1,) else pixels


def _read(path: str | os.PathLike[str]) -> NDArray[Any]:
    pillow = imported("PIL.Image")
    try:
        with pillow.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        unreadable = "Pillow cannot read the file as an image"
        reason = getattr(error, "strerror", None) or unreadable
        raise ReceptiveFieldError(
            f"cannot read the image {os.fspath(path)!r}: {reason}."
        ) from None


def _pattern(sizes: Sequence[int]) -> NDArray[np.float64]:
    """Returns the test pattern.

    It consists of light grey tiles that get darker towards the bottom right, so that
    places can be told apart.
    """
    places = np.meshgrid(*(np.arange(size) for size in sizes), indexing="xy")
    tiles = sum(place // max(1, max(sizes) // TILES) for place in places) % 2
    slopes = sum(p / max(n - 1, 1) for p, n in zip(places, sizes, strict=True))
    return np.asarray(0.95 - 0.08 * tiles - 0.15 * slopes / len(sizes))


def _draw_image(
    ax: Any, pixels: NDArray[Any] | None, sizes: Sequence[int]
) -> Rectangle:
    """Draws the image and its border, and returns the rectangle that the image fills.

    An image with one axis becomes a strip in row 0.
    """
    shown = _pattern(sizes) if pixels is None else pixels
    grey = shown.ndim == len(sizes)
    if len(sizes) == 1:
        shown = shown[None]
    frame = (-0.5, -0.5, sizes[0] - 0.5, sizes[1] - 0.5 if len(sizes) == 2 else 0.5)
    if shown.dtype.kind == "f":
        limits = (min(0.0, float(shown.min())), max(1.0, float(shown.max())))
    else:
        limits = (0, 1 if shown.dtype.kind == "b" else max(255, int(shown.max())))
    if not grey:
        shown = np.clip((shown - limits[0]) / (limits[1] - limits[0]), 0, 1)
    ax.imshow(
        shown,
        extent=(frame[0], frame[2], frame[3], frame[1]),
        aspect="equal" if len(sizes) == 2 else "auto",
        interpolation="nearest",
        zorder=2,
        **({"cmap": "gray", "vmin": limits[0], "vmax": limits[1]} if grey else {}),
    )
    _draw_outline(ax, frame, color="black", linewidth=1.2, zorder=3, gid="input")
    return frame


def _draw_outline(ax: Any, place: Rectangle, **options: Any) -> Any:
    left, top, right, bottom = place
    patches = imported("matplotlib.patches")
    patch = patches.Rectangle(
        (left, top), right - left, bottom - top, **{"fill": False, **options}
    )
    return ax.add_patch(patch)


def _draw_region(
    ax: Any,
    place: Rectangle,
    inside: Rectangle | None,
    colour: str,
    label: str,
    over_image: bool,
) -> None:
    """Draws a region so that its hatching only shows in the padding."""
    dashed = {"edgecolor": colour, "linestyle": "--", "linewidth": 1.5}
    outer = _draw_outline(ax, place, hatch="////", zorder=1, gid="region", **dashed)
    outer.set_label(f"{label}, in the padding only" if inside is None else None)
    to_rgba = imported("matplotlib.colors").to_rgba
    if inside is not None:
        # An image hides the hatching. Regions beside a strip need an opaque colour.
        filled = to_rgba(colour, 0.3) if over_image else _lighter(to_rgba(colour))
        solid = {"fill": True, "facecolor": filled, "edgecolor": colour}
        _draw_outline(
            ax, inside, zorder=4, gid="inside", label=label, linewidth=1.8, **solid
        )


def _lighter(colour: Sequence[float]) -> list[float]:
    return [0.7 + 0.3 * part for part in colour[:3]]


def _rectangle(region: Positions, row: int | None) -> Rectangle:
    """Returns the rectangle of a region. A region with one axis is drawn in ``row``."""
    (left, right), *rest = region.tolist()
    if row is not None:
        return left - 0.5, row - 0.35, right + 0.5, row + 0.35
    ((top, bottom),) = rest
    return left - 0.5, top - 0.5, right + 0.5, bottom + 0.5


def _common(one: Rectangle, other: Rectangle) -> Rectangle | None:
    """Returns the intersection of two rectangles, or None if it is empty."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _label_axes(ax: Any, rank: int) -> None:
    whole = imported("matplotlib.ticker").MaxNLocator
    ax.xaxis.set_major_locator(whole(integer=True))
    ax.set_xlabel("x (pixels)" if rank == 2 else "position (pixels)")
    if rank == 2:
        ax.yaxis.set_major_locator(whole(integer=True))
        ax.set_ylabel("y (pixels)")
    else:
        ax.set_yticks([])


def _limit(ax: Any, places: Sequence[Rectangle], margin: float = 0.03) -> None:
    """Sets the limits so that all rectangles are visible, with y pointing down."""
    ends = np.array(places)
    left, top = ends[:, :2].min(axis=0)
    right, bottom = ends[:, 2:].max(axis=0)
    across, down = margin * (right - left), margin * (bottom - top)
    ax.set_xlim(left - across, right + across)
    ax.set_ylim(bottom + down, top - down)


def _add_padding_to_legend(ax: Any) -> None:
    patch = imported("matplotlib.patches").Patch
    padding = patch(
        facecolor="none",
        edgecolor=PADDING,
        hatch="////",
        linestyle="--",
        label="in the padding",
    )
    handles, _ = ax.get_legend_handles_labels()
    _add_legend(ax, [*handles, padding])


def _add_legend(ax: Any, handles: Sequence[Any]) -> None:
    ax.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        borderaxespad=0,
        fontsize="small",
        frameon=False,
    )


# --- One feature ----------------------------------------------------------------------


def plot_support(
    field: ReceptiveField | Mapping[str, ReceptiveField],
    feature: Sequence[int] | None = None,
    *,
    image: ArrayLike | str | os.PathLike[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draws which pixels a feature really sees, and the holes inside its region.

    The image shows through the pixels that are seen. Holes cover it.

    Args:
      field: the receptive field. The size of its input must be known. For several
        models, a dictionary: name of a model -> its field.
      feature: the integer coordinates of the feature, x first. None means the feature
        in the middle.
      image: the image, as for `plot_regions`. None means a test pattern.
      ax: the Matplotlib axes to draw on (for several models, one for each), or a figure
        to fill. None creates a new figure.

    Returns:
      The axes, or a list of axes for several models. Their first image has the value 2
      for pixels that are seen, 1 for holes (pixels of the region that are not seen) and
      0 for all other pixels. The patch "region" also covers the padding.

    Raises:
      ReceptiveFieldError: if the size of an input is unknown, the image cannot be
        drawn, or there is no such feature.

    >>> import receptive_field as rf
    >>> field = rf.compute_receptive_field(
    ...     rf.EXAMPLE_GRAPH,
    ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
    ...     input_resolution=[64, 64],
    ... )
    >>> int(rf.plot_support(field, [3, 3]).images[0].get_array().max())
    2
    """

    def prepare(one: Any) -> Drawing:
        return _support(_field(one), feature, image)

    if isinstance(field, Mapping):
        return draw_several(field, prepare, ax)
    return draw_one(prepare(field), ax)


def _support(
    field: ReceptiveField,
    feature: Sequence[int] | None,
    image: ArrayLike | str | os.PathLike[str] | None,
) -> Drawing:
    chosen = _one(field, feature)
    support = field.support([chosen])
    mask = support.mask(chosen)
    hull = support.region(chosen)
    region = hull if field.is_global else _bounded_regions(field, chosen[None])[0]
    rank = len(field.axes)
    pixels = _pixels(image, rank)
    states: NDArray[np.int64] = np.zeros(mask.shape, dtype=np.int64)
    ends = np.maximum(region + np.array([0, 1]), 0)[::-1]
    states[tuple(slice(first, end) for first, end in ends)] = 1
    states[mask] = 2
    name = ", ".join(map(str, chosen.tolist()))
    share = f"{support.coverage(chosen):.1%} of its region"

    def draw(ax: Any) -> None:
        _draw_states(ax, states)
        frame = _draw_image(ax, pixels, mask.shape[::-1])
        place = _rectangle(region, None if rank == 2 else 0)
        if rank == 1:
            place = (place[0], -0.5, place[2], 0.5)
        dashed = {"edgecolor": PADDING, "linestyle": "--", "hatch": "////"}
        _draw_outline(ax, place, zorder=1, gid="region", **dashed)
        _draw_outline(ax, place, zorder=4, edgecolor=BLUE, lw=1.5)
        _label_axes(ax, rank)
        _limit(ax, [place], margin=0.25)
        patch = imported("matplotlib.patches").Patch
        handles = [patch(facecolor=SEEN, edgecolor=BLUE, label="seen")]
        if (states == 1).any():
            handles.append(patch(facecolor=HOLE, label="not seen: a hole"))
        if _common(place, frame) != place:
            handles.append(patch(facecolor="none", label="in the padding", **dashed))
        _add_legend(ax, handles)
        set_title(ax, f"Feature ({name}) of {printable(field.output)}: {share}")

    return Drawing(7.5, 5.5 if rank == 2 else 1.8, draw)


def _draw_states(ax: Any, states: NDArray[np.int64]) -> None:
    """Draws which pixels are seen (2) and which are holes (1), above the image."""
    shown = states if states.ndim == 2 else states[None]
    height, width = shown.shape
    ax.imshow(
        shown,
        cmap=imported("matplotlib.colors").ListedColormap(["#FFFFFF00", HOLE, SEEN]),
        vmin=0,
        vmax=2,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        aspect="equal" if states.ndim == 2 else "auto",
        interpolation="nearest",
        zorder=2.5,
    )


def _one(field: ReceptiveField, feature: ArrayLike | None) -> Positions:
    """Returns the coordinates of the feature; for None, of the one in the middle."""
    if feature is None:
        some = some_features(field)
        feature = some[len(some) // 2]
    if as_coordinates(feature).ndim != 1:
        raise ReceptiveFieldError(
            f"this plot shows one feature, given by {len(field.axes)} coordinates, x "
            f"first; got {feature!r}."
        )
    chosen: Positions = _chosen(field, feature)[0]
    return chosen


Effective = EffectiveReceptiveField | ReceptiveField


def plot_effective(
    effective_or_field: Effective | Mapping[str, Effective],
    *,
    feature: Sequence[int] | None = None,
    ax: Any = None,
) -> Any:
    """Draws how much each pixel matters for a feature, and outlines its region.

    An image becomes a heat map, and an input with one axis becomes a curve.

    Args:
      effective_or_field: an effective receptive field, computed or measured, or a
        receptive field from which to compute the effective receptive field. For several
        models, a dictionary: name of a model -> one of these.
      feature: the coordinates of the feature, x first. This is only allowed with a
        receptive field. None means the feature in the middle.
      ax: the Matplotlib axes to draw on (for several models, one for each), or a figure
        to fill. None creates a new figure.

    Returns:
      The axes, or a list of axes for several models, with a patch "region", and a patch
      "interval" that contains 95.45 % of the total along each axis. If an effective
      receptive field is given, the region is the hull of all positions whose share is
      above zero.

    Raises:
      ReceptiveFieldError: if an input has more than two axes, or an unknown size.

    >>> import receptive_field as rf
    >>> field = rf.compute_receptive_field(
    ...     rf.EXAMPLE_GRAPH,
    ...     output="InceptionResnetV2/MaxPool_3a_3x3/MaxPool",
    ...     input_resolution=[64, 64],
    ... )
    >>> ax = rf.plot_effective(field)
    >>> bool(ax.images[0].get_array().sum() > 0.999)
    True
    """

    def prepare(one: Any) -> Drawing:
        return _effective(one, feature)

    if isinstance(effective_or_field, Mapping):
        return draw_several(effective_or_field, prepare, ax)
    return draw_one(prepare(effective_or_field), ax)


def _effective(given: Any, feature: Sequence[int] | None) -> Drawing:
    if not isinstance(given, EffectiveReceptiveField):
        effective = _field(given).effective_receptive_field(feature)
    elif feature is not None:
        raise ReceptiveFieldError(
            "an effective receptive field already belongs to one feature; give feature "
            "only with a receptive field."
        )
    else:
        effective = given
    rank = effective.map.ndim
    if rank not in (1, 2):
        raise ReceptiveFieldError(
            "plots show only inputs with one or two spatial axes, but "
            f"{effective.input!r} has {rank}."
        )
    name = ", ".join(map(str, effective.feature))
    if not np.isfinite(effective.map).all() or not effective.map.any():
        raise ReceptiveFieldError(
            f"the shares of feature ({name}) of {effective.output!r} are zero "
            "everywhere, or not all finite, so there is nothing to draw."
        )
    region = _region_of(given, effective)
    interval = effective.interval()
    output = printable(effective.output)

    def draw(ax: Any) -> None:
        draw_weights = _draw_heat if rank == 2 else _draw_curve
        draw_weights(ax, effective, region, interval)
        title = f"Effective receptive field of feature ({name})\nof {output}"
        set_title(ax, title)

    return Drawing(6.5, 5 if rank == 2 else 4, draw)


def _region_of(drawn: Effective, effective: EffectiveReceptiveField) -> Positions:
    if isinstance(drawn, ReceptiveField):
        region = drawn.compute_input_region(effective.feature)
        if not _unbounded(region):
            return region
    found = np.argwhere(effective.map > 0)[:, ::-1]
    return np.stack([found.min(axis=0), found.max(axis=0)], axis=-1)


def _draw_heat(
    ax: Any, effective: EffectiveReceptiveField, region: Positions, interval: Any
) -> None:
    drawn = ax.imshow(effective.map, cmap="cividis", interpolation="nearest")
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.8)
    bar.set_label("share of the squared gradient")
    lines = {
        "region": ("region", region, SKY, "-"),
        "interval": ("95.45 % on each axis", interval, ORANGE, "--"),
    }
    height, width = effective.map.shape
    frame = (-0.5, -0.5, width - 0.5, height - 0.5)
    _draw_outline(ax, frame, color="black", linewidth=1.2, gid="input")
    places: list[Rectangle] = []
    for gid, (label, ends, colour, style) in lines.items():
        place = _rectangle(ends, None)
        _draw_outline(
            ax, place, edgecolor=colour, linestyle=style, lw=2, label=label, gid=gid
        )
        places.append(place)
    _label_axes(ax, 2)
    _limit(ax, places)
    add_legend_below(ax)


def _draw_curve(
    ax: Any, effective: EffectiveReceptiveField, region: Positions, interval: Any
) -> None:
    (positions,) = effective.coordinates
    ax.fill_between(positions, effective.map, step="mid", color=BLUE, alpha=0.4)
    ax.plot(positions, effective.map, drawstyle="steps-mid", color=BLUE, gid="share")
    ((first, last),) = region.tolist()
    ax.axvspan(
        first - 0.5, last + 0.5, color=SKY, alpha=0.2, label="region", gid="region"
    )
    ((low, high),) = interval.tolist()
    ax.axvspan(
        low - 0.5,
        high + 0.5,
        fill=False,
        edgecolor=VERMILION,
        linestyle="--",
        label="95.45 %",
        gid="interval",
    )
    ax.set_xlim(min(first, 0) - 1, max(last, len(positions) - 1) + 1)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("position (pixels)")
    ax.set_ylabel("share of the squared gradient")
    add_legend_below(ax)
