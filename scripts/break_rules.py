"""Breaks rules of the package one by one, and tells which test finds each.

  python scripts/break_rules.py [--only NAME ...] [--tests FOLDER] [--list] [--write]

Every break of ``breaks.py`` is made in a copy of the checkout, in a temporary folder,
where the tests run until one of them sees a wrong answer: an assertion that fails, or
an error that the library raises on purpose. That test has to pass in an unbroken copy.
Results are kept in a file at the root: a run that was interrupted goes on, and nothing
is run again before the package, the tests or the break change.

The exit code is 0 if all breaks are found, 1 if one is not, and 2 if one could not be
tried: its passage is gone, nothing can be imported, tests crash or take too long.

pytest loads this file too, as the plugin that writes down what every test does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from breaks import BREAKS, Break

ROOT = Path(__file__).parent.parent
STATE = ".break_rules.json"
PACKAGE = "receptive_field"
LIMIT = 3600.0
"""Seconds that one break may take."""

LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".hypothesis", ".*_cache", "__pycache__", "build", "dist"),
    "test_break_rules.py",
)
"""What copies are made without: what is no source, and the test of this script."""

Report = dict[str, Any]


class TrialError(Exception):
    """A break could not be tried; no fault of the tests."""


# --- The plugin ----------------------------------------------------------------------

REPORTS = "BREAK_RULES_REPORTS"
"""The environment variable that names the file of reports, one in a line."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Writes down how a phase of a test ended, and ends the run at a wrong answer."""
    report = yield
    error = call.excinfo.value if report.failed and call.excinfo else None
    wrong = report.when == "call" and error is not None and _is_wrong_answer(error)
    _write_down(
        test=item.nodeid,
        when=report.when,
        failed=report.failed,
        passed=report.passed,
        seconds=report.duration,
        wrong=wrong,
        error=_in_short(error),
        at=_place(error, item.config.rootpath),
    )
    if wrong:
        item.session.shouldfail = "a wrong answer was seen"
    return report


def pytest_collectreport(report):
    """Writes down which files cannot be collected."""
    if report.failed:
        lines = report.longreprtext.strip().splitlines()
        _write_down(test=report.nodeid, when="collect", failed=True, error=lines[-1])


def _write_down(**report: Any) -> None:
    with open(os.environ[REPORTS], "a") as file:
        file.write(json.dumps(report) + "\n")


def _is_wrong_answer(error: BaseException) -> bool:
    """Whether a test noticed something itself, instead of crashing.

    Hypothesis puts several errors into a group.
    """
    if isinstance(error, (AssertionError, pytest.fail.Exception)):
        return True
    names = [kind.__name__ for kind in type(error).__mro__]
    several: Sequence[BaseException] = getattr(error, "exceptions", ())
    return "ReceptiveFieldError" in names or any(map(_is_wrong_answer, several))


def _in_short(error: BaseException | None) -> str:
    if error is None:
        return ""
    text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    return text[:200]


def _place(error: BaseException | None, root: Path) -> list[Any] | None:
    """File and line of the package in which an error came up."""
    found = None
    for frame, line in traceback.walk_tb(error and error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(root / PACKAGE):
            found = [path.relative_to(root).as_posix(), line]
    return found


# --- Copies --------------------------------------------------------------------------


class Interruption:
    """Ctrl-C and SIGTERM, noted and heeded where nothing is left behind."""

    signals = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> Interruption:
        self.before = {n: signal.signal(n, self._note) for n in self.signals}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        self.number = number

    def heed(self) -> None:
        """Leaves, if there was one."""
        if self.number:
            print("interrupted; what is done is kept", file=sys.stderr)
            raise SystemExit(128 + self.number)


class Copies:
    """Unbroken and broken copies of a checkout, all with the same tests."""

    def __init__(
        self, root: Path, folder: Path, tests: Path | None, interruption: Interruption
    ) -> None:
        self.folder = folder
        self.interruption = interruption
        self.unbroken = folder / "unbroken"
        _copy(root, self.unbroken)
        if tests is not None:
            shutil.rmtree(self.unbroken / "tests")
            _copy(tests, self.unbroken / "tests")
        self.contents = _contents(self.unbroken, (PACKAGE, "tests"))
        seed = str(int(self.contents[:8], 16))
        conftest = self.unbroken / "tests" / "conftest.py"
        ours = conftest.exists() and '"--seed"' in conftest.read_text()
        self.seed = ["--seed", seed] if ours else [f"--hypothesis-seed={seed}"]

    def test_files(self) -> list[str]:
        """The names of all files of tests."""
        return sorted(path.name for path in self.unbroken.glob("tests/test_*.py"))

    @contextmanager
    def broken(self, chosen: Break) -> Iterator[tuple[Path, range]]:
        """A copy with a break, and the lines of the new passage in it."""
        file = self.unbroken / chosen.path
        text = file.read_text() if file.exists() else ""
        if text.count(chosen.old) != 1:
            raise TrialError(f"its passage is not in {chosen.path} exactly once")
        before, after = text.split(chosen.old)
        start = before.count("\n") + 1
        copy = self.folder / "broken"
        _copy(self.unbroken, copy)
        try:
            (copy / chosen.path).write_text(before + chosen.new + after)
            self._check_import(copy, chosen.path)
            yield copy, range(start, start + chosen.new.count("\n") + 1)
        finally:
            shutil.rmtree(copy)

    def _check_import(self, copy: Path, path: str) -> None:
        """Makes sure that the copy is what is imported, and that it can be."""
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        code = f"import {PACKAGE}, {module}; print({PACKAGE}.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self._environment(copy),
        )
        self.interruption.heed()
        if done.returncode:
            raise TrialError(f"it cannot be imported: {done.stderr.splitlines()[-1]}")
        if Path(done.stdout.strip()) != copy / PACKAGE / "__init__.py":
            raise TrialError("another package than the copy is imported")

    def _environment(self, copy: Path) -> dict[str, str]:
        """Here subprocesses import the copy, too, and leave their files in `folder`."""
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        paths = os.pathsep.join(map(str, (copy, Path(__file__).parent)))
        reports = str(self.folder / "reports")
        # What a copy covers is no coverage of the package.
        left_out = ("PYTEST_ADDOPTS", "COVERAGE_PROCESS_CONFIG")
        known = {k: v for k, v in os.environ.items() if k not in left_out}
        return {
            **known,
            "PYTHONPATH": paths,
            "TMPDIR": str(temporary),
            REPORTS: reports,
        }

    def run(self, copy: Path, arguments: Sequence[str], until: float) -> list[Report]:
        """Runs tests in a copy, and returns what they did.

        Raises:
          TrialError: if they do not run to their end.
        """
        self.interruption.heed()
        reports, log = self.folder / "reports", self.folder / "log"
        reports.write_text("")
        plugins = ("no:cacheprovider", "no:xdist", Path(__file__).stem)
        with log.open("w") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "-q"),
                    *(f"-p{plugin}" for plugin in plugins),
                    *self.seed,
                    *arguments,
                ],
                cwd=copy,
                env=self._environment(copy),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                while process.poll() is None:
                    self.interruption.heed()
                    if time.monotonic() > until:
                        raise TrialError(
                            f"the tests take more than {LIMIT:.0f} seconds"
                        )
                    time.sleep(0.05)
            finally:
                _end(process)
        found = [json.loads(line) for line in reports.read_text().splitlines()]
        fine = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        failed = any(report["failed"] for report in found)
        if process.returncode not in fine and not failed:
            last = (log.read_text().strip().splitlines() or ["nothing"])[-1]
            raise TrialError(f"pytest ends with {process.returncode}: {last}")
        return found


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, ignore=LEFT_OUT)


def _contents(root: Path, folders: Sequence[str]) -> str:
    """A hash of all files in folders."""
    whole = hashlib.sha256()
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file():
                content = hashlib.sha256(path.read_bytes()).digest()
                whole.update(path.relative_to(root).as_posix().encode() + content)
    return whole.hexdigest()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a run and all processes that it started: first as Ctrl-C does."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


# --- What is known -------------------------------------------------------------------


class State:
    """Results of before, and how many seconds the tests of a file take."""

    def __init__(self, path: Path) -> None:
        self.path = path
        known = json.loads(path.read_text()) if path.exists() else {}
        self.results: dict[str, dict[str, Any]] = known.get("results", {})
        """Break -> "tests" or "other tests" -> what they found, and its key."""
        self.seconds: dict[str, float] = known.get("seconds", {})

    def result(self, chosen: Break, which: str, contents: str) -> Any:
        """What is known of a break, if nothing has changed since."""
        found = self.results.get(chosen.name, {}).get(which)
        return found if found and found["key"] == _key(chosen, contents) else None

    def keep(self, chosen: Break, which: str, contents: str, found: Report) -> None:
        """Puts a whole new file in the place of the old one."""
        kept = {**found, "key": _key(chosen, contents)}
        self.results.setdefault(chosen.name, {})[which] = kept
        text = json.dumps({"results": self.results, "seconds": self.seconds}, indent=1)
        beside = self.path.with_suffix(".part")
        beside.write_text(text)
        os.replace(beside, self.path)

    def learn(self, reports: Sequence[Report], complete: bool) -> None:
        """Learns how quick the files are that have run to their end."""
        spent: dict[str, float] = {}
        for report in reports:
            name = report["test"].split("::")[0].split("/")[-1]
            spent[name] = spent.get(name, 0) + report.get("seconds", 0)
        if spent and not complete:
            spent.popitem()
        self.seconds.update(spent)


def _key(chosen: Break, contents: str) -> str:
    return hashlib.sha256(repr((chosen, contents)).encode()).hexdigest()


# --- Breaking ------------------------------------------------------------------------


def wrong_answer(reports: Sequence[Report], path: str, lines: range) -> Report | None:
    """The test that saw a wrong answer, if one did.

    Raises:
      TrialError: if a file cannot be collected, if the broken lines crash, or if tests
        fail for other reasons only.
    """
    bad = [report for report in reports if report["failed"]]
    for report in bad:
        if report["when"] == "collect":
            raise TrialError(f"{report['test']} cannot be collected: {report['error']}")
        if not report["wrong"] and report["at"] in [[path, line] for line in lines]:
            raise TrialError(f"the broken passage crashes: {report['error']}")
    wrong = next((report for report in bad if report["wrong"]), None)
    if bad and wrong is None:
        test, when, error = (bad[0][name] for name in ("test", "when", "error"))
        raise TrialError(f"no wrong answer, but {test} crashes in its {when}: {error}")
    return wrong


def tried(copies: Copies, chosen: Break, state: State, ours: bool) -> Report:
    """Breaks one rule and runs tests, those that are likely and quick first.

    Raises:
      TrialError: if that does not go as it should.
    """
    start = time.monotonic()
    until = start + LIMIT
    every = copies.test_files()
    near = [name for name in chosen.files if name in every]
    far = [name for name in every if name not in near] if ours else []
    far.sort(key=lambda name: state.seconds.get(name, float("inf")))
    if not near:
        raise TrialError(f"there are no files {', '.join(chosen.files)}")
    rounds = [("not slow", near), ("not slow", far), ("slow", near + far)]
    with copies.broken(chosen) as (copy, lines):
        for mark, names in rounds:
            if not names:
                continue
            files = [f"tests/{name}" for name in names]
            reports = copies.run(copy, ["-m", mark, *files], until)
            wrong = wrong_answer(reports, chosen.path, lines)
            if ours and mark == "not slow":
                state.learn(reports, complete=wrong is None)
            if wrong is None:
                continue
            seconds = time.monotonic() - start
            again = copies.run(copies.unbroken, [wrong["test"]], until)
            if not any(r["when"] == "call" and r["passed"] for r in again):
                raise TrialError(
                    f"{wrong['test']} does not pass in the unbroken package"
                )
            return {"test": wrong["test"], "error": wrong["error"], "seconds": seconds}
    return {"test": None, "seconds": time.monotonic() - start}


def told(found: Report) -> str:
    """What came of a break, in a line."""
    if found["test"] is None:
        return f"NOT FOUND by any test in {found['seconds']:.0f} seconds"
    return f"found by {found['test']} after {found['seconds']:.0f} seconds"


# --- The page ------------------------------------------------------------------------

PAGE = """\
# How strong the tests are

`python scripts/break_rules.py --write` breaks rules on purpose, each in its own copy of
the package, and writes this page. Each row names a break and the first test that saw a
wrong answer.

A crash does not count, and neither does a test that also fails in an unbroken copy.
Half of the breaks were chosen by a reader of the package who had not seen the tests.
The breaks are pieces of code in `scripts/breaks.py`, and must be updated with the
rules.

| what is broken | where | chosen by | found by |
|---|---|---|---|
"""


def page(found: Sequence[tuple[Break, Report]]) -> str:
    """The page of the documentation."""
    rows = []
    for chosen, result in found:
        who = "a reader" if chosen.by_a_reader else "a tester"
        path = chosen.path.removeprefix(f"{PACKAGE}/")
        test = result["test"] and re.sub(r"\[.*", "", result["test"], flags=re.DOTALL)
        by = f"`{test.removeprefix('tests/')}`" if test else "no test"
        rows.append(f"| {chosen.name} | `{path}` | {who} | {by} |\n")
    return PAGE + "".join(rows)


# --- The command ---------------------------------------------------------------------


def main(
    arguments: Sequence[str] | None = None,
    root: Path = ROOT,
    breaks: Sequence[Break] = BREAKS,
) -> int:
    """Does what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="breaks with this in their names"
    )
    parser.add_argument(
        "--tests",
        type=Path,
        metavar="FOLDER",
        help="other tests, of which only the files that concern a rule are run",
    )
    parser.add_argument("--list", action="store_true", help="only list what is known")
    parser.add_argument("--write", action="store_true", help="write docs/strength.md")
    options = parser.parse_args(arguments)
    if options.write and options.tests:
        parser.error("docs/strength.md is about the tests of this checkout")
    for part in options.only or ():
        if not any(part in chosen.name for chosen in breaks):
            parser.error(f"no break has {part!r} in its name; --list shows all names")
    some = [
        chosen
        for chosen in breaks
        if not options.only or any(part in chosen.name for part in options.only)
    ]
    state = State(root / STATE)
    if options.list:
        for chosen in some:
            print(f"{chosen.name} ({chosen.path})")
            for which, found in state.results.get(chosen.name, {}).items():
                print(f"  {which}: {told(found)}")
        return 0
    with (
        Interruption() as interruption,
        tempfile.TemporaryDirectory(prefix="break_rules_") as folder,
    ):
        copies = Copies(root, Path(folder).resolve(), options.tests, interruption)
        code = _break_all(copies, some, state, options.tests is None)
    if options.write:
        known = [(b, state.result(b, "tests", copies.contents)) for b in breaks]
        missing = [chosen.name for chosen, found in known if found is None]
        if missing:
            print(f"nothing is written: {', '.join(missing)} has no result")
            return 2
        (root / "docs" / "strength.md").write_text(page(known))
    return code


def _break_all(
    copies: Copies, breaks: Sequence[Break], state: State, ours: bool
) -> int:
    code, which = 0, "tests" if ours else "other tests"
    for number, chosen in enumerate(breaks, start=1):
        head = f"{number:2}/{len(breaks)} {chosen.name}:"
        found = state.result(chosen, which, copies.contents)
        if found is not None:
            print(head, told(found), "(known from before)", flush=True)
        else:
            try:
                found = tried(copies, chosen, state, ours)
            except TrialError as error:
                print(head, f"ERROR, {error}", flush=True)
                code = 2
                continue
            state.keep(chosen, which, copies.contents, found)
            print(head, told(found), flush=True)
        if found["test"] is None:
            code = max(code, 1)
    return code


if __name__ == "__main__":
    sys.exit(main())
