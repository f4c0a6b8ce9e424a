"""Many graphs: one row for each file, computed by any executor and saved on arrival.

`_analyse` runs in a worker, `_arriving` hands out the work, and `_Results` saves rows.
"""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
)
from contextlib import closing, contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import FrameType
from typing import Any, NamedTuple, TypeAlias

from receptive_field.api import GlobalContext, compute_receptive_field
from receptive_field.errors import ReceptiveFieldError
from receptive_field.network.layout import Resolution
from receptive_field.questions.question import StopPropagation
from receptive_field.whole_files import replace_file

Path = str | os.PathLike[str]
Question = Mapping[str, Any]
_Call: TypeAlias = "Future[tuple[list[Row], float]]"

CHUNK_SECONDS = 0.25
"""How long a worker collects rows before it sends them, which is much quicker."""
LARGEST_CHUNK = 64
UNKNOWN_WORKERS = 128
"""The assumed number of workers if an executor does not say."""
DIED = (
    "the worker died while it analysed this file, of a crash or out of memory; analyse "
    "it alone to see which."
)
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Row(NamedTuple):
    """The receptive field of the output of one file, or the reason why there is none.

    A missing number is None. A number is infinite if a feature sees a whole axis, and a
    float if it is a fraction.
    """

    model: str
    options: str | None = None
    """The options that differ from the default, as text."""
    input: str | None = None
    output: str | None = None
    rf_x: float | None = None
    rf_y: float | None = None
    rf_z: float | None = None
    stride_x: float | None = None
    stride_y: float | None = None
    stride_z: float | None = None
    padding_x: float | None = None
    padding_y: float | None = None
    padding_z: float | None = None
    aligned: bool | None = None
    exact: bool | None = None
    error: str | None = None


TEXTS = ("model", "options", "input", "output", "error")
FLAGS = ("aligned", "exact")


def compute_many(
    models: Iterable[Path],
    *,
    output: str | None = None,
    input: str | None = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: GlobalContext = "include",
    executor: Executor | None = None,
    workers: int | None = None,
    results: Path | None = None,
    resume: bool = True,
    progress: bool | None = None,
) -> list[Row]:
    """Computes the receptive fields of many files, in parallel or on a cluster.

    If a file cannot be analysed, its row contains the ``error``: it may not be a graph,
    it may have changed while it was read, or its worker may have crashed. The other
    files are not affected.

    In a script, call this under ``if __name__ == "__main__":``, like any function that
    starts processes. Call `register_op` outside that block, so that the processes know
    the rules, too.

    Args:
      models: paths of files or SavedModel folders, as in `compute_receptive_field`.
      output, input, input_resolution, stop_propagation, global_context: as in
        `compute_receptive_field`, the same for all files.
      executor: any executor of ``concurrent.futures``, or Dask's
        ``Client.get_executor()``. Its workers must see the same paths. It stays open.
        None means processes on this machine.
      workers: the number of processes; None means one per core. With an executor, the
        number of workers to keep busy.
      results: a ``.csv`` or ``.parquet`` file. Every row is written as it arrives. For
        Parquet, rows go to a CSV file next to it (``.parquet.csv``) until the end.
      resume: whether to keep rows in ``results`` for the same files and options. Files
        with an error are tried again. If False, ``results`` must not exist.
      progress: whether to show a progress bar on stderr. None shows it on a terminal
        only.

    Returns:
      One row for each file, in the order of ``models``.

    Raises:
      ReceptiveFieldError: if an option is wrong, ``results`` cannot be read or written,
        or no worker can be started. Rows that were written stay, as after an interrupt,
        and the next run continues from there.

    >>> import receptive_field as rf
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     rows = rf.compute_many([rf.EXAMPLE_GRAPH, "no.pb"], executor=executor)
    >>> [(row.rf_x, row.error) for row in rows]
    [(3039, None), (None, "cannot read 'no.pb': No such file or directory.")]
    """
    question = {
        "output": output,
        "input": input,
        "input_resolution": input_resolution,
        "stop_propagation": stop_propagation,
        "global_context": global_context,
    }
    if isinstance(models, (str, bytes, os.PathLike)):
        raise ReceptiveFieldError(f"models is one path, {models!r}; give a list.")
    if workers is not None and workers < 1:
        raise ReceptiveFieldError(f"workers is {workers}; it is 1 or more.")
    if global_context not in ("include", "exclude"):
        raise ReceptiveFieldError(
            f"global_context is {global_context!r}; it is 'include' or 'exclude'."
        )
    paths = [_path(model) for model in models]
    asked = [(_line(path), _described(question)) for path in paths]
    with _Results(results, resume, asked) as kept:
        left = {
            key: path
            for key, path in zip(asked, paths, strict=True)
            if key not in kept.rows
        }
        arriving = _arriving(left.values(), question, executor, workers)
        done = len(set(asked)) - len(left)
        with closing(arriving), _bar(done, len(left), progress) as advance:
            for row in arriving:
                kept.add(row)
                advance(row)
        return [kept.rows[key] for key in asked]


def run_many(models: Iterable[Path], results: Path, **options: Any) -> int:
    """Runs `compute_many` as a command, and prints failures to stderr.

    Args:
      models, results, options: as in `compute_many`.

    Returns:
      The exit status: 0 if all files could be analysed, 1 if not, 130 if interrupted.
    """
    try:
        rows = compute_many(models, results=results, **options)
    except ReceptiveFieldError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the rows so far are written.", file=sys.stderr)
        return 130
    failed = [row for row in rows if row.error]
    for row in failed:
        print(f"error: {row.model}: {row.error}", file=sys.stderr)
    print(f"{len(rows)} files, {len(failed)} with an error.", file=sys.stderr)
    return 1 if failed else 0


def _path(path: Path) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ReceptiveFieldError(
            f"compute_many reads files: it takes paths, no {type(path).__qualname__}. "
            "For a model in memory, call compute_receptive_field."
        ) from None


def _line(text: str) -> str:
    """Returns the text as one line that any file can hold."""
    return UNPRINTABLE.sub(lambda c: c[0].encode("unicode_escape").decode(), text)


def _described(question: Question) -> str | None:
    usual = ("global_context", "include")
    given = [
        f"{k}={v!r}" for k, v in question.items() if v is not None and (k, v) != usual
    ]
    return _line(", ".join(given)) or None


# In a worker.


def _analyse(
    question: Question, paths: list[str], ticket: str
) -> tuple[list[Row], float]:
    """Returns the rows of as many paths as fit in the time, and the time taken.

    The ticket makes each call unique, because Dask does not repeat a known call.
    """
    start, seconds = time.perf_counter(), 0.0
    rows: list[Row] = []
    while len(rows) < len(paths) and seconds < CHUNK_SECONDS:
        rows.append(_row(paths[len(rows)], question))
        seconds = time.perf_counter() - start
    return rows, seconds


def _row(path: str, question: Question) -> Row:
    name, options = _line(path), _described(question)
    before = _stamp(path)
    try:
        field = compute_receptive_field(path, **question)
        if len(field.axes) > 3:
            raise ReceptiveFieldError(
                f"a row holds three axes, there are {len(field.axes)}; analyse this "
                "file with compute_receptive_field."
            )
        if _stamp(path) != before:
            raise ReceptiveFieldError(f"{path!r} changed while it was read; try again.")
    except ReceptiveFieldError as error:
        return Row(name, options, error=_line(str(error)))
    kinds = {"rf": field.size, "stride": field.stride, "padding": field.padding}
    numbers = {
        f"{kind}_{axis}": _number(value)
        for kind, values in kinds.items()
        for axis, value in zip("xyz", values.tolist(), strict=False)
    }
    texts = {"input": _line(field.input), "output": _line(field.output)}
    flags = {"aligned": field.aligned, "exact": field.exact}
    cells: dict[str, Any] = {**texts, **numbers, **flags}
    return Row(name, options, **cells)


def _stamp(path: str) -> tuple[int, int, int] | None:
    """Returns a stamp that changes if the file, or the graph in the folder, changes."""
    for name in (f"{path}/saved_model.pb", f"{path}/saved_model.pbtxt", path):
        with suppress(OSError):
            status = os.stat(name)
            return status.st_mtime_ns, status.st_size, status.st_ino
    return None


def _number(value: Any) -> float | None:
    """Returns an integer if a float could hold it, otherwise a float."""
    whole = isinstance(value, int) and abs(value) <= 2**53
    return value if value is None or whole else float(value)


def _start_worker(parent: Connection) -> None:
    """Ends this process silently on an interrupt, or when its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent: Connection) -> None:
    parent.poll(None)  # Nothing is ever sent, so the other end was closed.
    os._exit(1)


# Handing out the work.


class _Pool:
    """The caller's executor. If there is none, or if it broke, our own processes."""

    def __init__(self, executor: Executor | None, workers: int | None, files: int):
        cores = getattr(os, "process_cpu_count", os.cpu_count)() or 1
        self.processes = min(workers or cores, files)
        self.executor = executor
        self.end: Connection | None = None
        given = getattr(executor, "_max_workers", UNKNOWN_WORKERS)
        self.workers = self.processes if executor is None else workers or given

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        try:
            return (self.executor or self._started()).submit(work, *arguments)
        except BrokenExecutor:
            self.close()
            return self._started().submit(work, *arguments)
        except RuntimeError as error:
            raise ReceptiveFieldError(
                f"the executor takes no more work: {error}. Run again with another "
                "one; rows that are in a results file are not done again."
            ) from None

    def _started(self) -> Executor:
        """Starts processes and checks that they run. Later crashes are the fault of a
        file."""
        listener, self.end = Pipe(duplex=False)
        pool = ProcessPoolExecutor(
            self.processes, get_context("spawn"), _start_worker, (listener,)
        )
        self.executor = pool
        try:
            for future in [pool.submit(os.getpid) for _ in range(self.processes)]:
                future.result()
        except (BrokenExecutor, OSError) as error:
            raise ReceptiveFieldError(
                f"no worker process can be started: {error} A script must be a file, "
                'and call compute_many under if __name__ == "__main__":.'
            ) from None
        return pool

    def close(self) -> None:
        """Ends our own processes, even if they are busy."""
        if self.end is not None and self.executor is not None:
            self.end.close()
            self.executor.shutdown(cancel_futures=True)
        self.executor, self.end = None, None


class _Arrivals:
    """Calls in the order in which they are done, and an interrupt among them.

    An interrupt can come at any line, also between the lines of an executor that take
    a lock and give it back, and nobody could end that executor then. So it waits in the
    same queue until the caller is at a line of its own. A second one does not wait.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._interrupt: Callable[[], Any] | None = None

    @contextmanager
    def taking_interrupts(self) -> Iterator[None]:
        """Takes interrupts, if this is the main thread and it handles them by code."""
        handler = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        if not (main and callable(handler)):
            yield
            return

        def take(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, handler)
            self._interrupt = partial(handler, number, frame)
            self._queue.put(None)

        signal.signal(signal.SIGINT, take)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)
        self._raise_interrupt()

    def expect(self, call: _Call) -> None:
        call.add_done_callback(self._queue.put)

    def next(self) -> _Call:
        """Waits for a call that is done, and is where an interrupt is raised."""
        while (call := self._queue.get()) is None:
            self._raise_interrupt()
        return call

    def _raise_interrupt(self) -> None:
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            interrupt()


def _arriving(
    paths: Iterable[str],
    question: Question,
    executor: Executor | None,
    workers: int | None,
) -> Generator[Row, None, None]:
    """Yields the rows in the order in which they are ready.

    A failed call may concern several files, and a worker that crashes also ends the
    calls of others. So all of these files are tried again one by one, while nothing
    else runs. A file that fails then is to blame.
    """
    todo, suspects = deque(paths), deque[str]()
    waiting: dict[_Call, list[str]] = {}
    arrivals = _Arrivals()
    work, size = partial(_analyse, question), 1
    pool = _Pool(executor, workers, len(todo))
    most = 2 * pool.workers  # No worker has to wait for its next call.

    def submit(chunk: list[str]) -> None:
        call = pool.submit(work, chunk, uuid.uuid4().hex)
        waiting[call] = chunk
        arrivals.expect(call)

    with arrivals.taking_interrupts():
        try:
            while todo or suspects or waiting:
                while todo and not suspects and len(waiting) < most:
                    share = min(size, len(todo) // most + 1)
                    submit([todo.popleft() for _ in range(share)])
                alone = not waiting
                if alone:
                    submit([suspects.popleft()])
                call = arrivals.next()
                chunk = waiting.pop(call)
                error = CancelledError() if call.cancelled() else call.exception()
                if error is None:
                    rows, seconds = call.result()
                    todo.extendleft(reversed(chunk[len(rows) :]))
                    fitting = int(len(rows) * CHUNK_SECONDS / max(seconds, 1e-6))
                    size = max(1, min(fitting, LARGEST_CHUNK))
                    yield from rows
                elif alone:
                    reason = f"{type(error).__name__}: {error}"
                    if isinstance(error, BrokenExecutor):
                        reason = DIED
                    options = _described(question)
                    yield Row(_line(chunk[0]), options, error=_line(reason))
                else:
                    suspects.extend(chunk)
        finally:
            for call in waiting:
                call.cancel()
            pool.close()


@contextmanager
def _bar(done: int, left: int, show: bool | None) -> Iterator[Callable[[Row], None]]:
    """Shows a progress bar. The caller passes each row to the function that it gets."""
    shown = sys.stderr.isatty() if show is None else show
    try:
        rich = import_module("rich.progress") if shown else None
    except ImportError:
        if show:
            raise ReceptiveFieldError(
                'progress=True needs pip install "receptive_field[many]".'
            ) from None
        rich = None
    if rich is None:
        yield lambda row: None
        return
    with rich.Progress(
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[errors]} errors"),
        rich.TimeRemainingColumn(),
        console=import_module("rich.console").Console(stderr=True),
    ) as progress:
        task = progress.add_task("", total=done + left, completed=done, errors=0)
        errors = 0

        def advance(row: Row) -> None:
            nonlocal errors
            errors += row.error is not None
            progress.update(task, advance=1, errors=errors)

        yield advance


# Saving the rows.


class _Results:
    """Rows by file and options. Each row is in a CSV file before the next one is
    accepted.

    For Parquet, the CSV file is next to it until the end, when all rows are converted.
    """

    def __init__(
        self, path: Path | None, resume: bool, asked: list[tuple[str, str | None]]
    ) -> None:
        self.rows: dict[tuple[str, str | None], Row] = {}
        self.path = None if path is None else _path(path)
        if self.path is None:
            return
        suffix = os.path.splitext(self.path)[1].lower()
        if suffix not in (".csv", ".parquet"):
            raise ReceptiveFieldError(
                f"results is {self.path!r}; its name must end with .csv or .parquet."
            )
        self.pyarrow = _pyarrow() if suffix == ".parquet" else None
        self.log = f"{self.path}.csv" if self.pyarrow else self.path
        there = [name for name in (self.path, self.log) if os.path.exists(name)]
        if there and not resume:
            raise ReceptiveFieldError(
                f"{there[0]!r} exists; move it, or go on from it with resume=True."
            )
        files = [name for name in dict.fromkeys(there) if os.path.isfile(name)]
        for name in files:
            rows = _read(name, None if name == self.log else self.pyarrow)
            self.rows |= {row[:2]: row for row in rows}
        for key in asked:
            if key in self.rows and self.rows[key].error is not None:
                del self.rows[key]
        with _writing(self.log):
            if self.log in files:  # Drops an incomplete row, and rows to redo.
                replace_file(self.log, _csv(Row._fields, *self.rows.values()))
            self.file = open(self.log, "ab", buffering=0)  # noqa: SIM115
            if self.log not in files:
                self._write(_csv(Row._fields))

    def __enter__(self) -> _Results:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: Any) -> None:
        if self.path is None:
            return
        self.file.close()
        if self.pyarrow and not isinstance(error, ReceptiveFieldError):
            with _writing(self.path, f" The new rows are in {self.log!r}."):
                replace_file(self.path, _parquet(self.pyarrow, self.rows.values()))
                os.remove(self.log)

    def add(self, row: Row) -> None:
        """Saves a row that has arrived."""
        if self.path is not None:
            with _writing(self.log):
                self._write(_csv(row))
        self.rows[row[:2]] = row

    def _write(self, line: bytes) -> None:
        """Writes a whole line, or nothing."""
        end = self.file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self.file.write(line) :]
        finally:
            if line:
                with suppress(OSError):
                    self.file.truncate(end)


@contextmanager
def _writing(path: str, kept: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReceptiveFieldError(
            f"cannot write {path!r}: {error.strerror or error}.{kept} What was written "
            "stays; once this is mended, the same call goes on from there."
        ) from None


def _csv(*rows: Iterable[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _read(path: str, pyarrow: Any) -> list[Row]:
    """Returns the rows of a file. The last row of a CSV file may be incomplete."""
    try:
        if pyarrow is not None:
            table = pyarrow.parquet.ParquetFile(path).read()
            header = table.column_names
            lines = [list(record.values()) for record in table.to_pylist()]
        else:
            with open(path, "rb") as file:
                content = file.read()
            if _csv(Row._fields).startswith(content):
                return []
            whole = content[: content.rfind(b"\n") + 1].decode()
            header, *lines = csv.reader(io.StringIO(whole, newline=""))
        if header != list(Row._fields):
            raise ValueError("the columns are others.")
        return [
            Row(*(_value(*cell) for cell in zip(Row._fields, line, strict=True)))
            for line in lines
        ]
    except OSError as error:
        reason = error.strerror or error
        raise ReceptiveFieldError(f"cannot read {path!r}: {reason}.") from None
    except (ValueError, csv.Error) as error:
        raise ReceptiveFieldError(
            f"{path!r} does not hold rows of compute_many: {error} Give another path."
        ) from None


def _value(column: str, cell: Any) -> Any:
    """Returns the value of a cell, whether it is text or not."""
    if cell is None or cell == "":
        return None
    if column in TEXTS:
        return cell
    if column in FLAGS:
        return str(cell) == "True"
    number = float(cell)
    return int(number) if number.is_integer() else number


def _parquet(pyarrow: Any, rows: Iterable[Row]) -> bytes:
    kinds = dict.fromkeys(TEXTS, pyarrow.string())
    kinds |= dict.fromkeys(FLAGS, pyarrow.bool_())
    number = pyarrow.float64()
    schema = pyarrow.schema([(c, kinds.get(c, number)) for c in Row._fields])
    table = pyarrow.Table.from_pylist([row._asdict() for row in rows], schema)
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    return content.getvalue()


def _pyarrow() -> Any:
    try:
        import_module("pyarrow.parquet")
    except ImportError:
        raise ReceptiveFieldError(
            'Parquet needs pip install "receptive_field[many]"; or give a .csv path.'
        ) from None
    return import_module("pyarrow")
