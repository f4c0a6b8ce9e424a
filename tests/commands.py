"""The command line inside this process, where frameworks are imported only once."""

import io
import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

from receptive_field.cli import main


def run(*arguments, folder="."):
    """What a command does in a folder: its status, and what it writes into pipes."""
    given = [*map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with inside(folder), redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(given)
        except SystemExit as ended:
            status = ended.code
    return CompletedProcess(given, status, out.getvalue(), err.getvalue())


@contextmanager
def inside(folder):
    """Works in a folder, and forgets the modules that are imported from there."""
    here, path, known = os.getcwd(), [*sys.path], {*sys.modules}
    os.chdir(folder)
    try:
        yield
    finally:
        left = Path.cwd()
        os.chdir(here)
        sys.path[:] = path
        for name in {*sys.modules} - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == left:
                del sys.modules[name]
