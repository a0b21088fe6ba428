"""What people like: the model behind the item recipes.

The service's models are not published; this one is small, learns without a training step, and gives scores that look
like the service's. The logit of item *i* for a user is ::

    0.7 ln (0.01 + popularity(i))  +  1.5 / sqrt(h)  *  sum over the user's h latest items s of affinity(s, i)

*popularity* is the number of events of *i*, an event of 30 days before the newest of all counting half. *affinity* is
how much more often than by chance the users of *s* also have *i*: ``ln (observed + 1) / (expected + 1)``, never below
0, where a user with *n* items counts 1 / ln (2 + n), so that people who have everything say little. The two weights,
0.7 and 1.5, are all the temperature that there is; they were chosen on the bundled sample, by how well they foretell a
person's last film.

Since no affinity is negative, only items that go with the user's items differ from the popularity logit. So the softmax
over a catalogue of 100,000 items, and its best 25, need a look at some hundreds of them only.

The affinities of an item are computed when they are first asked for, and kept. Threads may share the model.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import merge, nlargest
from itertools import filterfalse
from math import exp, fsum, log, sqrt
from operator import itemgetter

from personalize_rt.local.datasets import EventLog

__all__ = ["TasteModel"]

_POPULARITY_POWER = 0.7
_POPULARITY_FLOOR = 0.01
_POPULARITY_HALF_LIFE = 30 * 86_400
_AFFINITY_WEIGHT = 1.5
_SMOOTHING = 1.0
_HISTORY = 20
# Bounds on time and memory: so many of an item's users are asked, so many neighbours are kept, for so many items.
_USERS_ASKED = 500
_NEIGHBOURS = 300
_ROWS_KEPT = 20_000


class TasteModel:
    """Learns from item interactions.

    Args:
        log: The Interactions dataset.
        catalogue: Further items of the catalogue (the Items dataset), which may have no interactions.
    """

    def __init__(self, log: EventLog, catalogue: Iterable[str] = ()) -> None:
        self._users = log.users
        self._known = len(log.targets)
        self._numbers: dict[str, int] = dict(log.targets)
        for id in catalogue:
            self._numbers.setdefault(id, len(self._numbers))
        self._ids = list(self._numbers)
        self._histories = _histories(log)
        self._audience = _audience(self._histories, len(self._ids))
        self._pairs = sum(map(len, self._audience))
        self._events = Counter(log.target)
        self._base = [_POPULARITY_POWER * log_ for log_ in _recent_popularity(log, len(self._ids))]
        self._base_order = sorted(range(len(self._ids)), key=self._base.__getitem__, reverse=True)
        self._base_total = fsum(map(exp, self._base))
        self._affinities = lru_cache(_ROWS_KEPT)(self._compute_affinities)

    def logits(
        self, user_id: str, item_ids: Sequence[str], context: Mapping[str, str] | None = None, /
    ) -> list[float | None]:
        """The logit of each item for a user; ``None`` for an item without interactions. A ``Scorer`` of the re-ranker.

        Args:
            user_id: The user; one without interactions gets the popularity logits.
            item_ids: The items.
            context: Makes no difference.
        """
        gains = self._gains(user_id)
        numbers = map(self._numbers.get, item_ids)
        return [
            None if number is None or number >= self._known else self._base[number] + gains.get(number, 0.0)
            for number in numbers
        ]

    def best(self, user_id: str) -> tuple[float, Iterator[tuple[str, float]]]:
        """The whole catalogue, best first, for a user.

        Args:
            user_id: The user; one without interactions gets popular items.

        Returns:
            The logarithm of the sum of exp(logit) over the catalogue; and each item with its logit, made one by one.
        """
        base = self._base
        logits = {number: base[number] + gain for number, gain in self._gains(user_id).items()}
        total = self._base_total + fsum(exp(logit) - exp(base[number]) for number, logit in logits.items())
        moved = sorted(logits.items(), key=_by_logit)
        rest = ((number, base[number]) for number in filterfalse(logits.__contains__, self._base_order))
        ids = self._ids
        return log(total), ((ids[number], logit) for number, logit in merge(moved, rest, key=_by_logit))

    def similar(self, item_id: str) -> Iterator[str]:
        """The catalogue without the item: what goes with it first, then the rest by popularity.

        Args:
            item_id: The item; one without interactions gets popular items.
        """
        seed = self._numbers.get(item_id, -1)
        near: dict[int, float] = {} if seed < 0 else dict(zip(*self._affinities(seed), strict=True))
        order = sorted(near, key=near.__getitem__, reverse=True)
        rest = (number for number in self._base_order if number not in near and number != seed)
        ids = self._ids
        return (ids[number] for numbers in (order, rest) for number in numbers)

    def popular(self) -> Iterator[str]:
        """The catalogue by the number of events, of all time; equal ones in order of appearance."""
        ids, events = self._ids, self._events
        return (ids[number] for number in sorted(range(len(ids)), key=events.__getitem__, reverse=True))

    def _gains(self, user_id: str) -> dict[int, float]:
        """What the user's latest items add to the popularity logit of others."""
        user = self._users.get(user_id)
        history = () if user is None else self._histories[user][:_HISTORY]
        gains: dict[int, float] = {}
        for seed in history:
            for number, affinity in zip(*self._affinities(seed), strict=True):
                gains[number] = gains.get(number, 0.0) + affinity
        weight = _AFFINITY_WEIGHT / sqrt(len(history) or 1)
        return {number: weight * gain for number, gain in gains.items()}

    def _compute_affinities(self, seed: int) -> tuple[array[int], array[float]]:
        users = self._audience[seed]
        users = users[:: len(users) // _USERS_ASKED + 1]
        observed: dict[int, float] = {}
        mass = 0.0
        for user in users:
            items = self._histories[user]
            weight = 1 / log(2 + len(items))
            mass += weight * len(items)
            for item in items:
                observed[item] = observed.get(item, 0.0) + weight
        observed.pop(seed, None)
        share = mass / (self._pairs or 1)
        audience = self._audience
        affinities = (
            (item, log((count + _SMOOTHING) / (share * len(audience[item]) + _SMOOTHING)))
            for item, count in observed.items()
        )
        kept = nlargest(_NEIGHBOURS, (pair for pair in affinities if pair[1] > 0), key=itemgetter(1))
        return array("i", (item for item, _ in kept)), array("d", (affinity for _, affinity in kept))


def _by_logit(pair: tuple[int, float]) -> tuple[float, int]:
    number, logit = pair
    return -logit, number


def _histories(log: EventLog) -> list[array[int]]:
    """The distinct items of each user, latest first."""
    seen: list[dict[int, None]] = [{} for _ in log.users]
    times = log.timestamp
    for event in sorted(range(len(log)), key=times.__getitem__, reverse=True):
        seen[log.user[event]].setdefault(log.target[event])
    return [array("i", items) for items in seen]


def _audience(histories: Sequence[array[int]], items: int) -> list[array[int]]:
    """The users of each item."""
    audience = [array("i") for _ in range(items)]
    for user, history in enumerate(histories):
        for item in history:
            audience[item].append(user)
    return audience


def _recent_popularity(log_: EventLog, items: int) -> list[float]:
    """The logarithm of each item's popularity, as the module has it."""
    newest = max(log_.timestamp, default=0)
    counts = [_POPULARITY_FLOOR] * items
    for item, time in zip(log_.target, log_.timestamp, strict=True):
        counts[item] += 0.5 ** ((newest - time) / _POPULARITY_HALF_LIFE)
    return list(map(log, counts))
