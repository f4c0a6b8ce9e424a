"""How options are written, and what to write instead of something else."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

OLD_NAMES = {"explore": "--save", "plot": "--save", "many": "--results"}
"""Command -> the former name of its option ``-o``. It works until version 2."""

INTEGERS = re.compile(r"\s*-?\d+(\s*([x,])\s*-?\d+(\s*\2\s*-?\d+)*)?\s*", re.IGNORECASE)
"""One integer, or several that are separated by x or by commas."""

WRITTEN = (".html", ".csv", ".parquet", ".svg", ".png", ".pdf")
"""How the names of files end that commands write."""

LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([^\W\dx_]+)")
"""A length in a physical unit."""

IN_POSITIONS = (
    ". Here, sizes count positions of the input: divide {0} by the {1} from one "
    "position to the next (the spacing)"
)

IN_UNITS = ("--spacing", "--unit")
"""The options of some commands that show lengths in a physical unit."""


def note(text: str) -> None:
    """Prints a note to stderr."""
    print(f"note: {text}", file=sys.stderr)


def with_new_names(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with former names of options replaced, and prints a note.

    >>> with_new_names(["compute", "graph.pb"])
    ['compute', 'graph.pb']
    """
    old = next((OLD_NAMES[text] for text in arguments[:1] if text in OLD_NAMES), None)
    found: list[str] = []
    for position, text in enumerate(arguments):
        if text == "--":
            return [*found, *arguments[position:]]
        name, equals, value = text.partition("=")
        if name == old:
            note(f"{name} is now -o; version 2 will not know {name}.")
            found += ["-o", value] if equals else ["-o"]
        else:
            found.append(text)
    return found


def resolution(text: str) -> Any:
    """Returns a resolution: "unknown", one size for all axes, or a list of sizes.

    Raises:
      ArgumentTypeError: if the text is nothing of that kind.

    >>> resolution("224x320"), resolution("224")
    ([224, 320], 224)
    """
    if text == "unknown":
        return text
    separator, numbers = _integers(text, "HEIGHTxWIDTH such as 224x320, or 'unknown'")
    if len(numbers) == 1:
        return numbers[0]
    if separator == ",":
        written = "x".join(map(str, numbers))
        note(
            f"sizes are written HEIGHTxWIDTH, so --resolution {text} is read as "
            f"{written}; version 2 will require the x."
        )
    return numbers


def size(text: str) -> list[int]:
    """Returns a size that is written HEIGHTxWIDTH, or as one number for all axes.

    Raises:
      ArgumentTypeError: if the text is no size.

    >>> size("224x320"), size("64")
    ([224, 320], [64])
    """
    separator, numbers = _integers(text, "HEIGHTxWIDTH such as 224x320")
    if separator == ",":
        written = "x".join(map(str, numbers))
        raise argparse.ArgumentTypeError(
            f"{text!r} looks like coordinates; write a size as HEIGHTxWIDTH: {written}"
        )
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: sizes must be at least 1")
    return numbers


def feature(text: str) -> list[int]:
    """Returns the coordinates of a feature, x first.

    Raises:
      ArgumentTypeError: if the text is no list of coordinates.

    >>> feature("3,4")
    [3, 4]
    """
    separator, numbers = _integers(text, "X,Y such as 3,4")
    if separator == "x":
        written = ",".join(map(str, numbers))
        raise argparse.ArgumentTypeError(
            f"{text!r} looks like a size; write coordinates as X,Y: {written}"
        )
    return numbers


def _integers(text: str, expected: str) -> tuple[str, list[int]]:
    """Returns the separator of integers ("" for only one), and the integers."""
    found = INTEGERS.fullmatch(text)
    if found is None:
        length = LENGTH.fullmatch(text)
        advice = "" if length is None else IN_POSITIONS.format(*length.groups())
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}{advice}")
    separator = (found[2] or "").lower()
    return separator, [int(number) for number in re.findall(r"-?\d+", text)]


class Parser(argparse.ArgumentParser):
    """A parser whose messages say what to write instead."""

    arguments: Sequence[str] = ()
    """The arguments that are being parsed."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses the arguments; see `argparse.ArgumentParser.parse_args`."""
        given = with_new_names(sys.argv[1:] if args is None else list(map(str, args)))
        Parser.arguments = given
        return super().parse_args(given, namespace)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Also takes models and a pattern that follow an option.

        Examples are ``plot growth -o a.svg A`` and ``nodes A --op Conv2D block1``.
        """
        found, rest = super().parse_known_args(args, namespace)
        if isinstance(getattr(found, "models", None), list):
            found.models += [text for text in rest if not text.startswith("-")]
            rest = [text for text in rest if text.startswith("-")]
        if getattr(found, "pattern", None) == "" and len(rest) == 1:
            found.pattern = "".join(t for t in rest if not t.startswith("-"))
            rest = [text for text in rest if text.startswith("-")]
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Prints the usage and the message to stderr, and exits with status 2."""
        command = next((c for c in self.arguments[:1] if c in self._commands), None)
        own = self._commands[command] if command is not None else self
        super(Parser, own).error(own.advised(message, self.arguments))

    @property
    def _commands(self) -> Mapping[str, Parser]:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return action.choices
        return {}

    def advised(self, message: str, given: Sequence[str]) -> str:
        """Returns the message with advice on what to write instead.

        Args:
          message: the message of argparse.
          given: the whole command line, which begins with the command.
        """
        options = [text for text in self._option_string_actions if text != "-h"]
        chosen = re.search(r"invalid choice: '([^']*)'", message)
        if chosen is not None:
            choices = [c for a in self._actions for c in map(str, a.choices or ())]
            return message + _meant(chosen[1], choices)
        if "required: COMMAND" in message:
            unknown = [text for text in given if text.startswith("-")]
            return message + "".join(_meant(text, options) for text in unknown[:1])
        if "required: -o" in message:
            return message + _file_advice(given)
        if message.startswith("unrecognized arguments: "):
            unknown = [t for t in given if t.startswith("-") and t in message.split()]
            for text in unknown:
                name = text.partition("=")[0]
                if name == "-o" and "-o" not in options:
                    asked = ""
                    if "--output" in options:
                        asked = " --output NAME is the layer to ask about."
                    return (
                        f"{message}. This command writes no file, so there is no -o."
                        f"{asked} To keep what is printed, add > FILE"
                    )
                if name in IN_UNITS and name not in options:
                    return (
                        f"{message}. Only compute and layers show numbers in a unit; "
                        "this command counts positions of the input"
                    )
                advice = _meant(name, options)
                if advice:
                    return message + advice
        return message


def _file_advice(given: Sequence[str]) -> str:
    """Returns what to type if the file to write is missing."""
    for position, text in enumerate(given):
        name, equals, value = text.partition("=")
        if name != "--output":
            continue
        file = [value] if equals else list(given[position + 1 : position + 2])
        rest = [*given[:position], "-o", *file]
        rest += given[position + (1 if equals else 2) :]
        return (
            ". -o FILE is the file to write, and --output NAME the layer to ask about. "
            f"If {' '.join(file)} is the file, type: receptive-field {' '.join(rest)}"
        )
    for place, text in enumerate(given[2:], 2):
        if text.lower().endswith(WRITTEN) and not given[place - 1].startswith("-"):
            typed = " ".join([*given[:place], *given[place + 1 :], "-o", text])
            return (
                " (FILE, the file to write). "
                f"If {text} is the file, type: receptive-field {typed}"
            )
    return " (FILE, the file to write)"


def _meant(name: str, known: Iterable[str]) -> str:
    """Returns a question that suggests the most similar name, or ""."""
    import difflib  # Only needed after an error.

    similar = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f". Did you mean {similar[0]}?" if similar else ""
