"""Writes a page for exploring receptive fields: one file that needs no server.

The page contains exact axis maps and evaluates them itself (``page/maps.js``). It has
the maps from every layer to the input, and from every stop (see
`questions.stretches`) to the next stops below. All other data are names and numbers.
"""

from __future__ import annotations

import html
import itertools
import json
import os
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from receptive_field.algebra.axis_map import (
    IDENTITY,
    INFINITY,
    Anywhere,
    AxisMap,
    Extended,
    Floating,
    Periodic,
    table,
)
from receptive_field.arrays import is_installed, np
from receptive_field.budget import within_budget
from receptive_field.errors import GraphError, NodeNotFoundError, ReceptiveFieldError
from receptive_field.frameworks import load
from receptive_field.graph.graph import Tensor
from receptive_field.graph.model import Model, nodes_of_layers, unique_name
from receptive_field.network.layout import Resolution, input_shape
from receptive_field.network.walk import tensors_below, tensors_read
from receptive_field.passes.regions import forward
from receptive_field.printable import printable
from receptive_field.progress import tell
from receptive_field.questions.costs import compute_costs
from receptive_field.questions.later import LATER
from receptive_field.questions.question import Options, Question, StopPropagation
from receptive_field.questions.reach import followed
from receptive_field.questions.stretches import Follows, Stretch, Stretches
from receptive_field.questions.unproductive import unproductive
from receptive_field.relations.boxes import Mask
from receptive_field.report.contents import Contents, shortened
from receptive_field.results.axes import SpatialAxis
from receptive_field.results.costs import Costs
from receptive_field.results.field import ReceptiveFields
from receptive_field.results.tables import COSTS, FIELD, layer_rows
from receptive_field.rules.op import Taps, rule_of
from receptive_field.rules.stated import Rule
from receptive_field.whole_files import check_writable, write_whole

if TYPE_CHECKING:
    from receptive_field.passes.gradients import Slopes

SCRIPTS = (
    *("maps.js", "follow.js", "dom.js", "tree.js", "picture.js", "model.js"),
    *("pane.js", "ops.js", "between.js", "reasons.js", "table.js", "figure.js"),
    *("address.js", "main.js"),
)
"""The scripts, in the order in which the page runs them."""

DEFAULT_SIZES = {1: (256, 8192), 2: (224, 512), 3: (64, 96)}
"""Number of spatial axes -> the smallest and largest size that may be assumed for an
axis of unknown size."""

MOST_WEIGHED = 50_000_000
"""The most work (`_work`) to spend on effective receptive fields, which takes a few
seconds. They are computed for as many layers as this limit allows."""

LARGEST_NUMBER = 2**53
"""JavaScript represents all integers up to this number exactly."""

Data = dict[str, Any]


@within_budget
def explore(
    model: Any,
    path: str | os.PathLike[str],
    *,
    output: Any = None,
    input: Any = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    overrides: Mapping[Any, Rule] | None = None,
    signature: str | None = None,
    trace: bool = False,
    title: str | None = None,
    example_inputs: Any = None,
) -> Path:
    """Writes a page on which the receptive fields of all layers can be explored.

    The page shows, for each feature, the positions that it sees in the input and in
    every layer below. The page is a single file that loads no other files and works in
    any recent browser.

    Args:
      model, input, stop_propagation, overrides, signature, trace, example_inputs: as
        in `compute_receptive_field`. A list of models, or a mapping from names to
        models, gives a page on which they are compared, two at a time. All other
        arguments then hold for each of them.
      path: the path of the page. An existing file is replaced.
      output: a layer or node. Only tensors between the input and this output are shown.
        None means all layers of a Keras model. For a graph, None means all tensors
        between the input and the only output or, if there are several outputs, all
        tensors that depend on the input.
      input_resolution: the size of the input's spatial axes, ``[height, width]``. If
        neither this argument nor the model gives a size, a size is assumed, and the
        page says so.
      title: the title of the page. None means the names of the models.

    Returns:
      The path of the page.

    Raises:
      ReceptiveFieldError: if the model cannot be read or analysed, no layer has
        features with positions, or the page cannot be written.

    >>> import receptive_field as rf
    >>> rf.explore(rf.EXAMPLE_GRAPH, "page.html")  # doctest: +SKIP
    PosixPath('page.html')
    """
    target = Path(path)
    models = by_name(model)
    for one in models.values():
        check_writable(target, one)
    options = Options(input_resolution, stop_propagation, overrides=overrides)

    def data_of(name: str, one: Any) -> Data:
        loaded = load(
            one,
            signature,
            overrides=overrides,
            trace=trace,
            resolution=input_resolution,
            example_inputs=example_inputs,
        )
        return page_data(loaded, output, input, options) | {"title": name}

    if len(models) == 1:
        data = [data_of(*next(iter(models.items())))]
    else:
        data = [_blamed(name, data_of, one) for name, one in models.items()]
    told = ", ".join(models) if title is None else str(title)
    write_whole(target, page(told, data).encode())
    return target


def page(title: str, models: Sequence[Data]) -> str:
    """Returns the page as text, with its style, scripts and data included.

    Args:
      title: the title of the page.
      models: for each model, its `page_data` and its ``title``.
    """
    folder = files("receptive_field.report") / "page"
    template = (folder / "page.html").read_text(encoding="utf-8")
    # "<" in a JSON string could end the script element, so it is escaped.
    data = {"title": title, "models": models}
    encoded = json.dumps(data, separators=(",", ":"), allow_nan=False)
    scripts = "\n".join(
        f"<script>\n{(folder / name).read_text(encoding='utf-8')}</script>"
        for name in SCRIPTS
    )
    parts = {
        "TITLE": html.escape(title),
        "STYLE": (folder / "style.css").read_text(encoding="utf-8"),
        "DATA": encoded.replace("<", "\\u003c"),
        "SCRIPTS": scripts,
    }
    pieces = template.split("%%")
    return "".join(parts.get(piece, piece) for piece in pieces)


# --- Models and their names ----------------------------------------------------------


def by_name(model: Any) -> dict[str, Any]:
    """Returns the models of a page by name. No two have the same name."""
    if isinstance(model, Mapping):
        models = {str(name): one for name, one in model.items()}
    elif isinstance(model, (list, tuple)):
        models = {}
        titles = [_title(one) for one in model]
        for one, title in zip(model, titles, strict=True):
            is_path = isinstance(one, (str, os.PathLike))
            shared = is_path and titles.count(title) > 1
            name = str(one) if shared else title
            models[unique_name(name, models)] = one
    else:
        return {_title(model): model}
    if not models:
        raise ReceptiveFieldError("there are no models to explore: the list is empty.")
    return models


def _blamed(name: str, data_of: Callable[[str, Any], Data], model: Any) -> Data:
    """Returns the data of one of several models. An error names the model."""
    try:
        return data_of(name, model)
    except ReceptiveFieldError as error:
        raise ReceptiveFieldError(f"{printable(name)}: {error}") from error


def _title(model: Any) -> str:
    if isinstance(model, (str, os.PathLike)):
        return os.path.basename(os.path.normpath(model))
    return str(getattr(model, "name", None) or type(model).__name__)


# --- What is shown -------------------------------------------------------------------


def page_data(
    model: Model,
    output: Any,
    input: Any,
    options: Options,
    how_to_choose: str = "Give input_resolution (--resolution) to choose another size.",
) -> Data:
    """Returns all data of the page except its title, as plain JSON values.

    Args:
      model, output, input, options: the question.
      how_to_choose: a sentence that follows if the size of the input is assumed.

    Raises:
      ReceptiveFieldError: if the model cannot be analysed, or no layer has features
        with positions.
    """
    tell("analysing the model")
    question, note = _sized(model, output, input, options)
    shown = _shown(question)
    tensors = {t: question.network.graph.name_of(t) for t in _tensors(question, shown)}
    found = forward(question.network, question.spatial, tensors)
    if output is not None or (question.outputs and not question.layers):
        question.fields(found, strict=True)  # Raises if an output cannot be shown.
    named = _fields(question, shown, found)
    by_tensor = {shown[name]: field for name, field in named.items()}
    between = {name: t for t, name in tensors.items() if t not in by_tensor}
    others = _fields(question, between, found)
    by_tensor |= {between[name]: field for name, field in others.items()}
    steps = Stretches(question, found, by_tensor, {shown[name] for name in named})
    if not any(any(p is not None for p in steps.places(shown[n])) for n in named):
        raise GraphError(
            "no layer has features with positions: the model has no spatial axes to "
            f"explore, or nothing depends on its input {question.input!r}."
        )
    owner = nodes_of_layers(model, inside=True)
    costs = _costs(model, question, options)
    idle = unproductive(replace(question, outputs=shown), found)
    export = _Export(question, steps, shown, named, costs, owner, idle)
    asked = list(question.outputs or {}) if output is not None else []
    told = f"{note} {how_to_choose}" if note else ""
    return export.data() | {"note": told, "outputs": asked}


def _sized(
    model: Model, output: Any, input: Any, options: Options
) -> tuple[Question, str]:
    """Returns the question with all sizes known, and a note about assumed sizes."""
    question = _asked(model, output, input, options)
    sizes = _input_sizes(question)
    if all(isinstance(size, int) for size in sizes):
        return question, ""
    smallest, largest = DEFAULT_SIZES.get(len(sizes), (32, 32))
    wanted = max(smallest, _largest_field(question))
    default = min(-(-wanted // 32) * 32, largest)
    chosen = [size if isinstance(size, int) else default for size in sizes]
    shown = " x ".join(map(str, chosen))
    note = f"The model does not state the size of its input; {shown} is assumed."
    network = question.network
    shape = input_shape(network, question.rank, question.spatial, chosen)
    return replace(question, network=network.told(shape)), note


def _asked(model: Model, output: Any, input: Any, options: Options) -> Question:
    if output is not None:
        return Question.ask(model, input, [output], options, LATER)
    if model.layers:
        return Question.ask(model, input, None, options, LATER)
    try:
        return Question.ask(model, input, [None], options, LATER)
    except NodeNotFoundError:  # There are several outputs, so show everything.
        return Question.ask(model, input, None, options, LATER)


def _input_sizes(question: Question) -> list[Any]:
    """Returns the sizes of the input's spatial axes, height before width."""
    shape = question.network.shape(question.network.input)
    return [None if shape is None else shape[axis] for axis in question.spatial]


def _largest_field(question: Question) -> int:
    """Returns the size of the largest region along local paths that is not endless."""
    found = forward(question.network, question.spatial)
    local = [relation for t in found.state if (relation := found.local(t)) is not None]
    sizes = [
        followed(relation, question, axis)[1].size()
        for relation in local
        for axis in question.spatial
    ]
    return max((int(size) for size in sizes if size != INFINITY), default=0)


def _shown(question: Question) -> dict[str, Tensor]:
    """Returns the tensors to show, by name.

    These are the outputs of all layers or, for a graph, of all nodes that do more than
    copy.
    """
    network = question.network
    named = dict(question.outputs or {})
    if question.layers:
        layers = question.layers.items()
        return {n: t for n, t in layers if network.carries[t[0]]} | named
    name_of = network.graph.name_of
    chosen = {
        name_of(t): t for t in _tensors(question, {}) if not _is_copy(question, t)
    }
    return chosen | named


def _is_copy(question: Question, tensor: Tensor) -> bool:
    """Returns whether a node only copies its input."""
    op = rule_of(question.network.graph.nodes[tensor[0]])
    inputs = question.network.graph.nodes[tensor[0]].inputs
    copies = op is not None and op.taps is Taps.COPY and len(inputs) == 1
    return copies and op is not None and op.may_be_handle


def _tensors(question: Question, shown: Mapping[str, Tensor]) -> list[Tensor]:
    """Returns each node's first output, and other outputs that are read or shown."""
    network = question.network
    first = ((index, 0) for index in network.order)
    every = [*first, *tensors_read(network), *shown.values()]
    return [t for t in dict.fromkeys(every) if t != network.input]


def _fields(
    question: Question, outputs: Mapping[str, Tensor], found: Any
) -> ReceptiveFields:
    return replace(question, outputs=outputs).fields(found)


def _costs(model: Model, question: Question, options: Options) -> Costs | None:
    try:
        return compute_costs(
            model,
            output=None if model.layers else next(iter(question.outputs or {}), None),
            input=question.input,
            input_resolution=options.input_resolution or _input_sizes(question),
        )
    except ReceptiveFieldError:
        return None  # The page shows a dash instead of the costs.


# --- As data -------------------------------------------------------------------------


class _Export:
    """Numbers the page's tensors and maps and turns them into the page's data."""

    def __init__(
        self,
        question: Question,
        steps: Stretches,
        shown: Mapping[str, Tensor],
        fields: ReceptiveFields,
        costs: Costs | None,
        owner: Mapping[int, str],
        idle: Collection[str],
    ) -> None:
        self.question = question
        self.contents = Contents(question.network, owner, self._described)
        self.last: dict[Tensor, int] = {}
        """For each tensor, the number of its last node so far."""
        self.steps = steps
        self.fields = fields
        self.tensors = shown
        self.slopes: Slopes | None = None
        self.numbers: dict[Hashable, int] = {}
        self.maps: list[Any] = []
        rows = layer_rows(fields, costs, (*FIELD, *COSTS))
        self.rows = {row["layer"]: row for row in rows}
        analysed = set(fields)
        named = [(t, n) for n, t in shown.items() if n in analysed]
        known = {tensor for tensor, _ in named}
        waypoints = [(t, "") for t in steps.stops if t not in known]
        start = (question.network.input, "")
        listed = [start, *named, *(pair for pair in waypoints if pair != start)]
        self.listed = sorted(listed, key=lambda pair: steps.order(pair[0]))
        stops = set(steps.stops)
        self.bypassed = any(tensor not in stops for tensor in known)
        """Whether any shown tensor is not a stop."""
        self.known = known | {question.network.input}
        self.failed = {n: str(e) for n, e in fields.errors.items()}
        self.idle = idle

    def data(self) -> Data:
        """Returns the data of the page."""
        last = self.last
        nodes: list[Data] = []
        for number, (tensor, name) in enumerate(self.listed):
            tell("following each layer", number / len(self.listed))
            node = self._node(tensor, name)
            if tensor in last:  # A layer that returns its input.
                node["from"] = [[last[tensor], self._same(tensor), 1, 1]]
                node["same"] = 1
            else:
                node["from"] = [
                    [last[s.below], self._step(s), int(s.even), int(s.exact)]
                    for s in self.steps.below(tensor)
                ]
                if len(node["from"]) == 1 and self.steps.hands_on(tensor):
                    below = nodes[node["from"][0][0]]
                    if "name" in below or "same" in below:
                        node["same"] = 1
            if self.bypassed and name and tensor not in last:
                node["reads"] = sorted({last[t] for t in self._reads(tensor)})
            if name and (ops := self.contents.of(name, tensor)) is not None:
                node["ops"] = ops
            last[tensor] = number
            nodes.append(node)
        self._add_weights(nodes)
        return {
            "input": self.question.input,
            "sizes": _input_sizes(self.question)[::-1],
            "nodes": nodes,
            "maps": self.maps,
            "failed": self.failed,
            "contents": self.contents.data(),
        }

    def _described(self, tensor: Tensor) -> int | str:
        """Returns the number of a tensor's node on the page, or else its name."""
        number = self.last.get(tensor)
        if number is not None and (not number or self.listed[number][1]):
            return number
        return shortened(self.question.network.graph.name_of(tensor))

    def _node(self, tensor: Tensor, name: str) -> Data:
        if tensor == self.question.network.input and not name:
            sizes = _input_sizes(self.question)[::-1]
            number = self._number(IDENTITY)
            return {"name": self.question.input, "op": "input", "size": sizes} | {
                "map": [number] * len(sizes),
                **{"rf": [1] * len(sizes), "stride": [1] * len(sizes)},
                **{"padding": [0] * len(sizes), "centre": [0] * len(sizes)},
                **{"aligned": True, "exact": True},
            }
        places = self.steps.places(tensor)
        if not name:
            return {"size": self._sizes(tensor, places)}
        field, row = self.fields[name], self.rows[name]
        node: Data = {
            **{"name": name, "op": row["op"], "size": self._sizes(tensor, places)},
            "map": self._numbers(field.axes),
            **_row_numbers(row),
            "aligned": field.aligned,
            "exact": field.exact,
            "flops": row["FLOPs"],
            "parameters": row["parameters"],
        }
        held = [place for place in places if place is not None]
        if len(set(held)) < len(held):
            node["shared"] = 1  # Several input axes share one output axis (tokens).
        if name in self.idle:
            node["idle"] = 1
        if field.is_global:
            node["whole"] = list(field.global_nodes[:3])
            if field.local is not None:
                node["local"] = self._numbers(field.local.axes)
                (near,) = layer_rows({name: field.local}, columns=FIELD)
                node["near"] = _row_numbers(near)
        return node

    def _reads(self, tensor: Tensor) -> set[Tensor]:
        """Returns the shown tensors just below a tensor, even if they are not stops."""
        place = self.steps.order

        def is_next(below: Tensor) -> bool:
            # A tensor that comes later was computed in the previous iteration.
            return below in self.known and place(below) < place(tensor)

        network = self.question.network
        below = tensors_below(network, [tensor], lambda t: not is_next(t))
        return set(filter(is_next, below))

    def _sizes(self, tensor: Tensor, places: Iterable[int | None]) -> list[int | None]:
        shape = self.question.network.shape(tensor)
        sizes = [None if p is None or shape is None else shape[p] for p in places]
        return [size if isinstance(size, int) else None for size in sizes]

    def _same(self, tensor: Tensor) -> list[list[int] | None]:
        number = self._number(IDENTITY)
        places = self.steps.places(tensor)
        return [None if p is None else [i, number] for i, p in enumerate(places)]

    def _step(self, step: Stretch) -> list[list[int] | None]:
        return [None if axis is None else self._followed(axis) for axis in step.axes]

    def _numbers(self, axes: Sequence[SpatialAxis]) -> list[int]:
        return [self._number(_told(axis)) for axis in axes]

    def _number(self, axis_map: AxisMap) -> int:
        if axis_map not in self.numbers:
            self.numbers[axis_map] = len(self.maps)
            self.maps.append(encoded_map(axis_map))
        return self.numbers[axis_map]

    def _followed(self, follows: Follows) -> list[int]:
        axis = -1 if follows.axis is None else follows.axis
        if follows.seen is None:
            return [axis, self._number(follows.map)]
        key = follows.seen.shape, follows.seen.tobytes()
        if key not in self.numbers:
            self.numbers[key] = len(self.maps)
            self.maps.append(encoded_sets(follows.seen))
        return [axis, self.numbers[key]]

    # --- Effective weights -----------------------------------------------------------

    def _add_weights(self, nodes: Sequence[Data]) -> None:
        """Adds the middle feature's profiles to as many layers as the limit allows.

        Layers that only pass on the features of another layer show that layer's
        profiles. Without NumPy, no layer has any.
        """
        if not is_installed():
            return
        work = list(itertools.accumulate(_work(node) for node in nodes))
        stops = set(self.steps.stops)
        own = [
            number
            for number, node in enumerate(nodes)
            if number and node.get("name") and not node.get("same")
            if None not in node["size"] and self.listed[number][0] in stops
        ]
        chosen = own[::-1]
        while sum(work[number] for number in chosen) > MOST_WEIGHED:
            count = len(chosen) * 2 // 3
            chosen = [own[-1 - i * len(own) // count] for i in range(count)]
        for done, node in enumerate(nodes[number] for number in chosen):
            tell("weighing positions", done / len(chosen))
            found = self._profiles(node["name"])
            if found is not None:
                node["weights"] = found

    def _profiles(self, name: str) -> Data | None:
        """Returns the middle feature's profile on each axis.

        The profiles are scaled so that the largest value is 999. Returns None if they
        cannot be computed.
        """
        from receptive_field.questions.effective import analytic, slopes_of

        try:
            self.slopes = self.slopes or slopes_of(self.question)
            field, output = self.fields[name], self.tensors[name]
            effective = analytic(self.question, output, None, field, self.slopes)
        except ReceptiveFieldError:
            return None
        axes = []
        for profile in effective.profiles:
            largest = profile.max()
            if not largest > 0:
                return None
            rounded = [round(float(value / largest) * 999) for value in profile]
            some = [i for i, value in enumerate(rounded) if value]
            axes.append([some[0], *rounded[some[0] : some[-1] + 1]])
        found: Data = {"at": list(effective.feature), "axes": axes}
        found["wide"] = [round(float(size), 1) for size in effective.size]
        found["assumed"] = int(not effective.exact)
        if len(axes) > 1 and all(axis == axes[0] for axis in axes):
            found["axes"] = axes[:1]
        return found


def _work(node: Data) -> int:
    """Returns how much a layer adds to the work for the weights of each later layer.

    The work is the number of pairs of positions on each axis, plus a constant for work
    that does not depend on the size.
    """
    return 2000 + sum((size or 1) ** 2 for size in node["size"])


def _told(axis: SpatialAxis) -> AxisMap:
    """Returns the map to what features see on an axis, including mirrored borders."""
    axis_map, count = axis.map, axis.output_size
    if axis_map.seen is None or axis_map.is_floating or count is None:
        return axis_map.all_seen
    return table(map(axis_map.window, range(count)), exact=axis_map.exact)


def _row_numbers(row: Mapping[str, Any]) -> Data:
    """Returns the numbers in a row of the layer table, as JSON values."""
    keys = ("receptive field", "rf"), ("stride",) * 2, ("padding",) * 2
    found: Data = {key: [_number(v) for v in row[name]] for name, key in keys}
    return found | {"centre": row["first centre"]}


def encoded_map(axis_map: AxisMap) -> list[Data] | None:
    """Returns a map as JSON values: its strands, or None if an offset is unknown.

    A periodic strand is ``{"a": advance, "w": windows, "g": gap}``. For a table,
    ``"t"`` holds the start and replaces ``"a"``. Windows are a flat list of first and
    last positions, with ``null, null`` for an empty window, and ``"-"`` and ``"+"`` for
    infinite ends. A gap that is 1 or unknown is left out. ``"b": 1`` marks an upper
    bound.

    Raises:
      ReceptiveFieldError: if a number is too large for JavaScript.
    """
    strands = []
    for strand in axis_map.strands:
        if isinstance(strand, Floating):
            return None
        ends = (end for window in strand.windows for end in window or (None, None))
        entry: Data = {"w": [_bound(end) for end in ends]}
        if isinstance(strand, Anywhere):
            entry["a"] = 0
        elif isinstance(strand, Periodic):
            entry["a"] = _bound(strand.advance)
        else:
            entry["t"] = _bound(strand.start)
        if 1 < strand.gap < INFINITY:
            entry["g"] = strand.gap
        if not strand.exact:
            entry["b"] = 1
        strands.append(entry)
    return strands


def encoded_sets(seen: Mask) -> list[Data]:
    """Returns sets of positions as JSON values, in place of a map: ``{"s": runs}``.

    ``runs`` lists, for each position above, the first and last position of each run of
    positions in its set.
    """
    runs = []
    for row in seen:
        edges = np.diff(np.concatenate(([0], row.astype(np.int8), [0])))
        starts, stops = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) - 1
        runs.append(np.stack((starts, stops), axis=1).ravel().tolist())
    return [{"s": runs}]


def _bound(end: Extended | None) -> int | str | None:
    if end is None:
        return None
    if isinstance(end, float):
        return "+" if end > 0 else "-"
    if abs(end) > LARGEST_NUMBER:
        raise ReceptiveFieldError(
            "a region extends beyond 2**53, the largest integer that the page can "
            "show. Use the table of all layers (receptive-field layers), or choose an "
            "output= nearer the input."
        )
    return end


def _number(value: Any) -> Any:
    """Returns a number of the layer table for JSON, with "inf" for infinity."""
    if value == INFINITY:
        return "inf"
    return float(value) if isinstance(value, Fraction) else value


__all__ = ["by_name", "explore", "page", "page_data"]
