"""The datasets of a directory, as compact columns.

Users, items and event types are interned to small numbers, and events are held in arrays. A file is read in blocks of
rows, column by column; only a block with an error is read cell by cell.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import stat
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import accumulate, chain, islice, repeat
from math import isnan, nan
from pathlib import Path
from typing import BinaryIO, cast, overload

import attrs

from personalize_rt.filters.diagnostics import near
from personalize_rt.interactions import Interaction
from personalize_rt.local.problems import LocalDataError, Problem, Problems
from personalize_rt.local.schemas import DATASETS, DatasetType, Field, Schema, Value, infer, parse

__all__ = [
    "CsvSource",
    "Datasets",
    "EventLog",
    "LocalDataError",
    "Names",
    "Problem",
    "Table",
    "join_events",
    "join_tables",
    "line_that_is_not_utf8",
    "load",
    "only_regular",
    "read_dataset",
]

# What people put between columns in the place of commas.
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# Rows of one block: few enough that the garbage collector seldom looks at them.
_BLOCK = 500


class Names(dict[str, int]):
    """Numbers of names, in order of appearance. Looking up a new name gives it the next number.

    Attributes:
        names: The name of each number.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, name: str) -> int:
        number = self[name] = len(self)
        self.names.append(name)
        return number


@attrs.define(eq=False, repr=False)
class EventLog(Sequence[Interaction]):
    """Events of users with items, or with actions, as columns in the file's order.

    ``log[n]`` and iteration make :class:`Interaction` values one by one; a slice is a list of them.

    Attributes:
        users: The users, numbered.
        targets: The items or actions, numbered.
        types: The event types, numbered; ``""`` for none.
        user: The user of each event.
        target: The item or action of each event.
        type: The type of each event.
        timestamp: Unix time of each event, in seconds.
        value: The value of each event, or NaN; empty if no event has one.
        columns: Contextual metadata, by column.
        fields: The columns of the file.
    """

    users: Names = attrs.field(factory=Names)
    targets: Names = attrs.field(factory=Names)
    types: Names = attrs.field(factory=Names)
    user: array[int] = attrs.field(factory=lambda: array("i"))
    target: array[int] = attrs.field(factory=lambda: array("i"))
    type: array[int] = attrs.field(factory=lambda: array("i"))
    timestamp: array[int] = attrs.field(factory=lambda: array("q"))
    value: array[float] = attrs.field(factory=lambda: array("d"))
    columns: dict[str, list[Value]] = attrs.field(factory=dict[str, list[Value]])
    fields: dict[str, Field] = attrs.field(factory=dict[str, Field])
    _by_user: tuple[array[int], array[int]] | None = attrs.field(default=None, init=False)
    _by_upper: Mapping[str, Field] | None = attrs.field(default=None, init=False)

    def __len__(self) -> int:
        return len(self.user)

    @overload
    def __getitem__(self, event: int) -> Interaction: ...

    @overload
    def __getitem__(self, event: slice) -> list[Interaction]: ...

    def __getitem__(self, event: int | slice) -> Interaction | list[Interaction]:
        return list(map(self._event, range(len(self))[event])) if isinstance(event, slice) else self._event(event)

    def _event(self, event: int) -> Interaction:
        value = self.value[event] if self.value else nan
        return Interaction(
            self.users.names[self.user[event]],
            self.targets.names[self.target[event]],
            self.timestamp[event],
            self.types.names[self.type[event]] or None,
            None if isnan(value) else value,
        )

    def __iter__(self) -> Iterator[Interaction]:
        return map(self._event, range(len(self)))

    def of_user(self, user_id: str) -> tuple[Interaction, ...]:
        """The events of one user, in the file's order; none for an unknown user."""
        user = self.users.get(user_id)
        if user is None:
            return ()
        events, starts = self.by_user()
        return tuple(map(self._event, events[starts[user] : starts[user + 1]]))

    def by_user(self) -> tuple[array[int], array[int]]:
        """The events sorted by user, and the index of each user's first event (and the end of the last user's).

        The log must not grow after this call.
        """
        if self._by_user is None:
            counts = Counter(self.user)
            starts = array("i", accumulate(map(counts.__getitem__, range(len(self.users))), initial=0))
            self._by_user = array("i", sorted(range(len(self)), key=self.user.__getitem__)), starts
        return self._by_user

    def column(self, name: str) -> Field | None:
        """The column of a name in any case. The columns must not change after this call."""
        if self._by_upper is None:
            self._by_upper = _by_upper(self.fields)
        return self._by_upper.get(name.upper())

    def __repr__(self) -> str:
        return f"EventLog({len(self):,} events of {len(self.users):,} users with {len(self.targets):,})"


@attrs.frozen(eq=False, repr=False)
class Table(Mapping[str, Mapping[str, Value]]):
    """Items, users or actions: a mapping of id to metadata row, in the file's order.

    Attributes:
        index: The number of each id's row.
        columns: The metadata, by column, without the id.
        fields: The columns of the file.
    """

    index: dict[str, int] = attrs.field(factory=dict[str, int])
    columns: dict[str, list[Value]] = attrs.field(factory=dict[str, list[Value]])
    fields: dict[str, Field] = attrs.field(factory=dict[str, Field])
    _by_upper: Mapping[str, Field] = attrs.field(
        default=attrs.Factory(lambda table: _by_upper(table.fields), takes_self=True), init=False
    )

    def column(self, name: str) -> Field | None:
        """The column of a name in any case."""
        return self._by_upper.get(name.upper())

    def __getitem__(self, id: str) -> Mapping[str, Value]:
        row = self.index[id]
        return {name: column[row] for name, column in self.columns.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, id: object) -> bool:
        return id in self.index

    def lasting_rows(self) -> dict[str, Mapping[str, Value]]:
        """All rows by id, as views of the columns, which take less memory than dicts."""
        return {id: _RowView(self.columns, row) for id, row in self.index.items()}

    def __repr__(self) -> str:
        return f"Table({len(self.index):,} rows of {', '.join(self.columns)})"


def _by_upper(fields: dict[str, Field]) -> Mapping[str, Field]:
    """The columns by upper-case name; of two names that differ only in case, the first one."""
    return {name.upper(): field for name, field in reversed(fields.items())}


class _RowView(Mapping[str, Value]):
    """A view of one row of a table."""

    __slots__ = ("_columns", "_number")

    def __init__(self, columns: dict[str, list[Value]], number: int) -> None:
        self._columns = columns
        self._number = number

    def __getitem__(self, name: str) -> Value:
        return self._columns[name][self._number]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@attrs.frozen(eq=False, repr=False)
class Datasets:
    """The datasets of a directory; ``None`` for a missing file.

    Attributes:
        unread: The datasets whose file exists but could not be read, so that their columns are unknown.
    """

    interactions: EventLog | None = None
    items: Table | None = None
    users: Table | None = None
    actions: Table | None = None
    action_interactions: EventLog | None = None
    unread: frozenset[str] = frozenset()


@attrs.frozen
class CsvSource:
    """A CSV, wherever it is kept.

    Attributes:
        name: Its name in problems.
        open: Opens it for reading.
        shows_names: Whether problems may show names of columns that are not in the schema. If a header is missing,
            these are cells of the first row.
    """

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]]
    shows_names: bool = True

    @classmethod
    def of_file(cls, path: Path) -> CsvSource:
        """A file of a data directory."""
        return cls(path.name, partial(_open_regular, path))


def read_dataset(
    sources: Iterable[CsvSource], dataset: DatasetType, schema: Schema, problems: Problems
) -> EventLog | Table:
    """Read the CSVs of one dataset together. Of rows with the same id, the last one counts.

    Args:
        sources: The CSVs, one at least.
        dataset: The dataset's type.
        schema: Its schema.
        problems: Collects the problems.
    """
    files = (_File(source, dataset, schema, problems) for source in sources)
    if "TIMESTAMP" in dataset.required:
        return join_events([_read_events(file) for file in files])
    return join_tables([_read_table(file) for file in files])


def join_events(logs: Sequence[EventLog]) -> EventLog:
    """The events of several logs, one after the other. A column that a log does not have is null there."""
    if len(logs) == 1:
        return logs[0]
    whole = EventLog()
    with_values = any(log.value for log in logs)
    for log in logs:
        for numbers, names, into, all_names in (
            (log.user, log.users, whole.user, whole.users),
            (log.target, log.targets, whole.target, whole.targets),
            (log.type, log.types, whole.type, whole.types),
        ):
            into.extend(map([all_names[name] for name in names.names].__getitem__, numbers))
        whole.timestamp.extend(log.timestamp)
        if with_values:
            whole.value.extend(log.value or repeat(nan, len(log)))
        whole.fields.update(log.fields)
    whole.columns.update(_joined_columns([(log.columns, len(log)) for log in logs]))
    return whole


def join_tables(tables: Sequence[Table]) -> Table:
    """The rows of several tables. Of an id that comes again, the last row counts, in the place of the first."""
    if len(tables) == 1:
        return tables[0]
    columns = _joined_columns([(table.columns, len(table)) for table in tables])
    fields = {name: field for table in tables for name, field in table.fields.items()}
    rows: dict[str, int] = {}
    for table, start in zip(tables, accumulate(map(len, tables), initial=0), strict=False):
        rows.update((id, start + row) for id, row in table.index.items())
    columns = {name: list(map(values.__getitem__, rows.values())) for name, values in columns.items()}
    return Table({id: row for row, id in enumerate(rows)}, columns, fields)


def _joined_columns(parts: Sequence[tuple[Mapping[str, Sequence[Value]], int]]) -> dict[str, list[Value]]:
    names = dict.fromkeys(name for columns, _ in parts for name in columns)
    return {
        name: [value for columns, length in parts for value in columns.get(name) or repeat(None, length)]
        for name in names
    }


def load(directory: Path, schemas: Mapping[str, Schema], problems: Problems) -> Datasets:
    """Read every CSV of a directory.

    Args:
        directory: The directory.
        schemas: The schemas of datasets (``"interactions"``, …); the others are inferred.
        problems: Collects the problems. A file that could not be read is empty in the result.
    """
    files = {
        name: _File(CsvSource.of_file(directory / dataset.file), dataset, schemas.get(name), problems)
        for name, dataset in DATASETS.items()
        # True for a broken link too, which has to be reported.
        if os.path.lexists(directory / dataset.file)
    }
    if "interactions" not in files and "actions" not in files:
        expected = "expected this file, or actions.csv: without events there is nothing to learn"
        known = {dataset.file for dataset in DATASETS.values()}
        others = sorted(path.name for path in directory.glob("*.csv") if path.name not in known)
        problems.add("interactions.csv", f"{expected}{'; there are ' if others else ''}{', '.join(others[:5])}")
    for name in schemas.keys() - files.keys():
        problems.add(DATASETS[name].file, "expected this file, since it has a schema")
    read = Datasets(
        interactions=_read_events(files["interactions"]) if "interactions" in files else None,
        items=_read_table(files["items"]) if "items" in files else None,
        users=_read_table(files["users"]) if "users" in files else None,
        actions=_read_table(files["actions"]) if "actions" in files else None,
        action_interactions=_read_events(files["action_interactions"]) if "action_interactions" in files else None,
    )
    return attrs.evolve(read, unread=frozenset(name for name, file in files.items() if not file.read))


def _read_events(file: _File) -> EventLog:
    log = EventLog()
    target = file.dataset.key[1]
    context: dict[str, list[str]] = {}
    lines: list[int] = []
    shared: dict[str, str] = {}
    for block in file.blocks():
        parsed = {name: file.values(file.field(name, cells), cells, block.lines) for name, cells in block.reserved()}
        # If a required column is missing, the log is not used. Empty cells let the other checks go on.
        nothing = [""] * len(block.lines)
        log.user.extend(map(log.users.__getitem__, block.cells.get("USER_ID") or nothing))
        log.target.extend(map(log.targets.__getitem__, block.cells.get(target) or nothing))
        log.type.extend(map(log.types.__getitem__, block.cells.get("EVENT_TYPE") or nothing))
        log.timestamp.extend(cast("int", time) or 0 for time in parsed.get("TIMESTAMP") or [0] * len(block.lines))
        log.value.extend(nan if value is None else cast("float", value) for value in parsed.get("EVENT_VALUE", ()))
        for name, cells in block.cells.items():
            if name not in file.dataset.reserved:
                context.setdefault(name, []).extend(map(shared.setdefault, cells, cells))
        lines.extend(block.lines if context else ())
    names = [name for position, name in enumerate(file.header) if position not in file.left_out]
    log.fields.update({name: file.field(name, context.get(name, ())) for name in names})
    log.columns.update({name: file.values(log.fields[name], texts, lines) for name, texts in context.items()})
    if log.value and all(map(isnan, log.value)):
        log.value = array("d")
    return log


def _read_table(file: _File) -> Table:
    key = file.dataset.key[0]
    texts: dict[str, list[str]] = {}
    lines: list[int] = []
    shared: dict[str, str] = {}
    for block in file.blocks():
        lines.extend(block.lines)
        for name, cells in block.cells.items():
            texts.setdefault(name, []).extend(map(shared.setdefault, cells, cells))
    fields = {name: file.field(name, cells) for name, cells in texts.items()}
    columns = {name: file.values(fields[name], cells, lines) for name, cells in texts.items()}
    index: dict[str, int] = {}
    repeated: list[int] = []
    for row, id in enumerate(texts.get(key, ())):
        first = index.setdefault(id, row)
        if first != row:
            if file.problems.strict:
                file.wrong(lines[row], key, f"expected each id once; line {lines[first]} has it too")
            index[id] = row
            repeated.append(row)
    columns.pop(key, None)
    if repeated:
        if not file.problems.strict:
            # As an import job has it.
            done = f"the last row of an id counts ({len(repeated):,} came again, this one first)"
            file.problems.warn(file.name, "expected each id once", done, line=lines[repeated[0]], column=key)
        # Rows that nobody can ask for must not count as items.
        columns = {name: [values[row] for row in index.values()] for name, values in columns.items()}
        index = {id: row for row, id in enumerate(index)}
    return Table(index, columns, fields)


# One CSV.


@attrs.frozen
class _Block:
    """A block of rows, as columns.

    Attributes:
        lines: The number of the line on which each row begins.
        cells: The cells of each column.
    """

    file: _File
    lines: Sequence[int]
    cells: Mapping[str, Sequence[str]]

    def reserved(self) -> Iterator[tuple[str, Sequence[str]]]:
        """The reserved columns, whose types do not depend on the data."""
        return ((name, cells) for name, cells in self.cells.items() if name in self.file.dataset.reserved)


@attrs.define(repr=False)
class _File:
    """A CSV file that is being read.

    Attributes:
        header: The names of the columns, once the first block is read.
        left_out: The positions of columns that are not read.
        read: Whether the columns are known.
    """

    source: CsvSource
    dataset: DatasetType
    schema: Schema | None
    problems: Problems
    header: list[str] = attrs.field(factory=list[str], init=False)
    left_out: set[int] = attrs.field(factory=set[int], init=False)
    read: bool = attrs.field(default=False, init=False)

    @property
    def name(self) -> str:
        return self.source.name

    def field(self, name: str, cells: Iterable[str]) -> Field:
        declared = None if self.schema is None else self.schema.fields.get(name)
        return declared or infer(name, cells, self.dataset)

    def values(self, field: Field, cells: Sequence[str], lines: Sequence[int]) -> list[Value]:
        values, wrong = parse(field, cells, self.dataset)
        for index, message in wrong:
            self.wrong(lines[index], field.name, message)
        return values

    def wrong(self, line: int, column: str | None, message: str) -> None:
        self.problems.add_row(self.name, message, line=line, column=column)

    def blocks(self) -> Iterator[_Block]:
        """The rows after the header, up to the first problem that makes the rest unreadable."""
        line = 1
        try:
            with self.source.open() as binary:
                text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
                first = text.readline()
                reader = csv.reader(_with_doubled_quotes(chain([first], text)), strict=True)
                self.header = next(reader, list[str]()) if self._is_header(first) else []
                self.read = bool(self.header) and self._check_header()
                if not self.read:
                    return
                empty = True
                while True:
                    rows: list[tuple[int, list[str]]] = []
                    line = reader.line_num + 1
                    width, more = len(self.header), False
                    for row in islice(reader, _BLOCK):
                        more = True
                        if len(row) == width:
                            rows.append((line, row))
                        elif row:  # blank lines are ignored
                            self.wrong(line, None, f"expected {width} cells, as in the header, found {len(row)}")
                        line = reader.line_num + 1
                    if not more:
                        break
                    empty = False
                    yield self._block(rows)
                if empty:
                    self.problems.add(self.name, "expected at least one row after the header")
        except UnicodeDecodeError:
            with self.source.open() as lines:
                self.problems.add(self.name, "expected UTF-8", line=_not_utf8(lines))
        except csv.Error as error:
            self.problems.add(self.name, f"expected CSV: {error}", line=line)
        except OSError as error:
            self.problems.add(self.name, f"expected a file that can be read: {error.strerror}")

    def _is_header(self, first: str) -> bool:
        """Note that the first line is none, or that something else than commas separates its names."""
        if not first:
            self.problems.add(self.name, "expected a header and rows: the file is empty")
            return False
        if not first.strip():
            self.problems.add(self.name, "expected the header here: the line is blank", line=1)
            return False
        for separator, name in _SEPARATORS.items():
            names = [part.strip().strip('"').upper() for part in first.split(separator)]
            if "," not in first and len(names) > 1 and not {*names}.isdisjoint(self.dataset.required):
                self.problems.add(self.name, f"expected commas between the columns, found {name}", line=1)
                return False
        return True

    def _check_header(self) -> bool:
        """Check the header. Returns whether the rows below it can be checked."""
        header, reserved, seen = self.header, self.dataset.reserved, set[str]()
        required: Iterable[str] = self.dataset.required if self.schema is None else self.schema.fields
        source = self.dataset.name if self.schema is None else "its schema"
        alike = {name.strip().upper(): name for name in header}
        if self.schema is not None:
            # A sample of AWS imports "genres" into the field GENRES (service.md section 12.1).
            fields = {field.upper(): field for field in self.schema.fields if field not in header}
            header = self.header = [
                name if name in self.schema.fields else fields.pop(name.strip().upper(), name) for name in header
            ]
        for position, name in enumerate(header):
            if not name.strip():
                done = "it is left out"
                if position == 0:
                    done += " (pandas writes its index like this, but not with to_csv(index=False))"
                self.problems.warn(self.name, f"expected a name for column {position + 1}", done, line=1)
                self.left_out.add(position)
            elif name in seen:
                self.problems.add(self.name, "expected each column once", line=1, column=self._shown(name))
            elif self.schema is not None and name not in self.schema.fields:
                # The guide calls missing columns an error of an import job; this one imports fine (service.md section
                # 12.1).
                self.problems.warn(
                    self.name,
                    f"expected a column of the schema{'' if self.source.shows_names else f' (column {position + 1})'}",
                    "it is left out",
                    line=1,
                    column=self._shown(name),
                )
                self.left_out.add(position)
            elif self.schema is None and name not in reserved and name.strip().upper() in reserved:
                expected = f"expected {name.strip().upper()}: names are in upper case, without spaces"
                self.problems.add(self.name, expected, line=1, column=name)
            seen.add(name)
        for name in required:
            if name not in seen and (self.schema is not None or name not in alike):
                others = [other for other in header if other not in required and self.source.shows_names]
                hint = near(name, others)
                expected = f"expected a column {name}, as {source} has it{'; ' if hint else ''}{hint}"
                self.problems.add(self.name, expected, line=1)
        if self.schema is None:
            self.header = [name.strip().upper() if name.strip().upper() in reserved else name for name in header]
        return not {*required}.isdisjoint(self.header)

    def _shown(self, name: str) -> str | None:
        """The name of a column in a problem."""
        declared = self.schema is not None and name in self.schema.fields
        return name if declared or self.source.shows_names else None

    def _block(self, rows: list[tuple[int, list[str]]]) -> _Block:
        columns: list[Sequence[str]] = list(zip(*(row for _, row in rows), strict=True)) or [()] * len(self.header)
        named = enumerate(zip(self.header, columns, strict=True))
        cells = dict(column for position, column in named if position not in self.left_out)
        return _Block(self, [line for line, _ in rows], cells)


# The rest of a quoted text, to its last quote or the end of the line; of a cell without quotes, to the next comma.
_QUOTED_TEXT = re.compile(r'(?:[^"\\]++|""|\\.)*+\\?', re.DOTALL)
_TO_COMMA = re.compile(r"[^,]*+,?")
# Cells that end on their line, those in quotes without a backslash.
_CELL = r'(?:"(?:[^"\\]++|"")*+"[^,]*+|[^",][^,]*+|)'
_PLAIN_LINE = re.compile(rf"{_CELL}(?:,{_CELL})*+")
_ESCAPED = re.compile(r'\\(["\\])')


def _with_doubled_quotes(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a CSV with the escapes of the guide put as ``csv`` has them.

    Guide, "Bulk data format guidelines": in quoted text a backslash stands before a quote and before itself.
    Spreadsheets double the quotes, which is read as well. Every other backslash is a character like others: Python's
    own ``escapechar`` would drop it, and the user ``CORP\\ann`` would be ``CORPann``.
    """
    quoted = False
    for line in lines:
        if not quoted and ('"' not in line or _PLAIN_LINE.fullmatch(line)):
            yield line
            continue
        parts: list[str] = []
        at = 0
        while at < len(line):
            if not quoted and line[at] == '"':
                parts.append('"')
                at, quoted = at + 1, True
            if quoted:
                text = _QUOTED_TEXT.match(line, at)
                assert text is not None
                parts.append(_ESCAPED.sub(lambda escape: '""' if escape[1] == '"' else "\\", text[0]))
                at = text.end()
                if at < len(line):
                    parts.append('"')
                    at, quoted = at + 1, False
            if not quoted:
                rest = _TO_COMMA.match(line, at)
                assert rest is not None
                parts.append(rest[0])
                at = rest.end()
        yield "".join(parts)


def _open_regular(path: Path) -> BinaryIO:
    return open(path, "rb", opener=only_regular)


def only_regular(path: str, flags: int) -> int:
    """Open a file, as an ``opener`` for ``open()``. Refuses devices and pipes, which may be endless or block.

    Raises:
        OSError: The file cannot be opened, or is not a regular file.
    """
    # Without blocking: opening a pipe waits for a writer.
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "Not a regular file")


def line_that_is_not_utf8(path: Path) -> int | None:
    """The number of the first line of a file that is not UTF-8, from 1."""
    with path.open("rb") as lines:
        return _not_utf8(lines)


def _not_utf8(lines: Iterable[bytes]) -> int | None:
    for number, line in enumerate(lines, start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return number
    return None
