"""Tables of all layers, as text in several formats and as a DataFrame.

There are three kinds of rows. Rows for people (`shown`) hold one text for each column.
Data rows (`layer_rows`) hold a list with one number per axis, and flat rows (`flat`)
have a column of its own for each number.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.printable import csv_cell, markdown, printable
from receptive_field.results import fitting
from receptive_field.results.units import Units, in_middle, rounded, scaled
from receptive_field.results.words import (
    Described,
    first_center,
    sizes_strides_paddings,
)
from receptive_field.threads import lazy

if TYPE_CHECKING:
    from receptive_field.results.costs import Cost, Costs
    from receptive_field.results.layer_window import LayerWindow


Fields = Mapping[str, Described]
"""Tensor name -> receptive field."""

Errors = Mapping[str, ReceptiveFieldError]
"""Tensor name -> the reason why the tensor could not be analysed."""

FORMATS = ("table", "csv", "json", "markdown")

FIELD = (
    *("layer", "op", "output size", "receptive field", "stride", "padding"),
    "first centre",
)
"""The columns that describe a layer and everything between the input and the layer."""

LAYER = ("kernel", "layer stride", "dilation", "layer padding")
"""The columns that describe a layer alone."""

COSTS = ("FLOPs", "parameters")
"""The columns that show costs."""

HEADER = (*FIELD, *LAYER, "aligned", "exact", *COSTS)
"""The columns of a table for people."""

DATA = (
    *HEADER[: -len(COSTS)],
    *("same padding", "global", "local receptive field", "unproductive", *COSTS),
)
"""All columns. In a table for people, marks take the place of some of them."""

LENGTHS = (
    *("receptive field", "stride", "padding", "first centre"),
    "local receptive field",
)
"""The columns that can be shown in a physical unit: they measure the input."""

NAMES = ("layer", "op")
"""The columns that contain text instead of numbers."""

MOST_USEFUL = (
    *("layer", "receptive field", "op", "output size", "stride", "kernel", "padding"),
    *("layer stride", "parameters", "FLOPs", "layer padding", "dilation"),
    *("first centre", "aligned", "exact"),
)
"""The columns of a table, in the order in which they fill a narrow terminal."""

UNPRODUCTIVE = "*"

GLOBAL = "global"

SIZES, STRIDES, PADDINGS = range(3)

NOTES = {
    f"+ {GLOBAL}": "the layer also sees the whole input (global pooling, attention, "
    "dense layers); the numbers describe its other paths",
    GLOBAL: "the layer sees the input only as a whole",
    UNPRODUCTIVE: "unproductive: at this input size, every path to the layer already "
    "sees the whole input, so the layer cannot widen its view",
}
"""Mark -> its explanation below the table."""


@dataclass(frozen=True)
class _Row:
    """A layer, and what is known about it."""

    name: str
    field: Described
    costs: Costs | None
    parameters: Mapping[str, int]
    unproductive: frozenset[str] | None
    units: Units | None

    @lazy
    def near(self) -> Described:
        """The field of the paths that do not see a whole axis, if there are any."""
        return self.field.local or self.field

    @lazy
    def windows(self) -> Sequence[LayerWindow | None]:
        """The windows of the layer itself, or nothing if it has none."""
        found = self.field.layer_windows
        return found if any(found) else ()

    def data(self, column: str) -> Any:
        """Returns a value as data: a list for several axes, None if it is unknown."""
        return _DATA[column](self)

    def text(self, column: str) -> str:
        """Returns a value as text for people."""
        return _TEXT[column](self) if column in _TEXT else _cell(self.data(column))

    @lazy
    def of_all(self) -> Sequence[list[Any]]:
        """Sizes, strides and paddings of all paths."""
        return sizes_strides_paddings(self.field)

    @lazy
    def of_near(self) -> Sequence[list[Any]]:
        """Sizes, strides and paddings of `near`."""
        same = self.near is self.field
        return self.of_all if same else sizes_strides_paddings(self.near)

    def lengths(self, values: Sequence[Any]) -> list[Any]:
        """Returns sizes, strides or paddings as data, in the unit if any."""
        if self.units is None:
            return _plain(values)
        return scaled(values, self.units.spacing)

    def center(self, field: Described) -> list[float] | None:
        """Returns the centre of feature 0, in the unit if any."""
        center = first_center(field)
        return center if self.units is None else in_middle(center, self.units.spacing)

    def told(self, lengths: Sequence[Any] | None) -> str:
        """Returns what `lengths` or `center` returns as text for people."""
        return _together(self.each_told(lengths)) if lengths is not None else "-"

    def each_told(self, lengths: Sequence[Any]) -> list[str]:
        """Returns one text for each axis."""
        if self.units is None:
            return [_cell(value) for value in lengths]
        return ["-" if value is None else rounded(value) for value in lengths]

    @property
    def cost(self) -> Cost | None:
        # `costs.get` would search for similar names whenever a name is missing.
        known = self.costs is not None and self.name in self.costs
        return self.costs[self.name] if self.costs is not None and known else None

    @property
    def flops(self) -> int | None:
        if self.costs is None or self.cost is None:
            return None
        return self.costs.flops(self.name)

    def parameter_count(self) -> int | None:
        known = self.parameters.get(self.name)
        return known if self.cost is None else self.cost.parameters

    def is_local(self) -> bool:
        """Returns whether some path does not see a whole axis."""
        return self.field.local is not None

    def of_windows(self, name: str) -> list[Any] | None:
        found = [None if w is None else getattr(w, name) for w in self.windows]
        return found or None

    def sides(self) -> list[list[int | None] | None] | None:
        """Returns the padding before and after each axis."""
        found = [None if w is None else [w.before, w.after] for w in self.windows]
        return found or None

    def is_same(self) -> bool | None:
        """Returns whether the padding of the layer is SAME on any axis."""
        return any(w.same for w in self.windows if w) if self.windows else None

    def is_unproductive(self) -> bool | None:
        return None if self.unproductive is None else self.name in self.unproductive


def _op(row: _Row) -> str | None:
    return None if row.field.origin is None else row.field.origin.op


_DATA: Mapping[str, Callable[[_Row], Any]] = {
    "layer": lambda row: row.name,
    "op": _op,
    "output size": lambda row: [axis.size for axis in row.field.feature_axes],
    "receptive field": lambda row: row.lengths(row.of_all[SIZES]),
    "stride": lambda row: row.lengths(row.of_all[STRIDES]),
    "padding": lambda row: row.lengths(row.of_all[PADDINGS]),
    "first centre": lambda row: row.center(row.field),
    "kernel": lambda row: row.of_windows("kernel"),
    "layer stride": lambda row: row.of_windows("stride"),
    "dilation": lambda row: row.of_windows("dilation"),
    "layer padding": lambda row: row.sides(),
    "same padding": lambda row: row.is_same(),
    "aligned": lambda row: row.field.aligned,
    "exact": lambda row: row.field.exact,
    "global": lambda row: row.field.is_global,
    "local receptive field": lambda row: (
        None if row.field.local is None else row.lengths(row.of_near[SIZES])
    ),
    "unproductive": lambda row: row.is_unproductive(),
    "FLOPs": lambda row: row.flops,
    "parameters": lambda row: row.parameter_count(),
}
"""Column -> its value as data."""


def _size_text(row: _Row) -> str:
    mark = UNPRODUCTIVE if row.is_unproductive() else ""
    if row.field.is_global and row.field.local is None:
        return GLOBAL + mark
    sizes = row.each_told(row.lengths(row.of_near[SIZES]))
    texts = [
        f"{size} + {GLOBAL}" if axis.map.is_global else size
        for size, axis in zip(sizes, row.field.axes, strict=True)
    ]
    return _together(texts) + mark


def _padding_text(row: _Row) -> str:
    def text(w: LayerWindow | None) -> str:
        if w is None:
            return "-"
        if w.before is None or w.after is None:
            return "same" if w.same else "-"
        amount = f"{w.before}/{w.after}" if w.before != w.after else f"{w.before}"
        return f"same {amount}" if w.same else amount

    return _together([text(w) for w in row.windows]) if row.windows else "-"


def _yes(value: bool | None, no: str = "no", unknown: str = "unknown") -> str:
    return unknown if value is None else "yes" if value else no


_TEXT: Mapping[str, Callable[[_Row], str]] = {
    "receptive field": _size_text,
    "stride": lambda row: row.told(row.lengths(row.of_near[STRIDES])),
    "padding": lambda row: row.told(row.lengths(row.of_near[PADDINGS])),
    "first centre": lambda row: row.told(row.center(row.near)),
    "layer padding": _padding_text,
    "same padding": lambda row: _yes(row.data("same padding"), unknown="-"),
    "aligned": lambda row: _yes(row.near.aligned) if row.is_local() else "-",
    "exact": lambda row: _yes(row.near.exact, "at most"),
    "global": lambda row: _yes(row.field.is_global),
    "unproductive": lambda row: _yes(row.is_unproductive()),
}
"""Column -> its text for people, if it is not simply that of the data."""


def _plain(values: Iterable[Any]) -> list[Any]:
    return [float(v) if isinstance(v, Fraction) else v for v in values]


class Table:
    """A table of layers.

    Args:
      fields: name -> receptive field.
      costs: the costs of the layers or nodes, if known.
      columns: the columns to show, chosen from `DATA`, in any order. None means those
        that suit the format.
      unproductive: the names of the unproductive layers, if known.
      parameters: the parameters of layers whose costs are unknown.
      units: the unit of the columns in `LENGTHS`. None means positions of the input.
    """

    def __init__(
        self,
        fields: Fields,
        costs: Costs | None = None,
        columns: Sequence[str] | None = None,
        unproductive: Iterable[str] | None = None,
        parameters: Mapping[str, int] | None = None,
        units: Units | None = None,
    ) -> None:
        useless = None if unproductive is None else frozenset(unproductive)
        known = parameters or {}
        self.columns = columns
        self._units = units
        self._rows = [
            _Row(n, f, costs, known, useless, units) for n, f in fields.items()
        ]

    def sort(self, column: str, descending: bool = False) -> None:
        """Sorts the rows by a column; rows without a value come last.

        Numbers of several axes are compared along x, then along y. Layers that see the
        whole input come after the others, sorted by their local receptive fields.
        """

        def key(row: _Row) -> Any:
            value = row.data(column)
            if column == "receptive field":
                return value, row.data("local receptive field") or []
            return value

        def is_known(row: _Row) -> bool:
            return _is_known(row.data(column))

        known = sorted(filter(is_known, self._rows), key=key, reverse=descending)
        self._rows = known + [row for row in self._rows if not is_known(row)]

    def keep(self, count: int) -> None:
        """Keeps only the first rows."""
        self._rows = self._rows[:count]

    def data(self) -> list[dict[str, Any]]:
        """Returns the rows as data. A value with one number per axis is a list."""
        columns = self.columns or DATA
        return [{self._label(c): row.data(c) for c in columns} for row in self._rows]

    def _label(self, column: str) -> str:
        """Returns the name of a column, with its unit."""
        if self._units is None or column not in LENGTHS:
            return column
        return f"{column} ({self._units.unit})"

    def flat(self) -> tuple[list[str], list[dict[str, Any]]]:
        """Returns the columns and the rows, with a column for each number."""
        count = max((len(row.field.axes) for row in self._rows), default=0)
        axes = "xyz"[:count]
        if self.columns is None:
            columns = [
                *("layer", "op"),
                *(self._flat_label(name, axis) for axis in axes for name in NUMBERS),
                *FLAGS,
            ]
        else:
            columns = [
                name if column in SINGLE else self._flat_label(name, axis)
                for column in self.columns
                for axis in ("x" if column in SINGLE else axes)
                for name in _flat_names(column)
            ]
        used = self.columns or DATA
        return columns, [_flat(row, used, self._flat_label) for row in self._rows]

    def _flat_label(self, name: str, axis: str) -> str:
        """Returns the name of the column of a number, with its unit."""
        if self._units is None or name not in FLAT_LENGTHS:
            return f"{name}_{axis}"
        return f"{name}_{axis}_{self._units.unit}"

    def text(self, kind: str, fit: fitting.Fit | None = None) -> str:
        """Returns the table as text in one of the `FORMATS`.

        In JSON, unknown values are null, and an infinite receptive field is ``"inf"``.
        In CSV, unknown values are empty, an infinite receptive field is ``inf``, and
        names are written by `csv_cell`.

        Args:
          kind: the format.
          fit: what a table has to fit; None if it may have any width.
        """
        if kind == "json":
            rows = [{k: _json(v) for k, v in row.items()} for row in self.data()]
            return json.dumps(rows, indent=2, allow_nan=False) + "\n"
        if kind == "csv":
            columns, found = self.flat()
            lines = [[_csv(row.get(column)) for column in columns] for row in found]
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([columns, *lines])
            return text.getvalue()
        header, cells, notes = self.shown()
        if kind == "markdown":
            escaped = [list(map(markdown, row)) for row in cells]
            rule = ["---" if column in NAMES else "---:" for column in header]
            table = [header, rule, *escaped]
            lines_of = "".join(f"| {' | '.join(line)} |\n" for line in table)
            return lines_of + "".join(f"\n{note}\n" for note in notes)
        most_useful = [self._label(column) for column in MOST_USEFUL]
        found_text = fitting.table(header, cells, NAMES, most_useful, fit)
        told = "".join(f"{fitting.wrapped(note, fit)}\n" for note in notes)
        return found_text + ("\n" + told if told else "")

    def shown(self) -> tuple[list[str], list[list[str]], list[str]]:
        """Returns the header, the cells and the notes of a table for people."""
        header = list(self.columns or HEADER)
        cells = [[row.text(column) for column in header] for row in self._rows]
        notes = []
        if "receptive field" in header:
            place = header.index("receptive field")
            sizes = [row[place] for row in cells]
            for mark, note in NOTES.items():
                if any(_has(size, mark) for size in sizes):
                    notes.append(f"{mark}: {note}.")
            if any(size.endswith(UNPRODUCTIVE) for size in sizes):
                for row in cells:
                    if not row[place].endswith(UNPRODUCTIVE):
                        row[place] += " "
        return [self._label(column) for column in header], cells, notes


def _has(size: str, mark: str) -> bool:
    """Returns whether a cell shows a mark."""
    if mark == GLOBAL:
        return size.rstrip(UNPRODUCTIVE) == GLOBAL
    return mark in size


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
      columns: the columns to return, chosen from `DATA`, in any order.
    """
    return Table(fields, costs, columns).data()


WITHOUT_COSTS = tuple(column for column in HEADER if column not in COSTS)


def as_text(
    fields: Fields,
    errors: Errors,
    unproductive: Iterable[str] | None,
    fit: fitting.Fit | None = None,
    units: Units | None = None,
) -> str:
    """Returns a table of all layers, and the number of tensors that failed."""
    table = Table(fields, None, WITHOUT_COSTS, unproductive, units=units)
    return table.text("table", fit) + _failures(errors)


def as_html(
    fields: Fields,
    errors: Errors,
    unproductive: Iterable[str] | None,
    units: Units | None = None,
) -> str:
    """Returns a scrollable HTML table of all layers."""
    from html import escape  # Only notebooks need it.

    table = Table(fields, None, WITHOUT_COSTS, unproductive, units=units)
    header, cells, notes = table.shown()
    head = "".join(f"<th>{escape(column)}</th>" for column in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text.strip())}</td>" for text in row) + "</tr>"
        for row in cells
    )
    told = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        '<div style="max-height:30em;overflow:auto"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        f"{told}<p>{escape(_failures(errors))}</p></div>"
    )


def _failures(errors: Errors) -> str:
    if not errors:
        return ""
    name, error = next(iter(errors.items()))
    named = f"{printable(name)}: {error}"
    return f"{len(errors)} could not be analysed (.errors): {named}"


# --- One column for each number -------------------------------------------------------

FLAT_NAMES = {
    "output size": ("output_size",),
    "receptive field": ("rf",),
    "first centre": ("center",),
    "layer padding": ("layer_padding_before", "layer_padding_after"),
    "same padding": ("same_padding",),
    "local receptive field": ("local_rf",),
    "FLOPs": ("flops",),
}
"""Column -> its names in CSV and in a DataFrame, if they differ from the column's."""

NUMBERS = (
    *("output_size", "rf", "stride", "padding", "center", "local_rf"),
    *("kernel", "layer_stride", "dilation"),
    *("layer_padding_before", "layer_padding_after"),
)
"""The names of numbers per axis, to which the name of the axis is appended."""

FLAGS = (
    *("same_padding", "aligned", "exact", "global", "unproductive"),
    *("flops", "parameters"),
)

SINGLE = {
    *("layer", "op", "same padding", "aligned", "exact", "global", "unproductive"),
    *COSTS,
}
"""The columns without a number per axis."""


def _flat_names(column: str) -> tuple[str, ...]:
    return FLAT_NAMES.get(column, (column.replace(" ", "_"),))


def in_csv(name: str) -> list[str]:
    """Returns the column that has this name in CSV, or nothing if there is none.

    >>> in_csv("rf_x"), in_csv("layer_stride"), in_csv("rf_y_mm"), in_csv("stride of x")
    (['receptive field'], ['layer stride'], ['receptive field'], [])
    """
    number = re.sub(r"_[xyz](_.*)?$", "", name)
    return [column for column in DATA if number in _flat_names(column)]


FLAT_LENGTHS = frozenset(name for column in LENGTHS for name in _flat_names(column))
"""The names in CSV of the columns that can be shown in a physical unit."""


def _flat(
    row: _Row, columns: Iterable[str], label: Callable[[str, str], str]
) -> dict[str, Any]:
    """Returns a row in which each number of each axis has its own column."""
    axes = "xyz"[: len(row.field.axes)]
    found: dict[str, Any] = {}
    for column in columns:
        value, names = row.data(column), _flat_names(column)
        if column in SINGLE:
            found[names[0]] = value
            continue
        for number, axis in enumerate(axes):
            of_axis = value[number] if value and number < len(value) else None
            parts = of_axis if isinstance(of_axis, list) else [of_axis] * len(names)
            found |= {label(n, axis): v for n, v in zip(names, parts, strict=True)}
    return found


TEXTS = ("layer", "op", "error")


def as_dataframe(
    fields: Fields,
    errors: Errors,
    unproductive: Iterable[str] | None,
    units: Units | None = None,
) -> Any:
    """See `ReceptiveFields.to_dataframe`."""
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise ReceptiveFieldError(
            'a DataFrame requires pandas: run pip install "receptive_field[pandas]".'
        ) from None
    whole = Table(fields, None, None, unproductive, units=units)
    columns, rows = whole.flat()
    rows += [{"layer": name, "error": str(error)} for name, error in errors.items()]
    left_out = {_flat_names(column)[0] for column in COSTS}
    if unproductive is None:
        left_out.add("unproductive")
    columns = [column for column in (*columns, "error") if column not in left_out]
    table = pandas.DataFrame(rows, columns=columns).convert_dtypes()
    empty = [column for column in columns if table[column].isna().all()]
    kinds = {c: "string" if c in TEXTS else "Int64" for c in empty}
    return table.astype(kinds)


# --- Texts ----------------------------------------------------------------------------


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return _together([_cell(v) for v in value])
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:g}"
    return printable(str(value))


def _together(texts: Sequence[str]) -> str:
    """Returns the texts of all axes, or only one of them if they are equal."""
    return texts[0] if len(set(texts)) == 1 else " x ".join(texts)


def _csv(value: Any) -> Any:
    """Returns a value for CSV."""
    if isinstance(value, str):
        return csv_cell(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return "" if value is None else value


def _is_known(value: Any) -> bool:
    """Returns whether a value, or every value in a list, is known."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_known, value))
    return value is not None


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(v) for v in value]
    return "inf" if value == float("inf") else value
