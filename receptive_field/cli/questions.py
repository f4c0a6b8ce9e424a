"""Options of ``compute`` for questions about positions, and their answers."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from receptive_field.results.units import Units, rounded

if TYPE_CHECKING:
    from receptive_field.results.field import ReceptiveField, ReceptiveFields
    from receptive_field.results.units import FieldInUnits


class Answer(NamedTuple):
    """The answer to a question."""

    key: str
    """The key under which JSON has the answer."""
    data: Any
    """The answer as plain data."""
    text: str
    """The answer as text."""


def add_questions(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``compute`` that ask about positions."""
    parser.add_argument(
        "--features",
        type=_box,
        metavar="X,Y:X,Y",
        help="show the region of the input that the features from the first to the "
        "last one see together, such as 3,3:7,9, or 3,3 for a single feature",
    )
    parser.add_argument(
        "--seen-by",
        nargs=2,
        metavar=("FEATURES.npy", "PIXELS.npy"),
        help="read a boolean array over the features, [height, width], and write which "
        "pixels they see to the second file; requires a known size",
    )
    text = "show how far features look ahead and back, and whether they are causal"
    parser.add_argument("--look-ahead", action="store_true", help=text)


def add_units(parser: argparse.ArgumentParser) -> None:
    """Adds the options for physical units."""
    parser.add_argument(
        "--spacing",
        type=_numbers,
        metavar="NUMBER[,NUMBER...]",
        help="the distance between neighbouring positions of the input, in UNIT; one "
        "number for all axes, or one for each axis, x before y before z",
    )
    text = "show numbers in this unit, such as ms or mm; requires --spacing"
    parser.add_argument("--unit", help=text)


def in_units(field: ReceptiveField, options: argparse.Namespace) -> FieldInUnits | None:
    """Returns the field in the unit that the options ask for, or None if in none.

    Raises:
      ReceptiveFieldError: if the options do not fit each other or the field.
    """
    if options.spacing is None and options.unit is None:
        return None
    return field.in_units(_spacing(options), options.unit)


def units_of(fields: ReceptiveFields, options: argparse.Namespace) -> Units | None:
    """Returns the unit that the options ask for in a table, or None if for none.

    Raises:
      ReceptiveFieldError: if the options do not fit each other or the input.
    """
    if options.spacing is None and options.unit is None:
        return None
    found = fields.in_units(_spacing(options), options.unit)
    return Units(found.spacing, found.unit)


def _spacing(options: argparse.Namespace) -> Any:
    given = options.spacing
    return given[0] if given is not None and len(given) == 1 else given


def answers(field: ReceptiveField, options: argparse.Namespace) -> list[Answer]:
    """Returns the answers to all questions that the options ask about a field."""
    found = []
    if options.resolution not in (None, "unknown") and not field.is_folded:
        unpadded = field.features_without_padding()
        key = "features_without_padding"
        found.append(Answer(key, unpadded.to_dict(), str(unpadded)))
    if options.features is not None:
        first, last = options.features
        found.append(_of_features(field, first, last, in_units(field, options)))
    if options.seen_by is not None:
        found.append(_of_mask(field, options.model, *options.seen_by))
    if options.look_ahead:
        found.append(_of_look_ahead(field, options))
    return found


def _of_features(
    field: ReceptiveField,
    first: list[int],
    last: list[int],
    placed: FieldInUnits | None,
) -> Answer:
    region, clipped = _regions(field, first, last)
    data = {"first": first, "last": last, "region": region, "clipped": clipped}
    told: Callable[[Any], str] = _ends
    if placed is not None:
        region, clipped = _regions(placed, first, last)
        told = partial(_ends_in_units, unit=placed.unit)
        data["in_units"] = {
            "unit": placed.unit,
            "region": _finite(region),
            "clipped": None if clipped is None else _finite(clipped),
        }
    lines = [f"features {_point(first)} to {_point(last)} see together:"]
    for place, (name, ends) in enumerate(zip(_names(region), region, strict=True)):
        inside = "" if clipped is None else f", inside the input {told(clipped[place])}"
        lines.append(f"  {name}: {told(ends)}{inside}")
    return Answer("features", data, "\n".join(lines))


def _regions(
    placed: ReceptiveField | FieldInUnits, first: list[int], last: list[int]
) -> tuple[Any, Any]:
    """Returns the region of a box of features, and its part inside the input.

    The part inside the input is None if a size is unknown.

    Raises:
      ReceptiveFieldError: if the box does not lie inside the map, for example.
    """
    import warnings

    from receptive_field.errors import OutsideMapWarning, ReceptiveFieldError
    from receptive_field.results.field import ReceptiveField

    field = placed if isinstance(placed, ReceptiveField) else placed.field
    sizes = [axis.input_size for axis in field.axes]
    sizes += [axis.size for axis in field.feature_axes]
    clipped = None
    if None not in sizes:
        clipped = placed.compute_box_region(first, last, clip=True).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error", OutsideMapWarning)
        try:
            return placed.compute_box_region(first, last).tolist(), clipped
        except OutsideMapWarning as warning:
            raise ReceptiveFieldError(str(warning)) from None


def _finite(region: list[list[float]]) -> list[list[float | str]]:
    """Returns a region for JSON, with infinite ends as text."""
    return [
        [end if abs(end) < math.inf else str(end) for end in ends] for ends in region
    ]


def _of_mask(field: ReceptiveField, model: str, source: str, target: str) -> Answer:
    """Writes the pixels that a mask of features sees, and counts them."""
    import io

    import numpy as np

    from receptive_field.errors import ReceptiveFieldError, quoted
    from receptive_field.whole_files import check_writable, write_whole

    check_writable(target, model)
    try:
        features = np.load(source, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ReceptiveFieldError(
            f"cannot read {source!r} as an array of NumPy (.npy): {quoted(error)}."
        ) from None
    support = field.support()
    pixels = support.mask_of(features)
    content = io.BytesIO()
    np.save(content, pixels)
    write_whole(target, content.getvalue())
    told = "exact" if support.exact else "an upper bound"
    data = {
        "features": int(features.sum()),
        "pixels": int(pixels.sum()),
        "of": int(pixels.size),
        "exact": support.exact,
        "file": target,
    }
    text = (
        f"{data['features']} features see {data['pixels']} of {data['of']} pixels "
        f"({told}); written to {target}"
    )
    return Answer("seen_by", data, text)


def _of_look_ahead(field: ReceptiveField, options: argparse.Namespace) -> Answer:
    found = field.look_ahead()
    placed = in_units(field, options)
    if placed is not None:
        found = found.in_units(placed.spacing, placed.unit)
    return Answer("look_ahead", found.to_dict(), str(found))


def _names(values: Iterable[Any]) -> list[str]:
    from receptive_field.results.axes import axis_name

    return [axis_name(number) for number, _ in enumerate(values)]


def _point(coordinates: Iterable[int]) -> str:
    return f"({', '.join(map(str, coordinates))})"


def _ends(ends: list[int]) -> str:
    from receptive_field.results.field import LARGEST_INT64, LEAST_INT64

    first, last = ends
    if last < first:
        return "nothing"
    if first == LEAST_INT64 or last == LARGEST_INT64:
        low = "the start" if first == LEAST_INT64 else str(first)
        return f"{low} to {'the end' if last == LARGEST_INT64 else last}"
    return f"{first} to {last} ({last - first + 1})"


def _ends_in_units(ends: list[float], unit: str) -> str:
    first, last = ends
    if first == last:
        return "nothing"
    low = rounded(first) if first > -math.inf else "the start"
    high = rounded(last) if last < math.inf else "the end"
    both = math.isfinite(last - first)
    size = f" ({rounded(last - first)} {unit})" if both else ""
    return f"{low} to {high}{f' {unit}' if both else ''}{size}"


def _box(text: str) -> tuple[list[int], list[int]]:
    first, colon, last = text.partition(":")
    try:
        ends = [[int(n) for n in end.split(",")] for end in (first, last or first)]
    except ValueError:
        ends = []
    if not ends or bool(colon) != bool(last):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a box of features, such as 3,3:7,9 (the first and the "
            "last feature, x before y)"
        )
    return ends[0], ends[1]


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers") from None
