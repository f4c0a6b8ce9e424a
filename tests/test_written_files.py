"""Files that are written: whole or not at all, and what may not be replaced is not."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.whole_files import check_writable, replace_file, write_whole

ROOT = Path(__file__).parent.parent
NOBODY = 65534

USERS = ["as this user", *(["as another user"] if os.getuid() == 0 else [])]


@pytest.fixture(params=USERS)
def folder(request):
    """A folder of the user who runs the test, or of another one.

    It is outside of the folders of the run, which only this user may enter.
    """
    with tempfile.TemporaryDirectory() as name:
        if request.param == "as another user":
            os.chown(name, NOBODY, NOBODY)
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
        yield Path(name)
        os.seteuid(os.getuid())
        os.setegid(os.getgid())


def test_a_file_keeps_its_mode(folder):
    path = folder / "page.html"
    before = os.umask(0o027)
    try:
        replace_file(path, b"one")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)
    path.chmod(0o604)
    replace_file(path, b"two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert path.read_bytes() == b"two"
    assert os.listdir(folder) == ["page.html"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can write for others")
def test_a_file_keeps_its_owner(tmp_path):
    path = tmp_path / "page.html"
    path.touch()
    os.chown(path, NOBODY, NOBODY - 1)
    path.chmod(0o640)
    replace_file(path, b"page")
    found = path.stat()
    assert (found.st_uid, found.st_gid) == (NOBODY, NOBODY - 1)
    assert stat.S_IMODE(found.st_mode) == 0o640


def test_a_file_that_may_not_be_written(folder):
    path = folder / "page.html"
    path.write_bytes(b"old")
    path.chmod(0o444)
    if os.geteuid() == 0:  # For root, there is no such file.
        check_writable(path)
        return
    with pytest.raises(rf.ReceptiveFieldError, match="no permission to write to this"):
        check_writable(path)


def test_links_are_followed(folder):
    (folder / "there").mkdir()
    page = folder / "there/page.html"
    page.write_bytes(b"old")
    (folder / "link").symlink_to(page)
    (folder / "dangling").symlink_to(folder / "there/new.html")
    replace_file(folder / "link", b"new")
    replace_file(folder / "dangling", b"first")
    assert (folder / "link").is_symlink()
    assert page.read_bytes() == b"new"
    assert (folder / "there/new.html").read_bytes() == b"first"


def test_no_file_beside_it_is_touched(folder, monkeypatch):
    """Not even one that somebody puts where the new content is written first."""
    victim = folder / "victim"
    victim.write_bytes(b"kept")
    monkeypatch.setattr("os.urandom", lambda count: b"known")
    (folder / f"page.html.{b'known'.hex()}.tmp").symlink_to(victim)
    with pytest.raises(FileExistsError):
        replace_file(folder / "page.html", b"page")
    assert victim.read_bytes() == b"kept"


@pytest.fixture
def device():
    """A device that nothing else needs: a terminal, and what was written to it."""
    master, slave = os.openpty()
    yield os.ttyname(slave), lambda: os.read(master, 1 << 16)
    os.close(master)
    os.close(slave)


def test_devices_are_written_to(device):
    path, written = device
    replace_file(path, b"page")
    assert stat.S_ISCHR(os.stat(path).st_mode)
    assert written() == b"page"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make devices")
def test_a_device_that_is_full(tmp_path):
    path = tmp_path / "full"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 7))
    with pytest.raises(rf.ReceptiveFieldError, match="No space left on device"):
        write_whole(path, b"page")
    assert stat.S_ISCHR(path.stat().st_mode)


def test_pipes_are_written_to(folder):
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    replace_file(pipe, b"page")
    reader.join()
    assert found == [b"page"]
    assert pipe.is_fifo()


PRINTS = """
import sys
from receptive_field.whole_files import write_whole
print("first")
write_whole(sys.argv[1], b"page\\n")
print("last")
"""


@pytest.mark.parametrize("path", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("to_file", [False, True])
def test_standard_output_is_written_to(tmp_path, path, to_file):
    command = [sys.executable, "-c", PRINTS, path]
    if to_file:
        with open(tmp_path / "out", "w") as file:
            subprocess.run(command, stdout=file, check=True)
        assert (tmp_path / "out").read_text() == "first\npage\nlast\n"
    else:
        found = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        assert found.stdout == "first\npage\nlast\n"


def test_a_model_is_not_overwritten_by_its_page(tmp_path):
    model = tmp_path / "model.pbtxt"
    model.write_text("")
    os.link(model, tmp_path / "same")
    (tmp_path / "link").symlink_to(model)
    for name in ("model.pbtxt", "same", "link"):
        with pytest.raises(rf.ReceptiveFieldError, match="the model is read from this"):
            rf.explore(model, tmp_path / name)
    assert model.read_text() == ""


def test_commands_write_to_standard_output(capfdbinary):
    graph = os.fspath(rf.EXAMPLE_GRAPH)
    output = ["--output", "InceptionResnetV2/Conv2d_1a_3x3/Relu"]
    assert main(["explore", graph, *output, "-o", "-"]) == 0
    page = capfdbinary.readouterr().out
    assert page.startswith(b"<!doctype html>")
    assert page.endswith(b"</html>\n")
    size = ["--resolution", "299x299"]
    assert main(["plot", "regions", graph, *output, *size, "-o", "-"]) == 0
    assert capfdbinary.readouterr().out.rstrip().endswith(b"</svg>")


def test_writers_at_the_same_time(folder):
    path = folder / "page.html"
    contents = [bytes([number]) * 50_000 for number in range(8)]
    failed = []

    def write(content):
        try:
            for _ in range(25):
                replace_file(path, content)
                assert path.read_bytes() in contents
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=[content]) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failed
    assert path.read_bytes() in contents
    assert os.listdir(folder) == ["page.html"]


KILLS = """
import os, signal, sys, threading
from receptive_field.whole_files import replace_file

path, group, user = sys.argv[1], *map(int, sys.argv[2:])
os.setegid(group)
os.seteuid(user)
contents = [bytes([number]) * 300_000 for number in range(2)]
replace_file(path, contents[0])
for number in range(200):
    child = os.fork()
    if not child:
        while True:
            for content in contents:
                replace_file(path, content)
    threading.Event().wait(number * 37 % 50 / 5000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(path, "rb") as file:
        assert file.read() in contents
"""


def test_an_interrupted_write_leaves_the_old_file(folder):
    """Processes that write again and again are killed, 200 times, at random moments.

    A small process forks them: to copy this one takes longer than what they do.
    """
    user = {"user": os.getuid(), "group": os.getgid()}  # Who may read the package.
    asked = map(str, (folder / "page.html", os.getegid(), os.geteuid()))
    subprocess.run([sys.executable, "-c", KILLS, *asked], check=True, **user)
    assert any(name.endswith(".tmp") for name in os.listdir(folder))


def test_a_limit_on_file_sizes_leaves_the_old_file(folder):
    path = folder / "page.html"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(rf.ReceptiveFieldError, match="File too large"):
            write_whole(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    assert os.listdir(folder) == ["page.html"]


def test_the_example_writes_as_the_commands_do(tmp_path, device):
    script = ROOT / "python/util/examples/compute_rf.py"
    for path in (device[0], tmp_path / "out.txt"):
        command = [sys.executable, script, "--output_path", path]
        found = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    assert stat.S_ISCHR(os.stat(device[0]).st_mode)
    assert device[1]().replace(b"\r", b"") == found.stdout
    assert (tmp_path / "out.txt").read_bytes() == found.stdout
