"""The command line: ``receptive-field``, with a subcommand for each question.

`arguments` reads it, `commands` answers, `terminal` shows. What a command needs is
imported when it runs, so that the others start without it.

Exit status 0: answered; 1: the model or the question is at fault, and stderr says how;
2: the command line is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from receptive_field.cli.arguments import parser
from receptive_field.cli.terminal import show_error, with_options
from receptive_field.errors import ReceptiveFieldError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        try:
            options = parser().parse_args(arguments)
            status: int = options.run(options)
        finally:
            sys.stdout.flush()
    except ReceptiveFieldError as error:
        show_error(with_options(str(error)))
        return 1
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return 130
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0  # The reader has had enough.
        show_error(f"cannot write: {error.strerror}.")
        return 1
    return status


def command_line() -> None:
    """What the command ``receptive-field`` runs."""
    sys.exit(main())
