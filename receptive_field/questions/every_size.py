"""Finds what holds at every size of an input axis whose size is unknown.

A single pass finds what holds at all sizes. It may leave some properties in doubt, for
example if the paddings of two paths depend on the size in different ways, if a map is
resized to the size of a skip connection, or if maps fit together at some sizes only.
Then several cases are analysed separately. For every residue r, one case covers the
sizes ``period * q + r``, where q is a symbol, so that the result of all rounding is
known. Small sizes are analysed one by one, until one size of each residue has agreed
with the case of its residue. The answer is what all cases have in common.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    INFINITY,
    AxisMap,
    Extended,
    Extents,
    Floating,
    Unknown,
)
from receptive_field.algebra.sizes import (
    Symbolic,
    last_not_above,
    period,
    unknown,
)
from receptive_field.budget import ExhaustedError
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import nodes_below
from receptive_field.network.walk import count_changing
from receptive_field.questions.question import Asked, Question
from receptive_field.results.axes import SpatialAxis
from receptive_field.results.field import ReceptiveField, ReceptiveFields, numbers_on

LONGEST_PERIOD = 256
"""If the period of a network is longer than this, the answer of the single pass is
kept."""

MOST_VISITS = 10_000
"""The answer of the single pass is also kept if the passes for all residues would visit
more nodes than this. A node that passes one tensor on as it is does not count, so that
the answer does not depend on the number of ops that make up a layer."""

SHORT_PATTERN = 64
"""A visit takes longer if the windows of a map repeat after more positions than
this."""

NOTHING = (None, None, None)
"""The numbers of a field whose alignment, stride and padding are all unknown."""

LARGEST_TRIED = 32
"""Usually, single sizes smaller than the period plus this number are tried."""

LARGEST_ROLLED = 256
"""The largest single size that is tried to find the size above which a roll or a slice
behaves as it does at large sizes."""

LARGEST_SMALL = 1 << 10
"""The largest size that the search for the last unusual size considers."""


class Case(NamedTuple):
    """The fields at one size, or at all sizes with one residue."""

    fields: ReceptiveFields
    residue: int
    size: int | None
    """The size; None if the case covers all sizes with the residue."""


def at_every_size(question: Question, field: ReceptiveField) -> ReceptiveField:
    """Returns the receptive field of the only output, as it holds at every size.

    Raises:
      ReceptiveFieldError: if the network cannot run at any size.
    """
    (name,) = question.outputs or (field.output,)
    settled = _settled(question, ReceptiveFields({name: field}, {}))
    return settled[name]


def of_any_size(asked: Asked, field: ReceptiveField) -> ReceptiveField | None:
    """Returns what holds at every size for a field that may have a known size.

    Returns None if the network cannot be analysed at every size.
    """
    if all(axis.input_size is None for axis in field.axes):
        return field
    outputs = {field.output: asked.output}
    sizes = {
        axis: unknown(f"any size of axis {axis}") for axis in asked.question.spatial
    }
    try:
        question = replace(asked.question.with_sizes(sizes), outputs=outputs)
        found = at_every_size(question, question.answer())
    except ReceptiveFieldError:
        return None
    return found.local if asked.cut else found


def all_at_every_size(question: Question, fields: ReceptiveFields) -> ReceptiveFields:
    """Returns the receptive fields of several outputs, as they hold at every size.

    Outputs that cannot be computed at any size are listed in the errors.
    """
    return _settled(question, fields)


def _settled(question: Question, fields: ReceptiveFields) -> ReceptiveFields:
    """Returns the fields, with doubtful ones replaced by what all cases share."""
    found = dict(fields)
    failed = dict(fields.errors)
    for axis in question.spatial:
        doubtful = {
            name: f for name, f in found.items() if _is_in_doubt(question, f, axis)
        }
        if not doubtful:
            continue
        try:
            cases = list(_cases(question, doubtful, axis))
        except ExhaustedError:
            cases = []  # What the single pass found holds at every size.
        tried = max((case.size or 0 for case in cases), default=0)
        for name in doubtful:
            # Use only residues for which the output can be computed at large sizes. At
            # small sizes with other residues, maps of length 1 may still be broadcast.
            fits = {c.residue for c in cases if c.size is None and name in c.fields}
            own = [c for c in cases if c.residue in fits and name in c.fields]
            of_residues = [c.fields[name] for c in own if c.size is None]
            unplaced = last_unplaced(question, of_residues or [found[name]])
            if fits:
                found[name] = _with_cases(found[name], name, own, axis)
            elif cases:
                found.pop(name)
                error = cases[0].fields.errors.get(name)
                if error is not None:
                    failed[name] = error
            if unplaced > tried and name in found:
                found[name] = _left_open(found[name], axis)
    return ReceptiveFields(found, failed)


def _is_in_doubt(question: Question, field: ReceptiveField, axis: int) -> bool:
    """Returns whether a field may depend on the size of an input axis in some way."""
    if not any(a.input_axis == axis and a.input_size is None for a in field.axes):
        return False
    if question.network.known.disagreements or last_unplaced(question, [field]):
        return True
    fields = [field] if field.local is None else [field, field.local]
    maps = (a.map for one in fields for a in one.axes if a.input_axis == axis)
    return any(
        m.aligned is None or m.is_unbounded or (m.is_floating and not m.exact)
        for m in maps
    )


# --- Cases ---------------------------------------------------------------------------


def _cases(
    question: Question, doubtful: Mapping[str, ReceptiveField], axis: int
) -> Iterator[Case]:
    """Yields the cases of an axis: all residues of its size, then small sizes."""
    count = _period(question, axis)
    if (
        count > LONGEST_PERIOD
        or count * (count_changing(question.network) + len(doubtful)) > MOST_VISITS
    ):
        return
    outputs = {
        name: field.origin.output
        for name, field in doubtful.items()
        if isinstance(field.origin, Asked)
    }
    network = question.network.below(outputs.values())
    asked = replace(question, network=network, outputs=outputs)
    by_one = question.outputs is not None and len(outputs) == 1
    waiting: dict[int, ReceptiveFields] = {}
    turns = unknown("turns")
    for rest in range(count):
        case = asked.with_sizes({axis: turns * count + rest}, is_strict=True)
        waiting[rest] = _fields(case, by_one)
        yield Case(waiting[rest], rest, None)
    settled = [f for fields in waiting.values() for f in fields.values()]
    least = last_unplaced(question, settled)
    wanted = max(last_shortened(question, settled), min(least, LARGEST_ROLLED))
    last = count + LARGEST_TRIED
    visits = wanted * count_changing(network)
    if any(_is_resized(field) for field in settled):
        visits *= max(1, wanted // SHORT_PATTERN)
    if visits <= MOST_VISITS:
        last = max(last, wanted + 1)
    for size in range(1, last):
        if not waiting and size > least:
            break
        fields, rest = _fields(asked.with_sizes({axis: size}), by_one), size % count
        yield Case(fields, rest, size)
        if rest in waiting and _agree(fields, waiting[rest], axis):
            del waiting[rest]


def _is_resized(field: ReceptiveField) -> bool:
    """Returns whether the size of the input decides how far a map is resized.

    At a single size, each position of such a map then has a window of its own.
    """
    strands = (strand for axis in field.axes for strand in axis.map.strands)
    return any(isinstance(strand, Floating) for strand in strands)


def _period(question: Question, axis: int) -> int:
    """Returns the number of sizes after which the pattern of shapes repeats.

    Only the size of the given axis of the input varies.
    """
    network = question.network
    shape = network.shape(network.input) or ()
    given = shape[axis] if axis < len(shape) else 1
    if not isinstance(given, Symbolic):
        return 1
    found = 1
    for index in network.order:
        for size in network.shape((index, 0)) or ():
            found = math.lcm(found, period(size))
            if found > LONGEST_PERIOD:
                return found
    return found


def _fields(question: Question, by_one: bool) -> ReceptiveFields:
    """Returns the fields of all outputs.

    They are found by the backward pass if ``by_one`` (for a single output), and by the
    forward pass otherwise.
    """
    if not by_one:
        return question.answers(strict=False)
    ((name, _),) = (question.outputs or {}).items()
    try:
        return ReceptiveFields({name: question.answer()}, {})
    except ReceptiveFieldError as error:
        return ReceptiveFields({}, {name: error})


def _agree(one: ReceptiveFields, two: ReceptiveFields, axis: int) -> bool:
    """Returns whether a single size agrees with all that is known for its residue.

    Args:
      one: the fields at the single size.
      two: the fields at all sizes with the same residue.
      axis: the axis of the input.
    """
    for name, field in two.items():
        said = _numbers(field, axis)
        if said != NOTHING and (name not in one or said != _numbers(one[name], axis)):
            return False
    return True


def last_unplaced(question: Question, fields: Iterable[ReceptiveField]) -> int:
    """Returns the last size whose result may differ from the result for larger sizes.

    Up to this size, slices may be shorter, or all features may see the other end of a
    roll. The result for larger sizes may not hold at these sizes, so they are analysed
    one by one. The result is 0 if there is no such size, and at most `LARGEST_SMALL`.
    """
    listed = list(fields)
    shortened = last_shortened(question, listed)
    if not shortened:
        return 0
    maps = [axis.map for f in listed for axis in (f.local or f).axes]
    reach = max((m.reach for m in maps if m.is_unbounded), default=0)
    return int(min(shortened + 2 * reach, LARGEST_SMALL))


def last_shortened(question: Question, fields: Iterable[ReceptiveField]) -> int:
    """Returns the last size that is too small for some slice or roll.

    At such a size, the slice takes fewer positions than at large sizes, or the roll
    moves positions by the whole axis or more. The result is 0 if there is no such size.
    Otherwise, it is an upper bound: the sum of the last such sizes of all slices and
    rolls below the fields.
    """
    network = question.network
    exceeded = network.known.exceeded
    if not exceeded:
        return 0
    starts = [f.origin.output[0] for f in fields if isinstance(f.origin, Asked)]
    sizes: dict[Symbolic, int] = {}
    # Inputs that give shapes count, too.
    for index in nodes_below(network.graph, starts, lambda i: i != network.input[0]):
        for size, number in exceeded.get(index, {}).items():
            sizes[size] = max(sizes.get(size, 0), number)
    return sum(last_not_above(*pair, LARGEST_SMALL) for pair in sizes.items())


def _left_open(field: ReceptiveField, axis: int) -> ReceptiveField:
    """Returns a field that also holds at small sizes that were not analysed.

    At these sizes, regions are no larger than at other sizes, but may lie elsewhere.
    """
    axes = list(field.axes)
    place = _place(field, axis)
    found, (size, stride, _) = axes[place].map, numbers_on(field, place)
    moved = AxisMap(ANYWHERE.strands, None)
    if not found.is_unbounded and size < INFINITY:
        moved = _unplaced(stride, int(size), None, exact=False)
    axes[place] = replace(axes[place], map=moved)
    local = field.local_paths and _left_open(field.local_paths, axis)
    return replace(field, axes=tuple(axes), local_paths=local)


def _unplaced(
    rate: int | Fraction | None, size: int, aligned: bool | None, exact: bool
) -> AxisMap:
    """Returns a map to windows of this size at places that the input's size decides."""
    extents = Extents(size, (size,), 0)
    unknowns = frozenset({(Unknown("what the size decides"), 1)})
    return AxisMap((Floating(rate, 0, extents, unknowns, INFINITY, exact),), aligned)


def _numbers(field: ReceptiveField, axis: int) -> tuple[object, ...]:
    local = field.local or field
    place = _place(field, axis)
    _, stride, padding = numbers_on(local, place)
    return local.axes[place].map.aligned, stride, padding


def _place(field: ReceptiveField, axis: int) -> int:
    return [a.input_axis for a in field.axes].index(axis)


# --- What the cases have in common ---------------------------------------------------


def _with_cases(
    field: ReceptiveField, name: str, cases: Sequence[Case], axis: int
) -> ReceptiveField:
    """Returns the field, reduced to what all cases share on one axis of the input."""
    place = _place(field, axis)
    found = [(case.fields[name], case.size) for case in cases]
    whole = _on_axis(field, place, found)
    some = next(f for f, _ in found if f.is_global == found[0][0].is_global)
    if not whole.is_global:
        return replace(whole, global_nodes=(), local_paths=None)
    locals_ = [(f.local, size) for f, size in found if f.local is not None]
    if all(size is not None for _, size in locals_):
        locals_ = []  # Single sizes alone say nothing about all sizes.
    before = field.local if field.is_global else None
    local = None
    if locals_:
        base = before if before is not None else locals_[0][0]
        local = _on_axis(replace(base, output=field.output), place, locals_)
    nodes = field.global_nodes or some.global_nodes
    return replace(whole, global_nodes=nodes, local_paths=local)


def _on_axis(
    field: ReceptiveField,
    place: int,
    cases: Sequence[tuple[ReceptiveField, int | None]],
) -> ReceptiveField:
    """Returns the field, with the map and the output sizes that all cases share."""
    found = [field, *(f for f, _ in cases)]
    axes = list(field.axes)
    size = _only({f.axes[place].output_size for f in found})
    common = _common(place, cases, size)
    axes[place] = replace(axes[place], map=common, output_size=size)
    # If axes are folded differently at some sizes, there is no common size.
    alike = len({len(f.feature_axes) for f in found}) == 1
    counted = tuple(
        axis._replace(
            size=_only({f.feature_axes[k].size for f in found} if alike else ())
        )
        for k, axis in enumerate(field.feature_axes)
    )
    return replace(field, axes=tuple(axes), feature_axes=counted)


def _only(sizes: Collection[int | None]) -> int | None:
    return next(iter(sizes)) if len(sizes) == 1 else None


def _has_several(axis: SpatialAxis) -> bool:
    """Returns whether there may be more than one feature along an axis."""
    return bool(axis.output_axes) and axis.output_size != 1


def _holds_all(axis_map: AxisMap, single: SpatialAxis) -> bool:
    """Returns whether the windows of a map contain all that features see at one size.

    If the map floats, this is True without a check, because the places of its windows
    are not known.
    """
    if axis_map.is_floating or single.map.strands == axis_map.strands:
        return True
    count, last = single.output_size, (single.input_size or 1) - 1
    for u in range(last + 1 if count is None else count):
        seen, window = single.map.window(u), axis_map.window(u)
        first, end = max(seen[0], 0) if seen else 0, min(seen[1], last) if seen else -1
        if first <= end and not (window and window[0] <= first and end <= window[1]):
            return False
    return True


def _common(
    place: int,
    cases: Sequence[tuple[ReceptiveField, int | None]],
    output_size: int | None,
) -> AxisMap:
    """Returns the map to one axis, reduced to what the maps of all cases share."""
    every = [f.axes[place] for f, size in cases if size is None]
    single = [f.axes[place] for f, size in cases if size is not None]
    maps = [axis.map for axis in every]
    flags = {axis.map.aligned for axis in (*every, *single)}
    several = [a.map.aligned for a in single if _has_several(a)]
    aligned: bool | None = None
    if flags == {True}:
        aligned = True
    elif {m.aligned for m in maps} == {False} and set(several) <= {False}:
        aligned = False
    if all(m.is_global for m in maps):
        return maps[0]
    if any(m.is_everything or m.is_unbounded for m in maps):
        return AxisMap(ANYWHERE.strands, aligned)
    exact = all(m.exact for m in maps)
    if not exact:
        maps = [m.as_bound() for m in maps]
    alike = all(m.strands == maps[0].strands for m in maps)
    numbers = [numbers_on(f, place) for f, _ in cases]
    largest: Extended = max(size for size, _, _ in numbers)
    several_positions = [
        (stride, padding)
        for (_, stride, padding), (f, size) in zip(numbers, cases, strict=True)
        if size is None or _has_several(f.axes[place])
    ]
    strides = {stride for stride, _ in several_positions}
    # Without a common output size, the map's size may include windows that no case has.
    alike &= len(set(several_positions)) == 1
    alike &= largest == maps[0].size(output_size)
    if alike and all(_holds_all(maps[0], axis) for axis in single):
        seen = reduce(operator.or_, (m.all_seen for m in maps), maps[0].all_seen)
        return AxisMap(maps[0].strands, aligned, None if seen is maps[0] else seen)
    if largest == INFINITY:
        return AxisMap(ANYWHERE.strands, aligned)
    rate = strides.pop() if len(strides) == 1 else None
    return _unplaced(rate, int(largest), aligned, exact)
