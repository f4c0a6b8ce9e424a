"""What is missing is told, and is a failure where that is asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FILES = {
    "test_file.py": 'needed("nowhere.at_all")\n\ndef test_it():\n    pass\n',
    "test_other.py": 'needed("nowhere")\n\ndef test_it():\n    pass\n',
    "test_parts.py": (
        'def test_module():\n    needed("nowhere")\n\n'
        '@needs("json", "nowhere")\ndef test_process():\n    assert False\n\n'
        "def test_browser():\n    chromium()\n\n"
        'def test_what_is_there():\n    assert needed("json").loads("3") == 3\n'
    ),
}
MODULE = 'nowhere is not installed: pip install -e ".[test]"'
TOLD = {
    "test_file.py": MODULE,
    "test_other.py": MODULE,
    "test_parts.py::test_module": MODULE,
    "test_parts.py::test_process": MODULE,
    "test_parts.py::test_browser": "chromium is not installed: apt-get install "
    "chromium (on Debian)",
}


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["one", "two"])
def test_what_is_skipped_fails_on_demand(tmp_path, options):
    for name, text in FILES.items():
        head = "from needed import chromium, needed, needs\n\n"
        (tmp_path / name).write_text(head + text)
    tests = Path(__file__).parent
    environment = {**os.environ, "PATH": "", "PYTHONPATH": str(tests)}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", *options]
    for strict in ([], ["--no-skips"]):
        done = subprocess.run(
            [*command, *strict, "."],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
        )
        assert "1 passed, 5 skipped" in done.stdout, done.stdout + done.stderr
        assert done.returncode == len(strict)
        lines = [f"{place}: {reason}" for place, reason in TOLD.items()]
        assert all((line in done.stdout) == bool(strict) for line in lines)
