"""Describes a receptive field in a few lines of text, as HTML, or as plain data."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from receptive_field.errors import ReceptiveFieldError
from receptive_field.graph.graph import Graph
from receptive_field.results.axes import FeatureAxis, SpatialAxis

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

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

    def middle(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """See `ReceptiveField.middle`."""

    @property
    def layer_windows(self) -> LayerWindows:
        """See `ReceptiveField.layer_windows`."""

    @property
    def origin(self) -> Source | None:
        """See `ReceptiveField.origin`."""

    def __iter__(self) -> Iterator[Any]:
        """Yields sizes, then strides, then paddings."""

    def compute_input_center_coordinates(self, y: ArrayLike) -> NDArray[Any]:
        """See `ReceptiveField.compute_input_center_coordinates`."""


MOST_NAMED = 3
"""At most this many nodes are named. The rest are counted."""

LABELS = 19
"""The number of columns that the labels of a field take."""

WIDTH = 80 - LABELS
"""Notes are broken after this many columns."""


def lines(field: Described) -> list[tuple[str, str]]:
    """Returns the lines that describe a field, each as a label and a text.

    A line without a label is a note on the line above it.
    """
    sized = all(axis.input_size is not None for axis in field.axes)
    unknown = "unknown" if sized else "unknown: depends on the input size"
    aligned = {True: "yes", False: "no", None: unknown}
    graph = field.origin and field.origin.graph
    size, stride, padding = _sizes_strides_paddings(field)
    of_padding, of_bound = _notes_on_reasons(field)
    has_local = field.is_global and field.local is not None
    own = [] if has_local else of_bound
    differs = field.aligned is False
    exact = "yes, the region of each feature" if differs else "yes"
    found = [
        ("input", field.input + _sized([axis.input_size for axis in field.axes])),
        ("output", field.output + _sized([a.size for a in field.feature_axes])),
        ("graph", f"{graph.name} ({len(graph)} nodes)" if graph else ""),
        ("receptive field", numbers(size)),
        *_notes_on_hull(field),
        ("effective stride", numbers(stride)),
        ("effective padding", numbers(padding)),
        *([] if has_local else of_padding),
        ("aligned", aligned[field.aligned]),
        ("", "field.explain() names the paths that differ" if differs else ""),
        ("exact", exact if field.exact else "no, an upper bound"),
        *own,
    ]
    if field.global_nodes:
        found.append(("whole input by", _named(field.global_nodes)))
        found.append(("", _on_global_paths(field)))
    if field.mirroring_nodes:
        found.append(("mirrored border by", _named(field.mirroring_nodes)))
    local = field.local
    if local is not None and local is not field:
        size, stride, padding = _sizes_strides_paddings(local)
        found.append(
            (
                "local paths only",
                f"size {numbers(size)}, stride {numbers(stride)}, "
                f"padding {numbers(padding)}, "
                + ("exact" if local.exact else "an upper bound"),
            )
        )
        found += of_padding + of_bound
    return [(label, text) for label, text in found if text]


def _on_global_paths(field: Described) -> str:
    if not field.is_global:
        return "these paths are left out of the numbers above"
    if field.local is None:
        earlier = field.reasons().local_output
        asked = "an earlier layer" if earlier is None else repr(earlier)
        return f"all paths do; ask about {asked} for a local field"
    return 'global_context="exclude" leaves out these paths (next line)'


def _notes_on_hull(field: Described) -> list[tuple[str, str]]:
    if field.aligned is not False:
        return []
    notes = [("", "the hull of paths that differ; single features may see less")]
    middle = _middle(field)
    if middle is not None:
        feature, size = middle
        place = ", ".join(map(str, feature))
        notes.append(("", f"feature ({place}) in the middle sees {numbers(size)}"))
    return notes


def _middle(field: Described) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    try:
        return None if field.local is None else field.local.middle()
    except ReceptiveFieldError:  # The sets of positions are too large, for example.
        return None


def middle_as_dict(field: Described) -> dict[str, Any] | None:
    """Returns what the feature in the middle of a misaligned map sees, for JSON."""
    middle = _middle(field) if field.aligned is False else None
    if middle is None:
        return None
    return {"feature": list(middle[0]), "size": list(middle[1])}


def _notes_on_reasons(
    field: Described,
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns notes on the padding, and on what makes numbers upper bounds."""
    on_padding: list[tuple[str, str]] = []
    on_bound: list[tuple[str, str]] = []
    reasons = field.reasons()
    if reasons.resolution is not None:
        sizes = ", ".join(map(str, reasons.resolution))
        asked = f"give it, such as input_resolution=[{sizes}]"
        why = ""
        if reasons.padding_node is not None:
            stride = reasons.padding_stride
            kind = "SAME" + ("" if stride is None else f", stride {stride}")
            why = f" ({reasons.padding_node!r}: {kind})"
        on_padding.append(
            ("", f"the padding depends on the input's size{why}; {asked}")
        )
    if reasons.bounding_node is not None:
        on_bound.append(("", f"at most this, because of {reasons.bounding_node!r}"))
    return on_padding, on_bound


def _named(nodes: Sequence[str]) -> str:
    """Names as many nodes as fit into a line, and at least one."""
    for count in range(MOST_NAMED, 0, -1):
        rest = len(nodes) - min(count, len(nodes))
        text = ", ".join(nodes[:count]) + (f" and {rest} more" if rest else "")
        if len(text) <= WIDTH:
            break
    return text


def numbers(values: Iterable[Any]) -> str:
    """Returns one number per axis as text, with axis names if the numbers differ."""
    texts = [str(value) for value in values]
    if len(set(texts)) > 1 and len(texts) <= len("xyz"):
        return ", ".join(f"{axis}: {text}" for axis, text in zip("xyz", texts))  # noqa: B905
    return " x ".join(texts)


def _sized(sizes: Sequence[int | None]) -> str:
    known = [size for size in sizes if size is not None]
    return f" ({numbers(known)})" if known and len(known) == len(sizes) else ""


def as_text(field: Described, told: Callable[[str], str] = str) -> str:
    """Returns the lines as plain text in two columns.

    ``told`` rewrites the notes, such as for the command line.
    """
    shown = []
    for label, text in lines(field):
        parts = [text]
        if not label:
            parts = textwrap.wrap(
                told(text), WIDTH, break_long_words=False, break_on_hyphens=False
            )
        shown += [f"{label:18} {part}" for part in parts]
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
    size, stride, padding = _sizes_strides_paddings(field)
    return {
        "size": _plain(size),
        "stride": _plain(stride),
        "padding": _plain(padding),
        "first_center": first_center(field),
        "aligned": field.aligned,
        "exact": field.exact,
    }


def _sizes_strides_paddings(field: Described) -> Iterable[list[Any]]:
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
        origin = [0] * len(field.axes)
        center: list[float] = field.compute_input_center_coordinates(origin).tolist()
    except ReceptiveFieldError:
        return None
    return center


def one_line(field: Described) -> str:
    """Returns the numbers of a field in one line."""

    def numbers(values: NDArray[Any]) -> str:
        return " x ".join(map(str, values.tolist()))

    aligned = {True: "aligned", False: "misaligned", None: "alignment unknown"}
    return (
        f"receptive field of {field.output} in {field.input}: "
        f"size {numbers(field.size)}, stride {numbers(field.stride)}, "
        f"padding {numbers(field.padding)} ({aligned[field.aligned]}"
        f"{'' if field.exact else ', upper bound'})"
    )
