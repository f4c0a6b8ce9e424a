"""The command line parser and its help texts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from receptive_field import __version__
from receptive_field.budget import STEPS
from receptive_field.cli import commands, questions
from receptive_field.cli.writing import Parser, feature, resolution, size
from receptive_field.errors import ReceptiveFieldError

MODEL = (
    "a graph file (.pb, .pbtxt, .meta), a SavedModel folder, a Keras file (.keras, "
    ".h5), an ONNX file (.onnx), a TensorFlow Lite file (.tflite) or a program of "
    "PyTorch (.pt2), compressed or not, or code that makes a model "
    "(torchvision.models:resnet50)"
)

EXAMPLES = {
    "compute": "graph.pb --output block4/Relu --resolution 224x224",
    "layers": "model.keras --filter '*conv*' --format csv",
    "nodes": "graph.pb Relu --op 'Conv*'",
    "resolutions": "graph.pb",
    "measure": "model.keras --feature 3,3",
    "bisect": "model.keras --resolution 64x64",
    "tiling": "model.keras --tile 512x512 --image 4000x6000",
    "explore": "model.keras -o page.html",
    "serve": "model.onnx --site site",
    "many": "models/*.pb -o fields.csv",
    "check": "graph.pb --min-size 200 --aligned --min-output 7x7 --resolution 224x224",
    "compare": "old.keras new.keras --resolution 224x224",
    "reach": "model.keras 200 --resolution 224x224",
    "levels": "model.keras --outputs c3,c4,c5 --objects 32,64,128",
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
        "exit status: 0 for success, 1 for a problem with the model or the request\n"
        "(or a condition of check that does not hold),\n"
        "2 for a mistake in the command line. Instead of a full name, you can give a\n"
        "part that only one name has, a scope (for its output) or a pattern such as\n"
        "'*_5b*concat', in any case. Colours appear only on a terminal, and only if\n"
        "NO_COLOR is not set, and progress only if NO_PROGRESS is not set.\n\n"
        "-o FILE is the file that a command writes, and - stands for standard output;\n"
        "--output NAME is the layer to ask about. Sizes are HEIGHTxWIDTH: 224x320, or\n"
        "224 for 224x224 (--resolution 224). Features are X,Y (--feature 3,4).",
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
    _add_tiling(command)
    _add_explore(command)
    _add_serve(command)
    _add_many(command)
    _add_plot(command)
    _add_check(command)
    _add_compare(command)
    _add_reach(command)
    _add_levels(command)
    text = "how many steps an answer may take, or 'any' (default: %(default)s)"
    for name, added in subparsers.choices.items():
        added.set_defaults(work_limit=STEPS)
        if name != "serve":  # It answers nothing itself.
            added.add_argument("--work-limit", type=_steps, metavar="STEPS", help=text)
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
    questions.add_questions(added)
    questions.add_units(added)
    _add_all(added)
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
    _add_choice_of_rows(added)
    text = "print only these columns, such as 'layer,stride,first centre', or 'all'"
    added.add_argument("--columns", type=_columns, metavar="NAMES", help=text)
    questions.add_units(added)
    text = "require FLOPs and parameters; fail if they are unknown"
    added.add_argument("--costs", action="store_true", help=text)
    kinds = ("table", "csv", "json", "markdown")
    added.add_argument("--format", choices=kinds, default="table")


def _add_choice_of_rows(parser: argparse.ArgumentParser) -> None:
    text = "sort by this column; a minus before its name reverses the order"
    parser.add_argument("--sort", type=_sorting, metavar="COLUMN", help=text)
    text = "print only the first N rows"
    parser.add_argument("--top", type=_count, metavar="N", help=text)
    text = (
        "list only the first layers whose receptive field covers this size, such as "
        "64 or 64x128"
    )
    parser.add_argument(
        "--covering", type=_size_x_first, metavar="HEIGHTxWIDTH", help=text
    )
    text = "list only the layers that add nothing at this input size"
    parser.add_argument("--unproductive", action="store_true", help=text)


def _add_nodes(command: Any) -> None:
    text = "the nodes of a graph, with the names that other commands accept"
    added = command(
        "nodes",
        commands.nodes,
        text,
        "Prints the op type and name of each node, and the layer that it is in, if its "
        "name does not say so. Nodes that depend on no input (weights) come last. "
        "Those that the model's outputs do not need are printed if no others match.",
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


_REQUIRES = (
    "Requires TensorFlow, onnxruntime for an ONNX file, or ai-edge-litert (or "
    "TensorFlow) for a TensorFlow Lite file."
)


def _add_measure(command: Any) -> None:
    text = "what one feature sees, found by running the network"
    added = command("measure", commands.measure, text, _REQUIRES)
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
        "exit status is 1 if a rule is wrong. A small input takes less time. "
        + _REQUIRES
    )
    added = command("bisect", commands.bisect, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_resolution(added)


def _add_tiling(command: Any) -> None:
    text = "how tiles of a large image must lie to give what the whole image gives"
    more = (
        "Prints the numbers of which the starts of tiles are multiples, the overlap, "
        "and the features to discard. With --image, also lists the tiles."
    )
    added = command("tiling", commands.tiling, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    _add_analysis(added)
    for name, text in (
        ("--tile", "the largest size of a tile"),
        ("--image", "the size of the image"),
    ):
        added.add_argument(
            name,
            type=size,
            metavar="HEIGHTxWIDTH",
            required=name == "--tile",
            help=text,
        )
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_explore(command: Any) -> None:
    text = "a page for exploring all layers in any browser"
    more = (
        "The page is a single file, and needs no internet connection or server. On a "
        "page of several models, two of them are shown side by side."
    )
    added = command("explore", commands.explore, text, more)
    _add_model(added, "models", nargs="+")
    text = "the file to write; an existing file is replaced"
    _add_file(added, "-o", dest="file", required=True, metavar="FILE", help=text)
    _add_names(added, ("output", "input"))
    _add_resolution(added)
    _add_stop(added)


def _add_serve(command: Any) -> None:
    text = "the web page that analyses models in the browser, on this machine"
    more = (
        "Only this machine can reach the page, and nothing leaves it. The page is not "
        "in the package, because it includes a Python for the browser: python "
        "scripts/build_web.py -o site builds it in a copy of the repository."
    )
    added = command("serve", commands.serve, text, more)
    text = "the file that the page opens, or the folder of a SavedModel"
    _add_file(added, "model", nargs="?", metavar="MODEL", help=text)
    text = "the folder of the page (default: site, in the current folder)"
    _add_file(added, "--site", default="site", metavar="FOLDER", help=text)
    text = "the port (default: any that is free)"
    added.add_argument("--port", type=_port, default=0, help=text)
    text = "only print the address, and open no browser"
    added.add_argument("--no-browser", dest="browser", action="store_false", help=text)


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
    text = "the seconds that one file may take (default: 600)"
    added.add_argument(
        "--timeout", type=float, default=600, metavar="SECONDS", help=text
    )
    text = "the megabytes that one file may take (default: 4096)"
    added.add_argument("--memory", type=float, default=4096, metavar="MB", help=text)


def _add_plot(command: Any) -> None:
    text = "a picture, as SVG, PNG or PDF"
    more = (
        "The kinds are: regions: the parts of an image that features see; growth: the "
        "receptive fields of all layers; support: the pixels that a feature sees, with "
        "holes; effective: how much each pixel matters; accuracy: the networks of the "
        "paper (takes no MODEL, and requires TensorFlow). Several models are drawn "
        "side by side in one picture. Requires Matplotlib."
    )
    added = command("plot", commands.plot, text, more)
    added.add_argument("kind", choices=tuple(commands.PLOTS), help="what to draw")
    _add_model(added, "models", nargs="*")
    text = "the file to write; its name ends with .svg, .png or .pdf"
    _add_file(added, "-o", dest="file", required=True, metavar="FILE", help=text)
    text = (
        "the image to draw regions or a support on, stretched to the input's size "
        "(default: a test pattern)"
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
    for name in ("output", "input"):
        text = f"the {name} of all models; give it again for another {name} of each"
        added.add_argument(f"--{name}", action="append", metavar="NAME", help=text)
    _add_analysis(added)
    added.set_defaults(fail=added.error)


def _add_check(command: Any) -> None:
    text = "conditions that a receptive field must meet, for scripts"
    more = (
        "Prints one line for each condition. The exit status is 0 if all of them hold, "
        "and 1 if not. A condition does not hold if the answer is unknown, or if only "
        "an upper bound would meet it."
    )
    added = command("check", commands.check, text, more)
    _add_model(added)
    _add_names(added, ("output", "input"))
    text = "the receptive field has at least this size (one number is for all axes)"
    added.add_argument("--min-size", type=size, metavar="HEIGHTxWIDTH", help=text)
    added.add_argument("--aligned", action="store_true", help="all paths are aligned")
    text = "the numbers are exact, not only upper bounds"
    added.add_argument("--exact", action="store_true", help=text)
    text = "the output has at least this size (one number is for all axes)"
    added.add_argument("--min-output", type=size, metavar="HEIGHTxWIDTH", help=text)
    _add_analysis(added)
    added.add_argument("--format", choices=("text", "json"), default="text")
    added.set_defaults(fail=added.error)


def _add_compare(command: Any) -> None:
    text = "two models side by side: what differs, and what is the same"
    more = (
        "FLOPs and parameters are those of everything that the output is computed "
        "from; FLOPs are printed if the size of the input is known."
    )
    added = command("compare", commands.compare, text, more)
    _add_file(added, "model", metavar="A", help=MODEL)
    _add_file(added, "other", metavar="B", help="the model to compare with")
    for name in ("output", "input"):
        text = (
            f"the {name} of both models; give the option twice for two different names"
        )
        added.add_argument(f"--{name}", action="append", metavar="NAME", help=text)
    text = "trace Keras models with TensorFlow, instead of reading their layers"
    added.add_argument("--trace", action="store_true", help=text)
    _add_analysis(added)
    added.add_argument("--format", choices=("text", "json"), default="text")
    added.set_defaults(fail=added.error)


def _add_reach(command: Any) -> None:
    text = "changes of a network with which its receptive field reaches a size"
    more = (
        "Each change is tried in a copy of the graph. The exit status is 1 if the size "
        "is not reached and no change is found."
    )
    added = command("reach", commands.reach, text, more)
    _add_model(added)
    text = "the size to reach (one number is for all axes)"
    added.add_argument("target", type=size, metavar="HEIGHTxWIDTH", help=text)
    _add_names(added, ("output", "input"))
    _add_analysis(added)
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_levels(command: Any) -> None:
    text = "the level of a feature pyramid for each size of objects"
    more = (
        "An object belongs to the finest level whose local receptive field is at least "
        "as large as the object on every axis."
    )
    added = command("levels", commands.levels, text, more)
    _add_model(added)
    text = "the levels: nodes, tensors or layers, or parts of their names"
    added.add_argument(
        "--outputs", type=_names, required=True, metavar="NAME,NAME", help=text
    )
    text = "the sizes of the objects, in pixels; one number is for all axes"
    added.add_argument(
        "--objects",
        type=_sides,
        required=True,
        metavar="HEIGHTxWIDTH,HEIGHTxWIDTH",
        help=text,
    )
    _add_names(added, ("input",))
    _add_resolution(added)
    _add_stop(added)
    added.add_argument("--format", choices=("text", "json"), default="text")


def _add_all(added: Any) -> None:
    text = "every output of the model in every input, instead of one output"
    added.add_argument("--all", action="store_true", help=text)
    added.set_defaults(fail=added.error)


def _add_file(parser: argparse.ArgumentParser, *names: str, **options: Any) -> None:
    argument: Any = parser.add_argument(*names, **options)
    argument.complete = FILES


def _add_model(
    parser: argparse.ArgumentParser, name: str = "model", **options: Any
) -> None:
    _add_file(parser, name, metavar="MODEL", help=MODEL, **options)
    text = "the signature of a SavedModel, or the program of a .pt2 file, to use"
    parser.add_argument("--signature", help=text)
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


# --- Numbers and names ----------------------------------------------------------------


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("give at least one name")
    return names


def _sides(text: str) -> list[Any]:
    sizes = map(size, text.split(","))
    return [sides[0] if len(sides) == 1 else sides for sides in sizes]


def _steps(text: str) -> int | None:
    return None if text == "any" else _count(text)


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return count


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, such as 8000")
    return port


def _size_x_first(text: str) -> Any:
    sizes = size(text)
    return sizes[0] if len(sizes) == 1 else sizes[::-1]


def _columns(text: str) -> list[str]:
    """Returns the columns, or an empty list for all columns that suit the format."""
    if text.strip().lower() == "all":
        return []
    return [_column(part) for part in text.split(",")]


def _sorting(text: str) -> tuple[str, bool]:
    """Returns a column, and whether the order is descending."""
    name = text.strip()
    return _column(name.removeprefix("-")), name.startswith("-")


def _column(text: str) -> str:
    import difflib

    from receptive_field.results.tables import DATA, in_csv

    known = {name.lower(): name for name in DATA}
    name = text.strip().lower()
    if name not in known:
        near = [*in_csv(name), *difflib.get_close_matches(name, known, n=1)]
        meant = f"; did you mean {known[near[0].lower()]!r}?" if near else ""
        raise argparse.ArgumentTypeError(
            f"there is no column {name!r}{meant} (the columns are {', '.join(DATA)})"
        )
    return known[name]


def with_reversed_sorting(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments, with ``--sort`` and ``-NAME`` joined to one argument.

    Otherwise, argparse would take the name of the column for an option.
    """
    found: list[str] = []
    for argument in arguments:
        if found and found[-1] == "--sort" and argument.startswith("-"):
            found[-1] += f"={argument}"
        else:
            found.append(argument)
    return found
