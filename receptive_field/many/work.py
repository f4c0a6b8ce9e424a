"""Hands out files to workers and yields their rows as they arrive."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
)
from contextlib import contextmanager
from functools import partial
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import FrameType
from typing import Any, TypeAlias

from receptive_field.errors import ReceptiveFieldError
from receptive_field.many.limits import Limits
from receptive_field.many.rows import (
    CHUNK_SECONDS,
    Query,
    Row,
    analyse,
    described,
)
from receptive_field.printable import printable

_Call: TypeAlias = "Future[tuple[list[Row], float]]"

LARGEST_CHUNK = 64

UNKNOWN_WORKERS = 128
"""The assumed number of workers of an executor that does not state one."""

DIED = (
    "the worker process crashed, ran out of memory or did not react in time while it "
    "analysed this file; analyse the file by itself to find the cause."
)


def arriving_rows(
    paths: Iterable[str],
    question: Query,
    executor: Executor | None,
    workers: int | None,
    limits: Limits,
) -> Generator[Row, None, None]:
    """Yields the rows in the order in which they are ready.

    A failed call may contain several files, and a worker that crashes also ends the
    calls of other workers. So all files of failed calls are tried again one by one,
    while nothing else runs. A file that fails again is to blame.
    """
    todo, suspects = deque(paths), deque[str]()
    waiting: dict[_Call, list[str]] = {}
    arrivals = _Arrivals()
    size = 1
    pool = _Pool(executor, workers, len(todo))
    most = 2 * pool.workers  # No worker has to wait for its next call.

    def submit(chunk: list[str]) -> None:
        allowed = limits._replace(may_end=pool.is_ours)
        work = partial(analyse, question, allowed)
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
                    options = described(question)
                    yield Row(printable(chunk[0]), options, error=printable(reason))
                else:
                    suspects.extend(chunk)
        finally:
            for call in waiting:
                call.cancel()
            pool.close()


class _Pool:
    """The caller's executor, or our own processes if it is missing or broken."""

    def __init__(self, executor: Executor | None, workers: int | None, files: int):
        cores = getattr(os, "process_cpu_count", os.cpu_count)() or 1
        self.processes = min(workers or cores, files)
        self.executor = executor
        self.end: Connection | None = None
        self.is_ours = executor is None
        given = getattr(executor, "_max_workers", UNKNOWN_WORKERS)
        self.workers = self.processes if executor is None else workers or given

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        try:
            return (self.executor or self._started()).submit(work, *arguments)
        except BrokenExecutor:
            self.close()
            self.is_ours = True
            return self._started().submit(work, *arguments)
        except RuntimeError as error:
            raise ReceptiveFieldError(
                f"the executor accepts no more work: {error}. Call compute_many again "
                "with another executor; rows that are in a results file are not "
                "computed again."
            ) from None

    def _started(self) -> Executor:
        """Starts processes and checks that they run.

        Any later crash must then be the fault of a file.
        """
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
                f"no worker process can be started: {error} A script must be a file "
                'and must call compute_many under if __name__ == "__main__":.'
            ) from None
        return pool

    def close(self) -> None:
        """Ends our own processes, even if they are busy."""
        if self.end is not None and self.executor is not None:
            self.end.close()
            self.executor.shutdown(cancel_futures=True)
        self.executor, self.end = None, None


class _Arrivals:
    """A queue of finished calls, in which interrupts wait until they are raised.

    An interrupt can arrive at any line, even while an executor holds a lock. If it were
    raised at such a line, the lock might never be released, and the executor could
    never be shut down. So the interrupt waits in the queue and is raised in `next`. A
    second interrupt does not wait.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._interrupt: Callable[[], Any] | None = None

    @contextmanager
    def taking_interrupts(self) -> Iterator[None]:
        """Queues interrupts while the context is open, and then raises them.

        Does nothing outside the main thread, or if the interrupt handler is not a
        function.
        """
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
        """Waits for a finished call and returns it, or raises a queued interrupt."""
        while (call := self._queue.get()) is None:
            self._raise_interrupt()
        return call

    def _raise_interrupt(self) -> None:
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            interrupt()


def _start_worker(parent: Connection) -> None:
    """Ends this process silently on an interrupt, or when its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent: Connection) -> None:
    parent.poll(None)  # Nothing is ever sent: returns when the parent ends.
    os._exit(1)
