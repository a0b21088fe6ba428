"""The users and items of one dataset group, as the page lists them.

Each has a number, which stands in addresses in the place of its id. The same data give the same numbers, so that a link
to a user works for everybody who serves the same directory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate, chain, islice
from typing import TYPE_CHECKING, Any

import attrs

from personalize_rt import forks
from personalize_rt.filters.catalogue import texts
from personalize_rt.interactions import Interaction
from personalize_rt.local.control import DatasetGroup
from personalize_rt.local.datasets import EventLog, Table
from personalize_rt.local.engine import Engine, Resource
from personalize_rt.local.inside import inside

if TYPE_CHECKING:
    from personalize_rt.local.embedded import LocalPersonalize

__all__ = ["PAGE", "Found", "Group", "shown", "when"]

PAGE = 25
"""The rows of one page of a list."""
HISTORY = 100
# The most matches that are counted.
_COUNTED = 1_000
# The most users beside those of the data that get a number.
_NEWCOMERS = 10_000
_NEW = "new-"
_TITLES = ("title", "name")


@attrs.frozen
class Found:
    """One page of the matches of a search.

    Attributes:
        numbers: The numbers of its rows.
        page: The number of the page, from 1.
        total: The number of matches, as a text: above 1,000 they are not counted.
        more: Whether a page follows.
    """

    numbers: Sequence[int]
    page: int
    total: str
    more: bool


class _Index:
    """Texts to search in: one for each number, in one string, which is searched in a few milliseconds.

    Args:
        lines: The text of each number.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        folded = [line.casefold().replace("\n", " ") for line in lines]
        self._text = "\n".join(folded)
        self._starts = array("q", accumulate((len(line) + 1 for line in folded), initial=0))

    def search(self, words: str) -> Iterator[int]:
        """The numbers whose text has these words, as they stand, in order."""
        wanted, start = words.casefold(), 0
        while (at := self._text.find(wanted, start)) >= 0:
            number = bisect_right(self._starts, at) - 1
            yield number
            start = self._starts[number + 1]


@attrs.define(eq=False)
class _Listed:
    """The lists made of one state of the data."""

    datasets: object
    users: tuple[str, ...]
    user_numbers: dict[str, int]
    title: str | None
    user_index: _Index | None = None
    item_index: _Index | None = None
    item_values: dict[str, frozenset[str]] = attrs.field(factory=dict[str, frozenset[str]])


class Group:
    """One dataset group of the page. Safe to share between threads.

    Args:
        source: The embedded service, or a dataset group that requests made.
    """

    _lock = forks.lock()

    def __init__(self, source: LocalPersonalize | DatasetGroup) -> None:
        self._source = source
        self._newcomers: dict[str, str] = {}
        self._newcomer_keys: dict[str, str] = {}
        self._made: _Listed | None = None

    @property
    def local(self) -> LocalPersonalize | None:
        """The embedded service; ``None`` for a dataset group that requests made."""
        return None if isinstance(self._source, DatasetGroup) else self._source

    @property
    def held(self) -> DatasetGroup:
        """The dataset group itself, which is another one after a reload."""
        return self._source if isinstance(self._source, DatasetGroup) else inside(self._source).group

    @property
    def engine(self) -> Engine:
        """The engine, which is another one after a reload or an import."""
        return self.held.engine

    @property
    def name(self) -> str:
        """The name of the dataset group."""
        return self.held.name

    @property
    def resources(self) -> dict[str, Resource]:
        """The campaigns and recommenders by ARN."""
        now = self.engine.clock()
        return {arn: one.at(now) for arn, one in self.engine.resources.items()}

    @property
    def interactions(self) -> EventLog:
        """The item interactions."""
        return self.engine.datasets.interactions or EventLog()

    @property
    def item_rows(self) -> Table:
        """The metadata of the items."""
        return self.engine.datasets.items or Table()

    @property
    def event_trackers(self) -> Mapping[str, str]:
        """The tracking id of each event tracker, by name."""
        return {tracker.name: tracker.tracking_id for tracker in self.held.trackers}

    # Users.

    def users(self, words: str, page: int) -> Found:
        """Search users by id."""
        listed = self._listed()
        if not words:
            return _page(iter(range(len(listed.users))), page, len(listed.users))
        if listed.user_index is None:
            listed.user_index = _Index(listed.users)
        return _page(listed.user_index.search(words), page)

    def user_at(self, key: str) -> str | None:
        """The user of a key in an address; ``None`` if there is none."""
        if key.startswith(_NEW):
            return self._newcomers.get(key)
        number = _whole(key)
        users = self._listed().users
        return users[number] if number is not None and number < len(users) else None

    def key_of(self, user_id: str) -> str | None:
        """The key of a user in addresses; ``None`` if there are too many of whom the data know nothing."""
        number = self._listed().user_numbers.get(user_id)
        if number is not None:
            return str(number)
        with self._lock:
            key = self._newcomer_keys.get(user_id)
            if key is None and len(self._newcomers) < _NEWCOMERS:
                key = self._newcomer_keys[user_id] = f"{_NEW}{len(self._newcomers) + 1}"
                self._newcomers[key] = user_id
            return key

    def history(self, user_id: str) -> list[Interaction]:
        """The latest events of a user, newest first."""
        events = (*self.interactions.of_user(user_id), *self.engine.items.of_user(user_id))
        return sorted(events, key=lambda event: event.timestamp, reverse=True)[:HISTORY]

    def known(self, user_id: str) -> bool:
        """Tell whether the data, or events since, have a user."""
        return user_id in self._listed().user_numbers or bool(self.engine.items.of_user(user_id))

    # Items.

    def items(self, words: str, page: int) -> Found:
        """Search items by id and title; without words, all of them, those with most events first."""
        models = self.engine.models
        if not words:
            return _page(models.popular().pick(None), page, len(models.universe))
        return _page(self._item_index().search(words), page)

    def matching(self, candidates: Sequence[str], words: str) -> Iterator[str]:
        """The candidates of a filter whose id or title has these words, in order."""
        ids, index = self.engine.models.universe.ids, 0
        if candidates[: len(ids)] == ids:  # items, and after them what was put at run time
            yield from map(ids.__getitem__, self._item_index().search(words))
            index = len(ids)
        wanted = words.casefold()
        for id in islice(candidates, index, None):
            if wanted in f"{id} {self.title(id)}".casefold():
                yield id

    def _item_index(self) -> _Index:
        listed = self._listed()
        if listed.item_index is None:
            items = self.engine.datasets.items or Table()
            column = items.columns.get(listed.title or "")
            titles = {} if column is None else {id: shown(column[row]) for id, row in items.index.items()}
            titles.update((id, self.title(id)) for id in self.engine.added.of("items"))
            listed.item_index = _Index([f"{id} {titles.get(id, '')}" for id in self.engine.models.universe.ids])
        return listed.item_index

    def item_at(self, key: str) -> str | None:
        """The item of a number in an address; ``None`` if there is none."""
        number, ids = _whole(key), self.engine.models.universe.ids
        return ids[number] if number is not None and number < len(ids) else None

    def number_of(self, item_id: str) -> int | None:
        """The number of an item in addresses."""
        return self.engine.models.universe.numbers.get(item_id)

    def has_item(self, item_id: str) -> bool:
        """Tell whether the data have an item: in events, or with metadata."""
        return self.number_of(item_id) is not None or bool(self.row("items", item_id))

    def popular(self, count: int) -> list[str]:
        """The items with most events."""
        ids = self.engine.models.universe.ids
        return [ids[number] for number in islice(self.engine.models.popular().pick(None), count)]

    @property
    def title_column(self) -> str | None:
        """The column of the items that is called title or name."""
        return self._listed().title

    @property
    def item_columns(self) -> list[str]:
        """The other columns of the items."""
        return [name for name in self.item_rows.columns if name != self.title_column]

    def title(self, item_id: str) -> str:
        """The title of an item; empty if it has none."""
        column = self._listed().title
        return "" if column is None else shown(self.row("items", item_id).get(column))

    def row(self, dataset: str, id: str) -> Mapping[str, Any]:
        """The metadata of an item, a user or an action, with what was put since."""
        put = self.engine.added.of(dataset).get(id)
        if put is not None:
            return put
        table: Table | None = getattr(self.engine.datasets, dataset)
        return {} if table is None or id not in table else table[id]

    def item_values(self, column: str) -> frozenset[str] | None:
        """The values that items have in a column of texts; ``None`` if it is no such column.

        Args:
            column: The column, in any case.
        """
        field = self.item_rows.column(column)
        if field is None or field.type != "string":
            return None
        kept = self._listed().item_values
        if field.name not in kept:
            kept[field.name] = frozenset(chain.from_iterable(map(texts, self.item_rows.columns.get(field.name, ()))))
        added = self.engine.added.of("items").values()
        return kept[field.name].union(*(texts(row.get(field.name)) for row in added))

    def action_title(self, action_id: str) -> str:
        """The title of an action; empty if it has none."""
        row = self.row("actions", action_id)
        return shown(row.get(_title(row) or ""))

    def events_with(self, item_id: str) -> int:
        """The number of events with an item in the data as they were loaded."""
        number = self.number_of(item_id)
        return 0 if number is None else self.engine.models.counts[number]

    @property
    def event_types(self) -> list[str]:
        """The types of the events of the data."""
        return [name for name in self.interactions.types.names if name]

    # What is made once.

    def _listed(self) -> _Listed:
        datasets = self.engine.datasets
        made = self._made
        if made is None or made.datasets is not datasets:
            with self._lock:
                made = self._made = _list(datasets.interactions, datasets.users, datasets.action_interactions, datasets)
        return made


def _list(events: EventLog | None, users: Table | None, actions: EventLog | None, datasets: Any) -> _Listed:
    logs = (log.users for log in (events, actions) if log is not None)
    ids = tuple(dict.fromkeys(chain(*logs, users or ())))
    items: Table = datasets.items or Table()
    return _Listed(datasets, ids, {id: number for number, id in enumerate(ids)}, _title(items.columns))


def _title(columns: Mapping[str, Any]) -> str | None:
    return next((name for name in columns if name.lower() in _TITLES), None)


def _page(numbers: Iterator[int], page: int, total: int | None = None) -> Found:
    """Cut a page out of the matches, and count them up to a bound."""
    page = max(1, page)
    before = (page - 1) * PAGE
    passed = sum(1 for _ in islice(numbers, before))
    rows = list(islice(numbers, PAGE))
    after = sum(1 for _ in islice(numbers, _COUNTED if total is None else 1))
    found = passed + len(rows) + after
    text = f"more than {found - 1:,}" if total is None and after == _COUNTED else f"{total or found:,}"
    return Found(rows, page, text, after > 0)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def shown(value: object) -> str:
    """A value of a table as text: categories with commas, and nothing for a missing value."""
    if isinstance(value, str) and "|" in value:
        return ", ".join(texts(value))
    return "" if value is None else str(value)


def when(timestamp: float) -> str:
    """A Unix time in UTC, as ``2013-08-31 21:59``; empty for one that no calendar has."""
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return ""
