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
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from personalize_rt.arguments import members_of
from personalize_rt.bulk.layout import Columns, Layout, Unreadable
from personalize_rt.bulk.requests import BulkRequest, RankRequest, RecommendRequest
from personalize_rt.errors import ValidationError
from personalize_rt.extras import need

__all__ = ["MEMBERS", "REQUESTS", "Reader", "Row", "as_bytes", "as_text", "open_rows"]

REQUESTS: Mapping[str, type[BulkRequest[Any]]] = {"recommend": RecommendRequest, "rank": RankRequest}
# All rows have these in common, or there is no room for them in a line of the output.
_OF_THE_JOB = ("campaignArn", "recommenderArn", "filterArn", "promotions", "metadataColumns")
# The service's batch inference has another name for it (service.md section 2.3, "Batch input lines").
_BATCH_NAMES = {"inputList": "itemList"}
MEMBERS: Mapping[str, Mapping[str, str]] = {
    kind: {
        _BATCH_NAMES.get(member.name, member.name): argument
        for argument, member in members_of(request).items()
        if member.name is not None and member.name not in _OF_THE_JOB
    }
    for kind, request in REQUESTS.items()
}
"""The members of a row, and the arguments that they are, by kind of request."""
# Rows of a Parquet file in memory at a time.
_BATCH = 1024
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


def open_rows(path: Path, kind: str, columns: Columns | None = None, *, name: str | None = None) -> Reader:
    """Open a file of rows: ``.csv``, ``.parquet``, and any other as JSON Lines.

    Args:
        path: The file.
        kind: The operation: a key of ``MEMBERS``.
        columns: The caller's description of its columns.
        name: The name of the file for errors; by default its path.

    Raises:
        ValidationError: It cannot be read, or has unknown columns.
        ModuleNotFoundError: It is a Parquet file, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    name = str(path) if name is None else name
    columns = columns or Columns()
    try:
        mode = os.stat(path).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            # Files are read more than once, for instance to resume.
            raise ValidationError(
                f"cannot read {path}: it is a pipe or a device; write it to a file, or give - and pipe it in",
                parameter="input",
            )
        with open(path, "rb"):
            pass
    except OSError as error:
        raise ValidationError(f"cannot read {path}: {error.strerror}", parameter="input") from None
    if suffix == ".csv":
        return _Csv(path, kind, columns, name)
    if suffix == ".parquet":
        return _Parquet(path, kind, columns, name)
    if columns:
        raise ValidationError(f"{name} is JSON Lines, which has no columns", parameter="columns")
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

    def __init__(self, path: Path, kind: str, columns: Columns, name: str) -> None:
        self._path = path
        with self._opened() as file:
            try:
                names = next(csv.reader(file, strict=True), list[str]())
            except csv.Error as error:
                raise ValidationError(f"{name}, line 1: it is no CSV ({error})", parameter="input") from None
        self._layout = Layout(names, kind, MEMBERS[kind], f"{name}, line 1", columns, surely=False)

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
        if len(cells) != len(self._layout.names):
            problem = f"it has {len(cells)} cells, and the header has {len(self._layout.names)}"
            return Row(number, text=_joined(cells), problem=problem)
        problem = "it is not UTF-8"
        if not any("\ud800" <= character <= "\udfff" for cell in cells for character in cell):
            try:
                return Row(number, self._layout.members(cell or None for cell in cells))  # an empty cell is null
            except Unreadable as error:
                problem = error.problem
        return Row(number, text=_joined(self._layout.kept(cells)), problem=problem)

    def total(self) -> int | None:
        lines = _lines(self._path)
        return None if lines is None else max(0, lines - 1)

    def head(self) -> bytes:
        return _joined(self._layout.head()) + b"\n"

    def again(self, given: Any) -> bytes:
        return as_bytes(given) if isinstance(given, str) else _joined(self._layout.cells(given))


class _Parquet:
    """A Parquet file with columns as in CSV. A list of items is a list, or a string with ``|`` in it.

    Ids may be integers, which become text. Those of other types are refused, since their spelling would be a guess.
    """

    unit = "row"

    def __init__(self, path: Path, kind: str, columns: Columns, name: str) -> None:
        self._path = path
        self._name = name
        self._parquet: Any = need("pyarrow.parquet", "arrow", "A Parquet file")
        arrow: Any = need("pyarrow", "arrow", "A Parquet file")
        self._broken: tuple[type[Exception], ...] = (arrow.ArrowException, OSError)
        try:
            with self._parquet.ParquetFile(path) as file:
                schema: Any = file.schema_arrow
                self._total = int(file.metadata.num_rows)
        except self._broken:
            raise ValidationError(f"cannot read {name}: it is no Parquet file", parameter="input") from None
        self._layout = Layout(schema.names, kind, MEMBERS[kind], name, columns, surely=True)
        for place, column, is_id in self._layout.read():
            type: Any = schema.types[place]
            if not _is_flat(arrow, type):
                self._layout.refuse(f"column {column} is of nested type")
            if is_id and (problem := _is_no_id(arrow, type)):
                self._layout.refuse(f"column {column} is {problem}, and ids are text: cast it to text (string)")

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
                        f"cannot read {self._name} after row {number:,}: {type(error).__name__}", parameter="input"
                    ) from None
                for cells in zip(*map(_cells, batch.columns), strict=True):
                    number += 1
                    yield self._row(number, cells)

    def _row(self, number: int, cells: Sequence[Any]) -> Row:
        for place, column, _ in self._layout.read():
            if isinstance(cells[place], _Unreadable):
                return self._wrong(number, f"{column} cannot be read ({cells[place].why})")
        try:
            return Row(number, self._layout.members(cells))
        except Unreadable as error:
            return self._wrong(number, error.problem)

    def _wrong(self, number: int, problem: str) -> Row:
        # The text is not JSON, so that another job on the row has the same error.
        return Row(number, text=f"row {number} of a Parquet file".encode(), problem=problem)

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


def _is_no_id(arrow: Any, column: Any) -> str | None:
    """The kind of a column that cannot hold ids, with a hint; ``None`` for text, integers and unknown types."""
    types = arrow.types
    if types.is_list(column) or types.is_large_list(column) or types.is_fixed_size_list(column):
        column = column.value_type
    if types.is_dictionary(column):
        column = column.value_type
    if types.is_floating(column):
        # A column of whole numbers with nulls, as pandas has it.
        return f"of type {column} (in pandas, whole numbers with nulls are: use Int64)"
    if types.is_decimal(column) or types.is_boolean(column) or types.is_temporal(column):
        return f"of type {column}"
    return None


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
