"""Tables of all layers, as text of several kinds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from receptive_field.costs import Costs
from receptive_field.errors import ReceptiveFieldError
from receptive_field.result import ReceptiveField

FORMATS = ("table", "csv", "json", "markdown")

HEADER = (
    *("layer", "op", "output size", "receptive field", "stride", "padding"),
    *("first centre", "FLOPs", "parameters"),
)


def layer_rows(
    fields: Mapping[str, ReceptiveField], ops: Mapping[str, str], costs: Costs | None
) -> list[dict[str, Any]]:
    """One row for each layer or node; numbers per axis are lists, x first.

    Args:
      fields: name -> receptive field.
      ops: name -> op type.
      costs: what they cost, if it is known.
    """
    rows = []
    for name, field in fields.items():
        sizes = [None if a is None else a.output_size for a in field.followed_axes]
        cost = None if costs is None else costs.get(name)
        values = (
            *(name, ops[name], sizes, _plain(field.size), _plain(field.stride)),
            *(_plain(field.padding), _centre(field)),
            *((None, None) if cost is None else (cost.flops, cost.parameters)),
        )
        rows.append(dict(zip(HEADER, values, strict=True)))
    return rows


def _plain(values: Any) -> list[Any]:
    return [float(v) if isinstance(v, Fraction) else v for v in values.tolist()]


def _centre(field: ReceptiveField) -> list[float] | None:
    try:
        origin = [0] * len(field.axes)
        centre: list[float] = field.compute_input_center_coordinates(origin).tolist()
    except ReceptiveFieldError:
        return None  # It is not known, or there is none.
    return centre


def formatted(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """The rows as text: one of `FORMATS`. JSON has null for what is not known, and for
    a receptive field without a bound the string "inf"."""
    if kind == "json":
        finite = [{k: _json(v) for k, v in row.items()} for row in rows]
        return json.dumps(finite, indent=2, allow_nan=False) + "\n"
    cells = [[_cell(value) for value in row.values()] for row in rows]
    header = list(rows[0]) if rows else list(HEADER)
    if kind == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *cells])
        return text.getvalue()
    if kind == "markdown":
        escaped = [[cell.replace("|", "\\|") for cell in row] for row in cells]
        rule = ["---", "---", *["---:"] * (len(header) - 2)]
        lines = [header, rule[: len(header)], *escaped]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [header, ["-" * width for width in widths], *cells]
    return "".join(_aligned(line, widths) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    """Names to the left, numbers to the right."""
    cells = [
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
    return "  ".join(cells).rstrip() + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        texts = [_cell(v) for v in value]
        return texts[0] if len(set(texts)) == 1 else " x ".join(texts)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(v) for v in value]
    return "inf" if value == float("inf") else value
