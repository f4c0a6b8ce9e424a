"""Many files at once: every one of them has a row, whatever happens to the others."""

import csv
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import pytest
from graphs import add, constant, conv, graph_def, node, placeholder
from needed import needed, needs

import receptive_field as rf
from receptive_field.cli import main
from receptive_field.many import Row, compute_many
from receptive_field.many import results as saved
from receptive_field.many import rows as worker
from receptive_field.many import work as handing_out
from receptive_field.many.limits import Limits, Watch
from receptive_field.progress import told_to

KILLER = "killer.pb"


def write(path, *nodes):
    path.write_bytes(graph_def(*nodes).SerializeToString(deterministic=True))
    return path


def write_graphs(folder, count):
    """Graph n has kernel size n + 1."""
    return [
        write(folder / f"{n}.pb", placeholder(), conv("layer", "input", n + 1))
        for n in range(count)
    ]


def write_killer(folder):
    return write(folder / KILLER, placeholder(), conv("layer", "input"))


def sizes(rows):
    return [row.rf_x for row in rows]


def lines(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def die_of_the_killer():
    """Makes a worker process die, for real, of one file."""
    honest = worker.compute_receptive_field

    def compute(path, **options):
        if path.endswith(KILLER):
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(path, **options)

    worker.compute_receptive_field = compute


def start_deadly_worker(*_):
    die_of_the_killer()


class Recorder(Executor):
    """Runs at once; keeps how many files each call is about."""

    def __init__(self, fail=lambda paths: None):
        self.chunks, self.fail = [], fail

    def submit(self, work, /, *arguments):
        self.chunks.append(len(arguments[0]))
        future = Future()
        error = self.fail(arguments[0])
        if error is None:
            future.set_result(work(*arguments))
        else:
            future.set_exception(error)
        return future


# Answers.


def test_a_pool_of_processes_by_default(tmp_path):
    paths = write_graphs(tmp_path, 20)
    rows = compute_many(paths, workers=2)
    assert sizes(rows) == list(range(1, 21))
    assert [row.model for row in rows] == list(map(str, paths))
    assert rows[2] == Row(
        str(paths[2]),
        **{"input": "input", "output": "layer", "aligned": True, "exact": True},
        **{"rf_x": 3, "rf_y": 3, "stride_x": 1, "stride_y": 1},
        **{"padding_x": 0, "padding_y": 0},
    )


@pytest.mark.parametrize("count", [0, 1, 7])
def test_an_executor_of_the_caller_stays_open(tmp_path, count):
    paths = write_graphs(tmp_path, count)
    with ThreadPoolExecutor(2) as executor:
        rows = compute_many(iter(paths), executor=executor)
        assert executor.submit(int, "3").result() == 3
    assert sizes(rows) == list(range(1, count + 1))


def test_the_options_hold_for_all(tmp_path):
    nodes = placeholder(), conv("a", "input"), conv("b", "a", 5, 2, "SAME")
    path = write(tmp_path / "graph.pb", *nodes)
    with ThreadPoolExecutor(1) as executor:

        def ask(**options):
            return compute_many([path], executor=executor, **options)[0]

        assert ask().padding_x is None  # It depends on the size.
        assert ask(input_resolution=[8, 9]).padding_x == 2
        assert ask(input_resolution=[8, 9]).options == "input_resolution=[8, 9]"
        assert ask(output="a").output == "a"
        assert ask(global_context="exclude").options == "global_context='exclude'"


def test_a_row_holds_no_more_than_three_axes(tmp_path):
    image = placeholder(sizes=(1, 5, 5, 5, 5, 1))
    path = write(tmp_path / "graph.pb", image, node("same", "Relu", ["input"]))
    (row,) = compute_many([path], executor=Recorder())
    assert "at most three axes, but the input has 4" in row.error
    assert row.rf_x is None


def test_results_that_cannot_be_read(tmp_path):
    """Reading fails for other reasons, too; a folder is what any user can make."""
    with pytest.raises(rf.ReceptiveFieldError, match=r"cannot read .*: Is a directory"):
        saved.read_rows(str(tmp_path), None)


def test_a_file_given_twice_has_two_rows_and_is_read_once(tmp_path):
    (path,) = write_graphs(tmp_path, 1)
    executor = Recorder()
    assert len(compute_many([path, path], executor=executor)) == 2
    assert executor.chunks == [1]


def test_no_more_is_handed_out_than_workers_need(tmp_path):
    paths = write_graphs(tmp_path, 60)
    executor = Recorder()
    assert sizes(compute_many(paths, executor=executor, workers=1))[-1] == 60
    assert executor.chunks[0] == 1
    assert max(executor.chunks) > 1
    assert sum(executor.chunks) == 60


def test_a_worker_hands_over_what_it_has_when_time_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "CHUNK_SECONDS", 1e-9)
    paths = list(map(str, write_graphs(tmp_path, 3)))
    assert sizes(worker.analyse({}, Limits(), paths, "")[0]) == [1]
    with ThreadPoolExecutor(2) as executor:
        assert sizes(compute_many(paths, executor=executor)) == [1, 2, 3]


def test_processes_import_no_tensorflow(tmp_path):
    (path,) = write_graphs(tmp_path, 1)
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        compute_many([path], executor=executor)
        loaded = executor.submit(eval, "list(__import__('sys').modules)").result()
    assert not {"tensorflow", "keras", "pandas", "pyarrow", "rich"} & set(loaded)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": "graph.pb"}, "a list of paths"),
        ({"models": [3]}, "not int"),
        ({"workers": 0}, "at least 1"),
        ({"global_context": "no"}, "'include' or 'exclude'"),
        ({"results": "rows.txt"}, r"\.csv or \.parquet"),
        ({"results": "no such folder/rows.csv"}, "cannot write .*No such"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(rf.ReceptiveFieldError, match=message):
        compute_many(**{"models": [], **options})


def test_what_is_not_installed(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(saved, "import_module", missing)
    with pytest.raises(rf.ReceptiveFieldError, match=r"pip install .*\[many\]"):
        compute_many([], results="rows.parquet")


# Bad files.


def test_bad_files_are_rows_with_an_error(tmp_path):
    good = write_graphs(tmp_path, 2)
    bad = tmp_path / "bad.pb"
    bad.write_bytes(good[1].read_bytes()[:-3])
    nodes = placeholder(), node("x", "Unheard", ["input"]), conv("layer", "x")
    odd = write(tmp_path / "odd.pb", *nodes)
    models = [good[0], bad, tmp_path / "none.pb", odd, "nul\0.pb", tmp_path, good[1]]
    results = tmp_path / "rows.csv"
    rows = compute_many(models, workers=2, results=results)
    told = [row.error and row.error.split(":")[0] for row in rows]
    assert told[0] is told[-1] is None
    assert "is not a GraphDef" in rows[1].error
    assert "No such file" in rows[2].error
    assert "Unheard" in rows[3].error
    assert "no file can have the name" in rows[4].error
    assert "contains no SavedModel" in rows[5].error
    assert {line["error"] or None for line in lines(results)} == {
        row.error for row in rows
    }


@pytest.mark.parametrize("change", ["vanishes", "grows"])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, change):
    paths = write_graphs(tmp_path, 3)
    honest = worker.compute_receptive_field

    def compute(path, **options):
        field = honest(path, **options)
        if path == str(paths[1]):
            if change == "vanishes":
                os.remove(path)
            else:
                Path(path).write_bytes(Path(path).read_bytes() * 2)
        return field

    monkeypatch.setattr(worker, "compute_receptive_field", compute)
    with ThreadPoolExecutor(2) as executor:
        rows = compute_many(paths, executor=executor)
    assert sizes(rows) == [1, None, 3]
    assert "changed while it was being read" in rows[1].error


def test_an_error_that_nobody_thought_of_is_that_of_one_file(tmp_path, monkeypatch):
    paths = write_graphs(tmp_path, 30)
    honest = worker.compute_receptive_field

    def compute(path, **options):
        if path == str(paths[20]):
            raise RecursionError("too deep\nfor us")
        return honest(path, **options)

    monkeypatch.setattr(worker, "compute_receptive_field", compute)
    with ThreadPoolExecutor(2) as executor:
        rows = compute_many(paths, executor=executor)
    assert [row.model for row in rows if row.error] == [str(paths[20])]
    assert rows[20].error == r"RecursionError: too deep\nfor us"


def test_a_worker_that_dies_takes_nobody_with_it(tmp_path):
    paths = write_graphs(tmp_path, 12)
    paths.insert(5, write_killer(tmp_path))
    results = tmp_path / "rows.csv"
    context = get_context("spawn")
    with ProcessPoolExecutor(2, context, start_deadly_worker) as executor:
        rows = compute_many(paths, executor=executor, workers=2, results=results)
    # The pool of the caller is broken; what is left is done by one of our own, where
    # nothing kills.
    assert sizes(rows) == [1, 2, 3, 4, 5, 3, *range(6, 13)]
    assert len(lines(results)) == 13


def test_a_killer_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(handing_out, "_start_worker", start_deadly_worker)
    paths = write_graphs(tmp_path, 12)
    paths.insert(5, write_killer(tmp_path))
    rows = compute_many(paths, workers=2)
    assert sizes(rows) == [1, 2, 3, 4, 5, None, *range(6, 13)]
    assert [row.model for row in rows if row.error] == [str(tmp_path / KILLER)]
    assert "ran out of memory" in rows[5].error


def test_workers_that_cannot_start(tmp_path):
    (path,) = write_graphs(tmp_path, 1)
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from receptive_field.many import compute_many\n"
        f"compute_many([{str(path)!r}], workers=1)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ReceptiveFieldError: no worker process can be started" in done.stderr
    assert "__main__" in done.stderr.splitlines()[-1]


def test_an_executor_that_takes_no_work(tmp_path):
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(rf.ReceptiveFieldError, match="accepts no more work"):
        compute_many(write_graphs(tmp_path, 1), executor=executor)


# Results.


def test_csv_is_written_row_by_row(tmp_path):
    paths, results = write_graphs(tmp_path, 5), tmp_path / "rows.csv"
    there = []

    def look(_):
        there.append(len(lines(results)))

    with ThreadPoolExecutor(1) as executor:
        compute_many(paths[:2], executor=executor, results=results)
        compute_many(paths, executor=Recorder(look), results=results, workers=1)
    assert there[0] == 2  # While the third is under way, two are there.
    assert [line["rf_x"] for line in lines(results)] == ["1", "2", "3", "4", "5"]


PARQUET = pytest.param(".parquet", marks=needs("pyarrow"))
BOTH = pytest.mark.parametrize("suffix", [".csv", PARQUET])


def everything(folder):
    """Graphs with whole, fractional, infinite, unknown and no numbers at all."""
    doubled = constant("size", [16, 16]), "ResizeNearestNeighbor", ["input", "size"]
    mean = node("mean", "Mean", ["input", "axes"], keep_dims="b: true")
    return [
        *write_graphs(folder, 1),
        write(
            folder / "half.pb",
            placeholder(sizes=(1, 8, 8, 1)),
            doubled[0] + node("up", *doubled[1:]),
        ),
        write(
            folder / "all.pb",
            placeholder(),
            constant("axes", [1, 2]),
            mean + node("scaled", "Mul", ["input", "mean"]),
        ),
        write(folder / "same.pb", placeholder(), conv("layer", "input", 3, 2, "SAME")),
        folder / 'none, "of" these\n\udcff é.pb',
    ]


@BOTH
def test_rows_are_read_back_as_they_were(tmp_path, suffix):
    models, results = everything(tmp_path), tmp_path / f"rows{suffix}"
    with ThreadPoolExecutor(2) as executor:
        first = compute_many(models, executor=executor, results=results)
    again = Recorder()
    assert compute_many(models, executor=again, results=results) == first
    assert sum(again.chunks) == 1  # What had an error is tried again.
    assert [row.stride_x for row in first] == [1, 0.5, None, 2, None]
    assert sizes(first)[2] == float("inf")
    assert [row.padding_x is None for row in first][3:] == [True, True]
    assert [type(value) for value in first[0][4:6]] == [int, int]


def test_parquet_and_csv_hold_the_same_for_pandas(tmp_path):
    pandas, _ = needed("pandas"), needed("pyarrow")
    tables = []
    for name, read in (("a.csv", pandas.read_csv), ("a.parquet", pandas.read_parquet)):
        with ThreadPoolExecutor(2) as executor:
            compute_many(
                everything(tmp_path), executor=executor, results=tmp_path / name
            )
        table = read(tmp_path / name).set_index("model").sort_index()
        tables.append(table.filter(regex="^(rf|stride|padding)_").astype(float))
    assert tables[0].shape == (5, 9)
    pandas.testing.assert_frame_equal(*tables)
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob("*.parquet.csv"))


@BOTH
def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, suffix):
    paths, results = write_graphs(tmp_path, 9), tmp_path / f"rows{suffix}"

    def interrupt(chunk):
        if str(paths[4]) in chunk:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_many(paths, executor=Recorder(interrupt), workers=1, results=results)
    done = saved.read_rows(
        str(results), saved._pyarrow() if suffix == ".parquet" else None
    )
    assert 0 < len(done) < 5
    rest = Recorder()
    rows = compute_many(paths, executor=rest, results=results)
    assert sizes(rows) == list(range(1, 10))
    assert sum(rest.chunks) == 9 - len(done)


@BOTH
def test_other_options_have_rows_of_their_own(tmp_path, suffix):
    paths, results = write_graphs(tmp_path, 2), tmp_path / f"rows{suffix}"
    for resolution in (None, [8, 8], None):
        executor = Recorder()
        options = {"input_resolution": resolution, "results": results}
        compute_many(paths, executor=executor, **options)
    assert executor.chunks == []
    with pytest.raises(rf.ReceptiveFieldError, match="exists"):
        compute_many(paths, results=results, resume=False)


def test_half_a_row_is_done_again(tmp_path):
    paths, results = write_graphs(tmp_path, 3), tmp_path / "rows.csv"
    compute_many(paths, executor=Recorder(), results=results)
    whole = results.read_bytes()
    for cut in (1, 5, 30, len(whole.splitlines()[-1]), len(whole) - 7, len(whole)):
        results.write_bytes(whole[:-cut])
        assert sizes(compute_many(paths, executor=Recorder(), results=results)) == [
            *(1, 2, 3)
        ]
        assert sorted(results.read_bytes().splitlines()) == sorted(whole.splitlines())


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"one line", b"\xff\n", b"\0"])
@BOTH
def test_files_of_others_are_left_alone(tmp_path, content, suffix):
    results = tmp_path / f"rows{suffix}"
    results.write_bytes(content)
    with pytest.raises(rf.ReceptiveFieldError, match="does not contain rows"):
        compute_many([], results=results)
    assert results.read_bytes() == content


def test_rows_with_missing_cells_are_not_ours(tmp_path):
    results = tmp_path / "rows.csv"
    compute_many(write_graphs(tmp_path, 1), executor=Recorder(), results=results)
    results.write_bytes(results.read_bytes() + b"graph.pb,1\n")
    with pytest.raises(rf.ReceptiveFieldError, match="does not contain rows"):
        compute_many([], results=results)


def test_a_disk_that_is_full_from_the_start(tmp_path):
    results = tmp_path / "rows.csv"
    results.symlink_to("/dev/full")
    with pytest.raises(rf.ReceptiveFieldError, match=r"rows\.csv.*No space left"):
        compute_many(write_graphs(tmp_path, 1), results=results)


@pytest.mark.parametrize(
    ("suffix", "limit"),
    [(".csv", 1000), pytest.param(".parquet", 4000, marks=needs("pyarrow"))],
)
def test_a_disk_that_fills_up_loses_nothing(tmp_path, suffix, limit):
    paths, results = write_graphs(tmp_path, 15), tmp_path / f"rows{suffix}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(rf.ReceptiveFieldError, match=r"rows.*File too large"):
            compute_many(paths, executor=Recorder(), results=results)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log = results if suffix == ".csv" else tmp_path / "rows.parquet.csv"
    assert log.read_bytes().endswith(b"\n")
    kept = len(lines(log))
    assert kept == 15 if suffix == ".parquet" else 0 < kept < 15
    rest = Recorder()
    rows = compute_many(paths, executor=rest, results=results)
    assert sizes(rows) == list(range(1, 16))
    assert sum(rest.chunks) == 15 - kept


# As a command.


SCRIPT = """
import signal, sys
from receptive_field.cli import main
if __name__ == "__main__":
    # In the background of a script an interrupt is ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(60)  # Ends this process even if nobody is left to do so.
    sys.exit(main(["many", *sys.argv[2:], "-o", sys.argv[1], "--workers", "2"]))
"""


@pytest.fixture
def start():
    """Starts a process and a group of its own, of which nothing outlives the test."""
    runs = []

    def started(*command):
        options = {"stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        runs.append(subprocess.Popen(command, **options))
        return runs[-1]

    yield started
    for run in runs:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        run.stderr.close()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("group", [True, False], ids=["all", "parent"])
def test_a_run_that_is_ended_from_outside(tmp_path, start, end, group):
    paths = write_graphs(tmp_path, 20)
    os.mkfifo(tmp_path / "endless.pb")  # Who reads it waits for ever.
    script, results = tmp_path / "script.py", tmp_path / "rows.csv"
    script.write_text(SCRIPT)
    run = start(sys.executable, script, results, *paths, tmp_path / "endless.pb")
    while not results.exists() or results.read_bytes().count(b"\n") < 4:
        assert run.poll() is None
        time.sleep(0.01)
    (os.killpg if group else os.kill)(run.pid, end)
    _, told = run.communicate(timeout=30)  # Returns when no process is left.
    if end == signal.SIGINT:
        assert run.returncode == 130
        assert told.endswith(
            "interrupted; all rows that were finished have been written.\n"
        )
    done = len(saved.read_rows(str(results), None))
    assert 3 <= done <= 20
    rest = Recorder()
    assert sizes(compute_many(paths, executor=rest, results=results)) == [*range(1, 21)]
    assert sum(rest.chunks) == 20 - done


@pytest.fixture
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_an_interrupt_waits_until_the_executor_is_done(tmp_path, interruptible):
    class Interrupted(Recorder):
        inside = False

        def submit(self, *arguments):
            self.inside = True  # As an executor that has taken a lock.
            if not self.chunks:
                signal.raise_signal(signal.SIGINT)
            self.inside = False
            return super().submit(*arguments)

    executor = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        compute_many(write_graphs(tmp_path, 2), executor=executor, workers=1)
    assert not executor.inside
    assert sum(executor.chunks) < 3


def test_an_interrupt_while_the_last_row_arrives(tmp_path, interruptible):
    class Call(Future):
        def result(self, timeout=None):
            signal.raise_signal(signal.SIGINT)
            return super().result(timeout)

    class Interrupted(Executor):
        def submit(self, work, /, *arguments):
            call = Call()
            call.set_result(work(*arguments))
            return call

    paths, results = write_graphs(tmp_path, 1), tmp_path / "rows.csv"
    with pytest.raises(KeyboardInterrupt):
        compute_many(paths, executor=Interrupted(), results=results)
    assert len(lines(results)) == 1


def test_the_command_tells_what_failed(tmp_path, capsys):
    paths, results = write_graphs(tmp_path, 2), tmp_path / "rows.csv"
    asked = ["--workers", "1", "-o"]
    assert main(["many", str(paths[0]), *asked, str(results)]) == 0
    assert capsys.readouterr().err == "1 file, 0 with an error.\n"
    assert main(["many", *map(str, paths), "no.pb", *asked, str(results)]) == 1
    told = capsys.readouterr().err
    assert "error: no.pb: cannot read" in told
    assert told.endswith("3 files, 1 with an error.\n")
    assert main(["many", *map(str, paths), *asked, "rows.txt"]) == 1
    assert "-o 'rows.txt'" in capsys.readouterr().err
    two = graph_def(placeholder("a"), placeholder("b"), add("c", "a", "b"))
    (tmp_path / "two.pb").write_bytes(two.SerializeToString())
    assert main(["many", str(tmp_path / "two.pb"), *asked, str(results)]) == 1
    assert "Choose one with --input." in capsys.readouterr().err


def test_progress_is_told(tmp_path):
    told = []
    with told_to(lambda what, share: told.append((what, share))):
        compute_many(write_graphs(tmp_path, 4), executor=Recorder())
    shares = [share for what, share in told if what == "analysing files"]
    assert shares == [1 / 4, 2 / 4, 3 / 4, 1]


# Limits, and one run at a time.

HANGS, GROWS = "hangs.pb", "grows.pb"


def misbehave():
    """Makes two files take all the time, and all the memory, that they can get."""
    honest = worker.compute_receptive_field

    def compute(path, **options):
        name, kept = os.path.basename(path), []
        while name == HANGS or (name == GROWS and len(kept) < 1000):
            kept.append(b"x" * (10_000_000 if name == GROWS else 1))
            del kept[: -1 if name == HANGS else 0]
        return honest(path, **options)

    worker.compute_receptive_field = compute


def start_misbehaving_worker(*_):
    misbehave()


def hold_limits(rows):
    assert sizes(rows) == [1, None, None, 2]
    assert "takes more than 2 seconds" in rows[1].error
    assert "takes more memory than 200 MB" in rows[2].error


def write_misbehaving(folder):
    good = write_graphs(folder, 2)
    bad = [
        write(folder / name, placeholder(), conv("layer", "input"))
        for name in (HANGS, GROWS)
    ]
    return [good[0], *bad, good[1]]


@pytest.mark.parametrize("kind", ["processes", "a thread"])
def test_limits_are_those_of_each_file(tmp_path, monkeypatch, kind):
    paths = write_misbehaving(tmp_path)
    if kind == "a thread":
        monkeypatch.setattr(
            worker, "compute_receptive_field", worker.compute_receptive_field
        )
        misbehave()
        executor = ThreadPoolExecutor(1)
    else:
        executor = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=start_misbehaving_worker
        )
    with executor:
        hold_limits(compute_many(paths, executor=executor, timeout=2, memory=200))


HOLDS = """
import ctypes
from receptive_field.many import limits
limits.GRACE_SECONDS = 0.5
with limits.Watch(limits.Limits(0.2, None, True)) as watch, watch.limited():
    ctypes.PyDLL(None).sleep(60)  # No other thread runs meanwhile.
"""


def test_a_process_that_does_not_react_is_ended():
    start = time.monotonic()
    found = subprocess.run([sys.executable, "-c", HOLDS], timeout=50)
    assert found.returncode == 1
    assert time.monotonic() - start < 50


TRACED = """
import sys
from receptive_field.many.limits import Limits, Watch
trace = lambda *_: trace
sys.settrace(trace)
with Watch(Limits(60.0)) as watch:
    with watch.limited():
        pass
    max(map(abs, range(-3, 3)), key=lambda number: -number)
"""


def test_a_traced_process_goes_on_after_its_limits():
    """As coverage and debuggers trace it; Python 3.11 did not end here."""
    subprocess.run([sys.executable, "-c", TRACED], timeout=50, check=True)


def test_real_files_have_limits(tmp_path):
    started = {"workers": 1, "input_resolution": [299, 299]}
    (row,) = compute_many([rf.EXAMPLE_GRAPH], timeout=0.03, **started)
    assert "takes more than 0.03 seconds" in row.error
    (row,) = compute_many([rf.EXAMPLE_GRAPH], **started)
    assert row.rf_x == 3039


@pytest.mark.parametrize("option", ["timeout", "memory"])
def test_limits_that_are_none(option):
    with pytest.raises(rf.ReceptiveFieldError, match=f"{option} must be larger than 0"):
        compute_many([], **{option: 0})


@BOTH
def test_a_second_run_on_the_same_file_stops(tmp_path, suffix):
    paths, results = write_graphs(tmp_path, 2), tmp_path / f"rows{suffix}"
    (tmp_path / "link").symlink_to(tmp_path)

    class Second(Executor):
        """Starts a second run as soon as the first one hands out a file."""

        def submit(self, work, /, *arguments):
            for folder in (tmp_path, tmp_path / "link"):
                with pytest.raises(rf.ReceptiveFieldError, match="another run writes"):
                    compute_many(paths, results=folder / f"rows{suffix}", workers=1)
            return Recorder().submit(work, *arguments)

    rows = compute_many(paths, executor=Second(), results=results)
    assert sizes(rows) == [1, 2]
    assert sizes(compute_many(paths, executor=Recorder(), results=results)) == [1, 2]
    assert f".rows{suffix}.lock" not in os.listdir(tmp_path)


def test_a_lock_that_was_left_behind_is_taken_over(tmp_path):
    (tmp_path / ".rows.csv.lock").touch()
    results = tmp_path / "rows.csv"
    paths = write_graphs(tmp_path, 1)
    assert sizes(compute_many(paths, executor=Recorder(), results=results)) == [1]
    assert sorted(os.listdir(tmp_path)) == ["0.pb", "rows.csv"]


def test_rows_on_standard_output(tmp_path, capfd):
    paths = [os.fspath(path) for path in write_graphs(tmp_path, 3)]
    assert main(["many", *paths, "-o", "-", "--workers", "1"]) == 0
    found = capfd.readouterr().out.splitlines()
    assert [row["rf_x"] for row in csv.DictReader(found)] == ["1", "2", "3"]


# A cluster.


@pytest.fixture(scope="module")
def cluster():
    dask, distributed = needed("dask"), needed("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(**options, processes=True) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
@BOTH
def test_a_dask_cluster(cluster, tmp_path, suffix):
    paths, results = write_graphs(tmp_path, 40), tmp_path / f"rows{suffix}"
    executor = cluster.get_executor()
    compute_many(paths[:9], executor=executor, results=results)
    rows = compute_many([*paths, "no.pb"], executor=executor, results=results)
    assert sizes(rows) == [*range(1, 41), None]
    assert "No such file" in rows[-1].error
    paths[0].write_bytes(paths[1].read_bytes())  # No answer of before is taken.
    assert sizes(compute_many(paths[:1], executor=executor)) == [2]


@pytest.mark.slow
def test_limits_hold_on_a_cluster(cluster, tmp_path):
    class Misbehaving(needed("distributed").WorkerPlugin):
        def setup(self, worker):
            misbehave()

    cluster.register_plugin(Misbehaving())
    paths, executor = write_misbehaving(tmp_path), cluster.get_executor()
    hold_limits(compute_many(paths, executor=executor, timeout=2, memory=200))


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_dies(cluster, tmp_path):
    class Deadly(needed("distributed").WorkerPlugin):
        def setup(self, worker):
            die_of_the_killer()

    cluster.register_plugin(Deadly())
    paths = write_graphs(tmp_path, 12)
    paths.insert(5, write_killer(tmp_path))
    rows = compute_many(paths, executor=cluster.get_executor(), workers=2)
    assert sizes(rows) == [1, 2, 3, 4, 5, None, *range(6, 13)]
    assert "KilledWorker" in rows[5].error


def test_an_interrupt_that_is_lost_is_repeated():
    """Python drops what is raised in a destructor."""
    lost = []

    class Slow:
        def __del__(self):
            try:
                time.sleep(0.5)
                for _ in range(1000):
                    pass
            except BaseException as error:
                lost.append(error)

    def run_on():
        with watch.limited():
            Slow()
            while True:
                pass

    with Watch(Limits(0.1)) as watch:
        for _ in range(2):
            with pytest.raises(rf.ReceptiveFieldError, match=r"more than 0\.1 seconds"):
                run_on()
        with watch.limited():
            pass
        time.sleep(1.5)  # Nothing is interrupted any more.
    assert len(lost) == 2
