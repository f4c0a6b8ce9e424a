"""Axes, colours, legends and file output shared by all plots."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from receptive_field.errors import ReceptiveFieldError
from receptive_field.printable import printable
from receptive_field.whole_files import check_writable, open_already, write_whole

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
PURPLE, VERMILION, SKY = "#CC79A7", "#D55E00", "#56B4E9"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
PADDING = "0.55"

KINDS = {"svg": "Date", "png": "Software", "pdf": "CreationDate"}
"""File extension -> the metadata field that would differ between runs or versions."""


def imported(name: str) -> Any:
    """Imports a module of Matplotlib, or of a package that Matplotlib requires.

    Raises:
      ReceptiveFieldError: if the module is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise ReceptiveFieldError(
            'plots require Matplotlib: run pip install "receptive_field[plot]".'
        ) from None


class Drawing(NamedTuple):
    """A plot of one model that is ready to be drawn: nothing can fail any more."""

    width: float
    """In inches, like the height."""
    height: float
    draw: Callable[[Any], None]
    """Draws on Matplotlib axes."""


def draw_one(drawing: Drawing, ax: Any) -> Any:
    """Draws on axes, in a figure or, for None, in a new figure; returns the axes."""
    (on,) = axes(ax, 1, drawing.width, drawing.height)
    drawing.draw(on)
    return on


def draw_several(
    models: Mapping[str, Any],
    prepare: Callable[[Any], Drawing],
    ax: Any,
    columns: int = 2,
) -> list[Any]:
    """Draws several models, each on axes of its own with its name above.

    Args:
      models: name of a model -> what to draw of it.
      prepare: returns the drawing of one model.
      ax: as many axes as models, a figure to fill, or None for a new figure.
      columns: how many axes of a new figure are side by side.

    Returns:
      The axes, in the order of the models.

    Raises:
      ReceptiveFieldError: if there is no model, or there are not as many axes.
    """
    if not models:
        raise ReceptiveFieldError("there are no models to draw.")
    drawings = [_prepared(name, one, prepare) for name, one in models.items()]
    width = max(drawing.width for drawing in drawings)
    height = max(drawing.height for drawing in drawings)
    places = axes(ax, len(models), width, height, columns)
    for name, drawing, on in zip(models, drawings, places, strict=True):
        drawing.draw(on)
        set_title(on, f"{printable(str(name))}\n{on.get_title()}")
    return places


def _prepared(name: str, one: Any, prepare: Callable[[Any], Drawing]) -> Drawing:
    try:
        return prepare(one)
    except ReceptiveFieldError as error:
        raise ReceptiveFieldError(f"{printable(str(name))}: {error}") from error


def axes(
    ax: Any, count: int, width: float, height: float, columns: int = 1
) -> list[Any]:
    """Returns the caller's axes, or new ones, each of this size in inches.

    Raises:
      ReceptiveFieldError: if the caller's axes are more or fewer than ``count``.
    """
    pyplot = imported("matplotlib.pyplot")
    is_figure = isinstance(ax, imported("matplotlib.figure").Figure)
    if ax is not None and not is_figure:
        given: list[Any] = np.ravel(np.array(ax, dtype=object)).tolist()
        if len(given) != count:
            raise ReceptiveFieldError(
                f"a plot of {count} {'model' if count == 1 else 'models'} needs as "
                f"many axes, or a figure to fill; got {len(given)} axes."
            )
        return given
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = ax if is_figure else pyplot.figure(layout="constrained")
    figure.set_size_inches(width * columns, height * rows)
    places = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in places[count:]:
        spare.remove()
    return list(places[:count])


def set_title(ax: Any, text: str) -> None:
    """Sets the title, in several lines if it is wider than the plot.

    It contains names, so it is no formula, even if it has dollar signs.
    """
    lines = (part for line in text.split("\n") for part in textwrap.wrap(line, 60))
    ax.set_title("\n".join(lines), fontsize="medium", parse_math=False)


def add_legend_below(ax: Any, columns: int = 3) -> None:
    """Adds a legend below the plot, where it hides nothing."""
    height = ax.bbox.y0 - ax.get_tightbbox().y0  # Of the labels, in dots.
    down = imported("matplotlib.transforms").ScaledTranslation(
        0, -height / ax.figure.dpi, ax.figure.dpi_scale_trans
    )
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=ax.transAxes + down,
        ncols=columns,
        fontsize="small",
        frameon=False,
    )


def kind_of(path: str | os.PathLike[str]) -> str:
    """Returns the kind of a file, which is the extension of its path.

    What is written to standard output is an SVG.

    Raises:
      ReceptiveFieldError: if the kind is not one of `KINDS`, or the file cannot be
        written.
    """
    if open_already(path) is not None:
        return "svg"
    kind = os.path.splitext(os.fspath(path))[1].lower().lstrip(".")
    if kind not in KINDS:
        known = ", ".join("." + ending for ending in KINDS)
        raise ReceptiveFieldError(
            f"cannot write a plot to {os.fspath(path)!r}: the name must end with one "
            f"of {known}."
        )
    check_writable(path)
    return kind


@contextmanager
def file_figure(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Provides a figure to draw on, and then writes it to a file.

    Every run writes the same bytes. No window is opened, and no display is needed. If
    drawing fails, nothing is written.

    Args:
      path: the path of the file. Its extension must be one of `KINDS`.

    Raises:
      ReceptiveFieldError: if the file cannot be written. The path is checked before
        drawing.
    """
    kind = kind_of(path)
    figure = imported("matplotlib.figure").Figure(layout="constrained")
    yield figure
    content = io.BytesIO()
    with imported("matplotlib").rc_context({"svg.hashsalt": "receptive_field"}):
        metadata = {KINDS[kind]: None}
        figure.savefig(content, format=kind, dpi=150, metadata=metadata)
    write_whole(path, content.getvalue())
