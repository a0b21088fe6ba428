"""The second task: lists as a page has them, to be ordered for one user at one moment.

A list has 100 candidates of another recommender, best first, which is as stale as such things are: it learned the
events up to the start of a period (a fiftieth of all events), and reads the user's history of the moment.

* *kNN*: items near the user's latest ones, by the cosine of items; filled up with trending ones.
* *trending*: the items with the most events, with a half-life of a week.
* *popular*: the first task's lists instead: the one item of an event among 99 others, in no order (``task.py``).

Where items are had again (more than a tenth of the events), a list may hold what the user had before; elsewhere not.
The user takes the items of the visit that starts with the event drawn: all within an hour. A list that holds none of
them is left out. Time runs forward only: the newest tenth of the events is the test, lists of the two tenths before it
are there to learn from.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from math import exp2, log2, sqrt
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import attrs

from benchmarks.quality.task import Event, drawn

__all__ = ["KINDS", "NEAREST", "Kind", "Page", "Pages", "gain"]

Kind = Literal["kNN", "trending", "popular"]
KINDS: tuple[Kind, ...] = ("kNN", "trending", "popular")

LENGTH = 100
CUTOFF = 10
VISIT = 3600.0  # seconds
PERIODS = 50
NEAREST = 300  # items that a row of co-occurrences keeps at the start of a period
WEEK = 7.0 * 86_400.0


@attrs.frozen
class Page:
    """One list, and what was taken of it.

    Attributes:
        index: The place of the visit's first event among all; what stands before it may be known.
        user: The user.
        time: The time of that event.
        items: The candidates, as the page had them.
        taken: The places of those that were taken.
    """

    index: int
    user: str
    time: float
    items: tuple[str, ...]
    taken: tuple[int, ...]


@attrs.frozen(repr=False)
class Pages:
    """All that the models get, the same for each.

    Attributes:
        events: All events, oldest first.
        test_start: Where the test starts among them.
        earlier: Lists to learn from, in order of time.
        test: Lists to order, in order of time.
    """

    events: Sequence[Event]
    test_start: int
    earlier: Sequence[Page]
    test: Sequence[Page]

    @classmethod
    def of(cls, events: Sequence[Event], kind: Kind, *, lists: int, seed: int) -> Pages:
        """Make up to ``lists`` lists for the test, and as many to learn from."""
        first, test = int(0.7 * len(events)), int(0.9 * len(events))
        chance = random.Random(seed)
        if kind == "popular":
            parts = [
                [
                    Page(case.index, events[case.index][0], events[case.index][2], case.candidates, (case.wanted,))
                    for case in part
                ]
                for part in (drawn(events, first, test, lists, chance), drawn(events, test, len(events), lists, chance))
            ]
            return cls(events, test, *parts)
        # More than are wanted: the taken item is in one of two to six.
        asked = {
            *chance.sample(range(first, test), min(4 * lists, test - first)),
            *chance.sample(range(test, len(events)), min(4 * lists, len(events) - test)),
        }
        found = list(_pages(events, kind, asked))
        parts = [[page for page in found if page.index < test], [page for page in found if page.index >= test]]
        earlier, last = (
            sorted(chance.sample(part, min(lists, len(part))), key=lambda page: page.index) for part in parts
        )
        return cls(events, test, earlier, last)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(attrs.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Pages:
        read: dict[str, Any] = json.loads(path.read_text())
        for name in ("earlier", "test"):
            read[name] = [
                Page(page["index"], page["user"], page["time"], tuple(page["items"]), tuple(page["taken"]))
                for page in read[name]
            ]
        read["events"] = [tuple(event) for event in read["events"]]
        return cls(**read)


def gain(scores: Sequence[float | None], taken: Sequence[int]) -> float:
    """The NDCG@10 of the order by score. Equal scores keep the order of the list; what has none comes last."""
    values = [float("-inf") if score is None else score for score in scores]
    if any(value != value for value in values):
        raise ValueError("a score is not a number")
    order = sorted(range(len(values)), key=lambda place: -values[place])[:CUTOFF]
    best = sum(1.0 / log2(rank + 2) for rank in range(min(CUTOFF, len(taken))))
    return sum(1.0 / log2(rank + 2) for rank, place in enumerate(order) if place in taken) / best


class _Recommender:
    """What the page asked for its list: co-occurrence counts and decayed popularity, as of the start of a period."""

    def __init__(self) -> None:
        self.together: dict[str, dict[str, float]] = {}
        self.had: Counter[str] = Counter()
        self.trend: dict[str, tuple[float, float]] = {}
        self.latest: dict[str, dict[str, None]] = {}
        self.trending: list[str] = []

    def learn(self, events: Sequence[Event]) -> None:
        for user, item, time, _ in events:
            self.had[item] += 1
            count, since = self.trend.get(item, (0.0, time))
            self.trend[item] = count * exp2((since - time) / WEEK) + 1.0, time
            latest = self.latest.setdefault(user, {})
            for other in list(latest)[-20:]:
                if other != item:
                    row, back = self.together.setdefault(item, {}), self.together.setdefault(other, {})
                    row[other] = row.get(other, 0.0) + 1.0
                    back[item] = back.get(item, 0.0) + 1.0
            latest.pop(item, None)
            latest[item] = None
        for item, row in self.together.items():
            if len(row) > NEAREST:
                self.together[item] = dict(nlargest(NEAREST, row.items(), key=itemgetter(1)))
        if events:
            now = events[-1][2]
            counts = {item: count * exp2((since - now) / WEEK) for item, (count, since) in self.trend.items()}
            self.trending = nlargest(10 * LENGTH, counts, key=counts.__getitem__)

    def items(self, kind: Kind, history: Mapping[str, None], again: bool) -> list[str]:
        near: dict[str, float] = {}
        if kind == "kNN":
            for item in list(history)[-20:]:
                for other, count in self.together.get(item, {}).items():
                    near[other] = near.get(other, 0.0) + count / sqrt(self.had[item] * self.had[other])
                if again:
                    near[item] = near.get(item, 0.0) + 1.0
        best = nlargest(LENGTH + len(history), near, key=near.__getitem__)
        wanted = (item for item in itertools.chain(best, self.trending) if again or item not in history)
        return list(itertools.islice(dict.fromkeys(wanted), LENGTH))


def _pages(events: Sequence[Event], kind: Kind, asked: set[int]) -> Iterator[Page]:
    again = _again(events)
    recommender = _Recommender()
    histories: dict[str, dict[str, None]] = {}
    visits: dict[str, list[Event]] = {}
    for event in events:
        visits.setdefault(event[0], []).append(event)
    done = dict.fromkeys(visits, 0)
    edges = {len(events) * n // PERIODS: len(events) * (n - 1) // PERIODS for n in range(1, PERIODS)}
    for index, (user, item, time, _) in enumerate(events):
        if index in edges:
            recommender.learn(events[edges[index] : index])
        history = histories.setdefault(user, {})
        if index in asked:
            now = {
                other
                for _, other, then, _ in itertools.takewhile(
                    lambda event: event[2] < time + VISIT,  # noqa: B023 (used at once)
                    itertools.islice(visits[user], done[user], None),
                )
                if again or other not in history
            }
            items = recommender.items(kind, history, again)
            taken = tuple(place for place, other in enumerate(items) if other in now)
            if 0 < len(taken) < len(items):
                yield Page(index, user, time, tuple(items), taken)
        done[user] += 1
        history.pop(item, None)
        history[item] = None


def _again(events: Sequence[Event]) -> bool:
    """Whether users have items again."""
    return len({event[:2] for event in events}) < 0.9 * len(events)
