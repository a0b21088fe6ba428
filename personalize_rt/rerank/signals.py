"""The signs of what a user wants next, kept up to date event by event.

Every signal of an item is known before the event that it foretells: an event is asked about first, and learned then.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, islice, repeat
from math import exp, exp2, inf, log
from typing import Any, TypeAlias, cast

import attrs

from personalize_rt.rerank.content import Catalogue
from personalize_rt.rerank.pairs import Pairs
from personalize_rt.rerank.storage import Column, finite, indexes, nonnegative, rows_of
from personalize_rt.rerank.training import Event

__all__ = ["SIGNALS", "Signals"]

_DAY = 86_400.0
_LATEST = 1e15  # seconds: later is as late as that, and earlier than its negative as early

# What an item is like, as of its own newest event: ln of its events, counted with half-lives in seconds, and plainly.
_BURST, _TREND, _SEASON = 0.25 * _DAY, 3.0 * _DAY, 30.0 * _DAY
# Idle time and age are logarithms; so many seconds are added first.
_IDLE, _IDLE_LONG, _AGE = 360.0, _DAY, 0.1 * _DAY

_KEPT = 200  # a user's latest distinct items
_JOIN = tuple(0.8**n for n in range(12))  # what a pair of an event with the latest items weighs, the newest first
_LEAD = (1.0, 1 / 2, 1 / 3)  # the same for pairs in order
_JOINED = _JOIN  # what the latest items weigh when they are looked up
_FOLLOWED = (1.0, 1 / 2, 1 / 4)
_JOIN_SMOOTHING, _LEAD_SMOOTHING = 0.3, 0.1
_TASTE = tuple(0.95**n for n in range(30))
_HABIT = 0.9  # what a habit keeps at each event
_SHORT = 3.0  # a history of so many items is half trusted
_USUAL_AGE = 13.9  # ln of ten days in seconds
_GONE = 16.0 - 10.0

_OF_ITEMS = ("burst", "trend", "season", "count", "idle", "idle_long", "age")
_OF_PAIRS = ("joined", "followed")

SIGNALS = (
    *_OF_ITEMS,
    *(f"{name}:away" for name in _OF_ITEMS),
    *(f"{name}:history" for name in _OF_ITEMS),
    *_OF_PAIRS,
    *(f"{name}:away" for name in _OF_PAIRS),
    "category",
    "number",
    "usual_count",
    "usual_age",
    "again",
    "again_lately",
)
"""The names of the signals. ``x:away`` is ``x`` times how long the user was away (ln of seconds, about -6 to 6), and
``x:history`` is ``x`` times ln of 1 + the number of items that the user is known to have had."""

_Item: TypeAlias = "tuple[float, float, float, float, float, float, int, int]"
"""Burst, trend, season, count; the times of the newest and the oldest event; set of categories, bin of the number."""


@attrs.define(eq=False, repr=False)
class _User:
    """The latest distinct items with their times, oldest first; and what the user's items used to be like."""

    items: dict[str, float]
    events: float = 0.0
    usual_count: float = 0.0
    usual_age: float = 0.0


@attrs.define(eq=False, repr=False)
class _Moment:
    """What is known of a user now, for some items."""

    away: float
    history: float
    trust: float
    usual_count: float
    usual_age: float
    joined: Sequence[float] | None
    followed: Sequence[float] | None
    category: Sequence[float] | None
    number: Sequence[float] | None
    again: Mapping[int, float]


@attrs.define(eq=False, repr=False)
class Signals:
    """The state from which signals come.

    Attributes:
        catalogue: What the items are like.
        neighbours: How many others an item is kept in pairs with.
    """

    catalogue: Catalogue
    neighbours: int
    now: float = attrs.field(default=-inf, init=False)
    start: float = attrs.field(default=inf, init=False)
    _items: dict[str, _Item] = attrs.field(factory=dict[str, "_Item"], init=False)
    # A user, or the number of one that is still packed.
    _users: dict[str, _User | int] = attrs.field(factory=dict[str, "_User | int"], init=False)
    _packed: Any = attrs.field(default=None, init=False)
    _joined: Pairs = attrs.field(init=False)
    _led: Pairs = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._joined, self._led = Pairs(self.neighbours), Pairs(self.neighbours)

    # Learning.

    def add(self, event: Event) -> None:
        """Take one event in."""
        timestamp, user_id, item_id = event
        timestamp = max(-_LATEST, min(_LATEST, timestamp))
        item = self._items[item_id] = self._grown(item_id, timestamp)
        self.catalogue.categories.add(item[6])
        self.catalogue.numbers.add(item[7])
        user = self._user(user_id)
        if user is None:
            user = self._users[user_id] = _User({})
        history = user.items
        newest = next(reversed(history), None)
        if newest is None or timestamp >= history[newest]:
            if newest is not None and newest != item_id:
                latest = [id for id in islice(reversed(history), len(_JOIN)) if id != item_id]
                self._joined.join(item_id, zip(latest, _JOIN, strict=False))
                self._led.lead(zip(latest, _LEAD, strict=False), item_id)
                history.pop(item_id, None)
            history[item_id] = timestamp
            user.events = _HABIT * user.events + 1.0
            user.usual_count = _HABIT * user.usual_count + item[3]
            user.usual_age = _HABIT * user.usual_age + log(timestamp - item[5] + _AGE)
        elif item_id not in history:
            history[item_id] = timestamp
            in_order = sorted(history.items(), key=lambda entry: entry[1])
            history.clear()
            history.update(in_order)
        if len(history) > _KEPT:
            del history[next(iter(history))]
        self.now = max(self.now, timestamp)
        self.start = min(self.start, timestamp)

    def _grown(self, item_id: str, timestamp: float) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            kinds, numbers = self.catalogue.categories.of, self.catalogue.numbers.of
            return 0.0, 0.0, 0.0, 0.0, timestamp, timestamp, kinds.get(item_id, 0), numbers.get(item_id, 0)
        burst, trend, season, count, last, first, kind, bin = item
        gap = timestamp - last
        if gap >= 0.0:
            burst = log(exp(burst) * exp2(-gap / _BURST) + 1.0)
            trend = log(exp(trend) * exp2(-gap / _TREND) + 1.0)
            season = log(exp(season) * exp2(-gap / _SEASON) + 1.0)
            last = timestamp
        else:
            burst = log(exp(burst) + exp2(gap / _BURST))
            trend = log(exp(trend) + exp2(gap / _TREND))
            season = log(exp(season) + exp2(gap / _SEASON))
            first = min(first, timestamp)
        return burst, trend, season, log(exp(count) + 1.0), last, first, kind, bin

    def _user(self, user_id: str) -> _User | None:
        user = self._users.get(user_id)
        if isinstance(user, int):
            user = self._users[user_id] = self._packed.user(user)
        return user

    # Asking.

    def has(self, item_id: str) -> bool:
        """Whether an item had an event."""
        return item_id in self._items

    def _found(self, item_ids: Sequence[str]) -> list[_Item | None]:
        """The items. One that had no event, but is in the catalogue, is like one of a single event, the oldest of all."""
        found = list(map(self._items.get, item_ids))
        if None in found and self._items:
            kinds, numbers, start = self.catalogue.categories.of, self.catalogue.numbers.of, self.start
            for n, item in enumerate(found):
                if item is None and (id := item_ids[n]) in kinds:
                    found[n] = 0.0, 0.0, 0.0, 0.0, start, start, kinds[id], numbers.get(id, 0)
        return found

    def logits(self, user_id: str, item_ids: Sequence[str], weights: Sequence[float]) -> list[float | None]:
        """The weighted sums of an item's signals; ``None`` for an item that is not known at all."""
        found = self._found(item_ids)
        if None in found:
            known = [id for id, item in zip(item_ids, found, strict=True) if item is not None]
            logits = iter(self._mixed(user_id, known, [item for item in found if item is not None], weights))
            return [None if item is None else next(logits) for item in found]
        return list(self._mixed(user_id, item_ids, cast("list[_Item]", found), weights))

    def _mixed(
        self, user_id: str, item_ids: Sequence[str], items: Sequence[_Item], weights: Sequence[float]
    ) -> list[float]:
        at = self._moment(user_id, item_ids, items)
        away, long = at.away, at.history
        b, t, s, c, i, il, a = [
            w + away * w_away + long * w_long
            for w, w_away, w_long in zip(weights[:7], weights[7:14], weights[14:21], strict=True)
        ]
        joined, followed, joined_away, followed_away, category, number, usual_count, usual_age, again, lately = weights[
            21:
        ]
        a += usual_age * at.usual_age
        off, usual = usual_count * at.trust, at.usual_count
        idle, idle_long, age = self.now + _IDLE, self.now + _IDLE_LONG, self.now + _AGE
        logits = [
            b * burst
            + t * trend
            + s * season
            + c * count
            + i * log(idle - last)
            + il * log(idle_long - last)
            + a * log(age - first)
            - off * abs(usual - count)
            for burst, trend, season, count, last, first, _, _ in items
        ]
        for column, weight in (
            (at.joined, joined + away * joined_away),
            (at.followed, followed + away * followed_away),
            (at.category, category),
            (at.number, number),
        ):
            if column is not None:
                logits = [logit + weight * value for logit, value in zip(logits, column, strict=True)]
        for n, since in at.again.items():
            logits[n] += again + lately * since
        return logits

    def rows(self, user_id: str, item_ids: Sequence[str]) -> list[tuple[float, ...]]:
        """The signals of each item, in the order of :data:`SIGNALS`; the items must be known."""
        items = cast("list[_Item]", self._found(item_ids))
        at = self._moment(user_id, item_ids, items)
        away, long = at.away, at.history
        nothing = [0.0] * len(items)
        rows: list[tuple[float, ...]] = []
        for n, (item, joined, followed, category, number) in enumerate(
            zip(
                items,
                at.joined or nothing,
                at.followed or nothing,
                at.category or nothing,
                at.number or nothing,
                strict=True,
            )
        ):
            age = log(self.now + _AGE - item[5])
            own = (*item[:4], log(self.now + _IDLE - item[4]), log(self.now + _IDLE_LONG - item[4]), age)
            rows.append(
                (
                    *own,
                    *[away * value for value in own],
                    *[long * value for value in own],
                    joined,
                    followed,
                    away * joined,
                    away * followed,
                    category,
                    number,
                    -at.trust * abs(at.usual_count - item[3]),
                    at.usual_age * age,
                    1.0 if n in at.again else 0.0,
                    at.again.get(n, 0.0),
                )
            )
        return rows

    def _moment(self, user_id: str, item_ids: Sequence[str], items: Sequence[_Item]) -> _Moment:
        user = self._user(user_id)
        if user is None:
            return _Moment(_GONE, 0.0, 0.0, 0.0, 0.0, None, None, None, None, {})
        history = user.items
        latest = list(islice(reversed(history), len(_TASTE)))
        trust = len(history) / (len(history) + _SHORT)
        usual_age = user.usual_age / user.events if user.events else _USUAL_AGE
        categories, numbers = self.catalogue.categories, self.catalogue.numbers
        kinds = [(kind, weight) for id, weight in zip(latest, _TASTE, strict=False) if (kind := categories.of.get(id))]
        bins = [(bin, weight) for id, weight in zip(latest, _TASTE, strict=False) if (bin := numbers.of.get(id))]
        category = number = None
        if kinds:
            of_item = [item[6] for item in items]
            category = list(map(categories.likings(kinds, set(of_item)).__getitem__, of_item))
        if bins:
            of_item = [item[7] for item in items]
            number = list(map(numbers.likings(bins, set(of_item)).__getitem__, of_item))
        now = self.now
        return _Moment(
            min(log(now - history[latest[0]] + 60.0) - 10.0, _GONE),
            log(1.0 + len(history)),
            trust,
            user.usual_count / user.events if user.events else 0.0,
            trust * (usual_age - _USUAL_AGE),
            self._joined.lifts(zip(latest, _JOINED, strict=False), item_ids, _JOIN_SMOOTHING),
            self._led.lifts(zip(latest, _FOLLOWED, strict=False), item_ids, _LEAD_SMOOTHING),
            category,
            number,
            {n: log(now - history[id] + _AGE) for n, id in enumerate(item_ids) if id in history},
        )
