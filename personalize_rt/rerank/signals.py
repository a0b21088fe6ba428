"""The signals of :class:`EnsembleScorer`, updated event by event.

Signals for predicting an event are computed before the event is learned.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import accumulate, islice
from math import exp, exp2, inf, log, sqrt
from operator import itemgetter
from typing import Any, TypeAlias, cast

import attrs

from personalize_rt.rerank.content import Catalogue, Categories, Numbers
from personalize_rt.rerank.pairs import Pairs
from personalize_rt.rerank.storage import Column, finite, indexes, nonnegative, rows_of, texts, within
from personalize_rt.rerank.training import Event

__all__ = ["SIGNALS", "Signals"]

_DAY = 86_400.0
_LATEST = 1e15  # seconds; timestamps are clamped to ± this

# Half-lives, in seconds, of an item's event counts (as of its own newest event).
_TREND, _SEASON = 3.0 * _DAY, 30.0 * _DAY
# Seconds added to idle time and age before the logarithm is taken.
_IDLE, _AGE = 360.0, 0.1 * _DAY

_KEPT = 200  # a user's latest distinct items
# Weights of the pairs of a new event with the user's latest items, newest first: in both directions, and in order.
_JOIN, _LEAD = tuple((1 + n) ** -0.5 for n in range(30)), (1.0, 1 / 2, 1 / 3)
# Weights of the user's latest items, newest first, when pairs are looked up.
_JOINED = tuple(0.8**n if n < 12 else 0.0 for n in range(20))
_ALIKE = tuple(0.97**n for n in range(20))
_FOLLOWED, _NOT_ALIKE = (1.0, 1 / 2, 1 / 4), (0.0, 0.0, 0.0)
_JOIN_SMOOTHING, _LEAD_SMOOTHING = 0.3, 0.1
_TASTE = tuple(0.95**n for n in range(30))
_HABIT = 0.9  # decay of a user's usual count and age at each event
_SHORT = 3.0  # length of a history that gets half the trust
_USUAL_AGE = 13.9  # ln of ten days in seconds
_GONE = 6.0  # longest absence, four months: ln of its seconds, minus 10
_MOST = 50.0  # ln of the most events

_GAP = 60.0  # seconds added to a gap before the logarithm is taken
_FAR_OFF = 5.0  # most of *early* and *late*
_DUE = 2.0  # weight of an item's usual gap beside the user's own gaps, and of everybody's beside the item's
# The latest users of an item that are kept (up to twice as many between two prunings), the user's latest items by which
# neighbours are found, with their weights, and how many of the nearest are asked.
_TAKERS, _IN_COMMON, _NEAREST = 20, tuple(0.7**n for n in range(6)), 30
_OF_A_NEIGHBOUR = 30  # latest items
_NEIGHBOURS_SCALE = 3.0

_OF_ITEMS = ("trend", "season", "count", "idle", "age")
_OF_PAIRS = ("joined", "alike", "followed")

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
    "times",
    "returning",
    "early",
    "late",
    "alike_last",
    "neighbours",
    "times:returning",
    "times:early",
    "times:late",
    "returning:early",
    "returning:late",
)
"""The names of the signals. ``x:away`` is ``x`` times the user's absence (ln of seconds, minus 10: about -6 to 6),
``x:history`` is ``x`` times ln of 1 + the number of items in the user's history, and others ``x:y`` are ``x`` times
``y``."""

_NEVER = (0.0, 0.0, 0.0, 0.0)
_NO_RETURNS = (0.0, 0.0)

_Item: TypeAlias = "tuple[float, float, float, float, float, int, int, int]"
"""Trend, season, count; times of the newest and the oldest event; index of the set of categories, bin of the number;
and the number that the item has in histories and pairs, -1 for one without events."""


@attrs.define(eq=False, repr=False)
class _User:
    """The latest distinct items with their times, oldest first; and averages over all of the user's items."""

    items: dict[int, float]
    events: float = 0.0
    usual_count: float = 0.0
    usual_age: float = 0.0
    # Of an item that was had more than once: how often, and the time of the first event.
    again: dict[int, tuple[int, float]] | None = None


@attrs.define(eq=False, repr=False)
class _PackedUsers:
    """Users in a file's columns. Each is unpacked when first needed, since most never are."""

    ends: Sequence[int]
    items: Column
    times: Column
    habits: Column
    # Of the items that were had more than once.
    again_ends: Sequence[int]
    again_items: Column
    again_counts: Column
    again_firsts: Column

    def user(self, number: int) -> _User:
        start, end = self.ends[number - 1] if number else 0, self.ends[number]
        items = self.items[start:end]
        a, b = self.again_ends[number - 1] if number else 0, self.again_ends[number]
        again: dict[int, tuple[int, float]] = {
            item: (count, first)
            for item, count, first in zip(
                self.again_items[a:b], self.again_counts[a:b], self.again_firsts[a:b], strict=True
            )
        }
        events, count, age = self.habits[3 * number : 3 * number + 3]
        return _User(dict(zip(items, self.times[start:end], strict=True)), events, count, age, again or None)

    def latest(self, number: int) -> Column:
        """A user's latest items, without unpacking the rest."""
        start, end = self.ends[number - 1] if number else 0, self.ends[number]
        return self.items[max(start, end - _OF_A_NEIGHBOUR) : end]


@attrs.define(eq=False, repr=False)
class _Moment:
    """The state of a user now, and the signals of some items for the user."""

    away: float
    history: float
    trust: float
    usual_count: float
    usual_age: float
    joined: Mapping[int, float]
    alike: Mapping[int, float]
    followed: Mapping[int, float]
    category: Mapping[int, float] | None
    number: Mapping[int, float] | None
    again: Mapping[int, float]
    returns: Mapping[int, tuple[float, float, float, float]]
    alike_last: Mapping[int, float]
    neighbours: Mapping[int, float]


@attrs.define(eq=False, repr=False)
class Signals:
    """The state that signals are computed from.

    Attributes:
        catalogue: The metadata of items.
        neighbours: The number of other items with which an item's pairs are kept.
    """

    catalogue: Catalogue
    neighbours: int
    now: float = attrs.field(default=-inf, init=False)
    start: float = attrs.field(default=inf, init=False)
    _items: dict[str, _Item] = attrs.field(factory=dict[str, "_Item"], init=False)
    # The items by their numbers, which histories and pairs hold: those with events, and those of the file.
    _ids: list[str] = attrs.field(factory=list[str], init=False)
    # The numbers of those of the file that had no event yet.
    _reserved: dict[str, int] = attrs.field(factory=dict[str, int], init=False)
    # A user, or the number of a packed user.
    _users: dict[str, _User | int] = attrs.field(factory=dict[str, "_User | int"], init=False)
    _packed: _PackedUsers | None = attrs.field(default=None, init=False)
    _joined: Pairs = attrs.field(init=False)
    _led: Pairs = attrs.field(init=False)
    # Item to the number of its events with a user that had had it, and the sum of ln of the seconds in between.
    _returns: dict[int, tuple[float, float]] = attrs.field(factory=dict[int, "tuple[float, float]"], init=False)
    _all_returns: tuple[float, float] = attrs.field(default=(0.0, 0.0), init=False)
    _events: float = attrs.field(default=0.0, init=False)
    # Item to its latest users, newest last.
    _takers: dict[int, list[str]] = attrs.field(factory=dict[int, "list[str]"], init=False)

    def __attrs_post_init__(self) -> None:
        self._joined, self._led = Pairs(self.neighbours, _JOIN), Pairs(self.neighbours, _LEAD)

    # Learning.

    def add(self, event: Event) -> None:
        """Learn one event."""
        timestamp, user_id, item_id = event
        timestamp = max(-_LATEST, min(_LATEST, timestamp))
        item = self._items[item_id] = self._grown(item_id, timestamp)
        self.catalogue.categories.add(item[5])
        self.catalogue.numbers.add(item[6])
        number = item[7]
        user = self._user(user_id)
        if user is None:
            user = self._users[user_id] = _User({})
        history = user.items
        newest = next(reversed(history), None)
        self._events += 1.0
        if newest is None or timestamp >= history[newest]:
            before = history.get(number)
            if before is None:
                takers = self._takers.get(number)
                if takers is None:
                    self._takers[number] = [user_id]
                else:
                    takers.append(user_id)
                    if len(takers) >= 2 * _TAKERS:
                        del takers[:_TAKERS]
            else:
                self._came_again(user, number, before, timestamp)
            if newest is not None and newest != number:
                latest = [one for one in islice(reversed(history), len(_JOIN)) if one != number]
                self._joined.join(number, latest)
                self._led.lead(latest[: len(_LEAD)], number)
                history.pop(number, None)
            history[number] = timestamp
            user.events = _HABIT * user.events + 1.0
            user.usual_count = _HABIT * user.usual_count + item[2]
            user.usual_age = _HABIT * user.usual_age + log(timestamp - item[4] + _AGE)
        elif number not in history:
            history[number] = timestamp
            in_order = sorted(history.items(), key=lambda entry: entry[1])
            history.clear()
            history.update(in_order)
        if len(history) > _KEPT:
            oldest = next(iter(history))
            del history[oldest]
            if user.again:
                user.again.pop(oldest, None)
        self.now = max(self.now, timestamp)
        self.start = min(self.start, timestamp)

    def settle(self) -> None:
        """Finish what learning put off. For rankings it makes no difference, but that they take less time."""
        self._joined.settle()
        self._led.settle()

    def _came_again(self, user: _User, number: int, before: float, timestamp: float) -> None:
        gap = log(timestamp - before + _GAP)
        count, total = self._returns.get(number, _NO_RETURNS)
        self._returns[number] = count + 1.0, total + gap
        count, total = self._all_returns
        self._all_returns = count + 1.0, total + gap
        if user.again is None:
            user.again = {}
        times, first = user.again.get(number, (1, before))
        user.again[number] = times + 1, first

    def _grown(self, item_id: str, timestamp: float) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            kinds, numbers = self.catalogue.categories.of, self.catalogue.numbers.of
            kind, bin = kinds.get(item_id, 0), numbers.get(item_id, 0)
            return 0.0, 0.0, 0.0, timestamp, timestamp, kind, bin, self._numbered(item_id)
        trend, season, count, last, first, kind, bin, number = item
        gap = timestamp - last
        if gap >= 0.0:
            trend = log(exp(trend) * exp2(-gap / _TREND) + 1.0)
            season = log(exp(season) * exp2(-gap / _SEASON) + 1.0)
            last = timestamp
        else:
            trend = log(exp(trend) + exp2(gap / _TREND))
            season = log(exp(season) + exp2(gap / _SEASON))
            first = min(first, timestamp)
        return trend, season, log(exp(count) + 1.0), last, first, kind, bin, number

    def _numbered(self, item_id: str) -> int:
        """A number for an item that has its first event."""
        if item_id in self._reserved:
            return self._reserved.pop(item_id)
        self._ids.append(item_id)
        self._joined.grow()
        self._led.grow()
        return len(self._ids) - 1

    def _user(self, user_id: str) -> _User | None:
        user = self._users.get(user_id)
        if isinstance(user, int):
            user = self._users[user_id] = cast("_PackedUsers", self._packed).user(user)
        return user

    # Asking.

    def has(self, item_id: str) -> bool:
        """Tell whether an item has had an event."""
        return item_id in self._items

    def knows(self, item_id: str) -> bool:
        """Tell whether an item can be scored: it has had an event, or is in the catalogue."""
        return item_id in self._items or (bool(self._items) and item_id in self.catalogue.categories.of)

    def _found(self, item_ids: Sequence[str]) -> list[_Item | None]:
        """Look up items. One without events counts as having a single, oldest one if it is in the catalogue."""
        found = list(map(self._items.get, item_ids))
        if None in found and self._items:
            kinds, numbers, created = self.catalogue.categories.of, self.catalogue.numbers.of, self.catalogue.created
            for n, item in enumerate(found):
                if item is None and (id := item_ids[n]) in kinds:
                    since = min(max(created.get(id, self.start), self.start), self.now)
                    found[n] = 0.0, 0.0, 0.0, since, since, kinds[id], numbers.get(id, 0), -1
        return found

    def logits(self, user_id: str, item_ids: Sequence[str], weights: Sequence[float]) -> list[float | None]:
        """The weighted sum of each item's signals; ``None`` for an unknown item."""
        found = self._found(item_ids)
        if None in found:
            logits = iter(self._mixed(user_id, [item for item in found if item is not None], weights))
            return [None if item is None else next(logits) for item in found]
        return list(self._mixed(user_id, cast("list[_Item]", found), weights))

    def _mixed(self, user_id: str, items: Sequence[_Item], weights: Sequence[float]) -> list[float]:
        at = self._moment(user_id, items)
        away, long = at.away, at.history
        n = len(_OF_ITEMS)
        t, s, c, i, a = [
            weight + away * when_away + long * with_history
            for weight, when_away, with_history in zip(
                weights[:n], weights[n : 2 * n], weights[2 * n : 3 * n], strict=True
            )
        ]
        joined, alike, followed, joined_away, alike_away, followed_away, w_category, w_number, *rest = weights[3 * n :]
        usual_count, usual_age, again, lately, times, returning, early, late, alike_last, neighbours, *rest = rest
        times_returning, times_early, times_late, returning_early, returning_late = rest
        a += usual_age * at.usual_age
        off, usual = usual_count * at.trust, at.usual_count
        idle, age = self.now + _IDLE, self.now + _AGE
        category, number = at.category, at.number
        if category is None or number is None:
            logits = [
                t * trend + s * season + c * count + i * log(idle - last) + a * log(age - first)
                - off * abs(usual - count)
                for trend, season, count, last, first, _, _, _ in items
            ]  # fmt: skip
        else:
            # Weighted once for each kind, since items share few kinds.
            liked = {kind: w_category * value for kind, value in category.items()}
            near = {bin: w_number * value for bin, value in number.items()}
            logits = [
                t * trend + s * season + c * count + i * log(idle - last) + a * log(age - first)
                - off * abs(usual - count) + liked[kind] + near[bin]
                for trend, season, count, last, first, kind, bin, _ in items
            ]  # fmt: skip
        for lifts, weight in (
            (at.joined, joined + away * joined_away),
            (at.alike, alike + away * alike_away),
            (at.followed, followed + away * followed_away),
            (at.alike_last, alike_last),
            (at.neighbours, neighbours),
        ):
            for place, lift in lifts.items():
                logits[place] += weight * lift
        for place, since in at.again.items():
            how_often, rate, too_early, too_late = at.returns[place]
            logits[place] += (
                again
                + lately * since
                + (times + times_returning * rate) * how_often
                + returning * rate
                + (early + times_early * how_often + returning_early * rate) * too_early
                + (late + times_late * how_often + returning_late * rate) * too_late
            )
        return logits

    def rows(self, user_id: str, item_ids: Sequence[str]) -> list[tuple[float, ...]]:
        """The signals of each item, in the order of :data:`SIGNALS`; the items must be known."""
        items = cast("list[_Item]", self._found(item_ids))
        at = self._moment(user_id, items)
        away, long = at.away, at.history
        rows: list[tuple[float, ...]] = []
        for place, item in enumerate(items):
            trend, season, count, last, first, kind, bin, _ = item
            how_often, rate, too_early, too_late = at.returns.get(place, _NEVER)
            age = log(self.now + _AGE - first)
            own = (trend, season, count, log(self.now + _IDLE - last), age)
            joined, alike, followed = [lifts.get(place, 0.0) for lifts in (at.joined, at.alike, at.followed)]
            rows.append(
                (
                    *own,
                    *[away * value for value in own],
                    *[long * value for value in own],
                    joined,
                    alike,
                    followed,
                    away * joined,
                    away * alike,
                    away * followed,
                    0.0 if at.category is None else at.category[kind],
                    0.0 if at.number is None else at.number[bin],
                    -at.trust * abs(at.usual_count - count),
                    at.usual_age * age,
                    1.0 if place in at.again else 0.0,
                    at.again.get(place, 0.0),
                    how_often,
                    rate,
                    too_early,
                    too_late,
                    at.alike_last.get(place, 0.0),
                    at.neighbours.get(place, 0.0),
                    how_often * rate,
                    how_often * too_early,
                    how_often * too_late,
                    rate * too_early,
                    rate * too_late,
                )
            )
        return rows

    def _moment(self, user_id: str, items: Sequence[_Item]) -> _Moment:
        user = self._user(user_id)
        if user is None:
            return _Moment(_GONE, 0.0, 0.0, 0.0, 0.0, {}, {}, {}, None, None, {}, {}, {}, {})
        now, history = self.now, user.items
        latest = list(islice(reversed(history), len(_TASTE)))
        numbers = [item[7] for item in items]
        places = dict(zip(numbers, range(len(numbers)), strict=True))
        spots = dict(zip(numbers, range(1, len(numbers) + 1), strict=True))
        trust = len(history) / (len(history) + _SHORT)
        habit = user.events or 1.0
        lifts, likeness, to_the_last = self._joined.kin(
            zip(latest, _JOINED, _ALIKE, strict=False), numbers, spots, _JOIN_SMOOTHING
        )
        again = {places[number]: number for number in history.keys() & places.keys()}
        return _Moment(
            min(log(now - history[latest[0]] + 60.0) - 10.0, _GONE),
            log(1.0 + len(history)),
            trust,
            user.usual_count / habit,
            trust * (user.usual_age / habit - _USUAL_AGE),
            lifts,
            likeness,
            self._led.kin(zip(latest, _FOLLOWED, _NOT_ALIKE, strict=False), numbers, spots, _LEAD_SMOOTHING)[0],
            *self._tastes(latest, items),
            {place: log(now - history[number] + _AGE) for place, number in again.items()},
            {place: self._return(user, number, items[place][2]) for place, number in again.items()},
            to_the_last,
            self._of_neighbours(user_id, latest, places),
        )

    def _return(self, user: _User, number: int, count: float) -> tuple[float, float, float, float]:
        """The signals *times*, *returning*, *early* and *late* of an item that the user had.

        The usual gap is the user's own, held by that of the item, which is held by that of all.
        """
        times, first = (user.again or {}).get(number, (1, 0.0))
        all_returns, all_gaps = self._all_returns
        if not all_returns:
            return _NEVER
        returns, gaps = self._returns.get(number, _NO_RETURNS)
        rate = all_returns / self._events
        returning = log((returns + _DUE * rate) / (exp(count) + _DUE) / rate)
        last = user.items[number]
        usual = (gaps + _DUE * all_gaps / all_returns) / (returns + _DUE)
        if times > 1:
            own = log(max(0.0, last - first) / (times - 1) + _GAP)
            usual = ((times - 1) * own + _DUE * usual) / (times - 1 + _DUE)
        off = max(-_FAR_OFF, min(_FAR_OFF, log(self.now - last + _GAP) - usual))
        return log(times), returning, max(0.0, -off), max(0.0, off)

    def _of_neighbours(self, user_id: str, latest: Sequence[int], places: Mapping[int, int]) -> dict[int, float]:
        """The weight of items with those who share the user's latest ones: ln (1 + 3 · sum of their weights)."""
        shared: dict[str, float] = {}
        for number, weight in zip(latest, _IN_COMMON, strict=False):
            for other in self._takers.get(number, ()):
                shared[other] = shared.get(other, 0.0) + weight
        shared.pop(user_id, None)
        nearest: Iterable[tuple[str, float]] = shared.items()
        if len(shared) > _NEAREST:
            nearest = nlargest(_NEAREST, nearest, key=itemgetter(1))
        taken: dict[int, float] = {}
        wanted = places.keys()
        for other, weight in nearest:
            user = self._users[other]
            if isinstance(user, int):
                items: Sequence[int] = cast("_PackedUsers", self._packed).latest(user)
            else:
                items = list(islice(reversed(user.items), _OF_A_NEIGHBOUR))
            weight /= sqrt(len(items))
            for number in wanted & items:
                taken[number] = taken.get(number, 0.0) + weight
        return {places[number]: log(1.0 + _NEIGHBOURS_SCALE * weight) for number, weight in taken.items()}

    def _tastes(
        self, latest: Sequence[int], items: Sequence[_Item]
    ) -> tuple[Mapping[int, float] | None, Mapping[int, float] | None]:
        """The user's liking for the items' sets of categories, and for the bins of their numbers."""
        ids = self._ids
        own = [(self._items[ids[number]], weight) for number, weight in zip(latest, _TASTE, strict=False)]
        kinds = [(item[5], weight) for item, weight in own if item[5]]
        bins = [(item[6], weight) for item, weight in own if item[6]]
        if not kinds and not bins:
            return None, None
        wanted = {item[5] for item in items}
        category = self.catalogue.categories.likings(kinds, wanted) if kinds else dict.fromkeys(wanted, 0.0)
        wanted = {item[6] for item in items}
        number = self.catalogue.numbers.likings(bins, wanted) if bins else dict.fromkeys(wanted, 0.0)
        return category, number

    # Files.

    def stored(self) -> tuple[dict[str, object], dict[str, Column]]:
        """The content and the columns for a file."""
        categories, numbers = self.catalogue.categories, self.catalogue.numbers
        # All ids, in an order that depends on the events alone: mostly that of the numbers.
        ids = list(dict.fromkeys([*self._items, *categories.of]))
        places = {id: place for place, id in enumerate(ids)}
        same = ids[: len(self._ids)] == self._ids
        place_of = range(len(self._ids)) if same else array("I", map(places.__getitem__, self._ids))
        order: list[int | None] = [None] * len(ids)
        for number, place in enumerate(place_of):
            order[place] = number
        users = list(self._users)
        lengths, items, times, habits = array("I"), array("I"), array("d"), array("d")
        again_lengths, again_items, again_counts, again_firsts = array("I"), array("I"), array("I"), array("d")
        for user_id in users:
            user = cast("_User", self._user(user_id))
            lengths.append(len(user.items))
            items.extend(user.items if same else map(place_of.__getitem__, user.items))
            times.extend(user.items.values())
            habits.extend((user.events, user.usual_count, user.usual_age))
            again = user.again or {}
            again_lengths.append(len(again))
            for number, (count, first) in again.items():
                again_items.append(place_of[number])
                again_counts.append(count)
                again_firsts.append(first)
        numbered = dict(zip(users, range(len(users)), strict=True))
        takers = [() if number is None else self._takers.get(number, ()) for number in order]
        returns = [_NO_RETURNS if number is None else self._returns.get(number, _NO_RETURNS) for number in order]
        created = self.catalogue.created
        content: dict[str, object] = {
            "items": ids,
            "seen": len(self._items),
            "users": users,
            "sets": categories.sets,
            "counts": categories.counts,
        }
        columns: dict[str, Column] = {
            "item.states": array("d", [value for item in self._items.values() for value in item[:5]]),
            "item.sets": array("I", [categories.of.get(id, 0) for id in ids]),
            "item.bins": array("I", [numbers.of.get(id, 0) for id in ids]),
            "item.listed": array("B", [id in categories.of for id in ids]),
            "near": array("d", numbers.near),
            "totals": array("d", [categories.total, numbers.total]),
            "user.lengths": lengths,
            "user.items": items,
            "user.times": times,
            "user.habits": habits,
            "again.lengths": again_lengths,
            "again.items": again_items,
            "again.counts": again_counts,
            "again.firsts": again_firsts,
            "returns": array("d", [value for entry in returns for value in entry]),
            "returns.all": array("d", [*self._all_returns, self._events]),
            "takers.lengths": array("I", map(len, takers)),
            "takers.users": array("I", [numbered[user_id] for row in takers for user_id in row]),
            "created.items": array("I", [places[id] for id in created if id in places]),
            "created.times": array("d", [time for id, time in created.items() if id in places]),
            **self._joined.columns("joined", order, None if same else place_of),
            **self._led.columns("led", order, None if same else place_of),
        }
        if self._items:
            columns["span"] = array("d", [self.start, self.now])
        return content, columns

    @classmethod
    def restored(cls, neighbours: int, content: Mapping[str, Any], columns: Mapping[str, Column]) -> Signals:
        """Restore the state from what :meth:`stored` gave.

        Raises:
            ValueError, KeyError, TypeError: The parts do not fit together.
        """
        ids, users = texts(content["items"]), texts(content["users"])
        states = finite(columns["item.states"], 5 * content["seen"])
        seen = ids[: content["seen"]]
        sets = [tuple(texts(names)) for names in content["sets"]]
        near = nonnegative(columns["near"], len(columns["near"]))
        kinds = indexes(columns["item.sets"], len(sets))
        bins = indexes(columns["item.bins"], len(near))
        listed = columns["item.listed"]
        of_sets = {id: kind for id, kind, known in zip(ids, kinds, listed, strict=True) if known}
        of_bins = {id: bin for id, bin in zip(ids, bins, strict=True) if bin}
        if sets[0] or any(kind and not known for kind, known in zip(kinds, listed, strict=True)):
            raise ValueError("sets of categories are wrong")
        categories, numbers = Categories(sets, of_sets), Numbers(len(near), of_bins)
        categories.total, numbers.total = nonnegative(columns["totals"], 2)
        numbers.near = list(near)
        counts: dict[str, float] = content["counts"]
        nonnegative(array("d", counts.values()), len(counts))
        categories.counts = dict(zip(texts(list(counts)), map(float, counts.values()), strict=True))
        created: dict[str, float] = {}
        if "created.items" in columns:
            at = indexes(columns["created.items"], len(ids))
            created = dict(zip(map(ids.__getitem__, at), finite(columns["created.times"], len(at)), strict=True))
        signals = cls(Catalogue(categories, numbers, created), neighbours)
        if seen:
            signals.start, signals.now = finite(columns["span"], 2)
        signals._items = {
            id: (*state, kind, bin, number)
            for number, (id, state, kind, bin) in enumerate(
                zip(seen, zip(*[iter(states)] * 5, strict=True), kinds[: len(seen)], bins[: len(seen)], strict=True)
            )
        }
        signals._ids = ids
        signals._reserved = {id: number for number, id in enumerate(ids[len(seen) :], len(seen))}
        for n in range(3):
            within(states[n::5], 0.0, _MOST)
        for n in range(3, 5):
            within(states[n::5], signals.start, signals.now)
        items = indexes(columns["user.items"], len(ids))
        lengths = rows_of(columns["user.lengths"], len(users), len(items))
        if users and not min(lengths):
            raise ValueError("a user without items")
        # Older files lack these columns, and have no weights for the signals of them.
        again_items = indexes(columns.get("again.items", array("I")), len(ids))
        again_counts = columns.get("again.counts", array("I"))
        rows_of(again_counts, len(again_items), sum(again_counts))
        if len(again_counts) and min(again_counts) < 2:
            raise ValueError("an item that was had again less than twice")
        again_lengths = columns.get("again.lengths", array("I", bytes(4 * len(users))))
        signals._packed = _PackedUsers(
            list(accumulate(lengths)),
            items,
            within(finite(columns["user.times"], len(items)), signals.start, signals.now),
            finite(columns["user.habits"], 3 * len(users)),
            list(accumulate(rows_of(again_lengths, len(users), len(again_items)))),
            again_items,
            again_counts,
            within(
                finite(columns.get("again.firsts", array("d")), len(again_items)),
                signals.start,
                signals.now,
            ),
        )
        signals._users = {id: number for number, id in enumerate(users)}
        if "returns" in columns:
            signals._restore_returns(columns, len(ids), users)
        signals._joined.restore("joined", columns, len(ids))
        signals._led.restore("led", columns, len(ids))
        return signals

    def _restore_returns(self, columns: Mapping[str, Column], items: int, users: Sequence[str]) -> None:
        values = nonnegative(columns["returns"], 2 * items)
        pairs = zip(values[::2], values[1::2], strict=True)
        self._returns = {number: pair for number, pair in enumerate(pairs) if pair[0]}
        returns, gaps, self._events = nonnegative(columns["returns.all"], 3)
        self._all_returns = returns, gaps
        if returns > self._events:
            raise ValueError("more returns than events")
        takers = indexes(columns["takers.users"], len(users))
        lengths = rows_of(columns["takers.lengths"], items, len(takers))
        names = list(map(users.__getitem__, takers))
        ends = list(accumulate(lengths))
        self._takers = {
            number: names[end - length : end]
            for number, (end, length) in enumerate(zip(ends, lengths, strict=True))
            if length
        }
