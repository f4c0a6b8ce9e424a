"""Turns the CSV file of rf_benchmark.py, or any other, into a Markdown table.

Example:
  python csv_to_markdown_table.py --csv_path rf_benchmark_results.csv \
    --markdown_path rf_benchmark_results.md
"""

import csv
import os
import sys
from collections.abc import Iterable, Sequence

from absl import app, flags

import receptive_field as rf
from receptive_field.whole_files import check_writable, write_whole

FLAGS = flags.FLAGS

flags.DEFINE_string("csv_path", None, "Path of the CSV file to read.", required=True)
flags.DEFINE_string(
    "markdown_path",
    None,
    "Path of the file to write. The table is printed if not given.",
)


def markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """A table of which the first row is the header; numbers are aligned to the right.

    Cells are taken as text: what Markdown would interpret as a new cell is escaped.
    """
    header, *body = [[_cell(cell) for cell in row] for row in rows]
    numeric = [
        any(column) and all(map(_is_number, filter(None, column)))
        for column in zip(*body, strict=True)
    ] or [False] * len(header)
    rule = ["---:" if right else "---" for right in numeric]
    lines = [header, rule, *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read(path: str) -> list[list[str]]:
    """The rows of a CSV file.

    Raises:
      ReceptiveFieldError: if it cannot be read, is empty, or its rows differ in length.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise rf.ReceptiveFieldError(f"cannot read {path!r}: {error}.") from None
    if not rows:
        raise rf.ReceptiveFieldError(f"{path!r} is empty: there is no header.")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise rf.ReceptiveFieldError(
                f"row {number} of {path!r} has {len(row)} cells, the header "
                f"{len(rows[0])}."
            )
    return rows


def main(arguments: list[str]) -> int:
    """Reads, converts and writes; returns the exit status."""
    if len(arguments) > 1:
        print(f"error: unexpected argument {arguments[1]!r}", file=sys.stderr)
        return 1
    try:
        if FLAGS.markdown_path:
            check_writable(FLAGS.markdown_path, FLAGS.csv_path)
        text = markdown_table(read(FLAGS.csv_path))
        if FLAGS.markdown_path:
            write_whole(FLAGS.markdown_path, text.encode())
        else:
            print(text, end="", flush=True)
    except rf.ReceptiveFieldError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (OSError, UnicodeError) as error:  # A full disk, an old terminal.
        print(f"error: cannot print the table: {error}.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
