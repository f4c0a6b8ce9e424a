"""The script that breaks rules: its list, and what it says of a tiny project."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))

import break_rules  # noqa: E402
from breaks import BREAKS, Break  # noqa: E402

pytestmark = pytest.mark.slow

PACKAGE = '''
class ReceptiveFieldError(ValueError):
    """Raised on purpose."""


def doubled(number):
    return number * 2


def checked(number):
    if number > 9:
        raise ReceptiveFieldError("too large")
    return number


def unheard_of():
    return "nobody asks"


def pause():
    return 0


CONSTANT = 1
'''

TESTS = """
import os
import time

import pytest
import receptive_field as rf


@pytest.fixture
def one():
    return rf.checked(1)


def test_a_fixture(one):
    assert one == 1


def test_doubled():
    with open(os.environ["TINY_LOG"], "a") as log:
        log.write("test_doubled\\n")
    assert rf.doubled(2) == 4


def test_the_largest():
    assert rf.checked(9) == 9


def test_too_large():
    with pytest.raises(rf.ReceptiveFieldError):
        rf.checked(10)


def test_pause():
    with open(os.environ["TINY_LOG"], "a") as log:
        log.write(f"pause {os.getpid()}\\n")
    time.sleep(rf.pause())
"""

CONFTEST = """
def pytest_addoption(parser):
    parser.addoption("--seed", type=int)
"""

SLOW = """
import pytest
import receptive_field as rf


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 3])
def test_of_another_file(number):
    assert rf.doubled(number) == number + number
"""


def tiny(name, old, new, files=("test_tiny.py",)):
    return Break(name, "receptive_field/__init__.py", old, new, files)


DOUBLE = tiny("a factor", "number * 2", "number * 3")
PAUSE = tiny("a pause", "return 0", "return 600")
UNHEARD = tiny("what nobody asks", "nobody asks", "nobody hears")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package of this name, its tests, and a place for temporary folders."""
    for name, text in {
        "receptive_field/__init__.py": PACKAGE,
        "tests/test_tiny.py": TESTS,
        "tests/test_slow.py": SLOW,
        "tests/test_break_rules.py": "def test_of_the_script():\n    assert False\n",
        "tests/conftest.py": CONFTEST,
        "pyproject.toml": '[tool.pytest.ini_options]\nmarkers = ["slow"]\n',
        "docs/index.md": "",
    }.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # They take a second.
    monkeypatch.setenv("TINY_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # Forgets the one of before.
    yield tmp_path / "project"
    assert not list((tmp_path / "temporary").iterdir()), "a folder is left behind"


@pytest.fixture
def run(project, capsys):
    """Runs the script on the project; returns its exit code and its lines."""

    def run(breaks, *arguments):
        code = break_rules.main(arguments, project, breaks)
        return code, capsys.readouterr().out.splitlines()

    return run


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_every_passage_is_there_once_and_becomes_another():
    for chosen in BREAKS:
        assert (ROOT / chosen.path).read_text().count(chosen.old) == 1, chosen.name
        assert chosen.new != chosen.old


def test_the_list_of_breaks():
    assert len(BREAKS) == 20
    assert sum(chosen.by_a_reader for chosen in BREAKS) == 10
    names = Counter(chosen.name for chosen in BREAKS)
    assert not [name for name, count in names.items() if count > 1]
    for chosen in BREAKS:
        assert chosen.path.startswith("receptive_field/")
        assert chosen.files
        for name in chosen.files:
            assert (ROOT / "tests" / name).exists(), f"{chosen.name}: {name}"


def test_found_or_not(project, run):
    code, lines = run([DOUBLE, UNHEARD])
    assert code == 1
    assert lines[0].startswith(
        " 1/2 a factor: found by tests/test_tiny.py::test_doubled after "
    )
    assert lines[1].startswith(" 2/2 what nobody asks: NOT FOUND by any test")
    assert "* 2" in (project / "receptive_field" / "__init__.py").read_text()

    code, lines = run([DOUBLE], "--write")
    assert code == 0
    assert lines[0].endswith("(known from before)")
    table = (project / "docs" / "strength.md").read_text().splitlines()
    row = "| a factor | `__init__.py` | a tester | `test_tiny.py::test_doubled` |"
    assert table[-1] == row


def test_a_test_of_any_file_counts_and_slow_ones_come_last(project, run):
    tests = project / "tests" / "test_tiny.py"
    replace(tests, "rf.doubled(2) == 4", "rf.doubled(2)")
    code, lines = run([DOUBLE])
    assert code == 0
    assert "found by tests/test_slow.py::test_of_another_file[3] after" in lines[0]


def test_a_raise_that_is_gone_and_one_that_is_new(run):
    gone = tiny("gone", "number > 9", "number > 99")
    new = tiny("new", "number > 9", "number > 8")
    code, lines = run([gone, new])
    assert code == 0
    assert "gone: found by tests/test_tiny.py::test_too_large after" in lines[0]
    assert "new: found by tests/test_tiny.py::test_the_largest after" in lines[1]


def test_tests_that_take_too_long(run, monkeypatch):
    monkeypatch.setattr(break_rules, "LIMIT", 1.0)
    code, (line,) = run([PAUSE])
    assert code == 2
    assert line == " 1/1 a pause: ERROR, the tests take more than 1 seconds"


def test_what_is_no_wrong_answer(project, run):
    code, lines = run(
        [
            tiny("gone", "no such passage", ""),
            tiny("twice", "number", "count"),
            tiny("syntax", "number * 2", "number *"),
            tiny("import", "CONSTANT = 1", "import no_such_module"),
            tiny("crash", "number * 2", "number * unknown"),
            tiny("fixture", "number > 9", "number < 9"),
            tiny("nowhere", "number * 2", "number", ("test_nowhere.py",)),
        ]
    )
    assert code == 2
    wanted = [
        "gone: ERROR, its passage is not in receptive_field/__init__.py exactly once",
        "twice: ERROR, its passage is not in",
        "syntax: ERROR, it cannot be imported: SyntaxError",
        "import: ERROR, it cannot be imported: ModuleNotFoundError",
        "crash: ERROR, the broken passage crashes: NameError",
        # Its fixture crashes, which does not count; a later test sees it itself.
        "fixture: found by tests/test_tiny.py::test_too_large after",
        "nowhere: ERROR, there are no files test_nowhere.py",
    ]
    for number, (line, text) in enumerate(zip(lines, wanted, strict=True), start=1):
        assert line.startswith(f"{number:2}/7 {text}")
    assert not (project / ".break_rules.part").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("def test_it(:\n", "test_tiny.py cannot be collected: "),
        ("def test_it():\n    {}['x']\n", "crashes in its call: KeyError: 'x'"),
        (
            "import pytest\n@pytest.fixture\ndef it():\n    assert False\n"
            "def test_it(it):\n    pass\n",
            "crashes in its setup: AssertionError: assert False",
        ),
        (
            "def test_it():\n    assert False\n",
            "tests/test_tiny.py::test_it does not pass in the unbroken package",
        ),
        ("import os\ndef test_it():\n    os.abort()\n", "pytest ends with -6: "),
    ],
)
def test_tests_that_fail_by_themselves(project, run, content, reason):
    (project / "tests" / "test_tiny.py").write_text(content)
    code, (line,) = run([DOUBLE])
    assert code == 2
    assert reason in line
    assert not (project / break_rules.STATE).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on(project, run, tmp_path, number):
    breaks = [tuple(DOUBLE), tuple(PAUSE)]
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "import break_rules; from pathlib import Path\n"
        f"breaks = [break_rules.Break(*b) for b in {breaks}]\n"
        f"sys.exit(break_rules.main([], Path({str(project)!r}), breaks))\n"
    )
    script = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    log = tmp_path / "log"
    started = time.monotonic()
    while not log.exists() or "pause" not in log.read_text().split("\n", 2)[-1]:
        assert script.poll() is None
        assert time.monotonic() - started < 60
        time.sleep(0.05)
    script.send_signal(number)
    output, _ = script.communicate(timeout=30)
    assert script.returncode == 128 + number
    assert b"a factor: found by" in output
    child = int(log.read_text().split()[-1])
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    kept = json.loads((project / break_rules.STATE).read_text())
    assert list(kept["results"]) == ["a factor"]
    log.unlink()
    code, lines = run([DOUBLE, UNHEARD])
    assert code == 1
    assert lines[0].endswith("(known from before)")
    assert "NOT FOUND" in lines[1]


def test_results_are_those_of_these_files(project, run):
    assert run([DOUBLE])[1][0].endswith("seconds")
    assert run([DOUBLE])[1][0].endswith("(known from before)")
    changed = DOUBLE._replace(new="number * 4")
    assert run([changed])[1][0].endswith("seconds")
    replace(project / "tests" / "test_tiny.py", "doubled(2) == 4", "doubled(3) == 6")
    assert run([changed])[1][0].endswith("seconds")
    replace(project / "receptive_field" / "__init__.py", "CONSTANT = 1", "CONSTANT = 2")
    assert run([changed])[1][0].endswith("seconds")


def test_other_tests_are_kept_beside(project, run, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "test_tiny.py").write_text("def test_nothing():\n    pass\n")
    (other / "test_slow.py").write_text("def test_something():\n    assert False\n")
    with monkeypatch.context() as patch:
        patch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")  # These know no --seed.
        code, (line,) = run([DOUBLE], "--tests", str(other))
    assert code == 1, "only the files that concern the rule are run"
    assert "NOT FOUND" in line
    assert run([DOUBLE])[0] == 0
    code, lines = run([DOUBLE], "--list")
    assert code == 0
    assert lines[0] == "a factor (receptive_field/__init__.py)"
    assert lines[1].startswith("  other tests: NOT FOUND")
    assert lines[2].startswith("  tests: found by tests/test_tiny.py::test_doubled")


def test_only_some_are_tried_and_no_page_is_written_of_them(project, run):
    code, lines = run([DOUBLE, UNHEARD], "--only", "fact", "--write")
    assert code == 2
    assert lines[0].startswith(" 1/1 a factor: found by")
    assert lines[1] == "nothing is written: what nobody asks has no result"
    assert not (project / "docs" / "strength.md").exists()


def test_groups_of_errors_and_those_of_the_library():
    class ReceptiveFieldError(ValueError):
        pass

    class SomeError(ReceptiveFieldError):
        pass

    class SeveralError(Exception):
        exceptions = (KeyError("x"), AssertionError())

    assert break_rules._is_wrong_answer(SomeError())
    assert break_rules._is_wrong_answer(SeveralError())
    assert not break_rules._is_wrong_answer(ValueError())
