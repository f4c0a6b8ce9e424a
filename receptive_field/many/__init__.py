"""Analyses many files. Any executor can compute the rows, which are saved on arrival.

`rows` runs in a worker, `work` hands out the files, and `results` saves the rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import Executor
from contextlib import closing

from receptive_field.api import GlobalContext
from receptive_field.budget import allowed
from receptive_field.errors import ReceptiveFieldError
from receptive_field.many.limits import Limits
from receptive_field.many.results import Results
from receptive_field.many.rows import Row, described
from receptive_field.many.work import arriving_rows
from receptive_field.network.layout import Resolution
from receptive_field.printable import printable
from receptive_field.progress import tell
from receptive_field.questions.question import StopPropagation

FilePath = str | os.PathLike[str]

__all__ = ["Row", "compute_many"]


def compute_many(
    models: Iterable[FilePath],
    *,
    output: str | None = None,
    input: str | None = None,
    input_resolution: Resolution = None,
    stop_propagation: StopPropagation = None,
    global_context: GlobalContext = "include",
    executor: Executor | None = None,
    workers: int | None = None,
    results: FilePath | None = None,
    resume: bool = True,
    timeout: float | None = 600,
    memory: float | None = 4096,
) -> list[Row]:
    """Computes the receptive fields of many files, in parallel or on a cluster.

    If a file cannot be analysed, its row contains the ``error``: the file may not be a
    graph, it may have changed while it was read, it may take too long or too much
    memory, or its worker may have crashed. The other files are not affected.

    In a script, call this under ``if __name__ == "__main__":``, like any function that
    starts processes. Call `register_op` outside that block, so that the worker
    processes register the rules, too.

    Args:
      models: paths of files or SavedModel folders, as in `compute_receptive_field`.
      output, input, input_resolution, stop_propagation, global_context: as in
        `compute_receptive_field`, the same for all files.
      executor: any executor of ``concurrent.futures``, or Dask's
        ``Client.get_executor()``. Its workers must be able to open the files at the
        same paths. The executor is not shut down. None means processes on this machine.
      workers: the number of processes; None means one per core. With an executor, the
        number of workers to keep busy.
      results: a ``.csv`` or ``.parquet`` file. Every row is written as it arrives. For
        Parquet, rows go to a CSV file next to the result (``.parquet.csv``) until all
        files are done. Only one run at a time can write to a file. ``"-"`` is standard
        output, to which rows go as CSV.
      resume: whether to keep rows in ``results`` for the same files and options. Files
        whose row is an error are tried again. If False, ``results`` must not exist.
      timeout: the seconds that the analysis of one file may take; None for any time.
      memory: the megabytes by which the memory of a process may grow while it analyses
        one file; None for any amount. In an executor of threads, which share their
        memory, all files that are analysed at the same time count together.

    Returns:
      One row for each file, in the order of ``models``.

    Raises:
      ReceptiveFieldError: if an option is wrong, ``results`` cannot be read or written,
        or no worker can be started. Rows that were already written are kept, as after
        an interrupt, and the next run continues after them.

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
        raise ReceptiveFieldError(f"models must be a list of paths, not {models!r}.")
    if workers is not None and workers < 1:
        raise ReceptiveFieldError(f"workers must be at least 1, not {workers}.")
    if global_context not in ("include", "exclude"):
        raise ReceptiveFieldError(
            f"global_context must be 'include' or 'exclude', not {global_context!r}."
        )
    for name, value in (("timeout", timeout), ("memory", memory)):
        if value is not None and not value > 0:
            raise ReceptiveFieldError(f"{name} must be larger than 0, not {value}.")
    paths = [_path(model) for model in models]
    asked = [(printable(path), described(question)) for path in paths]
    path = None if results is None else _path(results)
    with Results(path, resume, asked) as kept:
        left = {
            key: path
            for key, path in zip(asked, paths, strict=True)
            if key not in kept.rows
        }
        limits = Limits(timeout, memory, steps=allowed())
        arriving = arriving_rows(left.values(), question, executor, workers, limits)
        with closing(arriving):
            for done, row in enumerate(arriving, 1):
                kept.add(row)
                tell("analysing files", done / len(left))
        return [kept.rows[key] for key in asked]


def _path(path: FilePath) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ReceptiveFieldError(
            f"compute_many takes the paths of files, not {type(path).__qualname__}. "
            "For a model in memory, call compute_receptive_field."
        ) from None
