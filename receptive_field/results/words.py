"""Describes a receptive field in a few lines of text, as HTML, or as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from receptive_field.algebra.axis_map import INFINITY
from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Graph
from receptive_field.printable import printable
from receptive_field.results.axes import FeatureAxis, SpatialAxis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from receptive_field.results.layer_window import LayerWindows
    from receptive_field.results.reasons import Reasons


class Source(Protocol):
    """The part of a receptive field's `Origin` that is needed to describe the field."""

    @property
    def graph(self) -> Graph:
        """The graph that the question is about."""

    @property
    def op(self) -> str:
        """The op type of the output."""


class Described(Protocol):
    """The part of a `ReceptiveField` that is needed to describe it."""

    @property
    def input(self) -> str:
        """See `ReceptiveField.input`."""

    @property
    def output(self) -> str:
        """See `ReceptiveField.output`."""

    @property
    def axes(self) -> Sequence[SpatialAxis]:
        """See `ReceptiveField.axes`."""

    @property
    def feature_axes(self) -> Sequence[FeatureAxis]:
        """See `ReceptiveField.feature_axes`."""

    @property
    def size(self) -> NDArray[Any]:
        """See `ReceptiveField.size`."""

    @property
    def stride(self) -> NDArray[Any]:
        """See `ReceptiveField.stride`."""

    @property
    def padding(self) -> NDArray[Any]:
        """See `ReceptiveField.padding`."""

    @property
    def aligned(self) -> bool | None:
        """See `ReceptiveField.aligned`."""

    @property
    def exact(self) -> bool:
        """See `ReceptiveField.exact`."""

    @property
    def hide_padding(self) -> bool:
        """See `ReceptiveField.hide_padding`."""

    @property
    def is_folded(self) -> bool:
        """See `ReceptiveField.is_folded`."""

    @property
    def is_global(self) -> bool:
        """See `ReceptiveField.is_global`."""

    @property
    def global_nodes(self) -> Sequence[str]:
        """See `ReceptiveField.global_nodes`."""

    @property
    def mirroring_nodes(self) -> Sequence[str]:
        """See `ReceptiveField.mirroring_nodes`."""

    @property
    def local(self) -> Described | None:
        """See `ReceptiveField.local`."""

    def reasons(self) -> Reasons:
        """See `ReceptiveField.reasons`."""

    def _seen_by(self, which: int) -> tuple[tuple[int, ...], list[list[int]]] | None:
        """See `ReceptiveField.corner` (0) and `ReceptiveField.middle` (1)."""

    @property
    def layer_windows(self) -> LayerWindows:
        """See `ReceptiveField.layer_windows`."""

    @property
    def origin(self) -> Source | None:
        """See `ReceptiveField.origin`."""

    def __iter__(self) -> Iterator[Any]:
        """Yields sizes, then strides, then paddings."""

    def first_center(self) -> list[float]:
        """See `ReceptiveField.first_center`."""


MOST_NAMED = 3
"""At most this many nodes are named. The rest are counted."""

LABELS = 19
"""The number of columns that the labels of a field take."""

WIDTH = 80 - LABELS
"""Notes are broken after this many columns."""

LOCAL = "local paths only"
"""The label of a line that is broken like a note, because it has many numbers."""


WHOLE_INPUT = "whole input"
"""The size of a field if every axis of the input is seen as a whole."""

WHOLE_AXIS = "whole axis"
"""The size of a field on an axis that is seen as a whole."""

UNBOUNDED = "unbounded"
"""The size of a field on an axis whose parts may be seen up to one of its ends."""

UNKNOWN = "unknown"
"""A number that exists, but cannot be told."""

NONE = "n/a"
"""A number that does not exist, such as the stride of features that see everything."""

WORDS = frozenset({WHOLE_INPUT, WHOLE_AXIS, UNBOUNDED, UNKNOWN, NONE})
"""What stands in the place of a number that is not finite and known."""


def size_words(field: Described) -> list[Any]:
    """Returns the size of a field on each axis: a number, or one of the `WORDS`."""
    if field.axes and all(axis.map.is_global for axis in field.axes):
        return [WHOLE_INPUT] * len(field.axes)
    sizes, _, _ = sizes_strides_paddings(field)
    return [
        size if size < INFINITY else WHOLE_AXIS if axis.map.is_global else UNBOUNDED
        for size, axis in zip(sizes, field.axes, strict=True)
    ]


def stride_words(field: Described) -> list[Any]:
    """Returns the stride of a field on each axis: a number, or one of the `WORDS`."""
    _, strides, _ = sizes_strides_paddings(field)

    def word(axis: SpatialAxis) -> str:
        exists = not axis.map.is_global and not field.is_folded
        unsettled = axis.map.is_unbounded or axis.map.drifts
        return UNKNOWN if exists and unsettled else NONE

    return [
        word(axis) if stride is None else stride
        for stride, axis in zip(strides, field.axes, strict=True)
    ]


def padding_words(field: Described) -> list[Any]:
    """Returns the padding of a field on each axis: a number, or one of the `WORDS`."""
    _, _, paddings = sizes_strides_paddings(field)

    def word(axis: SpatialAxis, stride: Any) -> str:
        unsettled = axis.map.is_unbounded or axis.map.is_floating or field.hide_padding
        return UNKNOWN if stride != NONE and unsettled else NONE

    return [
        word(axis, stride) if padding is None else padding
        for padding, stride, axis in zip(
            paddings, stride_words(field), field.axes, strict=True
        )
    ]


def lines(field: Described) -> list[tuple[str, str]]:
    """Returns the lines that describe a field, each as a label and a text.

    A line without a label is a note on the line above it.
    """
    sized = all(axis.input_size is not None for axis in field.axes)
    unknown = UNKNOWN if sized else f"{UNKNOWN}: depends on the input size"
    aligned = {True: "yes", False: "no", None: unknown}[field.aligned]
    graph = field.origin and field.origin.graph
    reasons = field.reasons()
    of_padding, of_bound = _notes_on_reasons(field, reasons)
    has_local = field.is_global and field.local is not None
    own = [] if has_local else of_bound
    if has_local:
        aligned += " (local paths)"
    elif field.is_global:
        aligned = f"{NONE} (no local paths)"
    differs = field.aligned is False
    found = [
        ("input", printable(field.input) + _sized([a.input_size for a in field.axes])),
        ("", _on_built_for(reasons)),
        (
            "output",
            printable(field.output) + _sized([a.size for a in field.feature_axes]),
        ),
        (
            "graph",
            f"{printable(str(graph.name))} ({len(graph)} nodes)" if graph else "",
        ),
        ("receptive field", at_most(field) + numbers(size_words(field))),
        *_notes_on_hull(field, reasons),
        ("effective stride", numbers(stride_words(field))),
        ("effective padding", numbers(padding_words(field))),
        ("", _on_all_features(field)),
        *([] if has_local else of_padding),
        ("aligned", aligned),
        ("", "field.explain() names the paths that differ" if differs else ""),
        ("exact", _on_exactness(field)),
        *own,
    ]
    if field.global_nodes:
        found.append(("made global by", _named(field.global_nodes)))
        found.append(("", _on_global_paths(field, reasons)))
    if field.mirroring_nodes:
        found.append(("mirrored border by", _named(field.mirroring_nodes)))
    local = field.local
    if local is not None and local is not field:
        found.append((LOCAL, f"{in_words(local)}; {exactness(local)}"))
        found += of_padding + of_bound
    return [(label, text) for label, text in found if text]


def _on_built_for(reasons: Reasons) -> str:
    if reasons.built_for is None:
        return ""
    return (
        f"the graph is built for {numbers(reasons.built_for)}; constants computed from "
        "this size are kept"
    )


def at_most(field: Described) -> str:
    """Returns what stands before the size: in a misaligned graph, it is a limit."""
    is_limit = field.aligned is False and not field.is_global
    return "at most " if is_limit else ""


def _on_exactness(field: Described) -> str:
    if field.exact:
        of_features = " for what each feature sees, not for the size"
        return "yes" + (of_features if field.aligned is False else "")
    if all(word == WHOLE_INPUT for word in size_words(field)):
        return "no: features see at most the whole input"
    return "no, an upper bound"


def exactness(local: Described) -> str:
    """Returns which numbers of the local paths are exact."""
    if not local.exact:
        return "an upper bound"
    return "size and stride exact" if UNKNOWN in padding_words(local) else "exact"


def _on_all_features(field: Described) -> str:
    """Returns where the region of every feature lies, if one formula tells."""
    columns = zip(*sizes_strides_paddings(field), strict=True)
    if not field.aligned or field.is_global or not field.exact:
        return ""
    found: dict[str, str] = {}
    for axis, (size, stride, padding) in enumerate(columns):
        known = None not in (stride, padding) and size < INFINITY
        if not known or stride % 1 or stride < 1:
            return ""
        first = _term(int(stride), -padding)
        last = _term(int(stride), size - 1 - padding)
        text = f"{first} to {last}" if size > 1 else first
        name = "xyz"[axis] if len(field.axes) < 4 else str(axis)
        found[text] = f"{found[text]}, {name}" if text in found else name
    each = " on each axis" if len(field.axes) > 1 else ""
    if len(found) == 1:
        return f"feature i sees positions {next(iter(found))}{each}"
    texts = ", ".join(f"{text} ({axes})" for text, axes in found.items())
    return f"feature i sees positions {texts}"


def _term(stride: int, offset: int) -> str:
    """Returns a position as it follows from the feature i.

    >>> _term(1, 0), _term(4, -3), _term(2, 5)
    ('i', '4i-3', '2i+5')
    """
    moved = "i" if stride == 1 else f"{stride}i"
    return f"{moved}{offset:+}" if offset else moved


def _on_global_paths(field: Described, reasons: Reasons) -> str:
    if not field.is_global:
        return "these paths are left out of the numbers above"
    if field.local is None:
        earlier = reasons.local_output
        asked = "an earlier layer" if earlier is None else repr(earlier)
        return f"all paths do; ask about {asked} for a local field"
    return 'with global_context="exclude", all questions leave these paths out'


def _notes_on_hull(field: Described, reasons: Reasons) -> list[tuple[str, str]]:
    if field.aligned is not False:
        return []
    notes = [("", "features differ, because paths of different positions meet")]
    for which in range(2):
        seen = _seen(field, which)
        if seen is not None:
            feature, region = seen
            names = "xyz" if 1 < len(region) < 4 else [""] * len(region)
            ends = ", ".join(
                f"{name} {first} to {last}".lstrip()
                for name, (first, last) in zip(names, region)  # noqa: B905
            )
            size = numbers([last - first + 1 for first, last in region])
            place = feature if len(feature) > 1 else feature[0]
            notes.append(("", f"feature {place} sees {ends} ({size})"))
    if len(notes) > 1:
        notes.append(("", "field.compute_input_region tells this of other features"))
    elif reasons.resolution is not None and reasons.padding_node is None:
        asked = f"give a size, such as {_resolution(reasons.resolution)}"
        notes.append(("", f"{asked}, to see what the middle feature sees"))
    return notes


def _resolution(sizes: Sequence[int]) -> str:
    return f"input_resolution=[{', '.join(map(str, sizes))}]"


def _seen(
    field: Described, which: int
) -> tuple[tuple[int, ...], list[list[int]]] | None:
    try:
        return None if field.local is None else field.local._seen_by(which)
    except ReceptiveFieldError:  # The sets of positions are too large, for example.
        return None


def middle_as_dict(field: Described) -> dict[str, Any] | None:
    """Returns what the feature in the middle of a misaligned map sees, for JSON."""
    middle = _seen(field, 1) if field.aligned is False else None
    if middle is None:
        return None
    feature, region = middle
    return {"feature": list(feature), "size": [b - a + 1 for a, b in region]}


def _notes_on_reasons(
    field: Described, reasons: Reasons
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns notes on the padding, and on what makes numbers upper bounds."""
    on_padding: list[tuple[str, str]] = []
    on_bound: list[tuple[str, str]] = []
    why = ""
    if reasons.padding_node is not None:
        stride = reasons.padding_stride
        kind = "SAME" + ("" if stride is None else f", stride {stride}")
        why = f" ({reasons.padding_node!r}: {kind})"
    if reasons.resolution is not None and (why or field.aligned is None):
        asked = f"give that size, such as {_resolution(reasons.resolution)}"
        text = f"the padding depends on the input's size{why}; {asked}"
        on_padding.append(("", text))
    elif why and all(axis.input_size is not None for axis in field.axes):
        text = f"the padding depends on a size inside the graph that is unknown{why}"
        on_padding.append(("", text))
    if reasons.bounding_node is not None:
        on_bound.append(("", f"at most this, because of {reasons.bounding_node!r}"))
    return on_padding, on_bound


def _named(nodes: Sequence[str]) -> str:
    """Names as many nodes as fit into a line, and at least one."""
    for count in range(MOST_NAMED, 0, -1):
        rest = len(nodes) - min(count, len(nodes))
        named = ", ".join(map(printable, nodes[:count]))
        text = named + (f" and {rest} more" if rest else "")
        if len(text) <= WIDTH:
            break
    return text


def in_words(field: Described) -> str:
    """Returns size, stride and padding as text."""
    return (
        f"size {numbers(size_words(field))}, stride {numbers(stride_words(field))}, "
        f"padding {numbers(padding_words(field))}"
    )


def numbers(values: Iterable[Any]) -> str:
    """Returns one number per axis as text, with axis names if the numbers differ.

    >>> numbers([3, 3]), numbers([3, UNKNOWN]), numbers([UNKNOWN, UNKNOWN])
    ('3 x 3', 'x: 3, y: unknown', 'unknown')
    """
    texts = [str(value) for value in values]
    if len(set(texts)) == 1 and texts[0] in WORDS:
        return texts[0]
    if len(set(texts)) > 1 and len(texts) <= len("xyz"):
        return ", ".join(f"{axis}: {text}" for axis, text in zip("xyz", texts))  # noqa: B905
    return " x ".join(texts)


def _sized(sizes: Sequence[int | None]) -> str:
    if not any(sizes):
        return " (unknown size)" if sizes else ""
    return f" ({numbers(UNKNOWN if size is None else size for size in sizes)})"


def as_text(field: Described, told: Callable[[str], str] = str) -> str:
    """Returns the lines as plain text in two columns.

    ``told`` rewrites the notes, such as for the command line.
    """
    return in_two_columns(lines(field), told)


def in_two_columns(
    labelled: Iterable[tuple[str, str]], told: Callable[[str], str] = str
) -> str:
    """Returns labels and texts as plain text; ``told`` rewrites what has no label."""
    shown = []
    for label, text in labelled:
        parts = [text]
        if not label or label == LOCAL:
            written = text if label else told(text)
            parts = textwrap.wrap(
                written, WIDTH, break_long_words=False, break_on_hyphens=False
            )
        first = f"{label:18} {parts[0]}"
        shown += [first, *(" " * LABELS + part for part in parts[1:])]
    return "\n".join(shown)


def as_html(field: Described) -> str:
    """Returns the lines as an HTML table."""
    from html import escape  # Only notebooks need it.

    rows = "".join(
        f'<tr><th style="text-align:left">{escape(label)}</th>'
        f'<td style="text-align:left">{escape(text)}</td></tr>'
        for label, text in lines(field)
    )
    return f"<table><tbody>{rows}</tbody></table>"


def as_dict(field: Described) -> dict[str, Any]:
    """See `ReceptiveField.to_dict`."""
    local = field.local if field.is_global else None
    return {
        "graph": None if field.origin is None else field.origin.graph.name,
        "input": field.input,
        "output": field.output,
        "input_size": [axis.input_size for axis in field.axes],
        "output_size": [axis.size for axis in field.feature_axes],
        **_numbers_of(field),
        "global_nodes": list(field.global_nodes),
        "mirroring_nodes": list(field.mirroring_nodes),
        "local": None if local is None else _numbers_of(local),
    }


def _numbers_of(field: Described) -> dict[str, Any]:
    size, stride, padding = sizes_strides_paddings(field)
    return {
        "size": _plain(size),
        "stride": _plain(stride),
        "padding": _plain(padding),
        "first_center": first_center(field),
        "aligned": field.aligned,
        "exact": field.exact,
    }


def sizes_strides_paddings(
    field: Described,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Returns sizes, strides and paddings: three lists with one entry per axis.

    Unlike the properties of the field, this does not import NumPy.
    """
    values = list(field)
    count = len(values) // 3
    return values[:count], values[count:-count], values[-count:]


def _plain(values: Iterable[Any]) -> list[Any]:
    """Returns the values for JSON, with infinity and fractions as text."""
    return [
        None if value is None else int(value) if value % 1 == 0 else str(value)
        for value in values
    ]


def first_center(field: Described) -> list[float] | None:
    """Returns the centre of feature 0's region, x first.

    Returns None if the centre is unknown, or if the region has no centre.
    """
    if field.is_global:
        return None
    try:
        return field.first_center()
    except ReceptiveFieldError:
        return None


def title(field: Described) -> str:
    """Returns what a field is the receptive field of, and in which input."""
    return f"receptive field of {printable(field.output)} in {printable(field.input)}"


def one_line(field: Described) -> str:
    """Returns the numbers of a field in one line."""
    aligned = {True: "aligned", False: "misaligned", None: "alignment unknown"}
    told = aligned[field.aligned]
    if field.is_global:
        told = "no local paths" if field.local is None else f"local paths {told}"
    return (
        f"{title(field)}: {in_words(field)} ({told}"
        f"{'' if field.exact else ', upper bound'})"
    )
