"""What all plots share: axes to draw on, colours, and files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.whole_files import check_writable, write_whole

# Okabe and Ito's colours, which the colour-blind tell apart, too.
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
PURPLE, VERMILION, SKY = "#CC79A7", "#D55E00", "#56B4E9"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
PADDING = "0.55"

KINDS = {"svg": "Date", "png": "Software", "pdf": "CreationDate"}
"""Endings of files, and what in such a file would differ from run to run."""


def imported(name: str) -> Any:
    """A module of Matplotlib, or of what comes with it."""
    try:
        return import_module(name)
    except ImportError:
        raise ReceptiveFieldError(
            'plots are drawn with Matplotlib: pip install "receptive_field[plot]".'
        ) from None


def axes(ax: Any, width: float, height: float) -> Any:
    """The axes to draw on: the caller's, or new ones of this size in inches."""
    pyplot = imported("matplotlib.pyplot")
    if ax is None:
        _, ax = pyplot.subplots(figsize=(width, height), layout="constrained")
    return ax


def kind_of(path: str | os.PathLike[str]) -> str:
    """Which kind of file a path means, by its ending.

    Raises:
      ReceptiveFieldError: if it is none of `KINDS`, or cannot be written there.
    """
    kind = os.path.splitext(os.fspath(path))[1].lower().lstrip(".")
    if kind not in KINDS:
        known = ", ".join("." + ending for ending in KINDS)
        raise ReceptiveFieldError(
            f"{os.fspath(path)!r}: a plot is written to a file that ends with one of "
            f"{known}."
        )
    check_writable(path)
    return kind


@contextmanager
def file_axes(
    path: str | os.PathLike[str], width: float, height: float
) -> Iterator[Any]:
    """Axes whose figure is written to a file in the end, the same in every run.

    No window is opened, and no display needed. Nothing is written if drawing fails.

    Args:
      path: where to; its ending is one of `KINDS`.
      width, height: of the figure, in inches.

    Raises:
      ReceptiveFieldError: if the file cannot be written; known before the work.
    """
    kind = kind_of(path)
    figure = imported("matplotlib.figure").Figure((width, height), layout="constrained")
    yield figure.subplots()
    content = io.BytesIO()
    with imported("matplotlib").rc_context({"svg.hashsalt": "receptive_field"}):
        metadata = {KINDS[kind]: None}
        figure.savefig(content, format=kind, dpi=150, metadata=metadata)
    write_whole(path, content.getvalue())
