"""Axes, colours and file output shared by all plots."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from receptive_field.errors import ReceptiveFieldError
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


def axes(ax: Any, width: float, height: float) -> Any:
    """Returns the caller's axes or, for None, new axes of this size in inches."""
    pyplot = imported("matplotlib.pyplot")
    if ax is None:
        _, ax = pyplot.subplots(figsize=(width, height), layout="constrained")
    return ax


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
def file_axes(
    path: str | os.PathLike[str], width: float, height: float
) -> Iterator[Any]:
    """Provides axes to draw on, and then writes their figure to a file.

    Every run writes the same bytes. No window is opened, and no display is needed. If
    drawing fails, nothing is written.

    Args:
      path: the path of the file. Its extension must be one of `KINDS`.
      width, height: the size of the figure, in inches.

    Raises:
      ReceptiveFieldError: if the file cannot be written. The path is checked before
        drawing.
    """
    kind = kind_of(path)
    figure = imported("matplotlib.figure").Figure((width, height), layout="constrained")
    yield figure.subplots()
    content = io.BytesIO()
    with imported("matplotlib").rc_context({"svg.hashsalt": "receptive_field"}):
        metadata = {KINDS[kind]: None}
        figure.savefig(content, format=kind, dpi=150, metadata=metadata)
    write_whole(path, content.getvalue())
