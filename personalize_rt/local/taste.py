"""The model of users' preferences, for the item recipes.

The service's models are not published. This one is small, needs no training step, and gives scores that look like the
service's. The logit of item *i* for a user is ::

    0.7 ln (0.01 + popularity(i))  +  1.8 / sqrt(h)  *  sum over the user's h latest items s of affinity(s, i)

*h* is at most 20. *popularity* is the number of events of *i*, with a half-life of 30 days before the newest event of
all. *affinity* is ``ln (observed + 1) / (expected + 1)``, at least 0: how much more often than by chance users who have
*s* also have *i*. *observed* is the number of such users, where a user with *n* items counts 1 / ln (2 + n), so that
users who have everything count little; *expected* is the same number if their items were drawn from all histories. Of
the users who have *s*, 100 are sampled with their 100 latest items; of a sample of 10 or more, items that only one user
has are ignored; and the 50 items of the highest affinity are kept. These numbers were chosen on the bundled sample, by
the prediction of a user's last film, and by the time for an answer.

Since no affinity is negative, only items with an affinity to the user's items differ from the popularity logit. So the
softmax over a catalogue of 100,000 items, and its best 25, need only some hundreds of them.

The affinities of an item are computed on first use, and cached. A user's events after training are passed with each
request; they change the user's own history, and nothing else. Safe to share between threads.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import nlargest
from itertools import accumulate, compress, pairwise
from math import exp, expm1, fsum, inf, log, sqrt
from typing import Any

import attrs

from personalize_rt.filters.selection import Allowed
from personalize_rt.interactions import Interaction
from personalize_rt.local.datasets import EventLog
from personalize_rt.local.universe import Order, Universe

__all__ = ["HISTORY", "Preference", "TasteModel"]

_POPULARITY_POWER = 0.7
_POPULARITY_FLOOR = 0.01
_POPULARITY_HALF_LIFE = 30 * 86_400
_AFFINITY_WEIGHT = 1.8
_SMOOTHING = 1.0
HISTORY = 20
"""The latest items of a user, each once, that a preference depends on."""
_ASKED = 100
_TOLD = 100
_CROWD = 5
_ONE_IS_CHANCE_FROM = 10
_NEIGHBOURS = 50
# The number of items whose affinities are cached: 100,000 take 60 MB.
_ROWS_KEPT = 100_000
# The items that filters let through are summed by blocks: what one user has seen changes few of them. 20,000 take 5 MB.
_BYTES_OF_BLOCK = 64
_BLOCKS_KEPT = 20_000
_FLAGS = bytes.maketrans(b"01", b"\0\1")
_GOLDEN_RATIO = (5**0.5 - 1) / 2


@attrs.frozen(eq=False, repr=False)
class _Packed:
    """Arrays of numbers one behind another, so that they can be moved between processes in one piece.

    Attributes:
        starts: The index of each one's first number, and the end of the last one.
        numbers: The numbers.
    """

    starts: array[int]
    numbers: array[int]

    @classmethod
    def of(cls, arrays: Sequence[array[int]]) -> _Packed:
        numbers = array("i")
        for one in arrays:
            numbers.extend(one)
        return cls(array("q", accumulate(map(len, arrays), initial=0)), numbers)

    def __getitem__(self, place: int) -> array[int]:
        return self.numbers[self.starts[place] : self.starts[place + 1]]


@attrs.frozen(eq=False, repr=False)
class _Learned:
    """The affinities that were computed when the model was trained.

    Attributes:
        items: The items with an affinity to each item.
        values: Their affinities, one behind another like the items.
    """

    items: _Packed
    values: array[float]

    def get(self, seed: int) -> tuple[array[int], array[float]]:
        starts = self.items.starts
        return self.items[seed], self.values[starts[seed] : starts[seed + 1]]


class TasteModel:
    """The model of preferences. It can be pickled, with the affinities that :meth:`prepare` computes.

    Args:
        history: The Interactions dataset.
        universe: The items, those of the log first, in its own order.
        events: The indexes of the events to learn from; by default all.
    """

    def __init__(self, history: EventLog, universe: Universe, events: Sequence[int] | None = None) -> None:
        self.universe = universe
        learned = range(len(history)) if events is None else events
        self._users = history.users
        self._starts, self._items, self._times = _histories(history, learned)
        audience = _audience(self._starts, self._items, len(universe))
        self._audience = _Packed.of(audience)
        self._crowds = array("i", map(len, audience))
        self._says = array("d", (1 / log(2 + end - start) for start, end in pairwise(self._starts)))
        self._events = Counter(map(history.target.__getitem__, learned))
        popularity = _recent_popularity(history, learned, len(universe))
        self.base: array[float] = array(
            "d", (_POPULARITY_POWER * log(_POPULARITY_FLOOR + count) for count in popularity)
        )
        self.order: Order = Order(universe, self.base)
        self._masses = array("d", map(exp, self.base))
        self._total = fsum(self._masses)
        self._learned: _Learned | None = None
        self._begin()

    def _begin(self) -> None:
        """Make what depends on the rest and is not pickled."""
        # A dict by item id, for a single look-up: a ranking needs hundreds of items.
        self.base_of: dict[str, float] = dict(compress(zip(self.universe.ids, self.base, strict=True), self._crowds))
        self._affinities = lru_cache(_ROWS_KEPT)(self._find_affinities)
        self._mass_of_block = lru_cache(_BLOCKS_KEPT)(self._compute_mass_of_block)

    def __getstate__(self) -> dict[str, Any]:
        state = {
            name: value
            for name, value in self.__dict__.items()
            if name not in ("base_of", "_affinities", "_mass_of_block")
        }
        if self._learned is None:
            nothing = array("i"), array("d")
            rows = [self._affinities(n) if crowd >= _CROWD else nothing for n, crowd in enumerate(self._crowds)]
            values = array("d")
            for _, row in rows:
                values.extend(row)
            state["_learned"] = _Learned(_Packed.of([items for items, _ in rows]), values)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def events(self, item_id: str) -> int:
        """The number of events of an item."""
        return self._events[self.universe.numbers.get(item_id, -1)]

    def knows(self, number: int) -> bool:
        """Tell whether an item has interactions."""
        return self._crowds[number] > 0

    def prefer(self, user_id: str, recent: Sequence[Interaction] = ()) -> Preference:
        """The preference of a user.

        Args:
            user_id: The user; one without interactions gets that of popularity.
            recent: The user's events since training, in order of arrival.
        """
        history = self._history(user_id, recent)
        gains: dict[int, float] = {}
        known = gains.get
        for seed in history:
            for number, affinity in zip(*self._affinities(seed), strict=True):
                gains[number] = known(number, 0.0) + affinity
        weight = _AFFINITY_WEIGHT / sqrt(len(history) or 1)
        return Preference(self, {number: weight * gain for number, gain in gains.items()})

    def prepare(self) -> None:
        """Compute the affinities that take long, those of items with many users."""
        if self._learned is not None:
            return
        for number, crowd in enumerate(self._crowds):
            if crowd >= _CROWD:
                self._affinities(number)

    def total(self, gains: Mapping[int, float], allowed: Allowed | None = None) -> float:
        """The logarithm of the sum of exp(logit), when some logits are higher than usual.

        Args:
            gains: By how much, by number.
            allowed: The items of the sum; by default the whole universe.
        """
        masses, total = self._masses, self._total
        if allowed is not None and not allowed.everything:
            ids, total = self.universe.ids, self._mass_of(allowed)
            gains = {number: gain for number, gain in gains.items() if ids[number] in allowed}
        total += fsum(masses[number] * expm1(gain) for number, gain in gains.items())
        return log(total) if total > 0 else -inf

    def _mass_of(self, allowed: Allowed) -> float:
        """The sum of exp(logit of popularity) over a part of the universe, whose order is that of the catalogue."""
        flags = allowed.rows.to_bytes((len(self.universe) + 7) >> 3, "little")
        starts = range(0, len(flags), _BYTES_OF_BLOCK)
        return fsum(self._mass_of_block(start, flags[start : start + _BYTES_OF_BLOCK]) for start in starts)

    def _compute_mass_of_block(self, start: int, flags: bytes) -> float:
        bits = bin(int.from_bytes(flags, "little"))[:1:-1].encode().translate(_FLAGS)
        return fsum(compress(self._masses[8 * start : 8 * (start + len(flags))], bits))

    def similar(self, item_id: str) -> Sequence[int]:
        """The items with an affinity to an item, highest first; empty for an item without interactions."""
        number = self.universe.numbers.get(item_id)
        return () if number is None else self._affinities(number)[0]

    def _history(self, user_id: str, recent: Sequence[Interaction]) -> Sequence[int]:
        """The distinct items of a user, latest first."""
        user = self._users.get(user_id, len(self._starts))
        start, end = (self._starts[user], self._starts[user + 1]) if user + 1 < len(self._starts) else (0, 0)
        end = min(end, start + HISTORY)
        if not recent:
            return self._items[start:end]
        numbers = self.universe.numbers
        events = [
            (event.timestamp, numbers[event.item_id]) for event in reversed(recent) if event.item_id in numbers
        ] + list(zip(self._times[start:end], self._items[start:end], strict=True))
        events.sort(key=_first, reverse=True)
        return list(dict.fromkeys(number for _, number in events))[:HISTORY]

    def _find_affinities(self, seed: int) -> tuple[array[int], array[float]]:
        if self._learned is not None and self._crowds[seed] >= _CROWD:
            return self._learned.get(seed)
        return self._compute_affinities(seed)

    def _compute_affinities(self, seed: int) -> tuple[array[int], array[float]]:
        starts, items, says, crowds = self._starts, self._items, self._says, self._crowds
        users = _some(self._audience[seed])
        together: dict[int, float] = {}
        observed = together.get
        mass = loudest = 0.0
        for user in users:
            weight = says[user]
            start = starts[user]
            history = items[start : min(start + _TOLD, starts[user + 1])]
            mass += weight * len(history)
            loudest = max(loudest, weight)
            for item in history:
                together[item] = observed(item, 0.0) + weight
        together.pop(seed, None)
        share = mass / (len(items) or 1)
        least = loudest if len(users) >= _ONE_IS_CHANCE_FROM else 0.0
        ratios = {
            item: ratio
            for item, count in together.items()
            if count > least and (ratio := (count + _SMOOTHING) / (share * crowds[item] + _SMOOTHING)) > 1
        }
        kept = nlargest(_NEIGHBOURS, ratios, key=ratios.__getitem__)
        return array("i", kept), array("d", (log(ratios[item]) for item in kept))


class Preference:
    """The preference of one user, by one model.

    Args:
        model: The model.
        gains: The differences between the logits of items and those of popularity.
    """

    def __init__(self, model: TasteModel, gains: Mapping[int, float]) -> None:
        self._model = model
        self._gains = gains

    def total(self, allowed: Allowed | None = None) -> float:
        """The logarithm of the sum of exp(logit) over the universe, or over the items that a filter lets through."""
        return self._model.total(self._gains, allowed)

    def logits(self, item_ids: Sequence[str]) -> list[float | None]:
        """The logit of each item; ``None`` for an item without interactions."""
        logits = list(map(self._model.base_of.get, item_ids))
        gain = dict(zip(map(self._model.universe.ids.__getitem__, self._gains), self._gains.values(), strict=True))
        moved = gain.keys() & {*item_ids}
        if moved:
            for place, id in enumerate(item_ids):
                base = logits[place]
                if id in moved and base is not None:
                    logits[place] = base + gain[id]
        return logits

    def best(self, allowed: Allowed | None = None) -> Iterator[tuple[int, float]]:
        """Yield the item numbers with their logits, best first.

        Args:
            allowed: The items to yield; ``None`` for all.
        """
        gains, base, ids = self._gains, self._model.base, self._model.universe.ids
        logits = {
            number: base[number] + gains[number]
            for number in sorted(gains)
            if allowed is None or ids[number] in allowed
        }
        moved = iter(sorted(logits, key=logits.__getitem__, reverse=True))
        rest = self._model.order.pick(allowed, without=gains)
        one, other = next(moved, None), next(rest, None)
        while one is not None or other is not None:
            if other is None or (one is not None and _comes_first(one, logits[one], other, base[other])):
                assert one is not None
                yield one, logits[one]
                one = next(moved, None)
            else:
                yield other, base[other]
                other = next(rest, None)


def _comes_first(one: int, logit: float, other: int, than: float) -> bool:
    return logit > than or (logit == than and one < other)


def _first(pair: tuple[float, int]) -> float:
    return pair[0]


def _histories(log: EventLog, events: Sequence[int]) -> tuple[array[int], array[int], array[int]]:
    """The start of each user's history; the distinct items of all histories, latest first; and their times."""
    seen: list[dict[int, int]] = [{} for _ in log.users]
    users, targets, times = log.user, log.target, log.timestamp
    for event in sorted(events, key=times.__getitem__, reverse=True):
        seen[users[event]].setdefault(targets[event], times[event])
    starts = array("i", accumulate(map(len, seen), initial=0))
    items, latest = array("i"), array("q")
    for history in seen:
        items.extend(history)
        latest.extend(history.values())
    return starts, items, latest


def _audience(starts: Sequence[int], histories: Sequence[int], items: int) -> list[array[int]]:
    """The users of each item."""
    audience = [array("i") for _ in range(items)]
    for user, (start, end) in enumerate(pairwise(starts)):
        for item in histories[start:end]:
            audience[item].append(user)
    return audience


def _some(users: Sequence[int]) -> Sequence[int]:
    """All users, or of too many, an evenly spread sample. Its steps vary, since equal ones might meet a pattern."""
    if len(users) <= _ASKED:
        return users
    chosen = {int(n * _GOLDEN_RATIO % 1 * len(users)) for n in range(_ASKED)}
    return [users[n] for n in sorted(chosen)]


def _recent_popularity(log: EventLog, events: Sequence[int], items: int) -> list[float]:
    """The number of events of each item, in which old events weigh less."""
    counts = [0.0] * items
    targets, times = log.target, log.timestamp
    newest = max(map(times.__getitem__, events), default=0)
    for event in events:
        counts[targets[event]] += 0.5 ** ((newest - times[event]) / _POPULARITY_HALF_LIFE)
    return counts
