"""The command line parser and its help texts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from receptive_field import __version__
from receptive_field.cli import commands
from receptive_field.cli.writing import Parser, feature, resolution
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
    "many": "models/*.pb -o fields.csv",
    "plot": "regions graph.pb --resolution 299x299 --image cat.jpg -o regions.svg",
}

FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
"""Shell -> how the shell completes file names, in shtab's notation."""


class _Completion(argparse.Action):
    """Prints a shell completion script and exits."""

    def __call__(
        self, parser: argparse.ArgumentParser, _: Any, shell: Any, __: Any = None
    ) -> None:
        try:
            import shtab
        except ImportError:
            raise ReceptiveFieldError(
                "shell completion requires shtab: run pip install "
                '"receptive_field[terminal]".'
            ) from None
        print(shtab.complete(parser, shell))
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Returns the parser. To run the chosen command, call ``options.run(options)``."""
    lines = [f"  receptive-field {name} {text}" for name, text in EXAMPLES.items()]
    whole = Parser(
        prog="receptive-field",
        description="Finds the part of the input that a feature of a network sees. The "
        "command uses only\nthe graph, and marks results that are only upper bounds.",
        epilog="examples:\n" + "\n".join(lines) + "\n\n"
        "exit status: 0 for success, 1 for a problem with the model or the request,\n"
        "2 for a mistake in the command line. Instead of a full name, you can give a\n"
        "part that only one name has, a scope (for its output) or a pattern such as\n"
        "'*_5b*concat', in any case. Colours appear only on a terminal, and only if\n"
        "NO_COLOR is not set.\n\n"
        "-o FILE is the file that a command writes; --output NAME is the layer to ask\n"
        "about. Sizes are HEIGHTxWIDTH (--resolution 224x320; 224 means 224x224), and\n"
        "features are X,Y (--feature 3,4).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"%(prog)s {__version__}"
    whole.add_argument("--version", action="version", version=version)
    whole.add_argument(
        "--print-completion",
        action=_Completion,
        choices=("bash", "zsh", "tcsh"),
        help="print a shell completion script",
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
        "Numbers list x before y. Without --output, the command uses the model's own "
        "output, or the last feature map of a classifier."
    )
    added = command("compute", commands.compute, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_analysis(added)
    text = "fail if the network is misaligned, or if its alignment is unknown"
    added.add_argument("--require-aligned", action="store_true", help=text)
    text = "show which paths are misaligned, and which changes would align them"
    added.add_argument("--explain", action="store_true", help=text)
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_layers(command: Any) -> None:
    text = "a table of all layers or nodes"
    more = (
        "Sizes, strides and paddings list x before y if they differ. FLOPs and "
        "parameters are listed if the size of the input is known."
    )
    added = command("layers", commands.layers, text, more)
    _add_model(added)
    _add_names(added, ("input",))
    _add_analysis(added)
    text = "list only names that contain PATTERN, or match it, such as 'block?_conv'"
    added.add_argument("--filter", metavar="PATTERN", help=text)
    text = "print only these columns, such as 'layer,stride,first centre'"
    added.add_argument("--columns", type=_columns, metavar="NAMES", help=text)
    text = "require FLOPs and parameters; fail if they are unknown"
    added.add_argument("--costs", action="store_true", help=text)
    kinds = ("table", "csv", "json", "markdown")
    added.add_argument("--format", choices=kinds, default="table")


def _add_nodes(command: Any) -> None:
    text = "the nodes of a graph, with the names that other commands accept"
    added = command(
        "nodes", commands.nodes, text, "Prints the op type and name of each node."
    )
    _add_model(added)
    text = "a part of the name, or a pattern with *, in any case"
    added.add_argument("pattern", nargs="?", default="", help=text)
    added.add_argument("--op", help="an op type, or a pattern with *")
    text = "list only nodes that can be the input"
    added.add_argument("--inputs", action="store_true", help=text)
    text = "list only nodes that can be the output"
    added.add_argument("--outputs", action="store_true", help=text)


def _add_resolutions(command: Any) -> None:
    text = "alignment and padding for every input size"
    more = (
        "Also prints the output size, and the smallest size at which every layer is "
        "useful."
    )
    added = command("resolutions", commands.resolutions, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_stop(added)
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_measure(command: Any) -> None:
    text = "what one feature sees, found by running the network"
    added = command("measure", commands.measure, text, "Requires TensorFlow.")
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    text = "the feature to measure (default: the one in the middle)"
    added.add_argument("--feature", type=feature, metavar="X,Y", help=text)
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_bisect(command: Any) -> None:
    text = "the first op whose rule is wrong, found by running each op"
    more = (
        "Use this command if a number is wrong. The command runs every op between "
        "input and output by itself, and compares the result with the op's rule. The "
        "exit status is 1 if a rule is wrong. A small input takes less time. Requires "
        "TensorFlow."
    )
    added = command("bisect", commands.bisect, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_resolution(added)


def _add_explore(command: Any) -> None:
    text = "a page for exploring all layers in any browser"
    more = "The page is a single file, and needs no internet connection or server."
    added = command("explore", commands.explore, text, more)
    _add_model(added)
    text = "the file to write; an existing file is replaced"
    _add_file(added, "-o", dest="file", required=True, metavar="FILE", help=text)
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    _add_stop(added)


def _add_many(command: Any) -> None:
    text = "a table with one row per file, as CSV or Parquet"
    more = "If a model cannot be analysed, its row contains the error."
    added = command("many", commands.many, text, more)
    _add_file(added, "models", nargs="+", metavar="MODEL", help=MODEL)
    text = "a .csv or .parquet file; an interrupted run continues where it stopped"
    _add_file(added, "-o", dest="file", required=True, metavar="FILE", help=text)
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    text = "the number of processes (default: one per CPU)"
    added.add_argument("--workers", type=int, help=text)


def _add_plot(command: Any) -> None:
    text = "a picture, as SVG, PNG or PDF"
    more = (
        "The kinds are: regions: the parts of an image that features see; growth: the "
        "receptive fields of all layers; support: the pixels that a feature sees, with "
        "holes; effective: how much each pixel matters; accuracy: the networks of the "
        "paper (takes no MODEL, and requires TensorFlow). Requires Matplotlib."
    )
    added = command("plot", commands.plot, text, more)
    added.add_argument("kind", choices=tuple(commands.PLOTS), help="what to draw")
    _add_model(added, nargs="?")
    text = "the file to write; its name ends with .svg, .png or .pdf"
    _add_file(added, "-o", dest="file", required=True, metavar="FILE", help=text)
    text = (
        "the image to draw regions on, stretched to the input's size (default: a test "
        "pattern)"
    )
    _add_file(added, "--image", metavar="FILE", help=text)
    added.add_argument(
        "--feature",
        type=feature,
        action="append",
        metavar="X,Y",
        help="the feature to draw (default: the one in the middle); for "
        "regions, you can repeat this option",
    )
    _add_names(added, ("output", "input"))
    _add_analysis(added)
    added.set_defaults(fail=added.error)


def _add_file(parser: argparse.ArgumentParser, *names: str, **options: Any) -> None:
    argument: Any = parser.add_argument(*names, **options)
    argument.complete = FILES


def _add_model(parser: argparse.ArgumentParser, **options: Any) -> None:
    _add_file(parser, "model", metavar="MODEL", help=MODEL, **options)
    parser.add_argument("--signature", help="the signature of a SavedModel to use")
    text = "trace a Keras model with TensorFlow, instead of reading its layers"
    parser.add_argument("--trace", action="store_true", help=text)


def _add_names(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    for name in names:
        parser.add_argument(
            f"--{name}",
            metavar="NAME",
            help=f"the {name}: a node, tensor or layer, or a part of its name; "
            "may be omitted if there is only one",
        )


def _add_analysis(parser: argparse.ArgumentParser) -> None:
    _add_resolution(parser)
    _add_stop(parser)
    text = "leave out paths that see the whole input"
    parser.add_argument("--exclude-global", action="store_true", help=text)


def _add_resolution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resolution",
        type=resolution,
        metavar="HEIGHTxWIDTH",
        help="the input's size, such as 224x320 (224 means 224x224), or 'unknown' "
        "(default: the size that the graph states)",
    )


def _add_stop(parser: argparse.ArgumentParser) -> None:
    text = "do not follow node inputs whose names start with PREFIX"
    parser.add_argument("--stop", action="append", metavar="PREFIX", help=text)


# --- Names of columns ----------------------------------------------------------------


def _columns(text: str) -> list[str]:
    from receptive_field.results.tables import HEADER

    known = {name.lower(): name for name in HEADER}
    asked = [part.strip().lower() for part in text.split(",")]
    for name in asked:
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"there is no column {name!r}; the columns are {', '.join(HEADER)}"
            )
    return [known[name] for name in asked]
