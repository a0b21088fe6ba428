"""A scorer that learns which items the same users saw (item-to-item co-occurrence)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from math import inf, log
from operator import itemgetter
from typing import Self

import attrs
from attrs.setters import frozen

from personalize_rt.interactions import Interaction
from personalize_rt.rerank import storage
from personalize_rt.rerank.decay import DecayedCounts, half_lives, weight
from personalize_rt.rerank.training import Event, events_in_order, half_life, positive, whole

__all__ = ["CoVisitationScorer"]

# Counts are divided by their growth after so many half-lives, long before a float overflows.
_RESCALE = 256.0

_COSINE = 0.5

# Larger than any count (events times 2 ** _RESCALE). Larger ones in a file would make logits of 0 / 0.
_MOST = 1e100


@attrs.define(eq=False, repr=False)
class _CoVisits:
    """Counts of two items seen by the same user, one while the other was among the user's latest items.

    Counts do not age. Instead, newer events count more: ``2 ** (half-lives since the start)`` (forward decay:
    Cormode, Shkapenyuk, Srivastava, Xu, ICDE 2009). Only the ratios of counts to each other and to ``now`` matter.

    Attributes:
        rows: The co-visits of each item with others; the most frequent ones, up to twice ``neighbours``.
        totals: The sum of all co-visits of each item, those that were pruned from its row included.
        total: The sum of ``totals``.
        now: The count of one co-visit at the time of the newest event.
    """

    half_life_days: float | None
    neighbours: int
    rows: dict[str, dict[str, float]] = attrs.field(factory=dict[str, dict[str, float]], init=False)
    totals: dict[str, float] = attrs.field(factory=dict[str, float], init=False)
    total: float = attrs.field(default=0.0, init=False)
    now: float = attrs.field(default=1.0, init=False)
    _start: float | None = attrs.field(default=None, init=False)
    _newest: float = attrs.field(default=-inf, init=False)

    def at(self, timestamp: float) -> float:
        """The count of one co-visit at a time."""
        if self._start is None:
            self._start = timestamp
        if half_lives(timestamp - self._start, self.half_life_days) > _RESCALE:
            self._rescale(weight(timestamp - self._start, self.half_life_days))
            self._start = timestamp
        if timestamp >= self._newest:
            self._newest = timestamp
            self.now = 1.0 / weight(timestamp - self._start, self.half_life_days)
            return self.now
        return self.now * weight(self._newest - timestamp, self.half_life_days)

    def add(self, item_id: str, other_id: str, count: float) -> None:
        """Count two items as seen together."""
        for one, two in ((item_id, other_id), (other_id, item_id)):
            row = self.rows.setdefault(one, {})
            row[two] = row.get(two, 0.0) + count
            if len(row) > 2 * self.neighbours:
                best = sorted(row, key=row.__getitem__, reverse=True)[: self.neighbours]
                self.rows[one] = {id: row[id] for id in best}
            self.totals[one] = self.totals.get(one, 0.0) + count
        self.total += 2.0 * count

    def columns(self, places: Mapping[str, int]) -> dict[str, storage.Column]:
        """Convert the counts to columns for a file; ``places`` has the index of each item."""
        lengths, others, counts = array("I"), array("I"), array("d")
        for row in self.rows.values():
            lengths.append(len(row))
            others.extend(map(places.__getitem__, row))
            counts.extend(row.values())
        clock = [self.now, self.total, self._newest, self._start] if self._start is not None else []
        return {
            "rows.items": array("I", map(places.__getitem__, self.rows)),
            "rows.lengths": lengths,
            "rows.others": others,
            "rows.counts": counts,
            "rows.totals": array("d", map(self.totals.__getitem__, self.rows)),
            "clock": array("d", clock),
        }

    def restore(self, columns: Mapping[str, storage.Column], ids: list[str]) -> None:
        """Restore the counts from the columns of :meth:`columns`.

        Raises:
            ValueError: The columns do not fit together.
        """
        items: list[str] = [ids[place] for place in storage.indexes(columns["rows.items"], len(ids))]
        counts = storage.nonnegative(columns["rows.counts"], len(columns["rows.others"]))
        lengths = storage.rows_of(columns["rows.lengths"], len(items), len(counts))
        others = map(ids.__getitem__, storage.indexes(columns["rows.others"], len(ids)))
        pairs = zip(others, counts, strict=True)
        self.rows = {id: dict(islice(pairs, length)) for id, length in zip(items, lengths, strict=True)}
        self.totals = dict(zip(items, storage.nonnegative(columns["rows.totals"], len(items)), strict=True))
        clock = columns["clock"]
        if len(clock) or items:
            self.now, self.total, self._newest, start = storage.finite(clock, 4)
            if not 1.0 <= self.now <= 2.0 ** (_RESCALE + 1.0) or start > self._newest:
                raise ValueError("the clock is wrong")
            self._start = start
            # Old counts may have decayed to 0, so a total of 0 is valid. The bounds are wide since sums are rounded.
            most = max(self.totals.values(), default=0.0)
            if max(counts, default=0.0) > _MOST or not most / 2 <= self.total <= _MOST:
                raise ValueError("the counts are wrong")

    def _rescale(self, factor: float) -> None:
        rows = self.rows.items()
        self.rows = {one: {two: aged for two, n in row.items() if (aged := n * factor)} for one, row in rows}
        self.totals = {one: n * factor for one, n in self.totals.items()}
        self.total *= factor


@attrs.define(eq=False, kw_only=True)
class CoVisitationScorer:
    """Scores an item by the user's latest items and by its popularity.

    Two items are co-visited when a user sees one while the other is among that user's latest ``history`` items.
    The logit of item *i* for a user is ::

        ln popularity(i)  +  ln  (observed(i) + smoothing) / (expected(i) + smoothing)

    *popularity* is that of :class:`PopularityScorer`. *observed* is the sum of the co-visits of *i* with the
    user's latest items, in which recent items weigh more; *expected* is the same sum if *i* were co-visited with them
    as often as with any item. So popular items are not neighbours of everything (popularity damping), and with little
    evidence the second term is about 0. A user without events gets the popularity logits. An item without events is
    unknown. Context is ignored.

    Age is measured from the newest event of all (for the user's own items: from the user's newest), never from the
    wall clock. An item that the user sees again while it is among the latest becomes the latest one, and adds no
    co-visits: a duplicate event counts twice in popularity, and once here.

    Several threads may rank with it at once, but not while another fits or updates it.

    Args:
        history: The number of a user's latest distinct items that count.
        history_half_life_days: The age in days at which one of them weighs half; ``None``: no decay.
        half_life_days: The age in days at which a co-visit counts half; ``None``: no decay.
        popularity_half_life_days: The half-life of popularity, as in :class:`PopularityScorer`.
        neighbours: The number of other items with which an item's co-visits are kept, the most frequent ones (up to
            twice as many between two prunings). Bounds memory.
        smoothing: The number of co-visits of evidence that it takes to move a score.

    Raises:
        ValidationError: A parameter that is not a number above 0.
    """

    history: int = attrs.field(default=10, validator=whole, on_setattr=frozen)
    history_half_life_days: float | None = attrs.field(default=7.0, validator=half_life, on_setattr=frozen)
    half_life_days: float | None = attrs.field(default=90.0, validator=half_life, on_setattr=frozen)
    popularity_half_life_days: float | None = attrs.field(default=3.0, validator=half_life, on_setattr=frozen)
    neighbours: int = attrs.field(default=200, validator=whole, on_setattr=frozen)
    smoothing: float = attrs.field(default=0.3, validator=positive, on_setattr=frozen)
    _popularity: DecayedCounts = attrs.field(init=False, repr=False)
    _covisits: _CoVisits = attrs.field(init=False, repr=False)
    _histories: dict[str, dict[str, float]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._popularity = DecayedCounts(self.popularity_half_life_days)
        self._covisits = _CoVisits(self.half_life_days, self.neighbours)
        self._histories = {}

    def fit(self, interactions: Iterable[Interaction]) -> Self:
        """Learn from these events alone. Forgets what was learned before.

        Args:
            interactions: The events, in any order; none is allowed, and leaves every item unknown.

        Returns:
            The scorer itself.

        Raises:
            ValidationError: An event that is not an Interaction, has an id that is not a str, or a timestamp that
                is not a finite number. What was learned before stays.
        """
        events = events_in_order(interactions, "interactions")
        self._forget()
        return self._learn(events)

    def update(self, events: Iterable[Interaction]) -> Self:
        """Learn from further events. They count from the next ranking on.

        The outcome is exactly that of one ``fit`` over all events, if no event is older than one learned before. An
        older event counts as of its own time, with the items now in the user's history; one older than a full history
        counts for popularity only.

        Args:
            events: The events, in any order.

        Returns:
            The scorer itself.

        Raises:
            ValidationError: As ``fit`` does.
        """
        return self._learn(events_in_order(events, "events"))

    def _learn(self, events: Iterable[Event]) -> Self:
        for timestamp, user_id, item_id in events:
            self._popularity.add(item_id, timestamp)
            count = self._covisits.at(timestamp)
            history = self._histories.setdefault(user_id, {})
            if item_id in history:
                timestamp = max(timestamp, history.pop(item_id))
            elif len(history) < self.history or timestamp >= next(iter(history.values())):
                for other_id in history:
                    self._covisits.add(item_id, other_id, count)
            self._remember(history, item_id, timestamp)
        return self

    def _remember(self, history: dict[str, float], item_id: str, timestamp: float) -> None:
        """Add an item to a history, oldest first, and drop the oldest ones beyond its maximal length."""
        late = bool(history) and timestamp < history[next(reversed(history))]
        history[item_id] = timestamp
        if late:
            in_order = sorted(history.items(), key=itemgetter(1))
            history.clear()
            history.update(in_order)
        if len(history) > self.history:
            del history[next(iter(history))]

    def __call__(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> Sequence[float | None]:
        """The logit of each item for the user; ``None`` for an item without events."""
        popularity = self._popularity.logarithms(item_ids)
        history = self._histories.get(user_id)
        if not history:
            return popularity
        newest = history[next(reversed(history))]
        seeds = [(id, weight(newest - seen, self.history_half_life_days)) for id, seen in tuple(history.items())]
        lifts = self._lifts(seeds, item_ids)
        return [None if logit is None else logit + lift for logit, lift in zip(popularity, lifts, strict=True)]

    def similar(self, item_id: str, candidates: Sequence[str]) -> Sequence[float | None]:
        """Score items by their co-visits with one item, for "more like this".

        The logit is ``ln (observed + smoothing) / (expected + smoothing) + ½ ln (1 + co-visits of the candidate)``.
        Without the smoothing, that would be the logarithm of the cosine of two items, plus a constant. Recent
        popularity is not used.

        Args:
            item_id: The item to compare with. Without co-visits, the logits are those of popularity, as the service
                answers an unknown item with popular ones (Developer Guide, Similar-Items recipe).
            candidates: The items to score. Leave out the item itself, which would be scored like any other.

        Returns:
            A logit for each candidate, ``None`` for one without events.
        """
        popularity = self._popularity.logarithms(candidates)
        covisits = self._covisits
        if not covisits.rows.get(item_id):
            return popularity
        lifts = self._lifts([(item_id, 1.0)], candidates)
        return [
            None if known is None else lift + _COSINE * log(1.0 + covisits.totals.get(id, 0.0) / covisits.now)
            for id, known, lift in zip(candidates, popularity, lifts, strict=True)
        ]

    def _lifts(self, seeds: Iterable[tuple[str, float]], item_ids: Sequence[str]) -> list[float]:
        """The logarithm of how much more often each item is co-visited with the seeds than with any item."""
        rows, totals = self._covisits.rows, self._covisits.totals
        observed = dict.fromkeys(item_ids, 0.0)
        seen = 0.0
        for seed, seed_weight in seeds:
            row = rows.get(seed)
            if row:
                seen += seed_weight * totals[seed]
                for id in row.keys() & observed.keys():
                    observed[id] += seed_weight * row[id]
        share = seen / self._covisits.total if seen else 0.0
        smoothing = self.smoothing * self._covisits.now
        expected = map(totals.get, item_ids, repeat(0.0))
        return [
            log((observed[id] + smoothing) / (share * total + smoothing))
            for id, total in zip(item_ids, expected, strict=True)
        ]

    def save(self, path: storage.Path) -> None:
        """Write what was learned to a file; :meth:`load` gives a scorer with the same logits.

        The file holds user ids.

        Args:
            path: Where to write; an existing file is replaced.

        Raises:
            OSError: The file cannot be written.
        """
        ids, columns = self._popularity.columns("popularity")
        places = {id: place for place, id in enumerate(ids)}
        lengths, items, times = array("I"), array("I"), array("d")
        for history in self._histories.values():
            lengths.append(len(history))
            items.extend(map(places.__getitem__, history))
            times.extend(history.values())
        columns |= self._covisits.columns(places)
        columns |= {"user.lengths": lengths, "user.items": items, "user.times": times}
        parameters = {field.name: getattr(self, field.name) for field in attrs.fields(type(self)) if field.init}
        content = {"parameters": parameters, "items": ids, "users": list(self._histories)}
        storage.save(path, storage.Stored(type(self).__name__, content, columns))

    @classmethod
    def load(cls, path: storage.Path) -> Self:
        """Read a file that :meth:`save` wrote.

        Args:
            path: The file.

        Raises:
            ValidationError: The file is damaged, of a newer version, or of something else.
            OSError: The file cannot be read.
        """
        return storage.taken(storage.load(path, cls.__name__), cls._restored)

    @classmethod
    def _restored(cls, stored: storage.Stored) -> Self:
        scorer = cls(**stored.content["parameters"])
        columns, ids = stored.columns, storage.texts(stored.content["items"])
        users = storage.texts(stored.content["users"])
        scorer._popularity.restore("popularity", columns, ids)
        scorer._covisits.restore(columns, ids)
        times = storage.finite(columns["user.times"], len(columns["user.items"]))
        lengths = storage.rows_of(columns["user.lengths"], len(users), len(times))
        items = map(ids.__getitem__, storage.indexes(columns["user.items"], len(ids)))
        seen: Iterator[tuple[str, float]] = zip(items, times, strict=True)
        scorer._histories = {id: dict(islice(seen, length)) for id, length in zip(users, lengths, strict=True)}
        if any(list(history.values()) != sorted(history.values()) for history in scorer._histories.values()):
            raise ValueError("a history is not in order")
        return scorer
