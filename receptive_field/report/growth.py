"""Plots of the growth of receptive fields through the layers of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import ReceptiveFieldError, some_names
from receptive_field.printable import printable
from receptive_field.report.figure import (
    COLOURS,
    ORANGE,
    PURPLE,
    Drawing,
    add_legend_below,
    draw_one,
    draw_several,
    imported,
    set_title,
)
from receptive_field.results.axes import axis_name
from receptive_field.results.field import ReceptiveField, ReceptiveFields

Fields = Mapping[str, ReceptiveField]
Link = tuple[str, str]

LONGEST_NAME = 26
"""The characters of a layer's name that are shown."""

WIDTH_OF_NAME = 0.15
"""The inches between two names below the plot."""

SAG = 0.04
"""How far a skip sags below its lower end, as a part of the largest size."""


def plot_growth(fields: Fields | Mapping[str, Fields], *, ax: Any = None) -> Any:
    """Draws how the receptive field grows through the layers, on all branches.

    Each layer is a point that shows its depth (the number of layers on the longest path
    from the input) and the size of its receptive field. Lines connect each layer with
    the layers that it reads. A curve is a skip: a connection that other layers lie
    beside, such as the shortcut of a residual block. For a layer whose features see a
    whole axis, the point shows the local receptive field, and a triangle at the upper
    border marks the layer.

    Names of layers are written below their depths. If there is no room for all of them,
    layers that all paths pass and layers that join paths come first.

    Args:
      fields: the result of `compute_receptive_fields`. For several models, a
        dictionary: name of a model -> its fields.
      ax: the Matplotlib axes to draw on (for several models, one for each), or a figure
        to fill. None creates a new figure.

    Returns:
      The axes, or a list of axes for several models, which then have the same scale.
      The points for one input axis are a line whose ``get_gid()`` is "x", "y" or "z".
      If all input axes grow alike, there is a single line, such as "x, y". The
      connections are two collections, "links" and "skips", for each axis.

    Raises:
      ReceptiveFieldError: if there is nothing to draw.

    >>> import receptive_field as rf
    >>> ax = rf.plot_growth(rf.compute_receptive_fields(rf.EXAMPLE_GRAPH))
    >>> ax.get_ylabel()
    'receptive field size (pixels)'
    """
    if not (isinstance(fields, Mapping) and _are_mappings(fields)):
        return draw_one(_growth(fields), ax)
    places = draw_several(fields, _growth, ax, columns=1)
    ends = [on.get_ylim() for on in places]
    for on in places:
        on.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
    return places


def _are_mappings(fields: Mapping[str, Any]) -> bool:
    if isinstance(fields, ReceptiveFields):  # Some of its values may be errors.
        return False
    return any(isinstance(one, Mapping) for one in fields.values())


def _growth(given: Any) -> Drawing:
    fields = _checked(given)
    links = _links(fields)
    depths = _depths(fields, links)
    local = {name: field.local for name, field in fields.items()}
    sizes = {n: f.size.astype(float) for n, f in local.items() if f is not None}
    if not any(np.isfinite(size).any() for size in sizes.values()):
        raise _nothing_finite(fields)

    def draw(ax: Any) -> None:
        for axis, label in _distinct_axes(fields, sizes):
            _draw_axis(ax, axis, label, links, depths, sizes)
        _draw_unbounded(ax, fields, depths)
        _draw_input_sizes(ax, next(iter(fields.values())))
        ax.set_xlim(-0.5, max(depths.values()) + 0.5)
        ax.set_ylim(bottom=-SAG * ax.get_ylim()[1])
        ax.grid(alpha=0.3)
        ax.set_ylabel("receptive field size (pixels)")
        set_title(ax, "Growth of the receptive field")
        all_named = _name_layers(ax, links, depths)
        more = "" if all_named else "; +2: two more layers at this depth"
        ax.set_xlabel(f"layers, by depth (the longest way from the input{more})")
        add_legend_below(ax)

    return Drawing(8.5, 6, draw)


def _checked(given: Any) -> Fields:
    """Returns the fields of the layers that could be analysed.

    Raises:
      ReceptiveFieldError: if there are none.
    """
    failed = given.errors if isinstance(given, ReceptiveFields) else {}
    if not isinstance(given, Mapping):
        raise _not_fields()
    fields = {name: given[name] for name in given if name not in failed}
    if not all(isinstance(field, ReceptiveField) for field in fields.values()):
        raise _not_fields()
    if fields:
        return fields
    reasons = "".join(
        f" None of {len(failed)} layers could be analysed. {name!r}: {error}"
        for name, error in [*failed.items()][:1]
    )
    raise ReceptiveFieldError(f"there are no receptive fields to draw.{reasons}")


def _not_fields() -> ReceptiveFieldError:
    return ReceptiveFieldError(
        "plot_growth draws a dictionary of receptive fields, such as the result of "
        "compute_receptive_fields, or a dictionary of several such results."
    )


def _nothing_finite(fields: Fields) -> ReceptiveFieldError:
    whole = [repr(name) for name, field in fields.items() if field.is_global]
    others = [repr(name) for name, field in fields.items() if not field.is_global]
    told = {"see a whole axis on all paths": whole, "may see anything": others}
    there = [f"{some_names(names)} {what}" for what, names in told.items() if names]
    first = next(iter(fields.values()))
    return ReceptiveFieldError(
        f"there is no growth to draw, because none of {len(fields)} layers sees a "
        f"finite part of {first.input!r}: {'; '.join(there)}."
    )


def _links(fields: Fields) -> list[Link]:
    origin = next(iter(fields.values())).origin
    if origin is None:
        raise ReceptiveFieldError(
            "these fields have no reference to the graph that they belong to."
        )
    return origin.links(fields)


def _depths(fields: Fields, links: Sequence[Link]) -> dict[str, int]:
    """Returns the depth of the input and of each layer.

    The depth is the number of layers on the longest path from the input.
    """
    below: dict[str, list[str]] = {}
    for low, high in links:
        below.setdefault(high, []).append(low)
    depths = {next(iter(fields.values())).input: 0}
    for name in fields:
        depths[name] = 1 + max(
            (depths.get(low, 0) for low in below.get(name, ())), default=0
        )
    return depths


def _distinct_axes(
    fields: Fields, sizes: Mapping[str, NDArray[Any]]
) -> list[tuple[int, str]]:
    """Returns the number and name of each axis to draw.

    If all axes grow alike, there is a single entry for all of them.
    """
    rank = len(next(iter(fields.values())).axes)
    names = list(map(axis_name, range(rank)))
    if all((size == size[0]).all() for size in sizes.values()):
        return [(0, ", ".join(names))]
    return list(enumerate(names))


def _draw_axis(
    ax: Any,
    axis: int,
    label: str,
    links: Sequence[Link],
    depths: Mapping[str, int],
    sizes: Mapping[str, NDArray[Any]],
) -> None:
    colour = COLOURS[axis % len(COLOURS)]
    found = {n: float(s[axis]) for n, s in sizes.items() if np.isfinite(s[axis])}
    _draw_links(ax, label, links, depths, found, colour)
    # Points of neighbouring layers touch, but do not cover each other.
    room = 72 * _width(ax) / (max(depths.values()) + 1)
    ax.plot(
        [depths[name] for name in found],
        list(found.values()),
        "os^"[axis % 3],
        markersize=min(max(room, 2.5), 7) * (1, 0.6, 0.4)[min(axis, 2)],
        markerfacecolor="white" if axis == 0 else colour,
        color=colour,
        label=f"receptive field, {label}",
        gid=label,
        zorder=3,
    )


def _width(ax: Any) -> float:
    """Returns the width of the plot in inches."""
    return float(ax.get_window_extent().width / ax.figure.dpi)


def _draw_links(
    ax: Any,
    label: str,
    links: Sequence[Link],
    depths: Mapping[str, int],
    sizes: Mapping[str, float],
    colour: str,
) -> None:
    """Draws the connections: those with the next depth as lines, skips as curves."""
    known = {next(iter(depths)): 1.0, **sizes}  # A pixel of the input sees itself.
    segments, curves = [], []
    path = imported("matplotlib.path").Path
    sag = SAG * max(known.values())
    for low, high in links:
        if low in known and high in known:
            (x0, y0), (x1, y1) = ((depths[n], known[n]) for n in (low, high))
            if x1 - x0 <= 1:
                segments.append([(x0, y0), (x1, y1)])
            else:
                # It stays below the points of the layers beside it.
                level = min(y0, y1) - sag
                bend = [(x0, y0), (x0 + 0.5, level), (x1, level), (x1, y1)]
                curves.append(path(bend, [path.MOVETO] + [path.CURVE4] * 3))
    collections = imported("matplotlib.collections")
    lines = {"colors": colour, "linewidths": 1, "alpha": 0.5, "zorder": 2}
    ax.add_collection(collections.LineCollection(segments, **lines, gid="links"))
    dashed = {"linestyle": "--", "linewidth": 0.9, "zorder": 2}
    ax.add_collection(
        collections.PathCollection(
            curves, facecolor="none", edgecolor=colour, gid="skips", **dashed
        )
    )
    if curves:
        ax.plot([], [], color=colour, label=f"skips, {label}", **dashed)


def _draw_unbounded(ax: Any, fields: Fields, depths: Mapping[str, int]) -> None:
    """Marks the layers whose receptive field has no finite size."""
    whole = [depths[name] for name, field in fields.items() if field.is_global]
    unknown = [
        depths[name]
        for name, field in fields.items()
        if not field.is_global and not np.isfinite(field.size.astype(float)).all()
    ]
    for found, gid, marker, colour, label in (
        (whole, "whole", "^", PURPLE, "sees a whole axis"),
        (unknown, "unknown", "v", ORANGE, "may see anything"),
    ):
        if found:
            ax.plot(
                found,
                [0.99] * len(found),
                marker,
                transform=ax.get_xaxis_transform(),
                color=colour,
                markersize=5,
                label=label,
                gid=gid,
            )


def _draw_input_sizes(ax: Any, field: ReceptiveField) -> None:
    sizes: dict[int, list[str]] = {}
    for number, axis in enumerate(field.axes):
        if axis.input_size is not None:
            sizes.setdefault(axis.input_size, []).append(axis_name(number))
    for size, names in sizes.items():
        ax.axhline(
            size,
            color="black",
            linestyle="--" if "x" in names else ":",
            linewidth=1,
            label=f"size of the input, {', '.join(names)}: {size}",
            gid="input",
        )


def _name_layers(ax: Any, links: Sequence[Link], depths: Mapping[str, int]) -> bool:
    """Writes names of layers below depths; returns whether none counts others."""
    names = _names_by_depth(depths, links)
    room = int(_width(ax) / WIDTH_OF_NAME)
    most = max(map(len, names))
    if len(names) * most <= room:
        labels = {d: "\n".join(map(_short, some)) for d, some in enumerate(names)}
    else:
        labels = {
            d: _short(names[d][0]) + (f" +{len(names[d]) - 1}" if names[d][1:] else "")
            for d in _chosen(names, links, depths, max(room, 1))
        }
    ax.set_xticks(
        list(labels),
        list(labels.values()),
        rotation=90,
        fontsize=7,
        linespacing=1.1,
        parse_math=False,
    )
    return not any(" +" in label for label in labels.values())


def _names_by_depth(
    depths: Mapping[str, int], links: Sequence[Link]
) -> list[list[str]]:
    """Returns the names of the layers at each depth, those that join paths first."""
    joins = _joins(links)
    names: list[list[str]] = [[] for _ in range(max(depths.values()) + 1)]
    for name, depth in depths.items():
        names[depth].append(name)
    return [sorted(some, key=lambda name: name not in joins) for some in names]


def _joins(links: Sequence[Link]) -> set[str]:
    """Returns the layers that read several others."""
    count: dict[str, int] = {}
    for _, high in links:
        count[high] = count.get(high, 0) + 1
    return {name for name, n in count.items() if n > 1}


def _chosen(
    names: Sequence[Sequence[str]],
    links: Sequence[Link],
    depths: Mapping[str, int],
    room: int,
) -> list[int]:
    """Returns the depths of the layers to name, so far apart that names fit.

    The last layer comes first, then layers that all paths pass, and of these, and of
    the others, layers that join paths.
    """
    joins = _joins(links)
    beside: NDArray[np.int64] = np.zeros(len(names) + 1, dtype=np.int64)
    for low, high in links:
        if depths[high] - depths[low] > 1:
            beside[depths[low] + 1] += 1
            beside[depths[high]] -= 1
    skipped = beside.cumsum()

    def rank(depth: int) -> tuple[bool, bool, bool, int]:
        alone = len(names[depth]) == 1 and not skipped[depth]
        joining = names[depth][0] in joins
        return depth < len(names) - 1, not alone, not joining, depth

    apart = math.ceil(len(names) / room)
    chosen: list[int] = []
    for depth in sorted(range(len(names)), key=rank):
        if all(abs(depth - other) >= apart for other in chosen):
            chosen.append(depth)
    return sorted(chosen)


def _short(name: str) -> str:
    """Returns a name without its middle, if it is long."""
    shown = printable(name)
    if len(shown) <= LONGEST_NAME:
        return shown
    part = LONGEST_NAME // 2
    return f"{shown[:part]}\u2026{shown[1 - part :]}"
