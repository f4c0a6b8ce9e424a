"""Lays out a table as text, and fits it to the width of a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

GAP = 2
"""The number of spaces between two columns."""

LEAST_NAME = 8
"""Names keep at least so many characters, except on narrower terminals."""

ALL_COLUMNS = "to_dataframe() or a wider terminal"


class Fit(NamedTuple):
    """What a table has to fit."""

    width: int
    """The number of characters in a line."""
    ellipsis: str = "…"
    """What stands for the middle of a shortened name."""
    keeps_all: bool = False
    """Whether all columns are kept, so that only names can be shortened."""
    advice: str = ALL_COLUMNS
    """Where the columns that are left out can be seen."""


def terminal_fit(
    out: Any, keeps_all: bool = False, advice: str = ALL_COLUMNS
) -> Fit | None:
    """Returns what a table has to fit that is written to a stream.

    Returns None if the stream is not a terminal: in a pipe or a file, nothing is
    shortened or left out.
    """
    if out is None or not out.isatty():
        return None
    ellipsis = "…"
    try:
        ellipsis.encode(getattr(out, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        ellipsis = "..."
    width = max(shutil.get_terminal_size().columns, 1)
    return Fit(width, ellipsis, keeps_all, advice)


def table(
    header: Sequence[str],
    cells: Sequence[Sequence[str]],
    names: Sequence[str],
    most_useful: Sequence[str],
    fit: Fit | None,
) -> str:
    """Returns a table as text, with a line below the header.

    Args:
      header: the names of the columns.
      cells: the rows.
      names: the columns that contain names. They are aligned to the left, and may be
        shortened. The first column is always kept.
      most_useful: the columns in the order in which they are kept.
      fit: what the table has to fit. None if it may have any width.
    """
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    heads = [[text] for text in header]
    if fit is None or sum(widths) + GAP * (len(widths) - 1) <= fit.width:
        return "".join(_lines(heads, cells, widths, header, names))
    heads = [text.split(" ") for text in header]
    natural = [
        max(map(len, [*head, *column]))
        for head, column in zip(heads, zip(*cells, strict=True), strict=True)
    ]
    widths = _least_widths(header, natural, names, fit)
    kept = _kept(header, cells, widths, most_useful, fit)
    spare = fit.width - sum(widths[i] + GAP for i in kept) + GAP
    for index in (i for i in kept if header[i] in names):
        more = max(min(natural[index] - widths[index], spare), 0)
        widths[index] += more
        spare -= more
    rows = [
        [_shortened(row[i], widths[i], fit.ellipsis) for i in kept] for row in cells
    ]
    chosen = [header[i] for i in kept]
    text = "".join(
        _lines([heads[i] for i in kept], rows, [widths[i] for i in kept], chosen, names)
    )
    left_out = [column for column in header if column not in chosen]
    if left_out:
        told = f"not shown: {', '.join(left_out)}. To see them, use {fit.advice}."
        text += f"\n{wrapped(told, fit)}\n"
    return text


def wrapped(text: str, fit: Fit | None) -> str:
    """Returns a text, in lines that fit."""
    if fit is None:
        return text
    return "\n".join(textwrap.wrap(text, fit.width))


def _least_widths(
    header: Sequence[str], natural: Sequence[int], names: Sequence[str], fit: Fit
) -> list[int]:
    """Returns the widths to which columns may shrink."""
    shares = {names[0]: 3 * fit.width // 8}  # The other names get half of that.
    return [
        min(width, max(shares.get(column, 3 * fit.width // 16), LEAST_NAME), fit.width)
        if column in names
        else width
        for column, width in zip(header, natural, strict=True)
    ]


def _kept(
    header: Sequence[str],
    cells: Sequence[Sequence[str]],
    widths: Sequence[int],
    most_useful: Sequence[str],
    fit: Fit,
) -> list[int]:
    """Returns the indices of the columns to keep, in the order of the table.

    Columns are kept in the order of their use, as long as they fit. Columns that say
    little come after the others, and columns without a single value come last.
    """
    if fit.keeps_all:
        return list(range(len(header)))

    def place(index: int) -> tuple[int, int]:
        values = [text for row in cells if (text := row[index].strip()) != "-"]
        # Some maps behind global pooling have one position at any input size.
        says_little = 2 * len(values) < len(cells) and len(set(values)) == 1
        rank = 2 if not values else 1 if says_little else 0
        return rank, list(most_useful).index(header[index])

    first, *others = sorted(range(len(header)), key=place)
    kept, used = [first], widths[first]
    for index in others:
        used += GAP + widths[index]
        if used > fit.width:
            break
        kept.append(index)
    return sorted(kept)


def _shortened(text: str, width: int, ellipsis: str) -> str:
    """Returns a text, without its middle if it is too long."""
    if len(text) <= width:
        return text
    if width <= len(ellipsis):
        return text[:width]
    rest = width - len(ellipsis)
    end = rest // 2
    return text[: rest - end] + ellipsis + text[len(text) - end :]


def _lines(
    heads: Sequence[Sequence[str]],
    cells: Sequence[Sequence[str]],
    widths: Sequence[int],
    header: Sequence[str],
    names: Sequence[str],
) -> Iterator[str]:
    """Yields the lines of a table; the lines of a header end at the bottom."""
    left = [column in names for column in header]
    height = max(map(len, heads))
    above = [[""] * (height - len(head)) + list(head) for head in heads]
    rule = ["-" * width for width in widths]
    for line in (*zip(*above, strict=True), rule, *cells):
        texts = [
            cell.ljust(width) if is_name else cell.rjust(width)
            for cell, width, is_name in zip(line, widths, left, strict=True)
        ]
        yield (" " * GAP).join(texts).rstrip() + "\n"
