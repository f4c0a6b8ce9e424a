"""Texts in columns."""

from __future__ import annotations

from collections.abc import Sequence


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns rows of texts as lines in which the columns start at the same place.

    >>> in_columns([("level", "stride"), ("p3", "8"), ("p4", "16")])
    ['level  stride', 'p3     8', 'p4     16']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{text:{width}}" for text, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
