"""Prints results, in colour on a terminal."""

from __future__ import annotations

import os
import re
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

from receptive_field.printable import printable
from receptive_field.progress import told_to
from receptive_field.whole_files import remove_unfinished


def show(
    text: str,
    styles: Mapping[str, str] | None = None,
    file: TextIO | None = None,
    wraps: bool = True,
) -> None:
    """Prints a text and styles the parts that match a pattern.

    Whatever could control a terminal is escaped, except line breaks. On a terminal,
    lines are broken between words, unless ``wraps`` is False. The text
    is not styled if Rich is not installed, NO_COLOR is set, or the output is
    not a terminal that supports styles.
    """
    for line in _lines:
        line.end()
    out = file or sys.stdout
    text = "\n".join(map(printable, text.split("\n")))
    if wraps and out.isatty():
        text = wrapped(text, columns(out))
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

    show(json.dumps(value, indent=2, allow_nan=False), wraps=False)


COLUMNS = re.compile(r" *\S[^\n]{0,22}? {2,}(?=\S)| *")
"""What stands before the text of a line: a first column, or spaces."""


def wrapped(text: str, width: int) -> str:
    """Returns a text with its long lines broken between words.

    The rest of a line begins below its second column, or is indented by two spaces if
    there is no second column, or if it begins too far to the right.

    >>> print(wrapped("exact    no, an upper bound\\none two", 22))
    exact    no, an upper
             bound
    one two
    >>> print(wrapped("exact    no, an upper bound\\none two", 16))
    exact    no, an
      upper bound
    one two
    """
    lines = []
    for line in text.split("\n"):
        before = COLUMNS.match(line)
        start = before[0] if before is not None else ""
        indent = len(start) if start.strip() else len(start) + 2
        if len(line) <= width:
            lines.append(line)
            continue
        if 2 * indent > width:
            start = "" if start.strip() else "  "
            line, indent = start + line.lstrip(), 2
        lines += textwrap.wrap(
            line[len(start) :],
            width,
            initial_indent=start,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def columns(out: TextIO) -> int:
    """Returns the number of columns of a terminal."""
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def show_error(message: str) -> None:
    """Prints an error message to stderr."""
    show(f"error: {message}", {r"\Aerror:": "bold red"}, sys.stderr)


# --- Progress ------------------------------------------------------------------------

PATIENCE = 1.0
"""After how many seconds progress is shown."""

_lines: list[_Line] = []
"""The line that shows progress, if there is one."""


@contextmanager
def progress() -> Iterator[None]:
    """Shows progress on stderr, in one line, until something is printed.

    Nothing is shown if stderr is not a terminal that can rewrite a line, or if
    NO_PROGRESS is set.
    """
    unwanted = os.environ.get("NO_PROGRESS") or os.environ.get("TERM") == "dumb"
    if unwanted or not sys.stderr.isatty():
        yield
        return
    line = _Line(sys.stderr)
    _lines.append(line)
    try:
        with told_to(line.tell):
            yield
    finally:
        line.end()
        _lines.remove(line)


class _Line:
    """A line that a thread rewrites, because a long step says nothing meanwhile."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._since = time.monotonic()
        self._told: tuple[str, float | None] = ("", None)
        self._ended = threading.Event()
        self._drawing = threading.Thread(target=self._draw, daemon=True)
        self._drawing.start()

    def tell(self, what: str, share: float | None) -> None:
        """Takes note of progress."""
        if what != self._told[0]:
            self._since = time.monotonic()
        self._told = what, share

    def end(self) -> None:
        """Removes the line. It does not appear again."""
        if not self._ended.is_set():
            self._ended.set()
            self._drawing.join()

    def _draw(self) -> None:
        pause, drawn = PATIENCE, False
        while not self._ended.wait(pause):
            text = self._text(columns(self._out) - 1)
            if text:
                self._out.write(f"\r{text}\x1b[K")
                self._out.flush()
                pause, drawn = 0.2, True
        if drawn:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _text(self, width: int = 79) -> str:
        """Returns the line. On a narrow terminal, what is done is cut, not how far."""
        what, share = self._told
        passed = time.monotonic() - self._since
        if not what:
            return ""
        if share is None:
            far = f" ... {_duration(passed)}"
        else:
            left = f", {_duration(passed * (1 - share) / share)} left" if share else ""
            far = f": {share:.0%}{left}"
        return (what[: max(width - len(far), 0)] + far)[:width]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def hide_native_logs() -> None:
    """Hides what native code writes to stderr, such as the log lines of TensorFlow.

    Text that Python writes to stderr is shown. Everything is shown if the environment
    asks TensorFlow for its log: if TF_CPP_MIN_LOG_LEVEL is less than 3.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3":
        return
    sys.stderr.flush()
    shown = os.dup(2)
    sys.stderr = open(shown, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


# --- Interrupts ----------------------------------------------------------------------

INTERRUPTED = 130
"""The exit status after an interrupt."""


def stop_on_interrupt() -> None:
    """Lets an interrupt end the process at once.

    A KeyboardInterrupt is not enough. If it is raised in a callback of a framework,
    such as one of the garbage collector, Python prints a traceback and goes on.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def raise_on_interrupt() -> None:
    """Lets an interrupt raise a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in _lines:
        line.end()
    remove_unfinished()
    os.write(sys.stderr.fileno(), b"interrupted.\n")
    os._exit(INTERRUPTED)
