"""Prints the table of the paper: what the end-points of well-known networks see.

For each network, input resolution and end-point: receptive field, effective stride,
effective padding, and the floating-point operations up to there, as TensorFlow's
profiler counts them. The same goes to a CSV file, row by row, so that a run that is
interrupted keeps what it has. TensorFlow builds the networks:
pip install receptive_field[benchmark].

Example:
  python rf_benchmark.py --csv_path rf_benchmark_results.csv
  python rf_benchmark.py --networks resnet_v1_50,vgg_16 --resolutions unknown,224
"""

import csv
import os
import sys
from collections.abc import Sequence
from typing import Any

from absl import app, flags

import receptive_field as rf

try:
    from rich.console import Console
    from rich.progress import (
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )
except ImportError:
    sys.exit("error: this script needs pip install receptive_field[benchmark]")

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "csv_path", None, "Path of the CSV file to write. None is written if not given."
)
flags.DEFINE_list(
    "networks", None, "Names of networks of the zoo. Those of the paper if not given."
)
flags.DEFINE_list(
    "resolutions",
    ["unknown", "224", "321"],
    "Input resolutions: a number of pixels, HEIGHTxWIDTH, or unknown.",
)
flags.DEFINE_list(
    "end_points", None, "Names of end-points, with or without scope. All if not given."
)

COLUMNS = (
    *("CNN", "input resolution", "end_point", "FLOPs (Billion)"),
    *("RF size hor", "RF size ver", "effective stride hor", "effective stride ver"),
    *("effective padding hor", "effective padding ver"),
)


def is_size(text: str) -> bool:
    """Whether it is a positive number."""
    return text.isascii() and text.isdigit() and int(text) > 0


def resolution(text: str) -> tuple[int, int] | None:
    """Height and width from a flag; None for an unknown one."""
    if text == "unknown":
        return None
    sizes = text.split("x")
    if len(sizes) > 2 or not all(map(is_size, sizes)):
        raise rf.ReceptiveFieldError(
            f"--resolutions has {text!r}; known are a number of pixels such as 224, "
            "HEIGHTxWIDTH such as 224x320, and unknown."
        )
    return int(sizes[0]), int(sizes[-1])


def wanted(
    names: Sequence[str], end_points: Sequence[str] | None
) -> dict[str, list[str] | None]:
    """The end-points that are asked for, by network; None for all.

    Raises:
      ReceptiveFieldError: if a network is not known, or none has an end-point.
    """
    networks = [rf.zoo.network(name) for name in names]
    if end_points is None:
        return dict.fromkeys(names)
    for point in end_points:
        if not any(network.end_point(point) for network in networks):
            known = [p for network in networks for p in network.end_points]
            raise rf.ReceptiveFieldError(
                f"no network that is asked for has an end-point {point!r}; known: "
                f"{', '.join(dict.fromkeys(known))}."
            )
    found = {n.name: [p for p in end_points if n.end_point(p)] for n in networks}
    return {name: points for name, points in found.items() if points}


def cells(row: rf.zoo.EndPoint) -> list[Any]:
    """The row in the order of the columns; empty where a number does not exist."""
    field = row.receptive_field
    size = None
    if row.input_resolution is not None:
        size = "x".join(map(str, dict.fromkeys(row.input_resolution)))
    billions = None if row.flops is None else row.flops / 1e9
    return [row.network, size, row.name, billions, *field]


def line(row: rf.zoo.EndPoint) -> str:
    """The row for the reader."""
    name, size, end_point, flops, *numbers = cells(row)
    shown = ["-" if number is None else str(number) for number in numbers]
    pairs = zip(shown[::2], shown[1::2], strict=True)
    field, stride, padding = (a if a == b else f"{a}x{b}" for a, b in pairs)
    billions = "-" if flops is None else f"{flops:.3f}"
    return WIDTHS.format(
        name, size or "unknown", end_point, billions, field, stride, padding
    )


WIDTHS = "{:29} {:>9}  {:27} {:>8} {:>9} {:>7} {:>9}"
HEADER = WIDTHS.format(
    "network", "input", "end-point", "GFLOPs", "field", "stride", "padding"
)


class Rows:
    """A CSV file that every row is written to at once, if there is a path.

    Raises:
      ReceptiveFieldError: if it cannot be written.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self._add(COLUMNS, mode="w")

    def write(self, row: rf.zoo.EndPoint) -> None:
        """Adds a row to the file."""
        self._add(cells(row), mode="a")

    def _add(self, row: Sequence[Any], mode: str) -> None:
        if self.path is None:
            return
        try:
            with open(self.path, mode, newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(row)
        except OSError as error:
            raise rf.ReceptiveFieldError(
                f"cannot write {self.path!r}: {error.strerror or error}."
            ) from None


def run() -> bool:
    """Prints and writes all rows; whether there were all that were asked for.

    Raises:
      ReceptiveFieldError: if a flag asks for what there is not.
    """
    for name in ("networks", "resolutions", "end_points"):
        if FLAGS[name].value == []:
            raise rf.ReceptiveFieldError(f"--{name} is empty.")
    asked = wanted(FLAGS.networks or rf.zoo.PUBLISHED, FLAGS.end_points)
    resolutions = [resolution(text) for text in dict.fromkeys(FLAGS.resolutions)]
    rows = Rows(FLAGS.csv_path)
    console = Console(stderr=True, soft_wrap=True)
    progress = Progress(
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    )
    building = analysing = 0.0
    complete = True
    with progress:
        task = progress.add_task("", total=len(asked) * len(resolutions))
        print(HEADER)
        for name, end_points in asked.items():
            for size in resolutions:
                progress.update(task, description=name)
                try:
                    table = rf.zoo.table(name, size, end_points=end_points)
                except rf.ReceptiveFieldError as error:  # Too small for this one.
                    print(f"error: {error}", file=sys.stderr)
                    table, complete = rf.zoo.Table(), False
                for row in table.rows:
                    rows.write(row)
                    print(line(row), flush=True)
                building += table.building
                analysing += table.analysing
                progress.advance(task)
    share = f" ({analysing / building:.1%})" if building else ""
    print(
        f"graphs built by TensorFlow in {building:.1f} s, analysed in "
        f"{analysing:.2f} s{share}"
    )
    return complete


def main(arguments: list[str]) -> int:
    """Runs the benchmark; returns the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if len(arguments) > 1:
        print(f"error: unexpected argument {arguments[1]!r}", file=sys.stderr)
        return 1
    try:
        return 0 if run() else 1
    except rf.ReceptiveFieldError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = "; the rows so far are written" if FLAGS.csv_path else ""
        print(f"interrupted{kept}.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # Whoever read the rows has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    app.run(main)
