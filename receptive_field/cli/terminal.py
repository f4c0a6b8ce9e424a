"""Prints results, in colour on a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO


def show(
    text: str, styles: Mapping[str, str] | None = None, file: TextIO | None = None
) -> None:
    """Prints a text and styles the parts that match a pattern.

    The text is not styled if Rich is not installed, NO_COLOR is set, or the output is
    not a terminal that supports styles.
    """
    out = file or sys.stdout
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if styles and out.isatty() and not plain:
        try:
            from rich.console import Console
            from rich.text import Text
        except ImportError:
            pass
        else:
            shown = Text(text)
            for pattern, style in styles.items():
                shown.highlight_regex(pattern, style)
            Console(file=out).print(shown, soft_wrap=True)
            return
    print(text, file=out)


def show_json(value: Any) -> None:
    """Prints plain data as JSON."""
    import json

    show(json.dumps(value, indent=2, allow_nan=False))


def show_error(message: str) -> None:
    """Prints an error message to stderr."""
    show(f"error: {message}", {r"\Aerror:": "bold red"}, sys.stderr)


OPTIONS = {
    r"\binput_resolution=\[(\d+)\]": r"--resolution \1",
    r"\binput_resolution=\[(\d+), (\d+)\]": r"--resolution \1x\2",
    r"\binput_resolution=\[(\d+), (\d+), (\d+)\]": r"--resolution \1x\2x\3",
    r"\binput_resolution\b": "--resolution",
    r"\bstop_propagation\b": "--stop",
    r"\b(input|output|signature)=": r"--\1",
    r"\bfield\.explain\(\)": "--explain",
    r"\brf\.resolutions\b": "receptive-field resolutions",
    r'\bglobal_context="exclude"': "--exclude-global",
}
"""Pattern for a parameter of a Python function -> the corresponding option."""


def with_options(message: str) -> str:
    """Replaces Python parameters in a message with command-line options."""
    for pattern, option in OPTIONS.items():
        message = re.sub(rf"(?<![-'/]){pattern}", option, message)
    return message
