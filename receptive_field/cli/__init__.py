"""The command line: ``receptive-field``, with a subcommand for each question.

`arguments` parses the command line, `commands` runs the command, and `terminal` prints
the result. Each command imports its modules only when it runs, so that other commands
start faster.

The exit status is 0 for success, 1 for a problem with the model or the question
(explained on stderr), 2 for a mistake in the command line, and 130 for an interrupt.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from receptive_field.budget import work_limit
from receptive_field.cli.arguments import parser, with_reversed_sorting
from receptive_field.cli.messages import with_options
from receptive_field.cli.terminal import (
    INTERRUPTED,
    hide_native_logs,
    progress,
    show_error,
    stop_on_interrupt,
)
from receptive_field.errors import ReceptiveFieldError
from receptive_field.net import net


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        try:
            given = sys.argv[1:] if arguments is None else arguments
            options = parser().parse_args(with_reversed_sorting(given))
            with net(), progress(), work_limit(options.work_limit):
                status: int = options.run(options)
        finally:
            sys.stdout.flush()
    except ReceptiveFieldError as error:
        show_error(with_options(str(error)))
        return 1
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0  # The reader closed the pipe.
        show_error(f"cannot write the output: {error.strerror}.")
        return 1
    return status


def command_line() -> None:
    """Runs the command ``receptive-field`` and exits."""
    hide_native_logs()
    stop_on_interrupt()
    sys.exit(main())
