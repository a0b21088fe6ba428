"""Candidates, users and events with the indexes that make filters fast.

A set of candidates is one Python ``int`` with one bit for each row: on 100,000 rows AND and OR of two such sets take
less than a microsecond, where Python sets take a millisecond. Three kinds of indexes make these ints, each built when a
filter first needs it and shared by all filters:

* text: value to the rows that have it, for IN, = and !=;
* numbers: the rows in the order of their values, with the set of the first *n* rows kept for some *n*;
* events: user and event type to the most recent items.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterable, Mapping, Sequence
from copy import copy
from math import isfinite
from typing import Any, TypeAlias, cast

import attrs

from personalize_rt import forks
from personalize_rt.errors import FilterValuesError, ValidationError
from personalize_rt.filters.terms import Target
from personalize_rt.filters.values import bare_digits
from personalize_rt.interactions import Interaction
from personalize_rt.names import canonical
from personalize_rt.redaction import describe

__all__ = ["Catalogue", "Row"]

Row: TypeAlias = Mapping[str, object]
"""Column name to value: a ``str`` (several categories with ``|`` between them), a number, or ``None``."""

ID_COLUMN: dict[Target, str] = {"ItemID": "ITEM_ID", "ActionID": "ACTION_ID", "UserID": "USER_ID"}
# The number of a user's events of one type that a filter looks at (guide, limits).
INTERACTIONS_PER_TYPE: dict[Target, int] = {"ItemID": 100, "ActionID": 300, "UserID": 100}

_NUMBER = re.compile(r"-?[0-9]{1,4300}(?:\.[0-9]+)?")
# A value's set is kept when at least so many rows have the value; for fewer, setting the bits again is as quick.
_KEPT_FROM = 256
# The number of sets that a number index keeps: 128 of them are 1.6 MB for 100,000 rows.
_STEPS = 128


def cell(row: Row, column: str) -> object:
    """The value of a column. Case of column names is ignored, as by the service."""
    if column in row:
        return row[column]
    wanted = column.upper()
    for name, value in row.items():
        if name.upper() == wanted:
            return value
    return None


def row_id(row: Row, target: Target) -> str | None:
    """The id in a row: ``ITEM_ID``, ``item_id`` and ``itemId`` are one name."""
    wanted = canonical(target)
    for name, value in row.items():
        if canonical(name) == wanted:
            return str(value)
    return None


def texts(value: object) -> tuple[str, ...]:
    """The elements of a value as text, for comparisons; empty for a missing value.

    Categories are split at ``|``. A number becomes its digits, since a filter may compare it with a quoted value.
    """
    if isinstance(value, str):
        if "|" in value:
            return tuple(filter(None, value.split("|")))
        return (value,) if value else ()
    if isinstance(value, (list, tuple, set, frozenset)) or _is_column(value):
        elements = cast("Iterable[object]", value)
        return tuple(element for element in elements if isinstance(element, str) and element)
    found = number(value)
    digits = "" if found is None else _digits(repr(found))
    return (digits,) if digits else ()


def _is_column(value: object) -> bool:
    """Tell whether a value is an array, the form in which lists come from a Parquet file."""
    return getattr(value, "ndim", None) == 1 and isinstance(value, Iterable)


def number(value: object) -> int | float | None:
    """A value as a number, for comparisons; ``None`` for text, booleans and missing values."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        return float(value) if "." in value else int(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return int(value) if -_HUGE < value < _HUGE else None
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if type(value).__name__ == "Decimal":
        return number(_digits(str(value)))
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in ("i", "u", "f") and getattr(value, "ndim", 1) == 0:
        # By its digits, as in a filter value: a 32-bit 0.1 equals 0.1, and float() would make it 0.10000000149.
        return number(_digits(str(value))) if kind == "f" else number(cast(Any, value).item())
    return None


def _digits(text: str) -> str:
    try:
        return bare_digits(text)
    except FilterValuesError:  # not finite, or longer than any number that can be compared
        return ""


_HUGE = 10**4300


def as_interaction(event: Interaction | Row) -> Interaction:
    """Convert a row with the columns of the Interactions or Action interactions schema to an event."""
    if isinstance(event, Interaction):
        return event
    if not hasattr(event, "items"):
        # Such as a column name: iterating over a data frame gives those.
        raise ValidationError(
            f"interactions holds {describe(event)}: it takes Interaction(user_id, item_id, timestamp, event_type), or "
            "mappings with ITEM_ID, EVENT_TYPE and TIMESTAMP",
            parameter="interactions",
        )
    row = {canonical(name): value for name, value in event.items()}
    item = row.get("itemid", row.get("actionid"))
    if item is None:
        raise ValidationError("an interaction needs ITEM_ID (or ACTION_ID)", parameter="interactions")
    kind = row.get("eventtype")
    timestamp = number(row.get("timestamp"))
    return Interaction(
        user_id=str(row.get("userid", "")),
        item_id=str(item),
        timestamp=float("-inf") if timestamp is None else timestamp,
        event_type=None if kind is None else str(kind),
        event_value=number(row.get("eventvalue")),
    )


class History:
    """The most recent events of one user, by event type without regard to case.

    Events with the same type, item, time and value are the same event (guide, PutEvents).
    """

    def __init__(self, events: Iterable[Interaction], most: int) -> None:
        self._most = most
        self._count = 0
        self._by_type: dict[str, list[tuple[float, int, str, float | None]]] = {}
        for event in events:
            self.add(event)

    def add(self, event: Interaction) -> None:
        """Add an event; when its type is full, the oldest event of the type is dropped."""
        events = self._by_type.setdefault((event.event_type or "").casefold(), [])
        for position in range(bisect_left(events, (event.timestamp,)), len(events)):
            timestamp, _, item_id, value = events[position]
            if timestamp != event.timestamp:
                break
            if item_id == event.item_id and value == event.event_value:
                return
        self._count += 1
        insort(events, (event.timestamp, self._count, event.item_id, event.event_value))
        if len(events) > self._most:
            del events[0]

    def items(self, types: Iterable[str] | None) -> set[str]:
        """The items with an event of one of these types, given casefolded; ``None`` stands for any type."""
        chosen = self._by_type if types is None else types
        return {event[2] for kind in chosen for event in self._by_type.get(kind, ())}

    def types(self, item_id: str | None) -> set[str]:
        """The casefolded types of the events with an item; ``None`` stands for any item."""
        return {
            kind
            for kind, events in self._by_type.items()
            if events and (item_id is None or any(event[2] == item_id for event in events))
        }


class EventIndex:
    """The histories of all users, each built when first needed. Safe to share between threads."""

    _lock = forks.lock()

    def __init__(self, events: Iterable[Interaction], most: int) -> None:
        self._most = most
        self._waiting: Iterable[Interaction] | None = tuple(events)
        self._events: dict[str, list[Interaction]] = {}
        self._histories: dict[str, History] = {}

    def add(self, event: Interaction) -> None:
        """Add an event, for the requests after this call."""
        with self._lock:
            self._sort_waiting()
            history = self._histories.get(event.user_id)
            if history is None:
                self._events.setdefault(event.user_id, []).append(event)
            else:
                history.add(event)

    def items(self, user_id: str, types: Iterable[str] | None) -> set[str]:
        """The items with which a user has an event of these types: see :meth:`History.items`."""
        with self._lock:
            return self._history(user_id).items(types)

    def types(self, user_id: str, item_id: str | None) -> set[str]:
        """The types of a user's events with an item: see :meth:`History.types`."""
        with self._lock:
            return self._history(user_id).types(item_id)

    def _history(self, user_id: str) -> History:
        self._sort_waiting()
        history = self._histories.get(user_id)
        if history is None:
            history = History(self._events.get(user_id, ()), self._most)
            self._histories[user_id] = history
            # Only now: a child forked between the two steps would otherwise have neither.
            self._events.pop(user_id, None)
        return history

    def _sort_waiting(self) -> None:
        if self._waiting is not None:
            for event in self._waiting:
                self._events.setdefault(event.user_id, []).append(event)
            self._waiting = None


class TextIndex:
    """The set of rows that have each value."""

    def __init__(self, cells: Sequence[object]) -> None:
        self._size = len(cells)
        self._rows: dict[str, list[int]] = {}
        self._sets: dict[str, int] = {}
        present: list[int] = []
        for row, value in enumerate(cells):
            elements = texts(value)
            if elements:
                present.append(row)
                for element in elements:
                    self._rows.setdefault(element, []).append(row)
        self.present: int = bits(present, self._size)
        """The rows with a value."""

    def changed(self, before: Mapping[int, object], after: Mapping[int, object], size: int) -> TextIndex:
        """The index with other values of some rows.

        Args:
            before: Their values in this index, by row.
            after: Their values in the new one.
            size: The number of all rows.
        """
        index = copy(self)
        index._size, index._rows, index._sets = size, dict(self._rows), dict(self._sets)
        for row, value in before.items():
            bit = 1 << row
            index.present ^= index.present & bit
            for element in {*texts(value)}:
                index._rows[element] = [other for other in index._rows[element] if other != row]
                if element in index._sets:
                    index._sets[element] ^= bit
        for row, value in after.items():
            elements = {*texts(value)}
            bit = 1 << row if elements else 0
            index.present |= bit
            for element in elements:
                index._rows[element] = [*index._rows.get(element, ()), row]
                if element in index._sets:
                    index._sets[element] |= bit
        return index

    def having(self, values: Iterable[str]) -> int:
        """The rows with one of these values."""
        found = 0
        single: list[int] = []
        for value in values:
            rows = self._rows.get(value, ())
            if len(rows) < _KEPT_FROM:
                single += rows
            elif value in self._sets:
                found |= self._sets[value]
            else:
                self._sets[value] = kept = bits(rows, self._size)
                found |= kept
        return found | bits(single, self._size) if single else found


class NumberIndex:
    """The rows in the order of their numbers."""

    def __init__(self, cells: Sequence[object]) -> None:
        ordered = sorted(_numbered(enumerate(cells)))
        self._arrange([value for value, _ in ordered], [row for _, row in ordered], len(cells))

    def changed(self, before: Mapping[int, object], after: Mapping[int, object], size: int) -> NumberIndex:
        """The index with other values of some rows: see :meth:`TextIndex.changed`."""
        values, rows = [*self._values], [*self._rows]
        for value, row in _numbered(before.items()):
            place = rows.index(row, bisect_left(values, value))
            del values[place], rows[place]
        for value, row in _numbered(after.items()):
            place = bisect_right(values, value)
            values.insert(place, value)
            rows.insert(place, row)
        index = copy(self)
        index._arrange(values, rows, size)
        return index

    def _arrange(self, values: list[int | float], rows: list[int], size: int) -> None:
        self._size = size
        self._values = values
        self._rows = rows
        self._step = max(_KEPT_FROM, -(-len(rows) // _STEPS))
        kept = [0]
        for first in range(0, len(rows), self._step):
            kept.append(kept[-1] | bits(rows[first : first + self._step], size))
        self._kept = kept
        self.present: int = kept[-1]
        """The rows with a number."""

    def compared(self, operator: str, value: int | float) -> int:
        """The rows whose number is ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=`` the given one."""
        if operator in ("<", ">="):
            below = self._first(bisect_left(self._values, value))
            return below if operator == "<" else self.present ^ below
        upto = bisect_right(self._values, value)
        if operator in ("<=", ">"):
            below = self._first(upto)
            return below if operator == "<=" else self.present ^ below
        first = bisect_left(self._values, value, hi=upto)
        if upto - first <= self._step:
            equal = bits(self._rows[first:upto], self._size) if first < upto else 0
        else:
            equal = self._first(upto) ^ self._first(first)
        return equal if operator == "=" else self.present ^ equal

    def _first(self, count: int) -> int:
        """The *count* rows with the lowest numbers, made from the nearest kept set and the few rows that differ."""
        nearest = min((count + self._step // 2) // self._step, len(self._kept) - 1)
        at = min(nearest * self._step, len(self._rows))
        if at == count:
            return self._kept[nearest]
        between = self._rows[at:count] if at < count else self._rows[count:at]
        return self._kept[nearest] ^ bits(between, self._size)


def _numbered(cells: Iterable[tuple[int, object]]) -> list[tuple[int | float, int]]:
    """The numbers of cells, each with its row."""
    return [(found, row) for row, value in cells if (found := number(value)) is not None]


def bits(rows: Iterable[int], size: int) -> int:
    """Encode row numbers as one ``int``, a bit for each."""
    buffer = bytearray((size + 7) >> 3)
    for row in rows:
        buffer[row >> 3] |= 1 << (row & 7)
    return int.from_bytes(buffer, "little")


class Table:
    """A snapshot of the candidates. Immutable, except that indexes are added when first needed."""

    def __init__(self, rows: dict[str, Row], target: Target) -> None:
        self.rows = rows
        self.ids: tuple[str, ...] = tuple(rows)
        self.row_of: dict[str, int] = {row: position for position, row in enumerate(self.ids)}
        self.everything: int = (1 << len(rows)) - 1
        self.constant: dict[Hashable, int] = {}
        """The rows that match each condition without parameters, cached by the selectors."""
        self._id_column = ID_COLUMN[target]
        self._texts: dict[str, TextIndex] = {}
        self._numbers: dict[str, NumberIndex] = {}

    def texts(self, column: str) -> TextIndex:
        """The text index of a column."""
        column = column.upper()
        index = self._texts.get(column)
        if index is None:
            index = self._texts[column] = TextIndex(self._cells(column))
        return index

    def numbers(self, column: str) -> NumberIndex:
        """The number index of a column."""
        column = column.upper()
        index = self._numbers.get(column)
        if index is None:
            index = self._numbers[column] = NumberIndex(self._cells(column))
        return index

    def bits(self, ids: Iterable[str]) -> int:
        """Encode known ids as one ``int``, a bit for each; unknown ids are left out."""
        row_of = self.row_of
        return bits([row_of[item_id] for item_id in ids if item_id in row_of], len(self.ids))

    def changed(self, rows: Mapping[str, Row]) -> Table:
        """The table with other columns of some candidates, or with more of them, which come last.

        Its indexes are those of this table, but for the given rows.
        """
        table = copy(self)
        new = [id for id in rows if id not in self.row_of]
        table.rows = {**self.rows, **rows}
        table.ids = (*self.ids, *new)
        table.row_of = {**self.row_of, **{id: row for row, id in enumerate(new, len(self.ids))}}
        table.everything = (1 << len(table.ids)) - 1
        table.constant = {}
        known = [id for id in rows if id in self.row_of]
        size = len(table.ids)
        table._texts = {
            column: index.changed(self._cells_of(known, column), table._cells_of(rows, column), size)
            for column, index in tuple(self._texts.items())
        }
        table._numbers = {
            column: index.changed(self._cells_of(known, column), table._cells_of(rows, column), size)
            for column, index in tuple(self._numbers.items())
        }
        return table

    def _cells_of(self, ids: Iterable[str], column: str) -> dict[int, object]:
        """The values of a column, by row."""
        if column == self._id_column:
            return {self.row_of[id]: id for id in ids}
        return {self.row_of[id]: cell(self.rows[id], column) for id in ids}

    def _cells(self, column: str) -> list[object]:
        if column == self._id_column:
            return list(self.ids)
        return [cell(row, column) for row in self.rows.values()]


@attrs.define(init=False, repr=False, eq=False, slots=False)  # for the lock
class Catalogue:
    """Candidates with their columns, users, and events, for :meth:`FilterExpression.compile`.

    Safe to share between threads: a request sees the state before a change or after it, never in between.
    """

    target: Target
    table: Table
    events: EventIndex
    users: dict[str, Row]
    _lock = forks.lock()

    def __init__(
        self,
        rows: Mapping[str, Row],
        *,
        target: Target = "ItemID",
        users: Mapping[str, Row] | None = None,
        interactions: Iterable[Interaction] = (),
        interactions_per_type: int | None = None,
    ) -> None:
        """Load the data. Indexes are built when a filter first needs them.

        Args:
            rows: Candidate id to its columns; an empty row for candidates without metadata. The rows are not copied:
                call :meth:`put_rows` with new ones instead of changing them.
            target: The kind of candidates: ``"ItemID"``, ``"ActionID"`` or ``"UserID"``.
            users: User id to columns, for ``CurrentUser``.
            interactions: All events; for actions, ``item_id`` is the action.
            interactions_per_type: How many of a user's most recent events of one type are considered; by default
                the service's 100, and 300 for actions.
        """
        most = INTERACTIONS_PER_TYPE[target] if interactions_per_type is None else interactions_per_type
        self.target = target
        self.table = Table(dict(rows), target)
        self.events = EventIndex(interactions, most)
        self.users = dict(users or {})

    def add_interaction(self, interaction: Interaction) -> None:
        """Add an event, for the requests after this call."""
        self.events.add(interaction)

    def put_rows(self, rows: Mapping[str, Row]) -> None:
        """Add or replace candidates. Every call copies the table, so pass many candidates at once."""
        with self._lock:
            self.table = self.table.changed(rows)

    def put_users(self, users: Mapping[str, Row]) -> None:
        """Add or replace users."""
        with self._lock:
            self.users = {**self.users, **users}

    def __repr__(self) -> str:
        return f"<Catalogue of {len(self.table.ids):,} rows for {self.target}>"
