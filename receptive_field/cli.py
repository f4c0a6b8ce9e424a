"""The command line: ``receptive-field``, with a subcommand for each question.

Exit status 0: answered; 1: the model or the question is at fault, and stderr says how;
2: the command line is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from receptive_field.api import compute_receptive_field, compute_receptive_fields
from receptive_field.errors import NodeNotFoundError, ReceptiveFieldError
from receptive_field.result import ReceptiveField
from receptive_field.sources import load
from receptive_field.sources.model import Model

MODEL = (
    "a graph file (.pb, .pbtxt, .meta, compressed or not), a SavedModel folder, or a "
    ".keras or .h5 file"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except ReceptiveFieldError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # Whoever read it has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"error: cannot write: {error.strerror}.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


# --- What can be asked ---------------------------------------------------------------


def _compute(options: argparse.Namespace) -> int:
    model = load(options.model, options.signature)
    field = compute_receptive_field(
        model,
        output=_full_name(model, options.output),
        require_aligned=options.require_aligned,
        **_shared(options, model),
    )
    if options.format == "json":
        print(json.dumps(_as_dict(field), indent=2, allow_nan=False))
    else:
        print(_described(field), end="")
    if options.explain:
        print(field.explain())
    return 0


def _layers(options: argparse.Namespace) -> int:
    from receptive_field.costs import compute_costs
    from receptive_field.report.tables import formatted, layer_rows

    model = load(options.model, options.signature)
    fields = compute_receptive_fields(model, **_shared(options, model))
    chosen = {
        name: fields[name]
        for name in fields
        if options.filter is None or fnmatchcase(name, options.filter)
    }
    if options.filter is not None and not chosen:
        raise NodeNotFoundError(f"no name matches {options.filter!r}.")
    costs = None
    if options.costs:
        costs = compute_costs(
            model,
            input=_full_name(model, options.input),
            input_resolution=options.resolution,
        )
    ops = {name: model.graph.nodes[model.find(name)[1][0]].op for name in chosen}
    print(formatted(layer_rows(chosen, ops, costs), options.format), end="")
    for name, error in fields.errors.items():
        print(f"warning: {name}: {error}", file=sys.stderr)
    return 0


def _nodes(options: argparse.Namespace) -> int:
    graph = load(options.model, options.signature).graph
    found = [
        node
        for node in graph
        if options.pattern in node.name
        and (options.op is None or fnmatchcase(node.op, options.op))
    ]
    if not found:
        raise NodeNotFoundError(f"no node matches among the {len(graph)} of the graph.")
    width = max(len(node.op) for node in found)
    for node in found:
        print(f"{node.op:{width}}  {node.name}")
    return 0


def _resolutions(options: argparse.Namespace) -> int:
    from receptive_field.input_sizes import resolutions

    model = load(options.model, options.signature)
    found = resolutions(
        model,
        output=_full_name(model, options.output),
        input=_full_name(model, options.input),
        stop_propagation=options.stop,
    )
    print(found)
    return 0


def _measure(options: argparse.Namespace) -> int:
    from receptive_field.measurement import measure_receptive_field

    model = load(options.model, options.signature)
    found = measure_receptive_field(
        model,
        feature=options.feature,
        output=_full_name(model, options.output),
        input=_full_name(model, options.input),
        input_resolution=options.resolution,
        axes_only=True,
    )
    feature = ", ".join(map(str, found.feature))
    print(f"feature ({feature}) of {found.output} in {found.input}, by experiment:")
    for axis, (first, last) in zip("xyz", found.region.tolist(), strict=False):
        print(f"  {axis}: {first} to {last} ({last - first + 1})")
    return 0


def _explore(options: argparse.Namespace) -> int:
    from receptive_field.report.explorer import check_writable, explore

    check_writable(Path(options.page))
    model = load(options.model, options.signature)
    written = explore(
        model,
        options.page,
        output=_full_name(model, options.output),
        input=_full_name(model, options.input),
        input_resolution=options.resolution,
        stop_propagation=options.stop,
        title=os.path.basename(os.path.normpath(options.model)),
    )
    print(written)
    return 0


def _many(options: argparse.Namespace) -> int:
    from receptive_field.many import run_many

    return run_many(
        options.models,
        options.results,
        output=options.output,
        input=options.input,
        input_resolution=options.resolution,
        workers=options.workers,
    )


# --- Names and numbers ---------------------------------------------------------------


def _shared(options: argparse.Namespace, model: Model) -> dict[str, Any]:
    return {
        "input": _full_name(model, options.input),
        "input_resolution": options.resolution,
        "stop_propagation": options.stop,
        "global_context": "exclude" if options.exclude_global else "include",
    }


def _full_name(model: Model, name: str | None) -> str | None:
    """The name itself, or the only one that ends with it."""
    known = (*model.layers, *model.outputs, *model.inputs, *model.graph.index_of)
    if name is None or name.partition(":")[0] in known:
        return name
    found = [n for n in dict.fromkeys(known) if n.endswith("/" + name)]
    if len(found) > 1:
        some = ", ".join(map(repr, found[:5]))
        raise NodeNotFoundError(f"{len(found)} names end with {name!r}: {some} ...")
    return found[0] if found else name


def _described(field: ReceptiveField) -> str:
    aligned = {True: "yes", False: "no", None: "unknown: depends on the input size"}
    lines = [
        ("input", field.input),
        ("output", field.output),
        ("receptive field", _numbers(field.size)),
        ("effective stride", _numbers(field.stride)),
        ("effective padding", _numbers(field.padding)),
        ("aligned", aligned[field.aligned]),
        ("exact", "yes" if field.exact else "no, an upper bound"),
    ]
    if field.global_nodes:
        shown = ", ".join(field.global_nodes[:3])
        rest = len(field.global_nodes) - 3
        lines.append(("whole input by", shown + (f" and {rest} more" * (rest > 0))))
    if field.local is not None and field.local is not field:
        local = field.local
        numbers = (local.size, local.stride, local.padding)
        lines.append(("without that", ", ".join(map(_numbers, numbers))))
    return "".join(f"{name:18} {value}\n" for name, value in lines)


def _numbers(values: Any) -> str:
    return " x ".join(map(str, values.tolist()))


def _as_dict(field: ReceptiveField) -> dict[str, Any]:
    def plain(values: Any) -> list[Any]:
        return [
            v if v is None or isinstance(v, int) else str(v) for v in values.tolist()
        ]

    return {
        "input": field.input,
        "output": field.output,
        "size": plain(field.size),
        "stride": plain(field.stride),
        "padding": plain(field.padding),
        "aligned": field.aligned,
        "exact": field.exact,
        "global_nodes": list(field.global_nodes),
    }


def _resolution(text: str) -> Any:
    if text == "unknown":
        return text
    return _integers(text.replace("x", ","))


def _integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers") from None


# --- The command line ----------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="receptive-field",
        description="Which part of the input does a feature of a network see?",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, example: str) -> Any:
        added = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=f"example: receptive-field {name} {example}",
        )
        added.set_defaults(run=run)
        return added

    text = "size, stride and padding at one output"
    added = command("compute", _compute, text, "graph.pb --resolution 224x224")
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_analysis(added)
    text = "fail if the network is misaligned"
    added.add_argument("--require-aligned", action="store_true", help=text)
    text = "say which paths are misaligned"
    added.add_argument("--explain", action="store_true", help=text)
    added.add_argument("--format", choices=("text", "json"), default="text")

    text = "a table of all layers or nodes"
    added = command("layers", _layers, text, "model.keras --filter '*conv*'")
    _add_model(added)
    _add_names(added, ("input",))
    _add_analysis(added)
    text = "only names that match, such as '*/Relu'"
    added.add_argument("--filter", metavar="PATTERN", help=text)
    text = "with FLOPs and parameters; sizes must be known"
    added.add_argument("--costs", action="store_true", help=text)
    kinds = ("table", "csv", "json", "markdown")
    added.add_argument("--format", choices=kinds, default="table")

    text = "the nodes of a graph, to find the names to use"
    added = command("nodes", _nodes, text, "graph.pb Relu --op 'Conv*'")
    _add_model(added)
    added.add_argument("pattern", nargs="?", default="", help="a part of the name")
    added.add_argument("--op", help="an op type; * stands for anything")

    text = "alignment and padding for every input size"
    added = command("resolutions", _resolutions, text, "graph.pb")
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_stop(added)

    text = "what one feature sees, by running the network"
    added = command("measure", _measure, text, "model.keras --feature 3,3")
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    text = "the one in the middle if not given"
    added.add_argument("--feature", type=_integers, metavar="X,Y", help=text)

    text = "a page to explore all layers with, in any browser"
    added = command("explore", _explore, text, "model.keras -o page.html")
    _add_model(added)
    text = "the file to write, replacing what is there"
    added.add_argument("-o", "--page", required=True, metavar="FILE", help=text)
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    _add_stop(added)

    text = "one row for each of many files, into a CSV or Parquet file"
    added = command("many", _many, text, "models/*.pb --results fields.csv")
    added.add_argument("models", nargs="+", metavar="MODEL", help=MODEL)
    text = ".csv or .parquet; a run that was interrupted goes on"
    added.add_argument("--results", required=True, metavar="FILE", help=text)
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    text = "processes; one per CPU if not given"
    added.add_argument("--workers", type=int, help=text)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=MODEL)
    parser.add_argument("--signature", help="which signature of a SavedModel")


def _add_names(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    for name in names:
        parser.add_argument(
            f"--{name}",
            metavar="NAME",
            help=f"the {name}: a node, tensor or layer, or the end of its name after a "
            "slash; found if there is only one",
        )


def _add_analysis(parser: argparse.ArgumentParser) -> None:
    _add_resolution(parser)
    _add_stop(parser)
    text = "without paths over the whole input"
    parser.add_argument("--exclude-global", action="store_true", help=text)


def _add_resolution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resolution",
        type=_resolution,
        metavar="HEIGHTxWIDTH",
        help="the input's size, or 'unknown'; what the graph says if not given",
    )


def _add_stop(parser: argparse.ArgumentParser) -> None:
    text = "do not follow names that begin so"
    parser.add_argument("--stop", action="append", metavar="PREFIX", help=text)


def command_line() -> None:
    """What the command ``receptive-field`` runs."""
    sys.exit(main())


if __name__ == "__main__":
    command_line()
