"""Runs the code of a page of the documentation, as a reader would, from top to bottom.

Python blocks share their names, shell blocks a folder; nothing is installed. A block of
text after either is what it prints (``...`` stands for anything). Blocks of other
languages, such as ``console``, are only shown. A block of nothing but commands of ours
runs in this process; any other needs a shell.
"""

import ast
import doctest
import io
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout

import commands

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = (
    f'python() {{ "{sys.executable}" "$@"; }}\n'
    'receptive-field() { python -m receptive_field.cli "$@"; }\n'
)
OURS = re.compile(r"receptive-field [^|&;<>$*?`\"\\#]*")
"""One of our commands that needs no shell, without what is quoted in it."""
AS_A_READER = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page):
    """Language and code of every fenced block."""
    return BLOCK.findall(page)


def run_page(page, folder, names=None):
    """Runs its blocks; returns how many results were compared with what it states."""
    names = {"__name__": "__main__"} if names is None else names
    compared, printed = 0, None
    for language, code in blocks(page):
        if language == "python":
            with redirect_stdout(io.StringIO()) as caught:
                exec(code, names)
            printed = caught.getvalue()
            compared += check_comments(code, names)
        elif language == "sh" and not code.startswith("pip "):
            printed = run_commands(code, folder)
        elif language == "text":
            check_output(code, printed)
            compared, printed = compared + 1, None
        else:
            printed = None
    return compared


def run_commands(code, folder):
    ours = our_commands(code)
    if ours is None:
        return run_in_shell(code, folder)
    printed = ""
    for arguments in ours:
        done = commands.run(*arguments, folder=folder)
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    return printed


def our_commands(code):
    """The arguments of each command of a block; None if the block needs a shell."""
    lines = [line for line in code.replace("\\\n", " ").splitlines() if line.strip()]
    for line in lines:
        unquoted = re.sub("'[^']*'", "", line.partition(" # ")[0])
        if not OURS.fullmatch(unquoted):
            return None
    return [shlex.split(line, comments=True)[1:] for line in lines]


def run_in_shell(code, folder):
    done = subprocess.run(
        ["bash", "-euc", COMMAND + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_output(wanted, printed):
    assert printed is not None, f"nothing is run that prints\n{wanted}"
    same = doctest.OutputChecker().check_output(wanted, printed, AS_A_READER)
    assert same, f"the page shows\n{wanted}\nbut this is printed\n{printed}"


def check_comments(code, names):
    """What the comment of an expression states is its value."""
    compared = 0
    for line in code.splitlines():
        expression, _, comment = line.partition("  # ")
        value = stated(comment)
        if value is not None:
            found = eval(expression, names)
            found = found.tolist() if hasattr(found, "tolist") else found
            assert found == value, f"{line}\nbut it is {found}"
            compared += 1
    return compared


def stated(comment):
    """The value that a comment begins with, if it does."""
    for end in (len(comment), comment.find(":")):
        try:
            return ast.literal_eval(comment[:end])
        except (SyntaxError, ValueError):
            continue
    return None
