"""Tables of all layers, as text in several formats and as a DataFrame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.results.words import Described, first_center

if TYPE_CHECKING:
    from receptive_field.results.costs import Costs


Fields = Mapping[str, Described]
"""Tensor name -> receptive field."""

Errors = Mapping[str, ReceptiveFieldError]
"""Tensor name -> the reason why the tensor could not be analysed."""

FORMATS = ("table", "csv", "json", "markdown")

HEADER = (
    *("layer", "op", "output size", "receptive field", "stride", "padding"),
    *("first centre", "FLOPs", "parameters"),
)


NAMES = ("layer", "op")
"""The columns that contain text instead of numbers."""

COSTS = ("FLOPs", "parameters")
"""The columns that show costs."""


def layer_rows(
    fields: Fields,
    costs: Costs | None = None,
    columns: Sequence[str] = HEADER,
) -> list[dict[str, Any]]:
    """Returns one row for each layer or node, as a mapping from columns to values.

    A value with one number per axis is a list, x first.

    Args:
      fields: name -> receptive field.
      costs: the costs of the layers or nodes, if known.
      columns: the columns to return, chosen from `HEADER`, in any order.
    """
    rows = []
    for name, field in fields.items():
        sizes = [axis.size for axis in field.feature_axes]
        # `costs.get` would search for similar names whenever a name is missing.
        cost = costs[name] if costs is not None and name in costs else None
        values = (
            *(name, _op(field), sizes, _plain(field.size), _plain(field.stride)),
            *(_plain(field.padding), first_center(field)),
            *((None, None) if cost is None else (cost.flops, cost.parameters)),
        )
        row = dict(zip(HEADER, values, strict=True))
        rows.append({column: row[column] for column in columns})
    return rows


def _op(field: Described) -> str | None:
    return None if field.origin is None else field.origin.op


def _plain(values: Any) -> list[Any]:
    return [float(v) if isinstance(v, Fraction) else v for v in values.tolist()]


WITHOUT_COSTS = tuple(column for column in HEADER if column not in COSTS)


def as_text(fields: Fields, errors: Errors) -> str:
    """Returns a table of all layers, and the number of tensors that failed."""
    table = formatted(layer_rows(fields, None, WITHOUT_COSTS), "table")
    return table + _failures(errors)


def as_html(fields: Fields, errors: Errors) -> str:
    """Returns a scrollable HTML table of all layers."""
    from html import escape  # Only notebooks need it.

    head = "".join(f"<th>{escape(column)}</th>" for column in WITHOUT_COSTS)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(v))}</td>" for v in row.values()) + "</tr>"
        for row in layer_rows(fields, None, WITHOUT_COSTS)
    )
    return (
        '<div style="max-height:30em;overflow:auto"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"<p>{escape(_failures(errors))}</p></div>"
    )


def _failures(errors: Errors) -> str:
    if not errors:
        return ""
    name, error = next(iter(errors.items()))
    return f"{len(errors)} could not be analysed (.errors): {name}: {error}"


def as_dataframe(fields: Fields, errors: Errors) -> Any:
    """See `ReceptiveFields.to_dataframe`."""
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise ReceptiveFieldError(
            'a DataFrame requires pandas: run pip install "receptive_field[pandas]".'
        ) from None
    rows = [_flat(name, field) for name, field in fields.items()]
    rows += [{"layer": n, "error": str(e)} for n, e in errors.items()]
    used = {column for row in rows for column in row}
    columns = [column for column in FLAT if column in used or column in ALWAYS]
    table = pandas.DataFrame(rows, columns=columns).convert_dtypes()
    empty = [column for column in columns if table[column].isna().all()]
    kinds = {c: "string" if c in ("op", "error") else "Int64" for c in empty}
    return table.astype(kinds)


NUMBERS = ("output_size", "rf", "stride", "padding", "center")
ALWAYS = ("layer", "op", "aligned", "exact", "error")
FLAT = (
    *ALWAYS[:2],
    *(f"{number}_{axis}" for axis in "xyz" for number in NUMBERS),
    *ALWAYS[2:],
)
"""The possible columns of a DataFrame. Columns for missing axes are left out."""


def _flat(name: str, field: Described) -> dict[str, Any]:
    """Returns a DataFrame row, in which each number of each axis has its own column."""
    (row,) = layer_rows({name: field})
    parts = ("output size", "receptive field", "stride", "padding", "first centre")
    numbers = {
        f"{number}_{axis}": value
        for number, part in zip(NUMBERS, parts, strict=True)
        for axis, value in zip("xyz", row[part] or (), strict=False)
    }
    flags = {"aligned": field.aligned, "exact": field.exact}
    return {"layer": name, "op": row["op"], **numbers, **flags, "error": None}


def formatted(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Returns the rows as text in one of the `FORMATS`.

    In JSON, unknown values are null, and an infinite receptive field is ``"inf"``.
    """
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
        rule = ["---" if column in NAMES else "---:" for column in header]
        lines = [header, rule, *escaped]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [header, ["-" * width for width in widths], *cells]
    left = [column in NAMES for column in header]
    return "".join(_aligned(line, widths, left) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    """Returns a line whose names are left-aligned and numbers right-aligned."""
    cells = [
        cell.ljust(width) if is_name else cell.rjust(width)
        for cell, width, is_name in zip(line, widths, left, strict=True)
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
