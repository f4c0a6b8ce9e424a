"""Imports of frameworks without their log lines."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from receptive_field.frameworks.alone import ALONE

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""The variable that says which log lines TensorFlow writes. At 3, it writes none."""

LOGGED = re.compile(
    rb"WARNING: All log messages before absl::|[IWE]\d{4} .*\w+\.cc:\d+\]"
)
"""The start of a line that TensorFlow logs before it reads the level."""


def imported(name: str) -> Any:
    """Imports a module that may be the first to import TensorFlow.

    Then no line that TensorFlow logs is shown, unless the environment says what to log.
    """
    if "tensorflow" in sys.modules or LEVEL in os.environ:
        return import_module(name)
    os.environ[LEVEL] = "3"
    with ALONE.held(), _without_log_lines():
        return import_module(name)


@contextmanager
def _without_log_lines() -> Iterator[None]:
    """Shows what is written to stderr only at the end, without log lines."""
    try:
        shown = os.dup(2)
    except OSError:  # There is no stderr.
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(shown, 2)
            os.close(shown)
            kept.seek(0)
            rest = [line for line in kept if LOGGED.match(line) is None]
            os.write(2, b"".join(rest))
