"""What tests need besides the package. Where it is missing, they are skipped and say
what to install; with ``--no-skips`` that is a failure."""

from __future__ import annotations

import shutil
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest

HOW = 'pip install -e ".[test]"'
OF_TORCH = "pip install --no-deps -r tests/requirements-torch.txt"


def how(package: str) -> str:
    """The command that installs a package."""
    return OF_TORCH if package in ("torch", "torchvision", "timm") else HOW


def needed(name: str) -> ModuleType:
    """The module; without it the test is skipped, or all tests of the file."""
    __tracebackhide__ = True
    missing = name
    if find_spec(name.partition(".")[0]) is not None:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:  # Of what that module needs itself.
            missing = error.name or name
    package = missing.partition(".")[0]
    pytest.skip(f"{package} is not installed: {how(package)}", allow_module_level=True)


def needs(*names: str) -> pytest.MarkDecorator:
    """Marks a test that needs the modules in a process of its own."""
    missing = [name for name in names if find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing),
        reason=f"{', '.join(missing)} is not installed: {how(''.join(missing[:1]))}",
    )


def chromium() -> str:
    """The path of the browser; without it the test is skipped."""
    __tracebackhide__ = True
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed: apt-get install chromium (on Debian)")
    return path


def node() -> str:
    """The path of Node.js, with npm beside it; without them the test is skipped."""
    __tracebackhide__ = True
    path = shutil.which("node")
    if path is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed: apt-get install nodejs npm (on Debian)")
    return path


class NoSkips:
    """A plugin: the session fails if a test or a whole file was skipped."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        passed = pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED
        if self.skipped and session.exitstatus in passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which --no-skips forbids", red=True)
        for line in self.skipped:
            terminalreporter.write_line(line)

    def _note(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        if report.skipped:
            *_, reason = report.longrepr
            self.skipped.append(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
