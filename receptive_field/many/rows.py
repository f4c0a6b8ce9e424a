"""One row for each file: its columns, and the function that computes it in a worker."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from receptive_field.api import compute_receptive_field
from receptive_field.errors import ReceptiveFieldError
from receptive_field.many.limits import Limits, Watch
from receptive_field.net import net
from receptive_field.printable import printable

Query = Mapping[str, Any]
"""The options of `compute_receptive_field`."""

CHUNK_SECONDS = 0.25
"""The time for which a worker collects rows before it sends them. Sending each row by
itself would be much slower."""


class Row(NamedTuple):
    """The receptive field of one file's output, or the reason why it has none.

    A missing number is None. A size is infinite if a feature sees a whole axis. A
    number that is not an integer is a float.
    """

    model: str
    options: str | None = None
    """The options that differ from the default, as text."""
    input: str | None = None
    output: str | None = None
    rf_x: float | None = None
    rf_y: float | None = None
    rf_z: float | None = None
    stride_x: float | None = None
    stride_y: float | None = None
    stride_z: float | None = None
    padding_x: float | None = None
    padding_y: float | None = None
    padding_z: float | None = None
    aligned: bool | None = None
    exact: bool | None = None
    error: str | None = None


def described(question: Query) -> str | None:
    """Returns the options that differ from their defaults, as one line of text."""
    usual = ("global_context", "include")
    given = [
        f"{k}={v!r}" for k, v in question.items() if v is not None and (k, v) != usual
    ]
    return printable(", ".join(given)) or None


def analyse(
    question: Query, limits: Limits, paths: list[str], ticket: str
) -> tuple[list[Row], float]:
    """Returns rows for the first of the paths, and the time taken in seconds.

    No further path is started after `CHUNK_SECONDS`. The ticket makes each call unique,
    because Dask does not repeat a call with the same arguments.
    """
    start, seconds = time.perf_counter(), 0.0
    rows: list[Row] = []
    with Watch(limits) as watch:
        while len(rows) < len(paths) and seconds < CHUNK_SECONDS:
            rows.append(_row(paths[len(rows)], question, watch))
            seconds = time.perf_counter() - start
    return rows, seconds


def _row(path: str, question: Query, watch: Watch) -> Row:
    name, options = printable(path), described(question)
    before = _stamp(path)
    try:
        with watch.limited(), net():
            field = compute_receptive_field(path, **question)
        if len(field.axes) > 3:
            raise ReceptiveFieldError(
                "a row can hold at most three axes, but the input has "
                f"{len(field.axes)}; analyse this file with compute_receptive_field."
            )
        if _stamp(path) != before:
            raise ReceptiveFieldError(
                f"the file {path!r} changed while it was being read; repeat the call."
            )
    except ReceptiveFieldError as error:
        return Row(name, options, error=printable(str(error)))
    kinds = {"rf": field.size, "stride": field.stride, "padding": field.padding}
    numbers = {
        f"{kind}_{axis}": _number(value)
        for kind, values in kinds.items()
        for axis, value in zip("xyz", values.tolist(), strict=False)
    }
    texts = {"input": printable(field.input), "output": printable(field.output)}
    flags = {"aligned": field.aligned, "exact": field.exact}
    cells: dict[str, Any] = {**texts, **numbers, **flags}
    return Row(name, options, **cells)


def _stamp(path: str) -> tuple[int, int, int] | None:
    """Returns a stamp that changes when the file, or the folder's graph, changes."""
    for name in (f"{path}/saved_model.pb", f"{path}/saved_model.pbtxt", path):
        with suppress(OSError, ValueError):
            status = os.stat(name)
            return status.st_mtime_ns, status.st_size, status.st_ino
    return None


def _number(value: Any) -> float | None:
    """Returns integers that fit in a float unchanged, and other numbers as floats."""
    whole = isinstance(value, int) and abs(value) <= 2**53
    return value if value is None or whole else float(value)
