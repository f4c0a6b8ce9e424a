"""The functions that run the commands and return their exit status."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from receptive_field.cli import questions
from receptive_field.cli.messages import with_options
from receptive_field.cli.references import model_named
from receptive_field.cli.terminal import (
    INTERRUPTED,
    raise_on_interrupt,
    show,
    show_error,
    show_json,
)
from receptive_field.errors import (
    NodeNotFoundError,
    ReceptiveFieldError,
    nearest,
    some_names,
)
from receptive_field.graph.model import nodes_of_layers
from receptive_field.graph.names import matching
from receptive_field.printable import printable
from receptive_field.results.axes import axis_name
from receptive_field.results.columns import in_columns

if TYPE_CHECKING:
    from receptive_field.graph.model import Model
    from receptive_field.results.costs import Costs
    from receptive_field.results.field import ReceptiveField, ReceptiveFields
    from receptive_field.results.tables import Table


def compute(options: argparse.Namespace) -> int:
    """See ``receptive-field compute --help``."""
    from receptive_field.results.words import as_text

    if options.all:
        return compute_all(options)
    model = _load(options)
    field = _field(model, options, require_aligned=options.require_aligned)
    _note_on_input(model, field.input)
    explanation = with_options(str(field.explain())) if options.explain else None
    asked = questions.answers(field, options)
    placed = questions.in_units(field, options)
    if options.format == "json":
        told: dict[str, Any] = {}
        told |= {} if explanation is None else {"explanation": explanation}
        told |= {answer.key: answer.data for answer in asked}
        told |= {} if placed is None else {"in_units": placed.to_dict()}
        show_json(field.to_dict(with_reasons=True) | told)
    else:
        styles = {r"(?m)^\S.{17}": "cyan", r"(?m)(?<=^.{19})(no|unknown)\b.*": "yellow"}
        text = (
            as_text(field, with_options)
            if placed is None
            else placed.as_text(with_options)
        )
        show(text, styles)
        if explanation is not None:
            show(explanation)
        for answer in asked:
            show(answer.text)
    return 0


def layers(options: argparse.Namespace) -> int:
    """See ``receptive-field layers --help``."""
    from receptive_field.results.fitting import terminal_fit

    model = _load(options)
    fields = _fields(model, options)
    pattern = options.filter or ""
    known: Mapping[str, ReceptiveField] = fields
    if options.covering is not None:
        known = fields.covering(options.covering)
    if options.unproductive:
        useless = fields.unproductive()
        known = {name: field for name, field in known.items() if name in useless}
    chosen = {name: known[name] for name in matching(pattern, known)}
    failed = [fields.errors[name] for name in matching(pattern, fields.errors)]
    if not chosen:
        raise failed[0] if failed else _no_layer(pattern, known, fields)
    table, costs = _layer_table(model, options, fields, chosen)
    fit = terminal_fit(sys.stdout, options.columns is not None, ADVICE)
    text = table.text(options.format, fit).rstrip("\n")
    styles = {r"\A(?:(?!--).*\n)+": "bold"} if options.format == "table" else {}
    show(text, styles, wraps=False)
    if costs is not None and not costs.is_complete:
        node, reason = next(iter(costs.uncounted.items()))
        rest = len(costs.uncounted) - 1
        more = f" and {rest} more" if rest else ""
        told = f"no FLOPs are counted for {node!r}{more}: {with_options(reason)}"
        show(f"warning: {told}", {r"\Awarning:": "yellow"}, sys.stderr)
    failures: dict[str, list[str]] = {}
    for name, error in fields.errors.items():
        failures.setdefault(str(error), []).append(printable(name))
    for reason, names in failures.items():
        told = f"{some_names(names, 1)}: {with_options(reason)}"
        show(f"warning: {told}", {r"\Awarning:": "yellow"}, sys.stderr)
    _note_on_input(model, next(iter(chosen.values())).input)
    return 0


ADVICE = "--columns all or a wider terminal"
"""Where to see the columns that do not fit on a terminal."""


def _layer_table(
    model: Model,
    options: argparse.Namespace,
    fields: ReceptiveFields,
    chosen: Mapping[str, ReceptiveField],
) -> tuple[Table, Costs | None]:
    """Returns the table of the chosen layers, sorted and cut as asked, and costs."""
    from receptive_field.results.tables import Table

    sizes = [axis.input_size for field in chosen.values() for axis in field.axes]
    unproductive = None if None in sizes else fields.unproductive()
    named = _named_columns(options)
    costs = _costs(model, options, named, None in sizes)
    counts = {} if costs is not None else _parameters(model, options, named)
    units = questions.units_of(fields, options)
    columns = options.columns or None
    table = Table(chosen, costs, columns, unproductive, counts, units)
    if options.sort is not None:
        table.sort(*options.sort)
    if options.top is not None:
        table.keep(options.top)
    return table, costs


def _named_columns(options: argparse.Namespace) -> set[str]:
    """Returns the columns that the user names, to print them or to sort by them."""
    sorting = options.sort[:1] if options.sort else ()
    return {*(options.columns or ()), *sorting}


def _costs(
    model: Model, options: argparse.Namespace, named: set[str], is_unknown: bool
) -> Costs | None:
    """Returns the layers' costs, or None if they are unknown or should not be shown.

    Args:
      model: the model.
      options: the options of the command.
      named: the columns that the user names.
      is_unknown: whether a size of the input is unknown.

    Raises:
      ReceptiveFieldError: if the user asks for costs that cannot be computed.
    """
    from receptive_field.questions.costs import compute_costs
    from receptive_field.results.tables import COSTS

    asked = options.costs or "FLOPs" in named
    wanted = not options.columns or not set(COSTS).isdisjoint(options.columns)
    if not asked and (is_unknown or not (wanted or "parameters" in named)):
        return None
    try:
        return compute_costs(
            model,
            input=options.input,
            input_resolution=options.resolution,
        )
    except ReceptiveFieldError:
        if asked:
            raise
        return None


def _parameters(
    model: Model, options: argparse.Namespace, named: set[str]
) -> dict[str, int]:
    """Returns the parameters of layers whose costs are unknown.

    Raises:
      ReceptiveFieldError: if the user asks for parameters that cannot be counted.
    """
    from receptive_field.questions.costs import count_parameters

    if options.columns and "parameters" not in {*options.columns, *named}:
        return {}
    try:
        return count_parameters(
            model,
            input=options.input,
            input_resolution=options.resolution,
        )
    except ReceptiveFieldError:
        if "parameters" in named:
            raise
        return {}


def nodes(options: argparse.Namespace) -> int:
    """See ``receptive-field nodes --help``."""
    model = _load(options)
    graph = model.graph
    running, needed = model.running(), model.needed()
    ordered = sorted(graph, key=lambda node: node.index not in running)
    owner = nodes_of_layers(model, inside=True)
    without = {
        name: model.layers[name] for name in model.layers.keys() - owner.values()
    }
    places = {node.name: node.index for node in ordered if node.name}
    places |= {name: index for name, (index, _) in without.items()}
    shapes: dict[str, str] = {}
    if options.inputs or options.outputs:
        from receptive_field.questions.candidates import candidates, shown_shape

        inputs, outputs = candidates(model)
        ends = (inputs if options.inputs else {}) | (outputs if options.outputs else {})
        places = {name: index for name, (index, _) in ends.items()}
        shapes = {name: shown_shape(graph, tensor) for name, tensor in ends.items()}
    ops = {
        name: (name in without and model.kinds.get(name)) or graph.nodes[index].op
        for name, index in places.items()
    }
    found = _chosen_nodes(ops, options)
    found = {name: op for name, op in found.items() if places[name] in needed} or found
    rows = []
    for name, op in found.items():
        layer = "" if name in without else owner.get(places[name], "")
        if f"{name}/".startswith(f"{layer}/") or name in model.inputs:  # As in Keras.
            layer = ""
        columns = (op, name, *([shapes[name]] if shapes else ()), layer)
        rows.append([printable(text) for text in columns])
    show("\n".join(in_columns(rows)), {r"(?m)^\S+": "cyan"})
    return 0


def _chosen_nodes(
    ops: Mapping[str, str], options: argparse.Namespace
) -> dict[str, str]:
    """Returns the nodes, with their ops, that match what the user asks for.

    Raises:
      NodeNotFoundError: if there are none.
    """
    named = {name: ops[name] for name in matching(options.pattern, ops)}
    if not named:
        raise _no_match(options.pattern, ops)
    kinds = {*matching(options.op or "*", {*ops.values()})}
    found = {name: op for name, op in named.items() if op in kinds}
    if not found:
        if kinds:
            known = some_names(sorted(set(named.values())))
            raise NodeNotFoundError(
                f"no node whose name matches {options.pattern!r} has an op type that "
                f"matches {options.op!r}. The nodes with matching names have the op "
                f"types {known}."
            )
        raise _no_match(options.op, dict.fromkeys(ops.values()), "op type")
    return found


def resolutions(options: argparse.Namespace) -> int:
    """See ``receptive-field resolutions --help``."""
    from receptive_field.questions.resolutions import resolutions

    model = _load(options)
    found = resolutions(
        model,
        output=options.output,
        input=options.input,
        stop_propagation=_stop(model, options),
    )
    if options.format == "json":
        show_json(found.to_dict())
    else:
        show(with_options(str(found)), {r"\A.*": "bold", "misaligned": "yellow"})
    return 0


def measure(options: argparse.Namespace) -> int:
    """See ``receptive-field measure --help``."""
    from receptive_field.questions.measure import measure_receptive_field

    model = _load(options)
    found = measure_receptive_field(
        model,
        feature=options.feature,
        output=options.output,
        input=options.input,
        input_resolution=options.resolution,
        axes_only=True,
    )
    region = found.region.tolist()
    if options.format == "json":
        names = {"input": found.input, "output": found.output}
        feature = [int(u) for u in found.feature]
        show_json({**names, "feature": feature, "region": region})
        return 0
    coordinates = ", ".join(map(str, found.feature))
    named = printable(f"{found.output} in {found.input}")
    lines = [f"feature ({coordinates}) of {named}, measured:"]
    for axis, (first, last) in enumerate(region):
        lines.append(f"  {axis_name(axis)}: {first} to {last} ({last - first + 1})")
    show("\n".join(lines), {r"\A.*": "bold"})
    _note_on_input(model, found.input)
    return 0


def bisect(options: argparse.Namespace) -> int:
    """See ``receptive-field bisect --help``."""
    from receptive_field.questions.bisection import bisect

    model = _load(options)
    found = bisect(
        model,
        output=options.output,
        input=options.input,
        input_resolution=options.resolution,
    )
    told = with_options(str(found))
    color = "yellow" if found.unchecked else "green"
    show(told, {r"(?m)^(wrong|suspected)\b": "bold red", r"\Ano wrong": color})
    return 0 if found.wrong is None else 1


def tiling(options: argparse.Namespace) -> int:
    """See ``receptive-field tiling --help``."""
    from receptive_field.results.tiling import as_data, as_text, told_smaller

    model = _load(options)
    field = _field(model, options)
    alike = len(options.tile) == 1
    tile = options.tile * len(field.axes) if alike else options.tile[::-1]
    found = field.tiling(tile)
    tiles = [] if options.image is None else found.tiles(options.image[::-1])
    if options.format == "json":
        show_json(found.to_dict() | ({"tiles": as_data(tiles)} if tiles else {}))
    else:
        show(with_options(str(found)))
        if tiles:
            smaller = told_smaller(found, tiles, options.image[::-1])
            show(smaller + as_text(tiles))
    return 0


def explore(options: argparse.Namespace) -> int:
    """See ``receptive-field explore --help``."""
    from receptive_field.report.explorer import by_name, explore
    from receptive_field.whole_files import check_writable, open_already

    for path in options.models:
        check_writable(options.file, path)
    loaded, stop = {}, None
    for name, path in by_name(options.models).items():
        loaded[name] = _load(argparse.Namespace(**{**vars(options), "model": path}))
        stop = _stop(loaded[name], options)
    written = explore(
        loaded,
        options.file,
        output=options.output,
        input=options.input,
        input_resolution=options.resolution,
        stop_propagation=stop,
    )
    if open_already(written) is None:
        show(with_options(str(written)))
    return 0


def serve(options: argparse.Namespace) -> int:
    """See ``receptive-field serve --help``."""
    import webbrowser

    from receptive_field.cli.serving import Server, model_file, site_in

    site = site_in(options.site)
    model = None if options.model is None else model_file(options.model)
    with Server(site, model, options.port) as server:
        show(server.url)
        sys.stdout.flush()
        if options.browser:
            webbrowser.open(server.url)
        server.serve_forever()
    return 0


def many(options: argparse.Namespace) -> int:
    """See ``receptive-field many --help``."""
    from receptive_field.many import compute_many

    raise_on_interrupt()  # Workers have to end, and finished rows are kept.
    try:
        rows = compute_many(
            options.models,
            results=options.file,
            output=options.output,
            input=options.input,
            input_resolution=options.resolution,
            workers=options.workers,
            timeout=options.timeout,
            memory=options.memory,
        )
    except KeyboardInterrupt:
        text = "interrupted; all rows that were finished have been written."
        show(text, file=sys.stderr)
        return INTERRUPTED
    failed = [row for row in rows if row.error]
    for row in failed:
        show_error(f"{row.model}: {with_options(str(row.error))}")
    count = "1 file" if len(rows) == 1 else f"{len(rows)} files"
    show(f"{count}, {len(failed)} with an error.", file=sys.stderr)
    return 1 if failed else 0


PLOTS = {
    "regions": ("output", "feature", "image"),
    "growth": (),
    "support": ("output", "feature", "image"),
    "effective": ("output", "feature"),
    "accuracy": (),
}
"""Kind of plot -> the options that it has, of those that not all have."""


def plot(options: argparse.Namespace) -> int:
    """See ``receptive-field plot --help``."""
    if (not options.models) != (options.kind == "accuracy"):
        options.fail(
            "every plot except accuracy requires a MODEL, and accuracy takes none."
        )
    for name in ("output", "input"):
        given = getattr(options, name) or ()
        if len(given) not in (0, 1, len(options.models)):
            options.fail(
                f"give --{name} once for all models, or once for each of them."
            )
    if len(options.feature or ()) > 1 and options.kind != "regions":
        options.fail(
            f"the plot {options.kind} shows only one feature; give --feature only once."
        )
    for name in ("output", "feature", "image"):
        if name not in PLOTS[options.kind] and getattr(options, name) is not None:
            options.fail(
                f"--{name} has no effect on {options.kind}; leave out this option."
            )
    from receptive_field.report.figure import file_figure

    with file_figure(options.file) as figure:
        _draw(options, figure)
    return 0


def _draw(options: argparse.Namespace, figure: Any) -> None:
    from receptive_field.report import accuracy, growth, plots

    if options.kind == "accuracy":
        accuracy.plot_accuracy(ax=figure)
        return
    asked = dict(_each_model(options))
    if options.kind == "growth":
        growths = {name: _fields(_load(one), one) for name, one in asked.items()}
        growth.plot_growth(_only(growths), ax=figure)
        return
    fields = _only({name: _field(_load(one), one) for name, one in asked.items()})
    features = options.feature
    if options.kind == "regions":
        plots.plot_regions(fields, features, image=options.image, ax=figure)
        return
    feature = features and features[0]
    if options.kind == "support":
        plots.plot_support(fields, feature, image=options.image, ax=figure)
    else:
        plots.plot_effective(fields, feature=feature, ax=figure)


def _each_model(
    options: argparse.Namespace,
) -> Iterator[tuple[str, argparse.Namespace]]:
    """Yields a different name for each model, and the options for it alone.

    The name is the model's file name, or its path if another path ends with it. If a
    path is given several times, it is counted.
    """
    ends = {path: os.path.basename(os.path.normpath(path)) for path in options.models}
    for place, path in enumerate(options.models):
        name = ends[path]
        if [*ends.values()].count(name) > 1:
            name = path
        if options.models.count(path) > 1:
            name += f" ({options.models[: place + 1].count(path)})"
        given = {"model": path}
        for option in ("output", "input"):
            names = getattr(options, option) or [None]
            given[option] = names[place % len(names)]
        yield name, argparse.Namespace(**{**vars(options), **given})


def _only(models: dict[str, Any]) -> Any:
    """Returns the only model without its name, or all models."""
    return models if len(models) > 1 else next(iter(models.values()))


def check(options: argparse.Namespace) -> int:
    """See ``receptive-field check --help``."""
    from receptive_field.results.check import conditions

    asked = (options.min_size, options.min_output, options.aligned, options.exact)
    if not any(asked):
        options.fail(
            "give at least one condition: --min-size, --aligned, --exact or "
            "--min-output."
        )
    field = _field(_load(options), options)
    found = conditions(
        field, options.min_size, options.aligned, options.exact, options.min_output
    )
    holds = all(condition.holds for condition in found)
    if options.format == "json":
        names = {"input": field.input, "output": field.output, "holds": holds}
        show_json(names | {"conditions": [one.to_dict() for one in found]})
    else:
        lines = [with_options(str(condition)) for condition in found]
        show("\n".join(lines), {r"(?m)^ok": "green", r"(?m)^FAILED": "bold red"})
    return 0 if holds else 1


def compare(options: argparse.Namespace) -> int:
    """See ``receptive-field compare --help``."""
    from receptive_field.questions.compare import compare

    ends: dict[str, Any] = {}
    for name in ("output", "input"):
        given = getattr(options, name)
        if given is not None and len(given) > 2:
            options.fail(f"give --{name} once or twice.")
        ends[name] = given[0] if given is not None and len(given) == 1 else given
    found = compare(
        model_named(options.model),
        model_named(options.other),
        **ends,
        input_resolution=options.resolution,
        stop_propagation=options.stop,
        global_context="exclude" if options.exclude_global else "include",
        trace=options.trace,
    )
    if options.format == "json":
        show_json(found.to_dict())
    else:
        show(
            with_options(str(found)),
            {r"(?m)^[AB] .*": "bold", r"(?m)\bdiffers$": "yellow"},
        )
    return 0


def reach(options: argparse.Namespace) -> int:
    """See ``receptive-field reach --help``."""
    from receptive_field.questions.proposals import proposals

    model = _load(options)
    found = proposals(
        model, options.target, output=options.output, **_shared(options, model)
    )
    if options.format == "json":
        show_json(found.to_dict())
    else:
        show(with_options(str(found)), {r"\A.*": "bold"})
    return 0 if found.reached or len(found) else 1


def levels(options: argparse.Namespace) -> int:
    """See ``receptive-field levels --help``."""
    from receptive_field.questions.pyramid import pyramid_levels

    model = _load(options)
    found = pyramid_levels(
        model,
        options.outputs,
        options.objects,
        input=options.input,
        input_resolution=options.resolution,
        stop_propagation=_stop(model, options),
    )
    if options.format == "json":
        show_json(found.to_dict())
    else:
        show(
            with_options(str(found)),
            {r"(?m)^(level|object) .*": "bold", r"\bnone;.*": "yellow"},
        )
    return 0


def compute_all(options: argparse.Namespace) -> int:
    """See ``receptive-field compute --help``, option ``--all``."""
    from receptive_field.questions.pairs import compute_all_pairs

    for name in (
        *("output", "input", "explain", "require_aligned"),
        *("features", "seen_by", "look_ahead", "spacing", "unit"),
    ):
        if getattr(options, name):
            option = name.replace("_", "-")
            options.fail(f"--all is about every pair, so it cannot take --{option}.")
    model = _load(options)
    shared = _shared(options, model)
    del shared["input"]
    found = compute_all_pairs(model, **shared)
    if options.format == "json":
        show_json(found.to_dict())
    else:
        show(with_options(str(found)), {r"(?m)^(input|output) .{11}": "cyan"})
    return 1 if found.errors else 0


# --- Models, names and numbers --------------------------------------------------------


def _load(options: argparse.Namespace) -> Model:
    from receptive_field.frameworks import load

    return load(
        model_named(options.model),
        options.signature,
        trace=options.trace,
        resolution=getattr(options, "resolution", None),
    )


def _field(model: Model, options: argparse.Namespace, **more: Any) -> ReceptiveField:
    from receptive_field.api import compute_receptive_field

    output = options.output
    return compute_receptive_field(
        model, output=output, **_shared(options, model), **more
    )


def _fields(model: Model, options: argparse.Namespace) -> ReceptiveFields:
    from receptive_field.api import compute_receptive_fields

    return compute_receptive_fields(model, **_shared(options, model))


def _shared(options: argparse.Namespace, model: Model) -> dict[str, Any]:
    return {
        "input": options.input,
        "input_resolution": options.resolution,
        "stop_propagation": _stop(model, options),
        "global_context": "exclude" if options.exclude_global else "include",
    }


def _note_on_input(model: Model, name: str) -> None:
    """Says which tensor to ask about if an input has not yet the shape of an image."""
    from receptive_field.questions.candidates import advice_on_input

    try:
        _, tensor = model.find(name)
    except NodeNotFoundError:
        return  # A model that is traced to be run may have nodes of other names.
    advice = advice_on_input(model, tensor)
    if advice is not None:
        told = f"note: {with_options(advice)}"
        show(told, {r"\Anote:": "yellow"}, sys.stderr)


def _stop(model: Model, options: argparse.Namespace) -> list[str] | None:
    """Returns the prefixes given with ``--stop``.

    Raises:
      NodeNotFoundError: if a prefix matches no node.
    """
    prefixes: list[str] | None = options.stop
    names = model.graph.index_of
    for prefix in prefixes or ():
        if not any(name.startswith(prefix) for name in names):
            raise NodeNotFoundError(
                f"no node has a name that begins with {prefix!r}. "
                f"{nearest(prefix, names)}"
            )
    return prefixes


def _no_layer(pattern: str, known: Iterable[str], fields: Iterable[str]) -> Exception:
    """Returns the error for a pattern that matches none of the known layers.

    These are the fields that ``--covering`` and ``--unproductive`` leave.
    """
    if not matching(pattern, fields):
        return _no_match(pattern, fields)
    left = [*known]
    if not left:
        return NodeNotFoundError("no layer is unproductive at this size of the input.")
    return NodeNotFoundError(
        f"no layer that matches {pattern!r} is among those that --covering or "
        f"--unproductive lists, which are: {some_names(left)}."
    )


def _no_match(pattern: str, names: Iterable[str], what: str = "name") -> Exception:
    whole = list(names)
    parts = dict.fromkeys(part for name in whole for part in name.split("/"))
    words = dict.fromkeys(word for part in parts for word in re.split("[_.-]", part))
    similar = nearest(pattern.strip("*/"), [*whole, *parts, *words], what)
    return NodeNotFoundError(f"no {what} matches {pattern!r}. {similar}")
