"""Texts of strangers, such as names of layers, made harmless for where they are shown.

Names come from model files and may hold anything. Results keep them as they are; these
functions write them on a terminal, into a CSV file and into Markdown.
"""

from __future__ import annotations

import re

FORMULA = re.compile("'*[=+@-]")
"""The start of what a spreadsheet takes for a formula, or of a cell that hides one."""

_MARKDOWN = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {c: f"\\{c}" for c in "\\`|[]"}
)


def printable(text: str) -> str:
    r"""Returns a text in one line, with characters that cannot be printed escaped.

    These are the characters that Python escapes in the ``repr`` of a text: among them
    control characters, marks that change the direction of a text, and line separators.

    >>> print(printable("größe\x1b[2J\n\u202e"))
    größe\x1b[2J\n\u202e
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def csv_cell(text: str) -> str:
    """Returns a text as the cell of a CSV file that no spreadsheet runs.

    An apostrophe is put before a text that begins with ``=``, ``+``, ``-`` or ``@``,
    and before a text that looks like such a cell.

    >>> csv_cell("=1+1"), csv_cell("'=1+1"), csv_cell("'quoted'")
    ("'=1+1", "''=1+1", "'quoted'")
    """
    shown = printable(text)
    return f"'{shown}" if FORMULA.match(shown) else shown


def from_csv_cell(cell: str) -> str:
    """Returns the text of a cell that `csv_cell` wrote.

    >>> from_csv_cell("'=1+1"), from_csv_cell("''=1+1"), from_csv_cell("'quoted'")
    ('=1+1', "'=1+1", "'quoted'")
    """
    return cell.removeprefix("'") if FORMULA.match(cell) else cell


def markdown(text: str) -> str:
    r"""Returns a text that Markdown shows as it is, without tags, links and code.

    >>> print(markdown("<b>a|b</b> [c](javascript:d)"))
    &lt;b&gt;a\|b&lt;/b&gt; \[c\](javascript:d)
    """
    return printable(text).translate(_MARKDOWN)
