"""The content of import, export and batch inference jobs: CSV files and JSON lines, in a storage.

A CSV is checked as that of a data directory, by the same code, against the schema that CreateSchema stored. Everything
has a bound, so that no file takes memory or time without end: the bytes of all files together, once they are unpacked;
how far gzip may unpack; one line; one cell (131,072 characters, the limit of ``csv``).
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from math import isnan
from typing import BinaryIO, cast

import attrs

from personalize_rt.local.control.storage import Storage, StorageRefusedError
from personalize_rt.local.datasets import CsvSource, EventLog, LocalDataError, Problem, Table, read_dataset
from personalize_rt.local.problems import Problems
from personalize_rt.local.schemas import DatasetType, Schema, Value

__all__ = ["MOST_BYTES", "Imported", "JobFailedError", "read_csv", "read_lines", "write_csv", "write_lines"]

MOST_BYTES = 1 << 29
"""The most bytes of all files of one job, once they are unpacked."""
_LONGEST_LINE = 1 << 20
# The most bytes from one byte of gzip, which CSV of few different rows does not reach; deflate itself reaches 1,032.
_RATIO = 200
# The most bytes of gzip for one byte, which small members next to each other may have.
_EXPANDING = 8
# Too few to matter.
_UNSUSPICIOUS = 1 << 20
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 16
_TO_QUOTE = frozenset('",\r\n')
# Problems of a failure reason.
_SHOWN = 10


class JobFailedError(Exception):
    """A job cannot be done.

    Args:
        message: The ``failureReason``: places and expectations, and no content of a cell.
        problems: The problems of the files, if these are the reason.
    """

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.message: str = message
        self.problems = problems


@attrs.frozen
class Imported:
    """The data of an import.

    Attributes:
        data: The rows, in the form of :mod:`personalize_rt.local.datasets`.
        files: The files that were read, as URIs.
        warnings: What was left out or put right.
    """

    data: EventLog | Table
    files: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()


def read_csv(
    storage: Storage, uri: str, dataset: DatasetType, schema: Schema, *, most_bytes: int = MOST_BYTES
) -> Imported:
    """Read the CSV, or the folder of CSVs, of an import job. They may be compressed by gzip.

    Args:
        storage: The storage.
        uri: The ``dataLocation``: a CSV, or a folder, which ends with ``/`` and whose sub-folders do not count.
        dataset: The dataset's type.
        schema: Its schema.
        most_bytes: The most bytes of all files, unpacked.

    Raises:
        JobFailedError: A file cannot be read, is too large, or has a row that does not fit the schema.
    """
    problems = Problems()
    with _as_failure():
        files = storage.list(uri)
        budget = _Budget(most_bytes)
        sources = [
            CsvSource(one.rpartition("/")[2], partial(_opened, storage, one, budget), shows_names=False)
            for one in files
        ]
        data = read_dataset(sources, dataset, schema, problems)
        problems.raise_if_any(uri)
    return Imported(data, tuple(files), tuple(problems.warnings))


def read_lines(storage: Storage, uri: str, *, most_bytes: int = MOST_BYTES) -> Iterator[str]:
    """The lines of the input of a batch inference job, without blank ones.

    Args:
        storage: The storage.
        uri: The file.
        most_bytes: The most bytes, unpacked.

    Raises:
        JobFailedError: The file cannot be read, is too large, or is not UTF-8.
    """
    with _as_failure(), _opened(storage, uri, _Budget(most_bytes)) as file:
        try:
            for line in io.TextIOWrapper(file, encoding="utf-8-sig"):
                if line.strip():
                    yield line.rstrip("\r\n")
        except UnicodeDecodeError:
            raise JobFailedError(f"{uri}: expected UTF-8") from None


def write_csv(storage: Storage, folder: str, name: str, dataset: DatasetType, data: EventLog | Table) -> str:
    """Write the rows of a dataset as CSV, which :func:`read_csv` reads as the same rows.

    Args:
        storage: The storage.
        folder: The output path of the job.
        name: The name of the file.
        dataset: The dataset's type.
        data: The rows.

    Returns:
        The URI of the file.

    Raises:
        JobFailedError: There is such a file already, or it cannot be written.
    """
    names = list(data.fields)
    rows = _rows_of_events(data, dataset, names) if isinstance(data, EventLog) else _rows_of_table(data, dataset, names)
    return _write(storage, folder, name, _csv_chunks(names, rows))


def write_lines(storage: Storage, folder: str, name: str, lines: Iterable[str]) -> str:
    """Write lines, such as the results of a batch inference job.

    Args:
        storage: The storage.
        folder: The output path of the job.
        name: The name of the file.
        lines: The lines, without their ends.

    Returns:
        The URI of the file.

    Raises:
        JobFailedError: There is such a file already, or it cannot be written.
    """
    return _write(storage, folder, name, (f"{line}\n".encode() for line in lines))


def _write(storage: Storage, folder: str, name: str, chunks: Iterable[bytes]) -> str:
    uri = f"{folder.removesuffix('/')}/{name}"
    with _as_failure():
        storage.write(uri, chunks)
    return uri


@contextmanager
def _as_failure() -> Generator[None, None, None]:
    try:
        yield
    except StorageRefusedError as refused:
        raise JobFailedError(refused.message) from None
    except LocalDataError as error:
        shown = "; ".join(str(problem) for problem in error.problems[:_SHOWN])
        more = f"; and {len(error.problems) - _SHOWN} more" if len(error.problems) > _SHOWN else ""
        raise JobFailedError(f"the files do not fit the schema: {shown}{more}", error.problems) from None


# Reading within bounds.


@attrs.define
class _Budget:
    """The bytes that the files of one job may have together. A file that is opened again counts once.

    Attributes:
        most: The most bytes.
        used: The bytes of each file.
    """

    most: int
    used: dict[str, int] = attrs.field(factory=dict[str, int])


@contextmanager
def _opened(storage: Storage, uri: str, budget: _Budget) -> Generator[BinaryIO, None, None]:
    with storage.open(uri) as file:
        yield cast("BinaryIO", io.BufferedReader(_Bounded(file, uri, budget), _CHUNK))


class _Bounded(io.RawIOBase):
    """A file, unpacked if it is gzip, up to its bounds."""

    def __init__(self, file: BinaryIO, uri: str, budget: _Budget) -> None:
        super().__init__()
        self._uri = uri
        self._budget = budget
        budget.used[uri] = 0
        self._line = 0
        self._packed = _Counting(file, self._check_packed)
        buffered = io.BufferedReader(self._packed)
        self._is_gzip = False
        self._is_gzip = buffered.peek(2)[:2] == _GZIP
        self._file: BinaryIO = cast("BinaryIO", gzip.GzipFile(fileobj=buffered)) if self._is_gzip else buffered

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer))
        try:
            content = self._file.read(min(len(view), _CHUNK))
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise JobFailedError(f"{self._uri}: expected gzip, which is damaged or cut off") from None
        view[: len(content)] = content
        self._check(content)
        return len(content)

    def _check_packed(self, count: int) -> None:
        # A name in the head of gzip has no end, and empty members unpack to nothing.
        if self._is_gzip and count > _UNSUSPICIOUS + _EXPANDING * self._budget.used[self._uri]:
            raise JobFailedError(f"{self._uri}: expected gzip of a file that is smaller than what it unpacks to")

    def _check(self, content: bytes) -> None:
        used = self._budget.used
        used[self._uri] += len(content)
        if sum(used.values()) > self._budget.most:
            raise JobFailedError(f"{self._uri}: the files of a job may have {self._budget.most:,} bytes, unpacked")
        if self._is_gzip and used[self._uri] > _UNSUSPICIOUS + _RATIO * self._packed.count:
            raise JobFailedError(f"{self._uri}: expected gzip that unpacks to at most {_RATIO} times its size")
        end = content.rfind(b"\n")
        self._line = self._line + len(content) if end < 0 else len(content) - end - 1
        if self._line > _LONGEST_LINE:
            raise JobFailedError(f"{self._uri}: expected lines of at most {_LONGEST_LINE:,} bytes")


class _Counting(io.RawIOBase):
    """A file whose bytes are counted.

    Attributes:
        count: The bytes that were read.
    """

    def __init__(self, file: BinaryIO, check: Callable[[int], None]) -> None:
        super().__init__()
        self._file = file
        self._check = check
        self.count: int = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer))
        content = self._file.read(len(view))
        view[: len(content)] = content
        self.count += len(content)
        self._check(self.count)
        return len(content)


# Writing.


def _rows_of_events(log: EventLog, dataset: DatasetType, names: Iterable[str]) -> Iterator[Iterable[Value]]:
    target = dataset.key[1]
    columns: list[Iterable[Value]] = []
    for name in names:
        if name == "USER_ID":
            columns.append(map(log.users.names.__getitem__, log.user))
        elif name == target:
            columns.append(map(log.targets.names.__getitem__, log.target))
        elif name == "EVENT_TYPE":
            columns.append(map(log.types.names.__getitem__, log.type))
        elif name == "TIMESTAMP":
            columns.append(log.timestamp)
        elif name == "EVENT_VALUE":
            columns.append(None if isnan(value) else value for value in log.value or [float("nan")] * len(log))
        else:
            # Other reserved columns of events are checked and not kept.
            columns.append(log.columns.get(name) or [None] * len(log))
    return zip(*columns, strict=True)


def _rows_of_table(table: Table, dataset: DatasetType, names: Iterable[str]) -> Iterator[Iterable[Value]]:
    columns = [table.index if name == dataset.key[0] else table.columns[name] for name in names]
    return zip(*columns, strict=True)


def _csv_chunks(names: list[str], rows: Iterable[Iterable[Value]]) -> Iterator[bytes]:
    lines, size = [",".join(names)], 0
    for row in rows:
        line = ",".join(map(_cell, row))
        lines.append(line)
        size += len(line)
        if size > _CHUNK:
            yield "\n".join([*lines, ""]).encode()
            lines, size = [], 0
    if lines:
        yield "\n".join([*lines, ""]).encode()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not _TO_QUOTE.isdisjoint(value):
        # In quoted text a backslash stands before itself (guide, "Bulk data format guidelines").
        return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '""'))
    return str(value)
