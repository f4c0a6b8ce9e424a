"""Saves rows in a CSV or Parquet file, each row as soon as it arrives."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from typing import Any

from receptive_field.errors import ReceptiveFieldError
from receptive_field.many.rows import Row
from receptive_field.printable import csv_cell, from_csv_cell
from receptive_field.whole_files import check_writable, open_already, replace_file

try:
    import fcntl
except ImportError:  # Windows has no such locks.
    fcntl = None  # type: ignore[assignment]

TEXTS = ("model", "options", "input", "output", "error")
FLAGS = ("aligned", "exact")


class Results:
    """A mapping from file and options to rows, which is also saved in a file.

    Each row is written to a CSV file as soon as it is added. For Parquet, the CSV file
    is next to the Parquet file, and is converted at the end. No other run can write to
    the same file meanwhile.
    """

    def __init__(
        self, path: str | None, resume: bool, asked: list[tuple[str, str | None]]
    ) -> None:
        self.rows: dict[tuple[str, str | None], Row] = {}
        self.path = path
        self._claim = ExitStack()
        if self.path is None:
            return
        if (descriptor := open_already(self.path)) is not None:
            sys.stdout.flush()
            self.pyarrow, self.log = None, self.path
            self.file = open(os.dup(descriptor), "wb", buffering=0)  # noqa: SIM115
            with _writing(self.log):
                self._write(_csv(Row._fields))
            return
        suffix = os.path.splitext(self.path)[1].lower()
        if suffix not in (".csv", ".parquet"):
            raise ReceptiveFieldError(
                "the name of the results file must end with .csv or .parquet, but "
                f"results is {self.path!r}."
            )
        self.pyarrow = _pyarrow() if suffix == ".parquet" else None
        self.log = f"{self.path}.csv" if self.pyarrow else self.path
        with _writing(self.path):
            self._claim.enter_context(_claimed(self.path))
        try:
            self._read(resume, asked)
        except BaseException:
            self._claim.close()
            raise

    def _read(self, resume: bool, asked: list[tuple[str, str | None]]) -> None:
        """Reads the rows of an earlier run, and opens the file for more."""
        assert self.path is not None
        there = [name for name in (self.path, self.log) if os.path.exists(name)]
        if there and not resume:
            raise ReceptiveFieldError(
                f"{there[0]!r} already exists; move it, or continue from it with "
                "resume=True."
            )
        files = [name for name in dict.fromkeys(there) if os.path.isfile(name)]
        for name in files:
            check_writable(name)  # A file that only may be read would be replaced.
            rows = read_rows(name, None if name == self.log else self.pyarrow)
            self.rows |= {row[:2]: row for row in rows}
        for key in asked:
            if key in self.rows and self.rows[key].error is not None:
                del self.rows[key]
        with _writing(self.log):
            if self.log in files:  # Drops an incomplete row and rows to redo.
                replace_file(self.log, _csv(Row._fields, *self.rows.values()))
            self.file = open(self.log, "ab", buffering=0)  # noqa: SIM115
            if self.log not in files:
                self._write(_csv(Row._fields))

    def __enter__(self) -> Results:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: Any) -> None:
        if self.path is None:
            return
        with self._claim:
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        assert self.path is not None
        self.file.close()
        if self.pyarrow and not isinstance(error, ReceptiveFieldError):
            with _writing(self.path, f" The new rows are in {self.log!r}."):
                replace_file(self.path, _parquet(self.pyarrow, self.rows.values()))
                os.remove(self.log)

    def add(self, row: Row) -> None:
        """Adds a row and saves it."""
        if self.path is not None:
            with _writing(self.log):
                self._write(_csv(row))
        self.rows[row[:2]] = row

    def _write(self, line: bytes) -> None:
        """Writes a whole line, or nothing if writing fails."""
        has_end = self.file.seekable()
        end = self.file.seek(0, os.SEEK_END) if has_end else 0
        try:
            while line:
                line = line[self.file.write(line) :]
        finally:
            if line and has_end:
                with suppress(OSError):
                    self.file.truncate(end)


@contextmanager
def _claimed(path: str) -> Iterator[None]:
    """Keeps other runs from writing to a file while the context is open.

    A file beside it is locked, which is removed at the end. The operating system
    releases the lock if this process ends.

    Raises:
      ReceptiveFieldError: if another run writes to the file.
    """
    if fcntl is None:
        yield
        return
    folder, name = os.path.split(os.path.realpath(path))
    beside = os.path.join(folder, f".{name}.lock")
    while True:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(beside)):
                break
        except FileNotFoundError:  # The run that had the lock has removed the file.
            pass
        except BlockingIOError:
            os.close(lock)
            raise ReceptiveFieldError(
                f"another run writes to {path!r}. Wait until it ends, or give another "
                "file."
            ) from None
        except OSError:  # Some file systems have no locks.
            break
        os.close(lock)
    try:
        yield
    finally:
        with suppress(OSError):
            os.remove(beside)
        os.close(lock)


@contextmanager
def _writing(path: str, kept: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReceptiveFieldError(
            f"cannot write {path!r}: {error.strerror or error}.{kept} Rows that were "
            "already written are kept. To continue, fix the problem and repeat the "
            "call."
        ) from None


def _csv(*rows: Iterable[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(
        [csv_cell(cell) if isinstance(cell, str) else cell for cell in row]
        for row in rows
    )
    return text.getvalue().encode()


def read_rows(path: str, pyarrow: Any) -> list[Row]:
    """Returns the rows of a file. An incomplete last row of a CSV file is ignored."""
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
            read = csv.reader(io.StringIO(whole, newline=""))
            header, *lines = ([from_csv_cell(cell) for cell in line] for line in read)
        if header != list(Row._fields):
            raise ValueError("the columns are different")
        return [
            Row(*(_value(*cell) for cell in zip(Row._fields, line, strict=True)))
            for line in lines
        ]
    except OSError as error:
        reason = error.strerror or error
        raise ReceptiveFieldError(f"cannot read {path!r}: {reason}.") from None
    except (ValueError, csv.Error) as error:
        raise ReceptiveFieldError(
            f"{path!r} does not contain rows of compute_many: "
            f"{str(error).removesuffix('.')}. Give a different path."
        ) from None


def _value(column: str, cell: Any) -> Any:
    """Returns the value of a cell, which is text (CSV) or already typed (Parquet)."""
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
            'Parquet files require PyArrow: run pip install "receptive_field[many]", '
            "or give a path that ends with .csv."
        ) from None
    return import_module("pyarrow")
