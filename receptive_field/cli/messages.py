"""Messages for the command line: what to type in a shell, instead of Python.

The library's messages name the parameters of Python functions. This is the only place
where they are rewritten, just before they are printed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Replacement = str | Callable[[re.Match[str]], str]
"""A text with the groups of a match, or a function of the match."""


def _sizes(found: re.Match[str]) -> str:
    """Returns the sizes of a resolution as they are typed."""
    return "--resolution " + "x".join(re.findall(r"\w+", found[1]))


def _spacing(found: re.Match[str]) -> str:
    return f"--spacing {found[1].replace(' ', '')} --unit {found[2]}"


def _covered(found: re.Match[str]) -> str:
    """Returns the order of sizes and the given ones as they are typed."""
    given = "x".join(reversed(re.findall(r"\d+", found[1])))
    return (
        f"written HEIGHTxWIDTH (DEPTHxHEIGHTxWIDTH), or one for all axes; got {given}"
    )


OPTIONS: Mapping[str, Replacement] = {
    r"\bcompute_receptive_field\(\.\.\., (input_resolution=\.\.\.)\)": (
        r"receptive-field compute with \1"
    ),
    r"\bcompute_receptive_field with\b": "receptive-field compute with",
    r"\bwith input_resolution=\.\.\.": "with --resolution HEIGHTxWIDTH",
    r"\binput_resolution=\[(\d+(?:, \d+)*)\]": _sizes,
    r"\binput_resolution as \[(height, width)\]": "--resolution HEIGHTxWIDTH",
    r"\binput_resolution must be a list of (?:sizes|integers) such as \[224, 224\]": (
        "--resolution must be HEIGHTxWIDTH, such as 224x224"
    ),
    r"\binput_resolution \(--resolution\)": "--resolution",
    r"\bx before y, or one for all axes; got \[([\d, ]+)\]": _covered,
    r"\binput_resolution\b": "--resolution",
    r"\bwith stop_propagation\b": "with --stop PREFIX",
    r"\bstop_propagation\b": "--stop",
    r"\bspacing=[\[(]?([\d., ]*\d)[\])]?, unit='(\w*)'": _spacing,
    r"\b(input|output|signature)=(?=[\w'\"])": r"--\1 ",
    r"\b(input|output|signature)=": r"--\1",
    r"\btrace=True\b": "--trace",
    r"\bfield\.explain\(\)": "--explain",
    r"\bfield\.compute_input_region\b": "--features X,Y",
    r"\brf\.resolutions\b": "receptive-field resolutions",
    r'\bglobal_context="exclude"': "--exclude-global",
    r"\bresults is ('.*?')": r"-o \1",
    r"\(see exceptions\)": "(--format json lists them)",
    r"\breceptive_field\.work_limit\(steps\)": "--work-limit STEPS (or any)",
    r"\bAdd a rule with receptive_field\.register_op": (
        "In Python, add a rule with receptive_field.register_op"
    ),
}
"""Pattern for what is typed in Python -> what is typed in a shell."""


def with_options(message: str) -> str:
    """Replaces what is typed in Python with what is typed in a shell.

    >>> with_options("Give input_resolution as [height, width].")
    'Give --resolution HEIGHTxWIDTH.'
    """
    for pattern, option in OPTIONS.items():
        message = re.sub(rf"(?<![-'/]){pattern}", option, message)
    return message
