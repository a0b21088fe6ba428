"""Readers of input files, row by row: JSON Lines of Personalize's batch inference, CSV, Parquet.

A row that cannot be read is a row with a problem, which becomes the error of its request.
"""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, Never, Protocol

from personalize_rt.errors import ValidationError
from personalize_rt.extras import need
from personalize_rt.redaction import describe

__all__ = ["MEMBERS", "Reader", "Row", "as_bytes", "as_text", "open_rows", "shown_name"]

# The members that a row may have, by what is asked: those of the service's batch inference (service.md section 4,
# "Batch output", and 2.3, "Batch input lines"), and of the arguments of one call those that may differ between users.
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "recommend": ("userId", "itemId", "numResults", "context", "filterValues"),
    "rank": ("userId", "itemList", "context", "filterValues"),
}
# What fits into a column.
_COLUMNS: Mapping[str, str] = {
    "userid": "userId",
    "itemid": "itemId",
    "itemlist": "itemList",
    "numresults": "numResults",
}
# Rows of a Parquet file in memory at a time.
_BATCH = 1024
# The most digits of a whole number in a column, so that it has 64 bits and is read quickly.
_DIGITS = 18
# Prefix of a text whose characters are the bytes of a row.
_BYTES = "latin-1:"


class Row(NamedTuple):
    """One row.

    Attributes:
        number: The number of its line, or in Parquet of its row, from 1.
        members: Its values, by the names of batch inference; ``None`` if ``text`` is to be read, or could not be.
        text: The line of a JSON Lines file, which is parsed later; or the text that could not be read.
        problem: The reason why it could not be read.
    """

    number: int
    members: Mapping[str, Any] | None = None
    text: bytes = b""
    problem: str | None = None


class Reader(Protocol):
    """A file of rows.

    Attributes:
        unit: The name of a row: ``"line"`` or ``"row"``.
    """

    unit: str

    def rows(self) -> Generator[Row, None, None]:
        """Yield the rows."""
        ...

    def total(self) -> int | None:
        """The approximate number of rows; ``None`` if counting would take long."""
        ...

    def head(self) -> bytes:
        """The beginning of a file with a selection of the rows, such as a header."""
        ...

    def again(self, given: Any) -> bytes:
        """Format a row for such a file: its members, or the text that could not be read."""
        ...


def open_rows(path: Path, kind: str) -> Reader:
    """Open a file of rows: ``.csv``, ``.parquet``, and any other as JSON Lines.

    Args:
        path: The file.
        kind: The operation: a key of ``MEMBERS``.

    Raises:
        ValidationError: It cannot be read, or has unknown columns.
        ModuleNotFoundError: It is a Parquet file, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            # Files are read more than once, for instance to resume.
            raise ValidationError(
                f"cannot read {path}: it is a pipe or a device; write it to a file", parameter="input"
            )
        with open(path, "rb"):
            pass
    except OSError as error:
        raise ValidationError(f"cannot read {path}: {error.strerror}", parameter="input") from None
    if suffix == ".csv":
        return _Csv(path, kind)
    if suffix == ".parquet":
        return _Parquet(path, kind)
    return _JsonLines(path)


class _JsonLines:
    unit = "line"

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self) -> Generator[Row, None, None]:
        with open(self._path, "rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.strip()
                if number == 1:
                    text = text.removeprefix(b"\xef\xbb\xbf")
                if text:
                    yield Row(number, text=text)

    def total(self) -> int | None:
        return _lines(self._path)

    def head(self) -> bytes:
        return b""

    def again(self, given: Any) -> bytes:
        return as_bytes(given) if isinstance(given, str) else json.dumps(given).encode()


class _Csv:
    """A CSV file with a header of column names of Personalize's schemas; case and underscores are ignored."""

    unit = "line"

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        with self._opened() as file:
            try:
                names = next(csv.reader(file, strict=True), list[str]())
            except csv.Error as error:
                _refuse_header(path, f"it is no CSV ({error})")
        self._names = names
        self._members = _known(names, kind, f"{path}, line 1")

    def _opened(self) -> io.TextIOWrapper:
        # Bytes that are not UTF-8 become surrogates, and later the error of their row.
        return open(self._path, encoding="utf-8-sig", errors="surrogateescape", newline="")

    def rows(self) -> Generator[Row, None, None]:
        with self._opened() as file:
            lines: list[str] = []  # of one row
            reader = csv.reader(_noted(file, lines), strict=True)
            next(reader)
            while True:
                lines.clear()
                number = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    text = "".join(lines).rstrip("\r\n").encode("utf-8", "surrogateescape")
                    yield Row(number, text=text, problem=f"it is no CSV ({error})")
                    continue
                if cells:
                    yield self._row(number, cells)

    def _row(self, number: int, cells: list[str]) -> Row:
        if len(cells) != len(self._members):
            problem = f"it has {len(cells)} cells, and the header has {len(self._members)}"
            return Row(number, text=_joined(cells), problem=problem)
        if any("\ud800" <= character <= "\udfff" for cell in cells for character in cell):
            return Row(number, text=_joined(cells), problem="it is not UTF-8")
        members: dict[str, Any] = {}
        for name, cell in zip(self._members, cells, strict=True):
            if cell == "":
                continue  # an empty cell is null
            if name == "itemList":
                members[name] = cell.split("|")
            elif name == "numResults":
                if not (cell.isascii() and cell.isdigit()):
                    return Row(number, text=_joined(cells), problem=f"{name} is not a whole number")
                if len(cell) > _DIGITS:
                    problem = f"{name} is a whole number of {len(cell):,} digits"
                    return Row(number, text=_joined(cells), problem=problem)
                members[name] = int(cell)
            else:
                members[name] = cell
        return Row(number, members)

    def total(self) -> int | None:
        lines = _lines(self._path)
        return None if lines is None else max(0, lines - 1)

    def head(self) -> bytes:
        return _joined(self._names) + b"\n"

    def again(self, given: Any) -> bytes:
        if isinstance(given, str):
            return as_bytes(given)
        values: Iterator[Any] = (given.get(name, "") for name in self._members)
        return _joined(["|".join(map(str, value)) if isinstance(value, list) else str(value) for value in values])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


class _Parquet:
    """A Parquet file with columns as in CSV. A list of items is a list of strings, or a string with ``|`` in it."""

    unit = "row"

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._parquet: Any = need("pyarrow.parquet", "arrow", "A Parquet file")
        arrow: Any = need("pyarrow", "arrow", "A Parquet file")
        self._broken: tuple[type[Exception], ...] = (arrow.ArrowException, OSError)
        try:
            with self._parquet.ParquetFile(path) as file:
                schema: Any = file.schema_arrow
                self._total = int(file.metadata.num_rows)
        except self._broken:
            raise ValidationError(f"cannot read {path}: it is no Parquet file", parameter="input") from None
        self._members = _known(schema.names, kind, str(path))
        for member, column in zip(self._members, schema.types, strict=True):
            if not _is_flat(arrow, column):
                _refuse_header(path, f"column {_column(member)} is of nested type")

    def rows(self) -> Generator[Row, None, None]:
        number = 0
        with self._parquet.ParquetFile(self._path) as file:
            batches = file.iter_batches(batch_size=_BATCH)
            while True:
                try:
                    batch: Any = next(batches)
                except StopIteration:
                    return
                except self._broken as error:
                    raise ValidationError(
                        f"cannot read {self._path} after row {number:,}: {type(error).__name__}", parameter="input"
                    ) from None
                for cells in zip(*map(_cells, batch.columns), strict=True):
                    number += 1
                    yield self._row(number, cells)

    def _row(self, number: int, cells: Sequence[Any]) -> Row:
        for name, cell in zip(self._members, cells, strict=True):
            if isinstance(cell, _Unreadable):
                # Not JSON, so that another job on the row has the same error.
                text = f"row {number} of a Parquet file".encode()
                return Row(number, text=text, problem=f"{name} cannot be read ({cell.why})")
        return Row(number, dict(self._given(cells)))

    def _given(self, cells: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        for name, cell in zip(self._members, cells, strict=True):
            if cell is not None:
                yield name, cell.split("|") if name == "itemList" and isinstance(cell, str) else cell

    def total(self) -> int | None:
        return self._total

    def head(self) -> bytes:
        return b""

    def again(self, given: Any) -> bytes:
        return as_bytes(given) if isinstance(given, str) else json.dumps(given).encode()


class _Unreadable(NamedTuple):
    """A cell that Python cannot represent: a text that is not UTF-8, a time in the year 100,000."""

    why: str


def _cells(column: Any) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
        return values
    except Exception:  # any error of pyarrow
        return list(map(_cell, column))


def _cell(cell: Any) -> Any:
    try:
        return cell.as_py()
    except Exception as error:
        return _Unreadable(type(error).__name__)


def _is_flat(arrow: Any, column: Any) -> bool:
    """Tell whether a column has values, or lists of values, and no deeper nesting."""
    types = arrow.types
    if types.is_list(column) or types.is_large_list(column) or types.is_fixed_size_list(column):
        column = column.value_type
    return not types.is_nested(column)


def as_text(raw: bytes) -> str:
    """Decode a row to portable text: UTF-8, or if it is not valid, one character for each byte."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = _BYTES
    return _BYTES + raw.decode("latin-1") if text.startswith(_BYTES) else text


def as_bytes(text: str) -> bytes:
    """Encode a text of :func:`as_text` to the original row."""
    return text.removeprefix(_BYTES).encode("latin-1") if text.startswith(_BYTES) else text.encode("utf-8")


def _noted(lines: Iterable[str], noted: list[str]) -> Iterator[str]:
    """Yield lines, and append each to a list."""
    for line in lines:
        noted.append(line)
        yield line


def _known(names: Sequence[str], kind: str, where: str) -> list[str]:
    """The members of columns."""
    wanted = [name for name in MEMBERS[kind] if name in _COLUMNS.values()]
    members: list[str] = []
    for name in names:
        member = _COLUMNS.get(name.replace("_", "").lower())
        if member not in wanted:
            columns = list(map(_column, wanted))
            _refuse_header(where, f"unknown column {shown_name(name, columns)}{_reads(kind, wanted)}")
        if member in members:
            _refuse_header(where, f"column {_column(member)} is there twice")
        members.append(member)
    needed = ("userId", "itemList") if kind == "rank" else ("userId", "itemId")
    missing = [name for name in needed if name not in members]
    if missing and (kind == "rank" or len(missing) == len(needed)):
        _refuse_header(where, f"there is no column {' or '.join(map(_column, missing))}{_reads(kind, wanted)}")
    return members


def shown_name(name: str, known: Sequence[str]) -> str:
    """A name that is unknown: as it is when it is like a known one, else its size; it may be an id out of place."""
    return repr(name) if get_close_matches(name.lower(), [one.lower() for one in known]) else f"({describe(name)})"


def _reads(kind: str, wanted: Sequence[str]) -> str:
    return f"; {kind} reads {', '.join(map(_column, wanted))}"


def _column(member: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in member)


def _refuse_header(where: object, problem: str) -> Never:
    raise ValidationError(f"{where}: {problem}", parameter="input")


def _joined(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    # By csv.writer, which quotes cells with special characters.
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape")


# The most bytes of a file whose lines are counted for the progress bar, which is quick.
_COUNTED = 256 << 20


def _lines(path: Path) -> int | None:
    if os.path.getsize(path) > _COUNTED:
        return None
    with open(path, "rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
