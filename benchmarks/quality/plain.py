"""Plain peers for lists of pages: each in a few lines, learned event by event, with its setting tuned.

All settings of a peer are asked in one pass over the events. The one that counts has the highest NDCG@10 on the lists
to learn from, which come before the test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest
from math import exp2, sqrt
from operator import itemgetter
from typing import Protocol

from benchmarks.quality.measures import mean
from benchmarks.quality.pages import NEAREST, Page, Pages, gain
from benchmarks.quality.task import Event

__all__ = ["PLAIN", "Plain", "tuned"]

DAY = 86_400.0

Scores = Mapping[float, Sequence[float]]
"""The scores of a list's items, by setting."""


class Plain(Protocol):
    """A model that is told events one by one."""

    def learn(self, event: Event) -> None: ...
    def scores(self, page: Page) -> Scores: ...


class Popularity:
    """Event counts with a half-life; settings: the half-life in days."""

    def __init__(self, settings: Sequence[float]) -> None:
        self.counts: dict[float, dict[str, tuple[float, float]]] = {days: {} for days in settings}

    def learn(self, event: Event) -> None:
        _, item, time, _ = event
        for days, counts in self.counts.items():
            count, since = counts.get(item, (0.0, time))
            counts[item] = count * exp2((since - time) / (days * DAY)) + 1.0, time

    def scores(self, page: Page) -> Scores:
        found: dict[float, Sequence[float]] = {}
        for days, counts in self.counts.items():
            entries = [counts.get(item, (0.0, page.time)) for item in page.items]
            found[days] = [count * exp2((since - page.time) / (days * DAY)) for count, since in entries]
        return found


class CosineNeighbours:
    """Cosine item-kNN over users' last 20 items; settings: the power of an item's count that corrects its sum."""

    def __init__(self, settings: Sequence[float]) -> None:
        self.powers = settings
        self.had: dict[str, int] = {}
        self.together: dict[str, dict[str, float]] = {}
        self.latest: dict[str, dict[str, None]] = {}

    def learn(self, event: Event) -> None:
        user, item, _, _ = event
        self.had[item] = self.had.get(item, 0) + 1
        latest = self.latest.setdefault(user, {})
        row = self.together.setdefault(item, {})
        for other in list(latest)[-20:]:
            if other != item:
                back = self.together.setdefault(other, {})
                row[other] = row.get(other, 0.0) + 1.0
                back[item] = back.get(item, 0.0) + 1.0
        if len(row) > 4 * NEAREST:
            self.together[item] = dict(nlargest(2 * NEAREST, row.items(), key=itemgetter(1)))
        latest.pop(item, None)
        latest[item] = None

    def scores(self, page: Page) -> Scores:
        latest = list(self.latest.get(page.user, ()))[-20:]
        totals = [0.0] * len(page.items)
        for age, item in enumerate(reversed(latest)):
            row, weight = self.together.get(item, {}), 0.9**age / sqrt(self.had[item])
            for place, other in enumerate(page.items):
                if other == item:
                    totals[place] += weight
                elif count := row.get(other):
                    totals[place] += weight * count / sqrt(self.had[other])
        counts = [self.had.get(item, 0) for item in page.items]
        # Without neighbours, the count decides. An item without events has no corrected sum.
        return {
            power: [
                (total + 1e-9) * count**power if count else 0.0 for total, count in zip(totals, counts, strict=True)
            ]
            for power in self.powers
        }


class SessionNeighbours:
    """The 100 users with the most of the last items in common, and what they had (V-SkNN of Ludewig, Jannach).

    Settings: the weight of an item beside that of the one after it.
    """

    def __init__(self, settings: Sequence[float]) -> None:
        self.decays = settings
        self.users: dict[str, deque[str]] = {}
        self.latest: dict[str, dict[str, None]] = {}

    def learn(self, event: Event) -> None:
        user, item, _, _ = event
        users = self.users.setdefault(item, deque(maxlen=200))
        if not users or users[-1] != user:
            users.append(user)
        latest = self.latest.setdefault(user, {})
        latest.pop(item, None)
        latest[item] = None
        if len(latest) > 50:
            del latest[next(iter(latest))]

    def scores(self, page: Page) -> Scores:
        return {decay: self.with_decay(page, decay) for decay in self.decays}

    def with_decay(self, page: Page, decay: float) -> list[float]:
        shared: dict[str, float] = {}
        for age, item in enumerate(list(self.latest.get(page.user, ()))[:-21:-1]):
            for other in dict.fromkeys(self.users[item]):
                shared[other] = shared.get(other, 0.0) + decay**age
        shared.pop(page.user, None)
        totals = dict.fromkeys(page.items, 0.0)
        for user in nlargest(100, shared, key=shared.__getitem__):
            for item in self.latest[user].keys() & totals.keys():
                totals[item] += shared[user]
        return [totals[item] for item in page.items]


PLAIN: Mapping[str, tuple[Sequence[float], Callable[[Sequence[float]], Plain]]] = {
    "popularity with decay": ((0.5, 3.0, 20.0, 365.0), Popularity),
    "cosine kNN, corrected": ((-0.25, 0.0, 0.25), CosineNeighbours),
    "session kNN": ((0.5, 0.9), SessionNeighbours),
}
"""By name: the settings to try, and what makes a model of them."""


def tuned(task: Pages) -> dict[str, tuple[float, list[float]]]:
    """Of each peer the best setting on the earlier lists, and the gains in the test with it."""
    models = {name: make(settings) for name, (settings, make) in PLAIN.items()}
    found: dict[str, dict[float, list[float]]] = {
        name: {setting: [] for setting in settings} for name, (settings, _) in PLAIN.items()
    }
    known = 0
    for page in [*task.earlier, *task.test]:
        for event in task.events[known : page.index]:
            for model in models.values():
                model.learn(event)
        known = page.index
        for name, model in models.items():
            for setting, scores in model.scores(page).items():
                found[name][setting].append(gain(scores, page.taken))
    earlier = len(task.earlier)
    best = {name: max(gains, key=lambda setting: mean(gains[setting][:earlier])) for name, gains in found.items()}
    return {name: (best[name], gains[best[name]][earlier:]) for name, gains in found.items()}
