"""Files on a full disk, and where the user may not write: the old file stays whole.

The disk is a file system of 64 KB in memory. Where the tests may not mount one, only a
limit on the size of files takes its place.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from graphs import conv, graph_def, placeholder
from needed import needed
from run_scripts import EXAMPLES, ROOT

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.many import compute_many

NOBODY = 65534

GRAPH = os.fspath(ROOT / "tests" / "data" / "onnx" / "resnet18.onnx.xz")
LAYER = ["--output", "layer1"]


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A file system of 64 KB in a folder.

    Raises:
      CalledProcessError: if this user may not mount one.
      FileNotFoundError: if the system has no such command.
    """
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "tmpfs", folder]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder)):
                return True
        except (subprocess.CalledProcessError, FileNotFoundError):
            return False


class Disk(NamedTuple):
    folder: Path
    fill: Callable[[int], None]
    """Leaves room for this number of bytes, or a little more."""
    empty: Callable[[], None]
    reason: str
    """What the operating system says when the room is used up."""


@pytest.fixture(params=["limited", *(["mounted"] if may_mount() else [])])
def disk(request, tmp_path):
    """A folder in which there is little room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "mounted":
        filler = tmp_path / "disk" / "filler"

        def fill(room: int) -> None:
            with filler.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    file.truncate(file.tell() - -(-room // 4096) * 4096)

        with mounted(folder):
            yield Disk(folder, fill, filler.unlink, "No space left on device")
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield Disk(folder, limit, lambda: limit(soft), "File too large")
    limit(soft)


def left(disk: Disk) -> list[str]:
    """The files in the folder, without the one that fills it."""
    return sorted(set(os.listdir(disk.folder)) - {"filler"})


COMMANDS = {
    "explore": ["explore", GRAPH, *LAYER],
    "plot": ["plot", "regions", GRAPH, *LAYER, "--resolution", "299x299"],
}


@pytest.mark.parametrize(
    ("command", "name"),
    [("explore", "page.html"), ("plot", "plot.svg"), ("plot", "plot.png")],
)
@pytest.mark.parametrize("is_old", [True, False], ids=["old file", "no file"])
def test_what_commands_write(disk, command, name, is_old, capsys):
    needed("matplotlib.pyplot")  # It may write a cache when it is imported.
    path = disk.folder / name
    if is_old:
        path.write_bytes(b"old")
    disk.fill(1000)
    assert main([*COMMANDS[command], "-o", os.fspath(path)]) == 1
    disk.empty()
    said = capsys.readouterr().err
    assert said == f"error: cannot write {os.fspath(path)!r}: {disk.reason}.\n"
    assert left(disk) == [name] * is_old
    if is_old:
        assert path.read_bytes() == b"old"


def write_graphs(folder: Path, count: int) -> list[Path]:
    """Graph n has kernel size n + 1."""
    paths = [folder / f"{number}{'n' * 200}.pb" for number in range(count)]
    for number, path in enumerate(paths):
        graph = graph_def(placeholder(), conv("layer", "input", number + 1))
        path.write_bytes(graph.SerializeToString())
    return paths


@pytest.mark.slow
def test_rows_of_many_files(disk, tmp_path):
    """Rows that fit are kept whole, and the next run continues after them."""
    paths = write_graphs(tmp_path, 60)
    results = disk.folder / "rows.csv"
    disk.fill(6000)
    with pytest.raises(rf.ReceptiveFieldError) as caught:
        compute_many(paths, results=results, workers=1)
    disk.empty()
    assert f"cannot write {os.fspath(results)!r}: {disk.reason}." in str(caught.value)
    assert "Rows that were already written are kept." in str(caught.value)
    assert left(disk) == ["rows.csv"]
    kept = results.read_text()
    assert kept.endswith("\n")
    lines = kept.splitlines()
    assert 2 < len(lines) < 60
    assert {line.count(",") for line in lines} == {len(rf.Row._fields) - 1}
    rows = compute_many(paths, results=results, workers=1)
    assert [row.rf_x for row in rows] == list(range(1, 61))
    assert results.read_text().startswith(kept)
    assert left(disk) == ["rows.csv"]


@pytest.mark.slow
def test_a_table_of_many_files(disk, tmp_path):
    """If there is no room for the Parquet file, the rows stay beside it."""
    needed("pyarrow.parquet")
    paths = write_graphs(tmp_path, 3)
    results = disk.folder / "rows.parquet"
    disk.fill(3000)
    with pytest.raises(rf.ReceptiveFieldError) as caught:
        compute_many(paths, results=results, workers=1)
    disk.empty()
    assert f"The new rows are in '{results}.csv'" in str(caught.value)
    assert left(disk) == ["rows.parquet.csv"]
    rows = compute_many(paths, results=results, workers=1)
    assert [row.rf_x for row in rows] == [1, 2, 3]
    assert left(disk) == ["rows.parquet"]


def run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    """Python, without coverage, which would say what it cannot write."""
    environment = {**os.environ, "PYTHONPATH": os.fspath(ROOT)}
    environment = {k: v for k, v in environment.items() if "COVERAGE_PROCESS" not in k}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.slow
def test_the_script_of_the_original_library(disk):
    path = disk.folder / "out.txt"
    path.write_bytes(b"old")
    disk.fill(0)
    done = run(EXAMPLES / "compute_rf.py", "--output_path", path)
    disk.empty()
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write {os.fspath(path)!r}: {disk.reason}.\n"
    assert path.read_bytes() == b"old"
    assert left(disk) == ["out.txt"]


@pytest.mark.slow
def test_standard_output(disk):
    with open(disk.folder / "out.txt", "wb") as out:
        disk.fill(0)
        done = run("-m", "receptive_field.cli", "layers", GRAPH, stdout=out)
        disk.empty()
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write the output: {disk.reason}.\n"


# --- Another user --------------------------------------------------------------------


def by_nobody(*command: object) -> tuple[int, str]:
    """What a command returns and says if an ordinary user gives it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with open(write, "w") as sys.stderr:
            status = main([str(part) for part in command])
        os._exit(status)
    os.close(write)
    with open(read) as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Imports what the ordinary user may not be allowed to read."""
    path = tmp_path_factory.mktemp("pages") / "page.html"
    assert main([*COMMANDS["explore"], "-o", os.fspath(path)]) == 0


@pytest.fixture
def home(imported):
    """A folder of the ordinary user, outside of those that only root may enter."""
    with tempfile.TemporaryDirectory() as name:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)
        os.chmod(name, 0o700)


HEADER = ",".join(rf.Row._fields) + "\n"


@pytest.mark.parametrize("name", ["page.html", "rows.csv", "rows.parquet"])
@pytest.mark.parametrize("is_closed", [True, False], ids=["folder", "file"])
def test_what_an_ordinary_user_may_not_write(home, name, is_closed):
    path = home / name
    if name == "rows.parquet":
        compute_many([GRAPH], results=path)
    else:
        path.write_text(HEADER)
    old = path.read_bytes()
    path.chmod(0o444)
    home.chmod(0o555 if is_closed else 0o755)
    kind = "explore" if name == "page.html" else "many"
    status, said = by_nobody(kind, GRAPH, *LAYER, "-o", path)
    assert status == 1
    assert said.startswith(f"error: cannot write {os.fspath(path)!r}: ")
    assert said.count("\n") == 1
    assert path.read_bytes() == old
    assert os.listdir(home) == [name]


@pytest.mark.parametrize("name", ["page.html", "rows.csv"])
def test_a_folder_in_which_an_ordinary_user_may_not_make_files(home, name):
    home.chmod(0o555)
    kind = "many" if name == "rows.csv" else "explore"
    status, said = by_nobody(kind, GRAPH, *LAYER, "-o", home / name)
    assert status == 1
    assert said.startswith(f"error: cannot write {os.fspath(home / name)!r}: ")
    assert said.count("\n") == 1
    assert os.listdir(home) == []
