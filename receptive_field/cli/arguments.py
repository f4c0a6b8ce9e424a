"""What can be written on the command line, and its help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from receptive_field import __version__
from receptive_field.cli import commands
from receptive_field.errors import ReceptiveFieldError

MODEL = (
    "a graph file (.pb, .pbtxt, .meta, compressed or not), a SavedModel folder, or a "
    ".keras or .h5 file"
)

EXAMPLES = {
    "compute": "graph.pb --output block4/Relu --resolution 224x224",
    "layers": "model.keras --filter '*conv*' --format csv",
    "nodes": "graph.pb Relu --op 'Conv*'",
    "resolutions": "graph.pb",
    "measure": "model.keras --feature 3,3",
    "bisect": "model.keras --resolution 64x64",
    "explore": "model.keras -o page.html",
    "many": "models/*.pb --results fields.csv",
    "plot": "regions graph.pb --resolution 299x299 --image cat.jpg -o regions.svg",
}

FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
"""How shells complete the names of files, in the terms of shtab."""


class _Completion(argparse.Action):
    """Prints the completions for a shell, and exits."""

    def __call__(
        self, parser: argparse.ArgumentParser, _: Any, shell: Any, __: Any = None
    ) -> None:
        try:
            import shtab
        except ImportError:
            raise ReceptiveFieldError(
                "completions are made by shtab: "
                'pip install "receptive_field[terminal]".'
            ) from None
        print(shtab.complete(parser, shell))
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """What reads the command line; ``options.run(options)`` then answers."""
    lines = [f"  receptive-field {name} {text}" for name, text in EXAMPLES.items()]
    whole = argparse.ArgumentParser(
        prog="receptive-field",
        description="Which part of the input does a feature of a network see? It is "
        "computed from\nthe graph alone, and what is not exact says so.",
        epilog="examples:\n" + "\n".join(lines) + "\n\n"
        "exit status: 0 if answered, 1 if the model or the question is at fault, 2 if "
        "the\ncommand line is. Names may be given by their end, after a slash. Colours "
        "are shown\non a terminal only, and never with NO_COLOR.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"%(prog)s {__version__}"
    whole.add_argument("--version", action="version", version=version)
    whole.add_argument(
        "--print-completion",
        action=_Completion,
        choices=("bash", "zsh", "tcsh"),
        help="print what makes a shell complete this command",
    )
    subparsers = whole.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, more: str) -> Any:
        added = subparsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}. {more}",
            epilog=f"example: receptive-field {name} {EXAMPLES[name]}",
        )
        added.set_defaults(run=run)
        return added

    _add_compute(command)
    _add_layers(command)
    _add_nodes(command)
    _add_resolutions(command)
    _add_measure(command)
    _add_bisect(command)
    _add_explore(command)
    _add_many(command)
    _add_plot(command)
    return whole


def _add_compute(command: Any) -> None:
    text = "size, stride and padding at one output"
    more = (
        "Numbers list x before y. The output is the model's own if none is named; of a "
        "classifier, the last feature map."
    )
    added = command("compute", commands.compute, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_analysis(added)
    text = "fail if the network is misaligned"
    added.add_argument("--require-aligned", action="store_true", help=text)
    text = "say which paths are misaligned, and what would align them"
    added.add_argument("--explain", action="store_true", help=text)
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_layers(command: Any) -> None:
    text = "a table of all layers or nodes"
    more = (
        "Sizes, strides and paddings list x before y where they differ. FLOPs and "
        "parameters are known where the size of the input is."
    )
    added = command("layers", commands.layers, text, more)
    _add_model(added)
    _add_names(added, ("input",))
    _add_analysis(added)
    text = "only names that match, such as '*/Relu'"
    added.add_argument("--filter", metavar="PATTERN", help=text)
    text = "some of the columns, by name and with commas: 'layer,stride,first centre'"
    added.add_argument("--columns", type=_columns, metavar="NAMES", help=text)
    text = "fail if FLOPs and parameters are not known"
    added.add_argument("--costs", action="store_true", help=text)
    kinds = ("table", "csv", "json", "markdown")
    added.add_argument("--format", choices=kinds, default="table")


def _add_nodes(command: Any) -> None:
    text = "the nodes of a graph, to find the names to use"
    added = command(
        "nodes", commands.nodes, text, "A line for each: the op type and the name."
    )
    _add_model(added)
    text = "a part of the name, or a pattern with *"
    added.add_argument("pattern", nargs="?", default="", help=text)
    added.add_argument("--op", help="an op type; * stands for anything")
    text = "only what can be the input"
    added.add_argument("--inputs", action="store_true", help=text)
    text = "only what can be the output"
    added.add_argument("--outputs", action="store_true", help=text)


def _add_resolutions(command: Any) -> None:
    text = "alignment and padding for every input size"
    more = "And the output size, and from which size on every layer is of use."
    added = command("resolutions", commands.resolutions, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_stop(added)
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_measure(command: Any) -> None:
    text = "what one feature sees, by running the network"
    added = command("measure", commands.measure, text, "Needs TensorFlow.")
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    text = "the one in the middle if not given"
    added.add_argument("--feature", type=_integers, metavar="X,Y", help=text)
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_bisect(command: Any) -> None:
    text = "the first op whose rule is wrong, by running each op"
    more = (
        "Run it where a number is wrong. Every op between input and output is run by "
        "itself and compared with its rule. The exit status is 1 if a rule is wrong. A "
        "small input takes less time. Needs TensorFlow."
    )
    added = command("bisect", commands.bisect, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_resolution(added)


def _add_explore(command: Any) -> None:
    text = "a page to explore all layers with, in any browser"
    more = "It is one file, which needs neither a network nor a server."
    added = command("explore", commands.explore, text, more)
    _add_model(added)
    text = "the file to write, replacing what is there"
    _add_file(
        added, "-o", "--save", dest="file", required=True, metavar="FILE", help=text
    )
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    _add_stop(added)


def _add_many(command: Any) -> None:
    text = "one row for each of many files, into a CSV or Parquet file"
    more = "A file that cannot be analysed is a row with its error."
    added = command("many", commands.many, text, more)
    _add_file(added, "models", nargs="+", metavar="MODEL", help=MODEL)
    text = ".csv or .parquet; a run that was interrupted goes on"
    _add_file(added, "--results", required=True, metavar="FILE", help=text)
    _add_names(added, ("output", "input"), by_end=False)
    _add_resolution(added)
    text = "processes; one per CPU if not given"
    added.add_argument("--workers", type=int, help=text)


def _add_plot(command: Any) -> None:
    text = "a picture, as SVG, PNG or PDF"
    more = (
        "regions: what features see of an image; growth: receptive fields of all "
        "layers; support: which pixels a feature sees, with holes; effective: how much "
        "each matters; accuracy: the networks of the paper (needs TensorFlow, and no "
        "MODEL). Needs Matplotlib."
    )
    added = command("plot", commands.plot, text, more)
    added.add_argument("kind", choices=tuple(commands.PLOTS), help="what to draw")
    _add_model(added, nargs="?")
    text = "where to: a name that ends with .svg, .png or .pdf"
    _add_file(
        added, "-o", "--save", dest="file", required=True, metavar="FILE", help=text
    )
    text = (
        "below the regions; stretched to the input's size. A test pattern if not given"
    )
    _add_file(added, "--image", metavar="FILE", help=text)
    added.add_argument(
        "--feature",
        type=_integers,
        action="append",
        metavar="X,Y",
        help="for regions as often as needed; the one in the middle if not given",
    )
    _add_names(added, ("output", "input"))
    _add_analysis(added)
    added.set_defaults(fail=added.error)


def _add_file(parser: argparse.ArgumentParser, *names: str, **options: Any) -> None:
    argument: Any = parser.add_argument(*names, **options)
    argument.complete = FILES


def _add_model(parser: argparse.ArgumentParser, **options: Any) -> None:
    _add_file(parser, "model", metavar="MODEL", help=MODEL, **options)
    parser.add_argument("--signature", help="which signature of a SavedModel")


def _add_names(
    parser: argparse.ArgumentParser, names: Sequence[str], by_end: bool = True
) -> None:
    end = ", or the end of its name after a slash" if by_end else ""
    for name in names:
        parser.add_argument(
            f"--{name}",
            metavar="NAME",
            help=f"the {name}: a node, tensor or layer{end}; found if only one",
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


# --- Numbers and names ----------------------------------------------------------------


def _resolution(text: str) -> Any:
    if text == "unknown":
        return text
    return _integers(text.lower().replace("x", ","))


def _integers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers") from None


def _columns(text: str) -> list[str]:
    from receptive_field.results.tables import HEADER

    known = {name.lower(): name for name in HEADER}
    asked = [part.strip().lower() for part in text.split(",")]
    for name in asked:
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"there is no column {name!r}; there are {', '.join(HEADER)}"
            )
    return [known[name] for name in asked]
